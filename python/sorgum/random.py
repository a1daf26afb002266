"""Keyed noise: words, uniforms and Gumbels that are a pure function of a key and a place, the same bits everywhere.

Nothing here has state. What is drawn for an element depends on the key, the purpose (the function), the `stream` of its
row (a request's id, by default the row's number), the `position` (the step of a sequence) and the element's index in
the row (the category): never on the batch, the thread, the shard or the instruction set (tier: bitwise). The generator
is Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011); the layout of its counters is frozen and stands in
docs/numerics.md.

Each function draws from streams of its own: a uniform and a Gumbel number of the same key, stream, position and index
have nothing in common. The same function called twice with the same arguments returns the same numbers; for new ones,
change `position`, `streams` or the key (`fold_in`, `split`).
"""

import dataclasses
import operator
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum.runtime import _empty
from sorgum.special import _apart, _floats, _mask, _temperature, softmax

__all__ = [
    "Key",
    "TopK",
    "bits",
    "categorical",
    "exponential",
    "fold_in",
    "gumbel",
    "gumbel_merge",
    "gumbel_partial",
    "gumbel_softmax",
    "gumbel_top_k",
    "key",
    "logistic",
    "split",
    "uniform",
]

Array: TypeAlias = npt.NDArray[Any]
Rng: TypeAlias = "Key | int | np.random.Generator"  # a string: NumPy imports its generators when they are named
Shape: TypeAlias = SupportsIndex | tuple[SupportsIndex, ...]

# The last word of the counter that a derived key is made from; rows have 0 there (csrc/math/stream.h).
_FOLD, _SPLIT = 1, 2
_FIRST = np.array(0, dtype=np.int64)
_FIRST.flags.writeable = False


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """A key of 64 bits: the seed of every stream drawn with it.

    Parameters
    ----------
    value : int
        From 0 to 2**64 - 1.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.random.Key(7)
    Key(0x0000000000000007)
    """

    value: int

    def __post_init__(self) -> None:
        """Check the value."""
        object.__setattr__(self, "value", _word64("Key", "value", self.value))

    def __repr__(self) -> str:
        """Show the value in hexadecimal digits."""
        return f"Key(0x{self.value:016x})"


def _is_int(value: object) -> TypeGuard[SupportsIndex]:
    """Tell integers, of NumPy too, from the rest; isinstance(value, SupportsIndex) would take microseconds."""
    return hasattr(value, "__index__") and not isinstance(value, bool | np.bool_)


def _word64(function: str, argument: str, value: object) -> int:
    if not _is_int(value):
        raise TypeError(f"{function}: {argument} must be an int, got {type(value).__name__}")
    number = operator.index(value)
    if not 0 <= number < 2**64:
        raise ValueError(f"{function}: {argument} must be in [0, 2**64), got {number}")
    return number


def _key_of(function: str, rng: object) -> int:
    """Return the 64 bits of a Key, an int seed, or the next word of a NumPy Generator."""
    if isinstance(rng, Key):
        return rng.value
    if _is_int(rng):
        return _word64(function, "rng", rng)
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(0, 2**64, dtype=np.uint64))
    raise TypeError(f"{function}: rng must be a Key, an int seed or a numpy Generator, got {type(rng).__name__}")


def _shape(function: str, shape: object) -> tuple[int, ...]:
    items = shape if isinstance(shape, tuple | list) else (shape,)
    try:
        sizes = tuple(operator.index(n) for n in items)
    except TypeError:
        raise TypeError(f"{function}: shape must be an int or a tuple of ints, got {shape!r}") from None
    if any(n < 0 for n in sizes):
        raise ValueError(f"{function}: shape must not be negative, got {shape!r}")
    return sizes


def _float_dtype(function: str, dtype: npt.DTypeLike) -> np.dtype[Any]:
    result = np.dtype(dtype)
    if result not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"{function}: dtype must be float32 or float64, got {result!r}")
    return result


def _wide(function: str, width: object, dtype: np.dtype[Any]) -> bool:
    if width is None:
        return dtype.itemsize == 8
    if isinstance(width, bool) or not isinstance(width, int):
        raise TypeError(f"{function}: bits must be 32, 64 or None, got {width!r}")
    if width not in (32, 64):
        raise ValueError(f"{function}: bits must be 32, 64 or None, got {width}")
    return width == 64


def _integers(function: str, argument: str, value: npt.ArrayLike) -> Array:
    """Return an int64 array of the same 64 bits as the integers given, none of which may be negative."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = np.array(_word64(function, argument, value), dtype=np.uint64)
    array = np.asarray(value)
    if array.dtype.kind in "fO" and not isinstance(value, np.ndarray):  # NumPy's idea of integers beyond 2**63
        items = np.asarray(value, dtype=object)
        if all(isinstance(i, int) for i in items.flat):
            array = np.array([_word64(function, argument, i) for i in items.flat], np.uint64).reshape(items.shape)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{function}: {argument} must be an integer or an array of them, got dtype {array.dtype!r}")
    if array.dtype.kind == "i" and array.size and int(array.min()) < 0:
        raise ValueError(f"{function}: {argument} must not be negative, got {int(array.min())}")
    return array.astype(np.uint64).view(np.int64)


def _index_offset(function: str, value: object) -> int:
    if not _is_int(value):
        raise TypeError(f"{function}: index_offset must be an int, got {type(value).__name__}")
    return max(-1, min(2**63 - 1, operator.index(value)))  # one that is out of range is refused where the others are


def _place(function: str, streams: npt.ArrayLike | None, position: npt.ArrayLike) -> tuple[Array | None, Array]:
    """Return the ids and the positions of rows, each as 64 bits."""
    ids = None if streams is None else _integers(function, "streams", streams)
    if isinstance(position, int) and position == 0:
        return ids, _FIRST
    return ids, _integers(function, "position", position)


def _out(function: str, out: Array | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    if out is None:
        return _empty(shape, dtype)
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"{function}: out must be a numpy array, got {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"{function}: out must have dtype {dtype}, got {out.dtype}")
    return out


def _noise(
    law: str,
    shape: Shape,
    rng: object,
    dtype: npt.DTypeLike,
    streams: npt.ArrayLike | None,
    position: npt.ArrayLike,
    index_offset: int,
    width: object,
    out: Array | None,
) -> Any:
    secret = _key_of(law, rng)
    sizes, kind = _shape(law, shape), _float_dtype(law, dtype)
    result = _out(law, out, sizes, kind)
    ids, at = _place(law, streams, position)
    _core.noise(law, _wide(law, width, kind), secret, ids, at, _index_offset(law, index_offset), sizes, result)
    return result[()] if result.ndim == 0 and out is None else result


def key(seed: int) -> Key:
    """Return the key of a seed.

    Parameters
    ----------
    seed : int
        From 0 to 2**64 - 1. Any two seeds give unrelated streams.

    Returns
    -------
    Key
        The seed is its value.

    Raises
    ------
    TypeError, ValueError
        If the seed is no integer or out of range.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.random.key(42)
    Key(0x000000000000002a)
    """
    return Key(_word64("key", "seed", seed))


def fold_in(key: Key | int, data: int) -> Key:
    """Return a key made from a key and a number: one per layer, per worker, per epoch.

    Parameters
    ----------
    key : Key or int
        The key to start from.
    data : int
        From 0 to 2**64 - 1.

    Returns
    -------
    Key
        Words 0 and 1 of the Philox block {data low, data high, 0, 1} under `key`. It has 64 bits: among 2**32 keys
        folded from one key two are expected to be equal.

    Raises
    ------
    TypeError, ValueError
        If an argument is no integer or out of range.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.random.fold_in(sg.random.key(1), 5) == sg.random.fold_in(sg.random.key(1), 5)
    True
    """
    return Key(_core.derived_key(_own("fold_in", key), _word64("fold_in", "data", data), _FOLD))


def split(key: Key | int, num: int = 2) -> tuple[Key, ...]:
    """Return keys made from a key, unrelated to each other, to it, and to those of `fold_in`.

    Parameters
    ----------
    key : Key or int
        The key to start from.
    num : int, default 2
        How many, not negative.

    Returns
    -------
    tuple of Key
        The first ones are the same whatever `num` is: key i is words 0 and 1 of the Philox block {i low, i high, 0, 2}
        under `key`.

    Raises
    ------
    TypeError, ValueError
        If an argument is no integer or out of range.

    Examples
    --------
    >>> import sorgum as sg
    >>> first, second = sg.random.split(sg.random.key(1))
    >>> first == second
    False
    """
    own, count = _own("split", key), _word64("split", "num", num)
    return tuple(Key(_core.derived_key(own, i, _SPLIT)) for i in range(count))


def _own(function: str, key: object) -> int:
    return key.value if isinstance(key, Key) else _word64(function, "key", key)


def bits(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = np.uint32,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    out: Array | None = None,
) -> Any:
    """Draw words.

    Parameters
    ----------
    shape : int or tuple of int
        The shape of the result; its last axis makes the rows.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    dtype : dtype, default uint32
        uint32 or uint64.
    streams : array_like of int, optional
        An id of 64 bits per row, the shape without its last axis; by default the rows' numbers.
    position : int or array_like of int, default 0
        The step of the sequence, from 0 to 2**64 - 1: one for all rows or one per row.
    index_offset : int, default 0
        The index of the first element of every row, where the array is a part of a longer row.
    out : ndarray, optional
        Where to write: that shape and dtype.

    Returns
    -------
    ndarray or scalar
        Element i of a row is word i: word i mod 4 of philox(row key, {(i / 4) low, (i / 4) high, position low, position
        high}), where the row key is words 0 and 1 of philox(key, {stream low, stream high, purpose, 0}). The purpose is
        0 here, and 1 for words of 64 bits, which are words 2 i + 1 over 2 i.

    Raises
    ------
    TypeError
        If `rng` is None or a dtype is none of the above.
    ValueError
        If a shape does not fit, a number is negative or out of range, or `out` is read-only or overlaps itself.

    Notes
    -----
    Source: Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", 2011 (Philox4x32-10). Row keys
    have 64 bits: among 2**32 streams of one key two are expected to be equal. Tier: bitwise.

    Examples
    --------
    >>> import sorgum as sg
    >>> whole = sg.random.bits((2, 6), rng=0)
    >>> part = sg.random.bits((2, 3), rng=0, index_offset=3)
    >>> bool((whole[:, 3:] == part).all())
    True
    """
    secret, sizes, kind = _key_of("bits", rng), _shape("bits", shape), np.dtype(dtype)
    if kind not in (np.dtype(np.uint32), np.dtype(np.uint64)):
        raise TypeError(f"bits: dtype must be uint32 or uint64, got {kind!r}")
    result = _out("bits", out, sizes, kind)
    wide = kind.itemsize == 8
    ids, at = _place("bits", streams, position)
    encoded = result.view(np.float64 if wide else np.float32)
    _core.noise("bits", wide, secret, ids, at, _index_offset("bits", index_offset), sizes, encoded)
    return result[()] if result.ndim == 0 and out is None else result


def uniform(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = np.float32,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: Array | None = None,
) -> Any:
    """Draw numbers between 0 and 1, neither of which is ever returned.

    Parameters
    ----------
    shape : int or tuple of int
        The shape of the result; its last axis makes the rows.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    dtype : dtype, default float32
        float32 or float64.
    streams, position, index_offset : optional
        Which words are drawn: as in `bits`.
    bits : {32, 64}, optional
        The length of the words; by default that of the dtype.
    out : ndarray, optional
        Where to write: that shape and dtype.

    Returns
    -------
    ndarray or scalar
        v = (w + 1/2) / 2**bits of the word w, rounded to the dtype; words that would give 1 give the number below it.
        From 2**-33 with 32 bits, 2**-65 with 64.

    Raises
    ------
    TypeError, ValueError
        As `bits`.

    Notes
    -----
    Near 0 the numbers lie 2**-bits apart, near 1 as near as the dtype has them. Bound: float64 from 32 bits exact, from
    64 bits 0.5 ULP; float32 0.75 ULP, being rounded twice. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> u = sg.random.uniform(1000, rng=3)
    >>> bool(np.all((u > 0) & (u < 1)))
    True
    """
    return _noise("uniform", shape, rng, dtype, streams, position, index_offset, bits, out)


def exponential(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = np.float32,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: Array | None = None,
) -> Any:
    """Draw exponential numbers of mean 1, never 0: -log(1 - v).

    Parameters
    ----------
    shape : int or tuple of int
        The shape of the result; its last axis makes the rows.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    dtype : dtype, default float32
        float32 or float64.
    streams, position, index_offset : optional
        Which words are drawn: as in `bits`.
    bits : {32, 64}, optional
        The length of the words; by default that of the dtype.
    out : ndarray, optional
        Where to write: that shape and dtype.

    Returns
    -------
    ndarray or scalar
        -log(1 - v) with v = (w + 1/2) / 2**bits: from 2**-33 to 22.87 with 32 bits, from 2**-65 to 45.05 with 64.

    Raises
    ------
    TypeError, ValueError
        As `bits`.

    Notes
    -----
    1 - v is formed from the complement of the word, so that both tails have all their digits. Bound: 3 ULP in float32
    for all 2**32 words. Tier: bitwise.

    Examples
    --------
    >>> import sorgum as sg
    >>> bool(sg.random.exponential(1000, rng=3).min() > 0)
    True
    """
    return _noise("exponential", shape, rng, dtype, streams, position, index_offset, bits, out)


def gumbel(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = np.float32,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: Array | None = None,
) -> Any:
    """Draw standard Gumbel numbers, whose distribution function is exp(-exp(-x)): -log(-log(1 - v)).

    Parameters
    ----------
    shape : int or tuple of int
        The shape of the result; its last axis makes the rows.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    dtype : dtype, default float32
        float32 or float64.
    streams, position, index_offset : optional
        Which words are drawn: as in `bits`.
    bits : {32, 64}, optional
        The length of the words; by default that of the dtype.
    out : ndarray, optional
        Where to write: that shape and dtype.

    Returns
    -------
    ndarray or scalar
        -log(-log(1 - v)) with v = (w + 1/2) / 2**bits. From words of 32 bits: -3.13 to 22.87; of 64: -3.81 to 45.05.

    Raises
    ------
    TypeError, ValueError
        As `bits`.

    Notes
    -----
    The upper tail is where v is small and has all its digits; peers take it from numbers near 1, of which float32 has
    none above 1 - 2**-24, and never exceed 16.64. Bound: 4 ULP of max(abs(g), 1/2) in float32 for all 2**32 words.
    Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> g = sg.random.gumbel((2, 3), rng=0, streams=[7, 8])
    >>> bool(np.all(g[1] == sg.random.gumbel((1, 3), rng=0, streams=[8])))
    True
    """
    return _noise("gumbel", shape, rng, dtype, streams, position, index_offset, bits, out)


def logistic(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = np.float32,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: Array | None = None,
) -> Any:
    """Draw standard logistic numbers, distributed as the difference of two Gumbel numbers: log(v / (1 - v)).

    Parameters
    ----------
    shape : int or tuple of int
        The shape of the result; its last axis makes the rows.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    dtype : dtype, default float32
        float32 or float64.
    streams, position, index_offset : optional
        Which words are drawn: as in `bits`.
    bits : {32, 64}, optional
        The length of the words; by default that of the dtype.
    out : ndarray, optional
        Where to write: that shape and dtype.

    Returns
    -------
    ndarray or scalar
        log(v / (1 - v)) with v = (w + 1/2) / 2**bits: from -22.87 to 22.87 with 32 bits, -45.05 to 45.05 with 64.

    Raises
    ------
    TypeError, ValueError
        As `bits`.

    Notes
    -----
    Bound: 4 ULP of max(abs(x), 1/2) in float32 for all 2**32 words. Tier: bitwise.

    Examples
    --------
    >>> import sorgum as sg
    >>> x = sg.random.logistic(10000, rng=3)
    >>> bool(abs(x.mean()) < 0.1)
    True
    """
    return _noise("logistic", shape, rng, dtype, streams, position, index_offset, bits, out)


_BLOCK = 1 << 18  # elements: a megabyte of float32

# What is known of a row after a part of it: the largest of x + T G as the unevaluated sum value + low, and its index.
_DRAW = np.dtype([("value", np.float64), ("low", np.float64), ("index", np.int64)])
_DRAW_WITH_LOG_PROB = np.dtype([*_DRAW.descr, ("log_prob", np.float64)])


@dataclasses.dataclass(slots=True)
class _Rows:
    """Logits whose categories lie along the last axis, and what goes with each row."""

    logits: Array
    temperature: Array
    where: Array | None
    streams: Array | None
    position: Array

    def _per_row(self, function: str, argument: str, array: Array) -> Array:
        """Return a scalar or an array of the rows' shape."""
        shape = self.logits.shape[:-1]
        if array.shape not in ((), shape, (*shape, 1)):
            rule = f"must be a scalar or have the shape of the rows, {shape}"
            raise ValueError(f"{function}: {argument} {rule}, got shape {array.shape}")
        return array.reshape(shape) if array.ndim else array

    def in_blocks(self, out: Array) -> Iterator[tuple["_Rows", Array]]:
        """Return blocks of rows, which stay in cache between two passes over them, with their part of `out`."""
        shape = self.logits.shape[:-1]
        step = max(1, _BLOCK * shape[0] // max(1, self.logits.size)) if shape else 1
        given = [array for array in (self.streams, self.temperature, self.position) if array is not None and array.ndim]
        if not shape or step >= shape[0] or any(array.shape != shape for array in given):
            yield self, out
            return
        ids = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape) if self.streams is None else self.streams
        t, position = self.temperature, self.position
        for first in range(0, shape[0], step):
            rows = slice(first, first + step)
            part = _Rows(
                self.logits[rows],
                t[rows] if t.ndim else t,
                None if self.where is None else self.where[rows],
                ids[rows],
                position[rows] if position.ndim else position,
            )
            yield part, out[rows]

    def repeated(self, function: str, samples: int) -> "_Rows":
        """Return every row `samples` times, at positions that count up."""
        shape = self.logits.shape[:-1]
        t, at = (
            self._per_row(function, name, array)
            for name, array in (("temperature", self.temperature), ("position", self.position))
        )
        position = np.broadcast_to(at, shape).view(np.uint64)[..., None]
        if samples and position.size and int(position.max()) > 2**64 - samples:
            raise ValueError(f"{function}: position must leave room for {samples} samples, got {int(position.max())}")
        streams = self.streams
        if streams is None:
            streams = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.int64).reshape(shape)
        elif streams.shape != shape:
            raise ValueError(f"{function}: streams must have the shape of the rows, {shape}, got shape {streams.shape}")
        rows = (*shape, samples)
        return _Rows(
            np.broadcast_to(self.logits[..., None, :], (*rows, self.logits.shape[-1])),
            t if t.ndim == 0 else np.broadcast_to(t[..., None], rows),
            None if self.where is None else np.broadcast_to(self.where[..., None, :], (*rows, self.logits.shape[-1])),
            np.broadcast_to(streams[..., None], rows),
            (position + np.arange(samples, dtype=np.uint64)).view(np.int64),
        )


def _rows(
    function: str,
    logits: npt.ArrayLike,
    axis: int,
    temperature: npt.ArrayLike,
    where: npt.ArrayLike | None,
    streams: npt.ArrayLike | None,
    position: npt.ArrayLike,
) -> _Rows:
    x = _floats(function, "logits", logits)
    if not _is_int(axis):
        raise TypeError(f"{function}: axis must be an int, got {axis!r}")
    if x.ndim == 0:
        raise ValueError(f"{function}: logits must have at least one axis, got a scalar")
    at = operator.index(axis)
    if not -x.ndim <= at < x.ndim:
        raise ValueError(f"{function}: axis must be in [{-x.ndim}, {x.ndim}), got {at}")
    rows = x if at in (-1, x.ndim - 1) else np.moveaxis(x, at, -1)
    t, mask = _temperature(function, temperature), _mask(function, where)
    if t.ndim == x.ndim:  # with the axis kept at length 1
        t = np.moveaxis(t, at, -1)
    if mask is not None:
        try:
            mask = np.moveaxis(np.broadcast_to(mask, x.shape), at, -1)
        except ValueError:
            raise ValueError(f"{function}: where must broadcast to shape {x.shape}, got shape {mask.shape}") from None
    return _Rows(rows, t, mask, *_place(function, streams, position))


def _draw(
    function: str, rows: _Rows, key: int, index_offset: int, *, inverse: bool = False, log_prob: bool = False
) -> Array:
    """Return a structured array of the rows' shape."""
    out = np.empty((*rows.logits.shape[:-1], 4))
    _core.draw(
        function,
        rows.logits,
        rows.temperature,
        rows.where,
        key,
        rows.streams,
        rows.position,
        _index_offset(function, index_offset),
        out,
        inverse,
        log_prob,
    )
    drawn: Array = out.view(_DRAW_WITH_LOG_PROB)[..., 0]
    return drawn


def _refuse_invalid(function: str, invalid: Array, spoilt: Array) -> None:
    if not invalid.any():
        return
    row = tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(invalid)))
    if np.atleast_1d(spoilt)[row]:
        raise ValueError(f"{function}: logits must hold neither NaN nor +inf, got one in row {row}")
    raise ValueError(f"{function}: logits must have an element above -inf in every row, got none in row {row}")


def categorical(
    logits: npt.ArrayLike,
    *,
    rng: Rng,
    axis: int = -1,
    temperature: npt.ArrayLike = 1.0,
    where: npt.ArrayLike | None = None,
    num_samples: int | None = None,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    method: Literal["gumbel", "inverse"] = "gumbel",
    on_invalid: Literal["raise", "minus_one"] = "raise",
    return_log_prob: bool = False,
) -> Any:
    """Draw a category per row with probabilities softmax(logits / T).

    Parameters
    ----------
    logits : array_like
        Unnormalised logarithms of probabilities, any shape with at least one axis; float32, float64, or bool and
        integers, which become float64. -inf is probability 0.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    axis : int, default -1
        The axis of the categories; the others number the rows, in C order.
    temperature : float or array_like, default 1.0
        T, from 0 to 2**900: a scalar or one per row. 0 is the largest logit, the first of equal ones.
    where : array_like of bool, optional
        Broadcast to `logits`. A category where it is False is absent, whatever its logit.
    num_samples : int, optional
        Draw so often from each row: sample s is what `position` + s gives. The result has one more axis, the last.
    streams : array_like of int, optional
        An id of 64 bits per row, of the rows' shape; by default the rows' numbers. A request that keeps its id draws
        the same in any batch.
    position : int or array_like of int, default 0
        The step of the sequence: one for all rows or one per row.
    index_offset : int, default 0
        The index of the first category, where `logits` is a shard of a vocabulary; the result counts from it.
    method : {"gumbel", "inverse"}, default "gumbel"
        "gumbel": the largest of x + T G, where G is the Gumbel number of key, stream, position and index: what `gumbel`
        returns with ``dtype=np.float64, bits=32``. "inverse": a chunk of 4096 categories by one word, a category in it
        by another; it needs no noise per category, and what it draws depends on the whole row.
    on_invalid : {"raise", "minus_one"}, default "raise"
        What becomes of a row with NaN or +inf, or without any element above -inf: a ValueError or -1.
    return_log_prob : bool, default False
        Return the logarithm of the probability of what was drawn beside it.

    Returns
    -------
    ndarray or scalar of int64, or a pair of it and float64
        The rows' shape, then `num_samples`.

    Raises
    ------
    TypeError
        If `rng` is None or a dtype is none of the above.
    ValueError
        If a row is invalid, T is out of range, a shape does not fit, or an option is unknown.

    Notes
    -----
    argmax(x + T G) has the law softmax(x / T) (Maddison, Tarlow and Minka, "A* Sampling", 2014). The sums are compared
    exactly, as unevaluated sums of two float64, so that logits of any size draw as they should; the lowest index wins
    among equal ones. One pass over the logits, no noise in memory, and logarithms for the few elements only that could
    win. The numbers G go up to 22.87: a category that lies more than 26 T below another is not drawn. Shards merge
    exactly: `gumbel_partial`, `gumbel_merge`.

    By inversion, chunks are chosen by their sums as `softmax` has them, categories by their weights, both rounded to
    integers: one of no probability weighs nothing. A weight below 2**-50 of its chunk's largest counts as none. There
    is no promise for shards.

    log_prob: log_softmax of the logits given, as accurate as `log_softmax`; 0 where T is 0. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> logits = np.array([[2.0, 1.0, 0.0], [-np.inf, 1.0, 1.0]])
    >>> tokens = sg.random.categorical(logits, rng=0, streams=[41, 42], position=7)
    >>> bool(tokens[1] == sg.random.categorical(logits[1], rng=0, streams=42, position=7))
    True
    >>> sg.random.categorical(logits, rng=0, num_samples=10000).mean(-1).round(1)
    array([0.4, 1.5])
    """
    secret, rows = (
        _key_of("categorical", rng),
        _rows("categorical", logits, axis, temperature, where, streams, position),
    )
    if method not in ("gumbel", "inverse"):
        raise ValueError(f"categorical: method must be 'gumbel' or 'inverse', got {method!r}")
    if on_invalid not in ("raise", "minus_one"):
        raise ValueError(f"categorical: on_invalid must be 'raise' or 'minus_one', got {on_invalid!r}")
    if num_samples is not None:
        rows = rows.repeated("categorical", _word64("categorical", "num_samples", num_samples))
    drawn = _draw("categorical", rows, secret, index_offset, inverse=method == "inverse", log_prob=return_log_prob)
    if on_invalid == "raise":
        _refuse_invalid("categorical", drawn["index"] < 0, np.isnan(drawn["value"]))
    index = np.ascontiguousarray(drawn["index"]).reshape(drawn.shape)[()]
    return (index, np.ascontiguousarray(drawn["log_prob"]).reshape(drawn.shape)[()]) if return_log_prob else index


def gumbel_partial(
    logits: npt.ArrayLike,
    *,
    rng: Rng,
    axis: int = -1,
    temperature: npt.ArrayLike = 1.0,
    where: npt.ArrayLike | None = None,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
) -> Array:
    """Do a shard's part of `categorical`: the largest of x + T G among these categories, and where it is.

    Parameters
    ----------
    logits : array_like
        The shard: some of the categories of every row.
    rng : Key, int or numpy.random.Generator
        A key or its seed. A Generator would draw another key for every shard.
    axis, temperature, where, streams, position : optional
        As in `categorical`; the same for every shard.
    index_offset : int, default 0
        The index of the shard's first category in the whole row.

    Returns
    -------
    structured ndarray
        The rows' shape; fields "value" and "low" (float64, an unevaluated sum) and "index" (int64). Without any element
        above -inf: value -inf and index -1; with NaN or +inf: value NaN and index -1. Merge with `gumbel_merge`, in any
        order.

    Raises
    ------
    TypeError, ValueError
        As `categorical`, but that no row is invalid.

    Notes
    -----
    The value is T times a Gumbel number shifted by logsumexp(logits / T). Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> logits = np.linspace(-2, 2, 1000)
    >>> shards = [sg.random.gumbel_partial(logits[i : i + 300], rng=3, index_offset=i) for i in (900, 0, 600, 300)]
    >>> merged = sg.random.gumbel_merge(np.stack(shards), axis=0)
    >>> bool(merged["index"] == sg.random.categorical(logits, rng=3))
    True
    """
    secret = _key_of("gumbel_partial", rng)
    rows = _rows("gumbel_partial", logits, axis, temperature, where, streams, position)
    drawn = _draw("gumbel_partial", rows, secret, index_offset)
    result = np.empty(drawn.shape, _DRAW)
    for name in _DRAW.names or ():
        result[name] = drawn[name]
    return result


def gumbel_merge(partials: Array, axis: int = 0) -> Any:
    """Merge what `gumbel_partial` found in the shards of rows.

    Parameters
    ----------
    partials : structured ndarray
        Results of `gumbel_partial` with an axis of shards, in any order.
    axis : int, default 0
        The axis of shards.

    Returns
    -------
    structured ndarray
        Without that axis: what `gumbel_partial` finds in the whole rows, bit for bit.

    Raises
    ------
    TypeError
        If the array is not what `gumbel_partial` returns.
    ValueError
        If the axis is out of range.

    Notes
    -----
    Of equal sums the lowest index wins; NaN wins over all. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> parts = np.stack([sg.random.gumbel_partial([0.0, 1.0], rng=3, index_offset=i) for i in (0, 2)])
    >>> bool(sg.random.gumbel_merge(parts)["index"] == sg.random.categorical([0.0, 1.0, 0.0, 1.0], rng=3))
    True
    """
    if not isinstance(partials, np.ndarray) or partials.dtype != _DRAW:
        found = partials.dtype if isinstance(partials, np.ndarray) else type(partials).__name__
        raise TypeError(f"gumbel_merge: partials must be a structured array of gumbel_partial, got {found}")
    if not _is_int(axis):
        raise TypeError(f"gumbel_merge: axis must be an int, got {axis!r}")
    if not -partials.ndim <= operator.index(axis) < partials.ndim:
        raise ValueError(f"gumbel_merge: axis must be in [{-partials.ndim}, {partials.ndim}), got {axis}")
    parts = np.moveaxis(partials, axis, 0)
    value, low, index = (parts[name] for name in ("value", "low", "index"))
    spoilt = np.isnan(value).any(axis=0)
    some = index >= 0
    largest = np.max(value, axis=0, initial=-np.inf, where=some)
    some = some & (value == largest)
    rest = np.max(low, axis=0, initial=-np.inf, where=some)
    some = some & (low == rest)
    last = np.iinfo(np.int64).max
    first = np.min(index, axis=0, initial=last, where=some)
    none = spoilt | (first == last)
    result = np.empty(parts.shape[1:], _DRAW)
    result["value"] = np.where(spoilt, np.nan, largest)
    result["low"] = np.where(none, 0.0, rest)
    result["index"] = np.where(none, -1, first)
    return result[()]


class TopK(NamedTuple):
    """What `gumbel_top_k` returns.

    Attributes
    ----------
    indices : ndarray of int64
        The rows' shape and k: the categories, in the order of the draw.
    perturbed : ndarray of float64
        The same shape: their x + G, descending.
    threshold : ndarray of float64
        The rows' shape: the largest x + G of those not drawn, -inf if there is none.
    """

    indices: Any
    perturbed: Any
    threshold: Any


def gumbel_top_k(
    logits: npt.ArrayLike,
    k: int,
    *,
    rng: Rng,
    axis: int = -1,
    where: npt.ArrayLike | None = None,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    on_invalid: Literal["raise", "minus_one"] = "raise",
) -> TopK:
    """Draw k categories per row without replacement, in order.

    Parameters
    ----------
    logits : array_like
        As in `categorical`.
    k : int
        How many, from 0 to the number of categories.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    axis, where, streams, position, index_offset : optional
        As in `categorical`.
    on_invalid : {"raise", "minus_one"}, default "raise"
        What becomes of a row with NaN or +inf: a ValueError, or indices of -1 and NaN.

    Returns
    -------
    TopK
        indices, perturbed and threshold. Where fewer than k categories are above -inf, the rest of the row has index -1
        and -inf.

    Raises
    ------
    TypeError, ValueError
        As `categorical`; and if k is out of range.

    Notes
    -----
    The k largest x + G make an ordered sample without replacement (Kool, van Hoof and Welling, "Stochastic Beams and
    Where to Find Them", 2019, section 2): P(i1, ..., ik) = prod softmax(x over what is left)[ij]. The first is what
    `categorical` draws with the same arguments. The sums are compared exactly; perturbed has them rounded to float64.
    With the threshold, q = -expm1(-exp(x - threshold)) is the probability of inclusion that importance weights divide
    by (there, section 4.2; x normalised). Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> drawn = sg.random.gumbel_top_k([0.0, 1.0, 2.0, -np.inf], 3, rng=1)
    >>> sorted(drawn.indices.tolist())
    [0, 1, 2]
    >>> bool(drawn.indices[0] == sg.random.categorical([0.0, 1.0, 2.0, -np.inf], rng=1))
    True
    """
    secret = _key_of("gumbel_top_k", rng)
    rows = _rows("gumbel_top_k", logits, axis, 1.0, where, streams, position)
    if on_invalid not in ("raise", "minus_one"):
        raise ValueError(f"gumbel_top_k: on_invalid must be 'raise' or 'minus_one', got {on_invalid!r}")
    if not _is_int(k):
        raise TypeError(f"gumbel_top_k: k must be an int, got {type(k).__name__}")
    most, length = operator.index(k) + 1, rows.logits.shape[-1]
    if not 0 < most <= length + 1:
        raise ValueError(f"gumbel_top_k: k must be in [0, {length}], got {most - 1}")
    out = np.empty((*rows.logits.shape[:-1], 3 * most))
    offset = _index_offset("gumbel_top_k", index_offset)
    _core.gumbel_top("gumbel_top_k", rows.logits, rows.where, most, secret, rows.streams, rows.position, offset, out)
    drawn = out.view(_DRAW)
    spoilt = np.isnan(drawn["value"][..., -1])
    if on_invalid == "raise":
        _refuse_invalid("gumbel_top_k", spoilt, spoilt)
    kept = drawn[..., :-1]
    return TopK(kept["index"].copy(), kept["value"].copy(), drawn["value"][..., -1].copy()[()])


def gumbel_softmax(
    logits: npt.ArrayLike,
    *,
    rng: Rng,
    temperature: npt.ArrayLike = 1.0,
    hard: bool = False,
    axis: int = -1,
    where: npt.ArrayLike | None = None,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    out: Array | None = None,
) -> Array:
    """Draw from the Gumbel-softmax (Concrete) distribution: softmax((logits + G) / temperature).

    Parameters
    ----------
    logits : array_like
        As in `categorical`.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    temperature : float or array_like, default 1.0
        Positive and finite: a scalar or one per row. It divides the noise, too, unlike that of `categorical`.
    hard : bool, default False
        Return the one-hot row of the category that `categorical` draws from these logits at temperature 1: what a
        straight-through estimator passes forward. Exactly one 1, the rest 0.
    axis : int, default -1
        The axis of the categories.
    where : array_like of bool, optional
        Broadcast to `logits`. A category where it is False is absent: its result is 0.
    streams, position, index_offset : optional
        As in `categorical`.
    out : ndarray, optional
        Where to write: the shape of `logits` and the dtype of the result; may be `logits` itself.

    Returns
    -------
    ndarray
        The shape of `logits`, float32 or float64. Rows with NaN or +inf, or without any element above -inf, are NaN.

    Raises
    ------
    TypeError, ValueError
        As `categorical`, but that no row is invalid; and if the temperature is not positive and finite.

    Notes
    -----
    Jang, Gu and Poole, "Categorical Reparameterization with Gumbel-Softmax", 2017, equation 2; Maddison, Mnih and Teh,
    "The Concrete Distribution", 2017. G is what `gumbel` returns with the dtype of the result and ``bits=32``; x + G is
    rounded once, then `softmax` has its own bound. The largest element is distributed as softmax(logits) at every
    temperature. As torch.nn.functional.gumbel_softmax, whose tau is the temperature. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> y = sg.random.gumbel_softmax(np.float32([[0.0, 1.0, 2.0]]), rng=2, temperature=0.5)
    >>> bool(abs(y.sum() - 1) < 1e-6)
    True
    >>> sg.random.gumbel_softmax(np.float32([[0.0, 9.0, -9.0]]), rng=2, hard=True)
    array([[0., 1., 0.]], dtype=float32)
    """
    secret = _key_of("gumbel_softmax", rng)
    x = _apart(_floats("gumbel_softmax", "logits", logits), out)
    rows = _rows("gumbel_softmax", x, axis, temperature, where, streams, position)
    t = rows.temperature
    good = (t > 0) & (t < np.inf)
    if not np.all(good):
        raise ValueError(f"gumbel_softmax: temperature must be positive and finite, got {float(t[~good].flat[0])}")
    result = _out("gumbel_softmax", out, x.shape, x.dtype)
    if result.shape != x.shape:
        raise ValueError(f"gumbel_softmax: out must have shape {x.shape}, got {result.shape}")
    moved = np.moveaxis(result, axis, -1)
    if hard:
        rows.temperature = np.array(1.0)
        index = _draw("gumbel_softmax", rows, secret, index_offset)["index"]
        if index_offset:
            index = np.where(index < 0, index, index - index_offset)
        moved[...] = np.where(index < 0, np.nan, 0.0)[..., None]
        if moved.shape[-1]:
            np.put_along_axis(moved, np.maximum(index, 0)[..., None], np.where(index < 0, np.nan, 1.0)[..., None], -1)
        return result
    offset = _index_offset("gumbel_softmax", index_offset)
    for part, to in rows.in_blocks(moved):
        _core.gumbel_add("gumbel_softmax", part.logits, secret, part.streams, part.position, offset, to)
        softmax(to, temperature=part.temperature, where=part.where, out=to)
    return result

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
from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from sorgum import _core

__all__ = ["Key", "bits", "exponential", "fold_in", "gumbel", "key", "logistic", "split", "uniform"]

Array: TypeAlias = npt.NDArray[Any]
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


def _word64(function: str, argument: str, value: object) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, SupportsIndex):
        raise TypeError(f"{function}: {argument} must be an int, got {type(value).__name__}")
    number = operator.index(value)
    if not 0 <= number < 2**64:
        raise ValueError(f"{function}: {argument} must be in [0, 2**64), got {number}")
    return number


def _key_of(function: str, rng: object) -> int:
    """Return the 64 bits of a Key, an int seed, or the next word of a NumPy Generator."""
    if isinstance(rng, Key):
        return rng.value
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(0, 2**64, dtype=np.uint64))
    if rng is None or isinstance(rng, bool | np.bool_) or not isinstance(rng, SupportsIndex):
        raise TypeError(f"{function}: rng must be a Key, an int seed or a numpy Generator, got {type(rng).__name__}")
    return _word64(function, "rng", rng)


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
    if isinstance(value, bool | np.bool_) or not isinstance(value, SupportsIndex):
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
        return np.empty(shape, dtype)
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
    rng: Key | int | np.random.Generator,
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
    rng: Key | int | np.random.Generator,
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
    rng: Key | int | np.random.Generator,
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
    rng: Key | int | np.random.Generator,
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
    rng: Key | int | np.random.Generator,
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

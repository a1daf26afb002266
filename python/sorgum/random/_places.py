"""Where noise is drawn: shapes, streams, positions and indices as the kernels take them."""

import math
import operator
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum.interop import bfloat16
from sorgum.interop.arrays import kind_of, refuse_unless_plain, shown
from sorgum.random._keys import _is_int, _word64
from sorgum.runtime import _empty
from sorgum.special import _floats as _stored
from sorgum.special import _on_cuda, _plain

__all__ = ["Array", "Shape"]

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = SupportsIndex | tuple[SupportsIndex, ...]

_MOST_AXES = 64  # of NumPy's arrays
_FIRST = np.array(0, dtype=np.int64)
_FIRST.flags.writeable = False


def _shape(function: str, shape: object) -> tuple[int, ...]:
    items = shape if isinstance(shape, tuple | list) else (shape,)
    if not all(map(_is_int, items)):
        raise TypeError(f"{function}: shape must be an int or a tuple of ints, got {shown(shape)}")
    sizes = tuple(operator.index(n) for n in items)
    if any(n < 0 for n in sizes):
        raise ValueError(f"{function}: shape must not be negative, got {shown(shape)}")
    return _addressable(function, "shape", sizes)


def _addressable(function: str, argument: str, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape that NumPy can make an array of, if there is memory."""
    if len(sizes) > _MOST_AXES:
        raise ValueError(f"{function}: {argument} must have at most {_MOST_AXES} axes, got {len(sizes)}")
    if math.prod(max(n, 1) for n in sizes) >= 2**59:
        raise ValueError(f"{function}: {argument} must come to fewer than 2**59 elements, got shape {shown(sizes)}")
    return sizes


def _integers(function: str, argument: str, value: npt.ArrayLike) -> Array:
    """Return an int64 array of the same 64 bits as the integers given, none of which may be negative."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = np.array(_word64(function, argument, value), dtype=np.uint64)
    array = _plain(function, argument, value)
    if array.dtype.kind in "fO" and not isinstance(value, np.ndarray):  # NumPy's idea of integers beyond 2**63
        items = np.asarray(value, dtype=object)
        if all(map(_is_int, items.flat)):
            array = np.array([_word64(function, argument, i) for i in items.flat], np.uint64).reshape(items.shape)
    if array.dtype.kind not in "iu":
        got = bfloat16.text(array.dtype)
        raise TypeError(f"{function}: {argument} must be an integer or an array of them, got dtype {got}")
    if array.dtype.kind == "i" and array.size and int(array.min()) < 0:
        raise ValueError(f"{function}: {argument} must not be negative, got {int(array.min())}")
    return array.astype(np.uint64).view(np.int64)


def _whole_numbers(function: str, argument: str, value: npt.ArrayLike) -> Array:
    """Return `value` as an array of integers."""
    array = _plain(function, argument, value)
    if array.size == 0 and not isinstance(value, np.ndarray):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        got = bfloat16.text(array.dtype)
        raise TypeError(f"{function}: {argument} must be an array of integers, got dtype {got}")
    return array


def _any_floats(function: str, argument: str, value: npt.ArrayLike) -> Array:
    """Return `value` as an array of a floating-point type, which may be a half type."""
    if _on_cuda(value):
        raise TypeError(
            f"{function}: {argument} must be on the CPU, got an array on a CUDA device, where there is no {function}"
        )
    return _stored(function, argument, value)


def _is_half(dtype: np.dtype[Any]) -> bool:
    return dtype == np.float16 or bfloat16.is_bfloat16(dtype)


def _widened(array: Array) -> Array:
    """Return an array of a half type as float32, exactly; any other as it is."""
    if not _is_half(array.dtype):
        return array
    single = np.empty(array.shape, np.float32)
    _core.random.convert(array, single)  # NumPy's own conversions take many times as long
    return single


def _rounded(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return float32 or float64 numbers in a floating-point type; in a half type those of float32, rounded."""
    with np.errstate(over="ignore", invalid="ignore"):
        if not _is_half(dtype):
            return array.astype(dtype, copy=False)
        single = np.asarray(array, np.float32)  # NumPy's operations make scalars of arrays without axes
    result = np.empty(single.shape, dtype)
    _core.random.convert(single, result)
    return result


def _floats(function: str, argument: str, value: npt.ArrayLike) -> Array:
    """Return `value` as a float32 or float64 array; half types count as float32."""
    return _widened(_any_floats(function, argument, value))


def _index_offset(function: str, value: object) -> int:
    if not _is_int(value):
        raise TypeError(f"{function}: index_offset must be an int, got {kind_of(value)}")
    return max(-1, min(2**63 - 1, operator.index(value)))  # one that is out of range is refused where the others are


def _place(function: str, streams: npt.ArrayLike | None, position: npt.ArrayLike) -> tuple[Array | None, Array]:
    """Return the ids and the positions of rows, each as 64 bits."""
    ids = None if streams is None else _integers(function, "streams", streams)
    if type(position) is int and position == 0:
        return ids, _FIRST
    return ids, _integers(function, "position", position)


def _axis(function: str, axis: object, ndim: int) -> int:
    if not _is_int(axis):
        raise TypeError(f"{function}: axis must be an int, got {shown(axis)}")
    at = operator.index(axis)
    if not -ndim <= at < ndim:
        raise ValueError(f"{function}: axis must be in [{-ndim}, {ndim}), got {shown(at)}")
    return at


def _pair(function: str, argument: str, value: object) -> tuple[float, float]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{function}: {argument} must be a pair of real numbers, got {shown(value)}")
    low, high = (_number(function, argument, end) for end in value)
    return low, high


def _number(function: str, argument: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{function}: {argument} must be a real number, got {kind_of(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{function}: {argument} must be in the range of float64, got an int beyond it") from None


def _option(function: str, argument: str, value: object, first: str, second: str) -> None:
    """Refuse what is neither of two strings."""
    if not isinstance(value, str):
        raise TypeError(f"{function}: {argument} must be a string, got {shown(value)}")
    if value not in (first, second):
        raise ValueError(f"{function}: {argument} must be {first!r} or {second!r}, got {shown(value)}")


def _one_nan(array: Array) -> Array:
    """Return the array with the one NaN that results may have (N10 in docs/numerics.md): arithmetic keeps any."""
    return np.asarray(np.where(np.isnan(array), np.nan, array), dtype=array.dtype)


def _out(function: str, out: Array | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    if out is None:
        return _empty(shape, dtype)
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"{function}: out must be a numpy array, got {kind_of(out)}")
    refuse_unless_plain(f"{function}: out", type(out))
    if out.dtype != dtype:
        wanted, got = bfloat16.name(dtype), bfloat16.name(out.dtype)
        raise TypeError(f"{function}: out must have dtype {wanted}, got {got}")
    return out

"""Arrays of numbers, temperatures and masks, by the dtype policies of all families."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sorgum._arguments.scalars import word64_of
from sorgum.interop import bfloat16
from sorgum.interop.arrays import is_int, plain
from sorgum.interop.views import view_of

Array: TypeAlias = npt.NDArray[Any]

NUMBERS_OF_PYTHON = (bool, int, float)  # they have no type beside an array; float64's scalars are of a subclass
_OF_NUMPY = (np.ndarray, np.generic)
UNIT_TEMPERATURE = np.array(1.0)
UNIT_TEMPERATURE.flags.writeable = False


def floats_of(function: str, argument: str, value: npt.ArrayLike) -> Array:
    """Return `value` as an array of a floating-point type, which may be a half type; integers become float64.

    Arrays of other libraries come here as items of sequences, which the door does not look into.
    """
    if type(value) is not np.ndarray and hasattr(type(value), "__dlpack__") and not isinstance(value, _OF_NUMPY):
        value = _on_cpu(f"{function}: {argument}", value)
    array = plain(function, argument, value)
    dtype = array.dtype
    if dtype.kind in "biu":
        return array.astype(np.float64)
    if dtype.kind == "f" and dtype.itemsize <= 8 and dtype.isnative:
        return array
    if bfloat16.is_bfloat16(dtype):
        return array
    raise TypeError(
        f"{function}: {argument} must be float16, bfloat16, float32, float64, bool or integer, got dtype "
        f"{bfloat16.text(dtype)}"
    )


def _on_cpu(owner: str, value: object) -> Array:
    view = view_of(owner, value)
    if view is None:
        raise TypeError(f"{owner} must be on the CPU, got an array on a CUDA device")
    return view


def compact(array: Array) -> Array:
    """Return an array that is contiguous in C order, at an address that fits its elements."""
    return np.ascontiguousarray(array) if is_at_home(array) else np.array(array, order="C")


def is_at_home(array: Array) -> bool:
    """Return whether the address is a multiple of the size; NumPy's own flag is always set for bits of bfloat16."""
    return bool(array.__array_interface__["data"][0] % array.itemsize == 0)


def float64s_of(function: str, argument: str, value: npt.ArrayLike) -> Array:
    """Return `value` as a new array of float64."""
    array = bfloat16.widened(plain(function, argument, value))
    if array.dtype.kind not in "fiu":
        got = bfloat16.text(array.dtype)
        raise TypeError(f"{function}: {argument} must be a real number or an array of them, got dtype {got}")
    with np.errstate(over="ignore", invalid="ignore"):  # of long doubles
        return array.astype(np.float64)


def temperature_of(function: str, value: npt.ArrayLike) -> Array:
    if isinstance(value, float) and value == 1.0:
        return UNIT_TEMPERATURE
    return float64s_of(function, "temperature", value)


def mask_of(function: str, value: npt.ArrayLike | None) -> Array | None:
    if value is None:
        return None
    array = plain(function, "where", value)
    if array.dtype != np.bool_:
        raise TypeError(f"{function}: where must be boolean, got dtype {bfloat16.text(array.dtype)}")
    return array


def integers_of(function: str, argument: str, value: npt.ArrayLike) -> Array:
    """Return `value` as an array of integers."""
    array = plain(function, argument, value)
    if array.size == 0 and not isinstance(value, np.ndarray):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        got = bfloat16.text(array.dtype)
        raise TypeError(f"{function}: {argument} must be an array of integers, got dtype {got}")
    return array


def words64_of(function: str, argument: str, value: npt.ArrayLike) -> Array:
    """Return an int64 array of the same 64 bits as the integers given, none of which may be negative."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = np.array(word64_of(function, argument, value), dtype=np.uint64)
    array = plain(function, argument, value)
    if array.dtype.kind in "fO" and not isinstance(value, np.ndarray):  # NumPy's idea of integers beyond 2**63
        items = np.asarray(value, dtype=object)
        if all(map(is_int, items.flat)):
            array = np.array([word64_of(function, argument, i) for i in items.flat], np.uint64).reshape(items.shape)
    if array.dtype.kind not in "iu":
        got = bfloat16.text(array.dtype)
        raise TypeError(f"{function}: {argument} must be an integer or an array of them, got dtype {got}")
    if array.dtype.kind == "i" and array.size and int(array.min()) < 0:
        raise ValueError(f"{function}: {argument} must not be negative, got {int(array.min())}")
    return array.astype(np.uint64).view(np.int64)


def in_common_type(first: Array, second: Array, given: Any) -> tuple[Array, Array]:
    """Return both in the common type of the first and of what was given as the second; a number of Python has none."""
    if first.dtype == second.dtype:
        return first, second
    is_number = type(given) in NUMBERS_OF_PYTHON
    if is_number and bfloat16.is_bfloat16(first.dtype):
        return first, bfloat16.rounded(second, first.dtype)
    first, second = bfloat16.widened(first), bfloat16.widened(second)
    dtype = np.result_type(first.dtype, given if is_number else bfloat16.widened(given).dtype)
    with np.errstate(all="ignore"):  # of a number that the type cannot hold, or a NaN that signals
        return first.astype(dtype, copy=False), second.astype(dtype, copy=False)


def common_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape to which both broadcast; NumPy's own function stops at 32 axes."""
    longest = max(len(a), len(b))
    pairs = list(zip((1,) * (longest - len(a)) + a, (1,) * (longest - len(b)) + b, strict=True))
    if not all(m == n or 1 in (m, n) for m, n in pairs):
        raise ValueError
    return tuple(n if m == 1 else m for m, n in pairs)


def broadcast_to(array: Array, shape: tuple[int, ...]) -> Array:
    """Return a view of that shape; NumPy's own function stops at 32 axes."""
    more = len(shape) - array.ndim
    if more < 0 or any(n not in (1, m) for n, m in zip(array.shape, shape[more:], strict=True)):
        raise ValueError
    strides = (0,) * more + tuple(0 if n == 1 else s for n, s in zip(array.shape, array.strides, strict=True))
    return np.lib.stride_tricks.as_strided(array, shape, strides, writeable=False)

"""Half types as float32 and back: the same values, and those of float32 rounded."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum._arguments.arrays import Array, floats_of
from sorgum.interop import bfloat16


def wide_floats_of(function: str, argument: str, value: npt.ArrayLike) -> Array:
    """Return `value` as a float32 or float64 array; half types count as float32."""
    return widened(floats_of(function, argument, value))


def widened(array: Array) -> Array:
    """Return an array of a half type as float32, exactly; any other as it is."""
    if not _is_half(array.dtype):
        return array
    single = np.empty(array.shape, np.float32)
    _core.convert(array, single)  # NumPy's own conversions take many times as long
    return single


def rounded_to(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return float32 or float64 numbers in a floating-point type; in a half type those of float32, rounded."""
    with np.errstate(over="ignore", invalid="ignore"):
        if not _is_half(dtype):
            return array.astype(dtype, copy=False)
        single = np.asarray(array, np.float32)  # NumPy's operations make scalars of arrays without axes
    result = np.empty(single.shape, dtype)
    _core.convert(single, result)
    return result


def _is_half(dtype: np.dtype[Any]) -> bool:
    return dtype == np.float16 or bfloat16.is_bfloat16(dtype)

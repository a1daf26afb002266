"""Where results go, and what is returned."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum._arguments.arrays import UNIT_TEMPERATURE, Array
from sorgum.interop import bfloat16
from sorgum.interop.arrays import kind_of, refuse_unless_plain, shown


def new_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return a new array for a result, in pooled memory if it is large."""
    nbytes = math.prod(shape) * dtype.itemsize
    try:
        if not _core.POOLED_FROM <= nbytes < 2**63:
            return np.empty(shape, dtype)
        return _core.pooled(nbytes).view(dtype).reshape(shape)
    except MemoryError:
        raise MemoryError(f"no memory for a result of shape {shape} and dtype {dtype}, {nbytes} bytes") from None


def result_for(function: str, out: Array | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return where the result goes: a new array, or `out`, whose shape and dtype are checked where it is written."""
    if out is None:
        return new_array(shape, dtype)
    if type(out) is np.ndarray:  # the common case, quickly
        return out
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"{function}: out must be a numpy array, got {kind_of(out)}")
    refuse_unless_plain(f"{function}: out", type(out))
    return out


def result_of_dtype(function: str, out: Array | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return the same, `out` only if it has that dtype: it is seen otherwise before it is written, or by NumPy."""
    result = result_for(function, out, shape, dtype)
    if result.dtype != dtype:
        wanted, got = bfloat16.name(dtype), bfloat16.name(result.dtype)
        raise TypeError(f"{function}: out must have dtype {wanted}, got {got}")
    return result


def result_of_asked_dtype(
    function: str, out: Array | None, shape: tuple[int, ...], dtype: npt.DTypeLike | None, computed: np.dtype[Any]
) -> Array:
    """Return the same, of the dtype that is asked for; where none is, that of `out` decides."""
    wanted = asked_dtype(function, dtype, computed)
    result = result_for(function, out, shape, wanted)
    if result is out:
        known = _dtypes(computed) if dtype is None else [bfloat16.name(wanted)]
        got = bfloat16.name(result.dtype)
        if got not in known:
            raise TypeError(f"{function}: out must have dtype {' or '.join(known)}, got {got}")
    return result


def asked_dtype(function: str, dtype: Any, computed: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of a result of type `computed` unless another is asked for."""
    if dtype is None:
        return computed
    # PyTorch's own types are none of NumPy's, nor is bfloat16 without ml_dtypes.
    given = str(dtype).removeprefix("torch.") if kind_of(dtype) == "torch.dtype" else dtype
    try:
        name = given if isinstance(given, str) and given == "bfloat16" else bfloat16.name(np.dtype(given))
    except (TypeError, ValueError):
        name = None
    known = _dtypes(computed)
    if name not in known:
        raise TypeError(f"{function}: dtype must be {' or '.join(known)}, got {shown(dtype)}")
    return computed if name == known[0] else np.dtype(np.float32)


def _dtypes(computed: np.dtype[Any]) -> list[str]:
    """Return the names of the types that a result of that type may have: float32, too, instead of a half type."""
    return [bfloat16.name(computed), *(["float32"] if computed.itemsize == 2 else [])]


def apart(array: Array, out: Array | None) -> Array:
    """Return a copy of `array` where writing `out` would disturb what is still to be read."""
    if out is None or array is out or array is UNIT_TEMPERATURE:
        return array
    if not isinstance(out, np.ndarray) or not np.may_share_memory(array, out):
        return array
    same = (
        array.ctypes.data == out.ctypes.data
        and array.shape == out.shape
        and array.strides == out.strides
        and array.dtype == out.dtype
    )
    return array if same else array.copy()


def returned(array: Array, out: Array | None) -> Any:
    """Return the array, or a scalar where NumPy would return one."""
    return array[()] if array.ndim == 0 and out is None else array


def one_nan(array: Array) -> Array:
    """Return the array with the one NaN that results may have (N10 in docs/numerics.md): arithmetic keeps any."""
    return np.asarray(np.where(np.isnan(array), np.nan, array), dtype=array.dtype)

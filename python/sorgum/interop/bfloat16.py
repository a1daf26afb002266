"""bfloat16 where ml_dtypes, which has the type that NumPy lacks, was not imported: arrays of its bits."""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum import _core

__all__ = ["bits", "dtype", "is_bfloat16", "name", "rounded", "text", "widened"]

bits = np.dtype([("bfloat16", "=u2")])
"""The type of such arrays."""


def dtype() -> np.dtype[Any]:
    """Return the type that stands for bfloat16 now.

    Returns
    -------
    dtype
        That of ml_dtypes if it was imported, else `bits`.

    Examples
    --------
    >>> from sorgum.interop import bfloat16
    >>> bfloat16.dtype().itemsize
    2
    """
    types = sys.modules.get("ml_dtypes")
    return bits if types is None else np.dtype(types.bfloat16)


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Return whether a type is that of ml_dtypes, which the extension module then knows from now on, or `bits`.

    Parameters
    ----------
    dtype : dtype
        Any.

    Returns
    -------
    bool
        Whether arrays of it hold bfloat16.

    Examples
    --------
    >>> import numpy as np
    >>> from sorgum.interop import bfloat16
    >>> bfloat16.is_bfloat16(bfloat16.dtype()), bfloat16.is_bfloat16(np.dtype(np.float16))
    (True, False)
    """
    if dtype.kind != "V":
        return False
    if dtype == bits:
        return True
    types = sys.modules.get("ml_dtypes")
    if types is None or dtype != types.bfloat16:
        return False
    _core.set_bfloat16_type(dtype.num)
    return True


def name(dtype: np.dtype[Any]) -> str:
    """Return the name of a type: as NumPy has it, and bfloat16's.

    Parameters
    ----------
    dtype : dtype
        Any.

    Returns
    -------
    str
        "float32", "bfloat16".

    Examples
    --------
    >>> from sorgum.interop import bfloat16
    >>> bfloat16.name(bfloat16.bits)
    'bfloat16'
    """
    return "bfloat16" if dtype == bits else str(dtype)


def text(dtype: np.dtype[Any]) -> str:
    """Return what a message calls a type: as NumPy does, and bfloat16 by its name.

    Parameters
    ----------
    dtype : dtype
        Any.

    Returns
    -------
    str
        "dtype('float32')", "dtype(bfloat16)".

    Examples
    --------
    >>> from sorgum.interop import bfloat16
    >>> bfloat16.text(bfloat16.bits)
    'dtype(bfloat16)'
    """
    return "dtype(bfloat16)" if dtype == bits else repr(dtype)


def widened(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array of bfloat16 as float32, exactly; any other as it is.

    Parameters
    ----------
    array : ndarray
        Of any shape.

    Returns
    -------
    ndarray
        Of the same shape.

    Examples
    --------
    >>> import numpy as np
    >>> from sorgum.interop import bfloat16
    >>> bfloat16.widened(bfloat16.rounded(np.float32([1.0, 2.5]), bfloat16.bits))
    array([1. , 2.5], dtype=float32)
    """
    if not is_bfloat16(array.dtype):
        return array
    if array.dtype != bits:
        with np.errstate(invalid="ignore"):  # of a signalling NaN
            return array.astype(np.float32)
    words: npt.NDArray[Any] = np.asarray(np.left_shift(array["bfloat16"], 16, dtype=np.uint32))
    return words.view(np.float32)


def rounded(array: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return numbers in a type of bfloat16, rounded to float32 and from there to the nearest, of two the even one.

    Parameters
    ----------
    array : ndarray
        Of a floating-point type.
    dtype : dtype
        That of ml_dtypes, or `bits`.

    Returns
    -------
    ndarray
        Of the same shape. NaN is the quiet NaN without payload.

    Examples
    --------
    >>> import numpy as np
    >>> from sorgum.interop import bfloat16
    >>> bfloat16.rounded(np.float32([1.0]), bfloat16.bits)["bfloat16"] == 0x3F80
    array([ True])
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        single = np.asarray(array, dtype=np.float32)
    words = single.view(np.uint32)
    nearest = np.where(np.isnan(single), 0x7FC0, (words + (0x7FFF + (words >> 16 & 1))) >> 16)
    return nearest.astype(np.uint16).view(dtype)

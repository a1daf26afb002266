"""Some rows of a matrix, by their numbers or by a mask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum.interop import bfloat16
from sorgum.interop.arrays import plain
from sorgum.sor._operands import contiguous

__all__ = ["rows_of"]

_LARGEST = 2**63 - 1


def rows_of(function: str, rows: npt.ArrayLike, n: int, colors: Callable[[], npt.NDArray[np.int32]] | None) -> Array:
    """Return rows in the order in which they are to be relaxed.

    Parameters
    ----------
    function : str
        For error messages.
    rows : array_like
        Integers, which are looked at when they are used, or booleans, one for each row.
    n : int
        How many there are.
    colors : callable, optional
        Returns those of all rows, where the rows of a mask are to be taken color by color.

    Returns
    -------
    array of int64
        Contiguous, with one dimension.
    """
    array: Array = plain(function, "rows", rows)
    if array.dtype.kind == "b":
        if array.shape != (n,):
            raise ValueError(f"{function}: rows must have shape ({n},) as a mask, got {array.shape}")
        chosen: Array = np.flatnonzero(array)
        return chosen if colors is None else chosen[np.argsort(colors()[chosen], kind="stable")]
    if isinstance(rows, list | tuple) and not rows:
        return np.zeros(0, np.int64)
    if array.dtype.kind not in "iu" or not array.dtype.isnative:
        raise TypeError(f"{function}: rows must be integers or a mask, got dtype {bfloat16.text(array.dtype)}")
    if array.ndim != 1:
        raise ValueError(f"{function}: rows must have one dimension, got shape {array.shape}")
    if array.dtype == np.uint64:
        array = np.minimum(array, _LARGEST)
    return contiguous(array.astype(np.int64, copy=False))

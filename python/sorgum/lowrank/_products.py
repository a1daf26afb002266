"""Products of matrices in the documented order of summation, for what is computed beside the compiled functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum._core import lowrank as compiled
from sorgum.lowrank._operands import dense

__all__ = ["add_product", "product"]


def product(left: Array, right: Array, scale: float, dtype: np.dtype[Any]) -> Array:
    """Return scale * left @ right in float32 or float64, in the order of docs/numerics/linalg.md.

    Parameters
    ----------
    left, right : arrays of shape (m, k) and (k, n), of floating-point types
    scale : float
    dtype : dtype

    Returns
    -------
    array of shape (m, n)
    """
    out = np.zeros((left.shape[0], right.shape[1]), dtype)
    add_product(out, left, right, scale)
    return out


def add_product(out: Array, left: Array, right: Array, scale: float = 1.0) -> None:
    """Add scale * left @ right to `out`, in whose type it is computed and whose rows are contiguous."""
    wide = out.dtype.itemsize == 8
    compiled.merge(out, dense(right), dense(left), scale, False, None, None, False, False, False, wide, out)

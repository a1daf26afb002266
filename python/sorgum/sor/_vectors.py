"""Vectors of a matrix that is ready to be relaxed: in its dtype, apart from the x that is overwritten."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum.interop.arrays import kind_of, shown
from sorgum.sor._operands import contiguous, vector_of

__all__ = ["bounds_of", "target_of", "vector_like"]


def target_of(name: str, x: Array, dtype: np.dtype[Any]) -> Array:
    """Return x, or a copy of it where a kernel cannot write into it.

    Parameters
    ----------
    name : str
        For error messages.
    x : array
        Of that dtype, writable.
    dtype : dtype

    Returns
    -------
    array
        Contiguous and aligned.
    """
    if not isinstance(x, np.ndarray):
        raise TypeError(f"{name}: x must be an array, which is overwritten, got {kind_of(x)}")
    if x.dtype != dtype:
        raise TypeError(f"{name}: x must have dtype {dtype}, got {x.dtype}")
    if not x.flags.writeable:
        raise ValueError(f"{name}: x must be writable, got a read-only array")
    return x if x.flags.c_contiguous and x.flags.aligned else np.array(x, order="C")


def vector_like(name: str, argument: str, value: npt.ArrayLike, dtype: np.dtype[Any], x: Array | None = None) -> Array:
    """Return a vector as the kernels take it.

    Parameters
    ----------
    name, argument : str
        For error messages.
    value : array_like
        Of that dtype, or one that it holds exactly.
    dtype : dtype
    x : array, optional
        What they write into, which must be somewhere else.

    Returns
    -------
    array
        Contiguous and aligned.
    """
    vector = vector_of(name, argument, value)
    if not np.can_cast(vector.dtype, dtype, "safe"):
        raise TypeError(f"{name}: {argument} must have dtype {dtype}, got {vector.dtype}")
    if x is not None and vector.ndim <= 1 and np.shares_memory(x, vector):
        raise ValueError(f"{name}: x must not overlap {argument}, got arrays that share memory")
    return contiguous(vector.astype(dtype, copy=False))


def bounds_of(
    name: str, bounds: object, n: int, dtype: np.dtype[Any], x: Array | None = None
) -> tuple[Array | None, Array | None]:
    """Return the bounds of all rows, or None.

    Parameters
    ----------
    name : str
        For error messages.
    bounds : pair of array_like, or None
        Numbers are the bounds of every row.
    n : int
        Rows.
    dtype : dtype
    x : array, optional
        As that of `vector_like`.

    Returns
    -------
    pair of arrays of shape (n,), or None
    """
    if bounds is None:
        return None, None
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise TypeError(f"{name}: bounds must be a pair of arrays, numbers or None, got {shown(bounds)}")
    lower, upper = bounds
    return (
        _bound(name, "bounds[0]", lower, np.inf, n, dtype, x),
        _bound(name, "bounds[1]", upper, -np.inf, n, dtype, x),
    )


def _bound(
    name: str, argument: str, bound: Any, never: float, n: int, dtype: np.dtype[Any], x: Array | None
) -> Array | None:
    """Return a bound of all rows: any numbers but NaN and `never`, beyond which there is none."""
    if bound is None:
        return None
    values = vector_of(name, argument, bound)
    values = vector_like(name, argument, values if values.ndim else values.astype(dtype), dtype, x)
    if values.ndim == 0:
        values = np.full(n, values, dtype)
    if values.shape != (n,):
        raise ValueError(f"{name}: {argument} must have shape {(n,)}, got {values.shape}")
    wrong = np.isnan(values) | (values == never)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"{name}: {argument} must not be NaN or {never}, got {values[row]} in row {row}")
    return values

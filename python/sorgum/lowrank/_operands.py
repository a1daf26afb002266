"""Matrices as the compiled functions take them: types and layouts are decided here, shapes are checked there."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, compact, floats_of, is_at_home
from sorgum._arguments.results import apart, result_for
from sorgum._arguments.scalars import number_of
from sorgum._core import lowrank as compiled
from sorgum.interop import bfloat16

__all__ = [
    "as_matrix",
    "dense",
    "factors_of",
    "finite_number",
    "has_rows",
    "is_wide",
    "numbers_of",
    "rows_for",
    "rows_of_base",
    "written",
]


def finite_number(function: str, argument: str, value: object) -> float:
    """Return a real number that is finite."""
    number = number_of(function, argument, value)
    if not math.isfinite(number):
        raise ValueError(f"{function}: {argument} must be finite, got {number}")
    return number


def factors_of(function: str, A: npt.ArrayLike, B: npt.ArrayLike) -> tuple[Array, Array]:
    """Return the factors of an adapter as arrays of floating-point types."""
    return floats_of(function, "A", A), floats_of(function, "B", B)


def is_wide(*arrays: Array) -> bool:
    """Return whether float64 is computed in: where an array has that type."""
    return any(array.dtype.itemsize == 8 for array in arrays)


def numbers_of(function: str, argument: str, value: npt.ArrayLike | None, wide: bool) -> Array | None:
    """Return an array of the type that is computed in, contiguous."""
    if value is None:
        return None
    array = bfloat16.widened(floats_of(function, argument, value))
    with np.errstate(over="ignore"):
        return np.asarray(array, dtype=np.float64 if wide else np.float32, order="C")  # of no axes, too


def has_rows(array: Array) -> bool:
    """Return whether the elements of each row of a matrix lie side by side, at addresses that fit them."""
    flags = array.flags
    if array.size and flags.c_contiguous and flags.aligned and array.dtype.kind == "f":  # most cases, quickly
        return True
    in_rows = array.shape[1] <= 1 or array.strides[1] == array.itemsize
    return is_at_home(array) and (array.size == 0 or (in_rows and _is_whole(array)))


def dense(array: Array) -> Array:
    """Return a matrix whose rows or columns are contiguous: the array itself, if it is so."""
    return array if has_rows(array) or has_rows(array.T) else compact(array)


def _is_whole(array: Array) -> bool:
    return all(stride % array.itemsize == 0 for stride in array.strides)


def as_matrix(array: Array, axes: int = 1) -> Array:
    """Return an array with its first axes as one, and the others as one: a view if that is possible."""
    if array.ndim == 2 and axes == 1:
        return array
    return array.reshape(math.prod(array.shape[:axes]), math.prod(array.shape[axes:]))


def rows_of_base(
    function: str, base: npt.ArrayLike | None, x: Array, shape: tuple[int, ...], out: Array | None
) -> Array | None:
    """Return what results are added to as a matrix with contiguous rows."""
    if base is None:
        return None
    array = floats_of(function, "base", base)
    if array.dtype != x.dtype:
        wanted, got = bfloat16.name(x.dtype), bfloat16.name(array.dtype)
        raise TypeError(f"{function}: base must have the dtype of x, {wanted}, got {got}")
    if array.shape != shape:
        raise ValueError(f"{function}: base must have shape {shape}, got {array.shape}")
    rows = as_matrix(apart(array, out), array.ndim - 1)
    return rows if has_rows(rows) else compact(rows)


def rows_for(function: str, out: Array | None, shape: tuple[int, ...], x: Array) -> tuple[Array, Array]:
    """Return the result, of the type of x, and the matrix of contiguous rows that is written for it.

    They share memory if they can.
    """
    result = result_for(function, out, shape, x.dtype)
    if result is out:
        compiled.check_out(function, result, list(shape), x)
    flat = as_matrix(result, result.ndim - 1)
    here = has_rows(flat) and (flat is result or flat.size == 0 or np.may_share_memory(flat, result))
    return result, flat if here else np.empty(flat.shape, x.dtype)


def written(result: Array, rows: Array) -> Array:
    """Return the result, with what was written for it in its place."""
    if rows is not result and rows.size and not np.may_share_memory(rows, result):
        result[...] = rows.reshape(result.shape)
    return result

"""Matrices as the compiled functions take them: types and layouts are decided here, shapes are checked there."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, floats_of
from sorgum._arguments.scalars import number_of
from sorgum.interop import bfloat16

__all__ = ["as_matrix", "compact", "dense", "factors_of", "finite_number", "has_rows", "is_wide", "numbers_of"]


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
        return np.ascontiguousarray(array, dtype=np.float64 if wide else np.float32)


def has_rows(array: Array) -> bool:
    """Return whether the elements of each row of a matrix lie side by side, at addresses that fit them."""
    in_rows = array.shape[1] <= 1 or array.strides[1] == array.itemsize
    return _is_at_home(array) and (array.size == 0 or (in_rows and _is_whole(array)))


def dense(array: Array) -> Array:
    """Return a matrix whose rows or columns are contiguous: the array itself, if it is so."""
    return array if has_rows(array) or has_rows(array.T) else compact(array)


def compact(array: Array) -> Array:
    """Return a matrix that is contiguous, at an address that fits its elements."""
    return np.ascontiguousarray(array) if _is_at_home(array) else np.array(array, order="C")


def _is_at_home(array: Array) -> bool:
    """Return whether the address is a multiple of the size; NumPy's own flag is always set for bits of bfloat16."""
    return bool(array.__array_interface__["data"][0] % array.itemsize == 0)


def _is_whole(array: Array) -> bool:
    return all(stride % array.itemsize == 0 for stride in array.strides)


def as_matrix(array: Array, axes: int = 1) -> Array:
    """Return an array with its first axes as one, and the others as one: a view if that is possible."""
    return array.reshape(math.prod(array.shape[:axes]), math.prod(array.shape[axes:]))

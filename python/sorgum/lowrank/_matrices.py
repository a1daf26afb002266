"""Matrices as an algorithm sees them: products from both sides and the norm, by panels of rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum._arguments.halves import widened
from sorgum.lowrank._rows import times_transposed

__all__ = ["Dense", "Difference", "Matrix"]

_PANEL = 1 << 18  # elements of a panel: formed, used and forgotten while they are in cache
_CHUNK = 1 << 15  # elements whose squares are summed at a time
_LARGEST = {4: 40, 8: 300}  # squares, and their sums, of norms up to 2**this are far from overflow, in bytes of a type


class Matrix:
    """A real matrix whose norm is near 1 after its elements were divided by 2**exponent.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
        float32 or float64.
    exponent : int
        0 where products and their squares are far from the ends of the type's range.
    norm : float
        The Frobenius norm after the division, to 1e-12 of it; NaN or inf where an element is not finite.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    exponent = 0

    def panels(self) -> Iterator[tuple[slice, Array]]:
        """Return rows and what stands in them, top down."""
        raise NotImplementedError

    def _divide(self, exponent: int) -> None:
        self.exponent = exponent

    def _measure(self) -> None:
        self.norm = self._norm()
        size = self.norm
        if self.dtype == np.float64 and not 2.0**-300 < size < 2.0**300:  # squares may have left the range
            size = max((float(np.abs(panel).max(initial=0.0)) for _, panel in self.panels()), default=0.0)
        if math.isfinite(size) and abs(math.frexp(size)[1]) > _LARGEST[self.dtype.itemsize]:
            self._divide(math.frexp(size)[1])
            self.norm = self._norm()

    def _norm(self) -> float:
        total = 0.0
        for _, panel in self.panels():
            step = max(1, _CHUNK // max(panel.shape[1], 1))
            for start in range(0, len(panel), step):
                squared = panel[start : start + step].astype(np.float64).ravel()
                total += float(squared @ squared)
        return math.sqrt(total)

    def require_finite(self, function: str, name: str) -> None:
        """Refuse elements that are not finite as NumPy's decompositions do."""
        if not math.isfinite(self.norm):
            raise np.linalg.LinAlgError(f"{function}: {name} must be finite, got NaN or an infinity")

    def times(self, rows: Array) -> Array:
        """Return rows @ A.T for rows of shape (k, n)."""
        result = np.empty((len(rows), self.shape[0]), self.dtype)
        for where, panel in self.panels():
            result[:, where] = times_transposed(rows, panel)
        return result

    def transposed_times(self, rows: Array) -> Array:
        """Return rows @ A for rows of shape (k, m)."""
        result = np.zeros((len(rows), self.shape[1]), self.dtype)
        for where, panel in self.panels():
            result += rows[:, where] @ panel
        return result

    def residual(self, left: Array, right: Array) -> float:
        """Return the Frobenius norm of A - left.T @ right, formed panel by panel."""
        total = 0.0
        for where, panel in self.panels():
            step = max(1, _PANEL // max(panel.shape[1], 1))
            for start in range(0, len(panel), step):
                rows = slice(where.start + start, where.start + min(start + step, len(panel)))
                wide = (panel[start : start + step] - left[:, rows].T @ right).astype(np.float64).ravel()
                total += float(wide @ wide)
        return math.sqrt(total)


class Dense(Matrix):
    """An array of two axes.

    Parameters
    ----------
    array : array of float32 or float64
    """

    def __init__(self, array: Array) -> None:
        self._array = np.require(array, requirements=("C", "A"))
        self.shape, self.dtype = (array.shape[0], array.shape[1]), array.dtype
        self._measure()

    def _divide(self, exponent: int) -> None:
        self.exponent, self._array = exponent, np.ldexp(self._array, -exponent)

    def panels(self) -> Iterator[tuple[slice, Array]]:
        """Return the whole as one panel."""
        yield slice(0, self.shape[0]), self._array

    def times(self, rows: Array) -> Array:
        """Return rows @ A.T."""
        return times_transposed(rows, self._array)

    def transposed_times(self, rows: Array) -> Array:
        """Return rows @ A."""
        return rows @ self._array

    @property
    def array(self) -> Array:
        """The elements after the division."""
        return self._array


class Difference(Matrix):
    """What two arrays differ by, of which no more than a panel is ever formed.

    Parameters
    ----------
    first, second : arrays of one shape, of floating-point types
    """

    def __init__(self, first: Array, second: Array) -> None:
        self._first, self._second = first, second
        self.shape = (first.shape[0], first.shape[1])
        self.dtype = np.result_type(*(widened(array[:0]).dtype for array in (first, second)))
        self._measure()

    def panels(self) -> Iterator[tuple[slice, Array]]:
        """Return panels of about 2**18 elements."""
        if 0 in self.shape:  # however many rows
            return
        step = max(1, _PANEL // max(self.shape[1], 1))
        for start in range(0, self.shape[0], step):
            where = slice(start, min(start + step, self.shape[0]))
            first, second = (widened(array[where]) for array in (self._first, self._second))
            panel = np.subtract(first, second, dtype=self.dtype)
            yield where, np.ldexp(panel, -self.exponent) if self.exponent else panel

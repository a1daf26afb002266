"""Gram matrices of unfoldings whose columns come in ranges, from the first column to the last."""

from __future__ import annotations

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum._core import tucker as compiled
from sorgum.tucker._files import room
from sorgum.tucker._gram_parts import CHUNK, are_siblings, matrix_of_runs

__all__ = ["GramSums"]

_WIDE = 1024  # rows from which on a call of one chunk keeps the threads busy, and each sum that it holds is large


class GramSums:
    """The Gram matrix of one mode as the binary counter of docs/numerics/linalg.md: a triangle for each of its runs.

    There are log2(chunks) of them at most. Where they are large and the tensor lies in a file, they lie in one, too.

    Parameters
    ----------
    n : int
        Rows of the unfolding.
    mode : int
    columns : int
        Of the whole unfolding.
    source : array
        The tensor.
    fits : int
        The most bytes that the triangles may take in memory if the tensor is in a file.
    """

    def __init__(self, n: int, mode: int, columns: int, source: Array, fits: int) -> None:
        self.n, self.mode = n, mode
        levels = (-(-columns // CHUNK)).bit_length() + 1  # one for what is added next
        self._sums = room((levels, n * (n + 1) // 2), np.dtype(np.float64), source, fits)
        self._runs: list[tuple[int, int]] = []

    def add(self, x: Array, begin: int, first: int, columns: int) -> None:
        """Add columns of a tensor's unfolding from `first` on, which are those from `begin` on of the whole."""
        for run in compiled.gram_runs(begin, columns):
            step = CHUNK if self.n > _WIDE else run[1] - run[0]
            for start in range(*run, step):
                end, at = min(start + step, run[1]), first + start - begin
                place = self._sums[len(self._runs) :][:1]
                compiled.gram_partial(x, self.mode, start, at, end - start, place)
                self._count((start, end))

    def _count(self, run: tuple[int, int]) -> None:
        """Take the run whose sums are in the next place: runs that make a larger one are added."""
        with np.errstate(all="ignore"):
            while self._runs and are_siblings(self._runs[-1], run):
                top = len(self._runs)
                self._sums[top - 1] += self._sums[top]
                run = (self._runs.pop()[0], run[1])
        self._runs.append(run)

    def matrix(self) -> Array:
        """Return the matrix, symmetric."""
        return matrix_of_runs(self._sums[: len(self._runs)], self.n)

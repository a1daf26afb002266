"""Bases that hold the leading singular vectors of a matrix: of a Krylov space, and of powers of the matrix."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum.lowrank._matrices import Dense, Matrix
from sorgum.lowrank._rows import gram, orthonormal, regular_rows
from sorgum.random import Key, fold_in, normal

__all__ = [
    "Bidiagonalization",
    "Projection",
    "floor_of",
    "gram_rows",
    "projection",
    "random_rows",
    "range_rows",
    "wanted_rows",
]

_WIDTH = 16  # BLAS multiplies rows by multiples of this in less time than some fewer


class Projection(NamedTuple):
    """Orthonormal rows v (k, n) and u (l, m) with t = v A.T u.T (k, l), and v A.T = t u or u A = t.T v."""

    v: Array
    t: Array
    u: Array


def wanted_rows(rank: int, n_oversamples: int) -> int:
    """Return how many random rows a search for so many singular vectors starts from."""
    return -(-(rank + n_oversamples) // _WIDTH) * _WIDTH


def random_rows(count: int, length: int, key: Key, dtype: np.dtype[Any]) -> Array:
    """Return rows of independent standard normal numbers."""
    return np.asarray(normal((count, length), rng=key, dtype=np.float32).astype(dtype, copy=False))


def floor_of(matrix: Matrix) -> float:
    """Return the length below which a vector is no more than the rounding of a product."""
    return float(np.finfo(matrix.dtype).eps) * matrix.norm


class Bidiagonalization:
    """The block Krylov space of A.T A from random rows, with A seen in it.

    It grows by blocks: v A.T = t u with orthonormal rows in v and u, where the rows of u A lie in v but for the last
    block. Golub, Luk and Overton 1981, orthogonalized fully; Musco and Musco 2015 bound what is found after few blocks.

    Parameters
    ----------
    matrix : Matrix
    block : int
        Rows of a block.
    key : Key
        Of the random rows.
    """

    def __init__(self, matrix: Matrix, block: int, key: Key) -> None:
        m, n = matrix.shape
        self._matrix, self._block, self._key = matrix, min(block, m, n), key
        self._starts, self._recent = 0, (0, 0)
        self._v, self._u, self._t = (np.empty((0, size), matrix.dtype) for size in (n, m, 0))
        self._size = (0, 0)  # of t
        self._images: list[Array] = []  # of the blocks of v that are not in t yet

    @property
    def size(self) -> int:
        """The rows of v."""
        return self._size[0] + sum(map(len, self._images))

    def project(self) -> Projection:
        """Return what there is by now, with the images of v projected on u."""
        for images in self._images:
            u = self._u[: self._size[1]]
            new, coordinates, factor = orthonormal(images, u, floor_of(self._matrix), self._recent[1])
            self._add_columns(new, np.concatenate([coordinates, factor], axis=1))
            self._recent = len(images), len(new)
        self._images = []
        rows, columns = self._size
        return Projection(self._v[:rows], self._t[:rows, :columns], self._u[:columns])

    def images(self) -> tuple[Array, Array]:
        """Return v and v A.T, as long as nothing was projected: in less time, since u is not made."""
        return self._v[: self.size], np.concatenate(self._images or [self._u[:0]])

    def grow(self) -> bool:
        """Add a block; return whether there was anything to add."""
        matrix, size = self._matrix, self.size
        v = self._v[:size]
        room, floor = min(self._block, matrix.shape[1] - size), floor_of(matrix)
        new = v[:0]
        if self._images:  # their span and that of the images before hold the rows of u that are missing
            rows, recent = regular_rows(self._images[-1], floor), sum(map(len, self._images[-2:]))
            new, _, _ = orthonormal(matrix.transposed_times(rows), v, floor, recent)
        elif self._recent[1]:
            rows = self._u[self._size[1] - self._recent[1] : self._size[1]]
            new, _, _ = orthonormal(matrix.transposed_times(rows), v, floor, self._recent[0])
        if len(new) == 0 and room > 0:  # the space is invariant, or there is none yet: start from other rows
            start = random_rows(self._block, matrix.shape[0], fold_in(self._key, self._starts), matrix.dtype)
            self._starts += 1
            new, _, _ = orthonormal(matrix.transposed_times(start), v, floor)
        new = new[:room]
        if len(new) == 0:
            return False
        self._v = self._with_room(self._v, size + len(new))
        self._v[size : size + len(new)] = new
        self._images.append(matrix.times(new))
        return True

    def _add_columns(self, u: Array, t: Array) -> None:
        top, left = self._size
        rows, columns = top + len(t), left + len(u)
        self._u = self._with_room(self._u, columns)
        if max(rows, columns) > len(self._t):
            old, self._t = self._t, np.zeros((len(self._v), len(self._v)), self._matrix.dtype)
            self._t[: len(old), : len(old)] = old
        self._u[left:columns], self._t[top:rows, :columns] = u, t
        self._size = rows, columns

    def _with_room(self, rows: Array, count: int) -> Array:
        if count <= len(rows):
            return rows
        capacity = min(max(4 * self._block, 2 * len(rows)), max(self._matrix.shape) + self._block)
        result = np.empty((capacity, rows.shape[1]), rows.dtype)
        result[: len(rows)] = rows
        return result


def range_rows(matrix: Matrix, count: int, n_iter: int, key: Key) -> Array:
    """Return an orthonormal basis of the columns of (A A.T)**n_iter A Omega, as rows.

    They are made orthonormal after every product: Halko, Martinsson and Tropp 2011, algorithm 4.4.
    """
    floor = floor_of(matrix)
    across, along = (np.empty((0, size), matrix.dtype) for size in matrix.shape)
    start = random_rows(count, matrix.shape[1], key, matrix.dtype)
    rows, _, _ = orthonormal(matrix.times(start), across, floor)
    for _ in range(n_iter):
        images, _, _ = orthonormal(matrix.transposed_times(rows), along, floor)
        rows, _, _ = orthonormal(matrix.times(images), across, floor)
    return rows


def gram_rows(matrix: Dense, rank: int) -> Array:
    """Return what spans the leading left singular vectors: eigenvectors of the smaller Gram matrix, in float64."""
    array, wide = matrix.array, matrix.shape[0] <= matrix.shape[1]
    vectors = np.linalg.eigh(gram(array if wide else array.T))[1][:, ::-1][:, :rank]
    rows = np.ascontiguousarray(vectors.T.astype(matrix.dtype))
    if not wide:
        rows = matrix.times(rows)
    return orthonormal(rows, rows[:0], floor_of(matrix))[0]


def projection(matrix: Matrix, u: Array, images: Array) -> Projection:
    """Return the projection of a matrix on orthonormal rows u, whose images are u A."""
    v, _, factor = orthonormal(images, images[:0], floor_of(matrix))
    return Projection(v, factor.T, u)

"""From a basis to singular values and vectors, as many as a rank or a relative error asks for."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum._arguments.scalars import int_of, number_of
from sorgum.interop.arrays import shown
from sorgum.lowrank._bases import Bidiagonalization, Projection, random_rows
from sorgum.lowrank._matrices import Dense, Matrix
from sorgum.lowrank._rows import orthonormal
from sorgum.random import Key, fold_in

__all__ = [
    "Promise",
    "Triplets",
    "blocks_for",
    "exact",
    "krylov",
    "least_rank",
    "of_projection",
    "promise_of",
    "with_signs",
]

_BLOCK = 32  # rows by which a space grows until an error is small enough
_CANCELLED = 1000.0  # a difference of squares below this many units of rounding says nothing: the residual is formed
_GROWTH = 1.25  # of a space between two residuals that are formed
_GRAM_REACHES = 1e-4  # of the largest value: squares in float64 tell values, and keep vectors orthonormal, to 1e-8
_COMPLETION = 2**32  # the number of the key of rows that nothing determines


class Promise(NamedTuple):
    """How many singular values are wanted: so many, or as few as leave no more than this relative error."""

    rank: int | None
    rtol: float


class Triplets(NamedTuple):
    """A ~ left.T diag(s) right, of what was divided by 2**exponent: (k, m), (k,), (k, n), and the relative error."""

    left: Array
    s: Array
    right: Array
    error: float


def promise_of(function: str, rank: object, rtol: object, energy: object, largest: int) -> Promise:
    """Return what one of the three arguments promises for a matrix of so many singular values."""
    given = [name for name, value in (("rank", rank), ("rtol", rtol), ("energy", energy)) if value is not None]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        raise ValueError(f"{function}: rank, rtol or energy must be given, one of them, got {got}")
    if rank is not None:
        count = int_of(function, "rank", rank)
        if not 0 <= count <= largest:
            raise ValueError(f"{function}: rank must be in [0, {largest}], the smaller dimension, got {shown(count)}")
        return Promise(count, 0.0)
    number = number_of(function, given[0], rtol if energy is None else energy)
    if not 0 <= number <= 1:
        raise ValueError(f"{function}: {given[0]} must be in [0, 1], got {number}")
    return Promise(None, number if energy is None else math.sqrt(1 - number))


def blocks_for(rank: int, shape: tuple[int, int]) -> int:
    """Return the blocks of a space that comes as close as the power method with the iterations of scikit-learn.

    Those are 7 for ranks below a tenth of the smaller dimension, else 4.
    """
    return 4 if rank < 0.1 * min(shape) else 3


def krylov(matrix: Matrix, promise: Promise, block: int, steps: int, key: Key) -> Triplets:
    """Return the factors from a block Krylov space, which grows by so many blocks or until the promise holds."""
    if promise.rank is None:
        return _until(matrix, promise.rtol, key)
    space = Bidiagonalization(matrix, block, key)
    if promise.rank > 0:
        for _ in range(steps):
            if not space.grow():
                break
    return of_projection(matrix, space.projection, promise.rank, key)


def _until(matrix: Matrix, rtol: float, key: Key) -> Triplets:
    space = Bidiagonalization(matrix, _BLOCK, key)
    target, checked = rtol * matrix.norm, 0
    while rtol < 1 and matrix.norm > 0:
        if isinstance(matrix, Dense) and 2 * space.size > min(matrix.shape):
            return exact(matrix, Promise(None, rtol))
        if not space.grow():
            break
        left = _rest(matrix, space.projection.t)
        if left < _noise(matrix):
            if space.size < _GROWTH * checked:
                continue
            left, checked = _residual(matrix, space.projection), space.size
        if left <= target**2:
            space.grow()  # values that came last are the least exact: with more there may be fewer of them
            break
    left = _rest(matrix, space.projection.t)
    if left < _noise(matrix):
        left = _residual(matrix, space.projection)
    q, s, p = _svd_of_transposed(space.projection.t)
    rank = 0 if rtol >= 1 else least_rank(s, left, target)
    return _factors(matrix, space.projection, (q, s, p), rank, left + _sum_of_squares(s[rank:]))


def exact(matrix: Dense, promise: Promise, *, smallest: bool = False) -> Triplets:
    """Return the factors from LAPACK's full singular value decomposition."""
    u, s, vh = np.linalg.svd(matrix.array, full_matrices=False)
    values = s.astype(np.float64)
    rank = promise.rank
    if rank is None:
        rank = 0 if promise.rtol >= 1 else least_rank(values, 0.0, promise.rtol * matrix.norm)
    kept = slice(len(s) - 1, len(s) - 1 - rank if rank < len(s) else None, -1) if smallest else slice(0, rank)
    rest = values[: len(s) - rank] if smallest else values[rank:]
    error = math.sqrt(_sum_of_squares(rest)) / matrix.norm if matrix.norm else 0.0
    return Triplets(u.T[kept], values[kept], vh[kept], error)


def of_projection(matrix: Matrix, projection: Projection, rank: int, key: Key) -> Triplets:
    """Return the factors of so many values; where the matrix has fewer, zeros and vectors orthogonal to the others."""
    parts = _svd_of_transposed(projection.t, min(rank, len(projection.t)))
    found = min(rank, len(parts[1]))
    factors = _factors(matrix, projection, parts, found, max(matrix.norm**2 - _sum_of_squares(parts[1][:found]), 0.0))
    if factors.error**2 * matrix.norm**2 < _noise(matrix):
        scaled = factors.left * factors.s.astype(matrix.dtype)[:, None]
        error = matrix.residual(scaled, factors.right) / matrix.norm if matrix.norm else 0.0
        factors = factors._replace(error=error)
    if found == rank:
        return factors
    left, right = (
        _completed(rows, rank, fold_in(key, _COMPLETION + i)) for i, rows in enumerate((factors[0], factors[2]))
    )
    return Triplets(left, np.concatenate([factors.s, np.zeros(rank - found)]), right, factors.error)


def with_signs(left: Array, right: Array) -> tuple[Array, Array]:
    """Return both with such signs that the largest entry of every row of the first is positive."""
    if left.size == 0:
        return left, right
    at = np.argmax(np.abs(left), axis=1)
    signs = np.where(left[np.arange(len(left)), at] < 0, -1, 1).astype(left.dtype)[:, None]
    return left * signs, right * signs


def _svd_of_transposed(t: Array, rank: int | None = None) -> tuple[Array, Array, Array]:
    """Return the singular value decomposition of t.T in float64, or the leading part of it."""
    wide = t.astype(np.float64)
    if t.dtype == np.float32 and rank is not None and len(t):
        values, vectors = np.linalg.eigh(wide @ wide.T)  # in half the time
        s = np.sqrt(np.maximum(values[::-1][:rank], 0.0))
        if rank <= t.shape[1] and s[-1] > _GRAM_REACHES * s[0]:
            p = vectors[:, ::-1][:, :rank].T
            return ((p @ wide) / s[:, None]).T, s, p
    q, s, p = np.linalg.svd(wide.T, full_matrices=False)
    return q, s, p


def _completed(rows: Array, count: int, key: Key) -> Array:
    more = random_rows(count - len(rows), rows.shape[1], key, rows.dtype)
    return np.concatenate([rows, orthonormal(more, rows, 0.0)[0]])


def least_rank(s: Array, left: float, target: float) -> int:
    """Return the least rank for which what is left out, and `left` beside it, is at most the target."""
    squares = np.concatenate([s**2, [left]])
    tails = np.cumsum(squares[::-1])[::-1]  # tails[k]: of rank k
    return int(np.argmax(tails <= target**2)) if tails[-1] <= target**2 else len(s)


def _factors(
    matrix: Matrix, projection: Projection, parts: tuple[Array, Array, Array], rank: int, left: float
) -> Triplets:
    """Return so many of the parts of t.T as factors of the matrix, of which `left` is what they lack, squared."""
    v, _, u = projection
    q, s, p = parts
    error = math.sqrt(left) / matrix.norm if matrix.norm else 0.0
    return Triplets(q.T[:rank].astype(u.dtype) @ u, s[:rank], p[:rank].astype(v.dtype) @ v, error)


def _rest(matrix: Matrix, t: Array) -> float:
    """Return the squared norm of what a projection lacks, by Pythagoras: below `_noise` it says nothing."""
    return max(matrix.norm**2 - _sum_of_squares(t), 0.0)


def _residual(matrix: Matrix, projection: Projection) -> float:
    """Return the same from the residual itself."""
    v, t, u = projection
    return matrix.residual(u, t.T @ v) ** 2


def _noise(matrix: Matrix) -> float:
    return _CANCELLED * float(np.finfo(matrix.dtype).eps) * matrix.norm**2


def _sum_of_squares(array: Array) -> float:
    wide = array.astype(np.float64).ravel()
    return float(wide @ wide)

"""From a basis to singular values and vectors, as many as a rank or a relative error asks for."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum._arguments.scalars import int_of, number_of
from sorgum.interop.arrays import shown
from sorgum.lowrank._bases import Bidiagonalization, Projection, projection, random_rows
from sorgum.lowrank._matrices import Dense, Matrix
from sorgum.lowrank._rows import gram, orthonormal, regular_rows
from sorgum.random import Key, fold_in

__all__ = [
    "Promise",
    "Triplets",
    "blocks_for",
    "exact",
    "krylov",
    "least_rank",
    "of_rows",
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
    by_gram = matrix.dtype == np.float32
    if promise.rank > 0:
        for _ in range(steps):
            if not space.grow():
                break
            if not by_gram:
                space.project()
    if by_gram:
        found = _by_gram(*space.images(), promise.rank)
        if found is not None:
            right, s, left = found
            return _with_error(matrix, left, s, right)
    return _of_projection(matrix, space.project(), promise.rank, key)


def _until(matrix: Matrix, rtol: float, key: Key) -> Triplets:
    space = Bidiagonalization(matrix, _BLOCK, key)
    target, checked = rtol * matrix.norm, 0
    while rtol < 1 and matrix.norm > 0:
        if isinstance(matrix, Dense) and 2 * space.size > min(matrix.shape):
            return exact(matrix, Promise(None, rtol))
        if not space.grow():
            break
        left = _rest(matrix, space.project().t)
        if left < _noise(matrix):
            if space.size < _GROWTH * checked:
                continue
            left, checked = _residual(matrix, space.project()), space.size
        if left <= target**2:
            space.grow()  # values that came last are the least exact: with more there may be fewer of them
            break
    left = _rest(matrix, space.project().t)
    if left < _noise(matrix):
        left = _residual(matrix, space.project())
    q, s, p = _svd_of_transposed(space.project().t)
    rank = 0 if rtol >= 1 else least_rank(s, left, target)
    return _factors(matrix, space.project(), (q, s, p), rank, left + _sum_of_squares(s[rank:]))


def exact(matrix: Dense, promise: Promise, *, smallest: bool = False) -> Triplets:
    """Return the factors from LAPACK's full singular value decomposition."""
    u, s, vh = np.linalg.svd(matrix.array, full_matrices=False)
    values = s.astype(np.float64)
    rank = promise.rank
    if rank is None:
        rank = 0 if promise.rtol >= 1 else least_rank(values, 0.0, promise.rtol * matrix.norm)
    kept = slice(len(s) - 1, len(s) - 1 - rank if rank < len(s) else None, -1) if smallest else slice(0, rank)
    others = values[: len(s) - rank] if smallest else values[rank:]
    return _with_error(matrix, u.T[kept], values[kept], vh[kept], _sum_of_squares(others))


def of_rows(matrix: Matrix, u: Array, rank: int, key: Key) -> Triplets:
    """Return the factors of so many values from orthonormal rows that nearly hold the left singular vectors."""
    images = matrix.transposed_times(u)
    if matrix.dtype == np.float32:
        found = _by_gram(u, images, rank)
        if found is not None:
            return _with_error(matrix, *found)
    return _of_projection(matrix, projection(matrix, u, images), rank, key)


def _by_gram(rows: Array, images: Array, rank: int) -> tuple[Array, Array, Array] | None:
    """Return singular vectors in the span of orthonormal rows, the values, and the vectors on the side of the images.

    None where squares in float64 do not tell the least of the values.
    """
    if not 0 < rank <= len(rows):
        return None
    values, vectors = np.linalg.eigh(gram(images))
    s, p = np.sqrt(np.maximum(values[::-1][:rank], 0.0)), vectors[:, ::-1][:, :rank].T
    if s[-1] <= _GRAM_REACHES * s[0]:
        return None
    others = regular_rows((p / s[:, None]).astype(images.dtype) @ images, 0.0)
    return p.astype(rows.dtype) @ rows, s, others


def _of_projection(matrix: Matrix, projection: Projection, rank: int, key: Key) -> Triplets:
    """Return the factors of so many values; where the matrix has fewer, zeros and vectors orthogonal to the others."""
    v, t, u = projection
    q, s, p = _svd_of_transposed(t)
    found = min(rank, len(s))
    factors = _with_error(matrix, q.T[:found].astype(u.dtype) @ u, s[:found], p[:found].astype(v.dtype) @ v)
    if found == rank:
        return factors
    left, right = (
        _completed(rows, rank, fold_in(key, _COMPLETION + i)) for i, rows in enumerate((factors[0], factors[2]))
    )
    return Triplets(left, np.concatenate([factors.s, np.zeros(rank - found)]), right, factors.error)


def _with_error(matrix: Matrix, left: Array, s: Array, right: Array, rest: float | None = None) -> Triplets:
    """Return the factors with their error: `rest` squared, by default Pythagoras', or where small the residual's."""
    if rest is None:
        rest = max(matrix.norm**2 - _sum_of_squares(s), 0.0)
    error = math.sqrt(rest)
    if rest < _noise(matrix):
        error = matrix.residual(left * s.astype(matrix.dtype)[:, None], right)
    return Triplets(left, s, right, error / matrix.norm if matrix.norm else 0.0)


def with_signs(left: Array, right: Array) -> tuple[Array, Array]:
    """Return both with such signs that the largest entry of every row of the first is positive."""
    if left.size == 0:
        return left, right
    at = np.argmax(np.abs(left), axis=1)
    signs = np.where(left[np.arange(len(left)), at] < 0, -1, 1).astype(left.dtype)[:, None]
    return left * signs, right * signs


def _svd_of_transposed(t: Array) -> tuple[Array, Array, Array]:
    """Return the singular value decomposition of t.T in float64."""
    q, s, p = np.linalg.svd(t.T.astype(np.float64), full_matrices=False)
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

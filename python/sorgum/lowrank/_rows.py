"""Orthonormal rows: what bases of singular vectors are made of."""

from __future__ import annotations

import math

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum._core import lowrank as compiled

__all__ = ["gram", "orthonormal", "regular_rows", "times_transposed"]

_MOST_PASSES = 5
_LEFT = 0.5  # of a unit vector, after what it has in common with the basis went away: more is no cancellation
_NOISE = 0.1  # less than this of a unit vector was rounding
_EVEN = 4.0  # ||L||^2 ||L^-1||^2 / k^2 of Cholesky's factor, in Frobenius' norm: 1 of orthonormal rows


def times_transposed(rows: Array, matrix: Array) -> Array:
    """Return rows @ matrix.T, contiguous.

    Parameters
    ----------
    rows : array of shape (k, n)
    matrix : array of shape (m, n)

    Returns
    -------
    array of shape (k, m)
    """
    if rows.dtype == np.float32:  # BLAS takes twice the time for the other order of few rows, and none for float64
        return np.ascontiguousarray((matrix @ rows.T).T)
    return rows @ matrix.T


def gram(rows: Array) -> Array:
    """Return rows @ rows.T in float64, with sums of float64.

    Parameters
    ----------
    rows : array of shape (k, n)

    Returns
    -------
    array of shape (k, k)
    """
    if rows.dtype == np.float64:
        return rows @ rows.T
    total = np.empty((len(rows), len(rows)))
    compiled.gram(rows, total)
    return total


def orthonormal(rows: Array, basis: Array, floor: float, recent: int | None = None) -> tuple[Array, Array, Array]:
    """Return what rows have beyond a basis, as orthonormal rows.

    Parameters
    ----------
    rows : array of shape (k, n)
    basis : array of shape (m, n)
        Orthonormal rows.
    floor : float
        Directions in which `rows` have no more than this are left out.
    recent : int, optional
        So many rows at the end of the basis are known to have nearly all that `rows` have in common with it.

    Returns
    -------
    q, c, r : arrays of shape (l, n), (k, m) and (k, l)
        rows = c basis + r q up to `floor`, with l <= k orthonormal rows in `q`, which are orthogonal to the basis to
        some units of rounding.

    Notes
    -----
    Block Gram-Schmidt with Cholesky QR inside the blocks (Barlow and Smoktunowicz 2013; Yamamoto et al. 2015), as often
    as anything cancelled; where Cholesky's factor is too ill-conditioned, by the singular value decomposition.
    """
    k, m = len(rows), len(basis)
    eps = float(np.finfo(rows.dtype).eps)
    c, r = np.zeros((k, m), rows.dtype), np.eye(k, dtype=rows.dtype)
    q, first, spread = rows, 0 if recent is None else m - recent, math.inf
    for attempt in range(_MOST_PASSES):
        part = basis[first:]
        common = times_transposed(q, part)
        q = q - common @ part
        c[:, first:] += r @ common
        if spread <= _EVEN and _squared_norm(common) <= eps:  # they are as orthonormal as before
            break
        q, factor, spread = _orthonormalized(q, _NOISE if attempt else floor)
        r, first = r @ factor, 0
        if len(q) == 0 or (attempt and spread < math.inf and factor.diagonal().min() > _LEFT):
            break
    return q, c, r


def regular_rows(rows: Array, floor: float) -> Array:
    """Return rows of the same span, less what is below the floor, so well-conditioned that products tell them apart."""
    return _orthonormalized(rows, floor)[0]


def _orthonormalized(rows: Array, floor: float) -> tuple[Array, Array, float]:
    """Return orthonormal rows, the factor before them, and its spread if it is Cholesky's, else infinity.

    q q^T is I to some units of rounding times the spread.
    """
    squares = (rows @ rows.T).astype(np.float64)
    try:
        lower = np.linalg.cholesky(squares)
        heights = lower.diagonal()
        if len(rows) == 0 or heights.min() > max(floor, np.sqrt(np.finfo(rows.dtype).eps) * heights.max()):
            inverse = np.linalg.inv(lower)
            spread = _squared_norm(lower) * _squared_norm(inverse) / max(len(rows), 1) ** 2
            return inverse.astype(rows.dtype) @ rows, lower.astype(rows.dtype), spread
    except np.linalg.LinAlgError:
        pass
    left, s, right = np.linalg.svd(rows, full_matrices=False)
    kept = s > floor
    return right[kept], left[:, kept] * s[kept], math.inf


def _squared_norm(matrix: Array) -> float:
    return float(np.vdot(matrix, matrix))

"""Orthonormal rows: what bases of singular vectors are made of."""

from __future__ import annotations

import numpy as np

from sorgum._arguments.arrays import Array

__all__ = ["gram", "orthonormal", "times_transposed"]

_MOST_PASSES = 5
_LEFT = 0.5  # of a unit vector, after what it has in common with the basis went away: more is no cancellation
_NOISE = 0.1  # less than this of a unit vector was rounding
_PANEL = 1 << 16  # elements that are widened at a time


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
    k, n = rows.shape
    total = np.zeros((k, k))
    if k == 0:  # however long
        return total
    step = max(1, _PANEL // max(k, 1))
    for start in range(0, n, step):
        wide = rows[:, start : start + step].astype(np.float64)
        total += wide @ wide.T
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
    c, r = np.zeros((k, m), rows.dtype), np.eye(k, dtype=rows.dtype)
    q, first = rows, 0 if recent is None else m - recent
    for attempt in range(_MOST_PASSES):
        part = basis[first:]
        common = q @ part.T
        q = q - common @ part
        c[:, first:] += r @ common
        q, factor, regular = _orthonormalized(q, _NOISE if attempt else floor)
        r, first = r @ factor, 0
        if len(q) == 0 or (attempt and regular and factor.diagonal().min() > _LEFT):
            break
    return q, c, r


def _orthonormalized(rows: Array, floor: float) -> tuple[Array, Array, bool]:
    """Return orthonormal rows, the factor before them, and whether that is regular: Cholesky's."""
    squares = (rows @ rows.T).astype(np.float64)
    try:
        lower = np.linalg.cholesky(squares)
        heights = lower.diagonal()
        if len(rows) == 0 or heights.min() > max(floor, np.sqrt(np.finfo(rows.dtype).eps) * heights.max()):
            return np.linalg.inv(lower).astype(rows.dtype) @ rows, lower.astype(rows.dtype), True
    except np.linalg.LinAlgError:
        pass
    left, s, right = np.linalg.svd(rows, full_matrices=False)
    kept = s > floor
    return right[kept], left[:, kept] * s[kept], False

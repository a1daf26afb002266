"""The leading eigenvectors of a Gram matrix, for less than what all of them cost."""

from __future__ import annotations

import math

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum.random import normal

__all__ = ["leading_eigenvectors"]

_LEAST = 96  # rows, below which LAPACK finds all in no more time
_MORE = 8  # columns beyond those that are wanted: they take the vectors that are hard to tell from the last
_STEPS = 5  # at most
_MOST = 6  # products with the matrix between two bases
_KEPT = 1e-12  # of a column's length: what rounding leaves of the direction that is hardest to see in it
_EPS = float(np.finfo(np.float64).eps)


def leading_eigenvectors(g: Array, rank: int) -> tuple[Array, Array] | None:
    """Return the largest eigenvalues, falling, and their vectors, to LAPACK's backward error; None if that fails.

    Parameters
    ----------
    g : array of shape (n, n)
        Symmetric, positive semidefinite but for rounding, with a positive trace.
    rank : int

    Returns
    -------
    values, vectors : arrays of shape (rank,) and (n, rank), or None
        Subspace iteration from normal numbers, which are the same in every call. It ends when the residual of each pair
        is below n eps of the largest value (Golub and Van Loan 2013, section 8.2.4). None if it does not within a few
        steps, as where values are close to each other, or if the matrix is small or the rank large.
    """
    n, count = len(g), rank + _MORE
    if n < _LEAST or 4 * count > n:
        return None
    h, power = g / np.trace(g), 1
    q: Array = normal((n, count), rng=0, dtype=np.float64)
    before, limit = math.inf, n * _EPS
    for left in reversed(range(_STEPS)):
        for _ in range(power):
            q = h @ q
        q = np.linalg.qr(q).Q
        image = h @ q
        values, turned = np.linalg.eigh(q.T @ image)
        wanted, turned = values[::-1][:rank], turned[:, ::-1][:, :rank]
        vectors = q @ turned
        residual = float(np.linalg.norm(image @ turned - vectors * wanted, axis=0).max() / wanted[0])
        if residual <= limit:
            return wanted * np.trace(g), vectors
        if residual * (residual / before) ** left > limit and before < math.inf:
            return None  # it will not be there in time
        before = residual
        quotient = float(wanted[-1] / wanted[0])
        power = 1 if quotient <= _KEPT else min(_MOST, int(math.log(_KEPT) / min(math.log(quotient), -_EPS)))
    return None

"""Relaxation, row by row, and the solve that is made of it."""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["sor", "sor_batch", "sweep"]

_Array = npt.NDArray[Any]


def _rows(A: Any) -> list[tuple[_Array, _Array]]:
    """Return columns and values of each row, in float64; several entries in one place stay so."""
    if isinstance(getattr(A, "format", None), str):
        A = A if A.format == "csr" else A.tocsr()
        ends = np.asarray(A.indptr)
        return [(np.asarray(A.indices)[i:j], np.asarray(A.data, np.float64)[i:j]) for i, j in pairwise(ends)]
    dense = np.asarray(A, dtype=np.float64)
    return [(np.flatnonzero(row), row[np.flatnonzero(row)]) for row in dense]


def sweep(
    A: Any,
    x: npt.ArrayLike,
    b: npt.ArrayLike,
    omega: float = 1.0,
    *,
    sweep: str = "forward",
    iterations: int = 1,
    bounds: tuple[Any, Any] | None = None,
    rows: npt.ArrayLike | None = None,
    blocksize: int = 1,
) -> _Array:
    """Relax all rows, one after the other, in natural order, or some in the order given.

    Parameters
    ----------
    A : array_like or sparse matrix of shape (n, n)
        Of scipy.sparse, or with its attributes.
    x, b : array_like of shape (n,)
        `x` is not changed.
    omega : float, default 1.0
    sweep : {"forward", "backward", "symmetric"}, default "forward"
    iterations : int, default 1
    bounds : pair of array_like or None, optional
    rows : array_like of int or of bool, optional
        Those that are relaxed, in this order; where a mask is true, in natural order. With blocks, their numbers.
    blocksize : int, default 1
        How many rows are relaxed together.

    Returns
    -------
    array of float64
        x after the sweeps.

    Examples
    --------
    >>> A = [[5.0, -2.0, 0.0], [-2.0, 6.0, -1.0], [0.0, -1.0, 3.0]]
    >>> sweep(A, np.zeros(3), [1.0, -4.0, 2.0], 1.3).round(7)
    array([ 0.26     , -0.754    ,  0.5399333])
    """
    x, b, entries = np.array(x, dtype=np.float64), np.asarray(b, dtype=np.float64), _rows(A)
    lower, upper = (-np.inf, np.inf) if bounds is None else bounds
    low = np.broadcast_to(-np.inf if lower is None else lower, x.shape)
    high = np.broadcast_to(np.inf if upper is None else upper, x.shape)
    count = x.size // blocksize
    there = [int(i) for i in np.arange(count)[slice(None) if rows is None else np.asarray(rows)]]
    back = there[::-1]
    for _ in range(iterations):
        for i in {"forward": there, "backward": back, "symmetric": there + back}[sweep]:
            own = np.arange(i * blocksize, (i + 1) * blocksize)
            rest, block = b[own], np.zeros((blocksize, blocksize))
            for k, row in enumerate(own):
                columns, values = entries[row]
                rest[k] -= values @ x[columns]
                np.add.at(block[k], columns[columns // blocksize == i] - own[0], values[columns // blocksize == i])
            x[own] += omega * np.linalg.solve(block, rest)
            x[own] = np.minimum(np.maximum(x[own], low[own]), high[own])
    return x


def sor(
    A: Any,
    b: npt.ArrayLike,
    x0: npt.ArrayLike | None = None,
    *,
    omega: float = 1.0,
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int = 10000,
    sweep: str = "forward",
) -> tuple[_Array, int]:
    """Solve A x = b with a factor that stays.

    Parameters
    ----------
    A : array_like or sparse matrix of shape (n, n)
    b, x0 : array_like of shape (n,)
    omega : float, default 1.0
    rtol, atol : float
        Until ||b - A x|| <= max(rtol ||b||, atol).
    maxiter : int
    sweep : {"forward", "backward", "symmetric"}, default "forward"

    Returns
    -------
    x : array of float64
    sweeps : int

    Examples
    --------
    >>> x, sweeps = sor([[4.0, -1.0], [-1.0, 4.0]], [3.0, 3.0], rtol=1e-10)
    >>> x.round(6), sweeps
    (array([1., 1.]), 9)
    """
    b = np.asarray(b, dtype=np.float64)
    x, rows = np.array(np.zeros_like(b) if x0 is None else x0, dtype=np.float64), _rows(A)
    tolerance = max(rtol * float(np.linalg.norm(b)), atol)
    for done in range(maxiter):
        if np.linalg.norm([b[i] - values @ x[columns] for i, (columns, values) in enumerate(rows)]) <= tolerance:
            return x, done
        x = _sweep(A, x, b, omega, sweep=sweep)
    return x, maxiter


def sor_batch(
    A: Any,
    b: npt.ArrayLike,
    *,
    shift: npt.ArrayLike | float = 0.0,
    omega: npt.ArrayLike | float = 1.0,
    rtol: float = 1e-5,
    maxiter: int = 10000,
) -> tuple[_Array, _Array]:
    """Solve (A + shift_i I) x_i = b_i with a factor for each system, one after the other.

    Parameters
    ----------
    A : array_like of shape (n, n)
    b : array_like of shape (systems, n)
    shift, omega : float or array_like of shape (systems,)
    rtol : float
        Until ||b_i - A x_i|| <= rtol ||b_i||.
    maxiter : int

    Returns
    -------
    x : array of float64 of shape (systems, n)
    sweeps : array of int64 of shape (systems,)

    Examples
    --------
    >>> x, sweeps = sor_batch([[4.0, -1.0], [-1.0, 4.0]], [[3.0, 3.0], [0.0, 5.0]], shift=[0.0, 1.0], rtol=1e-10)
    >>> x.round(6)[0], sweeps
    (array([1., 1.]), array([9, 8]))
    """
    right = np.asarray(b, dtype=np.float64)
    shifts, omegas = (np.broadcast_to(np.asarray(v, dtype=np.float64), len(right)) for v in (shift, omega))
    plain = np.asarray(A, dtype=np.float64)
    found = [
        sor(plain + c * np.eye(len(plain)), row, omega=float(w), rtol=rtol, maxiter=maxiter)
        for row, c, w in zip(right, shifts, omegas, strict=True)
    ]
    return np.array([x for x, _ in found]).reshape(right.shape), np.array([n for _, n in found], np.int64)


_sweep = sweep

"""The family `sor` in NumPy."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum.reference.sor._policies import chebyshev_fit, tsallis_probabilities, young_factor
from sorgum.reference.sor._stencil import sor_stencil, stencil_residual
from sorgum.reference.sor._sweeps import sor, sor_batch, sweep

__all__ = [
    "chebyshev_fit",
    "precondition",
    "residual_norm",
    "sor",
    "sor_batch",
    "sor_stencil",
    "ssor_cg",
    "ssor_chebyshev",
    "stencil_residual",
    "sweep",
    "tsallis_probabilities",
    "young_factor",
]


def residual_norm(A: Any, x: npt.ArrayLike, b: npt.ArrayLike, *, dtype: npt.DTypeLike = np.float64) -> Any:
    """Return the norm of a residual, ||b - A x||.

    Parameters
    ----------
    A : array_like or sparse matrix of shape (n, m)
        Of scipy.sparse, or with its attributes.
    x : array_like of shape (m,)
    b : array_like of shape (n,)
    dtype : dtype, optional
        The type to compute in.

    Returns
    -------
    scalar of that type

    Examples
    --------
    >>> float(residual_norm(np.eye(2), [1.0, 2.0], [4.0, 6.0]))
    5.0
    """
    x, r = np.asarray(x, dtype=dtype), np.array(b, dtype=dtype)
    if isinstance(getattr(A, "format", None), str):
        A = A if A.format == "csr" else A.tocsr()
        entries = slice(0, A.indptr[-1])
        rows = np.repeat(np.arange(r.size), np.diff(A.indptr))
        np.subtract.at(r, rows, np.asarray(A.data, dtype=dtype)[entries] * x[A.indices[entries]])
    else:
        r -= np.asarray(A, dtype=dtype) @ x
    largest = np.max(np.abs(r), initial=0)
    if largest == 0 or not np.isfinite(largest):
        return np.asarray(largest, dtype=dtype)[()]
    return largest * np.sqrt(np.sum((r / largest) ** 2))


def precondition(A: Any, r: npt.ArrayLike, omega: float = 1.0, *, dtype: npt.DTypeLike = np.float64) -> Any:
    """Apply M^-1 of symmetric successive over-relaxation.

    Parameters
    ----------
    A : array_like or sparse matrix of shape (n, n)
        Of scipy.sparse, or with its attributes.
    r : array_like of shape (n,)
    omega : float, optional
        The relaxation factor.
    dtype : dtype, optional
        The type to compute in.

    Returns
    -------
    array of shape (n,)

    Examples
    --------
    >>> precondition(np.diag([2.0, 4.0]), [1.0, 1.0])
    array([0.5 , 0.25])
    """
    a, y = _dense(A, dtype), np.asarray(r, dtype=dtype)
    d = np.diag(a)
    y = np.linalg.solve(np.diag(d / omega) + np.tril(a, -1), y)
    return np.linalg.solve(np.diag(d / omega) + np.triu(a, 1), (2 / omega - 1) * d * y).astype(dtype)


def ssor_cg(
    A: Any, b: npt.ArrayLike, omega: float = 1.0, rtol: float = 1e-5, *, dtype: npt.DTypeLike = np.float64
) -> tuple[Any, int]:
    """Solve A x = b by conjugate gradients with SSOR at one omega, from 0.

    Parameters
    ----------
    A : array_like or sparse matrix of shape (n, n)
        Symmetric positive definite.
    b : array_like of shape (n,)
    omega : float, optional
        The relaxation factor.
    rtol : float, optional
        The norm of the residual has to come below rtol ||b||.
    dtype : dtype, optional
        The type to compute in.

    Returns
    -------
    x : array of shape (n,)
    iterations : int

    Examples
    --------
    >>> ssor_cg(np.diag([2.0, 4.0]), [1.0, 1.0])
    (array([0.5 , 0.25]), 1)
    """
    a, b = _dense(A, dtype), np.asarray(b, dtype=dtype)
    x, r, iterations = np.zeros_like(b), b, 0
    z = p = precondition(a, r, omega, dtype=dtype)
    while not np.linalg.norm(r) < rtol * np.linalg.norm(b) and iterations < 10 * b.size:
        alpha = (r @ z) / (p @ (a @ p))
        x, after = x + alpha * p, r - alpha * (a @ p)
        z_after = precondition(a, after, omega, dtype=dtype)
        p = z_after + (after @ z_after) / (r @ z) * p
        r, z, iterations = after, z_after, iterations + 1
    return x, iterations


def ssor_chebyshev(
    A: Any,
    b: npt.ArrayLike,
    lower: float,
    omega: float = 1.0,
    iterations: int = 10,
    *,
    dtype: npt.DTypeLike = np.float64,
) -> Any:
    """Make iterations of Chebyshev's with SSOR on the interval [lower, 1], from 0.

    Parameters
    ----------
    A : array_like or sparse matrix of shape (n, n)
        Symmetric positive definite.
    b : array_like of shape (n,)
    lower : float
        The lower end of the interval.
    omega : float, optional
        The relaxation factor.
    iterations : int, optional
    dtype : dtype, optional
        The type to compute in.

    Returns
    -------
    array of shape (n,)

    Examples
    --------
    >>> ssor_chebyshev(np.diag([2.0, 4.0]), [1.0, 1.0], 0.5).round(5)
    array([0.5 , 0.25])
    """
    a, b = _dense(A, dtype), np.asarray(b, dtype=dtype)
    theta, delta = (1 + lower) / 2, (1 - lower) / 2
    x, d, rho = np.zeros_like(b), np.zeros_like(b), 0.0
    for k in range(iterations):
        z = precondition(a, b - a @ x, omega, dtype=dtype)
        before, rho = rho, delta / theta if k == 0 else 1 / (2 * theta / delta - rho)
        d = z / theta if k == 0 else rho * before * d + 2 * rho / delta * z
        x = x + d
    return x


def _dense(A: Any, dtype: npt.DTypeLike) -> Any:
    if not isinstance(getattr(A, "format", None), str):
        return np.asarray(A, dtype=dtype)
    A = A if A.format == "csr" else A.tocsr()
    dense = np.zeros(A.shape, dtype)
    entries = slice(0, A.indptr[-1])
    np.add.at(dense, (np.repeat(np.arange(A.shape[0]), np.diff(A.indptr)), A.indices[entries]), A.data[entries])
    return dense

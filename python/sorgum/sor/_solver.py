"""Linear systems solved by successive over-relaxation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum.sor._operands import blocksize_of, csr_of
from sorgum.sor._relaxation import Relaxation
from sorgum.sor._solve import SolveResult, columns_of

__all__ = ["sor", "sor_result"]


def sor(
    A: Any,
    b: npt.ArrayLike,
    x0: npt.ArrayLike | None = None,
    *,
    omega: float | str = "adaptive",
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    sweep: str = "forward",
    order: str = "natural",
    blocksize: int | None = 1,
    bounds: tuple[npt.ArrayLike | None, npt.ArrayLike | None] | None = None,
    nullspace: str | npt.ArrayLike | None = None,
    callback: Callable[[Array], Any] | None = None,
    progress: bool = False,
) -> tuple[Array, Any]:
    """Solve A x = b by successive over-relaxation.

    Parameters
    ----------
    A : array_like or sparse matrix of shape (n, n)
        As `Relaxation` takes it. float32 where `A`, `b` and `x0` all are, else float64.
    b : array_like of shape (n,) or (n, k)
        Right-hand sides, finite. Each column is solved by itself, with a tolerance and a factor of its own.
    x0 : array_like of the shape of `b`, optional
        Where to begin; zeros by default.
    omega : {"adaptive", "young"} or float, default "adaptive"
        The relaxation factor, between 0 and 2. "adaptive": found while solving, and taken back where it does not help.
        "young": found while solving, by Young's formula alone, which is right for consistently ordered matrices with a
        real Jacobi spectrum, as from five- and seven-point stencils.
    rtol, atol : float, default 1e-5 and 0.0
        The solve ends when ||b - A x|| <= max(rtol ||b||, atol), in the 2-norm, formed in float64 for either dtype.
    maxiter : int, optional
        The most sweeps; min(max(10 n, 1000), 100000) by default.
    sweep : {"forward", "backward", "symmetric"}, default "forward"
        As in `Relaxation.sweep`; a pair of sweeps counts as one.
    order : {"natural", "multicolor", "block_multicolor"}, default "natural"
        As in `Relaxation`.
    blocksize : int, optional, default 1
        As in `Relaxation`: how many rows are relaxed together.
    bounds : pair of array_like, optional
        As in `Relaxation.sweep`: projected relaxation, for linear complementarity problems. The residual is then
        counted without what a bound holds back; where b = 0, `rtol` is relative to its first value.
    nullspace : "constant" or array_like of shape (n,), optional
        The vector v that a singular symmetric A maps to zero; any other is refused. A right-hand side whose part along
        v exceeds the tolerance is inconsistent. Else the solution that has no part along v is returned. With bounds,
        which choose the solution themselves, it has no effect.
    callback : callable, optional
        Called as `callback(x)` after each sweep with the array that is being worked on: copy it to keep it.
    progress : bool, default False
        Whether to show a bar, if tqdm is installed.

    Returns
    -------
    x : array of the shape of `b`
        Finite in every case.
    info : int, or array of shape (k,)
        0: converged. Positive: the sweeps done, `maxiter`. -1: diverged. -2: singular and inconsistent. -4: the limit
        of the dtype, no element changes any more, or the residual lies below 8 u (||A|| ||x|| + ||b||) and has not
        fallen by 2 percent in the last quarter of all sweeps, with ||A|| the largest sum of magnitudes in a row and
        u = 2^-53 (float32: 2^-24).

    Raises
    ------
    TypeError, ValueError
        As `Relaxation`, and if an argument has another type, shape or range.

    Notes
    -----
    One sweep is that of `Relaxation.sweep`. Where the norms of the sweeps fall by lambda, "adaptive" and "young" take
    mu = (lambda + omega - 1) / (omega sqrt(lambda)) for the Jacobi radius and omega = 2 / (1 + sqrt(1 - mu^2)),
    enlarged by a tenth of 2 - omega; the first change comes after 6 sweeps, others when transients have died out.
    "adaptive" keeps x before each change and goes back if the norms then fall no faster; for dense matrices, whose mean
    sum of |a_ij| / |a_ii| exceeds 4, it stays at 1. docs/solvers.md compares them. The check of the residual after the
    last sweeps costs one or two sweeps more. Tier: bitwise.

    References
    ----------
    D. M. Young, *Iterative Solution of Large Linear Systems*, Academic Press 1971, chapter 6. L. A. Hageman and D. M.
    Young, *Applied Iterative Methods*, Academic Press 1981, chapter 9: there the factor is only raised, up to given
    caps; here it may be large at once and is taken back on evidence. C. W. Cryer, "The solution of a quadratic
    programming problem using systematic overrelaxation", SIAM J. Control 9 (1971) 385, for bounds.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> n = 50
    >>> A = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    >>> x, info = sg.sor.sor(A, np.ones(n), rtol=1e-8)
    >>> info, float(x.max().round(4))
    (0, 325.0)
    """
    result = _result(
        A, b, x0, omega, rtol, atol, maxiter, sweep, order, blocksize, bounds, nullspace, callback, progress
    )
    return result.x, result.info


def sor_result(
    A: Any,
    b: npt.ArrayLike,
    x0: npt.ArrayLike | None = None,
    *,
    omega: float | str = "adaptive",
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    sweep: str = "forward",
    order: str = "natural",
    blocksize: int | None = 1,
    bounds: tuple[npt.ArrayLike | None, npt.ArrayLike | None] | None = None,
    nullspace: str | npt.ArrayLike | None = None,
    callback: Callable[[Array], Any] | None = None,
    progress: bool = False,
) -> SolveResult:
    """Solve A x = b as `sor` does, and tell how it went.

    Parameters
    ----------
    A, b, x0, omega, rtol, atol, maxiter, sweep, order, blocksize, bounds, nullspace, callback, progress : as of `sor`
        As those of `sor`.

    Returns
    -------
    SolveResult
        A named tuple of `x`, `info`, `iterations`, `residual_norm`, `norms` and `omegas` (an element per sweep) and
        `seconds`.

    Raises
    ------
    TypeError, ValueError
        As `sor`.

    Notes
    -----
    Tier: bitwise, but for `seconds`.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> n = 50
    >>> A = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    >>> result = sg.sor.sor_result(A, np.ones(n), omega=1.9, rtol=1e-8)
    >>> result.info, result.iterations, len(result.norms), float(result.omegas[-1])
    (0, 209, 209, 1.9)
    """
    return _result(A, b, x0, omega, rtol, atol, maxiter, sweep, order, blocksize, bounds, nullspace, callback, progress)


def _result(
    A: Any,
    b: npt.ArrayLike,
    x0: npt.ArrayLike | None,
    omega: float | str,
    rtol: float,
    atol: float,
    maxiter: int | None,
    sweep: str,
    order: str,
    blocksize: int | None,
    bounds: Any,
    nullspace: Any,
    callback: Any,
    progress: bool,
) -> SolveResult:
    size = blocksize_of("sor", A, blocksize)
    matrix = csr_of("sor", "A", A)
    right = columns_of("sor", "b", b, matrix.rows, None)
    start = None if x0 is None else columns_of("sor", "x0", x0, matrix.rows, None)
    dtype = np.result_type(matrix.data.dtype, right.dtype, right.dtype if start is None else start.dtype)
    relaxation = Relaxation(matrix, order=order, blocksize=size, dtype=dtype)
    return relaxation.solve(
        right,
        start,
        omega=omega,
        rtol=rtol,
        atol=atol,
        maxiter=maxiter,
        sweep=sweep,
        bounds=bounds,
        nullspace=nullspace,
        callback=callback,
        progress=progress,
    )

"""Conjugate gradients with symmetric successive over-relaxation, which find their own relaxation factor."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum._arguments.scalars import flag_of, int_of, number_of
from sorgum._core import sor as compiled
from sorgum.interop.arrays import shown
from sorgum.sor._operands import csr_of, vector_of
from sorgum.sor._relaxation import Relaxation
from sorgum.sor._solve import columns_of

__all__ = ["SsorCgResult", "SsorChebyshevResult", "solved", "ssor_cg", "ssor_cg_result"]

_BETWEEN_BARS = 16  # iterations between two looks at the progress bar


@dataclass(frozen=True)
class SsorCgResult:
    """What `ssor_cg_result` returns.

    Parameters
    ----------
    x : array of shape (n,) or (n, k)
        The solution, or what there is of it.
    info : int, or array of shape (k,)
        As that of `ssor_cg`.
    iterations : int, or array of shape (k,)
        How many were done; where `info` is -3, the one that showed that A is not positive definite was the next.
    residual_norm : float, or array of shape (k,)
        ||b - A x||, formed from x in float64.
    tolerance : float, or array of shape (k,)
        What it had to come below: max(atol, rtol ||b||).
    residuals : array of shape (m, 2), or a tuple of them
        Iterations that had been done, and the norm of the residual then: where it was formed from x, at the beginning,
        when omega changed, and when the recurrence said that it would do.
    omegas : array of shape (m, 2), or a tuple of them
        Iterations that had been done when omega changed, and to what; the first is that of the beginning.
    seconds : float
        Without the setting up of a Relaxation.
    """

    x: Array
    info: Any
    iterations: Any
    residual_norm: Any
    tolerance: Any
    residuals: Any
    omegas: Any
    seconds: float


@dataclass(frozen=True)
class SsorChebyshevResult(SsorCgResult):
    """What `ssor_chebyshev_result` returns: the fields of SsorCgResult, and one more.

    Parameters
    ----------
    lower_ends : array of shape (m, 2), or a tuple of them
        Iterations that had been done when a polynomial began, and the lower end of its interval; the upper one is 1.
    """

    lower_ends: Any


def ssor_cg(
    A: Any,
    b: npt.ArrayLike,
    x0: npt.ArrayLike | None = None,
    *,
    omega: float | str = "adaptive",
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    callback: Callable[[Array], Any] | None = None,
    progress: bool = False,
) -> tuple[Array, Any]:
    """Solve A x = b for a symmetric positive definite matrix by conjugate gradients with SSOR.

    Parameters
    ----------
    A : array_like or sparse matrix of shape (n, n), or Relaxation
        Symmetric, which is not checked, and positive definite, or positive semidefinite where b is in its range. As for
        `Relaxation`, which checks and copies it; one that exists already, in natural order, saves that work.
    b : array_like of shape (n,) or (n, k)
        float32 or float64, or bool and integers; finite. Where the types of A, b and x0 differ all are converted to
        float64; to that of a Relaxation. Each column is solved by itself, with a tolerance and factors of its own.
    x0 : array_like of the shape of `b`, optional
        The first guess, finite, 0 by default; left as it is.
    omega : float or "adaptive", default "adaptive"
        The relaxation factor, between 0 and 2. "adaptive" begins with 1 and changes it when that pays, see below.
    rtol, atol : float, default 1e-5 and 0.0
        The norm of the residual has to come below max(atol, rtol ||b||).
    maxiter : int, optional
        At least 1; by default min(max(10 n, 1000), 100000).
    callback : callable, optional
        Called as callback(x) after every iteration, with the x that is being worked on: copy it to keep it.
    progress : bool, default False
        Whether to show a bar of iterations, if tqdm is installed.

    Returns
    -------
    x : array of the shape of `b`
        Finite in every case.
    info : int, or array of shape (k,)
        0: converged, by the residual formed from x in float64. Positive: maxiter, that many iterations did not do. -1:
        diverged: numbers that are not finite turned up. -2: A is singular and b not in its range. -3: A is not positive
        definite, as its diagonal shows or a direction p with p'A p <= 0. -4: the dtype's accuracy is reached: the
        recurrence goes on but the residual formed from x does not, although it was begun anew. With -1, -2 and -3 x is
        that of the last time that omega changed, or x0.

    Raises
    ------
    TypeError, ValueError
        As `Relaxation`, or if another argument has a wrong type, shape or range.

    See Also
    --------
    ssor_cg_result : the same, with iterations and the history of omega.
    SSOR : the preconditioner alone.

    Notes
    -----
    Eisenstat's form: an iteration solves with either triangle of A and so reads the matrix once, as a product with A
    would. After 5, 8, 12, 18, ... iterations since omega changed, t'D t and t'L D^-1 U t of the search direction t say
    for every omega what the condition number is at least (M is linear in known functions of omega); where another omega
    promises 1.25 times fewer iterations, it is taken, with 2 - omega a quarter smaller than said, and the recurrence
    begins anew at x. Sums over vectors are exact over chunks of 4096 elements, so that nothing depends on the number of
    threads. Best in natural order on grids numbered along their axes; where rows are numbered at random, omega stays
    near 1. Tier: bitwise.

    References
    ----------
    S. C. Eisenstat, "Efficient implementation of a class of preconditioned conjugate gradient methods", SIAM J. Sci.
    Stat. Comput. 2 (1981). O. Axelsson, *Iterative Solution Methods*, Cambridge University Press 1994, section 7.2.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> A = np.array([[5.0, -2.0, 0.0], [-2.0, 6.0, -1.0], [0.0, -1.0, 3.0]])
    >>> x, info = sg.sor.ssor_cg(A, [1.0, -4.0, 2.0], rtol=1e-12)
    >>> x.round(6), info
    (array([-0.041096, -0.60274 ,  0.465753]), 0)
    """
    result = solved(
        "ssor_cg", A, b, x0, omega=omega, rtol=rtol, atol=atol, maxiter=maxiter, callback=callback, progress=progress
    )
    return result.x, result.info


def ssor_cg_result(
    A: Any,
    b: npt.ArrayLike,
    x0: npt.ArrayLike | None = None,
    *,
    omega: float | str = "adaptive",
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    callback: Callable[[Array], Any] | None = None,
    progress: bool = False,
) -> SsorCgResult:
    """Solve A x = b as `ssor_cg` does, and say how it went.

    Parameters
    ----------
    A, b, x0, omega, rtol, atol, maxiter, callback, progress : as of `ssor_cg`

    Returns
    -------
    SsorCgResult
        With the fields x, info, iterations, residual_norm, tolerance, residuals, omegas and seconds.

    Raises
    ------
    TypeError, ValueError
        As `ssor_cg`.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> A = np.array([[5.0, -2.0, 0.0], [-2.0, 6.0, -1.0], [0.0, -1.0, 3.0]])
    >>> result = sg.sor.ssor_cg_result(A, [1.0, -4.0, 2.0], rtol=1e-12)
    >>> result.iterations, result.omegas
    (3, array([[0., 1.]]))
    """
    return solved(
        "ssor_cg_result", A, b, x0, omega=omega, rtol=rtol, atol=atol, maxiter=maxiter, callback=callback,
        progress=progress,
    )  # fmt: skip


def solved(
    name: str,
    A: Any,
    b: npt.ArrayLike,
    x0: npt.ArrayLike | None,
    *,
    omega: float | str,
    rtol: float,
    atol: float,
    maxiter: int | None,
    callback: Callable[[Array], Any] | None,
    progress: bool,
    begin: float = 1.0,
    chebyshev: bool = False,
) -> SsorCgResult:
    """Solve A x = b as `ssor_cg` does.

    Parameters
    ----------
    name : str
        For error messages.
    A, b, x0, omega, rtol, atol, maxiter, callback, progress
        As of `ssor_cg`.
    begin : float, default 1.0
        The factor that "adaptive" begins with.
    chebyshev : bool, default False
        Whether by polynomials of Chebyshev, as `ssor_chebyshev` does.

    Returns
    -------
    SsorCgResult
        An `SsorChebyshevResult` where `chebyshev` is.
    """
    adaptive = isinstance(omega, str)
    if adaptive and omega != "adaptive":
        raise ValueError(f"{name}: omega must be 'adaptive' or a number, got {shown(omega)}")
    factor = begin if adaptive else number_of(name, "omega", omega)
    relative, absolute = number_of(name, "rtol", rtol), number_of(name, "atol", atol)
    limit = None if maxiter is None else int_of(name, "maxiter", maxiter)
    if limit is not None and limit < 1:
        raise ValueError(f"{name}: maxiter must be at least 1, got {limit}")
    if callback is not None and not callable(callback):
        raise TypeError(f"{name}: callback must be callable, got {shown(callback)}")
    bar = _bar(name) if flag_of(name, "progress", progress) else None  # None where tqdm is not installed
    right = vector_of(name, "b", b)
    first = None if x0 is None else vector_of(name, "x0", x0)
    relaxation = A if isinstance(A, Relaxation) else _relaxation(name, A, right, first)
    if relaxation.blocksize > 1:
        raise ValueError(f"{name}: A must be relaxed row by row, got a Relaxation of blocksize {relaxation.blocksize}")
    n, dtype = relaxation.shape[0], relaxation.dtype
    right = columns_of(name, "b", right, n, None)
    if first is not None:
        first = columns_of(name, "x0", first, n, None)
        if first.shape != right.shape:
            raise ValueError(f"{name}: x0 must have the shape of b, {right.shape}, got {first.shape}")
    x = np.zeros(right.shape, dtype) if first is None else np.array(first, dtype, order="C")
    began = time.perf_counter()
    limit = min(max(10 * n, 1000), 100000) if limit is None else min(limit, 2**63 - 1)
    step = 1 if callback is not None else _BETWEEN_BARS if bar is not None else 2**62
    solvers = []
    for k in range(1 if right.ndim == 1 else right.shape[1]):
        column, at = (np.ascontiguousarray(v if v.ndim == 1 else v[:, k], dtype) for v in (right, x))
        solver = compiled.SsorCg(
            relaxation._compiled, column, at, factor, adaptive, relative, absolute, limit, chebyshev
        )
        while not solver.finished:
            before = solver.iterations
            solver.run(step)
            if callback is not None and solver.iterations > before:
                callback(at[:])  # which nobody can resize
            if bar is not None:
                bar.update(solver.iterations - before)
        if x.ndim > 1:
            x[:, k] = at
        solvers.append(solver)
    if bar is not None:
        bar.close()
    histories: tuple[Any, ...] = tuple(
        tuple(np.array(history, np.float64).reshape(-1, 2) for history in kind)
        for kind in zip(*((s.residuals, s.omegas, s.lower_ends) for s in solvers), strict=True)
    ) or ((), (), ())
    seconds = time.perf_counter() - began
    if right.ndim == 1:
        only = solvers[0]
        numbers: tuple[Any, ...] = (only.info, only.iterations, only.residual, only.tolerance)
        histories = tuple(kind[0] for kind in histories)
    else:
        numbers = (
            np.array([solver.info for solver in solvers], np.int64),
            np.array([solver.iterations for solver in solvers], np.int64),
            np.array([solver.residual for solver in solvers], np.float64),
            np.array([solver.tolerance for solver in solvers], np.float64),
        )
    info, iterations, norm, tolerance = numbers
    residuals, omegas, lower_ends = histories
    if chebyshev:
        return SsorChebyshevResult(x, info, iterations, norm, tolerance, residuals, omegas, seconds, lower_ends)
    return SsorCgResult(x, info, iterations, norm, tolerance, residuals, omegas, seconds)


def _relaxation(name: str, A: Any, b: Array, x0: Array | None) -> Relaxation:
    """Of the type that A, b and x0 have in common."""
    matrix = csr_of(name, "A", A)
    dtype = np.result_type(matrix.data, b, *(() if x0 is None else (x0,)))
    return Relaxation(A, dtype=dtype)


def _bar(name: str) -> Any:
    try:
        tqdm = importlib.import_module("tqdm").tqdm
    except ImportError:
        return None
    return tqdm(unit="iteration", desc=name)

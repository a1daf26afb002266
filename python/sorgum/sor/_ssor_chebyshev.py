"""Polynomials of Chebyshev with symmetric successive over-relaxation, which find their own interval and factor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum.sor._ssor_cg import SsorChebyshevResult, solved

__all__ = ["ssor_chebyshev", "ssor_chebyshev_result"]


def ssor_chebyshev(
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
    """Solve A x = b for a symmetric positive definite matrix by Chebyshev acceleration of symmetric SOR.

    Parameters
    ----------
    A, b, x0, omega, rtol, atol, maxiter, callback, progress : as of `ssor_cg`

    Returns
    -------
    x : array of the shape of `b`
        Finite in every case.
    info : int, or array of shape (k,)
        As that of `ssor_cg`: 0 converged, positive maxiter, -1 diverged, -2 singular and b not in its range, -3 not
        positive definite, as its diagonal, a direction or a residual that grows shows, -4 the dtype's accuracy. With
        -1, -2 and -3 x is that of the last time that a polynomial began, or x0.

    Raises
    ------
    TypeError, ValueError
        As `ssor_cg`.

    See Also
    --------
    ssor_chebyshev_result : the same, with iterations and the history of the interval.
    ssor_cg : conjugate gradients, which need fewer iterations.

    Notes
    -----
    Iterations without products of vectors: x_k - x is a polynomial in M^-1 A, M that of `SSOR`, the one that is least
    on [a, 1]. No eigenvalue lies above 1, as M - A = omega / (2 - omega) F D^-1 F^T with F = (omega - 1) / omega D + L
    is positive semidefinite. The lower end a is found while it runs: the quotient t'A t / t'M t of a direction, and how
    much less than promised the residual fell, each say that an eigenvalue is at most so large. After 5, 8, 12, ...
    iterations since a polynomial began they are looked at, as is omega, by the rule of `ssor_cg`; a new polynomial
    begins, with a at 0.8 of what is known, where it promises 1.25 times fewer iterations. Until then eigenvalues
    below a fall more slowly, but they fall. Between looks no norm is formed, so that some iterations more than needed
    may be done. Tier: bitwise.

    References
    ----------
    L. A. Hageman and D. M. Young, *Applied Iterative Methods*, Academic Press 1981, chapters 4 and 5; S. C. Eisenstat,
    as in `ssor_cg`.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> A = np.array([[5.0, -2.0, 0.0], [-2.0, 6.0, -1.0], [0.0, -1.0, 3.0]])
    >>> x, info = sg.sor.ssor_chebyshev(A, [1.0, -4.0, 2.0], rtol=1e-12)
    >>> x.round(6), info
    (array([-0.041096, -0.60274 ,  0.465753]), 0)
    """
    result = solved(
        "ssor_chebyshev", A, b, x0, omega=omega, rtol=rtol, atol=atol, maxiter=maxiter, callback=callback,
        progress=progress, chebyshev=True,
    )  # fmt: skip
    return result.x, result.info


def ssor_chebyshev_result(
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
) -> SsorChebyshevResult:
    """Solve A x = b as `ssor_chebyshev` does, and say how it went.

    Parameters
    ----------
    A, b, x0, omega, rtol, atol, maxiter, callback, progress : as of `ssor_cg`

    Returns
    -------
    SsorChebyshevResult
        With the fields x, info, iterations, residual_norm, tolerance, residuals, omegas, seconds and lower_ends.

    Raises
    ------
    TypeError, ValueError
        As `ssor_cg`.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> A = np.array([[5.0, -2.0, 0.0], [-2.0, 6.0, -1.0], [0.0, -1.0, 3.0]])
    >>> result = sg.sor.ssor_chebyshev_result(A, [1.0, -4.0, 2.0], omega=1.0)
    >>> result.iterations, result.lower_ends.round(3)
    (5, array([[0.   , 0.732]]))
    """
    result = solved(
        "ssor_chebyshev_result", A, b, x0, omega=omega, rtol=rtol, atol=atol, maxiter=maxiter, callback=callback,
        progress=progress, chebyshev=True,
    )  # fmt: skip
    return cast(SsorChebyshevResult, result)

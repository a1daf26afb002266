"""Symmetric successive over-relaxation as a preconditioner, in the form that SciPy's solvers take."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum._arguments.scalars import number_of
from sorgum.interop.arrays import shown
from sorgum.sor._relaxation import Relaxation

__all__ = ["SSOR"]


def SSOR(A: Any, omega: float = 1.0, *, order: str = "natural", blocksize: int | None = 1) -> Any:
    """Return the preconditioner of symmetric successive over-relaxation: M^-1, as SciPy's solvers take it.

    Parameters
    ----------
    A : array_like or sparse matrix of shape (n, n), or Relaxation
        As for `Relaxation`, which checks and copies it; one that exists already is used as it is, with its shift.
    omega : float, default 1.0
        The relaxation factor, between 0 and 2. `ssor_cg` finds a good one: the last of its result's `omegas`.
    order : {"natural", "multicolor", "block_multicolor"}, default "natural"
        In which order the rows are relaxed, see `Relaxation`; not to be given with one. With conjugate gradients the
        multicolored order loses most of what omega gains, and the best omega of two colors is 1.

    blocksize : int, optional, default 1
        How many rows are relaxed together, see `Relaxation`, and D below is their blocks; not to be given with one.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator
        Of shape (n, n) and of the matrix's dtype, to which vectors are converted. `matvec` and `matmat` apply M^-1,
        `rmatvec` and `rmatmat` its transpose, which is the same of A^T; `omega` and `relaxation` are attributes.

    Raises
    ------
    ImportError
        If SciPy is not installed.
    TypeError, ValueError
        As `Relaxation`, or if `omega` is out of range.

    Notes
    -----
    M = omega / (2 - omega) (D / omega + L) D^-1 (D / omega + U), where A = L + D + U: a sweep forward and one backward
    that begin at 0. Each reads only the half of the matrix that it needs, so that both take the memory traffic of one
    product with A. If A is symmetric so is M; if A is symmetric positive definite, so is M, for every omega between 0
    and 2, and `cg` and `minres` may use it; `gmres` and `bicgstab` take any. M and its transpose are applied with
    errors of rounding that are not those of each other's transposes: <M^-1 u, v> and <u, M^-T v> agree to rounding.
    Tier: bitwise.

    References
    ----------
    O. Axelsson, *Iterative Solution Methods*, Cambridge University Press 1994, section 7.2.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> from scipy.sparse.linalg import cg
    >>> A = np.array([[5.0, -2.0, 0.0], [-2.0, 6.0, -1.0], [0.0, -1.0, 3.0]])
    >>> b = np.array([1.0, -4.0, 2.0])
    >>> x, info = cg(A, b, M=sg.sor.SSOR(A, 1.1), rtol=1e-10)
    >>> info, bool(sg.sor.residual_norm(A, x, b) < 1e-9)
    (0, True)
    """
    if isinstance(A, Relaxation):
        if order not in ("natural", A.order):
            raise ValueError(f"SSOR: order must be that of the Relaxation, {A.order!r}, got {shown(order)}")
        if blocksize not in (1, None, A.blocksize):
            raise ValueError(f"SSOR: blocksize must be that of the Relaxation, {A.blocksize}, got {shown(blocksize)}")
        relaxation, matrix = A, None
    else:
        relaxation, matrix = Relaxation(A, order=order, blocksize=blocksize), A
    return _operator_type()(relaxation, matrix, number_of("SSOR", "omega", omega))


@functools.cache
def _operator_type() -> type[Any]:
    """Return the class, which is made when it is first needed: its base is SciPy's."""
    try:
        linalg = importlib.import_module("scipy.sparse.linalg")
    except ImportError:
        raise ImportError("SSOR: SciPy must be installed, got none: pip install 'sorgum[sparse]'") from None

    class SSOROperator(linalg.LinearOperator):  # type: ignore[misc, name-defined]
        """M^-1 of symmetric successive over-relaxation; see `sorgum.sor.SSOR`."""

        def __init__(self, relaxation: Relaxation, matrix: Any, omega: float) -> None:
            super().__init__(relaxation.dtype, relaxation.shape)
            self.relaxation, self.omega, self._matrix = relaxation, omega, matrix
            self._transposed: Relaxation | None = None
            relaxation.precondition(np.zeros(relaxation.shape[0], relaxation.dtype), omega)  # refuses a wrong omega

        def _matvec(self, x: Array) -> Array:
            return self._apply(self.relaxation, x)

        def _matmat(self, x: Array) -> Array:
            return self._columns(self.relaxation, x)

        def _rmatvec(self, x: Array) -> Array:
            return self._apply(self._of_transpose(), x)

        def _rmatmat(self, x: Array) -> Array:
            return self._columns(self._of_transpose(), x)

        def _apply(self, relaxation: Relaxation, x: Array) -> Array:
            x = np.asarray(x)
            if x.dtype.kind not in "biuf":
                raise TypeError(f"SSOR: x must be real, got dtype {x.dtype}")
            return relaxation.precondition(x.ravel().astype(relaxation.dtype, copy=False), self.omega)

        def _columns(self, relaxation: Relaxation, x: Array) -> Array:
            applied = [self._apply(relaxation, column) for column in np.asarray(x).T]
            return np.stack(applied, axis=1) if applied else np.empty(x.shape, self.dtype)

        def _of_transpose(self) -> Relaxation:
            if self._transposed is None:
                if self._matrix is None:
                    raise TypeError("SSOR: A must be a matrix for the transpose to be formed, got a Relaxation")
                matrix = self._matrix.T if hasattr(self._matrix, "T") else np.asarray(self._matrix).T
                own = self.relaxation
                self._transposed = Relaxation(matrix, order=own.order, blocksize=own.blocksize)
            return self._transposed

    return SSOROperator

"""Many small systems of one pattern at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum._arguments.scalars import int_of, number_of
from sorgum._core import sor as compiled
from sorgum.interop.arrays import shown
from sorgum.sor._operands import contiguous, csr_of, vector_of
from sorgum.sor._solve import finite

__all__ = ["sor_batch"]


def sor_batch(
    A: Any,
    b: npt.ArrayLike,
    x0: npt.ArrayLike | None = None,
    *,
    data: npt.ArrayLike | None = None,
    shift: npt.ArrayLike | None = None,
    omega: str | npt.ArrayLike = "adaptive",
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
) -> tuple[Array, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Solve many small systems by successive over-relaxation, 16 at a time.

    Parameters
    ----------
    A : array_like or sparse matrix of shape (n, n)
        The pattern of all systems, and their values where `data` is not given. Several entries in one place add up in
        the order in which they are stored.
    b : array_like of shape (systems, n)
        Right-hand sides, finite.
    x0 : array_like of shape (systems, n), optional
        Where to begin; zeros by default.
    data : array_like of shape (systems, entries), optional
        The values of each system, as `A.data` has them; `A` then has to be sparse.
    shift : array_like of shape (systems,), optional
        System i has A + shift_i I, or `data` i with shift_i on its diagonal.
    omega : {"adaptive"}, float or array_like of shape (systems,), default "adaptive"
        The relaxation factor of all systems or of each, between 0 and 2; or found while solving, by the rule of `sor`.
    rtol, atol : float, default 1e-5 and 0.0
        A system is done when ||b - A x|| <= max(rtol ||b||, atol), in the 2-norm, formed in float64.
    maxiter : int, optional
        The most sweeps of a system; min(max(10 n, 1000), 100000) by default.

    Returns
    -------
    x : array of shape (systems, n)
        Finite in every case.
    info : array of int64 of shape (systems,)
        0: converged. Positive: so many sweeps, maxiter, were not enough. -1: diverged; x is then where it began.
    iterations : array of int64 of shape (systems,)
        The first sweep after which a system was done.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range, the arrays of `A` make no matrix, or a system has a diagonal
        that is missing or not normal, or entries that are not finite: the message names the first one.

    Notes
    -----
    All are float32 where all arrays are, else float64. System l of 16 lies in lane l of every vector. So the chain of a
    row, on which a sweep waits, is waited for once for all 16. A lane that is done takes the next system.
    With given factors, x has the bits of `iterations` sweeps of ``Relaxation.sweep`` in natural order from x0, whatever
    the other systems are. The residual is formed after every sweep, so that a sweep costs about two: worth it where n
    is small, up to some 1000, and systems are many. Tier: bitwise.

    See Also
    --------
    SequenceSolver : systems that come one after the other.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> A = 2 * np.eye(20) - np.eye(20, k=1) - np.eye(20, k=-1)
    >>> x, info, iterations = sg.sor.sor_batch(A, np.ones((3, 20)), shift=[0.1, 1.0, 4.0], omega=[1.5, 1.2, 1.0])
    >>> info, iterations
    (array([0, 0, 0]), array([25, 12,  8]))
    """
    name = "sor_batch"
    matrix = csr_of(name, "A", A)
    given: dict[str, Any] = {"b": b, "x0": x0, "data": data, "shift": shift}
    arrays = {key: vector_of(name, key, value) for key, value in given.items() if key == "b" or value is not None}
    dtype = np.result_type(matrix.data, *arrays.values())
    arrays = {key: contiguous(array.astype(dtype, copy=False)) for key, array in arrays.items()}
    right = arrays["b"]
    if right.ndim != 2 or right.shape[1] != matrix.rows:
        raise ValueError(f"{name}: b must have shape (systems, {matrix.rows}), got {right.shape}")
    count = right.shape[0]
    for key, shape in (("b", right.shape), ("x0", right.shape), ("shift", (count,))):
        if key in arrays:
            if arrays[key].shape != shape:
                raise ValueError(f"{name}: {key} must have shape {shape}, got {arrays[key].shape}")
            finite(name, key, arrays[key])
    factor = None
    if isinstance(omega, str):
        if omega != "adaptive":
            raise ValueError(f"{name}: omega must be 'adaptive' or numbers, got {shown(omega)}")
    else:
        factor = vector_of(name, "omega", omega).astype(np.float64)
        factor = np.full(count, factor) if factor.ndim == 0 else contiguous(factor)
    most = min(max(10 * matrix.rows, 1000), 100000) if maxiter is None else int_of(name, "maxiter", maxiter)
    if most < 1:
        raise ValueError(f"{name}: maxiter must be at least 1, got {shown(most)}")
    x = np.array(arrays["x0"], order="C") if x0 is not None else np.zeros_like(right, order="C")
    info, iterations = np.zeros(count, np.int64), np.zeros(count, np.int64)
    compiled.sor_batch(
        matrix.indptr,
        matrix.indices,
        contiguous(matrix.data.astype(dtype, copy=False)),
        matrix.rows,
        matrix.columns,
        arrays.get("data"),
        arrays.get("shift"),
        right,
        x,
        factor,
        number_of(name, "rtol", rtol),
        number_of(name, "atol", atol),
        min(most, 2**63 - 1),
        info,
        iterations,
    )
    return x, info, iterations

"""Sequences of related systems: the factor of each from what those before it took."""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum._arguments.scalars import int_of, number_of, require_option
from sorgum.interop.arrays import kind_of, shown
from sorgum.sor._iterate import DIVERGED
from sorgum.sor._operands import csr_of
from sorgum.sor._policies import Adaptive
from sorgum.sor._policy import Policy, factor_of, restored
from sorgum.sor._relaxation import Relaxation
from sorgum.sor._solve import columns_of, solve
from sorgum.sor._ssor_cg import solved

__all__ = ["SequenceResult", "SequenceSolver"]


class SequenceResult(NamedTuple):
    """What `SequenceSolver.solve` found, and how.

    Attributes
    ----------
    x : array of shape (n,)
        The solution, or where the iteration ended.
    info : int
        As that of `sor` or `ssor_cg`.
    iterations : int
        Sweeps done, or iterations of conjugate gradients; those of a probe and after the backstop are among them.
    residual_norm : float
        ||b - A x|| of the x returned, formed in float64.
    omega : float
        The factor that was chosen; where a solve finds its own, what it ended with.
    loss : float
        What the policy was told.
    backstopped : bool
        Whether the factor that was chosen was given up.
    seconds : float
        How long it took, with setting up the matrix.

    Examples
    --------
    >>> import sorgum as sg
    >>> result = sg.sor.SequenceSolver().solve([[2.0, 1.0], [1.0, 2.0]], [3.0, 3.0])
    >>> result.info, result.x.round(3), result.backstopped
    (0, array([1., 1.]), False)
    """

    x: Any
    info: int
    iterations: int
    residual_norm: float
    omega: float
    loss: float
    backstopped: bool
    seconds: float


class _Done(NamedTuple):
    """A part of a solve."""

    x: Array
    info: int
    iterations: int
    residual: float
    omega: float
    norms: Array | None


class SequenceSolver:
    """Solves one system after another, and learns from each which relaxation factor suits the next.

    Parameters
    ----------
    policy : Policy, optional
        Chooses the factors: `Adaptive` (the default), `YoungModel`, `Fixed`, `TsallisINF`, `TsallisINFBins`, `ChebCB`,
        or one of your own. It belongs to this solver.
    method : {"sor", "ssor_cg"}, default "sor"
        Relaxation, or conjugate gradients with symmetric relaxation, for symmetric positive definite matrices.
    rtol, atol : float, default 1e-5 and 0.0
        A solve ends when ||b - A x|| <= max(rtol ||b||, atol).
    maxiter : int, optional
        The most sweeps or iterations of a solve; min(max(10 n, 1000), 100000) by default.
    loss : {"sweeps", "seconds"}, default "sweeps"
        What the policy learns to keep small: sweeps or iterations, or the measured time of the solve without setting
        up the matrix. With sweeps everything is reproducible.
    backstop : float, default 4.0
        The most that a solve may take with the chosen factor, in multiples of the mean iterations of those before it.
        After that, or where it diverges, it goes on from where it is by ``omega="adaptive"``. At least 1; infinity for
        no such bound. The first system has no bound but `maxiter`.
    order : {"natural", "multicolor", "block_multicolor"}, default "natural"
        As in `Relaxation`; natural for "ssor_cg".

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or is out of range.

    Notes
    -----
    A matrix is checked and set up as a `Relaxation` when it is met; the next one with the same pattern only brings its
    values. Tier: bitwise for ``loss="sweeps"``, as are the policies here.

    References
    ----------
    M. Khodak, E. Chow, M.-F. Balcan and A. Talwalkar, "Learning to Relax: Setting Solver Parameters Across a Sequence
    of Linear System Instances", ICLR 2024. M. Khodak, M. K. Jung, B. Wynne, E. Chow and E. Bozdag, "PCGBandit: one-shot
    acceleration of transient PDE solvers via online-learned preconditioners", arXiv 2509.08765, for the backstop.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> K = 2 * np.eye(50) - np.eye(50, k=1) - np.eye(50, k=-1)
    >>> solver = sg.sor.SequenceSolver(rtol=1e-8)
    >>> for c in (0.05, 0.02, 0.03):
    ...     result = solver.solve(K + c * np.eye(50), np.ones(50))
    ...     print(result.info, result.iterations)
    0 74
    0 89
    0 94

    What was learned is kept as JSON:

    >>> import json
    >>> text = json.dumps(solver.state())
    >>> sg.sor.SequenceSolver().restore(json.loads(text))
    """

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        method: str = "sor",
        rtol: float = 1e-5,
        atol: float = 0.0,
        maxiter: int | None = None,
        loss: str = "sweeps",
        backstop: float = 4.0,
        order: str = "natural",
    ) -> None:
        """Check the parameters."""
        name = "SequenceSolver"
        self._policy = Adaptive() if policy is None else policy
        if not isinstance(self._policy, Policy):
            raise TypeError(f"{name}: policy must be a Policy, got {kind_of(policy)}")
        require_option(name, "method", method, "sor", "ssor_cg")
        require_option(name, "loss", loss, "sweeps", "seconds")
        require_option(name, "order", order, "natural", "multicolor", "block_multicolor")
        if method == "ssor_cg" and order != "natural":
            raise ValueError(f"{name}: order must be 'natural' for ssor_cg, got {shown(order)}")
        self._method, self._order, self._loss = method, order, loss
        self._rtol, self._atol = number_of(name, "rtol", rtol), number_of(name, "atol", atol)
        for argument, value in (("rtol", self._rtol), ("atol", self._atol)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name}: {argument} must be finite and not negative, got {value}")
        self._maxiter = None if maxiter is None else int_of(name, "maxiter", maxiter)
        if self._maxiter is not None and self._maxiter < 1:
            raise ValueError(f"{name}: maxiter must be at least 1, got {self._maxiter}")
        self._backstop = number_of(name, "backstop", backstop)
        if not self._backstop >= 1:
            raise ValueError(f"{name}: backstop must be at least 1, got {self._backstop}")
        self._solves, self._iterations = 0, 0
        self._pattern: tuple[Array, Array] | None = None
        self._relaxation: Relaxation | None = None

    def solve(self, A: Any, b: npt.ArrayLike, context: Any = None, x0: npt.ArrayLike | None = None) -> SequenceResult:
        """Solve the next system.

        Parameters
        ----------
        A : array_like or sparse matrix of shape (n, n), or Relaxation
            As for `Relaxation`, or one that you shift or give new values yourself.
        b : array_like of shape (n,)
            The right-hand side, finite.
        context : object, optional
            What you know of the system that matters to its factor, for the policy.
        x0 : array_like of shape (n,), optional
            Where to begin; zeros by default.

        Returns
        -------
        SequenceResult

        Raises
        ------
        TypeError, ValueError
            If an argument has another type or shape, the matrix is refused, or the policy refuses the context.

        Examples
        --------
        >>> import sorgum as sg
        >>> solver = sg.sor.SequenceSolver(sg.sor.Fixed(1.1), rtol=1e-10)
        >>> solver.solve([[4.0, -1.0], [-1.0, 4.0]], [3.0, 3.0]).x.round(6)
        array([1., 1.])
        """
        name, began = "SequenceSolver.solve", time.perf_counter()
        relaxation = self._relaxation_of(name, A, b, x0)
        n = relaxation.shape[0]
        right = columns_of(name, "b", b, n, relaxation.dtype)
        x = np.zeros_like(right) if x0 is None else columns_of(name, "x0", x0, n, relaxation.dtype)
        for argument, vector in (("b", right), ("x0", x)):
            if vector.ndim != 1:
                raise ValueError(f"{name}: {argument} must have shape ({n},), got {vector.shape}")
        most = min(max(10 * n, 1000), 100000) if self._maxiter is None else self._maxiter
        ready = time.perf_counter()
        policy, iterations, omega, backstopped = self._policy, 0, 1.0, False
        done = None
        probe = min(int_of(name, "policy.probe", policy.probe(context)), most)
        if probe > 0:
            done = self._part("sor", relaxation, right, x, 1.0, probe)
            policy.probed(context, done.norms)
            iterations = done.iterations
        if done is None or (done.info > 0 and iterations < most):
            start = x if done is None else done.x
            omega = factor_of(name, "policy.choose", policy.choose(context))
            left = most - iterations
            before = iterations
            limit = left if policy.adapts or self._solves == 0 else self._limit(left)
            done = self._part(self._method, relaxation, right, start, omega, limit, policy.adapts)
            iterations += done.iterations
            omega = done.omega
            backstopped = not policy.adapts and (done.info == DIVERGED or (done.info > 0 and iterations < most))
            if backstopped and iterations < most:
                done = self._part(self._method, relaxation, right, done.x, 1.0, most - iterations, adapts=True)
                iterations += done.iterations
            ended = time.perf_counter()
            loss = float(iterations - before) if self._loss == "sweeps" else ended - ready
            policy.learn(context, omega, loss)
        else:
            loss = float(iterations) if self._loss == "sweeps" else time.perf_counter() - ready
        self._solves += 1
        self._iterations += iterations
        info = iterations if done.info > 0 else done.info
        seconds = time.perf_counter() - began
        return SequenceResult(done.x, info, iterations, done.residual, omega, loss, backstopped, seconds)

    def state(self) -> dict[str, Any]:
        """Return all that has been learned.

        Returns
        -------
        dict
            Of numbers, lists and dicts, which JSON writes and reads back as they were. Parameters are not part of it,
            the keys of policies among them.
        """
        return {"solves": self._solves, "iterations": self._iterations, "policy": self._policy.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state: what is solved next has the bits that it would have had there.

        Parameters
        ----------
        state : dict
            What `state` returned, of a solver with the same parameters.

        Raises
        ------
        TypeError, ValueError
            If it is none: the solver then stays as it was.
        """
        name = "SequenceSolver.restore"
        own = {"solves": 0, "iterations": 0}
        if not isinstance(state, dict) or "policy" not in state:
            raise TypeError(f"{name}: state must be a dict with a policy's state, got {shown(state)}")
        found = restored(name, {key: value for key, value in state.items() if key != "policy"}, own)
        self._policy.restore(state["policy"])
        self._solves, self._iterations = found["solves"], found["iterations"]

    def _limit(self, left: int) -> int:
        most = self._backstop * max(self._iterations / self._solves, 1.0)
        return max(1, int(most)) if most < left else left

    def _relaxation_of(self, name: str, A: Any, b: npt.ArrayLike, x0: npt.ArrayLike | None) -> Relaxation:
        if isinstance(A, Relaxation):
            if self._method == "ssor_cg" and A.order != "natural":
                raise ValueError(f"{name}: A must have natural order for ssor_cg, got {A.order!r}")
            return A
        matrix = csr_of(name, "A", A)
        vectors = [columns_of(name, "b", b, matrix.rows, None)]
        vectors += [] if x0 is None else [columns_of(name, "x0", x0, matrix.rows, None)]
        dtype = np.result_type(matrix.data, *vectors)
        known, kept = self._pattern, self._relaxation
        if known is not None and kept is not None and kept.dtype == dtype and kept.shape == matrix.shape:
            same = (np.array_equal(old, new) for old, new in zip(known, (matrix.indptr, matrix.indices), strict=True))
            if all(same) and matrix.data.shape == matrix.indices.shape:
                kept.update_values(matrix.data)
                return kept
        made = Relaxation(matrix, order=self._order, dtype=dtype)
        self._pattern, self._relaxation = (matrix.indptr.copy(), matrix.indices.copy()), made
        return made

    def _part(
        self, method: str, relaxation: Relaxation, b: Array, x: Array, omega: float, most: int, adapts: bool = False
    ) -> _Done:
        choice: float | str = "adaptive" if adapts else omega
        if method == "ssor_cg":
            found = solved(
                "SequenceSolver.solve", relaxation, b, x, omega=choice, rtol=self._rtol, atol=self._atol, maxiter=most,
                callback=None, progress=False, begin=omega,
            )  # fmt: skip
            ended = float(found.omegas[-1, 1]) if adapts and len(found.omegas) else omega
            return _Done(found.x, found.info, found.iterations, found.residual_norm, ended, None)
        result = solve(
            relaxation._compiled, b, x, (None, None), omega=choice, rtol=self._rtol, atol=self._atol, maxiter=most,
            sweep="forward", nullspace=None, callback=None, progress=False, begin=omega,
        )  # fmt: skip
        ended = float(result.omegas[-1]) if adapts and len(result.omegas) else omega
        return _Done(result.x, result.info, result.iterations, result.residual_norm, ended, result.norms)

"""The loop of a solve: windows of sweeps in one compiled call each, what their norms mean, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum._core import sor as compiled
from sorgum.sor._omega import Rule, mean_factor

__all__ = [
    "CONVERGED",
    "DIVERGED",
    "INCONSISTENT",
    "LIMIT_OF_DTYPE",
    "Problem",
    "Progress",
    "dot",
    "iterate",
    "norm_of",
]

CONVERGED, DIVERGED, INCONSISTENT, LIMIT_OF_DTYPE = 0, -1, -2, -4

LONGEST_WINDOW = 256
LOOK_FROM = 6.0  # times the tolerance: at norms below it the residual is formed, which is up to so much smaller
ROUNDING = 8.0  # times u (||A|| ||x|| + ||b||): about where the residual of a rounded solution lies
PATIENCE = 50  # sweeps, at least, in which a residual as small as that must fall by 2 percent
FIRST_LOOK = 512  # sweeps, at least, between looks at a residual that stands still


def norm_of(vector: Array) -> float:
    """Return the 2-norm of a vector, the same on every machine."""
    n = vector.size
    return compiled.residual_norm(
        np.zeros(n + 1, np.int64), np.zeros(0, np.int64), np.zeros(0, vector.dtype), n, 0, vector[:0], vector
    )


@dataclass(frozen=True)
class Problem:
    """One right-hand side, and how it is swept."""

    matrix: compiled.Relaxation
    b: Array
    sweep: str
    lower: Array | None
    upper: Array | None
    tolerance: float
    limit: float  # of a norm: beyond it the iteration diverges
    largest_row: float  # of |A|, its norm
    most: int  # sweeps
    norm: Callable[[Array], float] = norm_of

    def residual(self, x: Array) -> float:
        """Return ||b - A x||, without what a bound holds back."""
        if self.lower is None and self.upper is None:
            return self.matrix.residual(x, self.b)
        r = np.empty(x.size)
        self.matrix.residual(x, self.b, r)
        step = r * np.sign(self.matrix.diagonal())  # in which direction x wants to go
        for bound, held in ((self.lower, step < 0), (self.upper, step > 0)):
            if bound is not None:
                r[held & (x == bound)] = 0
        return self.norm(r)

    def rounding(self, x: Array) -> float:
        """Return the residual below which the dtype of x may hold nothing better."""
        u = float(np.finfo(x.dtype).eps) / 2
        return ROUNDING * u * (self.largest_row * self.norm(x) + self.norm(self.b))


@dataclass
class Progress:
    """What has been done so far."""

    x: Array
    sweeps: int = 0
    norms: list[float] = field(default_factory=list)
    omegas: list[float] = field(default_factory=list)
    residual: float = math.inf


def iterate(problem: Problem, rule: Rule, at: Progress, after: Callable[[Progress], None], longest: int) -> int:
    """Sweep until the residual is small enough, or cannot become so.

    Parameters
    ----------
    problem : Problem
    rule : Rule
    at : Progress
        With the x to begin with, which is overwritten, and its residual.
    after : callable
        Called after each window.
    longest : int
        How many sweeps a window may have.

    Returns
    -------
    int
        As `sor` returns it.
    """
    if at.residual <= problem.tolerance:
        return CONVERGED
    kept, safe = at.x.copy(), at.x.copy()
    enough = LOOK_FROM * problem.tolerance  # of the norm: the residual is smaller, by an unknown factor
    norm, factor = math.inf, 1.0
    least, least_at, look = math.inf, 0, FIRST_LOOK
    while at.sweeps < problem.most:
        window = min(rule.window(), problem.most - at.sweeps, longest, max(3, at.sweeps // 4))
        window = min(window, _sweeps_until(norm, enough, factor, window))
        norms = np.empty(window)
        omega = rule.omega
        problem.matrix.sweep(at.x, problem.b, omega, problem.sweep, window, problem.lower, problem.upper, norms)
        seen = norms.tolist()
        at.norms += seen
        at.omegas += [omega] * window
        at.sweeps += window
        begin, norm = norm, seen[-1]
        factor = _factor(begin, seen)
        grown = not norm <= problem.limit
        action = rule.observe([*seen[:-1], math.inf] if grown else seen)
        if action == "undo":
            at.x[...] = kept
            norm, factor = math.inf, 1.0
        elif grown:
            at.x[...] = safe
            at.residual = problem.residual(at.x)
            return DIVERGED
        after(at)
        if action != "undo" and norm <= enough:
            at.residual = problem.residual(at.x)
            if at.residual <= problem.tolerance:
                return CONVERGED
            enough = min(0.95 * norm, norm * (problem.tolerance / at.residual))
            if norm == 0:  # no element changes any more
                return LIMIT_OF_DTYPE
        if norm <= 0.98 * least or rule.omega != omega:
            least, least_at = norm if rule.omega == omega else math.inf, at.sweeps
        elif at.sweeps - least_at >= max(PATIENCE, 4 / (2 - rule.omega), at.sweeps // 4):
            least_at = at.sweeps
            at.residual = problem.residual(at.x)
            if at.residual <= problem.tolerance:
                return CONVERGED
            if at.residual <= problem.rounding(at.x):
                return LIMIT_OF_DTYPE
        if action == "keep":
            kept[...] = at.x
        if action == "keep" or not norm < begin:
            safe[...] = at.x
        if at.sweeps >= look:
            look += max(FIRST_LOOK, at.sweeps // 4)
            if factor > 1 - 1e-6 and _is_drifting(problem, at, rule.omega):
                return INCONSISTENT
    at.residual = problem.residual(at.x)
    return CONVERGED if at.residual <= problem.tolerance else at.sweeps


def _factor(begin: float, norms: list[float]) -> float:
    """Return by what a sweep multiplies the norm, of late."""
    last = [begin, *norms] if math.isfinite(begin) else norms
    sweeps = 1
    while 2 * sweeps < len(last):
        sweeps *= 2
    return mean_factor(last[-1 - sweeps], last[-1], sweeps) if sweeps < len(last) and last[-1] > 0 else 1.0


def _sweeps_until(norm: float, enough: float, factor: float, most: int) -> int:
    """Return after how many sweeps the norm is small enough if it goes on falling as it does; `most` if not before."""
    sweeps = 1
    if not (factor < 1 and norm < math.inf):
        return most
    norm *= factor
    while norm > enough and sweeps < most:
        norm *= factor
        sweeps += 1
    return sweeps


def _is_drifting(problem: Problem, at: Progress, omega: float) -> bool:
    """Return whether x only moves along the null space, which never changes the residual: one more sweep shows it."""
    if problem.lower is not None or problem.upper is not None:
        return False
    before, norms = at.x.copy(), np.empty(1)
    problem.matrix.sweep(at.x, problem.b, omega, problem.sweep, 1, None, None, norms)
    step = at.x - before
    at.x[...] = before
    u = float(np.finfo(step.dtype).eps)
    size, rounded = problem.norm(step), u * problem.norm(before)
    still = problem.matrix.residual(step, np.zeros_like(step)) <= problem.largest_row * (1e3 * u * size + 16 * rounded)
    return still and size > 1e6 * rounded


def dot(row: Array, x: Array) -> float:
    """Return the product of two vectors of float64, one chain of fused multiply-adds."""

    def distance(b: float) -> float:
        n = x.size
        return compiled.residual_norm(np.array([0, n]), np.arange(n), row, 1, n, x, np.array([b]))

    size = distance(0.0)
    return size if distance(size) <= size else -size

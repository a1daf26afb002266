"""Equations of the points of a grid, relaxed until their residual is small enough."""

from __future__ import annotations

from itertools import product
from typing import Any, cast

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum._core import sor as compiled
from sorgum.sor._iterate import CONVERGED, LONGEST_WINDOW, Problem, Progress, iterate
from sorgum.sor._omega import Fixed, Rule
from sorgum.sor._solve import largest_norm, residual_wanted, rule_of

__all__ = ["solve_stencil"]

_NAME = "sor_stencil"


class _System:
    """The compiled stencil as `iterate` sweeps a matrix: vectors are grids, flattened."""

    def __init__(self, stencil: compiled.Stencil, shape: tuple[int, ...], diagonal: Array) -> None:
        self._stencil, self._shape, self._diagonal = stencil, shape, diagonal

    def sweep(
        self, x: Array, b: Array, omega: float, sweep: str, sweeps: int, lower: Any, upper: Any, norms: Array
    ) -> None:
        """Sweep in the order of the stencil: `sweep` is not looked at."""
        low, high = (None if bound is None else bound.reshape(self._shape) for bound in (lower, upper))
        self._stencil.sweep(x.reshape(self._shape), b.reshape(self._shape), omega, sweeps, low, high, norms)

    def residual(self, x: Array, b: Array, out: Array | None = None) -> float:
        """Return the norm of the residual."""
        to = None if out is None else out.reshape(self._shape)
        return self._stencil.residual(x.reshape(self._shape), b.reshape(self._shape), to)

    def diagonal(self) -> Array:
        """Return the coefficients of the points themselves."""
        return self._diagonal


def solve_stencil(
    stencil: compiled.Stencil,
    u: Array,
    f: Array,
    c: Array,
    mask: Array | None,
    sides: list[tuple[str, str]],
    bounds: tuple[Array | None, Array | None],
    omega: float | str,
    rtol: float,
    most: int,
) -> int:
    """Relax in place until ||residual|| is at most rtol times that of u = 0 in all points that are relaxed.

    Parameters
    ----------
    stencil : Stencil
        The compiled one.
    u, f : arrays of one shape and type
        `u` is overwritten, but under the mask.
    c, mask, sides, bounds
        What `stencil` was made of, and bounds.
    omega : float, "adaptive" or "young"
    rtol : float
    most : int
        Sweeps.

    Returns
    -------
    int
        As `sor_stencil` returns it.
    """
    own = np.empty(u.shape, u.dtype)
    stencil.diagonal(own)
    relaxed, there = own != 0, np.ones(u.shape, bool) if mask is None else ~mask
    _finite("u", u, there)
    _finite("f", f, relaxed)
    x, right = np.where(there, u, 0).astype(u.dtype), np.where(relaxed, f, 0).astype(u.dtype)
    lower, upper = bounds
    if lower is not None and upper is not None:
        lower = np.minimum(lower, upper)  # where they cross the upper one holds
    for bound, within in ((lower, np.maximum), (upper, np.minimum)):
        if bound is not None:
            x[relaxed] = within(x[relaxed], bound[relaxed])
    sizes = _sizes(c, there, sides)
    largest = float(np.max((sizes + np.abs(own))[relaxed], initial=0))
    weight = float(np.mean((sizes[relaxed] / np.abs(own[relaxed])).astype(np.float64))) if relaxed.any() else 0.0
    system = cast(compiled.Relaxation, _System(stencil, u.shape, own.reshape(-1)))
    flat = [None if bound is None else bound.reshape(-1) for bound in (lower, upper)]
    at, b = Progress(x.reshape(-1)), right.reshape(-1)
    problem = Problem(system, b, "forward", flat[0], flat[1], 0.0, 0.0, largest, most)
    at.residual = problem.residual(at.x)
    scale = system.residual(np.where(relaxed, 0, x).astype(u.dtype).reshape(-1), b)
    if scale == 0 and flat != [None, None]:
        scale = at.residual
    limit = largest_norm(u.dtype, max(scale, at.residual))
    problem = Problem(system, b, "forward", flat[0], flat[1], residual_wanted(rtol, scale, 0.0), limit, largest, most)
    rule: Rule = Fixed(omega) if isinstance(omega, float) else rule_of(omega, weight, "forward", 1.0)
    try:
        if scale == 0:
            x[relaxed] = 0
            return CONVERGED
        return iterate(problem, rule, at, lambda at: None, LONGEST_WINDOW)
    finally:
        u[there] = x[there]


def _finite(argument: str, array: Array, where: Array) -> None:
    wrong = ~np.isfinite(array) & where
    if wrong.any():
        at = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
        raise ValueError(f"{_NAME}: {argument} must be finite where rtol is given, got {array[at]} at {at}")


def _sizes(c: Array, there: Array, sides: list[tuple[str, str]]) -> Array:
    """Return the sum of |c_k| of each point over the neighbours that are there."""
    padded = there
    for axis, (side, _) in enumerate(sides):
        width = [(int(i == axis),) * 2 for i in range(there.ndim)]
        padded = np.pad(padded, width, mode="wrap" if side == "periodic" else "constant")
    box = list(product((-1, 0, 1), repeat=there.ndim))
    offsets = box if len(c) == len(box) else [k for k in box if sum(map(abs, k)) <= 1]
    total = np.zeros(there.shape, c.dtype)
    for coefficient, k in zip(c, offsets, strict=True):
        if any(k):
            near = tuple(slice(1 + i, 1 + i + n) for i, n in zip(k, there.shape, strict=True))
            total += np.where(padded[near] & there, np.abs(coefficient), 0)
    return total

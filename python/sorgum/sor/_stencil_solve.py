"""Equations of the points of a grid: swept, or relaxed until their residual is small enough."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import cast

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum._core import sor as compiled
from sorgum.sor._iterate import CONVERGED, LONGEST_WINDOW, Problem, Progress, iterate
from sorgum.sor._omega import Fixed, Rule
from sorgum.sor._solve import largest_norm, residual_wanted, rule_of
from sorgum.sor._stencil_arguments import StencilCall
from sorgum.sor._stencil_parts import Ranks, StencilSystem

__all__ = ["relax"]

_NAME = "sor_stencil"


def relax(call: StencilCall, ranks: Ranks, own: tuple[int, int, int] | None = None) -> int:
    """Relax `call.u` in place, which is contiguous.

    Parameters
    ----------
    call : StencilCall
        Of the rows that are here.
    ranks : Ranks
    own : tuple of three int, optional
        Which of the rows are own ones, and where they begin in the whole grid; all by default.

    Returns
    -------
    int
        As `sor_stencil` returns it.
    """
    u, sides = call.u, call.sides
    stencil = ranks.agreed(lambda: compiled.Stencil(call.c, u.shape, sides, call.mask, call.fixed, call.order, own))
    begin, end, at = own or (0, len(u), 0)
    system = StencilSystem(stencil, u, slice(begin, end), ranks)
    most = call.most(sum(ranks.gathered(end - begin)))
    if call.rtol is None:
        assert isinstance(call.omega, float)
        system.sweep(u, call.f, call.omega, call.order, most, *call.bounds)
        return CONVERGED
    return _solve(call, system, call.rtol, most, at)


def _solve(call: StencilCall, system: StencilSystem, rtol: float, most: int, at: int) -> int:
    """Relax until ||residual|| is at most rtol times that of u = 0 in all points that are relaxed."""
    u, ranks, own = call.u, system.ranks, system.own
    diagonal = system.diagonal().reshape(u.shape)
    relaxed, there = diagonal != 0, np.ones(u.shape, bool) if call.mask is None else ~call.mask

    def check() -> None:
        _finite("u", u[own], there[own], at)
        _finite("f", call.f[own], relaxed[own], at)

    ranks.agreed(check)
    x, right = np.where(there, u, 0).astype(u.dtype), np.where(relaxed, call.f, 0).astype(u.dtype)
    lower, upper = call.bounds
    if lower is not None and upper is not None:
        lower = np.minimum(lower, upper)  # where they cross the upper one holds
    for bound, within in ((lower, np.maximum), (upper, np.minimum)):
        if bound is not None:
            x[relaxed] = within(x[relaxed], bound[relaxed])
    sizes, counted = _sizes(call.c, there, call.sides), relaxed[own]
    largest = max(ranks.gathered(float(np.max((sizes + np.abs(diagonal))[own][counted], initial=0))))
    points = sum(ranks.gathered(int(np.count_nonzero(counted))))
    # The mean of sizes / |diagonal|, whose sum is that of the squares of these: in any order, and among ranks.
    roots = np.zeros(u.shape)
    roots[relaxed] = np.sqrt((sizes[relaxed] / np.abs(diagonal[relaxed])).astype(np.float64))
    weight = system.norm(roots) ** 2 / max(points, 1)
    matrix, flat = cast(compiled.Relaxation, system), [None if v is None else v.reshape(-1) for v in (lower, upper)]
    now, b = Progress(x.reshape(-1)), right.reshape(-1)
    problem = Problem(matrix, b, "forward", flat[0], flat[1], 0.0, 0.0, largest, most, system.norm)
    now.residual = problem.residual(now.x)
    scale = system.residual(np.where(relaxed, 0, x).astype(u.dtype).reshape(-1), b)
    if scale == 0 and flat != [None, None]:
        scale = now.residual
    limit = largest_norm(u.dtype, max(scale, now.residual))
    problem = replace(problem, tolerance=residual_wanted(rtol, scale, 0.0), limit=limit)
    rule: Rule = Fixed(call.omega) if isinstance(call.omega, float) else rule_of(call.omega, weight, "forward", 1.0)
    try:
        if scale == 0:
            x[relaxed] = 0
            return CONVERGED
        return iterate(problem, rule, now, lambda now: None, LONGEST_WINDOW)
    finally:
        u[there] = x[there]


def _finite(argument: str, array: Array, where: Array, first_row: int) -> None:
    wrong = ~np.isfinite(array) & where
    if wrong.any():
        at = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
        place = (at[0] + first_row, *at[1:])
        raise ValueError(f"{_NAME}: {argument} must be finite where rtol is given, got {array[at]} at {place}")


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

"""Equations of the points of a grid: swept, or relaxed until their residual is small enough."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import NamedTuple, cast

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


class _Start(NamedTuple):
    """What a solve begins with, of all rows that are here; the numbers are those of own rows."""

    x: Array
    b: Array
    there: Array
    relaxed: Array
    bounds: tuple[Array | None, Array | None]
    roots: Array  # their squares are the sums of |c_k| beside a point over its own coefficient
    largest: float  # sum of |c_k|
    points: int  # that are relaxed


def _start(call: StencilCall, diagonal: Array, own: slice, at: int) -> _Start:
    u = call.u
    relaxed, there = diagonal != 0, np.ones(u.shape, bool) if call.mask is None else ~call.mask
    _finite("u", u[own], there[own], at)
    _finite("f", call.f[own], relaxed[own], at)
    x, b = np.where(there, u, 0).astype(u.dtype), np.where(relaxed, call.f, 0).astype(u.dtype)
    lower, upper = call.bounds
    if lower is not None and upper is not None:
        lower = np.minimum(lower, upper)  # where they cross the upper one holds
    for bound, within in ((lower, np.maximum), (upper, np.minimum)):
        if bound is not None:
            x[relaxed] = within(x[relaxed], bound[relaxed])
    sizes, counted, roots = _sizes(call.c, there, call.sides), relaxed[own], np.zeros(u.shape)
    largest = float(np.max((sizes + np.abs(diagonal))[own][counted], initial=0))
    roots[relaxed] = np.sqrt((sizes[relaxed] / np.abs(diagonal[relaxed])).astype(np.float64))
    return _Start(x, b, there, relaxed, (lower, upper), roots, largest, int(np.count_nonzero(counted)))


def _solve(call: StencilCall, system: StencilSystem, rtol: float, most: int, at: int) -> int:
    """Relax until ||residual|| is at most rtol times that of u = 0 in all points that are relaxed."""
    u, ranks = call.u, system.ranks
    start = ranks.agreed(lambda: _start(call, system.diagonal().reshape(u.shape), system.own, at))
    x, b, relaxed = start.x, start.b.reshape(-1), start.relaxed
    sizes, counts = zip(*ranks.gathered((start.largest, start.points)), strict=True)
    weight = system.norm(start.roots) ** 2 / max(sum(counts), 1)
    matrix = cast(compiled.Relaxation, system)
    lower, upper = (None if bound is None else bound.reshape(-1) for bound in start.bounds)
    now = Progress(x.reshape(-1))
    problem = Problem(matrix, b, "forward", lower, upper, 0.0, 0.0, max(sizes), most, system.norm)
    now.residual = problem.residual(now.x)
    scale = system.residual(np.where(relaxed, 0, x).astype(u.dtype).reshape(-1), b)
    if scale == 0 and (lower is not None or upper is not None):
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
        u[start.there] = x[start.there]


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

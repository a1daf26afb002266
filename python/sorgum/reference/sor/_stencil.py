"""Equations of the points of a grid, relaxed one after the other."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["sor_stencil", "stencil_residual"]

_Array = npt.NDArray[Any]
_Point = tuple[int, ...]


def _offsets(ndim: int, count: int) -> list[_Point]:
    box = list(product((-1, 0, 1), repeat=ndim))
    return box if count == 3**ndim else [k for k in box if sum(map(abs, k)) <= 1]


class _Grid:
    def __init__(self, u: _Array, f: Any, c: _Array, mask: Any, fixed: Any, boundary: Any) -> None:
        self.u, self.f = u, np.broadcast_to(np.asarray(f, u.dtype), u.shape)
        self.c = c if c.ndim > 1 else np.broadcast_to(c.reshape(-1, *(1,) * u.ndim), (c.size, *u.shape))
        self.offsets = _offsets(u.ndim, c.shape[0])
        self.mask = np.zeros(u.shape, bool) if mask is None else np.asarray(mask)
        self.fixed = np.zeros(u.shape, bool) if fixed is None else np.asarray(fixed)
        axes = [boundary] * u.ndim if isinstance(boundary, str) else boundary
        self.sides = [(axis, axis) if isinstance(axis, str) else axis for axis in axes]

    def unknowns(self) -> Iterator[_Point]:
        spans = [
            range(int(before == "dirichlet"), n - int(after == "dirichlet"))
            for n, (before, after) in zip(self.u.shape, self.sides, strict=True)
        ]
        for x in product(*spans):
            if not self.mask[x] and not self.fixed[x]:
                yield x

    def neighbour(self, x: _Point, k: _Point) -> _Point | None:
        to = []
        for i, step, n, (before, _) in zip(x, k, self.u.shape, self.sides, strict=True):
            at = (i + step) % n if before == "periodic" else i + step
            if not 0 <= at < n:
                return None
            to.append(at)
        return None if self.mask[tuple(to)] else tuple(to)

    def row(self, x: _Point) -> tuple[Any, Any]:
        """Return the sum over the neighbours, and the point's own coefficient."""
        total, own = self.u.dtype.type(0), self.c[(len(self.offsets) // 2, *x)]
        for i, k in enumerate(self.offsets):
            if not any(k):
                continue
            to, c = self.neighbour(x, k), self.c[(i, *x)]
            if to is None:
                own = own + c
            else:
                total = total + c * self.u[to]
        return total, own


def sor_stencil(
    u: npt.ArrayLike,
    f: npt.ArrayLike,
    coefficients: npt.ArrayLike,
    *,
    mask: npt.ArrayLike | None = None,
    fixed: npt.ArrayLike | None = None,
    boundary: Any = "dirichlet",
    omega: float = 1.0,
    sweeps: int = 1,
    bounds: tuple[Any, Any] | None = None,
    order: str = "red_black",
    dtype: npt.DTypeLike = np.float64,
) -> _Array:
    """Relax the equations sum_k c_k u[x + k] = f: first the points of an even sum of indices, or all in turn.

    Parameters
    ----------
    u, f, coefficients, mask, fixed, boundary, omega, sweeps, bounds, order : optional but the first three
        As `sorgum.sor.sor_stencil` takes them; `u` is not changed.
    dtype : dtype, optional
        The type to compute in.

    Returns
    -------
    array
        u after the sweeps.

    Examples
    --------
    >>> u = np.zeros((3, 3))
    >>> float(sor_stencil(u, 4.0, [-1, -1, 4, -1, -1])[1, 1])
    1.0
    """
    values = np.array(u, dtype)
    grid = _Grid(values, f, np.asarray(coefficients, dtype), mask, fixed, boundary)
    low, high = (-np.inf, np.inf) if bounds is None else bounds
    low = np.broadcast_to(-np.inf if low is None else low, values.shape)
    high = np.broadcast_to(np.inf if high is None else high, values.shape)
    colored = order == "red_black"
    unknowns = sorted(grid.unknowns(), key=lambda x: (colored and sum(x) % 2, x))
    for _ in range(sweeps):
        for x in unknowns:
            total, own = grid.row(x)
            new = (1 - omega) * values[x] + omega * (grid.f[x] - total) / own
            values[x] = min(max(new, low[x]), high[x])
    return values


def stencil_residual(
    u: npt.ArrayLike,
    f: npt.ArrayLike,
    coefficients: npt.ArrayLike,
    *,
    mask: npt.ArrayLike | None = None,
    fixed: npt.ArrayLike | None = None,
    boundary: Any = "dirichlet",
    dtype: npt.DTypeLike = np.float64,
) -> _Array:
    """Return f - sum_k c_k u[x + k] of the points that are relaxed, 0 of the others.

    Parameters
    ----------
    u, f, coefficients, mask, fixed, boundary : optional but the first three
        As `sorgum.sor.sor_stencil` takes them.
    dtype : dtype, optional
        The type to compute in.

    Returns
    -------
    array

    Examples
    --------
    >>> float(stencil_residual(np.eye(3), 0.0, [-1, -1, 4, -1, -1])[1, 1])
    -4.0
    """
    values = np.array(u, dtype)
    grid, r = _Grid(values, f, np.asarray(coefficients, dtype), mask, fixed, boundary), np.zeros_like(values)
    for x in grid.unknowns():
        total, own = grid.row(x)
        r[x] = grid.f[x] - (total + own * values[x])
    return r

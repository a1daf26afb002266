"""What `sor_stencil` is asked for, checked: all that needs no look at other parts of the grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum._arguments.scalars import int_of, require_option
from sorgum.interop import bfloat16
from sorgum.interop.arrays import kind_of, plain, shown
from sorgum.sor._operands import contiguous, vector_of
from sorgum.sor._solve import omega_of, tolerance_of

__all__ = ["Sides", "StencilCall", "stencil_call"]

Sides: TypeAlias = str | tuple[str, str]

_NAME = "sor_stencil"
_SIDES = ("dirichlet", "neumann", "periodic")
_ORDERS = ("red_black", "multicolor", "lexicographic")


@dataclass
class StencilCall:
    """The arguments of a call, as the compiled stencil takes them."""

    u: Array  # the caller's
    f: Array
    c: Array
    mask: Array | None
    fixed: Array | None
    sides: list[tuple[str, str]]
    omega: float | str
    sweeps: int | None
    order: str
    bounds: tuple[Array | None, Array | None]
    rtol: float | None

    def most(self, rows: int) -> int:
        """Return how many sweeps to make at most, of a grid of so many rows in all."""
        if self.sweeps is not None:
            return self.sweeps
        return 1 if self.rtol is None else min(max(10 * max(rows, *self.u.shape[1:]), 1000), 100000)


def stencil_call(
    u: Any,
    f: npt.ArrayLike,
    coefficients: npt.ArrayLike,
    mask: npt.ArrayLike | None,
    fixed: npt.ArrayLike | None,
    boundary: Any,
    omega: float | str,
    sweeps: int | None,
    order: str,
    bounds: Any,
    rtol: float | None,
) -> StencilCall:
    """Return the arguments of `sor_stencil` without what its types allow and it does not.

    Parameters
    ----------
    u, f, coefficients, mask, fixed, boundary, omega, sweeps, order, bounds, rtol
        As `sor_stencil` documents them.

    Returns
    -------
    StencilCall
    """
    if not isinstance(u, np.ndarray):
        raise TypeError(f"{_NAME}: u must be an array, which is overwritten, got {kind_of(u)}")
    dtype = vector_of(_NAME, "u", u).dtype
    if u.dtype != dtype:
        raise TypeError(f"{_NAME}: u must have dtype float32 or float64, got {u.dtype}")
    if not u.flags.writeable:
        raise ValueError(f"{_NAME}: u must be writable, got a read-only array")
    right = _like(u, "f", f)
    c = vector_of(_NAME, "coefficients", coefficients)
    if c.ndim != 1 and c.shape[1:] != u.shape:
        raise ValueError(f"{_NAME}: coefficients must have shape (K,) or (K, ...) with the shape of u, got {c.shape}")
    if np.shares_memory(u, c):
        raise ValueError(f"{_NAME}: u must not overlap coefficients, got arrays that share memory")
    with np.errstate(all="ignore"):
        c = contiguous(c.astype(dtype, copy=False))
    absent, given = _mask(u, "mask", mask), _mask(u, "fixed", fixed)
    require_option(_NAME, "order", order, *_ORDERS)
    factor = omega_of(_NAME, omega, dtype)
    wanted = None if rtol is None else tolerance_of(_NAME, "rtol", rtol)
    if isinstance(factor, str) and wanted is None:
        raise ValueError(f"{_NAME}: omega must be a number where rtol is None, got {shown(omega)}")
    count = None if sweeps is None else _sweeps(sweeps, wanted is not None)
    pair = _bounds(u, bounds, absent)
    sides = _boundary(boundary, u.ndim)
    return StencilCall(u, right, c, absent, given, sides, factor, count, order, pair, wanted)


def _sweeps(sweeps: int, solves: bool) -> int:
    count = int_of(_NAME, "sweeps", sweeps)
    if solves and count < 1:
        raise ValueError(f"{_NAME}: sweeps must be at least 1 where rtol is given, got {count}")
    if count < 0:
        raise ValueError(f"{_NAME}: sweeps must not be negative, got {shown(count)}")
    return min(count, 2**63 - 1)


def _like(u: Array, argument: str, value: Any) -> Array:
    """Return an array of the shape and type of u that lies somewhere else."""
    values = vector_of(_NAME, argument, value)
    if values.ndim == 0:
        with np.errstate(all="ignore"):
            return np.full(u.shape, values, u.dtype)
    if not np.can_cast(values.dtype, u.dtype, "safe"):
        raise TypeError(f"{_NAME}: {argument} must have dtype {u.dtype}, got {values.dtype}")
    if np.shares_memory(u, values):
        raise ValueError(f"{_NAME}: u must not overlap {argument}, got arrays that share memory")
    return contiguous(_shaped(u, argument, values).astype(u.dtype, copy=False))


def _shaped(u: Array, argument: str, values: Array) -> Array:
    if values.shape != u.shape:
        raise ValueError(f"{_NAME}: {argument} must have shape {u.shape}, got {values.shape}")
    return values


def _mask(u: Array, argument: str, value: npt.ArrayLike | None) -> Array | None:
    if value is None:
        return None
    array = plain(_NAME, argument, value)
    if array.dtype != np.bool_:
        raise TypeError(f"{_NAME}: {argument} must be boolean, got dtype {bfloat16.text(array.dtype)}")
    return contiguous(_shaped(u, argument, array))


def _bounds(u: Array, bounds: object, mask: Array | None) -> tuple[Array | None, Array | None]:
    if bounds is None:
        return None, None
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise TypeError(f"{_NAME}: bounds must be a pair of arrays, numbers or None, got {shown(bounds)}")
    pair: list[Array | None] = []
    for k, never in ((0, np.inf), (1, -np.inf)):
        if bounds[k] is None:
            pair.append(None)
            continue
        values = _like(u, f"bounds[{k}]", bounds[k])
        wrong = np.isnan(values) | (values == never)
        if mask is not None:
            wrong &= ~mask
        if wrong.any():
            at = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
            raise ValueError(f"{_NAME}: bounds[{k}] must not be NaN or {never}, got {values[at]} at {at}")
        pair.append(values)
    return pair[0], pair[1]


def _boundary(boundary: Any, ndim: int) -> list[tuple[str, str]]:
    """Return the two sides of each axis."""
    axes = [boundary] * ndim if isinstance(boundary, str) else boundary
    if not isinstance(axes, tuple | list):
        raise TypeError(f"{_NAME}: boundary must be a string or a tuple of them, got {shown(boundary)}")
    if len(axes) != ndim:
        raise ValueError(f"{_NAME}: boundary must have one element for each of {ndim} axes, got {shown(boundary)}")
    pairs = []
    for axis in axes:
        pair = (axis, axis) if isinstance(axis, str) else axis
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"{_NAME}: boundary must have a string or a pair of them for each axis, got {shown(axis)}")
        for side in pair:
            require_option(_NAME, "boundary", side, *_SIDES)
        pairs.append((pair[0], pair[1]))
    return pairs

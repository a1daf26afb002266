"""The coefficients of a stencil from those of a differential operator."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum.interop.arrays import shown
from sorgum.sor._operands import vector_of

__all__ = ["stencil_coefficients"]

_NAME = "stencil_coefficients"


def stencil_coefficients(
    second: npt.ArrayLike,
    first: npt.ArrayLike | None = None,
    zeroth: npt.ArrayLike | None = None,
    *,
    spacing: npt.ArrayLike = 1.0,
) -> Array:
    """Return the coefficients that `sor_stencil` takes for a differential operator, by central differences.

    The operator is sum_ij second[i, j] d^2 u / dx_i dx_j + sum_i first[i] du / dx_i + zeroth u, with x_0 along the
    first axis of the grid.

    Parameters
    ----------
    second : array_like of shape (d, d) or (d, d, ...), d = 2 or 3
        The coefficients of second derivatives: numbers, or with the shape of the grid behind them. second[i, j] and
        second[j, i] are added where i and j differ.
    first : array_like of shape (d,) or (d, ...), optional
        Those of first derivatives.
    zeroth : array_like of shape () or of the grid, optional
        That of u.
    spacing : float, or array_like of shape (d,), default 1.0
        The distance between points, along all axes or along each.

    Returns
    -------
    array of float64 of shape (K,) or (K, ...)
        K is 2 d + 1 where all cross derivatives have coefficient 0, else 3^d: then more than two colors are needed
        (`order="multicolor"` or `"lexicographic"` of `sor_stencil`).

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or shape, or a spacing is not between 1e-150 and 1e150.

    Notes
    -----
    With k the unit vectors times spacing h: second derivatives along an axis are (u[x - k] - 2 u[x] + u[x + k]) / h^2,
    across two axes (u[x + k + l] - u[x + k - l] - u[x - k + l] + u[x - k - l]) / (4 h_k h_l), first ones
    (u[x + k] - u[x - k]) / (2 h). All of them are exact for polynomials of degree 2. Relaxation needs a diagonal that
    is large enough: it may diverge where cross or first derivatives outweigh the others. Tier: bitwise.

    References
    ----------
    R. J. LeVeque, *Finite Difference Methods for Ordinary and Partial Differential Equations*, SIAM 2007, chapters 1
    and 3.

    Examples
    --------
    u_yy + u_xx on points that are 0.1 apart along y and 0.2 along x:

    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.sor.stencil_coefficients(np.eye(2), spacing=(0.1, 0.2)).round(9)
    array([ 100.,   25., -250.,   25.,  100.])

    With a cross derivative there are nine:

    >>> c = sg.sor.stencil_coefficients([[1, 0.5], [0.5, 1]])
    >>> c.reshape(3, 3)
    array([[ 0.25,  1.  , -0.25],
           [ 1.  , -4.  ,  1.  ],
           [-0.25,  1.  ,  0.25]])
    >>> y, x = np.mgrid[0:30, 0:40] / 30
    >>> u = np.where((y > 0) & (y < 29 / 30) & (x > 0) & (x < 39 / 30), 0, x * y)
    >>> sg.sor.sor_stencil(u, 1 / 900, c, order="multicolor", omega=1.7, rtol=1e-10)  # of u = x y it is 1
    0
    >>> bool(np.abs(u - x * y).max() < 1e-8)
    True
    """
    a = _numbers("second", second)
    if a.ndim < 2 or a.shape[0] != a.shape[1] or a.shape[0] not in (2, 3):
        raise ValueError(f"{_NAME}: second must have shape (d, d) or (d, d, ...) with d = 2 or 3, got {a.shape}")
    d = a.shape[0]
    b = np.zeros(d) if first is None else _numbers("first", first)
    if b.ndim < 1 or b.shape[0] != d:
        raise ValueError(f"{_NAME}: first must have shape ({d},) or ({d}, ...), got {b.shape}")
    c = np.zeros(()) if zeroth is None else _numbers("zeroth", zeroth)
    grid = _grid({"second": a.shape[2:], "first": b.shape[1:], "zeroth": c.shape}, d)
    h = _spacing(spacing, d)

    with np.errstate(all="ignore"):
        return _formed(a, b, c, h, grid)


def _formed(a: Array, b: Array, c: Array, h: list[float], grid: tuple[int, ...]) -> Array:
    d = len(h)
    across = {(i, j): a[i, j] + a[j, i] for i in range(d) for j in range(i)}
    box = any(np.any(value != 0) for value in across.values())
    offsets = [k for k in product((-1, 0, 1), repeat=d) if box or sum(map(abs, k)) <= 1]
    out = np.zeros((len(offsets), *grid))
    middle = len(offsets) // 2
    out[middle] = c
    for n, k in enumerate(offsets):
        axes = [i for i in range(d) if k[i] != 0]
        if len(axes) == 1:
            (i,) = axes
            out[n] = a[i, i] / h[i] ** 2 + k[i] * (b[i] / (2 * h[i]))
        elif len(axes) == 2:
            j, i = axes
            out[n] = k[i] * k[j] * (across[i, j] / (4 * h[i] * h[j]))
    for i in range(d):
        out[middle] = out[middle] - 2 * (a[i, i] / h[i] ** 2)
    return out


def _numbers(argument: str, value: Any) -> Array:
    return vector_of(_NAME, argument, value).astype(np.float64)


def _grid(shapes: dict[str, tuple[int, ...]], d: int) -> tuple[int, ...]:
    """Return the shape of the grid: that of those arrays that have one."""
    grid: tuple[int, ...] = ()
    for argument, shape in shapes.items():
        if shape == ():
            continue
        if len(shape) != d or (grid not in ((), shape)):
            rule = f"have the shape {grid} of the grid" if grid else f"have {d} axes of the grid"
            raise ValueError(f"{_NAME}: {argument} must {rule} behind its own, got {shape}")
        grid = shape
    return grid


def _spacing(spacing: Any, d: int) -> list[float]:
    h = _numbers("spacing", spacing)
    if h.shape not in ((), (d,)):
        raise ValueError(f"{_NAME}: spacing must be a number or have shape ({d},), got shape {h.shape}")
    values = [float(v) for v in np.broadcast_to(h, (d,))]
    if not all(1e-150 <= v <= 1e150 for v in values):  # their squares are numbers, too
        raise ValueError(f"{_NAME}: spacing must be between 1e-150 and 1e150, got {shown(spacing)}")
    return values

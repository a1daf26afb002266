"""Equations of the points of a grid and their neighbours, relaxed without a matrix."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum._arguments.scalars import int_of, require_option
from sorgum._core import sor as compiled
from sorgum.interop import bfloat16
from sorgum.interop.arrays import kind_of, plain, shown
from sorgum.sor._operands import contiguous, vector_of
from sorgum.sor._solve import omega_of, tolerance_of
from sorgum.sor._stencil_solve import solve_stencil

__all__ = ["sor_stencil"]

Sides: TypeAlias = str | tuple[str, str]

_NAME = "sor_stencil"
_SIDES = ("dirichlet", "neumann", "periodic")


def sor_stencil(
    u: Array,
    f: npt.ArrayLike,
    coefficients: npt.ArrayLike,
    *,
    mask: npt.ArrayLike | None = None,
    fixed: npt.ArrayLike | None = None,
    boundary: Sides | tuple[Sides, ...] = "dirichlet",
    omega: float | str = 1.0,
    sweeps: int | None = None,
    order: str = "red_black",
    bounds: tuple[npt.ArrayLike | None, npt.ArrayLike | None] | None = None,
    rtol: float | None = None,
) -> int:
    """Relax the equations sum_k c_k u[x + k] = f of the points x of a grid, in place.

    Parameters
    ----------
    u : array of two or three dimensions
        float32 or float64, writable; overwritten. It includes the values that the sides and `fixed` give. All else is
        computed in its type.
    f : array_like of the shape of `u`, or a number
        The right-hand side: an array of the type of `u`, or of one whose values that type holds exactly; a number is
        rounded to it. There is no hidden h^2 and no hidden sign.
    coefficients : array_like of shape (K,), or (K, ...) with the shape of `u`
        c_k, the same for all points, or `coefficients[k][x]` for point x; rounded to the type of `u`. K is 5 in two
        dimensions: the offsets k are (-1, 0), (0, -1), (0, 0), (0, 1), (1, 0); and 7 in three: (-1, 0, 0), (0, -1, 0),
        (0, 0, -1), (0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0). Or it is 9 or 27, with all offsets of -1, 0 and 1: those
        of an array of shape (3, 3) or (3, 3, 3) around the point, flattened. Either way the point itself stands in the
        middle, and offsets ascend as tuples do. `stencil_coefficients` makes them from a differential operator.
    mask : array_like of bool, of the shape of `u`, optional
        True where there is no point, as on land. What `u`, `f`, `coefficients` and `bounds` have there, NaN too, is
        never read. A neighbour that is not there counts as the point itself: nothing flows there. A point without
        any neighbours, such as a lake of one, may so be left with a coefficient of 0: it has no equation, and the
        refusal names it. Add it to `mask` or `fixed`.
    fixed : array_like of bool, of the shape of `u`, optional
        True where a point keeps its value, which its neighbours see, as on a conductor.
    boundary : str, or a tuple of one for each axis; each of them a str or a pair for the two sides
        "dirichlet" (the default): the outermost points are given. "neumann": the outermost points are relaxed, and a
        neighbour beyond them counts as the point itself, so that nothing flows through the side, which lies half a
        step outside. "periodic", of both sides of an axis: the neighbour is at the other end.
    omega : float, "adaptive" or "young", default 1.0
        The relaxation factor, between 0 and 2; 1 makes a Gauss-Seidel sweep. "adaptive" and "young" find it while
        solving, as in `sor`, and need `rtol`.
    sweeps : int, optional
        How many, 1 by default. With `rtol`, the most; by default min(max(10 n, 1000), 100000), n the longest axis.
    order : {"red_black", "multicolor", "lexicographic"}, default "red_black"
        "red_black": first all points whose indices have an even sum are relaxed, then the others. Diagonal neighbours,
        as of 9 and 27 points, and a periodic axis of an odd number of points need more than two colors. "multicolor":
        as many as are needed, from two to 27. "lexicographic": one point after the other, along the last axis first, as
        loops without colors do it.
    bounds : pair of array_like, optional
        Arrays of the shape of `u` or numbers, or None, that no relaxed point falls below or exceeds, as for obstacles.
        Where the lower one is above the upper one, the upper one holds.
    rtol : float, optional
        Sweep until ||f - sum_k c_k u[x + k]||, the 2-norm over the points that are relaxed, formed in float64, is at
        most `rtol` times what it is where all of them are 0: the right-hand side with what given points add to it.
        With bounds it is counted without what a bound holds back. The norm is formed
        in each sweep, so that sweeps are made one at a time.

    Returns
    -------
    int
        Without `rtol` 0: all `sweeps` were made. With `rtol`, as `sor` returns it, 0: converged; positive: so many
        sweeps were not enough; -1: they diverged; -2: the system is singular and inconsistent; -4: the type allows no
        smaller residual.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range; if two colors are not enough: the message names how many are
        needed; if a point's own coefficient, with those of absent neighbours, has no normal reciprocal; if `u` overlaps
        another array.

    Notes
    -----
    A point becomes (1 - omega) u + (omega / d) (f - sum of c_k u[x + k] over the neighbours that are there), where
    d is c_0 and the coefficients of those that are not. The sum is one chain of fused multiply-adds in the order of
    the offsets; constant coefficients that are 0 are left out. In lexicographic order the term of the point before
    along the last axis comes after all else, as fma(-omega (c_k / d), u[x + k], ...). The error is at most (m + 5)
    u (omega (|f| + sum |c_k u|) / |d| + |1 - omega| |u|) with u = 2^-53 (float32: 2^-24) and m neighbours;
    docs/numerics/sor.md has the arithmetic.
    Several sweeps are made in one pass over memory where that is faster, with the bits of as many single ones: ask for
    all that you want at once. An interrupt (Ctrl-C) is heeded between sweeps, so that `u` always has whole ones. Tier:
    bitwise.

    References
    ----------
    D. M. Young, *Iterative Solution of Large Linear Systems*, Academic Press 1971, chapters 2 and 5.

    Examples
    --------
    Poisson's equation u_yy + u_xx = -1 on a unit square, u = 0 at its sides:

    >>> import numpy as np
    >>> import sorgum as sg
    >>> h = 1 / 32
    >>> u = np.zeros((33, 33))
    >>> c = np.array([1, 1, -4, 1, 1]) / h**2
    >>> sg.sor.sor_stencil(u, -1.0, c, omega=1.82, sweeps=100)
    0
    >>> float(u[16, 16].round(5))
    0.07361

    Coefficients of their own for each point, from the conductivity k between the points of two rows:

    >>> k = np.linspace(1, 2, 34)
    >>> c = np.zeros((5, 33, 33))
    >>> c[0], c[4] = k[:-1, None], k[1:, None]
    >>> c[1] = c[3] = (k[:-1, None] + k[1:, None]) / 2
    >>> c[2] = -(c[0] + c[1] + c[3] + c[4])
    >>> sg.sor.sor_stencil(u, -(h**2), c, omega="adaptive", rtol=1e-8)
    0
    >>> float(u[16, 16].round(5))
    0.04967
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
    if np.shares_memory(u, c):
        raise ValueError(f"{_NAME}: u must not overlap coefficients, got arrays that share memory")
    with np.errstate(all="ignore"):
        c = contiguous(c.astype(dtype, copy=False))
    absent, given = _mask("mask", mask), _mask("fixed", fixed)
    require_option(_NAME, "order", order, "red_black", "multicolor", "lexicographic")
    factor = omega_of(_NAME, omega, dtype)
    wanted = None if rtol is None else tolerance_of(_NAME, "rtol", rtol)
    if isinstance(factor, str) and wanted is None:
        raise ValueError(f"{_NAME}: omega must be a number where rtol is None, got {shown(omega)}")
    count = _sweeps(sweeps, u.shape, wanted is not None)
    lower, upper = _bounds(u, bounds, absent)
    sides = _boundary(boundary, u.ndim)
    stencil = compiled.Stencil(c, u.shape, sides, absent, given, order)
    target = u if u.flags.c_contiguous and u.flags.aligned else np.array(u, order="C")
    try:
        if wanted is not None:
            return solve_stencil(stencil, target, right, c, absent, sides, (lower, upper), factor, wanted, count)
        assert isinstance(factor, float)
        stencil.sweep(target, right, factor, count, lower, upper)
        return 0
    finally:
        if target is not u:
            u[...] = target


def _sweeps(sweeps: int | None, shape: tuple[int, ...], solves: bool) -> int:
    if sweeps is None:
        return min(max(10 * max(shape, default=0), 1000), 100000) if solves else 1
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
    return contiguous(values.astype(u.dtype, copy=False))


def _mask(argument: str, value: npt.ArrayLike | None) -> Array | None:
    if value is None:
        return None
    array = plain(_NAME, argument, value)
    if array.dtype != np.bool_:
        raise TypeError(f"{_NAME}: {argument} must be boolean, got dtype {bfloat16.text(array.dtype)}")
    return contiguous(array)


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
        if mask is not None and mask.shape == wrong.shape:
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

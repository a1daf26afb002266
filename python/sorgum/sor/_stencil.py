"""Equations of the points of a grid and their neighbours, relaxed without a matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum.sor._stencil_arguments import Sides, stencil_call
from sorgum.sor._stencil_parts import Alone
from sorgum.sor._stencil_solve import relax

__all__ = ["sor_stencil"]


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
        Where a bound keeps a point from moving on, its residual does not count. The norm is formed in each sweep, so
        that sweeps are made one at a time.

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
    call = stencil_call(u, f, coefficients, mask, fixed, boundary, omega, sweeps, order, bounds, rtol)
    if u.flags.c_contiguous and u.flags.aligned:
        return relax(call, Alone())
    call.u = np.array(u, order="C")
    try:
        return relax(call, Alone())
    finally:
        u[...] = call.u

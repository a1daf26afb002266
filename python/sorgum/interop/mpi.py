"""Grids whose rows many processes share, on one machine or on many: `sorgum.sor` over the ranks of MPI."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum._arguments.scalars import int_of, require_option
from sorgum._core import sor as compiled
from sorgum.interop.arrays import shown
from sorgum.interop.ranks import Ranks, window_of
from sorgum.sor._stencil_arguments import Sides, StencilCall, stencil_call
from sorgum.sor._stencil_solve import relax

__all__ = ["slab", "sor_stencil"]

_NAME = "sor_stencil"

_MOST_AT_ONCE = 8  # sweeps between messages: the compiled ones gain little from more in one pass over memory
_SHARE = 32  # a rank copies at most one row on either side for so many of its own
_POINT_SWEEPS = 1 << 28  # between messages: a fraction of a second, after which an interrupt is heeded


def slab(comm: Any, rows: int) -> slice:
    """Return which rows of a grid are those of this rank if all get as many.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm
    rows : int
        Of the whole grid.

    Returns
    -------
    slice
        Contiguous; ranks in order have rows in order, the first ones one more where they cannot be shared evenly. Ranks
        beyond the number of rows have none.

    Examples
    --------
    >>> from mpi4py import MPI  # doctest: +SKIP
    >>> from sorgum.interop import mpi  # doctest: +SKIP
    >>> mpi.slab(MPI.COMM_WORLD, 1000)  # doctest: +SKIP
    slice(0, 500, None)
    """
    count = int_of("slab", "rows", rows)
    if count < 0:
        raise ValueError(f"slab: rows must not be negative, got {count}")
    rank, size = comm.Get_rank(), comm.Get_size()
    each, more = divmod(count, size)
    first = rank * each + min(rank, more)
    return slice(first, first + each + (rank < more))


def sor_stencil(
    comm: Any,
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
    """Relax the equations of a grid whose rows the ranks of a communicator share: `sorgum.sor.sor_stencil`.

    All ranks call it together, each with its own rows: the parts of the grid along the first axis, in the order of
    the ranks, of any lengths. `slab` says which they are if all have as many.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm
        It is duplicated, so that our messages meet no others.
    u : array of two or three dimensions
        This rank's rows, perhaps none, and nobody else's; overwritten. Shapes may differ along the first axis alone.
    f, mask, fixed, bounds
        As `sorgum.sor.sor_stencil` takes them, of the shape of this rank's `u`.
    coefficients : array_like of shape (K,), or (K, ...) with the shape of this rank's `u`
    boundary, omega, sweeps, rtol
        As `sorgum.sor.sor_stencil` takes them, of the whole grid, and the same on all ranks.
    order : {"red_black", "multicolor"}, default "red_black"

    Returns
    -------
    int
        What `sorgum.sor.sor_stencil` returns, on all ranks.

    Raises
    ------
    TypeError, ValueError
        As of `sorgum.sor.sor_stencil`. What is wrong on one rank is raised on all of them, and the message ends with
        that rank; points in messages are those of the whole grid. Also if an argument that must be the same on all
        ranks is not; if an odd number of rows is periodic with `order="multicolor"`.

    Notes
    -----
    The bits are those of `sorgum.sor.sor_stencil` on the whole grid, of `u` and of every decision of a solve, however
    rows are shared: norms come from exact sums, which ranks add as integers. Each rank copies rows of its neighbours,
    as many as passes over colors follow until it copies them again, and relaxes them, too. So messages are few: two
    for up to 8 sweeps, and in solves one sum of all ranks for up to 256. Besides `u` a rank has one copy of each array
    it was given. An interrupt (Ctrl-C) of one rank is raised on all of them, between sweeps. Each rank has threads of
    its own: where several share a machine, `sorgum.set_num_threads` or SORGUM_NUM_THREADS divides its cores. mpi4py
    and an MPI come with the extra `mpi`. Tier: bitwise.

    Examples
    --------
    On two ranks, as `mpiexec -n 2 python poisson.py` starts them:

    >>> import numpy as np
    >>> from mpi4py import MPI  # doctest: +SKIP
    >>> from sorgum.interop import mpi  # doctest: +SKIP
    >>> comm = MPI.COMM_WORLD  # doctest: +SKIP
    >>> u = np.zeros((1000, 1000))[mpi.slab(comm, 1000)]  # doctest: +SKIP
    >>> mpi.sor_stencil(comm, u, 1.0, [-1, -1, 4, -1, -1], omega="adaptive", rtol=1e-6)  # doctest: +SKIP
    0
    >>> whole = comm.gather(u)  # doctest: +SKIP
    >>> if comm.rank == 0:  # doctest: +SKIP
    ...     np.save("u.npy", np.concatenate(whole))
    """
    with Ranks(_NAME, comm) as ranks:

        def read() -> StencilCall:
            require_option(_NAME, "order", order, "red_black", "multicolor")
            return stencil_call(u, f, coefficients, mask, fixed, boundary, omega, sweeps, order, bounds, rtol)

        call = ranks.agreed(read)
        parts = ranks.gathered((_same(call), u.shape[:1], u.size))
        for rank, (same, _, _) in enumerate(parts):
            for (argument, first), (_, value) in zip(parts[0][0], same, strict=True):
                if value != first:
                    raise ValueError(
                        f"{_NAME}: {argument} must be the same on all ranks, got {shown(first)} on rank 0 and "
                        f"{shown(value)} on rank {rank}"
                    )
        starts = [0, *accumulate(sum(rows) for _, rows, _ in parts)]
        colors = _colors(call, starts[-1])
        call = _window(ranks, call, starts, colors, max(points for _, _, points in parts))
        own = ranks.own
        try:
            return relax(call, ranks, (own.start, own.stop, starts[ranks.rank]))
        finally:
            u[...] = call.u[own]


def _same(call: StencilCall) -> list[tuple[str, Any]]:
    """Return what must be the same on all ranks, by the argument that says it."""
    c = call.c
    return [
        ("dtype of u", str(call.u.dtype)),
        ("number of axes of u", call.u.ndim),
        ("shape of u but its rows", call.u.shape[1:]),
        ("coefficients", str(c.tolist()) if c.ndim == 1 else f"{len(c)} arrays"),
        ("boundary", call.sides),
        ("omega", call.omega),
        ("sweeps", call.sweeps),
        ("order", call.order),
        ("rtol", call.rtol),
        ("presence of mask", call.mask is not None),
        ("presence of fixed", call.fixed is not None),
        ("presence of bounds", tuple(bound is not None for bound in call.bounds)),
    ]


def _colors(call: StencilCall, rows: int) -> int:
    """Return how many colors the whole grid needs, or refuse its shape: only its parts are looked at later."""
    c = np.ones(len(call.c), call.c.dtype)
    if call.c.ndim == 1:
        c[call.c == 0] = 0
        c[len(c) // 2 : len(c) // 2 + 1] = 1
    shape = (rows, *call.u.shape[1:]) if call.u.ndim > 0 else ()
    colors = compiled.Stencil(c, shape, call.sides, None, None, call.order).colors
    if call.order == "multicolor" and call.sides[0][0] == "periodic" and rows % 2 != 0:
        raise ValueError(f"{_NAME}: u must have an even number of rows in all where they are periodic, got {rows}")
    return colors


def _window(ranks: Ranks, call: StencilCall, starts: list[int], colors: int, points: int) -> StencilCall:
    """Return the call for the rows of this rank and those beside them, so many that some sweeps need no messages."""
    least = min((end - begin for begin, end in pairwise(starts) if end > begin), default=0)
    most = 1 if call.sweeps is None and call.rtol is None else call.most(starts[-1])
    at_once = max(1, min(most, _MOST_AT_ONCE, least // (_SHARE * colors), _POINT_SWEEPS // max(points, 1)))
    periodic = call.sides[0][0] == "periodic"
    windows = [window_of(starts, rank, at_once * colors, periodic) for rank in range(ranks.size)]
    ranks.take(windows, at_once)
    begin, end, _, _ = windows[ranks.rank]
    first, last = call.sides[0]
    side = (
        first if begin == 0 and not periodic else "dirichlet",  # what is given, and in time wrong: no own row
        last if end == starts[-1] and not periodic else "dirichlet",
    )
    varies = call.c.ndim > 1
    lower, upper = (None if bound is None else ranks.window(bound) for bound in call.bounds)
    return replace(
        call,
        u=ranks.window(call.u),
        f=ranks.window(call.f),
        c=np.stack([ranks.window(c) for c in call.c]) if varies else call.c,
        mask=None if call.mask is None else ranks.window(call.mask),
        fixed=None if call.fixed is None else ranks.window(call.fixed),
        bounds=(lower, upper),
        sides=[side, *call.sides[1:]],
    )

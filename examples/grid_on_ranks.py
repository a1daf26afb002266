"""Groundwater between two rivers and two wells, in soil that nobody holds as a whole: each process has some rows.

The head u of the water solves div(k grad u) = q. The conductivity k of the soil is random, the same for any number of
processes: a row of soil draws its numbers from a stream of its own. So is the head, to the last bit. Started without
mpiexec, one process has all rows.

Usage: mpiexec -n 2 python grid_on_ranks.py [PICTURE.png [ROWS]], which draws it (needs matplotlib); on so many rows,
256 by default. With "time" in place of the picture it is timed instead: as many sweeps of a grid that grows with the
number of ranks, and the same grid on as many threads of one process. Needs mpi4py and an MPI, the extra mpi.
"""

import functools
import hashlib
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import sorgum as sg
from sorgum.interop import mpi

try:
    from mpi4py import MPI
except ModuleNotFoundError:
    print("grid_on_ranks.py needs mpi4py", file=sys.stderr)
    sys.exit(77)  # for tests: skipped

comm = MPI.COMM_WORLD
BLOCK = 8  # points of the same soil, along either axis


def conductivity(first: int, last: int, columns: int) -> Any:
    """Return k of rows [first, last): in lenses that are longer than high."""
    blocks = np.arange(first, last) // BLOCK
    streams = np.arange(blocks[0], blocks[-1] + 3).astype(np.uint64)
    noise = sg.random.normal((len(streams), columns // BLOCK + 9), rng=7, dtype=np.float64, streams=streams)
    noise = sum(noise[i : len(noise) - 2 + i] for i in range(3))
    noise = sum(noise[:, i : noise.shape[1] - 8 + i] for i in range(9)) / 27**0.5
    return np.exp(np.repeat(noise[blocks - blocks[0]], BLOCK, axis=1)[:, :columns])


def soil(rows: slice, total: int, columns: int) -> tuple[Any, Any]:
    """Return the coefficients of own rows, and what the wells take there."""
    k = conductivity(max(rows.start - 1, 0), min(rows.stop + 1, total), columns)
    k = np.pad(k, ((rows.start == 0, rows.stop == total), (1, 1)), mode="edge")
    here, c = k[1:-1, 1:-1], np.zeros((5, rows.stop - rows.start, columns))
    for n, beside in ((0, k[:-2, 1:-1]), (1, k[1:-1, :-2]), (3, k[1:-1, 2:]), (4, k[2:, 1:-1])):
        c[n] = 2 * here * beside / (here + beside)
    c[2] = -c.sum(axis=0)
    f = np.zeros(here.shape)
    for y, x in ((total // 3, columns // 2), (3 * total // 4, 4 * columns // 5)):
        if rows.start <= y < rows.stop:
            f[y - rows.start, x] = 0.5
    return c, f


def gather_quietly() -> None:
    """Wait until all ranks are here, without taking time from those who work."""
    here = comm.Ibarrier()
    while not here.Test():
        time.sleep(1e-4)


def best_of(call: Callable[[], Any], alone: bool, repeat: int = 5) -> float:
    """Return the least time in ms that all ranks, or the first one alone, took for it."""
    times = []
    for _ in range(repeat):
        comm.Barrier()
        begin = time.perf_counter()
        if comm.rank == 0 or not alone:
            call()
        times.append(1e3 * (time.perf_counter() - begin))
        gather_quietly()
    return float(min(times))


def alone(comm: Any, *given: Any, **options: Any) -> int:
    """Relax in one process."""
    return sg.sor.sor_stencil(*given, **options)


def timed(rows: int, columns: int) -> None:
    """Print how long sweeps take, of so many rows for each rank."""
    five, calls = [1.0, 1, -4, 1, 1], {"64 sweeps": {"sweeps": 64}, "a solve of 32 sweeps": {"sweeps": 32, "rtol": 0.0}}
    for name, options in calls.items():
        found = []
        for relax, threads, parts in ((alone, 1, 1), (mpi.sor_stencil, 1, 1), (alone, comm.size, comm.size)):
            sg.set_num_threads(threads)
            u, f = np.zeros((rows * parts, columns)), np.ones((rows * parts, columns))
            call = functools.partial(relax, comm, u, f, five, omega=1.5, **options)
            found.append(best_of(call, relax is alone))
        if comm.rank == 0:
            print(f"{name}: {rows} rows on one process {found[0]:.1f} ms, as many on each of {comm.size} ranks")
            print(f"  {found[1]:.1f} ms, all of them on {comm.size} threads of one process {found[2]:.1f} ms")


if sys.argv[1:2] == ["time"]:
    timed(int(sys.argv[2]) if sys.argv[2:] else 1024, 2048)
    sys.exit()

total, columns = int(sys.argv[2]) if sys.argv[2:] else 256, 384
rows = mpi.slab(comm, total)
c, f = soil(rows, total, columns)
u = np.ones(f.shape)  # at the left and at the right, the rivers; nothing flows through the other sides
sides = ("neumann", "dirichlet")
info = mpi.sor_stencil(comm, u, f, c, boundary=sides, omega="adaptive", rtol=1e-6)
parts = comm.gather(u)
starts = comm.gather(rows.start)
assert info == 0
if parts is not None:
    head = np.concatenate(parts)
    low = np.unravel_index(int(head.argmin()), head.shape)
    print(f"ranks: {comm.size}, points: {head.size}; the head falls from 1 to {head.min():.4f} at row {low[0]}")
    print(f"SHA-256 {hashlib.sha256(head.tobytes()).hexdigest()}")

if sys.argv[1:] and parts is not None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.3), layout="constrained")
    left = axes[0].imshow(np.log10(conductivity(0, total, columns)), cmap="BrBG_r")
    figure.colorbar(left, ax=axes[0], shrink=0.85, label="log10 of the conductivity")
    right = axes[1].imshow(head, cmap="Blues_r", vmin=0.6)
    axes[1].contour(head, levels=20, colors="white", linewidths=0.5)
    figure.colorbar(right, ax=axes[1], shrink=0.85, label="head")
    for axis in axes:
        axis.axis("off")
        for start in starts[1:]:
            axis.axhline(start - 0.5, color="#D55E00", linewidth=1.2, linestyle="--")
    figure.savefig(sys.argv[1], dpi=110)

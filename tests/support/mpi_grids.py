"""Grids for ranks of MPI: what one process makes of them, and as a program, under mpiexec, what ranks do."""

import hashlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

import sorgum as sg
from sorgum._data.inputs import logits
from sorgum.interop import mpi

FIVE = np.array([1.0, 1, -4.05, 1, 1])
SEVEN = np.array([1.0, 1, 1, -6.05, 1, 1, 1])


def field(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Any:
    return logits(int(np.prod(shape)), np.dtype(dtype), seed=seed).reshape(shape)


def grids() -> Iterator[tuple[str, Any, Any, Any, dict[str, Any]]]:
    """Yield (name, u, f, coefficients, options)."""
    for dtype in (np.float32, np.float64):
        for shape in ((7, 9), (1, 30), (3, 4), (260, 300), (46, 12, 34)):
            u, f, c = field(shape, dtype), field(shape, dtype, 1), FIVE if len(shape) == 2 else SEVEN
            name = f"{np.dtype(dtype)} {shape}"
            yield f"{name} sweeps", u, f, c, {"omega": 1.5, "sweeps": 11, "boundary": "neumann"}
            yield f"{name} solve", u, f, c, {"omega": "adaptive", "rtol": 1e-4, "boundary": "neumann"}
            if shape[0] % 2 == 0 == shape[1] % 2:
                mask = {"mask": field(shape, np.float64, 2) > 2, "bounds": (-1.0, None)}
                yield f"{name} periodic", u, f, c, {"omega": 1.5, "sweeps": 5, "boundary": "periodic", **mask}
    u, f = field((512, 400), np.float64), field((512, 400), np.float64, 1)
    yield "long solve", u, f, FIVE, {"omega": "adaptive", "rtol": 1e-8}
    varying = np.abs(field((5, 512, 400), np.float64, 3)) + 1
    varying[2] = -40
    yield "varying", u, f, varying, {"omega": 1.2, "sweeps": 20}


def digest(u: Any) -> str:
    return hashlib.sha256(u.tobytes()).hexdigest()


def alone() -> dict[str, Any]:
    """Return what one process makes of each: the digest, and what is returned."""
    found = {}
    for name, u, f, c, options in grids():
        relaxed = u.copy()
        info = sg.sor.sor_stencil(relaxed, f, c, **options)
        found[name] = [digest(relaxed), info]
    return found


def shared(comm: Any) -> dict[str, Any]:
    """Return the same of all ranks; each has another instruction set and number of threads, as far as there are."""
    isas = sg.available_isas()
    sg.set_isa(isas[comm.rank % len(isas)])
    sg.set_num_threads(1 + comm.rank % 2)
    found = {}
    for name, u, f, c, options in grids():
        rows = mpi.slab(comm, len(u))
        mine, there = u[rows].copy(), {k: v[rows] if k == "mask" else v for k, v in options.items()}
        info = mpi.sor_stencil(comm, mine, f[rows], c[:, rows] if c.ndim > 1 else c, **there)
        infos = set(comm.allgather(info))
        found[name] = [digest(np.concatenate(comm.allgather(mine))), *infos]
    return found


def refused(comm: Any) -> list[str]:
    """Return what each rank says where the last one is given an array of a wrong shape."""
    u = np.zeros((3, 5))
    try:
        mpi.sor_stencil(comm, u, np.zeros((3, 6 if comm.rank == comm.size - 1 else 5)), FIVE)
    except ValueError as error:
        return list(comm.allgather(str(error)))
    return list(comm.allgather("nothing"))


def interrupted(comm: Any) -> dict[str, Any]:
    """Interrupt the last rank while all of them sweep, and return what each raises, and how many values `u` has.

    No point has neighbours here, and all begin alike: so they stay alike where all had as many sweeps.
    """
    u = np.zeros((64, 40))
    if comm.rank == comm.size - 1:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    kind = "nothing"
    try:
        mpi.sor_stencil(comm, u, 1.0, [0, 0, 1, 0, 0], boundary="neumann", omega=1e-9, sweeps=10**9)
    except KeyboardInterrupt:
        kind = "KeyboardInterrupt"
    values = {float(v) for part in comm.allgather(u) for v in np.unique(part)}
    handler = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return {"kinds": comm.allgather(kind), "values": sorted(values), "handlers": comm.allgather(handler)}


def main() -> None:
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    found = {"grids": shared(comm), "refused": refused(comm), "interrupted": interrupted(comm)}
    if comm.rank == 0:
        print(json.dumps(found))


if __name__ == "__main__":
    main()

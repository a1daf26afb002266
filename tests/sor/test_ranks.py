"""sor_stencil over ranks, threads here: the bits of one grid, however its rows are shared, and failing together."""

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import ranks

import sorgum as sg
from sorgum._data.inputs import logits
from sorgum.interop import mpi
from sorgum.interop.ranks import Ranks

FIVE = np.array([1.0, 1, -4, 1, 1])
SEVEN = np.array([1.0, 1, 1, -6, 1, 1, 1])
SPLITS: dict[int, list[Callable[[int], list[int]]]] = {  # the number of ranks, and where each of them begins
    1: [lambda n: [0, n]],
    2: [lambda n: [0, n // 2, n], lambda n: [0, min(1, n), n], lambda n: [0, n, n]],
    4: [lambda n: [0, n // 4, n // 2, n - n // 5, n], lambda n: [0, 0, n // 3, n // 3, n]],
    7: [lambda n: [n * k // 7 for k in range(8)]],
}


def field(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Any:
    return logits(int(np.prod(shape)), np.dtype(dtype), seed=seed).reshape(shape)


def part(value: Any, rows: slice, shape: tuple[int, ...]) -> Any:
    """Return what a rank is given of an argument of the whole grid."""
    if isinstance(value, tuple) and len(value) == 2 and not isinstance(value[0], str | tuple):
        return tuple(part(v, rows, shape) for v in value)
    if isinstance(value, np.ndarray) and value.ndim >= len(shape):
        return value[rows] if value.ndim == len(shape) else value[:, rows]
    return value


def shared(starts: list[int], u: Any, f: Any, c: Any, **options: Any) -> tuple[Any, Any]:
    """Return the grid, and what each rank returns."""
    parts = [slice(*pair) for pair in itertools.pairwise(starts)]
    mine = [u[rows].copy() for rows in parts]

    def act(comm: ranks.Comm) -> Any:
        rows = parts[comm.rank]
        given = {name: part(value, rows, u.shape) for name, value in options.items()}
        return mpi.sor_stencil(comm, mine[comm.rank], part(f, rows, u.shape), part(c, rows, u.shape), **given)

    infos = ranks.on_ranks(len(parts), act)
    return np.concatenate(mine), infos


def check(u: Any, f: Any, c: Any, sizes: tuple[int, ...] = tuple(SPLITS), **options: Any) -> Any:
    """The bits, and what is returned, are those of one process."""
    want = u.copy()
    info = sg.sor.sor_stencil(want, f, c, **options)
    for size in sizes:
        for split in SPLITS[size]:
            got, infos = shared(split(len(u)), u, f, c, **options)
            assert infos == [info] * size
            assert got.tobytes() == want.tobytes()
    return want


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
@pytest.mark.parametrize(
    "boundary",
    ["dirichlet", "neumann", "periodic", (("dirichlet", "neumann"), "periodic"), ("periodic", "neumann")],
    ids=str,
)
@pytest.mark.parametrize("shape", [(7, 9), (1, 8), (2, 2), (6, 50), (64, 34), (350, 18)], ids=str)
def test_the_bits_of_one_process(shape: Any, boundary: Any, dtype: Any) -> None:
    u, f = field(shape, dtype), field(shape, dtype, 1)
    varying = np.abs(field((5, *shape), np.float64, 2)) + 1
    varying[2] = -30
    around = [side == "periodic" for side in ((boundary,) * 2 if isinstance(boundary, str) else boundary)]
    if any(p and n == 1 for p, n in zip(around, shape, strict=True)) or (around[0] and shape[0] % 2 != 0):
        pytest.skip("no such grid: an axis of one point, or red beside red")
    order = "red_black" if not any(p and n % 2 for p, n in zip(around, shape, strict=True)) else "multicolor"
    options: dict[str, Any] = {"boundary": boundary, "order": order, "omega": 1.3}
    got = check(u, f, FIVE, sweeps=19, **options)
    assert got.tobytes() != u.tobytes() or min(shape) <= 2
    for c in (FIVE - (FIVE < 0), varying.astype(dtype)):
        for masks in ({}, {"mask": field(shape, np.float64, 3) > 2, "fixed": field(shape, np.float64, 4) > 2}):
            for bounds in (None, (field(shape, dtype, 5), 3.0)):
                check(u, f, c, (2, 4), sweeps=3, bounds=bounds, **options, **masks)
    nine = np.array([1, 2, 3, 4, -30, 5, 6, 7, 8], dtype)
    check(u, f, nine, (2, 4), sweeps=5, **{**options, "order": "multicolor"})


def test_three_dimensions() -> None:
    shape = (22, 6, 18)
    u, f = field(shape, np.float64), field(shape, np.float64, 1)
    for boundary in ("dirichlet", "neumann", "periodic", ("periodic", "dirichlet", ("neumann", "dirichlet"))):
        check(u, f, SEVEN, sweeps=5, omega=1.2, boundary=boundary)
        check(u, f, SEVEN - 0.1 * (SEVEN < 0), omega="adaptive", rtol=1e-6, boundary=boundary)
    seven_and_twenty = np.where(np.arange(27) == 13, -30.0, 1)
    check(u, f, seven_and_twenty, sweeps=4, omega=1.2, boundary="periodic", order="multicolor")


@pytest.mark.parametrize("omega", ["adaptive", "young", 1.6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
def test_solves(omega: Any, dtype: Any) -> None:
    """With the number of sweeps, and every decision, of one process."""
    shape = (61, 40)
    u, f = field(shape, dtype), field(shape, dtype, 1)
    for boundary in ("dirichlet", "neumann", (("dirichlet", "neumann"), "periodic")):
        for extra in ({}, {"mask": field(shape, np.float64, 3) > 2}, {"bounds": (-1.0, None)}, {"sweeps": 30}):
            c = np.array([1, 1, -4.05, 1, 1])
            check(u, f, c, (2, 4), omega=omega, rtol=1e-5, boundary=boundary, **extra)
    far = (u * dtype(1e30)).astype(dtype)
    check(far, f, FIVE, (2,), omega=omega, rtol=1e-4)
    check(u, f, FIVE, (2, 4), omega=omega, rtol=1e-3, boundary="neumann")  # singular, and not consistent
    check(u, f, np.array([3.0, 3, -4, 3, 3]), (2,), omega=omega, rtol=1e-3)  # diverges, or nearly
    check(u, f * 0, FIVE, (2,), omega=omega, rtol=1e-3, fixed=np.ones(shape, bool))


def test_messages_are_few() -> None:
    """Copies of 16 rows last for eight sweeps: a message either way for each eight of them, and one of `f`."""
    u, sent = np.zeros((2048, 8)), []

    def act(comm: ranks.Comm) -> None:
        mine = u[mpi.slab(comm, len(u))].copy()
        mpi.sor_stencil(comm, mine, 1.0, FIVE, sweeps=64)
        sent.append(comm.shared.sent)

    assert ranks.on_ranks(2, act) == [None, None]
    assert max(sent) == 2 * (1 + 1 + 64 // 8)


def test_slabs() -> None:
    for rows, size in itertools.product((0, 1, 2, 3, 10, 17), (1, 2, 3, 4, 20)):
        found = ranks.on_ranks(size, lambda comm, rows=rows: mpi.slab(comm, rows))
        assert [i for part in found for i in range(rows)[part]] == list(range(rows))
        lengths = [part.stop - part.start for part in found]
        assert max(lengths) - min(lengths) <= 1


def fails(kind: type[Exception], message: str, call: Callable[[ranks.Comm], Any], size: int = 3) -> None:
    found = ranks.on_ranks(size, call)
    assert [type(error) for error in found] == [kind] * size, found
    assert {str(error) for error in found} == {f"sor_stencil: {message}"}


def test_what_is_wrong_on_one_rank_is_raised_on_all() -> None:
    u = field((4, 6), np.float64)
    bad = {"f": np.zeros((3, 6))}
    fails(
        ValueError, "f must have shape (4, 6), got (3, 6) on rank 1",
        lambda comm: mpi.sor_stencil(comm, u.copy(), bad["f"] if comm.rank == 1 else 0.0, FIVE),
    )  # fmt: skip
    fails(
        TypeError, "u must have dtype float32 or float64, got int64 on rank 2",
        lambda comm: mpi.sor_stencil(comm, u.astype(int) if comm.rank == 2 else u.copy(), 0.0, FIVE),
    )  # fmt: skip
    fails(
        ValueError, "u must be finite where rtol is given, got nan at (5, 3) on rank 1",
        lambda comm: mpi.sor_stencil(comm, with_nan(u, comm.rank == 1), 0.0, FIVE, rtol=1e-3),
    )  # fmt: skip
    rule = "coefficients must leave every point one of its own, those of neighbours that are not there added, that is "
    c = np.ones((5, 4, 6))
    c[2] = -5
    bad["c"] = c.copy()
    bad["c"][2, 1, 3] = 0
    fails(
        ValueError, rule + "normal and has a normal reciprocal, got 0 at (9, 3) on rank 2",
        lambda comm: mpi.sor_stencil(comm, u.copy(), 0.0, bad["c"] if comm.rank == 2 else c),
    )  # fmt: skip
    fails(
        ValueError, "order must be 'red_black' or 'multicolor', got 'lexicographic' on rank 0",
        lambda comm: mpi.sor_stencil(comm, u.copy(), 0.0, FIVE, order="lexicographic"),
    )  # fmt: skip


def test_exceptions_of_any_kind() -> None:
    """Of a class that others may not have, they see the class of Python that it derives from."""

    class Odd(np.linalg.LinAlgError):
        pass

    def call(comm: ranks.Comm) -> None:
        def act() -> None:
            if comm.rank == comm.size - 1:
                raise MemoryError("room") if comm.size == 2 else Odd("odd")

        with Ranks("f", comm) as group:
            group.agreed(act)

    for size, kind, text in ((2, MemoryError, "room on rank 1"), (3, ValueError, "odd on rank 2"), (1, Odd, "odd")):
        found = ranks.on_ranks(size, call)
        assert [(type(error), str(error)) for error in found] == [(kind, text)] * size


def with_nan(u: Any, has: bool) -> Any:
    u = u.copy()
    u[1, 3] = np.nan if has else 0
    return u


def test_what_differs_between_ranks_is_refused() -> None:
    u = np.zeros((4, 6))

    def differing(argument: str, first: str, other: str, **options: Any) -> None:
        """The last rank has the second of two values."""

        def call(comm: ranks.Comm) -> Any:
            given: dict[str, Any] = {"u": u, "coefficients": FIVE}
            given |= {name: values[comm.rank == 2] for name, values in options.items()}
            return mpi.sor_stencil(comm, given.pop("u").copy(), 0.0, given.pop("coefficients"), **given)

        rule = "must be the same on all ranks"
        fails(ValueError, f"{argument} {rule}, got {first} on rank 0 and {other} on rank 2", call)

    differing("omega", "1.5", "1.25", omega=(1.5, 1.25))
    differing("sweeps", "3", "None", sweeps=(3, None))
    differing("rtol", "None", "0.1", rtol=(None, 0.1))
    differing("order", "'red_black'", "'multicolor'", order=("red_black", "multicolor"))
    differing("dtype of u", "'float64'", "'float32'", u=(u, u.astype(np.float32)))
    differing("shape of u but its rows", "(6,)", "(5,)", u=(u, u[:, :5]))
    differing("presence of mask", "False", "True", mask=(None, u > 0))
    differing("coefficients", "'[1.0, 1.0, -4.0, 1.0, 1.0]'", "'[1.0, 1.0, -5.0, 1.0, 1.0]'",
              coefficients=(FIVE, FIVE - (FIVE < 0)))  # fmt: skip


def test_grids_that_are_refused_as_a_whole() -> None:
    u = np.zeros((3, 6))
    rule = "order must have the 3 colors that a periodic axis of an odd number of points needs, as 'multicolor' has"
    fails(
        ValueError, f"{rule}, got 'red_black' with 2",
        lambda comm: mpi.sor_stencil(comm, u.copy(), 0.0, FIVE, boundary="periodic"),
    )  # fmt: skip
    fails(
        ValueError, "u must have an even number of rows in all where they are periodic, got 9",
        lambda comm: mpi.sor_stencil(comm, u.copy(), 0.0, FIVE, boundary="periodic", order="multicolor"),
    )  # fmt: skip
    fails(
        ValueError, "u must have two or three dimensions, got 1",
        lambda comm: mpi.sor_stencil(comm, np.zeros(4), 0.0, FIVE, boundary=("neumann",)),
    )  # fmt: skip


def test_what_is_no_communicator() -> None:
    with pytest.raises(TypeError, match=re.escape("sor_stencil: comm must be a communicator of mpi4py, got None")):
        mpi.sor_stencil(None, np.zeros((3, 3)), 0.0, FIVE)

    class Inter(ranks.Comm):
        def Is_inter(self) -> bool:
            return True

    comm = Inter(ranks._Shared(1), 0, 1)
    with pytest.raises(ValueError, match="comm must be an intracommunicator, got an intercommunicator"):
        mpi.sor_stencil(comm, np.zeros((3, 3)), 0.0, FIVE)
    with pytest.raises(ValueError, match="slab: rows must not be negative, got -1"):
        mpi.slab(comm, -1)


def test_a_known_answer() -> None:
    """A known answer, so that all of the above is not the same mistake twice."""
    u = np.zeros((33, 33))
    got, infos = shared([0, 10, 33], u, -1.0, FIVE * 1024.0, omega=1.82, sweeps=100)
    assert infos == [0, 0]
    assert round(float(got[16, 16]), 5) == 0.07361

"""Residual norms, sweeps and solves on grids, beside SciPy's, PyAMG's and a loop of Numba."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sorgum import sor
from sorgum._data.matrices import Matrix, grid
from sorgum.bench.case import OwnCase, Slot

__all__ = [
    "BatchCase",
    "ColoredSweepCase",
    "GradientsCase",
    "GridCase",
    "SolveCase",
    "StencilCase",
    "SweepCase",
    "cases",
]

Array = NDArray[Any]


@dataclass(frozen=True)
class GridSlot(Slot):
    """A matrix and its vectors, whose arrays lie one after the other in `x`."""

    matrix: Matrix
    vectors: tuple[Array, Array]


@dataclass(frozen=True)
class GridCase(OwnCase):
    """The norm of a residual on a grid; `shape` is its rows and the entries of a row away from borders.

    Parameters
    ----------
    points : tuple of int
        The grid's, along each axis.
    """

    points: tuple[int, ...] = ()
    peers: ClassVar[tuple[str, ...]] = ("SciPy",)

    @property
    def traffic(self) -> tuple[int, int]:
        """Everything is read once."""
        return 1, 0

    @property
    def traffic_bytes(self) -> int:
        """Matrix and vectors."""
        return sum(array.nbytes for array in _arrays(self))

    def make_slot(self) -> GridSlot:
        """Return copies of the arrays in one buffer."""
        arrays = _arrays(self)
        ends = np.cumsum([-(-array.nbytes // 64) * 64 for array in arrays])
        raw = np.zeros(ends[-1] + 64, np.uint8)
        raw = raw[-raw.ctypes.data % 64 :][: ends[-1]]
        copies = []
        for array, end in zip(arrays, ends, strict=True):
            start = end + array.nbytes // -64 * 64
            copies.append(raw[start : start + array.nbytes].view(array.dtype))
            copies[-1][...] = array
        indptr, indices, data, x, b = copies
        n = self.shape[0]
        empty = np.zeros(1, np.float32)
        return GridSlot(raw.view(np.float32), empty, empty, Matrix(indptr, indices, data, (n, n)), (x, b))

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return our call, or SciPy's and NumPy's."""
        assert isinstance(slot, GridSlot)
        a, (x, b) = slot.matrix, slot.vectors
        if name != "SciPy":
            return lambda: sor.residual_norm(a, x, b)
        theirs = importlib.import_module("scipy.sparse").csr_matrix((a.data, a.indices, a.indptr), a.shape, copy=False)
        return lambda: np.linalg.norm(b - theirs @ x)


OMEGA = 0.75  # below 1, so that nothing cancels, and peers agree in every element


@dataclass(frozen=True)
class SweepCase(GridCase):
    """A forward sweep of over-relaxation on a grid. The limit is that of reading compressed rows and both vectors once.

    SciPy, which has no sweep, solves with the lower triangle; PyAMG is called as its documentation shows, and Numba
    compiles the loop that users write.
    """

    peers: ClassVar[tuple[str, ...]] = ("SciPy", "PyAMG", "Numba")

    def relaxation(self, a: Matrix) -> sor.Relaxation:
        """Return what is swept by us."""
        return sor.Relaxation(a)

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return a call that sweeps an x of its own and returns it."""
        assert isinstance(slot, GridSlot)
        a, (start, b) = slot.matrix, slot.vectors
        x = start.copy()
        if name == "Numba":
            loop = _numba_sweep()
            return lambda: loop(a.indptr, a.indices, a.data, x, b, x.dtype.type(OMEGA))
        if name not in ("SciPy", "PyAMG"):
            relaxation = self.relaxation(a)

            def sweep() -> Array:
                relaxation.sweep(x, b, OMEGA)
                return x

            return sweep
        sparse = importlib.import_module("scipy.sparse")
        theirs = sparse.csr_matrix((a.data, a.indices, a.indptr), a.shape, copy=False)
        if name == "PyAMG":
            relaxed = importlib.import_module("pyamg.relaxation.relaxation").sor

            def pyamg() -> Array:
                relaxed(theirs, x, b, OMEGA)
                return x

            return pyamg
        lower = sparse.csr_matrix(sparse.tril(theirs, -1) + sparse.diags(theirs.diagonal() / OMEGA))
        solve = importlib.import_module("scipy.sparse.linalg").spsolve_triangular

        def scipy() -> Array:
            x[...] += solve(lower, b - theirs @ x)
            return x

        return scipy


@dataclass(frozen=True)
class ColoredSweepCase(SweepCase):
    """The same, color by color, which threads share: its row of two threads stands beside the limit of two threads.

    The result is another one than in natural order, so that there are no peers.
    """

    peers: ClassVar[tuple[str, ...]] = ()

    def relaxation(self, a: Matrix) -> sor.Relaxation:
        """Return what is swept by us."""
        return sor.Relaxation(a, order="multicolor")


SOLVED = 1e-6  # of ||b||


@dataclass(frozen=True)
class SolveCase(GridCase):
    """A solve to a residual of 1e-6. The limit is that of reading the matrix once, as if one sweep were enough.

    Ours finds its factor while solving. PyAMG's sweeps are given Young's, and their residual is looked at after every
    tenth. SciPy solves by conjugate gradients, another method.
    """

    peers: ClassVar[tuple[str, ...]] = ("SciPy", "PyAMG")

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return a call that returns 1 if the system is solved."""
        assert isinstance(slot, GridSlot)
        a, (_, b) = slot.matrix, slot.vectors
        enough = SOLVED * float(np.linalg.norm(b))
        if name not in ("SciPy", "PyAMG"):
            relaxation = sor.Relaxation(a)
            return lambda: float(relaxation.solve(b, rtol=SOLVED).info == 0)
        sparse = importlib.import_module("scipy.sparse")
        theirs = sparse.csr_matrix((a.data, a.indices, a.indptr), a.shape, copy=False)
        if name == "SciPy":
            gradients = importlib.import_module("scipy.sparse.linalg").cg
            return lambda: float(gradients(theirs, b, rtol=SOLVED)[1] == 0)
        relaxed = importlib.import_module("pyamg.relaxation.relaxation").sor
        omega = 2 / (1 + np.sin(np.pi / (self.points[0] + 1)))

        def pyamg() -> float:
            x = np.zeros_like(b)
            while np.linalg.norm(b - theirs @ x) > enough:
                relaxed(theirs, x, b, omega, iterations=10)
            return 1.0

        return pyamg


@dataclass(frozen=True)
class GradientsCase(GridCase):
    """A whole solve to a residual of 1e-8 by `ssor_cg`, which finds its factor, beside SciPy's conjugate gradients.

    They are alone as "SciPy", and with PyAMG's symmetric Gauss-Seidel sweep as the preconditioner as "PyAMG". The
    matrix has been set up; the limit of memory is that of one iteration.
    """

    peers: ClassVar[tuple[str, ...]] = ("SciPy", "PyAMG")

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return a call that solves from 0 and returns 1 if the system is solved."""
        assert isinstance(slot, GridSlot)
        a, (_, b) = slot.matrix, slot.vectors
        if name not in ("SciPy", "PyAMG"):
            relaxation = sor.Relaxation(a)
            return lambda: float(sor.ssor_cg(relaxation, b, rtol=1e-8)[1] == 0)
        linalg = importlib.import_module("scipy.sparse.linalg")
        theirs = importlib.import_module("scipy.sparse").csr_matrix((a.data, a.indices, a.indptr), a.shape, copy=False)
        if name == "SciPy":
            return lambda: float(linalg.cg(theirs, b, rtol=1e-8)[1] == 0)
        sweep = importlib.import_module("pyamg.relaxation.relaxation").gauss_seidel

        def preconditioned(r: Array) -> Array:
            z = np.zeros_like(r)
            sweep(theirs, z, r, sweep="symmetric")
            return z

        inverse = linalg.LinearOperator(a.shape, preconditioned, dtype=b.dtype)
        return lambda: float(linalg.cg(theirs, b, rtol=1e-8, M=inverse)[1] == 0)


@dataclass(frozen=True)
class PolynomialsCase(GradientsCase):
    """A whole solve to a residual of 1e-8 by `ssor_chebyshev`, beside SciPy's conjugate gradients as above."""

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return a call that solves from 0 and returns 1 if the system is solved."""
        if name in self.peers:
            return super().call(name, slot)
        assert isinstance(slot, GridSlot)
        relaxation, b = sor.Relaxation(slot.matrix), slot.vectors[1]
        return lambda: float(sor.ssor_chebyshev(relaxation, b, rtol=1e-8)[1] == 0)


FIVE = (1.0, 1.0, -4.0, 1.0, 1.0)


@dataclass(frozen=True)
class StencilSlot(Slot):
    """Values and the right-hand side of a grid."""

    u: Array
    f: Array


@dataclass(frozen=True)
class StencilCase(OwnCase):
    """A red-black sweep of five points. The limit is that of reading u and f and writing u once.

    Numba compiles the loops that users write, which run on one thread.
    """

    peers: ClassVar[tuple[str, ...]] = ("Numba",)

    @property
    def traffic(self) -> tuple[int, int]:
        """What is written is counted as if it were read."""
        return 1, 0

    @property
    def traffic_bytes(self) -> int:
        """Of three arrays."""
        return 3 * int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    def make_slot(self) -> StencilSlot:
        """Return random u and f, and as much room as is written."""
        rng = np.random.default_rng(20180617)
        raw = rng.uniform(1, 2, (3, *self.shape)).astype(self.dtype)
        empty = np.zeros(1, np.float32)
        return StencilSlot(raw.reshape(-1).view(np.float32), empty, empty, raw[0], -raw[1])

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return a call that sweeps u and returns it."""
        assert isinstance(slot, StencilSlot)
        u, f = slot.u.copy(), slot.f
        omega = u.dtype.type(OMEGA)
        loops = _numba_stencil() if name == "Numba" else None
        coefficients = np.array(FIVE, u.dtype)

        def sweep() -> Array:
            if loops is None:
                sor.sor_stencil(u, f, coefficients, omega=OMEGA)
            else:
                loops(u, f, coefficients, omega)
            return u

        return sweep


@lru_cache(1)
def _numba_stencil() -> Callable[..., None]:
    def sweep(u: Array, f: Array, c: Array, omega: Any) -> None:
        for color in range(2):
            for y in range(1, u.shape[0] - 1):
                for x in range(1 + (y + 1 + color) % 2, u.shape[1] - 1, 2):
                    rest = f[y, x] - c[0] * u[y - 1, x] - c[1] * u[y, x - 1] - c[3] * u[y, x + 1] - c[4] * u[y + 1, x]
                    u[y, x] += omega * (rest / c[2] - u[y, x])

    compiled: Callable[..., None] = importlib.import_module("numba").njit(sweep)
    return compiled


SYSTEMS = 256  # of a batch


@dataclass(frozen=True)
class BatchCase(GridCase):
    """Many right-hand sides and shifts of one small grid, each to a residual of 1e-6, with Young's factor.

    PyAMG solves one after the other, each as in `SolveCase`. The limit is that of reading the matrix once for each.
    """

    peers: ClassVar[tuple[str, ...]] = ("PyAMG",)

    @property
    def traffic_bytes(self) -> int:
        """Matrix and vectors, for every system."""
        return SYSTEMS * super().traffic_bytes

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return a call that returns 1 if all systems are solved."""
        assert isinstance(slot, GridSlot)
        a, (_, b) = slot.matrix, slot.vectors
        sides, shifts = np.stack([np.roll(b, i) for i in range(SYSTEMS)]), np.linspace(0, 0.1, SYSTEMS)
        omega = 2 / (1 + np.sin(np.pi / (self.points[0] + 1)))
        if name != "PyAMG":
            return lambda: float(not sor.sor_batch(a, sides, shift=shifts, omega=omega, rtol=SOLVED)[1].any())
        sparse = importlib.import_module("scipy.sparse")
        relaxed = importlib.import_module("pyamg.relaxation.relaxation").sor
        plain = sparse.csr_matrix((a.data, a.indices, a.indptr), a.shape, copy=False)
        theirs = [sparse.csr_matrix(plain + c * sparse.identity(a.shape[0])) for c in shifts]

        def pyamg() -> float:
            for matrix, side in zip(theirs, sides, strict=True):
                x, enough = np.zeros_like(side), SOLVED * float(np.linalg.norm(side))
                while np.linalg.norm(side - matrix @ x) > enough:
                    relaxed(matrix, x, side, omega, iterations=10)
            return 1.0

        return pyamg


@lru_cache(1)
def _numba_sweep() -> Callable[..., Array]:
    def sweep(indptr: Array, indices: Array, data: Array, x: Array, b: Array, omega: Any) -> Array:
        for i in range(len(b)):
            rest, diagonal = b[i], data[0]
            for k in range(indptr[i], indptr[i + 1]):
                j = indices[k]
                if j == i:
                    diagonal = data[k]
                else:
                    rest -= data[k] * x[j]
            x[i] += omega * (rest / diagonal - x[i])
        return x

    compiled: Callable[..., Array] = importlib.import_module("numba").njit(sweep)
    return compiled


@lru_cache(1)
def _arrays(case: GridCase) -> tuple[Array, ...]:
    a = grid(case.points, len(case.points) == 3, case.dtype, np.int32)
    rng = np.random.default_rng(20180617)
    return a.indptr, a.indices, a.data, *(rng.uniform(1, 2, a.shape[0]).astype(case.dtype) for _ in range(2))


def cases(level: str) -> Iterator[OwnCase]:
    """Return grids of five and of 27 points; sweeps from ten rows on to more than caches hold; solves; stencils.

    Parameters
    ----------
    level : {"quick", "default", "full"}

    Returns
    -------
    iterator of OwnCase
    """
    square, cube = (300, 30) if level == "quick" else (1000, 64)
    for dtype in ("float64", "float32"):
        yield GridCase("residual_norm", (square**2, 5), dtype, points=(square, square))
        yield GridCase("residual_norm", (cube**3, 27), dtype, points=(cube, cube, cube))
    yield SolveCase("solve", (100**2, 5), "float64", points=(100, 100))
    yield BatchCase("sor_batch", (10**2, 5), "float64", points=(10, 10))
    if level == "full":
        yield SolveCase("solve", (square**2, 5), "float64", points=(square, square))
    small = ((2, 5), (32, 32), (square, square))
    grids = (*small, (3000, 3000)) if level == "full" else small
    for points in (*grids, (cube, cube, cube)):
        for dtype in ("float64", "float32"):
            yield SweepCase("sweep", (int(np.prod(points)), 5 if len(points) == 2 else 27), dtype, points=points)
    yield ColoredSweepCase("sweep_multicolor", (square**2, 5), "float64", points=(square, square))
    for points in ((square // 3, square // 3), (cube, cube, cube)):
        yield GradientsCase("ssor_cg", (int(np.prod(points)), 5 if len(points) == 2 else 27), "float64", points=points)
    yield PolynomialsCase("ssor_chebyshev", ((square // 3) ** 2, 5), "float64", points=(square // 3, square // 3))
    for dtype in ("float64", "float32"):
        yield StencilCase("sor_stencil", (square, square), dtype)
        if level == "full":
            yield StencilCase("sor_stencil", (4096, 4096), dtype)

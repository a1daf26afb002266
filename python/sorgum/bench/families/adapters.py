"""Adapters merged in place, applied and made, beside the BLAS of NumPy, SciPy and PyTorch."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sorgum import lowrank, random, tucker
from sorgum.bench.case import OwnCase, Slot

__all__ = ["ApplyCase", "FloraCase", "MergeCase", "NolaCase", "cases"]

Array = NDArray[Any]
SCALE = 1e-6  # so small that calls on one weight, again and again, leave it all but as it was


@dataclass(frozen=True)
class AdapterSlot(Slot):
    """What is added to lies in `x`, with the adapter behind it."""

    target: Array
    factors: tuple[Array, ...]


@dataclass(frozen=True)
class MergeCase(OwnCase):
    """W += scale B A in place; `shape` is that of W.

    Parameters
    ----------
    rank : int
        Of the adapter.
    """

    rank: int = 16
    peers: ClassVar[tuple[str, ...]] = ("SciPy", "PyTorch")

    @property
    def traffic(self) -> tuple[int, int]:
        """The weight is read and written."""
        return 1, 1

    def make_slot(self) -> AdapterSlot:
        """Return a weight and an adapter in one buffer."""
        return _slot(self.shape, ((self.rank, self.shape[1]), (self.shape[0], self.rank)))

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return a call that changes the weight and returns it."""
        assert isinstance(slot, AdapterSlot)
        w, (a, b) = slot.target, slot.factors
        if name == "SciPy":
            blas = importlib.import_module("scipy.linalg.blas")
            return lambda: blas.sgemm(SCALE, a.T, b.T, beta=1, c=w.T, overwrite_c=1).T
        if name == "PyTorch":
            torch = importlib.import_module("torch")
            theirs, down, up = (torch.from_numpy(array) for array in (w, a, b))
            return lambda: theirs.addmm_(up, down, alpha=SCALE).numpy()
        return lambda: lowrank.merge(w, a, b, scale=SCALE, out=w, check_finite=False)


@dataclass(frozen=True)
class ApplyCase(MergeCase):
    """y += scale (x A^T) B^T in place; `shape` is that of y.

    Parameters
    ----------
    inputs : int
        The columns of x.
    """

    inputs: int = 4096
    peers: ClassVar[tuple[str, ...]] = ("NumPy", "PyTorch")

    @property
    def traffic_bytes(self) -> int:
        """Rows of x, results and the factors."""
        rows, outputs = self.shape
        return 4 * (rows * (self.inputs + 2 * outputs) + self.rank * (self.inputs + outputs))

    def make_slot(self) -> AdapterSlot:
        """Return results, an adapter and rows in one buffer."""
        rows, outputs = self.shape
        return _slot(self.shape, ((self.rank, self.inputs), (outputs, self.rank), (rows, self.inputs)))

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return a call that adds to y and returns it."""
        assert isinstance(slot, AdapterSlot)
        y, (a, b, x) = slot.target, slot.factors
        if name == "NumPy":
            return lambda: np.add(y, (x @ a.T * np.float32(SCALE)) @ b.T, out=y)
        if name == "PyTorch":
            torch = importlib.import_module("torch")
            theirs, down, up, rows = (torch.from_numpy(array) for array in (y, a, b, x))
            return lambda: theirs.addmm_(rows @ down.T, up.T, alpha=SCALE).numpy()
        return lambda: lowrank.apply(x, a, b, scale=SCALE, base=y, out=y)


@dataclass(frozen=True)
class FloraCase(ApplyCase):
    """y += scale x C^T in place, C the change of a 3 x 3 convolution that a core and four factors make.

    No peer has the adapter: beside it are products that form no change of the size of the weight, as ours do not.
    """

    inputs: int = 9 * 256

    @property
    def weight(self) -> tuple[int, int, int, int]:
        """The shape of the convolution's weight."""
        return self.shape[1], self.inputs // 9, 3, 3

    @property
    def core(self) -> tuple[int, int, int, int]:
        """The shape of the core."""
        return self.rank, self.rank, 2, 2

    def make_slot(self) -> AdapterSlot:
        """Return results, the core, the factors and rows of patches in one buffer."""
        factors = zip(self.weight, self.core, strict=True)
        return _slot(self.shape, (self.core, *factors, (self.shape[0], self.inputs)))

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return a call that adds to y and returns it."""
        assert isinstance(slot, AdapterSlot)
        y, (core, *factors, x) = slot.target, slot.factors
        expand = "oabc,ia,hb,wc->oihw"
        if name == "NumPy":

            def add() -> Any:
                down = np.einsum(expand, core, *factors[1:], optimize=True).reshape(self.rank, -1)
                return np.add(y, (x @ down.T * np.float32(SCALE)) @ factors[0].T, out=y)

            return add
        if name == "PyTorch":
            torch = importlib.import_module("torch")
            theirs, middle, rows, up, *others = (torch.from_numpy(array) for array in (y, core, x, *factors))

            def add_theirs() -> Any:
                down = torch.einsum(expand, middle, *others).reshape(self.rank, -1)
                return theirs.addmm_(rows @ down.T, up.T, alpha=SCALE).numpy()

            return add_theirs
        weight = np.broadcast_to(np.float32(0), self.weight)
        adapter = tucker.FLoRA(weight, core, factors, scale=SCALE)
        patches = x.reshape(-1, *self.weight[1:])
        return lambda: adapter.forward(patches, base=y, out=y)


@dataclass(frozen=True)
class NolaCase(OwnCase):
    """A factor of NOLA, the sum of random matrices that are never stored; `shape` is (bases, numbers of each).

    Beside it `sorgum.random.uniform` writes as many numbers.
    """

    cached: bool = True
    algorithms: tuple[str, ...] = ("uniform",)

    @property
    def traffic(self) -> tuple[int, int]:
        """The coefficients are read."""
        return 1, 0

    @property
    def traffic_bytes(self) -> int:
        """No number is read or written, but for the coefficients."""
        return 4 * self.shape[0]

    def make_slot(self) -> Slot:
        """Return the coefficients, and room for all numbers."""
        bases, _ = self.shape
        return Slot(np.full(bases, 0.5, np.float32), np.zeros(self.shape, np.float32), np.zeros(1, np.float32))

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return a call that makes the factor anew, or that writes random numbers."""
        if name == "uniform":
            return lambda: random.uniform(self.shape, rng=1, out=slot.out)
        weight = np.ones((8, self.shape[1] // 8), np.float32)  # of a rank of 8; the other factor has 64 numbers
        return lambda: lowrank.adapters.NOLA(weight, 8, slot.x, slot.x, rng=1).factors[0]


def _slot(target: tuple[int, ...], others: tuple[tuple[int, ...], ...]) -> AdapterSlot:
    shapes = (target, *others)
    ends = np.cumsum([-(-int(np.prod(shape)) // 16) * 16 for shape in shapes])
    raw = np.zeros(ends[-1] + 16, np.float32)
    raw = raw[-raw.ctypes.data // 4 % 16 :][: ends[-1]]
    rng = np.random.default_rng(20210617)
    views = []
    for shape, end in zip(shapes, ends, strict=True):
        size = int(np.prod(shape))
        start = end - -(-size // 16) * 16
        views.append(raw[start : start + size].reshape(shape))
        views[-1][...] = rng.uniform(1, 2, shape)  # of one sign, so that nothing cancels
    empty = np.zeros(1, np.float32)
    return AdapterSlot(raw, np.zeros_like(raw), empty, views[0], tuple(views[1:]))


def cases(level: str) -> Iterator[OwnCase]:
    """Return merges of rank 16 and 64, adapters applied to few and many rows, FLoRA, and factors of NOLA.

    Parameters
    ----------
    level : {"quick", "default", "full"}

    Returns
    -------
    iterator of OwnCase
    """
    yield MergeCase("merge", (2048, 2048) if level == "quick" else (4096, 4096), rank=16)
    if level != "quick":
        yield MergeCase("merge_rank_64", (4096, 4096), rank=64)
        yield ApplyCase("apply", (1, 4096))
        yield ApplyCase("apply", (16, 4096))
        yield ApplyCase("apply", (512, 1024), rank=8, inputs=1024)
        yield FloraCase("flora", (676, 256))
    yield ApplyCase("apply", (256, 4096))
    yield NolaCase("nola", (256, 8192) if level == "quick" else (512, 32768))

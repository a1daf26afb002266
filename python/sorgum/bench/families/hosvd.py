"""Tucker decompositions beside what NumPy's users write, TensorLy's and pyttb's."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sorgum import tucker
from sorgum.bench.case import OwnCase, Slot

__all__ = ["DecompositionCase", "FormedCase", "cases", "gram_route", "planted"]

Array = NDArray[Any]


def planted(shape: tuple[int, ...], rank: int, dtype: str) -> Array:
    """Return a tensor of these ranks and a tenth of noise: of noise alone any answer is as good as the best.

    Parameters
    ----------
    shape : tuple of int
    rank : int
        At most a dimension; modes that are shorter have full rank.
    dtype : str

    Returns
    -------
    array
    """
    rng = np.random.default_rng(20180617)
    x = rng.standard_normal([min(rank, n) for n in shape])
    for mode, n in enumerate(shape):
        factor = np.linalg.qr(rng.standard_normal((n, x.shape[mode]))).Q
        x = np.moveaxis(np.tensordot(factor, x, (1, mode)), 0, mode)
    noise = rng.standard_normal(shape)
    x = x + noise * (0.1 * np.linalg.norm(x.ravel()) / np.linalg.norm(noise.ravel()))
    return np.ascontiguousarray(x, dtype=dtype)


def gram_route(x: Array, ranks: tuple[int, ...]) -> Array:
    """Return the core of the sequentially truncated decomposition, as four lines of NumPy find it.

    Parameters
    ----------
    x : array
    ranks : tuple of int

    Returns
    -------
    array
    """
    for mode, rank in enumerate(ranks):
        unfolded = np.moveaxis(x, mode, 0).reshape(x.shape[mode], -1)
        u = np.linalg.eigh(unfolded @ unfolded.T)[1][:, ::-1][:, :rank]
        x = np.moveaxis(np.tensordot(u, x, (0, mode)), 0, mode)
    return x


@dataclass(frozen=True)
class DecompositionCase(OwnCase):
    """A decomposition of a planted tensor with a tenth of noise, or the tensor that is formed of one.

    Parameters
    ----------
    rank : int
        Of modes that are longer; the others are kept.
    """

    rank: int = 16
    peers: ClassVar[tuple[str, ...]] = ("NumPy", "pyttb", "TensorLy")
    difference: ClassVar[float | None] = 1e-3  # of the norm of the core; pyttb keeps one more of each rank

    @property
    def name(self) -> str:
        """The name to select by, unique."""
        return f"{super().name}-rank{self.rank}"

    @property
    def traffic(self) -> tuple[int, int]:
        """The tensor is read once at least."""
        return 1, 0

    def make_slot(self) -> Slot:
        """Return the tensor."""
        empty = np.zeros(1, np.float32)
        return Slot(planted(self.shape, self.rank, self.dtype).view(np.float32).ravel(), empty, empty)

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return our call, or that of a peer, which returns the norm of the core."""
        x, rank = slot.x.view(self.dtype).reshape(self.shape), self.rank
        modes = [mode for mode, n in enumerate(self.shape) if n > rank]
        ranks = tuple(min(rank, n) for n in self.shape)
        if self.operation == "hooi":
            return self._iteration(name, x, ranks)
        if name == "NumPy":
            return lambda: np.linalg.norm(gram_route(x, ranks).ravel())
        if name == "pyttb":
            pyttb = importlib.import_module("pyttb")
            tensor = pyttb.tensor(x)
            return lambda: pyttb.hosvd(tensor, 0.5, verbosity=0, ranks=list(ranks)).core.norm()
        if name == "TensorLy":
            partial_tucker = importlib.import_module("tensorly.decomposition").partial_tucker
            options = {"n_iter_max": 0, "svd": "randomized_svd", "random_state": 0}
            return lambda: np.linalg.norm(partial_tucker(x, ranks, **options)[0][0].ravel())
        return lambda: np.linalg.norm(tucker.sthosvd(x, [rank] * len(modes), modes=modes).core.ravel())

    def _iteration(self, name: str, x: Array, ranks: tuple[int, ...]) -> Callable[[], Any]:
        """Return two iterations from factors of the decomposition."""
        core, factors = tucker.sthosvd(x, ranks)
        if name == "pyttb":
            pyttb = importlib.import_module("pyttb")
            tensor = pyttb.tensor(x)
            options = {"stoptol": 0.0, "maxiters": 2, "printitn": 0}
            return lambda: pyttb.tucker_als(tensor, list(ranks), init=list(factors), **options)[0].core.norm()
        if name == "TensorLy":
            partial_tucker = importlib.import_module("tensorly.decomposition").partial_tucker
            return lambda: np.linalg.norm(
                partial_tucker(x, ranks, n_iter_max=2, tol=0, init=(core, list(factors)))[0][0].ravel()
            )
        if name == "NumPy":
            return lambda: np.linalg.norm(_two_iterations(x, list(factors), ranks).ravel())
        return lambda: np.linalg.norm(tucker.hooi(x, ranks, init=factors, tol=0, maxiter=2).core.ravel())


def _two_iterations(x: Array, factors: list[Array], ranks: tuple[int, ...]) -> Array:
    y = x
    for _ in range(2):
        for mode, rank in enumerate(ranks):
            y = x
            for other in range(x.ndim):
                if other != mode:
                    y = np.moveaxis(np.tensordot(factors[other], y, (0, other)), 0, other)
            unfolded = np.moveaxis(y, mode, 0).reshape(y.shape[mode], -1)
            factors[mode] = np.linalg.eigh(unfolded @ unfolded.T)[1][:, ::-1][:, :rank]
    return np.tensordot(factors[-1], y, (0, x.ndim - 1))


@dataclass(frozen=True)
class FormedCase(DecompositionCase):
    """The tensor that a core and factors stand for."""

    peers: ClassVar[tuple[str, ...]] = ("NumPy", "TensorLy")
    difference: ClassVar[float | None] = 1e-4

    def make_slot(self) -> Slot:
        """Return a core, after room for the tensor, and factors as one array."""
        ranks = tuple(min(self.rank, n) for n in self.shape)
        rng = np.random.default_rng(20180617)
        factors = np.concatenate([rng.standard_normal(n * r) for n, r in zip(self.shape, ranks, strict=True)])
        core = rng.standard_normal(ranks).astype(self.dtype)
        room = np.zeros(self.shape, self.dtype)
        return Slot(room.view(np.float32).ravel(), core, factors.astype(self.dtype))

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return a call that forms the tensor, ours in the room that is there."""
        out, core, factors, at = slot.x.view(self.dtype).reshape(self.shape), slot.out, [], 0
        for n, r in zip(self.shape, core.shape, strict=True):
            factors.append(slot.rows[at : at + n * r].reshape(n, r))
            at += n * r
        if name == "TensorLy":
            tucker_to_tensor = importlib.import_module("tensorly.tucker_tensor").tucker_to_tensor
            return lambda: tucker_to_tensor((core, factors))
        if name == "NumPy":
            return lambda: _formed(core, factors)
        tensor = tucker.TuckerTensor(core, factors)
        return lambda: tensor.to_tensor(out)


def _formed(core: Array, factors: list[Array]) -> Array:
    for factor in factors:  # the first axis goes to the end, after all of which they are in order again
        core = np.tensordot(core, factor, (0, 1))
    return core


def cases(level: str) -> Iterator[OwnCase]:
    """Return decompositions of cubes and others, and tensors that are formed.

    Parameters
    ----------
    level : {"quick", "default", "full"}

    Returns
    -------
    iterator of OwnCase
    """
    if level == "quick":
        yield DecompositionCase("sthosvd", (64, 64, 64), "float64", rank=8)
        yield DecompositionCase("hooi", (64, 64, 64), "float64", rank=8)
        yield FormedCase("to_tensor", (64, 64, 64), "float64", rank=8)
        return
    for dtype in ("float64", "float32"):
        for shape, rank in (((128, 128, 128), 16), ((256, 256, 256), 32), ((64, 64, 64, 64), 8)):
            yield DecompositionCase("sthosvd", shape, dtype, rank=rank)
            yield FormedCase("to_tensor", shape, dtype, rank=rank)
        yield DecompositionCase("sthosvd", (512, 512, 3, 3), dtype, rank=16)
        yield DecompositionCase("hooi", (128, 128, 128), dtype, rank=16)

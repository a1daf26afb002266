"""Truncated singular value decompositions beside scikit-learn's, PyTorch's and SciPy's."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorgum import lowrank
from sorgum.bench.case import OwnCase, Slot

__all__ = ["SvdCase", "cases"]

Array = NDArray[Any]


@dataclass(frozen=True)
class SvdCase(OwnCase):
    """The leading singular values of a matrix, with their vectors.

    Peers have the parameters of their defaults or, PyTorch, those that reach scikit-learn's accuracy: 10 random columns
    beyond the rank and 7 iterations. SciPy's is ARPACK, to machine precision: it computes more than the others.

    Parameters
    ----------
    rank : int
    spectrum : {"noise", "harmonic"}
        Of independent normal numbers, which is hard, or 1/k.
    """

    rank: int = 16
    spectrum: str = "noise"
    peers = ("scikit-learn", "PyTorch", "SciPy")
    difference = 0.05  # of singular values of noise, which all but SciPy approximate

    @property
    def name(self) -> str:
        """The name to select by, unique."""
        return f"{super().name}-rank{self.rank}-{self.spectrum}"

    @property
    def traffic(self) -> tuple[int, int]:
        """The matrix is read once at least."""
        return 1, 0

    def make_slot(self) -> Slot:
        """Return a copy of the matrix."""
        empty = np.zeros(1, np.float32)
        return Slot(_matrix(self.shape, self.dtype, self.spectrum).copy().view(np.float32).ravel(), empty, empty)

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return our call, or that of a peer, which returns the singular values."""
        a, rank = slot.x.view(self.dtype).reshape(self.shape), self.rank
        if name == "scikit-learn":
            randomized_svd = importlib.import_module("sklearn.utils.extmath").randomized_svd
            return lambda: randomized_svd(a, rank, random_state=0)[1]
        if name == "PyTorch":
            torch = importlib.import_module("torch")
            tensor = torch.from_numpy(a)
            return lambda: torch.svd_lowrank(tensor, rank + 10, niter=7)[1][:rank]
        if name == "SciPy":
            svds = importlib.import_module("scipy.sparse.linalg").svds
            return lambda: svds(a, rank)[1][::-1]
        return lambda: lowrank.truncated_svd(a, rank).s


@lru_cache(1)
def _matrix(shape: tuple[int, ...], dtype: str, spectrum: str) -> Array:
    rng = np.random.default_rng(20180617)
    noise = rng.standard_normal(shape)
    if spectrum == "noise":
        return noise.astype(dtype)
    k = min(shape)
    u, _ = np.linalg.qr(noise[:, :k])
    v, _ = np.linalg.qr(rng.standard_normal((shape[1], k)))
    result: Array = ((u / np.arange(1, k + 1)) @ v.T).astype(dtype)
    return result


def cases(level: str) -> Iterator[SvdCase]:
    """Return square and tall matrices.

    Parameters
    ----------
    level : {"quick", "default", "full"}

    Returns
    -------
    iterator of SvdCase
    """
    shapes = ((512, 512),) if level == "quick" else ((2048, 2048), (4096, 1024))
    for shape in shapes:
        for dtype in ("float32", "float64"):
            for rank in (16,) if level == "quick" else (16, 64):
                for spectrum in ("noise",) if level == "quick" else ("noise", "harmonic"):
                    yield SvdCase("truncated_svd", shape, dtype, rank=rank, spectrum=spectrum)

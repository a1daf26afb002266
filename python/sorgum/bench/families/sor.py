"""Residual norms of grids beside SciPy's `norm(b - A @ x)`."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorgum import sor
from sorgum._data.matrices import Matrix, grid
from sorgum.bench.case import OwnCase, Slot

__all__ = ["GridCase", "cases"]

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
    peers = ("SciPy",)

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


@lru_cache(1)
def _arrays(case: GridCase) -> tuple[Array, ...]:
    a = grid(case.points, len(case.points) == 3, case.dtype, np.int32)
    rng = np.random.default_rng(20180617)
    return a.indptr, a.indices, a.data, *(rng.standard_normal(a.shape[0]).astype(case.dtype) for _ in range(2))


def cases(level: str) -> Iterator[GridCase]:
    """Return grids of five and of 27 points.

    Parameters
    ----------
    level : {"quick", "default", "full"}

    Returns
    -------
    iterator of GridCase
    """
    square, cube = (300, 30) if level == "quick" else (1000, 64)
    for dtype in ("float64", "float32"):
        yield GridCase("residual_norm", (square**2, 5), dtype, points=(square, square))
        yield GridCase("residual_norm", (cube**3, 27), dtype, points=(cube, cube, cube))

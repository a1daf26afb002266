"""Sweeps over some rows of a grid, and over rows that are relaxed together, beside PyAMG's."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sorgum import sor
from sorgum.bench.case import OwnCase, Slot
from sorgum.bench.families.sor import GridCase, GridSlot

__all__ = ["BlocksCase", "RowsCase", "cases"]

Array = NDArray[Any]


@dataclass(frozen=True)
class RowsCase(GridCase):
    """A Gauss-Seidel sweep of every other row, as fine points of multigrid are relaxed. The limit is that of all."""

    peers: ClassVar[tuple[str, ...]] = ("PyAMG",)

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return a call that sweeps an x of its own and returns it."""
        assert isinstance(slot, GridSlot)
        a, (start, b) = slot.matrix, slot.vectors
        x, rows = start.copy(), np.arange(0, a.shape[0], 2)
        if name == "PyAMG":
            theirs = importlib.import_module("scipy.sparse").csr_matrix((a.data, a.indices, a.indptr), a.shape)
            relaxed = importlib.import_module("pyamg.relaxation.relaxation").gauss_seidel_indexed
            their_rows = rows.astype(np.int32)

            def pyamg() -> Array:
                relaxed(theirs, x, b, their_rows)
                return x

            return pyamg
        relaxation = sor.Relaxation(a)

        def sweep() -> Array:
            relaxation.sweep(x, b, rows=rows)
            return x

        return sweep


@dataclass(frozen=True)
class BlocksCase(GridCase):
    """A Gauss-Seidel sweep of pairs of neighbouring points, solved for at once."""

    peers: ClassVar[tuple[str, ...]] = ("PyAMG",)

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return a call that sweeps an x of its own and returns it."""
        assert isinstance(slot, GridSlot)
        a, (start, b) = slot.matrix, slot.vectors
        x = start.copy()
        if name == "PyAMG":
            theirs = importlib.import_module("scipy.sparse").csr_matrix((a.data, a.indices, a.indptr), a.shape)
            pairs = theirs.tobsr((2, 2))
            module = importlib.import_module("pyamg.relaxation.relaxation")
            inverse = importlib.import_module("pyamg.util.utils").get_block_diag(pairs, blocksize=2, inv_flag=True)

            def pyamg() -> Array:
                module.block_gauss_seidel(pairs, x, b, blocksize=2, Dinv=inverse)
                return x

            return pyamg
        relaxation = sor.Relaxation(a, blocksize=2)

        def sweep() -> Array:
            relaxation.sweep(x, b)
            return x

        return sweep


def cases(level: str) -> Iterator[OwnCase]:
    """Return grids of five points.

    Parameters
    ----------
    level : {"quick", "default", "full"}

    Returns
    -------
    iterator of OwnCase
    """
    square = 300 if level == "quick" else 1000
    yield RowsCase("sweep_rows", (square**2, 5), "float64", points=(square, square))
    yield BlocksCase("sweep_blocks", (square**2, 5), "float64", points=(square, square))

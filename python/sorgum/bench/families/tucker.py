"""Mode products and Gram matrices beside what NumPy's users write: `tensordot`, and products of an unfolded copy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sorgum import tucker
from sorgum.bench.case import OwnCase, Slot

__all__ = ["GramCase", "ModeCase", "cases"]

Array = NDArray[Any]


@dataclass(frozen=True)
class ModeCase(OwnCase):
    """The product of a tensor with a matrix along one mode, as a contiguous array.

    Parameters
    ----------
    rank : int
        The rows of the matrix.
    mode : int
    """

    rank: int = 16
    mode: int = 0
    peers: ClassVar[tuple[str, ...]] = ("NumPy",)

    @property
    def name(self) -> str:
        """The name to select by, unique."""
        return f"{super().name}-rank{self.rank}-mode{self.mode}"

    @property
    def traffic(self) -> tuple[int, int]:
        """The tensor is read once at least; the result is smaller."""
        return 1, 0

    def make_slot(self) -> Slot:
        """Return a tensor, and the matrix as `rows`."""
        rng = np.random.default_rng(20180617)
        x = rng.uniform(1, 2, self.shape).astype(self.dtype)  # so that nothing cancels, and peers agree everywhere
        m = rng.uniform(1, 2, (self.rank, self.shape[self.mode])).astype(self.dtype)
        return Slot(x.view(np.float32).ravel(), np.zeros(1, np.float32), m)

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return our call, or NumPy's."""
        x, m, mode = slot.x.view(self.dtype).reshape(self.shape), slot.rows, self.mode
        if name == "NumPy":
            return lambda: np.ascontiguousarray(np.moveaxis(np.tensordot(m, x, (1, mode)), 0, mode))
        return lambda: tucker.mode_dot(x, m, mode)


@dataclass(frozen=True)
class GramCase(OwnCase):
    """The Gram matrix of a tensor along one mode, which NumPy finds in the type of the tensor.

    Parameters
    ----------
    mode : int
    """

    mode: int = 0
    peers: ClassVar[tuple[str, ...]] = ("NumPy",)

    @property
    def name(self) -> str:
        """The name to select by, unique."""
        return f"{super().name}-mode{self.mode}"

    @property
    def traffic(self) -> tuple[int, int]:
        """The tensor is read once at least; the result is small."""
        return 1, 0

    def make_slot(self) -> Slot:
        """Return a tensor."""
        x = np.random.default_rng(20120903).uniform(1, 2, self.shape).astype(self.dtype)
        return Slot(x.view(np.float32).ravel(), np.zeros(1, np.float32), np.zeros(0, np.float32))

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return our call, or NumPy's."""
        x, mode = slot.x.view(self.dtype).reshape(self.shape), self.mode
        if name == "NumPy":
            return lambda: (unfolding := np.moveaxis(x, mode, 0).reshape(x.shape[mode], -1)) @ unfolding.T
        return lambda: tucker.gram(x, mode)


def cases(level: str) -> Iterator[ModeCase | GramCase]:
    """Return cubes along each mode.

    Parameters
    ----------
    level : {"quick", "default", "full"}

    Returns
    -------
    iterator of ModeCase and GramCase
    """
    shape = (64, 64, 64) if level == "quick" else (128, 128, 96)  # as wide as the table can be
    for dtype in ("float64", "float32"):
        for mode in range(3):
            yield ModeCase("mode_dot", shape, dtype, mode=mode)
            yield GramCase("gram", shape, dtype, mode=mode)
    if level == "full":
        yield from (ModeCase("mode_dot", (512, 64, 3, 3), "float32", rank=64, mode=mode) for mode in range(2))

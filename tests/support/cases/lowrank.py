"""What Python call exercises each kernel of the family `lowrank`."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cases import Array
from sorgum import lowrank
from sorgum._core import lowrank as compiled
from sorgum._data.golden_lowrank import adapter, numbers


def middle(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Ranks below a vector and above, activations of any numbers."""
    for rank in (1, 15, 16, 17, 40):
        a, b = adapter(5, 9, rank, dtype)
        x = numbers((30, 9), dtype, 40.0, seed=rank)
        x[3] = np.inf
        x[4] = -np.inf
        with np.errstate(invalid="ignore"):
            for activation in (None, "relu", "silu"):
                mid, gate = numbers((rank,), dtype, seed=8), numbers((30,), dtype, seed=9)
                yield lowrank.apply(x, a, b, activation=activation)
                yield lowrank.apply(x, a, b, activation=activation, mid=mid, gate=gate)


def bases(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Fewer bases than lanes and more; numbers of a group of words, of a tile, of a chunk and beyond."""
    for count, n in ((1, 1), (15, 127), (16, 129), (17, 513), (40, 2047), (3, 5000)):
        weights, sums = numbers((count,), dtype, seed=1), numbers((n,), dtype, seed=2)
        compiled.basis_add(2**63 + n, weights, sums)
        dots = np.empty_like(weights)
        compiled.basis_dots(n, sums, dots)
        yield from (sums, dots)


# Kernel -> what exercises it.
CASES: dict[str, Callable[..., Iterator[Array]]] = {"middle": middle, "basis_add": bases, "basis_dots": bases}

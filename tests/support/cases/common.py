"""What Python call exercises each of the kernels that families share."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cases import CHUNK, Array
from sorgum import _core, special
from sorgum._data.inputs import logits


def memory_read(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (0, 1, 17, 100003):
        yield np.float32(_core.memory_read(logits(n, dtype)))


def memory_copy(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (0, 1, 17, 100003):
        x = logits(n, dtype)
        copy = np.zeros_like(x)
        _core.memory_copy(x, copy)
        assert np.array_equal(copy, x)
        yield copy


def halves(dtype: np.dtype[Any]) -> Iterator[Array]:
    """All encodings; rows and matrices, contiguous and strided, results within the caches and past them."""
    yield special.exp(np.arange(65536, dtype=np.uint16).view(dtype))
    for shape in ((5, 1), (30, 7), (70, 64), (3, CHUNK + 1), (3, 1000000)):
        x = logits(shape, np.float32, seed=shape[1]).astype(dtype)
        yield special.softmax(x)
        yield special.log_softmax(x[:, ::-3])
        yield special.logsumexp(x, axis=0)


def side_by_side(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Rows beside each other that are brought together: tiles of all partial sizes, results past the caches, masks."""
    for n, rows in ((1, 2), (15, 3), (16, 31), (17, 16), (33, 49), (70, 64), (CHUNK + 1, 21), (1100, 2048)):
        x = logits((n, rows), np.float32, seed=n + rows)
        if dtype == np.bool_:
            yield special.softmax(x, axis=0, where=x > -3.0, empty="zero")
            continue
        x = x.astype(dtype)
        y = special.softmax(x, axis=0)
        yield y
        yield special.softmax_grad(y, dy=x, axis=0)


def fma_chains(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Count operations: what is left of the sums never leaves the kernel."""
    for many in (False, True):
        yield np.float64(_core.fma_peak(10, many))


# Kernel -> what exercises it.
CASES: dict[str, Callable[[np.dtype[Any]], Iterator[Array]]] = {
    "gather": side_by_side,
    "scatter": side_by_side,
    "widen": halves,
    "narrow": halves,
    "read": memory_read,
    "copy": memory_copy,
    "fma_chains": fma_chains,
}

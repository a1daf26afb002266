"""What Python call exercises each kernel of the family `sor`."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cases import Array
from sorgum import sor
from sorgum._data.inputs import logits, words
from sorgum._data.matrices import grid, scattered


def residual_norm(dtype: np.dtype[Any], index: Any = np.int32) -> Iterator[Array]:
    """Rows without entries and with many, fewer and more than are taken at once, of one chunk and of several."""
    for rows, most in ((0, 0), (1, 5), (3, 40), (255, 3), (257, 12), (4096, 7), (4097, 1), (40000, 9)):
        a = scattered((rows, 300), most, dtype, index, seed=rows)
        x, b = logits(300, dtype, seed=1), logits(rows, dtype, seed=2)
        yield np.float64(sor.residual_norm(a, x, b))
        yield np.float64(sor.residual_norm(a, x * dtype.type(2.0**-60), b * dtype.type(2.0**-90)))
    a = grid((30, 40, 10), True, dtype, index)
    yield np.float64(sor.residual_norm(a, logits(12000, dtype), logits(12000, dtype, seed=1)))
    for seed in range(8):  # any encodings: what is not finite, and squares beyond the range
        any_x, any_b = words(300, dtype, seed), words(900, dtype, seed + 10)
        a = scattered((900, 300), 6, dtype, index, seed)
        yield np.float64(sor.residual_norm(a, np.where(np.isfinite(any_x), any_x, 0), logits(900, dtype)))
        yield np.float64(sor.residual_norm(a, logits(300, dtype), np.where(np.isfinite(any_b), any_b, 0)))
        yield np.float64(sor.residual_norm(a, any_x, any_b))


# Kernel -> what exercises it.
CASES: dict[str, Callable[..., Iterator[Array]]] = {
    "csr_holds": lambda index: residual_norm(np.dtype(np.float32), index),
    "csr_residual": residual_norm,
    "squares_add": residual_norm,
    "squares_merge": residual_norm,
    "squares_total": residual_norm,
}

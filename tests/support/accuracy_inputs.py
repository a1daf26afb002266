"""The inputs of test_accuracy.py, which tools/measure_bounds.py measures too."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from cases import CHUNK

from sorgum._data.inputs import hashed, logits

Array = Any
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def float64_arguments(name: str) -> Iterator[Array]:
    n = 1 << 19
    if name == "exp":
        yield logits(n, F64, 1.0)
        yield logits(n, F64, 250.0).clip(-745, 709.7)
        k = np.arange(-1074, 1024, dtype=np.float64)
        edges = (k[:, None] + np.array([0.5, 0.0])) * np.log(2.0)  # where the reduction changes its integer
        words = edges.reshape(-1, 1).view(np.int64) + np.arange(-64, 65)
        x = words.view(np.float64)
        yield x[(x > -745.1) & (x < 709.78)]
        yield (hashed(n) >> np.uint64(2)).view(np.float64)[: n // 4] % 700.0
    else:
        x = (hashed(n) >> np.uint64(1)).view(np.float64)
        yield x[np.isfinite(x) & (x > 0)]
        yield 1.0 + logits(n, F64, 0.1).clip(-0.9, 9)
        yield 1.0 + logits(n, F64, 1e-6)
        centres = np.ldexp(np.sqrt(0.5), np.arange(-1020, 1023))  # where the exponent changes
        yield (centres[:, None].view(np.int64) + np.arange(-64, 65)).view(np.float64).reshape(-1)
        yield np.arange(1, 5000, dtype=np.int64).view(np.float64)  # subnormal


def rows(dtype: np.dtype[Any]) -> Iterator[tuple[str, Array, float]]:
    """Return a description, rows and a temperature."""
    for scale in (1.0, 3.0, 20.0):
        for shape in ((999, 10), (50, 1000), (3, CHUNK + 5), (1, 300001)):
            yield f"N(0, {scale}) of shape {shape}", logits(shape, dtype, scale, seed=int(scale)), 1.0
    for n in (2, 3, 5, 17, 100):
        for scale, temperature in ((1.0, 1.0), (1.0, 0.7), (3.0, 3.3), (30.0, 3.3)):
            yield f"short rows of {n}, N(0, {scale})", logits((30000 // n, n), dtype, scale, seed=n), temperature
    # The same with log S close to 1, where float32 log_softmax changes its way to sum.
    for scale in (10.0, 100.0):
        x = logits((4000, 100), F64, scale, seed=11)
        x[:, 0] = x.max(-1)
        x[:, 1] = x[:, 0] - np.log(np.linspace(0.95, 1.25, len(x)))
        x[:, 2] = x[:, 0] - np.log(1.5)
        yield f"log S near 1, N(0, {scale})", x.astype(dtype), 1.0
    # One term far above the others of its lane: the float tree rounds it at every level.
    yield "peaked rows of 128", logits((1562, 128), dtype, 33.0, seed=1), 3.3
    for offset in (1e5, -1e5, 6e7, -6e7, 3e37, -3e37):
        for n in (500, 3 * CHUNK):
            x = (logits((3, n), F64, 5.0, seed=7) + offset).astype(dtype)
            yield f"offset {offset}, length {n}", x, 1.0
            # the same, with neighbours of the largest a few steps of the format apart
            step = np.spacing(np.abs(x).max())
            yield f"offset {offset} with gaps, length {n}", x - step * (hashed(3 * n) % np.uint64(4)).reshape(3, n), 1.0
    for temperature in (1e-3, 0.7, 37.5, 1e30, 1e-30):
        for shape in ((60, 100), (2, 2 * CHUNK + 9)):
            x = logits(shape, F64, 5.0, seed=8)
            yield f"temperature {temperature}", x.astype(dtype), temperature
            yield f"temperature {temperature} on its scale", (x * temperature).astype(dtype), temperature
    for top in (5.0, 30.0, 80.0, 103.0):
        x = logits((40, 300), dtype, 1.0, seed=9)
        x[:, 17] = top
        yield f"one element of {top}", x, 1.0
    # The whole range of exponents at once, twice as densely where results become subnormal.
    ramp = -np.arange(0.0, 110.0 if dtype == F32 else 750.0, 0.0625)
    yield "a ramp", np.stack([ramp, ramp * 0.5, ramp + 1e3]).astype(dtype), 1.0

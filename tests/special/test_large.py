"""Rows of 2^26 elements and of more than 2^31: minutes, and gigabytes of memory.

What they found last stands in docs/numerics/special.md; `pytest -m slow -rP` on this file prints it again.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tolerance import errors_in_ulps

import sorgum as sg
from sorgum import special
from sorgum._data import load
from sorgum._data.inputs import logits

pytestmark = pytest.mark.slow

Array = Any
PIECE = 1 << 22
F32 = np.dtype(np.float32)


def bound(name: str) -> float:
    return float(load("bounds")[f"special.{name}.f32"]["bound"])


def pieces(n: int) -> Iterator[slice]:
    for first in range(0, n, PIECE):
        yield slice(first, min(first + PIECE, n))


class Row:
    """What float64 says of a row whose `pattern` repeats: with m its maximum, S its sum of exp((x - m) / T)."""

    def __init__(self, pattern: Array, n: int, temperature: float) -> None:
        self.pattern, self.temperature = pattern, temperature
        self.m = float(pattern.max())
        repeats, rest = divmod(n, len(pattern))
        whole = sum(float(np.sum(self.terms(part))) for part in pieces(len(pattern)))
        self.s = repeats * whole + sum(float(np.sum(self.terms(part))) for part in pieces(rest))

    def distances(self, part: slice) -> Array:
        return (self.pattern[part].astype(np.float64) - self.m) / self.temperature

    def terms(self, part: slice) -> Array:
        return np.exp(self.distances(part))

    def softmax_error(self, part: slice, got: Array) -> float:
        exact = self.terms(part) / self.s
        return float(np.max(errors_in_ulps(got, exact), where=exact >= np.finfo(F32).tiny, initial=0.0))

    def log_softmax_error(self, part: slice, got: Array) -> float:
        d, log_s = self.distances(part), np.log(self.s)
        return float(np.max(errors_in_ulps(got, d - log_s, np.maximum(-d, log_s))))

    def logsumexp_error(self, got: Array) -> float:
        size = max(abs(self.m) / self.temperature, np.log(self.s))
        return float(errors_in_ulps(got, np.float64(self.m / self.temperature + np.log(self.s)), np.float64(size)))


def available_memory() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))


@pytest.mark.parametrize(
    ("scale", "offset", "temperature"),
    [(1.0, 0.0, 1.0), (3.0, 0.0, 1.0), (20.0, 0.0, 1.0), (3.0, 1e5, 1.0), (3.0, 0.0, 0.1), (0.0, 0.1, 1.0)],
)
def test_two_to_the_26_elements(
    scale: float, offset: float, temperature: float, threads: Callable[[int], None]
) -> None:
    n = 1 << 26
    x = np.full(n, offset, F32) if scale == 0 else (logits(n, F32, scale, seed=26) + F32.type(offset)).astype(F32)
    row = Row(x, n, temperature)
    before = sg.isa()
    for name in ("softmax", "log_softmax", "logsumexp"):
        function = getattr(special, name)
        y = function(x, temperature=temperature)
        try:
            for isa, count in ((isa, count) for isa in sg.available_isas() for count in (1, 2)):
                sg.set_isa(isa)
                threads(count)
                assert np.array_equal(function(x, temperature=temperature), y), (isa, count)
        finally:
            sg.set_isa(before)
        if name == "logsumexp":
            error = row.logsumexp_error(y)
        else:
            error = max(getattr(row, f"{name}_error")(part, y[part]) for part in pieces(n))
        print(f"2^26 from N({offset:g}, {scale:g}), T = {temperature:g}: {name} {error:.2f} ULP", end="")
        assert error <= bound(name)
        if name == "softmax":
            total = abs(sum(float(np.sum(y[part], dtype=np.float64)) for part in pieces(n)) - 1)
            print(f", |sum - 1| {total:.1e}", end="")
            assert total <= load("bounds")["special.softmax.f32"]["sum"]
            half = y.copy()
            half[n // 2 :] = 0
            assert max(row.softmax_error(part, half[part]) for part in pieces(n)) > bound(name)
        print()


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_more_than_two_to_the_31_elements_in_memory(name: str) -> None:
    """One row of 8.6 GB, in place; its pattern repeats, so that every element is known."""
    n = (1 << 31) + 17
    if available_memory() < n * 4 + (1 << 30):
        pytest.skip(f"needs {n * 4 + (1 << 30) >> 30} GiB of memory, {available_memory() >> 30} are available")
    pattern = logits(PIECE, F32, 3.0, seed=31)
    row = Row(pattern, n, 1.0)
    x = np.empty(n, F32)
    for part in pieces(n):
        x[part] = pattern[: part.stop - part.start]
    assert row.logsumexp_error(special.logsumexp(x)) <= bound("logsumexp")
    getattr(special, name)(x, out=x)
    first = x[:PIECE].copy()
    error = getattr(row, f"{name}_error")(slice(None), first)
    print(f"2^31 + 17 elements: {name} {error:.2f} ULP", end="")
    assert error <= bound(name)
    for part in pieces(n):
        assert np.array_equal(x[part], first[: part.stop - part.start]), part
    if name == "softmax":
        total = sum(float(np.sum(x[part], dtype=np.float64)) for part in pieces(n))
        print(f", |sum - 1| {abs(total - 1):.1e}", end="")
        assert abs(total - 1) <= load("bounds")["special.softmax.f32"]["sum"]
    print()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_more_than_two_to_the_32_elements(dtype: Any, isa: str) -> None:
    """Without memory, through a stride of 0: rows of many equal patterns, summed over both axes."""
    if isa == "scalar":
        pytest.skip("slow: half an hour")
    pattern = logits(4096, np.dtype(dtype), 3.0, seed=32)
    repeats = (1 << 20) + 3
    rows = np.broadcast_to(pattern, (repeats, 4096))
    exact = np.log(repeats) + float(special.logsumexp(pattern.astype(np.float64)))
    assert abs(float(special.logsumexp(rows, axis=None)) - exact) <= 3 * float(np.spacing(dtype(exact)))
    p = special.logsumexp_partial(rows, axis=None)
    assert p["count"] == repeats
    assert special.logsumexp_finish(p) == special.logsumexp(rows, axis=None)

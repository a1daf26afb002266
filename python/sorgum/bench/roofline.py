"""The limits of this machine at this moment: streaming read, streaming copy, multiply-adds."""

import time
from typing import NamedTuple

import numpy as np

from sorgum import _core
from sorgum.bench.case import Case, Slot, touch
from sorgum.bench.paired import Call

__all__ = ["Limits", "fma_gflops", "limit_call", "limits"]

FMA_SECONDS = 5e-3


class Limits(NamedTuple):
    """Nanoseconds per float32 element, and float32 operations per nanosecond."""

    read_ns: float
    copy_ns: float
    fma_gflops: float


def limit_call(case: Case, slot: Slot) -> Call:
    """Return the least memory traffic of a case as a call: what no implementation can beat out of cache.

    Parameters
    ----------
    case : Case
    slot : Slot
        Its buffers; the output is overwritten.

    Returns
    -------
    callable
        One or two streaming reads, the last with a streaming write of the same size unless the case is a reduction.
    """
    x, out = (array.reshape(-1).view(np.float32) for array in (slot.x, slot.out))
    reads, writes = case.traffic

    def call() -> None:
        for _ in range(reads - writes):
            _core.memory_read(x)
        if writes:
            _core.memory_copy(x, out)

    return call


def fma_gflops(rounds: int) -> float:
    """Return the peak of float32 multiply-adds on all threads, in 10^9 operations per second."""
    best = 0.0
    for many in (True, False):
        iterations = 1000
        while True:
            start = time.perf_counter()
            flops = _core.fma_peak(iterations, many)
            elapsed = time.perf_counter() - start
            if elapsed > FMA_SECONDS:
                break
            iterations = int(iterations * min(10.0, 1.2 * FMA_SECONDS / max(elapsed, 1e-7))) + 1
        for _ in range(rounds):
            start = time.perf_counter()
            flops = _core.fma_peak(iterations, many)
            best = max(best, flops / (time.perf_counter() - start) * 1e-9)
    return best


def _best_ns(calls: list[Call], elements: int, rounds: int) -> float:
    best = float("inf")
    for i in range(rounds):
        start = time.perf_counter()
        calls[i % len(calls)]()
        best = min(best, time.perf_counter() - start)
    return best / elements * 1e9


def limits(ring: list[Slot], rounds: int) -> Limits:
    """Measure the limits on all threads.

    Parameters
    ----------
    ring : list of Slot
        Buffers that exceed the caches together.
    rounds : int

    Returns
    -------
    Limits
    """
    read = Case("logsumexp", ring[0].x.shape)
    copy = Case("exp", ring[0].x.shape)
    rounds = max(rounds, len(ring))
    touch(ring)
    return Limits(
        _best_ns([limit_call(read, slot) for slot in ring], read.size, rounds),
        _best_ns([limit_call(copy, slot) for slot in ring], copy.size, rounds),
        fma_gflops(3),
    )

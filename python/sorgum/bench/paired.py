"""Two implementations beside each other: A B, B A, A B in one process, so that what disturbs one disturbs both."""

import gc
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

__all__ = ["Call", "Pair", "PairSummary", "paired"]

Call = Callable[[], object]


class PairSummary(TypedDict):
    """A pair as plain data: seconds of the fastest calls, ratios of rival to ours, page faults per call."""

    ours: float
    rival: float
    ratio_of_minima: float
    ratio_of_medians: float
    quartiles: tuple[float, float]
    rounds: int
    our_faults: float
    rival_faults: float


@dataclass(frozen=True)
class Pair:
    """The samples of a comparison, in seconds per call, round by round, and the minor page faults per call."""

    ours: list[float]
    rival: list[float]
    our_faults: float = 0.0
    rival_faults: float = 0.0

    def summary(self) -> PairSummary:
        """Return ratios above 1 where ours is faster, with the quartiles of the rounds' own ratios."""
        ratios = [rival / ours for ours, rival in zip(self.ours, self.rival, strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
        return {
            "ours": min(self.ours),
            "rival": min(self.rival),
            "ratio_of_minima": min(self.rival) / min(self.ours),
            "ratio_of_medians": statistics.median(self.rival) / statistics.median(self.ours),
            "quartiles": (low, high),
            "rounds": len(ratios),
            "our_faults": self.our_faults,
            "rival_faults": self.rival_faults,
        }


def _repeats_for(call: Call, seconds: float) -> int:
    """Return how many calls a sample must have to last `seconds`, from one call after one that warms up."""
    call()
    start = time.perf_counter()
    call()
    elapsed = time.perf_counter() - start
    return max(1, min(100_000, round(seconds / max(elapsed, 1e-9))))


def _faults() -> int:
    """Return how many pages this process has been given without reading a disk, all threads together."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


class _Side:
    """One implementation: its calls, one per pair of buffers, taken in turn."""

    def __init__(self, calls: Sequence[Call], sample_seconds: float) -> None:
        self.calls = calls
        self.repeats = _repeats_for(calls[0], sample_seconds)
        self.turn = 1
        self.samples: list[float] = []
        self.faults = 0

    @property
    def faults_per_call(self) -> float:
        return self.faults / (self.repeats * len(self.samples))

    def sample(self) -> None:
        order = [self.calls[(self.turn + i) % len(self.calls)] for i in range(self.repeats)]
        self.turn += self.repeats
        faults = _faults()
        start = time.perf_counter()
        for call in order:
            call()
        self.samples.append((time.perf_counter() - start) / self.repeats)
        self.faults += _faults() - faults


def paired(
    ours: Sequence[Call],
    rival: Sequence[Call],
    *,
    rounds: int,
    seconds: float = float("inf"),
    sample_seconds: float = 1e-3,
    pause: float = 0.0,
    prepare: Call = lambda: None,
) -> Pair:
    """Time two implementations in turn.

    Parameters
    ----------
    ours, rival : sequence of callables
        The same work on different buffers, taken in turn.
    rounds : int
        How many samples to take of each.
    seconds : float, optional
        Stop earlier when this much time has passed and three rounds are done.
    sample_seconds : float, optional
        Repeat calls within a sample until it lasts this long.
    pause : float, optional
        Seconds to wait before each sample, for the other's threads to stop spinning.
    prepare : callable, optional
        Called once after both have warmed up and before the first sample: `cases.touch` on buffers that both use, since
        imports and first calls may fork, after which the first to write to a page pays for it.

    Returns
    -------
    Pair
    """
    first, second = _Side(ours, sample_seconds), _Side(rival, sample_seconds)
    prepare()
    collecting = gc.isenabled()
    gc.disable()
    try:
        deadline = time.perf_counter() + seconds
        for done in range(rounds):
            if done >= 3 and time.perf_counter() > deadline:
                break
            for side in (first, second) if done % 2 == 0 else (second, first):
                if pause:
                    time.sleep(pause)
                side.sample()
    finally:
        if collecting:
            gc.enable()
    return Pair(first.samples, second.samples, first.faults_per_call, second.faults_per_call)

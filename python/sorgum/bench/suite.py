"""The benchmarks, as pytest-benchmark runs them: a group is one operation at one shape, ours beside the peers.

Rounds that follow each other say little about a ratio on a machine that others use too. So each benchmark also stands
beside ours in `sorgum.bench.paired`, and that ratio goes into its `extra_info`.
"""

import dataclasses
import itertools
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

import sorgum
from sorgum.bench import peers, real
from sorgum.bench.case import Case, Level, Slot, make_ring, touch
from sorgum.bench.machine import cache_bytes
from sorgum.bench.paired import Call, PairSummary, paired
from sorgum.bench.roofline import limit_call, limits
from sorgum.bench.settings import Settings, comparisons, current

LIMIT = "limit"
# Threads of OpenMP spin for some milliseconds after their work is done.
SPINNING_SECONDS = 0.005


class Bench:
    """The buffers of the case at hand, and comparisons on them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.least_bytes = min(2 * cache_bytes(3), settings.effort.most_bytes)
        self.deadline = time.perf_counter() + settings.effort.total_seconds
        self._key: object = None
        self._ring: list[Slot] = []
        sorgum.set_num_threads(settings.threads)

    def ring(self, case: Case) -> list[Slot]:
        """Return the case's buffers; those of the case before are reused or freed."""
        if case.buffers != self._key:
            self._ring = []
            self._ring = make_ring(case, self.least_bytes)
            self._key = case.buffers
        return self._ring

    def place(self, case: Case) -> str:
        """Return where the buffers fit: "L2", "L3" or "memory"."""
        size = sum(slot.x.nbytes + slot.out.nbytes for slot in self.ring(case))
        for level in (2, 3):
            if size <= cache_bytes(level):
                return f"L{level}"
        return "memory"

    def pair(self, case: Case, rival: list[Call]) -> PairSummary:
        """Return our calls beside a rival's."""
        effort, ring = self.settings.effort, self.ring(case)
        many = case.curve and case.cached  # points, of calls that take microseconds
        return paired(
            peers.calls(peers.OURS, case, ring, self.settings.threads),
            rival,
            rounds=effort.rounds,
            seconds=effort.seconds / 20 if many else effort.seconds,
            sample_seconds=effort.sample_seconds / 20 if many else effort.sample_seconds,
            pause=SPINNING_SECONDS if self.settings.threads > 1 else 0.0,
            prepare=partial(touch, ring),
        ).summary()


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    """Give the buffers and settings of the session."""
    before = sorgum.get_num_threads()
    yield Bench(current())
    sorgum.set_num_threads(before)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a benchmark of every case and implementation."""
    if "case" in metafunc.fixturenames:
        settings = current()
        pairs = comparisons(settings)
        metafunc.parametrize(("case", "name"), pairs, ids=[f"{case.name}-{name}" for case, name in pairs])


def record(benchmark: Any, calls: list[Call], seconds: float, effort: Level) -> None:
    """Let pytest-benchmark time calls of `seconds` each, which take turns."""
    turns = itertools.cycle(calls)
    rounds = effort.recorded_rounds if seconds < 0.1 else 1
    benchmark.pedantic(lambda: next(turns)(), rounds=rounds, iterations=max(1, round(effort.sample_seconds / seconds)))


def test_limits(benchmark: Any, bench: Bench) -> None:
    """Measure what memory and arithmetic allow."""
    benchmark.group = "machine"
    case = Case("exp", (1 << 22 if bench.settings.level == "quick" else 1 << 26,))
    ring = bench.ring(case)
    found = limits(ring, bench.settings.effort.rounds)
    benchmark.extra_info.update(kind=LIMIT, threads=bench.settings.threads, **found._asdict())
    calls = [limit_call(case, slot) for slot in ring]
    record(benchmark, calls, found.copy_ns * case.size * 1e-9, bench.settings.effort)


def test_case(benchmark: Any, bench: Bench, case: Case, name: str) -> None:
    """Measure one implementation of one case, beside ours; ours beside the memory limit."""
    benchmark.group = f"{case.name}-{bench.settings.threads}"
    if absent := real.missing(case.data):
        pytest.skip(f"real {case.data}: {absent}")
    if name != peers.OURS and time.perf_counter() > bench.deadline:
        pytest.skip("time is over")
    ring = bench.ring(case)
    try:
        calls = peers.calls(name, case, ring, bench.settings.threads)
        pair = bench.pair(case, [limit_call(case, slot) for slot in ring] if name == peers.OURS else calls)
    except Exception as error:
        if name not in peers.PEERS:
            raise
        pytest.skip(f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}")
    benchmark.extra_info.update(
        kind="case",
        case=case.name,
        **dataclasses.asdict(case),
        name=name,
        threads=bench.settings.threads,
        isa=sorgum.isa(),
        place=bench.place(case),
        size=case.size,
        traffic_bytes=case.traffic_bytes,
        pair=pair,
    )
    record(benchmark, calls, pair["ours" if name == peers.OURS else "rival"], bench.settings.effort)

"""The benchmarks measure what they say: the right operation, in turn, against a limit that no result can beat."""

import importlib.util
import itertools
import json
import mmap
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import special

import sorgum as sg
from sorgum import _core, bench
from sorgum.bench import peers, suite
from sorgum.bench.case import DRAWS, GRADIENTS, Case, OwnCase, Slot, cases, make_ring, touch
from sorgum.bench.paired import Pair, paired
from sorgum.bench.roofline import limit_call, limits
from sorgum.bench.settings import Settings
from sorgum.bench.table import FEW_HAVE, WIDTH, explain, format_limits, format_table, rows_of

pytestmark = pytest.mark.usefixtures("gradients_on_again")
OPERATIONS = ("exp", "log", "softmax", "log_softmax", "logsumexp")


def small(operation: str, dtype: str = "float32", axis: int = -1) -> tuple[Case, list[Slot]]:
    case = Case(operation, (7, 33), dtype, axis, "positive" if operation == "log" else "normal", cached=True)
    return case, make_ring(case, 0)


def test_cases_have_unique_names_and_known_operations() -> None:
    for level in ("quick", "default", "full"):
        found = cases(level)
        assert len({case.name for case in found}) == len(found)
        shared = [case for case in found if not isinstance(case, OwnCase)]
        assert {case.operation for case in shared} == {*OPERATIONS, *GRADIENTS, *DRAWS}
        assert {case.dtype for case in found} == {"float16", "bfloat16", "float32", "float64"}
        assert any(case.shape == (64,) for case in found)
    assert len(Settings("full", 1, "curve").cases()) == 21
    lengths = Settings("full", 1, "lengths").cases()
    assert {case.shape[1] for case in lengths} >= {1, 2, 8, 16, 32, 63, 64, 100, 128, 256}
    assert all(case.cached and case.curve and case.dtype == "float32" for case in lengths)
    assert all("PyTorch" in peers.rivals(case, 1) for case in lengths if importlib.util.find_spec("torch"))
    short = Settings("full", 1, "short").cases()
    assert {case.shape[1] for case in short} == {2, 8, 10, 16, 32, 64, 100, 128, 1000}
    assert {case.dtype for case in short} == {"float32", "bfloat16"}
    assert len(short) == 9 * 2 * len({*OPERATIONS[2:], *GRADIENTS})
    assert all(16000 <= case.size <= 16384 and case.cached for case in short)


def test_quick_is_small() -> None:
    assert all(case.size <= 1 << 22 for case in cases("quick"))


@pytest.mark.parametrize(
    ("case", "traffic"),
    [
        (Case("softmax", (1, 1 << 26)), (2, 1)),
        (Case("softmax", (64, 131072)), (1, 1)),
        (Case("softmax", (4096, 4096), axis=0), (1, 1)),
        (Case("logsumexp", (1, 1 << 26)), (1, 0)),
        (Case("exp", (1 << 26,)), (1, 1)),
        (Case("softmax_grad", (64, 131072)), (2, 1)),
        (Case("categorical", (64, 131072)), (1, 0)),
        (Case("gumbel_softmax", (64, 131072)), (1, 1)),
    ],
)
def test_least_traffic(case: Case, traffic: tuple[int, int]) -> None:
    assert case.traffic == traffic
    assert case.traffic_bytes == sum(traffic) * case.size * 4


def test_a_ring_exceeds_the_cache_and_is_aligned() -> None:
    case = Case("softmax", (16, 1000), data="peaked")
    ring = make_ring(case, 1_000_000)
    assert sum(slot.x.nbytes + slot.out.nbytes for slot in ring) >= 1_000_000
    assert all(array.ctypes.data % 64 == 0 for slot in ring for array in (slot.x, slot.out, slot.rows))
    assert all(np.array_equal(slot.x, ring[0].x) for slot in ring)
    assert ring[0].x.std() > 0
    assert len(make_ring(Case("exp", (100,), cached=True), 1_000_000)) == 1


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", [peers.OURS, "1 thread", *peers.PEERS])
def test_every_implementation_computes_the_operation(name: str, operation: str, dtype: str, axis: int) -> None:
    if name in peers.missing():
        pytest.skip(f"{name}: {peers.missing()[name]}")
    case, ring = small(operation, dtype, axis)
    if name in peers.PEERS and name not in peers.rivals(case, 1):
        pytest.skip(f"{name} has no {operation}")
    x = ring[0].x.astype(np.float64)
    options = {} if operation in ("exp", "log") else {"axis": axis}
    expected = getattr(np if not options else special, operation)(x, **options)
    found = np.asarray(peers.calls(name, case, ring, sg.get_num_threads())[0]())
    assert found.dtype == dtype
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", [peers.OURS, "1 thread", *peers.PEERS])
def test_every_implementation_computes_in_half_types(name: str, dtype: str) -> None:
    if name in peers.missing():
        pytest.skip(f"{name}: {peers.missing()[name]}")
    case, ring = small("softmax", dtype)
    if name in peers.PEERS and name not in peers.rivals(case, 1):
        pytest.skip(f"{name} has no {dtype}")
    try:
        found = peers.calls(name, case, ring, sg.get_num_threads())[0]()
    except Exception as error:
        assert name == "ONNX Runtime"
        pytest.skip(f"{name}: {error}")
    widened = getattr(found, "float", lambda: found)()  # a tensor of bfloat16 does not become an array
    expected = special.softmax(ring[0].x.astype(np.float64), axis=-1)
    np.testing.assert_allclose(np.asarray(widened).astype(np.float64), expected, rtol=0.02, atol=1e-3)
    assert ring[0].x.dtype.name == dtype


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("operation", GRADIENTS)
@pytest.mark.parametrize("name", [peers.OURS, "1 thread", "PyTorch"])
def test_every_implementation_computes_the_gradient(name: str, operation: str, dtype: str) -> None:
    if name in peers.missing():
        pytest.skip(f"{name}: {peers.missing()[name]}")
    case, ring = small(operation, dtype)
    assert peers.rivals(case, 1) == [peer for peer in ("PyTorch",) if peer not in peers.missing()]
    dy = ring[0].x.astype(np.float64)
    y = getattr(special, operation.removesuffix("_grad"))(dy, axis=-1)
    if operation == "softmax_grad":
        expected = (dy - np.sum(y * dy, axis=-1, keepdims=True)) * y
    else:
        expected = dy - np.exp(y) * np.sum(dy, axis=-1, keepdims=True)
    result = peers.calls(name, case, ring, sg.get_num_threads())[0]()
    found = np.asarray(getattr(result, "float", lambda: result)()).astype(np.float64)
    assert np.abs(expected).max() > 0.1
    # y, dy and dx of bfloat16 are within 2^-9 each; dy and the sum cancel.
    rtol, atol = (1e-4, 1e-5) if dtype == "float32" else (0.02, 0.02)
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol * np.abs(expected).max())


@pytest.mark.parametrize("level", ["quick", "default", "full"])
def test_only_equal_cases_share_buffers_of_their_own(level: str) -> None:
    """A case ran on those of another kind, which stood before it and had the same shape."""
    own = [case.buffers for case in cases(level) if isinstance(case, OwnCase)]
    assert len(set(own)) == len(own) >= 10
    assert not set(own) & {case.buffers for case in cases(level) if not isinstance(case, OwnCase)}


OWN_CASES = [case for case in cases("quick") if isinstance(case, OwnCase)]


@pytest.mark.parametrize("case", OWN_CASES, ids=[case.name for case in OWN_CASES])
def test_cases_with_buffers_of_their_own(case: OwnCase) -> None:
    ring = make_ring(case, 0)
    assert len(ring) == (1 if case.cached else 2)
    others = [name for name in peers.rivals(case, 1) if name not in case.algorithms]
    assert set(others) <= set(peers.PEERS)
    expected = peers.calls(peers.OURS, case, ring, 1)[0]()
    assert np.all(np.abs(np.asarray(expected, np.float64)) > 0)
    tolerance = 100 * np.finfo(case.dtype).eps if case.difference is None else case.difference
    for name in others:
        found = peers.calls(name, case, ring, 1)[0]()
        np.testing.assert_allclose(found, expected, rtol=tolerance)
    for name in case.algorithms:  # of ours, which need not do the same
        assert np.isfinite(peers.calls(name, case, ring, 1)[0]()).all()
    assert ring[0].x.dtype == np.float32
    limit_call(case, ring[0])()


def test_our_algorithms_are_rivals() -> None:
    case = next(case for case in cases("default") if case.name == "softmax-1x67108864-float32")
    assert {"three_pass_recompute", "three_pass_reload", "1 thread"} <= set(peers.rivals(case, 2))
    assert "1 thread" not in peers.rivals(case, 1)


def test_pairs_alternate_and_take_turns() -> None:
    log: list[str] = []

    def calls(name: str) -> list[peers.Call]:
        return [partial(log.append, f"{name}{i}") for i in range(2)]

    pair = paired(calls("a"), calls("b"), rounds=4, sample_seconds=0.0)
    assert len(pair.ours) == len(pair.rival) == 4
    measured = log[4:]  # after the warm-up
    assert "".join(entry[0] for entry in measured) == "abbaabba"
    assert [entry[1] for entry in measured if entry[0] == "a"] == ["1", "0", "1", "0"]
    assert len(paired(calls("a"), calls("b"), rounds=9, seconds=0.0).ours) == 3


def test_ratios() -> None:
    found = Pair([1.0, 2.0, 4.0], [3.0, 6.0, 4.0]).summary()
    assert found["ratio_of_minima"] == 3.0
    assert found["ratio_of_medians"] == 2.0
    assert found["quartiles"] == (2.0, 3.0)
    assert Pair([1.0], [2.0]).summary()["quartiles"] == (2.0, 2.0)


def unmapped_ring(count: int, pages: int) -> tuple[list[Slot], peers.Call]:
    """Return buffers, and a call after which each of their pages is new again, as after a fork it is shared."""
    regions = [mmap.mmap(-1, 3 * pages * mmap.PAGESIZE) for _ in range(count)]
    for region in regions:
        region.madvise(mmap.MADV_NOHUGEPAGE)
    ring = [Slot(*np.frombuffer(region, np.float32).reshape(3, -1)) for region in regions]

    def drop() -> None:
        for region in regions:
            region.madvise(mmap.MADV_DONTNEED)

    return ring, drop


def test_page_faults_are_counted_and_buffers_are_touched_before_they_are_timed() -> None:
    pages = 128
    ring, drop = unmapped_ring(9, pages)
    ours = [partial(slot.out.fill, 1) for slot in ring]
    rival = [partial(slot.out.fill, 2) for slot in ring]
    first = iter([drop])

    def drops_once() -> None:  # the first call of a peer: it imports, compiles, forks
        next(first, lambda: None)()

    rival[0] = drops_once
    pair = paired(ours, rival, rounds=4, sample_seconds=0.0)
    assert pages <= pair.our_faults + pair.rival_faults <= 2 * pages
    summary = pair.summary()
    assert (summary["our_faults"], summary["rival_faults"]) == (pair.our_faults, pair.rival_faults)

    first = iter([drop])
    pair = paired(ours, rival, rounds=4, sample_seconds=0.0, prepare=partial(touch, ring))
    assert max(pair.our_faults, pair.rival_faults) < pages / 8


def test_touching_changes_nothing() -> None:
    shapes = ((3, 1000), (3, 1000), (3,))
    ring = [Slot(*(np.full(shape, fill) for shape in shapes)) for fill in (1.5, -np.nan)]
    before = [array.tobytes() for slot in ring for array in (slot.x, slot.out, slot.rows)]
    touch(ring)
    assert [array.tobytes() for slot in ring for array in (slot.x, slot.out, slot.rows)] == before
    touch([Slot(np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros((), np.float32))])


def test_time_that_is_over_is_a_reason_and_no_row() -> None:
    found = suite.Bench(Settings("quick"))
    found.deadline = 0.0
    with pytest.raises(pytest.skip.Exception, match=r"^time is over$"):
        suite.test_case(SimpleNamespace(), found, small("softmax")[0], "NumPy")


def test_memory_copy_copies_and_read_reads() -> None:
    for size, offset in itertools.product((0, 1, 15, 64, 1000, (1 << 18) + 5), (0, 3)):
        x = np.arange(size + offset, dtype=np.float32)[offset:]
        out = np.full(size + offset, -1, np.float32)[offset:]
        _core.memory_copy(x, out)
        assert np.array_equal(x, out)
        ones = np.ones(size + offset, np.float32)[offset:]
        assert _core.memory_read(ones) == size


def test_limits_refuse_what_they_cannot_measure() -> None:
    x = np.zeros(10, np.float32)
    for bad in (x[::2], np.zeros(10)):
        with pytest.raises(ValueError, match="memory_read: x must be a contiguous array of float32"):
            _core.memory_read(bad)
    with pytest.raises(ValueError, match="memory_copy: target must not overlap source"):
        _core.memory_copy(x[:8], x[2:])
    with pytest.raises(ValueError, match="memory_copy: target must be writable and have 10 elements"):
        _core.memory_copy(x, np.zeros(9, np.float32))
    with pytest.raises(ValueError, match="fma_peak: iterations must not be negative, got -1"):
        _core.fma_peak(-1, True)


def test_limits_are_measured(isa: str) -> None:
    case = Case("exp", (1 << 16,))
    ring = make_ring(case, 0)
    found = limits(ring, 3)
    assert min(found) > 0
    assert _core.fma_peak(10, True) == 2 * 16 * 12 * 10 * sg.get_num_threads()
    limit_call(case, ring[0])()
    assert np.array_equal(ring[0].x, ring[0].out)


def test_the_table() -> None:
    case = Case("softmax", (7, 33))
    pair = paired([lambda: None], [lambda: None], rounds=3).summary() | {"quartiles": (2.9, 3.1)}
    shared = {"case": case.name, "kind": "case", **vars(case), "threads": 1, "isa": sg.isa(), "place": "L2"}
    shared |= {"size": case.size, "traffic_bytes": case.traffic_bytes, "cached": False}
    rows = rows_of(
        [
            {"kind": "limit"},
            shared | {"name": peers.OURS, "pair": pair | {"ours": 2e-6, "ratio_of_minima": 0.8}},
            shared | {"name": "NumPy", "pair": pair | {"ours": 1e-6, "rival": 3e-6, "ratio_of_minima": 3.0}},
        ]
    )
    assert len(rows) == 1
    assert rows[0]["ns_per_element"] == pytest.approx(1e3 / case.size)
    assert rows[0]["percent_of_limit"] == 80
    assert rows[0]["peers"]["NumPy"]["ratio"] == 3.0
    title, heading, _, line = format_table(json.loads(json.dumps(rows))).splitlines()
    assert title.split() == ["1", "thread", "sorgum", "is", "...", "times", "as", "fast", "as"]
    assert heading.split() == ["operation", "shape", "dtype", "where", "ns/elem", "GB/s", "limit", "NumPy"]
    assert line.split()[-2:] == ["80%", "3.00"]
    text = format_limits([{"threads": 1, "read_ns": 0.4, "copy_ns": 0.5, "fma_gflops": 80.0}])
    assert "read 0.400 ns per float32 (10.0 GB/s)" in text


def rivals_of(case: Case) -> tuple[str, ...]:
    """Return those of a table that the case stands in."""
    return case.peers if isinstance(case, OwnCase) else tuple(name for name in peers.PEERS if name not in FEW_HAVE)


def made_up_rows(level: str, threads: int, **changes: Any) -> list[dict[str, Any]]:
    """Return rows of the table with every peer there is, and numbers as long as they get."""
    peer = {"ratio": 1234.5, "quartiles": [1.0, 2.0], "faults_per_call": 0.0, "our_faults_per_call": 0.0}
    peer["ns_per_element"] = 12.3456
    row = {"threads": threads, "place": "memory", "ns_per_element": 12.3456, "gb_per_s": 1234.5, "faults_per_call": 0.0}
    row |= {"percent_of_limit": 100.0} | changes
    return [
        {**vars(case), **row, "peers": {name: dict(peer) for name in (*rivals_of(case), *case.algorithms, "1 thread")}}
        for case in cases(level)
    ]


@pytest.mark.parametrize("level", ["quick", "default", "full"])
def test_the_table_fits(level: str) -> None:
    rows = made_up_rows(level, 1) + made_up_rows(level, 64, faults_per_call=1e9)
    lines = format_table(rows).splitlines()
    # Three tables for each number of threads, with three lines above each, and a line between them.
    assert len(lines) == len([row for row in rows if not row["curve"]]) + 6 * 3 + 5
    assert 110 < max(map(len, lines)) <= WIDTH
    assert lines[0].split()[:2] == ["1", "thread"]


def test_the_table_explains_itself() -> None:
    rows = made_up_rows("quick", 1)[3:4]
    plain = explain(rows)
    headings = format_table(rows).splitlines()[1].split()
    for heading in ("where", "ns/elem", "GB/s", "limit"):
        assert any(f"{heading}: " in note for note in plain), heading
    assert headings[7:] == ["NumPy", "SciPy", "PyTorch", "ONNX", "JAX", "1", "thread"]
    assert plain[2].startswith("NumPy and so on: their time divided by ours")
    assert plain[3] == "1 thread: sorgum itself with one thread; below 1 the other threads are no help"
    noise = "noise; the rounds' ratios have quartiles more than a factor of 1.5 apart: measure again"
    assert plain[4:] == [f"~: {noise}"]
    curve = [row for row in made_up_rows("full", 1) if row["curve"]]
    assert explain(curve) == [f"in the curve: {noise}"]

    above = explain(made_up_rows("quick", 1, percent_of_limit=113.4)[3:4])
    assert above[4] == (
        "limit above 100%: the plain loops run one after the other; a call that reads and writes at the same time, "
        "or finds part of a row in a cache when it comes back to it, can take less"
    )
    longest = explain(made_up_rows("quick", 2)[:1])
    assert longest[-1] == (
        "our other algorithms, softmax 1x4194304 float32 2 threads: their time divided by ours: "
        "three_pass_recompute 1234~, three_pass_reload 1234~"
    )


@pytest.mark.parametrize(
    ("ours", "rival", "marked"),
    [(0.0, 256.0, True), (0.4, 256.0, True), (256.0, 0.0, True), (0.4, 0.4, False), (90.0, 90.0, False)],
)
def test_the_table_says_where_page_faults_cost_time(ours: float, rival: float, marked: bool) -> None:
    rows = made_up_rows("quick", 1)[3:4]  # 2^20 elements in 12.9 ms
    peer = {"faults_per_call": rival, "our_faults_per_call": ours, "quartiles": [1.0, 1.1]}
    rows[0]["peers"] = {"SciPy": rows[0]["peers"]["SciPy"] | peer}
    assert format_table(rows).splitlines()[-1].split()[-1] == ("1234*" if marked else "1234")
    sentence = (
        "*: the system handed out memory while this was timed: page faults took a hundredth of the time or more "
        "(bench.json has their number). A peer that has no out, as SciPy and JAX, pays so for new results; "
        + ("sorgum took up to 256 in a call" if ours > 200 else "sorgum took none")
    )
    assert explain(rows)[3:] == [sentence] * marked


def test_the_model_is_one_that_onnx_accepts() -> None:
    onnx = pytest.importorskip("onnx")
    for operation, dtype in itertools.product(OPERATIONS, ("float32", "float64")):
        model = onnx.load_from_string(peers.one_node_model(Case(operation, (3, 4), dtype)))
        onnx.checker.check_model(model, full_check=True)
        shape = model.graph.output[0].type.tensor_type.shape
        assert len(shape.dim) == (1 if operation == "logsumexp" else 2)


@pytest.mark.parametrize(
    ("absent", "reason"),
    [
        (("onnx",), {"ONNX Runtime": "not installed (pip install onnx)"}),
        (("onnx", "onnxruntime"), {"ONNX Runtime": "not installed (pip install onnxruntime onnx)"}),
        (("jax",), {"JAX": "not installed (pip install jax)"}),
    ],
)
def test_a_missing_peer_says_so(
    monkeypatch: pytest.MonkeyPatch, absent: tuple[str, ...], reason: dict[str, str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else name)
    assert peers.missing() == reason


def test_a_missing_package_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tqdm" else find(name))
    monkeypatch.setattr(bench, "_NEEDED", ("pytest", "tqdm"))
    assert bench.main(["--quick"]) == 2
    assert capsys.readouterr().err == 'bench: tqdm must be installed: in the sources, pip install ".[bench]"\n'

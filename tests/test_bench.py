"""The benchmarks measure what they say: the right operation, in turn, against a limit that no result can beat."""

import importlib.util
import itertools
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy import special

import sorgum as sg
from sorgum import _core, bench
from sorgum.bench import peers
from sorgum.bench.cases import DRAWS, GRADIENTS, Case, Slot, cases, make_ring
from sorgum.bench.onnx_model import one_node_model
from sorgum.bench.paired import Pair, paired
from sorgum.bench.roofline import limit_call, limits
from sorgum.bench.settings import Settings
from sorgum.bench.table import format_limits, format_table, rows_of

needs_bench = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in bench._NEEDED), reason='needs pip install ".[bench]"'
)

OPERATIONS = ("exp", "log", "softmax", "log_softmax", "logsumexp")


def small(operation: str, dtype: str = "float32", axis: int = -1) -> tuple[Case, list[Slot]]:
    case = Case(operation, (7, 33), dtype, axis, "positive" if operation == "log" else "normal", cached=True)
    return case, make_ring(case, 0)


def test_cases_have_unique_names_and_known_operations() -> None:
    for level in ("quick", "default", "full"):
        found = cases(level)
        assert len({case.name for case in found}) == len(found)
        assert {case.operation for case in found} == {*OPERATIONS, *GRADIENTS, *DRAWS}
        assert {case.dtype for case in found} == {"float16", "bfloat16", "float32", "float64"}
        assert any(case.shape == (64,) for case in found)
    assert len(Settings("full", 1, "curve").cases()) == 21


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


@pytest.mark.parametrize("operation", GRADIENTS)
@pytest.mark.parametrize("name", [peers.OURS, "1 thread", "PyTorch"])
def test_every_implementation_computes_the_gradient(name: str, operation: str) -> None:
    if name in peers.missing():
        pytest.skip(f"{name}: {peers.missing()[name]}")
    case, ring = small(operation)
    assert peers.rivals(case, 1) == [peer for peer in ("PyTorch",) if peer not in peers.missing()]
    dy = ring[0].x.astype(np.float64)
    y = getattr(special, operation.removesuffix("_grad"))(dy, axis=-1)
    if operation == "softmax_grad":
        expected = (dy - np.sum(y * dy, axis=-1, keepdims=True)) * y
    else:
        expected = dy - np.exp(y) * np.sum(dy, axis=-1, keepdims=True)
    found = np.asarray(peers.calls(name, case, ring, sg.get_num_threads())[0]())
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


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
    pair = paired([lambda: None], [lambda: None], rounds=3).summary()
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
    heading, _, line = format_table(json.loads(json.dumps(rows))).splitlines()
    assert heading.split()[-1] == "NumPy"
    assert line.split()[-2:] == ["80", "3.00"]
    text = format_limits([{"threads": 1, "read_ns": 0.4, "copy_ns": 0.5, "fma_gflops": 80.0}])
    assert "read 0.400 ns per float32 (10.0 GB/s)" in text


def test_the_model_is_one_that_onnx_accepts() -> None:
    onnx = pytest.importorskip("onnx")
    for operation, dtype in itertools.product(OPERATIONS, ("float32", "float64")):
        onnx.checker.check_model(onnx.load_from_string(one_node_model(operation, dtype, 2, 1)), full_check=True)


def test_a_missing_package_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tqdm" else find(name))
    monkeypatch.setattr(bench, "_NEEDED", ("pytest", "tqdm"))
    assert bench.main(["--quick"]) == 2
    assert capsys.readouterr().err == 'bench: tqdm must be installed: in the sources, pip install ".[bench]"\n'


@needs_bench
def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "file" / "results"
    place.parent.touch()
    assert bench.main(["--quick", "--out", str(place)]) == 2
    assert f"bench: --out must be a directory that can be made, got {place}: " in capsys.readouterr().err


@needs_bench
def test_a_run_writes_what_it_measured(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # pytest-benchmark measures nothing where it is set
    out = tmp_path / "out"
    assert bench.main(["--quick", "--threads", "1", "--only", "softmax-64x1024-float32", "--out", str(out)]) == 0
    printed = capfd.readouterr().out
    assert "limits, 1 thread:" in printed
    found = json.loads((out / "bench.json").read_text())
    assert {row["operation"] for row in found["rows"]} <= {"softmax", "log_softmax"}
    assert set(found["rows"][0]["peers"]) >= {"NumPy", "SciPy"}
    assert found["machine"]["sorgum"]["version"] == sg.__version__
    assert (out / "bench.png").stat().st_size > 1000
    assert sys.executable not in (out / "bench.json").read_text()

"""`python -m sorgum bench`: in any folder, and ended by any means, it shows what it measured and what it did not."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import sorgum as sg
from sorgum import bench

if any(importlib.util.find_spec(name) is None for name in bench._NEEDED):
    pytest.skip('needs pip install ".[bench]"', allow_module_level=True)

from sorgum.bench import peers, runner
from sorgum.bench.runner import not_measured
from sorgum.bench.settings import Settings, comparisons

COMMAND = [sys.executable, "-m", "sorgum", "bench", "--quick"]
ONE = Settings("quick", 1, "softmax-64x1024-float32")


@contextmanager
def start(arguments: list[str], folder: Path, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the command in a group of processes of its own, of which nothing is left in the end."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    with subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as started:
        signal.signal(signal.SIGINT, handler)
        try:
            yield started
        finally:
            with suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)


def test_a_foreign_project_does_not_matter(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "tests"):
        folder.mkdir(exist_ok=True)
        (folder / "conftest.py").write_text("raise RuntimeError('a foreign conftest was loaded')\n")
        (folder / "foreign.py").write_text("raise RuntimeError('a foreign plugin was loaded')\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p foreign --strange\n")
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--strange"\n')
    settings = {"PYTEST_PLUGINS": "foreign", "PYTEST_ADDOPTS": "-p foreign", "PYTEST_XDIST_WORKER": "gw0"}
    with start(["--threads", "1", "--only", ONE.only], tmp_path, **settings) as started:
        printed, errors = started.communicate(timeout=120)
    assert started.returncode == 0, errors
    assert "1 thread" in errors  # the bar is seen
    assert json.loads((tmp_path / "sorgum-bench" / "bench.json").read_text())["ended"] == "complete"
    assert max(map(len, printed.splitlines())) <= 120


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM], ids=lambda which: which.name)
def test_an_interrupted_run_keeps_what_it_measured(which: signal.Signals, tmp_path: Path) -> None:
    with start(["--threads", "1", "2", "--only", "softmax"], tmp_path) as started:
        assert started.stderr is not None
        seen = ""
        while (done := re.findall(r" (\d+)/\d+ ", seen)) == [] or int(done[-1]) < 6:
            character = started.stderr.read(1)
            assert character, seen
            seen += character
        os.killpg(started.pid, which)
        printed, errors = started.communicate(timeout=60)
        with pytest.raises(ProcessLookupError):  # no worker is left
            os.killpg(started.pid, 0)
    assert errors.splitlines()[-1] == "bench: interrupted"
    assert started.returncode == 130
    found = json.loads((tmp_path / "sorgum-bench" / "bench.json").read_text())
    assert found["ended"] == "interrupted"
    assert (tmp_path / "sorgum-bench" / "bench.png").stat().st_size > 1000
    measured = {(row["threads"], row["case"], name) for row in found["rows"] for name in (peers.OURS, *row["peers"])}
    missing = {(one["threads"], one["case"], one["name"]) for one in found["missing"]}
    wanted = [Settings("quick", threads, "softmax") for threads in (1, 2)]
    assert len(measured) >= 4
    assert measured & missing == set()
    assert measured | missing == {(one.threads, case.name, name) for one in wanted for case, name in comparisons(one)}
    assert "operation" in printed
    assert "interrupted; not measured with 2 threads: everything" in printed


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "file" / "results"
    place.parent.touch()
    assert bench.main(["--quick", "--out", str(place)]) == 2
    assert f"bench: --out must be a directory that can be made, got {place}: " in capsys.readouterr().err


def test_a_run_writes_what_it_measured(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
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


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Make workers run a script of the shell, whose fourth argument is the file to write."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


LINES = """printf '%s\\n' '{"started": "limits"}' '{"benchmark": {"kind": "limit"}}' > "$4"
printf '%s\\n' '{"started": "softmax-64x1024-float32-sorgum"}' >> "$4"
printf '%s\\n' '{"benchmark": {"kind": "case", "case": "softmax-64x1024-float32", "name": "sorgum"}}' >> "$4"
printf '%s\\n' '{"started": "softmax-64x1024-float32-NumPy"}' >> "$4"
"""


def test_a_worker_that_dies_leaves_what_it_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, tmp_path, LINES + """printf '{"benchm' >> "$4"; echo "the last words"; kill -ILL $$""")
    found = runner._work(ONE, None, str(tmp_path))
    assert found.error == "ended by signal 4 in softmax-64x1024-float32-NumPy"
    assert [one["kind"] for one in found.benchmarks] == ["limit", "case"]
    assert [one["name"] for one in found.missing] == peers.rivals(ONE.cases()[0], 1)
    assert {one["reason"] for one in found.missing} == {found.error}
    assert capsys.readouterr().err == "the last words\n\n"


def test_a_worker_that_fails_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, tmp_path, "echo what went wrong; exit 3")
    assert runner.run(["--quick", "--only", ONE.only, "--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "what went wrong\n\nbench: failed with the output above, and nothing was measured\n"


def test_what_was_skipped_keeps_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    case, rivals = ONE.cases()[0].name, peers.rivals(ONE.cases()[0], 1)
    skipped = json.dumps({"skipped": {"case": case, "name": "NumPy", "reason": "time is over"}})
    stand_in(monkeypatch, tmp_path, LINES + f"printf '%s\\n' '{skipped}' >> \"$4\"")
    found = runner._work(ONE, None, str(tmp_path))
    assert found.error == ""
    assert found.missing == [
        {"threads": 1, "case": case, "name": name, "reason": "time is over" if name == "NumPy" else ""}
        for name in rivals
    ]


def test_missing_rows_are_named() -> None:
    def one(threads: int, case: str, name: str, reason: str = "time is over") -> dict[str, Any]:
        return {"threads": threads, "case": case, "name": name, "reason": reason}

    missing = [one(2, "exp-64", "JAX"), one(2, "log-64", "NumPy"), one(2, "log-64", "JAX")]
    missing += [one(2, "gumbel-64", peers.OURS, "interrupted"), one(2, "gumbel-64", "NumPy", "interrupted")]
    missing += [one(4, "exp-64", peers.OURS, "interrupted")]
    assert not_measured(missing, [{"threads": 2}]) == [
        "time is over; not measured with 2 threads: exp-64 beside JAX; log-64 beside NumPy, JAX",
        "interrupted; not measured with 2 threads: gumbel-64",
        "interrupted; not measured with 4 threads: everything",
    ]
    absent = [one(threads, "log-64", peers.OURS, "no words") for threads in (1, 2)]
    assert not_measured(absent, [{"threads": 1}, {"threads": 2}]) == [
        "no words; not measured with 1 thread and 2 threads: log-64"
    ]
    assert not_measured([], []) == []


def test_peers_are_held_to_what_the_environment_holds_us_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SORGUM_ISA", raising=False)
    assert runner.parse(["--quick"]).isa is None
    monkeypatch.setenv("SORGUM_ISA", "scalar")
    assert runner.parse(["--quick"]).isa == "scalar"
    assert runner._environment(runner.parse(["--quick"]).isa, 1)["ATEN_CPU_CAPABILITY"] == "default"


@pytest.mark.parametrize("threads", [1, 2])
def test_blas_has_as_many_threads_as_the_worker_has_cpus(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy is imported before the worker is confined to its CPUs."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two CPUs")
    pytest.importorskip("threadpoolctl", reason="not in the extra bench")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    code = "import numpy, threadpoolctl; print(*(d['num_threads'] for d in threadpoolctl.threadpool_info()))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=runner._environment(None, threads), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(threads)]

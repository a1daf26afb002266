"""A run from the command line to the table: a worker per number of threads, then table, JSON and plots."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sorgum
from sorgum.bench import peers
from sorgum.bench.machine import describe
from sorgum.bench.plot import draw
from sorgum.bench.settings import Settings, comparisons, thread_count
from sorgum.bench.table import WIDTH, Row, explain, format_limits, format_table, rounded, rows_of

__all__ = ["parse", "run"]

INTERRUPTED = "interrupted"
BUSY = 0.5  # processes that ran on the average of the last minute
# How to hold a peer to an instruction set; it must stand in the environment before the peer is imported.
_PEER_ISAS = {
    "scalar": {"ATEN_CPU_CAPABILITY": "default", "XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"},
}

# BLAS counts its threads when NumPy is imported, before the worker is confined to its CPUs: more threads than CPUs wait
# for each other, and products take tens of times as long.
_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def _threads(text: str) -> int:
    if text == "all":
        return sorgum.get_num_threads()
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer or 'all', got {text!r}")
    return int(text)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of a command line.

    Parameters
    ----------
    arguments : sequence of str

    Returns
    -------
    argparse.Namespace
        level, out, threads, isa and only.
    """
    parser = argparse.ArgumentParser(
        prog="python -m sorgum bench",
        description="Measure this machine: sorgum beside the peers that are installed, and beside the memory's limit.",
    )
    level = parser.add_mutually_exclusive_group()
    level.add_argument("--quick", dest="level", action="store_const", const="quick", help="small shapes, one minute")
    level.add_argument("--full", dest="level", action="store_const", const="full", help="more rounds, and the curve")
    parser.add_argument("--out", type=Path, default=Path("sorgum-bench"), help="where to write (default: %(default)s)")
    parser.add_argument("--threads", type=_threads, nargs="+", metavar="N", help="default: 1 all")
    parser.add_argument("--isa", choices=sorgum.available_isas(), help="hold sorgum, PyTorch and JAX to it")
    parser.add_argument("--only", default="", metavar="PATTERN", help="cases whose names match, as in softmax-64x")
    parser.set_defaults(level="default", isa=os.environ.get("SORGUM_ISA") or None)  # what holds us holds the peers
    options = parser.parse_args(arguments)
    options.threads = sorted(set(options.threads or (1, sorgum.get_num_threads())))
    if not Settings(only=options.only, level=options.level).cases():
        parser.error(f"--only: must match a case, got {options.only!r}")
    return options


def _environment(isa: str | None, threads: int) -> dict[str, str]:
    environment = dict(os.environ) | dict.fromkeys(_BLAS_THREADS, str(threads))
    if isa is not None:
        environment["SORGUM_ISA"] = isa
        for name, value in _PEER_ISAS.get(isa, {}).items():
            before = environment.get(name, "") if name == "XLA_FLAGS" else ""
            environment[name] = f"{before} {value}".strip()
    return environment


class _Outcome(NamedTuple):
    """What a worker measured, what it did not, and how it ended."""

    benchmarks: list[dict[str, Any]]
    missing: list[dict[str, Any]]
    error: str  # empty after a whole run


def _missing(settings: Settings, lines: Sequence[tuple[str, Any]], error: str) -> list[dict[str, Any]]:
    """Return what a worker that wrote these lines did not measure, and why."""
    measured = {(one["case"], one["name"]) for kind, one in lines if kind == "benchmark" and one["kind"] == "case"}
    skipped = {(one["case"], one["name"]): one["reason"] for kind, one in lines if kind == "skipped"}
    keys = [(case.name, name) for case, name in comparisons(settings)]
    return [
        {"threads": settings.threads, "case": key[0], "name": key[1], "reason": skipped.get(key, error)}
        for key in keys
        if key not in measured
    ]


def _lines(path: Path) -> list[tuple[str, Any]]:
    """Return the kind and content of each line of a worker's file, but not of one that it could not finish."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [item for line in text.splitlines(keepends=True) if line.endswith("\n") for item in json.loads(line).items()]


def _work(settings: Settings, isa: str | None, folder: str) -> _Outcome:
    """Run one worker."""
    result = Path(folder, f"{settings.threads}.jsonl")
    command = [sys.executable, "-m", "sorgum.bench.worker", settings.to_json(), str(result)]
    error = output = ""
    with subprocess.Popen(
        command, env=_environment(isa, settings.threads), stdout=subprocess.PIPE, text=True
    ) as worker:
        try:
            output, _ = worker.communicate()
        except KeyboardInterrupt:
            worker.kill()
            error = INTERRUPTED
            print(file=sys.stderr)  # ends the line of the bar
    lines = _lines(result)
    if worker.returncode and not error:
        print(output, file=sys.stderr)
        error = "failed with the output above"
        started = [content for kind, content in lines if kind == "started"]
        if worker.returncode < 0 and started:
            error = f"ended by signal {-worker.returncode} in {started[-1]}"
    return _Outcome([one for kind, one in lines if kind == "benchmark"], _missing(settings, lines, error), error)


@contextlib.contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Take SIGTERM, as `timeout` sends it, for Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def not_measured(missing: Sequence[dict[str, Any]], rows: Sequence[Row]) -> list[str]:
    """Return a sentence per reason that names the cases and implementations without a number.

    Parameters
    ----------
    missing : sequence of dict
        threads, case, name and reason.
    rows : sequence of dict
        What was measured.

    Returns
    -------
    list of str
    """
    groups: dict[tuple[str, int], dict[str, list[str]]] = {}
    for one in missing:
        names = groups.setdefault((one["reason"], one["threads"]), {}).setdefault(one["case"], [])
        names.append(one["name"])
    found: dict[tuple[str, str], list[str]] = {}
    for (reason, threads), cases in groups.items():
        listed = [name if peers.OURS in names else f"{name} beside {', '.join(names)}" for name, names in cases.items()]
        text = "; ".join(listed) if any(row["threads"] == threads for row in rows) else "everything"
        found.setdefault((reason, text), []).append(thread_count(threads))
    return [f"{reason}; not measured with {' and '.join(counts)}: {text}" for (reason, text), counts in found.items()]


def _notes(rows: Sequence[Row], missing: Sequence[dict[str, Any]], isa: str | None, load: float) -> list[str]:
    notes = []
    if load > BUSY:
        notes.append(
            f"other work ran here: a load of {load:.1f} on {os.cpu_count()} CPUs before this run. It shows in the "
            "ratios, most of all in those of several threads"
        )
    notes += [f"{name}: {reason}" for name, reason in peers.missing().items()]
    if isa in _PEER_ISAS:
        notes.append(
            f"PyTorch and JAX are held to {isa}, but not PyTorch's exp and log where they are MKL's; NumPy, SciPy and "
            "ONNX Runtime choose for themselves"
        )
    return notes + not_measured(missing, rows)


def _report(
    options: argparse.Namespace,
    benchmarks: list[dict[str, Any]],
    missing: list[dict[str, Any]],
    *,
    load: float,
    ended: str,
) -> list[Path]:
    """Print and write what was measured; return the paths written."""
    rows = rows_of(benchmarks)
    limits = [one for one in benchmarks if one["kind"] == "limit"]
    about = describe(peers.DISTRIBUTIONS)
    about |= {"isa": rows[0]["isa"], "load": load}
    title = f"{about['cpu']}, {about['isa']}, {about['sorgum']['build']['compiler']}"
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    print(f"sorgum {sorgum.__version__} on {title}\npeers: {versions}\n{format_limits(limits)}\n")
    if not all(row["curve"] for row in rows):
        print(format_table(rows), end="\n\n")
    for note in (*explain(rows), *_notes(rows, missing, options.isa, load)):
        print(textwrap.fill(note, WIDTH, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False))
    content = {"level": options.level, "machine": about, "limits": limits, "rows": rows, "missing": missing}
    written = [options.out / "bench.json"]
    written[0].write_text(json.dumps(rounded(content | {"ended": ended or "complete"}), indent=1) + "\n")
    return written + draw(rows, options.out, title)


def run(arguments: Sequence[str]) -> int:
    """Measure, print the table, write bench.json and the plots.

    What was measured before Ctrl-C, SIGTERM or a failure is printed and written all the same.

    Parameters
    ----------
    arguments : sequence of str
        See `parse`.

    Returns
    -------
    int
        0, 1 if a worker failed, 2 if nothing can be written, or 130 after Ctrl-C or SIGTERM.
    """
    options = parse(arguments)
    started, load = time.perf_counter(), os.getloadavg()[0]
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(
            f"bench: --out must be a directory that can be made, got {options.out}: {error.strerror}", file=sys.stderr
        )
        return 2
    benchmarks: list[dict[str, Any]] = []
    missing: list[dict[str, Any]] = []
    ended = ""
    with tempfile.TemporaryDirectory() as folder, _termination_interrupts():
        for threads in options.threads:
            settings = Settings(options.level, threads, options.only)
            if ended:
                missing += _missing(settings, [], ended)
                continue
            found = _work(settings, options.isa, folder)
            benchmarks += found.benchmarks
            missing += found.missing
            ended = found.error

    if rows_of(benchmarks):
        written = _report(options, benchmarks, missing, load=load, ended=ended)
        print(f"wrote {', '.join(map(str, written))} ({time.perf_counter() - started:.0f} s)")
    if not ended:
        return 0
    print(f"bench: {ended}{'' if rows_of(benchmarks) else ', and nothing was measured'}", file=sys.stderr)
    return 130 if ended == INTERRUPTED else 1

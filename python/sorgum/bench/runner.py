"""A run from the command line to the table: a worker per number of threads, then table, JSON and plots."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sorgum
from sorgum.bench import peers
from sorgum.bench.machine import describe
from sorgum.bench.plot import draw
from sorgum.bench.settings import Settings
from sorgum.bench.table import format_limits, format_table, rounded, rows_of

__all__ = ["parse", "run"]

# How to hold a peer to an instruction set; it must stand in the environment before the peer is imported.
_PEER_ISAS = {
    "scalar": {"ATEN_CPU_CAPABILITY": "default", "XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"},
}


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
    parser.set_defaults(level="default")
    options = parser.parse_args(arguments)
    options.threads = sorted(set(options.threads or (1, sorgum.get_num_threads())))
    if not Settings(only=options.only, level=options.level).cases():
        parser.error(f"--only: must match a case, got {options.only!r}")
    return options


def _environment(isa: str | None) -> dict[str, str]:
    environment = dict(os.environ)
    if isa is not None:
        environment["SORGUM_ISA"] = isa
        for name, value in _PEER_ISAS.get(isa, {}).items():
            before = environment.get(name, "") if name == "XLA_FLAGS" else ""
            environment[name] = f"{before} {value}".strip()
    return environment


def _work(settings: Settings, isa: str | None, folder: str) -> dict[str, Any] | None:
    """Run one worker; None if it failed."""
    result = Path(folder, f"{settings.threads}.json")
    command = [sys.executable, "-m", "sorgum.bench.worker", settings.to_json(), str(result)]
    done = subprocess.run(command, env=_environment(isa), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0 or not result.exists():
        print(done.stdout, file=sys.stderr)
        return None
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def _notes(skipped: Sequence[str], isa: str | None) -> list[str]:
    notes = ["columns named for an implementation: its time divided by ours (minima of interleaved rounds)"]
    notes += ["% limit: least memory traffic of the case, timed beside it, divided by our time"]
    notes += [f"{name}: {reason}" for name, reason in peers.missing().items()]
    late = [reason for reason in skipped if reason.startswith("time is over")]
    notes += [f"skipped: {reason}" for reason in dict.fromkeys(skipped) if reason not in late[1:]]
    if isa in _PEER_ISAS:
        notes.append(f"PyTorch and JAX are held to {isa}; NumPy, SciPy and ONNX Runtime choose for themselves")
    return notes


def run(arguments: Sequence[str]) -> int:
    """Measure, print the table, write bench.json and the plots.

    Parameters
    ----------
    arguments : sequence of str
        See `parse`.

    Returns
    -------
    int
        0, 1 if a worker failed, or 2 if nothing can be written.
    """
    options = parse(arguments)
    started = time.perf_counter()
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(
            f"bench: --out must be a directory that can be made, got {options.out}: {error.strerror}", file=sys.stderr
        )
        return 2
    benchmarks: list[dict[str, Any]] = []
    skipped: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for threads in options.threads:
            found = _work(Settings(options.level, threads, options.only), options.isa, folder)
            if found is None:
                print(f"bench: the run with {threads} threads failed; its output stands above", file=sys.stderr)
                return 1
            benchmarks += found["benchmarks"]
            skipped += found["skipped"]

    rows = rows_of(benchmarks)
    isa = rows[0]["isa"]
    limits = [one for one in benchmarks if one["kind"] == "limit"]
    about = describe(peers.DISTRIBUTIONS)
    about["isa"] = isa
    title = f"{about['cpu']}, {isa}, {about['sorgum']['build']['compiler']}"
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    print(f"sorgum {sorgum.__version__} on {title}\npeers: {versions}\n{format_limits(limits)}\n")
    if not all(row["curve"] for row in rows):
        print(format_table(rows))
    print("\n" + "\n".join(_notes(skipped, options.isa)))

    content = {"level": options.level, "machine": about, "limits": limits, "rows": rows, "skipped": skipped}
    written = [options.out / "bench.json"]
    written[0].write_text(json.dumps(rounded(content), indent=1) + "\n")
    written += draw(rows, options.out, title)
    print(f"wrote {', '.join(map(str, written))} ({time.perf_counter() - started:.0f} s)")
    return 0

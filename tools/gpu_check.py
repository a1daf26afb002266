"""Build the CUDA module and check it on a GPU: `python tools/gpu_check.py --out DIR`.

Needs no network: nvcc, CMake, a C++ compiler, NumPy and pybind11. What it does, in this order, within 9 minutes:

    build       CMake, for the architecture of this GPU; it checks the PTX (tools/check_ptx.py)
    exp         all 2**32 inputs, against the CPU
    gumbel      of all 2**32 words, likewise
    golden      the golden digests, the calls that the device can do being done by it
    noise       words, uniform, exponential, Gumbel, logistic and normal numbers, of every place in a stream,
                against the CPU, bit for bit
    draws       categorical of every class of length, values, masks, temperatures, streams, types, against the CPU;
                what it tells of rows without a draw; many times the same
    rows        softmax and logsumexp of every class of length, values, masks, temperatures, alignments, streams,
                against the CPU, bit for bit; many times the same
    speed       time per call beside the time of a copy of as many bytes, on the device
    sanitizer   compute-sanitizer's memcheck and racecheck over a part of `rows`, `noise` and `draws`

Writes DIR/gpu-NAME.json, after every step. A step whose tool is missing or for which no time is left is "not run", with
the reason. The exit status is 0 where all steps that ran passed, 1 where one failed, 2 where there is no GPU.
`--rehearse` runs the script itself without a GPU: memory of the host and the kernels of the CPU stand in for the
device. That shows nothing about a GPU, and the file says so.
"""

import argparse
import itertools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gpu_random
import numpy as np
from gpu_device import ROOT, DeviceArray, Driver, Rehearsal, assert_same_bits

STEPS = ("exp", "gumbel", "golden", "noise", "draws", "rows", "speed", "sanitizer")
LIMITS = {
    "build": 300, "exp": 150, "gumbel": 150, "golden": 90, "noise": 60, "draws": 60, "rows": 120, "speed": 60,
    "sanitizer": 150,
}  # fmt: skip # seconds
DEADLINE = 540  # seconds for all


# ---- steps: what they return stands in the file; AssertionError is a failure ----


def check_exp(driver: Any, quick: bool) -> dict[str, Any]:
    from sorgum import special

    block = 1 << (20 if quick else 26)
    step = (1 << 32) // 8 if quick else block
    x, y = DeviceArray(driver, (block,), "f4"), DeviceArray(driver, (block,), "f4")
    count = 0
    for first in range(0, 1 << 32, step):
        words = np.arange(first, first + block, dtype=np.uint64).astype(np.uint32).view(np.float32)
        x.write(words)
        special.exp(x, out=y)
        assert_same_bits(y.read(), special.exp(words), f"exp of the words from {first:#010x} on")
        count += block
    return {"inputs": count}


class OnDevice:
    """`sorgum.special` for arrays of the host by way of the device, where the device can do it."""

    def __init__(self, driver: Any) -> None:
        from sorgum import special

        self.driver, self.special, self.calls = driver, special, {"device": 0, "cpu": 0}

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.special, name)

        def call(x: np.ndarray, axis: Any = -1, **options: Any) -> Any:
            simple = (
                name in ("exp", "softmax", "logsumexp")
                and x.dtype == np.float32
                and x.flags.c_contiguous
                and axis in (-1, None)
                and np.ndim(options.get("temperature", 1.0)) == 0
                and options.get("algorithm", "auto") in ("auto", "two_pass")
                and options.get("b") is None
            )
            self.calls["device" if simple else "cpu"] += 1
            if name in ("exp", "log"):
                arguments: tuple[Any, ...] = ()
                shape = x.shape
            else:
                arguments = (axis,)
                shape = x.shape if name != "logsumexp" else () if axis is None else x.shape[:-1]
            if not simple:
                return function(x, *arguments, **options)
            if options.get("where") is not None:
                options["where"] = DeviceArray.of(self.driver, np.asarray(options["where"]))
            out = DeviceArray(self.driver, shape, "f4")
            function(DeviceArray.of(self.driver, x), *arguments, out=out, **options)
            return out.read()

        return call


def check_golden(driver: Any, quick: bool) -> dict[str, Any]:
    from sorgum._data import golden, golden_random, golden_special, load

    special, random = OnDevice(driver), gpu_random.OnDevice(driver)
    names = ["special.exp.f32", "special.softmax.f32", "special.logsumexp.f32", "random.categorical.f32"]
    names += [f"random.{law}.{suffix}" for law in golden_random.LAWS for suffix in ("f32", "f64")]
    before = golden_special.special, golden_random.random
    golden_special.special, golden_random.random = special, random  # type: ignore[assignment]
    try:
        for name in names:
            assert golden.digest(name) == load("golden")[name], f"{name}: the digest is not the golden one"
    finally:
        golden_special.special, golden_random.random = before
    assert special.calls["device"] > 0
    assert random.calls["device"] > 0
    return {"digests": names, "calls": {"special": special.calls, "random": random.calls}}


LENGTHS = (
    1, 2, 7, 15, 16, 17, 31, 33, 64, 127, 128, 129, 255, 257, 1000, 1023, 1024, 1025, 2049, 4095, 4096, 4097, 8191,
    8193, 16384, 16385, 65535, 65536, 65537, 262147, 1 << 20, (1 << 22) + 5, (1 << 24) + 1,
)  # fmt: skip


def rows_of(kind: str, rows: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(n * 1000 + rows)
    x = (3 * rng.standard_normal((rows, n))).astype(np.float32)
    if kind == "shifted":
        x += np.float32(30000)
    elif kind == "huge":
        x *= np.float32(1e37)
    elif kind == "wide":
        x *= np.float32(40)
    elif kind == "specials":
        x[rng.random(x.shape) < 0.3] = -np.inf
        x[0, n // 2] = np.nan
        x[-1, n // 3] = np.inf
        x[rows // 2] = -np.inf
    return x


def row_calls(quick: bool) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    for n in LENGTHS:
        if quick and n > 70000:
            continue
        for rows in (1, 2, 7, 133, 4096):
            if rows * n <= (1 << 18 if quick else 1 << 23) or (rows == 1 and not quick):
                yield rows_of("normal", rows, n), {}
    for n in (5, 100, 1000, 3000, 9000, 100003):
        for kind in ("normal", "shifted", "huge", "wide", "specials"):
            x = rows_of(kind, 3, n)
            for temperature in (0.6875, 1e-3, 1e30, 1e-30):
                yield x, {"temperature": temperature}
            mask = np.random.default_rng(n).random(x.shape) < 0.7
            mask[1] = False
            yield x, {"where": mask}
            yield x, {"where": mask[2]}


def check_rows(driver: Any, quick: bool, every: int = 1) -> dict[str, Any]:
    from sorgum import special

    streams = [None, 1, 2, driver.stream(), driver.stream()]
    calls = 0
    for x, options in itertools.islice(row_calls(quick), 0, None, every):
        expected = special.softmax(x, **options), special.logsumexp(x, **options)
        stream, shift = streams[calls % len(streams)], 4 * (calls % 4)
        on_device = dict(options)
        if "where" in options:
            on_device["where"] = DeviceArray.of(driver, options["where"], calls % 4)
        given = DeviceArray.of(driver, x, shift, stream)
        driver.synchronise()
        what = f"{x.shape}, {sorted(options)}, stream {stream}, {shift} bytes off"
        row = DeviceArray(driver, x.shape[:-1], "f4", shift)
        special.logsumexp(given, out=row, **on_device)
        assert_same_bits(row.read(), expected[1], f"logsumexp of {what}")
        out = DeviceArray.of(driver, np.full(x.shape, np.nan, np.float32), 12 - shift)
        special.softmax(given, out=out, **on_device)
        assert_same_bits(out.read(), expected[0], f"softmax of {what}")
        special.softmax(given, out=given, **on_device)
        assert_same_bits(given.read(), expected[0], f"softmax in place of {what}")
        calls += 3
    x = rows_of("normal", 4, 300000)
    given, out = DeviceArray.of(driver, x), DeviceArray(driver, x.shape, "f4")
    for _ in range(3 if quick else 100):
        special.softmax(given, out=out)
        assert_same_bits(out.read(), special.softmax(x), "softmax once more")
        calls += 1
    return {"calls": calls}


def check_speed(driver: Any, quick: bool) -> dict[str, Any]:
    from sorgum import random, special

    stream = driver.stream()
    total = 1 << (20 if quick else 27)  # elements per call: beyond the caches of any device
    shapes = [(total,)] + [(total // n, n) for n in (16, 64, 256, 1024, 4096, 16384, 65536, 131072)] + [(1, total)]
    x, y = DeviceArray(driver, (total,), "f4", 0, stream), DeviceArray(driver, (total,), "f4", 0, stream)
    x.write(rows_of("normal", 1, total)[0])
    brain = DeviceArray.of(driver, gpu_random.to_bfloat16(rows_of("normal", 1, total)[0]), 0, stream, "bfloat16")
    drawn = DeviceArray(driver, (total,), "i8", 0, stream)
    bytes_per_element = {
        "exp": 8, "softmax": 8, "logsumexp": 4, "gumbel": 4, "categorical": 4, "categorical, bfloat16": 2,
    }  # fmt: skip
    draw = {"rng": 1, "on_invalid": "minus_one"}
    results = []

    def view(array: DeviceArray, shape: tuple[int, ...]) -> Any:
        interface = {**array.__cuda_array_interface__, "shape": shape}
        kind = type("View", (), {"__cuda_array_interface__": interface, "__dlpack_device__": lambda self: (2, 0)})
        return kind()

    for shape in shapes:
        works: dict[str, Callable[[], object]] = {"copy": lambda: driver.copy(y.address, x.address, 4 * total, stream)}
        given, out = view(x, shape), view(y, shape)
        if len(shape) == 1:
            works["exp"] = lambda given=given, out=out: special.exp(given, out=out)
        else:
            row = view(y, shape[:1])
            works["softmax"] = lambda given=given, out=out: special.softmax(given, out=out)
            works["logsumexp"] = lambda given=given, row=row: special.logsumexp(given, out=row)
            works["gumbel"] = lambda shape=shape, out=out: random.gumbel(shape, rng=1, out=out)
            ids = view(drawn, shape[:1])
            for name, logits in (("categorical", given), ("categorical, bfloat16", view(brain, shape))):
                works[name] = lambda logits=logits, ids=ids: gpu_random.draw_into(ids, logits, **draw)
        times: dict[str, list[float]] = {name: [] for name in works}
        for repeat in range(3 if quick else 15):  # interleaved
            for name, work in works.items():
                seconds = driver.seconds(work, stream)
                if repeat > 0:
                    times[name].append(seconds)
        median = {name: float(np.median(t)) for name, t in times.items()}
        copied = 8 * total / median["copy"]
        for name in works:
            if name != "copy":
                moved = bytes_per_element[name] * total
                results.append(
                    {
                        "call": name, "shape": shape, "seconds": median[name], "bytes_per_second": moved / median[name],
                        "copy_bytes_per_second": copied, "of_copy": moved / median[name] / copied,
                    }
                )  # fmt: skip
    return {"results": results}


def check_sanitizer(arguments: argparse.Namespace, environment: dict[str, str], limit: float) -> dict[str, Any]:
    program = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if program is None or arguments.rehearse:
        return {"status": "not run", "reason": "no compute-sanitizer" if program is None else "a rehearsal"}
    steps, started = ("rows", "noise", "draws"), time.monotonic()
    for tool, step in itertools.product(("memcheck", "racecheck"), steps):
        command = [program, "--tool", tool, "--error-exitcode", "9", sys.executable, __file__]
        command += ["--step", step, "--quick", "--every", "3"]
        left = max(1.0, limit - (time.monotonic() - started))
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=left)
        assert done.returncode == 0, f"{tool} of {step}: {(done.stdout + done.stderr)[-2000:]}"
    return {"tools": ["memcheck", "racecheck"], "steps": steps}


# ---- the whole ----


def tool_version(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def build(work: Path, limit: float, capability: str) -> dict[str, Any]:
    """Build and install below `work`."""
    import pybind11

    cmake = ["cmake", "-S", str(ROOT), "-B", str(work / "build"), "-D", "CMAKE_BUILD_TYPE=Release"]
    cmake += ["-D", "SORGUM_CUDA=ON", "-D", f"Python_EXECUTABLE={sys.executable}"]
    cmake += ["-D", f"pybind11_DIR={pybind11.get_cmake_dir()}"]
    cmake += ["-D", f"SORGUM_CUDA_ARCHITECTURES={capability}"]
    if shutil.which("nvcc") is None and "CUDACXX" not in os.environ and Path("/usr/local/cuda/bin/nvcc").exists():
        cmake += ["-D", "CMAKE_CUDA_COMPILER=/usr/local/cuda/bin/nvcc"]
    commands = [
        cmake,
        ["cmake", "--build", str(work / "build"), "--parallel", str(os.cpu_count()), "--target", "_core", "_cuda"],
    ]  # fmt: skip
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
        assert done.returncode == 0, f"{' '.join(command)}: {(done.stdout + done.stderr)[-3000:]}"
    package = work / "installed" / "sorgum"
    shutil.copytree(ROOT / "python" / "sorgum", package, dirs_exist_ok=True)
    for module in (work / "build" / "csrc").glob("_c*.so"):
        shutil.copy(module, package)
    return {"architecture": f"sm_{capability}"}


def run_step(name: str, arguments: argparse.Namespace, environment: dict[str, str], limit: float) -> dict[str, Any]:
    """Run a step in a process of its own: a fault of the device ends that process alone."""
    if name == "sanitizer":
        return check_sanitizer(arguments, environment, limit)
    command = [sys.executable, __file__, "--step", name]
    command += ["--quick"] if arguments.quick else []
    command += ["--rehearse"] if arguments.rehearse else []
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if arguments.rehearse:  # times that nobody is to take for a device's
        found.pop("results", None)
    return found


def timed(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    start = time.monotonic()
    result: dict[str, Any] = {"status": "passed"}
    try:
        result.update(work())
    except subprocess.TimeoutExpired as error:
        result.update(status="failed", reason=f"took more than {error.timeout:g} s")
    except (AssertionError, RuntimeError, OSError, ImportError) as error:
        result.update(status="failed", reason=str(error))
    return {**result, "seconds": round(time.monotonic() - start, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the results go")
    parser.add_argument("--no-build", action="store_true", help="check the sorgum that Python imports here")
    parser.add_argument("--quick", action="store_true", help="a part of every step")
    parser.add_argument("--rehearse", action="store_true", help="run this script without a GPU; implies --no-build")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--every", type=int, default=1, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        driver = Rehearsal() if arguments.rehearse else Driver()
        steps: dict[str, Callable[..., dict[str, Any]]] = {
            "exp": check_exp, "gumbel": gpu_random.check_gumbel, "golden": check_golden,
            "noise": gpu_random.check_noise, "draws": gpu_random.check_draws,
            "rows": check_rows, "speed": check_speed,
        }  # fmt: skip
        options = {"every": arguments.every} if arguments.every != 1 else {}
        print(json.dumps(steps[arguments.step](driver, arguments.quick, **options)))
        return 0
    if arguments.out is None:
        parser.error("--out is needed")
    try:
        name = "rehearsal" if arguments.rehearse else Driver().name()
    except (OSError, RuntimeError) as error:
        print(f"no GPU: {error}")
        return 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / f"gpu-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}.json"
    report: dict[str, Any] = {
        "device": name,
        "rehearsal": arguments.rehearse,
        "quick": arguments.quick,
        "commit": tool_version("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40"),
        "driver": tool_version("nvidia-smi", "--query-gpu=driver_version,clocks.max.sm,clocks.max.mem", "--format=csv"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "steps": {},
    }
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
        builds = not (arguments.no_build or arguments.rehearse)
        if builds:
            environment["PYTHONPATH"] = str(work / "installed")
        for step in ("build", *STEPS) if builds else STEPS:
            left = min(LIMITS[step], DEADLINE - (time.monotonic() - started))
            if report["steps"].get("build", {}).get("status") == "failed":
                result = {"status": "not run", "reason": "nothing was built", "seconds": 0.0}
            elif left < 10:
                result = {"status": "not run", "reason": "no time was left", "seconds": 0.0}
            elif step == "build":
                result = timed(lambda left=left: build(work, left, Driver().capability()))
            else:
                result = timed(lambda step=step, left=left: run_step(step, arguments, environment, left))
            report["steps"][step] = result
            file.write_text(json.dumps(report, indent=1) + "\n")
    for step, result in report["steps"].items():
        print(f"{step:<10} {result['status']:<8} {result['seconds']:>6} s  {result.get('reason', '')}")
    for line in report["steps"].get("speed", {}).get("results", []):
        print(f"{line['call']:<10} {tuple(line['shape'])!s:<20} {line['of_copy']:.2f} of a copy's bytes per second")
    print(file)
    return 1 if any(result["status"] == "failed" for result in report["steps"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())

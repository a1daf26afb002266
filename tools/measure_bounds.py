"""Measure the errors of the installed package and write python/sorgum/_data/bounds.json.

exp and log of float32: all 2^32 arguments; noise of float32: all 2^32 words, which takes most of the time. The others
of `special`: the inputs of tests/special/test_accuracy.py. Other families: what tests/support/bounds_<family>.py
measures. "bound" is what the tests hold and the documentation promises; "largest" is what was found here, at
"argument".

Usage: python tools/measure_bounds.py [FAMILY ...]
"""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "python" / "sorgum" / "_data" / "bounds.json"
sys.path.insert(0, str(ROOT / "tests" / "support"))

import noise_sweep  # noqa: E402
import sweep  # noqa: E402
from accuracy_inputs import float64_arguments, rows  # noqa: E402
from tolerance import errors_in_ulps, unit_in_last_place  # noqa: E402

import sorgum as sg  # noqa: E402
from sorgum import _core, reference, special  # noqa: E402
from sorgum._data.inputs import logits  # noqa: E402

# What is promised; unit of the error; from which inputs.
PROMISES: dict[str, dict[str, Any]] = {
    "exp.f32": {"bound": 1.0, "unit": "ULP", "inputs": "all 2^32 arguments"},
    "log.f32": {"bound": 1.0, "unit": "ULP", "inputs": "all 2^32 arguments"},
    "exp.f64": {"bound": 1.0, "unit": "ULP", "inputs": "a sample of millions, breakpoints of the reduction"},
    "log.f64": {"bound": 1.0, "unit": "ULP", "inputs": "a sample of millions, breakpoints of the reduction"},
}
for suffix, shift, total in (("f32", 2.0, 3.0), ("f64", 5.0, 4.0)):
    PROMISES[f"softmax.{suffix}"] = {"bound": 4.0, "unit": "ULP; subnormal results one least subnormal more"}
    PROMISES[f"log_softmax.{suffix}"] = {"bound": shift, "unit": "ULP of max(|x - m| / T, log S)"}
    PROMISES[f"logsumexp.{suffix}"] = {"bound": total, "unit": "ULP of max(|m| / T, log S)"}
    PROMISES[f"softmax_three_pass.{suffix}"] = {
        "bound": 4.0,
        "per_distance": 1.0,
        "unit": "ULP; per_distance is added per unit of (m - x) / T",
    }
    PROMISES[f"log_softmax_three_pass.{suffix}"] = {
        "bound": shift,
        "per_distance": 1.0,
        "unit": "ULP of max(|x - m| / T, log S); per_distance is added per unit of log(1 + 1 / log S)",
    }
NOISE = {"uniform": 0.75, "exponential": 3.0, "gumbel": 4.0, "logistic": 4.0, "normal": 0.51}
SUMS = {"softmax.f32": 2.4e-7, "softmax.f64": 4.5e-16}
ALGORITHMS = {"": "auto", "_three_pass": "three_pass_recompute"}


def suffix_of(dtype: np.dtype[Any]) -> str:
    return "f32" if dtype == np.float32 else "f64"


def row_errors(name: str, dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return the largest error over the rows of the tests, and where it was found."""
    function, three_pass = name.removesuffix("_three_pass"), name.endswith("_three_pass")
    wide = np.dtype(np.float64) if dtype == np.float32 else np.dtype(np.longdouble)
    found: dict[str, Any] = {"largest": 0.0, "where": "", "argument": ""}
    for what, x, temperature in rows(dtype):
        keywords = {} if function == "logsumexp" else {"algorithm": ALGORITHMS["_three_pass" if three_pass else ""]}
        exact = getattr(reference.special, function)(x, temperature=temperature, dtype=wide)
        got = getattr(special, function)(x, temperature=temperature, **keywords)
        m = np.max(x, axis=-1, keepdims=True).astype(wide)
        distance = (m - x.astype(wide)) / wide.type(temperature)
        if function == "softmax":
            error = np.where(exact >= np.finfo(dtype).smallest_normal, errors_in_ulps(got, exact), 0)
            if three_pass:
                error = np.maximum(error - PROMISES[f"{name}.{suffix_of(dtype)}"]["bound"], 0) / np.maximum(distance, 1)
            elif dtype == np.float64:
                error = np.where(distance < 60, error, 0)  # beyond, the oracle's own error counts
        elif function == "log_softmax":
            size = np.maximum(distance, -np.max(exact, axis=-1, keepdims=True))
            error = np.where(got == exact, 0, np.abs(got - exact) / unit_in_last_place(size, dtype))
            if three_pass:
                log_sum = np.maximum(-np.max(exact, axis=-1, keepdims=True), np.finfo(wide).tiny)
                error = np.maximum(error - PROMISES[f"{name}.{suffix_of(dtype)}"]["bound"], 0) / np.log1p(1 / log_sum)
        else:
            log_sum = -np.max(reference.special.log_softmax(x, temperature=temperature, dtype=wide), axis=-1)
            size = np.maximum(np.abs(m[..., 0]) / wide.type(temperature), log_sum)
            error = np.abs(got - exact) / unit_in_last_place(size, dtype)
        at = np.unravel_index(int(np.argmax(error)), error.shape)
        if error[at] > found["largest"]:
            argument = x[at] if x.ndim == len(at) else np.max(x, axis=-1)[at]
            found = {"largest": round(float(error[at]), 4), "where": what, "argument": float(argument).hex()}
    return found


def of_special() -> Iterator[tuple[str, dict[str, Any]]]:
    best = sg.isa()
    for key, promise in PROMISES.items():
        name, suffix = key.split(".")
        dtype = np.dtype(np.float32 if suffix == "f32" else np.float64)
        found: dict[str, Any]
        if key in ("exp.f32", "log.f32"):
            result = sweep.sweep(name, best, sg.available_isas()[1:-1])
            found = {"largest": round(result.ulps, 4), "argument": f"{result.argument:#010x}", "falls": result.falls}
        elif name in ("exp", "log"):
            found = {"largest": 0.0}
            for x in float64_arguments(name):
                error = errors_in_ulps(
                    getattr(special, name)(x), getattr(reference.special, name)(x, dtype=np.longdouble)
                )
                at = int(np.argmax(error))
                if error[at] > found["largest"]:
                    found = {"largest": round(float(error[at]), 4), "argument": float(x[at]).hex()}
        else:
            found = row_errors(name, dtype)
        if key in SUMS:
            lengths = (1, 2, 3, 17, 100, 1000, 4097, 100003, 1 << 20, (1 << 22) + 1, 1 << 24)
            rows_of = (logits(n, dtype, scale) for n in lengths for scale in (1.0, 20.0))
            worst = max(abs(float(np.sum(special.softmax(x), dtype=np.longdouble) - 1)) for x in rows_of)
            found |= {"sum": SUMS[key], "largest_sum": worst}
        yield key, promise | found


def of_random() -> Iterator[tuple[str, dict[str, Any]]]:
    for law, bound in NOISE.items():
        word = noise_sweep.sweep(law)
        yield (
            f"{law}.f32",
            {
                "bound": bound,
                "unit": "ULP" if law in ("uniform", "exponential") else "ULP of max(|x|, 1/2)",
                "inputs": "all 2^32 words",
                "largest": round(word.ulps, 4),
                "argument": f"{word.word:#010x}",
            },
        )


def of_family(family: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if family in ("special", "random"):
        return of_special() if family == "special" else of_random()
    found: Iterator[tuple[str, dict[str, Any]]] = importlib.import_module(f"bounds_{family}").measured()
    return found


def main() -> int:
    wanted = sys.argv[1:] or _core.families()
    sg.set_isa(sg.available_isas()[-1])
    before = json.loads(FILE.read_text())
    bounds: dict[str, dict[str, Any]] = {}
    for family in _core.families():
        if family not in wanted:
            bounds |= {key: entry for key, entry in before.items() if key.startswith(f"{family}.")}
            continue
        for key, entry in of_family(family):
            bounds[f"{family}.{key}"] = entry
            print(f"{family}.{key:<28} {entry}", flush=True)
    FILE.write_text(json.dumps(bounds, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

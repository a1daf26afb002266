"""How far results of the family `lowrank` are from exact ones, in units of their bounds (docs/numerics/lowrank.md).

Exact ones are computed in extended precision, whose own errors are below 2^-10 of the bounds.
"""

from collections.abc import Iterator
from math import ceil, log2
from typing import Any

import ml_dtypes
import numpy as np

import sorgum as sg
from sorgum._data.golden_lowrank import adapter, numbers

DTYPES = {
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
}
HALF_ULPS = {"f16": 2.0**-11, "bf16": 2.0**-8}
LENGTHS = (1, 16, 64, 512, 513, 1300, 2600)  # of sums: in one chunk, in two, in three and six
SCALE = 0.5
ORTHONORMALITY = 1.0
MERGE_UNIT = "u |w'| + (d + 1) u |scale| sum |B_ik A_kj|"
APPLY_UNIT = "u |y| + (d + r + 2) u |scale| (|x| |A|^T) |B|^T"
SVD_UNIT = "u (max(m, n) + 20 sqrt(k)), of elements of u^T u - 1 and vh vh^T - 1"

Found = Iterator[tuple[float, str]]


def exact(array: Any) -> Any:
    return np.asarray(array).astype(np.longdouble)


def depth(terms: int) -> int:
    """Roundings of a sum, d of docs/numerics/linalg.md."""
    return terms if terms <= 512 else 512 + ceil(log2(ceil(terms / 512))) + 1


def merge_error(name: str, w: Any, a: Any, b: Any, scale: float, got: Any) -> float:
    """The largest error in units of the bound. Half types are computed in float64 and rounded by way of float32."""
    u = 2.0**-24 if name == "f32" else 2.0**-53
    stored = HALF_ULPS[name] + 2.0**-24 if name in HALF_ULPS else 0.0
    result = exact(w) + scale * exact(b) @ exact(a)
    sizes = abs(scale) * abs(exact(b)) @ abs(exact(a))
    bound = (u + stored) * abs(result) + (depth(a.shape[0]) + 1) * u * sizes
    return float(np.max(abs(exact(got) - result) / (bound + 1e-300)))


def apply_error(name: str, x: Any, a: Any, b: Any, scale: float, base: Any, got: Any) -> float:
    """The largest error in units of the bound. Half types are computed in float32."""
    u = 2.0**-53 if name == "f64" else 2.0**-24
    result = exact(base) + scale * (exact(x) @ exact(a).T) @ exact(b).T
    sizes = abs(scale) * (abs(exact(x)) @ abs(exact(a)).T) @ abs(exact(b)).T
    roundings = depth(a.shape[1]) + depth(a.shape[0]) + 2
    bound = (u + HALF_ULPS.get(name, 0.0)) * abs(result) + roundings * u * sizes
    return float(np.max(abs(exact(got) - result) / bound))


def off_orthonormal(rows: Any) -> float:
    """The largest element of rows rows^T - 1, of float64 in extended precision: sums of equal numbers err one way."""
    wide = np.asarray(rows, np.longdouble if rows.dtype == np.float64 else np.float64)
    return float(np.abs(wide @ wide.T - np.eye(len(wide))).max(initial=0))


def svd_error(found: Any) -> float:
    """How far the vectors of a decomposition are from orthonormal, in units of the bound."""
    u, s, vh = found
    unit = 2.0**-24 if s.dtype == np.float32 else 2.0**-53
    bound = unit * (max(len(u), vh.shape[1]) + 20 * max(len(s), 1) ** 0.5)
    return max(off_orthonormal(u.T), off_orthonormal(vh)) / bound


def merges(name: str) -> Found:
    for rank in LENGTHS:
        a, b = adapter(40, 70, rank, DTYPES[name])
        w = numbers((40, 70), DTYPES[name], seed=3)
        got = sg.lowrank.merge(w, a, b, scale=SCALE)
        yield merge_error(name, w, a, b, SCALE, got), f"rank {rank}"


def applications(name: str) -> Found:
    for inner in LENGTHS:
        for rank in (1, 16, 600):
            a, b = adapter(70, inner, rank, DTYPES[name])
            x, base = numbers((30, inner), DTYPES[name], seed=4), numbers((30, 70), DTYPES[name], seed=5)
            got = sg.lowrank.apply(x, a, b, scale=SCALE, base=base)
            yield apply_error(name, x, a, b, SCALE, base, got), f"rank {rank}, {inner} long"


def decompositions(name: str) -> Found:
    """Of matrices whose singular values are flat, fall by 12 orders of magnitude, or are few; and of equal numbers."""
    plain = numbers((300, 200), np.dtype(np.float64), seed=6)
    matrices = {
        "flat": plain,
        "falling": plain * np.logspace(0, -12, 200),
        "of rank 5": plain[:, :5] @ plain[:5],
        "equal numbers": np.full((100, 3000), 1 / 3),
    }
    for what, a in matrices.items():
        for rank in (1, 16, 60):
            yield svd_error(sg.lowrank.truncated_svd(a.astype(DTYPES[name]), rank)), f"{what}, k = {rank}"


def measured() -> Iterator[tuple[str, dict[str, Any]]]:
    """Entries of bounds.json. The decompositions' figures are those of a build of BLAS and a processor."""
    for function, unit, found in (("merge", MERGE_UNIT, merges), ("apply", APPLY_UNIT, applications)):
        for suffix in DTYPES:
            stored = " + half an ULP" if suffix in HALF_ULPS else ""
            largest, where = max(found(suffix))
            yield (
                f"{function}.{suffix}",
                {
                    "bound": 1.0,
                    "unit": unit + stored,
                    "largest": round(largest, 4),
                    "where": where,
                },
            )
    for suffix in ("f32", "f64"):
        largest, where = max(decompositions(suffix))
        yield (
            f"truncated_svd.{suffix}",
            {
                "bound": ORTHONORMALITY,
                "unit": SVD_UNIT,
                "largest": round(largest, 4),
                "where": where,
            },
        )

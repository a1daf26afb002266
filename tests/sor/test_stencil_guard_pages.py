"""sor_stencil touches no byte outside its arrays: forbidden pages on both sides of each of them."""

import sys
from typing import Any

import numpy as np
import pytest

if sys.platform != "linux":
    pytest.skip("maps memory as Linux does", allow_module_level=True)

from guarded import Guarded

from sorgum import _core
from sorgum._data.inputs import logits

pytestmark = pytest.mark.sanitize

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
NAMES = ("u", "f", "coefficients", "mask", "lower", "upper", "residual", "diagonal")
WIDTHS = [(2, n) for n in (2, 3, 9)] + [(5, n) for n in (16, 17, 18, 33, 35, 64, 130)]
SHAPES = [*WIDTHS, (9, 5803), (3, 4, 17), (4, 6, 40), (7, 71, 300)]


@pytest.fixture(scope="module")
def room() -> dict[str, Guarded]:
    return {name: Guarded(9 << 20 if name == "coefficients" else 3 << 20) for name in NAMES}


@each_dtype
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_arrays_between_forbidden_pages(
    shape: Any, dtype: Any, room: dict[str, Guarded], isa: str, threads: Any
) -> None:
    """With the results of the same arrays elsewhere. What is plain is packed, in strips where it is large."""
    n, k = int(np.prod(shape)), 2 * len(shape) + 1
    size = np.dtype(dtype).itemsize
    u, f = (logits(n, np.dtype(dtype), seed=s).reshape(shape) for s in (0, 1))
    holes = logits(n, np.dtype(np.float64), seed=3).reshape(shape) > 2
    c = np.linspace(0.25, 1, k).astype(dtype)
    c[k // 2] = -8
    many = np.ascontiguousarray(c.reshape(k, *(1,) * len(shape)) * (2 + (f > 0)), dtype)
    for place, offset in (("at_start", 0), ("at_end", 0), ("at_end", size), ("at_start", 3 * size)):
        for order, masked, variable, sweeps in (
            ("red_black", False, False, 8), ("red_black", True, True, 2), ("lexicographic", False, False, 3),
            ("lexicographic", True, True, 2),
        ):  # fmt: skip
            if variable and n > 50000:
                continue

            def put(name: str, value: Any, place: str = place, offset: int = offset) -> Any:
                there = getattr(room[name], place)(value.shape, value.dtype, 0 if value.dtype == bool else offset)
                there[...] = value
                return there

            given = many if variable else c
            got = []
            for at in (put, lambda name, value: np.array(value)):
                threads(2)
                mask = at("mask", holes) if masked else None
                bounds = (at("lower", np.full_like(u, -2)), at("upper", np.full_like(u, 3))) if masked else (None, None)
                stencil = _core.sor.Stencil(
                    at("coefficients", given), shape, [("neumann", "dirichlet")] * len(shape), mask, None, order
                )
                x, b = at("u", u), at("f", f)
                stencil.sweep(x, b, 1.3, sweeps, *bounds)
                r, d = np.zeros(shape), np.zeros(shape, dtype)
                if offset % 8 == 0:  # of float64
                    r, d = at("residual", r), at("diagonal", d)
                sums = stencil.residual(x, b, r)
                stencil.diagonal(d)
                got.append((x.tobytes(), r.tobytes(), d.tobytes(), sums.tobytes()))
            assert got[0] == got[1]
            assert got[0][0] != u.tobytes()

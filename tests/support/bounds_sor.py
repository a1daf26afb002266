"""How far the norms of the family `sor` are from exact ones, in units of their bound (docs/numerics/sor.md)."""

from collections.abc import Iterator
from fractions import Fraction
from math import isqrt
from typing import Any

import exact_sweeps
import numpy as np

import sorgum as sg
from sorgum._data.inputs import logits
from sorgum._data.matrices import Matrix, dominant, grid, scattered

System = tuple[str, Matrix, Any, Any]
SWEEP_UNIT = "(m + 5) u (omega (|b_i| + sum |a_ij x_j|) / |a_ii| + |1 - omega| |x_i|)"
POINT_UNIT = "(m + 5) u (omega (|f| + sum |c_k u|) / |d| + |1 - omega| |u|)"
UNIT = "u (||(m + 1) (|b| + |A| |x|)|| + 22 ||r||)"


def systems(dtype: Any) -> Iterator[System]:
    """Random vectors, and ones that all but solve the system, where most digits of b cancel."""
    matrices = {
        "a grid of 5 points": grid((20, 21), False, dtype, np.int32),
        "a grid of 27 points": grid((7, 8, 9), True, dtype, np.int32),
        "rows of up to 40": scattered((300, 50), 40, dtype, np.int64),
        "rows of up to 2": scattered((4500, 70), 2, dtype, np.int32),
    }
    for what, a in matrices.items():
        for seed in range(3):
            x = logits(a.shape[1], dtype, seed=seed)
            yield what, a, x, logits(a.shape[0], dtype, seed=seed + 50)
            rows = np.repeat(np.arange(a.shape[0]), np.diff(a.indptr))
            near = np.bincount(rows, a.data.astype(np.float64) * x[a.indices], a.shape[0])
            yield f"{what}, nearly solved", a, x, (near + 1e-3 * logits(a.shape[0], np.float64)).astype(dtype)


def root(value: Fraction) -> Fraction:
    """The square root to 60 digits more than it has before the point."""
    scale = 10**120
    return Fraction(isqrt(value.numerator * scale // value.denominator), 10**60)


def relative_to_bound(a: Matrix, x: Any, b: Any, got: float) -> float:
    xs, values = [Fraction(float(v)) for v in x], [Fraction(float(v)) for v in a.data]
    squares = sizes = Fraction(0)
    for i in range(a.shape[0]):
        products = [values[k] * xs[a.indices[k]] for k in range(a.indptr[i], a.indptr[i + 1])]
        right = Fraction(float(b[i]))
        squares += (right - sum(products)) ** 2
        sizes += ((len(products) + 1) * (abs(right) + sum(map(abs, products)))) ** 2
    exact = root(squares)
    bound = (root(sizes) + 22 * exact) / 2**53
    return float(abs(Fraction(got) - exact) / bound)


def sweeps(dtype: Any) -> Iterator[tuple[float, str]]:
    """Errors of rows in units of their bounds, of sweeps below, at and above omega = 1."""
    matrices = {
        "a grid of 5 points": grid((9, 20), False, dtype, np.int32),
        "a grid of 27 points": grid((4, 5, 6), True, dtype, np.int32),
        "rows of up to 40": dominant(120, 40, dtype, np.int32),
        "rows of up to 3": dominant(300, 3, dtype, np.int32),
    }
    for what, a in matrices.items():
        n = a.shape[0]
        relaxation = sg.sor.Relaxation(a)
        for seed, omega in enumerate((0.3, 1.0, 1.5, 1.9)):
            before, b = logits(n, dtype, seed=seed), logits(n, dtype, seed=seed + 50)
            relaxation.sweep(after := before.copy(), b, omega)
            errors, bounds = exact_sweeps.row_bounds(a, before, after, b, omega)
            yield max(float(error / bound) for error, bound in zip(errors, bounds, strict=True)), what


def on_grids(dtype: Any) -> Iterator[tuple[float, str]]:
    """Errors of points in units of their bounds: black ones, whose neighbours are known after a sweep."""
    shape = (20, 30)
    for what, varies in (("constant coefficients", 0.0), ("variable coefficients", 1.0)):
        for seed, omega in enumerate((0.3, 1.0, 1.5, 1.9)):
            u, f = (logits(600, dtype, seed=seed + k).reshape(shape) for k in (0, 50))
            c = np.linspace(0.5, 1, 5).reshape(5, 1, 1) + varies * np.abs(logits(3000, dtype).reshape(5, *shape)) / 8
            c = np.array(np.broadcast_to(c, (5, *shape)), dtype)
            c[2] = -5 - varies * 4
            after = u.copy()
            sg.sor.sor_stencil(after, f, c if varies else c[:, 0, 0], omega=omega)
            w = Fraction(float(dtype.type(omega)))
            for y, x in np.ndindex(shape):
                if not (0 < y < 19 and 0 < x < 29 and (y + x) % 2):
                    continue
                own, right, before = (Fraction(float(v)) for v in (c[2, y, x], f[y, x], u[y, x]))
                near = ((0, y - 1, x), (1, y, x - 1), (3, y, x + 1), (4, y + 1, x))
                terms = [Fraction(float(c[k, y, x])) * Fraction(float(after[i, j])) for k, i, j in near]
                exact = (1 - w) * before + w * (right - sum(terms)) / own
                size = w * (abs(right) + sum(map(abs, terms))) / abs(own) + abs((1 - w) * before)
                bound = 9 * size * Fraction(float(np.finfo(dtype).eps)) / 2
                yield float(abs(Fraction(float(after[y, x])) - exact) / bound), what


def measured() -> Iterator[tuple[str, dict[str, Any]]]:
    """Entries of bounds.json."""
    for suffix, dtype in (("f32", np.float32), ("f64", np.float64)):
        found = [(relative_to_bound(a, x, b, sg.sor.residual_norm(a, x, b)), what) for what, a, x, b in systems(dtype)]
        largest, where = max(found)
        yield f"residual_norm.{suffix}", {"bound": 1.0, "unit": UNIT, "largest": round(largest, 4), "where": where}
        largest, where = max(sweeps(np.dtype(dtype)))
        yield f"sweep.{suffix}", {"bound": 1.0, "unit": SWEEP_UNIT, "largest": round(largest, 4), "where": where}
        largest, where = max(on_grids(np.dtype(dtype)))
        yield f"sor_stencil.{suffix}", {"bound": 1.0, "unit": POINT_UNIT, "largest": round(largest, 4), "where": where}

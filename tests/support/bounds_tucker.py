"""How far products along modes are from exact ones, and factors from orthonormal, in units of their bounds."""

from collections.abc import Iterator
from math import ceil, log2
from typing import Any

import numpy as np

from sorgum import reference, tucker
from sorgum._data.inputs import numbers

Array = np.ndarray[Any, Any]
UNITS = {"mode_dot": "d u sum |M_ji| |x_lir|", "gram": "d u sum |X_ik| |X_jk|"}
SEVERAL = "the sum of the d, times u, of the product of all magnitudes"
ORTHONORMAL = {"f32": 1e-6, "f64": 1e-14}
SHAPES = {
    "3 modes of 1 to 40": (1, 13, 40),
    "4 modes of 2 to 9": (2, 3, 5, 9),
    "513 terms": (7, 513, 3),
    "3000 terms": (5, 3000),
}


def terms(n: int) -> int:
    """d of docs/numerics/linalg.md: the roundings that a product passes at most."""
    return min(n, 512) + ceil(log2(max(1, ceil(n / 512)))) + 1


def exact_and_sizes(x: Any, m: Any, mode: int, transpose: bool = False) -> tuple[Array, Array]:
    """Return the product in extended precision, and the sums of the magnitudes of its terms."""
    wide = [np.asarray(array).astype(np.longdouble) for array in (x, m)]
    return (
        reference.tucker.mode_dot(*wide, mode, transpose, dtype=np.longdouble),
        reference.tucker.mode_dot(*map(abs, wide), mode, transpose, dtype=np.longdouble),
    )


def exact_gram_and_sizes(x: Any, mode: int) -> tuple[Array, Array]:
    """Return the same of a Gram matrix."""
    wide = np.asarray(x).astype(np.longdouble)
    return (
        reference.tucker.gram(wide, mode, dtype=np.longdouble),
        reference.tucker.gram(abs(wide), mode, dtype=np.longdouble),
    )


def several_terms(shape: tuple[int, ...]) -> int:
    """The roundings that a product along all modes passes at most."""
    return sum(terms(n) for n in shape)


def exact_and_size_of_several(x: Any, ms: list[Any]) -> tuple[Array, Array]:
    """Return the same for a product along all modes."""
    wide = [np.asarray(array).astype(np.longdouble) for array in (x, *ms)]
    sizes = [abs(array) for array in wide]
    return (
        reference.tucker.multi_mode_dot(wide[0], wide[1:], dtype=np.longdouble),
        reference.tucker.multi_mode_dot(sizes[0], sizes[1:], dtype=np.longdouble),
    )


def off_orthonormal(factor: Array) -> float:
    """The largest entry of u^T u - 1."""
    wide = np.asarray(factor, np.float64)
    return float(np.abs(wide.T @ wide - np.eye(wide.shape[1])).max(initial=0))


def factors_found(dtype: np.dtype[Any]) -> Iterator[tuple[float, str]]:
    """How far factors are from orthonormal: spectra that fall fast, are flat, or end."""
    i, j, k = np.ogrid[1:41, 1:31, 1:36]
    tensors = {"1/(i+j+k)": 1 / (i + j + k), "sin(i+j+k)": np.sin(i + j + k), "numbers": numbers((40, 30, 35), dtype)}
    for what, x in tensors.items():
        for rank in (1, 8, 30):
            found = tucker.sthosvd(np.asarray(x, dtype), rank)
            yield max(map(off_orthonormal, found.factors)), f"{what}, rank {rank}"


def measured() -> Iterator[tuple[str, dict[str, Any]]]:
    """Entries of bounds.json."""
    for suffix, u in (("f32", 2.0**-24), ("f64", 2.0**-53)):
        dtype = np.dtype(np.float32 if suffix == "f32" else np.float64)
        found, of_grams = [], []
        for what, shape in SHAPES.items():
            for mode, n in enumerate(shape):
                x, m = numbers(shape, dtype), numbers((19, n), dtype, seed=1)
                exact, sizes = exact_and_sizes(x, m, mode)
                errors = abs(tucker.mode_dot(x, m, mode) - exact) / (terms(n) * u * sizes)
                found.append((float(errors.max()), what))
                exact, sizes = exact_gram_and_sizes(x, mode)
                errors = abs(tucker.gram(x, mode) - exact) / (terms(x.size // n) * 2.0**-53 * sizes)
                of_grams.append((float(errors.max()), what))
        for function, some in (("mode_dot", found), ("gram", of_grams)):
            largest, where = max(some)
            entry = {"bound": 1.0, "unit": UNITS[function], "largest": round(largest, 4), "where": where}
            yield f"{function}.{suffix}", entry
        found = []
        for what, shape in SHAPES.items():
            ranks = [(3 * mode + 2) % 7 + 1 for mode in range(len(shape))]
            x = numbers(shape, dtype)
            ms = [numbers((rank, n), dtype, seed=rank) for rank, n in zip(ranks, shape, strict=True)]
            exact, sizes = exact_and_size_of_several(x, ms)
            errors = abs(tucker.multi_mode_dot(x, ms) - exact) / (several_terms(shape) * u * sizes)
            found.append((float(errors.max()), what))
        largest, where = max(found)
        yield f"multi_mode_dot.{suffix}", {"bound": 1.0, "unit": SEVERAL, "largest": round(largest, 4), "where": where}
        largest, where = max(factors_found(dtype))
        limit = ORTHONORMAL[suffix]
        yield f"sthosvd.{suffix}", {"bound": 1.0, "unit": f"{limit:.0e}, of elements of u^T u - 1",
                                    "largest": round(largest / limit, 4), "where": where}  # fmt: skip

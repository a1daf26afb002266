"""How far products along modes are from exact ones, in units of their bound (docs/numerics/tucker.md)."""

from collections.abc import Iterator
from math import ceil, log2
from typing import Any

import numpy as np

from sorgum import reference, tucker
from sorgum._data.inputs import numbers

Array = np.ndarray[Any, Any]
UNITS = {"mode_dot": "d u sum |M_ji| |x_lir|", "gram": "d u sum |X_ik| |X_jk|"}
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

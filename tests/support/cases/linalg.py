"""What Python call exercises each kernel of the layer `linalg`: those of the families that are built on it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cases import Array
from sorgum import lowrank, tucker
from sorgum._data.golden_lowrank import SHAPES, adapter, applied, merged, numbers
from sorgum._data.inputs import words


def products(computed: np.dtype[Any], stored: np.dtype[Any]) -> Iterator[Array]:
    """Every end, rows and panels that are not whole, one chunk and several; any encodings."""
    for shape in SHAPES:
        if computed == stored or stored.itemsize == 2:
            yield from merged(*shape, stored)
            yield from applied(*shape, stored)
        a, b = adapter(*shape, computed)
        w, x = numbers(shape[:2], stored, seed=1), numbers((7, shape[1]), stored, seed=2)
        for one in (w, np.asfortranarray(w)):
            yield lowrank.merge(one, a, b.astype(stored), scale=0.5)
            yield lowrank.merge(one, a.astype(stored), b)
        yield lowrank.apply(x, a, b.astype(stored))
        yield lowrank.apply(np.asfortranarray(x), a.astype(stored).T.copy().T, b)
    with np.errstate(invalid="ignore", over="ignore"):
        any_w = words(40 * 50, np.float64 if stored.itemsize == 8 else np.float32).astype(stored).reshape(40, 50)
    a, b = adapter(40, 50, 3, computed)
    yield lowrank.merge(any_w, a, b, check_finite=False)


def magnitudes(dtype: np.dtype[Any]) -> Iterator[Array]:
    for shape in SHAPES:
        yield from merged(*shape, dtype)
    w, (a, b) = numbers((30, 70), dtype, seed=1), adapter(30, 70, 2, dtype)
    for value in (np.inf, -np.inf, np.nan):
        for at in ((0, 0), (29, 69), (7, 33)):
            bad = w.copy()
            bad[at] = value
            try:
                lowrank.merge(bad, a, b)
            except ValueError as error:
                yield np.frombuffer(str(error).encode(), np.uint8)


def norms(dtype: np.dtype[Any]) -> Iterator[Array]:
    for shape in SHAPES:
        for stored in (np.dtype(np.float32), dtype):
            w, (a, b) = numbers(shape[:2], stored, seed=1), adapter(*shape, stored)
            m = numbers((shape[0],), stored, seed=2)
            yield lowrank.merge(w, a, b, scale=0.5, magnitude=m)
            yield lowrank.merge(w.T.copy(), a, b, magnitude=m, fan_in_fan_out=True)


def grams(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Panels and tiles that are not whole, a chunk and several, more rows than a task has."""
    for shape in ((1, 5), (3, 7, 20), (17, 40), (40, 9, 130), (270, 11)):
        x = numbers(shape, dtype)
        for order in ("C", "F"):
            yield from (tucker.gram(np.asarray(x, order=order), mode) for mode in range(len(shape)))


def combinations(computed: np.dtype[Any], stored: np.dtype[Any]) -> Iterator[Array]:
    """Columns that are no whole vector and more than stay in the cache, rows that are no whole block, two chunks."""
    for shape in ((1, 5), (3, 7, 2), (9, 16, 3), (20, 2070), (513, 40), (1100, 3, 180)):
        x = numbers(shape, stored)
        for mode in range(len(shape) - 1):
            yield tucker.mode_dot(x, numbers((shape[mode],), computed, seed=1), mode)
    any_x = words(33 * 50, np.float64 if stored.itemsize == 8 else np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        yield tucker.mode_dot(any_x.astype(stored).reshape(33, 50), numbers((33,), computed, seed=2), 0)


# Kernel -> what exercises it.
CASES: dict[str, Callable[..., Iterator[Array]]] = {
    "pack": products,
    "pack_transposed": products,
    "product": products,
    "row_product": products,
    "row_combination": combinations,
    "largest_magnitude": magnitudes,
    "panel_squares": norms,
    "gram_terms": grams,
    "add_sums": grams,
}

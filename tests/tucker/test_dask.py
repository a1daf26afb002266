"""sorgum.interop.dask: Gram matrices of Dask arrays have the bits of a whole where chunks allow, and say where not."""

import importlib
import re
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum._data.inputs import numbers

da: Any = pytest.importorskip("dask.array")
ours = importlib.import_module("sorgum.interop.dask")


def same(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bits_of_the_whole(dtype: Any) -> None:
    x = numbers((40, 8, 64), np.dtype(dtype))
    for mode, chunks in ((1, (8, 8, 64)), (1, (16, -1, -1)), (0, (-1, 8, 64)), (-1, (64, -1, -1)), (1, (-1, -1, -1))):
        array = da.from_array(x, chunks=chunks)
        found = ours.gram(array, mode)
        assert found.shape == (x.shape[mode],) * 2
        assert found.dtype == np.float64
        assert same(found.compute(scheduler="synchronous"), sg.tucker.gram(x, mode))
        assert same(found.compute(scheduler="threads"), sg.tucker.gram(x, mode))
    vector = numbers((9,), np.dtype(dtype))
    assert same(ours.gram(da.from_array(vector, chunks=-1), 0).compute(), sg.tucker.gram(vector, 0))


def test_any_chunks() -> None:
    """Blocks that are cut elsewhere: sums of theirs as a tree, which rounding alone tells from the whole."""
    x = numbers((40, 8, 65), np.dtype(np.float64))
    for mode, chunks in ((1, (7, 8, 65)), (1, (10, 8, 20)), (0, (40, 3, 13)), (2, (9, 3, 65))):
        found = ours.gram(da.from_array(x, chunks=chunks), mode).compute()
        exact = sg.tucker.gram(x, mode)
        bound = 600 * 2.0**-53 * sg.tucker.gram(abs(x), mode)
        assert np.all(abs(found - exact) <= bound)
        assert not np.all(abs(np.roll(found, 1, 0) - exact) <= bound)
        assert same(found, ours.gram(da.from_array(x, chunks=chunks), mode).compute(scheduler="synchronous"))
    first, second = (sg.tucker.gram(x[:, :, k : k + 33], 1) for k in (0, 33))
    assert same(ours.gram(da.from_array(x, chunks=(40, 8, 33)), 1).compute(), first + second)


X = np.ones((6, 8))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: ours.gram(X, 0), TypeError, "gram: x must be a dask array, got ndarray"),
        (lambda: ours.gram(da.from_array(X), 2), ValueError, "gram: mode must be in [-2, 2), got 2"),
        (lambda: ours.gram(da.from_array(X), 0.0), TypeError, "gram: mode must be an int, got float"),
        (lambda: ours.gram(da.from_array(X, chunks=(2, 8)), -2), ValueError, "gram: x must have one block along mode "
         "0, got 3: x.rechunk({0: -1}) makes it one"),
        (lambda: ours.gram(da.from_array(X, chunks=(2, 8))[da.from_array(X[:, 0] > 0)], 1), ValueError, "gram: x must "
         "have blocks of known sizes, got unknown ones: x.compute_chunk_sizes() finds them"),
    ],
)  # fmt: skip
def test_refusals(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        call()


def test_says_how_to_rechunk() -> None:
    array = da.from_array(X, chunks=(2, 8))
    assert same(ours.gram(array.rechunk({0: -1}), 0).compute(), sg.tucker.gram(X, 0))

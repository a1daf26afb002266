"""Rows of any length beside each other: each has the bits that it has alone, at its own temperature, in any layout."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

import sorgum as sg

Array = NDArray[Any]
LENGTHS = (1, 2, 3, 5, 8, 10, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 100, 130, 1000)
DTYPES = (np.float32, np.float64, ml_dtypes.bfloat16)
ROWS = 37  # two vectors of 16 rows, and some more


def logits(n: int, dtype: Any) -> Array:
    rng = np.random.default_rng(n)
    x = 3.0 * rng.standard_normal((ROWS, n))
    # Rows that lanes cannot express, among others that they can.
    x[3, 0], x[5, -1], x[9, 0], x[20, -1] = np.inf, np.nan, 3e37, 3e4
    x[7], x[17] = -np.inf, -120.0
    x[11, 0] = 100.0
    return x.astype(dtype)


def call(name: str, x: Array, dy: Array, **options: Any) -> Array:
    function = getattr(sg.special, name)
    if name == "logsumexp_grad":
        return np.asarray(function(x, dy=dy, axis=-1, **options))
    if name in ("softmax_grad", "log_softmax_grad"):
        y = np.asarray(getattr(sg.special, name.removesuffix("_grad"))(x, axis=-1))
        return np.asarray(function(y, dy=(x * dy[..., None]).astype(x.dtype), axis=-1, **options))
    return np.asarray(function(x, axis=-1, **options))


def raw(x: Array) -> bytes:
    return np.ascontiguousarray(x).tobytes()


FUNCTIONS = ("softmax", "log_softmax", "logsumexp", "softmax_grad", "log_softmax_grad", "logsumexp_grad")


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_row_has_its_own_bits_and_temperature(name: str, dtype: Any, n: int) -> None:
    x = logits(n, dtype)
    dy = np.linspace(-2.0, 3.0, ROWS).astype(dtype)
    temperature = np.geomspace(0.3, 7.0, ROWS)
    temperature[[2, 19, 30]] = 1e-35, 1e36, 1e-300
    keep = name != "logsumexp"
    found = call(name, x, dy, temperature=temperature[:, None] if keep else temperature)
    alone = [call(name, x[i], dy[i], temperature=float(temperature[i])) for i in range(ROWS)]
    assert raw(found) == raw(np.stack(alone))
    assert n == 1 or len({raw(row) for row in alone}) > ROWS // 2  # the rows differ


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_few_rows_have_the_bits_of_many(name: str, dtype: Any, n: int, isa: str) -> None:
    """Whichever kernel is taken for so many."""
    del isa
    x, dy = logits(n, dtype), np.linspace(-2.0, 3.0, ROWS).astype(dtype)
    whole = call(name, x, dy)
    for first in (0, 4, 16):  # with rows that lanes cannot express, and without
        for count in (1, 2, 9, 10, 16, 17):
            part = slice(first, first + count)
            assert raw(call(name, x[part], dy[part])) == raw(whole[part]), (first, count)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_layouts_of_short_rows(name: str, dtype: Any, n: int) -> None:
    x = logits(n, dtype)
    dy = np.zeros(ROWS, dtype)
    expected = call(name, x, dy)
    in_place = x.copy()
    call(name, in_place, dy, out=in_place)
    assert raw(in_place) == raw(expected)
    # Rows with gaps, whose neighbours must stay; rows in reverse; a start in the middle of a cache line.
    wide, result = np.full((2, ROWS, n + 3), 7, dtype)
    wide[:, 1 : n + 1] = x
    call(name, wide[:, 1 : n + 1], dy, out=result[:, 2 : n + 2])
    assert raw(result[:, 2 : n + 2]) == raw(expected)
    assert (result[:, :2] == 7).all()
    assert (result[:, n + 2 :] == 7).all()
    assert raw(call(name, x[::-1], dy)[::-1]) == raw(expected)
    flat = np.empty(x.size + 5, dtype)[5:].reshape(x.shape)
    call(name, x, dy, out=flat)
    assert raw(flat) == raw(expected)

"""Mixed embeddings: the reference in every type, one rounding, layouts, bits, refusals."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from cases import HALVES, layouts

import sorgum as sg
from sorgum import random, reference, special
from sorgum._data.inputs import hashed, logits

TABLES = [*HALVES.values(), np.dtype(np.float32), np.dtype(np.float64)]
each_table = pytest.mark.parametrize("dtype", TABLES, ids=str)


@each_table
def test_mix_is_what_the_reference_has(dtype: Any, isa: str) -> None:
    """Within half a unit of the result and k roundings of the sum of magnitudes."""
    unit = 2.0**-24 if dtype.itemsize == 2 else 2.0**-53
    half = float(ml_dtypes.finfo(dtype).eps) / 2
    for d in (1, 15, 16, 17, 63, 64, 65, 300, 4097):
        table = logits((50, d), np.float64, seed=d).astype(dtype)
        for k in (1, 2, 5, 15):
            at = (hashed(7 * k, d) % np.uint64(51)).astype(np.int64).reshape(7, k) - 1
            w = special.softmax(logits((7, k), np.float32, seed=k))
            found = random.embedding_mix(w, at, table)
            assert found.dtype == dtype
            assert found.shape == (7, d)
            exact = reference.random.embedding_mix(w, at, table)
            size = reference.random.embedding_mix(w, at, np.abs(table.astype(np.float64)))
            limit = half * np.abs(exact) * (1 + 2 * half) + (k + 2) * unit * size + 2.0**-133
            assert np.all(np.abs(found.astype(np.float64) - exact) <= limit)
    assert np.any(np.abs(np.roll(exact, 1) - exact) > limit)


@each_table
def test_mix_of_numbers_that_need_no_rounding(dtype: Any, isa: str) -> None:
    table = (hashed(40 * 70) % np.uint64(17)).astype(np.float64).reshape(40, 70) - 8
    at = (hashed(90, 1) % np.uint64(40)).astype(np.int64).reshape(5, 6, 3)
    w = np.broadcast_to([0.5, 0.25, 0.25], at.shape)
    expected = reference.random.embedding_mix(w, at, table)
    assert np.array_equal(random.embedding_mix(w, at, table.astype(dtype)).astype(np.float64), expected)


@each_table
def test_mix_rounds_once(dtype: Any, isa: str) -> None:
    """1 + an eighth of a unit, twice: a quarter, which is lost; three eighths and two more eighths make a unit."""
    eps = float(ml_dtypes.finfo(dtype).eps)
    table = np.array([[1.0], [eps / 8], [3 * eps / 8]]).astype(dtype)
    found = random.embedding_mix([[1.0, 2.0, 0.0], [1.0, 3.0, 1.0]], [[0, 1, 2]] * 2, table)
    if dtype != np.float64:  # whose sums are float64 themselves
        assert found.astype(np.float64).ravel().tolist() == [1.0, 1.0 + eps]


@each_table
def test_mix_of_any_layout_and_thread(dtype: Any, threads: Callable[[int], None], isa: str) -> None:
    table = logits((60, 9000), np.float32).astype(dtype)
    at = (hashed(40 * 5, 1) % np.uint64(61)).astype(np.int64).reshape(40, 5) - 1
    w = np.where(at < 0, np.nan, special.softmax(logits((40, 5), np.float64)))  # what is not there weighs nothing
    threads(1)
    expected = random.embedding_mix(w, at, table)
    assert np.all(np.isfinite(expected.astype(np.float64)))
    threads(3)
    assert random.embedding_mix(w, at, table).tobytes() == expected.tobytes()
    assert random.embedding_mix(w[7], at[7].astype(np.uint8) if at[7].min() >= 0 else at[7], table).tobytes() == (
        expected[7].tobytes()
    )
    for name, view in layouts(table):
        assert random.embedding_mix(w, at, view).tobytes() == expected.tobytes(), name
    for name, view in layouts(at):
        assert random.embedding_mix(np.asfortranarray(w), view, table).tobytes() == expected.tobytes(), name
    before = sg.isa()
    sg.set_isa("scalar")
    again = random.embedding_mix(w, at, table)
    sg.set_isa(before)
    assert again.tobytes() == expected.tobytes()
    assert not random.embedding_mix([[1.0, 2.0]], [[-1, -1]], table).astype(np.float64).any()
    assert random.embedding_mix(np.zeros((0, 3)), np.zeros((0, 3), np.int64), table).shape == (0, 9000)
    assert random.embedding_mix(np.zeros((2, 0)), np.zeros((2, 0), np.int64), table).shape == (2, 9000)
    assert random.embedding_mix([[1.0]], [[0]], table[:, :0]).shape == (1, 0)


@each_table
def test_mix_has_one_nan(dtype: Any, isa: str) -> None:
    table = np.ones((3, 20)).astype(dtype)
    table[1] = np.inf
    table[2] = -np.nan
    found = random.embedding_mix([[0.0, 1.0], [1.0, 1.0], [-1.0, 1.0]], [[1, 0], [2, 0], [1, 1]], table)
    assert found.tobytes() == np.full(found.shape, np.nan).astype(dtype).tobytes()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: random.embedding_mix([[1.0]], [[3]], np.zeros((3, 2))),
            ValueError,
            "embedding_mix: indices must be in [-1, 3), got 3",
        ),
        (
            lambda: random.embedding_mix([[1.0]], [[-2]], np.zeros((3, 2))),
            ValueError,
            "embedding_mix: indices must be in [-1, 3), got -2",
        ),
        (
            lambda: random.embedding_mix([1.0], [[1]], np.zeros((3, 2))),
            ValueError,
            "embedding_mix: weights must have the shape of indices, (1, 1), got (1,)",
        ),
        (
            lambda: random.embedding_mix([1.0], [1.0], np.zeros((3, 2))),
            TypeError,
            "embedding_mix: indices must be an array of integers, got dtype dtype('float64')",
        ),
        (
            lambda: random.embedding_mix([1.0], [1], np.zeros(3)),
            ValueError,
            "embedding_mix: embeddings must have two axes, got shape (3,)",
        ),
        (
            lambda: random.embedding_mix(1.0, 1, np.zeros((3, 2))),
            ValueError,
            "embedding_mix: indices must have at least one axis, got a scalar",
        ),
        (
            lambda: random.embedding_mix([1.0], [1], np.zeros((3, 2), np.complex64)),
            TypeError,
            "embedding_mix: embeddings must be float16, bfloat16, float32, float64, bool or integer, "
            "got dtype dtype('complex64')",
        ),
    ],
)
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message

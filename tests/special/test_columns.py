"""Rows that lie side by side in memory: their kernels give the bits of the same rows lying one after the other."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from cases import placed

from sorgum import special
from sorgum._data.inputs import logits

Array = Any
FUNCTIONS = (special.softmax, special.log_softmax, special.logsumexp)
DTYPES = (np.float32, np.float64)
LENGTHS = (1, 2, 15, 16, 17, 33, 127, 128, 129, 300, 4095, 4096)


def columns_of(n: int, columns: int, dtype: Any, spread: float = 4.0) -> Array:
    x = logits((n, columns), np.dtype(dtype), spread, seed=n + columns)
    x[:, ::5] *= dtype(0.001)  # rows that are not peaked
    return x


def same_bits(a: Array, b: Array) -> bool:
    return a.shape == b.shape and np.array_equal(a.view(np.uint8), np.ascontiguousarray(b).view(np.uint8))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_columns_have_the_bits_of_rows(function: Any, dtype: Any, isa: str) -> None:
    for n in LENGTHS if isa != "scalar" else LENGTHS[:-2]:
        for columns in (16, 17, 100, 300) if n < 1000 else (17, 40):
            x = columns_of(n, columns, dtype)
            wanted = function(np.ascontiguousarray(x.T), axis=-1).T
            assert same_bits(np.ascontiguousarray(function(x, axis=0)), np.ascontiguousarray(wanted)), (n, columns)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e30, 3e38, 1e-42])
def test_one_odd_row_among_columns(function: Any, dtype: Any, value: float) -> None:
    for n, columns in ((3, 40), (50, 33), (200, 65)):
        x = columns_of(n, columns, dtype)
        x[n // 2, 20] = value
        x[:, 37 % columns] = value
        wanted = function(np.ascontiguousarray(x.T), axis=-1).T
        assert same_bits(np.ascontiguousarray(function(x, axis=0)), np.ascontiguousarray(wanted))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", FUNCTIONS[:2])
@pytest.mark.parametrize("offset", [0, 4, 16, 60])
def test_columns_in_place_at_any_offset(function: Any, dtype: Any, offset: int) -> None:
    offset = offset // np.dtype(dtype).itemsize * np.dtype(dtype).itemsize
    for n, columns, pitch in ((20, 64, 64), (100, 300, 307), (300, 4096, 4096)):
        memory = np.zeros(n * pitch * np.dtype(dtype).itemsize + 64, np.uint8)
        whole = memory[offset : offset + n * pitch * np.dtype(dtype).itemsize].view(dtype).reshape(n, pitch)
        whole[:] = 7
        x = whole[:, :columns]
        x[:] = columns_of(n, columns, dtype)
        wanted = function(np.ascontiguousarray(x.T), axis=-1).T
        assert function(x, axis=0, out=x) is x
        assert same_bits(np.ascontiguousarray(x), np.ascontiguousarray(wanted))
        assert np.all(whole[:, columns:] == 7)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_middle_axis_and_column_major(function: Any, count: int, threads: Callable[[int], None]) -> None:
    threads(count)
    x = logits((3, 21, 50, 70), np.dtype(np.float32), 3.0, seed=5)
    wanted = function(np.ascontiguousarray(np.moveaxis(x, 1, -1)), axis=-1)
    got = function(x, axis=1)
    assert same_bits(np.ascontiguousarray(got if got.ndim == 3 else np.moveaxis(got, 1, -1)), wanted)
    y = np.asfortranarray(x.reshape(63, 3500).T)
    wanted = function(np.ascontiguousarray(y), axis=-1)
    assert same_bits(np.ascontiguousarray(function(y, axis=-1)), wanted)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("offset", [0, 8, 40])
def test_tiles_of_every_partial_size(dtype: Any, offset: int, isa: str) -> None:
    """Gradients and halves are brought together: 1 to 33 elements of 1 to 35 rows, and the lines between the blocks."""
    sizes = (1, 2, 7, 8, 15, 16, 17, 31, 32, 33)
    for n in sizes:
        for rows in (*sizes, 34, 100):
            x = logits((n, rows), np.dtype(np.float32), 3.0, seed=n + rows).astype(dtype)
            dy = logits((n, rows), np.dtype(np.float32), 3.0, seed=n * rows).astype(dtype)
            out = placed(np.zeros_like(x), offset)
            special.softmax_grad(placed(x, offset), dy=placed(dy, offset + 8), axis=0, out=out)
            wanted = special.softmax_grad(np.ascontiguousarray(x.T), dy=np.ascontiguousarray(dy.T)).T
            assert same_bits(out, np.ascontiguousarray(wanted)), (n, rows)
            special.softmax(placed(x, offset), axis=0, out=out)
            assert same_bits(out, np.ascontiguousarray(special.softmax(np.ascontiguousarray(x.T)).T)), (n, rows)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("offset", [0, 8])
def test_large_results_of_columns(dtype: Any, offset: int, isa: str) -> None:
    """Whole lines go past the caches, the columns before the first line and behind the last do not."""
    n, rows = (1030, 1030) if offset else (1024, 2048)
    x = logits((n, rows), np.dtype(np.float32), 3.0, seed=n).astype(dtype)
    out = placed(np.zeros((n, rows), dtype), offset)
    wanted = special.softmax_grad(np.ascontiguousarray(x.T), dy=np.ascontiguousarray(x.T[::-1])).T
    special.softmax_grad(x, dy=x[:, ::-1], axis=0, out=out)
    assert same_bits(out, np.ascontiguousarray(wanted))
    if dtype in (np.float16, ml_dtypes.bfloat16):
        special.softmax(x, axis=0, out=out)
        assert same_bits(out, np.ascontiguousarray(special.softmax(np.ascontiguousarray(x.T)).T))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_every_half_among_columns(dtype: Any, isa: str) -> None:
    """Infinities, subnormals and NaN of every payload."""
    x = np.arange(65536, dtype=np.uint16).view(dtype).reshape(256, 256)
    got = special.softmax_grad(x, dy=x.T, axis=0)
    wanted = special.softmax_grad(np.ascontiguousarray(x.T), dy=np.ascontiguousarray(x)).T
    assert same_bits(np.ascontiguousarray(got), np.ascontiguousarray(wanted))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_masks_among_columns(dtype: Any, isa: str) -> None:
    for n, rows, begin in ((1, 2, 0), (7, 9, 1), (8, 16, 3), (9, 33, 5), (50, 70, 7), (4100, 40, 1)):
        x = logits((n, rows), np.dtype(np.float32), 3.0, seed=n).astype(dtype)
        mask = (logits((n, rows + begin), np.dtype(np.float32), 3.0, seed=rows) > -2)[:, begin:]
        for function, given in ((special.softmax, {}), (special.softmax_grad, {"dy": x[::-1]})):
            turned = {name: np.ascontiguousarray(a.T) for name, a in given.items()}
            wanted = function(np.ascontiguousarray(x.T), where=np.ascontiguousarray(mask.T), **turned).T
            got = function(x, axis=0, where=mask, **given)
            assert same_bits(np.ascontiguousarray(got), np.ascontiguousarray(wanted)), (n, rows)

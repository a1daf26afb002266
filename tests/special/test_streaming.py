"""Results that are written past the caches, wherever their rows start: the bits of small calls, nothing beside them."""

from typing import Any

import numpy as np
import pytest

from sorgum import random, special
from sorgum._data.inputs import logits

Array = Any
GUARD = 64  # elements


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [17, 32, 33, 64, 100, 256, 1000, 1008, 4096, 8192, 9001, 20000])
@pytest.mark.parametrize("offset", [0, 1, 4, 7, 15])
@pytest.mark.parametrize("function", [special.softmax, special.log_softmax])
def test_streamed_rows_at_any_offset(function: Any, offset: int, n: int, dtype: Any, isa: str) -> None:
    if isa == "scalar" and (offset, n) not in ((4, 64), (7, 256)):
        pytest.skip("slow: two places are enough")
    rows = (1 << 20) // n + 37
    few = logits((41, n), np.dtype(dtype), 3.0, seed=n)
    few[0, 1], few[7], few[8, 3], few[40] = np.nan, -np.inf, np.inf, -np.inf
    few[20] *= 40
    x = np.resize(few, (rows, n))
    wanted = np.resize(function(few), (rows, n))
    memory = np.full(rows * n + 2 * GUARD + 16, 7, dtype)
    start = -memory.ctypes.data % 64 // memory.itemsize + GUARD // 4 * 4 + offset
    out = memory[start : start + rows * n].reshape(rows, n)
    assert function(x, out=out) is out
    assert out.tobytes() == wanted.tobytes()
    assert np.all(memory[:start] == 7)
    assert np.all(memory[start + rows * n :] == 7)
    out[...] = x
    function(out, out=out)  # in place
    assert out.tobytes() == wanted.tobytes()
    assert np.all(memory[:start] == 7)
    assert np.all(memory[start + rows * n :] == 7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [5, 16, 33, 100, 1000, 1008, 4096, 9001])
@pytest.mark.parametrize("offset", [0, 7])
@pytest.mark.parametrize("function", [special.softmax_grad, special.log_softmax_grad, special.logsumexp_grad])
def test_streamed_gradients_at_any_offset(function: Any, offset: int, n: int, dtype: Any, isa: str) -> None:
    if isa == "scalar" and (offset, n) not in ((0, 100), (7, 33)):
        pytest.skip("slow: two places are enough")
    rows = (1 << 20) // n + 37
    few, few_dy = (logits((41, n), np.dtype(dtype), 3.0, seed=seed) for seed in (n, 1))
    few_dy[7, 0], few_dy[40] = np.nan, np.inf
    if function is special.logsumexp_grad:
        few_dy = few_dy[:, 0]
    y, dy = np.resize(few, (rows, n)), np.resize(few_dy, (rows, *few_dy.shape[1:]))
    wanted = np.resize(function(few, dy=few_dy), (rows, n))
    memory = np.full(rows * n + 2 * GUARD + 16, 7, dtype)
    start = -memory.ctypes.data % 64 // memory.itemsize + GUARD // 4 * 4 + offset
    out = memory[start : start + rows * n].reshape(rows, n)
    assert function(y, dy=dy, out=out) is out
    assert out.tobytes() == wanted.tobytes()
    assert np.all(memory[:start] == 7)
    assert np.all(memory[start + rows * n :] == 7)
    out[...] = y
    function(out, dy=dy, out=out)  # in place
    assert out.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [8192, 20000, 3 * 4096 + 5])
def test_terms_of_chunks_far_apart(n: int, dtype: Any, isa: str) -> None:
    """A row's terms are kept relative to their chunk's maximum, where its factor is a normal number."""
    if isa == "scalar" and n != 20000:
        pytest.skip("slow: one length is enough")
    few = logits((40, n), np.dtype(dtype), 3.0, seed=n)
    for i, shift in enumerate((20, 35, 43, 60, 80, 100, 300, 620, 700, 3000, 1e5, 1e30, np.inf)):
        few[i, 4096:8192] -= dtype(shift)
        few[13 + i, :4096] -= dtype(shift)
        few[26 + i, 8100:] -= dtype(shift)
    x = np.resize(few, ((1 << 20) // n + 41, n))
    wanted = np.resize(np.stack([special.softmax(row) for row in few]), x.shape)
    memory = np.zeros(x.size + 16, dtype)
    for offset in (0, 3):
        start = -memory.ctypes.data % 64 // memory.itemsize + offset
        out = memory[start : start + x.size].reshape(x.shape)
        special.softmax(x, out=out)
        assert out.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize(("n", "offset", "first"), [(65552, 0, 0), (65543, 3, 21), (65552, 5, 2**40 + 11)])
def test_streamed_noise(n: int, offset: int, first: int, bits: Any, dtype: Any, isa: str) -> None:
    """The numbers that small calls give, wherever rows and groups of words start."""
    if isa == "scalar" and (n % 16 == 0 or bits == 32):
        pytest.skip("slow: one place is enough")
    rows = (1 << 20) // n + 2
    memory = np.full(rows * n + 2 * GUARD + 16, 7, dtype)
    start = -memory.ctypes.data % 64 // memory.itemsize + GUARD + offset
    out = memory[start : start + rows * n].reshape(rows, n)
    random.exponential((rows, n), rng=1, index_offset=first, bits=bits, dtype=dtype, out=out)
    for r in (0, 1, rows - 1):
        parts = [
            random.exponential(min(5003, n - i), rng=1, streams=r, index_offset=first + i, bits=bits, dtype=dtype)
            for i in range(0, n, 5003)
        ]
        assert out[r].tobytes() == np.concatenate(parts).tobytes()
    assert np.all(memory[:start] == 7)
    assert np.all(memory[start + rows * n :] == 7)

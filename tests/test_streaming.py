"""Results that are written past the caches, wherever their rows start: the bits of small calls, nothing beside them."""

from typing import Any

import numpy as np
import pytest

from sorgum import special
from sorgum._data.inputs import logits

Array = Any
GUARD = 64  # elements


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [32, 64, 100, 256, 1008, 4096])
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

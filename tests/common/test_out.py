"""`out`: what is refused, with the whole message, and results over their own inputs."""

from typing import Any

import numpy as np
import pytest
from cases import placed
from cases.special import ELEMENTWISE, NORMALISED, ROW_FUNCTIONS
from errors import raises

from sorgum import special
from sorgum._data.inputs import logits

pytestmark = pytest.mark.sanitize

FUNCTIONS = ELEMENTWISE | ROW_FUNCTIONS

each = pytest.mark.parametrize("name", FUNCTIONS)
each_row_function = pytest.mark.parametrize("name", ROW_FUNCTIONS)
with_whole_out = pytest.mark.parametrize("name", ELEMENTWISE | NORMALISED)


X = logits((4, 7), np.float32)


def shape_of_result(name: str) -> tuple[int, ...]:
    return (4,) if name == "logsumexp" else (4, 7)


@each
def test_out_of_another_type(name: str) -> None:
    for out, kind in (([0.0] * 7, "list"), ((X,), "tuple"), (memoryview(X.copy()), "memoryview"), (1.0, "float")):
        with raises(TypeError, f"{name}: out must be a numpy array, got {kind}"):
            FUNCTIONS[name](X, out=out)
    masked = np.ma.masked_array(np.zeros(shape_of_result(name), dtype=np.float32))
    with raises(TypeError, f"{name}: out must be a numpy array, got MaskedArray"):
        FUNCTIONS[name](X, out=masked)


@each
def test_out_of_another_dtype(name: str) -> None:
    shape = shape_of_result(name)
    for dtype, text in ((np.float64, "float64"), (np.int64, "int64"), (np.bool_, "bool")):
        with raises(TypeError, f"{name}: out must have dtype float32, got {text}"):
            FUNCTIONS[name](X, out=np.zeros(shape, dtype=dtype))
    with raises(TypeError, f"{name}: out must have dtype float64, got float32"):
        FUNCTIONS[name](X.astype(np.float64), out=np.zeros(shape, dtype=np.float32))
    for dtype in (">f4", np.float16, np.complex64, object, np.int32):
        with raises(TypeError, f"{name}: out must have dtype float32, got {np.dtype(dtype)}"):
            FUNCTIONS[name](X, out=np.zeros(shape, dtype=dtype))


@each
def test_out_of_another_shape(name: str) -> None:
    expected = "(4,)" if name == "logsumexp" else "(4, 7)"
    for shape, text in (((4, 8), "(4, 8)"), ((7,), "(7,)"), ((), "()"), ((1, 4, 7), "(1, 4, 7)"), ((0,), "(0,)")):
        with raises(ValueError, f"{name}: out must have shape {expected}, got {text}"):
            FUNCTIONS[name](X, out=np.zeros(shape, dtype=np.float32))


def test_out_of_logsumexp_with_kept_dimensions() -> None:
    out = np.zeros((4, 1), dtype=np.float32)
    assert special.logsumexp(X, keepdims=True, out=out) is out
    assert np.array_equal(out[:, 0], special.logsumexp(X))
    with raises(ValueError, "logsumexp: out must have shape (4, 1), got (4,)"):
        special.logsumexp(X, keepdims=True, out=np.zeros(4, dtype=np.float32))


@each
def test_read_only_out(name: str) -> None:
    out = np.zeros(shape_of_result(name), dtype=np.float32)
    out.flags.writeable = False
    with raises(ValueError, f"{name}: out must be writable, got a read-only array"):
        FUNCTIONS[name](X, out=out)
    assert not out.any()


@each
def test_out_that_overlaps_itself(name: str) -> None:
    shape = shape_of_result(name)
    strided = np.lib.stride_tricks.as_strided
    memory = np.zeros(100, dtype=np.float32)
    wrong = [strided(memory, shape, (0,) * len(shape)), strided(memory, shape, (2,) * len(shape))]
    if len(shape) == 2:
        wrong += [strided(memory, shape, (0, 4)), strided(memory, shape, (4, 4)), strided(memory, shape, (24, 4))]
    for out in wrong:
        with raises(ValueError, f"{name}: out must not overlap itself, got strides that do"):
            FUNCTIONS[name](X, out=out)
    assert not memory.any()


@with_whole_out
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [7, 1000, 5000])
def test_out_that_overlaps_the_input(name: str, dtype: Any, n: int) -> None:
    """Partly over the input, shifted, reversed or transposed: as if the input were a copy."""
    size = np.dtype(dtype).itemsize
    function = FUNCTIONS[name]
    for shift in (size, -size, 16 * size, n * size, -n * size, 1, 3):
        memory = placed(np.zeros((8 + 2) * n, dtype=dtype), 0)
        start = memory[n:].ctypes.data - memory.ctypes.data
        x = np.ndarray((4, n), dtype, buffer=memory.data, offset=start)
        out = np.ndarray((4, n), dtype, buffer=memory.data, offset=start + shift)
        x[...] = logits((4, n), dtype)
        expected = function(x.copy())
        function(x, out=out)
        assert out.tobytes() == expected.tobytes(), shift
    for view in (lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a.T):
        x = logits((n, n) if n < 2000 else (64, 64), dtype)
        expected = function(x.copy())
        function(x, out=view(x))
        assert np.ascontiguousarray(view(x)).tobytes() == expected.tobytes()


def test_out_of_logsumexp_over_the_input() -> None:
    x = logits((7, 7), np.float64)
    expected = special.logsumexp(x)
    special.logsumexp(x, out=x[:, 3])
    assert np.array_equal(x[:, 3], expected)


@each_row_function
def test_out_over_the_temperature(name: str) -> None:
    x = logits((3, 3, 5), np.float64) if name == "logsumexp" else logits((5, 5), np.float64)
    memory = np.abs(logits(x.shape[:-1] if name == "logsumexp" else x.shape, np.float64)) + 0.5
    temperature = memory.T if name == "logsumexp" else memory[:, 2]
    expected = FUNCTIONS[name](x, temperature=temperature.copy())
    FUNCTIONS[name](x, temperature=temperature, out=memory)
    assert np.array_equal(memory, expected)


def test_out_over_the_mask_and_the_weights() -> None:
    memory = np.zeros(40)
    mask = memory.view(bool)[:40].reshape(4, 10)
    mask[...] = True
    mask[:, 3] = False
    x = logits((4, 10), np.float64)
    expected = special.softmax(x, where=mask.copy())
    assert np.array_equal(special.softmax(x, where=mask, out=memory.reshape(4, 10)), expected)
    weights = np.abs(logits((6, 6), np.float64))
    expected = special.logsumexp(logits((6, 6), np.float64, seed=1), b=weights.copy())
    special.logsumexp(logits((6, 6), np.float64, seed=1), b=weights, out=weights[:, 2])
    assert np.array_equal(weights[:, 2], expected)

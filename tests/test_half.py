"""float16 and bfloat16: computed in float32, rounded once."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from cases import CHUNK, HALVES, ROW_FUNCTIONS, layouts, placed
from numpy.typing import NDArray

from sorgum import special
from sorgum._data.inputs import hashed, logits

Array = NDArray[Any]
each_half = pytest.mark.parametrize("dtype", HALVES.values(), ids=HALVES.keys())
each_function = pytest.mark.parametrize("name", ROW_FUNCTIONS)
SHAPES = ((0,), (3, 0), (6, 1), (40, 7), (300, 64), (37, 1000), (3, CHUNK), (3, CHUNK + 1), (2, 70001), (1, 1100000))


def rounded(x: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(x).astype(dtype)


def assert_same(got: Array, expected: Array) -> None:
    """Assert that type, shape and bits are the same."""
    got = np.asarray(got)
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    assert got.tobytes() == expected.tobytes()


def matrix(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    return logits(shape, np.float32, 4.0, seed=shape[-1]).astype(dtype)


@each_half
@pytest.mark.parametrize("function", [special.exp, special.log])
def test_every_encoding_gives_the_float32_result_rounded(function: Any, dtype: np.dtype[Any]) -> None:
    x = np.arange(65536, dtype=np.uint16).view(dtype)
    expected = rounded(function(x.astype(np.float32)), dtype)
    got = function(x)
    numbers = ~np.isnan(expected)
    assert_same(got[numbers], expected[numbers])
    quiet = {"float16": 0x7E00, "bfloat16": 0x7FC0}[dtype.name]
    assert set(got[~numbers].view(np.uint16)) == {quiet}
    assert_same(np.concatenate([function(part) for part in np.split(x, [5, 21, 1000, 40003])]), got)


@each_half
@each_function
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows_have_the_bits_of_float32_rounded(
    name: str, shape: tuple[int, ...], dtype: np.dtype[Any], isa: str, threads: Callable[[int], None]
) -> None:
    function, x = ROW_FUNCTIONS[name], matrix(shape, dtype)
    mask = (hashed(x.size, 3) % np.uint64(3) != 0).reshape(shape)
    for keywords in ({}, {"temperature": 0.3}, {"where": mask}):
        expected = rounded(function(x.astype(np.float32), **keywords), dtype)
        for count in (1, 3):
            threads(count)
            assert_same(function(x, **keywords), expected)


@each_half
@each_function
def test_layouts_have_the_same_bits(name: str, dtype: np.dtype[Any]) -> None:
    x = matrix((70, 300), dtype)
    function = ROW_FUNCTIONS[name]
    for axis in (0, 1, None):
        expected = rounded(function(x.astype(np.float32), axis=axis), dtype)
        for _, view in layouts(x):
            assert_same(np.ascontiguousarray(function(view, axis=axis)), np.ascontiguousarray(expected))


@each_half
@pytest.mark.parametrize("n", [1, 31, 64, 1000, CHUNK + 5])
def test_out_at_every_offset_leaves_its_surroundings(n: int, dtype: np.dtype[Any]) -> None:
    x = matrix((3, n), dtype)
    expected = special.softmax(x)
    for offset in range(0, 64, 2):
        around = placed(np.full(3 * n + 2, 7, dtype=dtype), offset)
        out = around[1:-1].reshape(3, n)
        assert special.softmax(x, out=out) is out
        assert_same(out, expected)
        assert float(around[0]) == float(around[-1]) == 7.0
    in_place = x.copy()
    assert_same(special.softmax(in_place, out=in_place), expected)


@each_half
def test_large_results_are_the_same_past_the_caches(dtype: np.dtype[Any]) -> None:
    for shape in ((40000, 64), (700, CHUNK), (30, 100003)):
        x = matrix(shape, dtype)
        for out in (placed(np.zeros(shape, dtype=dtype), 0), placed(np.zeros(shape, dtype=dtype), 16)):
            assert_same(special.softmax(x, out=out), rounded(special.softmax(x.astype(np.float32)), dtype))


@each_half
def test_weights_and_signs(dtype: np.dtype[Any]) -> None:
    x, b = matrix((5, 5000), dtype), matrix((5, 5000), dtype)
    for got, expected in zip(
        special.logsumexp(x, b=b, return_sign=True),
        special.logsumexp(x.astype(np.float32), b=b.astype(np.float32), return_sign=True),
        strict=True,
    ):
        assert_same(got, rounded(expected, dtype))


def test_subnormal_and_overflowing_results() -> None:
    x = np.array([0.0, -12.0, -16.0], dtype=np.float16)
    assert 0 < special.softmax(x)[2] < np.finfo(np.float16).smallest_normal
    assert special.exp(np.float16(11.1)) == np.inf
    tiny = special.softmax(np.array([0.0, -90.0], dtype=ml_dtypes.bfloat16))[1]
    assert 0 < float(tiny) < float(ml_dtypes.finfo(ml_dtypes.bfloat16).smallest_normal)


@pytest.mark.parametrize("name", ["float8_e4m3fn", "int4"])
def test_other_types_of_ml_dtypes_are_refused(name: str) -> None:
    x = np.zeros(3, dtype=getattr(ml_dtypes, name))
    with pytest.raises(TypeError, match="softmax: x must be float16, bfloat16, float32"):
        special.softmax(x)


def test_out_must_have_the_same_half_type() -> None:
    x = np.zeros(3, dtype=np.float16)
    with pytest.raises(TypeError, match="softmax: out must have dtype float16, got bfloat16"):
        special.softmax(x, out=np.zeros(3, dtype=ml_dtypes.bfloat16))
    with pytest.raises(TypeError, match="softmax: out must have dtype float16, got float32"):
        special.softmax(x, out=np.zeros(3, dtype=np.float32))

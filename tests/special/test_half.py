"""float16 and bfloat16: computed in float32, rounded once."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from cases import CHUNK, HALVES, layouts, placed
from cases.special import ROW_FUNCTIONS
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


LOGARITHMS = {"log_softmax": special.log_softmax, "logsumexp": special.logsumexp}


@each_half
@pytest.mark.parametrize("name", LOGARITHMS)
def test_logarithms_as_float32(name: str, dtype: np.dtype[Any], isa: str) -> None:
    """The bits of the float32 function, whatever way the rows go; `out` may be float32 without a dtype, too."""
    function = LOGARITHMS[name]
    for shape in ((3,), (40, 5), (70, 64), (9, 1000), (3, CHUNK), (40, CHUNK + 9), (2, 100003)):
        if isa == "scalar" and np.prod(shape) > 100000:
            continue
        x = matrix(shape, dtype)
        wide = x.astype(np.float32)
        mask = (hashed(x.size, 3) % np.uint64(3) != 0).reshape(shape)
        options: list[dict[str, Any]] = [{}, {"temperature": 0.7}, {"where": mask}]
        if len(shape) > 1:
            options += [{"axis": 0}, {"axis": None}, {"temperature": np.linspace(0.5, 2, shape[0])}]
        for keywords in options:
            expected = function(wide, **keywords)
            assert_same(function(x, dtype=np.float32, **keywords), expected)
            assert_same(function(x[..., ::-1], dtype="float32"), function(wide[..., ::-1]))
            if np.ndim(expected):
                out = np.zeros(expected.shape, np.float32)
                for wanted in (None, np.float32):
                    out[...] = 7
                    assert function(x, dtype=wanted, out=out, **keywords) is out
                    assert_same(out, expected)
            assert_same(function(x, dtype=dtype, **keywords), rounded(np.asarray(expected), dtype))


@each_half
def test_weighted_logarithms_as_float32(dtype: np.dtype[Any]) -> None:
    x, b = matrix((5, 5000), dtype), matrix((5, 5000), dtype)
    got = special.logsumexp(x, b=b, return_sign=True, dtype=np.float32)
    expected = special.logsumexp(x.astype(np.float32), b=b.astype(np.float32), return_sign=True)
    for a, e in zip(got, expected, strict=True):
        assert_same(a, e)
    value, sign = special.logsumexp(x, return_sign=True, dtype=np.float32)
    assert_same(value, special.logsumexp(x.astype(np.float32)))
    assert_same(sign, np.ones(5, np.float32))


def test_perplexities_keep_their_digits() -> None:
    """A logarithm near 12 is a multiple of 1/16 in bfloat16, and within 1e-6 in float32."""
    x = matrix((8, 30000), np.dtype(ml_dtypes.bfloat16))
    exact = np.log(np.sum(np.exp(x.astype(np.float64)), axis=-1))
    assert np.max(np.abs(special.logsumexp(x).astype(np.float64) - exact)) > 0.003
    assert np.max(np.abs(special.logsumexp(x, dtype=np.float32) - exact)) < 2e-6


def test_an_out_over_the_logits() -> None:
    memory = np.zeros(2000, np.float16)
    x = memory[:1000]
    x[...] = matrix((1000,), np.dtype(np.float16))
    expected = special.log_softmax(x.astype(np.float32))
    assert_same(special.log_softmax(x, out=memory.view(np.float32)), expected)


@pytest.mark.parametrize(
    ("x", "dtype", "out", "message"),
    [
        ("float16", np.float64, None, "dtype must be float16 or float32, got <class 'numpy.float64'>"),
        ("bfloat16", np.float16, None, "dtype must be bfloat16 or float32, got <class 'numpy.float16'>"),
        ("float32", "float64", None, "dtype must be float32, got 'float64'"),
        ("int64", np.float32, None, "dtype must be float64, got <class 'numpy.float32'>"),
        ("float16", "spam", None, "dtype must be float16 or float32, got 'spam'"),
        ("float16", np.float32, "float16", "out must have dtype float32, got float16"),
        ("float16", np.float16, "float32", "out must have dtype float16, got float32"),
        ("bfloat16", None, "float64", "out must have dtype bfloat16 or float32, got float64"),
        ("float32", None, "float16", "out must have dtype float32, got float16"),
    ],
)
@pytest.mark.parametrize("name", LOGARITHMS)
def test_other_dtypes_are_refused(name: str, x: str, dtype: Any, out: str | None, message: str) -> None:
    array = np.zeros((2, 3), ml_dtypes.bfloat16 if x == "bfloat16" else x)
    shape = (2,) if name == "logsumexp" else (2, 3)
    with pytest.raises(TypeError) as caught:
        LOGARITHMS[name](array, dtype=dtype, out=None if out is None else np.zeros(shape, out))
    assert str(caught.value) == f"{name}: {message}"

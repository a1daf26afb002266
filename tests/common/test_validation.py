"""Hostile input: the right exception with the whole message, or the right answer; never a crash."""

import inspect
import warnings
from typing import Any

import numpy as np
import pytest
from cases.special import ALGORITHMS, ELEMENTWISE, NORMALISED, ROW_FUNCTIONS
from errors import raises

from sorgum import special
from sorgum._data.inputs import logits

pytestmark = pytest.mark.sanitize

FUNCTIONS = ELEMENTWISE | ROW_FUNCTIONS

each = pytest.mark.parametrize("name", FUNCTIONS)
each_elementwise = pytest.mark.parametrize("name", ELEMENTWISE)
each_normalised = pytest.mark.parametrize("name", NORMALISED)
each_row_function = pytest.mark.parametrize("name", ROW_FUNCTIONS)
with_whole_out = pytest.mark.parametrize("name", ELEMENTWISE | NORMALISED)


X = logits((4, 7), np.float32)

# Types of x

TYPES = "float16, bfloat16, float32, float64, bool or integer"
BAD_DTYPES: list[tuple[str, Any]] = [
    ("dtype('>f2')", np.zeros(3, dtype=">f2")),
    (f"{np.dtype(np.longdouble)!r}", np.zeros(3, dtype=np.longdouble)),
    ("dtype('complex64')", np.zeros(3, dtype=np.complex64)),
    ("dtype('complex128')", [1j, 2]),
    ("dtype('O')", np.array([1, None], dtype=object)),
    ("dtype('O')", [10**30, 1]),
    ("dtype('<U1')", ["a", "b"]),
    ("dtype('S1')", np.array([b"a"])),
    ("dtype('<M8[s]')", np.zeros(3, dtype="M8[s]")),
    ("dtype('<m8[s]')", np.zeros(3, dtype="m8[s]")),
    ("dtype([('a', '<f4'), ('b', '<f4')])", np.zeros(3, dtype=[("a", "f4"), ("b", "f4")])),
    ("dtype('V8')", np.zeros(3, dtype="V8")),
    ("dtype('>f4')", np.zeros(3, dtype=">f4")),
    ("dtype('>f8')", np.zeros(3, dtype=">f8")),
    ("dtype('O')", None),
    ("dtype('O')", {}),
]


@each
@pytest.mark.parametrize(("dtype", "x"), BAD_DTYPES, ids=[dtype for dtype, _ in BAD_DTYPES])
def test_dtypes_that_are_refused(name: str, dtype: str, x: Any) -> None:
    with raises(TypeError, f"{name}: x must be {TYPES}, got dtype {dtype}"):
        FUNCTIONS[name](x)


@each
def test_masked_arrays_are_refused(name: str) -> None:
    with raises(TypeError, f"{name}: x must be a plain array (masks go to `where`), got a masked array"):
        FUNCTIONS[name](np.ma.masked_array([1.0, 2.0], mask=[True, False]))


@each
@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint64, ">i4", ">u8"])
def test_integers_become_float64(name: str, dtype: Any) -> None:
    x = (np.arange(12).reshape(3, 4) % 2).astype(dtype)
    result = FUNCTIONS[name](x)
    assert result.dtype == np.float64
    assert result.tobytes() == FUNCTIONS[name](x.astype(np.float64)).tobytes()


@each
def test_lists_and_scalars(name: str) -> None:
    function = FUNCTIONS[name]
    assert np.array_equal(function([[1.0, 2.0], [3, 4]]), function(np.array([[1.0, 2.0], [3.0, 4.0]])))
    for scalar in (0.5, 1, True, np.float64(0.5), np.int8(3), np.array(2.0)):
        result = function(scalar)
        assert isinstance(result, np.float64)
        assert result == function(np.array([float(scalar)]))
    assert isinstance(function(np.float32(0.5)), np.float32)
    assert isinstance(function(np.array(0.5, dtype=np.float32)), np.float32)


@each
def test_ragged_lists_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: x must be an array, got nested sequences that make none$"):
        FUNCTIONS[name]([[1.0], [1.0, 2.0]])


# axis


@each_row_function
def test_axis_out_of_range(name: str) -> None:
    for axis in (2, -3, 100, -100):
        with raises(ValueError, f"{name}: axis must be in [-2, 2), got {axis}"):
            FUNCTIONS[name](X, axis=axis)
    with raises(ValueError, f"{name}: axis must be in [-2, 2), got 5"):
        FUNCTIONS[name](X, axis=(0, 5))
    with raises(ValueError, f"{name}: axis must be in [-1, 1), got 1"):
        FUNCTIONS[name](1.0, axis=1)


@each_row_function
def test_axis_beyond_64_bits(name: str) -> None:
    for axis in (10**30, -(10**30), (0, 2**63)):
        with pytest.raises(ValueError, match=rf"^{name}: axis must be in \[-2, 2\), got "):
            FUNCTIONS[name](X, axis=axis)


@each_row_function
def test_repeated_axis(name: str) -> None:
    for axis, shown in (((0, 0), 0), ((1, -1), -1), ((0, 1, -2), -2)):
        with raises(ValueError, f"{name}: axis must not repeat, got {shown} again"):
            FUNCTIONS[name](X, axis=axis)


@each_row_function
def test_axis_of_another_type(name: str) -> None:
    for axis in ("0", 1.0, [0, 1], (0, 1.0), (None,), b"\0", {0}):
        with raises(TypeError, f"{name}: axis must be an int, a tuple of ints or None, got {axis!r}"):
            FUNCTIONS[name](X, axis=axis)
    assert np.array_equal(FUNCTIONS[name](X, axis=np.int8(-1)), FUNCTIONS[name](X))


@each_row_function
def test_scalars_are_rows_of_one(name: str) -> None:
    expected = {"softmax": 1.0, "log_softmax": 0.0, "logsumexp": 2.5}[name]
    for axis in (-1, 0, None, ()):
        assert FUNCTIONS[name](2.5, axis=axis) == expected
    out = np.zeros(())
    assert FUNCTIONS[name](2.5, out=out) is out
    assert out == expected


@each_row_function
def test_no_axis(name: str) -> None:
    """Every element is a row."""
    expected = {"softmax": np.ones_like(X), "log_softmax": np.zeros_like(X), "logsumexp": X}[name]
    assert np.max(np.abs(FUNCTIONS[name](X, axis=()) - expected)) <= (2.4e-7 if name == "softmax" else 0)


@each
def test_many_dimensions(name: str) -> None:
    for ndim in (16, 32, 64) if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else (16, 32):
        x = logits(8, np.float32).reshape((2, 2, 2) + (1,) * (ndim - 3))
        keywords = {} if name in ELEMENTWISE else {"axis": 2}
        expected = FUNCTIONS[name](x.reshape(2, 2, 2), **keywords)
        assert FUNCTIONS[name](x, **keywords).tobytes() == expected.tobytes()


# temperature


@each_row_function
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (-1.0, "-1.0"),
        (-1, "-1.0"),
        (np.nan, "nan"),
        (np.inf, "inf"),
        (-np.inf, "-inf"),
        ([1.0, 1.0, 0.0, -2.5], "0.0"),
        ([[1.0], [1.0], [1.0], [-2.5]], "-2.5"),
    ],
)
def test_impossible_temperatures(name: str, value: Any, shown: str) -> None:
    with raises(ValueError, f"{name}: temperature must be positive and finite, got {shown}"):
        FUNCTIONS[name](X, temperature=value)


@each_row_function
def test_subnormal_temperatures(name: str) -> None:
    """1 / T would not be finite."""
    for value, shown in ((5e-324, "5e-324"), (1e-310, "1e-310"), ([1.0, 1.0, 1.0, 5e-324], "5e-324")):
        with raises(ValueError, f"{name}: temperature must not be subnormal, got {shown}"):
            FUNCTIONS[name](X, temperature=value)


@each_row_function
def test_temperatures_of_another_shape(name: str) -> None:
    for shape in ((7,), (3,), (1,), (4, 7), (1, 4), (4, 1, 1), (0,)):
        text = str(shape)
        rule = "must be a scalar or have the shape of the rows, (4,)"
        with raises(ValueError, f"{name}: temperature {rule}, got shape {text}"):
            FUNCTIONS[name](X, temperature=np.ones(shape))
    assert np.array_equal(FUNCTIONS[name](X, axis=None, temperature=np.ones((1, 1))), FUNCTIONS[name](X, axis=None))
    with raises(ValueError, f"{name}: temperature must be a scalar or have the shape of the rows, (), got shape (4,)"):
        FUNCTIONS[name](X, axis=None, temperature=np.ones(4))


@each_row_function
def test_temperatures_of_another_type(name: str) -> None:
    for value, dtype in (
        ("1", "dtype('<U1')"),
        (None, "dtype('O')"),
        (1j, "dtype('complex128')"),
        (True, "dtype('bool')"),
    ):
        with raises(TypeError, f"{name}: temperature must be a real number or an array of them, got dtype {dtype}"):
            FUNCTIONS[name](X, temperature=value)
    for value in (2, np.float32(2), np.int8(2), np.array(2.0), np.array(2, dtype=">f8"), np.longdouble(2)):
        assert np.array_equal(FUNCTIONS[name](X, temperature=value), FUNCTIONS[name](X, temperature=2.0))


# where, b, empty, algorithm


@each_row_function
def test_where_of_another_type_or_shape(name: str) -> None:
    for value, dtype in (
        (np.ones((4, 7), dtype=np.int8), "dtype('int8')"),
        (1, "dtype('int64')"),
        ("a", "dtype('<U1')"),
    ):
        with raises(TypeError, f"{name}: where must be boolean, got dtype {dtype}"):
            FUNCTIONS[name](X, where=value)
    for shape, text in (((3,), "(3,)"), ((7, 4), "(7, 4)"), ((1, 4, 7), "(1, 4, 7)"), ((0,), "(0,)")):
        with raises(ValueError, f"{name}: where must broadcast to shape (4, 7), got shape {text}"):
            FUNCTIONS[name](X, where=np.ones(shape, dtype=bool))
    for mask in (True, np.True_, np.ones(7, dtype=bool), [[True]] * 4):
        assert np.array_equal(FUNCTIONS[name](X, where=mask), FUNCTIONS[name](X))


def test_weights_of_another_type() -> None:
    for value, dtype in ((np.ones(7, dtype=complex), "dtype('complex128')"), (["a"], "dtype('<U1')")):
        with raises(TypeError, f"logsumexp: b must be {TYPES}, got dtype {dtype}"):
            special.logsumexp(X, b=value)
    with raises(TypeError, "logsumexp: b must be a plain array (masks go to `where`), got a masked array"):
        special.logsumexp(X, b=np.ma.masked_array([1.0]))


def test_weights_of_another_shape() -> None:
    for shape in ((3,), (7, 4)):
        with raises(ValueError, f"logsumexp: b must broadcast with x, of shape (4, 7), got shape {shape}"):
            special.logsumexp(X, b=np.ones(shape))


def test_flags_of_another_type() -> None:
    p = special.logsumexp_partial(X)
    for value in (None, 1, "True", np.array([True])):
        shown = type(value).__name__
        for flag in ("keepdims", "return_sign"):
            with raises(TypeError, f"logsumexp: {flag} must be a bool, got {shown}"):
                special.logsumexp(X, **{flag: value})  # type: ignore[call-overload]
        with raises(TypeError, f"logsumexp_finish: return_sign must be a bool, got {shown}"):
            special.logsumexp_finish(p, return_sign=value)  # type: ignore[arg-type]
    assert special.logsumexp(X, keepdims=np.True_).shape == (4, 1)  # type: ignore[call-overload]


@each_normalised
def test_unknown_options(name: str) -> None:
    for value in ("", "NaN", "nan ", "0"):
        with raises(ValueError, f"{name}: empty must be 'nan' or 'zero', got '{value}'"):
            FUNCTIONS[name](X, empty=value)
    known = ", ".join(f"'{algorithm}'" for algorithm in ALGORITHMS)
    for value in ("", "fast", "two-pass", "AUTO"):
        with raises(ValueError, f"{name}: algorithm must be one of {known}, got '{value}'"):
            FUNCTIONS[name](X, algorithm=value)


@each_normalised
@pytest.mark.parametrize("option", ["empty", "algorithm"])
def test_options_of_another_type(name: str, option: str) -> None:
    for value in (None, 1, b"nan"):
        with raises(TypeError, f"{name}: {option} must be a string, got {value!r}"):
            FUNCTIONS[name](X, **{option: value})


@each
def test_options_are_keywords(name: str) -> None:
    names = list(inspect.signature(FUNCTIONS[name]).parameters)
    last = "axis" if "axis" in names else "x"
    with raises(TypeError, f"{name}: arguments after {last} must be given by name, got 3 without"):
        FUNCTIONS[name](X, -1, 1.0)
    with raises(TypeError, f"{name}: arguments must be among {', '.join(names)}, got nonsense"):
        FUNCTIONS[name](X, nonsense=np.float64)


# Sizes


@each
def test_empty_arrays(name: str) -> None:
    for shape in ((0,), (0, 5), (5, 0), (2, 0, 3), (0, 0)):
        for dtype in (np.float32, np.float64):
            x = np.zeros(shape, dtype=dtype)
            result = FUNCTIONS[name](x)
            assert result.dtype == dtype
            assert result.shape == (shape[:-1] if name == "logsumexp" else shape)
            if name == "logsumexp":
                assert np.all(np.isneginf(result))
            elif name in NORMALISED:
                for axis in (0, None, tuple(range(len(shape)))):
                    assert FUNCTIONS[name](x, axis=axis).shape == shape


def test_more_than_two_to_the_31_elements() -> None:
    """Without memory, through strides of 0."""
    n = 2**31 + 5
    row = np.broadcast_to(np.float32(1.5), (n,))
    result = special.logsumexp(row)
    assert abs(float(result) - (1.5 + np.log(n))) < 2e-6
    rows = np.broadcast_to(np.float32([[1.5], [-2.0]]), (2, n))
    assert np.abs(special.logsumexp(rows).astype(float) - (np.array([1.5, -2.0]) + np.log(n))).max() < 2e-6


@each
def test_outputs_beyond_all_memory(name: str) -> None:
    x = np.broadcast_to(np.float32(1.0), (2**58, 4) if name == "logsumexp" else (2**60,))
    rows = x.shape[:1]
    with raises(MemoryError, f"{name}: no memory for a result of shape {rows} and dtype float32, {4 * rows[0]} bytes"):
        FUNCTIONS[name](x)


@each_row_function
def test_sizes_beyond_63_bits(name: str) -> None:
    x = np.broadcast_to(np.True_, (2**31, 2**31))  # as float64 more bytes than an address can tell
    with pytest.raises((MemoryError, ValueError)):
        FUNCTIONS[name](x, axis=None)


@each
def test_no_warnings(name: str) -> None:
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        FUNCTIONS[name](np.array([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e300, -1e-310]))
        FUNCTIONS[name](np.array([-1e30, 88.0, -88.0, 1e-42], dtype=np.float32))

"""What softmax, log_softmax and logsumexp mean: special values, empty rows, masks, temperatures, weights.

The values are compared with the reference loosely here; test_accuracy.py has the bounds.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import CHUNK, DTYPES
from cases.special import ALGORITHMS, ROW_FUNCTIONS

from sorgum import reference, special
from sorgum._data.inputs import hashed, logits

Function = Callable[..., Any]
NAN, INF = np.nan, np.inf
CANONICAL = {"f32": b"\0\0\xc0\x7f", "f64": b"\0\0\0\0\0\0\xf8\x7f"}

each_suffix = pytest.mark.parametrize("suffix", DTYPES)
each_name = pytest.mark.parametrize("name", ROW_FUNCTIONS)
each_normalised = pytest.mark.parametrize("name", ["softmax", "log_softmax"])
each_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)
PLACES = (1, 5, 17, 48, 1000, CHUNK, CHUNK + 1, 3 * CHUNK + 7, 200003)  # lengths that take different ways


def assert_close(got: Any, expected: Any) -> None:
    """Equal to the reference to 5 digits, specials alike."""
    assert np.shape(got) == np.shape(expected)
    assert np.allclose(got, expected, rtol=1e-5, atol=1e-30, equal_nan=True)


# Special values


def special_rows(n: int, dtype: Any) -> dict[str, Any]:
    base = logits(n, dtype, 5.0)
    rows = {}
    for at in {0, n // 2, n - 1}:
        for value in (NAN, -NAN, INF, -INF, -0.0, 3e38, -3e38, 1e-45):
            rows[f"{value} at {at}"] = base.copy()
            rows[f"{value} at {at}"][at] = value
    rows["nan and inf"] = np.where(np.arange(n) % 2, INF, NAN).astype(dtype)
    rows["inf and -inf"] = np.where(np.arange(n) % 2, INF, -INF).astype(dtype)
    rows["several inf"] = np.where(np.arange(n) % 3, base, INF).astype(dtype)
    rows["all -inf"] = np.full(n, -INF, dtype=dtype)
    rows["all but the last -inf"] = np.where(np.arange(n) < n - 1, -INF, base).astype(dtype)
    rows["opposite extremes"] = np.where(np.arange(n) % 2, 1, -1).astype(dtype) * np.finfo(dtype).max
    rows["all the largest"] = np.full(n, np.finfo(dtype).max, dtype=dtype)
    rows["all the least"] = np.full(n, -np.finfo(dtype).max, dtype=dtype)
    rows["zeros of both signs"] = np.where(np.arange(n) % 2, 0.0, -0.0).astype(dtype)
    rows["subnormal"] = (np.arange(n) % 7 * np.finfo(dtype).smallest_subnormal).astype(dtype)
    return rows


@each_suffix
@each_name
@pytest.mark.parametrize("n", PLACES)
def test_special_rows(name: str, suffix: str, n: int) -> None:
    function, exact = ROW_FUNCTIONS[name], getattr(reference.special, name)
    wide = np.longdouble if suffix == "f64" else np.float64
    rows = special_rows(n, DTYPES[suffix])
    together = np.stack(list(rows.values()))
    for temperature in (1.0, 0.25):
        batch = function(together, temperature=temperature)
        for (what, row), in_batch in zip(rows.items(), batch, strict=True):
            got = function(row, temperature=temperature)
            with np.errstate(over="ignore"):
                expected = exact(row, temperature=temperature, dtype=wide).astype(DTYPES[suffix])
            assert_close(got, expected)
            assert np.asarray(got).tobytes() == np.asarray(in_batch).tobytes(), what
            nans = np.atleast_1d(got)[np.isnan(np.atleast_1d(got))]
            assert nans.tobytes() == CANONICAL[suffix] * nans.size, f"{what}: a NaN that is not canonical"


@each_suffix
@each_normalised
@pytest.mark.parametrize("n", PLACES)
def test_special_rows_of_every_algorithm(name: str, suffix: str, n: int) -> None:
    for what, row in special_rows(n, DTYPES[suffix]).items():
        with np.errstate(over="ignore"):
            expected = getattr(reference.special, name)(row, empty="zero", dtype=np.longdouble).astype(row.dtype)
        for algorithm in ALGORITHMS:
            got = ROW_FUNCTIONS[name](row, algorithm=algorithm, empty="zero")
            assert np.allclose(got, expected, rtol=1e-4, atol=1e-30, equal_nan=True), f"{what}, {algorithm}"


@each_suffix
@each_name
def test_nan_payloads_do_not_come_out(name: str, suffix: str) -> None:
    dtype = DTYPES[suffix]
    integer = np.uint32 if suffix == "f32" else np.uint64
    payload = np.array([0xFFC12345 if suffix == "f32" else 0xFFF8000012345678], dtype=integer).view(dtype)
    for n in PLACES:
        row = logits(n, dtype)
        row[n // 3] = payload[0]
        got = np.atleast_1d(ROW_FUNCTIONS[name](row))
        assert got.tobytes() == CANONICAL[suffix] * got.size


# Empty rows


@each_suffix
@each_normalised
@each_algorithm
@pytest.mark.parametrize("n", PLACES)
def test_empty_rows(name: str, suffix: str, algorithm: str, n: int) -> None:
    dtype = DTYPES[suffix]
    zero = {"softmax": 0.0, "log_softmax": -INF}[name]
    x = logits((3, n), dtype)
    x[1] = -INF
    mask = np.array([[True], [True], [False]])
    for where, empty_rows in ((None, [1]), (mask, [1, 2])):
        for keywords, value in (({}, NAN), ({"empty": "nan"}, NAN), ({"empty": "zero"}, zero)):
            got = ROW_FUNCTIONS[name](x, where=where, algorithm=algorithm, **keywords)
            for row in empty_rows:
                expected = np.full(n, value, dtype=dtype)
                assert np.array_equal(got[row], expected, equal_nan=True)
                if value is NAN:
                    assert got[row].tobytes() == CANONICAL[suffix] * n
            assert np.all(np.isfinite(got[0]))


def test_empty_rows_of_logsumexp() -> None:
    for n in PLACES:
        x = logits((3, n), np.float32)
        x[1] = -INF
        got, sign = special.logsumexp(x, where=np.array([[True], [True], [False]]), return_sign=True)
        assert np.array_equal(got[1:], [-INF, -INF])
        assert np.array_equal(sign, [1.0, 0.0, 0.0])
    assert special.logsumexp([]) == -INF
    assert special.logsumexp([], return_sign=True) == (-INF, 0.0)
    assert special.logsumexp([], b=[], return_sign=True) == (-INF, 0.0)


# Masks


@each_suffix
@each_name
@pytest.mark.parametrize("n", PLACES)
def test_masks(name: str, suffix: str, n: int) -> None:
    dtype = DTYPES[suffix]
    x = logits((5, n), dtype, 5.0)
    mask = (hashed(5 * n) % np.uint64(4) != 0).reshape(5, n)
    mask[:, 0] = True
    hostile = np.where(mask, x, np.resize(np.array([NAN, INF, -INF, 3e38], dtype=dtype), (5, n)))
    got = ROW_FUNCTIONS[name](hostile, where=mask)
    assert_close(got, getattr(reference.special, name)(hostile, where=mask))
    if name != "logsumexp":
        assert np.all(got[~mask] == {"softmax": 0.0, "log_softmax": -INF}[name])
    # The elements that are present have the values they have alone.
    for row in range(5):
        alone = ROW_FUNCTIONS[name](x[row][mask[row]])
        assert_close(got[row] if name == "logsumexp" else got[row][mask[row]], alone)


@each_name
def test_masks_are_broadcast(name: str) -> None:
    x = logits((3, 4, 5), np.float64)
    for shape in ((5,), (4, 1), (3, 1, 1), (1, 4, 5), ()):
        mask = (hashed(int(np.prod(shape))) % np.uint64(2) == 0).reshape(shape)
        for axis in (-1, 0, (1, 2), None):
            got = ROW_FUNCTIONS[name](x, axis=axis, where=mask)
            assert_close(got, getattr(reference.special, name)(x, axis=axis, where=mask))


# Temperatures


@each_suffix
@each_name
def test_temperatures(name: str, suffix: str) -> None:
    x = logits((4, 3, 50), DTYPES[suffix], 4.0)
    exact = getattr(reference.special, name)
    for temperature in (0.5, 3, np.float32(0.1), 1e3, 1e-3):
        assert_close(ROW_FUNCTIONS[name](x, temperature=temperature), exact(x, temperature=temperature))
    per_row = (hashed(12) % np.uint64(7)).reshape(4, 3) + 0.5
    for axis, shapes in ((-1, [(4, 3), (4, 3, 1)]), ((0, 2), [(3,), (1, 3, 1)]), (None, [(), (1, 1, 1)])):
        for shape in shapes:
            temperature = np.resize(per_row, shape)
            got = ROW_FUNCTIONS[name](x, axis=axis, temperature=temperature)
            assert_close(got, exact(x, axis=axis, temperature=temperature))
    assert_close(ROW_FUNCTIONS[name](x, temperature=per_row, where=x > 0), exact(x, temperature=per_row, where=x > 0))


@each_suffix
@each_normalised
def test_a_power_of_two_as_temperature_is_exact(name: str, suffix: str) -> None:
    x = logits((20, 300), DTYPES[suffix], 4.0)
    for k in (-8, -1, 3, 20):
        scaled = np.ldexp(x, k)
        assert np.array_equal(ROW_FUNCTIONS[name](scaled, temperature=2.0**k), ROW_FUNCTIONS[name](x))


@each_name
def test_extreme_temperatures(name: str) -> None:
    for suffix, dtype in DTYPES.items():
        x = logits((3, 100), dtype)
        for temperature in (2.3e-308, 2.0**-900, 1e-45, 1e-30, 1e30, 1e45, 2.0**900, 1e308, 1.7976931348623157e308):
            got = ROW_FUNCTIONS[name](x, temperature=temperature)
            with np.errstate(over="ignore"):
                expected = getattr(reference.special, name)(x, temperature=temperature, dtype=np.longdouble).astype(
                    dtype
                )
            assert np.allclose(got, expected, rtol=1e-5, atol=1e-30), (suffix, temperature)
            near = (x * min(temperature, 1e30)).astype(dtype)  # so that x / T is moderate
            if temperature > 1e-40:
                got = ROW_FUNCTIONS[name](near, temperature=temperature)
                assert_close(got, getattr(reference.special, name)(near, temperature=temperature))


# Weights


@each_suffix
@pytest.mark.parametrize("n", PLACES)
def test_weights(suffix: str, n: int) -> None:
    dtype = DTYPES[suffix]
    x = logits((4, n), dtype, 5.0)
    b = (hashed(4 * n) % np.uint64(11)).astype(dtype).reshape(4, n) - dtype.type(3)
    exact, exact_sign = reference.special.logsumexp(x, b=b, return_sign=True, dtype=np.longdouble)
    got, sign = special.logsumexp(x, b=b, return_sign=True)
    assert got.dtype == sign.dtype == dtype
    assert np.array_equal(sign, exact_sign)
    assert_close(got, exact)
    assert_close(special.logsumexp(x, b=b), np.where(exact_sign < 0, NAN, exact))
    unsigned = np.abs(b)
    assert_close(special.logsumexp(x, b=unsigned), reference.special.logsumexp(x, b=unsigned))
    assert_close(special.logsumexp(x, b=np.ones(n, dtype=dtype)), special.logsumexp(x))
    got = special.logsumexp(x, b=b[0], where=b > 0, temperature=[1.0, 2.0, 0.5, 7.0])
    expected = reference.special.logsumexp(x, b=b[0], where=b > 0, temperature=[1.0, 2.0, 0.5, 7.0])
    assert_close(got, expected)


@pytest.mark.parametrize(
    ("x", "b", "value", "sign"),
    [
        ([1.0, 10000.0], [1.0, 0.0], 1.0, 1.0),
        ([1.0, NAN], [1.0, 0.0], 1.0, 1.0),
        ([1.0, INF], [1.0, -0.0], 1.0, 1.0),
        ([0.0, 0.0], [1.0, -2.0], 0.0, -1.0),
        ([3.0, 3.0], [1.0, -1.0], -INF, 0.0),
        ([3e4, 3e4, -5.0], [1.0, -1.0, 0.0], -INF, 0.0),
        ([INF, 0.0], [-1.0, 1.0], INF, -1.0),
        ([INF, 0.0], [2.0, 1.0], INF, 1.0),
        ([INF, INF], [1.0, -1.0], NAN, NAN),
        ([INF, NAN], [1.0, 1.0], NAN, NAN),
        ([0.0, 0.0], [INF, 1.0], INF, 1.0),
        ([0.0, 0.0], [-INF, 1.0], INF, -1.0),
        ([0.0, 0.0], [INF, -INF], NAN, NAN),
        ([0.0, 0.0], [NAN, 1.0], NAN, NAN),
        ([0.0, -5.0], [0.0, 0.0], -INF, 0.0),
        ([-INF, -INF], [1.0, 1.0], -INF, 0.0),
    ],
)
def test_special_weights(x: list[float], b: list[float], value: float, sign: float) -> None:
    for dtype in (np.float32, np.float64):
        for pad in (0, 100, 2 * CHUNK):  # elements that are absent
            row = np.array(x + [7.0] * pad, dtype=dtype)
            weights = np.array(b + [0.0] * pad, dtype=dtype)
            got = special.logsumexp(row, b=weights, return_sign=True)
            assert got == pytest.approx((value, sign), rel=1e-6, nan_ok=True)
            expected = NAN if sign < 0 else value
            assert special.logsumexp(row, b=weights) == pytest.approx(expected, rel=1e-6, nan_ok=True)
            assert special.logsumexp(row[::-1], b=weights[::-1], return_sign=True) == pytest.approx(got, nan_ok=True)


def test_sums_that_cancel() -> None:
    """What is left is right: products and sums are formed in float64."""
    x = np.array([5.0, 5.0, 0.0], dtype=np.float32)
    b = np.array([1e6, -1e6, 3.0], dtype=np.float32)
    assert special.logsumexp(x, b=b) == pytest.approx(np.log(3.0), rel=1e-6)
    long = logits(3 * CHUNK, np.float32)
    b = np.concatenate([np.ones(3 * CHUNK, np.float32), -np.ones(3 * CHUNK, np.float32), [1.0]]).astype(np.float32)
    got = special.logsumexp(np.concatenate([long, long, [0.0]]).astype(np.float32), b=b)
    assert abs(got) < 1e-6


def test_types_of_x_and_weights_are_promoted() -> None:
    for a in (np.float32, np.float64, np.int32):
        for b in (np.float32, np.float64, np.int64):
            got = special.logsumexp(np.array([2, 1], dtype=a), b=np.array([1, -1], dtype=b))
            expected = np.result_type(a, b)
            assert got.dtype == (np.float64 if expected.kind in "iu" else expected), (a, b)


@pytest.mark.parametrize("temperature", [1.75e-30, 3e-308, 1e-17])
def test_tiny_temperatures_overflow_to_the_right_side(temperature: float, isa: str) -> None:
    """x / T is infinite there, and the low part of 1 / T is large, and of either sign."""
    for lowest in (-np.inf, -1e300):
        x = np.array([1e-3, lowest])
        assert special.log_softmax(x, temperature=temperature).tolist() == [0.0, -np.inf]
    for dtype, large in ((np.float64, 1e300), (np.float32, 3e38)):
        for x in (large, -large):
            with np.errstate(over="ignore"):
                expected = dtype(np.float64(dtype(x)) / temperature)
            assert special.logsumexp(np.array([x], dtype), temperature=temperature) == expected
    winner = special.log_softmax(np.array([0, -1e30], np.float32), temperature=temperature)[0]
    assert winner == 0
    assert not np.signbit(winner)

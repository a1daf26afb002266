"""The NumPy reference against closed forms, mpmath and SciPy; so that it may judge the kernels."""

import math
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.special

from sorgum import reference
from sorgum._data.inputs import logits

ref = reference.special
NAN, INF = math.nan, math.inf


def test_two_elements_are_a_logistic_function() -> None:
    for d in (0.0, 0.3, -2.0, 36.0, -700.0):
        got = ref.softmax([d, 0.0])
        assert got == pytest.approx([1 / (1 + math.exp(-d)), 1 / (1 + math.exp(d))], rel=1e-14)
        assert ref.log_softmax([d, 0.0]) == pytest.approx([-math.log1p(math.exp(-d)), -d - math.log1p(math.exp(-d))])
        assert ref.logsumexp([d, 0.0]) == pytest.approx(max(d, 0) + math.log1p(math.exp(-abs(d))), rel=1e-14)


def test_equal_elements() -> None:
    for n in (1, 2, 7, 1000):
        assert np.all(ref.softmax(np.full(n, -3.7)) == 1 / n)
        assert np.allclose(ref.log_softmax(np.full(n, 1e300)), -math.log(n), rtol=1e-15)
        assert ref.logsumexp(np.full(n, 2.5)) == pytest.approx(2.5 + math.log(n), rel=1e-15)


def test_a_geometric_series() -> None:
    n, q = 500, 0.875
    x = np.arange(n) * math.log(q)
    total = (1 - q**n) / (1 - q)
    assert np.allclose(ref.softmax(x), q ** np.arange(n) / total, rtol=1e-12)
    assert ref.logsumexp(x) == pytest.approx(math.log(total), rel=1e-14)


def log_of_sum(t: list[Any]) -> Any:
    """Return log(sum exp(t - max t)), exact in relative terms also where one element dominates."""
    terms = sorted(mpmath.exp(v - max(t)) for v in t)
    return mpmath.log1p(mpmath.fsum(terms[:-1]))


@pytest.mark.parametrize("temperature", [1.0, 0.7, 1e-3, 37.5, 1e30, 1e-30])
def test_rows_with_mpmath(temperature: float) -> None:
    eps = float(np.finfo(np.float64).eps)
    with mpmath.workprec(200):
        for scale in (1.0, 20.0, temperature):
            x = logits(30, np.float64, scale, seed=5)
            t = [mpmath.mpf(v) / mpmath.mpf(temperature) for v in x.tolist()]
            m = max(t)
            log_sum = log_of_sum(t)
            soft, log_soft = ref.softmax(x, temperature=temperature), ref.log_softmax(x, temperature=temperature)
            for v, y, log_y in zip(t, soft.tolist(), log_soft.tolist(), strict=True):
                exact = mpmath.exp(v - m - log_sum)
                assert abs(mpmath.mpf(y) - exact) <= exact * (4 + (m - v)) * eps + mpmath.mpf(5e-324)
                # log S of a peaked row is what the next element adds, with the relative error of its exp.
                next_distance = m - sorted(t)[-2]
                limit = (4 + next_distance) * eps * max(m - v, log_sum) + mpmath.mpf(5e-324)
                assert abs(mpmath.mpf(log_y) - (v - m - log_sum)) <= limit
            got = mpmath.mpf(float(ref.logsumexp(x, temperature=temperature)))
            assert abs(got - (m + log_sum)) <= 4 * eps * max(abs(m), log_sum)


def test_extended_precision() -> None:
    if np.finfo(np.longdouble).nmant < 63:
        pytest.skip("long double has less than 64 bits here")
    x = logits(50, np.float64, 5.0)
    got = ref.softmax(x, dtype=np.longdouble)
    assert got.dtype == np.longdouble
    with mpmath.workprec(200):
        total = mpmath.fsum(mpmath.exp(v) for v in x.tolist())
        for v, y in zip(x.tolist(), got, strict=True):
            exact = mpmath.exp(v) / total
            wide = mpmath.mpf(float(y)) + mpmath.mpf(float(y - np.longdouble(float(y))))
            assert abs(wide - exact) <= 40 * mpmath.mpf(2) ** -63 * exact


AXES: list[Any] = [0, 1, 2, -1, (0, 1), (2, 0), (0, 1, 2), None]


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_axes_and_weights_as_in_scipy(axis: Any) -> None:
    x, b = logits((4, 5, 6), np.float64, 4.0), logits((4, 5, 6), np.float64, 4.0, seed=1)
    assert np.allclose(ref.softmax(x, axis), scipy.special.softmax(x, axis), rtol=1e-13)
    assert np.allclose(ref.log_softmax(x, axis), scipy.special.log_softmax(x, axis), rtol=1e-13)
    for keepdims in (False, True):
        got = ref.logsumexp(x, axis, keepdims=keepdims)
        expected = scipy.special.logsumexp(x, axis, keepdims=keepdims)
        assert got.shape == expected.shape
        assert np.allclose(got, expected, rtol=1e-13)
        value, sign = ref.logsumexp(x, axis, keepdims=keepdims, b=b, return_sign=True)
        direct = np.sum(b * np.exp(x), axis=axis, keepdims=keepdims)
        assert np.allclose(value, np.log(np.abs(direct)), rtol=1e-10)
        assert np.array_equal(sign, np.sign(direct))


def test_weights() -> None:
    assert ref.logsumexp([1.0, 10000.0], b=[1, 0]) == 1.0
    assert ref.logsumexp([1.0, NAN], b=[1, 0]) == 1.0
    assert math.isnan(ref.logsumexp([0.0, 0.0], b=[1, -2]))
    for x, b, value, sign in (
        ([0.0, 0.0], [1, -2], 0.0, -1.0),
        ([3.0, 3.0], [1, -1], -INF, 0.0),
        ([INF, 0.0], [-1, 1], INF, -1.0),
        ([INF, 0.0], [2, 1], INF, 1.0),
        ([INF, INF], [1, -1], NAN, NAN),
        ([0.0, 0.0], [INF, 1], INF, 1.0),
        ([0.0, 0.0], [INF, -INF], NAN, NAN),
        ([0.0, 0.0], [NAN, 1], NAN, NAN),
        ([0.0, 0.0], [0, 0], -INF, 0.0),
        ([-INF, -INF], [1, 1], -INF, 0.0),
        ([], [], -INF, 0.0),
        ([0.0, 5000.0], [1e300, 1e-300], 5000 + math.log(1e-300), 1.0),
        (
            [0.0, 1000.0],
            [1e300, 1e-300],
            1000 + math.log(1e-300) + math.log1p(math.exp(600 * math.log(10) - 1000)),
            1.0,
        ),
    ):
        got = ref.logsumexp(x, b=b, return_sign=True)
        assert got == pytest.approx((value, sign), rel=1e-13, nan_ok=True), (x, b)


def test_masks_and_empty_rows() -> None:
    x = np.array([[1.0, NAN, 3.0], [1.0, 2.0, 3.0], [-INF] * 3, [INF, 1.0, 2.0], [NAN, 1.0, INF]])
    where = np.array([[True, False, True], [False] * 3, [True] * 3, [True] * 3, [True] * 3])
    a, b = ref.softmax([1.0, 3.0])
    for empty, value, log_value in (("nan", NAN, NAN), ("zero", 0.0, -INF)):
        expected = [[a, 0.0, b], [value] * 3, [value] * 3, [NAN] * 3, [NAN] * 3]
        assert np.array_equal(ref.softmax(x, where=where, empty=empty), expected, equal_nan=True)
        log_expected = [[math.log(a), -INF, math.log(b)], [log_value] * 3, [log_value] * 3, [NAN] * 3, [NAN] * 3]
        assert np.allclose(ref.log_softmax(x, where=where, empty=empty), log_expected, equal_nan=True)
    expected = [ref.logsumexp([1.0, 3.0]), -INF, -INF, INF, NAN]
    assert np.array_equal(ref.logsumexp(x, where=where), expected, equal_nan=True)
    value, sign = ref.logsumexp(x, where=where, return_sign=True)
    assert np.array_equal(sign, [1.0, 0.0, 0.0, 1.0, NAN], equal_nan=True)


def test_temperatures() -> None:
    x = logits((4, 5), np.float64)
    t = np.array([0.5, 1.0, 2.0, 300.0])
    expected = np.stack([ref.softmax(row / s) for row, s in zip(x, t, strict=True)])
    for temperature in (t, t[:, None]):
        assert np.allclose(ref.softmax(x, temperature=temperature), expected, rtol=1e-14)
        assert np.allclose(ref.softmax(x.T, 0, temperature=temperature.T), expected.T, rtol=1e-14)
    for wrong in (0.0, -1.0, NAN, INF):
        with pytest.raises(ValueError, match="temperature must be positive and finite"):
            ref.softmax(x, temperature=wrong)
    with pytest.raises(ValueError, match="empty must be one of"):
        ref.softmax(x, empty="none")  # type: ignore[arg-type]


def test_differences_that_overflow() -> None:
    big = float(np.finfo(np.float64).max)
    assert ref.softmax([big, -big], temperature=big) == pytest.approx(scipy.special.softmax([1.0, -1.0]), rel=1e-14)
    assert np.array_equal(ref.softmax([big, -big]), [1.0, 0.0])
    assert ref.log_softmax([big, -big], temperature=1e300)[1] == pytest.approx(-2 * (big / 1e300))


def test_shapes_and_scalars() -> None:
    assert ref.softmax(2.0) == 1.0
    assert ref.log_softmax(np.float32(2.0)) == 0.0
    assert ref.logsumexp(2.0) == 2.0
    assert ref.exp([0, 1]).dtype == np.float64
    assert np.array_equal(ref.log([1.0, 0.0, INF]), [0.0, -INF, INF])
    assert ref.softmax(np.zeros((0, 3))).shape == (0, 3)
    assert ref.softmax(np.zeros((3, 0))).shape == (3, 0)
    assert np.array_equal(ref.logsumexp(np.zeros((3, 0))), [-INF] * 3)
    assert ref.logsumexp(np.zeros((0, 3))).shape == (0,)
    assert ref.logsumexp(np.zeros((2, 3)), keepdims=True).shape == (2, 1)

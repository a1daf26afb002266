"""Results that are numbers though what they are made of under- or overflows: weights, temperatures, sums, gradients.

The right values are mpmath's, or known; the units of the bounds are those of docs/numerics.md.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np
import pytest
from cases import CHUNK
from interrupts import ends_within
from numpy.typing import NDArray

from sorgum import _core, random, reference, special

Array = NDArray[Any]
NAN, INF = math.nan, math.inf
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(autouse=True)
def precision() -> Iterator[None]:
    with mpmath.workprec(1300):  # of a sum of 1 and the least subnormal, too
        yield


def exact(numbers: Any) -> list[Any]:
    return [mpmath.mpf(float(x)) for x in np.ravel(numbers)]


def ulps(got: Any, right: Any, size: Any) -> float:
    """The distance in units of the last place of `size`, a number of the type of `got`."""
    unit = np.spacing(np.abs(np.asarray(got).dtype.type(float(size))))
    return float(abs(mpmath.mpf(float(got)) - right) / mpmath.mpf(float(unit)))


# Weights


@pytest.mark.parametrize(
    ("x", "b", "value", "sign"),
    [
        ([0.0], [5e-324], -744.4400719213813, 1),
        ([700.0], [3e-308], -8.09759635349796, 1),
        ([0.0, -735.0], [1e-300, 1e300], -44.22447210178629, 1),
        ([0.0, -720.0], [1e-300, 1e300], -29.224472101786294, 1),
        ([0.0, 0.0], [1.7e308, 1.7e308], 710.4199840737881, 1),
        ([0.0, -1500.0], [5e-324, -1.7e308], -744.4400719213813, 1),
        ([0.0, -1400.0], [5e-324, -1.7e308], -690.2731631067718, -1),
        ([-745.0, -745.0, 0.0], [1e308, 1e308, 1e-320], -35.11064417727398, 1),
    ],
)
def test_weights_of_any_size(x: list[float], b: list[float], value: float, sign: int, isa: str) -> None:
    for pad in (0, 40, 2 * CHUNK):  # absent elements
        row, weights = np.array(x + [9.0] * pad), np.array(b + [0.0] * pad)
        got = special.logsumexp(row, b=weights, return_sign=True)
        assert got == (pytest.approx(value, abs=5e-13), sign)
        merged = special.logsumexp_merge(
            np.stack([special.logsumexp_partial(row[i:][:1], b=weights[i:][:1]) for i in (1, 0)])
            if len(x) == 2
            else special.logsumexp_partial(row[None], b=weights[None])
        )
        assert special.logsumexp_finish(merged, return_sign=True) == (pytest.approx(got[0], abs=5e-13), sign)


def test_small_terms_of_large_weight_in_float32(isa: str) -> None:
    x, b = np.float32([161.95862, 20.435678]), np.float32([6.997705e-36, -7.324522e37])
    assert special.logsumexp(x, b=b, return_sign=True) == (np.float32(107.622555), -1)
    across = special.logsumexp(np.tile(x[:, None], (1, 40)), 0, b=b[:, None], return_sign=True)
    assert (across[0] == np.float32(107.622555)).all()
    assert (across[1] == -1).all()


@each_dtype
def test_bounds_with_weights_of_any_size(dtype: Any, rng: np.random.Generator, isa: str) -> None:
    """Weights between the ends of the range, elements as far apart: value, sign, and gradient."""
    low, high = (-1070, 1000) if dtype == np.float64 else (-145, 120)
    bound, tried = (4 if dtype == np.float64 else 3), 0
    for i in range(60 if isa == "scalar" else 300):
        n, t = int(rng.integers(1, 30)), float(2.0 ** rng.uniform(-3, 3))
        x = (rng.uniform(-1, 0, n) * 10 ** rng.uniform(0, 3.2 if dtype == np.float64 else 2) * t).astype(dtype)
        x += dtype(rng.choice([0, 80, -80]))
        with np.errstate(under="ignore"):
            b = (rng.uniform(0.5, 1, n) * 2.0 ** rng.uniform(low, high, n)).astype(dtype)
        if i % 2:
            b *= rng.choice([-1, 1], n).astype(dtype)
        terms = [w * mpmath.exp(v / t) for v, w in zip(exact(x), exact(b), strict=True)]
        total, sizes = mpmath.fsum(terms), mpmath.fsum(map(abs, terms))
        if not b.all() or total == 0 or sizes / abs(total) > 1e3:
            continue
        tried += 1
        right, m, cancelled = mpmath.log(abs(total)), max(exact(x)) / t, float(sizes / abs(total))
        value, sign = special.logsumexp(x, b=b, temperature=t, return_sign=True)
        assert sign == (1 if total > 0 else -1)
        size = max(abs(m), abs(right - m))
        assert ulps(value, right, size) <= bound + cancelled
        p = special.logsumexp_partial(x, b=b, temperature=t)
        assert special.logsumexp_finish(p, return_sign=True) == (value, sign)
        gradient = special.logsumexp_grad(x, dy=1.0, b=b, temperature=t)
        far = mpmath.fsum(abs(s) * (m - v / t) for s, v in zip(terms, exact(x), strict=True)) / abs(total)
        for got, term, v in zip(gradient, terms, exact(x), strict=True):
            d, log_s = float(m - v / t), float(abs(right - m))
            limit = 5 + 3 * d + 9 * log_s + 2 * cancelled + 3 * float(far)
            if dtype == np.float32:
                limit = 1 + (cancelled + limit) * 2.0**-28
            assert ulps(got, term / total / t, term / total / t) <= limit
    assert tried > 40


@pytest.mark.parametrize(
    ("x", "b", "expected"),
    [
        ([0.0, 0.0], [1e-310, 1e-310], [0.5, 0.5]),
        ([0.0, 0.0], [5e-324, 5e-324], [0.5, 0.5]),
        ([0.0, 0.0], [1.7e308, 1.7e308], [0.5, 0.5]),
        ([0.0, -735.0], [1e-300, 1e300], [1.6086e-281, 1.0]),
        ([0.0, -700.0], [1e100, 1e100], [1.0, 9.859676543759e-305]),
    ],
)
def test_gradients_with_weights_of_any_size(x: list[float], b: list[float], expected: list[float]) -> None:
    assert special.logsumexp_grad(x, dy=1.0, b=b).tolist() == pytest.approx(expected, rel=1e-4)
    across = special.logsumexp_grad(np.transpose([x, x]), dy=[1.0, 2.0], b=np.transpose([b, b]), axis=0)
    assert across.T.tolist() == [pytest.approx(expected, rel=1e-4), pytest.approx(2 * np.array(expected), rel=1e-4)]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_weights_that_are_no_numbers_where_x_is_minus_infinity(dtype: Any) -> None:
    """0 times them is NaN, as in SciPy; under the mask they are absent."""
    for pad in (0, 100, 2 * CHUNK):
        for weight in (NAN, INF, -INF):
            for x in (0.0, -INF):
                row, b = np.array([-INF, x] + [1.0] * pad, dtype), np.array([weight, 1.0] + [0.0] * pad, dtype)
                assert np.isnan(special.logsumexp(row, b=b))
                assert np.isnan(special.logsumexp_finish(special.logsumexp_partial(row, b=b)))
                assert np.isnan(special.logsumexp_grad(row, dy=1.0, b=b)).all()
                assert special.logsumexp(row, b=b, where=np.arange(2 + pad) > 0) == x
    assert special.logsumexp(dtype([-INF, 0.0]), b=dtype([3.0, 1.0])) == 0


def test_the_reference_agrees_on_rows_that_hold_no_numbers() -> None:
    rows = [
        ([-INF, 3.0], [INF, 2.0]),
        ([-INF, 3.0], [NAN, 2.0]),
        ([-INF, -INF], [1.0, 1.0]),
        ([-INF, -INF], [NAN, 1.0]),
        ([0.0, 0.0], [1.0, -1.0]),
        ([0.0, -INF], [1.0, 2.0]),
        ([NAN, 0.0], [0.0, 1.0]),
    ]
    for x, b in rows:
        for dy in (1.0, INF, NAN):
            found = special.logsumexp_grad(x, dy=dy, b=b)
            np.testing.assert_array_equal(found, reference.special.logsumexp_grad(x, dy=dy, b=b))
        np.testing.assert_array_equal(special.logsumexp(x, b=b), reference.special.logsumexp(x, b=b))
    for dy in (INF, NAN):
        for x in ([1.0, -INF], [-INF, -INF]):
            found = special.logsumexp_grad(x, dy=dy)
            np.testing.assert_array_equal(found, reference.special.logsumexp_grad(x, dy=dy))


# Temperatures and differences


def test_differences_that_overflow() -> None:
    x = np.array([1e308, -1e308])
    for shape in ((), (1,), (3,), (40,)):
        rows = np.broadcast_to(x, (*shape, 2))
        got = special.log_softmax(rows, temperature=1e308)
        assert np.all(np.abs(got - [-0.12692801104297, -2.12692801104297]) < 1e-14)
        assert special.log_softmax(rows, temperature=2.0).reshape(-1, 2)[0].tolist() == [0, -1e308]
        across = special.log_softmax(rows.T, axis=0, temperature=1e308)
        assert across.T.tobytes() == got.tobytes()
        gradient = special.logsumexp_grad(rows, dy=1.0, temperature=1e308, b=[1.0, 1.0])
        assert np.allclose(gradient, [8.807970779778824e-309, 1.192029220221176e-309], rtol=1e-14, atol=0)
        assert np.allclose(special.logsumexp_grad(rows, dy=1.0, temperature=1e308), gradient, rtol=1e-14, atol=0)
    assert special.log_softmax(x, temperature=1e-300).tolist() == [0, -INF]
    assert special.log_softmax([1e308, -INF, 1e308], temperature=3.0)[1] == -INF
    assert special.log_softmax([1e300, -1.79e308], temperature=1.79e308)[1] == pytest.approx(-1.3132616875182228)


WAYS: dict[str, Callable[..., Any]] = {
    "a row": lambda f, x, t: f(x, temperature=t),
    "rows": lambda f, x, t: f(np.tile(x, (40, 1)), temperature=t)[7],
    "columns": lambda f, x, t: f(np.tile(x[:, None], (1, 20)), axis=0, temperature=t)[..., 3],
    "a temperature per row": lambda f, x, t: f(np.tile(x, (5, 1)), temperature=[1.0, 1.0, t, t, 2.0])[2],
    "a mask": lambda f, x, t: f(x, temperature=t, where=np.ones(x.size, bool)),
    "parts": lambda f, x, t: f(np.concatenate([x, np.full(CHUNK, -INF)]), temperature=t)[..., : x.size],
}


@pytest.mark.parametrize("way", WAYS)
def test_temperatures_whose_reciprocals_are_subnormal(way: str, rng: np.random.Generator) -> None:
    for i in range(120):
        t = 1.797e308 if i % 4 == 0 else 2.0 ** rng.uniform(940, 1023.9)
        n = int(rng.integers(1, 30)) if i % 3 else 1
        x = rng.uniform(-1, 1, n) * (1.797e308 if i % 5 < 3 else t if i % 5 == 3 else 40.0)
        q = [v / mpmath.mpf(t) for v in exact(x)]
        m = max(q)
        terms = [mpmath.exp(v - m) for v in q]
        total = mpmath.fsum(terms)
        log_s = mpmath.log(total)
        for got, term in zip(WAYS[way](special.softmax, x, t), terms, strict=True):
            assert ulps(got, term / total, term / total) <= 4
        for got, v in zip(WAYS[way](special.log_softmax, x, t), q, strict=True):
            assert ulps(got, v - m - log_s, max(m - v, log_s)) <= 5
        if way != "parts":
            assert ulps(WAYS[way](special.logsumexp, x, t), m + log_s, max(abs(m), log_s)) <= 4


# Gradients


def test_subnormal_products_before_a_small_temperature_by_hand(isa: str) -> None:
    cases: list[tuple[str, list[float], list[float], float, int, float]] = [
        ("softmax_grad", [1, 3.7787437e-31], [0, 3.8944766e-14], 2.0**-20, 1, 1.5431084e-38),
        ("softmax_grad", [1, 3.7787437e-31], [0, 3.8944766e-14], 2.0**-20, 0, -1.5431084e-38),
        ("softmax_grad", [1, 6.8038104e-29], [0, 3.1750778e-12], 0.01, 1, 2.1602627e-38),
        ("log_softmax_grad", [0, -81.5221], [4.8020903e-09, 0], 2.0**-20, 1, -1.9834946e-38),
    ]
    for name, y, dy, t, at, expected in cases:
        grad = getattr(special, name)
        a, g = np.float32(y), np.float32(dy)
        mask = np.array([True, True, False])
        found = [
            grad(a, dy=g, temperature=t),
            grad(np.tile(a, (30, 1)), dy=np.tile(g, (30, 1)), temperature=t)[17],
            grad(np.tile(a[:, None], 30), dy=np.tile(g[:, None], 30), axis=0, temperature=t)[:, 3],
            grad(np.float32([*y, 1]), dy=np.float32([*dy, 1]), temperature=t, where=mask)[:2],
            grad(np.append(a, np.zeros(CHUNK, np.float32)), dy=np.append(g, np.zeros(CHUNK, np.float32)),
                 temperature=t)[:2],
        ]  # fmt: skip
        for result in found if name == "softmax_grad" else found[:4]:
            assert abs(result[at] - np.float64(expected)) <= 3e-45


@each_dtype
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_subnormal_products_before_a_small_temperature(name: str, dtype: Any, rng: np.random.Generator) -> None:
    least = -126 if dtype == np.float32 else -1022
    for i in range(300):
        t = 2.0 ** -rng.uniform(0, 40 if i % 2 else 300)
        n = int(rng.integers(2, 20))
        y = np.append(1, 2.0 ** rng.uniform(least * 0.9, -1, n - 1)).astype(dtype)
        if name == "log_softmax":
            y = np.log(y)
        dy = (rng.normal(0, 1, n) * 2.0 ** rng.uniform(least * 0.6, 2, n)).astype(dtype)
        dy[0] *= i % 3 > 0
        p = exact(y) if name == "softmax" else list(map(mpmath.exp, exact(y)))
        g = exact(dy)
        terms = [u * v for u, v in zip(p, g, strict=True)] if name == "softmax" else g
        total, size = mpmath.fsum(terms), mpmath.fsum(map(abs, terms))
        for got, u, v in zip(getattr(special, name + "_grad")(y, dy=dy, temperature=t), p, g, strict=True):
            right = (v - total) * u / t if name == "softmax" else (v - u * total) / t
            if abs(right) > np.finfo(dtype).max:
                continue
            limit = mpmath.mpf(2) ** (-43 if dtype == np.float32 else -51) * u * size / t
            if name == "log_softmax":
                limit += mpmath.mpf(float(np.spacing(dtype(float(u))))) * abs(total) / t
            elif dtype == np.float64:
                limit += n * mpmath.mpf(2) ** -1075 * u / t
            unit = mpmath.mpf(float(np.spacing(np.abs(dtype(float(right))))))
            assert abs(mpmath.mpf(float(got)) - right) <= 3 * unit + limit


def test_subnormal_products_of_relaxed_draws() -> None:
    for t in (2.0**-20, 1e-3, 0.3):
        x = np.tile(np.array([0.0, -690.0, -660.0]) * t, (200, 1))
        place: dict[str, Any] = {"rng": 3, "temperature": t}
        y = random.gumbel_softmax(x, **place)
        dy = np.tile([0.0, 1e-9, -1e-9], (200, 1))
        got = random.gumbel_softmax_grad(x, dy=dy, **place)
        right = np.longdouble(y) * (dy - np.sum(np.longdouble(y) * dy, axis=-1, keepdims=True)) / np.longdouble(t)
        assert np.any((y * np.abs(dy) < 1e-310) & (y > 1e-307))
        limit = 2.0**-50 * (np.abs(right) + np.longdouble(y) * np.sum(y * np.abs(dy), axis=-1, keepdims=True) / t)
        of_sum = np.longdouble(5e-324) * y / t  # its products are float64
        assert np.all(np.abs(got - right) <= limit + of_sum + np.longdouble(1e-323))


def test_cancelling_gradients_at_tiny_temperatures_stay_numbers() -> None:
    """What would bring digits back must not overflow where none were lost."""
    half = np.array([0.5, 0.5])
    for t in (1e-5, 1e-100, 1e-300):
        assert special.log_softmax_grad(np.log(half), dy=[1e307, 1e307], temperature=t).tolist() == [0, 0]
        assert special.softmax_grad(half, dy=[1e307, 1e307], temperature=t).tolist() == [0, 0]
        assert special.softmax_grad(half, dy=[-1e307, 1e307], temperature=t).tolist() == [-INF, INF]
    got = special.softmax_grad(np.float32([0.5, 0.5]), dy=np.float32([-1.7e38, 1.7e38]), temperature=0.5)
    assert got.tolist() == np.float32([-1.7e38, 1.7e38]).tolist()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_absent_has_no_gradient_whatever_dy_is(dtype: Any, isa: str) -> None:
    for n in (3, 40, 1000, CHUNK + 7):
        x, mask = np.resize(dtype([1, 2, 3]), n), np.arange(n) % 3 != 1
        hidden = np.where(mask, x, dtype(-INF))
        for dy in (INF, -INF, NAN):
            for rows in (1, 30):
                xs, g = np.tile(x, (rows, 1)), np.full(rows, dy, dtype)
                found = [
                    special.logsumexp_grad(xs, dy=g, where=mask),
                    special.logsumexp_grad(xs.T, dy=g, axis=0, where=mask[:, None]).T,
                    special.logsumexp_grad(np.tile(hidden, (rows, 1)), dy=g),
                    special.logsumexp_grad(xs, dy=g, where=mask, temperature=0.3),
                    special.logsumexp_grad(xs, dy=g, where=mask, b=np.ones(n, dtype)),
                ]
                for gradient in found:
                    assert np.all(gradient[:, ~mask] == 0)
                    np.testing.assert_array_equal(gradient[:, mask], np.full((rows, mask.sum()), dy, dtype))
                empty = special.logsumexp_grad(xs, dy=g, where=np.zeros(n, bool))
                assert np.all(empty == 0)
                assert np.all(special.logsumexp_grad(xs, dy=g, where=False if n < 0 else np.zeros(n, bool), b=1.0) == 0)


# Signalling NaN, more axes than NumPy's iterators have, integers beyond float64


def test_casts_of_a_signalling_nan_do_not_warn() -> None:
    s = np.array([0x7FA00001, 0x3F800000], np.uint32).view(np.float32)
    half = np.array([0x7D01, 0x3C00], np.uint16).view(np.float16)
    with np.errstate(all="raise"):
        for x in (s, half):
            for result in (
                special.logsumexp_grad(x, dy=1.0, b=1.0),
                special.logsumexp(x, b=np.float64([1, 2])),
                special.logsumexp_grad(x, dy=np.float64(1)),
                special.softmax_grad(x, dy=np.float64([1, 2]))[0],
                special.softmax_grad(np.float64([1, 2]), dy=x),
                special.logsumexp_finish(special.logsumexp_partial(x, b=np.float64([1, 2]))),
                special.logsumexp_grad(half, dy=x[0], b=x),
            ):
                assert np.isnan(result).all()


def test_more_than_32_axes() -> None:
    shape = (1,) * 38 + (3, 2)
    y = np.arange(6.0).reshape(shape)
    flat, b = y.reshape(3, 2), np.array([1.0, -2.0])
    value, sign = special.logsumexp(y, b=b, return_sign=True)
    assert value.tobytes() == special.logsumexp(flat, b=b, return_sign=True)[0].tobytes()
    assert value.shape == sign.shape == shape[:-1]
    assert special.logsumexp(y, b=np.ones((2, *shape[1:]))).shape == (2, *shape[1:-1])
    p = special.logsumexp_partial(y, b=b)
    assert special.logsumexp_finish(p, return_sign=True)[0].tobytes() == value.tobytes()
    assert special.logsumexp_finish(special.logsumexp_merge(p)).shape == shape[1:-1]
    for keywords in ({}, {"b": b}, {"b": y}, {"b": y, "where": y > 1}):
        got = special.logsumexp_grad(y, dy=2.0, **keywords)
        small = {name: a.reshape(3, 2) if a.ndim > 1 else a for name, a in keywords.items()}
        assert got.shape == shape
        assert got.tobytes() == special.logsumexp_grad(flat, dy=2.0, **small).tobytes()


def test_integers_are_rounded_to_float64() -> None:
    assert special.softmax(np.array([2**53 + 1, 2**53])).tolist() == [0.5, 0.5]  # as the documents say
    assert special.softmax(np.array([2**53 + 2, 2**53])).tolist() == pytest.approx(special.softmax([2.0, 0.0]))


def test_ctrl_c_ends_the_merge_of_one_row() -> None:
    words = special.logsumexp_partial(np.float32([[0.0, 1.0]])).view(np.int64)
    parts = np.broadcast_to(words, (1 << 33, words.size))  # many minutes of work, no memory
    assert ends_within(0.1, lambda: _core.special.logsumexp_merge(parts, np.zeros_like(words)))

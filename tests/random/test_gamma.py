"""Gamma and Dirichlet numbers: the method's own numbers, laws from the smallest shape parameters to the largest, bits.

Seeds are fixed, and each limit is computed for a false alarm of 1e-9.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import with_strides
from scipy import special as scipy_special
from scipy import stats

from sorgum import random, reference, special
from sorgum._data.inputs import logits

Array = Any
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
FALSE_ALARM = 1e-9


def distance(x: Array, cdf: Callable[[Array], Array]) -> float:
    """Kolmogorov and Smirnov's."""
    f, n = cdf(np.sort(x)), x.size
    return float(max(np.max(np.arange(1, n + 1) / n - f), np.max(f - np.arange(n) / n)))


def test_is_the_method_of_marsaglia_and_tsang(isa: str) -> None:
    """The reference takes the same words; NumPy's logarithms differ in the last digits, acceptance nowhere here."""
    for n, offset in ((1, 0), (17, 0), (300, 2**32 - 7)):
        a = np.exp(logits((3, n), np.float64, 3.0, seed=n))
        place: dict[str, Any] = {"streams": [2**63, 0, 7], "position": [3, 2**40, 5], "index_offset": offset}
        found = random.gamma(a, rng=n, log=True, dtype=np.float64, **place)
        expected = reference.random.gamma(a, n, **place)
        assert np.max(np.abs(found - expected) / np.maximum(1, np.abs(expected))) < 1e-12
        plain = random.gamma(a, rng=n, dtype=np.float64, **place)
        normal = expected > -600
        assert np.max(np.abs(plain[normal] / np.exp(expected[normal]) - 1)) < 1e-12
        single = random.gamma(a, rng=n, log=True, **place)
        assert single.dtype == np.float32
        assert single.tobytes() == found.astype(np.float32).tobytes()


@pytest.mark.parametrize("a", [0.05, 0.5, 1.0, 1.5, 3.0, 40.0, 1e4])
def test_law(a: float) -> None:
    n = 100000
    x = random.gamma(np.full((5, n // 5), a), rng=11, dtype=np.float64).ravel()
    limit = stats.kstwo.isf(FALSE_ALARM, n)
    assert distance(x, lambda t: scipy_special.gammainc(a, t)) < limit
    assert distance(x, lambda t: scipy_special.gammainc(a * 1.1 + 0.02, t)) > limit
    assert np.all(x > 0)


def test_law_of_the_smallest(isa: str) -> None:
    """a log(x) tends to -Exponential(1) as a falls; nothing is lost on the way."""
    for a in (1e-3, 1e-10, 2.0**-1000):
        x = random.gamma(np.full(20000, a), rng=12, log=True, dtype=np.float64)
        assert np.all(np.isfinite(x))
        bound = stats.kstwo.isf(FALSE_ALARM, x.size) + 2 * a  # P(x < t) = t^a / Gamma(a + 1) for small t
        assert distance(-a * x, lambda t: -np.expm1(-t)) < bound
        assert distance(-2 * a * x, lambda t: -np.expm1(-t)) > bound


def test_logarithms_beyond_float32_are_minus_infinity() -> None:
    """Without warnings, which pytest makes errors: the same numbers as in float64, rounded."""
    for a in (1e-36, 1e-39, 1e-300):
        wide = random.gamma(np.full(500, a), rng=1, log=True, dtype=np.float64)
        with np.errstate(over="ignore"):
            rounded = wide.astype(np.float32)
        assert np.array_equal(random.gamma(np.full(500, a), rng=1, log=True), rounded)
        assert np.isfinite(rounded).all() == (a == 1e-36)
        logs, points = (random.dirichlet(np.full(500, a), rng=1, log=log) for log in (True, False))
        assert logs.max() == 0
        assert points.max() == 1
        assert np.isfinite(logs).all() == (a == 1e-36)


def test_law_of_the_largest() -> None:
    """(x - a) / sqrt(a) tends to a normal number; log x keeps its digits."""
    for a in (1e8, 1e12):
        x = random.gamma(np.full(50000, a), rng=13, dtype=np.float64)
        assert distance((x - a) / np.sqrt(a), stats.norm.cdf) < stats.kstwo.isf(FALSE_ALARM, x.size) + 1 / np.sqrt(a)
    assert np.allclose(random.gamma(np.full(9, 2.0**1000), rng=1, log=True, dtype=np.float64), 1000 * np.log(2))


def test_neighbours_are_unrelated() -> None:
    n = 1 << 16
    a = np.full(n, 2.0)
    base = random.gamma(a, rng=4, dtype=np.float64) - 2
    limit = stats.norm.isf(FALSE_ALARM / 2) * 2 / np.sqrt(n) * 1.2
    for other in (
        random.gamma(a, rng=4, dtype=np.float64, position=1) - 2,
        random.gamma(a, rng=4, dtype=np.float64, streams=1) - 2,
        random.gamma(a, rng=5, dtype=np.float64) - 2,
        np.roll(base, 1),
    ):
        assert abs(np.mean(base * other)) < limit
    assert np.mean(base * base) > limit


@each_dtype
def test_the_same_number_wherever_it_is_drawn(dtype: Any, isa: str, threads: Callable[[int], None]) -> None:
    a = np.exp(logits((5, 1000), np.float64, 2.0))
    whole = random.gamma(a, rng=8, dtype=dtype, streams=np.arange(5) + 3, position=9)
    for start, stop in ((0, 1), (3, 20), (15, 17), (999, 1000), (5, 5)):
        place: dict[str, Any] = {"streams": np.arange(5) + 3, "position": 9, "index_offset": start}
        assert random.gamma(a[:, start:stop], rng=8, dtype=dtype, **place).tobytes() == whole[:, start:stop].tobytes()
    for view in (np.asfortranarray(a), with_strides(a, (1, 0), (-2, 3))):
        assert random.gamma(view, rng=8, dtype=dtype, streams=np.arange(5) + 3, position=9).tobytes() == whole.tobytes()
    out = with_strides(np.zeros_like(whole), (1, 0), (2, 1))
    assert random.gamma(a, rng=8, dtype=dtype, streams=np.arange(5) + 3, position=9, out=out) is out
    assert out.tobytes() == whole.tobytes()
    big = np.broadcast_to(a[:1, :1], (3, 70001))
    threads(1)
    expected = random.gamma(big, rng=8, dtype=dtype).tobytes()
    threads(3)
    assert random.gamma(big, rng=8, dtype=dtype).tobytes() == expected
    assert isinstance(random.gamma(2.0, rng=1), np.float32)
    assert random.gamma(np.zeros((3, 0)), rng=1).shape == (3, 0)


# Dirichlet


@each_dtype
def test_rows_of_the_simplex(dtype: Any, isa: str) -> None:
    a = np.exp(logits((40, 9), np.float64, 3.0))
    x = random.dirichlet(a, rng=3, dtype=dtype)
    assert x.dtype == dtype
    assert np.allclose(x.sum(-1), 1, atol=1e-6)
    logs = random.gamma(a, rng=3, log=True, dtype=np.float64)
    assert x.tobytes() == special.softmax(logs).astype(dtype).tobytes()
    assert (
        random.dirichlet(a, rng=3, log=True, dtype=dtype).tobytes() == special.log_softmax(logs).astype(dtype).tobytes()
    )
    across = random.dirichlet(a.T, rng=3, axis=0, dtype=dtype)
    assert across.T.copy().tobytes() == x.tobytes()
    tiny = random.dirichlet(np.full((2000, 4), 1e-200), rng=4, dtype=dtype)
    assert np.array_equal(np.sort(tiny, axis=-1), np.tile([0, 0, 0, 1], (2000, 1)))
    counts = tiny.sum(0)
    assert np.sum((counts - 500) ** 2 / 500) < stats.chi2.isf(FALSE_ALARM, 3)


def test_moments_of_dirichlet() -> None:
    p = np.array([0.5, 0.3, 0.15, 0.05])
    for total in (0.3, 4.0, 100.0):
        x = random.dirichlet(np.broadcast_to(total * p, (60000, 4)), rng=5, dtype=np.float64)
        deviation = np.sqrt(p * (1 - p) / (total + 1))
        assert np.all(np.abs(x.mean(0) - p) < 6.1 * deviation / np.sqrt(60000))
        assert np.allclose(x.std(0), deviation, rtol=0.05)
        assert np.all(stats.kstest(x[:, 0], stats.beta(total * p[0], total * (1 - p[0])).cdf).pvalue > FALSE_ALARM)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: random.gamma(1.0, rng=None),
            TypeError,
            "gamma: rng must be a Key, an int seed or a numpy Generator, got NoneType",
        ),
        (
            lambda: random.gamma(0.0, rng=1),
            ValueError,
            "gamma: concentration must be in [2**-1000, 2**1000], got 0.0",
        ),
        (
            lambda: random.gamma([1.0, np.nan], rng=1),
            ValueError,
            "gamma: concentration must be in [2**-1000, 2**1000], got nan",
        ),
        (
            lambda: random.gamma("1", rng=1),
            TypeError,
            "gamma: concentration must be a real number or an array of them, got dtype dtype('<U1')",
        ),
        (
            lambda: random.gamma(1.0, rng=1, dtype=np.float16),
            TypeError,
            "gamma: dtype must be float32 or float64, got dtype('float16')",
        ),
        (
            lambda: random.gamma([1.0, 2.0], rng=1, out=np.zeros(3, np.float32)),
            ValueError,
            "gamma: out must have shape (2,), got (3,)",
        ),
        (
            lambda: random.gamma(np.ones((2, 3)), rng=1, streams=[1]),
            ValueError,
            "gamma: streams must be a scalar or have the shape of the rows, (2,), got shape (1,)",
        ),
        (
            lambda: random.dirichlet(1.0, rng=1),
            ValueError,
            "dirichlet: concentration must have at least one axis, got a scalar",
        ),
        (
            lambda: random.dirichlet([1.0, -1.0], rng=1),
            ValueError,
            "dirichlet: concentration must be in [2**-1000, 2**1000], got -1.0",
        ),
        (lambda: random.dirichlet([1.0], rng=1, axis=1), ValueError, "dirichlet: axis must be in [-1, 1), got 1"),
        (lambda: random.dirichlet([1.0], rng=1, axis=0.0), TypeError, "dirichlet: axis must be an int, got 0.0"),
    ],
)
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message

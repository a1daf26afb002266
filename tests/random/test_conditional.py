"""Gumbel numbers given a bound or their largest: laws, the tree against the flat row, bits, refusals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

import sorgum as sg
from sorgum import random, special
from sorgum._data.inputs import logits

Array = Any
FALSE_ALARM = 1e-9
X = np.array([0.0, 1.0, -1.0, 0.5, -2.0, 2.0])


def test_truncated_law() -> None:
    """P(X <= t | X <= T) = F(t) / F(T), near the mode and far in both tails."""
    n = 100000
    for location, upper in ((0.0, 0.3), (2.0, -1.0), (-30.0, 5.0), (1000.0, 990.0)):
        x = random.truncated_gumbel(np.full(n, location), upper, rng=1)
        assert np.all(x <= upper)

        def cdf(t: Array, location: float = location, upper: float = upper) -> Array:
            return np.exp(np.exp(location - upper) - np.exp(location - t))

        assert stats.kstest(x, cdf).pvalue > FALSE_ALARM
        assert stats.kstest(np.minimum(x + 0.05, upper) if location > -30 else x + 0.1, cdf).pvalue < FALSE_ALARM


def test_no_bound_is_the_number_itself(isa: str) -> None:
    g = random.gumbel((3, 50), rng=4, dtype=np.float64)
    free = random.truncated_gumbel(np.zeros((3, 50)), np.inf, rng=4)
    assert np.allclose(free, g, rtol=1e-15, atol=1e-15)
    assert random.truncated_gumbel(np.array([-np.inf, 0.0]), 3.0, rng=1)[0] == -np.inf
    assert np.all(random.truncated_gumbel(np.zeros(5), -np.inf, rng=1) == -np.inf)
    assert np.all(random.truncated_gumbel(np.zeros(100), -1e300, rng=1) == -1e300)
    assert np.ndim(random.truncated_gumbel(0.0, 1.0, rng=1)) == 0


@pytest.mark.parametrize("maximum", [-3.0, 0.0, 2.5, 40.0, -1e6, 1e6])
def test_the_largest_is_what_it_must_be(maximum: float, isa: str) -> None:
    for n in (1, 2, 70, 3000):
        x = logits((20, n), np.float64, 3.0, seed=n)
        x[3, :: max(2, n // 3)] = -np.inf
        found = random.gumbel_given_max(x, maximum, rng=n)
        assert np.all(np.isfinite(found) == np.isfinite(x))
        assert np.all(found.max(-1)[np.isfinite(x).any(-1)] == maximum)
        if maximum > -100:  # else the others are nearer to it than two numbers can be
            assert np.all((found == maximum).sum(-1)[np.isfinite(x).any(-1)] == 1)


def test_law_given_the_largest() -> None:
    """The index of the largest has the law softmax(x); the others are truncated Gumbel numbers."""
    n, maximum = 60000, 1.2
    found = random.gumbel_given_max(np.broadcast_to(X, (n, X.size)), maximum, rng=7)
    p = special.softmax(X)
    counts = np.bincount(found.argmax(-1), minlength=X.size)
    assert np.sum((counts - n * p) ** 2 / (n * p)) < stats.chi2.isf(FALSE_ALARM, X.size - 1)
    assert np.sum((counts - n / 6) ** 2 / (n / 6)) > stats.chi2.isf(FALSE_ALARM, X.size - 1)
    for i, x in enumerate(X):
        others = found[found.argmax(-1) != i, i]

        def cdf(t: Array, x: float = x) -> Array:
            return np.exp(np.exp(x - maximum) - np.exp(x - t))

        assert stats.kstest(others, cdf).pvalue > FALSE_ALARM
        assert stats.kstest(np.minimum(others + 0.1, maximum), cdf).pvalue < FALSE_ALARM


def test_a_tree_has_the_law_of_the_row() -> None:
    """Root, parts, leaves: the leaves are independent Gumbel numbers around x; the largest comes first."""
    n = 40000
    parts = X.reshape(2, 3)
    root = special.logsumexp(X) + random.gumbel(n, rng=1, dtype=np.float64)
    tops = random.gumbel_given_max(np.broadcast_to(special.logsumexp(parts), (n, 2)), root, rng=2)
    leaves = random.gumbel_given_max(np.broadcast_to(parts, (n, 2, 3)), tops, rng=3).reshape(n, 6)
    assert np.array_equal(leaves.max(-1), root)
    noise = leaves - X
    for i in range(6):
        assert stats.kstest(noise[:, i], stats.gumbel_r.cdf).pvalue > FALSE_ALARM
        assert stats.kstest(noise[:, i] + 0.05, stats.gumbel_r.cdf).pvalue < FALSE_ALARM
    correlation = np.corrcoef(noise.T)[np.triu_indices(6, 1)]
    assert np.max(np.abs(correlation)) < stats.norm.isf(FALSE_ALARM) / np.sqrt(n)
    assert np.max(np.abs(np.corrcoef(leaves[:, 5], root)[0, 1])) > 0.5


def test_rows_layouts_and_places(isa: str) -> None:
    x = logits((4, 5, 30), np.float64, 2.0)
    top = np.linspace(-1, 3, 20).reshape(4, 5)
    whole = random.gumbel_given_max(x, top, rng=5, streams=np.arange(20).reshape(4, 5) + 9, position=2)
    for i, j in ((0, 0), (3, 4)):
        alone = random.gumbel_given_max(x[i, j], top[i, j], rng=5, streams=5 * i + j + 9, position=2)
        assert alone.tobytes() == whole[i, j].tobytes()
    across = random.gumbel_given_max(
        np.moveaxis(x, -1, 0), top, rng=5, axis=0, streams=np.arange(20).reshape(4, 5) + 9, position=2
    )
    assert np.moveaxis(across, 0, -1).tobytes() == whole.tobytes()
    mask = np.arange(30) % 3 != 0
    masked = random.gumbel_given_max(np.where(mask, x, np.nan), top, rng=5, where=mask)
    assert np.array_equal(masked, random.gumbel_given_max(np.where(mask, x, -np.inf), top, rng=5))
    sg.set_isa("scalar")
    try:
        again = random.gumbel_given_max(x, top, rng=5, streams=np.arange(20).reshape(4, 5) + 9, position=2)
    finally:
        sg.set_isa(isa)
    assert again.tobytes() == whole.tobytes()
    assert random.gumbel_given_max(np.zeros((3, 0)), 1.0, rng=1).shape == (3, 0)
    for last in (2**63, 2**64 - 1):  # ids and positions of 64 bits
        far = random.gumbel_given_max(x[0, 0], 1.0, rng=5, streams=last, position=last)
        noise = x[0, 0] + random.gumbel(30, rng=5, dtype=np.float64, streams=last, position=last)
        assert far.argmax() == noise.argmax()
    assert np.all(random.gumbel_given_max(np.full((2, 3), -np.inf), 1.0, rng=1) == -np.inf)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: random.truncated_gumbel([np.nan], 1.0, rng=1),
            ValueError,
            "truncated_gumbel: logits must hold neither NaN nor +inf, got one",
        ),
        (
            lambda: random.truncated_gumbel([1.0], np.nan, rng=1),
            ValueError,
            "truncated_gumbel: upper must not be NaN, got one",
        ),
        (
            lambda: random.truncated_gumbel(np.zeros(3), np.zeros(2), rng=1),
            ValueError,
            "truncated_gumbel: upper must broadcast to shape (3,), got shape (2,)",
        ),
        (
            lambda: random.gumbel_given_max([1.0, np.inf], 1.0, rng=1),
            ValueError,
            "gumbel_given_max: logits must hold neither NaN nor +inf, got one",
        ),
        (
            lambda: random.gumbel_given_max([1.0, 2.0], np.inf, rng=1),
            ValueError,
            "gumbel_given_max: maximum must be finite, got inf",
        ),
        (
            lambda: random.gumbel_given_max(np.zeros((2, 3)), [1.0, 2.0, 3.0], rng=1),
            ValueError,
            "gumbel_given_max: maximum must be a scalar or have the shape of the rows, (2,), got shape (3,)",
        ),
    ],
)
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message

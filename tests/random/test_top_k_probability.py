"""Probabilities of samples without replacement: sums to 1, closed forms, mpmath, and the bits of every ISA."""

import itertools
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import stats

import sorgum as sg
from sorgum import random
from sorgum._data.inputs import logits

Array = Any
P = np.array([0.5, 0.2, 0.15, 0.1, 0.05])
FALSE_ALARM = 1e-9


def plackett_luce(p: Array, order: Any) -> float:
    left, product = float(p.sum()), 1.0
    for i in order:
        product *= p[i] / left
        left -= p[i]
    return product


@pytest.mark.parametrize("k", range(6))
def test_all_orders_and_all_sets_sum_to_one(k: int) -> None:
    x = np.log(P) + 7.0
    orders = np.array(list(itertools.permutations(range(5), k)), dtype=np.int64)
    found = np.exp(random.top_k_log_prob(np.tile(x, (len(orders), 1)), orders))
    assert np.allclose(found, [plackett_luce(P, order) for order in orders], rtol=1e-14)
    assert abs(found.sum() - 1) < 1e-13
    sets = np.array(list(itertools.combinations(range(5), k)), dtype=np.int64)
    by_set = np.exp(random.top_k_log_prob(np.tile(x, (len(sets), 1)), sets, ordered=False))
    by_orders = [sum(plackett_luce(P, order) for order in itertools.permutations(s)) for s in sets]
    assert np.allclose(by_set, by_orders, rtol=1e-12)
    assert abs(by_set.sum() - 1) < 1e-12


def test_known_answer() -> None:
    """Sum over both orders: .5 (.15 / .5) + .15 (.5 / .85)."""
    assert abs(np.exp(random.top_k_log_prob(np.log(P), [0, 2], ordered=False)) - 0.2382352941176) < 1e-12


def test_sets_by_inclusion_and_exclusion() -> None:
    """The integral is sum over T in S of (-1)^|T| / (1 + p(T) / p(rest)), in 400 digits, many of which cancel."""
    for n, k, scale in ((3, 1, 1.0), (50, 10, 3.0), (30, 5, 15.0), (1000, 9, 0.1)):
        x = logits(n, np.float64, scale, seed=k)
        for chosen in (np.argsort(-x)[:k], np.argsort(x)[:k], np.arange(k)):
            found = float(random.top_k_log_prob(x, chosen, ordered=False))
            with mpmath.workdps(400):
                weights = [mpmath.exp(mpmath.mpf(v)) for v in x]
                inside = set(chosen.tolist())
                rest = mpmath.fsum(w for i, w in enumerate(weights) if i not in inside)
                total = mpmath.mpf(0)
                for size in range(k + 1):
                    for part in itertools.combinations(chosen, size):
                        total += (-1) ** size / (1 + mpmath.fsum(weights[i] for i in part) / rest)
                expected = float(mpmath.log(total))
            assert abs(found - expected) < 1e-12 * max(1.0, abs(expected)), (n, k, scale)


def test_large_sets() -> None:
    """The same integral with a step four times as fine, in extended precision."""
    for n, k in ((200, 40), (400, 150), (900, 300)):
        x = logits(n, np.float64, 1.0, seed=k).astype(np.longdouble)
        ratio = x[:k] - np.log(np.sum(np.exp(x[k:])))
        t = np.arange(-45, 10, 1 / 128, dtype=np.longdouble)
        total = t - np.exp(t)
        for r in ratio:
            total += np.log(-np.expm1(-np.exp(r + t)))
        expected = total.max() + np.log(np.sum(np.exp(total - total.max())) / 128)
        found = random.top_k_log_prob(x.astype(np.float64), np.arange(k), ordered=False)
        assert abs(found / expected - 1) < 1e-13


def test_terms_keep_their_digits() -> None:
    """A category that is nearly certain: log of 1 - 1e-30, not 0."""
    x = np.array([0.0, np.log(1e-30)])
    assert abs(random.top_k_log_prob(x, [0]) / -1e-30 - 1) < 1e-12
    assert random.top_k_log_prob(x, [0, 1]) == random.top_k_log_prob(x, [0])


def test_samples_have_the_probabilities_they_are_said_to_have() -> None:
    n = 60000
    drawn = random.gumbel_top_k(np.broadcast_to(np.log(P), (n, 5)), 2, rng=3)
    pairs = np.array(list(itertools.permutations(range(5), 2)))
    mean = n * np.exp(random.top_k_log_prob(np.tile(np.log(P), (20, 1)), pairs))
    counts = np.bincount(5 * drawn.indices[:, 0] + drawn.indices[:, 1], minlength=25)[5 * pairs[:, 0] + pairs[:, 1]]
    assert np.sum((counts - mean) ** 2 / mean) < stats.chi2.isf(FALSE_ALARM, 19)
    assert np.sum((counts - n / 20) ** 2 / (n / 20)) > stats.chi2.isf(FALSE_ALARM, 19)


def test_absent_ones_and_rows() -> None:
    x = np.array([0.0, 1.0, -np.inf, -np.inf])
    drawn = random.gumbel_top_k(x, 3, rng=1)
    assert drawn.indices[2] == -1
    for ordered in (True, False):
        assert random.top_k_log_prob(x, drawn.indices, ordered=ordered) == random.top_k_log_prob(
            x, drawn.indices[:2], ordered=ordered
        )
        assert random.top_k_log_prob(x, [0, 2], ordered=ordered) == -np.inf
        assert random.top_k_log_prob(x, [], ordered=ordered) == 0
        for never in ([0, 1, 2], [0, 2, 1], [2], [3, 2], [-1, 2, 0]):
            assert random.top_k_log_prob(x, never, ordered=ordered) == -np.inf
            assert random.top_k_log_prob(np.full(4, -np.inf), never, ordered=ordered) == -np.inf
        assert random.top_k_log_prob([0.0, -np.inf], [0, 1], ordered=ordered) == -np.inf
    made_up = random.TopK(np.array([1, 2]), np.array([1.0, -np.inf]), np.array(0.5))
    assert random.inclusion_weights(x, made_up)[1] == 0
    assert random.inclusion_weights(x, made_up, log=True)[1] == -np.inf
    assert random.top_k_log_prob(x, [0, 1], ordered=False) == 0
    many = logits((4, 3, 30), np.float32, 2.0)
    drawn = random.gumbel_top_k(many, 6, rng=2)
    whole = random.top_k_log_prob(many, drawn.indices)
    assert whole.shape == (4, 3)
    for i, j in itertools.product(range(4), range(3)):
        assert random.top_k_log_prob(many[i, j], drawn.indices[i, j]) == whole[i, j]
    across = random.top_k_log_prob(np.moveaxis(many, -1, 0), drawn.indices, axis=0)
    assert across.tobytes() == whole.tobytes()


def test_large_k_goes_in_blocks() -> None:
    x = logits(3000, np.float64, 2.0)
    order = random.gumbel_top_k(x, 1000, rng=1).indices
    left = np.ones(3000, bool)
    expected = 0.0
    for i in order:
        expected += x[i] - np.log(np.sum(np.exp(x[left])))
        left[i] = False
    assert abs(random.top_k_log_prob(x, order) - expected) < 1e-9


def test_inclusion_weights() -> None:
    """Sums over samples estimate expectations; q is the share of draws in which a category is above the threshold."""
    n = 40000
    x = np.broadcast_to(np.log(P) + 3.0, (n, 5))
    values = np.array([3.0, -1.0, 4.0, 10.0, 100.0])
    for k in (1, 2, 4):
        drawn = random.gumbel_top_k(x, k, rng=k)
        weights = random.inclusion_weights(x, drawn)
        estimates = np.sum(weights * values[drawn.indices], axis=-1)
        assert abs(estimates.mean() - np.sum(P * values)) < 6.1 * estimates.std() / np.sqrt(n)
        logs = random.inclusion_weights(x, drawn, log=True)
        assert np.allclose(np.exp(logs), weights, rtol=1e-14)
        q = -np.expm1(-np.exp(x[0][drawn.indices] - drawn.threshold[:, None]))
        assert np.allclose(weights, P[drawn.indices] / q, rtol=1e-12)
    everything = random.gumbel_top_k(np.log(P), 5, rng=1)
    assert np.allclose(random.inclusion_weights(np.log(P), everything), P[everything.indices], rtol=1e-14)
    few = np.array([0.0, -np.inf, -np.inf])
    assert random.inclusion_weights(few, random.gumbel_top_k(few, 2, rng=1)).tolist() == [1.0, 0.0]


def test_the_same_bits_on_every_isa(isa: str) -> None:
    x = logits((7, 400), np.float32, 3.0)
    drawn = random.gumbel_top_k(x, 20, rng=2)
    results = [random.top_k_log_prob(x, drawn.indices), random.top_k_log_prob(x, drawn.indices, ordered=False)]
    results.append(random.inclusion_weights(x, drawn))
    sg.set_isa("scalar")
    try:
        again = [random.top_k_log_prob(x, drawn.indices), random.top_k_log_prob(x, drawn.indices, ordered=False)]
        again.append(random.inclusion_weights(x, drawn))
    finally:
        sg.set_isa(isa)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(results, again, strict=True))
    assert all(np.isfinite(a).all() for a in results)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: random.top_k_log_prob(np.zeros(3), [3]),
            ValueError,
            "top_k_log_prob: indices must be in [-1, 3), got 3",
        ),
        (
            lambda: random.top_k_log_prob(np.zeros(3), [-2]),
            ValueError,
            "top_k_log_prob: indices must be in [-1, 3), got -2",
        ),
        (
            lambda: random.top_k_log_prob(np.zeros(3), [1, 1]),
            ValueError,
            "top_k_log_prob: indices must not repeat in a row, got one that does",
        ),
        (
            lambda: random.top_k_log_prob(np.zeros(3), [1.0]),
            TypeError,
            "top_k_log_prob: indices must be an array of integers, got dtype dtype('float64')",
        ),
        (
            lambda: random.top_k_log_prob(np.zeros((2, 3)), [1]),
            ValueError,
            "top_k_log_prob: indices must have the shape of the rows, (2,), and one axis more, got shape (1,)",
        ),
        (
            lambda: random.inclusion_weights(np.zeros(3), random.TopK(np.array([0]), np.zeros(1), np.zeros(2))),
            ValueError,
            "inclusion_weights: drawn.threshold must have the shape of the rows, (), got shape (2,)",
        ),
    ],
)
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message

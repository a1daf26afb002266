"""Gradients and densities of relaxed draws, gates: finite differences, integrals, laws, bits, refusals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

import sorgum as sg
from sorgum import random, special
from sorgum._data.inputs import hashed, logits

Array = Any
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
FALSE_ALARM = 1e-9


# The gradient of gumbel_softmax


def test_gradient_by_finite_differences() -> None:
    x = logits((3, 7), np.float64, 1.0)
    upstream = logits((3, 7), np.float64, 1.0, seed=5)
    place: dict[str, Any] = {"rng": 4, "streams": [9, 2**60, 3], "position": 8, "index_offset": 11}
    for t in (1.0, 0.3, np.array([0.5, 1.0, 2.0])):
        found = random.gumbel_softmax_grad(upstream, x, temperature=t, **place)
        assert np.max(np.abs(found.sum(-1))) < 1e-14
        for k in range(7):
            step = np.zeros((3, 7))
            step[:, k] = 1e-6
            difference = random.gumbel_softmax(x + step, temperature=t, **place) - random.gumbel_softmax(
                x - step, temperature=t, **place
            )
            expected = np.sum(upstream * difference, axis=-1) / 2e-6
            assert np.max(np.abs(found[:, k] - expected)) < 1e-8
    assert np.max(np.abs(found)) > 0.05


@each_dtype
def test_gradient_of_masked_and_transposed_rows(dtype: Any, isa: str) -> None:
    x, upstream = logits((6, 90), dtype), logits((6, 90), dtype, seed=2)
    mask = hashed(x.size).reshape(x.shape) % np.uint64(3) != 0
    found = random.gumbel_softmax_grad(np.where(mask, upstream, np.nan), x, rng=1, temperature=0.7, where=mask)
    assert found.dtype == dtype
    assert np.all(found[~mask] == 0)
    hidden = random.gumbel_softmax_grad(upstream, np.where(mask, x, -np.inf).astype(dtype), rng=1, temperature=0.7)
    assert found.tobytes() == hidden.tobytes()
    t = np.linspace(0.5, 2, 6)
    plain = random.gumbel_softmax_grad(upstream, x, rng=1, temperature=t)
    for per_row in (t, t[None]):
        across = random.gumbel_softmax_grad(upstream.T, x.T, rng=1, axis=0, temperature=per_row)
        assert across.T.copy().tobytes() == plain.tobytes()
    sg.set_isa("scalar")
    try:
        again = random.gumbel_softmax_grad(upstream, x, rng=1, temperature=t)
    finally:
        sg.set_isa(isa)
    assert again.tobytes() == plain.tobytes()


# Densities


def test_density_integrates_to_one() -> None:
    for t, x in ((1.5, np.array([0.3, -0.4])), (0.7, np.array([1.0, 0.0]))):

        def density(p: float, t: float = t, x: Array = x) -> float:
            y = np.log([p, 1 - p])
            return float(np.exp(random.concrete_log_prob(y, x, temperature=t, of_points=True)))

        total, error = integrate.quad(density, 1e-9, 1 - 1e-9, limit=200, points=[1e-4, 0.5, 1 - 1e-4])
        assert abs(total - 1) < 1e-4 + error
    grid = (np.arange(800) + 0.5) / 800
    a, b = np.meshgrid(grid, grid)
    inside = a + b < 1
    y = np.log(np.stack([a[inside], b[inside], 1 - a[inside] - b[inside]], axis=-1))
    density = np.exp(random.concrete_log_prob(y, np.array([0.5, 0.0, -0.5]), temperature=1.5, of_points=True))
    assert abs(density.mean() / 2 - 1) < 0.01


def test_density_is_the_law_of_the_draws() -> None:
    """Two categories: the first number's distribution function is the integral of the density."""
    x, t, n = np.array([0.8, 0.0]), 0.6, 40000
    drawn = random.gumbel_softmax(np.broadcast_to(x, (n, 2)), rng=3, temperature=t)[:, 0]
    # P(p <= c) = sigmoid(t logit(c) - 0.8), whose derivative the density must be.
    c = np.linspace(0.05, 0.95, 19)
    logit = np.log(c) - np.log1p(-c)
    f = 1 / (1 + np.exp(-(t * logit - 0.8)))
    exact = f * (1 - f) * t / (c * (1 - c))
    y = np.log(np.stack([c, 1 - c], axis=-1))
    found = np.exp(random.concrete_log_prob(y, x, temperature=t, of_points=True))
    assert np.allclose(found, exact, rtol=1e-12)
    assert stats.kstest(drawn, lambda p: 1 / (1 + np.exp(-(t * (np.log(p) - np.log1p(-p)) - 0.8)))).pvalue > FALSE_ALARM


def test_invariances_and_scores() -> None:
    y, x = logits((4, 9), np.float64, 3.0), logits((4, 9), np.float64, 1.0, seed=3)
    t = np.array([0.1, 0.5, 1.0, 3.0])
    whole = random.concrete_log_prob(y, x, temperature=t)
    assert np.allclose(whole, random.concrete_log_prob(y + 5, x - 7, temperature=t), rtol=1e-12, atol=1e-11)
    of_y, of_x = random.concrete_score(y, x, temperature=t)
    assert np.max(np.abs(of_y.sum(-1))) < 1e-12
    for k in range(9):
        step = np.zeros((4, 9))
        step[:, k] = 1e-6
        up, down = (random.concrete_log_prob(y + s, x, temperature=t) for s in (step, -step))
        assert np.allclose((up - down) / 2e-6, of_y[:, k], atol=1e-7)
        up, down = (random.concrete_log_prob(y, x + s, temperature=t) for s in (step, -step))
        assert np.allclose((up - down) / 2e-6, of_x[:, k], atol=1e-7)
    assert np.max(np.abs(of_x)) > 0.5
    across = random.concrete_log_prob(y.T, x.T, temperature=t, axis=0)
    assert across.tobytes() == whole.tobytes()
    assert random.concrete_log_prob(np.zeros((3, 1)), [2.0], temperature=0.5).tolist() == [0.0] * 3


def test_low_temperatures_do_not_underflow() -> None:
    y = random.gumbel_softmax(logits((5, 30), np.float64), rng=1, temperature=0.001)
    assert np.any(y == 0)  # the points do, their logarithms do not
    logs = special.log_softmax(
        (logits((5, 30), np.float64) + random.gumbel((5, 30), rng=1, dtype=np.float64, bits=32)) / 0.001
    )
    found = random.concrete_log_prob(logs, logits((5, 30), np.float64), temperature=0.001)
    assert np.all(np.isfinite(found))


def test_numbers_of_no_use_become_infinite_or_nan(isa: str) -> None:
    """And no warnings, which pytest makes errors."""
    nan = np.float64(np.nan).tobytes()
    for y, x in (([0.0, -1e38], [0.0, 0.0]), ([np.inf, 0.0], [np.inf, 0.0])):
        assert random.concrete_log_prob(y, x, temperature=1e300).tobytes() == nan
        assert all(part.tobytes() == 2 * nan for part in random.concrete_score(y, x, temperature=1e300))
    of_points, of_logits = random.concrete_score([0.0] * 3, [800.0, 0.0, 0.0], temperature=1e308)
    assert of_points.tolist() == [np.inf, -1e308, -1e308]
    assert of_logits.tolist() == [-2, 1, 1]


# Gates


@each_dtype
def test_gates_are_the_first_of_two(dtype: Any, isa: str) -> None:
    """sigmoid((x + L) / t) with the L of `logistic`; 1/2 is passed with probability sigmoid(x)."""
    x = logits((40, 1000), dtype, 2.0)
    noise = random.logistic(x.shape, rng=6, dtype=dtype, bits=32)
    for t in (0.1, 2 / 3, 5.0):
        found = random.binary_concrete(x, rng=6, temperature=t)
        assert found.dtype == dtype
        z = (x.astype(np.float64) + noise) / t
        expected = np.where(z > 0, 1 / (1 + np.exp(-np.abs(z))), np.exp(-np.abs(z)) / (1 + np.exp(-np.abs(z))))
        slack = 2.0**-20 if dtype is np.float32 else 2.0**-48
        assert np.all(np.abs(found - expected) <= slack * (1 + np.abs(z)) * expected + 1e-40)
        share = (found > 0.5).mean()
        assert abs(share - (1 / (1 + np.exp(-x.astype(np.float64)))).mean()) < 6.1 * 0.5 / np.sqrt(x.size)
    same = random.binary_concrete(x[3], rng=6, streams=3, temperature=5.0)
    assert same.tobytes() == found[3].tobytes()
    assert np.ndim(random.binary_concrete(0.0, rng=1)) == 0


def test_hard_gates() -> None:
    """P(0) and P(1) as the paper has them; between them the stretched gate."""
    n, t = 100000, 0.5
    for x in (-1.0, 0.0, 2.0):
        gates = random.hard_concrete(np.full(n, x), rng=2, temperature=t)
        soft = random.binary_concrete(np.full(n, x), rng=2, temperature=t)
        assert np.array_equal(gates, np.clip(soft * 1.2 - 0.1, 0, 1)) or np.allclose(
            gates, np.clip(soft * 1.2 - 0.1, 0, 1), atol=1e-15
        )
        for end, p in (
            (0, 1 / (1 + np.exp(x - t * np.log(0.1 / 1.1)))),
            (1, 1 / (1 + np.exp(-(x + t * np.log(0.1 / 1.1))))),
        ):
            low, high = stats.binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], n, p)
            assert low <= np.count_nonzero(gates == end) <= high


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: random.gumbel_softmax_grad(np.zeros(2), np.zeros(3), rng=1),
            ValueError,
            "gumbel_softmax_grad: grad must have shape (3,), got (2,)",
        ),
        (
            lambda: random.concrete_log_prob(np.zeros(3), np.zeros(2), temperature=1.0),
            ValueError,
            "concrete_log_prob: logits must broadcast with log_points of shape (3,), got shape (2,)",
        ),
        (
            lambda: random.concrete_log_prob(np.zeros(3), np.zeros(3), temperature=0.0),
            ValueError,
            "concrete_log_prob: temperature must be positive and finite, got 0.0",
        ),
        (
            lambda: random.concrete_log_prob(np.zeros(0), np.zeros(0), temperature=1.0),
            ValueError,
            "concrete_log_prob: log_points must have categories, got none",
        ),
        (
            lambda: random.concrete_score(np.zeros((2, 3)), np.zeros(3), temperature=[1.0, 2.0, 3.0]),
            ValueError,
            "concrete_score: temperature must be a scalar or have the shape of the rows, (2,), got shape (3,)",
        ),
        (
            lambda: random.binary_concrete(np.zeros(3), rng=1, temperature=-1.0),
            ValueError,
            "binary_concrete: temperature must be positive and finite, got -1.0",
        ),
        (
            lambda: random.binary_concrete(np.zeros(3), rng=1, temperature=[1.0, 2.0]),
            ValueError,
            "binary_concrete: temperature must broadcast to shape (3,), got shape (2,)",
        ),
        (
            lambda: random.hard_concrete(np.zeros(3), rng=1, stretch=(0.1, 1.0)),
            ValueError,
            "hard_concrete: stretch must hold [0, 1] and be finite, got (0.1, 1.0)",
        ),
    ],
)
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message

"""Gradients and densities of relaxed draws, gates: finite differences, integrals, laws, bits, refusals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats
from scipy import special as scipy_special

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
        found = random.gumbel_softmax_grad(x, dy=upstream, temperature=t, **place)
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
    found = random.gumbel_softmax_grad(x, dy=np.where(mask, upstream, np.nan), rng=1, temperature=0.7, where=mask)
    assert found.dtype == dtype
    assert np.all(found[~mask] == 0)
    hidden = random.gumbel_softmax_grad(np.where(mask, x, -np.inf).astype(dtype), dy=upstream, rng=1, temperature=0.7)
    assert found.tobytes() == hidden.tobytes()
    t = np.linspace(0.5, 2, 6)
    plain = random.gumbel_softmax_grad(x, dy=upstream, rng=1, temperature=t)
    hard = random.gumbel_softmax_grad(x, dy=upstream, rng=1, temperature=t, hard=True)
    assert hard.tobytes() == plain.tobytes()
    for per_row in (t, t[None]):
        across = random.gumbel_softmax_grad(x.T, dy=upstream.T, rng=1, axis=0, temperature=per_row)
        assert across.T.copy().tobytes() == plain.tobytes()
    sg.set_isa("scalar")
    try:
        again = random.gumbel_softmax_grad(x, dy=upstream, rng=1, temperature=t)
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


def test_densities_on_the_boundary(isa: str) -> None:
    """The limits, next to numbers that come near to them; without warnings, which pytest makes errors."""
    x = np.array([0.2, 0.3, 0.7, 0.1])

    def near(size: float, edge: int, t: float, of_points: bool) -> Any:
        y = np.log([0.1, 0.2, 0.3, 0.4])
        y[:edge] = -size
        return random.concrete_log_prob(y, x, temperature=t, of_points=of_points)

    for t in (0.05, 0.5, 3.0):
        for edge in (1, 2, 3):
            assert near(np.inf, edge, t, False) == -np.inf
            assert near(1e6, edge, t, False) < near(1e5, edge, t, False) < -1e3
        assert np.isnan(near(np.inf, 4, t, False))  # no point
    # (1 + t) sum(v) - 4 t max(v), with sum(v) from max(v) to m max(v): all positive, all negative, of both signs.
    for edge, t, limit in (
        (1, 0.25, np.inf),
        (2, 0.25, np.inf),
        (1, 0.5, -np.inf),
        (2, 2.0, -np.inf),
        (2, 0.5, np.nan),
    ):
        assert np.array_equal(near(np.inf, edge, t, True), limit, equal_nan=True), (edge, t)
        if not np.isnan(limit):
            assert near(1e6, edge, t, True) * np.sign(limit) > 1e4
    assert abs(near(np.inf, 1, 1 / 3, True) - near(1e4, 1, 1 / 3, True)) < 1e-9
    assert abs(near(np.inf, 1, 1 / 3, True)) < 10
    # Uniform on an interval, up to its ends.
    assert random.concrete_log_prob([-np.inf, 0.0], [0.0, 0.0], temperature=1.0, of_points=True) == 0
    found = random.concrete_log_prob([[-np.inf, 0.0], [np.nan, -np.inf], [0.0, 0.0]], [0.0, 0.0], temperature=0.5)
    assert found[0] == -np.inf
    assert np.isnan(found[1])
    assert found[2] == random.concrete_log_prob([0.0, 0.0], [0.0, 0.0], temperature=0.5)
    assert np.isnan(random.concrete_log_prob([-np.inf, 0.0], [-np.inf, 0.0], temperature=0.5))
    for part, limit in zip(
        random.concrete_score([-np.inf, 0.0, 1.0], x[:3], temperature=0.5), ([1.0, -0.5, -0.5], [-2, 1, 1]), strict=True
    ):
        assert part.tolist() == limit
    assert all(np.isnan(part).all() for part in random.concrete_score([-np.inf, -np.inf, 1.0], x[:3], temperature=0.5))


def test_a_constant_of_any_size_changes_no_density() -> None:
    """The sum over a row overflowed, and infinite numbers had no difference."""
    y = np.tile([0.0, 2.0**970], 50)
    assert random.concrete_log_prob(y, np.zeros(100), temperature=1.0) < -1e290
    level = np.full(100, 1e307)
    found = random.concrete_log_prob(level, np.zeros(100), temperature=1.0)
    assert abs(found - random.concrete_log_prob(np.zeros(100), np.zeros(100), temperature=1.0)) < 1e-9


@each_dtype
def test_logarithms_of_draws_have_densities(dtype: Any, isa: str) -> None:
    """Rounded points of low temperatures lie on the boundary; their logarithms, which are those points, do not."""
    x = logits((200, 1000), dtype, 1.0)
    for t in (0.1, 1e-3):
        place: dict[str, Any] = {"rng": 1, "temperature": t, "streams": np.arange(200) + 5, "position": 3}
        points = random.gumbel_softmax(x, **place)
        logs = random.gumbel_softmax(x, log=True, **place)
        assert logs.dtype == dtype
        assert np.any(points == 0) or (t == 0.1 and dtype is np.float64)
        assert np.all(np.isfinite(logs))
        assert np.all(np.isfinite(random.concrete_log_prob(logs, x, temperature=t)))
        with np.errstate(divide="ignore"):
            rounded = random.concrete_log_prob(np.log(points), x, temperature=t)
        assert np.all(rounded[np.any(points == 0, axis=-1)] == -np.inf)
        noise = random.gumbel(x.shape, rng=1, dtype=dtype, bits=32, streams=np.arange(200) + 5, position=3)
        assert logs.tobytes() == special.log_softmax(x + noise, temperature=t).tobytes()
        out = np.empty(x.shape[::-1], dtype)
        across = random.gumbel_softmax(x.T, axis=0, log=True, out=out, **place)
        assert across is out
        assert out.T.copy().tobytes() == logs.tobytes()
    mask = hashed(x.size).reshape(x.shape) % np.uint64(3) != 0
    logs = random.gumbel_softmax(x, rng=1, temperature=0.7, where=mask, log=True)
    assert np.array_equal(logs > -np.inf, mask)
    hard, logs = (random.gumbel_softmax(x, rng=1, hard=True, log=log) for log in (False, True))
    assert np.array_equal(np.exp(logs), hard)
    spoilt = np.array([[np.nan, 0], [np.inf, 0], [-np.inf, -np.inf]], dtype)
    assert np.isnan(random.gumbel_softmax(spoilt, rng=1, log=True)).all()
    assert np.isnan(random.gumbel_softmax(spoilt, rng=1, log=True, hard=True)).all()


def test_gradient_of_logarithms_by_finite_differences() -> None:
    x, upstream = logits((3, 7), np.float64, 1.0), logits((3, 7), np.float64, 1.0, seed=5)
    mask = np.arange(21).reshape(3, 7) % 4 != 1
    place: dict[str, Any] = {"rng": 4, "temperature": np.array([0.5, 1.0, 2.0]), "where": mask, "log": True}
    found = random.gumbel_softmax_grad(x, dy=upstream, **place)
    assert np.all(found[~mask] == 0)
    assert np.max(np.abs(found.sum(-1))) < 1e-14
    for k in range(7):
        step = np.zeros((3, 7))
        step[:, k] = 1e-6
        with np.errstate(invalid="ignore"):  # -inf where it is masked
            up, down = (random.gumbel_softmax(x + s, **place) for s in (step, -step))
        expected = np.sum(upstream * (np.where(mask, up, 0) - np.where(mask, down, 0)), axis=-1) / 2e-6
        assert np.max(np.abs(found[:, k] - expected)) < 1e-8


def test_large_gradients_do_not_overflow() -> None:
    found = random.gumbel_softmax_grad([0.0, -1e4], dy=[-1.7e308, 1.7e308], rng=1)
    assert found.tolist() == [0, 0]  # the second point is 0
    y = random.gumbel_softmax([0.0, 1.0], rng=1, temperature=8.0)
    found = random.gumbel_softmax_grad([0.0, 1.0], dy=[-1.7e308, 1.7e308], rng=1, temperature=8.0)
    assert np.allclose(found / 1.7e308, y[0] * y[1] / 4 * np.array([-1, 1]), rtol=1e-14)


def test_numbers_of_no_use_become_infinite_or_nan(isa: str) -> None:
    """And no warnings, which pytest makes errors."""
    nan = np.float64(np.nan).tobytes()
    for y, x in (([np.inf, 0.0], [np.inf, 0.0]), ([0.0, 0.0], [np.inf, 0.0]), ([-np.inf, 0.0], [np.inf, 0.0])):
        for of_points in (False, True):
            assert random.concrete_log_prob(y, x, temperature=1e300, of_points=of_points).tobytes() == nan
        assert all(part.tobytes() == 2 * nan for part in random.concrete_score(y, x, temperature=1e300))
    assert random.concrete_log_prob([0.0, -1e38], [0.0, 0.0], temperature=1e300) == -np.inf
    of_points, of_logits = random.concrete_score([0.0, -1e38], [0.0, 0.0], temperature=1e300)
    assert of_points.tolist() == [-1e300, 1e300]
    assert of_logits.tolist() == [1, -1]
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


@each_dtype
def test_temperatures_of_gates_are_not_rounded_to_the_dtype(dtype: Any) -> None:
    """1e-50 is 0 in float32: then gates whose noise cancels their logit were NaN, with a warning."""
    for function in (random.binary_concrete, random.hard_concrete):
        at: dict[str, Any] = {"rng": 8, "index_offset": 3429945, "temperature": 1e-50}
        assert np.isfinite(function(np.zeros(1, dtype), **at)).all()
        assert np.isin(function(np.full(50, 3, dtype), rng=8, temperature=1e-300), (0.0, 1.0)).all()
        halves = function(np.full(50, 3e38, dtype), rng=8, temperature=1e300)
        assert np.allclose(halves, 0.5, rtol=1e-15)
    # Odd multiples of a quotient are as they should be, to half a unit.
    x = np.float32(1.0 + np.arange(4000) / 512)
    noisy = (x + random.logistic(x.shape, rng=3, bits=32)).astype(np.float64)
    for t in (0.1, 2 / 3, 1 / 3):
        found = random.binary_concrete(x, rng=3, temperature=t, logit=True)
        assert np.array_equal(found, (noisy / t).astype(np.float32))


def test_stretch_is_not_rounded_to_the_dtype() -> None:
    x = logits(3000, np.float32)
    for stretch in ((-0.1, 1.1), (-1e-9, 1.0), (-1e300, 1e300)):
        gates = random.binary_concrete(x, rng=2, temperature=0.5).astype(np.float64)
        low, high = stretch
        expected = np.clip(gates * (high - low) + low, 0, 1).astype(np.float32)
        assert random.hard_concrete(x, rng=2, temperature=0.5, stretch=stretch).tobytes() == expected.tobytes()


def test_logits_of_gates_have_densities() -> None:
    """The law of (x + L) / t is logistic; at low temperatures gates round to 0 and 1, their logits do not."""
    x = np.full(20000, 0.7, np.float32)
    for t in (0.01, 0.5, 2.0):
        found = random.binary_concrete(x, rng=5, temperature=t, logit=True)
        gates = random.binary_concrete(x, rng=5, temperature=t)
        assert np.allclose(scipy_special.expit(found.astype(np.float64)), gates, rtol=1e-5)
        assert np.all(np.isfinite(found))
        assert np.any((gates == 0) | (gates == 1)) == (t < 1)
        law = stats.logistic(0.7 / t, 1 / t)
        assert stats.kstest(found.astype(np.float64), law.cdf).pvalue > FALSE_ALARM
        pairs = np.stack([found, np.zeros_like(found)], axis=-1)
        density = random.concrete_log_prob(pairs, [0.7, 0.0], temperature=t)
        assert np.allclose(density, law.logpdf(found.astype(np.float64)), rtol=1e-12, atol=1e-12)


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
            lambda: random.gumbel_softmax_grad(np.zeros(3), dy=np.zeros(2), rng=1),
            ValueError,
            "gumbel_softmax_grad: dy must have shape (3,), got (2,)",
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
            lambda: random.binary_concrete(np.zeros(3), rng=1, temperature=5e-324),
            ValueError,
            "binary_concrete: temperature must not be subnormal, got 5e-324",
        ),
        (
            lambda: random.gumbel_softmax_grad(np.zeros(2), dy=np.zeros(2), rng=np.random.default_rng(1)),
            TypeError,
            "gumbel_softmax_grad: rng must be a Key or an int seed, the same in every call "
            "(make one once by sorgum.random.key), got a numpy Generator",
        ),
        (
            lambda: random.hard_concrete(np.zeros(3), rng=1, stretch=(-1.7e308, 1.7e308)),
            ValueError,
            "hard_concrete: stretch must hold [0, 1] and be of finite length, got (-1.7e+308, 1.7e+308)",
        ),
        (
            lambda: random.hard_concrete(np.zeros(3), rng=1, stretch=(0.1, 1.0)),
            ValueError,
            "hard_concrete: stretch must hold [0, 1] and be of finite length, got (0.1, 1.0)",
        ),
    ],
)
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message

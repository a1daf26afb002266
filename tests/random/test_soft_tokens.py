"""Soft tokens: the reference, laws, the policy's gradient, bits, refusals.

Statistical limits are for a false alarm of 1e-9.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import layouts
from scipy import stats

import sorgum as sg
from sorgum import random, reference, special
from sorgum._data.inputs import hashed, logits, words

Array = Any
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
FALSE_ALARM = 1e-9
FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"top_p": 0.95},
    {"top_k": 30, "top_p": 0.9},
    {"min_p": 0.02},
    {"top_p": 0.5, "min_p": 0.3},
)


def same(a: random.SoftTokens, b: random.SoftTokens) -> bool:
    return all(x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


def assert_is_reference(found: random.SoftTokens, row: int, exact: tuple[Array, ...], steepness: float) -> None:
    """Assert that a row has these tokens; a weight's relative error is `steepness` times that of its log_weight."""
    indices, weights, logs = exact
    n = indices.size
    assert np.array_equal(found.indices[row, :n], indices)
    assert np.all(found.indices[row, n:] == -1)
    assert np.all(found.weights[row, n:] == 0)
    assert np.all(found.log_weights[row, n:] == -np.inf)
    info = np.finfo(found.weights.dtype)
    # Noise is within 4 ULP, probabilities too, NumPy's logarithms within one; in float32 only the last rounding counts.
    limit = (12 if info.dtype == np.float64 else 1) * info.eps * np.maximum(1, np.abs(logs))
    assert np.all(np.abs(found.log_weights[row, :n] - logs) <= limit)
    assert n == 1 or np.any(np.abs(np.roll(logs, 1) - logs) > limit)
    limit = (steepness * 2 * np.max(limit) + 4 * info.eps) * weights + 2 * info.smallest_subnormal
    assert np.all(np.abs(found.weights[row, :n] - weights) <= limit)


# The rollout


@each_dtype
def test_step_is_what_the_reference_has(dtype: Any, isa: str) -> None:
    place: dict[str, Any] = {"streams": [7, 2**63, 0], "position": [3, 2**40, 5]}
    for n in (1, 5, 64, 1000, 5003):
        x = logits((3, n), dtype, 3.0, seed=n)
        for filters in FILTERS:
            for k, t in ((1, 1.0), (min(n, 5), 0.6), (min(n, 20), 1.3)):
                for function, tau in (("soft_token_step", 0.1), ("gumbel_resample", 0.5)):
                    found = getattr(random, function)(x, k, rng=n, temperature=t, **place, **filters)
                    assert found.indices.shape == found.weights.shape == found.log_weights.shape == (3, k)
                    assert found.weights.dtype == found.log_weights.dtype == dtype
                    for r, (stream, at) in enumerate(zip(place["streams"], place["position"], strict=True)):
                        more: dict[str, Any] = {"temperature": t, "stream": stream, "position": at}
                        exact = getattr(reference.random, function)(x[r], k, n, **more, **filters)
                        assert_is_reference(found, r, exact, 1 / tau)
    assert not np.array_equal(found.indices[0], found.indices[1])


@each_dtype
def test_weights_are_the_softmax_of_what_is_stored(dtype: Any, isa: str) -> None:
    """The policy rebuilds the rollout's weights from log_weights: the same bits."""
    x = logits((50, 700), dtype)
    for t in (0.1, 1.0, np.linspace(0.05, 2, 50)):
        tokens = random.soft_token_step(x, 5, rng=1, top_p=0.4, gumbel_temperature=t)
        assert tokens.weights.tobytes() == special.softmax(tokens.log_weights, temperature=t).tobytes()
        assert np.max(np.abs(tokens.weights.sum(-1) - 1)) < 1e-6
        assert np.all(np.diff(tokens.log_weights.astype(np.float64)[:, :2], axis=-1) <= 0)
    assert np.any(tokens.indices == -1)


@each_dtype
def test_the_heaviest_is_what_categorical_draws(dtype: Any, isa: str) -> None:
    """Noise belongs to the token, not to its rank: it is that of `gumbel`, and that of a plain draw."""
    x = logits((400, 300), dtype)
    ids = hashed(400)
    for filters in ({"top_k": 12}, {"top_k": 12, "top_p": 0.8}, {"top_k": 12, "min_p": 0.05}):
        place: dict[str, Any] = {"rng": 5, "streams": ids, "position": 9}
        tokens = random.gumbel_resample(x, 12, temperature=0.7, **place, **filters)
        assert np.array_equal(tokens.indices[:, 0], random.categorical(x, temperature=0.7, **place, **filters))
        noise = random.gumbel(x.shape, dtype=np.float64, bits=32, **place)
        there = tokens.indices >= 0
        kept = np.take_along_axis(x, tokens.indices, -1).astype(np.float64)
        base = special.log_softmax(kept, temperature=0.7, where=there)
        expected = base + np.take_along_axis(noise, tokens.indices, -1)
        assert np.allclose(tokens.log_weights[there], expected[there], rtol=1e-6, atol=1e-6)


@each_dtype
def test_what_is_rounded_decides_no_order(dtype: Any, isa: str) -> None:
    """Streams in which two logarithms round to one float32, and logits beside which noise is rounded off."""
    for stream in (39619308, 78694507, 159072825):
        x, place = np.zeros((1, 64), dtype), {"rng": 5, "streams": [stream]}
        tokens = random.gumbel_resample(x, 64, **place)
        order = random.gumbel_top_k(x, 64, **place).indices
        assert np.array_equal(tokens.indices, order)
        if dtype is np.float32:
            assert tokens.log_weights[0, 0] == tokens.log_weights[0, 1] or tokens.weights[0, 0] == tokens.weights[0, 1]
        free: dict[str, Any] = {"clamp": (-np.inf, np.inf), "floor": 0.0, "gumbel_temperature": 0.5}
        again = random.soft_token_step(x, 64, **free, **place)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(tokens, again, strict=True))
        # Of noise that is neither clamped nor equal, what is rounded to float32 decides nothing either.
        floored = random.soft_token_step(x, 64, **free | {"floor": 1e-6}, **place)
        assert np.array_equal(floored.indices, order)
    x = np.full((500, 30), 1e8 if dtype is np.float32 else 2.0**60, dtype)
    for t in (1.0, 0.7):
        tokens = random.gumbel_resample(x, 30, rng=2, temperature=t)
        assert np.array_equal(tokens.indices[:, 0], random.categorical(x, rng=2, temperature=t))
        assert np.array_equal(tokens.indices, random.gumbel_resample(x * 0, 30, rng=2, temperature=t).indices)


def test_the_heaviest_has_the_law_of_the_filtered_row() -> None:
    x = np.log([0.35, 0.25, 0.2, 0.1, 0.06, 0.04])
    n = 60000
    for t in (0.1, 2.0):
        tokens = random.gumbel_resample(np.broadcast_to(x, (n, 6)), 4, rng=3, gumbel_temperature=t)
        counts = np.bincount(tokens.indices[:, 0], minlength=6)
        mean = n * special.softmax(x[:4])
        assert counts[4:].sum() == 0
        assert np.sum((counts[:4] - mean) ** 2 / mean) < stats.chi2.isf(FALSE_ALARM, 3)
        assert np.sum((counts[:4] - n / 4) ** 2 / (n / 4)) > stats.chi2.isf(FALSE_ALARM, 3)


def test_clamped_noise_has_atoms() -> None:
    """P(G < -1.5) = exp(-e^1.5) = 0.0113, P(G > 3) = 1 - exp(-e^-3) = 0.0486: how far it is from a density."""
    n = 40000
    x = np.zeros((n, 4))
    tokens = random.soft_token_step(x, 4, rng=1, floor=0.0)
    noise = tokens.log_weights - np.log(0.25)
    for p, count in (
        (np.exp(-np.exp(1.5)), np.count_nonzero(noise < -1.5 + 1e-9)),
        (-np.expm1(-np.exp(-3.0)), np.count_nonzero(noise > 3 - 1e-9)),
    ):
        low, high = stats.binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], 4 * n, p)
        assert low <= count <= high
    assert abs(noise.min() + 1.5) < 1e-12
    assert abs(noise.max() - 3.0) < 1e-12


@each_dtype
def test_of_equal_weights_the_lower_index_comes_first(dtype: Any, isa: str) -> None:
    """Clamped noise of equal logits; and the first of equal logits are kept."""
    tokens = random.soft_token_step(np.zeros((3, 900), dtype), 400, rng=2)
    assert np.all(np.sort(tokens.indices, axis=-1) == np.arange(400))
    equal = np.diff(tokens.log_weights, axis=-1) == 0
    assert np.count_nonzero(equal) > 40
    assert np.all(np.diff(tokens.indices, axis=-1)[equal] > 0)


@each_dtype
def test_a_filtered_row_is_the_row_with_those_tokens_masked(dtype: Any, isa: str) -> None:
    x = logits((30, 900), dtype)
    for filters in FILTERS[1:]:
        kept = random.filter_logits(x, **filters)
        for function in (random.soft_token_step, random.gumbel_resample, random.dirichlet_resample):
            found = function(x, 8, rng=2, **filters)
            assert same(found, function(kept, 8, rng=2))
            spoilt = np.where(kept > -np.inf, x, np.nan).astype(dtype)
            assert same(found, function(spoilt, 8, rng=2, where=kept > -np.inf))


@each_dtype
def test_steps_in_any_batch_layout_and_thread(dtype: Any, threads: Callable[[int], None], isa: str) -> None:
    x = logits((40, 600), dtype)
    ids = hashed(40)
    place: dict[str, Any] = {"rng": 1, "position": 4, "top_p": 0.9, "temperature": np.linspace(0.5, 2, 40)}
    order = np.random.default_rng(1).permutation(40)
    for function in (random.soft_token_step, random.gumbel_resample, random.dirichlet_resample):
        threads(1)
        whole = function(x, 6, streams=ids, **place)
        threads(3)
        for name, view in layouts(x):
            assert same(function(view, 6, streams=ids, **place), whole), name
            assert same(function(view.T, 6, streams=ids, axis=0, **place), whole), name
        t = {"temperature": place["temperature"][order]}
        parts = function(x[order], 6, streams=ids[order], **(place | t))
        assert same(random.SoftTokens(*(a[order] for a in whole)), parts)
        one = function(x[17], 6, streams=int(ids[17]), **(place | {"temperature": place["temperature"][17]}))
        assert same(one, random.SoftTokens(*(a[17] for a in whole)))
        before = sg.isa()
        sg.set_isa("scalar")
        try:
            again = function(x, 6, streams=ids, **place)
        finally:
            sg.set_isa(before)
        assert same(again, whole)
    cube = random.soft_token_step(x.reshape(8, 5, 600), 6, rng=1)
    assert same(random.SoftTokens(*(a.reshape(40, 6) for a in cube)), random.soft_token_step(x, 6, rng=1))


@each_dtype
def test_rows_that_are_not_there(dtype: Any, isa: str) -> None:
    x = logits((4, 50), dtype)
    x[1, 3] = np.nan
    x[2] = -np.inf
    x[3, :48] = -np.inf
    for function in (random.soft_token_step, random.gumbel_resample, random.dirichlet_resample):
        name = function.__name__
        with pytest.raises(
            ValueError, match=rf"^{name}: logits must hold neither NaN nor \+inf, got one in row \(1,\)$"
        ):
            function(x, 5, rng=1)
        with pytest.raises(
            ValueError, match=rf"^{name}: logits must have an element above -inf in every row, got none"
        ):
            function(x[2:], 5, rng=1)
        found = function(x, 5, rng=1, on_invalid="minus_one")
        assert found.indices[1:3].tolist() == [[-1] * 5] * 2
        assert np.isnan(found.weights[1:3]).all()
        assert np.isnan(found.log_weights[1:3]).all()
        assert sorted(found.indices[3].tolist()) == [-1, -1, -1, 48, 49]
        assert found.weights[3, 2:].tolist() == [0, 0, 0]
        if function is not random.dirichlet_resample:
            assert random.soft_token_log_prob(np.nan_to_num(x), *found[::2])[1:3].tolist() == [0, 0]
        empty = function(x[:0], 5, rng=1)
        assert empty.indices.shape == (0, 5)


@each_dtype
def test_logits_of_any_encoding(dtype: Any, isa: str) -> None:
    """Every magnitude, NaN and infinities: categories once each, weights of sum 1, the same with every kernel."""
    x = words(200 * 60, dtype).reshape(200, 60)
    huge = np.where(np.isfinite(x), x, 0)
    for t in (1.0, 1e-30, 1e30):
        for rows in (x, huge):
            more: dict[str, Any] = {"rng": 1, "temperature": t, "on_invalid": "minus_one", "top_p": 0.9}
            for function in (random.soft_token_step, random.gumbel_resample, random.dirichlet_resample):
                found = function(rows, 9, **more)
                there = found.indices >= 0
                spoilt = np.isnan(rows).any(-1) | (rows == np.inf).any(-1)
                assert np.array_equal(spoilt, ~there[:, 0])
                assert np.isnan(found.weights[spoilt]).all()
                assert np.max(np.abs(found.weights[~spoilt].sum(-1) - 1)) < 1e-6
                assert np.all(found.weights[~spoilt][~there[~spoilt]] == 0)
                for row, kept in zip(found.indices, there, strict=True):
                    assert np.unique(row[kept]).size == kept.sum()
                value = random.soft_token_log_prob(huge, *found[::2], temperature=t)
                gradient = random.soft_token_log_prob_grad(huge, *found[::2], dy=1.0, temperature=t)
                assert np.all(np.isfinite(value))
                assert np.all(np.isfinite(gradient))
                before = sg.isa()
                sg.set_isa("scalar")
                again = function(rows, 9, **more)
                sg.set_isa(before)
                assert same(again, found)
    assert np.count_nonzero(np.isnan(x).any(-1)) > 10
    # Logarithms beyond the dtype are -inf, with weight 0, of categories that are there.
    far = np.array([0, -np.finfo(dtype).max, -1], dtype)
    found = random.gumbel_resample(far, 3, rng=1, temperature=1e-3)
    assert found.indices.tolist() == [0, 2, 1]
    assert found.log_weights[2] == -np.inf
    assert found.weights.tolist() == [1, 0, 0]
    assert random.dirichlet_resample(far, 3, rng=1, temperature=1e-3).indices[0] == 0


# The policy


@each_dtype
def test_the_same_policy_has_ratio_one(dtype: Any, isa: str) -> None:
    """The rollout's own value, bit for bit, from any copy of its logits; and -e - exp(-e) of the noise it drew."""
    x = logits((60, 500), dtype)
    tokens = random.soft_token_step(x, 5, rng=3, temperature=0.8)
    own = random.soft_token_log_prob(x, *tokens[::2], temperature=0.8)
    gathered = np.take_along_axis(x, tokens.indices, -1)
    places = np.broadcast_to(np.arange(5), (60, 5))
    for again in (
        random.soft_token_log_prob(np.asfortranarray(x), *tokens[::2], temperature=0.8),
        random.soft_token_log_prob(x.T, *tokens[::2], temperature=0.8, axis=0),
        random.soft_token_log_prob(gathered, places, tokens.log_weights, temperature=0.8),
        np.array([random.soft_token_log_prob(a, i, g, temperature=0.8) for a, i, _, g in zip(x, *tokens, strict=True)]),
    ):
        assert again.tobytes() == own.tobytes()
    noise = np.take_along_axis(random.gumbel(x.shape, rng=3, dtype=np.float64, bits=32), tokens.indices, -1)
    e = np.clip(noise, -1.5, 3)
    q = special.softmax(gathered.astype(np.float64), temperature=0.8)
    counted = np.log(q + 1e-6) > -3
    expected = np.sum(np.where(counted, -e - np.exp(-e), 0), -1) / counted.sum(-1)
    assert np.max(np.abs(own - expected)) < (1e-5 if dtype is np.float32 else 1e-13)  # e^1.5 units of |g| <= 16
    assert np.std(own) > 0.1


@each_dtype
def test_policy_is_what_the_reference_has(dtype: Any, isa: str) -> None:
    x, y = logits((40, 300), dtype), logits((40, 300), dtype, seed=9)
    tokens = random.soft_token_step(x, 7, rng=3, top_p=0.6)
    assert np.any(tokens.indices == -1)
    for options in (
        {},
        {"clamp": (-np.inf, np.inf), "floor": 0.0, "mask_threshold": -np.inf},
        {"temperature": 0.5, "mask_threshold": -1.0, "floor": 1e-3, "clamp": (-1.0, 2.0)},
    ):
        found = random.soft_token_log_prob(y, *tokens[::2], **options)
        gradient = random.soft_token_log_prob_grad(y, *tokens[::2], dy=1.0, **options)
        assert found.dtype == gradient.dtype == np.float64
        for r in range(40):
            there = tokens.indices[r] >= 0
            drawn = tokens.indices[r, there], tokens.log_weights[r, there]
            exact = reference.random.soft_token_log_prob(y[r], *drawn, **options)
            assert abs(found[r] - exact) <= 1e-12 * max(1, abs(exact))
            dense = reference.random.soft_token_log_prob_grad(y[r], *drawn, **options)
            whole = np.zeros(300)
            whole[drawn[0]] = gradient[r, there]
            assert np.max(np.abs(whole - dense)) <= 1e-12 * max(1, np.max(np.abs(dense)))
            assert np.all(gradient[r, ~there] == 0)
    assert np.max(np.abs(gradient)) > 0.1


def test_gradient_by_finite_differences(isa: str) -> None:
    """At every token of the vocabulary: what was not drawn has no influence at all."""
    x, y = logits((6, 12), np.float64, 1.0), logits((6, 12), np.float64, 1.0, seed=4)
    for t in (1.0, np.linspace(0.5, 2, 6)):
        tokens = random.soft_token_step(x, 4, rng=8, temperature=t)
        upstream = logits(6, np.float64, 1.0, seed=7)
        sparse = random.soft_token_log_prob_grad(y, *tokens[::2], dy=upstream, temperature=t)
        assert np.max(np.abs(sparse.sum(-1))) < 1e-15
        dense = np.zeros(y.shape)
        np.put_along_axis(dense, tokens.indices, sparse, -1)
        for i in range(12):
            step = 1e-6 * (np.arange(12) == i)
            up, down = (random.soft_token_log_prob(y + s, *tokens[::2], temperature=t) for s in (step, -step))
            drawn = (tokens.indices == i).any(-1)
            assert np.all((up == down)[~drawn])
            assert np.max(np.abs(upstream * (up - down) / 2e-6 - dense[:, i])) < 1e-8
    assert np.max(np.abs(dense)) > 0.1


def test_clamped_and_masked_tokens_have_no_gradient() -> None:
    x = np.log([0.6, 0.37, 0.03])
    g = x + np.array([4.0, 1.0, 1.0])  # beyond the clamp; inside; q below exp(-3)
    value = random.soft_token_log_prob(x, [0, 1, 2], g, floor=0.0)
    assert abs(value - (-3 - np.exp(-3) - 1 - np.exp(-1)) / 2) < 1e-14
    w = (1 - np.exp(-1)) / 2
    expected = np.array([0, w, 0]) - np.array([0.6, 0.37, 0.03]) * w
    assert np.max(np.abs(random.soft_token_log_prob_grad(x, [0, 1, 2], g, dy=1.0, floor=0.0) - expected)) < 1e-14
    # All of 30 equal tokens are below the threshold: a mean of none, which moves nothing.
    flat = np.zeros(30)
    tokens = random.soft_token_step(flat, 30, rng=1)
    assert random.soft_token_log_prob(flat, *tokens[::2]) == 0
    assert not random.soft_token_log_prob_grad(flat, *tokens[::2], dy=1.0).any()
    assert random.soft_token_log_prob(flat, *tokens[::2], mask_threshold=-np.inf) < -0.5


@each_dtype
def test_what_the_rollout_clamped_has_no_gradient(dtype: Any, isa: str) -> None:
    """Log_weights are rounded to either side of the clamp: under the policy that drew them this must not show."""
    x = logits((300, 200), dtype, 2.0)
    tokens = random.soft_token_step(x, 5, rng=4)
    noise = np.take_along_axis(random.gumbel(x.shape, rng=4, dtype=np.float64, bits=32), tokens.indices, -1)
    q = special.softmax(np.take_along_axis(x, tokens.indices, -1).astype(np.float64))
    counted = np.log(q + 1e-6) > -3
    inside = (noise > -1.5) & (noise < 3)
    assert np.count_nonzero(counted & ~inside) > 20
    w = counted * inside * (1 - np.exp(-noise)) * q / (q + 1e-6) / counted.sum(-1, keepdims=True)
    expected = w - q * w.sum(-1, keepdims=True)
    found = random.soft_token_log_prob_grad(x, *tokens[::2], dy=1.0)
    assert np.max(np.abs(found - expected)) < (1e-4 if dtype is np.float32 else 1e-13)
    assert np.max(np.abs(expected)) > 0.5


def test_hostile_logits_of_the_policy(isa: str) -> None:
    x = logits((3, 20), np.float64)
    tokens = random.soft_token_step(x, 4, rng=1)
    spoilt = x.copy()
    spoilt[0, tokens.indices[0, 0]] = np.nan
    spoilt[1, tokens.indices[1, 1]] = np.inf
    spoilt[2] = -np.inf  # the policy never draws: q = 0, which no floor of probability counts
    value = random.soft_token_log_prob(spoilt, *tokens[::2])
    gradient = random.soft_token_log_prob_grad(spoilt, *tokens[::2], dy=1.0)
    nan = np.float64(np.nan).tobytes()
    assert value[0].tobytes() == value[1].tobytes() == nan
    assert all(v.tobytes() == nan for v in gradient[:2].ravel())
    assert value[2] == 0
    assert not gradient[2].any()
    free = (-np.inf, np.inf)
    for g in ([np.inf, 0.0], [-1e308, 1e308], [np.nan, 0.0]):  # what no rollout stores: no warning, at least
        assert not np.isfinite(random.soft_token_log_prob(x[0], [0, 1], g, clamp=free, mask_threshold=-np.inf))
        assert random.soft_token_log_prob_grad(x[0], [0, 1], g, dy=np.inf, clamp=free).shape == (2,)


# Dirichlet


@each_dtype
def test_dirichlet_is_what_the_reference_has(dtype: Any, isa: str) -> None:
    place: dict[str, Any] = {"streams": [7, 2**63, 0], "position": [3, 2**40, 5]}
    for n in (1, 5, 300):
        x = logits((3, n), dtype, 2.0, seed=n)
        for filters in FILTERS:
            for a in (0.5, 4.0, 1000.0):
                k = min(n, 10)
                found = random.dirichlet_resample(x, k, rng=n, concentration=a, **place, **filters)
                for r, (stream, at) in enumerate(zip(place["streams"], place["position"], strict=True)):
                    more: dict[str, Any] = {"concentration": a, "stream": stream, "position": at}
                    exact = reference.random.dirichlet_resample(x[r], k, n, **more, **filters)
                    assert np.array_equal(found.indices[r, : exact[0].size], exact[0])
                    assert np.allclose(found.log_weights[r, : exact[0].size], exact[2], rtol=1e-6, atol=1e-6)
                    assert np.allclose(found.weights[r, : exact[0].size], exact[1], rtol=1e-5, atol=1e-30)
    assert found.weights.dtype == dtype


def test_dirichlet_moments() -> None:
    """Mean p and variance p (1 - p) / (a + 1), within six standard deviations of their estimates."""
    p = np.array([0.4, 0.3, 0.2, 0.1])
    n = 40000
    for a in (0.3, 4.0, 50.0):
        tokens = random.dirichlet_resample(np.broadcast_to(np.log(p), (n, 4)), 4, rng=2, concentration=a)
        x = np.zeros((n, 4))
        np.put_along_axis(x, tokens.indices, tokens.weights, -1)
        variance = p * (1 - p) / (a + 1)
        assert np.all(np.abs(x.mean(0) - p) < 6.1 * np.sqrt(variance / n))
        squares = (x - p) ** 2
        assert np.all(np.abs(squares.mean(0) - variance) < 6.1 * squares.std(0) / np.sqrt(n))
        assert not np.all(np.abs(x.mean(0) - 0.25) < 6.1 * np.sqrt(variance / n))


def test_dirichlet_limits() -> None:
    """A concentration of 1e-300 draws single tokens by their probabilities and never 0 / 0; a large one gives p."""
    p = np.array([0.5, 0.3, 0.2])
    n = 30000
    x = np.broadcast_to(np.log(p), (n, 3))
    tokens = random.dirichlet_resample(x, 3, rng=4, concentration=1e-300)
    assert np.all(np.isfinite(tokens.log_weights))
    assert np.array_equal(tokens.weights, np.broadcast_to([1.0, 0.0, 0.0], (n, 3)))
    counts = np.bincount(tokens.indices[:, 0], minlength=3)
    assert np.sum((counts - n * p) ** 2 / (n * p)) < stats.chi2.isf(FALSE_ALARM, 2)
    tokens = random.dirichlet_resample(x[:50], 3, rng=4, concentration=1e12)
    assert np.max(np.abs(tokens.weights - p)) < 1e-5
    # Probabilities below the smallest number, which no gamma number could have for its shape.
    far = random.dirichlet_resample([0.0, -2000.0], 2, rng=1)
    assert far.weights.tolist() == [1.0, 0.0]


def test_dirichlet_noise_belongs_to_the_token() -> None:
    """It is what `gamma` draws at the token's index, whatever else was kept."""
    x = logits((5, 400), np.float64)
    tokens = random.dirichlet_resample(x, 400, rng=6, concentration=3.0, top_k=20)
    there = tokens.indices >= 0
    assert there.sum() == 100
    kept = random.filter_logits(x, top_k=20)
    logs = random.gamma(np.maximum(3.0 * special.softmax(kept), 2.0**-1000), rng=6, log=True, dtype=np.float64)
    expected = special.log_softmax(np.where(kept > -np.inf, logs, -np.inf))
    found = np.full(x.shape, -np.inf)
    for r in range(5):
        found[r, tokens.indices[r, there[r]]] = tokens.log_weights[r, there[r]]
    assert np.allclose(found, expected, rtol=1e-12, atol=1e-12)


X = np.zeros((2, 5))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: random.soft_token_step(X, 6, rng=1), ValueError, "soft_token_step: k must be in [1, 5], got 6"),
        (lambda: random.soft_token_step(X, 0, rng=1), ValueError, "soft_token_step: k must be in [1, 5], got 0"),
        (lambda: random.gumbel_resample(X, 2.0, rng=1), TypeError, "gumbel_resample: k must be an int, got float"),
        (
            lambda: random.dirichlet_resample(np.zeros((3, 0)), 1, rng=1),
            ValueError,
            "dirichlet_resample: k must be in [1, 0], got 1",
        ),
        (
            lambda: random.soft_token_step(X, 2, rng=None),
            TypeError,
            "soft_token_step: rng must be a Key, an int seed or a numpy Generator, got NoneType",
        ),
        (
            lambda: random.soft_token_step(X, 2, rng=1, gumbel_temperature=0.0),
            ValueError,
            "soft_token_step: gumbel_temperature must be positive and finite, got 0.0",
        ),
        (
            lambda: random.soft_token_step(X, 2, rng=1, gumbel_temperature=[1.0, 2.0, 3.0]),
            ValueError,
            "soft_token_step: gumbel_temperature must be a scalar or have the shape of the rows, (2,), got shape (3,)",
        ),
        (
            lambda: random.soft_token_step(X, 2, rng=1, temperature=0.0),
            ValueError,
            "soft_token_step: temperature must be positive and finite, got 0.0",
        ),
        (
            lambda: random.soft_token_step(X, 2, rng=1, clamp=(1.0, np.nan)),
            ValueError,
            "soft_token_step: clamp must be a lower and a higher number, got (1.0, nan)",
        ),
        (
            lambda: random.soft_token_step(X, 2, rng=1, clamp=3.0),
            TypeError,
            "soft_token_step: clamp must be a pair of real numbers, got 3.0",
        ),
        (
            lambda: random.soft_token_step(X, 2, rng=1, clamp=("a", 3.0)),
            TypeError,
            "soft_token_step: clamp must be a real number, got str",
        ),
        (
            lambda: random.soft_token_step(X, 2, rng=1, floor=X),
            TypeError,
            "soft_token_step: floor must be a real number, got ndarray",
        ),
        (
            lambda: random.soft_token_step(X, 2, rng=1, floor=-1e-6),
            ValueError,
            "soft_token_step: floor must be in [0, 1), got -1e-06",
        ),
        (
            lambda: random.soft_token_step(X, 2, rng=1, top_p=0.0),
            ValueError,
            "soft_token_step: top_p must be in (0, 1], got 0.0",
        ),
        (
            lambda: random.soft_token_step(X, 2, rng=1, streams=[1, 2, 3]),
            ValueError,
            "soft_token_step: streams must have the shape of the rows, (2,), got shape (3,)",
        ),
        (
            lambda: random.soft_token_step(X, 2, rng=1, position=[1, 2, 3]),
            ValueError,
            "soft_token_step: position must be a scalar or have the shape of the rows, (2,), got shape (3,)",
        ),
        (
            lambda: random.soft_token_step(X, 2, rng=1, on_invalid=np.zeros(2)),
            TypeError,
            "soft_token_step: on_invalid must be a string, got array([0., 0.])",
        ),
        (
            lambda: random.gumbel_resample(X, 2, rng=1, ties=np.zeros(2)),
            TypeError,
            "gumbel_resample: ties must be a string, got array([0., 0.])",
        ),
        (
            lambda: random.gumbel_resample(X, 2, rng=1, filter_order=None),
            TypeError,
            "gumbel_resample: filter_order must be a sequence of strings, got None",
        ),
        (
            lambda: random.dirichlet_resample(X, 2, rng=1, filter_order=None),
            TypeError,
            "dirichlet_resample: filter_order must be a sequence of strings, got None",
        ),
        (
            lambda: random.soft_token_step(X, 2, rng=1, on_invalid="no"),
            ValueError,
            "soft_token_step: on_invalid must be 'raise' or 'minus_one', got 'no'",
        ),
        (
            lambda: random.dirichlet_resample(X, 2, rng=1, concentration=0.0),
            ValueError,
            "dirichlet_resample: concentration must be in [2**-1000, 2**1000], got 0.0",
        ),
        (
            lambda: random.dirichlet_resample(X, 2, rng=1, concentration=[1.0, 2.0, 3.0]),
            ValueError,
            "dirichlet_resample: concentration must be a scalar or have the shape of the rows, (2,), got shape (3,)",
        ),
        (
            lambda: random.soft_token_log_prob(X, [[0, 1]], [[0.0, 0.0]]),
            ValueError,
            "soft_token_log_prob: indices must have the shape of the rows, (2,), and one axis more, got shape (1, 2)",
        ),
        (
            lambda: random.soft_token_log_prob(X[0], [0, 5], [0.0, 0.0]),
            ValueError,
            "soft_token_log_prob: indices must be in [-1, 5), got 5",
        ),
        (
            lambda: random.soft_token_log_prob(X[0], [1, 1], [0.0, 0.0]),
            ValueError,
            "soft_token_log_prob: indices must not repeat in a row, got one that does",
        ),
        (
            lambda: random.soft_token_log_prob(X[0], [1.0], [0.0]),
            TypeError,
            "soft_token_log_prob: indices must be an array of integers, got dtype dtype('float64')",
        ),
        (
            lambda: random.soft_token_log_prob(X[0], [0, 1], [0.0]),
            ValueError,
            "soft_token_log_prob: log_weights must have the shape of indices, (2,), got (1,)",
        ),
        (
            lambda: random.soft_token_log_prob(X[0], [0, 1], [0.0, 0.0], mask_threshold=np.nan),
            ValueError,
            "soft_token_log_prob: mask_threshold must not be NaN, got nan",
        ),
        (
            lambda: random.soft_token_log_prob_grad(X, [[0]] * 2, [[0.0]] * 2, dy=np.zeros(3)),
            ValueError,
            "soft_token_log_prob_grad: dy must have the shape of the rows, (2,), got (3,)",
        ),
    ],
)
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message

"""The NumPy reference of what is built on noise, and the public functions against it."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sorgum import random, reference
from sorgum._data.inputs import logits

Array = Any
ref = reference.random
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
PLACE: dict[str, Any] = {"streams": [7, 2**63, 0], "position": [3, 2**40, 5], "index_offset": 11}


def assert_near(found: Array, exact: Array, rtol: float) -> None:
    """Assert that errors are within `rtol` of max(abs(exact), 1), which zeros and a shuffled answer are not."""
    found, exact = np.asarray(found), np.asarray(exact)
    assert found.shape == exact.shape
    limit = rtol * np.maximum(1, np.abs(exact))
    assert np.all(np.abs(found - exact) <= limit)
    if exact.size > 1:
        assert np.any(np.abs(exact) > limit)
        assert np.any(np.abs(np.roll(exact, 1) - exact) > limit)


@each_dtype
def test_probabilities_of_draws_without_replacement(dtype: Any, isa: str) -> None:
    """In this order by the definition; in any by summing over all orders."""
    x = logits((6, 9), dtype, 2.0)
    assert np.isclose(
        sum(np.exp(ref.top_k_log_prob(x[:1], [list(i)])[0]) for i in itertools.permutations(range(9), 2)), 1
    )
    for k in (1, 2, 5):
        drawn = random.gumbel_top_k(x, k, rng=k)
        for ordered in (True, False):
            found = random.top_k_log_prob(x, drawn.indices, ordered=ordered)
            assert_near(found, ref.top_k_log_prob(x, drawn.indices, ordered=ordered), 1e-12)
    found = random.inclusion_weights(x, drawn)
    assert_near(found, ref.inclusion_weights(x, drawn.indices, drawn.threshold), 1e-12)
    everything = random.gumbel_top_k(x, 9, rng=1)
    exact = ref.inclusion_weights(x, everything.indices, everything.threshold)
    assert_near(random.inclusion_weights(x, everything), exact, 1e-12)
    assert np.allclose(exact.sum(-1), 1)


@each_dtype
def test_conditional_gumbels(dtype: Any, isa: str) -> None:
    x = logits((3, 40), dtype)
    upper = logits((3, 40), np.float64, 2.0, seed=4)
    for bound in (0.5, upper):
        assert_near(
            random.truncated_gumbel(x, bound, rng=9, **PLACE), ref.truncated_gumbel(x, bound, 9, **PLACE), 1e-12
        )
    for top in (1.5, np.array([-3.0, 0.0, 40.0])):
        found, exact = random.gumbel_given_max(x, top, rng=9, **PLACE), ref.gumbel_given_max(x, top, 9, **PLACE)
        assert_near(found, exact, 1e-12)
        assert np.array_equal(np.max(exact, axis=-1), np.broadcast_to(top, (3,)))


@each_dtype
def test_relaxed_draws(dtype: Any, isa: str) -> None:
    """The errors of float32 noise, some units of at most 23, over the temperature."""
    x, upstream = logits((3, 40), dtype, 1.0), logits((3, 40), dtype, 1.0, seed=4)
    rtol = 1e-4 if dtype is np.float32 else 1e-12
    for t in (1.0, np.array([0.5, 1.0, 3.0])):
        found = random.gumbel_softmax_grad(x, dy=upstream, rng=9, temperature=t, position=6)
        assert np.max(np.abs(found - ref.gumbel_softmax_grad(x, 9, dy=upstream, temperature=t, position=6))) < rtol
        assert np.max(np.abs(found)) > 100 * rtol
    for t in (0.3, 2.0, np.abs(upstream) + 0.1):
        found, exact = (
            random.binary_concrete(x, rng=9, temperature=t, **PLACE),
            ref.binary_concrete(x, 9, temperature=t, **PLACE),
        )
        assert_near(found, exact, rtol)
        gates, hard = (
            random.hard_concrete(x, rng=9, temperature=t, stretch=(-0.2, 1.3), **PLACE),
            ref.hard_concrete(x, 9, temperature=t, stretch=(-0.2, 1.3), **PLACE),
        )
        assert_near(gates, hard, rtol)


@each_dtype
def test_concrete_densities(dtype: Any, isa: str) -> None:
    y, x = logits((6, 9), dtype, 3.0), logits((6, 9), dtype, 1.0, seed=3)
    for t in (0.5, np.linspace(0.1, 3, 6)):
        for of_points in (False, True):
            found = random.concrete_log_prob(y, x, temperature=t, of_points=of_points)
            assert_near(found, ref.concrete_log_prob(y, x, temperature=t, of_points=of_points), 1e-13)
        for a, b in zip(
            random.concrete_score(y, x, temperature=t), ref.concrete_score(y, x, temperature=t), strict=True
        ):
            assert_near(a, b, 1e-13)


def test_dirichlet(isa: str) -> None:
    a = np.exp(logits((3, 40), np.float64, 2.0))
    place = {"streams": PLACE["streams"], "position": PLACE["position"]}
    assert_near(random.dirichlet(a, rng=2, dtype=np.float64, **place), ref.dirichlet(a, 2, **place), 1e-12)


def public() -> list[str]:
    """Every public function that computes something of arrays."""
    keys = {"Key", "TopK", "SoftTokens", "key", "fold_in", "split"}
    return [name for name in random.__all__ if name not in keys]


# What stands in the reference under another name, or is the algebra of one that stands there.
ELSEWHERE: dict[str, Callable[..., Any]] = {
    "bits": ref.words,
    "filter_logits": ref.filtered,
    "apply_penalties": ref.penalised,
    "gumbel_partial": ref.categorical,
    "gumbel_merge": ref.categorical,
}


@pytest.mark.parametrize("name", public())
def test_every_function_has_a_reference(name: str) -> None:
    assert callable(ELSEWHERE.get(name) or getattr(ref, name))

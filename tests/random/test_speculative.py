"""The example of speculative decoding: its tokens have the target's law, and with one key for all draws they do not."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from sorgum import random, special

Array = Any
FALSE_ALARM = 1e-9
PATH = Path(__file__).resolve().parents[2] / "examples" / "speculative_decoding.py"
WORDS, REQUESTS, LENGTH = 4, 200_000, 3

# The first row: a draft that is far from its target, and the target.
SMALL = np.log([[0.6, 0.2, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25], [0.7, 0.1, 0.1, 0.1]])
LARGE = np.log([[0.05, 0.35, 0.35, 0.25], [0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25], [0.1, 0.7, 0.1, 0.1]])


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("speculative_decoding", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def speculated(example: Any, keys: list[Any]) -> tuple[Array, Array]:
    """Return tokens and their number for many requests whose last token is 0."""
    streams = np.arange(REQUESTS)
    prompt = np.zeros(REQUESTS, int)
    place: dict[str, Any] = {"streams": streams, "position": 5}
    return example.speculate(SMALL.__getitem__, LARGE.__getitem__, prompt, LENGTH, keys=keys, **place)


def p_values(tokens: Array, count: Array) -> list[float]:
    """Return that of the first token, and that of each later one given the token before it, where there is one."""
    found = [stats.chisquare(np.bincount(tokens[:, 0], minlength=WORDS), REQUESTS * special.softmax(LARGE[0])).pvalue]
    for step in range(1, LENGTH + 1):
        for before in range(WORDS):
            those = (count > step) & (tokens[:, step - 1] == before)
            seen = np.bincount(tokens[those, step], minlength=WORDS)
            found.append(stats.chisquare(seen, seen.sum() * special.softmax(LARGE[before])).pvalue)
    return [float(p) for p in found]


def test_a_key_per_purpose_has_the_law_of_the_target(example: Any) -> None:
    tokens, count = speculated(example, example.purposes(random.key(5)))
    assert min(p_values(tokens, count)) > FALSE_ALARM
    assert set(np.unique(count)) == set(range(1, LENGTH + 2))
    # A first draft is accepted with probability sum(min(p, q)).
    share = float(np.minimum(special.softmax(SMALL[0]), special.softmax(LARGE[0])).sum())
    low, high = stats.binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], REQUESTS, share)
    assert low <= np.count_nonzero(count > 1) <= high


def test_one_key_for_draft_and_recovery_is_biased(example: Any) -> None:
    """They share noise: what is drafted and rejected is what would have been drawn again."""
    draft, accept, _ = example.purposes(random.key(5))
    found = p_values(*speculated(example, [draft, accept, draft]))
    assert found[0] < FALSE_ALARM
    assert p_values(*speculated(example, [random.key(5)] * 3))[0] < FALSE_ALARM


def test_a_request_draws_the_same_in_any_batch(example: Any) -> None:
    keys = example.purposes(random.key(5))
    tokens, count = speculated(example, keys)
    some = np.array([17, 3, 100_000])
    again, number = example.speculate(
        SMALL.__getitem__, LARGE.__getitem__, np.zeros(3, int), LENGTH, keys=keys, streams=some, position=5
    )
    assert np.array_equal(again, tokens[some])
    assert np.array_equal(number, count[some])


# Who shares noise with whom: what the package's documentation says.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_which_functions_share_noise(dtype: Any) -> None:
    n = 400
    x = np.zeros((200, n), dtype)
    place: dict[str, Any] = {"rng": 11, "streams": np.arange(200) + 3, "position": 2}
    token = random.categorical(x, **place)
    one_hot = np.zeros(200, int)
    for same in (
        random.gumbel(x.shape, bits=32, dtype=np.float64, **place).argmax(-1),
        random.gumbel_partial(x, **place)["index"],
        random.gumbel_top_k(x, 3, **place).indices[:, 0],
        random.gumbel_softmax(x, hard=True, **place).argmax(-1),
        random.gumbel_softmax(x.astype(np.float64), **place).argmax(-1),
        random.flow_interpolant(one_hot, n, temperature=1.0, beta=1e-300, dtype=np.float64, **place).argmax(-1),
        random.soft_token_step(x, n, clamp=(-np.inf, np.inf), floor=0.0, **place).indices[:, 0],
        random.gumbel_resample(x, n, **place).indices[:, 0],
    ):
        assert np.array_equal(same, token)
    wide = random.gumbel(x.shape, dtype=np.float64, **place)
    assert np.allclose(random.truncated_gumbel(x, np.inf, **place), wide, rtol=1e-12, atol=1e-12)
    assert np.array_equal(random.gumbel_given_max(x, 1.0, **place).argmax(-1), wide.argmax(-1))
    logistic = random.logistic(x.shape, bits=32, dtype=dtype, **place)
    assert np.array_equal(random.binary_concrete(x, logit=True, **place), logistic)
    assert np.array_equal(random.hard_concrete(x, **place) > 0.5, logistic > 0)
    logs = random.gamma(np.full(x.shape, 0.25), log=True, dtype=np.float64, **place)
    assert np.array_equal(random.dirichlet(np.full(x.shape, 0.25), dtype=np.float64, **place), special.softmax(logs))
    soft = random.dirichlet_resample(x.astype(np.float64), n, concentration=0.25 * n, **place)
    assert np.array_equal(soft.indices[:, 0], logs.argmax(-1))

    # All others have nothing in common: not with these, nor with each other.
    apart = {
        "gumbel": random.gumbel(x.shape, bits=32, dtype=np.float64, **place),
        "gumbel, 64 bits": wide,
        "uniform": random.uniform(x.shape, bits=32, dtype=np.float64, **place),
        "uniform, 64 bits": random.uniform(x.shape, bits=64, dtype=np.float64, **place),
        "exponential": random.exponential(x.shape, bits=32, dtype=np.float64, **place),
        "exponential, 64 bits": random.exponential(x.shape, bits=64, dtype=np.float64, **place),
        "logistic": random.logistic(x.shape, bits=32, dtype=np.float64, **place),
        "logistic, 64 bits": random.logistic(x.shape, bits=64, dtype=np.float64, **place),
        "normal": random.normal(x.shape, bits=32, dtype=np.float64, **place),
        "normal, 64 bits": random.normal(x.shape, bits=64, dtype=np.float64, **place),
        "bits": random.bits(x.shape, **place).astype(np.float64),
        "bits, 64 bits": random.bits(x.shape, dtype=np.uint64, **place).astype(np.float64),
        "gamma": logs,
    }
    ranks = np.stack([stats.rankdata(values.ravel()) for values in apart.values()])
    correlation = np.abs(np.corrcoef(ranks) - np.eye(len(apart)))
    assert correlation.max() < stats.norm.isf(FALSE_ALARM / 2) / np.sqrt(x.size)
    by_inversion = random.categorical(x, method="inverse", **place)
    assert np.count_nonzero(by_inversion == token) < stats.binom.isf(FALSE_ALARM, 200, 1 / n)

"""What the golden digests of the family `random` are digests of."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorgum import random, special
from sorgum._data.inputs import LENGTHS, QUICK_LENGTHS, hashed, logits, words
from sorgum.interop import bfloat16

__all__ = ["FUNCTIONS", "HALF_FUNCTIONS", "LAWS", "outputs", "quick", "result_dtype"]

Array = NDArray[Any]

HALF_FUNCTIONS = ("half_types",)
LAWS = ("bits", "uniform", "exponential", "gumbel", "logistic", "normal")


def noise(law: str, dtype: np.dtype[Any]) -> Iterator[Array]:
    function = getattr(random, law)
    widths: tuple[dict[str, Any], ...] = ({"bits": 32}, {"bits": 64})
    if law == "bits":
        widths, dtype = ({},), np.dtype(f"u{dtype.itemsize}")
    for width in widths:
        for n in (1, 3, 64, 65, 1000, 50021):
            yield function((3, n), rng=n, dtype=dtype, **width)
        key = random.fold_in(random.split(random.key(2**64 - 1), 3)[2], 2**63)
        place = {"streams": [0, 2**64 - 1, 2**32], "position": np.array([0, 2**63, 2**32 + 1], dtype=np.uint64)}
        yield function((3, 1000), rng=key, dtype=dtype, index_offset=2**34 - 70, **place, **width)


def draws(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in LENGTHS:
        for x in (logits((5, n), dtype, seed=n), np.zeros((5, n), dtype)):
            yield random.categorical(x, rng=n, num_samples=3, position=n)
            for temperature in (0.0, 0.6875, 1e30):
                partial = random.gumbel_partial(x, rng=n, temperature=temperature, index_offset=n)
                yield from (partial[field].view(np.int64) for field in ("value", "low", "index"))
    yield random.categorical(words(4096 * 6, dtype).reshape(512, 48), rng=1, on_invalid="minus_one")


def filtered_draws(dtype: np.dtype[Any]) -> Iterator[Array]:
    filters: tuple[dict[str, Any], ...] = ({"top_k": 5}, {"top_p": 0.75}, {"min_p": 0.05}, {"top_k": 900, "top_p": 0.5})
    for n in LENGTHS:
        x = logits((5, n), dtype, 3.0, seed=n)
        for keywords in filters:
            for ties in ("first", "all"):
                place: dict[str, Any] = {"rng": n, "ties": ties, "num_samples": 3}
                drawn = random.categorical(x, temperature=0.6875, return_log_prob=True, **place, **keywords)
                yield from (array.view(np.int64) for array in drawn)
                yield random.categorical(np.round(x), method="inverse", **place, **keywords)
                kept = random.filter_logits(np.round(x), ties=ties, **keywords) > -np.inf
                yield np.flatnonzero(kept).astype(np.int64)


def gamma_numbers(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (1, 16, 1000, 20011):
        a = np.ldexp(1.0, (hashed(3 * n, n) >> np.uint64(58)).astype(np.int64) - 32).reshape(3, n)
        for log in (False, True):
            yield random.gamma(a, rng=n, log=log, dtype=dtype, index_offset=n)


def inverse_draws(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in LENGTHS:
        for temperature in (0.0, 0.6875, 1.0, 1e30):
            keywords: dict[str, Any] = {"num_samples": 20, "temperature": temperature, "method": "inverse"}
            yield random.categorical(logits((5, n), dtype, seed=n), rng=n, **keywords)
    yield random.categorical(words(4096 * 6, dtype).reshape(512, 48), rng=1, method="inverse", on_invalid="minus_one")


def relaxed_draws(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in LENGTHS:
        x = logits((5, n), dtype, seed=n)
        for temperature in (0.6875, 37.5):
            yield random.gumbel_softmax(x, rng=n, temperature=temperature, index_offset=n)
        yield from (array.astype(dtype) for array in random.gumbel_top_k(x, n // 2, rng=n))


def soft_tokens(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in LENGTHS:
        x, k = logits((5, n), dtype, seed=n), min(n, 6)
        place: dict[str, Any] = {"rng": n, "position": n, "temperature": 0.6875}
        filters: tuple[dict[str, Any], ...] = ({}, {"top_p": 0.75}, {"top_k": 30, "min_p": 0.05})
        for keywords in filters:
            drawn = [
                random.soft_token_step(x, k, **place, **keywords),
                random.gumbel_resample(x, k, **place, **keywords),
            ]
            if keywords or n < 300:  # without a filter it takes a gamma number per category
                drawn.append(random.dirichlet_resample(x, k, concentration=4.0, **place, **keywords))
            for tokens in drawn:
                yield from (array.astype(dtype) for array in tokens)
                value = random.soft_token_log_prob(logits((5, n), dtype, seed=n + 1), *tokens[::2])
                yield value.astype(dtype)
                yield random.soft_token_log_prob_grad(x, *tokens[::2], dy=1.0, clamp=(-9.0, 9.0)).astype(dtype)


def drawn_from_halves(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Return what is drawn from logits of half types, and what is in their own type, four numbers to a word."""
    for n in LENGTHS[:-1]:
        single = logits((5, n), np.float32, seed=n)
        x = single.astype(dtype) if dtype == np.float16 else bfloat16.rounded(single, dtype)
        tokens = (hashed(30, n) % np.uint64(n)).astype(np.int64).reshape(5, 6)
        place: dict[str, Any] = {"rng": n, "position": n, "temperature": 0.6875}
        drawn = [
            *random.categorical(x, return_log_prob=True, **place),
            random.categorical(x, method="inverse", **place),
            random.categorical(x, top_p=0.75, **place),
            *random.gumbel_top_k(x, n // 2, top_k=max(1, n // 2), **place),
            *(array.astype(np.float64) for array in random.soft_token_step(x, min(n, 6), top_p=0.75, **place)),
        ]
        yield from (array.view(np.int64) for array in drawn)
        made = [
            random.gumbel_softmax(x, **place),
            random.gumbel_softmax(x, hard=True, **place),
            random.filter_logits(x, top_k=5, top_p=0.75),
            random.apply_penalties(x, tokens, repetition=1.25, frequency=0.125),
            random.gumbel_softmax_grad(x, dy=x, **place),
        ]
        yield from (np.pad(array.view(np.uint16).ravel(), (0, -array.size % 4)).view(np.int64) for array in made)


def embedding_mixes(dtype: np.dtype[Any]) -> Iterator[Array]:
    for d in LENGTHS:
        for k in (1, 5, 15):
            at = (hashed(3 * k, d) % np.uint64(21)).astype(np.int64).reshape(3, k) - 1
            table = logits((20, d), dtype, seed=d)
            yield random.embedding_mix(special.softmax(logits((3, k), dtype, seed=k)), at, table)


def flows(dtype: np.dtype[Any]) -> Iterator[Array]:
    for v in (2, 4, 21, 300):
        targets = (hashed(35, v) % np.uint64(v)).astype(np.int64).reshape(5, 7)
        for time in (0.0, 0.5, 1.0):
            t = random.flow_temperature(time, maximum=10.0, decay=3.0)
            place: dict[str, Any] = {"rng": v, "temperature": t, "beta": 2.0, "dtype": dtype}
            x = random.flow_interpolant(targets, v, **place)
            y = random.flow_interpolant(targets, v, log=True, **place)
            p = special.softmax(logits(x.shape, dtype, seed=v))
            velocity = random.flow_velocity(x, p, temperature=t, decay=3.0)
            yield from (
                x,
                y,
                velocity,
                random.frozen_flow_velocity(y, decay=3.0),
                random.flow_step(x, velocity, 0.0625),
            )
            yield random.flow_score(y, targets, temperature=t, beta=2.0).astype(dtype)
            yield random.flow_guidance(logits((3, *x.shape), dtype), p)


def mixtures(dtype: np.dtype[Any]) -> Iterator[Array]:
    for k, d in ((1, 1), (2, 3), (4, 17), (21, 6)):
        x, means = logits((50, k), dtype, 1.0, seed=k), logits((50, k, d), dtype, 1.0, seed=d)
        scales = np.ldexp(1.0, (hashed(k * d) >> np.uint64(61)).astype(np.int64) - 4).reshape(k, d).astype(dtype)
        yield random.gaussian_mixture_log_prob(logits((50, d), dtype), x, means, scales).astype(dtype)
        yield from (array.astype(dtype) for array in random.frequency_gradient(x, logits((50, k), dtype, seed=9)))


def quick(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in QUICK_LENGTHS:
        x = logits((5, n), dtype, seed=n)
        place: dict[str, Any] = {"rng": n, "streams": [0, 2**64 - 1, 7, 2**32, 8], "position": n}
        for law in LAWS:
            wanted = np.dtype(f"u{dtype.itemsize}") if law == "bits" else dtype
            yield getattr(random, law)((5, n), dtype=wanted, **place)
        yield random.gamma(np.abs(x), dtype=dtype, **place)
        for method in ("gumbel", "inverse"):
            yield random.categorical(x, method=method, temperature=0.6875, **place)
        yield random.categorical(x, top_k=30, top_p=0.75, min_p=0.01, **place)
        yield random.gumbel_softmax(x, temperature=0.6875, **place)
        yield from random.gumbel_top_k(x, min(n, 6), **place)
        tokens = random.soft_token_step(x, min(n, 6), **place)
        yield from tokens
        weights = special.softmax(logits((5, n), dtype, seed=1))[:, : tokens.indices.shape[-1]]
        yield random.embedding_mix(weights, tokens.indices, logits((n, 40), dtype))
        yield random.gaussian_mixture_log_prob(x[:, :1], x, x[..., None], np.abs(x[0])[:, None] + 1)
    yield random.flow_interpolant(np.arange(6), 6, rng=1, temperature=0.5, dtype=dtype)


DRAWN = {
    "gamma": gamma_numbers,
    "categorical": draws,
    "categorical_filtered": filtered_draws,
    "inverse": inverse_draws,
    "gumbel_softmax": relaxed_draws,
    "soft_tokens": soft_tokens,
    "embedding_mix": embedding_mixes,
    "flow": flows,
    "mixture": mixtures,
}
FUNCTIONS = (*LAWS, *DRAWN)


def outputs(function: str, dtype: np.dtype[Any]) -> Iterator[Array]:
    """Return what the digest of a function is taken over.

    Parameters
    ----------
    function : str
        One of `FUNCTIONS`.
    dtype : dtype
        Of what is drawn, or of the logits.

    Returns
    -------
    iterator of arrays
        Outputs of the function.
    """
    if function in HALF_FUNCTIONS:
        yield from drawn_from_halves(dtype)
    else:
        yield from DRAWN[function](dtype) if function in DRAWN else noise(function, dtype)


def result_dtype(function: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of all outputs of a function."""
    if function in ("categorical", "categorical_filtered", "inverse", *HALF_FUNCTIONS):
        return np.dtype(np.int64)
    return np.dtype(f"u{dtype.itemsize}") if function == "bits" else dtype

"""What the golden digests of golden.json are digests of: SHA-256 over the bytes of outputs, per function and dtype.

The inputs come from integer arithmetic (inputs.py), so that a digest depends on nothing but the kernels.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorgum import random, special
from sorgum._data.inputs import SPECIALS, hashed, logits, words
from sorgum.interop import bfloat16

__all__ = ["NAMES", "QUICK", "digest", "outputs"]

Array = NDArray[Any]

FUNCTIONS = ("exp", "log", "softmax", "softmax_three_pass", "log_softmax", "log_softmax_three_pass")
REDUCTIONS = ("logsumexp", "logsumexp_partial")
LAWS = ("bits", "uniform", "exponential", "gumbel", "logistic", "normal")
GRADIENTS = ("softmax_grad", "log_softmax_grad", "logsumexp_grad")
NAMES = tuple(
    f"special.{function}.{suffix}" for function in (*FUNCTIONS, *REDUCTIONS, *GRADIENTS) for suffix in ("f32", "f64")
)
NAMES += tuple(
    f"random.{function}.{suffix}"
    for function in (
        *(*LAWS, "gamma", "categorical", "categorical_filtered", "inverse", "gumbel_softmax"),
        *("soft_tokens", "embedding_mix", "flow", "mixture"),
    )
    for suffix in ("f32", "f64")
)
# A digest per family and dtype of few and small inputs, for where the others would take minutes: under emulation.
QUICK = tuple(f"{family}.quick.{suffix}" for family in ("special", "random") for suffix in ("f32", "f64"))
NAMES += QUICK
NAMES += tuple(f"random.half_types.{suffix}" for suffix in ("f16", "bf16"))
DTYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "f16": np.dtype(np.float16),
    "bf16": bfloat16.bits,
}

# Rows shorter than a vector, of a few vectors, around a chunk of 4096, and of many chunks.
LENGTHS = (1, 2, 3, 7, 8, 15, 16, 17, 33, 63, 64, 65, 127, 255, 1000, 1023, 4095, 4096, 4097, 8193, 100003)
TEMPERATURES = (0.0009765625, 0.6875, 37.5, 1e30, 1e-30)
QUICK_LENGTHS = (1, 2, 17, 100, 1000, 5000)
OFFSETS = (1e5, -1e5, 6e7, -3e37)


def matrices(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in LENGTHS:
        yield logits((max(1, min(37, 20000 // n)), n), dtype, seed=n)
    for scale in (0.01, 1.0, 20.0, 300.0):
        yield logits((5, 777), dtype, scale, seed=1)
    for offset in OFFSETS:
        yield (logits((3, 5000), np.float64, seed=2) + offset).astype(dtype)
    yield words(4096 * 6, dtype).reshape(512, 48)
    yield np.where(np.isfinite(words(50000, dtype, 1)), words(50000, dtype, 1), 0)[None]
    yield np.array([np.roll(SPECIALS[:12], k) for k in range(12)], dtype=dtype)
    yield np.full((2, 20000), 0.1, dtype=dtype)


def options(dtype: np.dtype[Any]) -> Iterator[tuple[Array, dict[str, Any]]]:
    """Return inputs with keyword arguments that softmax, log_softmax and logsumexp share."""
    for x in matrices(dtype):
        yield x, {}
    x = logits((7, 6, 500), dtype, 10.0, seed=3)
    for temperature in TEMPERATURES:
        yield x, {"temperature": temperature}
    yield x, {"temperature": (hashed(42) >> np.uint64(54)).astype(np.float64).reshape(7, 6) + 0.5}
    yield x, {"axis": 0}
    yield x, {"axis": 1}
    yield x, {"axis": (0, 2)}
    yield x, {"axis": None}
    mask = (hashed(x.size) % np.uint64(3) != 0).reshape(x.shape)
    mask[2, 3] = False
    yield x, {"where": mask}
    yield x[:, :, :40], {"where": mask[0, :, :40], "axis": 0}
    yield logits((1, 300000), dtype, seed=4), {"temperature": 0.5}


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


def elementwise(function: str, dtype: np.dtype[Any]) -> Iterator[Array]:
    for x in (words(1 << 18, dtype), logits(100003, dtype, 30.0), np.abs(logits(99999, dtype, 1.0)), words(5, dtype)):
        yield getattr(special, function)(x)


def rows(function: str, x: Array, keywords: dict[str, Any]) -> Iterator[Array]:
    three_pass = function.endswith("_three_pass")
    function = function.removesuffix("_three_pass")
    if function == "logsumexp_grad":
        shape = np.shape(special.logsumexp(x, **keywords))
        yield special.logsumexp_grad(x, dy=logits(shape, x.dtype, 1.0, seed=5), **keywords)
    elif function in GRADIENTS:
        y = getattr(special, function.removesuffix("_grad"))(x, **keywords)
        yield getattr(special, function)(y, dy=logits(x.shape, x.dtype, 1.0, seed=5), **keywords)
    elif function == "logsumexp_partial":
        yield special.logsumexp_partial(x, **keywords).reshape(-1, 1).view(np.int64)
    elif function == "logsumexp":
        yield special.logsumexp(x, **keywords)
        axis = keywords.get("axis", -1)
        weights = (hashed(x.size) >> np.uint64(56)).astype(x.dtype).reshape(x.shape) - x.dtype.type(100)
        yield from special.logsumexp(x, axis, b=weights, return_sign=True, where=keywords.get("where"))
    elif three_pass:
        if np.all(np.isfinite(x)):
            for algorithm in ("three_pass_recompute", "three_pass_reload"):
                yield getattr(special, function)(x, algorithm=algorithm, **keywords)
    else:
        yield getattr(special, function)(x, **keywords)
        yield getattr(special, function)(x, empty="zero", **keywords)


def quick_special(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in QUICK_LENGTHS:
        x = logits((5, n), dtype, seed=n)
        yield from (special.exp(x), special.log(np.abs(x)))
        for function in (*FUNCTIONS[2:], *REDUCTIONS, *GRADIENTS):
            kinds: tuple[dict[str, Any], ...] = ({}, {"temperature": 0.6875}, {"axis": 0}, {"where": x > -2})
            for keywords in kinds:
                yield from rows(function, x, keywords)


def quick_random(dtype: np.dtype[Any]) -> Iterator[Array]:
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


def outputs(name: str) -> Iterator[Array]:
    """Return what a digest is taken over, one array at a time.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    iterator of arrays
        Outputs of the function.

    Examples
    --------
    >>> next(outputs("special.exp.f32")).dtype
    dtype('float32')
    """
    family, function, suffix = name.split(".")
    dtype = DTYPES[suffix]
    if family == "random":
        made = {
            "quick": quick_random,
            "gamma": gamma_numbers,
            "categorical": draws,
            "categorical_filtered": filtered_draws,
            "inverse": inverse_draws,
            "gumbel_softmax": relaxed_draws,
            "soft_tokens": soft_tokens,
            "embedding_mix": embedding_mixes,
            "flow": flows,
            "mixture": mixtures,
            "half_types": drawn_from_halves,
        }.get(function)
        yield from noise(function, dtype) if made is None else made(dtype)
    elif function == "quick":
        yield from quick_special(dtype)
    elif function in ("exp", "log"):
        yield from elementwise(function, dtype)
    else:
        for x, keywords in options(dtype):
            yield from rows(function, x, keywords)


def digest(name: str) -> str:
    """Return the SHA-256 of the bytes of the outputs.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    str
        In hexadecimal digits.

    Examples
    --------
    >>> len(digest("special.exp.f32"))
    64
    """
    sha = hashlib.sha256()
    for array in outputs(name):
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()

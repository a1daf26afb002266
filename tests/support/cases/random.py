"""What Python call exercises each kernel of the family `random`."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cases import CHUNK, Array
from sorgum import _core, random
from sorgum._data.inputs import hashed, logits, words


def noise(law: str, dtype: np.dtype[Any]) -> Iterator[Array]:
    """Rows shorter than a group of words and longer, whole and in parts, on either side of 2^32 blocks."""
    function = getattr(random, law)
    widths: tuple[dict[str, Any], ...] = ({"bits": 32}, {"bits": 64})
    if law == "bits":
        widths, dtype = ({},), np.dtype(f"u{dtype.itemsize}")
    for width in widths:
        for shape in ((), 1, (5, 3), (2, 63), (2, 64), (3, 65), (2, 4099)):
            yield function(shape, rng=5, dtype=dtype, **width)
        place = {"streams": [0, 2**64 - 1, 2**32], "position": np.array([0, 2**63, 2**32 + 1], dtype=np.uint64)}
        for offset in (1, 63, 1000, 2**34 - 70, 2**61):
            yield function((3, 150), rng=2**64 - 1, dtype=dtype, index_offset=offset, **place, **width)
        yield function((2, 140001), rng=1, dtype=dtype, **width)


def encodings(n: int, dtype: np.dtype[Any]) -> Array:
    """Return `words`, or random encodings of a half type."""
    return words(n, dtype) if dtype.itemsize > 2 else (hashed(n) >> np.uint64(48)).astype(np.uint16).view(dtype)


def finite(x: Array) -> Array:
    """Return numbers with 0 in the place of those that are none."""
    with np.errstate(invalid="ignore"):  # signalling NaN of ml_dtypes
        return np.where(np.isfinite(x), x, x.dtype.type(0))


def gumbel_max(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (1, 3, 63, 64, 65, 1000, 20011):
        for scale in (0.0, 1.0, 20.0):
            x = logits((7, n), dtype, scale, seed=n)
            x[3, :: max(2, n // 5)] = -np.inf
            yield random.categorical(x, rng=n, index_offset=n * n, on_invalid="minus_one")
            for temperature in (0.0, 1e-30, 0.3, 50.0, 1e30):
                drawn = random.gumbel_partial(x, rng=n, temperature=temperature, streams=np.arange(7) << 40)
                yield from (drawn[name] for name in ("value", "low", "index"))
    x = encodings(30 * 500, dtype).reshape(30, 500)
    yield random.categorical(x, rng=1, on_invalid="minus_one")
    yield random.categorical(finite(x), rng=1)
    yield from random.categorical(logits((1, 300007), dtype), rng=1, return_log_prob=True)


def inverse(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (1, 3, 130, CHUNK, CHUNK + 1, 20011):
        for scale in (0.0, 1.0, 20.0):
            x = logits((7, n), dtype, scale, seed=n)
            x[3, :: max(2, n // 5)] = -np.inf
            for temperature in (0.0, 1e-30, 0.3, 1.0, 50.0, 1e30):
                keywords = {"temperature": temperature, "method": "inverse", "on_invalid": "minus_one"}
                yield random.categorical(x, rng=n, num_samples=5, **keywords)
    x = encodings(30 * 500, dtype).reshape(30, 500)
    for rows in (x, finite(x)):
        yield random.categorical(rows, rng=1, num_samples=9, method="inverse", on_invalid="minus_one")
    yield from random.categorical(logits((2, 300007), dtype), rng=1, method="inverse", return_log_prob=True)


def gumbel_top(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (1, 3, 63, 64, 65, 1000, 20011):
        for scale in (0.0, 1.0, 20.0):
            x = logits((5, n), dtype, scale, seed=n)
            x[3, :: max(2, n // 5)] = -np.inf
            for k in (0, 1, n // 2, n):
                yield from random.gumbel_top_k(x, k, rng=n, index_offset=n)
            for temperature in (0.0, 1e-30, 0.3, 1e30):
                yield from random.gumbel_top_k(x, n // 2, rng=n, temperature=temperature)
            yield from random.gumbel_top_k(x, n // 3, rng=n, temperature=0.7, top_p=0.9)
    yield from random.gumbel_top_k(encodings(30 * 500, dtype).reshape(30, 500), 40, rng=1, on_invalid="minus_one")


def gumbel_add(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (1, 3, 63, 65, 1000, 70001):
        for offset in (0, 1, 130):
            yield random.gumbel_softmax(logits((3, n), dtype), rng=n, temperature=0.5, index_offset=offset)
    yield random.gumbel_softmax(words(30 * 500, dtype).reshape(30, 500), rng=3)


def filters(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Rows whose threshold is found by a list, a sample or neither; ties, short rows, any encodings."""
    for n in (1, 3, 65, 1000, 5003, 70001):
        x = logits((3, n), dtype, 3.0, seed=n)
        x[1] = np.round(x[1])
        x[2, 1 :: max(2, n // 5)] = -np.inf
        for keywords in ({"top_k": 7}, {"top_p": 0.9}, {"min_p": 0.01}, {"top_k": n // 2 + 1, "top_p": 0.7}):
            for temperature in (0.3, 1.0, 1e30):
                yield random.filter_logits(x, temperature=temperature, **keywords)
                more = {**keywords, "temperature": temperature, "index_offset": n, "ties": "all"}
                yield from random.categorical(x, rng=n, return_log_prob=True, **more)
    x = words(30 * 500, dtype).reshape(30, 500)
    for rows in (x, np.where(np.isfinite(x), x, 0)):
        yield random.filter_logits(rows, top_k=100, top_p=0.9, min_p=1e-30)
        yield random.categorical(rows, rng=1, top_k=100, top_p=0.9, on_invalid="minus_one")


def penalties(dtype: np.dtype[Any]) -> Iterator[Array]:
    x = words(20 * 500, dtype).reshape(20, 500)
    tokens = (hashed(20 * 300) % np.uint64(500)).astype(np.int64).reshape(20, 300)
    yield random.apply_penalties(x, tokens, prompt=tokens[::-1], repetition=1.3, frequency=0.1, presence=0.3)


def gamma(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (1, 15, 16, 17, 300, 5003):
        a = np.exp(logits((3, n), np.float64, 4.0, seed=n))
        a[0, ::3] = 1 + np.arange(len(a[0, ::3])) / 8
        for offset in (0, 5, 2**32 - 7):
            for log in (False, True):
                yield random.gamma(a, rng=n, log=log, dtype=dtype, index_offset=offset)
    yield random.gamma(np.full(100, 2.0**900), rng=1, log=True, dtype=dtype)


def mixed(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Sums of rows of a table of any of the four types; any encodings, too."""
    for d in (1, 15, 16, 17, 63, 64, 65, 300, CHUNK + 1):
        for k in (1, 2, 5, 15):
            table = logits((50, d), np.float32, seed=d).astype(dtype)
            at = (hashed(7 * k, d) % np.uint64(51)).astype(np.int64).reshape(7, k) - 1
            yield random.embedding_mix(logits((7, k), np.float64, 1.0, seed=k), at, table)
    with np.errstate(over="ignore", invalid="ignore"):
        table = words(300 * 40, np.float32).astype(dtype).reshape(300, 40)
    yield random.embedding_mix(logits((300, 3), np.float64), np.arange(900).reshape(300, 3) % 300, table)


def philox(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n, rounds in ((0, 10), (1, 10), (16, 7), (37, 10), (200, 7)):
        counter = hashed(4 * n, 1).astype(np.uint32).reshape(4, n)
        out = np.empty_like(counter)
        key = hashed(2 * n, 2).astype(np.uint32).reshape(2, n)
        _core.random.philox(counter.view(dtype), key.view(dtype), out.view(dtype), rounds)
        yield out


# Kernel -> what exercises it.
CASES: dict[str, Callable[[np.dtype[Any]], Iterator[Array]]] = {
    "philox": philox,
    "gumbel_max": gumbel_max,
    "gumbel_add": gumbel_add,
    "gumbel_top": gumbel_top,
    "chunk_masses": inverse,
    "choose_chunk": inverse,
    "draw_in_chunk": inverse,
    "bits": lambda dtype: noise("bits", dtype),
    "uniform": lambda dtype: noise("uniform", dtype),
    "exponential": lambda dtype: noise("exponential", dtype),
    "gumbel": lambda dtype: noise("gumbel", dtype),
    "logistic": lambda dtype: noise("logistic", dtype),
    "normal": lambda dtype: noise("normal", dtype),
    "gamma": gamma,
    "penalise": penalties,
    "mix": mixed,
    **dict.fromkeys(
        [f"{name}" for name in ("peaks", "mass", "collect", "tally", "choose_bucket", "find_equal", "logit_at")]
        + ["keep", "drop", "gumbel_listed"],
        filters,
    ),
}

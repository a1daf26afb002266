"""Logits of float16 and bfloat16: what is drawn is drawn as from the same values in float32, what is logits again is
the float32 result, rounded."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from cases import CHUNK, HALVES, layouts, placed
from cases.random import encodings
from numpy.typing import NDArray

from sorgum import random
from sorgum._data.inputs import hashed, logits
from sorgum.interop import bfloat16

Array = NDArray[Any]
each_half = pytest.mark.parametrize("dtype", HALVES.values(), ids=HALVES.keys())
SHAPES = ((3, 0), (6, 1), (40, 7), (300, 64), (37, 1000), (3, CHUNK), (3, CHUNK + 1), (2, 70001), (1, 300007))


def matrix(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    return logits(shape, np.float32, 4.0, seed=shape[-1]).astype(dtype)


def wide(x: Array) -> Array:
    return x.astype(np.float32)


def rounded(x: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(x).astype(np.float32).astype(dtype)


def assert_same(got: Any, expected: Any, what: object = "") -> None:
    """Assert that type, shape and bits are the same, of all arrays."""
    if isinstance(expected, tuple):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert_same(one, other, what)
        return
    got, expected = np.asarray(got), np.asarray(expected)
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape), what
    assert got.tobytes() == expected.tobytes(), what


def seen(x: Array) -> Array:
    """Tokens of each row."""
    n = x.shape[-1]
    return (hashed(9 * len(x)) % np.uint64(n + 1)).astype(np.int64).reshape(len(x), 9) - 1


DRAWS: dict[str, Callable[..., Any]] = {
    "categorical": lambda x, **o: random.categorical(x, rng=1, return_log_prob=True, on_invalid="minus_one", **o),
    "samples": lambda x, **o: random.categorical(x, rng=1, num_samples=3, on_invalid="minus_one", **o),
    "inverse": lambda x, **o: random.categorical(x, rng=1, method="inverse", on_invalid="minus_one", **o),
    "top_p": lambda x, **o: random.categorical(x, rng=1, top_p=0.8, on_invalid="minus_one", **o),
    "top_k, inverse": lambda x, **o: random.categorical(
        x, rng=1, top_k=9, method="inverse", return_log_prob=True, on_invalid="minus_one", **o
    ),
    "gumbel_partial": lambda x, **o: random.gumbel_partial(x, rng=1, **o),
    "gumbel_top_k": lambda x, **o: random.gumbel_top_k(x, x.shape[-1] // 3, rng=1, on_invalid="minus_one", **o),
    "gumbel_top_k, top_p": lambda x, **o: random.gumbel_top_k(x, min(3, x.shape[-1]), rng=1, top_p=0.8, **o),
}
SOFT: dict[str, Callable[..., Any]] = {
    "soft_token_step": lambda x, **o: random.soft_token_step(x, min(4, x.shape[-1]), rng=1, top_k=30, **o),
    "gumbel_resample": lambda x, **o: random.gumbel_resample(x, min(4, x.shape[-1]), rng=1, top_p=0.8, **o),
    "dirichlet_resample": lambda x, **o: random.dirichlet_resample(x, min(4, x.shape[-1]), rng=1, top_k=30, **o),
}
LOGITS: dict[str, Callable[..., Any]] = {
    "gumbel_softmax": lambda x, **o: random.gumbel_softmax(x, rng=1, **o),
    "gumbel_softmax, log": lambda x, **o: random.gumbel_softmax(x, rng=1, log=True, **o),
    "gumbel_softmax, hard": lambda x, **o: random.gumbel_softmax(x, rng=1, hard=True, **o),
    "filter_logits": lambda x, **o: random.filter_logits(x, top_p=0.8, **o),
}


@each_half
@pytest.mark.parametrize("name", {**DRAWS, **SOFT, **LOGITS})
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_as_from_float32(
    name: str, shape: tuple[int, ...], dtype: np.dtype[Any], isa: str, threads: Callable[[int], None]
) -> None:
    if name in SOFT and shape[1] == 0:
        pytest.skip("soft tokens have a category")
    function = {**DRAWS, **SOFT, **LOGITS}[name]
    x = matrix(shape, dtype)
    mask = hashed(x.size, 3).reshape(shape) % np.uint64(3) != 0
    mask[:, :1] = True
    for options in ({}, {"temperature": 0.3}, {"where": mask}, {"temperature": np.linspace(0.5, 2, len(x))}):
        expected = function(wide(x), **options)
        if name in LOGITS:
            expected = rounded(expected, dtype)
        for count in (1, 3):
            threads(count)
            assert_same(function(x, **options), expected, options)


@each_half
def test_penalties_are_those_of_float32_rounded(dtype: np.dtype[Any], isa: str) -> None:
    for shape in ((40, 7), (30, 1000), (2, 70001)):
        x = matrix(shape, dtype)
        options: dict[str, Any] = {"repetition": 1.3, "frequency": 0.1, "presence": 0.3, "prompt": seen(x)[::-1]}
        expected = rounded(random.apply_penalties(wide(x), seen(x), **options), dtype)
        assert_same(random.apply_penalties(x, seen(x), **options), expected)
        assert random.apply_penalties(x, seen(x), out=x, **options) is x
        assert_same(x, expected)


@each_half
def test_any_encodings(dtype: np.dtype[Any], isa: str) -> None:
    """All of them, NaN and infinities too; subnormals are kept."""
    everything = np.arange(65536, dtype=np.uint16).view(dtype)
    tiny = everything[:64].reshape(4, 16)  # zero and the least numbers
    for x in (everything.reshape(256, 256), encodings(30 * 500, dtype).reshape(30, 500), tiny):
        for draw in DRAWS:
            if draw != "gumbel_top_k, top_p":
                assert_same(DRAWS[draw](x, temperature=1e-7), DRAWS[draw](wide(x), temperature=1e-7), draw)
        for made in LOGITS.values():
            assert_same(made(x), rounded(made(wide(x)), dtype))
    assert np.array_equal(random.categorical(tiny, rng=1, temperature=0.0), [15] * 4)
    quiet = {"float16": 0x7E00, "bfloat16": 0x7FC0}[dtype.name]
    spoilt = np.array([0, np.nan], dtype)
    for made in LOGITS.values():
        assert set(made(spoilt).view(np.uint16)) == {quiet}


@each_half
@pytest.mark.parametrize("name", {**DRAWS, **LOGITS})
def test_layouts(name: str, dtype: np.dtype[Any]) -> None:
    function, x = {**DRAWS, **LOGITS}[name], matrix((70, 300), dtype)
    for axis in (0, 1):
        if "gumbel_top_k" in name and axis == 0:
            continue
        expected = function(wide(x), axis=axis)
        if name in LOGITS:
            expected = rounded(expected, dtype)
        for _, view in layouts(x):
            assert_same(function(view, axis=axis), expected)


@each_half
@pytest.mark.parametrize("name", LOGITS)
def test_out_at_every_offset_leaves_its_surroundings(name: str, dtype: np.dtype[Any]) -> None:
    for n in (1, 31, 64, 1000, CHUNK + 5):
        x = matrix((3, n), dtype)
        expected = LOGITS[name](x)
        for offset in range(0, 64, 2):
            around = placed(np.full(3 * n + 2, 7, dtype=dtype), offset)
            out = around[1:-1].reshape(3, n)
            assert LOGITS[name](x, out=out) is out
            assert_same(out, expected)
            assert float(around[0]) == float(around[-1]) == 7.0
        strided = np.zeros((6, 2 * n), dtype=dtype)[::2, ::2]
        assert_same(np.ascontiguousarray(LOGITS[name](x, out=strided)), expected)
        in_place = x.copy()
        assert_same(LOGITS[name](in_place, out=in_place), expected)


@each_half
def test_large_results_past_the_caches(dtype: np.dtype[Any]) -> None:
    for shape in ((40000, 64), (700, CHUNK), (30, 100003), (5, 600000)):
        x = matrix(shape, dtype)
        assert_same(random.gumbel_softmax(x, rng=1), rounded(random.gumbel_softmax(wide(x), rng=1), dtype))


@each_half
def test_everything_else_that_takes_logits(dtype: np.dtype[Any]) -> None:
    x, y, t = matrix((6, 20), dtype), matrix((6, 20), dtype)[::-1], np.array(0.5, dtype)
    indices = random.gumbel_top_k(x, 4, rng=1).indices
    drawn, weights = random.gumbel_top_k(x, 4, rng=1), random.soft_token_step(x, 4, rng=1).log_weights
    at = random.soft_token_step(x, 4, rng=1).indices
    as_before: list[Callable[[Array, Array], Any]] = [
        lambda a, _: random.top_k_log_prob(a, indices, temperature=t),
        lambda a, _: random.top_k_log_prob(a, indices, ordered=False),
        lambda a, _: random.inclusion_weights(a, drawn),
        lambda a, _: random.soft_token_log_prob(a, at, weights, temperature=t),
        lambda a, _: random.soft_token_log_prob_grad(a, at, weights, dy=1.0),
        lambda a, b: random.concrete_log_prob(a, b, temperature=t),
        lambda a, b: random.concrete_score(a, b, temperature=t),
        lambda a, b: random.truncated_gumbel(a, b, rng=1),
        lambda a, b: random.gumbel_given_max(a, b[:, 0], rng=1),
        lambda a, b: random.frequency_gradient(a, b),
        lambda a, b: random.gaussian_mixture_log_prob(b[:, :3], a[:, :2], b[:, :6].reshape(6, 2, 3), np.ones((2, 3))),
    ]
    for function in as_before:
        assert_same(function(x, y), function(wide(x), wide(y)))
    half_again: list[Callable[[Array, Array], Any]] = [
        lambda a, b: random.gumbel_softmax_grad(a, dy=b, rng=1, temperature=t),
        lambda a, b: random.gumbel_softmax_grad(a, dy=b, rng=1, temperature=t, log=True),
        lambda a, _: random.gumbel_softmax(a, rng=1, hard=True, log=True),
        lambda a, _: random.binary_concrete(a, rng=1, temperature=t),
        lambda a, _: random.binary_concrete(a, rng=1, logit=True),
        lambda a, _: random.hard_concrete(a, rng=1),
    ]
    for function in half_again:
        assert_same(function(x, y), rounded(function(wide(x), wide(y)), dtype))
    # What a rollout clamped counts as clamped where its numbers were stored in a half type.
    single, half = (
        random.soft_token_log_prob_grad(x, at, w, dy=1.0, mask_threshold=-np.inf)
        for w in (weights, weights.astype(dtype))
    )
    assert ((single == 0) <= (half == 0)).all()


@each_half
def test_per_row_numbers_of_half_types(dtype: np.dtype[Any]) -> None:
    x = matrix((4, 30), dtype)
    t, p = np.array([0.5, 1, 2, 4], dtype), np.array([0.25, 0.5, 0.75, 1], dtype)
    for options in ({"temperature": t}, {"top_p": p}, {"min_p": p / 8}):
        single = {name: wide(value) for name, value in options.items()}
        assert_same(random.categorical(x, rng=1, **options), random.categorical(x, rng=1, **single))
    assert_same(random.gumbel_softmax(x, rng=1, temperature=t), random.gumbel_softmax(x, rng=1, temperature=wide(t)))
    for name in ("repetition", "frequency", "presence"):
        assert_same(
            random.apply_penalties(x, seen(x), **{name: t}), random.apply_penalties(x, seen(x), **{name: wide(t)})
        )


def test_bits_of_bfloat16_without_ml_dtypes() -> None:
    x = logits((5, 100), np.float32)
    given, brain = bfloat16.rounded(x, bfloat16.bits), x.astype(ml_dtypes.bfloat16)
    for function in (*DRAWS.values(), *SOFT.values()):
        assert_same(function(given), function(brain))
    for function in LOGITS.values():
        got = function(given)
        assert got.dtype == bfloat16.bits
        assert got.tobytes() == function(brain).tobytes()
    assert random.apply_penalties(given, seen(x)).tobytes() == random.apply_penalties(brain, seen(x)).tobytes()


def test_refusals_name_the_type() -> None:
    x = np.zeros(3, bfloat16.bits)
    with pytest.raises(TypeError) as caught:
        random.filter_logits(x, top_k=1, out=np.zeros(3, np.float32))
    assert str(caught.value) == "filter_logits: out must have dtype bfloat16, got float32"
    with pytest.raises(TypeError) as caught:
        random.gumbel_softmax(np.zeros(3, np.float16), rng=1, out=x)
    assert str(caught.value) == "gumbel_softmax: out must have dtype float16, got bfloat16"
    with pytest.raises(TypeError) as caught:
        random.categorical(np.zeros(3, ml_dtypes.float8_e4m3fn), rng=1)
    assert str(caught.value) == (
        "categorical: logits must be float16, bfloat16, float32, float64, bool or integer, "
        "got dtype dtype(float8_e4m3fn)"
    )

"""No kernel of the random family touches a byte outside its arrays: see test_guard_pages.py."""

import sys
from typing import Any

import numpy as np
import pytest

if sys.platform != "linux":
    pytest.skip("maps memory as Linux does", allow_module_level=True)

from cases import HALVES
from guarded import Guarded

from sorgum import random
from sorgum._data.inputs import hashed, logits

pytestmark = pytest.mark.sanitize

Array = Any
PIECE = 65536  # elements of a task
LENGTHS = (*range(1, 140), 255, 256, 257, 4095, 4096, 4097, 70001)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
each_type_of_logits = pytest.mark.parametrize(
    "dtype", [np.float32, np.float64, *HALVES.values()], ids=["f32", "f64", *HALVES]
)


@pytest.fixture(scope="module")
def room() -> tuple[Guarded, Guarded, Guarded]:
    """Room for logits, a result and a mask."""
    return Guarded(1 << 21), Guarded(1 << 21), Guarded(1 << 21)


def places(room: Guarded, shape: tuple[int, ...], dtype: Any) -> tuple[Array, ...]:
    """Against either page, aligned to the element or not; several pieces, whose tails are those of less, once each."""
    few = room.at_end(shape, dtype), room.at_start(shape, dtype, 1)
    return few if shape[-1] > PIECE else (*few, room.at_end(shape, dtype, 3), room.at_start(shape, dtype))


@each_dtype
@pytest.mark.parametrize("law", ["uniform", "exponential", "gumbel", "logistic"])
def test_noise(law: str, dtype: Any, room: tuple[Guarded, Guarded, Guarded], isa: str) -> None:
    function = getattr(random, law)
    for n in LENGTHS:
        for offset, width in ((0, 32), (n % 5, 64), (0, 64), (n % 67, 32))[: 2 if n > PIECE else 4]:
            expected = function((2, n), rng=n, dtype=dtype, index_offset=offset, bits=width)
            for out in places(room[0], (2, n), dtype):
                function((2, n), rng=n, dtype=dtype, index_offset=offset, bits=width, out=out)
                assert out.tobytes() == expected.tobytes(), (n, offset, width)


@each_dtype
def test_words(dtype: Any, room: tuple[Guarded, Guarded, Guarded], isa: str) -> None:
    kind = np.dtype(f"u{np.dtype(dtype).itemsize}")
    for n in LENGTHS:
        expected = random.bits((2, n), rng=n, dtype=kind, index_offset=n % 9)
        for out in places(room[0], (2, n), kind):
            random.bits((2, n), rng=n, dtype=kind, index_offset=n % 9, out=out)
            assert np.array_equal(out, expected)


@each_type_of_logits
def test_draws(dtype: Any, room: tuple[Guarded, Guarded, Guarded], isa: str) -> None:
    for n in LENGTHS:
        plain = logits((2, n), dtype, seed=n)
        for offset in (0, n % 67) if n < PIECE else (n % 67,):
            soft = random.gumbel_softmax(plain, rng=n, index_offset=offset)
            expected = [
                random.categorical(plain, rng=n, index_offset=offset),
                random.categorical(plain, rng=n, temperature=0.0),
                random.categorical(plain, rng=n, method="inverse"),
                random.gumbel_top_k(plain, min(n, 3), rng=n, index_offset=offset).indices,
            ]
            for x, out in zip(places(room[0], (2, n), dtype), places(room[1], (2, n), dtype), strict=True):
                x[...] = plain
                found = [
                    random.categorical(x, rng=n, index_offset=offset),
                    random.categorical(x, rng=n, temperature=0.0),
                    random.categorical(x, rng=n, method="inverse"),
                    random.gumbel_top_k(x, min(n, 3), rng=n, index_offset=offset).indices,
                ]
                assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)), (n, offset)
                assert random.gumbel_softmax(x, rng=n, index_offset=offset, out=out).tobytes() == soft.tobytes()


@each_type_of_logits
def test_masks_and_columns(dtype: Any, room: tuple[Guarded, Guarded, Guarded], isa: str) -> None:
    for n in (1, 15, 16, 17, 64, 65, 300, 4097):
        plain, keep = logits((n, 3), dtype, seed=n), hashed(3 * n).reshape(n, 3) % np.uint64(3) != 0
        keep[0] = True
        for method in ("gumbel", "inverse"):
            expected = random.categorical(plain, rng=n, axis=0, where=keep, method=method)
            for x, mask in zip(places(room[0], (n, 3), dtype), places(room[2], (n, 3), np.bool_), strict=True):
                x[...], mask[...] = plain, keep
                assert np.array_equal(random.categorical(x, rng=n, axis=0, where=mask, method=method), expected)


@each_type_of_logits
def test_filters_and_penalties(dtype: Any, room: tuple[Guarded, Guarded, Guarded], isa: str) -> None:
    for n in LENGTHS:
        plain = np.round(logits((2, n), np.float64, 2.0, seed=n), 1).astype(dtype)
        keywords: dict[str, Any] = {"top_k": n // 2 + 1, "top_p": 0.7, "min_p": 1e-3}
        kept, drawn = random.filter_logits(plain, **keywords), random.categorical(plain, rng=n, **keywords)
        several = random.gumbel_top_k(plain, min(n, 3), rng=n, **keywords).indices
        for x, out in zip(places(room[0], (2, n), dtype), places(room[1], (2, n), dtype), strict=True):
            x[...] = plain
            assert random.filter_logits(x, out=out, **keywords).tobytes() == kept.tobytes(), n
            assert np.array_equal(random.categorical(x, rng=n, **keywords), drawn)
            assert np.array_equal(random.gumbel_top_k(x, min(n, 3), rng=n, **keywords).indices, several)
            tokens = np.array([[0, n - 1, -1], [n // 2, n // 3, 0]])
            penalised = random.apply_penalties(plain, tokens, repetition=1.5, presence=0.5)
            assert (
                random.apply_penalties(x, tokens, repetition=1.5, presence=0.5, out=x).tobytes() == penalised.tobytes()
            )


@each_dtype
def test_gamma(dtype: Any, room: tuple[Guarded, Guarded, Guarded], isa: str) -> None:
    for n in LENGTHS:
        a = np.exp(logits((2, n), dtype, 2.0, seed=n))
        numbers = random.gamma(a, rng=n, dtype=dtype, index_offset=n % 67)
        for out in places(room[1], (2, n), dtype):
            random.gamma(a, rng=n, dtype=dtype, index_offset=n % 67, out=out)
            assert out.tobytes() == numbers.tobytes()


@pytest.mark.parametrize("dtype", [*HALVES.values(), np.float32, np.float64], ids=str)
def test_embeddings(dtype: Any, room: tuple[Guarded, Guarded, Guarded], isa: str) -> None:
    """Tables that end where memory does, and one whose rows begin at odd multiples of an element."""
    at = np.array([[2, 0, -1], [1, 2, 0]])
    weights = np.array([[0.5, 0.25, np.nan], [0.5, 0.25, 0.25]])
    for n in LENGTHS:
        plain = logits((3, n), np.float32, seed=n).astype(dtype)
        expected = random.embedding_mix(weights, at, plain)
        for table in places(room[0], (3, n), dtype):
            table[...] = plain
            assert random.embedding_mix(weights, at, table).tobytes() == expected.tobytes(), n

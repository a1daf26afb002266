"""extract: the adapter that made a difference, half types, memory, scales, refusals."""

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import sorgum as sg
from sorgum import reference

extract = sg.lowrank.extract
UNITS = {np.float32: 2.0**-24, np.float64: 2.0**-53}


@pytest.fixture(autouse=True, scope="module")
def one_thread_of_blas() -> Iterator[None]:
    """Small decompositions wait for each other's threads on a busy machine."""
    with threadpool_limits(1, user_api="blas"):
        yield


def relative(got: Any, wanted: Any) -> float:
    return float(np.linalg.norm(np.asarray(got, np.float64) - wanted) / np.linalg.norm(wanted))


def adapter(out: int, inner: int, rank: int, seed: int, dtype: Any = np.float64) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rank, inner)).astype(dtype), rng.standard_normal((out, rank)).astype(dtype)


@pytest.mark.parametrize("dtype", UNITS, ids=lambda dtype: dtype.__name__)
def test_an_adapter_comes_back(dtype: Any) -> None:
    """W1 = W0 + B A rounds once: that is what the adapter of the same rank is off by."""
    for out, inner in ((300, 200), (120, 500)):
        a, b = adapter(out, inner, 5, seed=1, dtype=dtype)
        w0 = np.random.default_rng(2).standard_normal((out, inner)).astype(dtype)
        w1 = w0 + b @ a
        found = extract(w1, w0, rank=5)
        assert (found.A.shape, found.B.shape, found.A.dtype) == ((5, inner), (out, 5), dtype)
        wanted = w1.astype(np.float64) - w0
        assert abs(relative(found.B @ found.A, wanted) - found.error) <= 0.1 * found.error + 20 * UNITS[dtype]
        # Rounded: an element of W1 by u times 8, more than it is, and those of 10 products; B A has rms sqrt(5).
        assert found.error <= 100 * UNITS[dtype]
        np.testing.assert_allclose(np.linalg.norm(found.A, axis=1), np.linalg.norm(found.B, axis=0), rtol=1e-5)
        merged = sg.lowrank.merge(w0, found.A, found.B)
        assert relative(merged, w1.astype(np.float64)) <= 20 * UNITS[dtype]
        short = extract(w1, w0, rank=3)
        expected = reference.lowrank.extract(w1, w0, rank=3)
        assert relative(short.B @ short.A, expected[1] @ expected[0]) < 1e-4
        assert extract(w1, w0, rtol=1e-2).A.shape[0] == 5
        assert extract(w1, w0, energy=0.5).A.shape[0] == len(reference.lowrank.extract(w1, w0, energy=0.5)[0])
        nothing = extract(w1, w1, rank=2)
        assert not (nothing.B @ nothing.A).any()
        assert extract(w1, w0, rank=0).error == 1


def test_half_types() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    a, b = adapter(200, 150, 4, seed=3)
    w0 = np.random.default_rng(4).standard_normal((200, 150)) * 0.1
    for dtype, unit in ((np.float16, 2.0**-11), (ml_dtypes.bfloat16, 2.0**-8)):
        before = w0.astype(dtype)
        after = (w0 + 0.05 * b @ a).astype(dtype)
        found = extract(after, before, rank=4)
        assert found.A.dtype == np.float32
        wanted = after.astype(np.float64) - before.astype(np.float64)
        truth = relative(found.B.astype(np.float64) @ found.A, wanted)
        assert abs(found.error - truth) <= 0.01 * truth
        # What rounding both weights added, sqrt(1/3) of half an ULP each, has no rank.
        assert truth <= 3 * unit * np.linalg.norm(after.astype(np.float64)) / np.linalg.norm(wanted)
        mixed = extract(after.astype(np.float32), before, rank=4)
        assert mixed.A.tobytes() == found.A.tobytes()


def test_convolutions() -> None:
    rng = np.random.default_rng(5)
    w0 = rng.standard_normal((20, 6, 3, 3))
    a, b = rng.standard_normal((2, 6, 3, 3)), rng.standard_normal((20, 2))
    w1 = w0 + np.tensordot(b, a, 1)
    found = extract(w1, w0, rank=2)
    assert found.A.shape == (2, 6, 3, 3)
    np.testing.assert_allclose(sg.lowrank.merge(w0, found.A, found.B), w1, atol=1e-12)


def test_the_difference_is_never_whole() -> None:
    """Of half types nothing of the weights' size is formed: a panel, and rows for the basis."""
    w0 = np.zeros((4096, 2048), np.float16)
    w1 = w0.copy()
    w1[:, 5] = 1
    extract(w1[:64], w0[:64], rank=1)
    tracemalloc.start()
    found = extract(w1, w0, rank=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.error < 1e-6
    assert peak < 4 * w0.size  # bytes of the difference in float32


def test_scales() -> None:
    a, b = adapter(90, 80, 3, seed=6)
    for exponent in (-900, -90, 0, 90, 900):
        w1 = np.ldexp(b @ a, exponent)
        found = extract(w1, np.zeros_like(w1), rank=3)
        np.testing.assert_allclose(np.ldexp(found.B @ found.A, -exponent), b @ a, atol=1e-12)
    assert extract(w1, np.zeros_like(w1), rank=3).A.tobytes() == found.A.tobytes()
    assert extract(w1, np.zeros_like(w1), rank=3, rng=9).A.tobytes() != found.A.tobytes()


REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: extract(np.ones((2, 3)), np.ones((3, 2)), rank=1), ValueError,
     "extract: W0 must have the shape of W1, (2, 3), got (3, 2)"),
    (lambda: extract(np.ones(3), np.ones(3), rank=1), ValueError,
     "extract: W1 must have two axes or more, got shape (3,)"),
    (lambda: extract(np.ones((2, 3)), np.ones((2, 3))), ValueError,
     "extract: rank, rtol or energy must be given, one of them, got none"),
    (lambda: extract(np.ones((2, 3)), np.ones((2, 3)), rank=3), ValueError,
     "extract: rank must be in [0, 2], the smaller dimension, got 3"),
    (lambda: extract(np.full((2, 3), np.inf), np.full((2, 3), np.inf), rank=1), np.linalg.LinAlgError,
     "extract: W1 - W0 must be finite, got NaN or an infinity"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), REFUSED)
def test_refusals(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message

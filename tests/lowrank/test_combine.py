"""Several adapters as one: exactly beside each other, or the best approximation of their sum."""

import re
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum import reference
from sorgum.interop import bfloat16

U = 2.0**-53
OUT, IN = 40, 30


def adapter(rng: np.random.Generator, rank: int, scale: float = 1.0, dtype: Any = np.float64) -> Any:
    return rng.standard_normal((rank, IN)).astype(dtype), rng.standard_normal((OUT, rank)).astype(dtype), scale


def total(adapters: Any, weights: Any) -> np.ndarray:
    return sum(
        w * s * B.astype(np.float64) @ A.astype(np.float64) for (A, B, s), w in zip(adapters, weights, strict=True)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_difference_is_exact(rng: np.random.Generator, dtype: Any) -> None:
    """Adding the factors in place of the products errs by 93 percent."""
    adapters = [adapter(rng, 4, 2.0, dtype) for _ in range(2)]
    one = sg.lowrank.combine(adapters, [1.0, -1.0])
    assert (one.A.dtype, one.B.dtype, one.scale, one.error) == (dtype, dtype, 2.0, 0.0)
    np.testing.assert_array_equal(one.A, np.concatenate([A for A, _, _ in adapters]))
    np.testing.assert_array_equal(one.B, np.concatenate([adapters[0][1], -adapters[1][1]], axis=1))
    crossed = 2.0 * (adapters[0][1] - adapters[1][1]) @ (adapters[0][0] - adapters[1][0])
    exact = total(adapters, [1.0, -1.0])
    assert np.linalg.norm(one.scale * one.B.astype(np.float64) @ one.A - exact) <= 1e-14 * np.linalg.norm(exact)
    assert np.linalg.norm(crossed - exact) > 0.5 * np.linalg.norm(exact)


def test_scales_that_differ_are_multiplied_in(rng: np.random.Generator) -> None:
    adapters = [adapter(rng, r, s) for r, s in ((1, 0.5), (3, 2.0), (2, 0.1))]
    weights = [0.3, -0.7, 1.0]
    one = sg.lowrank.combine(adapters, weights)
    assert one.A.shape == (6, IN)
    exact = total(adapters, weights)
    assert np.abs(one.scale * one.B @ one.A - exact).max() <= 20 * U * np.abs(one.B).max() * np.abs(one.A).max() * 6


@pytest.mark.parametrize("rank", [1, 3, 6, 7, 100])
def test_the_best_approximation_of_a_rank(rng: np.random.Generator, rank: int) -> None:
    """Eckart and Young: the error is that of the singular values cut off, and both factors have equal norms."""
    adapters, weights = [adapter(rng, 4, 2.0), adapter(rng, 3)], [1.0, -0.5]
    one = sg.lowrank.combine(adapters, weights, rank=rank)
    exact = total(adapters, weights)
    s = np.linalg.svd(exact, compute_uv=False)
    kept = min(rank, 7)
    assert one.A.shape == (kept, IN)
    assert one.B.shape == (OUT, kept)
    # LAPACK's QR and SVD of these sizes: backward errors of some tens of u times the norm
    assert abs(np.linalg.norm(exact - one.scale * one.B @ one.A) - np.sqrt((s[kept:] ** 2).sum())) <= 200 * U * s[0]
    assert one.error == pytest.approx(np.sqrt((s[kept:] ** 2).sum()) / np.linalg.norm(exact), abs=200 * U)
    np.testing.assert_allclose((one.B**2).sum(0), s[:kept], rtol=200 * U * s[0] / s[kept - 1])
    np.testing.assert_allclose((one.A**2).sum(1), s[:kept], rtol=200 * U * s[0] / s[kept - 1])
    assert (np.take_along_axis(one.B, np.abs(one.B).argmax(0)[None], 0) > 0).all()


@pytest.mark.parametrize(("rtol", "rank"), [(0.0, 3), (1e-6, 2), (1e-2, 1), (0.99, 1)])
def test_small_singular_values_are_cut_off(rtol: float, rank: int) -> None:
    A = np.eye(3, IN)
    adapters = [(A[i : i + 1], np.eye(OUT, 3)[:, i : i + 1], scale) for i, scale in enumerate((1.0, 1e-3, 1e-8))]
    assert sg.lowrank.combine(adapters, [1.0] * 3, rtol=rtol).A.shape == (rank, IN)


@pytest.mark.parametrize("rtol", [0.9, 0.3, 0.1, 0.01, 1e-4])
def test_the_tolerance_is_that_of_truncated_svd(rng: np.random.Generator, rtol: float) -> None:
    """Of the error in the Frobenius norm, by the least rank: many small values count together."""
    B = rng.standard_normal((OUT, 6)) * 0.5 ** np.arange(6)
    adapters = [(rng.standard_normal((6, IN)), B, 1.0), adapter(rng, 3, 1e-2)]
    one = sg.lowrank.combine(adapters, [1.0, 1.0], rtol=rtol)
    exact = total(adapters, [1.0, 1.0])
    assert np.linalg.norm(exact - one.B @ one.A) <= rtol * np.linalg.norm(exact) * (1 + 1e-12)
    rank = len(reference.lowrank.truncated_svd(exact, rtol=rtol)[1])
    assert one.A.shape == (rank, IN)
    less = sg.lowrank.combine(adapters, [1.0, 1.0], rank=max(rank - 1, 1), rtol=rtol)
    assert len(less.A) == max(rank - 1, 1)
    assert rank == 1 or less.error > rtol


def test_what_cancels_is_found(rng: np.random.Generator) -> None:
    A, B, _ = adapter(rng, 4)
    one = sg.lowrank.combine([(A, B, 1.0), (A, B, 1.0)], [1.0, -1.0], rtol=1e-3)
    assert np.abs(one.B @ one.A).max() <= 400 * U * np.linalg.norm(A) * np.linalg.norm(B)


def test_half_types_become_float32(rng: np.random.Generator) -> None:
    A, B, _ = adapter(rng, 4)
    halves = [(x.astype(np.float16), bfloat16.rounded(y, bfloat16.dtype()), 1.0) for x, y in [(A, B), (A, -B)]]
    for options in ({}, {"rank": 4}):
        one = sg.lowrank.combine(halves, [1.0, 1.0], **options)
        assert (one.A.dtype, one.B.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize("exponent", [-450, -300, 300, 450])
def test_sizes_do_not_matter(rng: np.random.Generator, exponent: int) -> None:
    """Products of the factors are beyond the range of float64, or below it; their roots are not."""
    A, B, size = rng.standard_normal((3, 5)), rng.standard_normal((4, 3)), 2.0**exponent
    expected = sg.lowrank.combine([(A, B, 1.0), (A[:2], B[:, :2], 0.5)], [1, 1], rank=2)
    got = sg.lowrank.combine([(A * size, B * size, 1.0), (A[:2] * size, B[:, :2] * size, 0.5)], [1, 1], rank=2)
    assert got.error == expected.error > 0
    np.testing.assert_array_equal(got.A, expected.A * size)
    np.testing.assert_array_equal(got.B, expected.B * size)


def test_what_leaves_the_range_is_refused() -> None:
    A, B = np.ones((1, 2), np.float32), np.full((3, 1), 1e10, np.float32)
    message = "^combine: adapters must stay finite in float32 with their weights, got factors beyond its range$"
    with pytest.raises(ValueError, match=message):
        sg.lowrank.combine([(A, B, 1e30), (A, B, 1.0)], [1, 1])
    with pytest.raises(ValueError, match=message.replace("32", "64")):
        sg.lowrank.combine([(np.full((1, 2), 1e200), np.full((3, 1), 1e200), 1e200)], [1], rank=1)


def test_empty_factors() -> None:
    nothing = np.ones((0, IN)), np.ones((OUT, 0)), 1.0
    for options in ({}, {"rank": 3}, {"rtol": 0.1}):
        one = sg.lowrank.combine([nothing], [1.0], **options)
        assert (one.A.shape, one.B.shape, one.error) == ((0, IN), (OUT, 0), 0.0)


A, B = np.ones((2, 5)), np.ones((3, 2))


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ((3, [1.0]), {}, TypeError, "adapters must be a sequence of (A, B, scale), got int"),
        (([], []), {}, ValueError, "adapters must be one at least, got none"),
        (([(A, B)], [1.0]), {}, TypeError, "adapters[0] must be (A, B, scale), got a tuple of 2"),
        (([(A, B, 1.0)], 1.0), {}, TypeError, "weights must be a sequence of numbers, got float"),
        (([(A, B, 1.0)], [1.0, 2.0]), {}, ValueError, "weights must be as many as adapters (1), got 2"),
        (([(A, B, "1")], [1.0]), {}, TypeError, "adapters[0].scale must be a real number, got str"),
        (([(A, B, 1.0)], [None]), {}, TypeError, "weights[0] must be a real number, got NoneType"),
        (([(A, B.T, 1.0)], [1.0]), {}, ValueError,
         "adapters[0] must have shapes (rank, in) and (out, rank), got (2, 5) and (2, 3)"),
        (([(A, B, 1.0), (A[:, 1:], B, 1.0)], [1.0, 1.0]), {}, ValueError,
         "adapters must have products of one shape, got (3, 5) and (3, 4)"),
        (([(A, np.full((3, 2), np.nan), 1.0)], [1.0]), {}, ValueError,
         "adapters[0] must be finite with its weight, got a number that is not"),
        (([(A, B, 1e300)], [1e300]), {}, ValueError,
         "adapters[0] must be finite with its weight, got a number that is not"),
        (([(A, B * 1j, 1.0)], [1.0]), {}, TypeError,
         "adapters[0] must be float16, bfloat16, float32, float64, bool or integer, got dtype dtype('complex128')"),
        (([(A, B, 1.0)], [1.0]), {"rank": 0}, ValueError, "rank must be positive, got 0"),
        (([(A, B, 1.0)], [1.0]), {"rank": 1.0}, TypeError, "rank must be an int, got float"),
        (([(A, B, 1.0)], [1.0]), {"rtol": 1.5}, ValueError, "rtol must be in [0, 1], got 1.5"),
        (([(A, B, 1.0)], [1.0]), {"rtol": float("nan")}, ValueError, "rtol must be in [0, 1], got nan"),
    ],
)  # fmt: skip
def test_refusals(arguments: Any, options: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match="^" + re.escape(f"combine: {message}") + "$"):
        sg.lowrank.combine(*arguments, **options)

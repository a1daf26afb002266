"""range_finder, cholesky_qr, polar, small_svd: known answers, ill-conditioned and deficient matrices, refusals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum import reference

lowrank = sg.lowrank
UNITS = {np.float32: 2.0**-24, np.float64: 2.0**-53}
each_dtype = pytest.mark.parametrize("dtype", UNITS, ids=lambda dtype: dtype.__name__)


def off_orthonormal(q: Any) -> float:
    wide = np.asarray(q, np.float64)
    return float(np.abs(np.swapaxes(wide, -1, -2) @ wide - np.eye(wide.shape[-1])).max(initial=0))


@each_dtype
def test_ranges(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    for m, n in ((200, 120), (120, 200)):
        a = (rng.standard_normal((m, 12)) @ rng.standard_normal((12, n))).astype(dtype)
        noisy = a + (1e-3 * rng.standard_normal((m, n))).astype(dtype)
        q = lowrank.range_finder(a, 30)
        assert q.shape == (m, 12)
        assert np.linalg.norm(a - q @ (q.T @ a)) <= 100 * UNITS[dtype] * np.linalg.norm(a)
        q = lowrank.range_finder(noisy, 12)
        assert (q.shape, q.dtype) == ((m, 12), dtype)
        assert off_orthonormal(q) <= 20 * UNITS[dtype] * np.sqrt(12)
        best = reference.lowrank.range_finder(noisy, 12)
        left = [np.linalg.norm(noisy - p @ (p.T @ noisy)) for p in (q, best)]
        assert left[0] <= left[1] * (1 + 1e-5)
        assert np.linalg.norm(noisy - q[:, :6] @ (q[:, :6].T @ noisy)) > 2 * left[1]
    assert lowrank.range_finder(a, 0).shape == (120, 0)
    assert lowrank.range_finder(a * 0, 5).shape == (120, 0)
    large = lowrank.range_finder(a * np.dtype(dtype).type(1e30), 12, rng=3)  # powers would overflow
    assert off_orthonormal(large) <= 20 * UNITS[dtype] * np.sqrt(12)


@each_dtype
def test_qr(dtype: Any) -> None:
    """Well- and ill-conditioned, deficient, at the ends of the range: orthonormal to the bound, a = q r to rounding."""
    rng = np.random.default_rng(1)
    hilbert = 1 / (np.arange(300)[:, None] + np.arange(12) + 1.0)
    graded = rng.standard_normal((300, 20)) * 10.0 ** -np.arange(20)  # ill-conditioned by its columns' scales alone
    for name, wide in {
        "gaussian": rng.standard_normal((500, 40)),
        "hilbert": hilbert,
        "graded": graded,
        "deficient": np.repeat(rng.standard_normal((80, 3)), 2, axis=1),
        "zero column": np.concatenate([rng.standard_normal((50, 3)), np.zeros((50, 1))], axis=1),
        "large": rng.standard_normal((60, 5)) * 1e37,
        "small": rng.standard_normal((60, 5)) * 1e-37,
        "square": rng.standard_normal((30, 30)),
    }.items():
        a = wide.astype(dtype)
        q, r = lowrank.cholesky_qr(a)
        n = a.shape[1]
        assert q.dtype == r.dtype == dtype
        assert off_orthonormal(q) <= 20 * UNITS[dtype] * np.sqrt(n), name
        np.testing.assert_array_equal(r, np.triu(r))
        assert (np.diagonal(r) >= 0).all()
        # Of each column: n products, and as many roundings, of numbers of at most its length.
        lengths = np.linalg.norm(a.astype(np.float64), axis=0)
        wrong = np.linalg.norm(q.astype(np.float64) @ r.astype(np.float64) - a, axis=0)
        assert (wrong <= 4 * n * UNITS[dtype] * lengths).all(), name
        if name in ("gaussian", "graded", "large"):
            expected = reference.lowrank.cholesky_qr(a)
            np.testing.assert_allclose(q, expected[0], atol=2e3 * UNITS[dtype])
            np.testing.assert_allclose(r, expected[1], rtol=0, atol=2e3 * UNITS[dtype] * lengths.max())
    assert lowrank.cholesky_qr(a[:, :0]).q.shape == (30, 0)
    assert lowrank.cholesky_qr(np.zeros((0, 0))).r.shape == (0, 0)


@each_dtype
def test_polar(dtype: Any) -> None:
    rng = np.random.default_rng(2)
    for shape in ((6, 6), (9, 4), (4, 9), (3, 5, 5), (2, 3, 7, 4), (0, 3), (0, 4, 4)):
        a = rng.standard_normal(shape).astype(dtype)
        for side in ("right", "left"):
            u, h = lowrank.polar(a, side=side)
            k = max(shape[-2:])
            product = u @ h if side == "right" else h @ u
            tolerance = 20 * k * UNITS[dtype]
            np.testing.assert_allclose(product, a, atol=tolerance * 5)
            short = u if shape[-2] >= shape[-1] else np.swapaxes(u, -1, -2)
            assert off_orthonormal(short) <= tolerance
            np.testing.assert_array_equal(h, np.swapaxes(h, -1, -2))
            assert (np.linalg.eigvalsh(h) >= -tolerance * 5).all()
            expected = reference.lowrank.polar(a, side=side)
            if shape != (0, 3):
                np.testing.assert_allclose(u, expected[0], atol=1e3 * tolerance)
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    u, h = lowrank.polar(rotation * 3)
    np.testing.assert_allclose(u, rotation, atol=1e-15)
    np.testing.assert_allclose(h, 3 * np.eye(2), atol=1e-14)


@each_dtype
def test_small(dtype: Any) -> None:
    rng = np.random.default_rng(3)
    for shape in ((4, 4), (7, 3), (3, 7), (20, 5, 5), (2, 3, 4, 2), (0, 4, 2), (3, 0, 2), (3, 2, 0)):
        a = rng.standard_normal(shape).astype(dtype)
        u, s, vh = found = lowrank.small_svd(a)
        k = min(shape[-2:])
        assert (u.shape, s.shape, vh.shape) == ((*shape[:-1], k), (*shape[:-2], k), (*shape[:-2], k, shape[-1]))
        np.testing.assert_allclose((u * s[..., None, :]) @ vh, a, atol=100 * UNITS[dtype])
        if a.size:
            at = np.argmax(np.abs(u), axis=-2, keepdims=True)
            assert (np.take_along_axis(u, at, -2) > 0).all()
            np.testing.assert_allclose(s, np.linalg.svd(a.astype(np.float64), compute_uv=False), atol=50 * UNITS[dtype])
        assert found.error == 0
    flipped = lowrank.small_svd(-a)
    np.testing.assert_array_equal(flipped.u, u)  # signs are not LAPACK's
    halves = lowrank.small_svd(np.float16([[3, 0], [0, 4]]))
    assert halves.s.dtype == np.float32
    np.testing.assert_array_equal(halves.s, [4, 3])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: lowrank.range_finder(np.ones((3, 2)), 3), ValueError,
         "range_finder: size must be in [0, 2], the smaller dimension, got 3"),
        (lambda: lowrank.range_finder(np.ones(3), 1), ValueError,
         "range_finder: a must have two axes, got shape (3,)"),
        (lambda: lowrank.range_finder(np.full((3, 2), np.nan), 1), np.linalg.LinAlgError,
         "range_finder: a must be finite, got NaN or an infinity"),
        (lambda: lowrank.range_finder(np.ones((3, 2)), 1, n_iter=-2), ValueError,
         "range_finder: n_iter must be in [0, 1000] or 'auto', got -2"),
        (lambda: lowrank.cholesky_qr(np.ones((2, 3))), ValueError,
         "cholesky_qr: a must have no more columns than rows, got shape (2, 3)"),
        (lambda: lowrank.cholesky_qr([[np.inf], [1.0]]), np.linalg.LinAlgError,
         "cholesky_qr: a must be finite, got NaN or an infinity"),
        (lambda: lowrank.polar(np.ones(3)), ValueError, "polar: a must have at least two axes, got shape (3,)"),
        (lambda: lowrank.polar(np.eye(2), side="top"), ValueError,  # type: ignore[arg-type]
         "polar: side must be 'right' or 'left', got 'top'"),
        (lambda: lowrank.polar([[np.nan]]), np.linalg.LinAlgError, "polar: a must be finite, got NaN or an infinity"),
        (lambda: lowrank.small_svd(1.0), ValueError, "small_svd: a must have at least two axes, got shape ()"),
        (lambda: lowrank.small_svd([[np.inf]]), np.linalg.LinAlgError,
         "small_svd: a must be finite, got NaN or an infinity"),
    ],
)  # fmt: skip
def test_refusals(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message

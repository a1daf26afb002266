"""What bases of singular vectors are made of: Gram matrices and orthonormal rows."""

from typing import Any

import numpy as np
import pytest

from sorgum import _core
from sorgum.lowrank._rows import gram, orthonormal


def rows_of_condition(k: int, n: int, condition: float, dtype: Any) -> np.ndarray:
    rng = np.random.default_rng(int(condition) + n)
    left, right = (np.linalg.qr(rng.standard_normal((size, k)))[0] for size in (k, n))
    return ((left * np.geomspace(1, 1 / condition, k)) @ right.T).astype(dtype)


@pytest.mark.parametrize("shape", [(0, 9), (3, 0), (1, 1), (17, 513), (40, 2000)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gram(shape: tuple[int, int], dtype: Any, rng: np.random.Generator) -> None:
    """Products of float32 are exact in float64, so that n roundings of sums are all: n u of sums of magnitudes."""
    rows = rng.standard_normal(shape).astype(dtype)
    wide = rows.astype(np.longdouble)
    bound = 2.0**-53 * (shape[1] + 1) * (np.abs(wide) @ np.abs(wide).T)
    assert (np.abs(gram(rows) - wide @ wide.T) <= bound).all()
    if rows.size > 1:
        assert not (1e-6 * np.abs(wide @ wide.T) <= bound).all()  # another matrix, by a millionth


def test_gram_of_any_layout(rng: np.random.Generator, isa: str) -> None:
    rows = rng.standard_normal((18, 1030)).astype(np.float32)
    expected = gram(rows).tobytes()
    padded = np.zeros((36, 1035), np.float32)
    padded[::2, 5:] = rows
    for same in (np.asfortranarray(rows), padded[::2, 5:], rows[:, ::-1].copy()[:, ::-1]):
        assert gram(same).tobytes() == expected


@pytest.mark.parametrize(
    ("x", "out", "error", "message"),
    [
        (np.ones(3, np.float32), np.empty((3, 3)), ValueError, "gram: x must have two axes, got shape (3,)"),
        (np.ones((2, 3), np.int64), np.empty((2, 2)), TypeError,
         "gram: x must have dtype float16, bfloat16, float32 or float64, got int64"),
        (np.ones((2, 3)), np.empty((2, 3)), ValueError, "gram: out must have shape (2, 2), got (2, 3)"),
        (np.ones((2, 3)), np.empty((2, 2), np.float32), TypeError, "gram: out must have dtype float64, got float32"),
        (np.ones((2, 3)), np.empty((2, 2), order="F"), ValueError,
         "gram: out must be contiguous and aligned, got strides that are not"),
    ],
)  # fmt: skip
def test_gram_refuses(x: Any, out: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        _core.lowrank.gram(x, out)
    assert str(caught.value) == message


@pytest.mark.parametrize("condition", [1.0, 1.5, 5.0, 100.0, 1e4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_orthonormal(condition: float, dtype: Any) -> None:
    """q q^T = I and q basis^T = 0 to some units of rounding, whether one pass was enough or not.

    An entry is a sum of n products of entries of about n^-1/2, of two roundings each: less than 20 u. The spread that
    saves the last pass is at most 4, by which the roundings of the pass before may be larger: 80 u.
    """
    u, n, k = float(np.finfo(dtype).eps) / 2, 600, 24
    basis = rows_of_condition(30, n, 1.0, np.float64).astype(dtype)
    rows = rows_of_condition(k, n, condition, dtype) + dtype(0.5) * np.resize(basis[-12:], (k, n))
    for recent in (None, 12, 30):
        q, c, r = orthonormal(rows, basis, 0.0, recent)
        assert len(q) == k
        wide, old = q.astype(np.float64), basis.astype(np.float64)
        old_error = np.abs(old @ old.T - np.eye(30)).max()
        assert np.abs(wide @ wide.T - np.eye(k)).max() <= 80 * u
        assert np.abs(wide @ old.T).max() <= 80 * u + old_error
        assert np.abs(rows - c @ basis - r @ q).max() <= 40 * u
        assert np.abs(rows @ rows.T - np.eye(k)).max() > 1e-3  # rows that were given do not pass

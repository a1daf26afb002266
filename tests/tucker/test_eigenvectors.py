"""leading_eigenvectors: LAPACK's pairs where it answers, no answer where they are hard to tell apart."""

from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum._data.inputs import numbers
from sorgum.tucker._eigenvectors import leading_eigenvectors

EPS = float(np.finfo(np.float64).eps)


def with_values(values: Any) -> np.ndarray:
    n = len(values)
    q = np.linalg.qr(np.random.default_rng(n).standard_normal((n, n))).Q
    g = (q * values) @ q.T
    return (g + g.T) / 2


def falling(n: int, rank: int, least: float, rest: float) -> np.ndarray:
    return np.concatenate([np.geomspace(1, least, rank), rest * np.linspace(1, 0.5, n - rank)])


@pytest.mark.parametrize(
    ("n", "rank", "least", "rest"),
    [(128, 16, 0.3, 1e-3), (128, 1, 1, 1e-2), (256, 30, 1e-2, 1e-5), (100, 5, 1e-10, 1e-17), (300, 8, 0.9, 0),
     (200, 3, 1e-14, 0)],
)  # fmt: skip
@pytest.mark.parametrize("scale", [1.0, 2.0**-700, 2.0**900])
def test_finds_what_lapack_finds(n: int, rank: int, least: float, rest: float, scale: float) -> None:
    """Values to n eps of the largest, residuals likewise; subspaces to that over the gap."""
    g = with_values(falling(n, rank, least, rest)) * scale
    found = leading_eigenvectors(g, rank)
    assert found is not None
    values, vectors = found
    expected, theirs = np.linalg.eigh(g / scale)
    expected, theirs = expected[::-1][:rank], theirs[:, ::-1][:, :rank]
    assert abs(values / scale - expected).max() <= n * EPS * expected[0]
    assert abs(values[::-1] / scale - expected).max() > n * EPS * expected[0] or rank == 1
    assert abs(vectors.T @ vectors - np.eye(rank)).max() <= 1e-14
    assert abs((g / scale) @ vectors - vectors * (values / scale)).max() <= 2 * n * EPS * expected[0]
    outside = np.linalg.norm(vectors - theirs @ (theirs.T @ vectors))
    assert outside <= 4 * n * EPS / (least - rest)


def test_leaves_the_rest_to_lapack() -> None:
    """Small matrices, large ranks, values that are close to each other; and never for long."""
    assert leading_eigenvectors(with_values(falling(95, 4, 0.5, 1e-3)), 4) is None
    assert leading_eigenvectors(with_values(falling(128, 4, 0.5, 1e-3)), 25) is None
    assert leading_eigenvectors(with_values(np.linspace(1, 0.5, 128)), 8) is None
    noise = numbers((128, 400), np.dtype(np.float64))
    assert leading_eigenvectors(noise @ noise.T, 8) is None


def test_decompositions_agree_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    x = sg.tucker.multi_mode_dot(rng.standard_normal((5, 4, 6)), [rng.standard_normal(p) for p in
                                                                  ((120, 5), (100, 4), (110, 6))])  # fmt: skip
    x += 0.05 * rng.standard_normal(x.shape)
    calls = []

    def counted(g: Any, rank: int) -> Any:
        calls.append(leading_eigenvectors(g, rank))
        return calls[-1]

    monkeypatch.setattr("sorgum.tucker._leading.leading_eigenvectors", counted)
    one = sg.tucker.sthosvd(x, (5, 4, 6))
    assert len(calls) == 3
    assert all(found is not None for found in calls)
    monkeypatch.setattr("sorgum.tucker._leading.leading_eigenvectors", lambda g, rank: None)
    other = sg.tucker.sthosvd(x, (5, 4, 6))
    assert one.error == pytest.approx(other.error, rel=1e-9)
    for a, b in zip(one.factors, other.factors, strict=True):
        assert abs(a @ a.T - b @ b.T).max() <= 1e-11

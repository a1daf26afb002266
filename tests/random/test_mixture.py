"""Gaussian mixtures and the router's gradient: SciPy, integrals, finite differences, frequencies, bits, refusals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import layouts
from scipy import integrate, stats

import sorgum as sg
from sorgum import random, reference, special
from sorgum._data.inputs import logits

Array = Any
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def mixture(rows: int, k: int, d: int, dtype: Any = np.float64) -> tuple[Array, Array, Array, Array]:
    scales = np.ldexp(1.0, np.arange(k * d) % 5 - 2).reshape(k, d)
    return (
        logits((rows, d), dtype, 1.0),
        logits((rows, k), dtype, 1.0, seed=1),
        logits((rows, k, d), dtype, 1.0, seed=2),
        np.broadcast_to(scales, (rows, k, d)).astype(dtype),
    )


def test_one_component_is_a_normal_density(isa: str) -> None:
    a, _, m, s = mixture(20, 1, 3)
    exact = stats.norm.logpdf(a, m[:, 0], s[:, 0]).sum(-1)
    found = random.gaussian_mixture_log_prob(a, np.zeros((20, 1)), m, s)
    assert np.max(np.abs(found - exact)) < 1e-13 * np.max(np.abs(exact))
    assert np.max(np.abs(np.roll(exact, 1) - exact)) > 1


@each_dtype
def test_log_prob_is_what_the_reference_has(dtype: Any, isa: str) -> None:
    for rows, k, d in ((1, 2, 1), (7, 4, 6), (50, 5, 17)):
        given = mixture(rows, k, d, dtype)
        found = random.gaussian_mixture_log_prob(*given)
        assert found.dtype == np.float64
        exact = reference.random.gaussian_mixture_log_prob(*given)
        assert np.max(np.abs(found - exact)) < 1e-13 * np.max(np.abs(exact))
    a, x, m, s = given
    assert random.gaussian_mixture_log_prob(a, x, m[0], s[0, 0] + np.zeros((5, 17))).shape == (50,)
    assert np.ndim(random.gaussian_mixture_log_prob(a[0], x[0], m[0], s[0])) == 0


def test_integrates_to_one() -> None:
    x, m, s = np.array([0.5, -1.0, 2.0]), np.array([[-3.0], [0.5], [4.0]]), np.array([[0.2], [1.0], [2.5]])

    def density(a: float) -> float:
        return float(np.exp(random.gaussian_mixture_log_prob([a], x, m, s)))

    total, error = integrate.quad(density, -30, 40, points=[-3, 0.5, 4], limit=400)
    assert abs(total - 1) < 1e-9 + error


def test_far_points_and_absent_experts(isa: str) -> None:
    """No weight, however small, and no distance makes 0 of a density before its logarithm."""
    m, s = np.array([[0.0], [1.0]]), np.ones((2, 1))
    found = random.gaussian_mixture_log_prob([1e6], [0.0, 0.0], m, s)
    assert found == pytest.approx(-0.5 * (1e6 - 1) ** 2 - 0.5 * np.log(2 * np.pi) - np.log(2), rel=1e-14)
    assert random.gaussian_mixture_log_prob([0.0], [-np.inf, 0.0], m, s) == pytest.approx(stats.norm.logpdf(0, 1))
    assert random.gaussian_mixture_log_prob([1e200], [0.0, 0.0], m, s) == -np.inf
    assert np.isnan(random.gaussian_mixture_log_prob([np.inf], [0.0, 0.0], [[np.inf], [1.0]], s))
    assert np.isnan(random.frequency_gradient([np.inf, 0.0], [0.0, 1.0])[1]).all()
    assert random.frequency_gradient(np.zeros((0, 3)), np.zeros((0, 3)))[1].shape == (0, 3)
    assert np.isnan(random.gaussian_mixture_log_prob([np.nan], [0.0, 0.0], m, s))


@each_dtype
def test_frequency_gradient_by_finite_differences(dtype: Any, isa: str) -> None:
    x, q = logits((9, 6), np.float64, 1.0).astype(dtype), logits((9, 6), dtype, 1.0, seed=2)
    loss, gradient = random.frequency_gradient(x, q)
    exact_loss, exact = reference.random.frequency_gradient(x, q)
    assert np.max(np.abs(loss - exact_loss)) < 1e-14
    assert np.max(np.abs(gradient - exact)) < 1e-14
    assert np.max(np.abs(gradient.sum(-1))) < 1e-15
    w = special.softmax(x.astype(np.float64))
    assert np.allclose(loss, [np.sum((np.eye(6)[b] - r) ** 2) for b, r in zip(q.argmax(-1), w, strict=True)])
    for i in range(6):
        step = 1e-6 * (np.arange(6) == i)
        up, down = (random.frequency_gradient(x.astype(np.float64) + s, q)[0] for s in (step, -step))
        assert np.max(np.abs((up - down) / 2e-6 - gradient[:, i])) < 1e-8
    assert np.max(np.abs(gradient)) > 0.1
    across = random.frequency_gradient(x.T, q.T, axis=0)
    assert across[0].tobytes() == loss.tobytes()
    assert across[1].T.copy().tobytes() == gradient.tobytes()
    assert random.frequency_gradient([0.0, 0.0], [5.0, 5.0])[1].tolist() == [-0.5, 0.5]  # the first of equal ones


def test_the_router_learns_frequencies() -> None:
    """Descent on the mean gradient ends where weights are the frequencies with which experts are best."""
    n, means = 20000, np.array([0.0, 0.5, -1.0])
    values = random.normal((n, 3), rng=1, dtype=np.float64) + means  # what noisy actions of three experts are worth
    frequencies = np.bincount(values.argmax(-1), minlength=3) / n
    at = np.log(frequencies)
    gradient = random.frequency_gradient(np.broadcast_to(at, (n, 3)), values)[1].mean(0)
    assert np.max(np.abs(gradient)) < 1e-15 * n
    assert np.max(np.abs(random.frequency_gradient(np.zeros((n, 3)), values)[1].mean(0))) > 0.05
    z = np.zeros(3)
    for _ in range(500):
        z = z - 2.0 * random.frequency_gradient(np.broadcast_to(z, (n, 3)), values)[1].mean(0)
    assert np.max(np.abs(special.softmax(z) - frequencies)) < 1e-6


@each_dtype
def test_in_any_batch_layout_and_thread(dtype: Any, threads: Callable[[int], None], isa: str) -> None:
    a, x, m, s = mixture(30, 21, 9, dtype)
    q = logits((30, 21), dtype, 1.0, seed=3)
    before = sg.isa()

    def run(x: Array, rows: slice = slice(None)) -> list[bytes]:
        found = random.gaussian_mixture_log_prob(a[rows], x, m[rows], s[rows])
        return [array.tobytes() for array in (found, *random.frequency_gradient(x, q[rows]))]

    threads(1)
    whole = run(x)
    threads(3)
    for name, view in layouts(x):
        assert run(view) == whole, name
    sg.set_isa("scalar")
    again = run(x)
    sg.set_isa(before)
    assert again == whole
    assert b"".join(run(x[3:4], slice(3, 4))[:1]) == whole[0][24:32]


A, X, M = np.zeros(3), np.zeros(2), np.zeros((2, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: random.gaussian_mixture_log_prob(A, X, M, M),
            ValueError,
            "gaussian_mixture_log_prob: scales must be positive and finite, got 0.0",
        ),
        (
            lambda: random.gaussian_mixture_log_prob(A, X, M[:, :2], M + 1),
            ValueError,
            "gaussian_mixture_log_prob: means must end with axes of lengths (2, 3), got shape (2, 2)",
        ),
        (
            lambda: random.gaussian_mixture_log_prob(A, X, M, M.T + 1),
            ValueError,
            "gaussian_mixture_log_prob: scales must end with axes of lengths (2, 3), got shape (3, 2)",
        ),
        (
            lambda: random.gaussian_mixture_log_prob(0.0, X, M, M + 1),
            ValueError,
            "gaussian_mixture_log_prob: points must have at least 1 axes, got shape ()",
        ),
        (
            lambda: random.gaussian_mixture_log_prob(np.zeros((4, 3)), np.zeros((5, 2)), M, M + 1),
            ValueError,
            "gaussian_mixture_log_prob: points, logits, means and scales must broadcast, "
            "got shapes (4, 3), (5, 2), (2, 3) and (2, 3)",
        ),
        (
            lambda: random.gaussian_mixture_log_prob(A.astype(complex), X, M, M + 1),
            TypeError,
            "gaussian_mixture_log_prob: points must be float16, bfloat16, float32, float64, bool or integer, "
            "got dtype dtype('complex128')",
        ),
        (
            lambda: random.frequency_gradient(X, A),
            ValueError,
            "frequency_gradient: values must have shape (2,), got (3,)",
        ),
        (
            lambda: random.frequency_gradient(X, [0.0, np.nan]),
            ValueError,
            "frequency_gradient: values must not be NaN, got one",
        ),
        (
            lambda: random.frequency_gradient([], []),
            ValueError,
            "frequency_gradient: logits must have experts, got none",
        ),
    ],
)
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message

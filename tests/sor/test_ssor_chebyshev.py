"""ssor_chebyshev: against dense solutions and the textbook, its interval, and every way in which it ends."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from interrupts import ends_within

import sorgum as sg
from sorgum import _core
from sorgum._data.inputs import logits
from sorgum._data.matrices import Matrix, grid
from sorgum.reference import sor as reference

P = np.array([[5.0, -2, 0], [-2, 6, -1], [0, -1, 3]])
B = np.array([1.0, -4, 2])
solve, solve_result = sg.sor.ssor_chebyshev, sg.sor.ssor_chebyshev_result
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def dense(a: Matrix) -> Any:
    out = np.zeros(a.shape)
    out[np.repeat(np.arange(a.shape[0]), np.diff(a.indptr)), a.indices] = a.data
    return out


def places(a: Any, omega: float) -> Any:
    """The eigenvalues of M^-1 A."""
    d, lower = np.diag(np.diag(a)), np.tril(a, -1)
    m = omega / (2 - omega) * (d / omega + lower) @ np.linalg.inv(d) @ (d / omega + lower.T)
    half = np.linalg.inv(np.linalg.cholesky(m))
    return np.linalg.eigvalsh(half @ a @ half.T)


def spd(n: int, seed: int) -> Any:
    q = np.random.default_rng(seed).standard_normal((n, n))
    return q @ q.T + 0.1 * np.eye(n)


# Solutions


@pytest.mark.parametrize("n", range(1, 34))
@each_dtype
def test_small_systems(n: int, dtype: Any) -> None:
    """Against the dense solution: the error is at most ||A^-1|| times the residual that is promised."""
    upper = np.triu(logits(n * n, np.float64, seed=n).reshape(n, n), 1)
    a = (upper + upper.T + np.diag(1 + np.abs(upper + upper.T).sum(axis=1))).astype(dtype)
    b = logits(n, dtype, seed=1)
    for omega in ("adaptive", 0.6, 1.5):
        x, info = solve(a, b, omega=omega, rtol=1e-5)
        assert info == 0
        assert x.dtype == dtype
        expected = np.linalg.solve(np.float64(a), np.float64(b))
        bound = np.linalg.norm(np.linalg.inv(np.float64(a)), 2) * 1e-5 * np.linalg.norm(b)
        assert np.linalg.norm(expected) > bound
        assert np.linalg.norm(x - expected) <= bound * 1.001


@pytest.mark.parametrize("omega", [0.7, 1.0, 1.6, 1.9])
def test_the_iterations_are_those_of_textbooks(omega: float) -> None:
    """On the interval that was chosen first, until another one is; 1e-12 is 100 roundings of 40 vectors."""
    a = grid((13, 11), False, np.float64, np.int32)
    b = logits(143, np.float64, seed=2)
    lower = solve_result(a, b, omega=omega, rtol=0, maxiter=1).lower_ends[0, 1]
    for k in (1, 2, 3, 5):
        got = solve_result(a, b, omega=omega, rtol=0, maxiter=k)
        assert (got.iterations, got.info) == (k, k)
        expected = reference.ssor_chebyshev(a, b, lower, omega, k)
        fewer = reference.ssor_chebyshev(a, b, lower, omega, k - 1)
        assert np.linalg.norm(got.x - expected) < 1e-12 * np.linalg.norm(expected)
        assert np.linalg.norm(got.x - fewer) > 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("omega", [0.3, 1.0, 1.5, 1.95])
def test_no_eigenvalue_lies_above_1(seed: int, omega: float) -> None:
    a = spd(30, seed)
    found = places(a, omega)
    assert found[0] > 0
    assert found[-1] <= 1 + 1e-10
    if omega == 1:  # F = L, which is singular
        assert found[-1] > 1 - 1e-10


@pytest.mark.parametrize("omega", [1.0, 1.6])
@pytest.mark.parametrize("seed", range(3))
def test_the_interval_is_found(seed: int, omega: float) -> None:
    """Never below 0.8 of the least eigenvalue, and in the end not far above it."""
    for a in (dense(grid((17, 15), False, np.float64, np.int32)), spd(60, seed) + 5 * np.eye(60)):
        b = np.random.default_rng(seed).standard_normal(len(a))
        result = solve_result(a, b, omega=omega, rtol=1e-10)
        least = places(a, omega)[0]
        assert result.info == 0
        ends = result.lower_ends[:, 1]
        assert np.all(ends >= min(0.8 * least, 0.75) * (1 - 1e-9))
        assert np.all(np.diff(ends) < 0)
        assert ends[-1] < 1.6 * least
        assert ends[0] > 1.5 * ends[-1]  # so that it had to be found


def test_against_plain_sweeps_and_conjugate_gradients() -> None:
    """Iterations as the square root of those without acceleration; conjugate gradients are the best of all polynomials.

    Those take at most as many to the same size in the norm of M^-1, which is not the one that ends them: 1.2.
    """
    a = grid((64, 64), False, np.float64, np.int32)
    b = np.random.default_rng(0).standard_normal(4096)
    plain = sg.sor.sor_result(a, b, omega=1.0, sweep="symmetric", rtol=1e-8).iterations
    ours = solve_result(a, b, omega=1.0, rtol=1e-8)
    best = sg.sor.ssor_cg_result(a, b, omega=1.0, rtol=1e-8).iterations
    assert best / 1.2 < ours.iterations < 2.5 * best
    assert 10 * ours.iterations < plain
    adaptive = solve_result(a, b, rtol=1e-8)
    assert adaptive.iterations < 0.5 * ours.iterations
    assert 1.7 < adaptive.omegas[-1, 1] < 1.95


def test_the_result_says_how_it_went() -> None:
    a = grid((40, 41), False, np.float64, np.int32)
    b = logits(1640, np.float64)
    result = solve_result(a, b, rtol=1e-8)
    assert isinstance(result, sg.sor.SsorChebyshevResult)
    assert isinstance(result, sg.sor.SsorCgResult)
    assert result.info == 0
    assert result.residual_norm == sg.sor.residual_norm(a, result.x, b) < result.tolerance
    assert result.tolerance == pytest.approx(1e-8 * np.linalg.norm(b), rel=1e-12)
    assert result.residuals[-1].tolist() == [result.iterations, result.residual_norm]
    assert result.omegas[0].tolist() == [0.0, 1.0]
    assert np.array_equal(solve(a, b, rtol=1e-8)[0], result.x)
    columns = np.stack((b, 1e-6 * b, 0 * b), axis=1)
    found = solve_result(a, columns, rtol=1e-8)
    assert found.info.tolist() == [0, 0, 0]
    for k in range(3):
        alone = solve_result(a, columns[:, k], rtol=1e-8)
        assert found.x[:, k].tobytes() == alone.x.tobytes()
        assert np.array_equal(found.lower_ends[k], alone.lower_ends)
    assert solve_result(a, columns[:, :0]).x.shape == (1640, 0)


@pytest.mark.parametrize("scale", [2.0**-960, 2.0**-500, 2.0**500, 2.0**960])
def test_magnitudes_change_nothing(scale: float) -> None:
    a = grid((25, 24), False, np.float64, np.int32)
    b = logits(600, np.float64)
    plain, scaled = solve_result(a, b, rtol=1e-9), solve_result(a, b * scale, rtol=1e-9)
    assert (scaled.info, scaled.iterations) == (0, plain.iterations)
    assert np.array_equal(scaled.x / scale, plain.x)


# How it ends


def test_not_definite() -> None:
    """By its diagonal, by a direction, or by a residual that grows; never without an end."""
    small = dense(grid((20, 20), False, np.float64, np.int32))
    for a, b in (
        (-P, B),
        (np.diag([1.0, -1.0, 2.0]), B),
        (np.array([[1.0, 2, 0], [2, 1, 2], [0, 2, 1]]), np.ones(3)),
        (small - 0.1 * np.eye(400), logits(400, np.float64)),
        (small - 2 * np.eye(400), logits(400, np.float64)),
        (spd(40, 1) - 5 * np.eye(40), logits(40, np.float64)),
    ):
        for omega in ("adaptive", 0.5, 1.0, 1.7):
            result = solve_result(a, b, omega=omega, rtol=1e-10)
            assert result.info == -3
            assert np.isfinite(result.x).all()


def test_a_weakly_indefinite_matrix() -> None:
    """One eigenvalue of -1e-3: it is met although all others are solved for first."""
    a = dense(grid((20, 20), False, np.float64, np.int32))
    a -= (np.linalg.eigvalsh(a)[0] + 1e-3) * np.eye(400)
    result = solve_result(a, logits(400, np.float64), rtol=1e-10)
    assert result.info == -3
    assert np.isfinite(result.x).all()


def test_singular_systems() -> None:
    a = dense(grid((40, 40), False, np.float64, np.int32))
    a -= np.diag(a.sum(axis=1))  # constant vectors are its null space
    b = logits(1600, np.float64)
    consistent = solve_result(a, b - b.mean(), rtol=1e-8)
    assert consistent.info == 0
    assert np.linalg.norm(b - b.mean() - a @ consistent.x) < 1e-8 * np.linalg.norm(b)
    inconsistent = solve_result(a, b + 1.0, rtol=1e-8)
    assert inconsistent.info == -2
    assert np.isfinite(inconsistent.x).all()


@each_dtype
def test_no_more_accuracy_than_the_type_has(dtype: Any) -> None:
    a = grid((60, 50), False, dtype, np.int32)
    b = logits(3000, dtype)
    for rtol in (np.finfo(dtype).eps / 100, 0.0):
        result = solve_result(a, b, rtol=rtol)
        assert result.info == -4
        assert result.residual_norm < 2000 * np.finfo(dtype).eps * np.linalg.norm(b)
        assert result.residual_norm == sg.sor.residual_norm(a, result.x, b)


def test_what_is_not_finite() -> None:
    for a, b in ((P, np.full(3, 1.7e308)), (P * 1e-200, B * 1e200)):
        result = solve_result(a, b)
        assert result.info == -1
        assert np.isfinite(result.x).all()


def test_few_iterations_zeros_and_guesses() -> None:
    a, b = grid((30, 30), False, np.float64, np.int32), logits(900, np.float64)
    for maxiter in (1, 7):
        result = solve_result(a, b, rtol=1e-10, maxiter=maxiter)
        assert (result.info, result.iterations) == (maxiter, maxiter)
        assert result.residual_norm == sg.sor.residual_norm(a, result.x, b)
    x, info = solve(P, np.zeros(3), np.ones(3))
    assert (x.tolist(), info) == ([0, 0, 0], 0)
    x0 = np.array([1.0, 2.0, 3.0])
    result = solve_result(P, P @ x0, x0)
    assert (result.iterations, result.x.tolist()) == (0, [1, 2, 3])


# Calls


def test_callback_and_progress() -> None:
    a, b = grid((20, 20), False, np.float64, np.int32), logits(400, np.float64)
    plain = solve_result(a, b, rtol=1e-8)
    seen: list[Any] = []
    result = solve_result(a, b, rtol=1e-8, callback=lambda x: seen.append(x.copy()))
    assert len(seen) == plain.iterations
    assert np.array_equal(result.x, plain.x)
    assert np.array_equal(seen[-1], plain.x)
    pytest.importorskip("tqdm")
    assert np.array_equal(solve_result(a, b, rtol=1e-8, progress=True).x, plain.x)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"omega": 2.0}, ValueError, "omega must be between 0 and 2 and neither of them, got 2"),
        ({"omega": "young"}, ValueError, "omega must be 'adaptive' or a number, got 'young'"),
        ({"rtol": -1e-5}, ValueError, "rtol must not be negative, got -1.0000000000000001e-05"),
        ({"maxiter": 0}, ValueError, "maxiter must be at least 1, got 0"),
        ({"b": [1.0, np.nan, 2.0]}, ValueError, "b must be finite, got nan in row 1"),
        ({"callback": 3}, TypeError, "callback must be callable, got 3"),
        (
            {"A": sg.sor.Relaxation(P, order="multicolor")},
            ValueError,
            "A must be in natural order, got a Relaxation in another one",
        ),
    ],
)
def test_what_is_refused(arguments: Any, error: type[Exception], message: str) -> None:
    given = {"A": P, "b": B} | arguments
    for function in (solve, solve_result):
        with pytest.raises(error, match=f"^{function.__name__}: {re.escape(message)}$"):
            function(**given)


def test_ctrl_c_ends_it() -> None:
    a = grid((500, 500), False, np.float64, np.int32)
    b = logits(250000, np.float64)
    relaxation = sg.sor.Relaxation(a)
    assert ends_within(0.1, lambda: solve(relaxation, b, omega=0.01, rtol=1e-14, maxiter=10**9))
    assert solve_result(relaxation, b, rtol=1e-2).info == 0


@pytest.mark.sanitize
@each_dtype
def test_nothing_beyond_the_vectors_is_touched(dtype: Any) -> None:
    from guarded import Guarded

    x_room, b_room = Guarded(1 << 14), Guarded(1 << 14)
    for n in (*range(1, 36), 255, 257, 1000):
        relaxation = sg.sor.Relaxation(grid((n,), False, dtype, np.int32))
        expected = solve_result(relaxation, logits(n, dtype), rtol=1e-3, maxiter=1000)
        for end in (True, False):
            x, b = ((room.at_end if end else room.at_start)((n,), dtype) for room in (x_room, b_room))
            x[...], b[...] = 0, logits(n, dtype)
            solver = _core.sor.SsorCg(relaxation._compiled, b, x, 1.0, True, 1e-3, 0.0, 1000, True)
            solver.run(1000)
            assert solver.info == 0
            assert np.array_equal(x, expected.x)


def test_the_same_bits_for_any_number_of_threads(threads: Callable[[int], None]) -> None:
    a = grid((600, 500), False, np.float64, np.int32)  # enough rows to wake threads for
    b = logits(300000, np.float64)
    found = set()
    for count in (1, 2, 3, 7):
        threads(count)
        result = solve_result(a, b, rtol=0, maxiter=14)
        found.add((result.x.tobytes(), result.residuals.tobytes(), result.lower_ends.tobytes()))
    assert len(found) == 1

"""ssor_cg: against dense and SciPy's solutions, how many iterations it takes, and every way in which it ends."""

import re
from collections.abc import Callable
from dataclasses import replace
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
ssor_cg, ssor_cg_result = sg.sor.ssor_cg, sg.sor.ssor_cg_result
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def dense(a: Matrix) -> Any:
    out = np.zeros(a.shape)
    out[np.repeat(np.arange(a.shape[0]), np.diff(a.indptr)), a.indices] = a.data
    return out


def permuted(a: Matrix, order: Any) -> Matrix:
    there = dense(a)[np.ix_(order, order)]
    rows, columns = np.nonzero(there)
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=a.shape[0]))))
    return Matrix(indptr, columns, there[rows, columns], a.shape)


def grounded_graph(n: int) -> Matrix:
    """The Laplacian of a random graph, plus a thousandth of the identity."""
    weights = np.zeros((n, n))
    ends = np.random.default_rng(3).integers(0, n, (3 * n, 2))
    weights[ends[:, 0], ends[:, 1]] = 1.0
    weights = np.maximum(weights, weights.T) * (1 - np.eye(n))
    return csr(np.diag(weights.sum(axis=1) + 1e-3) - weights)


def covariance(n: int) -> Matrix:
    """Of an exponential kernel at random points of a square: dense, all of it positive."""
    points = np.random.default_rng(4).random((n, 2))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    return csr(np.exp(-distances / 0.3))


def gram(n: int) -> Matrix:
    q = np.random.default_rng(5).standard_normal((n, n))
    return csr(q @ q.T)


def neumann(n: int) -> Matrix:
    """A grid without boundary values: constant vectors are its null space."""
    a = dense(grid((n, n), False, np.float64, np.int32))
    return csr(a - np.diag(a.sum(axis=1)))


def csr(a: Any) -> Matrix:
    rows, columns = np.nonzero(a)
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=len(a)))))
    return Matrix(indptr, columns, a[rows, columns], a.shape)


# Solutions


@pytest.mark.parametrize("n", range(1, 34))
@each_dtype
def test_small_systems(n: int, dtype: Any) -> None:
    """Against the dense solution: the error is at most ||A^-1|| times the residual that is promised."""
    upper = np.triu(logits(n * n, np.float64, seed=n).reshape(n, n), 1)
    a = (upper + upper.T + np.diag(1 + np.abs(upper + upper.T).sum(axis=1))).astype(dtype)
    b = logits(n, dtype, seed=1)
    for omega in ("adaptive", 0.6, 1.5):
        x, info = ssor_cg(a, b, omega=omega, rtol=1e-5)
        assert info == 0
        assert x.dtype == dtype
        expected = np.linalg.solve(np.float64(a), np.float64(b))
        bound = np.linalg.norm(np.linalg.inv(np.float64(a)), 2) * 1e-5 * np.linalg.norm(b)
        assert np.linalg.norm(expected) > bound
        assert np.linalg.norm(x - expected) <= bound * 1.001


@pytest.mark.parametrize("omega", [0.7, 1.0, 1.6, 1.9])
def test_the_iterations_are_those_of_textbooks(omega: float) -> None:
    """Eisenstat's form is another way to compute what preconditioned conjugate gradients are."""
    a = grid((13, 11), False, np.float64, np.int32)
    b = logits(143, np.float64, seed=2)
    x, iterations = reference.ssor_cg(a, b, omega, 1e-8)
    result = ssor_cg_result(a, b, omega=omega, rtol=1e-8)
    assert abs(result.iterations - iterations) <= 1  # where a residual is very near the tolerance
    assert np.linalg.norm(result.x - x) < 1e-6 * np.linalg.norm(x)
    for k in (1, 2, 5):
        got = ssor_cg_result(a, b, omega=omega, rtol=0, maxiter=k)
        assert (got.iterations, got.info) == (k, k)
    first = ssor_cg_result(a, b, omega=omega, rtol=0, maxiter=1).x
    z = reference.precondition(a, b, omega)
    expected = (b @ z) / (z @ dense(a) @ z) * z
    assert np.linalg.norm(first - expected) < 1e-13 * np.linalg.norm(expected)


def test_against_scipys_cg() -> None:
    linalg = pytest.importorskip("scipy.sparse.linalg")
    sparse = pytest.importorskip("scipy.sparse")
    a = grid((30, 31), False, np.float64, np.int32)
    there = sparse.csr_array((a.data, a.indices, a.indptr), a.shape)
    b, x0 = logits(930, np.float64), logits(930, np.float64, seed=1)
    for options in ({}, {"rtol": 1e-9}, {"rtol": 0.0, "atol": 1e-4}, {"x0": x0, "rtol": 1e-9}):
        theirs, their_info = linalg.cg(there, b, **options)
        ours, info = ssor_cg(there, b, **options)
        assert info == their_info == 0
        limit = max(options.get("atol", 0.0), options.get("rtol", 1e-5) * np.linalg.norm(b))
        assert np.linalg.norm(b - there @ ours) < limit < np.linalg.norm(b)
        assert np.linalg.norm(ours - theirs) < 60 * 2 * limit  # the smallest eigenvalue is 0.02


def test_the_result_says_how_it_went() -> None:
    a = grid((40, 41), False, np.float64, np.int32)
    b = logits(1640, np.float64)
    result = ssor_cg_result(a, b, rtol=1e-8)
    assert result.info == 0
    assert result.tolerance == pytest.approx(1e-8 * np.linalg.norm(b), rel=1e-12)
    assert result.residual_norm == sg.sor.residual_norm(a, result.x, b) < result.tolerance
    assert result.residuals[0].tolist() == [0.0, pytest.approx(np.linalg.norm(b))]
    assert result.residuals[-1].tolist() == [result.iterations, result.residual_norm]
    assert result.omegas[0].tolist() == [0.0, 1.0]
    assert 1.7 < result.omegas[-1, 1] < 1.95
    assert np.all(np.diff(result.omegas[:, 0]) > 0)
    assert result.seconds > 0
    plain = ssor_cg(a, b, rtol=1e-8)
    assert np.array_equal(plain[0], result.x)


def test_a_right_side_of_zeros() -> None:
    x, info = ssor_cg(P, np.zeros(3))
    assert (x.tolist(), info) == ([0, 0, 0], 0)
    x, info = ssor_cg(P, np.zeros(3), x0=B)
    assert info in (0, -4)  # no residual is below 0, unless it is 0
    assert np.linalg.norm(x) < 1e-15


def test_a_guess_that_solves_it_stays() -> None:
    x0 = np.array([1.0, 2.0, 3.0])
    result = ssor_cg_result(P, P @ x0, x0)
    assert result.iterations == 0
    assert result.x.tolist() == [1, 2, 3]
    assert result.x is not x0


def test_right_hand_sides_side_by_side() -> None:
    """Each column is what a call of its own gives, and meets a tolerance of its own."""
    a = grid((30, 31), False, np.float64, np.int32)
    b, x0 = (logits(930 * 3, np.float64, seed=seed).reshape(930, 3) for seed in (1, 2))
    b[:, 1] *= 1e-6
    b[:, 2] = 0
    relaxation = sg.sor.Relaxation(a)
    seen: list[tuple[int, ...]] = []
    for start in (None, x0):
        for columns in (b, np.asfortranarray(b), b[:, :1], b[:, :0]):
            of = None if start is None else start[:, : columns.shape[1]]
            seen.clear()
            found = ssor_cg_result(relaxation, columns, of, rtol=1e-9, callback=lambda x: seen.append(x.shape))
            assert found.x.shape == columns.shape
            assert seen == [(930,)] * int(np.sum(found.iterations))
            for k in range(columns.shape[1]):
                alone = ssor_cg_result(relaxation, columns[:, k], None if of is None else of[:, k], rtol=1e-9)
                assert found.x[:, k].tobytes() == alone.x.tobytes()
                for field in ("info", "iterations", "residual_norm", "tolerance"):
                    assert getattr(found, field)[k] == getattr(alone, field)
                assert np.array_equal(found.residuals[k], alone.residuals)
                assert np.array_equal(found.omegas[k], alone.omegas)
                assert alone.residual_norm <= 1e-9 * np.linalg.norm(columns[:, k])
    x, info = ssor_cg(relaxation, b, rtol=1e-9)
    assert info.tolist() == [0, 0, 0]
    assert x.tobytes() == ssor_cg_result(relaxation, b, rtol=1e-9).x.tobytes()


def test_types_of_matrix_and_vectors() -> None:
    for a, b, expected in (
        (P, B, np.float64),
        (P.astype(np.float32), B.astype(np.float32), np.float32),
        (P.astype(np.float32), B, np.float64),
        (P.astype(np.int64), B.astype(np.int8), np.float64),
        (sg.sor.Relaxation(P.astype(np.float32)), B, np.float32),
    ):
        x, info = ssor_cg(a, b, rtol=1e-6)
        assert (x.dtype, x.shape, info) == (expected, (3,), 0)
        assert np.allclose(x, np.linalg.solve(P, B), atol=1e-5)


def test_a_relaxation_is_used_with_its_shift() -> None:
    relaxation = sg.sor.Relaxation(P)
    relaxation.shift(2.0)
    x, info = ssor_cg(relaxation, B, rtol=1e-12)
    assert info == 0
    assert np.allclose(x, np.linalg.solve(P + 2 * np.eye(3), B), atol=1e-12)


def test_every_right_side_meets_its_own_tolerance() -> None:
    relaxation = sg.sor.Relaxation(grid((20, 20), False, np.float64, np.int32))
    b = logits(400, np.float64)
    for scale in (1.0, 1e-6, 1e6, 2.0**-800, 2.0**800):
        result = ssor_cg_result(relaxation, scale * b, rtol=1e-7)
        assert result.info == 0
        assert 0 < result.residual_norm / scale < 1e-7 * np.linalg.norm(b)


@pytest.mark.parametrize("scale", [2.0**-960, 2.0**-500, 2.0**500, 2.0**960])
def test_magnitudes_change_nothing(scale: float) -> None:
    """Powers of two, as long as nothing leaves the range: the same iterations and, scaled, the same bits."""
    a = grid((25, 24), False, np.float64, np.int32)
    b = logits(600, np.float64)
    plain = ssor_cg_result(a, b, rtol=1e-9)
    for matrix, right, back in (
        (replace(a, data=a.data * scale), b * scale, 1.0),
        (a, b * scale, 1 / scale),
        (replace(a, data=a.data * scale), b, scale),
    ):
        result = ssor_cg_result(matrix, right, rtol=1e-9)
        assert (result.info, result.iterations) == (0, plain.iterations)
        assert np.array_equal(result.x * back, plain.x)


# How many iterations: omega


def fixed(a: Matrix, b: Any, omegas: Any) -> dict[float, int]:
    relaxation = sg.sor.Relaxation(a)
    return {omega: ssor_cg_result(relaxation, b, omega=omega, rtol=1e-8).iterations for omega in omegas}


OMEGAS = (0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.7, 1.8, 1.85, 1.9, 1.95)
EASY = {
    "5 points": lambda: grid((64, 64), False, np.float64, np.int32),
    "5 points, more": lambda: grid((150, 150), False, np.float64, np.int32),
    "7 points": lambda: grid((24, 24, 24), False, np.float64, np.int32),
    "27 points": lambda: grid((16, 16, 16), True, np.float64, np.int32),
}
HOSTILE = {
    "a random graph": lambda: grounded_graph(700),
    "a covariance": lambda: covariance(200),
    "Q Q^T": lambda: gram(100),
    "rows at random": lambda: permuted(
        grid((30, 30), False, np.float64, np.int32), np.random.default_rng(0).permutation(900)
    ),
    "two colors": lambda: permuted(
        grid((30, 30), False, np.float64, np.int32), np.argsort(np.indices((30, 30)).sum(axis=0).ravel() % 2)
    ),
}


@pytest.mark.parametrize("name", [*EASY, *HOSTILE])
@pytest.mark.parametrize("seed", range(3))
def test_adaptive_is_near_the_best_omega(name: str, seed: int) -> None:
    """Never more than 1.3 times those of omega = 1, and where omega matters most, at most 1.4 times the best."""
    a = (EASY | HOSTILE)[name]()
    b = np.random.default_rng(seed).standard_normal(a.shape[0])
    counts = fixed(a, b, OMEGAS)
    result = ssor_cg_result(a, b, rtol=1e-8)
    best = min(counts.values())
    assert result.info == 0
    assert result.iterations <= 1.3 * counts[1.0]
    if name in EASY:
        assert result.iterations <= 1.4 * best
        assert counts[1.0] > 1.3 * best  # so that to stay at 1 would not do


def test_omega_of_a_large_grid() -> None:
    """Near Young's: 2 / (1 + sin(pi h))."""
    a = grid((300, 300), False, np.float64, np.int32)
    result = ssor_cg_result(a, np.random.default_rng(0).standard_normal(90000), rtol=1e-8)
    young = 2 / (1 + np.sin(np.pi / 301))
    assert 0.5 * (2 - young) < 2 - result.omegas[-1, 1] < 3.5 * (2 - young)
    assert result.iterations < 100  # at 1.97 about 70, at 1 about 340


# How it ends


def finite(result: Any) -> bool:
    return bool(np.isfinite(result.x).all())


def test_too_few_iterations() -> None:
    a, b = grid((30, 30), False, np.float64, np.int32), logits(900, np.float64)
    for maxiter in (1, 7):
        result = ssor_cg_result(a, b, rtol=1e-10, maxiter=maxiter)
        assert (result.info, result.iterations) == (maxiter, maxiter)
        assert result.residual_norm == sg.sor.residual_norm(a, result.x, b)


def test_not_definite() -> None:
    """By its diagonal before the first iteration; by a direction in the iteration after `iterations`."""
    for a, b, iterations in (
        (-P, B, 0),
        (np.diag([1.0, -1.0, 2.0]), B, 0),
        (np.array([[1.0, 2, 0], [2, 1, 2], [0, 2, 1]]), np.ones(3), 0),
        (dense(grid((20, 20), False, np.float64, np.int32)) - 0.1 * np.eye(400), logits(400, np.float64), None),
    ):
        result = ssor_cg_result(a, b, rtol=1e-10)
        assert result.info == -3
        assert finite(result)
        assert result.iterations == iterations if iterations is not None else result.iterations > 0


def test_singular_systems() -> None:
    a = neumann(40)
    b = logits(1600, np.float64)
    consistent = ssor_cg_result(a, b - b.mean(), rtol=1e-8)
    assert consistent.info == 0
    assert np.linalg.norm(b - b.mean() - dense(a) @ consistent.x) < 1e-8 * np.linalg.norm(b)
    inconsistent = ssor_cg_result(a, b + 1.0, rtol=1e-8)
    assert inconsistent.info == -2
    assert finite(inconsistent)
    assert np.max(np.abs(inconsistent.x)) < 1e4


@each_dtype
def test_no_more_accuracy_than_the_type_has(dtype: Any) -> None:
    a = grid((60, 50), False, dtype, np.int32)
    b = logits(3000, dtype)
    for rtol in (np.finfo(dtype).eps / 100, 0.0):
        result = ssor_cg_result(a, b, rtol=rtol)
        assert result.info == -4
        assert result.residual_norm < 2000 * np.finfo(dtype).eps * np.linalg.norm(b)
        assert result.residual_norm == sg.sor.residual_norm(a, result.x, b)


def test_what_is_not_finite() -> None:
    for start in (np.zeros(3), np.full(3, 1e308)):
        result = ssor_cg_result(P, np.full(3, 1.7e308), start)  # the norm of b is beyond the range: no tolerance
        assert result.info == -1
        assert finite(result)
    far = ssor_cg_result(P * 1e-200, B * 1e200)  # the solution is beyond the range
    assert far.info == -1
    assert finite(far)


def test_no_right_hand_side() -> None:
    """b = 0 gives zeros, wherever x begins."""
    x, info = ssor_cg(P, np.zeros(3), np.ones(3))
    assert (x.tolist(), info) == ([0, 0, 0], 0)


def test_not_symmetric() -> None:
    """Promised is only that it ends, with what the residual is."""
    a = np.array([[2.0, 1, 0], [-1, 2, 1], [0, -1, 2]])
    result = ssor_cg_result(np.kron(np.eye(20), a) + np.diag(np.full(59, 0.9), 1), logits(60, np.float64))
    assert finite(result)
    assert result.iterations <= 1000


# Callbacks, bars, interrupts


def test_callback_and_progress() -> None:
    a, b = grid((20, 20), False, np.float64, np.int32), logits(400, np.float64)
    plain = ssor_cg_result(a, b, rtol=1e-8)
    seen: list[Any] = []
    result = ssor_cg_result(a, b, rtol=1e-8, callback=lambda x: seen.append(x.copy()))
    assert len(seen) == plain.iterations
    assert np.array_equal(result.x, plain.x)
    assert np.array_equal(seen[-1], plain.x)
    assert not np.array_equal(seen[0], seen[1])
    pytest.importorskip("tqdm")
    shown = ssor_cg_result(a, b, rtol=1e-8, progress=True)
    assert np.array_equal(shown.x, plain.x)


def test_an_error_in_the_callback_is_the_callers() -> None:
    def fails(_: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ssor_cg(P, B, callback=fails)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"omega": 2.0}, ValueError, "omega must be between 0 and 2 and neither of them, got 2"),
        ({"omega": -0.5}, ValueError, "omega must be between 0 and 2 and neither of them, got -0.5"),
        ({"omega": "young"}, ValueError, "omega must be 'adaptive' or a number, got 'young'"),
        ({"rtol": -1e-5}, ValueError, "rtol must not be negative, got -1.0000000000000001e-05"),
        ({"rtol": np.nan}, ValueError, "rtol must not be negative, got nan"),
        ({"atol": -1.0}, ValueError, "atol must not be negative, got -1"),
        ({"maxiter": -1}, ValueError, "maxiter must be at least 1, got -1"),
        ({"maxiter": 0}, ValueError, "maxiter must be at least 1, got 0"),
        ({"b": [1.0, np.nan, 2.0]}, ValueError, "b must be finite, got nan in row 1"),
        ({"x0": [1.0, 2.0, np.inf]}, ValueError, "x0 must be finite, got inf in row 2"),
        ({"callback": 3}, TypeError, "callback must be callable, got 3"),
        ({"b": B[:2]}, ValueError, "b must have shape (3,) or (3, k), got (2,)"),
        ({"b": P[None]}, ValueError, "b must have shape (3,) or (3, k), got (1, 3, 3)"),
        ({"x0": B[:2]}, ValueError, "x0 must have shape (3,) or (3, k), got (2,)"),
        ({"x0": B[:, None]}, ValueError, "x0 must have the shape of b, (3,), got (3, 1)"),
        ({"A": P[:2]}, ValueError, "A must be square, got shape (2, 3)"),
    ],
)
def test_what_is_refused(arguments: Any, error: type[Exception], message: str) -> None:
    given = {"A": P, "b": B} | arguments
    for function in (ssor_cg, ssor_cg_result):
        with pytest.raises(error, match=f"^{function.__name__}: {re.escape(message)}$"):
            function(**given)


def test_a_relaxation_in_colors_is_refused() -> None:
    message = "ssor_cg: A must be in natural order, got a Relaxation in another one"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ssor_cg(sg.sor.Relaxation(P, order="multicolor"), B)


def test_ctrl_c_ends_it() -> None:
    a = grid((500, 500), False, np.float64, np.int32)
    b = logits(250000, np.float64)
    relaxation = sg.sor.Relaxation(a)
    assert ends_within(0.1, lambda: ssor_cg(relaxation, b, omega=0.01, rtol=1e-14, maxiter=10**9))
    assert ssor_cg_result(relaxation, b, rtol=1e-2).info == 0


# Memory


@pytest.mark.sanitize
@each_dtype
def test_nothing_beyond_the_vectors_is_touched(dtype: Any) -> None:
    from guarded import Guarded

    x_room, b_room = Guarded(1 << 14), Guarded(1 << 14)
    for n in (*range(1, 36), 255, 257, 1000):
        a = grid((n,), False, dtype, np.int32)
        relaxation = sg.sor.Relaxation(a)
        expected = ssor_cg_result(relaxation, logits(n, dtype), rtol=1e-3)
        for end in (True, False):
            x, b = ((room.at_end if end else room.at_start)((n,), dtype) for room in (x_room, b_room))
            x[...], b[...] = 0, logits(n, dtype)
            solver = _core.sor.SsorCg(relaxation._compiled, b, x, 1.0, True, 1e-3, 0.0, 1000, False)
            solver.run(1000)
            assert solver.info == 0
            assert np.array_equal(x, expected.x)
            relaxation._compiled.precondition(b, 1.3, x)
            assert np.array_equal(x, relaxation.precondition(logits(n, dtype), 1.3))


# Bits


def test_the_same_bits_for_any_number_of_threads(threads: Callable[[int], None]) -> None:
    a = grid((600, 500), False, np.float64, np.int32)  # enough rows to wake threads for
    b = logits(300000, np.float64)
    found = set()
    for count in (1, 2, 3, 7):
        threads(count)
        result = ssor_cg_result(a, b, rtol=0, maxiter=14)
        found.add((result.x.tobytes(), result.residuals.tobytes(), result.omegas.tobytes()))
    assert len(found) == 1

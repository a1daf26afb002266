"""SSOR as a preconditioner: against dense algebra, transposes, definiteness, in SciPy's solvers, refusals."""

import importlib
import re
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum._data.inputs import logits
from sorgum._data.matrices import Matrix, dominant, grid
from sorgum.reference import sor as reference

linalg: Any = pytest.importorskip("scipy.sparse.linalg")
sparse: Any = importlib.import_module("scipy.sparse")

P = np.array([[5.0, -2, 0], [-2, 6, -1], [0, -1, 3]])
B = np.array([1.0, -4, 2])
SIZES = [*range(1, 34)]
each_order = pytest.mark.parametrize("order", ["natural", "multicolor"])
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def scipy_of(a: Matrix) -> Any:
    return sparse.csr_array((a.data, a.indices, a.indptr), a.shape)


def dense(a: Any) -> Any:
    return np.asarray(a.toarray() if hasattr(a, "toarray") else scipy_of(a).toarray(), np.float64)


def inverse_of(a: Any, omega: float, order: Any = None) -> Any:
    """M^-1 as a dense matrix, of rows that are relaxed in this order."""
    n = a.shape[0]
    order = np.arange(n) if order is None else order
    there = a[np.ix_(order, order)]
    d = np.diag(np.diag(there))
    m = omega / (2 - omega) * (d / omega + np.tril(there, -1)) @ np.linalg.inv(d) @ (d / omega + np.triu(there, 1))
    result = np.empty_like(there)
    result[np.ix_(order, order)] = np.linalg.inv(m)
    return result


def symmetric(n: int, seed: int = 0) -> Any:
    """Diagonally dominant, so positive definite, without zeros."""
    upper = np.triu(logits(n * n, np.float64, seed=seed).reshape(n, n), 1)
    a = upper + upper.T
    return a + np.diag(1 + np.abs(a).sum(axis=1))


def tolerance(a: Any, omega: float, dtype: Any) -> float:
    """Relative to ||M^-1|| ||r||: two half solves of at most n + 5 roundings a row, each amplified by the condition
    number of its triangle, and four roundings of sigma D y between them; the inverse and the products of the oracle are
    covered by the factor 4."""
    n, d = a.shape[0], np.diag(np.diag(a))
    grown = np.linalg.cond(d / omega + np.tril(a, -1)) * np.linalg.cond(d / omega + np.triu(a, 1))
    return float(4 * (2 * (n + 5) + 4) * grown * np.finfo(dtype).eps / 2)


def assert_close(got: Any, expected: Any, bound: float) -> None:
    """Elements within `bound` of the largest one; zeros and a shuffled answer are not."""
    largest = np.max(np.abs(expected))

    def far(x: Any) -> float:
        return float(np.max(np.abs(x - expected)) / largest)

    assert far(np.zeros_like(expected)) > bound
    if expected.size > 2:
        assert far(np.roll(expected, 1)) > bound
    assert far(got) <= bound


@pytest.mark.parametrize("n", SIZES)
@each_order
@each_dtype
def test_it_is_the_dense_inverse(n: int, order: str, dtype: Any) -> None:
    a = symmetric(n, seed=n).astype(dtype)
    r = logits(n, dtype, seed=1)
    for omega in (0.5, 1.0, 1.7):
        m = sg.sor.SSOR(a, omega, order=order)
        exact = np.float64(a)
        rows = np.argsort(m.relaxation.colors, kind="stable")
        got = m @ r
        assert got.dtype == dtype
        assert_close(got, inverse_of(exact, float(dtype(omega)), rows) @ r, tolerance(exact, omega, dtype))


@each_order
def test_forward_then_backward_is_one_step_of_it(order: str) -> None:
    """x + M^-1 (b - A x), in float64 within 1e-14 of the largest element.

    A row's error is at most (m + 5) u of about 2 |x|, 4e-15 / 2, with m <= 5; a sweep makes it at most 3 times as much
    here (1 / (1 - omega sum |a_ij| / |a_ii|) of the part before the diagonal, which is below 1/2): 7e-15 for both.
    """
    a = 4 * np.eye(60) - sum(w * (np.eye(60, k=k) + np.eye(60, k=-k)) for k, w in ((1, 0.6), (9, 0.4)))
    x, b = logits(60, np.float64, seed=1), logits(60, np.float64, seed=2)
    for omega in (0.7, 1.0, 1.3):
        m = sg.sor.SSOR(a, omega, order=order)
        got = x.copy()
        m.relaxation.sweep(got, b, omega)
        m.relaxation.sweep(got, b, omega, sweep="backward")
        assert np.abs(got - (x + m @ (b - a @ x))).max() <= 1e-14 * np.abs(got).max()
        once = x.copy()
        m.relaxation.sweep(once, b, omega)
        for wrong in (0 * got, once, np.roll(got, 1), x + sg.sor.SSOR(a, omega + 0.1, order=order) @ (b - a @ x)):
            assert np.abs(got - wrong).max() > 1e-6 * np.abs(got).max()


def test_the_reference_is_the_dense_inverse() -> None:
    a = symmetric(9)
    for omega in (0.5, 1.0, 1.7):
        assert_close(reference.precondition(a, np.arange(9.0), omega), inverse_of(a, omega) @ np.arange(9.0), 1e-12)


@each_order
def test_every_direction_of_every_type_is_applied(order: str) -> None:
    """Matrices that are not symmetric: matvec, matmat, rmatvec and rmatmat, M.T and M.H."""
    a = dominant(40, 5, np.float64, np.int32, seed=3)
    m = sg.sor.SSOR(scipy_of(a), 1.3, order=order)
    rows = np.argsort(m.relaxation.colors, kind="stable")
    inverse = inverse_of(dense(a), 1.3, rows)
    bound = tolerance(dense(a), 1.3, np.float64)
    x = logits(40 * 3, np.float64).reshape(40, 3)
    assert np.max(np.abs(inverse - inverse.T)) > 1e-3
    for got, expected in (
        (m.matvec(x[:, 0]), inverse @ x[:, 0]),
        (m.matmat(x), inverse @ x),
        (m.rmatvec(x[:, 0]), inverse.T @ x[:, 0]),
        (m.rmatmat(x), inverse.T @ x),
        (m.T @ x[:, 0], inverse.T @ x[:, 0]),
        (m.H @ x[:, 0], inverse.T @ x[:, 0]),
        (m.matvec(x[:, :1]), inverse @ x[:, :1]),
        ((2 * m) @ x[:, 0], 2 * inverse @ x[:, 0]),
    ):
        assert_close(got, expected, bound)
    assert m.matmat(x[:, :0]).shape == (40, 0)


@each_order
def test_adjoints_agree(order: str) -> None:
    """<M^-1 u, v> = <u, M^-T v>, up to the rounding of two products."""
    m = sg.sor.SSOR(scipy_of(dominant(500, 9, np.float64, np.int64)), 1.2, order=order)
    for seed in range(5):
        u, v = logits(500, np.float64, seed=seed), logits(500, np.float64, seed=seed + 9)
        left, right = (m @ u) @ v, u @ m.rmatvec(v)
        assert left != 0
        assert abs(left - right) <= 1e-13 * np.linalg.norm(m @ u) * np.linalg.norm(v)


@pytest.mark.parametrize("omega", [0.1, 1.0, 1.5, 1.9])
@each_order
def test_it_is_symmetric_positive_definite(omega: float, order: str) -> None:
    """Where A is, whatever omega and the order are."""
    a = dense(grid((9, 7), False, np.float64, np.int32))
    inverse = sg.sor.SSOR(a, omega, order=order) @ np.eye(63)
    assert np.max(np.abs(inverse - inverse.T)) <= 1e-13 * np.max(inverse)
    assert np.linalg.eigvalsh(inverse)[0] > 0
    largest = np.linalg.eigvals(inverse @ a).real
    assert 0.1 < np.max(largest) <= 1 + 1e-12  # M - A is positive semidefinite


def test_fewer_iterations_in_scipys_solvers() -> None:
    a = scipy_of(grid((40, 50), False, np.float64, np.int32))
    b = logits(2000, np.float64, seed=5)

    def iterations(solver: Any, m: Any = None, **options: Any) -> int:
        count = [0]

        def counted(_: Any) -> None:
            count[0] += 1

        x, info = solver(a, b, M=m, rtol=1e-8, callback=counted, **options)
        assert info == 0
        assert np.linalg.norm(b - a @ x) < 1e-4 * np.linalg.norm(b)  # minres has a rule of its own
        return count[0]

    gauss_seidel, better = sg.sor.SSOR(a), sg.sor.SSOR(a, 1.85)
    for solver, options in (
        (linalg.cg, {}),
        (linalg.minres, {}),
        (linalg.gmres, {"restart": 200, "callback_type": "pr_norm", "maxiter": 3}),
        (linalg.bicgstab, {}),
    ):
        plain, first, best = (iterations(solver, m, **options) for m in (None, gauss_seidel, better))
        assert best < 0.75 * first < 0.5 * plain, solver


def test_it_takes_a_relaxation_and_sees_its_shift() -> None:
    relaxation = sg.sor.Relaxation(P)
    m = sg.sor.SSOR(relaxation, 1.2)
    assert m.relaxation is relaxation
    assert (m.omega, m.shape, m.dtype) == (1.2, (3, 3), np.dtype(np.float64))
    relaxation.shift(2.0)
    assert_close(m @ B, inverse_of(P + 2 * np.eye(3), 1.2) @ B, 1e-13)
    with pytest.raises(TypeError, match=r"^SSOR: A must be a matrix for the transpose to be formed, got a Relaxation$"):
        m.rmatvec(B)


def test_vectors_of_other_types() -> None:
    m = sg.sor.SSOR(P.astype(np.float32), 1.2)
    expected = m @ B.astype(np.float32)
    assert expected.dtype == np.float32
    for x in (B, B.astype(np.int64), list(B)):
        assert np.array_equal(m.matvec(np.asarray(x)), expected)
    with pytest.raises(TypeError, match=r"^SSOR: x must be real, got dtype complex128$"):
        m.matvec(B + 0j)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((P, 2.0), ValueError, "SSOR: omega must be between 0 and 2 and neither of them, got 2"),
        ((P, 0.0), ValueError, "SSOR: omega must be between 0 and 2 and neither of them, got 0"),
        ((P, np.nan), ValueError, "SSOR: omega must be between 0 and 2 and neither of them, got nan"),
        ((P[:2],), ValueError, "SSOR: A must be square, got shape (2, 3)"),
        ((P + 0j,), TypeError, "SSOR: A must be float32, float64, bool or integer, got dtype dtype('complex128')"),
    ],
)
def test_what_is_refused(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        sg.sor.SSOR(*arguments)


def test_the_order_of_a_relaxation_is_its_own() -> None:
    with pytest.raises(ValueError, match=r"^SSOR: order must be that of the Relaxation, 'natural', got 'multicolor'$"):
        sg.sor.SSOR(sg.sor.Relaxation(P), order="multicolor")


def test_scipy_is_asked_for_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from sorgum.sor import _ssor

    _ssor._operator_type.cache_clear()
    monkeypatch.setitem(sys.modules, "scipy.sparse.linalg", None)
    with pytest.raises(ImportError, match=r"^SSOR: SciPy must be installed, got none: pip install 'sorgum\[sparse\]'$"):
        sg.sor.SSOR(P)


def test_preconditioning_in_place_and_apart() -> None:
    """The compiled function, whose output may be its input but not a part of it."""
    relaxation = sg.sor.Relaxation(dominant(100, 4, np.float64, np.int32))._compiled
    r = logits(100, np.float64)
    expected, there = np.empty(100), r.copy()
    relaxation.precondition(r, 1.3, expected)
    relaxation.precondition(there, 1.3, there)
    assert np.array_equal(there, expected)
    both = np.zeros(101)
    message = "Relaxation.precondition: out must not overlap r, got arrays that share memory"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        relaxation.precondition(both[:-1], 1.3, both[1:])

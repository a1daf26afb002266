"""Relaxation as a smoother of PyAMG's hierarchies, and PyAMG's own tests of relaxation with ours in place of theirs."""

import gc
import importlib
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum._data.inputs import logits
from sorgum._data.matrices import grid

P = np.array([[5.0, -2, 0], [-2, 6, -1], [0, -1, 3]])
B = np.array([1.0, -4, 2])


def test_it_sweeps_as_a_relaxation_does() -> None:
    for options in ({}, {"sweep": "forward"}, {"iterations": 3}, {"order": "multicolor", "sweep": "backward"}):
        x, expected = np.ones(3), np.ones(3)
        order = options.get("order", "natural")
        rest = {"sweep": "symmetric"} | {k: v for k, v in options.items() if k != "order"}
        sg.sor.smoother(1.3, **options)(P, x, B)
        sg.sor.Relaxation(P, order=order).sweep(expected, B, 1.3, **rest)
        assert np.array_equal(x, expected)
        assert not np.array_equal(x, np.ones(3))


def test_arrays_at_an_address_that_others_had() -> None:
    """Values that are replaced twice may lie where the first ones did: they are others all the same."""
    sparse = pytest.importorskip("scipy.sparse")
    a, smooth = sparse.csr_array(2 * np.eye(3)), sg.sor.smoother()
    smooth(a, np.zeros(3), B)
    first = id(a.data)
    for _ in range(50):
        a.data = a.data * 2.0
        if id(a.data) == first:
            break
    smooth(a, x := np.zeros(3), B)
    assert np.array_equal(x, B / a.data)


def test_columns_and_other_types() -> None:
    smooth = sg.sor.smoother(1.2)
    x, column = np.zeros(3), np.zeros((3, 1))
    smooth(P, x, B)
    smooth(P, column, B[:, None])
    assert np.array_equal(column[:, 0], x)
    single = np.zeros(3, np.float32)
    smooth(P, single, B.astype(np.float32))
    assert np.allclose(single, x, rtol=1e-6)


def test_matrices_are_kept_as_long_as_they_live() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    smooth = sg.sor.smoother()
    matrices = [sparse.csr_array(P * k) for k in (1.0, 2.0)]
    for a in matrices * 3:
        smooth(a, np.zeros(3), B)
    assert len(smooth._kept) == 2
    first = smooth._kept[id(matrices[0])][2]
    smooth(matrices[0], np.zeros(3), B)
    assert smooth._kept[id(matrices[0])][2] is first
    matrices[0].data = matrices[0].data * 3  # another array: another matrix
    x, expected = np.zeros(3), np.zeros(3)
    smooth(matrices[0], x, B)
    sg.sor.Relaxation(P * 3).sweep(expected, B, sweep="symmetric")
    assert np.array_equal(x, expected)
    matrices[1].data *= 5.0  # in place: not seen before it is told
    smooth.forget()
    smooth(matrices[1], x := np.zeros(3), B)
    sg.sor.Relaxation(P * 10).sweep(expected := np.zeros(3), B, sweep="symmetric")
    assert np.array_equal(x, expected)
    del matrices, a
    gc.collect()
    assert smooth._kept == {}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"omega": "much"}, TypeError, "smoother: omega must be a real number, got str"),
        ({"iterations": 1.5}, TypeError, "smoother: iterations must be an int, got float"),
        ({"sweep": 1}, TypeError, "smoother: sweep must be a string, got 1"),
        ({"order": None}, TypeError, "smoother: order must be a string, got None"),
    ],
)
def test_what_is_refused_at_once(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as refusal:
        sg.sor.smoother(**arguments)
    assert str(refusal.value) == message


def test_what_is_refused_when_it_smooths() -> None:
    with pytest.raises(ValueError, match=r"omega must be between 0 and 2 and neither of them, got 2$"):
        sg.sor.smoother(2.0)(P, np.zeros(3), B)
    with pytest.raises(ValueError, match=r"sweep must be .*, got 'up'$"):
        sg.sor.smoother(sweep="up")(P, np.zeros(3), B)
    with pytest.raises(TypeError, match=r"x must be an array"):
        sg.sor.smoother()(P, [0.0, 0.0, 0.0], B)  # type: ignore[arg-type]


# PyAMG


def hierarchies() -> Any:
    gallery = importlib.import_module("pyamg.gallery")
    pyamg = importlib.import_module("pyamg")
    a = gallery.poisson((40, 40), format="csr")
    yield "points", a, pyamg.ruge_stuben_solver(a, max_coarse=10)
    a, modes = gallery.linear_elasticity((20, 20))
    yield "elasticity", a, pyamg.smoothed_aggregation_solver(a, B=modes, max_coarse=10)


def test_hierarchies_of_pyamg() -> None:
    """At omega 1 our cycles are theirs with symmetric Gauss-Seidel; the levels of elasticity are blocked matrices."""
    pytest.importorskip("pyamg")
    for name, a, ml in hierarchies():
        b = logits(a.shape[0], np.float64)
        change = importlib.import_module("pyamg.relaxation.smoothing").change_smoothers
        theirs_are = ("gauss_seidel", {"sweep": "symmetric"})
        change(ml, theirs_are, theirs_are)
        their_residuals: list[float] = []
        theirs = ml.solve(b, tol=1e-8, residuals=their_residuals)
        smooth = sg.sor.smoother(1.0)
        for level in ml.levels[:-1]:
            level.presmoother = level.postsmoother = smooth
        our_residuals: list[float] = []
        ours = ml.solve(b, tol=1e-8, residuals=our_residuals)
        assert len(smooth._kept) == len(ml.levels) - 1
        assert len(our_residuals) == len(their_residuals), name
        assert np.allclose(our_residuals, their_residuals, rtol=1e-6), name
        assert np.allclose(ours, theirs, rtol=1e-6, atol=1e-9 * np.max(np.abs(theirs)))
        accelerated: list[float] = []
        ml.solve(b, tol=1e-8, residuals=accelerated, accel="cg")
        assert len(accelerated) < len(our_residuals), name


def ours_for_theirs(A: Any, x: Any, b: Any, iterations: int = 1, sweep: str = "forward", omega: float = 1.0) -> None:
    """PyAMG's gauss_seidel, whose checks of arguments are PyAMG's."""
    make_system = importlib.import_module("pyamg.relaxation.relaxation").make_system
    A, x, b = make_system(A, x, b, formats=["csr", "bsr"])
    if sweep not in ("forward", "backward", "symmetric"):
        raise ValueError(sweep)
    sg.sor.Relaxation(A.tocsr()).sweep(x, b, omega, sweep=sweep, iterations=iterations)


def test_pyamgs_own_tests_of_relaxation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of real matrices that call gauss_seidel or sor, as PyAMG installs them."""
    pytest.importorskip("pyamg")
    theirs = importlib.import_module("pyamg.relaxation.tests.test_relaxation")
    relaxation = importlib.import_module("pyamg.relaxation.relaxation")
    calls = []

    def counted(*arguments: Any, **options: Any) -> None:
        calls.append(options)
        ours_for_theirs(*arguments, **options)

    def sor(A: Any, x: Any, b: Any, omega: float, iterations: int = 1, sweep: str = "forward") -> None:
        counted(A, x, b, iterations=iterations, sweep=sweep, omega=omega)

    for module in (theirs, relaxation):
        monkeypatch.setattr(module, "gauss_seidel", counted)
        monkeypatch.setattr(module, "sor", sor)
    common = theirs.TestCommonRelaxation
    names = [name for name in dir(common) if name.startswith("test_")]
    passed = 0
    for name in names:
        case = common(name)
        case.setUp()
        case.cases = [(counted, (), {}), (sor, (0.5,), {})]
        getattr(case, name)()
        passed += 1
    real = theirs.TestRelaxation
    for name in ("gauss_seidel_bsr", "gauss_seidel_gold", "gauss_seidel_csr", "gauss_seidel_indexed", "sor"):
        case = real(f"test_{name}")
        getattr(case, f"test_{name}")()
        passed += 1
    block = theirs.TestBlockRelaxation("test_block_gauss_seidel")
    block.test_block_gauss_seidel()
    assert passed >= 9
    assert len(calls) > 100


def test_omega_counts_where_pyamg_ignores_it() -> None:
    """Symmetric sweeps, and blocked matrices."""
    sparse = pytest.importorskip("scipy.sparse")
    a = grid((6, 5), False, np.float64, np.int32)
    there = sparse.csr_array((a.data, a.indices, a.indptr), a.shape)
    b = logits(30, np.float64)
    for matrix in (there, there.tobsr((2, 2))):
        found = []
        for omega in (1.0, 1.5):
            x = np.zeros(30)
            sg.sor.smoother(omega)(matrix, x, b)
            found.append(x)
        assert np.max(np.abs(found[0] - found[1])) > 1e-2

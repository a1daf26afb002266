"""sor, sor_result and Relaxation.solve: what they return, when they stop, and what happens without a solution."""

import builtins
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum import reference
from sorgum._data.inputs import logits
from sorgum._data.matrices import Matrix, grid

P = np.array([[5.0, -2, 0], [-2, 6, -1], [0, -1, 3]])


def residual(a: Any, x: Any, b: Any) -> float:
    return float(sg.sor.residual_norm(a, np.float64(x), np.float64(b)))


def neumann(side: int) -> Matrix:
    """A grid whose border lets nothing through: singular, constants are its null space."""
    a = grid((side, side), False, np.float64, np.int32)
    rows = np.repeat(np.arange(a.shape[0]), np.diff(a.indptr))
    data = a.data.copy()
    data[a.indices == rows] = np.diff(a.indptr) - 1
    return Matrix(a.indptr, a.indices, data, a.shape)


@pytest.mark.parametrize("omega", ["adaptive", "young", 1.0, 1.2])
@pytest.mark.parametrize("sweep", ["forward", "backward", "symmetric"])
@pytest.mark.parametrize("order", ["natural", "multicolor"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_choice_solves(omega: Any, sweep: str, order: str, dtype: Any) -> None:
    if (omega, sweep) == ("young", "symmetric"):
        with pytest.raises(ValueError, match=r"^sor: omega must be 'adaptive' or a number for symmetric"):
            sg.sor.sor(P, [1.0, -4, 2], omega=omega, sweep=sweep)
        return
    for a in (P.astype(dtype), grid((13, 11), False, dtype, np.int64)):
        b = logits(a.shape[0], dtype, seed=1)
        x, info = sg.sor.sor(a, b, omega=omega, sweep=sweep, order=order)
        assert info == 0
        assert x.dtype == dtype
        assert residual(a, x, b) <= 1e-5 * np.linalg.norm(np.float64(b))


def test_the_stopping_rule() -> None:
    a, b = grid((20, 20), False, np.float64, np.int32), logits(400, np.float64)
    size = np.linalg.norm(b)
    for rtol, atol, tolerance in ((1e-3, 0, 1e-3 * size), (1e-10, 0, 1e-10 * size), (0, 1e-4, 1e-4), (1e-9, 0.5, 0.5)):
        result = sg.sor.sor_result(a, b, rtol=rtol, atol=atol)
        assert result.info == 0
        assert result.residual_norm == residual(a, result.x, b) <= tolerance
        assert result.residual_norm > tolerance / 30  # not much more was done than was asked for
    with_fixed = sg.sor.sor_result(a, b, omega=1.5, rtol=1e-8)
    theirs, sweeps = reference.sor.sor(a, b, omega=1.5, rtol=1e-8)
    assert sweeps <= with_fixed.iterations <= 1.05 * sweeps + 2
    assert np.allclose(with_fixed.x, theirs, atol=1e-7)


def test_what_a_result_tells() -> None:
    a, b = grid((30, 30), False, np.float64, np.int32), logits(900, np.float64)
    result = sg.sor.sor_result(a, b, rtol=1e-9)
    assert len(result.norms) == len(result.omegas) == result.iterations
    assert result.omegas[0] == 1.0
    assert 1.7 < result.omegas[-1] < 1.9  # Young's is 1.816
    assert result.seconds > 0
    x = np.zeros(900)
    relaxation = sg.sor.Relaxation(a)
    for k in range(6):
        before = x.copy()
        relaxation.sweep(x, b, result.omegas[k])
        assert np.isclose(result.norms[k], np.linalg.norm(4 * (x - before)) / result.omegas[k], rtol=1e-12)


def test_where_it_begins() -> None:
    exact = np.linalg.solve(P, [1.0, -4, 2])
    result = sg.sor.sor_result(P, [1.0, -4, 2], exact)
    assert (result.info, result.iterations) == (0, 0)
    assert result.x is not exact
    start = np.array([1.0, 2, 3])
    sg.sor.sor(P, [1.0, -4, 2], start)
    assert start.tolist() == [1, 2, 3]
    near = sg.sor.sor_result(P, [1.0, -4, 2], exact + 1e-4, rtol=1e-8)
    assert near.iterations < sg.sor.sor_result(P, [1.0, -4, 2], rtol=1e-8).iterations
    x, info = sg.sor.sor(P, [0, 0, 0], start)
    assert (x.tolist(), info) == ([0, 0, 0], 0)


def test_too_few_sweeps() -> None:
    a, b = grid((30, 30), False, np.float64, np.int32), logits(900, np.float64)
    for most in (1, 2, 7, 40):
        result = sg.sor.sor_result(a, b, rtol=1e-12, maxiter=most)
        assert result.info == result.iterations == most
        assert result.residual_norm == residual(a, result.x, b)


def test_each_right_hand_side_has_its_own_tolerance() -> None:
    """A tolerance that is kept from one solve to the next ends the second at once, or never (IterativeSolvers#232)."""
    a, b = grid((12, 12), False, np.float64, np.int32), logits(144, np.float64)
    relaxation = sg.sor.Relaxation(a)
    first, second = relaxation.solve(b), relaxation.solve(1e-6 * b)
    assert first.info == second.info == 0
    assert residual(a, first.x, b) <= 1e-5 * np.linalg.norm(b)
    assert residual(a, second.x, 1e-6 * b) <= 1e-11 * np.linalg.norm(b)
    assert first.iterations == second.iterations > 5

    both = np.stack([b, 1e-6 * b, 0 * b, logits(144, np.float64, seed=5)], axis=1)
    result = sg.sor.sor_result(a, both, rtol=1e-7)
    assert result.x.shape == both.shape
    assert result.info.tolist() == [0, 0, 0, 0]
    for k in range(4):
        alone = sg.sor.sor_result(a, both[:, k], rtol=1e-7)
        assert alone.x.tobytes() == result.x[:, k].tobytes()
        assert alone.omegas.tobytes() == result.omegas[k].tobytes()
        assert alone.iterations == result.iterations[k]
    assert result.iterations[2] == 0
    x, info = sg.sor.sor(a, both[:, :1])
    assert x.shape == (144, 1)
    assert info.shape == (1,)


def test_after_other_values_and_a_shift() -> None:
    a, b = grid((12, 12), False, np.float64, np.int32), logits(144, np.float64)
    relaxation = sg.sor.Relaxation(a)
    relaxation.shift(2.0)
    x = relaxation.solve(b, rtol=1e-10).x
    assert residual(a, x, b - 2 * x) <= 1.01e-10 * np.linalg.norm(b)
    relaxation.update_values(3 * a.data)
    assert np.allclose(3 * relaxation.solve(b, rtol=1e-10).x, sg.sor.sor(a, b, rtol=1e-10)[0], atol=1e-8)


# What does not converge


def test_divergence_ends_with_a_finite_x() -> None:
    """AlgebraicMultigrid.jl#98: infinities without a word."""
    a = 2 * np.eye(3, k=1) + 2 * np.eye(3, k=-1) + np.eye(3)
    for b in ([1.0, 2, 3], [1e300, 2, 3]):
        for omega in (1.0, 1.9, 0.1, "adaptive", "young"):
            for dtype in (np.float32, np.float64):
                if dtype == np.float64 or b[0] == 1:
                    result = sg.sor.sor_result(a.astype(dtype), np.array(b, dtype), omega=omega)
                    assert result.info == -1, (omega, dtype)
                    assert np.isfinite(result.x).all()
                    assert result.iterations < 5000
    wild = np.array([[1.0, 1e200], [1e200, 1.0]])
    result = sg.sor.sor_result(wild, [1.0, 1.0])
    assert result.info == -1
    assert np.isfinite(result.x).all()


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
def test_huge_and_tiny_scales(scale: float) -> None:
    a, b = grid((10, 10), False, np.float64, np.int32), logits(100, np.float64)
    plain = sg.sor.sor_result(a, b, rtol=1e-8)
    of_b = sg.sor.sor_result(a, b * scale, rtol=1e-8)
    assert of_b.info == 0
    assert of_b.iterations == plain.iterations
    assert np.allclose(of_b.x / scale, plain.x, rtol=1e-6)
    scaled = Matrix(a.indptr, a.indices, a.data * scale, a.shape)
    both = sg.sor.sor_result(scaled, b * scale, rtol=1e-8)
    assert both.info == 0
    assert np.allclose(both.x, plain.x, rtol=1e-6)


def test_a_singular_matrix() -> None:
    """Pure Neumann: right sides without a mean have solutions, which differ by a constant."""
    a = neumann(16)
    b = logits(256, np.float64)
    consistent = b - b.mean()
    for null in ("constant", np.full(256, -3.0)):
        result = sg.sor.sor_result(a, consistent, rtol=1e-9, nullspace=null)
        assert result.info == 0
        assert abs(result.x.mean()) < 1e-12 * np.abs(result.x).max()
        assert residual(a, result.x, consistent) <= 1.1e-9 * np.linalg.norm(consistent)
        inconsistent = sg.sor.sor_result(a, consistent + 0.1, nullspace=null)
        assert (inconsistent.info, inconsistent.iterations) == (-2, 0)
        assert np.isfinite(inconsistent.x).all()
    assert sg.sor.sor(a, consistent, rtol=1e-9)[1] == 0  # nor need it be said
    assert sg.sor.sor(a, consistent + 1.0, nullspace="constant", rtol=0.9)[1] == 0  # within what is asked for
    for omega in ("adaptive", 1.0):
        seen = sg.sor.sor_result(a, consistent + 0.5, omega=omega, maxiter=100000)
        assert seen.info == -2, omega
        assert np.isfinite(seen.x).all()


def test_the_limit_of_float32() -> None:
    """At 1000^2, scaled down: the residual of the best float32 vector is above what is asked for."""
    a, b = grid((150, 150), False, np.float32, np.int32), np.ones(22500, np.float32)
    result = sg.sor.sor_result(a, b, rtol=1e-7)
    assert result.info == -4
    assert result.iterations < 3000
    u = 2.0**-24
    assert result.residual_norm <= 8 * u * (8 * np.linalg.norm(np.float64(result.x)) + 150)
    exact = sg.sor.sor(grid((150, 150), False, np.float64, np.int32), np.ones(22500), rtol=1e-10)[0]
    assert np.linalg.norm(result.x - exact) < 1e-3 * np.linalg.norm(exact)
    assert sg.sor.sor(grid((150, 150), False, np.float64, np.int32), b, rtol=1e-7)[1] == 0


def test_zero_tolerance_ends() -> None:
    result = sg.sor.sor_result(P, [1.0, -4, 2], rtol=0.0)
    assert result.info in (0, -4)
    assert result.iterations < 1000
    assert np.allclose(result.x, np.linalg.solve(P, [1.0, -4, 2]), rtol=1e-14)


# Bounds


def test_an_obstacle() -> None:
    """A membrane over an obstacle: x >= lower, A x >= b, and one of them is tight in each row."""
    a, n = grid((25, 25), False, np.float64, np.int32), 625
    place = np.indices((25, 25)).reshape(2, n) / 24 - 0.5
    lower = 0.3 - 2 * (place**2).sum(axis=0)
    b = np.full(n, -0.01)
    for omega in (1.0, 1.5, "adaptive"):
        result = sg.sor.sor_result(a, b, omega=omega, bounds=(lower, None), rtol=1e-10)
        assert result.info == 0
        x = result.x
        slack = np.array([(a.data[i:j] * x[a.indices[i:j]]).sum() for i, j in zip(a.indptr, a.indptr[1:])]) - b  # noqa: B905
        assert (x >= lower).all()
        assert 20 < (x == lower).sum() < 600
        assert slack.min() > -1e-10
        assert np.abs(slack[x > lower]).max() < 1e-10
    held = sg.sor.sor(a, np.zeros(n), bounds=(0.5, 1.0), rtol=1e-8)
    assert held[1] == 0
    assert np.allclose(held[0].min(), 0.5)
    same = sg.sor.sor_result(-a_dense(a), -b, omega=1.5, bounds=(lower, None), rtol=1e-10)
    assert np.allclose(same.x, result.x, atol=1e-8)


def a_dense(a: Matrix) -> Any:
    full = np.zeros(a.shape)
    np.add.at(full, (np.repeat(np.arange(a.shape[0]), np.diff(a.indptr)), a.indices), a.data)
    return full


# Callbacks, bars, interrupts, libraries


def test_callback() -> None:
    seen: list[Any] = []
    a, b = grid((9, 9), False, np.float64, np.int32), logits(81, np.float64)
    result = sg.sor.sor_result(a, b, omega=1.4, callback=lambda x: seen.append(x.copy()))
    assert len(seen) == result.iterations
    assert seen[-1].tobytes() == result.x.tobytes()
    x = np.zeros(81)
    for each in seen[:5]:
        sg.sor.Relaxation(a).sweep(x, b, 1.4)
        assert each.tobytes() == x.tobytes()

    class Enough(Exception):
        pass

    def stop(x: Any) -> None:
        raise Enough

    with pytest.raises(Enough):
        sg.sor.sor(a, b, callback=stop)


def test_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    sg.sor.sor(P, [1.0, -4, 2], progress=True)
    assert "sweep" in capsys.readouterr().err
    sg.sor.sor(P, [1.0, -4, 2])
    assert capsys.readouterr().err == ""
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "tqdm":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert sg.sor.sor(P, [1.0, -4, 2], progress=True)[1] == 0
    assert capsys.readouterr().err == ""


def test_arrays_of_other_libraries() -> None:
    torch = pytest.importorskip("torch")
    x, info = sg.sor.sor(torch.from_numpy(P), torch.tensor([1.0, -4, 2], dtype=torch.float64), rtol=1e-10)
    assert isinstance(x, torch.Tensor)
    assert info == 0
    assert np.allclose(x, np.linalg.solve(P, [1.0, -4, 2]))


def test_types() -> None:
    x, _ = sg.sor.sor(P.astype(np.float32), np.float32([1, -4, 2]))
    assert x.dtype == np.float32
    for a, b, x0 in ((P, np.float32([1, -4, 2]), None), (P.astype(np.float32), [1.0, -4, 2], None),
                     (P.astype(np.float32), np.float32([1, -4, 2]), [0.0, 0, 0])):  # fmt: skip
        assert sg.sor.sor(a, b, x0)[0].dtype == np.float64
    assert np.allclose(sg.sor.sor(P.astype(int), [1, -4, 2], rtol=1e-9)[0], np.linalg.solve(P, [1, -4, 2]))
    empty, info = sg.sor.sor(np.zeros((0, 0)), [])
    assert (empty.shape, info) == ((0,), 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"omega": 2.0}, "omega must be between 0 and 2 and neither of them, got 2.0"),
        ({"omega": 0}, "omega must be between 0 and 2 and neither of them, got 0.0"),
        ({"omega": np.nan}, "omega must be between 0 and 2 and neither of them, got nan"),
        ({"omega": "best"}, "omega must be 'adaptive', 'young' or a number, got 'best'"),
        ({"rtol": -1e-3}, "rtol must be finite and not negative, got -0.001"),
        ({"atol": np.inf}, "atol must be finite and not negative, got inf"),
        ({"maxiter": 0}, "maxiter must be at least 1, got 0"),
        ({"sweep": "sideways"}, "sweep must be 'forward', 'backward' or 'symmetric', got 'sideways'"),
        ({"order": "random"}, "order must be 'natural' or 'multicolor' or 'block_multicolor', got 'random'"),
        ({"nullspace": "linear"}, "nullspace must be 'constant' or a vector, got 'linear'"),
        ({"nullspace": [1.0, 2]}, r"nullspace must have shape \(3,\), got \(2,\)"),
        ({"nullspace": [0.0, 0, 0]}, "nullspace must not be zero, got a vector of zeros"),
        ({"b": [1.0, np.nan, 2]}, "b must be finite, got nan in row 1"),
        ({"b": [1.0, 2, np.inf]}, "b must be finite, got inf in row 2"),
        ({"x0": [-np.inf, 2, 3]}, "x0 must be finite, got -inf in row 0"),
        ({"b": [1.0, 2]}, r"b must have shape \(3,\) or \(3, k\), got \(2,\)"),
        ({"x0": [[1.0], [2], [3]]}, r"x0 must have the shape of b, \(3,\), got \(3, 1\)"),
        ({"A": np.ones((2, 3)), "b": [1.0, 2]}, r"A must be square, got shape \(2, 3\)"),
        ({"bounds": ([1.0, 2], None)}, r"bounds\[0\] must have shape \(3,\), got \(2,\)"),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    given = {"A": P, "b": [1.0, -4, 2], **arguments}
    for function in (sg.sor.sor, sg.sor.sor_result):
        with pytest.raises(ValueError, match=f"^{function.__name__}: {message}$"):
            function(**given)


def test_refused_types() -> None:
    for arguments, message in (
        ({"callback": 3}, "callback must be callable, got int"),
        ({"progress": 1}, "progress must be a bool, got int"),
        ({"omega": None}, "omega must be a real number, got None"),
        ({"maxiter": 1.5}, "maxiter must be an int, got float"),
        ({"sweep": 3}, "sweep must be a string, got 3"),
    ):
        with pytest.raises(TypeError, match=f"^sor: {message}"):
            sg.sor.sor(P, [1.0, -4, 2], **arguments)
    with pytest.raises(TypeError, match=r"^Relaxation\.solve: b must have dtype float32, got float64$"):
        sg.sor.Relaxation(P.astype(np.float32)).solve([1.0, 2, 3])


# Bits


def test_bits_over_instruction_sets_and_threads(isa: str, threads: Callable[[int], None]) -> None:
    a, b = grid((70, 65), False, np.float64, np.int32), logits(4550, np.float64)
    for order in ("natural", "multicolor"):
        found = set()
        for wanted in ("scalar", isa):
            sg.set_isa(wanted)
            for n in (1, 2, 3, 7):
                threads(n)
                result = sg.sor.sor_result(a, b, rtol=1e-6, order=order)
                assert result.info == 0
                found.add((result.x.tobytes(), result.omegas.tobytes(), result.norms.tobytes()))
        assert len(found) == 1
    sg.set_isa(isa)

"""Sequences of systems: what a solver returns, how it is bounded, what is kept, and the bits."""

import hashlib
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum import reference
from sorgum._data.matrices import Matrix, grid
from sorgum.sor import Adaptive, ChebCB, Fixed, Policy, SequenceSolver, TsallisINF, TsallisINFBins, YoungModel

SIDE = 10
LEAST = 8 * math.sin(math.pi / 2 / (SIDE + 1)) ** 2  # eigenvalue of the five-point Laplacian
POLICIES: dict[str, Callable[[], Policy]] = {
    "Adaptive": Adaptive,
    "YoungModel": lambda: YoungModel("shift", diagonal=4.0),
    "Fixed": lambda: Fixed(1.6),
    "TsallisINF": lambda: TsallisINF(rng=3),
    "TsallisINFBins": lambda: TsallisINFBins(-0.15, 0.45, rng=3),
    "ChebCB": lambda: ChebCB(-0.15, 0.45, rng=3),
}


def laplacian() -> Matrix:
    return grid((SIDE, SIDE), False, np.float64, np.int32)


def plus(a: Matrix, c: float) -> Matrix:
    """Return a + c I."""
    data = a.data.copy()
    rows = np.repeat(np.arange(a.shape[0]), np.diff(a.indptr))
    data[rows == a.indices] += c
    return Matrix(a.indptr, a.indices, data, a.shape)


def dense(a: Matrix) -> Any:
    full = np.zeros(a.shape)
    full[np.repeat(np.arange(a.shape[0]), np.diff(a.indptr)), a.indices] = a.data
    return full


def systems(count: int, seed: int = 0) -> list[tuple[float, Any]]:
    """Shifts and right-hand sides of Khodak et al., the set of low variance."""
    random = np.random.default_rng(seed)
    return [(-0.15 + 0.6 * float(random.beta(2, 6)), random.standard_normal(SIDE * SIDE)) for _ in range(count)]


def solved(solver: SequenceSolver, some: list[tuple[float, Any]]) -> list[Any]:
    relaxation, results = sg.sor.Relaxation(laplacian()), []
    for c, b in some:
        relaxation.shift(c)
        results.append(solver.solve(relaxation, b, c))
    return results


@pytest.mark.parametrize("method", ["sor", "ssor_cg"])
@pytest.mark.parametrize("name", POLICIES)
def test_every_system_is_solved(name: str, method: str) -> None:
    solver = SequenceSolver(POLICIES[name](), method=method, rtol=1e-8)
    some = systems(60)
    for (c, b), result in zip(some, solved(solver, some), strict=True):
        full = dense(plus(laplacian(), c))
        residual = np.linalg.norm(b - full @ result.x)
        assert result.info == 0
        # Roundings of the residual that is formed in float64, see docs/numerics/sor.md: 6 u (|b| + |A||x|).
        assert residual <= 1e-8 * np.linalg.norm(b) * (1 + 1e-6)
        assert abs(residual - result.residual_norm) <= 1e-13 * np.linalg.norm(abs(full) @ abs(result.x) + abs(b))
        assert result.residual_norm > 0
        assert result.loss <= result.iterations
        assert 0 < result.omega < 2


@pytest.mark.parametrize("method", ["sor", "ssor_cg"])
def test_matrices_and_relaxations_are_the_same(method: str) -> None:
    """A matrix of the pattern before only brings its values; what others would do with it has the same bits."""
    a, some = laplacian(), systems(8)
    ways: list[list[Any]] = []
    for prepared in (False, True):
        solver, found = SequenceSolver(method=method, rtol=1e-8), []
        for c, b in some:
            shifted = plus(a, c)
            found.append(solver.solve(sg.sor.Relaxation(shifted) if prepared else shifted, b, c))
        ways.append([(r.x.tobytes(), r.iterations, r.omega) for r in found])
    assert ways[0] == ways[1]
    assert len(set(ways[0])) == len(some)


def test_other_patterns_and_types_in_one_sequence() -> None:
    solver = SequenceSolver(rtol=1e-6)
    for side, dtype in ((6, np.float64), (7, np.float64), (6, np.float32), (6, np.float64)):
        a = grid((side, side), False, dtype, np.int64)
        result = solver.solve(a, np.ones(side * side, dtype))
        assert (result.info, result.x.dtype) == (0, dtype)
        assert sg.sor.residual_norm(a, result.x, np.ones(side * side)) <= 1e-6 * side
    for wrong in (plus(grid((6, 6), False, np.float64, np.int64), -4.0), np.diag([1.0, math.nan])):
        with pytest.raises(ValueError, match=r"^Relaxation: |must be|A must"):
            solver.solve(wrong, np.ones(len(wrong.indptr) - 1 if isinstance(wrong, Matrix) else 2))
    again = solver.solve(grid((6, 6), False, np.float64, np.int64), np.ones(36))
    assert again.info == 0


class Stubborn(Policy):
    """A factor that hardly moves anything, after one that is good."""

    def __init__(self, bad: float) -> None:
        """Keep it."""
        self.bad, self.losses = bad, list[float]()

    def choose(self, context: Any) -> float:
        """Return it."""
        return self.bad if self.losses else 1.6

    def learn(self, context: Any, omega: float, loss: float) -> None:
        """Keep what it took."""
        assert omega == (self.bad if self.losses else 1.6)
        self.losses.append(loss)


@pytest.mark.parametrize("method", ["sor", "ssor_cg"])
@pytest.mark.parametrize("bad", [0.001, 1.999])
def test_the_backstop_bounds_every_system(bad: float, method: str) -> None:
    policy = Stubborn(bad)
    solver = SequenceSolver(policy, method=method, rtol=1e-8, maxiter=100000)
    results = solved(solver, systems(4))
    good = results[0].iterations
    assert not results[0].backstopped
    means = np.cumsum([r.iterations for r in results]) / np.arange(1, 5)
    alone = SequenceSolver(Adaptive(), method=method, rtol=1e-8)
    most = max(r.iterations for r in solved(alone, systems(4)))
    for mean, result in zip(means, results[1:], strict=False):
        assert result.info == 0
        if result.backstopped:
            assert result.iterations <= 4 * mean + 2 * most + 20
    assert method == "ssor_cg" or all(r.backstopped for r in results[1:])
    assert policy.losses == [float(r.iterations) for r in results]
    assert policy.losses[0] == good
    free = SequenceSolver(Stubborn(bad), method=method, rtol=1e-8, maxiter=200, backstop=math.inf)
    last = solved(free, systems(2))[1]
    assert method == "ssor_cg" or (last.info, last.iterations, last.backstopped) == (200, 200, False)


def test_maxiter_bounds_all_parts_together() -> None:
    for most in (1, 5, 8, 9, 30):
        solver = SequenceSolver(YoungModel("shift", diagonal=4.0, sweeps=8), rtol=1e-14, maxiter=most)
        for result in solved(solver, systems(3)):
            assert result.iterations == result.info == most
            assert np.isfinite(result.x).all()


def test_divergence_is_not_fatal() -> None:
    """Central convection: large factors diverge, and the backstop goes on with what does not."""
    n = 40
    a = 2 * np.eye(n) - 2.4 * np.eye(n, k=-1) + 0.4 * np.eye(n, k=1)
    solver = SequenceSolver(Fixed(1.95), rtol=1e-8)
    for seed in range(3):
        b = np.random.default_rng(seed).standard_normal(n)
        result = solver.solve(a, b)
        assert result.info == 0
        assert result.backstopped
        assert np.linalg.norm(b - a @ result.x) <= 1e-8 * np.linalg.norm(b) * (1 + 1e-6)


def test_the_start_and_trivial_systems() -> None:
    a, b = laplacian(), np.ones(SIDE * SIDE)
    for method in ("sor", "ssor_cg"):
        solver = SequenceSolver(method=method, rtol=1e-8)
        cold = solver.solve(a, b)
        warm = solver.solve(a, b, x0=cold.x)
        assert (warm.iterations, warm.x.tobytes()) == (0, cold.x.tobytes())
        near = solver.solve(a, b, x0=cold.x * 1.001)
        assert 0 < near.iterations < cold.iterations
        nothing = solver.solve(a, 0 * b)
        assert (nothing.info, nothing.iterations, float(abs(nothing.x).max())) == (0, 0, 0.0)
        empty = solver.solve(np.zeros((0, 0)), np.zeros(0))
        assert (empty.info, empty.x.shape) == (0, (0,))


@pytest.mark.parametrize("name", POLICIES)
def test_what_is_restored_goes_on_with_the_same_bits(name: str) -> None:
    some = systems(40)
    whole = SequenceSolver(POLICIES[name](), rtol=1e-8)
    expected = solved(whole, some)
    first = SequenceSolver(POLICIES[name](), rtol=1e-8)
    solved(first, some[:25])
    second = SequenceSolver(POLICIES[name](), rtol=1e-8)
    second.restore(json.loads(json.dumps(first.state())))
    for one, other in zip(solved(second, some[25:]), expected[25:], strict=True):
        assert (one.x.tobytes(), one[1:7]) == (other.x.tobytes(), other[1:7])
    assert second.state() == whole.state()


def digest(method: str, dtype: Any) -> str:
    found, a = hashlib.sha256(), laplacian()
    if dtype == np.float32:
        a = grid((SIDE, SIDE), False, np.float32, np.int32)
    for make in POLICIES.values():
        solver, relaxation = SequenceSolver(make(), method=method, rtol=1e-4), sg.sor.Relaxation(a)
        for c, b in systems(12):
            relaxation.shift(c)
            result = solver.solve(relaxation, b.astype(dtype), c)
            found.update(result.x.tobytes() + json.dumps(result[1:6]).encode())
    return found.hexdigest()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", ["sor", "ssor_cg"])
def test_bits_do_not_depend_on_the_instruction_set(method: str, dtype: Any) -> None:
    digests = {}
    before = sg.isa()
    for name in sg.available_isas():
        sg.set_isa(name)
        digests[name] = digest(method, dtype)
    sg.set_isa(before)
    assert len(digests) > 1
    assert len(set(digests.values())) == 1
    for threads in (1, 2, 3):
        sg.set_num_threads(threads)
        assert digest(method, dtype) == digests[before]


def test_seconds_as_the_loss() -> None:
    solver = SequenceSolver(TsallisINF([1.5, 1.6], rng=1), loss="seconds", rtol=1e-8)
    for result in solved(solver, systems(5)):
        assert 0 < result.loss <= result.seconds
        assert result.loss != result.iterations
    assert solver.state()["policy"]["rounds"] == 5


def test_arguments_are_refused_by_name() -> None:
    eye = np.eye(2)
    for call, kind, message in (
        (lambda: SequenceSolver("adaptive"), TypeError,  # type: ignore[arg-type]
         "SequenceSolver: policy must be a Policy, got str"),
        (lambda: SequenceSolver(method="cg"), ValueError,
         "SequenceSolver: method must be 'sor' or 'ssor_cg', got 'cg'"),
        (lambda: SequenceSolver(method="ssor_cg", order="multicolor"), ValueError,
         "SequenceSolver: order must be 'natural' for ssor_cg, got 'multicolor'"),
        (lambda: SequenceSolver(rtol=-1.0), ValueError,
         "SequenceSolver: rtol must be finite and not negative, got -1.0"),
        (lambda: SequenceSolver(atol=math.nan), ValueError,
         "SequenceSolver: atol must be finite and not negative, got nan"),
        (lambda: SequenceSolver(maxiter=0), ValueError, "SequenceSolver: maxiter must be at least 1, got 0"),
        (lambda: SequenceSolver(backstop=0.5), ValueError, "SequenceSolver: backstop must be at least 1, got 0.5"),
        (lambda: SequenceSolver(backstop=math.nan), ValueError,
         "SequenceSolver: backstop must be at least 1, got nan"),
        (lambda: SequenceSolver(loss="time"), ValueError,
         "SequenceSolver: loss must be 'sweeps' or 'seconds', got 'time'"),
        (lambda: SequenceSolver().solve(eye, np.ones(3)), ValueError,
         "SequenceSolver.solve: b must have shape (2,) or (2, k), got (3,)"),
        (lambda: SequenceSolver().solve(eye, np.ones((2, 1))), ValueError,
         "SequenceSolver.solve: b must have shape (2,), got (2, 1)"),
        (lambda: SequenceSolver().solve(eye, np.ones(2), x0=np.ones((2, 2))), ValueError,
         "SequenceSolver.solve: x0 must have shape (2,), got (2, 2)"),
        (lambda: SequenceSolver().solve(eye, [1.0, math.inf]), ValueError,
         "SequenceSolver.solve: b must be finite, got inf in row 1"),
        (lambda: SequenceSolver(method="ssor_cg").solve(sg.sor.Relaxation(eye, order="multicolor"), np.ones(2)),
         ValueError, "SequenceSolver.solve: A must have natural order for ssor_cg, got 'multicolor'"),
        (lambda: SequenceSolver(YoungModel("shift")).solve(eye, np.ones(2)), TypeError,
         "SequenceSolver.solve: context must be a real number, got NoneType"),
        (lambda: SequenceSolver().restore({}), TypeError,  # type: ignore[arg-type]
         "SequenceSolver.restore: state must be a dict with a policy's state, got {}"),
        (lambda: SequenceSolver().restore({"policy": {}, "solves": -1, "iterations": 0}), ValueError,
         "SequenceSolver.restore: state must have a count in [0, 2**53) as solves, got -1"),
    ):  # fmt: skip
        with pytest.raises(kind) as caught:
            call()
        assert str(caught.value) == message


def test_policies_that_answer_nonsense() -> None:
    class Wrong(Policy):
        answer: Any = None

        def choose(self, context: Any) -> float:
            return self.answer

    for answer, kind, message in (
        (2.5, ValueError, "SequenceSolver.solve: policy.choose must be between 0 and 2 and neither of them, got 2.5"),
        (None, TypeError, "SequenceSolver.solve: policy.choose must be a real number, got NoneType"),
        (math.nan, ValueError,
         "SequenceSolver.solve: policy.choose must be between 0 and 2 and neither of them, got nan"),
    ):  # fmt: skip
        Wrong.answer = answer
        with pytest.raises(kind) as caught:
            SequenceSolver(Wrong()).solve(np.eye(2), np.ones(2))
        assert str(caught.value) == message


@pytest.mark.parametrize(("name", "most"), [("Adaptive", 1.22), ("YoungModel", 1.04), ("ChebCB", 1.6)])
def test_how_close_to_the_best_factor_of_each_system(name: str, most: float) -> None:
    """The paper's set of low variance, 500 systems: Young's factor for each, which nobody knows, is 1."""
    some, relaxation, best = systems(500, seed=4), sg.sor.Relaxation(laplacian()), 0
    for c, b in some:
        relaxation.shift(c)
        omega = float(reference.sor.young_factor(1 - (LEAST + c) / (4 + c)))
        best += relaxation.solve(b, omega=omega, rtol=1e-8).iterations
    ours = sum(r.iterations for r in solved(SequenceSolver(POLICIES[name](), rtol=1e-8), some))
    fixed = sum(r.iterations for r in solved(SequenceSolver(Fixed(1.5), rtol=1e-8), some))
    assert ours <= most * best
    assert best < 0.8 * fixed


def test_heat_with_conjugate_gradients() -> None:
    """300 steps of the paper's heat equation from t = 0.5: the model, which learns, and the factor that is right."""
    side, dt = 14, 2e-3
    k = grid((side, side), False, np.float64, np.int32)
    scale = (side + 1) ** 2

    def steps(policy: Policy) -> int:
        solver, u, total = SequenceSolver(policy, method="ssor_cg", rtol=1e-8), np.ones(side * side), 0
        for step in range(300):
            t = 0.5 + step * dt
            s = max(0.1 * math.sin(2 * math.pi * t), -10 * math.sin(2 * math.pi * t)) * dt / 2
            entries = s * scale * k.data
            matrix = plus(Matrix(k.indptr, k.indices, entries, k.shape), 1.0)
            b = u - s * scale * (dense(k) @ u) + dt * math.cos(step)
            result = solver.solve(matrix, b, s, u)
            assert result.info == 0
            u, total = result.x, total + result.iterations
        return total

    class Known(Policy):
        def choose(self, context: Any) -> float:
            share = 4 * scale * context / (1 + 4 * scale * context)
            return float(reference.sor.young_factor(share * math.cos(math.pi / (side + 1))))

    known, learned, plain = steps(Known()), steps(YoungModel("scale", diagonal=4.0 * scale)), steps(Fixed(1.0))
    assert learned < 1.25 * known
    assert known < 0.9 * plain

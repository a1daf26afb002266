"""The relaxation factor: Young's theory, and how close to the best, and never far from Gauss-Seidel, "adaptive" is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum._core.sor import OmegaRule
from sorgum._data.matrices import Matrix, grid
from sorgum.sor._omega import mean_factor

GRIDS = {"5-point": ((40, 40), False), "7-point": ((12, 12, 12), False), "27-point": ((12, 12, 12), True)}


def right_side(n: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(n)


def sweeps_to(a: Any, b: Any, omega: Any, most: int = 10000, rtol: float = 1e-8) -> int:
    result = sg.sor.sor_result(a, b, omega=omega, rtol=rtol, maxiter=most)
    assert np.isfinite(result.x).all()
    return most + 1 if result.info else int(result.iterations)


def fixed_sweeps(a: Any, b: Any, omega: float, most: int, rtol: float = 1e-8) -> int:
    """The first sweep after which the residual is small enough, counted one by one; `most` + 1 if none is."""
    relaxation, x, tolerance = sg.sor.Relaxation(a), np.zeros(len(b)), rtol * np.linalg.norm(b)
    for k in range(1, most + 1):
        relaxation.sweep(x, b, omega)
        if relaxation.residual_norm(x, b) <= tolerance:
            return k
        if not np.isfinite(x).all():
            break
    return most + 1


@pytest.mark.parametrize("omega", [1.5, 1.8, 1.9, 2 / (1 + np.sin(np.pi / 65)), 1.93, 1.97])
def test_young_s_theory(omega: float) -> None:
    """-ln of the factor per sweep within 2 percent: that much is left of the Jordan block p (omega - 1)^(p - 1)."""
    a, x = grid((64, 64), False, np.float64, np.int32), right_side(4096)
    relaxation, b = sg.sor.Relaxation(a), np.zeros(4096)
    relaxation.sweep(x, b, omega, iterations=1500)
    middle = np.linalg.norm(x)
    relaxation.sweep(x, b, omega, iterations=1500)
    seen = -np.log(np.linalg.norm(x) / middle) / 1500
    mu = np.cos(np.pi / 65)
    best = 2 / (1 + np.sqrt(1 - mu**2))
    root = omega * mu / 2 + np.sqrt(max(omega**2 * mu**2 / 4 - omega + 1, 0))
    theory = -np.log(omega - 1 if omega >= best else root**2)
    assert abs(seen / theory - 1) < 0.02
    others = [w for w in (1.0, 1.5, 1.8, 1.9, 1.93, 1.97) if abs(w - omega) > 0.02]
    for w in others:  # what another factor would do is farther away
        root = w * mu / 2 + np.sqrt(max(w**2 * mu**2 / 4 - w + 1, 0))
        assert abs(seen / -np.log(w - 1 if w >= best else root**2) - 1) > 0.02


@pytest.mark.parametrize("sweep", ["forward", "backward", "symmetric"])
@pytest.mark.parametrize("order", ["natural", "multicolor"])
def test_the_energy_norm_never_rises(sweep: str, order: str) -> None:
    """Ostrowski and Reich: positive definite, 0 < omega < 2, any order. Until 1e-12, where roundings show."""
    rng = np.random.default_rng(3)
    factor = rng.standard_normal((60, 60))
    for a in (factor @ factor.T + np.eye(60), np.exp(-np.abs(np.subtract.outer(rng.random(50), rng.random(50)))) * 0
              + np.diag(np.ones(50)) * 2 - np.diag(np.ones(49), 1) - np.diag(np.ones(49), -1)):  # fmt: skip
        relaxation, exact = sg.sor.Relaxation(a, order=order), rng.standard_normal(len(a))
        b = a @ exact
        for omega in (0.05, 0.7, 1.0, 1.5, 1.95):
            x = np.zeros(len(a))
            energy = [exact @ a @ exact]
            for _ in range(300):
                relaxation.sweep(x, b, omega, sweep=sweep)
                energy.append((x - exact) @ a @ (x - exact))
                if energy[-1] < 1e-24 * energy[0]:
                    break
                assert energy[-1] <= energy[-2] * (1 + 1e-10)
            assert energy[-1] < energy[0]


@pytest.mark.parametrize("name", GRIDS)
def test_adaptive_beside_the_best_fixed_factor(name: str) -> None:
    a = grid(*GRIDS[name], np.float64, np.int32)
    ratios = []
    for seed in range(3):
        b = right_side(a.shape[0], seed)
        best = 10000
        for omega in 2 - 2.0 ** (-np.arange(4, 40) / 8):
            best = min(best, fixed_sweeps(a, b, omega, best))
        assert best < 200
        ratios.append(sweeps_to(a, b, "adaptive") / best)
    assert max(ratios) <= 1.4
    assert min(ratios) > 0.9  # else the best is not
    assert sweeps_to(a, right_side(a.shape[0]), 1.0) > 2.5 * best  # and Gauss-Seidel is far


@pytest.mark.parametrize(("anisotropy", "degrees"), [(0.1, 30), (0.01, 45)])
def test_adaptive_for_finite_elements(anisotropy: float, degrees: float) -> None:
    """Bilinear ones, whose matrix is not diagonally dominant: what Gauss-Seidel does at first is no measure for it."""
    c, s, eye = np.cos(np.radians(degrees)), np.sin(np.radians(degrees)), np.eye(24)
    up, down = np.eye(24, k=1), np.eye(24, k=-1)
    stiffness, mass, slope = 2 * eye - up - down, (4 * eye + up + down) / 6, (up - down) / 2
    a = (c * c + anisotropy * s * s) * np.kron(mass, stiffness) + (s * s + anisotropy * c * c) * np.kron(
        stiffness, mass
    )
    a += 2 * (1 - anisotropy) * c * s * np.kron(slope, slope)
    assert (np.abs(a).sum(axis=1) > 2.05 * np.diag(a)).any()
    for seed in range(3):
        b, best = right_side(24 * 24, seed), 10000
        for omega in 2 - 2.0 ** (-np.arange(4, 40) / 8):
            best = min(best, fixed_sweeps(a, b, omega, best))
        assert best < 300
        assert 0.9 * best < sweeps_to(a, b, "adaptive") <= 1.4 * best


def test_adaptive_and_young_on_a_larger_grid() -> None:
    a = grid((200, 200), False, np.float64, np.int32)
    b = right_side(40000)
    best = sweeps_to(a, b, 2 / (1 + np.sin(np.pi / 201)))
    for omega in ("adaptive", "young"):
        assert sweeps_to(a, b, omega) <= 1.4 * best
    assert sweeps_to(a, b, 1.9) > 2 * best


def convection(side: int, gamma: float) -> Any:
    """Central differences of a flow along both axes, gamma the cell's Peclet number; beyond 1, mu is imaginary."""
    line = 2 * np.eye(side) - (1 + gamma) * np.eye(side, k=-1) - (1 - gamma) * np.eye(side, k=1)
    return np.kron(line, np.eye(side)) + np.kron(np.eye(side), line)


def upwind(side: int, peclet: float) -> Any:
    """Rows run against the flow."""
    line = (2 + peclet) * np.eye(side) - np.eye(side, k=-1) - (1 + peclet) * np.eye(side, k=1)
    return np.kron(line, np.eye(side)) + np.kron(np.eye(side), line)


def hostile() -> dict[str, Callable[[], Any]]:
    rng = np.random.default_rng(5)
    wide, tall = rng.standard_normal((120, 120)), rng.standard_normal((80, 110))
    places, plane = np.sort(rng.random(150)), rng.random((150, 2))
    apart = np.sqrt(((plane[:, None] - plane) ** 2).sum(axis=2))
    signs = np.where(rng.random(400) < 0.5, -1.0, 1.0)
    poisson = convection(20, 0.0)
    few = rng.random((400, 400)) < 0.01
    return {
        "Q Q^T": lambda: wide @ wide.T + 0.5 * np.eye(120),
        "wide Q Q^T": lambda: tall @ tall.T,
        "exponential covariance": lambda: np.exp(-np.abs(places[:, None] - places) / 0.3) + 0.01 * np.eye(150),
        "covariance in a plane": lambda: np.exp(-apart / 0.3) + 0.05 * np.eye(150),
        "Gaussian covariance": lambda: np.exp(-(apart**2) / 0.02) + 0.1 * np.eye(150),
        "convection 0.5": lambda: convection(20, 0.5),
        "convection 1": lambda: convection(20, 1.0),
        "convection 1.2": lambda: convection(20, 1.2),
        "convection 1.35": lambda: convection(20, 1.35),
        "convection 1.4": lambda: convection(20, 1.4),
        "convection 2": lambda: convection(20, 2.0),
        "upwind against the flow": lambda: upwind(25, 10.0),
        "upwind with the flow": lambda: upwind(25, 10.0).T.copy(),
        "upwind, slow": lambda: upwind(25, 1.0),
        "negative definite": lambda: -poisson,
        "negative rows": lambda: signs[:, None] * poisson,
        "signs and noise": lambda: np.diag(signs) + 0.2 * few * rng.standard_normal((400, 400)),
        "skew": lambda: np.eye(300) + 0.5 * (np.eye(300, k=1) - np.eye(300, k=-1)),
        "blocks": lambda: np.kron(np.eye(50), 0.1 * np.eye(3) + 0.9) + 0.01 * np.eye(150),
        "positive couplings": lambda: np.eye(300) + 0.499 * (np.eye(300, k=1) + np.eye(300, k=-1)),
    }


@pytest.mark.parametrize("name", hostile())
@pytest.mark.parametrize("rtol", [1e-8, 1e-5])
def test_adaptive_never_runs_away(name: str, rtol: float) -> None:
    """It converges where Gauss-Seidel does, in at most twice its sweeps and 50."""
    a = hostile()[name]()
    b = right_side(len(a))
    theirs = fixed_sweeps(a, b, 1.0, 6000, rtol)
    ours = sweeps_to(a, b, "adaptive", 20000, rtol)
    if theirs <= 6000:
        assert ours <= 2 * theirs + 50
    else:
        assert ours < 6000  # all of these can be solved: those that Gauss-Seidel cannot, by a smaller factor
        assert name.startswith(("convection", "skew"))


def test_float32_takes_the_same_way() -> None:
    a, b = grid((30, 30), False, np.float64, np.int32), right_side(900)
    single = Matrix(a.indptr, a.indices, a.data.astype(np.float32), a.shape)
    ours = sg.sor.sor_result(single, b.astype(np.float32), rtol=1e-4)
    theirs = sg.sor.sor_result(a, b, rtol=1e-4)
    assert ours.info == 0
    assert abs(ours.iterations - theirs.iterations) <= 0.1 * theirs.iterations
    assert np.allclose(ours.omegas[:20], theirs.omegas[:20], rtol=1e-2)


def test_the_rule_alone() -> None:
    """Norms that fall as Young says they do lead to Young's factor."""
    mu = 0.99
    best = 2 / (1 + np.sqrt(1 - mu**2))
    rule = OmegaRule(1.0, True, 1.0)
    norm, done = 1.0, 0
    while done < 400:
        root = rule.omega * mu / 2 + np.sqrt(max(rule.omega**2 * mu**2 / 4 - rule.omega + 1, 0))
        factor = root**2 if rule.omega < best else rule.omega - 1
        norms = []
        for _ in range(rule.window()):
            norm *= factor
            norms.append(norm)
        done += len(norms)
        rule.observe(norms)
    assert best - 0.01 < rule.omega < 2 - 0.85 * (2 - best)
    assert mean_factor(1.0, 0.0625, 2) == 0.25

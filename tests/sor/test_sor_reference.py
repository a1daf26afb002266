"""The NumPy version of a sweep, and how far ours may be from it."""

import threading
from typing import Any

import numpy as np
import pytest
from interrupts import ends_within

import sorgum as sg
from sorgum import reference
from sorgum._data.inputs import logits
from sorgum._data.matrices import dominant, grid

P = np.array([[5.0, -2, 0], [-2, 6, -1], [0, -1, 3]])


def test_known_sweeps() -> None:
    """pyamg#410 and AlgebraicMultigrid.jl#26: damped Gauss-Seidel is another method, a pair of sweeps is one pair."""
    b = [1.0, -4, 2]
    assert np.allclose(reference.sor.sweep(P, np.zeros(3), b, 1.3), [0.26, -0.754, 0.5399333], atol=1e-7)
    pair = reference.sor.sweep(P, np.zeros(3), b, 1.3, sweep="symmetric")
    assert np.allclose(pair, [-0.0498733, -0.4459101, 0.3779533], atol=1e-7)
    thrice = reference.sor.sweep(P, np.zeros(3), b, 1.3, sweep="symmetric", iterations=3)
    assert np.allclose(thrice, reference.sor.sweep(P, reference.sor.sweep(P, pair, b, 1.3, sweep="symmetric"), b, 1.3,
                                                   sweep="symmetric"), rtol=1e-14)  # fmt: skip
    lower = np.tril(P, -1) + np.diag(P.diagonal()) / 1.3
    x = np.array([1.0, 2, 3])
    assert np.allclose(reference.sor.sweep(P, x, b, 1.3), x + np.linalg.solve(lower, b - P @ x), rtol=1e-14)


@pytest.mark.parametrize("sweep", ["forward", "backward", "symmetric"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ours_beside_it(sweep: str, dtype: Any) -> None:
    """Row i alone is off by (m + 5) u (omega (|b| + sum |a x|) / |d| + |1 - omega| |x|) =: row_i.

    What rows before it have adds up: e = row + omega |D^-1 L| e, and L is that of the sweep's direction; a second sweep
    also has what the first one left, |1 - omega| e + omega |D^-1 U| e. The reference has the same in float64: twice.
    """
    u = float(np.finfo(dtype).eps) / 2
    for a in (grid((9, 11), False, dtype, np.int32), dominant(130, 7, dtype, np.int64, seed=2)):
        n = a.shape[0]
        full = np.zeros((n, n))
        np.add.at(full, (np.repeat(np.arange(n), np.diff(a.indptr)), a.indices), np.float64(a.data))
        over = np.abs(full) / np.abs(full.diagonal())[:, None]
        lower, upper = np.tril(over, -1), np.triu(over, 1)
        x, b = logits(n, dtype, seed=1), logits(n, dtype, seed=2)
        for omega in (0.5, 1.0, 1.25):
            ours = x.copy()
            sg.sor.Relaxation(a).sweep(ours, b, omega, sweep=sweep)
            theirs = reference.sor.sweep(a, x, b, omega, sweep=sweep)
            halves = {"forward": [(lower, upper)], "backward": [(upper, lower)]}.get(
                sweep, [(lower, upper), (upper, lower)]
            )
            error, seen = np.zeros(n), np.maximum(np.abs(x), np.abs(theirs))
            if sweep == "symmetric":
                seen = np.maximum(seen, np.abs(reference.sor.sweep(a, x, b, omega)))
            sums = np.abs(b) / np.abs(full.diagonal()) + (over - np.eye(n)) @ seen
            row = (np.diff(a.indptr) + 5) * u * (omega * sums + abs(1 - omega) * seen)
            for before, after in halves:
                left = abs(1 - omega) * error + omega * after @ error
                error = np.linalg.solve(np.eye(n) - omega * before, row + left)
            assert (np.abs(ours - theirs) <= 2 * error).all()
            for wrong in (0 * ours, x, ours[::-1], reference.sor.sweep(a, x, b, omega + 0.1, sweep=sweep)):
                assert (np.abs(wrong - theirs) > 100 * error).any()


def test_bounds() -> None:
    a, b = grid((6, 6), False, np.float64, np.int32), logits(36, np.float64)
    for bounds in ((0.0, 0.5), (None, 0.25), (np.linspace(0, 1, 36), None)):
        ours = np.full(36, 0.3)
        sg.sor.Relaxation(a).sweep(ours, b, 1.3, bounds=bounds, iterations=3)
        theirs = reference.sor.sweep(a, np.full(36, 0.3), b, 1.3, bounds=bounds, iterations=3)
        assert np.allclose(ours, theirs, rtol=1e-12)
        assert not np.allclose(ours, reference.sor.sweep(a, np.full(36, 0.3), b, 1.3, iterations=3), rtol=1e-2)


@pytest.mark.parametrize("omega", ["adaptive", 1.0])
def test_an_interrupt_ends_a_solve(omega: Any) -> None:
    """And nothing is left behind: the matrix goes on being used."""
    a, b = grid((700, 700), False, np.float64, np.int32), np.ones(490000)
    relaxation = sg.sor.Relaxation(a)
    assert ends_within(0.1, lambda: relaxation.solve(b, rtol=1e-14, omega=omega, maxiter=100000), after=0.3)
    assert relaxation.solve(b, maxiter=3).iterations == 3


def test_python_threads_solve_at_the_same_time() -> None:
    a = grid((40, 40), False, np.float64, np.int32)
    relaxation, rights = sg.sor.Relaxation(a), [logits(1600, np.float64, seed=k) for k in range(4)]
    expected = [relaxation.solve(b).x.tobytes() for b in rights]
    found: dict[int, bytes] = {}
    together = [
        threading.Thread(target=lambda k=k: found.update({k: relaxation.solve(rights[k]).x.tobytes()}))
        for k in range(4)
    ]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert [found[k] for k in range(4)] == expected

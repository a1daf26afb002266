"""Solves at the edges of what they are given: huge numbers, wrong null spaces, bounds that cross, factors that grow."""

import time
from functools import partial

import numpy as np
import pytest
from interrupts import interrupt, others_run_during

import sorgum as sg
from sorgum._data.inputs import logits
from sorgum._data.matrices import grid


def path(n: int) -> np.ndarray:
    """The Laplacian of a path: constants are its null space."""
    a = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    a[0, 0] = a[-1, -1] = 1
    return a


def test_a_norm_that_overflows_is_no_tolerance() -> None:
    a = grid((5, 4), False, np.float64, np.int32)
    result = sg.sor.sor_result(a, np.full(20, 1.7e308))
    assert result.info == -1
    assert np.isfinite(result.x).all()
    assert sg.sor.sor(a, np.full(20, 1.7e307))[1] == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_start_that_is_far_away_is_no_divergence(dtype: type) -> None:
    a, b = grid((5, 4), False, dtype, np.int32), np.ones(20, dtype)
    start = np.full(20, 1e20 if dtype == np.float32 else 1e60, dtype)
    x, info = sg.sor.sor(a, b, start, maxiter=10000)
    assert info == 0
    assert np.allclose(x, sg.sor.sor(a, b)[0], rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_no_null_space_is_refused(dtype: type) -> None:
    """The part of x along it would be taken away, and the residual no longer be small."""
    a, b = grid((5, 4), False, dtype, np.int32), logits(20, dtype)
    for null in ("constant", np.arange(20.0)):
        with pytest.raises(ValueError, match=r"nullspace must be a vector v that A maps to zero, got \|\|A v\|\| = "):
            sg.sor.sor(a, b - b.mean(dtype=dtype), nullspace=null)
    near = np.full(20, 3.0) + 1e-9 * np.arange(20.0)  # as an eigensolver has it
    assert sg.sor.sor(path(20).astype(dtype), (b - b.mean()).astype(dtype), rtol=1e-4, nullspace=near)[1] == 0


def test_a_null_space_at_the_end_of_the_range() -> None:
    b = logits(20, np.float64)
    b -= b.mean()
    result = sg.sor.sor_result(path(20), b / np.abs(b).max() * 1e307, nullspace="constant")
    assert result.info == 0
    assert np.isfinite(result.x).all()
    assert result.residual_norm == sg.sor.residual_norm(path(20), result.x, b / np.abs(b).max() * 1e307)
    empty = np.zeros((0, 0))
    for null in ("constant", None):
        for order in ("natural", "multicolor"):
            x, info = sg.sor.sor(empty, np.zeros(0), nullspace=null, order=order)
            assert (x.shape, info) == ((0,), 0)


def test_bounds_make_inconsistent_systems_solvable() -> None:
    """-1 pushes all of x down: the bound holds it."""
    x, info = sg.sor.sor(path(20), -np.ones(20), np.ones(20), bounds=(0.0, None), nullspace="constant")
    assert info == 0
    assert (x >= 0).all()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_bounds_that_cross(sign: float) -> None:
    """The upper one holds: nothing can change x, whatever the right-hand side wants."""
    result = sg.sor.sor_result(grid((5, 4), False, np.float64, np.int32), np.full(20, 9 * sign), bounds=(3.0, 1.0))
    assert result.info == 0
    assert (result.x == 1).all()


@pytest.mark.parametrize("parts", [3, 4, 5, 6, 7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adaptive_comes_back_from_cycles(parts: int, dtype: type) -> None:
    """x_k = g x_(k+1) around a ring: Gauss-Seidel converges, factors somewhat above 1 soon grow without end."""
    n = 60 * parts
    b = np.random.default_rng(0).standard_normal(n).astype(dtype)
    for g in (0.98, 0.99, 0.995):
        a = (np.eye(n) - g * np.roll(np.eye(n), 60, axis=1)).astype(dtype)
        theirs = sg.sor.sor_result(a, b, omega=1.0, rtol=1e-4)
        ours = sg.sor.sor_result(a, b, rtol=1e-4)
        assert theirs.info == ours.info == 0
        assert ours.iterations <= 4 * theirs.iterations + 50


def test_adaptive_leaves_a_factor_under_which_float32_stands_still() -> None:
    """Roundings keep the norms where they are just above the factor 1, which converges."""
    a = (np.eye(300) - 0.98 * np.roll(np.eye(300), 60, axis=1)).astype(np.float32)
    b = np.random.default_rng(2).standard_normal(300).astype(np.float32)
    theirs = sg.sor.sor_result(a, b, omega=1.0, rtol=1e-4)
    ours = sg.sor.sor_result(a, b, rtol=1e-4)
    assert theirs.info == ours.info == 0
    assert ours.iterations <= 8 * theirs.iterations


def test_many_sweeps_of_few_rows_can_be_ended() -> None:
    """Also of none; and other threads go on meanwhile."""
    for n in (0, 3):
        for order in ("natural", "multicolor"):
            relaxation = sg.sor.Relaxation(np.eye(n), order=order)
            assert others_run_during(partial(relaxation.sweep, np.zeros(n), np.ones(n), iterations=10**9))


def test_an_interrupt_ends_the_coloring() -> None:
    """Most of it is left to do then, in one of ten attempts at least: others want the processor, too."""
    a = grid((1200, 1000), False, np.float64, np.int32)
    color = partial(sg.sor.Relaxation, a, order="multicolor")

    def soon() -> bool:
        begin = time.monotonic()
        color()
        whole = time.monotonic() - begin
        return interrupt(color, 0.05 * whole) < 0.65 * whole

    assert any(soon() for _ in range(10))

"""sor_stencil with rtol: residuals that hold, factors found while solving, what cannot be solved."""

import re
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum._data.inputs import logits
from sorgum.reference import sor as reference

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
each_omega = pytest.mark.parametrize("omega", [1.7, "adaptive", "young"], ids=str)
FIVE = np.array([1.0, 1, -4, 1, 1])


def field(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Any:
    return logits(int(np.prod(shape)), np.dtype(dtype), seed=seed).reshape(shape)


def solved(u: Any, f: Any, c: Any = FIVE, **options: Any) -> tuple[Any, int]:
    u = np.array(u)
    return u, sg.sor.sor_stencil(u, f, c, **options)


def relative_residual(u: Any, f: Any, c: Any, **options: Any) -> float:
    """Return the residual over that of 0 in all points that are relaxed."""
    grid = reference._stencil._Grid(
        u.copy(), f, np.asarray(c), options.get("mask"), options.get("fixed"), options.get("boundary", "dirichlet")
    )
    start = u.astype(np.float64)
    for x in grid.unknowns():
        start[x] = 0
    begin, end = (reference.stencil_residual(v, f, c, **options) for v in (start, u))
    return float(np.linalg.norm(end) / np.linalg.norm(begin))


@each_omega
@each_dtype
@pytest.mark.parametrize("boundary", ["dirichlet", ("periodic", ("neumann", "dirichlet"))], ids=str)
def test_the_residual_is_what_was_asked_for(boundary: Any, omega: Any, dtype: Any) -> None:
    shape, rtol = (24, 30), 1e-4
    u, f = field(shape, dtype), field(shape, dtype, 1)
    got, info = solved(u, f, boundary=boundary, omega=omega, rtol=rtol)
    assert info == 0
    # The reference's own roundings are those of float64; u is what it is.
    assert relative_residual(got, f, FIVE, boundary=boundary) <= rtol * (1 + 1e-10)
    assert relative_residual(u, f, FIVE, boundary=boundary) > 100 * rtol
    assert solved(u, f, boundary=boundary, omega=omega, rtol=rtol)[0].tobytes() == got.tobytes()


@each_omega
@pytest.mark.parametrize("count", [5, 9])
def test_one_point_after_the_other(omega: Any, count: int) -> None:
    u, f = field((24, 30), np.float64), field((24, 30), np.float64, 1)
    c = FIVE if count == 5 else np.array([1.0, 4, 1, 4, -20, 4, 1, 4, 1])
    got, info = solved(u, f, c, omega=omega, rtol=1e-6, order="lexicographic")
    assert info == 0
    assert relative_residual(got, f, c) <= 1e-6 * (1 + 1e-10)
    assert relative_residual(u, f, c) > 1e-4


def test_a_known_solution_with_a_mask_a_conductor_and_their_nan() -> None:
    """u = x y has no residual. Around the land, through whose sides nothing may flow, points are fixed."""
    shape = (20, 26)
    y, x = np.indices(shape).astype(np.float64)
    want, fixed, mask = x * y, np.zeros(shape, bool), np.zeros(shape, bool)
    fixed[5:12, 6:16], mask[6:11, 7:15] = True, True
    fixed &= ~mask
    u = np.where(fixed | (y == 0) | (x == 0) | (y == 19) | (x == 25), want, 0)
    f = np.zeros(shape)
    u[mask], f[mask] = np.nan, np.nan
    got, info = solved(u, f, mask=mask, fixed=fixed, omega="adaptive", rtol=1e-13)
    assert info == 0
    assert np.isnan(got[mask]).all()
    # The inverse of the operator has a norm below 26^2 / 8 = 85; the residual is 1e-13 of one of about 2000.
    assert np.abs(got - want)[~mask].max() <= 1e-9
    assert np.abs(u - want)[~mask].max() > 100


@each_omega
def test_an_obstacle(omega: Any) -> None:
    """Where u is above the obstacle the residual is small; where it lies on it, the residual pushes against it."""
    shape = (33, 33)
    f, low = np.full(shape, -0.02), np.full(shape, -0.5)
    low[10:20, 10:20] = 1.0
    got, info = solved(np.zeros(shape), -f, omega=omega, rtol=1e-8, bounds=(low, None))
    assert info == 0
    r = reference.stencil_residual(got, -f, FIVE)[1:-1, 1:-1]
    on = (got == low)[1:-1, 1:-1]
    assert 50 < on.sum() < 900
    assert (got[1:-1, 1:-1] >= low[1:-1, 1:-1]).all()
    assert np.abs(r[~on]).max() <= 1e-6 < np.abs(r[on]).max()
    assert (r[on] >= -1e-12).all()


def test_how_a_solve_ends() -> None:
    shape = (20, 20)
    u, f = field(shape, np.float64), field(shape, np.float64, 1)
    assert solved(u, f, omega=1.0, rtol=1e-10, sweeps=7)[1] == 7
    seven, _ = solved(u, f, omega=1.0, rtol=1e-10, sweeps=7)
    assert seven.tobytes() == solved(u, f, omega=1.0, sweeps=7)[0].tobytes()
    got, info = solved(u, f, [1.0, 1, 0.5, 1, 1], omega=1.0, rtol=1e-5)
    assert info == -1
    assert np.isfinite(got).all()
    got, info = solved(np.zeros(shape), 0.0, rtol=1e-5)
    assert (info, got.any()) == (0, False)
    one, info = solved(u, f, 0.3 * FIVE, rtol=1e-20, omega="adaptive")
    assert info == -4
    assert relative_residual(one, f, 0.3 * FIVE) < 1e-14
    balanced = f - f.mean()
    assert solved(u, balanced, boundary="neumann", omega="adaptive", rtol=1e-8)[1] == 0
    assert solved(u, balanced + 1, boundary="neumann", omega="adaptive", rtol=1e-8, sweeps=5000)[1] == -2


@each_dtype
def test_bits_do_not_depend_on_threads_or_instruction_sets(dtype: Any, isa: str, threads: Any) -> None:
    shape = (200, 190)
    u, f, mask = field(shape, dtype), field(shape, dtype, 1), np.zeros(shape, bool)
    mask[3:180:7, 5::3] = True
    seen = set()
    for count in (1, 2, 7):
        threads(count)
        seen.add(solved(u, f, mask=mask, omega="adaptive", rtol=1e-2)[0].tobytes())
    sg.set_isa("scalar")
    seen.add(solved(u, f, mask=mask, omega="adaptive", rtol=1e-2)[0].tobytes())
    sg.set_isa(isa)
    assert len(seen) == 1


def test_what_is_refused() -> None:
    u, bad = np.zeros((6, 8)), np.zeros((6, 8))
    bad[2, 3] = np.nan
    for message, kind, options in (
        ("omega must be a number where rtol is None, got 'adaptive'", ValueError, {"omega": "adaptive"}),
        ("omega must be 'adaptive', 'young' or a number, got 'best'", ValueError, {"omega": "best"}),
        ("rtol must be finite and not negative, got -1.0", ValueError, {"rtol": -1.0}),
        ("sweeps must be at least 1 where rtol is given, got 0", ValueError, {"rtol": 1.0, "sweeps": 0}),
        ("f must be finite where rtol is given, got nan at (2, 3)", ValueError, {"f": bad, "rtol": 0.1}),
        ("u must be finite where rtol is given, got nan at (2, 3)", ValueError, {"u": bad, "rtol": 0.1}),
    ):
        given: dict[str, Any] = {"u": u, "f": 0.0, "coefficients": FIVE, **options}
        with pytest.raises(kind, match="^" + re.escape(f"sor_stencil: {message}") + "$"):
            sg.sor.sor_stencil(**given)
        assert not u.any()

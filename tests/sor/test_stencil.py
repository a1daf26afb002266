"""sor_stencil: the arithmetic that docs/numerics/sor.md states, sides, masks, odd grids, threads, layouts."""

import itertools
import re
from fractions import Fraction
from typing import Any

import exact_sweeps
import numpy as np
import pytest
from interrupts import ends_within

import sorgum as sg
from sorgum import _core
from sorgum._data.inputs import logits
from sorgum.reference import sor as reference

pytestmark = pytest.mark.sanitize

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
FIVE = np.array([1.0, 1, -4, 1, 1])
SEVEN = np.array([1.0, 1, 1, -6, 1, 1, 1])
BOUNDARIES: list[Any] = [
    "dirichlet",
    "neumann",
    "periodic",
    ("dirichlet", "periodic"),
    ("periodic", "neumann"),
    (("dirichlet", "neumann"), ("neumann", "dirichlet")),
]
SHAPES = [(2, 2), (1, 8), (8, 1), (2, 20), (7, 9), (4, 34), (6, 50), (12, 16)]


def is_periodic(boundary: Any, axis: int) -> bool:
    return "periodic" in ((boundary,) if isinstance(boundary, str) else (boundary[axis],))


def two_colors_are_enough(shape: tuple[int, ...], boundary: Any) -> bool:
    return all(n % 2 == 0 for axis, n in enumerate(shape) if is_periodic(boundary, axis))


def field(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Any:
    return logits(int(np.prod(shape)), np.dtype(dtype), seed=seed).reshape(shape)


def coefficients(shape: tuple[int, ...], dtype: Any, variable: bool, count: int = 0) -> Any:
    """Of no symmetry, so that one in the place of another shows; the diagonal stays away from 0 whatever is absent."""
    k = count or 2 * len(shape) + 1
    c = np.arange(1.0, k + 1) / 8
    c[k // 2] = -k * k / 2
    if variable:
        c = c.reshape(-1, *(1,) * len(shape)) + np.abs(field((k, *shape), np.float64, seed=7)) / 64
        c[k // 2] -= 3
    return c.astype(dtype)


def relaxed(u: Any, f: Any, c: Any, **options: Any) -> Any:
    u = np.array(u)
    sg.sor.sor_stencil(u, f, c, **options)
    return u


def color_of(x: tuple[int, ...], shape: tuple[int, ...], boundary: Any, box: bool) -> int:
    """Along an axis colors alternate, and the last point of a periodic axis of odd length has a third one."""
    odd = [n % 2 == 1 and is_periodic(boundary, axis) for axis, n in enumerate(shape)]
    colors = [2 if third and i == n - 1 else i % 2 for i, n, third in zip(x, shape, odd, strict=True)]
    if not box:
        return sum(colors) % (3 if any(odd) else 2)
    number = 0
    for color, third in zip(colors, odd, strict=True):
        number = number * (3 if third else 2) + color
    return number


def exact(
    u: Any, f: Any, c: Any, omega: float, boundary: Any, mask: Any = None, fixed: Any = None, in_turn: bool = False
) -> Any:
    """Return a sweep in rational numbers, rounded where the kernel rounds."""
    box = c.shape[0] == 3**u.ndim
    rounded = exact_sweeps.Rounded(u.dtype)
    number = np.vectorize(lambda v: Fraction(float(v)) if np.isfinite(v) else None, otypes=[object])
    grid = reference._stencil._Grid(u.copy(), f, c, mask, fixed, boundary)
    now, right, factors = number(u), number(grid.f), number(grid.c)
    w = Fraction(float(u.dtype.type(omega)))
    for x in sorted(grid.unknowns(), key=lambda x: 0 if in_turn else color_of(x, u.shape, boundary, box)):
        s, d, last = Fraction(0), factors[(len(grid.offsets) // 2, *x)], None
        for i, k in enumerate(grid.offsets):
            to = grid.neighbour(x, k)
            if not any(k):
                continue
            if to is None:
                d = rounded(d + factors[(i, *x)])
            elif in_turn and not any(k[:-1]) and k[-1] == -1:
                last = factors[(i, *x)], to
            else:
                s = rounded.fma(factors[(i, *x)], now[to], s)
        factor = rounded(w * rounded(1 / d))
        now[x] = rounded.fma(factor, rounded(right[x] - s), rounded(rounded(1 - w) * now[x]))
        if last is not None:
            now[x] = rounded.fma(rounded(-w * rounded(last[0] * rounded(1 / d))), now[last[1]], now[x])
    return np.array([float(v) if v is not None else np.nan for v in now.ravel()], u.dtype).reshape(u.shape)


def no_sums(sweeps: int) -> Any:
    """Room for the sums of squares of so many sweeps."""
    return np.zeros((sweeps, _core.sor.SUM_WORDS), np.int64)


@each_dtype
@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize(
    ("shape", "boundary"), [(s, b) for s in SHAPES for b in BOUNDARIES if two_colors_are_enough(s, b)], ids=str
)
def test_the_arithmetic_to_the_last_bit(shape: Any, boundary: Any, variable: bool, dtype: Any) -> None:
    u, f, c = field(shape, dtype), field(shape, dtype, 1), coefficients(shape, dtype, variable)
    got = relaxed(u, f, c, omega=1.3, boundary=boundary)
    assert got.tobytes() == exact(u, f, c, 1.3, boundary).tobytes()
    moved = (got != u).any()
    assert moved == any(True for _ in reference._stencil._Grid(u, f, c, None, None, boundary).unknowns())


@each_dtype
@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", ("neumann", "dirichlet", "periodic")], ids=str)
def test_three_dimensions(boundary: Any, dtype: Any) -> None:
    shape = (4, 5, 18)
    u, f = field(shape, dtype), field(shape, dtype, 1)
    for variable in (False, True):
        c = coefficients(shape, dtype, variable)
        assert relaxed(u, f, c, omega=0.7, boundary=boundary).tobytes() == exact(u, f, c, 0.7, boundary).tobytes()


@each_dtype
@pytest.mark.parametrize(
    "boundary", ["dirichlet", "neumann", "periodic", ("periodic", "dirichlet", "periodic")], ids=str
)
def test_more_than_two_colors(boundary: Any, dtype: Any) -> None:
    """Of diagonal neighbours, and on periodic axes of odd length."""
    for shape, count in (((7, 9), 9), ((6, 37), 9), ((7, 9), 5), ((6, 37), 5), ((3, 4, 19), 27), ((3, 5, 18), 7)):
        if isinstance(boundary, tuple) and len(shape) == 2:
            continue
        u, f = field(shape, dtype), field(shape, dtype, 1)
        for variable in (False, True):
            c = coefficients(shape, dtype, variable, count)
            got = relaxed(u, f, c, omega=1.2, boundary=boundary, order="multicolor")
            assert got.tobytes() == exact(u, f, c, 1.2, boundary).tobytes()


@each_dtype
@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize(
    "shape",
    [(300, 70), (3, 400), (64, 1000), (20, 30, 40), (1, 20, 30), (2, 3, 700), (9, 6002), (7, 71, 300), (8, 9, 7)],
    ids=str,
)
def test_many_sweeps_at_once_are_as_many_single_ones(
    shape: Any, masked: bool, boundary: str, dtype: Any, threads: Any
) -> None:
    """Passes that follow each other through memory, by one thread and by several, with the bits of one at a time.

    Without masks the rows of two colors are packed, and those of the last but one are cut into strips.
    """
    u, f = field(shape, dtype), field(shape, dtype, 1)
    mask = field(shape, np.float64, 3) > 3 if masked else None
    for count, order in ((2 * len(shape) + 1, "red_black"), (3 ** len(shape), "multicolor")):
        order = order if two_colors_are_enough(shape, boundary) else "multicolor"
        if boundary == "periodic" and 1 in shape:
            continue
        stencil = _core.sor.Stencil(
            coefficients(shape, dtype, False, count), shape, [(boundary, boundary)] * len(shape), mask, None, order
        )
        want = u.copy()
        for _ in range(11):  # a sweep that tells its norm is made color by color
            stencil.sweep(want, f, 1.3, 1, None, None, no_sums(1))
        assert want.tobytes() != u.tobytes() or shape[0] < 3
        for number in (1, 2, 3, 7):
            threads(number)
            for parts in ((11,), (1,) * 11, (3, 8)):
                got = u.copy()
                for sweeps in parts:
                    stencil.sweep(got, f, 1.3, sweeps)
                assert got.tobytes() == want.tobytes()


@each_dtype
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
def test_one_point_after_the_other(boundary: Any, dtype: Any) -> None:
    for shape, counts in (((2, 2), (5,)), ((1, 8), (5,)), ((7, 9), (5, 9)), ((4, 35), (5, 9)), ((3, 4, 19), (7, 27))):
        if any(n == 1 and is_periodic(boundary, axis) for axis, n in enumerate(shape) if len(shape) == 2):
            continue
        sides = boundary if isinstance(boundary, str) or len(shape) == 2 else ("neumann", *boundary)
        u, f = field(shape, dtype), field(shape, dtype, 1)
        mask, fixed = field(shape, np.float64, 3) > 2, field(shape, np.float64, 4) > 2
        for count, variable, holes in itertools.product(counts, (False, True), (None, mask)):
            c = coefficients(shape, dtype, variable, count)
            options: dict[str, Any] = {"mask": holes, "fixed": None if holes is None else fixed}
            got = relaxed(u, f, c, omega=1.2, boundary=sides, order="lexicographic", **options)
            assert got.tobytes() == exact(u, f, c, 1.2, sides, in_turn=True, **options).tobytes()
            if holes is not None:
                u2, f2 = np.where(mask, np.nan, u), np.where(mask, np.nan, f)
                again = relaxed(u2, f2, c, omega=1.2, boundary=sides, order="lexicographic", **options)
                assert again[~mask].tobytes() == got[~mask].tobytes()


@each_dtype
def test_many_sweeps_in_turn_are_as_many_single_ones(dtype: Any, threads: Any) -> None:
    for shape, boundary in itertools.product(
        ((300, 70), (9, 6002), (11, 141), (4, 300), (20, 30, 40), (2, 3, 70)), ("dirichlet", "neumann", "periodic")
    ):
        u, f = field(shape, dtype), field(shape, dtype, 1)
        mask = field(shape, np.float64, 3) > 3
        for count, holes in itertools.product((2 * len(shape) + 1, 3 ** len(shape)), (None, mask)):
            c, sides = coefficients(shape, dtype, False, count), [(boundary, boundary)] * len(shape)
            stencil = _core.sor.Stencil(c, shape, sides, holes, None, "lexicographic")
            want, sums = u.copy(), no_sums(5)
            stencil.sweep(want, f, 1.3, 5, None, None, sums)
            norms = _core.sor.merged_norms(sums[None]) / dtype(1.3)
            for number, parts in itertools.product((1, 2, 7), ((5,), (1, 4))):
                threads(number)
                got = u.copy()
                for sweeps in parts:
                    stencil.sweep(got, f, 1.3, sweeps)
                assert got.tobytes() == want.tobytes()
            want = u.copy()
            sg.set_num_threads(1)
            for k in range(5):
                before = want.copy()
                stencil.sweep(want, f, 1.3, 1)
                own = np.zeros(shape, dtype)
                stencil.diagonal(own)
                change = own.astype(np.float64) * (want.astype(np.float64) - before)
                assert abs(norms[k] - np.linalg.norm(change) / 1.3) <= 1e-5 * norms[k]


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
def test_sweeps_in_turn_are_those_of_the_reference(boundary: Any) -> None:
    """With the bound of `test_many_sweeps_are_those_of_the_reference`."""
    shape = (12, 18)
    u, f, c = field(shape, np.float64), field(shape, np.float64, 1), coefficients(shape, np.float64, True)
    options: dict[str, Any] = {"boundary": boundary, "omega": 1.1, "sweeps": 20, "bounds": (-2.0, 3.0)}
    want = reference.sor_stencil(u, f, c, order="lexicographic", **options)
    other = reference.sor_stencil(u, f, c, **options)
    got = relaxed(u, f, c, order="lexicographic", **options)
    tolerance = 20 * 9 * 2.0**-53 * 1.1 * 3 * np.abs(f).max()
    one = {"boundary": boundary, "omega": 1.1, "sweeps": 1}
    assert np.abs(other - u).max() > 1e6 * tolerance
    assert np.abs(relaxed(u, f, c, **one) - relaxed(u, f, c, order="lexicographic", **one)).max() > 1e6 * tolerance
    assert np.abs(got - want).max() <= tolerance


@each_dtype
@pytest.mark.parametrize("columns", [("neumann", "dirichlet"), ("periodic", "periodic")], ids=str)
def test_packed_rows_with_sides_of_all_kinds(columns: Any, dtype: Any, threads: Any) -> None:
    """Also where neighbours along an axis have no coefficient, and where planes are sides."""
    for shape, sides in (
        ((40, 66), [("neumann", "dirichlet"), columns]),
        ((12, 30, 18), [("dirichlet", "neumann"), ("periodic", "periodic"), columns]),
        ((12, 31, 18), [("dirichlet", "neumann"), ("neumann", "dirichlet"), columns]),
        ((3, 31, 18), [("dirichlet", "dirichlet"), ("neumann", "dirichlet"), columns]),
    ):
        u, f, c = field(shape, dtype), field(shape, dtype, 1), coefficients(shape, dtype, False)
        for absent in (None, *range(len(shape))):
            some = c.copy()
            if absent is not None:
                some[[absent, -1 - absent]] = 0
            want, got = u.copy(), u.copy()
            stencil = _core.sor.Stencil(some, shape, sides, None, None, "red_black")
            for _ in range(5):
                stencil.sweep(want, f, 1.3, 1, None, None, no_sums(1))
            for number in (1, 3):
                threads(number)
                got[...] = u
                stencil.sweep(got, f, 1.3, 5)
                assert got.tobytes() == want.tobytes()


@each_dtype
@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
def test_what_lies_under_the_mask_is_never_read(boundary: str, dtype: Any) -> None:
    shape = (8, 40)
    mask, fixed = field(shape, np.float64, 3) > 1, field(shape, np.float64, 4) > 1.5
    for variable in (False, True):
        u, f, c = field(shape, dtype), field(shape, dtype, 1), coefficients(shape, dtype, variable)
        want = exact(u, f, c, 1.5, boundary, mask, fixed)
        got = relaxed(u, f, c, omega=1.5, boundary=boundary, mask=mask, fixed=fixed)
        assert got[mask].tobytes() == u[mask].tobytes()
        assert got.tobytes() == np.where(mask, u, want).tobytes()
        u[mask], f[mask] = np.nan, np.nan
        if variable:
            c[:, mask] = np.nan
        again = relaxed(u, f, c, omega=1.5, boundary=boundary, mask=mask, fixed=fixed)
        assert again[~mask].tobytes() == got[~mask].tobytes()
        assert np.isnan(again[mask]).all()


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
def test_many_sweeps_are_those_of_the_reference(boundary: Any) -> None:
    """The sum of |c_k / d| is below 1/2: no sweep amplifies an error, and 20 have at most 20 times that of one."""
    shape = (12, 18)
    u, f, c = field(shape, np.float64), field(shape, np.float64, 1), coefficients(shape, np.float64, True)
    mask = field(shape, np.float64, 3) > 2
    options: dict[str, Any] = {"boundary": boundary, "mask": mask, "omega": 1.1, "sweeps": 20}
    want = reference.sor_stencil(u, f, c, **options)
    got = relaxed(u, f, c, **options)
    tolerance = 20 * 9 * 2.0**-53 * 1.1 * 3 * np.abs(f).max()
    for wrong in (np.zeros(shape), want[::-1, ::-1], u):
        assert np.abs(wrong - want).max() > 1e6 * tolerance
    assert np.abs(got - want).max() <= tolerance


def test_a_sweep_is_one_of_the_matrix_of_the_grid() -> None:
    """In the order of the colors, by Relaxation, on the points within."""
    n, m = 9, 12
    u, f = field((n, m), np.float64), field((n, m), np.float64, 1)
    inside = [(y, x) for y in range(1, n - 1) for x in range(1, m - 1)]
    at = {p: i for i, p in enumerate(inside)}
    a, b = np.zeros((len(inside), len(inside))), np.zeros(len(inside))
    for (y, x), i in at.items():
        b[i] = f[y, x]
        for (dy, dx), c in zip(((-1, 0), (0, -1), (0, 0), (0, 1), (1, 0)), FIVE, strict=True):
            to = (y + dy, x + dx)
            if to in at:
                a[i, at[to]] += c
            else:
                b[i] -= c * u[to]
    x = u[1:-1, 1:-1].ravel().copy()
    sg.sor.Relaxation(a, order="multicolor").sweep(x, b, 1.6, iterations=5)
    got = relaxed(u, f, FIVE, omega=1.6, sweeps=5)[1:-1, 1:-1].ravel()
    assert np.allclose(got, x, rtol=1e-12, atol=1e-12)
    assert not np.allclose(got, u[1:-1, 1:-1].ravel(), atol=0.1)


@each_dtype
def test_bounds(dtype: Any) -> None:
    shape = (9, 35)
    u, f, c = field(shape, dtype), field(shape, dtype, 1), coefficients(shape, dtype, False)
    low, high = dtype(-0.25) * np.abs(field(shape, dtype, 2)), dtype(0.125)
    want = reference.sor_stencil(u, f, c, omega=1.2, bounds=(low, high))
    got = relaxed(u, f, c, omega=1.2, bounds=(low, high))
    inside = (slice(1, -1),) * 2
    assert np.allclose(got, want, rtol=1e-5, atol=1e-5)
    assert (got[inside] <= high).all()
    assert (got[inside] >= low[inside]).all()
    assert {True} == {bool((got[inside] == b[inside]).any()) for b in (low, np.full(shape, high))}
    crossed = relaxed(u, f, c, bounds=(2.0, 1.0))
    assert (crossed[inside] == 1).all()


@each_dtype
def test_threads_and_instruction_sets_change_no_bit(dtype: Any, isa: str, threads: Any) -> None:
    for shape in ((300, 513), (20, 60, 70)):
        u, f = field(shape, dtype), field(shape, dtype, 1)
        mask = field(shape, np.float64, 3) > 3
        for c, options in itertools.product(
            (coefficients(shape, dtype, False), coefficients(shape, dtype, True)), ({}, {"mask": mask})
        ):
            seen = set()
            for count in (1, 2, 3, 7):
                threads(count)
                seen.add(relaxed(u, f, c, omega=1.4, sweeps=3, **options).tobytes())
            sg.set_isa("scalar")
            seen.add(relaxed(u, f, c, omega=1.4, sweeps=3, **options).tobytes())
            sg.set_isa(isa)
            assert len(seen) == 1


@each_dtype
def test_norms_and_residuals_of_the_compiled_object(dtype: Any) -> None:
    shape = (7, 9000)
    u, f = field(shape, dtype), field(shape, dtype, 1)
    mask = field(shape, np.float64, 3) > 3
    sides = [("neumann", "dirichlet"), ("dirichlet", "neumann")]
    for variable in (False, True):
        c = coefficients(shape, dtype, variable)
        stencil = _core.sor.Stencil(c, shape, sides, mask, None, "red_black")
        out = np.full(shape, np.nan)
        norm = _core.sor.merged_norms(stencil.residual(u, f, out)[None])[0]
        want = reference.stencil_residual(u, f, c, mask=mask, boundary=tuple(sides))
        # The coefficient of a point, at most 16, is rounded four times in its type; all else is float64's.
        tolerance = 4 * np.finfo(dtype).eps * 16 * np.abs(u).max()
        assert np.abs(out - want).max() <= tolerance < 1e-3 * np.abs(want).max()
        assert abs(norm - np.linalg.norm(want)) <= tolerance * np.sqrt(want.size)
        assert abs(norm - np.linalg.norm(out)) <= 2.0**-48 * norm
        after, sums = u.copy(), no_sums(1)
        stencil.sweep(after, f, 1.25, 1, None, None, sums)
        norms = _core.sor.merged_norms(sums[None]) / 1.25
        assert after.tobytes() == relaxed(u, f, c, mask=mask, boundary=tuple(sides), omega=1.25).tobytes()
        own = np.array([reference._stencil._Grid(u, f, c, mask, None, sides).row(x)[1] for x in np.ndindex(shape)])
        change = own.astype(np.float64).reshape(shape) * (after.astype(np.float64) - u)
        assert abs(norms[0] - np.linalg.norm(change) / 1.25) <= 1e-6 * norms[0]


def test_grids_without_unknowns() -> None:
    for shape in ((0, 5), (5, 0), (1, 1), (2, 2), (1, 30), (2, 0, 3), (2, 5, 5)):
        u = np.full(shape, 3.0)
        c = FIVE if len(shape) == 2 else SEVEN
        sg.sor.sor_stencil(u, 1.0, c, omega=1.5, sweeps=3)
        assert (u == 3).all()
        sg.sor.sor_stencil(u, 1.0, c, omega=1.5, sweeps=2**62)  # at once
        assert (u == 3).all()
    held = np.ones((6, 6), bool)
    sg.sor.sor_stencil(np.zeros((6, 6)), 1.0, FIVE, fixed=held, boundary="neumann", sweeps=2**62)
    sg.sor.sor_stencil(np.zeros((6, 6)), 1.0, FIVE, mask=held, boundary="neumann", sweeps=2**62, order="lexicographic")
    u = np.full((6, 6), np.nan)
    sg.sor.sor_stencil(u, np.full((6, 6), np.nan), FIVE, mask=np.ones((6, 6), bool), boundary="periodic")
    assert np.isnan(u).all()


def test_a_nan_spreads_to_neighbours_only() -> None:
    u = np.zeros((20, 40))
    u[10, 20] = np.nan
    sg.sor.sor_stencil(u, 0.0, FIVE)
    assert {tuple(map(int, p)) for p in np.argwhere(np.isnan(u))} == {
        (10 + y, 20 + x) for y in range(-1, 2) for x in range(-1, 2) if abs(x) + abs(y) <= 1
    }


@each_dtype
def test_any_layout(dtype: Any) -> None:
    shape = (10, 22)
    u, f, c = field(shape, dtype), field(shape, dtype, 1), coefficients(shape, dtype, True)
    want = relaxed(u, f, c, omega=1.2, sweeps=2)
    wide = np.zeros((20, 44), dtype)
    raw = np.zeros(u.nbytes + 1, np.uint8)
    odd = raw[1:].view(dtype).reshape(shape)
    for view in (wide[::2, ::2], wide[::-2, 1::2], np.zeros(shape[::-1], dtype).T, odd):
        view[...] = u
        sg.sor.sor_stencil(view, np.asfortranarray(f), c[:, ::1], omega=1.2, sweeps=2)
        assert np.array(view).tobytes() == want.tobytes()


# What is refused

U = np.zeros((6, 8))


def refused(kind: type[Exception], message: str, *args: Any, **options: Any) -> None:
    before = U.copy()
    with pytest.raises(kind, match="^" + re.escape(f"sor_stencil: {message}") + "$"):
        sg.sor.sor_stencil(*(args or (U, 0.0, FIVE)), **options)
    assert U.tobytes() == before.tobytes()


def test_colors_that_are_not_there_are_named() -> None:
    u = np.zeros((5, 5))
    needs = "order must have the {} colors that {}, as 'multicolor' has, got 'red_black' with 2"
    odd, diagonal = "a periodic axis of an odd number of points needs", "diagonal neighbours need"
    refused(ValueError, needs.format(3, odd), u, 0.0, FIVE, boundary="periodic")
    refused(ValueError, needs.format(4, diagonal), u, 0.0, np.ones(9))
    refused(ValueError, needs.format(9, diagonal), u, 0.0, np.ones(9), boundary="periodic")
    refused(ValueError, needs.format(8, diagonal), np.zeros((5, 5, 5)), 0.0, np.ones(27))
    refused(
        ValueError, "boundary must not be periodic along an axis of one point, got axis 0", u[:1], 0.0, FIVE,
        boundary=("periodic", "dirichlet"),
    )  # fmt: skip
    nine = np.array([0, 1.0, 0, 1, -4, 1, 0, 1, 0])  # whose diagonal neighbours are none
    u, f = field((7, 9), np.float64), field((7, 9), np.float64, 1)
    assert relaxed(u, f, nine, omega=1.5).tobytes() == relaxed(u, f, FIVE, omega=1.5).tobytes()


def test_arguments_that_are_none() -> None:
    frozen = U.copy()
    frozen.flags.writeable = False
    refused(TypeError, "u must be an array, which is overwritten, got list", [[1.0]], 0.0, FIVE)
    refused(TypeError, "u must have dtype float32 or float64, got int64", np.zeros((5, 5), int), 0.0, FIVE)
    refused(ValueError, "u must be writable, got a read-only array", frozen, 0.0, FIVE)
    refused(ValueError, "u must have two or three dimensions, got 1", np.zeros(5), 0.0, FIVE)
    refused(ValueError, "f must have shape (6, 8), got (6, 7)", U, U[:, 1:].copy(), FIVE)
    refused(TypeError, "f must have dtype float32, got float64", U.astype(np.float32), np.zeros((6, 8)), FIVE)
    refused(ValueError, "u must not overlap f, got arrays that share memory", U, U, FIVE)
    refused(ValueError, "u must not overlap f, got arrays that share memory", U, U[::-1], FIVE)
    refused(ValueError, "u must not overlap bounds[1], got arrays that share memory", bounds=(None, U))
    refused(ValueError, "coefficients must be of 5 or 9 points, got 7", U, 0.0, SEVEN)
    refused(ValueError, "coefficients must be of 7 or 27 points, got 5", np.zeros((4, 4, 4)), 0.0, FIVE)
    shape = "coefficients must have shape (K,) or (K, ...) with the shape of u, got "
    refused(ValueError, shape + "(5, 6, 7)", U, 0.0, np.ones((5, 6, 7)))
    refused(ValueError, shape + "()", U, 0.0, 3.0)
    refused(ValueError, "coefficients must be finite, got inf at 1", U, 0.0, [1.0, np.inf, -4, 1, 1])
    refused(TypeError, "mask must be boolean, got dtype dtype('int64')", mask=np.zeros((6, 8), int))
    refused(ValueError, "mask must have shape (6, 8), got (8,)", mask=np.zeros(8, bool))
    refused(ValueError, "fixed must have shape (6, 8), got (8,)", fixed=np.zeros(8, bool))
    refused(ValueError, "omega must be between 0 and 2 and neither of them, got 2.0", omega=2.0)
    refused(ValueError, "sweeps must not be negative, got -1", sweeps=-1)
    refused(TypeError, "bounds must be a pair of arrays, numbers or None, got 3", bounds=3)
    refused(ValueError, "bounds[0] must not be NaN or inf, got inf at (0, 0)", bounds=(np.inf, None))
    sides = "boundary must be 'dirichlet', 'neumann' or 'periodic', got 'open'"
    refused(ValueError, sides, boundary="open")
    refused(ValueError, sides, boundary=("open", "neumann"))
    refused(TypeError, "boundary must be a string or a tuple of them, got 3", boundary=3)
    refused(TypeError, "boundary must have a string or a pair of them for each axis, got 3", boundary=(3, "neumann"))
    one = "boundary must have one element for each of 2 axes, got ('neumann',)"
    refused(ValueError, one, boundary=("neumann",))
    both = "boundary must be periodic at both sides of an axis or at none, got one side of axis 1"
    refused(ValueError, both, boundary=("neumann", ("periodic", "neumann")))


def test_points_that_nothing_can_be_divided_by() -> None:
    own = (
        "coefficients must leave every point one of its own, those of neighbours that are not there added, that is "
        "normal and has a normal reciprocal, got {} at {}"
    )
    refused(ValueError, own.format("0", (1, 1)), U, 0.0, [1.0, 1, 0, 1, 1])
    mask = np.ones((6, 8), bool)
    mask[3, 4] = False  # a lake of one point
    refused(ValueError, own.format("0", (3, 4)), mask=mask, boundary="neumann")
    c = np.broadcast_to(FIVE.reshape(5, 1, 1), (5, 6, 8)).copy()
    c[2, 2, 3] = np.nan
    refused(ValueError, own.format("nan", (2, 3)), U, 0.0, c)
    mask = np.zeros((6, 8), bool)
    mask[2, 3] = True
    sg.sor.sor_stencil(np.zeros((6, 8)), 0.0, c, mask=mask)


def test_a_call_can_be_interrupted_and_leaves_whole_sweeps() -> None:
    u, f = field((400, 400), np.float64), np.zeros((400, 400))
    begin = u.copy()
    assert ends_within(0.1, lambda: sg.sor.sor_stencil(u, f, FIVE, omega=1.0, sweeps=10**9))
    for _ in range(50000):
        if begin.tobytes() == u.tobytes():
            return
        sg.sor.sor_stencil(begin, f, FIVE, omega=1.0)
    raise AssertionError

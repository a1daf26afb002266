"""Relaxation: the arithmetic that docs/numerics/sor.md states, known answers, orders, shifts, threads, layouts."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import exact_sweeps
import numpy as np
import pytest

import sorgum as sg
from sorgum import _core
from sorgum._data import load
from sorgum._data.inputs import logits
from sorgum._data.matrices import Matrix, dominant, grid

DTYPES = [np.dtype(np.float32), np.dtype(np.float64)]
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["f32", "f64"])
each_order = pytest.mark.parametrize("order", ["natural", "multicolor"])
P = np.array([[5.0, -2, 0], [-2, 6, -1], [0, -1, 3]])
B = np.array([1.0, -4, 2])


def relaxed(a: Any, x: Any, b: Any, omega: float = 1.0, order: str = "natural", **options: Any) -> Any:
    x = np.array(x)
    sg.sor.Relaxation(a, order=order).sweep(x, b, omega, **options)
    return x


def bits(x: Any) -> bytes:
    return np.ascontiguousarray(x).tobytes()


def matrices(dtype: Any, index: Any = np.int32) -> Iterator[tuple[str, Matrix]]:
    for n in (1, 2, 15, 16, 17, 31, 33, 64):
        yield f"{n} rows", dominant(n, 4, dtype, index, seed=n)
    yield "a grid of 5 points", grid((7, 19), False, dtype, index)
    yield "a grid with lines of 16", grid((6, 16), False, dtype, index)
    yield "a grid of 27 points", grid((5, 6, 5), True, dtype, index)
    yield "rows without neighbours", dominant(50, 0, dtype, index)
    yield "long rows", dominant(70, 60, dtype, index)
    yield "a band", band(100, 20, dtype)
    for at in ([0], [99], [40], [47], [3, 50], [48, 60], [0, 33, 99]):
        yield f"rows {at} are full", arrow(100, at, dtype)


def arrow(n: int, at: list[int], dtype: Any) -> Matrix:
    """Three diagonals, rows without gaps, and a column without gaps."""
    full = np.zeros((n, n))
    for offset in (-1, 0, 1):
        full += np.diag(logits(n - abs(offset), np.float64, seed=offset + 1, scale=1.0), offset)
    full[at] = logits(len(at) * n, np.float64, seed=7, scale=1.0).reshape(len(at), n)
    full[:, n // 3] = 0.5
    np.fill_diagonal(full, 2.0 * n)
    where = np.nonzero(full)
    indptr = np.concatenate(([0], np.cumsum(np.count_nonzero(full, axis=1))))
    return Matrix(indptr.astype(np.int32), where[1].astype(np.int32), full[where].astype(dtype), (n, n))


def band(n: int, width: int, dtype: Any) -> Matrix:
    rows, columns = np.nonzero(np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= width)
    data = np.where(rows == columns, 3.0 * width, logits(rows.size, np.float64, scale=1.0)).astype(dtype)
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=n))))
    return Matrix(indptr.astype(np.int32), columns.astype(np.int32), data, (n, n))


# Known answers


def test_one_forward_sweep() -> None:
    """A sweep of over-relaxation, not a damped one of Gauss-Seidel."""
    assert np.allclose(relaxed(P, np.zeros(3), B, 1.3), [0.26, -0.754, 0.5399333], atol=1e-7)


def test_symmetric_sweeps() -> None:
    one = relaxed(P, np.zeros(3), B, 1.3, sweep="symmetric")
    assert np.allclose(one, [-0.0498733, -0.4459101, 0.3779533], atol=1e-7)
    pairs = np.zeros(3)
    for _ in range(3):
        for sweep in ("forward", "backward"):
            pairs = relaxed(P, pairs, B, 1.3, sweep=sweep)
    assert bits(pairs) == bits(relaxed(P, np.zeros(3), B, 1.3, sweep="symmetric", iterations=3))


def test_every_order_of_the_rows() -> None:
    """Against the dense solution of (D / omega + L) in that order; omega makes a difference in each."""
    for order in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]):
        a, b = P[np.ix_(order, order)], B[order]
        for omega in (1.0, 1.3, 0.7):
            expected = np.linalg.solve(np.diag(np.diag(a)) / omega + np.tril(a, -1), b)
            assert np.allclose(relaxed(a, np.zeros(3), b, omega), expected, rtol=1e-14)
    assert not np.allclose(relaxed(P, np.zeros(3), B, 1.3), relaxed(P, np.zeros(3), B, 1.0))


def test_a_missing_diagonal_names_its_row() -> None:
    a = Matrix(np.int32([0, 2, 4, 6]), np.int32([0, 1, 0, 2, 1, 2]), np.array([2.0, 1, 1, 1, 1, 2]), (3, 3))
    message = "Relaxation: A must have an entry on the diagonal of every row, got none in row 1"
    for order in ("natural", "multicolor"):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            sg.sor.Relaxation(a, order=order)


def test_grids_of_odd_sizes() -> None:
    for shape in ((7, 9), (1, 5), (5, 1), (1, 1), (2, 2), (3, 17)):
        a = grid(shape, False, np.float64, np.int32)
        n = a.shape[0]
        b, x = logits(n, np.float64), np.zeros(n)
        for order in ("natural", "multicolor"):
            found = relaxed(a, x, b, 1.2, order, iterations=400)
            assert sg.sor.residual_norm(a, found, b) < 1e-12 * np.linalg.norm(b)


# The arithmetic


@each_dtype
def test_the_bits_are_those_of_the_arithmetic_stated(dtype: Any, isa: str) -> None:
    for what, a in matrices(dtype):
        n = a.shape[0]
        x, b = logits(n, dtype, seed=1), logits(n, dtype, seed=2)
        for omega in (1.0, 1.7, 0.4):
            for multicolor in (False, True):
                order = "multicolor" if multicolor else "natural"
                for backward in (False, True):
                    expected = exact_sweeps.sweep(a, x, b, omega, backward=backward, multicolor=multicolor)
                    got = relaxed(a, x, b, omega, order, sweep="backward" if backward else "forward")
                    assert np.array_equal(got, expected), (what, omega, order, backward)
                    assert np.isfinite(got).all()
                    assert not np.array_equal(got, x)
            if isa != "scalar":
                break


@each_dtype
def test_half_solves(dtype: Any, isa: str) -> None:
    for what, a in matrices(dtype):
        n = a.shape[0]
        b = logits(n, dtype, seed=2)
        for order in ("natural", "multicolor"):
            relaxation = sg.sor.Relaxation(a, order=order)
            for half in ("lower", "upper"):
                expected = exact_sweeps.sweep(
                    a, b, b, 1.4, backward=half == "upper", multicolor=order == "multicolor", half=True
                )
                out = np.full(n, np.nan, dtype)
                relaxation._compiled.half_solve(b, 1.4, half, out)
                assert np.array_equal(out, expected), (what, order, half)
                relaxation._compiled.half_solve(b, 1.4, half, there := b.copy())
                relaxation._compiled.half_solve(there, 1.4, half, there)
                relaxation._compiled.half_solve(out, 1.4, half, out)
                assert bits(there) == bits(out)


@each_dtype
def test_bounds(dtype: Any, isa: str) -> None:
    for what, a in matrices(dtype):
        n = a.shape[0]
        x, b = logits(n, dtype, seed=1), logits(n, dtype, seed=2)
        lower, upper = logits(n, dtype, seed=3, scale=0.1) - dtype.type(0.2), logits(n, dtype, seed=4, scale=0.1)
        for sweep in ("forward", "backward"):
            expected = exact_sweeps.sweep(a, x, b, 1.5, backward=sweep == "backward", bounds=(lower, upper))
            got = relaxed(a, x, b, 1.5, sweep=sweep, bounds=(lower, upper))
            assert np.array_equal(got, expected), what
            assert not np.array_equal(got, relaxed(a, x, b, 1.5, sweep=sweep)) or n == 1
    assert np.allclose(relaxed(P, np.zeros(3), B, bounds=(-0.5, None)), [0.2, -0.5, 0.5], rtol=1e-15)
    assert np.isnan(relaxed(P, np.full(3, np.nan), B, bounds=(0.0, 1.0))[0])


@each_dtype
def test_error_bound_of_rows(dtype: Any) -> None:
    """Zeros and shuffled results are far beyond it."""
    bound = load("bounds")[f"sor.sweep.{'f32' if dtype == np.float32 else 'f64'}"]["bound"]
    worst = 0.0
    for _, a in matrices(dtype):
        n = a.shape[0]
        before, b = logits(n, dtype, seed=1), logits(n, dtype, seed=2)
        for omega in (1.0, 1.9, 0.3):
            after = relaxed(a, before, b, omega)
            errors, bounds = exact_sweeps.row_bounds(a, before, after, b, omega)
            worst = max(worst, *(float(e / s) for e, s in zip(errors, bounds, strict=True)))
            for wrong in (np.zeros_like(after), after[::-1].copy()) if n > 2 else ():
                errors, bounds = exact_sweeps.row_bounds(a, before, wrong, b, omega)
                assert max(e / s for e, s in zip(errors, bounds, strict=True)) > 1000
    assert 0 < worst <= bound


@each_dtype
@each_order
def test_norms_of_what_has_changed(dtype: Any, order: str, isa: str) -> None:
    for _, a in matrices(dtype):
        n = a.shape[0]
        x, b = logits(n, dtype, seed=1), logits(n, dtype, seed=2)
        relaxation = sg.sor.Relaxation(a, order=order)
        for sweep in ("forward", "backward", "symmetric"):
            norms, now = np.empty(3), x.copy()
            relaxation._compiled.sweep(now, b, 1.3, sweep, 3, None, None, norms)
            again = x.copy()
            for k in range(3):
                if sweep == "symmetric":
                    relaxation.sweep(again, b, 1.3)
                before = again.copy()
                relaxation.sweep(again, b, 1.3, sweep="backward" if sweep != "forward" else "forward")
                change = (again - before).astype(np.float64) * relaxation.diagonal()
                assert np.isclose(norms[k], np.linalg.norm(change) / dtype.type(1.3), rtol=1e-14)
            assert bits(now) == bits(again)


# What must not show


@pytest.mark.sanitize
def test_instruction_sets_threads_and_alignments(isa: str, threads: Callable[[int], None]) -> None:
    for dtype in DTYPES:
        for a in (
            grid((65, 63), False, dtype, np.int32),
            dominant(3000, 9, dtype, np.int64),
            grid((9, 10, 11), True, dtype, np.int64),
        ):
            n = a.shape[0]
            x, b = logits(n, dtype, seed=1), logits(n, dtype, seed=2)
            for order in ("natural", "multicolor"):
                sg.set_isa("scalar")
                threads(1)
                expected = np.empty(4)
                right = x.copy()
                sg.sor.Relaxation(a, order=order)._compiled.sweep(right, b, 1.4, "symmetric", 4, None, None, expected)
                sg.set_isa(isa)
                for count in (1, 2, 3, 7):
                    threads(count)
                    relaxation = sg.sor.Relaxation(a, order=order)
                    norms, raw = np.empty(4), np.empty(n * dtype.itemsize + 64, np.uint8)
                    there = raw[count * dtype.itemsize :][: n * dtype.itemsize].view(dtype)
                    there[...] = x
                    relaxation._compiled.sweep(there, b, 1.4, "symmetric", 4, None, None, norms)
                    assert bits(there) == bits(right)
                    assert bits(norms) == bits(expected)


@pytest.mark.sanitize
@each_dtype
@each_order
def test_any_order_of_entries_and_any_types_of_indices(dtype: Any, order: str) -> None:
    a = dominant(200, 7, dtype, np.int32)
    x, b = logits(200, dtype, seed=1), logits(200, dtype, seed=2)
    expected = relaxed(a, x, b, 1.3, order)
    turned = replace(a, indices=a.indices.copy(), data=a.data.copy())
    for i in range(200):
        row = slice(a.indptr[i], a.indptr[i + 1])
        turned.indices[row], turned.data[row] = a.indices[row][::-1], a.data[row][::-1]
    assert bits(relaxed(turned, x, b, 1.3, order)) == bits(expected)
    wide = replace(turned, indptr=a.indptr.astype(np.int64), indices=turned.indices.astype(np.int64))
    assert bits(relaxed(wide, x, b, 1.3, order)) == bits(expected)
    strided = np.repeat(x, 3)[::3]
    sg.sor.Relaxation(a, order=order).sweep(strided, b, 1.3)
    assert bits(strided) == bits(expected)


def test_entries_in_one_place_add_up() -> None:
    a = Matrix(np.int32([0, 3, 6]), np.int32([1, 0, 0, 1, 0, 1]), np.array([1.0, 1.5, 0.5, 1.0, 1.0, 1.0]), (2, 2))
    assert relaxed(a, [0.0, 0.0], [2.0, 4.0]).tolist() == [1.0, 1.5]
    with pytest.raises(ValueError, match=r"got 0 in row 1, entry 3$"):
        sg.sor.Relaxation(replace(a, data=np.array([1.0, 1.5, 0.5, 1.0, 1.0, -1.0])))


def test_infinities_stay_where_they_have_entries() -> None:
    """Padding never multiplies."""
    for order in ("natural", "multicolor"):
        a = grid((9, 9), False, np.float64, np.int32)
        x = np.zeros(81)
        x[40] = np.inf
        found = relaxed(a, x, np.zeros(81), 1.0, order, sweep="forward")
        full = np.zeros((81, 81))
        np.add.at(full, (np.repeat(np.arange(81), np.diff(a.indptr)), a.indices), a.data)
        reached = {i for i in range(81) if not np.isfinite(found[i])}
        assert {31, 39} <= reached
        assert all(i in reached or full[i, 40] == 0 or i > 40 for i in range(81))
        assert found[0] == 0
        assert found[8] == 0


# Other values and shifts


@pytest.mark.sanitize
@each_dtype
@each_order
def test_other_values(dtype: Any, order: str) -> None:
    for _, a in matrices(dtype):
        n = a.shape[0]
        other = replace(a, data=(a.data * dtype.type(1.25) + np.sign(a.data).astype(dtype)))
        x, b = logits(n, dtype, seed=1), logits(n, dtype, seed=2)
        relaxation = sg.sor.Relaxation(a, order=order)
        relaxation.update_values(other.data)
        relaxation.sweep(now := x.copy(), b, 1.3)
        assert bits(now) == bits(relaxed(other, x, b, 1.3, order))


@pytest.mark.sanitize
@each_dtype
@each_order
def test_shifts(dtype: Any, order: str) -> None:
    for _, a in matrices(dtype):
        n = a.shape[0]
        rows = np.repeat(np.arange(n), np.diff(a.indptr))
        c = dtype.type(0.3)
        other = replace(a, data=np.where(rows == a.indices, a.data + c, a.data))
        x, b = logits(n, dtype, seed=1), logits(n, dtype, seed=2)
        relaxation = sg.sor.Relaxation(a, order=order)
        relaxation.shift(7.0)
        relaxation.shift(float(c))
        relaxation.sweep(now := x.copy(), b, 1.3)
        assert bits(now) == bits(relaxed(other, x, b, 1.3, order))
        assert bits(relaxation.diagonal()) == bits(sg.sor.Relaxation(other).diagonal())
        assert relaxation.residual_norm(x, b) == sg.sor.Relaxation(other, order=order).residual_norm(x, b)
        relaxation.shift(0.0)
        relaxation.sweep(now := x.copy(), b, 1.3)
        assert bits(now) == bits(relaxed(a, x, b, 1.3, order))


def test_a_refused_change_changes_nothing() -> None:
    relaxation = sg.sor.Relaxation(P)
    before = relaxation.diagonal()
    for change in (
        lambda: relaxation.shift(-6.0),
        lambda: relaxation.shift(np.nan),
        lambda: relaxation.update_values(np.zeros(7)),
        lambda: relaxation.update_values(np.ones(6)),
        lambda: relaxation.update_values(np.array([5.0, np.nan, -2, 6, -1, -1, 3])),
    ):
        with pytest.raises(ValueError, match=r"^Relaxation"):
            change()
        assert np.array_equal(relaxation.diagonal(), before)
        relaxation.sweep(x := np.zeros(3), B, 1.3)
        assert np.allclose(x, [0.26, -0.754, 0.5399333], atol=1e-7)


# Residuals


@pytest.mark.sanitize
@each_dtype
@each_order
def test_residuals(dtype: Any, order: str, isa: str) -> None:
    for _, a in matrices(dtype):
        n = a.shape[0]
        x, b = logits(n, dtype, seed=1), logits(n, dtype, seed=2)
        relaxation = sg.sor.Relaxation(a, order=order)
        out = np.empty(n)
        norm = relaxation._compiled.residual(x, b, out)
        expected = sg.sor.residual_norm(a, x, b)
        assert norm == expected if order == "natural" else np.isclose(norm, expected, rtol=1e-14)
        rows = np.repeat(np.arange(n), np.diff(a.indptr))
        products = a.data.astype(np.float64) * x[a.indices]
        size = np.bincount(rows, np.abs(products), n) + np.abs(b)
        assert np.all(np.abs(out - (b - np.bincount(rows, products, n))) <= 80 * 2.0**-52 * size)
        assert relaxation.residual_norm(x, b) == norm


@pytest.mark.sanitize
def test_the_compiled_class_trusts_nobody() -> None:
    compiled = sg.sor.Relaxation(P)._compiled
    x = np.zeros(3)
    for call, message in (
        (lambda: compiled.sweep(x, x, 1.0), "x must not overlap b, got arrays that share memory"),
        (lambda: compiled.sweep(np.zeros(4)[1:], np.zeros(2), 1.0), "b must have shape (3,), got (2,)"),
        (lambda: compiled.sweep(x, B, 1.0, norms=np.zeros(2)), "norms must have shape (1,), got (2,)"),
        (lambda: compiled.sweep(x, B, 1.0, iterations=-1), "iterations must not be negative, got -1"),
    ):
        with pytest.raises(ValueError, match="^" + re.escape(f"Relaxation.sweep: {message}") + "$"):
            call()
    with pytest.raises(TypeError, match="x must have dtype float64, got float32"):
        compiled.sweep(np.zeros(3, np.float32), B, 1.0)
    assert _core.sor.Relaxation is type(compiled)


def test_a_long_row_takes_its_own_memory() -> None:
    """Not sixteen times as much, wherever it lies among short ones."""
    n = 20000
    for at in (0, 10007, n - 1):
        rows = np.arange(n, dtype=np.int64)
        lengths = np.where(rows == at, n, 1)
        indptr = np.concatenate(([0], np.cumsum(lengths)))
        indices = np.concatenate((rows[:at], rows, rows[at + 1 :]))
        data = np.where(np.repeat(rows, lengths) == indices, 2.0, 1e-6)
        relaxation = sg.sor.Relaxation(Matrix(indptr, indices, data, (n, n)))
        assert relaxation._compiled.memory < 3 * n * (8 + 4) + 16 * n + n // 16 * 40
        x, b = logits(n, np.float64), logits(n, np.float64, seed=1)
        residual = b - 2 * x
        residual[at] -= 1e-6 * (x.sum() - x[at])
        assert relaxation.residual_norm(x, b) == pytest.approx(np.linalg.norm(residual), rel=1e-12)

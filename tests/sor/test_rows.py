"""Sweeps over some rows: the arithmetic, orders, masks, refusals, and what they are for."""

import re
from typing import Any

import exact_sweeps
import numpy as np
import pytest

import sorgum as sg
from sorgum import reference
from sorgum._data.inputs import logits, words
from sorgum._data.matrices import Matrix, dominant, grid

DTYPES = [np.dtype(np.float32), np.dtype(np.float64)]
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["f32", "f64"])
each_order = pytest.mark.parametrize("order", ["natural", "multicolor"])
ONE_LONG = Matrix(
    np.concatenate((np.arange(20), [64])).astype(np.int32),
    np.concatenate((np.arange(19), np.arange(45) % 20)).astype(np.int32),
    np.concatenate((np.full(19, 4.0), np.where(np.arange(45) % 20 == 19, 9.0, 0.125 + np.arange(45) / 64))),
    (20, 20),
)


def matrices(dtype: Any) -> list[Matrix]:
    many = dominant(70, 60, dtype, np.int32)
    long = Matrix(ONE_LONG.indptr, ONE_LONG.indices, ONE_LONG.data.astype(dtype), ONE_LONG.shape)
    return [grid((7, 19), False, dtype, np.int32), grid((5, 6, 5), True, dtype, np.int64), many, long]


def some_rows(n: int) -> dict[str, Any]:
    shuffled = np.argsort(words(n, np.float64, 9).view(np.uint64), kind="stable")
    return {
        "none": [],
        "one": [n - 1],
        "every other one": np.arange(0, n, 2),
        "runs of five": np.flatnonzero(np.arange(n) % 11 < 5),
        "all, backward": np.arange(n)[::-1],
        "in no order": shuffled,
        "a block and more, then less": [*range(3, min(n, 44)), 3, 2, 2, 1, 0, 7, 9, 11],
    }


@each_dtype
@each_order
def test_the_bits_are_those_of_the_arithmetic_stated(dtype: Any, order: str, isa: str) -> None:
    for a in matrices(dtype):
        n = a.shape[0]
        x, b = logits(n, dtype, seed=1), logits(n, dtype, seed=2)
        relaxation = sg.sor.Relaxation(a, order=order)
        for what, rows in some_rows(n).items():
            for backward in (False, True):
                there = x.copy()
                relaxation.sweep(there, b, 1.4, rows=rows, sweep="backward" if backward else "forward")
                expected = exact_sweeps.sweep(
                    a, x, b, 1.4, backward=backward, multicolor=order == "multicolor", chosen=rows
                )
                assert np.array_equal(there, expected), (what, backward)
                assert np.array_equal(there == x, ~np.isin(np.arange(n), np.asarray(rows, np.int64))), what


@pytest.mark.sanitize
@each_dtype
@each_order
def test_all_rows_are_a_sweep(dtype: Any, order: str, isa: str) -> None:
    """By their numbers, by a mask, and one call after the other; within bounds, too."""
    for a in (*matrices(dtype), grid((40, 41), False, dtype, np.int32), dominant(1000, 12, dtype, np.int64)):
        n = a.shape[0]
        b, relaxation = logits(n, dtype, seed=2), sg.sor.Relaxation(a, order=order)
        placed = np.argsort(relaxation.colors, kind="stable")
        for bounds in (None, (-0.5, None), (None, logits(n, dtype, seed=3))):
            for sweep in ("forward", "backward", "symmetric"):
                expected, one = logits(n, dtype, seed=1), logits(n, dtype, seed=1)
                relaxation.sweep(expected, b, 1.3, sweep=sweep, iterations=2, bounds=bounds)
                for rows in (placed, placed.astype(np.uint16), np.ones(n, bool), [True] * n):
                    there = logits(n, dtype, seed=1)
                    relaxation.sweep(there, b, 1.3, sweep=sweep, iterations=2, bounds=bounds, rows=rows)
                    assert there.tobytes() == expected.tobytes()
                if n > 200:
                    continue
                for direction in 2 * (("forward", "backward") if sweep == "symmetric" else (sweep,)):
                    for i in placed if direction == "forward" else placed[::-1]:
                        relaxation.sweep(one, b, 1.3, sweep=direction, bounds=bounds, rows=[i])
                assert one.tobytes() == expected.tobytes()


@each_order
def test_a_mask_takes_rows_in_the_order_of_the_object(order: str) -> None:
    a = grid((6, 7), False, np.float64, np.int32)
    relaxation, b = sg.sor.Relaxation(a, order=order), logits(42, np.dtype(np.float64))
    mask = np.arange(42) % 5 != 1
    rows = [i for color in range(3) for i in range(42) if mask[i] and relaxation.colors[i] == color]
    there, expected = np.zeros(42), np.zeros(42)
    relaxation.sweep(there, b, rows=mask)
    relaxation.sweep(expected, b, rows=rows)
    assert there.tobytes() == expected.tobytes()


@each_dtype
def test_ours_beside_the_reference(dtype: Any) -> None:
    """Errors of rows add up as e = row + omega |D^-1 A| e over the visits: 40 of them on a dominant matrix."""
    a = grid((9, 11), False, dtype, np.int32)
    b, x, rows = logits(99, dtype, seed=2), logits(99, dtype, seed=1), np.arange(0, 99, 5)
    for sweep in ("forward", "backward", "symmetric"):
        ours, theirs = x.copy(), reference.sor.sweep(a, x, b, 1.1, sweep=sweep, rows=rows, iterations=2)
        sg.sor.Relaxation(a).sweep(ours, b, 1.1, sweep=sweep, rows=rows, iterations=2)
        row = 9 * np.finfo(dtype).eps * 1.1 * (np.abs(b).max() + 4 * np.abs(x).max()) / 4
        bound = 40 * row
        assert np.abs(ours - theirs).max() <= bound
        assert np.abs(x - theirs).max() > 100 * bound
        mask = np.isin(np.arange(99), rows)
        assert np.array_equal(reference.sor.sweep(a, x, b, sweep=sweep, rows=mask),
                              reference.sor.sweep(a, x, b, sweep=sweep, rows=rows))  # fmt: skip


def test_what_is_refused() -> None:
    relaxation, b = sg.sor.Relaxation(np.diag([2.0, 4.0, 8.0])), np.ones(3)
    for rows, error, message in (
        ([0, 3], ValueError, "rows must not be negative and must be below the number of rows, 3, got 3 at 1"),
        ([-1], ValueError, "rows must not be negative and must be below the number of rows, 3, got -1 at 0"),
        (np.uint64([2**63]), ValueError,
         f"rows must not be negative and must be below the number of rows, 3, got {2**63 - 1} at 0"),
        ([True, False], ValueError, "rows must have shape (3,) as a mask, got (2,)"),
        ([[0, 1]], ValueError, "rows must have one dimension, got shape (1, 2)"),
        (1, ValueError, "rows must have one dimension, got shape ()"),
        ([0.0], TypeError, "rows must be integers or a mask, got dtype dtype('float64')"),
    ):  # fmt: skip
        x = np.zeros(3)
        with pytest.raises(error, match=f"^{re.escape('Relaxation.sweep: ' + message)}$"):
            relaxation.sweep(x, b, rows=rows)
        assert not x.any()
    with pytest.raises(ValueError, match=r"norms must not be asked for of some rows, got both$"):
        relaxation._compiled.sweep(np.zeros(3), b, 1.0, "forward", 1, None, None, np.empty(1), np.zeros(1, np.int64))


def test_rows_that_are_changed_meanwhile_do_no_harm() -> None:
    """They are copied, and looked at once: strided and read-only arrays are taken, and are not changed."""
    relaxation, rows = sg.sor.Relaxation(np.diag([2.0, 4.0, 8.0])), np.array([2, 9, 0, 9])[::2]
    rows.flags.writeable = False
    x = np.zeros(3)
    relaxation.sweep(x, np.ones(3), rows=rows)
    assert x.tolist() == [0.5, 0, 0.125]
    assert rows.tolist() == [2, 0]


def test_coarse_and_fine_points_of_a_hierarchy() -> None:
    """Relaxation of the fine points, given the others: a few sweeps make their equations hold."""
    a, b = grid((20, 20), False, np.float64, np.int32), np.ones(400)
    fine = np.indices((20, 20)).sum(0).ravel() % 2 == 1
    relaxation, x = sg.sor.Relaxation(a), logits(400, np.dtype(np.float64))
    coarse = x[~fine].copy()
    relaxation.sweep(x, b, rows=fine)  # of each other's neighbours there are none
    r = np.empty(400)
    relaxation._compiled.residual(x, b, r)
    assert np.abs(r[fine]).max() < 1e-14
    assert np.abs(r[~fine]).max() > 1
    assert np.array_equal(x[~fine], coarse)


@pytest.mark.parametrize("sweep", ["forward", "backward", "symmetric"])
def test_pyamgs_indexed_sweeps(sweep: str) -> None:
    """gauss_seidel_indexed takes rows in the order given, and from the last one to the first."""
    pyamg = pytest.importorskip("pyamg")
    sparse = pytest.importorskip("scipy.sparse")
    a = dominant(130, 7, np.float64, np.int32, seed=2)
    theirs = sparse.csr_matrix((a.data, a.indices, a.indptr), a.shape)
    rows = np.argsort(words(130, np.float64, 9).view(np.uint64), kind="stable")[:50].astype(np.int32)
    b, x = logits(130, np.dtype(np.float64), seed=2), logits(130, np.dtype(np.float64), seed=1)
    ours = x.copy()
    sg.sor.Relaxation(a).sweep(ours, b, rows=rows, sweep=sweep, iterations=2)
    before = x.copy()
    pyamg.relaxation.relaxation.gauss_seidel_indexed(theirs, x, b, rows, iterations=2, sweep=sweep)
    assert np.abs(ours - x).max() < 1e-13 * np.abs(x).max()
    assert np.abs(before - x).max() > 0.01

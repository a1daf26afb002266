"""Rows relaxed together: the arithmetic stated, exact answers, methods, refusals, and what it is for."""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import exact_sweeps
import numpy as np
import pytest

import sorgum as sg
from sorgum import reference
from sorgum._core import sor as compiled
from sorgum._data.inputs import logits
from sorgum._data.matrices import Matrix, grid

DTYPES = [np.dtype(np.float32), np.dtype(np.float64)]
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["f32", "f64"])
each_order = pytest.mark.parametrize("order", ["natural", "multicolor"])


def coupled(shape: tuple[int, ...], size: int, dtype: Any, index: Any = np.int32) -> Matrix:
    """Unknowns of a point of a grid that depend on each other, and on those of its neighbours; some entries are 0."""
    points = grid(shape, False, np.float64, index)
    n = points.shape[0] * size
    full = np.zeros((n, n))
    rows = np.repeat(np.arange(points.shape[0]), np.diff(points.indptr))
    for k, (i, j) in enumerate(zip(rows, points.indices, strict=True)):
        block = np.tanh(logits(size * size, np.dtype(np.float64), seed=k)).reshape(size, size)
        block[np.abs(block) < 0.3] = 0
        if i == j:
            block = np.roll(np.eye(size) * 5, 1, axis=0) + block / 2
        full[i * size : (i + 1) * size, j * size : (j + 1) * size] = block
    where = np.nonzero(full)
    indptr = np.concatenate(([0], np.cumsum(np.count_nonzero(full, axis=1))))
    return Matrix(indptr.astype(index), where[1].astype(index), full[where].astype(dtype), (n, n))


def dense(a: Matrix) -> Any:
    full = np.zeros(a.shape)
    np.add.at(full, (np.repeat(np.arange(a.shape[0]), np.diff(a.indptr)), a.indices), a.data.astype(np.float64))
    return full


def matrices(dtype: Any) -> Iterator[tuple[Matrix, int]]:
    for shape, size in (((5, 4), 2), ((4, 4), 3), ((3, 2), 7), ((2, 1), 17), ((1, 1), 5)):
        yield coupled(shape, size, dtype), size


def solved_by_elimination(block: Any, right: Any) -> Any:
    """Written out in rational numbers, rounded where the kernel rounds: float64, rows that change places."""
    rounded = exact_sweeps.Rounded(np.float64)
    b = len(block)
    rows = [[Fraction(float(v)) for v in (*block[i], *right[i])] for i in range(b)]
    for k in range(b):
        pivot = max(range(k, b), key=lambda i: (abs(rows[i][k]), -i))
        rows[k], rows[pivot] = rows[pivot], rows[k]
        for i in range(k + 1, b):
            factor = -rounded(rows[i][k] / rows[k][k])
            rows[i] = [
                rounded.fma(factor, u, v) if j > k else v for j, (u, v) in enumerate(zip(rows[k], rows[i], strict=True))
            ]
    for k in range(b - 1, -1, -1):
        rows[k][b:] = [rounded(v / rows[k][k]) for v in rows[k][b:]]
        for i in range(k):
            rows[i][b:] = [rounded.fma(-rows[i][k], u, v) for u, v in zip(rows[k][b:], rows[i][b:], strict=True)]
    return np.array([[float(v) for v in row[b:]] for row in rows])


def scaled(a: Matrix, b: Any, size: int) -> tuple[Matrix, Any]:
    """D^-1 A, with every element of its blocks, and D^-1 b, as docs/numerics/sor.md has them."""
    full, n, dtype = dense(a), a.shape[0], a.data.dtype
    rounded = exact_sweeps.Rounded(np.float64)
    matrix, right = np.zeros((n, n), dtype), np.zeros(n, dtype)
    there = np.zeros((n, n), bool)
    for first in range(0, n, size):
        own = slice(first, first + size)
        found = solved_by_elimination(full[own, own], np.hstack((full[own], np.eye(size))))
        matrix[own] = found[:, :n].astype(dtype)
        inverse = found[:, n:].astype(dtype)
        matrix[own, own] = np.eye(size)
        there[own, own] = np.eye(size, dtype=bool)
        for other in range(0, n, size):
            if other != first and full[own, other : other + size].any():
                there[own, other : other + size] = True
        for i in range(size):
            s = Fraction(0)
            for k in range(size):
                s = rounded.fma(Fraction(float(inverse[i, k])), Fraction(float(b[first + k])), s)
            right[first + i] = dtype.type(float(s))
    where = np.nonzero(there)
    indptr = np.concatenate(([0], np.cumsum(np.count_nonzero(there, axis=1))))
    return Matrix(indptr.astype(np.int32), where[1].astype(np.int32), matrix[where], (n, n)), right


@each_dtype
@each_order
def test_the_bits_are_those_of_rows_of_the_scaled_matrix(dtype: Any, order: str, isa: str) -> None:
    for a, size in matrices(dtype):
        n = a.shape[0]
        x, b = logits(n, dtype, seed=1), logits(n, dtype, seed=2)
        matrix, right = scaled(a, b, size)
        blocks, rows = sg.sor.Relaxation(a, order=order, blocksize=size), sg.sor.Relaxation(matrix, order=order)
        assert np.array_equal(blocks.colors, rows.colors)
        for sweep in ("forward", "backward", "symmetric"):
            ours, theirs = x.copy(), x.copy()
            blocks.sweep(ours, b, 1.3, sweep=sweep, iterations=2)
            rows.sweep(theirs, right, 1.3, sweep=sweep, iterations=2)
            assert np.array_equal(ours, theirs)
            assert not np.array_equal(ours, x)
        assert np.array_equal(blocks.precondition(b, 1.2), rows.precondition(right, 1.2))
        assert np.array_equal(blocks.diagonal(), dense(a).diagonal())


@each_dtype
def test_ours_beside_the_reference(dtype: Any) -> None:
    """A block row errs by (b m + 3 b + 8) u of its condition and its sums of b m terms; a sweep adds up a dozen rows.

    The blocks here have conditions below 20 and at most 5 blocks in a row.
    """
    for a, size in matrices(dtype):
        n = a.shape[0]
        x, b = logits(n, dtype, seed=1), logits(n, dtype, seed=2)
        for sweep in ("forward", "backward", "symmetric"):
            ours, theirs = x.copy(), reference.sor.sweep(a, x, b, 1.1, sweep=sweep, blocksize=size)
            sg.sor.Relaxation(a, blocksize=size).sweep(ours, b, 1.1, sweep=sweep)
            largest = np.abs(theirs).max() + np.abs(x).max()
            bound = 12 * 20 * (5 * size * size + 3 * size) * np.finfo(dtype).eps * largest
            assert np.abs(ours - theirs).max() <= bound
            assert np.abs(ours[::-1] - theirs).max() > 1e-2 * largest


def test_a_block_that_is_all_is_solved_at_once() -> None:
    a = coupled((3, 3), 4, np.float64)
    b, x = logits(36, np.dtype(np.float64)), np.zeros(36)
    sg.sor.Relaxation(a, blocksize=36).sweep(x, b)
    assert np.allclose(x, np.linalg.solve(dense(a), b), rtol=1e-12)


def test_zeros_on_the_diagonal() -> None:
    """Rows that could not be relaxed one by one: a pivot lies elsewhere in the block."""
    a = np.kron(np.eye(6) * 4 - np.eye(6, k=1) - np.eye(6, k=-1), [[0.0, 1.0], [1.0, 0.0]])
    b = np.arange(12.0)
    with pytest.raises(ValueError, match="entry on the diagonal"):
        sg.sor.sor(a, b)
    result = sg.sor.sor_result(a, b, blocksize=2, rtol=1e-10)
    assert result.info == 0
    assert np.linalg.norm(b - a @ result.x) <= 1e-10 * np.linalg.norm(b)


@each_dtype
@each_order
def test_residuals_norms_shifts_and_values(dtype: Any, order: str) -> None:
    a = coupled((4, 5), 3, dtype)
    x, b = logits(60, dtype, seed=1), logits(60, dtype, seed=2)
    relaxation = sg.sor.Relaxation(a, order=order, blocksize=3)
    assert relaxation.residual_norm(x, b) == sg.sor.residual_norm(a, x, b)
    blocks = dense(a) * np.kron(np.eye(20), np.ones((3, 3)))
    for sweep in ("forward", "symmetric"):
        norms, now, again = np.empty(3), x.copy(), x.copy()
        relaxation._compiled.sweep(now, b, 1.3, sweep, 3, None, None, norms)
        for k in range(3):
            if sweep == "symmetric":
                relaxation.sweep(again, b, 1.3)
            before = again.copy()
            relaxation.sweep(again, b, 1.3, sweep="backward" if sweep != "forward" else "forward")
            change = blocks @ (again - before).astype(np.float64)
            assert np.isclose(norms[k], np.linalg.norm(change) / dtype.type(1.3), rtol=1e-12)
        assert now.tobytes() == again.tobytes()
    other = dense(a) * 2 + 0.25 * np.eye(60)
    relaxation.update_values(a.data * 2)
    relaxation.shift(0.25)
    fresh = sg.sor.Relaxation(other.astype(dtype), order=order, blocksize=3)
    relaxation.sweep(one := x.copy(), b)
    fresh.sweep(two := x.copy(), b)
    assert one.tobytes() == two.tobytes()
    assert relaxation.residual_norm(x, b) == fresh.residual_norm(x, b)
    assert np.array_equal(relaxation.diagonal(), fresh.diagonal())


def test_some_blocks() -> None:
    """Numbers and masks are of blocks; all of them are a sweep."""
    a = coupled((4, 5), 3, np.float64)
    b = logits(60, np.dtype(np.float64))
    for order in ("natural", "multicolor"):
        relaxation = sg.sor.Relaxation(a, order=order, blocksize=3)
        x, masked, some = (np.zeros(60) for _ in range(3))
        relaxation.sweep(x, b)
        relaxation.sweep(masked, b, rows=np.ones(20, bool))
        assert x.tobytes() == masked.tobytes()
        relaxation.sweep(some, b, rows=[7, 2])
        assert np.array_equal(np.flatnonzero(some), [6, 7, 8, 21, 22, 23])
        with pytest.raises(ValueError, match=r"must be below the number of blocks, 20, got 20 at 0$"):
            relaxation.sweep(some, b, rows=[20])


@pytest.mark.sanitize
@each_dtype
def test_instruction_sets_threads_and_orders_of_entries(dtype: Any, isa: str, threads: Any) -> None:
    a = coupled((6, 7), 3, dtype, np.int64)
    b = logits(126, dtype, seed=2)
    turned = Matrix(a.indptr, a.indices.copy(), a.data.copy(), a.shape)
    for i in range(126):
        row = slice(a.indptr[i], a.indptr[i + 1])
        turned.indices[row], turned.data[row] = a.indices[row][::-1], a.data[row][::-1]
    found = set()
    for name, count, matrix in (("scalar", 1, a), (isa, 1, a), (isa, 3, turned)):
        sg.set_isa(name)
        threads(count)
        for order in ("natural", "multicolor"):
            x, norms = logits(126, dtype, seed=1), np.empty(2)
            relaxation = sg.sor.Relaxation(matrix, order=order, blocksize=3)
            relaxation._compiled.sweep(x, b, 1.3, "symmetric", 2, None, None, norms)
            found.add((order, x.tobytes(), norms.tobytes(), relaxation.residual_norm(x, b)))
    assert len(found) == 2


def test_solves_preconditions_and_smooths() -> None:
    """Unknowns of a point that nearly agree: together they are relaxed in a tenth of the sweeps."""
    points = grid((12, 12), False, np.float64, np.int32)
    a = np.kron(dense(points), np.eye(2)) + 500 * np.kron(np.eye(144), [[1.0, -1.0], [-1.0, 1.0]])
    b = logits(288, np.dtype(np.float64))
    one, two = (sg.sor.sor_result(a, b, blocksize=size, rtol=1e-8) for size in (1, 2))
    assert two.info == 0
    assert np.linalg.norm(b - a @ two.x) <= 1e-8 * np.linalg.norm(b)
    assert 10 * two.iterations < one.iterations
    linalg = pytest.importorskip("scipy.sparse.linalg")
    counts = []
    for size in (1, 2):
        steps: list[int] = []
        preconditioner = sg.sor.SSOR(a, 1.2, blocksize=size)
        x, info = linalg.cg(a, b, M=preconditioner, rtol=1e-8, callback=lambda _, s=steps: s.append(1))
        assert info == 0
        assert np.linalg.norm(b - a @ x) <= 2e-8 * np.linalg.norm(b)
        counts.append(len(steps))
    assert counts[1] < counts[0]
    u, v = logits(288, np.dtype(np.float64), seed=3), logits(288, np.dtype(np.float64), seed=4)
    assert np.isclose(preconditioner.rmatvec(u) @ v, u @ preconditioner.matvec(v), rtol=1e-10)


def test_blocks_of_a_matrix_in_blocks() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    a = coupled((4, 5), 3, np.float64)
    blocked = sparse.bsr_matrix(dense(a), blocksize=(3, 3))
    assert sg.sor.Relaxation(blocked, blocksize=None).blocksize == 3
    assert sg.sor.Relaxation(dense(a) + np.eye(60) * 9, blocksize=None).blocksize == 1
    b, x, y = logits(60, np.dtype(np.float64)), np.zeros(60), np.zeros(60)
    sg.sor.smoother(blocksize=None)(blocked, x, b)
    sg.sor.Relaxation(a, blocksize=3).sweep(y, b, sweep="symmetric")
    assert x.tobytes() == y.tobytes()
    with pytest.raises(ValueError, match=r"blocksize must be given where blocks are not square, got 3 x 2$"):
        sg.sor.Relaxation(sparse.bsr_matrix(dense(a), blocksize=(3, 2)), blocksize=None)


@pytest.mark.parametrize("sweep", ["forward", "backward", "symmetric"])
def test_pyamgs_block_sweeps(sweep: str) -> None:
    pyamg = pytest.importorskip("pyamg")
    a, _ = pyamg.gallery.linear_elasticity((8, 8))
    b, x = logits(a.shape[0], np.dtype(np.float64)), np.zeros(a.shape[0])
    ours = x.copy()
    sg.sor.Relaxation(a.tobsr((2, 2)), blocksize=None).sweep(ours, b, sweep=sweep)
    pyamg.relaxation.relaxation.block_gauss_seidel(a.tobsr((2, 2)), x, b, blocksize=2, sweep=sweep)
    assert np.abs(ours - x).max() < 1e-13 * np.abs(x).max()
    assert np.abs(x).max() > 0


def test_what_is_refused() -> None:
    a = coupled((2, 2), 3, np.float64)
    for size in (0, -1, 5, 65, 2**70):
        with pytest.raises(
            ValueError, match=re.escape("Relaxation: blocksize must be at least 1 and at most 64, and ")
        ):
            sg.sor.Relaxation(a, blocksize=size)
    with pytest.raises(TypeError, match=r"^Relaxation: blocksize must be an int, got float$"):
        sg.sor.Relaxation(a, blocksize=3.0)  # type: ignore[arg-type]
    singular = dense(a)
    singular[5] = singular[4] * 2
    singular[4, 4] = singular[5, 4] = 0.5
    singular[3:6, 3:6] = [[1, 2, 3], [2, 4, 6], [0, 1, 0]]
    with pytest.raises(
        ValueError, match=r"^Relaxation: A must have point blocks that are not singular, got one in rows 3 to 5$"
    ):
        sg.sor.Relaxation(singular, blocksize=3)
    far = dense(a)
    far[7, 0] = np.inf
    with pytest.raises(ValueError, match=r"over their point blocks, got others in rows 6 to 8$"):
        sg.sor.Relaxation(far, blocksize=3)
    relaxation = sg.sor.Relaxation(a, blocksize=3)
    with pytest.raises(
        ValueError, match=r"^Relaxation.sweep: bounds must be None where blocksize is above 1, got \(0, 1\)$"
    ):
        relaxation.sweep(np.zeros(12), np.ones(12), bounds=(0, 1))
    with pytest.raises(ValueError, match=r"^ssor_cg: A must be relaxed row by row, got a Relaxation of blocksize 3$"):
        sg.sor.ssor_cg(relaxation, np.ones(12))
    with pytest.raises(ValueError, match=r"^Relaxation: A must be square, got shape \(2, 4\)$"):
        sg.sor.Relaxation(np.ones((2, 4)), blocksize=2)
    before = np.zeros(12)
    relaxation.sweep(before, np.ones(12))
    with pytest.raises(ValueError, match="not singular"):
        relaxation.update_values(np.zeros(a.data.size))
    after = np.zeros(12)
    relaxation.sweep(after, np.ones(12))
    assert before.tobytes() == after.tobytes()
    pytest.importorskip("scipy")
    with pytest.raises(ValueError, match=r"^SSOR: blocksize must be that of the Relaxation, 3, got 2$"):
        sg.sor.SSOR(relaxation, blocksize=2)


def test_malformed_indices() -> None:
    for indptr, indices in (([0, 1, 2], [0, 5]), ([0, 2, 1], [0, 1]), ([0, 1, 9], [0, 1])):
        with pytest.raises(ValueError, match=r"^Relaxation: A\.ind"):
            compiled.BlockRelaxation(np.int32(indptr), np.int32(indices), np.ones(2), 2, 2, "natural", 2)
    assert sg.sor.Relaxation(np.zeros((0, 0)), blocksize=3).shape == (0, 0)

"""What Python call exercises each kernel of the family `sor`."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cases import Array
from sorgum import sor
from sorgum._core import sor as compiled
from sorgum._data.inputs import logits, words
from sorgum._data.matrices import Matrix, dominant, grid, scattered


def residual_norm(dtype: np.dtype[Any], index: Any = np.int32) -> Iterator[Array]:
    """Rows without entries and with many, fewer and more than are taken at once, of one chunk and of several."""
    for rows, most in ((0, 0), (1, 5), (3, 40), (255, 3), (257, 12), (4096, 7), (4097, 1), (40000, 9)):
        a = scattered((rows, 300), most, dtype, index, seed=rows)
        x, b = logits(300, dtype, seed=1), logits(rows, dtype, seed=2)
        yield np.float64(sor.residual_norm(a, x, b))
        yield np.float64(sor.residual_norm(a, x * dtype.type(2.0**-60), b * dtype.type(2.0**-90)))
    a = grid((30, 40, 10), True, dtype, index)
    yield np.float64(sor.residual_norm(a, logits(12000, dtype), logits(12000, dtype, seed=1)))
    for seed in range(8):  # any encodings: what is not finite, and squares beyond the range
        any_x, any_b = words(300, dtype, seed), words(900, dtype, seed + 10)
        a = scattered((900, 300), 6, dtype, index, seed)
        yield np.float64(sor.residual_norm(a, np.where(np.isfinite(any_x), any_x, 0), logits(900, dtype)))
        yield np.float64(sor.residual_norm(a, logits(300, dtype), np.where(np.isfinite(any_b), any_b, 0)))
        yield np.float64(sor.residual_norm(a, any_x, any_b))


def relaxed(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Blocks that are full and not, whose entries lie on few diagonals or anywhere, and vectors of any encodings."""
    some = [dominant(n, most, dtype, np.int32, seed=n) for n, most in ((1, 0), (2, 1), (15, 3), (16, 5), (17, 9))]
    some += [
        dominant(1000, 12, dtype, np.int64),
        grid((40, 50), False, dtype, np.int32),
        grid((40, 41), False, dtype, np.int32),
        grid((61, 60), False, dtype, np.int32),  # enough rows to sweep some again while others are swept once
    ]
    some += [grid((17, 18, 19), True, dtype, np.int32), dominant(4200, 2, dtype, np.int32)]
    for a in some:
        n = a.shape[0]
        x, b, far = logits(n, dtype), logits(n, dtype, seed=1), words(n, dtype, n)
        for order in ("natural", "multicolor"):
            relaxation = sor.Relaxation(a, order=order)
            for sweep in ("forward", "backward", "symmetric"):
                for start, right in ((x, b), (far, b), (np.where(np.isfinite(far), far, 0), b), (x, far)):
                    there = np.array(start)
                    relaxation.sweep(there, right, 1.4, sweep=sweep, iterations=2)
                    yield np.where(np.isnan(there), dtype.type(np.nan), there)
                    yield np.float64(relaxation.residual_norm(there, right))


def relaxed_in_some_rows(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Rows one by one, in runs, and some of a block, forward and backward, where entries lie near and anywhere."""
    for a in (
        grid((40, 41), False, dtype, np.int32),
        dominant(300, 30, dtype, np.int32),
        dominant(17, 9, dtype, np.int64),
    ):
        n = a.shape[0]
        x, b, far = some_vectors(n, dtype)
        at = np.arange(n)
        shuffled = np.argsort(words(n, np.float64, 9).view(np.uint64), kind="stable")
        for order in ("natural", "multicolor"):
            relaxation = sor.Relaxation(a, order=order)
            for rows in (at[::2], at[::7], at[at % 50 < 40], shuffled, at % 3 == 1):
                for sweep in ("forward", "backward"):
                    for start, right in ((x, b), (far, b), (x, far)):
                        there = np.array(start)
                        relaxation.sweep(there, right, 1.4, sweep=sweep, bounds=(None, 1.5), rows=rows)
                        yield np.where(np.isnan(there), dtype.type(np.nan), there)


def relaxed_together(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Blocks smaller and larger than a vector, with and without a row that changes places, and vectors of any bits."""
    for n, most, size in ((12, 3, 2), (45, 6, 3), (68, 9, 17), (64, 20, 64)):
        a = dominant(n, most, dtype, np.int32, seed=n)
        x, b, far = some_vectors(n, dtype)
        for turn in (0, 1):
            rows = np.arange(n).reshape(-1, size)
            turned = a.indices.copy() if turn == 0 else np.roll(rows, 1, axis=1).reshape(-1)[a.indices].astype(np.int32)
            for order in ("natural", "multicolor"):
                relaxation = sor.Relaxation(Matrix(a.indptr, turned, a.data, a.shape), order=order, blocksize=size)
                for start, right in ((x, b), (far, b), (x, far)):
                    there = np.array(start)
                    relaxation.sweep(there, right, 1.2, sweep="symmetric")
                    yield np.where(np.isnan(there), dtype.type(np.nan), there)
                    yield np.float64(relaxation.residual_norm(there, right))
                norms = np.empty(2)
                relaxation._compiled.sweep(x.copy(), b, 1.2, "forward", 2, None, None, norms)
                yield norms


def solved(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Systems of several chunks and of few rows, easy and hard ones, and vectors of any encodings."""
    for shape, box in (((1,), False), ((13, 17), False), ((66, 63), False), ((9, 10, 11), True)):
        a = grid(shape, box, dtype, np.int32)
        b = logits(a.shape[0], dtype, seed=1)
        for right in (b, b * dtype.type(2.0**-100), b * dtype.type(2.0**100)):
            for omega in ("adaptive", 1.7):
                result = sor.ssor_cg_result(a, right, omega=omega, rtol=1e-4)
                yield result.x
                yield result.residuals
                yield result.omegas
        for seed in range(2):
            any_finite = words(a.shape[0], dtype, seed)
            any_finite[~np.isfinite(any_finite)] = 0
            result = sor.ssor_cg_result(a, any_finite, maxiter=5)
            yield result.x
            yield np.float64(result.info)
        for order in ("natural", "multicolor"):
            yield sor.Relaxation(a, order=order).precondition(b, 1.4)


def on_grids(dtype: np.dtype[Any], order: str = "red_black") -> Iterator[Array]:
    """Rows shorter and longer than a vector, with all that a point may have; values of any encodings."""
    for shape in ((2, 3), (5, 18), (6, 34), (20, 300), (3, 4, 17), (4, 6, 40)):
        k = 2 * len(shape) + 1
        u, f, far = (array.reshape(shape) for array in some_vectors(int(np.prod(shape)), dtype))
        constant = np.linspace(0.25, 1, k, dtype=dtype)
        constant[k // 2] = -6
        variable = np.broadcast_to(constant.reshape(k, *(1,) * len(shape)), (k, *shape)) * (2 + (f > 0))
        holes = logits(u.size, np.dtype(np.float64), seed=3).reshape(shape) > 2
        for c in (constant, np.ascontiguousarray(variable, dtype)):
            for boundary in ("dirichlet", "neumann", *(["periodic"] if shape[-1] % 2 == 0 == shape[-2] % 2 else [])):
                for mask, bounds in ((None, None), (holes, None), (None, (-1.0, 2.0)), (holes, (None, 1.0))):
                    sides = [*[("neumann", "neumann")] * (len(shape) - 2), *[(boundary, boundary)] * 2]
                    for start, right in ((u, f), (far, f), (u, far)):
                        there, pair = start.copy(), tuple(sides)
                        options: dict[str, Any] = {"mask": mask, "bounds": bounds, "boundary": pair, "order": order}
                        sor.sor_stencil(there, right, c, omega=1.3, sweeps=2, **options)
                        yield np.where(np.isnan(there), dtype.type(np.nan), there)
                    stencil = compiled.Stencil(c, shape, sides, mask, None, order)
                    sums = np.zeros((2, compiled.SUM_WORDS), np.int64)
                    out = np.zeros(shape)
                    yield stencil.residual(u, f, out)
                    yield out
                    stencil.sweep(u.copy(), f, 1.3, 2, None, None, sums)
                    yield sums
                    yield compiled.merged_norms(sums[None])


def in_turn(dtype: np.dtype[Any]) -> Iterator[Array]:
    """The same grids, point after point."""
    yield from on_grids(dtype, "lexicographic")


def some_vectors(n: int, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
    return logits(n, dtype), logits(n, dtype, seed=1), words(n, dtype, n)


ARGUMENTS: dict[tuple[str, str], Any] = {
    ("sor_stencil", "u"): np.zeros((3, 4)),
    ("sor_stencil", "f"): 0.0,
    ("sor_stencil", "coefficients"): [1.0, 1, -4, 1, 1],
    ("stencil_coefficients", "second"): np.eye(2),
    ("sor_batch", "A"): 4 * np.eye(4, dtype=np.float32) + np.eye(4, k=1, dtype=np.float32),
    ("sor_batch", "b"): np.ones((3, 4), np.float32),
}


def batched(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Fewer systems than lanes and many more, whose values differ or are shared, and vectors of any encodings."""
    for n, most, systems in ((1, 0, 3), (17, 4, 16), (40, 9, 61), (100, 3, 20)):
        a = dominant(n, most, dtype, np.int32, seed=n)
        b = logits(systems * n, dtype, seed=1).reshape(systems, n)
        any_b = words(systems * n, dtype, n).reshape(systems, n)
        any_b[~np.isfinite(any_b)] = 0
        shift = np.linspace(0, 0.1, systems).astype(dtype)
        data = a.data * (1 + shift[:, None])
        omega = np.linspace(0.5, 1.5, systems)
        for right in (b, any_b, b * dtype.type(2.0**-100)):
            for options in ({"shift": shift}, {"data": data}, {"x0": 0.5 * b}, {"data": data, "omega": omega}):
                x, info, iterations = sor.sor_batch(a, right, rtol=1e-4, maxiter=40, **options)
                yield x
                yield np.stack((info, iterations)).astype(np.float64)


# Kernel -> what exercises it.
CASES: dict[str, Callable[..., Iterator[Array]]] = {
    "batch_residual": batched,
    "batch_sweep": batched,
    "blocks_residual": relaxed,
    "blocks_sweep": relaxed,
    "blocks_sweep_two": relaxed,
    "combine": solved,
    "csr_holds": lambda index: residual_norm(np.dtype(np.float32), index),
    "csr_residual": residual_norm,
    "magnitude": relaxed,
    "packed_join": on_grids,
    "packed_split": on_grids,
    "packed_sweep": on_grids,
    "reciprocals": relaxed,
    "point_block_solve": relaxed_together,
    "point_blocks_product": relaxed_together,
    "products_add": solved,
    "rows_sweep": relaxed_in_some_rows,
    "squares_add": residual_norm,
    "squares_merge": residual_norm,
    "squares_total": residual_norm,
    "stencil_diagonal": on_grids,
    "stencil_in_turn": in_turn,
    "stencil_residual": on_grids,
    "stencil_sweep": on_grids,
}

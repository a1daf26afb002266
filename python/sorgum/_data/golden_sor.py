"""What the golden digests of the family `sor` are digests of."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorgum import sor
from sorgum._data.inputs import LENGTHS, QUICK_LENGTHS, logits
from sorgum._data.matrices import Matrix, dominant, grid, scattered

__all__ = ["FUNCTIONS", "HALF_FUNCTIONS", "outputs", "quick", "result_dtype"]

Array = NDArray[Any]

HALF_FUNCTIONS: tuple[str, ...] = ()
FUNCTIONS = (
    "residual_norm",
    "sweep",
    "sweep_rows",
    "sweep_blocks",
    "sor",
    "ssor_cg",
    "ssor_chebyshev",
    "precondition",
    "sequence",
    "sor_stencil",
    "sor_batch",
)
INDEX_TYPES = (np.int32, np.int64)
SCALES = (0.0, 1.0, 2.0**-520, 2.0**520)  # of b: squares that under- and overflow, in float64


def norms(n: int, dtype: np.dtype[Any]) -> Iterator[float]:
    for index in INDEX_TYPES:
        for most in (0, 3, 30):
            a = scattered((n, n + 1), most, dtype, index, seed=n)
            x, b = logits(n + 1, dtype, seed=1), logits(n, np.float64, seed=2)
            for scale in SCALES if dtype == np.float64 else SCALES[:2]:
                yield sor.residual_norm(a, x, (b * scale).astype(dtype))


def sweeps(n: int, dtype: np.dtype[Any]) -> Iterator[Array]:
    for most in (0, 3, 30):
        yield from swept(dominant(n, most, dtype, np.int32, seed=n))


def swept(a: Matrix) -> Iterator[Array]:
    n, dtype = a.shape[0], a.data.dtype
    b = logits(n, dtype, seed=2)
    for order in ("natural", "multicolor"):
        relaxation = sor.Relaxation(a, order=order)
        for sweep in ("forward", "backward", "symmetric"):
            x = logits(n, dtype, seed=1)
            relaxation.sweep(x, b, 1.3, sweep=sweep, iterations=2)
            yield x


def swept_in_some_rows(n: int, dtype: np.dtype[Any]) -> Iterator[Array]:
    """Every third row, most rows of blocks, and all in another order."""
    b, at = logits(n, dtype, seed=2), np.arange(n)
    for most in (3, 30):
        a = dominant(n, most, dtype, np.int32, seed=n)
        for order in ("natural", "multicolor"):
            relaxation = sor.Relaxation(a, order=order)
            for rows in (at[::3], at % 50 < 40, at[::-1]):
                for sweep in ("forward", "backward"):
                    x = logits(n, dtype, seed=1)
                    relaxation.sweep(x, b, 1.3, sweep=sweep, rows=rows)
                    yield x


def swept_in_blocks(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Rows that are relaxed together, of blocks that are smaller and larger than a vector."""
    for n, most, size in ((12, 3, 2), (300, 6, 3), (640, 9, 20)):
        a, b = dominant(n, most, dtype, np.int32, seed=n), logits(n, dtype, seed=2)
        for order in ("natural", "multicolor"):
            relaxation = sor.Relaxation(a, order=order, blocksize=size)
            for sweep in ("forward", "backward"):
                x = logits(n, dtype, seed=1)
                relaxation.sweep(x, b, 1.3, sweep=sweep, iterations=2)
                yield x
            yield relaxation.precondition(b, 1.3)
        result = sor.sor_result(a, b, blocksize=size, rtol=1e-4)
        yield from (result.x, result.norms.astype(dtype))


def solved(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Whole solves: solutions, and how the factor went."""
    for shape, box in (((30, 41), False), ((9, 10, 11), True)):
        a = grid(shape, box, dtype, np.int32)
        b = logits(a.shape[0], dtype, seed=5)
        for order in ("natural", "multicolor"):
            for sweep in ("forward", "symmetric"):
                result = sor.sor_result(a, b, order=order, sweep=sweep, rtol=1e-4)
                yield from (result.x, result.norms.astype(dtype), result.omegas.astype(dtype))
    a = dominant(700, 9, dtype, np.int32, seed=3)
    for omega in ("adaptive", "young", 1.1):
        yield sor.sor(a, logits(700, dtype, seed=6), omega=omega)[0]


def by_gradients(a: Matrix) -> Iterator[Array]:
    b = logits(a.shape[0], a.data.dtype, seed=2)
    for omega in ("adaptive", 1.0, 1.6):
        result = sor.ssor_cg_result(a, b, omega=omega, rtol=1e-4)
        yield result.x
        yield np.concatenate((result.residuals.ravel(), result.omegas.ravel(), [result.info])).astype(b.dtype)


def by_polynomials(a: Matrix) -> Iterator[Array]:
    b = logits(a.shape[0], a.data.dtype, seed=2)
    for omega in ("adaptive", 1.0, 1.6):
        result = sor.ssor_chebyshev_result(a, b, omega=omega, rtol=1e-4)
        yield result.x
        histories = (result.residuals.ravel(), result.omegas.ravel(), result.lower_ends.ravel())
        yield np.concatenate((*histories, [result.info])).astype(b.dtype)


def preconditioned(a: Matrix) -> Iterator[Array]:
    r = logits(a.shape[0], a.data.dtype, seed=2)
    for order in ("natural", "multicolor"):
        relaxation = sor.Relaxation(a, order=order)
        for omega in (0.7, 1.0, 1.6):
            yield relaxation.precondition(r, omega)


def in_batches(n: int, dtype: np.dtype[Any]) -> Iterator[Array]:
    """Yield the answers of many systems, with values and factors of their own, and how many sweeps they took."""
    a, systems = dominant(n, 7, dtype, np.int32, seed=n), 37
    b = logits(systems * n, dtype, seed=2).reshape(systems, n)
    shift = np.linspace(0, 0.2, systems).astype(dtype)
    for options in (
        {"shift": shift, "omega": np.linspace(0.8, 1.6, systems)},
        {"data": a.data * (1 + shift[:, None]), "omega": 1.3},
        {"shift": shift, "x0": b},
    ):
        x, info, iterations = sor.sor_batch(a, b, rtol=1e-4, maxiter=60, **options)
        yield x
        yield np.stack((info, iterations)).astype(dtype)


def in_sequence(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Yield what every policy chose for systems that differ by shifts, and what came of it."""
    relaxation = sor.Relaxation(grid((9, 8), False, dtype, np.int32))
    shifts = (logits(30, np.float64, seed=8) % 1 * 0.5).tolist()
    for method in ("sor", "ssor_cg"):
        for policy in (
            sor.Adaptive(),
            sor.YoungModel("shift", diagonal=4.0),
            sor.TsallisINF(rng=1),
            sor.TsallisINF(rng=1, estimator="importance_weighting"),
            sor.TsallisINFBins(0.0, 0.5, 3, rng=1),
            sor.ChebCB(0.0, 0.5, 4, rng=1),
        ):
            solver = sor.SequenceSolver(policy, method=method, rtol=1e-4)
            for step, shift in enumerate(shifts):
                relaxation.shift(shift)
                result = solver.solve(relaxation, logits(72, dtype, seed=step), shift)
                yield result.x
                yield np.array([result.omega, result.iterations, result.residual_norm]).astype(dtype)


def on_grids(shapes: tuple[tuple[int, ...], ...], dtype: np.dtype[Any]) -> Iterator[Array]:
    """Sweeps with constant and variable coefficients, at each kind of side, with masks and bounds."""
    for shape in shapes:
        k, n = 2 * len(shape) + 1, int(np.prod(shape))
        f = logits(n, dtype, seed=2).reshape(shape)
        constant = np.linspace(0.25, 1, k).astype(dtype)
        constant[k // 2] = -6
        variable = np.ascontiguousarray(constant.reshape(k, *(1,) * len(shape)) * (2 + (f > 0)), dtype)
        mask = logits(n, np.dtype(np.float64), seed=3).reshape(shape) > 2
        for c in (constant, variable):
            for boundary in ("dirichlet", "neumann", "periodic"):
                for bounds in (None, (-1.0, 2.0)):
                    for holes in (None, mask):
                        u = logits(n, dtype, seed=1).reshape(shape)
                        sor.sor_stencil(u, f, c, mask=holes, bounds=bounds, boundary=boundary, omega=1.3, sweeps=3)
                        yield u
        box = np.linspace(0.25, 1, 3 ** len(shape)).astype(dtype)
        box[box.size // 2] = -3 * box.size
        for boundary in ("dirichlet", "periodic"):
            u = logits(n, dtype, seed=1).reshape(shape)
            sor.sor_stencil(u, f, box, boundary=boundary, omega=0.9, sweeps=3, order="multicolor")
            yield u
        for c in (constant, variable, box):
            u = logits(n, dtype, seed=1).reshape(shape)
            sor.sor_stencil(u, f, c, mask=mask, boundary="neumann", omega=0.9, sweeps=3, order="lexicographic")
            yield u


OF_GRIDS = {"ssor_cg": by_gradients, "ssor_chebyshev": by_polynomials, "precondition": preconditioned}


def outputs(function: str, dtype: np.dtype[Any]) -> Iterator[Array]:
    """Return what the digest of a function is taken over.

    Parameters
    ----------
    function : str
        One of `FUNCTIONS`.
    dtype : dtype
        Of the matrices and vectors.

    Returns
    -------
    iterator of arrays
        Outputs of the function.
    """
    if function == "sor":
        yield from solved(dtype)
        return
    if function == "sor_batch":
        for n in (1, 16, 23, 120):
            yield from in_batches(n, dtype)
        return
    if function == "sequence":
        yield from in_sequence(dtype)
        return
    if function == "sweep_blocks":
        yield from swept_in_blocks(dtype)
        return
    if function == "sweep_rows":
        for n in LENGTHS[:-1]:
            yield from swept_in_some_rows(n, dtype)
        return
    if function == "sweep":
        for n in LENGTHS[:-1]:
            yield from sweeps(n, dtype)
        yield from swept(grid((60, 70), False, dtype, np.int32))
        yield from swept(grid((20, 21, 22), True, dtype, np.int32))
        return
    if function == "sor_stencil":
        yield from on_grids(((2, 2), (4, 18), (60, 70), (6, 8, 34)), dtype)
        return
    if function in OF_GRIDS:
        for shape, box in (((1,), False), ((3, 5), False), ((90, 70), False), ((14, 15, 16), True)):
            yield from OF_GRIDS[function](grid(shape, box, dtype, np.int32))
        return
    for n in LENGTHS:
        yield np.array(list(norms(n, dtype)))
    for shape, box in (((1,), False), ((60, 70), False), ((20, 21, 22), True)):
        a = grid(shape, box, dtype, np.int32)
        x, b = logits(a.shape[1], dtype, seed=3), logits(a.shape[0], dtype, seed=4)
        yield np.array([sor.residual_norm(a, x * scale, b) for scale in (1, 2, 3)])


def quick(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Return outputs of small inputs."""
    for n in QUICK_LENGTHS:
        yield np.array(list(norms(n, dtype)))
        yield from sweeps(n, dtype)
    yield from by_gradients(grid((9, 8), False, dtype, np.int32))
    yield from on_grids(((6, 20),), dtype)


def result_dtype(function: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of all outputs of a function."""
    return np.dtype(np.float64) if function == "residual_norm" else dtype

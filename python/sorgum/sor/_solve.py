"""Solves of one right-hand side or several: what they are asked for, and what they return."""

from __future__ import annotations

import importlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum._arguments.scalars import flag_of, int_of, number_of
from sorgum._core import sor as compiled
from sorgum.interop.arrays import kind_of, shown
from sorgum.sor._iterate import INCONSISTENT, LONGEST_WINDOW, Problem, Progress, dot, iterate, norm_of
from sorgum.sor._omega import Fixed, Rule
from sorgum.sor._operands import contiguous, vector_of

__all__ = [
    "SolveResult",
    "columns_of",
    "finite",
    "largest_norm",
    "omega_of",
    "residual_wanted",
    "rule_of",
    "solve",
    "tolerance_of",
]

_SWEEPS = ("forward", "backward", "symmetric")


class SolveResult(NamedTuple):
    """What a solve found, and how.

    Attributes
    ----------
    x : array of shape (n,) or (n, k)
        The solution, or where the iteration ended.
    info : int, or array of shape (k,)
        0: converged. Positive: so many sweeps, `maxiter`, were not enough. -1: diverged, x is the last iterate before
        that was kept. -2: singular and inconsistent, the residual cannot become small enough. -4: the residual is as
        small as roundings in this dtype allow, which is not small enough.
    iterations : int, or array of shape (k,)
        Sweeps done, or pairs of them.
    residual_norm : float, or array of shape (k,)
        ||b - A x|| of the x returned, formed in float64; with bounds, without what they hold back.
    norms : array of shape (iterations,), or a tuple of them
        ||D (x - x before)|| / omega of each sweep, D the diagonal of A: about the residual.
    omegas : array of shape (iterations,), or a tuple of them
        The relaxation factor of each sweep.
    seconds : float
        How long it took.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.sor.sor_result([[2.0, 1.0], [1.0, 2.0]], [3.0, 3.0], omega=1.1).info
    0
    """

    x: Any
    info: Any
    iterations: Any
    residual_norm: Any
    norms: Any
    omegas: Any
    seconds: float


def solve(
    matrix: compiled.Relaxation,
    b: Array,
    x0: Array | None,
    bounds: tuple[Array | None, Array | None],
    *,
    omega: float | str,
    rtol: float,
    atol: float,
    maxiter: int | None,
    sweep: str,
    nullspace: str | npt.ArrayLike | None,
    callback: Callable[[Array], Any] | None,
    progress: bool,
    begin: float = 1.0,
) -> SolveResult:
    """Solve A x = b by relaxation, for each column of b.

    Parameters
    ----------
    matrix : Relaxation
        The compiled one.
    b, x0 : array of shape (n,) or (n, k)
        Of the dtype of the matrix, finite.
    bounds : pair of arrays of shape (n,), or None
    omega, rtol, atol, maxiter, sweep, nullspace, callback, progress
        As `sor` documents them; not yet checked.
    begin : float, default 1.0
        The factor that "adaptive" begins with.

    Returns
    -------
    SolveResult
    """
    began = time.perf_counter()
    name, n = "sor", matrix.rows
    choice = omega_of(name, omega, b.dtype)
    relative, absolute = tolerance_of(name, "rtol", rtol), tolerance_of(name, "atol", atol)
    most = min(max(10 * n, 1000), 100000) if maxiter is None else int_of(name, "maxiter", maxiter)
    if most < 1:
        raise ValueError(f"{name}: maxiter must be at least 1, got {most}")
    if not isinstance(sweep, str):
        raise TypeError(f"{name}: sweep must be a string, got {shown(sweep)}")
    if sweep not in _SWEEPS:
        raise ValueError(f"{name}: sweep must be 'forward', 'backward' or 'symmetric', got {shown(sweep)}")
    if choice == "young" and sweep == "symmetric":
        raise ValueError(f"{name}: omega must be 'adaptive' or a number for symmetric sweeps, got 'young'")
    if callback is not None and not callable(callback):
        raise TypeError(f"{name}: callback must be callable, got {kind_of(callback)}")
    null = _nullspace_of(name, nullspace, n)
    wanted = flag_of(name, "progress", progress)
    largest_row, weight = matrix.magnitude()
    if null is not None:
        _check_nullspace(name, matrix, null.astype(b.dtype), largest_row)
    lower, upper = bounds
    free = lower is None and upper is None
    if lower is not None and upper is not None:
        bounds = np.minimum(lower, upper), upper  # where they cross the upper one holds
    x = np.zeros_like(b) if x0 is None else x0.copy()
    infos, residuals, ways = [], [], []
    for column in range(1 if b.ndim == 1 else b.shape[1]):
        right, start = (v if v.ndim == 1 else np.ascontiguousarray(v[:, column]) for v in (b, x))
        size = norm_of(right)
        for bound, within in zip(bounds, (np.maximum, np.minimum), strict=True):
            if bound is not None:
                within(start, bound, out=start)
        problem = Problem(matrix, right, sweep, *bounds, 0.0, 0.0, largest_row, most)
        at = Progress(start, residual=problem.residual(start))
        # With bounds, b = 0 is no trivial system: what is to be solved is counted from where that begins.
        scale = at.residual if size == 0 and not free else size
        problem = replace(
            problem,
            tolerance=residual_wanted(relative, scale, absolute),
            limit=largest_norm(right.dtype, max(size, at.residual)),
        )
        rule: Rule = Fixed(choice) if isinstance(choice, float) else rule_of(choice, weight, sweep, begin)
        if size == 0 and free:
            at.x[...], at.residual = 0, 0.0
            info = 0
        elif free and null is not None and not _is_consistent(null, right, problem.tolerance):
            info = INCONSISTENT
        else:
            with _bar(wanted, most) as show:

                def after(at: Progress, show: Callable[[Progress], None] = show) -> None:
                    if callback is not None:
                        callback(at.x)
                    show(at)

                info = iterate(problem, rule, at, after, 1 if callback is not None else LONGEST_WINDOW)
        if null is not None and free:
            _take_away(null, problem, at)
        if x.ndim > 1:
            x[:, column] = at.x
        infos.append(info)
        residuals.append(at.residual)
        ways.append(at)
    seconds = time.perf_counter() - began
    counts = [at.sweeps for at in ways]
    norms, omegas = tuple(np.array(at.norms) for at in ways), tuple(np.array(at.omegas) for at in ways)
    if b.ndim == 1:
        return SolveResult(ways[0].x, infos[0], counts[0], residuals[0], norms[0], omegas[0], seconds)
    many = np.array(infos, np.int64), np.array(counts, np.int64), np.array(residuals, np.float64)
    return SolveResult(x, *many, norms, omegas, seconds)


def columns_of(name: str, argument: str, value: npt.ArrayLike, n: int, dtype: np.dtype[Any] | None) -> Array:
    """Return right-hand sides, or what to begin with: of shape (n,) or (n, k), finite.

    Parameters
    ----------
    name, argument : str
        For error messages.
    value : array_like
    n : int
        Rows of the matrix.
    dtype : dtype, optional
        That of the result, which must hold all values; that of `value` by default.

    Returns
    -------
    array
        Contiguous.
    """
    array = vector_of(name, argument, value)
    if array.ndim not in (1, 2) or array.shape[0] != n:
        raise ValueError(f"{name}: {argument} must have shape ({n},) or ({n}, k), got {array.shape}")
    if dtype is not None and not np.can_cast(array.dtype, dtype, "safe"):
        raise TypeError(f"{name}: {argument} must have dtype {dtype}, got {array.dtype}")
    finite(name, argument, array)
    return contiguous(array if dtype is None else array.astype(dtype, copy=False))


def finite(name: str, argument: str, array: Array) -> None:
    """Refuse what is not finite, by its row.

    Parameters
    ----------
    name, argument : str
        For error messages.
    array : array
    """
    wrong = ~np.isfinite(array)
    if wrong.any():
        first = np.unravel_index(int(np.argmax(wrong)), array.shape)
        raise ValueError(f"{name}: {argument} must be finite, got {array[first]} in row {int(first[0])}")


def omega_of(name: str, omega: Any, dtype: np.dtype[Any]) -> float | str:
    if isinstance(omega, str):
        if omega not in ("adaptive", "young"):
            raise ValueError(f"{name}: omega must be 'adaptive', 'young' or a number, got {shown(omega)}")
        return omega
    number = number_of(name, "omega", omega)
    with np.errstate(all="ignore"):
        rounded = dtype.type(number)
    if not 0 < rounded < 2:
        raise ValueError(f"{name}: omega must be between 0 and 2 and neither of them, got {number}")
    return number


def tolerance_of(name: str, argument: str, value: Any) -> float:
    number = number_of(name, argument, value)
    if not 0 <= number < math.inf:
        raise ValueError(f"{name}: {argument} must be finite and not negative, got {number}")
    return number


def residual_wanted(relative: float, scale: float, absolute: float) -> float:
    """Return the residual to come down to. No part of a norm that overflows is known."""
    return min(max(relative * scale if scale < math.inf else 0.0, absolute), sys.float_info.max)


def _nullspace_of(name: str, nullspace: Any, n: int) -> Array | None:
    if nullspace is None:
        return None
    if isinstance(nullspace, str):
        if nullspace != "constant":
            raise ValueError(f"{name}: nullspace must be 'constant' or a vector, got {shown(nullspace)}")
        return np.ones(n) if n > 0 else None
    vector = vector_of(name, "nullspace", nullspace).astype(np.float64)
    if vector.shape != (n,):
        raise ValueError(f"{name}: nullspace must have shape ({n},), got {vector.shape}")
    finite(name, "nullspace", vector)
    largest = float(np.max(np.abs(vector), initial=0))
    if largest == 0:
        raise ValueError(f"{name}: nullspace must not be zero, got a vector of zeros")
    return contiguous(np.ldexp(vector, 1 - int(np.frexp(largest)[1])))


def _check_nullspace(name: str, matrix: compiled.Relaxation, null: Array, largest_row: float) -> None:
    """Refuse a vector that A does not map to zero: what is taken away along it would change the residual."""
    image, size = matrix.residual(null, np.zeros_like(null)), largest_row * norm_of(null)
    if not image <= math.sqrt(np.finfo(null.dtype).eps) * size:
        raise ValueError(
            f"{name}: nullspace must be a vector v that A maps to zero, got ||A v|| = {image:.3g} where ||A|| ||v|| is "
            f"{size:.3g}"
        )


def _is_consistent(null: Array, b: Array, tolerance: float) -> bool:
    return abs(dot(null, b.astype(np.float64))) <= tolerance * norm_of(null)


def _take_away(null: Array, problem: Problem, at: Progress) -> None:
    """Take what x has along the null space away, unless roundings of that make the residual too large."""
    with np.errstate(all="ignore"):
        part = dot(null, at.x.astype(np.float64)) / norm_of(null) ** 2
        x = (at.x - part * null).astype(at.x.dtype)
    residual = problem.residual(x)
    if residual < math.inf and residual <= max(at.residual, problem.tolerance):
        at.x[...], at.residual = x, residual


def largest_norm(dtype: np.dtype[Any], size: float) -> float:
    """Return what no norm of a solve that converges exceeds."""
    growth = 2.0**40 if dtype == np.float32 else 2.0**100
    return min(growth * max(size, 1 / growth), sys.float_info.max)


def rule_of(choice: str, weight: float, sweep: str, begin: float) -> Rule:
    # The factor of a symmetric sweep is not Young's: more evidence is needed, as for matrices that are not dominant.
    return compiled.OmegaRule(max(weight, 2.1) if sweep == "symmetric" else weight, choice == "adaptive", begin)


@contextmanager
def _bar(wanted: bool, most: int) -> Iterator[Callable[[Progress], None]]:
    """Show a bar of sweeps if it is wanted and tqdm is there."""
    try:
        tqdm = importlib.import_module("tqdm").tqdm if wanted else None
    except ModuleNotFoundError:
        tqdm = None
    if tqdm is None:
        yield lambda at: None
        return
    with tqdm(total=most, desc="sor", unit="sweep") as bar:

        def show(at: Progress) -> None:
            bar.set_postfix(norm=f"{at.norms[-1]:.1e}", omega=f"{at.omegas[-1]:.4f}", refresh=False)
            bar.update(at.sweeps - bar.n)

        yield show

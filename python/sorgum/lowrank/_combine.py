"""Several adapters become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, floats_of
from sorgum._arguments.scalars import int_of, number_of
from sorgum.interop import bfloat16
from sorgum.interop.arrays import kind_of
from sorgum.lowrank._factorization import least_rank
from sorgum.lowrank._operands import finite_number

__all__ = ["Combined", "beside", "combine", "weights_of"]


class Combined(NamedTuple):
    """The factors that `combine` returns: A of shape (rank, in), B of shape (out, rank), and what B A is multiplied by.

    Attributes
    ----------
    A, B : arrays
    scale : float
    error : float
        ||sum - scale B A|| / ||sum|| in the Frobenius norm: 0 if nothing was cut off.
    """

    A: npt.NDArray[Any]
    B: npt.NDArray[Any]
    scale: float
    error: float


def combine(
    adapters: Sequence[tuple[npt.ArrayLike, npt.ArrayLike, float]],
    weights: Sequence[float],
    *,
    rank: int | None = None,
    rtol: float | None = None,
) -> Combined:
    """Return one adapter for a weighted sum of several, sum_i weight_i scale_i B_i A_i.

    Parameters
    ----------
    adapters : sequence of (A, B, scale)
        A of shape (r_i, in) and B of shape (out, r_i), of floating-point types; ranks may differ.
    weights : sequence of float
        One for each.
    rank : int, optional
        The largest rank of the result.
    rtol : float, optional
        The rank that makes the relative error in the Frobenius norm at most this, as `truncated_svd` and `extract` have
        it: 0 to 1. With `rank`, the smaller of both counts. One singular value is kept at the least.

    Returns
    -------
    Combined
        Without `rank` and `rtol` the factors beside each other, of rank sum_i r_i. Otherwise the best approximation of
        the rank that is left, with A and B of equal norms, row by row and column by column. In the common type of all
        factors; half types become float32.

    Raises
    ------
    TypeError
        If a factor is not of a floating-point type, or what should be a number is none.
    ValueError
        If shapes do not fit, there is no adapter, numbers of weights and adapters differ, a number is not finite,
        `rank` is not positive or `rtol` is not in [0, 1].

    Notes
    -----
    No product of one adapter's B with another's A comes in, as it does where factors are averaged. To cut, both stacks
    of factors are decomposed by QR in float64, and the product of the triangles, of the size of the ranks alone, by an
    SVD (no matrix of shape (out, in) is formed): sum = Q_B (R_B R_A^T) Q_A^T. The largest entry in each column of B is
    positive. Tier: bitwise beside each other; cut, deterministic (LAPACK: the same bits for the same build of NumPy,
    processor and number of its threads).

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> A, B = np.eye(2, 4), np.eye(3, 2)
    >>> one = sg.lowrank.combine([(A, B, 1.0), (A, -B, 0.5)], [1.0, 1.0], rank=2)
    >>> one.A.shape, one.scale * one.B @ one.A
    ((2, 4), array([[0.5, 0. , 0. , 0. ],
           [0. , 0.5, 0. , 0. ],
           [0. , 0. , 0. , 0. ]]))
    """
    factors, scales = _checked(adapters, weights)
    most = None if rank is None else int_of("combine", "rank", rank)
    if most is not None and most < 1:
        raise ValueError(f"combine: rank must be positive, got {most}")
    least = None if rtol is None else number_of("combine", "rtol", rtol)
    if least is not None and not 0 <= least <= 1:
        raise ValueError(f"combine: rtol must be in [0, 1], got {least}")
    A, B, scale = beside([A for A, _ in factors], [B for _, B in factors], scales)
    dtype = np.result_type(*(array for pair in factors for array in pair))
    with np.errstate(over="ignore"):
        if most is None and least is None:
            combined = Combined(A.astype(dtype, copy=False), B.astype(dtype, copy=False), scale, 0.0)
        else:
            scaled = scale * B.astype(np.float64)
            _refuse_unless_finite(scaled, np.dtype(np.float64))
            combined = _cut(A, scaled, dtype, most, least)
    for factor in combined[:2]:
        _refuse_unless_finite(factor, dtype)
    return combined


def beside(As: Sequence[Array], Bs: Sequence[Array], scales: Sequence[float]) -> tuple[Array, Array, float]:
    """Return [A1; A2; ...], [B1 B2 ...] and a scale, whose product is the sum of all scale_i B_i A_i.

    Scales that differ in more than their sign are multiplied into the factors B, in float64.

    Parameters
    ----------
    As, Bs : sequences of arrays
        Of float32 or float64.
    scales : sequence of float

    Returns
    -------
    tuple of two arrays and a float
        The arrays themselves where there is one adapter.
    """
    if len(scales) == 1:
        return As[0], Bs[0], scales[0]
    if len({abs(scale) for scale in scales}) == 1:
        signed = [B if scale == scales[0] else -B for B, scale in zip(Bs, scales, strict=True)]
        return np.concatenate(As), np.concatenate(signed, axis=1), scales[0]
    with np.errstate(over="ignore"):
        scaled = [scale * B.astype(np.float64) for B, scale in zip(Bs, scales, strict=True)]
    return np.concatenate(As), np.concatenate(scaled, axis=1), 1.0


def weights_of(function: str, weights: Any, count: int) -> list[float]:
    """Return one finite number for each of so many adapters.

    Parameters
    ----------
    function : str
        For error messages.
    weights : sequence of float
    count : int

    Returns
    -------
    list of float
    """
    if not isinstance(weights, list | tuple) and not (isinstance(weights, np.ndarray) and weights.ndim == 1):
        raise TypeError(f"{function}: weights must be a sequence of numbers, got {kind_of(weights)}")
    if len(weights) != count:
        raise ValueError(f"{function}: weights must be as many as adapters ({count}), got {len(weights)}")
    return [finite_number(function, f"weights[{i}]", weight) for i, weight in enumerate(weights)]


def _checked(adapters: Any, weights: Any) -> tuple[list[tuple[Array, Array]], list[float]]:
    if not isinstance(adapters, list | tuple):
        raise TypeError(f"combine: adapters must be a sequence of (A, B, scale), got {kind_of(adapters)}")
    if not adapters:
        raise ValueError("combine: adapters must be one at least, got none")
    factors: list[tuple[Array, Array]] = []
    scales: list[float] = []
    for i, (adapter, weight) in enumerate(zip(adapters, weights_of("combine", weights, len(adapters)), strict=True)):
        if not isinstance(adapter, list | tuple) or len(adapter) != 3:
            got = f"a {kind_of(adapter)} of {len(adapter)}" if isinstance(adapter, list | tuple) else kind_of(adapter)
            raise TypeError(f"combine: adapters[{i}] must be (A, B, scale), got {got}")
        A, B = (bfloat16.widened(floats_of("combine", f"adapters[{i}]", array)) for array in adapter[:2])
        A, B = (array.astype(np.float32) if array.dtype == np.float16 else array for array in (A, B))
        scale = number_of("combine", f"weights[{i}]", weight) * number_of("combine", f"adapters[{i}].scale", adapter[2])
        if A.ndim != 2 or B.ndim != 2 or A.shape[0] != B.shape[1]:
            raise ValueError(
                f"combine: adapters[{i}] must have shapes (rank, in) and (out, rank), got {A.shape} and {B.shape}"
            )
        first = factors[0] if factors else (A, B)
        if (B.shape[0], A.shape[1]) != (first[1].shape[0], first[0].shape[1]):
            shapes = f"{(first[1].shape[0], first[0].shape[1])} and {(B.shape[0], A.shape[1])}"
            raise ValueError(f"combine: adapters must have products of one shape, got {shapes}")
        if not (np.isfinite(scale) and np.isfinite(A).all() and np.isfinite(B).all()):
            raise ValueError(f"combine: adapters[{i}] must be finite with its weight, got a number that is not")
        factors.append((A, B))
        scales.append(scale)
    return factors, scales


def _refuse_unless_finite(factor: Array, dtype: np.dtype[Any]) -> None:
    if not np.isfinite(factor).all():
        raise ValueError(
            f"combine: adapters must stay finite in {dtype} with their weights, got factors beyond its range"
        )


def _near_one(array: Array) -> tuple[Array, int]:
    """Return an array divided by a power of two, and the exponent of that: products of two such do not overflow."""
    exponent = int(np.frexp(np.abs(array).max(initial=0.0))[1])
    return np.ldexp(array, -exponent), exponent


def _cut(A: Array, B: Array, dtype: np.dtype[Any], most: int | None, rtol: float | None) -> Combined:
    """Return the best approximation of B A of a rank."""
    (B, of_b), (A, of_a) = _near_one(B), _near_one(A.astype(np.float64))
    q_b, r_b = np.linalg.qr(B)
    q_a, r_a = np.linalg.qr(A.T)
    u, s, vh = np.linalg.svd(r_b @ r_a.T, full_matrices=False)
    kept = len(s) if most is None else min(most, len(s))
    if rtol is not None and len(s):
        kept = min(kept, max(1, least_rank(s, 0.0, rtol * float(np.sqrt((s * s).sum())))))
    left = q_b @ u[:, :kept]
    signs = np.copysign(1.0, np.take_along_axis(left, np.abs(left).argmax(0)[None], 0)[0]) if left.size else 1.0
    exponent = of_a + of_b
    root = np.ldexp(np.sqrt(np.ldexp(s[:kept], exponent % 2)), exponent // 2)
    B = left * (signs * root)
    A = (signs * root)[:, None] * (vh[:kept] @ q_a.T)
    total = float(np.sqrt((s * s).sum()))
    error = float(np.sqrt((s[kept:] * s[kept:]).sum())) / total if total > 0 else 0.0
    return Combined(A.astype(dtype), B.astype(dtype), 1.0, error)

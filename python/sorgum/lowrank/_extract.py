"""An adapter from what two weights differ by."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import floats_of
from sorgum.lowrank._bases import wanted_rows
from sorgum.lowrank._factorization import Triplets, blocks_for, krylov, promise_of, with_signs
from sorgum.lowrank._matrices import Difference
from sorgum.lowrank._results import Factors, factors_with_error
from sorgum.random import Key
from sorgum.random._keys import Rng, key_of

__all__ = ["extract"]

_MORE = 10  # random rows beyond the rank, as truncated_svd has by default


def extract(
    W1: npt.ArrayLike,
    W0: npt.ArrayLike,
    *,
    rank: int | None = None,
    rtol: float | None = None,
    energy: float | None = None,
    rng: Rng = 0,
) -> Factors:
    """Return the adapter that leads from one weight to another: W1 ~ W0 + B A.

    Parameters
    ----------
    W1 : array_like of shape (out, in), or (out, in, ...) for convolutions
        The weight after fine-tuning: float16, bfloat16, float32 or float64, or bool and integers, which become float64.
    W0 : array_like of the same shape
        The weight before it, of any of these types.
    rank : int, optional
        The rank of the adapter: 0 to the smaller dimension. Exactly one of `rank`, `rtol` and `energy` is given.
    rtol : float, optional
        As many as make ||W1 - W0 - B A|| <= rtol ||W1 - W0|| in the Frobenius norm: 0 to 1. Where singular values are
        close, that may be a few more than the least rank that would.
    energy : float, optional
        As many as hold this part of ||W1 - W0||^2: 0 to 1; the same as ``rtol=sqrt(1 - energy)``.
    rng : Key, int or numpy.random.Generator, optional
        What random rows are drawn with.

    Returns
    -------
    Factors
        A tuple (A, B) with the attribute `error`: A = sqrt(s) vh of shape (rank, in) and B = u sqrt(s) of shape
        (out, rank), for the leading singular values and vectors of W1 - W0; float64 if a weight is, else float32. The
        scale of the adapter is 1.

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        If shapes differ or an argument is out of its range.
    numpy.linalg.LinAlgError
        If W1 - W0 has NaN or infinite elements.

    Notes
    -----
    By a block Krylov space, as `truncated_svd`: W1 - W0 is formed a quarter of a million elements at a time, of
    half types as float32, so that weights in a memory-mapped file are read and not copied. `error` and the promises
    are as there. Tier: deterministic.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> W0 = np.zeros((4, 3), np.float32)
    >>> W1 = W0 + np.outer([2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0]).astype(np.float32)
    >>> A, B = sg.lowrank.extract(W1, W0, rank=1)
    >>> A
    array([[0., 2., 0.]], dtype=float32)
    """
    first, second = floats_of("extract", "W1", W1), floats_of("extract", "W0", W0)
    if first.ndim < 2:
        raise ValueError(f"extract: W1 must have two axes or more, got shape {first.shape}")
    if first.shape != second.shape:
        raise ValueError(f"extract: W0 must have the shape of W1, {first.shape}, got {second.shape}")
    rows, axes = first.shape[0], first.shape[1:]
    columns = int(np.prod(axes, dtype=np.int64))
    promise = promise_of("extract", rank, rtol, energy, min(rows, columns))
    key = Key(key_of("extract", rng))
    with np.errstate(all="ignore"):
        matrix = Difference(first.reshape(rows, columns), second.reshape(rows, columns))
        matrix.require_finite("extract", "W1 - W0")
        wanted = promise.rank or 0
        found = krylov(matrix, promise, wanted_rows(wanted, _MORE), blocks_for(wanted, matrix.shape), key)
        return _adapter(found, matrix.exponent, matrix.dtype, axes)


def _adapter(found: Triplets, exponent: int, dtype: Any, axes: tuple[int, ...]) -> Factors:
    left, right = with_signs(found.left, found.right)
    even = exponent - exponent % 2
    roots = np.ldexp(np.sqrt(np.ldexp(found.s, exponent - even)), even // 2)[:, None]
    return factors_with_error(
        (right * roots).astype(dtype).reshape(len(right), *axes),
        np.ascontiguousarray((left * roots).T.astype(dtype)),
        found.error,
    )

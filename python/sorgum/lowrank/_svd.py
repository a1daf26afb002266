"""The leading, or the last, singular values and vectors of a matrix."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum._arguments.halves import wide_floats_of
from sorgum._arguments.scalars import int_of, require_option
from sorgum.interop.arrays import shown
from sorgum.lowrank._bases import gram_rows, range_rows, wanted_rows
from sorgum.lowrank._factorization import (
    Promise,
    Triplets,
    blocks_for,
    exact,
    krylov,
    of_rows,
    promise_of,
    with_signs,
)
from sorgum.lowrank._matrices import Dense
from sorgum.lowrank._results import TruncatedSVD, svd_with_error
from sorgum.random import Key
from sorgum.random._keys import Rng, key_of

__all__ = ["auto_iterations", "count_of", "iterations_of", "matrix_of", "truncated_svd"]

_METHODS = ("auto", "krylov", "randomized", "gram", "exact")

_MOST_ITERATIONS = 1000  # no more digits are gained long before
_ALWAYS_EXACT = 64  # below this many rows or columns LAPACK takes no longer


def matrix_of(function: str, argument: str, value: npt.ArrayLike) -> Array:
    """Return an array of float32 or float64 with two axes."""
    array = wide_floats_of(function, argument, value)
    if array.ndim != 2:
        raise ValueError(f"{function}: {argument} must have two axes, got shape {array.shape}")
    return array


def truncated_svd(
    a: npt.ArrayLike,
    rank: int | None = None,
    *,
    rtol: float | None = None,
    energy: float | None = None,
    which: Literal["largest", "smallest"] = "largest",
    method: Literal["auto", "krylov", "randomized", "gram", "exact"] = "auto",
    n_oversamples: int = 10,
    n_iter: int | Literal["auto"] = "auto",
    rng: Rng = 0,
) -> TruncatedSVD:
    """Return the largest singular values of a matrix with their vectors, or the smallest.

    Parameters
    ----------
    a : array_like of shape (m, n)
        float32 or float64; float16 and bfloat16 count as float32, bool and integers become float64.
    rank : int, optional
        How many: 0 to min(m, n). Exactly one of `rank`, `rtol` and `energy` is given.
    rtol : float, optional
        As many as make the relative error in the Frobenius norm at most this: 0 to 1.
    energy : float, optional
        As many as hold this part of the squared Frobenius norm: 0 to 1; the same as ``rtol=sqrt(1 - energy)``.
    which : {"largest", "smallest"}, optional
        "smallest" takes the last of the min(m, n) values, by LAPACK's full decomposition, and needs `rank`.
    method : {"auto", "krylov", "randomized", "gram", "exact"}, optional
        "krylov": a block Krylov space, the most accurate for its cost where values are close. "randomized": the power
        method with normalization. "gram": the eigenvectors of the smaller Gram matrix, formed in float64; of float64
        data values below 1e-8 of the largest are lost. "exact": LAPACK's full decomposition. "auto": "krylov" unless
        the matrix is small or the rank large. With `rtol` or `energy`: "auto", "krylov" or "exact".
    n_oversamples : int, optional
        How many random rows are used beyond `rank` ("krylov": rounded up to a multiple of 16).
    n_iter : int or "auto", optional
        "krylov": blocks after the first, "auto" 3 for ranks below a tenth of min(m, n), else 2; with `rtol` or `energy`
        as many as it takes. "randomized": products with a and its transpose after the first, "auto" 7 or 4.
    rng : Key, int or numpy.random.Generator, optional
        What random rows are drawn with, by `sorgum.random.normal`.

    Returns
    -------
    TruncatedSVD
        A tuple (u, s, vh) with the attribute `error`; s falls, or with "smallest" rises.

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        If an argument is out of its range, or `a` has not two axes.
    numpy.linalg.LinAlgError
        If `a` has NaN or infinite elements.

    Notes
    -----
    Values are those of a on a subspace: never above the true ones but for rounding, some units of rounding of the
    largest value. Columns of u and rows of vh are orthonormal to (max(m, n) + 20 sqrt(k)) u in the largest entry of
    u^T u - 1, u = 2^-24 or 2^-53: the first term where all roundings of a norm go one way, as of equal numbers. The
    matrix is divided by a power of two where squares would leave the range, so that neither size nor smallness matters.
    `error` is sqrt(||a||^2 - sum s^2), with sums in float64, unless that cancels: then the residual is formed. `rtol`
    and `energy` hold for it down to some units of rounding.

    Sources: Golub, Luk and Overton 1981; Musco and Musco 2015 ("krylov"); Halko, Martinsson and Tropp 2011,
    algorithms 4.4 and 5.1 ("randomized"). Tier: deterministic, the same bits with the same BLAS, processor and number
    of its threads, since NumPy multiplies.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> a = np.arange(1.0, 201.0)[:, None] ** -2.0 * np.eye(200)
    >>> u, s, vh = sg.lowrank.truncated_svd(a, 3)
    >>> s.round(6)
    array([1.      , 0.25    , 0.111111])
    >>> sg.lowrank.truncated_svd(a, rtol=0.01).error < 0.01
    True
    """
    array = matrix_of("truncated_svd", "a", a)
    promise = promise_of("truncated_svd", rank, rtol, energy, min(array.shape))
    require_option("truncated_svd", "which", which, "largest", "smallest")
    require_option("truncated_svd", "method", method, *_METHODS)
    more, iterations = count_of("truncated_svd", "n_oversamples", n_oversamples), iterations_of("truncated_svd", n_iter)
    _refuse_combinations(promise, which, method)
    key = Key(key_of("truncated_svd", rng))
    with np.errstate(all="ignore"):
        matrix = Dense(array)
        matrix.require_finite("truncated_svd", "a")
        if which == "smallest":
            found = exact(matrix, promise, smallest=True)
        else:
            found = _largest(matrix, promise, method, more, iterations, key)
        left, right = with_signs(found.left, found.right)
        s = np.ldexp(found.s, matrix.exponent).astype(array.dtype)
    return svd_with_error(np.ascontiguousarray(left.T), s, np.ascontiguousarray(right), found.error)


def iterations_of(function: str, n_iter: object) -> int | None:
    """Return the number of iterations; None for "auto"."""
    if isinstance(n_iter, str):
        if n_iter != "auto":
            raise ValueError(f"{function}: n_iter must be an int or 'auto', got {shown(n_iter)}")
        return None
    count = int_of(function, "n_iter", n_iter)
    if not 0 <= count <= _MOST_ITERATIONS:
        raise ValueError(f"{function}: n_iter must be in [0, {_MOST_ITERATIONS}] or 'auto', got {shown(count)}")
    return count


def count_of(function: str, argument: str, value: object) -> int:
    """Return an int that is not negative."""
    count = int_of(function, argument, value)
    if count < 0:
        raise ValueError(f"{function}: {argument} must not be negative, got {shown(count)}")
    return count


def auto_iterations(rank: int, shape: tuple[int, int]) -> int:
    """Return the iterations of the power method, as scikit-learn chooses them."""
    return 7 if rank < 0.1 * min(shape) else 4


def _refuse_combinations(promise: Promise, which: str, method: str) -> None:
    if which == "smallest":
        if promise.rank is None:
            raise ValueError("truncated_svd: rank must be given where which is 'smallest', got none")
        if method not in ("auto", "exact"):
            raise ValueError(
                f"truncated_svd: method must be 'auto' or 'exact' where which is 'smallest', got {method!r}"
            )
    if promise.rank is None and method in ("randomized", "gram"):
        raise ValueError(
            f"truncated_svd: method must be 'auto', 'krylov' or 'exact' where no rank is given, got {method!r}"
        )


def _largest(matrix: Dense, promise: Promise, method: str, more: int, iterations: int | None, key: Key) -> Triplets:
    smaller = min(matrix.shape)
    rank = promise.rank
    block = wanted_rows(rank or 0, more)
    steps = blocks_for(rank or 0, matrix.shape) if iterations is None else iterations + 1
    if method == "auto":
        is_large = rank is not None and block * steps > smaller
        method = "exact" if smaller < _ALWAYS_EXACT or is_large else "krylov"
    if matrix.norm == 0 or rank == 0:
        method = "krylov"  # nothing is multiplied
    if method == "exact":
        return exact(matrix, promise)
    if method == "krylov" or rank is None:
        return krylov(matrix, promise, block, steps, key)
    if method == "gram":
        return of_rows(matrix, gram_rows(matrix, rank), rank, key)
    iterations = auto_iterations(rank, matrix.shape) if iterations is None else iterations
    rows = range_rows(matrix, min(rank + more, smaller), iterations, key)
    return of_rows(matrix, rows, rank, key)

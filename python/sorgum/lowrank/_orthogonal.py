"""Orthonormal factors of dense matrices: ranges, QR, polar and small singular value decompositions."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum._arguments.halves import wide_floats_of
from sorgum._arguments.scalars import int_of, require_option
from sorgum.interop.arrays import shown
from sorgum.lowrank._bases import range_rows
from sorgum.lowrank._matrices import Dense
from sorgum.lowrank._results import TruncatedSVD, svd_with_error
from sorgum.lowrank._rows import gram
from sorgum.lowrank._svd import auto_iterations, iterations_of, matrix_of
from sorgum.random import Key
from sorgum.random._keys import Rng, key_of

__all__ = ["QR", "Polar", "cholesky_qr", "polar", "range_finder", "small_svd"]

_TRUSTED = 1e-5  # the least quotient of Cholesky's diagonal that two steps in float64 repair without doubt


class QR(NamedTuple):
    """q (m, n) of orthonormal columns and r (n, n), upper triangular with a positive diagonal: a = q r."""

    q: Array
    r: Array


class Polar(NamedTuple):
    """u (..., m, n) and a symmetric positive semidefinite h: a = u h, or h u."""

    u: Array
    h: Array


def range_finder(a: npt.ArrayLike, size: int, *, n_iter: int | Literal["auto"] = "auto", rng: Rng = 0) -> Array:
    """Return an orthonormal basis of what is nearly the range of a matrix.

    Parameters
    ----------
    a : array_like of shape (m, n)
        float32 or float64; float16 and bfloat16 count as float32, bool and integers become float64.
    size : int
        The columns of the basis: 0 to min(m, n). Take 10 more than the directions that matter.
    n_iter : int or "auto", optional
        Products with a.T and a after the first; "auto" 7 for sizes below a tenth of min(m, n), else 4.
    rng : Key, int or numpy.random.Generator, optional
        What random columns are drawn with.

    Returns
    -------
    array of shape (m, k)
        Orthonormal columns; k is `size`, or the rank of `a` where that is less.

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
    A basis of the columns of (a a.T)^n_iter a Omega, made orthonormal after each product, so that no power over- or
    underflows: Halko, Martinsson and Tropp 2011, algorithm 4.4. `truncated_svd` gets closer with fewer products.
    Tier: deterministic.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> a = np.outer([1.0, 2.0, 2.0], [1.0, 0.0, -1.0, 3.0])
    >>> abs(sg.lowrank.range_finder(a, 1)).round(6)
    array([[0.333333],
           [0.666667],
           [0.666667]])
    """
    array = matrix_of("range_finder", "a", a)
    count = int_of("range_finder", "size", size)
    if not 0 <= count <= min(array.shape):
        raise ValueError(
            f"range_finder: size must be in [0, {min(array.shape)}], the smaller dimension, got {shown(count)}"
        )
    iterations = iterations_of("range_finder", n_iter)
    key = Key(key_of("range_finder", rng))
    with np.errstate(all="ignore"):
        matrix = Dense(array)
        matrix.require_finite("range_finder", "a")
        iterations = auto_iterations(count, matrix.shape) if iterations is None else iterations
        return np.ascontiguousarray(range_rows(matrix, count, iterations, key).T)


def cholesky_qr(a: npt.ArrayLike) -> QR:
    """Return the QR decomposition of a tall matrix by products: Cholesky QR, twice.

    Parameters
    ----------
    a : array_like of shape (m, n), m >= n
        float32 or float64; float16 and bfloat16 count as float32, bool and integers become float64.

    Returns
    -------
    QR
        A tuple (q, r): columns of q are orthonormal to (m + 20 sqrt(n)) u, u = 2^-24 or 2^-53; r has a positive
        diagonal, or zeros on it where LAPACK finds them.

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        If `a` has not two axes, or more columns than rows.
    numpy.linalg.LinAlgError
        If `a` has NaN or infinite elements.

    Notes
    -----
    r is Cholesky's factor of a.T a, formed in float64 of columns scaled by powers of two, and q = a r^-1; the same
    again with q repairs what the condition of `a` cost (Yamamoto, Nakatsukasa, Yanagisawa and Fukaya 2015). Where a
    diagonal of r falls below 1e-5 of the largest, LAPACK's Householder QR is taken instead. Tier: deterministic.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> q, r = sg.lowrank.cholesky_qr([[3.0, 1.0], [4.0, 3.0], [0.0, 2.0]])
    >>> r.round(6)
    array([[5.      , 3.      ],
           [0.      , 2.236068]])
    """
    array = matrix_of("cholesky_qr", "a", a)
    m, n = array.shape
    if m < n:
        raise ValueError(f"cholesky_qr: a must have no more columns than rows, got shape {array.shape}")
    with np.errstate(all="ignore"):
        exponents = np.frexp(np.abs(array).max(axis=0, initial=0.0))[1]
        if not np.isfinite(array.sum(axis=0, dtype=np.float64)).all() and not np.isfinite(array).all():
            raise np.linalg.LinAlgError("cholesky_qr: a must be finite, got NaN or an infinity")
        scaled = np.ldexp(array, -exponents)
        q, r = _twice(scaled) or _by_householder(scaled)
        return QR(q.astype(array.dtype, copy=False), np.ldexp(r, exponents).astype(array.dtype))


def _twice(a: Array) -> tuple[Array, Array] | None:
    q, r = a, np.eye(a.shape[1])
    for _ in range(2):
        try:
            upper = np.linalg.cholesky(gram(q.T)).T
        except np.linalg.LinAlgError:
            return None
        heights = upper.diagonal()
        if heights.size and heights.min() < _TRUSTED * heights.max():
            return None
        q, r = q @ np.linalg.inv(upper).astype(a.dtype), upper @ r
    return q, r


def _by_householder(a: Array) -> tuple[Array, Array]:
    q, r = np.linalg.qr(a)
    signs = np.where(r.diagonal() < 0, -1, 1).astype(a.dtype)
    return q * signs, r * signs[:, None]


def polar(a: npt.ArrayLike, *, side: Literal["right", "left"] = "right") -> Polar:
    """Return the polar decomposition of a matrix, or of each in a batch: a = u h, or h u.

    Parameters
    ----------
    a : array_like of shape (..., m, n)
        float32 or float64; float16 and bfloat16 count as float32, bool and integers become float64.
    side : {"right", "left"}, optional
        On which side of `u` stands `h`: "right" makes it (n, n), "left" (m, m).

    Returns
    -------
    Polar
        A tuple (u, h): u has the shape of `a`, with orthonormal columns, or rows where there are fewer; h is
        symmetric and positive semidefinite to rounding.

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        If `a` has fewer than two axes, or `side` is another string.
    numpy.linalg.LinAlgError
        If `a` has NaN or infinite elements.

    Notes
    -----
    From the singular value decomposition a = w s v.T: u = w v.T, h = v s v.T or w s w.T (Higham, "Functions of
    Matrices", 2008, theorem 8.1). u is the nearest matrix with orthonormal columns in every unitarily invariant norm.
    Where `a` has not full rank, u is one of many. Tier: deterministic.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> u, h = sg.lowrank.polar([[0.0, -2.0], [3.0, 0.0]])
    >>> u.round(6) + 0.0
    array([[ 0., -1.],
           [ 1.,  0.]])
    """
    require_option("polar", "side", side, "right", "left")
    u, s, vh = _svd("polar", a)
    if s.size == 0:
        size = vh.shape[-1] if side == "right" else u.shape[-2]
        shape = (*u.shape[:-1], vh.shape[-1])
        return Polar(np.zeros(shape, u.dtype), np.zeros((*s.shape[:-1], size, size), u.dtype))
    turned, factor = (np.swapaxes(vh, -1, -2), vh) if side == "right" else (u, np.swapaxes(u, -1, -2))
    h = (turned * s[..., None, :]) @ factor
    return Polar(u @ vh, (h + np.swapaxes(h, -1, -2)) / 2)


def small_svd(a: npt.ArrayLike) -> TruncatedSVD:
    """Return all singular values and vectors of a matrix, or of each in a batch.

    Parameters
    ----------
    a : array_like of shape (..., m, n)
        float32 or float64; float16 and bfloat16 count as float32, bool and integers become float64.

    Returns
    -------
    TruncatedSVD
        A tuple (u, s, vh) of shapes (..., m, k), (..., k) and (..., k, n) with k = min(m, n); s falls, and the entry of
        the largest magnitude in each column of u, the first of them, is positive. `error` is 0.

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        If `a` has fewer than two axes.
    numpy.linalg.LinAlgError
        If `a` has NaN or infinite elements.

    Notes
    -----
    NumPy's decomposition with signs that do not depend on LAPACK. Tier: deterministic.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> u, s, vh = sg.lowrank.small_svd([[[0.0, -2.0], [1.0, 0.0]], [[3.0, 0.0], [0.0, 4.0]]])
    >>> s
    array([[2., 1.],
           [4., 3.]])
    """
    u, s, vh = _svd("small_svd", a)
    if u.size:
        at = np.argmax(np.abs(u), axis=-2, keepdims=True)
        signs = np.where(np.take_along_axis(u, at, -2) < 0, -1, 1).astype(u.dtype)
        u, vh = u * signs, vh * np.swapaxes(signs, -1, -2)
    return svd_with_error(u, s, vh, 0.0)


def _svd(function: str, a: npt.ArrayLike) -> tuple[Array, Array, Array]:
    array = wide_floats_of(function, "a", a)
    if array.ndim < 2:
        raise ValueError(f"{function}: a must have at least two axes, got shape {array.shape}")
    if array.size == 0:  # however many matrices without elements there are
        *batch, m, n = array.shape
        k = min(m, n)
        return tuple(np.empty((*batch, *shape), array.dtype) for shape in ((m, k), (k,), (k, n)))  # type: ignore[return-value]
    if not np.isfinite(array).all():
        raise np.linalg.LinAlgError(f"{function}: a must be finite, got NaN or an infinity")
    with np.errstate(all="ignore"):
        return tuple(np.linalg.svd(array, full_matrices=False))  # type: ignore[return-value]

"""exp, log, softmax, log_softmax, logsumexp and its parts in NumPy (sorgum.special computes the same).

With m the largest x of a row, d = (x - m) / T and S = sum(exp(d)):

    softmax = exp(d) / S      log_softmax = d - log(S)      logsumexp = m / T + log(S)

S - 1 is summed without the ones that the maxima contribute, which are counted, so that log(S) = log1p(S - 1) keeps its
digits where one element dominates. The relative error of softmax is about (2 + |d|) eps with eps that of `dtype`, the
error of the others about 2 eps max(|d|, log S) and 2 eps max(|m / T|, log S).
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = [
    "exp",
    "log",
    "log_softmax",
    "log_softmax_grad",
    "logsumexp",
    "logsumexp_finish",
    "logsumexp_grad",
    "logsumexp_merge",
    "logsumexp_partial",
    "softmax",
    "softmax_from_partial",
    "softmax_grad",
]

Array = NDArray[Any]
Axis = int | tuple[int, ...] | None


def exp(x: ArrayLike, *, dtype: DTypeLike = np.float64) -> Any:
    """Return e to the power of x.

    Parameters
    ----------
    x : array_like of real numbers
        The argument.
    dtype : dtype, optional
        The type of the computation and of the result.

    Returns
    -------
    array or scalar
        Of the shape of `x`.

    Examples
    --------
    >>> float(exp(0))
    1.0
    """
    with np.errstate(all="ignore"):
        return np.exp(np.asarray(x, dtype=dtype))


def log(x: ArrayLike, *, dtype: DTypeLike = np.float64) -> Any:
    """Return the natural logarithm of x: -inf at 0, NaN below.

    Parameters
    ----------
    x : array_like of real numbers
        The argument.
    dtype : dtype, optional
        The type of the computation and of the result.

    Returns
    -------
    array or scalar
        Of the shape of `x`.

    Examples
    --------
    >>> float(log(1))
    0.0
    """
    with np.errstate(all="ignore"):
        return np.log(np.asarray(x, dtype=dtype))


class _Rows:
    """An array as a matrix of rows, with what softmax and its kin need to know of each row."""

    def __init__(self, x: ArrayLike, axis: Axis, temperature: ArrayLike, where: ArrayLike | None, dtype: DTypeLike):
        given = np.asarray(x, dtype=dtype)
        present = np.broadcast_to(True if where is None else np.asarray(where), given.shape)
        axes: tuple[int, ...]
        if axis is None or given.ndim == 0:
            axes = tuple(range(given.ndim))
        else:
            axes = tuple(sorted(a % given.ndim for a in ((axis,) if isinstance(axis, int) else axis)))
        self.kept = tuple(a for a in range(given.ndim) if a not in axes)
        self.order = self.kept + axes
        self.shape = given.shape
        self.row_shape = tuple(given.shape[a] for a in self.kept)
        self.kept_shape = tuple(1 if a in axes else given.shape[a] for a in range(given.ndim))
        self.present = self.matrix(present)
        self.x = np.where(self.present, self.matrix(given), -np.inf).astype(dtype)
        t = np.asarray(temperature, dtype=dtype)
        if t.ndim > len(self.row_shape):
            t = t.reshape(tuple(t.shape[a] for a in self.kept))
        self.t = np.broadcast_to(t, self.row_shape).reshape(-1, 1)
        if not np.all((self.t > 0) & np.isfinite(self.t)):
            raise ValueError("temperature must be positive and finite")

        largest = np.max(self.x, axis=1, keepdims=True, initial=-np.inf).astype(dtype)  # NaN wins
        self.empty = largest == -np.inf
        self.nan = np.isnan(largest)
        self.infinite = largest == np.inf
        self.m = np.where(np.isfinite(largest), largest, 0)
        d = (self.x - self.m) / self.t
        # A difference that overflows may still be moderate after the division.
        d = np.where(np.isinf(d) & np.isfinite(self.x), (self.x / 2 - self.m / 2) / self.t * 2, d)
        self.d = np.where(np.isnan(self.x), self.x, d)
        self.maxima = (self.x == self.m) & ~self.empty
        self.e = np.exp(self.d)
        others = np.sum(np.where(self.maxima, 0, self.e), axis=1, keepdims=True)
        count = np.sum(self.maxima, axis=1, keepdims=True).astype(dtype)
        self.s = count + others
        self.log_s = np.log1p((count - 1) + others)

    def matrix(self, a: Array) -> Array:
        moved = np.transpose(a, self.order)
        return moved.reshape(int(np.prod(self.row_shape, dtype=np.int64)), -1 if a.size else self.length)

    @property
    def length(self) -> int:
        axes = self.order[len(self.kept) :]
        return int(np.prod([self.shape[a] for a in axes], dtype=np.int64))

    def restore(self, rows: Array) -> Any:
        moved = rows.reshape([self.shape[a] for a in self.order])
        return np.transpose(moved, np.argsort(self.order))[()]

    def special(self, rows: Array, absent: float, empty: Literal["nan", "zero"]) -> Any:
        """Put in what masks, NaN, infinities and empty rows mean."""
        if empty not in ("nan", "zero"):
            raise ValueError(f"empty must be one of 'nan', 'zero', got {empty!r}")
        rows = np.where(self.present, rows, absent)
        rows = np.where(self.nan | self.infinite, np.nan, rows)
        return self.restore(np.where(self.empty, absent if empty == "zero" else np.nan, rows).astype(self.x.dtype))


def softmax(
    x: ArrayLike,
    axis: Axis = -1,
    *,
    temperature: ArrayLike = 1.0,
    where: ArrayLike | None = None,
    empty: Literal["nan", "zero"] = "nan",
    dtype: DTypeLike = np.float64,
) -> Any:
    """Return exp(x / T) divided by its sum over the axis.

    Parameters
    ----------
    x : array_like of real numbers
        The logits.
    axis : int, tuple of int or None, optional
        What makes a row; None takes the whole array as one.
    temperature : array_like, optional
        T, a positive number, or one per row.
    where : array_like of bool, optional
        False marks an element that is absent, whatever its value.
    empty : {"nan", "zero"}, optional
        What a row without elements becomes: NaN or 0.
    dtype : dtype, optional
        The type of the computation and of the result.

    Returns
    -------
    array or scalar
        Of the shape of `x`.

    Raises
    ------
    ValueError
        If a temperature is not positive and finite, or `empty` is none of the two.

    Examples
    --------
    >>> softmax([0.0, 0.0])
    array([0.5, 0.5])
    """
    with np.errstate(all="ignore"):
        rows = _Rows(x, axis, temperature, where, dtype)
        return rows.special(rows.e / rows.s, 0.0, empty)


def log_softmax(
    x: ArrayLike,
    axis: Axis = -1,
    *,
    temperature: ArrayLike = 1.0,
    where: ArrayLike | None = None,
    empty: Literal["nan", "zero"] = "nan",
    dtype: DTypeLike = np.float64,
) -> Any:
    """Return the logarithm of softmax.

    Parameters
    ----------
    x : array_like of real numbers
        The logits.
    axis : int, tuple of int or None, optional
        What makes a row; None takes the whole array as one.
    temperature : array_like, optional
        T, a positive number, or one per row.
    where : array_like of bool, optional
        False marks an element that is absent, whatever its value.
    empty : {"nan", "zero"}, optional
        What a row without elements becomes: NaN or -inf.
    dtype : dtype, optional
        The type of the computation and of the result.

    Returns
    -------
    array or scalar
        Of the shape of `x`.

    Raises
    ------
    ValueError
        If a temperature is not positive and finite, or `empty` is none of the two.

    Examples
    --------
    >>> log_softmax([1000.0, 0.0])
    array([    0., -1000.])
    """
    with np.errstate(all="ignore"):
        rows = _Rows(x, axis, temperature, where, dtype)
        return rows.special(rows.d - rows.log_s, -np.inf, empty)


def logsumexp(
    x: ArrayLike,
    axis: Axis = -1,
    *,
    keepdims: bool = False,
    b: ArrayLike | None = None,
    return_sign: bool = False,
    temperature: ArrayLike = 1.0,
    where: ArrayLike | None = None,
    dtype: DTypeLike = np.float64,
) -> Any:
    """Return the logarithm of the sum of b exp(x / T) over the axis.

    Parameters
    ----------
    x : array_like of real numbers
        The logits.
    axis : int, tuple of int or None, optional
        What is summed over; None takes the whole array.
    keepdims : bool, optional
        Keep the axes that were summed over, with length 1.
    b : array_like, optional
        Weights, broadcast against `x`. An element of weight 0 is absent.
    return_sign : bool, optional
        Return the sign of the sum too, and the logarithm of its magnitude. Without it a negative sum gives NaN.
    temperature : array_like, optional
        T, a positive number, or one per row.
    where : array_like of bool, optional
        False marks an element that is absent, whatever its value.
    dtype : dtype, optional
        The type of the computation and of the result.

    Returns
    -------
    array or scalar, or a tuple of two
        The logarithm; with `return_sign` also the sign: -1, 0, 1 or NaN.

    Raises
    ------
    ValueError
        If a temperature is not positive and finite.

    Examples
    --------
    >>> float(logsumexp([0.0]))
    0.0
    >>> value, sign = logsumexp([0.0, 0.0], b=[1.0, -3.0], return_sign=True)
    >>> float(sign)
    -1.0
    """
    with np.errstate(all="ignore"):
        if b is not None:
            x, b = np.broadcast_arrays(np.asarray(x, dtype=dtype), np.asarray(b, dtype=dtype))
            present = np.broadcast_to(True if where is None else np.asarray(where), x.shape)
            where = present & (b != 0)
        rows = _Rows(x, axis, temperature, where, dtype)
        if b is None:
            value = np.where(rows.nan, np.nan, np.where(rows.infinite, np.inf, rows.m / rows.t + rows.log_s))
            value = np.where(rows.empty, -np.inf, value)
            sign = np.where(rows.nan, np.nan, np.where(rows.empty, 0.0, 1.0))
        else:
            value, sign = _weighted(rows, rows.matrix(b))
            if not return_sign:
                value = np.where(sign < 0, np.nan, value)
        shape = rows.kept_shape if keepdims else rows.row_shape
        value, sign = (np.asarray(a, dtype=dtype).reshape(shape)[()] for a in (value, sign))
        return (value, sign) if return_sign else value


def _weighted(rows: _Rows, b: Array) -> tuple[Array, Array]:
    """Return the logarithm of |sum b exp(x / T)| and the sum's sign, per row.

    The terms are scaled by the largest of |b| exp(x / T), which is found among the logarithms.
    """
    b = np.where(rows.present, b, 0)
    size = np.where(rows.present, rows.d + np.log(np.abs(b)), -np.inf)
    top = np.max(size, axis=1, keepdims=True, initial=-np.inf)
    regular = np.isfinite(top)
    terms = np.where(size == -np.inf, 0, np.sign(b) * np.exp(size - np.where(regular, top, 0)))
    total = np.sum(terms, axis=1, keepdims=True)
    # exp(inf) b is an infinity with the sign of b, and two of opposite signs make NaN; NaN anywhere is NaN.
    infinite = np.isinf(np.where(rows.present, rows.x, 0)) & (rows.x > 0) | np.isinf(b)
    sums = np.sum(np.where(infinite, np.sign(b) * np.inf, 0), axis=1, keepdims=True)
    zero_times_infinity = np.any(np.isinf(b) & (rows.x == -np.inf), axis=1, keepdims=True)
    is_nan = rows.nan | np.any(np.isnan(b), axis=1, keepdims=True) | np.isnan(sums) | zero_times_infinity
    sign = np.where(np.isinf(sums), np.sign(sums), np.sign(total))
    value = np.where(total == 0, -np.inf, rows.m / rows.t + (top + np.log(np.abs(total))))
    value = np.where(np.isinf(sums), np.inf, value)
    return np.where(is_nan, np.nan, value), np.where(is_nan, np.nan, sign)


def logsumexp_partial(
    x: ArrayLike,
    axis: Axis = -1,
    *,
    temperature: ArrayLike = 1.0,
    where: ArrayLike | None = None,
    b: ArrayLike | None = None,
    dtype: DTypeLike = np.float64,
) -> Array:
    """Return what a part of rows adds to their sums of b exp(x / T).

    Parameters
    ----------
    x : array_like of real numbers
        The part; it may be empty.
    axis : int, tuple of int or None, optional
        What is summed over; None takes the whole array.
    temperature : array_like, optional
        T, a positive number, or one per row.
    where : array_like of bool, optional
        False marks an element that is absent, whatever its value.
    b : array_like, optional
        Weights, broadcast against `x`. An element of weight 0 is absent.
    dtype : dtype, optional
        The type of the computation.

    Returns
    -------
    structured array
        Per row the temperature, the largest x, and the sum of b exp((x - max) / T) over the elements equal to it and
        over the others.

    Raises
    ------
    ValueError
        If a temperature is not positive and finite.

    Examples
    --------
    >>> float(logsumexp_partial([1.0, 1.0])["at_max"])
    2.0
    """
    weights = np.ones(np.shape(x), dtype=dtype)
    with np.errstate(all="ignore"):
        if b is not None:
            x, weights = np.broadcast_arrays(np.asarray(x, dtype=dtype), np.asarray(b, dtype=dtype))
            where = np.broadcast_to(True if where is None else np.asarray(where), x.shape) & (weights != 0)
        rows = _Rows(x, axis, temperature, where, dtype)
        part = np.zeros(len(rows.x), [(name, dtype) for name in ("temperature", "max", "at_max", "others")])
        part["temperature"] = rows.t[:, 0]
        part["max"] = np.where(
            rows.nan, np.nan, np.where(rows.infinite, np.inf, np.where(rows.empty, -np.inf, rows.m))
        )[:, 0]
        terms = np.where(rows.present, rows.matrix(weights) * rows.e, 0)
        part["at_max"] = np.sum(np.where(rows.maxima, terms, 0), axis=1)
        part["others"] = np.sum(np.where(rows.maxima, 0, terms), axis=1)
    return part.reshape(rows.row_shape)


def logsumexp_merge(p: Array, axis: int = 0) -> Array:
    """Return the sums of rows of which each part has been summed.

    Parameters
    ----------
    p : structured array
        Of `logsumexp_partial`, with an axis of parts.
    axis : int, optional
        The axis of parts.

    Returns
    -------
    structured array
        Without that axis.

    Examples
    --------
    >>> merged = logsumexp_merge(np.stack([logsumexp_partial([0.0]), logsumexp_partial([0.0])]))
    >>> float(merged["at_max"])
    2.0
    """
    parts = np.moveaxis(p, axis, 0)
    merged: Array = parts[0].copy()
    with np.errstate(all="ignore"):
        largest = np.max(parts["max"], axis=0)  # NaN wins
        same = parts["max"] == largest
        factor = np.where(same, 1, np.exp((parts["max"] - largest) / parts["temperature"]))
        merged["max"] = largest
        merged["at_max"] = np.sum(np.where(same, parts["at_max"], 0), axis=0)
        merged["others"] = np.sum(parts["others"] * factor + np.where(same, 0, parts["at_max"] * factor), axis=0)
    return merged


def logsumexp_finish(p: Array) -> tuple[Any, Any]:
    """Return the logarithm of the magnitude of each sum, and its sign.

    Parameters
    ----------
    p : structured array
        Of `logsumexp_partial` or `logsumexp_merge`.

    Returns
    -------
    tuple of two arrays or scalars
        The logarithm and the sign: -1, 0, 1 or NaN. A row with an infinite x has the sign 1 here.

    Examples
    --------
    >>> float(logsumexp_finish(logsumexp_partial([0.0]))[0])
    0.0
    """
    with np.errstate(all="ignore"):
        total = p["at_max"] + p["others"]
        size = np.where(
            (p["at_max"] > 0) & (total > 0), np.log1p((p["at_max"] - 1) + p["others"]), np.log(np.abs(total))
        )
        regular = np.isfinite(p["max"])
        value = np.where(regular, np.where(total == 0, -np.inf, p["max"] / p["temperature"] + size), p["max"])
        sign = np.where(regular, np.sign(total), np.where(np.isnan(p["max"]), np.nan, p["max"] > 0))
    return value[()], sign[()]


def softmax_from_partial(
    x: ArrayLike,
    p: Array,
    axis: Axis = -1,
    *,
    where: ArrayLike | None = None,
    empty: Literal["nan", "zero"] = "nan",
    dtype: DTypeLike = np.float64,
) -> Any:
    """Return exp(x / T) divided by the sum that `p` has for the row.

    Parameters
    ----------
    x : array_like of real numbers
        A part of the rows.
    p : structured array
        Of `logsumexp_partial` or `logsumexp_merge`, for the whole rows.
    axis : int, tuple of int or None, optional
        What makes a row.
    where : array_like of bool, optional
        False marks an element that is absent.
    empty : {"nan", "zero"}, optional
        What a row without elements becomes: NaN or 0.
    dtype : dtype, optional
        The type of the computation and of the result.

    Returns
    -------
    array or scalar
        Of the shape of `x`.

    Examples
    --------
    >>> softmax_from_partial([0.0], logsumexp_partial([0.0, 0.0]))
    array([0.5])
    """
    with np.errstate(all="ignore"):
        rows = _Rows(x, axis, p["temperature"], where, dtype)
        largest = np.reshape(p["max"], (-1, 1)).astype(dtype)
        rows.empty, rows.nan, rows.infinite = largest == -np.inf, np.isnan(largest), largest == np.inf
        total = np.reshape(p["at_max"] + p["others"], (-1, 1))
        return rows.special(np.exp((rows.x - np.where(np.isfinite(largest), largest, 0)) / rows.t) / total, 0.0, empty)


def _per_row(value: ArrayLike, x: Array, axis: Axis, dtype: DTypeLike) -> Array:
    """Return `value`, a scalar or one per row, so that it broadcasts to x."""
    array = np.asarray(value, dtype=dtype)
    axes = tuple(range(x.ndim)) if axis is None else axis
    return array if array.ndim in (0, x.ndim) else np.expand_dims(array, axes)


def _absent_as_zero(x: ArrayLike, where: ArrayLike | None, dtype: DTypeLike) -> Array:
    array = np.asarray(x, dtype=dtype)
    return array if where is None else np.where(where, array, np.zeros((), dtype))


def softmax_grad(
    y: ArrayLike,
    *,
    dy: ArrayLike,
    axis: Axis = -1,
    temperature: ArrayLike = 1.0,
    where: ArrayLike | None = None,
    dtype: DTypeLike = np.float64,
) -> Array:
    """Return (dy - sum(y dy)) y / T, the vector-Jacobian product of softmax at its result y.

    Parameters
    ----------
    y, dy : array_like of real numbers
        What softmax returned, and the gradient with respect to it.
    axis, temperature, where
        As in `sorgum.special.softmax_grad`.
    dtype : dtype, optional
        The type of the computation and of the result.

    Returns
    -------
    array
        Of the shape of `y`.

    Examples
    --------
    >>> softmax_grad([0.25, 0.75], dy=[1.0, 0.0]).tolist()
    [0.1875, -0.1875]
    """
    y, dy = _absent_as_zero(y, where, dtype), _absent_as_zero(dy, where, dtype)
    with np.errstate(all="ignore"):
        total = np.sum(y * dy, axis=axis, keepdims=True)
        return _absent_as_zero((dy - total) * y / _per_row(temperature, y, axis, dtype), where, dtype)


def log_softmax_grad(
    y: ArrayLike,
    *,
    dy: ArrayLike,
    axis: Axis = -1,
    temperature: ArrayLike = 1.0,
    where: ArrayLike | None = None,
    dtype: DTypeLike = np.float64,
) -> Array:
    """Return (dy - exp(y) sum(dy)) / T, the vector-Jacobian product of log_softmax at its result y.

    Parameters
    ----------
    y, dy : array_like of real numbers
        What log_softmax returned, and the gradient with respect to it.
    axis, temperature, where
        As in `sorgum.special.log_softmax_grad`.
    dtype : dtype, optional
        The type of the computation and of the result.

    Returns
    -------
    array
        Of the shape of `y`.

    Examples
    --------
    >>> log_softmax_grad(np.log([0.25, 0.75]), dy=[1.0, 0.0]).round(6).tolist()
    [0.75, -0.75]
    """
    y, dy = _absent_as_zero(y, where, dtype), _absent_as_zero(dy, where, dtype)
    with np.errstate(all="ignore"):
        total = np.sum(dy, axis=axis, keepdims=True)
        return _absent_as_zero((dy - np.exp(y) * total) / _per_row(temperature, y, axis, dtype), where, dtype)


def logsumexp_grad(
    x: ArrayLike,
    *,
    dy: ArrayLike,
    axis: Axis = -1,
    b: ArrayLike | None = None,
    temperature: ArrayLike = 1.0,
    where: ArrayLike | None = None,
    dtype: DTypeLike = np.float64,
) -> Array:
    """Return softmax(x) dy / T, or b exp(x / T) / sum(b exp(x / T)) dy / T, the vector-Jacobian product of logsumexp.

    Parameters
    ----------
    x : array_like of real numbers
        The argument of logsumexp.
    dy : array_like of real numbers
        The gradient with respect to its result: a scalar or one per row.
    axis, b, temperature, where
        As in `sorgum.special.logsumexp_grad`.
    dtype : dtype, optional
        The type of the computation and of the result.

    Returns
    -------
    array
        Of the shape of `x`.

    Examples
    --------
    >>> logsumexp_grad(np.log([0.25, 0.75]), dy=2.0).round(6).tolist()
    [0.5, 1.5]
    """
    x = np.asarray(x, dtype=dtype)
    if b is not None:
        weights = np.broadcast_to(np.asarray(b, dtype=dtype), x.shape)
        present = (weights != 0) & (True if where is None else np.asarray(where))
        x = np.where(present, x, np.asarray(-np.inf, dtype=dtype))
        t = _per_row(temperature, x, axis, dtype)
        with np.errstate(all="ignore"):
            top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
            # 0 times a weight that is NaN or infinite is NaN.
            terms = np.where(present, weights * np.exp((x - np.where(top > -np.inf, top, 0)) / t), 0)
            total = np.sum(terms, axis=axis, keepdims=True)
            found = terms / total * (_per_row(dy, x, axis, dtype) / t)
        spoilt = np.isnan(total) | (top > -np.inf) & (total == 0)
        return np.asarray(np.where(spoilt, np.nan, np.where(terms == 0, 0, found)))
    p = softmax(x, axis, temperature=temperature, where=where, empty="zero", dtype=dtype)
    with np.errstate(all="ignore"):
        found = p * (_per_row(dy, x, axis, dtype) / _per_row(temperature, x, axis, dtype))
    return np.asarray(np.where(p == 0, 0, found))

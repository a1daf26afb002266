"""Whole arrays: exponentials and logarithms, softmax and its logarithm, sums of exponentials."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum._arguments.arrays import (
    NUMBERS_OF_PYTHON,
    Array,
    broadcast_to,
    common_shape,
    floats_of,
    in_common_type,
    mask_of,
    temperature_of,
)
from sorgum._arguments.results import apart, result_for, result_of_asked_dtype, returned
from sorgum._arguments.scalars import Axis, axes_of, flag_of, options_of
from sorgum.interop import bfloat16
from sorgum.interop.arrays import plain

__all__ = ["exp", "log", "log_softmax", "logsumexp", "softmax", "weighted"]

Algorithm: TypeAlias = Literal["auto", "two_pass", "three_pass_recompute", "three_pass_reload"]


def weighted(function: str, array: Array, b: npt.ArrayLike | None) -> tuple[Array, Array | None]:
    """Return `array` and its weights in their common dtype, and the array in their common shape."""
    if b is None:
        return array, None
    array, weights = in_common_type(
        array, floats_of(function, "b", b), b if type(b) in NUMBERS_OF_PYTHON else plain(function, "b", b)
    )
    try:
        return broadcast_to(array, common_shape(array.shape, weights.shape)), weights
    except ValueError:
        raise ValueError(
            f"{function}: b must broadcast with x, of shape {array.shape}, got shape {weights.shape}"
        ) from None


def exp(x: npt.ArrayLike, *, out: Array | None = None) -> Any:
    """Exponential of every element.

    Parameters
    ----------
    x : array_like
        Any shape; a floating-point type, or bool and integers, which become float64.
    out : ndarray, optional
        Where to write: the shape of `x` and the dtype of the result; may be `x` itself.

    Returns
    -------
    ndarray or scalar
        exp(x), elementwise. exp(-inf) = 0, exp(inf) = inf, NaN gives the quiet NaN without payload.

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        If `out` has another shape, is read-only or overlaps itself.

    Notes
    -----
    Bound: 1.0 ULP for all 2**32 float32 inputs, subnormal results included; 1.0 ULP observed for float64. The figures
    stand in docs/numerics.md. Method: Cody and Waite's range reduction with fused multiply-add, a polynomial of minimal
    error. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.special.exp(np.float32([0.0, 1.0, -np.inf]))
    array([1.       , 2.7182817, 0.       ], dtype=float32)
    """
    array = apart(floats_of("exp", "x", x), out)
    result = result_for("exp", out, array.shape, array.dtype)
    _core.special.exp(array, result)
    return returned(result, out)


def log(x: npt.ArrayLike, *, out: Array | None = None) -> Any:
    """Natural logarithm of every element.

    Parameters
    ----------
    x : array_like
        Any shape; a floating-point type, or bool and integers, which become float64.
    out : ndarray, optional
        Where to write: the shape of `x` and the dtype of the result; may be `x` itself.

    Returns
    -------
    ndarray or scalar
        log(x), elementwise. log(0) = -inf for either zero, log(inf) = inf, a negative or NaN element gives the quiet
        NaN without payload. No warning is raised.

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        If `out` has another shape, is read-only or overlaps itself.

    Notes
    -----
    Bound: 1.0 ULP for all 2**32 float32 inputs, where log is also monotonic; 1.0 ULP observed for float64. The figures
    stand in docs/numerics.md. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.special.log(np.float32([1.0, 10.0, 0.0]))
    array([0.       , 2.3025851,      -inf], dtype=float32)
    """
    array = apart(floats_of("log", "x", x), out)
    result = result_for("log", out, array.shape, array.dtype)
    _core.special.log(array, result)
    return returned(result, out)


def softmax(
    x: npt.ArrayLike,
    axis: Axis = -1,
    *,
    temperature: npt.ArrayLike = 1.0,
    where: npt.ArrayLike | None = None,
    empty: Literal["nan", "zero"] = "nan",
    out: Array | None = None,
    algorithm: Algorithm = "auto",
) -> Any:
    """Softmax along one axis, several, or all: exp(x / T) / sum(exp(x / T)).

    Parameters
    ----------
    x : array_like
        Logits, any shape; a floating-point type, or bool and integers, which become float64.
    axis : int, tuple of int or None, default -1
        The axes that are summed over; None means all. **The default is the last axis, as in PyTorch and JAX, and not
        all axes as in SciPy.**
    temperature : float or array_like, default 1.0
        T, positive, finite and not subnormal: a scalar or one per row (the shape of `x` without `axis`, or with it at
        length 1). It is folded into the range reduction: x / T is never rounded.
    where : array_like of bool, optional
        Broadcast to `x`. An element where it is False is absent, whatever its value: its result is 0.
    empty : {"nan", "zero"}, default "nan"
        The result in rows without any element above -inf (length 0, all masked, all -inf).
    out : ndarray, optional
        Where to write: the shape of `x` and the dtype of the result; may be `x` itself.
    algorithm : {"auto", "two_pass", "three_pass_recompute", "three_pass_reload"}, default "auto"
        "two_pass" reads the row twice and writes it once. "auto" has the same bits; it only walks memory differently
        for short and for many rows. The three-pass algorithms subtract the maximum from every element, for comparison.

    Returns
    -------
    ndarray or scalar
        The shape of `x`. A row with NaN or +inf is all NaN.

    Raises
    ------
    TypeError
        If a dtype is none of the above or `axis` is not made of integers.
    ValueError
        If an axis is out of range or repeated, T is none of the above, a shape does not fit, `out` is read-only or
        overlaps itself, or an option is unknown.

    Notes
    -----
    Bound: every normal result within 4 ULP for any length, magnitude and temperature; abs(sum - 1) <= 2.4e-7 in float32
    for every length to 2**24. The three-pass algorithms lose about 0.7 ULP more per unit of (max - x) / T. See
    docs/numerics.md for the figures and the order of summation. Source: M. Dukhan and A. Ablavatski, "Two-Pass Softmax
    Algorithm", 2020; unlike theirs, ours is right for every finite input, keeps subnormal results, and combines chunks
    exactly. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.special.softmax(np.float32([1.0, 2.0, 3.0]))
    array([0.09003057, 0.24472848, 0.66524094], dtype=float32)
    >>> sg.special.softmax([[0.0, 9.0], [0.0, 0.0]], where=[[True, False], [True, True]])
    array([[1. , 0. ],
           [0.5, 0.5]])
    """
    options = options_of("softmax", empty, algorithm)
    axes, t = axes_of("softmax", axis), temperature_of("softmax", temperature)
    array = apart(floats_of("softmax", "x", x), out)
    result = result_for("softmax", out, array.shape, array.dtype)
    mask = mask_of("softmax", where)
    _core.special.softmax(array, axes, apart(t, out), None if mask is None else apart(mask, out), result, *options)
    return returned(result, out)


def log_softmax(
    x: npt.ArrayLike,
    axis: Axis = -1,
    *,
    temperature: npt.ArrayLike = 1.0,
    where: npt.ArrayLike | None = None,
    empty: Literal["nan", "zero"] = "nan",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: Algorithm = "auto",
) -> Any:
    """Logarithm of the softmax along one axis, several, or all: x / T - log(sum(exp(x / T))).

    Parameters
    ----------
    x : array_like
        Logits, any shape; a floating-point type, or bool and integers, which become float64.
    axis : int, tuple of int or None, default -1
        The axes that are summed over; None means all. **The default is the last axis, as in PyTorch and JAX, and not
        all axes as in SciPy.**
    temperature : float or array_like, default 1.0
        T: a scalar or one per row, as in `softmax`.
    where : array_like of bool, optional
        Broadcast to `x`. An element where it is False is absent, whatever its value: its result is -inf.
    empty : {"nan", "zero"}, default "nan"
        The result in rows without any element above -inf: NaN, or -inf (the logarithm of zero).
    dtype : dtype, optional
        The dtype of the result: that of `x` by default, or float32 for the logits of half types, of whose results it
        keeps all digits: a logarithm of 12, say, is rounded to a multiple of 1/16 in bfloat16. A dtype of PyTorch, too.
    out : ndarray, optional
        Where to write: the shape of `x` and a dtype that the result may have; may be `x` itself.
    algorithm : {"auto", "two_pass", "three_pass_recompute", "three_pass_reload"}, default "auto"
        As in `softmax`.

    Returns
    -------
    ndarray or scalar
        The shape of `x`. A row with NaN or +inf is all NaN.

    Raises
    ------
    TypeError, ValueError
        As `softmax`.

    Notes
    -----
    Bound: with m the row's maximum and S = sum(exp((x - m) / T)), within 2 ULP (float64: 5) of
    max(abs(x - m) / T, log(S)). That holds for the winner of a peaked row too: the maximum is counted apart from the
    other terms, so log(S) = log1p(others) keeps its digits; in float32, below 1 the others are summed once more in
    float64, below 0.5 as float64 terms. The difference is formed in float64. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.special.log_softmax(np.float32([0.0, -30.0]))
    array([-9.357623e-14, -3.000000e+01], dtype=float32)
    """
    array = apart(floats_of("log_softmax", "x", x), out)
    result = result_of_asked_dtype("log_softmax", out, array.shape, dtype, array.dtype)
    options = options_of("log_softmax", empty, algorithm)
    axes, t, mask = (
        axes_of("log_softmax", axis),
        temperature_of("log_softmax", temperature),
        mask_of("log_softmax", where),
    )
    _core.special.log_softmax(array, axes, apart(t, out), None if mask is None else apart(mask, out), result, *options)
    return returned(result, out)


@overload
def logsumexp(
    x: npt.ArrayLike,
    axis: Axis = ...,
    *,
    keepdims: bool = ...,
    b: npt.ArrayLike | None = ...,
    return_sign: Literal[False] = ...,
    temperature: npt.ArrayLike = ...,
    where: npt.ArrayLike | None = ...,
    dtype: npt.DTypeLike | None = ...,
    out: Array | None = ...,
) -> Any: ...
@overload
def logsumexp(
    x: npt.ArrayLike,
    axis: Axis = ...,
    *,
    keepdims: bool = ...,
    b: npt.ArrayLike | None = ...,
    return_sign: Literal[True],
    temperature: npt.ArrayLike = ...,
    where: npt.ArrayLike | None = ...,
    dtype: npt.DTypeLike | None = ...,
    out: Array | None = ...,
) -> tuple[Any, Any]: ...
def logsumexp(
    x: npt.ArrayLike,
    axis: Axis = -1,
    *,
    keepdims: bool = False,
    b: npt.ArrayLike | None = None,
    return_sign: bool = False,
    temperature: npt.ArrayLike = 1.0,
    where: npt.ArrayLike | None = None,
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
) -> Any:
    """Logarithm of a sum of exponentials along one axis, several, or all: log(sum(b exp(x / T))).

    Parameters
    ----------
    x : array_like
        Any shape; a floating-point type, or bool and integers, which become float64.
    axis : int, tuple of int or None, default -1
        The axes that are summed over; None means all. **The default is the last axis, as in PyTorch and JAX, and not
        all axes as in SciPy.**
    keepdims : bool, default False
        Keep the summed axes in the result, at length 1.
    b : array_like, optional
        Real weights; `x` and `b` are broadcast together and take NumPy's common type. Elements of weight 0 are absent,
        whatever their value. A weight that is NaN or infinite makes NaN where `x` is -inf, as 0 times it does.
    return_sign : bool, default False
        Return the sign of the sum beside the logarithm of its magnitude. Without it a negative sum gives NaN.
    temperature : float or array_like, default 1.0
        T: a scalar or one per row, as in `softmax`.
    where : array_like of bool, optional
        Broadcast to `x`. An element where it is False is absent, whatever its value.
    dtype : dtype, optional
        The dtype of the result, and of the sign: the common type of `x` and `b` by default, or float32 where that is a
        half type, as in `log_softmax`.
    out : ndarray, optional
        Where to write: the shape of the result and a dtype that it may have.

    Returns
    -------
    ndarray or scalar, or a pair of them
        The shape of `x` without `axis`. -inf for a row without elements, +inf for one with +inf, NaN for one with NaN.

    Raises
    ------
    TypeError, ValueError
        As `softmax`, and for a flag that is no bool or a `b` that does not broadcast with `x`.

    Notes
    -----
    Bound: 3 ULP (float64: 4) of max(abs(m) / T, log(S)), with m and S as in `log_softmax`. With weights, of any size,
    products are formed and added in float64; those below 2**-120 of the largest are dropped, and where terms cancel the
    sum is off by up to 1 ULP of each. Where abs(m) / T exceeds 3e18 only elements equal to m count, whatever their
    weights. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.special.logsumexp([[0.0, 1.0, 2.0], [5.0, 5.0, 5.0]])
    array([2.40760596, 6.09861229])
    >>> sg.special.logsumexp([[1.0, 2.0]], b=[1.0, -1.0], return_sign=True)
    (array([1.54132485]), array([-1.]))
    """
    axes, t = axes_of("logsumexp", axis), temperature_of("logsumexp", temperature)
    keepdims, return_sign = flag_of("logsumexp", "keepdims", keepdims), flag_of("logsumexp", "return_sign", return_sign)
    array, weights = weighted("logsumexp", floats_of("logsumexp", "x", x), b)
    mask = mask_of("logsumexp", where)
    shape = _core.special.row_shape("logsumexp", array, axes, keepdims)
    result = result_of_asked_dtype("logsumexp", out, shape, dtype, array.dtype)
    sign = np.empty(result.shape, result.dtype) if return_sign and weights is not None else None
    _core.special.logsumexp(
        apart(array, out),
        axes,
        apart(t, out),
        None if mask is None else apart(mask, out),
        None if weights is None else apart(weights, out),
        result,
        sign,
        keepdims,
    )
    if not return_sign:
        return returned(result, out)
    if sign is None:
        wide = bfloat16.widened(result)
        sign = np.where(np.isnan(wide), wide, (wide > -np.inf).astype(wide.dtype))
        sign = sign if wide is result else bfloat16.rounded(sign, result.dtype)
    return returned(result, out), returned(sign, None)

"""Gradients: vector-Jacobian products of softmax, log_softmax and logsumexp."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum._arguments.arrays import (
    NUMBERS_OF_PYTHON,
    Array,
    broadcast_to,
    floats_of,
    in_common_type,
    mask_of,
    temperature_of,
)
from sorgum._arguments.results import apart, result_for, returned
from sorgum._arguments.scalars import Axis, axes_of
from sorgum.interop import bfloat16
from sorgum.interop.arrays import plain
from sorgum.special import exp, logsumexp

__all__ = ["log_softmax_grad", "logsumexp_grad", "softmax_grad"]


def _pair(function: str, name: str, value: npt.ArrayLike, dy: npt.ArrayLike) -> tuple[Array, Array]:
    """Both arrays in NumPy's common type."""
    a, g = floats_of(function, name, value), floats_of(function, "dy", dy)
    return in_common_type(a, g, dy if type(dy) in NUMBERS_OF_PYTHON else g)


def _product(
    function: str,
    kernel: Callable[..., None],
    name: str,
    value: npt.ArrayLike,
    dy: npt.ArrayLike,
    axis: Axis,
    temperature: npt.ArrayLike,
    where: npt.ArrayLike | None,
    out: Array | None,
) -> Any:
    a, g = _pair(function, name, value, dy)
    t, mask, axes = temperature_of(function, temperature), mask_of(function, where), axes_of(function, axis)
    result = result_for(function, out, a.shape, a.dtype)
    kernel(apart(a, out), apart(g, out), axes, apart(t, out), None if mask is None else apart(mask, out), result)
    return returned(result, out)


def softmax_grad(
    y: npt.ArrayLike,
    *,
    dy: npt.ArrayLike,
    axis: Axis = -1,
    temperature: npt.ArrayLike = 1.0,
    where: npt.ArrayLike | None = None,
    out: Array | None = None,
) -> Any:
    """Vector-Jacobian product of softmax: (dy - sum(y dy)) y / T.

    Parameters
    ----------
    y : array_like
        What `softmax` returned, any shape; a floating-point type, or bool and integers, which become float64.
    dy : array_like
        The gradient with respect to `y`, of its shape. Both take NumPy's common type.
    axis : int, tuple of int or None, default -1
        The axes of the softmax, as there.
    temperature : float or array_like, default 1.0
        T of the softmax: a scalar or one per row.
    where : array_like of bool, optional
        Broadcast to `y`. An element where it is False is absent, whatever `y` and `dy` are there: its result is 0.
    out : ndarray, optional
        Where to write: the shape and the dtype of the result; may be `y` or `dy` itself.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`. A row whose sum, which is formed in float64, is not finite is NaN.

    Raises
    ------
    TypeError, ValueError
        As `softmax`, and for a `dy` of another shape.

    Notes
    -----
    Bound: 3 ULP, and 2**-43 (float64: 2**-51) y sum(abs(y dy)) / T where dy and the sum, which is formed in float64,
    cancel. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> y = sg.special.softmax(np.float32([1.0, 2.0, 3.0]))
    >>> sg.special.softmax_grad(y, dy=np.float32([1.0, 0.0, 0.0]))
    array([ 0.08192507, -0.02203305, -0.05989202], dtype=float32)
    """
    return _product("softmax_grad", _core.special.softmax_grad, "y", y, dy, axis, temperature, where, out)


def log_softmax_grad(
    y: npt.ArrayLike,
    *,
    dy: npt.ArrayLike,
    axis: Axis = -1,
    temperature: npt.ArrayLike = 1.0,
    where: npt.ArrayLike | None = None,
    out: Array | None = None,
) -> Any:
    """Vector-Jacobian product of log_softmax: (dy - exp(y) sum(dy)) / T.

    Parameters
    ----------
    y : array_like
        What `log_softmax` returned, any shape; a floating-point type, or bool and integers, which become float64.
    dy : array_like
        The gradient with respect to `y`, of its shape. Both take NumPy's common type.
    axis : int, tuple of int or None, default -1
        The axes of the log_softmax, as there.
    temperature : float or array_like, default 1.0
        T of the log_softmax: a scalar or one per row.
    where : array_like of bool, optional
        Broadcast to `y`. An element where it is False is absent, whatever `y` and `dy` are there: its result is 0.
    out : ndarray, optional
        Where to write: the shape and the dtype of the result; may be `y` or `dy` itself.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`. A row whose sum, which is formed in float64, is not finite is NaN.

    Raises
    ------
    TypeError, ValueError
        As `softmax`, and for a `dy` of another shape.

    Notes
    -----
    Bound: 3 ULP, and 1 ULP of exp(y) times sum(dy) / T, that of `exp`, and 2**-43 (float64: 2**-51)
    exp(y) sum(abs(dy)) / T, that of the sum. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> y = sg.special.log_softmax(np.float32([1.0, 2.0, 3.0]))
    >>> sg.special.log_softmax_grad(y, dy=np.float32([1.0, 0.0, 0.0]))
    array([ 0.90996945, -0.24472846, -0.66524094], dtype=float32)
    """
    return _product("log_softmax_grad", _core.special.log_softmax_grad, "y", y, dy, axis, temperature, where, out)


def logsumexp_grad(
    x: npt.ArrayLike,
    *,
    dy: npt.ArrayLike,
    axis: Axis = -1,
    b: npt.ArrayLike | None = None,
    temperature: npt.ArrayLike = 1.0,
    where: npt.ArrayLike | None = None,
    out: Array | None = None,
) -> Any:
    """Vector-Jacobian product of logsumexp: softmax(x) dy / T, or b exp(x / T) / sum(b exp(x / T)) dy / T.

    Parameters
    ----------
    x : array_like
        The argument of `logsumexp`, any shape; a floating-point type, or bool and integers, which become float64.
    dy : array_like
        The gradient with respect to its result: a scalar or one per row. Both take NumPy's common type.
    axis : int, tuple of int or None, default -1
        The axes of the logsumexp, as there.
    b : array_like, optional
        Its weights, broadcast to `x`; all three take NumPy's common type. An element of weight 0 is absent.
    temperature : float or array_like, default 1.0
        T of the logsumexp: a scalar or one per row.
    where : array_like of bool, optional
        Broadcast to `x`. An element where it is False is absent, whatever its value: its result is 0.
    out : ndarray, optional
        Where to write: the shape and the dtype of the result; may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`, of its shape. A row with NaN or +inf is NaN, one without elements 0. Where the
        softmax is 0 the gradient is 0, whatever `dy` is. Where the weighted sum of a row with elements is 0 there is no
        gradient: NaN.

    Raises
    ------
    TypeError, ValueError
        As `softmax`.

    Notes
    -----
    Bound: that of `softmax` and one rounding more, 4.5 ULP; 1 ULP (float64: 2) of the least normal number times dy / T
    where the softmax is subnormal; dy / T is formed first and may overflow. With weights, worked out in arrays of
    float64: 1 ULP; for float64 itself 5 ULP and 3 more per unit of (max - x) / T, 9 per unit of log(abs(S)) with
    S = sum(b exp((x - max) / T)). Where terms of S cancel, 2 ULP of each count as in `logsumexp`. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.special.logsumexp_grad(np.float32([1.0, 2.0, 3.0]), dy=2.0)
    array([0.18006115, 0.48945695, 1.3304819 ], dtype=float32)
    >>> sg.special.logsumexp_grad([0.0, 0.0, 0.0], dy=1.0, b=[3.0, -1.0, 0.0])
    array([ 1.5, -0.5,  0. ])
    """
    if b is not None:
        return _weighted_product(x, dy, axis, b, temperature, where, out)
    return _product("logsumexp_grad", _core.special.logsumexp_grad, "x", x, dy, axis, temperature, where, out)


def _weighted_product(
    x: npt.ArrayLike,
    dy: npt.ArrayLike,
    axis: Axis,
    b: npt.ArrayLike,
    temperature: npt.ArrayLike,
    where: npt.ArrayLike | None,
    out: Array | None,
) -> Any:
    function = "logsumexp_grad"
    a, g = _pair(function, "x", x, dy)
    given = b if type(b) in NUMBERS_OF_PYTHON else plain(function, "b", b)
    a, weights = in_common_type(a, floats_of(function, "b", b), given)
    a, g = in_common_type(a, g, g)
    t, mask, axes = temperature_of(function, temperature), mask_of(function, where), axes_of(function, axis)
    result = result_for(function, out, a.shape, a.dtype)
    try:
        of_all = broadcast_to(weights, a.shape)
    except ValueError:
        raise ValueError(f"{function}: b must broadcast to shape {a.shape}, got shape {weights.shape}") from None
    # What is read once `out` is written, rows along the last of two axes.
    along = sorted(range(a.ndim) if axes is None else {i % max(a.ndim, 1) for i in axes if a.ndim})
    order = [i for i in range(a.ndim) if i not in along] + along
    shape = [a.shape[i] for i in order]
    rows = math.prod(shape[: a.ndim - len(along)]), math.prod(shape[a.ndim - len(along) :])

    def in_rows(array: Array) -> Array:
        return np.array(np.transpose(array, order)).reshape(rows)

    def per_row(array: Array) -> Array:
        return np.array(array).reshape(-1, 1)

    with np.errstate(all="ignore"):
        wide = in_rows(bfloat16.widened(a)).astype(np.float64, copy=False)
        wide_b = in_rows(bfloat16.widened(of_all)).astype(np.float64, copy=False)
        wide_g, own_t = per_row(bfloat16.widened(g)).astype(np.float64), per_row(t)
    own_mask = None if mask is None else mask.copy()
    _core.special.logsumexp_grad(
        apart(a, out), apart(g, out), axes, apart(t, out), own_mask, result
    )  # checks all of it
    absent = wide_b == 0 if own_mask is None else (wide_b == 0) | ~in_rows(broadcast_to(own_mask, a.shape))
    with np.errstate(all="ignore"):
        wide[absent], wide_b[absent] = -np.inf, 0
        found = _weighted_rows(wide, wide_b, own_t, wide_g)
        single = found if a.dtype == np.float64 else found.astype(np.float32)
        is_brain = bfloat16.is_bfloat16(a.dtype)
        rounded = bfloat16.rounded(single, a.dtype) if is_brain else single.astype(a.dtype)
    result[...] = np.transpose(rounded.reshape(shape), np.argsort(order)) if a.ndim else rounded.reshape(())
    return returned(result, out)


def _weighted_rows(x: Array, b: Array, t: Array, dy: Array) -> Array:
    """Return b exp(x / t) / sum(b exp(x / t)) dy / t in rows of float64; what is absent is -inf and has weight 0."""
    top = np.max(x, axis=-1, keepdims=True, initial=-np.inf)
    reference = np.where(top > -np.inf, top, 0.0)
    distance = (x - reference) / t
    if np.any(reference >= 2.0**960):  # x - reference may overflow where its quotient by t does not
        distance = np.where(np.isinf(distance), 2 * ((x / 2 - reference / 2) / t), distance)
    log_sum, sign = (a[:, None] for a in logsumexp(distance, b=b, return_sign=True))
    power = distance - log_sum
    terms = exp(power) * b
    far = (np.abs(power) > 600) & np.isfinite(power)
    if np.any(far):  # an exponential may leave the range of the type where its product with the weight does not
        third = exp(power[far] / 3)
        terms[far] = third * b[far] * third * third
    terms *= sign
    factor = dy / t
    found: Array = terms * factor
    found[x == -np.inf] = 0
    if not np.all(np.isfinite(factor)):
        found[(terms == 0) & np.isnan(found)] = 0
    found[np.broadcast_to(np.isnan(log_sum) | (top == np.inf), found.shape) | np.isnan(found)] = np.nan  # without sign
    return found

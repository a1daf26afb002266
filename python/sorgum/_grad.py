"""Vector-Jacobian products of softmax, log_softmax and logsumexp: `sorgum.special` has these functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum.interop import bfloat16
from sorgum.special import (
    _OF_PYTHON,
    Array,
    Axis,
    _apart,
    _axes,
    _floats,
    _in_common_type,
    _mask,
    _out,
    _plain,
    _result,
    _temperature,
    exp,
    logsumexp,
)

__all__ = ["log_softmax_grad", "logsumexp_grad", "softmax_grad"]


def _pair(function: str, names: tuple[str, str], first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[Array, Array]:
    """Both arrays in NumPy's common type."""
    a, b = _floats(function, names[0], first), _floats(function, names[1], second)
    return _in_common_type(a, b, second if type(second) in _OF_PYTHON else b)


def _product(
    function: str,
    kernel: Callable[..., None],
    names: tuple[str, str],
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    axis: Axis,
    temperature: npt.ArrayLike,
    where: npt.ArrayLike | None,
    out: Array | None,
) -> Any:
    a, b = _pair(function, names, first, second)
    t, mask, axes = _temperature(function, temperature), _mask(function, where), _axes(function, axis)
    result = _out(function, out, a.shape, a.dtype)
    kernel(_apart(a, out), _apart(b, out), axes, _apart(t, out), None if mask is None else _apart(mask, out), result)
    return _result(result, out)


def softmax_grad(
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    axis: Axis = -1,
    *,
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
    >>> sg.special.softmax_grad(y, np.float32([1.0, 0.0, 0.0]))
    array([ 0.08192508, -0.02203305, -0.05989203], dtype=float32)
    """
    return _product("softmax_grad", _core.softmax_grad, ("y", "dy"), y, dy, axis, temperature, where, out)


def log_softmax_grad(
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    axis: Axis = -1,
    *,
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
    >>> sg.special.log_softmax_grad(y, np.float32([1.0, 0.0, 0.0]))
    array([ 0.90996945, -0.24472846, -0.66524094], dtype=float32)
    """
    return _product("log_softmax_grad", _core.log_softmax_grad, ("y", "dy"), y, dy, axis, temperature, where, out)


def logsumexp_grad(
    x: npt.ArrayLike,
    dy: npt.ArrayLike,
    axis: Axis = -1,
    *,
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
        weighted sum of a row with elements is 0 there is no gradient: NaN.

    Raises
    ------
    TypeError, ValueError
        As `softmax`.

    Notes
    -----
    Bound: that of `softmax` and one rounding more, 4.5 ULP; 1 ULP (float64: 2) of the least normal number times dy / T
    where the softmax is subnormal. With weights, worked out in arrays of float64: 1 ULP; for float64 itself 5 ULP and 3
    more per unit of (max - x) / T, 9 per unit of log(abs(S)) with S = sum(b exp((x - max) / T)). Where terms of S
    cancel, 2 ULP of each count as in `logsumexp`. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.special.logsumexp_grad(np.float32([1.0, 2.0, 3.0]), 2.0)
    array([0.18006116, 0.48945695, 1.3304819 ], dtype=float32)
    >>> sg.special.logsumexp_grad([0.0, 0.0, 0.0], 1.0, b=[3.0, -1.0, 0.0])
    array([ 1.5, -0.5,  0. ])
    """
    if b is not None:
        return _weighted_product(x, dy, axis, b, temperature, where, out)
    return _product("logsumexp_grad", _core.logsumexp_grad, ("x", "dy"), x, dy, axis, temperature, where, out)


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
    a, g = _pair(function, ("x", "dy"), x, dy)
    given = b if type(b) in _OF_PYTHON else _plain(function, "b", b)
    a, weights = _in_common_type(a, _floats(function, "b", b), given)
    a, g = _in_common_type(a, g, g)
    t, mask, axes = _temperature(function, temperature), _mask(function, where), _axes(function, axis)
    result = _out(function, out, a.shape, a.dtype)
    wide = np.array(bfloat16.widened(a), np.float64)
    try:
        wide_b = np.broadcast_to(np.array(bfloat16.widened(weights), np.float64), a.shape)
    except ValueError:
        raise ValueError(f"{function}: b must broadcast to shape {a.shape}, got shape {weights.shape}") from None
    wide_g, own_t = np.array(bfloat16.widened(g), np.float64), t.copy()
    own_mask = None if mask is None else mask.copy()
    _core.logsumexp_grad(_apart(a, out), _apart(g, out), axes, _apart(t, out), own_mask, result)  # checks all of it
    along = tuple(range(a.ndim)) if axes is None else tuple(i % max(a.ndim, 1) for i in axes)[: a.ndim]

    def per_row(array: Array) -> Array:
        return array if array.ndim in (0, a.ndim) else np.expand_dims(array, along)

    absent = (wide_b == 0) if own_mask is None else (wide_b == 0) | ~own_mask
    wide[absent] = -np.inf
    with np.errstate(all="ignore"):
        top = np.max(wide, axis=along, keepdims=True, initial=-np.inf)
        distance = (wide - np.where(top > -np.inf, top, 0.0)) / per_row(own_t)
        log_sum, sign = logsumexp(distance, axis, b=np.where(absent, 0.0, wide_b), return_sign=True)
        terms = exp(distance - per_row(np.asarray(log_sum))) * wide_b * per_row(np.asarray(sign))
        found = np.where(wide == -np.inf, 0.0, terms * (per_row(wide_g) / per_row(own_t)))
        spoilt = np.isnan(per_row(np.asarray(log_sum))) | (top == np.inf)
        found[np.broadcast_to(spoilt, found.shape) | np.isnan(found)] = np.nan  # without sign
        single = found if a.dtype == np.float64 else found.astype(np.float32)
        is_brain = bfloat16.is_bfloat16(a.dtype)
        result[...] = bfloat16.rounded(single, a.dtype) if is_brain else single.astype(a.dtype)
    return _result(result, out)

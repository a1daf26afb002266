"""Vector-Jacobian products of softmax, log_softmax and logsumexp: `sorgum.special` has these functions."""

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from sorgum import _core
from sorgum.special import Array, Axis, _apart, _axes, _floats, _in_common_type, _mask, _out, _result, _temperature

__all__ = ["log_softmax_grad", "logsumexp_grad", "softmax_grad"]


def _pair(function: str, names: tuple[str, str], first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[Array, Array]:
    """Both arrays in NumPy's common type."""
    a, b = _floats(function, names[0], first), _floats(function, names[1], second)
    return _in_common_type(a, b, second if isinstance(second, int | float) else b)


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
        The gradient with respect to `x`. A row whose sum is not finite is NaN.

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
        The gradient with respect to `x`. A row whose sum is not finite is NaN.

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
    temperature: npt.ArrayLike = 1.0,
    where: npt.ArrayLike | None = None,
    out: Array | None = None,
) -> Any:
    """Vector-Jacobian product of logsumexp: softmax(x) dy / T.

    Parameters
    ----------
    x : array_like
        The argument of `logsumexp`, any shape; a floating-point type, or bool and integers, which become float64.
    dy : array_like
        The gradient with respect to its result: a scalar or one per row. Both take NumPy's common type.
    axis : int, tuple of int or None, default -1
        The axes of the logsumexp, as there.
    temperature : float or array_like, default 1.0
        T of the logsumexp: a scalar or one per row.
    where : array_like of bool, optional
        Broadcast to `x`. An element where it is False is absent, whatever its value: its result is 0.
    out : ndarray, optional
        Where to write: the shape and the dtype of the result; may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`, of its shape. A row with NaN or +inf is NaN, one without elements 0.

    Raises
    ------
    TypeError, ValueError
        As `softmax`.

    Notes
    -----
    Bound: that of `softmax` and one rounding more, 4.5 ULP; 1 ULP (float64: 2) of the least normal number times dy / T
    where the softmax is subnormal. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.special.logsumexp_grad(np.float32([1.0, 2.0, 3.0]), 2.0)
    array([0.18006116, 0.48945695, 1.3304819 ], dtype=float32)
    """
    return _product("logsumexp_grad", _core.logsumexp_grad, ("x", "dy"), x, dy, axis, temperature, where, out)

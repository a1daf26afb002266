"""Gumbel-softmax flow matching: from noise to a vertex of the simplex, by a temperature that falls with time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, float64s_of, integers_of
from sorgum._arguments.halves import wide_floats_of
from sorgum._arguments.results import new_array, one_nan
from sorgum._arguments.scalars import addressable, flag_of, float_dtype_of, number_of
from sorgum.interop.arrays import kind_of, shown
from sorgum.random._concrete import concrete_score
from sorgum.random._formulas import tree_sum
from sorgum.random._keys import Rng, key_of
from sorgum.random._relaxed import relax
from sorgum.random._rows import positive_temperature, rows_of
from sorgum.special import exp, log_softmax, softmax, softmax_grad

__all__ = [
    "flow_guidance",
    "flow_interpolant",
    "flow_score",
    "flow_step",
    "flow_temperature",
    "flow_velocity",
    "frozen_flow_velocity",
]


_TINY = 2.0**-64  # what numbers are multiplied by, where their sum would overflow


def _positive(function: str, argument: str, value: object) -> float:
    number = number_of(function, argument, value)
    if not 0 < number < np.inf:
        raise ValueError(f"{function}: {argument} must be positive and finite, got {number}")
    return number


def _points(function: str, argument: str, value: npt.ArrayLike) -> Array:
    array = wide_floats_of(function, argument, value)
    if array.ndim == 0:
        raise ValueError(f"{function}: {argument} must have at least one axis, got a scalar")
    return array


def _same_shape(function: str, argument: str, array: Array, shape: tuple[int, ...]) -> Array:
    if array.shape != shape:
        raise ValueError(f"{function}: {argument} must have shape {shape}, got {array.shape}")
    return array


def _temperatures(function: str, temperature: npt.ArrayLike, shape: tuple[int, ...]) -> Array:
    """Return positive temperatures broadcast to the rows' shape."""
    t = float64s_of(function, "temperature", temperature)
    try:
        rows = np.broadcast_to(t, shape)
    except ValueError:
        raise ValueError(
            f"{function}: temperature must broadcast to the rows' shape, {shape}, got shape {t.shape}"
        ) from None
    return positive_temperature(function, rows)


def _as_temperature(function: str, formula: str, value: Any) -> Array:
    """Refuse numbers that are no temperatures of `softmax`; those given to a formula may have overflowed in it."""
    t = np.asarray(value, dtype=np.float64)
    good = (t >= np.finfo(np.float64).smallest_normal) & (t < np.inf)
    if not np.all(good):
        rule = "must be positive, finite and not subnormal"
        raise ValueError(f"{function}: {formula} {rule}, got {float(t[~good].flat[0])}")
    return t


def _product(function: str, beta: float, temperature: Array) -> Array:
    with np.errstate(over="ignore"):
        return _as_temperature(function, "beta * temperature", beta * temperature)


def _one_hot(function: str, targets: npt.ArrayLike, categories: int, dtype: np.dtype[Any], height: float) -> Array:
    at = integers_of(function, "targets", targets)
    if at.size and not (at.min() >= 0 and at.max() < categories):
        wrong = at[(at < 0) | (at >= categories)].flat[0]
        raise ValueError(f"{function}: targets must be in [0, {categories}), got {wrong}")
    rows = np.zeros(addressable(function, "categories", (*at.shape, categories)), dtype)
    if at.size:
        np.put_along_axis(rows, at.astype(np.int64)[..., None], height, axis=-1)
    return rows


def flow_temperature(time: npt.ArrayLike, *, maximum: float, decay: float) -> Any:
    """Return the temperature of the flow at a time: maximum exp(-decay time).

    Parameters
    ----------
    time : float or array_like
        t, from 0 (noise) to 1 (data).
    maximum : float
        The temperature at time 0, positive and finite.
    decay : float
        How fast it falls, positive and finite.

    Returns
    -------
    ndarray or scalar of float64
        The shape of `time`: what the other functions take for a temperature.

    Raises
    ------
    TypeError, ValueError
        If a dtype is no floating-point type, bool or integer, or a number is out of range; and if the result is,
        which has to be positive, finite and not subnormal.

    Notes
    -----
    Tang, Zhang, Tong and Chatterjee, "Gumbel-Softmax Flow Matching with Straight-Through Guidance for Controllable
    Biological Sequence Generation", 2025 (arXiv 2503.17361). The formulas of the `flow_` functions are
    derived from its interpolant; the names are ours. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.random.flow_temperature(np.array([0.0, 1.0]), maximum=10.0, decay=3.0).round(4)
    array([10.    ,  0.4979])
    """
    function = "flow_temperature"
    t = wide_floats_of(function, "time", time).astype(np.float64)
    top, rate = _positive(function, "maximum", maximum), _positive(function, "decay", decay)
    with np.errstate(over="ignore"):
        found = top * exp(-rate * np.asarray(t))
    return _as_temperature(function, "maximum * exp(-decay * time)", found)[()]


def flow_interpolant(
    targets: npt.ArrayLike,
    categories: int,
    *,
    rng: Rng,
    temperature: npt.ArrayLike,
    beta: float = 1.0,
    log: bool = False,
    dtype: npt.DTypeLike = np.float32,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
) -> Array:
    """Draw points on the way to vertices of the simplex: softmax((onehot(target) + G / beta) / temperature).

    Parameters
    ----------
    targets : array_like of int
        A category per row, any shape.
    categories : int
        Their number V, at least 1 and less than 2**31.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    temperature : float or array_like
        What `flow_temperature` returned; positive and finite, broadcast to the shape of `targets`.
    beta : float, default 1.0
        What noise is divided by, positive and finite in `dtype`.
    log : bool, default False
        Return logarithms, which do not underflow at low temperatures.
    dtype : dtype, default float32
        float32 or float64.
    streams, position : optional
        As in `categorical`.

    Returns
    -------
    ndarray
        The shape of `targets` and one more axis of length V: `gumbel_softmax` of the logits beta onehot(target) at
        beta temperature, bit for bit.

    Raises
    ------
    TypeError, ValueError
        As `gumbel_softmax`; and if a target or a number is out of range, or beta temperature, which must not be
        subnormal either.

    Notes
    -----
    Tang et al. 2025 (arXiv 2503.17361), the Gumbel-softmax interpolant. Its density is the Concrete one:
    `concrete_log_prob`. The same key at another temperature is the same noise: the path of a point. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> x = sg.random.flow_interpolant([2, 0], 4, rng=1, temperature=0.05, beta=5.0)
    >>> x.argmax(-1)
    array([2, 0])
    """
    function = "flow_interpolant"
    if isinstance(categories, bool) or not isinstance(categories, int | np.integer):
        raise TypeError(f"{function}: categories must be an int, got {kind_of(categories)}")
    if categories < 1:
        raise ValueError(f"{function}: categories must be at least 1, got {shown(categories)}")
    if categories >= 2**31:
        raise ValueError(f"{function}: categories must be less than 2**31, got {shown(categories)}")
    kind, log, height = (
        float_dtype_of(function, dtype),
        flag_of(function, "log", log),
        _positive(function, "beta", beta),
    )
    if height > float(np.finfo(kind).max):
        raise ValueError(f"{function}: beta must be finite in {kind.name}, got {height}")
    logits = _one_hot(function, targets, int(categories), kind, height)
    t = _product(function, height, _temperatures(function, temperature, logits.shape[:-1]))
    rows, secret = rows_of(function, logits, -1, t, None, streams, position), key_of(function, rng)
    result = new_array(logits.shape, kind)
    relax(function, rows, secret, 0, result, log=log)
    return result


def flow_velocity(
    points: npt.ArrayLike, probabilities: npt.ArrayLike, *, temperature: npt.ArrayLike, decay: float
) -> Array:
    """Return the velocity at points of the simplex towards vertices of given probabilities.

    Parameters
    ----------
    points : array_like
        x, rows of sum 1 along the last axis.
    probabilities : array_like
        p, the same shape: what a model predicts of the vertex, given x and the time. One-hot: the field conditional on
        that vertex.
    temperature : float or array_like
        t, what `flow_temperature` returned; broadcast to the rows' shape.
    decay : float
        That of `flow_temperature`.

    Returns
    -------
    ndarray
        The shape of `points`, in the wider dtype: (decay / t) x_i (p_i - sum(p x)), which is the sum over k of
        p_k (decay / t) x_k (e_k - x). Rows of sum 0, so that a step conserves mass.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit, or a number is out of range.

    Notes
    -----
    Tang et al. 2025 (arXiv 2503.17361): the derivative with respect to time of the interpolant without noise, and its
    mean over vertices. It is `special.softmax_grad` of p at the temperature t / decay. Tier: bitwise.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.random.flow_velocity([0.5, 0.25, 0.25], [1.0, 0.0, 0.0], temperature=2.0, decay=4.0)
    array([ 0.5 , -0.25, -0.25])
    """
    function = "flow_velocity"
    x, p = _points(function, "points", points), wide_floats_of(function, "probabilities", probabilities)
    _same_shape(function, "probabilities", p, x.shape)
    t, rate = _temperatures(function, temperature, x.shape[:-1]), _positive(function, "decay", decay)
    with np.errstate(over="ignore"):
        t = _as_temperature(function, "temperature / decay", t / rate)
    kind = np.result_type(x, p)
    return np.asarray(softmax_grad(x.astype(kind, copy=False), dy=p.astype(kind, copy=False), temperature=t))


def frozen_flow_velocity(log_points: npt.ArrayLike, *, decay: float) -> Array:
    """Return the velocity of `flow_interpolant` along a path whose noise stays the same.

    Parameters
    ----------
    log_points : array_like
        Logarithms y of points along the last axis; a constant added to a row changes nothing.
    decay : float
        That of `flow_temperature`.

    Returns
    -------
    ndarray
        The shape and dtype of `log_points`: decay x_i (y_i - sum(x y)), x = softmax(y). Rows of sum 0; 0 where y is
        -inf.

    Raises
    ------
    TypeError, ValueError
        If a dtype is no floating-point type, bool or integer, or decay is not positive and finite, or its
        reciprocal is not or is subnormal.

    Notes
    -----
    Tang et al. 2025 (arXiv 2503.17361), differentiated here with the noise held: a point determines its logits up to a
    constant, so that neither target, noise, beta nor temperature occur. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> place = {"rng": 3, "log": True, "dtype": np.float64, "beta": 2.0}
    >>> now, later = (sg.random.flow_interpolant([1], 4, temperature=0.5 * np.exp(-3 * t), **place) for t in (0, 1e-6))
    >>> sg.random.frozen_flow_velocity(now, decay=3.0).round(3)
    array([[-0.316,  1.138, -0.491, -0.331]])
    >>> ((np.exp(later) - np.exp(now)) / 1e-6).round(3)
    array([[-0.316,  1.138, -0.491, -0.331]])
    """
    function = "frozen_flow_velocity"
    given, rate = _points(function, "log_points", log_points), _positive(function, "decay", decay)
    t, y = _as_temperature(function, "decay**-1", 1 / rate), log_softmax(given)
    return np.asarray(softmax_grad(softmax(given), dy=np.where(y == -np.inf, 0, y), temperature=t))


def flow_score(
    log_points: npt.ArrayLike, targets: npt.ArrayLike, *, temperature: npt.ArrayLike, beta: float = 1.0
) -> Array:
    """Return the gradient of the log density of `flow_interpolant` with respect to the logarithms of its points.

    Parameters
    ----------
    log_points : array_like
        Logarithms y of points along the last axis, of length V.
    targets : array_like of int
        The rows' shape: the vertices.
    temperature, beta : float or array_like
        Those of `flow_interpolant`.

    Returns
    -------
    ndarray of float64
        The shape of `log_points`: with s = beta temperature, -s + V s softmax(beta onehot(target) - s y). Rows of
        sum 0.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit, or a number is out of range.

    Notes
    -----
    Tang et al. 2025 (arXiv 2503.17361), the score that score matching regresses on. `concrete_score` of the same logits
    and temperature. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> y = sg.random.flow_interpolant([1], 3, rng=1, temperature=0.5, log=True)
    >>> y.round(3)
    array([[-1.063, -0.587, -2.315]], dtype=float32)
    >>> sg.random.flow_score(y, [1], temperature=0.5).round(3)
    array([[-0.201,  0.141,  0.06 ]])
    """
    function = "flow_score"
    y, height = _points(function, "log_points", log_points), _positive(function, "beta", beta)
    logits = _one_hot(function, targets, y.shape[-1], np.dtype(np.float64), height)
    if logits.shape != y.shape:
        raise ValueError(
            f"{function}: targets must have the shape of the rows, {y.shape[:-1]}, got {logits.shape[:-1]}"
        )
    t = _product(function, height, _temperatures(function, temperature, y.shape[:-1]))
    return concrete_score(y, logits, temperature=t)[0]


def flow_step(points: npt.ArrayLike, velocity: npt.ArrayLike, step: npt.ArrayLike) -> Array:
    """Make a step of Euler's method on the simplex.

    Parameters
    ----------
    points : array_like
        x, rows of sum 1 along the last axis.
    velocity : array_like
        The same shape: `flow_velocity`, or a sum of velocities, with `flow_guidance` for example.
    step : float or array_like
        The time, finite, broadcast to the rows' shape.

    Returns
    -------
    ndarray
        The shape and dtype of `points`: max(x + step velocity, 0), divided by its sum, so that rounding, too long a
        step or a velocity of another sum than 0 never leave the simplex. Rows without any positive element are NaN, and
        so are those where x + step velocity is NaN or overflows upwards; the sum does not overflow.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit, or the step is not finite.

    Notes
    -----
    In float64, the sum by halves of the row, rounded once. Where nothing is cut off, the sum is 1 but for rounding:
    mass is conserved by the velocity. Tier: bitwise.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.random.flow_step([0.5, 0.25, 0.25], [1.0, -0.5, -0.5], 0.25)
    array([0.75 , 0.125, 0.125])
    """
    function = "flow_step"
    x, v = _points(function, "points", points), wide_floats_of(function, "velocity", velocity)
    _same_shape(function, "velocity", v, x.shape)
    h = np.asarray(wide_floats_of(function, "step", step), dtype=np.float64)
    if not np.all(np.isfinite(h)):
        raise ValueError(f"{function}: step must be finite, got {float(h[~np.isfinite(h)].flat[0])}")
    try:
        lengths = np.broadcast_to(h, x.shape[:-1])[..., None]
    except ValueError:
        rule = f"must broadcast to the rows' shape, {x.shape[:-1]}"
        raise ValueError(f"{function}: step {rule}, got shape {h.shape}") from None
    with np.errstate(over="ignore", invalid="ignore"):  # numbers of no use become NaN
        moved = x.astype(np.float64) + lengths * v.astype(np.float64)
        moved = np.where(moved < 0, 0.0, moved)
        total = tree_sum(moved)[..., None]
        if np.any(total == np.inf):
            moved = np.where(total == np.inf, moved * _TINY, moved)
            total = tree_sum(moved)[..., None]
        good = (total > 0) & (total < np.inf)
        return one_nan(np.where(good, moved / np.where(good, total, 1.0), np.nan).astype(x.dtype))


def flow_guidance(grads: npt.ArrayLike, probabilities: npt.ArrayLike) -> Array:
    """Return the direction in which a classifier of clean sequences guides a flow, by straight-through estimation.

    Parameters
    ----------
    grads : array_like
        An axis of M samples, then the shape of `probabilities`: the gradient of the classifier's log probability with
        respect to each one-hot sequence that was drawn from them (`categorical` with ``num_samples=M``).
    probabilities : array_like
        p, rows of sum 1 along the last axis: what the model predicts of the vertex.

    Returns
    -------
    ndarray
        The shape of `probabilities`, in the wider dtype: p (g - sum(p g)), g the mean over samples: what a
        straight-through softmax passes back. Rows of sum 0: a multiple of it may be added to `flow_velocity`.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit, or there are no samples.

    Notes
    -----
    STGFlow of Tang et al. 2025 (arXiv 2503.17361), as we understand it: the model's own Jacobian, from p to the point,
    is left to the caller. The mean is formed in float64, by halves of the samples, rounded once to the dtype. Tier:
    bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.random.flow_guidance(np.float64([[4.0, 0.0], [0.0, 0.0]]), np.float64([0.5, 0.5]))
    array([ 0.5, -0.5])
    """
    function = "flow_guidance"
    g, p = _points(function, "grads", grads), _points(function, "probabilities", probabilities)
    if g.shape[1:] != p.shape or g.shape[0] == 0:
        rule = f"must have an axis of samples and shape {p.shape}"
        raise ValueError(f"{function}: grads {rule}, got shape {g.shape}")
    kind = np.result_type(g, p)
    with np.errstate(over="ignore", invalid="ignore"):
        samples = np.moveaxis(g, 0, -1).astype(np.float64)
        mean = tree_sum(samples) / g.shape[0]
        if np.any(np.isinf(mean)):
            mean = np.where(np.isinf(mean), tree_sum(samples * _TINY) / g.shape[0] / _TINY, mean)
        mean = mean.astype(kind)
    return np.asarray(softmax_grad(p.astype(kind, copy=False), dy=mean))

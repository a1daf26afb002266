"""Gumbel-softmax flow matching."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum.reference.random._draws import PURPOSES, gumbel, words
from sorgum.reference.random._relaxed import concrete_score, softmax_rows

__all__ = [
    "flow_guidance",
    "flow_interpolant",
    "flow_score",
    "flow_step",
    "flow_temperature",
    "flow_velocity",
    "frozen_flow_velocity",
]

Array = npt.NDArray[Any]


def flow_temperature(time: npt.ArrayLike, *, maximum: float, decay: float) -> Array:
    """Return maximum exp(-decay time).

    Parameters
    ----------
    time : array_like
        From 0 to 1.
    maximum, decay : float
        Positive.

    Returns
    -------
    array of float64
        The shape of the times.

    Examples
    --------
    >>> float(flow_temperature(0.0, maximum=10.0, decay=3.0))
    10.0
    """
    return np.asarray(maximum * np.exp(-decay * np.asarray(time, dtype=np.float64)))


def flow_interpolant(
    targets: npt.ArrayLike, categories: int, key: int, *, temperature: npt.ArrayLike, beta: float = 1.0, **place: Any
) -> Array:
    """Return softmax((onehot + G / beta) / temperature).

    Parameters
    ----------
    targets : array_like of int
        A category per row.
    categories : int
        Their number.
    key : int
        64 bits.
    temperature : array_like
        Positive, broadcast to the rows.
    beta : float, default 1.0
        Positive.
    **place : optional
        streams and position, as in `words`.

    Returns
    -------
    array of float64
        The shape of the targets and one more axis.

    Examples
    --------
    >>> flow_interpolant([1], 2, 1, temperature=0.01, beta=100.0).round(6).tolist()
    [[0.0, 1.0]]
    """
    onehot = np.eye(categories)[np.asarray(targets)]
    g = gumbel(words(onehot.shape, key, PURPOSES["gumbel"], **place))
    t = np.broadcast_to(np.asarray(temperature, dtype=np.float64), onehot.shape[:-1])[..., None]
    return softmax_rows((onehot + g / beta) / t)


def flow_velocity(
    points: npt.ArrayLike, probabilities: npt.ArrayLike, *, temperature: npt.ArrayLike, decay: float
) -> Array:
    """Return the sum over vertices k of p_k (decay / temperature) x_k (e_k - x).

    Parameters
    ----------
    points, probabilities : array_like
        Rows of sum 1, of one shape.
    temperature : array_like
        Positive, broadcast to the rows.
    decay : float
        Positive.

    Returns
    -------
    array of float64
        Of that shape.

    Examples
    --------
    >>> flow_velocity([0.5, 0.5], [1.0, 0.0], temperature=1.0, decay=1.0).tolist()
    [0.25, -0.25]
    """
    x, p = np.asarray(points, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    total = np.zeros(x.shape)
    for k, vertex in enumerate(np.eye(x.shape[-1])):
        total += p[..., k, None] * x[..., k, None] * (vertex - x)
    return np.asarray(total * decay / np.broadcast_to(np.asarray(temperature), x.shape[:-1])[..., None])


def frozen_flow_velocity(log_points: npt.ArrayLike, *, decay: float) -> Array:
    """Return decay x (y - sum(x y)), x = softmax(y).

    Parameters
    ----------
    log_points : array_like
        Rows of finite logarithms y.
    decay : float
        Positive.

    Returns
    -------
    array of float64
        Of that shape.

    Examples
    --------
    >>> frozen_flow_velocity([0.0, 0.0], decay=3.0).tolist()
    [0.0, 0.0]
    """
    y = np.asarray(log_points, dtype=np.float64)
    x = softmax_rows(y)
    return np.asarray(decay * x * (y - np.sum(x * y, axis=-1, keepdims=True)))


def flow_score(
    log_points: npt.ArrayLike, targets: npt.ArrayLike, *, temperature: npt.ArrayLike, beta: float = 1.0
) -> Array:
    """Return the Concrete score of logits beta onehot at temperature beta times this one.

    Parameters
    ----------
    log_points : array_like
        Rows of logarithms.
    targets : array_like of int
        A category per row.
    temperature : array_like
        Positive, broadcast to the rows.
    beta : float, default 1.0
        Positive.

    Returns
    -------
    array of float64
        The shape of the points.

    Examples
    --------
    >>> float(flow_score([[0.0, 0.0]], [0], temperature=1.0).sum().round(12))
    0.0
    """
    y = np.asarray(log_points, dtype=np.float64)
    t = np.broadcast_to(np.asarray(temperature, dtype=np.float64), y.shape[:-1])
    return concrete_score(y, beta * np.eye(y.shape[-1])[np.asarray(targets)], temperature=beta * t)[0]


def flow_step(points: npt.ArrayLike, velocity: npt.ArrayLike, step: npt.ArrayLike) -> Array:
    """Return max(x + step velocity, 0) over its sum.

    Parameters
    ----------
    points, velocity : array_like
        Of one shape.
    step : array_like
        Broadcast to the rows.

    Returns
    -------
    array of float64
        Of that shape, rows of sum 1.

    Examples
    --------
    >>> flow_step([0.5, 0.5], [2.0, -2.0], 1.0).tolist()
    [1.0, 0.0]
    """
    x, v = np.asarray(points, dtype=np.float64), np.asarray(velocity, dtype=np.float64)
    moved = np.maximum(x + np.broadcast_to(np.asarray(step), x.shape[:-1])[..., None] * v, 0.0)
    return np.asarray(moved / np.sum(moved, axis=-1, keepdims=True))


def flow_guidance(grads: npt.ArrayLike, probabilities: npt.ArrayLike) -> Array:
    """Return p (g - sum(p g)), g the mean over samples.

    Parameters
    ----------
    grads : array_like
        An axis of samples, then that of the probabilities.
    probabilities : array_like
        Rows of sum 1.

    Returns
    -------
    array of float64
        The shape of the probabilities.

    Examples
    --------
    >>> flow_guidance([[1.0, 0.0]], [0.5, 0.5]).tolist()
    [0.25, -0.25]
    """
    g, p = np.mean(np.asarray(grads, dtype=np.float64), axis=0), np.asarray(probabilities, dtype=np.float64)
    return np.asarray(p * (g - np.sum(p * g, axis=-1, keepdims=True)))

"""Probabilities of draws, conditional Gumbel numbers, relaxed draws with their densities and gradients."""

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum.reference.random._draws import PURPOSES, gamma, gumbel, gumbel_softmax, logistic, words

__all__ = [
    "binary_concrete",
    "concrete_log_prob",
    "concrete_score",
    "dirichlet",
    "gumbel_given_max",
    "gumbel_softmax_grad",
    "hard_concrete",
    "inclusion_weights",
    "top_k_log_prob",
    "truncated_gumbel",
]

Array = npt.NDArray[Any]


def softmax_rows(x: Array) -> Array:
    y = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return np.asarray(y / np.sum(y, axis=-1, keepdims=True))


def _per_row(t: npt.ArrayLike) -> Array:
    array = np.asarray(t, dtype=np.float64)
    return array[..., None] if array.ndim else array


def _gumbels(x: Array, key: int, place: dict[str, Any]) -> Array:
    """Return x + G, from words of 64 bits."""
    return x + gumbel(words(x.shape, key, PURPOSES["gumbel"], wide=True, **place))


def top_k_log_prob(logits: npt.ArrayLike, indices: npt.ArrayLike, *, ordered: bool = True) -> Array:
    """Return the log probability of draws without replacement; a set's is summed over all its orders.

    Parameters
    ----------
    logits : array_like
        Rows of finite logits.
    indices : array_like of int
        Rows of k categories.
    ordered : bool, default True
        In this order, or in any: k! terms.

    Returns
    -------
    array of float64
        The rows' shape.

    Examples
    --------
    >>> np.exp(top_k_log_prob([[0.0, 0.0, 0.0]], [[2, 0]])).round(6)
    array([0.166667])
    """
    x, chosen = np.asarray(logits, dtype=np.float64), np.asarray(indices)
    found = []
    for row, drawn in zip(x.reshape(-1, x.shape[-1]), chosen.reshape(-1, chosen.shape[-1]), strict=True):
        p = softmax_rows(row)
        total = 0.0
        for order in itertools.permutations(drawn) if not ordered else [drawn]:
            probability, left = 1.0, np.ones(p.size, dtype=np.bool_)
            for i in order:
                probability *= float(p[i] / p[left].sum())
                left[i] = False
            total += probability
        found.append(math.log(total))
    return np.array(found).reshape(x.shape[:-1])


def inclusion_weights(logits: npt.ArrayLike, indices: npt.ArrayLike, threshold: npt.ArrayLike) -> Array:
    """Return p / (1 - exp(-exp(x - threshold))) of the categories drawn.

    Parameters
    ----------
    logits : array_like
        Rows of logits.
    indices : array_like of int
        Rows of k categories.
    threshold : array_like
        One per row; -inf where all were drawn.

    Returns
    -------
    array of float64
        The shape of the indices.

    Examples
    --------
    >>> inclusion_weights([[0.0, 0.0]], [[0, 1]], [-np.inf])
    array([[0.5, 0.5]])
    """
    x, chosen = np.asarray(logits, dtype=np.float64), np.asarray(indices)
    picked, p = (np.take_along_axis(a, chosen, axis=-1) for a in (x, softmax_rows(x)))
    with np.errstate(over="ignore"):
        return np.asarray(p / -np.expm1(-np.exp(picked - np.asarray(threshold)[..., None])))


def truncated_gumbel(logits: npt.ArrayLike, upper: npt.ArrayLike, key: int, **place: Any) -> Array:
    """Return x + G given that it is at most `upper`.

    Parameters
    ----------
    logits, upper : array_like
        Broadcast together to the shape of the logits.
    key : int
        64 bits.
    **place : optional
        streams, position and index_offset, as in `words`.

    Returns
    -------
    array of float64
        The shape of the logits.

    Examples
    --------
    >>> bool(truncated_gumbel(np.zeros(100), -2.0, 1).max() <= -2)
    True
    """
    x = np.asarray(logits, dtype=np.float64)
    return -np.logaddexp(-np.broadcast_to(np.asarray(upper, dtype=np.float64), x.shape), -_gumbels(x, key, place))


def gumbel_given_max(logits: npt.ArrayLike, maximum: npt.ArrayLike, key: int, **place: Any) -> Array:
    """Return x + G given the largest of a row.

    Parameters
    ----------
    logits : array_like
        Rows of logits, each with one above -inf.
    maximum : array_like
        One for all rows or one per row.
    key : int
        64 bits.
    **place : optional
        streams, position and index_offset, as in `words`.

    Returns
    -------
    array of float64
        The shape of the logits.

    Examples
    --------
    >>> bool(gumbel_given_max([0.0, 1.0, 2.0], 3.5, 1).max() == 3.5)
    True
    """
    x = np.asarray(logits, dtype=np.float64)
    g, t = _gumbels(x, key, place), _per_row(maximum)
    with np.errstate(divide="ignore"):
        v = t - g + np.log1p(-np.exp(g - np.max(g, axis=-1, keepdims=True)))
        return np.asarray(np.where(v == np.inf, -np.inf, t - np.maximum(v, 0) - np.log1p(np.exp(-np.abs(v)))))


def gumbel_softmax_grad(
    logits: npt.ArrayLike, key: int, *, dy: npt.ArrayLike, temperature: npt.ArrayLike = 1.0, position: int = 0
) -> Array:
    """Return y (dy - sum(y dy)) / temperature, y from `gumbel_softmax`.

    Parameters
    ----------
    logits : array_like
        Rows.
    key : int
        64 bits.
    dy : array_like
        The gradient with respect to y, of the shape of the logits.
    temperature : array_like, default 1.0
        Positive; a scalar or the rows' shape.
    position : int, default 0
        As in `words`.

    Returns
    -------
    array of float64
        Of that shape.

    Examples
    --------
    >>> bool(abs(gumbel_softmax_grad([0.0, 0.0], 1, dy=[1.0, 0.0]).sum()) < 1e-15)
    True
    """
    y, g = gumbel_softmax(logits, key, temperature=temperature, position=position), np.asarray(dy, dtype=np.float64)
    return np.asarray(y * (g - np.sum(y * g, axis=-1, keepdims=True)) / _per_row(temperature))


def concrete_log_prob(
    log_points: npt.ArrayLike, logits: npt.ArrayLike, *, temperature: npt.ArrayLike, of_points: bool = False
) -> Array:
    """Return the log density of the Concrete distribution of logarithms, or of points.

    Parameters
    ----------
    log_points, logits : array_like
        Rows of one length.
    temperature : array_like
        Positive; a scalar or the rows' shape.
    of_points : bool, default False
        The density on the simplex.

    Returns
    -------
    array of float64
        The rows' shape.

    Examples
    --------
    >>> float(concrete_log_prob([-0.5], [2.0], temperature=0.5))
    0.0
    """
    y, x = np.asarray(log_points, dtype=np.float64), np.asarray(logits, dtype=np.float64)
    s, n = x - _per_row(temperature) * y, y.shape[-1]
    peak = np.max(s, axis=-1)
    log_sum = peak + np.log(np.sum(np.exp(s - peak[..., None]), axis=-1))
    found = math.lgamma(n) + (n - 1) * np.log(temperature) + np.sum(s, axis=-1) - n * log_sum
    return np.asarray(found - (np.sum(y, axis=-1) if of_points else 0.0))


def concrete_score(
    log_points: npt.ArrayLike, logits: npt.ArrayLike, *, temperature: npt.ArrayLike
) -> tuple[Array, Array]:
    """Return the gradients of `concrete_log_prob` with respect to both arrays.

    Parameters
    ----------
    log_points, logits : array_like
        Rows of one length.
    temperature : array_like
        Positive; a scalar or the rows' shape.

    Returns
    -------
    pair of arrays of float64
        Of their shape.

    Examples
    --------
    >>> concrete_score([0.0, 0.0], [0.0, 0.0], temperature=1.0)[1].tolist()
    [0.0, 0.0]
    """
    y, x = np.asarray(log_points, dtype=np.float64), np.asarray(logits, dtype=np.float64)
    t = _per_row(temperature)
    of_logits = 1 - y.shape[-1] * softmax_rows(x - t * y)
    return np.asarray(-t * of_logits), np.asarray(of_logits)


def binary_concrete(logits: npt.ArrayLike, key: int, *, temperature: npt.ArrayLike = 1.0, **place: Any) -> Array:
    """Return sigmoid((x + L) / temperature), L logistic from words of 32 bits.

    Parameters
    ----------
    logits : array_like
        Log odds.
    key : int
        64 bits.
    temperature : array_like, default 1.0
        Positive, broadcast to the logits.
    **place : optional
        streams, position and index_offset, as in `words`.

    Returns
    -------
    array of float64
        The shape of the logits.

    Examples
    --------
    >>> binary_concrete([500.0, -500.0], 1).round(6).tolist()
    [1.0, 0.0]
    """
    x = np.asarray(logits, dtype=np.float64)
    z = (x + logistic(words(x.shape, key, PURPOSES["logistic"], **place))) / np.asarray(temperature, dtype=np.float64)
    small = np.exp(-np.abs(z))
    return np.asarray(np.where(z < 0, small, 1.0) / (1 + small))


def hard_concrete(
    logits: npt.ArrayLike,
    key: int,
    *,
    temperature: npt.ArrayLike = 2 / 3,
    stretch: tuple[float, float] = (-0.1, 1.1),
    **place: Any,
) -> Array:
    """Return the gates of `binary_concrete` stretched to an interval and cut to [0, 1].

    Parameters
    ----------
    logits, key, temperature : optional
        As in `binary_concrete`.
    stretch : pair of float, default (-0.1, 1.1)
        The interval.
    **place : optional
        As in `binary_concrete`.

    Returns
    -------
    array of float64
        The shape of the logits.

    Examples
    --------
    >>> hard_concrete([500.0, -500.0], 1).tolist()
    [1.0, 0.0]
    """
    low, high = stretch
    return np.clip(low + (high - low) * binary_concrete(logits, key, temperature=temperature, **place), 0.0, 1.0)


def dirichlet(concentration: npt.ArrayLike, key: int, **place: Any) -> Array:
    """Return the softmax of logarithms of gamma numbers.

    Parameters
    ----------
    concentration : array_like
        Rows of positive numbers.
    key : int
        64 bits.
    **place : optional
        streams and position, as in `words`.

    Returns
    -------
    array of float64
        Of that shape, rows of sum 1.

    Examples
    --------
    >>> float(dirichlet([2.0, 3.0], 1).sum().round(12))
    1.0
    """
    return softmax_rows(gamma(concentration, key, **place))

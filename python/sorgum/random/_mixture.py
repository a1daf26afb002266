"""Mixtures of experts as policies: the density of a Gaussian mixture, and a gradient for the router."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum._arguments.halves import wide_floats_of
from sorgum.random._formulas import tree_sum
from sorgum.random._rows import rows_of
from sorgum.special import log, log_softmax, logsumexp, softmax, softmax_grad

__all__ = ["frequency_gradient", "gaussian_mixture_log_prob"]

_HALF_LOG_TAU = float.fromhex("0x1.d67f1c864beb5p-1")  # log(2 pi) / 2


def gaussian_mixture_log_prob(
    points: npt.ArrayLike, logits: npt.ArrayLike, means: npt.ArrayLike, scales: npt.ArrayLike
) -> Any:
    """Return the logarithm of the density of a mixture of normal distributions with independent components.

    Parameters
    ----------
    points : array_like
        a, the last axis of length D.
    logits : array_like
        The router's, the last axis of length K: weights are their softmax. -inf is weight 0.
    means, scales : array_like
        The last axes of lengths K and D: m, and standard deviations s, positive and finite.

    Returns
    -------
    ndarray or scalar of float64
        The shape to which all but these axes broadcast: the logsumexp over k of log_softmax(logits)_k less the sum over
        d of ((a - m) / s)**2 / 2 + log(s) + log(2 pi) / 2. A point far from all means does not underflow.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit, or a scale is not positive and finite.

    Notes
    -----
    The policy of Ren, Li, Ding, Pan and Dong, "Probabilistic Mixture-of-Experts for Efficient Deep Reinforcement
    Learning", 2021 (arXiv 2104.09122). In float64; the sums over d by halves. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> points, means = [[0.5], [3.0]], [[0.0], [1.0]]  # two points, two components in one dimension
    >>> sg.random.gaussian_mixture_log_prob(points, np.log([[0.5, 0.5], [0.5, 0.5]]), means, [[1.0], [1.0]]).round(4)
    array([-1.0439, -3.5332])
    """
    function = "gaussian_mixture_log_prob"
    given: dict[str, Any] = {"points": points, "logits": logits, "means": means, "scales": scales}
    a, x, m, s = (wide_floats_of(function, name, value).astype(np.float64) for name, value in given.items())
    for name, array, axes in (("points", a, 1), ("logits", x, 1), ("means", m, 2), ("scales", s, 2)):
        if array.ndim < axes:
            raise ValueError(f"{function}: {name} must have at least {axes} axes, got shape {array.shape}")
    if not np.all((s > 0) & (s < np.inf)):
        wrong = float(s[~((s > 0) & (s < np.inf))].flat[0])
        raise ValueError(f"{function}: scales must be positive and finite, got {wrong}")
    kd = (x.shape[-1], a.shape[-1])
    for name, array in (("means", m), ("scales", s)):
        if array.shape[-2:] != kd:
            raise ValueError(f"{function}: {name} must end with axes of lengths {kd}, got shape {array.shape}")
    try:
        np.broadcast_shapes(a.shape[:-1], x.shape[:-1], m.shape[:-2], s.shape[:-2])
    except ValueError:
        shapes = f"{a.shape}, {x.shape}, {m.shape} and {s.shape}"
        raise ValueError(f"{function}: points, logits, means and scales must broadcast, got shapes {shapes}") from None
    with np.errstate(over="ignore", invalid="ignore"):
        z = (a[..., None, :] - m) / s
        terms = log_softmax(x) - tree_sum(0.5 * (z * z) + (log(s) + _HALF_LOG_TAU))
    return logsumexp(terms)


def frequency_gradient(logits: npt.ArrayLike, values: npt.ArrayLike, *, axis: int = -1) -> tuple[Any, Array]:
    """Return the loss that moves a router's weights to the frequencies with which experts are best, and its gradient.

    Parameters
    ----------
    logits : array_like
        The router's.
    values : array_like
        The same shape: what the action of each expert is worth, no NaN.
    axis : int, default -1
        The axis of the experts.

    Returns
    -------
    loss : ndarray or scalar of float64
        The rows' shape: the sum of (v - w)**2, w = softmax(logits) and v the one-hot row of the best expert, the first
        of equal ones.
    gradient : ndarray of float64
        The shape of `logits`: that of the loss with respect to them.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit, or a value is NaN.

    Notes
    -----
    The frequency approximate gradient of Ren et al. 2021 (arXiv 2104.09122), their loss written from memory and
    compared with two implementations by others, which take the mean over experts for the sum. The best expert is taken
    as given, so that values, and actions, have no gradient. Over draws of the actions the mean of v is the frequency
    with which each expert is best, and there the mean gradient vanishes. In float64; sums by halves. Tier: bitwise.

    Examples
    --------
    >>> import sorgum as sg
    >>> loss, gradient = sg.random.frequency_gradient([0.0, 0.0], [3.0, 1.0])
    >>> gradient
    array([-0.5,  0.5])
    """
    function = "frequency_gradient"
    x = rows_of(function, logits, axis, 1.0, None, None, 0).in_float64()
    given = wide_floats_of(function, "values", values)
    if given.shape != np.shape(logits):
        raise ValueError(f"{function}: values must have shape {np.shape(logits)}, got {given.shape}")
    if np.any(np.isnan(given)):
        raise ValueError(f"{function}: values must not be NaN, got one")
    if x.shape[-1] == 0:
        raise ValueError(f"{function}: logits must have experts, got none")
    w = softmax(x)
    best = np.argmax(np.moveaxis(given, axis, -1), axis=-1)
    off = w - (np.arange(x.shape[-1]) == best[..., None])
    return tree_sum(off * off)[()], np.moveaxis(np.asarray(softmax_grad(w, dy=2 * off)), -1, axis)

"""Mixtures of experts as policies."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum.reference.random._relaxed import softmax_rows

__all__ = ["frequency_gradient", "gaussian_mixture_log_prob"]

Array = npt.NDArray[Any]


def gaussian_mixture_log_prob(
    points: npt.ArrayLike, logits: npt.ArrayLike, means: npt.ArrayLike, scales: npt.ArrayLike
) -> Array:
    """Return the log density of a mixture of normal distributions with independent components.

    Parameters
    ----------
    points, logits, means, scales : array_like
        Last axes D, K, (K, D) and (K, D).

    Returns
    -------
    array of float64
        The shape to which the other axes broadcast.

    Examples
    --------
    >>> float(gaussian_mixture_log_prob([0.0], [0.0], [[0.0]], [[1.0]]).round(6))
    -0.918939
    """
    a, x, m, s = (np.asarray(v, dtype=np.float64) for v in (points, logits, means, scales))
    z = (a[..., None, :] - m) / s
    terms = np.log(softmax_rows(x)) - np.sum(z * z / 2 + np.log(s) + np.log(2 * np.pi) / 2, axis=-1)
    peak = np.max(terms, axis=-1, keepdims=True)
    return np.asarray(peak[..., 0] + np.log(np.sum(np.exp(terms - peak), axis=-1)))


def frequency_gradient(logits: npt.ArrayLike, values: npt.ArrayLike) -> tuple[Array, Array]:
    """Return the sum of (v - w)**2, w = softmax(logits), v one-hot at the largest value, and its gradient.

    Parameters
    ----------
    logits, values : array_like
        Of one shape.

    Returns
    -------
    pair of arrays of float64
        The rows' shape; the shape of the logits.

    Examples
    --------
    >>> frequency_gradient([0.0, 0.0], [1.0, 0.0])[1].tolist()
    [-0.5, 0.5]
    """
    w, q = softmax_rows(np.asarray(logits, dtype=np.float64)), np.asarray(values)
    off = w - np.eye(w.shape[-1])[np.argmax(q, axis=-1)]
    inner = np.sum(w * 2 * off, axis=-1, keepdims=True)
    return np.asarray(np.sum(off**2, axis=-1)), np.asarray(w * (2 * off - inner))

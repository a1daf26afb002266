"""What policies compute, by other means: bisection, and NumPy's least squares."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["chebyshev_fit", "tsallis_probabilities", "young_factor"]


def young_factor(mu: npt.ArrayLike, *, dtype: npt.DTypeLike = np.float64) -> Any:
    """Return the best factor of a consistently ordered matrix with the Jacobi radius mu.

    Parameters
    ----------
    mu : array_like
        Below 1.
    dtype : dtype, optional
        The type to compute in.

    Returns
    -------
    array or scalar

    Examples
    --------
    >>> float(young_factor(0.8))
    1.25
    """
    radius = np.asarray(mu, dtype=dtype)
    return (2 / (1 + np.sqrt(1 - radius * radius)))[()]


def tsallis_probabilities(losses: npt.ArrayLike, rate: float, *, dtype: npt.DTypeLike = np.float64) -> Any:
    """Return p_i = 4 / (rate (losses_i - x))^2, with the x below all losses for which their sum is 1.

    Parameters
    ----------
    losses : array_like of shape (arms,)
    rate : float
        Positive.
    dtype : dtype, optional
        The type to compute in.

    Returns
    -------
    array of shape (arms,)

    Examples
    --------
    >>> tsallis_probabilities([0.0, 0.0], 0.1)
    array([0.5, 0.5])
    """
    k = np.asarray(losses, dtype=dtype)
    k = k - k.min()
    low, high = -2 * np.sqrt(np.asarray(k.size, dtype)) / rate, np.asarray(-2, dtype) / rate
    for _ in range(200):
        x = (low + high) / 2
        low, high = (x, high) if np.sum(4 / (rate * (k - x)) ** 2) < 1 else (low, x)
    p = 4 / (rate * (k - x)) ** 2
    return p / p.sum()


def chebyshev_fit(
    contexts: npt.ArrayLike, losses: npt.ArrayLike, coefficients: int, low: float, high: float, *,
    dtype: npt.DTypeLike = np.float64,
) -> Any:  # fmt: skip
    """Return the coefficients of the polynomial through losses, by least squares, of the smallest norm.

    Parameters
    ----------
    contexts, losses : array_like of shape (t,)
    coefficients : int
    low, high : float
        The interval of contexts.
    dtype : dtype, optional
        The type to compute in.

    Returns
    -------
    array of shape (coefficients,)

    Examples
    --------
    >>> chebyshev_fit([0.0, 1.0], [1.0, 3.0], 2, 0.0, 1.0).round(12)
    array([2., 1.])
    """
    z = 2 * (np.asarray(contexts, dtype=dtype) - low) / (high - low) - 1
    features = np.polynomial.chebyshev.chebvander(z, coefficients - 1)
    return np.linalg.lstsq(features, np.asarray(losses, dtype=dtype), rcond=None)[0]

"""Formulas that several draws and densities are made of."""

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum.special import exp, log


def tree_sum(x: Array) -> Array:
    """Add along the last axis by halves, in an order that depends on the length alone."""
    while x.shape[-1] > 1:
        half = (x.shape[-1] + 1) // 2
        folded = x[..., :half].copy()
        folded[..., : x.shape[-1] - half] += x[..., half:]
        x = folded
    return x[..., 0] if x.shape[-1] else np.zeros(x.shape[:-1])


def two_sum(x: Array, noise: Array) -> tuple[Array, Array]:
    """Return x + noise as an unevaluated sum of two float64, as draws compare it (csrc/math/gumbel_max.h)."""
    value = x + noise
    with np.errstate(invalid="ignore"):  # of -inf
        added = value - x
        low = (x - (value - added)) + (noise - added)
    return value, np.where(np.isfinite(value), low, 0.0)


def log_one_minus_exp(log_z: Array) -> Array:
    """Return log(1 - exp(-z))."""
    z = exp(log_z)
    small = np.minimum(z, 0.5)
    ratio = 1 - small / 15  # (1 - exp(-z)) / z by its series
    for n in range(14, 1, -1):
        ratio = 1 - small / n * ratio
    return np.asarray(np.where(z < 0.5, log_z + log(ratio), log(1 - exp(-z))))

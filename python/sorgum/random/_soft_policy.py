"""The probability of soft tokens under a policy, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, floats_of
from sorgum._arguments.halves import wide_floats_of, widened
from sorgum._arguments.results import one_nan
from sorgum._arguments.scalars import number_of
from sorgum.interop import bfloat16
from sorgum.random._formulas import tree_sum
from sorgum.random._rows import categories_of, positive_temperature, rows_of
from sorgum.random._soft_tokens import CLAMP, FLOOR, clamp_of, floor_of, log_probabilities
from sorgum.special import exp

__all__ = ["soft_token_log_prob", "soft_token_log_prob_grad"]

_MASK_THRESHOLD = -3.0


def _eps(dtype: np.dtype[Any]) -> float:
    return 2.0**-7 if bfloat16.is_bfloat16(dtype) else float(np.finfo(dtype).eps)


def _policy(
    function: str,
    logits: npt.ArrayLike,
    indices: npt.ArrayLike,
    log_weights: npt.ArrayLike,
    temperature: npt.ArrayLike,
    clamp: tuple[float, float],
    floor: float,
    mask_threshold: float,
    axis: int,
) -> tuple[Array, Array, Array, Array, Array]:
    """Return q, the share of each category in the mean, clamped noise, where it was not clamped, and T."""
    rows = rows_of(function, logits, axis, temperature, None, None, 0)
    low, high = clamp_of(function, clamp)
    least = floor_of(function, floor)
    threshold = number_of(function, "mask_threshold", mask_threshold)
    if np.isnan(threshold):
        raise ValueError(f"{function}: mask_threshold must not be NaN, got {threshold}")
    t = rows.per_row(function, "temperature", positive_temperature(function, rows.temperature))
    at = categories_of(function, indices, rows.logits)
    given = floats_of(function, "log_weights", log_weights)
    g, eps = widened(given), max(_eps(given.dtype), 2.0**-49)
    if g.shape != at.shape:
        raise ValueError(f"{function}: log_weights must have the shape of indices, {at.shape}, got {g.shape}")
    there = at >= 0
    x = widened(np.take_along_axis(rows.logits, np.maximum(at, 0), axis=-1)) if at.size else np.zeros(at.shape)
    q, logs = log_probabilities(np.where(there, x, -np.inf).astype(np.float64), t, least)
    counted = there & ~(logs <= threshold)  # NaN counts
    share = counted / np.maximum(1, np.count_nonzero(counted, axis=-1))[..., None]
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that no rollout stores
        noise = np.where(counted, g.astype(np.float64) - logs, 0.0)
        # What the rollout clamped stands next to the clamp, on either side, since g was rounded.
        near = (1 + np.abs(np.where(counted, g, 0).astype(np.float64))) * eps
        inside = ~((noise <= low + near) | (noise >= high - near))
    return q, share, np.clip(noise, low, high), inside, t


def soft_token_log_prob(
    logits: npt.ArrayLike,
    indices: npt.ArrayLike,
    log_weights: npt.ArrayLike,
    *,
    temperature: npt.ArrayLike = 1.0,
    clamp: tuple[float, float] = CLAMP,
    floor: float = FLOOR,
    mask_threshold: float = _MASK_THRESHOLD,
    axis: int = -1,
) -> Any:
    """Return SofT-GRPO's logarithm of the probability with which a policy draws these soft tokens.

    Parameters
    ----------
    logits : array_like
        The policy's, as in `categorical`. Only those at `indices` are read: a gathered array of k logits per row, with
        ``indices=np.arange(k)``, gives the same.
    indices, log_weights : array_like
        What `soft_token_step` returned: the rows' shape and k; index -1 is none.
    temperature : float or array_like, default 1.0
        T, positive and finite: one for all rows or one per row.
    clamp, floor : optional
        As in `soft_token_step`.
    mask_threshold : float, default -3.0
        Categories count whose log(q + floor) is above it; -inf: all.
    axis : int, default -1
        The axis of the categories.

    Returns
    -------
    ndarray or scalar of float64
        The rows' shape: the mean over the categories that count of -e - exp(-e), e = clamp(g - log(q + floor)), with q
        = softmax(x / T) over `indices` and g the log_weights. 0 where none counts. NaN where a logit is, or a weight
        that counts.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit, an index is out of range or repeats, or a number is out of range.

    Notes
    -----
    Zheng and Lee 2025 (arXiv 2511.06411), as its code has it, without the softmax over the vocabulary, whose
    denominator cancels in q. With the policy of the rollout the value is always the same bits, so that the ratio is
    exactly 1.

    It is no logarithm of a density: it is the mean over the categories, where that has the sum (k independent Gumbel
    numbers); categories of small q are left out; clamped noise has atoms of probability 0.0113 at -1.5 and 0.0486 at 3;
    and it is of g, not of the weights, which have lost a constant. Its k terms are formed in float64 and summed by
    halves. Rows whose policy draws a single token have their usual log_softmax, which is not this function's.
    Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> logits = np.float32([[2.0, 1.0, 0.5, -1.0, 0.0]])
    >>> tokens = sg.random.soft_token_step(logits, 3, rng=1)
    >>> old, new = (sg.random.soft_token_log_prob(x, *tokens[::2]) for x in (logits, logits + np.float32(1.0)))
    >>> sg.special.exp(new - old)  # a constant added to the logits is the same policy
    array([1.])
    """
    _, share, noise, _, _ = _policy(
        "soft_token_log_prob", logits, indices, log_weights, temperature, clamp, floor, mask_threshold, axis
    )
    with np.errstate(over="ignore", invalid="ignore"):
        return one_nan(tree_sum(np.where(share > 0, -noise - exp(-noise), 0.0) * share))[()]


def soft_token_log_prob_grad(
    logits: npt.ArrayLike,
    indices: npt.ArrayLike,
    log_weights: npt.ArrayLike,
    *,
    dy: npt.ArrayLike,
    temperature: npt.ArrayLike = 1.0,
    clamp: tuple[float, float] = CLAMP,
    floor: float = FLOOR,
    mask_threshold: float = _MASK_THRESHOLD,
    axis: int = -1,
) -> Array:
    """Pull a gradient back through `soft_token_log_prob` to the logits at the indices; that of all others is 0.

    Parameters
    ----------
    logits, indices, log_weights : array_like
        As in `soft_token_log_prob`.
    dy : array_like
        The gradient with respect to what `soft_token_log_prob` returned: the rows' shape, or one number for all.
    temperature, clamp, floor, mask_threshold, axis : optional
        As in `soft_token_log_prob`.

    Returns
    -------
    ndarray of float64
        The shape of `indices`; 0 for index -1. To the whole vocabulary:
        ``np.put_along_axis(zeros, indices, gradient, -1)``, where no index is -1.

    Raises
    ------
    TypeError, ValueError
        As `soft_token_log_prob`; and if the shape of `dy` is another.

    Notes
    -----
    (w - q sum(w)) / T with w = (1 - exp(-e)) q / (q + floor) / n for the n categories that count and whose noise e is
    not clamped, else 0. Noise counts as clamped within (1 + |g|) eps of the clamp too, eps that of the dtype of
    `log_weights`: what the rollout clamped has no gradient under its own policy, where in the paper's code the rounding
    of g decides. Which categories count is taken as given. Rows sum to 0. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> x = np.float64([2.0, 1.0, 0.5, -1.0, 0.0])
    >>> tokens = sg.random.soft_token_step(x, 3, rng=1)
    >>> tokens.indices
    array([0, 1, 2])
    >>> sg.random.soft_token_log_prob_grad(x, tokens.indices, tokens.log_weights, dy=1.0).round(6)
    array([ 0.152977, -0.102832, -0.050144])
    >>> step = 1e-6 * (np.arange(5) == tokens.indices[0])  # the first of them by differences
    >>> up, down = (sg.random.soft_token_log_prob(x + s, tokens.indices, tokens.log_weights) for s in (step, -step))
    >>> round(float(up - down) / 2e-6, 6)
    0.152977
    """
    function = "soft_token_log_prob_grad"
    q, share, noise, inside, t = _policy(
        function, logits, indices, log_weights, temperature, clamp, floor, mask_threshold, axis
    )
    upstream = wide_floats_of(function, "dy", dy).astype(np.float64)
    if upstream.shape not in ((), q.shape[:-1]):
        raise ValueError(f"{function}: dy must have the shape of the rows, {q.shape[:-1]}, got {upstream.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        of_log = np.where(inside & (share > 0), (1 - exp(-noise)) * share, 0.0)
        w = of_log * np.where(q > 0, q / np.where(q > 0, q + floor, 1.0), 0.0)
        found = (w - q * tree_sum(w)[..., None]) / (t[..., None] if t.ndim else t)
        return one_nan(found * (upstream[..., None] if upstream.ndim else upstream) + 0.0)  # one sign of zero

"""Draws without replacement."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum._arguments.arrays import Array, float64s_of
from sorgum._arguments.scalars import flag_of, int_of, require_option
from sorgum.interop.arrays import kind_of, shown
from sorgum.random._filters import FILTER_ORDER, FilterOrder, Ties, filters_of
from sorgum.random._formulas import log_one_minus_exp, tree_sum
from sorgum.random._keys import Rng, key_of
from sorgum.random._places import index_offset_of
from sorgum.random._rows import DRAW, categories_of, positive_temperature, refuse_invalid, rows_of
from sorgum.special import exp, log, log_softmax, logsumexp

__all__ = ["TopK", "gumbel_top_k", "inclusion_weights", "top_k_log_prob"]


class TopK(NamedTuple):
    """A sample without replacement, as `gumbel_top_k` returns it.

    Attributes
    ----------
    indices : ndarray of int64
        The rows' shape and k: the categories, in the order of the draw.
    perturbed : ndarray of float64
        The same shape: their x + T G, descending.
    threshold : ndarray of float64
        The rows' shape: the largest x + T G of those not drawn, -inf if there is none.
    """

    indices: Any
    perturbed: Any
    threshold: Any


def gumbel_top_k(
    logits: npt.ArrayLike,
    k: int,
    *,
    rng: Rng,
    axis: int = -1,
    temperature: npt.ArrayLike = 1.0,
    top_k: npt.ArrayLike | None = None,
    top_p: npt.ArrayLike | None = None,
    min_p: npt.ArrayLike | None = None,
    where: npt.ArrayLike | None = None,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    filter_order: FilterOrder = FILTER_ORDER,
    ties: Ties = "first",
    on_invalid: Literal["raise", "minus_one"] = "raise",
) -> TopK:
    """Draw k categories per row without replacement, in order.

    Parameters
    ----------
    logits : array_like
        As in `categorical`.
    k : int
        How many, from 0 to the number of categories.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    axis, temperature, where, streams, position, index_offset : optional
        As in `categorical`. T = 0: the k largest logits, of equal ones the first.
    top_k, top_p, min_p, filter_order, ties : optional
        Draw only from what these keep, as in `categorical`. `top_k` is how many categories there are to draw from, `k`
        how many of them are drawn.
    on_invalid : {"raise", "minus_one"}, default "raise"
        What becomes of a row with NaN or +inf: a ValueError, or indices of -1 and NaN.

    Returns
    -------
    TopK
        indices, perturbed and threshold. Where fewer than k categories are above -inf, or kept by the filters, the rest
        of the row has index -1 and -inf.

    Raises
    ------
    TypeError, ValueError
        As `categorical`; and if k is out of range.

    Notes
    -----
    The k largest x + T G make an ordered sample without replacement (Kool, van Hoof and Welling, "Stochastic Beams and
    Where to Find Them", 2019, section 2): P(i1, ..., ik) = prod softmax(x / T over what is left)[ij]. The first is what
    `categorical` draws with the same arguments. The sums are compared exactly; perturbed has them rounded to float64.
    `top_k_log_prob` has the probability of a sample, `inclusion_weights` what sums over it are weighted with.

    With filters the sample is that from the logits that `filter_logits` returns, bit for bit: each row is filtered
    once, before the first category is drawn, and not again from what is left. There is no promise for shards then. For
    the two functions above give ``filter_logits(logits, ...)`` and the temperature. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> drawn = sg.random.gumbel_top_k([0.0, 1.0, 2.0, -np.inf], 3, rng=1)
    >>> sorted(drawn.indices.tolist())
    [0, 1, 2]
    >>> bool(drawn.indices[0] == sg.random.categorical([0.0, 1.0, 2.0, -np.inf], rng=1))
    True
    """
    secret = key_of("gumbel_top_k", rng)
    rows = rows_of("gumbel_top_k", logits, axis, temperature, where, streams, position)
    require_option("gumbel_top_k", "on_invalid", on_invalid, "raise", "minus_one")
    most, length = int_of("gumbel_top_k", "k", k) + 1, rows.logits.shape[-1]
    if not 0 < most <= length + 1:
        raise ValueError(f"gumbel_top_k: k must be in [0, {length}], got {shown(most - 1)}")
    filters = None
    if top_k is not None or top_p is not None or min_p is not None:
        filters = filters_of("gumbel_top_k", axis, rows.logits.ndim, top_k, top_p, min_p, filter_order, ties)
    out = np.empty((*rows.logits.shape[:-1], 3 * most))
    _core.random.gumbel_top(
        "gumbel_top_k",
        rows.logits,
        rows.temperature,
        rows.where,
        most,
        secret,
        rows.streams,
        rows.position,
        index_offset_of("gumbel_top_k", index_offset),
        out,
        filters,
    )
    drawn = out.view(DRAW)
    spoilt = np.isnan(drawn["value"][..., -1])
    if on_invalid == "raise":
        refuse_invalid("gumbel_top_k", spoilt, spoilt)
    kept = drawn[..., :-1]
    return TopK(kept["index"].copy(), kept["value"].copy(), drawn["value"][..., -1].copy()[()])


_LEFT = -40.0  # where the integrand's rest is below exp(-39) of the integral
_BLOCK = 1 << 18  # numbers worked on at a time


def _chosen(
    function: str,
    logits: npt.ArrayLike,
    indices: npt.ArrayLike,
    axis: int,
    temperature: npt.ArrayLike,
    argument: str = "indices",
) -> tuple[Array, Array, Array, Array]:
    """Return the chosen x / T (-inf for index -1), which of them there are, the logsumexp of all others, and T."""
    rows = rows_of(function, logits, axis, temperature, None, None, 0)
    t = rows.per_row(function, "temperature", positive_temperature(function, rows.temperature))
    at, wide = categories_of(function, indices, rows.logits, argument), rows.in_float64()
    with np.errstate(over="ignore"):
        wide = wide / (t[..., None] if t.ndim else t)
    there = at >= 0
    rest = np.ones((*wide.shape[:-1], wide.shape[-1] + 1), np.bool_)
    np.put_along_axis(rest, at, False, axis=-1)  # -1: the one behind the row
    padded = np.concatenate([wide, np.full((*wide.shape[:-1], 1), -np.inf)], axis=-1)
    return np.take_along_axis(padded, at, axis=-1), there, logsumexp(wide, where=rest[..., :-1]), t


def top_k_log_prob(
    logits: npt.ArrayLike,
    indices: npt.ArrayLike,
    *,
    ordered: bool = True,
    axis: int = -1,
    temperature: npt.ArrayLike = 1.0,
) -> Any:
    """Return the logarithm of the probability that `gumbel_top_k` draws these categories.

    Parameters
    ----------
    logits : array_like
        As in `categorical`, without NaN and +inf.
    indices : array_like of int
        The rows' shape and k: what was drawn, in order; -1 is none. No category twice.
    ordered : bool, default True
        The probability of drawing them in this order; else in any, that of the set.
    axis : int, default -1
        The axis of the categories.
    temperature : float or array_like, default 1.0
        What it drew with, positive: a scalar or one per row.

    Returns
    -------
    ndarray or scalar of float64
        The rows' shape. -inf where a category of logit -inf is among them, which is never drawn.

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        If an index is out of range or repeats, or a shape does not fit.

    Notes
    -----
    x stands for x / T, rounded to float64. Ordered: sum over j of log_softmax of x_j among what is not drawn before it
    (Plackett and Luce; Kool, van Hoof and Welling, "Stochastic Beams and Where to Find Them", 2019, equation 4). Every
    term has the bound of `log_softmax` in float64, also where it is nearly 0.

    The set (Kool, van Hoof and Welling, "Estimating Gradients for Discrete Random Variables by Sampling without
    Replacement", 2020, appendix B): the integral over u > 0 of exp(-u) prod(1 - exp(-u p_j / p_rest)), by the
    trapezoidal rule in log(u), within 1e-13. Cost: k**2 and some 800 k exponentials per row. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> logits = np.log([0.5, 0.2, 0.15, 0.1, 0.05])
    >>> np.exp([sg.random.top_k_log_prob(logits, order) for order in ([0, 2], [2, 0])]).round(6)
    array([0.15    , 0.088235])
    >>> np.exp([sg.random.top_k_log_prob(logits, [2, 0], ordered=False)]).round(6)
    array([0.238235])
    """
    by = _ordered if flag_of("top_k_log_prob", "ordered", ordered) else _unordered
    chosen, there, rest, _ = _chosen("top_k_log_prob", logits, indices, axis, temperature)
    impossible = np.any(there & (chosen == -np.inf), axis=-1)
    return np.where(impossible, -np.inf, by(chosen, there, rest))[()]


def _ordered(chosen: Array, there: Array, rest: Array) -> Array:
    k = chosen.shape[-1]
    present = np.concatenate([there, np.ones((*rest.shape, 1), np.bool_)], axis=-1)[..., None, :]
    logs = np.concatenate([chosen, rest[..., None]], axis=-1)[..., None, :]
    terms = np.zeros(chosen.shape)
    step = max(1, _BLOCK // ((k + 1) * max(1, rest.size)))
    for first in range(0, k, step):  # term j: x_j among those from j on and the rest
        j = np.arange(first, min(first + step, k))
        left = present & (np.arange(k + 1) >= j[:, None])
        shape = (*rest.shape, j.size, k + 1)
        among = log_softmax(np.broadcast_to(logs, shape), where=left)
        terms[..., j] = np.where(there[..., j], among[..., np.arange(j.size), j], 0.0)
    return tree_sum(terms)


def _unordered(chosen: Array, there: Array, rest: Array) -> Array:
    k = chosen.shape[-1]
    right = 0.7 * (50 + 11 * k).bit_length()  # at least log(k + 10 sqrt(k) + 50)
    # The integrand's peak is about 1 / sqrt(k) wide, and the rule's error exp(-2 (pi width / step)**2).
    step = 1 / 16 / 2 ** (((k // 64).bit_length() + 1) // 2)
    x = np.arange(_LEFT, right, step)
    none = ~(rest > -np.inf)  # nothing else could have been drawn
    ratio = np.where(none[..., None], 0.0, chosen - np.where(none, 0.0, rest)[..., None])
    total = np.broadcast_to(x - exp(x), (*rest.shape, x.size))
    for j in range(k):
        factor = log_one_minus_exp(ratio[..., j, None] + x)
        total = total + np.where(there[..., j, None], factor, 0.0)
    found = logsumexp(total) + log(np.array(step))
    return np.asarray(np.where(none, 0.0, np.minimum(found, 0.0)))


def inclusion_weights(
    logits: npt.ArrayLike, drawn: TopK, *, axis: int = -1, log: bool = False, temperature: npt.ArrayLike = 1.0
) -> Array:
    """Return the weights p / q that make sums over a sample of `gumbel_top_k` estimate expectations.

    Parameters
    ----------
    logits : array_like
        What was drawn from.
    drawn : TopK
        What `gumbel_top_k` returned for them.
    axis : int, default -1
        The axis of the categories.
    log : bool, default False
        Return logarithms.
    temperature : float or array_like, default 1.0
        What `gumbel_top_k` drew with, positive: a scalar or one per row.

    Returns
    -------
    ndarray of float64
        The shape of ``drawn.indices``; 0 (log: -inf) for index -1, and for a category of logit -inf.

    Raises
    ------
    TypeError, ValueError
        As `top_k_log_prob`.

    Notes
    -----
    p = softmax(x / T), and q = 1 - exp(-exp((x - threshold) / T)) is the probability that x + T G exceeds the
    threshold: with f any function of the category, the sum of p / q f over the sample has the expectation of f as its
    mean (Kool, van Hoof and Welling, "Stochastic Beams and Where to Find Them", 2019, section 4.2). Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> logits = np.tile(np.log([0.5, 0.2, 0.15, 0.1, 0.05]), (20000, 1))  # the mean of the category is 1
    >>> drawn = sg.random.gumbel_top_k(logits, 2, rng=1)
    >>> weights = sg.random.inclusion_weights(logits, drawn)
    >>> drawn.indices[0], weights[0].round(3)
    (array([0, 3]), array([0.518, 0.205]))
    >>> (weights * drawn.indices).sum(-1).mean(keepdims=True).round(2)
    array([1.])
    """
    if not isinstance(drawn, TopK):
        raise TypeError(f"inclusion_weights: drawn must be a TopK, got {kind_of(drawn)}")
    logarithms = flag_of("inclusion_weights", "log", log)
    chosen, there, rest, t = _chosen("inclusion_weights", logits, drawn.indices, axis, temperature, "drawn.indices")
    everything = np.concatenate([chosen, rest[..., None]], axis=-1)
    log_p = log_softmax(everything)[..., :-1]
    threshold = float64s_of("inclusion_weights", "drawn.threshold", drawn.threshold)
    if threshold.shape != rest.shape:
        rule = f"must have the shape of the rows, {rest.shape}"
        raise ValueError(f"inclusion_weights: drawn.threshold {rule}, got shape {threshold.shape}")
    sure, threshold = threshold == -np.inf, threshold / t
    there = there & (chosen > -np.inf)
    log_q = log_one_minus_exp(np.where(there, chosen, 0.0) - np.where(sure, 0.0, threshold)[..., None])
    found = np.where(there, log_p - np.where(sure[..., None], 0.0, log_q), -np.inf)
    return found if logarithms else np.asarray(exp(found))

"""Soft tokens: a few weighted tokens in the place of one."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum._arguments.arrays import Array, float64s_of
from sorgum._arguments.results import new_array
from sorgum._arguments.scalars import int_of, number_of, pair_of, require_option
from sorgum.interop.arrays import shown
from sorgum.random._filters import FILTER_ORDER, FilterOrder, Ties, filters_of
from sorgum.random._formulas import two_sum
from sorgum.random._keys import Rng, key_of
from sorgum.random._rows import Rows, positive_temperature, refuse_invalid, rows_of
from sorgum.special import log, log_softmax, softmax

__all__ = [
    "SoftTokens",
    "dirichlet_resample",
    "gumbel_resample",
    "soft_token_step",
]

_SMALLEST = 2.0**-1000  # concentration
CLAMP = (-1.5, 3.0)
FLOOR = 1e-6


class SoftTokens(NamedTuple):
    """A soft token per row, the heaviest category first, of equal ones the lower index.

    The order is that of the numbers before they are rounded to the dtype, so that rounded ones may be equal in any.

    Attributes
    ----------
    indices : ndarray of int64
        The rows' shape and k: the categories; -1 behind the last one, where fewer than k were kept.
    weights : ndarray
        The same shape, in the dtype of the logits, float32 for float16 and bfloat16: of sum 1; 0 for index -1.
    log_weights : ndarray
        The same shape and dtype: what the weights are made from; -inf for index -1.
    """

    indices: Any
    weights: Any
    log_weights: Any


class _Kept(NamedTuple):
    """The categories of each row that filters left, in ascending order: the rows' shape and the largest number."""

    indices: Array  # -1 behind the last one
    logits: Array  # float64; -inf there
    temperature: Array
    spoilt: Array  # rows that have none


def _keep(
    function: str,
    rows: Rows,
    k: object,
    limit: bool,
    filters: dict[str, Any],
    axis: int,
    on_invalid: object,
) -> tuple[_Kept, int]:
    """Filter rows; `limit`: down to the k most probable categories."""
    require_option(function, "on_invalid", on_invalid, "raise", "minus_one")
    most, length = int_of(function, "k", k), rows.logits.shape[-1]
    if not 1 <= most <= length:
        raise ValueError(f"{function}: k must be in [1, {length}], got {shown(most)}")
    t = positive_temperature(function, rows.temperature)
    ndim = rows.logits.ndim
    chosen = filters_of(function, axis, ndim, **filters)
    if limit and filters["top_k"] is None and not chosen.all_ties and chosen.order.count("top_k") == 1:
        # Every filter keeps a prefix of one order, so that the limit may be the last of them.
        order = [*(step for step in chosen.order if step != "top_k"), "top_k"]
        chosen, limit = chosen._replace(top_k=np.array(most, np.int64), order=order), False
    kept = new_array(rows.logits.shape, rows.computed_in)
    _core.random.keep_filtered(function, rows.logits, t, rows.where, chosen, kept)
    if limit:
        first = filters_of(function, -1, ndim, most, None, None, FILTER_ORDER, "first")
        _core.random.keep_filtered(function, kept, t, None, first, kept)
    flat = kept.reshape(int(np.prod(kept.shape[:-1], dtype=np.int64)), length)
    row, index = np.divmod(np.flatnonzero(flat > -np.inf), length)
    count = np.bincount(row, minlength=flat.shape[0])
    slot = np.arange(row.size) - np.repeat(np.cumsum(count) - count, count)
    shape = (flat.shape[0], max(most, int(count.max(initial=0))))
    indices, logits = np.full(shape, -1), np.full(shape, -np.inf)
    indices[row, slot] = index
    logits[row, slot] = flat[row, index]
    outer = kept.shape[:-1]
    none = (count == 0).reshape(outer)
    if on_invalid == "raise":
        refuse_invalid(function, none, np.isnan(kept[..., 0]))
    t = rows.per_row(function, "temperature", t)
    return _Kept(indices.reshape(*outer, shape[1]), logits.reshape(*outer, shape[1]), t, none), most


def _noise_of(function: str, key: int, rows: Rows, indices: Array, concentration: Array | None = None) -> Array:
    """Return the number of each index of its row: a Gumbel number, or the logarithm of a gamma number."""
    shape = indices.shape[:-1]
    position = rows.per_row(function, "position", rows.position)
    streams = rows.ids(function)
    ids, at = (
        np.broadcast_to(np.broadcast_to(x, shape)[..., None], indices.shape).reshape(-1) for x in (streams, position)
    )
    out = np.empty(indices.size)
    shapes = None if concentration is None else concentration.reshape(-1)
    _core.random.noise_of_chosen(function, key, ids, at, indices.reshape(-1), shapes, out)
    return out.reshape(indices.shape)


def _heaviest(
    kept: _Kept, logs: Array, k: int, dtype: Any, exact: tuple[Array, Array] | None = None
) -> tuple[Array, Array]:
    """Return indices and logarithms, rounded to the dtype, of the k heaviest, of equal ones the lower index first.

    They are in the order of the logarithms before they are rounded, or of numbers `exact`, unevaluated sums.
    """
    there = kept.indices >= 0
    value, low = (logs, np.zeros_like(logs)) if exact is None else exact
    order = np.lexsort((-low, -np.where(there, value, -np.inf)), axis=-1)[..., :k]  # stable
    with np.errstate(over="ignore"):  # to -inf
        logs = np.where(there, logs, -np.inf).astype(dtype)
    return np.take_along_axis(kept.indices, order, -1), np.take_along_axis(logs, order, -1)


def clamp_of(function: str, clamp: object) -> tuple[float, float]:
    low, high = pair_of(function, "clamp", clamp)
    if not low < high:
        raise ValueError(f"{function}: clamp must be a lower and a higher number, got ({low}, {high})")
    return low, high


def floor_of(function: str, floor: object) -> float:
    number = number_of(function, "floor", floor)
    if not 0 <= number < 1:
        raise ValueError(f"{function}: floor must be in [0, 1), got {number}")
    return number


def log_probabilities(logits: Array, temperature: Array, floor: float) -> tuple[Array, Array]:
    """Return q = softmax(logits / T), where those of -inf are none, and log(q + floor)."""
    q = softmax(logits, temperature=temperature, empty="zero")
    return q, log_softmax(logits, temperature=temperature, empty="zero") if floor == 0 else log(q + floor)


def _gumbel_tokens(
    function: str,
    rng: Rng,
    rows: Rows,
    k: object,
    gumbel_temperature: npt.ArrayLike,
    clamp: tuple[float, float],
    floor: float,
    filters: dict[str, Any],
    axis: int,
    on_invalid: str,
) -> SoftTokens:
    secret = key_of(function, rng)
    t = float64s_of(function, "gumbel_temperature", gumbel_temperature)
    t = rows.per_row(function, "gumbel_temperature", positive_temperature(function, t, "gumbel_temperature"))
    kept, most = _keep(function, rows, k, True, filters, axis, on_invalid)
    noise = _noise_of(function, secret, rows, kept.indices)
    logs = log_probabilities(kept.logits, kept.temperature, floor)[1] + np.clip(noise, *clamp)
    exact = None
    if floor == 0 and clamp == (-np.inf, np.inf):  # then the order is that of the sums that `categorical` compares
        exact = two_sum(
            kept.logits, noise * (kept.temperature[..., None] if kept.temperature.ndim else kept.temperature)
        )
    indices, logs = _heaviest(kept, logs, most, rows.computed_in, exact)
    return _tokens(kept, indices, logs, softmax(logs, temperature=t, empty="zero"))


def _tokens(kept: _Kept, indices: Array, log_weights: Array, weights: Array) -> SoftTokens:
    if kept.spoilt.any():
        weights[kept.spoilt] = log_weights[kept.spoilt] = np.nan
    return SoftTokens(indices, weights, log_weights)


def soft_token_step(
    logits: npt.ArrayLike,
    k: int,
    *,
    rng: Rng,
    gumbel_temperature: npt.ArrayLike = 0.1,
    clamp: tuple[float, float] = CLAMP,
    floor: float = FLOOR,
    axis: int = -1,
    temperature: npt.ArrayLike = 1.0,
    top_k: npt.ArrayLike | None = None,
    top_p: npt.ArrayLike | None = None,
    min_p: npt.ArrayLike | None = None,
    where: npt.ArrayLike | None = None,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    filter_order: FilterOrder = FILTER_ORDER,
    ties: Ties = "first",
    on_invalid: Literal["raise", "minus_one"] = "raise",
) -> SoftTokens:
    """Draw soft tokens as SofT-GRPO's rollout does: k token probabilities, perturbed by Gumbel noise in logarithms.

    Parameters
    ----------
    logits : array_like
        As in `categorical`.
    k : int
        How many categories a soft token has at most, from 1 to their number: the most probable of those that the
        filters keep.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    gumbel_temperature : float or array_like, default 0.1
        t, positive and finite: one for all rows or one per row. The smaller, the nearer to a single token.
    clamp : pair of float, default (-1.5, 3.0)
        Where noise is cut off; (-inf, inf) is nowhere.
    floor : float, default 1e-6
        What is added to probabilities, from 0 to below 1.
    axis : int, default -1
        The axis of the categories.
    temperature : float or array_like, default 1.0
        T of the logits, positive and finite: one for all rows or one per row.
    top_k, top_p, min_p, where, filter_order, ties : optional
        As in `categorical`.
    streams, position : optional
        Which numbers are drawn: as in `categorical`. Noise belongs to the index of a category, not to its rank.
    on_invalid : {"raise", "minus_one"}, default "raise"
        What becomes of a row with NaN or +inf, or without any element above -inf: a ValueError, or indices of -1 and
        NaN.

    Returns
    -------
    SoftTokens
        indices, weights and log_weights, the heaviest first; the rows' shape and k. What `soft_token_log_prob` needs
        are the indices and log_weights; weights are softmax(log_weights / t), bit for bit.

    Raises
    ------
    TypeError, ValueError
        As `categorical`; and if a number is out of range.

    Notes
    -----
    Zheng and Lee, "SofT-GRPO: Surpassing Discrete-Token LLM Reinforcement Learning via Gumbel-Reparameterized
    Soft-Thinking Policy Optimization", 2025 (arXiv 2511.06411), and its code, whose settings are k = 5, top_p = 0.95
    and the defaults here: with q = softmax(x / T) over the k categories kept, g = log(q + floor) + clamp(G), weights
    softmax(g / t). G is what `gumbel` returns with ``dtype=np.float64, bits=32``; g is worked out in float64 and
    rounded once to the dtype of the logits, or to float32 where that is a half type: a ratio of policies would see the
    rounding to halves.

    In the code, categories that top_p removed stay among the k with q = 0; here they have index -1 and no weight, so
    that rollout and policy mean the same q. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> logits = np.float32([[2.0, 1.0, 0.5, -1.0, 0.0]])
    >>> tokens = sg.random.soft_token_step(logits, 3, rng=1, top_p=0.95)
    >>> sorted(tokens.indices[0].tolist())
    [0, 1, 2]
    >>> bool(np.array_equal(tokens.weights, sg.special.softmax(tokens.log_weights, temperature=0.1)))
    True
    """
    function = "soft_token_step"
    rows = rows_of(function, logits, axis, temperature, where, streams, position)
    filters = {"top_k": top_k, "top_p": top_p, "min_p": min_p, "order": filter_order, "ties": ties}
    limits = clamp_of(function, clamp)
    least = floor_of(function, floor)
    return _gumbel_tokens(function, rng, rows, k, gumbel_temperature, limits, least, filters, axis, on_invalid)


def gumbel_resample(
    logits: npt.ArrayLike,
    k: int,
    *,
    rng: Rng,
    gumbel_temperature: npt.ArrayLike = 0.5,
    axis: int = -1,
    temperature: npt.ArrayLike = 1.0,
    top_k: npt.ArrayLike | None = None,
    top_p: npt.ArrayLike | None = None,
    min_p: npt.ArrayLike | None = None,
    where: npt.ArrayLike | None = None,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    filter_order: FilterOrder = FILTER_ORDER,
    ties: Ties = "first",
    on_invalid: Literal["raise", "minus_one"] = "raise",
) -> SoftTokens:
    """Draw soft tokens from the Gumbel-softmax distribution of the k most probable categories.

    Parameters
    ----------
    logits, k, rng, axis, temperature, top_k, top_p, min_p, where, streams, position : optional
        As in `soft_token_step`.
    gumbel_temperature : float or array_like, default 0.5
        t, positive and finite: one for all rows or one per row.
    filter_order, ties, on_invalid : optional
        As in `soft_token_step`.

    Returns
    -------
    SoftTokens
        As from `soft_token_step`.

    Raises
    ------
    TypeError, ValueError
        As `soft_token_step`.

    Notes
    -----
    Wu et al., "LLMs are Single-threaded Reasoners: Demystifying the Working Mechanism of Soft Thinking", 2025 (arXiv
    2508.03440), whose code has t = 0.5, T = 0.6, top_p = 0.95, top_k = 30 and k = 10 or 15: `soft_token_step` with
    neither clamp nor floor. The heaviest category has the law softmax(x / T) over those kept (Luce's choice), whatever
    t is, and is the one that `categorical` draws with these filters, always: categories are ordered by the sums x + T G
    that it compares, exact, and not by their logarithms, which are rounded. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> logits = np.float64([[2.0, 1.0, 0.5, -1.0, 0.0]])
    >>> tokens = sg.random.gumbel_resample(logits, 3, rng=1)
    >>> tokens.indices, tokens.weights.round(3)
    (array([[0, 1, 2]]), array([[0.958, 0.028, 0.014]]))
    >>> sg.random.categorical(logits, rng=1, top_k=3)  # the heaviest
    array([0])
    """
    function = "gumbel_resample"
    rows = rows_of(function, logits, axis, temperature, where, streams, position)
    filters = {"top_k": top_k, "top_p": top_p, "min_p": min_p, "order": filter_order, "ties": ties}
    free = (-np.inf, np.inf)
    return _gumbel_tokens(function, rng, rows, k, gumbel_temperature, free, 0.0, filters, axis, on_invalid)


def dirichlet_resample(
    logits: npt.ArrayLike,
    k: int,
    *,
    rng: Rng,
    concentration: npt.ArrayLike = 1.0,
    axis: int = -1,
    temperature: npt.ArrayLike = 1.0,
    top_k: npt.ArrayLike | None = None,
    top_p: npt.ArrayLike | None = None,
    min_p: npt.ArrayLike | None = None,
    where: npt.ArrayLike | None = None,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    filter_order: FilterOrder = FILTER_ORDER,
    ties: Ties = "first",
    on_invalid: Literal["raise", "minus_one"] = "raise",
) -> SoftTokens:
    """Draw soft tokens from the Dirichlet distribution whose mean is the filtered distribution.

    Parameters
    ----------
    logits, rng, axis, temperature, top_k, top_p, min_p, where, streams, position : optional
        As in `soft_token_step`.
    k : int
        How many categories a soft token has at most: the heaviest ones drawn, not the most probable.
    concentration : float or array_like, default 1.0
        a, from 2**-1000 to 2**1000: one for all rows or one per row. To infinity: the distribution itself; to 0: one of
        its categories.
    filter_order, ties, on_invalid : optional
        As in `soft_token_step`.

    Returns
    -------
    SoftTokens
        The k heaviest of the point drawn, with weights of sum 1; log_weights are their logarithms, which do not
        underflow (float32: above -3.4e38).

    Raises
    ------
    TypeError, ValueError
        As `soft_token_step`.

    Notes
    -----
    The resampling that Wu et al. 2025 (arXiv 2508.03440, there a = 4) add to Zhang et al., "Soft Thinking", 2025 (arXiv
    2505.15778). With p = softmax(x / T) over all categories kept, the point is Dirichlet(a p): its mean is p and its
    variance p (1 - p) / (a + 1). It is the softmax of the logarithms of gamma numbers, which are what `gamma` returns
    for these places with ``log=True, dtype=np.float64``: no concentration, however small, gives 0 / 0. An a p below
    2**-1000 counts as that, which nobody will see. Only categories that were kept cost time: filter. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> logits = np.tile(np.log([0.5, 0.3, 0.2]), (20000, 1))
    >>> tokens = sg.random.dirichlet_resample(logits, 3, rng=1, concentration=4.0)
    >>> tokens.indices[0], tokens.weights[0].round(3)
    (array([0, 1, 2]), array([0.6  , 0.323, 0.077]))
    >>> np.array([tokens.weights[tokens.indices == i].mean() for i in range(3)]).round(2)
    array([0.5, 0.3, 0.2])
    """
    function = "dirichlet_resample"
    secret = key_of(function, rng)
    rows = rows_of(function, logits, axis, temperature, where, streams, position)
    filters = {"top_k": top_k, "top_p": top_p, "min_p": min_p, "order": filter_order, "ties": ties}
    a = float64s_of(function, "concentration", concentration)
    good = (a >= _SMALLEST) & (a <= 1 / _SMALLEST)
    if not np.all(good):
        raise ValueError(f"{function}: concentration must be in [2**-1000, 2**1000], got {float(a[~good].flat[0])}")
    a = rows.per_row(function, "concentration", a)
    kept, most = _keep(function, rows, k, False, filters, axis, on_invalid)
    p = softmax(kept.logits, temperature=kept.temperature, empty="zero")
    shapes = np.maximum((a[..., None] if a.ndim else a) * p, _SMALLEST)
    logs = _noise_of(function, secret, rows, kept.indices, shapes)
    indices, logs = _heaviest(kept, logs, most, np.float64)
    dtype = rows.computed_in
    with np.errstate(over="ignore"):  # to -inf
        log_weights = log_softmax(logs, empty="zero").astype(dtype)
    return _tokens(kept, indices, log_weights, softmax(logs, empty="zero").astype(dtype))

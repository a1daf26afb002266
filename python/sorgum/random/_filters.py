"""Before a draw: token filters and penalties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum._arguments.arrays import Array, float64s_of, floats_of, integers_of
from sorgum._arguments.results import apart, result_of_dtype
from sorgum._arguments.scalars import axis_of, require_option
from sorgum.interop import bfloat16
from sorgum.interop.arrays import plain, shown
from sorgum.random._rows import rows_of

__all__ = ["FilterOrder", "Ties", "apply_penalties", "filter_logits"]

FilterOrder: TypeAlias = Sequence[Literal["temperature", "min_p", "top_k", "top_p"]]
Ties: TypeAlias = Literal["first", "all"]

FILTER_ORDER: FilterOrder = ("temperature", "min_p", "top_k", "top_p")
_LARGEST = np.iinfo(np.int64).max


class _Filters(NamedTuple):
    """Filters as the kernels take them: one number for all rows or one per row."""

    top_k: Array
    top_p: Array
    min_p: Array
    order: list[str]
    all_ties: bool


def _per_row(function: str, argument: str, value: npt.ArrayLike, axis: int, ndim: int) -> Array:
    """Return a float64 scalar or one number per row; an axis kept at length 1 becomes the last."""
    numbers = float64s_of(function, argument, value)
    return np.moveaxis(numbers, axis, -1) if numbers.ndim == ndim else numbers


def as_int64(array: Array) -> Array:
    """Return an int64 array; integers beyond it become the largest."""
    return np.asarray(np.minimum(array, np.uint64(_LARGEST)) if array.dtype.kind == "u" else array, dtype=np.int64)


def filters_of(
    function: str,
    axis: int,
    ndim: int,
    top_k: npt.ArrayLike | None,
    top_p: npt.ArrayLike | None,
    min_p: npt.ArrayLike | None,
    order: object,
    ties: object,
) -> _Filters:
    require_option(function, "ties", ties, "first", "all")
    if isinstance(order, str) or not isinstance(order, Sequence) or not all(isinstance(step, str) for step in order):
        raise TypeError(f"{function}: filter_order must be a sequence of strings, got {shown(order)}")
    counts = plain(function, "top_k", _LARGEST if top_k is None else top_k)
    if counts.dtype.kind not in "iu":
        got = bfloat16.text(counts.dtype)
        raise TypeError(f"{function}: top_k must be an integer or an array of them, got dtype {got}")
    counts = as_int64(counts)
    return _Filters(
        np.moveaxis(counts, axis, -1) if counts.ndim == ndim else counts,
        _per_row(function, "top_p", 1.0 if top_p is None else top_p, axis, ndim),
        _per_row(function, "min_p", 0.0 if min_p is None else min_p, axis, ndim),
        list(order),
        ties == "all",
    )


def filter_logits(
    logits: npt.ArrayLike,
    *,
    axis: int = -1,
    temperature: npt.ArrayLike = 1.0,
    top_k: npt.ArrayLike | None = None,
    top_p: npt.ArrayLike | None = None,
    min_p: npt.ArrayLike | None = None,
    where: npt.ArrayLike | None = None,
    filter_order: FilterOrder = FILTER_ORDER,
    ties: Ties = "first",
    out: Array | None = None,
) -> Array:
    """Put -inf in the place of the logits that `categorical` would not draw from with these filters.

    Parameters
    ----------
    logits : array_like
        Unnormalised logarithms of probabilities, any shape with at least one axis; a floating-point type, or bool and
        integers, which become float64.
    axis : int, default -1
        The axis of the categories; the others number the rows.
    temperature : float or array_like, default 1.0
        T, from 0 to 2**900: a scalar or one per row. It decides what weighs how much; the result is not divided by it.
        Below 2**-1022 it counts as 0, where only the largest logits weigh anything.
    top_k : int or array_like of int, optional
        Keep the k largest logits, k >= 1: one number or one per row. More than there are keep all.
    top_p : float or array_like, optional
        Keep the fewest of the most probable categories that have at least p of the probability, 0 < p <= 1.
    min_p : float or array_like, optional
        Keep what has at least min_p times the largest probability, 0 <= min_p <= 1.
    where : array_like of bool, optional
        Broadcast to `logits`. A category where it is False is absent: its result is -inf.
    filter_order : sequence of str, default ("temperature", "min_p", "top_k", "top_p")
        In which order they apply: each sees what those before it kept, as if nothing else were there. min_p and top_p
        before "temperature" take T for 1.
    ties : {"first", "all"}, default "first"
        Of equal logits, some of which would do, keep those of the lowest indices or all.
    out : ndarray, optional
        Where to write: the shape of `logits` and the dtype of the result; may be `logits` itself.

    Returns
    -------
    ndarray
        The shape and type of `logits`. Rows with NaN or +inf are NaN.

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        If a number is out of range, a shape does not fit, or an option is unknown.

    Notes
    -----
    Every filter keeps the first categories of one order: larger logits before smaller ones, of equal ones the lower
    index first. So filters one after the other keep the shortest of their prefixes, and the most probable category is
    always kept. With A the probability, among what the filters before it kept, of the categories before one, top_p
    keeps it if A < p. Libraries differ: the default is the order of vLLM and of FlashInfer's "top_k_first"; top_p
    before top_k is FlashInfer's "joint"; ("top_k", "top_p", "min_p", "temperature") is the order of llama.cpp, which
    keeps exactly k, while vLLM and FlashInfer keep all ties.

    Probabilities are compared in integers: a category's weight is exp((x - max) / T), within 2**-22 (float64: 2**-50)
    of its size, rounded to units of about 2**-84 of the largest, however long the row (float32 rows of at most 2**18:
    2**-43); sums are exact. So A is within 2**-23 (2**-51) and half a unit per category, and a category whose A is that
    near to p may be on either side of it. min_p keeps x >= max + T log(min_p), worked out in float64. The threshold is
    found by counting in buckets of the integers whose order is that of the floats, in a few passes over few elements,
    without sorting. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> logits = np.log(np.float32([0.4, 0.3, 0.2, 0.1]))
    >>> np.isfinite(sg.random.filter_logits(logits, top_p=0.75))
    array([ True,  True,  True, False])
    >>> np.isfinite(sg.random.filter_logits(logits, top_k=3, top_p=0.75))
    array([ True,  True, False, False])
    """
    x = apart(floats_of("filter_logits", "logits", logits), out)
    rows = rows_of("filter_logits", x, axis, temperature, where, None, 0)
    filters = filters_of("filter_logits", axis, x.ndim, top_k, top_p, min_p, filter_order, ties)
    result = result_of_dtype("filter_logits", out, x.shape, x.dtype)
    if result.shape != x.shape:
        raise ValueError(f"filter_logits: out must have shape {x.shape}, got {result.shape}")
    moved = np.moveaxis(result, axis, -1)
    _core.random.keep_filtered("filter_logits", rows.logits, rows.temperature, rows.where, filters, moved)
    return result


def _tokens(argument: str, value: npt.ArrayLike) -> Array:
    try:
        return as_int64(integers_of("apply_penalties", argument, value))
    except ValueError as error:  # sequences of unequal lengths
        raise ValueError(f"{error} (-1 fills shorter ones up)") from error.__cause__


def apply_penalties(
    logits: npt.ArrayLike,
    tokens: npt.ArrayLike,
    *,
    repetition: npt.ArrayLike = 1.0,
    frequency: npt.ArrayLike = 0.0,
    presence: npt.ArrayLike = 0.0,
    prompt: npt.ArrayLike | None = None,
    axis: int = -1,
    out: Array | None = None,
) -> Array:
    """Lower the logits of tokens that a sequence already holds.

    Parameters
    ----------
    logits : array_like
        Any shape with at least one axis; a floating-point type, or bool and integers, which become float64.
    tokens : array_like of int
        What was drawn so far: the rows' shape and one more axis, the last, of any length. -1 is no token: it fills
        shorter sequences up.
    repetition : float or array_like, default 1.0
        r > 0, one for all rows or one per row: x / r where x > 0, else x r, for tokens drawn or in the prompt.
    frequency : float or array_like, default 0.0
        Subtracted for every time that a token was drawn.
    presence : float or array_like, default 0.0
        Subtracted once from every token that was drawn.
    prompt : array_like of int, optional
        As `tokens`: what counts for `repetition` alone.
    axis : int, default -1
        The axis of the categories; the others number the rows.
    out : ndarray, optional
        Where to write: the shape of `logits` and the dtype of the result. Where it is `logits` itself, only the tokens'
        own logits are touched.

    Returns
    -------
    ndarray
        The shape and type of `logits`: repeated(x) - (count frequency + presence [count > 0]).

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        If a token is not in [-1, categories), r is not positive and finite, or a shape does not fit.

    Notes
    -----
    Source: Keskar, McCann, Varshney, Xiong and Socher, "CTRL", 2019, section 4.1 (for r, there with the prompt alone);
    the other two as in OpenAI's interface. Worked out in float64 and rounded once, in float16 and bfloat16 by way of
    float32; the order of vLLM and llama.cpp. The order of the tokens is of no consequence. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.random.apply_penalties(np.float32([2, 2, -2, 2]), [1, 2, 1], repetition=2.0, frequency=0.25, presence=0.5)
    array([ 2.  ,  0.  , -4.75,  2.  ], dtype=float32)
    """
    x = floats_of("apply_penalties", "logits", logits)
    if x.ndim == 0:
        raise ValueError("apply_penalties: logits must have at least one axis, got a scalar")
    axis = axis_of("apply_penalties", axis, x.ndim)
    numbers: dict[str, Any] = {"repetition": repetition, "frequency": frequency, "presence": presence}
    penalties = [_per_row("apply_penalties", name, value, axis, x.ndim) for name, value in numbers.items()]
    result = result_of_dtype("apply_penalties", out, x.shape, x.dtype)
    if result.shape != x.shape:
        raise ValueError(f"apply_penalties: out must have shape {x.shape}, got {result.shape}")
    seen, before = _tokens("tokens", tokens), None if prompt is None else apart(_tokens("prompt", prompt), out)
    seen = apart(seen, out)

    def penalise() -> None:
        _core.random.penalise("apply_penalties", np.moveaxis(result, axis, -1), seen, before, *penalties)

    if result is not x:
        x = apart(x, out)
        if out is not None:
            penalise()  # refuses what is wrong; what it makes of what stands in `out` is written over
        np.copyto(result, x)
    penalise()
    return result

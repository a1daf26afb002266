"""Draws of one category per row, and their algebra for rows in shards."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum._arguments.arrays import Array
from sorgum._arguments.scalars import axis_of, flag_of, require_option, unsigned_of
from sorgum.interop import bfloat16
from sorgum.interop.arrays import kind_of
from sorgum.random._filters import FILTER_ORDER, FilterOrder, Ties, filters_of
from sorgum.random._keys import Key, Rng, key_of, own_key_of
from sorgum.random._rows import DRAW, draw_from, refuse_invalid, rows_of

__all__ = ["categorical", "gumbel_merge", "gumbel_partial"]


def draw_options(function: str, method: object, on_invalid: object, return_log_prob: object) -> bool:
    """Return whether logarithms of probabilities are asked for, and refuse options that are none."""
    require_option(function, "method", method, "gumbel", "inverse")
    require_option(function, "on_invalid", on_invalid, "raise", "minus_one")
    return flag_of(function, "return_log_prob", return_log_prob)


def categorical(
    logits: npt.ArrayLike,
    *,
    rng: Rng,
    axis: int = -1,
    temperature: npt.ArrayLike = 1.0,
    top_k: npt.ArrayLike | None = None,
    top_p: npt.ArrayLike | None = None,
    min_p: npt.ArrayLike | None = None,
    where: npt.ArrayLike | None = None,
    num_samples: int | None = None,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    method: Literal["gumbel", "inverse"] = "gumbel",
    filter_order: FilterOrder = FILTER_ORDER,
    ties: Ties = "first",
    on_invalid: Literal["raise", "minus_one"] = "raise",
    return_log_prob: bool = False,
) -> Any:
    """Draw a category per row with probabilities softmax(logits / T).

    Parameters
    ----------
    logits : array_like
        Unnormalised logarithms of probabilities, any shape with at least one axis; a floating-point type, or bool and
        integers, which become float64; float16 and bfloat16 count as the same values in float32. On a CUDA device
        float32, float16 or bfloat16 (docs/cuda.md has the options there). -inf is probability 0.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    axis : int, default -1
        The axis of the categories; the others number the rows, in C order.
    temperature : float or array_like, default 1.0
        T, from 0 to 2**900: a scalar or one per row. 0 is the largest logit, the first of equal ones; a subnormal T
        (below 2**-1022) counts as 0, for every method and for log_prob.
    top_k, top_p, min_p : optional
        Draw only from the k most probable categories; from the fewest that have p of the probability; from those that
        have min_p of the largest probability. One number or one per row; rules, ranges and ties as in `filter_logits`.
    where : array_like of bool, optional
        Broadcast to `logits`. A category where it is False is absent, whatever its logit.
    num_samples : int, optional
        Draw so often from each row, less than 2**31 times: sample s is what `position` + s gives, so the next step's
        position is `position` + `num_samples` (see Notes). The result has one more axis, the last.
    streams : array_like of int, optional
        An id of 64 bits per row, of the rows' shape; by default the rows' numbers. A request that keeps its id draws
        the same in any batch.
    position : int or array_like of int, default 0
        The step of the sequence: one for all rows or one per row.
    index_offset : int, default 0
        The index of the first category, where `logits` is a shard of a vocabulary; the result counts from it.
    method : {"gumbel", "inverse"}, default "gumbel"
        "gumbel": the largest of x + T G, where G is the Gumbel number of key, stream, position and index: what `gumbel`
        returns with ``dtype=np.float64, bits=32``. "inverse": a chunk of 4096 categories by one word, a category in it
        by another; it needs no noise per category, and what it draws depends on the whole row.
    filter_order, ties : optional
        As in `filter_logits`.
    on_invalid : {"raise", "minus_one"}, default "raise"
        What becomes of a row with NaN or +inf, or without any element above -inf: a ValueError or -1.
    return_log_prob : bool, default False
        Return the logarithm of the probability of what was drawn beside it.

    Returns
    -------
    ndarray or scalar of int64, or a pair of it and float64, whatever the type of the logits
        The rows' shape, then `num_samples`.

    Raises
    ------
    TypeError
        If `rng` is None or a dtype is none of the above.
    ValueError
        If a row is invalid, T is out of range, a shape does not fit, or an option is unknown.

    Notes
    -----
    argmax(x + T G) has the law softmax(x / T) (Maddison, Tarlow and Minka, "A* Sampling", 2014). The sums are compared
    exactly, as unevaluated sums of two float64, so that logits of any size draw as they should; the lowest index wins
    among equal ones. One pass over the logits, no noise in memory, and logarithms for the few elements only that could
    win. The numbers G go up to 22.87: a category that lies more than 26 T below another is not drawn. Shards merge
    exactly: `gumbel_partial`, `gumbel_merge`.

    By inversion, chunks are chosen by their sums as `softmax` has them, categories by their weights, both rounded to
    integers: one of no probability weighs nothing. A weight below 2**-50 of its chunk's largest counts as none. There
    is no promise for shards.

    With filters the draw, its log_prob too, is that from the logits that `filter_logits` returns, bit for bit, whatever
    the method: noise belongs to the index of a category. There is no promise for shards then, which do not see the row.

    Samples and steps: with ``position=step``, n samples of one step share n - 1 draws of noise with those of the next;
    ``position=step * n``, or ``step << 32`` where n changes, keeps all apart at no cost. Sequences that go on from n
    samples of one request have rows of their own then, and need streams of their own (as ``n * request + sample``) or
    keys (``fold_in(key, sample)``): rows of one stream and position draw alike.

    log_prob: log_softmax of the logits given or kept, as accurate as `log_softmax`; 0 where T is 0. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> logits = np.array([[2.0, 1.0, 0.0], [-np.inf, 1.0, 1.0]])
    >>> tokens = sg.random.categorical(logits, rng=0, streams=[41, 42], position=7)
    >>> bool(tokens[1] == sg.random.categorical(logits[1], rng=0, streams=42, position=7))
    True
    >>> sg.random.categorical(logits, rng=0, num_samples=10000).mean(-1).round(1)
    array([0.4, 1.5])
    """
    return_log_prob = draw_options("categorical", method, on_invalid, return_log_prob)
    secret, rows = (
        key_of("categorical", rng),
        rows_of("categorical", logits, axis, temperature, where, streams, position),
    )
    filters = None
    if top_k is not None or top_p is not None or min_p is not None:
        ndim = rows.logits.ndim
        filters = filters_of("categorical", axis, ndim, top_k, top_p, min_p, filter_order, ties)
    if num_samples is not None:
        if filters is not None:  # once for all samples
            kept = np.empty(rows.logits.shape, rows.logits.dtype)
            _core.random.keep_filtered("categorical", rows.logits, rows.temperature, rows.where, filters, kept)
            rows, filters = dataclasses.replace(rows, logits=kept, where=None), None
        rows = rows.repeated("categorical", unsigned_of("categorical", "num_samples", num_samples, 31))
    inverse = method == "inverse"
    drawn = draw_from(
        "categorical", rows, secret, index_offset, inverse=inverse, log_prob=return_log_prob, filters=filters
    )
    if on_invalid == "raise":
        refuse_invalid("categorical", drawn["index"] < 0, np.isnan(drawn["value"]))
    index = np.ascontiguousarray(drawn["index"]).reshape(drawn.shape)[()]
    return (index, np.ascontiguousarray(drawn["log_prob"]).reshape(drawn.shape)[()]) if return_log_prob else index


def gumbel_partial(
    logits: npt.ArrayLike,
    *,
    rng: Key | int,
    axis: int = -1,
    temperature: npt.ArrayLike = 1.0,
    where: npt.ArrayLike | None = None,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
) -> Array:
    """Do a shard's part of `categorical`: the largest of x + T G among these categories, and where it is.

    Parameters
    ----------
    logits : array_like
        The shard: some of the categories of every row.
    rng : Key or int
        A key or its seed, the same for every shard. A Generator, which would draw another key for each, is refused.
    axis, temperature, where, streams, position : optional
        As in `categorical`; the same for every shard.
    index_offset : int, default 0
        The index of the shard's first category in the whole row.

    Returns
    -------
    structured ndarray
        The rows' shape; fields "value" and "low" (float64, an unevaluated sum) and "index" (int64). Without any element
        above -inf: value -inf and index -1; with NaN or +inf: value NaN and index -1. Merge with `gumbel_merge`, in any
        order.

    Raises
    ------
    TypeError, ValueError
        As `categorical`, but that no row is invalid; and if `rng` is a Generator.

    Notes
    -----
    The value is T times a Gumbel number shifted by logsumexp(logits / T). Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> logits = np.linspace(-2, 2, 1000)
    >>> shards = [sg.random.gumbel_partial(logits[i : i + 300], rng=3, index_offset=i) for i in (900, 0, 600, 300)]
    >>> [int(shard["index"]) for shard in shards]
    [903, 181, 784, 422]
    >>> merged = sg.random.gumbel_merge(np.stack(shards), axis=0)
    >>> int(merged["index"]), int(sg.random.categorical(logits, rng=3))
    (784, 784)
    """
    secret = own_key_of("gumbel_partial", rng)
    rows = rows_of("gumbel_partial", logits, axis, temperature, where, streams, position)
    drawn = draw_from("gumbel_partial", rows, secret, index_offset)
    result = np.empty(drawn.shape, DRAW)
    for name in DRAW.names or ():
        result[name] = drawn[name]
    return result


def gumbel_merge(partials: Array, axis: int = 0) -> Any:
    """Merge what `gumbel_partial` found in the shards of rows.

    Parameters
    ----------
    partials : structured ndarray
        Results of `gumbel_partial` with an axis of shards, in any order.
    axis : int, default 0
        The axis of shards.

    Returns
    -------
    structured ndarray
        Without that axis: what `gumbel_partial` finds in the whole rows, bit for bit.

    Raises
    ------
    TypeError
        If the array is not what `gumbel_partial` returns.
    ValueError
        If the axis is out of range.

    Notes
    -----
    Of equal sums the lowest index wins; NaN wins over all. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> parts = np.stack([sg.random.gumbel_partial([0.0, 1.0], rng=3, index_offset=i) for i in (0, 2)])
    >>> parts["index"], parts["value"].round(3)
    (array([1, 3]), array([1.656, 0.787]))
    >>> int(sg.random.gumbel_merge(parts)["index"]), int(sg.random.categorical([0.0, 1.0, 0.0, 1.0], rng=3))
    (1, 1)
    """
    if not isinstance(partials, np.ndarray) or partials.dtype != DRAW or isinstance(partials, np.ma.MaskedArray):
        found = bfloat16.name(partials.dtype) if type(partials) is np.ndarray else kind_of(partials)
        raise TypeError(f"gumbel_merge: partials must be a structured array of gumbel_partial, got {found}")
    parts = np.moveaxis(partials, axis_of("gumbel_merge", axis, partials.ndim), 0)
    value, low, index = (parts[name] for name in ("value", "low", "index"))
    spoilt = np.isnan(value).any(axis=0)
    some = index >= 0
    largest = np.max(value, axis=0, initial=-np.inf, where=some)
    some = some & (value == largest)
    rest = np.max(low, axis=0, initial=-np.inf, where=some)
    some = some & (low == rest)
    last = np.iinfo(np.int64).max
    first = np.min(index, axis=0, initial=last, where=some)
    none = spoilt | (first == last)
    result = np.empty(parts.shape[1:], DRAW)
    result["value"] = np.where(spoilt, np.nan, largest)
    result["low"] = np.where(none, 0.0, rest)
    result["index"] = np.where(none, -1, first)
    return result[()]

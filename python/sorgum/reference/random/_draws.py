"""Words, noise made from them, and draws of categories."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "PURPOSES",
    "categorical",
    "exponential",
    "filtered",
    "gamma",
    "gumbel",
    "gumbel_softmax",
    "gumbel_top_k",
    "inverse",
    "logistic",
    "normal",
    "open_unit",
    "penalised",
    "philox",
    "uniform",
    "words",
]

Array = npt.NDArray[Any]

PURPOSES = {
    "bits": 0,
    "uniform": 2,
    "exponential": 4,
    "gumbel": 6,
    "logistic": 8,
    "inverse": 10,
    "normal": 12,
    "gamma": 14,
}

_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def philox(counter: npt.ArrayLike, key: npt.ArrayLike, rounds: int = 10) -> Array:
    """Return blocks of Philox4x32.

    Parameters
    ----------
    counter : array_like of int
        Shape (..., 4), 32-bit words.
    key : array_like of int
        Shape (..., 2), 32-bit words, broadcast against the counters.
    rounds : int, default 10
        How many.

    Returns
    -------
    array of uint32
        Shape (..., 4).

    Examples
    --------
    >>> [hex(w) for w in philox([0, 0, 0, 0], [0, 0])]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    counters, keys = np.asarray(counter, dtype=np.uint64), np.asarray(key, dtype=np.uint64)
    c = [counters[..., i] for i in range(4)]
    k = [keys[..., i] for i in range(2)]
    for _ in range(rounds):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> _SHIFT) ^ c[1] ^ k[0], p1 & _LOW, (p0 >> _SHIFT) ^ c[3] ^ k[1], p0 & _LOW]
        k = [(k[0] + np.uint64(0x9E3779B9)) & _LOW, (k[1] + np.uint64(0xBB67AE85)) & _LOW]
    return np.stack(np.broadcast_arrays(*c), axis=-1).astype(np.uint32)


def _halves(x: npt.ArrayLike) -> tuple[Array, Array]:
    array = np.asarray(x, dtype=np.uint64)
    return array & _LOW, array >> _SHIFT


def words(
    shape: tuple[int, ...],
    key: int,
    purpose: int,
    *,
    wide: bool = False,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
) -> Array:
    """Return the words that elements of an array are made from.

    Parameters
    ----------
    shape : tuple of int
        The last axis makes the rows.
    key : int
        64 bits.
    purpose : int
        One of `PURPOSES`.
    wide : bool, default False
        Words of 64 bits.
    streams, position : array_like of int, optional
        Per row; `position` may be one for all.
    index_offset : int, default 0
        The index of a row's first element.

    Returns
    -------
    array of uint32 or uint64
        Of that shape.

    Examples
    --------
    >>> words((2, 3), 0, PURPOSES["bits"]).shape
    (2, 3)
    """
    rows, n = int(np.prod(shape[:-1], dtype=np.int64)), shape[-1] if shape else 1
    ids = np.arange(rows, dtype=np.uint64) if streams is None else np.asarray(streams, dtype=np.uint64).reshape(rows)
    at = np.broadcast_to(np.asarray(position, dtype=np.uint64).reshape(-1), (rows,))
    zero = np.zeros(rows, dtype=np.uint64)
    counter = np.stack([*_halves(ids), zero + np.uint64(purpose + wide), zero], axis=-1)
    row_key = philox(counter, np.stack(_halves(np.uint64(key))))[:, :2]
    per_element = 2 if wide else 1
    index = np.arange(index_offset * per_element, (index_offset + n) * per_element, dtype=np.uint64)
    block = np.stack(np.broadcast_arrays(*_halves(index >> np.uint64(2)), *(h[:, None] for h in _halves(at))), axis=-1)
    found = np.take_along_axis(
        philox(block, row_key[:, None, :]), (index & np.uint64(3)).astype(np.int64)[None, :, None], axis=-1
    )[..., 0]
    if wide:
        found = found[:, 0::2].astype(np.uint64) | (found[:, 1::2].astype(np.uint64) << _SHIFT)
    return found.reshape(shape)


def open_unit(word: Array) -> tuple[Array, Array]:
    """Return v = (w + 1/2) 2^-bits and 1 - v, the latter from the complement of the word.

    Parameters
    ----------
    word : array of uint32 or uint64
        The words w.

    Returns
    -------
    v, u : arrays of float64
        Rounded once.

    Examples
    --------
    >>> v, u = open_unit(np.array([0], dtype=np.uint32))
    >>> bool(v[0] == 2.0**-33)
    True
    """
    if word.dtype == np.uint32:
        return (word + 0.5) * 2.0**-32, (~word + 0.5) * 2.0**-32

    def scaled(w: Array) -> Array:
        low, high = _halves(w)
        # The halves are exact in float64 and overlap in no bit; the smaller one is rounded to what the sum can hold.
        return (high * 2.0**-32) + (low + 0.5) * 2.0**-64

    return scaled(word), scaled(~word)


def uniform(word: Array) -> Array:
    """Return v below 1.

    Parameters
    ----------
    word : array of uint32 or uint64
        The words.

    Returns
    -------
    array of float64
        Between 0 and 1.

    Examples
    --------
    >>> uniform(np.array([2**31], dtype=np.uint32))
    array([0.5])
    """
    return np.minimum(open_unit(word)[0], 1 - 2.0**-53)


def exponential(word: Array) -> Array:
    """Return -log(1 - v).

    Parameters
    ----------
    word : array of uint32 or uint64
        The words.

    Returns
    -------
    array of float64
        Above 0.

    Examples
    --------
    >>> exponential(np.array([2**31], dtype=np.uint32)).round(6)
    array([0.693147])
    """
    v, u = open_unit(word)
    return np.where(v < 0.5, -np.log1p(-np.minimum(v, 0.5)), -np.log(u))


def gumbel(word: Array) -> Array:
    """Return -log(-log(1 - v)).

    Parameters
    ----------
    word : array of uint32 or uint64
        The words.

    Returns
    -------
    array of float64
        Standard Gumbel numbers.

    Examples
    --------
    >>> gumbel(np.array([0, 2**32 - 1], dtype=np.uint32)).round(6)
    array([22.873857, -3.129995])
    """
    return -np.log(exponential(word))


def logistic(word: Array) -> Array:
    """Return log(v / (1 - v)).

    Parameters
    ----------
    word : array of uint32 or uint64
        The words.

    Returns
    -------
    array of float64
        Standard logistic numbers.

    Examples
    --------
    >>> logistic(np.array([0], dtype=np.uint32)).round(6)
    array([-22.873857])
    """
    v, u = open_unit(word)
    # Near the middle v / u - 1 = (v - u) / u, whose numerator is exact.
    middle = np.abs(v - u) < 0.5
    return np.where(middle, np.log1p(np.where(middle, (v - u) / u, 0)), np.log(v) - np.log(u))


def categorical(
    logits: npt.ArrayLike,
    key: int,
    *,
    temperature: npt.ArrayLike = 1.0,
    where: npt.ArrayLike | bool = True,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
) -> Array:
    """Return argmax(x + T G) along the last axis, or -1 where there is none.

    Parameters
    ----------
    logits : array_like
        At least one axis.
    key : int
        64 bits.
    temperature : array_like, default 1.0
        T, not negative; a scalar or the rows' shape.
    where : array_like of bool, default True
        Which categories are there.
    streams, position, index_offset : optional
        As in `words`.

    Returns
    -------
    array of int64
        The rows' shape.

    Examples
    --------
    >>> categorical([[0.0, -1e9], [-1e9, 0.0]], 1).tolist()
    [0, 1]
    """
    x = np.where(where, np.asarray(logits, dtype=np.float64), -np.inf)
    g = gumbel(words(x.shape, key, PURPOSES["gumbel"], streams=streams, position=position, index_offset=index_offset))
    t = np.asarray(temperature, dtype=np.float64)
    if x.shape[-1] == 0:
        return np.full(x.shape[:-1], -1)
    valid = ~np.any(np.isnan(x) | (x == np.inf), axis=-1) & np.any(x > -np.inf, axis=-1)
    return np.where(valid, np.argmax(x + (t[..., None] if t.ndim else t) * g, axis=-1) + index_offset, -1)


def inverse(
    logits: npt.ArrayLike,
    key: int,
    *,
    temperature: npt.ArrayLike = 1.0,
    where: npt.ArrayLike | bool = True,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
) -> Array:
    """Return draws by inversion along the last axis: a chunk of 4096 by word 0, a category in it by word 1.

    Sums are in float64, so that a word that falls next to a border may draw the neighbour of what the kernel draws.

    Parameters
    ----------
    logits : array_like
        At least one axis; every row has an element above -inf and neither NaN nor +inf.
    key : int
        64 bits.
    temperature : array_like, default 1.0
        T, positive; a scalar or the rows' shape.
    where : array_like of bool, default True
        Which categories are there.
    streams, position : optional
        As in `words`.

    Returns
    -------
    array of int64
        The rows' shape.

    Examples
    --------
    >>> inverse([[0.0, -1e9], [-1e9, 0.0]], 1).tolist()
    [0, 1]
    """
    x = np.where(where, np.asarray(logits, dtype=np.float64), -np.inf)
    t = np.broadcast_to(np.asarray(temperature, dtype=np.float64), x.shape[:-1]).reshape(-1)
    chosen = words((*x.shape[:-1], 2), key, PURPOSES["inverse"], wide=True, streams=streams, position=position)
    found = []
    for row, scale, (first, second) in zip(x.reshape(-1, x.shape[-1]), t, chosen.reshape(-1, 2), strict=True):
        weights = np.exp((row - row.max()) / scale)
        chunks = [weights[i : i + 4096] for i in range(0, weights.size, 4096)]
        sums = np.cumsum([float(np.sum(chunk)) for chunk in chunks])
        c = int(np.searchsorted(sums, float(first) * 2.0**-64 * sums[-1], side="right"))
        inside = np.cumsum(chunks[c])
        found.append(4096 * c + int(np.searchsorted(inside, float(second) * 2.0**-64 * inside[-1], side="right")))
    return np.array(found, dtype=np.int64).reshape(x.shape[:-1])


def gumbel_top_k(
    logits: npt.ArrayLike,
    k: int,
    key: int,
    *,
    temperature: npt.ArrayLike = 1.0,
    position: npt.ArrayLike = 0,
    **filters: Any,
) -> tuple[Array, Array, Array]:
    """Return indices, perturbed logits and threshold of the k largest x + T G along the last axis.

    Parameters
    ----------
    logits : array_like
        At least one axis, no NaN.
    k : int
        At most the length of a row.
    key : int
        64 bits.
    temperature : array_like, default 1.0
        T, not negative; a scalar or the rows' shape.
    position : array_like of int, default 0
        As in `words`.
    **filters
        Those of `filtered`, which is asked what is drawn from.

    Returns
    -------
    indices : array of int64
        The rows' shape and k; -1 where nothing is left.
    perturbed : array of float64
        The same shape.
    threshold : array of float64
        The rows' shape.

    Examples
    --------
    >>> gumbel_top_k([0.0, -1e9, -2e9], 2, 1)[0].tolist()
    [0, 1]
    """
    x = np.asarray(logits, dtype=np.float64)
    t = np.broadcast_to(np.asarray(temperature, dtype=np.float64), x.shape[:-1])
    if filters:
        rows = x.reshape(-1, x.shape[-1])
        kept = [filtered(row, temperature=float(own), **filters) for row, own in zip(rows, t.reshape(-1), strict=True)]
        x = np.where(np.array(kept, dtype=np.bool_).reshape(x.shape), x, -np.inf)
    sums = x + t[..., None] * gumbel(words(x.shape, key, PURPOSES["gumbel"], position=position))
    order = np.argsort(-sums, axis=-1, kind="stable")
    ranked = np.take_along_axis(sums, order, axis=-1)
    order = np.where(ranked > -np.inf, order, -1)
    ranked = np.concatenate([ranked, np.full((*x.shape[:-1], 1), -np.inf)], axis=-1)
    return order[..., :k], ranked[..., :k], ranked[..., k]


def gumbel_softmax(
    logits: npt.ArrayLike, key: int, *, temperature: npt.ArrayLike = 1.0, position: npt.ArrayLike = 0
) -> Array:
    """Return softmax((logits + G) / temperature) along the last axis.

    Parameters
    ----------
    logits : array_like
        At least one axis.
    key : int
        64 bits.
    temperature : array_like, default 1.0
        Positive; a scalar or the rows' shape.
    position : array_like of int, default 0
        As in `words`.

    Returns
    -------
    array of float64
        The shape of the logits.

    Examples
    --------
    >>> gumbel_softmax([[0.0, -1e9]], 1).tolist()
    [[1.0, 0.0]]
    """
    x = np.asarray(logits, dtype=np.float64)
    t = np.asarray(temperature, dtype=np.float64)
    s = (x + gumbel(words(x.shape, key, PURPOSES["gumbel"], position=position))) / (t[..., None] if t.ndim else t)
    y = np.exp(s - np.max(s, axis=-1, keepdims=True))
    return np.asarray(y / np.sum(y, axis=-1, keepdims=True))


def filtered(
    row: npt.ArrayLike,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    filter_order: Sequence[str] = ("temperature", "min_p", "top_k", "top_p"),
    ties: str = "first",
) -> Array:
    """Return which elements of a row the token filters keep, found by sorting it.

    Weights are floats, so that a category whose mass falls next to p may be on the other side of it.

    Parameters
    ----------
    row : array_like
        One axis, neither NaN nor +inf.
    temperature, top_k, top_p, min_p, filter_order, ties : optional
        As in `sorgum.random.filter_logits`, for one row; the temperature is positive.

    Returns
    -------
    array of bool
        Of that shape.

    Examples
    --------
    >>> filtered([0.0, 1.0, 2.0], top_k=2).tolist()
    [False, True, True]
    """
    x = np.asarray(row, dtype=np.float64)
    order = np.lexsort((np.arange(x.size), -x))
    left = order[: np.count_nonzero(x > -np.inf)]
    t = 1.0
    for step in filter_order:
        count = left.size
        if step == "temperature":
            t = temperature
        elif left.size == 0:
            continue
        elif step == "min_p" and min_p:
            count = int(np.count_nonzero(x[left] >= x[left[0]] + t * np.log(min_p)))
        elif step == "top_k" and top_k is not None:
            count = min(count, top_k)
        elif step == "top_p" and top_p is not None and top_p < 1:
            weights = np.exp(((x[left] - x[left[0]]) / t).astype(np.longdouble))
            count = int(np.count_nonzero(np.cumsum(weights) - weights < np.longdouble(top_p) * weights.sum()))
        if ties == "all" and left.size:
            count = int(np.count_nonzero(x[left] >= x[left[count - 1]]))
        left = left[:count]
    kept = np.zeros(x.shape, dtype=np.bool_)
    kept[left] = True
    return kept


def penalised(
    logits: npt.ArrayLike,
    tokens: npt.ArrayLike,
    *,
    repetition: float = 1.0,
    frequency: float = 0.0,
    presence: float = 0.0,
    prompt: npt.ArrayLike | None = None,
) -> Array:
    """Return logits with the penalties of tokens that were seen.

    Parameters
    ----------
    logits : array_like
        Rows of categories.
    tokens, prompt : array_like of int
        Rows of tokens; -1 is none.
    repetition, frequency, presence : float
        As in `sorgum.random.apply_penalties`.

    Returns
    -------
    array of float64
        The shape of the logits.

    Examples
    --------
    >>> penalised([[2.0, 2.0]], [[0]], repetition=4.0, presence=1.0).tolist()
    [[-0.5, 2.0]]
    """
    x = np.array(logits, dtype=np.float64)
    before = np.full((x.shape[0], 0), -1) if prompt is None else np.asarray(prompt)
    for row, drawn, given in zip(x, np.asarray(tokens), before, strict=True):
        for token in set(drawn[drawn >= 0].tolist()) | set(given[given >= 0].tolist()):
            count = np.count_nonzero(drawn == token)
            repeated = row[token] / repetition if row[token] > 0 else row[token] * repetition
            row[token] = repeated - (count * frequency + presence if count else 0.0)
    return x


def normal(word: Array) -> Array:
    """Return the quantiles of the normal distribution at v, to 1e-15.

    Parameters
    ----------
    word : array of uint32 or uint64
        The words.

    Returns
    -------
    array of float64
        Standard normal numbers.

    Examples
    --------
    >>> normal(np.array([2**31, 0], dtype=np.uint32)).round(6)
    array([ 0.      , -6.337958])
    """
    quantile = statistics.NormalDist().inv_cdf
    v, u = open_unit(word)
    return np.array([quantile(a) if a < b else -quantile(b) for a, b in zip(v.flat, u.flat, strict=True)]).reshape(
        word.shape
    )


def gamma(
    concentration: npt.ArrayLike,
    key: int,
    *,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
) -> Array:
    """Return logarithms of gamma numbers by Marsaglia and Tsang's method.

    Parameters
    ----------
    concentration : array_like
        The shape parameters, positive; the last axis makes the rows.
    key : int
        64 bits.
    streams, position, index_offset : optional
        As in `words`.

    Returns
    -------
    array of float64
        Of that shape.

    Examples
    --------
    >>> bool(gamma(1e-300, 3) < -1e298)
    True
    """
    a = np.asarray(concentration, dtype=np.float64)
    shape = a.shape or (1,)
    rows = int(np.prod(shape[:-1], dtype=np.int64))

    def units(attempt: int) -> tuple[Array, Array]:
        ids = np.arange(rows, dtype=np.uint64) if streams is None else np.asarray(streams, dtype=np.uint64)
        at = np.broadcast_to(np.asarray(position, dtype=np.uint64).reshape(-1), (rows,))
        zero = np.zeros(rows, dtype=np.uint64)
        counter = np.stack(
            [*_halves(ids.reshape(rows)), zero + np.uint64(PURPOSES["gamma"]), zero + np.uint64(attempt)]
        )
        row_key = philox(counter.T, np.stack(_halves(np.uint64(key))))[:, None, :2]
        index = np.arange(index_offset, index_offset + shape[-1], dtype=np.uint64)
        block = np.stack(np.broadcast_arrays(*_halves(index), *(h[:, None] for h in _halves(at))), axis=-1)
        found = philox(block, row_key).astype(np.uint64).reshape(*shape, 4)
        return found[..., 0] | (found[..., 1] << _SHIFT), found[..., 2] | (found[..., 3] << _SHIFT)

    large = np.where(a < 1, a + 1, a).reshape(shape)
    d = large - 1 / 3
    c = 1 / np.sqrt(9 * d)
    y = np.full(shape, np.nan)
    attempt = 0
    while np.isnan(y).any():
        attempt += 1
        first, second = units(attempt)
        z = normal(first)
        v = (1 + c * z) ** 3
        with np.errstate(invalid="ignore", divide="ignore"):
            accepted = np.log(open_unit(second)[0]) < z * z / 2 + d * (1 - v + np.log(v))
        accepted &= (v > 0) & np.isnan(y)
        y[accepted] = np.log(d * np.where(v > 0, v, 1))[accepted]
    boost = np.log(open_unit(units(0)[0])[0])
    return np.where(a < 1, y + boost / a.reshape(shape), y).reshape(a.shape)

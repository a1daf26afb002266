"""Draws without replacement."""

import operator
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum.random._keys import Rng, _is_int, _key_of
from sorgum.random._places import _index_offset
from sorgum.random._rows import _DRAW, _refuse_invalid, _rows

__all__ = ["TopK", "gumbel_top_k"]


class TopK(NamedTuple):
    """What `gumbel_top_k` returns.

    Attributes
    ----------
    indices : ndarray of int64
        The rows' shape and k: the categories, in the order of the draw.
    perturbed : ndarray of float64
        The same shape: their x + G, descending.
    threshold : ndarray of float64
        The rows' shape: the largest x + G of those not drawn, -inf if there is none.
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
    where: npt.ArrayLike | None = None,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
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
    axis, where, streams, position, index_offset : optional
        As in `categorical`.
    on_invalid : {"raise", "minus_one"}, default "raise"
        What becomes of a row with NaN or +inf: a ValueError, or indices of -1 and NaN.

    Returns
    -------
    TopK
        indices, perturbed and threshold. Where fewer than k categories are above -inf, the rest of the row has index -1
        and -inf.

    Raises
    ------
    TypeError, ValueError
        As `categorical`; and if k is out of range.

    Notes
    -----
    The k largest x + G make an ordered sample without replacement (Kool, van Hoof and Welling, "Stochastic Beams and
    Where to Find Them", 2019, section 2): P(i1, ..., ik) = prod softmax(x over what is left)[ij]. The first is what
    `categorical` draws with the same arguments. The sums are compared exactly; perturbed has them rounded to float64.
    With the threshold, q = -expm1(-exp(x - threshold)) is the probability of inclusion that importance weights divide
    by (there, section 4.2; x normalised). Tier: bitwise.

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
    secret = _key_of("gumbel_top_k", rng)
    rows = _rows("gumbel_top_k", logits, axis, 1.0, where, streams, position)
    if on_invalid not in ("raise", "minus_one"):
        raise ValueError(f"gumbel_top_k: on_invalid must be 'raise' or 'minus_one', got {on_invalid!r}")
    if not _is_int(k):
        raise TypeError(f"gumbel_top_k: k must be an int, got {type(k).__name__}")
    most, length = operator.index(k) + 1, rows.logits.shape[-1]
    if not 0 < most <= length + 1:
        raise ValueError(f"gumbel_top_k: k must be in [0, {length}], got {most - 1}")
    out = np.empty((*rows.logits.shape[:-1], 3 * most))
    offset = _index_offset("gumbel_top_k", index_offset)
    _core.gumbel_top("gumbel_top_k", rows.logits, rows.where, most, secret, rows.streams, rows.position, offset, out)
    drawn = out.view(_DRAW)
    spoilt = np.isnan(drawn["value"][..., -1])
    if on_invalid == "raise":
        _refuse_invalid("gumbel_top_k", spoilt, spoilt)
    kept = drawn[..., :-1]
    return TopK(kept["index"].copy(), kept["value"].copy(), drawn["value"][..., -1].copy()[()])

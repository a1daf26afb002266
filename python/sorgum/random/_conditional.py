"""Top-down sampling: Gumbel numbers below a bound, or with a known largest one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum._arguments.halves import wide_floats_of
from sorgum.random._formulas import log_one_minus_exp
from sorgum.random._keys import Rng
from sorgum.random._noise import gumbel
from sorgum.random._rows import rows_of
from sorgum.special import log, logsumexp

__all__ = ["gumbel_given_max", "truncated_gumbel"]


def truncated_gumbel(
    logits: npt.ArrayLike,
    upper: npt.ArrayLike,
    *,
    rng: Rng,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
) -> Any:
    """Draw x + G, G a Gumbel number, given that it does not exceed a bound.

    Parameters
    ----------
    logits : array_like
        The locations x, none of them NaN or +inf; the last axis makes the rows.
    upper : array_like
        The bounds T, no NaN; +inf is none. Broadcast to the shape of `logits`.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    streams, position, index_offset : optional
        Which words are drawn: as in `bits`.

    Returns
    -------
    ndarray or scalar of float64
        The shape of `logits`: -log(exp(-T) + exp(-g)), where g is x plus what `gumbel` returns with
        ``dtype=np.float64``. Never above T; -inf where x is.

    Raises
    ------
    TypeError, ValueError
        As `gumbel`; and if a number is NaN, x is +inf, or a shape does not fit.

    Notes
    -----
    Source: Maddison, Tarlow and Minka, "A* Sampling", 2014, section 3. By the sum in logarithms, so that bounds of any
    size do. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.random.gumbel(4, rng=1, dtype=np.float64).round(3)
    array([1.332, 1.561, 3.096, 2.069])
    >>> sg.random.truncated_gumbel(np.zeros(4), 0.5, rng=1).round(3)  # the same noise, below 0.5
    array([0.139, 0.203, 0.428, 0.311])
    """
    x = wide_floats_of("truncated_gumbel", "logits", logits).astype(np.float64)
    t = wide_floats_of("truncated_gumbel", "upper", upper).astype(np.float64)
    if np.any(np.isnan(x) | (x == np.inf)):
        raise ValueError("truncated_gumbel: logits must hold neither NaN nor +inf, got one")
    if np.any(np.isnan(t)):
        raise ValueError("truncated_gumbel: upper must not be NaN, got one")
    try:
        bound = np.broadcast_to(t, x.shape)
    except ValueError:
        raise ValueError(f"truncated_gumbel: upper must broadcast to shape {x.shape}, got shape {t.shape}") from None
    place: dict[str, Any] = {"streams": streams, "position": position, "index_offset": index_offset}
    g = x + gumbel(x.shape, rng=rng, dtype=np.float64, **place)
    found = -logsumexp(np.stack([-bound, -g], axis=-1))
    return np.minimum(found, bound)[()]


def gumbel_given_max(
    logits: npt.ArrayLike,
    maximum: npt.ArrayLike,
    *,
    rng: Rng,
    axis: int = -1,
    where: npt.ArrayLike | None = None,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
) -> Array:
    """Draw x + G for every category, G Gumbel numbers, given the largest of these sums in the row.

    Parameters
    ----------
    logits : array_like
        Unnormalised logarithms of probabilities x, any shape with at least one axis; -inf is probability 0.
    maximum : float or array_like
        Finite: one for all rows or one per row.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    axis, where, streams, position, index_offset : optional
        As in `categorical`.

    Returns
    -------
    ndarray of float64
        The shape of `logits`. The largest of a row is exactly `maximum`, at an index of the law softmax(x); the others
        are Gumbel numbers below it. -inf where x is, and in rows without any element above -inf.

    Raises
    ------
    TypeError, ValueError
        As `categorical`; and if a row has NaN or +inf, or the maximum is not finite.

    Notes
    -----
    With T the maximum, g = x + G and Z the largest g: T - log(1 + exp(v)), v = T - g + log(1 - exp(g - Z)) (Kool, van
    Hoof and Welling, "Stochastic Beams and Where to Find Them", 2019, appendix B.3). G is what `gumbel` returns with
    ``dtype=np.float64``.

    Top-down sampling (Maddison, Tarlow and Minka, "A* Sampling", 2014): let x be the logsumexp of the parts of a row,
    draw the largest sum of each part given that of the whole, then the sums inside the parts that matter given theirs.
    So the noise of any leaf of a tree is reached in steps from its root. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> parts = np.log([[0.1, 0.2], [0.3, 0.4]])
    >>> tops = sg.random.gumbel_given_max(sg.special.logsumexp(parts), 1.5, rng=1)  # the largest of each part
    >>> tops.round(3)
    array([0.219, 1.5  ])
    >>> sg.random.gumbel_given_max(parts, tops, rng=2).round(3)  # the largest of each row is its top
    array([[-2.223,  0.219],
           [-1.951,  1.5  ]])
    """
    rows = rows_of("gumbel_given_max", logits, axis, 1.0, where, streams, position)
    x = rows.in_float64()
    if rows.where is not None:
        x = np.where(rows.where, x, -np.inf)
    if np.any(np.isnan(x) | (x == np.inf)):
        raise ValueError("gumbel_given_max: logits must hold neither NaN nor +inf, got one")
    top = rows.per_row("gumbel_given_max", "maximum", wide_floats_of("gumbel_given_max", "maximum", maximum))
    if not np.all(np.isfinite(top)):
        wrong = float(top[~np.isfinite(top)].flat[0]) if top.ndim else float(top)
        raise ValueError(f"gumbel_given_max: maximum must be finite, got {wrong}")
    t = (top[..., None] if top.ndim else top).astype(np.float64)
    place: dict[str, Any] = {"streams": streams, "position": position, "index_offset": index_offset}
    g = x + gumbel(x.shape, rng=rng, dtype=np.float64, **place)
    largest = np.max(g, axis=-1, keepdims=True, initial=-np.inf)
    first = np.arange(g.shape[-1]) == np.argmax(g, axis=-1)[..., None] if g.size else np.zeros(g.shape, np.bool_)
    gap = np.where(g == -np.inf, np.inf, np.where(largest == -np.inf, 0.0, largest) - np.where(g == -np.inf, 0.0, g))
    v = t - g + log_one_minus_exp(log(gap))
    found = t - logsumexp(np.stack([np.zeros_like(v), np.where(first, -np.inf, v)], axis=-1))
    result = np.where(g == -np.inf, -np.inf, np.minimum(found, t))
    return np.moveaxis(result, -1, axis)

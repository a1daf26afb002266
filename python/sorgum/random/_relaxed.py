"""Relaxed draws: points of the simplex instead of categories."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum._arguments.arrays import Array, floats_of
from sorgum._arguments.halves import rounded_to
from sorgum._arguments.results import apart, result_of_dtype
from sorgum._arguments.scalars import flag_of
from sorgum.random._keys import Rng, key_of
from sorgum.random._places import index_offset_of
from sorgum.random._rows import Rows, draw_from, positive_temperature, rows_of
from sorgum.special import log_softmax

__all__ = ["gumbel_softmax"]


def gumbel_softmax(
    logits: npt.ArrayLike,
    *,
    rng: Rng,
    temperature: npt.ArrayLike = 1.0,
    hard: bool = False,
    log: bool = False,
    axis: int = -1,
    where: npt.ArrayLike | None = None,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    out: Array | None = None,
) -> Array:
    """Draw from the Gumbel-softmax (Concrete) distribution: softmax((logits + G) / temperature).

    Parameters
    ----------
    logits : array_like
        As in `categorical`.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    temperature : float or array_like, default 1.0
        Positive, finite and not subnormal: a scalar or one per row. It divides the noise, too, unlike that of
        `categorical`.
    hard : bool, default False
        Return the one-hot row of the category that `categorical` draws from these logits at temperature 1: what a
        straight-through estimator passes forward. Exactly one 1, the rest 0.
    log : bool, default False
        Return logarithms, which do not underflow at low temperatures: what `concrete_log_prob` takes.
    axis : int, default -1
        The axis of the categories.
    where : array_like of bool, optional
        Broadcast to `logits`. A category where it is False is absent: its result is 0 (log: -inf).
    streams, position, index_offset : optional
        As in `categorical`.
    out : ndarray, optional
        Where to write: the shape of `logits` and the dtype of the result; may be `logits` itself.

    Returns
    -------
    ndarray
        The shape and type of `logits`. Rows with NaN or +inf, or without any element above -inf, are NaN.

    Raises
    ------
    TypeError, ValueError
        As `categorical`, but that no row is invalid; and if the temperature is not positive and finite, or subnormal.

    Notes
    -----
    Jang, Gu and Poole, "Categorical Reparameterization with Gumbel-Softmax", 2017, equation 2; Maddison, Mnih and Teh,
    "The Concrete Distribution", 2017. G is what `gumbel` returns with the dtype of the result and ``bits=32``; x + G is
    rounded once, then `softmax` (log: `log_softmax`) has its own bound. As torch.nn.functional.gumbel_softmax, whose
    tau is the temperature. float16 and bfloat16 have the float32 result, rounded. Tier: bitwise.

    The largest element is distributed as softmax(logits) at every temperature, but for that rounding: where x + G is
    rounded by e (half a unit of float32 at the size of the logits: 2**-8 for logits of 2**16), odds are off by a factor
    of up to exp(2 e), and numbers that become equal favour the lower index. Logits less the largest of their row avoid
    that, and so does float64. ``hard=True`` compares exact sums, at any offset, so that its category need not be the
    largest of the soft row. At low temperatures numbers of the soft row round to 0 and 1, on the boundary of the
    simplex, where the density is no use: take logarithms.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> y = sg.random.gumbel_softmax(np.float32([[0.0, 1.0, 2.0]]), rng=2, temperature=0.5)
    >>> bool(abs(y.sum() - 1) < 1e-6)
    True
    >>> sg.random.gumbel_softmax(np.float32([[0.0, 9.0, -9.0]]), rng=2, hard=True)
    array([[0., 1., 0.]], dtype=float32)
    >>> x = np.float32([0.0, 1.0, 2.0])
    >>> bool(np.isfinite(
    ...     sg.random.concrete_log_prob(
    ...         sg.random.gumbel_softmax(x, rng=2, temperature=1e-4, log=True), x, temperature=1e-4
    ...     )
    ... ))
    True
    """
    hard, log = flag_of("gumbel_softmax", "hard", hard), flag_of("gumbel_softmax", "log", log)
    secret = key_of("gumbel_softmax", rng)
    x = apart(floats_of("gumbel_softmax", "logits", logits), out)
    rows = rows_of("gumbel_softmax", x, axis, temperature, where, streams, position)
    positive_temperature("gumbel_softmax", rows.temperature)
    result = result_of_dtype("gumbel_softmax", out, x.shape, x.dtype)
    if result.shape != x.shape:
        raise ValueError(f"gumbel_softmax: out must have shape {x.shape}, got {result.shape}")
    moved = np.moveaxis(result, axis, -1)
    if hard:
        rows.temperature = np.array(1.0)
        index = draw_from("gumbel_softmax", rows, secret, index_offset)["index"]
        if index_offset:
            index = np.where(index < 0, index, index - index_offset)
        numbers = np.array([-np.inf, 0, np.nan] if log else [0, 1, np.nan], np.float32)
        numbers = rounded_to(numbers, x.dtype)
        if numbers.itemsize == 2:  # by their bits: NumPy is slow with half types
            moved, numbers = moved.view(np.uint16), numbers.view(np.uint16)
        zero, one, nan = numbers
        moved[...] = np.where(index < 0, nan, zero)[..., None]
        if moved.shape[-1]:
            np.put_along_axis(moved, np.maximum(index, 0)[..., None], np.where(index < 0, nan, one)[..., None], -1)
        return result
    relax("gumbel_softmax", rows, secret, index_offset_of("gumbel_softmax", index_offset), moved, log=log)
    return result


def relax(function: str, rows: Rows, key: int, index_offset: int, out: Array, *, log: bool = False) -> None:
    """Write softmax((logits + G) / temperature), or its logarithm, along the last axis of `out`."""
    if not log:
        x, t, ids, position = rows.logits, rows.temperature, rows.streams, rows.position
        _core.random.gumbel_softmax(function, x, t, rows.where, key, ids, position, index_offset, out)
        return
    for part, to in rows.in_blocks(out):
        numbers = to if to.dtype == rows.computed_in else np.empty(to.shape, rows.computed_in)
        _core.random.gumbel_add(function, part.logits, key, part.streams, part.position, index_offset, numbers)
        log_softmax(numbers, temperature=part.temperature, where=part.where, out=numbers)
        if numbers is not to:
            _core.convert(numbers, to)

"""Densities and gradients of relaxed draws; gates between 0 and 1."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, float64s_of, floats_of, temperature_of
from sorgum._arguments.halves import rounded_to, wide_floats_of, widened
from sorgum._arguments.results import one_nan
from sorgum._arguments.scalars import flag_of, pair_of
from sorgum.random._formulas import tree_sum
from sorgum.random._keys import Key, Rng, own_key_of
from sorgum.random._noise import logistic
from sorgum.random._relaxed import gumbel_softmax
from sorgum.random._rows import positive_temperature, rows_of
from sorgum.special import exp, log, logsumexp, softmax

__all__ = [
    "binary_concrete",
    "concrete_log_prob",
    "concrete_score",
    "gumbel_softmax_grad",
    "hard_concrete",
]


def gumbel_softmax_grad(
    logits: npt.ArrayLike,
    *,
    rng: Key | int,
    dy: npt.ArrayLike,
    temperature: npt.ArrayLike = 1.0,
    hard: bool = False,
    log: bool = False,
    axis: int = -1,
    where: npt.ArrayLike | None = None,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
) -> Array:
    """Pull a gradient back through `gumbel_softmax`, drawing the noise again from its key: nothing was stored.

    Parameters
    ----------
    logits : array_like
        What `gumbel_softmax` was given.
    rng : Key or int
        What `gumbel_softmax` was given: a key or its seed. A Generator, which would draw another one, is refused.
    dy : array_like
        The gradient with respect to what `gumbel_softmax` returned, soft or hard; the shape of `logits`.
    temperature, log, axis, where, streams, position, index_offset : optional
        What `gumbel_softmax` was given.
    hard : bool, default False
        What `gumbel_softmax` was given, so that both can be called with the same options: the gradient is the same.

    Returns
    -------
    ndarray
        The gradient with respect to the logits, of their shape and type: y (dy - sum(y dy)) / temperature with y
        the soft result, in float32 for half types; (dy - y sum(dy)) / temperature of its logarithm. For a hard one
        this is the straight-through estimate.

    Raises
    ------
    TypeError, ValueError
        As `gumbel_softmax`; and if the shape of `dy` is another, or `rng` is a Generator.

    Notes
    -----
    Jang, Gu and Poole, "Categorical Reparameterization with Gumbel-Softmax", 2017, section 2. The products and the sum
    are formed in float64, by halves of the row; rounded once. Rows sum to 0. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> x = np.float64([0.5, -1.0, 2.0])
    >>> sg.random.gumbel_softmax_grad(x, rng=4, dy=[1.0, 0.0, 0.0], temperature=0.5).round(6)
    array([ 0.098834, -0.00087 , -0.097964])
    >>> steps = 1e-6 * np.eye(3)  # the same by differences
    >>> up, down = (sg.random.gumbel_softmax(x + s, rng=4, temperature=0.5, streams=[0] * 3) for s in (steps, -steps))
    >>> ((up - down)[:, 0] / 2e-6).round(6)
    array([ 0.098834, -0.00087 , -0.097964])
    """
    log, _ = flag_of("gumbel_softmax_grad", "log", log), flag_of("gumbel_softmax_grad", "hard", hard)
    x = floats_of("gumbel_softmax_grad", "logits", logits)
    y = gumbel_softmax(
        widened(x),
        rng=Key(own_key_of("gumbel_softmax_grad", rng)),
        temperature=temperature,
        axis=axis,
        where=where,
        streams=streams,
        position=position,
        index_offset=index_offset,
    )
    upstream = wide_floats_of("gumbel_softmax_grad", "dy", dy)
    if upstream.shape != y.shape:
        raise ValueError(f"gumbel_softmax_grad: dy must have shape {y.shape}, got {upstream.shape}")
    soft = np.moveaxis(y, axis, -1).astype(np.float64)
    if where is not None:  # what is absent has no gradient, whatever stands there
        mask = np.broadcast_to(np.asarray(where), y.shape)
        upstream = np.where(mask, upstream, 0)
    above = np.moveaxis(upstream, axis, -1).astype(np.float64)
    t = temperature_of("gumbel_softmax_grad", temperature)
    if t.ndim:
        t = (np.moveaxis(t, axis, -1) if t.ndim == y.ndim else t).reshape((*soft.shape[:-1], 1))
    with np.errstate(over="ignore", invalid="ignore"):  # numbers of no use become infinite or NaN
        # Powers of two, so that neither sums nor differences overflow where the result need not.
        unit = np.where(np.max(np.abs(above), axis=-1, keepdims=True, initial=0) > 2.0**900, 2.0**-100, 1.0)
        above = above * unit
        if log:
            found = (above - soft * tree_sum(above)[..., None]) / t
        else:  # a product that is subnormal would lack the digits that a small T asks for
            down = np.minimum(np.frexp(t)[1], 0)
            found = np.ldexp(soft, -down) * (above - tree_sum(soft * above)[..., None]) / np.ldexp(t, -down)
        return np.moveaxis(rounded_to(found / unit + 0.0, x.dtype), -1, axis)  # one sign of zero


@functools.lru_cache(maxsize=64)
def _log_factorial(n: int) -> float:
    return float(tree_sum(log(np.arange(1.0, n + 1))))


def _concrete(
    function: str, log_points: npt.ArrayLike, logits: npt.ArrayLike, temperature: npt.ArrayLike, axis: int
) -> tuple[Array, Array, Array]:
    """Return y, x and the temperature with a last axis of length 1, the categories along the last axis, in float64."""
    y = wide_floats_of(function, "log_points", log_points)
    x = wide_floats_of(function, "logits", logits)
    try:
        shape = np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        rule = f"must broadcast with log_points of shape {y.shape}"
        raise ValueError(f"{function}: logits {rule}, got shape {x.shape}") from None
    rows = rows_of(function, np.broadcast_to(x, shape), axis, temperature, None, None, 0)
    t = positive_temperature(function, rows.per_row(function, "temperature", rows.temperature))
    points = np.moveaxis(np.broadcast_to(y, shape), axis, -1)
    return points.astype(np.float64), rows.logits.astype(np.float64), t[..., None] if t.ndim else t


def concrete_log_prob(
    log_points: npt.ArrayLike,
    logits: npt.ArrayLike,
    *,
    temperature: npt.ArrayLike,
    axis: int = -1,
    of_points: bool = False,
) -> Any:
    """Return the logarithm of the density of the Concrete distribution, that of `gumbel_softmax`.

    Parameters
    ----------
    log_points : array_like
        Logarithms y of points of the simplex: points themselves underflow at low temperatures. A constant added to a
        row changes nothing unless `of_points` is set.
    logits : array_like
        The parameters x, broadcast against `log_points`; a constant added to a row changes nothing.
    temperature : float or array_like
        t, positive and finite: one for all rows or one per row.
    axis : int, default -1
        The axis of the categories.
    of_points : bool, default False
        The density of the points exp(y) on the simplex; else that of their logarithms (ExpConcrete).

    Returns
    -------
    ndarray or scalar of float64
        The rows' shape: log((n - 1)!) + (n - 1) log(t) + sum(x - t y) - n logsumexp(x - t y), less sum(y) for points.
        On the boundary, where some y are -inf, the limit: -inf for logarithms; for points -inf, +inf or, with a single
        such y and t = 1 / (n - 1), a number, and NaN where the limit depends on the way there. NaN where x is -inf too.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit, or the temperature is not positive and finite.

    Notes
    -----
    Maddison, Mnih and Teh, "The Concrete Distribution", 2017, equations 10 and 22. In float64; sums by halves of the
    row. Points of `gumbel_softmax` lie on the boundary at low temperatures, for they are rounded: its ``log=True`` has
    what this function takes. For a gate of `binary_concrete`, y = (z, 0) and x = (its parameter, 0) give the density of
    its logit z, which ``logit=True`` returns.

    With m of the n numbers y = -v_i L and L to infinity, the density of points goes as L ((1 + t) sum(v) - n t max(v)),
    where sum(v) is between max(v) and m max(v). Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> y = np.log([0.2, 0.3, 0.5])
    >>> np.exp([sg.random.concrete_log_prob(y, np.zeros(3), temperature=1.0, of_points=True)]).round(6)
    array([2.014031])
    >>> np.array([2 / 0.03**2 / (1 / 0.2 + 1 / 0.3 + 1 / 0.5) ** 3]).round(6)  # 2! prod(1 / y) / sum(1 / y)**3
    array([2.014031])
    """
    of_points = flag_of("concrete_log_prob", "of_points", of_points)
    y, x, t = _concrete("concrete_log_prob", log_points, logits, temperature, axis)
    n = y.shape[-1]
    if n == 0:
        raise ValueError("concrete_log_prob: log_points must have categories, got none")
    t_of_row = t[..., 0] if t.ndim else t
    with np.errstate(over="ignore", invalid="ignore"):  # numbers of no use become infinite or NaN
        s = x - t * y
        scale = _log_factorial(n - 1) + (n - 1) * log(t_of_row)
        found = scale + (tree_sum(s) - n * logsumexp(s))
        lost = ~np.isfinite(found)
        if np.any(lost):  # the sum may have overflowed: a constant changes nothing
            level = s - np.max(s, axis=-1, keepdims=True)
            found = np.where(lost, scale + (tree_sum(level) - n * logsumexp(level)), found)
        if of_points:
            found = found - tree_sum(y)
        edge = (s == np.inf) & (x < np.inf)
        if np.any(edge):
            found = np.where(edge.any(axis=-1), _at_boundary(y, x, s, t_of_row, edge, scale, of_points), found)
        return one_nan(found)[()]


def _at_boundary(y: Array, x: Array, s: Array, t: Any, edge: Array, scale: Any, of_points: bool) -> Array:
    """Return the limits of log densities where the numbers y at `edge` go to -inf: see the notes above."""
    n, m = y.shape[-1], np.count_nonzero(edge, axis=-1)
    found = np.full(m.shape, -np.inf)
    if of_points:
        least, most = 1 - (n - 1) * t, m - (n - m) * t  # what L is multiplied by, with max(v) = 1
        single = scale + (1 - n) * tree_sum(np.where(edge, x, 0)) + tree_sum(np.where(edge, 0, s - y))
        unknown = np.where((m == 1) & (least == 0), single, np.nan)
        found = np.where(most < 0, -np.inf, np.where(least > 0, np.inf, unknown))
    spoilt = np.any(np.isnan(s) | (x == np.inf), axis=-1) | (m == n)
    return np.where(spoilt, np.nan, found)


def concrete_score(
    log_points: npt.ArrayLike, logits: npt.ArrayLike, *, temperature: npt.ArrayLike, axis: int = -1
) -> tuple[Array, Array]:
    """Return the gradients of `concrete_log_prob` (of logarithms) with respect to `log_points` and `logits`.

    Parameters
    ----------
    log_points, logits, temperature, axis : optional
        As in `concrete_log_prob`.

    Returns
    -------
    pair of ndarray of float64
        -t + n t softmax(x - t y) and 1 - n softmax(x - t y). Rows sum to 0. Where a single y is -inf, the limit, whose
        softmax is 1 there; where more are, it depends on the way there: NaN.

    Raises
    ------
    TypeError, ValueError
        As `concrete_log_prob`.

    Notes
    -----
    With x the vertex e_k times beta and t = beta tau it is the conditional score of Gumbel-Softmax flow matching (Tang,
    Zhang, Tong and Chatterjee, 2025). Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> of_points, of_logits = sg.random.concrete_score(np.log([0.2, 0.8]), np.zeros(2), temperature=0.5)
    >>> of_points.round(4), of_logits.round(4)  # the first is -temperature times the second
    (array([ 0.1667, -0.1667]), array([-0.3333,  0.3333]))
    """
    y, x, t = _concrete("concrete_score", log_points, logits, temperature, axis)
    with np.errstate(over="ignore", invalid="ignore"):  # as in concrete_log_prob
        s = x - t * y
        edge = (s == np.inf) & (x < np.inf)
        if np.any(edge):
            single = (np.count_nonzero(edge, axis=-1) == 1) & ~np.any(np.isnan(s) | (x == np.inf), axis=-1)
            s = np.where(single[..., None], np.where(edge, 0.0, -np.inf), s)
        of_logits = 1 - y.shape[-1] * softmax(s)
        return np.moveaxis(-t * of_logits, -1, axis), np.moveaxis(of_logits, -1, axis)


def binary_concrete(
    logits: npt.ArrayLike,
    *,
    rng: Rng,
    temperature: npt.ArrayLike = 1.0,
    logit: bool = False,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
) -> Any:
    """Draw gates from the binary Concrete distribution: sigmoid((logits + L) / temperature), L logistic.

    Parameters
    ----------
    logits : array_like
        log(odds) of each gate, any shape; the last axis makes the rows.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    temperature : float or array_like, default 1.0
        Positive, finite and not subnormal, broadcast to the shape of `logits`.
    logit : bool, default False
        Return (logits + L) / temperature, log(gate / (1 - gate)): gates round to 0 and 1 at low temperatures, their
        logits do not.
    streams, position, index_offset : optional
        Which words are drawn: as in `bits`.

    Returns
    -------
    ndarray or scalar
        The shape and type of `logits`, from 0 to 1; above 1/2 with probability sigmoid(logits) at every temperature,
        but for gates that are rounded to 1/2.

    Raises
    ------
    TypeError, ValueError
        As `logistic`; and if the temperature is not positive and finite, or subnormal.

    Notes
    -----
    Maddison, Mnih and Teh, "The Concrete Distribution", 2017, appendix B. It is the first of the two numbers of
    `gumbel_softmax` with logits (x, 0), for one number of noise instead of two. L is what `logistic` returns with the
    dtype of the result (half types: float32) and ``bits=32``; logits + L is rounded once, its quotient by the
    temperature, of float64, once more. The density of a gate's logit is that of `concrete_log_prob`. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.random.binary_concrete(np.zeros(5), rng=1, temperature=0.5).round(3)
    array([0.191, 0.317, 0.994, 0.505, 0.353])
    >>> gates = sg.random.binary_concrete(np.log([[1.0], [4.0]]).repeat(10000, 1), rng=1, temperature=0.5)
    >>> (gates > 0.5).mean(-1).round(2)  # sigmoid of the logits: 1 / 2 and 4 / 5
    array([0.49, 0.8 ])
    """
    given = floats_of("binary_concrete", "logits", logits)
    x = widened(given)
    t = positive_temperature("binary_concrete", float64s_of("binary_concrete", "temperature", temperature))
    logit = flag_of("binary_concrete", "logit", logit)
    try:
        divisor = np.broadcast_to(t, x.shape)
    except ValueError:
        raise ValueError(
            f"binary_concrete: temperature must broadcast to shape {x.shape}, got shape {t.shape}"
        ) from None
    place: dict[str, Any] = {"streams": streams, "position": position, "index_offset": index_offset}
    noisy = x + logistic(x.shape, rng=rng, dtype=x.dtype, bits=32, **place)
    with np.errstate(over="ignore"):  # to infinite logits
        z = np.asarray(noisy / divisor).astype(x.dtype)
    if logit:
        return rounded_to(one_nan(z), given.dtype)[()]
    small = exp(-np.abs(z))  # of the smaller of the two probabilities, so that neither overflows
    return rounded_to(np.asarray(np.where(z < 0, small, x.dtype.type(1)) / (1 + small)), given.dtype)[()]


def hard_concrete(
    logits: npt.ArrayLike,
    *,
    rng: Rng,
    temperature: npt.ArrayLike = 2 / 3,
    stretch: tuple[float, float] = (-0.1, 1.1),
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
) -> Any:
    """Draw gates from the hard Concrete distribution: exactly 0 or 1 with some probability, between them otherwise.

    Parameters
    ----------
    logits, rng, streams, position, index_offset : optional
        As in `binary_concrete`.
    temperature : float or array_like, default 2 / 3
        Positive, finite and not subnormal.
    stretch : pair of float, default (-0.1, 1.1)
        The interval to which `binary_concrete` is stretched before it is cut to [0, 1]: below 0, above 1, of finite
        length.

    Returns
    -------
    ndarray or scalar
        The shape of `logits`. Not 0 with probability sigmoid(logits - temperature log(-low / high)).

    Raises
    ------
    TypeError, ValueError
        As `binary_concrete`; and if the interval is not finite or does not hold [0, 1].

    Notes
    -----
    Louizos, Welling and Kingma, "Learning Sparse Neural Networks through L0 Regularization", 2018, equations 10 to 12.
    Worked out in float64, rounded once to the dtype. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.random.hard_concrete(np.zeros(8), rng=1).round(2)
    array([0.2 , 0.33, 1.  , 0.5 , 0.37, 0.83, 0.11, 0.73])
    >>> gates = sg.random.hard_concrete(np.zeros(10000), rng=1)
    >>> np.array([(gates == 0).mean(), (gates == 1).mean()]).round(2)
    array([0.17, 0.16])
    """
    low, high = pair_of("hard_concrete", "stretch", stretch)
    if not (low <= 0 and high >= 1 and high - low < np.inf):
        raise ValueError(f"hard_concrete: stretch must hold [0, 1] and be of finite length, got ({low}, {high})")
    place: dict[str, Any] = {"streams": streams, "position": position, "index_offset": index_offset}
    given = floats_of("hard_concrete", "logits", logits)
    gates = np.asarray(binary_concrete(widened(given), rng=rng, temperature=temperature, **place))
    stretched = gates.astype(np.float64) * (high - low) + low
    return rounded_to(np.clip(stretched, 0, 1).astype(gates.dtype), given.dtype)[()]

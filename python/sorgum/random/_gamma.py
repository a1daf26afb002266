"""Gamma and Dirichlet numbers of any shape parameter, in logarithms where they would underflow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum._arguments.arrays import Array, float64s_of
from sorgum._arguments.results import result_of_dtype
from sorgum._arguments.scalars import axis_of, flag_of, float_dtype_of
from sorgum.random._keys import Rng, key_of
from sorgum.random._places import index_offset_of, place_of
from sorgum.special import log_softmax, softmax

__all__ = ["dirichlet", "gamma"]


def _draw_gamma(
    function: str,
    concentration: Array,
    rng: object,
    dtype: np.dtype[Any],
    log: bool,
    streams: npt.ArrayLike | None,
    position: npt.ArrayLike,
    index_offset: int,
    out: Array | None,
) -> Array:
    secret = key_of(function, rng)
    result = result_of_dtype(function, out, concentration.shape, dtype)
    ids, at = place_of(function, streams, position)
    offset = index_offset_of(function, index_offset)
    _core.random.gamma(function, concentration, log, secret, ids, at, offset, result)
    return result


def gamma(
    concentration: npt.ArrayLike,
    *,
    rng: Rng,
    log: bool = False,
    dtype: npt.DTypeLike = np.float32,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    out: Array | None = None,
) -> Any:
    """Draw gamma numbers of scale 1, or their logarithms.

    Parameters
    ----------
    concentration : float or array_like
        The shape parameter a of every number, from 2**-1000 to 2**1000; the result has its shape (broadcast it for more
        numbers), its last axis makes the rows.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    log : bool, default False
        Return logarithms: numbers of small a underflow, their logarithms, about log(u) / a with u uniform, do not in
        float64, for any a. float32 cannot hold those below -3.4e38, of a below some 1e-37: -inf.
    dtype : dtype, default float32
        float32 or float64.
    streams, position, index_offset : optional
        Which words are drawn: as in `bits`.
    out : ndarray, optional
        Where to write: that shape and dtype.

    Returns
    -------
    ndarray or scalar
        Numbers of the density x**(a - 1) exp(-x) / Gamma(a), or their logarithms.

    Raises
    ------
    TypeError
        If `rng` is None or a dtype is none of the above.
    ValueError
        If a is out of range, a shape does not fit, or `out` is read-only or overlaps itself.

    Notes
    -----
    Source: Marsaglia and Tsang, "A simple method for generating gamma variables", 2000: d v**3 with v = 1 + c z,
    accepted by a second number; for a < 1 that of a + 1 times u**(1 / a). Attempt t of element i has a Philox block of
    its own, number i under the row's key for attempt t, so a number depends on its own place and its own a alone.
    Worked out in float64, rounded once to float32. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.random.gamma([0.5, 3.0, 100.0], rng=1)
    array([  2.077236 ,   3.8448045, 107.0616   ], dtype=float32)
    >>> sg.random.gamma([1e-300], rng=1, log=True, dtype=np.float64)  # the number itself would underflow
    array([-5.27971485e+298])
    """
    kind, log = float_dtype_of("gamma", dtype), flag_of("gamma", "log", log)
    a = float64s_of("gamma", "concentration", concentration)
    result = _draw_gamma("gamma", a, rng, kind, log, streams, position, index_offset, out)
    return result[()] if result.ndim == 0 and out is None else result


def dirichlet(
    concentration: npt.ArrayLike,
    *,
    rng: Rng,
    axis: int = -1,
    log: bool = False,
    dtype: npt.DTypeLike = np.float32,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
) -> Array:
    """Draw points of the simplex from Dirichlet distributions, or their logarithms.

    Parameters
    ----------
    concentration : array_like
        From 2**-1000 to 2**1000, any shape with at least one axis; the result has its shape.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    axis : int, default -1
        The axis of the categories; the others number the rows.
    log : bool, default False
        Return logarithms; in float32 those below -3.4e38, of concentrations below some 1e-37, are -inf.
    dtype : dtype, default float32
        float32 or float64.
    streams, position : optional
        As in `categorical`.

    Returns
    -------
    ndarray
        Rows of sum 1: softmax (log: log_softmax) of the logarithms of gamma numbers, which are what `gamma` returns
        with ``log=True, dtype=np.float64``. Small concentrations do not make rows of 0 / 0.

    Raises
    ------
    TypeError, ValueError
        As `gamma`; and if `axis` is out of range.

    Notes
    -----
    With p a row of sum 1 and a its total, E[x] = p and Var[x] = p (1 - p) / (a + 1) for concentration a p: rows between
    one-hot (a to 0) and p (a to infinity). Worked out in float64, rounded once to float32. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.random.dirichlet([[1.0, 2.0, 5.0], [100.0, 200.0, 500.0]], rng=1).round(3)
    array([[0.15 , 0.247, 0.603],
           [0.114, 0.266, 0.62 ]], dtype=float32)
    >>> x = sg.random.dirichlet(np.full((1000, 4), 1e-5), rng=1, dtype=np.float64)  # gamma numbers would underflow
    >>> x.max(-1)[:5].round(6)  # nearly vertices
    array([1., 1., 1., 1., 1.])
    """
    kind, log = float_dtype_of("dirichlet", dtype), flag_of("dirichlet", "log", log)
    a = float64s_of("dirichlet", "concentration", concentration)
    if a.ndim == 0:
        raise ValueError("dirichlet: concentration must have at least one axis, got a scalar")
    axis = axis_of("dirichlet", axis, a.ndim)
    rows = np.moveaxis(a, axis, -1)
    logs = _draw_gamma("dirichlet", rows, rng, np.dtype(np.float64), True, streams, position, 0, None)
    points: Array = (log_softmax if log else softmax)(logs, out=logs)
    with np.errstate(over="ignore"):  # to -inf
        points = points.astype(kind, copy=False)
    return np.moveaxis(points, -1, axis)

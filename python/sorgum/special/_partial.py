"""Rows in parts: their sums as values that are stored, sent and merged."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum._arguments.arrays import Array, floats_of, mask_of, temperature_of
from sorgum._arguments.results import apart, result_for, returned
from sorgum._arguments.scalars import Axis, axes_of, axis_of, flag_of
from sorgum.interop import bfloat16
from sorgum.interop.arrays import kind_of, shown
from sorgum.special._functions import weighted

__all__ = ["CHUNK", "logsumexp_finish", "logsumexp_merge", "logsumexp_partial", "partial_dtype", "softmax_from_partial"]

CHUNK: int = _core.special.CHUNK
"""Rows that are split at multiples of so many elements have the bits of the whole row."""

partial_dtype = np.dtype(
    [
        ("version", "<u4"),
        ("has_nan", "?"),
        ("has_inf", "?"),
        ("has_minus_inf", "?"),  # of a weighted sum
        ("weighted", "?"),
        ("dtype", "S8"),
        ("temperature", "<f8"),
        ("max", "<f8"),
        ("count", "<i8"),  # of elements equal to max; 0 in a weighted sum
        ("top", "<i8"),  # bins[k] counts units of 2^(24 (top - k)); -2^63: no term
        ("bins", "<i8", (6,)),
        ("check", "<u8"),
    ]
)
"""A record of `logsumexp_partial`; docs/numerics/special.md says what its fields mean."""


def _words(function: str, p: object) -> Array:
    """Return records as contiguous words, those of a record along a last axis of their own."""
    if not isinstance(p, np.ndarray | np.void) or isinstance(p, np.ma.MaskedArray) or p.dtype != partial_dtype:
        found = bfloat16.name(p.dtype) if isinstance(p, np.ndarray | np.void) else kind_of(p)
        raise TypeError(f"{function}: p must be an array of special.partial_dtype, got {found}")
    array = np.array(p, copy=True, order="C", subok=False)
    return array.reshape(*array.shape, 1).view(np.int64)


def _no_records(shape: tuple[int, ...]) -> Array:
    return np.zeros((*shape, partial_dtype.itemsize // 8), np.int64)


def _of_words(words: Array) -> Array:
    return words.view(partial_dtype)[..., 0]


def logsumexp_partial(
    x: npt.ArrayLike,
    axis: Axis = -1,
    *,
    temperature: npt.ArrayLike = 1.0,
    where: npt.ArrayLike | None = None,
    b: npt.ArrayLike | None = None,
) -> Array:
    """Sum b exp(x / T) over a part of rows, as a value that can be stored, sent and merged.

    Parameters
    ----------
    x : array_like
        The part of the rows that is at hand; float32, float64, float16 or bfloat16, whose sums are float32's, or bool
        and integers, which become float64. It may be empty.
    axis : int, tuple of int or None, default -1
        The axes that are summed over, as in `logsumexp`.
    temperature : float or array_like, default 1.0
        T, positive and finite: a scalar or one per row; the same for every part of a row.
    where : array_like of bool, optional
        Broadcast to `x`. An element where it is False is absent, whatever its value.
    b : array_like, optional
        Real weights, as in `logsumexp`; every part of a row has some, or none has.

    Returns
    -------
    ndarray of `partial_dtype`
        A record per row: the shape of `x` without `axis`. It pickles, and `numpy.save` keeps it; a byte of it means the
        same on every machine.

    Raises
    ------
    TypeError, ValueError
        As `logsumexp`.

    Notes
    -----
    The merged records of a row split at multiples of `CHUNK` elements give the bits of the whole row, in any order and
    grouping; the records themselves are the same. Split elsewhere, chunks and so roundings differ: of float32 rows of 2
    to 100 elements one or two in a hundred, of long ones one to three in a thousand come to another number, mostly the
    next one. The bound is that of `logsumexp`, so that two ways to split are at most 6 ULP (float64: 8) of its unit
    apart; docs/numerics/special.md has what was seen. A row may have up to 2**36 elements. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> row = np.linspace(-5, 5, 10000, dtype=np.float32)
    >>> parts = [sg.special.logsumexp_partial(row[i : i + sg.special.CHUNK]) for i in (8192, 0, 4096)]
    >>> merged = sg.special.logsumexp_merge(np.stack(parts))
    >>> merged["max"], merged["count"]
    (array(5.), array(1))
    >>> float(sg.special.logsumexp_finish(merged)), float(sg.special.logsumexp(row))
    (11.908109664916992, 11.908109664916992)
    """
    array, weights = weighted("logsumexp_partial", floats_of("logsumexp_partial", "x", x), b)
    axes, t = axes_of("logsumexp_partial", axis), temperature_of("logsumexp_partial", temperature)
    words = _no_records(_core.special.row_shape("logsumexp_partial", array, axes, False))
    _core.special.logsumexp_partial(array, axes, t, mask_of("logsumexp_partial", where), weights, words)
    return _of_words(words)


def logsumexp_merge(p: Array, axis: int = 0) -> Array:
    """Merge the sums of parts of rows, in any order.

    Parameters
    ----------
    p : ndarray of `partial_dtype`
        Records of `logsumexp_partial`, or of this function, with an axis of parts, in any order.
    axis : int, default 0
        The axis of parts.

    Returns
    -------
    ndarray of `partial_dtype`
        Without that axis: the records of the parts together.

    Raises
    ------
    TypeError
        If `p` is not an array of `partial_dtype`, or `axis` not an int.
    ValueError
        If `axis` is out of range or has length 0; if a record has another version, has changed since it was made or
        cannot be; if the records of a row differ in dtype or temperature, or only some have weights; if a row comes to
        more than 2**36 elements.

    Notes
    -----
    Sums are integers, so that neither order nor grouping matters: docs/numerics/special.md. Where rows were split
    matters unless it was at multiples of `CHUNK`: see `logsumexp_partial`. Tier: bitwise.

    Examples
    --------
    >>> import sorgum as sg
    >>> parts = sg.special.logsumexp_partial([[0.0, 1.0], [2.0, 3.0]])  # two parts of one row
    >>> merged = sg.special.logsumexp_merge(parts)
    >>> float(sg.special.logsumexp_finish(merged)), float(sg.special.logsumexp([0.0, 1.0, 2.0, 3.0]))
    (3.4401896985611953, 3.4401896985611953)
    """
    words = _words("logsumexp_merge", p)
    ndim = words.ndim - 1
    at = axis_of("logsumexp_merge", axis, ndim)
    parts = np.moveaxis(words, at % ndim, 0)
    merged = _no_records(parts.shape[1:-1])
    _core.special.logsumexp_merge(parts, merged)
    return _of_words(merged)


def logsumexp_finish(p: Array, *, return_sign: bool = False) -> Any:
    """Return logsumexp of rows from the merged sums of their parts.

    Parameters
    ----------
    p : ndarray of `partial_dtype`
        Records of whole rows, of one dtype.
    return_sign : bool, default False
        Return the sign of the sum beside the logarithm of its magnitude. Without it a negative sum gives NaN.

    Returns
    -------
    ndarray or scalar, or a pair of them
        The shape of `p` and the dtype that stands in it (float64 if there is no record): what `logsumexp` returns for
        the whole rows.

    Raises
    ------
    TypeError, ValueError
        As `logsumexp_merge`.

    Notes
    -----
    Bound: that of `logsumexp`. Rounded to float16 or bfloat16, the result of such rows is that of `logsumexp`, too.
    Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> p = sg.special.logsumexp_partial([[0.0, 1.0, 2.0], [5.0, 5.0, 5.0]])
    >>> sg.special.logsumexp_finish(p)
    array([2.40760596, 6.09861229])
    """
    words, return_sign = _words("logsumexp_finish", p), flag_of("logsumexp_finish", "return_sign", return_sign)
    shape = words.shape[:-1]
    single = words.size > 0 and _of_words(words).reshape(-1)["dtype"][0] == b"float32"
    result = np.empty(shape, np.float32 if single else np.float64)
    sign = np.empty_like(result) if return_sign else None
    _core.special.logsumexp_finish(words, result, sign)
    return returned(result, None) if sign is None else (returned(result, None), returned(sign, None))


def softmax_from_partial(
    x: npt.ArrayLike,
    p: Array,
    axis: Axis = -1,
    *,
    where: npt.ArrayLike | None = None,
    empty: Literal["nan", "zero"] = "nan",
    out: Array | None = None,
) -> Any:
    """Softmax of a part of rows whose sums are known: exp(x / T) / sum(exp(x / T)).

    Parameters
    ----------
    x : array_like
        A part of the rows, of the dtype of the records; float16 or bfloat16 where that is float32.
    p : ndarray of `partial_dtype`
        The merged records of the whole rows, without weights: the shape of `x` without `axis`, or with it at length 1.
        T stands in them.
    axis : int, tuple of int or None, default -1
        The axes of the rows, as in `softmax`.
    where : array_like of bool, optional
        As it was for `logsumexp_partial`; the result of an absent element is 0.
    empty : {"nan", "zero"}, default "nan"
        The result in rows without any element above -inf.
    out : ndarray, optional
        Where to write: the shape of `x` and the dtype of the result; may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The shape of `x`: this part of what `softmax` returns for the whole rows, bit for bit where they were split at
        multiples of `CHUNK`.

    Raises
    ------
    TypeError, ValueError
        As `softmax` and `logsumexp_merge`; and if `x` has NaN, or an element above the maximum of its row, where the
        record has none. What `out` holds then is undefined.

    Notes
    -----
    Bound: that of `softmax`. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> left, right = np.float32([1.0, 2.0]), np.float32([3.0])
    >>> p = sg.special.logsumexp_merge(np.stack([sg.special.logsumexp_partial(part) for part in (left, right)]))
    >>> sg.special.softmax_from_partial(right, p)
    array([0.66524094], dtype=float32)
    """
    array = apart(floats_of("softmax_from_partial", "x", x), out)
    result = result_for("softmax_from_partial", out, array.shape, array.dtype)
    mask = mask_of("softmax_from_partial", where)
    if not isinstance(empty, str):
        raise TypeError(f"softmax_from_partial: empty must be a string, got {shown(empty)}")
    words, axes = _words("softmax_from_partial", p), axes_of("softmax_from_partial", axis)
    _core.special.softmax_from_partial(array, words, axes, None if mask is None else apart(mask, out), result, empty)
    return returned(result, out)

"""Noise element by element: words, uniforms, exponentials, Gumbel, logistic and normal numbers."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum._arguments.arrays import Array
from sorgum._arguments.results import result_of_dtype
from sorgum._arguments.scalars import Shape, dtype_of, float_dtype_of, shape_of
from sorgum.interop.arrays import shown
from sorgum.random._keys import Rng, key_of
from sorgum.random._places import index_offset_of, place_of

__all__ = ["bits", "exponential", "gumbel", "logistic", "normal", "uniform"]


def is_wide(function: str, width: object, dtype: np.dtype[Any]) -> bool:
    """Return whether words of 64 bits are asked for, by `width` or else by the dtype."""
    if width is None:
        return dtype.itemsize == 8
    if isinstance(width, bool) or not isinstance(width, int):
        raise TypeError(f"{function}: bits must be 32, 64 or None, got {shown(width)}")
    if width not in (32, 64):
        raise ValueError(f"{function}: bits must be 32, 64 or None, got {shown(width)}")
    return width == 64


def _noise(
    law: str,
    shape: Shape,
    rng: object,
    dtype: npt.DTypeLike,
    streams: npt.ArrayLike | None,
    position: npt.ArrayLike,
    index_offset: int,
    width: object,
    out: Array | None,
) -> Any:
    secret = key_of(law, rng)
    sizes, kind = shape_of(law, shape), float_dtype_of(law, dtype)
    result = result_of_dtype(law, out, sizes, kind)
    ids, at = place_of(law, streams, position)
    wide, index = is_wide(law, width, kind), index_offset_of(law, index_offset)
    _core.random.noise(law, wide, secret, ids, at, index, sizes, result)
    return result[()] if result.ndim == 0 and out is None else result


def bits(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = np.uint32,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    out: Array | None = None,
) -> Any:
    """Draw random words of 32 or 64 bits.

    Parameters
    ----------
    shape : int or tuple of int
        The shape of the result; its last axis makes the rows.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    dtype : dtype, default uint32
        uint32 or uint64.
    streams : array_like of int, optional
        An id of 64 bits per row, the shape without its last axis; by default the rows' numbers.
    position : int or array_like of int, default 0
        The step of the sequence, from 0 to 2**64 - 1: one for all rows or one per row.
    index_offset : int, default 0
        The index of the first element of every row, where the array is a part of a longer row.
    out : ndarray, optional
        Where to write: that shape and dtype. An array on a CUDA device is filled there (docs/cuda.md).

    Returns
    -------
    ndarray or scalar
        Element i of a row is word i: word i mod 4 of philox(row key, {(i / 4) low, (i / 4) high, position low, position
        high}), where the row key is words 0 and 1 of philox(key, {stream low, stream high, purpose, 0}). The purpose is
        0 here, and 1 for words of 64 bits, which are words 2 i + 1 over 2 i.

    Raises
    ------
    TypeError
        If `rng` is None or a dtype is none of the above.
    ValueError
        If a shape does not fit, a number is negative or out of range, or `out` is read-only or overlaps itself.

    Notes
    -----
    Source: Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", 2011 (Philox4x32-10). Row keys
    have 64 bits: among 2**32 streams of one key two are expected to be equal. Tier: bitwise.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.random.bits((2, 4), rng=0)
    array([[3568036438, 3714396419,   81935143, 1952804616],
           [3196859187, 3284210189, 2717727738, 1746499158]], dtype=uint32)
    >>> sg.random.bits((2, 2), rng=0, index_offset=2)  # the last two of each row
    array([[  81935143, 1952804616],
           [2717727738, 1746499158]], dtype=uint32)
    """
    sizes, kind = shape_of("bits", shape), dtype_of("bits", dtype, np.uint32, np.uint64)
    wide = kind.itemsize == 8
    secret, result = key_of("bits", rng), result_of_dtype("bits", out, sizes, kind)
    ids, at = place_of("bits", streams, position)
    encoded = result.view(np.float64 if wide else np.float32)
    _core.random.noise("bits", wide, secret, ids, at, index_offset_of("bits", index_offset), sizes, encoded)
    return result[()] if result.ndim == 0 and out is None else result


def uniform(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = np.float32,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: Array | None = None,
) -> Any:
    """Draw numbers between 0 and 1, neither of which is ever returned.

    Parameters
    ----------
    shape : int or tuple of int
        The shape of the result; its last axis makes the rows.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    dtype : dtype, default float32
        float32 or float64.
    streams, position, index_offset : optional
        Which words are drawn: as in `bits`.
    bits : {32, 64}, optional
        The length of the words; by default that of the dtype.
    out : ndarray, optional
        Where to write: that shape and dtype. An array on a CUDA device is filled there (docs/cuda.md).

    Returns
    -------
    ndarray or scalar
        v = (w + 1/2) / 2**bits of the word w, rounded to the dtype; words that would give 1 give the number below it.
        From 2**-33 with 32 bits, 2**-65 with 64.

    Raises
    ------
    TypeError, ValueError
        As `bits`.

    Notes
    -----
    Near 0 the numbers lie 2**-bits apart, near 1 as near as the dtype has them. Bound: float64 from 32 bits exact, from
    64 bits 0.5 ULP; float32 0.75 ULP, being rounded twice. Tier: bitwise.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.random.uniform((2, 3), rng=3)
    array([[0.39935076, 0.9545969 , 0.33116975],
           [0.42734206, 0.00673374, 0.48835686]], dtype=float32)
    """
    return _noise("uniform", shape, rng, dtype, streams, position, index_offset, bits, out)


def exponential(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = np.float32,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: Array | None = None,
) -> Any:
    """Draw exponential numbers of mean 1, never 0: -log(1 - v).

    Parameters
    ----------
    shape : int or tuple of int
        The shape of the result; its last axis makes the rows.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    dtype : dtype, default float32
        float32 or float64.
    streams, position, index_offset : optional
        Which words are drawn: as in `bits`.
    bits : {32, 64}, optional
        The length of the words; by default that of the dtype.
    out : ndarray, optional
        Where to write: that shape and dtype. An array on a CUDA device is filled there (docs/cuda.md).

    Returns
    -------
    ndarray or scalar
        -log(1 - v) with v = (w + 1/2) / 2**bits: from 2**-33 to 22.87 with 32 bits, from 2**-65 to 45.05 with 64.

    Raises
    ------
    TypeError, ValueError
        As `bits`.

    Notes
    -----
    1 - v is formed from the complement of the word, so that both tails have all their digits. Bound: 3 ULP in float32
    for all 2**32 words. Tier: bitwise.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.random.exponential(4, rng=3)
    array([0.27478194, 0.93210083, 1.5133102 , 1.3626988 ], dtype=float32)
    >>> sg.random.exponential(10000, rng=3).mean(keepdims=True).round(1)
    array([1.], dtype=float32)
    """
    return _noise("exponential", shape, rng, dtype, streams, position, index_offset, bits, out)


def gumbel(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = np.float32,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: Array | None = None,
) -> Any:
    """Draw standard Gumbel numbers, whose distribution function is exp(-exp(-x)): -log(-log(1 - v)).

    Parameters
    ----------
    shape : int or tuple of int
        The shape of the result; its last axis makes the rows.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    dtype : dtype, default float32
        float32 or float64; for an `out` on a CUDA device bfloat16, too.
    streams, position, index_offset : optional
        Which words are drawn: as in `bits`.
    bits : {32, 64}, optional
        The length of the words; by default that of the dtype.
    out : ndarray, optional
        Where to write: that shape and dtype. An array on a CUDA device is filled there (docs/cuda.md).

    Returns
    -------
    ndarray or scalar
        -log(-log(1 - v)) with v = (w + 1/2) / 2**bits. From words of 32 bits: -3.13 to 22.87; of 64: -3.81 to 45.05.

    Raises
    ------
    TypeError, ValueError
        As `bits`.

    Notes
    -----
    The upper tail is where v is small and has all its digits; peers take it from numbers near 1, of which float32 has
    none above 1 - 2**-24, and never exceed 16.64. Bound: 4 ULP of max(abs(g), 1/2) in float32 for all 2**32 words.
    Tier: bitwise.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.random.gumbel((2, 3), rng=0, streams=[7, 8])
    array([[-0.09054967,  0.18121313, -0.41274637],
           [ 0.03895866,  3.2930782 ,  2.4279594 ]], dtype=float32)
    >>> sg.random.gumbel((1, 3), rng=0, streams=[8])  # stream 8 alone
    array([[0.03895866, 3.2930782 , 2.4279594 ]], dtype=float32)
    """
    return _noise("gumbel", shape, rng, dtype, streams, position, index_offset, bits, out)


def logistic(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = np.float32,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: Array | None = None,
) -> Any:
    """Draw standard logistic numbers, distributed as the difference of two Gumbel numbers: log(v / (1 - v)).

    Parameters
    ----------
    shape : int or tuple of int
        The shape of the result; its last axis makes the rows.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    dtype : dtype, default float32
        float32 or float64.
    streams, position, index_offset : optional
        Which words are drawn: as in `bits`.
    bits : {32, 64}, optional
        The length of the words; by default that of the dtype.
    out : ndarray, optional
        Where to write: that shape and dtype. An array on a CUDA device is filled there (docs/cuda.md).

    Returns
    -------
    ndarray or scalar
        log(v / (1 - v)) with v = (w + 1/2) / 2**bits: from -22.87 to 22.87 with 32 bits, -45.05 to 45.05 with 64.

    Raises
    ------
    TypeError, ValueError
        As `bits`.

    Notes
    -----
    Bound: 4 ULP of max(abs(x), 1/2) in float32 for all 2**32 words. Tier: bitwise.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.random.logistic(4, rng=3)
    array([-2.1141627 , -0.98476386,  0.73708063, -0.46703544], dtype=float32)
    """
    return _noise("logistic", shape, rng, dtype, streams, position, index_offset, bits, out)


def normal(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = np.float32,
    streams: npt.ArrayLike | None = None,
    position: npt.ArrayLike = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: Array | None = None,
) -> Any:
    """Draw standard normal numbers: the quantiles of v.

    Parameters
    ----------
    shape : int or tuple of int
        The shape of the result; its last axis makes the rows.
    rng : Key, int or numpy.random.Generator
        A key or its seed, or a Generator from which one key is drawn.
    dtype : dtype, default float32
        float32 or float64.
    streams, position, index_offset : optional
        Which words are drawn: as in `bits`.
    bits : {32, 64}, optional
        The length of the words; by default that of the dtype.
    out : ndarray, optional
        Where to write: that shape and dtype. An array on a CUDA device is filled there (docs/cuda.md).

    Returns
    -------
    ndarray or scalar
        What a normal number is below with probability v = (w + 1/2) / 2**bits: from -6.34 to 6.34 with 32 bits, -9.16
        to 9.16 with 64.

    Raises
    ------
    TypeError, ValueError
        As `bits`.

    Notes
    -----
    Source: Wichura, "Algorithm AS 241: The percentage points of the normal distribution", 1988, worked out in float64
    and rounded once. One word per number; both tails have all their digits. Bound: 0.51 ULP in float32; 1e-15 of the
    number in float64, but 2**-52 near 0 from words of 64 bits. Tier: bitwise.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.random.normal((2, 3), rng=3)
    array([[ 0.6505658 , -2.1372073 , -0.51354444],
           [ 0.37004822,  0.59175134,  0.83294004]], dtype=float32)
    >>> sg.random.normal(10000, rng=3).std(keepdims=True).round(1)
    array([1.], dtype=float32)
    """
    return _noise("normal", shape, rng, dtype, streams, position, index_offset, bits, out)

"""Inputs made by integer arithmetic and exactly rounded products: the same bits with every NumPy on every machine."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sorgum.interop import bfloat16

__all__ = ["LENGTHS", "QUICK_LENGTHS", "SPECIALS", "hashed", "logits", "numbers", "words"]

Array = NDArray[Any]

# Rows shorter than a vector, of a few vectors, around a chunk of 4096, and of many chunks; some of them.
LENGTHS = (1, 2, 3, 7, 8, 15, 16, 17, 33, 63, 64, 65, 127, 255, 1000, 1023, 4095, 4096, 4097, 8193, 100003)
QUICK_LENGTHS = (1, 2, 17, 100, 1000, 5000)

# Magnitudes, signs and specials that a row may hold; float32 rounds those beyond its range to 0 or infinity.
SPECIALS = (0.0, -0.0, 1e-45, -1e-45, 1e-38, 0.5, -1.0, 88.5, -103.9, 104.1, 3e38, -3e38, np.inf, -np.inf, np.nan)


def hashed(n: int, seed: int = 0) -> NDArray[np.uint64]:
    """Return n words of 64 bits: the finaliser of SplitMix64 (Steele, Lea and Flood 2014) over a counter.

    Parameters
    ----------
    n : int
        How many.
    seed : int, optional
        Another seed, other words.

    Returns
    -------
    array of uint64
        The words.

    Examples
    --------
    >>> hex(hashed(1)[0])
    '0xe220a8397b1dcdaf'
    """
    z = np.arange(1, n + 1, dtype=np.uint64)
    z += np.uint64((seed << 40) & (2**64 - 1))
    z *= np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z ^= z >> np.uint64(shift)
        z *= np.uint64(factor)
    z ^= z >> np.uint64(31)
    return z


def logits(shape: int | tuple[int, ...], dtype: DTypeLike, scale: float = 3.0, seed: int = 0) -> Array:
    """Return numbers whose distribution is close to normal with mean 0: sums of four 16-bit integers.

    Parameters
    ----------
    shape : int or tuple of int
        The shape.
    dtype : dtype
        float32 or float64.
    scale : float, optional
        The standard deviation.
    seed : int, optional
        Another seed, other numbers.

    Returns
    -------
    array
        Of that shape and dtype.

    Examples
    --------
    >>> logits((2, 3), np.float32).shape
    (2, 3)
    """
    z = hashed(int(np.prod(shape, dtype=np.int64)), seed)
    total = np.zeros(z.shape, dtype=np.int64)
    for k in range(4):
        total += ((z >> np.uint64(16 * k)) & np.uint64(0xFFFF)).astype(np.int64)
    total -= 2 * 0xFFFF
    # The variance of one 16-bit integer is (2^32 - 1) / 12; of four of them, with standard deviation 2^16 / sqrt(3).
    unit = float.fromhex("0x1.bb67ae8584caap-16")
    return (total.astype(np.float64) * (unit * scale)).astype(dtype).reshape(shape)


def numbers(shape: tuple[int, ...], dtype: np.dtype[Any], scale: float = 1.0, seed: int = 0) -> Array:
    """Return numbers like those of `logits`, of any of the four types.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype
        float16, bfloat16 (`sorgum.interop.bfloat16`), float32 or float64.
    scale : float, optional
        Of their distribution.
    seed : int, optional
        Another seed, other numbers.

    Returns
    -------
    array
    """
    if dtype.itemsize > 2:
        return logits(shape, dtype, scale, seed)
    x = logits(shape, np.float32, scale, seed)
    return bfloat16.rounded(x, dtype) if bfloat16.is_bfloat16(dtype) else x.astype(dtype)


def words(n: int, dtype: DTypeLike, seed: int = 0) -> Array:
    """Return n numbers with random encodings: every magnitude, both signs, now and then a NaN or an infinity.

    Parameters
    ----------
    n : int
        How many.
    dtype : dtype
        float32 or float64.
    seed : int, optional
        Another seed, other numbers.

    Returns
    -------
    array
        Of that dtype.

    Examples
    --------
    >>> words(4, np.float32).dtype
    dtype('float32')
    """
    z = hashed(n, seed)
    x = z.view(np.float64) if np.dtype(dtype) == np.float64 else (z >> np.uint64(32)).astype(np.uint32).view(np.float32)
    x[: len(SPECIALS)] = SPECIALS[:n]
    for start, value in ((31, np.inf), (137, -np.inf), (241, np.nan)):
        x[start::307] = value
    return x

"""Errors of float32 noise over the words that it is made of, which tools/measure_bounds.py measures too.

The oracle is our own float64, which test_noise.py holds within 6 of its ULPs: nothing, in ULPs of float32.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorgum import _core

Array = NDArray[Any]

LAWS = ("uniform", "exponential", "gumbel", "logistic", "normal")
BLOCK = 1 << 18  # words per call: they stay in cache


@dataclass
class Finding:
    """The largest error in ULPs, its word, and whether no step went in the wrong direction."""

    ulps: float = 0.0
    word: int = 0
    monotonic: bool = True
    last: float = float("nan")


def given(law: str, words: Array, dtype: Any) -> Array:
    """Return the numbers that a law makes of these words, of 32 or 64 bits."""
    out = np.empty(words.shape, dtype)
    wide = words.dtype.itemsize == 8
    encoded = np.ascontiguousarray(words).view(np.float32)
    _core.random.noise(law, wide, 0, None, np.zeros((), np.int64), 0, list(words.shape), out, encoded)
    return out


def size_of(law: str, value: Array) -> Array:
    """Return the numbers whose ULPs are counted."""
    return np.maximum(np.abs(value), 0.5) if law in ("gumbel", "logistic", "normal") else np.abs(value)


def errors(law: str, words: Array) -> tuple[Array, Array]:
    """Return the float32 numbers of these words and their errors in ULPs."""
    single, exact = given(law, words, np.float32), given(law, words, np.float64)
    if law == "uniform":
        exact = np.minimum(exact, 1 - 2.0**-24)
    return single, np.abs(single - exact) / np.spacing(size_of(law, exact).astype(np.float32))


def sweep(law: str) -> Finding:
    """Go through all words in ascending order."""
    found = Finding()
    sign = -1 if law == "gumbel" else 1
    for first in range(0, 1 << 32, BLOCK):
        words = np.arange(first, first + BLOCK, dtype=np.uint64).astype(np.uint32)
        single, error = errors(law, words)
        at = int(np.argmax(error))
        if error[at] > found.ulps:
            found.ulps, found.word = float(error[at]), int(words[at])
        wrong = np.any(np.diff(single) * sign < 0) or (single[0] - found.last) * sign < 0
        found.monotonic = found.monotonic and not wrong
        found.last = float(single[-1])
    return found

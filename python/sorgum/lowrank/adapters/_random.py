"""Random numbers that adapters begin with."""

from __future__ import annotations

from typing import Any

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum.random import Key, uniform

__all__ = ["centred"]


def centred(shape: tuple[int, ...], key: Key, dtype: np.dtype[Any], limit: float) -> Array:
    """Return uniform numbers between -limit and limit: (2 v - 1) limit, each operation rounded."""
    numbers = np.asarray(uniform(shape, rng=key, dtype=dtype))
    numbers *= 2
    numbers -= 1
    numbers *= limit
    return numbers

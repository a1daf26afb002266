"""Arrays that lie in files, which the system reads where they are looked at, and room for others as large as these."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from typing import Any

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum.tucker._multi_mode_dot import slabs

__all__ = ["in_c_order", "in_memory", "is_mapped", "room"]

FITS = 2**26  # bytes of an array that memory holds, made of one in a file


def is_mapped(x: Array) -> bool:
    """Return whether an array lies in a file that is mapped."""
    owner: Any = x
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return isinstance(owner, mmap.mmap)


def room(shape: tuple[int, ...], dtype: np.dtype[Any], source: Array, fits: int | None = None) -> Array:
    """Return an array of zeros for what is made of another one.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype
    source : array
    fits : int, optional
        The most bytes that are not large; by default `FITS`.

    Returns
    -------
    array
        In memory; in a temporary file without a name, mapped, where `source` lies in a file and this is large.

    Raises
    ------
    OSError
        If there is no room for that file.
    """
    size = math.prod(shape) * dtype.itemsize
    if size <= (FITS if fits is None else fits) or not is_mapped(source):
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile() as file:
        os.posix_fallocate(file.fileno(), 0, size)  # a disk that is full is an error here, and later a signal
        return np.ndarray(shape, dtype, mmap.mmap(file.fileno(), size))


def in_memory(x: Array) -> Array:
    """Return an array, copied if it lies in a file."""
    return np.array(x) if is_mapped(x) else x


def in_c_order(x: Array) -> Array:
    """Return an array whose axes can be joined: one in a file is copied to another file if it lies in another order."""
    if not is_mapped(x) or x.flags.c_contiguous:
        return x
    y = room(x.shape, x.dtype, x)
    for where in slabs(x.shape):
        y[where] = x[where]
    return y

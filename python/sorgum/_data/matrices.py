"""Sparse matrices made by NumPy alone: grids with their stencils, and matrices of any entries in any order."""

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._data.inputs import hashed

__all__ = ["Matrix", "dominant", "grid", "scattered"]


@dataclass(frozen=True)
class Matrix:
    """Compressed rows, with the attributes of those of scipy.sparse."""

    indptr: npt.NDArray[Any]
    indices: npt.NDArray[Any]
    data: npt.NDArray[Any]
    shape: tuple[int, int]
    format: str = "csr"


def grid(shape: tuple[int, ...], box: bool, dtype: npt.DTypeLike, index: npt.DTypeLike) -> Matrix:
    """Return the Laplacian of a grid whose borders are held at 0, columns ascending.

    Parameters
    ----------
    shape : tuple of int
        Points along each axis.
    box : bool
        Whether points that share a corner are neighbours (9 and 27 points), or only those along an axis (5 and 7).
    dtype, index : dtype
        Of the values and of the indices.

    Returns
    -------
    Matrix

    Examples
    --------
    >>> matrix = grid((2, 2), False, np.float64, np.int32)
    >>> matrix.data
    array([ 4., -1., -1., -1.,  4., -1., -1.,  4., -1., -1., -1.,  4.])
    >>> matrix.indices
    array([0, 1, 2, 0, 1, 3, 0, 2, 3, 1, 2, 3], dtype=int32)
    """
    n, axes = prod(shape), len(shape)
    steps = [step for step in product((-1, 0, 1), repeat=axes) if box or sum(map(abs, step)) <= 1]
    place = np.indices(shape).reshape(axes, n)
    inside = np.ones((n, len(steps)), np.bool_)
    columns = np.empty((n, len(steps)), index)
    for k, step in enumerate(steps):
        there = place + np.array(step)[:, None]
        inside[:, k] = np.all((there >= 0) & (there < np.array(shape)[:, None]), axis=0)
        columns[:, k] = np.ravel_multi_index(tuple(there), shape, mode="clip")
    values = np.where([any(step) for step in steps], -1.0, len(steps) - 1.0).astype(dtype)
    indptr = np.concatenate(([0], np.cumsum(inside.sum(axis=1)))).astype(index)
    return Matrix(indptr, columns[inside], np.broadcast_to(values, inside.shape)[inside], (n, n))


def scattered(shape: tuple[int, int], most: int, dtype: npt.DTypeLike, index: npt.DTypeLike, seed: int = 0) -> Matrix:
    """Return a matrix with up to `most` entries in a row, in any order, some of them in one place.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    most : int
        Rows hold 0 to `most` entries, some none.
    dtype, index : dtype
        Of the values and of the indices.
    seed : int, optional
        Another seed, another matrix.

    Returns
    -------
    Matrix

    Examples
    --------
    >>> scattered((3, 5), 4, np.float32, np.int64).shape
    (3, 5)
    """
    rows, columns = shape
    lengths = (hashed(rows, seed) % np.uint64(most + 1)).astype(np.int64)
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    z = hashed(int(indptr[-1]), seed + 1)
    values = (z >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1
    indices = (z % np.uint64(max(columns, 1))).astype(index)
    return Matrix(indptr.astype(index), indices, values.astype(dtype), shape)


def dominant(n: int, most: int, dtype: npt.DTypeLike, index: npt.DTypeLike, seed: int = 0) -> Matrix:
    """Return a square matrix whose diagonal is larger than all else in its row, columns ascending.

    Parameters
    ----------
    n : int
        Rows.
    most : int
        Rows hold up to `most` entries beside the diagonal.
    dtype, index : dtype
        Of the values and of the indices.
    seed : int, optional
        Another seed, another matrix.

    Returns
    -------
    Matrix

    Examples
    --------
    >>> dominant(3, 0, np.float64, np.int32).data
    array([1., 1., 1.])
    """
    other = scattered((n, n), most, np.float64, np.int64, seed)
    rows = np.repeat(np.arange(n), np.diff(other.indptr))
    beside = rows != other.indices
    places, first = np.unique(rows[beside] * n + other.indices[beside], return_index=True)
    values = other.data[beside][first]
    diagonal = 1.0 + np.ceil(np.bincount(places // max(n, 1), np.abs(values), n))
    places = np.concatenate((places, np.arange(n) * (n + 1)))
    order = np.argsort(places, kind="stable")  # without vectors, which one emulator of processors gets wrong
    data = np.concatenate((values, diagonal))[order].astype(dtype)
    indptr = np.concatenate(([0], np.cumsum(np.bincount(places // max(n, 1), minlength=n)))).astype(index)
    return Matrix(indptr, (places[order] % max(n, 1)).astype(index), data, (n, n))

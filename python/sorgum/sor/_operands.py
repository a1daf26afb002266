"""Matrices and vectors as the compiled functions take them: types are decided here, contents are checked there."""

import operator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum._arguments.scalars import int_of
from sorgum.interop import bfloat16
from sorgum.interop.arrays import plain

__all__ = ["Csr", "blocksize_of", "contiguous", "contiguous_in_common_type", "csr_of", "vector_of"]

_INDEX_TYPES = (np.dtype(np.int32), np.dtype(np.int64))


class Csr(NamedTuple):
    """A matrix in compressed rows, not yet checked; with the attributes of one of scipy.sparse."""

    indptr: Array
    indices: Array
    data: Array
    rows: int
    columns: int

    @property
    def format(self) -> str:
        """That of compressed rows."""
        return "csr"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns


def csr_of(function: str, argument: str, value: Any) -> Csr:
    """Return a matrix of any kind in compressed rows.

    Parameters
    ----------
    function, argument : str
        For error messages.
    value : array_like or sparse matrix

    Returns
    -------
    Csr
        Over the same memory where `value` has compressed rows; the types of its indices agree.
    """
    if not isinstance(getattr(value, "format", None), str) or isinstance(value, memoryview):
        return _from_dense(function, argument, value)
    if value.format != "csr" and hasattr(value, "tocsr"):
        value = value.tocsr()
    missing = [name for name in ("shape", "indptr", "indices", "data") if not hasattr(value, name)]
    if value.format != "csr" or missing:
        raise TypeError(
            f"{function}: {argument} must have format, shape, indptr, indices and data of compressed rows, got "
            + (f"{type(value).__name__} without {missing[0]}" if missing else f"format {value.format!r}")
        )
    rows, columns = _shape(function, argument, value.shape)
    indptr, indices = (plain(function, f"{argument}.{name}", getattr(value, name)) for name in ("indptr", "indices"))
    if indptr.dtype != indices.dtype and indptr.dtype in _INDEX_TYPES and indices.dtype in _INDEX_TYPES:
        indptr, indices = indptr.astype(np.int64), indices.astype(np.int64)
    data = _real(function, argument, plain(function, f"{argument}.data", value.data))
    return Csr(contiguous(indptr), contiguous(indices), data, rows, columns)


def blocksize_of(function: str, value: Any, blocksize: int | None) -> int:
    """Return how many rows are relaxed together.

    Parameters
    ----------
    function : str
        For error messages.
    value : array_like or sparse matrix
    blocksize : int, optional
        None: those of a block of a matrix in blocks.

    Returns
    -------
    int
        In the range of 64 bits.
    """
    if blocksize is not None:
        return min(max(int_of(function, "blocksize", blocksize), -(2**63)), 2**63 - 1)
    rows, columns = getattr(value, "blocksize", (1, 1)) if getattr(value, "format", None) == "bsr" else (1, 1)
    if rows != columns:
        raise ValueError(f"{function}: blocksize must be given where blocks are not square, got {rows} x {columns}")
    return int(rows)


def vector_of(function: str, argument: str, value: npt.ArrayLike) -> Array:
    """Return a vector as an array of float32 or float64.

    Parameters
    ----------
    function, argument : str
        For error messages.
    value : array_like

    Returns
    -------
    array
    """
    return _real(function, argument, plain(function, argument, value))


def contiguous_in_common_type(*arrays: Array) -> tuple[Array, ...]:
    """Return arrays of float32 or float64 in their common type, contiguous and aligned.

    Parameters
    ----------
    *arrays : arrays

    Returns
    -------
    tuple of arrays
        The arrays themselves where nothing had to be done.
    """
    dtype = np.result_type(*(array.dtype for array in arrays))
    return tuple(contiguous(array.astype(dtype, copy=False)) for array in arrays)


def contiguous(array: Array) -> Array:
    """Return the array, or a copy that is contiguous and aligned.

    Parameters
    ----------
    array : array

    Returns
    -------
    array
    """
    return np.require(array, requirements=("C", "A"))


def _shape(function: str, argument: str, shape: Any) -> tuple[int, int]:
    try:
        rows, columns = (operator.index(n) for n in shape)
    except (TypeError, ValueError):
        raise ValueError(f"{function}: {argument} must have two dimensions, got shape {shape!r}") from None
    if not (abs(rows) < 2**63 and abs(columns) < 2**63):
        raise ValueError(f"{function}: {argument} must have a shape of 64-bit integers, got {shape!r}")
    return rows, columns


def _real(function: str, argument: str, array: Array) -> Array:
    dtype = array.dtype
    if dtype.kind in "biu":
        return array.astype(np.float64)
    if dtype.kind == "f" and dtype.itemsize in (4, 8) and dtype.isnative:
        return array
    raise TypeError(
        f"{function}: {argument} must be float32, float64, bool or integer, got dtype {bfloat16.text(dtype)}"
    )


def _from_dense(function: str, argument: str, value: Any) -> Csr:
    array = vector_of(function, argument, value)
    rows, columns = _shape(function, argument, array.shape)
    present = array != 0
    indptr = np.concatenate(([0], np.cumsum(np.count_nonzero(present, axis=1), dtype=np.int64)))
    indices = contiguous(np.nonzero(present)[1].astype(np.int64, copy=False))
    return Csr(indptr, indices, array[present], rows, columns)

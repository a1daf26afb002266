"""Gram matrices and products of tensors that memory may not hold, read in slabs: arrays that a file is mapped to.

A slab is some indices along one axis. A file that is mapped takes no memory of its own: the system reads what is
looked at, and forgets it when it wants to. What is kept are Gram matrices, and tensors that factors have made small. No
bit of a result depends on the height of a slab: sums of columns are cut at chunks of 512 (docs/numerics/tucker.md), and
an element of a product does not know what stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum.tucker import _files
from sorgum.tucker._files import is_mapped, room
from sorgum.tucker._gram import gram
from sorgum.tucker._gram_parts import CHUNK
from sorgum.tucker._gram_sums import GramSums
from sorgum.tucker._multi_mode_dot import product_along, products_in_order

__all__ = ["Known", "Tensor", "Truncated", "array_of", "gram_of", "grams", "projected"]

SLAB = 2**25  # bytes of a tensor
BLOCK = 16  # indices of axis 1 whose products are one sum


class _Columns(NamedTuple):
    """Columns [begin, end) of an unfolding, whole chunks but the last, and the indices of an axis that have them."""

    begin: int
    end: int
    first: int
    last: int


def _columns(each: int, begin: int, end: int, n: int) -> _Columns:
    """Return the columns of indices [begin, end) of n, of which each has some: those that begin a chunk in them."""
    low, high = (min(-(-index * each // CHUNK) * CHUNK, n * each) for index in (begin, end))
    return _Columns(low, high, low // each, min(-(-high // each), n))


def _heights(x: Array, axis: int, multiple: int = 1) -> Iterator[tuple[int, int]]:
    """Return ranges of indices that have about a slab's bytes."""
    n = x.shape[axis]
    step = max(1, SLAB * n // x.nbytes // multiple) * multiple
    yield from ((begin, min(begin + step, n)) for begin in range(0, n, step))


def grams(x: Array, modes: Sequence[int]) -> dict[int, Array]:
    """Return the Gram matrices along modes other than 0, by reading the tensor once."""
    sums = {mode: _sums(x, x.shape, mode, len(modes)) for mode in modes}
    for begin, end in _heights(x, 0):
        for some in sums.values():
            at = _columns(x.size // (x.shape[0] * some.n), begin, end, x.shape[0])
            some.add(x, at.begin, at.begin, at.end - at.begin)
    return {mode: sums.pop(mode).matrix() for mode in modes}


def whole_gram(x: Array, mode: int) -> Array:
    """Return the Gram matrix along a mode, for a tensor in a file with few sums in memory."""
    if not is_mapped(x):
        return gram(x, mode)
    sums = _sums(x, x.shape, mode)
    columns = x.size // sums.n
    step = max(1, SLAB // (sums.n * x.itemsize * CHUNK)) * CHUNK
    for begin in range(0, columns, step):
        sums.add(x, begin, begin, min(step, columns - begin))
    return sums.matrix()


def _sums(x: Array, shape: Sequence[int], mode: int, count: int = 1) -> GramSums:
    """Return the empty sums of a tensor of this shape that is made of x; `count` are needed at a time."""
    n = shape[mode]
    return GramSums(n, mode, math.prod(shape) // n, x, _files.FITS // (2 * count))


def projected(x: Array, factors: Mapping[int, Array], dtype: np.dtype[Any], with_gram: bool) -> tuple[Array, Array]:
    """Return U^T x for factors of modes other than 0, and the Gram matrix along mode 0, by reading the tensor once.

    Parameters
    ----------
    x : array with two axes or more
    factors : mapping
        From modes to factors (n, rank) of type `dtype`.
    dtype : dtype
        Computed in and returned.
    with_gram : bool
        Whether the matrix is asked for, which is empty else.

    Returns
    -------
    pair of arrays

    Notes
    -----
    The sum along axis 1 is one of blocks of 16 indices, in ascending order: so slabs may be cut between them.
    """
    others = sorted((mode for mode in factors if mode > 1), reverse=True)
    own = factors.get(1)
    shape = [factors[mode].shape[1] if mode in factors else n for mode, n in enumerate(x.shape)]
    y = room(tuple(shape), dtype, x)
    sums = _sums(x, x.shape, 0) if with_gram else None
    each = x.size // (x.shape[0] * x.shape[1])
    for begin, end in _heights(x, 1, BLOCK):
        at = _columns(each, begin, end, x.shape[1])
        if sums:
            sums.add(x, at.begin, at.begin, at.end - at.begin)
        for first in range(begin, end, BLOCK):
            last = min(first + BLOCK, end)
            for top, bottom in _heights(x[:, first:last], 0):
                part: Array = np.ascontiguousarray(x[top:bottom, first:last])
                for mode in others:
                    part = product_along(part, factors[mode], mode, dtype, transpose=True)
                if own is None:
                    y[top:bottom, first:last] = part
                else:
                    y[top:bottom] += product_along(part, own[first:last], 1, dtype, transpose=True)
    return y, sums.matrix() if sums else np.zeros((0, 0))


@dataclass(frozen=True)
class Known:
    """A tensor and its Gram matrices, as far as they are known."""

    x: Array
    matrices: Mapping[int, Array]

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions."""
        return self.x.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the tensor."""
        return self.x.dtype

    def gram(self, mode: int) -> Array:
        """Return the Gram matrix along a mode."""
        return self.matrices[mode] if mode in self.matrices else whole_gram(self.x, mode)

    def formed(self) -> Array:
        """Return the tensor."""
        return self.x


class Truncated:
    """U^T x for some factors: formed once it fits in memory; before, slab by slab whenever it is asked for.

    Where slabs do not do, as when mode 0 is truncated or its turn has come, it is formed in a file.

    Parameters
    ----------
    x : array
    dtype : dtype
        Computed in.
    """

    def __init__(self, x: Array, dtype: np.dtype[Any]) -> None:
        self.x, self.dtype = x, dtype
        self.fits = (
            _files.FITS if is_mapped(x) else math.inf
        )  # what is in memory already is not read twice to save some
        self._pending: dict[int, Array] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions."""
        return tuple(self._pending[m].shape[1] if m in self._pending else n for m, n in enumerate(self.x.shape))

    def truncate(self, mode: int, factor: Array, following: Sequence[int]) -> None:
        """Multiply by a factor (n, rank); `following` are the modes that are still to come."""
        self._pending[mode] = factor
        if math.prod(self.shape) * self.dtype.itemsize <= self.fits or not self._reads_in_slabs(following):
            self.formed()

    def _reads_in_slabs(self, following: Sequence[int]) -> bool:
        """Return whether slabs along axis 0 have columns that follow each other for a mode that is still to come."""
        return bool(following) and following[0] != 0 and 0 not in self._pending and self.x.ndim > 1

    def formed(self) -> Array:
        """Return the tensor, in memory if it fits, else in a file."""
        if self._pending:
            y = room(self.shape, self.dtype, self.x)
            if len(self._pending) == 1:  # mode 0 is always alone
                for mode, factor in self._pending.items():
                    product_along(self.x, factor, mode, self.dtype, transpose=True, out=y)
            else:
                for begin, end in _heights(self.x, 0):
                    y[begin:end] = self._part(begin, end)
            self.x, self._pending = y, {}
        return self.x

    def _part(self, begin: int, end: int) -> Array:
        matrices = {mode: factor.T for mode, factor in self._pending.items()}
        return products_in_order(self.x[begin:end], matrices, list(matrices), out=None)

    def gram(self, mode: int) -> Array:
        """Return the Gram matrix along a mode."""
        if not self._pending:
            return whole_gram(self.x, mode)
        shape = self.shape
        each, sums = math.prod(shape[1:]) // shape[mode], _sums(self.x, shape, mode)
        for begin, end in _heights(self.x, 0):
            at = _columns(each, begin, end, shape[0])
            if at.end > at.begin:
                sums.add(self._part(at.first, at.last), at.begin, at.begin - at.first * each, at.end - at.begin)
        return sums.matrix()


Tensor: TypeAlias = Array | Known | Truncated


def gram_of(x: Tensor, mode: int) -> Array:
    """Return the Gram matrix along a mode."""
    return whole_gram(x, mode) if isinstance(x, np.ndarray) else x.gram(mode)


def array_of(x: Tensor) -> Array:
    """Return a tensor in memory, or mapped."""
    return x if isinstance(x, np.ndarray) else x.formed()

"""The leading left singular vectors of a tensor's unfolding along one mode, and how much lies outside them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum._arguments.halves import widened
from sorgum.random import Key, fold_in, normal
from sorgum.tucker._eigenvectors import leading_eigenvectors
from sorgum.tucker._files import in_c_order, room
from sorgum.tucker._multi_mode_dot import product_along
from sorgum.tucker._slabs import Tensor, array_of, gram_of

__all__ = ["Leading", "Spectrum", "by_gram", "by_qr", "by_random_rows", "factor_of", "leading", "squared_norm"]

_EPS = float(np.finfo(np.float64).eps)
_ROWS = 2**18  # elements of an unfolding that are decomposed at a time
_OVERSAMPLES = 10
_NARROW = 64  # columns of a slice for which a product of its own costs more than to bring several together
_POWERS = 1  # products with the unfolding and its transpose after the first


class Leading(NamedTuple):
    """Orthonormal columns (n, rank), the squared norm outside their span, and that of the tensor, all in float64."""

    vectors: Array
    tail: float
    square: float


class Spectrum(NamedTuple):
    """All left singular vectors in their order, and the squared norms that lie outside the first 0, 1, ... of them."""

    vectors: Array
    squares: Array
    tails: Array

    @property
    def square(self) -> float:
        """The squared norm of the tensor."""
        return float(self.tails[0])

    def rank_for(self, budget: float) -> int:
        """Return the least rank, 1 at least, that leaves no more than this squared norm."""
        return max(1, int(np.argmax(self.tails <= budget)))

    def first(self, rank: int) -> Leading:
        """Return the first vectors."""
        return Leading(self.vectors[:, :rank], float(self.tails[rank]), self.square)


def by_gram(x: Tensor, mode: int) -> Spectrum:
    """Return the spectrum from the Gram matrix, formed in float64: squares below n u of the largest are noise."""
    g = gram_of(x, mode)
    return _spectrum(g, _trace(g))


def _trace(g: Array) -> float:
    total = float(np.trace(g))
    if not math.isfinite(total):
        raise OverflowError
    return total


def _spectrum(g: Array, total: float) -> Spectrum:
    values, vectors = np.linalg.eigh(g)
    squares = np.maximum(values[::-1], 0.0)
    tails = np.maximum(np.concatenate([[total], total - np.cumsum(squares)]), 0.0)
    tails[-1] = 0.0
    return Spectrum(vectors[:, ::-1], squares, tails)


def by_qr(x: Array, mode: int) -> Spectrum:
    """Return the spectrum from the triangular factor of the transposed unfolding, which is joined from parts."""
    x = in_c_order(x)
    n = x.shape[mode]
    r: Array = np.zeros((0, n), np.float64)
    for block in _transposed_unfoldings(x, mode):
        r = np.asarray(np.linalg.qr(np.concatenate([r, block]), mode="r"))
    if not np.isfinite(r).all():
        raise OverflowError
    u, s, _ = np.linalg.svd(r.T)
    squares = np.zeros(n)
    squares[: len(s)] = s**2
    tails = np.concatenate([np.cumsum(squares[::-1])[::-1], [0.0]])
    return Spectrum(u, squares, tails)


def by_random_rows(x: Array, mode: int, rank: int, key: Key) -> Leading:
    """Return vectors from a sample of the range: Halko, Martinsson and Tropp 2011, algorithm 4.4, along one mode."""
    x = in_c_order(x)
    n, others = x.shape[mode], x.size // x.shape[mode]
    count = min(rank + _OVERSAMPLES, n, others)
    shape = (*x.shape[:mode], count, *x.shape[mode + 1 :])
    numbers = room(shape, np.dtype(np.float32), x)
    sample = normal(shape, rng=fold_in(key, mode), dtype=np.float32, out=numbers)
    dtype = np.dtype(np.float64 if x.dtype == np.float64 else np.float32)
    image = numbers if dtype == np.float32 else room(shape, dtype, x)
    for _ in range(1 + _POWERS):
        basis = np.linalg.qr(_contracted(x, sample, mode)).Q.astype(dtype)
        sample = product_along(x, basis, mode, dtype, transpose=True, out=image)
    spectrum = by_gram(sample, mode)
    square = squared_norm(x)
    found = spectrum.first(rank)
    vectors = _straightened(basis.astype(np.float64) @ found.vectors)
    return Leading(vectors, max(square - spectrum.square + found.tail, 0.0), square)


def _straightened(vectors: Array) -> Array:
    """Return columns that are orthonormal but for what LAPACK leaves where many numbers are equal, n u, without that.

    A step of Newton's iteration for the nearest orthonormal ones (Higham 1986), with pairwise sums.
    """
    rows = np.ascontiguousarray(vectors.T)
    products = np.stack([(rows * row).sum(axis=1) for row in rows])
    return np.asarray(vectors @ (1.5 * np.eye(len(rows)) - 0.5 * products))


def leading(x: Tensor, mode: int, rank: int, method: str) -> Leading:
    """Return so many vectors; "auto" takes QR where a Gram matrix of float64 data cannot tell the last from noise."""
    if method == "qr":
        return by_qr(array_of(x), mode).first(rank)
    g = gram_of(x, mode)
    total = _trace(g)
    found = leading_eigenvectors(g, rank) if total > 0 else None
    if found is None:
        spectrum = _spectrum(g, total)
        squares, result = spectrum.squares, spectrum.first(rank)
    else:
        squares, vectors = found
        result = Leading(vectors, max(total - float(squares.sum()), 0.0), total)
    is_lost = total > 0 and squares[rank - 1] < x.shape[mode] * _EPS * squares[0]
    if is_lost and method == "auto" and x.dtype == np.float64:
        return by_qr(array_of(x), mode).first(rank)
    return result


def factor_of(vectors: Array, dtype: np.dtype[Any]) -> Array:
    """Return vectors as a factor of a type: in it the largest entry of each column, the first of them, is positive.

    Columns are divided by their lengths, which LAPACK leaves off by n u where n numbers are equal; sums along the last
    axis are pairwise.
    """
    squares = np.ascontiguousarray((vectors * vectors).T)
    factor: Array = (vectors / np.sqrt(squares.sum(axis=1))).astype(dtype)
    at = np.argmax(np.abs(factor), axis=0)
    factor *= np.where(factor[at, np.arange(factor.shape[1])] < 0, -1, 1).astype(dtype)
    return factor


def _slices(x: Array, mode: int) -> Array:
    """Return the tensor as (left, n, right)."""
    return x.reshape(math.prod(x.shape[:mode]), x.shape[mode], -1)


def _transposed_unfoldings(x: Array, mode: int) -> Iterator[Array]:
    """Return the unfolding's columns as rows in float64, some at a time: twice as many as they are long at least."""
    slices = _slices(x, mode)
    left, n, right = slices.shape
    rows = max(2 * n, _ROWS // n)
    several = max(1, rows // right)
    for begin in range(0, left, several):
        part = slices[begin : begin + several]
        for at in range(0, right, rows):
            wide = widened(part[:, :, at : at + rows]).astype(np.float64)
            yield wide.transpose(0, 2, 1).reshape(-1, n)


def _contracted(x: Array, y: Array, mode: int) -> Array:
    """Return the unfolding times the transposed unfolding of a tensor of few rows along the mode, in float64."""
    n, count = x.shape[mode], y.shape[mode]
    total = np.zeros((n, count))
    narrow = math.prod(x.shape[mode + 1 :]) < _NARROW
    most = 4 * _ROWS if narrow else max(1, 4 * _ROWS // (n * count))  # slices: the products of wide ones are held
    for ours, theirs in zip(_parts(_slices(x, mode), n, most), _parts(_slices(y, mode), n, most), strict=True):
        wide = np.ascontiguousarray(widened(ours))  # BLAS takes another way for another layout
        sample = theirs.astype(wide.dtype, copy=False)
        if narrow:
            total += np.tensordot(wide, sample, ((0, 2), (0, 2)))
        else:
            total += (wide @ sample.transpose(0, 2, 1)).sum(axis=0, dtype=np.float64)
    return total


def _parts(slices: Array, n: int, most: int) -> Iterator[Array]:
    """Return parts of (left, n or fewer, right) of some elements, and so many slices at most."""
    left, _, right = slices.shape
    wide = max(1, 4 * _ROWS // n)
    several = min(most, max(1, wide // max(right, 1)))
    for begin in range(0, left, several):
        for at in range(0, right, wide):
            yield slices[begin : begin + several, :, at : at + wide]


def squared_norm(x: Array) -> float:
    """Return the sum of all squares in float64; raise OverflowError where it is not finite."""
    flat, total = x.reshape(-1), 0.0
    for begin in range(0, len(flat), 4 * _ROWS):
        part = widened(flat[begin : begin + 4 * _ROWS]).astype(np.float64, copy=False)
        total += float(np.vdot(part, part))
    if not math.isfinite(total):
        raise OverflowError
    return total

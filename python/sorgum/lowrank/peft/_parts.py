"""The new bytes of a tensor, part by part: blocks of rows, so that no copy of a whole weight is ever made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum.interop import bfloat16
from sorgum.lowrank._combine import beside
from sorgum.lowrank._merge import merge
from sorgum.lowrank._operands import as_matrix
from sorgum.lowrank.peft._plan import Change, Term, refuse_unless_finite
from sorgum.lowrank.peft._refusals import Argument

__all__ = ["parts_of"]

_BLOCK = 1 << 20  # bytes of a block: with the part of the weight that it is made from it stays in the caches


def parts_of(argument: Argument, name: str, change: Change, old: Array, dtype: np.dtype[Any]) -> Iterator[Array]:
    """Yield what a tensor becomes, as contiguous arrays of `dtype` whose bytes follow each other.

    Parameters
    ----------
    argument : Argument
        In whose name a number is refused that is not finite, or is beyond the range of `dtype`.
    name : str
        That of the tensor.
    change : Change
    old : array
        The tensor of the base.
    dtype : dtype
        Of a floating-point type.
    """
    for part in _parts(argument, name, change, old if change.replaced is None else change.replaced, dtype):
        if part.dtype == dtype:
            yield part
        else:
            rounded = _rounded(part, dtype)
            refuse_unless_finite(argument, f"{name} as {bfloat16.name(dtype)}", rounded)
            yield rounded


def _parts(argument: Argument, name: str, change: Change, old: Array, dtype: np.dtype[Any]) -> Iterator[Array]:
    """Yield the same, each part in a type that holds at least as much, before it is rounded."""
    if change.terms:
        yield from _weight(argument, name, change.terms, old, dtype)
    elif change.biases:
        total = bfloat16.widened(old).astype(np.float64)
        for factors, weight in change.biases:
            assert factors.bias is not None
            total += weight * factors.scale * bfloat16.widened(factors.bias).astype(np.float64)
        refuse_unless_finite(argument, name, total)
        yield total
    else:
        flat = old.reshape(-1)
        for rows in _blocks(flat.size, dtype.itemsize):
            yield np.ascontiguousarray(flat[rows])


def _weight(argument: Argument, name: str, terms: Sequence[Term], old: Array, dtype: np.dtype[Any]) -> Iterator[Array]:
    """Yield W + sum of weight * scale * B A, with its norms where there is a magnitude."""
    transposed = terms[0].factors.kind != "linear"
    A, B, scale = _joined(terms)
    magnitude = terms[0].factors.magnitude
    magnitude = None if magnitude is None else bfloat16.widened(magnitude)
    W = as_matrix(old)
    whole = transposed and magnitude is not None  # norms go across all rows of W then
    for rows in [slice(0, len(W))] if whole else _blocks(len(W), W.shape[1] * dtype.itemsize):
        try:
            yield merge(
                _in_type(W[rows], dtype),
                A[:, rows] if transposed else A,
                B if transposed else B[rows],
                scale=scale,
                magnitude=magnitude if transposed or magnitude is None else magnitude[rows],
                fan_in_fan_out=transposed,
            )
        except ValueError as error:  # shapes were looked at: it is a number
            rule, _, got = str(error).removeprefix("merge: ").rpartition(", got ")
            raise argument.refusal(f"allow a merge into {name}, where {rule}", got) from None


def _joined(terms: Sequence[Term]) -> tuple[Array, Array, float]:
    """Return A, B and a scale, such that scale * B A is the sum of all terms."""
    return beside(
        [bfloat16.widened(as_matrix(factors.A)) for factors, _ in terms],
        [bfloat16.widened(factors.B) for factors, _ in terms],
        [weight * factors.scale for factors, weight in terms],
    )


def _blocks(count: int, nbytes: int) -> Iterator[slice]:
    step = max(1, _BLOCK // max(1, nbytes))
    return (slice(begin, min(begin + step, count)) for begin in range(0, count, step))


def _in_type(W: Array, dtype: np.dtype[Any]) -> Array:
    """Return a weight in the type to merge in: that of the result, or one that holds more than it."""
    if W.dtype == dtype:
        return W
    wide = bfloat16.widened(W)
    return wide if wide.dtype == dtype else wide.astype(np.float64)


def _rounded(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return numbers rounded once to another type, contiguous."""
    array = bfloat16.widened(array)
    with np.errstate(over="ignore"):
        if not bfloat16.is_bfloat16(dtype):
            return array.astype(dtype, order="C")
        if array.dtype == np.float64:
            array = _to_odd(array)
    return np.ascontiguousarray(bfloat16.rounded(array, dtype))


def _to_odd(array: Array) -> Array:
    """Return float64 as float32, an odd one where it is not exact: rounding that again is as good as rounding once."""
    nearest = array.astype(np.float32)
    words = nearest.view(np.uint32).copy()
    words -= np.abs(nearest) > np.abs(array)  # towards zero
    words |= nearest != array
    return words.view(np.float32)

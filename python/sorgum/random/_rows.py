"""Rows of logits: what goes with each of them, and the draw from each."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum._arguments.arrays import Array, floats_of, integers_of, mask_of, temperature_of
from sorgum._arguments.halves import widened
from sorgum._arguments.scalars import addressable, axis_of
from sorgum.random._places import index_offset_of, place_of

__all__: list[str] = []

_BLOCK = 1 << 18  # elements: a megabyte of float32

# What is known of a row after a part of it: the largest of x + T G as the unevaluated sum value + low, and its index.
DRAW = np.dtype([("value", np.float64), ("low", np.float64), ("index", np.int64)])
_DRAW_WITH_LOG_PROB = np.dtype([*DRAW.descr, ("log_prob", np.float64)])


@dataclasses.dataclass(slots=True)
class Rows:
    """Logits whose categories lie along the last axis, and what goes with each row."""

    logits: Array  # of any floating-point type
    temperature: Array
    where: Array | None
    streams: Array | None
    position: Array

    def per_row(self, function: str, argument: str, array: Array) -> Array:
        """Return a scalar or an array of the rows' shape."""
        shape = self.logits.shape[:-1]
        if array.shape not in ((), shape, (*shape, 1)):
            rule = f"must be a scalar or have the shape of the rows, {shape}"
            raise ValueError(f"{function}: {argument} {rule}, got shape {array.shape}")
        return array.reshape(shape) if array.ndim else array

    @property
    def computed_in(self) -> np.dtype[Any]:
        """The type in which their noise and sums are: float32 for half types."""
        return np.dtype(np.float64 if self.logits.dtype == np.float64 else np.float32)

    def in_float64(self) -> Array:
        """Return the logits as float64."""
        return widened(self.logits).astype(np.float64)

    def in_blocks(self, out: Array) -> Iterator[tuple["Rows", Array]]:
        """Return blocks of rows, which stay in cache between two passes over them, with their part of `out`."""
        shape = self.logits.shape[:-1]
        step = max(1, _BLOCK * shape[0] // max(1, self.logits.size)) if shape else 1
        given = [array for array in (self.streams, self.temperature, self.position) if array is not None and array.ndim]
        if not shape or step >= shape[0] or any(array.shape != shape for array in given):
            yield self, out
            return
        ids = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape) if self.streams is None else self.streams
        t, position = self.temperature, self.position
        for first in range(0, shape[0], step):
            rows = slice(first, first + step)
            part = Rows(
                self.logits[rows],
                t[rows] if t.ndim else t,
                None if self.where is None else self.where[rows],
                ids[rows],
                position[rows] if position.ndim else position,
            )
            yield part, out[rows]

    def ids(self, function: str) -> Array:
        """Return the id of every row, of the rows' shape."""
        shape, count = self.logits.shape[:-1], int(np.prod(self.logits.shape[:-1], dtype=np.int64))
        streams = self.streams
        if streams is None:
            return np.arange(count, dtype=np.int64).reshape(shape)
        if streams.shape not in (shape, (*shape, 1)) and not (streams.ndim == 0 and count == 1):
            raise ValueError(f"{function}: streams must have the shape of the rows, {shape}, got shape {streams.shape}")
        return streams.reshape(shape)

    def repeated(self, function: str, samples: int) -> "Rows":
        """Return every row `samples` times, at positions that count up."""
        shape = self.logits.shape[:-1]
        t, at = (
            self.per_row(function, name, array)
            for name, array in (("temperature", self.temperature), ("position", self.position))
        )
        position = np.broadcast_to(at, shape).view(np.uint64)[..., None]
        if samples and position.size and int(position.max()) > 2**64 - samples:
            raise ValueError(f"{function}: position must leave room for {samples} samples, got {int(position.max())}")
        addressable(function, "num_samples", (*shape, self.logits.shape[-1], samples))
        streams = self.ids(function)
        rows = (*shape, samples)
        return Rows(
            np.broadcast_to(self.logits[..., None, :], (*rows, self.logits.shape[-1])),
            t if t.ndim == 0 else np.broadcast_to(t[..., None], rows),
            None if self.where is None else np.broadcast_to(self.where[..., None, :], (*rows, self.logits.shape[-1])),
            np.broadcast_to(streams[..., None], rows),
            (position + np.arange(samples, dtype=np.uint64)).view(np.int64),
        )


def rows_of(
    function: str,
    logits: npt.ArrayLike,
    axis: int,
    temperature: npt.ArrayLike,
    where: npt.ArrayLike | None,
    streams: npt.ArrayLike | None,
    position: npt.ArrayLike,
) -> Rows:
    x = floats_of(function, "logits", logits)
    if x.ndim == 0:
        raise ValueError(f"{function}: logits must have at least one axis, got a scalar")
    at = axis_of(function, axis, x.ndim)
    rows = x if at in (-1, x.ndim - 1) else np.moveaxis(x, at, -1)
    t, mask = temperature_of(function, temperature), mask_of(function, where)
    if t.ndim == x.ndim:  # with the axis kept at length 1
        t = np.moveaxis(t, at, -1)
    if mask is not None:
        try:
            mask = np.moveaxis(np.broadcast_to(mask, x.shape), at, -1)
        except ValueError:
            raise ValueError(f"{function}: where must broadcast to shape {x.shape}, got shape {mask.shape}") from None
    return Rows(rows, t, mask, *place_of(function, streams, position))


def positive_temperature(function: str, t: Array, argument: str = "temperature") -> Array:
    good = (t > 0) & (t < np.inf)
    if not np.all(good):
        raise ValueError(f"{function}: {argument} must be positive and finite, got {float(t[~good].flat[0])}")
    if np.any(t < 2.0**-1022):
        raise ValueError(f"{function}: {argument} must not be subnormal, got {float(t.min())}")
    return t


def draw_from(
    function: str,
    rows: Rows,
    key: int,
    index_offset: int,
    *,
    inverse: bool = False,
    log_prob: bool = False,
    filters: tuple[Array, Array, Array, list[str], bool] | None = None,
) -> Array:
    """Return a structured array of the rows' shape."""
    out = np.empty((*rows.logits.shape[:-1], 4))
    _core.random.draw(
        function,
        rows.logits,
        rows.temperature,
        rows.where,
        key,
        rows.streams,
        rows.position,
        index_offset_of(function, index_offset),
        out,
        inverse,
        log_prob,
        filters,
    )
    drawn: Array = out.view(_DRAW_WITH_LOG_PROB)[..., 0]
    return drawn


def categories_of(function: str, indices: npt.ArrayLike, rows: Array, argument: str = "indices") -> Array:
    """Return some categories of each row, -1 for none, as int64."""
    chosen, length = integers_of(function, argument, indices), rows.shape[-1]
    if chosen.ndim != rows.ndim or chosen.shape[:-1] != rows.shape[:-1]:
        rule = f"must have the shape of the rows, {rows.shape[:-1]}, and one axis more"
        raise ValueError(f"{function}: {argument} {rule}, got shape {chosen.shape}")
    if chosen.size and not (chosen.min() >= -1 and chosen.max() < length):
        wrong = chosen[(chosen < -1) | (chosen >= length)].flat[0]
        raise ValueError(f"{function}: {argument} must be in [-1, {length}), got {wrong}")
    at: Array = chosen.astype(np.int64)
    ranked = np.sort(at, axis=-1)
    if np.any((ranked[..., 1:] == ranked[..., :-1]) & (ranked[..., 1:] >= 0)):
        raise ValueError(f"{function}: {argument} must not repeat in a row, got one that does")
    return at


def refuse_invalid(function: str, invalid: Array, spoilt: Array) -> None:
    if not invalid.any():
        return
    row = tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(invalid)))
    if np.atleast_1d(spoilt)[row]:
        raise ValueError(f"{function}: logits must hold neither NaN nor +inf, got one in row {row}")
    raise ValueError(f"{function}: logits must have an element above -inf in every row, got none in row {row}")

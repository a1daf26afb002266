"""What all adapters have in common."""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, floats_of
from sorgum._arguments.halves import wide_floats_of
from sorgum._arguments.scalars import int_of
from sorgum.interop.arrays import shown
from sorgum.lowrank._operands import finite_number
from sorgum.random._keys import Rng

__all__ = [
    "Adapter",
    "Gradient",
    "Parameters",
    "computed_in",
    "parameter_of",
    "rank_of",
    "rows_of",
    "scale_of",
    "weight_of",
]


class Gradient(NamedTuple):
    """What flows back through an adapter, without the layer beside it.

    Parameters
    ----------
    x : ndarray
        The gradient with respect to `x` through the adapter, of its shape and type. Add that of the layer, dy W, to it.
    parameters : dict of ndarray
        The gradients with respect to the parameters, by their names, of their shapes and types.
    """

    x: Array
    parameters: dict[str, Array]


class Parameters(Mapping[str, Array]):
    """Arrays by their names, each of which keeps its memory, shape and type: assignment copies into it."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        """Keep the arrays."""
        self._arrays = dict(arrays)

    def __getitem__(self, name: str) -> Array:
        """Return the array itself."""
        return self._arrays[name]

    def __setitem__(self, name: str, value: npt.ArrayLike) -> None:
        """Copy numbers into the array."""
        array = self._arrays[name]
        if value is not array:
            array[...] = parameter_of("parameters", name, value, array.shape)

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self._arrays)

    def __len__(self) -> int:
        """Return the number of arrays."""
        return len(self._arrays)

    def __repr__(self) -> str:
        """Show the arrays as a dict does."""
        return repr(self._arrays)


class Adapter(abc.ABC):
    """A small part of a layer that is trained, while the weight beside it stays as it is.

    Derive from this class for an adapter of another kind: set the three arguments, define the four methods and `init`.

    Parameters
    ----------
    weight : array of shape (out, in), or (out, in, ...) for convolutions
        The weight that stands beside the adapter. It is neither copied nor written.
    parameters : mapping of str to array
        What is trained.
    scale : float
        What the change is multiplied by.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> adapter = sg.lowrank.adapters.LoRA.init(np.eye(4, 3), 2, scale=0.5)
    >>> adapter
    LoRA(shape=(4, 3), count=14, scale=0.5)
    >>> for name, parameter in adapter.parameters.items():
    ...     print(name, parameter.shape)
    A (2, 3)
    B (4, 2)
    """

    def __init__(self, weight: Array, parameters: Mapping[str, Array], scale: float) -> None:
        """Keep what the adapter consists of."""
        self._weight, self._parameters, self._scale = weight, Parameters(parameters), scale

    @property
    def weight(self) -> Array:
        """The weight that stands beside the adapter: W itself, or what `init` left of it."""
        return self._weight

    @property
    def parameters(self) -> Parameters:
        """The arrays that are trained, by their names: to be changed in place."""
        return self._parameters

    @property
    def scale(self) -> float:
        """What the change is multiplied by."""
        return self._scale

    @property
    def factors(self) -> tuple[Array, Array, float]:
        """A of shape (rank, in), B and the scale, of an adapter that adds their product; others have none."""
        raise AttributeError(
            f"factors: the adapter must add a product of two thin factors, got {type(self).__name__}, which does not"
        )

    @property
    def count(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.size for parameter in self._parameters.values())

    def __repr__(self) -> str:
        """Show sizes."""
        return f"{type(self).__name__}(shape={self._weight.shape}, count={self.count}, scale={self._scale})"

    @classmethod
    @abc.abstractmethod
    def init(cls, W: npt.ArrayLike, rank: int, *, scale: float = 1.0, rng: Rng = 0) -> Self:
        """Return a new adapter of a weight."""

    @abc.abstractmethod
    def forward(self, x: npt.ArrayLike, *, base: npt.ArrayLike | None = None, out: Array | None = None) -> Array:
        """Return what the adapter makes of a layer's output."""

    @abc.abstractmethod
    def grad(self, x: npt.ArrayLike, dy: npt.ArrayLike) -> Gradient:
        """Return the gradients of `forward`."""

    @abc.abstractmethod
    def merge(self, W: npt.ArrayLike | None = None, *, out: Array | None = None) -> Array:
        """Return one weight that does what the layer and its adapter do."""

    @abc.abstractmethod
    def unmerge(self, W: npt.ArrayLike, *, base: npt.ArrayLike | None = None, out: Array | None = None) -> Array:
        """Return a merged weight without the adapter."""


def weight_of(function: str, argument: str, value: npt.ArrayLike) -> Array:
    """Return a weight as an array, of which nothing is copied but lists and integers."""
    array = floats_of(function, argument, value)
    if array.ndim < 2 or array.size == 0:
        raise ValueError(f"{function}: {argument} must have two axes or more, none empty, got shape {array.shape}")
    return array


def parameter_of(function: str, argument: str, value: npt.ArrayLike, shape: tuple[int | str, ...]) -> Array:
    """Return a copy in float32 or float64 to train. A name in a shape stands for any length."""
    array = wide_floats_of(function, argument, value)
    pairs = zip(shape, array.shape, strict=False)
    if array.ndim != len(shape) or not all(isinstance(n, str) or n == m for n, m in pairs):
        wanted = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise ValueError(f"{function}: {argument} must have shape ({wanted}), got {array.shape}")
    return np.array(array, order="C")


def rank_of(function: str, rank: object, weight: Array) -> int:
    """Return the rank of an adapter that begins: none of more than a matrix can have."""
    count, most = int_of(function, "rank", rank), min(weight.shape[0], math.prod(weight.shape[1:]))
    if not 1 <= count <= most:
        raise ValueError(f"{function}: rank must be in [1, {most}], the smaller dimension, got {shown(count)}")
    return count


def scale_of(function: str, scale: object) -> float:
    """Return a scale that is finite."""
    return finite_number(function, "scale", scale)


def computed_in(weight: Array) -> np.dtype[Any]:
    """Return the type of parameters beside a weight."""
    return np.dtype(np.float64 if weight.dtype.itemsize == 8 else np.float32)


def rows_of(function: str, x: npt.ArrayLike, weight: Array) -> tuple[Array, tuple[int, ...]]:
    """Return x with one axis for all inputs of a weight, and its own shape."""
    array, inputs = floats_of(function, "x", x), weight.shape[1:]
    before = array.ndim - len(inputs)
    if before < 0 or array.shape[before:] != inputs:
        wanted = ", ".join(["...", *map(str, inputs)])
        raise ValueError(f"{function}: x must have shape ({wanted}) with weight of shape {weight.shape}, got "
                         f"{array.shape}")  # fmt: skip
    return array.reshape(*array.shape[:before], math.prod(inputs)), array.shape

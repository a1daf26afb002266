"""Numbers, flags, names, axes and shapes."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from sorgum.interop.arrays import is_int, kind_of, shown

Axis: TypeAlias = int | tuple[int, ...] | None
Shape: TypeAlias = SupportsIndex | tuple[SupportsIndex, ...]

_LARGEST_AXIS = 2**62
_MOST_AXES = 64  # of NumPy's arrays


def flag_of(function: str, argument: str, value: object) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{function}: {argument} must be a bool, got {kind_of(value)}")
    return bool(value)


def number_of(function: str, argument: str, value: object) -> float:
    if type(value) is float:  # the common case, quickly
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{function}: {argument} must be a real number, got {kind_of(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{function}: {argument} must be in the range of float64, got an int beyond it") from None


def pair_of(function: str, argument: str, value: object) -> tuple[float, float]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{function}: {argument} must be a pair of real numbers, got {shown(value)}")
    low, high = (number_of(function, argument, end) for end in value)
    return low, high


def int_of(function: str, argument: str, value: object) -> int:
    if not is_int(value):
        raise TypeError(f"{function}: {argument} must be an int, got {kind_of(value)}")
    return operator.index(value)


def word64_of(function: str, argument: str, value: object) -> int:
    return unsigned_of(function, argument, value, 64)


def unsigned_of(function: str, argument: str, value: object, bits: int) -> int:
    """Return an int of at most so many bits."""
    number = int_of(function, argument, value)
    if not 0 <= number < 1 << bits:
        raise ValueError(f"{function}: {argument} must be in [0, 2**{bits}), got {shown(number)}")
    return number


def options_of(function: str, empty: object, algorithm: object) -> tuple[str, str]:
    if isinstance(empty, str) and isinstance(algorithm, str):
        return empty, algorithm
    name, value = ("algorithm", algorithm) if isinstance(empty, str) else ("empty", empty)
    raise TypeError(f"{function}: {name} must be a string, got {shown(value)}")


def require_option(function: str, argument: str, value: object, *known: str) -> None:
    """Refuse what is none of some strings."""
    if not isinstance(value, str):
        raise TypeError(f"{function}: {argument} must be a string, got {shown(value)}")
    if value not in known:
        names = [repr(name) for name in known]
        text = f"{', '.join(names[:-1])} or {names[-1]}"
        raise ValueError(f"{function}: {argument} must be {text}, got {shown(value)}")


def axes_of(function: str, axis: Axis) -> Sequence[int] | None:
    """Return axes whose range is checked by who knows the array."""
    if axis is None:
        return None
    if type(axis) is int and -_LARGEST_AXIS < axis < _LARGEST_AXIS:
        return (axis,)
    several = axis if isinstance(axis, tuple) else (axis,)
    if not all(map(is_int, several)):
        raise TypeError(f"{function}: axis must be an int, a tuple of ints or None, got {shown(axis)}")
    indices = map(operator.index, several)
    # An int of any size: one that is out of range is refused where the others are.
    return [max(-_LARGEST_AXIS, min(_LARGEST_AXIS, i)) for i in indices]


def axis_of(function: str, axis: object, ndim: int) -> int:
    """Return the one axis of an array of so many."""
    if not is_int(axis):
        raise TypeError(f"{function}: axis must be an int, got {shown(axis)}")
    at = operator.index(axis)
    if not -ndim <= at < ndim:
        raise ValueError(f"{function}: axis must be in [{-ndim}, {ndim}), got {shown(at)}")
    return at


def shape_of(function: str, shape: object) -> tuple[int, ...]:
    items = shape if isinstance(shape, tuple | list) else (shape,)
    if not all(map(is_int, items)):
        raise TypeError(f"{function}: shape must be an int or a tuple of ints, got {shown(shape)}")
    sizes = tuple(operator.index(n) for n in items)
    if any(n < 0 for n in sizes):
        raise ValueError(f"{function}: shape must not be negative, got {shown(shape)}")
    return addressable(function, "shape", sizes)


def addressable(function: str, argument: str, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape that NumPy can make an array of, if there is memory."""
    if len(sizes) > _MOST_AXES:
        raise ValueError(f"{function}: {argument} must have at most {_MOST_AXES} axes, got {len(sizes)}")
    if math.prod(max(n, 1) for n in sizes) >= 2**59:
        raise ValueError(f"{function}: {argument} must come to fewer than 2**59 elements, got shape {shown(sizes)}")
    return sizes


def float_dtype_of(function: str, dtype: npt.DTypeLike) -> np.dtype[Any]:
    return dtype_of(function, dtype, np.float32, np.float64)


def dtype_of(function: str, dtype: npt.DTypeLike, first: type[Any], second: type[Any]) -> np.dtype[Any]:
    """Return one of two types."""
    try:
        result: Any = np.dtype(dtype)
    except (TypeError, ValueError):  # NumPy's own, which names no argument
        result = dtype
    if not isinstance(result, np.dtype) or result not in (np.dtype(first), np.dtype(second)):
        raise TypeError(f"{function}: dtype must be {first.__name__} or {second.__name__}, got {shown(result)}")
    return result

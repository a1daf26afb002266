"""Modes and ranks: which axes of a tensor are meant, what ranks they may have, in which order they are taken."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from sorgum._arguments.scalars import int_of
from sorgum.interop.arrays import is_int, shown

__all__ = ["Ranks", "by_cost", "cheapest", "modes_of", "order_of", "ranks_of", "require_reachable", "sequence_of"]

Ranks: TypeAlias = int | Sequence[int | None] | None


def sequence_of(function: str, argument: str, value: Any, what: str = "a sequence") -> list[Any]:
    """Return what a tuple, a list or an array of one axis holds."""
    if not isinstance(value, tuple | list | range) and getattr(value, "ndim", None) != 1:
        raise TypeError(f"{function}: {argument} must be {what}, got {shown(value)}")
    return list(value)


def modes_of(function: str, argument: str, value: Any, ndim: int) -> tuple[int, ...]:
    """Return axes of a tensor, none of them twice; all in their order for None."""
    if value is None:
        return tuple(range(ndim))
    items = sequence_of(function, argument, value)
    if not all(map(is_int, items)):
        raise TypeError(f"{function}: {argument} must be ints, got {shown(value)}")
    modes = [operator.index(item) for item in items]
    for mode in modes:
        if not -ndim <= mode < ndim:
            raise ValueError(f"{function}: {argument} must be in [{-ndim}, {ndim}), got {shown(mode)}")
    modes = [mode % ndim for mode in modes]
    if len(set(modes)) < len(modes):
        raise ValueError(f"{function}: {argument} must be different from each other, got {shown(value)}")
    return tuple(modes)


def ranks_of(function: str, value: Any, shape: tuple[int, ...], modes: tuple[int, ...]) -> dict[int, int]:
    """Return the rank of every mode that is not kept.

    Parameters
    ----------
    function : str
        For error messages.
    value : int or sequence of int or None
        One rank for all modes, or one for each; a mode with None is kept.
    shape : tuple of int
        Of the tensor.
    modes : tuple of int

    Returns
    -------
    dict of int
        From modes to ranks, each of them at most the dimension.
    """
    if is_int(value):
        items: list[Any] = [value] * len(modes)
    else:
        items = sequence_of(function, "rank", value, "an int or a sequence of ints and None")
    if len(items) != len(modes):
        raise ValueError(f"{function}: rank must have {len(modes)} entries, one for each mode, got {len(items)}")
    ranks = {}
    for mode, item in zip(modes, items, strict=True):
        if item is None:
            continue
        rank = int_of(function, "rank", item)
        if rank < 1:
            raise ValueError(f"{function}: rank must be at least 1 in mode {mode}, got {shown(rank)}")
        if rank > shape[mode]:
            raise ValueError(
                f"{function}: rank must be at most {shape[mode]} in mode {mode}, its dimension, got {shown(rank)}"
            )
        ranks[mode] = rank
    return ranks


def require_reachable(function: str, ranks: dict[int, int], shape: tuple[int, ...]) -> None:
    """Refuse a rank that no core has: above the product of the other ranks."""
    core = [ranks.get(mode, n) for mode, n in enumerate(shape)]
    for mode, rank in ranks.items():
        others = math.prod(core[:mode] + core[mode + 1 :])
        if rank > others:
            raise ValueError(
                f"{function}: rank must be at most {others} in mode {mode}, the product of the other ranks, got {rank}"
            )


def by_cost(costs: Iterable[tuple[int, float, float]]) -> list[int]:
    """Return modes in the order in which taking them one after the other costs least.

    Parameters
    ----------
    costs : iterable of (int, float, float)
        A mode, what it costs per element of the tensor at that moment, and the factor by which that tensor grows.

    Returns
    -------
    list of int

    Notes
    -----
    i before j costs a_i + g_i a_j, and j before i a_j + g_j a_i: the first is less where (g_i - 1) / a_i is less. So
    sorting is exact. Of equal ones the first that is given comes first.
    """
    return [mode for mode, _, _ in sorted(costs, key=lambda item: (item[2] - 1) / item[1])]


def cheapest(shape: Sequence[int], ranks: Mapping[int, int]) -> list[int]:
    """Return modes in the order in which truncating them costs least: a Gram matrix and a product for each.

    Of equal ones the last comes first, since a product along it reads the tensor as it lies. They descend: slabs along
    axis 0 have whole columns of all unfoldings but that of mode 0.
    """
    modes = sorted(ranks, reverse=True)
    return by_cost((mode, shape[mode] + 2 * ranks[mode], ranks[mode] / shape[mode]) for mode in modes)


def order_of(function: str, value: Any, modes: Sequence[int], ndim: int) -> list[int] | None:
    """Return the order in which modes are asked to be taken; None for "auto"."""
    if isinstance(value, str):
        if value != "auto":
            raise ValueError(f"{function}: mode_order must be 'auto' or modes in their order, got {shown(value)}")
        return None
    sequence_of(function, "mode_order", value)
    order = modes_of(function, "mode_order", value, ndim)
    if sorted(order) != sorted(modes):
        raise ValueError(f"{function}: mode_order must have the modes {sorted(modes)}, got {shown(value)}")
    return list(order)

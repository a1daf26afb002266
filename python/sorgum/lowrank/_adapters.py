"""Many adapters over one layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, floats_of, integers_of
from sorgum._arguments.results import apart
from sorgum._core import lowrank as compiled
from sorgum.interop.arrays import kind_of, shown
from sorgum.lowrank._operands import (
    as_matrix,
    dense,
    factors_of,
    finite_number,
    is_wide,
    rows_for,
    rows_of_base,
    written,
)

__all__ = ["AdapterSet", "apply_adapters"]


class AdapterSet:
    """Low-rank adapters of one layer, packed once for `apply_adapters`.

    Parameters
    ----------
    adapters : sequence of tuples (A, B, scale)
        A of shape (rank, in), B (out, rank), as `apply` takes them, and a number. Ranks may differ, and may be 0. An
        adapter's id is its place. The factors are copied: later changes do not show.

    Raises
    ------
    TypeError
        If a dtype is none that `apply` takes, or an adapter is no such tuple.
    ValueError
        If factors do not fit each other or the other adapters, or a scale is not finite.

    Notes
    -----
    An object may be used by several threads at once.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> A, B = np.float32([[1.0, 1.0]]), np.float32([[1.0], [0.5], [0.0]])
    >>> adapters = sg.lowrank.AdapterSet([(A, B, 2.0), (-A, B, 1.0)])
    >>> len(adapters), adapters.shape, adapters.ranks
    (2, (3, 2), (1, 1))
    """

    def __init__(self, adapters: Iterable[tuple[npt.ArrayLike, npt.ArrayLike, float]]) -> None:
        """Check and pack the adapters."""
        if isinstance(adapters, str | bytes | dict) or not isinstance(adapters, Iterable):
            raise TypeError(f"AdapterSet: adapters must be a sequence of (A, B, scale), got {kind_of(adapters)}")
        given = [_adapter_of(one) for one in adapters]
        wide = is_wide(*(factor for a, b, _ in given for factor in (a, b)))
        self._compiled = compiled.AdapterSet(given, wide)
        self._ranks = tuple(a.shape[0] for a, _, _ in given)

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs of the layer."""
        return self._compiled.outputs, self._compiled.inputs

    @property
    def ranks(self) -> tuple[int, ...]:
        """The rank of each adapter."""
        return self._ranks

    def __len__(self) -> int:
        """Return the number of adapters."""
        return len(self._ranks)


def apply_adapters(
    x: npt.ArrayLike,
    adapters: AdapterSet,
    ids: npt.ArrayLike,
    *,
    base: npt.ArrayLike | None = None,
    out: Array | None = None,
) -> Array:
    """Return what adapters add to a layer, each row of x with an adapter of its own.

    Parameters
    ----------
    x : array_like of shape (..., in)
        float16, bfloat16, float32, or float64 where an adapter is float64; bool and integers become float64.
    adapters : AdapterSet
        The adapters of the layer.
    ids : array_like of int, of shape (...) or one that broadcasts to it
        The place in `adapters` of the adapter of each row; -1 for none.
    base : array_like of shape (..., out), optional
        What is added to, of the type of `x`: the output of the layer.
    out : ndarray, optional
        Where to write: shape (..., out) and the type of `x`; may be `base` itself.

    Returns
    -------
    ndarray of shape (..., out)
        Of the type of `x`: base + scale * (x A^T) B^T with the A, B and scale of the row's adapter. A row of id -1 has
        the bits of `base`, or is 0 without.

    Raises
    ------
    TypeError
        If a dtype is none of the above, or `adapters` is no AdapterSet.
    ValueError
        If shapes do not fit, an id is neither -1 nor that of an adapter, or `out` cannot be written.

    Notes
    -----
    A row has the bits that `apply` gives it with its adapter, whatever the other rows' adapters are. Rows are grouped
    by adapter, so that each adapter is read once for all its rows. Tier: bitwise.

    Punica: Chen et al. 2024, "Punica: Multi-Tenant LoRA Serving", section 4, of which this is the version for CPUs.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> A, B = np.float32([[1.0, 1.0]]), np.float32([[1.0], [0.5], [0.0]])
    >>> adapters = sg.lowrank.AdapterSet([(A, B, 2.0), (-A, B, 1.0)])
    >>> sg.lowrank.apply_adapters(np.ones((3, 2), np.float32), adapters, [1, -1, 0])
    array([[-2., -1.,  0.],
           [ 0.,  0.,  0.],
           [ 4.,  2.,  0.]], dtype=float32)
    """
    if not isinstance(adapters, AdapterSet):
        raise TypeError(f"apply_adapters: adapters must be an AdapterSet, got {kind_of(adapters)}")
    array = floats_of("apply_adapters", "x", x)
    if array.ndim == 0:
        raise ValueError("apply_adapters: x must have an axis, got a scalar")
    outputs, inputs = adapters.shape
    if array.shape[-1] != inputs:
        raise ValueError(f"apply_adapters: x must have shape (..., {inputs}), got {array.shape}")
    shape = (*array.shape[:-1], outputs)
    places = _ids_of(ids, array.shape[:-1])
    added = rows_of_base("apply_adapters", base, array, shape, out)
    result, target = rows_for("apply_adapters", out, shape, array)
    rows = dense(as_matrix(apart(array, out), array.ndim - 1))
    adapters._compiled.apply(rows, places, added, target)
    return written(result, target)


def _adapter_of(value: Any) -> tuple[Array, Array, float]:
    if not isinstance(value, tuple | list) or len(value) != 3:
        raise TypeError(f"AdapterSet: adapters must be tuples (A, B, scale), got {shown(value)}")
    a, b = factors_of("AdapterSet", value[0], value[1])
    for name, one in (("A", a), ("B", b)):
        if one.ndim != 2:
            raise ValueError(f"AdapterSet: {name} must have two axes, got shape {one.shape}")
    return dense(a), dense(b), finite_number("AdapterSet", "scale", value[2])


def _ids_of(ids: npt.ArrayLike, shape: tuple[int, ...]) -> Array:
    array = integers_of("apply_adapters", "ids", ids)
    if array.dtype.kind == "u" and array.size and int(array.max()) >= 2**63:
        raise ValueError(f"apply_adapters: ids must be those of adapters or -1, got {int(array.max())}")
    try:
        spread = np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(
            f"apply_adapters: ids must have the shape of the rows of x, {shape}, got {array.shape}"
        ) from None
    return np.ascontiguousarray(spread, dtype=np.int64).reshape(-1)

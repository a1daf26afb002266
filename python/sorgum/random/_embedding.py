"""Embeddings of soft tokens."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum._arguments.arrays import Array, floats_of, integers_of
from sorgum._arguments.halves import wide_floats_of
from sorgum._arguments.results import new_array
from sorgum.random._filters import as_int64

__all__ = ["embedding_mix"]


def embedding_mix(weights: npt.ArrayLike, indices: npt.ArrayLike, embeddings: npt.ArrayLike) -> Array:
    """Return the weighted sums of embeddings that stand for soft tokens.

    Parameters
    ----------
    weights : array_like
        Any shape whose last axis is that of the k categories: `SoftTokens.weights`.
    indices : array_like of int
        The same shape: rows of `embeddings`; -1 is none, whatever its weight.
    embeddings : array_like
        The table, (vocabulary, dimensions); float16, bfloat16, float32 or float64.

    Returns
    -------
    ndarray
        The shape of `indices`, its last axis replaced by the dimensions, in the dtype of `embeddings`: the sum over j
        of weights[j] embeddings[indices[j]]. Zeros where all indices are -1.

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        If an index is out of range, or a shape does not fit.

    Notes
    -----
    Zhang et al., "Soft Thinking", 2025 (arXiv 2505.15778). Added in the order of the indices, one fused
    multiply-add each: in float64 for float32 and float64, in float32 for the half types (weights are rounded to that
    first); rounded once at the end. Bound: half a unit in the last place, and k 2**-53 (half types: k 2**-24) of the
    sum of magnitudes. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> table = np.float32([[1, 0], [0, 1], [4, 4]])
    >>> sg.random.embedding_mix([[0.5, 0.25, 0.0]], [[2, 1, -1]], table)
    array([[2.  , 2.25]], dtype=float32)
    """
    function = "embedding_mix"
    w = wide_floats_of(function, "weights", weights).astype(np.float64)
    table = floats_of(function, "embeddings", embeddings)
    at = integers_of(function, "indices", indices)
    if at.ndim == 0:
        raise ValueError(f"{function}: indices must have at least one axis, got a scalar")
    if table.ndim != 2:
        raise ValueError(f"{function}: embeddings must have two axes, got shape {table.shape}")
    if w.shape != at.shape:
        raise ValueError(f"{function}: weights must have the shape of indices, {at.shape}, got {w.shape}")
    chosen = as_int64(at).reshape(int(np.prod(at.shape[:-1], dtype=np.int64)), at.shape[-1])
    if table.strides[1] != table.itemsize or (table.ctypes.data | table.strides[0]) % table.itemsize:
        table = table.copy()  # NumPy calls any address aligned for a bfloat16 that is given by its bits
    out = new_array((chosen.shape[0], table.shape[1]), table.dtype)
    _core.random.embedding_mix(function, w.reshape(chosen.shape), chosen, table, out)
    return out.reshape(*at.shape[:-1], table.shape[1])

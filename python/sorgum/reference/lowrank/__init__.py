"""The family `lowrank` in plain NumPy: what its kernels compute, for verification."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum.reference.lowrank.adapters import adapted_weight, basis_sum, singular_factors
from sorgum.reference.lowrank.decompositions import (
    cholesky_qr,
    extract,
    polar,
    range_finder,
    small_svd,
    truncated_svd,
)

__all__ = [
    "adapted_weight",
    "apply",
    "apply_adapters",
    "basis_sum",
    "cholesky_qr",
    "extract",
    "merge",
    "polar",
    "range_finder",
    "singular_factors",
    "small_svd",
    "truncated_svd",
    "unmerge",
]

Array = npt.NDArray[Any]


def apply(
    x: npt.ArrayLike,
    A: npt.ArrayLike,
    B: npt.ArrayLike,
    *,
    scale: float = 1.0,
    activation: str | None = None,
    mid: npt.ArrayLike | None = None,
    gate: npt.ArrayLike | None = None,
    base: npt.ArrayLike | None = None,
    dtype: npt.DTypeLike = np.float64,
) -> Array:
    """Return base + scale * (x A^T) B^T, with an activation and factors between the two products.

    Parameters
    ----------
    x, A, B : array_like
        As `sorgum.lowrank.apply` takes them.
    scale, activation, mid, gate, base : optional
        Likewise.
    dtype : dtype, optional
        Computed in and returned.

    Returns
    -------
    array
        Of shape (..., out).

    Examples
    --------
    >>> from sorgum import reference
    >>> reference.lowrank.apply([1.0, 2.0], [[1.0, 1.0]], [[1.0], [0.5]], scale=2.0)
    array([6., 3.])
    """
    v = np.asarray(x, dtype=dtype) @ np.asarray(A, dtype=dtype).T
    if activation == "relu":
        v = np.maximum(v, 0)
    elif activation == "silu":
        with np.errstate(over="ignore"):
            v = v / (1 + np.exp(-v))
    if mid is not None:
        v = v * np.asarray(mid, dtype=dtype)
    if gate is not None:
        v = v * np.asarray(gate, dtype=dtype)[..., None]
    y: Array = scale * (v @ np.asarray(B, dtype=dtype).T)
    return y if base is None else np.asarray(base, dtype=dtype) + y


def merge(
    W: npt.ArrayLike,
    A: npt.ArrayLike,
    B: npt.ArrayLike,
    *,
    scale: float = 1.0,
    form: str = "add",
    mask: npt.ArrayLike | None = None,
    magnitude: npt.ArrayLike | None = None,
    fan_in_fan_out: bool = False,
    dtype: npt.DTypeLike = np.float64,
) -> Array:
    """Return a weight with an adapter merged into it, without a rounding to the type of the weight.

    Parameters
    ----------
    W, A, B : array_like
        As `sorgum.lowrank.merge` takes them.
    scale, form, mask, magnitude, fan_in_fan_out : optional
        Likewise.
    dtype : dtype, optional
        Computed in and returned.

    Returns
    -------
    array
        Of the shape of `W`.

    Examples
    --------
    >>> from sorgum import reference
    >>> reference.lowrank.merge([[1.0, 0.0]], [[1.0, 2.0]], [[3.0]], scale=0.5)
    array([[2.5, 3. ]])
    """
    w, a, b = (np.asarray(array, dtype=dtype) for array in (W, A, B))
    change = scale * np.tensordot(b.reshape(b.shape[:2]), a, 1)
    if fan_in_fan_out:
        change = change.T
    merged = w * (1 + change) if form == "hadamard" else w + change
    if magnitude is not None:
        axes = 0 if fan_in_fan_out else tuple(range(1, w.ndim))
        factors = np.ravel(np.asarray(magnitude, dtype=dtype)) / np.sqrt(np.sum(merged**2, axis=axes))
        merged = merged * factors.reshape((1, -1) if fan_in_fan_out else (-1,) + (1,) * (w.ndim - 1))
    return np.asarray(merged if mask is None else np.where(mask, merged, w), dtype=dtype)


def unmerge(
    W: npt.ArrayLike,
    A: npt.ArrayLike,
    B: npt.ArrayLike,
    *,
    scale: float = 1.0,
    mask: npt.ArrayLike | None = None,
    fan_in_fan_out: bool = False,
    dtype: npt.DTypeLike = np.float64,
) -> Array:
    """Return a weight without an adapter that was added to it.

    Parameters
    ----------
    W, A, B : array_like
        As `sorgum.lowrank.unmerge` takes them.
    scale, mask, fan_in_fan_out : optional
        Likewise.
    dtype : dtype, optional
        Computed in and returned.

    Returns
    -------
    array
        Of the shape of `W`.

    Examples
    --------
    >>> from sorgum import reference
    >>> reference.lowrank.unmerge([[2.5, 3.0]], [[1.0, 2.0]], [[3.0]], scale=0.5)
    array([[1., 0.]])
    """
    return merge(W, A, B, scale=-scale, mask=mask, fan_in_fan_out=fan_in_fan_out, dtype=dtype)


def apply_adapters(
    x: npt.ArrayLike,
    adapters: Any,
    ids: npt.ArrayLike,
    *,
    base: npt.ArrayLike | None = None,
    dtype: npt.DTypeLike = np.float64,
) -> Array:
    """Return what adapters add to a layer, each row of x with an adapter of its own.

    Parameters
    ----------
    x : array_like
        As `sorgum.lowrank.apply_adapters` takes it.
    adapters : sequence of tuples (A, B, scale)
        What `sorgum.lowrank.AdapterSet` is made of.
    ids, base : optional
        Likewise.
    dtype : dtype, optional
        Computed in and returned.

    Returns
    -------
    array
        Of shape (..., out).

    Examples
    --------
    >>> from sorgum import reference
    >>> reference.lowrank.apply_adapters([[1.0], [1.0]], [([[2.0]], [[3.0]], 1.0)], [0, -1])
    array([[6.],
           [0.]])
    """
    rows = np.asarray(x, dtype=dtype)
    places = np.broadcast_to(np.asarray(ids), rows.shape[:-1])
    shape = (*rows.shape[:-1], np.shape(adapters[0][1])[0])
    y = np.zeros(shape, dtype) if base is None else np.array(base, dtype=dtype)
    for place, (a, b, scale) in enumerate(adapters):
        y[places == place] += apply(rows[places == place], a, b, scale=scale, dtype=dtype)
    return y

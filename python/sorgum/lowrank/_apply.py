"""An adapter beside a layer."""

from __future__ import annotations

from typing import Literal

import numpy.typing as npt

from sorgum._arguments.arrays import Array, floats_of
from sorgum._arguments.results import apart
from sorgum._core import lowrank as compiled
from sorgum.interop.arrays import shown
from sorgum.lowrank._operands import (
    as_matrix,
    dense,
    factors_of,
    finite_number,
    is_wide,
    numbers_of,
    rows_for,
    rows_of_base,
    written,
)

__all__ = ["ACTIVATIONS", "apply", "checked_activation"]

ACTIVATIONS = {None: 0, "relu": 1, "silu": 2}


def apply(
    x: npt.ArrayLike,
    A: npt.ArrayLike,
    B: npt.ArrayLike,
    *,
    scale: float = 1.0,
    activation: Literal["relu", "silu"] | None = None,
    mid: npt.ArrayLike | None = None,
    gate: npt.ArrayLike | None = None,
    base: npt.ArrayLike | None = None,
    out: Array | None = None,
) -> Array:
    """Return what an adapter adds to a layer, base + scale * (x A^T) B^T, without forming B A.

    Parameters
    ----------
    x : array_like of shape (..., in)
        float16, bfloat16, float32 or float64, or bool and integers, which become float64.
    A : array_like of shape (rank, in)
        The factor that is applied first.
    B : array_like of shape (out, rank)
        The other factor, of any of these types. float64 in one of the three has float64 computed in, else float32 is.
    scale : float, optional
        alpha / rank, or alpha / sqrt(rank) for rsLoRA.
    activation : {"relu", "silu"}, optional
        Applied to x A^T, as in bottleneck adapters; silu(v) = v / (1 + exp(-v)).
    mid : array_like of shape (rank,), optional
        Factors of the components between A and B: AdaLoRA's E, the singular values of SVFit.
    gate : array_like of shape (...), optional
        A factor for each row of `x`.
    base : array_like of shape (..., out), optional
        What is added to, of the type of `x`: the output of the layer.
    out : ndarray, optional
        Where to write: shape (..., out) and the type of `x`; may be `base` itself.

    Returns
    -------
    ndarray of shape (..., out)
        base + scale * (activation(x A^T) * mid * gate) B^T, of the type of `x`.

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        If shapes do not fit, `scale` is not finite, or `out` cannot be written.

    Notes
    -----
    x A^T is rounded to float32, or float64 where that is computed in, whatever the half type of `x`. An element of a
    product is one sum in the order of docs/numerics/linalg.md, so that a row alone has the bits of the row in a batch.
    Bound, without activation: u |y| + (rank + d + 2) u |scale| |x| |A|^T |B|^T with d = min(in, 512) + log2(in / 512)
    and u = 2^-24 or 2^-53, and half a ULP of a half type. Cost: 2 rank (in + out) flops a row. Tier: bitwise.

    LoRA: Hu et al. 2022, section 4.1; activations: He et al. 2022, "Towards a Unified View of Parameter-Efficient
    Transfer Learning", table 1.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> x, A, B = np.float32([1.0, 2.0]), np.float32([[1.0, 1.0]]), np.float32([[1.0], [0.5], [0.0]])
    >>> sg.lowrank.apply(x, A, B, scale=2.0)
    array([6., 3., 0.], dtype=float32)
    """
    kind = checked_activation("apply", activation)
    factor = finite_number("apply", "scale", scale)
    array = floats_of("apply", "x", x)
    a, b = factors_of("apply", A, B)
    wide = is_wide(array, a, b)
    for name, one in (("A", a), ("B", b)):
        if one.ndim != 2:
            raise ValueError(f"apply: {name} must have two axes, got shape {one.shape}")
    if array.ndim == 0:
        raise ValueError("apply: x must have an axis, got a scalar")
    shape = (*array.shape[:-1], b.shape[0])
    middle, gates = numbers_of("apply", "mid", mid, wide), numbers_of("apply", "gate", gate, wide)
    if gates is not None and gates.shape != array.shape[:-1]:
        raise ValueError(f"apply: gate must have the shape of x without its last axis, {array.shape[:-1]}, "
                         f"got {gates.shape}")  # fmt: skip
    added = rows_of_base("apply", base, array, shape, out)
    result, target = rows_for("apply", out, shape, array)
    array = dense(as_matrix(apart(array, out), array.ndim - 1))
    a, b = dense(apart(a, out)), dense(apart(b, out))
    middle = None if middle is None else apart(middle, out)
    gates = None if gates is None else apart(gates.reshape(-1), out)
    compiled.apply(array, a, b, factor, kind, middle, gates, added, wide, target)
    return written(result, target)


def checked_activation(function: str, activation: object) -> int:
    """Return the number by which an activation is known to the kernels."""
    if activation is not None and not isinstance(activation, str):
        raise TypeError(f"{function}: activation must be a string or None, got {shown(activation)}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"{function}: activation must be 'relu', 'silu' or None, got {shown(activation)}")
    return ACTIVATIONS[activation]

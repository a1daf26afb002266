"""What flows back through an adapter."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, floats_of
from sorgum._core import lowrank as compiled
from sorgum.interop import bfloat16
from sorgum.lowrank._apply import ACTIVATIONS, checked_activation
from sorgum.lowrank._operands import as_matrix, factors_of, finite_number, is_wide, numbers_of
from sorgum.lowrank._products import product

__all__ = ["ApplyGrad", "apply_grad"]


class ApplyGrad(NamedTuple):
    """Gradients with respect to the arguments of `apply`; None for factors that were not given.

    Parameters
    ----------
    x, A, B : ndarray
        Of the shapes and types of the arguments.
    mid, gate : ndarray or None
        Likewise.
    """

    x: Array
    A: Array
    B: Array
    mid: Array | None
    gate: Array | None


def apply_grad(
    x: npt.ArrayLike,
    A: npt.ArrayLike,
    B: npt.ArrayLike,
    *,
    dy: npt.ArrayLike,
    scale: float = 1.0,
    activation: Literal["relu", "silu"] | None = None,
    mid: npt.ArrayLike | None = None,
    gate: npt.ArrayLike | None = None,
) -> ApplyGrad:
    """Return the gradients of `apply`: vector-Jacobian products, without a matrix of the size of the layer.

    Parameters
    ----------
    x, A, B, scale, activation, mid, gate : optional
        As `apply` takes them.
    dy : array_like of shape (..., out)
        The gradient with respect to the result; that with respect to `base` is the same.

    Returns
    -------
    ApplyGrad
        Of the gradients with respect to x, A, B, mid and gate, of their types.

    Raises
    ------
    TypeError
        If a dtype is none that `apply` takes.
    ValueError
        If shapes do not fit, or `scale` is not finite.

    Notes
    -----
    With u = x A^T, v = activation(u) * mid * gate and w = scale dy B: dB = scale dy^T v, du = w * mid * gate *
    activation'(u), dA = du^T x, dx = du A. The derivative of relu at 0 is 0. Every product is a sum in the order of
    docs/numerics/linalg.md. Cost: 6 rank (in + out) flops a row, with the forward products. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> x, A, B = np.float32([[1.0, 2.0]]), np.float32([[1.0, 1.0]]), np.float32([[1.0], [0.5]])
    >>> grad = sg.lowrank.apply_grad(x, A, B, dy=np.float32([[1.0, 2.0]]))
    >>> grad.A
    array([[2., 4.]], dtype=float32)
    >>> grad.B
    array([[3.],
           [6.]], dtype=float32)
    """
    kind = checked_activation("apply_grad", activation)
    factor = finite_number("apply_grad", "scale", scale)
    rows, upper = floats_of("apply_grad", "x", x), floats_of("apply_grad", "dy", dy)
    a, b = factors_of("apply_grad", A, B)
    for name, one in (("A", a), ("B", b)):
        if one.ndim != 2:
            raise ValueError(f"apply_grad: {name} must have two axes, got shape {one.shape}")
    if rows.ndim == 0 or upper.shape != (*rows.shape[:-1], b.shape[0]):
        raise ValueError(
            f"apply_grad: dy must have shape (..., out) with x of shape {rows.shape} and B of shape {b.shape}, got "
            f"{upper.shape}"
        )
    wide = is_wide(rows, upper, a, b)
    computed: np.dtype[Any] = np.dtype(np.float64 if wide else np.float32)
    middle, gates = numbers_of("apply_grad", "mid", mid, wide), numbers_of("apply_grad", "gate", gate, wide)
    if middle is not None and middle.shape != (a.shape[0],):
        raise ValueError(f"apply_grad: mid must have shape {(a.shape[0],)}, got {middle.shape}")
    if gates is not None and gates.shape != rows.shape[:-1]:
        raise ValueError(
            f"apply_grad: gate must have the shape of x without its last axis, {rows.shape[:-1]}, got {gates.shape}"
        )
    x2, dy2 = as_matrix(rows, rows.ndim - 1), as_matrix(upper, upper.ndim - 1)
    if a.shape[1] != x2.shape[1] or b.shape[1] != a.shape[0]:
        raise ValueError(
            f"apply_grad: A and B must have shapes (rank, in) and (out, rank) with x of shape {rows.shape}, got "
            f"{a.shape} and {b.shape}"
        )
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        u = product(x2, a.T, 1.0, computed)
        active, slope = _activated(u, kind)
        factors = np.ones((), computed) if middle is None else middle
        if gates is not None:
            factors = factors * gates.reshape(-1, 1)
        w = product(dy2, b, factor, computed)
        du = w * factors * slope
        d_mid = d_gate = None
        if middle is not None:
            part = w * active if gates is None else w * active * gates.reshape(-1, 1)
            d_mid = product(np.ones((1, part.shape[0]), computed), part, 1.0, computed).reshape(middle.shape)
        if gates is not None:
            part = w * active if middle is None else w * active * middle
            d_gate = product(part, np.ones((part.shape[1], 1), computed), 1.0, computed).reshape(gates.shape)
        found = ApplyGrad(
            _in_type_of(rows, product(du, a, 1.0, computed).reshape(rows.shape)),
            _in_type_of(a, product(du.T, x2, 1.0, computed)),
            _in_type_of(b, product(dy2.T, active * factors, factor, computed)),
            None if mid is None or d_mid is None else _in_type_of(floats_of("apply_grad", "mid", mid), d_mid),
            None if gate is None or d_gate is None else _in_type_of(floats_of("apply_grad", "gate", gate), d_gate),
        )
    return found


def _activated(u: Array, kind: int) -> tuple[Array, Array]:
    """Return the activation of u and its derivative."""
    one = u.dtype.type(1)
    if kind == ACTIVATIONS[None]:
        return u, np.ones((), u.dtype)
    if kind == ACTIVATIONS["relu"]:
        return np.where(u < 0, u.dtype.type(0), u), (u > 0).astype(u.dtype)
    eye, silu = np.eye(u.shape[1], dtype=u.dtype), np.empty_like(u)
    compiled.apply(u, eye, eye, 1.0, kind, None, None, None, u.dtype.itemsize == 8, silu)
    sigmoid = np.where(abs(u) < np.finfo(u.dtype).tiny, u.dtype.type(0.5), silu / u)
    sigmoid = np.where(u == np.inf, one, sigmoid)
    return silu, sigmoid + silu * (one - sigmoid)


def _in_type_of(like: Array, array: Array) -> Array:
    if bfloat16.is_bfloat16(like.dtype):
        return bfloat16.rounded(array, like.dtype)
    return array.astype(like.dtype, copy=False)

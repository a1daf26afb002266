"""An adapter becomes part of the weight."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, compact, floats_of
from sorgum._arguments.results import apart, result_for
from sorgum._arguments.scalars import flag_of, require_option
from sorgum._core import lowrank as compiled
from sorgum.interop import bfloat16
from sorgum.interop.arrays import plain
from sorgum.lowrank._operands import (
    as_matrix,
    dense,
    factors_of,
    finite_number,
    has_rows,
    is_wide,
    numbers_of,
)

__all__ = ["merge"]


def merge(
    W: npt.ArrayLike,
    A: npt.ArrayLike,
    B: npt.ArrayLike,
    *,
    scale: float = 1.0,
    form: Literal["add", "hadamard"] = "add",
    mask: npt.ArrayLike | None = None,
    magnitude: npt.ArrayLike | None = None,
    fan_in_fan_out: bool = False,
    rounding: Literal["once", "peft"] = "once",
    check_finite: bool = True,
    out: Array | None = None,
) -> Array:
    """Return a weight with an adapter merged into it, W + scale * B A.

    Parameters
    ----------
    W : array_like of shape (out, in), or (out, in, ...) for convolutions
        The weight; float16, bfloat16, float32 or float64, or bool and integers, which become float64.
    A : array_like of shape (rank, in), or (rank, in, ...)
        The factor that is applied first.
    B : array_like of shape (out, rank), or (out, rank, 1, ...)
        The other factor, of any of these types. float32 is computed in where `W` is float32 and no factor float64, else
        float64.
    scale : float, optional
        alpha / rank, or alpha / sqrt(rank) for rsLoRA.
    form : {"add", "hadamard"}, optional
        "hadamard": W (1 + scale * B A), element by element, as HiRA has it.
    mask : array_like of bool, of the shape of `W`, optional
        Where it is False, the elements of `W` stay as they are.
    magnitude : array_like of shape (out,), or with further axes of length 1, optional
        DoRA: each output's merged weight is divided by its norm and multiplied by its magnitude.
    fan_in_fan_out : bool, optional
        `W` and the result have shape (in, out), as the layers of GPT-2 and embeddings have it.
    rounding : {"once", "peft"}, optional
        "peft": scale * B A is rounded to the type of `W` before it is added, as PEFT does it; with "add" alone.
    check_finite : bool, optional
        Refuse, before anything is written, if an argument or the result is not finite. Without `out` this costs next to
        nothing: results are looked at while they are written.
    out : ndarray, optional
        Where to write: the shape of `W` and the dtype of the result; may be `W` itself.

    Returns
    -------
    ndarray
        Of the shape and type of `W`.

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        If shapes do not fit, `scale` is not finite, `out` cannot be written, or, with `check_finite`, a number is not
        finite.

    Notes
    -----
    An element of B A is one chain of fused multiply-adds over the rank (docs/numerics/linalg.md), w + scale * s is
    rounded once, and so is the result where its type is a narrower one. Bound: u |w'| + (rank + 1) u |scale| (|B| |A|)
    with u = 2^-24 or 2^-53, and half a ULP of the type of `W` if that is narrower. Tier: bitwise.

    With `magnitude` m, w' is multiplied by m_i / ||w'_i||, whose norm is formed in float64: one rounding of the factor
    and one of the product more.

    LoRA: Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1. DoRA: Liu et al. 2024,
    "DoRA: Weight-Decomposed Low-Rank Adaptation", equation 5. HiRA: Huang et al. 2025, "HiRA: Parameter-Efficient
    Hadamard High-Rank Adaptation for Large Language Models".

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> W, A, B = np.eye(2, dtype=np.float32), np.float32([[1.0, 2.0]]), np.float32([[1.0], [3.0]])
    >>> sg.lowrank.merge(W, A, B, scale=0.5)
    array([[1.5, 1. ],
           [1.5, 4. ]], dtype=float32)
    """
    require_option("merge", "form", form, "add", "hadamard")
    require_option("merge", "rounding", rounding, "once", "peft")
    if form == "hadamard" and rounding != "once":
        raise ValueError(f"merge: rounding must be 'once' where form is 'hadamard', got {rounding!r}")
    transposed = flag_of("merge", "fan_in_fan_out", fan_in_fan_out)
    finite = flag_of("merge", "check_finite", check_finite)
    factor = finite_number("merge", "scale", scale)
    w = floats_of("merge", "W", W)
    a, b = factors_of("merge", A, B)
    wide = w.dtype.itemsize == 2 or is_wide(w, a, b)  # what is rounded to a half type is all but exact
    set_at = None if mask is None else _mask_of(mask, w)
    magnitudes = numbers_of("merge", "magnitude", magnitude, wide)
    if magnitudes is not None and magnitudes.size == max(magnitudes.shape, default=1):
        magnitudes = magnitudes.reshape(-1)
    _check_axes(w, a, b, transposed)
    a, b = (dense(as_matrix(apart(array, out))) for array in (a, b))
    result = result_for("merge", out, w.shape, w.dtype)
    if result is out:
        compiled.check_out("merge", result, list(w.shape), w)
    w, flat = as_matrix(apart(w, out)), as_matrix(result)
    set_at = None if set_at is None else as_matrix(set_at)
    target = flat
    if has_rows(flat.T) and not has_rows(flat):  # columns are contiguous: the transposed weight is merged
        w, target, transposed = w.T, flat.T, not transposed
        set_at = None if set_at is None else set_at.T
    elif not has_rows(flat) or not np.may_share_memory(flat, result):
        target = np.empty(flat.shape, flat.dtype)
    if not has_rows(w):
        w = compact(w)
    if set_at is not None and (not has_rows(set_at) or np.may_share_memory(set_at, target)):
        set_at = np.array(set_at, order="C")
    here = np.may_share_memory(target, result)
    compiled.merge(
        w, a, b, factor, form == "hadamard", set_at, magnitudes, transposed, rounding == "peft", finite, wide,
        target, result is not out or not here,
    )  # fmt: skip
    if not here:
        result[...] = target.reshape(result.shape)
    return result


def _mask_of(mask: npt.ArrayLike, w: Array) -> Array:
    array = plain("merge", "mask", mask)
    if array.dtype != np.bool_:
        raise TypeError(f"merge: mask must be boolean, got dtype {bfloat16.text(array.dtype)}")
    if array.shape != w.shape:
        raise ValueError(f"merge: mask must have the shape of W, {w.shape}, got {array.shape}")
    return array


def _check_axes(w: Array, a: Array, b: Array, transposed: bool) -> None:
    """Refuse numbers of axes that do not fit; their lengths are compared where they are used."""
    if w.ndim < 2 or (transposed and w.ndim > 2):
        raise ValueError(f"merge: W must have two axes{'' if transposed else ' or more'}, got shape {w.shape}")
    if a.ndim != w.ndim or (w.ndim > 2 and a.shape[1:] != w.shape[1:]):
        raise ValueError(f"merge: A must have shape (rank, in, ...) with W of shape {w.shape}, got {a.shape}")
    if b.ndim not in (2, w.ndim) or any(n != 1 for n in b.shape[2:]):
        raise ValueError(f"merge: B must have shape (out, rank) or (out, rank, 1, ...), got {b.shape}")

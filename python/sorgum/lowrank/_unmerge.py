"""An adapter is taken out of the weight that it was merged into."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, floats_of
from sorgum._arguments.results import result_for
from sorgum._arguments.scalars import require_option
from sorgum._core import lowrank as compiled
from sorgum.interop import bfloat16
from sorgum.lowrank._merge import merge
from sorgum.lowrank._operands import finite_number

__all__ = ["unmerge"]


def unmerge(
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
    base: npt.ArrayLike | None = None,
    check_finite: bool = True,
    out: Array | None = None,
) -> Array:
    """Return the weight without an adapter that was merged into it: W - scale * B A, or `base` itself.

    Merging rounds, so that a weight of a half type does not come back as it was: after one merge and its reversal, with
    a difference of 1/20 of the weight, 95 percent of the elements of bfloat16 do. Keep the weight; give it as `base`.

    Parameters
    ----------
    W : array_like
        The merged weight.
    A, B, scale, form, mask, magnitude, fan_in_fan_out, rounding, check_finite : optional
        What it was merged with, as `merge` takes them. "hadamard" and `magnitude` need `base`.
    base : array_like of the shape and type of `W`, optional
        The weight before it was merged. It is merged again, and refused unless that gives the bits of `W`.
    out : ndarray, optional
        Where to write: the shape of `W` and the dtype of the result; may be `W` itself.

    Returns
    -------
    ndarray
        Of the shape and type of `W`; with `base`, of the bits of `base`.

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        As `merge`; if `base` is needed and not given, or if merging it gives another weight than `W`.

    Notes
    -----
    Without `base`: `merge` with -scale, and its bound; the error of the merge itself remains. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> W, A, B = np.eye(2, dtype=np.float32), np.float32([[1.0, 2.0]]), np.float32([[1.0], [3.0]])
    >>> sg.lowrank.unmerge(sg.lowrank.merge(W, A, B), A, B)
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    require_option("unmerge", "form", form, "add", "hadamard")
    options: dict[str, Any] = {"form": form, "mask": mask, "magnitude": magnitude, "fan_in_fan_out": fan_in_fan_out}
    options |= {"rounding": rounding, "check_finite": check_finite}
    if base is None:
        for name, needs in (("form 'hadamard'", form == "hadamard"), ("magnitude", magnitude is not None)):
            if needs:
                raise ValueError(f"unmerge: base must be given with {name}, which nothing else undoes, got None")
        return merge(W, A, B, scale=-finite_number("unmerge", "scale", scale), out=out, **options)
    w, before = floats_of("unmerge", "W", W), floats_of("unmerge", "base", base)
    if before.dtype != w.dtype:
        wanted, got = bfloat16.name(w.dtype), bfloat16.name(before.dtype)
        raise TypeError(f"unmerge: base must have the dtype of W, {wanted}, got {got}")
    if before.shape != w.shape:
        raise ValueError(f"unmerge: base must have the shape of W, {w.shape}, got {before.shape}")
    again = merge(before, A, B, scale=scale, **options)
    if again.tobytes() != np.ascontiguousarray(w).tobytes():
        different = np.count_nonzero(_words(again) != _words(w))
        raise ValueError(f"unmerge: base must be what W was merged from, got {different} other elements when merged")
    result = result_for("unmerge", out, w.shape, w.dtype)
    if result is out:
        compiled.check_out("unmerge", result, list(w.shape), w)
    result[...] = before
    return result


def _words(array: Array) -> Array:
    return np.ascontiguousarray(array).view(np.dtype(f"u{array.dtype.itemsize}"))

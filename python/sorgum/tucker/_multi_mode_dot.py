"""Products of a tensor along several modes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, floats_of
from sorgum._arguments.halves import rounded_to, widened
from sorgum._arguments.results import result_of_dtype, returned
from sorgum._arguments.scalars import flag_of, int_of
from sorgum.interop.arrays import shown
from sorgum.tucker._mode_dot import mode_dot
from sorgum.tucker._modes import by_cost, modes_of, sequence_of

__all__ = ["computed_in", "multi_mode_dot", "product_along", "products", "products_in_order", "slabs"]

_SLAB = 2**20  # elements that are widened or formed at a time


def multi_mode_dot(
    tensor: npt.ArrayLike,
    matrix_or_vec_list: Sequence[npt.ArrayLike],
    modes: Sequence[int] | None = None,
    skip: int | None = None,
    transpose: bool = False,
    *,
    out: Array | None = None,
) -> Any:
    """Return the product of a tensor with matrices, or vectors, along several modes.

    Parameters
    ----------
    tensor : array_like of shape (n_0, n_1, ...)
        float16, bfloat16, float32 or float64, or bool and integers, which become float64.
    matrix_or_vec_list : sequence of array_like
        A matrix of shape (rank, n_k) or a vector of shape (n_k,) for each of `modes`.
    modes : sequence of int, optional
        Different axes of the tensor, as it is given; by default the first ones, as many as there are matrices.
    skip : int, optional
        The place in `matrix_or_vec_list` of one that is left out.
    transpose : bool, optional
        Whether all matrices are transposed first: they have shape (n_k, rank) then.
    out : ndarray, optional
        Where to write: of the shape of the result and the type of `tensor`.

    Returns
    -------
    ndarray
        The tensor with `rank` in the place of n_k for each mode, without those of vectors; of the type of `tensor`.

    Raises
    ------
    TypeError
        If a dtype is none of the above, or an argument has another type.
    ValueError
        If shapes do not fit, a mode is out of range or stands twice, or `out` cannot be written.

    Notes
    -----
    One `mode_dot` after the other, in the order that costs the fewest operations by the shapes alone; of equal ones the
    lower mode comes first. float64 is computed in where one of the arrays has it, else float32; the result is rounded
    once to the type of `tensor`. Bound: to first order the sum of the bounds of `mode_dot` for each mode, with the
    magnitudes of all factors multiplied. Tier: bitwise.

    Kolda and Bader 2009, section 4. TensorLy's `tensorly.tenalg.multi_mode_dot`, which takes the modes in ascending
    order.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> tensor = np.arange(12.0).reshape(2, 3, 2)
    >>> sg.tucker.multi_mode_dot(tensor, [np.ones(2), np.ones(3), np.eye(2)])
    array([30., 36.])
    >>> sg.tucker.multi_mode_dot(tensor, [np.ones((1, 2)), [0.0, 1.0]], modes=[0, 2])
    array([[ 8., 12., 16.]])
    """
    name = "multi_mode_dot"
    x = floats_of(name, "tensor", tensor)
    items = sequence_of(name, "matrix_or_vec_list", matrix_or_vec_list)
    if modes is None and len(items) > x.ndim:
        raise ValueError(f"{name}: matrix_or_vec_list must have at most {x.ndim} entries, got {len(items)}")
    axes = modes_of(name, "modes", range(len(items)) if modes is None else modes, x.ndim)
    if len(axes) != len(items):
        raise ValueError(f"{name}: modes must have {len(items)} entries, as many as matrices, got {len(axes)}")
    skipped = None if skip is None else int_of(name, "skip", skip)
    if skipped is not None and not 0 <= skipped < len(items):
        raise ValueError(f"{name}: skip must be in [0, {len(items)}), got {shown(skipped)}")
    transposed = flag_of(name, "transpose", transpose)
    factors, vectors = {}, []
    for place, (mode, item) in enumerate(zip(axes, items, strict=True)):
        matrix = floats_of(name, "matrix_or_vec_list", item)
        if matrix.ndim not in (1, 2) or matrix.shape[0 if transposed or matrix.ndim == 1 else 1] != x.shape[mode]:
            n = x.shape[mode]
            wanted = f"({n}, rank)" if transposed else f"(rank, {n})"
            raise ValueError(
                f"{name}: matrix_or_vec_list must have shape {wanted} or ({n},) for mode {mode}, got {matrix.shape}"
            )
        if place == skipped:
            continue
        if matrix.ndim == 1:
            vectors.append(mode)
            factors[mode] = matrix[None]
        else:
            factors[mode] = matrix.T if transposed else matrix
    kept = tuple(factors[k].shape[0] if k in factors else n for k, n in enumerate(x.shape))
    shape = tuple(n for k, n in enumerate(kept) if k not in vectors)
    result = result_of_dtype(name, out, shape, x.dtype)
    if result.shape != shape:
        raise ValueError(f"{name}: out must have shape {shape}, got {result.shape}")
    if not result.flags.writeable:
        raise ValueError(f"{name}: out must be writable, got a read-only array")
    whole = result[tuple(None if k in vectors else slice(None) for k in range(x.ndim))]  # with all axes again
    if computed_in(x, factors) == x.dtype:
        products(x, factors, out=whole)
    else:
        whole[...] = rounded_to(products(x, factors), x.dtype)
    return returned(result, out)


def computed_in(x: Array, matrices: Mapping[int, Array]) -> np.dtype[Any]:
    """Return float64 where one of the arrays has it, else float32."""
    wide = any(array.dtype == np.float64 for array in (x, *matrices.values()))
    return np.dtype(np.float64 if wide else np.float32)


def products(x: Array, matrices: Mapping[int, Array], *, out: Array | None = None) -> Array:
    """Return the product of a tensor with matrices of shape (rank, n) along modes, in the order that costs least.

    Parameters
    ----------
    x : array of a floating-point type
    matrices : dict
        From modes to matrices.
    out : array, optional
        Of the shape and type of the result.

    Returns
    -------
    array
        `out` if it was given. float64 where one of the arrays has it, else float32.
    """
    lengths = {mode: len(matrices[mode]) for mode in sorted(matrices)}
    order = by_cost((mode, max(n, 1), n / max(x.shape[mode], 1)) for mode, n in lengths.items())
    return products_in_order(x, matrices, order, out=out)


def products_in_order(x: Array, matrices: Mapping[int, Array], order: Sequence[int], *, out: Array | None) -> Array:
    """Return the same with the modes taken in a given order, on which bits depend."""
    dtype = computed_in(x, matrices)
    y = x
    for step, mode in enumerate(order, 1):
        matrix = widened(matrices[mode]).astype(dtype, copy=False)
        y = product_along(y, matrix, mode, dtype, out=out if step == len(order) else None)
    if order:
        return y
    y = np.empty(x.shape, dtype) if out is None else out
    y[...] = widened(x)
    return y


def product_along(
    x: Array, matrix: Array, mode: int, dtype: np.dtype[Any], *, transpose: bool = False, out: Array | None = None
) -> Array:
    """Return a product along one mode, of a type that is no less; what is not contiguous or narrower goes in slabs."""
    if x.dtype == dtype and x.flags.c_contiguous:
        return np.asarray(mode_dot(x, matrix, mode, transpose, out=out))
    rank = matrix.shape[1 if transpose else 0]
    shape = (*x.shape[:mode], rank, *x.shape[mode + 1 :])
    result = np.empty(shape, dtype) if out is None else out
    for where in slabs(x.shape, without=mode):
        wide = widened(x[where]).astype(dtype, copy=False)
        result[where] = mode_dot(wide, matrix, mode, transpose)
    return result


def slabs(shape: tuple[int, ...], *, without: int | None = None) -> list[tuple[slice, ...]]:
    """Return indices of parts of an array: the first axis is cut, the largest one if that does not do, but never one.

    Parameters
    ----------
    shape : tuple of int
    without : int, optional
        The axis that is never cut.

    Returns
    -------
    list of tuples of slices
        Parts of about a million elements.
    """
    axes = [axis for axis in range(len(shape)) if axis != without]
    size = 1
    for n in shape:
        size *= max(n, 1)
    if not axes or size <= _SLAB:
        return [(slice(None),) * len(shape)]
    axis = axes[0] if size // max(shape[axes[0]], 1) <= _SLAB else max(axes, key=lambda k: shape[k])
    step = max(1, _SLAB * shape[axis] // size)
    return [(slice(None),) * axis + (slice(i, i + step),) for i in range(0, shape[axis], step)]

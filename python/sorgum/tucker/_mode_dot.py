"""Mode products of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, compact, floats_of
from sorgum._arguments.results import result_for, returned
from sorgum._arguments.scalars import flag_of, int_of
from sorgum._core import tucker as compiled

__all__ = ["mode_dot"]

_LARGEST_MODE = 2**62  # an int of any size: one that is out of range is refused where the others are


def mode_dot(
    tensor: npt.ArrayLike,
    matrix_or_vector: npt.ArrayLike,
    mode: int,
    transpose: bool = False,
    *,
    out: Array | None = None,
) -> Any:
    """Return the product of a tensor with a matrix, or a vector, along one mode.

    Parameters
    ----------
    tensor : array_like of shape (..., n, ...)
        float16, bfloat16, float32 or float64, or bool and integers, which become float64.
    matrix_or_vector : array_like of shape (rank, n) or (n,)
        Of any of these types; of shape (n, rank) with `transpose`.
    mode : int
        The axis of length n; counted from the end where it is negative.
    transpose : bool, optional
        Whether the matrix is transposed first. It has no effect on a vector.
    out : ndarray, optional
        Where to write: of the shape of the result and the type of `tensor`.

    Returns
    -------
    ndarray of shape (..., rank, ...), or without this axis for a vector
        y[l, j, r] = sum_i M[j, i] x[l, i, r], of the type of `tensor`; l and r stand for the axes before and behind the
        mode. A scalar for a vector and a tensor with one axis.

    Raises
    ------
    TypeError
        If a dtype is none of the above, or `mode` is no integer.
    ValueError
        If shapes do not fit, `mode` is out of range, or `out` cannot be written.

    Notes
    -----
    Sums are formed in float64 where one of the two arrays has it, else in float32. An element is one sum, in the order
    of docs/numerics/linalg.md. Bound: d u sum_i |M[j, i]| |x[l, i, r]|, d = min(n, 512) + ceil(log2(ceil(n/512))) + 1,
    u = 2^-24 or 2^-53, and half a ULP of a half type. Cost: 2 n rank flops per element of the other axes. A tensor that
    is contiguous is read where it lies; another one is copied first. Tier: bitwise.

    Kolda and Bader 2009, "Tensor Decompositions and Applications", section 2.5. TensorLy's `tensorly.tenalg.mode_dot`,
    which has neither `out` nor an order of summation.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> tensor = np.arange(12.0).reshape(2, 3, 2)
    >>> sg.tucker.mode_dot(tensor, [[1.0, 1.0, 1.0], [0.0, 0.0, 2.0]], 1)
    array([[[ 6.,  9.],
            [ 8., 10.]],
           [[24., 27.],
            [20., 22.]]])
    >>> sg.tucker.mode_dot(tensor, [1.0, -1.0], 2)
    array([[-1., -1., -1.],
           [-1., -1., -1.]])
    """
    x, m = floats_of("mode_dot", "tensor", tensor), floats_of("mode_dot", "matrix_or_vector", matrix_or_vector)
    transposed = flag_of("mode_dot", "transpose", transpose)
    axis = mode_of("mode_dot", mode)
    shape = tuple(compiled.mode_dot_shape(x, m, axis, transposed))
    result = result_for("mode_dot", out, shape, x.dtype)
    x, m = (_beside(array, out) for array in (x, m))
    compiled.mode_dot(x, m, axis, transposed, result)
    return returned(result, out)


def mode_of(function: str, mode: object) -> int:
    """Return a mode whose range is checked by who knows the tensor."""
    return max(-_LARGEST_MODE, min(_LARGEST_MODE, int_of(function, "mode", mode)))


def _beside(array: Array, out: Array | None) -> Array:
    """Return an array that is contiguous and shares no memory with what is written."""
    return array.copy() if out is not None and np.may_share_memory(array, out) else compact(array)

"""Gram matrices of tensors along their modes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, floats_of
from sorgum._arguments.results import new_array
from sorgum._core import tucker as compiled
from sorgum.tucker._mode_dot import mode_of

__all__ = ["gram"]


def gram(x: npt.ArrayLike, mode: int) -> Array:
    """Return the products of a tensor's slices with each other: X X^T of its unfolding X along one mode.

    Parameters
    ----------
    x : array_like of shape (..., n, ...)
        float16, bfloat16, float32 or float64, or bool and integers, which become float64. Any layout: no copy of the
        tensor is made.
    mode : int
        The axis of length n; counted from the end where it is negative.

    Returns
    -------
    ndarray of shape (n, n)
        G[i, j] = sum_k X[i, k] X[j, k], symmetric, of float64 whatever the type of `x`; row i of X has the elements
        whose index along the mode is i. Zeros where there are none.

    Raises
    ------
    TypeError
        If the dtype is none of the above, or `mode` is no integer.
    ValueError
        If `mode` is out of range.

    Notes
    -----
    The eigenvectors of G are the left singular vectors of X, its eigenvalues the squares of the singular values. In
    float64 the products of float32 numbers are exact: of float32 data all singular values come out that it has, where
    sums in float32 would lose those below 3e-4 of the largest.

    k runs over the other axes in C order. An element is one sum in the order of docs/numerics/linalg.md. Bound:
    d u sum_k |X[i, k]| |X[j, k]|, d = min(K, 512) + ceil(log2(ceil(K / 512))) + 1 for K terms, u = 2^-53. NaN and
    infinities spread as in any sum of products. Cost: n (n + 1) flops per column of X, half of a product's. Tier:
    bitwise.

    Vannieuwenhoven, Vandebril and Meerbergen 2012, "A New Truncation Strategy for the Higher-Order Singular Value
    Decomposition", section 5.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> tensor = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    >>> sg.tucker.gram(tensor, 1)
    array([[ 86., 114., 142.],
           [114., 158., 202.],
           [142., 202., 262.]])
    """
    array, axis = floats_of("gram", "x", x), mode_of("gram", mode)
    n = compiled.gram_rows("gram", array, axis)
    result = new_array((n, n), np.dtype(np.float64))
    compiled.gram(array, axis, result)
    return result

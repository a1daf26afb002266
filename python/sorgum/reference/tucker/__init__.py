"""The family `tucker` in plain NumPy: what its kernels compute, for verification."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["gram", "mode_dot"]

Array = npt.NDArray[Any]


def gram(x: npt.ArrayLike, mode: int, *, dtype: npt.DTypeLike = np.float64) -> Array:
    """Return the products of a tensor's slices along one mode with each other.

    Parameters
    ----------
    x : array_like
        As `sorgum.tucker.gram` takes it.
    mode : int
        Likewise.
    dtype : dtype, optional
        Computed in and returned.

    Returns
    -------
    array of shape (n, n)
        X X^T of the unfolding along the mode.

    Examples
    --------
    >>> from sorgum import reference
    >>> reference.tucker.gram([[1.0, 2.0], [3.0, 4.0]], 0)
    array([[ 5., 11.],
           [11., 25.]])
    """
    tensor = np.moveaxis(np.asarray(x, dtype=dtype), mode, 0)
    unfolding = tensor.reshape(len(tensor), int(np.prod(tensor.shape[1:])))
    return np.asarray(unfolding @ unfolding.T)


def mode_dot(
    tensor: npt.ArrayLike,
    matrix_or_vector: npt.ArrayLike,
    mode: int,
    transpose: bool = False,
    *,
    dtype: npt.DTypeLike = np.float64,
) -> Array:
    """Return the product of a tensor with a matrix, or a vector, along one mode.

    Parameters
    ----------
    tensor, matrix_or_vector : array_like
        As `sorgum.tucker.mode_dot` takes them.
    mode, transpose : optional
        Likewise.
    dtype : dtype, optional
        Computed in and returned.

    Returns
    -------
    array
        With `rank` in the place of the mode, or without it.

    Examples
    --------
    >>> from sorgum import reference
    >>> reference.tucker.mode_dot([[1.0, 2.0], [3.0, 4.0]], [[1.0, 1.0]], 0)
    array([[4., 6.]])
    """
    x, m = np.asarray(tensor, dtype=dtype), np.asarray(matrix_or_vector, dtype=dtype)
    if m.ndim == 1:
        return np.asarray(np.tensordot(m, x, (0, mode)))
    return np.moveaxis(np.tensordot(m, x, (0 if transpose else 1, mode)), 0, mode)

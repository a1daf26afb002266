"""The family `tucker` in plain NumPy: what its kernels compute, for verification."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["mode_dot"]

Array = npt.NDArray[Any]


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

"""Adapters of one layer as the weights that they come to, and what they begin from."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum.reference.lowrank.decompositions import truncated_svd

__all__ = ["adapted_weight", "basis_sum", "singular_factors"]

Array = npt.NDArray[Any]


def adapted_weight(
    form: str,
    weight: npt.ArrayLike,
    A: npt.ArrayLike,
    B: npt.ArrayLike,
    *,
    mid: npt.ArrayLike = 1.0,
    scale: float = 1.0,
    dtype: npt.DTypeLike = np.float64,
) -> Array:
    """Return the weight that a layer and its adapter come to.

    Parameters
    ----------
    form : {"add", "hadamard"}
        W + scale * B diag(mid) A, or W (1 + scale * B diag(mid) A) element by element.
    weight : array_like of shape (out, in, ...)
        What stands beside the adapter.
    A : array_like of shape (rank, in, ...)
    B : array_like of shape (out, rank)
    mid : array_like of shape (rank,), optional
    scale : float, optional
    dtype : dtype, optional
        Computed in and returned.

    Returns
    -------
    array of shape (out, in, ...)

    Examples
    --------
    >>> from sorgum import reference
    >>> reference.lowrank.adapted_weight("hadamard", [[2.0, 4.0]], [[1.0, 0.5]], [[1.0]])
    array([[4., 6.]])
    """
    w, a, b, middle = (np.asarray(array, dtype=dtype) for array in (weight, A, B, mid))
    change = scale * np.tensordot(b * middle, a, 1)
    return np.asarray(w + (w * change if form == "hadamard" else change))


def basis_sum(first: npt.ArrayLike, coefficients: npt.ArrayLike, bases: npt.ArrayLike) -> Array:
    """Return a factor of NOLA: what it begins as, and a sum of random matrices.

    Parameters
    ----------
    first : array_like of shape (...)
    coefficients : array_like of shape (count,)
    bases : array_like of shape (count, ...)

    Returns
    -------
    array of shape (...)
        first + sum_i coefficients_i bases_i / sqrt(count).

    Examples
    --------
    >>> from sorgum import reference
    >>> reference.lowrank.basis_sum([1.0], [1.0, 2.0, 0.0, 0.0], [[1.0], [-1.0], [0.5], [0.5]])
    array([0.5])
    """
    a, matrices = np.asarray(coefficients, dtype=np.float64), np.asarray(bases, dtype=np.float64)
    return np.asarray(np.asarray(first, dtype=np.float64) + np.tensordot(a, matrices, 1) / np.sqrt(max(a.size, 1)))


def singular_factors(
    W: npt.ArrayLike, rank: int, *, scale: float = 1.0, which: str = "largest"
) -> tuple[Array, Array, Array]:
    """Return what is left of a weight, and the factors A and B of its leading or last singular values.

    Parameters
    ----------
    W : array_like of shape (out, in)
    rank : int
    scale : float, optional
    which : {"largest", "smallest"}, optional

    Returns
    -------
    weight, A, B : arrays of shape (out, in), (rank, in) and (out, rank)
        W = weight + scale * B A.

    Examples
    --------
    >>> from sorgum import reference
    >>> reference.lowrank.singular_factors([[4.0, 0.0], [0.0, 1.0]], 1)[0]
    array([[0., 0.],
           [0., 1.]])
    """
    u, s, vh = truncated_svd(W, rank, which=which)
    A, B = np.sqrt(s / scale)[:, None] * vh, u * np.sqrt(s / scale)
    return np.asarray(W, dtype=np.float64) - scale * B @ A, A, B

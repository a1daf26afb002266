"""The family `tucker` in plain NumPy: what its kernels compute, for verification."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["core_change", "gram", "hooi", "hosvd", "mode_dot", "multi_mode_dot", "sthosvd"]

Array = npt.NDArray[Any]


def core_change(core: npt.ArrayLike, factors: Sequence[npt.ArrayLike], *, scale: float = 1.0) -> Array:
    """Return what `sorgum.tucker.FLoRA` adds to a weight, formed as a whole in float64.

    Parameters
    ----------
    core : array_like of shape (r0, r1, ...)
    factors : sequence of array_like of shapes (n0, r0), (n1, r1), ...
    scale : float, optional
        As it is: no rank divides it.

    Returns
    -------
    array of shape (n0, n1, ...)
        The sum over all indices of the core of its element times an element of each factor.

    Examples
    --------
    >>> from sorgum import reference
    >>> reference.tucker.core_change([[2.0]], [[[1.0], [3.0]], [[1.0], [0.0]]], scale=0.5)
    array([[1., 0.],
           [3., 0.]])
    """
    middle = np.asarray(core, np.float64)
    operands: list[Any] = [middle, list(range(middle.ndim))]
    for axis, factor in enumerate(factors):
        operands += [np.asarray(factor, np.float64), [middle.ndim + axis, axis]]
    return np.asarray(scale * np.einsum(*operands, list(range(middle.ndim, 2 * middle.ndim))))


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


def multi_mode_dot(
    tensor: npt.ArrayLike,
    matrix_or_vec_list: Sequence[npt.ArrayLike],
    modes: Sequence[int] | None = None,
    skip: int | None = None,
    transpose: bool = False,
    *,
    dtype: npt.DTypeLike = np.float64,
) -> Array:
    """Return the product of a tensor with matrices, or vectors, along several modes.

    Parameters
    ----------
    tensor, matrix_or_vec_list : array_like and sequence of array_like
        As `sorgum.tucker.multi_mode_dot` takes them.
    modes, skip, transpose : optional
        Likewise.
    dtype : dtype, optional
        Computed in and returned.

    Returns
    -------
    array
        By one `mode_dot` after the other, the last mode first, so that a vector moves none that is still to come.

    Examples
    --------
    >>> from sorgum import reference
    >>> reference.tucker.multi_mode_dot([[1.0, 2.0], [3.0, 4.0]], [[1.0, 1.0], [1.0, 0.0]])
    array(4.)
    """
    y = np.asarray(tensor, dtype=dtype)
    axes = range(len(matrix_or_vec_list)) if modes is None else [mode % y.ndim for mode in modes]
    taken = [(axis, m) for i, (axis, m) in enumerate(zip(axes, matrix_or_vec_list, strict=True)) if i != skip]
    for axis, m in sorted(taken, key=lambda pair: -pair[0]):
        y = mode_dot(y, m, axis, transpose, dtype=dtype)
    return y


def hosvd(x: npt.ArrayLike, rank: Sequence[int]) -> tuple[Array, list[Array]]:
    """Return the truncated higher-order singular value decomposition, by full decompositions of all unfoldings.

    Parameters
    ----------
    x : array_like
    rank : sequence of int
        One for each mode.

    Returns
    -------
    core : array of shape `rank`
    factors : list of arrays of shape (n_k, rank_k)
        The entry of the largest magnitude in each column is positive.

    Examples
    --------
    >>> from sorgum import reference
    >>> core, factors = reference.tucker.hosvd([[3.0, 0.0], [0.0, 4.0]], (1, 1))
    >>> core
    array([[4.]])
    """
    y = np.asarray(x, np.float64)
    factors = [_leading(y, mode, r) for mode, r in enumerate(rank)]
    return multi_mode_dot(y, factors, transpose=True), factors


def sthosvd(x: npt.ArrayLike, rank: Sequence[int]) -> tuple[Array, list[Array]]:
    """Return the sequentially truncated decomposition, the modes taken in ascending order.

    Parameters
    ----------
    x, rank : array_like and sequence of int
        As of `hosvd`.

    Returns
    -------
    core : array of shape `rank`
    factors : list of arrays of shape (n_k, rank_k)

    Examples
    --------
    >>> from sorgum import reference
    >>> core, factors = reference.tucker.sthosvd([[3.0, 0.0], [0.0, 4.0]], (1, 1))
    >>> core
    array([[4.]])
    """
    y = np.asarray(x, np.float64)
    factors = []
    for mode, r in enumerate(rank):
        factors.append(_leading(y, mode, r))
        y = mode_dot(y, factors[-1], mode, transpose=True)
    return y, factors


def hooi(
    x: npt.ArrayLike, rank: Sequence[int], factors: Sequence[npt.ArrayLike], maxiter: int
) -> tuple[Array, list[Array]]:
    """Return the higher-order orthogonal iteration, each factor found from a product with all others.

    Parameters
    ----------
    x : array_like
    rank : sequence of int
        One for each mode.
    factors : sequence of array_like
        What to begin with; their columns are made orthonormal.
    maxiter : int

    Returns
    -------
    core : array of shape `rank`
    factors : list of arrays of shape (n_k, rank_k)

    Examples
    --------
    >>> from sorgum import reference
    >>> core, factors = reference.tucker.hooi([[3.0, 0.0], [0.0, 4.0]], (1, 1), [[[1], [1]], [[1], [1]]], 30)
    >>> core.round(6)
    array([[4.]])
    """
    y = np.asarray(x, np.float64)
    found = [np.linalg.qr(np.asarray(factor, np.float64)).Q for factor in factors]
    for _ in range(maxiter):
        for mode, r in enumerate(rank):
            found[mode] = _leading(multi_mode_dot(y, found, skip=mode, transpose=True), mode, r)
    return multi_mode_dot(y, found, transpose=True), found


def _leading(y: Array, mode: int, rank: int) -> Array:
    u = np.linalg.svd(np.moveaxis(y, mode, 0).reshape(y.shape[mode], -1))[0][:, :rank]
    return u * np.where(u[np.argmax(np.abs(u), axis=0), np.arange(rank)] < 0, -1.0, 1.0)

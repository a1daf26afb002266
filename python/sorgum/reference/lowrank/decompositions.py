"""Singular values and what is built on them, from LAPACK's full decompositions in float64."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["cholesky_qr", "extract", "polar", "range_finder", "small_svd", "truncated_svd"]

Array = npt.NDArray[Any]


def truncated_svd(
    a: npt.ArrayLike,
    rank: int | None = None,
    *,
    rtol: float | None = None,
    energy: float | None = None,
    which: str = "largest",
) -> tuple[Array, Array, Array]:
    """Return u, s and vh for so many singular values, or for as few as leave the relative error that is asked for.

    Parameters
    ----------
    a : array_like of shape (m, n)
    rank, rtol, energy, which : optional
        As `sorgum.lowrank.truncated_svd` takes them.

    Returns
    -------
    u, s, vh : arrays of shape (m, k), (k,) and (k, n)

    Examples
    --------
    >>> from sorgum import reference
    >>> reference.lowrank.truncated_svd([[3.0, 0.0], [0.0, 4.0]], 1)[1]
    array([4.])
    """
    u, s, vh = small_svd(a)
    if which == "smallest":
        last = slice(None, None, -1)
        u, s, vh = u[:, last], s[last], vh[last]
    if rank is None:
        most = 1.0 - energy if energy is not None else float(rtol or 0) ** 2
        tails = np.append(np.cumsum((s**2)[::-1])[::-1], 0.0)
        rank = int(np.argmax(tails <= most * tails[0]))
    return u[:, :rank], s[:rank], vh[:rank]


def range_finder(a: npt.ArrayLike, size: int) -> Array:
    """Return the leading left singular vectors: the basis that leaves the least.

    Parameters
    ----------
    a : array_like of shape (m, n)
    size : int

    Returns
    -------
    array of shape (m, size)

    Examples
    --------
    >>> from sorgum import reference
    >>> reference.lowrank.range_finder([[3.0, 0.0], [0.0, 4.0]], 1)
    array([[0.],
           [1.]])
    """
    return small_svd(a)[0][:, :size]


def cholesky_qr(a: npt.ArrayLike) -> tuple[Array, Array]:
    """Return the QR decomposition with a positive diagonal.

    Parameters
    ----------
    a : array_like of shape (m, n)

    Returns
    -------
    q, r : arrays of shape (m, n) and (n, n)

    Examples
    --------
    >>> from sorgum import reference
    >>> reference.lowrank.cholesky_qr([[-2.0], [0.0]])[1]
    array([[2.]])
    """
    q, r = np.linalg.qr(np.asarray(a, dtype=np.float64))
    signs = np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return q * signs, r * signs[:, None]


def polar(a: npt.ArrayLike, *, side: str = "right") -> tuple[Array, Array]:
    """Return the polar decomposition: a = u h, or h u.

    Parameters
    ----------
    a : array_like of shape (..., m, n)
    side : {"right", "left"}, optional

    Returns
    -------
    u, h : arrays

    Examples
    --------
    >>> from sorgum import reference
    >>> reference.lowrank.polar([[-2.0]])
    (array([[-1.]]), array([[2.]]))
    """
    w, s, vh = np.linalg.svd(np.asarray(a, dtype=np.float64), full_matrices=False)
    if side == "right":
        return w @ vh, np.swapaxes(vh, -1, -2) @ (s[..., None] * vh)
    return w @ vh, (w * s[..., None, :]) @ np.swapaxes(w, -1, -2)


def small_svd(a: npt.ArrayLike) -> tuple[Array, Array, Array]:
    """Return all singular values; the largest entry of each column of u is positive.

    Parameters
    ----------
    a : array_like of shape (..., m, n)

    Returns
    -------
    u, s, vh : arrays

    Examples
    --------
    >>> from sorgum import reference
    >>> reference.lowrank.small_svd([[-2.0]])
    (array([[1.]]), array([2.]), array([[-1.]]))
    """
    u, s, vh = np.linalg.svd(np.asarray(a, dtype=np.float64), full_matrices=False)
    at = np.argmax(np.abs(u), axis=-2, keepdims=True)
    signs = np.where(np.take_along_axis(u, at, axis=-2) < 0, -1.0, 1.0)
    return u * signs, s, vh * np.swapaxes(signs, -1, -2)


def extract(W1: npt.ArrayLike, W0: npt.ArrayLike, **promise: Any) -> tuple[Array, Array]:
    """Return the factors (A, B) of what two weights differ by.

    Parameters
    ----------
    W1, W0 : array_like of shape (out, in)
    **promise
        `rank`, `rtol` or `energy`.

    Returns
    -------
    A, B : arrays of shape (rank, in) and (out, rank)

    Examples
    --------
    >>> from sorgum import reference
    >>> reference.lowrank.extract([[4.0, 0.0]], [[0.0, 0.0]], rank=1)
    (array([[2., 0.]]), array([[2.]]))
    """
    u, s, vh = truncated_svd(np.asarray(W1, dtype=np.float64) - np.asarray(W0, dtype=np.float64), **promise)
    return np.sqrt(s)[:, None] * vh, u * np.sqrt(s)

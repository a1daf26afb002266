"""Relaxation as the smoother of a multigrid hierarchy of another library."""

from __future__ import annotations

import operator
import weakref
from typing import Any

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum._arguments.scalars import int_of, number_of
from sorgum.interop.arrays import shown
from sorgum.sor._relaxation import Relaxation

__all__ = ["smoother"]


class smoother:
    """Relaxation as a function of A, x and b, for PyAMG's multilevel solvers: x is smoothed in place.

    Parameters
    ----------
    omega : float, default 1.0
        The relaxation factor, between 0 and 2.
    sweep : {"forward", "backward", "symmetric"}, default "symmetric"
        See `Relaxation.sweep`. A cycle that preconditions conjugate gradients has to be symmetric: symmetric sweeps, or
        forward ones before the coarse grid and backward ones after it.
    iterations : int, default 1
        Sweeps, or pairs of them, of a call.
    order : {"natural", "multicolor", "block_multicolor"}, default "natural"
        See `Relaxation`.
    blocksize : int, optional, default 1
        See `Relaxation`: None relaxes the blocks of matrices in blocks, as those of PyAMG's hierarchies for systems of
        equations, whose size differs from level to level.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or is out of range. `omega` and the two strings are looked at when the first
        matrix is smoothed.

    Notes
    -----
    A matrix is checked and copied when it is met first, and kept with its copy as long as it lives and has the same
    arrays: one object may smooth all levels of a hierarchy. Values that are changed in place do not show: call
    `forget` then. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> A = np.array([[5.0, -2.0, 0.0], [-2.0, 6.0, -1.0], [0.0, -1.0, 3.0]])
    >>> x, b = np.zeros(3), np.array([1.0, -4.0, 2.0])
    >>> smooth = sg.sor.smoother(1.3)
    >>> for _ in range(20):
    ...     smooth(A, x, b)
    >>> sg.sor.residual_norm(A, x, b) < 1e-6
    True

    In a hierarchy of PyAMG, for every level but the last:
    ``ml.levels[i].presmoother = ml.levels[i].postsmoother = smooth``.
    """

    def __init__(
        self,
        omega: float = 1.0,
        *,
        sweep: str = "symmetric",
        iterations: int = 1,
        order: str = "natural",
        blocksize: int | None = 1,
    ) -> None:
        """Keep the parameters."""
        self._omega = number_of("smoother", "omega", omega)
        self._iterations = int_of("smoother", "iterations", iterations)
        for argument, value in (("sweep", sweep), ("order", order)):
            if not isinstance(value, str):
                raise TypeError(f"smoother: {argument} must be a string, got {shown(value)}")
        self._sweep, self._order = sweep, order
        self._blocksize = None if blocksize is None else int_of("smoother", "blocksize", blocksize)
        self._kept: dict[int, tuple[Any, tuple[Any, ...], Relaxation]] = {}

    def __call__(self, A: Any, x: Array, b: Array) -> None:
        """Smooth x in place.

        Parameters
        ----------
        A : array or sparse matrix of shape (n, n)
            As for `Relaxation`.
        x : array of shape (n,) or (n, 1)
            float32 or float64, writable; the matrix is converted to its type.
        b : array_like of the shape of `x`
            The right-hand side.

        Raises
        ------
        TypeError, ValueError
            As `Relaxation` and `Relaxation.sweep`.
        """
        if isinstance(x, np.ndarray) and x.ndim == 2 and x.shape[1] == 1:
            x, b = x[:, 0], np.asarray(b).reshape(-1)
        relaxation = self._relaxation(A, getattr(x, "dtype", None))
        relaxation.sweep(x, b, self._omega, sweep=self._sweep, iterations=self._iterations)

    def forget(self) -> None:
        """Forget all matrices, so that they are checked and copied anew."""
        self._kept.clear()

    def _relaxation(self, A: Any, dtype: Any) -> Relaxation:
        if isinstance(A, Relaxation):
            return A
        parts = () if isinstance(A, np.ndarray) else ("data", "indices", "indptr")
        arrays = tuple(getattr(A, part, None) for part in parts)
        kept = self._kept.get(id(A))
        if kept is not None and kept[0]() is A and kept[2].dtype == dtype and all(map(operator.is_, kept[1], arrays)):
            return kept[2]
        relaxation = Relaxation(A, order=self._order, blocksize=self._blocksize, dtype=dtype)
        key, all_kept = id(A), self._kept
        try:
            reference = weakref.ref(A, lambda _: all_kept.pop(key, None))
        except TypeError:  # lists live no longer than their call
            return relaxation
        self._kept[key] = (reference, arrays, relaxation)
        return relaxation

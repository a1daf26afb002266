"""Adapters that add a product of thin factors to a weight."""

from __future__ import annotations

import abc

import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum.lowrank._apply import apply
from sorgum.lowrank._grad import ApplyGrad, apply_grad
from sorgum.lowrank._merge import merge
from sorgum.lowrank._operands import as_matrix
from sorgum.lowrank._unmerge import unmerge
from sorgum.lowrank.adapters._adapter import Adapter, Gradient, parameter_of, rows_of, scale_of, weight_of

__all__ = ["Factored", "TwoFactors"]


class Factored(Adapter):
    """An adapter that adds scale * B diag(mid) A: derived classes say what A, B and mid are at the moment."""

    @abc.abstractmethod
    def _current(self) -> tuple[Array, Array, Array | None]:
        """Return A of shape (rank, in, ...), B of shape (out, rank), and mid of shape (rank,) or None."""

    @abc.abstractmethod
    def _gradients(self, found: ApplyGrad) -> dict[str, Array]:
        """Return the gradients with respect to the parameters, from those with respect to A, B and mid as matrices."""

    @property
    def factors(self) -> tuple[Array, Array, float]:
        """A of shape (rank, in), B and the scale, as `AdapterSet`, `combine` and `merge` take them."""
        A, B, mid = self._current()
        return A, B if mid is None else B * mid, self.scale

    def forward(self, x: npt.ArrayLike, *, base: npt.ArrayLike | None = None, out: Array | None = None) -> Array:
        """Return what the adapter adds to a layer, without a matrix of the size of the layer.

        Parameters
        ----------
        x : array_like of shape (..., in), or (..., in, k1, ...) for convolutions
            float16, bfloat16, float32 or float64, or bool and integers, which become float64.
        base : array_like of shape (..., out), optional
            What is added to, of the type of `x`: the output of the layer, x W^T with `weight` as W.
        out : ndarray, optional
            Where to write: shape (..., out) and the type of `x`; may be `base` itself.

        Returns
        -------
        ndarray of shape (..., out)
            Of the type of `x`.

        Raises
        ------
        TypeError, ValueError
            As `sorgum.lowrank.apply`, whose bits and bound the result has.
        """
        rows, _ = rows_of("forward", x, self.weight)
        A, B, mid = self._current()
        return apply(rows, as_matrix(A), B, scale=self.scale, mid=mid, base=base, out=out)

    def grad(self, x: npt.ArrayLike, dy: npt.ArrayLike) -> Gradient:
        """Return the gradients of `forward`.

        Parameters
        ----------
        x : array_like
            As `forward` takes it.
        dy : array_like of shape (..., out)
            The gradient with respect to the result.

        Returns
        -------
        Gradient
            With respect to `x`, through the adapter alone, and to the parameters by their names.

        Raises
        ------
        TypeError, ValueError
            As `sorgum.lowrank.apply_grad`, of which the gradients are made.
        """
        rows, shape = rows_of("grad", x, self.weight)
        A, B, mid = self._current()
        found = apply_grad(rows, as_matrix(A), B, dy=dy, scale=self.scale, mid=mid)
        return Gradient(found.x.reshape(shape), self._gradients(found))

    def merge(self, W: npt.ArrayLike | None = None, *, out: Array | None = None) -> Array:
        """Return one weight that does what the layer and its adapter do.

        Parameters
        ----------
        W : array_like, optional
            The weight to merge into; by default `weight`.
        out : ndarray, optional
            Where to write: the shape of the weight and its dtype; may be the weight itself.

        Returns
        -------
        ndarray
            Of the shape and type of the weight.

        Raises
        ------
        TypeError, ValueError
            As `sorgum.lowrank.merge`, whose bits and bound the result has.
        """
        A, B, scale = self.factors
        return merge(self.weight if W is None else W, A, B, scale=scale, out=out)

    def unmerge(self, W: npt.ArrayLike, *, base: npt.ArrayLike | None = None, out: Array | None = None) -> Array:
        """Return a merged weight without the adapter.

        Parameters
        ----------
        W : array_like
            The merged weight.
        base : array_like, optional
            The weight before it was merged, which is merged again for comparison: the result has its bits. Without it
            the change is subtracted, and the roundings of both ways remain.
        out : ndarray, optional
            Where to write: the shape of `W` and the dtype of the result; may be `W` itself.

        Returns
        -------
        ndarray
            Of the shape and type of `W`.

        Raises
        ------
        TypeError, ValueError
            As `sorgum.lowrank.unmerge`, whose bits and bound the result has.
        """
        A, B, scale = self.factors
        return unmerge(W, A, B, scale=scale, base=base, out=out)


def checked_factors(function: str, weight: npt.ArrayLike, A: npt.ArrayLike, B: npt.ArrayLike) -> tuple[Array, ...]:
    """Return a weight and copies of factors that fit it."""
    w = weight_of(function, "weight", weight)
    a = parameter_of(function, "A", A, ("rank", *w.shape[1:]))
    return w, a, parameter_of(function, "B", B, (w.shape[0], a.shape[0]))


class TwoFactors(Factored):
    """An adapter that adds scale * B A and trains both."""

    def __init__(self, weight: npt.ArrayLike, A: npt.ArrayLike, B: npt.ArrayLike, *, scale: float = 1.0) -> None:
        """Copy the factors."""
        w, a, b = checked_factors("init", weight, A, B)
        super().__init__(w, {"A": a, "B": b}, scale_of("init", scale))

    def _current(self) -> tuple[Array, Array, None]:
        return self.parameters["A"], self.parameters["B"], None

    def _gradients(self, found: ApplyGrad) -> dict[str, Array]:
        return {"A": found.A.reshape(self.parameters["A"].shape), "B": found.B}

"""An adapter that multiplies a weight."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, floats_of
from sorgum._arguments.halves import rounded_to, widened
from sorgum._arguments.results import result_for
from sorgum._core import lowrank as compiled
from sorgum.lowrank._merge import merge
from sorgum.lowrank._operands import as_matrix, is_wide, rows_of_base
from sorgum.lowrank._products import add_product, product
from sorgum.lowrank._unmerge import unmerge
from sorgum.lowrank.adapters._adapter import (
    Adapter,
    Gradient,
    computed_in,
    rank_of,
    rows_of,
    scale_of,
    weight_of,
)
from sorgum.lowrank.adapters._factored import checked_factors
from sorgum.lowrank.adapters._random import centred
from sorgum.random import Key
from sorgum.random._keys import Rng, key_of

__all__ = ["HiRA"]

_TILE = 1 << 18  # elements of the weight whose change is formed at a time


class HiRA(Adapter):
    """W (1 + scale * B A), element by element: a change of as high a rank as the weight has.

    Parameters
    ----------
    weight : array_like of shape (out, in), or (out, in, ...) for convolutions
        The weight beside the adapter, W.
    A : array_like of shape (rank, in), or (rank, in, ...)
    B : array_like of shape (out, rank)
        The parameters, which are copied.
    scale : float, optional
        What the change is multiplied by.

    Raises
    ------
    TypeError
        If a dtype is none of those of `sorgum.lowrank.merge`.
    ValueError
        If shapes do not fit, or `scale` is not finite.

    Notes
    -----
    forward: y = base + scale x (W o BA)^T, where o multiplies element by element. With base = x W^T these are two
    products of the size of the layer. Where `base` is not needed by itself, ``x @ adapter.merge().T`` is one product.
    Parameters: rank (in + out). W o BA is formed for about 2^18 elements at a time. Every product is a sum in the order
    of docs/numerics/linalg.md; dA and dx add the products of such tiles in their order.

    Bound of forward: u |y| + (d + rank + 4) u |scale| |x| (|W| o |B| |A|)^T with d = min(in, 512) + log2(in / 512) + 1
    and u = 2^-24 or 2^-53, and half a ULP of a half type.

    Huang et al. 2025, "HiRA: Parameter-Efficient Hadamard High-Rank Adaptation for Large Language Models"; A and B
    begin as those of LoRA. Tier: bitwise, `init` too.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> adapter = sg.lowrank.adapters.HiRA(np.eye(2), [[1.0, 2.0]], [[1.0], [3.0]], scale=0.5)
    >>> adapter.merge()
    array([[1.5, 0. ],
           [0. , 4. ]])
    >>> adapter.forward([1.0, 1.0])
    array([0.5, 3. ])
    """

    def __init__(self, weight: npt.ArrayLike, A: npt.ArrayLike, B: npt.ArrayLike, *, scale: float = 1.0) -> None:
        """Copy the factors."""
        w, a, b = checked_factors("init", weight, A, B)
        super().__init__(w, {"A": a, "B": b}, scale_of("init", scale))

    @classmethod
    def init(cls, W: npt.ArrayLike, rank: int, *, scale: float = 1.0, rng: Rng = 0) -> Self:
        """Return an adapter that changes nothing yet: B is 0, A uniform.

        Parameters
        ----------
        W : array_like of shape (out, in), or (out, in, ...)
            The weight; it is neither copied nor read.
        rank : int
            1 to the smaller dimension.
        scale : float, optional
            What the change is multiplied by.
        rng : Key, int or numpy.random.Generator, optional
            What A is drawn with, as `LoRA.init` draws it.

        Returns
        -------
        HiRA

        Raises
        ------
        TypeError, ValueError
            If a dtype, the shape of `W`, `rank` or `scale` is none of the above.
        """
        weight = weight_of("init", "W", W)
        r, factor = rank_of("init", rank, weight), scale_of("init", scale)
        dtype = computed_in(weight)
        A = centred((r, *weight.shape[1:]), Key(key_of("init", rng)), dtype, 1 / math.sqrt(weight[0].size))
        return cls(weight, A, np.zeros((weight.shape[0], r), dtype), scale=factor)

    def forward(self, x: npt.ArrayLike, *, base: npt.ArrayLike | None = None, out: Array | None = None) -> Array:
        """Return what the adapter adds to a layer.

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
        TypeError
            If a dtype is none of the above.
        ValueError
            If shapes do not fit, or `out` cannot be written.
        """
        rows, _ = rows_of("forward", x, self.weight)
        shape = (*rows.shape[:-1], self.weight.shape[0])
        added = rows_of_base("forward", base, rows, shape, out)
        result = result_for("forward", out, shape, rows.dtype)
        if result is out:
            compiled.check_out("forward", result, list(shape), rows)
        flat, dtype = as_matrix(rows, rows.ndim - 1), self._computed(rows)
        y = np.zeros((flat.shape[0], shape[-1]), dtype) if added is None else np.array(widened(added), dtype, order="C")
        for where, change, _ in self._tiles(dtype):
            add_product(y[:, where], flat, change.T, self.scale)
        result[...] = rounded_to(y.reshape(shape), rows.dtype)
        return result

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
            With respect to `x`, through the adapter alone, and to A and B.

        Raises
        ------
        TypeError
            If a dtype is none that `forward` takes.
        ValueError
            If shapes do not fit.

        Notes
        -----
        With P = (dy^T x) o W: dA = scale B^T P, dB = scale P A^T, dx = scale dy (W o BA).
        """
        rows, shape = rows_of("grad", x, self.weight)
        upper = floats_of("grad", "dy", dy)
        if upper.shape != (*rows.shape[:-1], self.weight.shape[0]):
            raise ValueError(
                f"grad: dy must have shape (..., out) with x of shape {shape} and weight of shape "
                f"{self.weight.shape}, got {upper.shape}"
            )
        dtype = self._computed(rows, upper)
        x2, dy2 = as_matrix(rows, rows.ndim - 1), as_matrix(upper, upper.ndim - 1)
        A, B = as_matrix(self.parameters["A"]), self.parameters["B"]
        dx, dA, dB = np.zeros(x2.shape, dtype), np.zeros(A.shape, dtype), np.zeros(B.shape, dtype)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for where, change, weight in self._tiles(dtype):
                part = product(dy2[:, where].T, x2, 1.0, dtype) * weight
                add_product(dB[where], part, A.T, self.scale)
                add_product(dA, B[where].T, part, self.scale)
                add_product(dx, dy2[:, where], change, self.scale)
        a, b = self.parameters["A"], self.parameters["B"]
        parameters = {"A": rounded_to(dA, a.dtype).reshape(a.shape), "B": rounded_to(dB, b.dtype)}
        return Gradient(rounded_to(dx, rows.dtype).reshape(shape), parameters)

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
        A, B = self.parameters["A"], self.parameters["B"]
        return merge(self.weight if W is None else W, A, B, scale=self.scale, form="hadamard", out=out)

    def unmerge(self, W: npt.ArrayLike, *, base: npt.ArrayLike | None = None, out: Array | None = None) -> Array:
        """Return a merged weight without the adapter: `base`, whose product is compared with it.

        Parameters
        ----------
        W : array_like
            The merged weight.
        base : array_like
            The weight before it was merged, which is merged again for comparison: the result has its bits.
        out : ndarray, optional
            Where to write: the shape of `W` and the dtype of the result; may be `W` itself.

        Returns
        -------
        ndarray
            Of the shape and type of `W`.

        Raises
        ------
        TypeError, ValueError
            As `sorgum.lowrank.unmerge`.
        """
        A, B = self.parameters["A"], self.parameters["B"]
        return unmerge(W, A, B, scale=self.scale, form="hadamard", base=base, out=out)

    def _computed(self, *arrays: Array) -> np.dtype[Any]:
        wide = is_wide(*arrays, self.weight, *self.parameters.values())
        return np.dtype(np.float64 if wide else np.float32)

    def _tiles(self, dtype: np.dtype[Any]) -> Iterator[tuple[slice, Array, Array]]:
        """Return outputs, W o BA and W for them, in the type that is computed in."""
        weight, A, B = as_matrix(self.weight), as_matrix(self.parameters["A"]), self.parameters["B"]
        step = max(1, _TILE // weight.shape[1])
        for start in range(0, weight.shape[0], step):
            where = slice(start, min(start + step, weight.shape[0]))
            part = widened(weight[where]).astype(dtype, copy=False)
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                yield where, product(B[where], A, 1.0, dtype) * part, part

"""An adapter whose change is a Tucker tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum.interop.arrays import kind_of
from sorgum.lowrank import ApplyGrad
from sorgum.lowrank._products import product
from sorgum.lowrank.adapters._adapter import computed_in, parameter_of, scale_of, weight_of
from sorgum.lowrank.adapters._factored import Factored
from sorgum.random import Key, fold_in, normal
from sorgum.random._keys import Rng, key_of
from sorgum.tucker._modes import Ranks, ranks_of
from sorgum.tucker._multi_mode_dot import multi_mode_dot

__all__ = ["FLoRA"]


class FLoRA(Factored):
    """W + scale * core x_0 F0 x_1 F1 x_2 F2 ...: a core and a factor for each axis of the weight are trained.

    Parameters
    ----------
    weight : array_like of shape (out, in), or (out, in, k1, ...) for convolutions
        The weight beside the adapter, W.
    core : array_like of shape (r0, r1, ...)
    factors : sequence of array_like of shapes (out, r0), (in, r1), (k1, r2), ...
        The parameters, which are copied: "core", and "F0", "F1", ... in the order of the axes of the weight.
    scale : float, optional
        What the change is multiplied by, as it is: no rank divides it.

    Raises
    ------
    TypeError
        If a dtype is none of those of `sorgum.lowrank.merge`.
    ValueError
        If shapes do not fit, or `scale` is not finite.

    Notes
    -----
    A = core x_1 F1 x_2 F2 ..., of shape (r0, in, k1, ...), and B = F0 are an adapter of rank r0: forward, merge and
    gradients are those of `LoRA`, and no array of the size of the weight is formed. From its dA and dB: dF0 = dB,
    dcore = dA x_1 F1^T x_2 F2^T ..., and dF_i is dA times core x_j F_j, j neither 0 nor i, summed over all axes but i.
    Parameters: r0 r1 ... + out r0 + in r1 + k1 r2 + ... Products along axes are those of `multi_mode_dot`.

    Si et al. 2024, "FLoRA: Low-Rank Core Space for N-dimension". Its code has the inputs before the outputs, and forms
    the change in every call. Tier: bitwise, `init` too.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> W = np.zeros((8, 6, 3, 3), np.float32)  # of a convolution
    >>> adapter = sg.tucker.FLoRA.init(W, (4, 4, 2, 2), scale=4.0)
    >>> adapter
    FLoRA(shape=(8, 6, 3, 3), count=132, scale=4.0)
    >>> np.array_equal(adapter.merge(), W)
    True
    >>> adapter.parameters["core"] += 1
    >>> patches = np.ones((10, 6, 3, 3), np.float32)  # what the kernel sees at ten places
    >>> y = adapter.forward(patches)
    >>> np.allclose(y, np.tensordot(patches, adapter.merge(), ((1, 2, 3), (1, 2, 3))), rtol=1e-4)
    True
    """

    def __init__(
        self, weight: npt.ArrayLike, core: npt.ArrayLike, factors: Sequence[npt.ArrayLike], *, scale: float = 1.0
    ) -> None:
        """Copy core and factors."""
        w = weight_of("init", "weight", weight)
        middle = parameter_of("init", "core", core, tuple(f"r{i}" for i in range(w.ndim)))
        if not isinstance(factors, list | tuple):
            raise TypeError(f"init: factors must be a sequence of arrays, got {kind_of(factors)}")
        if len(factors) != w.ndim:
            raise ValueError(f"init: factors must be as many as the axes of weight, {w.ndim}, got {len(factors)}")
        parameters = {"core": middle}
        for i, (factor, n, r) in enumerate(zip(factors, w.shape, middle.shape, strict=True)):
            parameters[f"F{i}"] = parameter_of("init", f"factors[{i}]", factor, (n, r))
        super().__init__(w, parameters, scale_of("init", scale))

    @classmethod
    def init(cls, W: npt.ArrayLike, rank: Ranks, *, scale: float = 1.0, rng: Rng = 0) -> Self:
        """Return an adapter that changes nothing yet: the core is 0, factors are normal.

        Parameters
        ----------
        W : array_like of shape (out, in), or (out, in, k1, ...)
            The weight; it is neither copied nor read.
        rank : int or sequence of int or None
            One for each axis of the weight, from 1 to its length, which None stands for; an int is that of all axes.
        scale : float, optional
            What the change is multiplied by.
        rng : Key, int or numpy.random.Generator, optional
            What factors are drawn with: standard deviation 1 / sqrt(2 r), r the rank of the axis.

        Returns
        -------
        FLoRA

        Raises
        ------
        TypeError, ValueError
            If a dtype, the shape of `W`, `rank` or `scale` is none of the above.
        """
        weight = weight_of("init", "W", W)
        given = ranks_of("init", rank, weight.shape, tuple(range(weight.ndim)))
        ranks, factor = [given.get(i, n) for i, n in enumerate(weight.shape)], scale_of("init", scale)
        dtype, key = computed_in(weight), Key(key_of("init", rng))
        factors = []
        for i, (n, r) in enumerate(zip(weight.shape, ranks, strict=True)):
            numbers = np.asarray(normal((n, r), rng=fold_in(key, i), dtype=dtype))
            numbers *= 1 / math.sqrt(2 * r)
            factors.append(numbers)
        return cls(weight, np.zeros(tuple(ranks), dtype), factors, scale=factor)

    def _current(self) -> tuple[Array, Array, None]:
        return _expanded(self.parameters), self.parameters["F0"], None

    def _gradients(self, found: ApplyGrad) -> dict[str, Array]:
        core = self.parameters["core"]
        dA = found.A.reshape(core.shape[0], *self.weight.shape[1:])
        modes = range(1, core.ndim)
        factors = [self.parameters[f"F{i}"] for i in modes]
        gradients = {"core": multi_mode_dot(dA, factors, list(modes), transpose=True), "F0": found.B}
        for i in modes:
            others = _expanded(self.parameters, i)
            left, right = (np.moveaxis(one, i, 0).reshape(one.shape[i], -1) for one in (dA, others))
            gradients[f"F{i}"] = product(left, right.T, 1.0, np.result_type(left, right))
        return {name: gradients[name].astype(value.dtype, copy=False) for name, value in self.parameters.items()}


def _expanded(parameters: Mapping[str, Array], left_out: int | None = None) -> Array:
    """Return the core times all factors but the first one and one that is left out."""
    modes = [i for i in range(1, parameters["core"].ndim) if i != left_out]
    result: Array = multi_mode_dot(parameters["core"], [parameters[f"F{i}"] for i in modes], modes)
    return result

"""The adapter that others are variants of."""

from __future__ import annotations

import math
from typing import Self

import numpy as np
import numpy.typing as npt

from sorgum.lowrank.adapters._adapter import computed_in, rank_of, scale_of, weight_of
from sorgum.lowrank.adapters._factored import TwoFactors
from sorgum.lowrank.adapters._random import centred
from sorgum.random import Key
from sorgum.random._keys import Rng, key_of

__all__ = ["LoRA"]


class LoRA(TwoFactors):
    """W + scale * B A: two thin factors are trained, which start from no change.

    Parameters
    ----------
    weight : array_like of shape (out, in), or (out, in, ...) for convolutions
        The weight beside the adapter, W.
    A : array_like of shape (rank, in), or (rank, in, ...)
    B : array_like of shape (out, rank)
        The parameters, which are copied.
    scale : float, optional
        alpha / rank, or alpha / sqrt(rank) for rsLoRA.

    Raises
    ------
    TypeError
        If a dtype is none of those of `sorgum.lowrank.merge`.
    ValueError
        If shapes do not fit, or `scale` is not finite.

    Notes
    -----
    forward: y = base + scale (x A^T) B^T. Parameters: rank (in + out). Hu et al. 2022, "LoRA: Low-Rank Adaptation of
    Large Language Models", section 4.1; the distribution of A is that of its code and of PEFT, not a normal one. Tier:
    bitwise, `init` too.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> adapter = sg.lowrank.adapters.LoRA.init(np.eye(4, 3, dtype=np.float32), 2)
    >>> adapter.parameters["B"][...] = [[1, 0], [0, 1], [0, 0], [1, 1]]
    >>> x = np.float32([[1.0, 2.0, 3.0]])
    >>> y = adapter.forward(x, base=x @ adapter.weight.T)
    >>> np.allclose(y, x @ adapter.merge().T)
    True
    >>> adapter.grad(x, np.ones_like(y)).parameters["A"]
    array([[2., 4., 6.],
           [2., 4., 6.]], dtype=float32)
    """

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
            alpha / rank, or alpha / sqrt(rank) for rsLoRA.
        rng : Key, int or numpy.random.Generator, optional
            What A is drawn with, between -1 / sqrt(in) and 1 / sqrt(in) (Kaiming's uniform distribution, a = sqrt(5)).

        Returns
        -------
        LoRA

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

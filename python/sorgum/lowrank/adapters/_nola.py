"""An adapter whose factors are sums of random matrices."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum._arguments.scalars import int_of
from sorgum._core import lowrank as compiled
from sorgum.interop.arrays import shown
from sorgum.lowrank._grad import ApplyGrad
from sorgum.lowrank.adapters._adapter import computed_in, parameter_of, rank_of, scale_of, weight_of
from sorgum.lowrank.adapters._factored import Factored
from sorgum.lowrank.adapters._random import centred
from sorgum.random import Key, fold_in
from sorgum.random._keys import Rng, key_of

__all__ = ["NOLA"]

_MOST_BASES = 2**31
_BASES_OF_A, _BASES_OF_B, _FIRST_A = 0, 1, 2  # what is folded into the key


class NOLA(Factored):
    """W + scale * B A, both sums of random matrices that are never stored: only what they are multiplied by is trained.

    Parameters
    ----------
    weight : array_like of shape (out, in), or (out, in, ...) for convolutions
        The weight beside the adapter, W.
    rank : int
        The rows of A and the columns of B.
    a, b : array_like of shape (bases,)
        The parameters, which are copied: float32 or float64, the same for both.
    scale : float, optional
        alpha / rank.
    rng : Key, int or numpy.random.Generator, optional
        What random matrices are made with: the same key, the same adapter.

    Attributes
    ----------
    key : Key
        What has to be kept with `a` and `b`.
    rank : int

    Raises
    ------
    TypeError
        If a dtype is none of those of `sorgum.lowrank.merge`.
    ValueError
        If shapes do not fit, `rank` is not positive, or `scale` is not finite.

    Notes
    -----
    A = A_0 + sum_i a_i A_i / sqrt(bases), B = sum_i b_i B_i / sqrt(bases). The elements of A_i and B_i are uniform
    between -1 and 1: 2 v - 1 for the numbers v of ``sorgum.random.uniform((bases, size), rng=fold_in(key, 0),
    dtype=float64, bits=32)`` for A, element by element in C order, with 1 for B, rounded to the type that is computed
    in. A_0 is what `LoRA` begins with, from ``fold_in(key, 2)``, and stays. So a = b = 0 is no change, and the
    gradient with respect to b, <dB, B_i> / sqrt(bases), is not 0 there. forward: y = base + scale (x A^T) B^T.
    Parameters: 2 bases, whatever the size of W.

    A and B are made again whenever `a` or `b` changed since the last call, one number at a time: bases rank (in + out)
    numbers, as many for a gradient, in about the time that `sorgum.random.uniform` takes. Bound of an element
    of A: (bases + 2) u (|A_0| + sum |a_i| / sqrt(bases)), u = 2^-24 or 2^-53, and 2^-23 of the sum for float32.

    Koohpayegani et al. 2024, "NOLA: Compressing LoRA using Linear Combination of Random Basis", section 3.1, and A_0 as
    its code for GPT-2 and LLaMA has it. Tier: bitwise, `init` too.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> W = np.ones((64, 48), np.float32)
    >>> adapter = sg.lowrank.adapters.NOLA.init(W, 4, bases=10, rng=7)
    >>> adapter.count, np.array_equal(adapter.merge(), W)
    (20, True)
    >>> adapter.parameters["b"][3] = 1.0
    >>> again = sg.lowrank.adapters.NOLA(W, 4, adapter.parameters["a"], adapter.parameters["b"], rng=adapter.key)
    >>> np.array_equal(again.merge(), adapter.merge()), np.array_equal(again.merge(), W)
    (True, False)
    """

    def __init__(
        self,
        weight: npt.ArrayLike,
        rank: int,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        *,
        scale: float = 1.0,
        rng: Rng = 0,
    ) -> None:
        """Copy the parameters."""
        w = weight_of("init", "weight", weight)
        self.rank = rank_of("init", rank, w)
        dtype = computed_in(w)
        coefficients = [parameter_of("init", name, value, ("bases",)) for name, value in (("a", a), ("b", b))]
        for name, value in zip("ab", coefficients, strict=True):
            if value.size >= _MOST_BASES:
                raise ValueError(f"init: {name} must have fewer than 2**31 elements, got {value.size}")
        factor = scale_of("init", scale)
        self.key = Key(key_of("init", rng))
        parameters = {name: value.astype(dtype) for name, value in zip("ab", coefficients, strict=True)}
        super().__init__(w, parameters, factor)
        self._made: dict[str, tuple[bytes, Array]] = {}

    @classmethod
    def init(cls, W: npt.ArrayLike, rank: int, *, bases: int = 512, scale: float = 1.0, rng: Rng = 0) -> Self:
        """Return an adapter that changes nothing yet: a and b are 0.

        Parameters
        ----------
        W : array_like of shape (out, in), or (out, in, ...)
            The weight; it is neither copied nor read.
        rank : int
            1 to the smaller dimension.
        bases : int, optional
            How many random matrices A is a sum of, and as many B.
        scale : float, optional
            alpha / rank.
        rng : Key, int or numpy.random.Generator, optional
            What random matrices are made with.

        Returns
        -------
        NOLA

        Raises
        ------
        TypeError, ValueError
            If a dtype, the shape of `W`, `rank`, `bases` or `scale` is none of the above.
        """
        weight = weight_of("init", "W", W)
        r, count, factor = rank_of("init", rank, weight), int_of("init", "bases", bases), scale_of("init", scale)
        if not 1 <= count < _MOST_BASES:
            raise ValueError(f"init: bases must be in [1, 2**31), got {shown(count)}")
        none = np.zeros(count, computed_in(weight))
        return cls(weight, r, none, none, scale=factor, rng=rng)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is made again."""
        return {**self.__dict__, "_made": {}}

    def _current(self) -> tuple[Array, Array, None]:
        return self._factor("a"), self._factor("b"), None

    def _factor(self, name: str) -> Array:
        """Return A or B for the present coefficients."""
        coefficients = self.parameters[name]
        known, made = coefficients.tobytes(), self._made
        if name not in made or made[name][0] != known:
            made[name] = known, self._sum(name, coefficients)
        return made[name][1]

    def _sum(self, name: str, coefficients: Array) -> Array:
        shape, dtype = (self.rank, *self.weight.shape[1:]), coefficients.dtype
        if name == "a":
            limit = 1 / math.sqrt(self.weight[0].size)
            out = centred(shape, fold_in(self.key, _FIRST_A), dtype, limit)
        else:
            out = np.zeros((self.weight.shape[0], self.rank), dtype)
        compiled.basis_add(self._key_of(name), coefficients * _share(coefficients), out.reshape(-1))
        return out

    def _gradients(self, found: ApplyGrad) -> dict[str, Array]:
        return {"a": self._dots("a", found.A), "b": self._dots("b", found.B)}

    def _dots(self, name: str, gradient: Array) -> Array:
        coefficients = self.parameters[name]
        out = np.empty_like(coefficients)
        compiled.basis_dots(self._key_of(name), np.ascontiguousarray(gradient).reshape(-1), out)
        out *= _share(coefficients)
        return out

    def _key_of(self, name: str) -> int:
        return fold_in(self.key, _BASES_OF_A if name == "a" else _BASES_OF_B).value


def _share(coefficients: Array) -> Any:
    """Return what a sum of so many matrices is multiplied by."""
    return coefficients.dtype.type(1 / math.sqrt(max(coefficients.size, 1)))

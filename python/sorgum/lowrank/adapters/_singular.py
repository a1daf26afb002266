"""Adapters that take over singular values of the weight."""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum._arguments.halves import widened
from sorgum.lowrank._grad import ApplyGrad
from sorgum.lowrank._merge import merge
from sorgum.lowrank._operands import as_matrix
from sorgum.lowrank._svd import truncated_svd
from sorgum.lowrank.adapters._adapter import computed_in, parameter_of, rank_of, scale_of, weight_of
from sorgum.lowrank.adapters._factored import Factored, TwoFactors
from sorgum.random._keys import Rng

__all__ = ["PiSSA", "SVFit", "SoMA"]


class _Parts(NamedTuple):
    """Some of the singular values of a weight, divided by the scale, with their vectors."""

    weight: Array
    u: Array
    s: Array
    vh: Array
    scale: float

    def without(self, A: Array, B: Array) -> Array:
        """Return what is left of the weight, rounded once."""
        return merge(self.weight, A, B, scale=-self.scale)

    def halves(self) -> tuple[Array, Array]:
        """Return A and B, each with the roots of the values."""
        roots = np.sqrt(self.s)
        A = (roots[:, None] * self.vh).reshape(-1, *self.weight.shape[1:])
        return A, self.u * roots


def _parts_of(W: npt.ArrayLike, rank: int, scale: float, rng: Rng, which: Literal["largest", "smallest"]) -> _Parts:
    weight = weight_of("init", "W", W)
    r, factor = rank_of("init", rank, weight), scale_of("init", scale)
    dtype = computed_in(weight)
    with np.errstate(over="ignore", under="ignore"):
        if not 0 < dtype.type(factor) < np.inf:
            raise ValueError(f"init: scale must be positive in {dtype}, got {factor}")
    wide = widened(as_matrix(weight))
    if not np.isfinite(wide).all():
        raise np.linalg.LinAlgError("init: W must be finite, got NaN or an infinity")
    u, s, vh = truncated_svd(wide, r, which=which, rng=rng)
    return _Parts(weight, u, s / dtype.type(factor), vh, factor)


class PiSSA(TwoFactors):
    """W - scale * B0 A0 + scale * B A: the leading singular values are trained, the others stay as they are.

    Parameters
    ----------
    weight : array_like of shape (out, in), or (out, in, ...) for convolutions
        The weight beside the adapter, W - scale * B0 A0.
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
    With the leading U, S and V^T of W: A0 = sqrt(S / scale) V^T, B0 = U sqrt(S / scale). forward: y = base + scale
    (x A^T) B^T with base = x weight^T. Parameters: rank (in + out). weight + scale * B0 A0 is W but for one rounding to
    the type of W and (rank + 1) u scale |B0| |A0|, u = 2^-24 or 2^-53. An adapter of twice the
    rank does the same beside W itself: ``combine([(A, B, scale), (A0, B0, -scale)], [1, 1])``.

    Meng, Wang and Zhang 2024, "PiSSA: Principal Singular Values and Singular Vectors Adaptation of Large Language
    Models", section 3. Tier: bitwise; `init` deterministic, as `truncated_svd`.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> W = np.diag([4.0, 3.0, 0.5])
    >>> adapter = sg.lowrank.adapters.PiSSA.init(W, 2)
    >>> abs(adapter.weight.round(6))
    array([[0. , 0. , 0. ],
           [0. , 0. , 0. ],
           [0. , 0. , 0.5]])
    >>> np.allclose(adapter.merge(), W)
    True
    """

    @classmethod
    def init(cls, W: npt.ArrayLike, rank: int, *, scale: float = 1.0, rng: Rng = 0) -> Self:
        """Return an adapter that holds the leading singular values, beside what is left of the weight.

        Parameters
        ----------
        W : array_like of shape (out, in), or (out, in, ...)
            The weight; `weight` is a new array of its type.
        rank : int
            1 to the smaller dimension.
        scale : float, optional
            alpha / rank, or alpha / sqrt(rank) for rsLoRA: positive.
        rng : Key, int or numpy.random.Generator, optional
            As `sorgum.lowrank.truncated_svd` takes it.

        Returns
        -------
        PiSSA

        Raises
        ------
        TypeError, ValueError
            If a dtype, the shape of `W`, `rank` or `scale` is none of the above.
        numpy.linalg.LinAlgError
            If `W` has NaN or infinite elements.
        """
        parts = _parts_of(W, rank, scale, rng, "largest")
        A, B = parts.halves()
        return cls(parts.without(A, B), A, B, scale=parts.scale)


class SoMA(TwoFactors):
    """W - scale * B0 A0 + scale * B A: the last singular values are trained, the leading ones stay as they are.

    Parameters
    ----------
    weight : array_like of shape (out, in), or (out, in, ...) for convolutions
        The weight beside the adapter, W - scale * B0 A0.
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
    As `PiSSA`, with the last U, S and V^T of W, by LAPACK's full decomposition. Where S is 0, the rows of A and the
    columns of B begin as 0 and stay so: a weight that has not full rank is none for SoMA.

    Yun et al. 2024, "SoMA: Singular Value Decomposed Minor Components Adaptation for Domain Generalizable
    Representation Learning". Its code's default is a randomised decomposition, which gives the leading values instead:
    that is `PiSSA`. Tier: bitwise; `init` deterministic, as `truncated_svd`.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> W = np.diag([4.0, 3.0, 0.5])
    >>> adapter = sg.lowrank.adapters.SoMA.init(W, 1)
    >>> abs(adapter.weight.round(6))
    array([[4., 0., 0.],
           [0., 3., 0.],
           [0., 0., 0.]])
    >>> np.allclose(adapter.merge(), W)
    True
    """

    @classmethod
    def init(cls, W: npt.ArrayLike, rank: int, *, scale: float = 1.0, rng: Rng = 0) -> Self:
        """Return an adapter that holds the last singular values, beside what is left of the weight.

        Parameters
        ----------
        W : array_like of shape (out, in), or (out, in, ...)
            The weight; `weight` is a new array of its type.
        rank : int
            1 to the smaller dimension.
        scale : float, optional
            alpha / rank, or alpha / sqrt(rank) for rsLoRA: positive.
        rng : Key, int or numpy.random.Generator, optional
            Not used: nothing is random.

        Returns
        -------
        SoMA

        Raises
        ------
        TypeError, ValueError
            If a dtype, the shape of `W`, `rank` or `scale` is none of the above.
        numpy.linalg.LinAlgError
            If `W` has NaN or infinite elements.
        """
        parts = _parts_of(W, rank, scale, rng, "smallest")
        A, B = parts.halves()
        return cls(parts.without(A, B), A, B, scale=parts.scale)


class SVFit(Factored):
    """W - scale * U diag(S) V^T + scale * U diag(sigma) V^T: the leading singular values alone are trained.

    Parameters
    ----------
    weight : array_like of shape (out, in), or (out, in, ...) for convolutions
        The weight beside the adapter, W - scale * U diag(S) V^T.
    sigma : array_like of shape (rank,)
        The parameter, which is copied.
    U : array_like of shape (out, rank)
    Vh : array_like of shape (rank, in), or (rank, in, ...)
        The singular vectors, which are copied and stay as they are.
    scale : float, optional
        What the change is multiplied by.

    Attributes
    ----------
    U, Vh : ndarray
        The singular vectors.

    Raises
    ------
    TypeError
        If a dtype is none of those of `sorgum.lowrank.merge`.
    ValueError
        If shapes do not fit, or `scale` is not finite.

    Notes
    -----
    With the leading U, S and V^T of W, sigma begins as S / scale. forward: y = base + scale ((x V) sigma) U^T. The
    gradient with respect to sigma_i is scale sum_t (x V)_ti (dy U)_ti. Parameters: rank. weight + scale U diag(sigma)
    V^T is W at first, but for one rounding to the type of W and (rank + 2) u |U| S |V^T|, u = 2^-24 or 2^-53.

    Sun et al. 2024, "SVFit: Parameter-Efficient Fine-Tuning of Large Pre-Trained Models Using Singular Values", which
    takes a rank that holds 99 percent of the energy: ``len(sorgum.lowrank.truncated_svd(W, energy=0.99).s)``. Tier:
    bitwise; `init` deterministic, as `truncated_svd`.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> adapter = sg.lowrank.adapters.SVFit.init(np.diag([4.0, 3.0, 0.5]), 2)
    >>> adapter.parameters["sigma"].round(6)
    array([4., 3.])
    >>> adapter.parameters["sigma"] += 1
    >>> adapter.merge().diagonal().round(6)
    array([5. , 4. , 0.5])
    """

    def __init__(
        self,
        weight: npt.ArrayLike,
        sigma: npt.ArrayLike,
        U: npt.ArrayLike,
        Vh: npt.ArrayLike,
        *,
        scale: float = 1.0,
    ) -> None:
        """Copy the values and vectors."""
        w = weight_of("init", "weight", weight)
        values = parameter_of("init", "sigma", sigma, ("rank",))
        self.U = parameter_of("init", "U", U, (w.shape[0], values.size))
        self.Vh = parameter_of("init", "Vh", Vh, (values.size, *w.shape[1:]))
        super().__init__(w, {"sigma": values}, scale_of("init", scale))

    def _current(self) -> tuple[Array, Array, Array]:
        return self.Vh, self.U, self.parameters["sigma"]

    def _gradients(self, found: ApplyGrad) -> dict[str, Array]:
        assert found.mid is not None
        return {"sigma": found.mid}

    @classmethod
    def init(cls, W: npt.ArrayLike, rank: int, *, scale: float = 1.0, rng: Rng = 0) -> Self:
        """Return an adapter that holds the leading singular values, beside what is left of the weight.

        Parameters
        ----------
        W : array_like of shape (out, in), or (out, in, ...)
            The weight; `weight` is a new array of its type.
        rank : int
            1 to the smaller dimension.
        scale : float, optional
            What the change is multiplied by: positive.
        rng : Key, int or numpy.random.Generator, optional
            As `sorgum.lowrank.truncated_svd` takes it.

        Returns
        -------
        SVFit

        Raises
        ------
        TypeError, ValueError
            If a dtype, the shape of `W`, `rank` or `scale` is none of the above.
        numpy.linalg.LinAlgError
            If `W` has NaN or infinite elements.
        """
        parts = _parts_of(W, rank, scale, rng, "largest")
        Vh = parts.vh.reshape(-1, *parts.weight.shape[1:])
        return cls(parts.without(Vh, parts.u * parts.s), parts.s, parts.u, Vh, scale=parts.scale)

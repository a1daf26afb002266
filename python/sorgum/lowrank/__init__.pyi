"""The types of sorgum.lowrank, made from its sources by tools/make_stubs.py."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, overload

import numpy as np
import numpy.typing as npt

from sorgum.lowrank import adapters as adapters
from sorgum.lowrank import peft as peft
from sorgum.lowrank._adapters import AdapterSet as AdapterSet
from sorgum.lowrank._combine import Combined
from sorgum.lowrank._grad import ApplyGrad as ApplyGrad
from sorgum.lowrank._orthogonal import QR as QR
from sorgum.lowrank._orthogonal import Polar as Polar
from sorgum.lowrank._results import Factors as Factors
from sorgum.lowrank._results import TruncatedSVD as TruncatedSVD
from sorgum.random._keys import Rng

__all__ = [
    "QR",
    "AdapterSet",
    "ApplyGrad",
    "Factors",
    "Polar",
    "TruncatedSVD",
    "adapters",
    "apply",
    "apply_adapters",
    "apply_grad",
    "cholesky_qr",
    "combine",
    "extract",
    "merge",
    "peft",
    "polar",
    "range_finder",
    "small_svd",
    "truncated_svd",
    "unmerge",
]

class _SupportsDLPack(Protocol):
    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[Any, Any]: ...

_Array: TypeAlias = npt.NDArray[Any]
_Numbers: TypeAlias = npt.ArrayLike | _SupportsDLPack
_Plain: TypeAlias = npt.NDArray[Any] | np.generic | bool | int | float | Sequence[Any]
_A = TypeVar("_A", bound=_SupportsDLPack)
_Out = TypeVar("_Out", bound=_SupportsDLPack)

@overload
def apply(
    x: _Numbers,
    A: _Numbers,
    B: _Numbers,
    *,
    scale: float = 1.0,
    activation: Literal["relu", "silu"] | None = None,
    mid: _Numbers | None = None,
    gate: _Numbers | None = None,
    base: _Numbers | None = None,
    out: _Out,
) -> _Out: ...
@overload
def apply(
    x: _Plain,
    A: _Numbers,
    B: _Numbers,
    *,
    scale: float = 1.0,
    activation: Literal["relu", "silu"] | None = None,
    mid: _Numbers | None = None,
    gate: _Numbers | None = None,
    base: _Numbers | None = None,
    out: None = None,
) -> _Array: ...
@overload
def apply(
    x: _A,
    A: _Numbers,
    B: _Numbers,
    *,
    scale: float = 1.0,
    activation: Literal["relu", "silu"] | None = None,
    mid: _Numbers | None = None,
    gate: _Numbers | None = None,
    base: _Numbers | None = None,
    out: None = None,
) -> _A: ...
@overload
def apply_adapters(
    x: _Numbers, adapters: AdapterSet, ids: _Numbers, *, base: _Numbers | None = None, out: _Out
) -> _Out: ...
@overload
def apply_adapters(
    x: _Plain, adapters: AdapterSet, ids: _Numbers, *, base: _Numbers | None = None, out: None = None
) -> _Array: ...
@overload
def apply_adapters(
    x: _A, adapters: AdapterSet, ids: _Numbers, *, base: _Numbers | None = None, out: None = None
) -> _A: ...
def apply_grad(
    x: _Numbers,
    A: _Numbers,
    B: _Numbers,
    *,
    dy: _Numbers,
    scale: float = 1.0,
    activation: Literal["relu", "silu"] | None = None,
    mid: _Numbers | None = None,
    gate: _Numbers | None = None,
) -> ApplyGrad: ...
def cholesky_qr(a: _Numbers) -> QR: ...
def combine(
    adapters: Sequence[tuple[_Numbers, _Numbers, float]],
    weights: Sequence[float],
    *,
    rank: int | None = None,
    rtol: float | None = None,
) -> Combined: ...
def extract(
    W1: _Numbers,
    W0: _Numbers,
    *,
    rank: int | None = None,
    rtol: float | None = None,
    energy: float | None = None,
    rng: Rng = 0,
) -> Factors: ...
@overload
def merge(
    W: _Numbers,
    A: _Numbers,
    B: _Numbers,
    *,
    scale: float = 1.0,
    form: Literal["add", "hadamard"] = "add",
    mask: _Numbers | None = None,
    magnitude: _Numbers | None = None,
    fan_in_fan_out: bool = False,
    rounding: Literal["once", "peft"] = "once",
    check_finite: bool = True,
    out: _Out,
) -> _Out: ...
@overload
def merge(
    W: _Plain,
    A: _Numbers,
    B: _Numbers,
    *,
    scale: float = 1.0,
    form: Literal["add", "hadamard"] = "add",
    mask: _Numbers | None = None,
    magnitude: _Numbers | None = None,
    fan_in_fan_out: bool = False,
    rounding: Literal["once", "peft"] = "once",
    check_finite: bool = True,
    out: None = None,
) -> _Array: ...
@overload
def merge(
    W: _A,
    A: _Numbers,
    B: _Numbers,
    *,
    scale: float = 1.0,
    form: Literal["add", "hadamard"] = "add",
    mask: _Numbers | None = None,
    magnitude: _Numbers | None = None,
    fan_in_fan_out: bool = False,
    rounding: Literal["once", "peft"] = "once",
    check_finite: bool = True,
    out: None = None,
) -> _A: ...
def polar(a: _Numbers, *, side: Literal["right", "left"] = "right") -> Polar: ...
@overload
def range_finder(a: _Plain, size: int, *, n_iter: int | Literal["auto"] = "auto", rng: Rng = 0) -> _Array: ...
@overload
def range_finder(a: _A, size: int, *, n_iter: int | Literal["auto"] = "auto", rng: Rng = 0) -> _A: ...
def small_svd(a: _Numbers) -> TruncatedSVD: ...
def truncated_svd(
    a: _Numbers,
    rank: int | None = None,
    *,
    rtol: float | None = None,
    energy: float | None = None,
    which: Literal["largest", "smallest"] = "largest",
    method: Literal["auto", "krylov", "randomized", "gram", "exact"] = "auto",
    n_oversamples: int = 10,
    n_iter: int | Literal["auto"] = "auto",
    rng: Rng = 0,
) -> TruncatedSVD: ...
@overload
def unmerge(
    W: _Numbers,
    A: _Numbers,
    B: _Numbers,
    *,
    scale: float = 1.0,
    form: Literal["add", "hadamard"] = "add",
    mask: _Numbers | None = None,
    magnitude: _Numbers | None = None,
    fan_in_fan_out: bool = False,
    rounding: Literal["once", "peft"] = "once",
    base: _Numbers | None = None,
    check_finite: bool = True,
    out: _Out,
) -> _Out: ...
@overload
def unmerge(
    W: _Plain,
    A: _Numbers,
    B: _Numbers,
    *,
    scale: float = 1.0,
    form: Literal["add", "hadamard"] = "add",
    mask: _Numbers | None = None,
    magnitude: _Numbers | None = None,
    fan_in_fan_out: bool = False,
    rounding: Literal["once", "peft"] = "once",
    base: _Numbers | None = None,
    check_finite: bool = True,
    out: None = None,
) -> _Array: ...
@overload
def unmerge(
    W: _A,
    A: _Numbers,
    B: _Numbers,
    *,
    scale: float = 1.0,
    form: Literal["add", "hadamard"] = "add",
    mask: _Numbers | None = None,
    magnitude: _Numbers | None = None,
    fan_in_fan_out: bool = False,
    rounding: Literal["once", "peft"] = "once",
    base: _Numbers | None = None,
    check_finite: bool = True,
    out: None = None,
) -> _A: ...

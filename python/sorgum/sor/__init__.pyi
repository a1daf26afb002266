"""The types of sorgum.sor, made from its sources by tools/make_stubs.py."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar, overload

import numpy as np
import numpy.typing as npt

from sorgum.sor._chebcb import ChebCB as ChebCB
from sorgum.sor._policies import Adaptive as Adaptive
from sorgum.sor._policies import Fixed as Fixed
from sorgum.sor._policies import YoungModel as YoungModel
from sorgum.sor._policy import Policy as Policy
from sorgum.sor._relaxation import Relaxation as Relaxation
from sorgum.sor._sequence import SequenceResult as SequenceResult
from sorgum.sor._sequence import SequenceSolver as SequenceSolver
from sorgum.sor._smoother import smoother as smoother
from sorgum.sor._solve import SolveResult as SolveResult
from sorgum.sor._ssor_cg import SsorCgResult as SsorCgResult
from sorgum.sor._ssor_cg import SsorChebyshevResult as SsorChebyshevResult
from sorgum.sor._stencil_arguments import Sides
from sorgum.sor._tsallis import TsallisINF as TsallisINF
from sorgum.sor._tsallis import TsallisINFBins as TsallisINFBins

__all__ = [
    "SSOR",
    "Adaptive",
    "ChebCB",
    "Fixed",
    "Policy",
    "Relaxation",
    "SequenceResult",
    "SequenceSolver",
    "SolveResult",
    "SsorCgResult",
    "SsorChebyshevResult",
    "TsallisINF",
    "TsallisINFBins",
    "YoungModel",
    "residual_norm",
    "smoother",
    "sor",
    "sor_batch",
    "sor_result",
    "sor_stencil",
    "ssor_cg",
    "ssor_cg_result",
    "ssor_chebyshev",
    "ssor_chebyshev_result",
    "stencil_coefficients",
]

class _SupportsDLPack(Protocol):
    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[Any, Any]: ...

_Array: TypeAlias = npt.NDArray[Any]
_Numbers: TypeAlias = npt.ArrayLike | _SupportsDLPack
_Plain: TypeAlias = npt.NDArray[Any] | np.generic | bool | int | float | Sequence[Any]
_A = TypeVar("_A", bound=_SupportsDLPack)
_Out = TypeVar("_Out", bound=_SupportsDLPack)

def SSOR(A: Any, omega: float = 1.0, *, order: str = "natural", blocksize: int | None = 1) -> Any: ...
def residual_norm(A: Any, x: _Numbers, b: _Numbers) -> float: ...
def sor(
    A: Any,
    b: _Numbers,
    x0: _Numbers | None = None,
    *,
    omega: float | str = "adaptive",
    rtol: float = 1e-05,
    atol: float = 0.0,
    maxiter: int | None = None,
    sweep: str = "forward",
    order: str = "natural",
    blocksize: int | None = 1,
    bounds: tuple[_Numbers | None, _Numbers | None] | None = None,
    nullspace: str | _Numbers | None = None,
    callback: Callable[[_Array], Any] | None = None,
    progress: bool = False,
) -> tuple[_Array, Any]: ...
def sor_batch(
    A: Any,
    b: _Numbers,
    x0: _Numbers | None = None,
    *,
    data: _Numbers | None = None,
    shift: _Numbers | None = None,
    omega: str | _Numbers = "adaptive",
    rtol: float = 1e-05,
    atol: float = 0.0,
    maxiter: int | None = None,
) -> tuple[_Array, npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...
def sor_result(
    A: Any,
    b: _Numbers,
    x0: _Numbers | None = None,
    *,
    omega: float | str = "adaptive",
    rtol: float = 1e-05,
    atol: float = 0.0,
    maxiter: int | None = None,
    sweep: str = "forward",
    order: str = "natural",
    blocksize: int | None = 1,
    bounds: tuple[_Numbers | None, _Numbers | None] | None = None,
    nullspace: str | _Numbers | None = None,
    callback: Callable[[_Array], Any] | None = None,
    progress: bool = False,
) -> SolveResult: ...
def sor_stencil(
    u: _Array,
    f: _Numbers,
    coefficients: _Numbers,
    *,
    mask: _Numbers | None = None,
    fixed: _Numbers | None = None,
    boundary: Sides | tuple[Sides, ...] = "dirichlet",
    omega: float | str = 1.0,
    sweeps: int | None = None,
    order: str = "red_black",
    bounds: tuple[_Numbers | None, _Numbers | None] | None = None,
    rtol: float | None = None,
) -> int: ...
def ssor_cg(
    A: Any,
    b: _Numbers,
    x0: _Numbers | None = None,
    *,
    omega: float | str = "adaptive",
    rtol: float = 1e-05,
    atol: float = 0.0,
    maxiter: int | None = None,
    callback: Callable[[_Array], Any] | None = None,
    progress: bool = False,
) -> tuple[_Array, Any]: ...
def ssor_cg_result(
    A: Any,
    b: _Numbers,
    x0: _Numbers | None = None,
    *,
    omega: float | str = "adaptive",
    rtol: float = 1e-05,
    atol: float = 0.0,
    maxiter: int | None = None,
    callback: Callable[[_Array], Any] | None = None,
    progress: bool = False,
) -> SsorCgResult: ...
def ssor_chebyshev(
    A: Any,
    b: _Numbers,
    x0: _Numbers | None = None,
    *,
    omega: float | str = "adaptive",
    rtol: float = 1e-05,
    atol: float = 0.0,
    maxiter: int | None = None,
    callback: Callable[[_Array], Any] | None = None,
    progress: bool = False,
) -> tuple[_Array, Any]: ...
def ssor_chebyshev_result(
    A: Any,
    b: _Numbers,
    x0: _Numbers | None = None,
    *,
    omega: float | str = "adaptive",
    rtol: float = 1e-05,
    atol: float = 0.0,
    maxiter: int | None = None,
    callback: Callable[[_Array], Any] | None = None,
    progress: bool = False,
) -> SsorChebyshevResult: ...
@overload
def stencil_coefficients(
    second: _Plain, first: _Numbers | None = None, zeroth: _Numbers | None = None, *, spacing: _Numbers = 1.0
) -> _Array: ...
@overload
def stencil_coefficients(
    second: _A, first: _Numbers | None = None, zeroth: _Numbers | None = None, *, spacing: _Numbers = 1.0
) -> _A: ...

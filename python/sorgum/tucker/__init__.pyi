"""The types of sorgum.tucker, made from its sources by tools/make_stubs.py."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, overload

import numpy as np
import numpy.typing as npt

from sorgum.random._keys import Rng
from sorgum.tucker._flora import FLoRA as FLoRA
from sorgum.tucker._hosvd import Method
from sorgum.tucker._modes import Ranks
from sorgum.tucker._tensor import TuckerTensor as TuckerTensor

__all__ = [
    "FLoRA",
    "TuckerTensor",
    "gram",
    "gram_finish",
    "gram_merge",
    "gram_partial",
    "hooi",
    "hosvd",
    "mode_dot",
    "multi_mode_dot",
    "sthosvd",
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
def gram(x: _Plain, mode: int) -> _Array: ...
@overload
def gram(x: _A, mode: int) -> _A: ...
def gram_finish(p: _Array) -> _Array: ...
def gram_merge(parts: Sequence[_Array]) -> _Array: ...
@overload
def gram_partial(x: _Plain, mode: int, begin: int = 0) -> _Array: ...
@overload
def gram_partial(x: _A, mode: int, begin: int = 0) -> _A: ...
def hooi(
    x: _Numbers,
    rank: Ranks,
    *,
    init: Any = "sthosvd",
    modes: Sequence[int] | None = None,
    fixed: Sequence[int] = ...,
    where: _Numbers | None = None,
    tol: float = 0.0001,
    maxiter: int = 100,
    progress: bool = False,
) -> TuckerTensor: ...
def hosvd(
    x: _Numbers,
    rank: Ranks = None,
    *,
    rtol: float | None = None,
    modes: Sequence[int] | None = None,
    method: Method = "auto",
    rng: Rng = 0,
) -> TuckerTensor: ...
@overload
def mode_dot(
    tensor: _Numbers, matrix_or_vector: _Numbers, mode: int, transpose: bool = False, *, out: _Out
) -> _Out: ...
@overload
def mode_dot(
    tensor: _Plain, matrix_or_vector: _Numbers, mode: int, transpose: bool = False, *, out: None = None
) -> _Array: ...
@overload
def mode_dot(tensor: _A, matrix_or_vector: _Numbers, mode: int, transpose: bool = False, *, out: None = None) -> _A: ...
@overload
def multi_mode_dot(
    tensor: _Numbers,
    matrix_or_vec_list: Sequence[_Numbers],
    modes: Sequence[int] | None = None,
    skip: int | None = None,
    transpose: bool = False,
    *,
    out: _Out,
) -> _Out: ...
@overload
def multi_mode_dot(
    tensor: _Plain,
    matrix_or_vec_list: Sequence[_Numbers],
    modes: Sequence[int] | None = None,
    skip: int | None = None,
    transpose: bool = False,
    *,
    out: None = None,
) -> _Array: ...
@overload
def multi_mode_dot(
    tensor: _A,
    matrix_or_vec_list: Sequence[_Numbers],
    modes: Sequence[int] | None = None,
    skip: int | None = None,
    transpose: bool = False,
    *,
    out: None = None,
) -> _A: ...
def sthosvd(
    x: _Numbers,
    rank: Ranks = None,
    *,
    rtol: float | None = None,
    modes: Sequence[int] | None = None,
    mode_order: Literal["auto"] | Sequence[int] = "auto",
    method: Method = "auto",
    rng: Rng = 0,
) -> TuckerTensor: ...

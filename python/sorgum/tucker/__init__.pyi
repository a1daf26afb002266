"""The types of sorgum.tucker, made from its sources by tools/make_stubs.py."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, TypeVar, overload

import numpy as np
import numpy.typing as npt

__all__ = [
    "gram",
    "mode_dot",
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

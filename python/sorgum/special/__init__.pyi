"""The types of sorgum.special, made from its sources by tools/make_stubs.py."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, overload

import numpy as np
import numpy.typing as npt

from sorgum._arguments.scalars import Axis
from sorgum.special._functions import Algorithm
from sorgum.special._partial import CHUNK as CHUNK
from sorgum.special._partial import partial_dtype as partial_dtype

__all__ = [
    "CHUNK",
    "exp",
    "log",
    "log_softmax",
    "log_softmax_grad",
    "logsumexp",
    "logsumexp_finish",
    "logsumexp_grad",
    "logsumexp_merge",
    "logsumexp_partial",
    "partial_dtype",
    "softmax",
    "softmax_from_partial",
    "softmax_grad",
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
def exp(x: _Numbers, *, out: _Out) -> _Out: ...
@overload
def exp(x: _Plain, *, out: None = None) -> _Array: ...
@overload
def exp(x: _A, *, out: None = None) -> _A: ...
@overload
def log(x: _Numbers, *, out: _Out) -> _Out: ...
@overload
def log(x: _Plain, *, out: None = None) -> _Array: ...
@overload
def log(x: _A, *, out: None = None) -> _A: ...
@overload
def log_softmax(
    x: _Numbers,
    axis: Axis = -1,
    *,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    empty: Literal["nan", "zero"] = "nan",
    dtype: npt.DTypeLike | None = None,
    out: _Out,
    algorithm: Algorithm = "auto",
) -> _Out: ...
@overload
def log_softmax(
    x: _Plain,
    axis: Axis = -1,
    *,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    empty: Literal["nan", "zero"] = "nan",
    dtype: npt.DTypeLike | None = None,
    out: None = None,
    algorithm: Algorithm = "auto",
) -> _Array: ...
@overload
def log_softmax(
    x: _A,
    axis: Axis = -1,
    *,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    empty: Literal["nan", "zero"] = "nan",
    dtype: npt.DTypeLike | None = None,
    out: None = None,
    algorithm: Algorithm = "auto",
) -> _A: ...
@overload
def log_softmax_grad(
    y: _Numbers, *, dy: _Numbers, axis: Axis = -1, temperature: _Numbers = 1.0, where: _Numbers | None = None, out: _Out
) -> _Out: ...
@overload
def log_softmax_grad(
    y: _Plain,
    *,
    dy: _Numbers,
    axis: Axis = -1,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    out: None = None,
) -> _Array: ...
@overload
def log_softmax_grad(
    y: _A,
    *,
    dy: _Numbers,
    axis: Axis = -1,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    out: None = None,
) -> _A: ...
@overload
def logsumexp(
    x: _Numbers,
    axis: Axis = -1,
    *,
    keepdims: bool = False,
    b: _Numbers | None = None,
    return_sign: Literal[False] = False,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    dtype: npt.DTypeLike | None = None,
    out: _Out,
) -> _Out: ...
@overload
def logsumexp(
    x: _Numbers,
    axis: Axis = -1,
    *,
    keepdims: bool = False,
    b: _Numbers | None = None,
    return_sign: Literal[True],
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    dtype: npt.DTypeLike | None = None,
    out: _Out,
) -> tuple[_Out, Any]: ...
@overload
def logsumexp(
    x: _Plain,
    axis: Axis = -1,
    *,
    keepdims: bool = False,
    b: _Numbers | None = None,
    return_sign: Literal[False] = False,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    dtype: npt.DTypeLike | None = None,
    out: None = None,
) -> _Array: ...
@overload
def logsumexp(
    x: _Plain,
    axis: Axis = -1,
    *,
    keepdims: bool = False,
    b: _Numbers | None = None,
    return_sign: Literal[True],
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    dtype: npt.DTypeLike | None = None,
    out: None = None,
) -> tuple[_Array, _Array]: ...
@overload
def logsumexp(
    x: _A,
    axis: Axis = -1,
    *,
    keepdims: bool = False,
    b: _Numbers | None = None,
    return_sign: Literal[False] = False,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    dtype: npt.DTypeLike | None = None,
    out: None = None,
) -> _A: ...
@overload
def logsumexp(
    x: _A,
    axis: Axis = -1,
    *,
    keepdims: bool = False,
    b: _Numbers | None = None,
    return_sign: Literal[True],
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    dtype: npt.DTypeLike | None = None,
    out: None = None,
) -> tuple[_A, _A]: ...
@overload
def logsumexp_finish(p: _Array, *, return_sign: Literal[False] = False) -> _Array: ...
@overload
def logsumexp_finish(p: _Array, *, return_sign: Literal[True]) -> tuple[_Array, _Array]: ...
@overload
def logsumexp_grad(
    x: _Numbers,
    *,
    dy: _Numbers,
    axis: Axis = -1,
    b: _Numbers | None = None,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    out: _Out,
) -> _Out: ...
@overload
def logsumexp_grad(
    x: _Plain,
    *,
    dy: _Numbers,
    axis: Axis = -1,
    b: _Numbers | None = None,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    out: None = None,
) -> _Array: ...
@overload
def logsumexp_grad(
    x: _A,
    *,
    dy: _Numbers,
    axis: Axis = -1,
    b: _Numbers | None = None,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    out: None = None,
) -> _A: ...
def logsumexp_merge(p: _Array, axis: int = 0) -> _Array: ...
def logsumexp_partial(
    x: _Numbers,
    axis: Axis = -1,
    *,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    b: _Numbers | None = None,
) -> _Array: ...
@overload
def softmax(
    x: _Numbers,
    axis: Axis = -1,
    *,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    empty: Literal["nan", "zero"] = "nan",
    out: _Out,
    algorithm: Algorithm = "auto",
) -> _Out: ...
@overload
def softmax(
    x: _Plain,
    axis: Axis = -1,
    *,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    empty: Literal["nan", "zero"] = "nan",
    out: None = None,
    algorithm: Algorithm = "auto",
) -> _Array: ...
@overload
def softmax(
    x: _A,
    axis: Axis = -1,
    *,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    empty: Literal["nan", "zero"] = "nan",
    out: None = None,
    algorithm: Algorithm = "auto",
) -> _A: ...
@overload
def softmax_from_partial(
    x: _Numbers,
    p: _Array,
    axis: Axis = -1,
    *,
    where: _Numbers | None = None,
    empty: Literal["nan", "zero"] = "nan",
    out: _Out,
) -> _Out: ...
@overload
def softmax_from_partial(
    x: _Plain,
    p: _Array,
    axis: Axis = -1,
    *,
    where: _Numbers | None = None,
    empty: Literal["nan", "zero"] = "nan",
    out: None = None,
) -> _Array: ...
@overload
def softmax_from_partial(
    x: _A,
    p: _Array,
    axis: Axis = -1,
    *,
    where: _Numbers | None = None,
    empty: Literal["nan", "zero"] = "nan",
    out: None = None,
) -> _A: ...
@overload
def softmax_grad(
    y: _Numbers, *, dy: _Numbers, axis: Axis = -1, temperature: _Numbers = 1.0, where: _Numbers | None = None, out: _Out
) -> _Out: ...
@overload
def softmax_grad(
    y: _Plain,
    *,
    dy: _Numbers,
    axis: Axis = -1,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    out: None = None,
) -> _Array: ...
@overload
def softmax_grad(
    y: _A,
    *,
    dy: _Numbers,
    axis: Axis = -1,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    out: None = None,
) -> _A: ...

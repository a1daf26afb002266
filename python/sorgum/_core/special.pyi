"""The checked functions of csrc/api/special."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

def exp(x: NDArray[Any], out: NDArray[Any]) -> None: ...
def log(x: NDArray[Any], out: NDArray[Any]) -> None: ...
def softmax(
    x: NDArray[Any],
    axis: Sequence[int] | None,
    temperature: NDArray[Any],
    where: NDArray[Any] | None,
    out: NDArray[Any],
    empty: str,
    algorithm: str,
) -> None: ...
def log_softmax(
    x: NDArray[Any],
    axis: Sequence[int] | None,
    temperature: NDArray[Any],
    where: NDArray[Any] | None,
    out: NDArray[Any],
    empty: str,
    algorithm: str,
) -> None: ...
def softmax_grad(
    y: NDArray[Any],
    dy: NDArray[Any],
    axis: Sequence[int] | None,
    temperature: NDArray[Any],
    where: NDArray[Any] | None,
    out: NDArray[Any],
) -> None: ...
def log_softmax_grad(
    y: NDArray[Any],
    dy: NDArray[Any],
    axis: Sequence[int] | None,
    temperature: NDArray[Any],
    where: NDArray[Any] | None,
    out: NDArray[Any],
) -> None: ...
def logsumexp_grad(
    x: NDArray[Any],
    dy: NDArray[Any],
    axis: Sequence[int] | None,
    temperature: NDArray[Any],
    where: NDArray[Any] | None,
    out: NDArray[Any],
) -> None: ...
def logsumexp(
    x: NDArray[Any],
    axis: Sequence[int] | None,
    temperature: NDArray[Any],
    where: NDArray[Any] | None,
    b: NDArray[Any] | None,
    out: NDArray[Any],
    sign: NDArray[Any] | None,
    keepdims: bool,
) -> None: ...

CHUNK: int

def logsumexp_partial(
    x: NDArray[Any],
    axis: Sequence[int] | None,
    temperature: NDArray[Any],
    where: NDArray[Any] | None,
    b: NDArray[Any] | None,
    out: NDArray[Any],
) -> None: ...
def logsumexp_merge(p: NDArray[Any], out: NDArray[Any]) -> None: ...
def logsumexp_finish(p: NDArray[Any], out: NDArray[Any], sign: NDArray[Any] | None) -> None: ...
def softmax_from_partial(
    x: NDArray[Any],
    p: NDArray[Any],
    axis: Sequence[int] | None,
    where: NDArray[Any] | None,
    out: NDArray[Any],
    empty: str,
) -> None: ...
def check_options(function: str, empty: str, algorithm: str, temperature: float) -> None: ...
def row_shape(function: str, x: NDArray[Any], axes: Sequence[int] | None, keepdims: bool) -> tuple[int, ...]: ...

"""The checked functions of csrc/api/sor."""

from typing import Any

from numpy.typing import NDArray

def residual_norm(
    indptr: NDArray[Any],
    indices: NDArray[Any],
    data: NDArray[Any],
    rows: int,
    columns: int,
    x: NDArray[Any],
    b: NDArray[Any],
) -> float: ...

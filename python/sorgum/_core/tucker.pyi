from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]

def mode_dot_shape(tensor: Array, matrix: Array, mode: int, transposed: bool) -> list[int]: ...
def mode_dot(tensor: Array, matrix: Array, mode: int, transposed: bool, out: Array) -> None: ...

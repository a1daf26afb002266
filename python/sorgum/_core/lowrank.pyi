from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]

def check_out(function: str, out: Array, shape: list[int], like: Array) -> None: ...
def merge(
    w: Array,
    a: Array,
    b: Array,
    scale: float,
    hadamard: bool,
    mask: Array | None,
    magnitude: Array | None,
    transposed: bool,
    rounded_twice: bool,
    check_finite: bool,
    wide: bool,
    out: Array,
    out_is_new: bool = ...,
) -> None: ...
def apply(
    x: Array,
    a: Array,
    b: Array,
    scale: float,
    activation: int,
    mid: Array | None,
    gate: Array | None,
    base: Array | None,
    wide: bool,
    out: Array,
) -> None: ...
def basis_add(key: int, weights: Array, out: Array) -> None: ...
def basis_dots(key: int, g: Array, out: Array) -> None: ...
def gram(x: Array, out: Array) -> None: ...

class AdapterSet:
    inputs: int
    outputs: int
    wide: bool
    def __init__(self, adapters: list[tuple[Array, Array, float]], wide: bool) -> None: ...
    def apply(self, x: Array, ids: Array, base: Array | None, out: Array) -> None: ...

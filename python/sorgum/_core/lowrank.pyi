from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]

def check_out(function: str, out: Array, like: Array) -> None: ...
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

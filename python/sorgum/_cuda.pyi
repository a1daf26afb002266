from collections.abc import Sequence
from typing import TypedDict

__version__: str

class BuildInfo(TypedDict):
    compiler: str
    targets: str
    flags: str

# (address, shape, strides in bytes, whether it may be written)
View = tuple[int, tuple[int, ...], tuple[int, ...], bool]

def build_info() -> BuildInfo: ...
def device_count() -> tuple[int, str]: ...
def device_of(address: int) -> int: ...
def exp(x: View, out: View, device: int, stream: int) -> None: ...
def softmax(
    x: View,
    axes: Sequence[int] | None,
    temperature: float,
    where: View | None,
    out: View,
    zero_empty: bool,
    device: int,
    stream: int,
) -> None: ...
def logsumexp(
    x: View,
    axes: Sequence[int] | None,
    temperature: float,
    where: View | None,
    out: View,
    keepdims: bool,
    device: int,
    stream: int,
) -> None: ...

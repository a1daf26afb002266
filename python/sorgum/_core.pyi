from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypedDict

from numpy import dtype
from numpy.typing import NDArray

__version__: str

class BuildInfo(TypedDict):
    compiler: str
    build_type: str
    flags: dict[str, str]

def initialise() -> None: ...
def isa() -> str: ...
def available_isas() -> list[str]: ...
def set_isa(name: str) -> None: ...
def kernel_names() -> list[str]: ...
def num_threads() -> int: ...
def num_threads_source() -> str: ...
def set_num_threads(n: int) -> None: ...
def build_info() -> BuildInfo: ...
def set_bfloat16_type(number: int) -> None: ...
def set_key_type(type: type) -> None: ...
def function(
    function: Callable[..., Any], name: str, translate: Callable[..., Any], refusal: Callable[..., Any]
) -> Function: ...
def dlpack_read(
    capsule: object,
) -> tuple[int, tuple[int, int], tuple[int, ...], tuple[int, ...], tuple[int, int, int], bool | None]: ...
def dlpack_capsule(array: NDArray[Any], code: int, bits: int, versioned: bool) -> object: ...
def array_at(
    address: int,
    shape: Sequence[int],
    strides: Sequence[int],
    dtype: dtype[Any],
    writable: bool,
    owner: object,
) -> NDArray[Any]: ...

class Function:
    __wrapped__: Callable[..., Any]
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def untranslated(self, *args: Any, **kwargs: Any) -> Any: ...

POOLED_FROM: int

def pooled(bytes: int) -> NDArray[Any]: ...
def memory_pool() -> int: ...
def memory_pooled() -> int: ...
def set_memory_pool(bytes: int) -> None: ...
def memory_read(x: NDArray[Any]) -> float: ...
def memory_copy(source: NDArray[Any], target: NDArray[Any]) -> None: ...
def fma_peak(iterations: int, many_chains: bool) -> float: ...
def exp(x: NDArray[Any], out: NDArray[Any]) -> None: ...
def log(x: NDArray[Any], out: NDArray[Any]) -> None: ...
def softmax(
    x: NDArray[Any],
    axes: Sequence[int] | None,
    temperature: NDArray[Any],
    where: NDArray[Any] | None,
    out: NDArray[Any],
    empty: str,
    algorithm: str,
) -> None: ...
def log_softmax(
    x: NDArray[Any],
    axes: Sequence[int] | None,
    temperature: NDArray[Any],
    where: NDArray[Any] | None,
    out: NDArray[Any],
    empty: str,
    algorithm: str,
) -> None: ...
def softmax_grad(
    y: NDArray[Any],
    dy: NDArray[Any],
    axes: Sequence[int] | None,
    temperature: NDArray[Any],
    where: NDArray[Any] | None,
    out: NDArray[Any],
) -> None: ...
def log_softmax_grad(
    y: NDArray[Any],
    dy: NDArray[Any],
    axes: Sequence[int] | None,
    temperature: NDArray[Any],
    where: NDArray[Any] | None,
    out: NDArray[Any],
) -> None: ...
def logsumexp_grad(
    x: NDArray[Any],
    dy: NDArray[Any],
    axes: Sequence[int] | None,
    temperature: NDArray[Any],
    where: NDArray[Any] | None,
    out: NDArray[Any],
) -> None: ...
def logsumexp(
    x: NDArray[Any],
    axes: Sequence[int] | None,
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
    axes: Sequence[int] | None,
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
    axes: Sequence[int] | None,
    where: NDArray[Any] | None,
    out: NDArray[Any],
    empty: str,
) -> None: ...
def row_shape(function: str, x: NDArray[Any], axes: Sequence[int] | None, keepdims: bool) -> tuple[int, ...]: ...

Filters: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[Any], list[str], bool]

def derived_key(key: int, data: int, tag: int) -> int: ...
def philox(counter: NDArray[Any], key: NDArray[Any], out: NDArray[Any], rounds: int) -> None: ...
def noise(
    law: str,
    wide: bool,
    key: int,
    streams: NDArray[Any] | None,
    position: NDArray[Any],
    index_offset: int,
    shape: Sequence[int],
    out: NDArray[Any],
    given: NDArray[Any] | None = None,
) -> None: ...
def draw(
    function: str,
    logits: NDArray[Any],
    temperature: NDArray[Any],
    where: NDArray[Any] | None,
    key: int,
    streams: NDArray[Any] | None,
    position: NDArray[Any],
    index_offset: int,
    out: NDArray[Any],
    inverse: bool,
    log_prob: bool,
    filters: Filters | None = None,
    given: NDArray[Any] | None = None,
) -> None: ...
def keep_filtered(
    function: str,
    logits: NDArray[Any],
    temperature: NDArray[Any],
    where: NDArray[Any] | None,
    filters: Filters,
    out: NDArray[Any],
) -> None: ...
def penalise(
    function: str,
    logits: NDArray[Any],
    tokens: NDArray[Any],
    prompt: NDArray[Any] | None,
    repetition: NDArray[Any],
    frequency: NDArray[Any],
    presence: NDArray[Any],
) -> None: ...
def gamma(
    function: str,
    concentration: NDArray[Any],
    logarithm: bool,
    key: int,
    streams: NDArray[Any] | None,
    position: NDArray[Any],
    index_offset: int,
    out: NDArray[Any],
) -> None: ...
def convert(x: NDArray[Any], out: NDArray[Any]) -> None: ...
def gumbel_top(
    function: str,
    logits: NDArray[Any],
    temperature: NDArray[Any],
    where: NDArray[Any] | None,
    most: int,
    key: int,
    streams: NDArray[Any] | None,
    position: NDArray[Any],
    index_offset: int,
    out: NDArray[Any],
    filters: Filters | None = None,
) -> None: ...
def gumbel_softmax(
    function: str,
    logits: NDArray[Any],
    temperature: NDArray[Any],
    where: NDArray[Any] | None,
    key: int,
    streams: NDArray[Any] | None,
    position: NDArray[Any],
    index_offset: int,
    out: NDArray[Any],
) -> None: ...
def gumbel_add(
    function: str,
    logits: NDArray[Any],
    key: int,
    streams: NDArray[Any] | None,
    position: NDArray[Any],
    index_offset: int,
    out: NDArray[Any],
) -> None: ...
def noise_of_chosen(
    function: str,
    key: int,
    streams: NDArray[Any],
    positions: NDArray[Any],
    indices: NDArray[Any],
    concentration: NDArray[Any] | None,
    out: NDArray[Any],
) -> None: ...
def embedding_mix(
    function: str,
    weights: NDArray[Any],
    indices: NDArray[Any],
    embeddings: NDArray[Any],
    out: NDArray[Any],
) -> None: ...

"""The checked functions of csrc/api/random."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from numpy.typing import NDArray

Filters: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[Any], list[str], bool]

def set_key_type(type: type) -> None: ...
def derived_key(key: int, data: int, tag: int) -> int: ...
def philox(counter: NDArray[Any], key: NDArray[Any], out: NDArray[Any], rounds: int) -> None: ...
def check_places(
    function: str,
    shape: Sequence[int],
    streams: NDArray[Any] | None,
    position: NDArray[Any],
    index_offset: int,
) -> None: ...
def check_draw(
    function: str,
    shape: Sequence[int],
    temperature: NDArray[Any],
    streams: NDArray[Any] | None,
    position: NDArray[Any],
    index_offset: int,
) -> None: ...
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

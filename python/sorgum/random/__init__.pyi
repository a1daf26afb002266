"""The types of sorgum.random, made from its sources by tools/make_stubs.py."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, overload

import numpy as np
import numpy.typing as npt

from sorgum._arguments.scalars import Shape
from sorgum.random._filters import FilterOrder, Ties
from sorgum.random._keys import Key as Key
from sorgum.random._keys import Rng
from sorgum.random._soft_tokens import SoftTokens as SoftTokens
from sorgum.random._top_k import TopK as TopK

__all__ = [
    "Key",
    "SoftTokens",
    "TopK",
    "apply_penalties",
    "binary_concrete",
    "bits",
    "categorical",
    "concrete_log_prob",
    "concrete_score",
    "dirichlet",
    "dirichlet_resample",
    "embedding_mix",
    "exponential",
    "filter_logits",
    "flow_guidance",
    "flow_interpolant",
    "flow_score",
    "flow_step",
    "flow_temperature",
    "flow_velocity",
    "fold_in",
    "frequency_gradient",
    "frozen_flow_velocity",
    "gamma",
    "gaussian_mixture_log_prob",
    "gumbel",
    "gumbel_given_max",
    "gumbel_merge",
    "gumbel_partial",
    "gumbel_resample",
    "gumbel_softmax",
    "gumbel_softmax_grad",
    "gumbel_top_k",
    "hard_concrete",
    "inclusion_weights",
    "key",
    "logistic",
    "normal",
    "soft_token_log_prob",
    "soft_token_log_prob_grad",
    "soft_token_step",
    "split",
    "top_k_log_prob",
    "truncated_gumbel",
    "uniform",
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
def apply_penalties(
    logits: _Numbers,
    tokens: _Numbers,
    *,
    repetition: _Numbers = 1.0,
    frequency: _Numbers = 0.0,
    presence: _Numbers = 0.0,
    prompt: _Numbers | None = None,
    axis: int = -1,
    out: _Out,
) -> _Out: ...
@overload
def apply_penalties(
    logits: _Plain,
    tokens: _Numbers,
    *,
    repetition: _Numbers = 1.0,
    frequency: _Numbers = 0.0,
    presence: _Numbers = 0.0,
    prompt: _Numbers | None = None,
    axis: int = -1,
    out: None = None,
) -> _Array: ...
@overload
def apply_penalties(
    logits: _A,
    tokens: _Numbers,
    *,
    repetition: _Numbers = 1.0,
    frequency: _Numbers = 0.0,
    presence: _Numbers = 0.0,
    prompt: _Numbers | None = None,
    axis: int = -1,
    out: None = None,
) -> _A: ...
@overload
def binary_concrete(
    logits: _Plain,
    *,
    rng: Rng,
    temperature: _Numbers = 1.0,
    logit: bool = False,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
) -> _Array: ...
@overload
def binary_concrete(
    logits: _A,
    *,
    rng: Rng,
    temperature: _Numbers = 1.0,
    logit: bool = False,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
) -> _A: ...
@overload
def bits(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    out: _Out,
) -> _Out: ...
@overload
def bits(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    out: None = None,
) -> _Array: ...
@overload
def categorical(
    logits: _Plain,
    *,
    rng: Rng,
    axis: int = -1,
    temperature: _Numbers = 1.0,
    top_k: _Numbers | None = None,
    top_p: _Numbers | None = None,
    min_p: _Numbers | None = None,
    where: _Numbers | None = None,
    num_samples: int | None = None,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    method: Literal["gumbel", "inverse"] = "gumbel",
    filter_order: FilterOrder = ...,
    ties: Ties = "first",
    on_invalid: Literal["raise", "minus_one"] = "raise",
    return_log_prob: Literal[False] = False,
) -> _Array: ...
@overload
def categorical(
    logits: _Plain,
    *,
    rng: Rng,
    axis: int = -1,
    temperature: _Numbers = 1.0,
    top_k: _Numbers | None = None,
    top_p: _Numbers | None = None,
    min_p: _Numbers | None = None,
    where: _Numbers | None = None,
    num_samples: int | None = None,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    method: Literal["gumbel", "inverse"] = "gumbel",
    filter_order: FilterOrder = ...,
    ties: Ties = "first",
    on_invalid: Literal["raise", "minus_one"] = "raise",
    return_log_prob: Literal[True],
) -> tuple[_Array, _Array]: ...
@overload
def categorical(
    logits: _A,
    *,
    rng: Rng,
    axis: int = -1,
    temperature: _Numbers = 1.0,
    top_k: _Numbers | None = None,
    top_p: _Numbers | None = None,
    min_p: _Numbers | None = None,
    where: _Numbers | None = None,
    num_samples: int | None = None,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    method: Literal["gumbel", "inverse"] = "gumbel",
    filter_order: FilterOrder = ...,
    ties: Ties = "first",
    on_invalid: Literal["raise", "minus_one"] = "raise",
    return_log_prob: Literal[False] = False,
) -> _A: ...
@overload
def categorical(
    logits: _A,
    *,
    rng: Rng,
    axis: int = -1,
    temperature: _Numbers = 1.0,
    top_k: _Numbers | None = None,
    top_p: _Numbers | None = None,
    min_p: _Numbers | None = None,
    where: _Numbers | None = None,
    num_samples: int | None = None,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    method: Literal["gumbel", "inverse"] = "gumbel",
    filter_order: FilterOrder = ...,
    ties: Ties = "first",
    on_invalid: Literal["raise", "minus_one"] = "raise",
    return_log_prob: Literal[True],
) -> tuple[_A, _A]: ...
@overload
def concrete_log_prob(
    log_points: _Plain, logits: _Numbers, *, temperature: _Numbers, axis: int = -1, of_points: bool = False
) -> _Array: ...
@overload
def concrete_log_prob(
    log_points: _A, logits: _Numbers, *, temperature: _Numbers, axis: int = -1, of_points: bool = False
) -> _A: ...
@overload
def concrete_score(
    log_points: _Plain, logits: _Numbers, *, temperature: _Numbers, axis: int = -1
) -> tuple[_Array, _Array]: ...
@overload
def concrete_score(log_points: _A, logits: _Numbers, *, temperature: _Numbers, axis: int = -1) -> tuple[_A, _A]: ...
@overload
def dirichlet(
    concentration: _Plain,
    *,
    rng: Rng,
    axis: int = -1,
    log: bool = False,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
) -> _Array: ...
@overload
def dirichlet(
    concentration: _A,
    *,
    rng: Rng,
    axis: int = -1,
    log: bool = False,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
) -> _A: ...
def dirichlet_resample(
    logits: _Numbers,
    k: int,
    *,
    rng: Rng,
    concentration: _Numbers = 1.0,
    axis: int = -1,
    temperature: _Numbers = 1.0,
    top_k: _Numbers | None = None,
    top_p: _Numbers | None = None,
    min_p: _Numbers | None = None,
    where: _Numbers | None = None,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    filter_order: FilterOrder = ...,
    ties: Ties = "first",
    on_invalid: Literal["raise", "minus_one"] = "raise",
) -> SoftTokens: ...
@overload
def embedding_mix(weights: _Plain, indices: _Numbers, embeddings: _Numbers) -> _Array: ...
@overload
def embedding_mix(weights: _A, indices: _Numbers, embeddings: _Numbers) -> _A: ...
@overload
def exponential(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: _Out,
) -> _Out: ...
@overload
def exponential(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: None = None,
) -> _Array: ...
@overload
def filter_logits(
    logits: _Numbers,
    *,
    axis: int = -1,
    temperature: _Numbers = 1.0,
    top_k: _Numbers | None = None,
    top_p: _Numbers | None = None,
    min_p: _Numbers | None = None,
    where: _Numbers | None = None,
    filter_order: FilterOrder = ...,
    ties: Ties = "first",
    out: _Out,
) -> _Out: ...
@overload
def filter_logits(
    logits: _Plain,
    *,
    axis: int = -1,
    temperature: _Numbers = 1.0,
    top_k: _Numbers | None = None,
    top_p: _Numbers | None = None,
    min_p: _Numbers | None = None,
    where: _Numbers | None = None,
    filter_order: FilterOrder = ...,
    ties: Ties = "first",
    out: None = None,
) -> _Array: ...
@overload
def filter_logits(
    logits: _A,
    *,
    axis: int = -1,
    temperature: _Numbers = 1.0,
    top_k: _Numbers | None = None,
    top_p: _Numbers | None = None,
    min_p: _Numbers | None = None,
    where: _Numbers | None = None,
    filter_order: FilterOrder = ...,
    ties: Ties = "first",
    out: None = None,
) -> _A: ...
@overload
def flow_guidance(grads: _Plain, probabilities: _Numbers) -> _Array: ...
@overload
def flow_guidance(grads: _A, probabilities: _Numbers) -> _A: ...
@overload
def flow_interpolant(
    targets: _Plain,
    categories: int,
    *,
    rng: Rng,
    temperature: _Numbers,
    beta: float = 1.0,
    log: bool = False,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
) -> _Array: ...
@overload
def flow_interpolant(
    targets: _A,
    categories: int,
    *,
    rng: Rng,
    temperature: _Numbers,
    beta: float = 1.0,
    log: bool = False,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
) -> _A: ...
@overload
def flow_score(log_points: _Plain, targets: _Numbers, *, temperature: _Numbers, beta: float = 1.0) -> _Array: ...
@overload
def flow_score(log_points: _A, targets: _Numbers, *, temperature: _Numbers, beta: float = 1.0) -> _A: ...
@overload
def flow_step(points: _Plain, velocity: _Numbers, step: _Numbers) -> _Array: ...
@overload
def flow_step(points: _A, velocity: _Numbers, step: _Numbers) -> _A: ...
@overload
def flow_temperature(time: _Plain, *, maximum: float, decay: float) -> _Array: ...
@overload
def flow_temperature(time: _A, *, maximum: float, decay: float) -> _A: ...
@overload
def flow_velocity(points: _Plain, probabilities: _Numbers, *, temperature: _Numbers, decay: float) -> _Array: ...
@overload
def flow_velocity(points: _A, probabilities: _Numbers, *, temperature: _Numbers, decay: float) -> _A: ...
def fold_in(key: Key | int, data: int) -> Key: ...
@overload
def frequency_gradient(logits: _Plain, values: _Numbers, *, axis: int = -1) -> tuple[_Array, _Array]: ...
@overload
def frequency_gradient(logits: _A, values: _Numbers, *, axis: int = -1) -> tuple[_A, _A]: ...
@overload
def frozen_flow_velocity(log_points: _Plain, *, decay: float) -> _Array: ...
@overload
def frozen_flow_velocity(log_points: _A, *, decay: float) -> _A: ...
@overload
def gamma(
    concentration: _Numbers,
    *,
    rng: Rng,
    log: bool = False,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    out: _Out,
) -> _Out: ...
@overload
def gamma(
    concentration: _Plain,
    *,
    rng: Rng,
    log: bool = False,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    out: None = None,
) -> _Array: ...
@overload
def gamma(
    concentration: _A,
    *,
    rng: Rng,
    log: bool = False,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    out: None = None,
) -> _A: ...
@overload
def gaussian_mixture_log_prob(points: _Plain, logits: _Numbers, means: _Numbers, scales: _Numbers) -> _Array: ...
@overload
def gaussian_mixture_log_prob(points: _A, logits: _Numbers, means: _Numbers, scales: _Numbers) -> _A: ...
@overload
def gumbel(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: _Out,
) -> _Out: ...
@overload
def gumbel(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: None = None,
) -> _Array: ...
@overload
def gumbel_given_max(
    logits: _Plain,
    maximum: _Numbers,
    *,
    rng: Rng,
    axis: int = -1,
    where: _Numbers | None = None,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
) -> _Array: ...
@overload
def gumbel_given_max(
    logits: _A,
    maximum: _Numbers,
    *,
    rng: Rng,
    axis: int = -1,
    where: _Numbers | None = None,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
) -> _A: ...
def gumbel_merge(partials: _Array, axis: int = 0) -> Any: ...
def gumbel_partial(
    logits: _Numbers,
    *,
    rng: Key | int,
    axis: int = -1,
    temperature: _Numbers = 1.0,
    where: _Numbers | None = None,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
) -> _Array: ...
def gumbel_resample(
    logits: _Numbers,
    k: int,
    *,
    rng: Rng,
    gumbel_temperature: _Numbers = 0.5,
    axis: int = -1,
    temperature: _Numbers = 1.0,
    top_k: _Numbers | None = None,
    top_p: _Numbers | None = None,
    min_p: _Numbers | None = None,
    where: _Numbers | None = None,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    filter_order: FilterOrder = ...,
    ties: Ties = "first",
    on_invalid: Literal["raise", "minus_one"] = "raise",
) -> SoftTokens: ...
@overload
def gumbel_softmax(
    logits: _Numbers,
    *,
    rng: Rng,
    temperature: _Numbers = 1.0,
    hard: bool = False,
    log: bool = False,
    axis: int = -1,
    where: _Numbers | None = None,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    out: _Out,
) -> _Out: ...
@overload
def gumbel_softmax(
    logits: _Plain,
    *,
    rng: Rng,
    temperature: _Numbers = 1.0,
    hard: bool = False,
    log: bool = False,
    axis: int = -1,
    where: _Numbers | None = None,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    out: None = None,
) -> _Array: ...
@overload
def gumbel_softmax(
    logits: _A,
    *,
    rng: Rng,
    temperature: _Numbers = 1.0,
    hard: bool = False,
    log: bool = False,
    axis: int = -1,
    where: _Numbers | None = None,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    out: None = None,
) -> _A: ...
@overload
def gumbel_softmax_grad(
    logits: _Plain,
    *,
    rng: Key | int,
    dy: _Numbers,
    temperature: _Numbers = 1.0,
    hard: bool = False,
    log: bool = False,
    axis: int = -1,
    where: _Numbers | None = None,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
) -> _Array: ...
@overload
def gumbel_softmax_grad(
    logits: _A,
    *,
    rng: Key | int,
    dy: _Numbers,
    temperature: _Numbers = 1.0,
    hard: bool = False,
    log: bool = False,
    axis: int = -1,
    where: _Numbers | None = None,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
) -> _A: ...
def gumbel_top_k(
    logits: _Numbers,
    k: int,
    *,
    rng: Rng,
    axis: int = -1,
    temperature: _Numbers = 1.0,
    top_k: _Numbers | None = None,
    top_p: _Numbers | None = None,
    min_p: _Numbers | None = None,
    where: _Numbers | None = None,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    filter_order: FilterOrder = ...,
    ties: Ties = "first",
    on_invalid: Literal["raise", "minus_one"] = "raise",
) -> TopK: ...
@overload
def hard_concrete(
    logits: _Plain,
    *,
    rng: Rng,
    temperature: _Numbers = ...,
    stretch: tuple[float, float] = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
) -> _Array: ...
@overload
def hard_concrete(
    logits: _A,
    *,
    rng: Rng,
    temperature: _Numbers = ...,
    stretch: tuple[float, float] = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
) -> _A: ...
@overload
def inclusion_weights(
    logits: _Plain, drawn: TopK, *, axis: int = -1, log: bool = False, temperature: _Numbers = 1.0
) -> _Array: ...
@overload
def inclusion_weights(
    logits: _A, drawn: TopK, *, axis: int = -1, log: bool = False, temperature: _Numbers = 1.0
) -> _A: ...
def key(seed: int) -> Key: ...
@overload
def logistic(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: _Out,
) -> _Out: ...
@overload
def logistic(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: None = None,
) -> _Array: ...
@overload
def normal(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: _Out,
) -> _Out: ...
@overload
def normal(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: None = None,
) -> _Array: ...
@overload
def soft_token_log_prob(
    logits: _Plain,
    indices: _Numbers,
    log_weights: _Numbers,
    *,
    temperature: _Numbers = 1.0,
    clamp: tuple[float, float] = ...,
    floor: float = ...,
    mask_threshold: float = ...,
    axis: int = -1,
) -> _Array: ...
@overload
def soft_token_log_prob(
    logits: _A,
    indices: _Numbers,
    log_weights: _Numbers,
    *,
    temperature: _Numbers = 1.0,
    clamp: tuple[float, float] = ...,
    floor: float = ...,
    mask_threshold: float = ...,
    axis: int = -1,
) -> _A: ...
@overload
def soft_token_log_prob_grad(
    logits: _Plain,
    indices: _Numbers,
    log_weights: _Numbers,
    *,
    dy: _Numbers,
    temperature: _Numbers = 1.0,
    clamp: tuple[float, float] = ...,
    floor: float = ...,
    mask_threshold: float = ...,
    axis: int = -1,
) -> _Array: ...
@overload
def soft_token_log_prob_grad(
    logits: _A,
    indices: _Numbers,
    log_weights: _Numbers,
    *,
    dy: _Numbers,
    temperature: _Numbers = 1.0,
    clamp: tuple[float, float] = ...,
    floor: float = ...,
    mask_threshold: float = ...,
    axis: int = -1,
) -> _A: ...
def soft_token_step(
    logits: _Numbers,
    k: int,
    *,
    rng: Rng,
    gumbel_temperature: _Numbers = 0.1,
    clamp: tuple[float, float] = ...,
    floor: float = ...,
    axis: int = -1,
    temperature: _Numbers = 1.0,
    top_k: _Numbers | None = None,
    top_p: _Numbers | None = None,
    min_p: _Numbers | None = None,
    where: _Numbers | None = None,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    filter_order: FilterOrder = ...,
    ties: Ties = "first",
    on_invalid: Literal["raise", "minus_one"] = "raise",
) -> SoftTokens: ...
def split(key: Key | int, num: int = 2) -> tuple[Key, ...]: ...
@overload
def top_k_log_prob(
    logits: _Plain, indices: _Numbers, *, ordered: bool = True, axis: int = -1, temperature: _Numbers = 1.0
) -> _Array: ...
@overload
def top_k_log_prob(
    logits: _A, indices: _Numbers, *, ordered: bool = True, axis: int = -1, temperature: _Numbers = 1.0
) -> _A: ...
@overload
def truncated_gumbel(
    logits: _Plain,
    upper: _Numbers,
    *,
    rng: Rng,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
) -> _Array: ...
@overload
def truncated_gumbel(
    logits: _A,
    upper: _Numbers,
    *,
    rng: Rng,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
) -> _A: ...
@overload
def uniform(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: _Out,
) -> _Out: ...
@overload
def uniform(
    shape: Shape,
    *,
    rng: Rng,
    dtype: npt.DTypeLike = ...,
    streams: _Numbers | None = None,
    position: _Numbers = 0,
    index_offset: int = 0,
    bits: Literal[32, 64] | None = None,
    out: None = None,
) -> _Array: ...

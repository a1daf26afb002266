"""Noise and draws that depend on a key and a place alone, with the same bits everywhere.

Nothing here has state. What is drawn for an element depends on the key, the purpose (see below), the `stream` of its
row (a request's id, by default the row's number), the `position` (the step of a sequence) and the element's index in
the row (the category): never on the batch, the thread, the shard or the instruction set (tier: bitwise). The generator
is Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011); the layout of its counters is frozen and stands in
docs/numerics/random.md. On CUDA devices there are `categorical` and the noise element by element: docs/cuda.md.

The same function called twice with the same arguments returns the same numbers; for new ones, change `position`,
`streams` or the key (`fold_in`, `split`). `num_samples` takes that many positions: the next ones are behind them.

Some functions share their noise: under the same key, stream, position and index they use the same words, so that they
agree. They are those of one line:

- Gumbel numbers of 32 bits: `gumbel` (``bits=32``, the default of float32), `categorical`, `gumbel_partial`,
  `gumbel_top_k`, `gumbel_softmax` and its gradient, `flow_interpolant`, `soft_token_step`, `gumbel_resample`;
- Gumbel numbers of 64 bits: `gumbel` (``bits=64``, the default of float64), `truncated_gumbel`, `gumbel_given_max`;
- logistic numbers of 32 bits: `logistic` (``bits=32``), `binary_concrete`, `hard_concrete`;
- gamma numbers: `gamma`, `dirichlet`, `dirichlet_resample`.

All else has nothing in common: `bits`, `uniform`, `exponential`, `normal`, ``categorical(method="inverse")``, and the
32 and 64 bits of each. Draws that share noise and must be independent, as a draft model's token and the one that
replaces it, or two calls of `categorical` for two purposes at one step, need a key each: ``fold_in(key, purpose)`` with
numbers of your own for the purposes. examples/speculative_decoding.py shows how; under one key its tokens are biased.

Logits may be float16 or bfloat16, too. What is drawn from them, and its probability, is what is drawn from the same
values in float32, bit for bit; results that are logits, points of the simplex or gates for such logits come back in
their type: the float32 result, rounded once. Soft tokens, whose logarithms a policy's gradient is made from, are
float32 then. Other arguments of these types count as float32.

Arrays of other libraries that offer `__dlpack__` on the CPU are read without a copy; the result belongs to the library
of the first argument, and an `out` of any library is written in place.
"""

from sorgum.interop.libraries import open_to_libraries
from sorgum.random._categorical import categorical, gumbel_merge, gumbel_partial
from sorgum.random._concrete import (
    binary_concrete,
    concrete_log_prob,
    concrete_score,
    gumbel_softmax_grad,
    hard_concrete,
)
from sorgum.random._conditional import gumbel_given_max, truncated_gumbel
from sorgum.random._device import ON_DEVICES
from sorgum.random._embedding import embedding_mix
from sorgum.random._filters import apply_penalties, filter_logits
from sorgum.random._flow import (
    flow_guidance,
    flow_interpolant,
    flow_score,
    flow_step,
    flow_temperature,
    flow_velocity,
    frozen_flow_velocity,
)
from sorgum.random._gamma import dirichlet, gamma
from sorgum.random._keys import Key, fold_in, key, split
from sorgum.random._mixture import frequency_gradient, gaussian_mixture_log_prob
from sorgum.random._noise import bits, exponential, gumbel, logistic, normal, uniform
from sorgum.random._relaxed import gumbel_softmax
from sorgum.random._soft_policy import soft_token_log_prob, soft_token_log_prob_grad
from sorgum.random._soft_tokens import SoftTokens, dirichlet_resample, gumbel_resample, soft_token_step
from sorgum.random._top_k import TopK, gumbel_top_k, inclusion_weights, top_k_log_prob

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

open_to_libraries(globals(), ON_DEVICES)

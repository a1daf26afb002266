"""Keyed noise: words, uniforms and Gumbels that are a pure function of a key and a place, the same bits everywhere.

Nothing here has state. What is drawn for an element depends on the key, the purpose (the function), the `stream` of its
row (a request's id, by default the row's number), the `position` (the step of a sequence) and the element's index in
the row (the category): never on the batch, the thread, the shard or the instruction set (tier: bitwise). The generator
is Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011); the layout of its counters is frozen and stands in
docs/numerics.md.

Each function draws from streams of its own: a uniform and a Gumbel number of the same key, stream, position and index
have nothing in common. The same function called twice with the same arguments returns the same numbers; for new ones,
change `position`, `streams` or the key (`fold_in`, `split`).
"""

from sorgum.random._categorical import categorical, gumbel_merge, gumbel_partial
from sorgum.random._keys import Key, fold_in, key, split
from sorgum.random._noise import bits, exponential, gumbel, logistic, uniform
from sorgum.random._relaxed import gumbel_softmax
from sorgum.random._top_k import TopK, gumbel_top_k

__all__ = [
    "Key",
    "TopK",
    "bits",
    "categorical",
    "exponential",
    "fold_in",
    "gumbel",
    "gumbel_merge",
    "gumbel_partial",
    "gumbel_softmax",
    "gumbel_top_k",
    "key",
    "logistic",
    "split",
    "uniform",
]

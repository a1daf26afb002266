"""Attention weights of a causal head: a mask, a temperature, and a result written where the scores were."""

import numpy as np

import sorgum as sg

rng = np.random.default_rng(1)
tokens, width = 6, 8
queries, keys = rng.standard_normal((2, tokens, width), dtype=np.float32)
scores = queries @ keys.T
causal = np.tril(np.ones((tokens, tokens), dtype=bool))

# The usual division by sqrt(width) is a temperature; it is not rounded.
weights = sg.special.softmax(scores, where=causal, temperature=np.sqrt(width), out=scores)

assert weights is scores
assert np.all(weights[~causal] == 0)
assert np.allclose(weights.sum(axis=-1), 1, atol=3e-7)
with np.printoptions(precision=3, suppress=True):
    print(weights)

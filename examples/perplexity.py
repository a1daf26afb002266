"""The perplexity of a sequence: log-probabilities of the tokens that came, from logits over a vocabulary."""

import numpy as np

import sorgum as sg

rng = np.random.default_rng(2)
length, vocabulary = 50, 5000
logits = rng.normal(0, 3, (length, vocabulary)).astype(np.float32)
tokens = logits.argmax(axis=-1)

chosen = np.take_along_axis(logits, tokens[:, None], axis=-1)[:, 0]
from_sums = chosen - sg.special.logsumexp(logits)  # no array of the size of the logits is written
from_rows = np.take_along_axis(sg.special.log_softmax(logits), tokens[:, None], axis=-1)[:, 0]

assert np.allclose(from_sums, from_rows, atol=1e-5)
print(f"perplexity {sg.special.exp(-from_rows.astype(np.float64).mean()):.2f}")

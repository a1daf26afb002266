"""Words from logits: temperature, penalties and filters per request, and a seed per request that no batch changes."""

import numpy as np

import sorgum as sg

words = ["the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "tree", "and", "then", "it", "slept", "."]
counts = np.array([[len(set(a) & set(b)) + (a != b) for b in words] for a in words])  # stands in for a model
logits_after = np.log1p(counts.astype(np.float32)) * 3

# Three requests, each with its own id, temperature and filters.
requests = np.array([1001, 7, 424242])
temperature, top_k, top_p = [0.7, 1.0, 1.3], [15, 6, 15], [0.9, 1.0, 0.8]
key = sg.random.key(2024)


def generate(rows: list[int], steps: int = 8) -> list[str]:
    """Draw words for some of the requests, in this order."""
    drawn = np.full((len(rows), steps), -1)
    last = np.zeros(len(rows), int)
    for step in range(steps):
        logits = sg.random.apply_penalties(logits_after[last], drawn, repetition=1.2, frequency=0.5)
        last = drawn[:, step] = sg.random.categorical(
            logits,
            rng=key,
            streams=requests[rows],  # who draws, and ...
            position=step,  # ... at which step: nothing else matters
            temperature=np.take(temperature, rows),
            top_k=np.take(top_k, rows),
            top_p=np.take(top_p, rows),
        )
    return [" ".join(words[i] for i in row) for row in drawn]


together = generate([0, 1, 2])
for request, t, k, p, text in zip(requests, temperature, top_k, top_p, together, strict=True):
    print(f"request {request:6}, T {t}, top_k {k:2}, top_p {p}: {text}")

# Alone, or in another order, every request says the same.
alone, backwards = generate([1]), generate([2, 1, 0])
print("request 7 alone:", "the same words" if alone == [together[1]] else "OTHER WORDS")
print("all in another order:", "the same words" if backwards[::-1] == together else "OTHER WORDS")
assert alone == [together[1]]
assert backwards[::-1] == together

# What the filters leave of the first step of request 7: probabilities of the words that may be drawn.
kept = sg.random.filter_logits(logits_after[0], temperature=1.0, top_k=6)
shares = sg.special.softmax(kept)
print("what top_k = 6 leaves after 'the':", ", ".join(f"{words[i]} {shares[i]:.2f}" for i in np.flatnonzero(shares)))

"""Stochastic beam search: k sequences of a language model, drawn without replacement, and what they estimate.

Kool, van Hoof and Welling, "Stochastic Beams and Where to Find Them", 2019. Every sequence has a perturbed log
probability, phi + G with G a Gumbel number; those of the k largest are a sample without replacement. The tree is walked
from its root: the largest perturbed number below a prefix is drawn with the prefix, and its children share it out by
`gumbel_given_max`. A prefix names the stream of its children's noise, so that it draws the same in every beam.
"""

import numpy as np

import sorgum as sg

TOKENS, LENGTH = 4, 5


def next_log_probs(prefix: tuple[int, ...]) -> np.ndarray:
    """Return the log probabilities of the next token: noise that depends on the prefix stands in for a model."""
    logits = 1.5 * sg.random.normal((1, TOKENS), rng=7, streams=[name(prefix)])[0]
    return sg.special.log_softmax(logits.astype(np.float64))


def name(prefix: tuple[int, ...]) -> int:
    """Return a number that no other prefix has: its tokens as digits behind a 1. It names a stream."""
    number = 1
    for token in prefix:
        number = number * TOKENS + token
    return number


def beam_search(k: int, key: sg.random.Key) -> tuple[list[tuple[tuple[int, ...], float, float]], float]:
    """Return k sequences with phi and phi + G, and the threshold: the largest phi + G of any other sequence."""
    root = float(sg.random.gumbel((1,), rng=key, streams=0, dtype=np.float64)[0])  # the largest sum of all sequences
    beam, threshold = [((), 0.0, root)], -np.inf
    for _ in range(LENGTH):
        phi = np.array([score + next_log_probs(prefix) for prefix, score, _ in beam])
        largest = [perturbed for _, _, perturbed in beam]
        streams = [name(prefix) for prefix, _, _ in beam]
        children = sg.random.gumbel_given_max(phi, largest, rng=key, streams=streams)
        order = np.argsort(-children, axis=None)
        kept = [(*np.unravel_index(i, children.shape),) for i in order[:k]]
        if order.size > k:  # nothing below a prefix that was left out exceeds the number of that prefix
            threshold = max(threshold, float(children.flat[order[k]]))
        beam = [
            ((*beam[row][0], int(token)), float(phi[row, token]), float(children[row, token])) for row, token in kept
        ]
    return beam, threshold


if __name__ == "__main__":
    beam, threshold = beam_search(6, sg.random.key(2019))
    print(f"6 of {TOKENS**LENGTH} sequences, without replacement:")
    for sequence, score, perturbed in beam:
        print(f"  {' '.join(map(str, sequence))}   probability {np.exp(score):.5f}   perturbed {perturbed:.3f}")

    # A wider beam begins with the narrow one, since a prefix names its noise.
    wide, _ = beam_search(24, sg.random.key(2019))
    same = [entry[0] for entry in wide[:6]] == [entry[0] for entry in beam]
    print(f"a beam of 24 begins with the same 6: {same}")
    assert same

    # Weighted by p / q, q the probability to exceed the threshold, a sample estimates expectations: here of the number
    # of different tokens. Over many keys the mean of the estimates is the exact expectation.
    sequences = [
        tuple(digits) for digits in np.stack(np.unravel_index(np.arange(TOKENS**LENGTH), (TOKENS,) * LENGTH), -1)
    ]
    exact = 0.0
    for sequence in sequences:
        score = sum(next_log_probs(sequence[:i])[token] for i, token in enumerate(sequence))
        exact += np.exp(score) * len(set(sequence))
    estimates = []
    for seed in range(200):
        beam, threshold = beam_search(6, sg.random.key(seed))
        q = [-np.expm1(-np.exp(score - threshold)) for _, score, _ in beam]
        estimates.append(
            sum(np.exp(entry[1]) / chance * len(set(entry[0])) for entry, chance in zip(beam, q, strict=True))
        )
    error = np.std(estimates) / np.sqrt(len(estimates))
    mean = np.mean(estimates)
    print(f"different tokens per sequence: exactly {exact:.3f}; from 200 beams of 6: {mean:.3f} +- {error:.3f}")
    assert abs(mean - exact) < 5 * error

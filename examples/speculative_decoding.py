"""Speculative decoding: a small model drafts tokens, a large one accepts or replaces them, and its law is kept.

Leviathan, Kalman and Matias, "Fast Inference from Transformers via Speculative Decoding", 2023, theorem 3.5: a token of
the draft's law p is accepted with probability min(1, q / p), else one is drawn from the law max(q - p, 0) / sum; that
has the law q. It needs three draws that know nothing of each other: a key for each, folded from the request's key.
Functions of `sorgum.random` that share noise (see its documentation) would agree under one key, where they must not.
"""

import numpy as np

import sorgum as sg

DRAFT, ACCEPT, RECOVER = range(3)


def speculate(draft, target, prompt, length, *, keys, streams, position):
    """Draw tokens for some requests, a row of them each, of which the first `length + 1` at most are of use.

    `draft` and `target` return the logits that follow tokens, `keys` are those of the three purposes. Returns the
    tokens and how many of each row are drawn from the target's law.
    """
    requests, steps = len(prompt), np.arange(length + 1)
    last, drafted, logits = np.asarray(prompt), [], []
    for step in steps[:-1]:  # one by one, by the small model
        logits.append(draft(last))
        last = sg.random.categorical(logits[-1], rng=keys[DRAFT], streams=streams, position=position + step)
        drafted.append(last)
    tokens = np.stack(drafted, axis=-1)
    p = np.stack([sg.special.softmax(x) for x in logits], axis=-2)
    q = sg.special.softmax(target(np.column_stack([prompt, tokens])))  # all at once, by the large one

    # Every step of a request has a place of its own, and every purpose a key of its own.
    place = {"streams": np.repeat(streams, length + 1), "position": np.tile(position + steps, requests)}
    u = sg.random.uniform((requests * (length + 1), 1), rng=keys[ACCEPT], dtype=np.float64, **place)
    u = u.reshape(requests, length + 1)[:, :-1]
    of_draft, of_target = (np.take_along_axis(x[:, :length], tokens[..., None], -1)[..., 0] for x in (p, q))
    accepted = np.minimum.accumulate(u * of_draft < of_target, axis=-1)
    count = accepted.sum(-1)

    residual = q.copy()  # behind the last draft there is nothing to be subtracted
    residual[:, :-1] = np.maximum(q[:, :-1] - p, 0)
    residual[residual.sum(-1) == 0] = 1  # where nothing can be rejected
    recovered = sg.random.categorical(sg.special.log(residual.reshape(-1, q.shape[-1])), rng=keys[RECOVER], **place)
    tokens = np.column_stack([tokens, tokens[:, -1]])
    np.put_along_axis(
        tokens, count[:, None], np.take_along_axis(recovered.reshape(requests, -1), count[:, None], -1), -1
    )
    return tokens, count + 1


def purposes(key):
    """Return a key for each of the three purposes."""
    return [sg.random.fold_in(key, purpose) for purpose in (DRAFT, ACCEPT, RECOVER)]


def first_tokens(keys, small, large, requests):
    """Return how often each word is the first of a request, and how many tokens a call of the large model gives."""
    prompts = np.zeros(len(requests), int)
    tokens, count = speculate(small.__getitem__, large.__getitem__, prompts, 4, keys=keys, streams=requests, position=0)
    return np.bincount(tokens[:, 0], minlength=len(large)) / len(requests), count.mean()


if __name__ == "__main__":
    requests, key = np.arange(100_000), sg.random.key(7)
    # Probabilities of the next of four words, by the last one.
    small = np.log([[0.4, 0.3, 0.2, 0.1], [0.3, 0.3, 0.2, 0.2], [0.2, 0.3, 0.4, 0.1], [0.1, 0.5, 0.2, 0.2]])
    large = np.log([[0.1, 0.3, 0.4, 0.2], [0.4, 0.3, 0.2, 0.1], [0.2, 0.3, 0.3, 0.2], [0.1, 0.7, 0.1, 0.1]])
    law = sg.special.softmax(large[0])
    found, length = first_tokens(purposes(key), small, large, requests)
    print(f"tokens per call of the large model: {length:.2f}, of 5 at most")
    with np.printoptions(precision=3, suppress=True, floatmode="fixed"):
        print("the first word of a request:")
        print("the small model's law ", sg.special.softmax(small[0]))
        print("the large model's law ", law)
        print("drawn                 ", found)
    assert np.max(np.abs(found - law)) < 0.01  # 6 standard deviations

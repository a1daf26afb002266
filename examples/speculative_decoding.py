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


if __name__ == "__main__":
    words = 6
    small, large = (2 * sg.random.gumbel((words, words), rng=seed) for seed in (1, 2))  # logits by the last word
    requests = np.arange(20000)
    tokens, count = speculate(
        small.__getitem__,
        large.__getitem__,
        np.zeros(requests.size, int),
        4,
        keys=purposes(sg.random.key(7)),
        streams=requests,
        position=0,
    )
    found = np.bincount(tokens[:, 0], minlength=words) / requests.size
    print("tokens per call of the large model:", round(count.mean(), 2))
    print("first tokens, found:", found.round(3), "the large model's law:", sg.special.softmax(large[0]).round(3))
    assert np.max(np.abs(found - sg.special.softmax(large[0]))) < 0.02

"""Thinking in soft tokens: a rollout, its ratio under a policy, and a step of gradient on the few logits that count."""

import numpy as np

import sorgum as sg

vocabulary, dimensions, steps, k = 1000, 64, 12, 5
draw = sg.random.key(7)
embeddings = sg.random.normal((vocabulary, dimensions), rng=sg.random.fold_in(draw, 0)).astype(np.float16)
head = sg.random.normal((dimensions, vocabulary), rng=sg.random.fold_in(draw, 1)) * np.float32(
    0.4
)  # stands in for a model

requests = np.array([1001, 7, 424242])  # each with noise of its own, whatever the batch
state = np.asarray(embeddings[[3, 14, 15]], dtype=np.float32)
rollout = []
for step in range(steps):
    logits = state @ head
    tokens = sg.random.soft_token_step(logits, k, rng=draw, streams=requests, position=step, top_p=0.95)
    rollout.append((logits, tokens))
    mixed = sg.random.embedding_mix(tokens.weights, tokens.indices, embeddings)  # what the model reads next
    state = np.float32(0.7) * state + np.float32(0.5) * mixed.astype(np.float32)

print("heaviest tokens of request 7:", [int(tokens.indices[1, 0]) for _, tokens in rollout])
print("their weights:               ", [round(float(tokens.weights[1, 0]), 2) for _, tokens in rollout])

# Nothing of the noise need be kept: request 7 alone, and later, draws the same.
logits, tokens = rollout[4]
alone = sg.random.soft_token_step(logits[1], k, rng=draw, streams=7, position=4, top_p=0.95)
same = alone.log_weights.tobytes() == tokens.log_weights[1].tobytes()
print("request 7 alone, step 4 again: ", "the same bits" if same else "OTHER BITS")
assert same

# The policy that drew has the ratio 1, exactly; one whose logits moved along the gradient finds its tokens likelier.
advantage = np.array([1.0, -0.5, 0.25])
ratios = []
for logits, tokens in rollout:
    old = sg.random.soft_token_log_prob(logits, tokens.indices, tokens.log_weights)
    again = sg.random.soft_token_log_prob(logits.copy(), tokens.indices, tokens.log_weights)
    assert np.array_equal(sg.special.exp(again - old), np.ones(len(requests)))
    gradient = sg.random.soft_token_log_prob_grad(logits, tokens.indices, tokens.log_weights, dy=advantage)
    moved = logits.astype(np.float64)
    for row, ids, change in zip(moved, tokens.indices, gradient, strict=True):
        row[ids[ids >= 0]] += 0.01 * change[ids >= 0]  # the gradient of all other logits is 0
    new = sg.random.soft_token_log_prob(moved, tokens.indices, tokens.log_weights)
    ratios.append(sg.special.exp(new - old))
    assert np.all(advantage * (new - old) >= -1e-9)
print("advantages of the requests:    ", advantage.tolist())
print("ratios before the gradient:    ", sg.special.exp(again - old).tolist())
print("ratios after it, on average:   ", np.mean(ratios, axis=0).round(4).tolist())

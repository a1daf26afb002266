"""Tokens that do not depend on the batch, nor on how the vocabulary is sharded."""

import itertools

import numpy as np

import sorgum as sg

vocabulary, requests = 50257, [41, 7, 1234]  # ids of requests: any 64 bits
logits = 3 * sg.random.gumbel((len(requests), vocabulary), rng=0)
key = sg.random.fold_in(sg.random.key(2024), 3)  # a seed, and the layer or worker that draws

# Step 17 of every request, drawn together ...
together = sg.random.categorical(logits, rng=key, streams=requests, position=17, temperature=0.8)

print("tokens of requests", requests, "at step 17:", together.tolist())

# ... each alone, in another order ...
for row in (2, 0, 1):
    alone = sg.random.categorical(logits[row], rng=key, streams=requests[row], position=17, temperature=0.8)
    print(f"request {requests[row]} alone: {alone}")
    assert alone == together[row]

# ... and by four workers, each of which has a quarter of the vocabulary and sends three numbers per request.
edges = [0, 12565, 25130, 37695, vocabulary]
parts = [
    sg.random.gumbel_partial(
        logits[:, first:last], rng=key, streams=requests, position=17, temperature=0.8, index_offset=first
    )
    for first, last in itertools.pairwise(edges)
]
merged = sg.random.gumbel_merge(np.stack(parts), axis=0)
print("four workers with a quarter of the vocabulary each, merged:", merged["index"].tolist())
print(f"what a worker sends: {parts[0].nbytes // len(requests)} bytes per request, in place of", end=" ")
print(f"{logits[:, : edges[1]].nbytes // len(requests)}")
assert np.array_equal(merged["index"], together)

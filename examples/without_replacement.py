"""Sampling without replacement: k categories per row, their probability, and sums that estimate expectations."""

import numpy as np

import sorgum as sg

cities = ["Lagos", "Lima", "Oslo", "Pune", "Quito", "Riga", "Seoul"]
weights = np.array([30.0, 20.0, 15.0, 12.0, 10.0, 8.0, 5.0])
logits = np.log(weights)  # any constant may be added: probabilities are softmax(logits)

drawn = sg.random.gumbel_top_k(logits, 3, rng=3)
print("three of seven, in the order of the draw:", ", ".join(cities[i] for i in drawn.indices))
ordered, as_set = (sg.random.top_k_log_prob(logits, drawn.indices, ordered=order) for order in (True, False))
print(f"probability in this order {np.exp(ordered):.4f}, in any order {np.exp(as_set):.4f}")

# The first is what `categorical` draws with the same key: one draw is the beginning of a longer one.
first = sg.random.categorical(logits, rng=3)
longer = sg.random.gumbel_top_k(logits, 5, rng=3)
print(f"categorical draws {cities[first]}; five of seven begin with the same three:", end=" ")
print(np.array_equal(longer.indices[:3], drawn.indices))
assert first == drawn.indices[0]

# 20000 rows of 3, each with a stream of its own. How often each city is among them, and what the samples estimate.
many = np.tile(logits, (20000, 1))
samples = sg.random.gumbel_top_k(many, 3, rng=4)
share = np.bincount(samples.indices.ravel(), minlength=len(cities)) / len(many)
print("city     one draw   among 3")
for city, p, among in zip(cities, sg.special.softmax(logits), share, strict=True):
    print(f"{city:8} {p:8.3f} {among:9.3f}")

# An unweighted mean over what was drawn favours rare cities; inclusion weights p / q take that back.
letters = np.array([len(city) for city in cities])
exact = (sg.special.softmax(logits) * letters).sum()
plain = letters[samples.indices].mean()
weighted = (sg.random.inclusion_weights(many, samples) * letters[samples.indices]).sum(-1).mean()
print(f"letters per city: exactly {exact:.3f}; weighted {weighted:.3f}; unweighted, and biased, {plain:.3f}")
assert abs(weighted - exact) < 0.05

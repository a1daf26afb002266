"""Three adapters served over one base: every row of a batch has an adapter of its own, or none.

A batch of a server mixes the requests of many customers. The base layer is one product for all of them; what each
adapter adds takes two thin products for its own rows. Merged weights would be a copy of the layer for every customer.
"""

import numpy as np

import sorgum as sg

OUT, IN, ROWS = 768, 512, 96
key = sg.random.key(7)
W = 0.03 * sg.random.normal((OUT, IN), rng=sg.random.fold_in(key, 0))

# Of different ranks, as they were trained.
adapters = sg.lowrank.adapters
support, law, poetry = (adapters.LoRA.init(W, rank, scale=16 / rank, rng=rank) for rank in (4, 8, 16))
for i, adapter in enumerate((support, law, poetry)):
    B = adapter.parameters["B"]
    B += 0.01 * sg.random.normal(B.shape, rng=sg.random.fold_in(key, 10 + i))
served = sg.lowrank.AdapterSet([adapter.factors for adapter in (support, law, poetry)])
print(f"{len(served)} adapters of ranks {served.ranks} over a layer of shape {served.shape}:")
numbers = sum(adapter.count for adapter in (support, law, poetry))
print(f"{numbers / W.size:.0%} of the numbers of the layer, where merged weights would be {len(served)} times as many")

# A batch as it comes: rows of all customers in any order, and of some who have no adapter (-1).
x = sg.random.normal((ROWS, IN), rng=sg.random.fold_in(key, 20))
ids = sg.random.categorical(np.zeros((ROWS, 4)), rng=sg.random.fold_in(key, 21)) - 1
base = x @ W.T
y = sg.lowrank.apply_adapters(x, served, ids, base=base)
names = ("no adapter", "support", "law", "poetry")
print(", ".join(f"{np.sum(ids == i - 1)} rows with {name}" for i, name in enumerate(names)))

# What a row gets does not depend on who stands beside it, bit for bit: alone, or with all others.
for row, i in enumerate(ids):
    if i < 0:
        assert y[row].tobytes() == base[row].tobytes()
        continue
    A, B, scale = (support, law, poetry)[i].factors
    assert y[row].tobytes() == sg.lowrank.apply(x[row], A, B, scale=scale, base=base[row]).tobytes()
print("each row has the bits that it has alone, and rows without an adapter those of the base")

# The same as with the merged weights, but for rounding.
for i, adapter in enumerate((support, law, poetry)):
    merged = x[ids == i] @ adapter.merge().T
    off = np.abs(y[ids == i] - merged).max() / np.abs(merged).max()
    print(f"{names[i + 1]}: off by {off:.1e} of the largest number from the merged weight")
    assert off < 1e-5

# A customer leaves: an id, not a weight, changes.
ids[ids == 2] = -1
assert np.array_equal(sg.lowrank.apply_adapters(x, served, ids, base=base)[ids == -1], base[ids == -1])

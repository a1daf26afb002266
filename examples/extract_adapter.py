"""An adapter from two weights: what fine-tuning changed, as a pair of thin factors, and how large the rank must be.

The update here is made up: 12 directions that training learned, each half as strong as two before it, and a little of
everything else, as the noise of the gradient leaves it. Weights are float16, as they lie in a checkpoint.

Usage: python extract_adapter.py [PICTURE.png], which draws the error over the rank (needs matplotlib).
"""

import sys

import numpy as np

import sorgum as sg

OUT, IN, LEARNED = 768, 512, 12
key = sg.random.key(11)


def normal(*shape: int, purpose: int) -> np.ndarray:
    """Return normal numbers of their own."""
    return sg.random.normal(shape, rng=sg.random.fold_in(key, purpose))


before = (0.03 * normal(OUT, IN, purpose=1)).astype(np.float16)
strengths = 0.5 ** (np.arange(LEARNED) / 2)
update = (normal(OUT, LEARNED, purpose=2) * strengths) @ normal(LEARNED, IN, purpose=3)
update += 0.2 * normal(OUT, IN, purpose=4)
after = (before + 0.002 * update).astype(np.float16)

# The error at some ranks. W1 - W0 is never formed as a whole, and the error is that of the residual.
ranks = [1, 2, 4, 8, 12, 16, 32, 64]
errors = [sg.lowrank.extract(after, before, rank=rank).error for rank in ranks]
difference = after.astype(np.float64) - before.astype(np.float64)
values = np.linalg.svd(difference, compute_uv=False)
best = [float(np.linalg.norm(values[rank:]) / np.linalg.norm(values)) for rank in ranks]
for rank, error, least in zip(ranks, errors, best, strict=True):
    print(f"rank {rank:2}: {error:.4f} of the update is lost, {least:.4f} at the least")
    assert error <= 1.01 * least

# As few directions as hold 95 percent of the energy: the strongest of those that were learned.
A, B = found = sg.lowrank.extract(after, before, energy=0.95)
print(f"95 percent of the energy: rank {len(A)}, {A.size + B.size} numbers instead of {after.size}")
assert found.error**2 <= 0.05

merged = sg.lowrank.merge(before, A, B)
lost = np.linalg.norm(merged - after.astype(np.float64)) / np.linalg.norm(difference)
print(f"merged again: off by {lost:.4f} of the update, of which {found.error:.4f} was promised")
assert lost <= 1.05 * found.error

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(5.6, 3.2), layout="constrained")
    every = np.arange(len(values) + 1)
    tails = np.sqrt(np.append(np.cumsum((values**2)[::-1])[::-1], 0)) / np.linalg.norm(values)
    axis.plot(every[1:161], tails[1:161], color="0.6", label="the least that is possible")
    axis.plot(ranks, errors, "o", color="#0072B2", label="extract, as it reports it")
    axis.axvline(LEARNED, color="#E69F00", linewidth=1)
    axis.annotate(f"{LEARNED} directions were learned", (LEARNED, 0.9), (6, 0), textcoords="offset points", fontsize=9)
    axis.set(xscale="log", xlabel="rank of the adapter", ylabel="relative error", ylim=(0, 1))
    axis.set_xticks([1, 2, 4, 8, 16, 32, 64, 128], [1, 2, 4, 8, 16, 32, 64, 128])
    axis.minorticks_off()
    axis.legend(frameon=False, loc="center right", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(sys.argv[1], dpi=120)

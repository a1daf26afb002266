"""A layer fine-tuned by adapters in NumPy: what each of them learns, with how many numbers, and the merged weight.

The task is a regression: outputs of a layer whose weight differs from ours by a change of rank 3, and noise. Such a
change is what LoRA can be, and no other: PiSSA would have to hold what it took from the weight besides, HiRA
multiplies, NOLA and SVFit have fewer numbers. The optimiser is Adam in six lines; it knows parameters' names alone.

Usage: python finetune_adapter.py [PICTURE.png], which draws the losses (needs matplotlib).
"""

import sys

import numpy as np

import sorgum as sg

OUT, IN, SAMPLES, RANK, STEPS, NOISE = 64, 48, 1024, 3, 300, 0.1
key = sg.random.key(5)


def normal(*shape: int, purpose: int) -> np.ndarray:
    """Return normal numbers of their own."""
    return sg.random.normal(shape, rng=sg.random.fold_in(key, purpose))


W = 0.2 * normal(OUT, IN, purpose=0)
learnable = W + 0.1 * normal(OUT, RANK, purpose=1) @ normal(RANK, IN, purpose=2)
x = normal(SAMPLES, IN, purpose=3)
wanted = x @ learnable.T + NOISE * normal(SAMPLES, OUT, purpose=4)


def train(adapter: sg.lowrank.adapters.Adapter, rate: float) -> list[float]:
    """Step the parameters by Adam, and return the loss of every step."""
    base, losses = x @ adapter.weight.T, []
    first, second = ({name: 0.0 * array for name, array in adapter.parameters.items()} for _ in range(2))
    for step in range(1, STEPS + 1):
        error = adapter.forward(x, base=base) - wanted
        losses.append(float(np.mean(error**2)))
        for name, gradient in adapter.grad(x, 2 * error / error.size).parameters.items():
            first[name] += 0.1 * (gradient - first[name])
            second[name] += 0.01 * (gradient**2 - second[name])
            steps = first[name] / (1 - 0.9**step) / (np.sqrt(second[name] / (1 - 0.99**step)) + 1e-8)
            adapter.parameters[name] -= rate * steps
    return losses


kinds = sg.lowrank.adapters
tried = {
    "LoRA": (kinds.LoRA.init(W, RANK, rng=1), 0.02),
    "PiSSA": (kinds.PiSSA.init(W, 2 * RANK), 0.02),
    "HiRA": (kinds.HiRA.init(W, RANK, rng=1), 0.1),
    "NOLA": (kinds.NOLA.init(W, RANK, bases=84, rng=1), 0.1),
    "SVFit": (kinds.SVFit.init(W, 48), 0.02),
}
losses = {name: train(adapter, rate) for name, (adapter, rate) in tried.items()}
print(f"a layer of {W.size} numbers; noise alone would leave a loss of {NOISE**2:.4f}")
for name, (adapter, _) in tried.items():
    print(f"{name:5}: {adapter.count:4} numbers, loss {losses[name][0]:.4f} -> {losses[name][-1]:.4f}")
    assert losses[name][-1] < losses[name][0]
assert losses["LoRA"][-1] < 1.2 * NOISE**2

# The merged weight does what the layer and its adapter did, and what was learned is saved by name.
adapter = tried["LoRA"][0]
merged = adapter.merge()
off = np.abs(x @ merged.T - adapter.forward(x, base=x @ W.T)).max()
print(f"merged: one weight, off by at most {off:.1e}")
assert off < 1e-4
again = kinds.LoRA.init(W, RANK)
for name, array in adapter.parameters.items():
    again.parameters[name] = array
assert again.merge().tobytes() == merged.tobytes()

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(5.6, 3.2), layout="constrained")
    colours = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
    for (name, (one, _)), colour in zip(tried.items(), colours, strict=True):
        axis.plot(losses[name], color=colour, label=f"{name}, {one.count} numbers")
    axis.axhline(NOISE**2, color="0.6", linewidth=1)
    axis.annotate("noise", (STEPS, NOISE**2), (-4, 3), textcoords="offset points", ha="right", fontsize=9)
    axis.set(yscale="log", xlabel="step", ylabel="loss")
    axis.legend(frameon=False, fontsize=9, loc="center right")
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(sys.argv[1], dpi=120)

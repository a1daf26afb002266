"""A layer that chooses: Gumbel-softmax trained in NumPy, with a gradient that draws the noise again.

Eight switches choose one of four features each. The choice is discrete, so its gradient is taken from a relaxed draw
whose temperature falls. Jang, Gu and Poole, "Categorical Reparameterization with Gumbel-Softmax", 2017.

Usage: python relaxed_layer.py [PICTURE.png], which draws relaxed draws at three temperatures (needs matplotlib).
"""

import sys

import numpy as np

import sorgum as sg

switches, features, samples = 8, 4, 64
key = sg.random.key(5)
wanted = np.array([2, 0, 3, 1, 1, 2, 0, 3])  # what the layer has to find out
logits = np.zeros((switches, features), dtype=np.float32)  # its parameters

for step in range(301):
    # Inputs, and the answers of the layer that chooses right.
    x = sg.random.normal((samples, switches, features), rng=sg.random.fold_in(key, 0), position=step)
    target = np.take_along_axis(x, wanted[None, :, None], axis=-1)[..., 0].sum(-1)

    # Forward: every sample draws a relaxed choice of its own. The streams are the rows' numbers, in C order.
    temperature = max(0.3, 0.99**step)
    options = {"rng": sg.random.fold_in(key, 1), "temperature": temperature, "position": step}
    stacked = np.broadcast_to(logits, x.shape)
    choice = sg.random.gumbel_softmax(stacked, **options)
    error = (choice * x).sum((-1, -2)) - target

    # Backward: the same key and position give the same noise, so that none of it was kept.
    upstream = 2 / samples * error[:, None, None] * x
    gradient = sg.random.gumbel_softmax_grad(stacked, dy=upstream, **options).sum(0)
    if step % 60 == 0:
        found = int((logits.argmax(-1) == wanted).sum())
        print(
            f"step {step:3}  T {temperature:.2f}  squared error {np.mean(error**2):7.4f}  right {found} of {switches}"
        )
    logits -= np.float32(0.1) * gradient

print("chosen:", logits.argmax(-1).tolist(), "wanted:", wanted.tolist())
assert np.array_equal(logits.argmax(-1), wanted)

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    corners = np.array([[0, 0], [1, 0], [0.5, np.sqrt(3) / 2]])
    figure, axes = plt.subplots(1, 4, figsize=(8.3, 2.3), layout="constrained")
    parameters = np.tile(np.log(np.float32([0.2, 0.3, 0.5])), (1500, 1))
    panels = [(5.0, False, "T = 5"), (1.0, False, "T = 1"), (0.3, False, "T = 0.3"), (1.0, True, "hard")]
    colors = np.array(["#0072B2", "#E69F00", "#009E73"])
    hard = sg.random.categorical(parameters, rng=8)
    for axis, (temperature, is_hard, title) in zip(axes, panels, strict=True):
        points = sg.random.gumbel_softmax(parameters, rng=8, temperature=temperature, hard=is_hard) @ corners
        axis.fill(*corners.T, facecolor="0.95", edgecolor="0.6", linewidth=0.8)
        if is_hard:
            shares = np.bincount(hard, minlength=3) / len(hard)
            for corner, share, color in zip(corners, shares, colors, strict=True):
                axis.scatter(*corner, s=400 * share, color=color)
                axis.annotate(f"{share:.2f}", corner, (0, 9), textcoords="offset points", ha="center", fontsize=9)
        else:
            axis.scatter(*points.T, s=2, c=colors[hard], alpha=0.6, linewidths=0)
        axis.set_title(title, fontsize=9)
        axis.set(aspect="equal", xlim=(-0.12, 1.12), ylim=(-0.12, 1.1))
        axis.axis("off")
    figure.suptitle("Draws of law (0.2, 0.3, 0.5), relaxed; one colour per category that `hard` chooses", fontsize=10)
    figure.savefig(sys.argv[1], dpi=120)

"""A flow on the simplex: letters from noise, by Euler's steps along the velocity towards what a model predicts.

Tang, Zhang, Tong and Chatterjee, "Gumbel-Softmax Flow Matching", 2025 (arXiv 2503.17361). In the place of a model
stands the best prediction that there can be for letters of a known law: Bayes' rule, with the interpolant's density.

Usage: python flow.py [PICTURE.png], which draws some paths (needs matplotlib).
"""

import sys

import numpy as np

import sorgum as sg

law = np.array([0.2, 0.3, 0.5])
maximum, decay, steps, rows = 10.0, 6.0, 100, 4000


def predict(points: np.ndarray, temperature: float, beta: float) -> np.ndarray:
    """Return the probability of every letter, given points of the interpolant at a temperature."""
    y = sg.special.log(np.maximum(points, 1e-300))
    densities = [
        sg.random.concrete_log_prob(y, beta * vertex, temperature=beta * temperature) for vertex in np.eye(law.size)
    ]
    return sg.special.softmax(np.stack(densities, axis=-1) + np.log(law))


def path(beta: float) -> list[np.ndarray]:
    """Return the points at every step: from noise around the vertices, divided by beta, to the vertices."""
    targets = sg.random.categorical(np.tile(np.log(law), (rows, 1)), rng=1)
    start = sg.random.flow_temperature(0.0, maximum=maximum, decay=decay)
    x = sg.random.flow_interpolant(targets, law.size, rng=2, temperature=start, beta=beta, dtype=np.float64)
    found = [x]
    for step in range(steps):
        t = sg.random.flow_temperature(step / steps, maximum=maximum, decay=decay)
        velocity = sg.random.flow_velocity(x, predict(x, t, beta), temperature=t, decay=decay)
        x = sg.random.flow_step(x, velocity, 1 / steps)
        found.append(x)
    return found


def letters_of(points: np.ndarray) -> np.ndarray:
    """Return how often each letter is the largest."""
    return np.bincount(points.argmax(-1), minlength=law.size) / len(points)


points = path(beta=5.0)
print("time  temperature  largest coordinate, on average")
for step in range(0, steps + 1, 25):
    t = sg.random.flow_temperature(step / steps, maximum=maximum, decay=decay)
    print(f"{step / steps:4.2f}  {float(t):11.3f}  {points[step].max(-1).mean():.3f}")
print("the letters' law:                 ", law)
print("letters at the end, noise / 5:    ", letters_of(points[-1]).round(3))
# The velocity is that of the interpolant without its noise: the larger the noise, the more common letters gain.
print("letters at the end, noise / 2:    ", letters_of(path(beta=2.0)[-1]).round(3), "(common letters gain)")
assert np.max(np.abs(letters_of(points[-1]) - law)) < 0.03

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    corners = np.array([[0, 0], [1, 0], [0.5, np.sqrt(3) / 2]])
    figure, axes = plt.subplots(1, 2, figsize=(7.0, 3.0), layout="constrained")
    for axis, beta in zip(axes, (5.0, 2.0), strict=True):
        walked = np.stack(path(beta))[:, :150] @ corners
        axis.fill(*corners.T, facecolor="0.96", edgecolor="0.6", linewidth=0.8)
        ends = letters_of(path(beta)[-1])
        for row in range(walked.shape[1]):
            color = ["#0072B2", "#E69F00", "#009E73"][int(np.argmin(((corners - walked[-1, row]) ** 2).sum(-1)))]
            axis.plot(*walked[:, row].T, color=color, linewidth=0.7, alpha=0.7)
        for corner, letter, p, share in zip(corners, "ABC", law, ends, strict=True):
            below = corner[1] == 0
            axis.annotate(
                f"{letter}: {share:.2f} ({p:.1f})",
                corner,
                (0, -13 if below else 5),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
        axis.set_title(f"noise / {beta:g}", fontsize=10, y=1.05)
        axis.set(aspect="equal", xlim=(-0.15, 1.15), ylim=(-0.12, 0.98))
        axis.axis("off")
    figure.suptitle("150 paths of the flow; at each vertex the share of ends (and its probability)", fontsize=10)
    figure.savefig(sys.argv[1], dpi=120)

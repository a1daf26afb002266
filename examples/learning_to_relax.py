"""The experiments of "Learning to Relax" (Khodak, Chow, Balcan and Talwalkar, ICLR 2024): factors of the next system.

Usage: python learning_to_relax.py [--full] [PICTURE.png]. --full takes minutes: the paper's 5000 systems of each set.
"""

import math
import sys
from typing import Any

import numpy as np

import sorgum as sg

FULL = "--full" in sys.argv
PICTURE = [name for name in sys.argv[1:] if not name.startswith("--")]
SYSTEMS, STEPS, BEGIN = (5000, 5000, 0.0) if FULL else (400, 200, 0.5)
SIDE, RTOL = 10, 1e-8
ARMS = [1 + 0.05 * i for i in range(20)]
LEAST = 8 * math.sin(math.pi / 2 / (SIDE + 1)) ** 2  # eigenvalue of the five-point Laplacian


class Rows:
    """A five-point Laplacian in compressed rows: what sorgum needs of one, if SciPy is not there."""

    format = "csr"

    def __init__(self, side: int) -> None:
        """Make it, with points numbered along the axes."""
        y, x = np.indices((side, side)).reshape(2, -1)
        entries = [(y * side + x, y * side + x, np.full(y.size, 4.0))]
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            inside = (y + dy >= 0) & (y + dy < side) & (x + dx >= 0) & (x + dx < side)
            here = (y * side + x)[inside]
            entries.append((here, here + dy * side + dx, np.full(here.size, -1.0)))
        i, j, data = (np.concatenate(part) for part in zip(*entries, strict=True))
        order = np.lexsort((j, i))
        self.indices, self.data, self.shape = j[order].astype(np.int32), data[order], (side * side, side * side)
        self.indptr = np.searchsorted(i[order], np.arange(side * side + 1)).astype(np.int32)
        self.diagonal = self.data == 4


def young(mu: Any) -> Any:
    """Return the best factor of a consistently ordered matrix with the Jacobi radius mu."""
    return 2 / (1 + np.sqrt(1 - np.square(mu)))


# The Laplacian plus c I, with c between -0.15, where it is nearly singular, and 0.45: Beta distributions of high and of
# low variance. (The paper draws b again where its norm exceeds that of ones. Directions alone matter here.)
A, table, running = Rows(SIDE), {}, {}
relaxation = sg.sor.Relaxation(A)
for name, concentration in (("high variance", (0.5, 1.5)), ("low variance", (2.0, 6.0))):
    parts = sg.random.dirichlet(np.tile(np.float64(concentration), (SYSTEMS, 1)), rng=1)
    shifts, sides = -0.15 + 0.6 * parts[:, 0], sg.random.normal((SYSTEMS, SIDE * SIDE), rng=2, dtype=np.float64)

    def sweeps(omega: Any, shifts: Any = shifts, sides: Any = sides) -> Any:
        """Return how many each system takes."""
        _, info, iterations = sg.sor.sor_batch(A, sides, shift=shifts, omega=omega, rtol=RTOL, maxiter=10000)
        assert not info.any()
        return iterations

    losses = np.stack([sweeps(arm) for arm in ARMS], axis=1)  # what every arm takes, for every system
    means = losses.mean(axis=0)
    best = int(means.argmin())
    found = {"1.0 (Gauss-Seidel)": losses[:, 0], f"best fixed, {ARMS[best]:.2f}": losses[:, best]}
    policies: dict[str, sg.sor.Policy] = {
        "Tsallis-INF, importance weights": sg.sor.TsallisINF(ARMS, rng=3, estimator="importance_weighting"),
        "Tsallis-INF, reduced variance": sg.sor.TsallisINF(ARMS, rng=3),
        "Tsallis-INF in 5 bins": sg.sor.TsallisINFBins(-0.15, 0.65, arms=ARMS, rng=3),
        "ChebCB": sg.sor.ChebCB(-0.15, 0.65, arms=ARMS, rng=3),
    }
    for label, policy in policies.items():  # played against what is known already
        took = np.empty(SYSTEMS)
        for i, c in enumerate(shifts.tolist()):
            omega = policy.choose(c)
            took[i] = losses[i, ARMS.index(omega)]
            policy.learn(c, omega, took[i])
        found[label] = took
    for label, policy in (
        ("Adaptive", sg.sor.Adaptive()),
        ("YoungModel", sg.sor.YoungModel("shift", diagonal=4.0)),
    ):
        solver, took = sg.sor.SequenceSolver(policy, rtol=RTOL), np.empty(SYSTEMS)
        for i, c in enumerate(shifts.tolist()):
            relaxation.shift(c)
            took[i] = solver.solve(relaxation, sides[i], c).iterations
        found[label] = took
    found["best of 20 for each system"] = losses.min(axis=1)
    found["Young's factor for each system"] = sweeps(young(1 - (LEAST + shifts) / (4 + shifts)))
    table[name] = {label: float(took.mean()) for label, took in found.items()}
    running[name] = means, {label: np.cumsum(took) / np.arange(1, SYSTEMS + 1) for label, took in found.items()}
    print(f"{name}, {SYSTEMS} systems: sweeps each, in the mean, and in the second half")
    for label, took in found.items():
        print(f"  {label:32} {took.mean():6.1f} {took[SYSTEMS // 2 :].mean():6.1f}")
    optimum, mean = table[name]["Young's factor for each system"], table[name]
    assert mean["Adaptive"] <= 1.22 * optimum
    assert mean["YoungModel"] <= (1.05 if FULL else 1.15) * optimum
    assert optimum < means[best]
if FULL:
    for name, wanted in (("high variance", (103.5, 56.2, 120, 65.5)), ("low variance", (59.2, 41.8, 67.4, 46.4))):
        mean = table[name]
        fixed = next(value for label, value in mean.items() if label.startswith("best fixed"))
        labels = "Young's factor for each system", "Tsallis-INF, importance weights", "ChebCB"
        for ours, theirs, part in zip((fixed, *(mean[k] for k in labels)), wanted, (2, 2, 4, 4), strict=True):
            assert abs(ours / theirs - 1) <= part / 100, (name, ours, theirs)

# Heat with a source that circles, and a conductivity that swings over four decades; each step by conjugate gradients
# with SSOR, from the step before.
POINTS, STEP = 25, 1e-3
K, scale = Rows(POINTS - 1), POINTS**2
y, x = np.indices((POINTS - 1, POINTS - 1)).reshape(2, -1) / POINTS + 1 / POINTS


def bump(cx: float, cy: float, radius: float) -> Any:
    """Return a smooth hill of height 1."""
    square = np.minimum(((x - cx) ** 2 + (y - cy) ** 2) / radius**2, 1 - 1e-9)
    return np.exp(1 - 1 / (1 - square))


def times(data: Any, v: Any) -> Any:
    """Return the product of a matrix of K's pattern and a vector."""
    return np.add.reduceat(data * v[K.indices], K.indptr[:-1])


def conjugate_gradients(data: Any, b: Any, u: Any) -> tuple[Any, int]:
    """Solve without a preconditioner."""
    r = b - times(data, u)
    p, square, iterations = r, r @ r, 0
    while square > (RTOL * np.linalg.norm(b)) ** 2:
        product = times(data, p)
        step = square / (p @ product)
        u, r = u + step * p, r - step * product
        before, square = square, r @ r
        p, iterations = r + square / before * p, iterations + 1
    return u, iterations


def march(policy: sg.sor.Policy | None) -> int:
    """Return how many iterations all steps take."""
    solver = sg.sor.SequenceSolver(policy, method="ssor_cg", rtol=RTOL)
    u, total, matrix = bump(0.5, 0.5, 0.25), 0, Rows(POINTS - 1)
    for step in range(STEPS):
        t = BEGIN + (step + 0.5) * STEP
        wave = math.sin(2 * math.pi * t)
        s = max(0.1 * wave, -10 * wave) * STEP / 2
        matrix.data = s * scale * K.data + K.diagonal
        angle = 16 * math.pi * t
        source = 32 * bump(0.5 + math.cos(angle) / 4, 0.5 + math.sin(angle) / 4, 0.125)
        b = u - s * scale * times(K.data, u) + STEP * source
        if policy is None:
            u, iterations = conjugate_gradients(matrix.data, b, u)
        else:
            result = solver.solve(matrix, b, s, u)
            assert result.info == 0
            u, iterations = result.x, result.iterations
        total += iterations
    return total


class Known(sg.sor.Policy):
    """Young's factor from the radius that this grid has."""

    def choose(self, context: Any) -> float:
        """Return it."""
        share = 4 * scale * context
        return float(young(share * math.cos(math.pi / POINTS) / (1 + share)))


largest = 10 * STEP / 2
heat = {"conjugate gradients": march(None)}
for omega in (1.0, 1.2, 1.3, 1.4, 1.5, 1.75) if FULL else (1.0, 1.5):
    heat[f"SSOR, {omega}"] = march(sg.sor.Fixed(omega))
for label, policy in {
    "Tsallis-INF": sg.sor.TsallisINF(ARMS, rng=3),
    "ChebCB": sg.sor.ChebCB(0, largest, arms=ARMS, rng=3),
    "Adaptive": sg.sor.Adaptive(),
    "YoungModel": sg.sor.YoungModel("scale", diagonal=4.0 * scale),
    "Young's factor": Known(),
}.items():
    heat[label] = march(policy)
print(f"heat, {STEPS} steps on {POINTS - 1} x {POINTS - 1} points: iterations in all")
for label, total in heat.items():
    print(f"  {label:32} {total:6}")
fixed = min(total for label, total in heat.items() if label.startswith("SSOR"))
assert heat["Young's factor"] <= heat["YoungModel"] <= fixed < heat["conjugate gradients"]
if FULL:
    for ours, theirs in ((heat["conjugate gradients"], 85422), (fixed, 29453), (heat["Young's factor"], 24197)):
        assert abs(ours / theirs - 1) <= 0.02, (ours, theirs)

if PICTURE:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11.0, 3.6), layout="constrained")
    shown = ("Tsallis-INF, reduced variance", "ChebCB", "Adaptive", "YoungModel", "Young's factor for each system")
    for axis, (name, (means, curves)) in zip(axes, running.items(), strict=False):
        axis.axhline(means.min(), color="grey", linestyle=":", label="best fixed factor")
        for label in shown:
            axis.plot(np.arange(1, SYSTEMS + 1), curves[label], label=label, linewidth=1.2)
        axis.set(title=name, xscale="log", xlabel="systems", ylabel="sweeps a system, mean so far")
        axis.set(xlim=(10, SYSTEMS), ylim=(0.7 * curves[shown[-1]][-1], 3.5 * curves[shown[-1]][-1]))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=3, frameon=False, fontsize=8)
    axes[2].barh(list(heat), [total / 1000 for total in heat.values()])
    axes[2].invert_yaxis()
    axes[2].tick_params(labelsize=7)
    axes[2].set(title="heat", xlabel="thousands of iterations, all steps")
    figure.savefig(PICTURE[0], dpi=110)

"""Heat that spreads in a plate of two metals: each step in time is a linear system that starts from the step before.

Usage: python heat.py [PICTURE.png], which draws the root of the heat at three times (needs matplotlib).
"""

import sys
from typing import Any

import numpy as np

import sorgum as sg

SIDE, STEPS, STEP = 96, 60, 2e-3


class Rows:
    """A matrix in compressed rows: what sorgum needs of one, if SciPy is not there."""

    format = "csr"

    def __init__(self, i: Any, j: Any, values: Any, n: int) -> None:
        """Sort the entries by row; several in one place add up."""
        order = np.lexsort((j, i))
        self.indices, self.data, self.shape = j[order].astype(np.int32), values[order], (n, n)
        self.indptr = np.searchsorted(i[order], np.arange(n + 1)).astype(np.int32)


def conduction(kappa: Any) -> Rows:
    """Return -div(kappa grad) on a square whose border is held at 0, by finite volumes."""
    n = kappa.size
    number = np.arange(n).reshape(kappa.shape)
    entries = []
    for axis in (0, 1):
        here, there = (np.take(number, range(k, kappa.shape[axis] - 1 + k), axis).ravel() for k in (0, 1))
        flow = 2 / (1 / kappa.ravel()[here] + 1 / kappa.ravel()[there]) * SIDE**2  # the harmonic mean
        entries += [(here, there, -flow), (there, here, -flow), (here, here, flow), (there, there, flow)]
        for edge in (0, -1):
            border = np.take(number, edge, axis).ravel()
            entries.append((border, border, 2 * kappa.ravel()[border] * SIDE**2))
    return Rows(*(np.concatenate(part) for part in zip(*entries, strict=True)), n)


y, x = (np.indices((SIDE, SIDE)) + 0.5) / SIDE
kappa = np.where((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.09, 20.0, 1.0) * 0.05  # a disc that conducts well
source = 40.0 * np.exp(-((x - 0.2) ** 2 + (y - 0.5) ** 2) / 0.002)
relaxation = sg.sor.Relaxation(conduction(kappa))
relaxation.update_values(STEP * conduction(kappa).data)
relaxation.shift(1.0)  # I + dt K, of an implicit Euler step

heat, kept, sweeps = np.zeros(SIDE * SIDE), [], []
for step in range(1, STEPS + 1):
    found = relaxation.solve(heat + STEP * source.ravel(), heat, rtol=1e-8)
    assert found.info == 0
    heat = found.x
    sweeps.append(found.iterations)
    if step in (5, 20, 60):
        kept.append((step * STEP, heat.reshape(SIDE, SIDE)))

print(f"{STEPS} steps of {SIDE} x {SIDE} points: {np.mean(sweeps):.0f} sweeps a step, the factor ends at", end=" ")
print(f"{found.omegas[-1]:.3f}")
plain = relaxation.solve(heat + STEP * source.ravel(), heat, omega=1.0, rtol=1e-8)
print(f"Gauss-Seidel takes {plain.iterations} for the next one")
assert plain.iterations > 2 * sweeps[-1]
# As much heat has come as is there or has left: the border takes what the operator's row sums say.
assert 0 < heat.sum() < STEPS * STEP * source.sum()
assert abs(heat.reshape(SIDE, SIDE) - heat.reshape(SIDE, SIDE)[::-1]).max() < 1e-4 * heat.max()  # it is symmetric

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(8.0, 2.8), layout="constrained")
    for axis, (time, plate) in zip(axes, kept, strict=True):
        axis.imshow(np.sqrt(np.maximum(plate, 0)), origin="lower", extent=(0, 1, 0, 1), cmap="inferno")
        axis.contour(kappa, [0.5], origin="lower", extent=(0, 1, 0, 1), colors="white", linewidths=0.5)
        axis.set(title=f"t = {time:.2f}", xticks=[], yticks=[])
    figure.savefig(sys.argv[1], dpi=110)

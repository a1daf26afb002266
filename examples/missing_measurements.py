"""Measurements that are missing: responses of cells to IL-2, which TensorLy brings, 4 percent of them not there.

13 ligands x 4 times x 12 doses x 8 kinds of cells. What is missing does not count in the decomposition, whatever stands
in its place, and comes out of it as an estimate. How good that is can be seen by hiding a tenth of what was measured.

Needs: pip install tensorly
Usage: python missing_measurements.py [PICTURE.png], which draws estimates over measurements (needs matplotlib).
"""

import importlib.util
import pathlib
import sys

import numpy as np

import sorgum as sg

package = importlib.util.find_spec("tensorly")
if package is None or package.origin is None:
    print("tensorly is not installed", file=sys.stderr)
    sys.exit(77)  # for tests: skipped
x = np.load(pathlib.Path(package.origin).parent / "datasets/data/IL2_Response_Tensor.npy")
measured = ~np.isnan(x)
hidden = measured & (sg.random.uniform(x.shape, rng=8) < 0.1)
present = measured & ~hidden
print(f"{x.size} places, {x.size - measured.sum()} without a measurement, {hidden.sum()} hidden")


def off(estimate: np.ndarray, where: np.ndarray) -> float:
    """Return the relative error of an estimate in some places."""
    return float(np.linalg.norm((x - estimate)[where]) / np.linalg.norm(x[where]))


simple = np.broadcast_to(np.nanmean(np.where(present, x, np.nan), axis=(0, 1, 2)), x.shape)
print(f"the mean of the kind of cell: off by {off(simple, hidden):.3f} where values were hidden")

found = {}
for rank in ((1, 1, 1, 1), (2, 2, 2, 2), (3, 2, 3, 3), (4, 3, 4, 4), (8, 4, 8, 8)):
    tensor = sg.tucker.hooi(x, rank, where=present, tol=1e-6, maxiter=2000)
    found[rank] = off(tensor.to_tensor(), hidden)
    print(f"rank {rank}: off by {tensor.error:.3f} where values were used, by {found[rank]:.3f} where they were hidden")
best = min(found, key=lambda rank: found[rank])
print(f"rank {best} tells most about what it did not see; a larger one fits better and knows less")
assert found[best] < 0.5 * off(simple, hidden)
assert found[(8, 4, 8, 8)] > found[best]

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    estimate = sg.tucker.hooi(x, best, where=present, tol=1e-6, maxiter=2000).to_tensor()
    figure, axis = plt.subplots(figsize=(4, 3.6), layout="constrained")
    axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axis.plot(x[present], estimate[present], ".", color="0.8", markersize=2, label="used")
    axis.plot(x[hidden], estimate[hidden], ".", color="#0072B2", markersize=4, label="hidden")
    axis.set(xlabel="measured response", ylabel=f"from the tensor of rank {best}")
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(sys.argv[1], dpi=120)

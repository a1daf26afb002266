"""The holes of a disparity map, filled by a harmonic surface: the motorcycle of scikit-image, 27226 of 370500 pixels.

A stereo camera does not see everything with both eyes: where it does not, the disparity is unknown. Laplace's equation
on the unknown pixels, with the known ones as they are, is the smoothest surface between them. Known pixels that are
hidden as well tell how good that is.

Needs: pip install scikit-image
Usage: python disparity_holes.py [PICTURE.png], which draws the map before and after (needs matplotlib).
"""

import importlib.util
import pathlib
import sys
import time

import numpy as np

import sorgum as sg

package = importlib.util.find_spec("skimage")
found = (
    [] if package is None or package.origin is None else [*pathlib.Path(package.origin).parent.glob("data/*_disp.npz")]
)
if not found:
    print("scikit-image is not installed, or without its data", file=sys.stderr)
    sys.exit(77)  # for tests: skipped
disparity = np.load(found[0])["arr_0"].astype(np.float32)
known = np.isfinite(disparity)


def filled(values: np.ndarray, known: np.ndarray, **options: object) -> np.ndarray:
    """Return the map whose unknown pixels are the mean of their neighbours. Nothing flows through the frame."""
    u = np.where(known, values, values[known].mean())
    info = sg.sor.sor_stencil(
        u, 0.0, [1, 1, -4, 1, 1], fixed=known, boundary="neumann", omega="adaptive", rtol=1e-4, **options
    )
    assert info == 0
    return u


start = time.perf_counter()
surface = filled(disparity, known)
seconds = time.perf_counter() - start
print(f"{known.size} pixels, {np.count_nonzero(~known)} of them unknown: filled in {1e3 * seconds:.0f} ms")
assert np.isfinite(surface).all()
assert (surface[known] == disparity[known]).all()
assert surface.min() >= disparity[known].min() - 0.1  # a harmonic surface has no peaks of its own
assert surface.max() <= disparity[known].max() + 0.1

# Holes of 9 x 9 pixels that we make, where the truth is known.
noise = sg.random.uniform((known.shape[0] // 20, known.shape[1] // 20), rng=1)
hidden = np.zeros(known.shape, bool)
for row, column in np.argwhere(noise < 0.15):
    hidden[20 * row + 5 : 20 * row + 14, 20 * column + 5 : 20 * column + 14] = True
hidden &= known
guess = filled(disparity, known & ~hidden)
mean = np.abs(disparity[hidden] - disparity[known & ~hidden].mean())
errors = np.abs(guess - disparity)[hidden]
print(
    f"{np.count_nonzero(hidden)} pixels hidden: half of them are off by at most {np.median(errors):.2f} of disparity,"
)
print(f"nine tenths by at most {np.quantile(errors, 0.9):.1f}; the mean of the map is off by {np.median(mean):.1f}")
assert np.median(errors) < 0.1 * np.median(mean)

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(7.0, 2.6), layout="constrained")
    for axis, values, title in zip(
        axes, (np.where(known, disparity, np.nan), surface), ("measured", "filled"), strict=True
    ):
        shown = axis.imshow(values[::3, ::3], cmap="viridis", vmin=surface.min(), vmax=surface.max())
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    figure.colorbar(shown, ax=axes, shrink=0.8, label="disparity, pixels")
    figure.savefig(sys.argv[1], dpi=100)

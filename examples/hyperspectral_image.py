"""An image of 200 colours, compressed to a tenth and a fiftieth of error: the Indian Pines scene that TensorLy brings.

145 x 145 pixels of farmland in Indiana, seen by AVIRIS in 200 bands of light and infrared. Neighbouring bands look
alike, so that a few mixtures of them hold nearly everything. Rows and columns of pixels do not.

Needs: pip install tensorly
Usage: python hyperspectral_image.py [PICTURE.png], which draws three images and a spectrum (needs matplotlib).
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
image = np.load(pathlib.Path(package.origin).parent / "datasets/data/Indian_pines_corrected.npy").astype(np.float32)

tensors = {rtol: sg.tucker.sthosvd(image, rtol=rtol) for rtol in (0.1, 0.02)}
for rtol, tensor in tensors.items():
    formed = tensor.to_tensor()
    truth = float(np.linalg.norm((image - formed).ravel()) / np.linalg.norm(image.ravel()))
    print(
        f"rtol {rtol}: rank {tensor.rank}, {image.size / tensor.size:.1f} times fewer numbers, error {tensor.error:.4f}"
    )
    assert truth <= rtol
    assert abs(tensor.error - truth) <= 0.01 * truth

# A pixel's spectrum needs no image: two rows of factors, and all of the third.
row, column = 60, 40
spectrum = tensors[0.02][row, column]
assert spectrum.tobytes() == tensors[0.02].to_tensor()[row, column].tobytes()

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(10, 2.8), layout="constrained", width_ratios=(1, 1, 1, 1.3))
    bands = (29, 19, 9)
    low, high = np.percentile(image[..., bands], (1, 99), axis=(0, 1))
    shown = {"measured": image} | {
        f"{image.size / t.size:.0f} times fewer, {rtol:.0%}": t.to_tensor() for rtol, t in reversed(tensors.items())
    }
    for axis, (title, pixels) in zip(axes, shown.items(), strict=False):
        axis.imshow(np.clip((pixels[..., bands] - low) / (high - low), 0, 1))
        axis.plot(column, row, "+", color="white")
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    for (title, pixels), color in zip(shown.items(), ("0.4", "#0072B2", "#E69F00"), strict=True):
        axes[3].plot(pixels[row, column], color=color, linewidth=1, label=title)
    axes[3].set_title("spectrum at the cross", fontsize=9)
    axes[3].set(xlabel="band")
    axes[3].legend(frameon=False, fontsize=7)
    axes[3].spines[["top", "right"]].set_visible(False)
    figure.savefig(sys.argv[1], dpi=110)

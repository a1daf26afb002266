"""Can weights of a convolution be compressed? Those of a network that hears speech: the first layers not, the last do.

The weights of a convolution are a tensor, and a Tucker tensor in their place is a chain of three smaller convolutions.
The first two layers lie nearer to noise than to a smooth kernel: at 10 percent of error there is nothing to gain from
a chain of three. The last two fall faster. What an error in the weights does to what is heard, no number here says.

Needs: pip install --no-deps silero-vad && pip install safetensors
Usage: python convolution_weights.py [PICTURE.png], which draws numbers over errors (needs matplotlib).
"""

import importlib.util
import pathlib
import sys

import numpy as np

import sorgum as sg

package = importlib.util.find_spec("silero_vad")
if package is None or package.origin is None or importlib.util.find_spec("safetensors") is None:
    print("not installed: pip install --no-deps silero-vad && pip install safetensors", file=sys.stderr)
    sys.exit(77)  # for tests: skipped
from safetensors.numpy import load_file  # noqa: E402

weights = load_file(pathlib.Path(package.origin).parent / "data/silero_vad_16k.safetensors")
layers = {name: w for name, w in weights.items() if w.ndim == 3 and w.shape[0] > 1 and w.shape[1] > 1}
tolerances = (0.5, 0.3, 0.2, 0.1, 0.05)


def kept(w: np.ndarray, rtol: float) -> float:
    """Return how many numbers a Tucker tensor keeps of those of a weight, as a part."""
    tensor = sg.tucker.sthosvd(w, rtol=rtol)
    assert tensor.error <= rtol
    return tensor.size / w.size


parts = {f"{name} {w.shape}": [kept(w, rtol) for rtol in tolerances] for name, w in layers.items()}
shape = layers["conv1.weight"].shape
noise = sg.random.normal(shape, rng=1)
i, j, k = (np.arange(n) / n for n in shape)
smooth = np.exp(-((i[:, None, None] - j[:, None]) ** 2) * 8 - k).astype(np.float32)
parts["noise of the first shape"] = [kept(noise, rtol) for rtol in tolerances]
parts["a smooth kernel of it"] = [kept(smooth, rtol) for rtol in tolerances]
print("kept at an error of       " + "".join(f"{rtol:9.0%}" for rtol in tolerances))
for name, row in parts.items():
    print(f"{name:26}" + "".join(f"{part:9.1%}" for part in row))
tenth = [row[3] for name, row in parts.items() if name.startswith("conv")]
print("10 percent of error keeps " + ", ".join(f"{part:.0%}" for part in tenth) + " of the numbers, a smooth kernel 2%")
assert max(tenth) > 1 > 0.5 > min(tenth)
assert parts["a smooth kernel of it"][3] < 0.1 < 1 < parts["noise of the first shape"][3]

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
    colors = ("#0072B2", "#56B4E9", "#009E73", "#D55E00", "0.6", "#E69F00")
    for (name, row), color in zip(parts.items(), colors, strict=False):
        axis.plot(tolerances, row, "o-", color=color, markersize=4, linewidth=1, label=name)
    axis.axhline(1, color="0.8", linewidth=1)
    axis.set(xscale="log", xlabel="relative error", ylabel="numbers kept")
    axis.set_xticks(tolerances, [f"{rtol:.0%}" for rtol in tolerances])
    axis.minorticks_off()
    axis.legend(frameon=False, fontsize=7)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(sys.argv[1], dpi=120)

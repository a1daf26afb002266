"""What a decomposition costs as the tensor grows: sthosvd of cubes beside four lines of NumPy.

Time per element rises with the dimension, as the work of a Gram matrix does; below 10,000 elements calls cost most.

Usage: python tensor_cost.py [PICTURE.png [ELEMENTS]], which draws it (needs matplotlib) for up to so many elements,
a million by default.
"""

import sys
import time

import numpy as np

import sorgum as sg


def gram_route(x: np.ndarray, rank: int) -> np.ndarray:
    """Return the core as NumPy finds it, in the type of the data."""
    for mode in range(x.ndim):
        unfolded = np.moveaxis(x, mode, 0).reshape(x.shape[mode], -1)
        u = np.linalg.eigh(unfolded @ unfolded.T)[1][:, ::-1][:, :rank]
        x = np.moveaxis(np.tensordot(u, x, (0, mode)), 0, mode)
    return x


largest = int(float(sys.argv[2])) if sys.argv[2:] else 10**6
sides = [n for n in (16, 22, 32, 46, 64, 100, 128, 160, 215, 300, 384, 464) if n**3 <= 1.01 * largest]
times: dict[str, list[float]] = {}
for n in sides:
    rank = max(2, n // 8)
    core = sg.random.normal((rank,) * 3, rng=1)
    factors = [sg.random.normal((n, rank), rng=2 + mode) for mode in range(3)]
    x = sg.tucker.TuckerTensor(core, factors).to_tensor()
    x += 0.1 * np.float32(np.sqrt(np.mean(x[0] ** 2))) * sg.random.normal(x.shape, rng=5)
    for dtype in (np.float32, np.float64):
        y = x.astype(dtype)
        calls = {"sthosvd": lambda y=y, r=rank: sg.tucker.sthosvd(y, r), "NumPy": lambda y=y, r=rank: gram_route(y, r)}
        best = dict.fromkeys(calls, np.inf)
        for _ in range(3 if n > 150 else 7):  # in turn, so that a busy moment hits both
            for name, call in calls.items():
                begin = time.perf_counter()
                call()
                best[name] = min(best[name], time.perf_counter() - begin)
        for name, seconds in best.items():
            times.setdefault(f"{name}, {y.dtype}", []).append(seconds)
for n, *row in zip(sides, *times.values(), strict=True):
    print(f"{n:3}^3  " + "  ".join(f"{name} {1e3 * t:9.3f} ms" for name, t in zip(times, row, strict=True)))

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
    styles = {"sthosvd, float32": ("#0072B2", "-"), "sthosvd, float64": ("#0072B2", "--")}
    styles |= {"NumPy, float32": ("#E69F00", "-"), "NumPy, float64": ("#E69F00", "--")}
    elements = np.array(sides, float) ** 3
    for name, seconds in times.items():
        color, line = styles[name]
        axis.plot(elements, 1e9 * np.array(seconds) / elements, line, marker="o", markersize=3, color=color, label=name)
    axis.set(xscale="log", yscale="log", xlabel="elements", ylabel="ns per element", ylim=(1, None))
    axis.legend(frameon=False, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(sys.argv[1], dpi=120)

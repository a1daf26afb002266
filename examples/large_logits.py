"""Magnitudes and temperatures at which softmax in float32 usually loses its digits.

Usage: python large_logits.py [PICTURE.png], which draws the errors over the size of the logits (needs matplotlib).
"""

import sys

import numpy as np

import sorgum as sg


def exact(x: np.ndarray, temperature: float) -> np.ndarray:
    """Return the softmax in extended precision."""
    scaled = x.astype(np.longdouble) / np.longdouble(temperature)
    terms = np.exp(scaled - scaled.max())
    return terms / terms.sum()


def usual(x: np.ndarray, temperature: float) -> np.ndarray:
    """Return the softmax as it is usually written, in float32."""
    scaled = x / np.float32(temperature)
    terms = np.exp(scaled - scaled.max())
    return terms / terms.sum()


def errors(x: np.ndarray, temperature: float) -> tuple[float, float]:
    """Return the largest errors of ours and of the usual way, in ULP, of results that are normal numbers."""
    wanted = exact(x, temperature)
    counted = wanted > 1e-37
    ulp = np.spacing(wanted[counted].astype(np.float32))
    ours, theirs = (
        float(np.max(np.abs(y[counted] - wanted[counted]) / ulp))
        for y in (sg.special.softmax(x, temperature=temperature), usual(x, temperature))
    )
    return ours, theirs


def logits(scale: float, offset: float, seed: int) -> np.ndarray:
    """Return 1000 logits from N(offset, scale)."""
    return (scale * np.random.default_rng(seed).standard_normal(1000) + offset).astype(np.float32)


print("largest error of 1000 probabilities, in ULP")
print("logits                  T         sorgum   the usual way")
for scale, offset, temperature in ((1, 0, 1.0), (20, 0, 0.7), (3, 1e5, 37.5), (1e30, 0, 1e29)):
    ours, theirs = errors(logits(scale, offset, 3), temperature)
    print(f"{f'N({offset:g}, {scale:g})':20} {temperature:8g} {ours:10.1f} {theirs:12.0f}")
    assert ours <= 4.5  # 4, and what the neighbouring power of two may add to the count

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6.0, 3.2), layout="constrained")
    scales = np.geomspace(0.1, 100, 25)
    found = np.array([np.max([errors(logits(s, 0, seed), 0.7) for seed in range(8)], axis=0) for s in scales])
    axis.loglog(
        scales,
        found[:, 1],
        "^-",
        color="#D55E00",
        markersize=4,
        label="the usual way: subtract the maximum, exp, divide",
    )
    axis.loglog(scales, found[:, 0], "o-", color="black", markersize=4, label="sorgum")
    axis.axhline(4, color="0.5", linewidth=0.8, linestyle="--")
    axis.annotate("bound: 4 ULP", (0.1, 4), (2, 3), textcoords="offset points", fontsize=9, color="0.4")
    axis.set_xlabel("standard deviation of the logits", fontsize=9)
    axis.set_ylabel("largest error in ULP", fontsize=9)
    axis.set_title("Errors of softmax in float32, rows of 1000, temperature 0.7", fontsize=10)
    axis.tick_params(labelsize=9)
    axis.grid(color="0.85", linewidth=0.6)
    axis.legend(fontsize=9, frameon=False)
    figure.savefig(sys.argv[1], dpi=120)

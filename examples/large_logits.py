"""Magnitudes and temperatures at which softmax in float32 usually loses its digits."""

import numpy as np

import sorgum as sg


def exact(x: np.ndarray, temperature: float) -> np.ndarray:
    """Return the softmax in extended precision."""
    scaled = x.astype(np.longdouble) / np.longdouble(temperature)
    terms = np.exp(scaled - scaled.max())
    return terms / terms.sum()


def usual(x: np.ndarray, temperature: float) -> np.ndarray:
    """Return the softmax as it is usually written."""
    scaled = x / np.float32(temperature)
    terms = np.exp(scaled - scaled.max())
    return terms / terms.sum()


rng = np.random.default_rng(3)
for scale, offset, temperature in ((1, 0, 1.0), (20, 0, 0.7), (3, 1e5, 37.5), (1e30, 0, 1e29)):
    x = (scale * rng.standard_normal(1000) + offset).astype(np.float32)
    wanted = exact(x, temperature)
    counted = wanted > 1e-37  # normal results
    ulp = np.spacing(wanted[counted].astype(np.float32))
    ours, theirs = (
        np.max(np.abs(y[counted] - wanted[counted]) / ulp)
        for y in (sg.special.softmax(x, temperature=temperature), usual(x, temperature))
    )
    print(f"N(0, {scale:g}) + {offset:g}, T = {temperature:g}: {ours:.1f} ULP, usual way {theirs:.0f} ULP")
    assert ours <= 4.5  # 4, and what the neighbouring power of two may add to the count

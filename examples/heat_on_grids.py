"""Heat that fades in a plate and in a block, step by step, against the exact decay: two and three dimensions.

A step of the implicit method solves (1 + 2 d r) u - r (sum of the neighbours) = u before, with r = step / h^2 and d
dimensions. It starts at the step before, so that few sweeps are needed. A product of sines has to fade by
1 / (1 + 4 d r sin^2(pi h / 2)) a step, exactly so for this scheme, and nearly as exp(-d pi^2 t).

Usage: python heat_on_grids.py [PICTURE.png], which draws heat spreading from three sources (needs matplotlib).
"""

import sys

import numpy as np

import sorgum as sg


def stepped(u: np.ndarray, r: float, steps: int) -> np.ndarray:
    """Return u after some implicit steps; what lies on the sides stays."""
    d = u.ndim
    c = np.full(2 * d + 1, -r)
    c[d] = 1 + 2 * d * r
    u = u.copy()
    for _ in range(steps):
        info = sg.sor.sor_stencil(u, u.copy(), c, omega=1.3, rtol=1e-10)
        assert info == 0
    return u


for shape in ((65, 65), (33, 33, 33)):
    d, h = len(shape), 1 / (shape[0] - 1)
    step, steps = h / 20, 20
    r = step / h**2
    u = np.ones(shape)
    for axis in range(d):
        wave = np.sin(np.pi * np.linspace(0, 1, shape[axis]))
        wave[[0, -1]] = 0
        u *= wave.reshape([-1 if i == axis else 1 for i in range(d)])
    middle = tuple(n // 2 for n in shape)
    got = float(stepped(u, r, steps)[middle])
    scheme = (1 + 4 * d * r * np.sin(np.pi * h / 2) ** 2) ** -steps
    print(f"{d} dimensions, {u.size} points, {steps} steps: {got:.6f} of the heat is left in the middle,")
    print(f"  the scheme's {scheme:.6f}, the equation's {np.exp(-d * np.pi**2 * step * steps):.6f}")
    assert abs(got - scheme) < 1e-7
    assert abs(got - np.exp(-d * np.pi**2 * step * steps)) < 0.02

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    block = np.zeros((49, 65, 65))
    for z, y, x in ((12, 20, 20), (24, 44, 32), (36, 20, 46)):
        block[z - 4 : z + 5, y - 4 : y + 5, x - 4 : x + 5] = 1.0
    figure, axes = plt.subplots(1, 3, figsize=(8.4, 2.8), layout="constrained")
    for axis, steps in zip(axes, (0, 4, 16), strict=True):
        block = stepped(block, 2.0, steps)
        shown = axis.imshow(np.sqrt(block.max(axis=0)), cmap="inferno", vmin=0, vmax=1)
        axis.set_title(f"{steps} more steps" if steps else "three hot cubes, seen from above", fontsize=10)
        axis.axis("off")
    figure.colorbar(shown, ax=axes, shrink=0.8, label="root of the largest heat below")
    figure.savefig(sys.argv[1], dpi=100)

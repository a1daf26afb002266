"""Sweeps over the relaxation factor, and where `omega="adaptive"` ends.

Usage: python relaxation_factor.py [PICTURE.png], which draws the curves (needs matplotlib).
"""

import sys
from typing import Any

import numpy as np

import sorgum as sg


def poisson(side: int) -> Any:
    """Return the five-point Laplacian."""
    line = 2 * np.eye(side) - np.eye(side, k=1) - np.eye(side, k=-1)
    return np.kron(line, np.eye(side)) + np.kron(np.eye(side), line)


def convection(side: int) -> Any:
    """Return central differences of a strong flow: Young's theory does not hold."""
    line = 2 * np.eye(side) - 2.2 * np.eye(side, k=-1) + 0.2 * np.eye(side, k=1)
    return np.kron(line, np.eye(side)) + np.kron(np.eye(side), line)


factors = np.concatenate([np.linspace(0.4, 1.1, 15), 2 - np.geomspace(0.85, 0.02, 40)])
curves = {}
for name, matrix in (("Poisson, 32 x 32", poisson(32)), ("convection, 32 x 32", convection(32))):
    b = np.random.default_rng(1).standard_normal(len(matrix))
    relaxation = sg.sor.Relaxation(matrix)
    found = [relaxation.solve(b, omega=float(factor), rtol=1e-8, maxiter=3000) for factor in factors]
    sweeps = np.array([one.iterations if one.info == 0 else np.nan for one in found])
    adaptive = relaxation.solve(b, rtol=1e-8)
    assert adaptive.info == 0
    best = int(np.nanargmin(sweeps))
    curves[name] = sweeps, adaptive
    print(f"{name}: {sweeps[best]:.0f} sweeps with {factors[best]:.3f}, which nobody knows beforehand;", end=" ")
    print(f"{adaptive.iterations} with 'adaptive', which ends at {adaptive.omegas[-1]:.3f}")
    assert adaptive.iterations < 3 * sweeps[best] + 20
young = 2 / (1 + np.sin(np.pi / 33))
print(f"Young's factor for Poisson: {young:.3f}")

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8.0, 3.2), layout="constrained")
    for name, (sweeps, adaptive) in curves.items():
        (line,) = left.semilogy(factors, sweeps, label=name)
        left.plot(adaptive.omegas[-1], adaptive.iterations, "o", color=line.get_color())
        right.semilogy(adaptive.norms / adaptive.norms[0], color=line.get_color(), label=name)
    left.set(xlabel="relaxation factor", ylabel="sweeps to 1e-8; dots: adaptive")
    left.legend(frameon=False)
    right.set(xlabel="sweep, adaptive", ylabel="norm of the change")
    figure.savefig(sys.argv[1], dpi=110)

"""Linear elasticity by PyAMG, whose smoother is replaced: omega counts, on blocked matrices and symmetric sweeps too.

Usage: python smoother_in_pyamg.py [PICTURE.png], which draws the bent plate and the residuals (needs matplotlib).
"""

import sys

import numpy as np

try:
    import pyamg
    from pyamg.gallery import linear_elasticity
except ImportError:
    print("PyAMG is not installed: pip install pyamg", file=sys.stderr)
    sys.exit(77)

import sorgum as sg

points = 70, 70
A, rigid = linear_elasticity(points)  # two displacements per point, in blocks; the plate is held along its border
b = np.zeros(A.shape[0])
b.reshape(*points, 2)[25:45, 25:45] = [0.002, -0.002]  # a force in the middle


def residuals(presmoother: object, postsmoother: object, accelerate: str | None = None) -> list[float]:
    """Return the norms of the residuals of a hierarchy with these smoothers, relative to b, after every cycle."""
    ml = pyamg.smoothed_aggregation_solver(A, B=rigid, max_coarse=20)
    for level in ml.levels[:-1]:
        if callable(presmoother):
            level.presmoother = presmoother
        if callable(postsmoother):
            level.postsmoother = postsmoother
    found: list[float] = []
    ml.solve(b, tol=1e-8, maxiter=100, residuals=found, accel=accelerate)
    return [norm / found[0] for norm in found]


curves = {"PyAMG's own smoother": residuals(None, None)}
for omega in (0.7, 1.0, 1.4):
    smooth = sg.sor.smoother(omega)  # keeps a checked copy of every level's matrix
    curves[f"ours, symmetric, omega = {omega}"] = residuals(smooth, smooth)
forward, backward = (sg.sor.smoother(1.4, sweep=sweep) for sweep in ("forward", "backward"))
curves["ours, forward and backward, omega = 1.4"] = residuals(forward, backward)
curves["the same, in conjugate gradients"] = residuals(forward, backward, "cg")

print(f"{A.shape[0]} unknowns in blocks of {A.blocksize[0]}, residual below 1e-8")
print("cycles")
for name, curve in curves.items():
    print(f"{len(curve) - 1:6d}  {name}")
assert all(curve[-1] < 1e-8 for curve in curves.values())
assert len({tuple(curve) for curve in curves.values()}) == len(curves)

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    x, _ = sg.sor.ssor_cg(A, b, rtol=1e-8)
    moved = x.reshape(*points, 2)
    moved = 10 * moved / np.max(np.abs(moved))
    figure, (plate_axis, curve_axis) = plt.subplots(1, 2, figsize=(8.0, 3.2), layout="constrained")
    rows, columns = np.meshgrid(np.arange(points[0]), np.arange(points[1]), indexing="ij")
    bent = columns + moved[..., 0], rows + moved[..., 1]
    plate_axis.plot(bent[0][::3].T, bent[1][::3].T, color="0.4", linewidth=0.6)
    plate_axis.plot(bent[0][:, ::3], bent[1][:, ::3], color="0.4", linewidth=0.6)
    plate_axis.set_title("a plate, pushed in the middle", fontsize=10)
    plate_axis.set(aspect="equal")
    plate_axis.axis("off")
    colors = ("0.6", "#56B4E9", "#E69F00", "#0072B2", "#009E73", "#D55E00")
    for (name, curve), color in zip(curves.items(), colors, strict=True):
        wide = 4 if "own" in name else 1.5  # ours with omega = 1 lies on top of it
        curve_axis.semilogy(curve, color=color, linewidth=wide, label=name)
    curve_axis.set(xlabel="cycles", ylabel="residual", ylim=(3e-9, 1e5))
    curve_axis.legend(frameon=False, fontsize=7)
    figure.savefig(sys.argv[1], dpi=120)

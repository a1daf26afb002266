"""A steady temperature: SciPy's conjugate gradients without and with SSOR, and the factor that ssor_cg finds.

Usage: python ssor_in_cg.py [PICTURE.png], which draws the temperature, the residuals, and iterations over omega (needs
matplotlib).
"""

import sys

import numpy as np

try:
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import cg
except ImportError:
    print("SciPy is not installed: pip install 'sorgum[sparse]'", file=sys.stderr)
    sys.exit(77)

import sorgum as sg

side, rtol = 150, 1e-8


def plate() -> tuple[coo_array, np.ndarray]:
    """Return the conductances between the cells of a plate whose lower half insulates, and the heat that comes in."""
    conductivity = np.where(np.arange(side)[:, None] < side // 2, 1.0, 0.1) * np.ones((side, side))
    cell = np.arange(side * side).reshape(side, side)
    rows, columns, values = [], [], []
    diagonal = np.zeros(side * side)
    for first, second in ((cell[:-1], cell[1:]), (cell[:, :-1], cell[:, 1:])):
        a, b = first.ravel(), second.ravel()
        k = conductivity.ravel()
        between = 2 / (1 / k[a] + 1 / k[b])
        rows += [a, b]
        columns += [b, a]
        values += [-between, -between]
        np.add.at(diagonal, a, between)
        np.add.at(diagonal, b, between)
    for border in (cell[0], cell[-1], cell[:, 0], cell[:, -1]):  # held at temperature 0
        np.add.at(diagonal, border, 2 * conductivity.ravel()[border])
    rows.append(cell.ravel())
    columns.append(cell.ravel())
    matrix = coo_array((np.concatenate([*values, diagonal]), (np.concatenate(rows), np.concatenate(columns))))
    heat = np.zeros((side, side))
    heat[side // 5 : side // 4, side // 5 : side // 2] = 1.0
    heat[3 * side // 5 : 2 * side // 3, 3 * side // 5 : 4 * side // 5] = 0.3
    return matrix.tocsr(), heat.ravel()


def residuals(matrix: coo_array, b: np.ndarray, preconditioner: object = None) -> list[float]:
    """Return the norms of the residuals of SciPy's cg, relative to b, after every iteration."""
    found = [1.0]
    _, info = cg(
        matrix, b, M=preconditioner, rtol=rtol,
        callback=lambda x: found.append(sg.sor.residual_norm(matrix, x, b) / np.linalg.norm(b)),
    )  # fmt: skip
    assert info == 0
    return found


A, b = plate()
result = sg.sor.ssor_cg_result(A, b, rtol=rtol)
best = float(result.omegas[-1, 1])
curves = {
    "scipy.sparse.linalg.cg": residuals(A, b),
    "with SSOR, omega = 1": residuals(A, b, sg.sor.SSOR(A)),
    f"with SSOR, omega = {best:.2f}": residuals(A, b, sg.sor.SSOR(A, best)),
}
print(f"{b.size} cells, residual below {rtol:g}")
print("iterations")
for name, curve in curves.items():
    print(f"{len(curve) - 1:10d}  {name}")
print(f"{result.iterations:10d}  sorgum.sor.ssor_cg, which begins with omega = 1 and finds {best:.2f}")
lengths = [len(curve) for curve in curves.values()]
assert lengths[2] < lengths[1] / 2 < lengths[0] / 4
assert result.info == 0

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (plate_axis, curve_axis, omega_axis) = plt.subplots(1, 3, figsize=(9.0, 2.9), layout="constrained")
    shown = plate_axis.imshow(result.x.reshape(side, side), cmap="inferno")
    figure.colorbar(shown, ax=plate_axis, shrink=0.8)
    plate_axis.set_title("the temperature", fontsize=10)
    plate_axis.axis("off")
    for (name, curve), color in zip(curves.items(), ("0.6", "#E69F00", "#0072B2"), strict=True):
        curve_axis.semilogy(curve, color=color, label=name.removeprefix("scipy.sparse.linalg."))
    curve_axis.set(xlabel="iterations", ylabel="residual")
    curve_axis.set_title("convergence", fontsize=10)
    curve_axis.legend(frameon=False, fontsize=8)
    relaxation = sg.sor.Relaxation(A)
    omegas = 2 - np.geomspace(1.4, 0.01, 40)
    counts = [sg.sor.ssor_cg_result(relaxation, b, omega=omega, rtol=rtol).iterations for omega in omegas]
    omega_axis.plot(omegas, counts, color="#0072B2", label="fixed")
    omega_axis.plot(best, result.iterations, "o", color="#D55E00", label="adaptive: where it ends")
    omega_axis.set(xlabel="omega", ylabel="iterations", ylim=(0, None))
    omega_axis.set_title("ssor_cg over omega", fontsize=10)
    omega_axis.legend(frameon=False, fontsize=8)
    figure.savefig(sys.argv[1], dpi=120)

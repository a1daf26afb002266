"""A capacitor of two plates in an earthed box: its potential, its charge, and what the usual formula leaves out.

Laplace's equation of a cross-section. The plates are points that keep their values; the charge of one is what flows out
of it. Between wide plates the capacitance of a piece of unit length is width / distance (times the permittivity), and
the field at the edges adds to it, the more the wider the gap.

Usage: python capacitor.py [PICTURE.png], which draws the potential and the capacitance (needs matplotlib).
"""

import sys

import numpy as np

import sorgum as sg

HEIGHT, LENGTH, WIDTH = 241, 361, 120  # points of the box, steps of a plate


def potential(gap: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the potential of plates so many steps apart, one at 1 and one at -1, and where they are."""
    u = np.zeros((HEIGHT, LENGTH))
    rows = HEIGHT // 2 - gap // 2, HEIGHT // 2 + (gap + 1) // 2
    columns = slice((LENGTH - WIDTH) // 2, (LENGTH + WIDTH) // 2 + 1)
    upper, lower = np.zeros(u.shape, bool), np.zeros(u.shape, bool)
    upper[rows[0], columns], lower[rows[1], columns] = True, True
    u[upper], u[lower] = 1.0, -1.0
    info = sg.sor.sor_stencil(u, 0.0, [1, 1, -4, 1, 1], fixed=upper | lower, omega="adaptive", rtol=1e-7)
    assert info == 0
    return u, upper, lower


def charge(u: np.ndarray, plate: np.ndarray) -> float:
    """Return what flows out of a plate: the sum of differences over the links to its neighbours."""
    total = 4 * u[1:-1, 1:-1] - u[:-2, 1:-1] - u[2:, 1:-1] - u[1:-1, :-2] - u[1:-1, 2:]
    return float(total[plate[1:-1, 1:-1]].sum())


gaps = (4, 8, 16, 32, 64)
ratios = []
print("gap / width   capacitance   over width / gap")
for gap in gaps:
    u, upper, lower = potential(gap)
    stored = charge(u, upper)
    assert abs(stored + charge(u, lower)) < 2e-2 * stored  # the lower plate has the opposite charge
    capacitance = stored / 2  # over the voltage
    ratios.append(capacitance / (WIDTH / gap))
    print(f"{gap / WIDTH:11.3f} {capacitance:13.3f} {ratios[-1]:18.3f}")
assert 1 < ratios[0] < 1.2  # a narrow gap: the usual formula
assert np.all(np.diff(ratios) > 0)

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (plates, curve) = plt.subplots(1, 2, figsize=(8.4, 3.0), layout="constrained", width_ratios=[1.5, 1])
    u, upper, lower = potential(32)
    shown = plates.contourf(u, levels=np.linspace(-1, 1, 21), cmap="RdBu_r")
    plates.contour(u, levels=np.linspace(-0.95, 0.95, 20), colors="0.3", linewidths=0.4)
    plates.invert_yaxis()
    plates.set_aspect("equal")
    plates.axis("off")
    plates.set_title("the potential", fontsize=10)
    figure.colorbar(shown, ax=plates, shrink=0.8)
    curve.plot(np.array(gaps) / WIDTH, ratios, "o-", color="#0072B2")
    curve.axhline(1, color="0.6", linewidth=0.8)
    curve.set(xlabel="gap / width", ylabel="capacitance over width / gap", ylim=(0.9, None))
    figure.savefig(sys.argv[1], dpi=110)

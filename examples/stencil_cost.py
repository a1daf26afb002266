"""What a sweep costs as the grid grows: sor_stencil in two orders and sor_batch, on one thread.

Below 1000 points calls cost most. One sweep reads the grid from memory where no cache holds it any more; many sweeps
of a call share a pass over memory, so that their time per point stays.

Usage: python stencil_cost.py [PICTURE.png [POINTS]], which draws it (needs matplotlib) for up to so many points, a
hundred thousand by default.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

import sorgum as sg


class Rows:
    """A matrix in compressed rows: what sorgum needs of one."""

    format = "csr"

    def __init__(self, side: int) -> None:
        """Make that of five points on a square, 5 on its diagonal."""
        number = np.arange(side * side).reshape(side, side)
        i, j = [number.ravel()], [number.ravel()]
        for a, b in ((number[1:], number[:-1]), (number[:, 1:], number[:, :-1])):
            i += [a.ravel(), b.ravel()]
            j += [b.ravel(), a.ravel()]
        rows, columns = np.concatenate(i), np.concatenate(j)
        order = np.lexsort((columns, rows))
        self.indices, self.shape = columns[order].astype(np.int32), (number.size, number.size)
        self.data = np.where(rows == columns, 5.0, -1.0)[order]
        self.indptr = np.searchsorted(rows[order], np.arange(number.size + 1)).astype(np.int32)


def calls(side: int) -> dict[str, tuple[Callable[[], object], int]]:
    """Return what is timed, and how many points it relaxes."""
    u, f = np.zeros((side, side)), np.ones((side, side))
    five = [1.0, 1, -4, 1, 1]
    found: dict[str, tuple[Callable[[], object], int]] = {}
    for order, sweeps in (("red_black", 1), ("red_black", 16), ("lexicographic", 16)):

        def sweep(order: str = order, sweeps: int = sweeps) -> int:
            return sg.sor.sor_stencil(u, f, five, omega=1.5, sweeps=sweeps, order=order)

        found[f"sor_stencil, {order}, {sweeps} at once"] = sweep, u.size * sweeps
    if u.size <= 10**5:
        matrix, systems = Rows(side), max(16, 16 * (30000 // (16 * u.size)))
        b = np.ones((systems, u.size))
        found["sor_batch, a system per lane"] = (
            lambda: sg.sor.sor_batch(matrix, b, omega=1.5, rtol=1e-30, maxiter=8),
            b.size * 8,
        )
    return found


sg.set_num_threads(1)
largest = int(float(sys.argv[2])) if sys.argv[2:] else 10**5
sides = [n for n in (10, 18, 32, 56, 100, 178, 316, 562, 1000, 1778, 3162) if n**2 <= 1.01 * largest]
times: dict[str, list[float]] = {}
with np.errstate(all="ignore"):
    for side in sides:
        for name, (call, points) in calls(side).items():
            best = np.inf
            call()
            for _ in range(3):
                again = max(1, 100000 // points)
                begin = time.perf_counter()
                for _ in range(again):
                    call()
                best = min(best, (time.perf_counter() - begin) / (again * points))
            times.setdefault(name, []).append(1e9 * best)
print("ns per point and sweep")
for name, row in times.items():
    print(f"{name:40} " + " ".join(f"{ns:7.2f}" for ns in row))
print(f"{'points':40} " + " ".join(f"{side * side:7}" for side in sides))
assert times["sor_stencil, red_black, 16 at once"][0] > times["sor_stencil, red_black, 16 at once"][-1]

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6.0, 3.6), layout="constrained")
    for (name, row), color in zip(times.items(), ("#0072B2", "#56B4E9", "#E69F00", "#009E73"), strict=True):
        axis.plot([side * side for side in sides[: len(row)]], row, "o-", markersize=3, color=color, label=name)
    axis.set(xscale="log", yscale="log", xlabel="points", ylabel="ns per point and sweep")
    axis.legend(frameon=False, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(sys.argv[1], dpi=120)

"""A change in one corner of a field: only the rows near it are relaxed (rows=), and the answer is that of all rows.

A step of an implicit heat equation, (I + dt K) u = u_before: what happens at a point fades within a few points. So a
source that is switched on changes few rows, and the others need no work.

Usage: python local_change.py
"""

import numpy as np

import sorgum as sg

side, dt = 256, 2.0


class Grid:
    """I + dt K in CSR, for the five-point Laplacian K: all that sorgum asks of a sparse matrix are these attributes."""

    format = "csr"

    def __init__(self) -> None:
        cell = np.arange(side * side).reshape(side, side)
        around = np.full((side, side, 5), -1)  # above, left, here, right, below: ascending columns
        around[1:, :, 0], around[:, 1:, 1], around[:, :, 2] = cell[:-1], cell[:, :-1], cell
        around[:, :-1, 3], around[:-1, :, 4] = cell[:, 1:], cell[1:]
        is_there = around >= 0
        self.indices = around[is_there].astype(np.int32)
        values = np.broadcast_to([-dt, -dt, 1 + 4 * dt, -dt, -dt], around.shape)
        self.data = np.ascontiguousarray(values[is_there])
        self.indptr = np.concatenate([[0], np.cumsum(is_there.sum(-1))]).astype(np.int32)
        self.shape = (side * side, side * side)


A = Grid()
relaxation = sg.sor.Relaxation(A)
y, x = np.mgrid[0:side, 0:side]
b = np.exp(-(((x - 90) / 20) ** 2) - ((y - 70) / 30) ** 2).ravel()
before, info = sg.sor.sor(A, b, rtol=1e-12)
assert info == 0

b.reshape(side, side)[20:23, 24:27] += 1.0  # the source
whole, info = sg.sor.sor(A, b, x0=before, rtol=1e-12)
assert info == 0

print("rows within   rows relaxed   largest error")
for reach in (8, 16, 24, 32):
    near = (np.maximum(abs(x - 25), abs(y - 21)) <= reach).ravel()
    u = before.copy()
    relaxation.sweep(u, b, omega=1.2, iterations=40, rows=near)
    error = abs(u - whole).max() / abs(whole - before).max()
    print(f"{reach:6} points   {near.mean():9.1%}     {error:13.0e}")
assert error < 1e-6
assert np.array_equal(u[~near], before[~near])
print("All other rows kept their bits.")

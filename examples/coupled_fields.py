"""Two fields on one grid, tied to each other at every point: solved point by point in blocks of two (blocksize=2).

Electrons and the lattice of a metal film have a temperature each, and exchange heat. The stronger the exchange, the
slower relaxation row by row: a row moves one temperature while the other holds it. A block moves both at once.

Usage: python coupled_fields.py
"""

import sys

import numpy as np

try:
    from scipy.sparse import diags_array, eye_array, kron
except ImportError:
    print("SciPy is not installed: pip install 'sorgum[sparse]'", file=sys.stderr)
    sys.exit(77)

import sorgum as sg

side = 24
line = diags_array([-np.ones(side - 1), np.full(side, 2.0), -np.ones(side - 1)], offsets=[-1, 0, 1])
grid = kron(line, eye_array(side)) + kron(eye_array(side), line)
heated = np.zeros((side, side, 2))  # unknowns of a point stand beside each other: electrons, lattice
heated[side // 2 :, : side // 3, 0] = 1.0
b = heated.ravel()

print("exchange   sweeps by rows   by blocks")
for exchange in (0, 1, 10, 100, 1000):
    tie = np.array([[1.0, -1.0], [-1.0, 1.0]]) * exchange
    A = (kron(grid, np.diag([1.0, 0.2])) + kron(eye_array(side * side), tie)).tobsr((2, 2))
    rows = sg.sor.sor_result(A, b, rtol=1e-8)
    blocks = sg.sor.sor_result(A, b, blocksize=2, rtol=1e-8)
    assert rows.info == blocks.info == 0
    assert np.allclose(rows.x, blocks.x, rtol=0, atol=1e-5 * abs(rows.x).max())
    print(f"{exchange:8}   {rows.iterations:14}   {blocks.iterations:9}")

u = blocks.x.reshape(side, side, 2)
print(f"Hottest electrons {u[..., 0].max():.3f}, lattice beneath them {u[..., 1].max():.3f}.")
assert 5 * blocks.iterations < rows.iterations

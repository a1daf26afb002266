"""Wind over an ocean with two islands: Stommel's gyre, whose stream function is 0 on land, beside xinvert.

R / D (psi_yy + psi_xx) + beta psi_x = curl of the wind's stress / (density D): friction at the bottom, a planet that
rotates faster toward the pole, and winds that turn. Water returns along the western coast, as in the Gulf Stream. All
that is land keeps the value 0; with xinvert (pip install xinvert) the answer and the time are compared.

Usage: python ocean_stream_function.py [PICTURE.png], which draws the stream function (needs matplotlib).
"""

import importlib.util
import sys
import time

import numpy as np

import sorgum as sg

rows, columns, width = 101, 151, 6.0e6  # points; metres from west to east
h = width / (columns - 1)
friction, depth, beta, density, stress = 1.2e-3, 200.0, 1.8e-11, 1027.0, 0.1
y, x = np.mgrid[0:rows, 0:columns] * h
height = h * (rows - 1)
curl = -stress * np.pi / height * np.sin(np.pi * y / height)

land = np.zeros((rows, columns), bool)
land[[0, -1]] = land[:, [0, -1]] = True
for north, east, size in ((0.62, 0.5, 0.035), (0.3, 0.3, 0.02)):
    land |= (y - north * height) ** 2 + (x - east * width) ** 2 < (size * width) ** 2
land |= x < 0.03 * width + 0.06 * y  # a slanting coast

# Rows go from south to north: below is the neighbour at (-1, 0), west the one at (0, -1).
c = np.array([1.0, 1, -4, 1, 1]) * friction / depth
c[1] -= beta * h / 2
c[3] += beta * h / 2
right = curl * h**2 / (density * depth)

psi = np.zeros((rows, columns))
start = time.perf_counter()
info = sg.sor.sor_stencil(psi, right, c, fixed=land, omega="adaptive", rtol=1e-8)
seconds = time.perf_counter() - start
assert info == 0
transport = np.abs(psi).max() * depth / 1e6  # of a stream function of velocities
mid = rows // 2
strongest = int(np.argmax(np.abs(np.gradient(psi[mid]))))
coast = x[mid, np.argmin(land[mid])]
print(f"{np.count_nonzero(~land)} points of water: the gyre carries {transport:.1f} million m^3/s,")
print(f"fastest within {(x[mid, strongest] - coast + h) / 1e3:.0f} km off the western coast; {1e3 * seconds:.0f} ms")
assert (psi[land] == 0).all()
assert x[mid, strongest] - coast < 0.02 * width  # the western boundary current

if importlib.util.find_spec("xinvert") is None:
    print("xinvert is not installed: nothing to compare with")
else:
    import warnings

    warnings.simplefilter("ignore")  # its own, and those of what it imports
    import xarray as xr
    from xinvert import invert_Stommel

    grid = {"y": y[:, 0], "x": x[0]}
    field = xr.DataArray(np.where(land, np.nan, curl), dims=["y", "x"], coords=grid)
    options = {"BCs": ["fixed", "fixed"], "mxLoop": 3000, "tolerance": 1e-10, "undef": np.nan, "printInfo": False}
    model = {"beta": beta, "R": friction, "D": depth, "rho0": density}
    invert_Stommel(field, dims=["y", "x"], coords="cartesian", mParams=model, iParams=options)  # it compiles first
    start = time.perf_counter()
    theirs = invert_Stommel(field, dims=["y", "x"], coords="cartesian", mParams=model, iParams=options)
    other = time.perf_counter() - start
    wet = ~land
    apart = np.abs(np.nan_to_num(theirs.values) - psi)[wet].max() / np.abs(psi).max()
    print(f"xinvert: {1e3 * other:.0f} ms, apart by {apart:.1e} of the largest value")

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6.2, 3.9), layout="constrained")
    shown = axis.contourf(x / 1e6, y / 1e6, np.where(land, np.nan, psi * depth / 1e6), levels=16, cmap="YlGnBu")
    axis.contour(x / 1e6, y / 1e6, psi * depth / 1e6, levels=16, colors="0.3", linewidths=0.4)
    axis.contourf(x / 1e6, y / 1e6, land, levels=[0.5, 1.5], colors=["#C2A878"])
    axis.set(xlabel="1000 km from west", ylabel="1000 km from south", aspect="equal")
    figure.colorbar(shown, ax=axis, shrink=0.8, label="stream function, million m^3/s")
    figure.savefig(sys.argv[1], dpi=100)

"""An American put option by projected relaxation, beside a binomial tree.

The holder may sell at the strike K whenever it pays: the value satisfies a linear complementarity problem in each time
step (Brennan and Schwartz 1977). `bounds` keeps it above what exercise pays.

Usage: python american_put.py [PICTURE.png], which draws value and early exercise (needs matplotlib).
"""

import sys
from typing import Any

import numpy as np

import sorgum as sg

STRIKE, RATE, VOLATILITY, YEARS = 100.0, 0.05, 0.3, 1.0
LARGEST, POINTS, STEPS = 400.0, 800, 200


def by_relaxation() -> tuple[Any, Any, list[int], Any]:
    """Return prices of the stock, values of the option now, sweeps, and below what price it is exercised."""
    price = np.linspace(0.0, LARGEST, POINTS + 1)
    inner, dt = np.arange(1, POINTS), YEARS / STEPS
    drift, spread = RATE * inner, (VOLATILITY * inner) ** 2
    below, middle, above = 0.5 * (drift - spread), spread + RATE, -0.5 * (drift + spread)  # Black and Scholes
    operator = np.diag(middle) + np.diag(below[1:], -1) + np.diag(above[:-1], 1)
    implicit = sg.sor.Relaxation(np.eye(inner.size) + dt / 2 * operator)  # Crank and Nicolson
    payoff = np.maximum(STRIKE - price, 0)
    value, sweeps, exercised = payoff[1:-1].copy(), [], []
    for step in range(STEPS):
        right = value - dt / 2 * (operator @ value)
        right[0] -= dt * below[0] * STRIKE  # the option is worth the strike where the stock is worth nothing
        found = implicit.solve(right, value, bounds=(payoff[1:-1], None), rtol=1e-9)
        assert found.info == 0, step
        value = found.x
        sweeps.append(found.iterations)
        exercised.append(price[1:-1][value <= payoff[1:-1]].max())
    return price[1:-1], value, sweeps, np.array(exercised)


def by_tree(stock: float, steps: int = 2000) -> float:
    """Return the value from a binomial tree of Cox, Ross and Rubinstein."""
    dt = YEARS / steps
    up, growth = np.exp(VOLATILITY * np.sqrt(dt)), np.exp(RATE * dt)
    chance = (growth - 1 / up) / (up - 1 / up)
    prices = stock * up ** np.arange(-steps, steps + 1, 2.0)
    value = np.maximum(STRIKE - prices, 0)
    for step in range(steps - 1, -1, -1):
        prices = stock * up ** np.arange(-step, step + 1, 2.0)
        value = np.maximum((chance * value[1:] + (1 - chance) * value[:-1]) / growth, STRIKE - prices)
    return float(value[0])


price, value, sweeps, exercised = by_relaxation()
print(f"{STEPS} time steps, {POINTS} prices, {min(sweeps)} to {max(sweeps)} sweeps a step")
print("stock   by relaxation   by a tree")
for stock in (80.0, 90.0, 100.0, 110.0, 120.0):
    ours, theirs = float(np.interp(stock, price, value)), by_tree(stock)
    print(f"{stock:5.0f} {ours:15.4f} {theirs:11.4f}")
    assert abs(ours - theirs) < 0.01
print(f"exercised today below {exercised[-1]:.1f}")

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8.0, 3.2), layout="constrained")
    near = price < 180
    left.plot(price[near], np.maximum(STRIKE - price, 0)[near], "k--", label="exercised")
    left.plot(price[near], value[near], label="kept, or exercised where that pays")
    stocks = np.arange(60.0, 180.0, 10.0)
    left.plot(stocks, [by_tree(stock, 500) for stock in stocks], "o", markersize=3, label="binomial tree")
    left.set(xlabel="price of the stock", ylabel="value of the option")
    left.legend(frameon=False)
    right.plot(YEARS * np.arange(1, STEPS + 1) / STEPS, exercised)
    right.set(xlabel="years to the end", ylabel="exercised below this price")
    figure.savefig(sys.argv[1], dpi=110)

"""Sweeps of relaxation written out in rational numbers, rounded where a kernel rounds (docs/numerics/sor.md)."""

from fractions import Fraction
from typing import Any

import numpy as np

from sorgum._data.matrices import Matrix

DIGITS = {"float32": (24, -149), "float64": (53, -1074)}  # of a significand; the exponent of the least number


class Rounded:
    """Arithmetic in a type, every result rounded once, to nearest and ties to even."""

    def __init__(self, dtype: Any) -> None:
        self.digits, self.least = DIGITS[np.dtype(dtype).name]

    def __call__(self, value: Fraction) -> Fraction:
        if value == 0:
            return value
        exponent = abs(value.numerator).bit_length() - value.denominator.bit_length() - self.digits
        while abs(value) >= Fraction(2) ** (exponent + self.digits):
            exponent += 1
        unit = Fraction(2) ** max(exponent, self.least)
        return round(value / unit) * unit

    def fma(self, a: Fraction, b: Fraction, c: Fraction) -> Fraction:
        return self(a * b + c)


Row = list[tuple[int, Fraction]]


def rows_of(a: Matrix, rounded: Rounded) -> list[Row]:
    """Columns and values, ascending; entries in one place added as they are stored."""
    rows = []
    for i in range(a.shape[0]):
        row: dict[int, Fraction] = {}
        for k in range(int(a.indptr[i]), int(a.indptr[i + 1])):
            j, value = int(a.indices[k]), Fraction(float(a.data[k]))
            row[j] = rounded(row[j] + value) if j in row else value
        rows.append(sorted(row.items()))
    return rows


def first_fit(rows: list[Row]) -> list[int]:
    neighbours: list[set[int]] = [{j for j, _ in row} for row in rows]
    for i, row in enumerate(rows):
        for j, _ in row:
            neighbours[j].add(i)
    colors: list[int] = []
    for i in range(len(rows)):
        taken = {colors[j] for j in neighbours[i] if j < i}
        colors.append(next(c for c in range(len(rows) + 1) if c not in taken))
    return colors


def sweep(
    a: Matrix,
    x: Any,
    b: Any,
    omega: float,
    *,
    backward: bool = False,
    multicolor: bool = False,
    half: bool = False,
    bounds: tuple[Any, Any] | None = None,
    chosen: Any = None,
) -> Any:
    """Return what x is after a sweep; in a half solve, what solves the system of that half of the matrix.

    The rows that are relaxed are all, or the chosen ones, in their order.
    """
    dtype = a.data.dtype
    rounded = Rounded(dtype)
    rows = rows_of(a, rounded)
    colors = first_fit(rows) if multicolor else [0] * len(rows)
    place = {i: k for k, i in enumerate(sorted(range(len(rows)), key=lambda i: (colors[i], i)))}
    w = Fraction(float(dtype.type(omega)))
    now = [Fraction(0)] * len(rows) if half else [Fraction(float(v)) for v in x]
    order = sorted(place, key=lambda i: place[i]) if chosen is None else [int(i) for i in chosen]
    for i in reversed(order) if backward else order:
        begin = i // 16 * 16
        d = rounded(1 / dict(rows[i])[i])
        outer, inner = [], []
        for j, value in sorted(rows[i], key=lambda entry: place[entry[0]]):
            passed = place[j] > place[i] if backward else place[j] < place[i]
            if j == i or (half and not passed):
                continue
            in_block = not multicolor and begin <= j < begin + 16
            (inner if passed and in_block else outer).append((j, value))
        s = Fraction(0)
        for j, value in outer:
            s = rounded.fma(value, now[j], s)
        rest = rounded(Fraction(float(b[i])) - s)
        c = rounded.fma(rounded(w * d), rest, rounded(rounded(1 - w) * now[i]))
        for j, value in reversed(inner) if backward else inner:
            c = rounded.fma(-rounded(w * rounded(value * d)), now[j], c)
        if bounds is not None:
            c = max(c, Fraction(float(bounds[0][i])))
            c = min(c, Fraction(float(bounds[1][i])))
        now[i] = c
    return np.array([float(v) for v in now]).astype(dtype)


def row_bounds(a: Matrix, before: Any, after: Any, b: Any, omega: float) -> tuple[Any, Any]:
    """Return errors of the rows of a forward sweep, each from the x that its own row saw, and their bounds."""
    u = Fraction(1, 2 ** DIGITS[a.data.dtype.name][0])
    w = Fraction(float(a.data.dtype.type(omega)))
    errors, bounds = [], []
    for i, row in enumerate(rows_of(a, Rounded(a.data.dtype))):
        diagonal = dict(row)[i]
        terms = [value * Fraction(float(after[j] if j < i else before[j])) for j, value in row if j != i]
        right, own = Fraction(float(b[i])), Fraction(float(before[i]))
        exact = (1 - w) * own + w / diagonal * (right - sum(terms))
        size = w * (abs(right) + sum(map(abs, terms))) / abs(diagonal) + abs(1 - w) * abs(own)
        errors.append(abs(Fraction(float(after[i])) - exact))
        bounds.append((len(terms) + 5) * u * size)
    return errors, bounds

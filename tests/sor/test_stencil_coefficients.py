"""stencil_coefficients: exact for polynomials of degree 2, what it refuses, and equations solved with it."""

import re
from itertools import product
from typing import Any

import numpy as np
import pytest

import sorgum as sg


def applied(c: Any, u: Any) -> Any:
    """Return sum_k c_k u[x + k] at the inner points."""
    box = list(product((-1, 0, 1), repeat=u.ndim))
    offsets = box if len(c) == len(box) else [k for k in box if sum(map(abs, k)) <= 1]
    inner = (slice(1, -1),) * u.ndim
    total = np.zeros(tuple(n - 2 for n in u.shape))
    for value, k in zip(c, offsets, strict=True):
        near = tuple(slice(1 + i, n - 1 + i) for i, n in zip(k, u.shape, strict=True))
        total += (value[inner] if np.ndim(value) else value) * u[near]
    return total


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize("shape", [(6, 9), (5, 6, 7)], ids=str)
def test_polynomials_of_degree_two(shape: Any, variable: bool) -> None:
    """Each monomial alone: so does each coefficient stand in its place, with its sign and spacing."""
    d = len(shape)
    h = np.array([0.5, 0.25, 2.0])[:d]  # powers of two: all but sums is exact
    x = [h[i] * v for i, v in enumerate(np.indices(shape).astype(float))]
    tail = shape if variable else ()
    second = np.arange(1.0, d * d + 1).reshape(d, d, *(1,) * len(tail)) + np.zeros((d, d, *tail))
    first = np.arange(7.0, 7 + d).reshape(d, *(1,) * len(tail)) + np.zeros((d, *tail))
    if variable:
        second, first = second + x[0], first - x[-1]
    zeroth = np.float64(11) if not variable else 11 + x[0] * 2
    c = sg.sor.stencil_coefficients(second, first, zeroth, spacing=h)
    assert c.shape == (3**d, *tail)
    inner = (slice(1, -1),) * d
    at = [v[inner] for v in x]
    seen = []
    monomials: list[tuple[int, ...]] = [
        (),
        *((i,) for i in range(d)),
        *((i, j) for i in range(d) for j in range(i + 1)),
    ]
    for axes in monomials:
        u = np.prod([np.ones(shape), *(x[i] for i in axes)], axis=0)
        own = [second[a, b][inner] if variable else second[a, b] for a in range(d) for b in range(d)]
        slope = [first[a][inner] if variable else first[a] for a in range(d)]
        want = (zeroth * u)[inner]
        if len(axes) == 1:
            want = want + slope[axes[0]]
        elif axes:
            i, j = axes
            want = want + own[i * d + j] + own[j * d + i] + slope[i] * at[j] + slope[j] * at[i]
        got = applied(c, u)
        # 27 products, of factors of at most 4 x 25 / h^2 and 400, in an order of NumPy's
        tolerance = 27 * 28 * 2.0**-53 * 16 * 100 * 400
        assert np.abs(got - want).max() <= tolerance < 1e-6
        seen.append(np.broadcast_to(want, got.shape))
    for a, b in ((a, b) for k, a in enumerate(seen) for b in seen[:k]):
        assert np.abs(a - b).max() > 1e-2


def test_as_few_coefficients_as_are_needed() -> None:
    assert sg.sor.stencil_coefficients(np.eye(2)).tolist() == [1, 1, -4, 1, 1]
    assert sg.sor.stencil_coefficients(np.eye(3)).tolist() == [1, 1, 1, -6, 1, 1, 1]
    assert sg.sor.stencil_coefficients([[1, 2], [-2, 1]]).shape == (5,)  # they cancel
    assert sg.sor.stencil_coefficients([[1, 2], [0, 1]]).shape == (9,)
    same = (
        sg.sor.stencil_coefficients(np.eye(2), spacing=0.5),
        sg.sor.stencil_coefficients(np.eye(2), spacing=(0.5, 0.5)),
    )
    assert same[0].tolist() == same[1].tolist() == [4, 4, -16, 4, 4]
    assert sg.sor.stencil_coefficients(np.eye(2), zeroth=np.full((3, 4), -1.0)).shape == (5, 3, 4)


@pytest.mark.parametrize("order", ["multicolor", "lexicographic"])
def test_an_equation_with_a_cross_derivative(order: str) -> None:
    """u = sin(2 y) exp(x) on points further apart along y: the error falls as the square of the distance."""
    errors = []
    for n in (16, 32):
        y, x = np.mgrid[0 : n + 1, 0 : 2 * n + 1] / np.array([n, 2 * n]).reshape(2, 1, 1)
        truth = np.sin(2 * y) * np.exp(x)
        a = np.array([[2 + y, 0.5 + 0 * y], [0.5 + 0 * y, 1 + x]])
        f = (-4 * (2 + y) + 1 + x) * truth + 2 * np.cos(2 * y) * np.exp(x) - truth
        c = sg.sor.stencil_coefficients(a, zeroth=-np.ones_like(y), spacing=(1 / n, 0.5 / n))
        u = truth.copy()
        u[1:-1, 1:-1] = 0
        assert sg.sor.sor_stencil(u, f, c, order=order, omega="adaptive", rtol=1e-9) == 0
        errors.append(np.abs(u - truth).max())
    assert errors[0] < 1e-3
    assert 3 < errors[0] / errors[1] < 5


def test_what_is_refused() -> None:
    def refused(kind: type[Exception], message: str, *args: Any, **options: Any) -> None:
        with pytest.raises(kind, match="^" + re.escape(f"stencil_coefficients: {message}") + "$"):
            sg.sor.stencil_coefficients(*args, **options)

    rule = "second must have shape (d, d) or (d, d, ...) with d = 2 or 3, got "
    refused(ValueError, rule + "(2, 3)", np.ones((2, 3)))
    refused(ValueError, rule + "(1, 1)", np.ones((1, 1)))
    refused(ValueError, rule + "()", 1.0)
    refused(ValueError, "first must have shape (2,) or (2, ...), got (3,)", np.eye(2), np.ones(3))
    refused(ValueError, "zeroth must have 2 axes of the grid behind its own, got (3,)", np.eye(2), None, np.ones(3))
    refused(
        ValueError, "first must have the shape (4, 5) of the grid behind its own, got (4, 6)",
        np.ones((2, 2, 4, 5)), np.ones((2, 4, 6)),
    )  # fmt: skip
    refused(ValueError, "spacing must be between 1e-150 and 1e150, got 0", np.eye(2), spacing=0)
    refused(ValueError, "spacing must be a number or have shape (2,), got shape (3,)", np.eye(2), spacing=(1, 2, 3))

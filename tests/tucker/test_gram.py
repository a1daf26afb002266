"""gram: known answers, the bound, the order of its sums, bits over instruction sets, threads and layouts, refusals."""

import itertools
import re
from collections.abc import Callable
from fractions import Fraction
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from bounds_tucker import exact_gram_and_sizes, terms
from cases import placed, with_strides
from interrupts import ends_within

import sorgum as sg
from sorgum import reference
from sorgum._data.inputs import numbers

gram = sg.tucker.gram
DTYPES = {
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
}
each_dtype = pytest.mark.parametrize("name", DTYPES)
# Panels, tiles, chunks, runs of chunks and bands of rows that are whole or not.
SHAPES = ((5,), (1, 600), (3, 7, 20), (17, 40, 33), (2, 3, 4, 5), (40, 9, 130), (130, 5, 60), (300, 2, 7))


def same(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def unfolding(x: Any, mode: int) -> Any:
    return np.moveaxis(x, mode, 0).reshape(x.shape[mode], -1)


def in_documented_order(rows: Any) -> Any:
    """docs/numerics/linalg.md in exact numbers: chains of fma over chunks of 512, added by the binary counter."""
    n, k = rows.shape
    result = np.zeros((n, n))
    for i, j in itertools.product(range(n), repeat=2):
        levels: list[float | None] = [None] * 20
        for first in range(0, k, 512):
            total = 0.0
            for a, b in zip(rows[i, first : first + 512].tolist(), rows[j, first : first + 512].tolist(), strict=True):
                total = float(Fraction(a) * Fraction(b) + Fraction(total))
            level = 0
            while (older := levels[level]) is not None:
                total, levels[level], level = older + total, None, level + 1
            levels[level] = total
        left = [level for level in levels if level is not None]
        for older in left[1:]:
            left[0] = older + left[0]
        result[i, j] = left[0]
    return result


def test_known_answers() -> None:
    """Against exact integers, and the squares of the singular values of a Hilbert matrix."""
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(gram(x, 0), [[506, 1298], [1298, 3818]])
    np.testing.assert_array_equal(gram(x, -1), np.tensordot(x, x, ((0, 1), (0, 1))))
    np.testing.assert_array_equal(gram([3, 4], 0), [[9, 12], [12, 16]])
    hilbert = 1 / (np.arange(1.0, 13)[:, None] + np.arange(12))
    values = np.linalg.svd(hilbert, compute_uv=False)
    found = np.linalg.eigvalsh(gram(hilbert, 0))[::-1]
    assert np.max(abs(found - values**2)) < 1e-15 * values[0] ** 2 * 12


def test_nothing() -> None:
    assert same(gram(np.zeros((3, 0, 2)), 0), np.zeros((3, 3)))
    assert same(gram(np.zeros((3, 0, 2)), 1), np.zeros((0, 0)))
    assert same(gram(np.zeros((3, 0, 2), np.float32), 2), np.zeros((2, 2)))
    assert same(gram(np.zeros(0), 0), np.zeros((0, 0)))


@each_dtype
def test_the_documented_order(name: str) -> None:
    for shape in ((3, 40), (2, 3, 450), (2, 2, 1800), (5,)):
        x = numbers(shape, DTYPES[name])
        for mode in range(len(shape)):
            if shape[mode] <= 5:
                rows = unfolding(x.astype(np.float64), mode)
                assert same(gram(x, mode), in_documented_order(rows))


def test_another_order_has_other_bits() -> None:
    """Seven chunks by halves, of which the counter makes 4 + (2 + 1)."""
    x = numbers((9, 7 * 512), np.dtype(np.float64))
    c = [gram(x[:, k : k + 512], 0) for k in range(0, 3584, 512)]
    assert same(gram(x, 0), ((c[0] + c[1]) + (c[2] + c[3])) + (c[6] + (c[4] + c[5])))
    assert not same(gram(x, 0), (c[0] + (c[1] + c[2])) + ((c[3] + c[4]) + (c[5] + c[6])))


@each_dtype
def test_bound(name: str) -> None:
    for shape in SHAPES:
        for mode, n in enumerate(shape):
            x = numbers(shape, DTYPES[name])
            exact, sizes = exact_gram_and_sizes(x, mode)
            bound = terms(prod(shape) // n) * 2.0**-53 * sizes
            got = gram(x, mode)
            assert got.dtype == np.float64
            assert got.shape == (n, n)
            assert np.all(abs(got - exact) <= bound)
            assert same(got, got.T)
            for wrong in (np.zeros_like(got), -got, *([np.roll(got, 1, 0)] if n > 1 else [])):
                assert not np.all(abs(wrong - exact) <= bound)
            assert np.max(abs(got - reference.tucker.gram(x, mode))) <= np.max(2 * bound)


def test_sums_of_float32_are_those_of_float64() -> None:
    """Squares of float32 numbers have 48 bits: what sums in float32 would lose."""
    x = numbers((40, 30, 50), np.dtype(np.float32))
    for mode in range(3):
        assert same(gram(x, mode), gram(x.astype(np.float64), mode))
        assert np.max(abs(gram(x, mode) - unfolding(x, mode) @ unfolding(x, mode).T)) > 1e-6


@each_dtype
def test_instruction_sets(name: str, isa: str) -> None:
    for shape in SHAPES:
        x = numbers(shape, DTYPES[name])
        for mode in range(len(shape)):
            expected = gram(x, mode)
            sg.set_isa("scalar")
            assert same(gram(x, mode), expected)
            sg.set_isa(isa)
    assert sg.isa() == isa


def test_threads(threads: Callable[[int], None]) -> None:
    for shape in ((64, 100, 90), (300, 2000), (2, 40000, 3)):
        x = numbers(shape, np.dtype(np.float32))
        for mode, n in enumerate(shape):
            if n <= 300:
                threads(1)
                expected = gram(x, mode)
                for count in (2, 3, 8):
                    threads(count)
                    assert same(gram(x, mode), expected)


@each_dtype
def test_layouts(name: str) -> None:
    for shape in ((4, 17, 6), (20, 3, 70), (9, 600)):
        x = numbers(shape, DTYPES[name])
        for mode in range(len(shape)):
            expected = gram(unfolding(x, mode).copy(), 0)
            for order in itertools.permutations(range(len(shape))):
                for steps in ((1, 1, 1), (2, -1, 1), (-1, 1, 3)):
                    assert same(gram(with_strides(x, order, steps[: len(shape)]), mode), expected)
            for offset in (1, 2, 4):
                assert same(gram(placed(x, offset), mode), expected)
        row = np.broadcast_to(x[:1], shape)
        for mode in range(len(shape)):
            assert same(gram(row, mode), gram(row.copy(), mode))


@each_dtype
def test_a_row_alone(name: str) -> None:
    """What stands beside a slice changes no bit."""
    x = numbers((270, 3, 401), DTYPES[name])
    whole = gram(x, 0)
    for rows in (slice(0, 1), slice(5, 40), slice(250, 270)):
        assert same(gram(x[rows], 0), whole[rows, rows])
    some = [260, 3, 17]
    assert same(gram(x[some], 0), whole[np.ix_(some, some)])


def test_special_values() -> None:
    x = numbers((3, 20), np.dtype(np.float32))
    x[1, 7] = -np.nan
    assert np.isnan(gram(x, 0)).tolist() == [[False, True, False], [True, True, True], [False, True, False]]
    assert gram(x, 0).view(np.uint64)[1, 0] == 0x7FF8000000000000
    x[1, 7] = np.inf
    x[2, 7] = 0
    assert gram(x, 0)[1, 1] == np.inf
    assert np.isnan(gram(x, 0)[1, 2])


def test_larger_than_any_memory() -> None:
    """More than 2^31 elements, by strides of 0; a copy in float64 would be 16 GB."""
    x = np.broadcast_to(np.full((1 << 14) + 1, 0.5, np.float32), (1 << 13, 16, (1 << 14) + 1))
    assert x.size > 2**31
    assert same(gram(x, 1), np.full((16, 16), x.size / 64))


@pytest.mark.parametrize("shape", [(8, 1 << 30, 8), (1000, 1 << 26)], ids=str)
def test_interrupt(shape: tuple[int, ...]) -> None:
    """Within 100 ms, and the next call works."""
    x = np.broadcast_to(np.float32(1), shape)
    assert ends_within(0.1, lambda: gram(x, 0), after=0.3)
    assert same(gram(np.ones((2, 3)), 0), np.full((2, 2), 3.0))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((np.zeros((3, 4)), 2), ValueError, "mode must be in [-2, 2), got 2"),
        ((np.zeros((3, 4)), -3), ValueError, "mode must be in [-2, 2), got -3"),
        ((1.0, 0), ValueError, "x must have an axis, got a scalar"),
        ((np.zeros(3), 0.0), TypeError, "mode must be an int, got float"),
        ((np.zeros(3, complex), 0), TypeError, "x must be float16, bfloat16, float32, float64, bool or integer, got "
         "dtype dtype('complex128')"),
    ],
)  # fmt: skip
def test_refusals(arguments: tuple[Any, ...], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^gram: {re.escape(message)}$"):
        gram(*arguments)

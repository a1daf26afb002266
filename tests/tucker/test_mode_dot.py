"""mode_dot: known answers, the bound, bits over instruction sets, threads and layouts, memory, refusals."""

import itertools
import re
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from bounds_tucker import exact_and_sizes, terms
from cases import layouts, placed, with_strides

import sorgum as sg
from sorgum import reference
from sorgum._data.inputs import numbers

mode_dot = sg.tucker.mode_dot
DTYPES = {
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
}
each_dtype = pytest.mark.parametrize("name", DTYPES)


def same(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def on_scalar(work: Callable[[], Any]) -> Any:
    before = sg.isa()
    sg.set_isa("scalar")
    try:
        return work()
    finally:
        sg.set_isa(before)


def test_known_answers() -> None:
    """Kolda and Bader 2009, the example of section 2.5: a tensor of 3 x 4 x 2 and a matrix of 2 x 3."""
    x = np.stack([np.arange(1.0, 13).reshape(4, 3).T, np.arange(13.0, 25).reshape(4, 3).T], axis=2)
    u = np.float64([[1, 3, 5], [2, 4, 6]])
    y = mode_dot(x, u, 0)
    np.testing.assert_array_equal(y[:, :, 0], [[22, 49, 76, 103], [28, 64, 100, 136]])
    np.testing.assert_array_equal(y[:, :, 1], [[130, 157, 184, 211], [172, 208, 244, 280]])
    np.testing.assert_array_equal(mode_dot(x, [1.0, 2, 3, 4], 1), [[70, 190], [80, 200], [90, 210]])
    np.testing.assert_array_equal(mode_dot(x, u.T, 0, transpose=True), y)
    np.testing.assert_array_equal(mode_dot(x, u, -3), y)
    assert mode_dot([1.0, 2.0], [3.0, 4.0], 0) == 11.0
    assert np.ndim(mode_dot([1.0, 2.0], [3.0, 4.0], 0)) == 0
    np.testing.assert_array_equal(mode_dot([1, 2], np.float32([[3, 4]]), 0), [11.0])


def test_nothing() -> None:
    """Sums of no terms are 0; results without elements have their shape."""
    assert same(mode_dot(np.zeros((2, 0, 3)), np.zeros((4, 0)), 1), np.zeros((2, 4, 3)))
    assert same(mode_dot(np.zeros((2, 0)), np.zeros((4, 0)), 1), np.zeros((2, 4)))
    assert same(mode_dot(np.zeros((2, 0)), np.zeros(0), 1), np.zeros(2))
    assert same(mode_dot(np.zeros((2, 0, 3)), np.zeros(0), 1), np.zeros((2, 3)))
    assert mode_dot(np.zeros((2, 5, 0)), np.zeros((4, 5)), 1).shape == (2, 4, 0)
    assert mode_dot(np.zeros((2, 5, 3)), np.zeros((0, 5)), 1).shape == (2, 0, 3)


@each_dtype
def test_bound(name: str) -> None:
    """The bound of docs/numerics/tucker.md, and half a ULP of a half type."""
    dtype = DTYPES[name]
    u = 2.0**-53 if name == "f64" else 2.0**-24
    stored = {"f16": 2.0**-11, "bf16": 2.0**-8}.get(name, 0.0)
    for shape in ((5, 40, 3), (30, 1, 70), (13, 600, 2), (2, 3, 1100), (20, 19)):
        for mode, n in enumerate(shape):
            x, m = numbers(shape, dtype), numbers((21, n), dtype, seed=1)
            exact, sizes = exact_and_sizes(x, m, mode)
            half_ulp = np.maximum(stored * abs(exact) * (1 + 2.0**-8), 2.0**-25 if name == "f16" else 0.0)
            bound = terms(n) * u * sizes + half_ulp  # of float16: half of the least subnormal at least
            got = mode_dot(x, m, mode)
            assert got.dtype == dtype
            assert np.all(abs(np.asarray(got).astype(np.longdouble) - exact) <= bound)
            for wrong in (np.zeros_like(got), np.roll(got, 1, mode), -got):
                assert not np.all(abs(np.asarray(wrong).astype(np.longdouble) - exact) <= bound)


@each_dtype
def test_agrees_with_the_reference(name: str) -> None:
    """Numbers of size 10 at most: 100 u, and a rounding of a half type."""
    dtype, tolerance = DTYPES[name], {"f64": 1e-14, "f32": 1e-5, "f16": 1e-3, "bf16": 8e-3}[name]
    x = numbers((4, 6, 3, 5), dtype)
    for mode, n in enumerate(x.shape):
        for given, transpose in (((7, n), False), ((n, 7), True), ((n,), False), ((n,), True)):
            m = numbers(given, dtype, seed=3)
            expected = reference.tucker.mode_dot(x, m, mode, transpose)
            got = mode_dot(x, m, mode, transpose).astype(np.float64)
            assert got.shape == expected.shape
            assert np.max(abs(got - expected)) <= tolerance * 10
            assert np.max(abs(expected)) > tolerance * 100


@each_dtype
def test_instruction_sets(name: str, isa: str) -> None:
    dtype = DTYPES[name]
    for shape in ((5, 70, 33), (3, 600, 2), (50, 17), (2, 3, 1100), (1, 1, 1)):
        x = numbers(shape, dtype)
        for mode, n in enumerate(shape):
            for given in ((1, n), (13, n), (40, n), (n,)):
                m = numbers(given, dtype, seed=1)
                assert same(mode_dot(x, m, mode), on_scalar(lambda: mode_dot(x, m, mode)))  # noqa: B023
    assert sg.isa() == isa


def test_threads(threads: Callable[[int], None]) -> None:
    for shape in ((64, 100, 90), (300, 2000), (2, 40000, 3), (30000, 4, 5)):
        x = numbers(shape, np.dtype(np.float32))
        for mode, n in enumerate(shape):
            for given in ((5, n), (n,)):
                m = numbers(given, x.dtype, seed=1)
                threads(1)
                expected = mode_dot(x, m, mode)
                for count in (2, 3, 8):
                    threads(count)
                    assert same(mode_dot(x, m, mode), expected)


@each_dtype
def test_a_slice_alone(name: str) -> None:
    """What stands beside a slice, or a row of the matrix, changes no bit; nor does it matter which mode it is."""
    x, m = numbers((7, 19, 18), DTYPES[name]), numbers((17, 19), DTYPES[name], seed=1)
    y = mode_dot(x, m, 1)
    assert same(mode_dot(x[3:4], m, 1), y[3:4])
    assert same(mode_dot(x[:, :, 5:6].copy(), m, 1), y[:, :, 5:6])
    assert same(mode_dot(x, m[4:5], 1), y[:, 4:5])
    assert same(mode_dot(x, m[4], 1), y[:, 4])
    assert same(mode_dot(x.transpose(0, 2, 1), m, 2), y.transpose(0, 2, 1))
    assert same(mode_dot(x.transpose(1, 0, 2), m, 0), y.transpose(1, 0, 2))


@each_dtype
def test_a_vector_is_a_row(name: str) -> None:
    """The bits of the row of a matrix: one chunk and several, more columns than are summed at a time, in any type."""
    for shape in ((3, 1100, 70), (20, 2070), (513, 40), (2, 9, 5)):
        x = numbers(shape, DTYPES[name])
        for mode, n in enumerate(shape):
            for dtype in (np.float32, np.float64):
                m = numbers((3, n), np.dtype(dtype), seed=1)
                assert same(mode_dot(x, m[1], mode), np.take(mode_dot(x, m, mode), 1, mode))


@each_dtype
def test_layouts(name: str) -> None:
    dtype = DTYPES[name]
    x = numbers((4, 17, 6), dtype)
    matrix = numbers((5, 17), dtype, seed=1)
    expected = mode_dot(x, matrix, 1)
    for order in itertools.permutations(range(3)):
        for steps in ((1, 1, 1), (2, -1, 1), (-1, 1, 3)):
            assert same(mode_dot(with_strides(x, order, steps), matrix, 1), expected)
            out = with_strides(np.zeros_like(expected), order, steps)
            assert mode_dot(x, matrix, 1, out=out) is out
            assert same(out, expected)
    for _, view in layouts(matrix):
        assert same(mode_dot(x, view, 1), expected)
        assert same(mode_dot(x, view.T, 1, transpose=True), expected)
    assert same(mode_dot(placed(x, 1), placed(matrix, 3), 1), expected)
    row = np.broadcast_to(x[:1], (4, 17, 6))
    assert same(mode_dot(row, matrix, 1), mode_dot(row.copy(), matrix, 1))


def test_out_over_arguments() -> None:
    x, m = numbers((6, 6, 6), np.dtype(np.float32)), numbers((6, 6), np.dtype(np.float32), seed=1)
    for mode in range(3):
        expected = mode_dot(x, m, mode)
        for out in (memory := x.copy(), memory.transpose(2, 1, 0), memory[::-1]):
            memory[...] = x
            given = memory if out is memory else out
            expected = mode_dot(given.copy(), m, mode)
            assert same(mode_dot(given, m, mode, out=memory), expected)
        memory = np.concatenate([m.ravel(), x.ravel()])
        out = memory[:216].reshape(6, 6, 6)
        assert same(mode_dot(x, memory[:36].reshape(6, 6), mode, out=out), mode_dot(x, m, mode))


def test_types() -> None:
    """The type of the tensor; float64 is computed in where one has it."""
    x, m = numbers((3, 50), np.dtype(np.float32)), numbers((4, 50), np.dtype(np.float64), seed=1)
    assert same(mode_dot(x, m, 1), mode_dot(x.astype(np.float64), m, 1).astype(np.float32))
    assert not same(mode_dot(x, m, 1), mode_dot(x, m.astype(np.float32), 1))
    assert mode_dot(x.astype(np.float16), m, 1).dtype == np.float16
    assert mode_dot(x > 0, m, 1).dtype == np.float64
    nan = mode_dot(-np.float32([[np.nan, 1.0]]), np.float32([[1.0, 1.0]]), 1)
    assert nan.view(np.uint32)[0, 0] == 0x7FC00000


X = np.zeros((3, 4, 5), np.float32)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((X, np.zeros((2, 5)), 1), ValueError, "matrix_or_vector must have shape (rank, 4) or (4,) with tensor of "
         "shape (3, 4, 5) and mode 1, got (2, 5)"),
        ((X, np.zeros((2, 4)), 1, True), ValueError, "matrix_or_vector must have shape (4, rank) or (4,) with tensor "
         "of shape (3, 4, 5) and mode 1, got (2, 4)"),
        ((X, np.zeros(3), -1), ValueError, "matrix_or_vector must have shape (rank, 5) or (5,) with tensor of shape "
         "(3, 4, 5) and mode -1, got (3,)"),
        ((X, np.zeros((1, 2, 4)), 1), ValueError, "matrix_or_vector must have one or two axes, got shape (1, 2, 4)"),
        ((X, 1.0, 1), ValueError, "matrix_or_vector must have one or two axes, got shape ()"),
        ((X, np.zeros(3), 3), ValueError, "mode must be in [-3, 3), got 3"),
        ((X, np.zeros(3), -4), ValueError, "mode must be in [-3, 3), got -4"),
        ((1.0, np.zeros(3), 0), ValueError, "tensor must have an axis, got a scalar"),
        ((X, np.zeros(3), 0.0), TypeError, "mode must be an int, got float"),
        ((X, np.zeros(3), 0, 1), TypeError, "transpose must be a bool, got int"),
        ((X.astype(complex), np.zeros(3), 0), TypeError, "tensor must be float16, bfloat16, float32, float64, bool or "
         "integer, got dtype dtype('complex128')"),
    ],
)  # fmt: skip
def test_refusals(arguments: tuple[Any, ...], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^mode_dot: {re.escape(message)}$"):
        mode_dot(*arguments)


def test_refusals_of_out() -> None:
    for out, kind, message in (
        (np.zeros((3, 2, 4), np.float32), ValueError, "have shape (3, 2, 5), got (3, 2, 4)"),
        (np.zeros((3, 2, 5)), TypeError, "have dtype float32, got float64"),
        (np.broadcast_to(np.float32(0), (3, 2, 5)), ValueError, "be writable, got a read-only array"),
    ):
        with pytest.raises(kind, match=f"^mode_dot: out must {re.escape(message)}$"):
            mode_dot(X, np.zeros((2, 4)), 1, out=out)

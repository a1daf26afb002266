"""multi_mode_dot: known answers, the order by cost, bits over instruction sets and threads, the bound, refusals."""

import itertools
import re
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from bounds_tucker import exact_and_size_of_several, several_terms
from cases import with_strides

import sorgum as sg
from sorgum import reference
from sorgum._data.inputs import numbers
from sorgum.tucker._modes import by_cost

multi_mode_dot, mode_dot = sg.tucker.multi_mode_dot, sg.tucker.mode_dot
DTYPES = {
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
}
each_dtype = pytest.mark.parametrize("name", DTYPES)
X = np.zeros((3, 4, 5), np.float32)


def same(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def operands(shape: tuple[int, ...], ranks: tuple[int, ...], dtype: Any) -> tuple[Any, list[Any]]:
    pairs = enumerate(zip(ranks, shape, strict=True))
    return numbers(shape, dtype), [numbers(pair, dtype, seed=k + 1) for k, pair in pairs]


def test_known_answers() -> None:
    """Kolda and Bader 2009, section 2.5, along two modes; a tensor and a vector for each of its modes."""
    x = np.stack([np.arange(1.0, 13).reshape(4, 3).T, np.arange(13.0, 25).reshape(4, 3).T], axis=2)
    u, v = np.float64([[1, 3, 5], [2, 4, 6]]), np.float64([1, 2, 3, 4])
    expected = [[22 + 98 + 228 + 412, 130 + 314 + 552 + 844], [28 + 128 + 300 + 544, 172 + 416 + 732 + 1120]]
    np.testing.assert_array_equal(multi_mode_dot(x, [u, v]), expected)
    np.testing.assert_array_equal(multi_mode_dot(x, [v, u], modes=[1, 0]), expected)
    np.testing.assert_array_equal(multi_mode_dot(x, [v, u.T], modes=[-2, 0], transpose=True), expected)
    np.testing.assert_array_equal(multi_mode_dot(x, [u, v, [5.0, 1.0]], skip=2), expected)
    assert multi_mode_dot([[1, 2], [0, -1]], [[2, 1], [-1, 1]]) == 1.0
    assert isinstance(multi_mode_dot(np.ones((3, 5, 4, 2)), [np.ones(n) for n in (3, 5, 4, 2)]), np.float64)
    assert multi_mode_dot(np.ones((3, 5, 4, 2)), [np.ones(n) for n in (3, 5, 4, 2)]) == 120
    assert same(multi_mode_dot(x, []), x)
    assert multi_mode_dot(x, []) is not x


def test_nothing() -> None:
    assert same(multi_mode_dot(np.zeros((2, 0, 3)), [np.zeros((5, 2)), np.zeros((4, 0))]), np.zeros((5, 4, 3)))
    assert multi_mode_dot(np.zeros((2, 5, 0)), [np.zeros((4, 2)), np.zeros((0, 5))]).shape == (4, 0, 0)
    assert same(multi_mode_dot(np.zeros((2, 0)), [np.zeros(2), np.zeros(0)]), np.float64(0))


def test_order_is_the_cheapest() -> None:
    """Against the operations of every order."""

    def operations(shape: tuple[int, ...], ranks: tuple[int, ...], order: Any) -> int:
        sizes, total = list(shape), 0
        for mode in order:
            total += int(np.prod(sizes)) * ranks[mode]
            sizes[mode] = ranks[mode]
        return total

    rng = np.random.default_rng(1)
    for _ in range(200):
        shape, ranks = (tuple(int(n) for n in rng.integers(1, 40, 4)) for _ in range(2))
        found = by_cost((k, r, r / n) for k, (r, n) in enumerate(zip(ranks, shape, strict=True)))
        every = [operations(shape, ranks, order) for order in itertools.permutations(range(4))]
        assert operations(shape, ranks, found) == min(every)
    assert by_cost((k, 2.0, 0.5) for k in range(4)) == [0, 1, 2, 3]


@each_dtype
def test_bound(name: str) -> None:
    """The sum of the modes' bounds, and half a ULP of a half type."""
    dtype = DTYPES[name]
    u = 2.0**-53 if name == "f64" else 2.0**-24
    stored = {"f16": 2.0**-11, "bf16": 2.0**-8}.get(name, 0.0)
    for shape, ranks in (((5, 40, 3), (4, 2, 9)), ((13, 600), (20, 3)), ((2, 3, 4, 5), (5, 4, 3, 2))):
        x, ms = operands(shape, ranks, dtype)
        ms = [(m / np.asarray(8, dtype)).astype(dtype) for m in ms]  # within the range of float16
        exact, size = exact_and_size_of_several(x, ms)
        half_ulp = np.maximum(stored * abs(exact) * (1 + 2.0**-8), 2.0**-25 if name == "f16" else 0.0)
        bound = several_terms(shape) * u * size + half_ulp
        got = multi_mode_dot(x, ms)
        assert got.dtype == dtype
        assert np.all(abs(np.asarray(got).astype(np.longdouble) - exact) <= bound)
        for wrong in (np.zeros_like(got), np.roll(got, 1, 0), -got):
            assert not np.all(abs(np.asarray(wrong).astype(np.longdouble) - exact) <= bound)


def test_instruction_sets_and_threads(isa: str, threads: Callable[[int], None]) -> None:
    for name in DTYPES:
        x, ms = operands((64, 33, 40), (7, 70, 16), DTYPES[name])
        threads(2)
        got = multi_mode_dot(x, ms)
        assert sg.isa() == isa
        threads(1)
        assert same(got, multi_mode_dot(x, ms))
        sg.set_isa("scalar")
        assert same(got, multi_mode_dot(x, ms))
        sg.set_isa(isa)


def test_is_one_product_after_the_other() -> None:
    x, ms = operands((9, 8, 7), (2, 5, 3), np.dtype(np.float64))
    order = by_cost((k, len(m), len(m) / m.shape[1]) for k, m in enumerate(ms))
    y = x
    for mode in order:
        y = mode_dot(y, ms[mode], mode)
    assert same(multi_mode_dot(x, ms), y)
    assert same(multi_mode_dot(x, ms[:2]), multi_mode_dot(x, ms, skip=2))
    assert same(multi_mode_dot(x, [m.T for m in ms], transpose=True), y)


@each_dtype
def test_rounded_once(name: str) -> None:
    """Half types are widened, multiplied in float32 along all modes, and rounded at the end."""
    x, ms = operands((6, 5, 4), (3, 2, 4), DTYPES[name])
    wide = np.float64 if name == "f64" else np.float32
    expected = multi_mode_dot(x.astype(wide), [m.astype(wide) for m in ms]).astype(DTYPES[name])
    assert same(multi_mode_dot(x, ms), expected)
    single = np.float32(numbers((6, 5, 4), np.dtype(np.float32)))
    doubles = [m.astype(np.float64) for m in ms]
    assert same(multi_mode_dot(single, doubles), multi_mode_dot(single.astype(float), doubles).astype(np.float32))


@each_dtype
def test_out_and_layouts(name: str) -> None:
    x, ms = operands((6, 6, 6), (6, 6, 6), DTYPES[name])
    ms = [(m / np.asarray(8, DTYPES[name])).astype(DTYPES[name]) for m in ms]
    expected = multi_mode_dot(x, ms)
    for order in itertools.permutations(range(3)):
        assert same(multi_mode_dot(with_strides(x, order, (2, -1, 1)), ms), expected)
        out = with_strides(np.zeros_like(expected), order, (1, -2, 1))
        assert multi_mode_dot(x, ms, out=out) is out
        assert same(out, expected)
    memory = x.copy()
    for out in (memory, memory.transpose(2, 1, 0), memory[::-1]):
        memory[...] = x
        want = multi_mode_dot(x, ms)
        assert same(multi_mode_dot(memory, ms, out=out), want)
    out = np.zeros((6, 6), DTYPES[name])
    assert multi_mode_dot(x, [ms[0], ms[1][0]], out=out) is out
    assert same(out, multi_mode_dot(x, [ms[0], ms[1][0]]))
    scalar = np.zeros((), DTYPES[name])
    assert multi_mode_dot(x, [m[0] for m in ms], out=scalar) is scalar
    assert scalar == multi_mode_dot(x, [m[0] for m in ms])


def test_agrees_with_the_reference() -> None:
    """Sums of at most 2520 products of numbers of size 10: 1e4 times 1e-15 times 3000."""
    x, ms = operands((7, 8, 9, 5), (3, 4, 2, 6), np.dtype(np.float64))
    for modes in ((0, 1, 2, 3), (3, 1), (2,), (-1, 0, 1)):
        some = [ms[mode] for mode in modes]
        some[-1] = some[-1][0]
        got, expected = multi_mode_dot(x, some, modes), reference.tucker.multi_mode_dot(x, some, modes)
        assert got.shape == expected.shape
        assert np.max(abs(got - expected)) <= 1e-11 * np.max(abs(expected))
        assert np.max(abs(np.roll(got, 1) - expected)) > 1e-11 * np.max(abs(expected))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((X, [np.zeros((2, 3)), np.zeros((2, 5))]), ValueError, "matrix_or_vec_list must have shape (rank, 4) or (4,) "
         "for mode 1, got (2, 5)"),
        ((X, [np.zeros((2, 5))], [-1], None, True), ValueError, "matrix_or_vec_list must have shape (5, rank) or (5,) "
         "for mode 2, got (2, 5)"),
        ((X, [np.zeros((1, 2, 3))]), ValueError, "matrix_or_vec_list must have shape (rank, 3) or (3,) for mode 0, got "
         "(1, 2, 3)"),
        ((X, [1.0]), ValueError, "matrix_or_vec_list must have shape (rank, 3) or (3,) for mode 0, got ()"),
        ((X, [np.zeros(3)] * 4), ValueError, "matrix_or_vec_list must have at most 3 entries, got 4"),
        ((X, [np.zeros(3)], [0, 1]), ValueError, "modes must have 1 entries, as many as matrices, got 2"),
        ((X, [np.zeros(3)], [3]), ValueError, "modes must be in [-3, 3), got 3"),
        ((X, [np.zeros(3)] * 2, [0, -3]), ValueError, "modes must be different from each other, got [0, -3]"),
        ((X, [np.zeros(3)], [0.0]), TypeError, "modes must be ints, got [0.0]"),
        ((X, [np.zeros(3)], 0), TypeError, "modes must be a sequence, got 0"),
        ((X, 3), TypeError, "matrix_or_vec_list must be a sequence, got 3"),
        ((X, [np.zeros(3)], None, 1), ValueError, "skip must be in [0, 1), got 1"),
        ((X, [np.zeros(3)], None, 0.0), TypeError, "skip must be an int, got float"),
        ((X, [np.zeros(3)], None, None, 1), TypeError, "transpose must be a bool, got int"),
        ((X.astype(complex), []), TypeError, "tensor must be float16, bfloat16, float32, float64, bool or integer, got "
         "dtype dtype('complex128')"),
    ],
)  # fmt: skip
def test_refusals(arguments: tuple[Any, ...], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^multi_mode_dot: {re.escape(message)}$"):
        multi_mode_dot(*arguments)


def test_refusals_of_out() -> None:
    for out, kind, message in (
        (np.zeros((3, 2, 4), np.float32), ValueError, "have shape (3, 2, 5), got (3, 2, 4)"),
        (np.zeros((3, 2, 5)), TypeError, "have dtype float32, got float64"),
        (np.broadcast_to(np.float32(0), (3, 2, 5)), ValueError, "be writable, got a read-only array"),
    ):
        with pytest.raises(kind, match=f"^multi_mode_dot: out must {re.escape(message)}$"):
            multi_mode_dot(X, [np.zeros((2, 4))], [1], out=out)

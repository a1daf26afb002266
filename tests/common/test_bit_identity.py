"""The same bits on every instruction set, for any number of threads, batch, alignment and layout (N1 to N10)."""

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import CASES, CHUNK, DTYPES, LENGTHS, case_of, layouts, placed
from cases.special import ALGORITHMS, ROW_FUNCTIONS

import sorgum as sg
from sorgum import _core, special
from sorgum._data.inputs import hashed, logits, words

Function = Callable[..., Any]
each_dtype = pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES.keys())
each_row_function = pytest.mark.parametrize("function", ROW_FUNCTIONS.values(), ids=ROW_FUNCTIONS.keys())
each_function = pytest.mark.parametrize(
    "function",
    [special.exp, special.log, *ROW_FUNCTIONS.values()],
    ids=["exp", "log", *ROW_FUNCTIONS],
)


def on_scalar(work: Callable[[], Any]) -> Any:
    """Return what `work` gives on the scalar kernels, the oracle of bits."""
    before = sg.isa()
    sg.set_isa("scalar")
    try:
        assert sg.isa() == "scalar"
        return work()
    finally:
        sg.set_isa(before)


def bits(array: Any) -> bytes:
    return np.asarray(array).tobytes()


def assert_same_bits(got: Any, expected: Any, what: object = "") -> None:
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype == expected.dtype, what
    assert got.shape == expected.shape, what
    if bits(got) != bits(expected):
        integer = np.dtype(f"i{got.dtype.itemsize}")
        different = np.ascontiguousarray(got).view(integer) != np.ascontiguousarray(expected).view(integer)
        at = tuple(int(i[0]) for i in np.nonzero(different))
        raise AssertionError(f"{what}: {different.sum()} differ, first at {at}: {got[at]!r} and {expected[at]!r}")


# The enumerator


def test_every_kernel_has_a_case() -> None:
    kernels = {name.rpartition(".")[0] for name in _core.kernel_names()}
    assert kernels - set(CASES) == set(), "kernels without a case in tests/support/cases"
    assert set(CASES) - kernels == set(), "cases without a kernel"


@functools.cache
def outputs(case: Callable[..., Any], dtypes: tuple[np.dtype[Any], ...], isa: str) -> tuple[list[str], set[str]]:
    """Return digests of what a case gives, and the kernels that ran, once for all that it exercises."""
    assert sg.isa() == isa
    _core.count_kernel_calls()
    digests = [hashlib.sha256(bits(output)).hexdigest() for output in case(*dtypes)]
    ran = {name for name, calls in zip(_core.kernel_names(), _core.kernel_calls(), strict=True) if calls > 0}
    sg.set_isa(isa)  # the tables that do not count
    return digests, ran


@pytest.mark.parametrize("kernel", _core.kernel_names())
@pytest.mark.parametrize("isa", ["avx2", "avx512"], indirect=True)
def test_every_kernel_on_every_isa(kernel: str, isa: str) -> None:
    """Against the scalar kernels, whose own bits test_golden.py holds."""
    case = case_of(kernel)
    expected, ran_on_scalar = on_scalar(lambda: outputs(*case, "scalar"))
    assert sg.isa() == isa
    digests, ran = outputs(*case, isa)
    assert kernel in ran & ran_on_scalar, "the case does not call the kernel"
    assert digests == expected


# Lengths


@each_dtype
@each_row_function
def test_lengths(function: Function, dtype: np.dtype[Any], isa: str) -> None:
    for n in LENGTHS:
        x = logits((3 if n < 5000 else 1, n), dtype, 10.0, seed=n)
        for temperature in (1.0, 0.7):
            expected = on_scalar(lambda: function(x, temperature=temperature))  # noqa: B023
            assert_same_bits(function(x, temperature=temperature), expected, n)


@each_row_function
def test_a_row_of_two_to_the_24_and_one(function: Function, threads: Callable[[int], None]) -> None:
    x = logits((1 << 24) + 1, np.float32, 3.0)
    threads(2)
    expected = function(x)
    for name in sg.available_isas():
        before = sg.isa()
        sg.set_isa(name)
        try:
            assert_same_bits(function(x), expected, name)
        finally:
            sg.set_isa(before)


@each_dtype
@each_row_function
def test_any_encodings(function: Function, dtype: np.dtype[Any], isa: str) -> None:
    for n, seed in ((48, 1), (5000, 2), (70001, 3)):
        rows = words(n * 20, dtype, seed).reshape(20, n)
        rows = np.where(np.isfinite(rows) | (np.arange(20)[:, None] % 4 == 0), rows, 0)
        for temperature in (1.0, 1e-30, 1e30, 37.5):
            expected = on_scalar(lambda: function(rows, temperature=temperature))  # noqa: B023
            assert_same_bits(function(rows, temperature=temperature), expected, (n, temperature))


@each_dtype
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_algorithms_on_every_isa(algorithm: str, dtype: np.dtype[Any], isa: str) -> None:
    for function in (special.softmax, special.log_softmax):
        for shape in ((7, 1), (9, 17), (5, 1000), (2, CHUNK + 1), (1, 100003)):
            x = logits(shape, dtype, 10.0)
            got = function(x, algorithm=algorithm)
            assert_same_bits(got, on_scalar(lambda: function(x, algorithm=algorithm)), shape)  # noqa: B023
            if algorithm == "two_pass":
                assert_same_bits(got, function(x), "auto has the bits of two_pass")


# Threads


@each_dtype
@each_function
def test_threads(function: Function, dtype: np.dtype[Any], threads: Callable[[int], None]) -> None:
    for shape in ((1, 1), (1, (1 << 20) + 3), (1500, 1000), (20000, 64), (40, 32001), (3, 7 * CHUNK + 5), (130, 3)):
        x = logits(shape, dtype, 5.0)
        threads(1)
        expected = function(x)
        for n in (2, 3, 8):
            threads(n)
            assert_same_bits(function(x), expected, (shape, n))


@each_dtype
@each_row_function
def test_threads_over_other_axes(function: Function, dtype: np.dtype[Any], threads: Callable[[int], None]) -> None:
    x = logits((300, 40, 70), dtype, 5.0)
    for axis in (0, 1, (0, 1), (0, 2), None):
        threads(1)
        expected = function(x, axis=axis)
        for n in (2, 3, 8):
            threads(n)
            assert_same_bits(function(x, axis=axis), expected, (axis, n))


# A row alone and in a batch


@each_dtype
@each_row_function
@pytest.mark.parametrize("n", [1, 5, 16, 48, 100, 1000, CHUNK, CHUNK + 1, 20000])
def test_a_row_in_any_batch(function: Function, dtype: np.dtype[Any], n: int) -> None:
    row = logits(n, dtype, 8.0, seed=99)
    alone = function(row)
    for rows in (1, 2, 7, 64, 999 if n <= 1000 else 70):
        for position in {0, rows // 3, rows - 1}:
            batch = logits((rows, n), dtype, 30.0, seed=rows)
            batch[position // 2] = dtype.type(-np.inf) if position else batch[0]
            batch[rows // 2] = dtype.type(3e4)  # its neighbours may be of another magnitude, or special
            batch[position] = row
            assert_same_bits(function(batch)[position], alone, (rows, position))


# Alignment and layout


@each_dtype
@each_function
def test_alignment(function: Function, dtype: np.dtype[Any], isa: str) -> None:
    for shape in ((5, 67), (1, CHUNK + 33)):
        x = logits(shape, dtype, 8.0, seed=5)
        expected = function(x)
        for offset in range(64):
            assert_same_bits(function(placed(x, offset)), expected, offset)
            out = placed(np.zeros_like(expected), offset)
            assert function(x, out=out) is out
            assert_same_bits(out, expected, ("out", offset))


@each_dtype
@each_function
def test_large_misaligned(function: Function, dtype: np.dtype[Any]) -> None:
    """Large enough for stores that go past the caches, which need alignment."""
    x = logits((3, 1 << 20), dtype, 8.0, seed=5)
    expected = function(x)
    for offset in (1, 3, 4, 8, 17, 36):
        out = placed(np.zeros_like(expected), offset)
        function(placed(x, 64 - offset), out=out)
        assert_same_bits(out, expected, offset)


@each_dtype
@each_function
@pytest.mark.parametrize("shape", [(7, 300), (300, 7), (2, 5003), (5003, 2), (1, 1), (0, 5), (5, 0)], ids=str)
def test_layouts(function: Function, dtype: np.dtype[Any], shape: tuple[int, int]) -> None:
    x = logits(shape, dtype, 8.0, seed=6)
    axes: tuple[Any, ...] = (None,) if function in (special.exp, special.log) else (-1, 0, (0, 1), None)
    for axis in axes:
        keywords = {} if function in (special.exp, special.log) else {"axis": axis}
        expected = function(x, **keywords)
        for name, view in layouts(x):
            assert np.array_equal(view, x)
            assert_same_bits(function(view, **keywords), expected, (axis, name))
        for name, out in layouts(np.zeros_like(expected)) if np.ndim(expected) == 2 else ():
            if name != "read-only":
                assert function(x, out=out, **keywords) is out
                assert_same_bits(out, expected, (axis, "out", name))


@each_dtype
@each_function
def test_broadcast(function: Function, dtype: np.dtype[Any]) -> None:
    row = logits(5000, dtype, 8.0)
    for x in (
        np.broadcast_to(row, (9, 5000)),
        np.broadcast_to(row[:, None], (5000, 9)),
        np.broadcast_to(row[3], (7, 9)),
    ):
        assert_same_bits(function(x), function(x.copy()))


@each_dtype
@each_row_function
def test_axes(function: Function, dtype: np.dtype[Any]) -> None:
    """Any axis gives what the last one gives after a transposition; reduced axes are taken in C order."""
    x = logits((4, 5, 6, 7), dtype, 8.0)
    for axis in (0, 1, 2, 3, -1, -4, (0, 1), (3, 1), (1, 3), (0, 2, 3), (3, 2, 1, 0), None):
        axes = tuple(range(4)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(sorted(a % 4 for a in axes))
        order = tuple(a for a in range(4) if a not in axes) + axes
        rows = np.ascontiguousarray(x.transpose(order)).reshape(*[x.shape[a] for a in order[: 4 - len(axes)]], -1)
        expected = function(rows)
        if function is not special.logsumexp:
            expected = expected.reshape([x.shape[a] for a in order]).transpose(np.argsort(order))
        assert_same_bits(function(x, axis=axis), expected, axis)


@each_dtype
@each_row_function
@pytest.mark.parametrize("shape", [(4096, 33), (4097, 300), (20000, 5), (3, 9000, 4)], ids=str)
def test_long_columns(function: Function, dtype: np.dtype[Any], shape: tuple[int, ...], isa: str) -> None:
    x = logits(shape, dtype, 8.0)
    expected = np.moveaxis(x, -2, -1).copy()
    for temperature in (1.0, 0.7):
        rows = function(expected, temperature=temperature)
        if function is not special.logsumexp:
            rows = np.moveaxis(rows, -1, -2)
        assert_same_bits(function(x, axis=-2, temperature=temperature), rows)


# In place


@each_dtype
@each_function
@pytest.mark.parametrize("shape", [(5, 67), (999, 48), (2, 9001), (1, 1 << 20)], ids=str)
def test_in_place(function: Function, dtype: np.dtype[Any], shape: tuple[int, int], isa: str) -> None:
    if function is special.logsumexp:
        pytest.skip("its output has another shape")
    x = logits(shape, dtype, 8.0)
    expected = function(x)
    same = x.copy()
    assert function(same, out=same) is same
    assert_same_bits(same, expected)
    fortran = np.asfortranarray(x)
    function(fortran, out=fortran)
    assert_same_bits(fortran, expected)


# Masks and temperatures


@each_dtype
@each_row_function
def test_masks(function: Function, dtype: np.dtype[Any], isa: str) -> None:
    """A masked row has the bits of the same row with -inf in its place, whatever stood there."""
    for n in (5, 48, 1000, CHUNK + 1, 20000):
        x = logits((6, n), dtype, 8.0)
        mask = (hashed(6 * n) % np.uint64(3) != 0).reshape(6, n)
        mask[4] = False
        expected = function(np.where(mask, x, dtype.type(-np.inf)))
        assert_same_bits(function(x, where=mask), expected, n)
        assert_same_bits(function(np.where(mask, x, dtype.type(np.nan)), where=mask), expected, n)
        assert_same_bits(function(x, where=np.asfortranarray(mask)), expected, n)
        assert_same_bits(function(x, where=mask[0]), function(np.where(mask[0], x, dtype.type(-np.inf))), n)


@each_dtype
@each_row_function
def test_a_temperature_per_row(function: Function, dtype: np.dtype[Any], isa: str) -> None:
    temperatures = np.array([1.0, 0.7, 37.5, 1e-3, 1e30, 1e-30, 1.0])
    for n in (5, 48, 1000, CHUNK + 1, 20000):
        x = logits((7, n), dtype, 8.0)
        expected = np.stack([function(row, temperature=t) for row, t in zip(x, temperatures, strict=True)])
        assert_same_bits(function(x, temperature=temperatures), expected, n)
        assert_same_bits(function(x, temperature=temperatures[:, None]), expected, n)
        transposed = function(np.ascontiguousarray(x.T), axis=0, temperature=temperatures)
        assert_same_bits(transposed if function is special.logsumexp else transposed.T, expected, n)

"""What Relaxation refuses, with the whole message, and that nothing beyond any array is touched."""

import copy
import pickle
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from interrupts import ends_within

import sorgum as sg
from sorgum._data.inputs import logits
from sorgum._data.matrices import Matrix, dominant, grid

pytestmark = pytest.mark.sanitize

each_index = pytest.mark.parametrize("index", [np.int32, np.int64], ids=["i32", "i64"])
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
each_order = pytest.mark.parametrize("order", ["natural", "multicolor"])
P = Matrix(
    np.array([0, 2, 5, 7], np.int32),
    np.array([0, 1, 0, 1, 2, 1, 2], np.int32),
    np.array([5.0, -2, -2, 6, -1, -1, 3]),
    (3, 3),
)
B = np.array([1.0, -4, 2])


def raises(kind: type[Exception], message: str, name: str = "Relaxation") -> Any:
    return pytest.raises(kind, match="^" + re.escape(f"{name}: {message}") + "$")


def changed(array: str, at: int, value: float, index: Any = np.int32, dtype: Any = np.float64) -> Matrix:
    a = replace(P, indptr=P.indptr.astype(index), indices=P.indices.astype(index), data=P.data.astype(dtype))
    getattr(a, array)[at] = value
    return a


COLUMNS = "A.indices must not be negative and must be below the number of columns, 3, got"
NONE = "A must have an entry on the diagonal of every row, got none in row"


@each_order
@each_index
@pytest.mark.parametrize(
    ("array", "at", "value", "message"),
    [
        ("indptr", 0, 1, "A.indptr must begin with 0, got 1"),
        ("indptr", 0, -1, "A.indptr must begin with 0, got -1"),
        ("indptr", 1, -1, "A.indptr must not decrease, got 0 and then -1 in row 0"),
        ("indptr", 1, 6, "A.indptr must not decrease, got 6 and then 5 in row 1"),
        ("indptr", 1, 2**31 - 1, "A.indptr must not exceed the number of entries, 7, got 2147483647 in row 0"),
        ("indptr", 3, 8, "A.indptr must not exceed the number of entries, 7, got 8 in row 2"),
        ("indptr", 3, 6, f"{NONE} 2"),
        ("indices", 0, 3, f"{COLUMNS} 3 in row 0, entry 0"),
        ("indices", 4, -1, f"{COLUMNS} -1 in row 1, entry 4"),
        ("indices", 6, -(2**31), f"{COLUMNS} -2147483648 in row 2, entry 6"),
        ("indices", 0, 2, f"{NONE} 0"),
        ("indices", 3, 0, f"{NONE} 1"),
    ],
)
def test_rows_and_entries(array: str, at: int, value: int, message: str, index: Any, order: str) -> None:
    with raises(ValueError, message):
        sg.sor.Relaxation(changed(array, at, value, index), order=order)


@each_order
def test_numbers_of_64_bits(order: str) -> None:
    for array, at, value, message in (
        ("indptr", 2, 2**62, f"A.indptr must not exceed the number of entries, 7, got {2**62} in row 1"),
        ("indices", 3, 2**63 - 1, f"{COLUMNS} {2**63 - 1} in row 1, entry 3"),
        ("indices", 3, 2**32 + 1, f"{COLUMNS} {2**32 + 1} in row 1, entry 3"),
    ):
        with raises(ValueError, message):
            sg.sor.Relaxation(changed(array, at, value, np.int64), order=order)


DIAGONAL = "A must have a diagonal of normal numbers with normal reciprocals, got"
FINITE = "A must have entries that are finite, and so over their diagonal, got"


@each_order
@each_dtype
def test_values(dtype: Any, order: str) -> None:
    info = np.finfo(dtype)

    def text(value: float) -> str:
        return f"%.{17 if dtype == np.float64 else 9}g" % dtype(value)

    for at, row in ((0, 0), (3, 1), (6, 2)):
        for value in (0.0, float(info.smallest_subnormal), float(info.tiny) / 2, np.inf, -np.inf, float(info.max)):
            with raises(ValueError, f"{DIAGONAL} {text(value)} in row {row}, entry {at}"):
                sg.sor.Relaxation(changed("data", at, value, dtype=dtype), order=order)
        with pytest.raises(ValueError, match=rf"^Relaxation: {DIAGONAL} -?nan in row {row}, entry {at}$"):
            sg.sor.Relaxation(changed("data", at, np.nan, dtype=dtype), order=order)
    for at, row, of in ((1, 0, 5), (2, 1, 6), (4, 1, 6), (5, 2, 3)):
        for value in (np.inf, -np.inf):
            with raises(ValueError, f"{FINITE} {text(value)} over {of} in row {row}, entry {at}"):
                sg.sor.Relaxation(changed("data", at, value, dtype=dtype), order=order)
        with pytest.raises(ValueError, match=rf"^Relaxation: {FINITE} -?nan over {of} in row {row}, entry {at}$"):
            sg.sor.Relaxation(changed("data", at, np.nan, dtype=dtype), order=order)
    small = changed("data", 0, float(info.tiny) * 2, dtype=dtype)
    assert np.isfinite(sg.sor.Relaxation(small, order=order).diagonal()).all()
    small.data[1] = 10
    with raises(ValueError, f"{FINITE} 10 over {text(float(info.tiny) * 2)} in row 0, entry 1"):
        sg.sor.Relaxation(small, order=order)


def test_the_first_fault_is_told(threads: Callable[[int], None]) -> None:
    threads(3)
    a = dominant(200_000, 3, np.float64, np.int32)
    rows = np.repeat(np.arange(200_000), np.diff(a.indptr))
    diagonal = np.nonzero(rows == a.indices)[0]
    for row in (199_999, 100_000, 70_000, 5):
        a.data[diagonal[row]] = 0
        with raises(ValueError, f"{DIAGONAL} 0 in row {row}, entry {diagonal[row]}"):
            sg.sor.Relaxation(a)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indptr": P.indptr[:-1]}, "A.indptr must have an element more than there are rows, 3, got 3"),
        ({"indices": P.indices[:-1]}, "A.indices must have shape (7,), got (6,)"),
        ({"data": P.data[:-1]}, "A.indices must have shape (6,), got (7,)"),
        ({"shape": (-1, 3)}, "A must have a shape that is not negative, got (-1, 3)"),
        ({"shape": (3, 4)}, "A must be square, got shape (3, 4)"),
        ({"shape": (3, 2)}, "A must be square, got shape (3, 2)"),
        ({"shape": (9,)}, "A must have two dimensions, got shape (9,)"),
    ],
    ids=str,
)
def test_lengths_and_shapes(change: dict[str, Any], message: str) -> None:
    with raises(ValueError, message):
        sg.sor.Relaxation(replace(P, **change))


def test_types() -> None:
    for name in ("int8", "uint32", "uint64", "float64"):
        with raises(TypeError, f"A.indices must have dtype int32 or int64 in native byte order, got {name}"):
            sg.sor.Relaxation(replace(P, indices=P.indices.astype(name)))
    real = "must be float32, float64, bool or integer, got dtype"
    for name in ("complex128", "float16", ">f8", "object"):
        with raises(TypeError, f"A {real} {np.dtype(name)!r}"):
            sg.sor.Relaxation(replace(P, data=P.data.astype(np.int64).astype(name)))
    with raises(TypeError, "dtype must be float32 or float64, got dtype('float16')"):
        sg.sor.Relaxation(P, dtype=np.float16)
    with raises(TypeError, "order must be a string, got 3"):
        sg.sor.Relaxation(P, order=3)  # type: ignore[arg-type]
    with raises(ValueError, "order must be 'natural' or 'multicolor' or 'block_multicolor', got 'levels'"):
        sg.sor.Relaxation(P, order="levels")
    assert sg.sor.Relaxation(P, dtype=np.float32).dtype == np.float32
    assert sg.sor.Relaxation(np.eye(3, dtype=np.int64)).dtype == np.float64


def test_arguments_of_a_sweep() -> None:
    relaxation = sg.sor.Relaxation(P)
    x, before = np.ones(3), np.ones(3)
    frozen, apart = np.zeros(3), np.ones(6)
    frozen.flags.writeable = False
    cases: list[tuple[type[Exception], str, Callable[[], None]]] = [
        (TypeError, "x must be an array, which is overwritten, got list", lambda: relaxation.sweep([0.0], B)),  # type: ignore[arg-type]
        (TypeError, "x must have dtype float64, got float32", lambda: relaxation.sweep(np.zeros(3, np.float32), B)),
        (ValueError, "x must be writable, got a read-only array", lambda: relaxation.sweep(frozen, B)),
        (ValueError, "x must have shape (3,), got (4,)", lambda: relaxation.sweep(np.zeros(4), B)),
        (ValueError, "x must have shape (3,), got (3, 1)", lambda: relaxation.sweep(np.zeros((3, 1)), B)),
        (ValueError, "b must have shape (3,), got (2,)", lambda: relaxation.sweep(x, B[:2])),
        (ValueError, "x must not overlap b, got arrays that share memory", lambda: relaxation.sweep(x, x)),
        (TypeError, "omega must be a real number, got str", lambda: relaxation.sweep(x, B, "1")),  # type: ignore[arg-type]
        (TypeError, "iterations must be an int, got float", lambda: relaxation.sweep(x, B, iterations=1.0)),  # type: ignore[arg-type]
        (ValueError, "iterations must not be negative, got -1", lambda: relaxation.sweep(x, B, iterations=-1)),
        (TypeError, "sweep must be a string, got 1", lambda: relaxation.sweep(x, B, sweep=1)),  # type: ignore[arg-type]
        (
            ValueError,
            "bounds[1] must have shape (3,), got (2,)",
            lambda: relaxation.sweep(x, B, bounds=(0.0, [1.0, 2.0])),
        ),
        (
            ValueError,
            "bounds[0] must not be NaN or inf, got nan in row 1",
            lambda: relaxation.sweep(x, B, bounds=([0.0, np.nan, 1.0], None)),
        ),
        (
            ValueError,
            "bounds[1] must not be NaN or -inf, got -inf in row 2",
            lambda: relaxation.sweep(x, B, bounds=(-np.inf, [0.0, np.inf, -np.inf])),
        ),
        (
            ValueError,
            "x must not overlap b, got arrays that share memory",
            lambda: relaxation.sweep(apart[::2], apart[::2]),
        ),
        (
            ValueError,
            "x must not overlap bounds[1], got arrays that share memory",
            lambda: relaxation.sweep(apart[:3], B, bounds=(None, apart[1::2])),
        ),
    ]
    for kind, message, call in cases:
        with raises(kind, message, "Relaxation.sweep"):
            call()
    for omega in (0.0, -1.0, 2.0, 2.5, np.nan, np.inf, -0.0):
        shown = f"{omega:.17g}"
        with raises(ValueError, f"omega must be between 0 and 2 and neither of them, got {shown}", "Relaxation.sweep"):
            relaxation.sweep(x, B, omega)
    with raises(TypeError, "b must have dtype float32, got float64", "Relaxation.sweep"):
        sg.sor.Relaxation(P, dtype=np.float32).sweep(np.zeros(3, np.float32), B)
    assert np.array_equal(x, before)
    assert np.array_equal(apart, np.ones(6))
    relaxation.sweep(apart[::2], apart[1::2])  # side by side is not in one place
    relaxation.sweep(x, B, iterations=0)
    assert np.array_equal(x, before)
    relaxation.sweep(x, [1, -4, 2], 2 - 2.0**-52, sweep="symmetric")
    assert not np.array_equal(x, before)


def test_the_matrix_is_copied_and_not_changed() -> None:
    unsorted = np.int32([1, 0, 2, 1, 0, 2, 1]), np.array([-2.0, 5, -1, 6, -2, 3, -1])
    a = Matrix(P.indptr.copy(), *unsorted, (3, 3))
    before = [a.indptr.copy(), a.indices.copy(), a.data.copy()]
    relaxation = sg.sor.Relaxation(a)
    relaxation.sweep(expected := np.zeros(3), B)
    for array, old in zip((a.indptr, a.indices, a.data), before, strict=True):
        assert np.array_equal(array, old)
        array[...] = 0
    relaxation.sweep(x := np.zeros(3), B)
    assert np.array_equal(x, expected)


@pytest.mark.skipif(sys.platform != "linux", reason="maps memory as Linux does")
@each_dtype
@each_order
def test_nothing_beyond_the_vectors_is_touched(dtype: Any, order: str, isa: str) -> None:
    from guarded import Guarded

    room = [Guarded(1 << 16) for _ in range(3)]
    some = [dominant(n, 3, dtype, np.int32, seed=n) for n in (0, 1, 2, 15, 16, 17, 31, 32, 33, 100)]
    some += [grid((9, 17), False, dtype, np.int32), grid((4, 5, 6), True, dtype, np.int32)]
    for a in some:
        n = a.shape[0]
        relaxation = sg.sor.Relaxation(a, order=order)
        b = logits(n, dtype)
        for place in ("at_start", "at_end"):
            x, right, out = (getattr(r, place)((n,), t) for r, t in zip(room, (dtype, dtype, np.float64), strict=True))
            right[...] = b
            for sweep in ("forward", "backward", "symmetric"):
                x[...] = b
                relaxation.sweep(x, right, 1.2, sweep=sweep, bounds=(right - 1, None) if sweep == "symmetric" else None)
                relaxation.sweep(x, right, 1.2, sweep=sweep)
                assert np.isfinite(x).all()
            relaxation._compiled.residual(x, right, out)
            for half in ("lower", "upper"):
                relaxation._compiled.half_solve(right, 1.2, half, x)


def test_every_malformed_matrix_between_forbidden_pages() -> None:
    from guarded import Guarded

    room = [Guarded(1 << 16) for _ in range(3)]
    a = dominant(40, 4, np.float64, np.int32)
    for place in ("at_start", "at_end"):
        arrays = [getattr(r, place)(v.shape, v.dtype) for r, v in zip(room, (a.indptr, a.indices, a.data), strict=True)]
        for to, values in zip(arrays, (a.indptr, a.indices, a.data), strict=True):
            to[...] = values
        there = Matrix(arrays[0], arrays[1], arrays[2], a.shape)
        for array, values in ((arrays[0], a.indptr), (arrays[1], a.indices)):
            for k in range(len(values)):
                for value in (-1, -(2**31), 2**31 - 1, 40, len(a.data) + 1):
                    if array is arrays[0] and value == 40:
                        continue
                    array[k] = value
                    for order in ("natural", "multicolor"):
                        with pytest.raises(ValueError, match=r"^Relaxation: A"):
                            sg.sor.Relaxation(there, order=order)
                    array[k] = values[k]


def test_memory_that_runs_out() -> None:
    a = Matrix(np.zeros(1, np.int32), np.zeros(0, np.int32), np.zeros(0), (2**62, 2**62))
    with raises(ValueError, f"A.indptr must have an element more than there are rows, {2**62}, got 1"):
        sg.sor.Relaxation(a)


def test_an_interrupt_ends_a_sweep_and_all_threads(threads: Callable[[int], None]) -> None:
    a = grid((400, 500), False, np.float64, np.int32)
    x, b = np.zeros(200_000), np.ones(200_000)
    for order in ("natural", "multicolor"):
        relaxation = sg.sor.Relaxation(a, order=order)
        sweeps = partial(relaxation.sweep, x, b, 1.5, iterations=10**9)
        for count in (1, 2, 3):
            threads(count)
            for after in (0.05, 0.021, 0.107):
                assert ends_within(0.1, sweeps, after)
            relaxation.sweep(x, b, 1.5, iterations=2)
            assert np.isfinite(x).all()


@pytest.mark.parametrize("order", ["natural", "multicolor"])
def test_indices_that_another_thread_changes_meanwhile(order: str) -> None:
    """They are read where nobody else writes: every matrix is refused, or one that sweeps."""
    n, width = 20000, 12
    columns = np.sort(np.random.default_rng(0).integers(0, n, (n, width)), axis=1)
    columns[:, width // 2] = np.arange(n)
    good = columns.ravel().astype(np.int32)
    diagonal = good == np.repeat(np.arange(n), width)
    matrix = Matrix(np.arange(n + 1, dtype=np.int32) * width, good.copy(), np.where(diagonal, 50.0, 0.1), (n, n))
    done = threading.Event()

    def change() -> None:
        at = 0
        while not done.is_set():
            at = (at + 100003) % good.size
            matrix.indices[at] = 2**31 - 1
            matrix.indices[at] = good[at]

    changing = threading.Thread(target=change)
    changing.start()
    refusals = []
    try:
        for _ in range(25):
            x = np.zeros(n)
            try:
                sg.sor.Relaxation(matrix, order=order).sweep(x, np.ones(n))
            except ValueError as refused:
                refusals.append(str(refused))
            else:
                assert np.abs(x).max() < 1
    finally:
        done.set()
        changing.join()
    assert all("A.indices must" in refusal for refusal in refusals)


@each_order
@pytest.mark.parametrize("kind", ["symmetric", "one-sided", "dense"])
def test_colors_are_the_first_ones_that_fit(order: str, kind: str) -> None:
    """One after the other, over A + A^T, however many colors there are: 64 are given at a time."""
    n = 150
    there = np.abs(logits(n * n, np.float64, seed=3).reshape(n, n)) > (0.5 if kind == "dense" else 4)
    there = there | there.T if kind == "symmetric" else np.tril(there) if kind == "one-sided" else there | there.T
    a = np.where(there, 0.001, 0) + np.eye(n)
    expected: list[int] = []
    for i in range(n):
        taken = {expected[j] for j in range(i) if a[i, j] != 0 or a[j, i] != 0}
        expected.append(min(set(range(n)) - taken))
    assert kind != "dense" or max(expected) >= 64
    found = sg.sor.Relaxation(a, order=order).colors
    assert found.tolist() == (expected if order == "multicolor" else [0] * n)


def test_it_is_neither_copied_nor_pickled() -> None:
    relaxation = sg.sor.Relaxation(P)
    for store in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match=r"^Relaxation: the object must be made from a matrix, got a call of copy"):
            store(relaxation)

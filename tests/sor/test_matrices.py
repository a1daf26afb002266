"""Malformed matrices are refused with the whole message, and nothing beyond their arrays is read."""

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum import _core
from sorgum._data.matrices import Matrix, grid, scattered

pytestmark = pytest.mark.sanitize

INDEX_TYPES = [np.int32, np.int64]
each_index = pytest.mark.parametrize("index", INDEX_TYPES, ids=["i32", "i64"])
P = Matrix(
    np.array([0, 2, 5, 7], np.int32),
    np.array([0, 1, 0, 1, 2, 1, 2], np.int32),
    np.array([5.0, -2, -2, 6, -1, -1, 3]),
    (3, 3),
)


def raises(kind: type[Exception], message: str) -> Any:
    return pytest.raises(kind, match="^" + re.escape(f"residual_norm: {message}") + "$")


def norm(a: Any, x: Any = (1.0, 2.0, 3.0), b: Any = (0.0, 0.0, 0.0)) -> float:
    return sg.sor.residual_norm(a, x, b)


def changed(array: str, at: int, value: int, index: Any) -> Matrix:
    a = replace(P, indptr=P.indptr.astype(index), indices=P.indices.astype(index))
    getattr(a, array)[at] = value
    return a


def test_p_itself_is_no_fault() -> None:
    assert norm(P) == np.sqrt(np.sum((np.array([1, 7, 7])) ** 2.0))


COLUMNS = "A.indices must not be negative and must be below the number of columns, 3, got"


@each_index
@pytest.mark.parametrize(
    ("array", "at", "value", "message"),
    [
        ("indptr", 0, 1, "A.indptr must begin with 0, got 1"),
        ("indptr", 0, -1, "A.indptr must begin with 0, got -1"),
        ("indptr", 1, -1, "A.indptr must not decrease, got 0 and then -1 in row 0"),
        ("indptr", 1, 6, "A.indptr must not decrease, got 6 and then 5 in row 1"),
        ("indptr", 2, 1, "A.indptr must not decrease, got 2 and then 1 in row 1"),
        ("indptr", 1, 2**31 - 1, "A.indptr must not exceed the number of entries, 7, got 2147483647 in row 0"),
        ("indptr", 3, 8, "A.indptr must not exceed the number of entries, 7, got 8 in row 2"),
        ("indptr", 3, -(2**31), "A.indptr must not decrease, got 5 and then -2147483648 in row 2"),
        ("indices", 0, 3, f"{COLUMNS} 3 in row 0, entry 0"),
        ("indices", 4, -1, f"{COLUMNS} -1 in row 1, entry 4"),
        ("indices", 6, 2**31 - 1, f"{COLUMNS} 2147483647 in row 2, entry 6"),
        ("indices", 5, -(2**31), f"{COLUMNS} -2147483648 in row 2, entry 5"),
    ],
)
def test_rows_and_entries(array: str, at: int, value: int, message: str, index: Any) -> None:
    with raises(ValueError, message):
        norm(changed(array, at, value, index))


@pytest.mark.parametrize(
    ("array", "at", "value", "message"),
    [
        ("indptr", 2, 2**62, f"A.indptr must not exceed the number of entries, 7, got {2**62} in row 1"),
        ("indices", 3, 2**63 - 1, f"{COLUMNS} {2**63 - 1} in row 1, entry 3"),
        ("indices", 3, -(2**63), f"{COLUMNS} {-(2**63)} in row 1, entry 3"),
        ("indices", 3, 2**32, f"{COLUMNS} {2**32} in row 1, entry 3"),
    ],
)
def test_numbers_of_64_bits(array: str, at: int, value: int, message: str) -> None:
    with raises(ValueError, message):
        norm(changed(array, at, value, np.int64))


@each_index
def test_the_first_fault_is_told(index: Any, threads: Callable[[int], None]) -> None:
    """Whatever thread comes to another one first; every row and entry of a matrix of several chunks is looked at."""
    a = scattered((20000, 40), 6, np.float64, index)
    x, b = np.zeros(40), np.zeros(20000)
    threads(3)
    at = 0
    for row in (19990, 12288, 4096, 4095, 300, 0):
        at = int(a.indptr[row])
        while a.indptr[row + 1] == at:
            row += 1
        a.indices[at] = 40
        message = f"A.indices must not be negative and must be below the number of columns, 40, got 40 in row {row}"
        with raises(ValueError, f"{message}, entry {at}"):
            sg.sor.residual_norm(a, x, b)


def test_every_entry_is_looked_at() -> None:
    a = scattered((300, 7), 5, np.float32, np.int32)
    for k in range(len(a.indices)):
        bad = replace(a, indices=a.indices.copy())
        bad.indices[k] = 7
        with pytest.raises(ValueError, match=f", entry {k}$"):
            sg.sor.residual_norm(bad, np.zeros(7), np.zeros(300))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indptr": P.indptr[:-1]}, "A.indptr must have an element more than there are rows, 3, got 3"),
        ({"indptr": np.int32([])}, "A.indptr must have an element more than there are rows, 3, got 0"),
        ({"indptr": P.indptr[None]}, "A.indptr must have one dimension, got shape (1, 4)"),
        ({"indptr": np.int32(0)}, "A.indptr must have one dimension, got shape ()"),
        ({"indices": P.indices[:-1]}, "A.indices must have shape (7,), got (6,)"),
        ({"data": P.data[:-1]}, "A.indices must have shape (6,), got (7,)"),
        ({"indices": P.indices[:, None]}, "A.indices must have shape (7,), got (7, 1)"),
        ({"data": P.data[:, None]}, "A.data must have one dimension, got shape (7, 1)"),
        ({"shape": (4, 3)}, "A.indptr must have an element more than there are rows, 4, got 4"),
        ({"shape": (-1, 3)}, "A must have a shape that is not negative, got (-1, 3)"),
        ({"shape": (3, -3)}, "A must have a shape that is not negative, got (3, -3)"),
        ({"shape": (2**63 - 1, 3)}, f"A.indptr must have an element more than there are rows, {2**63 - 1}, got 4"),
        ({"shape": (2**63, 3)}, f"A must have a shape of 64-bit integers, got {(2**63, 3)}"),
        ({"shape": (9,)}, "A must have two dimensions, got shape (9,)"),
        ({"shape": 3}, "A must have two dimensions, got shape 3"),
        ({"shape": (3, 3.0)}, "A must have two dimensions, got shape (3, 3.0)"),
        ({"shape": (3, 2)}, f"{COLUMNS.replace('3', '2')} 2 in row 1, entry 4"),
        ({"shape": (3, 0)}, f"{COLUMNS.replace('3', '0')} 0 in row 0, entry 0"),
    ],
    ids=str,
)
def test_lengths_and_shapes(change: dict[str, Any], message: str) -> None:
    a = replace(P, **change)
    columns = a.shape[1] if a.shape in ((3, 2), (3, 0)) else 3
    with raises(ValueError, message):
        norm(a, np.zeros(columns))


@pytest.mark.parametrize("name", ["int8", "int16", "uint8", "uint32", "uint64", "float64", "bool", ">i4", "object"])
def test_types_of_indices(name: str) -> None:
    rule = "must have dtype int32 or int64 in native byte order, got"
    with raises(TypeError, f"A.indices {rule} {np.dtype(name)}"):
        norm(replace(P, indices=P.indices.astype(name)))
    with raises(TypeError, f"A.indptr {rule} {np.dtype(name)}"):
        norm(replace(P, indptr=P.indptr.astype(name)))


REAL = "must be float32, float64, bool or integer, got dtype"


@pytest.mark.parametrize("name", ["complex128", "float16", "longdouble", ">f8", "object", "U5", "M8[s]"])
def test_types_of_values(name: str) -> None:
    dtype = np.dtype(name)
    values = np.ones(3, np.int64).astype(dtype)
    with raises(TypeError, f"A {REAL} {dtype!r}"):
        norm(replace(P, data=np.ones(7, np.int64).astype(dtype)))
    with raises(TypeError, f"A {REAL} {dtype!r}"):
        norm(np.ones((3, 3), np.int64).astype(dtype))
    with raises(TypeError, f"x {REAL} {dtype!r}"):
        norm(P, x=values)
    with raises(TypeError, f"b {REAL} {dtype!r}"):
        norm(P, b=values)


def test_what_is_no_matrix() -> None:
    got = "A must have format, shape, indptr, indices and data of compressed rows, got"
    with raises(TypeError, f"{got} SimpleNamespace without indptr"):
        norm(SimpleNamespace(format="csr", shape=(3, 3), indices=P.indices, data=P.data))
    with raises(TypeError, f"{got} format 'csc'"):
        norm(replace(P, format="csc"))
    for value in (None, object(), {}):
        with raises(TypeError, f"A {REAL} dtype('O')"):
            norm(value)
    for shape in ((), (9,), (1, 3, 3)):
        with raises(ValueError, f"A must have two dimensions, got shape {shape}"):
            norm(np.ones(shape))
    with raises(ValueError, "A must be an array, got nested sequences that make none"):
        norm([[1.0, 2.0], [3.0]])
    with raises(TypeError, "A must be a plain array (masks go to `where`), got a masked array"):
        norm(np.ma.masked_array(np.eye(3)))


def test_vectors() -> None:
    for shape, text in (((2,), "(2,)"), ((3, 1), "(3, 1)"), ((), "()"), ((0,), "(0,)")):
        with raises(ValueError, f"x must have shape (3,), got {text}"):
            norm(P, x=np.zeros(shape))
        with raises(ValueError, f"b must have shape (3,), got {text}"):
            norm(P, b=np.zeros(shape))


def test_the_matrix_is_checked_before_the_vectors() -> None:
    with raises(TypeError, f"A {REAL} dtype('complex128')"):
        norm(replace(P, data=P.data * 1j), x="x", b="b")
    with raises(ValueError, "A.indptr must begin with 0, got 1"):
        norm(changed("indptr", 0, 1, np.int32), x=np.zeros(9))


def test_the_compiled_function_trusts_no_layout() -> None:
    arrays: dict[str, Any] = {
        "indptr": P.indptr,
        "indices": P.indices,
        "data": P.data,
        "x": np.ones(3),
        "b": np.ones(3),
    }
    for name, array in arrays.items():
        wrong = {**arrays, name: np.repeat(array, 2)[::2]}
        argument = name if name in "xb" else f"A.{name}"
        with raises(
            ValueError, f"{argument} must be contiguous and aligned, got a stride of {2 * array.itemsize} bytes"
        ):
            _core.sor.residual_norm(rows=3, columns=3, **wrong)
    with raises(TypeError, "x must have dtype float64, got float32"):
        _core.sor.residual_norm(rows=3, columns=3, **{**arrays, "x": np.ones(3, np.float32)})
    with raises(TypeError, "A.indptr must have dtype int32, got int64"):
        _core.sor.residual_norm(rows=3, columns=3, **{**arrays, "indptr": P.indptr.astype(np.int64)})
    with raises(TypeError, "A.data must have dtype float32 or float64, got bool"):
        _core.sor.residual_norm(rows=3, columns=3, **{**arrays, "data": np.ones(7, np.bool_)})


@pytest.mark.skipif(sys.platform != "linux", reason="maps memory as Linux does")
@each_index
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
def test_nothing_beyond_the_arrays_is_read(dtype: Any, index: Any, isa: str) -> None:
    """Every array between forbidden pages, at either end; good matrices, and bad ones that point everywhere."""
    from guarded import Guarded

    room = [Guarded(1 << 19) for _ in range(5)]
    for n, most in ((0, 0), (1, 3), (3, 2), (255, 5), (257, 9), (4099, 3)):
        a = scattered((n, n + 2), most, dtype, index, seed=n)
        arrays = [a.indptr, a.indices, a.data, np.ones(n + 2, dtype), np.ones(n, dtype)]
        expected = sg.sor.residual_norm(a, *arrays[3:])
        for place in ("at_end", "at_start"):
            at = [getattr(r, place)(array.shape, array.dtype) for r, array in zip(room, arrays, strict=True)]
            for to, array in zip(at, arrays, strict=True):
                to[...] = array
            there = Matrix(at[0], at[1], at[2], a.shape)
            assert sg.sor.residual_norm(there, *at[3:]) == expected
            for array, values in ((at[0], arrays[0]), (at[1], arrays[1])):
                for k in {0, len(values) // 3, len(values) - 1} & set(range(len(values))):
                    for value in (-1, -(2**31), 2**31 - 1, n + 3, *((2**62, -(2**63)) if index == np.int64 else ())):
                        if array is at[0] and value == n + 3 and value <= len(a.data):
                            continue
                        array[k] = value
                        with pytest.raises(ValueError, match=r"A\.ind"):
                            sg.sor.residual_norm(there, *at[3:])
                        array[k] = values[k]


def test_matrices_are_not_changed() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    unsorted = sparse.csr_array((P.data[::-1].copy(), P.indices[::-1].copy(), np.int32([0, 2, 5, 7])), shape=(3, 3))
    for a in (unsorted, unsorted.tocoo(), unsorted.tocsc(), sparse.bsr_array(unsorted), unsorted.todia()):
        names = [name for name in ("data", "indices", "indptr", "row", "col", "offsets") if hasattr(a, name)]
        before = {name: np.array(getattr(a, name)) for name in names}
        flags = a.format == "csr" and (a.has_sorted_indices, a.has_canonical_format)
        norm(a)
        assert all(np.array_equal(getattr(a, name), value) for name, value in before.items())
        assert flags == (a.format == "csr" and (a.has_sorted_indices, a.has_canonical_format))


def test_a_matrix_that_nobody_may_write(rng: np.random.Generator) -> None:
    a = grid((20, 20), False, np.float64, np.int32)
    x, b = rng.standard_normal((2, 400))
    expected = sg.sor.residual_norm(a, x, b)
    for array in (a.indptr, a.indices, a.data, x, b):
        array.flags.writeable = False
    assert sg.sor.residual_norm(a, x, b) == expected

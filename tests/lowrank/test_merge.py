"""merge: known answers, the cases that other libraries got wrong, bounds, layouts, refusals."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from bounds_lowrank import DTYPES, merge_error

import sorgum as sg
from sorgum import reference
from sorgum._data import load
from sorgum._data.golden_lowrank import adapter, numbers
from sorgum.interop import bfloat16

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
UNITS = {"f32": 2.0**-24, "f64": 2.0**-53, "f16": 2.0**-53, "bf16": 2.0**-53}  # of what is computed in
STORED = {"f32": 0.0, "f64": 0.0, "f16": 2.0**-11 + 2.0**-24, "bf16": 2.0**-8 + 2.0**-24}  # half an ULP, by float32
each_dtype = pytest.mark.parametrize("name", DTYPES)


def same(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def test_known_answers() -> None:
    w = np.arange(6.0).reshape(2, 3)
    a, b = np.float64([[1, 0, 2], [0, 1, 1]]), np.float64([[1, 2], [3, 4]])
    np.testing.assert_array_equal(sg.lowrank.merge(w, a, b, scale=2.0), [[2, 5, 10], [9, 12, 25]])
    np.testing.assert_array_equal(sg.lowrank.merge(w, a, b, form="hadamard"), [[0, 3, 10], [12, 20, 55]])
    np.testing.assert_array_equal(sg.lowrank.merge(w.T, a, b, scale=2.0, fan_in_fan_out=True).T, w + 2 * b @ a)
    np.testing.assert_array_equal(sg.lowrank.merge(w, a[:0], b[:, :0]), w)
    assert sg.lowrank.merge([[1, 2]], [[1, 1]], [[3]]).dtype == np.float64
    assert sg.lowrank.merge(w[:0], a, b[:0]).shape == (0, 3)
    assert sg.lowrank.merge(w[:, :0], a[:, :0], b).shape == (2, 0)


@each_dtype
def test_bound(name: str) -> None:
    """Zeros, shuffled results, W itself and another scale are beyond it; ranks of several chunks, too."""
    dtype, bound = DTYPES[name], load("bounds")[f"lowrank.merge.{name}"]["bound"]
    for out, inner, rank in ((30, 40, 1), (25, 70, 16), (50, 33, 64), (20, 30, 1100)):
        a, b = adapter(out, inner, rank, dtype)
        w = numbers((out, inner), dtype, seed=3)
        got = sg.lowrank.merge(w, a, b, scale=0.5)
        assert 0 < merge_error(name, w, a, b, 0.5, got) <= bound
        for wrong in (w, np.zeros_like(w), got[::-1], got[:, ::-1], sg.lowrank.merge(w, a, b, scale=0.51)):
            assert merge_error(name, w, a, b, 0.5, wrong) > bound


@each_dtype
@pytest.mark.parametrize("form", ["add", "hadamard"])
def test_agrees_with_the_reference(name: str, form: Any) -> None:
    dtype = DTYPES[name]
    a, b = adapter(37, 29, 5, dtype)
    w, mask = numbers((37, 29), dtype, seed=3), numbers((37, 29), np.dtype(np.float64)) > 0
    tolerance = 8 * UNITS[name] + STORED[name]  # 5 products and their sums; every term is below 4 in magnitude
    for options in ({}, {"mask": mask}, {"fan_in_fan_out": True}):
        given = w.T if "fan_in_fan_out" in options else w
        expected = reference.lowrank.merge(given, a, b, scale=0.7, form=form, **options)
        got = sg.lowrank.merge(given, a, b, scale=0.7, form=form, **options).astype(np.float64)
        assert np.all(abs(got - expected) <= tolerance * (abs(expected) + 4))
        assert not np.all(abs(got[::-1] - expected) <= tolerance * (abs(expected) + 4))


def test_bfloat16_is_rounded_once() -> None:
    """Against float64 rounded once: equal in all but a few elements, where float32's own rounding met a tie."""
    w = (numbers((1000, 1000), np.dtype(np.float64), 0.02, seed=1)).astype(BFLOAT16)
    a, b = (m.astype(BFLOAT16) for m in adapter(1000, 1000, 16, np.dtype(np.float64)))
    for size in (1e-3, 1e-2, 2e-2):  # the differences' root mean square: at last, many cancel
        scale = size / 0.36
        got = sg.lowrank.merge(w, a, b, scale=scale).view(np.int16).astype(int)
        once = w.astype(np.float64) + scale * (b.astype(np.float64) @ a.astype(np.float64))
        off = abs(got - once.astype(BFLOAT16).view(np.int16))
        assert (off == 0).mean() >= 0.9999
        assert off.max() <= 1
        twice = sg.lowrank.merge(w, a, b, scale=scale, rounding="peft").view(np.int16)
        assert 0.01 < (twice != got).mean() < 0.5  # the other rounding is another thing


def test_drift() -> None:
    """LyCORIS#264, peft#1388: merged and unmerged in bfloat16; one rounding each time restores most elements."""
    w = (numbers((300, 300), np.dtype(np.float64), 0.02, seed=1)).astype(BFLOAT16)
    a, b = (m.astype(BFLOAT16) for m in adapter(300, 300, 16, np.dtype(np.float64)))
    scale = 1e-3 / 0.36  # a difference of rms 1e-3
    delta = scale * b.astype(np.float64) @ a.astype(np.float64)
    assert 0.8e-3 < np.sqrt(np.mean(delta**2)) < 1.2e-3
    cycled = w.copy()
    for cycle in range(50):
        for sign in (1, -1):
            sg.lowrank.merge(cycled, a, b, scale=sign * scale, out=cycled)
        if cycle == 0:
            assert 0.93 < (cycled == w).mean() < 0.97  # 95.4 percent of normal numbers
    assert np.max(abs(cycled.astype(np.float64) - w.astype(np.float64))) < 2e-3


@pytest.mark.parametrize("name", ["A", "B", "W"])
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_refused_before_anything_is_written(name: str, bad: float) -> None:
    """peft#3682, peft#3710: the check of a safe merge came after the first write."""
    for dtype in DTYPES.values():
        a, b = adapter(40, 50, 4, dtype)
        w = numbers((40, 50), dtype, seed=3)
        arrays = {"A": a, "B": b, "W": w}
        arrays[name][-1, -1] = bad
        before = [array.tobytes() for array in arrays.values()]
        text = "NaN" if np.isnan(bad) else "an infinity"
        with pytest.raises(ValueError, match=f"^merge: {name} must be finite, got {text}$"):
            sg.lowrank.merge(w, a, b, out=w)
        assert [array.tobytes() for array in arrays.values()] == before
        assert not np.all(np.isfinite(sg.lowrank.merge(w, a, b, check_finite=False).astype(np.float32)))


def test_results_beyond_the_range_are_refused_before_anything_is_written() -> None:
    w = np.full((30, 40), 60000, np.float16)
    a, b = np.full((1, 40), 100, np.float16), np.full((30, 1), 0.5, np.float16)
    before = w.tobytes()
    sg.lowrank.merge(w, a, b, scale=-2.0)
    b[17] = 100
    with pytest.raises(ValueError, match=r"^merge: W must stay finite in float16, got sums beyond its range$"):
        sg.lowrank.merge(w, a, b, out=w)
    assert w.tobytes() == before
    zeros = np.zeros((60, 80), np.float16)
    for out in (zeros[:30, :40], zeros[:40, :30].T, zeros[::2, ::2]):
        with pytest.raises(ValueError, match=r"^merge: W must stay finite in float16, got sums beyond its range$"):
            sg.lowrank.merge(w, a, b, out=out)
        assert not out.any()
    with pytest.raises(ValueError, match=r"^merge: W must stay finite in float16, got sums beyond its range$"):
        sg.lowrank.merge(w, a, b)
    w[0, 0] = np.nan  # what is not finite is named before what would not stay so
    with pytest.raises(ValueError, match=r"^merge: W must be finite, got NaN$"):
        sg.lowrank.merge(w, a, b)
    w[0, 0] = 60000
    assert np.isinf(sg.lowrank.merge(w, a, b, check_finite=False)[17]).all()


def test_products_beyond_the_range_are_found_where_the_result_should_be_within() -> None:
    """The bound of the results says nothing of the sums that are multiplied by a small scale."""
    w, a, b = np.eye(2, dtype=np.float32), np.float32([[1e30, 0.0]]), np.float32([[1e30], [1.0]])
    before = w.tobytes()
    with pytest.raises(ValueError, match=r"^merge: W must stay finite in float32, got sums beyond its range$"):
        sg.lowrank.merge(w, a, b, scale=1e-30, out=w)
    assert w.tobytes() == before
    with pytest.raises(ValueError, match=r"^merge: W must stay finite in float64, got sums beyond its range$"):
        sg.lowrank.merge(w.astype(np.float64), a.astype(np.float64) * 1e130, b.astype(np.float64) * 1e130, scale=1e-300)


@pytest.mark.parametrize("rank", [0, 1])
def test_scales_beyond_the_type_that_is_computed_in(rank: int) -> None:
    """An infinity times 0 is NaN, which neither a merge with A = 0 nor one of rank 0 may write."""
    w, a, b = np.eye(2, dtype=np.float32), np.zeros((rank, 2), np.float32), np.ones((2, rank), np.float32)
    for function, call in (
        ("merge", lambda scale: sg.lowrank.merge(w, a, b, scale=scale)),
        ("apply", lambda scale: sg.lowrank.apply(w, a, b, scale=scale)),
        ("AdapterSet", lambda scale: sg.lowrank.AdapterSet([(a, b, scale)])),
    ):
        with pytest.raises(ValueError, match=rf"^{function}: scale must be finite in float32, got 1e\+39$"):
            call(1e39)
        call(1e38)
    assert same(sg.lowrank.merge(w.astype(np.float64), a, b, scale=1e39), w.astype(np.float64))


@pytest.mark.sanitize
@each_dtype
def test_layouts_and_threads(name: str, isa: str, threads: Callable[[int], None]) -> None:
    assert sg.isa() == isa
    dtype = DTYPES[name]
    a, b = adapter(300, 200, 20, dtype)
    w = numbers((300, 200), dtype, seed=3)
    threads(1)
    expected = sg.lowrank.merge(w, a, b, scale=0.3)
    threads(2)
    assert same(sg.lowrank.merge(w, a, b, scale=0.3), expected)
    wide = np.zeros((600, 400), dtype)
    wide[::2, ::2] = w
    for one in (np.asfortranarray(w), wide[::2, ::2], w[::-1, ::-1].copy()[::-1, ::-1]):
        assert same(sg.lowrank.merge(one, np.asfortranarray(a), b[:, ::-1].copy()[:, ::-1], scale=0.3), expected)
        out = np.zeros_like(one)
        assert sg.lowrank.merge(w, a, b, scale=0.3, out=out) is out
        assert same(np.ascontiguousarray(out), expected)
    sg.lowrank.merge(wide[::2, ::2], a, b, scale=0.3, out=wide[::2, ::2])
    assert same(wide[::2, ::2].copy(), expected)
    assert not wide[1::2].astype(bool).any()
    sg.lowrank.merge(w, a, b, scale=0.3, out=w)
    assert same(w, expected)


@pytest.mark.sanitize
def test_convolutions_and_embeddings() -> None:
    a, b = numbers((4, 5, 3, 3), np.dtype(np.float32), seed=1), numbers((6, 4, 1, 1), np.dtype(np.float32), seed=2)
    w = numbers((6, 5, 3, 3), np.dtype(np.float32), seed=3)
    expected = sg.lowrank.merge(w.reshape(6, 45), a.reshape(4, 45), b.reshape(6, 4)).reshape(w.shape)
    assert same(sg.lowrank.merge(w, a, b), expected)
    assert same(sg.lowrank.merge(w, a, b[:, :, 0, 0]), expected)
    sg.lowrank.merge(w, a, b, out=w)
    assert same(w, expected)
    # An embedding of 7 tokens in 5 numbers: A (rank, 7), B (5, rank), W (7, 5).
    a, b = adapter(5, 7, 2, np.dtype(np.float32))
    w = numbers((7, 5), np.dtype(np.float32))
    assert same(sg.lowrank.merge(w, a, b, fan_in_fan_out=True), sg.lowrank.merge(w.T.copy(), a, b).T.copy())


@pytest.mark.parametrize("argument", ["W", "A", "B"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_found_wherever_it_stands(argument: str, value: float) -> None:
    """Also before rows that are finite, and in more rows than one thread takes."""
    arguments = {"W": np.ones((70, 5)), "A": np.ones((3, 5)), "B": np.ones((70, 3))}
    out = np.full((70, 5), 7.0)
    rows, columns = arguments[argument].shape
    for i in {0, 1, rows // 2, rows - 1}:
        for j in range(columns):
            given = {name: array.copy() for name, array in arguments.items()}
            given[argument][i, j] = value
            got = "NaN" if np.isnan(value) else "an infinity"
            with pytest.raises(ValueError, match=rf"^merge: {argument} must be finite, got {got}$"):
                sg.lowrank.merge(**given, out=out)
            with pytest.raises(ValueError, match=rf"^merge: {argument} must be finite, got {got}$"):
                sg.lowrank.merge(**given)
    assert (out == 7.0).all()


@pytest.mark.sanitize
def test_bits_of_bfloat16_at_odd_addresses() -> None:
    """As in a mapped file: NumPy calls them aligned, since their type is a structure."""
    bytes_of = np.zeros(1 + 3 * 4 * 2, np.uint8)
    w = np.ndarray((3, 4), bfloat16.bits, bytes_of, offset=1 - bytes_of.ctypes.data % 2)
    w[...] = bfloat16.rounded(np.arange(12.0).reshape(3, 4), bfloat16.bits)
    assert w.flags.aligned
    assert w.ctypes.data % 2 == 1
    a, b = np.ones((1, 4), np.float32), np.ones((3, 1), np.float32)
    expected = bfloat16.rounded(np.arange(12.0).reshape(3, 4) + 1.0, bfloat16.bits).tobytes()
    assert sg.lowrank.merge(w, a, b).tobytes() == expected
    sg.lowrank.merge(w, a, b, out=w)
    assert w.tobytes() == expected
    empty = np.ndarray((3, 0), bfloat16.bits, bytes_of, offset=1 - bytes_of.ctypes.data % 2)
    assert sg.lowrank.merge(empty, a[:, :0], b).shape == (3, 0)


W, A, B = np.zeros((3, 4)), np.zeros((2, 4)), np.zeros((3, 2))
FROZEN = np.zeros((3, 4))
FROZEN.flags.writeable = False


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"A": A[:, :3]}, ValueError, "A must have shape (rank, 4) with W of shape (3, 4), got (2, 3)"),
        ({"B": B[:2]}, ValueError, "B must have shape (3, rank) with W of shape (3, 4), got (2, 2)"),
        ({"B": B[:, :1]}, ValueError, "B must have shape (out, 2) with A of shape (2, 4), got (3, 1)"),
        ({"W": W[0]}, ValueError, "W must have two axes or more, got shape (4,)"),
        ({"A": A[0]}, ValueError, "A must have shape (rank, in, ...) with W of shape (3, 4), got (4,)"),
        ({"B": B[..., None, None, None]}, ValueError, "B must have shape (out, rank) or (out, rank, 1, ...), got "
         "(3, 2, 1, 1, 1)"),
        ({"scale": np.inf}, ValueError, "scale must be finite, got inf"),
        ({"scale": "1"}, TypeError, "scale must be a real number, got str"),
        ({"form": "times"}, ValueError, "form must be 'add' or 'hadamard', got 'times'"),
        ({"form": "hadamard", "rounding": "peft"}, ValueError, "rounding must be 'once' where form is 'hadamard', got "
         "'peft'"),
        ({"rounding": 1}, TypeError, "rounding must be a string, got 1"),
        ({"mask": np.ones((3, 3), bool)}, ValueError, "mask must have the shape of W, (3, 4), got (3, 3)"),
        ({"mask": np.ones((3, 4))}, TypeError, "mask must be boolean, got dtype dtype('float64')"),
        ({"out": np.zeros((4, 3))}, ValueError, "out must have shape (3, 4), got (4, 3)"),
        ({"out": np.zeros((3, 4), np.float32)}, TypeError, "out must have dtype float64, got float32"),
        ({"out": FROZEN}, ValueError, "out must be writable, got a read-only array"),
        ({"W": W.astype(complex)}, TypeError, "W must be float16, bfloat16, float32, float64, bool or integer, got "
         "dtype dtype('complex128')"),
        ({"fan_in_fan_out": True}, ValueError, "A must have shape (rank, 3) with W of shape (3, 4), got (2, 4)"),
    ],
)  # fmt: skip
def test_refusals(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        sg.lowrank.merge(**{"W": W, "A": A, "B": B, **arguments})
    assert str(caught.value) == f"merge: {message}"

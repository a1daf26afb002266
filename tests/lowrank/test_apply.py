"""apply: known answers, bounds, what stands beside a row, layouts, refusals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bounds_lowrank import DTYPES, apply_error

import sorgum as sg
from sorgum import reference
from sorgum._core import lowrank as compiled
from sorgum._data import load
from sorgum._data.golden_lowrank import adapter, numbers

each_dtype = pytest.mark.parametrize("name", DTYPES)


def same(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def test_known_answers() -> None:
    a, b = np.float64([[1, 0, 2], [0, 1, 1]]), np.float64([[1, 2], [3, 4]])
    np.testing.assert_array_equal(sg.lowrank.apply([1.0, 1, 1], a, b), [7, 17])
    np.testing.assert_array_equal(sg.lowrank.apply([[1, 1, -1]], a, b, scale=2.0, base=[[1.0, 1]]), [[-1, -5]])
    np.testing.assert_array_equal(sg.lowrank.apply([[1.0, 1, -1]], a, b, activation="relu"), [[0, 0]])
    np.testing.assert_array_equal(sg.lowrank.apply([[1.0, 1, 1]], a, b, mid=[1.0, 0], gate=[2.0]), [[6, 18]])
    np.testing.assert_array_equal(sg.lowrank.apply([[1.0, 1, 1]], a[:0], b[:, :0], base=[[5.0, 6]]), [[5, 6]])
    assert sg.lowrank.apply(np.zeros((0, 3)), a, b).shape == (0, 2)
    assert sg.lowrank.apply(np.zeros((2, 5, 3)), a, b).shape == (2, 5, 2)
    np.testing.assert_array_equal(sg.lowrank.apply(np.zeros((2, 0)), a[:, :0], b), np.zeros((2, 2)))


@each_dtype
def test_bound(name: str) -> None:
    """Zeros, shuffled results and the base are beyond it."""
    dtype, bound = DTYPES[name], load("bounds")[f"lowrank.apply.{name}"]["bound"]
    for rows, out, inner, rank in ((5, 40, 30, 1), (30, 70, 3000, 16), (13, 33, 600, 64)):
        a, b = adapter(out, inner, rank, dtype)
        x, base = numbers((rows, inner), dtype, seed=1), numbers((rows, out), dtype, seed=2)
        got = sg.lowrank.apply(x, a, b, scale=0.5, base=base)
        assert 0 < apply_error(name, x, a, b, 0.5, base, got) <= bound
        for wrong in (base, np.zeros_like(got), got[::-1], got[:, ::-1]):
            assert apply_error(name, x, a, b, 0.5, base, wrong) > bound


@each_dtype
@pytest.mark.parametrize("activation", [None, "relu", "silu"])
def test_agrees_with_the_reference(name: str, activation: Any) -> None:
    """With what stands between the products: numbers of size 1 to 10, so that 100 u and the rounding are enough."""
    dtype = DTYPES[name]
    tolerance = {"f64": 1e-14, "f32": 1e-5, "f16": 1e-3, "bf16": 8e-3}[name]
    a, b = adapter(37, 29, 5, dtype)
    x, mid, gate = numbers((11, 29), dtype), numbers((5,), dtype, seed=6), numbers((11,), dtype, seed=7)
    for options in ({"mid": mid}, {"gate": gate}, {"mid": mid, "gate": gate, "base": numbers((11, 37), dtype, seed=8)}):
        got = sg.lowrank.apply(x, a, b, scale=0.7, activation=activation, **options)
        expected = reference.lowrank.apply(x, a, b, scale=0.7, activation=activation, **options)
        size = np.abs(expected).max()
        assert np.all(abs(got.astype(np.float64) - expected) <= tolerance * size)
        assert not np.all(abs(got[::-1].astype(np.float64) - expected) <= tolerance * size)


@pytest.mark.sanitize
@each_dtype
def test_a_row_alone_has_the_bits_of_the_row_in_a_batch(name: str, isa: str, threads: Callable[[int], None]) -> None:
    assert sg.isa() == isa
    dtype = DTYPES[name]
    a, b = adapter(50, 4500, 9, dtype)
    x, base = numbers((61, 4500), dtype), numbers((61, 50), dtype, seed=1)
    threads(2)
    batch = sg.lowrank.apply(x, a, b, scale=0.5, base=base)
    threads(1)
    assert same(sg.lowrank.apply(x, a, b, scale=0.5, base=base), batch)
    for i in (0, 1, 11, 12, 30, 59, 60):
        assert same(sg.lowrank.apply(x[i], a, b, scale=0.5, base=base[i]), batch[i])
    for first, last in ((1, 5), (3, 16), (40, 61)):
        some = slice(first, last)
        assert same(sg.lowrank.apply(x[some], a, b, scale=0.5, base=base[some]), batch[some])


@each_dtype
@pytest.mark.parametrize("rows", [71, 72, 73, 96, 97, 130])
def test_where_tasks_end(name: str, rows: int, threads: Callable[[int], None]) -> None:
    """The last rows go in smaller tasks than those before; factors are packed in pieces of 1024 terms."""
    dtype = DTYPES[name]
    a, b = adapter(1100, 2100, 19, dtype)
    x = numbers((rows, 2100), dtype)
    threads(3)
    batch = sg.lowrank.apply(x, a, b, scale=0.5)
    threads(1)
    for i in (0, 23, 24, rows - 49, rows - 48, rows - 25, rows - 13, rows - 12, rows - 1):
        assert same(sg.lowrank.apply(x[i : i + 1], a, b, scale=0.5), batch[i : i + 1])


@pytest.mark.sanitize
@each_dtype
def test_layouts(name: str) -> None:
    dtype = DTYPES[name]
    a, b = adapter(30, 70, 6, dtype)
    x, base = numbers((20, 70), dtype), numbers((20, 30), dtype, seed=1)
    expected = sg.lowrank.apply(x, a, b, base=base)
    wide = np.zeros((40, 140), dtype)
    wide[::2, ::2] = x
    for one in (np.asfortranarray(x), wide[::2, ::2], x[::-1, ::-1].copy()[::-1, ::-1]):
        assert same(sg.lowrank.apply(one, np.asfortranarray(a), np.asfortranarray(b), base=base), expected)
    assert same(sg.lowrank.apply(x.reshape(4, 5, 70), a, b, base=base.reshape(4, 5, 30)), expected.reshape(4, 5, 30))
    for out in (np.zeros((20, 30), dtype), np.zeros((30, 20), dtype).T, np.zeros((20, 60), dtype)[:, ::2]):
        assert sg.lowrank.apply(x, a, b, base=base, out=out) is out
        assert same(np.ascontiguousarray(out), expected)
    sg.lowrank.apply(x, a, b, base=base, out=base)
    assert same(base, expected)
    square = numbers((6, 6), dtype)
    alone = sg.lowrank.apply(square, square, square)
    assert same(sg.lowrank.apply(square, square, square, out=square), alone)  # out is every operand


def test_arrays_of_no_size_that_memory_has() -> None:
    """Strides of 0 make arrays of any size: what has no room for their packed copy is refused, and nothing wraps."""
    one = np.float32(1)
    for n in (2**40, 2**58, 2**61 - 1):
        wide = np.broadcast_to(one, (1, n))
        for x, a, b in ((wide, wide, np.ones((1, 1))), (np.ones((1, 1)), wide.T, wide), (wide, wide, wide.T)):
            with pytest.raises(MemoryError):
                sg.lowrank.apply(x, a, b)
        with pytest.raises(MemoryError):
            sg.lowrank.AdapterSet([(wide, np.ones((1, 1), np.float32), 1.0)])


@pytest.mark.parametrize("n", [2**50, 2**59])
def test_dimensions_without_elements_are_no_work(n: int) -> None:
    """However long: pieces of nothing would keep a processor busy for hours."""
    with pytest.raises(MemoryError):  # the middle would have n elements
        sg.lowrank.apply(np.zeros((1, 0)), np.zeros((n, 0)), np.broadcast_to(0.0, (1, n)))
    assert sg.lowrank.apply(np.zeros((0, n)), np.zeros((0, n)), np.zeros((2, 0))).shape == (0, 2)
    for check in (False, True):
        got = sg.lowrank.merge(np.zeros((0, n)), np.zeros((0, n)), np.zeros((0, 0)), check_finite=check)
        assert got.shape == (0, n)
        got = sg.lowrank.merge(np.zeros((0, n)), np.zeros((0, 0)), np.zeros((n, 0)), fan_in_fan_out=True)
        assert got.shape == (0, n)


@pytest.mark.parametrize("name", ["x", "A", "B", "mid", "gate", "base"])
def test_every_argument_may_share_memory_with_out(name: str) -> None:
    """What is written for the first rows is not what the last ones are computed from."""
    shapes = {"x": (60, 4), "A": (3, 4), "B": (4, 3), "mid": (3,), "gate": (60,), "base": (60, 4)}
    given = {key: numbers(shape, DTYPES["f64"], seed=i) for i, (key, shape) in enumerate(shapes.items())}
    expected = sg.lowrank.apply(**given)
    memory = np.zeros(300)
    shared = memory[5 : 5 + given[name].size].reshape(shapes[name])
    shared[...] = given[name]
    out = memory[3:243].reshape(60, 4)
    assert same(sg.lowrank.apply(**given | {name: shared}, out=out), expected)


def test_one_row_has_one_gate() -> None:
    """A number, as its row has no axis but the last; NumPy's contiguous arrays have one axis at least."""
    x, a, b = np.ones(2), np.ones((1, 2)), np.ones((3, 1))
    for gate in (0.5, np.array(0.5)):
        np.testing.assert_array_equal(sg.lowrank.apply(x, a, b, gate=gate), [1.0, 1.0, 1.0])
        grad = sg.lowrank.apply_grad(x, a, b, dy=np.ones(3), gate=gate)
        np.testing.assert_array_equal(grad.x, [1.5, 1.5])
        assert grad.gate == 6.0
    with pytest.raises(ValueError, match=r"without its last axis, \(\), got \(1,\)$"):
        sg.lowrank.apply(x, a, b, gate=[0.5])


@pytest.mark.parametrize("code", [-1, 3, 256])
def test_codes_that_the_compiled_function_does_not_know(code: int) -> None:
    x, out = np.ones((2, 2)), np.zeros((2, 2))
    with pytest.raises(ValueError, match=rf"^apply: activation must be in \[0, 2\], got {code}$"):
        compiled.apply(x, x, x, 1.0, code, None, None, None, True, out)
    assert not out.any()


X, A, B = np.zeros((5, 4)), np.zeros((2, 4)), np.zeros((3, 2))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"A": A[:, :3]}, ValueError, "A must have shape (rank, 4) with x of shape (5, 4), got (2, 3)"),
        ({"B": B[:, :1]}, ValueError, "B must have shape (out, 2) with A of shape (2, 4), got (3, 1)"),
        ({"A": A[0]}, ValueError, "A must have two axes, got shape (4,)"),
        ({"x": 1.0}, ValueError, "x must have an axis, got a scalar"),
        ({"scale": np.nan}, ValueError, "scale must be finite, got nan"),
        ({"activation": "gelu"}, ValueError, "activation must be 'relu', 'silu' or None, got 'gelu'"),
        ({"activation": 1}, TypeError, "activation must be a string or None, got 1"),
        ({"mid": np.ones(3)}, ValueError, "mid must have shape (2,), got (3,)"),
        ({"gate": np.ones(3)}, ValueError, "gate must have the shape of x without its last axis, (5,), got (3,)"),
        ({"base": np.ones((5, 4))}, ValueError, "base must have shape (5, 3), got (5, 4)"),
        ({"base": np.ones((5, 3), np.float32)}, TypeError, "base must have the dtype of x, float64, got float32"),
        ({"out": np.zeros((5, 4))}, ValueError, "out must have shape (5, 3), got (5, 4)"),
        ({"out": np.zeros((5, 3), np.float32)}, TypeError, "out must have dtype float64, got float32"),
    ],
)
def test_refusals(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        sg.lowrank.apply(**{"x": X, "A": A, "B": B, **arguments})
    assert str(caught.value) == f"apply: {message}"

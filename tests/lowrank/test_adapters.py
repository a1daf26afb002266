"""apply_adapters: a row has the bits of `apply` with its adapter, whatever stands beside it; refusals."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from cuda_stand_in import Capsule

import sorgum as sg
from sorgum import reference
from sorgum._data.golden_lowrank import numbers
from sorgum._data.inputs import hashed
from sorgum.interop import dlpack

DTYPES = {
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
}
each_dtype = pytest.mark.parametrize("name", DTYPES)
RANKS = (16, 3, 0, 17, 64)


def same(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def several(dtype: np.dtype[Any], out: int = 50, inner: int = 70) -> list[tuple[Any, Any, float]]:
    return [
        (numbers((rank, inner), dtype, seed=rank), numbers((out, rank), dtype, seed=rank + 100), 0.5 + rank)
        for rank in RANKS
    ]


@pytest.mark.sanitize
@each_dtype
def test_each_row_has_the_bits_of_its_adapter(name: str, isa: str, threads: Callable[[int], None]) -> None:
    assert sg.isa() == isa
    dtype = DTYPES[name]
    given = several(dtype)
    adapters = sg.lowrank.AdapterSet(given)
    assert (len(adapters), adapters.shape, adapters.ranks) == (5, (50, 70), RANKS)
    x, base = numbers((83, 70), dtype), numbers((83, 50), dtype, seed=1)
    ids = (hashed(83) % np.uint64(6)).astype(np.int64) - 1
    assert len(set(ids)) == 6
    threads(2)
    got = sg.lowrank.apply_adapters(x, adapters, ids, base=base)
    alone = sg.lowrank.apply_adapters(x, adapters, ids)
    for i, at in enumerate(ids):
        if at < 0:
            assert same(got[i], base[i])
            assert not alone[i].astype(bool).any()
        else:
            a, b, scale = given[at]
            assert same(got[i], sg.lowrank.apply(x[i], a, b, scale=scale, base=base[i]))
            assert same(alone[i], sg.lowrank.apply(x[i], a, b, scale=scale))
    threads(1)
    order = np.argsort(hashed(83, 3))
    assert same(sg.lowrank.apply_adapters(x[order], adapters, ids[order], base=base[order]), got[order])
    assert same(sg.lowrank.apply_adapters(x, adapters, ids, base=base, out=base), got)
    assert same(base, got)


def test_one_adapter_is_apply() -> None:
    dtype = np.dtype(np.float32)
    a, b, scale = several(dtype)[0]
    x = numbers((40, 70), dtype)
    one = sg.lowrank.AdapterSet([(a, b, scale)])
    assert same(sg.lowrank.apply_adapters(x, one, 0), sg.lowrank.apply(x, a, b, scale=scale))
    assert same(sg.lowrank.apply_adapters(x[0], one, 0), sg.lowrank.apply(x[0], a, b, scale=scale))
    assert sg.lowrank.apply_adapters(x[:0], one, []).shape == (0, 50)
    a[...] = 7  # the set has copies
    assert not same(sg.lowrank.apply_adapters(x, one, 0), sg.lowrank.apply(x, a, b, scale=scale))


def test_the_reference() -> None:
    dtype = np.dtype(np.float64)
    given = several(dtype)
    x, base = numbers((9, 4, 70), dtype), numbers((9, 4, 50), dtype, seed=1)
    ids = np.arange(36).reshape(9, 4) % 6 - 1
    got = sg.lowrank.apply_adapters(x, sg.lowrank.AdapterSet(given), ids, base=base)
    expected = reference.lowrank.apply_adapters(x, given, ids, base=base)
    size = np.abs(expected).max()  # products of 64 numbers of size 1: 1e-14 of the largest is some 50 roundings
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-14 * size)
    assert not np.allclose(got[::-1], expected, rtol=0, atol=1e-14 * size)


A, B, X = np.zeros((2, 4), np.float32), np.zeros((3, 2), np.float32), np.zeros((5, 4), np.float32)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([], ValueError, "adapters must be at least one, got none"),
        ([(A, B)], TypeError, "adapters must be tuples (A, B, scale), got ("),
        ([(A, B[:, :1], 1.0)], ValueError, "B must have shape (out, 2) with A of shape (2, 4), got (3, 1)"),
        ([(A, B, 1.0), (A, B[:2], 1.0)], ValueError, "adapters must be of one layer, of shape (3, 4), got one of "
         "shape (2, 4)"),
        ([(A, B, np.nan)], ValueError, "scale must be finite, got nan"),
        ([(A[0], B, 1.0)], ValueError, "A must have two axes, got shape (4,)"),
        (3, TypeError, "adapters must be a sequence of (A, B, scale), got int"),
    ],
)  # fmt: skip
@pytest.mark.sanitize
def test_refusals_of_sets(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        sg.lowrank.AdapterSet(given)
    assert str(caught.value).startswith(f"AdapterSet: {message}")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"ids": [0, 0, 1, 0, 0]}, ValueError, "ids must be those of adapters, in [0, 1), or -1, got 1"),
        ({"ids": [0, 0, -2, 0, 0]}, ValueError, "ids must be those of adapters, in [0, 1), or -1, got -2"),
        ({"ids": [0, 0]}, ValueError, "ids must have the shape of the rows of x, (5,), got (2,)"),
        ({"ids": 0.5}, TypeError, "ids must be an array of integers, got dtype dtype('float64')"),
        ({"adapters": [(A, B, 1.0)]}, TypeError, "adapters must be an AdapterSet, got list"),
        ({"x": X[:, :3]}, ValueError, "x must have shape (..., 4), got (5, 3)"),
        ({"x": X.astype(np.float64), "out": None}, TypeError, "x must have a dtype that float32 holds, as adapters "
         "have, got float64"),
        ({"base": X}, ValueError, "base must have shape (5, 3), got (5, 4)"),
        ({"out": X}, ValueError, "out must have shape (5, 3), got (5, 4)"),
    ],
)  # fmt: skip
def test_refusals(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    out = np.full((5, 3), 7, np.float32)
    given = {"x": X, "adapters": sg.lowrank.AdapterSet([(A, B, 1.0)]), "ids": 0, "out": out, **arguments}
    with pytest.raises(error) as caught:
        sg.lowrank.apply_adapters(**given)
    assert str(caught.value) == f"apply_adapters: {message}"
    assert np.all(out == 7)


@each_dtype
def test_arrays_of_other_libraries_in_sequences(name: str) -> None:
    """Factors are seen where they lie, in bfloat16 too, which NumPy has no way to ask for."""
    given = several(DTYPES[name])
    foreign = [(dlpack.Exported(a), dlpack.Exported(b), scale) for a, b, scale in given]
    x, ids = numbers((len(given), given[0][0].shape[1]), DTYPES[name]), np.arange(len(given))
    expected = sg.lowrank.apply_adapters(x, sg.lowrank.AdapterSet(given), ids)
    assert same(sg.lowrank.apply_adapters(x, sg.lowrank.AdapterSet(foreign), ids), expected)
    one, other = (sg.lowrank.combine(adapters, np.ones(len(given))) for adapters in (given, foreign))
    assert all(same(part, like) for part, like in zip(one, other, strict=True) if isinstance(part, np.ndarray))


def test_arrays_on_devices_in_sequences_are_refused() -> None:
    a, b = np.ones((2, 5), np.float32), np.ones((4, 2), np.float32)
    with pytest.raises(TypeError) as caught:
        sg.lowrank.AdapterSet([(Capsule(a), b, 1.0)])
    assert str(caught.value) == "AdapterSet: A must be on the CPU, got an array on a CUDA device"

"""DoRA, and weights that come back: what merging with a magnitude does, what unmerge restores, what it refuses."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import sorgum as sg
from sorgum import reference
from sorgum._data.golden_lowrank import adapter, numbers

DTYPES = {
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
}
each_dtype = pytest.mark.parametrize("name", DTYPES)


def same(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def case(shape: tuple[int, int], dtype: np.dtype[Any], rank: int = 3) -> tuple[Any, Any, Any, Any]:
    """A weight that is not symmetric, an adapter, and a magnitude unlike the norm."""
    a, b = adapter(*shape, rank, dtype)
    return numbers(shape, dtype, seed=3), a, b, abs(numbers((shape[0],), dtype, seed=4)) + dtype.type(0.5)


@each_dtype
def test_magnitude(name: str, isa: str, threads: Callable[[int], None]) -> None:
    """The norms of the rows are the magnitudes; all within ten roundings and that of the type."""
    assert sg.isa() == isa
    dtype = DTYPES[name]
    tolerance = {"f32": 10 * 2.0**-24, "f64": 10 * 2.0**-53, "f16": 2.0**-10, "bf16": 2.0**-7}[name]
    for shape in ((6, 6), (6, 4), (33, 700), (100, 17)):
        w, a, b, magnitude = case(shape, dtype)
        threads(2)
        got = sg.lowrank.merge(w, a, b, scale=0.7, magnitude=magnitude)
        expected = reference.lowrank.merge(w, a, b, scale=0.7, magnitude=magnitude)
        assert np.all(abs(got.astype(np.float64) - expected) <= tolerance * (abs(expected) + 1))
        plain = sg.lowrank.merge(w, a, b, scale=0.7).astype(np.float64)
        assert not np.all(abs(plain - expected) <= tolerance * (abs(expected) + 1))
        threads(1)
        assert same(sg.lowrank.merge(w, a, b, scale=0.7, magnitude=magnitude[:, None]), got)


def test_norms_whose_squares_leave_the_range(isa: str) -> None:
    """Each output by itself, so that a huge one takes no digits from a tiny one beside it."""
    assert sg.isa() == isa
    w, a, b, magnitude = case((33, 700), np.dtype(np.float64))
    expected = sg.lowrank.merge(w, a, b, magnitude=magnitude)
    powers = np.array([2.0**-1000, 2.0**1000, 1.0])[np.arange(33) % 3][:, None]
    for transposed in (False, True):
        given = np.ascontiguousarray((w * powers).T) if transposed else w * powers
        got = sg.lowrank.merge(given, a, b * powers, magnitude=magnitude, fan_in_fan_out=transposed)
        np.testing.assert_allclose(got.T if transposed else got, expected, rtol=8 * 2.0**-53)


@pytest.mark.parametrize("kind", [int, float, np.int64, np.float16, np.float32, np.float64])
def test_unmerge_subtracts_whatever_type_the_scale_has(kind: Any) -> None:
    w, a, b = np.eye(2), np.float64([[1, 2]]), np.float64([[1], [3]])
    assert same(sg.lowrank.unmerge(sg.lowrank.merge(w, a, b, scale=2), a, b, scale=kind(2)), w)


@each_dtype
@pytest.mark.parametrize("shape", [(6, 6), (6, 4), (40, 600), (600, 40)])
def test_fan_in_fan_out_is_the_transposed_weight(name: str, shape: tuple[int, int]) -> None:
    """peft#3531: DoRA with fan_in_fan_out normalised along the wrong axis, which a square weight does not show."""
    w, a, b, magnitude = case(shape, DTYPES[name])
    expected = sg.lowrank.merge(w, a, b, scale=0.7, magnitude=magnitude)
    options: dict[str, Any] = {"scale": 0.7, "magnitude": magnitude, "fan_in_fan_out": True}
    got = sg.lowrank.merge(w.T.copy(), a, b, **options)
    assert same(got.T.copy(), expected)
    assert same(sg.lowrank.unmerge(got, a, b, base=w.T, **options), w.T.copy())


def test_convolutions_with_a_magnitude() -> None:
    w, a = (numbers(shape, np.dtype(np.float32), seed=1) for shape in ((6, 5, 3, 3), (2, 5, 3, 3)))
    b, magnitude = numbers((6, 2, 1, 1), np.dtype(np.float32), seed=2), np.arange(1, 7, dtype=np.float32)
    got = sg.lowrank.merge(w, a, b, magnitude=magnitude.reshape(1, 6, 1, 1))
    np.testing.assert_allclose(np.sqrt(np.sum(got.astype(np.float64) ** 2, axis=(1, 2, 3))), magnitude, rtol=1e-6)


@each_dtype
def test_base_brings_the_bits_back(name: str) -> None:
    """After 50 cycles, too: nothing is ever lost."""
    w, a, b, magnitude = case((50, 40), DTYPES[name])
    for options in ({}, {"form": "hadamard"}, {"magnitude": magnitude}, {"rounding": "peft"}):
        merged = w.copy()
        for _ in range(50 if not options else 1):
            sg.lowrank.merge(w, a, b, scale=0.1, out=merged, **options)  # type: ignore[arg-type]
            assert not same(merged, w)
            sg.lowrank.unmerge(merged, a, b, scale=0.1, base=w, out=merged, **options)  # type: ignore[arg-type]
            assert same(merged, w)


def test_without_base() -> None:
    w, a, b, _ = case((50, 40), np.dtype(np.float64))
    merged = sg.lowrank.merge(w, a, b, scale=0.5)
    back = sg.lowrank.unmerge(merged, a, b, scale=0.5)
    assert same(back, sg.lowrank.merge(merged, a, b, scale=-0.5))
    assert np.max(abs(back - w)) < 1e-14 < np.max(abs(merged - w))


def test_refusals() -> None:
    w, a, b, magnitude = case((6, 4), np.dtype(np.float32))
    merged = sg.lowrank.merge(w, a, b)
    before, out = merged.tobytes(), np.full((6, 4), 7, np.float32)
    calls: list[tuple[dict[str, Any], str]] = [
        ({"magnitude": magnitude}, "base must be given with magnitude, which nothing else undoes, got None"),
        ({"form": "hadamard"}, "base must be given with form 'hadamard', which nothing else undoes, got None"),
        ({"base": merged}, "base must be what W was merged from, got 24 other elements when merged"),
        ({"base": w, "scale": 2.0}, "base must be what W was merged from, got 24 other elements when merged"),
        ({"base": w[:5]}, "base must have the shape of W, (6, 4), got (5, 4)"),
        ({"base": w, "scale": np.inf}, "scale must be finite, got inf"),
    ]
    for options, message in calls:
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            sg.lowrank.unmerge(merged, a, b, out=out, **options)
        assert str(caught.value) == f"unmerge: {message}"
    with pytest.raises(TypeError, match=r"^unmerge: base must have the dtype of W, float32, got float64$"):
        sg.lowrank.unmerge(merged, a, b, base=w.astype(np.float64))
    assert merged.tobytes() == before
    assert np.all(out == 7)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_magnitude_that_is_not_finite(bad: float) -> None:
    w, a, b, magnitude = case((6, 4), np.dtype(np.float32))
    magnitude[3] = bad
    before = w.tobytes()
    with pytest.raises(ValueError, match=f"magnitude must be finite and go with weights .* got a factor of {bad}$"):
        sg.lowrank.merge(w, a, b, magnitude=magnitude, out=w)
    w[2], b[2] = 0, 0  # a norm of 0
    magnitude[3] = 1
    before = w.tobytes()
    with pytest.raises(ValueError, match=r"magnitude must be finite and go with weights .* got a factor of inf$"):
        sg.lowrank.merge(w, a, b, magnitude=magnitude, out=w)
    assert w.tobytes() == before

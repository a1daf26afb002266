"""FLoRA: the change against einsum, gradients against finite differences, what it begins as, bits, refusals."""

import pickle
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum import reference
from sorgum._data.inputs import numbers

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
SHAPES = {"linear": ((6, 7), (3, 2)), "conv1d": ((6, 5, 3), (3, 2, 2)), "conv2d": ((6, 5, 3, 3), (3, 4, 2, 1))}
SHAPES["conv3d"] = ((4, 3, 2, 3, 2), (2, 2, 2, 1, 2))
each = pytest.mark.parametrize("what", SHAPES)


def made(what: str, dtype: Any = F64, scale: float = 0.7) -> Any:
    """An adapter in the middle of its training."""
    shape, rank = SHAPES[what]
    adapter = sg.tucker.FLoRA.init(numbers(shape, np.dtype(dtype), seed=1), rank, scale=scale, rng=5)
    for i, parameter in enumerate(adapter.parameters.values()):
        parameter += numbers(parameter.shape, parameter.dtype, seed=10 + i)
    return adapter


def change(adapter: Any) -> Any:
    """In float64, by one einsum."""
    core, *factors = adapter.parameters.values()
    return reference.tucker.core_change(core, factors, scale=adapter.scale)


def inputs(adapter: Any, dtype: Any = F64) -> tuple[Any, Any]:
    out, *inner = adapter.weight.shape
    return numbers((5, *inner), np.dtype(dtype), seed=20), numbers((5, out), np.dtype(dtype), seed=21)


@each
@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_the_change(what: str, dtype: Any) -> None:
    """To the roundings of all sums of magnitudes: at most 60 terms each, five products."""
    adapter = made(what, dtype)
    x, _ = inputs(adapter, dtype)
    expected, axes = change(adapter), tuple(range(1, adapter.weight.ndim))
    sizes = pickle.loads(pickle.dumps(adapter))
    for parameter in sizes.parameters.values():
        np.abs(parameter, out=parameter)
    u = 2.0**-24 if dtype == F32 else 2.0**-53
    bound = 5 * 60 * u * change(sizes)
    y = adapter.forward(x)
    wanted = np.tensordot(np.asarray(x, np.float64), expected, (axes, axes))
    assert (abs(y - wanted) <= np.tensordot(abs(x), bound, (axes, axes)) * 2).all()
    assert (abs(np.roll(y, 1, 0) - wanted) > np.tensordot(abs(x), bound, (axes, axes)) * 2).mean() > 0.8
    merged = adapter.merge()
    assert (merged.shape, merged.dtype) == (adapter.weight.shape, dtype)
    assert (abs(merged - (adapter.weight + expected)) <= bound + u * abs(merged)).all()
    assert adapter.unmerge(merged, base=adapter.weight).tobytes() == adapter.weight.tobytes()
    A, B, scale = adapter.factors
    assert sg.lowrank.merge(adapter.weight, A, B, scale=scale).tobytes() == merged.tobytes()


@each
def test_finite_differences(what: str) -> None:
    """Central differences of a function that is linear in each number are exact but for rounding."""
    adapter = made(what)
    x, dy = inputs(adapter)
    found = adapter.grad(x, dy)
    assert list(found.parameters) == list(adapter.parameters)
    for value, got in [(x, found.x), *((adapter.parameters[name], found.parameters[name]) for name in found[1])]:
        assert (got.shape, got.dtype) == (value.shape, value.dtype)
        numeric = np.zeros_like(value)
        for at in np.ndindex(value.shape):
            kept, ends = value[at], []
            for step in (1e-3, -1e-3):
                value[at] = kept + step
                ends.append(np.sum(adapter.forward(x) * dy))
            value[at] = kept
            numeric[at] = (ends[0] - ends[1]) / 2e-3
        size = np.abs(numeric).max()
        assert np.abs(got - numeric).max() <= 1e-6 * size
        assert value.size == 1 or np.abs(got.ravel()[::-1] - numeric.ravel()).max() > 1e-3 * size


@each
def test_begins_without_a_change(what: str) -> None:
    shape, rank = SHAPES[what]
    W = numbers(shape, F32, seed=1)
    adapter = sg.tucker.FLoRA.init(W, rank, scale=2.0)
    x, base = inputs(adapter, F32)
    assert adapter.weight is W
    assert adapter.forward(x, base=base).tobytes() == base.tobytes()
    assert adapter.merge().tobytes() == W.tobytes()
    gradients = adapter.grad(x, base).parameters
    assert gradients["core"].any()  # it can learn, from the core on
    assert not any(gradient.any() for name, gradient in gradients.items() if name != "core")
    assert adapter.count == np.prod(rank) + sum(n * r for n, r in zip(shape, rank, strict=True))
    large = sg.tucker.FLoRA.init(np.zeros((600, 400), np.float32), (50, 20), rng=1).parameters
    for name, r in (("F0", 50), ("F1", 20)):  # the mean of 30000 and 8000 squares, to six deviations
        assert abs((large[name] ** 2).mean() * 2 * r - 1) < 6 * np.sqrt(2 / large[name].size)


def test_known_answers() -> None:
    core = numbers((4, 3, 2, 2), F64, seed=3)
    W = numbers((4, 3, 2, 2), F64, seed=1)
    whole = sg.tucker.FLoRA(W, core, [np.eye(n) for n in W.shape], scale=0.5)
    np.testing.assert_array_equal(whole.merge(), W + 0.5 * core)  # identities: the core itself
    layer = sg.tucker.FLoRA.init(np.zeros((256, 256, 3, 3), np.float32), (16, 16, 2, 2))
    assert layer.count == 9228  # of 589824
    assert sg.tucker.FLoRA.init(
        np.zeros((256, 256, 3, 3), np.float32), (16, None, 2, None)
    ).count == 16 * 256 * 2 * 3 + (256 * 16 + 256 * 256 + 3 * 2 + 3 * 3)
    adapter = made("conv2d")
    for mode, rank in enumerate(SHAPES["conv2d"][1]):
        unfolded = np.moveaxis(change(adapter), mode, 0).reshape(adapter.weight.shape[mode], -1)
        assert np.linalg.matrix_rank(unfolded) <= rank


@each
def test_bits(what: str, isa: str) -> None:
    adapter = made(what, F32)
    x, dy = inputs(adapter, F32)

    def results() -> list[bytes]:
        grad = adapter.grad(x, dy)
        return [array.tobytes() for array in (adapter.forward(x), adapter.merge(), grad.x, *grad.parameters.values())]

    expected = results()
    sg.set_isa("scalar")
    try:
        assert results() == expected
        again = made(what, F32)
        assert all(again.parameters[name].tobytes() == adapter.parameters[name].tobytes() for name in again.parameters)
    finally:
        sg.set_isa(isa)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, "FLoRA.init: rank must be at least 1 in mode 0, got 0"),
        ({"rank": 4}, "FLoRA.init: rank must be at most 3 in mode 2, its dimension, got 4"),
        ({"rank": (2, 2)}, "FLoRA.init: rank must have 3 entries, one for each mode, got 2"),
        ({"scale": np.nan}, "FLoRA.init: scale must be finite, got nan"),
        ({"W": np.ones(3)}, "FLoRA.init: W must have two axes or more, none empty, got shape (3,)"),
        ({"W": np.ones((3, 0))}, "FLoRA.init: W must have two axes or more, none empty, got shape (3, 0)"),
    ],
)
def test_refused_beginnings(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        sg.tucker.FLoRA.init(**{"W": np.ones((5, 6, 3)), "rank": 2, **arguments})
    assert str(caught.value) == message


def test_refused_arrays() -> None:
    W = np.ones((4, 3))
    for call, kind, message in (
        (lambda: sg.tucker.FLoRA(W, np.ones((2, 2, 2)), []), ValueError, "FLoRA: core must have shape (r0, r1), got "
         "(2, 2, 2)"),
        (lambda: sg.tucker.FLoRA(W, np.ones((2, 2)), [np.ones((4, 2))]), ValueError,
         "FLoRA: factors must be as many as the axes of weight, 2, got 1"),
        (lambda: sg.tucker.FLoRA(W, np.ones((2, 2)), [np.ones((4, 2)), np.ones((4, 2))]), ValueError,
         "FLoRA: factors[1] must have shape (3, 2), got (4, 2)"),
        (lambda: sg.tucker.FLoRA(W, np.ones((2, 2)), 3), TypeError,
         "FLoRA: factors must be a sequence of arrays, got int"),
        (lambda: made("conv1d").forward(np.ones((2, 5))), ValueError,
         "FLoRA.forward: x must have shape (..., 5, 3) with weight of shape (6, 5, 3), got (2, 5)"),
    ):  # fmt: skip
        with pytest.raises(kind) as caught:
            call()
        assert str(caught.value) == message

"""apply_grad: against finite differences, known answers, bits, refusals."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import sorgum as sg
from sorgum._data.golden_lowrank import numbers

F64 = np.dtype(np.float64)


def case(dtype: np.dtype[Any] = F64, rows: tuple[int, ...] = (5,)) -> dict[str, Any]:
    shapes = {"x": (*rows, 7), "A": (3, 7), "B": (6, 3), "mid": (3,), "gate": rows}
    return {name: numbers(shape, dtype, seed=i) for i, (name, shape) in enumerate(shapes.items())}


@pytest.mark.parametrize("activation", [None, "relu", "silu"])
@pytest.mark.parametrize("left_out", [(), ("mid",), ("gate",), ("mid", "gate")])
def test_finite_differences(activation: Any, left_out: tuple[str, ...]) -> None:
    """Central differences of step 1e-5: off by 1e-10 of the third derivative, and by 1e-16 / 1e-5 of a sum of 30."""
    given = {name: value for name, value in case().items() if name not in left_out}
    dy = numbers((5, 6), F64, seed=9)
    grad = sg.lowrank.apply_grad(**given, dy=dy, scale=0.7, activation=activation)
    for name, value in given.items():
        found, numeric = getattr(grad, name), np.zeros_like(value)
        assert found.shape == value.shape
        for at in np.ndindex(value.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = {k: v.copy() for k, v in given.items()}
                moved[name][at] += step
                ends.append(np.sum(sg.lowrank.apply(**moved, scale=0.7, activation=activation) * dy))
            numeric[at] = (ends[0] - ends[1]) / 2e-5
        size = np.abs(numeric).max()
        assert np.abs(found - numeric).max() <= 1e-6 * size
        assert np.abs(found[::-1] - numeric).max() > 1e-6 * size
    for name in left_out:
        assert getattr(grad, name) is None


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_other_types(dtype: Any) -> None:
    """Their numbers in float64 give the same within the rounding of each type; types are those of the arguments."""
    given = case(np.dtype(dtype), rows=(4, 5))
    dy = numbers((4, 5, 6), np.dtype(dtype), seed=9)
    grad = sg.lowrank.apply_grad(**given, dy=dy, activation="silu")
    exact = sg.lowrank.apply_grad(
        **{name: value.astype(np.float64) for name, value in given.items()}, dy=dy.astype(np.float64), activation="silu"
    )
    unit = {2: 2.0**-8, 4: 1e-5}[np.dtype(dtype).itemsize]
    for got, expected, value in zip(grad, exact, given.values(), strict=True):
        assert got is not None
        assert expected is not None
        assert got.dtype == value.dtype
        assert np.abs(got.astype(np.float64) - expected).max() <= unit * np.abs(expected).max()


def test_bits(isa: str) -> None:
    assert sg.isa() == isa
    given, dy = case(np.dtype(np.float32), rows=(700,)), numbers((700, 6), np.dtype(np.float32), seed=9)
    expected = sg.lowrank.apply_grad(**given, dy=dy, activation="silu")
    before = sg.isa()
    sg.set_isa("scalar")
    try:
        scalar = sg.lowrank.apply_grad(**given, dy=dy, activation="silu")
    finally:
        sg.set_isa(before)
    assert [array.tobytes() for array in scalar if array is not None] == [
        array.tobytes() for array in expected if array is not None
    ]


def test_where_activations_turn() -> None:
    eye = np.eye(1)
    for u, slope in ((0.0, 0.5), (-800.0, 0.0), (800.0, 1.0), (1e-320, 0.5)):
        assert sg.lowrank.apply_grad([[u]], eye, eye, dy=[[1.0]], activation="silu").x == slope
    for u, slope in ((0.0, 0.0), (-1.0, 0.0), (1.0, 1.0)):
        assert sg.lowrank.apply_grad([[u]], eye, eye, dy=[[1.0]], activation="relu").x == slope


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dy": np.zeros((5, 7))}, "dy must have shape (..., out) with x of shape (5, 7) and B of shape (6, 3), got "
         "(5, 7)"),
        ({"A": np.zeros((3, 6))}, "A and B must have shapes (rank, in) and (out, rank) with x of shape (5, 7), got "
         "(3, 6) and (6, 3)"),
        ({"mid": np.zeros(2)}, "mid must have shape (3,), got (2,)"),
        ({"gate": np.zeros(2)}, "gate must have the shape of x without its last axis, (5,), got (2,)"),
        ({"activation": "tanh"}, "activation must be 'relu', 'silu' or None, got 'tanh'"),
        ({"scale": np.inf}, "scale must be finite, got inf"),
    ],
)  # fmt: skip
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        sg.lowrank.apply_grad(**{**case(), "dy": np.zeros((5, 6)), **arguments})
    assert str(caught.value) == f"apply_grad: {message}"

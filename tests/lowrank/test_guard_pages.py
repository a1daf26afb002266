"""No kernel touches a byte outside its arrays: forbidden pages on both sides, shapes that fill no tile."""

import itertools
import sys
from typing import Any

import numpy as np
import pytest

if sys.platform != "linux":
    pytest.skip("maps memory as Linux does", allow_module_level=True)

from guarded import Guarded

import sorgum as sg
from sorgum._core import lowrank
from sorgum._data.golden_lowrank import numbers

pytestmark = pytest.mark.sanitize

SIZES = (1, 2, 15, 16, 17, 33)


@pytest.fixture(scope="module")
def rooms() -> list[Guarded]:
    return [Guarded(1 << 16) for _ in range(5)]


def placed(room: Guarded, array: Any, at_end: bool) -> Any:
    copy = (room.at_end if at_end else room.at_start)(array.shape, array.dtype)
    copy[...] = array
    return copy


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_products(rooms: list[Guarded], dtype: Any, at_end: bool, isa: str) -> None:
    assert sg.isa() == isa
    kind = np.dtype(dtype)
    for out, inner, rank in itertools.product(SIZES, SIZES, (1, 16, 19)):
        arrays = [numbers(shape, kind, seed=i) for i, shape in enumerate(((out, inner), (rank, inner), (out, rank)))]
        w, a, b = (placed(room, array, at_end) for room, array in zip(rooms, arrays, strict=False))
        mask = placed(rooms[3], numbers((out, inner), np.dtype(np.float64)) > 0, at_end)
        expected = sg.lowrank.merge(*arrays, mask=mask.copy())
        assert sg.lowrank.merge(w, a, b, mask=mask, out=w).tobytes() == expected.tobytes()
        for rows in (1, 3, 14):
            x = numbers((rows, inner), kind, seed=rows)
            expected = sg.lowrank.apply(x, *arrays[1:])
            result = placed(rooms[4], expected * 0, at_end)
            sg.lowrank.apply(placed(rooms[0], x, at_end), a, b, out=result)
            assert result.tobytes() == expected.tobytes()


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_bases(rooms: list[Guarded], dtype: Any, at_end: bool, isa: str) -> None:
    assert sg.isa() == isa
    kind = np.dtype(dtype)
    for bases, n in itertools.product(SIZES, (1, 15, 17, 127, 129, 513, 2049)):
        weights, sums = numbers((bases,), kind, seed=1), numbers((n,), kind, seed=2)
        w, y, d = (placed(room, array, at_end) for room, array in zip(rooms, (weights, sums, weights), strict=False))
        expected = sums.copy()
        lowrank.basis_add(3, weights, expected)
        lowrank.basis_add(3, w, y)
        assert y.tobytes() == expected.tobytes()
        dots = np.empty_like(weights)
        lowrank.basis_dots(3, sums, dots)
        lowrank.basis_dots(3, placed(rooms[1], sums, at_end), d)
        assert d.tobytes() == dots.tobytes()

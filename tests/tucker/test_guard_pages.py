"""No product touches a byte outside its arrays: forbidden pages on both sides, shapes that fill no tile."""

import itertools
import sys
from typing import Any

import numpy as np
import pytest

if sys.platform != "linux":
    pytest.skip("maps memory as Linux does", allow_module_level=True)

from guarded import Guarded

import sorgum as sg
from sorgum._data.inputs import numbers

pytestmark = pytest.mark.sanitize

SIZES = (1, 2, 15, 16, 17, 33)


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_mode_dot(dtype: Any, at_end: bool, isa: str) -> None:
    assert sg.isa() == isa
    rooms = [Guarded(1 << 16) for _ in range(3)]

    def placed(room: Guarded, array: Any) -> Any:
        copy = (room.at_end if at_end else room.at_start)(array.shape, array.dtype)
        copy[...] = array
        return copy

    kind = np.dtype(dtype)
    for left, n, right, rank in itertools.product((1, 3), SIZES, SIZES, (1, 13, 17)):
        x, m = numbers((left, n, right), kind), numbers((rank, n), kind, seed=1)
        expected = sg.tucker.mode_dot(x, m, 1)
        out = placed(rooms[2], np.zeros_like(expected))
        sg.tucker.mode_dot(placed(rooms[0], x), placed(rooms[1], m), 1, out=out)
        assert out.tobytes() == expected.tobytes()


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_gram(dtype: Any, at_end: bool, isa: str) -> None:
    assert sg.isa() == isa
    room = Guarded(1 << 18)
    for left, n, right in itertools.product((1, 3, 9), SIZES, SIZES):
        x = numbers((left, n, right), np.dtype(dtype))
        placed = (room.at_end if at_end else room.at_start)(x.shape, x.dtype)
        placed[...] = x
        for mode in range(3):
            assert sg.tucker.gram(placed, mode).tobytes() == sg.tucker.gram(x, mode).tobytes()

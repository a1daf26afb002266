"""Plain calls of apply, which are answered without a look at the function in Python: the same bits."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum import _core


class TheUsualWayError(Exception):
    """A call was not answered at once."""


def usual(*_: Any, **__: Any) -> Any:
    raise TheUsualWayError


plain: Callable[..., Any] = _core.function(usual, "sorgum.lowrank.apply", usual, lambda *call: call[-1])
DTYPES = [np.float16, np.float32, np.float64]


def operands(shape: tuple[int, ...], dtype: Any, rank: int = 3, outputs: int = 20) -> list[np.ndarray]:
    rng = np.random.default_rng(len(shape))
    a, b = (rng.normal(size=n).astype(np.float32) for n in ((rank, shape[-1]), (outputs, rank)))
    return [rng.normal(size=shape).astype(dtype), a, b, rng.normal(size=(*shape[:-1], outputs)).astype(dtype)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (7,), (1, 600), (5, 33), (2, 3, 16)])
def test_a_plain_call_has_the_bits_of_the_usual_way(shape: tuple[int, ...], dtype: Any) -> None:
    x, a, b, base = operands(shape, dtype)
    for factors in ((a, b), (a.astype(dtype), b.astype(dtype))):
        for options in ({}, {"scale": 0.5}, {"base": base}, {"scale": -2.0, "base": base}):
            want = sg.lowrank.apply(x, *factors, gate=np.ones(shape[:-1]), **options)  # a gate goes the usual way
            got = plain(x, *factors, **options)
            assert (type(got), got.dtype, got.shape) == (np.ndarray, want.dtype, want.shape)
            assert got.tobytes() == want.tobytes()
            out = np.full(want.shape, 7, dtype)
            assert plain(x, *factors, out=out, **options) is out
            assert out.tobytes() == want.tobytes()
    want = sg.lowrank.apply(x, a, b, base=base)
    assert plain(x, a, b, base=base, out=base) is base
    assert base.tobytes() == want.tobytes() != bytes(want.nbytes)


def test_all_other_calls_go_the_usual_way() -> None:
    x, a, b, base = operands((4, 8), np.float32)
    frozen = base.copy()
    frozen.flags.writeable = False
    whole = np.zeros((4, 40), np.float32)
    one = np.zeros(200, np.float32)
    calls: dict[str, Callable[[], Any]] = {
        "an option": lambda: plain(x, a, b, activation="relu"),
        "factors of the middle": lambda: plain(x, a, b, mid=np.ones(3, np.float32)),
        "a gate": lambda: plain(x, a, b, gate=np.ones(4, np.float32)),
        "an int": lambda: plain(x, a, b, scale=2),
        "a scale beyond the range": lambda: plain(x, a, b, scale=1e300),
        "a list": lambda: plain(x.tolist(), a, b),
        "integers": lambda: plain(x.astype(np.int64), a, b),
        "columns": lambda: plain(np.asfortranarray(x), a, b),
        "every second row": lambda: plain(x, a[::2], b[:, ::2]),
        "no axes": lambda: plain(np.float32(1).reshape(()), a, b),
        "no elements": lambda: plain(x[:0], a, b),
        "another depth": lambda: plain(x[:, :7].copy(), a, b),
        "another rank": lambda: plain(x, a[:2], b),
        "three axes": lambda: plain(x, a, b[None]),
        "a base of another type": lambda: plain(x, a, b, base=base.astype(np.float64)),
        "a base of another shape": lambda: plain(x, a, b, base=base[:1]),
        "an out that is read-only": lambda: plain(x, a, b, out=frozen),
        "an out of another shape": lambda: plain(x, a, b, out=base[:2]),
        "an out of another type": lambda: plain(x, a, b, out=base.astype(np.float64)),
        "an out with gaps": lambda: plain(x, a, b, out=whole[:, :20]),
        "an out that is part of x": lambda: plain(one[:32].reshape(4, 8), a, b, out=one[20:100].reshape(4, 20)),
        "an out that is part of B": lambda: plain(x, a, one[:60].reshape(20, 3), out=one[50:130].reshape(4, 20)),
        "an out that is part of base": lambda: plain(
            x, a, b, base=one[:80].reshape(4, 20), out=one[20:100].reshape(4, 20)
        ),
        "a keyword twice": lambda: plain(x, a, b, **{"A": a}),
        "too few": lambda: plain(x, a),
    }
    before = [array.tobytes() for array in (base, whole, one)]
    for what, call in calls.items():
        try:
            call()
        except TheUsualWayError:
            continue
        pytest.fail(f"answered at once: {what}")
    assert [array.tobytes() for array in (base, whole, one)] == before

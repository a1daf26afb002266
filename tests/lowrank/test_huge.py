"""Arrays of more than 2^31 elements, by strides of 0: right answers or no memory, at once, and nothing wraps."""

import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import sorgum as sg

lowrank, kinds = sg.lowrank, sg.lowrank.adapters
N, SIDE = 2**40, 2**20
A, B = np.ones((2, 4), np.float32), np.ones((3, 2), np.float32)


@pytest.fixture(autouse=True)
def at_once() -> Iterator[None]:
    """Work on elements that are not there would take hours."""

    def late(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, 20)  # of processor time: a busy machine is no fault
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


def ones(*shape: int) -> Any:
    """An array of one element in memory."""
    return np.broadcast_to(np.float32(1), shape)


def none(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


WITHOUT_ROOM: dict[str, Callable[[], Any]] = {
    "apply, rows": lambda: lowrank.apply(ones(N, 4), A, B),
    "apply, in": lambda: lowrank.apply(ones(1, N), ones(2, N), B),
    "apply, out": lambda: lowrank.apply(ones(1, 4), A, ones(N, 2)),
    "apply, rank": lambda: lowrank.apply(ones(1, 4), ones(N, 4), ones(3, N)),
    "merge": lambda: lowrank.merge(ones(SIDE, SIDE), ones(1, SIDE), ones(SIDE, 1)),
    "merge, rank": lambda: lowrank.merge(ones(2, 2), ones(N, 2), ones(2, N)),
    "unmerge": lambda: lowrank.unmerge(ones(SIDE, SIDE), ones(1, SIDE), ones(SIDE, 1)),
    "unmerge, base": lambda: lowrank.unmerge(ones(SIDE, SIDE), ones(1, SIDE), ones(SIDE, 1), base=ones(SIDE, SIDE)),
    "apply_adapters": lambda: lowrank.apply_adapters(ones(N, 4), lowrank.AdapterSet([(A, B, 1.0)]), 0),
    "AdapterSet": lambda: lowrank.AdapterSet([(ones(2, N), B, 1.0)]),
    "apply_grad": lambda: lowrank.apply_grad(ones(N, 4), A, B, dy=ones(N, 3)),
    "combine": lambda: lowrank.combine([(ones(2, N), B, 1.0)], [1.0]),
    "truncated_svd": lambda: lowrank.truncated_svd(ones(SIDE, SIDE), 1),
    "range_finder": lambda: lowrank.range_finder(ones(SIDE, SIDE), 1),
    "cholesky_qr": lambda: lowrank.cholesky_qr(ones(N, 2)),
    "polar": lambda: lowrank.polar(ones(N, 2)),
    "small_svd": lambda: lowrank.small_svd(ones(N, 2, 2)),
    "LoRA.merge": lambda: kinds.LoRA.init(ones(SIDE, SIDE), 1).merge(),
    "HiRA.merge": lambda: kinds.HiRA.init(ones(SIDE, SIDE), 1).merge(),
    "PiSSA.init": lambda: kinds.PiSSA.init(ones(SIDE, SIDE), 1),
    "SVFit.init": lambda: kinds.SVFit.init(ones(SIDE, SIDE), 1),
}


@pytest.mark.parametrize("name", WITHOUT_ROOM)
def test_no_memory(name: str) -> None:
    with pytest.raises(MemoryError) as caught:
        WITHOUT_ROOM[name]()
    assert str(caught.value).startswith(f"{name.partition(',')[0]}: ")


def test_nothing_of_any_length() -> None:
    assert lowrank.apply(none(N, 0), none(2, 0), none(0, 2)).shape == (N, 0)
    assert [part.shape for part in lowrank.truncated_svd(none(0, N), 0)] == [(0, 0), (0,), (0, N)]
    assert lowrank.range_finder(none(0, N), 0).shape == (0, 0)
    assert [part.shape for part in lowrank.cholesky_qr(none(N, 0))] == [(N, 0), (0, 0)]
    assert [part.shape for part in lowrank.small_svd(none(N, 0, 2))] == [(N, 0, 0), (N, 0), (N, 0, 2)]
    assert [part.shape for part in lowrank.polar(none(N, 2, 0))] == [(N, 2, 0), (N, 0, 0)]
    assert [part.shape for part in lowrank.extract(none(N, 0), none(N, 0), rank=0)] == [(0, 0), (N, 0)]
    assert [part.shape for part in lowrank.extract(none(0, N), none(0, N), rtol=0.5)] == [(0, N), (0, 0)]


@pytest.mark.parametrize("kind", ["LoRA", "NOLA"])
def test_adapters_do_not_read_the_weight(kind: str) -> None:
    """The weight has 2^40 elements; what the adapter does is that of the ones that it has in a row and a column."""
    W, more = ones(SIDE, SIDE), {"bases": 2} if kind == "NOLA" else {}
    adapter = getattr(kinds, kind).init(W, 1, scale=0.5, **more)
    for parameter in adapter.parameters.values():
        parameter[...] = 0.25
    A, B, _ = adapter.factors
    x = np.zeros((1, SIDE), np.float32)
    x[0, [3, SIDE - 1]] = 1.0
    expected = 0.5 * (A[0, 3] + A[0, -1]) * B[:, 0]
    np.testing.assert_allclose(adapter.forward(x)[0], expected, rtol=1e-6)
    assert expected.any()
    assert adapter.grad(x, np.ones((1, SIDE), np.float32)).x.shape == (1, SIDE)


def test_shapes_are_told_whole() -> None:
    rows = np.broadcast_to(np.float16(1), (2**31 + 5, 1))
    with pytest.raises(ValueError, match=r"^apply: A .*\(2147483653, 1\).* got \(1, 2\)$"):
        lowrank.apply(rows, np.ones((1, 2)), np.ones((1, 1)))
    adapters = lowrank.AdapterSet([(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32), 1.0)])
    with pytest.raises(ValueError, match=r"^apply_adapters: x must have shape \(..., 1\), got \(1, 2147483653\)$"):
        lowrank.apply_adapters(rows.T, adapters, 0)

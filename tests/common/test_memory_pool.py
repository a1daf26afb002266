"""The memory of large results is used again, and only when nobody looks at it any more."""

import ctypes
import os
import re
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import sorgum as sg
from sorgum import _core
from sorgum._data.inputs import logits

MIB = 1 << 20
LIBC = ctypes.CDLL(None)
F32 = np.dtype(np.float32)


@pytest.fixture(autouse=True)
def empty_pool() -> Iterator[None]:
    before = sg.get_memory_pool()
    sg.set_memory_pool(0)
    sg.set_memory_pool(before)
    yield
    sg.set_memory_pool(before)


def test_a_freed_result_makes_room_for_the_next() -> None:
    x = logits((300, 1000), F32)
    y = sg.special.softmax(x)
    wanted, address = y.copy(), y.ctypes.data
    assert address % 64 == 0
    del y
    assert _core.memory_pooled() >= x.nbytes
    again = sg.special.softmax(x)
    assert again.ctypes.data == address
    assert np.array_equal(again, wanted)
    assert again.flags.writeable
    assert again.flags.c_contiguous


def test_memory_in_view_is_not_given_away() -> None:
    x = logits((300, 1000), F32)
    y = sg.special.softmax(x)
    row = y[5]
    kept = row.copy()
    del y
    others = [sg.special.log_softmax(x) for _ in range(3)]
    assert not any(np.shares_memory(row, other) for other in others)
    assert np.array_equal(row, kept)


HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(not HUGE.exists(), reason="the system has no huge pages to ask for")
def test_much_memory_is_asked_for_in_huge_pages() -> None:
    y = sg.special.exp(np.zeros(4 * MIB, np.float32))
    inside, flags = False, {}
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if found := re.match("([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(found[1], 16) <= y.ctypes.data < int(found[2], 16)
        elif inside and line.startswith("VmFlags:"):
            flags[y.ctypes.data] = line.split()
    assert "hg" in flags[y.ctypes.data]


def test_the_limit_holds() -> None:
    sg.set_memory_pool(4 * MIB)
    for n in (300_000, 500_000, 700_000, 900_000, 3_000_000, 300_000):
        sg.special.exp(np.zeros(n, np.float32))
        assert _core.memory_pooled() <= 4 * MIB
    assert _core.memory_pooled() > 0
    assert sg.show_config("dicts")["memory_pool"] == {"limit": 4 * MIB, "held": _core.memory_pooled()}
    sg.set_memory_pool(0)
    assert _core.memory_pooled() == 0
    del_me = sg.special.exp(np.zeros(500_000, np.float32))
    del del_me
    assert _core.memory_pooled() == 0


def test_many_sizes_keep_a_bounded_number_of_blocks() -> None:
    sg.set_memory_pool(1 << 40)
    alive = [sg.special.exp(np.zeros(262_144 + 65_536 * i, np.float32)) for i in range(80)]
    del alive
    assert 0 < _core.memory_pooled() <= sum(4 * (262_144 + 65_536 * i) + 4096 for i in range(16, 80))


def test_small_results_own_their_memory() -> None:
    assert sg.special.softmax(np.zeros((10, 10), np.float32)).base is None


def test_threads_do_not_get_each_others_memory() -> None:
    inputs = [logits((300, 1000), F32, seed=i) for i in range(8)]
    wanted = [sg.special.softmax(x).copy() for x in inputs]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(20):
            y = sg.special.softmax(inputs[i])
            if not np.array_equal(y, wanted[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_a_pool_of_its_own() -> None:
    x = logits((300, 1000), F32)
    y = sg.special.softmax(x)
    wanted = y.copy()
    child = os.fork()
    if child == 0:
        del y
        fine = np.array_equal(sg.special.softmax(x), wanted) and sg.special.exp(x).base is not None
        os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(y, wanted)


def test_out_is_untouched_by_the_pool() -> None:
    x = logits((300, 1000), F32)
    out = np.empty_like(x)
    assert sg.special.softmax(x, out=out) is out
    assert _core.memory_pooled() == 0


@pytest.mark.skipif(not hasattr(LIBC, "malloc_trim"), reason="needs malloc_trim, of glibc")
@pytest.mark.parametrize("function", ["softmax", "gumbel_softmax", "axis 0", "strided"])
def test_scratch_stays_mapped_between_calls(function: str) -> None:
    """Whatever others free meanwhile: malloc_trim does at once what the allocator does when enough is free."""
    x = logits((4, 1 << 18), F32)
    out = np.ones_like(x)
    square, results = x[:, : 1 << 16].reshape(512, 512), np.ones((512, 512), np.float32)
    apart, rows = x[:, ::2][:, :64000], np.ones((4, 64000), np.float32)
    call = {
        "softmax": lambda: sg.special.softmax(x, out=out),
        "gumbel_softmax": lambda: sg.random.gumbel_softmax(x, rng=1, out=out),
        "axis 0": lambda: sg.special.softmax(square, axis=0, out=results),
        "strided": lambda: sg.special.softmax(apart, out=rows),
    }[function]
    before = sg.get_num_threads()
    sg.set_num_threads(1)
    try:
        faults = [faults_of(call) for _ in range(6)][2:]
    finally:
        sg.set_num_threads(before)
    assert min(faults) < 8


def faults_of(call: Callable[[], object]) -> int:
    LIBC.malloc_trim(0)
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    call()
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-1, ValueError, r"^set_memory_pool: nbytes must be in \[0, 2\*\*63\), got -1$"),
        (2**63, ValueError, r"^set_memory_pool: nbytes must be in \[0, 2\*\*63\), got 9223372036854775808$"),
        (1.5, TypeError, r"^set_memory_pool: nbytes must be an int, got float$"),
        (True, TypeError, r"^set_memory_pool: nbytes must be an int, got bool$"),
    ],
)
def test_refusals(value: object, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        sg.set_memory_pool(value)  # type: ignore[arg-type]
    assert sg.get_memory_pool() == 256 * MIB

"""Many Python threads at once: shared arrays, controls that change meanwhile, results that do not."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum import special
from sorgum._data.inputs import logits

pytestmark = pytest.mark.sanitize

THREADS = 16


def together(work: Callable[[int], Any]) -> list[Any]:
    """Run work(0) .. work(15) in threads that start at the same moment."""
    barrier = threading.Barrier(THREADS)

    def one(i: int) -> Any:
        barrier.wait()
        return work(i)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


@pytest.mark.parametrize("number", [1, 2, 5])
def test_shared_inputs(number: int, threads: Callable[[int], None]) -> None:
    threads(number)
    inputs = [logits(shape, np.float32, 5.0) for shape in ((1 << 18,), (3000, 64), (50, 4097), (7, 5))]
    functions: list[Callable[[Any], Any]] = [special.softmax, special.log_softmax, special.logsumexp, special.exp]
    expected = [[function(x).tobytes() for function in functions] for x in inputs]

    def work(i: int) -> bool:
        return all(
            functions[f](inputs[k]).tobytes() == expected[k][f]
            for turn in range(3)
            for k in ((i + turn) % 4, (i + turn + 1) % 4)
            for f in range(4)
        )

    assert all(together(work))


def test_parts_of_one_output(threads: Callable[[int], None]) -> None:
    threads(2)
    x = logits((THREADS * 100, 777), np.float32, 5.0)
    expected = special.softmax(x)
    out = np.zeros_like(x)

    def work(i: int) -> None:
        for _ in range(5):
            special.softmax(x[i::THREADS], out=out[i::THREADS])

    together(work)
    assert out.tobytes() == expected.tobytes()


def test_controls_change_meanwhile(threads: Callable[[int], None]) -> None:
    threads(2)
    before = sg.isa()
    x = logits((2, 1 << 18), np.float32, 5.0)
    expected = special.softmax(x).tobytes()
    over = threading.Event()

    def change() -> None:
        i = 0
        while not over.is_set():
            sg.set_isa(sg.available_isas()[i % len(sg.available_isas())])
            sg.set_num_threads(1 + i % 4)
            i += 1

    changing = threading.Thread(target=change)
    changing.start()
    try:
        assert all(special.softmax(x).tobytes() == expected for _ in range(60))
    finally:
        over.set()
        changing.join()
        sg.set_isa(before)


def test_errors_in_threads(threads: Callable[[int], None]) -> None:
    threads(2)
    x = logits(1 << 17, np.float32)
    expected = special.softmax(x).tobytes()

    def work(i: int) -> bool:
        for _ in range(10):
            if i % 2:
                with pytest.raises(ValueError, match="temperature must be positive"):
                    special.softmax(x, temperature=-1.0)
            elif special.softmax(x).tobytes() != expected:
                return False
        return True

    assert all(together(work))


def test_threads_that_come_and_go(threads: Callable[[int], None]) -> None:
    threads(3)
    x = logits(1 << 17, np.float32)
    expected = special.softmax(x).tobytes()
    same: list[bool] = []
    for _ in range(50):
        thread = threading.Thread(target=lambda: same.append(special.softmax(x).tobytes() == expected))
        thread.start()
        thread.join()
    assert same == [True] * 50

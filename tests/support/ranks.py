"""Threads of one process as the ranks of a communicator, with the part of mpi4py's interface that we use."""

import queue
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

SECONDS = 60.0  # until a rank that waits for others gives up


class _Shared:
    def __init__(self, size: int) -> None:
        self.barrier = threading.Barrier(size)
        self.places: list[Any] = [None] * size
        self.letters: dict[Any, queue.Queue[Any]] = {}
        self.lock = threading.Lock()
        self.sent = 0

    def box(self, *way: int) -> queue.Queue[Any]:
        with self.lock:
            return self.letters.setdefault(way, queue.Queue())


class _Request:
    def __init__(self, wait: Callable[[], Any]) -> None:
        self.Wait = wait


class Comm:
    """One thread's end of it."""

    def __init__(self, shared: _Shared, rank: int, size: int) -> None:
        self.shared, self.rank, self.size = shared, rank, size

    def Get_rank(self) -> int:
        return self.rank

    def Get_size(self) -> int:
        return self.size

    def Is_inter(self) -> bool:
        return False

    def Dup(self) -> "Comm":
        return self

    def Free(self) -> None:
        pass

    def allgather(self, value: Any) -> list[Any]:
        self.shared.places[self.rank] = value
        self.shared.barrier.wait(SECONDS)
        values = list(self.shared.places)
        self.shared.barrier.wait(SECONDS)
        return values

    def Allgather(self, send: Any, receive: Any) -> None:
        receive[...] = np.reshape(self.allgather(np.copy(send)), receive.shape)

    def Isend(self, rows: Any, rank: int, tag: int) -> _Request:
        assert rows.flags.c_contiguous
        with self.shared.lock:
            self.shared.sent += 1
        self.shared.box(self.rank, rank, tag).put(np.copy(rows))
        return _Request(lambda: None)

    def Irecv(self, rows: Any, rank: int, tag: int) -> _Request:
        assert rows.flags.c_contiguous

        def wait() -> None:
            rows[...] = self.shared.box(rank, self.rank, tag).get(timeout=SECONDS)

        return _Request(wait)


def on_ranks(size: int, act: Callable[[Comm], Any]) -> list[Any]:
    """Return what `act` returns, or the exception that it raises, on each of so many ranks."""
    shared, found = _Shared(size), [None] * size

    def run(rank: int) -> None:
        try:
            found[rank] = act(Comm(shared, rank, size))
        except Exception as error:
            found[rank] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found

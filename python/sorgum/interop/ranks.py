"""Processes that work on rows of one array: who has which, what they tell each other, and that they fail together."""

from __future__ import annotations

import builtins
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum.interop.arrays import kind_of

__all__ = ["Ranks", "Window", "window_of"]

T = TypeVar("T")

_USED = ("Allgather", "Dup", "Get_rank", "Get_size", "Irecv", "Is_inter", "Isend", "allgather")


class Copy(NamedTuple):
    """Rows of a window that are another's own ones."""

    owner: int
    theirs: int  # where they begin in the rows of their owner
    here: int  # where they begin in the window
    rows: int


class Window(NamedTuple):
    """Own rows and copies of those beside them."""

    begin: int  # rows of the whole array; below 0, and beyond its end, those at the other end
    end: int
    own: slice  # of the window
    copies: list[Copy]


def window_of(starts: list[int], rank: int, width: int, periodic: bool) -> Window:
    """Return the window of a rank.

    Parameters
    ----------
    starts : list of int
        The first row of each rank, and the number of rows last.
    rank : int
    width : int
        How many rows to copy at least, if there are so many. The window begins at an even row.
    periodic : bool
        Whether the first row lies beside the last one.

    Returns
    -------
    Window
    """
    first, last, n = starts[rank], starts[rank + 1], starts[-1]
    if first == last:
        return Window(first, first, slice(0, 0), [])
    begin, end = first - width, last + width
    if not periodic:
        begin, end = max(begin, 0), min(end, n)
    begin -= begin % 2
    copies = []
    row = begin
    while row < end:
        if row == first:
            row = last
            continue
        owner = int(np.searchsorted(starts, row % n, "right")) - 1
        theirs = row % n - starts[owner]
        most = first if row < first else end
        rows = min(starts[owner + 1] - starts[owner] - theirs, most - row)
        copies.append(Copy(owner, theirs, row - begin, rows))
        row += rows
    return Window(begin, end, slice(first - begin, last - begin), copies)


class Ranks:
    """A communicator of mpi4py, or one that does as it does, during a call that all ranks make together.

    Every method but `take` is called by all ranks in the same order. Interrupts wait until all ranks know of them.
    """

    at_once = 1

    def __init__(self, function: str, comm: Any) -> None:
        self._function = function
        if not all(callable(getattr(comm, name, None)) for name in _USED):
            raise TypeError(f"{function}: comm must be a communicator of mpi4py, got {kind_of(comm)}")
        if comm.Is_inter():
            raise ValueError(f"{function}: comm must be an intracommunicator, got an intercommunicator")
        self._given = comm
        self.rank, self.size = int(comm.Get_rank()), int(comm.Get_size())
        self._pending: BaseException | None = None
        self._former: Any = None
        self._sends: list[tuple[int, int, slice]] = []  # to whom, the number of the copy there, which rows
        self._window = Window(0, 0, slice(0, 0), [])

    def __enter__(self) -> Ranks:
        """Begin: from now on interrupts wait."""
        former = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(former):
            self._former = former
            signal.signal(signal.SIGINT, self._note)
        try:
            self._comm = self._given.Dup()  # our messages meet nobody else's
        except BaseException:
            self._heed_interrupts()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End, and raise what came after all was done."""
        self._comm.Free()
        self._heed_interrupts()
        if self._pending is not None and error is None:
            raise self._pending

    def _heed_interrupts(self) -> None:
        if self._former is not None:
            signal.signal(signal.SIGINT, self._former)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Do what the caller's handler does; what it raises is raised by all ranks."""
        try:
            self._former(number, frame)
        except BaseException as error:
            self._pending = error

    def agreed(self, act: Callable[[], T]) -> T:
        """Return what `act` returns. What it raises on one rank is raised on all; so is an interrupt."""
        result, failure = None, None
        try:
            result = act()
        except Exception as error:
            failure = error
        except BaseException as error:  # no mistake, but no reason either to leave others waiting
            self._pending = error
        states = np.empty(self.size, np.int64)
        self._comm.Allgather(np.array([2 if failure else 1 if self._pending else 0]), states)
        if states.max() == 0:
            return result  # type: ignore[return-value]
        if states.max() == 1:
            raise self._pending or KeyboardInterrupt
        if self.size == 1 and failure is not None:
            raise failure
        kinds = [] if failure is None else [c.__name__ for c in type(failure).__mro__ if c.__module__ == "builtins"]
        rank = int(np.argmax(states == 2))
        kind, text = self._comm.allgather((kinds[:1], str(failure)))[rank]
        self._pending = None
        raise getattr(builtins, kind[0])(f"{text} on rank {rank}") from failure

    def gathered(self, value: Any) -> list[Any]:
        """Return the values of all ranks."""
        return list(self._comm.allgather(value))

    def sums(self, sums: Array) -> Array:
        """Return the arrays of all ranks, along an axis of their own."""
        every = np.empty((self.size, *sums.shape), sums.dtype)
        self._comm.Allgather(sums, every)
        return every

    @property
    def own(self) -> slice:
        """Own rows of the window."""
        return self._window.own

    def take(self, windows: list[Window], at_once: int) -> None:
        """Take the windows of all ranks, which last so many sweeps."""
        self._window, self.at_once = windows[self.rank], at_once
        own = self._window.own.start
        self._sends = [
            (rank, number, slice(own + copy.theirs, own + copy.theirs + copy.rows))
            for rank, window in enumerate(windows)
            for number, copy in enumerate(window.copies)
            if copy.owner == self.rank
        ]

    def window(self, rows: Array) -> Array:
        """Return own rows with copies of others' beside them."""
        there = self.agreed(lambda: np.empty((self._window.end - self._window.begin, *rows.shape[1:]), rows.dtype))
        there[self._window.own] = rows
        self.refresh(there)
        return there

    def refresh(self, x: Array) -> None:
        """Copy rows of a window from those who own them."""
        x = x.view(np.uint8) if x.dtype == np.bool_ else x
        to = [slice(copy.here, copy.here + copy.rows) for copy in self._window.copies]
        requests = [
            self._comm.Irecv(x[rows], copy.owner, number)
            for number, (copy, rows) in enumerate(zip(self._window.copies, to, strict=True))
            if copy.owner != self.rank
        ]
        for rank, number, rows in self._sends:
            if rank == self.rank:
                x[to[number]] = x[rows]
            else:
                requests.append(self._comm.Isend(x[rows], rank, number))
        for request in requests:
            request.Wait()

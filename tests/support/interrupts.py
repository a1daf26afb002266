"""Ctrl-C in the midst of a call: how soon it ends the call, and whether other threads run meanwhile."""

import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any


def interrupt(call: Callable[[], Any], after: float = 0.05) -> float:
    """Call again and again, send a signal after so many seconds, and return those from then to KeyboardInterrupt.

    The system sends SIGALRM, whose handler is that of Ctrl-C, so a process that ignores SIGINT (a job in the
    background) is no exception. The clock starts where the interrupt is awaited, and the calls never end: however late
    a busy machine goes on, KeyboardInterrupt is raised nowhere else.
    """
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        sent = time.monotonic() + after
        signal.setitimer(signal.ITIMER_REAL, after)
        while True:
            call()
    except KeyboardInterrupt:
        return time.monotonic() - sent
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)  # where the call raised something else
        signal.signal(signal.SIGALRM, handler)


def ends_within(limit: float, call: Callable[[], Any], after: float = 0.05) -> bool:
    """Whether an interrupt ends a call so soon, in one of ten attempts: others want the processor, too."""
    return any(interrupt(call, after) < limit for _ in range(10))


def others_run_during(call: Callable[[], Any]) -> bool:
    """Whether a call lets another thread of Python run, which then sends the signal.

    The interpreter takes its lock from no thread meanwhile, so the call has to give it.
    """
    begun, over, interval, late = threading.Event(), threading.Event(), sys.getswitchinterval(), 20.0

    def other() -> None:
        begun.wait()
        for _ in range(20):
            time.sleep(0.001)
        if not over.is_set():
            signal.setitimer(signal.ITIMER_REAL, 1e-6)

    def begin() -> None:
        begun.set()
        call()

    thread = threading.Thread(target=other)
    thread.start()
    sys.setswitchinterval(1000)
    try:
        return interrupt(begin, late) < 0
    finally:
        over.set()
        sys.setswitchinterval(interval)
        thread.join()

"""Several threads in natural order, and several sweeps at once: the bits that one thread has, sweep by sweep."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum import _core
from sorgum._data.inputs import logits, words
from sorgum._data.matrices import Matrix, dominant, grid


def bits(x: Any) -> bytes:
    return np.ascontiguousarray(x).tobytes()


@pytest.fixture
def shared(threads: Callable[[int], None]) -> Iterator[Callable[[int], None]]:
    """Sweeps of any size are shared between threads."""
    _core.sor.share_from(1)
    yield threads
    _core.sor.share_from(0)


def coupled(n: int, seed: int) -> Matrix:
    """Entries on one side of the diagonal only, near and far, and rows that begin anew here and there."""
    rows, columns = np.divmod(np.unique(words(40 * n, np.float64, seed).view(np.uint64) % np.uint64(n * n)), n)
    near = (np.abs(rows.astype(np.int64) - columns.astype(np.int64)) < 64) & (rows // 64 == columns // 64)
    far = (rows > columns) if seed % 2 else (rows < columns)
    keep = (near | (far & (words(rows.size, np.float64, seed + 1).view(np.uint64) % np.uint64(9) == 0))) & (
        rows != columns
    )
    full = np.zeros((n, n))
    full[rows[keep].astype(np.int64), columns[keep].astype(np.int64)] = 0.01
    np.fill_diagonal(full, 2.0)
    where = np.nonzero(full)
    indptr = np.concatenate(([0], np.cumsum(np.count_nonzero(full, axis=1))))
    return Matrix(indptr.astype(np.int32), where[1].astype(np.int32), full[where], (n, n))


def with_a_long_row(a: Matrix, at: int) -> Matrix:
    """Every 30th element of a row beside those that it has."""
    row = np.zeros(a.shape[0])
    row[a.indices[a.indptr[at] : a.indptr[at + 1]]] = a.data[a.indptr[at] : a.indptr[at + 1]]
    row[::30] += 0.001
    columns = np.flatnonzero(row)
    added = len(columns) - (a.indptr[at + 1] - a.indptr[at])
    parts = (
        np.concatenate((old[: a.indptr[at]], new, old[a.indptr[at + 1] :])).astype(old.dtype)
        for old, new in ((a.indices, columns), (a.data, row[columns]))
    )
    indices, data = parts
    return Matrix((a.indptr + added * (np.arange(a.shape[0] + 1) > at)).astype(np.int32), indices, data, a.shape)


SHARED = {
    "lines of 100": lambda: grid((90, 100), False, np.float64, np.int32),
    "lines of 97": lambda: grid((80, 97), False, np.float32, np.int32),
    "lines of 7": lambda: grid((300, 7), False, np.float64, np.int32),
    "planes": lambda: grid((20, 21, 22), True, np.float64, np.int32),
    "lower entries": lambda: coupled(1500, 1),
    "upper entries": lambda: coupled(1500, 2),
    "no entries": lambda: dominant(5000, 0, np.float64, np.int32),
    "entries anywhere": lambda: dominant(3000, 5, np.float64, np.int32),
    "long rows": lambda: with_a_long_row(grid((90, 100), False, np.float64, np.int32), 4512),
}


ONE_RUN = ("lines of 7", "entries anywhere")  # a row always depends on one shortly before it


def sweep_one_by_one(
    relaxation: sg.sor.Relaxation, x: Any, b: Any, sweep: str, norms: Any, bounds: Any = (None, None)
) -> None:
    for k in range(len(norms)):
        relaxation._compiled.sweep(x, b, 1.3, sweep, 1, *bounds, norms[k : k + 1])


@pytest.mark.sanitize
@pytest.mark.parametrize("what", SHARED)
def test_several_threads_in_natural_order(what: str, shared: Callable[[int], None]) -> None:
    """Every row waits for those before it that it is coupled with, whatever the threads do."""
    a = SHARED[what]()
    n, dtype = a.shape[0], a.data.dtype
    x, b = logits(n, dtype, seed=1), logits(n, dtype, seed=2)
    relaxation = sg.sor.Relaxation(a)
    for sweep in ("forward", "backward", "symmetric"):
        expected, norms = x.copy(), np.empty(3)
        shared(1)
        sweep_one_by_one(relaxation, expected, b, sweep, norms)
        assert _core.sor.threads_of_last_sweep() == 1
        for count in (2, 3, 7):
            shared(count)
            most, until = 1, time.process_time() + 20
            for k in range(10**6):  # on a busy machine one thread may be done before others wake up
                now, found = x.copy(), np.empty(3)
                sweep_one_by_one(relaxation, now, b, sweep, found)
                assert bits(now) == bits(expected)
                assert bits(found) == bits(norms)
                most = max(most, _core.sor.threads_of_last_sweep())
                if k > 5 and (most > 1 or what in ONE_RUN or time.process_time() > until):
                    break
            assert most > 1 or what in ONE_RUN
    for half in ("lower", "upper"):
        shared(1)
        relaxation._compiled.half_solve(b, 1.3, half, expected)
        shared(3)
        for _ in range(20):
            relaxation._compiled.half_solve(b, 1.3, half, now := b.copy())
            relaxation._compiled.half_solve(now, 1.3, half, now)
            relaxation._compiled.half_solve(b, 1.3, half, there := np.full(n, np.nan, dtype))
            assert bits(there) == bits(expected)


TWICE = {
    "lines of 140, in two chunks": lambda: grid((300, 140), False, np.float32, np.int32),
    "lines of 97": lambda: grid((80, 97), False, np.float64, np.int32),
    "planes": lambda: grid((20, 11, 22), True, np.float32, np.int64),
    "entries near the diagonal": lambda: coupled(640, 1),
    "no entries": lambda: dominant(5000, 0, np.float32, np.int32),
    "one block": lambda: dominant(16, 0, np.float64, np.int32),
    "entries anywhere": lambda: dominant(3000, 5, np.float64, np.int32),
    "long rows": lambda: with_a_long_row(grid((90, 100), False, np.float64, np.int32), 4512),
}


@pytest.mark.sanitize
@pytest.mark.parametrize("what", TWICE)
def test_two_sweeps_at_once(what: str, threads: Callable[[int], None]) -> None:
    """One thread makes a sweep shortly behind the one before, with the bits that they have one after the other."""
    a = TWICE[what]()
    n, dtype = a.shape[0], a.data.dtype
    reach = max(int(np.abs(np.repeat(np.arange(n), np.diff(a.indptr)) - a.indices).max()), 1)
    x, b = logits(n, dtype, seed=1), logits(n, dtype, seed=2)
    low, high = np.full(n, -0.5, dtype), np.full(n, 0.5, dtype)
    relaxation = sg.sor.Relaxation(a)
    threads(1)
    for sweep in ("forward", "backward", "symmetric"):
        for bounds in ((None, None), (low, high)):
            expected, norms = x.copy(), np.empty(5)
            sweep_one_by_one(relaxation, expected, b, sweep, norms, bounds)
            assert np.all(norms > 0)
            before = _core.sor.sweeps_at_twice()
            for found in (np.empty(5), None):
                now = x.copy()
                relaxation._compiled.sweep(now, b, 1.3, sweep, 5, *bounds, found)
                assert bits(now) == bits(expected)
                assert found is None or bits(found) == bits(norms)
            at_twice = _core.sor.sweeps_at_twice() - before
            if sweep == "symmetric" or n < 2 * reach:
                assert at_twice == 0
            elif n > 2 * reach + 64:
                assert at_twice == 4


NARROW = {what: make for what, make in {**SHARED, **TWICE}.items() if "anywhere" not in what and "block" not in what}


@pytest.mark.sanitize
@pytest.mark.parametrize("what", NARROW)
def test_threads_whose_sweeps_follow_each_other(what: str, shared: Callable[[int], None]) -> None:
    """Each makes sweeps of its own, as soon as the one before is far enough; also more of them than go together."""
    a = NARROW[what]()
    n, dtype = a.shape[0], a.data.dtype
    reach = max(int(np.abs(np.repeat(np.arange(n), np.diff(a.indptr)) - a.indices).max()), 1)
    x, b = logits(n, dtype, seed=1), logits(n, dtype, seed=2)
    half = np.full(n, 0.5, dtype)
    relaxation = sg.sor.Relaxation(a)
    for sweep in ("forward", "backward"):
        for sweeps, bounds in ((37, (None, None)), (7, (-half, half))):
            expected, norms = x.copy(), np.empty(sweeps)
            shared(1)
            sweep_one_by_one(relaxation, expected, b, sweep, norms, bounds)
            for count in (2, 3, 7):
                shared(count)
                most, until = 1, time.process_time() + 20
                for k in range(10**6):
                    now, found = x.copy(), np.empty(sweeps)
                    relaxation._compiled.sweep(now, b, 1.3, sweep, sweeps, *bounds, found)
                    assert bits(now) == bits(expected)
                    assert bits(found) == bits(norms)
                    most = max(most, _core.sor.threads_of_last_sweep())
                    if (k > 2 and (most > 1 or n < 2 * reach)) or time.process_time() > until:
                        break
                assert most > 1 or n < 2 * reach
                relaxation._compiled.sweep(now := x.copy(), b, 1.3, sweep, sweeps, *bounds)
                assert bits(now) == bits(expected)

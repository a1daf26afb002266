"""Softmax of one row in a file that does not fit in memory, by a pool of processes, with the bits of a single call.

Usage: python row_in_a_file.py [MEBIBYTES], the size of the file. No process may have more than a third of it as memory.
"""

import multiprocessing
import resource
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

import sorgum as sg

PART = 256 * sg.special.CHUNK  # parts that begin at multiples of CHUNK give the bits of the whole row


def limit_memory(nbytes: int) -> None:
    """Allow this process `nbytes` more than it has. Pages of mapped files do not count: the system can drop them."""
    status = Path("/proc/self/status").read_text()
    used = next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmData:"))
    resource.setrlimit(resource.RLIMIT_DATA, (used + nbytes, used + nbytes))
    sg.set_num_threads(1)  # the processes are the threads


def write_logits(path: Path, size: int) -> None:
    """Write keyed noise, a part at a time: element i is the same whatever the parts."""
    with path.open("wb") as file:
        for first in range(0, size, PART):
            sg.random.gumbel(min(PART, size - first), rng=1, index_offset=first).tofile(file)


def first_pass(path: Path, first: int) -> np.ndarray:
    """Return the part's sum: a record of 104 bytes."""
    return sg.special.logsumexp_partial(np.memmap(path, np.float32, "r")[first : first + PART])


def second_pass(path: Path, result: Path, first: int, p: np.ndarray) -> None:
    """Write the part's softmax."""
    x, y = np.memmap(path, np.float32, "r"), np.memmap(result, np.float32, "r+")
    sg.special.softmax_from_partial(x[first : first + PART], p, out=y[first : first + PART])


def main(mebibytes: int) -> None:
    """Run both passes and compare with single calls."""
    size, limit = mebibytes << 18, (mebibytes << 20) // 3
    with tempfile.TemporaryDirectory() as folder:
        path, result = Path(folder, "logits"), Path(folder, "softmax")
        write_logits(path, size)
        with result.open("wb") as file:
            file.truncate(path.stat().st_size)
        limit_memory(limit)
        try:
            np.fromfile(path, np.float32)
        except MemoryError:
            print(f"the file has {mebibytes} MiB, too many for memory")

        with ProcessPoolExecutor(
            2, multiprocessing.get_context("forkserver"), initializer=limit_memory, initargs=(limit,)
        ) as pool:
            parts = range(0, size, PART)
            sums = as_completed([pool.submit(first_pass, path, first) for first in parts])
            p = sg.special.logsumexp_merge(np.stack([done.result() for done in sums]))  # in whatever order they come
            for done in as_completed([pool.submit(second_pass, path, result, first, p) for first in parts]):
                done.result()

        x, y = np.memmap(path, np.float32, "r"), np.memmap(result, np.float32, "r")
        total = sg.special.logsumexp_finish(p)
        assert total == sg.special.logsumexp(x)
        whole = np.memmap(Path(folder, "whole"), np.float32, "w+", shape=x.shape)
        sg.special.softmax(x, out=whole)
        assert all(np.array_equal(whole[i : i + PART], y[i : i + PART]) for i in parts)
        print(f"logsumexp of {size} logits: {total}; {len(parts)} parts by two processes have the bits of one call")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 96)

"""A tensor in a file that memory does not hold: its Tucker decomposition from a memory map.

A field over time: waves on a plane, measured with noise. The process may have half of the file as memory of its own;
pages of the mapped file do not count, since the system can drop them. At last the Gram matrix of one mode is made of
parts, which processes or machines could have.

Usage: python tensor_in_a_file.py [MEBIBYTES], the size of the file.
"""

import resource
import sys
import tempfile
from pathlib import Path

import numpy as np

import sorgum as sg


def limit_memory(nbytes: int) -> None:
    """Allow this process `nbytes` more than it has."""
    status = Path("/proc/self/status").read_text()
    used = next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmData:"))
    resource.setrlimit(resource.RLIMIT_DATA, (used + nbytes, used + nbytes))


def write_field(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Write a field for each time, float32; return the file, mapped."""
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    x, y = np.linspace(0, 1, shape[1])[:, None], np.linspace(0, 1, shape[2])
    for t in range(shape[0]):
        waves = sum(np.cos(t * k / 20) * np.sin(np.pi * k * x) * np.sin(np.pi * (k + 1) * y) for k in range(1, 6))
        file[t] = waves + sg.random.normal(shape[1:], rng=t, dtype=np.float32) * 0.05
    file.flush()
    return np.load(path, mmap_mode="r")


def main(mebibytes: int) -> None:
    """Decompose the file, and compare with what parts of it give."""
    sg.tucker.sthosvd(np.ones((9, 9, 9)), 2)  # what a first call allocates stays
    with tempfile.TemporaryDirectory() as folder:
        x = write_field(Path(folder, "field.npy"), (mebibytes, 512, 512))
        limit_memory(x.nbytes // 2)
        tensor = sg.tucker.hosvd(x, 8)
        left = tensor.core.size + sum(factor.size for factor in tensor.factors)
        print(f"{x.nbytes >> 20} MiB: error {tensor.error:.3f}, {x.size // left} times fewer numbers")

        # Parts along the first other axis, 512 columns or multiples each, in any order and from anywhere.
        each = x.size // (x.shape[0] * x.shape[1])
        times = range(0, len(x), 8)
        merged = sg.tucker.gram_partial(x[:0], 1)
        for t in reversed(times):
            merged = sg.tucker.gram_merge([merged, sg.tucker.gram_partial(x[t : t + 8], 1, begin=t * each)])
        assert np.array_equal(sg.tucker.gram_finish(merged), sg.tucker.gram(x, 1))
        print(f"{len(times)} parts have the Gram matrix of the whole")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 192)

"""The inputs and layouts that several tests share, and what Python call exercises each kernel of the enumerator.

A family's cases stand in a module of its name: `CASES`, from the name of a kernel to a function of its element types.
"""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from sorgum import _core

Array = NDArray[Any]

DTYPES = {"f32": np.dtype(np.float32), "f64": np.dtype(np.float64)}
HALVES = {"f16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16)}
OTHERS = {"b8": np.dtype(np.bool_), "i32": np.dtype(np.int32), "i64": np.dtype(np.int64)}
CHUNK = 4096

# Around the lanes, the groups of 8 vectors, a chunk and its multiples, powers of two.
LENGTHS = (0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 257, 1021, 1023, 1024, 1025, 4093)
LENGTHS += tuple(k * CHUNK + d for k in (1, 2, 3, 4, 8, 16) for d in (-1, 0, 1))
LENGTHS += (131071, 262144)


def placed(x: Array, offset: int) -> Array:
    """Return a writable copy that starts `offset` bytes behind a multiple of 64."""
    buffer = np.zeros(x.nbytes + 128, dtype=np.uint8)
    start = -buffer.ctypes.data % 64 + offset
    copy = np.ndarray(x.shape, x.dtype, buffer=buffer, offset=start)
    copy[...] = x
    assert copy.ctypes.data % 64 == offset % 64
    return copy


def with_strides(x: Array, order: tuple[int, ...], steps: tuple[int, ...], offset: int = 0) -> Array:
    """Return a view equal to x whose axes lie in memory in this order, with these steps (negative ones reversed)."""
    shape = [(n - 1) * abs(s) + 1 if n else 0 for n, s in zip(x.shape, steps, strict=True)]
    memory = placed(np.zeros([shape[a] for a in order], dtype=x.dtype), offset)
    whole = memory.transpose(np.argsort(order))
    view = whole[tuple(slice(None, None, s) for s in steps)]
    if view.size:
        view[...] = x
    return view


def layouts(x: Array) -> Iterator[tuple[str, Array]]:
    """Return views that equal the matrix x and lie otherwise in memory."""
    yield "fortran", np.asfortranarray(x)
    yield "every second column", with_strides(x, (0, 1), (1, 2))
    yield "every third row", with_strides(x, (0, 1), (3, 1))
    yield "reversed columns", with_strides(x, (0, 1), (1, -1))
    yield "reversed rows", with_strides(x, (0, 1), (-1, 1))
    yield "reversed columns of a transposed matrix", with_strides(x, (1, 0), (-2, -1))
    yield "one byte off", placed(x, 1)
    yield "strided and three bytes off", with_strides(x, (0, 1), (2, -3), offset=3)
    frozen = x.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen
    yield "a subclass", x.view(type("Subclass", (np.ndarray,), {}))


# The kernels of a family, without their types -> what exercises them.
CASES: dict[str, Callable[..., Iterator[Array]]] = {
    f"{family}.{kernel}": case
    for family in dict.fromkeys(name.partition(".")[0] for name in _core.kernel_names())
    for kernel, case in importlib.import_module(f"cases.{family}").CASES.items()
}


def case_of(kernel: str) -> tuple[Callable[..., Iterator[Array]], tuple[np.dtype[Any], ...]]:
    """Return the case of a kernel, "special.exp.f32" for example, and its types: "sor.csr_residual.f64_i32" has two."""
    name, _, suffix = kernel.rpartition(".")
    return CASES[name], tuple((DTYPES | HALVES | OTHERS)[one] for one in suffix.split("_"))

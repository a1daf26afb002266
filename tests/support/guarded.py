"""Arrays between pages that must not be touched: the first byte read or written outside ends the process."""

import ctypes
import mmap
from typing import Any

import numpy as np

Array = Any
PAGE = mmap.PAGESIZE

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)


class Guarded:
    """Room for arrays of up to `size` bytes, a forbidden page on either side. Lives for the process."""

    def __init__(self, size: int) -> None:
        self.size = -(-size // PAGE) * PAGE
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        forbidden = libc.mmap(None, self.size + 2 * PAGE, 0, flags, -1, 0)  # 0: neither read nor write
        assert forbidden not in (None, ctypes.c_void_p(-1).value), ctypes.get_errno()
        self.address = forbidden + PAGE
        assert libc.mprotect(self.address, self.size, mmap.PROT_READ | mmap.PROT_WRITE) == 0
        self.bytes = np.frombuffer((ctypes.c_uint8 * self.size).from_address(self.address), dtype=np.uint8)

    def at_start(self, shape: tuple[int, ...], dtype: Any, offset: int = 0) -> Array:
        """An array `offset` bytes behind the forbidden page below."""
        return np.ndarray(shape, dtype, buffer=self.bytes.data, offset=offset)

    def at_end(self, shape: tuple[int, ...], dtype: Any, offset: int = 0) -> Array:
        """An array that ends `offset` bytes before the forbidden page above."""
        bytes_ = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        return self.at_start(shape, dtype, self.size - bytes_ - offset)

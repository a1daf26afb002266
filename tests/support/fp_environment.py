"""Other floating-point environments of the caller: MXCSR is set through glibc, on x86-64 Linux."""

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

needs_mxcsr = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64", reason="sets MXCSR through glibc"
)

# The bits of MXCSR: rounding, flush to zero, denormals are zero.
ENVIRONMENTS = {"down": 0x2000, "up": 0x4000, "towards zero, FTZ, DAZ": 0xE040, "FTZ": 0x8000, "DAZ": 0x0040}
MASK = 0xE040
MXCSR = 28  # stands behind the 28 bytes of the x87 environment


def word() -> int:
    environment = ctypes.create_string_buffer(64)
    ctypes.CDLL("libm.so.6").fegetenv(environment)
    return int(struct.unpack_from("<I", environment.raw, MXCSR)[0])


@contextmanager
def mxcsr(bits: int) -> Iterator[None]:
    libm = ctypes.CDLL("libm.so.6")
    normal = ctypes.create_string_buffer(64)
    libm.fegetenv(normal)
    strange = ctypes.create_string_buffer(normal.raw)
    struct.pack_into("<I", strange, MXCSR, word() & ~MASK | bits)
    libm.fesetenv(strange)
    try:
        yield
    finally:
        libm.fesetenv(normal)

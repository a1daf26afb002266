"""A CUDA device for tools/gpu_check.py: memory, streams and events by the driver, or the host in a rehearsal."""

import ctypes
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


class Driver:
    """Memory, streams and events of one device; arrays that speak the CUDA array interface."""

    def __init__(self) -> None:
        self.lib = ctypes.CDLL("libcuda.so.1")
        self.check("cuInit", 0)
        self.device = ctypes.c_int()
        self.check("cuDeviceGet", ctypes.byref(self.device), 0)
        context = ctypes.c_void_p()
        self.check("cuDevicePrimaryCtxRetain", ctypes.byref(context), self.device)
        self.check("cuCtxSetCurrent", context)

    def check(self, name: str, *arguments: Any) -> None:
        status = getattr(self.lib, name)(*arguments)
        if status != 0:
            raise RuntimeError(f"{name}: CUDA's driver reports error {status}")

    def name(self) -> str:
        text = ctypes.create_string_buffer(100)
        self.check("cuDeviceGetName", text, 100, self.device)
        return text.value.decode()

    def capability(self) -> str:
        parts = [ctypes.c_int(), ctypes.c_int()]
        for part, attribute in zip(
            parts, (75, 76), strict=True
        ):  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
            self.check("cuDeviceGetAttribute", ctypes.byref(part), attribute, self.device)
        return "".join(str(part.value) for part in parts)

    def allocate(self, nbytes: int) -> int:
        address = ctypes.c_uint64()
        self.check("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(max(nbytes, 1)))
        return address.value

    def free(self, address: int) -> None:
        self.check("cuMemFree_v2", ctypes.c_uint64(address))

    def write(self, address: int, array: np.ndarray) -> None:
        self.check(
            "cuMemcpyHtoD_v2",
            ctypes.c_uint64(address),
            ctypes.c_void_p(array.ctypes.data),
            ctypes.c_size_t(array.nbytes),
        )
        self.synchronise()  # the last part may be on its way still, and other streams do not wait for it

    def read(self, array: np.ndarray, address: int) -> None:
        self.synchronise()
        self.check(
            "cuMemcpyDtoH_v2",
            ctypes.c_void_p(array.ctypes.data),
            ctypes.c_uint64(address),
            ctypes.c_size_t(array.nbytes),
        )

    def copy(self, to: int, source: int, nbytes: int, stream: int) -> None:
        self.check(
            "cuMemcpyDtoDAsync_v2", ctypes.c_uint64(to), ctypes.c_uint64(source), ctypes.c_size_t(nbytes),
            ctypes.c_void_p(stream),
        )  # fmt: skip

    def synchronise(self) -> None:
        self.check("cuCtxSynchronize")

    def stream(self) -> int:
        handle = ctypes.c_void_p()
        self.check("cuStreamCreate", ctypes.byref(handle), 1)  # CU_STREAM_NON_BLOCKING
        return handle.value or 0

    def seconds(self, work: Callable[[], object], stream: int) -> float:
        """Return how long the device takes for what `work` puts on the stream."""
        events = [ctypes.c_void_p(), ctypes.c_void_p()]
        for event in events:
            self.check("cuEventCreate", ctypes.byref(event), 0)
        self.check("cuEventRecord", events[0], ctypes.c_void_p(stream))
        work()
        self.check("cuEventRecord", events[1], ctypes.c_void_p(stream))
        self.check("cuEventSynchronize", events[1])
        milliseconds = ctypes.c_float()
        self.check("cuEventElapsedTime", ctypes.byref(milliseconds), *events)
        for event in events:
            self.check("cuEventDestroy_v2", event)
        return milliseconds.value / 1000


class Rehearsal:
    """The same on memory of the host."""

    def __init__(self) -> None:
        sys.path.insert(0, str(ROOT / "tests" / "support"))
        from cuda_stand_in import Module

        from sorgum.interop import cuda

        module = Module()
        cuda._module = lambda: (module, "")  # type: ignore[assignment]
        self.blocks: dict[int, np.ndarray] = {}

    def name(self) -> str:
        return "rehearsal on the CPU"

    def allocate(self, nbytes: int) -> int:
        block = np.zeros(max(nbytes, 1) + 256, np.uint8)
        address = (block.ctypes.data + 255) // 256 * 256  # as cudaMalloc aligns
        self.blocks[address] = block
        return address

    def free(self, address: int) -> None:
        del self.blocks[address]

    def write(self, address: int, array: np.ndarray) -> None:
        ctypes.memmove(address, array.ctypes.data, array.nbytes)

    def read(self, array: np.ndarray, address: int) -> None:
        ctypes.memmove(array.ctypes.data, address, array.nbytes)

    def copy(self, to: int, source: int, nbytes: int, stream: int) -> None:
        ctypes.memmove(to, source, nbytes)

    def synchronise(self) -> None:
        pass

    def stream(self) -> int:
        return 3

    def seconds(self, work: Callable[[], object], stream: int) -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start


class DeviceArray:
    """An array on the device, `shift` bytes behind where an allocation begins; "bfloat16" has uint16 on the host."""

    def __init__(
        self, driver: Any, shape: tuple[int, ...], dtype: str, shift: int = 0, stream: int | None = None
    ) -> None:
        self.driver, self.shape, self.shift, self.stream = driver, shape, shift, stream
        self.dtype = np.dtype("u2" if dtype == "bfloat16" else dtype)
        self.typestr = "<V2" if dtype == "bfloat16" else self.dtype.str
        self.block = driver.allocate(int(np.prod(shape)) * self.dtype.itemsize + shift)
        self.address = self.block + shift

    @classmethod
    def of(
        cls, driver: Any, array: np.ndarray, shift: int = 0, stream: int | None = None, dtype: str | None = None
    ) -> "DeviceArray":
        made = cls(driver, array.shape, dtype or array.dtype.str, shift, stream)
        made.write(array)
        return made

    def write(self, array: np.ndarray) -> None:
        self.driver.write(self.address, np.ascontiguousarray(array))

    def read(self) -> np.ndarray:
        array = np.empty(self.shape, self.dtype)
        self.driver.read(array, self.address)
        return array

    def __del__(self) -> None:
        self.driver.free(self.block)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape, "typestr": self.typestr, "data": (self.address, False), "version": 3,
            "strides": None, "stream": self.stream,
        }  # fmt: skip

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0


def assert_same_bits(got: np.ndarray, expected: np.ndarray, what: str) -> None:
    size = expected.itemsize
    a, b = (np.atleast_1d(array).view(f"u{size}").ravel() for array in (got, expected))
    if not np.array_equal(a, b):
        at = int(np.flatnonzero(a != b)[0])
        count = int((a != b).sum())
        raise AssertionError(
            f"{what}: {count} of {a.size} differ, the first at {at}: 0x{a[at]:0{2 * size}x} instead of "
            f"0x{b[at]:0{2 * size}x}"
        )

"""Plays the compiled module `sorgum._cuda` on memory of the host, by the kernels of the CPU."""

import ctypes
from typing import Any

import numpy as np

import sorgum as sg


def host(view: tuple[int, tuple[int, ...], tuple[int, ...], bool], dtype: str) -> np.ndarray:
    """Return the memory of the host that a view tells of."""
    address, shape, strides, _ = view
    if 0 in shape:
        return np.empty(shape, dtype)
    item = np.dtype(dtype).itemsize
    size = sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + item
    memory = np.frombuffer((ctypes.c_char * size).from_address(address), np.uint8)
    return np.lib.stride_tricks.as_strided(memory.view(dtype) if size % item == 0 else memory, shape, strides)


class Module:
    """Plays the compiled module on memory of the host."""

    def __init__(self) -> None:
        self.places: list[tuple[int, int]] = []

    def device_count(self) -> tuple[int, str]:
        return 2, ""

    def device_of(self, address: int) -> int:
        return 1

    def exp(self, x: Any, out: Any, device: int, stream: int) -> None:
        self.places.append((device, stream))
        sg.special.exp(host(x, "f4"), out=host(out, "f4"))

    def softmax(
        self, x: Any, axes: Any, temperature: float, where: Any, out: Any, zero: bool, device: int, stream: int
    ) -> None:
        self.places.append((device, stream))
        mask = None if where is None else host(where, "?")
        axis = None if axes is None else tuple(axes)
        empty = "zero" if zero else "nan"
        sg.special.softmax(host(x, "f4"), axis, temperature=temperature, where=mask, out=host(out, "f4"), empty=empty)

    def logsumexp(
        self, x: Any, axes: Any, temperature: float, where: Any, out: Any, keepdims: bool, device: int, stream: int
    ) -> None:
        self.places.append((device, stream))
        mask = None if where is None else host(where, "?")
        axis = None if axes is None else tuple(axes)
        sg.special.logsumexp(
            host(x, "f4"), axis, temperature=temperature, where=mask, out=host(out, "f4"), keepdims=keepdims
        )

"""Stand-ins for arrays on devices, over memory of the host, and for `sorgum._cuda`, by the kernels of the CPU."""

import ctypes
from typing import Any

import numpy as np

import sorgum as sg
from sorgum.interop import dlpack


class Interface:
    """An array that speaks `__cuda_array_interface__`."""

    def __init__(self, array: np.ndarray, device: int = 0, stream: int | None = None, **changes: Any) -> None:
        self.array, self.number, self.stream, self.changes = array, device, stream, changes

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        told = dict(self.array.__array_interface__, version=3, stream=self.stream)
        return {**told, **self.changes}

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CUDA, self.number


class Undisclosed:
    """An array that speaks `__cuda_array_interface__` and does not tell its device."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return dict(self.array.__array_interface__, version=3)


class Capsule:
    """An array that speaks DLPack alone."""

    def __init__(self, array: np.ndarray, device: tuple[int, int] = (dlpack.CUDA, 0), versioned: bool = False) -> None:
        self.array, self.device, self.versioned = array, device, versioned
        self.streams: list[object] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, *, stream: object = None) -> object:
        self.streams.append(stream)
        capsule = self.array.__dlpack__(max_version=(1, 0)) if self.versioned else self.array.__dlpack__()
        return capsule


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

    def noise(
        self, law: str, wide: bool, key: int, streams: Any, positions: Any, position: int, index_offset: int,
        shape: tuple[int, ...], out: Any, dtype: str, device: int, stream: int, given: Any = None,
    ) -> None:  # fmt: skip
        self.places.append((device, stream))
        if given is not None:
            zero, to = np.array(0), host(out, "f8" if dtype == "float64" else "f4")
            sg._core.random.noise(law, wide, key, None, zero, index_offset, shape, to, host(given, "f4"))
            return
        assert out[1] == shape
        options = {
            "rng": key, "streams": _of_rows(streams, shape[:-1]), "index_offset": index_offset,
            "position": position if positions is None else _of_rows(positions, shape[:-1]),
        }  # fmt: skip
        if law == "bits":
            kind = "u8" if wide else "u4"
            host(out, kind)[...] = sg.random.bits(shape, dtype=kind, **options)
            return
        exact = "f8" if dtype == "float64" else "f4"
        noise = getattr(sg.random, law)(shape, dtype=exact, bits=64 if wide else 32, **options)
        if dtype == "bfloat16":
            host(out, "u2")[...] = to_bfloat16(noise)
        else:
            host(out, exact)[...] = noise

    def categorical(
        self, logits: Any, dtype: str, temperatures: Any, temperature: float, where: Any, out: Any,
        samples: int | None, key: int, streams: Any, positions: Any, position: int, index_offset: int, wait: bool,
        device: int, stream: int,
    ) -> int:  # fmt: skip
        self.places.append((device, stream))
        x = of_bfloat16(host(logits, "u2")) if dtype == "bfloat16" else host(logits, dtype).astype(np.float32)
        rows = x.shape[:-1]
        options = {
            "rng": key, "streams": _of_rows(streams, rows), "index_offset": index_offset, "num_samples": samples,
            "position": position if positions is None else _of_rows(positions, rows),
            "temperature": temperature if temperatures is None else _of_rows(temperatures, rows),
            "where": None if where is None else host(where, "?"),
        }  # fmt: skip
        host(out, "i8")[...] = drawn = np.asarray(sg.random.categorical(x, on_invalid="minus_one", **options))
        bad = np.flatnonzero(drawn < 0)
        if not wait or not bad.size:
            return 2**64 - 1
        row = x.reshape(int(np.prod(rows)), x.shape[-1])[bad[0] // (samples or 1)]
        return 2 * int(bad[0]) + int(np.isnan(row).any() or np.isposinf(row).any())


def _of_rows(array: np.ndarray | None, rows: tuple[int, ...]) -> np.ndarray | None:
    """Return what a call has for its rows in their shape; the compiled module is given it flat and contiguous."""
    if array is None:
        return None
    assert array.flags.c_contiguous
    assert array.shape == (int(np.prod(rows)),)
    return (array.view(np.uint64) if array.dtype == np.int64 else array).reshape(rows)


def of_bfloat16(words: np.ndarray) -> np.ndarray:
    """Return the float32 of bfloat16 numbers given by their 16 bits."""
    return (words.astype(np.uint32) << 16).view(np.float32)


def to_bfloat16(x: np.ndarray) -> np.ndarray:
    """Return the 16 bits of float32 numbers, none of which is NaN, rounded to bfloat16."""
    words = np.ascontiguousarray(x).view(np.uint32)
    return ((words + 0x7FFF + (words >> 16 & 1)) >> 16).astype(np.uint16)

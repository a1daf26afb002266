"""Safetensors files: eight bytes of length, a header in JSON, then the bytes of the tensors without a gap.

The format is that of the package safetensors (its README, section "Format"). Headers are read here because that package
neither writes a file tensor by tensor nor says all that is wrong with one in the words of this one.
"""

from __future__ import annotations

import json
import math
import mmap
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum.interop import bfloat16
from sorgum.interop.arrays import shown
from sorgum.lowrank.peft._refusals import Argument, json_object

__all__ = ["HALF_AND_FULL", "SafetensorsFile", "Tensor", "dtype_name", "dtype_of", "header_bytes", "laid_out"]

_LONGEST_HEADER = 100_000_000  # the limit of the package safetensors
_MOST_AXES = 64  # of NumPy's arrays

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip
HALF_AND_FULL = ("F16", "BF16", "F32", "F64")
"""The types that weights and adapters may have."""


class Tensor(NamedTuple):
    """A tensor of a header: its bytes are those from `begin` to `end` behind the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def dtype_of(name: str) -> np.dtype[Any]:
    """Return the type of arrays for one of `HALF_AND_FULL`."""
    return bfloat16.dtype() if name == "BF16" else np.dtype({"F16": "f2", "F32": "f4", "F64": "f8"}[name])


def dtype_name(dtype: np.dtype[Any]) -> str | None:
    """Return the format's name of a type of `HALF_AND_FULL`, None for any other."""
    if bfloat16.is_bfloat16(dtype):
        return "BF16"
    if dtype.kind != "f" or not dtype.isnative:
        return None
    return {2: "F16", 4: "F32", 8: "F64"}.get(dtype.itemsize)


def laid_out(sizes: Mapping[str, tuple[str, tuple[int, ...]]]) -> dict[str, Tensor]:
    """Return tensors of these types and shapes one behind the other."""
    tensors, at = {}, 0
    for name, (dtype, shape) in sizes.items():
        end = at + math.prod(shape) * _BITS[dtype] // 8
        tensors[name] = Tensor(dtype, shape, at, end)
        at = end
    return tensors


def header_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None) -> bytes:
    """Return what a file begins with: the length and the header, padded so that tensors begin at a multiple of 8."""
    entries: dict[str, Any] = {} if metadata is None else {"__metadata__": dict(metadata)}
    for name, tensor in tensors.items():
        entries[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [tensor.begin, tensor.end],
        }
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


class SafetensorsFile:
    """A file that is open for reading, whose header was checked against its size.

    Parameters
    ----------
    argument : Argument
        In whose name a malformed file is refused.
    path : str

    Attributes
    ----------
    header : bytes
        The file's first bytes, to the end of the header.
    metadata : dict of str, or None
    tensors : dict of Tensor
        By name, in the order of their bytes.
    """

    def __init__(self, argument: Argument, path: str) -> None:
        self._argument, self.path = argument, path
        self._map: mmap.mmap | None = None
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._size = os.fstat(self.descriptor).st_size
            self.header = self._read_header()
            self.metadata, self.tensors = self._parsed()
        except BaseException:
            os.close(self.descriptor)
            raise

    @property
    def nbytes(self) -> int:
        """The bytes of all tensors."""
        return self._size - len(self.header)

    def close(self) -> None:
        """Close the file; arrays of it stay as they are."""
        self._map = None
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def position(self, tensor: Tensor) -> int:
        """Return where the bytes of a tensor begin in the file."""
        return len(self.header) + tensor.begin

    def array(self, name: str) -> Array:
        """Return a tensor of a type of `HALF_AND_FULL` as a read-only array over the mapped file."""
        if self._map is None:
            self._map = mmap.mmap(self.descriptor, self._size, access=mmap.ACCESS_READ)
        tensor = self.tensors[name]
        if math.prod(max(1, size) for size in tensor.shape) >= 2**60:  # NumPy counts the bytes beside a size of 0, too
            rule = "have tensors of less than 2**60 elements, sizes of 0 not counted, where they are merged"
            raise self._refusal(rule, f"shape {tensor.shape} for {shown(name)}")
        return np.ndarray(tensor.shape, dtype_of(tensor.dtype), self._map, self.position(tensor))

    def _refusal(self, rule: str, got: str) -> ValueError:
        return self._argument.refusal(rule, f"{got} in {os.path.basename(self.path)}")

    def _read_header(self) -> bytes:
        first = os.pread(self.descriptor, 8, 0)
        if len(first) < 8:
            raise self._refusal("have safetensors files of at least 8 bytes", f"{len(first)}")
        length = int.from_bytes(first, "little")
        if length > min(_LONGEST_HEADER, self._size - 8):
            limit = f"at most {_LONGEST_HEADER} bytes and no longer than their file"
            raise self._refusal(f"have headers of {limit}", f"{length} bytes of {self._size}")
        header = os.pread(self.descriptor, 8 + length, 0)
        if len(header) != 8 + length:  # the file has become shorter
            raise self._refusal("have headers no longer than their file", f"{length} bytes")
        return header

    def _parsed(self) -> tuple[dict[str, str] | None, dict[str, Tensor]]:
        text = self.header[8:]
        if not text.startswith(b"{"):
            raise self._refusal("have headers that begin with '{'", shown(text[:8]))
        entries = json_object(self._argument, text, f"the header of {os.path.basename(self.path)}")
        metadata = entries.pop("__metadata__", None)
        is_text = isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
        if metadata is not None and not is_text:
            raise self._refusal("have headers whose __metadata__ maps strings to strings", shown(metadata))
        tensors = {name: self._tensor(name, entry) for name, entry in entries.items()}
        tensors = dict(sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)))
        at = 0
        for name, tensor in tensors.items():
            if tensor.begin != at:
                got = f"{shown(name)} from {tensor.begin} on where {at} bytes were before"
                raise self._refusal("have tensors that follow each other without a gap or overlap", got)
            at = tensor.end
        if at != self.nbytes:
            got = f"{self.nbytes} for tensors of {at}"
            raise self._refusal("have as many bytes behind the header as its tensors take", got)
        return metadata, tensors

    def _tensor(self, name: str, entry: Any) -> Tensor:
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            rule = "have headers whose entries consist of dtype, shape and data_offsets"
            raise self._refusal(rule, f"{shown(entry)} for {shown(name)}")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in _BITS:
            raise self._refusal("have tensors of known types", f"{shown(dtype)} for {shown(name)}")
        if not _are_sizes(shape) or len(shape) > _MOST_AXES:
            rule = f"have tensors whose shapes are at most {_MOST_AXES} sizes from 0 on"
            raise self._refusal(rule, f"{shown(shape)} for {shown(name)}")
        if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
            raise self._refusal(
                "have tensors with a begin and an end of their bytes", f"{shown(offsets)} for {shown(name)}"
            )
        bits = math.prod(shape) * _BITS[dtype]
        if bits != 8 * (offsets[1] - offsets[0]):
            got = f"{offsets[1] - offsets[0]} bytes for {shown(name)} of shape {shown(tuple(shape))} and type {dtype}"
            raise self._refusal("have as many bytes for a tensor as its shape and type take", got)
        return Tensor(dtype, tuple(shape), offsets[0], offsets[1])


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)

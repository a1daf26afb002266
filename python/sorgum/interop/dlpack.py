"""What a DLPack capsule says, read without taking it over.

The layout of the structures is that of the DLPack specification, version 1.0 (https://dmlc.github.io/dlpack/latest/).
"""

import ctypes
from typing import Any, NamedTuple

__all__ = ["CPU", "CUDA", "CUDA_MANAGED", "Tensor", "read"]

CPU, CUDA, CUDA_MANAGED = 1, 2, 13  # DLDeviceType

_KINDS = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex", 6: "bool"}  # DLDataTypeCode
_READ_ONLY = 1  # DLPACK_FLAG_BITMASK_READ_ONLY


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.argtypes, _is_valid.restype = (ctypes.py_object, ctypes.c_char_p), ctypes.c_int
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.argtypes, _pointer.restype = (ctypes.py_object, ctypes.c_char_p), ctypes.c_void_p


class Tensor(NamedTuple):
    """An array as DLPack tells of it; valid as long as the capsule is."""

    address: int
    device: tuple[int, int]
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in bytes
    dtype: str  # "float32"; with the number of lanes behind an x where it is not 1
    read_only: bool


def contiguous_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return the strides, in bytes, of an array without gaps whose last axis runs fastest."""
    strides = []
    step = itemsize
    for length in reversed(shape):
        strides.append(step)
        step *= max(length, 1)
    return tuple(reversed(strides))


def read(capsule: Any) -> Tensor:
    """Read a capsule as `__dlpack__` returns it; it stays the producer's.

    Parameters
    ----------
    capsule : PyCapsule
        Named "dltensor" or "dltensor_versioned", of major version 1.

    Returns
    -------
    Tensor
        What it tells of.

    Raises
    ------
    TypeError
        If it is no such capsule, or one that was consumed.
    ValueError
        If it is of another major version.

    Examples
    --------
    >>> import numpy as np
    >>> from sorgum.interop import dlpack
    >>> dlpack.read(np.zeros((2, 3), np.float32).__dlpack__())[1:]
    ((1, 0), (2, 3), (12, 4), 'float32', False)
    """
    read_only = False
    if _is_valid(capsule, b"dltensor_versioned"):
        versioned = _Versioned.from_address(_pointer(capsule, b"dltensor_versioned"))
        if versioned.major != 1:
            raise ValueError(f"__dlpack__: the version must be 1, got {versioned.major}.{versioned.minor}")
        read_only = bool(versioned.flags & _READ_ONLY)
        tensor = versioned.tensor
    elif _is_valid(capsule, b"dltensor"):
        tensor = _Tensor.from_address(_pointer(capsule, b"dltensor"))
    else:
        raise TypeError(f"__dlpack__: the result must be an unused DLPack capsule, got {capsule!r}")
    kind = _KINDS.get(tensor.code, f"code{tensor.code}")
    dtype = "bool" if kind == "bool" else f"{kind}{tensor.bits}"
    if tensor.lanes != 1:
        dtype = f"{dtype}x{tensor.lanes}"
    itemsize = (tensor.bits * tensor.lanes + 7) // 8
    shape = tuple(tensor.shape[: tensor.ndim]) if tensor.ndim else ()
    if tensor.ndim and tensor.strides:
        strides = tuple(step * itemsize for step in tensor.strides[: tensor.ndim])
    else:
        strides = contiguous_strides(shape, itemsize)
    return Tensor(
        (tensor.data or 0) + tensor.byte_offset,
        (tensor.device_type, tensor.device_id),
        shape,
        strides,
        dtype,
        read_only,
    )

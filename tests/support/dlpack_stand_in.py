"""Plays another library: arrays that speak DLPack over memory of NumPy, in every way that a producer may."""

import ctypes
from typing import Any

import numpy as np

from sorgum.interop import dlpack


class Fields(ctypes.Structure):
    """DLTensor."""

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


class Managed(ctypes.Structure):
    """DLManagedTensor."""

    _fields_ = (("tensor", Fields), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


class Versioned(ctypes.Structure):
    """DLManagedTensorVersioned."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", Fields),
    )


_new = ctypes.pythonapi.PyCapsule_New
_new.argtypes, _new.restype = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p), ctypes.py_object
_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.argtypes, _is_valid.restype = (ctypes.c_void_p, ctypes.c_char_p), ctypes.c_int
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.argtypes, _pointer.restype = (ctypes.c_void_p, ctypes.c_char_p), ctypes.c_void_p

_NAMES = {False: b"dltensor", True: b"dltensor_versioned"}
_DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_live: dict[int, Any] = {}  # address of a structure: what it needs
deleted: list[int] = []  # addresses of structures whose deleter was called


@_DELETER
def _delete(address: int) -> None:
    deleted.append(address)
    del _live[address]


@_DELETER
def _destroy(capsule: int) -> None:  # of an object that is going: it must not be touched by Python
    for name in _NAMES.values():
        if _is_valid(capsule, name):
            _delete(_pointer(capsule, name))


def new_capsule(structure: ctypes.Structure, versioned: bool) -> Any:
    """Return a capsule of a structure that nobody deletes."""
    return _new(ctypes.addressof(structure), _NAMES[versioned], None)


class Foreign:
    """An array of a library of its own, which takes arrays back.

    `fields` changes what the capsule says; `versions` are those that the library can make: (), as before version 1.0
    and without a word of them, or the one that is told.
    """

    def __init__(
        self,
        array: np.ndarray,
        *,
        code: int | None = None,
        version: tuple[int, int] | None = (1, 0),
        read_only: bool = False,
        copied: bool = False,
        device: tuple[int, int] = (dlpack.CPU, 0),
        strides: bool = True,
        **fields: Any,
    ) -> None:
        self.array, self.version, self.device = array, version, device
        self.flags = int(read_only) + 2 * int(copied)
        self.code = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}.get(array.dtype.kind, 2) if code is None else code
        self.with_strides, self.fields = strides, fields
        self.asked = 0

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def _tensor(self) -> tuple[Fields, Any]:
        a, n = self.array, self.array.ndim
        shape = (ctypes.c_int64 * n)(*a.shape)
        strides = (ctypes.c_int64 * n)(*(s // a.itemsize for s in a.strides))
        tensor = Fields(a.ctypes.data, *self.device, n, self.code, 8 * a.itemsize, 1, shape, None, 0)
        if self.with_strides:
            tensor.strides = strides
        for name, value in self.fields.items():
            setattr(tensor, name, value)
        return tensor, (a, shape, strides)

    def structure(self) -> int:
        """Return the address of a structure that its consumer deletes."""
        deleter = ctypes.cast(_delete, ctypes.c_void_p)
        tensor, kept = self._tensor()
        structure: Any
        if self.version is None:
            structure = Managed(tensor, None, deleter)
        else:
            structure = Versioned(*self.version, None, deleter, self.flags, tensor)
        _live[ctypes.addressof(structure)] = structure, kept
        return ctypes.addressof(structure)

    def __dlpack__(self, **options: Any) -> Any:
        self.asked += 1
        if self.version is not None:
            assert options == {"max_version": (1, 0)}
        elif options:
            raise TypeError("__dlpack__() got an unexpected keyword argument")
        destroy = ctypes.cast(_destroy, ctypes.c_void_p)
        return _new(self.structure(), _NAMES[self.version is not None], destroy)

    def __array_namespace__(self) -> Any:
        return Namespace

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("copied")


class Namespace:
    """The library."""

    @staticmethod
    def from_dlpack(array: Any) -> Foreign:
        assert array.__dlpack_device__() == (dlpack.CPU, 0)
        capsule = array.__dlpack__(max_version=(1, 0))
        tensor = dlpack.read(capsule)
        view = dlpack.array_of(capsule)
        assert view is not None
        return Foreign(view, code=4 if tensor.dtype == "bfloat16" else None)


class ExchangeApi(ctypes.Structure):
    """DLPackExchangeAPI."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("previous", ctypes.c_void_p),
        ("allocate", ctypes.c_void_p),
        ("managed_of", ctypes.c_void_p),
        ("array_of", ctypes.c_void_p),
        ("borrow", ctypes.c_void_p),
        ("current_stream", ctypes.c_void_p),
    )


_ADDRESS = ctypes.POINTER(ctypes.c_void_p)
_SET_ERROR = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)
_TYPES = {(0, 64): "i8", (2, 16): "f2", (2, 32): "f4", (2, 64): "f8", (4, 16): "u2"}


class Tensor(Foreign):
    """An array of a library that offers DLPack's C functions, as PyTorch does.

    `negative` as its tensors may be; `fails` if it offers no structure; `interrupted` by Ctrl-C when it is asked.
    """

    requires_grad = False

    def __init__(
        self,
        array: np.ndarray,
        *,
        negative: bool = False,
        fails: bool = False,
        interrupted: bool = False,
        **fields: Any,
    ) -> None:
        super().__init__(array, **fields)
        self.negative, self.fails, self.interrupted = negative, fails, interrupted

    def is_neg(self) -> bool:
        if self.interrupted:
            raise KeyboardInterrupt
        return self.negative


class Allocator:
    """What the C functions of Tensor have done, and whether new tensors can be had and have memory."""

    made = seen = 0
    fails = without_memory = False


@ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.POINTER(Fields), _ADDRESS, ctypes.c_void_p, _SET_ERROR)
def _allocate(prototype: Any, out: Any, context: Any, set_error: Any) -> int:
    told = prototype[0]
    assert (told.device_type, told.device_id, told.lanes) == (dlpack.CPU, 0, 1)
    if Allocator.fails:
        set_error(context, b"MemoryError", b"no memory, says the library")
        return -1
    Allocator.made += 1
    array = np.empty([told.shape[i] for i in range(told.ndim)], _TYPES[told.code, told.bits])
    fields = {"data": None} if Allocator.without_memory else {}
    out[0] = Tensor(array, code=told.code, **fields).structure()
    return 0


@ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, _ADDRESS)
def _managed_of(tensor: Any, out: Any) -> int:
    Allocator.seen += 1
    if tensor.fails:
        return -1
    out[0] = tensor.structure()
    return 0


@ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, _ADDRESS)
def _array_of(address: Any, out: Any) -> int:
    _, (array, *_) = _live[address]
    result = Tensor(array, code=Versioned.from_address(address).tensor.code)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(result))
    out[0] = id(result)
    _delete(address)
    return 0


_FUNCTIONS = (ctypes.cast(f, ctypes.c_void_p) for f in (_allocate, _managed_of, _array_of))
_API = ExchangeApi(1, 3, None, *_FUNCTIONS, None, None)
_API_NAME = b"dlpack_exchange_api"  # a capsule does not keep it
Tensor.__dlpack_c_exchange_api__ = _new(ctypes.addressof(_API), _API_NAME, None)  # type: ignore[attr-defined]


def live() -> int:
    """Return how many capsules have not been let go of."""
    return len(_live)


def logits(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return ((np.arange(np.prod(shape)) * 7 % 23 - 9).reshape(shape) / 4).astype(dtype)


def as_bits(array: np.ndarray) -> np.ndarray:
    """Return what distinguishes arrays: bytes, so that NaN is NaN."""
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)

"""Arrays through DLPack: what a capsule says, its memory as a NumPy array, and NumPy arrays as capsules.

The layout of the structures is that of the DLPack specification, versions 1.x (https://dmlc.github.io/dlpack/latest/).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum.interop import bfloat16

__all__ = ["CPU", "CUDA", "CUDA_HOST", "CUDA_MANAGED", "ROCM_HOST", "Exported", "Tensor", "array_of", "capsule", "read"]

CPU, CUDA, CUDA_HOST, ROCM_HOST, CUDA_MANAGED = 1, 2, 3, 11, 13  # DLDeviceType

_KINDS = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex", 6: "bool"}  # DLDataTypeCode
_CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}  # of NumPy's kinds
_DTYPES = {
    dtype.name: dtype
    for dtype in map(np.dtype, ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"))
}


class Tensor(NamedTuple):
    """An array as DLPack tells of it; valid as long as the capsule is."""

    address: int
    device: tuple[int, int]
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in bytes
    dtype: str  # "float32"; with the number of lanes behind an x where it is not 1
    read_only: bool | None  # also a copy that the producer made; None: an unversioned capsule does not tell


def contiguous_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return the strides, in bytes, of an array without gaps whose last axis runs fastest."""
    strides = []
    step = itemsize
    for length in reversed(shape):
        strides.append(step)
        step *= max(length, 1)
    return tuple(reversed(strides))


def read(capsule: Any, owner: str | None = None) -> Tensor:
    """Read a capsule as `__dlpack__` returns it; it stays the producer's.

    Parameters
    ----------
    capsule : PyCapsule
        Named "dltensor" or "dltensor_versioned", of major version 1.
    owner : str, optional
        Whose capsule it is, for the messages of errors: "softmax: x", as a function names its argument.

    Returns
    -------
    Tensor
        What it tells of.

    Raises
    ------
    TypeError
        If it is no such capsule, or one that was consumed.
    ValueError
        If it is of another major version, or describes what no array can be.

    Examples
    --------
    >>> import numpy as np
    >>> from sorgum.interop import dlpack
    >>> dlpack.read(np.zeros((2, 3), np.float32).__dlpack__())[1:]
    ((1, 0), (2, 3), (12, 4), 'float32', None)
    """
    try:
        address, device, shape, strides, (code, bits, lanes), read_only = _core.dlpack_read(capsule)
    except (TypeError, ValueError) as error:
        if owner is None:
            raise
        raise type(error)(f"{owner}.{error}") from None  # "softmax: x.__dlpack__: ndim must be ..."
    kind = _KINDS.get(code, f"code{code}_")
    dtype = "bool" if kind == "bool" and bits == 8 else f"{kind}{bits}"
    return Tensor(address, device, shape, strides, dtype if lanes == 1 else f"{dtype}x{lanes}", read_only)


def array_of(capsule: Any, owner: str | None = None, *, writable: bool = False) -> npt.NDArray[Any] | None:
    """Return the memory that a capsule tells of as a NumPy array, without a copy.

    Parameters
    ----------
    capsule : PyCapsule
        As `read` takes it, of memory that the CPU reads. The array keeps it alive, and with it the producer's array.
    owner : str, optional
        As `read` takes it.
    writable : bool, default False
        Whether the array may be written where the capsule does not tell.

    Returns
    -------
    ndarray or None
        None if there is no such type in NumPy and in `sorgum.interop.bfloat16`.

    Raises
    ------
    TypeError, ValueError
        As `read`.

    Examples
    --------
    >>> import numpy as np
    >>> from sorgum.interop import dlpack
    >>> x = np.zeros(3)
    >>> dlpack.array_of(x.__dlpack__())[1:].ctypes.data == x.ctypes.data + 8
    True
    """
    tensor = read(capsule, owner)
    dtype = bfloat16.dtype() if tensor.dtype == "bfloat16" else _DTYPES.get(tensor.dtype)
    if dtype is None:
        return None
    writable = writable if tensor.read_only is None else not tensor.read_only
    return _core.array_at(tensor.address, tensor.shape, tensor.strides, dtype, writable, capsule)


def capsule(array: npt.NDArray[Any], *, versioned: bool) -> Any:
    """Return a capsule of an array, without a copy; whoever takes it keeps the array alive.

    Parameters
    ----------
    array : ndarray
        Of numbers, booleans or bfloat16.
    versioned : bool
        Name it "dltensor_versioned", which tells of read-only arrays; else "dltensor".

    Returns
    -------
    PyCapsule
        To be consumed once, or not at all.

    Raises
    ------
    ValueError
        If strides are no multiples of the size of an element.

    Examples
    --------
    >>> import numpy as np
    >>> from sorgum.interop import dlpack
    >>> dlpack.read(dlpack.capsule(np.zeros(3), versioned=True)).dtype
    'float64'
    """
    kind = array.dtype.kind
    code = 4 if kind == "V" else _CODES[kind]
    return _core.dlpack_capsule(array, code, 8 * array.dtype.itemsize, versioned)


class Exported:
    """A NumPy array, of bfloat16 too, that offers itself through DLPack.

    Parameters
    ----------
    array : ndarray
        As `capsule` takes it.

    Examples
    --------
    >>> import numpy as np
    >>> from sorgum.interop import dlpack
    >>> np.from_dlpack(dlpack.Exported(np.arange(3)))
    array([0, 1, 2])
    """

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self._array = array

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return the CPU."""
        return CPU, 0

    def __dlpack__(
        self,
        *,
        stream: object = None,
        max_version: tuple[int, int] | None = None,
        dl_device: object = None,
        copy: bool | None = None,
    ) -> Any:
        """Return a capsule, of a copy where that is asked for; see the specification of the array API."""
        if dl_device is not None and dl_device != self.__dlpack_device__():
            raise BufferError(f"__dlpack__: dl_device must be None or (1, 0), the CPU, got {dl_device!r}")
        array = self._array.copy(order="K") if copy else self._array
        return capsule(array, versioned=max_version is not None and max_version[0] >= 1)

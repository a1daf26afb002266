"""Arrays on CUDA devices, of any library that speaks `__cuda_array_interface__` or DLPack.

The functions that have a version for them (`_device.py` in a family) use this module, which reads such arrays and finds
the compiled module `_cuda`: it is imported then, and not before. Work runs on the stream that the array's library uses
at that moment, and nobody waits for it, but where `categorical` is to raise an error; results are allocated by that
library. No other library is imported here: a caller who has one of its arrays has imported it.
"""

import functools
import importlib
import sys
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from sorgum.interop import dlpack

__all__ = ["is_cuda_array", "status"]

_LEGACY_STREAM = 1  # CUDA's name for the stream of those that name none; 0 is not unique (DLPack, array interface)


class _DeviceArray(NamedTuple):
    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in bytes
    writable: bool
    dtype: str
    device: int  # -1: not known, since there is no element
    stream: int | None  # what the array itself names
    owner: Any  # keeps what was read alive

    def view(self) -> tuple[int, tuple[int, ...], tuple[int, ...], bool]:
        """Return what the compiled module takes."""
        return self[:4]


def is_cuda_array(x: object) -> bool:
    """Return whether `x` is an array of another library on a CUDA device.

    Parameters
    ----------
    x : object
        Anything.

    Returns
    -------
    bool
        Whether it has `__cuda_array_interface__`, or `__dlpack_device__` names a CUDA device.

    Examples
    --------
    >>> import numpy as np
    >>> from sorgum.interop import cuda
    >>> cuda.is_cuda_array(np.zeros(3)), cuda.is_cuda_array([1.0])
    (False, False)
    """
    # Asked of the type first: a class that has the attribute is no array.
    if hasattr(type(x), "__cuda_array_interface__") and hasattr(x, "__cuda_array_interface__"):
        return True
    return hasattr(type(x), "__dlpack_device__") and _dlpack_device(x)[0] in (dlpack.CUDA, dlpack.CUDA_MANAGED)


def status() -> dict[str, Any]:
    """Tell whether CUDA devices can be used here, and if not, why.

    Returns
    -------
    dict
        built (whether `_cuda` can be imported), devices (their number), reason (a text, or None where there are any
        devices) and build (how it was compiled, or None). The first call starts CUDA where it is built: a process that
        forks later cannot use CUDA in its children.

    Examples
    --------
    >>> from sorgum.interop import cuda
    >>> (cuda.status()["devices"] > 0) == (cuda.status()["reason"] is None)
    True
    """
    module, reason = _module()
    if module is None:
        return {"built": False, "devices": 0, "reason": reason, "build": None}
    devices, why = module.device_count()
    return {
        "built": True,
        "devices": devices,
        "reason": None if devices else f"no GPU: {why}",
        "build": module.build_info(),
    }


@functools.cache
def _module() -> tuple[ModuleType | None, str]:
    """Return the compiled module, or None and the reason."""
    try:
        return importlib.import_module("sorgum._cuda"), ""
    except ModuleNotFoundError:
        return None, "not built: SORGUM_CUDA=1 pip install . in the sources builds it"
    except ImportError as error:
        return None, f"cannot be loaded: {error}"


def _compiled(function: str, argument: str) -> ModuleType:
    module, reason = _module()
    if module is not None:
        devices, why = module.device_count()
        if devices:
            return module
        reason = f"no GPU: {why}"
    raise RuntimeError(f"{function}: {argument} must be on the CPU here, got an array on a CUDA device ({reason})")


def _dlpack_device(x: Any) -> tuple[int, int]:
    kind, index = x.__dlpack_device__()
    return int(kind), int(index)


def library_of(x: object) -> str:
    return type(x).__module__.partition(".")[0]


def _read(function: str, argument: str, x: Any, stream: int, module: ModuleType) -> _DeviceArray:
    """Read what an array tells of itself. DLPack's producer sees to it that `stream` waits for the array's content."""
    told = getattr(x, "__cuda_array_interface__", None)
    if told is not None:
        if told.get("mask") is not None:
            raise TypeError(f"{function}: {argument} must be a plain array (masks go to `where`), got a masked array")
        dtype = np.dtype(told["typestr"])
        name = "bfloat16" if told["typestr"] == "<V2" else dtype.name if dtype.isnative else dtype.str  # as ml_dtypes
        shape = tuple(int(n) for n in told["shape"])
        strides = told.get("strides")
        address, read_only = told["data"]
        device = -1
        if 0 not in shape:
            device = _dlpack_device(x)[1] if hasattr(type(x), "__dlpack_device__") else module.device_of(address)
            if device < 0:
                raise ValueError(f"{function}: {argument} must be memory of a CUDA device, got address {address:#x}")
        return _DeviceArray(
            address or 0,
            shape,
            dlpack.contiguous_strides(shape, dtype.itemsize) if strides is None else tuple(int(s) for s in strides),
            not read_only,
            name,
            device,
            told.get("stream"),
            x,
        )
    capsule = x.__dlpack__(stream=stream)
    tensor = dlpack.read(capsule, f"{function}: {argument}")
    writable = not tensor.read_only
    device = _dlpack_device(x)[1]
    return _DeviceArray(tensor.address, tensor.shape, tensor.strides, writable, tensor.dtype, device, None, capsule)


def _stream(x: Any) -> int:
    """Return the stream that the library of `x` uses now: an array of another library may name its own."""
    library = library_of(x)
    handle = 0
    if library == "torch":
        handle = sys.modules["torch"].cuda.current_stream(x.device).cuda_stream
    elif library == "cupy":
        handle = sys.modules["cupy"].cuda.get_current_stream().ptr
    elif hasattr(type(x), "__cuda_array_interface__"):
        handle = x.__cuda_array_interface__.get("stream") or 0
    return int(handle) or _LEGACY_STREAM


def new_array(x: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """Return a new array of the library of `x`, on its device; None for a library that is not known here."""
    library = library_of(x)
    if library == "torch":
        torch = sys.modules["torch"]
        return torch.empty(shape, dtype=getattr(torch, dtype), device=x.device)
    if library == "cupy":
        cupy = sys.modules["cupy"]
        with x.device:
            return cupy.empty(shape, getattr(cupy, dtype))
    if library == "numba":
        return sys.modules["numba"].cuda.device_array(shape, np.dtype(dtype))
    return None


def refuse_given(function: str, **arguments: Any) -> None:
    """Refuse options that there are for the CPU alone."""
    for name, value in arguments.items():
        if value is not None and value is not False:
            got = value if isinstance(value, bool | int | float | str) else type(value).__name__
            raise ValueError(f"{function}: {name} must not be given on a CUDA device, got {got}")


class Call:
    """A call on a device: the array that decides where (`x`, or what it is called), the stream, the compiled module."""

    def __init__(self, function: str, x: Any, argument: str = "x", dtypes: tuple[str, ...] = ("float32",)) -> None:
        self.function, self.argument = function, argument
        self.given = x
        self.module = _compiled(function, argument)
        self.stream = _stream(x)
        self.x = _read(function, argument, x, self.stream, self.module)
        if self.x.dtype not in dtypes:
            names = " or ".join(name for name in (", ".join(dtypes[:-1]), dtypes[-1]) if name)
            raise TypeError(f"{function}: {argument} must have dtype {names} on a CUDA device, got {self.x.dtype}")

    def operand(self, argument: str, value: Any, dtype: str) -> _DeviceArray:
        """Return an array that goes with `x`, read and found on the same device."""
        function, as_x = self.function, f"as {self.argument} is"
        if not is_cuda_array(value):
            raise TypeError(
                f"{function}: {argument} must be an array on a CUDA device, {as_x}, got {type(value).__name__}"
            )
        array = _read(function, argument, value, self.stream, self.module)
        if array.dtype != dtype:
            raise TypeError(f"{function}: {argument} must have dtype {dtype}, got {array.dtype}")
        if -1 not in (self.x.device, array.device) and array.device != self.x.device:
            raise ValueError(
                f"{function}: {argument} must be on CUDA device {self.x.device}, {as_x}, got device {array.device}"
            )
        return array

    def out(self, out: Any, shape: tuple[int, ...]) -> tuple[Any, _DeviceArray]:
        """Return where to write, as the caller sees it and as it was read."""
        result = new_array(self.given, shape, "float32") if out is None else out
        if result is None:
            raise TypeError(
                f"{self.function}: out must be given for x of {library_of(self.given)}, whose arrays are not allocated "
                "here, got None"
            )
        return result, self.operand("out", result, "float32")

    def where(self, where: Any) -> _DeviceArray | None:
        """Return the mask."""
        return None if where is None else self.operand("where", where, "bool")

    def temperature(self, temperature: np.ndarray[Any, np.dtype[Any]]) -> float:
        """Return it, a number."""
        if temperature.ndim != 0:
            raise ValueError(
                f"{self.function}: temperature must be a number on a CUDA device, got shape {temperature.shape}"
            )
        return float(temperature)

    @property
    def place(self) -> tuple[int, int]:
        """Return device and stream."""
        return max(self.x.device, 0), self.stream

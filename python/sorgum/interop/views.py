"""An array of another library as one of NumPy, where it lies."""

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from sorgum.interop import dlpack, torch
from sorgum.interop.arrays import kind_of

__all__ = ["view_of"]

_ON_CPU = {dlpack.CPU, dlpack.CUDA_HOST, dlpack.ROCM_HOST}
_ON_CUDA = {dlpack.CUDA, dlpack.CUDA_MANAGED}


def view_of(owner: str, value: Any) -> npt.NDArray[Any] | None:
    """Return an array of another library as one of NumPy over the same memory.

    Parameters
    ----------
    owner : str
        Function and argument: "softmax: x".
    value : array
        Of a type that has `__dlpack__`.

    Returns
    -------
    ndarray or None
        None for an array on a CUDA device.

    Raises
    ------
    TypeError, ValueError
        As `sorgum.interop.libraries.translate`.

    Examples
    --------
    >>> import numpy as np
    >>> from sorgum.interop import dlpack, views
    >>> views.view_of("softmax: x", dlpack.Exported(np.arange(3.0)))
    array([0., 1., 2.])
    """
    is_tensor = torch.is_tensor(value)
    if is_tensor:
        torch.refuse_without_numbers(owner, value)
    if not (is_tensor and value.is_cpu) and not _is_on_cpu(owner, value):  # the first is known in a tenth of the time
        return None
    capsule = _asked(owner, value, _capsule_of)
    view = dlpack.array_of(capsule, owner, writable=is_tensor)  # JAX's, which is constant, does not tell either
    if view is None:
        raise TypeError(f"{owner} must have a type of NumPy or bfloat16, got {dlpack.read(capsule).dtype}")
    return view


def _capsule_of(value: Any) -> Any:
    try:
        return value.__dlpack__(max_version=(1, 0))
    except TypeError:  # a producer of unversioned capsules; or its own error, which it raises again
        return value.__dlpack__()


def _asked(owner: str, value: Any, question: Callable[[Any], Any]) -> Any:
    """Return what an array of another library answers, which may refuse for reasons of its own."""
    try:
        return question(value)
    except MemoryError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0]
        rule = "must be an array that DLPack can hand over"
        raise TypeError(f"{owner} {rule}, got {kind_of(value)}: {reason}") from error


def _is_on_cpu(owner: str, value: Any) -> bool:
    """Return whether an array is on the CPU; else it is on a CUDA device."""
    if not hasattr(type(value), "__dlpack_device__"):  # JAX's, within a transformation such as jax.jit
        raise TypeError(
            f"{owner} must have __dlpack_device__, as arrays that are traced have not, got {type(value).__name__}"
        )
    device = int(_asked(owner, value, lambda array: array.__dlpack_device__())[0])
    if device in _ON_CPU or device in _ON_CUDA:
        return device in _ON_CPU
    raise TypeError(f"{owner} must be on the CPU or a CUDA device, got an array on device {device} of DLPack")

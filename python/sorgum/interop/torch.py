"""Tensors of PyTorch: which of them are arrays, and what PyTorch is to be told."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["count_change", "is_tensor", "refuse_without_numbers"]


def is_tensor(value: object) -> bool:
    """Return whether a value is a tensor of PyTorch, which is not imported for it.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
        Whether it is one.

    Examples
    --------
    >>> from sorgum.interop import torch
    >>> torch.is_tensor([1.0])
    False
    """
    return isinstance(value, getattr(sys.modules.get("torch"), "Tensor", ()))  # it may be half imported


def count_change(tensor: Any) -> None:
    """Tell PyTorch that a tensor was written, as its own functions do.

    Else it would take what it kept for a gradient for what it was.

    Parameters
    ----------
    tensor : Tensor
        On any device.

    Examples
    --------
    >>> from sorgum.interop import torch as door
    >>> try:
    ...     import torch
    ...
    ...     x = torch.zeros(3)
    ...     door.count_change(x)
    ...     changes = x._version
    ... except ImportError:
    ...     changes = 1
    >>> changes
    1
    """
    sys.modules["torch"].autograd.graph.increment_version(tensor)


def refuse_without_numbers(owner: str, tensor: Any) -> None:
    """Refuse a tensor that is more, or less, than an array: what its capsule would not tell, or is not to be had for.

    Parameters
    ----------
    owner : str
        Function and argument: "softmax: x".
    tensor : Tensor
        On any device.

    Raises
    ------
    TypeError
        If it requires gradients, has a tangent, is sparse, is traced or has no memory.
    ValueError
        If it holds the negatives of its numbers.

    Examples
    --------
    >>> from sorgum.interop import torch as door
    >>> try:
    ...     import torch
    ...
    ...     door.refuse_without_numbers("softmax: x", torch.zeros(3))
    ... except ImportError:
    ...     pass
    """
    torch = sys.modules["torch"]
    if tensor.requires_grad:
        raise TypeError(f"{owner} must not require gradients (see detach), got a tensor that does")
    if tensor.layout is not torch.strided:
        raise TypeError(f"{owner} must be dense (see to_dense), got a tensor of layout {tensor.layout}")
    if torch._C._is_tracing() or torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.PROXY) is not None:
        rule = "must not be traced (torch.jit.trace, make_fx), since the result would be a constant of the graph"
        raise TypeError(f"{owner} {rule}, got a tensor that is")
    forward = torch.autograd.forward_ad
    if forward._current_level >= 0 and forward.unpack_dual(tensor).tangent is not None:
        raise TypeError(f"{owner} must have no tangent, which would be dropped, got a dual tensor")
    if not _has_memory(torch, tensor):
        kind = tensor.device if tensor.is_meta else type(tensor).__name__
        rule = "must have memory of its own, as tensors within torch.func's transforms and others have not"
        raise TypeError(f"{owner} {rule}, got a tensor without ({kind})")
    if tensor.is_neg():
        raise ValueError(f"{owner} must hold its own numbers, got their negatives (see resolve_neg)")


def _has_memory(torch: Any, tensor: Any) -> bool:
    fake = sys.modules.get("torch._subclasses.fake_tensor")
    if tensor.is_meta or (fake is not None and isinstance(tensor, fake.FakeTensor)):
        return False
    try:
        return bool(tensor.data_ptr() != 0 or tensor.numel() == 0)
    except Exception:  # PyTorch's word for no
        return False

"""Adapters merged into a checkpoint, tensor by tensor, into a new checkpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sorgum._arguments.scalars import flag_of
from sorgum.interop.arrays import shown
from sorgum.lowrank._combine import weights_of
from sorgum.lowrank.peft._adapter import Adapter, checked, read_adapter_of
from sorgum.lowrank.peft._checkpoint import Checkpoint
from sorgum.lowrank.peft._new_directory import NewDirectory
from sorgum.lowrank.peft._parts import parts_of
from sorgum.lowrank.peft._plan import Plan, plan_of
from sorgum.lowrank.peft._refusals import Argument
from sorgum.lowrank.peft._safetensors import dtype_name, dtype_of, header_bytes, laid_out

__all__ = ["Merged", "merge_checkpoint"]

_NAME = "merge_checkpoint"


class Merged(NamedTuple):
    """What `merge_checkpoint` did, by the names of tensors and files.

    Attributes
    ----------
    merged : list of str
        Tensors to which something was added.
    replaced : list of str
        Tensors in whose place an adapter's stand.
    unmatched : list of str
        Modules and tensors of adapters that have no place in the checkpoint; empty if `strict`.
    left_out : list of str
        Files of the base that are not in the result: weights in other files, what is hidden.
    """

    merged: list[str]
    replaced: list[str]
    unmatched: list[str]
    left_out: list[str]


def merge_checkpoint(
    base: str | os.PathLike[str],
    adapters: Any,
    out: str | os.PathLike[str],
    *,
    weights: Sequence[float] | None = None,
    dtype: npt.DTypeLike | None = None,
    strict: bool = True,
    progress: bool = False,
) -> Merged:
    """Merge LoRA adapters into a checkpoint of safetensors, tensor by tensor, into a new checkpoint.

    Parameters
    ----------
    base : path
        A directory with `model.safetensors`, or `model.safetensors.index.json` and its shards. It is not changed.
    adapters : path, Adapter, or a sequence of them
        Directories that PEFT wrote; see `read_adapter`.
    out : path
        Where nothing is yet, outside of `base`. It appears whole, or not at all where there is an error or the process
        is killed.
    weights : sequence of float, optional
        What each adapter is multiplied by; 1 by default.
    dtype : {"float16", "bfloat16", "float32", "float64"}, optional
        The type of the tensors that are merged or replaced; by default each keeps that of the base.
    strict : bool
        Whether an adapter's tensor that has no place in the checkpoint is refused; else it is left out.
    progress : bool
        Whether to show a progress bar, by tqdm if it is installed.

    Returns
    -------
    Merged
        What was done.

    Raises
    ------
    ValueError
        If a file is malformed, the base is quantised, an adapter sets an option that a merge cannot honour
        (docs/adapters.md lists all), tensors do not fit, a number is not finite or exceeds the range of its type, or
        something is at `out`. Nothing is at `out` then, nor beside it.
    TypeError
        If an argument has another type.
    OSError
        If the system cannot read or write.

    Notes
    -----
    A weight becomes W + sum_i weight_i scale_i B_i A_i, with the factors of all adapters beside each other, and is
    rounded once, as `sorgum.lowrank.merge` does (docs/numerics/lowrank.md has the bound and the order of summation). A
    bias becomes b + sum_i weight_i scale_i b_i, summed in float64 and rounded once. Tier: bitwise.

    Headers keep their metadata, and all tensors that no adapter changes their bytes. Other files of the directory are
    copied, but for weights in other files and hidden ones. Weights are mapped and written in blocks of rows, so that
    the memory taken does not grow with the checkpoint.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from safetensors.numpy import load_file, save_file
    >>> from sorgum.lowrank import peft
    >>> factors = peft.LowRank(A=np.float32([[1.0, 2.0]]), B=np.float32([[1.0], [0.0], [-1.0]]), scale=0.5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     base, adapter, out = (os.path.join(folder, name) for name in ("base", "adapter", "out"))
    ...     os.mkdir(base)
    ...     save_file({"q.weight": np.ones((3, 2), np.float32)}, os.path.join(base, "model.safetensors"))
    ...     peft.write_adapter(adapter, peft.Adapter({"q": factors}))
    ...     peft.merge_checkpoint(base, adapter, out).merged
    ...     load_file(os.path.join(out, "model.safetensors"))["q.weight"]
    ['q.weight']
    array([[1.5, 2. ],
           [1. , 1. ],
           [0.5, 0. ]], dtype=float32)
    """
    named = _adapters_of(adapters, weights)
    wanted = None if dtype is None else _dtype_of(dtype)
    strict, progress = flag_of(_NAME, "strict", strict), flag_of(_NAME, "progress", progress)
    place = Argument(_NAME, "out")
    path = place.path(out)
    with Checkpoint(Argument(_NAME, "base"), base) as checkpoint:
        inside = os.path.realpath(checkpoint.directory)
        if os.path.commonpath([inside, os.path.realpath(path)]) == inside:
            raise place.refusal("lie outside of base", repr(path))
        plan = plan_of(checkpoint, named, strict)
        carried, left = checkpoint.other_files()
        total = sum(shard.nbytes for shard in checkpoint.shards.values())
        with NewDirectory(place, path) as new, _bar(total, progress) as advance:
            sizes = [_write_shard(new, name, checkpoint, plan, wanted, advance) for name in checkpoint.shards]
            _write_index(new, checkpoint, sum(sizes))
            for name in carried:
                _copy(new, checkpoint.directory, name)
    changes = plan.changes.items()
    return Merged(
        sorted(name for name, change in changes if change.terms or change.biases),
        sorted(name for name, change in changes if change.replaced is not None),
        plan.unmatched,
        left,
    )


def _adapters_of(adapters: Any, weights: Any) -> list[tuple[Argument, Adapter, float]]:
    several = isinstance(adapters, list | tuple)
    items = list(adapters) if several else [adapters]
    if not items:
        raise ValueError(f"{_NAME}: adapters must be one at least, got none")
    numbers = [1.0] * len(items) if weights is None else weights_of(_NAME, weights, len(items))
    named = []
    for i, (item, number) in enumerate(zip(items, numbers, strict=True)):
        argument = Argument(_NAME, f"adapters[{i}]" if several else "adapters")
        adapter = checked(argument, item) if isinstance(item, Adapter) else read_adapter_of(argument, item)
        named.append((argument, adapter, number))
    return named


def _dtype_of(dtype: Any) -> str:
    """Return the format's name of a type."""
    try:
        found = "BF16" if dtype == "bfloat16" else dtype_name(np.dtype(dtype))
    except (TypeError, ValueError):
        found = None
    if found is None:
        known = "'float16', 'bfloat16', 'float32' or 'float64'"
        raise TypeError(f"{_NAME}: dtype must be {known}, got {shown(dtype)}")
    return found


def _write_shard(
    new: NewDirectory,
    name: str,
    checkpoint: Checkpoint,
    plan: Plan,
    dtype: str | None,
    advance: Callable[[int], object],
) -> int:
    """Write one file of the checkpoint; return how many bytes its tensors take."""
    shard = checkpoint.shards[name]
    types = {key: dtype if dtype and key in plan.changes else tensor.dtype for key, tensor in shard.tensors.items()}
    same = all(types[key] == tensor.dtype for key, tensor in shard.tensors.items())
    tensors = shard.tensors if same else laid_out({key: (types[key], shard.tensors[key].shape) for key in types})
    with new.file(name) as file:
        file.write(shard.header if same else header_bytes(tensors, shard.metadata))
        for key, tensor in shard.tensors.items():
            if key not in plan.changes:
                file.copy(shard.descriptor, shard.position(tensor), tensor.end - tensor.begin)
                advance(tensor.end - tensor.begin)
                continue
            old = shard.array(key)
            for part in parts_of(Argument(_NAME, "base"), key, plan.changes[key], old, dtype_of(types[key])):
                file.write(part)
                advance(part.size * old.itemsize)
    return max((tensor.end for tensor in tensors.values()), default=0)


def _write_index(new: NewDirectory, checkpoint: Checkpoint, nbytes: int) -> None:
    if checkpoint.index_name is None:
        return
    text, metadata = checkpoint.index_text, checkpoint.index.get("metadata")
    if isinstance(metadata, dict) and metadata.get("total_size", nbytes) != nbytes:
        index = checkpoint.index | {"metadata": metadata | {"total_size": nbytes}}
        text = (json.dumps(index, indent=2) + "\n").encode()
    with new.file(checkpoint.index_name) as file:
        file.write(text)


def _copy(new: NewDirectory, directory: str, name: str) -> None:
    source = os.open(os.path.join(directory, name), os.O_RDONLY | os.O_CLOEXEC)
    try:
        with new.file(name) as file:
            file.copy(source, 0, os.fstat(source).st_size)
    finally:
        os.close(source)


@contextmanager
def _bar(total: int, progress: bool) -> Iterator[Callable[[int], object]]:
    """Show a bar of so many bytes; yield what moves it on."""
    try:
        if not progress:
            raise ImportError
        from tqdm import tqdm
    except ImportError:
        yield lambda nbytes: None
        return
    with tqdm(total=total, desc="merge", unit="B", unit_scale=True) as bar:
        yield bar.update

"""A checkpoint merged on disk, beside a copy of its file and the same merges in memory."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sorgum import lowrank
from sorgum.bench.case import OwnCase, Slot
from sorgum.interop import bfloat16
from sorgum.lowrank.peft._safetensors import header_bytes, laid_out

__all__ = ["CheckpointCase", "cases"]

Array = NDArray[Any]
RANK = 16
COPIED_AND_MERGED = "copied_and_merged"  # the file is copied, and the weights are merged in memory


@dataclass(frozen=True)
class CheckpointCase(OwnCase):
    """An adapter of rank 16 merged into each weight of a checkpoint; `shape` is that of all, one above the other.

    Parameters
    ----------
    weights : int
    """

    dtype: str = "bfloat16"
    weights: int = 6
    algorithms: tuple[str, ...] = (COPIED_AND_MERGED,)
    difference = 0.0

    def make_slot(self) -> Slot:
        """Return memory of the checkpoint's size: what it holds lies on the disk."""
        x, out = np.zeros((2, self.size * np.dtype(self.dtype).itemsize // 4), np.float32)
        return Slot(x, out, np.zeros(1, np.float32))

    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return a call that writes a checkpoint, removes it, and returns the sum of its sizes."""
        made = _made((self.weights, self.shape[0] // self.weights, self.shape[1]))
        out = made.folder / "out"

        def merged() -> list[int]:
            lowrank.peft.merge_checkpoint(made.base, made.adapter, out)
            return _removed(out)

        def copied_and_merged() -> list[int]:
            shutil.copytree(made.base, out)
            for weight, module in zip(made.weights, made.adapter.modules.values(), strict=True):
                lowrank.merge(weight, module.A, module.B, scale=module.scale, out=made.scratch)
            return _removed(out)

        return copied_and_merged if name == COPIED_AND_MERGED else merged


class _Made(NamedTuple):
    folder: Path
    base: Path
    weights: Array
    adapter: lowrank.peft.Adapter
    scratch: Array
    owner: object  # removes the folder in the end


def _removed(out: Path) -> list[int]:
    size = (out / "model.safetensors").stat().st_size
    shutil.rmtree(out)
    return [size]


@lru_cache(1)
def _made(shape: tuple[int, ...]) -> _Made:
    rng = np.random.default_rng(20210617)
    count, outputs, inputs = shape
    owner = tempfile.TemporaryDirectory(prefix="sorgum-bench-")
    folder = Path(owner.name)
    base = folder / "base"
    base.mkdir()
    weights = rng.normal(0, 0.02, shape).astype(np.float32).astype(bfloat16.dtype())
    names = [f"layers.{i}" for i in range(count)]
    header = header_bytes(laid_out({f"{name}.weight": ("BF16", (outputs, inputs)) for name in names}), {"format": "pt"})
    (base / "model.safetensors").write_bytes(header + weights.tobytes())
    a, b = (rng.normal(0, 0.02, size).astype(np.float32) for size in ((RANK, inputs), (outputs, RANK)))
    adapter = lowrank.peft.Adapter({name: lowrank.peft.LowRank(a, b, 2.0) for name in names})
    return _Made(folder, base, weights, adapter, np.empty_like(weights[0]), owner)


def cases(level: str) -> Iterator[CheckpointCase]:
    """Return a small checkpoint, or one of 200 MB.

    Parameters
    ----------
    level : {"quick", "default", "full"}

    Returns
    -------
    iterator of CheckpointCase
    """
    yield CheckpointCase("merge_checkpoint", (3072, 512) if level == "quick" else (24576, 4096))

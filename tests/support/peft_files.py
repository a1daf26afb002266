"""Checkpoints and adapters on disk, written byte by byte, of small integers, whose sums are exact in any order."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sorgum.interop import bfloat16
from sorgum.lowrank.peft._refusals import Argument
from sorgum.lowrank.peft._safetensors import HALF_AND_FULL, SafetensorsFile

Arrays = dict[str, np.ndarray]

_NAMES = {"float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64", "uint8": "U8", "int64": "I64"}


def header(entries: Mapping[str, Any]) -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


def safetensors(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> bytes:
    entries: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata is not None else {}
    data = b""
    for name, array in tensors.items():
        offsets = [len(data), len(data) + array.nbytes]
        dtype = _NAMES[bfloat16.name(array.dtype)]
        entries[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": offsets}
        data += array.tobytes()
    return header(entries) + data


def write_base(folder: Path, *shards: Mapping[str, np.ndarray], config: Mapping[str, Any] | None = None) -> Path:
    """Write a checkpoint of one file, or of several under an index."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "tiny"} if config is None else config))
    (folder / "tokenizer.json").write_text("{}")
    if len(shards) == 1:
        (folder / "model.safetensors").write_bytes(safetensors(shards[0], {"format": "pt"}))
        return folder
    weight_map = {}
    for i, shard in enumerate(shards, 1):
        name = f"model-{i:05}-of-{len(shards):05}.safetensors"
        (folder / name).write_bytes(safetensors(shard, {"format": "pt"}))
        weight_map |= dict.fromkeys(shard, name)
    size = sum(array.nbytes for shard in shards for array in shard.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def write_adapter(folder: Path, tensors: Mapping[str, np.ndarray], **options: Any) -> Path:
    """Write an adapter: `tensors` by their names behind PEFT's prefix."""
    folder.mkdir(parents=True)
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8} | options
    (folder / "adapter_config.json").write_text(json.dumps(config))
    prefixed = {f"base_model.model.{name}": array for name, array in tensors.items()}
    (folder / "adapter_model.safetensors").write_bytes(safetensors(prefixed, {"format": "pt"}))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a directory."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def whole(rng: np.random.Generator, *shape: int, dtype: Any = np.float32) -> np.ndarray:
    """Return integers from -4 to 4: sums of products of a few of them are exact in every type."""
    values = rng.integers(-4, 5, shape).astype(np.float32)
    return bfloat16.rounded(values, bfloat16.dtype()) if dtype == "bfloat16" else values.astype(dtype)


def numbers(array: np.ndarray) -> np.ndarray:
    return bfloat16.widened(array).astype(np.float64)


def tensors(folder: Path) -> Arrays:
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with SafetensorsFile(Argument("test", "file"), str(path)) as file:
            found |= {name: file.array(name) for name in file.tensors if file.tensors[name].dtype in HALF_AND_FULL}
    return found


def factors(rng: np.random.Generator, module: str, rank: int = 4, rows: int = 6, columns: int = 5) -> Arrays:
    return {
        f"{module}.lora_A.weight": whole(rng, rank, columns),
        f"{module}.lora_B.weight": whole(rng, rows, rank),
    }


def product(adapter: Arrays, module: str) -> np.ndarray:
    return numbers(adapter[f"{module}.lora_B.weight"]) @ numbers(adapter[f"{module}.lora_A.weight"])


def three_shards(
    tmp_path: Path, rng: np.random.Generator, dtype: Any = "bfloat16"
) -> tuple[Path, Path, Arrays, Arrays]:
    """Return a checkpoint of three shards, the last without a target, an adapter, and the tensors of both."""
    shards = [
        {"a.q.weight": whole(rng, 6, 5, dtype=dtype), "a.norm": whole(rng, 7, dtype=dtype), "ids": np.arange(3)},
        {
            "b.norm": whole(rng, 3),
            "b.q.weight": whole(rng, 6, 5, dtype=dtype),
            "none": whole(rng, 0, 4),
            "bytes": np.uint8([7]),
        },
        {"c.norm": whole(rng, 11, dtype=dtype)},
    ]
    adapter = factors(rng, "a.q") | factors(rng, "b.q")
    base = write_base(tmp_path / "base", *shards)
    return base, write_adapter(tmp_path / "adapter", adapter), {k: v for s in shards for k, v in s.items()}, adapter

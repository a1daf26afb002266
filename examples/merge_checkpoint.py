"""A LoRA adapter merged into a sharded bfloat16 checkpoint, from directory to directory, and the result verified.

Both are made up here; the commands for yours: `python -m sorgum merge BASE ADAPTER -o OUT`.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from sorgum.lowrank import peft

try:
    import ml_dtypes  # first: without it safetensors' NumPy side refuses bfloat16
    from safetensors.numpy import load_file, save_file
except ImportError as error:
    sys.stderr.write(f'{error.name} not installed: in the sources, pip install ".[peft]"\n')
    sys.exit(77)

WIDTH, TOKENS, RANK, ALPHA = 256, 1000, 8, 16
TARGETS = ("q_proj", "v_proj")
rng = np.random.default_rng(20180617)


def weight(*shape: int) -> np.ndarray:
    """Return numbers as large as those of trained weights."""
    return (0.02 * rng.standard_normal(shape)).astype(ml_dtypes.bfloat16)


def write_base(folder: Path) -> None:
    """Write a checkpoint of two shards as transformers does."""
    folder.mkdir()
    layers = {
        f"model.layers.{i}.self_attn.{name}.weight": weight(WIDTH, WIDTH)
        for i in range(4)
        for name in ("q_proj", "k_proj", "v_proj", "o_proj")
    }
    names = list(layers)
    shards = {
        "model-00001-of-00002.safetensors": {
            "model.embed_tokens.weight": weight(TOKENS, WIDTH),
            **{name: layers[name] for name in names[:8]},
        },
        "model-00002-of-00002.safetensors": {
            **{name: layers[name] for name in names[8:]},
            "model.norm.weight": np.ones(WIDTH, ml_dtypes.bfloat16),
        },
    }
    for file, tensors in shards.items():
        save_file(tensors, folder / file, {"format": "pt"})
    size = sum(array.nbytes for tensors in shards.values() for array in tensors.values())
    where = {name: file for file, tensors in shards.items() for name in tensors}
    index = {"metadata": {"total_size": size}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "torch_dtype": "bfloat16"}))
    (folder / "tokenizer.json").write_text("{}")


def write_adapter(folder: Path) -> None:
    """Write an adapter as PEFT does."""
    folder.mkdir()
    tensors = {}
    for i in range(4):
        for name in TARGETS:
            module = f"base_model.model.model.layers.{i}.self_attn.{name}"
            tensors[f"{module}.lora_A.weight"] = 0.1 * rng.standard_normal((RANK, WIDTH)).astype(np.float32)
            tensors[f"{module}.lora_B.weight"] = 0.01 * rng.standard_normal((WIDTH, RANK)).astype(np.float32)
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    options = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": TARGETS, "lora_dropout": 0.05}
    (folder / "adapter_config.json").write_text(json.dumps(options))


def read(folder: Path) -> dict[str, np.ndarray]:
    """Return all tensors of a checkpoint, by the format's own library."""
    return {name: array for path in folder.glob("*.safetensors") for name, array in load_file(path).items()}


with tempfile.TemporaryDirectory() as place:
    base, adapter, out = (Path(place, name) for name in ("base", "adapter", "merged"))
    write_base(base)
    write_adapter(adapter)
    done = peft.merge_checkpoint(base, adapter, out, progress=sys.stderr.isatty())
    before, after = read(base), read(out)
    print(f"{len(after)} tensors in two shards; {len(done.merged)} of them merged")

    kept = [name for name in before if name not in done.merged]
    assert all(before[name].tobytes() == after[name].tobytes() for name in kept)
    print(
        f"{len(kept)} have the bytes that they had; with them: {', '.join(sorted(p.name for p in out.glob('*.json')))}"
    )

    equal, twice, total = 0, 0, 0
    for name, factors in peft.read_adapter(adapter).modules.items():
        W = before[f"{name}.weight"]
        delta = factors.scale * factors.B.astype(np.float64) @ factors.A.astype(np.float64)
        exact = (W.astype(np.float64) + delta).astype(np.float32).astype(ml_dtypes.bfloat16)
        equal += int((after[f"{name}.weight"] == exact).sum())
        twice += int((W + delta.astype(ml_dtypes.bfloat16) == exact).sum())
        total += W.size
    print(f"{equal / total:.4%} of the merged entries are the exact sum, rounded once;")
    print(f"rounding the difference first, too, gets {twice / total:.1%} of them")
    assert equal >= 0.9999 * total

    try:
        peft.merge_checkpoint(base, adapter, out)
    except ValueError as refusal:
        print(str(refusal).replace(place, ""))

    peft.merge_checkpoint(base, [adapter, adapter], Path(place, "none"), weights=[1.0, -1.0])
    unchanged = read(Path(place, "none"))
    assert all(before[name].tobytes() == unchanged[name].tobytes() for name in before)
    print("an adapter and itself with the weight -1 leave every byte of the base")

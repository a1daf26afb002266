"""Any checkpoint and any adapters: the merged tensors are the exact sums rounded once, all others keep their bytes."""

import tempfile
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies
from peft_files import numbers, tensors, whole, write_adapter, write_base

from sorgum.interop import bfloat16
from sorgum.lowrank import peft

DTYPES = strategies.sampled_from(["bfloat16", np.float16, np.float32, np.float64])
MODULE = strategies.fixed_dictionaries(
    {
        "kind": strategies.sampled_from(["matrix", "embedding", "conv"]),
        "out": strategies.integers(0, 7),
        "in": strategies.integers(0, 7),
        "kernel": strategies.lists(strategies.integers(1, 3), min_size=1, max_size=3),
        "dtype": DTYPES,
        "shard": strategies.integers(0, 2),
    }
)
ADAPTER = strategies.fixed_dictionaries(
    {
        "rank": strategies.integers(1, 4),
        "alpha": strategies.sampled_from([1, 2, 4, 0.5]),
        "dtype": strategies.sampled_from(["bfloat16", np.float16, np.float32]),
        "weight": strategies.sampled_from([1.0, -1.0, 0.5, 2.0, -0.25]),
        "targets": strategies.lists(strategies.integers(0, 4), max_size=5, unique=True),
    }
)


def rounded(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Return numbers that float32 holds in a type, rounded once."""
    return bfloat16.rounded(values, bfloat16.dtype()) if dtype == "bfloat16" else values.astype(dtype)


def kernel(module: dict[str, Any]) -> list[int]:
    return module["kernel"] if module["kind"] == "conv" else []


def turned(module: dict[str, Any], transposed: bool) -> bool:
    return module["kind"] == "embedding" or (transposed and module["kind"] == "matrix")


@hypothesis.given(
    modules=strategies.lists(MODULE, min_size=1, max_size=5),
    adapters=strategies.lists(ADAPTER, min_size=1, max_size=3),
    transposed=strategies.booleans(),
    dtype=strategies.none() | DTYPES,
    seed=strategies.integers(0, 2**32),
)
def test_fuzz_merges(modules: Any, adapters: Any, transposed: bool, dtype: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = []
    for module in modules:
        lies = (module["in"], module["out"]) if turned(module, transposed) else (module["out"], module["in"])
        shape = (*lies, *kernel(module))
        weights.append(whole(rng, *shape, dtype=module["dtype"]))
    sums = [numbers(weight) for weight in weights]
    folders, changed = [], set()
    with tempfile.TemporaryDirectory() as place:
        for n, adapter in enumerate(adapters):
            factors = {}
            rank = 2 ** (adapter["rank"] - 1)  # a scale that is a power of two keeps all sums exact
            for i in (i for i in adapter["targets"] if i < len(modules)):
                module = modules[i]
                A = whole(rng, rank, module["in"], *kernel(module), dtype=adapter["dtype"])
                B = whole(rng, module["out"], rank, dtype=adapter["dtype"])
                names = ("embedding_A", "embedding_B") if module["kind"] == "embedding" else ("A.weight", "B.weight")
                as_kept = B.reshape(*B.shape, *(1 for _ in kernel(module)))
                factors |= {f"{i}.lora_{names[0]}": A, f"{i}.lora_{names[1]}": as_kept}
                delta = np.tensordot(numbers(B), numbers(A), 1) * (adapter["weight"] * adapter["alpha"] / rank)
                sums[i] = sums[i] + (delta.T if turned(module, transposed) else delta)
                changed.add(i)
            options = {"r": rank, "lora_alpha": adapter["alpha"], "fan_in_fan_out": transposed}
            folders.append(write_adapter(Path(place, f"adapter{n}"), factors, **options))
        shards: list[dict[str, np.ndarray]] = [{"first": np.arange(3)}, {"second": np.uint8([1])}, {}]
        for i, (module, weight) in enumerate(zip(modules, weights, strict=True)):
            shards[module["shard"]][f"{i}.weight"] = weight
        base = write_base(Path(place, "base"), *(shard for shard in shards if shard))
        name = None if dtype is None else dtype if dtype == "bfloat16" else np.dtype(dtype).name
        done = peft.merge_checkpoint(
            base, folders, Path(place, "out"), weights=[adapter["weight"] for adapter in adapters], dtype=name
        )
        assert done.merged == sorted(f"{i}.weight" for i in changed)
        found = tensors(Path(place, "out"))
        for i, weight in enumerate(weights):
            wanted = rounded(sums[i], dtype or modules[i]["dtype"]) if i in changed else weight
            assert found[f"{i}.weight"].shape == weight.shape
            assert found[f"{i}.weight"].tobytes() == wanted.tobytes(), (i, found[f"{i}.weight"], wanted)

"""Two adapters of one base as one: exactly, then at half the rank, and written as PEFT writes adapters."""

import tempfile
from pathlib import Path

import numpy as np

import sorgum as sg
from sorgum.lowrank import peft

rng = np.random.default_rng(20180617)
OUT, IN, RANK, SCALE = 96, 64, 8, 2.0


def adapter(decay: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Return A, B and a scale, as of training: rows that matter less and less."""
    A = rng.standard_normal((RANK, IN)).astype(np.float32) * decay ** np.arange(RANK, dtype=np.float32)[:, None]
    return A, rng.standard_normal((OUT, RANK)).astype(np.float32), SCALE


def product(A: np.ndarray, B: np.ndarray, scale: float) -> np.ndarray:
    """Return what an adapter adds to a weight."""
    return scale * B.astype(np.float64) @ A.astype(np.float64)


def error(found: np.ndarray) -> float:
    """Return how far off a sum is, relative to its norm."""
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


style, law = adapter(0.6), adapter(0.6)
weights = [1.0, -0.5]  # all of the one, less of what the other learnt
exact = sum(weight * product(*one) for one, weight in zip((style, law), weights, strict=True))

# Adding the factors themselves brings in the products of one's B with the other's A, which nobody has trained.
crossed = product(*(sum(w * one[i] for one, w in zip((style, law), weights, strict=True)) for i in range(2)), SCALE)
print(f"factors added:          rank {RANK:2}, off by {error(crossed):.0%}")

both = sg.lowrank.combine([style, law], weights)
print(f"factors side by side:   rank {len(both.A):2}, off by {error(product(*both[:3])):.1e}")
assert error(product(*both[:3])) < 1e-7

print("cut to a lower rank, by the singular values of the sum (no matrix of the weight's size is made):")
for rank in (12, 8, 4):
    cut = sg.lowrank.combine([style, law], weights, rank=rank)
    print(f"                        rank {rank:2}, off by {error(product(*cut[:3])):.2%}, as it says: {cut.error:.2%}")
    assert abs(error(product(*cut[:3])) - cut.error) < 1e-6

with tempfile.TemporaryDirectory() as place:
    folder = Path(place, "adapter")
    one = sg.lowrank.combine([style, law], weights, rtol=0.05)
    peft.write_adapter(folder, peft.Adapter({"model.layers.0.q_proj": peft.LowRank(one.A, one.B, one.scale)}))
    print(f"written at rank {len(one.A)}:", ", ".join(sorted(path.name for path in folder.iterdir())))
    read = peft.read_adapter(folder).modules["model.layers.0.q_proj"]
    W = rng.standard_normal((OUT, IN)).astype(np.float32)
    merged = [sg.lowrank.merge(W, x.A, x.B, scale=x.scale) for x in (one, read)]
    print("read back and merged, it gives the same bits:", merged[0].tobytes() == merged[1].tobytes())

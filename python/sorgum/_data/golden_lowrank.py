"""What the golden digests of the family `lowrank` are digests of."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorgum import lowrank
from sorgum._data.inputs import logits, numbers
from sorgum.interop import bfloat16

__all__ = ["FUNCTIONS", "HALF_FUNCTIONS", "adapter", "numbers", "outputs", "quick", "result_dtype"]

Array = NDArray[Any]

FUNCTIONS = ("apply", "merge", "magnitude", "apply_adapters", "apply_grad", "trained_adapters")
HALF_FUNCTIONS = FUNCTIONS[:2]
# out, in and rank: below a tile and a vector, at their borders, of one chunk and of several.
SHAPES = ((1, 1, 1), (3, 17, 2), (12, 32, 16), (25, 70, 5), (49, 513, 17), (37, 100, 513), (5, 40, 2600), (13, 5000, 8))


def adapter(out: int, inner: int, rank: int, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Return A and B."""
    return numbers((rank, inner), dtype, 0.3, seed=1), numbers((out, rank), dtype, 0.3, seed=2)


def merged(out: int, inner: int, rank: int, dtype: np.dtype[Any]) -> Iterator[Array]:
    a, b = adapter(out, inner, rank, dtype)
    w = numbers((out, inner), dtype, seed=3)
    yield lowrank.merge(w, a, b, scale=0.5)
    yield lowrank.merge(w.T, a, b, scale=0.25, fan_in_fan_out=True, form="hadamard")
    mask = logits((out, inner), np.float64, seed=4) > 0
    yield lowrank.merge(w, a, b, scale=2.0, mask=mask, rounding="peft")


def applied(out: int, inner: int, rank: int, dtype: np.dtype[Any]) -> Iterator[Array]:
    a, b = adapter(out, inner, rank, dtype)
    for rows in (1, 4, 26):
        x, base = numbers((rows, inner), dtype, seed=rows), numbers((rows, out), dtype, seed=5)
        yield lowrank.apply(x, a, b, scale=0.5)
        mid, gate = logits(rank, np.float32, seed=6), logits(rows, np.float32, seed=7)
        for activation in (None, "relu", "silu"):
            yield lowrank.apply(x, a, b, scale=2.0, activation=activation, mid=mid, gate=gate, base=base)


def normalised(out: int, inner: int, rank: int, dtype: np.dtype[Any]) -> Iterator[Array]:
    a, b = adapter(out, inner, rank, dtype)
    w, magnitude = numbers((out, inner), dtype, seed=3), abs(numbers((out,), dtype, seed=8))
    yield lowrank.merge(w, a, b, scale=0.5, magnitude=magnitude)
    yield lowrank.merge(w.T, a, b, scale=0.25, magnitude=magnitude, fan_in_fan_out=True)


def adapted(out: int, inner: int, rank: int, dtype: np.dtype[Any]) -> Iterator[Array]:
    several = [(*adapter(out, inner, one, dtype), 0.5) for one in (rank, 1, 0)]
    ids = np.arange(37) * 5 % 4 - 1
    x, base = numbers((37, inner), dtype, seed=9), numbers((37, out), dtype, seed=5)
    yield lowrank.apply_adapters(x, lowrank.AdapterSet(several), ids, base=base)


def graded(out: int, inner: int, rank: int, dtype: np.dtype[Any]) -> Iterator[Array]:
    a, b = adapter(out, inner, rank, dtype)
    x, dy = numbers((26, inner), dtype, seed=9), numbers((26, out), dtype, seed=5)
    mid, gate = numbers((rank,), dtype, seed=6), numbers((26,), dtype, seed=7)
    grads = lowrank.apply_grad(x, a, b, dy=dy, scale=0.5, activation="silu", mid=mid, gate=gate)
    yield from (grad for grad in grads if grad is not None)


def trained(out: int, inner: int, rank: int, dtype: np.dtype[Any]) -> Iterator[Array]:
    """Adapters that begin without LAPACK, and one of given vectors."""
    w, x, dy = (numbers(shape, dtype, seed=i) for i, shape in enumerate(((out, inner), (5, inner), (5, out))))
    a, b = adapter(out, inner, rank, dtype)
    of_rank, kinds = min(rank, out, inner), lowrank.adapters
    made = [kinds.LoRA.init(w, of_rank, rng=3), kinds.HiRA(w, a, b, scale=0.5)]
    made += [kinds.NOLA.init(w, of_rank, bases=33, rng=4), kinds.SVFit(w, numbers((rank,), dtype, seed=6), b, a)]
    for one in made:
        for i, parameter in enumerate(one.parameters.values()):
            parameter += numbers(parameter.shape, parameter.dtype, 0.5, seed=10 + i)
        grad = one.grad(x, dy)
        yield from (one.forward(x), one.merge(), grad.x, *grad.parameters.values())


def outputs(function: str, dtype: np.dtype[Any]) -> Iterator[Array]:
    """Return what the digest of a function is taken over.

    Parameters
    ----------
    function : str
        One of `FUNCTIONS`.
    dtype : dtype
        Of all arrays.

    Returns
    -------
    iterator of arrays
        Outputs of the function.
    """
    of = {
        "merge": merged,
        "apply": applied,
        "magnitude": normalised,
        "apply_adapters": adapted,
        "apply_grad": graded,
        "trained_adapters": trained,
    }[function]
    for shape in SHAPES:
        if dtype.itemsize == 2 and shape[0] * shape[1] > 5000:  # bfloat16 has too few numbers for so many results
            continue
        for result in of(*shape, dtype):
            yield result["bfloat16"] if dtype == bfloat16.bits else result


def quick(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Return outputs of small inputs."""
    for shape in SHAPES[:5]:
        yield from merged(*shape, dtype)
        yield from applied(*shape, dtype)


def result_dtype(function: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of all outputs of a function."""
    return np.dtype(np.uint16) if dtype == bfloat16.bits else dtype

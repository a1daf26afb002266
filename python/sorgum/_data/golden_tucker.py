"""What the golden digests of the family `tucker` are digests of."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorgum import tucker
from sorgum._data.inputs import numbers
from sorgum.interop import bfloat16

__all__ = ["FUNCTIONS", "HALF_FUNCTIONS", "SHAPES", "outputs", "quick", "result_dtype"]

Array = NDArray[Any]

HALF_FUNCTIONS = ("mode_dot", "gram", "multi_mode_dot")
FUNCTIONS = (*HALF_FUNCTIONS, "trained_adapters")  # whose parameters are of no half type
# Below a tile and a vector, at their borders, a chunk of the sum and several.
SHAPES = ((3,), (1, 1), (13, 17), (2, 3, 5), (16, 33, 12), (4, 2, 3, 5), (5, 513, 3), (600, 7), (3, 1200))
RANKS = (1, 5, 13, 33)


def products(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[Array]:
    """Return products along all modes, with matrices and vectors."""
    x = numbers(shape, dtype)
    for mode, n in enumerate(shape):
        for rank in RANKS:
            yield tucker.mode_dot(x, numbers((rank, n), dtype, seed=rank), mode)
        yield tucker.mode_dot(x, numbers((n, 3), dtype, seed=1), mode, transpose=True)
        yield np.asarray(tucker.mode_dot(x, numbers((n,), dtype, seed=2), mode))


def grams(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[Array]:
    """Return Gram matrices along all modes."""
    x = numbers(shape, dtype)
    yield from (tucker.gram(x, mode) for mode in range(len(shape)))


def several_products(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[Array]:
    """Return products along all modes at once, with matrices that shrink and grow the tensor, and with a vector."""
    x = numbers(shape, dtype)
    ranks = [(3 * mode + 2) % 7 + 1 for mode in range(len(shape))]
    matrices: list[Array] = [
        numbers((rank, n), dtype, seed=mode + 1) for mode, (rank, n) in enumerate(zip(ranks, shape, strict=True))
    ]
    yield np.asarray(tucker.multi_mode_dot(x, matrices))
    yield np.asarray(tucker.multi_mode_dot(x, [m.T for m in matrices], skip=0, transpose=True))
    yield np.asarray(tucker.multi_mode_dot(x, [matrices[-1][0]], modes=[-1]))


def trained(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[Array]:
    """Return what an adapter of Tucker's form does with a weight of that shape."""
    if len(shape) == 1:
        return
    adapter = tucker.FLoRA.init(numbers(shape, dtype), tuple(min(n, 4) for n in shape), scale=0.5, rng=3)
    for i, parameter in enumerate(adapter.parameters.values()):
        parameter += numbers(parameter.shape, dtype, 0.5, seed=i)
    x, dy = numbers((5, *shape[1:]), dtype, seed=11), numbers((5, shape[0]), dtype, seed=12)
    grad = adapter.grad(x, dy)
    yield from (adapter.forward(x), adapter.merge(), grad.x, *grad.parameters.values())


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
    if function == "gram":
        for shape in SHAPES:
            yield from grams(shape, dtype)
        return
    of = {"mode_dot": products, "multi_mode_dot": several_products, "trained_adapters": trained}
    for shape in SHAPES:
        if dtype.itemsize == 2 and np.prod(shape) > 1000:  # bfloat16 has too few numbers for so many results
            continue
        for result in of[function](shape, dtype):
            yield result["bfloat16"] if dtype == bfloat16.bits else result


def quick(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Return outputs of small inputs."""
    for shape in SHAPES[:4]:
        yield from products(shape, dtype)
        yield from grams(shape, dtype)
        yield from several_products(shape, dtype)


def result_dtype(function: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of all outputs of a function."""
    if function == "gram":
        return np.dtype(np.float64)
    return np.dtype(np.uint16) if dtype == bfloat16.bits else dtype

"""What the golden digests of the family `special` are digests of."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorgum import special
from sorgum._data.inputs import LENGTHS, QUICK_LENGTHS, SPECIALS, hashed, logits, words

__all__ = ["FUNCTIONS", "HALF_FUNCTIONS", "outputs", "quick", "result_dtype"]

Array = NDArray[Any]

ROW_FUNCTIONS = ("softmax", "softmax_three_pass", "log_softmax", "log_softmax_three_pass")
REDUCTIONS = ("logsumexp", "logsumexp_partial")
GRADIENTS = ("softmax_grad", "log_softmax_grad", "logsumexp_grad")
HALF_FUNCTIONS: tuple[str, ...] = ()  # theirs are those of float32, rounded
FUNCTIONS = ("exp", "log", *ROW_FUNCTIONS, *REDUCTIONS, *GRADIENTS)

TEMPERATURES = (0.0009765625, 0.6875, 37.5, 1e30, 1e-30)
OFFSETS = (1e5, -1e5, 6e7, -3e37)


def matrices(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in LENGTHS:
        yield logits((max(1, min(37, 20000 // n)), n), dtype, seed=n)
    for scale in (0.01, 1.0, 20.0, 300.0):
        yield logits((5, 777), dtype, scale, seed=1)
    for offset in OFFSETS:
        yield (logits((3, 5000), np.float64, seed=2) + offset).astype(dtype)
    yield words(4096 * 6, dtype).reshape(512, 48)
    yield np.where(np.isfinite(words(50000, dtype, 1)), words(50000, dtype, 1), 0)[None]
    yield np.array([np.roll(SPECIALS[:12], k) for k in range(12)], dtype=dtype)
    yield np.full((2, 20000), 0.1, dtype=dtype)


def options(dtype: np.dtype[Any]) -> Iterator[tuple[Array, dict[str, Any]]]:
    """Return inputs with keyword arguments that softmax, log_softmax and logsumexp share."""
    for x in matrices(dtype):
        yield x, {}
    x = logits((7, 6, 500), dtype, 10.0, seed=3)
    for temperature in TEMPERATURES:
        yield x, {"temperature": temperature}
    yield x, {"temperature": (hashed(42) >> np.uint64(54)).astype(np.float64).reshape(7, 6) + 0.5}
    yield x, {"axis": 0}
    yield x, {"axis": 1}
    yield x, {"axis": (0, 2)}
    yield x, {"axis": None}
    mask = (hashed(x.size) % np.uint64(3) != 0).reshape(x.shape)
    mask[2, 3] = False
    yield x, {"where": mask}
    yield x[:, :, :40], {"where": mask[0, :, :40], "axis": 0}
    yield logits((1, 300000), dtype, seed=4), {"temperature": 0.5}


def elementwise(function: str, dtype: np.dtype[Any]) -> Iterator[Array]:
    for x in (words(1 << 18, dtype), logits(100003, dtype, 30.0), np.abs(logits(99999, dtype, 1.0)), words(5, dtype)):
        yield getattr(special, function)(x)


def rows(function: str, x: Array, keywords: dict[str, Any]) -> Iterator[Array]:
    three_pass = function.endswith("_three_pass")
    function = function.removesuffix("_three_pass")
    if function == "logsumexp_grad":
        shape = np.shape(special.logsumexp(x, **keywords))
        yield special.logsumexp_grad(x, dy=logits(shape, x.dtype, 1.0, seed=5), **keywords)
    elif function in GRADIENTS:
        y = getattr(special, function.removesuffix("_grad"))(x, **keywords)
        yield getattr(special, function)(y, dy=logits(x.shape, x.dtype, 1.0, seed=5), **keywords)
    elif function == "logsumexp_partial":
        yield special.logsumexp_partial(x, **keywords).reshape(-1, 1).view(np.int64)
    elif function == "logsumexp":
        yield special.logsumexp(x, **keywords)
        axis = keywords.get("axis", -1)
        weights = (hashed(x.size) >> np.uint64(56)).astype(x.dtype).reshape(x.shape) - x.dtype.type(100)
        yield from special.logsumexp(x, axis, b=weights, return_sign=True, where=keywords.get("where"))
    elif three_pass:
        if np.all(np.isfinite(x)):
            for algorithm in ("three_pass_recompute", "three_pass_reload"):
                yield getattr(special, function)(x, algorithm=algorithm, **keywords)
    else:
        yield getattr(special, function)(x, **keywords)
        yield getattr(special, function)(x, empty="zero", **keywords)


def quick(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in QUICK_LENGTHS:
        x = logits((5, n), dtype, seed=n)
        yield from (special.exp(x), special.log(np.abs(x)))
        for function in FUNCTIONS[2:]:
            kinds: tuple[dict[str, Any], ...] = ({}, {"temperature": 0.6875}, {"axis": 0}, {"where": x > -2})
            for keywords in kinds:
                yield from rows(function, x, keywords)


def outputs(function: str, dtype: np.dtype[Any]) -> Iterator[Array]:
    """Return what the digest of a function is taken over.

    Parameters
    ----------
    function : str
        One of `FUNCTIONS`.
    dtype : dtype
        Of the arguments.

    Returns
    -------
    iterator of arrays
        Outputs of the function.
    """
    if function in ("exp", "log"):
        yield from elementwise(function, dtype)
    else:
        for x, keywords in options(dtype):
            yield from rows(function, x, keywords)


def result_dtype(function: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of all outputs of a function."""
    return np.dtype(np.int64) if function == "logsumexp_partial" else dtype

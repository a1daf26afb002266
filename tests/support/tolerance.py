"""Comparison with an oracle, by a helper that rejects itself when a wrong answer would pass."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def unit_in_last_place(size: Array, dtype: np.dtype[Any]) -> Array:
    """Return the distance of the numbers of `dtype` around |size|: at least the least subnormal."""
    bits = np.finfo(dtype).nmant
    _, exponent = np.frexp(np.abs(size))
    exponent = np.where(size == 0, np.finfo(dtype).minexp, exponent - 1)
    exponent = np.clip(exponent, np.finfo(dtype).minexp, np.finfo(dtype).maxexp - 1)
    return np.ldexp(np.ones_like(size), exponent - bits)


def errors_in_ulps(got: Array, exact: Array, size: Array | None = None) -> Array:
    """Return |got - exact| in ULPs of `size`, by default of `exact`; where both are the same infinity or NaN, 0."""
    with np.errstate(invalid="ignore", over="ignore"):
        unit = unit_in_last_place(np.where(np.isfinite(exact), exact, 0) if size is None else size, got.dtype)
        error = np.abs(got.astype(exact.dtype) - exact) / unit
    same = (got.astype(exact.dtype) == exact) | (np.isnan(got) & np.isnan(exact))
    return np.where(same, 0, error)


def assert_within(got: Array, exact: Array, limit: Array) -> None:
    """Assert |got - exact| <= limit, after showing that zeros, a uniform answer and a shuffled one would fail."""
    assert got.shape == exact.shape == np.broadcast_shapes(limit.shape, exact.shape)
    assert np.mean(np.isfinite(got)) > 0.5, "outputs are mostly not finite"
    mean = np.mean(exact, axis=-1, keepdims=True, where=np.isfinite(exact))
    for name, wrong in (
        ("zeros", np.zeros_like(exact)),
        ("a uniform answer", np.broadcast_to(mean, exact.shape)),
        ("a shuffled answer", np.roll(exact.reshape(-1), exact.size // 2 + 1).reshape(exact.shape)),
    ):
        assert np.any(np.abs(wrong - exact) > limit), f"{name} would pass this test"
    with np.errstate(invalid="ignore"):
        error = np.where(got == exact, 0, np.abs(got.astype(exact.dtype) - exact))
    bad = ~(error <= limit)
    if np.any(bad):
        where = np.unravel_index(np.argmax(np.where(bad, error / limit, 0)), got.shape)
        at = tuple(int(i) for i in where)
        raise AssertionError(
            f"{np.count_nonzero(bad)} of {got.size} beyond the limit; at {at}: got {got[where]!r}, "
            f"exact {exact[where]!r}, limit {np.broadcast_to(limit, got.shape)[where]!r}"
        )


def softmax_limit(exact: Array, dtype: np.dtype[Any], ulps: float) -> Array:
    """Return `ulps` of the exact value, for subnormal results one least subnormal more."""
    tiny = float(np.finfo(dtype).smallest_normal)
    relative = ulps * float(np.finfo(dtype).eps) * np.abs(exact)
    return np.where(
        exact >= tiny, ulps * unit_in_last_place(exact, dtype), relative + float(np.finfo(dtype).smallest_subnormal)
    )

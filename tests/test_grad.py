"""Vector-Jacobian products: definitions, finite differences, bounds, layouts, halves, bad input."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import CHUNK, DTYPES, HALVES, layouts
from numpy.typing import NDArray

from sorgum import reference, special
from sorgum._data.inputs import hashed, logits

Array = NDArray[Any]
NAMES = ("softmax", "log_softmax")
each_name = pytest.mark.parametrize("name", NAMES)
each_dtype = pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES.keys())
SHAPES = ((3, 0), (40, 1), (40, 15), (40, 64), (20, 1000), (5, CHUNK), (5, CHUNK + 1), (3, 30001), (2, 200003))


def grad_of(name: str) -> Callable[..., Any]:
    return getattr(special, name + "_grad")  # type: ignore[no-any-return]


def operands(name: str, shape: tuple[int, ...], dtype: Any, seed: int = 1) -> tuple[Array, Array]:
    x = logits(shape, np.float64, 3.0, seed=seed).astype(dtype)
    return getattr(special, name)(x), logits(shape, np.float64, 1.0, seed=seed + 1).astype(dtype)


def mask_of(shape: tuple[int, ...]) -> Array:
    return (hashed(int(np.prod(shape)), 3) % np.uint64(3) != 0).reshape(shape)


def bits(x: Any) -> bytes:
    return np.ascontiguousarray(x).tobytes()


@each_name
@pytest.mark.parametrize("temperature", [1.0, 0.3, 1e4])
def test_finite_differences(name: str, temperature: float) -> None:
    x, dy = logits((4, 9), np.float64, 1.0, seed=5), logits((4, 9), np.float64, 1.0, seed=6)
    function, step = getattr(special, name), 1e-5 * temperature
    got = grad_of(name)(function(x, temperature=temperature), dy, temperature=temperature)
    for j in range(9):
        up, down = x.copy(), x.copy()
        up[:, j] += step
        down[:, j] -= step
        change = function(up, temperature=temperature) - function(down, temperature=temperature)
        slope = np.sum(change * dy, axis=-1) / (2 * step)
        assert np.all(np.abs(got[:, j] - slope) <= 1e-8 / temperature)


def test_finite_differences_of_logsumexp() -> None:
    x, dy = logits((4, 9), np.float64, 1.0, seed=5), logits(4, np.float64, 1.0, seed=6)
    got = special.logsumexp_grad(x, dy, temperature=0.7)
    for j in range(9):
        up, down = x.copy(), x.copy()
        up[:, j] += 1e-5
        down[:, j] -= 1e-5
        slope = dy * (special.logsumexp(up, temperature=0.7) - special.logsumexp(down, temperature=0.7)) / 2e-5
        assert np.all(np.abs(got[:, j] - slope) <= 1e-8)


@each_name
@each_dtype
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_against_the_definition(name: str, dtype: Any, shape: tuple[int, ...], isa: str) -> None:
    y, dy = operands(name, shape, dtype)
    for keywords in ({}, {"temperature": 0.37}, {"where": mask_of(shape)}):
        exact = getattr(reference.special, name + "_grad")(y, dy, dtype=np.longdouble, **keywords)
        got = grad_of(name)(y, dy, **keywords)
        assert got.dtype == dtype
        assert got.shape == shape
        t = keywords.get("temperature", 1.0)
        p = np.longdouble(y) if name == "softmax" else np.exp(np.longdouble(y))
        weight = np.abs(p * dy) if name == "softmax" else np.abs(dy)
        scale = np.sum(np.where(keywords.get("where", True), weight, 0), axis=-1, keepdims=True)
        eps = np.finfo(dtype).eps
        absolute = (2.0**-43 if dtype == np.float32 else 2.0**-51) * p * scale
        if name == "log_softmax":
            total = np.sum(np.where(keywords.get("where", True), np.longdouble(dy), 0), axis=-1, keepdims=True)
            absolute += eps * p * np.abs(total)
        limit = 3 * np.spacing(np.abs(exact).astype(dtype)).astype(np.longdouble) + absolute / t
        assert np.all(np.abs(got - exact) <= limit)
        if "where" in keywords:
            assert np.all(got[~keywords["where"]] == 0)


@each_dtype
@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_logsumexp_against_the_definition(dtype: Any, shape: tuple[int, ...], isa: str) -> None:
    x, dy = logits(shape, dtype, 3.0, seed=1), logits(shape[0], dtype, 1.0, seed=2)
    for keywords in ({}, {"temperature": 0.37}, {"where": mask_of(shape)}):
        exact = reference.special.logsumexp_grad(x, dy, dtype=np.longdouble, **keywords)
        got = special.logsumexp_grad(x, dy, **keywords)
        assert got.dtype == dtype
        limit = 4.5 * np.spacing(np.abs(exact).astype(dtype)).astype(np.longdouble)
        assert np.all(np.abs(got - exact) <= limit)


@each_name
def test_the_gradient_of_a_softmax_sums_to_nothing(name: str) -> None:
    y, dy = operands(name, (50, 3000), np.float64)
    total = np.abs(np.sum(grad_of(name)(y, dy), axis=-1))
    assert np.all(total <= 1e-12)
    if name == "softmax":
        assert np.max(np.abs(grad_of(name)(y, np.ones_like(y)))) <= 1e-15


@each_name
@each_dtype
def test_threads_and_places_do_not_change_bits(name: str, dtype: Any, threads: Callable[[int], None]) -> None:
    for shape in ((300, 1000), (2, 300001), (100, 9000)):
        y, dy = operands(name, shape, dtype)
        threads(1)
        alone = np.stack([grad_of(name)(y[i], dy[i]) for i in range(shape[0])])
        for count in (1, 2, 3, 8):
            threads(count)
            assert bits(grad_of(name)(y, dy)) == bits(alone)
            assert bits(grad_of(name)(y.T.copy(), dy.T.copy(), axis=0).T) == bits(alone)


@each_name
def test_layouts_and_out(name: str) -> None:
    y, dy = operands(name, (70, 300), np.float32)
    expected = grad_of(name)(y, dy)
    for (_, view), (_, other) in zip(layouts(y), reversed(list(layouts(dy))), strict=True):
        assert bits(grad_of(name)(view, other)) == bits(expected)
    out = np.full((300, 140), 7, dtype=np.float32).T[::2]
    assert grad_of(name)(y, dy, out=out) is out
    assert bits(out) == bits(expected)
    for place in (0, 1):
        pair = [y.copy(), dy.copy()]
        grad_of(name)(*pair, out=pair[place])
        assert bits(pair[place]) == bits(expected)
    buffer = np.zeros(70 * 300 + 1, dtype=np.float32)
    shifted = buffer[:-1].reshape(70, 300)
    shifted[...] = dy
    overlapping = buffer[1:].reshape(70, 300)
    assert bits(grad_of(name)(y, shifted, out=overlapping)) == bits(expected)


@pytest.mark.parametrize("dtype", HALVES.values(), ids=HALVES.keys())
def test_halves_are_float32_rounded(dtype: Any) -> None:
    for shape in ((40, 64), (9, 1000), (3, 5000), (2, 100003)):
        for name in NAMES:
            y, dy = operands(name, shape, dtype)
            expected = grad_of(name)(y.astype(np.float32), dy.astype(np.float32)).astype(dtype)
            assert bits(grad_of(name)(y, dy)) == bits(expected)
        x = logits(shape, np.float32).astype(dtype)
        g = logits(shape[0], np.float32, 1.0).astype(dtype)
        expected = special.logsumexp_grad(x.astype(np.float32), g.astype(np.float32)).astype(dtype)
        assert bits(special.logsumexp_grad(x, g)) == bits(expected)


@each_name
def test_special_values(name: str) -> None:
    y, dy = operands(name, (4, 50), np.float32)
    dy[1, 3], y[2, 5], dy[3, 7] = np.nan, np.nan, np.inf
    got = grad_of(name)(y, dy)
    assert np.all(np.isfinite(got[0]))
    assert np.all(np.isnan(got[[1, 3]]))
    assert np.isnan(got[2, 5])
    assert set(got[np.isnan(got)].view(np.uint32)) == {0x7FC00000}
    where = np.isfinite(dy) & np.isfinite(y)
    masked = grad_of(name)(y, dy, where=where)
    assert np.all(np.isfinite(masked))
    assert np.all(masked[~where] == 0)


def test_rows_without_elements_and_infinite_ones() -> None:
    x = np.zeros((3, 4), dtype=np.float32)
    x[0], x[1, 2] = -np.inf, np.inf
    got = special.logsumexp_grad(x, 2.0)
    assert got.dtype == np.float32
    assert got.tolist()[0] == [0] * 4
    assert np.all(np.isnan(got[1]))
    assert got.tolist()[2] == [0.5] * 4


def test_large_results() -> None:
    for shape in ((40000, 64), (2000, 1000), (30, 100003)):
        for name in NAMES:
            y, dy = operands(name, shape, np.float32)
            whole = grad_of(name)(y, dy)
            rows = slice(shape[0] // 2, shape[0] // 2 + 5)
            assert bits(whole[rows]) == bits(grad_of(name)(y[rows].copy(), dy[rows].copy()))


@each_name
def test_bad_input(name: str) -> None:
    y, dy = operands(name, (4, 7), np.float32)
    grad = grad_of(name)
    for call, kind, message in (
        (lambda: grad(y, dy[:3]), ValueError, "dy must have shape (4, 7), got (3, 7)"),
        (lambda: grad(y, dy[0]), ValueError, "dy must have shape (4, 7), got (7,)"),
        (lambda: grad(y, dy.astype(complex)), TypeError, "dy must be float16, bfloat16, float32"),
        (lambda: grad(y, dy, axis=2), ValueError, "axis"),
        (lambda: grad(y, dy, temperature=0.0), ValueError, "temperature must be positive and finite, got 0.0"),
        (lambda: grad(y, dy, where=np.ones(3, bool)), ValueError, "where must broadcast to shape (4, 7)"),
        (lambda: grad(y, dy, out=np.zeros((4, 7))), TypeError, "out must have dtype float32, got float64"),
        (lambda: grad(y, dy, out=np.zeros((7, 4), np.float32)), ValueError, "out must have shape (4, 7), got (7, 4)"),
    ):
        with pytest.raises(kind) as caught:
            call()
        assert str(caught.value).startswith(f"{name}_grad: ")
        assert message in str(caught.value)
    with pytest.raises(ValueError, match="logsumexp_grad: dy must be a scalar or have the shape of the rows"):
        special.logsumexp_grad(y, np.ones(3, np.float32))

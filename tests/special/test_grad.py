"""Vector-Jacobian products: definitions, finite differences, bounds, layouts, halves, bad input."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import CHUNK, DTYPES, HALVES, layouts
from numpy.typing import NDArray
from tolerance import assert_within

import sorgum as sg
from sorgum import random, reference, special
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


def assert_near(got: Array, exact: Array, limit: Array) -> None:
    """Assert |got - exact| <= limit, and that wrong answers are not; rows of one element have but one answer."""
    if got.shape[-1] > 1:
        assert_within(got, exact, limit)
    else:
        assert np.all(np.abs(got - exact) <= limit)


@each_name
@pytest.mark.parametrize("temperature", [1.0, 0.3, 1e4])
def test_finite_differences(name: str, temperature: float) -> None:
    x, dy = logits((4, 9), np.float64, 1.0, seed=5), logits((4, 9), np.float64, 1.0, seed=6)
    function, step = getattr(special, name), 1e-5 * temperature
    got = grad_of(name)(function(x, temperature=temperature), dy=dy, temperature=temperature)
    for j in range(9):
        up, down = x.copy(), x.copy()
        up[:, j] += step
        down[:, j] -= step
        change = function(up, temperature=temperature) - function(down, temperature=temperature)
        slope = np.sum(change * dy, axis=-1) / (2 * step)
        assert np.all(np.abs(got[:, j] - slope) <= 1e-8 / temperature)


def test_finite_differences_of_logsumexp() -> None:
    x, dy = logits((4, 9), np.float64, 1.0, seed=5), logits(4, np.float64, 1.0, seed=6)
    got = special.logsumexp_grad(x, dy=dy, temperature=0.7)
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
        exact = getattr(reference.special, name + "_grad")(y, dy=dy, dtype=np.longdouble, **keywords)
        got = grad_of(name)(y, dy=dy, **keywords)
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
        assert_near(got, exact, limit)
        if "where" in keywords:
            assert np.all(got[~keywords["where"]] == 0)


@each_dtype
@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_logsumexp_against_the_definition(dtype: Any, shape: tuple[int, ...], isa: str) -> None:
    x, dy = logits(shape, dtype, 3.0, seed=1), logits(shape[0], dtype, 1.0, seed=2)
    for keywords in ({}, {"temperature": 0.37}, {"where": mask_of(shape)}):
        exact = reference.special.logsumexp_grad(x, dy=dy, dtype=np.longdouble, **keywords)
        got = special.logsumexp_grad(x, dy=dy, **keywords)
        assert got.dtype == dtype
        limit = 4.5 * np.spacing(np.abs(exact).astype(dtype)).astype(np.longdouble)
        assert_near(got, exact, limit)


@each_name
def test_the_gradient_of_a_softmax_sums_to_nothing(name: str) -> None:
    y, dy = operands(name, (50, 3000), np.float64)
    total = np.abs(np.sum(grad_of(name)(y, dy=dy), axis=-1))
    assert np.all(total <= 1e-12)
    if name == "softmax":
        assert np.max(np.abs(grad_of(name)(y, dy=np.ones_like(y)))) <= 1e-15


@each_name
@each_dtype
def test_threads_and_places_do_not_change_bits(name: str, dtype: Any, threads: Callable[[int], None]) -> None:
    for shape in ((300, 1000), (2, 300001), (100, 9000)):
        y, dy = operands(name, shape, dtype)
        threads(1)
        alone = np.stack([grad_of(name)(y[i], dy=dy[i]) for i in range(shape[0])])
        for count in (1, 2, 3, 8):
            threads(count)
            assert bits(grad_of(name)(y, dy=dy)) == bits(alone)
            assert bits(grad_of(name)(y.T.copy(), dy=dy.T.copy(), axis=0).T) == bits(alone)


@each_name
def test_layouts_and_out(name: str) -> None:
    y, dy = operands(name, (70, 300), np.float32)
    expected = grad_of(name)(y, dy=dy)
    for (_, view), (_, other) in zip(layouts(y), reversed(list(layouts(dy))), strict=True):
        assert bits(grad_of(name)(view, dy=other)) == bits(expected)
    out = np.full((300, 140), 7, dtype=np.float32).T[::2]
    assert grad_of(name)(y, dy=dy, out=out) is out
    assert bits(out) == bits(expected)
    for place in (0, 1):
        pair = [y.copy(), dy.copy()]
        grad_of(name)(pair[0], dy=pair[1], out=pair[place])
        assert bits(pair[place]) == bits(expected)
    buffer = np.zeros(70 * 300 + 1, dtype=np.float32)
    shifted = buffer[:-1].reshape(70, 300)
    shifted[...] = dy
    overlapping = buffer[1:].reshape(70, 300)
    assert bits(grad_of(name)(y, dy=shifted, out=overlapping)) == bits(expected)


@pytest.mark.parametrize("dtype", HALVES.values(), ids=HALVES.keys())
def test_halves_are_float32_rounded(dtype: Any) -> None:
    for shape in ((40, 64), (9, 1000), (3, 5000), (2, 100003)):
        for name in NAMES:
            y, dy = operands(name, shape, dtype)
            expected = grad_of(name)(y.astype(np.float32), dy=dy.astype(np.float32)).astype(dtype)
            assert bits(grad_of(name)(y, dy=dy)) == bits(expected)
        x = logits(shape, np.float32).astype(dtype)
        g = logits(shape[0], np.float32, 1.0).astype(dtype)
        expected = special.logsumexp_grad(x.astype(np.float32), dy=g.astype(np.float32)).astype(dtype)
        assert bits(special.logsumexp_grad(x, dy=g)) == bits(expected)


@each_name
def test_special_values(name: str) -> None:
    y, dy = operands(name, (4, 50), np.float32)
    dy[1, 3], y[2, 5], dy[3, 7] = np.nan, np.nan, np.inf
    got = grad_of(name)(y, dy=dy)
    assert np.all(np.isfinite(got[0]))
    assert np.all(np.isnan(got[[1, 3]]))
    assert np.isnan(got[2, 5])
    assert set(got[np.isnan(got)].view(np.uint32)) == {0x7FC00000}
    where = np.isfinite(dy) & np.isfinite(y)
    masked = grad_of(name)(y, dy=dy, where=where)
    assert np.all(np.isfinite(masked))
    assert np.all(masked[~where] == 0)


@each_name
@pytest.mark.parametrize("n", [2, 48, 1000, 9001, 200003])
def test_extremes(name: str, n: int, isa: str) -> None:
    """Sums and differences beyond the largest number, and temperatures whose reciprocals are no pair of numbers."""
    if isa == "scalar" and n > 9001:
        pytest.skip("slow: the shorter ones are enough")
    y, _ = operands(name, (5, n), np.float32)
    signs = np.where(np.arange(n) % 2, 1, -1)
    dy = np.stack([3e38 * signs, np.full(n, 3e38), -3e38 * signs, 1e-3 * signs, 2.0**110 * signs]).astype(np.float32)
    dy[3, :2] = 1, 2
    for temperature in (1.0, 1e-40, 2.0**-130, 1e-7, 2.0**-127, 2.0**126, 1e45):
        g = dy * np.float32(min(temperature, 1.0))  # results that are numbers
        exact = getattr(reference.special, name + "_grad")(y, dy=g, temperature=temperature, dtype=np.longdouble)
        with np.errstate(over="ignore"):
            rounded = exact.astype(np.float32)
        numbers = np.isfinite(rounded)
        limit = 1e-6 * np.max(np.abs(exact), axis=-1, keepdims=True) + 2e-6 * np.abs(exact) + 1.5e-45
        got = grad_of(name)(y, dy=g, temperature=temperature)
        for result in (got, grad_of(name)(y[:, ::-1], dy=g[:, ::-1], temperature=temperature)[:, ::-1]):
            assert np.all(result[~numbers] == rounded[~numbers])
            assert np.all(np.abs(result - exact)[numbers] <= limit[numbers])
        assert bits(got[:2]) == bits(grad_of(name)(y[:2].copy(), dy=g[:2].copy(), temperature=temperature))


def test_extremes_by_hand() -> None:
    y = np.float32([0.5, 0.5])
    assert special.log_softmax_grad(np.log(y), dy=np.float32([3e38, 3e38])).tolist() == [0, 0]
    got = special.softmax_grad(np.float32([0.9, 0.1]), dy=np.float32([-3e38, 3e38]))
    assert got.tolist() == pytest.approx([-5.4e37, 5.4e37], rel=1e-6)
    got = special.softmax_grad(np.array([0.9, 0.1]), dy=np.array([-1.7e308, 1.7e308]))
    assert got.tolist() == pytest.approx([-3.06e307, 3.06e307], rel=1e-14)
    for t in (1e-300, 1e-42, 2.0**126, 2.0**149):
        got = special.softmax_grad(y, dy=np.float32([1, 2]), temperature=t)
        with np.errstate(over="ignore"):
            assert got.tolist() == np.float32(np.array([-0.125, 0.125]) / t * 2).tolist()
    # A result too large is infinite, with its sign.
    assert special.softmax_grad(y, dy=np.float32([1e30, 3e30]), temperature=1e-30).tolist() == [-np.inf, np.inf]


def test_rows_without_elements_and_infinite_ones() -> None:
    x = np.zeros((3, 4), dtype=np.float32)
    x[0], x[1, 2] = -np.inf, np.inf
    got = special.logsumexp_grad(x, dy=2.0)
    assert got.dtype == np.float32
    assert got.tolist()[0] == [0] * 4
    assert np.all(np.isnan(got[1]))
    assert got.tolist()[2] == [0.5] * 4


def test_large_results() -> None:
    for shape in ((40000, 64), (2000, 1000), (30, 100003)):
        for name in NAMES:
            y, dy = operands(name, shape, np.float32)
            whole = grad_of(name)(y, dy=dy)
            rows = slice(shape[0] // 2, shape[0] // 2 + 5)
            assert bits(whole[rows]) == bits(grad_of(name)(y[rows].copy(), dy=dy[rows].copy()))


@each_name
def test_bad_input(name: str) -> None:
    y, dy = operands(name, (4, 7), np.float32)
    grad = grad_of(name)
    for call, kind, message in (
        (lambda: grad(y, dy=dy[:3]), ValueError, "dy must have shape (4, 7), got (3, 7)"),
        (lambda: grad(y, dy=dy[0]), ValueError, "dy must have shape (4, 7), got (7,)"),
        (lambda: grad(y, dy=dy.astype(complex)), TypeError, "dy must be float16, bfloat16, float32"),
        (lambda: grad(y, dy=dy, axis=2), ValueError, "axis"),
        (lambda: grad(y, dy=dy, temperature=0.0), ValueError, "temperature must be positive and finite, got 0.0"),
        (lambda: grad(y, dy=dy, where=np.ones(3, bool)), ValueError, "where must broadcast to shape (4, 7)"),
        (lambda: grad(y, dy=dy, out=np.zeros((4, 7))), TypeError, "out must have dtype float32, got float64"),
        (
            lambda: grad(y, dy=dy, out=np.zeros((7, 4), np.float32)),
            ValueError,
            "out must have shape (4, 7), got (7, 4)",
        ),
    ):
        with pytest.raises(kind) as caught:
            call()
        assert str(caught.value).startswith(f"{name}_grad: ")
        assert message in str(caught.value)
    with pytest.raises(ValueError, match="logsumexp_grad: dy must be a scalar or have the shape of the rows"):
        special.logsumexp_grad(y, dy=np.ones(3, np.float32))


@pytest.mark.parametrize(
    ("call", "name", "first"),
    [
        (lambda *a: special.softmax_grad(*a), "softmax_grad", "y"),
        (lambda *a: special.log_softmax_grad(*a), "log_softmax_grad", "y"),
        (lambda *a: special.logsumexp_grad(*a), "logsumexp_grad", "x"),
        (lambda *a: special.logsumexp_grad(*a, b=1.0), "logsumexp_grad", "x"),
        (lambda *a: random.gumbel_softmax_grad(*a, rng=1), "gumbel_softmax_grad", "logits"),
    ],
)
def test_dy_must_be_named(call: Callable[..., Any], name: str, first: str) -> None:
    """Arrays of one shape in the wrong order would run."""
    x = np.zeros((2, 3), np.float32)
    for args, rule in (
        ((x, x), f"arguments after {first} must be given by name, got 2 without"),
        ((x,), "dy must be given, got nothing"),
        ((x, x, -1), f"arguments after {first} must be given by name, got 3 without"),
    ):
        with pytest.raises(TypeError) as caught:
            call(*args)
        assert str(caught.value) == f"{name}: {rule}"


def test_dy_must_be_named_beside_more_arguments() -> None:
    with pytest.raises(TypeError) as caught:
        random.soft_token_log_prob_grad(1.0, [0.0, 1.0], [0], [0.0])
    rule = "arguments after log_weights must be given by name, got 4 without"
    assert str(caught.value) == f"soft_token_log_prob_grad: {rule}"


# ---- logsumexp with weights ----


def weights_of(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return weights of either sign, some of them 0, whose sums do not cancel."""
    b = np.random.default_rng(4).normal(1.5, 1, shape)
    b.flat[::5] = 0
    return b.astype(dtype)


@each_dtype
@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_weighted_logsumexp_against_the_definition(dtype: Any, shape: tuple[int, ...], isa: str) -> None:
    x, dy, b = logits(shape, dtype, 3.0, seed=1), logits(shape[0], dtype, 1.0, seed=2), weights_of(shape, dtype)
    for keywords in ({}, {"temperature": 0.37}, {"where": mask_of(shape)}):
        exact = reference.special.logsumexp_grad(x, dy=dy, b=b, dtype=np.longdouble, **keywords)
        got = special.logsumexp_grad(x, dy=dy, b=b, **keywords)
        assert got.dtype == dtype
        t = np.longdouble(keywords.get("temperature", 1.0))
        present = (b != 0) & keywords.get("where", True)
        top = np.max(np.where(present, x, -np.inf), axis=-1, keepdims=True)
        d = np.abs(np.where(present & (top > -np.inf), x - top, 0)) / t
        terms = np.where(present, b, 0) * np.exp(-d)
        total = np.sum(terms, axis=-1, keepdims=True)
        with np.errstate(all="ignore"):
            log_s = np.where(total == 0, 0, np.abs(np.log(np.abs(total))))
            cancelled = np.where(total == 0, 0, np.sum(np.abs(terms), axis=-1, keepdims=True) / np.abs(total))
        # Units of 2^-53: d is rounded twice, d - log S once, log S is off by 8 of its own, exp by 2, products by 3.
        ulps = 1 + cancelled * 2**-28 if dtype == np.float32 else 5 + 3 * d + 9 * log_s + 2 * cancelled
        limit = ulps * np.spacing(np.abs(exact).astype(dtype)).astype(np.longdouble)
        assert np.all(np.abs(got - exact) <= limit)
        for wrong in (np.zeros_like(got), np.full_like(got, 1 / shape[-1]), got[:, ::-1]):
            assert shape[-1] < 3 or not np.all(np.abs(wrong - exact) <= limit)
        assert np.all(got[~present] == 0)
        before = sg.isa()
        sg.set_isa("scalar")
        assert bits(special.logsumexp_grad(x, dy=dy, b=b, **keywords)) == bits(got)
        sg.set_isa(before)


def test_weighted_logsumexp_by_finite_differences() -> None:
    x, dy = logits((3, 4, 5), np.float64, 1.0), np.array([0.5, -1.0, 2.0])
    b, t = np.array([2.0, -0.5, 0.0, 1.0, 3.0]), np.array([0.5, 1.0, 2.0])
    got = special.logsumexp_grad(x, dy=dy, axis=(1, 2), b=b, temperature=t)
    for i in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[i] = 1e-6
        up, down = (special.logsumexp(x + s, (1, 2), b=b, temperature=t) for s in (step, -step))
        assert abs(got[i] - np.sum((up - down) * dy) / 2e-6) <= 1e-8
    negative = special.logsumexp_grad(x, dy=dy, axis=(1, 2), b=-b, temperature=t)  # of log(abs(sum))
    np.testing.assert_array_equal(negative, got)


def test_weighted_logsumexp_of_special_rows() -> None:
    nan, inf = np.nan, np.inf
    grad = special.logsumexp_grad
    cases = [
        ([0.0, 0.0], [3.0, -1.0], [1.5, -0.5]),
        ([0.0, 0.0], [1.0, -1.0], [nan, nan]),  # the sum is 0
        ([0.0, 5.0], [0.0, 0.0], [0.0, 0.0]),
        ([nan, inf, 2.0], [0.0, 0.0, -4.0], [0.0, 0.0, 1.0]),
        ([nan, 1.0], [1.0, 1.0], [nan, nan]),
        ([inf, 1.0], [-1.0, 1.0], [nan, nan]),
        ([-inf, -inf], [1.0, 1.0], [0.0, 0.0]),
        ([-inf, 3.0], [inf, 2.0], [nan, nan]),
        ([-inf, 3.0], [nan, 2.0], [nan, nan]),
        ([1.0, 3.0], [nan, 2.0], [nan, nan]),
        ([1e308, -1e308], [1.0, 1.0], [1.0, 0.0]),
    ]
    for x, b, expected in cases:
        for dtype in (np.float64, np.float32, np.float16):
            if max(map(abs, x)) == 1e308 and dtype != np.float64:
                continue
            got = grad(np.array(x, dtype), dy=1.0, b=np.array(b, dtype))
            np.testing.assert_array_equal(got, np.array(expected, dtype))
            assert not np.signbit(got[np.isnan(got)]).any()
    assert grad(3.0, dy=2.0, b=-4.0) == 2.0
    assert grad(np.zeros((0, 3)), dy=np.zeros(0), b=1.0).shape == (0, 3)
    assert grad(np.zeros((2, 0)), dy=np.zeros(2), b=1.0).shape == (2, 0)


def test_weighted_logsumexp_types_and_places() -> None:
    x, dy, b = logits((4, 6), np.float32, 2.0), np.float32([1, 2, 3, 4]), weights_of((6,), np.float32)
    expected = special.logsumexp_grad(x, dy=dy, b=b)
    assert special.logsumexp_grad(x, dy=dy, b=b.astype(np.float64)).dtype == np.float64
    assert special.logsumexp_grad(x, dy=dy.astype(np.float64), b=b).dtype == np.float64
    own = x.copy()
    assert special.logsumexp_grad(own, dy=dy, b=b, out=own) is own
    assert bits(own) == bits(expected)
    own = weights = np.broadcast_to(b, x.shape).copy()
    assert special.logsumexp_grad(x, dy=dy, b=weights, out=own) is own
    assert bits(own) == bits(expected)
    assert bits(special.logsumexp_grad(x.T, dy=dy, axis=0, b=b[:, None]).T) == bits(expected)
    halves = special.logsumexp_grad(x.astype(np.float16), dy=dy.astype(np.float16), b=b.astype(np.float16))
    x, dy = (a.astype(np.float16).astype(np.float32) for a in (x, dy))
    single = special.logsumexp_grad(x, dy=dy, b=b.astype(np.float16))
    assert bits(halves) == bits(single.astype(np.float16))


def test_weighted_logsumexp_errors() -> None:
    x, dy, broadcast = np.zeros((2, 3)), np.zeros(2), "logsumexp_grad: b must broadcast to shape (2, 3)"
    cases: list[tuple[dict[str, Any], type, str]] = [
        ({"b": [1.0, 2.0]}, ValueError, f"{broadcast}, got shape (2,)"),
        ({"b": np.ones((1, 2, 3))}, ValueError, f"{broadcast}, got shape (1, 2, 3)"),
        ({"b": 1.0, "axis": 2}, ValueError, "logsumexp_grad: axis must be in [-2, 2), got 2"),
        ({"b": 1.0, "temperature": 0.0}, ValueError,
         "logsumexp_grad: temperature must be positive and finite, got 0.0"),
        ({"b": 1.0, "out": np.zeros((3, 2))}, ValueError, "logsumexp_grad: out must have shape (2, 3), got (3, 2)"),
        ({"b": 1j}, TypeError, "logsumexp_grad: b must be float16, bfloat16, float32, float64, bool or integer, got "
         "dtype dtype('complex128')"),
    ]  # fmt: skip
    for keywords, kind, message in cases:
        with pytest.raises((TypeError, ValueError)) as caught:
            special.logsumexp_grad(x, dy=dy, **keywords)
        assert (caught.type, str(caught.value)) == (kind, message)

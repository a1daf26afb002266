"""sthosvd and hosvd: known answers, promises that hold, errors that are true, odd tensors, refusals."""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from bounds_tucker import ORTHONORMAL, off_orthonormal
from threadpoolctl import threadpool_limits

import sorgum as sg
from sorgum import reference
from sorgum._data.inputs import numbers

sthosvd, hosvd = sg.tucker.sthosvd, sg.tucker.hosvd
BOTH = {"sthosvd": sthosvd, "hosvd": hosvd}
METHODS = ("auto", "gram", "qr", "randomized")
A, B, C = np.ogrid[1:51, 1:51, 1:51]
RECIPROCAL = 1 / (A + B + C)
SINE = np.sin(A + B + C)
# Relative errors of the sequentially truncated decomposition at ranks (r, r, r), by singular values in float64.
KNOWN: dict[str, tuple[Any, dict[int, float]]] = {
    "1/(i+j+k)": (RECIPROCAL, {1: 1.829e-1, 2: 3.711e-2, 3: 6.662e-3, 4: 1.094e-3, 6: 2.325e-5, 8: 3.752e-7,
                               10: 4.780e-9}),
    "1/(i+j+k-2)": (1 / (A + B + C - 2), {1: 2.739e-1, 2: 8.728e-2, 3: 2.054e-2, 4: 4.030e-3, 6: 1.103e-4, 8: 2.121e-6,
                                          10: 3.102e-8}),
    "1/sqrt(i^2+j^2+k^2)": (1 / np.sqrt(1.0 * A * A + B * B + C * C), {1: 2.449e-1, 2: 7.788e-2, 3: 2.540e-2,
                                                                        4: 8.228e-3, 6: 7.991e-4, 8: 6.715e-5,
                                                                        10: 4.803e-6}),
    "exp(-((i-j)^2+(j-k)^2)/2500)": (np.exp(-((A - B) ** 2.0 + (B - C) ** 2.0) / 2500),
                                     {1: 1.933e-1, 2: 2.304e-2, 3: 1.860e-3, 4: 1.144e-4, 6: 2.311e-7, 8: 2.489e-10,
                                      10: 1.646e-13}),
}  # fmt: skip
each_function = pytest.mark.parametrize("function", BOTH.values(), ids=BOTH)
each_method = pytest.mark.parametrize("method", METHODS)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(autouse=True, scope="module")
def one_thread_of_blas() -> Iterator[None]:
    """Small decompositions wait for each other's threads on a busy machine."""
    with threadpool_limits(1, user_api="blas"):
        yield


def true_error(x: Any, tensor: Any) -> float:
    """Of what is stored, formed in float64."""
    core, factors = tensor
    wide = np.asarray(x).astype(np.float64)
    scale = np.abs(wide).max() or 1.0
    core = core.astype(np.float64) / scale
    for mode, factor in zip(tensor.modes, factors, strict=True):
        core = np.moveaxis(np.tensordot(factor.astype(np.float64), core, (1, mode)), 0, mode)
    return float(np.linalg.norm((wide / scale - core).ravel()) / (np.linalg.norm((wide / scale).ravel()) or 1.0))


def check(x: Any, tensor: Any) -> float:
    """Types, orthonormality, signs, and an error right to 10 percent and 4 eps; returns the true one."""
    suffix = {4: "f32", 8: "f64"}[tensor.dtype.itemsize]
    for factor in tensor.factors:
        assert off_orthonormal(factor) <= ORTHONORMAL[suffix]
        assert (factor[np.argmax(np.abs(factor), axis=0), np.arange(factor.shape[1])] > 0).all()
    truth = true_error(x, tensor)
    assert abs(tensor.error - truth) <= 0.1 * truth + 4 * np.finfo(tensor.dtype).eps
    return truth


@pytest.mark.parametrize("name", KNOWN)
@each_method
def test_known_answers(name: str, method: Any) -> None:
    """To four digits; to three where a sample finds them, or a Gram matrix near the end of its reach."""
    x, errors = KNOWN[name]
    for rank, expected in errors.items():
        tensor = sthosvd(x, rank, method=method)
        assert tensor.rank == (rank,) * 3
        truth = check(x, tensor)
        if method == "gram" and expected < 1e-7:
            continue  # what a Gram matrix does not tell
        assert truth == pytest.approx(expected, rel=5e-4 if method == "qr" else 2e-3, abs=8e-15)
        assert check(x, hosvd(x, rank, method=method)) <= math.sqrt(3) * expected


@pytest.mark.parametrize("name", KNOWN)
def test_known_answers_in_float32(name: str) -> None:
    """Rounding adds 1e-7 per product, of which three are formed."""
    x, errors = KNOWN[name]
    for rank, expected in errors.items():
        tensor = sthosvd(x.astype(np.float32), rank)
        assert tensor.dtype == np.float32
        check(x.astype(np.float32), tensor)
        assert abs(true_error(x, tensor) - expected) <= 5e-4 * expected + 4e-7


@each_function
@each_method
def test_exactly_of_rank_two(function: Callable[..., Any], method: Any) -> None:
    """sin(i + j + k) = sum of products of sines and cosines: no more is left than rounding."""
    for dtype, most in ((np.float64, 1e-14), (np.float32, 1e-6)):
        tensor = function(SINE.astype(dtype), 2, method=method)
        assert check(SINE.astype(dtype), tensor) <= most
        assert tensor.error <= most
    assert np.linalg.norm(SINE) == pytest.approx(249.9999821, rel=1e-9)
    if method != "randomized":
        assert function(SINE, rtol=1e-3, method=method).rank == (2, 2, 2)
        if method != "gram":
            assert function(SINE, rtol=1e-10, method=method).rank == (2, 2, 2)
        assert function(SINE.astype(np.float32), rtol=1e-5, method=method).rank == (2, 2, 2)


@each_function
def test_promised_errors(function: Callable[..., Any]) -> None:
    """The ranks of 1/(i+j+k) for each tolerance, and errors that hold it; float32 data at 1e-4 give (6, 6, 6)."""
    ranks = {1e-2: 3, 1e-4: 6, 1e-6: 8, 1e-8: 10, 1e-10: 12}
    for rtol, rank in ranks.items():
        for method in ("auto", "qr"):
            tensor = function(RECIPROCAL, rtol=rtol, method=method)
            assert tensor.rank == (rank,) * 3
            assert check(RECIPROCAL, tensor) <= rtol
            assert tensor.error <= rtol
    for rtol in (1e-2, 1e-4, 1e-6):
        single = RECIPROCAL.astype(np.float32)
        tensor = function(single, rtol=rtol)
        assert tensor.rank == (ranks[rtol],) * 3
        assert check(single, tensor) <= rtol
    assert function(RECIPROCAL, rtol=1).rank == (1, 1, 1)


@each_function
@pytest.mark.parametrize("method", ["auto", "gram", "qr"])
def test_promises_down_to_rounding(function: Callable[..., Any], method: Any) -> None:
    """Tensors whose spectra fall, are flat, or end; for every tolerance down to 4 eps, whatever the method."""
    tensors = {
        "falls": RECIPROCAL[:20, :30, :25],
        "flat": np.random.default_rng(1).standard_normal((12, 9, 10)),
        "ends": SINE[:20, :30, :25] + 1e-9 * np.random.default_rng(2).standard_normal((20, 30, 25)),
    }
    for x in tensors.values():
        for exponent in (0.5, 2, 5, 6.5, 8, 9.5, 12, 14.5):
            tensor = function(x, rtol=10.0**-exponent, method=method)
            assert check(x, tensor) <= 10.0**-exponent * (1 + 1e-9)
        for exponent in (0.5, 2, 5, 6):
            single = x.astype(np.float32)
            assert check(single, function(single, rtol=10.0**-exponent, method=method)) <= 10.0**-exponent
        assert check(x, function(x, rtol=0, method=method)) <= 1e-14


@each_method
def test_noise(method: Any) -> None:
    """A planted rank and a tenth of noise: no more error than the reference's but for 1 in 1000."""
    rng = np.random.default_rng(5)
    core = rng.standard_normal((6, 5, 4))
    x = reference.tucker.multi_mode_dot(core, [np.linalg.qr(rng.standard_normal(p))[0]
                                               for p in ((60, 6), (50, 5), (40, 4))])  # fmt: skip
    noise = rng.standard_normal(x.shape)
    x += 0.1 * noise * np.linalg.norm(x) / np.linalg.norm(noise)
    least = math.sqrt(0.01 / 1.01 * (1 - (6 * 5 * 4 + 54 * 6 + 45 * 5 + 36 * 4) / x.size))
    core, factors = reference.tucker.sthosvd(x, (6, 5, 4))
    expected = np.linalg.norm(x - reference.tucker.multi_mode_dot(core, factors)) / np.linalg.norm(x)
    for dtype in (np.float64, np.float32):
        truth = check(x.astype(dtype), sthosvd(x.astype(dtype), (6, 5, 4), method=method))
        assert truth <= 1.001 * expected
        assert truth == pytest.approx(least, rel=5e-3)
    assert check(x, hosvd(x, (6, 5, 4), method=method)) <= 1.001 * expected


@each_dtype
def test_agrees_with_the_reference(dtype: Any) -> None:
    """Spectra that fall by factors, so that vectors are determined: 1e3 u over the least gap."""
    x = np.asarray(RECIPROCAL[:17, :9, :13], dtype)
    unit = float(np.finfo(dtype).eps)
    core, factors = reference.tucker.sthosvd(x, (3, 2, 3))
    tensor = sthosvd(x, (3, 2, 3), mode_order=(0, 1, 2), method="qr")
    for got, expected in zip(tensor.factors, factors, strict=True):
        assert abs(got - expected).max() <= 1e3 * unit
    assert abs(tensor.core - core).max() <= 1e3 * unit * abs(core).max()
    assert abs(tensor.core[::-1] - core).max() > 1e3 * unit * abs(core).max()
    core, factors = reference.tucker.hosvd(x, (3, 2, 3))
    for got, expected in zip(hosvd(x, (3, 2, 3), method="qr").factors, factors, strict=True):
        assert abs(got - expected).max() <= 1e3 * unit


@each_function
def test_some_modes(function: Callable[..., Any]) -> None:
    """None in a rank, and modes: the same tensor either way; kept modes have no factor."""
    x = numbers((9, 8, 7), np.dtype(np.float64))
    kept = function(x, (3, None, 4))
    assert (kept.rank, kept.modes) == ((3, 8, 4), (0, 2))
    check(x, kept)
    again = function(x, (4, 3), modes=(-1, 0))
    assert again.core.tobytes() == kept.core.tobytes()
    assert function(x, 3, modes=(1,)).rank == (9, 3, 7)
    none = function(x, (None, None, None))
    assert none.core.tobytes() == x.tobytes()
    assert none.core is not x
    assert (none.factors, none.error) == ([], 0.0)
    assert function(x, rtol=0.5, modes=()).factors == []
    assert check(x, function(x, rtol=0.3, modes=(2, 1))) <= 0.3


def test_orders_of_modes() -> None:
    x = numbers((9, 8, 7), np.dtype(np.float64))
    errors = {order: check(x, sthosvd(x, (3, 4, 5), mode_order=order)) for order in ((0, 1, 2), (2, 0, 1), (-1, 1, 0))}
    assert len(set(errors.values())) == 3
    for order in ((0, 1, 2), (2, 1, 0)):
        assert check(x, sthosvd(x, rtol=0.3, mode_order=order)) <= 0.3
    wide = numbers((40, 3, 20), np.dtype(np.float64))
    assert sthosvd(wide, (2, 2, 2)).core.tobytes() == sthosvd(wide, (2, 2, 2), mode_order=(1, 2, 0)).core.tobytes()


@each_function
@each_method
def test_zeros(function: Callable[..., Any], method: Any) -> None:
    for dtype in (np.float16, np.float32, np.float64):
        x = np.zeros((4, 5, 3), dtype)
        tensor = function(x, 2, method=method)
        assert (tensor.rank, tensor.error) == ((2, 2, 2), 0.0)
        assert not tensor.to_tensor().any()
        for factor in tensor.factors:
            assert off_orthonormal(factor) <= 1e-6
        if method != "randomized":
            for rtol in (0.0, 0.1):
                assert (function(x, rtol=rtol, method=method).rank, function(x, rtol=rtol).error) == ((1, 1, 1), 0.0)


@each_function
@each_method
def test_scales(function: Callable[..., Any], method: Any) -> None:
    """Squares over- and underflow; the decomposition does not notice."""
    x = RECIPROCAL[:12, :9, :10]
    expected = true_error(x, function(x, 2, method=method))
    for exponent in (-1000, -600, -410, 500, 700, 1000):
        scaled = np.ldexp(x, exponent)
        tensor = function(scaled, 2, method=method)
        assert check(scaled, tensor) == pytest.approx(expected, rel=1e-3)
    for exponent in (-110, -90, 60, 110, 120):
        scaled = np.ldexp(x, exponent).astype(np.float32)
        tensor = function(scaled, 2, method=method)
        assert check(scaled, tensor) == pytest.approx(expected, rel=1e-3)
    tiny = np.full((3, 4, 5), 5e-324)
    assert 0 < check(tiny, function(tiny, 1, method=method)) < 0.1  # the core is a few of the least subnormal
    with pytest.raises(np.linalg.LinAlgError, match=r"x must have a norm within float32, got a larger one$"):
        function(np.full((3, 4, 5), 3e38, np.float32), 1, method=method)


@each_function
@each_method
def test_what_is_not_finite(function: Callable[..., Any], method: Any) -> None:
    for bad in (np.nan, np.inf, -np.inf):
        for dtype in (np.float16, np.float32, np.float64):
            x = np.ones((5, 4, 3), dtype)
            x[2, 3, 1] = bad
            with pytest.raises(np.linalg.LinAlgError, match=r"hosvd: x must be finite, got NaN or an infinity$"):
                function(x, 2, method=method)


@each_function
def test_types(function: Callable[..., Any]) -> None:
    """Half types count as float32, and booleans and integers as float64."""
    for dtype in (np.float16, np.dtype(ml_dtypes.bfloat16)):
        x = RECIPROCAL[:20, :13, :15].astype(dtype)
        tensor, wide = function(x, 3), function(x.astype(np.float32), 3)
        assert tensor.dtype == np.float32
        assert tensor.core.tobytes() == wide.core.tobytes()
        assert [f.tobytes() for f in tensor.factors] == [f.tobytes() for f in wide.factors]
        assert tensor.error == pytest.approx(wide.error, rel=1e-6)
    for x in (numbers((4, 5, 3), np.dtype(np.float64)) > 0, np.arange(60).reshape(4, 5, 3), [[[1, 2], [3, 5]]] * 3):
        tensor, wide = function(x, (1, 2, 2)), function(np.asarray(x, np.float64), (1, 2, 2))
        assert tensor.dtype == np.float64
        assert tensor.core.tobytes() == wide.core.tobytes()


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_slabs(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is widened or formed part by part has the bits of one part."""
    x = numbers((30, 20, 10), np.dtype(dtype))
    x[:] = x + np.asarray(1, dtype)
    tight = sthosvd(x, rtol=1e-9 if dtype == np.float64 else 1e-3)
    whole = [function(x, 3, modes=modes) for function in BOTH.values() for modes in (None, (1,), (0, 2))]
    for elements in (1, 700, 4000):
        monkeypatch.setattr("sorgum.tucker._multi_mode_dot._SLAB", elements)
        parts = [function(x, 3, modes=modes) for function in BOTH.values() for modes in (None, (1,), (0, 2))]
        for one, other in zip(whole, parts, strict=True):
            assert one.core.tobytes() == other.core.tobytes()
            assert one.error == other.error
        assert sthosvd(x, rtol=1e-9 if dtype == np.float64 else 1e-3).error == pytest.approx(tight.error, rel=0.1)


@each_function
@each_method
def test_layouts_threads_and_instruction_sets(
    function: Callable[..., Any], method: Any, isa: str, threads: Callable[[int], None]
) -> None:
    """The same bits, since BLAS has one thread here."""
    x = numbers((24, 17, 20), np.dtype(np.float64))
    threads(2)
    expected = function(x, (3, 4, 5), method=method)
    assert sg.isa() == isa
    threads(1)
    sg.set_isa("scalar")
    for same in (x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], x[::-1].copy()[::-1]):
        got = function(same, (3, 4, 5), method=method)
        assert got.core.tobytes() == expected.core.tobytes()
        assert [f.tobytes() for f in got.factors] == [f.tobytes() for f in expected.factors]
    sg.set_isa(isa)


@pytest.mark.slow
def test_more_elements_than_32_bits_count() -> None:
    """216**4 of them, in the memory of 216: no copy of the tensor is made, and the residual is formed in parts."""
    row = np.linspace(1, 2, 216, dtype=np.float32)
    tensor = sthosvd(np.broadcast_to(row, (216,) * 4), 1)
    assert tensor.error <= 1e-6
    assert tensor.shape == (216,) * 4
    np.testing.assert_allclose(tensor[3, 5, 7], row, rtol=1e-5)


def test_shapes() -> None:
    """One mode, many modes, modes of one element."""
    for shape in ((5,), (1,), (1, 1, 1), (7, 1, 9), (2,) * 9, (60, 4), (3, 500)):
        x = numbers(shape, np.dtype(np.float64))
        for function in BOTH.values():
            for method in METHODS:
                assert function(x, 1, method=method).rank == (1,) * len(shape)
                check(x, function(x, 1, method=method))
            assert check(x, function(x, rtol=1e-12)) <= 1e-12


def test_equal_numbers() -> None:
    """2000 of them, whose squares LAPACK and BLAS add up one after the other: columns have length 1 all the same."""
    x = np.ones((2000, 6, 5))
    x[0] += 1
    for method in ("auto", "gram", "randomized"):
        for factor in sthosvd(x, 2, method=method).factors:
            wide = factor.astype(np.longdouble)
            assert abs(wide.T @ wide - np.eye(2)).max() <= 1e-14


def test_rng() -> None:
    x = numbers((40, 30, 20), np.dtype(np.float64))
    one, two, three = (sthosvd(x, 3, method="randomized", rng=rng).core.tobytes() for rng in (1, 2, sg.random.Key(1)))
    assert one == three
    assert one != two


X = np.ones((10, 2, 2), np.float32)


@each_function
@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"rank": (10, 2, 2)}, ValueError, "rank must be at most 4 in mode 0, the product of the other ranks, got 10"),
        ({"rank": (2, 3, 2)}, ValueError, "rank must be at most 2 in mode 1, its dimension, got 3"),
        ({"rank": 3}, ValueError, "rank must be at most 2 in mode 1, its dimension, got 3"),
        ({"rank": (3, 2), "modes": (2, 0)}, ValueError, "rank must be at most 2 in mode 2, its dimension, got 3"),
        ({"rank": (5, 1), "modes": (0, 2)}, ValueError, "rank must be at most 2 in mode 0, the product of the other "
         "ranks, got 5"),
        ({"rank": (5, None, 1)}, ValueError, "rank must be at most 2 in mode 0, the product of the other ranks, got 5"),
        ({"rank": 0}, ValueError, "rank must be at least 1 in mode 0, got 0"),
        ({"rank": (1, 1)}, ValueError, "rank must have 3 entries, one for each mode, got 2"),
        ({"rank": (1, 1.5, 1)}, TypeError, "rank must be an int, got float"),
        ({"rank": 1.5}, TypeError, "rank must be an int or a sequence of ints and None, got 1.5"),
        ({}, ValueError, "rank must be given, or rtol, got neither"),
        ({"rank": 1, "rtol": 0.1}, ValueError, "rank must be given, or rtol, got both"),
        ({"rtol": 1.5}, ValueError, "rtol must be in [0, 1], got 1.5"),
        ({"rtol": math.nan}, ValueError, "rtol must be in [0, 1], got nan"),
        ({"rtol": "1"}, TypeError, "rtol must be a real number, got str"),
        ({"rtol": 0.1, "method": "randomized"}, ValueError, "rank must be given where method is 'randomized', got "
         "None"),
        ({"rank": 1, "method": "svd"}, ValueError, "method must be 'auto', 'gram', 'qr' or 'randomized', got 'svd'"),
        ({"rank": 1, "modes": (0, 3)}, ValueError, "modes must be in [-3, 3), got 3"),
        ({"rank": 1, "modes": (0, 0)}, ValueError, "modes must be different from each other, got (0, 0)"),
        ({"rank": 1, "rng": -1}, ValueError, "rng must be in [0, 2**64), got -1"),
        ({"rank": 1, "x": 1.0}, ValueError, "x must have an axis, got a scalar"),
        ({"rank": 1, "x": np.zeros((3, 0, 2))}, ValueError, "x must have elements, got shape (3, 0, 2)"),
        ({"rank": 1, "x": X * 1j}, TypeError, "x must be float16, bfloat16, float32, float64, bool or integer, got "
         "dtype dtype('complex64')"),
    ],
)  # fmt: skip
def test_refusals(function: Callable[..., Any], arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"hosvd: {re.escape(message)}$"):
        function(**{"x": X, **arguments})


def test_refusals_of_orders() -> None:
    for order, message in (
        ((0, 1), "mode_order must have the modes [0, 1, 2], got (0, 1)"),
        ((0, 1, 1), "mode_order must be different from each other, got (0, 1, 1)"),
        ("best", "mode_order must be 'auto' or modes in their order, got 'best'"),
    ):
        with pytest.raises(ValueError, match=f"^sthosvd: {re.escape(message)}$"):
            sthosvd(X, 1, mode_order=order)  # type: ignore[arg-type]

"""Noise and draws on CUDA devices, as far as that can be tested without one; see test_cuda.py.

The index logic of the kernels is tested by tests/cpp/random/test_cuda_random.cpp.
"""

import re
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cuda_module import compiled_module, stand_in_module, view
from cuda_stand_in import Capsule, Interface, Module, Undisclosed, of_bfloat16, to_bfloat16
from errors import error_of

import sorgum as sg
from sorgum.interop import cuda

categorical = sg.random.categorical
LAWS = ("uniform", "exponential", "gumbel", "logistic", "normal")
THERE = "on a CUDA device"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Module:
    """Give the stand-in in the place of the compiled module."""
    return stand_in_module(monkeypatch)


@pytest.fixture
def torch(module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a stand-in for PyTorch: arrays of the class Tensor are its own, and so are results."""
    library = SimpleNamespace(
        int64=np.int64,
        empty=lambda shape, dtype, device: Tensor(np.full(shape, -9, dtype)),
        cuda=SimpleNamespace(current_stream=lambda device: SimpleNamespace(cuda_stream=0x70)),
    )
    monkeypatch.setitem(sys.modules, "torch", library)  # type: ignore[misc]


class Tensor(Interface):
    """An array of PyTorch, but that it is none."""

    device = "cuda:0"


Tensor.__module__ = "torch"


def brain(words: np.ndarray) -> Tensor:
    """Return a tensor of bfloat16, given by its 16 bits."""
    return Tensor(words, typestr="<V2")


def logits(*shape: int) -> np.ndarray:
    return (np.arange(np.prod(shape)) * 7 % 11 - 3).reshape(shape).astype(np.float32) / 4


# ---- noise ----


@pytest.mark.parametrize("wrap", [Interface, Undisclosed, Capsule])
@pytest.mark.parametrize("law", LAWS)
def test_noise_is_written_to_arrays_on_devices(module: Module, law: str, wrap: Any) -> None:
    noise = getattr(sg.random, law)
    places = {"rng": sg.random.key(5), "streams": [[3, 2**64 - 1]], "position": [[7, 2**63]], "index_offset": 9}
    for dtype in (np.float32, np.float64):
        for bits in (32, 64, None):
            y = np.zeros((1, 2, 5), dtype)
            out = wrap(y)
            assert noise((1, 2, 5), dtype=dtype, bits=bits, out=out, **places) is out
            np.testing.assert_array_equal(y, noise((1, 2, 5), dtype=dtype, bits=bits, **places))
    y = np.zeros(4, np.float32)
    noise(4, rng=1, streams=8, position=2**64 - 1, out=wrap(y))
    np.testing.assert_array_equal(y, noise(4, rng=1, streams=8, position=2**64 - 1))
    one = np.zeros((), np.float32)
    noise((), rng=1, out=wrap(one))
    assert one == noise((), rng=1)


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
def test_words(module: Module, dtype: Any) -> None:
    y = np.zeros((3, 7), dtype)
    out = Interface(y, stream=33)
    assert sg.random.bits((3, 7), rng=4, dtype=dtype, position=[1, 2, 3], out=out) is out
    np.testing.assert_array_equal(y, sg.random.bits((3, 7), rng=4, dtype=dtype, position=[1, 2, 3]))
    assert module.places == [(0, 33)]


class bfloat16:
    """A type of that name."""


@pytest.mark.parametrize("bits", [32, 64, None])
@pytest.mark.parametrize("dtype", ["bfloat16", "torch.bfloat16", bfloat16])
def test_gumbel_numbers_in_bfloat16(module: Module, torch: None, bits: Any, dtype: Any) -> None:
    y = np.zeros((2, 9), np.uint16)
    out = brain(y)
    assert sg.random.gumbel((2, 9), rng=4, dtype=dtype, bits=bits, out=out) is out
    np.testing.assert_array_equal(y, to_bfloat16(sg.random.gumbel((2, 9), rng=4, bits=bits)))
    assert len(np.unique(y)) > 12


def test_errors_of_noise(module: Module) -> None:
    gumbel, y = sg.random.gumbel, Interface(np.zeros((2, 3), np.float32))
    half = Interface(np.zeros((2, 3), np.float16))
    cases: list[tuple[Any, type, str]] = [
        (lambda: gumbel((2, 3), rng=0, dtype=np.float64, out=y), TypeError,
         f"gumbel: out must have dtype float64 {THERE}, got float32"),
        (lambda: gumbel((2, 3), rng=0, out=half), TypeError,
         f"gumbel: out must have dtype float32 {THERE}, got float16"),
        (lambda: gumbel((2, 3), rng=0, dtype=np.float16, out=half), TypeError,
         "gumbel: dtype must be float32 or float64, got dtype('float16')"),
        (lambda: sg.random.bits((2, 3), rng=0, out=y), TypeError,
         f"bits: out must have dtype uint32 {THERE}, got float32"),
        (lambda: gumbel((2, 3), rng=None, out=y), TypeError,
         "gumbel: rng must be a Key, an int seed or a numpy Generator, got NoneType"),
        (lambda: gumbel((2, 3), rng=0, bits=16, out=y), ValueError, "gumbel: bits must be 32, 64 or None, got 16"),
        (lambda: gumbel((2, 3), rng=0, dtype="bfloat16", bits=16, out=y), ValueError,
         "gumbel: bits must be 32, 64 or None, got 16"),
        (lambda: gumbel((2, 3), rng=0, streams=[1, 2, 3], out=y), ValueError,
         "gumbel: streams must be a scalar or have the shape of the rows, (2,), got shape (3,)"),
        (lambda: gumbel((2, 3), rng=0, streams=1, out=y), ValueError,
         "gumbel: streams must have one id per row, got a scalar"),
        (lambda: gumbel((2, 3), rng=0, position=-1, out=y), ValueError,
         "gumbel: position must be in [0, 2**64), got -1"),
        (lambda: gumbel((2, 3), rng=0, position=y, out=y), TypeError,
         f"gumbel: position must be on the CPU, got an array {THERE}"),
        (lambda: gumbel((2, 3), rng=0, index_offset=-1, out=y), ValueError,
         "gumbel: index_offset must be in [0, 2**62], got -1"),
        (lambda: gumbel((2, 3), rng=0, index_offset=2**62 - 2, out=y), ValueError,
         f"gumbel: index_offset must leave indices up to 2**62, got {2**62 - 2} and rows of 3"),
    ]  # fmt: skip
    for call, kind, message in cases:
        assert error_of(call) == (kind, message)
    assert module.places == []


# ---- draws ----


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
def test_draws_from_arrays_on_devices(torch: None, module: Module, kind: str) -> None:
    x = logits(2, 3, 50)
    if kind == "bfloat16":
        words = to_bfloat16(x)
        given, x = brain(words), of_bfloat16(words)
    else:
        x = x.astype(kind)
        given, x = Tensor(x), x.astype(np.float32)
    mask = logits(3, 50) > -0.5
    calls: list[dict[str, Any]] = [
        {},
        {"temperature": 0.0},
        {"temperature": np.arange(6).reshape(2, 3)},
        {"temperature": np.arange(6).reshape(2, 3, 1) / 4, "axis": 2},
        {"streams": [[1, 2, 2**63], [4, 5, 2**64 - 1]], "position": np.arange(6).reshape(2, 3)},
        {"position": 2**64 - 1, "index_offset": 2**62 - 50},
        {"num_samples": 4, "position": 2**63},
        {"num_samples": 0},
        {"num_samples": 2, "temperature": np.full((2, 3), 0.5), "position": [[0, 1, 2], [9, 8, 7]]},
        {"where": mask},
    ]
    for options in calls:
        expected = categorical(x, rng=3, **options)
        there = {**options, "where": Tensor(mask)} if "where" in options else options
        for on_invalid in ("raise", "minus_one"):
            drawn = categorical(given, rng=3, on_invalid=on_invalid, **there)
            assert type(drawn) is Tensor
            assert drawn.array.dtype == np.int64
            np.testing.assert_array_equal(drawn.array, expected)
    assert set(module.places) == {(0, 0x70)}
    row = categorical(Tensor(logits(50)), rng=3, streams=5)
    assert row.array.shape == ()
    assert row.array == categorical(logits(50), rng=3, streams=5)


def test_a_generator_gives_one_key(torch: None) -> None:
    x = logits(6, 50)
    drawn = categorical(Tensor(x), rng=np.random.default_rng(1))
    np.testing.assert_array_equal(drawn.array, categorical(x, rng=np.random.default_rng(1)))


def test_rows_without_a_draw(torch: None) -> None:
    x = logits(2, 3, 5)
    x[1, 1] = -np.inf
    x[1, 2, 0] = np.nan
    given = Tensor(x)
    drawn = categorical(given, rng=3, on_invalid="minus_one")
    np.testing.assert_array_equal(drawn.array, categorical(x, rng=3, on_invalid="minus_one"))
    assert list(drawn.array[1]) == [drawn.array[1, 0], -1, -1]
    for options in ({}, {"num_samples": 2}):
        assert error_of(lambda options=options: categorical(given, rng=3, **options)) == error_of(
            lambda options=options: categorical(x, rng=3, **options)
        )
    x[1, 1] = np.inf
    assert error_of(lambda: categorical(given, rng=3)) == (
        ValueError, "categorical: logits must hold neither NaN nor +inf, got one in row (1, 1)",
    )  # fmt: skip
    assert error_of(lambda: categorical(Tensor(x[1, 1]), rng=3)) == error_of(lambda: categorical(x[1, 1], rng=3))


def test_errors_of_draws(torch: None, module: Module) -> None:
    x = Tensor(logits(2, 3))
    here = Interface.__module__.partition(".")[0]
    cases: list[tuple[Any, type, str]] = [
        (lambda: categorical(Tensor(np.zeros((2, 3))), rng=0), TypeError,
         f"categorical: logits must have dtype float32, float16 or bfloat16 {THERE}, got float64"),
        (lambda: categorical(x, rng=None), TypeError,
         "categorical: rng must be a Key, an int seed or a numpy Generator, got NoneType"),
        (lambda: categorical(x, rng=0, top_k=5), ValueError, f"categorical: top_k must not be given {THERE}, got 5"),
        (lambda: categorical(x, rng=0, top_p=[0.5, 0.5]), ValueError,
         f"categorical: top_p must not be given {THERE}, got list"),
        (lambda: categorical(x, rng=0, min_p=0.1), ValueError,
         f"categorical: min_p must not be given {THERE}, got 0.1"),
        (lambda: categorical(x, rng=0, return_log_prob=True), ValueError,
         f"categorical: return_log_prob must not be given {THERE}, got True"),
        (lambda: categorical(x, rng=0, method="inverse"), ValueError,
         f"categorical: method must be 'gumbel' {THERE}, got 'inverse'"),
        (lambda: categorical(x, rng=0, method="other"), ValueError,  # type: ignore[arg-type]
         "categorical: method must be 'gumbel' or 'inverse', got 'other'"),
        (lambda: categorical(x, rng=0, axis=0), ValueError,
         f"categorical: axis must be the last one {THERE}, got 0"),
        (lambda: categorical(x, rng=0, axis=2), ValueError, "categorical: axis must be in [-2, 2), got 2"),
        (lambda: categorical(Tensor(np.zeros((), np.float32)), rng=0), ValueError,
         "categorical: logits must have at least one axis, got a scalar"),
        (lambda: categorical(x, rng=0, temperature=-1.0), ValueError,
         "categorical: temperature must be in [0, 2**900], got -1.0"),
        (lambda: categorical(x, rng=0, temperature=[1.0, np.nan]), ValueError,
         "categorical: temperature must be in [0, 2**900], got nan"),
        (lambda: categorical(x, rng=0, temperature=x), TypeError,
         f"categorical: temperature must be on the CPU, got an array {THERE}"),
        (lambda: categorical(x, rng=0, streams=x), TypeError,
         f"categorical: streams must be on the CPU, got an array {THERE}"),
        (lambda: categorical(x, rng=0, streams=[1, 2, 3]), ValueError,
         "categorical: streams must be a scalar or have the shape of the rows, (2,), got shape (3,)"),
        (lambda: categorical(x, rng=0, num_samples=3, position=2**64 - 2), ValueError,
         f"categorical: position must leave room for 3 samples, got {2**64 - 2}"),
        (lambda: categorical(x, rng=0, index_offset=2**62), ValueError,
         f"categorical: index_offset must leave indices up to 2**62, got {2**62} and rows of 3"),
        (lambda: categorical(x, rng=0, where=[True]), TypeError,
         f"categorical: where must be an array {THERE}, as logits is, got list"),
        (lambda: categorical(x, rng=0, where=x), TypeError, "categorical: where must have dtype bool, got float32"),
        (lambda: categorical(Interface(logits(2, 3)), rng=0), TypeError,
         f"categorical: logits must be of torch, cupy or numba {THERE}, got an array of {here}"),
        (lambda: sg.random.gumbel_partial(x, rng=0), TypeError,
         f"gumbel_partial: logits must be on the CPU, got an array {THERE}, where there is no gumbel_partial"),
        (lambda: sg.random.gumbel_top_k(x, 1, rng=0), TypeError,
         f"gumbel_top_k: logits must be on the CPU, got an array {THERE}, where there is no gumbel_top_k"),
    ]  # fmt: skip
    for call, kind, message in cases:
        assert error_of(call) == (kind, message)
    assert module.places == []


def test_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_module", lambda: (None, "not built"))
    assert error_of(lambda: categorical(Interface(logits(3)), rng=0)) == (
        RuntimeError,
        f"categorical: logits must be on the CPU here, got an array {THERE} (not built)",
    )
    assert error_of(lambda: sg.random.gumbel(3, rng=0, out=Interface(logits(3)))) == (
        RuntimeError,
        f"gumbel: out must be on the CPU here, got an array {THERE} (not built)",
    )


# ---- checks that are the CPU's ----


@pytest.mark.parametrize(
    "options",
    [
        {"streams": [1, 2, 3]}, {"streams": 4}, {"position": [1, 2, 3]}, {"index_offset": -1},
        {"index_offset": 2**62 - 2}, {"index_offset": 2**63},
    ],
)  # fmt: skip
def test_places_are_checked_as_on_the_cpu(torch: None, module: Module, options: dict[str, Any]) -> None:
    y, x = np.full((2, 3), 7, np.float32), logits(2, 3)
    expected = error_of(lambda: sg.random.gumbel((2, 3), rng=0, **options))
    assert error_of(lambda: sg.random.gumbel((2, 3), rng=0, out=Interface(y), **options)) == expected
    expected = error_of(lambda: categorical(x, rng=0, **options))
    assert error_of(lambda: categorical(Tensor(x), rng=0, **options)) == expected
    assert not module.places
    assert (y == 7).all()


@pytest.mark.parametrize("temperature", [-1.0, np.nan, np.inf, [1.0, -2.0], [1.0, 1.0, 1.0], [[1.0], [2.0**901]]])
def test_temperatures_are_checked_as_on_the_cpu(torch: None, module: Module, temperature: Any) -> None:
    for x in (logits(2, 3), logits(0, 3)) if np.ndim(temperature) == 0 else (logits(2, 3),):
        expected = error_of(lambda x=x: categorical(x, rng=0, temperature=temperature))
        assert error_of(lambda x=x: categorical(Tensor(x), rng=0, temperature=temperature)) == expected
    assert not module.places


# ---- the compiled module ----


@pytest.fixture(scope="module")
def compiled() -> ModuleType:
    """Give the compiled module."""
    return compiled_module()


def test_errors_of_the_compiled_module(compiled: ModuleType) -> None:
    y, drawn = np.zeros((2, 8), np.float32), np.zeros(2, np.int64)
    rows = f"must have rows of adjacent elements, all at one distance, {THERE}, got shape"

    def noise(out: np.ndarray, law: str = "gumbel", shape: Any = None, **more: Any) -> None:
        given = {"streams": None, "positions": None, "index_offset": 0, "dtype": out.dtype.name, **more}
        compiled.noise(
            law=law, wide=False, key=1, position=0, shape=out.shape if shape is None else shape,
            out=view(out), device=0, stream=1, **given,
        )  # fmt: skip

    def draw(x: np.ndarray, out: np.ndarray = drawn, samples: int | None = None, **more: Any) -> None:
        given = {"temperatures": None, "temperature": 1.0, "where": None, "streams": None, "positions": None,
                 "index_offset": 0, "dtype": x.dtype.name, **more}  # fmt: skip
        compiled.categorical(
            logits=view(x), out=view(out), samples=samples, key=1, position=0, wait=False, device=0, stream=1, **given,
        )  # fmt: skip

    shared = np.zeros(16, np.float32)
    cases: list[tuple[Any, type, str]] = [
        (lambda: noise(y, shape=(2, 3)), ValueError, "gumbel: out must have shape (2, 3), got (2, 8)"),
        (lambda: noise(y[:, ::2]), ValueError, f"gumbel: out {rows} (2, 4) with strides (32, 8) in bytes"),
        (lambda: noise(np.broadcast_to(y[0], (2, 8))), ValueError,
         "gumbel: out must be writable, got a read-only array"),
        (lambda: noise(y, "cauchy"), ValueError, "noise: law must be a distribution of this family, got 'cauchy'"),
        (lambda: noise(y.astype(np.float16)), TypeError, "gumbel: out must have dtype float32, got float16"),
        (lambda: noise(y, "uniform", dtype="bfloat16"), TypeError,
         "uniform: out must have dtype float32, got bfloat16"),
        (lambda: noise(y, dtype="int8"), TypeError,
         "dtype must be float32, float64, float16 or bfloat16, got int8"),
        (lambda: noise(y, streams=np.zeros(3, np.int64)), ValueError,
         "gumbel: streams must be contiguous and have shape (2,), got (3,)"),
        (lambda: noise(y, positions=np.zeros(4, np.int64)[::2]), ValueError,
         "gumbel: position must be contiguous and have shape (2,), got (2,)"),
        (lambda: draw(y, np.zeros(3, np.int64)), ValueError, "categorical: out must have shape (2,), got (3,)"),
        (lambda: draw(y, samples=3), ValueError, "categorical: out must have shape (2, 3), got (2,)"),
        (lambda: draw(y, np.zeros(4, np.int64)[::2]), ValueError, f"categorical: out {rows} (2,) with strides (16,) in "
         "bytes"),
        (lambda: draw(y.astype(np.float64)), TypeError, "categorical: logits must have dtype bfloat16, got float64"),
        (lambda: draw(y[:, ::2]), ValueError, f"categorical: logits {rows} (2, 4) with strides (32, 8) in bytes"),
        (lambda: draw(y, where=view(np.zeros((3, 8), bool))), ValueError,
         "categorical: where must broadcast to shape (2, 8), got shape (3, 8)"),
        (lambda: draw(y, temperatures=np.zeros(2, np.float32)), TypeError,
         "categorical: temperature must have dtype float64, got float32"),
        (lambda: draw(y, temperatures=np.array([1.0, np.nan])), ValueError,
         "categorical: temperature must be in [0, 2**900], got nan"),
        (lambda: draw(y, temperature=-1.0), ValueError, "categorical: temperature must be in [0, 2**900], got -1.0"),
        (lambda: draw(y, index_offset=-1), ValueError, "categorical: index_offset must be in [0, 2**62], got -1"),
        (lambda: noise(y, index_offset=2**62 - 7), ValueError,
         f"gumbel: index_offset must leave indices up to 2**62, got {2**62 - 7} and rows of 8"),
        (lambda: draw(shared.reshape(2, 8), shared.view(np.int64)[:2]), ValueError,
         f"categorical: out must share no memory with logits {THERE}, got arrays that overlap"),
    ]  # fmt: skip
    for call, kind, message in cases:
        assert error_of(call) == (kind, message)
    # Nothing is launched for nothing: without a device it would fail.
    noise(np.zeros((0, 3), np.float32))
    noise(np.zeros((3, 0), np.float32))
    draw(np.zeros((0, 3), np.float32), np.zeros(0, np.int64))
    draw(y, np.zeros((2, 0), np.int64), samples=0)
    devices, reason = compiled.device_count()
    if not devices:
        assert error_of(lambda: noise(y)) == (RuntimeError, f"gumbel: {reason}")
        assert error_of(lambda: draw(y)) == (RuntimeError, f"categorical: {reason}")
        assert re.match(r"CUDA reports", reason)

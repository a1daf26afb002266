"""Arrays of other libraries on the CPU: seen without a copy, answered in kind.

`dlpack_stand_in` plays a library that does all that a producer may do; test_torch_and_jax.py has the real ones.
"""

import ctypes
import gc
import inspect
import pickle
import re
import sys
import threading
import types
import weakref
from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

import dlpack_stand_in
import numpy as np
import pytest
from cuda_stand_in import Capsule, Undisclosed
from dlpack_stand_in import Foreign, as_bits, live, logits

import sorgum as sg
from sorgum._arguments.arrays import floats_of
from sorgum._arguments.scalars import number_of
from sorgum.interop import bfloat16, dlpack, libraries

s, r = sg.special, sg.random


pytestmark = pytest.mark.usefixtures("no_leaks")


# Every public function that takes arrays: a call with arrays that `of` makes of NumPy's, and results to compare.
X, Y, MASK = logits(3, 5), logits(3, 5) / 2, logits(3, 5) > -1
T = np.array([0.5, 1.0, 2.0])
TOKENS = np.array([[1, 2], [0, -1], [4, 4]])
IDS, P = np.array([[1, 2], [0, 3], [4, 0]]), s.softmax(X)
CALLS: dict[str, Callable[[Callable[[np.ndarray], Any]], Any]] = {
    "special.exp": lambda of: s.exp(of(X)),
    "special.log": lambda of: s.log(of(X)),
    "special.softmax": lambda of: s.softmax(of(X), temperature=of(T), where=of(MASK)),
    "special.log_softmax": lambda of: s.log_softmax(of(X), 0, where=of(MASK)),
    "special.logsumexp": lambda of: s.logsumexp(of(X), b=of(Y), return_sign=True),
    "special.softmax_grad": lambda of: s.softmax_grad(of(X), dy=of(Y), temperature=of(T)),
    "special.log_softmax_grad": lambda of: s.log_softmax_grad(of(X), dy=of(Y), where=of(MASK)),
    "special.logsumexp_grad": lambda of: s.logsumexp_grad(of(X), dy=of(Y[:, 0])),
    "special.logsumexp_partial": lambda of: s.logsumexp_partial(of(X), temperature=of(T), where=of(MASK)),
    "special.softmax_from_partial": lambda of: s.softmax_from_partial(of(X), s.logsumexp_partial(of(X))),
    "random.categorical": lambda of: r.categorical(of(X), rng=1, temperature=of(T), top_k=of(TOKENS[:, 0] + 1)),
    "random.gumbel_partial": lambda of: r.gumbel_partial(of(X), rng=1, streams=of(np.arange(3))),
    "random.gumbel_top_k": lambda of: r.gumbel_top_k(of(X), 3, rng=1, where=of(MASK)),
    "random.top_k_log_prob": lambda of: r.top_k_log_prob(of(X), of(np.array([[0, 1], [2, 3], [4, -1]]))),
    "random.inclusion_weights": lambda of: r.inclusion_weights(of(X), r.gumbel_top_k(of(X), 2, rng=1)),
    "random.gumbel_softmax": lambda of: r.gumbel_softmax(of(X), rng=1, temperature=of(T), position=of(np.arange(3))),
    "random.gumbel_softmax_grad": lambda of: r.gumbel_softmax_grad(of(Y), dy=of(X), rng=1, where=of(MASK)),
    "random.filter_logits": lambda of: r.filter_logits(of(X), top_p=of(T / 2), min_p=0.1),
    "random.apply_penalties": lambda of: r.apply_penalties(of(X), of(TOKENS), frequency=of(T), prompt=of(TOKENS)),
    "random.concrete_log_prob": lambda of: r.concrete_log_prob(of(X), of(Y), temperature=of(T)),
    "random.concrete_score": lambda of: r.concrete_score(of(X), of(Y), temperature=0.5),
    "random.binary_concrete": lambda of: r.binary_concrete(of(X), rng=1),
    "random.hard_concrete": lambda of: r.hard_concrete(of(X), rng=1),
    "random.truncated_gumbel": lambda of: r.truncated_gumbel(of(X), of(Y), rng=1),
    "random.gumbel_given_max": lambda of: r.gumbel_given_max(of(X), of(Y[:, 0]), rng=1),
    "random.gamma": lambda of: r.gamma(of(X + 5), rng=1),
    "random.dirichlet": lambda of: r.dirichlet(of(X + 5), rng=1),
    "random.soft_token_step": lambda of: r.soft_token_step(of(X), 2, rng=1, temperature=of(T)),
    "random.soft_token_log_prob": lambda of: r.soft_token_log_prob(of(X), of(IDS), of(Y[:, :2])),
    "random.soft_token_log_prob_grad": lambda of: r.soft_token_log_prob_grad(of(X), of(IDS), of(Y[:, :2]), dy=of(T)),
    "random.gumbel_resample": lambda of: r.gumbel_resample(of(X), 2, rng=1, where=of(MASK)),
    "random.dirichlet_resample": lambda of: r.dirichlet_resample(of(X), 2, rng=1, top_p=of(T / 2)),
    "random.embedding_mix": lambda of: r.embedding_mix(of(Y[:, :2]), of(IDS), of(X.T)),
    "random.flow_temperature": lambda of: r.flow_temperature(of(T / 2), maximum=2.0, decay=3.0),
    "random.flow_interpolant": lambda of: r.flow_interpolant(of(IDS[:, 0]), 5, rng=1, temperature=of(T)),
    "random.flow_velocity": lambda of: r.flow_velocity(of(P), of(P), temperature=of(T), decay=3.0),
    "random.frozen_flow_velocity": lambda of: r.frozen_flow_velocity(of(X), decay=3.0),
    "random.flow_score": lambda of: r.flow_score(of(X), of(IDS[:, 0]), temperature=of(T)),
    "random.flow_step": lambda of: r.flow_step(of(P), of(Y), 0.01),
    "random.flow_guidance": lambda of: r.flow_guidance(of(np.stack([X, Y])), of(P)),
    "random.gaussian_mixture_log_prob": lambda of: r.gaussian_mixture_log_prob(
        of(X[0]), of(T), of(X), of(np.abs(Y) + 1)
    ),
    "random.frequency_gradient": lambda of: r.frequency_gradient(of(X), of(Y)),
}
# Their first arguments are shapes, keys or records.
OTHERS = {
    "special.logsumexp_merge", "special.logsumexp_finish", "random.gumbel_merge", "random.bits", "random.exponential",
    "random.fold_in", "random.gumbel", "random.key", "random.logistic", "random.normal", "random.split",
    "random.uniform",
}  # fmt: skip


def leaves(result: Any) -> list[Any]:
    return [leaf for item in result for leaf in leaves(item)] if isinstance(result, tuple) else [result]


def test_no_function_is_forgotten() -> None:
    public = {
        f"{family}.{name}"
        for family, module in (("special", s), ("random", r))
        for name in module.__all__
        if inspect.isroutine(getattr(module, name))
    }
    assert public == set(CALLS) | OTHERS


@pytest.mark.parametrize("name", CALLS)
def test_results_come_back_in_kind(name: str) -> None:
    expected = CALLS[name](lambda array: array)
    before = {id(array): array.copy() for array in (X, Y, MASK, T, TOKENS, IDS, P)}
    result = CALLS[name](Foreign)
    assert type(result) is type(expected) or isinstance(result, Foreign)
    for got, want in zip(leaves(result), leaves(expected), strict=True):
        if want.dtype.names:  # records
            got = Foreign(got)
        assert type(got) is Foreign
        assert got.array.dtype == want.dtype
        assert got.array.shape == want.shape
        np.testing.assert_array_equal(as_bits(got.array), as_bits(want))
    for array in (X, Y, MASK, T, TOKENS, IDS, P):
        np.testing.assert_array_equal(array, before[id(array)])


@pytest.mark.parametrize("wrap", [Undisclosed, Capsule])
@pytest.mark.parametrize("name", CALLS)
def test_arrays_on_devices_are_refused_at_the_door(name: str, wrap: Any) -> None:
    function = attrgetter(name)(sg)
    if function.on_devices:
        pytest.skip("it takes them: test_cuda.py of its family")
    with pytest.raises(TypeError) as caught:
        CALLS[name](wrap)
    message = r"(\w+): \w+ must be on the CPU, got an array on a CUDA device, where there is no \1"  # or of one within
    assert re.fullmatch(message, str(caught.value))


def test_arguments_of_a_function_with_a_version_for_devices() -> None:
    """One argument decides whether it is called: the others do not bring it in."""
    x, there = logits(3), Undisclosed(logits(3))
    for call, message in (
        (lambda: s.softmax(x, where=there), "softmax: where must be on the CPU, got an array on a CUDA device"),
        (lambda: s.exp(x, out=there), "exp: out must be on the CPU, got an array on a CUDA device"),
        (
            lambda: r.bits(3, rng=0, streams=there),
            "bits: streams must be on the CPU, got an array on a CUDA device",
        ),
        (lambda: s.exp(there, there), "exp: arguments after x must be given by name, got 2 without"),
        (lambda: s.exp(there, output=there), "exp: arguments must be among x, out, got output"),
        (lambda: r.categorical(there), "categorical: rng must be given, got nothing"),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value) == message


# ---- what is seen ----


@pytest.mark.parametrize("version", [None, (1, 0), (1, 3)])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
@pytest.mark.parametrize(
    "cut",
    [
        lambda a: a, lambda a: a.T, lambda a: a[::2, 1:], lambda a: a[:, ::-1], lambda a: a[:0], lambda a: a[1, 2, ...],
        lambda a: np.broadcast_to(a[:1], (4, 7)), lambda a: a[None],
    ],
    ids=["whole", "transposed", "part", "reversed", "empty", "scalar", "broadcast", "axis"],
)  # fmt: skip
def test_layouts_and_types(version: tuple[int, int] | None, dtype: str, cut: Any) -> None:
    x = cut((np.arange(35) % 6).reshape(5, 7).astype(dtype))
    result = s.softmax(Foreign(x, version=version))
    expected = np.asarray(s.softmax(x))
    assert result.array.dtype == expected.dtype
    assert result.array.shape == expected.shape
    np.testing.assert_array_equal(as_bits(result.array), as_bits(expected))


def test_contiguous_without_strides_and_bytes_offset() -> None:
    x = logits(6, 4)
    np.testing.assert_array_equal(s.exp(Foreign(x, strides=False)).array, s.exp(x))
    part = Foreign(x[2:], data=x.ctypes.data, byte_offset=32)
    np.testing.assert_array_equal(s.exp(part).array, s.exp(x[2:]))
    scalar = Foreign(np.array(1.5), strides=False, shape=None)
    np.testing.assert_array_equal(s.exp(scalar).array, s.exp(1.5))


def test_nothing_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    original = sg._core.special.softmax

    def softmax(x: np.ndarray, axes: Any, t: Any, where: Any, out: np.ndarray, *options: str) -> None:
        seen.append((x.ctypes.data, where.ctypes.data))
        original(x, axes, t, where, out, *options)

    monkeypatch.setattr(sg._core.special, "softmax", softmax)
    result = s.softmax(Foreign(X.T), where=Foreign(MASK.T), temperature=1)  # an int: the usual way
    assert seen == [(X.ctypes.data, MASK.ctypes.data)]
    assert isinstance(result, Foreign)


def test_out_is_written_in_place() -> None:
    for version in ((1, 0), (1, 1)):
        x, y = logits(4, 3), np.zeros((3, 4), np.float32)
        out = Foreign(y.T, version=version)
        assert s.softmax(Foreign(x), out=out) is out
        np.testing.assert_array_equal(y.T, s.softmax(x))
        same = Foreign(x.copy())
        assert s.exp(same, out=same) is same
        np.testing.assert_array_equal(same.array, s.exp(x))
    log, b = Foreign(np.zeros(4, np.float32)), np.float32([1, -1, 2])
    got, sign = s.logsumexp(Foreign(x), b=b, return_sign=True, out=log)
    assert got is log
    assert isinstance(sign, Foreign)
    out = Foreign(np.zeros((2, 3), np.float32))
    assert r.uniform((2, 3), rng=1, out=out) is out
    np.testing.assert_array_equal(out.array, r.uniform((2, 3), rng=1))
    overlapping = np.zeros(12, np.float32)
    overlapping[:10] = logits(10)
    expected = s.exp(overlapping[:10])
    s.exp(Foreign(overlapping[:10]), out=Foreign(overlapping[2:]))
    np.testing.assert_array_equal(overlapping[2:], expected)


def test_the_first_argument_decides() -> None:
    x, f = logits(3, 4), Foreign(logits(3, 4))
    y = np.zeros((3, 4), np.float32)
    mask = Foreign(x > 0)
    for result in (s.softmax(x, where=mask), s.softmax_grad(x, dy=f), s.softmax(x.tolist(), where=mask)):
        assert type(result) is np.ndarray
    for result in (s.softmax_grad(f, dy=x), s.softmax(f, where=x > 0), s.softmax(x=f), s.softmax(where=mask, x=f)):
        assert type(result) is Foreign
    assert s.softmax(f, out=y) is y
    assert type(s.logsumexp(x[0], where=Foreign(x[0] > 0))) is np.float32
    out = Foreign(y)
    assert s.softmax(x, out=out) is out
    assert type(r.key(1)) is r.Key
    assert type(r.fold_in(1, Foreign(np.array(3)))) is r.Key


def test_types_meet_as_those_of_numpy() -> None:
    wide = s.logsumexp(Foreign(X), b=np.ones(5))
    assert wide.array.dtype == np.float64
    assert s.softmax_grad(Foreign(X), dy=Foreign(Y.astype(np.float64))).array.dtype == np.float64


# ---- bfloat16 ----


def half(array: np.ndarray) -> np.ndarray:
    """Return the numbers, all of them of 8 bits, as words of bfloat16."""
    words = np.asarray(array, np.float32).view(np.uint32)
    assert not (words & 0xFFFF).any()
    return (words >> 16).astype(np.uint16)


def brain(array: np.ndarray) -> Foreign:
    return Foreign(half(array), code=4)


def of_brain(result: Foreign) -> np.ndarray:
    """Return the float32 of an array of bfloat16."""
    assert result.code == 4
    return (result.array.view(np.uint16).astype(np.uint32) << 16).view(np.float32).reshape(result.array.shape)


def rounded(array: np.ndarray) -> np.ndarray:
    return bfloat16.widened(bfloat16.rounded(array, bfloat16.bits))


def test_bfloat16(bf16: str) -> None:
    x, y = logits(4, 6), logits(4, 6) / 8
    f, g = brain(x), brain(y)
    pairs = [
        (s.exp(f), s.exp(x)),
        (s.log(f), s.log(x)),
        (s.softmax(f, 0, temperature=0.5), s.softmax(x, 0, temperature=0.5)),
        (s.log_softmax(f), s.log_softmax(x)),
        (s.logsumexp(f, where=x > -1), s.logsumexp(x, where=x > -1)),
        (s.softmax_grad(f, dy=g), s.softmax_grad(x, dy=y)),
        (s.logsumexp_grad(f, dy=brain(y[:, 0])), s.logsumexp_grad(x, dy=y[:, 0])),
        (s.logsumexp_grad(f, dy=brain(y[:, 0]), b=g), s.logsumexp_grad(x, dy=y[:, 0], b=y)),
        (s.logsumexp(f, b=g, return_sign=True)[0], s.logsumexp(x, b=y, return_sign=True)[0]),
        (s.logsumexp(f, b=g, return_sign=True)[1], s.logsumexp(x, b=y, return_sign=True)[1]),
        (s.logsumexp(f, return_sign=True)[1], s.logsumexp(x, return_sign=True)[1]),
        (s.logsumexp(f, b=0.5), s.logsumexp(x, b=np.float32(0.5))),
        (s.softmax_from_partial(f, s.logsumexp_partial(f)), s.softmax(x)),
        (s.softmax(brain(x.T).__class__(half(x.T).T, code=4)), s.softmax(x)),
        (s.logsumexp(f, None), s.logsumexp(x, None)),
    ]
    for got, want in pairs:
        np.testing.assert_array_equal(of_brain(got), rounded(np.asarray(want)))
    out = brain(np.zeros((4, 6)))
    assert s.softmax(f, out=out) is out
    np.testing.assert_array_equal(of_brain(out), rounded(s.softmax(x)))


def test_bfloat16_meets_other_types(bf16: str) -> None:
    x, y = logits(4, 6), logits(4, 6) / 8
    f = brain(x)
    for other, common in ((np.float32, np.float32), (np.float16, np.float32), (np.float64, np.float64)):
        a, b = y.astype(other), y.astype(common)
        for got, want in (
            (s.softmax_grad(f, dy=a), s.softmax_grad(x.astype(common), dy=b)),
            (s.softmax_grad(Foreign(a), dy=f), s.softmax_grad(b, dy=x.astype(common))),
            (s.logsumexp(f, b=abs(a)), s.logsumexp(x.astype(common), b=abs(b))),
        ):
            assert got.array.dtype == common
            np.testing.assert_array_equal(got.array, want)
    assert s.softmax_grad(f, dy=np.arange(24).reshape(4, 6)).array.dtype == np.float64


def test_random_takes_bfloat16(bf16: str) -> None:
    x = logits(4, 6)
    given, wide = brain(x), bfloat16.widened(bfloat16.rounded(x, bfloat16.bits))
    np.testing.assert_array_equal(r.categorical(given, rng=1).array, r.categorical(wide, rng=1))
    soft = bfloat16.rounded(r.gumbel_softmax(wide, rng=1), bfloat16.bits)
    assert r.gumbel_softmax(given, rng=1).array.tobytes() == soft.tobytes()
    kept = r.filter_logits(given, top_k=2).array
    assert kept.tobytes() == bfloat16.rounded(r.filter_logits(wide, top_k=2), bfloat16.bits).tobytes()


def test_rounding_to_bits() -> None:
    halves = np.float32([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -0.0, np.inf, 3.4e38, 2**-133 * 1.5, np.nan])
    assert bfloat16.rounded(halves, bfloat16.bits)["bfloat16"].tolist() == [
        0x3F80, 0x3F82, 0x3F81, 0x8000, 0x7F80, 0x7F80, 0x0002, 0x7FC0,
    ]  # fmt: skip
    words = np.arange(2**16, dtype=np.uint16)
    there = words.view(bfloat16.bits)
    back = bfloat16.rounded(bfloat16.widened(there), there.dtype)["bfloat16"]
    numbers = ~np.isnan(bfloat16.widened(there))
    np.testing.assert_array_equal(back[numbers], words[numbers])
    assert set(back[~numbers].tolist()) == {0x7FC0}
    types_ = pytest.importorskip("ml_dtypes")
    values = np.random.default_rng(1).integers(0, 2**32, 100000, dtype=np.uint32).view(np.float32)
    values = values[~np.isnan(values)]
    np.testing.assert_array_equal(
        bfloat16.rounded(values, bfloat16.bits)["bfloat16"], values.astype(types_.bfloat16).view(np.uint16)
    )


# ---- what is let go of ----


def test_deleters_are_called_once() -> None:
    for version in (None, (1, 0)):
        given = Foreign(logits(5), version=version)
        dlpack_stand_in.deleted.clear()
        result = s.softmax(given)
        assert (len(dlpack_stand_in.deleted), live()) == (1, 0)
        assert isinstance(result, Foreign)
        with pytest.raises(ValueError, match="axis"):
            s.softmax(given, 3)
        assert (len(dlpack_stand_in.deleted), live()) == (2, 0)


def test_what_is_handed_out_keeps_its_memory_as_long_as_it_lives() -> None:
    for versioned in (True, False):
        array = np.arange(1000.0)
        alive = weakref.ref(array)
        capsule = dlpack.capsule(array, versioned=versioned)
        view = dlpack.array_of(capsule)
        del array, capsule
        gc.collect()
        assert alive() is not None
        assert view is not None
        assert view.sum() == 499500.0
        del view
        gc.collect()
        assert alive() is None
        array = np.arange(1000.0)
        alive = weakref.ref(array)
        taken = np.from_dlpack(dlpack.Exported(array))  # consumes a capsule
        del array
        gc.collect()
        assert alive() is not None
        assert taken.sum() == 499500.0
        del taken
        gc.collect()
        assert alive() is None


def test_references_do_not_grow() -> None:
    given, out = Foreign(logits(8)), Foreign(np.zeros(8, np.float32))
    mask = Foreign(logits(8) > 0)
    counts = []
    for _ in range(3):
        for _ in range(200):
            s.softmax(given, where=mask, out=out)
            r.gumbel_top_k(given, 2, rng=1)
            with pytest.raises(ValueError, match="temperature"):
                s.softmax(given, temperature=-1.0)
        gc.collect()
        objects = (given, given.array, out, out.array, mask, None, 2, s.softmax, np.dtype(np.float32))
        counts.append([sys.getrefcount(o) for o in objects])
    assert np.ptp([c[:5] + c[7:8] for c in counts], axis=0).max() == 0
    assert np.ptp(counts, axis=0).max() < 100


# ---- what is refused ----


def test_errors() -> None:
    x = logits(2, 3)
    axes = [ctypes.c_int64 * 2, ctypes.c_int64 * 65]
    negative, huge, many = axes[0](3, -1), axes[0](2**40, 2**40), axes[1](*[1] * 65)
    c = Foreign
    no_type, no_cpu = (
        "must have a type of NumPy or bfloat16, got",
        "must be on the CPU or a CUDA device, got an array on",
    )
    floats, real = "float16, bfloat16, float32, float64, bool or integer", "a real number or an array of them"
    read_only, d = "must be writable, got a read-only array", "exp: x.__dlpack__:"
    type_errors = [
        (lambda: s.softmax(c(x, code=9)), f"softmax: x {no_type} code9_32"),
        (lambda: s.softmax(c(x, lanes=2)), f"softmax: x {no_type} float32x2"),
        (lambda: s.softmax(c(x, bits=24)), f"softmax: x {no_type} float24"),
        (lambda: s.softmax(x, where=c(x, code=6)), f"softmax: where {no_type} bool32"),
        (lambda: s.softmax(x, -1, where=c(x)), "softmax: where must be boolean, got dtype dtype('float32')"),
        (lambda: s.softmax(c(x.astype("c16"))), f"softmax: x must be {floats}, got dtype dtype('complex128')"),
        (lambda: s.softmax(x, temperature=c(x > 0)), f"softmax: temperature must be {real}, got dtype dtype('bool')"),
        (lambda: r.categorical(c(x, device=(8, 0)), rng=1), f"categorical: logits {no_cpu} device 8 of DLPack"),
        (lambda: s.exp(x, out=c(x, device=(14, 0))), f"exp: out {no_cpu} device 14 of DLPack"),
        (lambda: s.exp(x, out=c(x.astype("f8"))), "exp: out must have dtype float32, got float64"),
    ]
    value_errors = [
        (lambda: s.exp(x, out=c(x, read_only=True)), f"exp: out {read_only}"),
        (lambda: s.exp(x, out=c(x, copied=True)), f"exp: out {read_only}"),  # what is written there would be lost
        (lambda: s.exp(x, out=c(x, version=None)), f"exp: out {read_only}"),
        (lambda: s.exp(x, out=c(x.T)), "exp: out must have shape (2, 3), got (3, 2)"),
        (lambda: s.exp(c(x, version=(2, 0))), f"{d} the version must be 1, got 2.0"),
        (lambda: s.exp(c(x, ndim=-1)), f"{d} ndim must be in [0, 64], got -1"),
        (lambda: s.exp(c(x, ndim=65, shape=many)), f"{d} ndim must be in [0, 64], got 65"),
        (lambda: s.exp(c(x, shape=None)), f"{d} shape must be given for axes, got 2"),
        (lambda: s.exp(c(x, shape=negative)), f"{d} shape must not be negative, got -1"),
        (lambda: s.exp(c(x, shape=huge)), f"{d} the size must fit in 63 bits, for axes, got 2"),
        (lambda: s.exp(x, out=c(x, ndim=-1)), "exp: out.__dlpack__: ndim must be in [0, 64], got -1"),
        (lambda: s.exp(c(x, data=None)), f"{d} data must be given for elements of so many bits, got 32"),
    ]
    cases = [(call, TypeError, text) for call, text in type_errors]
    cases += [(call, ValueError, text) for call, text in value_errors]
    for call, kind, message in cases:
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert (caught.type, str(caught.value)) == (kind, message)


def test_tuples_in_tuples_without_end() -> None:
    class One(NamedTuple):
        item: Any

    deep = One(0.0)
    for _ in range(1_000_000):
        deep = One(deep)
    with pytest.raises(RecursionError):
        s.exp(deep)


def test_host_memory_of_devices_is_the_cpus() -> None:
    for kind in (dlpack.CUDA_HOST, dlpack.ROCM_HOST):
        np.testing.assert_array_equal(s.exp(Foreign(X, device=(kind, 0))).array, s.exp(X))


class Refusing(Foreign):
    """Raises in the place of an answer."""

    def __init__(self, where: str, error: Exception) -> None:
        super().__init__(X)
        self.where, self.error = where, error

    def __dlpack_device__(self) -> tuple[int, int]:
        if self.where == "device":
            raise self.error
        return super().__dlpack_device__()

    def __dlpack__(self, **options: Any) -> Any:
        if self.where == "capsule":
            raise self.error
        return None


TAKERS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: s.softmax(x), "softmax: x"),
    (lambda x: s.softmax(X, where=x), "softmax: where"),
    (lambda x: r.categorical(X, rng=1, streams=x), "categorical: streams"),
]


@pytest.mark.parametrize("where", ["device", "capsule"])
@pytest.mark.parametrize("error", [BufferError("not now"), TypeError("not so"), RuntimeError("not ever")])
def test_what_a_producer_raises_is_said_in_our_name(where: str, error: Exception) -> None:
    for call, owner in TAKERS:
        home = Refusing.__module__.partition(".")[0]
        with pytest.raises(TypeError) as caught:
            call(Refusing(where, error))
        assert str(caught.value) == f"{owner} must be an array that DLPack can hand over, got {home}.Refusing: {error}"
        assert caught.value.__cause__ is error


def test_what_is_no_capsule() -> None:
    for call, owner in TAKERS:
        with pytest.raises(TypeError) as caught:
            call(Refusing("nowhere", ValueError()))
        assert str(caught.value) == f"{owner}.__dlpack__: the result must be an unused DLPack capsule, got None"


def test_arrays_that_are_traced() -> None:
    class Traced:
        def __dlpack__(self) -> Any:
            raise AssertionError("asked")

    for call, owner in ((lambda x: s.softmax(x), "softmax: x"), (lambda x: r.gumbel(3, rng=x), "gumbel: rng")):
        with pytest.raises(TypeError) as caught:
            call(Traced())
        assert (
            str(caught.value) == f"{owner} must have __dlpack_device__, as arrays that are traced have not, got Traced"
        )


@pytest.mark.parametrize("version", [None, (1, 0)])
def test_what_is_handed_out_is_copied_on_request(version: tuple[int, int] | None) -> None:
    for array in (np.arange(6.0).reshape(2, 3).T, np.arange(6.0)[::-2], np.zeros((0, 2)), np.float32(3.0)[...]):
        exported = dlpack.Exported(array)
        for copy in (None, False, True):
            capsule = exported.__dlpack__(max_version=version, copy=copy, dl_device=(dlpack.CPU, 0))
            view = dlpack.array_of(capsule)
            assert view is not None
            np.testing.assert_array_equal(view, array)
            assert np.shares_memory(view, array) == (not copy and array.size > 0)
    read_only = np.broadcast_to(np.arange(3.0), (2, 3))
    copied = dlpack.read(dlpack.Exported(read_only).__dlpack__(max_version=(1, 0), copy=True))
    assert copied.read_only is False


@pytest.mark.parametrize("device", [(dlpack.CUDA, 0), (dlpack.CUDA_HOST, 0), (dlpack.CPU, 1), "cpu"])
def test_what_is_handed_out_stays_on_the_cpu(device: Any) -> None:
    with pytest.raises(BufferError) as caught:
        dlpack.Exported(np.zeros(3)).__dlpack__(dl_device=device)
    assert str(caught.value) == f"__dlpack__: dl_device must be None or (1, 0), the CPU, got {device!r}"


def test_strides_that_dlpack_cannot_tell() -> None:
    array = np.zeros(3, [("a", "f4"), ("b", "i1")])["a"]
    with pytest.raises(
        ValueError, match=r"^__dlpack__: the strides must be multiples of the size of an element, got o"
    ):
        dlpack.capsule(array, versioned=True)


# ---- the functions ----


def test_functions_are_functions() -> None:
    for function in (s.softmax, r.gumbel, s.softmax_grad):
        assert inspect.isroutine(function)
        assert "out" in inspect.signature(function).parameters
        assert (function.__doc__ or "").startswith(inspect.unwrap(function).__doc__ or "?")
        assert pickle.loads(pickle.dumps(function)) is function
        assert weakref.ref(function)() is function
        assert re.match(r"<function \w+ at 0x", repr(function))
    assert s.softmax.__module__ == "sorgum.special"
    assert r.gumbel.__module__ == "sorgum.random"
    held = types.SimpleNamespace(f=s.exp)
    assert held.f(0.0) == 1.0

    class Holder:
        f = s.exp

    with pytest.raises(TypeError, match=r"^exp: x must be float16"):
        Holder().f()  # type: ignore[call-arg]
    assert Holder.f(0.0) == 1.0
    with pytest.raises(TypeError, match="cannot create"):
        type(s.softmax)()
    with pytest.raises(TypeError, match=r"^softmax: arguments must be among x, axis, .*, got nonsense$"):
        s.softmax(X, nonsense=1)  # type: ignore[call-overload]


def test_a_function_that_is_dropped_is_collected() -> None:
    def double(x: Any) -> Any:
        return 2 * x

    alive = weakref.ref(double)
    names: dict[str, Any] = {"__name__": "here", "__all__": ["double"], "double": double}
    libraries.open_to_libraries(names)
    names["double"].cycle = names["double"]
    assert names["double"].untranslated(3) == 6
    del double, names
    gc.collect()
    assert alive() is None


def test_many_threads() -> None:
    expected = s.softmax(X)
    failures: list[object] = []

    def work() -> None:
        for _ in range(100):
            result = s.softmax(Foreign(X))
            if not np.array_equal(result.array, expected):
                failures.append(result)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_names_that_cannot_be_looked_up() -> None:
    """An error on the way to the translation is Python's, and no exception of C++."""

    class Name(str):
        def __hash__(self) -> int:
            raise KeyError("no hash")

    with pytest.raises((KeyError, TypeError)):
        s.softmax(Foreign(X), **{Name("axis"): 0})


class Base:
    """What a public class may inherit from; not exported itself."""

    def __init__(self, weights: Any, *, scale: float = 1.0) -> None:
        self.weights = floats_of("Base", "weights", weights)
        self.scale = number_of("Base", "scale", scale)

    def __call__(self, x: Any) -> Any:
        return self.weights * floats_of("call", "x", x) * self.scale


class Weighted(Base):
    """Stands for a solver: it holds an array, and its methods take others."""

    @classmethod
    def of_ones(cls, like: Any) -> "Weighted":
        return cls(np.ones_like(floats_of("of_ones", "like", like)))

    @staticmethod
    def doubled(x: Any) -> Any:
        return 2 * floats_of("doubled", "x", x)

    def add(self, x: Any, *, out: Any = None) -> Any:
        return np.add(self.weights, floats_of("sum", "x", x), out=out)

    def _hidden(self, x: Any) -> str:
        return type(x).__name__


def test_methods_of_public_classes() -> None:
    """They are opened as functions are: arrays in and out, floating-point guard aside, and names in refusals."""
    libraries.open_to_libraries({"__name__": "here", "__all__": ["Weighted"], "Weighted": Weighted})
    libraries.open_to_libraries({"__name__": "here", "__all__": ["Weighted"], "Weighted": Weighted})  # no door twice
    w = np.arange(3.0)
    for held in (Weighted(w), Weighted(weights=Foreign(w))):
        assert type(held.weights) is np.ndarray
        for name in ("add", "__call__"):
            expected = getattr(held, name)(w)
            assert type(expected) is np.ndarray
            got = getattr(held, name)(Foreign(w))
            assert type(got) is Foreign
            assert np.array_equal(got.array, expected)
            assert type(getattr(held, name)(x=Foreign(w))) is Foreign
        out = Foreign(np.zeros(3))
        assert held.add(w, out=out) is out
        assert out.array.tolist() == [0, 2, 4]
        assert held._hidden(Foreign(w)) == "Foreign"
    assert type(Weighted.doubled(Foreign(w))) is Foreign
    assert type(Weighted.of_ones(Foreign(w))) is Weighted
    assert Weighted.of_ones(w).weights.tolist() == [1, 1, 1]
    assert isinstance(inspect.unwrap(Weighted.add), types.FunctionType)
    assert isinstance(Base.__call__, types.FunctionType)
    assert list(inspect.signature(Weighted).parameters) == ["weights", "scale"]
    assert Weighted.add.__reduce__() == "Weighted.add"  # pickled by name, as functions are
    for call, message in (
        (lambda: Weighted(), "Weighted: weights must be given, got nothing"),
        (lambda: Weighted(w, size=2), "Weighted: arguments must be among weights, scale, got size"),
        (lambda: Weighted(Foreign(w), size=2), "Weighted: arguments must be among weights, scale, got size"),
        (lambda: Weighted(w, 2), "Weighted: arguments after weights must be given by name, got 2 without"),
        (lambda: Weighted(w, scale="2"), "Weighted: scale must be a real number, got str"),
        (lambda: Weighted(w)(), "Weighted: x must be given, got nothing"),
        (lambda: Weighted(w).add(), "Weighted.add: x must be given, got nothing"),
        (lambda: Weighted(w).add(w, 3, 4), "Weighted.add: arguments after x must be given by name, got 3 without"),
        (
            lambda: Weighted(w).add("a"),
            "Weighted.add: x must be float16, bfloat16, float32, float64, bool or integer, got dtype dtype('<U1')",
        ),
        (
            lambda: Weighted(w).add(Foreign(w, device=(4, 0))),
            "Weighted.add: x must be on the CPU or a CUDA device, got an array on device 4 of DLPack",
        ),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value) == message

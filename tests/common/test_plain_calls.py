"""Plain calls, whose arguments need no conversion: they are answered without a look at the function in Python.

Both ways end in one function of csrc/api, so what is tested here is how arguments are read, and the short cut of this
function for small contiguous arrays.
"""

import ctypes
import gc
import inspect
import itertools
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from dlpack_stand_in import Allocator, Foreign, Tensor, Versioned
from interrupts import ends_within

import sorgum as sg
from sorgum import _core
from sorgum.interop import bfloat16, dlpack, libraries

s, r = sg.special, sg.random
ONE = {"exp": s.exp, "log": s.log, "softmax": s.softmax, "log_softmax": s.log_softmax, "logsumexp": s.logsumexp}
TWO = {"softmax_grad": s.softmax_grad, "log_softmax_grad": s.log_softmax_grad, "logsumexp_grad": s.logsumexp_grad}
OF_ROWS = {name: f for name, f in {**ONE, **TWO}.items() if name not in ("exp", "log")}
SHAPES = [(1,), (2,), (15,), (16,), (17,), (64,), (1000,), (4096,), (3, 5), (2, 3, 4), (64, 64), (4096, 1), (1, 1, 7)]
LONGER = [(4097,), (9001,), (65, 64), (4097, 1), (3, 2, 1000), (3, 5000), (33, 1000)]  # the lock is handed over


class TheUsualWayError(Exception):
    """A call was not answered at once."""


def only_plain(name: str) -> Callable[..., Any]:
    """Return the function without its usual way."""

    def usual(*_: Any, **__: Any) -> Any:
        raise TheUsualWayError

    home = "random" if name == "categorical" else "special"
    return _core.function(usual, f"sorgum.{home}.{name}", usual, lambda *call: call[-1])  # type: ignore[no-any-return]


def go_the_usual_way(calls: dict[str, Callable[[], Any]]) -> None:
    for what, call in calls.items():
        try:
            call()
        except TheUsualWayError:
            continue
        pytest.fail(f"answered at once: {what}")
    assert sys.exc_info() == (None, None, None)


def numbers(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(0, 4, shape)
    values.flat[:: values.size // 3 + 7] = -np.inf
    return values.astype(np.float32).astype(dtype)


def dtypes() -> list[Any]:
    types: list[Any] = [np.float32, np.float64, np.float16]
    try:
        import ml_dtypes
    except ModuleNotFoundError:
        return types
    assert bfloat16.is_bfloat16(np.dtype(ml_dtypes.bfloat16))
    return [*types, ml_dtypes.bfloat16]


def same(got: Any, want: Any) -> None:
    assert type(got) is type(want)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    assert got.tobytes() == want.tobytes()


def called(function: Callable[..., Any], given: list[Any], **options: Any) -> Any:
    """Call with one array, or with one and a gradient, which has a name."""
    return function(given[0], **({"dy": given[1]} if len(given) > 1 else {}), **options)


def arguments(name: str, shape: tuple[int, ...], dtype: Any) -> list[np.ndarray]:
    if name in ONE:
        return [numbers(shape, dtype)]
    dy = numbers(shape, dtype, 1)
    return [abs(numbers(shape, dtype)), np.asarray(dy.max(axis=-1)) if name == "logsumexp_grad" else dy]


def spread(array: np.ndarray) -> np.ndarray:
    """Return an array of the same numbers that no short cut takes."""
    twice = np.zeros((*array.shape, 2), array.dtype)
    twice[..., 0] = array
    return twice[..., 0]


@pytest.mark.parametrize("dtype", dtypes(), ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_the_short_cut_has_the_bits_of_the_long_way(isa: str, name: str, dtype: Any) -> None:
    plain = only_plain(name)
    options = [{}, {"temperature": 0.7}, {"temperature": 1e300, "axis": -1}] if name in OF_ROWS else [{}]
    for shape, option in itertools.product(SHAPES + LONGER, options):
        given = arguments(name, shape, dtype)
        expected = called(plain, [spread(x) for x in given], **option)
        same(called(plain, given, **option), expected)
        out = np.zeros(np.shape(expected), dtype)
        assert called(plain, given, **option, out=out) is out
        same(out, np.asarray(expected))
        for i in range({"logsumexp": 0, "logsumexp_grad": 1}.get(name, len(given))):  # in place
            copies = [x.copy() for x in given]
            assert called(plain, copies, **option, out=copies[i]) is copies[i]
            same(copies[i], np.asarray(expected))


@pytest.mark.parametrize("dtype", dtypes(), ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_rows_that_hold_no_numbers_beside_others(isa: str, name: str, dtype: Any) -> None:
    """Such rows are done after the others of their batch: their elements must still be there."""
    plain = only_plain(name)
    for n, row, value in itertools.product((17, 40, 300), (0, 1, 3), (np.nan, np.inf, -np.inf, 6e4)):
        x = np.zeros((4, n), dtype)
        x[row, 3:] = value
        for temperature in (1.0, 1e-3):
            same(plain(x, temperature=temperature), plain(spread(x), temperature=temperature))


# Options of functions of rows, of an array with three axes, the last of 6 elements.
OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "the last axis": {"axis": 2},
    "another axis": {"axis": -3},
    "two axes": {"axis": (0, -1)},
    "no axes": {"axis": ()},
    "all axes": {"axis": None},
    "T": {"temperature": 0.3},
    "T per row": {"temperature": np.float64([[1, 2, 3], [0.5, 0.25, 4]])},
    "T without axes": {"temperature": np.array(3.0)},
    "where": {"where": np.arange(36).reshape(2, 3, 6) % 5 > 1},
    "where of rows": {"where": np.bool_([[True], [False], [True]])},
    "nothing that is given": {"where": None, "out": None},
}


@pytest.mark.parametrize("dtype", dtypes(), ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_every_argument_is_read_as_python_reads_it(name: str, dtype: Any) -> None:
    usual, plain = inspect.unwrap({**ONE, **TWO}[name]), only_plain(name)
    own: dict[str, dict[str, Any]] = {
        "logsumexp": {"keepdims": {"keepdims": True}, "b": {"b": None}},
        **{key: {"empty": {"empty": "zero", "algorithm": "two_pass"}} for key in ("softmax", "log_softmax")},
    }
    options = {**OPTIONS, **own.get(name, {})} if name in OF_ROWS else {"none": {}}
    x = numbers((2, 3, 6), dtype)
    for what, option in options.items():
        shape = np.shape(s.logsumexp(x, axis=option.get("axis", -1))) if name == "logsumexp_grad" else x.shape
        given = [abs(x), numbers(shape, dtype, 1)] if name in TWO else [x]
        expected = called(usual, given, **option)
        same(called(plain, given, **option), expected)
        for out in (np.zeros(np.shape(expected), dtype), spread(np.zeros(np.shape(expected), dtype))):
            assert called(plain, given, **{**option, "out": out}) is out, what
            same(out.copy(), np.asarray(expected))


def test_arrays_without_axes_or_elements() -> None:
    for name, f in ONE.items():
        usual, plain = inspect.unwrap(f), only_plain(name)
        for shape in [(), (0,), (3, 0), (0, 3), (2, 0, 4)]:
            same(plain(np.zeros(shape, np.float32)), usual(np.zeros(shape, np.float32)))


def test_axes_by_their_place() -> None:
    x = numbers((4, 6), np.float64)
    for name in ("softmax", "log_softmax", "logsumexp"):
        for axis in (0, 1, -1, None, (1, 0)):
            same(only_plain(name)(x, axis), inspect.unwrap(ONE[name])(x, axis))


def test_special_values_and_rows_without_elements() -> None:
    x = np.float32([[np.nan, 1], [np.inf, 1], [-np.inf, -np.inf], [-np.inf, 0], [1e-45, -0.0]])
    for name, f in ONE.items():
        same(only_plain(name)(x), inspect.unwrap(f)(x))
        same(only_plain(name)(x.astype(np.float16)), inspect.unwrap(f)(x.astype(np.float16)))


def test_the_plain_way_belongs_to_a_function_and_not_to_its_name() -> None:
    def exp(x: Any) -> Any:
        return "another exp"

    names = {"__name__": "elsewhere.special", "__all__": ["exp"], "exp": exp}
    libraries.open_to_libraries(names)
    assert names["exp"](np.zeros(3)) == "another exp"  # type: ignore[operator]
    with pytest.raises(TheUsualWayError):
        _core.function(only_plain_failing, "exp", only_plain_failing, lambda *call: call[-1])(np.zeros(3))
    assert only_plain("exp")(np.zeros(3)).tolist() == [1.0, 1.0, 1.0]


def only_plain_failing(*_: Any) -> Any:
    raise TheUsualWayError


def test_what_goes_the_usual_way() -> None:
    x, y = numbers((4, 6), np.float32), np.zeros((4, 6), np.float32)
    longer = np.zeros(30, np.float32)
    read_only = np.zeros((4, 6), np.float32)
    read_only.flags.writeable = False
    subclass = x.view(type("Sub", (np.ndarray,), {}))
    softmax, exp, grad, lse = (only_plain(name) for name in ("softmax", "exp", "softmax_grad", "logsumexp"))
    lse_grad, of_rows = only_plain("logsumexp_grad"), np.zeros(4, np.float32)
    assert softmax(x, out=y) is y
    assert lse_grad(x, dy=of_rows, out=y) is y
    calls = {
        "no argument": lambda: softmax(),
        "three": lambda: softmax(x, -1, 1.0),
        "axis twice": lambda: softmax(x, -1, axis=-1),
        "an axis of exp": lambda: exp(x, axis=-1),
        "an unknown name": lambda: softmax(x, nonsense=1),
        "what is of the other way": lambda: lse(x, sign=None),
        "where, not of booleans": lambda: softmax(x, where=np.ones((4, 6))),
        "where, a list": lambda: softmax(x, where=[True] * 6),
        "where of another shape": lambda: softmax(x, where=np.ones(5, bool)),
        "where in out": lambda: softmax(y, where=y.view(bool)[:, :6], out=y),
        "weights": lambda: lse(x, b=x),
        "a sign": lambda: lse(x, return_sign=True),
        "keepdims, no bool": lambda: lse(x, keepdims=1),
        "another dtype": lambda: lse(x, dtype=np.float32),
        "empty, unknown": lambda: softmax(x, empty="none"),
        "empty, no string": lambda: softmax(x, empty=None),
        "algorithm, unknown": lambda: softmax(x, algorithm="\ud800"),
        "a name that is not interned": lambda: softmax(x, **{"".join(["o", "ut"]): y}),
        "list": lambda: softmax([1.0]),
        "number": lambda: softmax(1.0),
        "None": lambda: softmax(None),
        "scalar": lambda: softmax(np.float32(1)),
        "integers": lambda: softmax(np.arange(3)),
        "booleans": lambda: softmax(np.array([True])),
        "complex": lambda: softmax(np.zeros(3, complex)),
        "longdouble": lambda: softmax(np.zeros(3, np.longdouble)),
        "bytes swapped": lambda: softmax(x.astype(">f4")),
        "bits of bfloat16": lambda: softmax(np.zeros(3, bfloat16.bits)),
        "subclass": lambda: softmax(subclass),
        "masked": lambda: softmax(np.ma.masked_array(x)),
        "no such axis": lambda: softmax(x, 2),
        "an axis beyond": lambda: softmax(x, 2**70),
        "True": lambda: softmax(x, True),
        "an axis of NumPy": lambda: softmax(x, np.int64(1)),
        "axes in a list": lambda: softmax(x, [1]),
        "axes, one of NumPy": lambda: softmax(x, (0, np.int64(1))),
        "the same axis twice": lambda: softmax(x, (1, -1)),
        "T 0": lambda: softmax(x, temperature=0.0),
        "T negative": lambda: softmax(x, temperature=-1.0),
        "T NaN": lambda: softmax(x, temperature=np.nan),
        "T infinite": lambda: softmax(x, temperature=np.inf),
        "T subnormal": lambda: softmax(x, temperature=5e-324),
        "T int": lambda: softmax(x, temperature=1),
        "T of NumPy": lambda: softmax(x, temperature=np.float64(1)),
        "T of float32": lambda: softmax(x, temperature=np.ones(4, np.float32)),
        "T of other rows": lambda: softmax(x, temperature=np.ones(3)),
        "T, one 0": lambda: softmax(x, temperature=np.float64([1, 1, 0, 1])),
        "out read-only": lambda: softmax(x, out=read_only),
        "out of another shape": lambda: softmax(x, out=np.zeros((6, 4), np.float32)),
        "out of other axes": lambda: softmax(x, out=np.zeros((1, 4, 6), np.float32)),
        "out of another type": lambda: softmax(x, out=np.zeros((4, 6))),
        "out a list": lambda: softmax(x, out=[0.0]),
        "out overlaps": lambda: softmax(longer[:24].reshape(4, 6), out=longer[6:].reshape(4, 6)),
        "out overlaps in front": lambda: softmax(longer[6:].reshape(4, 6), out=longer[:24].reshape(4, 6)),
        "out overlaps a gradient": lambda: grad(x, dy=longer[:24].reshape(4, 6), out=longer[6:].reshape(4, 6)),
        "out with the axis": lambda: lse(x, out=np.zeros((4, 1), np.float32)),
        "out in x": lambda: lse(x, out=x.reshape(-1)[:4]),
        "one array": lambda: grad(x),
        "a gradient of another shape": lambda: grad(x, dy=x[0]),
        "a gradient of another type": lambda: grad(x, dy=x.astype(np.float64)),
        "a gradient of all elements": lambda: lse_grad(x, dy=x),
        "a gradient of other rows": lambda: lse_grad(x, dy=of_rows[:3]),
        "a gradient of rows of another type": lambda: lse_grad(x, dy=of_rows.astype(np.float64)),
        "a gradient for all rows": lambda: lse_grad(x, dy=2.0),
        "a gradient in out": lambda: lse_grad(x, dy=y.reshape(-1)[:4], out=y),
    }
    go_the_usual_way(calls)
    np.testing.assert_array_equal(longer, 0)


@pytest.mark.parametrize("dtype", dtypes(), ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_large_new_results_take_memory_from_the_pool(name: str, dtype: Any) -> None:
    usual, plain = inspect.unwrap({**ONE, **TWO}[name]), only_plain(name)
    size = _core.POOLED_FROM // np.dtype(dtype).itemsize
    for shape in [(size, 1)] if name == "logsumexp" else [(size,), (3, size // 3 + 1), (5, 1, size // 4)]:
        given = arguments(name, shape, dtype)
        expected = called(usual, given).copy()
        result = called(plain, given)
        same(result, expected)
        assert result.base is not None
        assert result.flags.carray
        assert result.flags.writeable
        address = result.ctypes.data
        assert address % 64 == 0
        del result
        assert called(plain, given).ctypes.data == address


def test_names_that_are_not_interned_are_understood() -> None:
    x = numbers((8,), np.float32)
    out = np.zeros(8, np.float32)
    assert s.softmax(x, **{"".join(["o", "ut"]): out}) is out
    same(out, s.softmax(x))


def test_arrays_next_to_each_other_are_apart() -> None:
    memory = np.zeros(48, np.float32)
    memory[:24] = numbers((24,), np.float32)
    expected = inspect.unwrap(s.softmax)(memory[:24].reshape(4, 6))
    softmax = only_plain("softmax")
    softmax(memory[:24].reshape(4, 6), out=memory[24:].reshape(4, 6))
    np.testing.assert_array_equal(memory[24:].reshape(4, 6), expected)


# ---- draws ----


@pytest.mark.parametrize("dtype", dtypes())
def test_categorical_is_the_same_draw(isa: str, dtype: Any) -> None:
    usual, plain = inspect.unwrap(r.categorical), only_plain("categorical")
    for shape in [(1,), (2,), (17,), (64,), (4096,), (3, 5), (2, 3, 4), (64, 64), (64, 1), (9001,), (2, 3, 1000)]:
        x = numbers(shape, dtype)
        x[..., 0] = 0
        for options in (
            {},
            {"temperature": 0.3},
            {"temperature": 0.0},
            {"position": 7},
            {"position": 2**64 - 1, "temperature": 2.0},
        ):
            for rng in (0, 2**64 - 1, r.key(5)):
                same(plain(x, rng=rng, **options), usual(x, rng=rng, **options))
        same(plain(spread(x), rng=3), usual(x, rng=3))
        if len(shape) == 1:
            for stream in (0, 41, 2**64 - 1):
                same(plain(x, rng=3, streams=stream), usual(x, rng=3, streams=stream))
        same(plain(x, rng=3, streams=None), usual(x, rng=3))


def test_categorical_that_goes_the_usual_way() -> None:
    x = numbers((4, 6), np.float32)
    plain = only_plain("categorical")
    row = np.float32([0, 1])
    assert plain(row, rng=1) in (0, 1)
    calls = {
        "no rng": lambda: plain(row),
        "rng by position": lambda: plain(row, 1),
        "a Generator": lambda: plain(row, rng=np.random.default_rng(1)),
        "a negative rng": lambda: plain(row, rng=-1),
        "rng beyond": lambda: plain(row, rng=2**64),
        "rng True": lambda: plain(row, rng=True),
        "rng of NumPy": lambda: plain(row, rng=np.int64(1)),
        "position negative": lambda: plain(row, rng=1, position=-1),
        "position beyond": lambda: plain(row, rng=1, position=2**64),
        "positions": lambda: plain(x, rng=1, position=np.arange(4)),
        "streams": lambda: plain(x, rng=1, streams=np.arange(4)),
        "a stream for rows": lambda: plain(x, rng=1, streams=1),
        "streams negative": lambda: plain(row, rng=1, streams=-1),
        "T too large": lambda: plain(row, rng=1, temperature=1e300),
        "top_k": lambda: plain(row, rng=1, top_k=1),
        "NaN": lambda: plain(np.float32([0, np.nan]), rng=1),
        "inf": lambda: plain(np.float32([[0, 1], [0, np.inf]]), rng=1),
        "no element": lambda: plain(np.float32([[0, 1], [-np.inf, -np.inf]]), rng=1),
        "many rows": lambda: plain(np.zeros((65, 2)), rng=1),
        "no rows": lambda: plain(x[:0], rng=1),
    }
    go_the_usual_way(calls)


# ---- tensors ----


def tensor_of(array: np.ndarray) -> Tensor:
    """Return a tensor of an array; numbers of two bytes that NumPy lacks are bfloat16."""
    if array.dtype.kind == "V" or array.dtype.name == "bfloat16":
        return Tensor(array.view(np.uint16), code=4)
    return Tensor(array)


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("dtype", dtypes(), ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_tensors_are_answered_at_once_in_kind(name: str, dtype: Any) -> None:
    usual, plain = inspect.unwrap({**ONE, **TWO}[name]), only_plain(name)
    for shape in [(1,), (17,), (4096,), (2, 3, 4), *LONGER]:
        given = arguments(name, shape, dtype)
        expected = np.asarray(called(usual, given))
        made, seen = Allocator.made, Allocator.seen
        tensors = [tensor_of(x) for x in given]
        result = called(plain, tensors)
        assert (type(result), result.array.shape) == (Tensor, expected.shape)
        assert result.array.tobytes() == expected.tobytes()
        out = tensor_of(np.zeros(expected.shape, dtype))
        assert called(plain, tensors, out=out) is out
        assert out.array.tobytes() == expected.tobytes()
        assert (Allocator.made - made, Allocator.seen - seen) == (1, 2 * len(given) + 1)
        assert not any(tensor.asked for tensor in (*tensors, out))


@pytest.mark.usefixtures("no_leaks")
def test_tensors_of_logits_are_drawn_from_at_once() -> None:
    plain = only_plain("categorical")
    for shape in [(17,), (2, 3, 4), (9001,), (64, 100)]:
        x = numbers(shape, np.float32)
        x[..., 0] = 0
        result = plain(Tensor(x), rng=3)
        assert (type(result), result.array.dtype) == (Tensor, np.int64)
        np.testing.assert_array_equal(result.array, inspect.unwrap(r.categorical)(x, rng=3))


class OfTensor(Tensor):
    pass


@pytest.mark.usefixtures("no_leaks")
def test_tensors_that_go_the_usual_way() -> None:
    x = numbers((4, 6), np.float32)
    softmax, grad = only_plain("softmax"), only_plain("softmax_grad")
    recording = Tensor(x)
    recording.requires_grad = True
    nameless = Tensor(x)
    nameless.is_neg = None  # type: ignore[assignment,method-assign]
    given = {
        "gradients": recording,
        "negatives": Tensor(x, negative=True),
        "no answer about negatives": nameless,
        "no capsule": Tensor(x, fails=True),
        "a subclass": OfTensor(x),
        "no C functions": Foreign(x),
        "another version": Tensor(x, version=(2, 0)),
        "constant": Tensor(x, read_only=True),
        "a copy": Tensor(x, copied=True),
        "device": Tensor(x, device=(dlpack.CUDA, 0)),
        "strides": Tensor(x[:, ::2]),
        "a column": Tensor(np.asfortranarray(x)),
        "lanes": Tensor(x, lanes=2),
        "bits": Tensor(x, bits=4),
        "no memory": Tensor(x, data=None),
        "misaligned": Tensor(x, byte_offset=2),
        "axes": Tensor(x, ndim=65),
        "fewer than none": Tensor(x, ndim=-1),
        "no shape": Tensor(x, shape=None),
        "no elements": Tensor(x[:0]),
        "integers": Tensor(np.ones((4, 6), np.int32)),
        "booleans": Tensor(x > 0),
        "large": Tensor(np.zeros((1024, 256), np.float32)),
    }
    calls = {name: lambda tensor=tensor: softmax(tensor) for name, tensor in given.items()}
    calls["out of NumPy"] = lambda: softmax(Tensor(x), out=np.zeros_like(x))
    calls["out for NumPy"] = lambda: softmax(x, out=Tensor(np.zeros_like(x)))
    calls["out constant"] = lambda: softmax(Tensor(x), out=Tensor(np.zeros_like(x), read_only=True))
    calls["out a copy"] = lambda: softmax(Tensor(x), out=Tensor(np.zeros_like(x), copied=True))
    calls["a gradient of NumPy"] = lambda: grad(Tensor(x), dy=x)
    go_the_usual_way(calls)
    offset = Tensor(np.concatenate([x[0], x[0] + 1]), ndim=1, byte_offset=4 * 6)
    offset.fields["shape"] = shape = (ctypes.c_int64 * 1)(6)
    assert softmax(offset).array.tobytes() == s.softmax(x[0] + 1).tobytes()
    del shape


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("how", ["fails", "without_memory"])
def test_a_library_that_makes_no_tensor_or_one_without_memory(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's do so within its transformations: the result is made on the usual way."""
    x = numbers((4, 6), np.float32)
    x[:, 0] = 0
    probabilities, tokens = inspect.unwrap(s.softmax)(x), inspect.unwrap(r.categorical)(x, rng=1)
    monkeypatch.setattr(Allocator, how, True)
    for call in (lambda: only_plain("softmax")(Tensor(x)), lambda: only_plain("categorical")(Tensor(x), rng=1)):
        with pytest.raises(TheUsualWayError):
            call()
    np.testing.assert_array_equal(s.softmax(Tensor(x)).array, probabilities)
    np.testing.assert_array_equal(r.categorical(Tensor(x), rng=1).array, tokens)
    out = Tensor(np.zeros_like(x))
    assert only_plain("softmax")(Tensor(x), out=out) is out


@pytest.mark.usefixtures("no_leaks")
def test_ctrl_c_in_a_librarys_answer() -> None:
    x = np.zeros(6, np.float32)
    with pytest.raises(KeyboardInterrupt):
        s.softmax(Tensor(x, interrupted=True))
    with pytest.raises(KeyboardInterrupt):
        s.softmax_grad(Tensor(x), dy=Tensor(x, interrupted=True))


def test_a_structure_that_needs_no_deleter(monkeypatch: pytest.MonkeyPatch) -> None:
    x = numbers((6,), np.float32)
    tensor = Tensor(x)
    kept = Versioned.from_address(tensor.structure())
    monkeypatch.setattr(tensor, "structure", lambda: ctypes.addressof(kept))
    deleter, kept.deleter = kept.deleter, None
    assert only_plain("softmax")(tensor).array.tobytes() == s.softmax(x).tobytes()
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(deleter)(ctypes.addressof(kept))


# ---- what it must not do ----


def test_ctrl_c_ends_a_long_call() -> None:
    row = np.broadcast_to(np.float32(1), (1 << 35,))  # half a minute of work, no memory
    function = only_plain("logsumexp")
    assert ends_within(0.1, lambda: function(row))


def test_references_do_not_grow() -> None:
    x, out, token = numbers((8, 8), np.float32), np.zeros((8, 8), np.float32), r.key(3)
    rows = np.zeros(8, np.float32)
    watched = (x, out, rows, token, x.dtype, np.dtype(np.int64), np.ndarray, r.Key, None, ())
    counts = []
    for _ in range(3):
        for _ in range(1000):
            s.softmax(x, out=out)
            s.softmax(x)
            s.softmax_grad(x, dy=x, axis=-1, temperature=2.0)
            s.logsumexp(x, out=rows)
            s.logsumexp(x[0])
            r.categorical(x[0] - 100, rng=token)
            r.categorical(x - 100, rng=2**63, position=2)
        gc.collect()
        counts.append([sys.getrefcount(o) for o in watched])
    assert np.ptp(counts, axis=0).max() < 100


def test_many_threads_and_instruction_sets() -> None:
    x = numbers((64,), np.float32)
    expected = s.softmax(x).tobytes()
    wrong: list[bytes] = []
    stop = threading.Event()

    def work() -> None:
        out = np.empty_like(x)
        while not stop.is_set():
            for _ in range(100):
                if s.softmax(x, out=out).tobytes() != expected or s.softmax(x).tobytes() != expected:
                    wrong.append(out.tobytes())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    before = sg.isa()
    for isa in sg.available_isas() * 5:
        sg.set_isa(isa)
        threading.Event().wait(0.02)
    stop.set()
    for thread in threads:
        thread.join()
    sg.set_isa(before)
    assert wrong == []


def test_first_calls_of_many_threads_at_a_time() -> None:
    code = """if True:
        import threading, numpy as np, sorgum as sg
        x, barrier = np.ones(8, np.float32), threading.Barrier(8)
        def work():
            barrier.wait()
            sg.special.softmax(x)
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    """
    for _ in range(3):
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_an_array_may_get_another_shape_while_it_is_worked_on() -> None:
    x = numbers((64, 1000), np.float32)
    shapes = [(64, 1000), (1000, 64), (8, 8, 10, 10, 10)]
    expected = {s.softmax(x.reshape(shape)).tobytes() for shape in shapes}
    stop = threading.Event()

    def reshape() -> None:
        while not stop.is_set():
            for shape in shapes:
                x.shape = shape
                np.empty((3, 5)), np.empty((7, 1, 2))  # which may take the memory of the shape before

    before = sys.getswitchinterval()
    thread = threading.Thread(target=reshape)
    thread.start()
    try:
        sys.setswitchinterval(1e-5)
        results = {only_plain("softmax")(x).tobytes() for _ in range(2000)}
    finally:
        sys.setswitchinterval(before)
        stop.set()
        thread.join()
    assert results <= expected


def test_no_floating_point_warning_and_no_error_is_left() -> None:
    x = np.float32([-200.0, 88.0, 1e-45, np.nan])
    with np.errstate(all="raise"):
        for name in ONE:
            only_plain(name)(x)
        assert np.float32(1) + np.float32(1) == 2

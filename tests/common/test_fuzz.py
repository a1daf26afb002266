"""Calls made up by hypothesis: equal bits on every instruction set and number of threads, results within the published
bounds, results over their own inputs, and nonsense.

The normal run draws the same hundred examples per test every time. A long run draws others:

    pytest tests/common/test_fuzz.py --hypothesis-profile=long
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import placed
from cases.special import ROW_FUNCTIONS
from hypothesis import given
from hypothesis import strategies as st
from strategies import DTYPES, HALVES, arrays, axes_of, masks, temperatures
from tolerance import softmax_limit, unit_in_last_place

import sorgum as sg
from sorgum import reference, special
from sorgum._data import load
from sorgum._data.inputs import logits, words

Array = Any
FUNCTIONS: dict[str, Callable[..., Any]] = {"exp": special.exp, "log": special.log, **ROW_FUNCTIONS}
GRADIENTS: dict[str, Callable[..., Any]] = {
    "softmax_grad": lambda x, **options: special.softmax_grad(x, dy=x[..., ::-1], **options),
    "log_softmax_grad": lambda x, **options: special.log_softmax_grad(x, dy=x[..., ::-1], **options),
    "logsumexp_grad": lambda x, **options: special.logsumexp_grad(x, dy=2.0, **options),
}
BOUNDS = load("bounds")
FLOATS = (np.float32, np.float64)

names = st.sampled_from(sorted(FUNCTIONS))
all_names = st.sampled_from(sorted(FUNCTIONS | GRADIENTS))


@st.composite
def options_for(draw: st.DrawFn, name: str, shape: tuple[int, ...], axis: Any = "any") -> dict[str, Any]:
    """Keyword arguments that fit a function and the shape of its argument."""
    if name in ("exp", "log"):
        return {}
    if axis == "any":
        axis = draw(axes_of(len(shape)))
    options: dict[str, Any] = {"axis": axis, "temperature": draw(temperatures(shape, axis))}
    if draw(st.booleans()):
        options["where"] = draw(masks(shape))
    if name in GRADIENTS:
        return options
    if name == "logsumexp":
        options["keepdims"] = draw(st.booleans())
    else:
        options["empty"] = draw(st.sampled_from(("nan", "zero")))
        options["algorithm"] = draw(st.sampled_from(("auto", "auto", "two_pass", "three_pass_reload")))
    return options


# The same bits


@st.composite
def large_arrays(draw: st.DrawFn) -> Array:
    """Arrays that several threads share: few rows and many, long and short, reversed or not."""
    rows = draw(st.sampled_from((1, 2, 3, 17, 300, 5000)))
    length = draw(st.integers(40_000 // rows, 300_000 // rows))
    dtype = draw(st.sampled_from(FLOATS))
    seed = draw(st.integers(0, 1000))
    x = logits((rows, length), dtype, draw(st.sampled_from((1.0, 40.0))), seed)
    if draw(st.booleans()):
        x[draw(st.integers(0, rows - 1)), draw(st.integers(0, length - 1))] = draw(
            st.sampled_from((np.nan, np.inf, -np.inf, 60.0, 1e30))
        )
    return draw(st.sampled_from((x, x[:, ::-1], x.T)))


def same_bits_everywhere(x: Array, name: str, options: dict[str, Any], threads: tuple[int, ...]) -> None:
    isa, number = sg.isa(), sg.get_num_threads()
    expected = None
    try:
        for one in sg.available_isas():
            sg.set_isa(one)
            for many in threads:
                sg.set_num_threads(many)
                got = np.asarray((FUNCTIONS | GRADIENTS)[name](x, **options)).tobytes()
                expected = got if expected is None else expected
                assert got == expected, (one, many)
    finally:
        sg.set_isa(isa)
        sg.set_num_threads(number)


@given(data=st.data(), x=arrays(DTYPES + HALVES), name=all_names)
def test_the_same_bits_on_every_isa(data: st.DataObject, x: Array, name: str) -> None:
    same_bits_everywhere(x, name, data.draw(options_for(name, x.shape)), (1,))


@given(data=st.data(), x=large_arrays(), name=all_names)
def test_the_same_bits_for_any_number_of_threads(data: st.DataObject, x: Array, name: str) -> None:
    same_bits_everywhere(x, name, data.draw(options_for(name, x.shape)), (1, 2, 5))


# The published bounds


@st.composite
def matrices(draw: st.DrawFn) -> Array:
    """Rows of one kind each: normal numbers, any encoding, few values, a peak; with specials here and there."""
    rows, n = draw(st.integers(1, 20)), draw(st.one_of(st.integers(1, 40), st.integers(1, 5000)))
    dtype, seed = np.dtype(draw(st.sampled_from(FLOATS))), draw(st.integers(0, 10**6))
    kind = draw(st.sampled_from(("normal", "encodings", "few values", "peaked")))
    if kind == "encodings":
        x = words(rows * n, dtype, seed).reshape(rows, n)
        x = np.where(np.isfinite(x), x, 0)
    else:
        x = logits((rows, n), dtype, draw(st.sampled_from((1e-3, 1.0, 20.0, 1e3))), seed)
        x = np.round(x) if kind == "few values" else x
        x[:, n // 2] += 30 if kind == "peaked" else 0
        x += dtype.type(draw(st.sampled_from((0, 0, 1e5, -6e7, 3e37))))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, rows - 1)), draw(st.integers(0, n - 1))
        x[at] = draw(st.sampled_from((np.nan, np.inf, -np.inf, 1e-42, -0.0)))
    return x.astype(dtype)


def limits(name: str, x: Array, exact: Array, temperature: Array, where: Array) -> Array:
    """What bounds.json allows, and the error of the reference itself (see test_accuracy.py)."""
    eps = float(np.finfo(exact.dtype).eps)
    stated = float(BOUNDS[f"special.{name}.f{8 * x.dtype.itemsize}"]["bound"])
    if name in ("exp", "log"):
        with np.errstate(over="ignore"):
            return stated * unit_in_last_place(np.where(np.isfinite(exact), exact, 0), x.dtype) * (1 + 1e-3)
    wide = np.where(where & np.isfinite(x), x, -np.inf).astype(exact.dtype)
    m = np.max(wide, axis=-1, keepdims=True)
    m = np.where(np.isfinite(m), m, 0)
    distance = np.where(np.isfinite(wide), (m - wide) / temperature, 0)
    log_sum = -np.max(
        reference.special.log_softmax(x, temperature=temperature, where=where, empty="zero", dtype=exact.dtype),
        axis=-1,
        keepdims=True,
    )
    log_sum = np.where(np.isfinite(log_sum), log_sum, 0)
    if name == "softmax":
        with np.errstate(invalid="ignore"):
            far = np.minimum(distance, 1e5)  # beyond, exp is 0 in any format
            return softmax_limit(np.where(np.isfinite(exact), exact, 0), x.dtype, stated) + (far + 4) * eps * exact
    size = np.maximum(distance, log_sum)
    if name == "logsumexp":
        size = np.maximum(np.abs(m / temperature), log_sum)[..., 0]
    return stated * unit_in_last_place(size, x.dtype) + 8 * eps * size


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="long double has less than 64 bits here")
@given(data=st.data(), x=matrices(), name=names)
def test_within_the_published_bounds(data: st.DataObject, x: Array, name: str) -> None:
    options = data.draw(options_for(name, x.shape, axis=-1))
    if name not in ("exp", "log"):
        options.pop("keepdims", None)
        options.pop("algorithm", None)  # those of three passes have bounds of their own
        options["temperature"] = np.broadcast_to(options["temperature"], (x.shape[0], 1))
    got = FUNCTIONS[name](x, **options)
    wide = np.dtype(np.float64 if x.dtype == np.float32 else np.longdouble)
    exact = np.asarray(getattr(reference.special, name)(x, **options, dtype=wide))
    temperature = np.asarray(options.get("temperature", 1.0), dtype=wide)
    where = np.broadcast_to(options.get("where", True), x.shape)
    limit = limits(name, x, exact, temperature, where)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(got.astype(wide) - exact)
        rounded = exact.astype(x.dtype)
    right = (error <= limit) | (got == rounded) | (np.isnan(got) & np.isnan(exact))
    at = np.unravel_index(int(np.argmin(right)), right.shape)
    assert right.all(), f"at {at}: got {got[at]!r}, exact {exact[at]!r}, limit {limit[at]!r}"


# Results over their own inputs


@pytest.mark.sanitize
@given(data=st.data(), name=names)
def test_out_anywhere_over_the_input(data: st.DataObject, name: str) -> None:
    """As if the input were a copy, however the two overlap."""
    dtype = np.dtype(data.draw(st.sampled_from(FLOATS)))
    rows, n = data.draw(st.integers(1, 9)), data.draw(st.one_of(st.integers(1, 40), st.integers(1, 5000)))
    memory = placed(np.zeros(3 * rows * n + 64, dtype=dtype), data.draw(st.integers(0, 63)))

    def view(shape: tuple[int, ...], label: str) -> Array:
        size = int(np.prod(shape)) * dtype.itemsize
        start = data.draw(st.integers(0, min(memory.nbytes - size, size + 64)), label)
        array = np.ndarray(shape, dtype, buffer=memory.data, offset=start)
        turned = data.draw(st.sampled_from(("as it is", "reversed", "rows reversed")), label)
        if not shape or turned == "as it is":
            return array
        return array[..., ::-1] if turned == "reversed" else array[::-1]

    x = view((rows, n), "x")
    x[...] = logits((rows, n), dtype, 5.0, data.draw(st.integers(0, 99)))
    copy = x.copy()
    expected = np.asarray(FUNCTIONS[name](copy))
    out = x if name != "logsumexp" and data.draw(st.booleans(), "in place") else view(expected.shape, "out")
    FUNCTIONS[name](x, out=out)
    assert out.tobytes() == expected.tobytes()


# Nonsense

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.lists(st.one_of(st.integers(-3, 3), st.floats(), st.text(max_size=1), st.none()), max_size=4),
    st.tuples(st.integers(-4, 4), st.integers(-4, 4)),
    st.sampled_from(
        ("?", "i1", "u8", ">f4", ">i2", "f2", "f4", "f8", "g", "c8", "O", "U1", "M8[s]", "V4", "f4,f4")
    ).flatmap(
        lambda code: st.sampled_from(((), (0,), (3,), (3, 4), (1, 4), (2, 0, 3), (1,) * 32)).map(
            lambda shape: np.zeros(shape, dtype=code)
        )
    ),
)


@pytest.mark.sanitize
@given(data=st.data(), name=names, x=anything)
def test_nonsense_is_refused_or_computed(data: st.DataObject, name: str, x: Any) -> None:
    """Whatever the arguments: a result of x's shape or one of the two errors, with a message; nothing else."""
    words_of = {"axis", "temperature", "where", "empty", "algorithm", "out"}
    if name == "logsumexp":
        words_of = {"axis", "keepdims", "b", "return_sign", "temperature", "where", "out"}
    elif name in ("exp", "log"):
        words_of = {"out"}
    chosen = data.draw(st.lists(st.sampled_from(sorted(words_of)), unique=True, max_size=3), "names")
    options = {word: data.draw(anything, word) for word in chosen}
    refusal = ""
    try:
        result = FUNCTIONS[name](x, **options)
    except (TypeError, ValueError) as error:
        refusal = str(error)
    else:
        first = result[0] if isinstance(result, tuple) else result
        assert np.asarray(first).dtype in (np.float16, *FLOATS)
    ours = refusal.startswith(f"{name}: ") or "()" in refusal  # "()": Python's own, of the arguments as such
    assert not refusal or ours or "inhomogeneous" in refusal or "could not convert" in refusal, refusal

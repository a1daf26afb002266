"""Arrays of any shape, strides, type and contents, made up by hypothesis: against the reference, and bit by bit against
the contiguous array.
"""

from typing import Any

import numpy as np
from cases import with_strides
from cases.special import ROW_FUNCTIONS
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import arrays, axes_of

from sorgum import reference, special
from sorgum._data.inputs import hashed

Array = Any


@settings(max_examples=300)
@given(data=st.data(), x=arrays(), name=st.sampled_from(sorted(ROW_FUNCTIONS)))
def test_rows_of_any_layout(data: st.DataObject, x: Array, name: str) -> None:
    function = ROW_FUNCTIONS[name]
    axis = data.draw(axes_of(x.ndim), "axis")
    keywords: dict[str, Any] = {"axis": axis}
    if data.draw(st.integers(0, 2), "masked") == 0:
        shape = tuple(n if data.draw(st.booleans()) else 1 for n in x.shape)
        mask = (hashed(int(np.prod(shape)), 5) % np.uint64(4) != 0).reshape(shape)
        keywords["where"] = mask[::-1] if data.draw(st.booleans()) else np.asfortranarray(mask)
    if data.draw(st.integers(0, 2), "tempered") == 0:
        axes = range(x.ndim) if axis is None else [a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))]
        shape = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
        keywords["temperature"] = (hashed(int(np.prod(shape)), 6) % np.uint64(9) + np.uint64(1)).reshape(shape) / 4.0
    if name == "logsumexp":
        keywords["keepdims"] = data.draw(st.booleans(), "keepdims")
    else:
        keywords["empty"] = data.draw(st.sampled_from(("nan", "zero")), "empty")

    got = function(x, **keywords)
    contiguous = {k: np.array(v, order="C") if isinstance(v, np.ndarray) else v for k, v in keywords.items()}
    expected = function(np.array(x, order="C"), **contiguous)
    assert np.asarray(got).tobytes() == np.asarray(expected).tobytes()

    wide = np.longdouble if x.dtype == np.float64 else np.float64
    with np.errstate(over="ignore"):
        exact = getattr(reference.special, name)(x, **keywords, dtype=wide).astype(got.dtype)
    assert got.dtype == (np.float32 if x.dtype == np.float32 else np.float64)
    assert got.shape == exact.shape
    assert np.allclose(got, exact, rtol=1e-5, atol=1e-30, equal_nan=True)

    if np.ndim(got) > 0:
        order = data.draw(st.permutations(range(np.ndim(got))), "order of out")
        out = with_strides(
            np.zeros_like(got), tuple(order), (data.draw(st.sampled_from((1, -1, 2))),) * np.ndim(got), 4
        )
        assert function(x, **keywords, out=out) is out
        assert out.tobytes() == np.asarray(expected).tobytes()


@settings(max_examples=200)
@given(x=arrays(), name=st.sampled_from(("exp", "log")))
def test_elementwise_of_any_layout(x: Array, name: str) -> None:
    function = getattr(special, name)
    got = function(x)
    assert np.asarray(got).tobytes() == function(np.array(x, order="C")).tobytes()
    with np.errstate(over="ignore"):
        exact = getattr(reference.special, name)(x, dtype=np.longdouble).astype(got.dtype)
    assert np.allclose(got, exact, rtol=3e-7, atol=2e-45, equal_nan=True)
    out = np.zeros_like(got, order="F")
    function(x, out=out)
    assert out.tobytes() == got.tobytes()


@settings(max_examples=200)
@given(x=arrays((np.float32, np.float64)), data=st.data())
def test_weights_of_any_layout(x: Array, data: st.DataObject) -> None:
    shape = tuple(n if data.draw(st.booleans()) else 1 for n in x.shape)
    b = (hashed(int(np.prod(shape)), 8) % np.uint64(9)).astype(x.dtype).reshape(shape) - x.dtype.type(3)
    b = np.asfortranarray(b)[::-1]
    x = np.where(np.isfinite(x), x, 0).clip(-1e4, 1e4)  # the cases of infinities stand in test_special.py
    axis = data.draw(axes_of(x.ndim), "axis")
    got, sign = special.logsumexp(x, axis, b=b, return_sign=True)
    again = special.logsumexp(np.array(x, order="C"), axis, b=np.array(b, order="C"), return_sign=True)
    assert np.asarray(got).tobytes() == np.asarray(again[0]).tobytes()
    assert np.asarray(sign).tobytes() == np.asarray(again[1]).tobytes()
    exact, exact_sign = reference.special.logsumexp(x, axis, b=b, return_sign=True, dtype=np.longdouble)
    total = reference.special.logsumexp(x, axis, b=np.abs(b), dtype=np.longdouble)
    # Where the terms cancel, what is left of them has lost as many digits; a term is off by 1 ULP of its type.
    eps = float(np.finfo(x.dtype).eps)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        kept = np.exp(np.where(np.isneginf(total), 0, exact - total)).astype(float)
        close = np.abs(got - exact) <= 2e-6 * np.maximum(1, np.abs(exact)) + (eps + 1e-13) / kept
    certain = kept > 4 * eps + 1e-12
    assert np.all((np.asarray(sign) == exact_sign) | ~certain)
    assert np.all(close | (got == exact) | ~certain)

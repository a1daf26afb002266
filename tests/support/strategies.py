"""What hypothesis draws: arrays of any shape, strides, alignment and contents, axes, masks, temperatures."""

from typing import Any

import ml_dtypes
import numpy as np
from cases import with_strides
from hypothesis import strategies as st

from sorgum._data.inputs import hashed, logits, words

Array = Any
DTYPES = (np.float32, np.float64, np.float32, np.float64, np.int64, np.int8, np.uint16, np.bool_)
HALVES = (np.float16, ml_dtypes.bfloat16)


@st.composite
def arrays(draw: st.DrawFn, kinds: tuple[Any, ...] = DTYPES) -> Array:
    """An array whose axes lie in any order in memory, with steps of 1 to 3 in either direction, aligned or not."""
    ndim = draw(st.integers(1, 4))
    longest = {1: 9000, 2: 300, 3: 40, 4: 12}[ndim]
    lengths = st.one_of(st.integers(1, min(20, longest)), st.integers(1, longest), st.integers(0, 1))
    shape = tuple(draw(st.lists(lengths, min_size=ndim, max_size=ndim)))
    dtype = np.dtype(draw(st.sampled_from(kinds)))
    seed = draw(st.integers(0, 1000))
    size = int(np.prod(shape))
    if dtype.itemsize == 2 and dtype.kind in "fV":
        x = (hashed(size, seed) >> np.uint64(48)).astype(np.uint16).view(dtype).reshape(shape)
        x = np.where(np.isfinite(x), x, dtype.type(1)) if draw(st.booleans()) else x
    elif dtype.kind != "f":
        x = (hashed(size, seed) % np.uint64(200)).astype(dtype).reshape(shape)
    elif draw(st.booleans()):
        x = logits(shape, dtype, draw(st.sampled_from((0.1, 3.0, 40.0, 1e4))), seed)
        for _ in range(draw(st.integers(0, 3)) if size else 0):
            value = draw(st.sampled_from((np.nan, np.inf, -np.inf, -0.0, 1e30, -1e30, 1e-42)))
            x[tuple(draw(st.integers(0, n - 1)) for n in shape)] = value
    else:
        x = words(size, dtype, seed).reshape(shape)
        x = np.where(np.isfinite(x), x, 0) if draw(st.booleans()) else x
    order = tuple(draw(st.permutations(range(ndim))))
    steps = tuple(draw(st.lists(st.sampled_from((1, 1, 2, -1, 3)), min_size=ndim, max_size=ndim)))
    view = with_strides(x, order, steps, draw(st.sampled_from((0, 0, 1, 4, 60))))
    if draw(st.integers(0, 9)) == 0 and size:
        view = np.broadcast_to(view[tuple(slice(0, 1) if draw(st.booleans()) else slice(None) for _ in shape)], shape)
    return view


@st.composite
def axes_of(draw: st.DrawFn, ndim: int) -> Any:
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return None
    if kind == 1:
        some = draw(st.lists(st.integers(0, ndim - 1), min_size=1, unique=True))
        return tuple(a - ndim if draw(st.booleans()) else a for a in some)
    return draw(st.integers(-ndim, ndim - 1))


def axes_as_tuple(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    return tuple(a % ndim for a in (axis if isinstance(axis, tuple) else (axis,)))


@st.composite
def masks(draw: st.DrawFn, shape: tuple[int, ...]) -> Array:
    """A mask that broadcasts to the shape, mostly True, in one of several layouts."""
    some = tuple(n if draw(st.booleans()) else 1 for n in shape)
    mask = (hashed(int(np.prod(some)), draw(st.integers(0, 99))) % np.uint64(4) != 0).reshape(some)
    return draw(st.sampled_from((mask, mask[::-1], np.asfortranarray(mask))))


@st.composite
def temperatures(draw: st.DrawFn, shape: tuple[int, ...], axis: Any) -> Any:
    """A scalar, or one per row, of any magnitude that results survive."""
    scalar = draw(st.sampled_from((1.0, 0.7, 37.5, 1e-3, 1e30, 1e-30, 2.0**-40)))
    if draw(st.booleans()):
        return scalar
    axes = axes_as_tuple(axis, len(shape))
    per_row = tuple(1 if a in axes else n for a, n in enumerate(shape))
    return scalar * (hashed(int(np.prod(per_row)), 6) % np.uint64(9) + np.uint64(1)).reshape(per_row) / 4.0

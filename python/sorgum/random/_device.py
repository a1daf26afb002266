"""Noise and draws on CUDA devices: the calls of the compiled module `_cuda`.

Arguments are checked by the functions that check them for the CPU (csrc/api/random/check.h).
"""

import functools
from typing import Any

import numpy as np

from sorgum import _core
from sorgum._arguments.arrays import Array
from sorgum._arguments.scalars import dtype_of, float_dtype_of, shape_of, unsigned_of
from sorgum.interop import cuda
from sorgum.interop.libraries import OnDevices
from sorgum.random._categorical import draw_options
from sorgum.random._keys import key_of
from sorgum.random._noise import is_wide
from sorgum.random._places import index_offset_of, place_of
from sorgum.random._rows import refuse_invalid, rows_of

__all__ = ["ON_DEVICES"]

_LOGITS = ("float32", "float16", "bfloat16")
_ALL_VALID = 2**64 - 1  # csrc/cuda/random/random_state.h


def _on_host(function: str, **arguments: Any) -> None:
    for name, value in arguments.items():
        if cuda.is_cuda_array(value):
            raise TypeError(f"{function}: {name} must be on the CPU, got an array on a CUDA device")


def _per_row(array: Array | None, rows: tuple[int, ...]) -> Array | None:
    """Return one element per row, contiguous; None for a number."""
    return None if array is None else np.ascontiguousarray(array.reshape(rows)).reshape(-1)


def _number(position: Array) -> int:
    return int(position.view(np.uint64)) if position.ndim == 0 else 0


def _noise(
    law: str,
    shape: tuple[int, ...],
    wide: bool,
    dtype: str,
    rng: Any,
    streams: Any,
    position: Any,
    offset: Any,
    out: Any,
) -> Any:
    _on_host(law, streams=streams, position=position)
    call = cuda.Call(law, out, "out", (dtype,))
    secret, (ids, at) = key_of(law, rng), place_of(law, streams, position)
    index = index_offset_of(law, offset)
    _core.random.check_places(law, shape, ids, at, index)
    encoding, rows = {"uint32": "float32", "uint64": "float64"}.get(dtype, dtype), shape[:-1]
    ids, many = _per_row(ids, rows), _per_row(at, rows) if at.ndim else None
    view = call.x.view()
    call.module.noise(law, wide, secret, ids, many, _number(at), index, shape, view, encoding, *call.place)
    return out


def _numbers(
    law: str,
    shape: Any,
    rng: Any,
    dtype: Any,
    streams: Any,
    position: Any,
    index_offset: Any,
    bits: Any,
    out: Any,
) -> Any:
    # A float32 rounded once more; NumPy does not know the type, so that its name will do.
    half = law == "gumbel" and getattr(dtype, "__name__", str(dtype)).endswith("bfloat16")
    kind = np.dtype(np.float32) if half else float_dtype_of(law, dtype)
    name, wide = "bfloat16" if half else kind.name, is_wide(law, bits, kind)
    return _noise(law, shape_of(law, shape), wide, name, rng, streams, position, index_offset, out)


def _bits(shape: Any, rng: Any, dtype: Any, streams: Any, position: Any, index_offset: Any, out: Any) -> Any:
    sizes, kind = shape_of("bits", shape), dtype_of("bits", dtype, np.uint32, np.uint64)
    return _noise("bits", sizes, kind.itemsize == 8, kind.name, rng, streams, position, index_offset, out)


def _categorical(
    logits: Any,
    rng: Any,
    axis: Any,
    temperature: Any,
    top_k: Any,
    top_p: Any,
    min_p: Any,
    where: Any,
    num_samples: Any,
    streams: Any,
    position: Any,
    index_offset: Any,
    method: Any,
    filter_order: Any,
    ties: Any,
    on_invalid: Any,
    return_log_prob: Any,
) -> Any:
    function = "categorical"
    return_log_prob = draw_options(function, method, on_invalid, return_log_prob)
    cuda.refuse_given(function, top_k=top_k, top_p=top_p, min_p=min_p, return_log_prob=return_log_prob)
    if method != "gumbel":
        raise ValueError(f"{function}: method must be 'gumbel' on a CUDA device, got {method!r}")
    _on_host(function, temperature=temperature, streams=streams, position=position)
    call = cuda.Call(function, logits, "logits", _LOGITS)
    shape, secret = call.x.shape, key_of(function, rng)
    index = index_offset_of(function, index_offset)
    rows = rows_of(function, np.broadcast_to(np.float32(0), shape), axis, temperature, None, streams, position)
    if axis not in (-1, len(shape) - 1):
        raise ValueError(f"{function}: axis must be the last one on a CUDA device, got {axis}")
    samples = None if num_samples is None else unsigned_of(function, "num_samples", num_samples, 31)
    if samples is not None:
        rows.repeated(function, samples)  # whether positions leave room
    t, at = rows.temperature, rows.position
    _core.random.check_draw(function, shape, t, rows.streams, at, index)
    mask = call.where(where)
    drawn = shape[:-1] if samples is None else (*shape[:-1], samples)
    result = cuda.new_array(logits, drawn, "int64")
    if result is None:
        library = cuda.library_of(logits)
        raise TypeError(
            f"{function}: logits must be of torch, cupy or numba on a CUDA device, got an array of {library}"
        )
    invalid = call.module.categorical(
        call.x.view(),
        call.x.dtype,
        _per_row(t, shape[:-1]) if t.ndim else None,
        float(t) if t.ndim == 0 else 1.0,
        None if mask is None else mask.view(),
        call.operand("out", result, "int64").view(),
        samples,
        secret,
        _per_row(rows.streams, shape[:-1]),
        _per_row(at, shape[:-1]) if at.ndim else None,
        _number(at),
        index,
        on_invalid == "raise",
        *call.place,
    )
    if invalid != _ALL_VALID:
        bad = np.zeros(drawn, np.bool_)
        bad.flat[invalid // 2] = True
        refuse_invalid(function, bad, bad & bool(invalid % 2))
    return result


_LAWS = ("uniform", "exponential", "gumbel", "logistic", "normal")
ON_DEVICES = {
    "bits": OnDevices("out", _bits),
    "categorical": OnDevices("logits", _categorical),
    **{law: OnDevices("out", functools.partial(_numbers, law)) for law in _LAWS},
}

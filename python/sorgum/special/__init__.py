"""exp, log, softmax, log_softmax and logsumexp, whole and in parts, with the same bits everywhere.

Every function takes arrays of any shape, strides and alignment. float32 and float64 keep their type; so do float16 and
the bfloat16 of ml_dtypes, which are computed in float32 and rounded once, at the end: they have the bits of the float32
results, rounded. `log_softmax` and `logsumexp` of them return those results themselves when asked to (dtype=float32).
Booleans, integers and lists of them become float64, as in NumPy and PyTorch: **integers beyond 2**53 are rounded to the
nearest float64.** Anything else is a TypeError. Results have the same bits on the scalar, AVX2 and AVX-512 kernels, for
any number of threads, any batch a row stands in and any memory layout (tier: bitwise).

The gradients, here and in `sorgum.random`, take what their function took or returned, and the gradient with respect to
its result by its name: ``softmax_grad(y, dy=dy)``. Where two arrays of one shape mean different things, their order
would be a trap.

Arrays of other libraries that offer `__dlpack__` on the CPU, PyTorch's and JAX's among them, are read without a copy,
bfloat16 too. The result belongs to the library of the first argument, whatever the others are; an `out` of any library
is written in place. Types meet by NumPy's rules; bfloat16 counts as float32 beside another type. JAX makes 32 bits of
the 64 of a result unless its 64-bit mode is on.

exp, softmax and logsumexp also take float32 arrays on CUDA devices, of libraries that speak `__cuda_array_interface__`
or DLPack, where the module for them is built: docs/cuda.md.
"""

from sorgum.interop.libraries import open_to_libraries
from sorgum.special._device import ON_DEVICES
from sorgum.special._functions import exp, log, log_softmax, logsumexp, softmax
from sorgum.special._grad import log_softmax_grad, logsumexp_grad, softmax_grad
from sorgum.special._partial import (
    CHUNK,
    logsumexp_finish,
    logsumexp_merge,
    logsumexp_partial,
    partial_dtype,
    softmax_from_partial,
)

__all__ = [
    "CHUNK",
    "exp",
    "log",
    "log_softmax",
    "log_softmax_grad",
    "logsumexp",
    "logsumexp_finish",
    "logsumexp_grad",
    "logsumexp_merge",
    "logsumexp_partial",
    "partial_dtype",
    "softmax",
    "softmax_from_partial",
    "softmax_grad",
]

open_to_libraries(globals(), ON_DEVICES)

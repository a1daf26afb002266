"""Tensors as a core and a factor along each mode: products, decompositions, and what becomes of them.

A mode is an axis of a tensor. Names and meaning are TensorLy's. Products with matrices have the type of the tensor,
float16 and bfloat16 rounded once, Gram matrices are float64; booleans and integers become float64. Products are sums of
one documented order (docs/numerics/linalg.md): results have the same bits on the scalar, AVX2 and AVX-512 kernels, for
any number of threads and any layout (tier: bitwise).

Decompositions (`sthosvd`, `hosvd`, `hooi`) return a `TuckerTensor`. Their Gram matrices and products are of the tier
bitwise, but NumPy's LAPACK finds eigenvectors: the same bits with the same build of it (tier: deterministic).
float16 and bfloat16 count as float32 there, and so do the results.
"""

from sorgum.interop.libraries import open_to_libraries
from sorgum.tucker._flora import FLoRA
from sorgum.tucker._gram import gram
from sorgum.tucker._gram_parts import gram_finish, gram_merge, gram_partial
from sorgum.tucker._hooi import hooi
from sorgum.tucker._hosvd import hosvd, sthosvd
from sorgum.tucker._mode_dot import mode_dot
from sorgum.tucker._multi_mode_dot import multi_mode_dot
from sorgum.tucker._tensor import TuckerTensor

__all__ = [
    "FLoRA",
    "TuckerTensor",
    "gram",
    "gram_finish",
    "gram_merge",
    "gram_partial",
    "hooi",
    "hosvd",
    "mode_dot",
    "multi_mode_dot",
    "sthosvd",
]

open_to_libraries(globals())

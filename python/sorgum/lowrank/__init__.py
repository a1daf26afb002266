"""Low-rank adapters, applied or merged with the same bits everywhere, and the singular values that they come from.

Orientation is that of PyTorch and PEFT: A has shape (rank, in), B (out, rank), W (out, in); an adapter adds
scale * B A to W, and scale * (x A^T) B^T to x W^T.

`apply` and `merge` return the type of their first argument, float16 and bfloat16 rounded once; booleans and integers
become float64. Products are sums of one documented order (docs/numerics/linalg.md): results have the same bits on the
scalar, AVX2 and AVX-512 kernels, for any number of threads, any layout, and whatever rows stand beside a row (tier:
bitwise).

Singular values and what is built on them (`truncated_svd`, `extract`, `range_finder`, `cholesky_qr`, `polar`,
`small_svd`) are computed with NumPy's BLAS and LAPACK: the same bits with the same build of them, processor and number
of their threads (tier: deterministic). float16 and bfloat16 count as float32 there, and so do the results.
"""

from sorgum.interop.libraries import open_to_libraries
from sorgum.lowrank import adapters, peft
from sorgum.lowrank._adapters import AdapterSet, apply_adapters
from sorgum.lowrank._apply import apply
from sorgum.lowrank._combine import combine
from sorgum.lowrank._extract import extract
from sorgum.lowrank._grad import ApplyGrad, apply_grad
from sorgum.lowrank._merge import merge
from sorgum.lowrank._orthogonal import QR, Polar, cholesky_qr, polar, range_finder, small_svd
from sorgum.lowrank._results import Factors, TruncatedSVD
from sorgum.lowrank._svd import truncated_svd
from sorgum.lowrank._unmerge import unmerge

__all__ = [
    "QR",
    "AdapterSet",
    "ApplyGrad",
    "Factors",
    "Polar",
    "TruncatedSVD",
    "adapters",
    "apply",
    "apply_adapters",
    "apply_grad",
    "cholesky_qr",
    "combine",
    "extract",
    "merge",
    "peft",
    "polar",
    "range_finder",
    "small_svd",
    "truncated_svd",
    "unmerge",
]

open_to_libraries(globals())

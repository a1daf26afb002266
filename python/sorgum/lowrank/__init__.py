"""Low-rank adapters: applied beside a layer or merged into its weight, with the same bits everywhere.

Orientation is that of PyTorch and PEFT: A has shape (rank, in), B (out, rank), W (out, in); an adapter adds
scale * B A to W, and scale * (x A^T) B^T to x W^T.

Results have the type of the first argument, float16 and bfloat16 rounded once; booleans and integers become float64.
Products are sums of one documented order (docs/numerics/linalg.md): results have the same bits on the scalar, AVX2 and
AVX-512 kernels, for any number of threads, any layout, and whatever rows stand beside a row (tier: bitwise).
"""

from sorgum.interop.libraries import open_to_libraries
from sorgum.lowrank import peft
from sorgum.lowrank._apply import apply
from sorgum.lowrank._combine import combine
from sorgum.lowrank._merge import merge

__all__ = ["apply", "combine", "merge", "peft"]

open_to_libraries(globals())

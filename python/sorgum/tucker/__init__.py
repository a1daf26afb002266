"""Products of tensors along their modes, with the same bits everywhere.

A mode is an axis of a tensor. Names and meaning are TensorLy's. Products with matrices have the type of the tensor,
float16 and bfloat16 rounded once, Gram matrices are float64; booleans and integers become float64. Products are sums of
one documented order (docs/numerics/linalg.md): results have the same bits on the scalar, AVX2 and AVX-512 kernels, for
any number of threads and any layout (tier: bitwise).
"""

from sorgum.interop.libraries import open_to_libraries
from sorgum.tucker._gram import gram
from sorgum.tucker._mode_dot import mode_dot

__all__ = ["gram", "mode_dot"]

open_to_libraries(globals())

"""Adapters of one layer, to train: how each begins, what it adds, its gradients, and how it becomes part of the weight.

All have the methods of `Adapter`. `init` makes an adapter for a weight W of shape (out, in). `weight` is the weight
that stands beside it and does not change. `parameters` are named arrays of NumPy that any optimiser changes in place.
The layer computes ``adapter.forward(x, base=x @ adapter.weight.T)``, and ``adapter.merge()`` is the one weight that
does the same.

Weights may be float16, bfloat16, float32 or float64; parameters and their gradients are float32, float64 for a weight
of float64. A convolution is the matrix of its leading axis: W has shape (out, in, k1, ...), and the rows of `x` are the
patches that a kernel sees, of shape (in, k1, ...). Weights that lie (in, out), as in GPT-2, are given as ``W.T``.

Everything is made of `sorgum.lowrank.apply`, `apply_grad` and `merge`, whose bits do not depend on the machine, and
random numbers are those of `sorgum.random` (tier: bitwise). Where an adapter begins from singular values, these are
NumPy's (tier of `init`: deterministic).
"""

from sorgum.interop.libraries import open_to_libraries
from sorgum.lowrank.adapters._adapter import Adapter, Gradient
from sorgum.lowrank.adapters._hadamard import HiRA
from sorgum.lowrank.adapters._lora import LoRA
from sorgum.lowrank.adapters._nola import NOLA
from sorgum.lowrank.adapters._singular import PiSSA, SoMA, SVFit

__all__ = ["NOLA", "Adapter", "Gradient", "HiRA", "LoRA", "PiSSA", "SVFit", "SoMA"]

open_to_libraries(globals())

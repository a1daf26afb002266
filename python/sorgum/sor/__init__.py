"""Sparse linear systems: solved by relaxation, or by conjugate gradients with it, with the same bits everywhere.

A matrix is a two-dimensional array, or any object with `format`, `shape`, `indptr`, `indices` and `data`: matrices and
arrays of scipy.sparse, which need not be installed. Compressed rows (format "csr") are read where they are, without a
copy; other formats are converted by their own `tocsr`. Of a dense array the elements that are not zero count, as in
`scipy.sparse.csr_array(A)`. No matrix is ever changed; one that is malformed is refused with the row and the entry.

Values are float32 or float64; booleans and integers become float64. Indices are int32 or int64. Where the types of a
matrix and its vectors differ, all are converted to float64. Results have the same bits on the scalar, AVX2 and AVX-512
kernels and for any number of threads (tier: bitwise); docs/numerics/sor.md has the arithmetic.
"""

from sorgum.interop.libraries import open_to_libraries
from sorgum.sor._batch import sor_batch
from sorgum.sor._chebcb import ChebCB
from sorgum.sor._policies import Adaptive, Fixed, YoungModel
from sorgum.sor._policy import Policy
from sorgum.sor._relaxation import Relaxation
from sorgum.sor._residual import residual_norm
from sorgum.sor._sequence import SequenceResult, SequenceSolver
from sorgum.sor._smoother import smoother
from sorgum.sor._solve import SolveResult
from sorgum.sor._solver import sor, sor_result
from sorgum.sor._ssor import SSOR
from sorgum.sor._ssor_cg import SsorCgResult, SsorChebyshevResult, ssor_cg, ssor_cg_result
from sorgum.sor._ssor_chebyshev import ssor_chebyshev, ssor_chebyshev_result
from sorgum.sor._stencil import sor_stencil
from sorgum.sor._stencil_coefficients import stencil_coefficients
from sorgum.sor._tsallis import TsallisINF, TsallisINFBins

__all__ = [
    "SSOR",
    "Adaptive",
    "ChebCB",
    "Fixed",
    "Policy",
    "Relaxation",
    "SequenceResult",
    "SequenceSolver",
    "SolveResult",
    "SsorCgResult",
    "SsorChebyshevResult",
    "TsallisINF",
    "TsallisINFBins",
    "YoungModel",
    "residual_norm",
    "smoother",
    "sor",
    "sor_batch",
    "sor_result",
    "sor_stencil",
    "ssor_cg",
    "ssor_cg_result",
    "ssor_chebyshev",
    "ssor_chebyshev_result",
    "stencil_coefficients",
]

open_to_libraries(globals())

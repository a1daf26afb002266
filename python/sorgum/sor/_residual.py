"""Residuals: how far A x is from b."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from sorgum._core import sor as compiled
from sorgum.sor._operands import contiguous_in_common_type, csr_of, vector_of

__all__ = ["residual_norm"]


def residual_norm(A: Any, x: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return the norm of a residual, ||b - A x||.

    Parameters
    ----------
    A : array_like or sparse matrix of shape (n, m)
        float32 or float64, or bool and integers, which become float64. Sparse: any object with `format`, `shape`,
        `indptr`, `indices` and `data`; read without a copy where `format` is "csr". Several entries in one place add
        up. It must not change during the call.
    x : array_like of shape (m,)
        float32 or float64, or bool and integers.
    b : array_like of shape (n,)
        Likewise.

    Returns
    -------
    float
        The 2-norm, formed in float64 whatever the types are. NaN where a residual is NaN, else inf where one is
        infinite or the norm exceeds the range of float64.

    Raises
    ------
    TypeError
        If a dtype is none of the above, indices are neither int32 nor int64, or `A` is no matrix.
    ValueError
        If shapes do not fit, or the arrays of `A` make no matrix: the message names the row and the entry.

    Notes
    -----
    r_i = b_i - s_i, where s_i is one chain of fused multiply-adds over the entries of row i as they are stored; squares
    are scaled by powers of two, so that none overflows or underflows, and summed exactly over chunks of 4096 rows.
    Bound: u ||(m_i + 1) (|b| + |A| |x|)_i|| + 22 u ||r|| with u = 2^-53 and m_i the entries of row i; where float64
    products underflow, m_i 2^-1074 more in row i. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> A = np.array([[5.0, -2.0, 0.0], [-2.0, 6.0, -1.0], [0.0, -1.0, 3.0]])
    >>> sg.sor.residual_norm(A, [0.5, 0.25, 1.0], [1.0, -4.0, 2.0])
    3.7165171868296265
    """
    matrix = csr_of("residual_norm", "A", A)
    data, x, b = contiguous_in_common_type(
        matrix.data, vector_of("residual_norm", "x", x), vector_of("residual_norm", "b", b)
    )
    return compiled.residual_norm(matrix.indptr, matrix.indices, data, matrix.rows, matrix.columns, x, b)

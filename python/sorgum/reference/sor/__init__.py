"""The family `sor` in NumPy."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum.reference.sor._sweeps import sor, sweep

__all__ = ["residual_norm", "sor", "sweep"]


def residual_norm(A: Any, x: npt.ArrayLike, b: npt.ArrayLike, *, dtype: npt.DTypeLike = np.float64) -> Any:
    """Return the norm of a residual, ||b - A x||.

    Parameters
    ----------
    A : array_like or sparse matrix of shape (n, m)
        Of scipy.sparse, or with its attributes.
    x : array_like of shape (m,)
    b : array_like of shape (n,)
    dtype : dtype, optional
        The type to compute in.

    Returns
    -------
    scalar of that type

    Examples
    --------
    >>> float(residual_norm(np.eye(2), [1.0, 2.0], [4.0, 6.0]))
    5.0
    """
    x, r = np.asarray(x, dtype=dtype), np.array(b, dtype=dtype)
    if isinstance(getattr(A, "format", None), str):
        A = A if A.format == "csr" else A.tocsr()
        entries = slice(0, A.indptr[-1])
        rows = np.repeat(np.arange(r.size), np.diff(A.indptr))
        np.subtract.at(r, rows, np.asarray(A.data, dtype=dtype)[entries] * x[A.indices[entries]])
    else:
        r -= np.asarray(A, dtype=dtype) @ x
    largest = np.max(np.abs(r), initial=0)
    if largest == 0 or not np.isfinite(largest):
        return np.asarray(largest, dtype=dtype)[()]
    return largest * np.sqrt(np.sum((r / largest) ** 2))

"""Arrays of Dask: what becomes of their blocks, without all of them in one memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sorgum.interop.arrays import kind_of
from sorgum.tucker import gram as gram_of_block
from sorgum.tucker import gram_finish, gram_merge, gram_partial
from sorgum.tucker._gram_parts import CHUNK

__all__ = ["gram"]


def gram(x: Any, mode: int) -> Any:
    """Return the Gram matrix of a Dask array along one mode, as `sorgum.tucker.gram` does of an array.

    Parameters
    ----------
    x : dask.array.Array of shape (..., n, ...)
        Of blocks that are whole along the mode.
    mode : int
        The axis of length n; counted from the end where it is negative.

    Returns
    -------
    dask.array.Array of shape (n, n)
        Of float64 and one block; nothing is computed yet.

    Raises
    ------
    ImportError
        If Dask is not installed: the extra `dask` brings it.
    TypeError
        If `x` is no array of Dask, or `mode` no integer.
    ValueError
        If `mode` is out of range, or blocks are cut along it, or have unknown sizes.

    Notes
    -----
    Each block gives its sums, and neighbours are added as a tree. Where blocks are cut along the first of the other
    axes alone, each at a multiple of 512 columns of the unfolding, the result has the bits of `sorgum.tucker.gram`;
    else they depend on where blocks are cut, and on nothing else. Tier: bitwise.

    Examples
    --------
    >>> import dask.array as da  # doctest: +SKIP
    >>> from sorgum.interop import dask  # doctest: +SKIP
    >>> dask.gram(da.ones((3, 4096), chunks=(3, 1024)), 0).compute()  # doctest: +SKIP
    array([[4096., 4096., 4096.],
           [4096., 4096., 4096.],
           [4096., 4096., 4096.]])
    """
    import dask
    import dask.array as da

    if not isinstance(x, da.Array):
        raise TypeError(f"gram: x must be a dask array, got {kind_of(x)}")
    if isinstance(mode, bool) or not isinstance(mode, int | np.integer):
        raise TypeError(f"gram: mode must be an int, got {kind_of(mode)}")
    if not -x.ndim <= mode < x.ndim:
        raise ValueError(f"gram: mode must be in [{-x.ndim}, {x.ndim}), got {mode}")
    axis = int(mode) % x.ndim
    if any(math.isnan(n) for sizes in x.chunks for n in sizes):
        raise ValueError(
            "gram: x must have blocks of known sizes, got unknown ones: x.compute_chunk_sizes() finds them"
        )
    if x.numblocks[axis] > 1:
        raise ValueError(
            f"gram: x must have one block along mode {axis}, got {x.numblocks[axis]}: "
            f"x.rechunk({{{axis}: -1}}) makes it one"
        )
    blocks = list(x.to_delayed().reshape(-1))
    begins = _begins(x, axis)
    if begins is None:
        sums = _added([dask.delayed(gram_of_block)(block, axis) for block in blocks], dask.delayed(np.add))
    else:
        parts = [dask.delayed(gram_partial)(block, axis, begin) for block, begin in zip(blocks, begins, strict=True)]
        sums = dask.delayed(gram_finish)(_added(parts, dask.delayed(_merged)))
    return da.from_delayed(sums, (x.shape[axis], x.shape[axis]), np.float64)


def _begins(x: Any, axis: int) -> list[int] | None:
    """Return the first column of each block, if they are cut along the first other axis and at chunks of columns."""
    others = [k for k in range(x.ndim) if k != axis]
    if any(x.numblocks[k] > 1 for k in others[1:]):
        return None
    each = math.prod(x.shape[k] for k in others[1:])
    ends = np.cumsum(x.chunks[others[0]]).tolist() if others else [1]
    begins = [0, *(end * each for end in ends[:-1])]
    return begins if all(begin % CHUNK == 0 for begin in begins) else None


def _merged(a: Any, b: Any) -> Any:
    return gram_merge([a, b])


def _added(parts: list[Any], add: Callable[[Any, Any], Any]) -> Any:
    while len(parts) > 1:
        pairs = [add(*parts[i : i + 2]) for i in range(0, len(parts) - 1, 2)]
        parts = pairs + parts[len(parts) - len(parts) % 2 :]
    return parts[0]

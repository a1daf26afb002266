"""Gram matrices of tensors in parts: sums that are stored, sent and merged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, floats_of
from sorgum._arguments.results import one_nan
from sorgum._arguments.scalars import int_of
from sorgum._core import tucker as compiled
from sorgum.interop import bfloat16
from sorgum.interop.arrays import kind_of, shown
from sorgum.tucker._mode_dot import mode_of

__all__ = ["CHUNK", "are_siblings", "gram_finish", "gram_merge", "gram_partial", "matrix_of_runs"]

CHUNK = 512
"""Parts begin at multiples of so many columns of the whole unfolding."""

_MOST_ROWS = 23169  # a record of NumPy has fewer than 2**31 bytes


def gram_partial(x: npt.ArrayLike, mode: int, begin: int = 0) -> Array:
    """Return the sums of a part of a tensor, of which `gram` of the whole can be made.

    Parameters
    ----------
    x : array_like of shape (..., n, ...)
        The part that is at hand: the tensor cut along the first of its axes other than `mode`, and whole along all
        others. So its columns follow each other in the unfolding of the whole tensor. Types as of `gram`.
    mode : int
        The axis of length n; counted from the end where it is negative.
    begin : int, optional
        The number of its first column in the unfolding of the whole tensor, a multiple of 512: for indices from i on
        along the first other axis, i times the product of the remaining ones.

    Returns
    -------
    ndarray of records
        One for each of the maximal aligned runs of chunks that the part has: `begin` and `end`, its columns, and
        `sums`, n (n + 1) / 2 numbers of float64, the lower triangle row by row. It pickles, and `numpy.save` keeps it.
        A part of 2^l chunks that begins at a multiple of so many has one record, any other part two for each power of
        two below its length at most.

    Raises
    ------
    TypeError
        As `gram`, or if `begin` is no integer.
    ValueError
        As `gram`; if `begin` is no multiple of 512, or n above 23169.

    Notes
    -----
    A run has 2^l chunks of 512 columns and begins at a multiple of its length: what the binary counter of
    docs/numerics/linalg.md adds up before it meets other columns. So the matrix that is made of the parts in any
    order has the bits of `gram` of the whole. Fewer records would not do: each run meets columns of other parts before
    it meets the other runs of its own. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> x = np.sqrt(np.arange(3 * 700.0)).reshape(3, 700)
    >>> parts = [sg.tucker.gram_partial(x[:, 512:], 0, begin=512), sg.tucker.gram_partial(x[:, :512], 0)]
    >>> merged = sg.tucker.gram_merge(parts)
    >>> merged["begin"], merged["end"]
    (array([0]), array([700]))
    >>> bool(np.all(sg.tucker.gram_finish(merged) == sg.tucker.gram(x, 0)))
    True
    """
    name = "gram_partial"
    array, axis = floats_of(name, "x", x), mode_of(name, mode)
    first = int_of(name, "begin", begin)
    if first % CHUNK or not 0 <= first < 2**62:
        raise ValueError(f"{name}: begin must be a multiple of {CHUNK} in [0, 2**62), got {shown(first)}")
    n = compiled.gram_rows(name, array, axis)
    if n > _MOST_ROWS:
        raise ValueError(f"{name}: x must have at most {_MOST_ROWS} elements along the mode, got {n}")
    columns = math.prod(array.shape[:axis] + array.shape[axis % array.ndim + 1 :])
    runs = compiled.gram_runs(first, columns)
    sums = np.empty((len(runs), n * (n + 1) // 2))
    compiled.gram_partial(array, axis, first, 0, columns, sums)
    records = np.empty(len(runs), _dtype(sums.shape[1]))
    for record, (start, end), some in zip(records, runs, sums, strict=True):
        record["begin"], record["end"], record["sums"] = start, end, some
    return records


def gram_merge(parts: Sequence[Array]) -> Array:
    """Merge the sums of parts of a tensor, in any order.

    Parameters
    ----------
    parts : sequence of ndarray of records
        Of `gram_partial`, or of this function; at least one.

    Returns
    -------
    ndarray of records
        Of all their columns, in ascending order: runs that make a larger one are added.

    Raises
    ------
    TypeError
        If one is no array of such records.
    ValueError
        If there is none, they differ in n, columns occur twice, or a record cannot be of `gram_partial`.

    Notes
    -----
    Additions are those of `gram`, whatever the order and the grouping. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> x = np.ones((2, 2048))
    >>> parts = [sg.tucker.gram_partial(x[:, k : k + 512], 0, begin=k) for k in (1024, 0, 512)]
    >>> sg.tucker.gram_merge(parts)["sums"]
    array([[1024., 1024., 1024.],
           [ 512.,  512.,  512.]])
    """
    return _merged("gram_merge", parts)


def gram_finish(p: Array) -> Array:
    """Return the Gram matrix from the sums of all parts.

    Parameters
    ----------
    p : ndarray of records
        Of `gram_partial` or `gram_merge`.

    Returns
    -------
    ndarray of shape (n, n)
        What `gram` returns for the whole tensor, bit for bit.

    Raises
    ------
    TypeError, ValueError
        As `gram_merge`; also if columns are missing between the first one and the last of the records.

    Notes
    -----
    Parts that are missing at the end cannot be noticed: see to it that all are there. Tier: bitwise.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.tucker.gram_finish(sg.tucker.gram_partial([[1.0, 2.0], [3.0, 4.0]], 0))
    array([[ 5., 11.],
           [11., 25.]])
    """
    name = "gram_finish"
    records = _merged(name, [p])
    end = 0
    for record in records:
        if record["begin"] != end:
            raise ValueError(f"{name}: p must have all columns, got none of [{end}, {record['begin']})")
        end = int(record["end"])
    sums = records["sums"]
    return matrix_of_runs(sums, _rows(sums.shape[1]))


def matrix_of_runs(sums: Array, n: int) -> Array:
    """Return the matrix (n, n) from the lower triangles of all runs in ascending order, of which none are siblings."""
    total = sums[-1].copy() if len(sums) else np.zeros(sums.shape[1])
    with np.errstate(all="ignore"):
        for older in sums[-2::-1]:
            total += older
    matrix = np.empty((n, n))
    for i in range(n):
        matrix[i, : i + 1] = matrix[: i + 1, i] = total[i * (i + 1) // 2 : (i + 1) * (i + 2) // 2]
    return one_nan(matrix)


def _dtype(elements: int) -> np.dtype[Any]:
    return np.dtype([("begin", "<i8"), ("end", "<i8"), ("sums", "<f8", (elements,))])


def _rows(elements: int) -> int:
    return (math.isqrt(8 * elements + 1) - 1) // 2


def _chunks(begin: int, end: int) -> int:
    return -(-(end - begin) // CHUNK)


def _merged(function: str, parts: Iterable[Array]) -> Array:
    argument = "p" if function == "gram_finish" else "parts"
    if isinstance(parts, np.ndarray) or not isinstance(parts, Sequence):
        raise TypeError(f"{function}: {argument} must be a sequence of arrays, got {kind_of(parts)}")
    if not parts:
        raise ValueError(f"{function}: {argument} must have at least one array, got none")
    for part in parts:
        elements = _elements(part)
        if elements is None:
            raise TypeError(f"{function}: {argument} must be of gram_partial, got {_described(part)}")
        if elements != _elements(parts[0]):
            rows = f"{_rows(_elements(parts[0]) or 0)} and {_rows(elements)}"
            raise ValueError(f"{function}: {argument} must be of the same mode, got {rows} rows")
    records = np.concatenate(parts)
    stack: list[Any] = []
    for record in records[np.argsort(records["begin"], kind="stable")]:
        begin, end = int(record["begin"]), int(record["end"])
        chunks = _chunks(begin, end)
        if begin < 0 or chunks < 1 or chunks & (chunks - 1) or begin % (chunks * CHUNK):
            raise ValueError(f"{function}: {argument} must have aligned runs, got columns [{begin}, {end})")
        if stack and stack[-1]["end"] > begin:
            raise ValueError(f"{function}: {argument} must have each column once, got {begin} twice")
        newer = record.copy()
        while stack and are_siblings(*((int(run["begin"]), int(run["end"])) for run in (stack[-1], newer))):
            older = stack.pop()
            with np.errstate(all="ignore"):
                newer["sums"] += older["sums"]
            newer["begin"] = older["begin"]
        stack.append(newer)
    return np.array(stack, records.dtype) if stack else records


def are_siblings(older: tuple[int, int], newer: tuple[int, int]) -> bool:
    """Return whether two runs of columns, (begin, end) each, make one of twice as many chunks."""
    chunks = _chunks(*older)
    return older[1] == newer[0] and chunks == _chunks(*newer) and older[0] % (2 * chunks * CHUNK) == 0


def _elements(part: object) -> int | None:
    """Return the number of sums of a record, None for what is no array of records."""
    if not isinstance(part, np.ndarray) or part.ndim != 1 or part.dtype.names != ("begin", "end", "sums"):
        return None
    elements = int(np.prod(part.dtype["sums"].shape))
    rows = _rows(elements)
    return elements if part.dtype == _dtype(elements) and rows * (rows + 1) // 2 == elements else None


def _described(part: object) -> str:
    return (
        f"an array of {part.ndim} axes and dtype {bfloat16.name(part.dtype)}"
        if isinstance(part, np.ndarray)
        else kind_of(part)
    )

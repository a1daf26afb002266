"""Sweeps of relaxation over a matrix that is checked and copied once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array
from sorgum._arguments.scalars import float_dtype_of, int_of, number_of
from sorgum._core import sor as compiled
from sorgum.interop.arrays import shown
from sorgum.sor._operands import blocksize_of, contiguous, csr_of
from sorgum.sor._rows import rows_of
from sorgum.sor._solve import SolveResult, columns_of, solve
from sorgum.sor._vectors import bounds_of, target_of, vector_like

__all__ = ["Relaxation"]


class Relaxation:
    """A square sparse matrix, ready to be relaxed: x is swept towards the solution of A x = b.

    Parameters
    ----------
    A : array_like or sparse matrix of shape (n, n)
        float32 or float64, or bool and integers, which become float64. Sparse: any object with `format`, `shape`,
        `indptr`, `indices` and `data`. It is checked and copied: later changes do not show. Several entries in one
        place add up in the order in which they are stored.
    order : {"natural", "multicolor", "block_multicolor"}, default "natural"
        In which order the rows are relaxed: as they stand, or color by color. Rows of a color do not depend on each
        other, so that all threads share them; colors are given greedily, first fit, over A + A^T. "block_multicolor":
        the same of groups of 512 rows that stand together, and keep their order; what is left behind the last whole
        group has the last color.
    blocksize : int, optional, default 1
        How many rows are relaxed together, at most 64, as those of the unknowns of one point: rows 0 to blocksize - 1,
        and so on. Their dense block on the diagonal takes the place of the diagonal. None: as many as the square blocks
        of a matrix of format "bsr" have, 1 for other formats. See Notes.
    dtype : {float32, float64}, optional
        The type of the copy, of all arithmetic and of x; that of `A` by default.

    Raises
    ------
    TypeError
        If a dtype is none of the above, indices are neither int32 nor int64, or `A` is no matrix.
    ValueError
        If `A` is not square, its arrays make no matrix, an element of the diagonal is missing, or it or its reciprocal
        is no normal number, or another element is not finite, or not so over the diagonal: the message names the row
        and the entry.

    Notes
    -----
    An object may be used by several threads at once, each with an x of its own. It is neither copied nor pickled: make
    another one from the matrix. Tier: bitwise.

    With blocksize > 1, D is the dense blocks on the diagonal, which must not be singular, and a sweep solves for the
    rows of a block at once: x_I = (1 - omega) x_I + omega D_I^-1 (b_I - sum A_IJ x_J over J != I). It is that of a row
    for the matrix D^-1 A and the right-hand side D^-1 b, which are formed by Gaussian elimination with partial pivoting
    in float64 and rounded to the dtype. Blocks with an entry count as full, the matrix is kept twice, and there are no
    bounds. A zero on the diagonal does no harm then.

    Rows are kept 16 at a time, padded to the longest of them but one. On grids that takes little more than the values;
    two long rows among short ones take 16 times the memory of the shorter of them.

    References
    ----------
    D. M. Young, *Iterative Solution of Large Linear Systems*, Academic Press 1971, chapter 3; chapter 14 for blocks.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> A = np.array([[5.0, -2.0, 0.0], [-2.0, 6.0, -1.0], [0.0, -1.0, 3.0]])
    >>> b = np.array([1.0, -4.0, 2.0])
    >>> relaxation = sg.sor.Relaxation(A)
    >>> x = np.zeros(3)
    >>> relaxation.sweep(x, b, 1.1, iterations=10)
    >>> x.round(4)
    array([-0.0411, -0.6027,  0.4658])
    """

    def __init__(
        self, A: Any, *, order: str = "natural", blocksize: int | None = 1, dtype: npt.DTypeLike | None = None
    ) -> None:
        """Check and copy the matrix."""
        if not isinstance(order, str):
            raise TypeError(f"Relaxation: order must be a string, got {shown(order)}")
        size = blocksize_of("Relaxation", A, blocksize)
        matrix = csr_of("Relaxation", "A", A)
        own = matrix.data.dtype if dtype is None else float_dtype_of("Relaxation", dtype)
        data = contiguous(matrix.data.astype(own, copy=False))
        parts = matrix.indptr, matrix.indices, data, matrix.rows, matrix.columns, order
        # Both have the methods that are called here.
        self._compiled = (
            compiled.Relaxation(*parts)
            if size == 1
            else cast(compiled.Relaxation, compiled.BlockRelaxation(*parts, size))
        )
        self._dtype, self._order, self._blocksize = own, order, size

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse to be copied or pickled: two objects would change one matrix, and its arrays are not for storing."""
        raise TypeError("Relaxation: the object must be made from a matrix, got a call of copy or pickle")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._compiled.rows, self._compiled.rows

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the matrix, of all arithmetic and of x."""
        return self._dtype

    @property
    def order(self) -> str:
        """In which order the rows are relaxed."""
        return self._order

    @property
    def blocksize(self) -> int:
        """How many rows are relaxed together."""
        return self._blocksize

    @property
    def colors(self) -> npt.NDArray[np.int32]:
        """The color of each row, from 0 on; all 0 in natural order."""
        return self._compiled.colors()

    def diagonal(self) -> Array:
        """Return the diagonal of the matrix, its shift included.

        Returns
        -------
        array of shape (n,)

        Examples
        --------
        >>> import numpy as np
        >>> import sorgum as sg
        >>> sg.sor.Relaxation(np.diag([2.0, 3.0])).diagonal()
        array([2., 3.])
        """
        return self._compiled.diagonal()

    def sweep(
        self,
        x: Array,
        b: npt.ArrayLike,
        omega: float = 1.0,
        *,
        sweep: str = "forward",
        iterations: int = 1,
        bounds: tuple[npt.ArrayLike | None, npt.ArrayLike | None] | None = None,
        rows: npt.ArrayLike | None = None,
    ) -> None:
        """Relax all rows, or some, one after the other, in place.

        Parameters
        ----------
        x : array of shape (n,)
            Of the dtype of the object, writable; overwritten.
        b : array_like of shape (n,)
            The right-hand side, of that dtype or one that it holds exactly.
        omega : float, default 1.0
            The relaxation factor, between 0 and 2; rounded to the dtype. 1 makes a Gauss-Seidel sweep.
        sweep : {"forward", "backward", "symmetric"}, default "forward"
            From the first row to the last, from the last to the first, or the one and then the other.
        iterations : int, default 1
            How many sweeps, or pairs of them.
        bounds : pair of array_like, optional
            Arrays of shape (n,) or numbers, or None, that no element of x falls below or exceeds: projected relaxation,
            which later rows of the same sweep see. A bound may be infinite where it bounds nothing. Where the lower
            one is above the upper one, the upper one holds.
        rows : array_like of int or of bool, optional
            Those that are relaxed; all by default. Numbers of rows are taken in the order given, a row as often as it
            is there; a mask of shape (n,) takes the rows where it is true, in the order of the object. Where
            `blocksize` is more than 1 they are numbers of blocks, and the mask has an element for each. A sweep
            backward goes from the last to the first. No other element of x changes.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type or shape, `omega` is out of range, a bound leaves nothing finite, a row is
            not there, or `x` overlaps `b` or a bound.

        Notes
        -----
        Row i: x_i = (1 - omega) x_i + (omega / a_ii) (b_i - sum a_ij x_j over j != i). The sum is one chain of fused
        multiply-adds over ascending columns, in the dtype of the object; in natural order the columns of the row's own
        block of 16 rows that the sweep has passed are subtracted afterwards, one by one (docs/numerics/sor.md). With
        u = 2^-53 (float32: 2^-24) and m entries in row i, its error is at most
        (m + 5) u (omega (|b_i| + sum |a_ij x_j|) / |a_ii| + |1 - omega| |x_i|). A row has the same arithmetic whatever
        `rows` are. Those are relaxed by one thread. Tier: bitwise.

        Examples
        --------
        >>> import numpy as np
        >>> import sorgum as sg
        >>> A = np.array([[5.0, -2.0, 0.0], [-2.0, 6.0, -1.0], [0.0, -1.0, 3.0]])
        >>> x = np.zeros(3)
        >>> sg.sor.Relaxation(A).sweep(x, [1.0, -4.0, 2.0], 1.3)
        >>> x.round(6)
        array([ 0.26    , -0.754   ,  0.539933])

        The last row, and then the first:

        >>> sg.sor.Relaxation(A).sweep(x, [1.0, -4.0, 2.0], rows=[2, 0])
        >>> x.round(6)
        array([-0.1016  , -0.754   ,  0.415333])
        """
        name = "Relaxation.sweep"
        target = target_of(name, x, self._dtype)
        if not isinstance(sweep, str):
            raise TypeError(f"{name}: sweep must be a string, got {shown(sweep)}")
        right, factor, count = (
            vector_like(name, "b", b, self._dtype, x),
            number_of(name, "omega", omega),
            int_of(name, "iterations", iterations),
        )
        lower, upper = self._bounds(name, bounds, x)
        some = None
        if rows is not None:
            by_color = None if self._order == "natural" else lambda: self._compiled.colors()[:: self._blocksize]
            some = rows_of(name, rows, self.shape[0] // self._blocksize, by_color)
        self._compiled.sweep(target, right, factor, sweep, min(count, 2**63 - 1), lower, upper, None, some)
        if target is not x:
            x[...] = target

    def residual_norm(self, x: npt.ArrayLike, b: npt.ArrayLike) -> float:
        """Return the norm of the residual, ||b - A x||.

        Parameters
        ----------
        x, b : array_like of shape (n,)
            Of the dtype of the object, or one that it holds exactly.

        Returns
        -------
        float
            The 2-norm, formed in float64 for either dtype. NaN where a residual is NaN, else inf where one is infinite.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type or shape.

        Notes
        -----
        The arithmetic is that of `sorgum.sor.residual_norm` for a matrix whose columns ascend and whose entries in one
        place are summed: with such a matrix, and without a shift, in natural order it has the same bits. Tier: bitwise.

        Examples
        --------
        >>> import sorgum as sg
        >>> sg.sor.Relaxation([[2.0, 0.0], [0.0, 4.0]]).residual_norm([1.0, 1.0], [5.0, 8.0])
        5.0
        """
        name = "Relaxation.residual_norm"
        return self._compiled.residual(vector_like(name, "x", x, self._dtype), vector_like(name, "b", b, self._dtype))

    def solve(
        self,
        b: npt.ArrayLike,
        x0: npt.ArrayLike | None = None,
        *,
        omega: float | str = "adaptive",
        rtol: float = 1e-5,
        atol: float = 0.0,
        maxiter: int | None = None,
        sweep: str = "forward",
        bounds: tuple[npt.ArrayLike | None, npt.ArrayLike | None] | None = None,
        nullspace: str | npt.ArrayLike | None = None,
        callback: Callable[[Array], Any] | None = None,
        progress: bool = False,
    ) -> SolveResult:
        """Solve A x = b, again and again for the one matrix.

        Parameters
        ----------
        b, x0 : array_like of shape (n,) or (n, k)
            Of the dtype of the object, or one that it holds exactly.
        omega, rtol, atol, maxiter, sweep, bounds, nullspace, callback, progress
            As those of `sor`.

        Returns
        -------
        SolveResult
            As `sor_result` returns it: `x`, `info` and how it went. Each call meets its own tolerance and finds its own
            factor; nothing is remembered.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type, shape or range.

        Examples
        --------
        >>> import sorgum as sg
        >>> relaxation = sg.sor.Relaxation([[4.0, -1.0], [-1.0, 4.0]])
        >>> relaxation.solve([3.0, 3.0], rtol=1e-10).x.round(6)
        array([1., 1.])
        """
        name = "Relaxation.solve"
        right = columns_of(name, "b", b, self.shape[0], self._dtype)
        start = None if x0 is None else columns_of(name, "x0", x0, self.shape[0], self._dtype)
        if start is not None and start.shape != right.shape:
            raise ValueError(f"{name}: x0 must have the shape of b, {right.shape}, got {start.shape}")
        return solve(
            self._compiled,
            right,
            start,
            self._bounds(name, bounds),
            omega=omega,
            rtol=rtol,
            atol=atol,
            maxiter=maxiter,
            sweep=sweep,
            nullspace=nullspace,
            callback=callback,
            progress=progress,
        )

    def precondition(self, r: npt.ArrayLike, omega: float = 1.0) -> Array:
        """Apply the inverse of M = omega / (2 - omega) (D / omega + L) D^-1 (D / omega + U), A = L + D + U.

        Parameters
        ----------
        r : array_like of shape (n,)
            Of the dtype of the object, or one that it holds exactly.
        omega : float, default 1.0
            Between 0 and 2; rounded to the dtype.

        Returns
        -------
        array of shape (n,)
            M^-1 r: where a sweep forward and one backward take 0 with the right-hand side r.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type or shape, or `omega` is out of range.

        Notes
        -----
        Each half reads only its half of the matrix, see docs/numerics/sor.md. Tier: bitwise.

        See Also
        --------
        SSOR : the same for SciPy's solvers.

        Examples
        --------
        >>> import numpy as np
        >>> import sorgum as sg
        >>> sg.sor.Relaxation(np.diag([2.0, 4.0])).precondition([1.0, 1.0])
        array([0.5 , 0.25])
        """
        name = "Relaxation.precondition"
        out = np.empty(self.shape[0], self._dtype)
        self._compiled.precondition(vector_like(name, "r", r, self._dtype), number_of(name, "omega", omega), out)
        return out

    def update_values(self, data: npt.ArrayLike) -> None:
        """Give the entries other values, in the places where they are.

        Parameters
        ----------
        data : array_like of shape (entries,)
            The `data` of the new matrix, whose `indptr` and `indices` are those of the first one; of the dtype of the
            object, or one that it holds exactly. A shift is forgotten.

        Raises
        ------
        TypeError, ValueError
            As the constructor: the matrix then stays as it was.

        Examples
        --------
        >>> import numpy as np
        >>> import sorgum as sg
        >>> relaxation = sg.sor.Relaxation(np.diag([2.0, 3.0]))
        >>> relaxation.update_values([4.0, 5.0])
        >>> relaxation.diagonal()
        array([4., 5.])
        """
        self._compiled.update_values(vector_like("Relaxation.update_values", "data", data, self._dtype))

    def shift(self, c: float) -> None:
        """Make the matrix A + c I, where A is the one that was given last.

        Parameters
        ----------
        c : float
            Rounded to the dtype of the object. It is counted from A each time: shifts do not add up, and 0 restores A.

        Raises
        ------
        TypeError, ValueError
            If `c` is no finite number, or A + c I is refused as the constructor would: the matrix then stays as it was.

        Examples
        --------
        >>> import numpy as np
        >>> import sorgum as sg
        >>> relaxation = sg.sor.Relaxation(np.diag([2.0, 3.0]))
        >>> relaxation.shift(0.5)
        >>> relaxation.shift(0.5)
        >>> relaxation.diagonal()
        array([2.5, 3.5])
        """
        self._compiled.shift(number_of("Relaxation.shift", "c", c))

    def _bounds(self, name: str, bounds: Any, x: Array | None = None) -> tuple[Array | None, Array | None]:
        if bounds is not None and self._blocksize > 1:
            raise ValueError(f"{name}: bounds must be None where blocksize is above 1, got {shown(bounds)}")
        return bounds_of(name, bounds, self.shape[0], self._dtype, x)

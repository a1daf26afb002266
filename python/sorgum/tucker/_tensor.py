"""A tensor that is kept as a core and a factor for each of its modes."""

from __future__ import annotations

import math
import operator
import os
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, integers_of
from sorgum._arguments.halves import wide_floats_of
from sorgum._arguments.results import result_of_dtype
from sorgum.interop.arrays import is_int, shown
from sorgum.tucker._modes import by_cost, modes_of, sequence_of
from sorgum.tucker._multi_mode_dot import products_in_order

__all__ = ["TuckerTensor"]

_BLOCK = 2**20  # elements of what is formed at a time for single entries


class TuckerTensor:
    """A tensor as a core times a factor along each of its modes; ``core, factors = tensor`` unpacks it.

    Parameters
    ----------
    core : array_like of shape (r_0, r_1, ...)
        float32 or float64; float16 and bfloat16 count as float32, bool and integers become float64.
    factors : sequence of array_like
        One of shape (n_k, r_k) for each of `modes`; all are brought to one type, float64 where one has it.
    modes : sequence of int, optional
        The axes of the core that have factors, all by default. Any other axis is one of the tensor, too.
    error : float, optional
        What `error` says.

    Attributes
    ----------
    core : array
    factors : list of arrays
    modes : tuple of int
    error : float
        ||x - tensor|| / ||x|| in the Frobenius norm, x being what was decomposed; NaN where nothing was.

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        If shapes do not fit, or a mode is out of range or stands twice.

    Notes
    -----
    x[i_0, i_1, ...] = sum core[j_0, j_1, ...] U_0[i_0, j_0] U_1[i_1, j_1] ... over all j (Tucker 1966; Kolda and Bader
    2009, section 4). `to_tensor` and indexing are of the tier bitwise, `norm` and `entries` deterministic.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> tensor = sg.tucker.TuckerTensor([[2.0]], [[[1.0], [3.0]], [[1.0], [0.0], [5.0]]])
    >>> tensor.to_tensor()
    array([[ 2.,  0., 10.],
           [ 6.,  0., 30.]])
    >>> tensor[1, ::2], tensor.shape, tensor.rank
    (array([ 6., 30.]), (2, 3), (1, 1))
    """

    core: Array
    factors: list[Array]
    modes: tuple[int, ...]
    error: float

    def __init__(
        self,
        core: npt.ArrayLike,
        factors: Sequence[npt.ArrayLike],
        modes: Sequence[int] | None = None,
        *,
        error: float = math.nan,
    ) -> None:
        name = "TuckerTensor"
        array = wide_floats_of(name, "core", core)
        matrices = [wide_floats_of(name, "factors", item) for item in sequence_of(name, "factors", factors)]
        self.modes = modes_of(name, "modes", modes, array.ndim)
        if len(matrices) != len(self.modes):
            raise ValueError(f"{name}: factors must have {len(self.modes)} entries, got {len(matrices)}")
        for mode, matrix in zip(self.modes, matrices, strict=True):
            if matrix.ndim != 2 or matrix.shape[1] != array.shape[mode]:
                raise ValueError(
                    f"{name}: factors must have shape (n, {array.shape[mode]}) in mode {mode}, got {matrix.shape}"
                )
        dtype = np.result_type(array.dtype, *(matrix.dtype for matrix in matrices))
        self.core = array.astype(dtype, copy=False)
        self.factors = [matrix.astype(dtype, copy=False) for matrix in matrices]
        self.error = float(error)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the tensor."""
        shape = list(self.core.shape)
        for mode, factor in zip(self.modes, self.factors, strict=True):
            shape[mode] = len(factor)
        return tuple(shape)

    @property
    def rank(self) -> tuple[int, ...]:
        """The shape of the core."""
        return self.core.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the core and the factors."""
        return self.core.dtype

    @property
    def size(self) -> int:
        """How many numbers the core and the factors hold."""
        return self.core.size + sum(factor.size for factor in self.factors)

    def __iter__(self) -> Iterator[Any]:
        """Unpack: the core, and the list of factors."""
        yield self.core
        yield self.factors

    def __repr__(self) -> str:
        modes = "" if len(self.modes) == self.core.ndim else f", modes={self.modes}"
        return f"TuckerTensor(shape={self.shape}, rank={self.rank}{modes}, dtype={self.dtype}, error={self.error:.3g})"

    def norm(self) -> float:
        """Return the Frobenius norm.

        Returns
        -------
        float

        Notes
        -----
        From the Gram matrices of the factors, in float64: ||x||^2 = <core, core x_0 U_0^T U_0 x_1 ...>. The tensor is
        not formed. Tier: deterministic.

        Examples
        --------
        >>> import sorgum as sg
        >>> sg.tucker.TuckerTensor([[5.0]], [[[3.0], [4.0]], [[1.0]]]).norm()
        25.0
        """
        with np.errstate(all="ignore"):
            parts = [self.core, *self.factors]
            exponents = [int(np.frexp(np.abs(part).max(initial=0.0))[1]) for part in parts]
            core, *factors = (np.ldexp(part.astype(np.float64), -e) for part, e in zip(parts, exponents, strict=True))
            grams = {mode: factor.T @ factor for mode, factor in zip(self.modes, factors, strict=True)}
            square = float(np.vdot(core, products_in_order(core, grams, list(grams), out=None)))
            return float(np.ldexp(math.sqrt(max(square, 0.0)), sum(exponents)))

    def to_tensor(self, out: Array | None = None) -> Array:
        """Return the tensor as an array.

        Parameters
        ----------
        out : array of `shape` and `dtype`, optional
            Where to write.

        Returns
        -------
        array
            `out` if it was given.

        Raises
        ------
        TypeError
            If `out` is no array of that type.
        ValueError
            If `out` has another shape or cannot be written.

        Notes
        -----
        One `mode_dot` per factor in the order that costs least; the error is that of `multi_mode_dot`. Tier: bitwise.

        Examples
        --------
        >>> import sorgum as sg
        >>> sg.tucker.TuckerTensor([2.0], [[[1.0], [3.0]]]).to_tensor()
        array([2., 6.])
        """
        name = "TuckerTensor.to_tensor"
        shape = self.shape
        result = result_of_dtype(name, out, shape, self.dtype)
        if result.shape != shape:
            raise ValueError(f"{name}: out must have shape {shape}, got {result.shape}")
        if not result.flags.writeable:
            raise ValueError(f"{name}: out must be writable, got a read-only array")
        return self._formed(self.factors, result)

    def entries(self, indices: npt.ArrayLike) -> Array:
        """Return single elements.

        Parameters
        ----------
        indices : array_like of int of shape (..., number of axes)
            An index along every axis for each element; negative ones count from the end.

        Returns
        -------
        array of shape (...)

        Raises
        ------
        TypeError
            If `indices` are no integers.
        ValueError
            If their last axis has another length, or one is out of range.

        Notes
        -----
        The cost is the core's size per element, and the tensor is never formed. Rounded as a sum of products in the
        type of the core. Tier: deterministic.

        Examples
        --------
        >>> import sorgum as sg
        >>> tensor = sg.tucker.TuckerTensor([[2.0]], [[[1.0], [3.0]], [[1.0], [0.0], [5.0]]])
        >>> tensor.entries([[1, 2], [0, -3]])
        array([30.,  2.])
        """
        name, shape = "TuckerTensor.entries", self.shape
        array = integers_of(name, "indices", indices)
        if array.ndim == 0 or array.shape[-1] != len(shape):
            raise ValueError(f"{name}: indices must have shape (..., {len(shape)}), got {array.shape}")
        places = array.reshape(-1, len(shape))
        for axis, n in enumerate(shape):
            along = places[:, axis]
            wrong = (along < -n) | (along >= n)
            if wrong.any():
                raise ValueError(f"{name}: indices must be in [{-n}, {n}) along axis {axis}, got {along[wrong][0]}")
        result = np.empty(len(places), self.dtype)
        step = max(1, _BLOCK // max(self.core.size, 1))
        with np.errstate(all="ignore"):
            for begin in range(0, len(places), step):
                result[begin : begin + step] = self._some_entries(places[begin : begin + step].astype(np.int64))
        return result.reshape(array.shape[:-1])

    def _some_entries(self, places: Array) -> Array:
        """Contract one axis after the other, the first of the core first."""
        by_mode = dict(zip(self.modes, self.factors, strict=True))
        y = np.broadcast_to(self.core, (len(places), *self.core.shape))
        for mode in range(self.core.ndim):
            if mode in by_mode:
                weights = by_mode[mode][places[:, mode]]
                rest = y.reshape(len(places), y.shape[1], -1) if mode else self.core.reshape(1, self.core.shape[0], -1)
                y = (weights[:, None, :] @ rest)[:, 0].reshape(len(places), *y.shape[2:])
            else:
                y = y[np.arange(len(places)), places[:, mode]]
        return y

    def __getitem__(self, key: Any) -> Any:
        """Return a part of the tensor: ints, slices and an ellipsis, as of an array, with the bits of `to_tensor`."""
        items = list(key) if isinstance(key, tuple) else [key]
        if not all(is_int(item) or isinstance(item, slice) or item is Ellipsis for item in items):
            raise TypeError(f"TuckerTensor: an index must be an int, a slice or an ellipsis, got {shown(key)}")
        dots = [place for place, item in enumerate(items) if item is Ellipsis]
        missing = self.core.ndim - (len(items) - len(dots))
        if len(dots) > 1 or missing < 0:
            raise IndexError(f"TuckerTensor: an index must have at most {self.core.ndim} entries, got {shown(key)}")
        at = dots[0] if dots else len(items)
        items[at : at + 1] = [slice(None)] * missing
        rows: list[slice] = []
        for axis, (item, n) in enumerate(zip(items, self.shape, strict=True)):
            if isinstance(item, slice):
                rows.append(item)
                continue
            number = operator.index(item)
            if not -n <= number < n:
                raise IndexError(f"TuckerTensor: an index must be in [{-n}, {n}) along axis {axis}, got {number}")
            rows.append(slice(number % n, number % n + 1))
        core = self.core[tuple(slice(None) if k in self.modes else item for k, item in enumerate(rows))]
        factors = [factor[rows[mode]] for mode, factor in zip(self.modes, self.factors, strict=True)]
        part = TuckerTensor(core, factors, self.modes)
        result = self._formed(part.factors, np.empty(part.shape, self.dtype), core)
        return result[tuple(slice(None) if isinstance(item, slice) else 0 for item in items)]

    def _formed(self, factors: list[Array], out: Array, core: Array | None = None) -> Array:
        """Write the product with some rows of the factors, in the order of the whole, and so with its bits."""
        lengths = {mode: self.shape[mode] for mode in sorted(self.modes)}
        order = by_cost((mode, max(n, 1), n / max(self.core.shape[mode], 1)) for mode, n in lengths.items())
        matrices = dict(zip(self.modes, factors, strict=True))
        return products_in_order(self.core if core is None else core, matrices, order, out=out)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the core, the factors, the modes and the error to a file of NumPy's format npz.

        Parameters
        ----------
        path : str or path
            Of the file, exactly as it is given.

        Examples
        --------
        >>> import os
        >>> import tempfile
        >>> import sorgum as sg
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = os.path.join(directory, "tensor.npz")
        ...     sg.tucker.TuckerTensor([2.0], [[[1.0], [3.0]]]).save(path)
        ...     sg.tucker.TuckerTensor.load(path)
        TuckerTensor(shape=(2,), rank=(1,), dtype=float64, error=nan)
        """
        factors: dict[str, Any] = {f"factor_{k}": f for k, f in zip(self.modes, self.factors, strict=True)}
        with open(path, "wb") as file:
            np.savez(file, core=self.core, modes=np.array(self.modes, np.int64), error=np.array(self.error), **factors)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TuckerTensor:
        """Return what `save` wrote.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        TuckerTensor

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is none that `save` wrote. Nothing in it is run: pickles are refused.
        """
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as parts:
                modes = [int(mode) for mode in parts["modes"]]
                factors = [parts[f"factor_{mode}"] for mode in modes]
                return cls(parts["core"], factors, modes, error=float(parts["error"]))
        except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
            raise ValueError(f"TuckerTensor.load: path must be a file that save wrote, got {shown(path)}") from error

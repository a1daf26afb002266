"""Higher-order singular value decompositions, truncated mode by mode or all at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, floats_of
from sorgum._arguments.halves import widened
from sorgum._arguments.scalars import number_of, require_option
from sorgum.interop.arrays import plain, shown
from sorgum.random import Key
from sorgum.random._keys import Rng, key_of
from sorgum.tucker._files import in_memory, is_mapped, room
from sorgum.tucker._leading import Leading, Spectrum, by_gram, by_qr, by_random_rows, factor_of, leading, squared_norm
from sorgum.tucker._modes import Ranks, cheapest, modes_of, order_of, ranks_of, require_reachable
from sorgum.tucker._multi_mode_dot import product_along, slabs
from sorgum.tucker._slabs import Known, Tensor, Truncated, array_of, grams, projected
from sorgum.tucker._tensor import TuckerTensor

__all__ = ["computed_type", "error_of", "hosvd", "in_range", "require_range", "sthosvd", "tensor_of"]

Method: TypeAlias = Literal["auto", "gram", "qr", "randomized"]
_METHODS = ("auto", "gram", "qr", "randomized")
_GRAM_REACHES = 1e-6  # of a tensor's norm: what a Gram matrix of float64 data tells from its rounding
_NOISE = 32  # times n u: a difference of squares below this part of them says nothing
_SMALLEST, _LARGEST = 2.0**-100, 2.0**200  # squared norms of float32 data between which nothing is lost
_RANGES = {4: (_SMALLEST, _LARGEST), 8: (2.0**-800, 2.0**1000)}


def sthosvd(
    x: npt.ArrayLike,
    rank: Ranks = None,
    *,
    rtol: float | None = None,
    modes: Sequence[int] | None = None,
    mode_order: Literal["auto"] | Sequence[int] = "auto",
    method: Method = "auto",
    rng: Rng = 0,
) -> TuckerTensor:
    """Return a Tucker tensor near a tensor by the sequentially truncated higher-order singular value decomposition.

    Parameters
    ----------
    x : array_like of shape (n_0, n_1, ...)
        float32 or float64; float16 and bfloat16 count as float32, bool and integers become float64.
    rank : int or sequence of int or None, optional
        One rank for all modes, or one for each; None in a sequence keeps that mode as it is. At most the dimension, and
        at most the product of the core's other dimensions. Either `rank` or `rtol` is given.
    rtol : float, optional
        The relative error, 0 to 1, that the result does not exceed. Ranks are the least ones that each step allows.
    modes : sequence of int, optional
        The axes that are decomposed, all by default.
    mode_order : "auto" or sequence of int, optional
        In which order modes are truncated; "auto" by the cost for these dimensions and ranks.
    method : {"auto", "gram", "qr", "randomized"}, optional
        How the leading vectors of an unfolding are found. "gram": as the eigenvectors of its Gram matrix, formed in
        float64. "qr": from its triangular factor, in float64, for twice the work. "randomized": from a sample of its
        range, where the rank is given. "auto": "gram", but "qr" for float64 data where the Gram matrix cannot tell:
        where `rtol` is below 1e-6, or the last eigenvalue that is kept below n u of the first.
    rng : Key, int or numpy.random.Generator, optional
        What "randomized" draws with.

    Returns
    -------
    TuckerTensor
        With orthonormal factors, the entry of the largest magnitude in each column positive, and with `error`.

    Raises
    ------
    TypeError
        If a dtype is none of the above, or an argument has another type.
    ValueError
        If an argument is out of its range, or `x` has no elements.
    numpy.linalg.LinAlgError
        If `x` has NaN or infinite elements.
    OSError
        If `x` lies in a file and there is no room for a temporary one.

    Notes
    -----
    One mode after the other the tensor is replaced by U^T x, U the leading left singular vectors of its unfolding, so
    that each mode is found from a smaller tensor (Vannieuwenhoven, Vandebril and Meerbergen 2012, algorithm 1). The
    squared error is the sum of what each step leaves out. With `rtol` all steps together may leave out
    (rtol - 4 eps)^2 ||x||^2, with eps of the type: below that rounding decides. Each step may leave out its share of
    what the steps before have left over of that. Where the sum is within rounding of the squares, the residual is
    formed, part by part; where the residual is above `rtol`, QR is taken. So `error` is right to 10 percent and 4 eps,
    and at most `rtol` from 4 eps on. The error is at most sqrt(d) of the least possible for d modes. Factors are
    orthonormal to 1e-14 (float32: 1e-6). A tensor of zeros has error 0, and with `rtol` rank 1.

    Tensors of 16-bit types are widened part by part. A `numpy.memmap` is not read into memory: that holds Gram
    matrices, two parts of 32 MB, the result, and 100 MB at most besides. The tensor that the factors found so far have
    made small is kept in memory once it has 64 MB or fewer. Until then it is formed anew, part by part, for each mode,
    as long as mode 0 is to come after the next one; from then on it is in a temporary file without a name. So are
    samples, integers as float64, numbers whose squares leave the range, scaled, and what QR or samples are taken of if
    it is not in C order. The directory is that of `tempfile.gettempdir`. The file is read at most twice for each mode.
    The result has the bits of that in memory.

    Tier: deterministic: the same bits with the same build of NumPy, whose LAPACK finds eigenvectors, and number of its
    threads; Gram matrices and products are of the tier bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> i, j, k = np.ogrid[1:51, 1:51, 1:51]
    >>> sg.tucker.sthosvd(1 / (i + j + k), rtol=1e-4).rank
    (6, 6, 6)
    >>> core, factors = sg.tucker.sthosvd(1 / (i + j + k), rank=(2, None, 3))
    >>> core.shape, len(factors)
    ((2, 50, 3), 2)
    """
    name = "sthosvd"
    array = tensor_of(name, x)
    wanted = _Wanted(name, array, rank, rtol, modes, method)
    order = order_of(name, mode_order, wanted.modes, array.ndim)
    key = Key(key_of(name, rng))
    return in_range(name, array, lambda scaled, _: _sequential(scaled, wanted, order or wanted.cheapest(), key))


def hosvd(
    x: npt.ArrayLike,
    rank: Ranks = None,
    *,
    rtol: float | None = None,
    modes: Sequence[int] | None = None,
    method: Method = "auto",
    rng: Rng = 0,
) -> TuckerTensor:
    """Return a Tucker tensor near a tensor by the truncated higher-order singular value decomposition.

    Parameters
    ----------
    x : array_like of shape (n_0, n_1, ...)
        float32 or float64; float16 and bfloat16 count as float32, bool and integers become float64.
    rank, rtol, modes, method, rng : optional
        As of `sthosvd`, which takes less time for nearly the same error.

    Returns
    -------
    TuckerTensor
        With orthonormal factors, the entry of the largest magnitude in each column positive, and with `error`.

    Raises
    ------
    TypeError, ValueError, numpy.linalg.LinAlgError, OSError
        As of `sthosvd`.

    Notes
    -----
    Every factor is found from the unfolding of the whole tensor, and the core is the product with all of them: De
    Lathauwer, De Moor and Vandewalle 2000, section 4. With `rtol` each of d modes may leave out (rtol - 4 eps)^2 / d of
    the squared norm. `error` is right to 10 percent and 4 eps: sqrt(||x||^2 - ||core||^2), or the residual's where that
    cancels. Tier: deterministic.

    The tensor is read twice. A `numpy.memmap` is not read into memory, as with `sthosvd`: the core with mode 0 as it is
    lies in a temporary file where it has more than 64 MB. The result has the bits of that in memory.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> i, j, k = np.ogrid[1:51, 1:51, 1:51]
    >>> sg.tucker.hosvd(np.sin(i + j + k), rtol=1e-3).rank
    (2, 2, 2)
    """
    name = "hosvd"
    array = tensor_of(name, x)
    wanted = _Wanted(name, array, rank, rtol, modes, method)
    key = Key(key_of(name, rng))
    return in_range(name, array, lambda scaled, _: _at_once(scaled, wanted, key))


def tensor_of(function: str, x: npt.ArrayLike) -> Array:
    """Return an array of a floating-point type that has elements, in any layout."""
    given = plain(function, "x", x)
    if is_mapped(given) and given.dtype.kind in "biu":
        array = room(given.shape, np.dtype(np.float64), given)
        for where in slabs(given.shape):
            array[where] = given[where]
    else:
        array = floats_of(function, "x", given)
    if array.ndim == 0:
        raise ValueError(f"{function}: x must have an axis, got a scalar")
    if array.size == 0:
        raise ValueError(f"{function}: x must have elements, got shape {array.shape}")
    return array


def computed_type(x: Array) -> np.dtype[np.float32] | np.dtype[np.float64]:
    """Return float64 for float64, else float32."""
    return np.dtype(np.float64) if x.dtype == np.float64 else np.dtype(np.float32)


def in_range(function: str, x: Array, decompose: Callable[[Array, int], TuckerTensor]) -> TuckerTensor:
    """Return the decomposition of a tensor, divided by a power of two where squares would leave the range.

    Parameters
    ----------
    function : str
        For error messages.
    x : array
    decompose : callable
        From such an array and the exponent of that power to its decomposition; raises OverflowError where its squared
        norm is not finite or leaves the range in which nothing is lost.
    """
    with np.errstate(all="ignore"):
        try:
            return decompose(x, 0)
        except OverflowError:
            pass
        parts = slabs(x.shape)
        largest = float(np.max([np.abs(widened(x[where])).max() for where in parts]))
        if not math.isfinite(largest):
            raise np.linalg.LinAlgError(f"{function}: x must be finite, got NaN or an infinity")
        exponent = math.frexp(largest)[1] if largest else 0
        scaled = room(x.shape, computed_type(x), x)
        for where in parts:
            np.ldexp(widened(x[where]), -exponent, out=scaled[where])
        found = decompose(scaled, exponent)
        core = np.ldexp(found.core, exponent)
        if not np.isfinite(core).all():
            raise np.linalg.LinAlgError(f"{function}: x must have a norm within {core.dtype}, got a larger one")
        lost = np.linalg.norm((np.ldexp(core, -exponent) - found.core).astype(np.float64).reshape(-1))  # to subnormals
        size = np.linalg.norm(found.core.astype(np.float64).reshape(-1)) / math.sqrt(max(1 - found.error**2, 1e-300))
        error = math.hypot(found.error, lost / size) if size else 0.0
        return TuckerTensor(core, found.factors, found.modes, error=error)


def require_range(square: float, x: Array) -> None:
    """Raise OverflowError where a squared norm is too small or too large for what is computed from it."""
    low, high = _RANGES[computed_type(x).itemsize]
    if not low <= square <= high and (square > 0 or bool(x.view(_BITS[x.dtype.itemsize]).any())):
        raise OverflowError


_BITS = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def error_of(x: Array, tensor: TuckerTensor, square: float, rest: float, unit: float) -> float:
    """Return the relative error of a decomposition.

    Parameters
    ----------
    x : array
    tensor : TuckerTensor
    square : float
        ||x||^2.
    rest : float
        What a difference of squares says of the squared error.
    unit : float
        The rounding of these squares per element of a mode. Where they cancel to that, the residual is formed.
    """
    if square == 0:
        return 0.0
    if rest > _NOISE * max(x.shape) * unit * square:
        return math.sqrt(rest / square)
    return _residual(x, tensor) / math.sqrt(square)


def _residual(x: Array, tensor: TuckerTensor) -> float:
    """Return ||x - tensor||, part by part."""
    total = 0.0
    for where in slabs(x.shape):
        difference = np.subtract(widened(x[where]), tensor[where], dtype=np.float64).reshape(-1)
        total += float(np.vdot(difference, difference))
    return math.sqrt(total)


class _Wanted:
    """What is asked for: modes and their ranks, or an error, and how vectors are found."""

    def __init__(self, function: str, x: Array, rank: Ranks, rtol: object, modes: object, method: object) -> None:
        self.x = x
        axes = modes_of(function, "modes", modes, x.ndim)
        if (rank is None) == (rtol is None):
            raise ValueError(f"{function}: rank must be given, or rtol, got {'neither' if rank is None else 'both'}")
        require_option(function, "method", method, *_METHODS)
        self.method = str(method)
        self.ranks: dict[int, int] | None = None
        self.rtol = self.target = 0.0
        self.modes = axes
        if rank is not None:
            self.ranks = ranks_of(function, rank, x.shape, axes)
            require_reachable(function, self.ranks, x.shape)
            self.modes = tuple(mode for mode in axes if mode in self.ranks)
            return
        self.rtol = number_of(function, "rtol", rtol)
        if not 0 <= self.rtol <= 1:
            raise ValueError(f"{function}: rtol must be in [0, 1], got {shown(self.rtol)}")
        if method == "randomized":
            raise ValueError(f"{function}: rank must be given where method is 'randomized', got None")
        eps = float(np.finfo(computed_type(x)).eps)
        self.target = max(self.rtol - 4 * eps, 0.0) ** 2
        if method == "auto" and x.dtype == np.float64 and self.rtol < _GRAM_REACHES:
            self.method = "qr"

    @property
    def unit(self) -> float:
        """The rounding of what is left out: that of a sample in the type of the data, else that of float64."""
        dtype = computed_type(self.x) if self.method == "randomized" else np.dtype(np.float64)
        return float(np.finfo(dtype).eps)

    @property
    def has_grams(self) -> bool:
        """Whether vectors are found from Gram matrices."""
        return self.method in ("auto", "gram")

    def cheapest(self) -> list[int]:
        """Return the modes in the order that costs least, an eighth of the dimension standing for an unknown rank."""
        return cheapest(self.x.shape, self.ranks or {mode: max(1, self.x.shape[mode] // 8) for mode in self.modes})

    def spectrum(self, x: Tensor, mode: int) -> Spectrum:
        """Return that of an unfolding."""
        return by_qr(array_of(x), mode) if self.method == "qr" else by_gram(x, mode)

    def leading(self, x: Tensor, mode: int, key: Key) -> Leading:
        """Return vectors of the rank of a mode."""
        assert self.ranks is not None
        if self.method == "randomized":
            return by_random_rows(array_of(x), mode, self.ranks[mode], key)
        return leading(x, mode, self.ranks[mode], self.method)

    def is_met(self, error: float) -> bool:
        """Return whether the promise holds, or nothing more can be done about it."""
        if self.ranks is not None or error <= self.rtol or self.method == "qr" or self.x.dtype != np.float64:
            return True
        self.method = "qr"
        return False


def _sequential(x: Array, wanted: _Wanted, order: Sequence[int], key: Key) -> TuckerTensor:
    dtype = computed_type(x)
    y, rest, square = Truncated(x, dtype), 0.0, -1.0
    factors = {}
    for step, mode in enumerate(order):
        if wanted.ranks is None:
            spectrum = wanted.spectrum(y, mode)
            budget = max(wanted.target * (square if step else spectrum.square) - rest, 0.0) / (len(order) - step)
            found = spectrum.first(spectrum.rank_for(budget))
        else:
            found = wanted.leading(y, mode, key)
        if step == 0:
            square = found.square
            require_range(square, x)
        rest += found.tail
        factors[mode] = factor_of(found.vectors, dtype)
        y.truncate(mode, factors[mode], order[step + 1 :])
    core = in_memory(widened(y.formed()).astype(dtype, copy=not order))
    tensor = TuckerTensor(core, [factors[mode] for mode in sorted(factors)], sorted(factors))
    tensor.error = error_of(x, tensor, square, rest, wanted.unit) if order else 0.0
    return tensor if wanted.is_met(tensor.error) else _sequential(x, wanted, order, key)


def _at_once(x: Array, wanted: _Wanted, key: Key) -> TuckerTensor:
    dtype, square = computed_type(x), 0.0
    factors: dict[int, Array] = {}

    def find(mode: int, tensor: Known) -> None:
        nonlocal square
        if wanted.ranks is None:
            spectrum = wanted.spectrum(tensor, mode)
            found = spectrum.first(spectrum.rank_for(wanted.target * spectrum.square / len(wanted.modes)))
        else:
            found = wanted.leading(tensor, mode, key)
        if not factors:
            square = found.square
            require_range(square, x)
        factors[mode] = factor_of(found.vectors, dtype)

    others = [mode for mode in wanted.modes if mode != 0]
    known = Known(x, grams(x, others) if wanted.has_grams else {})
    for mode in others:
        find(mode, known)
    if x.ndim == 1:
        core = widened(x).astype(dtype)
    else:
        core, matrix = projected(x, factors, dtype, wanted.has_grams and 0 in wanted.modes)
        known = Known(x, {0: matrix} if wanted.has_grams else {})
    if 0 in wanted.modes:
        find(0, known)
        shape = (factors[0].shape[1], *core.shape[1:])
        core = product_along(core, factors[0], 0, dtype, transpose=True, out=room(shape, dtype, core))
    tensor = TuckerTensor(in_memory(core), [factors[mode] for mode in sorted(factors)], sorted(factors))
    if factors:
        rest = square - squared_norm(core)
        tensor.error = error_of(x, tensor, square, rest, float(np.finfo(dtype).eps))
    else:
        tensor.error = 0.0
    return tensor if wanted.is_met(tensor.error) else _at_once(x, wanted, key)

"""exp, log, softmax, log_softmax and logsumexp, whole and in parts, with the same bits everywhere.

Every function takes arrays of any shape, strides and alignment. float32 and float64 keep their type; so do float16 and
the bfloat16 of ml_dtypes, which are computed in float32 and rounded once, at the end: they have the bits of the float32
results, rounded. `log_softmax` and `logsumexp` of them return those results themselves when asked to (dtype=float32).
Booleans, integers and lists of them become float64, as in NumPy and PyTorch: **integers beyond 2**53 are rounded to the
nearest float64.** Anything else is a TypeError. Results have the same bits on the scalar, AVX2 and AVX-512 kernels, for
any number of threads, any batch a row stands in and any memory layout (tier: bitwise).

The gradients, here and in `sorgum.random`, take what their function took or returned, and the gradient with respect to
its result by its name: ``softmax_grad(y, dy=dy)``. Where two arrays of one shape mean different things, their order
would be a trap.

Arrays of other libraries that offer `__dlpack__` on the CPU, PyTorch's and JAX's among them, are read without a copy,
bfloat16 too. The result belongs to the library of the first argument, whatever the others are; an `out` of any library
is written in place. Types meet by NumPy's rules; bfloat16 counts as float32 beside another type. JAX makes 32 bits of
the 64 of a result unless its 64-bit mode is on.

exp, softmax and logsumexp also take float32 arrays on CUDA devices, of libraries that speak `__cuda_array_interface__`
or DLPack, where the module for them is built: docs/cuda.md.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum.interop import bfloat16, cuda
from sorgum.interop.arrays import is_int, kind_of, plain, refuse_unless_plain, shown
from sorgum.interop.libraries import open_to_libraries
from sorgum.runtime import _empty

__all__ = [
    "CHUNK",
    "exp",
    "log",
    "log_softmax",
    "log_softmax_grad",
    "logsumexp",
    "logsumexp_finish",
    "logsumexp_grad",
    "logsumexp_merge",
    "logsumexp_partial",
    "partial_dtype",
    "softmax",
    "softmax_from_partial",
    "softmax_grad",
]

Array: TypeAlias = npt.NDArray[Any]
Axis: TypeAlias = int | tuple[int, ...] | None
Algorithm: TypeAlias = Literal["auto", "two_pass", "three_pass_recompute", "three_pass_reload"]

_plain = plain

_UNIT_TEMPERATURE = np.array(1.0)
_UNIT_TEMPERATURE.flags.writeable = False
_LARGEST_AXIS = 2**62
_OF_PYTHON = (bool, int, float)  # numbers that have no type beside an array; float64's scalars are of a subclass


def _on_cuda(x: object) -> bool:
    return type(x) is not np.ndarray and cuda.is_cuda_array(x)  # NumPy's arrays are not asked: it takes longer


def _refuse_cuda(function: str, x: object) -> None:
    if _on_cuda(x):
        raise TypeError(
            f"{function}: x must be on the CPU, got an array on a CUDA device, where there is no {function}"
        )


def _floats(function: str, argument: str, value: npt.ArrayLike) -> Array:
    """`value` as an array of a floating-point type, by the dtype policy of the module."""
    array = _plain(function, argument, value)
    dtype = array.dtype
    if dtype.kind in "biu":
        return array.astype(np.float64)
    if dtype.kind == "f" and dtype.itemsize <= 8 and dtype.isnative:
        return array
    if bfloat16.is_bfloat16(dtype):
        return array
    raise TypeError(
        f"{function}: {argument} must be float16, bfloat16, float32, float64, bool or integer, got dtype "
        f"{bfloat16.text(dtype)}"
    )


def _real(function: str, argument: str, value: npt.ArrayLike) -> Array:
    """`value` as a new array of float64."""
    array = bfloat16.widened(_plain(function, argument, value))
    if array.dtype.kind not in "fiu":
        got = bfloat16.text(array.dtype)
        raise TypeError(f"{function}: {argument} must be a real number or an array of them, got dtype {got}")
    with np.errstate(over="ignore", invalid="ignore"):  # of long doubles
        return array.astype(np.float64)


def _temperature(function: str, value: npt.ArrayLike) -> Array:
    if isinstance(value, float) and value == 1.0:
        return _UNIT_TEMPERATURE
    return _real(function, "temperature", value)


def _mask(function: str, value: npt.ArrayLike | None) -> Array | None:
    if value is None:
        return None
    array = _plain(function, "where", value)
    if array.dtype != np.bool_:
        raise TypeError(f"{function}: where must be boolean, got dtype {bfloat16.text(array.dtype)}")
    return array


def _flag(function: str, argument: str, value: object) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{function}: {argument} must be a bool, got {kind_of(value)}")
    return bool(value)


def _options(function: str, empty: object, algorithm: object) -> tuple[str, str]:
    if isinstance(empty, str) and isinstance(algorithm, str):
        return empty, algorithm
    name, value = ("algorithm", algorithm) if isinstance(empty, str) else ("empty", empty)
    raise TypeError(f"{function}: {name} must be a string, got {shown(value)}")


def _axes(function: str, axis: Axis) -> Sequence[int] | None:
    if axis is None:
        return None
    if type(axis) is int and -_LARGEST_AXIS < axis < _LARGEST_AXIS:
        return (axis,)
    several = axis if isinstance(axis, tuple) else (axis,)
    if not all(map(is_int, several)):
        raise TypeError(f"{function}: axis must be an int, a tuple of ints or None, got {shown(axis)}")
    indices = map(operator.index, several)
    # An int of any size: one that is out of range is refused where the others are.
    return [max(-_LARGEST_AXIS, min(_LARGEST_AXIS, i)) for i in indices]


def _out(function: str, out: Array | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    if out is None:
        return _empty(shape, dtype)
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"{function}: out must be a numpy array, got {kind_of(out)}")
    refuse_unless_plain(f"{function}: out", type(out))
    return out


def _result_dtypes(computed: np.dtype[Any]) -> list[str]:
    """Return the names of the types that a result of that type may have: float32, too, instead of a half type."""
    return [bfloat16.name(computed), *(["float32"] if computed.itemsize == 2 else [])]


def _result_dtype(function: str, dtype: Any, computed: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of a result of type `computed` unless another is asked for."""
    if dtype is None:
        return computed
    # PyTorch's own types are none of NumPy's, nor is bfloat16 without ml_dtypes.
    given = str(dtype).removeprefix("torch.") if kind_of(dtype) == "torch.dtype" else dtype
    try:
        name = given if isinstance(given, str) and given == "bfloat16" else bfloat16.name(np.dtype(given))
    except (TypeError, ValueError):
        name = None
    known = _result_dtypes(computed)
    if name not in known:
        raise TypeError(f"{function}: dtype must be {' or '.join(known)}, got {shown(dtype)}")
    return computed if name == known[0] else np.dtype(np.float32)


def _out_of(
    function: str, out: Array | None, shape: tuple[int, ...], dtype: npt.DTypeLike | None, computed: np.dtype[Any]
) -> Array:
    """Return where the result goes: `out`, whose own dtype decides where none is asked for."""
    wanted = _result_dtype(function, dtype, computed)
    result = _out(function, out, shape, wanted)
    if result is out:
        known = _result_dtypes(computed) if dtype is None else [bfloat16.name(wanted)]
        got = bfloat16.name(result.dtype)
        if got not in known:
            raise TypeError(f"{function}: out must have dtype {' or '.join(known)}, got {got}")
    return result


def _broadcast_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Return the common shape; NumPy's own function stops at 32 axes."""
    longest = max(len(a), len(b))
    pairs = list(zip((1,) * (longest - len(a)) + a, (1,) * (longest - len(b)) + b, strict=True))
    if not all(m == n or 1 in (m, n) for m, n in pairs):
        raise ValueError
    return tuple(n if m == 1 else m for m, n in pairs)


def _broadcast(array: Array, shape: tuple[int, ...]) -> Array:
    """Return a view of that shape; NumPy's own function stops at 32 axes."""
    more = len(shape) - array.ndim
    if more < 0 or any(n not in (1, m) for n, m in zip(array.shape, shape[more:], strict=True)):
        raise ValueError
    strides = (0,) * more + tuple(0 if n == 1 else s for n, s in zip(array.shape, array.strides, strict=True))
    return np.lib.stride_tricks.as_strided(array, shape, strides, writeable=False)


def _apart(array: Array, out: Array | None) -> Array:
    """Return a copy of `array` where writing `out` would disturb what is still to be read."""
    if out is None or array is out or array is _UNIT_TEMPERATURE:
        return array
    if not isinstance(out, np.ndarray) or not np.may_share_memory(array, out):
        return array
    same = (
        array.ctypes.data == out.ctypes.data
        and array.shape == out.shape
        and array.strides == out.strides
        and array.dtype == out.dtype
    )
    return array if same else array.copy()


def _in_common_type(first: Array, second: Array, given: Any) -> tuple[Array, Array]:
    """Return both in the common type of the first and of what was given as the second; a number of Python has none."""
    if first.dtype == second.dtype:
        return first, second
    is_number = type(given) in _OF_PYTHON
    if is_number and bfloat16.is_bfloat16(first.dtype):
        return first, bfloat16.rounded(second, first.dtype)
    first, second = bfloat16.widened(first), bfloat16.widened(second)
    dtype = np.result_type(first.dtype, given if is_number else bfloat16.widened(given).dtype)
    with np.errstate(all="ignore"):  # of a number that the type cannot hold, or a NaN that signals
        return first.astype(dtype, copy=False), second.astype(dtype, copy=False)


def _weighted(function: str, array: Array, b: npt.ArrayLike | None) -> tuple[Array, Array | None]:
    """Return `array` and its weights in their common dtype, and the array in their common shape."""
    if b is None:
        return array, None
    array, weights = _in_common_type(
        array, _floats(function, "b", b), b if type(b) in _OF_PYTHON else _plain(function, "b", b)
    )
    try:
        return _broadcast(array, _broadcast_shape(array.shape, weights.shape)), weights
    except ValueError:
        raise ValueError(
            f"{function}: b must broadcast with x, of shape {array.shape}, got shape {weights.shape}"
        ) from None


def _result(array: Array, given: Array | None) -> Any:
    """Return the array, or a scalar where NumPy would return one."""
    return array[()] if array.ndim == 0 and given is None else array


def exp(x: npt.ArrayLike, *, out: Array | None = None) -> Any:
    """Exponential of every element.

    Parameters
    ----------
    x : array_like
        Any shape; a floating-point type, or bool and integers, which become float64.
    out : ndarray, optional
        Where to write: the shape of `x` and the dtype of the result; may be `x` itself.

    Returns
    -------
    ndarray or scalar
        exp(x), elementwise. exp(-inf) = 0, exp(inf) = inf, NaN gives the quiet NaN without payload.

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        If `out` has another shape, is read-only or overlaps itself.

    Notes
    -----
    Bound: 1.0 ULP for all 2**32 float32 inputs, subnormal results included; 1.0 ULP observed for float64. The figures
    stand in docs/numerics.md. Method: Cody and Waite's range reduction with fused multiply-add, a polynomial of minimal
    error. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.special.exp(np.float32([0.0, 1.0, -np.inf]))
    array([1.       , 2.7182817, 0.       ], dtype=float32)
    """
    if _on_cuda(x):
        return cuda.exp(x, out)
    array = _apart(_floats("exp", "x", x), out)
    result = _out("exp", out, array.shape, array.dtype)
    _core.special.exp(array, result)
    return _result(result, out)


def log(x: npt.ArrayLike, *, out: Array | None = None) -> Any:
    """Natural logarithm of every element.

    Parameters
    ----------
    x : array_like
        Any shape; a floating-point type, or bool and integers, which become float64.
    out : ndarray, optional
        Where to write: the shape of `x` and the dtype of the result; may be `x` itself.

    Returns
    -------
    ndarray or scalar
        log(x), elementwise. log(0) = -inf for either zero, log(inf) = inf, a negative or NaN element gives the quiet
        NaN without payload. No warning is raised.

    Raises
    ------
    TypeError
        If a dtype is none of the above.
    ValueError
        If `out` has another shape, is read-only or overlaps itself.

    Notes
    -----
    Bound: 1.0 ULP for all 2**32 float32 inputs, where log is also monotonic; 1.0 ULP observed for float64. The figures
    stand in docs/numerics.md. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.special.log(np.float32([1.0, 10.0, 0.0]))
    array([0.       , 2.3025851,      -inf], dtype=float32)
    """
    _refuse_cuda("log", x)
    array = _apart(_floats("log", "x", x), out)
    result = _out("log", out, array.shape, array.dtype)
    _core.special.log(array, result)
    return _result(result, out)


def softmax(
    x: npt.ArrayLike,
    axis: Axis = -1,
    *,
    temperature: npt.ArrayLike = 1.0,
    where: npt.ArrayLike | None = None,
    empty: Literal["nan", "zero"] = "nan",
    out: Array | None = None,
    algorithm: Algorithm = "auto",
) -> Any:
    """Softmax along one axis, several, or all: exp(x / T) / sum(exp(x / T)).

    Parameters
    ----------
    x : array_like
        Logits, any shape; a floating-point type, or bool and integers, which become float64.
    axis : int, tuple of int or None, default -1
        The axes that are summed over; None means all. **The default is the last axis, as in PyTorch and JAX, and not
        all axes as in SciPy.**
    temperature : float or array_like, default 1.0
        T, positive, finite and not subnormal: a scalar or one per row (the shape of `x` without `axis`, or with it at
        length 1). It is folded into the range reduction: x / T is never rounded.
    where : array_like of bool, optional
        Broadcast to `x`. An element where it is False is absent, whatever its value: its result is 0.
    empty : {"nan", "zero"}, default "nan"
        The result in rows without any element above -inf (length 0, all masked, all -inf).
    out : ndarray, optional
        Where to write: the shape of `x` and the dtype of the result; may be `x` itself.
    algorithm : {"auto", "two_pass", "three_pass_recompute", "three_pass_reload"}, default "auto"
        "two_pass" reads the row twice and writes it once. "auto" has the same bits; it only walks memory differently
        for short and for many rows. The three-pass algorithms subtract the maximum from every element, for comparison.

    Returns
    -------
    ndarray or scalar
        The shape of `x`. A row with NaN or +inf is all NaN.

    Raises
    ------
    TypeError
        If a dtype is none of the above or `axis` is not made of integers.
    ValueError
        If an axis is out of range or repeated, T is none of the above, a shape does not fit, `out` is read-only or
        overlaps itself, or an option is unknown.

    Notes
    -----
    Bound: every normal result within 4 ULP for any length, magnitude and temperature; abs(sum - 1) <= 2.4e-7 in float32
    for every length to 2**24. The three-pass algorithms lose about 0.7 ULP more per unit of (max - x) / T. See
    docs/numerics.md for the figures and the order of summation. Source: M. Dukhan and A. Ablavatski, "Two-Pass Softmax
    Algorithm", 2020; unlike theirs, ours is right for every finite input, keeps subnormal results, and combines chunks
    exactly. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.special.softmax(np.float32([1.0, 2.0, 3.0]))
    array([0.09003058, 0.24472848, 0.66524094], dtype=float32)
    >>> sg.special.softmax([[0.0, 9.0], [0.0, 0.0]], where=[[True, False], [True, True]])
    array([[1. , 0. ],
           [0.5, 0.5]])
    """
    options = _options("softmax", empty, algorithm)
    axes, t = _axes("softmax", axis), _temperature("softmax", temperature)
    if _on_cuda(x):
        return cuda.softmax(x, axes, t, where, out, *options)
    array = _apart(_floats("softmax", "x", x), out)
    result = _out("softmax", out, array.shape, array.dtype)
    mask = _mask("softmax", where)
    _core.special.softmax(array, axes, _apart(t, out), None if mask is None else _apart(mask, out), result, *options)
    return _result(result, out)


def log_softmax(
    x: npt.ArrayLike,
    axis: Axis = -1,
    *,
    temperature: npt.ArrayLike = 1.0,
    where: npt.ArrayLike | None = None,
    empty: Literal["nan", "zero"] = "nan",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: Algorithm = "auto",
) -> Any:
    """Logarithm of the softmax along one axis, several, or all: x / T - log(sum(exp(x / T))).

    Parameters
    ----------
    x : array_like
        Logits, any shape; a floating-point type, or bool and integers, which become float64.
    axis : int, tuple of int or None, default -1
        The axes that are summed over; None means all. **The default is the last axis, as in PyTorch and JAX, and not
        all axes as in SciPy.**
    temperature : float or array_like, default 1.0
        T: a scalar or one per row, as in `softmax`.
    where : array_like of bool, optional
        Broadcast to `x`. An element where it is False is absent, whatever its value: its result is -inf.
    empty : {"nan", "zero"}, default "nan"
        The result in rows without any element above -inf: NaN, or -inf (the logarithm of zero).
    dtype : dtype, optional
        The dtype of the result: that of `x` by default, or float32 for the logits of half types, of whose results it
        keeps all digits: a logarithm of 12, say, is rounded to a multiple of 1/16 in bfloat16. A dtype of PyTorch, too.
    out : ndarray, optional
        Where to write: the shape of `x` and a dtype that the result may have; may be `x` itself.
    algorithm : {"auto", "two_pass", "three_pass_recompute", "three_pass_reload"}, default "auto"
        As in `softmax`.

    Returns
    -------
    ndarray or scalar
        The shape of `x`. A row with NaN or +inf is all NaN.

    Raises
    ------
    TypeError, ValueError
        As `softmax`.

    Notes
    -----
    Bound: with m the row's maximum and S = sum(exp((x - m) / T)), within 2 ULP (float64: 5) of
    max(abs(x - m) / T, log(S)). That holds for the winner of a peaked row too: the maximum is counted apart from the
    other terms, so log(S) = log1p(others) keeps its digits; in float32, below 1 the others are summed once more in
    float64, below 0.5 as float64 terms. The difference is formed in float64. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.special.log_softmax(np.float32([0.0, -30.0]))
    array([-9.357623e-14, -3.000000e+01], dtype=float32)
    """
    _refuse_cuda("log_softmax", x)
    array = _apart(_floats("log_softmax", "x", x), out)
    result = _out_of("log_softmax", out, array.shape, dtype, array.dtype)
    options = _options("log_softmax", empty, algorithm)
    axes, t, mask = _axes("log_softmax", axis), _temperature("log_softmax", temperature), _mask("log_softmax", where)
    _core.special.log_softmax(
        array, axes, _apart(t, out), None if mask is None else _apart(mask, out), result, *options
    )
    return _result(result, out)


@overload
def logsumexp(
    x: npt.ArrayLike,
    axis: Axis = ...,
    *,
    keepdims: bool = ...,
    b: npt.ArrayLike | None = ...,
    return_sign: Literal[False] = ...,
    temperature: npt.ArrayLike = ...,
    where: npt.ArrayLike | None = ...,
    dtype: npt.DTypeLike | None = ...,
    out: Array | None = ...,
) -> Any: ...
@overload
def logsumexp(
    x: npt.ArrayLike,
    axis: Axis = ...,
    *,
    keepdims: bool = ...,
    b: npt.ArrayLike | None = ...,
    return_sign: Literal[True],
    temperature: npt.ArrayLike = ...,
    where: npt.ArrayLike | None = ...,
    dtype: npt.DTypeLike | None = ...,
    out: Array | None = ...,
) -> tuple[Any, Any]: ...
def logsumexp(
    x: npt.ArrayLike,
    axis: Axis = -1,
    *,
    keepdims: bool = False,
    b: npt.ArrayLike | None = None,
    return_sign: bool = False,
    temperature: npt.ArrayLike = 1.0,
    where: npt.ArrayLike | None = None,
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
) -> Any:
    """Logarithm of a sum of exponentials along one axis, several, or all: log(sum(b exp(x / T))).

    Parameters
    ----------
    x : array_like
        Any shape; a floating-point type, or bool and integers, which become float64.
    axis : int, tuple of int or None, default -1
        The axes that are summed over; None means all. **The default is the last axis, as in PyTorch and JAX, and not
        all axes as in SciPy.**
    keepdims : bool, default False
        Keep the summed axes in the result, at length 1.
    b : array_like, optional
        Real weights; `x` and `b` are broadcast together and take NumPy's common type. Elements of weight 0 are absent,
        whatever their value. A weight that is NaN or infinite makes NaN where `x` is -inf, as 0 times it does.
    return_sign : bool, default False
        Return the sign of the sum beside the logarithm of its magnitude. Without it a negative sum gives NaN.
    temperature : float or array_like, default 1.0
        T: a scalar or one per row, as in `softmax`.
    where : array_like of bool, optional
        Broadcast to `x`. An element where it is False is absent, whatever its value.
    dtype : dtype, optional
        The dtype of the result, and of the sign: the common type of `x` and `b` by default, or float32 where that is a
        half type, as in `log_softmax`.
    out : ndarray, optional
        Where to write: the shape of the result and a dtype that it may have.

    Returns
    -------
    ndarray or scalar, or a pair of them
        The shape of `x` without `axis`. -inf for a row without elements, +inf for one with +inf, NaN for one with NaN.

    Raises
    ------
    TypeError, ValueError
        As `softmax`, and for a flag that is no bool or a `b` that does not broadcast with `x`.

    Notes
    -----
    Bound: 3 ULP (float64: 4) of max(abs(m) / T, log(S)), with m and S as in `log_softmax`. With weights, of any size,
    products are formed and added in float64; those below 2**-120 of the largest are dropped, and where terms cancel the
    sum is off by up to 1 ULP of each. Where abs(m) / T exceeds 3e18 only elements equal to m count, whatever their
    weights. Tier: bitwise.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> sg.special.logsumexp([[0.0, 1.0, 2.0], [5.0, 5.0, 5.0]])
    array([2.40760596, 6.09861229])
    >>> sg.special.logsumexp([[1.0, 2.0]], b=[1.0, -1.0], return_sign=True)
    (array([1.54132485]), array([-1.]))
    """
    axes, t = _axes("logsumexp", axis), _temperature("logsumexp", temperature)
    keepdims, return_sign = _flag("logsumexp", "keepdims", keepdims), _flag("logsumexp", "return_sign", return_sign)
    if _on_cuda(x):
        _result_dtype("logsumexp", dtype, np.dtype(np.float32))
        if b is not None or return_sign:
            name, value = ("b", type(b).__name__) if b is not None else ("return_sign", return_sign)
            raise ValueError(f"logsumexp: {name} must not be given on a CUDA device, got {value}")
        return cuda.logsumexp(x, axes, t, where, out, keepdims)
    array, weights = _weighted("logsumexp", _floats("logsumexp", "x", x), b)
    mask = _mask("logsumexp", where)
    shape = _core.special.row_shape("logsumexp", array, axes, keepdims)
    result = _out_of("logsumexp", out, shape, dtype, array.dtype)
    sign = np.empty(result.shape, result.dtype) if return_sign and weights is not None else None
    _core.special.logsumexp(
        _apart(array, out),
        axes,
        _apart(t, out),
        None if mask is None else _apart(mask, out),
        None if weights is None else _apart(weights, out),
        result,
        sign,
        keepdims,
    )
    if not return_sign:
        return _result(result, out)
    if sign is None:
        wide = bfloat16.widened(result)
        sign = np.where(np.isnan(wide), wide, (wide > -np.inf).astype(wide.dtype))
        sign = sign if wide is result else bfloat16.rounded(sign, result.dtype)
    return _result(result, out), _result(sign, None)


from sorgum._grad import log_softmax_grad, logsumexp_grad, softmax_grad  # noqa: E402 (it uses what stands above)
from sorgum._partial import (  # noqa: E402 (it uses what stands above)
    CHUNK,
    logsumexp_finish,
    logsumexp_merge,
    logsumexp_partial,
    partial_dtype,
    softmax_from_partial,
)

open_to_libraries(globals())

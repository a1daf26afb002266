"""What becomes a NumPy array, and what does not: an array that means more than its numbers is refused."""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Iterable
from typing import Any, SupportsIndex, TypeGuard

import numpy as np
import numpy.typing as npt

__all__ = ["is_int", "kind_of", "plain", "refuse_unless_plain", "shown"]

_DEEPEST = 64  # NumPy's own limit, beyond which it refuses sequences itself
_NUMBERS = frozenset((float, int, bool, complex, np.float64, np.float32, np.int64, np.bool_))


def kind_of(value: object) -> str:
    """Return what a message calls a value: its type, with the module where the name alone would say little.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    str
        "int", "ndarray", "torch.Generator", "the class int".

    Examples
    --------
    >>> import fractions
    >>> from sorgum.interop import arrays
    >>> arrays.kind_of(fractions.Fraction(1, 2)), arrays.kind_of(1.5), arrays.kind_of(int)
    ('fractions.Fraction', 'float', 'the class int')
    """
    if isinstance(value, type):
        return f"the class {value.__name__}"
    kind = type(value)
    home = kind.__module__.partition(".")[0]
    return kind.__name__ if home in ("builtins", "numpy", "__main__") else f"{home}.{kind.__name__}"


class _Shown(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = 80
        self.maxtuple = self.maxlist = 8

    def repr_int(self, value: int, level: int) -> str:
        return repr(value) if value.bit_length() < 256 else f"an int of {value.bit_length()} bits"

    def repr_ndarray(self, value: npt.NDArray[Any], level: int) -> str:
        return repr(value) if value.size <= 8 and value.dtype.kind != "V" else f"an array of shape {value.shape}"


shown = _Shown().repr
"""Returns what a message shows of a value: all of it if that is short."""


def is_int(value: object) -> TypeGuard[SupportsIndex]:
    """Return whether a value is an integer, of NumPy too; a bool is none.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
        Whether `operator.index` takes it.

    Examples
    --------
    >>> import numpy as np
    >>> from sorgum.interop import arrays
    >>> [arrays.is_int(value) for value in (3, np.int8(3), np.array(3), 3.0, True, int)]
    [True, True, True, False, False, False]
    """
    if isinstance(value, np.ndarray):  # all of them have __index__
        return value.ndim == 0 and value.dtype.kind in "iu"
    if isinstance(value, bool | np.bool_) or not hasattr(type(value), "__index__"):
        return False
    try:
        operator.index(value)  # type: ignore[arg-type]
    except Exception:  # a tensor of more than one element, say
        return False
    return True


def refuse_unless_plain(owner: str, kind: type[Any]) -> None:
    """Refuse a subclass of ndarray whose numbers alone are not what it stands for.

    Parameters
    ----------
    owner : str
        Function and argument: "softmax: x".
    kind : type
        A subclass of ndarray, or it itself.

    Raises
    ------
    TypeError
        For masked arrays, and for those that answer `__array_ufunc__` in their own way: arrays with units or masks.

    Examples
    --------
    >>> import numpy as np
    >>> from sorgum.interop import arrays
    >>> arrays.refuse_unless_plain("softmax: x", np.memmap)
    """
    if issubclass(kind, np.ma.MaskedArray):
        hint = "a mask of what is hidden in it" if owner.endswith(": where") else "masks go to `where`"
        raise TypeError(f"{owner} must be a plain array ({hint}), got a masked array")
    if kind.__array_ufunc__ is not np.ndarray.__array_ufunc__:
        raise TypeError(f"{owner} must be a plain array, got {kind.__name__}, whose arithmetic is its own")


def plain(function: str, argument: str, value: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return a value as an array, without a copy of one that is one.

    Parameters
    ----------
    function, argument : str
        For the messages of errors.
    value : array_like
        An array, a number, or nested sequences of them.

    Returns
    -------
    ndarray
        Of any type that NumPy has.

    Raises
    ------
    TypeError
        As `refuse_unless_plain`, for arrays in sequences too; for arrays of other libraries in sequences; for what
        makes no array.
    ValueError
        For nested sequences of unequal lengths.

    Examples
    --------
    >>> from sorgum.interop import arrays
    >>> arrays.plain("softmax", "x", [[1.0, 2.0]])
    array([[1., 2.]])
    """
    if type(value) is np.ndarray:  # the common case, in a tenth of the time
        return value
    owner = f"{function}: {argument}"
    sequence = isinstance(value, list | tuple)
    if isinstance(value, np.ndarray):
        refuse_unless_plain(owner, type(value))
    elif sequence:
        _look_into(owner, value, _DEEPEST)  # type: ignore[arg-type]
    try:
        return np.asarray(value)
    except MemoryError:
        raise
    except Exception as error:  # NumPy's own, or that of the object, which name no argument
        if sequence:
            raise ValueError(f"{owner} must be an array, got nested sequences that make none") from error
        reason = str(error).partition("\n")[0]
        raise TypeError(f"{owner} must be an array, got {kind_of(value)}: {reason}") from error


def _look_into(owner: str, items: Iterable[Any], depth: int) -> None:
    """Refuse arrays in sequences whose masks, units or gradients NumPy would drop."""
    for kind in set(map(type, items)) - _NUMBERS:
        if issubclass(kind, np.ndarray):
            refuse_unless_plain(owner, kind)
        elif issubclass(kind, list | tuple):
            for item in items if depth else ():
                if type(item) is kind:
                    _look_into(owner, item, depth - 1)
        elif hasattr(kind, "__dlpack__") and not issubclass(kind, np.generic):
            raise TypeError(f"{owner} must be an array or sequences of numbers, got a sequence of {kind.__name__}")

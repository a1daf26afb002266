"""Refusals in the name of the function that was called."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from sorgum import _core

__all__ = ["refusal"]

_OTHER_NAMES = {  # in other libraries -> here
    "dim": "axis",
    "axes": "axis",
    "grad": "dy",
    "mask": "where",
    "tau": "temperature",
    "keepdim": "keepdims",
    "size": "shape",
    "seed": "rng",
    "generator": "rng",
    "key": "rng",
}
_IN_A_NAME = re.compile(r"[A-Za-z_][\w.]*(?=: .* must )", re.DOTALL)


def refusal(function: _core.Function, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> Exception:
    """Return the exception to raise in the place of one: a refusal in the name of the function that was called.

    Parameters
    ----------
    function : Function
        One that `open_to_libraries` made.
    args, kwargs : tuple and dict
        The arguments of the call.
    error : Exception
        What was raised: by a function that this one called, by Python for want of an argument, or any other.

    Returns
    -------
    Exception
        The same one, with the name in its text, or another.

    Examples
    --------
    >>> import sorgum as sg
    >>> from sorgum.interop import refusals
    >>> refusals.refusal(sg.special.softmax, (), {}, ValueError("exp: x must be ..., got ..."))
    ValueError('softmax: x must be ..., got ...')
    """
    name, text, called = function.known_as, str(error), function.__wrapped__.__qualname__
    # No line of the function has run, or Python says how it is called where arrays were translated.
    if isinstance(error, TypeError) and (error.__traceback__ is None or text.startswith(f"{called}() ")):
        text = f"{name}: {_misfit(function, args, kwargs)}"
    elif isinstance(error, MemoryError):
        text = text if text.startswith(f"{name}: ") else f"{name}: {_IN_A_NAME.sub('', text) or 'no memory'}"
    elif isinstance(error, TypeError | ValueError | RuntimeError):
        found = _IN_A_NAME.match(text)
        if found is None or found[0] == name:
            return error
        text = name + text[found.end() :]
    if text == str(error):
        return error
    kind = next(kind for kind in (TypeError, ValueError, RuntimeError, MemoryError) if isinstance(error, kind))
    if type(error) not in (kind, np.linalg.LinAlgError):  # one of NumPy's, whose text is not made of its arguments
        return kind(text)
    error.args = (text,)
    return error


def _misfit(function: _core.Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return what is wrong with the names or the number of arguments."""
    code, defaults = function.__wrapped__.__code__, function.__wrapped__.__kwdefaults__ or {}
    args = args[function.bound :]
    by_place = code.co_varnames[function.bound : code.co_argcount]
    names = code.co_varnames[function.bound : code.co_argcount + code.co_kwonlyargcount]
    for given in kwargs:
        ours = _OTHER_NAMES.get(given)
        if given not in names and ours in names:
            return f"{ours} must have this name{' (True: present)' if given == 'mask' else ''}, got {given}"
        if given not in names:
            return f"arguments must be among {', '.join(names)}, got {given}"
    if len(args) > len(by_place):
        rule = f"after {by_place[-1]} must be given by name" if len(names) > len(by_place) else "must not be more"
        return f"arguments {rule}, got {len(args)} without"
    for given in by_place[: len(args)]:
        if given in kwargs:
            return f"{given} must be given once, got two values"
    optional = {*defaults, *by_place[len(by_place) - len(function.__wrapped__.__defaults__ or ()) :]}
    missing = [name for name in names[len(args) :] if name not in kwargs and name not in optional]
    return f"{missing[0] if missing else 'arguments'} must be given, got nothing"

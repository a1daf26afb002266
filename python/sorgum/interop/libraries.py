"""Arrays of other libraries as arguments of every public function: PyTorch's, JAX's, any that offers `__dlpack__`.

An argument on the CPU is seen as a NumPy array over the same memory. The result belongs to the library of the first
argument, whatever the others are; an `out` is written in place and returned itself. Arrays on CUDA devices go to the
function's version for them, if it has one. What is refused is refused in the name of the function that was called, and
a NumPy Generator is then as it was before.
"""

import contextlib
import functools
import inspect
import pickle
import sys
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from sorgum import _core
from sorgum.interop import bfloat16, cuda, dlpack, torch
from sorgum.interop.refusals import refusal
from sorgum.interop.views import view_of

__all__ = ["OnDevices", "open_to_libraries", "translate"]

_NO_ARRAYS = frozenset((type(None), bool, int, float, str))


class OnDevices(NamedTuple):
    """The version of a function for arrays on CUDA devices.

    Parameters
    ----------
    argument : str
        The argument that decides: the version is called where it is an array on a CUDA device.
    function : callable
        Takes all arguments of the function that it is a version of, by their names.

    Examples
    --------
    >>> from sorgum.interop import libraries
    >>> libraries.OnDevices("x", lambda x, out: out).argument
    'x'
    """

    argument: str
    function: Callable[..., Any]


def open_to_libraries(module: dict[str, Any], on_devices: dict[str, OnDevices] | None = None) -> None:
    """Let the functions that a module exports, and the methods of its classes, take arrays of any library.

    Parameters
    ----------
    module : dict
        The names of the module; those of functions in its `__all__` are replaced, and of classes there the methods that
        have public names, the constructor and `__call__`. The module's `__dir__` offers what it exports.
    on_devices : dict, optional
        The versions of functions for arrays on CUDA devices, by the functions' names.

    Examples
    --------
    >>> import numpy as np
    >>> from sorgum.interop import dlpack, libraries
    >>> names = {"__name__": "here", "__all__": ["double"], "double": lambda x: 2 * x}
    >>> libraries.open_to_libraries(names)
    >>> names["double"](dlpack.Exported(np.arange(3.0)))
    array([0., 2., 4.])
    """
    for name in module["__all__"]:
        value = module[name]
        if isinstance(value, FunctionType):
            module[name] = _opened(value, module["__name__"], name, bound=0)
            version = (on_devices or {}).get(name)
            if version is not None:  # opened, too, for the environment in which numbers are computed
                by_name = _core.function(version.function, f"{name} on devices", translate, refusal).untranslated
                module[name].on_devices = OnDevices(version.argument, by_name)
        elif isinstance(value, type):
            _open_methods(value, module["__name__"])
            if hasattr(value, "_fields"):
                setattr(value, "__signature__", _without_types(inspect.signature(value)))  # noqa: B010, mypy knows none
    module["__dir__"] = lambda: sorted({*module["__all__"], *(name for name in module if name.startswith("__"))})


def _open_methods(owner: type[Any], module: str) -> None:
    inherited = {name: value for base in reversed(owner.__mro__) for name, value in vars(base).items()}
    for name, value in inherited.items():
        kind = type(value) if isinstance(value, classmethod | staticmethod) else None
        function = value.__func__ if kind else value
        if not isinstance(function, FunctionType) or (name.startswith("_") and name not in ("__init__", "__call__")):
            continue
        known_as = owner.__name__ if name.startswith("_") else f"{owner.__name__}.{name}"
        opened = _opened(function, module, known_as, bound=0 if kind is staticmethod else 1)
        setattr(owner, name, kind(opened) if kind else opened)


def _opened(function: FunctionType, module: str, known_as: str, bound: int) -> _core.Function:
    opened = _core.function(function, f"{module}.{known_as}", translate, refusal)
    functools.update_wrapper(opened, function)
    opened.__module__, opened.known_as, opened.bound, opened.on_devices = module, known_as, bound, None
    opened.__signature__ = _without_types(inspect.signature(function))
    return opened


def _without_types(signature: inspect.Signature) -> inspect.Signature:
    """Return what `help` shows: the docstring has the types, and the stubs have them for type checkers."""
    parameters = [value.replace(annotation=value.empty) for value in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=signature.empty)


def translate(function: _core.Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function of NumPy arrays with arrays of other libraries.

    Parameters
    ----------
    function : Function
        One that `open_to_libraries` made. Its first parameter, but `self`, decides about the library of the result.
    args, kwargs : tuple and dict
        The arguments of the call.

    Returns
    -------
    array of the library of the first argument, or a tuple of them
        `out` itself where it was given; records and keys as they are.

    Raises
    ------
    TypeError
        If an array lies on a device that is neither the CPU nor a CUDA device, or on a CUDA device where there is no
        version of the function; has a type that NumPy lacks, is traced and has no numbers yet, or offers no capsule.
    ValueError
        If a tensor holds the negatives of its numbers, or a capsule describes what no array can be.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> from sorgum.interop import dlpack, libraries
    >>> libraries.translate(sg.special.exp, (dlpack.Exported(np.zeros(3)),), {})
    array([1., 1., 1.])
    """
    if "torch._dynamo" not in sys.modules:
        return _translate(function, args, kwargs)
    if not _untraced:  # torch.compile would trace what follows, with tensors that have no memory
        _untraced.append(sys.modules["torch"].compiler.disable(_translate))
    return _untraced[0](function, args, kwargs)


_untraced: list[Callable[..., Any]] = []


def _translate(function: _core.Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    own, args = args[: function.bound], args[function.bound :]
    names = function.__wrapped__.__code__.co_varnames[function.bound :]
    if len(names) < len(args):
        names += ("an argument",) * len(args)  # the function refuses it
    seen = _Seen({}, [])
    views = [_view_of(function, name, value, seen) for name, value in zip(names, args, strict=False)]
    named = {name: _view_of(function, name, value, seen) for name, value in kwargs.items()}
    leading = names[0] if names else ""
    first, view = (args[0], views[0]) if args else (kwargs.get(leading), named.get(leading))
    home = _at_numpy if view is first else _home(first)
    out = kwargs.get("out")
    try:
        with _undone_if_refused(kwargs.get("rng")):
            answer = _on_devices(function, seen.on_devices) if seen.on_devices else function.untranslated
            result = answer(*own, *views, **named)
    finally:
        if torch.is_tensor(out):
            torch.count_change(out)
    return _given_back(result, home, seen.originals)


@contextlib.contextmanager
def _undone_if_refused(rng: Any) -> Iterator[None]:
    """Put the word that a call drew from a Generator back if the call fails."""
    if not hasattr(type(rng), "bit_generator"):
        yield
        return
    source = rng.bit_generator
    before = source.state
    try:
        yield
    except BaseException:
        with source.lock:
            now = source.state
            source.state = before
            rng.integers(0, 2**64, dtype=np.uint64)
            ours = pickle.dumps(source.state) == pickle.dumps(now)  # else nothing was drawn, or by other threads, too
            source.state = before if ours else now
        raise


def _on_devices(function: _core.Function, arguments: list[str]) -> Callable[..., Any]:
    """Return what answers a call of a function some of whose arguments lie on CUDA devices."""

    def answer(*args: Any, **kwargs: Any) -> Any:
        try:
            given = inspect.signature(function.__wrapped__).bind(*args, **kwargs)
        except TypeError:
            return function.untranslated(*args, **kwargs)  # which refuses them
        version = function.on_devices
        if version is None or version.argument not in arguments:
            end = "" if version else f", where there is no {function.known_as}"
            raise TypeError(
                f"{function.known_as}: {arguments[0]} must be on the CPU, got an array on a CUDA device{end}"
            )
        given.apply_defaults()
        return version.function(**given.arguments)

    return answer


_Originals: TypeAlias = dict[int, tuple[npt.NDArray[Any], Any]]


class _Seen(NamedTuple):
    originals: _Originals  # the arrays that a function is given, by their identity, each with what it is a view of
    on_devices: list[str]  # the arguments that lie on CUDA devices


def _view_of(function: _core.Function, argument: str, value: Any, seen: _Seen) -> Any:
    """Return what the function is given in the place of an argument."""
    view = value
    if type(value) in _NO_ARRAYS:
        return value
    if not isinstance(value, np.ndarray):
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*(_view_of(function, argument, item, seen) for item in value))
        if hasattr(type(value), "__dlpack__"):
            view = view_of(f"{function.known_as}: {argument}", value)
        elif cuda.is_cuda_array(value):
            view = None
        else:
            return value
        if view is None:
            seen.on_devices.append(argument)
            return value
    seen.originals[id(view)] = view, value
    return view


def _given_back(result: Any, home: Callable[[npt.NDArray[Any]], Any], originals: _Originals) -> Any:
    """Return what the caller is given in the place of a result: `out` itself, arrays and scalars at home."""
    if id(result) in originals:
        return originals[id(result)][1]
    if isinstance(result, tuple):
        items = [_given_back(item, home, originals) for item in result]
        names = getattr(result, "_fields", None)  # _replace: it keeps what the tuple has beside its items
        return result._replace(**dict(zip(names, items, strict=True))) if names else tuple(items)  # type: ignore[attr-defined]
    is_array = isinstance(result, np.ndarray | np.generic)
    if not is_array or (result.dtype.names and result.dtype != bfloat16.bits):
        return result
    return home(np.asarray(result))


def _at_numpy(array: npt.NDArray[Any]) -> Any:
    return array[()]


def _home(first: Any) -> Callable[[npt.NDArray[Any]], Any]:
    """Return what hands a NumPy array to the library of `first`; it stays where it is for one that takes none."""
    if torch.is_tensor(first):
        return lambda array: sys.modules["torch"].from_dlpack(dlpack.capsule(array, versioned=True))
    if not hasattr(first, "__array_namespace__"):
        return _at_numpy
    namespace = first.__array_namespace__()
    return lambda array: namespace.from_dlpack(dlpack.Exported(array))

"""Run-time controls: which instruction set runs, on how many threads, and how this build was made.

None of them changes a result. The environment is read once, at import: `SORGUM_ISA` forces an instruction set,
`SORGUM_NUM_THREADS` and after it `OMP_NUM_THREADS` set the number of threads. A variable of ours that is set to
something impossible is a `RuntimeError` at import; an empty one counts as not set. So does an `OMP_NUM_THREADS` that is
no number from 1 to 4096, nor a list that begins with one: it belongs to other libraries, and was not set for us.
"""

import operator
import platform
from typing import Any, Literal, SupportsIndex, overload

import numpy as np

from sorgum import _core
from sorgum.interop import cuda
from sorgum.interop.arrays import is_int, kind_of, shown

__all__ = [
    "available_isas",
    "get_memory_pool",
    "get_num_threads",
    "isa",
    "set_isa",
    "set_memory_pool",
    "set_num_threads",
    "show_config",
]

_core.initialise()  # not in the initialisation of _core itself, which could only raise ImportError


def isa() -> str:
    """Return the name of the instruction set whose kernels run.

    Returns
    -------
    str
        One of `available_isas()`; the last of them unless `SORGUM_ISA` or `set_isa` chose another.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.isa() in sg.available_isas()
    True
    """
    return _core.isa()


def available_isas() -> tuple[str, ...]:
    """Return the instruction sets that are compiled and that this processor and operating system support.

    Returns
    -------
    tuple of str
        Worst first: "scalar" always, then "avx2" (AVX2, FMA, F16C) and "avx512" (AVX-512 F, BW, VL, DQ).

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.available_isas()[0]
    'scalar'
    """
    return tuple(_core.available_isas())


def set_isa(name: str) -> None:
    """Choose the instruction set whose kernels run from now on, in all threads.

    Results do not depend on it: this is for tests, for measurements, and for a processor whose clock drops under
    AVX-512.

    Parameters
    ----------
    name : str
        One of `available_isas()`.

    Raises
    ------
    TypeError
        If `name` is not a str.
    ValueError
        If there is no instruction set of that name.
    RuntimeError
        If this machine or this build does not have it.

    Examples
    --------
    >>> import sorgum as sg
    >>> before = sg.isa()
    >>> sg.set_isa("scalar")
    >>> sg.isa()
    'scalar'
    >>> sg.set_isa(before)
    """
    if not isinstance(name, str):
        raise TypeError(f"set_isa: name must be a str, got {kind_of(name)}")
    _core.set_isa(name)


def get_num_threads() -> int:
    """Return the number of threads that a call may use.

    Returns
    -------
    int
        What `set_num_threads` set last, else `SORGUM_NUM_THREADS`, else `OMP_NUM_THREADS`, else the number of CPUs that
        this process may use (affinity mask and control group quota). `show_config` tells which of them it was.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.get_num_threads() >= 1
    True
    """
    return _core.num_threads()


def set_num_threads(n: SupportsIndex) -> None:
    """Set the number of threads that a call may use from now on, the calling thread included.

    Results do not depend on it. Small inputs run on the calling thread alone, whatever the number.

    Parameters
    ----------
    n : int
        From 1 to 4096.

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is out of range.

    Examples
    --------
    >>> import sorgum as sg
    >>> before = sg.get_num_threads()
    >>> sg.set_num_threads(1)
    >>> sg.get_num_threads()
    1
    >>> sg.set_num_threads(before)
    """
    if not is_int(n):
        raise TypeError(f"set_num_threads: n must be an int, got {kind_of(n)}")
    _core.set_num_threads(operator.index(n))


def get_memory_pool() -> int:
    """Return how many bytes of freed results are kept at most for results to come.

    Returns
    -------
    int
        What `set_memory_pool` set last, else 256 MiB.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.get_memory_pool() // 2**20
    256
    """
    return _core.memory_pool()


def set_memory_pool(nbytes: SupportsIndex) -> None:
    """Set how many bytes of freed results are kept at most for results to come; 0 keeps none.

    The operating system clears and maps the pages of a large new array one by one, which takes longer than to compute
    what goes into it. So the memory of results of 1 MiB and more that this package allocates is kept when the last view
    of them is gone, and the next result of about that size gets it. Arrays that the caller passes as `out` have nothing
    to do with it. Scratch memory of 64 KiB and more, which some calls need for a row, is kept there from call to call.
    A result in kept memory does not own it (``flags.owndata`` is False), so that `numpy.ndarray.resize` refuses it,
    where it resizes a smaller one.

    Parameters
    ----------
    nbytes : int
        Not negative. What is kept beyond it is given back at once, the oldest first.

    Raises
    ------
    TypeError
        If `nbytes` is not an integer.
    ValueError
        If it is negative or 2**63 or more.

    Examples
    --------
    >>> import sorgum as sg
    >>> before = sg.get_memory_pool()
    >>> sg.set_memory_pool(0)
    >>> sg.set_memory_pool(before)
    """
    if not is_int(nbytes):
        raise TypeError(f"set_memory_pool: nbytes must be an int, got {kind_of(nbytes)}")
    count = operator.index(nbytes)
    if not 0 <= count < 2**63:
        raise ValueError(f"set_memory_pool: nbytes must be in [0, 2**63), got {shown(count)}")
    _core.set_memory_pool(count)


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...


@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...


def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Show what runs here and how it was built.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, optional
        Print a text (the default), or return the same as nested dictionaries.

    Returns
    -------
    dict or None
        The keys are version, isa, threads, memory_pool (in bytes), cuda (as `sorgum.interop.cuda.status` returns it),
        build, python and numpy.

    Raises
    ------
    ValueError
        If `mode` is neither of the two.

    Examples
    --------
    >>> import sorgum as sg
    >>> config = sg.show_config("dicts")
    >>> config["isa"]["in_use"] == sg.isa()
    True
    >>> list(config)
    ['version', 'isa', 'threads', 'memory_pool', 'cuda', 'build', 'python', 'numpy']
    """
    if not isinstance(mode, str):
        raise TypeError(f"show_config: mode must be a str, got {kind_of(mode)}")
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"show_config: mode must be one of 'stdout', 'dicts', got {mode!r}")
    build = _core.build_info()
    on_cuda = cuda.status()
    config = {
        "version": _core.__version__,
        "isa": {"in_use": isa(), "available": list(available_isas())},
        "threads": {"number": get_num_threads(), "source": _core.num_threads_source()},
        "memory_pool": {"limit": get_memory_pool(), "held": _core.memory_pooled()},
        "cuda": on_cuda,
        "build": build,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    if mode == "dicts":
        return config
    lines = [
        f"sorgum           {config['version']}",
        f"ISA in use       {isa()}",
        f"ISAs available   {', '.join(available_isas())}",
        f"threads          {get_num_threads()} (from {_core.num_threads_source()})",
        f"memory pool      {get_memory_pool() / 2**20:g} MiB at most, {_core.memory_pooled() / 2**20:g} MiB held",
        f"CUDA             {on_cuda['reason'] or 'devices: ' + str(on_cuda['devices'])}",
        f"compiler         {build['compiler']}, {build['build_type']}",
        *(f"flags {name:<10} {flags}" for name, flags in build["flags"].items()),
        *(f"CUDA {key:<11} {value}" for key, value in (on_cuda["build"] or {}).items()),
        f"Python           {config['python']}",
        f"NumPy            {config['numpy']}",
    ]
    print("\n".join(lines))
    return None

"""Numerical kernels for NumPy arrays with the same bits on every instruction set and number of threads.

Functions live in modules by family: `sorgum.special` (exp, log, softmax, log_softmax, logsumexp), `sorgum.random`
(keyed noise and what is drawn with it), `sorgum.sor` (sparse linear systems), `sorgum.lowrank` (adapters)
and `sorgum.tucker` (mode products of tensors). Beside them stand the controls of the process: `isa`, `available_isas`,
`set_isa`, `get_num_threads`, `set_num_threads`, `get_memory_pool`, `set_memory_pool` and `show_config`.

Examples
--------
>>> import numpy as np
>>> import sorgum as sg
>>> sg.special.softmax(np.float32([0.0, 0.0, 0.0, 0.0]))
array([0.25, 0.25, 0.25, 0.25], dtype=float32)
"""

from sorgum import lowrank, random, sor, special, tucker
from sorgum._core import __version__
from sorgum.interop import threadpoolctl as _threadpoolctl
from sorgum.runtime import (
    available_isas,
    get_memory_pool,
    get_num_threads,
    isa,
    set_isa,
    set_memory_pool,
    set_num_threads,
    show_config,
)

__all__ = [
    "__version__",
    "available_isas",
    "get_memory_pool",
    "get_num_threads",
    "isa",
    "lowrank",
    "random",
    "set_isa",
    "set_memory_pool",
    "set_num_threads",
    "show_config",
    "sor",
    "special",
    "tucker",
]

_threadpoolctl.register_on_import()

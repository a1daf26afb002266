"""What the kernels compute, in plain NumPy and in double precision: for verification, not for speed.

Each module has the functions of the family of the same name. They take the same arguments, except `out` and what
chooses an algorithm, and a keyword `dtype`: the type they compute in and return, float64 by default.

Examples
--------
>>> import numpy as np
>>> import sorgum as sg
>>> from sorgum import reference
>>> x = np.float32([1.0, 2.0, 3.0])
>>> bool(np.all(np.abs(sg.special.softmax(x) - reference.special.softmax(x)) < 1e-7))
True
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from sorgum import _core

__all__ = _core.families()

for _family in __all__:
    importlib.import_module(f"{__name__}.{_family}")

if TYPE_CHECKING:

    def __getattr__(name: str) -> ModuleType: ...

"""What families measure on buffers of their own: a module per family that has such cases, found by its place here.

Each module has `cases(level)`, which gives cases of a class that derives from `sorgum.bench.case.OwnCase`.
"""

import importlib
import pkgutil
from collections.abc import Iterator

from sorgum.bench.case import OwnCase

__all__ = ["own_cases"]


def own_cases(level: str) -> Iterator[OwnCase]:
    """Return the cases of all modules here.

    Parameters
    ----------
    level : {"quick", "default", "full"}

    Returns
    -------
    iterator of OwnCase
    """
    for module in pkgutil.iter_modules(__path__):
        yield from importlib.import_module(f"{__name__}.{module.name}").cases(level)

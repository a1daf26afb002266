"""Lets threadpoolctl limit the threads of sorgum, as it limits those of BLAS.

`import sorgum` arranges that the controller is registered when threadpoolctl is imported, by whomever: until then
sys.meta_path has a finder for it. To import it would set a variable of the environment, KMP_DUPLICATE_LIB_OK.
"""

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from sorgum import _core

__all__ = ["register", "register_on_import"]


def register(threadpoolctl: ModuleType) -> None:
    """Make a controller of our threads known to threadpoolctl.

    Parameters
    ----------
    threadpoolctl : module
        It.

    Examples
    --------
    >>> import threadpoolctl
    >>> import sorgum as sg
    >>> with threadpoolctl.threadpool_limits(1):
    ...     sg.get_num_threads()
    1
    """
    if not hasattr(threadpoolctl, "register"):  # older than 3.2
        return

    class SorgumController(threadpoolctl.LibController):  # type: ignore[misc, name-defined]
        """What threadpoolctl calls."""

        user_api = "sorgum"
        internal_api = "sorgum"
        filename_prefixes = ("_core",)
        check_symbols = ("sorgum_get_num_threads", "sorgum_set_num_threads")

        def get_num_threads(self) -> int:
            return int(self.dynlib.sorgum_get_num_threads())

        def set_num_threads(self, num_threads: int) -> None:
            self.dynlib.sorgum_set_num_threads(num_threads)

        def get_version(self) -> str:
            return _core.__version__

    threadpoolctl.register(SorgumController)


def register_on_import() -> None:
    """Register the controller now if threadpoolctl was imported, else when it is."""
    if sys.modules.get("threadpoolctl") is not None:
        register(importlib.import_module("threadpoolctl"))  # which may be on its way, in another thread
    else:
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds threadpoolctl as the other finders do, and nothing else."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "threadpoolctl":
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(self, spec.loader)  # type: ignore[assignment]
        return spec


class _Loader:
    """Another loader, to whose work it adds the registration; then neither it nor the finder is left."""

    def __init__(self, finder: _Finder, loader: Any) -> None:
        self._finder, self._loader = finder, loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
            register(module)

"""Lets threadpoolctl limit the threads of sorgum, as it limits those of BLAS.

`import sorgum` registers the controller where threadpoolctl is installed.
"""

import threadpoolctl

from sorgum import _core

__all__ = ["SorgumController", "register"]


class SorgumController(threadpoolctl.LibController):  # type: ignore[misc]
    """What threadpoolctl calls.

    Examples
    --------
    >>> import threadpoolctl
    >>> import sorgum as sg
    >>> with threadpoolctl.threadpool_limits(1):
    ...     sg.get_num_threads()
    1
    """

    user_api = "sorgum"
    internal_api = "sorgum"
    filename_prefixes = ("_core",)
    check_symbols = ("sorgum_get_num_threads", "sorgum_set_num_threads")

    def get_num_threads(self) -> int:
        """Return the number of threads that a call may use."""
        return int(self.dynlib.sorgum_get_num_threads())

    def set_num_threads(self, num_threads: int) -> None:
        """Set it."""
        self.dynlib.sorgum_set_num_threads(num_threads)

    def get_version(self) -> str:
        """Return the version of sorgum."""
        return _core.__version__


def register() -> None:
    """Make the controller known to threadpoolctl."""
    threadpoolctl.register(SorgumController)

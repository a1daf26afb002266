"""What the machine is: processor, caches, versions. Facts that a measurement is worthless without."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import sorgum

__all__ = ["cache_bytes", "cpu_model", "describe", "use_cpus"]

_ASSUMED_CACHES = {2: 1 << 20, 3: 32 << 20}  # where the system does not tell


def cpu_model() -> str:
    """Return the processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cache_bytes(level: int) -> int:
    """Return the size of the data cache of a level, of one core or of the cores that share it.

    Parameters
    ----------
    level : int
        1, 2 or 3.

    Returns
    -------
    int
        Bytes; an assumption where the system does not tell.
    """
    for folder in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            found = int((folder / "level").read_text()), (folder / "type").read_text().strip()
            size = (folder / "size").read_text().strip()
        except (OSError, ValueError):
            continue
        if found in ((level, "Data"), (level, "Unified")) and size.endswith("K"):
            return int(size[:-1]) << 10
    return _ASSUMED_CACHES.get(level, 32 << 10)


def use_cpus(count: int) -> None:
    """Confine this process to `count` of its CPUs, so that libraries that size their own pools agree."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-count:])


def describe(distributions: dict[str, str]) -> dict[str, Any]:
    """Return the description that stands beside every result.

    Parameters
    ----------
    distributions : dict of str to str
        Peer's name to the distribution whose version is wanted.

    Returns
    -------
    dict
        cpu, caches, sorgum (see `sorgum.show_config`) and versions.
    """
    versions = {}
    for name, distribution in distributions.items():
        try:
            versions[name] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "cpu": cpu_model(),
        "caches": {f"L{level}": cache_bytes(level) for level in (1, 2, 3)},
        "sorgum": sorgum.show_config("dicts"),
        "versions": versions,
    }

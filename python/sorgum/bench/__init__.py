"""Benchmarks: `python -m sorgum bench`, with the peers that are installed beside ours.

Needs `pip install ".[bench]"` in the sources. The cases, the interleaved comparison and the roofline are modules of
their own and can be used from a program; nothing is imported before it is called for.
"""

import importlib.util
import sys
from collections.abc import Sequence

__all__ = ["main"]

_NEEDED = ("pytest", "pytest_benchmark", "scipy", "matplotlib", "tqdm", "ml_dtypes")


def main(arguments: Sequence[str]) -> int:
    """Run the benchmarks of the command line.

    Parameters
    ----------
    arguments : sequence of str
        `--quick`, `--full`, `--out DIR`, `--threads N ...`, `--isa NAME`, `--only PATTERN`.

    Returns
    -------
    int
        The exit status: 0, 1 if something failed, 2 if a package is missing, 130 if it was interrupted.
    """
    absent = [name.replace("_", "-") for name in _NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        print(f'bench: {", ".join(absent)} must be installed: in the sources, pip install ".[bench]"', file=sys.stderr)
        return 2
    from sorgum.bench.runner import run

    return run(arguments)

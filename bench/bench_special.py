"""The benchmarks for pytest-benchmark's own options: `pytest bench/bench_special.py`.

The cases are those of the package (`sorgum.bench`), at the level that the environment's BENCH_LEVEL names.
"""

import os

from sorgum.bench.settings import Settings, choose
from sorgum.bench.suite import bench, pytest_generate_tests, test_case, test_limits

__all__ = ["bench", "pytest_generate_tests", "test_case", "test_limits"]

choose(Settings(level=os.environ.get("BENCH_LEVEL", "default")))

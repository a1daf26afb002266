"""Print the limits of this machine: `python bench/limits.py [THREADS ...]`."""

import sys

import sorgum
from sorgum.bench.case import Case, make_ring
from sorgum.bench.machine import cache_bytes, cpu_model
from sorgum.bench.roofline import limits
from sorgum.bench.table import format_limits


def main(arguments: list[str]) -> None:
    """Measure on each number of threads, by default 1 and all."""
    ring = make_ring(Case("exp", (1 << 26,)), min(2 * cache_bytes(3), 1536 << 20))
    print(cpu_model(), sorgum.isa(), sep=", ")
    for threads in map(int, arguments or dict.fromkeys(["1", str(sorgum.get_num_threads())])):
        sorgum.set_num_threads(threads)
        print(format_limits([{"threads": threads, **limits(ring, 11)._asdict()}]))


if __name__ == "__main__":
    main(sys.argv[1:])

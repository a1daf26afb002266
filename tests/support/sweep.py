"""All 2^32 float32 arguments of exp and log against a float64 oracle, and the same bits on other instruction sets.

The kernels run on the threads of the package; the comparison runs on Python threads, on pieces that stay in cache.
Where the answer needs no oracle (exp of what rounds to 1, 0 or infinity; log of what is not positive) the outputs are
compared with it directly.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import sorgum as sg
from sorgum import special

Array = NDArray[Any]

BLOCK = 1 << 24  # arguments per call
PIECE = 1 << 16  # arguments per comparison
ONE = 0x3F800000
INFINITY = 0x7F800000
CANONICAL_NAN = 0x7FC00000


@dataclass
class Finding:
    """The largest error, its argument, and how often the function fell where it must rise."""

    ulps: float = 0.0
    argument: int = 0
    falls: int = 0
    wrong_specials: list[int] = field(default_factory=list)

    def take(self, other: "Finding") -> None:
        if other.ulps > self.ulps:
            self.ulps, self.argument = other.ulps, other.argument
        self.falls += other.falls
        self.wrong_specials += other.wrong_specials[:4]


def worst(argument: Array, got: Array, exact: Array) -> Finding:
    """Return the largest error in ULPs of the exact value (at least the least subnormal)."""
    unit = exact.view(np.int64) & np.int64(0x7FF0000000000000)  # 2^exponent
    np.maximum(unit, np.int64((1023 - 126) << 52), out=unit)
    error = np.subtract(got, exact)
    np.abs(error, out=error)
    error /= unit.view(np.float64)
    at = int(np.argmax(error))  # NaN counts as the largest
    ulps = float(error[at]) * 2.0**23
    return Finding(ulps if ulps == ulps else np.inf, int(argument[at]))


def exp_oracle(x: Array) -> tuple[Array | None, int]:
    """Return exp in float64, or the encoding that all these arguments, neighbours of one sign, share."""
    first, last = float(x[0]), float(x[-1])
    largest = max(abs(first), abs(last))
    if np.isnan(first) and np.isnan(last):
        return None, CANONICAL_NAN
    if largest < 2.0**-26:
        return None, ONE
    if first > 89 and last > 89:
        return None, INFINITY
    if first < -104 and last < -104:
        return None, 0
    with np.errstate(over="ignore", invalid="ignore"):
        exact = np.exp(x.astype(np.float64))
    limit = 2.0**128 - 2.0**103  # from here on float32 rounds to infinity
    exact[exact >= limit] = np.inf
    return exact, -1


def log_oracle(x: Array) -> tuple[Array | None, int]:
    first, last = float(x[0]), float(x[-1])
    if (np.isnan(first) or first < 0) and (np.isnan(last) or last < 0):
        return None, CANONICAL_NAN
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x.astype(np.float64)), -1


ORACLES: dict[str, Callable[[Array], tuple[Array | None, int]]] = {"exp": exp_oracle, "log": log_oracle}


def compare(name: str, argument: Array, got: Array) -> Finding:
    x = argument.view(np.float32)
    exact, constant = ORACLES[name](x)
    if exact is None:
        wrong = np.flatnonzero(got.view(np.uint32) != np.uint32(constant))
        return Finding(wrong_specials=[int(argument[i]) for i in wrong[:4]])
    special_value = ~np.isfinite(exact)
    finding = Finding()
    if special_value.any():
        expected = exact.astype(np.float32).view(np.uint32)
        expected[np.isnan(exact)] = CANONICAL_NAN
        wrong = np.flatnonzero(special_value & (got.view(np.uint32) != expected))
        finding.wrong_specials = [int(argument[i]) for i in wrong[:4]]
        argument, got, exact = (np.where(special_value, fill, a) for a, fill in ((argument, ONE), (got, 1), (exact, 1)))
    finding.take(worst(argument, got, exact))
    return finding


def piece(name: str, argument: Array, got: Array, before: float) -> Finding:
    """Compare neighbouring arguments; `before` is the function's value just below the first."""
    finding = compare(name, argument, got)
    # Along the encodings log rises (where it is a number); exp rises for positive arguments, falls for negative ones.
    sign = -1 if name == "exp" and argument[0] >> 31 else 1
    steps = np.empty_like(got)
    steps[0], steps[1:] = before, got[:-1]
    finding.falls = int(np.count_nonzero(got < steps)) if sign > 0 else int(np.count_nonzero(got > steps))
    return finding


def sweep(name: str, isa: str, others: Iterable[str], starts: Iterable[int] = range(0, 1 << 32, BLOCK)) -> Finding:
    """Evaluate neighbouring blocks on `isa`, compare with the oracle, and demand the same bits of the others."""
    function: Callable[..., Array] = getattr(special, name)
    found = Finding()
    previous = float("nan")
    out, other_out = np.empty(BLOCK, dtype=np.float32), np.empty(BLOCK, dtype=np.float32)
    with ThreadPoolExecutor(2) as pool:
        for start in starts:
            argument = np.arange(start, start + BLOCK, dtype=np.uint32)
            x = argument.view(np.float32)
            sg.set_isa(isa)
            function(x, out=out)
            for other in others:
                sg.set_isa(other)
                function(x, out=other_out)
                same = np.array_equal(out.view(np.uint32), other_out.view(np.uint32))
                assert same, f"{isa} and {other} differ in {name} between encodings {start:#x} and {start + BLOCK:#x}"

            def one(at: int, argument: Array = argument, previous: float = previous) -> Finding:
                here = slice(at, at + PIECE)
                return piece(name, argument[here], out[here], float(out[at - 1]) if at else previous)

            for finding in pool.map(one, range(0, BLOCK, PIECE)):
                found.take(finding)
            previous = float(out[-1])
    return found


def sample(name: str, step: int, start: int = 0) -> Finding:
    """Evaluate every `step`-th argument on the instruction set that is in use."""
    function: Callable[..., Array] = getattr(special, name)
    found = Finding()
    for first in range(start, 1 << 32, step * PIECE):
        argument = np.arange(first, min(first + step * PIECE, 1 << 32), step, dtype=np.uint32)
        found.take(compare(name, argument, function(argument.view(np.float32))))
    return found

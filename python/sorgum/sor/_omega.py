"""How the relaxation factor of a solve is chosen from the norms of its sweeps.

A rule says how many sweeps it wants to see before it decides, and is told the norm of each, ||D (x - x before)|| over
omega. The adaptive one is compiled: csrc/api/sor/omega_rule.cpp.
"""

import math
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

__all__ = ["Action", "Fixed", "Rule", "mean_factor"]

Action: TypeAlias = Literal["keep", "undo"] | None  # of x: as it is, for later; back to what was kept last; go on


class Rule(Protocol):
    """What a solve asks."""

    @property
    def omega(self) -> float:
        """The factor of the next sweeps."""
        ...

    def window(self) -> int:
        """Return how many sweeps to do before the next decision."""
        ...

    def observe(self, norms: list[float]) -> Action:
        """Take the norms of the sweeps that were done, and say what to do with x."""
        ...


@dataclass
class Fixed:
    """One factor from beginning to end."""

    omega: float

    def window(self) -> int:
        """Return how many sweeps to do before the next decision: there is none."""
        return 1 << 30

    def observe(self, norms: list[float]) -> Action:
        """Learn nothing."""
        return None


def mean_factor(first: float, last: float, sweeps: int) -> float:
    """Return by what each of `sweeps` sweeps, a power of two, multiplied a norm in the geometric mean.

    Parameters
    ----------
    first, last : float
        The norm before and after them.
    sweeps : int

    Returns
    -------
    float

    Examples
    --------
    >>> mean_factor(16.0, 1.0, 4)
    0.5
    """
    factor = last / first if first > 0 else math.inf
    while sweeps > 1:
        factor, sweeps = math.sqrt(factor), sweeps // 2
    return factor

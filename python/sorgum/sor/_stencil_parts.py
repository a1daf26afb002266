"""A grid that one process holds, or many of which each has some rows: what differs, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum._core import sor as compiled

__all__ = ["Alone", "Ranks", "StencilSystem"]

T = TypeVar("T")


class Ranks(Protocol):
    """Those who relax a grid together. Each calls the same methods in the same order.

    A rank has its own rows along the first axis, and beside them copies of others' rows, which it relaxes as well:
    what is missing beyond them makes one row more wrong in each pass over a color, and never comes to the own ones.
    """

    @property
    def at_once(self) -> int:
        """How many sweeps may follow each other until the copies are refreshed."""
        ...

    def refresh(self, x: Array) -> None:
        """Copy rows from those who own them, of an array of all rows that are here."""
        ...

    def agreed(self, act: Callable[[], T]) -> T:
        """Return what `act` does, or raise on all ranks what it raises on one."""
        ...

    def gathered(self, value: Any) -> list[Any]:
        """Return the values of all ranks."""
        ...

    def sums(self, sums: Array) -> Array:
        """Return the sums of all ranks, along an axis of their own."""
        ...


class Alone:
    """One process with all rows."""

    at_once = 2**63 - 1

    def refresh(self, x: Array) -> None:
        """Do nothing: there are no copies."""

    def agreed(self, act: Callable[[], T]) -> T:
        """Return what `act` does."""
        return act()

    def gathered(self, value: Any) -> list[Any]:
        """Return the value in a list."""
        return [value]

    def sums(self, sums: Array) -> Array:
        """Return the sums with an axis more."""
        return sums[np.newaxis]


class StencilSystem:
    """The compiled stencil as `iterate` sweeps a matrix: vectors are grids, flattened."""

    def __init__(self, stencil: compiled.Stencil, u: Array, own: slice, ranks: Ranks) -> None:
        self.stencil, self.shape, self.dtype, self.own, self.ranks = stencil, u.shape, u.dtype, own, ranks

    def sweep(
        self,
        x: Array,
        b: Array,
        omega: float,
        sweep: str,
        sweeps: int,
        lower: Array | None = None,
        upper: Array | None = None,
        norms: Array | None = None,
    ) -> None:
        """Sweep in the order of the stencil: `sweep` is not looked at."""
        u, f, low, high = (None if v is None else v.reshape(self.shape) for v in (x, b, lower, upper))
        assert u is not None
        assert f is not None
        sums = None if norms is None else np.empty((sweeps, compiled.SUM_WORDS), np.int64)
        done = 0
        while done < sweeps:
            count = min(sweeps - done, self.ranks.at_once)
            part = None if sums is None else sums[done : done + count]
            self.ranks.refresh(u)
            self.ranks.agreed(lambda n=count, to=part: self.stencil.sweep(u, f, omega, n, low, high, to))  # type: ignore[misc]
            done += count
        if norms is not None and sums is not None:
            norms[...] = compiled.merged_norms(self.ranks.sums(sums)) / float(x.dtype.type(omega))

    def residual(self, x: Array, b: Array, out: Array | None = None) -> float:
        """Return the norm of the residual, and its own rows in `out`."""
        u, f, r = (None if v is None else v.reshape(self.shape) for v in (x, b, out))
        assert u is not None
        assert f is not None
        self.ranks.refresh(u)
        return self._norm(self.ranks.agreed(lambda: self.stencil.residual(u, f, r)))

    @cached_property
    def _diagonal(self) -> Array:
        own = np.empty(self.shape, self.dtype)
        self.stencil.diagonal(own)
        return own.reshape(-1)

    def diagonal(self) -> Array:
        """Return the coefficients of the points themselves, 0 where they are not relaxed."""
        return self._diagonal

    def norm(self, vector: Array) -> float:
        """Return the 2-norm of the own rows of all ranks."""
        rows = np.ascontiguousarray(vector.reshape(self.shape)[self.own])
        columns = self.shape[-1]
        return self._norm(compiled.squares_of_rows(rows.reshape(-1, columns) if columns > 0 else np.zeros((0, 1))))

    def _norm(self, sums: Array) -> float:
        return float(compiled.merged_norms(self.ranks.sums(sums))[0])

"""Factors with their error: tuples that have it as an attribute."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from sorgum._arguments.arrays import Array

__all__ = ["Factors", "TruncatedSVD", "factors_with_error", "svd_with_error"]


class _Measured:
    """A named tuple that knows its error."""

    error: float = float("nan")  # of what a user made

    def _replace(self, **parts: Any) -> Self:
        """Keep the error beside new parts: arrays of another library."""
        made = super()._replace(**parts)  # type: ignore[misc]
        made.error = self.error
        return made  # type: ignore[no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the error, too."""
        return _with_error, (type(self), tuple(self), self.error)  # type: ignore[arg-type]


class _Singular(NamedTuple):
    u: Array
    s: Array
    vh: Array


class _Pair(NamedTuple):
    A: Array
    B: Array


class TruncatedSVD(_Measured, _Singular):
    """Singular values and vectors, a tuple (u, s, vh): a ~ (u * s) @ vh.

    Attributes
    ----------
    u : array of shape (m, k)
        Orthonormal columns; the entry of the largest magnitude in each, the first of them, is positive.
    s : array of shape (k,)
    vh : array of shape (k, n)
        Orthonormal rows.
    error : float
        ||a - (u * s) @ vh|| / ||a|| in the Frobenius norm, to 10 percent of it and some units of rounding; 0 for a = 0.
    """


class Factors(_Measured, _Pair):
    """The factors of a low-rank matrix, a tuple (A, B): what is added to a weight is B @ A.

    Attributes
    ----------
    A : array of shape (rank, in), or (rank, in, ...) for convolutions
    B : array of shape (out, rank)
    error : float
        The relative error of B @ A in the Frobenius norm, to 10 percent of it and some units of rounding.
    """


def svd_with_error(u: Array, s: Array, vh: Array, error: float) -> TruncatedSVD:
    """Return the decomposition with its error."""
    return _with_error(TruncatedSVD, (u, s, vh), error)  # type: ignore[no-any-return]


def factors_with_error(A: Array, B: Array, error: float) -> Factors:
    """Return the factors with their error."""
    return _with_error(Factors, (A, B), error)  # type: ignore[no-any-return]


def _with_error(kind: Any, parts: tuple[Array, ...], error: float) -> Any:
    made = kind(*parts)
    made.error = error
    return made

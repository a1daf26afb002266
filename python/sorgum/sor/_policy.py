"""What policies have in common: a factor is asked for, the outcome is told, and the state can be kept."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sorgum._arguments.scalars import int_of, number_of
from sorgum.interop.arrays import kind_of, shown

__all__ = ["Policy", "context_of", "factor_of", "restored"]


class Policy:
    """Chooses the relaxation factor of each system of a sequence, and learns from what it took.

    Derive a class of your own from this one, with `choose` and, if it learns, with `learn`, `state` and `restore`.

    Attributes
    ----------
    adapts : bool
        Whether a solve only begins with the factor that is chosen, and then finds its own. False by default.

    Notes
    -----
    Tier of all policies here: bitwise. They use the four operations and square roots of float64, exact sums, and
    `sorgum.special` and `sorgum.random` for logarithms and random numbers.

    See Also
    --------
    SequenceSolver : asks a policy before each solve, and tells it what came of it.

    Examples
    --------
    A policy that takes a step back where the step before made it worse:

    >>> import sorgum as sg
    >>> class Steps(sg.sor.Policy):
    ...     def __init__(self):
    ...         self.omega, self.step, self.before = 1.5, 0.05, None
    ...     def choose(self, context):
    ...         return self.omega
    ...     def learn(self, context, omega, loss):
    ...         if self.before is not None and loss > self.before:
    ...             self.step /= -2
    ...         self.omega, self.before = min(1.9, max(1.0, omega + self.step)), loss
    >>> solver = sg.sor.SequenceSolver(Steps())
    >>> solver.solve([[4.0, -1.0], [-1.0, 4.0]], [3.0, 3.0]).omega
    1.5
    """

    adapts: bool = False

    def choose(self, context: Any) -> float:
        """Return the factor of the next system.

        Parameters
        ----------
        context : object
            What the user knows of the system, as given to `SequenceSolver.solve`; None if nothing.

        Returns
        -------
        float
            Between 0 and 2.
        """
        raise NotImplementedError("Policy.choose: a policy must define it, got the base class's")

    def learn(self, context: Any, omega: float, loss: float) -> None:
        """Take what a factor cost.

        Parameters
        ----------
        context : object
            That of the system.
        omega : float
            The factor that was chosen, or where the solve ended if the policy `adapts`.
        loss : float
            What it took, sweeps or seconds; not negative.
        """

    def probe(self, context: Any) -> int:
        """Return how many sweeps to see, at factor 1, before `choose` is called: 0 by default.

        Parameters
        ----------
        context : object
            That of the system.

        Returns
        -------
        int
            The sweeps are part of the solve.
        """
        return 0

    def probed(self, context: Any, norms: Any) -> None:
        """Take the norms of the sweeps that `probe` asked for.

        Parameters
        ----------
        context : object
            That of the system.
        norms : array of float64
            As in `SolveResult`, one for each sweep; fewer than were asked for where fewer did.
        """

    def state(self) -> dict[str, Any]:
        """Return all that has been learned.

        Returns
        -------
        dict
            Of numbers, lists and dicts, as JSON writes them: floats come back as they were.
        """
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Parameters
        ----------
        state : dict
            What `state` returned, of a policy with the same parameters.

        Raises
        ------
        TypeError, ValueError
            If it is none: the policy then stays as it was.
        """
        restored(f"{type(self).__name__}.restore", state, {})


def context_of(name: str, context: Any) -> float:
    """Return a context that is a finite number.

    Parameters
    ----------
    name : str
        For error messages.
    context : object

    Returns
    -------
    float
    """
    if isinstance(context, np.ndarray) and context.ndim == 0:
        context = context[()]
    number = number_of(name, "context", context)
    if not math.isfinite(number):
        raise ValueError(f"{name}: context must be finite, got {number}")
    return number


def factor_of(name: str, argument: str, omega: Any) -> float:
    """Return a relaxation factor, between 0 and 2.

    Parameters
    ----------
    name, argument : str
        For error messages.
    omega : object

    Returns
    -------
    float
    """
    number = number_of(name, argument, omega)
    if not 0 < number < 2:
        raise ValueError(f"{name}: {argument} must be between 0 and 2 and neither of them, got {number}")
    return number


def restored(name: str, state: Any, like: Any, at: str = "state") -> Any:
    """Return a state that is made like another one: the same keys, lengths and kinds of numbers, all finite.

    Parameters
    ----------
    name : str
        For error messages.
    state : object
        What is to be restored; nothing of it is kept.
    like : dict, list or number
    at : str
        Which part this is.

    Returns
    -------
    dict, list or number
    """
    if isinstance(like, dict):
        if not isinstance(state, dict):
            raise TypeError(f"{name}: state must have a dict as {at}, got {kind_of(state)}")
        if set(state) != set(like):
            raise ValueError(f"{name}: state must have the keys {sorted(like)} in {at}, got {shown(list(state))}")
        return {key: restored(name, state[key], like[key], key) for key in like}
    if isinstance(like, list):
        if not isinstance(state, list | tuple):
            raise TypeError(f"{name}: state must have a list as {at}, got {kind_of(state)}")
        if len(state) != len(like):
            raise ValueError(f"{name}: state must have {len(like)} elements in {at}, got {len(state)}")
        return [restored(name, one, other, at) for one, other in zip(state, like, strict=True)]
    if isinstance(like, int):
        count = int_of(name, "state", state)
        if not 0 <= count < 2**53:
            raise ValueError(f"{name}: state must have a count in [0, 2**53) as {at}, got {shown(count)}")
        return count
    number = number_of(name, "state", state)
    if not math.isfinite(number):
        raise ValueError(f"{name}: state must have finite numbers in {at}, got {number}")
    return number

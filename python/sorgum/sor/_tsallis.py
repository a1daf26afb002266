"""Bandits: factors from a list, drawn so that on the whole little is lost against the best one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sorgum._arguments.scalars import int_of, number_of, require_option
from sorgum.interop.arrays import shown
from sorgum.random import Key, fold_in, uniform
from sorgum.random._keys import key_of
from sorgum.sor._policy import Policy, context_of, factor_of, restored

__all__ = ["TsallisINF", "TsallisINFBins", "arms_of", "drawn", "interval_of", "loss_of", "pulled"]

_ARMS = tuple(1 + 0.05 * i for i in range(20))  # those of Khodak et al.


class TsallisINF(Policy):
    """Tsallis-INF, the bandit of "Learning to Relax": it learns from losses alone, without a context.

    Arm i, a factor, is drawn with probability p_i = 4 / (eta (L_i - x))^2 in round t, where L_i estimates what it would
    have lost so far, in units of the mean loss, and x makes the sum 1.

    Parameters
    ----------
    arms : sequence of float, optional
        Factors between 0 and 2, which differ; 1, 1.05, ..., 1.95 by default.
    rng : Key, int or numpy.random.Generator
        Round t draws with the key at position t; from a Generator one key is drawn.
    estimator : {"importance_weighting", "reduced_variance"}, default "reduced_variance"
        How L is made: as loss / p_i of the arm that was drawn, with eta = 2 / sqrt(t); or that less the loss's likely
        part, with eta = 4 / sqrt(t).

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or is out of range.

    Notes
    -----
    x is found by Newton's method from min L - 2 / eta, at the right end of where it can lie: the sum of p - 1 is convex
    and increases in x, so that the steps from there fall to x and never reach the pole. The published program begins at
    x = -1, left of it, where they overshoot: from the hundredth round on its numbers are mostly no probabilities.
    Tier: bitwise.

    References
    ----------
    J. Zimmert and Y. Seldin, "Tsallis-INF: an optimal algorithm for stochastic and adversarial bandits", Journal of
    Machine Learning Research 22 (2021), figure 1 and section 3.2, for both estimators. M. Khodak, E. Chow, M.-F. Balcan
    and A. Talwalkar, "Learning to Relax: Setting Solver Parameters Across a Sequence of Linear System Instances", ICLR
    2024, algorithm 1; losses are divided by their mean as in the authors' program.

    Examples
    --------
    >>> import sorgum as sg
    >>> policy = sg.sor.TsallisINF(arms=[1.0, 1.5, 1.9], rng=1)
    >>> for _ in range(300):
    ...     omega = policy.choose(None)
    ...     policy.learn(None, omega, loss=100 * (2 - omega))
    >>> [round(p, 2) for p in policy.probabilities()]
    [0.0, 0.0, 1.0]
    """

    def __init__(self, arms: Sequence[float] | None = None, *, rng: Any, estimator: str = "reduced_variance") -> None:
        """Know nothing yet."""
        require_option("TsallisINF", "estimator", estimator, "importance_weighting", "reduced_variance")
        self._arms, self._key = arms_of("TsallisINF", arms), Key(key_of("TsallisINF", rng))
        self._reduced = estimator == "reduced_variance"
        self._rounds, self._total = 0, 0.0
        self._losses, self._shifts = [0.0] * len(self._arms), [0.0] * len(self._arms)

    def choose(self, context: Any) -> float:
        """Draw a factor.

        Parameters
        ----------
        context : object
            Not looked at.

        Returns
        -------
        float
        """
        return self._arms[drawn(self.probabilities(), self._key, self._rounds)]

    def learn(self, context: Any, omega: float, loss: float) -> None:
        """Take what a factor cost.

        Parameters
        ----------
        context : object
            Not looked at.
        omega : float
            One of the arms.
        loss : float
            Not negative.
        """
        arm, cost = pulled("TsallisINF.learn", self._arms, omega), loss_of("TsallisINF.learn", loss)
        p, rounds = self.probabilities(), self._rounds + 1
        if self._reduced and rounds >= 16:
            for i, chance in enumerate(p):
                if rounds * chance >= 16:
                    self._shifts[i] += 0.5 - (0.5 / chance if i == arm else 0.0)
        self._losses[arm] += cost / max(p[arm], 1e-30)
        self._total += cost
        self._rounds = rounds

    def probabilities(self) -> list[float]:
        """Return with which probability each arm is drawn next.

        Returns
        -------
        list of float
            Their sum is 1.
        """
        scale = self._total / self._rounds if self._total > 0 else 1.0
        rate = (4.0 if self._reduced else 2.0) / math.sqrt(self._rounds + 1)
        return _weights([min(k / scale, 1e150) + s for k, s in zip(self._losses, self._shifts, strict=True)], rate)

    def state(self) -> dict[str, Any]:
        """Return all that has been learned.

        Returns
        -------
        dict
            As `Policy.state` says. The key is not part of it.
        """
        return {
            "rounds": self._rounds,
            "total": self._total,
            "losses": list(self._losses),
            "shifts": list(self._shifts),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Parameters
        ----------
        state : dict
            Of such a policy with as many arms.
        """
        found = restored("TsallisINF.restore", state, self.state())
        self._rounds, self._total = found["rounds"], found["total"]
        self._losses, self._shifts = found["losses"], found["shifts"]


class TsallisINFBins(Policy):
    """A `TsallisINF` of its own for each of several bins of the context.

    Parameters
    ----------
    low, high : float
        The interval of contexts, which is cut into equal bins; contexts beyond it belong to the outer ones.
    bins : int, default 5
        How many, at most 1000.
    arms, rng, estimator
        As those of `TsallisINF`; the key of bin i is ``fold_in(key, i)``.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or is out of range.

    References
    ----------
    M. Khodak, E. Chow, M.-F. Balcan and A. Talwalkar, "Learning to Relax", ICLR 2024, section 4.

    Examples
    --------
    >>> import sorgum as sg
    >>> policy = sg.sor.TsallisINFBins(0.0, 1.0, 2, arms=[1.0, 1.5], rng=1)
    >>> [policy.choose(context) for context in (0.3, 0.4, 0.9)]
    [1.5, 1.5, 1.0]
    """

    def __init__(
        self,
        low: float,
        high: float,
        bins: int = 5,
        *,
        arms: Sequence[float] | None = None,
        rng: Any,
        estimator: str = "reduced_variance",
    ) -> None:
        """Know nothing yet."""
        self._low, self._high = interval_of("TsallisINFBins", low, high)
        count = int_of("TsallisINFBins", "bins", bins)
        if not 1 <= count <= 1000:
            raise ValueError(f"TsallisINFBins: bins must be in [1, 1000], got {shown(count)}")
        require_option("TsallisINFBins", "estimator", estimator, "importance_weighting", "reduced_variance")
        factors, key = arms_of("TsallisINFBins", arms), Key(key_of("TsallisINFBins", rng))
        self._bins = [TsallisINF(factors, rng=fold_in(key, i), estimator=estimator) for i in range(count)]

    def choose(self, context: Any) -> float:
        """Draw a factor.

        Parameters
        ----------
        context : float
            A finite number.

        Returns
        -------
        float
        """
        return self._bin("TsallisINFBins.choose", context).choose(None)

    def learn(self, context: Any, omega: float, loss: float) -> None:
        """Take what a factor cost.

        Parameters
        ----------
        context : float
            That of the system.
        omega : float
            One of the arms.
        loss : float
            Not negative.
        """
        self._bin("TsallisINFBins.learn", context).learn(None, omega, loss)

    def state(self) -> dict[str, Any]:
        """Return all that has been learned.

        Returns
        -------
        dict
            As `Policy.state` says. The keys are not part of it.
        """
        return {"bins": [policy.state() for policy in self._bins]}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Parameters
        ----------
        state : dict
            Of such a policy with as many bins and arms.
        """
        found = restored("TsallisINFBins.restore", state, self.state())
        for policy, one in zip(self._bins, found["bins"], strict=True):
            policy.restore(one)

    def _bin(self, name: str, context: Any) -> TsallisINF:
        part = (context_of(name, context) - self._low) / (self._high - self._low)
        return self._bins[int(min(max(part, 0.0), 1.0 - 2.0**-53) * len(self._bins))]


def arms_of(name: str, arms: Any) -> tuple[float, ...]:
    """Return factors to choose from.

    Parameters
    ----------
    name : str
        For error messages.
    arms : sequence of float or None

    Returns
    -------
    tuple of float
    """
    if arms is None:
        return _ARMS
    try:
        several = list(arms)
    except TypeError:
        raise TypeError(f"{name}: arms must be a sequence of numbers, got {shown(arms)}") from None
    factors = tuple(factor_of(name, "arms", omega) for omega in several)
    if not 1 <= len(set(factors)) == len(factors) <= 1000:
        raise ValueError(f"{name}: arms must be from 1 to 1000 factors that differ, got {shown(arms)}")
    return factors


def drawn(p: list[float], key: Key, position: int) -> int:
    """Return an index that is drawn with given probabilities.

    Parameters
    ----------
    p : list of float
        With the sum 1.
    key : Key
    position : int

    Returns
    -------
    int
    """
    u, below = float(uniform((), rng=key, dtype="float64", position=position)), 0.0
    for i, chance in enumerate(p):
        below += chance
        if u < below:
            return i
    return p.index(max(p))  # roundings of the sum


def pulled(name: str, arms: tuple[float, ...], omega: Any) -> int:
    """Return which arm a factor is.

    Parameters
    ----------
    name : str
        For error messages.
    arms : tuple of float
    omega : float

    Returns
    -------
    int
    """
    factor = number_of(name, "omega", omega)
    if factor not in arms:
        raise ValueError(f"{name}: omega must be one of the arms, got {factor}")
    return arms.index(factor)


def loss_of(name: str, loss: Any) -> float:
    """Return a loss.

    Parameters
    ----------
    name : str
        For error messages.
    loss : float

    Returns
    -------
    float
    """
    cost = number_of(name, "loss", loss)
    if not 0 <= cost < 1e100:
        raise ValueError(f"{name}: loss must be in [0, 1e100), got {cost}")
    return cost


def interval_of(name: str, low: Any, high: Any) -> tuple[float, float]:
    """Return the ends of an interval of contexts.

    Parameters
    ----------
    name : str
        For error messages.
    low, high : float

    Returns
    -------
    pair of float
    """
    first, last = number_of(name, "low", low), number_of(name, "high", high)
    if not -math.inf < first < last < math.inf or not last - first < math.inf:
        raise ValueError(f"{name}: high must be finite and above low, got {last} and {first}")
    return first, last


def _weights(losses: list[float], rate: float) -> list[float]:
    """Return p_i = 4 / (rate (losses_i - x))^2 with the sum 1."""
    least = min(losses)
    above = [min(loss - least, 1e150) for loss in losses]
    x, left = -2 / rate, -2 * math.sqrt(len(losses)) / rate  # from least
    while True:
        terms = [2 / (rate * (loss - x)) for loss in above]
        excess = math.fsum(z * z for z in terms) - 1
        if not excess > 0:
            break
        step = excess / (rate * math.fsum(z * z * z for z in terms))
        if not left <= x - step < x:  # no step that roundings leave anything of
            break
        x -= step
    total = math.fsum(z * z for z in terms)
    return [z * z / total for z in terms]

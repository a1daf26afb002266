"""A contextual bandit: what each factor costs is a polynomial of the context, which is learned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sorgum._arguments.scalars import int_of
from sorgum.interop.arrays import shown
from sorgum.random import Key
from sorgum.random._keys import key_of
from sorgum.sor._policy import Policy, context_of, restored
from sorgum.sor._tsallis import arms_of, drawn, interval_of, loss_of, pulled
from sorgum.special import log

__all__ = ["ChebCB"]

_RIDGE = 2.0**-26  # relative to the number of losses: of all fits that are as good, nearly the smallest is taken
_SWEEPS = 20  # of the fit within its box, a time: the next one goes on from there


class ChebCB(Policy):
    """SquareCB over Chebyshev polynomials of the context, the contextual bandit of "Learning to Relax".

    The loss of each arm is fitted by a polynomial, by least squares over a box of coefficients. Where the fits say y_i,
    arm i is drawn with probability 1 / (d + eta (y_i - min y)), the best one with what is left. Eta grows as the fits
    get better.

    Parameters
    ----------
    low, high : float
        The interval of contexts; contexts beyond it count as its ends.
    coefficients : int, default 6
        Of a polynomial: its degree and one; at most 32.
    arms : sequence of float, optional
        Factors between 0 and 2, which differ; 1, 1.05, ..., 1.95 by default.
    rng : Key, int or numpy.random.Generator
        Round t draws with the key at position t; from a Generator one key is drawn.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or is out of range.

    Notes
    -----
    With K the largest loss so far, m coefficients, d arms and N = 2 + 4 (1 + ln m): coefficient 0 lies within [-K, K],
    coefficient j within [-2 K / j, 2 K / j], as those of a loss that is Lipschitz with K / (high - low) would. After t
    rounds, eta = 2 t sqrt(d t / (R - r + 2 (alpha t^(1/2))^2)) / (K N), where R is the sum of squares of what was
    predicted less what came, r that of the fits, both over (K N)^2, and alpha = (pi + (2 / pi) ln(2 m + 1)) /
    (2 N (m + 1)). Tier: bitwise.

    References
    ----------
    M. Khodak, E. Chow, M.-F. Balcan and A. Talwalkar, "Learning to Relax: Setting Solver Parameters Across a Sequence
    of Linear System Instances", ICLR 2024, algorithm 2, with eta and the box as in the authors' program,
    which takes them from the losses. D. Foster and A. Rakhlin, "Beyond UCB: optimal and efficient contextual bandits
    with regression oracles", ICML 2020, for SquareCB.

    Examples
    --------
    >>> import sorgum as sg
    >>> policy = sg.sor.ChebCB(0.0, 1.0, 3, arms=[1.0, 1.5, 1.9], rng=1)
    >>> for i in range(300):
    ...     context = i % 10 / 10
    ...     omega = policy.choose(context)
    ...     policy.learn(context, omega, loss=100 * (2.2 - omega if context < 0.5 else omega))
    >>> max((p, omega) for p, omega in zip(policy.probabilities(0.1), (1.0, 1.5, 1.9)))[1]
    1.9
    """

    def __init__(
        self,
        low: float,
        high: float,
        coefficients: int = 6,
        *,
        arms: Sequence[float] | None = None,
        rng: Any,
    ) -> None:
        """Know nothing yet."""
        self._low, self._high = interval_of("ChebCB", low, high)
        m = int_of("ChebCB", "coefficients", coefficients)
        if not 1 <= m <= 32:
            raise ValueError(f"ChebCB: coefficients must be in [1, 32], got {shown(m)}")
        self._arms, self._key = arms_of("ChebCB", arms), Key(key_of("ChebCB", rng))
        self._scale = 2 + 4 * (1 + float(log(float(m))))
        self._alpha = (math.pi + 2 / math.pi * float(log(2.0 * m + 1))) / (2 * self._scale * (m + 1))
        self._fits = [_Fit(m) for _ in self._arms]
        self._rounds, self._largest, self._missed = 0, 0.0, 0.0

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
        features = self._features("ChebCB.choose", context)
        return self._arms[drawn(self._probabilities(features), self._key, self._rounds)]

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
        features = self._features("ChebCB.learn", context)
        arm, cost = pulled("ChebCB.learn", self._arms, omega), loss_of("ChebCB.learn", loss)
        fit = self._fits[arm]
        self._missed += (fit.at(features) - cost) ** 2
        self._rounds += 1
        fit.add(features, cost)
        if cost > self._largest:
            self._largest = cost
            for one in self._fits:
                if one is not fit and one.bounded:
                    one.solve(cost)
        fit.solve(self._largest)

    def probabilities(self, context: float) -> list[float]:
        """Return with which probability each arm is drawn next.

        Parameters
        ----------
        context : float
            A finite number.

        Returns
        -------
        list of float
            Their sum is 1.
        """
        return self._probabilities(self._features("ChebCB.probabilities", context))

    def state(self) -> dict[str, Any]:
        """Return all that has been learned.

        Returns
        -------
        dict
            As `Policy.state` says. The key is not part of it.
        """
        fits = [fit.state() for fit in self._fits]
        return {"rounds": self._rounds, "largest": self._largest, "missed": self._missed, "fits": fits}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Parameters
        ----------
        state : dict
            Of such a policy with as many arms and coefficients.
        """
        found = restored("ChebCB.restore", state, self.state())
        self._rounds, self._largest, self._missed = found["rounds"], found["largest"], found["missed"]
        for fit, one in zip(self._fits, found["fits"], strict=True):
            fit.restore(one)

    def _features(self, name: str, context: Any) -> list[float]:
        part = (context_of(name, context) - self._low) / (self._high - self._low)
        z = 2 * min(max(part, 0.0), 1.0) - 1
        values = [1.0, z]
        for _ in range(len(self._fits[0].theta) - 2):
            values.append(2 * z * values[-1] - values[-2])
        return values[: len(self._fits[0].theta)]

    def _probabilities(self, features: list[float]) -> list[float]:
        d, t, size = len(self._arms), self._rounds, self._largest * self._scale
        if t == 0 or size == 0:
            return [1 / d] * d
        missed = self._missed - math.fsum(fit.residual for fit in self._fits)
        excess = max(missed, 0.0) / (size * size) + 2 * self._alpha * self._alpha * t
        rate = 2 * t * math.sqrt(d * t / excess) / size
        said = [fit.at(features) for fit in self._fits]
        least = min(said)
        p = [1 / (d + rate * (y - least)) for y in said]
        best = said.index(least)
        p[best] = 0.0
        p[best] = 1 - math.fsum(p)
        return p


class _Fit:
    """A polynomial through the losses of one arm: sums for the normal equations, and the coefficients."""

    def __init__(self, m: int) -> None:
        self.theta = [0.0] * m
        self.residual, self.bounded = 0.0, False
        self._gram = [[0.0] * m for _ in range(m)]
        self._right, self._squares = [0.0] * m, 0.0

    def at(self, features: list[float]) -> float:
        return math.fsum(c * f for c, f in zip(self.theta, features, strict=True))

    def add(self, features: list[float], loss: float) -> None:
        for row, f in zip(self._gram, features, strict=True):
            for j, g in enumerate(features):
                row[j] += f * g
        self._right = [r + f * loss for r, f in zip(self._right, features, strict=True)]
        self._squares += loss * loss

    def solve(self, largest: float) -> None:
        """Minimise the sum of squares over the box that the largest loss gives."""
        m = len(self.theta)
        bounds = [largest] + [2 * largest / j for j in range(1, m)]
        theta = self._free()
        self.bounded = any(abs(c) > bound for c, bound in zip(theta, bounds, strict=True))
        if self.bounded:
            theta = self._within(self.theta, bounds)
        self.theta = theta
        product = [math.fsum(g * c for g, c in zip(row, theta, strict=True)) for row in self._gram]
        terms = [c * (p - 2 * r) for c, p, r in zip(theta, product, self._right, strict=True)]
        self.residual = max(0.0, self._squares + math.fsum(terms))

    def state(self) -> dict[str, Any]:
        return {
            "theta": list(self.theta),
            "residual": self.residual,
            "bounded": int(self.bounded),
            "gram": [list(row) for row in self._gram],
            "right": list(self._right),
            "squares": self._squares,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.theta, self.residual, self.bounded = state["theta"], state["residual"], bool(state["bounded"])
        self._gram, self._right, self._squares = state["gram"], state["right"], state["squares"]

    def _diagonal(self, i: int) -> float:
        return self._gram[i][i] + _RIDGE * self._gram[0][0]  # the first is the number of losses

    def _free(self) -> list[float]:
        """Solve the normal equations, by Cholesky's factors."""
        m = len(self.theta)
        low = [[0.0] * m for _ in range(m)]
        y = [0.0] * m
        for i in range(m):
            for j in range(i):
                low[i][j] = (self._gram[i][j] - math.fsum(low[i][k] * low[j][k] for k in range(j))) / low[j][j]
            rest = self._diagonal(i) - math.fsum(low[i][k] * low[i][k] for k in range(i))
            low[i][i] = math.sqrt(max(rest, 0.5 * _RIDGE * self._gram[0][0]))
            y[i] = (self._right[i] - math.fsum(low[i][k] * y[k] for k in range(i))) / low[i][i]
        for i in reversed(range(m)):
            y[i] = (y[i] - math.fsum(low[k][i] * y[k] for k in range(i + 1, m))) / low[i][i]
        return y

    def _within(self, theta: list[float], bounds: list[float]) -> list[float]:
        """Minimise over the box, by projected relaxation."""
        theta = [min(max(c, -bound), bound) for c, bound in zip(theta, bounds, strict=True)]
        for _ in range(_SWEEPS):
            before = theta[:]
            for i, bound in enumerate(bounds):
                rest = math.fsum(g * c for j, (g, c) in enumerate(zip(self._gram[i], theta, strict=True)) if j != i)
                theta[i] = min(max((self._right[i] - rest) / self._diagonal(i), -bound), bound)
            if theta == before:
                break
        return theta

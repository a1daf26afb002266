"""Policies: the relaxation factor of the next system of a sequence, from what earlier systems took."""

from __future__ import annotations

import math
from typing import Any

from sorgum._arguments.scalars import int_of, number_of, require_option
from sorgum.interop.arrays import shown
from sorgum.sor._omega import mean_factor
from sorgum.sor._policy import Policy, context_of, factor_of, restored

__all__ = ["Adaptive", "Fixed", "YoungModel"]


class Fixed(Policy):
    """One factor for all systems.

    Parameters
    ----------
    omega : float
        Between 0 and 2.

    Raises
    ------
    TypeError, ValueError
        If it is none.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.sor.Fixed(1.5).choose(None)
    1.5
    """

    def __init__(self, omega: float) -> None:
        """Keep the factor."""
        self._omega = factor_of("Fixed", "omega", omega)

    def choose(self, context: Any) -> float:
        """Return the factor.

        Parameters
        ----------
        context : object
            Not looked at.

        Returns
        -------
        float
        """
        return self._omega


class Adaptive(Policy):
    """Every solve finds its own factor, and begins with a cautious one that earlier solves suggest.

    The solve is that of ``omega="adaptive"`` in `sor` and `ssor_cg`, but for the factor that it begins with: with m the
    mean of 2 - omega over what solves ended with, it is 2 - 1.4 m, or 1 if that is larger: relaxation can only learn
    below its best factor. No context is needed, and little is lost where a system is unlike those before.

    Raises
    ------
    TypeError
        If it is given arguments.

    Examples
    --------
    >>> import sorgum as sg
    >>> policy = sg.sor.Adaptive()
    >>> policy.choose(None)
    1.0
    >>> policy.learn(None, 1.8, 50)
    >>> round(policy.choose(None), 12)
    1.72
    """

    adapts = True
    _CAUTION = 1.4  # times what a solve ended with

    def __init__(self) -> None:
        """Begin with Gauss-Seidel."""
        self._solves, self._gaps = 0, 0.0

    def choose(self, context: Any) -> float:
        """Return the factor to begin with.

        Parameters
        ----------
        context : object
            Not looked at.

        Returns
        -------
        float
        """
        return max(1.0, 2.0 - self._CAUTION * (self._gaps / self._solves)) if self._solves else 1.0

    def learn(self, context: Any, omega: float, loss: float) -> None:
        """Take where a solve ended.

        Parameters
        ----------
        context : object
            Not looked at.
        omega : float
            The factor then.
        loss : float
            Not looked at.
        """
        self._gaps += 2.0 - factor_of("Adaptive.learn", "omega", omega)
        self._solves += 1

    def state(self) -> dict[str, Any]:
        """Return all that has been learned.

        Returns
        -------
        dict
            As `Policy.state` says.
        """
        return {"solves": self._solves, "gaps": self._gaps}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Parameters
        ----------
        state : dict
            Of such a policy.
        """
        found = restored("Adaptive.restore", state, self.state())
        self._solves, self._gaps = found["solves"], found["gaps"]


class YoungModel(Policy):
    """Young's formula with one parameter s that is learned: the Jacobi radius is s rho, and omega follows.

    Systems are alpha I + beta K with a matrix K of constant diagonal d. Then the Jacobi radius is s rho, where rho is
    that of K and s = beta d / (alpha + beta d). Sweeps of Gauss-Seidel at the beginning of a few solves, whose norms
    fall by mu^2, say what rho is; the best factor of every system, 2 / (1 + sqrt(1 - mu^2)), follows from it.

    Parameters
    ----------
    context : {"none", "shift", "scale"}, default "none"
        What contexts are: of K + context I the shift, of I + context K the scale, with K positive semidefinite;
        "none": s is 1 always, as for systems that differ in their right-hand sides alone, or little.
    diagonal : float, default 1.0
        The d of K, positive; of no importance for "none".
    sweeps : int, default 60
        The most sweeps of a probe, at least 8. Solves 1, 2, 4, ..., 256 and every 256th from there begin with a probe,
        and one whose s is twice that of the probe before: a system that is nearly the identity says little of K. Where
        a solve is due whose s is smaller than that by a fifth, a later one is taken.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or is out of range, or a context is no number for which alpha + beta d > 0.

    Notes
    -----
    A right-hand side may hardly excite the slowest mode, and then a probe finds too small a rho: the largest of the
    last four probes is taken. Too small a factor costs more than one that is too large. A probe has to last until the
    slowest mode is what is left: on a grid of m points along an axis, about m^2 / 2 sweeps. 60 do for up to some 12;
    with many more points, or much larger s, `Adaptive` may be better.

    References
    ----------
    D. M. Young, *Iterative Solution of Large Linear Systems*, Academic Press 1971, chapter 6.

    Examples
    --------
    >>> import numpy as np
    >>> import sorgum as sg
    >>> K = 2 * np.eye(50) - np.eye(50, k=1) - np.eye(50, k=-1)
    >>> solver = sg.sor.SequenceSolver(sg.sor.YoungModel("shift", diagonal=2.0), rtol=1e-8)
    >>> [solver.solve(K + c * np.eye(50), np.ones(50), context=c).iterations for c in (0.05, 0.02, 0.01, 0.04)]
    [112, 133, 159, 63]

    The first three began with a probe of 60 sweeps.
    """

    _EVERY, _KEPT = 256, 4

    def __init__(self, context: str = "none", *, diagonal: float = 1.0, sweeps: int = 60) -> None:
        """Know nothing yet."""
        require_option("YoungModel", "context", context, "none", "shift", "scale")
        self._context, self._diagonal = context, number_of("YoungModel", "diagonal", diagonal)
        if not 0 < self._diagonal < math.inf:
            raise ValueError(f"YoungModel: diagonal must be positive and finite, got {self._diagonal}")
        self._sweeps = int_of("YoungModel", "sweeps", sweeps)
        if not 8 <= self._sweeps < 2**31:
            raise ValueError(f"YoungModel: sweeps must be in [8, 2**31), got {shown(sweeps)}")
        self._solves, self._due, self._share = 0, 0, 0.0  # solves, those before the next probe, s of the last one
        self._radii = [0.0] * self._KEPT  # rho, the newest last

    def probe(self, context: Any) -> int:
        """Return how many sweeps of Gauss-Seidel to see before `choose`.

        Parameters
        ----------
        context : float or None
            The shift or the scale.

        Returns
        -------
        int
        """
        share = self._share_of("YoungModel.probe", context)
        due = self._solves >= self._due and share > 0.8 * self._share
        return self._sweeps if due or share > 2 * self._share else 0

    def probed(self, context: Any, norms: Any) -> None:
        """Learn rho from by what the norms of a probe fall.

        Parameters
        ----------
        context : float or None
            The shift or the scale.
        norms : array of float64
            One for each sweep.
        """
        share, seen = self._share_of("YoungModel.probed", context), len(norms)
        self._due += max(1, min(self._due, self._EVERY))
        if share == 0 or seen < 2:
            return
        part = 1
        while 2 * part <= seen // 4:
            part *= 2
        first, last = float(norms[-1 - part]), float(norms[-1])
        fell = 0 < last < math.inf and 0 < first < math.inf
        radius = math.sqrt(min(mean_factor(first, last, part), 1.0)) / share if fell else 0.0
        old = [0.0] * self._KEPT if share > 1.1 * self._share else self._radii
        self._radii, self._share = [*old[1:], min(radius, 1.0) if self._context == "scale" else radius], share

    def choose(self, context: Any) -> float:
        """Return Young's factor.

        Parameters
        ----------
        context : float or None
            The shift or the scale.

        Returns
        -------
        float
        """
        mu = min(self._share_of("YoungModel.choose", context) * max(self._radii), 1.0)
        return min(2 / (1 + math.sqrt(1 - mu * mu)), 2 - 2.0**-20)

    def learn(self, context: Any, omega: float, loss: float) -> None:
        """Count the solves.

        Parameters
        ----------
        context : float or None
            Not looked at.
        omega, loss : float
            Not looked at.
        """
        self._solves += 1

    def state(self) -> dict[str, Any]:
        """Return all that has been learned.

        Returns
        -------
        dict
            As `Policy.state` says.
        """
        return {"solves": self._solves, "due": self._due, "share": self._share, "radii": list(self._radii)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Parameters
        ----------
        state : dict
            Of such a policy with the same parameters.
        """
        found = restored("YoungModel.restore", state, self.state())
        self._solves, self._due = found["solves"], found["due"]
        self._share, self._radii = found["share"], found["radii"]

    def _share_of(self, name: str, context: Any) -> float:
        if self._context == "none":
            return 1.0
        number = context_of(name, context)
        beta, alpha = (1.0, number) if self._context == "shift" else (number, 1.0)
        whole = alpha + beta * self._diagonal
        if not 0 < whole < math.inf:
            raise ValueError(f"{name}: context must leave the diagonal positive, got {number}")
        return abs(beta * self._diagonal / whole)

"""How the relaxation factor of a solve is chosen from the norms of its sweeps.

A rule says how many sweeps it wants to see before it decides, and is told the norm of each, ||D (x - x before)|| over
omega. It uses additions, multiplications, divisions and square roots of float64 only, the same on every machine.
"""

import math
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

__all__ = ["Action", "Adaptive", "Fixed", "Rule", "mean_factor"]

Action: TypeAlias = Literal["keep", "undo"] | None  # of x: as it is, for later; back to what was kept last; go on

FIRST = 6  # sweeps before the first decision
REAL = 0.8, 0.5  # of the promised speed: below it, larger factors may be faster; for dominant matrices, and others
OVERSHOOT = 0.9  # of 2 - omega: a factor that is too small costs more than one that is too large
STEP = 0.93  # of 2 - omega: smaller steps are not worth their transient
MARGIN = 0.9  # of the speed before, that a larger factor must reach
FORGET = 4  # times the sweeps done: then what was refused may be tried again
SHARE, FREE = (1.0, 0.5), 15  # sweeps that trials may lose: that share of all others, and some
SLOW = 0.3  # of the promised speed: below it a smaller factor is tried as well
BETTER = 1.1  # times the speed before, that a smaller factor must reach
STILL = 1e-9  # speeds closer to 0 than this are roundings
PROBE = 6  # a trial below lasts at least this part of the stay before it
DOMINANT = 1.05  # beside the diagonal, relative to it: up to here a matrix counts as diagonally dominant
DENSE = 4.0  # from here on no factor above 1 is tried


class Rule(Protocol):
    """What a solve asks."""

    omega: float

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


@dataclass(frozen=True)
class Stay:
    """What was seen of a factor: its speed, and the part of it that was being lost per stay as long."""

    omega: float
    speed: float
    decline: float
    sweeps: int
    at: int

    def now(self, total: int) -> float:
        """Return the speed that it would have by now."""
        return self.speed / (1 + self.decline * (total - self.at) / self.sweeps) if self.speed > 0 else self.speed


class Adaptive:
    """Young's factor from the contraction that is seen, tried first, and taken back where it does not hold.

    Below the best factor the norms fall by lambda per sweep. From it follow mu = (lambda + omega - 1) over omega
    sqrt(lambda), and Young's factor 2 / (1 + sqrt(1 - mu^2)). At and above that they fall by omega - 1, the promise. So
    it is for consistently ordered matrices with a real Jacobi spectrum. For others the factor may be far too large.
    Therefore each change is a trial: x is kept, and where the contraction, once transients have died out, is worse than
    before, the trial is undone, and what was refused becomes a limit. Trials lose about as many sweeps as are done
    otherwise, at most.

    Parameters
    ----------
    weight : float
        The sum of |a_ij| / |a_ii| over j != i, in the mean over rows. Up to about 1, Jacobi's iteration contracts, and
        a speed that falls is one of an error that becomes smooth; above, it counts against the factor.
    guarded : bool
        Whether changes are trials. If not, Young's theory is believed.
    start : float, default 1.0
        The factor to begin with.
    """

    def __init__(self, weight: float, guarded: bool, start: float = 1.0) -> None:
        self.omega = start
        self._guarded = guarded
        self._dominant = weight <= DOMINANT or not guarded
        self._dense = guarded and not weight <= DENSE
        self._real, self._share = (REAL[0], SHARE[0]) if self._dominant else (REAL[1], SHARE[1])
        self._norms: list[float] = []  # since the factor changed
        self._settling = self._need = _settling(start)
        self._trial: tuple[str, float] | None = None  # its kind, and the norm before it
        self._best: Stay | None = None
        self._ceiling: tuple[float, float, float] | None = None  # a factor, until when, the speed there
        self._floor_until = 0.0
        self._total, self._lost = 0, 0.0

    def window(self) -> int:
        """Return how many sweeps to do before the next decision."""
        return max(1, self._need - len(self._norms))

    def observe(self, norms: list[float]) -> Action:
        """Take the norms of the sweeps that were done, and say what to do with x."""
        self._norms += norms
        self._total += len(norms)
        if not math.isfinite(norms[-1]) or norms[-1] == 0:
            return self._end_trial(False, norms[-1], 0.0) if self._trial and norms[-1] > 0 else None
        if len(self._norms) < self._need:
            return None
        sweeps = len(self._norms)
        short = max(1, _power_of_two(sweeps // 4))
        last, before = self._speed(short), self._speed(short, short)
        long = self._speed(max(1, _power_of_two(3 * sweeps // 4)))
        seen = max(long, last if last < 1.2 * before else long)
        if self._ceiling and (self._total > self._ceiling[1] or seen < self._ceiling[2]):
            self._ceiling = None
        if self._trial:
            ended, action = self._judge(last, long, seen)
            if ended is not True:
                return action
        if self._best is None or self._best.omega == self.omega or seen >= self._best.now(self._total):
            self._best = Stay(self.omega, seen, self._decline(last, before, short), sweeps, self._total)
            self._trial = None
        return self._propose(last, before, long, short)

    def _judge(self, last: float, long: float, seen: float) -> tuple[bool | None, Action]:
        """Return whether the trial succeeded, None if that is not known yet."""
        assert self._trial
        assert self._best
        kind, sweeps, old = self._trial[0], len(self._norms), self._best
        if kind == "below":
            good = min(last, long) >= BETTER * old.speed
        elif kind == "calm":
            good = long > old.speed + STILL
        else:
            bar = MARGIN * old.now(self._total)
            good = seen >= bar
            # A Jordan block, p (omega - 1)^(p - 1), is what a good factor shows first.
            if not good and sweeps < 2 * self._settling and seen + self._jordan(sweeps) >= bar:
                self._wait()
                return None, None
        if not good:
            return False, self._end_trial(True, self._norms[-1], long)
        if kind != "above":
            self._ceiling = old.omega, FORGET * self._total, old.speed
            self._best = self._trial = None
        return True, None

    def _end_trial(self, settled: bool, norm: float, speed: float) -> Action:
        """Go back to the factor before."""
        assert self._trial
        assert self._best
        kind, norm_before = self._trial
        old, sweeps = self._best, len(self._norms)
        undo = not norm <= norm_before
        loss = 1.0 if undo or old.speed <= 0 else min(1.0, max(0.0, 1 - speed / old.speed))
        self._lost += loss * sweeps
        if kind == "above":
            self._ceiling = self.omega, FORGET * self._total, speed if settled else -math.inf
        elif kind == "calm" and old.omega > 1:  # there it grew, and here, too: Gauss-Seidel is what is left
            self._ceiling = self.omega, math.inf, -math.inf
        else:
            self._floor_until = FORGET * self._total
        self._trial = self._best = None
        self._change(min(old.omega, 1.0) if kind == "calm" else old.omega, self._need)
        return "undo" if undo else None

    def _propose(self, last: float, before: float, long: float, short: int) -> Action:
        """Begin a trial if there is reason for one."""
        sweeps, omega = len(self._norms), self.omega
        budget = self._share * (self._total - self._lost) + FREE - self._lost if self._guarded else math.inf
        at_least = sweeps // PROBE
        below = self._guarded and self._total > self._floor_until
        if last < -STILL and long < -STILL:
            lower = 0.7 * omega if omega <= 1 else 1 + (omega - 1) / 2
            affordable = below and max(_settling(lower), at_least) <= budget
            if self._guarded and (affordable or omega > 1):  # nothing costs as much as to stay where it grows
                self._ceiling = omega, math.inf, -math.inf
                return self._try("calm", lower, long, at_least)
        elif last > 0 and before > 0 and last < 1.25 * before and not self._dense:
            bar = self._real * _promise(omega)
            credit = (1 / (sweeps - short / 2), 1 / (sweeps - 1.5 * short)) if omega > 1 else (0.0, 0.0)
            if last + credit[0] < bar and before + credit[1] < bar:
                higher = self._higher(short, budget)
                if higher:
                    return self._try("above", higher, None, 0)
        slow = long > 0 and max(last, long) + self._jordan(sweeps) < SLOW * _promise(omega)
        if below and (omega > 1 or self._ceiling or self._dense) and slow and sweeps >= 2 * self._settling:
            lower = max(1.0, 2 - 2 * (2 - omega)) if omega > 1 else 0.8 * omega
            if max(_settling(lower), at_least) <= budget:
                return self._try("below", lower, long, at_least)
        self._wait()
        return None

    def _higher(self, short: int, budget: float) -> float | None:
        """Return Young's factor, as far as limits and the budget allow."""
        omega, factor = self.omega, mean_factor(self._norms[-1 - short], self._norms[-1], short)
        mu = min(1.0, (factor + omega - 1) / (omega * math.sqrt(factor)))
        gap = OVERSHOOT * (2 - 2 / (1 + math.sqrt(max(0.0, 1 - mu * mu))))
        if self._ceiling and gap <= 2 - self._ceiling[0]:
            gap = math.sqrt((2 - omega) * (2 - self._ceiling[0]))
        gap = max(gap, 2.0**-20) if omega >= 1 else max(gap, 1.0)  # who is below 1 has left Young's theory
        while gap < STEP * (2 - omega):
            if _settling(2 - gap) <= budget:
                return 2 - gap
            gap *= 1.1
        return None

    def _try(self, kind: str, omega: float, speed: float | None, at_least: int) -> Action:
        if self._guarded:
            self._trial = kind, self._norms[-1]
            if speed is not None:
                self._best = Stay(self.omega, speed, 0.0, len(self._norms), self._total)
        self._change(omega, at_least)
        return "keep" if self._guarded else None

    def _change(self, omega: float, at_least: int) -> None:
        self.omega, self._norms = omega, []
        self._settling = _settling(omega)
        self._need = max(self._settling, at_least)

    def _wait(self) -> None:
        self._need = len(self._norms) + max(2, len(self._norms) // 4)

    def _speed(self, sweeps: int, ago: int = 0) -> float:
        """Return about -ln of the mean factor over so many sweeps."""
        factor = mean_factor(self._norms[-1 - ago - sweeps], self._norms[-1 - ago], sweeps)
        return 2 * (1 - factor) / (1 + factor)

    def _jordan(self, sweeps: int) -> float:
        return 1 / (sweeps - _power_of_two(3 * sweeps // 4) / 2) if self.omega > 1 else 0.0

    def _decline(self, last: float, before: float, short: int) -> float:
        """Return 1 where the speed falls as 1 over the sweeps, 0 where it is steady."""
        if not self._dominant or not 0 < last < before:
            return 0.0
        sweeps = len(self._norms)
        hyperbola = (sweeps - 1.5 * short) / (sweeps - 0.5 * short)
        return min(1.0, (1 - last / before) / (1 - hyperbola))


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


def _power_of_two(most: int) -> int:
    return 1 << (most.bit_length() - 1) if most > 0 else 0


def _promise(omega: float) -> float:
    """Return the speed of a factor of omega - 1."""
    return 2 * (2 - omega) / omega if omega > 1 else 2.0


def _settling(omega: float) -> int:
    """Return the sweeps after which p (omega - 1)^(p - 1), the worst transient, has come down to 1."""
    sweeps, size = 1, 1.0
    while sweeps < FIRST or sweeps * size > 1:
        size *= abs(omega - 1)
        sweeps += 1
    return sweeps

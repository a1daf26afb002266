"""Policies alone: what they choose, what they learn, and what they keep."""

import copy
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum import reference
from sorgum.sor import Adaptive, ChebCB, Fixed, Policy, TsallisINF, TsallisINFBins, YoungModel

ARMS = (1.0, 1.3, 1.6, 1.9)
MAKERS: dict[str, Callable[[], Policy]] = {
    "Fixed": lambda: Fixed(1.5),
    "Adaptive": Adaptive,
    "YoungModel": lambda: YoungModel("shift", diagonal=4.0),
    "TsallisINF": lambda: TsallisINF(ARMS, rng=3),
    "importance_weighting": lambda: TsallisINF(ARMS, rng=3, estimator="importance_weighting"),
    "TsallisINFBins": lambda: TsallisINFBins(0.0, 1.0, 3, arms=ARMS, rng=3),
    "ChebCB": lambda: ChebCB(0.0, 1.0, 4, arms=ARMS, rng=3),
}


def cost(context: float, omega: float) -> float:
    """Return about what a system takes: least at a factor that depends on the context, and much on one side of it."""
    best = 1.1 + 0.75 * context
    return 40 + 100 * (omega - best if omega > best else 3 * (best - omega))


def contexts(count: int) -> list[float]:
    return [float(c) for c in np.random.default_rng(7).random(count)]


def run(policy: Policy, some: list[float]) -> list[float]:
    chosen = []
    for context in some:
        if policy.probe(context):
            policy.probed(context, 0.9 ** np.arange(20))
        chosen.append(policy.choose(context))
        policy.learn(context, chosen[-1], cost(context, chosen[-1]))
    return chosen


@pytest.mark.parametrize("name", MAKERS)
def test_a_state_goes_through_json_and_on(name: str) -> None:
    whole, first = MAKERS[name](), MAKERS[name]()
    some = contexts(120)
    chosen = run(whole, some)
    assert run(first, some[:70]) == chosen[:70]
    text = json.dumps(first.state(), allow_nan=False)
    second = MAKERS[name]()
    second.restore(json.loads(text))
    kept = copy.deepcopy(second.state())
    assert json.dumps(kept) == text
    assert run(second, some[70:]) == chosen[70:]
    assert second.state() == whole.state()
    assert name == "Fixed" or second.state() != kept


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "Fixed"])
def test_a_state_is_a_copy(name: str) -> None:
    policy = MAKERS[name]()
    run(policy, contexts(40))
    state = policy.state()
    before = copy.deepcopy(state)
    other = MAKERS[name]()
    other.restore(state)
    run(policy, contexts(10))
    run(other, contexts(10))
    assert state == before


def wrong_states(state: Any) -> list[Any]:
    """Return states that differ from a right one in one place."""
    found: list[Any] = [None, [], {}, {**state, "more": 1}]
    for key, value in state.items():
        rest = {k: v for k, v in state.items() if k != key}
        bad = [None, "1", math.nan, math.inf, -1.5 if isinstance(value, int) else [1], {}]
        if isinstance(value, list):
            bad += [value[:-1], [*value, value[0]], [*value[:-1], "x"], [*value[:-1], math.nan], 3.0]
        found += [rest, *({**rest, key: one} for one in bad)]
    return found


@pytest.mark.parametrize("name", MAKERS)
def test_wrong_states_are_refused_and_change_nothing(name: str) -> None:
    policy = MAKERS[name]()
    run(policy, contexts(40))
    before = copy.deepcopy(policy.state())
    wrong = [state for state in wrong_states(before) if not (name == "Fixed" and state == {})]
    assert len(wrong) >= 3
    for state in wrong:
        with pytest.raises((TypeError, ValueError), match=r"^\w+\.restore: state must have .+, got .+|state must be"):
            policy.restore(state)
        assert policy.state() == before


def test_restore_names_what_is_wrong() -> None:
    policy = TsallisINF(ARMS, rng=1)
    state = policy.state()
    for wrong, message in (
        (None, "TsallisINF.restore: state must have a dict as state, got NoneType"),
        ({**state, "losses": [0.0]}, "TsallisINF.restore: state must have 4 elements in losses, got 1"),
        ({**state, "rounds": -1}, "TsallisINF.restore: state must have a count in [0, 2**53) as rounds, got -1"),
        ({**state, "total": math.nan}, "TsallisINF.restore: state must have finite numbers in total, got nan"),
        ({**state, "shifts": 1.0}, "TsallisINF.restore: state must have a list as shifts, got float"),
        ({"rounds": 1},
         "TsallisINF.restore: state must have the keys ['losses', 'rounds', 'shifts', 'total'] in state, got "
         "['rounds']"),
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError)) as caught:
            policy.restore(wrong)  # type: ignore[arg-type]
        assert str(caught.value) == message


def test_parameters_are_refused_by_name() -> None:
    for call, kind, message in (
        (lambda: Fixed(2.0), ValueError, "Fixed: omega must be between 0 and 2 and neither of them, got 2.0"),
        (lambda: Fixed(math.nan), ValueError, "Fixed: omega must be between 0 and 2 and neither of them, got nan"),
        (lambda: Fixed("1"), TypeError, "Fixed: omega must be a real number, got str"),  # type: ignore[arg-type]
        (lambda: YoungModel("steps"), ValueError,
         "YoungModel: context must be 'none', 'shift' or 'scale', got 'steps'"),
        (lambda: YoungModel(diagonal=0.0), ValueError, "YoungModel: diagonal must be positive and finite, got 0.0"),
        (lambda: YoungModel(sweeps=7), ValueError, "YoungModel: sweeps must be in [8, 2**31), got 7"),
        (lambda: YoungModel("shift").choose(None), TypeError,
         "YoungModel.choose: context must be a real number, got NoneType"),
        (lambda: YoungModel("shift").choose(math.inf), ValueError,
         "YoungModel.choose: context must be finite, got inf"),
        (lambda: YoungModel("shift").choose(-1.0), ValueError,
         "YoungModel.choose: context must leave the diagonal positive, got -1.0"),
        (lambda: TsallisINF([1.0, 1.0], rng=1), ValueError,
         "TsallisINF: arms must be from 1 to 1000 factors that differ, got [1.0, 1.0]"),
        (lambda: TsallisINF([], rng=1), ValueError,
         "TsallisINF: arms must be from 1 to 1000 factors that differ, got []"),
        (lambda: TsallisINF([3.0], rng=1), ValueError,
         "TsallisINF: arms must be between 0 and 2 and neither of them, got 3.0"),
        (lambda: TsallisINF(3, rng=1), TypeError,  # type: ignore[arg-type]
         "TsallisINF: arms must be a sequence of numbers, got 3"),
        (lambda: TsallisINF(rng=None), TypeError,
         "TsallisINF: rng must be a Key, an int seed or a numpy Generator, got NoneType"),
        (lambda: TsallisINF(rng=1, estimator="best"), ValueError,
         "TsallisINF: estimator must be 'importance_weighting' or 'reduced_variance', got 'best'"),
        (lambda: TsallisINF(ARMS, rng=1).learn(None, 1.5, 3), ValueError,
         "TsallisINF.learn: omega must be one of the arms, got 1.5"),
        (lambda: TsallisINF(ARMS, rng=1).learn(None, 1.6, -3), ValueError,
         "TsallisINF.learn: loss must be in [0, 1e100), got -3.0"),
        (lambda: TsallisINFBins(1.0, 0.0, rng=1), ValueError,
         "TsallisINFBins: high must be finite and above low, got 0.0 and 1.0"),
        (lambda: TsallisINFBins(0.0, 1.0, 0, rng=1), ValueError,
         "TsallisINFBins: bins must be in [1, 1000], got 0"),
        (lambda: ChebCB(0.0, 1.0, 0, rng=1), ValueError, "ChebCB: coefficients must be in [1, 32], got 0"),
        (lambda: ChebCB(0.0, math.nan, rng=1), ValueError,
         "ChebCB: high must be finite and above low, got nan and 0.0"),
        (lambda: ChebCB(0.0, 1.0, rng=1).choose("a"), TypeError,
         "ChebCB.choose: context must be a real number, got str"),
    ):  # fmt: skip
        with pytest.raises(kind) as caught:
            call()
        assert str(caught.value) == message


@pytest.mark.parametrize("reduced", [False, True])
def test_probabilities_of_tsallis_inf(reduced: bool) -> None:
    """Against bisection; an error of x by u min L, relative to the least 1 / rate, makes the bound of p."""
    random = np.random.default_rng(1)
    for case in range(200):
        arms = tuple(1 + 0.9 * i / 20 for i in range(int(random.integers(1, 20))))
        estimator = "reduced_variance" if reduced else "importance_weighting"
        policy = TsallisINF(arms, rng=1, estimator=estimator)
        rounds = int(10 ** random.uniform(0, 5))
        losses = (random.random(len(arms)) ** 3 * rounds * 100).tolist()
        shifts = (random.standard_normal(len(arms)) * math.sqrt(rounds)).tolist() if reduced else [0.0] * len(arms)
        policy.restore({"rounds": rounds, "total": 100.0 * rounds, "losses": losses, "shifts": shifts})
        p = np.array(policy.probabilities())
        rate = (4 if reduced else 2) / math.sqrt(rounds + 1)
        wanted = reference.sor.tsallis_probabilities(np.array(losses) / 100 + shifts, rate)
        assert abs(p.sum() - 1) < 1e-14
        tolerance = 2.0**-50 * (1 + rate * max(abs(np.array(losses) / 100 + shifts)))
        np.testing.assert_allclose(p, wanted, rtol=0, atol=tolerance, err_msg=str(case))
        uniform = np.full(len(arms), 1 / len(arms))
        assert len(arms) == 1 or rounds < 100 or not np.allclose(uniform, wanted, atol=tolerance)


def test_the_published_start_of_newton_s_method_fails_where_ours_does_not() -> None:
    """20 steps from x = -1, as in the authors' program: its weights are no probabilities once losses have grown."""
    losses, rate = np.linspace(600.0, 3000.0, 20), 2 / math.sqrt(1000)
    x = -1.0
    with np.errstate(all="ignore"):
        for _ in range(20):
            p = 4 / (rate * (losses - x)) ** 2
            x -= (p.sum() - 1) / (rate * (p**1.5).sum())
        published = 4 / (rate * (losses - x)) ** 2
    assert not abs(published.sum() - 1) < 0.1
    policy = TsallisINF(rng=1, estimator="importance_weighting")
    policy.restore({"rounds": 999, "total": 999.0, "losses": losses.tolist(), "shifts": [0.0] * 20})
    ours = policy.probabilities()
    assert abs(math.fsum(ours) - 1) < 1e-14
    assert ours == sorted(ours, reverse=True)


def test_extreme_losses() -> None:
    for losses in ([0.0, 9e99], [9e99, 9e99], [1e-300, 0.0]):
        policy = TsallisINF([1.0, 1.5], rng=1, estimator="importance_weighting")
        policy.restore({"rounds": 1, "total": 1e-300, "losses": losses, "shifts": [0.0, 0.0]})
        p = policy.probabilities()
        assert all(0 <= chance <= 1 for chance in p)
        assert abs(sum(p) - 1) < 1e-14
    bandit = TsallisINF([1.0, 1.5], rng=1)
    for _ in range(5):
        bandit.learn(None, bandit.choose(None), 0.0)
    assert bandit.choose(None) in (1.0, 1.5)
    bandit = TsallisINF([1.0, 1.5], rng=1)
    for loss in (9e99, 0.0, 9e99, 1e-300):
        bandit.learn(None, 1.5, loss)
    assert abs(sum(bandit.probabilities()) - 1) < 1e-14


@pytest.mark.parametrize(
    ("name", "most"), [("TsallisINF", 1.15), ("importance_weighting", 1.15), ("TsallisINFBins", 1.05), ("ChebCB", 1.05)]
)
def test_what_bandits_learn(name: str, most: float) -> None:
    """Against the best arm of all, in the second half; a draw by chance costs 1.3 times as much, or more."""
    policy, some = MAKERS[name](), contexts(3000)
    chosen = run(policy, some)
    last = range(1500, 3000)
    costs = np.array([[cost(some[i], arm) for arm in ARMS] for i in last])
    best, by_chance = costs.mean(axis=0).min(), costs.mean()
    ours = np.mean([cost(some[i], chosen[i]) for i in last])
    assert by_chance > 1.2 * best
    assert ours < most * best
    if name == "ChebCB":  # the context tells much more
        assert ours < 1.12 * costs.min(axis=1).mean() < best


def test_fits_of_chebcb() -> None:
    """Coefficients are those of least squares where the box does not bind, and those in the box where it does."""
    policy, random = ChebCB(0.0, 1.0, 4, arms=[1.5], rng=1), np.random.default_rng(3)
    points, losses = [], []
    for i in range(60):
        context = float(random.random())
        loss = 20 + 5 * context + float(random.random())
        policy.learn(context, 1.5, loss)
        points.append(context)
        losses.append(loss)
        if i in (0, 5, 59):
            wanted = reference.sor.chebyshev_fit(points, losses, 4, 0.0, 1.0)
            rank_deficient = i == 0
            # The ridge of 1e-10 moves coefficients by about that over the least eigenvalue of the Gram matrix.
            tolerance = 1e-8 if rank_deficient else 1e-5
            np.testing.assert_allclose(policy.state()["fits"][0]["theta"], wanted, atol=tolerance * 25)
    policy = ChebCB(0.0, 1.0, 3, arms=[1.5], rng=1)
    for context, loss in ((0.4, 0.0), (0.5, 100.0), (0.6, 0.0)):  # a parabola that is too steep
        policy.learn(context, 1.5, loss)
    fit = policy.state()["fits"][0]
    assert fit["bounded"] == 1
    assert all(abs(c) <= bound for c, bound in zip(fit["theta"], (100.0, 200.0, 100.0), strict=True))
    assert max(abs(c) for c in reference.sor.chebyshev_fit([0.4, 0.5, 0.6], [0.0, 100.0, 0.0], 3, 0.0, 1.0)) > 200


def test_young_s_model_finds_the_radius() -> None:
    """Norms that fall by mu^2 exactly; a probe that finds too little does not count beside one that found more."""
    model = YoungModel("shift", diagonal=4.0)
    assert model.probe(0.5) == 60
    share, radius = 4 / 4.5, 0.95
    model.probed(0.5, (share * radius) ** (2 * np.arange(60.0)))
    for context in (-0.1, 0.5, 3.0):
        mu = 4 / (4 + context) * radius
        assert abs(model.choose(context) - 2 / (1 + math.sqrt(1 - mu * mu))) < 1e-12
    model.learn(0.5, 1.5, 100.0)
    assert model.probe(0.5) == 60
    before = model.choose(0.0)
    model.probed(0.5, 0.5 ** np.arange(60.0))
    assert model.choose(0.0) == before
    assert [YoungModel("none").probe(None), YoungModel("scale", diagonal=100.0).probe(0.0)] == [60, 0]
    for norms in ([], [1.0], [0.0, 0.0], [1.0, math.inf, math.nan, 1.0, 1.0], [1e-300] * 60):
        other = YoungModel()
        other.probed(None, np.array(norms))
        assert 1 <= other.choose(None) < 2


def test_drawing_is_by_the_probabilities() -> None:
    """4000 draws; each count lies within 6.1 standard deviations, which chance leaves once in 1e9."""
    policy = TsallisINF(ARMS, rng=5)
    policy.restore({"rounds": 30, "total": 30.0, "losses": [9.0, 4.0, 1.0, 0.0], "shifts": [0.0] * 4})
    p, counts = policy.probabilities(), dict.fromkeys(ARMS, 0)
    for seed in range(4000):
        other = TsallisINF(ARMS, rng=seed)
        other.restore(policy.state())
        counts[other.choose(None)] += 1
    for chance, count in zip(p, counts.values(), strict=True):
        assert abs(count - 4000 * chance) < 6.1 * math.sqrt(4000 * chance * (1 - chance))
    assert max(p) - min(p) > 0.2


def test_the_base_class_asks_for_choose() -> None:
    policy = Policy()
    assert (policy.probe(None), policy.state(), policy.adapts) == (0, {}, False)
    policy.learn(None, 1.0, 1.0)
    policy.probed(None, np.ones(3))
    with pytest.raises(NotImplementedError, match=r"^Policy\.choose: a policy must define it"):
        policy.choose(None)


def test_keys_decide() -> None:
    some = contexts(50)
    for make in (TsallisINF, lambda rng: ChebCB(0.0, 1.0, rng=rng), lambda rng: TsallisINFBins(0.0, 1.0, rng=rng)):
        assert run(make(rng=1), some) == run(make(rng=sg.random.key(1)), some) != run(make(rng=2), some)
        generator = np.random.default_rng(1)
        word = int(np.random.default_rng(1).integers(0, 2**64, dtype=np.uint64))
        assert run(make(rng=generator), some) == run(make(rng=word), some)

"""Gumbel-softmax flow matching: derivatives by finite differences, conserved mass, the reference, bits, refusals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import layouts

import sorgum as sg
from sorgum import random, reference, special
from sorgum._data.inputs import hashed, logits

Array = Any
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
MAXIMUM, DECAY, BETA = 10.0, 3.0, 2.0


def temperature(t: Any) -> Any:
    return random.flow_temperature(t, maximum=MAXIMUM, decay=DECAY)


def targets(shape: tuple[int, ...], categories: int) -> Array:
    return (hashed(int(np.prod(shape))) % np.uint64(categories)).astype(np.int64).reshape(shape)


def unit(dtype: Any) -> float:
    return float(np.finfo(dtype).eps)


def assert_near(found: Array, exact: Array, slack: float) -> None:
    """Assert that the largest error is within `slack`, which zeros and a shuffled answer are not."""
    assert np.max(np.abs(found - exact)) <= slack
    assert np.max(np.abs(exact)) > slack
    assert np.max(np.abs(np.roll(exact, 1) - exact)) > slack


@each_dtype
def test_interpolant_is_the_concrete_distribution(dtype: Any, isa: str) -> None:
    """The logits beta onehot at beta tau, bit for bit; the reference forms (onehot + G / beta) / tau."""
    k = targets((3, 7), 20)
    onehot = np.eye(20, dtype=dtype)[k]
    streams, positions = hashed(21).reshape(3, 7), np.arange(21).reshape(3, 7)
    for t in (0.0, 1.0, np.linspace(0, 1, 7), np.linspace(0, 1, 3)[:, None]):
        tau = temperature(t)
        x = random.flow_interpolant(
            k, 20, rng=5, temperature=tau, beta=BETA, dtype=dtype, streams=streams, position=positions
        )
        rows = BETA * np.broadcast_to(tau, (3, 7))
        concrete = random.gumbel_softmax(
            dtype(BETA) * onehot, rng=5, temperature=rows, streams=streams, position=positions
        )
        assert x.dtype == dtype
        assert x.tobytes() == concrete.tobytes()
        exact = reference.random.flow_interpolant(
            k, 20, 5, temperature=tau, beta=BETA, streams=streams, position=positions
        )
        # Noise is within 8 units of at most 23 + 2, over beta tau, of softmax.
        assert_near(x, exact, 8 * 25 / (BETA * 0.49) * unit(dtype) * 0.25)
        y = random.flow_interpolant(
            k, 20, rng=5, temperature=tau, beta=BETA, dtype=dtype, streams=streams, position=positions, log=True
        )
        noise = random.gumbel((3, 7, 20), rng=5, dtype=dtype, bits=32, streams=streams, position=positions)
        assert y.tobytes() == special.log_softmax(dtype(BETA) * onehot + noise, temperature=rows).tobytes()
        assert np.allclose(special.exp(y), x, rtol=100 * unit(dtype), atol=1e-30)


def test_interpolant_ends_at_the_vertex() -> None:
    """P(argmax is the target) = e^beta / (e^beta + V - 1) at every temperature; at a low one nothing else is left."""
    n, v = 40000, 8
    k = np.full(n, 3)
    for tau in (0.01, 10.0):
        x = random.flow_interpolant(k, v, rng=1, temperature=tau, beta=BETA)
        p = np.exp(BETA) / (np.exp(BETA) + v - 1)
        assert abs((x.argmax(-1) == 3).mean() - p) < 6.1 * np.sqrt(p * (1 - p) / n)
    x = random.flow_interpolant(k, v, rng=1, temperature=0.001, beta=100.0)
    assert np.array_equal(x.argmax(-1), k)
    assert np.all(x.max(-1) > 0.999)


def test_velocities_by_finite_differences(isa: str) -> None:
    """Of the path whose noise is held, and of the one without noise."""
    k, h = targets((6,), 5), 1e-6
    for t in (0.1, 0.5, 0.9):
        place: dict[str, Any] = {"rng": 2, "beta": BETA, "dtype": np.float64}
        up, down = (random.flow_interpolant(k, 5, temperature=temperature(t + s), **place) for s in (h, -h))
        y = random.flow_interpolant(k, 5, temperature=temperature(t), log=True, **place)
        found = random.frozen_flow_velocity(y, decay=DECAY)
        assert_near(found, (up - down) / (2 * h), 1e-7)
        assert_near(random.frozen_flow_velocity(y + 7, decay=DECAY), found, 1e-13)
        onehot = np.eye(5)[k]
        up, down = (special.softmax(onehot, temperature=temperature(t + s)) for s in (h, -h))
        x = special.softmax(onehot, temperature=temperature(t))
        found = random.flow_velocity(x, onehot, temperature=temperature(t), decay=DECAY)
        assert_near(found, (up - down) / (2 * h), 1e-8)


@each_dtype
def test_velocities_are_what_the_reference_has_and_conserve_mass(dtype: Any, isa: str) -> None:
    x, p = (special.softmax(logits((4, 6, 21), dtype, seed=s)) for s in (1, 2))
    for t in (0.0, 1.0, np.linspace(0, 1, 6)):
        tau = temperature(t)
        found = random.flow_velocity(x, p, temperature=tau, decay=DECAY)
        size = DECAY / np.min(tau)
        assert found.dtype == dtype
        assert_near(found, reference.random.flow_velocity(x, p, temperature=tau, decay=DECAY), 4 * size * unit(dtype))
        assert np.max(np.abs(found.astype(np.float64).sum(-1))) < 8 * size * unit(dtype)
    y = special.log_softmax(logits((4, 6, 21), dtype, seed=3))
    found = random.frozen_flow_velocity(y, decay=DECAY)
    assert found.dtype == dtype
    assert_near(found, reference.random.frozen_flow_velocity(y, decay=DECAY), 100 * unit(dtype))
    assert np.max(np.abs(found.astype(np.float64).sum(-1))) < 100 * unit(dtype)


def test_marginal_field_is_the_mean_of_conditional_fields() -> None:
    x, p = (special.softmax(logits((4, 6), np.float64, 1.0, seed=s)) for s in (1, 2))
    each = [random.flow_velocity(x, np.broadcast_to(e, x.shape), temperature=0.7, decay=DECAY) for e in np.eye(6)]
    mean = np.einsum("rk,krj->rj", p, np.stack(each))
    assert_near(random.flow_velocity(x, p, temperature=0.7, decay=DECAY), mean, 1e-14)


def test_points_that_underflow(isa: str) -> None:
    """x log x at 0 is 0."""
    y = np.array([[0.0, -np.inf, -1e4], [-np.inf, -np.inf, 0.0]])
    found = random.frozen_flow_velocity(y, decay=1.0)
    assert found.tolist() == [[0, 0, 0], [0, 0, 0]]
    low = random.flow_interpolant([0, 1], 4, rng=1, temperature=1e-5, log=True)
    assert np.all(np.isfinite(low))
    assert np.all(np.isfinite(random.frozen_flow_velocity(low, decay=DECAY)))


@each_dtype
def test_steps_stay_on_the_simplex(dtype: Any, isa: str) -> None:
    """Of sum 1 whether or not something was cut off, and unchanged by a step of length 0."""
    x, p = (special.softmax(logits((50, 21), dtype, seed=s)) for s in (1, 2))
    v = random.flow_velocity(x, p, temperature=0.5, decay=DECAY)
    for h in (0.0, 1e-3, 0.01, 10.0, np.linspace(0, 1, 50)):
        found = random.flow_step(x, v, h)
        assert found.dtype == dtype
        assert np.all(found >= 0)
        assert np.max(np.abs(found.astype(np.float64).sum(-1) - 1)) < 21 * unit(dtype)
        assert_near(found, reference.random.flow_step(x, v, h), 2 * unit(dtype))
    assert np.max(np.abs(random.flow_step(x, v, 0.0) - x)) < 4 * unit(dtype)
    plain = x + 0.01 * v.astype(np.float64)
    assert np.all(plain >= 0)  # nothing to cut off: the sum is 1 by the velocity alone
    assert np.max(np.abs(random.flow_step(x, v, 0.01) - plain)) < 8 * unit(dtype)
    assert np.isnan(random.flow_step([[-1.0, -1.0]], [[0.0, 0.0]], 1.0)).all()


def test_steps_whose_sum_overflows(isa: str) -> None:
    """Without warnings, which pytest makes errors; a row that leaves float64 is NaN, all of it."""
    assert random.flow_step([0.5, 0.5], [1e308, 1e308], 1.0).tolist() == [0.5, 0.5]
    assert random.flow_step([0.5, 0.25, 0.25], [1e308, 1e308, -1e308], 1.0).tolist() == [0.5, 0.5, 0.0]
    found = random.flow_step(np.full((3, 1000), 1e-3), np.full((3, 1000), 1.7e308), [1.0, 0.0, -1.0])
    assert np.allclose(found[:2], 1e-3, rtol=1e-13)
    assert np.isnan(found[2]).all()
    for v, h in (([1e308, -1e308], 10.0), ([1e308, 0.0], 10.0), ([np.inf, 0.0], 1.0), ([np.nan, 0.0], 1.0)):
        assert np.isnan(random.flow_step([0.5, 0.5], v, h)).all()
    assert random.flow_step([0.5, 0.5], [-1e308, 0.0], 10.0).tolist() == [0.0, 1.0]


def test_the_mean_of_gradients_does_not_overflow() -> None:
    found = random.flow_guidance([[1.7e308, 0.0], [1.7e308, 0.0], [1.6e308, 0.0]], [0.5, 0.5])
    mean = 1.7e308 / 3 * 2 + 1.6e308 / 3
    assert np.allclose(found / mean, [0.25, -0.25], rtol=1e-14)


def test_euler_follows_the_path() -> None:
    """From the noise-free point at time 0 to that at 1: the error is of first order in the step."""
    onehot = np.eye(4)[[2]]
    end = special.softmax(onehot, temperature=temperature(1.0))
    errors = []
    for n in (100, 200, 400):
        x = special.softmax(onehot, temperature=temperature(0.0))
        for i in range(n):
            v = random.flow_velocity(x, onehot, temperature=temperature(i / n), decay=DECAY)
            x = random.flow_step(x, v, 1 / n)
        errors.append(np.max(np.abs(x - end)))
    assert errors[0] < 0.02
    assert np.allclose(np.array(errors[:-1]) / errors[1:], 2, atol=0.1)


def test_score_by_finite_differences(isa: str) -> None:
    k = targets((5,), 6)
    for tau in (0.3, np.linspace(0.2, 2, 5)):
        y = random.flow_interpolant(k, 6, rng=1, temperature=tau, beta=BETA, log=True, dtype=np.float64)
        found = random.flow_score(y, k, temperature=tau, beta=BETA)
        assert np.max(np.abs(found.sum(-1))) < 1e-12
        assert_near(found, reference.random.flow_score(y, k, temperature=tau, beta=BETA), 1e-13)
        rows = BETA * np.broadcast_to(tau, (5,))
        for i in range(6):
            step = 1e-6 * (np.arange(6) == i)
            up, down = (random.concrete_log_prob(y + s, BETA * np.eye(6)[k], temperature=rows) for s in (step, -step))
            assert np.max(np.abs((up - down) / 2e-6 - found[:, i])) < 1e-7


@each_dtype
def test_guidance(dtype: Any, isa: str) -> None:
    """The gradient of the mean reward with respect to the model's logits, for a reward that is linear."""
    z = logits((3, 4, 5), np.float64, 1.0)
    p = special.softmax(z).astype(dtype)
    g = logits((8, 3, 4, 5), dtype, 1.0, seed=6)
    found = random.flow_guidance(g, p)
    assert found.dtype == dtype
    assert_near(found, reference.random.flow_guidance(g, p), 4 * unit(dtype))
    assert np.max(np.abs(found.astype(np.float64).sum(-1))) < 4 * unit(dtype)
    if dtype is np.float64:
        mean = g.mean(0)
        for i in range(5):
            step = 1e-6 * (np.arange(5) == i)
            up, down = (np.sum(mean * special.softmax(z + s), -1) for s in (step, -step))
            assert np.max(np.abs((up - down) / 2e-6 - found[..., i])) < 1e-8


@each_dtype
def test_in_any_batch_layout_and_thread(dtype: Any, threads: Callable[[int], None], isa: str) -> None:
    x, p = (special.softmax(logits((30, 21), dtype, seed=s)) for s in (1, 2))
    k, tau = targets((30,), 21), np.linspace(0.3, 5, 30)
    g = logits((3, 30, 21), dtype)
    calls: tuple[Callable[[Array, Any], Array], ...] = (
        lambda x, r: random.flow_velocity(x, p[r], temperature=tau[r], decay=DECAY),
        lambda x, r: random.frozen_flow_velocity(x, decay=DECAY),
        lambda x, r: random.flow_score(x, k[r], temperature=tau[r], beta=BETA),
        lambda x, r: random.flow_step(x, p[r] - x, tau[r]),
        lambda x, r: random.flow_guidance(g[:, r], x),
    )
    everything, before = slice(None), sg.isa()
    for call in calls:
        threads(1)
        whole = call(x, everything)
        threads(3)
        for name, view in layouts(x):
            assert call(view, everything).tobytes() == whole.tobytes(), name
        part = slice(7, 19)
        assert call(x[part], part).tobytes() == whole[part].tobytes()
        sg.set_isa("scalar")
        again = call(x, everything)
        sg.set_isa(before)
        assert again.tobytes() == whole.tobytes()


def test_numbers_of_no_use_become_nan(isa: str) -> None:
    """And no warnings, which pytest makes errors."""
    nan = np.float64(np.nan).tobytes()
    for found in (
        random.flow_step([0.5, 0.5], [np.inf, -np.inf], 1.0)[:1],
        random.flow_step([0.5, 0.5], [1e308, -1e308], 100.0)[:1],
        random.flow_step([0.5, 0.5], [-np.nan, 1.0], 1.0),
        random.flow_velocity([-np.nan, 1.0], [0.0, 1.0], temperature=1.0, decay=1.0),
        random.frozen_flow_velocity([-np.inf, -np.inf], decay=1.0),
        random.flow_guidance([[np.inf, 0.0], [-np.inf, 0.0]], [0.5, 0.5]),
    ):
        assert all(v.tobytes() == nan for v in found)
    assert random.flow_velocity(np.zeros((0, 3)), np.zeros((0, 3)), temperature=1.0, decay=1.0).shape == (0, 3)


@each_dtype
def test_extreme_numbers_are_refused_or_worked_out(dtype: Any) -> None:
    """Without warnings, which pytest makes errors, and by the name of the function that was called."""
    sizes = [5e-324, 1e-310, 1e-300, 1e-39, 1.0, 1e39, 1e300, 1.7e308]
    x, y = np.array([[0.25, 0.75]], dtype), np.array([[-1e38, 0.0]], dtype)
    calls: dict[str, Callable[[float, float], Any]] = {
        "flow_temperature": lambda a, b: random.flow_temperature(np.array([-1e308, 1.0]), maximum=a, decay=b),
        "flow_interpolant": lambda a, b: random.flow_interpolant([1], 2, rng=1, temperature=a, beta=b, dtype=dtype),
        "flow_velocity": lambda a, b: random.flow_velocity(x, x[:, ::-1], temperature=a, decay=b),
        "frozen_flow_velocity": lambda a, b: random.frozen_flow_velocity(y, decay=b),
        "flow_score": lambda a, b: random.flow_score(y, [1], temperature=a, beta=b),
    }
    for name, call in calls.items():
        refusals = []
        for a, b in ((a, b) for a in sizes for b in sizes):
            try:
                found = call(a, b)
            except ValueError as error:
                refusals.append(str(error))
                continue
            if name == "flow_interpolant":
                assert abs(found.sum() - 1) < 1e-6
        assert refusals
        assert all(message.startswith(f"{name}: ") for message in refusals)
        if name != "flow_temperature":  # which has a time that no decay allows
            assert len(refusals) < len(sizes) ** 2


def test_every_temperature_of_the_flow_is_one() -> None:
    for time in (0.0, 1.0, 2.3, 2.33):
        tau = random.flow_temperature(time, maximum=1e-2, decay=300.0)
        assert tau > 0
        assert np.isfinite(random.flow_interpolant([1], 2, rng=1, temperature=tau)).all()


def test_a_refused_call_draws_no_key() -> None:
    generator, other = np.random.default_rng(1), np.random.default_rng(1)
    with pytest.raises(ValueError, match="beta"):
        random.flow_interpolant([0], 2, rng=generator, temperature=1.0, beta=0.0)
    found = random.flow_interpolant([0], 2, rng=generator, temperature=1.0)
    assert found.tobytes() == random.flow_interpolant([0], 2, rng=other, temperature=1.0).tobytes()


R = np.full((2, 3), 1 / 3)
PLACES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"rng": None}, TypeError, "flow_interpolant: rng must be a Key, an int seed or a numpy Generator, got NoneType"),
    ({"rng": -1}, ValueError, "flow_interpolant: rng must be in [0, 2**64), got -1"),
    ({"rng": 1, "position": -1}, ValueError, "flow_interpolant: position must be in [0, 2**64), got -1"),
    (
        {"rng": 1, "position": [1, 2]},
        ValueError,
        "flow_interpolant: position must be a scalar or have the shape of the rows, (1,), got shape (2,)",
    ),
    (
        {"rng": 1, "streams": [0.5]},
        TypeError,
        "flow_interpolant: streams must be an integer or an array of them, got dtype dtype('float64')",
    ),
    (
        {"rng": 1, "streams": [1, 2]},
        ValueError,
        "flow_interpolant: streams must be a scalar or have the shape of the rows, (1,), got shape (2,)",
    ),
]
USABLE = "must be positive, finite and not subnormal"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: random.flow_temperature(0.0, maximum=0.0, decay=1.0),
            ValueError,
            "flow_temperature: maximum must be positive and finite, got 0.0",
        ),
        (
            lambda: random.flow_temperature(0.0, maximum=1.0, decay=np.nan),
            ValueError,
            "flow_temperature: decay must be positive and finite, got nan",
        ),
        (
            lambda: random.flow_temperature(0.0, maximum=1.0, decay=R),
            TypeError,
            "flow_temperature: decay must be a real number, got ndarray",
        ),
        (
            lambda: random.flow_temperature(1.0, maximum=1.0, decay=800.0),
            ValueError,
            f"flow_temperature: maximum * exp(-decay * time) {USABLE}, got 0.0",
        ),
        (
            lambda: random.flow_temperature([0.0, -1e308], maximum=1.0, decay=1e10),
            ValueError,
            f"flow_temperature: maximum * exp(-decay * time) {USABLE}, got inf",
        ),
        (
            lambda: random.flow_temperature(np.nan, maximum=1.0, decay=1.0),
            ValueError,
            f"flow_temperature: maximum * exp(-decay * time) {USABLE}, got nan",
        ),
        (
            lambda: random.flow_interpolant([0], 2, rng=1, temperature=1.0, beta=1e39),
            ValueError,
            "flow_interpolant: beta must be finite in float32, got 1e+39",
        ),
        (
            lambda: random.flow_interpolant([0], 2, rng=1, temperature=1e300, beta=1e300, dtype=np.float64),
            ValueError,
            f"flow_interpolant: beta * temperature {USABLE}, got inf",
        ),
        (
            lambda: random.flow_interpolant([0], 2, rng=1, temperature=2.0**-1030),
            ValueError,
            f"flow_interpolant: temperature must not be subnormal, got {2.0**-1030}",
        ),
        (
            lambda: random.flow_interpolant([0], 2, rng=1, temperature=2.0**-1000, beta=2.0**-30),
            ValueError,
            f"flow_interpolant: beta * temperature {USABLE}, got {2.0**-1030}",
        ),
        *(
            (
                lambda log=log, given=given: random.flow_interpolant([0], 2, temperature=1.0, log=log, **given),
                error,
                text,
            )
            for log in (False, True)
            for given, error, text in PLACES
        ),
        (
            lambda: random.flow_velocity(R, R, temperature=1e300, decay=1e-300),
            ValueError,
            f"flow_velocity: temperature / decay {USABLE}, got inf",
        ),
        (
            lambda: random.flow_velocity(R, R, temperature=[1.0, 1e-300], decay=1e300),
            ValueError,
            f"flow_velocity: temperature / decay {USABLE}, got 0.0",
        ),
        (
            lambda: random.frozen_flow_velocity(R, decay=1e-310),
            ValueError,
            f"frozen_flow_velocity: decay**-1 {USABLE}, got inf",
        ),
        (
            lambda: random.flow_score(R, [0, 1], temperature=1e300, beta=1e300),
            ValueError,
            f"flow_score: beta * temperature {USABLE}, got inf",
        ),
        (
            lambda: random.flow_interpolant([0.0], 3, rng=1, temperature=1.0),
            TypeError,
            "flow_interpolant: targets must be an array of integers, got dtype dtype('float64')",
        ),
        (
            lambda: random.flow_interpolant([0, 3], 3, rng=1, temperature=1.0),
            ValueError,
            "flow_interpolant: targets must be in [0, 3), got 3",
        ),
        (
            lambda: random.flow_interpolant([0], 0, rng=1, temperature=1.0),
            ValueError,
            "flow_interpolant: categories must be at least 1, got 0",
        ),
        (
            lambda: random.flow_interpolant([0], 2**31, rng=1, temperature=1.0),
            ValueError,
            "flow_interpolant: categories must be less than 2**31, got 2147483648",
        ),
        (
            lambda: random.flow_interpolant([0], 2.0, rng=1, temperature=1.0),
            TypeError,
            "flow_interpolant: categories must be an int, got float",
        ),
        (
            lambda: random.flow_interpolant([0], 2, rng=1, temperature=0.0),
            ValueError,
            "flow_interpolant: temperature must be positive and finite, got 0.0",
        ),
        (
            lambda: random.flow_interpolant([0], 2, rng=1, temperature=[1.0, 2.0]),
            ValueError,
            "flow_interpolant: temperature must broadcast to the rows' shape, (1,), got shape (2,)",
        ),
        (
            lambda: random.flow_interpolant([0], 2, rng=1, temperature=1.0, beta=-1.0),
            ValueError,
            "flow_interpolant: beta must be positive and finite, got -1.0",
        ),
        (
            lambda: random.flow_velocity(R, R[0], temperature=1.0, decay=1.0),
            ValueError,
            "flow_velocity: probabilities must have shape (2, 3), got (3,)",
        ),
        (
            lambda: random.flow_velocity(0.5, 0.5, temperature=1.0, decay=1.0),
            ValueError,
            "flow_velocity: points must have at least one axis, got a scalar",
        ),
        (
            lambda: random.frozen_flow_velocity(R, decay=0.0),
            ValueError,
            "frozen_flow_velocity: decay must be positive and finite, got 0.0",
        ),
        (
            lambda: random.flow_score(R, [0], temperature=1.0),
            ValueError,
            "flow_score: targets must have the shape of the rows, (2,), got (1,)",
        ),
        (
            lambda: random.flow_step(R, R[:1], 0.1),
            ValueError,
            "flow_step: velocity must have shape (2, 3), got (1, 3)",
        ),
        (lambda: random.flow_step(R, R, np.inf), ValueError, "flow_step: step must be finite, got inf"),
        (
            lambda: random.flow_step(R, R, [0.1, 0.2, 0.3]),
            ValueError,
            "flow_step: step must broadcast to the rows' shape, (2,), got shape (3,)",
        ),
        (
            lambda: random.flow_guidance(np.zeros((0, 2, 3)), R),
            ValueError,
            "flow_guidance: grads must have an axis of samples and shape (2, 3), got shape (0, 2, 3)",
        ),
        (
            lambda: random.flow_guidance(R, R),
            ValueError,
            "flow_guidance: grads must have an axis of samples and shape (2, 3), got shape (2, 3)",
        ),
    ],
)
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message

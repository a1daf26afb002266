"""Errors against float64, extended precision and mpmath, within the bounds of bounds.json.

A softmax that subtracts the maximum is off by |x - m| / 2 ULP where that difference or x / T is rounded to float32; the
inputs here include those where it shows. Oracle: the reference in float64 (for float32) or in extended precision (for
float64), where the platform's long double has 64 bits at least; its own error is part of the limits that are used.
"""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import sweep
from accuracy_inputs import float64_arguments, rows
from cases import CHUNK
from tolerance import assert_within, errors_in_ulps, softmax_limit, unit_in_last_place

import sorgum as sg
from sorgum import reference, special
from sorgum._data import load
from sorgum._data.inputs import logits

BOUNDS = load("bounds")
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
EXTENDED = np.longdouble
Array = Any

needs_extended = pytest.mark.skipif(np.finfo(EXTENDED).nmant < 63, reason="long double has less than 64 bits here")


def bound(name: str) -> float:
    return float(BOUNDS[f"special.{name}"]["bound"])


# exp and log


@pytest.mark.parametrize("name", ["exp", "log"])
def test_all_float32_arguments(name: str, threads: Callable[[int], None]) -> None:
    threads(2)
    vector = sg.available_isas()[1:]
    if not vector:
        pytest.skip("only the scalar kernels run here; test_float32_arguments_on_scalar samples them")
    before = sg.isa()
    try:
        found = sweep.sweep(name, vector[-1], vector[:-1])
    finally:
        sg.set_isa(before)
    assert found.wrong_specials == []
    assert found.ulps <= bound(f"{name}.f32"), f"at {found.argument:#010x}"
    if name == "log":
        assert found.falls == 0
    # What bounds.json states is what is measured: no more than its last digit apart.
    assert abs(found.ulps - BOUNDS[f"special.{name}.f32"]["largest"]) < 1e-3
    assert found.argument == int(BOUNDS[f"special.{name}.f32"]["argument"], 16)


@pytest.mark.parametrize("name", ["exp", "log"])
def test_float32_arguments_on_scalar(name: str) -> None:
    before = sg.isa()
    sg.set_isa("scalar")
    try:
        found = sweep.sample(name, 61)
    finally:
        sg.set_isa(before)
    assert found.wrong_specials == []
    assert found.ulps <= bound(f"{name}.f32"), f"at {found.argument:#010x}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["exp", "log"])
def test_all_float32_arguments_on_every_isa(name: str) -> None:
    """The scalar kernels against the oracle, the others against their bits."""
    before = sg.isa()
    try:
        found = sweep.sweep(name, "scalar", sg.available_isas()[1:])
    finally:
        sg.set_isa(before)
    print(f"{name}: {found.ulps:.5f} ULP at {found.argument:#010x}, falls {found.falls} times")
    assert found.wrong_specials == []
    assert found.ulps <= bound(f"{name}.f32"), f"at {found.argument:#010x}"
    assert found.falls == BOUNDS[f"special.{name}.f32"]["falls"]


@pytest.mark.parametrize("name", ["exp", "log"])
def test_the_sweep_finds_errors(name: str) -> None:
    argument = np.arange(0x3FC00000, 0x3FC00000 + 1000, dtype=np.uint32)
    x = argument.view(np.float32)
    exact = getattr(np, name)(x.astype(np.float64))
    right = exact.astype(np.float32)
    assert sweep.compare(name, argument, right).ulps <= 0.5
    for wrong in (np.zeros_like(right), np.full_like(right, right.mean()), np.roll(right, 1), np.nextafter(right, 9)):
        assert sweep.compare(name, argument, wrong).ulps > bound(f"{name}.f32")
    broken = right.copy()
    broken[500] = np.nan
    assert sweep.compare(name, argument, broken).ulps == np.inf
    assert sweep.piece(name, argument, right, 0.0).falls == 0
    assert sweep.piece(name, argument, right[::-1].copy(), 0.0).falls > 0
    nan = np.arange(0x7FC00001, 0x7FC00009, dtype=np.uint32)
    assert sweep.compare(name, nan, nan.view(np.float32)).wrong_specials != []


def test_exact_values(isa: str) -> None:
    for dtype in (F32, F64):
        zero, one = dtype.type(0), dtype.type(1)
        for x, expected in ((zero, one), (-zero, one), (dtype.type(-np.inf), zero)):
            assert special.exp(x).tobytes() == expected.tobytes()
        assert special.log(one).tobytes() == zero.tobytes()
        assert special.log(zero) == special.log(-zero) == -np.inf
        assert special.log(dtype.type(np.inf)) == special.exp(dtype.type(np.inf)) == np.inf
        nan = np.array(np.nan, dtype=dtype).tobytes()
        payload = -np.array([np.nan, np.nan], dtype=dtype)
        for result in (special.exp(payload), special.log(payload), special.log(np.array([-1.0, -np.inf], dtype=dtype))):
            assert result.tobytes() == nan * 2


@needs_extended
@pytest.mark.parametrize("name", ["exp", "log"])
def test_float64_arguments(name: str, isa: str) -> None:
    for x in float64_arguments(name):
        part = x if isa != "scalar" else x[::7]
        exact = getattr(reference.special, name)(part, dtype=EXTENDED)
        error = errors_in_ulps(getattr(special, name)(part), exact)
        at = int(np.argmax(error))
        assert error[at] <= bound(f"{name}.f64"), part[at].hex()


@pytest.mark.parametrize("name", ["exp", "log"])
def test_float64_arguments_with_mpmath(name: str) -> None:
    with mpmath.workprec(160):
        for x in float64_arguments(name):
            few = x[:: len(x) // 300]
            got = getattr(special, name)(few)
            for argument, y in zip(few.tolist(), got.tolist(), strict=True):
                exact = getattr(mpmath, name)(mpmath.mpf(argument))
                unit = float(unit_in_last_place(np.array([float(exact)]), F64)[0])
                assert abs(exact - mpmath.mpf(y)) <= bound(f"{name}.f64") * mpmath.mpf(unit), argument.hex()


# softmax, log_softmax, logsumexp


def check(name: str, x: Array, temperature: float, **keywords: Any) -> None:
    """Compare with the reference in a format of at least 11 more bits.

    The reference subtracts m and divides by T with one rounding each, so that its own relative error in exp is about
    |x - m| / T of its eps; that is part of the limits.
    """
    wide = F64 if x.dtype == F32 else np.dtype(EXTENDED)
    eps = float(np.finfo(wide).eps)
    exact = getattr(reference.special, name)(x, temperature=temperature, dtype=wide)
    got = getattr(special, name)(x, temperature=temperature, **keywords)
    m = np.max(x, axis=-1, keepdims=True).astype(wide)
    distance = (m - x.astype(wide)) / wide.type(temperature)
    three_pass = "_three_pass" if str(keywords.get("algorithm")).startswith("three") else ""
    stated = BOUNDS[f"special.{name}{three_pass}.{'f32' if x.dtype == F32 else 'f64'}"]
    ulps = stated["bound"] + stated.get("per_distance", 0.0) * np.minimum(distance, 1e4)
    if name == "softmax":
        limit = softmax_limit(exact, x.dtype, ulps) + (distance + 4) * eps * exact
    else:
        log_sum = -np.max(exact, axis=-1, keepdims=True)
        size = np.maximum(distance, log_sum)
        if three_pass:  # the largest of the other terms has a distance of about -log(log_sum)
            ulps = stated["bound"] + stated["per_distance"] * np.log1p(1 / np.maximum(log_sum, np.finfo(wide).tiny))
        limit = ulps * unit_in_last_place(size, x.dtype) + 4 * eps * size
    spread = float(np.max(distance))
    if spread < 1e-3:  # so close to uniform that a uniform answer is the right one
        assert np.all(np.abs(got - exact) <= limit)
    else:
        assert_within(got, exact, limit)


def check_all(name: str, dtype: np.dtype[Any], algorithm: str) -> None:
    faults = []
    for what, x, temperature in rows(dtype):
        try:
            check(name, x, temperature, algorithm=algorithm)
        except AssertionError as error:
            faults.append(f"{what}: {error}")
    assert not faults, "\n".join(faults)


@needs_extended
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", [F32, F64], ids=["f32", "f64"])
@pytest.mark.parametrize("algorithm", ["auto", "two_pass"])
def test_rows(name: str, dtype: np.dtype[Any], algorithm: str, isa: str) -> None:
    check_all(name, dtype, algorithm)


@needs_extended
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", [F32, F64], ids=["f32", "f64"])
@pytest.mark.parametrize("algorithm", ["three_pass_recompute", "three_pass_reload"])
def test_rows_in_three_passes(name: str, dtype: np.dtype[Any], algorithm: str) -> None:
    check_all(name, dtype, algorithm)


@needs_extended
@pytest.mark.parametrize("dtype", [F32, F64], ids=["f32", "f64"])
def test_logsumexp(dtype: np.dtype[Any], isa: str) -> None:
    wide = F64 if dtype == F32 else np.dtype(EXTENDED)
    got, exact, size = [], [], []
    for _, x, temperature in rows(dtype):
        got.append(special.logsumexp(x, temperature=temperature))
        exact.append(reference.special.logsumexp(x, temperature=temperature, dtype=wide))
        m = np.max(x, axis=-1).astype(wide) / wide.type(temperature)
        log_sum = -np.max(reference.special.log_softmax(x, temperature=temperature, dtype=wide), axis=-1)
        size.append(np.maximum(np.abs(m), log_sum))
    largest = np.concatenate(size)
    unit = unit_in_last_place(largest, dtype)
    limit = bound(f"logsumexp.{'f32' if dtype == F32 else 'f64'}") * unit + 8 * float(np.finfo(wide).eps) * largest
    assert_within(np.concatenate(got), np.concatenate(exact), limit)


def test_one_element_dominates(isa: str) -> None:
    """log S keeps its digits: it is the sum of the others, however small."""
    for dtype in (F32, F64):
        for distance in (9.0, 25.0, 40.0):
            x = np.array([[0.0, -distance], [-distance, 0.0], [0.0, -2 * distance]], dtype=dtype)
            exact = reference.special.log_softmax(x)
            got = special.log_softmax(x)
            assert np.max(errors_in_ulps(got, exact)) <= 2
            assert np.all(got.max(axis=1) < 0)


@pytest.mark.parametrize("dtype", [F32, F64], ids=["f32", "f64"])
def test_rows_with_mpmath(dtype: np.dtype[Any]) -> None:
    cases = [(1.0, 0.0, 1.0), (20.0, 0.0, 0.7), (3.0, 1e5, 37.5), (1.0, 6e7, 1.0), (1e-3, 0.0, 1e-5), (1e30, 0.0, 1e29)]
    with mpmath.workprec(250):
        for scale, offset, temperature in cases:
            x = (logits(40, F64, scale, seed=3) + offset).astype(dtype)
            soft = special.softmax(x, temperature=temperature)
            log_soft = special.log_softmax(x, temperature=temperature)
            total = special.logsumexp(x, temperature=temperature)
            t = [mpmath.mpf(v) / mpmath.mpf(temperature) for v in x.tolist()]
            m = max(t)
            log_sum = mpmath.log1p(mpmath.fsum(sorted(mpmath.exp(v - m) for v in t)[:-1]))
            suffix = "f32" if dtype == F32 else "f64"
            for v, y, log_y in zip(t, soft.tolist(), log_soft.tolist(), strict=True):
                exact = mpmath.exp(v - m - log_sum)
                limit = softmax_limit(np.array([float(exact)]), dtype, bound(f"softmax.{suffix}"))[0]
                assert abs(mpmath.mpf(y) - exact) <= mpmath.mpf(float(limit))
                unit = unit_in_last_place(np.array([float(max(abs(v - m), log_sum))]), dtype)[0]
                error = abs(mpmath.mpf(log_y) - (v - m - log_sum))
                assert error <= bound(f"log_softmax.{suffix}") * mpmath.mpf(float(unit))
            unit = unit_in_last_place(np.array([float(max(abs(m), log_sum))]), dtype)[0]
            error = abs(mpmath.mpf(float(total)) - (m + log_sum))
            assert error <= bound(f"logsumexp.{suffix}") * mpmath.mpf(float(unit))


# Sums


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0, 20.0])
def test_rows_sum_to_one(scale: float) -> None:
    lengths = [*range(1, 130), *(k * CHUNK + d for k in (1, 2, 3, 5, 9, 33) for d in (-1, 0, 1))]
    lengths += [(1 << k) + d for k in (14, 17, 20, 22) for d in (-1, 3)] + [1 << 24]
    values = logits(1 << 24, F32, scale) if scale else np.full(1 << 24, 0.1, dtype=F32)
    limit = float(BOUNDS["special.softmax.f32"]["sum"])
    assert limit <= 2.4e-7
    for n in lengths:
        total = float(np.sum(special.softmax(values[-n:]), dtype=np.float64))
        assert abs(total - 1) <= limit, n
    assert abs(float(np.sum(values[:100] / np.float32(100), dtype=np.float64)) - 1) > limit


def test_float64_rows_sum_to_one() -> None:
    limit = float(BOUNDS["special.softmax.f64"]["sum"])
    for scale in (1.0, 20.0):
        for n in (1, 2, 17, 1000, CHUNK + 1, 100003, (1 << 22) + 1):
            total = np.sum(special.softmax(logits(n, F64, scale)), dtype=EXTENDED)
            assert abs(float(total - 1)) <= limit, n

"""Adapters that are trained: gradients, forward and merged alike, how they begin, bits, layouts, refusals."""

import pickle
import re
import tracemalloc
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from bounds_lowrank import HALF_ULPS, depth, exact
from threadpoolctl import threadpool_limits

import sorgum as sg
from sorgum import reference
from sorgum._data.golden_lowrank import numbers
from sorgum.interop import dlpack

adapters = sg.lowrank.adapters
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
HALVES = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
UNITS = {F32: 2.0**-24, F64: 2.0**-53}

each_kind = pytest.mark.parametrize("kind", KINDS := ("LoRA", "PiSSA", "SoMA", "SVFit", "HiRA", "NOLA"))
each_shape = pytest.mark.parametrize("shape", [(6, 7), (7, 6), (6, 3, 2, 2)], ids=str)


@pytest.fixture(autouse=True, scope="module")
def one_thread_of_blas() -> Iterator[None]:
    """Small decompositions wait for each other's threads on a busy machine."""
    with threadpool_limits(1, user_api="blas"):
        yield


def made(
    kind: str, shape: tuple[int, ...] = (6, 7), dtype: Any = F64, rank: int = 3, scale: float = 0.7, bases: int = 20
) -> Any:
    """An adapter in the middle of its training: no parameter is what it began as."""
    more = {"bases": bases} if kind == "NOLA" else {}
    W = numbers(shape, np.dtype(dtype), seed=1)
    adapter = getattr(adapters, kind).init(W, rank, scale=scale, rng=5, **more)
    for i, parameter in enumerate(adapter.parameters.values()):
        parameter += numbers(parameter.shape, parameter.dtype, 0.5, seed=10 + i)
    return adapter


def inputs(adapter: Any, rows: tuple[int, ...] = (5,), dtype: Any = F64) -> tuple[Any, Any]:
    """Rows, and the gradient with respect to what comes of them."""
    out, *inner = adapter.weight.shape
    return numbers((*rows, *inner), np.dtype(dtype), seed=20), numbers((*rows, out), np.dtype(dtype), seed=21)


def flat(x: Any, weight: Any) -> Any:
    return exact(x).reshape(*x.shape[: x.ndim - weight.ndim + 1], -1)


def times_weight(x: Any, weight: Any) -> Any:
    """x W^T in extended precision."""
    return flat(x, weight) @ exact(weight).reshape(len(weight), -1).T


def parts_of(adapter: Any) -> tuple[str, Any, Any, Any]:
    """The form, A, B and mid from which the reference makes the weight."""
    values = adapter.parameters
    if isinstance(adapter, adapters.SVFit):
        return "add", adapter.Vh, adapter.U, values["sigma"]
    if isinstance(adapter, adapters.NOLA):
        return "add", adapter.factors[0], adapter.factors[1], 1.0
    return "hadamard" if isinstance(adapter, adapters.HiRA) else "add", values["A"], values["B"], 1.0


def expected_weight(adapter: Any) -> Any:
    form, A, B, mid = parts_of(adapter)
    return reference.lowrank.adapted_weight(
        form, adapter.weight, A, B, mid=mid, scale=adapter.scale, dtype=np.longdouble
    )


def bounds(adapter: Any, x: Any) -> tuple[Any, Any]:
    """What `forward` and `merge` may be off by: the bounds of apply and merge, with a rounding more for B diag(mid).

    Rounding x W^T to the type of x, and the result, is counted with the first; half types are counted where they are
    rounded to.
    """
    form, A, B, mid = parts_of(adapter)
    rank = len(A)
    u = 2.0**-53 if F64 in (x.dtype, A.dtype) else 2.0**-24
    stored = HALF_ULPS.get({"float16": "f16", "bfloat16": "bf16"}.get(x.dtype.name, ""), 0.0)
    size = abs(adapter.scale) * np.tensordot(abs(exact(B) * exact(mid)), abs(exact(A)), 1)
    if form == "hadamard":  # the product with W is rounded, too
        size *= abs(exact(adapter.weight))
    terms = depth(flat(x, adapter.weight).shape[-1]) + rank + 4
    y, base = times_weight(x, expected_weight(adapter)), times_weight(x, adapter.weight)
    forward = (u + stored) * (abs(y) + abs(base)) + terms * u * times_weight(abs(x), size)
    return forward, (u + stored) * abs(expected_weight(adapter)) + (rank + 2) * u * size


@each_kind
@each_shape
def test_finite_differences(kind: str, shape: tuple[int, ...]) -> None:
    """Central differences are exact but for rounding: every adapter is at most quadratic in each number."""
    adapter = made(kind, shape)
    x, dy = inputs(adapter)
    found = adapter.grad(x, dy)
    assert set(found.parameters) == set(adapter.parameters)
    for value, got in [(x, found.x), *((adapter.parameters[name], found.parameters[name]) for name in found[1])]:
        assert (got.shape, got.dtype) == (value.shape, value.dtype)
        numeric = np.zeros_like(value)
        for at in np.ndindex(value.shape):
            kept, ends = value[at], []
            for step in (1e-4, -1e-4):
                value[at] = kept + step
                ends.append(np.sum(adapter.forward(x) * dy))
            value[at] = kept
            numeric[at] = (ends[0] - ends[1]) / 2e-4
        size = np.abs(numeric).max()
        assert np.abs(got - numeric).max() <= 1e-6 * size
        assert np.abs(got[::-1] - numeric).max() > 1e-3 * size


@each_kind
@each_shape
@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_forward_is_the_merged_weight(kind: str, shape: tuple[int, ...], dtype: Any) -> None:
    """Both are compared with exact numbers, and with each other."""
    adapter = made(kind, shape, dtype)
    x, _ = inputs(adapter, (4, 3), dtype)
    base = times_weight(x, adapter.weight).astype(dtype)
    y, merged = adapter.forward(x, base=base), adapter.merge()
    assert (y.shape, y.dtype, merged.shape, merged.dtype) == ((4, 3, shape[0]), dtype, shape, dtype)
    of_forward, of_merge = bounds(adapter, x)
    assert (abs(exact(merged) - expected_weight(adapter)) <= of_merge).all()
    wanted = times_weight(x, expected_weight(adapter))
    assert (abs(exact(y) - wanted) <= of_forward).all()
    assert (abs(exact(y) - times_weight(x, merged)) <= of_forward + times_weight(abs(x), of_merge)).all()
    assert (abs(exact(base) - wanted) > of_forward).mean() > 0.9  # an adapter that did nothing would be seen
    # Without a base it is the change alone, and the base is added in the same rounding.
    alone = adapter.forward(x)
    assert (abs(exact(alone) - (wanted - times_weight(x, adapter.weight))) <= of_forward).all()


@each_kind
def test_merging_and_back(kind: str) -> None:
    adapter = made(kind, dtype=F32)
    before, merged = adapter.weight.copy(), adapter.merge()
    assert adapter.weight.tobytes() == before.tobytes()
    assert adapter.unmerge(merged, base=adapter.weight).tobytes() == before.tobytes()
    other = numbers((6, 7), F32, seed=30)
    into = adapter.merge(other)
    assert not np.array_equal(into, merged)
    back = adapter.unmerge(into, base=other)
    assert back.tobytes() == other.tobytes()
    out = other.copy()
    assert adapter.merge(out, out=out) is out
    assert out.tobytes() == into.tobytes()
    assert adapter.unmerge(out, base=other, out=out) is out
    assert out.tobytes() == other.tobytes()


@pytest.mark.parametrize("kind", ["LoRA", "PiSSA", "SoMA", "SVFit"])
def test_subtracting_what_was_added(kind: str) -> None:
    """Off by the roundings of both ways: of two weights, of two products of depth 3, and of B diag(mid)."""
    adapter = made(kind)
    A, B, scale = adapter.factors
    merged = adapter.merge()
    back = adapter.unmerge(merged)
    size = abs(scale) * abs(B) @ abs(A)
    tolerance = 2.0**-53 * (abs(merged) + abs(adapter.weight) + 2 * (3 + 2) * size)
    assert (abs(back - adapter.weight) <= tolerance).all()
    assert (abs(merged - adapter.weight) > tolerance).mean() > 0.9


def test_an_adapter_that_multiplies_has_no_factors() -> None:
    adapter = made("HiRA")
    with pytest.raises(AttributeError) as caught:
        adapter.factors  # noqa: B018
    wanted = "factors: the adapter must add a product of two thin factors, got HiRA, which does not"
    assert str(caught.value) == wanted
    assert not hasattr(adapter, "factors")


@pytest.mark.parametrize("kind", ["LoRA", "HiRA", "NOLA"])
@pytest.mark.parametrize("dtype", [F32, F64, *HALVES], ids=str)
def test_begins_without_a_change(kind: str, dtype: Any) -> None:
    W = numbers((40, 300), dtype, seed=1)
    adapter = getattr(adapters, kind).init(W, 8, scale=2.0)
    assert adapter.weight is W
    x, base = numbers((5, 300), dtype, seed=2), numbers((5, 40), dtype, seed=3)
    assert adapter.forward(x, base=base).tobytes() == base.tobytes()
    assert adapter.merge().tobytes() == W.tobytes()
    # It can learn: not all gradients are 0.
    assert any(gradient.any() for gradient in adapter.grad(x, base).parameters.values())
    assert adapter.count == (8 * (300 + 40) if kind != "NOLA" else 2 * 512)


@pytest.mark.parametrize("kind", ["LoRA", "HiRA", "NOLA"])
@pytest.mark.parametrize("dtype", [F32, F64, *HALVES], ids=str)
def test_what_a_begins_as(kind: str, dtype: Any) -> None:
    adapter = getattr(adapters, kind).init(numbers((40, 300), dtype, seed=1), 8, scale=2.0)
    A = adapter.factors[0] if kind == "NOLA" else adapter.parameters["A"]
    assert A.dtype == (F64 if dtype == F64 else F32)
    limit = 300**-0.5
    assert np.abs(A).max() <= limit * (1 + 2.0**-23)
    # The mean of 2400 uniform numbers is off by 6 deviations with a probability of 1e-9, their square's mean as well.
    assert abs(A.mean()) < 6 * limit / np.sqrt(3 * 2400)
    assert abs((A.astype(np.float64) ** 2).mean() - limit**2 / 3) < 6 * limit**2 * np.sqrt(4 / 45 / 2400)


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_random_matrices(dtype: Any) -> None:
    """They are those that sorgum.random gives, and sums and products of them are right to their bounds."""
    adapter = made("NOLA", (30, 5, 3, 3), dtype, rank=4, bases=512)
    u = UNITS[dtype]
    off = 4 * u if dtype == F32 else 0.0  # of each random number, rounded twice
    x, dy = inputs(adapter, (20,), dtype)
    A, B, scale = adapter.factors
    wide = sg.lowrank.apply_grad(flat(x, adapter.weight).astype(dtype), A.reshape(4, -1), B, dy=dy, scale=scale)
    found = adapter.grad(x, dy).parameters
    first = exact(adapters.LoRA.init(adapter.weight, 4, rng=sg.random.fold_in(adapter.key, 2)).parameters["A"])
    for i, (name, factor, start, gradient) in enumerate((("a", A, first, wide.A), ("b", B, 0.0, wide.B))):
        numbers_of_all = sg.random.uniform((512, factor.size), rng=sg.random.fold_in(5, i), dtype=F64, bits=32)
        bases = 2 * numbers_of_all.reshape(512, *factor.shape) - 1  # exact
        coefficients = adapter.parameters[name]
        expected = reference.lowrank.basis_sum(start, coefficients, bases)
        sizes = reference.lowrank.basis_sum(abs(start), abs(coefficients), abs(bases))
        assert (abs(factor - expected) <= (514 * u + off) * sizes).all()
        assert (abs(reference.lowrank.basis_sum(start, coefficients, bases[::-1]) - expected) > 1e-3).mean() > 0.9
        wanted = np.tensordot(bases, np.asarray(gradient, F64).reshape(factor.shape), factor.ndim) / np.sqrt(512)
        sizes = np.tensordot(abs(bases), np.abs(gradient).reshape(factor.shape), factor.ndim) / np.sqrt(512)
        assert (abs(found[name] - wanted) <= (516 * u + off) * sizes).all()
        assert (abs(found[name][::-1] - wanted) > (516 * u + off) * sizes).mean() > 0.9


def test_random_matrices_are_not_stored() -> None:
    """512 matrices of 8 x 4096 numbers would take 64 MB; what is allocated is two factors and what comes of them."""
    adapter = adapters.NOLA.init(np.ones((64, 4096), np.float32), 8)
    x, dy = np.ones((2, 4096), np.float32), np.ones((2, 64), np.float32)
    tracemalloc.start()
    try:
        adapter.parameters["b"] += 1.0
        adapter.forward(x)
        adapter.grad(x, dy)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 8 * 4096 * 4 < peak < 1 << 20


def test_the_factors_of_nola_follow_its_coefficients() -> None:
    adapter = made("NOLA", dtype=F32)
    x, dy = inputs(adapter, dtype=F32)
    before = adapter.forward(x)
    kept = adapter.parameters["a"].copy()
    adapter.parameters["a"][7] += 1.0
    after = adapter.forward(x)
    assert not np.array_equal(after, before)
    again = adapters.NOLA(adapter.weight, 3, *adapter.parameters.values(), scale=0.7, rng=adapter.key)
    assert again.forward(x).tobytes() == after.tobytes()
    assert again.grad(x, dy).parameters["b"].tobytes() == adapter.grad(x, dy).parameters["b"].tobytes()
    adapter.parameters["a"] = kept
    assert adapter.forward(x).tobytes() == before.tobytes()
    other = adapters.NOLA(adapter.weight, 3, *adapter.parameters.values(), scale=0.7, rng=6)
    assert not np.array_equal(other.forward(x), before)


@pytest.mark.parametrize("kind", ["PiSSA", "SoMA"])
@pytest.mark.parametrize("shape", [(90, 120), (120, 90), (100, 10, 3, 3)], ids=str)
@pytest.mark.parametrize("dtype", [F32, F64, *HALVES], ids=str)
def test_singular_values_are_taken_over(kind: str, shape: tuple[int, ...], dtype: Any) -> None:
    """W = weight + scale B A to one rounding of the weight and the bound of the product, whatever A and B are."""
    W, scale = numbers(shape, dtype, seed=1), 0.5
    adapter = getattr(adapters, kind).init(W, 4, scale=scale)
    A, B = (exact(adapter.parameters[name]) for name in "AB")
    assert adapter.weight.dtype == dtype
    assert adapter.count == 4 * (shape[0] + int(np.prod(shape[1:])))
    u = 2.0**-24 if dtype == F32 else 2.0**-53  # of halves: computed in float64
    stored = {2: 2.0**-8 if dtype.name == "bfloat16" else 2.0**-11}.get(dtype.itemsize, 0) + u
    residue = exact(W) - (exact(adapter.weight) + scale * np.tensordot(B, A, 1))
    bound = stored * abs(exact(adapter.weight)) + 5 * u * scale * np.tensordot(abs(B), abs(A), 1)
    bound += 2.0**-25 * (dtype == np.float16)  # half of its least subnormal number
    assert (abs(residue) <= bound).all()
    # What was taken is what the reference takes, up to the basis within equal values: compare what is left.
    which = "largest" if kind == "PiSSA" else "smallest"
    wide = np.asarray(W, np.float64).reshape(shape[0], -1)
    left, first, _ = reference.lowrank.singular_factors(wide, 4, scale=scale, which=which)
    assert np.linalg.norm(adapter.weight.astype(np.float64).reshape(left.shape) - left) <= (
        (0.02 if kind == "PiSSA" else 1e-5) + 2 * stored
    ) * np.linalg.norm(wide)
    np.testing.assert_allclose(np.sum(A * A), np.sum(first * first), rtol=0.02 if kind == "PiSSA" else 1e-3)
    assert np.linalg.norm(left) < 0.999 * np.linalg.norm(wide) or kind == "SoMA"


@pytest.mark.parametrize("dtype", [F32, F64, *HALVES], ids=str)
def test_svfit_begins_with_singular_values(dtype: Any) -> None:
    W = (numbers((50, 60), F64, seed=1) * np.logspace(0, -3, 60)).astype(dtype)
    adapter = adapters.SVFit.init(W, 5, scale=0.5)
    sigma, U, Vh = exact(adapter.parameters["sigma"]), exact(adapter.U), exact(adapter.Vh)
    u = 2.0**-24 if dtype == F32 else 2.0**-53
    stored = {2: 2.0**-8 if dtype.name == "bfloat16" else 2.0**-11}.get(dtype.itemsize, 0) + u
    residue = exact(W) - (exact(adapter.weight) + 0.5 * (U * sigma) @ Vh)
    # U S is rounded to the type of U before it is taken away.
    rounded = 7 * (2.0**-53 if dtype == F64 else 2.0**-24)
    bound = stored * abs(exact(adapter.weight)) + rounded * 0.5 * abs(U * sigma) @ abs(Vh)
    assert (abs(residue) <= bound + 2.0**-25 * (dtype == np.float16)).all()
    values = np.linalg.svd(np.asarray(W, np.float64), compute_uv=False)[:5]
    np.testing.assert_allclose(0.5 * sigma.astype(np.float64), values, rtol=1e-3)
    assert adapter.count == 5
    assert set(adapter.parameters) == {"sigma"}


@each_kind
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_half_types(kind: str, dtype: Any) -> None:
    """The weight and the rows may be of half types; parameters and their gradients are float32."""
    adapter = made(kind, dtype=dtype)
    x, dy = inputs(adapter, dtype=dtype)
    assert all(parameter.dtype == F32 for parameter in adapter.parameters.values())
    y, merged, grad = adapter.forward(x), adapter.merge(), adapter.grad(x, dy)
    assert y.dtype == merged.dtype == adapter.weight.dtype == grad.x.dtype == dtype
    assert all(array.dtype == F32 for array in grad.parameters.values())
    of_forward, of_merge = bounds(adapter, x)
    assert (abs(exact(merged) - expected_weight(adapter)) <= 1.01 * of_merge).all()
    change = times_weight(x, expected_weight(adapter)) - times_weight(x, adapter.weight)
    assert (abs(exact(y) - change) <= of_forward).all()
    wide = adapter.grad(x.astype(np.float64), dy.astype(np.float64))
    for name, array in grad.parameters.items():
        assert np.abs(array - wide.parameters[name]).max() <= 1e-5 * np.abs(array).max()


@each_kind
def test_bits(kind: str, isa: str) -> None:
    """Of everything behind `init`, whose singular values are NumPy's."""
    adapter = made(kind, (40, 70), F32, rank=17)
    x, dy = inputs(adapter, (300,), F32)
    before = sg.isa()

    def results() -> list[bytes]:
        grad = adapter.grad(x, dy)
        arrays = [adapter.forward(x), adapter.merge(), grad.x, *grad.parameters.values()]
        return [array.tobytes() for array in arrays]

    expected = results()
    alone = adapter.forward(x[7:8])
    assert alone.tobytes() == adapter.forward(x)[7:8].tobytes()
    sg.set_isa("scalar")
    try:
        assert results() == expected
    finally:
        sg.set_isa(before)
    assert before == isa


@each_kind
def test_layouts(kind: str) -> None:
    """Weights and rows of any layout, read-only ones too, give the bits of contiguous ones; nothing is written."""
    adapter = made(kind, (12, 20), F32)
    x, dy = inputs(adapter, (8,), F32)
    expected, wanted = adapter.forward(x), adapter.grad(x, dy)
    spread = np.zeros((16, 60), np.float32)[::2, ::3]
    spread[...] = x
    for other in (np.asfortranarray(x), spread, x[::-1][::-1]):
        other = other.view()
        other.flags.writeable = False
        assert adapter.forward(other).tobytes() == expected.tobytes()
        got = adapter.grad(other, np.asfortranarray(dy))
        assert got.x.tobytes() == wanted.x.tobytes()
        for name, array in got.parameters.items():
            assert array.tobytes() == wanted.parameters[name].tobytes()
    W = numbers((12, 20), F32, seed=1)
    fan_in_fan_out = np.ascontiguousarray(W.T)  # as GPT-2 has it
    fan_in_fan_out.flags.writeable = False
    first, second = (getattr(adapters, kind).init(weight, 3, rng=5) for weight in (W, fan_in_fan_out.T))
    assert first.merge().tobytes() == second.merge().tobytes()
    out = np.ascontiguousarray(W.T)
    assert second.merge(out=out.T).base is out
    assert out.T.tobytes() == first.merge().tobytes()


@each_kind
def test_parameters_are_trained_in_place(kind: str) -> None:
    adapter = made(kind)
    x, dy = inputs(adapter)
    before = adapter.forward(x)
    kept = dict(adapter.parameters)
    for name, gradient in adapter.grad(x, dy).parameters.items():
        adapter.parameters[name] -= 0.01 * gradient
    assert all(adapter.parameters[name] is array for name, array in kept.items())
    after = adapter.forward(x)
    assert np.sum((after - before) * dy) < 0
    name = next(iter(kept))
    adapter.parameters[name] = np.zeros_like(kept[name])  # copied, as from a file
    assert not kept[name].any()
    with pytest.raises(ValueError, match=rf"^parameters: {name} must have shape \(.*\), got \(1, 1, 1\)$"):
        adapter.parameters[name] = np.zeros((1, 1, 1))
    with pytest.raises(KeyError):
        adapter.parameters["nothing"] = kept[name]
    assert adapter.count == sum(array.size for array in kept.values())


@each_kind
def test_pickled(kind: str) -> None:
    adapter = made(kind, dtype=F32)
    again = pickle.loads(pickle.dumps(adapter))
    x, _ = inputs(adapter, dtype=F32)
    assert again.forward(x).tobytes() == adapter.forward(x).tobytes()
    assert again.merge().tobytes() == adapter.merge().tobytes()
    assert repr(again) == repr(adapter) == f"{kind}(shape=(6, 7), count={adapter.count}, scale=0.7)"
    assert repr(dict(adapter.parameters)) == repr(adapter.parameters)


@each_kind
def test_keys(kind: str) -> None:
    """The same key gives the same adapter, a Generator draws one, and W is never written."""
    W = numbers((30, 80), F32, seed=1)
    before = W.tobytes()
    init = getattr(adapters, kind).init
    first, second = (init(W, 4, rng=rng).merge().tobytes() for rng in (3, sg.random.Key(3)))
    assert first == second
    assert W.tobytes() == before
    a, b = (init(W, 4, rng=np.random.default_rng(2)) for _ in range(2))
    for name in a.parameters:
        assert a.parameters[name].tobytes() == b.parameters[name].tobytes()
    if kind == "LoRA":
        assert init(W, 4, rng=3).parameters["A"].tobytes() != init(W, 4, rng=4).parameters["A"].tobytes()


@each_kind
def test_arrays_of_other_libraries(kind: str) -> None:
    W = numbers((6, 7), F32, seed=1)
    init = getattr(adapters, kind).init
    adapter, foreign = init(W, 3), init(dlpack.Exported(W), 3)
    x, dy = inputs(adapter, dtype=F32)
    assert foreign.merge().tobytes() == adapter.merge().tobytes()
    assert foreign.forward(dlpack.Exported(x)).tobytes() == adapter.forward(x).tobytes()
    for name, gradient in foreign.grad(dlpack.Exported(x), dlpack.Exported(dy)).parameters.items():
        assert gradient.tobytes() == adapter.grad(x, dy).parameters[name].tobytes()


@each_kind
def test_nan(kind: str) -> None:
    """NaN in a row stays in it; no parameter that is none becomes part of a weight."""
    adapter = made(kind, dtype=F32)
    x, _ = inputs(adapter, dtype=F32)
    expected = adapter.forward(x)
    x[2, 3] = np.nan
    y = adapter.forward(x)
    assert np.isnan(y[2]).all()
    assert np.delete(y, 2, 0).tobytes() == np.delete(expected, 2, 0).tobytes()
    next(iter(adapter.parameters.values()))[0] = np.nan
    out = adapter.weight.copy()
    with pytest.raises(ValueError, match=rf"^{kind}.merge: [AB] must be finite, got NaN$"):
        adapter.merge(out=out)
    assert out.tobytes() == adapter.weight.tobytes()


@each_kind
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, "rank must be in [1, 4], the smaller dimension, got 0"),
        ({"rank": 5}, "rank must be in [1, 4], the smaller dimension, got 5"),
        ({"rank": -1}, "rank must be in [1, 4], the smaller dimension, got -1"),
        ({"W": np.zeros(4)}, "W must have two axes or more, none empty, got shape (4,)"),
        ({"W": np.zeros((0, 4))}, "W must have two axes or more, none empty, got shape (0, 4)"),
        ({"W": np.zeros((4, 3, 0))}, "W must have two axes or more, none empty, got shape (4, 3, 0)"),
        ({"scale": np.inf}, "scale must be finite, got inf"),
        ({"scale": np.nan}, "scale must be finite, got nan"),
        ({"rng": -1}, "rng must be in [0, 2**64), got -1"),
    ],
)
def test_refused_beginnings(kind: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        getattr(adapters, kind).init(**{"W": np.ones((4, 7)), "rank": 2, **arguments})
    assert str(caught.value) == f"{kind}.init: {message}"


@each_kind
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 1.5}, "rank must be an int, got float"),
        ({"rank": True}, "rank must be an int, got bool"),
        ({"W": np.ones((4, 7), complex)}, "W must be float16, bfloat16, float32, float64, bool or integer, got dtype "
         "dtype('complex128')"),
        ({"scale": "1"}, "scale must be a real number, got str"),
        ({"rng": None}, "rng must be a Key, an int seed or a numpy Generator, got NoneType"),
    ],
)  # fmt: skip
def test_refused_types(kind: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        getattr(adapters, kind).init(**{"W": np.ones((4, 7)), "rank": 2, **arguments})
    assert str(caught.value) == f"{kind}.init: {message}"


@pytest.mark.parametrize("kind", ["PiSSA", "SoMA", "SVFit"])
def test_refused_singular_values(kind: str) -> None:
    init = getattr(adapters, kind).init
    for value in (np.nan, np.inf):
        W = np.ones((4, 7))
        W[1, 2] = value
        with pytest.raises(np.linalg.LinAlgError) as caught:
            init(W, 2)
        assert str(caught.value) == f"{kind}.init: W must be finite, got NaN or an infinity"
    with pytest.raises(ValueError, match=rf"^{kind}.init: scale must be positive in float64, got -1.0$"):
        init(np.ones((4, 7)), 2, scale=-1.0)
    for scale in (1e-50, 1e300):
        with pytest.raises(
            ValueError, match=rf"^{kind}.init: scale must be positive in float32, got {re.escape(str(scale))}$"
        ):
            init(np.ones((4, 7), np.float32), 2, scale=scale)


@each_kind
def test_refused_rows(kind: str) -> None:
    adapter = made(kind)
    for call, message in (
        (lambda: adapter.forward(np.ones((2, 6))), "forward: x must have shape (..., 7) with weight of shape (6, 7), "
         "got (2, 6)"),
        (lambda: adapter.forward(1.0), "forward: x must have shape (..., 7) with weight of shape (6, 7), got ()"),
        (lambda: adapter.forward(np.ones((2, 7)), base=np.ones((2, 7))), "forward: base must have shape (2, 6), got "
         "(2, 7)"),
        (lambda: adapter.forward(np.ones((2, 7)), out=np.ones((2, 7))), "forward: out must have shape (2, 6), got "
         "(2, 7)"),
        (lambda: adapter.merge(np.ones((7, 7)).T[:5]), "merge: "),
    ):  # fmt: skip
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            call()
        assert str(caught.value).startswith(f"{kind}.{message}")
    with pytest.raises(ValueError, match=rf"^{kind}.grad: dy must have shape \(..., out\) .*got \(2, 7\)$"):
        adapter.grad(np.ones((2, 7)), np.ones((2, 7)))
    with pytest.raises(TypeError, match=rf"^{kind}.forward: base must have the dtype of x, float64, got float32$"):
        adapter.forward(np.ones((2, 7)), base=np.ones((2, 6), np.float32))


def test_refused_arrays() -> None:
    W = np.ones((4, 7))
    for call, message in (
        (lambda: adapters.LoRA(W, np.ones((2, 6)), np.ones((4, 2))), "LoRA: A must have shape (rank, 7), got (2, 6)"),
        (lambda: adapters.LoRA(W, np.ones((2, 7)), np.ones((4, 3))), "LoRA: B must have shape (4, 2), got (4, 3)"),
        (lambda: adapters.SVFit(W, [[1.0]], np.ones((4, 1)), np.ones((1, 7))),
         "SVFit: sigma must have shape (rank,), got (1, 1)"),
        (lambda: adapters.SVFit(W, [1.0], np.ones((4, 2)), np.ones((1, 7))), "SVFit: U must have shape (4, 1), got "
         "(4, 2)"),
        (lambda: adapters.SVFit(W, [1.0], np.ones((4, 1)), np.ones((2, 7))), "SVFit: Vh must have shape (1, 7), got "
         "(2, 7)"),
        (lambda: adapters.NOLA(W, 2, [[1.0]], [1.0]), "NOLA: a must have shape (bases,), got (1, 1)"),
        (lambda: adapters.NOLA(W, 5, [1.0], [1.0]), "NOLA: rank must be in [1, 4], the smaller dimension, got 5"),
        (lambda: adapters.NOLA.init(W, 2, bases=0), "NOLA.init: bases must be in [1, 2**31), got 0"),
        (lambda: adapters.NOLA.init(W, 2, bases=2**31), "NOLA.init: bases must be in [1, 2**31), got 2147483648"),
        (lambda: made("HiRA").unmerge(W), "HiRA.unmerge: base must be given with form 'hadamard', which nothing else "
         "undoes, got None"),
        (lambda: adapters.PiSSA(W[0], np.ones((2, 7)), np.ones((4, 2))), "PiSSA: weight must have two axes or more, "
         "none empty, got shape (7,)"),
    ):  # fmt: skip
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            call()
        assert str(caught.value) == message


def test_no_rank_at_all() -> None:
    """An adapter of given factors may have none: it does nothing."""
    W = numbers((4, 7), F32, seed=1)
    adapter = adapters.LoRA(W, np.zeros((0, 7), np.float32), np.zeros((4, 0), np.float32))
    x = numbers((5, 7), F32, seed=2)
    assert not adapter.forward(x).any()
    assert adapter.merge().tobytes() == W.tobytes()
    grad = adapter.grad(x, np.ones((5, 4), np.float32))
    assert not grad.x.any()
    assert grad.parameters["A"].shape == (0, 7)
    assert adapter.count == 0


def test_what_is_given_is_copied_but_for_the_weight() -> None:
    W, A, B = numbers((4, 7), F32, seed=1), numbers((2, 7), F32, seed=2), numbers((4, 2), F32, seed=3)
    adapter = adapters.LoRA(W, A, B)
    assert np.shares_memory(adapter.weight, W)
    assert not np.shares_memory(adapter.parameters["A"], A)
    assert not np.shares_memory(adapter.parameters["B"], B)


def test_handed_on() -> None:
    """What others take: a set for many adapters, and for those who have W alone."""
    W = numbers((6, 7), F64, seed=1)
    several = [made(kind) for kind in ("LoRA", "PiSSA", "SVFit")]
    x = numbers((3, 7), F64, seed=2)
    served = sg.lowrank.apply_adapters(x, sg.lowrank.AdapterSet([one.factors for one in several]), [0, 1, 2])
    for row, adapter in enumerate(several):
        np.testing.assert_allclose(served[row], adapter.forward(x[row]), rtol=1e-13)
    adapter = adapters.PiSSA.init(W, 2, scale=0.5)
    A0, B0, scale = (part.copy() if isinstance(part, np.ndarray) else part for part in adapter.factors)
    adapter.parameters["A"] += 1.0
    A, B, _ = adapter.factors
    both = sg.lowrank.combine([(A, B, scale), (A0, B0, -scale)], [1.0, 1.0])
    assert both.A.shape == (4, 7)
    np.testing.assert_allclose(sg.lowrank.merge(W, both.A, both.B, scale=both.scale), adapter.merge(), atol=1e-14)

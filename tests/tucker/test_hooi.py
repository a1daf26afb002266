"""hooi: errors that never rise, missing elements, factors that are fixed, what to begin with, refusals."""

import itertools
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from bounds_tucker import ORTHONORMAL, off_orthonormal
from threadpoolctl import threadpool_limits

import sorgum as sg
from sorgum import reference
from sorgum._data.inputs import numbers
from sorgum.tucker._hooi import improved

hooi, sthosvd, TuckerTensor = sg.tucker.hooi, sg.tucker.sthosvd, sg.tucker.TuckerTensor
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
RANK = (6, 5, 4)


@pytest.fixture(autouse=True, scope="module")
def one_thread_of_blas() -> Iterator[None]:
    """Small decompositions wait for each other's threads on a busy machine."""
    with threadpool_limits(1, user_api="blas"):
        yield


def planted(noise: float = 0.1, shape: tuple[int, ...] = (60, 50, 40), rank: tuple[int, ...] = RANK) -> np.ndarray:
    """A tensor of these ranks and a part of noise."""
    rng = np.random.default_rng(5)
    factors = [np.linalg.qr(rng.standard_normal(pair))[0] for pair in zip(shape, rank, strict=True)]
    x = reference.tucker.multi_mode_dot(rng.standard_normal(rank), factors)
    more = rng.standard_normal(shape)
    return x + noise * more * np.linalg.norm(x) / np.linalg.norm(more)


def true_error(x: Any, tensor: Any, where: Any = True) -> float:
    wide = np.asarray(x).astype(np.float64)
    core, factors = tensor
    formed = TuckerTensor(core.astype(np.float64), factors, tensor.modes).to_tensor()
    kept = np.broadcast_to(where, wide.shape)
    return float(np.linalg.norm((wide - formed)[kept]) / np.linalg.norm(wide[kept]))


def check(x: Any, tensor: Any, where: Any = True) -> float:
    truth = true_error(x, tensor, where)
    assert abs(tensor.error - truth) <= 0.1 * truth + 4 * np.finfo(tensor.dtype).eps
    return truth


@each_dtype
@pytest.mark.parametrize("init", ["sthosvd", "hosvd"])
def test_known_answer(dtype: Any, init: Any) -> None:
    """60 x 50 x 40, ranks 6, 5, 4, a tenth of noise: sqrt(.01 / 1.01 (1 - parameters / elements)); never worse."""
    x = planted().astype(dtype)
    tensor = hooi(x, RANK, init=init)
    truth = check(x, tensor)
    assert truth <= true_error(x, sthosvd(x, RANK)) * (1 + 1e-6)
    assert truth == pytest.approx(math.sqrt(0.01 / 1.01 * (1 - (120 + 54 * 6 + 45 * 5 + 36 * 4) / x.size)), rel=1e-3)
    assert tensor.rank == RANK
    for factor in tensor.factors:
        assert off_orthonormal(factor) <= ORTHONORMAL["f32" if dtype == np.float32 else "f64"]


def test_errors_never_rise_and_reach_the_reference() -> None:
    """From random factors of a hard tensor; the same fixed point as by plain alternation."""
    x = np.random.default_rng(2).standard_normal((12, 10, 9, 8))
    rng = np.random.default_rng(3)
    begin = [rng.standard_normal((n, 3)) for n in x.shape]
    ranks = dict.fromkeys(range(4), 3)
    start = TuckerTensor(np.zeros((3,) * 4), begin)
    tensor, errors = improved("hooi", x, ranks, start, (), None, 0.0, 12, lambda error: None)
    assert len(errors) == 12
    assert all(later <= before + 1e-14 for before, later in itertools.pairwise(errors))
    assert errors[-1] < errors[0] - 1e-3
    core, factors = reference.tucker.hooi(x, (3, 3, 3, 3), begin, 12)
    expected = np.linalg.norm(x - reference.tucker.multi_mode_dot(core, factors)) / np.linalg.norm(x)
    assert tensor.error == pytest.approx(expected, rel=1e-9)
    assert check(x, tensor) == pytest.approx(expected, rel=1e-9)


def test_ends() -> None:
    x = planted(shape=(20, 18, 16))
    seen: list[list[float]] = []
    for tol in (0.0, 1e-1, 1e-12):
        seen.append(improved("hooi", x, dict(enumerate(RANK)), "hosvd", (), None, tol, 7, lambda error: None)[1])
    assert [len(errors) for errors in seen[:2]] == [7, 2]
    assert 2 <= len(seen[2]) <= 7
    assert hooi(x, RANK, maxiter=0).error == pytest.approx(sthosvd(x, RANK).error, rel=1e-12)


@each_dtype
def test_small_errors(dtype: Any) -> None:
    i, j, k = np.ogrid[1:31, 1:41, 1:36]
    for x, rank in ((1 / (i + j + k), 6), (np.sin(i + j + k), 2), (1 / (i + j + k), 9)):
        assert check(x.astype(dtype), hooi(x.astype(dtype), rank, tol=0, maxiter=3)) < 1e-4


def test_missing_elements() -> None:
    """A third is missing, with NaN in its place; what is found there is as near as what is present."""
    x = planted(1e-3, (30, 25, 20), (3, 2, 3))
    present = np.random.default_rng(1).random(x.shape) < 0.67
    holes = np.where(present, x, np.nan)
    tensor = hooi(holes, (3, 2, 3), where=present, tol=1e-9, maxiter=500)
    assert check(x, tensor, present) < 1.1e-3
    assert true_error(x, tensor, ~present) < 2e-3
    errors = improved("hooi", holes, {0: 3, 1: 2, 2: 3}, "sthosvd", (), present, 0.0, 40, lambda error: None)[1]
    assert all(later <= before * (1 + 1e-12) for before, later in itertools.pairwise(errors))
    for absent in (np.inf, 1e300, -7.0):
        again = hooi(np.where(present, x, absent), (3, 2, 3), where=present, tol=1e-9, maxiter=500)
        assert again.core.tobytes() == tensor.core.tobytes()
    single = hooi(holes.astype(np.float32), (3, 2, 3), where=present, tol=1e-7, maxiter=500)
    assert check(x, single, present) < 1.1e-3
    for exponent in (-800, 600):
        scaled = hooi(np.ldexp(holes, exponent), (3, 2, 3), where=present, tol=1e-9, maxiter=500, init=TuckerTensor(
            np.ldexp(tensor.core, exponent), tensor.factors))  # fmt: skip
        assert scaled.error == pytest.approx(tensor.error, rel=1e-3)
    row = np.arange(20) != 3  # broadcast: a slice that is missing altogether
    assert np.isfinite(hooi(np.where(row, x, np.nan), (3, 2, 3), where=row).to_tensor()).all()


def test_a_mask_of_ones_is_none() -> None:
    x = numbers((7, 8, 9), np.dtype(np.float64))
    one, other = hooi(x, 3), hooi(x, 3, where=np.ones((7, 1, 1), bool))
    assert one.core.tobytes() == other.core.tobytes()


def test_fixed_factors() -> None:
    """The best core for factors that are not orthonormal; all other factors are free."""
    x, rng = planted(shape=(20, 18, 16)), np.random.default_rng(4)
    begin = [rng.standard_normal((n, r)) for n, r in zip(x.shape, RANK, strict=True)]
    tensor = hooi(x, RANK, init=begin, fixed=[0, 2], tol=1e-10)
    assert tensor.factors[0].tobytes() == begin[0].tobytes()
    assert tensor.factors[2].tobytes() == begin[2].tobytes()
    truth = check(x, tensor)
    q = [np.linalg.qr(factor)[0] for factor in begin]
    seen = reference.tucker.multi_mode_dot(x, [q[0], q[2]], [0, 2], transpose=True)
    values = np.linalg.svd(np.moveaxis(seen, 1, 0).reshape(18, -1), compute_uv=False)[:5]
    assert truth == pytest.approx(math.sqrt(1 - (values**2).sum() / (x**2).sum()), rel=1e-9)
    all_fixed = hooi(x, RANK, init=begin, fixed=(0, 1, 2))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(all_fixed.factors, begin, strict=True))
    design = np.kron(np.kron(begin[0], begin[1]), begin[2])
    best = np.linalg.lstsq(design, x.ravel(), rcond=None)[0]
    np.testing.assert_allclose(all_fixed.core.ravel(), best, rtol=1e-8, atol=1e-10 * abs(best).max())
    check(x, all_fixed)


def test_what_to_begin_with() -> None:
    x = planted(shape=(20, 18, 16))
    start = sthosvd(x, RANK)
    core, factors = start
    expected = hooi(x, RANK, init=start)
    for init in ((core, factors), factors, tuple(factors), (core, tuple(factors)), [f.tolist() for f in factors]):
        assert hooi(x, RANK, init=init).core.tobytes() == expected.core.tobytes()
    some = hooi(x, (4, 6), modes=(2, 0))
    assert (some.modes, some.rank) == ((0, 2), (6, 18, 4))
    check(x, some)
    assert hooi(x, (4, 6), modes=(2, 0), init=some, maxiter=1).error == pytest.approx(some.error, rel=1e-6)
    assert hooi(x, (6, None, 4)).core.tobytes() == some.core.tobytes()


@each_dtype
def test_odd_tensors(dtype: Any) -> None:
    zero = hooi(np.zeros((4, 5, 3), dtype), 2)
    assert (zero.error, zero.to_tensor().any()) == (0.0, False)
    for shape in ((5,), (1, 1), (2,) * 7):
        x = numbers(shape, np.dtype(dtype))
        check(x, hooi(x, 1))
    x = planted(shape=(20, 18, 16)).astype(dtype)
    for same in (np.asfortranarray(x), x[::-1].copy()[::-1], x.tolist() if dtype == np.float64 else x):
        assert hooi(same, RANK).core.tobytes() == hooi(x, RANK).core.tobytes()
    for exponent in (-800, 700) if dtype == np.float64 else (-100, 100):
        assert hooi(np.ldexp(x, exponent), RANK).error == pytest.approx(hooi(x, RANK).error, rel=1e-5)
    for bad in (np.nan, np.inf):
        x[3, 2, 1] = bad
        with pytest.raises(np.linalg.LinAlgError, match=r"^hooi: x must be finite, got NaN or an infinity$"):
            hooi(x, RANK)


def test_threads_and_instruction_sets(isa: str, threads: Callable[[int], None]) -> None:
    """The same bits, since BLAS has one thread here."""
    x = numbers((24, 17, 20), np.dtype(np.float64))
    threads(2)
    expected = hooi(x, 3)
    assert sg.isa() == isa
    threads(1)
    sg.set_isa("scalar")
    assert hooi(x, 3).core.tobytes() == expected.core.tobytes()
    sg.set_isa(isa)


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    hooi(numbers((5, 4, 3), np.dtype(np.float64)), 2, progress=True)
    assert "hooi" in capsys.readouterr().err


X = np.ones((10, 4, 3), np.float32)
FACTORS = [np.ones((10, 2)), np.ones((4, 2)), np.ones((3, 2))]


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"rank": 4}, ValueError, "rank must be at most 3 in mode 2, its dimension, got 4"),
        ({"rank": (10, 2, 2)}, ValueError, "rank must be at most 4 in mode 0, the product of the other ranks, got 10"),
        ({"rank": None}, TypeError, "rank must be an int or a sequence of ints and None, got None"),
        ({"init": "random"}, ValueError, "init must be 'sthosvd', 'hosvd' or give factors, got 'random'"),
        ({"init": 3}, TypeError, "init must be a sequence, got 3"),
        ({"init": FACTORS[:2]}, ValueError, "init must have factors of the modes [0, 1, 2], got 2"),
        ({"init": FACTORS[::-1]}, ValueError, "init must have a factor of shape (10, 2) in mode 0, got (3, 2)"),
        ({"init": (np.ones((2, 2)), FACTORS)}, ValueError, "init must have a core of shape (2, 2, 2), got (2, 2)"),
        ({"init": [FACTORS[0] * np.nan, *FACTORS[1:]]}, np.linalg.LinAlgError, "init must be finite, got NaN or an "
         "infinity"),
        ({"init": FACTORS, "fixed": (1,)}, np.linalg.LinAlgError, "init must have full column rank in mode 1, which is "
         "fixed, got less"),
        ({"fixed": (1,)}, ValueError, "init must give the factors that are fixed, got 'sthosvd'"),
        ({"fixed": (1,), "rank": (2, None, 2)}, ValueError, "fixed must be among the modes that are decomposed, got 1"),
        ({"fixed": (3,)}, ValueError, "fixed must be in [-3, 3), got 3"),
        ({"where": np.zeros(3, bool)}, ValueError, "where must have a True element, got none"),
        ({"where": np.ones(4, bool)}, ValueError, "where must broadcast to (10, 4, 3), got shape (4,)"),
        ({"where": np.ones(3)}, TypeError, "where must be boolean, got dtype dtype('float64')"),
        ({"tol": -1.0}, ValueError, "tol must not be negative, got -1.0"),
        ({"tol": math.nan}, ValueError, "tol must not be negative, got nan"),
        ({"maxiter": -1}, ValueError, "maxiter must not be negative, got -1"),
        ({"maxiter": 1.0}, TypeError, "maxiter must be an int, got float"),
        ({"progress": 1}, TypeError, "progress must be a bool, got int"),
    ],
)  # fmt: skip
def test_refusals(arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^hooi: {re.escape(message)}$"):
        hooi(**{"x": X, "rank": 2, **arguments})

"""truncated_svd: known spectra, the error it reports, ends of the range, deficient and odd matrices, refusals."""

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from bounds_lowrank import svd_error
from threadpoolctl import threadpool_limits

import sorgum as sg
from sorgum import reference
from sorgum._data import load
from sorgum.interop import dlpack

METHODS = ("auto", "krylov", "randomized", "gram", "exact")
UNITS = {np.float32: 2.0**-24, np.float64: 2.0**-53}
BOUNDS = {UNITS[t]: load("bounds")[f"lowrank.truncated_svd.f{np.dtype(t).itemsize * 8}"]["bound"] for t in UNITS}
each_dtype = pytest.mark.parametrize("dtype", UNITS, ids=lambda dtype: dtype.__name__)
each_method = pytest.mark.parametrize("method", METHODS)


@pytest.fixture(autouse=True, scope="module")
def one_thread_of_blas() -> Iterator[None]:
    """Small decompositions wait for each other's threads on a busy machine."""
    with threadpool_limits(1, user_api="blas"):
        yield


def with_spectrum(m: int, n: int, s: Any, seed: int = 0) -> np.ndarray:
    """A matrix of these singular values, in float64."""
    rng = np.random.default_rng(seed)
    u, _ = np.linalg.qr(rng.standard_normal((m, len(s))))
    v, _ = np.linalg.qr(rng.standard_normal((n, len(s))))
    return (u * s) @ v.T


def hilbert(m: int, n: int) -> np.ndarray:
    return 1 / (np.arange(m)[:, None] + np.arange(n) + 1.0)


def true_error(a: Any, found: Any) -> float:
    u, s, vh = (np.asarray(part, np.float64) for part in found)
    wide = np.asarray(a, np.float64)
    return float(np.linalg.norm(wide - (u * s) @ vh) / np.linalg.norm(wide))


def check(a: np.ndarray, found: Any, k: int, dtype: Any = None) -> None:
    """Shapes, orthonormality to the bound of the docstring, order, signs, and an honest error."""
    u, s, vh = found
    dtype = a.dtype if dtype is None else dtype
    unit = UNITS[np.dtype(dtype).type]
    assert (u.shape, s.shape, vh.shape) == ((a.shape[0], k), (k,), (k, a.shape[1]))
    assert u.dtype == s.dtype == vh.dtype == dtype
    assert svd_error(found) <= BOUNDS[unit]
    assert (np.diff(s) <= 0).all()
    assert (s >= 0).all()
    if u.size:
        at = np.argmax(np.abs(u), axis=0)
        assert (u[at, np.arange(k)] >= 0).all()
    if np.any(a):
        # Some units of rounding: those of an element of a, of u s and of vh, and of sums of k products.
        truth = true_error(a, found)
        assert abs(found.error - truth) <= 0.1 * truth + (4 + k) * 2 * unit
    else:
        assert found.error == 0


@each_dtype
@each_method
@pytest.mark.parametrize("value", [1.0, 1 / 3, np.pi])
def test_equal_numbers(dtype: Any, method: Any, value: float) -> None:
    """All roundings of a sum go one way: vectors are orthonormal to the bound, which random numbers do not reach."""
    for m, n in ((64, 64), (100, 3000), (3000, 80)):
        a = np.full((m, n), value, dtype)
        for k in (1, 3):
            found = sg.lowrank.truncated_svd(a, k, method=method)
            assert svd_error(found) <= BOUNDS[UNITS[dtype]]
            assert svd_error(found._replace(u=found.u * np.asarray(1.001, dtype))) > BOUNDS[UNITS[dtype]]


@each_dtype
@each_method
def test_planted_spectrum(dtype: Any, method: Any) -> None:
    """Values that fall by tenths are found to rounding; what is wrong is further off than the tolerance."""
    planted = 10.0 ** -np.arange(6)
    for m, n in ((300, 200), (200, 300), (250, 250), (90, 1000)):
        a = with_spectrum(m, n, planted, seed=m).astype(dtype)
        found = sg.lowrank.truncated_svd(a, 4, method=method)
        check(a, found, 4)
        # a is rounded, and so are products: u times the norm of a for each of two factors, and half as much to spare.
        tolerance = 10 * UNITS[dtype] * np.linalg.norm(planted) * (1e3 if method == "gram" else 1)
        assert np.abs(found.s - planted[:4]).max() <= tolerance
        for wrong in (np.zeros(4), planted[:4] * (1 + 1e-3), planted[:4][::-1]):
            assert np.abs(wrong - planted[:4]).max() > tolerance
        expected = reference.lowrank.truncated_svd(a, 4)
        cosine = np.abs(np.sum(found.u.astype(np.float64) * expected[0], axis=0))
        assert (1 - cosine[:2] < 1e3 * UNITS[dtype]).all()
        assert (np.sign(np.sum(found.u[:, :2] * expected[0][:, :2], axis=0)) > 0).all()


@each_dtype
def test_flat_spectra_against_the_exact_values(dtype: Any) -> None:
    """min sigma_i / sigma_i*, on spectra that are hard: a quarter of the dimension would be needed to be sure."""
    rng = np.random.default_rng(3)
    flat, harmonic = 1 - np.arange(400) / 800, 1 / np.arange(1.0, 401)
    matrices = (
        (rng.standard_normal((600, 400)), 0.97),
        (with_spectrum(600, 400, flat), 0.97),
        (with_spectrum(400, 600, harmonic), 0.9999),
    )
    for wide, least in matrices:
        a = wide.astype(dtype)
        exact = np.linalg.svd(wide, compute_uv=False)
        found = sg.lowrank.truncated_svd(a, 16)
        check(a, found, 16)
        assert least <= (found.s / exact[:16]).min() <= (found.s / exact[:16]).max() <= 1 + 20 * UNITS[dtype]
        assert (sg.lowrank.truncated_svd(a, 16, method="krylov", n_iter=0).s / exact[:16]).min() < least
        more = sg.lowrank.truncated_svd(a, 16, method="krylov", n_iter=8)
        assert (more.s / exact[:16]).min() > 0.998


def test_large_ranks() -> None:
    """From a tenth of the dimension on three blocks are enough; where they would hold everything, LAPACK is taken."""
    a = np.random.default_rng(8).standard_normal((500, 400))
    exact = np.linalg.svd(a, compute_uv=False)
    for rank, least in ((40, 0.95), (100, 0.95), (200, 1 - 1e-12), (400, 1 - 1e-12)):
        found = sg.lowrank.truncated_svd(a, rank)
        check(a, found, rank)
        assert least <= (found.s / exact[:rank]).min() <= 1 + 1e-12
    three = sg.lowrank.truncated_svd(a, 40, method="krylov", n_iter=2)
    assert three.s.tobytes() == sg.lowrank.truncated_svd(a, 40).s.tobytes()
    assert (sg.lowrank.truncated_svd(a, 40, method="krylov", n_iter=1).s / exact[:40]).min() < 0.95


@pytest.mark.parametrize("scale", [1e-44, 1e-40, 1e-38, 1e-30, 1.0, 1e15, 1e30, 3e33])
@pytest.mark.parametrize("method", ["krylov", "randomized", "gram", "exact"])
def test_no_power_overflows(scale: float, method: Any) -> None:
    """scikit-learn#23262, #11624: float32, 1e3 N(0, 1), 400 x 300, 6 iterations, and the same at other scales."""
    rng = np.random.default_rng(0)
    a = ((1e3 * rng.standard_normal((400, 300))) * scale).astype(np.float32)
    if scale < 1e-40:
        a[:3] = np.float32(2.0**-149)  # subnormal all over
    exact = np.linalg.svd(a.astype(np.float64), compute_uv=False)
    found = sg.lowrank.truncated_svd(a, 40, method=method, n_iter=6)
    assert abs(float(found.s[0]) / exact[0] - 1) <= 1e-3
    tiny = 2.0**-149 / exact[0]  # s is rounded to what may be subnormal
    assert np.abs(found.s.astype(np.float64) / exact[:40] - 1).max() <= 2e-2 + 2 * tiny
    assert svd_error(found) <= BOUNDS[2.0**-24]


def test_scales_of_float64() -> None:
    rng = np.random.default_rng(1)
    plain = rng.standard_normal((300, 150))
    expected = sg.lowrank.truncated_svd(plain, 5, method="krylov")
    for exponent in (-1060, -600, -300, 300, 600, 1010):
        scaled = np.ldexp(plain, exponent)
        found = sg.lowrank.truncated_svd(scaled, 5, method="krylov")
        np.testing.assert_allclose(np.ldexp(found.s, -exponent), expected.s, rtol=1e-9 if exponent > -1000 else 1e-3)
        assert abs(found.error / expected.error - 1) < 1e-3


@each_dtype
def test_relative_error_holds(dtype: Any) -> None:
    """The rank is the least that the exact values allow, or little more; the error is that of the residual."""
    for a in (hilbert(300, 200), with_spectrum(300, 200, 0.9 ** np.arange(200)), hilbert(100, 400)):
        b = a.astype(dtype)
        exact = np.linalg.svd(b.astype(np.float64), compute_uv=False)
        tails = np.sqrt(np.append(np.cumsum((exact**2)[::-1])[::-1], 0)) / np.linalg.norm(exact)
        for rtol in (0.5, 0.1, 1e-2, 1e-4, 1e-9):
            if rtol < 1e-6 and dtype == np.float32:
                continue
            for method in ("auto", "krylov", "exact"):
                found = sg.lowrank.truncated_svd(b, rtol=rtol, method=method)
                assert true_error(b, found) <= rtol * (1 + 1e-6) + 20 * UNITS[dtype]
                least = int(np.argmax(tails <= rtol))
                assert least <= len(found.s) <= least + 1
                check(b, found, len(found.s))
                energy = sg.lowrank.truncated_svd(b, energy=1 - rtol**2, method=method)
                assert rtol < 1e-4 or len(energy.s) == len(found.s)


@pytest.mark.parametrize("shape", [(1, 30), (30, 1), (50, 40), (130, 90)])
@pytest.mark.parametrize("method", ["auto", "krylov", "exact"])
def test_an_error_of_one_takes_no_values(shape: tuple[int, int], method: Any, rng: np.random.Generator) -> None:
    """LAPACK's values, rounded, have a norm a little above that of the matrix or below it."""
    for dtype in (np.float32, np.float64):
        for _ in range(5):
            a = rng.standard_normal(shape).astype(dtype)
            assert len(sg.lowrank.truncated_svd(a, rtol=1, method=method).s) == 0
            assert len(sg.lowrank.truncated_svd(a, energy=0, method=method).s) == 0


def test_relative_error_of_noise() -> None:
    """Values that are all alike: the space grows until it holds enough of them."""
    a = np.random.default_rng(5).standard_normal((500, 400))
    for rtol in (0.99, 0.9, 0.8):
        found = sg.lowrank.truncated_svd(a, rtol=rtol)
        least = len(reference.lowrank.truncated_svd(a, rtol=rtol)[1])
        assert true_error(a, found) <= rtol
        assert least <= len(found.s) <= 1.1 * least + 1
    assert len(sg.lowrank.truncated_svd(a, rtol=1).s) == 0
    assert len(sg.lowrank.truncated_svd(a, energy=0).s) == 0
    assert len(sg.lowrank.truncated_svd(a, rtol=0).s) == 400
    assert len(sg.lowrank.truncated_svd(a, energy=1).s) == 400


@each_dtype
@each_method
@pytest.mark.parametrize("shape", [(70, 70), (400, 80), (80, 400), (300, 300)])
def test_the_error_of_rank_one(dtype: Any, method: Any, shape: tuple[int, int]) -> None:
    """What is left is rounding alone, of which the values that LAPACK finds below the first say little."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        a = np.outer(rng.standard_normal(shape[0]), rng.standard_normal(shape[1])).astype(dtype)
        for k in (1, 2):
            found = sg.lowrank.truncated_svd(a, k, method=method)
            u, s, vh = (part.astype(np.longdouble) for part in found)
            wide = a.astype(np.longdouble)
            truth = np.sqrt(np.sum((wide - (u * s) @ vh) ** 2) / np.sum(wide**2))
            # The residual is formed in the type of a: a rounding of u s, one of its product with vh, one of the
            # difference, which is small, and as many of the sum, each of an element of a.
            assert abs(found.error - float(truth)) <= (2 + k) * UNITS[dtype]
            assert found.error < 60 * UNITS[dtype]


@each_dtype
@each_method
def test_fewer_values_than_are_wanted(dtype: Any, method: Any) -> None:
    rng = np.random.default_rng(2)
    a = (rng.standard_normal((150, 3)) @ rng.standard_normal((3, 120))).astype(dtype)
    found = sg.lowrank.truncated_svd(a, 8, method=method)
    check(a, found, 8)
    assert (found.s[3:] <= 100 * UNITS[dtype] * found.s[0]).all()
    assert found.error <= 40 * UNITS[dtype]
    zero = np.zeros((150, 120), dtype)
    check(zero, sg.lowrank.truncated_svd(zero, 8, method=method), 8)


def test_one_value_many_times() -> None:
    """The Krylov space of one start ends early: there are other starts."""
    for method in ("krylov", "auto"):
        check(np.eye(300), sg.lowrank.truncated_svd(np.eye(300), 100, method=method), 100)
        found = sg.lowrank.truncated_svd(np.eye(300), rtol=0.5, method=method)
        assert len(found.s) == 225
        check(np.eye(300), found, 225)


@each_dtype
def test_smallest(dtype: Any) -> None:
    """To rounding of the largest, which squares would lose: 1e-6 in float32, 1e-14 in float64."""
    last = 1e-6 if dtype == np.float32 else 1e-14
    planted = np.geomspace(1, last, 40)
    a = with_spectrum(70, 40, planted).astype(dtype)
    u, s, vh = sg.lowrank.truncated_svd(a, 3, which="smallest")
    exact = np.linalg.svd(a.astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(s, exact[:-4:-1], atol=2 * UNITS[dtype])
    assert (np.diff(s) >= 0).all()
    assert s[2] < 100 * last
    assert np.linalg.norm(a @ vh.T - u * s) <= 40 * UNITS[dtype]
    np.testing.assert_array_equal(sg.lowrank.truncated_svd(a, 40, which="smallest").s[::-1],
                                  sg.lowrank.truncated_svd(a, 40, method="exact").s)  # fmt: skip


def test_shapes_at_the_ends() -> None:
    for shape in ((0, 5), (5, 0), (0, 0)):
        for promise in ({"rank": 0}, {"rtol": 0.1}, {"rank": 0, "which": "smallest"}):
            found = sg.lowrank.truncated_svd(np.zeros(shape), **promise)
            check(np.zeros(shape), found, 0)
    a = np.random.default_rng(4).standard_normal((90, 70))
    for method in METHODS:
        none = sg.lowrank.truncated_svd(a, 0, method=method)
        assert (none.error, none.u.shape, none.vh.shape) == (1.0, (90, 0), (0, 70))
        check(a, sg.lowrank.truncated_svd(a, 70, method=method), 70)
        for one in (a[:1], a[:, :1], a[:1, :1]):
            check(one, sg.lowrank.truncated_svd(one, 1, method=method), 1)


def test_layouts_and_types() -> None:
    a = np.random.default_rng(6).standard_normal((120, 80)).astype(np.float32)
    expected = sg.lowrank.truncated_svd(a, 3, method="krylov")
    padded = np.zeros((240, 83), np.float32)
    padded[::2, 3:] = a
    for same in (np.asfortranarray(a), padded[::2, 3:], a[::-1][::-1], dlpack.Exported(a)):
        found = sg.lowrank.truncated_svd(same, 3, method="krylov")
        assert [part.tobytes() for part in found] == [part.tobytes() for part in expected]
        assert found.error == expected.error
    halves = a.astype(np.float16)
    found = sg.lowrank.truncated_svd(halves, 3, method="krylov")
    wide = sg.lowrank.truncated_svd(halves.astype(np.float32), 3, method="krylov")
    assert [part.tobytes() for part in found] == [part.tobytes() for part in wide]
    assert sg.lowrank.truncated_svd(np.arange(12).reshape(3, 4), 2).s.dtype == np.float64


def test_random_rows_come_from_the_key() -> None:
    a = np.random.default_rng(7).standard_normal((200, 200))
    call = lambda rng: sg.lowrank.truncated_svd(a, 4, method="krylov", rng=rng).s.tobytes()  # noqa: E731
    assert call(1) == call(1) == call(sg.random.Key(1)) != call(2)
    generator, other = np.random.default_rng(8), np.random.default_rng(8)
    assert call(generator) == call(other) != call(generator)
    state = other.bit_generator.state
    with pytest.raises(np.linalg.LinAlgError):
        sg.lowrank.truncated_svd(a * np.nan, 4, rng=other)
    assert other.bit_generator.state == state


def test_results_are_tuples_with_an_error() -> None:
    a = np.random.default_rng(9).standard_normal((70, 80))
    found = sg.lowrank.truncated_svd(a, 4)
    again = pickle.loads(pickle.dumps(found))
    assert isinstance(again, sg.lowrank.TruncatedSVD)
    assert again.error == found.error
    assert len(found) == 3
    torch = pytest.importorskip("torch")
    theirs = sg.lowrank.truncated_svd(torch.from_numpy(a), 4)
    assert isinstance(theirs.u, torch.Tensor)
    assert isinstance(theirs, sg.lowrank.TruncatedSVD)
    assert theirs.error == found.error


REFUSED: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (np.ones((2, 3)), {"rank": 3}, ValueError, "rank must be in [0, 2], the smaller dimension, got 3"),
    (np.ones((2, 3)), {"rank": -1}, ValueError, "rank must be in [0, 2], the smaller dimension, got -1"),
    (np.ones((2, 3)), {"rank": 1.0}, TypeError, "rank must be an int, got float"),
    (np.ones((2, 3)), {}, ValueError, "rank, rtol or energy must be given, one of them, got none"),
    (np.ones((2, 3)), {"rank": 1, "rtol": 0.1}, ValueError,
     "rank, rtol or energy must be given, one of them, got rank and rtol"),
    (np.ones((2, 3)), {"rtol": -0.1}, ValueError, "rtol must be in [0, 1], got -0.1"),
    (np.ones((2, 3)), {"energy": np.nan}, ValueError, "energy must be in [0, 1], got nan"),
    (np.ones(3), {"rank": 1}, ValueError, "a must have two axes, got shape (3,)"),
    (np.ones((1, 2, 3)), {"rank": 1}, ValueError, "a must have two axes, got shape (1, 2, 3)"),
    (np.ones((2, 3), complex), {"rank": 1}, TypeError,
     "a must be float16, bfloat16, float32, float64, bool or integer, got dtype dtype('complex128')"),
    (np.full((2, 3), np.nan), {"rank": 1}, np.linalg.LinAlgError, "a must be finite, got NaN or an infinity"),
    (np.float32([[1, np.inf]]), {"rank": 1}, np.linalg.LinAlgError, "a must be finite, got NaN or an infinity"),
    (np.ones((2, 3)), {"rank": 1, "which": "middle"}, ValueError,
     "which must be 'largest' or 'smallest', got 'middle'"),
    (np.ones((2, 3)), {"rank": 1, "method": "magic"}, ValueError,
     "method must be 'auto', 'krylov', 'randomized', 'gram' or 'exact', got 'magic'"),
    (np.ones((2, 3)), {"rank": 1, "method": "gram", "which": "smallest"}, ValueError,
     "method must be 'auto' or 'exact' where which is 'smallest', got 'gram'"),
    (np.ones((2, 3)), {"rtol": 0.1, "which": "smallest"}, ValueError,
     "rank must be given where which is 'smallest', got none"),
    (np.ones((2, 3)), {"rtol": 0.1, "method": "gram"}, ValueError,
     "method must be 'auto', 'krylov' or 'exact' where no rank is given, got 'gram'"),
    (np.ones((2, 3)), {"rank": 1, "n_oversamples": -1}, ValueError, "n_oversamples must not be negative, got -1"),
    (np.ones((2, 3)), {"rank": 1, "n_iter": "many"}, ValueError, "n_iter must be an int or 'auto', got 'many'"),
    (np.ones((2, 3)), {"rank": 1, "n_iter": -1}, ValueError, "n_iter must be in [0, 1000] or 'auto', got -1"),
    (np.ones((2, 3)), {"rank": 1, "rng": None}, TypeError,
     "rng must be a Key, an int seed or a numpy Generator, got NoneType"),
]  # fmt: skip


@pytest.mark.parametrize(("a", "arguments", "kind", "message"), REFUSED)
def test_refusals(a: Any, arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        sg.lowrank.truncated_svd(a, **arguments)
    assert str(caught.value) == f"truncated_svd: {message}"

"""Many systems at once: the bits of single sweeps, the rule that ends them, and everything that may be wrong."""

import hashlib
import math
import time
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum import reference
from sorgum._data.matrices import Matrix, dominant, grid
from sorgum.sor import Relaxation, residual_norm, sor_batch, sor_result


def right_sides(systems: int, n: int, dtype: Any = np.float64, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((systems, n)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 33, 100])
def test_a_lane_has_the_bits_of_single_sweeps(n: int, index: Any, dtype: Any, isa: str) -> None:
    """Of `iterations` sweeps, and no sweep before the last one was enough."""
    a, systems, rtol = dominant(n, 6, dtype, index, seed=n), 41, 1e-4
    b, x0 = right_sides(systems, n, dtype), right_sides(systems, n, dtype, 1)
    shift = np.linspace(0, 0.3, systems).astype(dtype)
    data = (a.data * (1 + shift[:, None])).astype(dtype)
    omega = np.linspace(0.6, 1.2, systems)
    for options in ({"shift": shift}, {"data": data}, {"data": data, "shift": shift, "x0": x0}, {}):
        x, info, iterations = sor_batch(a, b, omega=omega, rtol=rtol, **options)
        assert (info == 0).all()
        assert x.dtype == dtype
        relaxation = Relaxation(a)
        for s in range(systems):
            relaxation.update_values(options.get("data", [a.data] * systems)[s])
            relaxation.shift(float(options.get("shift", np.zeros(systems))[s]))
            there = np.array(options.get("x0", np.zeros_like(b))[s])
            seen = [relaxation.residual_norm(there, b[s])]
            for _ in range(iterations[s]):
                relaxation.sweep(there, b[s], float(omega[s]))
                seen.append(relaxation.residual_norm(there, b[s]))
            assert there.tobytes() == x[s].tobytes()
            size = rtol * math.sqrt(math.fsum(v * v for v in b[s].tolist()))
            # Sums of n squares in another order: n u relative, of either.
            assert seen[-1] <= size * (1 + 1e-12)
            assert all(norm > size * (1 - 1e-12) for norm in seen[:-1])
    assert isa in ("scalar", "avx2", "avx512")
    assert n == 1 or len(set(iterations.tolist())) > 2


def test_no_system_depends_on_the_others() -> None:
    a, b = dominant(50, 5, np.float64, np.int32, seed=3), right_sides(700, 50)
    shift = np.linspace(0, 0.5, 700)
    for omega in ("adaptive", np.linspace(0.7, 1.2, 700)):
        whole = sor_batch(a, b, shift=shift, omega=omega, rtol=1e-8)
        order = np.random.default_rng(1).permutation(700)
        for some in (order, order[:300], order[5:6], np.arange(255, 258)):
            own = omega if isinstance(omega, str) else omega[some]
            part = sor_batch(a, b[some], shift=shift[some], omega=own, rtol=1e-8)
            assert all(x.tobytes() == y[some].tobytes() for x, y in zip(part, whole, strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_instruction_sets_threads_and_layouts(dtype: Any) -> None:
    a, b = grid((9, 11), False, dtype, np.int64), right_sides(600, 99, dtype)
    shift = np.linspace(0, 0.5, 600).astype(dtype)

    def digest(right: Any, omega: Any) -> str:
        found = hashlib.sha256()
        for array in sor_batch(a, right, shift=shift, omega=omega, rtol=1e-4):
            found.update(array.tobytes())
        return found.hexdigest()

    before = sg.isa()
    for omega in ("adaptive", 1.6):
        digests = set()
        for name in sg.available_isas():
            sg.set_isa(name)
            for threads in (1, 2, 3):
                sg.set_num_threads(threads)
                digests.add(digest(b, omega))
        sg.set_isa(before)
        wide = np.zeros((600, 200), dtype)
        wide[:, ::-2][:, :99] = b
        digests |= {digest(np.asfortranarray(b), omega), digest(wide[:, ::-2][:, :99], omega)}
        assert len(digests) == 1
    assert digest(b, 1.5) not in digests


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adaptive_finds_the_factors(dtype: Any) -> None:
    """About as many sweeps as one by one, where the norms that the rule sees differ by roundings and it by chance."""
    a, b = grid((10, 10), False, dtype, np.int32), right_sides(100, 100, dtype)
    shift = np.linspace(-0.1, 0.5, 100).astype(dtype)
    rtol = 1e-4 if dtype == np.float32 else 1e-8
    x, info, iterations = sor_batch(a, b, shift=shift, rtol=rtol)
    assert (info == 0).all()
    relaxation, single = Relaxation(a), 0
    for s in range(100):
        relaxation.shift(float(shift[s]))
        assert relaxation.residual_norm(x[s], b[s]) <= rtol * np.linalg.norm(b[s].astype(np.float64)) * (1 + 1e-12)
        single += relaxation.solve(b[s], rtol=rtol).iterations
    assert abs(iterations.sum() / single - 1) < 0.06
    plain = sor_batch(a, b, shift=shift, omega=1.0, rtol=rtol)[2].sum()
    assert plain > 1.8 * iterations.sum()


@pytest.mark.sanitize
def test_adaptive_takes_back_what_diverges() -> None:
    """Central convection with cell Peclet numbers above 1: Gauss-Seidel diverges, and so do all factors near 1."""
    n = 80
    a = 2 * np.eye(n) - 2.4 * np.eye(n, k=-1) + 0.4 * np.eye(n, k=1)
    q = np.random.default_rng(0).standard_normal((n, n))
    b = right_sides(20, n)
    for matrix, most in ((a, 400), (q @ q.T + 0.5 * np.eye(n), 20000)):
        x, info, iterations = sor_batch(matrix, b, rtol=1e-6, maxiter=most)
        assert (info == 0).all()
        assert (np.linalg.norm(b - x @ matrix.T, axis=1) <= 1e-6 * np.linalg.norm(b, axis=1) * (1 + 1e-6)).all()
        ours = iterations.max()
        theirs = max(sor_result(matrix, row, rtol=1e-6, maxiter=most).iterations for row in b)
        assert ours < 1.5 * theirs + 20


@pytest.mark.sanitize
def test_entries_in_one_place_add_up_and_columns_may_stand_anyhow() -> None:
    """Unsorted columns and duplicates, of the diagonal too: the bits of the Relaxation of that matrix."""
    indptr, indices = np.array([0, 4, 7, 10]), np.array([1, 0, 1, 0, 2, 1, 0, 2, 1, 2])
    data = np.array([[-0.5, 2.0, -0.25, 3.0, -1.0, 6.0, -2.0, 1.5, -1.0, 1.5]]) * np.linspace(1, 2, 5)[:, None]
    a, b = Matrix(indptr, indices, data[0], (3, 3)), right_sides(5, 3)
    x, _, iterations = sor_batch(a, b, data=data, omega=1.1, rtol=1e-8)
    for s in range(5):
        relaxation, there = Relaxation(Matrix(indptr, indices, data[s], (3, 3))), np.zeros(3)
        relaxation.sweep(there, b[s], 1.1, iterations=int(iterations[s]))
        assert there.tobytes() == x[s].tobytes()


@pytest.mark.sanitize
def test_ends() -> None:
    a = grid((8, 8), False, np.float64, np.int32)
    b = right_sides(5, 64)
    b[1], b[3] = 0, 1e-200 * b[3]
    x, info, iterations = sor_batch(a, b, omega=1.5, rtol=1e-10)
    assert info.tolist() == [0] * 5
    assert iterations[1] == 0
    assert not x[1].any()
    assert residual_norm(a, x[3], b[3]) <= 1e-10 * np.linalg.norm(b[3] * 1e200) * 1e-200 * (1 + 1e-6)
    again = sor_batch(a, b, x, omega=1.5, rtol=1e-10)
    assert again[2].tolist() == [0] * 5
    assert again[0].tobytes() == x.tobytes()
    x, info, iterations = sor_batch(a, b, omega=1.5, rtol=1e-10, maxiter=7)
    assert (info.tolist(), iterations.tolist()) == ([7, 0, 7, 7, 7], [7, 0, 7, 7, 7])
    assert sor_batch(a, b, omega=1.5, rtol=0.0, maxiter=3)[1].tolist() == [3, 0, 3, 3, 3]
    assert sor_batch(a, b, omega=1.5, rtol=0.0, atol=1e9)[2].tolist() == [0] * 5
    diverging = 2 * np.eye(4) + 9 * np.eye(4, k=1) - 9 * np.eye(4, k=-1)
    for omega in (1.0, 1.9):
        start = right_sides(3, 4, seed=9)
        x, info, _ = sor_batch(diverging, right_sides(3, 4), start, omega=omega)
        assert info.tolist() == [-1] * 3
        assert x.tobytes() == start.tobytes()


def test_extreme_numbers() -> None:
    """Squares that over- and underflow; and tolerances that are subnormal, or nothing."""
    a = grid((5, 5), False, np.float64, np.int32)
    b = right_sides(6, 25) * np.array([1e-300, 1e-160, 1e-5, 1e150, 1e300, 1e304])[:, None]
    x, info, _ = sor_batch(a, b, omega=1.4, rtol=1e-8)
    assert info.tolist() == [0] * 6
    for s in range(6):
        big = np.abs(b[s]).max()
        assert np.linalg.norm((b[s] - a_times(a, x[s])) / big) <= 1e-8 * np.linalg.norm(b[s] / big) * (1 + 1e-6)
    assert sor_batch(a, np.full((1, 25), 5e-324), omega=1.4)[1].tolist() in ([0], [1000])
    huge = sor_batch(a, np.full((2, 25), 1.7e308), omega=1.4, maxiter=50)
    assert np.isfinite(huge[0]).all()
    single = sor_batch(Matrix(a.indptr, a.indices, a.data.astype(np.float32), a.shape), np.full((1, 25), 3e38, "f4"))
    assert np.isfinite(single[0]).all()
    assert single[0].dtype == np.float32


def a_times(a: Matrix, x: Any) -> Any:
    y = np.zeros(a.shape[0])
    np.add.at(y, np.repeat(np.arange(a.shape[0]), np.diff(a.indptr)), a.data * x[a.indices])
    return y


def test_empty_batches() -> None:
    for systems, n in ((0, 4), (3, 0), (0, 0)):
        x, info, iterations = sor_batch(np.eye(n), np.zeros((systems, n)), shift=np.zeros(systems))
        assert (x.shape, info.shape, iterations.shape) == ((systems, n), (systems,), (systems,))
        assert not info.any()


@pytest.mark.sanitize
def test_arguments_are_refused_by_name() -> None:
    eye, b = np.eye(3), np.ones((2, 3))
    sparse = Matrix(np.array([0, 1, 2, 3]), np.array([0, 1, 2]), np.ones(3), (3, 3))
    hole = Matrix(np.array([0, 1, 1, 2]), np.array([0, 2]), np.ones(2), (3, 3))
    for call, kind, message in (
        (lambda: sor_batch(eye, np.ones(3)), ValueError, "b must have shape (systems, 3), got (3,)"),
        (lambda: sor_batch(eye, np.ones((2, 4))), ValueError, "b must have shape (systems, 3), got (2, 4)"),
        (lambda: sor_batch(eye, b, np.ones((3, 3))), ValueError, "x0 must have shape (2, 3), got (3, 3)"),
        (lambda: sor_batch(eye, [[1, 2, 3], [1, math.nan, 3]]), ValueError, "b must be finite, got nan in row 1"),
        (lambda: sor_batch(eye, b, shift=[1.0]), ValueError, "shift must have shape (2,), got (1,)"),
        (lambda: sor_batch(eye, b, shift=[1.0, math.inf]), ValueError, "shift must be finite, got inf in row 1"),
        (lambda: sor_batch(eye, b, shift=[1.0, -1.0]), ValueError,
         "A must have a diagonal of normal numbers with normal reciprocals, got 0 in system 1, row 0"),
        (lambda: sor_batch(sparse, b, data=[[1, 2, 3], [1, 2, math.nan]]), ValueError,
         "A must have a diagonal of normal numbers with normal reciprocals, got nan in system 1, row 2"),
        (lambda: sor_batch([[1e-300, 1e300, 0], [0, 1, 0], [0, 0, 1]], b), ValueError,
         "A must have entries that are finite, and so over their diagonal, got 1.0000000000000001e+300 over "
         "1e-300 in system 0, row 0"),
        (lambda: sor_batch(sparse, b, data=np.ones((2, 4))), ValueError,
         "data must have shape (2, 3), got (2, 4)"),
        (lambda: sor_batch(sparse, b, data=np.ones(3)), ValueError, "data must have shape (2, 3), got (3,)"),
        (lambda: sor_batch(hole, b), ValueError,
         "A must have an entry on the diagonal of every row, got none in row 1"),
        (lambda: sor_batch(np.ones((3, 2)), b), ValueError, "A must be square, got shape (3, 2)"),
        (lambda: sor_batch(Matrix(np.array([0, 1, 2, 9]), np.arange(3), np.ones(3), (3, 3)), b), ValueError,
         "A.indptr must not exceed the number of entries, 3, got 9 in row 2"),
        (lambda: sor_batch(Matrix(np.arange(4), np.array([0, 1, 7]), np.ones(3), (3, 3)), b), ValueError,
         "A.indices must not be negative and must be below the number of columns, 3, got 7 in row 2, entry 2"),
        (lambda: sor_batch(eye, b, omega="young"), ValueError, "omega must be 'adaptive' or numbers, got 'young'"),
        (lambda: sor_batch(eye, b, omega=2.0), ValueError,
         "omega must be between 0 and 2 and neither of them, got 2"),
        (lambda: sor_batch(eye, b, omega=[1.0, math.nan]), ValueError,
         "omega must be between 0 and 2 and neither of them, got nan"),
        (lambda: sor_batch(eye, b, omega=[1.0]), ValueError, "omega must have shape (2,), got (1,)"),
        (lambda: sor_batch(eye, b, omega=None), TypeError,  # type: ignore[arg-type]
         "omega must be float32, float64, bool or integer, got dtype dtype('O')"),
        (lambda: sor_batch(eye, b, rtol=-1.0), ValueError, "rtol must be finite and not negative, got -1"),
        (lambda: sor_batch(eye, b, atol=math.inf), ValueError, "atol must be finite and not negative, got inf"),
        (lambda: sor_batch(eye, b, maxiter=0), ValueError, "maxiter must be at least 1, got 0"),
        (lambda: sor_batch(eye, b.astype(complex)), TypeError,
         "b must be float32, float64, bool or integer, got dtype dtype('complex128')"),
    ):  # fmt: skip
        with pytest.raises(kind) as caught:
            call()
        assert str(caught.value) == f"sor_batch: {message}"


def test_the_first_wrong_system_is_named_on_any_number_of_threads() -> None:
    a, b = dominant(30, 4, np.float64, np.int32, seed=1), np.ones((3000, 30))
    shift = np.zeros(3000)
    shift[[700, 1900, 2999]] = -a.data[0] if a.indices[0] == 0 else 0
    data = np.repeat(a.data[None], 3000, axis=0)
    data[[701, 2500], 5] = np.inf
    for threads in (1, 2, 4):
        sg.set_num_threads(threads)
        with pytest.raises(ValueError, match=r"^sor_batch: A must have .* in system 701, row \d+$"):
            sor_batch(a, b, data=data)


def test_speed_over_a_loop_of_solves() -> None:
    """A smoke test of what it is for; docs/solvers.md has figures. Less than a third of the target."""
    a, b = grid((10, 10), False, np.float64, np.int32), right_sides(400, 100)
    relaxation = Relaxation(a)

    def ratio() -> float:
        begin = time.perf_counter()
        sor_batch(a, b, omega=1.5, rtol=1e-8)
        middle = time.perf_counter()
        for row in b:
            relaxation.solve(row, omega=1.5, rtol=1e-8)
        return (time.perf_counter() - middle) / (middle - begin)

    assert any(ratio() > 2.5 for _ in range(10))


def test_against_the_reference() -> None:
    """Answers within what the tolerance lets through: ||A^-1|| <= 1 / 2.2 here. Counts may differ by a rounding."""
    a = 3 * np.eye(12) - 0.4 * np.eye(12, k=1) - 0.4 * np.eye(12, k=-1)
    b, shift, omega = right_sides(20, 12), np.linspace(0, 1, 20), np.linspace(0.8, 1.3, 20)
    x, info, iterations = sor_batch(a, b, shift=shift, omega=omega, rtol=1e-10)
    theirs, sweeps = reference.sor.sor_batch(a, b, shift=shift, omega=omega, rtol=1e-10)
    assert (info == 0).all()
    bound = 2 * 1e-10 * np.linalg.norm(b, axis=1) / 2.2
    assert (np.linalg.norm(x - theirs, axis=1) <= bound).all()
    assert (np.linalg.norm(theirs[::-1] - x, axis=1) > bound).all()
    assert abs(sweeps - iterations).max() <= 1

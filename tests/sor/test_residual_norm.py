"""residual_norm: known answers, the arithmetic that docs/numerics/sor.md states, error bounds, kinds of matrices."""

import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from bounds_sor import relative_to_bound, systems
from fp_environment import ENVIRONMENTS, MASK, mxcsr, needs_mxcsr, word
from interrupts import others_run_during

import sorgum as sg
from sorgum import _core, reference
from sorgum._data import load
from sorgum._data.inputs import logits, words
from sorgum._data.matrices import Matrix, grid, scattered

DTYPES = [np.dtype(np.float32), np.dtype(np.float64)]
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["f32", "f64"])
each_index = pytest.mark.parametrize("index", [np.int32, np.int64], ids=["i32", "i64"])


def dense(a: Matrix) -> Any:
    full = np.zeros(a.shape, a.data.dtype)
    np.add.at(full, (np.repeat(np.arange(a.shape[0]), np.diff(a.indptr)), a.indices), a.data)
    return full


def test_known_answers() -> None:
    a = np.array([[5.0, -2, 0], [-2, 6, -1], [0, -1, 3]])
    assert sg.sor.residual_norm(a, [0, 0, 0], [3, 0, 4]) == 5.0
    assert sg.sor.residual_norm(a, [1, 1, 1], [0, 0, 0]) == np.sqrt(9.0 + 9.0 + 4.0)
    assert sg.sor.residual_norm(a, [1, 1, 1], [3, 3, 2]) == 0.0
    assert type(sg.sor.residual_norm(a, [1, 1, 1], [3, 3, 2])) is float
    assert sg.sor.residual_norm(np.zeros((0, 3)), [1, 2, 3], []) == 0.0
    assert sg.sor.residual_norm(np.zeros((2, 0)), [], [3, 4]) == 5.0


def test_the_reference() -> None:
    for a in (grid((5, 7), False, np.float64, np.int32), scattered((300, 40), 9, np.float64, np.int64)):
        x, b = logits(a.shape[1], np.float64, seed=1), logits(a.shape[0], np.float64, seed=2)
        exact = np.linalg.norm(b - dense(a) @ x)
        assert np.isclose(reference.sor.residual_norm(a, x, b), exact, rtol=1e-13)
        assert np.isclose(reference.sor.residual_norm(dense(a), x, b), exact, rtol=1e-13)
        assert np.isclose(reference.sor.residual_norm(a, x, 1e300 * b), 1e300 * np.linalg.norm(b), rtol=1e-13)
    assert reference.sor.residual_norm(np.eye(2), [1, 2], [1, 2]) == 0
    assert np.isnan(reference.sor.residual_norm(np.eye(2), [np.nan, 2], [1, 2]))


# The arithmetic, written out with exact numbers that are rounded where a kernel rounds.


def rounded(value: Fraction) -> float:
    return float(value)  # to nearest, ties to even


def modelled(a: Matrix, x: Any, b: Any) -> float:
    residuals = []
    for i in range(a.shape[0]):
        s = 0.0
        for k in range(a.indptr[i], a.indptr[i + 1]):
            s = rounded(Fraction(float(a.data[k])) * Fraction(float(x[a.indices[k]])) + Fraction(s))
        residuals.append(float(b[i]) - s)
    total = Fraction(0)
    for begin in range(0, len(residuals), 4096):
        chunk = np.zeros(4096)
        chunk[: len(residuals[begin : begin + 4096])] = residuals[begin : begin + 4096]
        largest = np.max(np.abs(chunk))
        if largest == 0:
            continue
        exponent = min(max(int(np.frexp(largest)[1]) - 1, -1022), 1022)
        squares = (chunk * 2.0**-exponent) ** 2
        groups = squares.reshape(-1, 8, 16)  # 8 vectors of 16 lanes
        while groups.shape[1] > 1:
            groups = groups[:, ::2] + groups[:, 1::2]
        lanes = np.zeros(16)
        for group in groups[:, 0]:
            lanes = lanes + group
        while lanes.size > 1:
            lanes = lanes[: lanes.size // 2] + lanes[lanes.size // 2 :]
        total += Fraction(float(lanes[0])) * Fraction(2) ** (2 * exponent)
    if total == 0:
        return 0.0
    with mpmath.workprec(2000):
        square = mpmath.mpf(total.numerator) / total.denominator
        with mpmath.workprec(53):
            square = +square  # the exact sum is rounded once
        root = mpmath.sqrt(square)
        with mpmath.workprec(53):
            return float(+root)


@each_dtype
@each_index
def test_the_bits_are_those_of_the_arithmetic_stated(dtype: Any, index: Any, isa: str) -> None:
    for rows, most in ((1, 1), (2, 9), (17, 3), (130, 20), (257, 4), (4096, 1), (4097, 2), (9000, 1)):
        a = scattered((rows, 50), most, dtype, index, seed=rows)
        x, b = logits(50, dtype, seed=1), logits(rows, dtype, seed=2)
        for power in (0, -80) if dtype == np.float32 else (0, -500, -900, 400):
            scale = dtype.type(2.0**power)
            got = sg.sor.residual_norm(a, x * scale, b * scale)
            assert got == modelled(a, x * scale, b * scale), (rows, most, power)
            assert 0 < got < np.inf


def test_extreme_magnitudes() -> None:
    tiny, huge, largest = 5e-324, 2.0**1023, np.finfo(np.float64).max
    one = np.eye(1)
    for value in (tiny, 3 * tiny, 2.0**-1022, 1.5 * 2.0**-1040, 1e-200, 1e200, huge, largest):
        assert sg.sor.residual_norm(one, [0], [value]) == value
        assert sg.sor.residual_norm(np.zeros((5000, 1)), [0], [value] + 4999 * [0.0]) == value
    assert sg.sor.residual_norm(np.eye(2), [0, 0], [3 * 2.0**1020, 4 * 2.0**1020]) == 5 * 2.0**1020
    assert sg.sor.residual_norm(np.eye(2), [0, 0], [3 * tiny, 4 * tiny]) == 5 * tiny
    assert sg.sor.residual_norm(np.eye(2), [0, 0], [largest, largest]) == np.inf
    spread = np.zeros(8192)
    spread[0], spread[5000] = 3e-300, 4e300  # chunks far apart
    assert sg.sor.residual_norm(np.zeros((8192, 1)), [0], spread) == 4e300


@each_dtype
def test_what_is_not_finite(dtype: Any, isa: str) -> None:
    a = scattered((9000, 30), 4, dtype, np.int32)
    x, b = logits(30, dtype), logits(9000, dtype)
    canonical = np.float64(np.nan).tobytes()
    for value, expected in ((np.nan, np.nan), (np.inf, np.inf), (-np.inf, np.inf)):
        for row in (0, 4095, 4096, 8999):
            other = b.copy()
            other[row] = value
            got = sg.sor.residual_norm(a, x, other)
            assert np.float64(got).tobytes() == (canonical if np.isnan(expected) else np.float64(np.inf).tobytes())
            other[(row + 5000) % 9000] = np.nan
            assert np.float64(sg.sor.residual_norm(a, x, other)).tobytes() == canonical
    negative_nan = np.array([0xFFF8000000000001], np.uint64).view(np.float64)
    assert np.float64(sg.sor.residual_norm(np.eye(1), [0], negative_nan)).tobytes() == canonical
    assert np.isnan(
        sg.sor.residual_norm(Matrix(*(np.int32([0, 1]), np.int32([0]), np.zeros(1)), (1, 1)), [np.inf], [0])
    )
    assert sg.sor.residual_norm(np.zeros((1, 1)), [np.inf], [0]) == 0.0  # a zero of a dense array is no entry
    assert np.isnan(sg.sor.residual_norm(replace(a, data=np.where(np.arange(a.data.size) == 7, np.nan, a.data)), x, b))


# Accuracy


@each_dtype
def test_error_bound(dtype: Any) -> None:
    """Against mpmath; zeros, a norm without A x and one of other vectors would be far beyond the bound."""
    bound = load("bounds")[f"sor.residual_norm.{'f32' if dtype == np.float32 else 'f64'}"]["bound"]
    worst = 0.0
    for _, a, x, b in systems(dtype):
        error = relative_to_bound(a, x, b, sg.sor.residual_norm(a, x, b))
        worst = max(worst, error)
        for wrong in (0.0, float(np.linalg.norm(b)), sg.sor.residual_norm(a, x[::-1], b)):
            assert relative_to_bound(a, x, b, wrong) > 1000 * bound
    assert 0 < worst <= bound


# Kinds of matrices


@pytest.mark.sanitize
@each_dtype
@each_index
def test_threads_and_instruction_sets(dtype: Any, index: Any, isa: str, threads: Callable[[int], None]) -> None:
    a = scattered((70001, 900), 12, dtype, index)
    x, b = logits(900, dtype, seed=1), logits(70001, dtype, seed=2)
    found = set()
    for n in (1, 2, 3, 7):
        threads(n)
        found.add(sg.sor.residual_norm(a, x, b))
    assert len(found) == 1
    sg.set_isa("scalar")
    found.add(sg.sor.residual_norm(a, x, b))
    sg.set_isa(isa)
    assert len(found) == 1


@pytest.mark.sanitize
def test_indices_and_types_do_not_show() -> None:
    a = scattered((5000, 40), 6, np.float32, np.int32)
    x, b = logits(40, np.float32, seed=1), logits(5000, np.float32, seed=2)
    expected = sg.sor.residual_norm(a, x, b)
    for indptr in (np.int32, np.int64):
        for indices in (np.int32, np.int64, np.longlong, np.intc):
            other = replace(a, indptr=a.indptr.astype(indptr), indices=a.indices.astype(indices))
            assert sg.sor.residual_norm(other, x, b) == expected
    wide = replace(a, data=a.data.astype(np.float64))
    assert sg.sor.residual_norm(wide, x, b) == expected
    assert sg.sor.residual_norm(a, x.astype(np.float64), b) == expected
    assert sg.sor.residual_norm(a, x, b.astype(np.float64)) == expected
    assert sg.sor.residual_norm(a, x.tolist(), b) == expected
    strided = Matrix(*(np.repeat(array, 3)[::3] for array in (a.indptr, a.indices, a.data)), a.shape)
    assert sg.sor.residual_norm(strided, np.repeat(x, 2)[::2], b[::-1].copy()[::-1]) == expected
    misaligned = np.frombuffer(b"x" + a.data.tobytes(), np.uint8)[1:].view(np.float32)
    assert sg.sor.residual_norm(replace(a, data=misaligned), x, b) == expected
    longer = replace(a, data=np.append(a.data, np.float32(7)), indices=np.append(a.indices, np.int32(99)))
    assert sg.sor.residual_norm(longer, x, b) == expected  # what lies behind the last row is not of the matrix


def test_integers_and_booleans() -> None:
    a = np.array([[2, 0, 1], [0, 3, 0]])
    for dtype in (np.int8, np.uint64, np.int64, np.bool_, np.float32):
        values = a.astype(dtype)
        assert sg.sor.residual_norm(values, [1, 1, 1], [0, 0]) == np.linalg.norm(values.astype(float) @ np.ones(3))
    assert sg.sor.residual_norm(a.tolist(), (True, False, True), [0, 0]) == 3.0


def test_formats_of_scipy() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    a = scattered((60, 50), 5, np.float64, np.int64)
    x, b = logits(50, np.float64, seed=1), logits(60, np.float64, seed=2)
    for kind in (sparse.csr_array, sparse.csr_matrix):
        csr = kind((a.data, a.indices, a.indptr), shape=a.shape)
        assert sg.sor.residual_norm(csr, x, b) == sg.sor.residual_norm(a, x, b)
        summed = csr.copy()
        summed.sum_duplicates()
        expected = sg.sor.residual_norm(summed, x, b)
        assert np.isclose(expected, np.linalg.norm(b - csr @ x), rtol=1e-14)
        for form in ("csc", "coo", "lil", "dok", "bsr", "dia"):
            assert sg.sor.residual_norm(summed.asformat(form), x, b) == sg.sor.residual_norm(
                summed.asformat(form).tocsr(), x, b
            )
        assert sg.sor.residual_norm(summed.toarray(), x, b) == expected
    flat = sparse.coo_array(np.ones(3)).tocsr()
    if len(flat.shape) == 1:  # before SciPy 1.13 it is a row
        with pytest.raises(ValueError, match=r"^residual_norm: A must have two dimensions, got shape \(3,\)$"):
            sg.sor.residual_norm(flat, np.ones(3), [0])


def test_compressed_rows_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    a = grid((30, 30), False, np.float32, np.int32)
    seen: list[Any] = []
    right = _core.sor.residual_norm

    def watched(*arguments: Any) -> float:
        seen.extend(arguments)
        return right(*arguments)

    monkeypatch.setattr(_core.sor, "residual_norm", watched)
    x, b = logits(900, np.float32), logits(900, np.float32)
    sg.sor.residual_norm(a, x, b)
    for given, used in zip((a.indptr, a.indices, a.data, x, b), (*seen[:3], *seen[5:]), strict=True):
        assert np.shares_memory(given, used)
        assert given.ctypes.data == used.ctypes.data


def test_arrays_of_other_libraries() -> None:
    from sorgum.interop import dlpack

    a = np.array([[2.0, 0, 1], [0, 3, 0]])
    x, b = np.ones(3), np.zeros(2)
    assert sg.sor.residual_norm(*(dlpack.Exported(array) for array in (a, x, b))) == np.sqrt(18.0)


# The machine


@needs_mxcsr
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_another_floating_point_environment(environment: str, rng: np.random.Generator, threads: Any) -> None:
    """Subnormal residuals, and sums that another rounding would change; in threads, and without the guard of Python."""
    a = grid((300, 300), True, np.float64, np.int32)
    x, b = rng.standard_normal((2, 90000))
    for n in (1, 2):
        threads(n)
        for scale in (1.0, 2.0**-1060):
            arguments = (a.indptr, a.indices, a.data, *a.shape, x * scale, b * scale)
            expected = sg.sor.residual_norm(a, x * scale, b * scale)
            with mxcsr(ENVIRONMENTS[environment]):
                found = sg.sor.residual_norm(a, *arguments[5:]), _core.sor.residual_norm(*arguments)
                after = word() & MASK
            assert found == (expected, expected)
            assert after == ENVIRONMENTS[environment]


def test_the_interpreter_goes_on_meanwhile(threads: Callable[[int], None]) -> None:
    threads(1)
    a = grid((1000, 1000), False, np.float64, np.int32)
    x, b = np.ones(10**6), np.ones(10**6)
    assert others_run_during(lambda: sg.sor.residual_norm(a, x, b))


def test_python_threads_share_a_matrix() -> None:
    a = scattered((30000, 500), 8, np.float64, np.int32)
    x, b = logits(500, np.float64), logits(30000, np.float64)
    expected = sg.sor.residual_norm(a, x, b)
    found: list[float] = []
    together = [
        threading.Thread(target=lambda: found.extend(sg.sor.residual_norm(a, x, b) for _ in range(20)))
        for _ in range(8)
    ]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert found == [expected] * 160


@pytest.mark.sanitize
def test_indices_that_another_thread_changes_meanwhile() -> None:
    """What has been checked is what is used: every call is refused or gives the norm of one of the two matrices."""
    a = scattered((30000, 500), 8, np.float64, np.int32)
    x, b = np.ones(500), np.ones(30000)
    good, done = a.indices.copy(), threading.Event()
    expected = sg.sor.residual_norm(a, x, b)

    def change() -> None:
        at = 0
        while not done.is_set():
            at = (at + 100003) % good.size
            a.indices[at] = 2**31 - 1
            a.indices[at] = good[at]

    changing = threading.Thread(target=change)
    changing.start()
    refusals = []
    try:
        for _ in range(200):
            try:
                assert sg.sor.residual_norm(a, x, b) == expected
            except ValueError as refused:
                refusals.append(str(refused))
    finally:
        done.set()
        changing.join()
    assert all(": A.indices must" in text or ": A must stay as it is" in text for text in refusals)


@pytest.mark.sanitize
def test_long_rows_and_many_short_ones() -> None:
    """Rows are taken by their entries, too: the arithmetic is that of each row alone."""
    lengths = [70000, 0, 3, 65535, 2, 65536, 65537, 1, 200000, 0, *[3000] * 70, 5]
    a = scattered((len(lengths), 1000), 1, np.float64, np.int64)
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    indices = np.arange(indptr[-1]) * 7919 % 1000
    a = replace(a, indptr=indptr, indices=indices, data=logits(indptr[-1], np.float64, seed=5))
    x, b = logits(1000, np.float64), logits(len(lengths), np.float64, seed=1)
    alone = [
        sg.sor.residual_norm(
            replace(a, indptr=np.array([0, n]), indices=indices[i : i + n], data=a.data[i : i + n], shape=(1, 1000)),
            x,
            b[k : k + 1],
        )
        for k, (i, n) in enumerate(zip(indptr[:-1], lengths, strict=True))
    ]
    assert sg.sor.residual_norm(a, x, b) == pytest.approx(np.linalg.norm(alone), rel=1e-14)


@pytest.mark.sanitize
@each_dtype
def test_any_encodings(dtype: Any, isa: str) -> None:
    """Never a crash, and NaN or infinite exactly where NumPy's residual is; float64 sums may overflow in either."""
    for seed in range(20):
        a = scattered((700, 90), 5, dtype, np.int32, seed)
        a = replace(a, data=words(a.data.size, dtype, seed))
        x, b = words(90, dtype, seed + 1), words(700, dtype, seed + 2)
        got = sg.sor.residual_norm(a, x, b)
        with np.errstate(all="ignore"):
            assert np.isnan(got) == np.isnan(reference.sor.residual_norm(a, x, b))

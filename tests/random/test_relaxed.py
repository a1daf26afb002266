"""Gumbel-top-k and Gumbel-softmax: values, laws, identities of bits, refusals. Limits are for a false alarm of 1e-9."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import layouts
from scipy import stats

from sorgum import random, reference, special
from sorgum._data.inputs import hashed, logits

Array = Any
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
FALSE_ALARM = 1e-9


# Gumbel-top-k


@each_dtype
def test_top_k_is_the_order_of_the_sums(dtype: Any, isa: str) -> None:
    for n in (1, 2, 64, 65, 130, 5003):
        for scale in (0.0, 1.0, 10.0):
            x = logits((6, n), dtype, scale, seed=n)
            for k in {0, 1, n // 3, n - 1, n}:
                found, expected = random.gumbel_top_k(x, k, rng=n), reference.random.gumbel_top_k(x, k, n)
                assert found.indices.shape == found.perturbed.shape == (6, k)
                assert np.array_equal(found.indices, expected[0])
                assert np.allclose(found.perturbed, expected[1], rtol=1e-13, atol=1e-13)
                assert np.allclose(found.threshold, expected[2], rtol=1e-13, atol=1e-13)
    assert np.array_equal(random.gumbel_top_k(x, 1, rng=3).indices[:, 0], random.categorical(x, rng=3))


@each_dtype
def test_top_k_never_repeats(dtype: Any) -> None:
    """pytorch 25030: draws without replacement returned duplicates."""
    for n, k in ((5, 5), (200, 200), (3000, 50)):
        indices = random.gumbel_top_k(logits((40, n), dtype, 5.0), k, rng=1).indices
        assert all(np.unique(row).size == k for row in indices)
        assert indices.min() >= 0
        assert indices.max() < n


FILTERS: tuple[dict[str, Any], ...] = (
    {"top_k": 5},
    {"top_p": 0.75},
    {"min_p": 0.05},
    {"top_k": 40, "top_p": 0.9, "ties": "all"},
    {"top_p": 0.9, "top_k": 3, "filter_order": ("top_p", "top_k", "min_p", "temperature")},
)


@each_dtype
def test_top_k_with_a_temperature(dtype: Any, isa: str) -> None:
    """The order of x + T G; the first is what `categorical` draws; none of the noise counts where T is 0."""
    for n in (1, 65, 1000):
        x = np.round(logits((6, n), dtype, 2.0, seed=n), 1)
        for t in (0.0, 0.3, 2.0, 1e30, np.linspace(0, 2, 6)):
            found = random.gumbel_top_k(x, n // 2 + 1, rng=n, temperature=t)
            expected = reference.random.gumbel_top_k(x, n // 2 + 1, n, temperature=t)
            assert np.array_equal(found.indices, expected[0])
            assert np.allclose(found.perturbed, expected[1], rtol=1e-13, atol=1e-13)
            assert np.allclose(found.threshold, expected[2], rtol=1e-13, atol=1e-13)
            assert np.array_equal(found.indices[:, 0], random.categorical(x, rng=n, temperature=t))
            partial = random.gumbel_partial(x, rng=n, temperature=t)
            assert found.perturbed[:, 0].tobytes() == partial["value"].tobytes()
        noise = random.gumbel(x.shape, rng=n, dtype=np.float64, bits=32)
        low = random.gumbel_top_k(x, n, rng=n, temperature=1e-30)  # which the sum of two float64 forgets
        assert np.array_equal(low.indices, np.lexsort((-noise, -x), axis=-1))
        zero = random.gumbel_top_k(x, n, rng=1, temperature=0.0)
        assert np.array_equal(zero.indices, np.argsort(-x, axis=-1, kind="stable"))
        assert np.array_equal(zero.perturbed, -np.sort(-x.astype(np.float64), axis=-1))


@each_dtype
def test_top_k_with_filters_is_that_of_filtered_logits(dtype: Any, isa: str, threads: Callable[[int], None]) -> None:
    for shape in ((6, 3), (5, 300), (2, 20000), (1, 70001)):
        x = np.round(logits(shape, dtype, 3.0, seed=1), 1)
        mask = hashed(x.size, 3).reshape(shape) % np.uint64(3) != 0
        for filters in FILTERS:
            for where in (None, mask):
                place: dict[str, Any] = {"rng": 3, "position": 2, "temperature": 0.7}
                kept = random.filter_logits(x, temperature=0.7, where=where, **filters)
                expected = random.gumbel_top_k(kept, 3, **place)
                for count in (1, 3):
                    threads(count)
                    found = random.gumbel_top_k(x, 3, where=where, **place, **filters)
                    assert all(a.tobytes() == b.tobytes() for a, b in zip(found, expected, strict=True)), filters
                first = random.categorical(x, where=where, **place, **filters)
                assert np.array_equal(found.indices[:, 0], first)
        zero = random.gumbel_top_k(x, 3, rng=1, temperature=0.0, top_k=2)
        assert np.array_equal(zero.indices[:, :2], np.argsort(-x, axis=-1, kind="stable")[:, :2])
        assert (zero.indices[:, 2] == -1).all()


def test_top_k_with_filters_is_the_reference() -> None:
    for n in (7, 200):
        x = logits((4, n), np.float64, 2.0, seed=n)
        for filters in FILTERS:
            found = random.gumbel_top_k(x, 5, rng=n, temperature=0.7, **filters)
            expected = reference.random.gumbel_top_k(x, 5, n, temperature=0.7, **filters)
            assert np.array_equal(found.indices, expected[0]), filters
            assert np.allclose(found.perturbed, expected[1], rtol=1e-13, atol=1e-13)


def test_top_k_of_filtered_rows_without_anything(isa: str) -> None:
    x = np.zeros((3, 5))
    x[0], x[1, 2] = -np.inf, np.nan
    found = random.gumbel_top_k(x, 2, rng=1, top_p=0.5, on_invalid="minus_one")
    assert found.indices[:2].tolist() == [[-1, -1], [-1, -1]]
    assert np.isnan(found.threshold).tolist() == [False, True, False]
    assert (found.indices[2] >= 0).all()
    with pytest.raises(ValueError, match=r"^gumbel_top_k: logits must hold neither NaN nor \+inf, got one in row "):
        random.gumbel_top_k(x, 2, rng=1, top_p=0.5)


def test_probabilities_with_a_temperature() -> None:
    """Of pairs by `top_k_log_prob`, chi-square; sums by `inclusion_weights` are unbiased; T = 1 is refuted."""
    x, t, n = np.log([0.5, 0.25, 0.15, 0.1]), 0.5, 60000
    p = special.softmax(x, temperature=t)
    drawn = random.gumbel_top_k(np.broadcast_to(x, (n, 4)), 2, rng=12, temperature=t)
    pairs = np.array([(i, j) for i, j in itertools.product(range(4), repeat=2) if i != j])
    counts = np.bincount(4 * drawn.indices[:, 0] + drawn.indices[:, 1], minlength=16)[4 * pairs[:, 0] + pairs[:, 1]]
    rows = np.broadcast_to(x, (len(pairs), 4))
    limit = stats.chi2.isf(FALSE_ALARM, len(pairs) - 1)
    for temperature, right in ((t, True), (1.0, False)):
        mean = n * np.exp(random.top_k_log_prob(rows, pairs, temperature=temperature))
        assert np.isclose(mean.sum(), n)
        assert (np.sum((counts - mean) ** 2 / mean) < limit) == right
        weights = random.inclusion_weights(np.broadcast_to(x, (n, 4)), drawn, temperature=temperature)
        estimates = np.sum(weights * drawn.indices, axis=1)
        error = abs(estimates.mean() - np.sum(p * np.arange(4)))
        assert (error < 6.1 * estimates.std() / np.sqrt(n)) == right


def test_top_k_ties_and_levels(isa: str) -> None:
    """Sums of any size are compared exactly; a prefix of a longer draw is the shorter one."""
    x = np.full(300, 1e17)
    assert np.array_equal(random.gumbel_top_k(x, 300, rng=1).indices, random.gumbel_top_k(x * 0, 300, rng=1).indices)
    y = logits(5000, np.float32)
    whole = random.gumbel_top_k(y, 5000, rng=2)
    for k in (1, 17, 1000):
        part = random.gumbel_top_k(y, k, rng=2)
        assert np.array_equal(part.indices, whole.indices[:k])
        assert part.perturbed.tobytes() == whole.perturbed[:k].tobytes()
        assert part.threshold == whole.perturbed[k]
    assert whole.threshold == -np.inf


def test_top_k_probabilities() -> None:
    """Ordered pairs out of four: p_i p_j / (1 - p_i), chi-square; inclusion by threshold is unbiased."""
    x = np.log(np.array([0.5, 0.25, 0.15, 0.1]))
    p = np.exp(x)
    n = 60000
    drawn = random.gumbel_top_k(np.broadcast_to(x, (n, 4)), 2, rng=12)
    counts = np.bincount(4 * drawn.indices[:, 0] + drawn.indices[:, 1], minlength=16)
    pairs = [(i, j) for i, j in itertools.product(range(4), repeat=2) if i != j]
    mean = np.array([n * p[i] * p[j] / (1 - p[i]) for i, j in pairs])
    found = np.array([counts[4 * i + j] for i, j in pairs])
    assert found.sum() == n
    assert np.sum((found - mean) ** 2 / mean) < stats.chi2.isf(FALSE_ALARM, len(pairs) - 1)
    assert np.sum((found - n / 12) ** 2 / (n / 12)) > stats.chi2.isf(FALSE_ALARM, len(pairs) - 1)
    weight = -np.expm1(-np.exp(x[drawn.indices] - drawn.threshold[:, None]))
    values = np.array([3.0, -1.0, 4.0, 10.0])
    estimates = np.sum(p[drawn.indices] / weight * values[drawn.indices], axis=1)
    assert abs(estimates.mean() - np.sum(p * values)) < 6.1 * estimates.std() / np.sqrt(n)


@each_dtype
def test_top_k_of_few_and_of_none(dtype: Any, isa: str) -> None:
    x = np.full((3, 70), -np.inf, dtype)
    x[0, [5, 69]] = 1, 2
    x[2] = logits(70, dtype)
    found = random.gumbel_top_k(x, 4, rng=1)
    assert sorted(found.indices[0, :2].tolist()) == [5, 69]
    assert found.indices[0, 2:].tolist() == [-1, -1]
    assert found.perturbed[0, 2:].tolist() == [-np.inf] * 2
    assert found.indices[1].tolist() == [-1] * 4
    assert found.threshold[:2].tolist() == [-np.inf] * 2
    masked = random.gumbel_top_k(np.where(x == -np.inf, np.nan, x), 4, rng=1, where=x > -np.inf)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(found, masked, strict=True))
    for bad in (np.nan, np.inf):
        x[1, 40] = bad
        with pytest.raises(
            ValueError, match=r"^gumbel_top_k: logits must hold neither NaN nor \+inf, got one in row \(1,\)$"
        ):
            random.gumbel_top_k(x, 4, rng=1)
        spoilt = random.gumbel_top_k(x, 4, rng=1, on_invalid="minus_one")
        assert spoilt.indices[1].tolist() == [-1] * 4
        assert np.isnan(spoilt.perturbed[1]).all()
        assert np.isnan(spoilt.threshold[1])
        assert np.array_equal(spoilt.indices[[0, 2]], found.indices[[0, 2]])
    assert random.gumbel_top_k(np.zeros((2, 0), dtype), 0, rng=1).indices.shape == (2, 0)


@each_dtype
def test_top_k_in_any_batch_layout_and_thread(dtype: Any, threads: Callable[[int], None]) -> None:
    x = logits((60, 700), dtype)
    ids = hashed(60)
    threads(1)
    expected = random.gumbel_top_k(x, 9, rng=1, streams=ids, position=4)
    for n in (1, 2, 3):
        threads(n)
        for axis in (0, 1):
            for name, view in layouts(x):
                found = random.gumbel_top_k(view if axis else view.T, 9, rng=1, axis=axis, streams=ids, position=4)
                assert all(a.tobytes() == b.tobytes() for a, b in zip(found, expected, strict=True)), name
    order = np.random.default_rng(1).permutation(60)
    found = random.gumbel_top_k(x[order], 9, rng=1, streams=ids[order], position=4)
    assert np.array_equal(found.indices, expected.indices[order])


@each_dtype
def test_top_k_of_a_row_that_threads_share(dtype: Any, threads: Callable[[int], None]) -> None:
    """The same as one thread finds, and as in a batch, where every row has a thread of its own."""
    x = np.round(logits((2, 100_003), dtype, 3.0), 1)  # with ties
    x[:, ::7] = -np.inf
    batch, streams = np.concatenate([x] * 8), np.arange(16) % 2
    spoilt = x.copy()
    spoilt[1, 99_999] = np.nan
    for k in (0, 1, 50, 90_000):
        threads(1)
        expected = random.gumbel_top_k(batch, k, rng=1, streams=streams)
        for n in (1, 2, 3, 8):
            threads(n)
            found = random.gumbel_top_k(x, k, rng=1)
            assert all(a.tobytes() == b[:2].tobytes() for a, b in zip(found, expected, strict=True))
            bad = random.gumbel_top_k(spoilt, k, rng=1, on_invalid="minus_one")
            assert np.array_equal(bad.indices[0], expected.indices[0])
            assert np.isnan(bad.threshold[1])
    assert (expected.indices[:, -1] == -1).all()
    assert (expected.indices[:, 80_000] >= 0).all()


# Gumbel-softmax


@each_dtype
def test_softmax_of_logits_and_noise(dtype: Any, isa: str) -> None:
    for n in (1, 5, 64, 65, 1000, 5003):
        x = logits((6, n), dtype, seed=n)
        noise = random.gumbel((6, n), rng=n, dtype=dtype, bits=32)
        for t in (1.0, 0.1, 7.5, np.linspace(0.2, 3, 6)):
            found = random.gumbel_softmax(x, rng=n, temperature=t)
            assert found.tobytes() == special.softmax(x + noise, temperature=t).tobytes()
            exact = reference.random.gumbel_softmax(x, n, temperature=t)
            error, shuffled = (float(np.max(np.abs(y - exact) / exact.max())) for y in (found, np.roll(exact, 1)))
            assert error < (2e-5 if dtype is np.float32 else 1e-13)
            assert shuffled > 0.1 or n == 1


@each_dtype
@pytest.mark.parametrize(
    "shape",
    [(20, 60_001), (3, 70_001), (17, 16_400), (2, 2**18 + 5), (300, 4096), (40_000, 27), (1100, 1000)],
    ids=str,
)
def test_softmax_of_rows_of_all_sizes(shape: tuple[int, int], dtype: Any, threads: Callable[[int], None]) -> None:
    """Many rows and few, short and long: batches, rows alone, rows that threads share, results beside the caches."""
    x = logits(shape, dtype, 3.0)
    x[0, 1], x[-1, 3], x[1, 2] = np.nan, np.inf, -np.inf
    where = np.arange(shape[1]) % 13 > 0
    noise = random.gumbel(shape, rng=1, dtype=dtype, bits=32)
    temperatures = np.linspace(0.5, 2, shape[0])
    plain = special.softmax(x + noise, temperature=0.7).tobytes()
    masked = special.softmax(x + noise, temperature=temperatures, where=where)
    strided = np.zeros((shape[0], 2 * shape[1]), dtype)[:, ::2]
    for n in (1, 3):
        threads(n)
        assert random.gumbel_softmax(x, rng=1, temperature=0.7).tobytes() == plain
        assert random.gumbel_softmax(x, rng=1, temperature=0.7, out=strided) is strided
        assert strided.tobytes() == plain
        found = x.copy()
        random.gumbel_softmax(found, rng=1, temperature=temperatures, where=where, out=found)
        assert found.tobytes() == masked.tobytes()


@each_dtype
def test_hard_is_one_hot_and_what_categorical_draws(dtype: Any, isa: str) -> None:
    """The sum of a one-hot row and of soft minus soft, as peers form it, need not be exact: this is."""
    for n in (1, 5, 64, 1000):
        x = logits((50, n), dtype)
        for offset in (0, 7):
            hard = random.gumbel_softmax(x, rng=n, hard=True, temperature=0.3, index_offset=offset)
            assert hard.dtype == dtype
            assert np.array_equal(np.sort(np.unique(hard)), [0, 1] if n > 1 else [1])
            assert np.array_equal(hard.sum(-1), np.ones(50))
            assert np.array_equal(hard.argmax(-1) + offset, random.categorical(x, rng=n, index_offset=offset))
        soft = random.gumbel_softmax(x, rng=n, temperature=0.3)
        assert np.mean(soft.argmax(-1) == random.gumbel_softmax(x, rng=n, hard=True).argmax(-1)) >= 0.98


@each_dtype
def test_many_rows_are_rows_one_by_one(dtype: Any) -> None:
    """Enough rows to be worked on in blocks."""
    x = logits((9, 5, 30011), dtype)
    streams, positions, t = hashed(45).reshape(9, 5), np.arange(45).reshape(9, 5), np.linspace(0.3, 4, 45).reshape(9, 5)
    mask = hashed(x.size).reshape(x.shape) % np.uint64(3) != 0
    keywords = {"streams": streams, "position": positions, "temperature": t, "where": mask}
    found = random.gumbel_softmax(x, rng=1, **keywords)
    numbered = random.gumbel_softmax(x, rng=1, temperature=t)
    assert np.array_equal(random.gumbel_softmax(x, rng=1, temperature=t[..., None]), numbered)
    across = random.gumbel_softmax(np.moveaxis(x, -1, 0).copy(), rng=1, axis=0, temperature=t)
    assert np.array_equal(np.moveaxis(across, 0, -1), numbered)
    for i, j in itertools.product(range(9), range(5)):
        one = {name: array[i, j] for name, array in keywords.items()}
        assert np.array_equal(found[i, j], random.gumbel_softmax(x[i, j], rng=1, **one))
        assert np.array_equal(
            numbered[i, j], random.gumbel_softmax(x[i, j], rng=1, temperature=t[i, j], streams=5 * i + j)
        )
    with pytest.raises(ValueError, match="position must be a scalar or have the shape of the rows"):
        random.gumbel_softmax(x[:, 0], rng=1, position=[1, 2])


def test_the_largest_is_distributed_as_softmax() -> None:
    """At every temperature; and the mean of the soft rows is not softmax itself."""
    x = np.array([0.0, 1.0, -1.0, 0.5], dtype=np.float32)
    p = special.softmax(x.astype(np.float64))
    for t in (0.1, 1.0, 10.0):
        y = random.gumbel_softmax(np.broadcast_to(x, (40000, 4)), rng=int(t * 10), temperature=t)
        counts = np.bincount(y.argmax(-1), minlength=4)
        assert np.sum((counts - 40000 * p) ** 2 / (40000 * p)) < stats.chi2.isf(FALSE_ALARM, 3)
        assert np.max(np.abs(y.sum(-1) - 1)) < 1e-6


def test_two_categories_are_a_logistic() -> None:
    """Binary Concrete: temperature * logit(y0) - (x0 - x1) is logistic."""
    x = np.array([0.3, -0.5])
    y = random.gumbel_softmax(np.broadcast_to(x, (100000, 2)), rng=6, temperature=0.7)
    assert stats.kstest(0.7 * np.log(y[:, 0] / y[:, 1]) - 0.8, stats.logistic.cdf).pvalue > FALSE_ALARM
    assert stats.kstest(0.7 * np.log(y[:, 0] / y[:, 1]), stats.logistic.cdf).pvalue < FALSE_ALARM


@each_dtype
def test_softmax_in_any_layout_place_and_thread(dtype: Any, threads: Callable[[int], None]) -> None:
    x = logits((20, 700), dtype)
    threads(1)
    expected = random.gumbel_softmax(x, rng=1, temperature=0.5)
    for n in (1, 2, 3):
        threads(n)
        for name, view in layouts(x):
            assert np.array_equal(random.gumbel_softmax(view, rng=1, temperature=0.5), expected), name
            assert np.array_equal(random.gumbel_softmax(view.T, rng=1, axis=0, temperature=0.5), expected.T), name
        for name, out in layouts(np.zeros_like(x)):
            if name != "read-only":
                assert random.gumbel_softmax(x, rng=1, temperature=0.5, out=out) is out
                assert np.array_equal(out, expected), name
    same = x.copy()
    assert random.gumbel_softmax(same, rng=1, temperature=0.5, out=same) is same
    assert np.array_equal(same, expected)
    shifted = np.concatenate([x.ravel(), np.zeros(3, dtype)])
    random.gumbel_softmax(shifted[:-3].reshape(x.shape), rng=1, temperature=0.5, out=shifted[3:].reshape(x.shape))
    assert np.array_equal(shifted[3:].reshape(x.shape), expected)
    big = logits((3, 200003), dtype)
    threads(1)
    expected = random.gumbel_softmax(big, rng=1)
    threads(3)
    assert np.array_equal(random.gumbel_softmax(big, rng=1), expected)


@each_dtype
def test_masks_and_invalid_rows(dtype: Any, isa: str) -> None:
    x = logits((4, 100), dtype)
    mask = hashed(400).reshape(4, 100) % np.uint64(3) != 0
    mask[3] = False
    filled = np.where(mask, x, np.nan).astype(dtype)
    for hard in (False, True):
        found = random.gumbel_softmax(filled, rng=1, where=mask, hard=hard)
        absent = random.gumbel_softmax(np.where(mask, x, -np.inf).astype(dtype), rng=1, hard=hard)
        assert np.array_equal(found, absent, equal_nan=True)
        assert np.all(found[:3][~mask[:3]] == 0)
        assert np.isnan(found[3]).all()
        for bad in (np.nan, np.inf):
            spoilt = x.copy()
            spoilt[1, 7] = bad
            found = random.gumbel_softmax(spoilt, rng=1, hard=hard)
            assert np.isnan(found[1]).all()
            assert not np.isnan(found[[0, 2, 3]]).any()
        assert random.gumbel_softmax(np.zeros((2, 0), dtype), rng=1, hard=hard).shape == (2, 0)


def test_small_temperatures_do_not_underflow_to_nan() -> None:
    """pytorch 184031: tau = 0 is NaN there; here a ValueError, and the least temperatures give one-hot rows."""
    x = logits((50, 30), np.float32)
    y = random.gumbel_softmax(x, rng=1, temperature=1e-30)
    assert np.array_equal(np.sort(y, axis=-1)[:, -2:], np.broadcast_to([0, 1], (50, 2)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: random.gumbel_top_k([1.0, 2.0], 3, rng=1), ValueError, "gumbel_top_k: k must be in [0, 2], got 3"),
        (lambda: random.gumbel_top_k([1.0, 2.0], -1, rng=1), ValueError, "gumbel_top_k: k must be in [0, 2], got -1"),
        (
            lambda: random.gumbel_top_k([1.0, 2.0], 1, rng=1, temperature=-1.0),
            ValueError,
            "gumbel_top_k: temperature must be in [0, 2**900], got -1.0",
        ),
        (
            lambda: random.gumbel_top_k([1.0, 2.0], 1, rng=1, top_k=0),
            ValueError,
            "gumbel_top_k: top_k must be at least 1 (the number of categories keeps all), got 0",
        ),
        (
            lambda: random.top_k_log_prob([1.0, 2.0], [0], temperature=0.0),
            ValueError,
            "top_k_log_prob: temperature must be positive and finite, got 0.0",
        ),
        (lambda: random.gumbel_top_k([1.0, 2.0], 1.0, rng=1), TypeError, "gumbel_top_k: k must be an int, got float"),
        (
            lambda: random.gumbel_top_k([1.0, 2.0], 1, rng=None),
            TypeError,
            "gumbel_top_k: rng must be a Key, an int seed or a numpy Generator, got NoneType",
        ),
        (
            lambda: random.gumbel_top_k([1.0, 2.0], 1, rng=1, on_invalid="no"),
            ValueError,
            "gumbel_top_k: on_invalid must be 'raise' or 'minus_one', got 'no'",
        ),
        (
            lambda: random.gumbel_top_k(2.0, 1, rng=1),
            ValueError,
            "gumbel_top_k: logits must have at least one axis, got a scalar",
        ),
        (
            lambda: random.gumbel_softmax([1.0, 2.0], rng=1, temperature=0.0),
            ValueError,
            "gumbel_softmax: temperature must be positive and finite, got 0.0",
        ),
        (
            lambda: random.gumbel_softmax([1.0, 2.0], rng=1, temperature=np.nan),
            ValueError,
            "gumbel_softmax: temperature must be positive and finite, got nan",
        ),
        (
            lambda: random.gumbel_softmax([[1.0], [2.0]], rng=1, temperature=[1.0, -2.0]),
            ValueError,
            "gumbel_softmax: temperature must be positive and finite, got -2.0",
        ),
        (
            lambda: random.gumbel_softmax([1.0, 2.0], rng=1, temperature=5e-324, hard=True),
            ValueError,
            "gumbel_softmax: temperature must not be subnormal, got 5e-324",
        ),
        (
            lambda: random.gumbel_softmax([1.0, 2.0], rng=1, out=np.zeros(3)),
            ValueError,
            "gumbel_softmax: out must have shape (2,), got (3,)",
        ),
        (
            lambda: random.gumbel_softmax(np.float32([1.0, 2.0]), rng=1, out=np.zeros(2)),
            TypeError,
            "gumbel_softmax: out must have dtype float32, got float64",
        ),
        (
            lambda: random.gumbel_softmax([1.0, 2.0], rng=1, axis=1),
            ValueError,
            "gumbel_softmax: axis must be in [-1, 1), got 1",
        ),
    ],
)
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message

"""Token filters: what they keep, in which order and of which ties; the same draw as from masked logits; refusals."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import layouts
from scipy import stats

from sorgum import random, reference, special
from sorgum._data.inputs import hashed, logits, words

Array = Any
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
each_method = pytest.mark.parametrize("method", ["gumbel", "inverse"])
each_ties = pytest.mark.parametrize("ties", ["first", "all"])
DEFAULT = ("temperature", "min_p", "top_k", "top_p")
ORDERS = (DEFAULT, ("top_k", "top_p", "min_p", "temperature"), ("top_p", "temperature", "top_k", "min_p"))
FILTERS: tuple[dict[str, Any], ...] = (
    {"top_k": 1},
    {"top_k": 7},
    {"top_k": 2**64 - 1},
    {"top_p": 0.9},
    {"top_p": 1e-12},
    {"top_p": 1 - 1e-9},
    {"min_p": 0.03},
    {"min_p": 1.0},
    {"min_p": 0.0},
    {"top_k": 20, "top_p": 0.8123, "temperature": 0.7},
    {"top_k": 50, "top_p": 0.5, "min_p": 0.001, "temperature": 3.0},
)
FALSE_ALARM = 1e-9


def kept(*args: Any, **keywords: Any) -> Array:
    return random.filter_logits(*args, **keywords) > -np.inf


# What is kept


@each_dtype
@each_ties
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_keeps_what_the_reference_keeps(order: Any, ties: Any, dtype: Any, isa: str) -> None:
    """Logits of N(0, s), as they are and rounded so that there are many ties, with and without -inf."""
    sizes = set()
    for n, scale in itertools.product((1, 2, 5, 63, 300, 1000, 5003), (0.0, 0.3, 3.0, 30.0)):
        for step in (None, 0.5):
            x = logits(n, dtype, scale, seed=n + 1)
            x = x if step is None else (np.round(x / step) * step).astype(dtype)
            x[3::7] = -np.inf
            for keywords in FILTERS:
                found = random.filter_logits(x, filter_order=order, ties=ties, **keywords)
                expected = reference.random.filtered(x, filter_order=order, ties=ties, **keywords)
                assert np.array_equal(found, np.where(expected, x, -np.inf)), (n, scale, step, keywords)
                assert found.dtype == dtype
                sizes.add(int(expected.sum()))
    assert len(sizes) > 30


def test_known_answers(isa: str) -> None:
    """Where libraries disagree: top-k then top-p renormalises, top-p then top-k does not; ties."""
    x = np.log([0.30, 0.25, 0.24, 0.11, 0.10])
    assert kept(x, top_k=3, top_p=0.35).tolist() == [True, False, False, False, False]
    joint = ("temperature", "min_p", "top_p", "top_k")
    assert kept(x, top_k=3, top_p=0.35, filter_order=joint).tolist() == [True, True, False, False, False]
    ties = np.log([0.4, 0.3, 0.3, 1e-30])
    assert kept(ties, top_k=2).tolist() == [True, True, False, False]
    assert kept(ties, top_k=2, ties="all").tolist() == [True, True, True, False]
    assert kept(ties, top_p=0.6).tolist() == [True, True, False, False]
    assert kept(ties, top_p=0.6, ties="all").tolist() == [True, True, True, False]
    # The temperature changes what weighs how much, unless it comes last.
    assert kept(x, top_p=0.5, temperature=0.1).sum() == 1
    assert kept(x, top_p=0.5, temperature=0.1, filter_order=ORDERS[1]).sum() == 2
    assert kept(x, min_p=0.5, temperature=10.0).sum() == 5
    assert kept(x, min_p=0.5, temperature=10.0, filter_order=ORDERS[1]).sum() == 3
    # A mass that ends exactly at p is enough: 1/2 of four equal ones are two.
    assert kept(np.zeros(4), top_p=0.5).tolist() == [True, True, False, False]
    assert kept(np.zeros(4), top_p=0.5, ties="all").all()
    assert kept(np.zeros(4), top_p=np.nextafter(0.5, 1)).sum() == 3
    # The two zeros are one logit.
    zeros = np.array([-1.0, -0.0, 0.0, -0.0])
    assert kept(zeros, top_k=2).tolist() == [False, True, True, False]
    assert kept(zeros, top_k=2, ties="all").tolist() == [False, True, True, True]
    assert kept(np.array([0.0, -0.0, -5e-324, 5e-324]), top_k=3).tolist() == [True, True, False, True]


@each_dtype
def test_temperature_zero_keeps_the_largest(dtype: Any, isa: str) -> None:
    x = np.array([1, 3, 3, 2, 3], dtype)
    assert kept(x, temperature=0.0, top_p=0.999).tolist() == [False, True, True, False, True]
    assert kept(x, temperature=0.0, top_p=0.5).tolist() == [False, True, True, False, False]
    assert kept(x, temperature=0.0, min_p=1e-300).tolist() == [False, True, True, False, True]
    assert kept(x, temperature=0.0, top_k=4).tolist() == [False, True, True, True, True]
    assert random.categorical(x, rng=1, temperature=0.0, top_k=2, top_p=0.1) == 1


@each_dtype
def test_any_encodings(dtype: Any, isa: str) -> None:
    """Random encodings: subnormals, both zeros, the largest numbers; the k largest are the k largest."""
    x = words(4000, dtype, 7)
    x = np.where(np.isfinite(x), x, 0).astype(dtype)
    order = np.lexsort((np.arange(x.size), -x))
    for k in (1, 2, 100, 1999, 3999, 4000):
        assert np.array_equal(np.nonzero(kept(x, top_k=k))[0], np.sort(order[:k]))
    for t in (1.0, 1e-300, 1e270):
        mask = kept(x, top_p=0.5, temperature=t)
        assert np.array_equal(np.nonzero(mask)[0], np.sort(order[: mask.sum()]))
    if dtype is np.float32:
        assert kept(x, top_p=0.5, temperature=2.0**900).sum() == 2000


@each_dtype
def test_logits_of_any_size(dtype: Any, isa: str) -> None:
    for level in (0.0, 1e8, -1e8, 1e30, -1e30, 3e38, -3e38):
        x = np.full(9000, -3.2e38, dtype)
        x[[17, 4095, 4096, 8999]] = level
        for t in (1.0, 1e-30, 1e-3):
            assert np.nonzero(kept(x, top_p=0.75, temperature=t))[0].tolist() == [17, 4095, 4096]
            assert np.nonzero(kept(x, top_p=0.6, temperature=t, ties="all"))[0].tolist() == [17, 4095, 4096, 8999]
            assert np.nonzero(kept(x, min_p=0.5, temperature=t))[0].tolist() == [17, 4095, 4096, 8999]
            assert np.nonzero(kept(x, top_k=2, temperature=t))[0].tolist() == [17, 4095]


@each_dtype
@pytest.mark.parametrize("data", ["normal", "flat", "peaked", "heavy", "two levels", "light sample", "heavy sample"])
def test_long_rows(data: str, dtype: Any, isa: str) -> None:
    """Rows where the threshold is found by lists, by samples or without either."""
    n = 150001 if isa != "scalar" else 30011
    x = logits(n, dtype, 3.0, seed=4)
    if data == "flat":
        x[:] = 1.5
    if data == "peaked":
        x = (x / 10).astype(dtype)
        x[n // 2 :: n // 5] += 40
    if data == "heavy":
        x = np.sinh(x).astype(dtype)
    if data == "two levels":
        x = np.where(np.arange(n) % 3 == 0, 0.0, -2.0).astype(dtype)
    if data.endswith("sample"):  # what the search samples, 16 of every 1024, says nothing of the others
        x[np.arange(n) % 1024 < 16] += -20 if data == "light sample" else 5
    order = np.lexsort((np.arange(n), -x))
    weights = np.exp(x[order].astype(np.longdouble) - x.max())
    before = np.concatenate([[0], np.cumsum(weights)[:-1]]) / weights.sum()
    for p in (0.01, 0.5, 0.9, 0.99999):
        count = int(kept(x, top_p=p).sum())
        assert np.array_equal(np.sort(order[:count]), np.nonzero(kept(x, top_p=p))[0])
        slack = 2.0**-20 if dtype is np.float32 else 2.0**-40
        assert before[count - 1] < p + slack
        assert count == n or before[count] >= p - slack
    for k in (1, 50, 1000, n // 2, n - 1):
        assert np.array_equal(np.sort(order[:k]), np.nonzero(kept(x, top_k=k))[0])


@each_dtype
@pytest.mark.parametrize(("n", "depth"), [(1000, 29.5), (32000, 29.5), (2**18, 29.5), (2**20, 20.0), (2**22, 28.0)])
def test_light_tails(n: int, depth: float, dtype: Any) -> None:
    """Of n - 1 equal elements that weigh next to nothing, and together little: half are needed, and half are kept."""
    x = np.full(n, -depth, dtype)
    x[n // 2] = 0
    each = np.exp(-np.longdouble(x.dtype.type(depth)))
    whole = 1 + (n - 1) * each
    p = float((1 + (n // 4 + 0.5) * each) / whole)
    coarse = dtype is np.float32 and n <= 2**18
    slack = 2.0 ** (-23 if dtype is np.float32 else -51) + n * 2.0 ** (-44 if coarse else -85)
    count = int(kept(x, top_p=p).sum())
    mass = 1 + (count - 1) * each
    assert (mass - each) / whole < p + slack
    assert mass / whole >= p - slack
    if dtype is np.float64 and n < 2**20:  # an element is more than the slack
        assert each / whole > slack
        assert count == n // 4 + 2


@each_dtype
def test_sums_of_whole_chunks_are_exact(dtype: Any, isa: str) -> None:
    """Equal elements, whose weights, from 0.71 to 1.41, are the largest that a chunk can have: half are half."""
    for n in (4096, 8192, 2**18, 2**19):
        for level in np.linspace(0, np.log(2), 5 if n < 10_000 else 2):
            x = np.full(n, level, dtype)
            for count in (1, n // 2, n - 1):
                assert kept(x, top_p=count / n).sum() == count
                assert kept(x, top_p=np.nextafter(count / n, 1)).sum() == count + 1


@each_dtype
def test_subnormal_temperatures_count_as_zero(dtype: Any, isa: str) -> None:
    x = np.array([1, 3, 3, 2, 3], dtype)
    for keywords in ({"top_p": 0.999}, {"top_p": 0.5}, {"min_p": 1e-300}, {"top_k": 4}):
        expected = kept(x, temperature=0.0, **keywords)
        for t in (5e-324, 1e-310, np.nextafter(2.0**-1022, 0)):
            assert np.array_equal(kept(x, temperature=t, **keywords), expected), (keywords, t)


def test_top_p_of_one_keeps_what_weighs_nothing() -> None:
    x = np.array([0.0, -1e4, -np.inf])
    assert kept(x, top_p=1.0).tolist() == [True, True, False]
    assert kept(x, top_p=np.nextafter(1, 0)).tolist() == [True, False, False]


# The draw


@each_dtype
@each_method
@each_ties
def test_a_filtered_row_is_the_row_with_the_rest_masked(ties: Any, method: Any, dtype: Any, isa: str) -> None:
    """Bit for bit, log_prob too, for masks by where and by -inf, for samples and single draws."""
    drawn = set()
    for n in (1, 5, 64, 1000, 5003, 20011):
        for scale in (0.0, 1.0, 6.0):
            x = logits((3, n), dtype, scale, seed=n)
            for keywords in FILTERS:
                t = keywords.get("temperature", 1.0)
                place: dict[str, Any] = {"rng": n, "method": method, "streams": [5, 2**60, 7], "position": 3}
                place |= {"return_log_prob": True, "index_offset": n}
                found = random.categorical(x, ties=ties, **keywords, **place)
                mask = kept(x, ties=ties, **keywords)
                masked = random.categorical(np.where(mask, x, -np.inf).astype(dtype), temperature=t, **place)
                where = random.categorical(x, where=mask, temperature=t, **place)
                samples = random.categorical(x, ties=ties, num_samples=2, **keywords, **place)
                for a, b, c, s in zip(found, masked, where, samples, strict=True):
                    assert a.tobytes() == b.tobytes() == c.tobytes() == s[:, 0].copy().tobytes(), (n, keywords)
                assert np.all(np.take_along_axis(mask, found[0][:, None] - n, axis=-1))
                drawn.update(found[0].tolist())
    assert len(drawn) > 30


@each_method
def test_probabilities_after_filters(method: Any) -> None:
    """Chi-square over the kept categories; nothing else is ever drawn."""
    x = logits(60, np.float32, 1.5, seed=3)
    keywords: dict[str, Any] = {"top_k": 20, "top_p": 0.8, "temperature": 1.3}
    mask = kept(x, **keywords)
    n = 100000
    counts = np.bincount(random.categorical(x, rng=5, num_samples=n, method=method, **keywords), minlength=60)
    assert counts[~mask].sum() == 0
    p = special.softmax(np.where(mask, x.astype(np.float64), -np.inf), temperature=1.3)[mask]
    assert 5 < p.size < 20
    assert np.sum((counts[mask] - n * p) ** 2 / (n * p)) < stats.chi2.isf(FALSE_ALARM, p.size - 1)
    flat = n / p.size
    assert np.sum((counts[mask] - flat) ** 2 / flat) > stats.chi2.isf(FALSE_ALARM, p.size - 1)


@each_dtype
def test_one_number_per_row(dtype: Any, isa: str) -> None:
    """Requests of a batch have their own filters, and draw as they do alone."""
    x = logits((4, 700), dtype, 3.0)
    k, p, m, t = [1, 5, 700, 40], [1.0, 0.9, 0.5, 0.8], [0.0, 0.1, 0.0, 0.01], [1.0, 0.5, 2.0, 0.7]
    together = random.categorical(x, rng=1, top_k=k, top_p=p, min_p=m, temperature=t)
    for r in range(4):
        alone = random.categorical(x[r], rng=1, streams=r, top_k=k[r], top_p=p[r], min_p=m[r], temperature=t[r])
        assert alone == together[r]
    columns = random.filter_logits(x.T, axis=0, top_k=k, top_p=p, min_p=m, temperature=t)
    assert np.array_equal(columns.T, random.filter_logits(x, top_k=k, top_p=p, min_p=m, temperature=t))
    kept_axis = random.filter_logits(x.T, axis=0, top_k=np.array([k]), top_p=np.array([p]), temperature=np.array([t]))
    assert np.array_equal(kept_axis.T, random.filter_logits(x, top_k=k, top_p=p, temperature=t))


# The same everywhere


@each_dtype
@pytest.mark.parametrize("shape", [(7, 300), (300, 7), (1, 1), (2, 5003)], ids=str)
def test_layouts(shape: tuple[int, int], dtype: Any) -> None:
    x = np.round(logits(shape, dtype, 3.0), 1).astype(dtype)
    mask = hashed(x.size).reshape(shape) % np.uint64(4) != 0
    keywords: dict[str, Any] = {"top_k": 30, "top_p": 0.7, "min_p": 1e-4}
    for axis in (0, 1):
        plain = np.ascontiguousarray(np.moveaxis(x, axis, -1))
        expected = random.filter_logits(plain, where=np.moveaxis(mask, axis, -1), **keywords)
        draws = random.categorical(plain, rng=1, on_invalid="minus_one", **keywords)
        for name, view in layouts(x):
            found = random.filter_logits(view, axis=axis, where=mask, **keywords)
            assert np.array_equal(np.moveaxis(found, axis, -1), expected), name
            assert np.array_equal(
                random.categorical(view, rng=1, axis=axis, on_invalid="minus_one", **keywords), draws
            ), name
    out = np.full(shape[::-1], 7, dtype).T
    assert random.filter_logits(x, out=out, **keywords) is out
    assert np.array_equal(out, random.filter_logits(x, **keywords))
    assert random.filter_logits(x, out=x, **keywords) is x
    assert np.array_equal(x, out)


@each_dtype
def test_threads_and_batches(dtype: Any, threads: Callable[[int], None]) -> None:
    x = logits((41, 9001), dtype, 3.0)
    keywords: dict[str, Any] = {"top_k": 3000, "top_p": 0.9}
    threads(1)
    expected, draws = random.filter_logits(x, **keywords), random.categorical(x, rng=1, **keywords)
    for n in (2, 3, 8):
        threads(n)
        assert random.filter_logits(x, **keywords).tobytes() == expected.tobytes()
        assert np.array_equal(random.categorical(x, rng=1, **keywords), draws)
    for r in (0, 40):
        assert random.filter_logits(x[r], **keywords).tobytes() == expected[r].tobytes()
        assert random.categorical(x[r], rng=1, streams=r, **keywords) == draws[r]


@each_dtype
@pytest.mark.parametrize("step", [None, 0.5])
def test_threads_share_a_long_row(step: float | None, dtype: Any, threads: Callable[[int], None]) -> None:
    """The same as one thread finds, and as in a batch, where every row has a thread of its own."""
    x = logits((2, 100_003), dtype, 3.0)
    x = x if step is None else (np.round(x / step) * step).astype(dtype)
    batch = np.concatenate([x] * 8)
    streams = np.arange(16) % 2
    where = np.arange(x.shape[-1]) % 11 > 0
    for keywords in (
        {"top_p": 0.9},
        {"top_k": 700, "top_p": 0.9},
        {"min_p": 0.01},
        {"top_k": 60_000},
        {"top_p": 0.999, "temperature": 5.0},
        {"top_k": 300, "where": where},
    ):
        threads(1)
        kept = random.filter_logits(batch, **keywords)
        drawn = random.categorical(batch, rng=1, streams=streams, return_log_prob=True, **keywords)
        inverse = random.categorical(batch, rng=1, streams=streams, method="inverse", **keywords)
        for n in (1, 2, 3, 8):
            threads(n)
            assert random.filter_logits(x, **keywords).tobytes() == kept[:2].tobytes()
            again = random.categorical(x, rng=1, return_log_prob=True, **keywords)
            assert all(np.array_equal(a, b[:2]) for a, b in zip(again, drawn, strict=True))
            assert np.array_equal(random.categorical(x, rng=1, method="inverse", **keywords), inverse[:2])


@each_dtype
def test_inversion_from_lists(dtype: Any, isa: str) -> None:
    """As from the row with -inf for all that is not kept: chunks with many of those kept, with one and with none."""
    x = logits((3, 50_001), dtype, 3.0)
    x[1, 5000:47_000] = -1000
    x[2, -1] = 30
    filters: tuple[dict[str, Any], ...] = ({"top_k": 40}, {"top_k": 9000}, {"top_p": 0.8}, {"min_p": 1e-3, "top_k": 1})
    for keywords in filters:
        for t in (1.0, 0.3, 4.0):
            kept = random.filter_logits(x, temperature=t, **keywords)
            for position in range(25):
                place: dict[str, Any] = {"rng": 1, "method": "inverse", "temperature": t, "position": position}
                drawn = random.categorical(x, **place, **keywords)
                assert np.array_equal(drawn, random.categorical(kept, **place))


@each_dtype
def test_lists_across_the_counter(dtype: Any, isa: str) -> None:
    """A list whose blocks' numbers pass 2^32, where a carry enters the counter's second word."""
    x = logits(3000, dtype, 3.0)
    for first in (2**34 - 1201, 2**34, 5):
        drawn = {
            int(random.categorical(x, rng=1, position=i, top_k=900, index_offset=first)) - first for i in range(40)
        }
        masked = np.where(kept(x, top_k=900), x, -np.inf)
        expected = {int(random.categorical(masked, rng=1, position=i, index_offset=first)) - first for i in range(40)}
        assert drawn == expected
        assert len(drawn) > 5


# What is no row, and what is refused


@each_dtype
@each_method
def test_invalid_rows(method: Any, dtype: Any, isa: str) -> None:
    x = logits((5, 700), dtype)
    x[1, 300], x[2, 699], x[3] = np.nan, np.inf, -np.inf
    for keywords in FILTERS:
        found = random.filter_logits(x, **keywords)
        assert np.all(np.isnan(found[1:3]))
        assert np.all(found[3] == -np.inf)
        tokens = random.categorical(x, rng=1, method=method, on_invalid="minus_one", **keywords)
        assert tokens[1:4].tolist() == [-1] * 3
        assert np.all(tokens[[0, 4]] >= 0)
        with pytest.raises(ValueError, match=r"^categorical: logits must hold neither NaN nor \+inf, got one in row"):
            random.categorical(x, rng=1, method=method, **keywords)
        hidden = random.filter_logits(x, where=np.isfinite(x), **keywords)
        assert not np.isnan(hidden).any()
        assert np.array_equal(hidden[[0, 4]], found[[0, 4]])
    assert random.filter_logits(np.zeros((2, 0), dtype), top_k=1).shape == (2, 0)
    assert random.filter_logits(np.zeros((0, 4), dtype), top_p=0.5).shape == (0, 4)
    assert random.categorical(np.zeros((2, 0), dtype), rng=1, top_p=0.5, on_invalid="minus_one").tolist() == [-1, -1]


@pytest.mark.slow
def test_two_to_the_31_categories() -> None:
    n = 2**31 + 10
    x = np.broadcast_to(np.float32(0.5), (n,))
    assert random.categorical(x, rng=1, top_k=1) == 0
    assert random.categorical(x, rng=1, top_k=n - 1, method="inverse") < n - 1


REFUSALS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"top_k": 0}, ValueError, "top_k must be at least 1 (the number of categories keeps all), got 0"),
    ({"top_k": [3, -1]}, ValueError, "top_k must be at least 1 (the number of categories keeps all), got -1"),
    ({"top_k": 2.0}, TypeError, "top_k must be an integer or an array of them, got dtype dtype('float64')"),
    ({"top_k": [1, 2, 3]}, ValueError, "top_k must be a scalar or have the shape of the rows, (2,), got shape (3,)"),
    ({"top_p": 0.0}, ValueError, "top_p must be in (0, 1], got 0.0"),
    ({"top_p": 1.5}, ValueError, "top_p must be in (0, 1], got 1.5"),
    ({"top_p": np.nan}, ValueError, "top_p must be in (0, 1], got nan"),
    ({"top_p": [0.5, -1]}, ValueError, "top_p must be in (0, 1], got -1.0"),
    ({"top_p": "0.5"}, TypeError, "top_p must be a real number or an array of them, got dtype dtype('<U3')"),
    ({"min_p": -0.1}, ValueError, "min_p must be in [0, 1], got -0.1"),
    ({"min_p": 2}, ValueError, "min_p must be in [0, 1], got 2.0"),
    ({"min_p": [[0.5]]}, ValueError, "min_p must be a scalar or have the shape of the rows, (2,), got shape (1, 1)"),
    ({"top_p": 0.5, "temperature": -1.0}, ValueError, "temperature must be in [0, 2**900], got -1.0"),
    ({"top_p": 0.5, "ties": "last"}, ValueError, "ties must be 'first' or 'all', got 'last'"),
    ({"top_p": 0.5, "ties": None}, TypeError, "ties must be a string, got None"),
    (
        {"top_p": 0.5, "ties": np.array(["all", "all"])},
        TypeError,
        "ties must be a string, got array(['all', 'all'], dtype='<U3')",
    ),
    ({"top_p": 0.5, "filter_order": None}, TypeError, "filter_order must be a sequence of strings, got None"),
    ({"top_p": 0.5, "filter_order": 5}, TypeError, "filter_order must be a sequence of strings, got 5"),
    (
        {"top_p": 0.5, "filter_order": ("top_p", 1)},
        TypeError,
        "filter_order must be a sequence of strings, got ('top_p', 1)",
    ),
    ({"top_p": 0.5, "filter_order": "top_p"}, TypeError, "filter_order must be a sequence of strings, got 'top_p'"),
    (
        {"top_p": 0.5, "filter_order": ("top_p",)},
        ValueError,
        "filter_order must name temperature, min_p, top_k and top_p once each, got (top_p)",
    ),
    (
        {"top_p": 0.5, "filter_order": ("top_p", "top_p", "min_p", "temperature")},
        ValueError,
        "filter_order must name temperature, min_p, top_k and top_p once each, got (top_p, top_p, min_p, temperature)",
    ),
]


@pytest.mark.parametrize(("keywords", "error", "message"), REFUSALS)
def test_refusals(keywords: dict[str, Any], error: type[Exception], message: str) -> None:
    for name, function in (("filter_logits", random.filter_logits), ("categorical", random.categorical)):
        place = {"rng": 1} if name == "categorical" else {}
        with pytest.raises(error) as caught:
            function(np.zeros((2, 3)), **place, **keywords)
        assert str(caught.value) == f"{name}: {message}"


def test_refusals_of_out() -> None:
    with pytest.raises(ValueError, match=r"^filter_logits: out must have shape \(3,\), got \(2,\)$"):
        random.filter_logits(np.zeros(3), out=np.zeros(2))
    with pytest.raises(TypeError, match=r"^filter_logits: out must have dtype float64, got float32$"):
        random.filter_logits(np.zeros(3), out=np.zeros(3, np.float32))
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match=r"^filter_logits: out must be writable, got a read-only array$"):
        random.filter_logits(np.zeros(3), out=frozen)


# Penalties


@each_dtype
def test_penalties_are_what_the_reference_has(dtype: Any, isa: str) -> None:
    x = logits((6, 50), dtype, 3.0)
    x[0, 3], x[1, 3] = -np.inf, np.inf
    tokens = (hashed(6 * 40) % np.uint64(50)).astype(np.int64).reshape(6, 40)
    tokens[tokens > 30] = -1
    prompt = (hashed(6 * 9, 3) % np.uint64(50)).astype(np.int64).reshape(6, 9)
    for r, f, p in ((1.0, 0.0, 0.0), (1.3, 0.0, 0.0), (1.0, 0.2, -0.5), (0.7, 0.1, 0.3)):
        for before in (None, prompt):
            keywords = {"repetition": r, "frequency": f, "presence": p, "prompt": before}
            found = random.apply_penalties(x, tokens, **keywords)
            expected = reference.random.penalised(x, tokens, **keywords)
            assert found.dtype == dtype
            assert found.tobytes() == expected.astype(dtype).tobytes()
            assert np.array_equal(found, x) == (r == 1 and f == 0 and p == 0)
            columns = random.apply_penalties(x.T, tokens, axis=0, **keywords)
            assert columns.T.copy().tobytes() == found.tobytes()
            same = x.copy()
            assert random.apply_penalties(same, tokens[:, ::-1], out=same, **keywords) is same
            assert same.tobytes() == found.tobytes()
    per_row = random.apply_penalties(x, tokens, repetition=np.linspace(1, 2, 6), frequency=np.arange(6) / 8)
    for k in range(6):
        alone = random.apply_penalties(x[k], tokens[k], repetition=np.linspace(1, 2, 6)[k], frequency=k / 8)
        assert alone.tobytes() == per_row[k].tobytes()


def test_penalties_of_nothing_and_in_threads(threads: Callable[[int], None]) -> None:
    x = logits((300, 500), np.float32)
    assert random.apply_penalties(x, np.zeros((300, 0), np.int64), repetition=2.0).tobytes() == x.tobytes()
    assert random.apply_penalties([1.0, 2.0], [], repetition=2.0).tolist() == [1.0, 2.0]
    assert random.apply_penalties([1.0, 2.0], [-1, -1], repetition=2.0).tolist() == [1.0, 2.0]
    tokens = (hashed(300 * 200) % np.uint64(500)).astype(np.int32).reshape(300, 200)
    threads(1)
    expected = random.apply_penalties(x, tokens, repetition=1.1, frequency=0.1, presence=0.2)
    threads(2)
    assert (
        random.apply_penalties(x, tokens, repetition=1.1, frequency=0.1, presence=0.2).tobytes() == expected.tobytes()
    )
    assert np.isnan(random.apply_penalties(np.array([np.nan, 1.0]), [0], repetition=2.0)[0])


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"tokens": [[3], [0]]}, ValueError, "tokens must be in [-1, 3), got 3"),
        ({"tokens": [[-2], [0]]}, ValueError, "tokens must be in [-1, 3), got -2"),
        ({"tokens": [[2.0], [0.0]]}, TypeError, "tokens must be an array of integers, got dtype dtype('float64')"),
        (
            {"tokens": [0, 1]},
            ValueError,
            "tokens must have the shape of the rows, (2,), and one axis more, got shape (2,)",
        ),
        ({"prompt": [[0], [9]]}, ValueError, "prompt must be in [-1, 3), got 9"),
        ({"repetition": 0.0}, ValueError, "repetition must be positive and finite, got 0.0"),
        ({"repetition": np.nan}, ValueError, "repetition must be positive and finite, got nan"),
        ({"frequency": np.inf}, ValueError, "frequency must be finite, got inf"),
        ({"presence": [0.0, -np.inf]}, ValueError, "presence must be finite, got -inf"),
        (
            {"presence": [0.0, 1.0, 2.0]},
            ValueError,
            "presence must be a scalar or have the shape of the rows, (2,), got shape (3,)",
        ),
        ({"axis": 2}, ValueError, "axis must be in [-2, 2), got 2"),
        ({"axis": None}, TypeError, "axis must be an int, got None"),
        ({"out": np.zeros((2, 4))}, ValueError, "out must have shape (2, 3), got (2, 4)"),
    ],
)
def test_refusals_of_penalties(keywords: dict[str, Any], error: type[Exception], message: str) -> None:
    x = np.arange(6.0).reshape(2, 3)
    same = x.copy()
    for out in ({}, {"out": same}):
        with pytest.raises(error) as caught:
            random.apply_penalties(x, **({"tokens": [[0], [1]]} | out | keywords))
        assert str(caught.value) == f"apply_penalties: {message}"
    assert np.array_equal(same, x)

"""Gumbel-max draws: the exact winner, whatever the screening skips; probabilities and tails; the incidents of peers.

Seeds are fixed, and each limit is computed for a false alarm of 1e-9.
"""

import itertools
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from cases import layouts
from scipy import stats

import sorgum as sg
from sorgum import _core, random, reference, special
from sorgum._data.inputs import hashed, logits

Array = Any
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
each_method = pytest.mark.parametrize("method", ["gumbel", "inverse"])
FALSE_ALARM = 1e-9
TEMPERATURES = (1.0, 0.25, 3.0, 1e-3, 1e3, 1e-30, 1e30)


def chi_square_limit(cells: int) -> float:
    return float(stats.chi2.isf(FALSE_ALARM, cells - 1))


def chi_square(counts: Array, p: Array) -> tuple[float, int]:
    """Return the statistic and the number of cells; those expected below 10 are put together."""
    mean = p * counts.sum()
    small = mean < 10
    if small.any():
        counts = np.append(counts[~small], counts[small].sum())
        mean = np.append(mean[~small], mean[small].sum())
    assert mean.min() > 1
    return float(np.sum((counts - mean) ** 2 / mean)), counts.size


def drawn_with(words: Array, x: Array, temperature: float = 1.0) -> tuple[float, int]:
    """Return value and index of the draw from one row whose words are given."""
    out = np.empty(4)
    encoded = np.ascontiguousarray(words, dtype=np.uint32).view(np.float32)
    _core.random.draw("test", x, np.array(temperature), None, 0, None, np.array(0), 0, out, False, False, given=encoded)
    return float(out[0]), int(out[2:3].view(np.int64)[0])


def gumbels_of(words: Array) -> Array:
    out = np.empty(words.size)
    encoded = np.ascontiguousarray(words, dtype=np.uint32).view(np.float32)
    _core.random.noise("gumbel", False, 0, None, np.array(0), 0, [words.size], out, encoded)
    return out


def exact_winner(x: Array, noise: Array) -> int:
    """Return the first of the largest x + noise in rational numbers, -1 if all are -inf."""
    sums = [None if a == -np.inf else Fraction(float(a)) + Fraction(float(b)) for a, b in zip(x, noise, strict=True)]
    present = [s for s in sums if s is not None]
    return sums.index(max(present)) if present else -1


# The exact winner


@each_dtype
def test_is_the_argmax_of_logits_and_noise(dtype: Any, isa: str) -> None:
    for n in (1, 2, 63, 64, 65, 130, 1000, 5003):
        noise = random.gumbel((6, n), rng=n, dtype=np.float64, bits=32)
        for scale in (0.0, 1.0, 10.0):
            x = logits((6, n), dtype, scale, seed=n)
            for t in TEMPERATURES:
                expected = np.argmax(x.astype(np.float64) / t + noise, axis=-1)
                assert np.array_equal(random.categorical(x, rng=n, temperature=t), expected), (n, scale, t)
            assert np.array_equal(random.categorical(x, rng=n, temperature=0.0), np.argmax(x, axis=-1))
            assert np.array_equal(random.categorical(x, rng=n), reference.random.categorical(x, n))


@each_dtype
def test_the_screening_loses_nobody(dtype: Any, isa: str) -> None:
    """Scripted words, extreme ones among them, and logits that chase the leader: against rational arithmetic."""
    source = np.random.default_rng(4)
    for round_ in range(300):
        n = int(source.integers(1, 200))
        words = source.integers(0, 2**32, n, dtype=np.uint64).astype(np.uint32)
        words >>= source.integers(0, 32, n).astype(np.uint32) * np.uint32(round_ % 3 == 0)
        words[source.random(n) < 0.1] = 0xFFFFFFFF
        words[source.random(n) < 0.1] = 0
        t = float(2.0 ** source.integers(-20, 20))
        noise = gumbels_of(words) * t
        if round_ % 2:  # all sums near one another: x is what is missing to a common level
            level = float(10.0 ** source.integers(-3, 7))
            x = (level - noise + source.normal(size=n) * 1e-6 * level * source.integers(0, 2)).astype(dtype)
        else:
            x = (source.normal(size=n) * 10.0 ** source.integers(-3, 6)).astype(dtype)
        x[source.random(n) < 0.2] = -np.inf
        assert drawn_with(words, x, t)[1] == exact_winner(x, noise), round_


@each_dtype
def test_equal_sums_go_to_the_lowest_index(dtype: Any, isa: str) -> None:
    for n in (2, 64, 100, 1000):
        for word in (0, 1, 12345, 2**31, 2**32 - 1):
            words = np.full(n, word, np.uint32)
            assert drawn_with(words, np.full(n, 0.5, dtype))[1] == 0
            x = np.full(n, -3, dtype)
            x[n // 2 :] = 7
            assert drawn_with(words, x)[1] == n // 2
    assert random.categorical(np.full(300, 2, dtype), rng=1, temperature=0.0) == 0


@pytest.mark.parametrize(
    ("dtype", "level"), [(np.float32, 1e8), (np.float32, -3e38), (np.float64, 1e18), (np.float64, 1e308)]
)
def test_tied_huge_logits_are_not_index_biased(dtype: Any, level: float, isa: str) -> None:
    """x + G in the logits' type forgets G and always draws category 0 (a case of vLLM's tests)."""
    x = np.full(100, level, dtype)
    assert np.argmax(x + random.gumbel(100, rng=1, dtype=dtype)) == 0 or level == 1e8
    counts = np.bincount(random.categorical(x, rng=1, num_samples=5000), minlength=100)
    found, cells = chi_square(counts, np.full(100, 0.01))
    assert found < chi_square_limit(cells)
    assert np.array_equal(
        random.categorical(x, rng=1, num_samples=50), random.categorical(x * 0, rng=1, num_samples=50)
    )


def test_no_word_draws_what_has_no_probability(isa: str) -> None:
    """Scripted words, all of them extreme: -inf and masked categories stay undrawn, indices stay in range."""
    for word in (0, 1, 2**31, 2**32 - 1, *(1 << k for k in range(32))):
        for n in (3, 64, 130):
            words = np.full(n, 0xFFFFFFFF, np.uint32)
            x = np.full(n, -np.inf, np.float32)
            x[n - 1] = -200.0  # far below anything, but the only one
            words[: n - 1] = word
            assert drawn_with(words, x)[1] == n - 1
            value, index = drawn_with(words, np.full(n, -np.inf, np.float32))
            assert (value, index) == (-np.inf, -1)


@each_method
def test_zero_probabilities_in_many_draws(method: Any) -> None:
    """cutorch 398, pytorch 4858, 13867, 48841, 192812: a class of no probability was drawn now and then."""
    often = {"num_samples": 200000, "method": method}
    x = np.zeros(40, np.float32)
    x[::2] = -np.inf
    assert np.all(random.categorical(x, rng=1, **often) % 2 == 1)
    mask = np.arange(40) % 2 == 1
    assert np.all(random.categorical(np.full(40, 88.0), rng=2, where=mask, **often) % 2 == 1)
    first = np.array([-np.inf, 0.0], dtype=np.float32)
    assert np.all(random.categorical(first, rng=3, **often) == 1)


# Probabilities


@each_dtype
@each_method
@pytest.mark.parametrize("n", [2, 16, 256, 9000])
def test_probabilities(n: int, method: Any, dtype: Any) -> None:
    """Chi-square over 200000 draws; probabilities that are off by 10 percent, up and down in turn, would not pass."""
    draws = 200000 if n < 1000 else 40000
    for t, scale in ((1.0, 1.0), (0.5, 1.0), (4.0, 6.0)):
        x = logits(n, dtype, scale, seed=n) + (0 if n < 1000 else 2.5 * t * logits(n, dtype, 1.0, seed=1))
        counts = np.bincount(
            random.categorical(x, rng=10 + n, temperature=t, num_samples=draws, method=method), minlength=n
        )
        p = special.softmax(x.astype(np.float64), temperature=t)
        found, cells = chi_square(counts, p)
        assert found < chi_square_limit(cells)
        off = p * (1 + (0.1 if n < 1000 else 0.6) * (-1.0) ** np.arange(n))
        assert chi_square(counts, off / off.sum())[0] > chi_square_limit(cells)


@each_method
def test_probabilities_over_rows_streams_keys_and_positions(method: Any) -> None:
    """The same law whichever coordinate the draws differ in."""
    x = logits(50, np.float32, 1.5, seed=3)
    p = special.softmax(x.astype(np.float64))
    n = 40000
    rows = np.broadcast_to(x, (n, 50))
    for drawn in (
        random.categorical(rows, rng=1, method=method),
        random.categorical(rows, rng=1, streams=hashed(n), method=method),
        random.categorical(rows, rng=1, streams=np.zeros(n, np.int64), position=np.arange(n) * 2**32, method=method),
        np.array([random.categorical(x, rng=k, method=method) for k in range(n // 4)]),
    ):
        found, cells = chi_square(np.bincount(drawn, minlength=50), p)
        assert found < chi_square_limit(cells)


@each_method
def test_neighbours_are_independent(method: Any) -> None:
    """Pairs of draws that differ by one in row, position or key: chi-square over all pairs of categories."""
    x = np.array([0.0, 0.5, -1.0, 1.0], dtype=np.float32)
    p = special.softmax(x.astype(np.float64))
    table = np.outer(p, p).ravel()
    n = 100000
    by_row = random.categorical(np.broadcast_to(x, (n, 4)), rng=5, method=method)
    by_position = random.categorical(x, rng=5, num_samples=n, method=method)
    other_key = random.categorical(x, rng=6, num_samples=n, method=method)
    for a, b in (
        (by_row[:-1], by_row[1:]),
        (by_position[:-1], by_position[1:]),
        (by_position, other_key),
        (by_row, by_position),
    ):
        found, cells = chi_square(np.bincount(4 * a + b, minlength=16), table)
        assert found < chi_square_limit(cells)
    assert chi_square(np.bincount(5 * by_row, minlength=16), table)[0] > chi_square_limit(16)


def test_maximum_and_argmax_are_independent() -> None:
    """max(x + G) - logsumexp(x) is a Gumbel number, inside every class of the argmax."""
    x = np.array([0.0, 1.0, 2.0, -1.0])
    drawn = random.gumbel_partial(np.broadcast_to(x, (100000, 4)), rng=8)
    rest = drawn["value"] - special.logsumexp(x)
    for k in range(4):
        values = rest[drawn["index"] == k]
        assert stats.kstest(values, stats.gumbel_r.cdf).pvalue > FALSE_ALARM
        assert stats.kstest(values + 0.3, stats.gumbel_r.cdf).pvalue < FALSE_ALARM


def tail_hits(n: int, gap: float, draws: int) -> int:
    x = np.full(n, -gap, np.float32)
    x[n // 3] = 0.0
    return int(np.sum(random.categorical(x, rng=99, num_samples=draws) != n // 3))


def test_tail() -> None:
    """A token 19 above 2^18 - 1 others: 44 of 30000 draws go to the others. Noise from 24 bits falls short of them."""
    n, gap, draws = 1 << 18, 19.0, 30000
    rest = (n - 1) * np.exp(-gap)
    low, high = stats.binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], draws, rest / (1 + rest))
    assert low >= 5
    assert low <= tail_hits(n, gap, draws) <= high


@pytest.mark.slow
def test_tail_of_20_and_a_half() -> None:
    """vLLM 43150: 32.76 of 100000 expected; float32 exponentials give none."""
    n, gap, draws = 262144, 20.5, 100000
    rest = (n - 1) * np.exp(-gap)
    assert abs(rest / (1 + rest) * draws - 32.76) < 0.02
    low, high = stats.binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], draws, rest / (1 + rest))
    assert low <= tail_hits(n, gap, draws) <= high


# The same draw wherever it is made


@each_dtype
@pytest.mark.parametrize("n", [1, 5, 64, 100, 1000, 20011])
def test_a_row_in_any_batch(dtype: Any, n: int, isa: str) -> None:
    """vLLM 17524, 51226: a request's draw depended on its neighbours in the batch."""
    row = logits(n, dtype, 2.0, seed=9)
    alone = random.gumbel_partial(row, rng=4, streams=77, position=5)
    for rows in (1, 2, 7, 33):
        for at in {0, rows // 2, rows - 1}:
            batch = logits((rows, n), dtype, 30.0, seed=rows)
            batch[at] = row
            streams, positions = np.arange(rows) + 1000, np.arange(rows)
            streams[at], positions[at] = 77, 5
            found = random.gumbel_partial(batch, rng=4, streams=streams, position=positions)[at]
            assert found.tobytes() == alone.tobytes()


def test_permuted_rows_are_permuted_draws() -> None:
    x, ids = logits((200, 333), np.float32), hashed(200)
    order = np.random.default_rng(1).permutation(200)
    expected = random.categorical(x, rng=1, streams=ids)
    assert np.array_equal(random.categorical(x[order], rng=1, streams=ids[order]), expected[order])
    assert np.unique(expected).size > 50


@each_dtype
def test_shards_make_the_whole(dtype: Any, isa: str) -> None:
    """vLLM 17498, sglang 38565: tensor-parallel ranks drew different tokens."""
    source = np.random.default_rng(2)
    for n in (2, 100, 5003):
        x = logits((9, n), dtype, 3.0, seed=n)
        x[4] = -np.inf
        x[5, n // 2] = np.nan
        x[6] = 5
        for t in (0.0, 0.7, 1.0):
            whole = random.gumbel_partial(x, rng=6, temperature=t, position=3)
            for pieces in (1, 2, 5):
                cuts = np.sort(source.integers(0, n + 1, pieces - 1))
                edges = [0, *cuts, n]
                parts = [
                    random.gumbel_partial(x[:, a:b], rng=6, temperature=t, position=3, index_offset=int(a))
                    for a, b in itertools.pairwise(edges)
                ]
                for axis in (0, 1):
                    merged = random.gumbel_merge(
                        np.stack([parts[k] for k in source.permutation(pieces)], axis=axis), axis
                    )
                    assert merged.tobytes() == whole.tobytes()
                if pieces == 5:
                    tree = [random.gumbel_merge(np.stack(parts[:2])), random.gumbel_merge(np.stack(parts[2:]))]
                    assert random.gumbel_merge(np.stack(tree)).tobytes() == whole.tobytes()
            tokens = random.categorical(x, rng=6, temperature=t, position=3, on_invalid="minus_one")
            assert np.array_equal(tokens, whole["index"])
            assert tokens[4] == tokens[5] == -1


@each_dtype
@each_method
@pytest.mark.parametrize("shape", [(7, 300), (300, 7), (1, 1), (2, 5003)], ids=str)
def test_layouts(shape: tuple[int, int], method: Any, dtype: Any) -> None:
    x = logits(shape, dtype, 3.0)
    for axis in (0, 1):
        expected = random.categorical(np.ascontiguousarray(np.moveaxis(x, axis, -1)), rng=1, method=method)
        for name, view in layouts(x):
            assert np.array_equal(random.categorical(view, rng=1, method=method, axis=axis), expected), name
            assert np.array_equal(
                random.categorical(view, rng=1, method=method, axis=axis - 2, where=np.ones_like(view, bool)), expected
            )


@each_dtype
@each_method
def test_threads(method: Any, dtype: Any, threads: Callable[[int], None]) -> None:
    for shape in ((1, 300007), (3, 200003), (5000, 30), (40, 32001)):
        x = logits(shape, dtype)
        for keywords in ({"method": method}, {"method": method, "temperature": 0.5, "return_log_prob": True}):
            threads(1)
            expected = np.asarray(random.categorical(x, rng=3, **keywords)).tobytes()
            for n in (2, 3, 8):
                threads(n)
                assert np.asarray(random.categorical(x, rng=3, **keywords)).tobytes() == expected


@each_method
def test_samples_are_positions(method: Any, isa: str) -> None:
    x = logits((4, 6, 100), np.float32)
    positions = np.arange(24).reshape(4, 6) * 1000
    temperature = np.linspace(0.5, 2, 24).reshape(4, 6)
    mask = hashed(2400).reshape(x.shape) % np.uint64(2) == 0
    for axis in (-1, 0):
        rows = np.moveaxis(x, axis, -1).shape[:-1]
        keywords = {"rng": 1, "axis": axis, "where": mask, "on_invalid": "minus_one", "method": method}
        if axis == -1:
            keywords |= {"temperature": temperature}
        at = positions if axis == -1 else 17
        samples = random.categorical(x, num_samples=5, position=at, **keywords)
        assert samples.shape == (*rows, 5)
        for s in range(5):
            assert np.array_equal(samples[..., s], random.categorical(x, position=at + s, **keywords))
    assert random.categorical(x, rng=1, num_samples=0).shape == (4, 6, 0)
    kept = {"position": positions[..., None], "temperature": temperature[..., None], "num_samples": 2, "method": method}
    flat = {"position": positions, "temperature": temperature, "num_samples": 2, "method": method}
    assert np.array_equal(random.categorical(x, rng=1, **kept), random.categorical(x, rng=1, **flat))
    ids = hashed(24).reshape(4, 6)
    found = random.categorical(x, rng=1, num_samples=3, streams=ids)
    assert np.array_equal(found[..., 2], random.categorical(x, rng=1, streams=ids, position=2))


@each_dtype
@each_method
def test_masks(method: Any, dtype: Any, isa: str) -> None:
    """A masked row draws as the row with -inf in its place, whatever stood there."""
    for n in (5, 100, 5003):
        x = logits((6, n), dtype)
        mask = hashed(6 * n).reshape(6, n) % np.uint64(3) != 0
        mask[:, 0] = True
        expected = random.categorical(
            np.where(mask, x, -np.inf).astype(dtype), rng=2, method=method, return_log_prob=True
        )
        for filler in (np.nan, np.inf, 3e38):
            found = random.categorical(
                np.where(mask, x, filler).astype(dtype), rng=2, method=method, where=mask, return_log_prob=True
            )
            assert np.array_equal(found[0], expected[0])
            assert np.array_equal(found[1], expected[1])
        assert np.array_equal(
            random.categorical(x, rng=2, method=method, where=mask[0]),
            random.categorical(np.where(mask[0], x, -np.inf).astype(dtype), rng=2, method=method),
        )


@each_dtype
def test_subnormal_temperatures_count_as_zero(dtype: Any, isa: str) -> None:
    """One law for both methods, with filters and without, for shards and for log_prob: the first of the largest."""
    x = np.array([-1, 2, 2, 0, 2], dtype)
    for t in (5e-324, 1e-310, np.nextafter(2.0**-1022, 0)):
        for method in ("gumbel", "inverse"):
            for keywords in ({}, {"top_p": 0.9}, {"top_k": 2}):
                place: dict[str, Any] = {"rng": 1, "num_samples": 500, "return_log_prob": True, "method": method}
                tokens, found = random.categorical(x, temperature=[t], **place | keywords)
                assert np.all(tokens == 1), (t, method, keywords)
                assert np.all(found == 0)
        assert random.gumbel_partial(x, rng=1, temperature=t).tolist() == (2.0, 0.0, 1)
    tokens = random.categorical(x, rng=1, temperature=2.0**-1022, num_samples=500)
    assert set(tokens.tolist()) == {1, 2, 4}


def test_a_partial_draw_refuses_a_generator() -> None:
    """Which would draw another key for every shard; it is left as it was."""
    generator = np.random.default_rng(1)
    with pytest.raises(TypeError) as caught:
        random.gumbel_partial([0.0, 1.0], rng=generator)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "gumbel_partial: rng must be a Key or an int seed, the same in every call "
        "(make one once by sorgum.random.key), got a numpy Generator"
    )
    assert generator.integers(2**63) == np.random.default_rng(1).integers(2**63)


def test_samples_of_neighbouring_steps() -> None:
    """As `categorical` has it: a step's position counts its samples, or they are drawn again."""
    x, n = np.zeros(1000), 8
    at: dict[str, Any] = {"rng": 1, "streams": 77, "num_samples": n}
    by_one = [random.categorical(x, position=step, **at) for step in (7, 8)]
    assert np.array_equal(by_one[0][1:], by_one[1][:-1])
    by_all = np.stack([random.categorical(x, position=step * n, **at) for step in range(500)])
    assert np.array_equal(by_all.ravel(), random.categorical(x, rng=1, streams=77, num_samples=500 * n))
    counts = np.bincount((by_all[1:] == by_all[:-1]).ravel(), minlength=2)  # equal by chance, 1 of 1000
    assert counts[1] < stats.poisson.isf(FALSE_ALARM, counts.sum() / 1000)


@each_dtype
def test_log_prob(dtype: Any) -> None:
    for n, scale, t in ((3, 1.0, 1.0), (1000, 5.0, 0.7), (70001, 3.0, 1.0), (50, 1.0, 37.5)):
        x = logits((5, n), dtype, scale, seed=n)
        tokens, found = random.categorical(x, rng=1, temperature=t, return_log_prob=True)
        exact = reference.special.log_softmax(x, temperature=t)
        right = np.take_along_axis(exact, tokens[:, None], axis=-1)[:, 0]
        assert found.dtype == np.float64
        assert np.max(np.abs(found - right)) <= (2e-6 if dtype is np.float32 else 1e-13) * np.max(np.abs(right))
    peaked = np.array([0.0, -30.0], dtype)
    tokens, found = random.categorical(peaked, rng=1, return_log_prob=True)
    assert tokens == 0
    assert abs(found + 9.357622968839299e-14) < 1e-19
    assert random.categorical(x, rng=1, temperature=0.0, return_log_prob=True)[1].tolist() == [0.0] * 5
    invalid = random.categorical(np.array([np.nan, 1.0]), rng=1, on_invalid="minus_one", return_log_prob=True)
    assert invalid[0] == -1
    assert np.isnan(invalid[1])
    offset = random.categorical(x, rng=1, index_offset=1000, return_log_prob=True)
    exact = reference.special.log_softmax(x)
    assert np.allclose(offset[1], np.take_along_axis(exact, offset[0][:, None] - 1000, axis=-1)[:, 0], rtol=1e-5)


# By inversion


@each_dtype
def test_inversion_is_what_the_reference_has(dtype: Any, isa: str) -> None:
    """But where a word falls next to a border: the weights are float32, within 2^-22."""
    for n in (1, 2, 100, 4096, 4097, 20011):
        for scale, t in ((1.0, 1.0), (5.0, 0.7), (0.0, 1.0)):
            x = np.broadcast_to(logits(n, dtype, scale, seed=n), (200, n))
            found = random.categorical(x, rng=3, temperature=t, method="inverse")
            expected = reference.random.inverse(x, 3, temperature=t)
            assert np.count_nonzero(found != expected) <= 1
            assert np.unique(found).size > min(n, 100) // 20


@each_dtype
def test_inversion_of_logits_of_any_size(dtype: Any, isa: str) -> None:
    """Far logits count as they must: equal largest ones share the draws, what is far below has none."""
    for level in (0.0, 1e8, -1e8, 1e30, -1e30, 3e38, -3e38):
        for lower in (-np.inf, -3.2e38):
            x = np.full(9000, lower, dtype)
            x[[17, 4095, 4096, 8999]] = level
            for t in (1.0, 1e-30, 1e-3):
                drawn = random.categorical(x, rng=1, temperature=t, num_samples=200, method="inverse")
                counts = np.bincount(drawn, minlength=9000)[[17, 4095, 4096, 8999]]
                assert counts.sum() == 200, (level, t)
                assert chi_square(counts, np.full(4, 0.25))[0] < chi_square_limit(4)
    assert random.categorical(np.array([0, -1e38], dtype), rng=1, method="inverse", temperature=1e-300) == 0
    x = logits((50, 300), dtype)
    for t in (0.0, 5e-324, 1e-310):
        assert np.array_equal(random.categorical(x, rng=1, method="inverse", temperature=t), x.argmax(-1))


@each_dtype
def test_inversion_of_a_row_in_any_batch(dtype: Any, isa: str) -> None:
    for n in (5, 5003):
        row = logits(n, dtype, 2.0, seed=9)
        alone = random.categorical(row, rng=4, streams=77, position=5, method="inverse")
        for rows in (1, 7, 33):
            batch = logits((rows, n), dtype, 30.0, seed=rows)
            batch[-1] = row
            streams = np.arange(rows) + 1000
            streams[-1] = 77
            assert random.categorical(batch, rng=4, streams=streams, position=5, method="inverse")[-1] == alone


# What is no row of logits


@each_dtype
@each_method
@pytest.mark.parametrize("n", [1, 3, 64, 1000, 5003])
def test_invalid_rows(n: int, method: Any, dtype: Any, isa: str) -> None:
    """flashinfer 2455 and vllm 26859: NaN rows made samplers read where nothing was. Here -1, or a ValueError."""
    for bad in (np.nan, -np.nan, np.inf):
        for at in {0, n // 2, n - 1}:
            x = logits((3, n), dtype)
            x[1, at] = bad
            for t in (0.0, 1.0, 1e-30, 1e30):
                found = random.categorical(x, rng=1, method=method, temperature=t, on_invalid="minus_one")
                assert found[1] == -1
                assert np.all((found[[0, 2]] >= 0) & (found[[0, 2]] < n))
                with pytest.raises(
                    ValueError, match=r"^categorical: logits must hold neither NaN nor \+inf, got one in row \(1,\)$"
                ):
                    random.categorical(x, rng=1, method=method, temperature=t)
            assert (
                random.categorical(
                    x, rng=1, method=method, where=~(np.isnan(x) | (x == np.inf)) | (n == 1), on_invalid="minus_one"
                )[0]
                >= 0
            )
    x = logits((3, n), dtype)
    x[2] = -np.inf
    assert random.categorical(x, rng=1, method=method, on_invalid="minus_one")[2] == -1
    message = r"^categorical: logits must have an element above -inf in every row, got none in row \(2,\)$"
    with pytest.raises(ValueError, match=message):
        random.categorical(x, rng=1, method=method)
    with pytest.raises(ValueError, match=message):
        random.categorical(logits((3, n), dtype), rng=1, method=method, where=np.array([[True], [True], [False]]))


def test_no_categories_and_no_rows() -> None:
    assert random.categorical(np.zeros((2, 0)), rng=1, on_invalid="minus_one").tolist() == [-1, -1]
    with pytest.raises(ValueError, match="must have an element above -inf in every row, got none in row"):
        random.categorical(np.zeros((2, 0)), rng=1)
    assert random.categorical(np.zeros((0, 5)), rng=1).shape == (0,)
    assert random.categorical(np.zeros((0, 5)), rng=1, num_samples=3).shape == (0, 3)
    scalar = random.categorical([1.0, 2.0], rng=1)
    assert isinstance(scalar, np.int64)
    empty = random.gumbel_merge(random.gumbel_partial(np.zeros((0, 3, 4)), rng=1))
    assert empty["index"].tolist() == [-1, -1, -1]
    assert empty["value"].tolist() == [-np.inf] * 3


@pytest.mark.slow
def test_two_to_the_31_categories() -> None:
    """Indices beyond 31 bits, without the memory: the shards of a row of one repeated number."""
    n = 2**31 + 10
    x = np.broadcast_to(np.float32(0.5), (n,))
    whole = random.gumbel_partial(x, rng=1)
    half = n // 2 + 3
    parts = [random.gumbel_partial(x[:half], rng=1), random.gumbel_partial(x[half:], rng=1, index_offset=half)]
    assert random.gumbel_merge(np.stack(parts)).tobytes() == whole.tobytes()
    assert random.categorical(x[:5], rng=1, index_offset=n - 5) >= n - 5


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"rng": None}, TypeError, "categorical: rng must be a Key, an int seed or a numpy Generator, got NoneType"),
        ({"temperature": -1.0}, ValueError, "categorical: temperature must be in [0, 2**900], got -1.0"),
        ({"temperature": np.nan}, ValueError, "categorical: temperature must be in [0, 2**900], got nan"),
        ({"temperature": np.inf}, ValueError, "categorical: temperature must be in [0, 2**900], got inf"),
        ({"temperature": 2.0**901}, ValueError, "categorical: temperature must be in [0, 2**900], got 1.6905"),
        ({"temperature": [1.0, -2.0]}, ValueError, "categorical: temperature must be in [0, 2**900], got -2.0"),
        (
            {"temperature": [1.0, 2.0, 3.0]},
            ValueError,
            "categorical: temperature must be a scalar or have the shape of the rows, (2,), got shape (3,)",
        ),
        ({"axis": 2}, ValueError, "categorical: axis must be in [-2, 2), got 2"),
        ({"axis": None}, TypeError, "categorical: axis must be an int, got None"),
        (
            {"where": np.zeros((3, 3), bool)},
            ValueError,
            "categorical: where must broadcast to shape (2, 3), got shape (3, 3)",
        ),
        ({"where": np.zeros((2, 3))}, TypeError, "categorical: where must be boolean, got dtype dtype('float64')"),
        (
            {"streams": [1, 2, 3]},
            ValueError,
            "categorical: streams must be a scalar or have the shape of the rows, (2,), got shape (3,)",
        ),
        ({"streams": 3}, ValueError, "categorical: streams must have one id per row, got a scalar"),
        (
            {"streams": [1, 2, 3], "num_samples": 2},
            ValueError,
            "categorical: streams must have the shape of the rows, (2,), got shape (3,)",
        ),
        (
            {"position": [1, 2, 3], "num_samples": 2},
            ValueError,
            "categorical: position must be a scalar or have the shape of the rows, (2,), got shape (3,)",
        ),
        (
            {"temperature": [1.0, 2.0, 3.0], "num_samples": 2},
            ValueError,
            "categorical: temperature must be a scalar or have the shape of the rows, (2,), got shape (3,)",
        ),
        ({"num_samples": -1}, ValueError, "categorical: num_samples must be in [0, 2**31), got -1"),
        ({"num_samples": 2**31}, ValueError, "categorical: num_samples must be in [0, 2**31), got 2147483648"),
        ({"num_samples": 2.0}, TypeError, "categorical: num_samples must be an int, got float"),
        (
            {"num_samples": 2, "position": 2**64 - 1},
            ValueError,
            f"categorical: position must leave room for 2 samples, got {2**64 - 1}",
        ),
        ({"method": "best"}, ValueError, "categorical: method must be 'gumbel' or 'inverse', got 'best'"),
        ({"method": np.zeros(2)}, TypeError, "categorical: method must be a string, got array([0., 0.])"),
        ({"on_invalid": np.zeros(2)}, TypeError, "categorical: on_invalid must be a string, got array([0., 0.])"),
        ({"on_invalid": "skip"}, ValueError, "categorical: on_invalid must be 'raise' or 'minus_one', got 'skip'"),
        ({"index_offset": -1}, ValueError, "categorical: index_offset must be in [0, 2**62], got -1"),
    ],
)
def test_refusals(keywords: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        random.categorical(np.zeros((2, 3)), **({"rng": 1} | keywords))
    assert str(caught.value).startswith(message) if message.endswith("1.6905") else str(caught.value) == message


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: random.categorical(1.0, rng=1),
            ValueError,
            "categorical: logits must have at least one axis, got a scalar",
        ),
        (
            lambda: random.categorical(np.zeros(3, complex), rng=1),
            TypeError,
            "categorical: logits must be float16, bfloat16, float32, float64, bool or integer, "
            "got dtype dtype('complex128')",
        ),
        (
            lambda: random.gumbel_merge(np.zeros(3)),
            TypeError,
            "gumbel_merge: partials must be a structured array of gumbel_partial, got float64",
        ),
        (
            lambda: random.gumbel_merge([1.0]),
            TypeError,
            "gumbel_merge: partials must be a structured array of gumbel_partial, got list",
        ),
        (
            lambda: random.gumbel_merge(random.gumbel_partial(np.zeros((2, 3)), rng=1), axis=1),
            ValueError,
            "gumbel_merge: axis must be in [-1, 1), got 1",
        ),
        (
            lambda: random.gumbel_merge(random.gumbel_partial(np.zeros((2, 3)), rng=1), axis=None),
            TypeError,
            "gumbel_merge: axis must be an int, got None",
        ),
    ],
)
def test_other_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


def test_noise_is_not_stored() -> None:
    """Nothing of the size of the logits is allocated for a draw."""
    x = logits((64, 32000), np.float32)
    tracemalloc.start()
    random.categorical(x, rng=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 50
    assert sg.isa() in sg.available_isas()

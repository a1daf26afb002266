"""Words against known answers and the layout of counters; noise against formulas, tails and whole distributions.

Seeds are fixed, and each limit is computed for a false alarm of 1e-9.
"""

import hashlib
import pickle
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from cases import with_strides
from noise_sweep import errors, given, size_of, sweep
from scipy import stats

import sorgum as sg
from sorgum import _core, random, reference
from sorgum._data import load

Array = Any
LAWS: dict[str, Callable[..., Any]] = {
    law: getattr(random, law) for law in ("uniform", "exponential", "gumbel", "logistic", "normal")
}
PURPOSES = reference.random.PURPOSES
each_law = pytest.mark.parametrize("law", LAWS)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
each_width = pytest.mark.parametrize("width", [32, 64])
FALSE_ALARM = 1e-9

# Random123, tests/kat_vectors: counter, key, rounds, block.
PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
ONES = (0xFFFFFFFF,) * 4
KNOWN_BLOCKS = [
    ((0,) * 4, (0, 0), 10, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (ONES, ONES[:2], 10, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (PI, (0xA4093822, 0x299F31D0), 10, (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ((0,) * 4, (0, 0), 7, (0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48)),
    (ONES, ONES[:2], 7, (0x5207DDC2, 0x45165E59, 0x4D8EE751, 0x8C52F662)),
    (PI, (0xA4093822, 0x299F31D0), 7, (0x4DFCCABA, 0x190A87F0, 0xC47362BA, 0xB6B5242A)),
]


def philox_in_integers(counter: Array, key: Array, width: int, rounds: int) -> list[int]:
    """Philox of four words of any width, with the constants of 32 or 64 bits."""
    m0, m1, w0, w1 = {
        32: (0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85),
        64: (0xD2E7470EE14C6C93, 0xCA5A826395121157, 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B),
    }[width]
    mask = 2**width - 1
    c, k = [int(x) for x in counter], [int(x) for x in key]
    for _ in range(rounds):
        p0, p1 = m0 * c[0], m1 * c[2]
        c = [(p1 >> width) ^ c[1] ^ k[0], p1 & mask, (p0 >> width) ^ c[3] ^ k[1], p0 & mask]
        k = [(k[0] + w0) & mask, (k[1] + w1) & mask]
    return c


def kernel_blocks(counter: Array, key: Array, rounds: int) -> Array:
    c = np.ascontiguousarray(np.transpose(np.array(counter, dtype=np.uint32)))
    k = np.ascontiguousarray(np.transpose(np.array(key, dtype=np.uint32)))
    out = np.empty_like(c)
    _core.random.philox(c.view(np.float32), k.view(np.float32), out.view(np.float32), rounds)
    return out.T


# Words


@pytest.mark.parametrize(("counter", "key", "rounds", "block"), KNOWN_BLOCKS)
def test_known_blocks(counter: Array, key: Array, rounds: int, block: Array, isa: str) -> None:
    assert tuple(kernel_blocks([counter], [key], rounds)[0]) == block
    many = np.random.default_rng(1).integers(0, 2**32, (40, 4), dtype=np.uint64)
    many[17] = counter
    keys = np.broadcast_to(np.array(key, dtype=np.uint32), (40, 2))
    assert tuple(kernel_blocks(many, keys, rounds)[17]) == block
    assert tuple(reference.random.philox(counter, key, rounds)) == block
    assert tuple(philox_in_integers(counter, key, 32, rounds)) == block


def test_the_same_text_with_64_bits_is_the_philox_of_numpy() -> None:
    """NumPy has Philox4x64-10 and counts up before each block."""
    for key, counter in ((0, 0), (12345, 67890), (2**128 - 1, 2**200 + 5)):
        words = np.random.Philox(key=key, counter=counter).random_raw(4)
        c = [(counter + 1) >> 64 * i & (2**64 - 1) for i in range(4)]
        k = [key >> 64 * i & (2**64 - 1) for i in range(2)]
        assert [int(w) for w in words] == philox_in_integers(c, k, 64, 10)


def test_blocks_agree_with_integers(isa: str) -> None:
    source = np.random.default_rng(2)
    counter, key = (source.integers(0, 2**32, (67, n), dtype=np.uint64) for n in (4, 2))
    for rounds in (7, 10):
        found = kernel_blocks(counter, key, rounds)
        assert np.array_equal(found, reference.random.philox(counter, key, rounds))
        for k in range(0, 67, 11):
            assert list(found[k]) == philox_in_integers(counter[k], key[k], 32, rounds)


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
def test_layout_of_counters(dtype: Any, isa: str) -> None:
    """A word depends on key, purpose, stream, position and index as the documents say."""
    wide = dtype is np.uint64
    for key, streams, position, offset, n in (
        (0, None, 0, 0, 300),
        (2**64 - 1, [5, 2**64 - 1, 2**32], 7, 3, 129),
        (12345678901234567890, [0, 1, 2], np.array([0, 2**63, 2**40 + 1], dtype=np.uint64), 2**34 - 37, 131),
        (1, None, 2**64 - 1, 2**61 + 1, 70),
        (1, None, 0, 2**62 - 2**33 - 40, 70),  # the last words but 2^34
        (1, [1, 2, 3], 0, 2**62 - 131, 131),  # behind the last one would be word 2^63
    ):
        found = random.bits((3, n), rng=key, dtype=dtype, streams=streams, position=position, index_offset=offset)
        expected = reference.random.words(
            (3, n), key, PURPOSES["bits"], wide=wide, streams=streams, position=position, index_offset=offset
        )
        assert found.dtype == dtype
        assert np.array_equal(found, expected)


def test_layout_of_counters_by_hand() -> None:
    key, stream, position, index = 0x0123456789ABCDEF, 0xFEDCBA9876543210, 0x1122334455667788, 2**34 + 4 * 5 + 2

    def halves(x: int) -> list[int]:
        return [x & 0xFFFFFFFF, x >> 32]

    row_key = philox_in_integers([*halves(stream), 0, 0], halves(key), 32, 10)[:2]
    block = philox_in_integers([*halves(index // 4), *halves(position)], row_key, 32, 10)
    word = random.bits(1, rng=key, streams=stream, position=position, index_offset=index)
    assert int(word[0]) == block[2]


def test_layout_is_frozen() -> None:
    """These never change."""
    words = random.bits((2, 4), rng=1, streams=[2, 3], position=4, index_offset=5)
    assert [f"{w:08x}" for w in words.ravel()] == FROZEN_WORDS
    derived = (random.fold_in(random.key(1), 2), *random.split(random.key(1), 2))
    assert [f"{k.value:016x}" for k in derived] == FROZEN_KEYS


FROZEN_WORDS = ["454a1cc6", "5aa0f72f", "41c8ada6", "561dcecb", "7c347946", "4eabc58e", "95878260", "9abf0a4e"]
FROZEN_KEYS = ["970994fd3d4141de", "6b5c693b2fe424f7", "49f7d7d72ca4f974"]


def test_derived_keys() -> None:
    k = random.key(2**64 - 2)
    for data in (0, 1, 2**32, 2**64 - 1):
        block = philox_in_integers([data & 0xFFFFFFFF, data >> 32, 0, 1], [0xFFFFFFFE, 0xFFFFFFFF], 32, 10)
        assert random.fold_in(k, data).value == block[0] | block[1] << 32
    some, more = random.split(k, 3), random.split(k, 100)
    assert more[:3] == some
    assert random.split(k, 0) == ()
    children = {*more, *(random.fold_in(k, i) for i in range(100)), k}
    assert len(children) == 201
    assert pickle.loads(pickle.dumps(k)) == k
    assert hash(random.key(5)) == hash(random.Key(5))
    assert repr(random.key(255)) == "Key(0x00000000000000ff)"


def test_words_do_not_repeat() -> None:
    """Rows, positions, keys and purposes share no word beyond what chance allows: 2^21 words make 2^9 pairs."""
    parts = [random.bits((64, 4096), rng=9).ravel()]
    parts += [random.bits((1, 1 << 18), rng=9, position=p).ravel() for p in (1, 2**32)]
    parts += [random.bits((1, 1 << 18), rng=k).ravel() for k in (10, 9 + 2**32)]
    for law, offset in (("uniform", 2), ("gumbel", 6)):
        parts.append(reference.random.words((1, 1 << 18), 9, offset).ravel())
        assert np.array_equal(given(law, parts[-1], np.float64), LAWS[law]((1, 1 << 18), rng=9, dtype="f8", bits=32)[0])
    parts.append(random.bits((1, 1 << 18), rng=9, streams=[2**63]).ravel())
    words = np.concatenate(parts)
    assert words.size == 1 << 21
    pairs = words.size - np.unique(words).size
    mean = words.size**2 / 2**33
    low, high = stats.poisson.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], mean)
    assert low <= pairs <= high


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
def test_bits_of_words_are_fair_and_unrelated(dtype: Any) -> None:
    words = random.bits((512, 1024), rng=77, dtype=dtype)
    width = 8 * words.itemsize
    limit = stats.norm.isf(FALSE_ALARM / (8 * width)) / 2
    for neighbour in (words[:0], words[1:] ^ words[:-1], words[:, 1:] ^ words[:, :-1], words[:, 4:] ^ words[:, :-4]):
        for sample in (words, neighbour):
            for bit in range(width if sample.size else 0):
                ones = int(((sample >> dtype(bit)) & dtype(1)).sum())
                assert abs(ones - sample.size / 2) < limit * np.sqrt(sample.size), bit


# Values


def exact(law: str, word: int, width: int) -> Any:
    with mpmath.workdps(60):
        v = (mpmath.mpf(word) + mpmath.mpf(0.5)) / mpmath.mpf(2) ** width
        if law == "uniform":
            return +v
        if law == "logistic":
            return mpmath.log(v) - mpmath.log1p(-v)
        if law == "normal":
            return mpmath.sqrt(2) * mpmath.erfinv(2 * v - 1)
        e = -mpmath.log1p(-v)
        return +e if law == "exponential" else -mpmath.log(e)


# ULP. Those of float32 hold for all 2^32 words (test_errors_over_all_words); in float64 as seen on samples.
BOUNDS = {
    np.float32: {law: float(load("bounds")[f"random.{law}.f32"]["bound"]) for law in LAWS},
    np.float64: {"uniform": 0.51, "exponential": 3, "gumbel": 4, "logistic": 4, "normal": 6},
}


def sample_words(width: int) -> list[int]:
    source = np.random.default_rng(3)
    words = [int(w) for w in source.integers(0, 2**width, 300, dtype=np.uint64 if width == 64 else np.uint32)]
    edges = [2**k + d for k in range(width) for d in (-1, 0, 1)] + [2**width - 2**k for k in range(width)]
    near = [int(f * 2**width) + d for f in (1 - 0.5**0.5, 1 - np.exp(-1), 0.5, 1 - 2**-0.5) for d in range(-2, 3)]
    return sorted({w % 2**width for w in [*words, *edges, *near]})


@each_law
@each_dtype
@each_width
def test_values(law: str, dtype: Any, width: int) -> None:
    words = sample_words(width)
    array = np.array(words, dtype=np.uint32 if width == 32 else np.uint64)
    found = given(law, array, dtype)
    bound = BOUNDS[dtype][law]
    wrong = 0.0
    for w, value in zip(words, found, strict=True):
        right = exact(law, w, width)
        if law == "uniform":
            right = min(right, mpmath.mpf(1) - mpmath.mpf(2) ** (-24 if dtype is np.float32 else -53))
        unit = float(np.spacing(dtype(float(size_of(law, float(right))))))
        wrong = max(wrong, float(abs(mpmath.mpf(float(value)) - right)) / unit)
    assert wrong <= bound
    assert np.unique(found).size > found.size // 2  # a constant answer would not pass
    peer = getattr(reference.random, law)(array)
    assert np.max(np.abs(found - peer) / np.spacing(size_of(law, peer).astype(dtype))) <= bound + 2


def test_gumbel_of_known_words(isa: str) -> None:
    """Fifty-digit decimals; the words of the first known block among them."""
    known = {
        0x6627E8D5: 0.67484043657270866901,
        0xE169C58D: -0.7535872875104142175,
        0xBC57AC4C: -0.2857192695804452766,
        0x9B00DBD8: 0.07247377081640338946,
        0x408F276D: 1.23581166465611212124,
        0x24126EA1: 1.88468280085672787936,
        0: 22.87385695841998754,
        1: 21.77524466963546253,
        0x7FFFFFFF: 0.366512920917567941,
        0xFFFFFFFF: -3.12999464088481590,
    }
    words = np.array(list(known), dtype=np.uint32)
    right = np.array(list(known.values()))
    for dtype in (np.float32, np.float64):
        found = given("gumbel", words, dtype)
        assert np.max(np.abs(found - right) / np.spacing(np.maximum(np.abs(right), 0.5).astype(dtype))) <= 3


@each_dtype
@each_width
def test_extremes(dtype: Any, width: int, isa: str) -> None:
    """Every law is finite for every word, uniform neither 0 nor 1, exponential not 0; both tails reach their ends."""
    kind = np.uint32 if width == 32 else np.uint64
    top = 2**width - 1
    words = np.array(
        [0, 1, 2, *(2**k for k in range(2, width)), *(top - 2**k + 1 for k in range(width)), top], dtype=kind
    )
    words = np.concatenate([words, np.array([top - k for k in range(300)], dtype=kind)])
    for law in LAWS:
        assert np.all(np.isfinite(given(law, words, dtype)))
    u, e, g, x, z = (given(law, words, dtype) for law in LAWS)
    assert u.min() == 2.0 ** -(width + 1)
    assert u.max() == 1 - max(2.0 ** -(width + 1), float(np.finfo(dtype).epsneg))
    assert e.min() > 0
    assert np.isclose(e.max(), 22.8738569584 if width == 32 else 45.0545667364, rtol=1e-7)
    assert np.isclose(g.max(), 22.8738569584 if width == 32 else 45.0545667364, rtol=1e-7)
    assert np.isclose(g.min(), -3.1299946409 if width == 32 else -3.8078743493, rtol=1e-7)
    assert np.isclose(x.max(), e.max(), rtol=1e-7)
    assert np.isclose(x.min(), -x.max(), rtol=1e-6)
    assert np.isclose(z.max(), 6.33795775455 if width == 32 else 9.15529377269, rtol=1e-7)
    assert np.isclose(z.min(), -z.max(), rtol=1e-7)


@each_law
def test_monotonic(law: str) -> None:
    """Along the words gumbel never rises, the others never fall."""
    sign = -1 if law == "gumbel" else 1
    for start in (0, 2**24 - 2**15, 2**30, int((1 - 0.5**0.5) * 2**32) - 2**15, 2**31 - 2**15, 2**32 - 2**16):
        words = np.arange(start, start + 2**16, dtype=np.uint64).astype(np.uint32)
        steps = np.diff(given(law, words, np.float32)) * sign
        assert np.all(steps >= 0)


# Distributions


DISTRIBUTIONS = {
    "uniform": stats.uniform,
    "exponential": stats.expon,
    "gumbel": stats.gumbel_r,
    "logistic": stats.logistic,
    "normal": stats.norm,
}


@each_law
@each_dtype
@each_width
def test_distribution(law: str, dtype: Any, width: int) -> None:
    """Kolmogorov and Smirnov: sqrt(n) D stays below the limit; a shift of 1 percent of a deviation would not."""
    x = np.sort(LAWS[law]((100, 4000), rng=2024, dtype=dtype, bits=width).ravel().astype(np.float64))
    n = x.size
    limit = stats.kstwo.isf(FALSE_ALARM, n)

    def distance(shift: float) -> float:
        f = DISTRIBUTIONS[law].cdf(x + shift)
        return float(max(np.max(np.arange(1, n + 1) / n - f), np.max(f - np.arange(n) / n)))

    assert distance(0.0) < limit
    assert distance(0.02 * float(DISTRIBUTIONS[law].std())) > limit


def test_moments() -> None:
    """Mean, variance, skewness and excess kurtosis of 2^22 Gumbel numbers, within six standard errors."""
    g = random.gumbel((4, 1 << 20), rng=31, dtype=np.float64).ravel()
    z = (g - 0.5772156649015329) / 1.2825498301618641
    n = np.sqrt(g.size)
    # E z^3 and E z^4 - 3 of the law, and the deviations of z, z^2, z^3 and z^4 from quadrature.
    for power, mean in ((1, 0.0), (2, 1.0), (3, 1.1395470994046488), (4, 5.4)):
        deviation = float(
            np.sqrt(
                stats.gumbel_r.expect(
                    lambda x, p=power: ((x - 0.5772156649015329) / 1.2825498301618641) ** (2 * p), lb=-10, ub=200
                )
                - mean**2
            )
        )
        assert abs(np.mean(z**power) - mean) < 6.1 * deviation / n


@each_dtype
def test_tail(dtype: Any) -> None:
    """P(G > c) for c = 8 to 16 over 2^27 numbers."""
    levels = np.arange(8.0, 17.0)
    counts = np.zeros(levels.size)
    n = 1 << 27
    for part in range(64):
        g = random.gumbel(n // 64, rng=5, dtype=dtype, position=part, bits=32)
        large = g[g > 8]
        counts += (large[:, None] > levels).sum(0)
    for c, count in zip(levels, counts, strict=True):
        mean = n * -np.expm1(-np.exp(-c))
        low, high = stats.binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], n, mean / n)
        assert low <= count <= high, c


def test_far_tail() -> None:
    """Words below w have G above c exactly where they must, c = 8 to 22: the thresholds, without chance."""
    for c in range(8, 23):
        below = int(np.floor(-np.expm1(-np.exp(-float(c))) * 2.0**32 - 0.5))  # the last word with G > c
        words = np.array([max(below - 1, 0), max(below, 0), below + 1, below + 2], dtype=np.uint32)
        g = given("gumbel", words, np.float64)
        assert g[1] > c > g[2] if below >= 0 else c > g[2]


def test_rows_positions_and_keys_are_unrelated() -> None:
    """Correlations between what differs in one coordinate, at lags 0 and 1, stay below the limit."""
    base = random.uniform((1, 1 << 18), rng=4, dtype=np.float64)[0] - 0.5
    limit = stats.norm.isf(FALSE_ALARM / 2) / (12 * np.sqrt(base.size))
    others = [
        random.uniform((1, 1 << 18), rng=4, dtype=np.float64, streams=[1])[0],
        random.uniform((1, 1 << 18), rng=4, dtype=np.float64, position=1)[0],
        random.uniform((1, 1 << 18), rng=5, dtype=np.float64)[0],
        random.uniform((1, 1 << 18), rng=4, dtype=np.float64, index_offset=1 << 18)[0],
        random.uniform((1, 1 << 18), rng=4, dtype=np.float64, bits=32)[0],
    ]
    for other in others:
        for lag in (-1, 0, 1):
            assert abs(np.mean(base[1:-1] * (np.roll(other, lag)[1:-1] - 0.5))) < limit
    assert abs(np.mean(base[1:] * base[:-1])) < limit
    assert np.mean(base * base) > limit


# The same numbers wherever they are drawn


@each_law
@each_dtype
@each_width
def test_a_part_is_that_part_of_the_whole(law: str, dtype: Any, width: int, isa: str) -> None:
    function = LAWS[law]
    whole = function((3, 1000), rng=8, dtype=dtype, bits=width, streams=[5, 6, 7], position=9)
    for start, stop in ((0, 1), (1, 2), (0, 64), (3, 3), (63, 65), (37, 991), (999, 1000)):
        part = function(
            (3, stop - start), rng=8, dtype=dtype, bits=width, streams=[5, 6, 7], position=9, index_offset=start
        )
        assert part.tobytes() == whole[:, start:stop].tobytes()
    for row in range(3):
        alone = function(1000, rng=8, dtype=dtype, bits=width, streams=5 + row, position=9)
        assert alone.tobytes() == whole[row].tobytes()
    assert (
        function((3, 1000), rng=8, dtype=dtype, bits=width, streams=[7, 6, 5], position=9)[2].tobytes()
        == whole[0].tobytes()
    )


@each_law
@each_width
def test_threads(law: str, width: int, threads: Callable[[int], None]) -> None:
    for shape in ((1, 300007), (3, 70001), (50000, 3), (1000, 64)):
        threads(1)
        expected = LAWS[law](shape, rng=3, bits=width).tobytes()
        for n in (2, 3, 8):
            threads(n)
            assert LAWS[law](shape, rng=3, bits=width).tobytes() == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint32])
def test_out(dtype: Any, isa: str) -> None:
    def draw(shape: tuple[int, ...], out: Array = None) -> Array:
        return (
            random.bits(shape, rng=1, out=out)
            if dtype is np.uint32
            else random.gumbel(shape, rng=1, dtype=dtype, out=out)
        )

    for shape in ((3, 4, 77), (2, 1, 5000), (4, 0, 3), (2, 3, 0)):
        expected = draw(shape)
        for order, steps in (
            ((0, 1, 2), (1, 1, 1)),
            ((2, 1, 0), (1, 1, 1)),
            ((1, 0, 2), (2, -1, 3)),
            ((0, 1, 2), (1, 1, -1)),
        ):
            out = with_strides(np.zeros(shape, dtype), order, steps, offset=3)
            assert draw(shape, out) is out
            assert np.ascontiguousarray(out).tobytes() == expected.tobytes()


def test_scalars_and_shapes() -> None:
    scalar = random.gumbel((), rng=1)
    assert isinstance(scalar, np.float32)
    assert scalar == random.gumbel(1, rng=1)[0]
    assert random.gumbel(5, rng=1).shape == (5,)
    assert random.gumbel([2, 3], rng=1).shape == (2, 3)
    assert random.gumbel((2, 3), rng=1)[1].tobytes() == random.gumbel((1, 1, 3), rng=1, streams=[[1]]).tobytes()
    assert random.uniform(3, rng=1, dtype=np.float64).dtype == np.float64


def test_what_rng_may_be() -> None:
    expected = random.gumbel(5, rng=7)
    for rng in (random.key(7), np.int64(7), np.uint8(7)):
        assert np.array_equal(random.gumbel(5, rng=rng), expected)
    drawn = int(np.random.default_rng(3).integers(0, 2**64, dtype=np.uint64))
    generator = np.random.default_rng(3)
    assert np.array_equal(random.gumbel(5, rng=generator), random.gumbel(5, rng=drawn))
    assert not np.array_equal(random.gumbel(5, rng=generator), random.gumbel(5, rng=drawn))


def test_global_state_is_not_touched() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    random.gumbel(100, rng=1)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# Refusals


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: random.gumbel(3, rng=None),
            TypeError,
            "gumbel: rng must be a Key, an int seed or a numpy Generator, got NoneType",
        ),
        (
            lambda: random.bits(3, rng=None),
            TypeError,
            "bits: rng must be a Key, an int seed or a numpy Generator, got NoneType",
        ),
        (
            lambda: random.gumbel(3, rng=True),
            TypeError,
            "gumbel: rng must be a Key, an int seed or a numpy Generator, got bool",
        ),
        (
            lambda: random.gumbel(3, rng=1.0),
            TypeError,
            "gumbel: rng must be a Key, an int seed or a numpy Generator, got float",
        ),
        (lambda: random.gumbel(3, rng=-1), ValueError, "gumbel: rng must be in [0, 2**64), got -1"),
        (lambda: random.gumbel(3, rng=2**64), ValueError, f"gumbel: rng must be in [0, 2**64), got {2**64}"),
        (lambda: random.key(-1), ValueError, "key: seed must be in [0, 2**64), got -1"),
        (lambda: random.key("1"), TypeError, "key: seed must be an int, got str"),
        (lambda: random.Key(0.5), TypeError, "Key: value must be an int, got float"),
        (lambda: random.fold_in(random.key(1), -1), ValueError, "fold_in: data must be in [0, 2**64), got -1"),
        (lambda: random.fold_in(None, 1), TypeError, "fold_in: key must be an int, got NoneType"),
        (lambda: random.split(random.key(1), -1), ValueError, "split: num must be in [0, 2**24), got -1"),
        (lambda: random.split(1, 2**24), ValueError, "split: num must be in [0, 2**24), got 16777216"),
        (lambda: random.gumbel(-3, rng=1), ValueError, "gumbel: shape must not be negative, got -3"),
        (
            lambda: random.gumbel((2, 1.5), rng=1),
            TypeError,
            "gumbel: shape must be an int or a tuple of ints, got (2, 1.5)",
        ),
        (
            lambda: random.gumbel(3, rng=1, dtype=np.float16),
            TypeError,
            "gumbel: dtype must be float32 or float64, got dtype('float16')",
        ),
        (
            lambda: random.bits(3, rng=1, dtype=np.int32),
            TypeError,
            "bits: dtype must be uint32 or uint64, got dtype('int32')",
        ),
        (lambda: random.gumbel(3, rng=1, bits=16), ValueError, "gumbel: bits must be 32, 64 or None, got 16"),
        (lambda: random.gumbel(3, rng=1, bits="32"), TypeError, "gumbel: bits must be 32, 64 or None, got '32'"),
        (
            lambda: random.gumbel((2, 3), rng=1, streams=5),
            ValueError,
            "gumbel: streams must have one id per row, got a scalar",
        ),
        (
            lambda: random.gumbel((2, 3), rng=1, streams=[1, 2, 3]),
            ValueError,
            "gumbel: streams must be a scalar or have the shape of the rows, (2,), got shape (3,)",
        ),
        (
            lambda: random.gumbel((2, 3), rng=1, streams=[1.0, 2.0]),
            TypeError,
            "gumbel: streams must be an integer or an array of them, got dtype dtype('float64')",
        ),
        (
            lambda: random.gumbel((2, 3), rng=1, streams=[1, -2]),
            ValueError,
            "gumbel: streams must not be negative, got -2",
        ),
        (
            lambda: random.gumbel((2, 3), rng=1, position=[1, 2, 3]),
            ValueError,
            "gumbel: position must be a scalar or have the shape of the rows, (2,), got shape (3,)",
        ),
        (
            lambda: random.gumbel((2, 3), rng=1, position=-1),
            ValueError,
            "gumbel: position must be in [0, 2**64), got -1",
        ),
        (
            lambda: random.gumbel((2, 3), rng=1, position=True),
            TypeError,
            "gumbel: position must be an integer or an array of them, got dtype dtype('bool')",
        ),
        (
            lambda: random.gumbel(3, rng=1, index_offset=-1),
            ValueError,
            "gumbel: index_offset must be in [0, 2**62], got -1",
        ),
        (
            lambda: random.gumbel(3, rng=1, index_offset=2**70),
            ValueError,
            f"gumbel: index_offset must be in [0, 2**62], got {2**63 - 1}",
        ),
        (
            lambda: random.gumbel(3, rng=1, index_offset=2**62),
            ValueError,
            f"gumbel: index_offset must leave indices up to 2**62, got {2**62} and rows of 3",
        ),
        (
            lambda: random.gumbel(3, rng=1, index_offset=1.0),
            TypeError,
            "gumbel: index_offset must be an int, got float",
        ),
        (lambda: random.gumbel(3, rng=1, out=[0, 0, 0]), TypeError, "gumbel: out must be a numpy array, got list"),
        (
            lambda: random.gumbel(3, rng=1, out=np.zeros(3)),
            TypeError,
            "gumbel: out must have dtype float32, got float64",
        ),
        (
            lambda: random.gumbel(3, rng=1, out=np.zeros(4, np.float32)),
            ValueError,
            "gumbel: out must have shape (3,), got (4,)",
        ),
        (
            lambda: random.bits(3, rng=1, out=np.zeros((3, 1), np.uint32)),
            ValueError,
            "bits: out must have shape (3,), got (3, 1)",
        ),
        (
            lambda: random.gumbel((2, 3), rng=1, out=np.broadcast_to(np.zeros(3, np.float32), (2, 3))),
            ValueError,
            "gumbel: out must be writable, got a read-only array",
        ),
        (
            lambda: random.gumbel(
                (2, 3), rng=1, out=np.lib.stride_tricks.as_strided(np.zeros(9, np.float32), (2, 3), (4, 4))
            ),
            ValueError,
            "gumbel: out must not overlap itself, got strides that do",
        ),
    ],
)
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message
    assert type(caught.value) is error


def test_interrupts_and_sizes_beyond_memory() -> None:
    with pytest.raises((MemoryError, ValueError)):
        random.gumbel(2**60, rng=1)


# All words


DIGEST_OF_ALL_GUMBELS = "6c16cefbdeee0314fef3a1ec4322c779786ca45679a3d43e36fcd0ac40eb63b3"


@pytest.mark.slow
def test_all_words(isa: str) -> None:
    """The map from 2^32 words to Gumbel floats: one digest for every instruction set."""
    assert sg.isa() == isa
    sha = hashlib.sha256()
    n = 1 << 22
    for start in range(0, 2**32, n):
        sha.update(
            given("gumbel", np.arange(start, start + n, dtype=np.uint64).astype(np.uint32), np.float32).tobytes()
        )
    assert sha.hexdigest() == DIGEST_OF_ALL_GUMBELS


@pytest.mark.slow
@each_law
def test_errors_over_all_words(law: str) -> None:
    """As bounds.json states in float32 beside float64, and no step in the wrong direction."""
    found = sweep(law)
    stated = load("bounds")[f"random.{law}.f32"]
    assert abs(found.ulps - stated["largest"]) < 1e-4
    assert found.ulps <= stated["bound"]
    assert found.word == int(stated["argument"], 16)
    assert found.monotonic


@each_law
def test_the_stated_error_is_there(law: str, isa: str) -> None:
    """At the word that bounds.json names there is the error it states; around it there is none beyond the bound."""
    stated = load("bounds")[f"random.{law}.f32"]
    at = int(stated["argument"], 16)
    first = max(0, min(at - 2**15, 2**32 - 2**16))
    _, found = errors(law, np.arange(first, first + 2**16, dtype=np.uint64).astype(np.uint32))
    assert abs(found[at - first] - stated["largest"]) < 1e-4
    assert 0.4 < found.max() <= stated["bound"]

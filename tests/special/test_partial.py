"""Sums of parts of rows as values: in any order and grouping, the bits of the whole row; and hostile records."""

import itertools
import math
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import mpmath
import numpy as np
import pytest
from cases import CHUNK, DTYPES, HALVES, layouts
from errors import raises
from hypothesis import strategies as st

import sorgum as sg
from sorgum import _core, reference, special
from sorgum._data import load
from sorgum._data.inputs import hashed, logits, words

pytestmark = pytest.mark.sanitize

Array = Any
each_dtype = pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES.keys())
partial, merge, finish = special.logsumexp_partial, special.logsumexp_merge, special.logsumexp_finish
NONE = -(2**63)  # `top` of a sum without terms


def bits(array: Any) -> bytes:
    return np.asarray(array).tobytes()


def rows_of(dtype: np.dtype[Any]) -> Iterator[tuple[str, Array, float]]:
    """Rows of many kinds, five chunks and a bit each, and a temperature."""
    n = 5 * CHUNK + 77
    x = logits(n, dtype, 3.0, seed=1)
    yield "normal", x, 1.0
    yield "warm", x, 37.5
    yield "cold", x, 1e-3
    yield "wide", logits(n, dtype, 300.0, seed=2), 0.7
    yield "offset", x + dtype.type(30000), 1.0
    yield "flat", np.full(n, 0.1, dtype), 1.0
    rising = np.sort(logits(n, dtype, 20.0, seed=3))
    yield "rising", rising, 1.0
    yield "falling", rising[::-1].copy(), 1.0
    peaked = x.copy()
    peaked[4 * CHUNK + 5] = 60
    yield "peaked", peaked, 1.0
    steps = np.repeat(np.arange(6), CHUNK)[:n].astype(dtype)
    yield "maxima in every chunk", steps, 1.0
    yield "equal maxima", steps % 2, 1.0
    chunks = np.arange(n) // CHUNK
    for size in (1e20, 1e30):  # beyond 2^62 only the largest elements matter
        yield f"far below {size:g}", np.where(chunks % 2, x, dtype.type(-size)), 1.0
        yield f"far above {size:g}", np.where(chunks == 2, dtype.type(size), x), 1.0
    encodings = words(n, dtype, 4)
    yield "any encodings", np.where(np.isfinite(encodings), encodings, 0), 1.0
    yield "any encodings, cold", np.where(np.isfinite(encodings), encodings, 0), 1e-30
    for what, value in (("nan", np.nan), ("inf", np.inf), ("-inf", -np.inf)):
        special_row = x.copy()
        special_row[CHUNK * 2 + 1] = value
        yield what, special_row, 1.0
    both = x.copy()
    both[[3, CHUNK + 3, 4 * CHUNK]] = np.inf, np.nan, np.inf
    yield "nan and inf", both, 1.0
    yield "empty", np.full(n, -np.inf, dtype), 1.0
    holes = x.copy()
    holes[: 2 * CHUNK] = -np.inf
    yield "empty chunks", holes, 1.0


def partitions(n: int) -> Iterator[list[slice]]:
    """Every way to cut a row at its chunk borders."""
    borders = range(CHUNK, n, CHUNK)
    for count in range(len(borders) + 1):
        for cut in itertools.combinations(borders, count):
            yield [slice(a, b) for a, b in itertools.pairwise((0, *cut, n))]


def trees(parts: list[Any]) -> Iterator[Any]:
    """Merge in every grouping of neighbours."""
    if len(parts) == 1:
        yield parts[0]
    for i in range(1, len(parts)):
        for left, right in itertools.product(trees(parts[:i]), trees(parts[i:])):
            yield merge(np.stack([left, right]))


# The bits of the whole row


@each_dtype
def test_every_split(dtype: np.dtype[Any], isa: str) -> None:
    assert sg.isa() == isa
    for what, x, t in rows_of(dtype):
        whole, expected = partial(x, temperature=t), bits(special.logsumexp(x, temperature=t))
        assert bits(finish(whole)) == expected, what
        for parts in partitions(len(x)):
            merged = merge(np.stack([partial(x[part], temperature=t) for part in parts]))
            assert bits(merged) == bits(whole), (what, parts)
            assert bits(finish(merged)) == expected, (what, parts)


@each_dtype
def test_every_order_and_grouping(dtype: np.dtype[Any]) -> None:
    for what, x, t in rows_of(dtype):
        whole = bits(partial(x, temperature=t))
        chunks = [partial(x[i : i + CHUNK], temperature=t) for i in range(0, len(x), CHUNK)]
        for tree in trees(chunks[:5]):
            assert bits(merge(np.stack([chunks[5], tree]))) == whole, what
        for order in itertools.permutations(chunks):
            assert bits(merge(np.stack(order))) == whole, what
        for order in list(itertools.permutations(chunks))[::7]:
            halves = np.stack([merge(np.stack(order[:3])), merge(np.stack(order[3:]))])
            assert bits(merge(halves)) == whole, what


@each_dtype
def test_softmax_of_parts(dtype: np.dtype[Any], isa: str) -> None:
    for what, x, t in rows_of(dtype):
        for empty in ("nan", "zero"):
            expected = special.softmax(x, temperature=t, empty=empty)
            p = partial(x, temperature=t)
            for part in (slice(0, CHUNK), slice(CHUNK, 3 * CHUNK), slice(3 * CHUNK, None), slice(17, 40), slice(5, 5)):
                got = special.softmax_from_partial(x[part], p, empty=empty)
                assert bits(got) == bits(expected[part]), (what, part, empty)


@each_dtype
def test_a_row_of_one_chunk(dtype: np.dtype[Any]) -> None:
    for n in (1, 2, 15, 16, 17, 1000, CHUNK):
        x = logits((3, n), dtype, 4.0, seed=n)
        p = partial(x)
        assert p.shape == (3,)
        assert p.dtype == special.partial_dtype
        assert bits(finish(p)) == bits(special.logsumexp(x))
        assert bits(special.softmax_from_partial(x, p)) == bits(special.softmax(x))


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES.keys())
def test_half_types(half: np.dtype[Any], isa: str) -> None:
    """The sums of float16 and bfloat16 are those of float32; the results are rounded once."""
    x = logits((3, 2 * CHUNK + 100), np.float32, 3.0).astype(half)
    parts = [partial(x[:, CHUNK:]), partial(x[:, :CHUNK])]
    merged = merge(np.stack(parts))
    assert bits(merged) == bits(partial(x.astype(np.float32)))
    assert bits(finish(merged).astype(half)) == bits(special.logsumexp(x))
    got = special.softmax_from_partial(x[:, CHUNK:], merged)
    assert got.dtype == half
    assert bits(got) == bits(special.softmax(x)[:, CHUNK:])
    with raises(ValueError, "softmax_from_partial: p must hold records of dtype float32, got float64"):
        special.softmax_from_partial(x, partial(x.astype(np.float64)))
    above = x.copy()
    above[2, 5] = 100
    with pytest.raises(ValueError, match=r"^softmax_from_partial: x must be a part of the rows of p, got "):
        special.softmax_from_partial(above, merged)


def test_threads(threads: Callable[[int], None]) -> None:
    x = logits((2, (1 << 20) + 3), np.float32, 10.0, seed=1)
    threads(1)
    expected = partial(x), special.softmax(x)
    for n in (2, 3, 8):
        threads(n)
        assert bits(partial(x)) == bits(expected[0])
        assert bits(special.softmax_from_partial(x, expected[0])) == bits(expected[1])
    half = 128 * CHUNK
    merged = merge(np.stack([partial(x[:, :half]), partial(x[:, half:])], axis=1), axis=1)
    assert bits(merged) == bits(expected[0])
    assert bits(finish(merged)) == bits(special.logsumexp(x))


@each_dtype
@pytest.mark.parametrize("n", [40, 2 * CHUNK + 9])
def test_masks_weights_and_temperatures(dtype: np.dtype[Any], n: int, isa: str) -> None:
    x = logits((4, n), dtype, 8.0, seed=7)
    mask = (hashed(x.size) % np.uint64(3) != 0).reshape(x.shape)
    mask[2] = False
    b = (hashed(x.size, 2) >> np.uint64(56)).astype(dtype).reshape(x.shape) - dtype.type(100)
    t = np.array([1.0, 0.7, 30.0, 1e-3])
    cuts = [slice(0, CHUNK), slice(CHUNK, None)]
    for keywords in ({"temperature": t}, {"temperature": t[:, None]}, {"where": mask}, {"where": mask[0]}, {"b": b}):
        for more in ({}, {"where": mask, "temperature": t}):
            given = keywords | more

            def of(cut: slice, given: dict[str, Any] = given) -> dict[str, Any]:
                return {name: value[..., cut] if name in ("where", "b") else value for name, value in given.items()}

            parts = [partial(x[:, cut], **of(cut)) for cut in cuts]
            merged = merge(np.stack(parts[::-1]))
            assert bits(merged) == bits(partial(x, **given))
            if "b" in given:
                value, sign = special.logsumexp(x, **given, return_sign=True)
                got, got_sign = finish(merged, return_sign=True)
                assert bits(got) == bits(value)
                assert bits(got_sign) == bits(sign)
                assert bits(finish(merged)) == bits(special.logsumexp(x, **given))
                continue
            assert bits(finish(merged)) == bits(special.logsumexp(x, **given))
            for cut in cuts:
                where = given.get("where")
                got = special.softmax_from_partial(
                    x[:, cut], merged, where=None if where is None else where[..., cut], empty="zero"
                )
                assert bits(got) == bits(special.softmax(x, **given, empty="zero")[:, cut])


@each_dtype
def test_weights_that_make_no_sum(dtype: np.dtype[Any]) -> None:
    n = 2 * CHUNK
    x, b = np.zeros(n, dtype), np.ones(n, dtype)
    b[1::2] = -1
    cases: list[tuple[Array, Array]] = [(x, b)]
    for at, value, weight in (
        ((5,), (np.inf,), (1,)),
        ((5,), (np.inf,), (-1,)),
        ((5, CHUNK), (np.inf, np.inf), (1, -1)),
        ((5,), (0,), (np.nan,)),
        ((CHUNK,), (0,), (-np.inf,)),
        ((CHUNK,), (np.inf,), (0,)),
    ):
        other, weights = x.copy(), b.copy()
        other[list(at)], weights[list(at)] = value, weight
        cases.append((other, weights))
    far = np.where(np.arange(n) < CHUNK, dtype.type(-1e30), 0).astype(dtype)
    cases += [(far, np.abs(b)), (far[::-1].copy(), np.abs(b)), (np.full(n, -np.inf, dtype), b)]
    for x, b in cases:
        parts = [partial(x[i : i + CHUNK], b=b[i : i + CHUNK]) for i in (0, CHUNK)]
        for order in (parts, parts[::-1]):
            merged = merge(np.stack(order))
            assert bits(merged) == bits(partial(x, b=b))
            for got, expected in zip(
                finish(merged, return_sign=True), special.logsumexp(x, b=b, return_sign=True), strict=True
            ):
                assert bits(got) == bits(expected)


def test_weighted_sums_do_not_depend_on_the_order_of_far_chunks() -> None:
    """Elements 2^62 below the largest count for nothing, before it and behind it."""
    for n in (CHUNK, 40 * CHUNK):
        x = np.concatenate([np.full(n, -1e30), np.zeros(n)])
        for row in (x, x[::-1]):
            assert special.logsumexp(row, b=np.ones(2 * n)) == special.logsumexp(row)
            assert special.logsumexp(row) == pytest.approx(math.log(n))


@each_dtype
def test_layouts_and_axes(dtype: np.dtype[Any]) -> None:
    x = logits((7, 300), dtype, 8.0, seed=6)
    for axis in (-1, 0, (0, 1), None):
        p, y = partial(x, axis), special.softmax(x, axis)
        for name, view in layouts(x):
            assert bits(partial(view, axis)) == bits(p), name
            assert bits(special.softmax_from_partial(view, p, axis)) == bits(y), name
        for name, out in layouts(np.zeros_like(x)):
            if name != "read-only":
                assert special.softmax_from_partial(x, p, axis, out=out) is out
                assert bits(out) == bits(y), name
        kept = np.expand_dims(p, tuple(range(2)) if axis in ((0, 1), None) else axis)
        assert bits(special.softmax_from_partial(x, kept, axis)) == bits(y)
    p = np.broadcast_to(partial(x), (3, 7))
    assert bits(finish(p[:, ::-2])) == bits(np.broadcast_to(special.logsumexp(x)[::-2], (3, 4)))
    for at in (0, 1, -1, -2):
        assert merge(p, at).shape == np.sum(np.ones((3, 7)), axis=at).shape
    in_place = x.copy()
    special.softmax_from_partial(in_place, partial(x), out=in_place)
    assert bits(in_place) == bits(special.softmax(x))


# Splits elsewhere


@each_dtype
@pytest.mark.parametrize("n", [2, 3, 17, 300, CHUNK, 20000])
def test_splits_beside_the_chunk_borders(dtype: np.dtype[Any], n: int, rng: np.random.Generator) -> None:
    """Other roundings of the same sum: at most twice the bound apart, and in fact what the documents say."""
    stated = 1 if dtype.itemsize == 4 else 4
    assert stated <= 2 * load("bounds")[f"special.logsumexp.f{8 * dtype.itemsize}"]["bound"]
    for scale in (0.01, 0.1, 1.0, 3.0, 30.0):
        x = logits((500, n) if n < CHUNK else (20, n), dtype, scale, seed=n)
        whole = special.logsumexp(x)
        largest = np.max(x, axis=1)
        unit = np.spacing(np.max(np.abs([largest, whole - largest, whole]), axis=0))
        for _ in range(10):
            cuts = np.sort(rng.integers(0, n + 1, rng.integers(1, 6)))
            parts = np.stack([partial(part) for part in np.split(x, cuts, axis=1)])
            assert np.all(np.abs(finish(merge(parts)) - whole) <= stated * unit)
        half = finish(partial(x[:, : n // 2]))
        assert not np.all(np.abs(half - whole) <= stated * unit)


# What the fields mean


@each_dtype
def test_the_fields(dtype: np.dtype[Any]) -> None:
    tried = 0
    for (what, row, t), few in itertools.product(rows_of(dtype), (slice(None), slice(300))):
        x, p = row[few], partial(row[few], temperature=t)
        assert (p["version"], p["dtype"], p["temperature"], p["weighted"]) == (1, dtype.name.encode(), t, False)
        assert p["has_nan"] == np.isnan(x).any()
        assert p["has_inf"] == np.isposinf(x).any()
        if p["has_nan"] or p["has_inf"]:
            assert (p["max"], p["count"], p["top"]) == (-np.inf, 0, NONE)
            continue
        assert p["max"] == x.max()
        assert p["count"] == (np.sum(x == x.max()) if x.max() > -np.inf else 0)
        if p["top"] == NONE or abs(float(x.max())) > 1e6 or (len(x) > 300 and what not in ("normal", "wide")):
            continue
        with mpmath.workprec(200):
            unit = [mpmath.mpf(2) ** (24 * (int(p["top"]) - k)) for k in range(6)]
            others = mpmath.fsum(int(n) * u for n, u in zip(p["bins"].tolist(), unit, strict=True))
            exact = mpmath.fsum(mpmath.exp(mpmath.mpf(v) / t) for v in x.tolist() if v < x.max())
            assert abs(others - exact) <= mpmath.mpf(2) ** (-21 if dtype.itemsize == 4 else -50) * exact, what
        tried += 1
    assert tried > 5


def test_an_empty_part() -> None:
    for dtype in DTYPES.values():
        x = logits((3, 100), dtype)
        nothing = partial(x[:, :0])
        assert np.all(finish(nothing) == -np.inf)
        assert bits(merge(np.stack([nothing, partial(x), nothing]))) == bits(partial(x))
        assert np.isnan(special.softmax_from_partial(np.full((3, 1), -np.inf, dtype), nothing)).all()
        assert partial(np.zeros((0, 5), dtype)).shape == (0,)
        assert merge(np.stack([partial(np.zeros((0, 5), dtype))] * 2)).shape == (0,)
        assert finish(partial(np.zeros((0, 5), dtype))).shape == (0,)
        assert special.softmax_from_partial(x[:, :0], partial(x)).shape == (3, 0)


def test_records_are_values(tmp_path: Any) -> None:
    p = partial(logits((5, 9000), np.float32))
    np.save(tmp_path / "p.npy", p)
    for copy in (pickle.loads(pickle.dumps(p)), np.load(tmp_path / "p.npy"), np.frombuffer(bits(p), p.dtype)):
        assert bits(finish(copy)) == bits(finish(p))
    assert special.partial_dtype.itemsize == 104
    assert special.CHUNK == CHUNK == _core.special.CHUNK
    one = finish(p[3])
    assert isinstance(one, np.float32)
    assert one == finish(p)[3]


def test_lists_integers_and_scalars() -> None:
    assert finish(partial([[0, 1], [2, 3]])).dtype == np.float64
    assert finish(partial(2.5)) == 2.5
    assert finish(partial([1.0, 2.0], b=[1, -1])) != finish(partial([1.0, 2.0], b=[1, 1]))
    assert np.isnan(finish(partial([1.0, 2.0], b=[1, -1])))


# The reference


@pytest.mark.parametrize("temperature", [1.0, 0.7, 30.0])
def test_the_reference(temperature: float) -> None:
    ref = reference.special
    x = logits((3, 500), np.float64, 5.0)
    b = logits((3, 500), np.float64, 1.0, seed=1)
    for weights in (None, b):
        cuts = (slice(0, 100), slice(100, 130), slice(130, 130), slice(130, 500))
        ours, theirs = (
            [of.logsumexp_partial(x[:, c], temperature=temperature, b=None if b is None else b[:, c]) for c in cuts]
            for of in (special, ref)
            for b in (weights,)
        )
        expected = ref.logsumexp(x, temperature=temperature, b=weights, return_sign=True)
        merged = ref.logsumexp_merge(np.stack(theirs))
        for order in (ours, ours[::-1]):
            got = finish(merge(np.stack(order)), return_sign=True)
            for a, e, r in zip(got, expected, ref.logsumexp_finish(merged), strict=True):
                assert np.allclose(a, e, rtol=1e-13, atol=1e-13)
                assert np.allclose(r, e, rtol=1e-13, atol=1e-13)
    p, q = partial(x, temperature=temperature), ref.logsumexp_partial(x, temperature=temperature)
    got, expected = special.softmax_from_partial(x[:, 7:30], p), ref.softmax_from_partial(x[:, 7:30], q)
    assert np.allclose(got, expected, rtol=1e-13)
    assert np.allclose(expected, ref.softmax(x, temperature=temperature)[:, 7:30], rtol=1e-13)
    assert not np.allclose(expected, ref.softmax(x[:, 7:30], temperature=temperature), rtol=0.1)


# Hostile records


def uses(p: Array) -> list[tuple[str, Callable[[], Any]]]:
    """Everything that reads records."""
    x = np.zeros((*p.shape, 3), np.float32)
    return [
        ("logsumexp_merge", lambda: merge(p[None])),
        ("logsumexp_finish", lambda: finish(p)),
        ("softmax_from_partial", lambda: special.softmax_from_partial(x, p)),
    ]


def check_of(p: Array) -> np.uint64:
    """Return the check of a record, formed in Python as docs/numerics/special.md says."""
    h = 0
    for word in np.frombuffer(bits(p)[:-8], np.uint64).tolist():
        h = (h ^ word) * 0x9E3779B97F4A7C15 % 2**64
        h ^= h >> 32
    return np.uint64(h)


def forged(p: Array, field: str, value: Any) -> Array:
    """Return a record with another field and a check that fits."""
    other = p.copy()
    other[field] = value
    other["check"] = check_of(other)
    return other


def test_the_check_is_as_documented() -> None:
    for x in (np.float32([1, 2, 3]), np.array([]), np.array([np.nan])):
        p = partial(x)
        assert p["check"] == check_of(p)


@pytest.mark.parametrize(
    ("found", "p"),
    [
        ("float64", np.zeros(3)),
        ("list", [1, 2]),
        ("None", None),
        ("bytes", b"\0" * 104),
        ("int64", np.zeros((2, 13), np.int64)),
        ("swapped", np.zeros(2, special.partial_dtype).astype(special.partial_dtype.newbyteorder(">"))),
        ("other fields", np.zeros(2, [("version", "<u4"), ("has_nan", "?")])),
    ],
)
def test_other_types(found: str, p: Any) -> None:
    shown = str(p.dtype) if isinstance(p, np.ndarray) else type(p).__name__
    for name, call in (
        ("logsumexp_merge", lambda: merge(p)),
        ("logsumexp_finish", lambda: finish(p)),
        ("softmax_from_partial", lambda: special.softmax_from_partial(np.zeros(3), p)),
    ):
        with raises(TypeError, f"{name}: p must be an array of special.partial_dtype, got {shown}"):
            call()


def test_masked_arrays_are_refused() -> None:
    p = np.ma.masked_array(partial(np.zeros((2, 3), np.float32)))
    with raises(TypeError, f"logsumexp_finish: p must be an array of special.partial_dtype, got {p.dtype}"):
        finish(p)


def test_other_versions() -> None:
    p = partial(np.float32([[1, 2, 3]]))
    for other, shown in ((p.byteswap(), 2**24), (np.zeros_like(p), 0), (forged(p, "version", 2), 2)):
        for name, call in uses(other):
            with raises(ValueError, f"{name}: p must hold records of version 1, got version {shown}"):
                call()


def test_every_changed_byte_is_noticed() -> None:
    p = partial(np.float32([[1, 2, 3]]))
    for at, bit in itertools.product(range(p.dtype.itemsize), (1, 128)):
        spoilt = bytearray(bits(p))
        spoilt[at] ^= bit
        for name, call in uses(np.frombuffer(bytes(spoilt), p.dtype)):
            rule = "version 1, got version" if at < 4 else "logsumexp_partial as it made them, got one that has changed"
            with pytest.raises(ValueError, match=f"^{name}: p must hold records of {rule}"):
                call()


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("has_minus_inf", True, "flag"),
        ("temperature", 0.0, "temperature"),
        ("temperature", -1.0, "temperature"),
        ("temperature", np.nan, "temperature"),
        ("temperature", np.inf, "temperature"),
        ("temperature", 5e-324, "temperature"),
        ("max", np.nan, "max"),
        ("max", np.inf, "max"),
        ("max", 0.1, "max"),  # no float32
        ("max", 1e300, "max"),
        ("has_nan", True, "max"),
        ("has_inf", True, "max"),
        ("max", -np.inf, "count"),
        ("count", 0, "count"),
        ("count", -1, "count"),
        ("count", 2**36 + 1, "count"),
        ("count", 2**63 - 1, "count"),
        ("weighted", True, "count"),
        ("top", 2**63 - 1, "top"),
        ("top", -(2**63) + 1, "top"),
        ("top", 2**58 + 1, "top"),
        ("top", NONE, "bin"),
        ("bins", 2**61, "bin"),
        ("bins", 2**63 - 1, "bin"),
        ("bins", -1, "bin"),
        ("bins", -(2**63), "bin"),
    ],
)
def test_impossible_records(field: str, value: Any, fault: str) -> None:
    p = forged(partial(np.float32([[1, 2, 3]])), field, value)
    for name, call in uses(p):
        with raises(
            ValueError, f"{name}: p must hold records of logsumexp_partial, got one with an impossible {fault}"
        ):
            call()


def test_other_flags_and_dtypes() -> None:
    p = partial(np.float32([[1, 2, 3]]))
    raw = bytearray(bits(p))
    raw[4] = 2  # has_nan
    flagged = np.frombuffer(bytes(raw), p.dtype).copy()
    flagged["check"] = check_of(flagged)
    for name, call in uses(flagged):
        with raises(ValueError, f"{name}: p must hold records of logsumexp_partial, got one with an impossible flag"):
            call()
    for dtype in (b"float16", b"", b"float32x", b"FLOAT32"):
        for name, call in uses(forged(p, "dtype", dtype)):
            with raises(ValueError, f"{name}: p must hold records of dtype float32 or float64, got another"):
                call()


def test_mixed_records() -> None:
    single, double = partial(np.float32([1, 2])), partial(np.float64([1, 2]))
    for p, first, second in (([single, double], "32", "64"), ([double, single], "64", "32")):
        for name, call in (("logsumexp_merge", merge), ("logsumexp_finish", finish)):
            with raises(ValueError, f"{name}: p must hold records of dtype float{first}, got float{second}"):
                call(np.stack(p))
    with raises(ValueError, "softmax_from_partial: p must hold records of dtype float64, got float32"):
        special.softmax_from_partial([1.0], single)
    with raises(ValueError, "logsumexp_merge: p must hold records of one temperature for a row, got 1.0 and 0.5"):
        merge(np.stack([single, partial(np.float32([1]), temperature=0.5)]))
    weighted = partial(np.float32([1]), b=np.float32([1]))
    with raises(ValueError, "logsumexp_merge: p must hold records of sums with weights or of sums without, got both"):
        merge(np.stack([weighted, single]))
    with raises(ValueError, "softmax_from_partial: p must hold records of sums without weights, got one with"):
        special.softmax_from_partial(np.float32([1]), weighted)


def test_sums_that_grow_too_large() -> None:
    """Merging ends with an error before an integer overflows."""
    p = partial(np.zeros(1, np.float32))
    large = forged(p, "count", 2**36)
    message = "logsumexp_merge: a row must have at most 2**36 elements, got more"
    with raises(ValueError, message):
        merge(np.stack([large, p]))
    full = forged(forged(partial(np.float32([0, 1])), "bins", 2**61 - 1), "count", 2**36)
    higher = forged(partial(np.float32([0, 2])), "bins", 2**61 - 1)
    for parts in ([full, full], [full, higher], [higher, full]):
        with raises(ValueError, message):
            merge(np.stack(parts))
    far = [
        forged(forged(partial(np.float64([0, x]), temperature=t), "top", top), "bins", 7)
        for x, t in ((1e18, 1.0), (-1e18, 1.0), (1.0, 1e300), (1.0, 1e-300))
        for top in (2**58, -(2**58), 0)
    ]
    for record in far:  # nonsense, but no harm
        finish(record)
        merge(np.stack([record, record]))
        special.softmax_from_partial([-1e300], record)


LIMITS = [0, 1, 2, *(s * 2**k + d for k in (24, 36, 58, 61, 62, 63) for s in (1, -1) for d in (-1, 0, 1))]


@hypothesis.given(
    base=st.sampled_from([[1.0, 2.0, 2.0], [-1e300, 1e300], [], [np.nan], [np.inf]]),
    single=st.booleans(),
    weighted=st.booleans(),
    fields=st.dictionaries(
        st.sampled_from(["max", "temperature", "count", "top", *(f"bin {k}" for k in range(6))]),
        st.one_of(st.sampled_from(LIMITS), st.integers(-(2**63), 2**63 - 1), st.floats(width=32)),
        max_size=4,
    ),
)
def test_forged_records_do_no_harm(
    base: list[float], single: bool, weighted: bool, fields: dict[str, int | float]
) -> None:
    """Whoever knows the check can forge a record: it is refused, or some other number."""
    x = np.array(base, np.float32 if single and base != [-1e300, 1e300] else np.float64)
    p = partial(x, b=np.ones_like(x) if weighted else None).copy()
    for field, value in fields.items():
        name, _, k = field.partition(" ")
        if name in ("max", "temperature"):
            p[name] = value
        elif not isinstance(value, float):
            whole = max(-(2**63), min(2**63 - 1, value))
            if name == "bin":
                p["bins"][int(k)] = whole
            else:
                p[name] = whole
    p["check"] = check_of(p)
    for call in (
        lambda: finish(p, return_sign=True),
        lambda: merge(np.stack([p, p])),
        lambda: merge(np.stack([p, partial(x, temperature=p["temperature"])])),
        lambda: special.softmax_from_partial(x, p, empty="zero"),
    ):
        refusal = "logsumexp_finish: none"
        try:
            call()
        except ValueError as error:
            refusal = str(error)
        assert re.match("^(logsumexp_(merge|finish|partial)|softmax_from_partial): ", refusal)


@pytest.mark.parametrize("shape", [(3,), (2, 1), (4,), (1, 4), (2, 3)])
def test_other_shapes(shape: tuple[int, ...]) -> None:
    x = np.zeros((2, 3), np.float32)
    p = np.broadcast_to(partial(np.zeros(1, np.float32)), shape)
    if shape == (2, 1):
        special.softmax_from_partial(x, p)
        return
    with raises(ValueError, f"softmax_from_partial: p must have the shape of the rows, (2,), got {shape}"):
        special.softmax_from_partial(x, p)


def test_a_single_record_is_no_record_for_many_rows() -> None:
    with raises(ValueError, "softmax_from_partial: p must have the shape of the rows, (2,), got ()"):
        special.softmax_from_partial(np.zeros((2, 3)), partial(np.zeros(3)))


def test_axes_out_of_range() -> None:
    p = partial(np.zeros((2, 3)))
    for axis in (1, -2, 10**30):
        with raises(ValueError, f"logsumexp_merge: axis must be in [-1, 1), got {axis}"):
            merge(p, axis)
    for wrong in (None, "0", 1.0, (0,)):
        with raises(TypeError, f"logsumexp_merge: axis must be an int, got {wrong!r}"):
            merge(p, wrong)  # type: ignore[arg-type]
    with raises(ValueError, "logsumexp_merge: axis must be in [0, 0), got 0"):
        merge(p[0])
    with raises(ValueError, "logsumexp_merge: p must have at least one record to merge, got shape (0,)"):
        merge(p[:0])
    for name, call in (
        ("logsumexp_partial", lambda: partial(np.zeros((2, 3)), 2)),
        ("softmax_from_partial", lambda: special.softmax_from_partial(np.zeros((2, 3)), p, 2)),
    ):
        with raises(ValueError, f"{name}: axis must be in [-2, 2), got 2"):
            call()


@each_dtype
def test_elements_that_the_sum_cannot_have(dtype: np.dtype[Any], isa: str) -> None:
    for n in (1, 15, 40, CHUNK + 3):
        x = logits((2, n), dtype)
        p = partial(x)
        top = float(x[1].max())
        for value in (np.nan, np.inf, np.nextafter(dtype.type(top), dtype.type(np.inf))):
            for at in {0, n // 2, n - 1}:
                wrong = x.copy()
                wrong[1, at] = value
                with pytest.raises(ValueError, match=r"^softmax_from_partial: x must be a part of the rows of p, got "):
                    special.softmax_from_partial(wrong, p)
                where = np.ones(n, bool)
                where[at] = False
                special.softmax_from_partial(wrong, p, where=where)  # absent, whatever its value
    nothing = partial(np.zeros(0, dtype))
    with raises(
        ValueError,
        "softmax_from_partial: x must be a part of the rows of p, got NaN or an element above a row's maximum, -inf",
    ):
        special.softmax_from_partial(np.zeros(1, dtype), nothing)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("logsumexp_partial", lambda x, **k: partial(x, **k)),
        ("softmax_from_partial", lambda x, **k: special.softmax_from_partial(x, partial(np.zeros(3)), **k)),
    ],
)
def test_other_arguments(name: str, call: Callable[..., Any]) -> None:
    kinds = "float16, bfloat16, float32, float64, bool or integer"
    with raises(TypeError, f"{name}: x must be {kinds}, got dtype dtype('complex128')"):
        call(np.zeros(3, complex))
    with raises(TypeError, f"{name}: where must be boolean, got dtype dtype('int64')"):
        call(np.zeros(3), where=np.ones(3, np.int64))
    with raises(ValueError, f"{name}: where must broadcast to shape (3,), got shape (2,)"):
        call(np.zeros(3), where=np.ones(2, bool))
    if name == "logsumexp_partial":
        with raises(ValueError, f"{name}: temperature must be positive and finite, got 0.0"):
            call(np.zeros(3), temperature=0.0)
        with raises(ValueError, f"{name}: b must broadcast with x, of shape (3,), got shape (2,)"):
            call(np.zeros(3), b=[1, 2])
    else:
        with raises(ValueError, f"{name}: empty must be 'nan' or 'zero', got 'x'"):
            call(np.zeros(3), empty="x")
        with raises(TypeError, f"{name}: empty must be a string, got 1"):
            call(np.zeros(3), empty=1)
        with raises(ValueError, f"{name}: out must have shape (3,), got (2,)"):
            call(np.zeros(3), out=np.zeros(2))
        with raises(TypeError, f"{name}: out must have dtype float64, got float32"):
            call(np.zeros(3), out=np.zeros(3, np.float32))

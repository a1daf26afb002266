"""What Python call exercises each kernel of the enumerator, and the inputs and layouts that several tests share."""

from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from sorgum import _core, random, special
from sorgum._data.inputs import hashed, logits, words

Array = NDArray[Any]

DTYPES = {"f32": np.dtype(np.float32), "f64": np.dtype(np.float64)}
HALVES = {"f16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16)}
OTHERS = {"b8": np.dtype(np.bool_)}
CHUNK = 4096

# Around the lanes, the groups of 8 vectors, a chunk and its multiples, powers of two.
LENGTHS = (0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 257, 1021, 1023, 1024, 1025, 4093)
LENGTHS += tuple(k * CHUNK + d for k in (1, 2, 3, 4, 8, 16) for d in (-1, 0, 1))
LENGTHS += (131071, 262144)

ROW_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "softmax": special.softmax,
    "log_softmax": special.log_softmax,
    "logsumexp": special.logsumexp,
}
ALGORITHMS = ("auto", "two_pass", "three_pass_recompute", "three_pass_reload")


def elementwise(function: Callable[..., Any], dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (0, 1, 15, 16, 17, 63, 65, 1000, 100003):
        yield function(words(n, dtype, seed=n))
    yield function(logits(50001, dtype, 30.0))


def short_rows(function: Callable[..., Any], dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (1, 5, 16, 48, 100, 1000, CHUNK):
        yield function(logits((29, n), dtype, seed=n))
        yield function(logits((3, n), dtype, 50.0, seed=n), temperature=0.7)
    yield function(words(48 * 512, dtype).reshape(512, 48))


def long_rows(function: Callable[..., Any], dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (CHUNK + 1, 5 * CHUNK - 1, 200003):
        yield function(logits((2, n), dtype, seed=n))
        yield function(logits((1, n), dtype, 50.0, seed=n) + dtype.type(1e5), temperature=37.5)
        yield function(logits((3, 2 * n), dtype, seed=n)[:, ::2])  # brought together in blocks
    yield function(words(3 * 20000, dtype).reshape(3, 20000))


def huge_row(function: Callable[..., Any], dtype: np.dtype[Any]) -> Iterator[Array]:
    """Rows that several threads share, so that their partial sums are merged."""
    for n in ((1 << 20) + 3, 3 << 18):
        yield function(logits(n, dtype, 10.0, seed=1))


def rows_in_turn(function: Callable[..., Any], dtype: np.dtype[Any]) -> Iterator[Array]:
    """Enough long rows to be done one after the other, special ones among them, on cache lines and off them."""
    for n in (2 * CHUNK, 16 * CHUNK, 30011):
        x = logits((37, n), dtype, 10.0, seed=n)
        x[3, 5], x[7, 0], x[11] = np.nan, np.inf, -np.inf
        x[20] += 30000
        x[30, n // 2] = 60
        yield function(x)
        yield function(x, temperature=0.1)


def peaked_rows(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Rows whose largest element dominates: short and long ones, gathered ones, one that threads share."""
    for shape in ((50, 7), (50, 300), (3, 20000), (20, 40000), (1, 300007)):
        x = logits(shape, dtype, 1.0, seed=shape[1])
        x[:, shape[1] // 3] += 15
        yield special.log_softmax(x)
        yield special.log_softmax(x[:, ::2] if shape[1] < 1000 else x.T.copy().T)


def columns(function: Callable[..., Any], dtype: np.dtype[Any]) -> Iterator[Array]:
    """Rows side by side: blocks that end in a part of a vector, rows beyond the format, results past the caches."""
    for n, count in ((1, 16), (5, 100), (17, 33), (129, 50), (1000, 300), (CHUNK, 40), (300, 5000)):
        x = logits((n, count), dtype, 4.0, seed=n)
        x[n // 2, count // 2] += 30
        yield function(x, axis=0)
        x[0, 3], x[n // 2, 5], x[:, 7] = np.nan, np.inf, -np.inf
        yield function(x, axis=0, temperature=0.3)


def masked(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (1, 16, 33, 1000, CHUNK + 5):
        x = logits((20, n), dtype, 4.0, seed=n)
        mask = (hashed(x.size, 3) % np.uint64(3) != 0).reshape(x.shape)
        for function in ROW_FUNCTIONS.values():
            yield function(x, where=mask)
            yield function(x, where=mask[:1])


def logsumexp_grad(x: Array, **keywords: Any) -> Array:
    """With a factor per row, dy / T: numbers of the type for T = 1, others for T = 0.7; a zero and an infinity."""
    dy = logits(x.shape[0], x.dtype, 1.0, seed=x.shape[1])
    dy[2::29], dy[3::29] = 0, np.inf
    return special.logsumexp_grad(x, dy=dy, **keywords)  # type: ignore[no-any-return]


def gradients(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Short and long rows, one that threads share, strided and masked ones, special values."""
    for shape in ((50, 1), (50, 33), (9, 1000), (3, CHUNK), (3, CHUNK + 1), (2, 70001), (40, 20000)):
        x, dy = logits(shape, dtype, 3.0, seed=1), logits(shape, dtype, 1.0, seed=2)
        mask = (hashed(x.size, 3) % np.uint64(3) != 0).reshape(shape)
        for function, grad in (
            (special.softmax, special.softmax_grad),
            (special.log_softmax, special.log_softmax_grad),
        ):
            y = function(x)
            yield grad(y, dy=dy)
            yield grad(y, dy=dy, temperature=0.3, where=mask)
            yield grad(y[:, ::-2], dy=dy[:, ::-2])
            yield grad(y, dy=dy, axis=0)
        yield special.logsumexp_grad(x, dy=dy[:, 0], temperature=0.3)
        yield special.logsumexp_grad(x, dy=dy[0], axis=0, where=mask)
    x = words(48 * 512, dtype).reshape(512, 48)
    for grad in (special.softmax_grad, special.log_softmax_grad):
        yield grad(x, dy=x[::-1])


def three_pass(dtype: np.dtype[Any]) -> Iterator[Array]:
    for function in (special.softmax, special.log_softmax):
        for algorithm in ALGORITHMS[2:]:
            for n in (1, 17, 1000, CHUNK + 1, 100003):
                yield function(logits((3, n), dtype, 10.0, seed=n), algorithm=algorithm)


def weighted(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (1, 17, 1000, CHUNK + 1, 100003):
        x = logits((3, n), dtype, 10.0, seed=n)
        b = (hashed(x.size) >> np.uint64(56)).astype(dtype).reshape(x.shape) - dtype.type(100)
        yield from special.logsumexp(x, b=b, return_sign=True)


def noise(law: str, dtype: np.dtype[Any]) -> Iterator[Array]:
    """Rows shorter than a group of words and longer, whole and in parts, on either side of 2^32 blocks."""
    function = getattr(random, law)
    widths: tuple[dict[str, Any], ...] = ({"bits": 32}, {"bits": 64})
    if law == "bits":
        widths, dtype = ({},), np.dtype(f"u{dtype.itemsize}")
    for width in widths:
        for shape in ((), 1, (5, 3), (2, 63), (2, 64), (3, 65), (2, 4099)):
            yield function(shape, rng=5, dtype=dtype, **width)
        place = {"streams": [0, 2**64 - 1, 2**32], "position": np.array([0, 2**63, 2**32 + 1], dtype=np.uint64)}
        for offset in (1, 63, 1000, 2**34 - 70, 2**61):
            yield function((3, 150), rng=2**64 - 1, dtype=dtype, index_offset=offset, **place, **width)
        yield function((2, 140001), rng=1, dtype=dtype, **width)


def encodings(n: int, dtype: np.dtype[Any]) -> Array:
    """Return `words`, or random encodings of a half type."""
    return words(n, dtype) if dtype.itemsize > 2 else (hashed(n) >> np.uint64(48)).astype(np.uint16).view(dtype)


def finite(x: Array) -> Array:
    """Return numbers with 0 in the place of those that are none."""
    with np.errstate(invalid="ignore"):  # signalling NaN of ml_dtypes
        return np.where(np.isfinite(x), x, x.dtype.type(0))


def gumbel_max(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (1, 3, 63, 64, 65, 1000, 20011):
        for scale in (0.0, 1.0, 20.0):
            x = logits((7, n), dtype, scale, seed=n)
            x[3, :: max(2, n // 5)] = -np.inf
            yield random.categorical(x, rng=n, index_offset=n * n, on_invalid="minus_one")
            for temperature in (0.0, 1e-30, 0.3, 50.0, 1e30):
                drawn = random.gumbel_partial(x, rng=n, temperature=temperature, streams=np.arange(7) << 40)
                yield from (drawn[name] for name in ("value", "low", "index"))
    x = encodings(30 * 500, dtype).reshape(30, 500)
    yield random.categorical(x, rng=1, on_invalid="minus_one")
    yield random.categorical(finite(x), rng=1)
    yield from random.categorical(logits((1, 300007), dtype), rng=1, return_log_prob=True)


def inverse(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (1, 3, 130, CHUNK, CHUNK + 1, 20011):
        for scale in (0.0, 1.0, 20.0):
            x = logits((7, n), dtype, scale, seed=n)
            x[3, :: max(2, n // 5)] = -np.inf
            for temperature in (0.0, 1e-30, 0.3, 1.0, 50.0, 1e30):
                keywords = {"temperature": temperature, "method": "inverse", "on_invalid": "minus_one"}
                yield random.categorical(x, rng=n, num_samples=5, **keywords)
    x = encodings(30 * 500, dtype).reshape(30, 500)
    for rows in (x, finite(x)):
        yield random.categorical(rows, rng=1, num_samples=9, method="inverse", on_invalid="minus_one")
    yield from random.categorical(logits((2, 300007), dtype), rng=1, method="inverse", return_log_prob=True)


def gumbel_top(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (1, 3, 63, 64, 65, 1000, 20011):
        for scale in (0.0, 1.0, 20.0):
            x = logits((5, n), dtype, scale, seed=n)
            x[3, :: max(2, n // 5)] = -np.inf
            for k in (0, 1, n // 2, n):
                yield from random.gumbel_top_k(x, k, rng=n, index_offset=n)
            for temperature in (0.0, 1e-30, 0.3, 1e30):
                yield from random.gumbel_top_k(x, n // 2, rng=n, temperature=temperature)
            yield from random.gumbel_top_k(x, n // 3, rng=n, temperature=0.7, top_p=0.9)
    yield from random.gumbel_top_k(encodings(30 * 500, dtype).reshape(30, 500), 40, rng=1, on_invalid="minus_one")


def gumbel_add(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (1, 3, 63, 65, 1000, 70001):
        for offset in (0, 1, 130):
            yield random.gumbel_softmax(logits((3, n), dtype), rng=n, temperature=0.5, index_offset=offset)
    yield random.gumbel_softmax(words(30 * 500, dtype).reshape(30, 500), rng=3)


def filters(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Rows whose threshold is found by a list, a sample or neither; ties, short rows, any encodings."""
    for n in (1, 3, 65, 1000, 5003, 70001):
        x = logits((3, n), dtype, 3.0, seed=n)
        x[1] = np.round(x[1])
        x[2, 1 :: max(2, n // 5)] = -np.inf
        for keywords in ({"top_k": 7}, {"top_p": 0.9}, {"min_p": 0.01}, {"top_k": n // 2 + 1, "top_p": 0.7}):
            for temperature in (0.3, 1.0, 1e30):
                yield random.filter_logits(x, temperature=temperature, **keywords)
                more = {**keywords, "temperature": temperature, "index_offset": n, "ties": "all"}
                yield from random.categorical(x, rng=n, return_log_prob=True, **more)
    x = words(30 * 500, dtype).reshape(30, 500)
    for rows in (x, np.where(np.isfinite(x), x, 0)):
        yield random.filter_logits(rows, top_k=100, top_p=0.9, min_p=1e-30)
        yield random.categorical(rows, rng=1, top_k=100, top_p=0.9, on_invalid="minus_one")


def penalties(dtype: np.dtype[Any]) -> Iterator[Array]:
    x = words(20 * 500, dtype).reshape(20, 500)
    tokens = (hashed(20 * 300) % np.uint64(500)).astype(np.int64).reshape(20, 300)
    yield random.apply_penalties(x, tokens, prompt=tokens[::-1], repetition=1.3, frequency=0.1, presence=0.3)


def gamma(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (1, 15, 16, 17, 300, 5003):
        a = np.exp(logits((3, n), np.float64, 4.0, seed=n))
        a[0, ::3] = 1 + np.arange(len(a[0, ::3])) / 8
        for offset in (0, 5, 2**32 - 7):
            for log in (False, True):
                yield random.gamma(a, rng=n, log=log, dtype=dtype, index_offset=offset)
    yield random.gamma(np.full(100, 2.0**900), rng=1, log=True, dtype=dtype)


def mixed(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Sums of rows of a table of any of the four types; any encodings, too."""
    for d in (1, 15, 16, 17, 63, 64, 65, 300, CHUNK + 1):
        for k in (1, 2, 5, 15):
            table = logits((50, d), np.float32, seed=d).astype(dtype)
            at = (hashed(7 * k, d) % np.uint64(51)).astype(np.int64).reshape(7, k) - 1
            yield random.embedding_mix(logits((7, k), np.float64, 1.0, seed=k), at, table)
    with np.errstate(over="ignore", invalid="ignore"):
        table = words(300 * 40, np.float32).astype(dtype).reshape(300, 40)
    yield random.embedding_mix(logits((300, 3), np.float64), np.arange(900).reshape(300, 3) % 300, table)


def philox(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n, rounds in ((0, 10), (1, 10), (16, 7), (37, 10), (200, 7)):
        counter = hashed(4 * n, 1).astype(np.uint32).reshape(4, n)
        out = np.empty_like(counter)
        key = hashed(2 * n, 2).astype(np.uint32).reshape(2, n)
        _core.random.philox(counter.view(dtype), key.view(dtype), out.view(dtype), rounds)
        yield out


def memory_read(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (0, 1, 17, 100003):
        yield np.float32(_core.memory_read(logits(n, dtype)))


def memory_copy(dtype: np.dtype[Any]) -> Iterator[Array]:
    for n in (0, 1, 17, 100003):
        x = logits(n, dtype)
        copy = np.zeros_like(x)
        _core.memory_copy(x, copy)
        assert np.array_equal(copy, x)
        yield copy


def halves(dtype: np.dtype[Any]) -> Iterator[Array]:
    """All encodings; rows and matrices, contiguous and strided, results within the caches and past them."""
    yield special.exp(np.arange(65536, dtype=np.uint16).view(dtype))
    for shape in ((5, 1), (30, 7), (70, 64), (3, CHUNK + 1), (3, 1000000)):
        x = logits(shape, np.float32, seed=shape[1]).astype(dtype)
        yield special.softmax(x)
        yield special.log_softmax(x[:, ::-3])
        yield special.logsumexp(x, axis=0)


def side_by_side(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Rows beside each other that are brought together: tiles of all partial sizes, results past the caches, masks."""
    for n, rows in ((1, 2), (15, 3), (16, 31), (17, 16), (33, 49), (70, 64), (CHUNK + 1, 21), (1100, 2048)):
        x = logits((n, rows), np.float32, seed=n + rows)
        if dtype == np.bool_:
            yield special.softmax(x, axis=0, where=x > -3.0, empty="zero")
            continue
        x = x.astype(dtype)
        y = special.softmax(x, axis=0)
        yield y
        yield special.softmax_grad(y, dy=x, axis=0)


def fma_chains(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Count operations: what is left of the sums never leaves the kernel."""
    for many in (False, True):
        yield np.float64(_core.fma_peak(10, many))


def parts_of_rows(dtype: np.dtype[Any]) -> Iterator[Array]:
    """Rows in two calls, the sum between them as a value."""
    for n in (1, 17, 1000, CHUNK + 1, 100003):
        x = logits((3, n), dtype, 10.0, seed=n)
        half = n // 2 // CHUNK * CHUNK
        parts = [special.logsumexp_partial(part, temperature=0.7) for part in (x[:, half:], x[:, :half])]
        p = special.logsumexp_merge(np.stack(parts))
        yield p
        yield special.logsumexp_finish(p)
        yield special.softmax_from_partial(x[:, half:], p)


# Kernel without its dtype -> what exercises it.
CASES: dict[str, Callable[[np.dtype[Any]], Iterator[Array]]] = {
    "special.exp": lambda dtype: elementwise(special.exp, dtype),
    "special.log": lambda dtype: elementwise(special.log, dtype),
    **dict.fromkeys(["special.exp_sum", "special.row_result"], lambda dtype: long_rows(special.logsumexp, dtype)),
    "special.row_merge": lambda dtype: huge_row(special.logsumexp, dtype),
    **dict.fromkeys(
        ["special.softmax_scale", "special.exp_scale", "special.row_clear"],
        lambda dtype: long_rows(special.softmax, dtype),
    ),
    "special.log_softmax_shift": lambda dtype: long_rows(special.log_softmax, dtype),
    "special.softmax_rows": lambda dtype: short_rows(special.softmax, dtype),
    "special.log_softmax_rows": lambda dtype: short_rows(special.log_softmax, dtype),
    "special.logsumexp_rows": lambda dtype: short_rows(special.logsumexp, dtype),
    "special.logsumexp_grad_scale": lambda dtype: long_rows(logsumexp_grad, dtype),
    "special.logsumexp_grad_rows": lambda dtype: short_rows(logsumexp_grad, dtype),
    "special.logsumexp_grad_long_rows": lambda dtype: rows_in_turn(logsumexp_grad, dtype),
    "special.softmax_columns": lambda dtype: columns(special.softmax, dtype),
    "special.log_softmax_columns": lambda dtype: columns(special.log_softmax, dtype),
    "special.logsumexp_columns": lambda dtype: columns(special.logsumexp, dtype),
    "special.masked_copy": masked,
    "special.row_within": parts_of_rows,
    "special.softmax_long_rows": lambda dtype: rows_in_turn(special.softmax, dtype),
    "special.log_softmax_long_rows": lambda dtype: rows_in_turn(special.log_softmax, dtype),
    "special.precise_sum": peaked_rows,
    "special.precise_result": peaked_rows,
    "special.row_max": three_pass,
    "special.max_sum": three_pass,
    "special.terms_scale": three_pass,
    "special.weighted_sum": weighted,
    "special.weighted_result": weighted,
    "special.softmax_grad_sum": gradients,
    "special.log_softmax_grad_sum": gradients,
    "special.grad_total": gradients,
    "special.softmax_grad_write": gradients,
    "special.log_softmax_grad_write": gradients,
    "special.softmax_grad_rows": gradients,
    "special.log_softmax_grad_rows": gradients,
    "random.philox": philox,
    "random.gumbel_max": gumbel_max,
    "random.gumbel_add": gumbel_add,
    "random.gumbel_top": gumbel_top,
    "random.chunk_masses": inverse,
    "random.choose_chunk": inverse,
    "random.draw_in_chunk": inverse,
    "random.bits": lambda dtype: noise("bits", dtype),
    "random.uniform": lambda dtype: noise("uniform", dtype),
    "random.exponential": lambda dtype: noise("exponential", dtype),
    "random.gumbel": lambda dtype: noise("gumbel", dtype),
    "random.logistic": lambda dtype: noise("logistic", dtype),
    "random.normal": lambda dtype: noise("normal", dtype),
    "random.gamma": gamma,
    "random.penalise": penalties,
    "random.mix": mixed,
    **dict.fromkeys(
        [f"random.{name}" for name in ("peaks", "mass", "collect", "tally", "choose_bucket", "find_equal", "logit_at")]
        + ["random.keep", "random.drop", "random.gumbel_listed"],
        filters,
    ),
    "common.gather": side_by_side,
    "common.scatter": side_by_side,
    "common.widen": halves,
    "common.narrow": halves,
    "common.read": memory_read,
    "common.copy": memory_copy,
    "common.fma_chains": fma_chains,
}


def case_of(kernel: str) -> tuple[Callable[[np.dtype[Any]], Iterator[Array]], np.dtype[Any]]:
    """Return the case of a kernel, "special.exp.f32" for example, and its dtype."""
    name, _, suffix = kernel.rpartition(".")
    return CASES[name], (DTYPES | HALVES | OTHERS)[suffix]


def placed(x: Array, offset: int) -> Array:
    """Return a writable copy that starts `offset` bytes behind a multiple of 64."""
    buffer = np.zeros(x.nbytes + 128, dtype=np.uint8)
    start = -buffer.ctypes.data % 64 + offset
    copy = np.ndarray(x.shape, x.dtype, buffer=buffer, offset=start)
    copy[...] = x
    assert copy.ctypes.data % 64 == offset % 64
    return copy


def with_strides(x: Array, order: tuple[int, ...], steps: tuple[int, ...], offset: int = 0) -> Array:
    """Return a view equal to x whose axes lie in memory in this order, with these steps (negative ones reversed)."""
    shape = [(n - 1) * abs(s) + 1 if n else 0 for n, s in zip(x.shape, steps, strict=True)]
    memory = placed(np.zeros([shape[a] for a in order], dtype=x.dtype), offset)
    whole = memory.transpose(np.argsort(order))
    view = whole[tuple(slice(None, None, s) for s in steps)]
    if view.size:
        view[...] = x
    return view


def layouts(x: Array) -> Iterator[tuple[str, Array]]:
    """Return views that equal the matrix x and lie otherwise in memory."""
    yield "fortran", np.asfortranarray(x)
    yield "every second column", with_strides(x, (0, 1), (1, 2))
    yield "every third row", with_strides(x, (0, 1), (3, 1))
    yield "reversed columns", with_strides(x, (0, 1), (1, -1))
    yield "reversed rows", with_strides(x, (0, 1), (-1, 1))
    yield "reversed columns of a transposed matrix", with_strides(x, (1, 0), (-2, -1))
    yield "one byte off", placed(x, 1)
    yield "strided and three bytes off", with_strides(x, (0, 1), (2, -3), offset=3)
    frozen = x.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen
    yield "a subclass", x.view(type("Subclass", (np.ndarray,), {}))

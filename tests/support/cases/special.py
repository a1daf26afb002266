"""What Python call exercises each kernel of the family `special`."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cases import CHUNK, Array
from sorgum import special
from sorgum._data.inputs import hashed, logits, words

ELEMENTWISE: dict[str, Callable[..., Any]] = {"exp": special.exp, "log": special.log}
NORMALISED: dict[str, Callable[..., Any]] = {"softmax": special.softmax, "log_softmax": special.log_softmax}
ROW_FUNCTIONS = NORMALISED | {"logsumexp": special.logsumexp}
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


# Kernel -> what exercises it.
CASES: dict[str, Callable[[np.dtype[Any]], Iterator[Array]]] = {
    "exp": lambda dtype: elementwise(special.exp, dtype),
    "log": lambda dtype: elementwise(special.log, dtype),
    **dict.fromkeys(["exp_sum", "row_result"], lambda dtype: long_rows(special.logsumexp, dtype)),
    "row_merge": lambda dtype: huge_row(special.logsumexp, dtype),
    **dict.fromkeys(
        ["softmax_scale", "exp_scale", "row_clear"],
        lambda dtype: long_rows(special.softmax, dtype),
    ),
    "log_softmax_shift": lambda dtype: long_rows(special.log_softmax, dtype),
    "softmax_rows": lambda dtype: short_rows(special.softmax, dtype),
    "log_softmax_rows": lambda dtype: short_rows(special.log_softmax, dtype),
    "logsumexp_rows": lambda dtype: short_rows(special.logsumexp, dtype),
    "logsumexp_grad_scale": lambda dtype: long_rows(logsumexp_grad, dtype),
    "logsumexp_grad_rows": lambda dtype: short_rows(logsumexp_grad, dtype),
    "logsumexp_grad_long_rows": lambda dtype: rows_in_turn(logsumexp_grad, dtype),
    "softmax_columns": lambda dtype: columns(special.softmax, dtype),
    "log_softmax_columns": lambda dtype: columns(special.log_softmax, dtype),
    "logsumexp_columns": lambda dtype: columns(special.logsumexp, dtype),
    "masked_copy": masked,
    "row_within": parts_of_rows,
    "softmax_long_rows": lambda dtype: rows_in_turn(special.softmax, dtype),
    "log_softmax_long_rows": lambda dtype: rows_in_turn(special.log_softmax, dtype),
    "precise_sum": peaked_rows,
    "precise_result": peaked_rows,
    "row_max": three_pass,
    "max_sum": three_pass,
    "terms_scale": three_pass,
    "weighted_sum": weighted,
    "weighted_result": weighted,
    "softmax_grad_sum": gradients,
    "log_softmax_grad_sum": gradients,
    "grad_total": gradients,
    "softmax_grad_write": gradients,
    "log_softmax_grad_write": gradients,
    "softmax_grad_rows": gradients,
    "log_softmax_grad_rows": gradients,
}

"""gram_partial, gram_merge, gram_finish: the bits of one call for any parts and any order; refusals."""

import itertools
import pickle
import re
from math import prod
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum._data.inputs import hashed, numbers

gram, partial, merge, finish = sg.tucker.gram, sg.tucker.gram_partial, sg.tucker.gram_merge, sg.tucker.gram_finish


def same(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def parts_of(x: Any, mode: int, step: int) -> list[Any]:
    """Parts of so many indices along the first other axis."""
    axis = 0 if mode % x.ndim else 1
    each = prod(n for k, n in enumerate(x.shape) if k not in (axis, mode % x.ndim))
    cut = [(slice(None),) * axis + (slice(i, i + step),) for i in range(0, x.shape[axis], step)]
    return [partial(x[where], mode, begin=where[axis].start * each) for where in cut]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_the_bits_of_one_call(dtype: Any) -> None:
    for shape, mode, steps in (
        ((13, 5, 512), 1, (1, 2, 3, 12)),
        ((9, 40, 3, 256), 1, (2, 4, 6)),
        ((7, 21, 512), 0, (1, 5)),
        ((4000, 6), -1, (512, 1024, 3584)),
        ((6, 4000), 0, (512, 1536)),
    ):
        x = numbers(shape, np.dtype(dtype))
        expected = gram(x, mode)
        for step in steps:
            parts = parts_of(x, mode, step)
            assert same(finish(merge(parts)), expected)
            shuffled = [parts[i] for i in np.argsort(hashed(len(parts), seed=step), kind="stable")]
            assert same(finish(merge(shuffled)), expected)
            tree = shuffled
            while len(tree) > 1:
                tree = [merge(tree[i : i + 2]) for i in range(0, len(tree), 2)]
            assert same(tree[0], merge(parts))
            assert same(finish(tree[0]), expected)
        assert same(finish(partial(x, mode)), expected)


def test_runs() -> None:
    """The example of docs/numerics/tucker.md, and a part that begins late."""
    x = numbers((2, 4096), np.dtype(np.float64))
    first, second = partial(x[:, :1536], 0), partial(x[:, 1536:], 0, begin=1536)
    assert list(zip(first["begin"], first["end"], strict=True)) == [(0, 1024), (1024, 1536)]
    assert list(zip(second["begin"], second["end"], strict=True)) == [(1536, 2048), (2048, 4096)]
    whole = merge([second, first])
    assert list(zip(whole["begin"], whole["end"], strict=True)) == [(0, 4096)]
    assert same(finish(whole), gram(x, 0))
    tail = partial(x[:, :700], 0, begin=3 * 2**40)
    assert list(zip(tail["begin"], tail["end"], strict=True)) == [(3 * 2**40, 3 * 2**40 + 700)]


def test_instruction_sets_and_threads(isa: str, threads: Any) -> None:
    x = numbers((20, 30, 700), np.dtype(np.float32))
    found = []
    for count in (1, 3):
        threads(count)
        found.append(partial(x[2:], 1, begin=1024 * 7))
    sg.set_isa("scalar")
    found.append(partial(x[2:], 1, begin=1024 * 7))
    assert same(found[0], found[1])
    assert same(found[0], found[2])
    sg.set_isa(isa)


def test_records_are_kept(tmp_path: Any) -> None:
    p = partial(numbers((3, 2000), np.dtype(np.float32)), 0)
    assert same(pickle.loads(pickle.dumps(p)), p)
    np.save(tmp_path / "p.npy", p)
    assert same(np.load(tmp_path / "p.npy"), p)
    assert np.array_equal(p["sums"][0][[0, 2, 5]], np.diag(finish(p[:1])))


def test_nothing() -> None:
    assert same(finish(partial(np.zeros((3, 0)), 0)), np.zeros((3, 3)))
    assert same(finish(partial(np.zeros((0, 700)), 0)), np.zeros((0, 0)))
    empty, some = partial(np.zeros((3, 0)), 0, begin=512), partial(np.ones((3, 512)), 0)
    assert same(merge([empty, some]), some)
    assert len(merge([empty])) == 0


def test_special_values() -> None:
    x = numbers((2, 1500), np.dtype(np.float64))
    x[0, 3], x[1, 1400] = np.inf, -np.nan
    expected = gram(x, 0)
    got = finish(merge([partial(x[:, :512], 0), partial(x[:, 512:], 0, begin=512)]))
    assert same(got, expected)
    assert got[0, 0] == np.inf
    assert got.view(np.uint64)[1, 1] == 0x7FF8000000000000


X = np.ones((2, 1024))
P = partial(X, 0)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: partial(X, 0, begin=100), ValueError, "gram_partial: begin must be a multiple of 512 in [0, 2**62), "
         "got 100"),
        (lambda: partial(X, 0, begin=-512), ValueError, "gram_partial: begin must be a multiple of 512 in [0, 2**62), "
         "got -512"),
        (lambda: partial(X, 0, begin=2**62), ValueError, "gram_partial: begin must be a multiple of 512 in [0, 2**62), "
         "got 4611686018427387904"),
        (lambda: partial(X, 0, begin=1.0), TypeError, "gram_partial: begin must be an int, got float"),
        (lambda: partial(X, 2), ValueError, "gram_partial: mode must be in [-2, 2), got 2"),
        (lambda: partial(np.broadcast_to(1.0, (23170, 1)), 0), ValueError, "gram_partial: x must have at most 23169 "
         "elements along the mode, got 23170"),
        (lambda: merge([]), ValueError, "gram_merge: parts must have at least one array, got none"),
        (lambda: merge(P), TypeError, "gram_merge: parts must be a sequence of arrays, got ndarray"),
        (lambda: merge([X]), TypeError, "gram_merge: parts must be of gram_partial, got an array of 2 axes and dtype "
         "float64"),
        (lambda: merge([P, partial(np.ones((3, 4)), 0)]), ValueError, "gram_merge: parts must be of the same mode, got "
         "2 and 3 rows"),
        (lambda: merge([P, P]), ValueError, "gram_merge: parts must have each column once, got 0 twice"),
        (lambda: merge([P, partial(X[:, :512], 0, begin=512)]), ValueError, "gram_merge: parts must have each column "
         "once, got 512 twice"),
        (lambda: finish(partial(X, 0, begin=512)), ValueError, "gram_finish: p must have all columns, got none of "
         "[0, 512)"),
        (lambda: finish(merge([partial(X, 0, begin=2048), partial(X[:, :700], 0)])), ValueError, "gram_finish: p must "
         "have all columns, got none of [700, 2048)"),
        (lambda: finish(1.0), TypeError, "gram_finish: p must be of gram_partial, got float"),
    ],
)  # fmt: skip
def test_refusals(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        call()


def test_refuses_records_that_cannot_be() -> None:
    for begin, end in itertools.product((-512, 256, 512), (100, 1536, 2048)):
        p = P[:1].copy()
        p["begin"], p["end"] = begin, end
        message = f"gram_merge: parts must have aligned runs, got columns [{begin}, {end})"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            merge([p])

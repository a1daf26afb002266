"""No kernel touches a byte outside its arrays: every small length and offset, forbidden pages on both sides.

What goes wrong here ends the process with SIGSEGV; pytest's fault handler then names the test. Results are compared as
well, byte for byte, with those of an ordinary array: a tail that is read right may still be computed wrong.
"""

import itertools
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if sys.platform != "linux":
    pytest.skip("maps memory as Linux does", allow_module_level=True)

from cases import CHUNK, DTYPES, HALVES
from cases.special import ALGORITHMS, ROW_FUNCTIONS
from guarded import Guarded

from sorgum import special
from sorgum._data.inputs import hashed, logits

pytestmark = pytest.mark.sanitize

Array = Any
Function = Callable[..., Any]


def softmax_in_two_calls(x: Array, out: Array | None = None) -> Array:
    return special.softmax_from_partial(x, special.logsumexp_partial(x), out=out)


FUNCTIONS: dict[str, Function] = {"exp": special.exp, "log": special.log, **ROW_FUNCTIONS}
FUNCTIONS["softmax in two calls"] = softmax_in_two_calls
GRADIENTS: dict[str, Function] = {
    "softmax_grad": lambda x, out=None: special.softmax_grad(x, dy=x, out=out),
    "log_softmax_grad": lambda x, out=None: special.log_softmax_grad(x, dy=x, out=out),
    "logsumexp_grad": lambda x, out=None: special.logsumexp_grad(x, dy=2.0, out=out),
}
SMALL = range(258)
# Around a chunk, several, and a piece of 16 chunks, which is what one task does of a row.
LARGER = (CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 17, 16 * CHUNK - 1, 16 * CHUNK + 1, 33 * CHUNK + 5)

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
each_row_function = pytest.mark.parametrize("name", ROW_FUNCTIONS)


@pytest.fixture(scope="module")
def room() -> tuple[Guarded, Guarded, Guarded]:
    """Room for an input, a result and one operand more."""
    return Guarded(1 << 21), Guarded(1 << 21), Guarded(1 << 21)


def places(room: Guarded, shape: tuple[int, ...], dtype: Any, n: int) -> Iterator[Array]:
    """Against the page above, aligned to the element or not; against the page below, at any offset for short rows."""
    for offset in (0, 1, 3):
        yield room.at_end(shape, dtype, offset)
    for offset in range(64) if n < 36 else (0, 1, n % 64):
        yield room.at_start(shape, dtype, offset)


def assert_equal_bytes(got: Array, expected: Array, what: object) -> None:
    assert got.tobytes() == expected.tobytes(), what


# Half types are converted at the door, in the same way for all functions.
SMALL_CASES = [(name, kind) for name in (*FUNCTIONS, *GRADIENTS) for kind in DTYPES]
SMALL_CASES += [(name, kind) for name in ("exp", "logsumexp", "softmax_grad") for kind in HALVES]


@pytest.mark.parametrize(("name", "kind"), SMALL_CASES, ids=map("-".join, SMALL_CASES))
def test_small_lengths(name: str, kind: str, room: tuple[Guarded, Guarded, Guarded], isa: str) -> None:
    function, dtype = (FUNCTIONS | GRADIENTS)[name], (DTYPES | HALVES)[kind]
    for n in SMALL:
        values = logits((n,), np.float32 if dtype.itemsize == 2 else dtype, 10.0, seed=n).astype(dtype)
        expected = np.asarray(function(values))
        for x, out in zip(places(room[0], (n,), dtype, n), places(room[1], expected.shape, dtype, n), strict=True):
            x[...] = values
            out[...] = 7
            function(x, out=out)
            assert_equal_bytes(out, expected, (n, x.ctypes.data % 64))


@each_dtype
@each_row_function
def test_batches_of_short_rows(name: str, dtype: Any, room: tuple[Guarded, Guarded, Guarded], isa: str) -> None:
    """Rows are packed several per vector, or transposed: last rows, and rows with gaps between them."""
    function = ROW_FUNCTIONS[name]
    for n, rows in itertools.product((*range(1, 40), 63, 64, 65, 100, 129, 257), (1, 2, 3, 15, 16, 17, 33)):
        values = logits((rows, n), dtype, 10.0, seed=n)
        expected = function(values)
        x, out = room[0].at_end((rows, n), dtype), room[1].at_end(expected.shape, dtype)
        x[...] = values
        function(x, out=out)
        assert_equal_bytes(out, expected, (n, rows))
        # The gap is in front of the first row, so that the last one still ends at the page.
        gapped = room[0].at_end((rows, n + 3), dtype)[:, 3:]
        gapped[...] = values
        function(gapped, out=out)
        assert_equal_bytes(out, expected, (n, rows, "gapped"))


@each_dtype
@each_row_function
def test_larger_lengths(name: str, dtype: Any, room: tuple[Guarded, Guarded, Guarded], isa: str) -> None:
    function = ROW_FUNCTIONS[name]
    for n, algorithm in itertools.product(LARGER, ALGORITHMS if name != "logsumexp" else ("auto",)):
        options = {} if name == "logsumexp" else {"algorithm": algorithm}
        values = logits((n,), dtype, 10.0, seed=n)
        expected = np.asarray(function(values, **options))
        for offset in (0, 1):
            for side in ("at_start", "at_end"):
                x, out = getattr(room[0], side)((n,), dtype, offset), getattr(room[1], side)(expected.shape, dtype, 0)
                x[...] = values
                function(x, out=out, **options)
                assert_equal_bytes(out, expected, (n, algorithm, side, offset))


@each_dtype
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_of_rows_in_turn(name: str, dtype: Any, room: tuple[Guarded, Guarded, Guarded], isa: str) -> None:
    """A row is written while another is summed; the last ones, and those of several chunks, at the pages."""
    function = GRADIENTS[name]
    for rows, n in itertools.product((2, 3, 17, 33), (*range(1, 36), 63, 64, 65, 257, CHUNK - 1, CHUNK + 17)):
        values = logits((rows, n), dtype, 10.0, seed=n)
        expected = function(values)
        for place in ("at_end", "at_start"):
            x, out = (getattr(r, place)((rows, n), dtype) for r in room[:2])
            x[...] = values
            function(x, out=out)
            assert_equal_bytes(out, expected, (rows, n, place))


@each_dtype
@each_row_function
def test_strides(name: str, dtype: Any, room: tuple[Guarded, Guarded, Guarded], isa: str) -> None:
    """Views whose first and last elements stand at the pages, in either direction, and rows across memory."""
    function = ROW_FUNCTIONS[name]
    for rows, n in itertools.product((1, 3, 17, 40), (1, 2, 5, 16, 17, 33, 100, 300)):
        values = logits((rows, n), dtype, 10.0, seed=n)
        expected = function(values)
        wide = room[0].at_end((rows * 2 - 1, n * 3 - 2), dtype)
        columns = room[0].at_start((n, rows), dtype)
        for x in (wide[::2, ::3], wide[::-2, ::-3], wide[::2, ::-3], columns.T, columns[::-1].T):
            x[...] = values
            out = room[1].at_end(expected.shape[::-1], dtype).T
            function(x, out=out)
            assert_equal_bytes(np.ascontiguousarray(out), np.ascontiguousarray(expected), (rows, n, x.strides))


@each_dtype
@each_row_function
def test_masks_and_temperatures(name: str, dtype: Any, room: tuple[Guarded, Guarded, Guarded], isa: str) -> None:
    function = ROW_FUNCTIONS[name]
    for rows, n in itertools.product((1, 3, 17), (*range(1, 70, 3), 257, CHUNK + 1)):
        values = logits((rows, n), dtype, 10.0, seed=n)
        some = (hashed(rows * n, n) % np.uint64(4) != 0).reshape(rows, n)
        degrees = 0.5 + (hashed(rows, n) % np.uint64(7)).astype(np.float64)
        expected = function(values, where=some, temperature=degrees)
        x, where, temperature = (
            room[0].at_end((rows, n), dtype),
            room[1].at_end((rows, n), np.bool_),
            room[2].at_end((rows,), np.float64),
        )
        x[...], where[...], temperature[...] = values, some, degrees
        assert_equal_bytes(np.asarray(function(x, where=where, temperature=temperature)), expected, (rows, n))


@each_dtype
def test_weights(dtype: Any, room: tuple[Guarded, Guarded, Guarded], isa: str) -> None:
    for n in (*range(1, 70), 257, CHUNK + 1):
        values, weights = logits((n,), dtype, 10.0, seed=n), logits((n,), dtype, 1.0, seed=n + 1)
        expected = special.logsumexp(values, b=weights, return_sign=True)
        x, b = room[0].at_end((n,), dtype), room[1].at_end((n,), dtype)
        x[...], b[...] = values, weights
        got = special.logsumexp(x, b=b, return_sign=True)
        assert np.array_equal(got, expected, equal_nan=True), n


def test_the_pages_are_forbidden() -> None:
    """An element beyond either end ends the process: these tests can fail."""
    for view in ("room.at_end((8,), 'f4')[-1:]", "room.at_start((8,), 'f4')[:1]"):
        for step in (1, -1):
            code = f"""
                import numpy as np
                from guarded import Guarded
                from sorgum import special
                room = Guarded(4096)
                inside = {view}
                special.exp(inside)
                print("inside", flush=True)
                special.exp(np.lib.stride_tricks.as_strided(inside, (2,), ({4 * step},)))
                print("outside")
            """
            done = subprocess.run(
                [sys.executable, "-c", textwrap.dedent(code)],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
                cwd=Path(__file__).resolve().parents[1] / "support",
            )
            beyond = (step == 1) == ("at_end" in view)
            assert done.stdout.split() == (["inside"] if beyond else ["inside", "outside"]), done.stderr
            assert (done.returncode != 0) == beyond


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_side_by_side(dtype: Any, room: tuple[Guarded, Guarded, Guarded], isa: str) -> None:
    """Tiles of every partial size, and masks, against the pages on both sides."""
    for n, rows in itertools.product((1, 2, 7, 8, 9, 15, 16, 17, 33, 50), (2, 3, 8, 15, 16, 17, 31, 32, 33, 65)):
        values = logits((n, rows), np.dtype(np.float32), 3.0, seed=n + rows).astype(dtype)
        keep = values > -2
        expected = special.softmax_grad(values, dy=values, axis=0, where=keep)
        for place in ("at_end", "at_start"):
            x, mask, out = (
                getattr(r, place)((n, rows), t, 0) for r, t in zip(room, (dtype, np.bool_, dtype), strict=True)
            )
            x[...], mask[...], out[...] = values, keep, 7
            special.softmax_grad(x, dy=x, axis=0, where=mask, out=out)
            assert_equal_bytes(out, expected, (n, rows))

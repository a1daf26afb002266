"""What is measured: operations, shapes, element types and data, and how long."""

import mmap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import ml_dtypes  # noqa: F401 (gives NumPy the name bfloat16)
import numpy as np
from numpy.typing import NDArray

from sorgum.bench import real

__all__ = [
    "ALGORITHMS",
    "CURVE_OPERATIONS",
    "DRAWS",
    "GRADIENTS",
    "LEVELS",
    "SHORT_SHAPES",
    "THREE_PASS",
    "TOLD_DATA",
    "Case",
    "Level",
    "OwnCase",
    "Slot",
    "cases",
    "make_ring",
    "touch",
]

Array = NDArray[Any]

# A row beyond this leaves the caches between the passes over it: its memory limit is two reads and a write.
LONG_ROW_BYTES = 4 << 20
GENERATED = 1 << 24  # elements drawn; longer data repeat them

SHAPES = ((1, 1 << 26), (64, 131072), (512, 32000), (16384, 1024), (262144, 64))
HALF_SHAPES = tuple((rows, n // 2) for rows, n in SHAPES)  # the same bytes in float64
CACHED_SHAPES = ((64, 1024), (16384,))
CALL_SHAPE = (64,)  # what a call costs
# Rows of classifiers, of routers to experts, of short attention: 16384 elements, or a few less, that stay in cache.
SHORT_LENGTHS = (2, 8, 10, 16, 32, 64, 100, 128, 1000)
SHORT_SHAPES = tuple((16384 // n, n) for n in SHORT_LENGTHS)
GRADIENTS = ("softmax_grad", "log_softmax_grad")
# What the curves over short rows show: lengths between and at those of vectors, of 16384 elements or a few less.
CURVE_LENGTHS = (1, 2, 3, 4, 6, 8, 10, 12, 15, 16, 20, 24, 32, 40, 48, 63, 64, 80, 100, 128, 160, 192, 224, 256)
CURVE_OPERATIONS = ("softmax", "log_softmax", "logsumexp", "softmax_grad")
TOLD_DATA = ("peaked", *real.DATA)  # what tables and names mention
# Categorical draws by Gumbel-max and by inversion, of what top_p = 0.9 keeps, and of what top_k = 50 keeps of that.
DRAWS = (
    "categorical",
    "categorical_inverse",
    "gumbel",
    "gumbel_softmax",
    "gumbel_top_k",
    "top_p",
    "top_k_top_p",
    "soft_token_policy",
)
WRITTEN_DRAWS = ("gumbel", "gumbel_softmax")
THREE_PASS = ("three_pass_recompute", "three_pass_reload")
ALGORITHMS = ("two_pass", *THREE_PASS)


@dataclass(frozen=True)
class Level:
    """How thorough a run is: rounds and seconds per pair, seconds per sample, bytes to rotate over.

    After `total_seconds` in one process the peers are left out, so that the run ends in time on a slow machine.
    """

    rounds: int
    seconds: float
    sample_seconds: float
    recorded_rounds: int
    most_bytes: int
    total_seconds: float = float("inf")


LEVELS = {
    "quick": Level(5, 0.12, 1e-3, 2, 256 << 20, total_seconds=25.0),
    "default": Level(11, 1.0, 5e-3, 2, 1536 << 20),
    "full": Level(21, 4.0, 1e-2, 5, 1536 << 20),
}


@dataclass(frozen=True)
class Case:
    """One operation at one shape.

    Parameters
    ----------
    operation : str
        A function of `sorgum.special`, those of `GRADIENTS` included, or one of `DRAWS`.
    shape : tuple of int
    dtype : str
    axis : int
    data : {"normal", "peaked", "positive", "sentences", "words"}
        Logits from N(0, 3); logits of Zipf's law, of which a few carry all the weight; arguments of a logarithm; real
        logits of sentences, and of words by their frequency (`sorgum.bench.real`).
    cached : bool
        Works on one pair of buffers, which stays in cache.
    algorithms : tuple of str
        Our other algorithms to compare with.
    curve : bool
        A point of a curve over row lengths, not a row of the table; if cached, of those over short rows.
    """

    operation: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    axis: int = -1
    data: str = "normal"
    cached: bool = False
    algorithms: tuple[str, ...] = ()
    curve: bool = False

    @property
    def name(self) -> str:
        """The name to select by, unique."""
        words = [self.operation, "x".join(map(str, self.shape)), self.dtype]
        words += [self.data] if self.data in TOLD_DATA else []
        words += ["axis0"] if self.axis == 0 else []
        words += ["short"] if self.cached and not self.curve and self.shape in SHORT_SHAPES else []
        words += ["lengths" if self.cached else "curve"] if self.curve else []
        return "-".join(words)

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of what a reduction returns."""
        return self.shape[1:] if self.axis == 0 else self.shape[:-1]

    @property
    def traffic(self) -> tuple[int, int]:
        """How often each element must at least be read from memory and written to it.

        `gumbel` reads nothing; its limit is a copy all the same, the least that is measured of what writes.
        """
        if self.operation == "logsumexp" or (self.operation in DRAWS and self.operation not in WRITTEN_DRAWS):
            return 1, 0
        if self.operation in GRADIENTS:
            return 2, 1
        row_bytes = self.shape[-1] * np.dtype(self.dtype).itemsize
        long = self.operation in ("softmax", "log_softmax") and self.axis == -1 and row_bytes > LONG_ROW_BYTES
        return (2, 1) if long else (1, 1)

    @property
    def traffic_bytes(self) -> int:
        """The bytes that must at least move."""
        return sum(self.traffic) * self.size * np.dtype(self.dtype).itemsize

    @property
    def buffers(self) -> tuple[object, ...]:
        """Cases that agree in this may share buffers."""
        return self.shape, self.dtype, self.data, self.cached


@dataclass(frozen=True)
class Slot:
    """Input, output, and output of a reduction."""

    x: Array
    out: Array
    rows: Array


class OwnCase(Case, ABC):
    """A case that has buffers and rivals of its own: what a module of `sorgum.bench.families` gives.

    `peers` are those of `sorgum.bench.peers.PEERS` that it is compared with, whose results differ by at most
    `difference` of ours: by default 100 units of rounding.
    """

    peers: ClassVar[tuple[str, ...]] = ()
    difference: ClassVar[float | None] = None

    @property
    def buffers(self) -> tuple[object, ...]:
        """No other case can tell what stands in its buffers."""
        return (self,)

    @abstractmethod
    def make_slot(self) -> Slot:
        """Return new buffers, whose `x` holds all bytes that must be read, in whole float32."""

    @abstractmethod
    def call(self, name: str, slot: Slot) -> Callable[[], Any]:
        """Return a call of `OURS`, of one of `peers` or of one of `algorithms` on the buffers."""


def _softmax_family(*shapes: tuple[int, ...], **options: Any) -> Iterator[Case]:
    for shape in shapes:
        for operation in ("softmax", "log_softmax", "logsumexp"):
            long = operation == "softmax" and shape[0] == 1
            yield Case(operation, shape, algorithms=THREE_PASS if long else (), **options)


def _real_cases(sentences: int) -> Iterator[Case]:
    for operation in ("softmax", "log_softmax"):
        yield Case(operation, (sentences, real.VOCABULARY), data="sentences")
    yield Case("softmax", (1, 1 << 18), data="words")


def _draw_cases(*shapes: tuple[int, int]) -> Iterator[Case]:
    for shape in shapes:
        yield from (Case(draw, shape) for draw in DRAWS)
        yield from (Case(draw, shape, data="peaked") for draw in ("categorical", "top_p"))


def _quick_cases() -> Iterator[Case]:
    yield from _softmax_family((1, 1 << 22), (1024, 1024))
    yield Case("softmax", (1024, 1024), data="peaked")
    yield from _real_cases(128)
    yield Case("softmax", (1024, 1024), axis=0)
    yield from (Case("softmax", shape) for shape in ((32, 32000), (16384, 64)))
    yield from (Case("softmax", shape, cached=True) for shape in (*CACHED_SHAPES, CALL_SHAPE))
    yield from (Case("softmax", (1024, 1024), dtype) for dtype in ("float16", "bfloat16"))
    yield from (Case(operation, (1024, 1024)) for operation in GRADIENTS)
    yield from (Case("softmax", (1024, 512), "float64"), Case("exp", (1 << 21,), "float64"))
    yield from (Case("exp", (1 << 22,)), Case("log", (1 << 22,), data="positive"))
    yield from _draw_cases((16, 32000))


def _default_cases() -> Iterator[Case]:
    yield from _softmax_family(*SHAPES)
    yield from (Case("softmax", shape, data="peaked") for shape in SHAPES[1:4])
    yield from _real_cases(512)
    yield Case("softmax", (4096, 4096), axis=0)
    yield from (Case("exp", (1 << 26,)), Case("log", (1 << 26,), data="positive"))
    yield from _softmax_family(*CACHED_SHAPES, cached=True)
    yield Case("softmax", CALL_SHAPE, cached=True)
    for shape in SHAPES:
        yield from (Case("softmax", shape, dtype) for dtype in ("float16", "bfloat16"))
    for shape in SHAPES[1:]:
        yield from (Case(operation, shape) for operation in GRADIENTS)
    for shape in HALF_SHAPES:
        yield from (Case(operation, shape, "float64") for operation in ("softmax", "logsumexp"))
    yield Case("log_softmax", HALF_SHAPES[-1], "float64")
    yield from (Case("exp", (1 << 25,), "float64"), Case("log", (1 << 25,), "float64", data="positive"))
    yield from _draw_cases((64, 131072), (1, 32000))


def _short_rows() -> Iterator[Case]:
    for dtype in ("float32", "bfloat16"):
        for shape in SHORT_SHAPES:
            for operation in ("softmax", "log_softmax", "logsumexp", *GRADIENTS):
                yield Case(operation, shape, dtype, cached=True)


def _curve() -> Iterator[Case]:
    for length in (1 << k for k in range(6, 27)):
        yield Case("softmax", (max(1, (1 << 24) // length), length), algorithms=ALGORITHMS, curve=True)
    for length in CURVE_LENGTHS:
        for operation in CURVE_OPERATIONS:
            yield Case(operation, (16384 // length, length), cached=True, curve=True)


def cases(level: str) -> list[Case]:
    """Return what a level measures, ordered so that cases that share buffers follow each other.

    Parameters
    ----------
    level : {"quick", "default", "full"}

    Returns
    -------
    list of Case
    """
    from sorgum.bench.families import own_cases

    if level == "quick":
        return [*_quick_cases(), *own_cases(level)]
    return [*_default_cases(), *own_cases(level), *((*_short_rows(), *_curve()) if level == "full" else ())]


def _aligned(shape: tuple[int, ...], dtype: str) -> Array:
    size = prod(shape) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


def _draw(case: Case) -> Array:
    if case.data == "sentences":
        return real.sentence_logits(case.shape[0]).reshape(-1)
    if case.data == "words":
        return np.asarray(real.word_logits(case.shape[1]), case.dtype)
    rng = np.random.default_rng(20180617)
    size = min(case.size, GENERATED)
    if case.data == "peaked":
        # Frequencies of rank^-2 at random places: in a row of 1024, one element weighs as much as all others.
        return np.asarray(-2.0 * np.log(rng.integers(1, case.shape[-1] + 1, size)), case.dtype)
    values = 3.0 * rng.standard_normal(size, np.float32)
    return np.asarray(np.exp(values) if case.data == "positive" else values, case.dtype)


def make_ring(case: Case, least_bytes: int) -> list[Slot]:
    """Return buffers to rotate over.

    Parameters
    ----------
    case : Case
    least_bytes : int
        What they must exceed together, so that none is found in cache when its turn comes.

    Returns
    -------
    list of Slot
        One if `case.cached`, else at least two. Aligned to cache lines.
    """
    each = case.traffic_bytes if isinstance(case, OwnCase) else 2 * case.size * np.dtype(case.dtype).itemsize
    count = 1 if case.cached else max(2, -(-least_bytes // each))
    if isinstance(case, OwnCase):
        return [case.make_slot() for _ in range(count)]
    drawn = _draw(case)
    ring = []
    for _ in range(count):
        slot = Slot(*(_aligned(shape, case.dtype) for shape in (case.shape, case.shape, case.row_shape)))
        flat = slot.x.reshape(-1)
        for start in range(0, case.size, drawn.size):
            flat[start : start + drawn.size] = drawn[: case.size - start]
        slot.out.fill(0)
        slot.rows.fill(0)
        ring.append(slot)
    return ring


def touch(ring: Iterable[Slot]) -> None:
    """Write to every page of some buffers, without a change.

    A page that is new, or shared since the process forked, costs a fault when it is next written to, and the side that
    is timed first would pay for it.

    Parameters
    ----------
    ring : iterable of Slot
    """
    for slot in ring:
        for array in (slot.x, slot.out, slot.rows):
            raw = array.reshape(-1).view(np.uint8)
            for part in (raw[:: mmap.PAGESIZE], raw[-1:]):
                np.bitwise_or(part, 0, out=part)

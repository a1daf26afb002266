"""Draws beside those of peers: in the table of `python -m sorgum bench`, and way by way in `bench/bench_random.py`.

No two libraries draw the same numbers, so what is compared is what a user would write to draw from the same law:
PyTorch's exponential trick, `multinomial` and `gumbel_softmax`, JAX's `categorical` and `gumbel`, NumPy's formula and
generator. "soft_token_policy" is the log probability of SofT-GRPO and its gradient, in PyTorch by the formula of the
paper's code, a softmax over the vocabulary.
"""

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import sorgum
from sorgum.bench.case import DRAWS, GENERATED
from sorgum.bench.paired import PairSummary, paired

__all__ = [
    "DATA",
    "DRAWS",
    "GRID",
    "GRID_ROWS",
    "GRID_SIZES",
    "LIBRARIES",
    "Draw",
    "Row",
    "compare",
    "draws",
    "grid",
    "make_logits",
    "ways",
]

Array = NDArray[Any]
Call = Callable[[], Any]
DATA = ("normal", "flat", "peaked")
TOP, TOP_P, SOFT = 50, 0.9, 5
GRID_ROWS, GRID_SIZES = (1, 16, 64, 512), (32000, 131072, 262144)
# What each draw of the grid stands beside, all of them PyTorch's, and the most rows for which that is run.
GRID = {
    "categorical": ("softmax, exponential_, argmax", 512),
    "categorical_inverse": ("multinomial", 512),
    "top_p": ("sort, softmax, cumsum, multinomial", 64),  # its time per element is the same for 512, and takes minutes
    "top_k_top_p": ("topk, softmax, cumsum, multinomial", 512),
}


class Draw(NamedTuple):
    """One way to draw: whose, how it is called there, and the call."""

    library: str
    how: str
    call: Call


class Row(NamedTuple):
    """Ours beside a rival."""

    draw: str
    data: str
    shape: tuple[int, int]
    rival: Draw
    pair: PairSummary


def make_logits(shape: tuple[int, int], data: str) -> Array:
    """Return float32 logits.

    Parameters
    ----------
    shape : tuple of int
        Rows and categories.
    data : {"normal", "flat", "peaked"}
        From N(0, 3); all equal; of Zipf's law, a few of which carry all the weight.

    Returns
    -------
    array of float32
        After 2^24 elements they repeat.
    """
    rng = np.random.default_rng(20180617)
    size = min(shape[0] * shape[1], GENERATED)
    if data == "flat":
        drawn = np.zeros(1, np.float32)
    elif data == "peaked":
        drawn = np.asarray(-2.0 * np.log(rng.integers(1, shape[1] + 1, size)), np.float32)
    else:
        drawn = 3.0 * rng.standard_normal(size, np.float32)
    return np.resize(drawn, shape)


def _policy(x: Array) -> Call:
    random = sorgum.random
    indices, _, log_weights = random.soft_token_step(x, SOFT, rng=1)

    def value_and_gradient() -> Array:
        random.soft_token_log_prob_grad(x, indices, log_weights, dy=1.0)
        return np.asarray(random.soft_token_log_prob(x, indices, log_weights))

    return value_and_gradient


def _torch_policy(torch: Any, x: Array) -> Call:
    ids, _, log_weights = map(torch.from_numpy, sorgum.random.soft_token_step(x, SOFT, rng=1))
    t = torch.from_numpy(x).requires_grad_()

    def value_and_gradient() -> Any:
        with torch.enable_grad():
            q = torch.softmax(t, -1).gather(-1, ids)
            logs = (q / q.sum(-1, keepdim=True) + 1e-6).log()
            noise = (log_weights - logs).clamp(-1.5, 3)
            counted = (logs > -3).float()
            value = ((-noise - (-noise).exp()) * counted).sum(-1) / counted.sum(-1)
            torch.autograd.grad(value.sum(), t)
        return value.detach()

    return value_and_gradient


def _ours(draw: str, x: Array, out: Array) -> Call:
    random = sorgum.random
    if draw == "soft_token_policy":
        return _policy(x)
    return {
        "categorical": lambda: random.categorical(x, rng=1),
        "categorical_inverse": lambda: random.categorical(x, rng=1, method="inverse"),
        "gumbel": lambda: random.gumbel(x.shape, rng=1, out=out),
        "gumbel_softmax": lambda: random.gumbel_softmax(x, rng=1, out=out),
        "gumbel_top_k": lambda: random.gumbel_top_k(x, TOP, rng=1).indices,
        "top_p": lambda: random.categorical(x, rng=1, top_p=TOP_P),
        "top_k_top_p": lambda: random.categorical(x, rng=1, top_k=TOP, top_p=TOP_P),
    }[draw]


def _numpy(draw: str, x: Array, out: Array) -> Iterator[tuple[str, Call]]:
    generator = np.random.default_rng(1)

    def formula() -> Array:
        generator.random(dtype=np.float32, out=out)
        np.maximum(out, np.float32(2.0**-25), out=out)
        np.log(out, out=out)
        np.negative(out, out=out)
        np.log(out, out=out)
        return np.negative(out, out=out)

    if draw == "gumbel":
        yield "-log(-log(u)), float32", formula
        yield "Generator.gumbel", lambda: generator.gumbel(size=x.shape)
    if draw.startswith("categorical"):
        yield "argmax(x - log(-log(u)))", lambda: np.argmax(np.add(formula(), x, out=out), axis=-1)


def _torch(draw: str, x: Array, out: Array, threads: int) -> Iterator[tuple[str, Call]]:
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    t, noise = torch.from_numpy(x), torch.from_numpy(out)
    if draw.startswith("categorical"):
        yield "softmax, exponential_, argmax", lambda: torch.softmax(t, -1).div_(noise.exponential_()).argmax(-1)
        yield "multinomial", lambda: torch.multinomial(torch.softmax(t, -1), 1)
    if draw == "gumbel":
        yield "-log(exponential_)", lambda: noise.exponential_().log_().neg_()
    if draw == "gumbel_softmax":
        yield "gumbel_softmax", lambda: torch.nn.functional.gumbel_softmax(t)
    if draw.startswith("top_"):
        top = TOP if "top_k" in draw else None

        def nucleus() -> Any:
            values, ids = torch.sort(t, dim=-1, descending=True) if top is None else torch.topk(t, top)
            p = torch.softmax(values, -1)
            p[p.cumsum(-1) - p >= TOP_P] = 0
            return ids.gather(-1, torch.multinomial(p, 1))

        yield "sort, softmax, cumsum, multinomial" if top is None else "topk, softmax, cumsum, multinomial", nucleus
    if draw == "soft_token_policy":
        yield "softmax, gather, backward", _torch_policy(torch, x)
    if draw == "gumbel_top_k":
        yield "multinomial without replacement", lambda: torch.multinomial(torch.softmax(t, -1), TOP)


def _jax(draw: str, x: Array) -> Iterator[tuple[str, Call]]:
    jax: Any = importlib.import_module("jax")
    key, t = jax.random.key(1), jax.numpy.asarray(x)
    if draw.startswith("categorical"):
        categorical = jax.jit(jax.random.categorical)
        yield "random.categorical", lambda: categorical(key, t).block_until_ready()
    if draw == "gumbel":
        gumbel = jax.jit(jax.random.gumbel, static_argnums=1)  # compiled once for all buffers
        yield "random.gumbel", lambda: gumbel(key, x.shape).block_until_ready()


# Each library's ways to draw, the quickest first.
LIBRARIES: dict[str, Callable[[str, Array, Array, int], Iterator[tuple[str, Call]]]] = {
    "NumPy": lambda draw, x, out, threads: _numpy(draw, x, out),
    "PyTorch": _torch,
    "JAX": lambda draw, x, out, threads: _jax(draw, x),
}
HAS = {
    "NumPy": ("categorical", "categorical_inverse", "gumbel"),
    "PyTorch": DRAWS,
    "JAX": ("categorical", "categorical_inverse", "gumbel"),
}


def ways(library: str, draw: str, x: Array, out: Array, threads: int) -> list[Draw]:
    """Return a library's ways to draw, the quickest first.

    Parameters
    ----------
    library : str
        "sorgum" or one of `LIBRARIES`.
    draw, x, out, threads
        As in `draws`.

    Returns
    -------
    list of Draw
        Empty if the library has no such draw.
    """
    if library == "sorgum":
        return [Draw(library, draw, _ours(draw, x, out))]
    return [Draw(library, *way) for way in LIBRARIES[library](draw, x, out, threads)] if draw in HAS[library] else []


def draws(draw: str, x: Array, out: Array, threads: int) -> list[Draw]:
    """Return our way to draw, then those of the peers that are installed.

    Parameters
    ----------
    draw : str
        One of `DRAWS`.
    x, out : arrays of float32
        Logits, and scratch of the same shape.
    threads : int
        How many threads each may use.

    Returns
    -------
    list of Draw
    """
    modules = {"sorgum": "sorgum", "NumPy": "numpy", "PyTorch": "torch", "JAX": "jax"}
    libraries = [name for name, module in modules.items() if importlib.util.find_spec(module) is not None]
    return [way for library in libraries for way in ways(library, draw, x, out, threads)]


def compare(
    shape: tuple[int, int],
    data: str,
    *,
    threads: int = 1,
    rounds: int = 5,
    select: tuple[str, ...] = DRAWS,
    how: str | None = None,
) -> Iterator[Row]:
    """Time every draw beside every rival, interleaved.

    Parameters
    ----------
    shape : tuple of int
        Rows and categories.
    data : str
        One of `DATA`.
    threads : int, default 1
    rounds : int, default 5
    select : tuple of str
        Which of `DRAWS`.
    how : str, optional
        The one way of the rivals to stand beside; by default all.

    Yields
    ------
    Row
    """
    before = sorgum.get_num_threads()
    sorgum.set_num_threads(threads)
    try:
        x = make_logits(shape, data)
        out = np.empty_like(x)
        for draw in select:
            ours, *rivals = draws(draw, x, out, threads)
            for rival in (rival for rival in rivals if how in (None, rival.how)):
                pair = paired([ours.call], [rival.call], rounds=rounds, sample_seconds=0.02)
                yield Row(draw, data, shape, rival, pair.summary())
    finally:
        sorgum.set_num_threads(before)


def grid(
    rows: tuple[int, ...] = GRID_ROWS,
    sizes: tuple[int, ...] = GRID_SIZES,
    data: tuple[str, ...] = DATA,
    *,
    threads: int = 1,
    rounds: int = 3,
) -> Iterator[Row]:
    """Time the draws of `GRID` over batch sizes, vocabularies and data.

    Parameters
    ----------
    rows, sizes : tuple of int
        Batch sizes and numbers of categories.
    data : tuple of str
        Of `DATA`.
    threads : int, default 1
    rounds : int, default 3

    Yields
    ------
    Row
    """
    for kind in data:
        for shape in ((n, size) for n in rows for size in sizes):
            for draw, (how, most) in GRID.items():
                if shape[0] <= most:
                    yield from compare(shape, kind, threads=threads, rounds=rounds, select=(draw,), how=how)

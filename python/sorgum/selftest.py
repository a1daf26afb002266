"""`python -m sorgum selftest`: compare this installation with what is known, in under a minute, with NumPy alone.

With `--quick`, in about a second: known answers, and a digest per family of small inputs.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorgum import _core, reference, runtime, special
from sorgum._data import golden, load
from sorgum._data.inputs import logits

__all__ = ["checks", "main"]

# softmax and logsumexp of (1, 2, 3), to more digits than a double holds.
SOFTMAX_123 = (0.090030573170380457998, 0.244728471054797652473, 0.665240955774821889529)
LOG_SOFTMAX_123 = (-2.40760596444438030448, -1.40760596444438030448, -0.407605964444380304483)
LOGSUMEXP_123 = 3.40760596444438030448

# Random123, tests/kat_vectors: Philox4x32-10 of the counter and the key below (Salmon et al. 2011).
PHILOX_COUNTER = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
PHILOX_KEY = (0xA4093822, 0x299F31D0)
PHILOX_BLOCK = (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)

Check = Callable[[], str]  # what was found wrong, or nothing


def ulps(got: NDArray[Any], exact: NDArray[Any], size: NDArray[Any] | None = None) -> float:
    """Return the largest error in units in the last place of `exact`, or of `size` when it is given."""
    tiny = np.finfo(got.dtype).smallest_subnormal
    largest = np.finfo(got.dtype).max / 2
    size = exact if size is None else size
    unit = np.maximum(np.spacing(np.minimum(np.abs(size), float(largest)).astype(got.dtype)), tiny)
    return float(np.max(np.abs(got.astype(exact.dtype) - exact) / unit.astype(exact.dtype)))


def golden_check(name: str) -> Check:
    def check() -> str:
        return "" if golden.digest(name) == load("golden")[name] else "the bits are not the golden ones"

    return check


def known_answers(dtype: type[np.floating[Any]]) -> Check:
    def check() -> str:
        x = np.array([1, 2, 3], dtype=dtype)
        exact = np.array(SOFTMAX_123)
        pairs = {
            "softmax": (special.softmax(x), exact),
            "log_softmax": (special.log_softmax(x), np.array(LOG_SOFTMAX_123)),
            "logsumexp": (special.logsumexp(x), np.array(LOGSUMEXP_123)),
            "exp": (special.exp(x), np.array([2.718281828459045, 7.38905609893065, 20.085536923187668])),
            "log": (special.log(x), np.array([0.0, 0.6931471805599453, 1.0986122886681098])),
        }
        eps = float(np.finfo(dtype).eps)
        wrong = [name for name, (got, want) in pairs.items() if np.any(np.abs(got - want) > 2 * eps * np.abs(want))]
        return f"{', '.join(wrong)} of (1, 2, 3) is wrong" if wrong else ""

    return check


def known_words() -> str:
    counter, key = (np.array(words, dtype=np.uint32)[:, None] for words in (PHILOX_COUNTER, PHILOX_KEY))
    block = np.empty_like(counter)
    _core.random.philox(counter.view(np.float32), key.view(np.float32), block.view(np.float32), 10)
    return "" if tuple(block[:, 0]) == PHILOX_BLOCK else "a block of Philox is wrong"


def accuracy(name: str) -> Check:
    """Compare float32 results with the float64 reference on a sample, within the bounds of bounds.json."""

    def check() -> str:
        bound = load("bounds")[f"special.{name}.f32"]["bound"]
        worst = 0.0
        if name in ("exp", "log"):
            x = logits(1 << 18, np.float32, 25.0, seed=9)
            x = np.abs(x) + np.float32(2.0**-20) if name == "log" else x
            worst = ulps(getattr(special, name)(x), getattr(reference.special, name)(x))
        else:
            for scale, shape, temperature in ((1.0, (64, 1000), 1.0), (20.0, (500, 40), 0.7), (3.0, (2, 50000), 37.5)):
                x = logits(shape, np.float32, scale, seed=10)
                got = getattr(special, name)(x, temperature=temperature)
                exact = getattr(reference.special, name)(x, temperature=temperature)
                size = None
                if name == "logsumexp":
                    size = np.maximum(np.abs(np.max(x.astype(np.float64), -1)) / temperature, np.abs(exact))
                worst = max(worst, ulps(got, exact, size))
        return f"an error of {worst:.3f} ULP exceeds {bound}" if worst > bound else ""

    return check


def checks(quick: bool = False) -> Iterator[tuple[str, Check]]:
    """Return the checks that run once per instruction set.

    Parameters
    ----------
    quick : bool, default False
        Leave out all but known answers and the digests of small inputs.

    Returns
    -------
    iterator of (str, callable)
        The name of each check, and a function that returns what it found wrong, or nothing.

    Examples
    --------
    >>> dict(checks())["known answers, float32"]()
    ''
    """
    yield "known answers, float32", known_answers(np.float32)
    yield "known answers, float64", known_answers(np.float64)
    yield "known answers, random words", known_words
    if quick:
        for name in golden.QUICK:
            yield f"golden digest of {name}", golden_check(name)
        return
    for name in ("exp", "log", "softmax", "log_softmax", "logsumexp"):
        yield f"accuracy of {name}, float32", accuracy(name)
    for name in golden.NAMES:
        yield f"golden digest of {name}", golden_check(name)


def main(arguments: Sequence[str]) -> int:
    """Run every check on every instruction set that this machine has, and print a line for each.

    Parameters
    ----------
    arguments : sequence of str
        `--quick`, or nothing.

    Returns
    -------
    int
        0, or 1 if a check failed.
    """
    parser = argparse.ArgumentParser(prog="python -m sorgum selftest", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="known answers and digests of small inputs alone")
    quick = parser.parse_args(arguments).quick
    before = runtime.isa()
    done = failed = 0
    start = time.perf_counter()
    try:
        for isa in runtime.available_isas():
            runtime.set_isa(isa)
            for name, check in checks(quick):
                try:
                    fault = check()
                except Exception as error:
                    fault = f"{type(error).__name__}: {error}"
                if runtime.isa() != isa:
                    fault = f"ran on {runtime.isa()}"
                done += 1
                failed += bool(fault)
                print(f"{'FAILED' if fault else 'ok':<6}  {isa:<6}  {name}{': ' + fault if fault else ''}", flush=True)
    finally:
        runtime.set_isa(before)
    seconds = time.perf_counter() - start
    print(f"{done - failed} of {done} checks passed on {', '.join(runtime.available_isas())} in {seconds:.1f} s")
    return int(failed > 0)

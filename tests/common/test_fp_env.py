"""Another floating-point environment of the caller, in every function: the same bits, and it is left as it was (N8)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fp_environment import ENVIRONMENTS, MASK, mxcsr, needs_mxcsr, word

from sorgum import random, special
from sorgum._data.inputs import logits
from sorgum.interop.libraries import open_to_libraries

pytestmark = needs_mxcsr


def results(value: Any) -> tuple[bytes, ...]:
    return tuple(np.asarray(part).tobytes() for part in (value if isinstance(value, tuple) else (value,)))


def calls(shape: tuple[int, ...], dtype: Any) -> dict[str, Callable[[], Any]]:
    """Plain calls and others, what is computed in C++ and what is put together in Python."""
    x = logits(shape, dtype, 5.0)
    x.flat[0] = -95.0 if dtype != np.float64 else -720.0  # its probability is subnormal
    g = logits(shape, dtype, 1.0, seed=1)
    rows, shapes = np.ones(shape[:-1], dtype), np.abs(x) + dtype(0.1)
    y, log_y, p = special.softmax(x), special.log_softmax(x), special.logsumexp_partial(x)
    return {
        "exp": lambda: special.exp(x),
        "log": lambda: special.log(np.abs(x)),
        "softmax": lambda: special.softmax(x),
        "softmax of a list": lambda: special.softmax(x.tolist(), where=True),
        "softmax, other axis": lambda: special.softmax(x, 0, temperature=0.3),
        "softmax, three passes": lambda: special.softmax(x, algorithm="three_pass_reload"),
        "log_softmax": lambda: special.log_softmax(x),
        "logsumexp": lambda: special.logsumexp(x, return_sign=True),
        "logsumexp, weights": lambda: special.logsumexp(x, b=g, return_sign=True),
        "softmax_grad": lambda: special.softmax_grad(y, dy=g),
        "log_softmax_grad": lambda: special.log_softmax_grad(log_y, dy=g),
        "logsumexp_grad": lambda: special.logsumexp_grad(x, dy=rows),
        "logsumexp_grad, weights": lambda: special.logsumexp_grad(x, dy=rows, b=g),
        "partial": lambda: special.logsumexp_finish(special.logsumexp_partial(x)),
        "softmax_from_partial": lambda: special.softmax_from_partial(x, p),
        "categorical": lambda: random.categorical(x, rng=1),
        "gumbel_softmax": lambda: random.gumbel_softmax(x, rng=1, temperature=0.7),
        "gumbel_top_k": lambda: tuple(random.gumbel_top_k(x, 3, rng=1)),
        "gamma": lambda: random.gamma(shapes, rng=1),
        "filter_logits": lambda: random.filter_logits(x, top_p=0.9),
        "concrete_score": lambda: random.concrete_score(log_y, x, temperature=0.7),
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64], ids=["f16", "f32", "f64"])
@pytest.mark.parametrize("shape", [(7,), (3, 50), (40, 300), (2, 5003)], ids=str)
def test_another_environment(shape: tuple[int, ...], dtype: Any, environment: str) -> None:
    bits = ENVIRONMENTS[environment]
    for name, call in calls(shape, dtype).items():
        expected = results(call())
        with mxcsr(bits):
            got = results(call())
            after = word() & MASK
        assert got == expected, name
        assert after == bits, name


class Thirds:
    """A public class whose arithmetic is NumPy's."""

    def __init__(self, x: Any) -> None:
        self.x = x / np.float32(3)

    def again(self) -> Any:
        return self.x / np.float32(3)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_methods_of_public_classes(environment: str) -> None:
    open_to_libraries({"__name__": "here", "__all__": ["Thirds"], "Thirds": Thirds})
    x = np.concatenate([np.arange(8, dtype=np.float32), np.full(8, 2.0**-126, np.float32)])
    expected = results(Thirds(x).again())
    with mxcsr(ENVIRONMENTS[environment]):
        assert results(Thirds(x).again()) == expected


def test_the_environments_are_others() -> None:
    """Else the test above would show nothing."""
    third = np.float32(1) / np.float32(3) + np.arange(8, dtype=np.float32)
    tiny = np.full(8, 2.0**-126, np.float32)
    quotients, halves = third / np.float32(3), tiny / np.float32(2)
    for name, bits in ENVIRONMENTS.items():
        with mxcsr(bits):
            assert word() & MASK == bits
            seen = third / np.float32(3), tiny / np.float32(2) * np.float32(2)
        different = seen[0].tobytes() != quotients.tobytes() or seen[1].tobytes() != (halves * 2).tobytes()
        assert different, name

"""Arguments of a kind that many functions of random take: what each says of those that it cannot use."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sorgum import random

X = np.zeros((2, 3), np.float32)
INDICES = np.array([[0, 1], [2, 0]])
LOGS = np.zeros((2, 2), np.float32)
RAGGED: Any = [[1.0, 2.0], [3.0]]
TINY = 5e-324
FLAGS: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("categorical", "return_log_prob"): lambda flag: random.categorical(X, rng=1, return_log_prob=flag),
    ("gumbel_softmax", "hard"): lambda flag: random.gumbel_softmax(X, rng=1, hard=flag),
    ("top_k_log_prob", "ordered"): lambda flag: random.top_k_log_prob(X, INDICES, ordered=flag),
    ("inclusion_weights", "log"): lambda flag: random.inclusion_weights(X, random.gumbel_top_k(X, 2, rng=1), log=flag),
    ("gamma", "log"): lambda flag: random.gamma([1.0], rng=1, log=flag),
    ("dirichlet", "log"): lambda flag: random.dirichlet([1.0], rng=1, log=flag),
    ("flow_interpolant", "log"): lambda flag: random.flow_interpolant([0], 2, rng=1, temperature=1.0, log=flag),
    ("concrete_log_prob", "of_points"): lambda flag: random.concrete_log_prob(X, X, temperature=1.0, of_points=flag),
}


@pytest.mark.parametrize(("function", "argument"), FLAGS, ids=":".join)
@pytest.mark.parametrize("value", ["yes", 1, None, np.zeros(2, bool)], ids=["str", "int", "None", "array"])
def test_flags(function: str, argument: str, value: Any) -> None:
    call = FLAGS[function, argument]
    with pytest.raises(TypeError) as raised:
        call(value)
    assert str(raised.value) == f"{function}: {argument} must be a bool, got {type(value).__name__}"
    for flag in (False, True):
        assert np.array_equal(call(np.bool_(flag)), call(flag))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: random.gumbel(3, rng=np.array([1.5])), TypeError,
         "gumbel: rng must be a Key, an int seed or a numpy Generator, got ndarray"),
        (lambda: random.categorical(X, rng=1, axis=np.array([0])), TypeError,
         "categorical: axis must be an int, got array([0])"),
        (lambda: random.gumbel_top_k(X, np.array(1.0), rng=1), TypeError,
         "gumbel_top_k: k must be an int, got ndarray"),
        (lambda: random.categorical(X, rng=1, index_offset=np.array([2])), TypeError,
         "categorical: index_offset must be an int, got ndarray"),
        (lambda: random.dirichlet([1.0], rng=1, axis=np.array("s")), TypeError,
         "dirichlet: axis must be an int, got array('s', dtype='<U1')"),
        (lambda: random.gumbel(3, rng=1, dtype="nonsense"), TypeError,
         "gumbel: dtype must be float32 or float64, got 'nonsense'"),
        (lambda: random.gamma([1.0], rng=1, dtype=1.5), TypeError, "gamma: dtype must be float32 or float64, got 1.5"),
        (lambda: random.bits(3, rng=1, dtype=()), TypeError, "bits: dtype must be uint32 or uint64, got ()"),
        (lambda: random.inclusion_weights(X, None), TypeError,
         "inclusion_weights: drawn must be a TopK, got NoneType"),
        (lambda: random.soft_token_step(X, 2, rng=1, temperature=TINY), ValueError,
         "soft_token_step: temperature must not be subnormal, got 5e-324"),
        (lambda: random.gumbel_resample(X, 2, rng=1, gumbel_temperature=TINY), ValueError,
         "gumbel_resample: gumbel_temperature must not be subnormal, got 5e-324"),
        (lambda: random.soft_token_log_prob(X, INDICES, LOGS, temperature=TINY), ValueError,
         "soft_token_log_prob: temperature must not be subnormal, got 5e-324"),
        (lambda: random.gumbel_softmax(X, rng=1, temperature=TINY), ValueError,
         "gumbel_softmax: temperature must not be subnormal, got 5e-324"),
    ],
)  # fmt: skip
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: random.categorical(RAGGED, rng=1), "categorical: logits"),
        (lambda: random.categorical(X, rng=1, temperature=RAGGED), "categorical: temperature"),
        (lambda: random.categorical(X, rng=1, top_k=RAGGED), "categorical: top_k"),
        (lambda: random.categorical(X, rng=1, top_p=RAGGED), "categorical: top_p"),
        (lambda: random.categorical(X, rng=1, where=RAGGED), "categorical: where"),
        (lambda: random.categorical(X, rng=1, streams=RAGGED), "categorical: streams"),
        (lambda: random.gumbel((2, 2), rng=1, position=RAGGED), "gumbel: position"),
        (lambda: random.top_k_log_prob(X, RAGGED), "top_k_log_prob: indices"),
        (lambda: random.embedding_mix(LOGS, INDICES, RAGGED), "embedding_mix: embeddings"),
    ],
)
def test_ragged(call: Callable[[], Any], argument: str) -> None:
    with pytest.raises(ValueError, match=r"that make none$") as raised:
        call()
    assert str(raised.value) == f"{argument} must be an array, got nested sequences that make none"


def test_whole_numbers_of_numpy() -> None:
    """Integers of any kind, arrays without an axis too."""
    for number in (np.int32(1), np.uint8(1), np.array(1)):
        assert random.gumbel(3, rng=number).tobytes() == random.gumbel(3, rng=1).tobytes()
        assert np.array_equal(random.gumbel_top_k(X, number, rng=1).indices, random.gumbel_top_k(X, 1, rng=1).indices)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0}, "temperature must be in [0, 2**900], got -1.0"),
        ({"temperature": np.nan, "top_k": np.array([1, 1])}, "temperature must be in [0, 2**900], got nan"),
        ({"top_k": 0}, "top_k must be at least 1 (the number of categories keeps all), got 0"),
        ({"top_p": 1.5, "temperature": np.ones(2)}, "top_p must be in (0, 1], got 1.5"),
        ({"min_p": -0.5}, "min_p must be in [0, 1], got -0.5"),
    ],
)
@pytest.mark.parametrize("rows", [0, 2])
def test_numbers_are_checked_whether_there_are_rows_or_not(rows: int, options: dict[str, Any], message: str) -> None:
    options = {name: value[:rows] if isinstance(value, np.ndarray) else value for name, value in options.items()}
    for function, call in {
        "categorical": lambda: random.categorical(X[:rows], rng=1, **options),
        "gumbel_top_k": lambda: random.gumbel_top_k(X[:rows], 1, rng=1, **options),
        "filter_logits": lambda: random.filter_logits(X[:rows], **options),
    }.items():
        with pytest.raises(ValueError) as raised:  # noqa: PT011
            call()
        assert str(raised.value) == f"{function}: {message}"

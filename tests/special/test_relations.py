"""How results of softmax, log_softmax and logsumexp hang together, and known answers."""

import numpy as np
import pytest
from cases import CHUNK, DTYPES
from cases.special import ROW_FUNCTIONS

from sorgum import special
from sorgum._data.inputs import hashed, logits

INF = np.inf

each_suffix = pytest.mark.parametrize("suffix", DTYPES)
each_name = pytest.mark.parametrize("name", ROW_FUNCTIONS)
each_normalised = pytest.mark.parametrize("name", ["softmax", "log_softmax"])


@each_suffix
@pytest.mark.parametrize("n", [5, 100, 1000, CHUNK + 1, 100003])
def test_relations(suffix: str, n: int) -> None:
    dtype = DTYPES[suffix]
    x = (np.round(logits(n, np.float64, 4.0) * 1024) / 1024).astype(dtype)
    soft = special.softmax(x)
    order = np.argsort(hashed(n))
    eps = float(np.finfo(dtype).eps)
    assert np.allclose(special.softmax(x[order]), soft[order], rtol=eps, atol=0), "another order"
    assert np.allclose(special.softmax(x + dtype.type(37)), soft, rtol=8 * eps, atol=0), "a shift"
    with_absent = np.concatenate([x, np.full(33, -INF, dtype=dtype)])
    assert np.array_equal(special.softmax(with_absent)[:n], soft), "-inf appended"
    assert special.logsumexp(with_absent) == special.logsumexp(x)
    by_size = np.argsort(x, kind="stable")
    assert np.all(np.diff(soft[by_size]) >= 0), "a larger logit has no smaller probability"
    ties = np.concatenate([x, x])
    assert np.array_equal(special.softmax(ties)[:n], special.softmax(ties)[n:]), "equal logits"
    assert np.allclose(special.softmax(ties)[:n], soft / 2, rtol=2 * eps, atol=0), "twice the same row"
    assert np.allclose(np.exp(special.log_softmax(x).astype(np.float64)), soft, rtol=100 * eps)


@each_name
@each_suffix
def test_permutations_within_lanes_and_chunks(name: str, suffix: str) -> None:
    """Chunks are combined exactly: their order changes no bit."""
    x = logits((8, CHUNK), DTYPES[suffix], 6.0)
    x[3] += DTYPES[suffix].type(9000)
    expected = ROW_FUNCTIONS[name](x.reshape(-1))
    order = np.array([5, 1, 3, 0, 7, 2, 6, 4])
    got = ROW_FUNCTIONS[name](x[order].reshape(-1))
    if name == "logsumexp":
        assert got == expected
    else:
        assert np.array_equal(got.reshape(8, CHUNK), expected.reshape(8, CHUNK)[order])


@each_suffix
@each_normalised
def test_equal_logits_have_equal_results(name: str, suffix: str) -> None:
    for n in (*range(1, 70), 1000, CHUNK, CHUNK + 1, 100003):
        for value in (0.0, -0.0, 1e-40, 3.3, -1e5, 6e7, -3e38):
            got = ROW_FUNCTIONS[name](np.full(n, value, dtype=DTYPES[suffix]))
            exact = 1 / n if name == "softmax" else -np.log(float(n))
            assert np.all(got == got[0])
            ulps = 4 if name == "softmax" else 2
            assert abs(float(got[0]) - exact) <= ulps * float(np.spacing(DTYPES[suffix].type(abs(exact))))


def test_known_answers() -> None:
    exact = [0.090030573170380457998, 0.244728471054797652473, 0.665240955774821889529]
    for dtype in (np.float32, np.float64):
        eps = float(np.finfo(dtype).eps)
        assert special.softmax(np.array([1, 2, 3], dtype=dtype)) == pytest.approx(exact, rel=2 * eps)
        assert special.logsumexp(np.array([1, 2, 3], dtype=dtype)) == pytest.approx(3.4076059644443804, rel=2 * eps)


def test_inputs_are_left_alone() -> None:
    x, b = logits((5, 100), np.float32), np.ones((5, 100), np.float32)
    mask, temperature = b > 0, np.full(5, 2.0)
    copies = [a.copy() for a in (x, b, mask, temperature)]
    special.softmax(x, where=mask, temperature=temperature)
    special.logsumexp(x, b=b, where=mask, temperature=temperature)
    for a, copy in zip((x, b, mask, temperature), copies, strict=True):
        assert np.array_equal(a, copy)

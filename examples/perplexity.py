"""The perplexity of a sequence whose logits lie in a file: read where they are, summed row by row, never copied."""

import tempfile
from pathlib import Path

import numpy as np

import sorgum as sg

length, vocabulary = 600, 32000

with tempfile.TemporaryDirectory() as folder:
    # A model's logits over a vocabulary, written as they came, and the tokens that came: drawn from these logits.
    path = Path(folder, "logits.f32")
    with path.open("wb") as file:
        for step in range(length):
            (2 * sg.random.normal((1, vocabulary), rng=1, streams=[step])).tofile(file)
    logits = np.memmap(path, np.float32, "r", shape=(length, vocabulary))
    tokens = sg.random.categorical(logits, rng=2)
    print(f"logits: {length} rows of {vocabulary}, {path.stat().st_size >> 20} MiB in a file")
    print(f"tokens that came: {tokens[:6].tolist()} ...")

    # log p(token) = logit - logsumexp(row). No array of the size of the logits is made: one number per row is.
    chosen = np.take_along_axis(logits, tokens[:, None], axis=-1)[:, 0]
    log_p = chosen - sg.special.logsumexp(logits)
    perplexity = np.exp(-log_p.mean(dtype=np.float64))
    print(f"perplexity from one logsumexp per row: {perplexity:.4f}")

    # The long way writes log_softmax of every row, as large as the file, and takes one number of each.
    table = sg.special.log_softmax(logits)
    long_way = np.take_along_axis(table, tokens[:, None], axis=-1)[:, 0]
    print(f"perplexity from log_softmax:           {np.exp(-long_way.mean(dtype=np.float64)):.4f}")
    print(f"the long way made an array of {table.nbytes >> 20} MiB, the short one of {log_p.nbytes / 1024:.1f} KiB")
    assert np.allclose(log_p, long_way, rtol=0, atol=4e-6)  # each within 2 or 3 ULP of numbers below 16

    # The file may be read in pieces of any size: every row has the bits it has in one call.
    pieces = [sg.special.logsumexp(logits[first : first + 64]) for first in range(0, length, 64)]
    same = np.array_equal(np.concatenate(pieces), sg.special.logsumexp(logits))
    print(f"64 rows at a time: {'the same bits' if same else 'OTHER BITS'}")
    assert same
    del logits, chosen

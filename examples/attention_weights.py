"""Attention weights in bfloat16: a batch of sequences of unequal length, several heads, causal, written in place.

Usage: python attention_weights.py [PICTURE.png], which draws the weights of one sequence (needs matplotlib).
"""

import sys

import numpy as np

import sorgum as sg

try:
    from ml_dtypes import bfloat16
except ModuleNotFoundError:
    print("attention_weights.py needs ml_dtypes, for bfloat16 in NumPy", file=sys.stderr)
    sys.exit(77)  # for tests: skipped

batch, heads, length, width = 3, 4, 24, 16
lengths = np.array([24, 17, 9])  # tokens of each sequence; the rest is padding

# Queries and keys that stand in for a model's: a token looks for some that came shortly before it.
draw = sg.random.key(1)
content = sg.random.normal((batch, heads, length, width), rng=sg.random.fold_in(draw, 0))
queries = content + np.roll(content, 2, axis=-2)
keys = content + sg.random.normal((batch, heads, length, width), rng=sg.random.fold_in(draw, 1))
scores = (queries @ keys.swapaxes(-1, -2)).astype(bfloat16)  # batch, heads, queries, keys
of_sequence_1 = scores[1].copy()

# Masks broadcast: (query, key) for the order, (sequence, 1, query or 1, key or 1) for the padding.
causal = np.tril(np.ones((length, length), dtype=bool))
present = np.arange(length) < lengths[:, None]
mask = causal & present[:, None, None, :] & present[:, None, :, None]

# The usual division by sqrt(width) is a temperature: the quotient is never rounded. A padded query has no key: its row
# is 0 (it would be NaN without `empty`). `out` may be the scores themselves.
options = {"temperature": np.sqrt(width), "empty": "zero"}
reference = sg.special.softmax(scores.astype(np.float32), where=mask, **options)
weights = sg.special.softmax(scores, where=mask, out=scores, **options)

print(f"scores: {batch} sequences of {lengths.tolist()} tokens, {heads} heads, {length} x {length}, {scores.dtype}")
print(f"weights written where the scores were: {weights is scores}")
print(f"largest weight of a masked key: {float(weights[~np.broadcast_to(mask, weights.shape)].max()):g}")
sums = weights.astype(np.float64).sum(-1)[np.broadcast_to(present[:, None], weights.shape[:-1])]
print(f"rows of tokens sum to {sums.min():.4f} ... {sums.max():.4f}: weights have the 8 bits of bfloat16")
once = np.array_equal(weights.view(np.uint16), reference.astype(bfloat16).view(np.uint16))
print(f"the float32 result, rounded once, has the same bits: {once}")

# A sequence alone, without its padding, has the weights it has in the batch.
n = lengths[1]
alone = sg.special.softmax(of_sequence_1[:, :n, :n], where=causal[:n, :n], **options)
same = np.array_equal(alone.view(np.uint16), weights[1, :, :n, :n].view(np.uint16))
print(f"sequence 1, alone and without padding, has the same bits: {same}")
print("head 0 of sequence 2, its last five tokens:")
print(weights[2, 0, 4:9, :9].astype(np.float32).round(2))
assert weights is scores
assert once
assert same

if sys.argv[1:]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, heads, figsize=(8.3, 2.6), sharey=True, layout="constrained")
    shown = weights[1].astype(np.float32)
    for head, axis in enumerate(axes):
        image = axis.imshow(np.where(mask[1, 0], shown[head], np.nan), cmap="viridis", vmin=0, vmax=1)
        axis.set_facecolor("0.9")
        axis.set_title(f"head {head}", fontsize=9)
        axis.set_xlabel("key", fontsize=9)
        axis.tick_params(labelsize=8)
    axes[0].set_ylabel("query", fontsize=9)
    figure.colorbar(image, ax=axes, shrink=0.8).ax.tick_params(labelsize=8)
    figure.suptitle(
        f"Attention weights of a sequence of {n} tokens, padded to {length}; gray: masked, exactly 0", fontsize=10
    )
    figure.savefig(sys.argv[1], dpi=120)

"""The command line of `merge_checkpoint`: `python -m sorgum merge BASE ADAPTER... -o OUT`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from decimal import Decimal

from sorgum.lowrank.peft._merge import merge_checkpoint

__all__ = ["main"]

_NEGATIVE_WITH_EXPONENT = re.compile(r"-(\d+\.?\d*|\.\d+)[eE][+-]?\d{1,3}")  # argparse takes these for options


def main(arguments: Sequence[str]) -> int:
    """Merge adapters into a checkpoint.

    Parameters
    ----------
    arguments : sequence of str
        Those of the command line.

    Returns
    -------
    int
        0; 1 if a merge was refused or the system failed, for a reason that is printed; 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="python -m sorgum merge",
        description="Merge LoRA adapters, as PEFT writes them, into a checkpoint of safetensors: tensor by tensor, "
        "whatever its size, into a new directory that appears whole or not at all.",
    )
    parser.add_argument("base", metavar="BASE", help="directory with model.safetensors, or its index and shards")
    parser.add_argument("adapters", metavar="ADAPTER", nargs="+", help="directory that PEFT's save_pretrained wrote")
    parser.add_argument("-o", "--out", required=True, metavar="OUT", help="the new directory")
    parser.add_argument("--weights", type=float, nargs="+", help="what each adapter is multiplied by (1)")
    types = ("float16", "bfloat16", "float32", "float64")
    parser.add_argument("--dtype", choices=types, help="type of the tensors that are changed (that of the base)")
    parser.add_argument("--not-strict", action="store_true", help="leave out tensors that the base has no place for")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    given = parser.parse_args(
        [f"{Decimal(text):f}" if _NEGATIVE_WITH_EXPONENT.fullmatch(text) else text for text in arguments]
    )
    try:
        done = merge_checkpoint(
            given.base,
            given.adapters,
            given.out,
            weights=given.weights,
            dtype=given.dtype,
            strict=not given.not_strict,
            progress=not given.quiet,
        )
    except (ValueError, TypeError, OSError, MemoryError) as error:
        print(f"python -m sorgum merge: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("python -m sorgum merge: interrupted, nothing is left", file=sys.stderr)
        return 130
    if not given.quiet:
        print(f"{given.out}: {len(done.merged)} tensors merged, {len(done.replaced)} replaced")
        for what, names in (("no place for", done.unmatched), ("not copied:", done.left_out)):
            for name in names:
                print(f"{what} {name}")
    return 0

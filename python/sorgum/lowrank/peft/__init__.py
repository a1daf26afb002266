"""Adapters of PEFT on disk: read, written, and merged into checkpoints too large for memory.

`merge_checkpoint` merges directories that PEFT's `save_pretrained` wrote into a checkpoint of safetensors, sharded or
not, block by block, with the bits of `sorgum.lowrank.merge`; `python -m sorgum merge` does it from the command line.
Nothing but NumPy is needed: neither PEFT nor PyTorch. docs/adapters.md says what each option of PEFT comes to.
"""

from sorgum.lowrank.peft._adapter import Adapter, LowRank, read_adapter, write_adapter
from sorgum.lowrank.peft._merge import Merged, merge_checkpoint

__all__ = ["Adapter", "LowRank", "Merged", "merge_checkpoint", "read_adapter", "write_adapter"]

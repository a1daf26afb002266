"""Checkpoints: a directory with `model.safetensors`, or with shards of it under an index, and the files beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from sorgum.interop.arrays import shown
from sorgum.lowrank.peft._refusals import Argument, json_object
from sorgum.lowrank.peft._safetensors import SafetensorsFile, Tensor

__all__ = ["Checkpoint"]

_NAMES = ("model.safetensors", "diffusion_pytorch_model.safetensors")  # of transformers and of diffusers
_INDEX = ".index.json"
_OTHER_WEIGHTS = (
    ".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pt", ".pth", ".ckpt", ".h5", ".msgpack",
    ".gguf", ".ggml", ".onnx", ".onnx_data", ".npz", ".tflite",
)  # fmt: skip
_OF_ADAPTERS = "adapter_config.json"  # beside a whole checkpoint it would have its loaders look for an adapter
_QUANTISED = ("quantization_config", "compression_config")


class Checkpoint:
    """A checkpoint, its files open for reading and their headers checked.

    Parameters
    ----------
    argument : Argument
        In whose name a malformed checkpoint is refused.
    directory : path

    Attributes
    ----------
    shards : dict of SafetensorsFile
        By the name of the file, in the order of names.
    index_name : str or None
        The name of the index; None for a checkpoint of one file.
    index, index_text : dict and bytes
        What is in it.
    home : dict of str
        The shard of every tensor.
    """

    def __init__(self, argument: Argument, directory: object) -> None:
        self._argument = argument
        self.directory = argument.directory(directory)
        self.index_name: str | None = None
        self.index: dict[str, Any] = {}
        self.index_text = b""
        self._refuse_if_quantised()
        name = self._name()
        names = self._indexed(name) if name.endswith(_INDEX) else [name]
        with ExitStack() as opened:
            self.shards = {name: opened.enter_context(self._open(name)) for name in names}
            self.home = {tensor: name for name, shard in self.shards.items() for tensor in shard.tensors}
            if self.index_name is not None:
                self._refuse_unless_indexed()
            self._opened = opened.pop_all()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def __contains__(self, name: str) -> bool:
        return name in self.home

    def tensor(self, name: str) -> Tensor:
        """Return what the header says of a tensor."""
        return self.shards[self.home[name]].tensors[name]

    def other_files(self) -> tuple[list[str], list[str]]:
        """Return the files that go with the checkpoint, and those that do not: relative paths, in order.

        Those that do not are weights in other files, which a merge would leave as they are, the configuration of an
        adapter, what is hidden, and what is no file.
        """
        carried: list[str] = []
        left: list[str] = []
        for name, is_file in self._files(""):
            if name in self.shards or name == self.index_name:
                continue
            goes = is_file and not name.lower().endswith(_OTHER_WEIGHTS) and os.path.basename(name) != _OF_ADAPTERS
            (carried if goes else left).append(name)
        return carried, left

    def _files(self, folder: str) -> Iterator[tuple[str, bool]]:
        """Yield what is in a directory, but for directories that are gone into, and whether it is a file to copy.

        Links to files are followed, links to directories are not, and what is hidden is not looked at.
        """
        with os.scandir(os.path.join(self.directory, folder)) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            name, hidden = os.path.join(folder, entry.name), entry.name.startswith(".")
            if entry.is_dir(follow_symlinks=False) and not hidden:
                yield from self._files(name)
            else:
                yield name, not hidden and os.path.isfile(entry.path)  # a link in a loop is none

    def _refuse_if_quantised(self) -> None:
        path = os.path.join(self.directory, "config.json")
        if not os.path.isfile(path):
            return
        with open(path, "rb") as file:
            config = json_object(self._argument, file.read(), "config.json", strict=False)
        for name in _QUANTISED:
            if config.get(name):
                got = f"{name} {shown(config[name])} in config.json"
                raise self._argument.refusal("be a checkpoint that is not quantised", got)

    def _name(self) -> str:
        candidates = [name + end for name in _NAMES for end in ("", _INDEX)]
        found = [name for name in candidates if os.path.isfile(os.path.join(self.directory, name))]
        if len(found) != 1:
            got = " and ".join(found) if found else f"none in {self.directory!r}"
            raise self._argument.refusal(f"have one of {', '.join(candidates)}", got)
        return found[0]

    def _open(self, name: str) -> SafetensorsFile:
        path = os.path.join(self.directory, name)
        if not os.path.isfile(path):
            raise self._argument.refusal("have all files that its index names", f"none named {name!r}")
        return SafetensorsFile(self._argument, path)

    def _indexed(self, name: str) -> list[str]:
        with open(os.path.join(self.directory, name), "rb") as file:
            self.index_text = file.read()
        self.index_name, self.index = name, json_object(self._argument, self.index_text, name)
        files = self.index.get("weight_map")
        if not isinstance(files, dict) or not all(isinstance(file, str) for file in files.values()):
            raise self._argument.refusal("have an index whose weight_map maps names to files", shown(files))
        for file in files.values():
            if not file.endswith(".safetensors") or os.path.basename(file) != file or "\0" in file:
                rule = "have an index that names .safetensors files of its own directory"
                raise self._argument.refusal(rule, shown(file))
        return sorted(set(files.values()))

    def _refuse_unless_indexed(self) -> None:
        files = self.index["weight_map"]
        for name, shard in self.shards.items():
            for tensor in shard.tensors:
                if files.get(tensor) != name:
                    rule = "have an index that names the file of every tensor"
                    raise self._argument.refusal(rule, f"{shown(files.get(tensor))} for {shown(tensor)} in {name}")
        for tensor, file in files.items():
            if tensor not in self.home:
                raise self._argument.refusal("have all tensors of its index", f"no {shown(tensor)} in {file}")

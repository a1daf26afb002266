"""Malformed files are refused with the whole message, and none of their numbers is believed before it is checked."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from peft_files import files, header, safetensors, write_adapter, write_base

from sorgum.lowrank import peft

F32 = "F32"


def entry(begin: Any, end: Any, shape: Any = (2,), dtype: Any = F32, **more: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]} | more


def refuses(message: str) -> Any:
    """Expect a refusal; a message that ends in "..." is only its beginning."""
    end = ".*" if message.endswith("...") else ""
    return pytest.raises(
        ValueError, match="^" + re.escape(f"merge_checkpoint: base must {message.removesuffix('...')}") + end + "$"
    )


def refused_base(tmp_path: Path, content: bytes, message: str) -> None:
    base = write_base(tmp_path / "base", {"q.weight": np.ones((2, 2), np.float32)})
    (base / "model.safetensors").write_bytes(content)
    factors = {"q.lora_A.weight": np.ones((4, 2), np.float32), "q.lora_B.weight": np.ones((2, 4), np.float32)}
    adapter = write_adapter(tmp_path / "adapter", factors)
    before = files(tmp_path)
    with refuses(message):
        peft.merge_checkpoint(base, adapter, tmp_path / "out")
    assert files(tmp_path) == before


FOLLOW = "have tensors that follow each other without a gap or overlap, got"
TAKE = "have as many bytes for a tensor as its shape and type take, got"
SIZES = "have tensors whose shapes are at most 64 sizes from 0 on, got"
ENDS = "have tensors with a begin and an end of their bytes, got"
BEHIND = "have as many bytes behind the header as its tensors take, got"
METADATA = "have headers whose __metadata__ maps strings to strings, got"
IN = "in model.safetensors"


@pytest.mark.parametrize(
    ("entries", "data", "message"),
    [
        ({"a": entry(0, 8), "b": entry(4, 12)}, 12, f"{FOLLOW} 'b' from 4 on where 8 bytes were before {IN}"),
        ({"a": entry(0, 8), "b": entry(0, 8)}, 8, f"{FOLLOW} 'b' from 0 on where 8 bytes were before {IN}"),
        ({"a": entry(0, 8), "b": entry(12, 20)}, 20, f"{FOLLOW} 'b' from 12 on where 8 bytes were before {IN}"),
        ({"a": entry(4, 12)}, 12, f"{FOLLOW} 'a' from 4 on where 0 bytes were before {IN}"),
        ({"a": entry(0, 8)}, 9, f"{BEHIND} 9 for tensors of 8 {IN}"),
        ({"a": entry(0, 8)}, 7, f"{BEHIND} 7 for tensors of 8 {IN}"),
        ({"a": entry(0, 2**62, (2**60,))}, 8, f"{BEHIND} 8 for tensors of {2**62} {IN}"),
        ({}, 1, f"{BEHIND} 1 for tensors of 0 {IN}"),
        ({"a": entry(0, 9)}, 9, f"{TAKE} 9 bytes for 'a' of shape (2,) and type F32 {IN}"),
        ({"a": entry(0, 8, dtype="F64")}, 8, f"{TAKE} 8 bytes for 'a' of shape (2,) and type F64 {IN}"),
        ({"a": entry(0, 0, (2**62, 4))}, 0, f"{TAKE} 0 bytes for 'a' of shape ({2**62}, 4) and type F32 {IN}"),
        ({"a": entry(0, 1, (3,), "F4")}, 1, f"{TAKE} 1 bytes for 'a' of shape (3,) and type F4 {IN}"),
        ({"a": entry(0, 8, (-2,))}, 8, f"{SIZES} [-2] for 'a' {IN}"),
        ({"a": entry(0, 8, (2.0,))}, 8, f"{SIZES} [2.0] for 'a' {IN}"),
        ({"a": entry(0, 8, (True, 2))}, 8, f"{SIZES} [True, 2] for 'a' {IN}"),
        ({"a": entry(0, 8, (2**64,))}, 8, f"{SIZES} [{2**64}] for 'a' {IN}"),
        ({"a": entry(-8, 0)}, 8, f"{ENDS} [-8, 0] for 'a' {IN}"),
        ({"a": entry(8, 0)}, 8, f"{ENDS} [8, 0] for 'a' {IN}"),
        ({"a": entry(0, 2**63)}, 8, f"{ENDS} [0, {2**63}] for 'a' {IN}"),
        ({"a": entry(0, 8.0)}, 8, f"{ENDS} [0, 8.0] for 'a' {IN}"),
        ({"a": entry(0, 8, dtype="f32")}, 8, f"have tensors of known types, got 'f32' for 'a' {IN}"),
        ({"a": entry(0, 8, dtype=None)}, 8, f"have tensors of known types, got None for 'a' {IN}"),
        ({"a": 3}, 0, f"have headers whose entries consist of dtype, shape and data_offsets, got 3 for 'a' {IN}"),
        ({"__metadata__": {"a": 1}}, 0, f"{METADATA} {{'a': 1}} {IN}"),
        ({"__metadata__": "a"}, 0, f"{METADATA} 'a' {IN}"),
    ],
)  # fmt: skip
def test_headers(tmp_path: Path, entries: dict[str, Any], data: int, message: str) -> None:
    refused_base(tmp_path, header(entries) + bytes(data), message)


def test_a_shape_of_65_axes(tmp_path: Path) -> None:
    refused_base(tmp_path, header({"a": entry(0, 4, [1] * 65)}) + bytes(4), f"{SIZES} [1, 1, 1, 1, 1, 1, 1, 1, ...")


def test_shapes_that_no_array_can_have(tmp_path: Path) -> None:
    """They have no elements: a base may keep such a tensor, and no adapter may have one."""
    shape = (2**62, 2**62, 0)
    adapter = write_adapter(tmp_path / "adapter", {})
    (adapter / "adapter_model.safetensors").write_bytes(header({"z": entry(0, 0, shape)}))
    rule = "have tensors of less than 2**60 elements, sizes of 0 not counted, where they are merged"
    message = f"read_adapter: directory must {rule}, got shape {shape} for 'z' in adapter_model.safetensors"
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        peft.read_adapter(adapter)
    base = write_base(tmp_path / "base", {"q.weight": np.ones((2, 2), np.float32)})
    (base / "model.safetensors").write_bytes(header({"z": entry(0, 0, shape)}))
    peft.merge_checkpoint(base, peft.Adapter({}), tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == (base / "model.safetensors").read_bytes()


LENGTH = "have headers of at most 100000000 bytes and no longer than their file, got"
JSON = "have files of valid JSON, got the header of model.safetensors"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", f"have safetensors files of at least 8 bytes, got 0 {IN}"),
        (b"\2\0\0\0", f"have safetensors files of at least 8 bytes, got 4 {IN}"),
        (b"\3" + bytes(7) + b"{}", f"{LENGTH} 3 bytes of 10 {IN}"),
        (b"\xff" * 8 + b"{}", f"{LENGTH} {2**64 - 1} bytes of 10 {IN}"),
        (bytes(8) + b"{}", f"have headers that begin with '{{', got b'' {IN}"),
        (b"\3" + bytes(7) + b" {}", f"have headers that begin with '{{', got b' {{}}' {IN}"),
        (b"\2" + bytes(7) + b"[]", f"have headers that begin with '{{', got b'[]' {IN}"),
        (
            b"\1" + bytes(7) + b"{",
            f"{JSON}: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        (
            b"\3" + bytes(7) + b"{\xff}",
            f"{JSON}: 'utf-8' codec can't decode byte 0xff in position 1: invalid start byte",
        ),
        (b"\x0f" + bytes(7) + b'{"a":1,"a":1}  ', f"{JSON}: the name 'a' stands twice"),
        (b"\x09" + bytes(7) + b'{"a":NaN}', f"{JSON}: NaN is no number of JSON"),
    ],
)
def test_beginnings(tmp_path: Path, content: bytes, message: str) -> None:
    refused_base(tmp_path, content, message)


@pytest.mark.parametrize("text", [b'{"a":' + b"[" * 100_000, b'{"a":' + b"9" * 100_000 + b"}", b'{"\\ud800":1}'])
def test_json_that_python_chokes_on(tmp_path: Path, text: bytes) -> None:
    refused_base(tmp_path, len(text).to_bytes(8, "little") + text, "have files of valid JSON, got the header of ...")


def test_a_long_header_is_not_read(tmp_path: Path) -> None:
    """A file of 200 MB without content: the length is refused before anything is."""
    base = write_base(tmp_path / "base", {"q.weight": np.ones((2, 2), np.float32)})
    with open(base / "model.safetensors", "wb") as file:
        file.write((150_000_000).to_bytes(8, "little"))
        file.truncate(200_000_000)
    adapter = write_adapter(tmp_path / "adapter", {})
    with refuses(f"{LENGTH} 150000000 bytes of 200000000 {IN}"):
        peft.merge_checkpoint(base, adapter, tmp_path / "out")


def test_every_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    content = safetensors({"a": np.ones((2, 2), np.float32), "b": np.ones(3, np.float16)}, {"format": "pt"})
    base = write_base(tmp_path / "base", {})
    adapter = write_adapter(tmp_path / "adapter", {"a": np.ones((2, 2), np.float32)})
    for length in range(len(content)):
        (base / "model.safetensors").write_bytes(content[:length])
        with refuses("have ..."):
            peft.merge_checkpoint(base, adapter, tmp_path / "out")
    (base / "model.safetensors").write_bytes(content)
    assert peft.merge_checkpoint(base, adapter, tmp_path / "out").replaced == ["a"]


def index_of(base: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = base / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    change(index)
    path.write_text(json.dumps(index))


OWN = "have an index that names .safetensors files of its own directory, got"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: i.pop("weight_map"), "have an index whose weight_map maps names to files, got None"),
        (
            lambda i: i["weight_map"].update(a=1),
            f"have an index whose weight_map maps names to files, got {{'a': 1, 'b': '{SECOND}'}}",
        ),
        (lambda i: i["weight_map"].update(a="../x.safetensors"), f"{OWN} '../x.safetensors'"),
        (lambda i: i["weight_map"].update(a="/x.safetensors"), f"{OWN} '/x.safetensors'"),
        (lambda i: i["weight_map"].update(a="config.json"), f"{OWN} 'config.json'"),
        (
            lambda i: i["weight_map"].update(a="x.safetensors"),
            "have all files that its index names, got none named 'x.safetensors'",
        ),
        (lambda i: i["weight_map"].update(c=FIRST), f"have all tensors of its index, got no 'c' in {FIRST}"),
        (
            lambda i: i["weight_map"].update(a=SECOND, c=FIRST),
            f"have an index that names the file of every tensor, got '{SECOND}' for 'a' in {FIRST}",
        ),
    ],
)  # fmt: skip
def test_indices(tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    base = write_base(tmp_path / "base", {"a": np.ones(2, np.float32)}, {"b": np.ones(2, np.float32)})
    index_of(base, change)
    adapter = write_adapter(tmp_path / "adapter", {"a": np.ones(2, np.float32)})
    before = files(tmp_path)
    with refuses(message):
        peft.merge_checkpoint(base, adapter, tmp_path / "out")
    assert files(tmp_path) == before


def test_a_base_without_a_checkpoint_or_with_two(tmp_path: Path) -> None:
    names = "model.safetensors, model.safetensors.index.json, "
    names += "diffusion_pytorch_model.safetensors, diffusion_pytorch_model.safetensors.index.json"
    base = write_base(tmp_path / "base", {"a": np.ones(2, np.float32)}, {"b": np.ones(2, np.float32)})
    adapter = write_adapter(tmp_path / "adapter", {"a": np.ones(2, np.float32)})
    (base / "model.safetensors").write_bytes(safetensors({}))
    with refuses(f"have one of {names}, got model.safetensors and model.safetensors.index.json"):
        peft.merge_checkpoint(base, adapter, tmp_path / "out")
    with refuses(f"have one of {names}, got none in {str(adapter)!r}"):
        peft.merge_checkpoint(adapter, adapter, tmp_path / "out")


def outcome(content: bytes, folder: Path) -> set[str]:
    """Return the tensors of a file, read as an adapter's; a refusal must have the one form."""
    (folder / "adapter_model.safetensors").write_bytes(content)
    try:
        return set(peft.read_adapter(folder).replaced)
    except ValueError as error:
        if re.match(r"read_adapter: directory must .*, got ", str(error), re.DOTALL) is None:
            raise
        return set()


VALID = safetensors({"a": np.ones((2, 3), np.float32), "b": np.ones(4, np.float16)}, {"format": "pt"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(tmp_path_factory.mktemp("fuzz") / "adapter", {})


@hypothesis.given(
    changes=strategies.lists(
        strategies.tuples(strategies.integers(0, len(VALID) - 1), strategies.integers(0, 255)), max_size=6
    )
)
def test_fuzz_changed_bytes(folder: Path, changes: list[tuple[int, int]]) -> None:
    content = bytearray(VALID)
    for at, value in changes:
        content[at] = value
    outcome(bytes(content), folder)


@hypothesis.given(content=strategies.binary(max_size=200))
def test_fuzz_any_bytes(folder: Path, content: bytes) -> None:
    assert outcome(content, folder) == set()


SMALL = strategies.integers(-2, 40) | strategies.sampled_from([2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64, 10**400])
ODD = strategies.none() | strategies.booleans() | strategies.floats() | strategies.text(max_size=3)
ENTRIES = strategies.dictionaries(
    strategies.sampled_from(["a", "b", "c", "__metadata__"]) | strategies.text(max_size=3),
    strategies.fixed_dictionaries(
        {
            "dtype": strategies.sampled_from(["F32", "F16", "BF16", "F64", "U8", "F4", "BOOL", "X"]),
            "shape": strategies.lists(SMALL | ODD, max_size=3),
            "data_offsets": strategies.lists(SMALL | ODD, min_size=1, max_size=3),
        }
    )
    | ODD,
    max_size=3,
)


@hypothesis.given(entries=ENTRIES, data=strategies.integers(0, 64))
def test_fuzz_headers(folder: Path, entries: dict[str, Any], data: int) -> None:
    text = json.dumps(entries).encode("utf-8", "replace")
    outcome(len(text).to_bytes(8, "little") + text + bytes(data), folder)


LAYOUTS = strategies.dictionaries(
    strategies.text(strategies.characters(codec="utf-8"), max_size=4),
    strategies.tuples(
        strategies.sampled_from(["F32", "F16", "BF16", "F64"]), strategies.lists(strategies.integers(0, 3), max_size=3)
    ),
    max_size=4,
)


@hypothesis.given(layout=LAYOUTS, backwards=strategies.booleans(), padding=strategies.integers(0, 9))
def test_fuzz_valid_headers_are_read(folder: Path, layout: dict[str, Any], backwards: bool, padding: int) -> None:
    """Whatever the order of entries and the padding are: what is valid is not refused."""
    layout.pop("__metadata__", None)
    entries, at = {}, 0
    for name, (dtype, shape) in layout.items():
        end = at + int(np.prod(shape, dtype=int)) * {"F32": 4, "F16": 2, "BF16": 2, "F64": 8}[dtype]
        entries[name] = entry(at, end, shape, dtype)
        at = end
    text = json.dumps(dict(reversed(entries.items())) if backwards else entries).encode() + b" " * padding
    assert outcome(len(text).to_bytes(8, "little") + text + bytes(at), folder) == set(layout)

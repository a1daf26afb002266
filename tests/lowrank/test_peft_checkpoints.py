"""Checkpoints before and after a merge: what keeps its bytes, what is copied, which arguments are refused."""

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peft_files import (
    factors,
    files,
    numbers,
    product,
    safetensors,
    tensors,
    three_shards,
    whole,
    write_adapter,
    write_base,
)

from sorgum.lowrank import peft
from sorgum.lowrank.peft._refusals import Argument
from sorgum.lowrank.peft._safetensors import SafetensorsFile


def refuses(message: str, kind: type[Exception] = ValueError) -> Any:
    return pytest.raises(kind, match="^" + re.escape(f"merge_checkpoint: {message}") + "$")


def test_all_but_the_merged_tensors_keeps_its_bytes(tmp_path: Path, rng: np.random.Generator) -> None:
    base, source, old, adapter = three_shards(tmp_path, rng)
    done = peft.merge_checkpoint(base, source, tmp_path / "out")
    assert done == (["a.q.weight", "b.q.weight"], [], [], [])
    before, after = files(base), files(tmp_path / "out")
    assert list(after) == list(before)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors"}
    found = tensors(tmp_path / "out")
    for name in ("a.q", "b.q"):
        expected = numbers(old[f"{name}.weight"]) + 2.0 * product(adapter, name)
        np.testing.assert_array_equal(numbers(found[f"{name}.weight"]), expected)
    for name in changed:
        assert len(after[name]) == len(before[name])
        rows = 6 * 5 * 2
        differing = np.flatnonzero(np.frombuffer(after[name], np.uint8) != np.frombuffer(before[name], np.uint8))
        assert 0 < np.ptp(differing) < rows  # the header and every other tensor lie outside


def test_a_type_may_be_asked_for(tmp_path: Path, rng: np.random.Generator) -> None:
    base, source, old, adapter = three_shards(tmp_path, rng)
    peft.merge_checkpoint(base, source, tmp_path / "out", dtype="float64")
    found = tensors(tmp_path / "out")
    assert {name for name, array in found.items() if array.dtype == np.float64} == {"a.q.weight", "b.q.weight"}
    np.testing.assert_array_equal(found["b.q.weight"], numbers(old["b.q.weight"]) + 2.0 * product(adapter, "b.q"))
    np.testing.assert_array_equal(numbers(found["a.norm"]), numbers(old["a.norm"]))
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    kept = old["ids"].nbytes + old["bytes"].nbytes
    assert index["metadata"]["total_size"] == kept + sum(array.nbytes for array in found.values())
    with SafetensorsFile(Argument("test", "file"), str(tmp_path / "out" / "model-00001-of-00003.safetensors")) as file:
        assert file.metadata == {"format": "pt"}
        assert len(file.header) % 8 == 0


def test_narrowing_rounds_once(tmp_path: Path) -> None:
    """1 + 2^-8 + 2^-30 lies above the middle of two bfloat16; rounded to float32 first it would be the middle."""
    base = write_base(tmp_path / "base", {"q.weight": np.ones((1, 2), np.float64), "r.weight": np.ones(3)})
    adapter = {"q.lora_A.weight": np.float64([[2.0**-8 + 2.0**-30, 2.0**-8]]), "q.lora_B.weight": np.ones((1, 1))}
    adapter |= {"r.weight": np.float64([1 + 2.0**-8 + 2.0**-30, 1 + 2.0**-8, -1e-320])}
    source = write_adapter(tmp_path / "adapter", adapter, r=1, lora_alpha=1)
    peft.merge_checkpoint(base, source, tmp_path / "out", dtype="bfloat16")
    found = tensors(tmp_path / "out")
    np.testing.assert_array_equal(numbers(found["q.weight"]), [[1 + 2.0**-7, 1.0]])
    np.testing.assert_array_equal(numbers(found["r.weight"]), [1 + 2.0**-7, 1.0, 0.0])


@pytest.mark.parametrize("names", [["model.safetensors"], ["diffusion_pytorch_model.safetensors"]])
def test_names_of_checkpoints(tmp_path: Path, rng: np.random.Generator, names: list[str]) -> None:
    base = write_base(tmp_path / "base", {"q.weight": whole(rng, 6, 5)})
    (base / "model.safetensors").rename(base / names[0])
    source = write_adapter(tmp_path / "adapter", factors(rng, "q"))
    assert peft.merge_checkpoint(base, source, tmp_path / "out").merged == ["q.weight"]


def test_the_configuration_of_a_model_may_be_no_json(tmp_path: Path, rng: np.random.Generator) -> None:
    """Infinity stands in that of Mamba, and whoever reads it must see it in the copy."""
    base = write_base(tmp_path / "base", {"q.weight": whole(rng, 6, 5)})
    text = '{"time_step_limit": [0.0, Infinity], "a": 1, "a": 2}'
    (base / "config.json").write_text(text)
    peft.merge_checkpoint(base, write_adapter(tmp_path / "adapter", factors(rng, "q")), tmp_path / "out")
    assert (tmp_path / "out" / "config.json").read_text() == text


def test_the_files_of_a_cache_of_downloads(tmp_path: Path, rng: np.random.Generator) -> None:
    """Snapshots there are directories of links, and may be named by a link; paths may be relative and have blanks."""
    base, source, _, _ = three_shards(tmp_path, rng)
    peft.merge_checkpoint(base, source, tmp_path / "expected")
    snapshot = tmp_path / "a snapshot" / "0a1b"
    (tmp_path / "blobs").mkdir()
    snapshot.mkdir(parents=True)
    for i, path in enumerate(sorted(base.iterdir())):
        path.rename(tmp_path / "blobs" / str(i))
        (snapshot / path.name).symlink_to(f"../../blobs/{i}")
    (tmp_path / "link").symlink_to("a snapshot/0a1b")
    with contextlib.chdir(tmp_path):
        peft.merge_checkpoint("link", "adapter", "blobs/../out 1/")
        peft.merge_checkpoint(Path("a snapshot", "0a1b"), Path("adapter"), Path("out 2"))
    assert files(tmp_path / "out 1") == files(tmp_path / "out 2") == files(tmp_path / "expected")


def test_a_base_and_an_adapter_in_one_directory(tmp_path: Path, rng: np.random.Generator) -> None:
    base = write_base(tmp_path / "base", {"q.weight": whole(rng, 6, 5)})
    for path in write_adapter(tmp_path / "adapter", factors(rng, "q")).iterdir():
        path.rename(base / path.name)
    done = peft.merge_checkpoint(base, base, tmp_path / "out")
    assert done == (["q.weight"], [], [], ["adapter_config.json", "adapter_model.safetensors"])


def test_a_base_that_may_only_be_read(tmp_path: Path, rng: np.random.Generator) -> None:
    base, source, _, _ = three_shards(tmp_path, rng)
    for path in (*base.iterdir(), base):
        path.chmod(0o444 if path.is_file() else 0o555)
    peft.merge_checkpoint(base, source, tmp_path / "out")
    mask = os.umask(0)
    os.umask(mask)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o666 & ~mask}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o777 & ~mask
    base.chmod(0o755)


def test_other_files_are_carried_along(tmp_path: Path, rng: np.random.Generator) -> None:
    base = write_base(tmp_path / "base", {"q.weight": whole(rng, 6, 5)})
    outside = tmp_path / "vocab.txt"
    outside.write_text("a link is followed")
    (base / "vocab.txt").symlink_to(outside)
    for name in ("1_Pooling/config.json", "original/consolidated.00.pth", ".git/config", ".gitattributes", "a b.py"):
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).write_text(name)
    for name in ("pytorch_model.bin", "adapter_config.json", "model.onnx", "consolidated.safetensors"):
        (base / name).write_text(name)
    os.mkfifo(base / "pipe")
    (base / "gone").symlink_to("nowhere")
    (base / "loop").symlink_to("loop")
    (base / "elsewhere").symlink_to(tmp_path)
    done = peft.merge_checkpoint(base, write_adapter(tmp_path / "adapter", factors(rng, "q")), tmp_path / "out")
    after = files(tmp_path / "out")
    assert list(after) == [
        "1_Pooling/config.json",
        "a b.py",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "vocab.txt",
    ]
    assert after["vocab.txt"] == b"a link is followed"
    assert not (tmp_path / "out" / "vocab.txt").is_symlink()
    assert sorted(done.left_out) == [
        ".git", ".gitattributes", "adapter_config.json", "consolidated.safetensors", "elsewhere", "gone", "loop",
        "model.onnx", "original/consolidated.00.pth", "pipe", "pytorch_model.bin",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"base": 3}, TypeError, "base must be a path (str or os.PathLike), got int"),
        ({"base": b"/"}, TypeError, "base must be a path (str or os.PathLike), got bytes"),
        ({"base": ""}, ValueError, "base must be a path that is not empty and has no null character, got ''"),
        ({"base": "/no/where"}, ValueError, "base must be a directory, got '/no/where', which is not there"),
        ({"adapters": []}, ValueError, "adapters must be one at least, got none"),
        ({"adapters": None}, TypeError, "adapters must be a path (str or os.PathLike), got NoneType"),
        ({"adapters": ["/none"]}, ValueError, "adapters[0] must be a directory, got '/none', which is not there"),
        ({"out": "a\0b"}, ValueError, "out must be a path that is not empty and has no null character, got 'a\\x00b'"),
        ({"out": "/no/where/out"}, ValueError, "out must lie in a directory that is there, got '/no/where/out'"),
        ({"out": "/tmp"}, ValueError, "out must be a path where nothing is yet, got '/tmp'"),
        ({"weights": 1.0}, TypeError, "weights must be a sequence of numbers, got float"),
        ({"weights": [1.0, 2.0]}, ValueError, "weights must be as many as adapters (1), got 2"),
        ({"weights": ["1"]}, TypeError, "weights[0] must be a real number, got str"),
        ({"weights": [float("nan")]}, ValueError, "weights[0] must be finite, got nan"),
        ({"dtype": "int8"}, TypeError, "dtype must be 'float16', 'bfloat16', 'float32' or 'float64', got 'int8'"),
        ({"dtype": 3}, TypeError, "dtype must be 'float16', 'bfloat16', 'float32' or 'float64', got 3"),
        ({"strict": 1}, TypeError, "strict must be a bool, got int"),
        ({"progress": "yes"}, TypeError, "progress must be a bool, got str"),
    ],
)  # fmt: skip
def test_arguments(
    tmp_path: Path, rng: np.random.Generator, arguments: dict[str, Any], kind: type[Exception], message: str
) -> None:
    base, source, _, _ = three_shards(tmp_path, rng)
    given = {"base": base, "adapters": source, "out": tmp_path / "out"} | arguments
    before = files(tmp_path)
    with refuses(message, kind):
        peft.merge_checkpoint(**given)
    assert files(tmp_path) == before


@pytest.mark.parametrize("what", ["file", "empty directory", "dangling link"])
def test_an_existing_out_is_refused_and_left_alone(tmp_path: Path, rng: np.random.Generator, what: str) -> None:
    base, source, _, _ = three_shards(tmp_path, rng)
    out = tmp_path / "out"
    {"file": out.touch, "empty directory": out.mkdir, "dangling link": lambda: out.symlink_to("nowhere")}[what]()
    with refuses(f"out must be a path where nothing is yet, got {str(out)!r}"):
        peft.merge_checkpoint(base, source, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "base", "out"]


def test_out_lies_outside_of_base(tmp_path: Path, rng: np.random.Generator) -> None:
    base, source, _, _ = three_shards(tmp_path, rng)
    (tmp_path / "link").symlink_to(base)
    before = files(base)
    for out in (base / "out", tmp_path / "link" / "out", base / "a" / ".." / "out"):
        with refuses(f"out must lie outside of base, got {str(out)!r}"):
            peft.merge_checkpoint(base, source, out)
    assert files(base) == before


def command(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "sorgum", "merge", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=cwd, timeout=120)


def test_the_command_line(tmp_path: Path, rng: np.random.Generator) -> None:
    base, source, _, _ = three_shards(tmp_path, rng)
    peft.merge_checkpoint(base, [source, source], tmp_path / "out", weights=[1.0, -0.5], dtype="float32")
    done = command(
        "base", "adapter", "adapter", "-o", "new out", "--weights", 1, -0.5, "--dtype", "float32", cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (0, "new out: 2 tensors merged, 0 replaced\n")
    assert files(tmp_path / "new out") == files(tmp_path / "out")
    again = command("base", "adapter", "-o", "new out", "--quiet", cwd=tmp_path)
    assert again.returncode == 1
    assert again.stdout == ""
    assert again.stderr == (
        "python -m sorgum merge: merge_checkpoint: out must be a path where nothing is yet, got 'new out'\n"
    )


def test_weights_of_the_command_line_may_be_tiny(tmp_path: Path, rng: np.random.Generator) -> None:
    """argparse takes -5e-1 for an option."""
    base, source, _, _ = three_shards(tmp_path, rng)
    peft.merge_checkpoint(base, [source, source], tmp_path / "out", weights=[-0.5, -2e-300])
    done = command("base", "adapter", "adapter", "-o", "new", "--weights", "-5E-1", "-2e-300", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "new: 2 tensors merged, 0 replaced\n")
    assert files(tmp_path / "new") == files(tmp_path / "out")


def test_the_progress_bar_counts_the_bytes(
    tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm")
    base, source, old, _ = three_shards(tmp_path, rng)
    peft.merge_checkpoint(base, source, tmp_path / "out", progress=True)
    total = sum(array.nbytes for array in old.values())
    shown = capsys.readouterr().err.rpartition("\r")[2]
    assert "100%" in shown
    assert f"{total}/{total}" in shown


def test_what_safetensors_reads(tmp_path: Path, rng: np.random.Generator) -> None:
    """The format's own library reads our files, and we read its."""
    library = pytest.importorskip("safetensors.numpy")
    pytest.importorskip("ml_dtypes")
    base, source, old, _ = three_shards(tmp_path, rng)
    peft.merge_checkpoint(base, source, tmp_path / "out", dtype="float16")
    ours = tensors(tmp_path / "out")
    for path in (tmp_path / "out").glob("*.safetensors"):
        for name, array in library.load_file(path).items():
            np.testing.assert_array_equal(numbers(array), numbers(ours.pop(name, old[name])))
    assert ours == {}
    content = safetensors({"x": whole(rng, 2)})  # what the tests write
    np.testing.assert_array_equal(library.load(content)["x"].shape, (2,))

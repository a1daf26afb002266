"""A merge that is killed, interrupted, or that the system lets down, leaves nothing; its memory does not grow."""

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peft_files import files, write_adapter, write_base

from sorgum.lowrank import peft
from sorgum.lowrank.peft import command

# Python warns of forks where there are threads; ours start anew in a child.
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")

CALLS = ("open", "mkdir", "write", "copy_file_range", "fsync", "rename")


@pytest.fixture
def place(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Give a directory with a checkpoint of two shards, an adapter, and `expected`, what is made of them."""
    shards = [
        {"a.q.weight": rng.standard_normal((6, 5)), "a.norm": rng.standard_normal(9)},
        {"b.norm": rng.standard_normal(9), "b.q.weight": rng.standard_normal((6, 5))},
    ]
    base = write_base(tmp_path / "base", *shards)
    (base / "1_Pooling").mkdir()
    (base / "1_Pooling" / "config.json").write_text("{}")
    factors = {"a.q.lora_A.weight": rng.standard_normal((4, 5)), "a.q.lora_B.weight": rng.standard_normal((6, 4))}
    peft.merge_checkpoint(base, write_adapter(tmp_path / "adapter", factors), tmp_path / "expected")
    return tmp_path


def merge(place: Path) -> None:
    peft.merge_checkpoint(place / "base", place / "adapter", place / "out")


def changing(name: str, arguments: tuple[Any, ...]) -> bool:
    """Return whether a call of the system changes a disk, or makes a change durable."""
    return name != "open" or bool(arguments[1] & os.O_CREAT)


def faulty(patch: pytest.MonkeyPatch, at: int, fault: Callable[[str, Callable[..., Any], Any], Any]) -> list[str]:
    """Let the call number `at` of those that change a disk go wrong; return the names of calls so far."""
    seen: list[str] = []

    def wrapped(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if changing(name, arguments):
                seen.append(name)
                if len(seen) == at:
                    return fault(name, original, arguments)
            return original(*arguments, **named)

        return call

    for name in CALLS:
        patch.setattr(os, name, wrapped(name, getattr(os, name)))
    return seen


def in_a_child(action: Callable[[], None]) -> int:
    """Run something in a fork of this process; return its exit status or minus its signal."""
    child = os.fork()
    if child == 0:
        try:
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def count(place: Path, patch: pytest.MonkeyPatch) -> list[str]:
    with patch.context() as inner:
        seen = faulty(inner, -1, lambda *_: None)
        merge(place)
    assert files(place / "out") == files(place / "expected")
    for path in sorted((place / "out").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (place / "out").rmdir()
    return seen


def test_the_order_of_calls(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is written and durable, file by file and then the directories, before the name appears; that comes last."""
    seen = count(place, monkeypatch)
    assert set(seen) == set(CALLS)
    assert seen[-5:] == ["fsync", "fsync", "fsync", "rename", "fsync"]
    assert seen.count("open") + 3 == seen.count("fsync")
    assert seen.count("rename") == 1
    assert seen[0] == "mkdir"


def test_killed_at_every_call(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = count(place, monkeypatch)

    def killed(name: str, original: Callable[..., Any], arguments: Any) -> None:
        if name == "write":  # half of it is on the disk
            original(arguments[0], arguments[1][: len(arguments[1]) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    for at in range(1, len(seen) + 1):
        with monkeypatch.context() as patch:
            faulty(patch, at, killed)
            assert in_a_child(lambda: merge(place)) == -signal.SIGKILL
        if at < len(seen):
            assert not (place / "out").exists(), seen[:at]
    assert files(place / "out") == files(place / "expected")  # killed after the rename
    left = [path.name for path in place.iterdir() if path.name.startswith(".")]
    assert all(name.startswith(".out.") and name.endswith(".partial") for name in left)
    assert len(left) == len(seen) - 2  # all but the first call, which makes it, and the last


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left"), OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()]
)
def test_an_error_at_every_call_leaves_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    seen, before = count(place, monkeypatch), files(place)

    def fails(name: str, original: Callable[..., Any], arguments: Any) -> None:
        raise error

    for at in range(1, len(seen) + 1):
        with monkeypatch.context() as patch:
            faulty(patch, at, fails)
            with pytest.raises(type(error)):
                merge(place)
        assert files(place) == before, seen[:at]
        assert sorted(path.name for path in place.iterdir()) == ["adapter", "base", "expected"], seen[:at]


def test_short_writes_are_gone_on_with(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, copy = os.write, os.copy_file_range
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    monkeypatch.setattr(os, "copy_file_range", lambda i, o, n, *at: copy(i, o, min(n, 5), *at))
    merge(place)
    assert files(place / "out") == files(place / "expected")


def test_nothing_written_is_an_error(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda file, data: 0)
    with pytest.raises(OSError, match="nothing more can be written"):
        merge(place)
    assert sorted(path.name for path in place.iterdir()) == ["adapter", "base", "expected"]


@pytest.mark.parametrize("code", [errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
def test_copies_without_the_kernel(place: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refused(*arguments: Any) -> int:
        raise OSError(code, "not here")

    monkeypatch.setattr(os, "copy_file_range", refused)
    merge(place)
    assert files(place / "out") == files(place / "expected")


def test_a_base_that_becomes_shorter_is_an_error(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "copy_file_range", lambda *_: 0)
    with pytest.raises(OSError, match="has become shorter"):
        merge(place)
    assert sorted(path.name for path in place.iterdir()) == ["adapter", "base", "expected"]


def test_the_system_refuses_to_write_more(place: Path) -> None:
    """Not a stand-in for the system but its own limit: files of 300 bytes at most."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
        try:
            merge(place)
        except OSError as error:
            os._exit(7 if error.errno == errno.EFBIG else 8)

    assert in_a_child(limited) == 7
    assert sorted(path.name for path in place.iterdir()) == ["adapter", "base", "expected"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read and write everything")
def test_what_may_not_be_read_or_written(place: Path) -> None:
    place.chmod(0o500)
    with pytest.raises(PermissionError):
        merge(place)
    place.chmod(0o700)
    (place / "base" / "tokenizer.json").chmod(0)
    with pytest.raises(PermissionError):
        merge(place)
    assert sorted(path.name for path in place.iterdir()) == ["adapter", "base", "expected"]


def test_an_interrupt_of_the_command_leaves_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "copy_file_range", interrupted)
    words = [str(place / name) for name in ("base", "adapter", "out")]
    assert command.main([*words[:2], "-o", words[2], "--quiet"]) == 130
    assert capsys.readouterr().err == "python -m sorgum merge: interrupted, nothing is left\n"
    assert sorted(path.name for path in place.iterdir()) == ["adapter", "base", "expected"]


MEASURED = """
import sys, threading
from sorgum.lowrank import peft

def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) * 1024

peak, done = 0, threading.Event()
def sample():
    global peak
    while not done.wait(0.001):
        peak = max(peak, anonymous())
before = anonymous()
thread = threading.Thread(target=sample)
thread.start()
peft.merge_checkpoint(*sys.argv[1:])
done.set()
thread.join()
print(before, peak)
"""


@pytest.mark.parametrize(
    ("layers", "rows", "columns"),
    [pytest.param(4, 2560, 4096, id="84 MB"), pytest.param(15, 6400, 4096, id="786 MB", marks=pytest.mark.slow)],
)
def test_memory_does_not_grow_with_the_checkpoint(tmp_path: Path, layers: int, rows: int, columns: int) -> None:
    """Anonymous memory, sampled every millisecond, beside what the package itself takes."""
    weight = (np.arange(rows * columns, dtype=np.uint32) % 4096).astype(np.float16)
    ones = np.ones((4, max(rows, columns)), np.float32) / 4
    shards, factors = [], {}
    for i in range(layers):
        shards.append({f"{i}.q.weight": weight.reshape(rows, columns)})
        factors |= {f"{i}.q.lora_A.weight": ones[:, :columns], f"{i}.q.lora_B.weight": ones[:, :rows].T.copy()}
    base = write_base(tmp_path / "base", *shards)
    adapter = write_adapter(tmp_path / "adapter", factors)
    words = [sys.executable, "-c", MEASURED, base, adapter, tmp_path / "out"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    before, peak = map(int, done.stdout.split())
    assert 0 < before < peak  # it was sampled
    assert peak <= 3 * weight.nbytes + 100e6
    # Two blocks of 4 MiB, the scratch of the threads, and what the interpreter holds: not one whole weight.
    assert peak - before <= 48e6

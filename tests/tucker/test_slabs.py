"""Tensors that memory may not hold: the bits of one in memory for any height of slabs, passes, memory, refusals."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum._data.inputs import numbers
from sorgum.tucker import _files, _slabs

sthosvd, hosvd = sg.tucker.sthosvd, sg.tucker.hosvd


def tensor(shape: tuple[int, ...], ranks: tuple[int, ...], dtype: Any) -> Any:
    """A tensor of these ranks and 10 percent noise."""
    core = numbers(ranks, np.dtype(np.float64), seed=3)
    factors = [np.linalg.qr(numbers((n, r), np.dtype(np.float64), seed=n)).Q for n, r in zip(shape, ranks, strict=True)]
    x = sg.tucker.multi_mode_dot(core, factors)
    noise = numbers(shape, np.dtype(np.float64), seed=4)
    return (x + noise * (0.1 * np.linalg.norm(x) / np.linalg.norm(noise))).astype(dtype)


def mapped(x: Any, path: Path) -> Any:
    np.save(path, x)
    found = np.load(path, mmap_mode="r")
    assert isinstance(found, np.memmap)
    return found


def same(a: Any, b: Any) -> bool:
    pairs = [(a.core, b.core), *zip(a.factors, b.factors, strict=True)]
    return a.error == b.error and all(
        p.dtype == q.dtype and p.shape == q.shape and p.tobytes() == q.tobytes() for p, q in pairs
    )


SHAPES = (((20, 24, 30), (4, 3, 5)), ((13, 20, 7, 3), (3, 4, 2, 2)), ((50, 33), (4, 4)), ((3, 40, 35), (2, 3, 4)))


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_any_height_of_slabs(dtype: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, (shape, ranks) in enumerate(SHAPES):
        x = tensor(shape, ranks, dtype)
        file = mapped(x, tmp_path / f"{number}.npy")
        for decompose, options in (
            (hosvd, {}),
            (sthosvd, {}),
            (sthosvd, {"mode_order": list(range(len(shape)))}),
            (hosvd, {"modes": [0], "rank": ranks[:1]}),
            (hosvd, {"modes": [len(shape) - 1], "rank": ranks[-1:]}),
            (sthosvd, {"rank": None, "rtol": 0.3}),
            (hosvd, {"rank": None, "rtol": 0.3}),
            (sthosvd, {"method": "randomized"}),
            (hosvd, {"method": "randomized"}),
            (sthosvd, {"method": "qr"}),
        ):
            wanted = {"rank": ranks} | options
            expected = decompose(x, **wanted)
            assert expected.error < 0.31 or wanted["rank"] is not None
            for height, fits in ((1, 1), (x.nbytes // 5, 1), (x.nbytes // 3, x.nbytes // 5), (1 << 30, 1)):
                monkeypatch.setattr(_slabs, "SLAB", height)
                monkeypatch.setattr(_files, "FITS", fits)
                assert same(decompose(file, **wanted), expected)
            monkeypatch.undo()


def test_grams_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    x = numbers((23, 9, 70), np.dtype(np.float32))
    for height in (1, 3000, 20000, 1 << 30):
        monkeypatch.setattr(_slabs, "SLAB", height)
        for mode, matrix in _slabs.grams(x, [1, 2]).items():
            assert matrix.tobytes() == sg.tucker.gram(x, mode).tobytes()
        assert _slabs.projected(x, {}, x.dtype, True)[1].tobytes() == sg.tucker.gram(x, 0).tobytes()


def test_a_long_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums that are large are made chunk by chunk, and their triangles lie in a file."""
    x = numbers((3, 1030, 1100), np.dtype(np.float32))
    file = mapped(x, tmp_path / "x.npy")
    monkeypatch.setattr(_slabs, "SLAB", x.nbytes // 3)
    for fits in (1, 1 << 26):
        monkeypatch.setattr(_files, "FITS", fits)
        for mode in range(3):
            expected = sg.tucker.gram(x, mode).tobytes()
            assert _slabs.whole_gram(file, mode).tobytes() == expected
            assert not mode or _slabs.grams(file, [1, 2])[mode].tobytes() == expected


def counted(work: Callable[[], Any], x: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how often a tensor is read."""
    passes = 0
    heights, gram, product_along = _slabs._heights, _slabs.whole_gram, _slabs.product_along

    def heights_counted(array: Any, *rest: Any) -> Any:
        nonlocal passes
        passes += array.size == x.size
        return heights(array, *rest)

    def gram_counted(array: Any, mode: int) -> Any:
        nonlocal passes
        passes += array.size == x.size
        return gram(array, mode)

    def product_counted(array: Any, *rest: Any, **options: Any) -> Any:
        nonlocal passes
        passes += array.size == x.size
        return product_along(array, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(_slabs, "_heights", heights_counted)
        patch.setattr(_slabs, "product_along", product_counted)
        patch.setattr(_slabs, "whole_gram", gram_counted)
        work()
    return passes


def test_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """hosvd reads a file twice, sthosvd twice per mode until the rest fits."""
    x = tensor((40, 24, 30), (4, 3, 5), np.float32)
    file = mapped(x, tmp_path / "x.npy")
    monkeypatch.setattr(_slabs, "SLAB", 20000)
    assert counted(lambda: hosvd(file, (4, 3, 5)), file, monkeypatch) == 2
    assert counted(lambda: sthosvd(file, (4, 3, 5)), file, monkeypatch) == 2
    monkeypatch.setattr(_files, "FITS", 40 * 24 * 5 * 4 - 1)  # less than the tensor after one mode
    order = {"mode_order": [2, 1, 0]}
    assert counted(lambda: sthosvd(file, (4, 3, 5), **order), file, monkeypatch) == 3
    monkeypatch.setattr(_files, "FITS", 1)
    assert counted(lambda: sthosvd(file, (4, 3, 5), **order), file, monkeypatch) <= 4
    order = {"mode_order": [0, 1, 2]}  # what mode 0 leaves is in another file
    assert counted(lambda: sthosvd(file, (4, 3, 5), **order), file, monkeypatch) == 2


MEMORY = """
import sys, threading, time
import numpy as np
import sorgum as sg
from sorgum.tucker import _files, _slabs
_slabs.SLAB, _files.FITS = 1 << 22, 1 << 24
x = np.load(sys.argv[1], mmap_mode="r")
sg.tucker.sthosvd(np.ones((20, 20, 20)), 2)
def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))
before, peak, ended = anonymous(), 0, False
def sample():
    global peak
    while not ended:
        peak = max(peak, anonymous())
        time.sleep(0.002)
thread = threading.Thread(target=sample)
thread.start()
found = getattr(sg.tucker, sys.argv[2])(x, **eval(sys.argv[3]))
ended = True
thread.join()
print(peak - before, found.error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory(tmp_path: Path) -> None:
    """At most two slabs, the Gram matrices and 100 MB that are not the file's: less than the file has."""
    shape = (200, 256, 400)
    file = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.float64, shape=shape)
    row = np.sin(np.arange(400.0) / 50)
    for i in range(shape[0]):
        file[i] = np.cos(np.arange(256.0) / (20 + i))[:, None] * row
        file[i] += 0.1 * numbers((256, 400), np.dtype(np.float64), seed=i)
    del file
    wide = np.lib.format.open_memmap(tmp_path / "wide.npy", mode="w+", dtype=np.float32, shape=(16, 2048, 600))
    for i in range(16):
        wide[i] = numbers((2048, 4), np.dtype(np.float32)) @ numbers((4, 600), np.dtype(np.float32), seed=i)
        wide[i] += 0.1 * numbers((2048, 600), np.dtype(np.float32), seed=i)
    del wide
    run_within(tmp_path / "wide.npy", "hosvd", {"rank": 4, "modes": (0, 1)}, (16, 2048))  # 6 triangles have 100 MB
    for name, options in (
        ("hosvd", {"rank": 16}),
        ("sthosvd", {"rank": 16}),
        ("sthosvd", {"rank": (190, 16, 16), "mode_order": (0, 1, 2)}),  # 0.95 of the file after the first mode
        ("hosvd", {"rank": 16, "modes": (0,)}),  # nothing is smaller when mode 0 has its turn
        ("sthosvd", {"rank": (180, 16, 16), "mode_order": (0, 1, 2), "method": "randomized"}),  # samples of 0.95 of it
        ("sthosvd", {"rank": 16, "modes": (1,), "method": "qr"}),
    ):
        run_within(tmp_path / "x.npy", name, options, shape)


def run_within(path: Path, name: str, options: dict[str, Any], dimensions: tuple[int, ...]) -> None:
    """Decompose a file in a process, whose peak of memory has to be below what is promised."""
    most = 2 * (1 << 22) + sum(8 * n * n for n in dimensions) + 100 * 2**20
    assert most < 2 * path.stat().st_size
    command = [sys.executable, "-c", MEMORY, str(path), name, repr(options)]
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # threads that wait for each other on a busy machine
    run = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    used, error = run.stdout.split()
    assert 0 < int(used) <= most, (name, options)
    assert 0 < float(error) < 1


@pytest.mark.parametrize("method", ["auto", "qr", "randomized"])
def test_any_type_order_and_scale(method: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has to be copied to be read is copied to a file, and has the bits of the copy in memory."""
    x = tensor((20, 24, 30), (4, 3, 5), np.float64)
    files = []
    for number, given in enumerate((np.rint(x * 100).astype(np.int16), np.asfortranarray(x), x * 1e200, x[:2])):
        files.append((given, mapped(given, tmp_path / f"{number}.npy")))
    monkeypatch.setattr(_files, "FITS", 1)
    rooms: list[int] = []
    fallocate = _files.os.posix_fallocate

    def fallocated(file: int, begin: int, size: int) -> None:
        rooms.append(size)
        fallocate(file, begin, size)

    monkeypatch.setattr(_files.os, "posix_fallocate", fallocated)
    for given, file in files:
        rank = tuple(min(r, n) for r, n in zip((4, 3, 5), given.shape, strict=True))
        for decompose in (hosvd, sthosvd):
            expected = decompose(given, rank, method=method)
            assert not rooms
            found = decompose(file, rank, method=method)
            assert same(found, expected)
            assert rooms
            assert not any(_files.is_mapped(part) for part in (found.core, *found.factors))
            rooms.clear()


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full is an error, not a signal."""
    x = tensor((20, 24, 30), (4, 3, 5), np.float64)
    file = mapped(x, tmp_path / "x.npy")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_files.os, "posix_fallocate", full)
    monkeypatch.setattr(_files, "FITS", 1)
    with pytest.raises(OSError, match="No space left on device"):
        sthosvd(file, (4, 3, 5), mode_order=(0, 1, 2))


def test_not_finite(tmp_path: Path) -> None:
    x = tensor((40, 24, 30), (4, 3, 5), np.float64)
    x[3, 4, 5] = np.nan
    file = mapped(x, tmp_path / "x.npy")
    for decompose in (hosvd, sthosvd):
        with pytest.raises(np.linalg.LinAlgError, match="x must be finite, got NaN or an infinity"):
            decompose(file, (4, 3, 5))

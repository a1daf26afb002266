"""Golden digests: the same bytes as ever, on every instruction set; and the self-test that ships with the package.

`python tools/make_golden.py` makes them again. A change needs a line in CHANGELOG.md that says why.
"""

import subprocess
import sys

import numpy as np
import pytest

import sorgum as sg
from sorgum import selftest
from sorgum._data import golden, load
from sorgum._data.inputs import hashed, logits, words


def test_every_digest_is_there() -> None:
    assert tuple(load("golden")) == golden.NAMES
    assert len(set(load("golden").values())) == len(golden.NAMES)


@pytest.mark.parametrize("name", golden.NAMES)
def test_golden(name: str, isa: str) -> None:
    assert sg.isa() == isa
    assert golden.digest(name) == load("golden")[name]


@pytest.mark.parametrize("name", golden.NAMES)
def test_outputs_are_worth_a_digest(name: str) -> None:
    outputs = list(golden.outputs(name))
    values = np.concatenate([np.ravel(array) for array in outputs])
    assert {array.dtype for array in outputs} == {golden.result_dtype(name)} or name in golden.QUICK
    finite = np.isfinite(values)
    assert finite.mean() > (0.3 if "log." in name or "exp." in name else 0.9)
    assert np.unique(values[finite]).size > values.size // 20 if "logsumexp" not in name else True


def test_inputs() -> None:
    """Known words of SplitMix64, and the moments of what stands in for normal numbers."""
    assert [int(z) for z in hashed(3)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    x = logits(1 << 18, np.float64, 2.0)
    assert abs(x.mean()) < 0.02
    assert abs(x.std() - 2.0) < 0.01
    assert np.array_equal(logits(1000, np.float32, 2.0), x[:1000].astype(np.float32))
    assert not np.array_equal(logits(1000, np.float64, 2.0, seed=1), x[:1000])
    assert np.isnan(words(1000, np.float32)).sum() > 3


@pytest.mark.parametrize("options", [[], ["--quick"]])
def test_selftest_passes(options: list[str]) -> None:
    command = [sys.executable, "-W", "error", "-m", "sorgum", "selftest", *options]
    # Half a minute where nothing else runs; the limit only ends a self-test that hangs.
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    checks = len(list(selftest.checks(bool(options)))) * len(sg.available_isas())
    assert sum(line.startswith("ok ") for line in lines) == checks
    assert lines[-1].startswith(f"{checks} of {checks} checks passed on {', '.join(sg.available_isas())} in ")


@pytest.mark.parametrize("name", golden.QUICK)
def test_quick_digests_are_of_small_inputs(name: str) -> None:
    assert max(array.size for array in golden.outputs(name)) <= 65536


def test_selftest_needs_numpy_alone() -> None:
    code = """
import sys
for name in ("scipy", "mpmath", "pytest", "hypothesis", "threadpoolctl"):
    sys.modules[name] = None
from sorgum import selftest
from sorgum._data import golden
golden.NAMES = golden.NAMES[:1]
sys.exit(selftest.main([]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_selftest_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    right = sg.special.softmax
    before = sg.isa()
    monkeypatch.setattr(golden, "NAMES", ("special.softmax.f32",))
    monkeypatch.setattr(sg.special, "softmax", lambda x, *a, **k: right(x, *a, **k) * np.float32(1 + 2.0**-20))
    assert selftest.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    for part in ("softmax of (1, 2, 3) is wrong", "ULP exceeds", "the bits are not the golden ones"):
        assert any(line.startswith("FAILED") and part in line for line in lines), part

    def broken(x: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(sg.special, "exp", broken)
    assert selftest.main([]) == 1
    assert any("RuntimeError: broken" in line for line in capsys.readouterr().out.splitlines())
    assert sg.isa() == before

"""SciPy's own tests of softmax, log_softmax and logsumexp, with ours standing in (scipy_stand_in.py)."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

MODULES = ("test_logsumexp", "test_log_softmax")  # SciPy 1.15 put the second into the first


def test_scipy_suite(tmp_path: Path) -> None:
    package = find_spec("scipy.special")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "tests"
    files = [folder / f"{module}.py" for module in MODULES]
    files = [file for file in files if file.exists()]
    if not files:
        pytest.skip("this SciPy was installed without its tests")
    environment = {name: value for name, value in os.environ.items() if name != "SCIPY_ARRAY_API"}  # NumPy only
    support = str(Path(__file__).resolve().parents[1] / "support")
    environment["PYTHONPATH"] = os.pathsep.join([support, *filter(None, [os.environ.get("PYTHONPATH")])])
    options = [
        "-q",
        "-rfE",
        "-p",
        "scipy_stand_in",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        str(folder),
    ]
    command = [sys.executable, "-m", "pytest", *options, *map(str, files)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env=environment, cwd=tmp_path
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-6000:]
    passed = re.search(r"(\d+) passed", text)
    assert passed is not None
    assert int(passed[1]) >= 20, text  # SciPy 1.11 has 20, 1.17 more than a hundred
    for name in ("softmax", "log_softmax", "logsumexp"):
        assert re.search(rf"'{name}': [1-9]", text), f"our {name} was not called"

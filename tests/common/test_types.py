"""What type checkers and editors see: stubs that fit the sources, short signatures, names that users want."""

import importlib
import inspect
import rlcompleter
import subprocess
import sys
from pathlib import Path

import pytest

import sorgum
from sorgum import _core

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = [importlib.import_module(f"sorgum.{name}") for name in _core.families()]


def test_stubs_are_those_of_the_sources() -> None:
    tool = [sys.executable, ROOT / "tools" / "make_stubs.py", "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "def softmax(" in (ROOT / "python" / "sorgum" / "special" / "__init__.pyi").read_text()


def found_by_mypy(path: Path, cache: Path) -> list[str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=", "--cache-dir", cache]
    done = subprocess.run([*command, path], capture_output=True, text=True, check=False, timeout=300, cwd=ROOT)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


def test_types_of_calls(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    good, wrong = ROOT / "tests" / "support" / "typed_calls.py", tmp_path / "wrong.py"
    wrong.write_text(good.read_text().replace("softmax(tensor), Tensor)", "softmax(tensor), int)"))
    errors = found_by_mypy(wrong, tmp_path / "cache")
    assert len(errors) == 1
    assert 'Expression is of type "Tensor", not "int"' in errors[0]
    assert found_by_mypy(good, tmp_path / "cache") == []


@pytest.mark.parametrize("family", FAMILIES, ids=lambda module: module.__name__)
def test_completion_offers_what_is_public(family: object) -> None:
    name = family.__name__.removeprefix("sorgum.")  # type: ignore[attr-defined]
    complete = rlcompleter.Completer({"sg": sorgum}).attr_matches
    offered = {text.removeprefix(f"sg.{name}.").rstrip("()") for text in complete(f"sg.{name}.")}
    assert {text for text in offered if not text.startswith("__")} == set(family.__all__)  # type: ignore[attr-defined]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda module: module.__name__)
def test_signatures_are_short(family: object) -> None:
    """Types stand in the docstring and, for checkers, in the stub."""
    for name in family.__all__:  # type: ignore[attr-defined]
        value = getattr(family, name)
        if inspect.isroutine(value):
            shown = str(inspect.signature(value))
            assert ":" not in shown, name
            assert len(shown) <= 320, name

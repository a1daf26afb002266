"""What the documents show runs: their examples, the scripts in examples/; and the lists of functions are complete."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sorgum import _core

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
DOCUMENTS = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "csrc/README.md")]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))


WITH_EXAMPLES = [path for path in DOCUMENTS if ">>> " in path.read_text()]


def test_documents_with_examples_are_found() -> None:
    assert {"README.md", "by_task.md"} <= {path.name for path in WITH_EXAMPLES}


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.name)
def test_examples_in_documents(path: Path) -> None:
    failed, tried = doctest.testfile(str(path), module_relative=False)
    assert tried >= 12
    assert failed == 0


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.name)
def test_documents_print_the_same_under_numpy_1(path: Path) -> None:
    """A scalar prints as 0.5 there, and as np.float64(0.5) since NumPy 2: examples show arrays."""
    examples = doctest.DocTestParser().get_examples(path.read_text())
    assert [example.source for example in examples if "np." in example.want] == []


def test_every_public_function_stands_in_the_lists() -> None:
    """docs/functions.md and the table in README.md are made from `__all__` and docstrings."""
    tool = [sys.executable, ROOT / "tools" / "functions_page.py", "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "- `softmax`: Softmax along one axis" in (ROOT / "docs" / "functions.md").read_text()


def test_the_jobs_of_by_task_are_its_sections() -> None:
    text = (ROOT / "docs" / "by_task.md").read_text()
    listed = re.findall(r"^\| \[(.*?)\]\(#", text, flags=re.MULTILINE)
    assert listed == re.findall(r"^## (.*)$", text, flags=re.MULTILINE)


def test_every_example_stands_in_a_document() -> None:
    texts = "".join(path.read_text() for path in DOCUMENTS)
    assert [path.name for path in EXAMPLES if f"examples/{path.name})" not in texts] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", path], capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path
    )
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("path", [path for path in EXAMPLES if "PICTURE.png" in path.read_text()], ids=lambda p: p.stem)
def test_pictures_of_examples(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = subprocess.run(
        [sys.executable, path, "drawn.png"], capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path
    )
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")
    assert (ROOT / "docs" / "images" / f"{path.stem}.png").exists()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


def test_the_commands_of_the_readme_stand_in_it() -> None:
    text = (ROOT / "README.md").read_text()
    places = []
    for extra, job in (
        ("bench", "python -m sorgum bench --quick"),
        ("bench", "python -m sorgum bench"),
        ("test", "pytest"),
    ):
        places.append(text.index(f'python3 -m venv .venv && .venv/bin/pip install ".[{extra}]" && .venv/bin/{job}\n'))
    assert places == sorted(places)  # the quickest comes first
    assert '.venv/bin/pip install ".[bench,test]"' in text


def test_every_kernel_stands_in_the_manual() -> None:
    family, listed = "", set()
    for line in (ROOT / "docs" / "kernels.md").read_text().splitlines():
        if match := re.match(r"## (\w+)$", line):
            family = match[1]
        elif match := re.match(r"\| `(\w+)` \| (\w+(?:, \w+)*) \|", line):
            listed |= {f"{family}.{match[1]}.{suffix}" for suffix in match[2].split(", ")}
    assert listed == set(_core.kernel_names())


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", path.read_text()):
        assert target.startswith("https://") or (path.parent / target).exists(), target

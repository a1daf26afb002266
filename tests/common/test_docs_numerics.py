"""The table of bounds in docs/numerics.md is the one that the tests read."""

import importlib.util
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "numerics_table.py"


def test_the_table_is_that_of_bounds_json() -> None:
    done = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_another_bound_makes_another_table() -> None:
    spec = importlib.util.spec_from_file_location("numerics_table", TOOL)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    text = f"before\n{tool.BEGIN}old\n{tool.END}after\n"
    entry = {"bound": 1.0, "unit": "ULP of |x|; and more", "largest": 0.87, "argument": "0x40a66a31", "where": "here"}
    first = tool.rewritten(text, {"special.exp.f32": entry})
    assert first.startswith(f"before\n{tool.BEGIN}| function |")
    assert first.endswith(f"{tool.END}after\n")
    assert r"| `special.exp` | float32 | 1 | ULP of \|x\| | 0.87 at 0x40a66a31 | here |  |" in first
    assert "old" not in first
    second = tool.rewritten(first, {"special.exp.f32": entry | {"bound": 2.0}})
    assert second != first
    assert tool.rewritten(second, {"special.exp.f32": entry}) == first

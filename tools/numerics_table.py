"""Write the table of bounds in docs/numerics.md from python/sorgum/_data/bounds.json.

With --check nothing is written: the exit status tells whether the table is the one that the file gives.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "numerics.md"
BOUNDS = ROOT / "python" / "sorgum" / "_data" / "bounds.json"
BEGIN, END = "<!-- bounds: begin -->\n", "<!-- bounds: end -->\n"

TYPES = {"f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64"}
THREE_PASS = "_three_pass"


def number(value: float) -> str:
    return f"{value:.5g}"


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def row(key: str, entry: dict[str, Any]) -> str:
    family, name, suffix = key.split(".")
    shown = f"`{family}.{name.removesuffix(THREE_PASS)}`" + (", three-pass" if name.endswith(THREE_PASS) else "")
    bound = number(entry["bound"])
    if "per_distance" in entry:
        bound += f" + {number(entry['per_distance'])} (m - x) / T"
    largest = number(entry["largest"])
    if "argument" in entry:
        largest += f" at {entry['argument']}"
    inputs = entry.get("inputs") or entry.get("where", "")
    total = f"{number(entry['sum'])} ({number(entry['largest_sum'])})" if "sum" in entry else ""
    cells = (shown, TYPES[suffix], bound, entry["unit"].partition(";")[0], largest, inputs, total)
    return "| " + " | ".join(cell(text) for text in cells) + " |"


def table(bounds: dict[str, Any]) -> str:
    titles = ("function", "type", "bound", "unit", "largest error seen", "over, or in", "|sum - 1|: bound (seen)")
    head = "| " + " | ".join(cell(title) for title in titles) + " |\n" + "|---" * len(titles) + "|\n"
    return head + "".join(row(key, entry) + "\n" for key, entry in bounds.items())


def rewritten(text: str, bounds: dict[str, Any]) -> str:
    """Return the document with its table replaced."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{DOCUMENT.name}: must hold the lines {BEGIN.strip()} and {END.strip()}")
    return before + begin + table(bounds) + end + after


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    given = parser.parse_args()
    text = DOCUMENT.read_text()
    wanted = rewritten(text, json.loads(BOUNDS.read_text()))
    if given.check:
        if text != wanted:
            print(f"{DOCUMENT.name}: its table is not that of {BOUNDS.name}: run python tools/numerics_table.py")
        return int(text != wanted)
    DOCUMENT.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Write the lists of public functions: docs/functions.md, a line each, and the table in README.md.

A function's line is the first of its docstring; its group is the first line of the module that defines it. With --check
nothing is written: the exit status tells whether both lists are those of the installed package.
"""

import argparse
import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType

import sorgum
from sorgum import _core

ROOT = Path(__file__).resolve().parents[1]
PAGE, README = ROOT / "docs" / "functions.md", ROOT / "README.md"
BEGIN, END = "<!-- functions: begin -->\n", "<!-- functions: end -->\n"
INTRODUCTION = """\
# Functions

Every public function, by module and subject. `help(sorgum.special.softmax)` shows shapes, types, formula, error bound
and an example. [by_task.md](by_task.md) shows what the functions are for. This page is made by tools/functions_page.py.
"""


def first_line(value: object) -> str:
    return (inspect.getdoc(value) or "").partition("\n")[0]


def public(module: ModuleType) -> dict[str, object]:
    """Return the functions and classes that a module exports, by their names."""
    found = {name: getattr(module, name) for name in module.__all__}
    return {name: value for name, value in found.items() if callable(value)}


def groups(module: ModuleType) -> dict[str, dict[str, object]]:
    """Return the public functions of a module, by the titles of the modules that define them."""
    by_source: dict[str, dict[str, object]] = {}
    for name, value in sorted(public(module).items()):
        source = getattr(inspect.unwrap(value), "__globals__", {}).get("__name__", value.__module__)
        by_source.setdefault(source, {})[name] = value
    return {first_line(importlib.import_module(source)): found for source, found in sorted(by_source.items())}


def modules() -> list[ModuleType]:
    """Return the package, the modules of families, and behind each those that it exports."""
    found = [sorgum]
    for family in _core.families():
        module = importlib.import_module(f"sorgum.{family}")
        found += [
            module,
            *(getattr(module, name) for name in module.__all__ if inspect.ismodule(getattr(module, name))),
        ]
    return found


def page() -> str:
    text = INTRODUCTION
    for module in modules():
        text += f"\n## {module.__name__}\n\n{first_line(module)}\n"
        for title, functions in groups(module).items():
            text += f"\n**{title.rstrip('.')}**\n\n"
            text += "".join(f"- `{name}`: {first_line(value)}\n" for name, value in functions.items())
    return text


def table() -> str:
    text = "| module | functions |\n|---|---|\n"
    for module in modules():
        names = ", ".join(f"`{name}`" for name in sorted(public(module)))
        text += f"| `{module.__name__}` | {names} |\n"
    return text


def readme(text: str) -> str:
    """Return README.md with its table replaced."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{README.name}: must hold the lines {BEGIN.strip()} and {END.strip()}")
    return before + begin + table() + end + after


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    given = parser.parse_args()
    wanted = {PAGE: page(), README: readme(README.read_text())}
    other = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in other:
        if given.check:
            print(f"{path.name}: its list is not that of the package: run python tools/functions_page.py")
        else:
            path.write_text(wanted[path])
    return int(bool(other) and given.check)


if __name__ == "__main__":
    sys.exit(main())

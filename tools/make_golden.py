"""Make python/sorgum/_data/golden.json again from the installed package, on every instruction set: they must agree.

Usage: python tools/make_golden.py [--check] [FAMILY ...]
"""

import argparse
import json
import sys
from pathlib import Path

import sorgum as sg
from sorgum._data import golden

FILE = Path(__file__).resolve().parents[1] / "python" / "sorgum" / "_data" / "golden.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the file is not up to date")
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="the digests of all others stay as they are")
    given = parser.parse_args()
    check, families = given.check, given.families
    unknown = set(families) - set(golden.FAMILIES)
    if unknown:
        parser.error(f"FAMILY must be one of {', '.join(golden.FAMILIES)}, got {', '.join(sorted(unknown))}")
    before: dict[str, str] = json.loads(FILE.read_text()) if families else {}
    digests: dict[str, str] = {}
    for name in golden.NAMES:
        if families and name.partition(".")[0] not in families:
            digests[name] = before[name]
            continue
        found = {}
        for isa in sg.available_isas():
            sg.set_isa(isa)
            found[isa] = golden.digest(name)
        print(f"{name:<40} {found[isa][:16]}", flush=True)
        if len(set(found.values())) != 1:
            print(f"the instruction sets differ: {found}", file=sys.stderr)
            return 1
        digests[name] = found[isa]
    text = json.dumps(digests, indent=2) + "\n"
    if check:
        same = FILE.exists() and FILE.read_text() == text
        print("up to date" if same else f"{FILE.name} is not up to date")
        return 0 if same else 1
    FILE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

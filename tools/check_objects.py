"""Check what the compiler made of the sources: the object files of one instruction set, or of the baseline.

In a unit of an instruction set (csrc/isa) everything but its table has internal linkage: the linker keeps one copy of a
weak symbol, and if that one was compiled for AVX-512, the other units crash where AVX-512 is missing. The table is
constant data, so that no code of a unit can be reached but through the table that the dispatcher chose. Nothing runs
before main() there, and nothing is called but the functions named below. Baseline and scalar units use no register or
encoding beyond SSE2. Needs nm, readelf and objdump.
"""

import argparse
import re
import subprocess
import sys

# What kernels may call: the compiler's own, and fma, which is correctly rounded everywhere (N1).
ALLOWED_CALLS = {"memcpy", "memmove", "memset", "fma", "fmaf", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}

# Kinds of symbols in nm: data, here of .data.rel.ro, which holds pointers and is read-only once they are relocated; and
# read-only data.
CONSTANT_DATA = "DR"

# An instruction that the unit must not have, by what it would need; and one that proves the flags took effect.
AVX = re.compile(r"%[yz]mm\d|\tv[a-z0-9]+ .*%xmm")
AVX512 = re.compile(r"%zmm\d|%k[0-7]\b|%[xy]mm(1[6-9]|2\d|3[01])\b")
YMM = re.compile(r"%ymm\d")
ZMM = re.compile(r"%zmm\d")
FORBIDDEN = {"baseline": AVX, "scalar": AVX, "avx2": AVX512}
REQUIRED = {"avx2": YMM, "avx512": ZMM}


def output(*command: str) -> list[str]:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def check_symbols(path: str, isa: str, families: list[str]) -> list[str]:
    """Return what is wrong with the symbols and sections of a unit of an instruction set."""
    faults = []
    tables = [f"sorgum::{isa}::{family}_table" for family in families]
    defined = 0
    for line in output("nm", "-C", path):
        kind, name = line[17:18], line[19:]
        if kind in "WwVvu":
            faults.append(f"weak symbol {name}")
        elif kind == "U" and name not in ALLOWED_CALLS:
            faults.append(f"call of {name}")
        elif name in tables and kind in CONSTANT_DATA:
            defined += 1
        elif kind.isupper() and kind != "U":
            faults.append(f"global symbol {name}")
    if defined != 1:
        faults.append(f"{defined} tables, constant data of the names {', '.join(tables)}, where there must be one")
    faults += [
        f"section {section}, code that runs before main()"
        for line in output("readelf", "-SW", path)
        for section in re.findall(r"\s(\.(?:init_array|ctors|preinit_array)\S*)", line)
        if not section.startswith(".rela")
    ]
    return faults


def check_instructions(path: str, isa: str) -> tuple[list[str], bool]:
    """Return the instructions that the unit must not have, and whether it has one that proves its flags."""
    code = output("objdump", "-d", "--no-show-raw-insn", path)
    forbidden = FORBIDDEN.get(isa)
    faults = [f"instruction {line.strip()}" for line in code if forbidden and forbidden.search(line)]
    required = REQUIRED.get(isa)
    return faults, required is None or any(required.search(line) for line in code)


def families_with_tables(paths: list[str], isa: str) -> set[str]:
    pattern = re.compile(rf" [{CONSTANT_DATA}] sorgum::{isa}::(\w+)_table$")
    return {match[1] for path in paths for line in output("nm", "-C", path) if (match := pattern.search(line))}


def check(isa: str, families: list[str], paths: list[str]) -> list[str]:
    """Return one line per fault."""
    faults = []
    proven = False
    for path in paths:
        found, proves = check_instructions(path, isa)
        proven = proven or proves
        if isa != "baseline":
            found += check_symbols(path, isa, families)
        faults += [f"{path}: {fault}" for fault in found[:20]]
    if not paths:
        faults.append(f"{isa}: no object files were given")
    elif not proven:
        faults.append(f"{isa}: no instruction of this set in any object file: were its flags in force?")
    if isa != "baseline":
        faults += [
            f"{isa}: {family}_table is not defined" for family in set(families) - families_with_tables(paths, isa)
        ]
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa", required=True, choices=("baseline", "scalar", "avx2", "avx512"))
    parser.add_argument("--families", nargs="*", default=[])
    parser.add_argument("--objects", nargs="*", default=[])
    given = parser.parse_args()
    try:
        faults = check(given.isa, given.families, given.objects)
    except subprocess.CalledProcessError as error:
        faults = [error.stderr.strip()]
    print("\n".join(faults) or f"{given.isa}: {len(given.objects)} object files are as they must be")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

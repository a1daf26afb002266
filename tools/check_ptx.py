"""Check what the CUDA compiler made of the kernels: the PTX of csrc/cuda, before any machine code.

Every operation on floats must name its rounding, since `mul.f32` and `add.f32` without it may become one fma when
machine code is made, and those with it never do (PTX ISA, section 9.7.3). Subnormals are not flushed, nothing is
approximate.
"""

import argparse
import re
import sys
from pathlib import Path

OPERATION = re.compile(r"^\s+(?:@!?%p\d+ )?([a-z][a-z0-9]*)((?:\.[a-z0-9]+)*)\s", re.MULTILINE)
ROUNDED = {"add", "sub", "mul", "mad", "fma", "div", "sqrt", "rcp"}
BANNED = {"ex2", "lg2", "sin", "cos", "tanh", "rsqrt", "mad"}


def faults(text: str) -> list[str]:
    """Return one line per kind of fault in a PTX file."""
    found = {}
    fused = 0
    for name, modifiers in OPERATION.findall(text):
        parts = set(modifiers.split(".")) - {""}
        if not parts & {"f32", "f64", "f16", "bf16"}:
            continue
        whole = name + modifiers
        fused += name == "fma"
        if parts & {"ftz", "approx", "full", "sat"} or name in BANNED or (name in ROUNDED and "rn" not in parts):
            found[whole] = found.get(whole, 0) + 1
    lines = [f"{whole}: {count} times" for whole, count in sorted(found.items())]
    return lines if fused else [*lines, "no fma in it: is this the PTX of the kernels?"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ptx", nargs="+", type=Path)
    found = [f"{path}: {fault}" for path in parser.parse_args().ptx for fault in faults(path.read_text())]
    print("\n".join(found) or "every operation names its rounding")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""The layers of csrc: who may include whom, and what must never stand where (csrc/README.md).

These are texts checked by patterns: no substitute for the compiler, but they fail within a second, and each rule is
shown to reject what it is there to reject.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
SOURCES = sorted(p for p in CSRC.rglob("*") if p.name.endswith((".h", ".cpp", ".inc", ".in", ".cu", ".cuh")))

# Standard headers that bring types and no code: all that may be compiled for a particular instruction set.
NO_CODE = {"cstddef", "cstdint", "type_traits"}

# Folder (or kind of file) -> what it may include of ours, as a pattern.
MAY_INCLUDE = {
    "core": r"core/",
    "math": r"(core|math)/",
    "simd": r"core/|simd/|math/(lane|half)\.h$",
    "kernels": r"core/|math/\w+_state\.h$|kernels/(?!.*\.inl\.h$)",  # *_state.h: structs without code
    "kernels/*.inl.h": r"(core|math|simd|kernels)/",
    "isa": r"kernels/|dispatch/@SORGUM_FAMILY@\.h$",
    "dispatch": r"core/|dispatch/|isa/\w+\.inc$|kernels/(?!.*\.inl\.h$)",
    "api": r"api/|core/|dispatch/|kernels/(?!.*\.inl\.h$)",
    "cuda": r"(core|math|cuda)/|api/call/(rows|temperature|extent)\.h$|api/\w+/check\.h$",
    "bindings": r"(bindings|api|core)/|cuda/(\w+)/\2\.h$|isa/families\.inc$",
}

# A family's files name no other family but those that it is built on; what families share names none.
FAMILIES = re.findall(r"set\(SORGUM_FAMILIES ([\w ]+)\)", (ROOT / "CMakeLists.txt").read_text())[0].split()
BUILT_ON = {"random": {"special"}, "lowrank": {"random"}}
KNOWS_ALL = {"bindings/cuda.cpp"}  # the other module

COMPILED_PER_ISA = {"math", "simd", "kernels", "kernels/*.inl.h", "isa"}

INTRINSICS = re.compile(
    r"\b_mm\d*_\w+|\b__m(?:64|128|256|512)\w*|\b__mmask\d+|__builtin_ia32_(?!stmxcsr|ldmxcsr|pause)\w+"
)
STANDARD_LIBRARY = re.compile(
    r"\bstd::(?!u?int(?:_fast|_least)?\d+_t\b|u?intptr_t\b|size_t\b|ptrdiff_t\b|is_\w+|enable_if|conditional|true_type"
    r"|false_type|remove_\w+|make_(?:un)?signed|integral_constant)\w+"
)
HOST_ONLY = re.compile(r"\b(?:throw|try|catch|new|delete|thread_local|dynamic_cast)\b")
CONDITION_ON_ISA = re.compile(r"#\s*(?:el)?if\w*\b.*\b(?:SORGUM_ISA|__AVX|__SSE|__FMA__)")
NARROW_SIZE = re.compile(
    r"\b(?:int|unsigned|long|short|(?:std::)?u?int(?:8|16|32)_t|(?:std::)?size_t)\s+"
    r"(?:rows|cols|columns|length|size|stride|offset|elements)\b"
)
ARITHMETIC = re.compile(r"[\w)\]] [*/%] [\w(]|[+\-*/%]= |<cmath>|[\w)\]] [+-] [\w(]|\+\+(?!i\b)|--\w")
BANNED_FLAGS = re.compile(
    r"-Ofast\b|-ffast-math|-funsafe-math|-fassociative-math|-freciprocal-math|-ffinite-math|-ffp-contract=(?:fast|on)"
    r"|-march=native|--use_fast_math|-fno-signed-zeros"
)


def layer_of(path: Path) -> str | None:
    folder = path.relative_to(CSRC).parts[0] if path.parent != CSRC else None
    return "kernels/*.inl.h" if folder == "kernels" and path.name.endswith(".inl.h") else folder


def without_comments(text: str) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def without_strings(text: str) -> str:
    return re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)


def include_faults(layer: str, text: str) -> Iterator[str]:
    for ours, system in re.findall(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', text, flags=re.MULTILINE):
        if ours and not re.match(MAY_INCLUDE[layer], ours):
            yield f'{layer} must not include "{ours}"'
        if not system:
            continue
        allowed = (
            system in NO_CODE or (layer == "simd" and system == "immintrin.h")
            if layer in COMPILED_PER_ISA
            else system != "immintrin.h"
            and (layer == "bindings" or not system.startswith(("pybind11/", "Python.h")))
            and (layer == "cuda" or not system.startswith("cuda"))
        )
        if not allowed:
            yield f"{layer} must not include <{system}>"


def faults(layer: str, text: str) -> list[str]:
    """Return one line per rule that a source file of this layer breaks."""
    found = list(include_faults(layer, without_comments(text)))
    code = without_strings(without_comments(text))

    def forbid(pattern: re.Pattern[str], what: str) -> None:
        for line in code.splitlines():
            match = pattern.search(line)
            if match:
                found.append(f"{what} in {layer}: {line.strip()}")

    if layer != "simd":
        forbid(INTRINSICS, "an intrinsic")
    if layer in COMPILED_PER_ISA:
        forbid(STANDARD_LIBRARY, "the standard library")
        forbid(HOST_ONLY, "an exception, allocation or thread")
    if layer in {"math", "kernels", "kernels/*.inl.h"}:
        forbid(CONDITION_ON_ISA, "a condition on the instruction set")
    if layer in {"kernels", "kernels/*.inl.h", "api", "bindings"}:
        forbid(NARROW_SIZE, "a size that is no index_t")
    if layer == "bindings":
        code = "\n".join(line for line in code.splitlines() if '""' not in line)  # messages are put together with +
        forbid(ARITHMETIC, "arithmetic")
    return found


def family_of(path: str) -> str | None:
    return next((part for part in Path(path).with_suffix("").parts if part in FAMILIES), None)


def family_faults(path: str, text: str) -> list[str]:
    """Return the includes of another family in a file, named from csrc on, that does not build on it."""
    own = family_of(path)
    allowed = {None, own} | BUILT_ON.get(own or "", set())
    included = re.findall(r'#\s*include\s+"([^"]+)"', text)
    return [name for name in included if path not in KNOWS_ALL and family_of(name) not in allowed]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(CSRC)))
def test_families(path: Path) -> None:
    assert family_faults(str(path.relative_to(CSRC)), path.read_text()) == []


def test_families_are_kept_apart() -> None:
    assert {"special", "random"} <= set(FAMILIES)
    assert family_faults("api/special/softmax.cpp", '#include "dispatch/random.h"') == ["dispatch/random.h"]
    assert family_faults("api/call/rows.cpp", '#include "dispatch/special.h"') == ["dispatch/special.h"]
    assert family_faults("kernels/common/half.h", '#include "kernels/special/softmax.h"') != []
    assert family_faults("bindings/special.cpp", '#include "api/random/random.h"') != []
    assert family_faults("api/random/draw.cpp", '#include "dispatch/special.h"\n#include "core/types.h"') == []


def test_the_sources_are_found() -> None:
    assert len(SOURCES) > 20
    assert {layer_of(path) for path in SOURCES} - {None} <= set(MAY_INCLUDE)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(CSRC)))
def test_layers(path: Path) -> None:
    layer = layer_of(path)
    assert layer is not None, f"{path.name} stands in no layer"
    assert faults(layer, path.read_text()) == []


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        ("core", '#include "math/exp.h"'),
        ("core", "#include <pybind11/pybind11.h>"),
        ("core", "__builtin_ia32_pmaddwd(a, b);"),
        ("math", '#include "simd/simd.h"'),
        ("math", "#include <cmath>"),
        ("math", "return std::exp(x);"),
        ("math", "#if defined(__AVX2__)"),
        ("simd", "#include <vector>"),
        ("simd", '#include "math/exp.h"'),
        ("kernels", '#include "kernels/special/exp.inl.h"'),
        ("kernels", '#include "math/exp.h"'),
        ("kernels/*.inl.h", "const __m512 x = _mm512_setzero_ps();"),
        ("kernels/*.inl.h", "#ifdef SORGUM_ISA_AVX512"),
        ("kernels/*.inl.h", "throw 1;"),
        ("kernels/*.inl.h", "for (int rows = 0;;)"),
        ("kernels/*.inl.h", "#include <algorithm>"),
        ("isa", "#include <string>"),
        ("isa", '#include "core/parallel.h"'),
        ("dispatch", '#include "kernels/special/exp.inl.h"'),
        ("api", '#include "simd/simd.h"'),
        ("api", "#include <immintrin.h>"),
        ("api", "void softmax(int length);"),
        ("cuda", '#include "simd/simd.h"'),
        ("cuda", '#include "kernels/special/softmax.h"'),
        ("cuda", "#include <pybind11/pybind11.h>"),
        ("api", '#include "cuda/special/special.h"'),
        ("math", "#include <cuda_runtime.h>"),
        ("bindings", '#include "cuda/special/rows.h"'),
        ("bindings", '#include "dispatch/dispatch.h"'),
        ("bindings", "const auto bytes = rows * columns;"),
        ("bindings", "total += shape[i];"),
    ],
)
def test_each_rule_rejects_what_it_forbids(layer: str, text: str) -> None:
    assert faults(layer, text) != []


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        ("core", "// _mm512_add_ps and std::exp in a comment"),
        ("math", "std::uint32_t bits; static_assert(std::is_same_v<L, float>);"),
        ("simd", "#include <immintrin.h>"),
        ("bindings", 'throw TypeError(std::string("a") + argument);'),
        ("bindings", "const py::array& x, const char* name"),
    ],
)
def test_no_rule_rejects_what_is_allowed(layer: str, text: str) -> None:
    assert faults(layer, text) == []


def test_no_banned_flag() -> None:
    files = [ROOT / "CMakeLists.txt", ROOT / "pyproject.toml", *CSRC.rglob("CMakeLists.txt")]
    files += [*(ROOT / "cmake").glob("*.cmake"), *(ROOT / "tests").rglob("CMakeLists.txt")]
    assert len(files) >= 6
    for path in files:
        text = re.sub(r"#[^\n]*", "", path.read_text())
        # The list of what is refused is the one place that may name them.
        text = re.sub(r"set\(SORGUM_BANNED_FLAGS[^)]*\)", "", text)
        assert BANNED_FLAGS.findall(text) == [], path


def test_the_floating_point_flags_stand_in_one_place() -> None:
    files = [*ROOT.glob("CMakeLists.txt"), *CSRC.rglob("CMakeLists.txt"), *(ROOT / "cmake").glob("*.cmake")]
    holders = [path.name for path in files if "-ffp-contract=off" in path.read_text()]
    assert holders == ["numerics.cmake"]

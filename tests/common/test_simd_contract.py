"""csrc/simd/README.md, the back ends and the C++ tests name the same operations."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SIMD = ROOT / "csrc" / "simd"
BACK_ENDS = ("scalar.h", "avx2.h", "avx512.h")


def operations_in_the_contract() -> set[str]:
    rows = re.findall(r"^\| (`.*?) \|", (SIMD / "README.md").read_text(), flags=re.MULTILINE)
    code = [part for row in rows for part in re.findall(r"`([^`]+)`", row)]
    return {match[1] for part in code if (match := re.match(r"(\w+)(?:<\w+>)?\(", part))}


OPERATIONS = sorted(operations_in_the_contract())


def defines(text: str, name: str) -> bool:
    """Return whether a header defines the operation: as a function, or through a macro that takes its name."""
    return re.search(rf"\b{name}(?:<\w+>)?\([\w&* ,]*\)? ?.*\{{|\b[A-Z0-9_]+\({name}, ", text) is not None


def test_the_contract_is_read() -> None:
    assert len(OPERATIONS) >= 30
    assert {"load_first", "fma", "max", "fold_sum_rows", "splat_integer", "widen", "prefetch"} <= set(OPERATIONS)


@pytest.mark.parametrize("header", BACK_ENDS)
def test_each_back_end_defines_each_operation(header: str) -> None:
    text = (SIMD / header).read_text()
    # scalar.h gives both fold_max and fold_max_rows by name; the others derive _rows from the macro's argument.
    derived = {f"{name}_rows" for name in ("fold_max", "fold_sum") if f"({name}, " in text and "name##_rows" in text}
    assert [name for name in OPERATIONS if name not in derived and not defines(text, name)] == []


@pytest.mark.parametrize("header", BACK_ENDS)
def test_no_back_end_has_an_operation_of_its_own(header: str) -> None:
    text = re.sub(r"//[^\n]*", "", (SIMD / header).read_text())
    returns = r"(?:[fi](?:32|64)x16|mask\w*|bool|void|float|double|index_t|[VEI])"
    pattern = rf"(?:SORGUM_INLINE|SORGUM_LANEWISE) {returns} ([a-z]\w*)(?:<\w+>)?\("
    # A macro's parameter; how avx512.h puts a mask together; what both loads of bfloat16 begin with; the blocks that
    # transposes are made of.
    helpers = {"name", "join_lanes", "load_upper", "transpose_parts", "transpose_eight", "transpose_four"}
    assert set(re.findall(pattern, text)) - set(OPERATIONS) - helpers == set()


def test_each_operation_is_tested() -> None:
    text = "".join(path.read_text() for path in (ROOT / "tests" / "cpp" / "common").glob("*simd*"))
    assert [name for name in OPERATIONS if not re.search(rf"\b{name}(?:<\w+>)?\(", text)] == []

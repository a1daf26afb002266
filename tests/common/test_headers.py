"""The headers of csrc/kernels: one declares each kernel, and each begins with a comment of the fixed form.

The form is an introduction, an empty line, and seven fields in their order, whose texts begin in one column and go on
below themselves. .clang-format leaves these lines as they are (CommentPragmas): nothing but this test sees to them.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / "csrc" / "kernels"
HEADERS = sorted(p for p in KERNELS.glob("*/*.h") if not p.name.endswith(".inl.h") and p.name != "kernels.h")

FIELDS = ["computes", "source", "shapes", "order", "bound", "special", "cost"]
MARGIN = len("// computes  ")
WIDEST = 120
FILLED = 80  # the columns of a line at least, unless it is the last of its field, or of an entry of it

FIELD = re.compile(rf"// ({'|'.join(FIELDS)})\b")
ENTRY = re.compile(r"\w+(?:, \w+)*: ")  # how an entry begins: with the names of what it is about


def comment_faults(text: str) -> Iterator[str]:
    """Say in what the comment at the beginning of a header is not of the form."""
    comment, pragma, _ = text.partition("#pragma once\n")
    introduction, empty, form = comment.partition("\n//\n")
    if not pragma or not empty or not all(re.match(r"// \S", line) for line in introduction.splitlines()):
        yield "not an introduction, an empty line, the fields and #pragma once"
    lines = form.splitlines()
    if (found := [field[1] for line in lines if (field := FIELD.match(line))]) != FIELDS:
        yield f"the fields are {found}"
    for line, following in zip(lines, [*lines, "// cost"][1:], strict=True):
        field = FIELD.match(line)
        before = line[:MARGIN]
        if not field and before.strip() != "//":
            yield f"neither a field nor what goes on with one: {line}"
        elif before != (field[0] if field else "//").ljust(MARGIN) or not line[MARGIN:].strip():
            yield f"nothing in the column where texts begin: {line}"
        elif line[MARGIN] == " " or line != line.rstrip():
            yield f"blanks before or behind the text: {line}"
        elif len(line) > WIDEST:
            yield f"longer than {WIDEST} columns: {line}"
        elif len(line) < FILLED and not FIELD.match(following) and not ENTRY.match(following[MARGIN:]):
            yield f"ends before its time: {line}"


def declared_kernels(text: str) -> set[str]:
    return set(re.findall(r"^using (\w+)_fn =", text, flags=re.MULTILINE))


def kernel_names(family: Path) -> list[str]:
    return re.findall(r"^SORGUM_KERNEL\(\w+, (\w+),", (family / "kernels.inc").read_text(), flags=re.MULTILINE)


def missing_declarations(family: Path) -> Iterator[str]:
    """Name the kernels of a family that none of its headers declares, or more than one."""
    texts = [path.read_text() for path in HEADERS if path.parent == family]
    for name in sorted(set(kernel_names(family))):
        if sum(name in declared_kernels(text) for text in texts) != 1:
            yield name


@pytest.mark.parametrize("path", HEADERS, ids=lambda path: str(path.relative_to(KERNELS)))
def test_each_header_has_the_form(path: Path) -> None:
    assert declared_kernels(path.read_text())
    assert list(comment_faults(path.read_text())) == []


@pytest.mark.parametrize("family", sorted(p.parent for p in KERNELS.glob("*/kernels.inc")), ids=lambda path: path.name)
def test_each_kernel_is_declared_in_a_header_of_its_family(family: Path) -> None:
    assert list(missing_declarations(family)) == []
    included = (family / "kernels.h").read_text()
    for path in HEADERS:
        assert path.parent != family or f'"kernels/{family.name}/{path.name}"' in included


def test_no_two_families_have_kernels_of_one_name() -> None:
    names = [
        (family, name)
        for family in sorted(p.parent.name for p in KERNELS.glob("*/kernels.inc"))
        for name in sorted(set(kernel_names(KERNELS / family)))
    ]
    assert len({name for _, name in names}) == len(names)


def test_clang_format_leaves_the_form_alone() -> None:
    """What it may not touch: each line of the form, by what follows the slashes. An introduction it may."""
    setting = re.findall(r"^CommentPragmas: '(.*)'$", (ROOT / ".clang-format").read_text(), flags=re.MULTILINE)
    left_alone = re.compile(setting[0])
    for path in HEADERS:
        introduction, _, form = path.read_text().partition("#pragma once")[0].partition("\n//\n")
        assert all(left_alone.match(line[2:]) for line in form.splitlines())
        assert not any(left_alone.match(line[2:]) for line in introduction.splitlines())


GOOD = """\
// What the kernels are for,
// in two lines.
//
// computes  first: y[i] = x[i];
//           second, third: a text that takes two lines, since it goes on until the width of the page is reached, then
//           goes on
// source    a book
// shapes    contiguous
// order     none
// bound     exact
// special   none
// cost      one read
#pragma once

template <class T>
using first_fn = void(const T* x, T* y, index_t n);
"""


def test_a_good_header_has_no_faults() -> None:
    assert list(comment_faults(GOOD)) == []
    assert declared_kernels(GOOD) == {"first"}


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("#pragma once", "", "not an introduction"),
        ("two lines.\n//\n", "two lines.\n", "not an introduction"),
        ("// in two", "//  in two", "not an introduction"),
        ("// What", "What", "not an introduction"),
        ("// order     none\n", "", "the fields are ['computes', 'source', 'shapes', 'bound', 'special', 'cost']"),
        (
            "// order     none\n",
            "// order     none\n// order     some\n",
            "the fields are ['computes', 'source', 'shap",
        ),
        ("// shapes    contiguous\n// order     none", "// order     none\n// shapes    contiguous", "the fields are"),
        ("// bound     exact", "// Bound     exact", "the fields are"),
        ("// bound     exact", "// bounds    exact", "the fields are"),
        ("// bound     exact", "// bound", "nothing in the column where texts begin: // bound"),
        ("// bound     exact", "// bound     ", "nothing in the column where texts begin: // bound     "),
        ("// bound     exact", "// bound    exact", "nothing in the column where texts begin: // bound    exact"),
        ("// bound     exact", "// bound      exact", "blanks before or behind the text: // bound      exact"),
        ("// bound     exact", "// bound     exact ", "blanks before or behind the text: // bound     exact "),
        ("//           goes on", "// goes on", "neither a field nor what goes on with one: // goes on"),
        (
            "//           goes on",
            "//          goes on",
            "neither a field nor what goes on with one: //          goes on",
        ),
        ("//           goes on", "//            goes on", "blanks before or behind the text: //            goes on"),
        ("//           goes on", "//", "nothing in the column where texts begin: //"),
        ("// special   none", "// special   none\n//", "nothing in the column where texts begin: //"),
        ("reached, then", "reached, and then", "longer than 120 columns: //           second, third:"),
        ("y[i] = x[i];\n", "y[i] = x[i]; and so\n//           on;\n", "ends before its time: // computes  first:"),
        ("goes on\n//", "goes on\n//           and on\n//", "ends before its time: //           goes on"),
    ],
)
def test_what_is_not_of_the_form_is_found(old: str, new: str, fault: str) -> None:
    assert GOOD.count(old) >= 1
    faults = list(comment_faults(GOOD.replace(old, new, 1)))
    assert any(found.startswith(fault) for found in faults), faults


def test_a_kernel_without_a_declaration_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.h").write_text(GOOD)
    (tmp_path / "kernels.inc").write_text(
        "SORGUM_KERNEL(some, first, float, f32)\nSORGUM_KERNEL(some, second, float, f32)\n"
    )
    monkeypatch.setattr(f"{__name__}.HEADERS", [tmp_path / "a.h"])
    assert list(missing_declarations(tmp_path)) == ["second"]
    monkeypatch.setattr(f"{__name__}.HEADERS", [tmp_path / "a.h"] * 2)
    assert list(missing_declarations(tmp_path)) == ["first", "second"]

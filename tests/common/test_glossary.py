"""The table of words in CONTRIBUTING.md: in order, and each word stands where the table says."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECTION = re.findall(r"^## Words\n(.*?)^## ", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL | re.MULTILINE)[0]
# A | within a cell is written \|.
ROWS = [re.split(r" (?<!\\)\| ", row) for row in re.findall(r"^\| (.*) \|$", SECTION, flags=re.MULTILINE)][1:]


def stems(words: str) -> list[str]:
    return [word.strip().split()[0].rstrip("s") for word in words.lower().split(",")]


def test_the_table_is_read_and_in_order() -> None:
    assert len(ROWS) > 30
    assert all(len(row) == 3 and all(cell.strip() for cell in row) for row in ROWS)
    assert [row[0] for row in ROWS] == sorted({row[0] for row in ROWS})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_word_stands_where_the_table_says(row: list[str]) -> None:
    places = re.findall(r"`([^`]+)`", row[2])
    assert row[2] == ", ".join(f"`{place}`" for place in places) != ""
    for place in places:
        text = (ROOT / place).read_text().lower()
        assert any(stem in text for stem in stems(row[0])), place

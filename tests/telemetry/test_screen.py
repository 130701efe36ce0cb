"""Tables of commands: aligned, within a terminal, a line a row elsewhere, and never steering."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from telemetry.screen import Column, show_table, table_text

COLUMNS = [Column("order"), Column("count", is_number=True), Column("reason")]
TEXT = st.text(st.characters(exclude_categories=[]), max_size=12)


def test_numbers_stand_on_the_right_and_texts_on_the_left() -> None:
    text = table_text(COLUMNS, [("SO-1", "7", "late"), ("SO-4711", "1,234", "")])
    assert text.split("\n") == [
        "order    count  reason",
        "SO-1         7  late",
        "SO-4711  1,234",
    ]


def test_chinese_characters_are_counted_with_the_two_places_that_they_take() -> None:
    first, second = table_text([Column(), Column()], [("广州", "a"), ("abcd", "b")]).split("\n")
    assert (first, second) == ("广州  a", "abcd  b")


def test_a_table_without_heads_has_no_line_for_them() -> None:
    assert table_text([Column(min_width=5), Column()], [("a", "b")]) == "a      b"


def test_a_long_cell_is_continued_within_the_terminal_and_on_one_line_elsewhere() -> None:
    rows = [("SO-1", "7", "a long reason " * 20)]
    assert len(table_text(COLUMNS, rows).split("\n")) == 2
    lines = table_text(COLUMNS, rows, 40).split("\n")
    assert len(lines) > 5
    assert all(cell_len(line) <= 40 for line in lines)


@given(rows=st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=3))
def test_no_cell_adds_a_line_or_steers_the_terminal(rows: list[tuple[str, str, str]]) -> None:
    lines = table_text(COLUMNS, rows).split("\n")
    assert len(lines) == 1 + len(rows)
    for character in "".join(lines):
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize("text", ["[red]x[/red]", "[bold]", ":smile:", "\x1b[31mx"])
def test_a_cell_is_shown_as_it_is_and_not_as_markup(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    show_table([Column()], [(text,)])
    assert capsys.readouterr().out == text.replace("\x1b", "\\x1b") + "\n"

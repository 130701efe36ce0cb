"""Escaping: nothing that steers a terminal or splits a line passes, all that can be read stays."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.display import html, printable, printable_json, printable_lines

HOSTILE = {
    "escape": ("\x1b[31m", r"\x1b[31m"),
    "bell and title": ("\x1b]0;PWNED\x07", r"\x1b]0;PWNED\x07"),
    "line end": ("a\n  status DELIVERED\r", r"a\x0a  status DELIVERED\x0d"),
    "tab": ("a\tb", r"a\x09b"),
    "delete": ("\x7f", r"\x7f"),
    "C1 control sequence introducer": ("\x9b31m", r"\x9b31m"),
    "next line": ("\x85", r"\x85"),
    "right-to-left override": ("\u202etxt", r"\u202etxt"),
    "isolates": ("\u2066\u2069", r"\u2066\u2069"),
    "marks": ("\u200e\u200f\u061c", r"\u200e\u200f\u061c"),
    "line separator": ("\u2028", r"\u2028"),
    "paragraph separator": ("\u2029", r"\u2029"),
    "zero width": ("\u200b\ufeff", r"\u200b\ufeff"),
    "tags": ("\U000e0041", r"\U000e0041"),
    "half a surrogate pair": ("\ud83d", r"\ud83d"),
    "null": ("\0", r"\x00"),
}
CHARACTERS = st.text(st.characters(exclude_categories=[]))


def is_safe(text: str) -> bool:
    return not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in text)


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_what_steers_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SO-17",
        "张三 已发货",
        "全\u3000角",
        "Łódź, São Paulo",
        "a\u00a0b",
        "🚚",
        "[red]",
        "\\x1b",
    ],
)
def test_what_can_be_read_stays(text: str) -> None:
    assert printable(text) == text


@given(CHARACTERS)
def test_nothing_unsafe_passes(text: str) -> None:
    shown = printable(text)
    assert is_safe(shown)
    assert printable(shown) == shown
    assert is_safe(printable_lines(text).replace("\n", ""))
    assert printable_lines(text).count("\n") == text.count("\n")
    assert not set(html(text)) & set("<>\"'")
    assert is_safe(html(text))


@given(st.dictionaries(CHARACTERS, CHARACTERS | st.lists(CHARACTERS), max_size=4))
def test_json_says_the_same_without_anything_unsafe(fields: dict[str, object]) -> None:
    data = json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")
    shown = printable_json(data)
    assert is_safe(shown.decode())
    assert json.loads(shown) == json.loads(json.dumps(fields))

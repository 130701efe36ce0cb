"""TOML that can't be read: every fault has its line, its column and a remedy, in our own words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SettingsError
from schemas.toml_document import TomlDocument
from schemas.toml_faults import NOT_HERE

# Words of tomllib's that none of ours have.
RAW = ("Invalid", "Expected", "Unclosed", "Cannot", "namespace", "Unescaped", "Found", "Illegal")


def fault_of(text: str) -> str | None:
    try:
        TomlDocument(text, "own.toml")
    except SettingsError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a = b", "1: no TOML at column 5", "no value begins here; texts stand in quotes"),
        ("a", "1: no TOML at the end", "= is missing after the key"),
        ("a = 1 2", "1: no TOML at column 7", "something follows the value"),
        ("= 1", "1: no TOML at column 1", "no key begins here"),
        ("[a\n", "1: no TOML at column 3", "the name of the table has no end; close it with ]"),
        ("[[a]\n", "1: no TOML at column 4", "close it with ]]"),
        ("[a.b]\n[a.b]\n", "2: no TOML at column 5", "the table [a.b] is there already"),
        ("a = 1\na = 2\n", "2: no TOML at column 6", "the key is there already"),
        ("a = {b = 1}\na.c = 2\n", "2: no TOML at column 8", "a is complete already"),
        ("a = {b = 1, b = 2}", "1: no TOML at column 18", "b is there already"),
        ("a = [1, 2", "1: no TOML at the end", "the list has no end, or lacks a comma"),
        ("a = {b = 1", "1: no TOML at the end", "the table has no end, or lacks a comma"),
        ('a = "x', "1: no TOML at the end", "the text has no end; close it with its quote"),
        ("a = 'x", "1: no TOML at the end", "the text has no end; close it with its quote"),
        ('a = """x', "1: no TOML at the end", "the text has no end; close it with its quote"),
        ('a = "x\nb = 1', "1: no TOML at column 7", "the text has no end on its line"),
        ('a = "\\q"', "1: no TOML at column 8", "a backslash in a text"),
        ('a = "\\u12"', "1: no TOML at column 8", "four, \\U eight hexadecimal digits"),
        ('a = "\x01"', "1: no TOML at column 6", "a control character"),
        ("a = 2026-11-31", "1: no TOML at column 5", "it is no date"),
        ("a = 2026-11-31T10:00:00", "1: no TOML at column 5", "it is no date"),
    ],
)
def test_a_fault_has_its_place_and_a_remedy(text: str, place: str, words: str) -> None:
    found = fault_of(text)
    assert found
    assert found.startswith(f"own.toml:{place}: "), found
    assert words in found


@pytest.mark.parametrize("text", ["a = " + "1" * 5_000, "a = " + "[" * 5_000])
def test_what_the_parser_gives_up_on_is_a_fault_of_the_file(text: str) -> None:
    assert (fault_of(text) or "").startswith("own.toml: no TOML, a number has too many digits, or")


@given(st.text(alphabet="[]{}=.,'\"\\\n# ab1-:T\x01", max_size=25))
def test_no_fault_is_in_the_parser_s_words(text: str) -> None:
    found = fault_of(text) or ""
    assert not [raw for raw in RAW if raw in found], found
    assert NOT_HERE not in found, "a message of the parser without words of ours"

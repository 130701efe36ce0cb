"""Faults of TOML syntax in words: tomllib's messages, translated, each with a remedy."""

import re
from collections.abc import Callable

NOT_HERE = "it can't be read; texts stand in quotes, lists in [ ]"
ONCE = "give each key once"
TOGETHER = "write all of its keys in one place"
NO_END_OF_TEXT = "the text has no end; close it with its quote"


def named(key: str) -> str:
    """The key in a message of tomllib, `('track', 'rules')`, as it is written: `track.rules`."""
    return ".".join(re.findall(r"'([^']*)'", key)) or key


def of_character(match: re.Match[str]) -> str:
    """Words for a character that can't stand in a text, or outside of one."""
    if match[1] in {r"\n", r"\r"}:
        return "the text has no end on its line; close it, or begin it with three quotes"
    return "a control character; take it out"


Words = Callable[[re.Match[str]], str] | str
WORDS: tuple[tuple[str, Words], ...] = (
    ("Invalid statement", "no key begins here; write key = value, [table] or # comment"),
    ("Expected newline .*", "something follows the value; put texts in quotes, one key on a line"),
    ("(?:Found invalid|Illegal) character '(.*)'", of_character),
    (
        r"Cannot declare (\(.*\)) twice",
        lambda m: f"the table [{named(m[1])}] is there already; {TOGETHER}",
    ),
    ("Cannot overwrite a value", f"the key is there already; {ONCE}"),
    (r"Expected '\]' at .*", "the name of the table has no end; close it with ]"),
    (r"Expected '\]\]' at .*", "the name of the table has no end; close it with ]]"),
    (
        r"Cannot (?:mutate immutable|redefine) namespace (\(.*\))",
        lambda m: f"{named(m[1])} is complete already; {TOGETHER}",
    ),
    ("Expected '=' after .*", "= is missing after the key; write key = value"),
    ("Invalid initial character for a key part", "a key is missing; write key = value"),
    ("Unclosed array", "the list has no end, or lacks a comma; close it with ]"),
    (
        "Unclosed inline table",
        "the table has no end, or lacks a comma; close its line with }",
    ),
    ("Duplicate inline table key '(.*)'", lambda m: f"{m[1]} is there already; {ONCE}"),
    (r"Unescaped '\\+' in a string", r"a backslash in a text; write \\, or quote it with '"),
    ("Invalid hex value", r"\u takes four, \U eight hexadecimal digits; write \\ for a backslash"),
    ("Escaped character is not .*", "the escape is no character; correct it"),
    ("Unterminated string", NO_END_OF_TEXT),
    ('Expected "\'+"', NO_END_OF_TEXT),
    ("Expected '\"+'", NO_END_OF_TEXT),
    ("Invalid date or datetime", "it is no date; write one like 2026-11-30"),
    ("Invalid value", "no value begins here; texts stand in quotes, lists in [ ]"),
)


def toml_fault(message: str) -> str:
    """Problem and remedy for a message of tomllib without its place."""
    for pattern, words in WORDS:
        if match := re.fullmatch(pattern, message, re.DOTALL):
            return words if isinstance(words, str) else words(match)
    return NOT_HERE

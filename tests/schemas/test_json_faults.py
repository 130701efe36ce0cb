"""JSON that can't be read: every fault has its line, its column and a remedy, in our own words."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.json_faults import TOO_DEEP, json_fault

RAW = ("malformed", "truncated", "Expecting", "delimiter", "invalid character", "(byte", "(char")


def fault_of(text: str) -> str | None:
    try:
        msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return json_fault(error, text.encode())
    return None


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ('{"a": 1', 1, 8, "cut off; send all of it"),
        ('{"a": "x', 1, 7, "the text that begins here has no end"),
        ('{\n  "a": 1\n  "b": 2\n}', 3, 3, "a comma is missing"),
        ('{"a": 1,}', 1, 9, "or the comma before this is one too many"),
        ("{a: 1}", 1, 2, "a name in double quotes is missing"),
        ("{'a': 1}", 1, 2, "a name in double quotes is missing"),
        ('{"a" 1}', 1, 6, "a colon is missing after the name"),
        ('{"a": True}', 1, 7, "true, false and null in lower case"),
        ('{"a": 01}', 1, 8, "a comma is missing"),
        ('{"a": "\n"}', 1, 8, "a line break or control character in a text"),
        (r'{"a": "\q"}', 1, 8, "a backslash that escapes nothing"),
        (r'{"a": "\u12"}', 1, 9, "four hexadecimal digits"),
        ('{"订单": 1} {}', 1, 11, "send one document alone"),
        ("\ufeff{}", 1, 1, "a byte-order mark"),
        ("", 1, 1, "it is empty"),
    ],
)
def test_a_fault_has_its_place_and_a_remedy(text: str, line: int, column: int, words: str) -> None:
    found = fault_of(text)
    assert found
    assert found.startswith(f"no JSON at line {line}, column {column}: "), found
    assert words in found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": NaN}', "NaN and Infinity are not JSON; leave the field out, or send null"),
        (r'{"a": "\ud800"}', "half a surrogate pair"),
        (r'{"a": "\ud800", "b": NaN}', "half a surrogate pair"),
        ("[" * 100_000, TOO_DEEP),
    ],
)
def test_what_only_one_parser_takes_is_named(text: str, words: str) -> None:
    assert words in (fault_of(text) or "")


@given(st.text(alphabet='{}[]",:\\ntrue01-.eE\n \udfff订', max_size=30))
@example('{"a":1e}')
@example("[1.]")
def test_no_fault_is_in_the_parser_s_words(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        found = json_fault(error, data)
        assert not [raw for raw in RAW if raw in found], found
        assert "is not UTF-8" in found or "; " in found or "missing" in found, found


def test_a_value_of_the_wrong_type_keeps_its_field() -> None:
    class Asked(msgspec.Struct):
        many: dict[str, float]

    for text, words in (
        ('{"many": 1}', "many: it is a whole number; send an object"),
        ('{"many": {"x": 1e400}}', "many: the number is beyond the range of a float"),
        ("{}", "many is missing"),
    ):
        with pytest.raises(msgspec.ValidationError) as refused:
            msgspec.json.decode(text, type=Asked)
        assert words in json_fault(refused.value, text)


def test_numbers_beyond_all_floats_are_named_wherever_they_stand() -> None:
    assert fault_of('{"a": 1e400}') == (
        "the number is beyond the range of a float; send a smaller one"
    )

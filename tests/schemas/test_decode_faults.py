"""Faults of JSON that doesn't fit its type: in words, with the field."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from schemas.decode_faults import decode_fault, packed_fault


class Part(msgspec.Struct, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1, le=9)] = 1


class Sample(msgspec.Struct):
    name: Annotated[str, Meta(min_length=1, max_length=3)]
    at: Annotated[datetime, Meta(tz=True)]
    kind: Literal["a", "b"] = "a"
    part: Part | None = None
    numbers: Annotated[list[float], Meta(min_length=2)] | None = None


GOOD = {"name": "x", "at": "2026-11-23T08:00:00Z"}
RAW = ("`", "$", "Expected", "Invalid", "Object")


def fault_of(value: object) -> str | None:
    try:
        msgspec.convert(value, Sample)
    except msgspec.ValidationError as error:
        return str(decode_fault(error))
    return None


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"name": 4711}, "name: it is a whole number; send a text"),
        ({"name": ""}, "name: it is empty"),
        ({"name": "xxxx"}, "name: it needs at most 3 characters"),
        ({"numbers": [1]}, "numbers: it needs at least 2 parts"),
        ({"numbers": [1, None]}, "numbers[1]: it is null; send a number"),
        ({"at": "2026-11-23T08:00:00"}, "at: it is no instant with an offset; write one like"),
        ({"at": "yesterday"}, "at: it is no instant with an offset; write one like"),
        ({"kind": "c"}, "kind: 'c' is none of its values"),
        ({"part": {"size": 0}}, "part.size: it is less than 1"),
        ({"part": {"size": 10}}, "part.size: it is more than 9"),
        ({"part": {"sise": 1}}, "part: sise is unknown"),
        ({"part": []}, "part: it is a list; send an object or null"),
    ],
)
def test_a_fault_names_its_field_and_what_is_wrong(changed: dict[str, Any], text: str) -> None:
    assert (fault_of(GOOD | changed) or "").startswith(text)


def test_a_missing_field_is_named() -> None:
    assert fault_of({"at": GOOD["at"]}) == "name is missing"
    assert fault_of([]) == "it is a list; send an object"


class Packed(msgspec.Struct, array_like=True):
    size: int
    name: str


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "it is cut off"),
        (b"\x92\x01", "it is cut off"),
        (b"\xc1", "it is not msgpack"),
        (b"\x92\x01\xa1x\x00", "it is not msgpack"),
        (b"\x92\x01\xa1\xff", "a text in it is not UTF-8"),
        (b"\x91\x01", "it needs at least 2 parts"),
        (b"\x92\x01\x02", "[1]: it is a whole number; send a text"),
        (b"\x80", "it is an object; send a list"),
    ],
)
def test_a_fault_of_msgpack_is_in_words(data: bytes, text: str) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)) as refused:
        msgspec.msgpack.decode(data, type=Packed)
    assert packed_fault(refused.value) == text


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text("ab", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(Sample.__struct_fields__)), JSON)
def test_no_message_of_the_decoder_comes_through(field: str, value: object) -> None:
    text = fault_of(GOOD | {field: value})
    assert text is None or not any(part in text for part in RAW), text

"""Sanitization: characters, numbers and nesting that no topic, tier or terminal can carry.

An event that needs none of it passes a few searches over its bytes (`is_plain`). Any other is taken
apart field by field: a control character or a number beyond 64 bits refuses the event where it
stands in a field that the event needs; any other field is left out and named in `dropped_fields`.
Instants get what the decoder lacks: digits behind the microsecond are cut (it would round them up),
and the leap second `:60` becomes the last ms of its minute.
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from schemas.display import printable as escaped
from schemas.errors import Rejected

MAX_DEPTH = 32
DROPPED = "dropped_fields"
MAX_NAME = 80  # characters of a dropped field's name
MAX_NOTED = 20  # dropped fields that are named

# C0, DEL and C1; line and paragraph separators; bidirectional embeddings, overrides and isolates;
# halves of surrogate pairs.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Personal data is sealed and shown escaped: the lines of an address stay.
NO_TEXT = re.compile(CONTROL.pattern.replace(r"\x00-\x1f", r"\x00-\x08\x0b\x0c\x0e-\x1f"))

IDS = ("event_id", "source", "tenant", "order_id", "waybill", "shipment")
# Without it the event would mean something else, so it is refused as well. A carrier's code may be
# any text: an unknown one is kept, shown and counted by name.
NEEDED = (*IDS, "status_code", "corrects", "zone")
# No field of text: the decoder refuses anything but what is listed or an instant.
STRICT = ("timestamp", "kind", "format", "recorded_at")
BY_NAME = ("attributes", "planned", "personal", "location", "destination", "references")
INVALID_EVENT = "invalid_event"
INVALID_NUMBER = "invalid_number"

FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
Fields = dict[str, msgspec.Raw]
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

ESCAPED = re.compile(rb"\\(?:[bfnrt]|u00[0189]|u007[fF]|u20[26]|u[dD][89a-fA-F])")
UTF8_CONTROL = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2(?:\x80[\xa8-\xae]|\x81[\xa6-\xa9])")
STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
# All numbers look alike, so that a substring search finds the long ones.
SHAPES = bytes(
    ord(
        "0"
        if chr(code) in "0123456789"
        else "e"
        if chr(code) in "eE"
        else chr(code)
        if chr(code) in ".+"
        else " "
    )
    for code in range(256)
)
NINETEEN_DIGITS = b"0" * 19
LONG_NUMBER = re.compile(rb"[:,\[]\s*-?(?:[0-9.]*[0-9]{19}|[0-9.]+[eE][+-]?[0-9]{3})")
INSTANT = re.compile(rb"\.[0-9]{7}|[0-9]:60")
FRACTION = re.compile(rb"(\.[0-9]{6})[0-9]+")
LEAP_SECOND = re.compile(rb"(:[0-5][0-9]):60(?![0-9])(?:\.[0-9]+)?")


def sanitize(data: bytes) -> bytes:
    """The JSON of an event as it can be carried; `data` itself where nothing is to be done.

    Raises:
        Rejected: `malformed_json`, nested too deeply; `invalid_number` or `invalid_event`, a number
            beyond 64 bits or a control character in a field that the event needs.
    """
    check_depth(data)
    if is_plain(data):
        return data
    try:
        fields = FIELDS.decode(data)
    except UNREADABLE:
        return data  # no object at all: the decoder gives the reason
    kept, dropped = sanitized(fields)
    if dropped:
        kept[DROPPED] = msgspec.Raw(msgspec.json.encode(noted(kept, dropped)))
    is_changed = dropped or any(kept[name] is not raw for name, raw in fields.items())
    return msgspec.json.encode(kept) if is_changed else data


def is_plain(data: bytes) -> bool:
    """Return True if these bytes need no closer check; 1 us for an event of 400 bytes."""
    if b"\\" in data and ESCAPED.search(data):
        return False
    if b":60" in data or b"\x7f" in data:
        return False
    if not data.isascii() and (b"\xc2" in data or b"\xe2" in data) and UTF8_CONTROL.search(data):
        return False
    shapes = data.translate(SHAPES)
    if b".0000000" in shapes:
        return False
    is_long = NINETEEN_DIGITS in shapes or b"0e000" in shapes or b"0e+000" in shapes
    return not (is_long and LONG_NUMBER.search(data))


def check_depth(data: bytes) -> None:
    """Refuse what is nested over `MAX_DEPTH` levels: parsers further on give up or overflow.

    Raises:
        Rejected: `malformed_json`.
    """
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in STRING.sub(b"", data):
        if bracket in b"{[":
            depth += 1
        elif bracket in b"}]":
            depth -= 1
        if depth > MAX_DEPTH:
            raise Rejected("malformed_json", f"nested too deeply; at most {MAX_DEPTH} levels")


class Unfit(str):
    """The text of a number that can't be carried."""

    __slots__ = ()


def whole_number(text: str) -> int | Unfit:
    """An integer, if it has at most 64 bits."""
    is_short = len(text) <= len(str(-(2**63)))
    return int(text) if is_short and -(2**63) <= int(text) < 2**63 else Unfit(text)


def fraction(text: str) -> float | Unfit:
    """A float, if it is finite."""
    number = float(text)
    return Unfit(text) if number in {float("inf"), float("-inf")} else number


def unfit_number(raw: msgspec.Raw) -> str | None:
    """The first number beyond 64 bits in this JSON: other parsers round or refuse it."""
    data = bytes(raw)
    if not LONG_NUMBER.search(b":" + data):
        return None
    try:
        value = json.loads(data, parse_int=whole_number, parse_float=fraction)
    except (ValueError, RecursionError):
        return None  # no JSON: the decoder gives the reason
    return next(unfit_numbers(value), None)


def unfit_numbers(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """The texts of the numbers that can't be carried."""
    if isinstance(value, Unfit):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from unfit_numbers(inner)


def sanitized(fields: Fields) -> tuple[Fields, list[str]]:
    """The fields that stay, and the names of those left out.

    Raises:
        Rejected: `invalid_event` or `invalid_number`, in a field that the event needs.
    """
    kept: Fields = {}
    dropped: list[str] = []
    for name, raw in fields.items():
        if name in STRICT:
            check_number(name, raw)
            kept[name] = as_instant(raw)
        elif not CONTROL.search(name) and is_fit(raw):
            kept[name] = as_planned(raw) if name == "planned" else raw
        elif name in NEEDED or (name == "customer_id" and has_personal(fields)):
            check_number(name, raw)
            raise Rejected(INVALID_EVENT, f"{name}: holds a control character")
        elif name in BY_NAME and (fields_in(raw) or name == "personal"):
            kept[name] = without_unfit(name, raw, dropped)
        else:
            dropped.append(printable(name))
    return kept, dropped


def check_number(name: str, raw: msgspec.Raw) -> None:
    """Refuse a number beyond 64 bits in a field that the event needs.

    Raises:
        Rejected: `invalid_number`.
    """
    if number := unfit_number(raw):
        shown = number if len(number) <= MAX_NAME else f"{number[:20]}… ({len(number)} characters)"
        raise Rejected(INVALID_NUMBER, f"{name}: {shown} is over 64 bits")


def has_personal(fields: Fields) -> bool:
    """Return True if there is personal data, which is sealed for the customer."""
    try:
        personal = msgspec.json.decode(fields.get("personal", b"null"))
    except UNREADABLE:
        return True
    return bool(personal.strip() if isinstance(personal, str) else personal)


def is_fit(raw: msgspec.Raw, control: re.Pattern[str] = CONTROL) -> bool:
    """Return True if this JSON can be carried as it is."""
    return not has_control(raw, control) and unfit_number(raw) is None


def has_control(raw: msgspec.Raw, control: re.Pattern[str] = CONTROL) -> bool:
    """Return True if a text in this JSON holds a control character."""
    data = bytes(raw)
    if not ESCAPED.search(data) and not UTF8_CONTROL.search(data):
        return False
    try:
        return any(map(control.search, texts(msgspec.json.decode(data))))
    except UNREADABLE:
        return False  # the decoder refuses the event, or a number does


def texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Every text in a JSON value, names of fields included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def without_unfit(name: str, raw: msgspec.Raw, dropped: list[str]) -> msgspec.Raw:
    """An object without the fields that can't be carried; of references without such numbers."""
    control = NO_TEXT if name == "personal" else CONTROL
    inner = fields_in(raw)
    kept: Fields = {}
    for key, value in inner.items():
        found = value
        if CONTROL.search(key):
            dropped.append(f"{name}.{printable(key)}")
            continue
        if not is_fit(value, control):
            dropped.append(f"{name}.{printable(key)}")
            if name != "references" or not (numbers := fit_items(value)):
                continue
            found = msgspec.Raw(msgspec.json.encode(numbers))
        kept[key] = found
    if kept == inner:  # no object, or texts of personal data
        return raw
    encoded = msgspec.Raw(msgspec.json.encode(kept))
    return as_planned(encoded) if name == "planned" else encoded


def fit_items(raw: msgspec.Raw) -> list[msgspec.Raw]:
    """The items of a list that can be carried; none of anything else."""
    try:
        return [item for item in ITEMS.decode(raw) if is_fit(item)]
    except UNREADABLE:
        return []


def fields_in(raw: msgspec.Raw) -> Fields:
    """The fields of an object; none of anything else."""
    try:
        return FIELDS.decode(raw)
    except UNREADABLE:
        return {}


def as_instant(raw: msgspec.Raw) -> msgspec.Raw:
    """An instant as the decoder reads it: cut behind the microsecond, no leap second."""
    data = bytes(raw)
    if not INSTANT.search(data):
        return raw
    return msgspec.Raw(FRACTION.sub(rb"\1", LEAP_SECOND.sub(rb"\1:59.999", data)))


def as_planned(raw: msgspec.Raw) -> msgspec.Raw:
    """`as_instant` for every value of an object."""
    if not INSTANT.search(bytes(raw)):
        return raw
    inner = fields_in(raw)
    found = {name: as_instant(value) for name, value in inner.items()}
    return msgspec.Raw(msgspec.json.encode(found)) if found != inner else raw


def noted(kept: Fields, dropped: list[str]) -> list[str]:
    """The names for `dropped_fields`, after those that an earlier reader noted."""
    try:
        before = msgspec.json.decode(kept.get(DROPPED, b"[]"), type=list[str])
    except UNREADABLE:
        before = []
    return list(dict.fromkeys([*before, *dropped]))[:MAX_NOTED]


def without_attributes(
    data: bytes, names: Collection[str], named: list[str]
) -> tuple[bytes, list[str] | None]:
    """(JSON of an event without these attributes, its `dropped_fields` with those in `named`)."""
    fields = FIELDS.decode(data)
    held = fields_in(fields["attributes"])
    kept = {name: value for name, value in held.items() if name not in names}
    fields["attributes"] = msgspec.Raw(msgspec.json.encode(kept))
    dropped = noted(fields, [f"attributes.{printable(name)}" for name in named])
    if named:
        fields[DROPPED] = msgspec.Raw(msgspec.json.encode(dropped))
    return msgspec.json.encode(fields), dropped or None


def printable(name: str) -> str:
    """A field's name without what steers a terminal, cut."""
    return escaped(name[:MAX_NAME])

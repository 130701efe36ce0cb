"""Faults of JSON or msgpack that doesn't fit its type, in words: msgspec's messages, translated.

msgspec stops at the first fault and words it for programmers: "Expected `str`, got `int` - at
`$.order_id`". `type_faults` words the faults of files, which a person has written.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

PLACE = re.compile(r" - at `\$\.?(.*)`$", re.DOTALL)
KINDS = {
    "object": "an object",
    "array": "a list",
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
    "datetime": "an instant",
}
TOO_LARGE = "the number is beyond the range of a float; send a smaller one"
ANY_NAME = "[...]"  # a field of an object whose fields may have any name
INSTANT = "it is no instant with an offset; write one like 2026-11-23T08:00:00+08:00"


class DecodeFault(NamedTuple):
    """A fault: `field` is the path of the value, "" for the whole; `reason` what is wrong."""

    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}" if self.field else self.reason


def decode_fault(error: msgspec.ValidationError) -> DecodeFault:
    """The fault that a decoder raised."""
    text = str(error)
    found = PLACE.search(text)
    field = found[1].replace(ANY_NAME, "") if found else ""
    text = text[: found.start()] if found else text
    for pattern, words in WORDS:
        if match := pattern.fullmatch(text):
            return DecodeFault(field, words(match))
    return DecodeFault(field, text)


def packed_fault(error: Exception) -> str:
    """The reason why msgpack, which gave a decoder's `error`, can't be read."""
    match error:
        case msgspec.ValidationError():
            return str(decode_fault(error))
        case UnicodeDecodeError():
            return "a text in it is not UTF-8"
    return "it is cut off" if "truncated" in str(error) else "it is not msgpack"


def kinds_in(text: str) -> str:
    """`str | null` as `a text or null`."""
    return " or ".join(KINDS.get(name, name) for name in text.split(" | "))


def of_length(match: re.Match[str]) -> str:
    """Reason of a text or list that is too short or too long."""
    if match["sign"] == ">=" and match["size"] == "1":
        return "it is empty"
    bound = "at least" if match["sign"] == ">=" else "at most"
    parts = "parts" if match["kind"].startswith("array") else "characters"
    return f"it needs {bound} {match['size']} {parts}"


Words = Callable[[re.Match[str]], str]
WORDS: list[tuple[re.Pattern[str], Words]] = [
    (re.compile(pattern, re.DOTALL), words)
    for pattern, words in (
        (r"Object missing required field `(.*)`", lambda m: f"{m[1]} is missing"),
        (r"Object contains unknown field `(.*)`", lambda m: f"{m[1]} is unknown"),
        (
            r"Expected `(.*)`, got `(.*)`",
            lambda m: f"it is {kinds_in(m[2])}; send {kinds_in(m[1])}",
        ),
        (r"Expected `(?P<kind>.*)` of length (?P<sign>[<>]=) (?P<size>\d+)", of_length),
        (
            r"Expected `array` of at least length (\d+), got \d+",
            lambda m: f"it needs at least {m[1]} parts",
        ),
        (r"Expected `.*` >= (.*)", lambda m: f"it is less than {m[1]}"),
        (r"Expected `.*` <= (.*)", lambda m: f"it is more than {m[1]}"),
        (r"Expected `datetime` with a timezone component", lambda _: INSTANT),
        (r"Invalid RFC3339 encoded datetime", lambda _: INSTANT),
        (r"(?:Number|Integer value) out of range", lambda _: TOO_LARGE),
        (r"Invalid enum value (.*)", lambda m: f"{m[1]} is none of its values"),
    )
]

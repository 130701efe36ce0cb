"""Faults of JSON that can't be read, in words, with their line and column.

The decoder stops at a byte and words it for programmers: "JSON is malformed: invalid character
(byte 57)". Python's own parser, which knows the line, finds the place once more; it quotes nothing,
as the text may be personal.
"""

import json
from json import JSONDecodeError

import msgspec

from schemas.decode_faults import decode_fault

TOO_DEEP = "nested too deeply"
CUT_OFF = "it was cut off; send all of it"
NO_VALUE = "no value begins here; texts stand in double quotes, true, false and null in lower case"
NO_COMMA = "a comma is missing, or the end of an object or a list"
NO_NAME = "a name in double quotes is missing, or the comma before this is one too many"
WORDS = (  # of Python's parser, by the beginning of its message
    ("Expecting value", NO_VALUE),
    ("Expecting property name", NO_NAME),
    ("Illegal trailing comma", NO_NAME),
    ("Expecting ',' delimiter", NO_COMMA),
    ("Expecting ':' delimiter", "a colon is missing after the name"),
    ("Unterminated string", "the text that begins here has no end; it was cut off, send all of it"),
    ("Invalid control character", "a line break or control character in a text; write \\n or \\u…"),
    ("Invalid \\escape", "a backslash that escapes nothing; write \\\\"),
    ("Invalid \\u", "\\u needs four hexadecimal digits"),
    ("Extra data", "the JSON has ended before this; send one document alone"),
    ("Unexpected UTF-8 BOM", "a byte-order mark; leave it out"),
)


def json_fault(error: Exception, data: bytes | str) -> str:
    """The reason why `data`, which gave a decoder's `error`, can't be read.

    Another ValueError, such as that of an instant which is none, is in our own words already.
    """
    match error:
        case RecursionError():
            return TOO_DEEP
        case msgspec.ValidationError():
            return str(decode_fault(error))
        case UnicodeDecodeError():
            return f"byte {first_bad_byte(error, data)} is not UTF-8"
        case msgspec.DecodeError():
            try:
                text = data if isinstance(data, str) else bytes(data).decode()
            except UnicodeDecodeError as unreadable:
                return json_fault(unreadable, data)
            return no_json(text)
    return str(error)


def first_bad_byte(error: UnicodeDecodeError, data: bytes | str) -> int:
    """Number of the first byte that is not UTF-8; msgspec counts from the beginning of its text."""
    if not isinstance(data, str):
        try:
            bytes(data).decode()
        except UnicodeDecodeError as of_all:
            return of_all.start
    return error.start


def no_json(text: str) -> str:
    """The reason why `text`, which the decoder refused, is not JSON (RFC 8259)."""
    constants: list[str] = []
    try:
        json.loads(text, parse_constant=constants.append)
    except RecursionError:
        return TOO_DEEP
    except JSONDecodeError as error:
        return f"no JSON at line {error.lineno}, column {error.colno}: {problem_of(error)}"
    except ValueError:
        return "no JSON: a number has too many digits"
    # Python's parser takes two things more: constants, and half a surrogate pair, which is no
    # character and can't be written as UTF-8, to a topic or to a tier.
    if constants and not has_half_a_pair(text):
        return "NaN and Infinity are not JSON; leave the field out, or send null"
    return "a \\u escape holds half a surrogate pair, which is no character; send both halves"


def problem_of(error: JSONDecodeError) -> str:
    """Problem and remedy at the place where the parser stopped."""
    if not error.doc.strip():
        return "it is empty; send a document"
    if error.pos >= len(error.doc.rstrip()):
        return CUT_OFF
    return next((words for start, words in WORDS if error.msg.startswith(start)), NO_VALUE)


def has_half_a_pair(text: str) -> bool:
    """Return True for JSON, readable by Python, with an escape that is no character."""
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False

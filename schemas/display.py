"""Escaping of text from outside, before it reaches a terminal, a log line or a page.

Escaped is what isn't visible or steers: C0 and C1 control characters, bidirectional overrides and
other format characters, line and paragraph separators, lone surrogates, private use and unassigned
code points. Spaces of other scripts (U+3000) stay. Terminals, readers and log collectors split and
colour lines by these characters, so a value of one order could show another order's status.
"""

import re
import unicodedata
from html import escape

ALLOWED = "Zs"  # spaces: str.isprintable() allows the ordinary one only
UNPRINTABLE_JSON = re.compile(r"[^\n\x20-\x7e]+")


def printable(text: str) -> str:
    r"""The text on one line: `\x1b`, `\u202e` in the place of what isn't printable."""
    if text.isprintable():
        return text
    return "".join(char if is_visible(char) else escaped(char) for char in text)


def printable_lines(text: str) -> str:
    """Several lines of text, each printable. Only for lines that were broken here."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(data: bytes) -> bytes:
    r"""JSON with the same content, in which nothing is left unescaped that `printable` escapes.

    In JSON all of these characters but line ends stand inside texts, where `\u202e` means the same.
    """
    text = data.decode("utf-8", "surrogatepass")
    return UNPRINTABLE_JSON.sub(lambda found: in_json(found[0]), text).encode()


def count_of(number: int, noun: str, plural: str = "") -> str:
    """`1 order`, `2,000 orders`; `plural` where it isn't the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def html(text: str) -> str:
    """The text as the content, or a quoted attribute, of an HTML page."""
    return escape(printable(text), quote=True)


def is_visible(char: str) -> bool:
    """Return True if a character can be shown unchanged."""
    return char.isprintable() or unicodedata.category(char) == ALLOWED


def escaped(char: str) -> str:
    r"""The escape of a character: `\x1b`, `\u202e`, `\U000e0001`."""
    code = ord(char)
    if code <= 0xFF:  # noqa: PLR2004 - two hexadecimal digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - four


def in_json(text: str) -> str:
    """Text inside a JSON text, with the escapes of JSON: two surrogates beyond 16 bits."""
    units = text.encode("utf-16-be", "surrogatepass")
    if all(map(is_visible, text)):
        return text
    codes = [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]
    return "".join(f"\\u{code:04x}" for code in codes)

"""The lines of a key file: NDJSON, a head that tells a wrong master key, then a line per key.

    {"format": 1, "check": base64}
    {"key": id, "customer": digest, "wrapped": base64}

The customer is a digest under the master key: the file says nothing about who has a key.
"""

from pathlib import Path

import msgspec

from privacy.master import Master
from schemas.errors import StateError

FORMAT = 1
CHECK = b"ordertide key file"


class Head(msgspec.Struct, frozen=True):
    """The first line; `check` is CHECK, wrapped."""

    format: int
    check: bytes


class Line(msgspec.Struct, frozen=True):
    """A key: its id, whose it is (`Master.digest`), and itself, wrapped."""

    key: str
    customer: str
    wrapped: bytes

    @property
    def bound_to(self) -> str:
        """What the wrapping is bound to: a key wrapped for one customer isn't one for another."""
        return f"{self.key} {self.customer}"


HEAD = msgspec.json.Decoder(Head)
LINE = msgspec.json.Decoder(Line)


def encode_head(master: Master) -> bytes:
    """The first line of a new file."""
    return msgspec.json.encode(Head(FORMAT, master.wrap(CHECK, "head"))) + b"\n"


def encode_line(line: Line) -> bytes:
    """The line of a key."""
    return msgspec.json.encode(line) + b"\n"


def decode_head(data: bytes, master: Master, path: Path, master_path: Path) -> bytes:
    """What follows the first line of `data`, once that has shown that the master key fits.

    Raises:
        StateError: it is no key file, of another format, or was written under another master key.
    """
    first, _, rest = data.partition(b"\n")
    try:
        head = HEAD.decode(first)
    except msgspec.DecodeError as error:
        raise StateError(f"{path}: not a key file of ordertide, {error}; restore it") from error
    if head.format != FORMAT:
        raise StateError(
            f"{path}: has format {head.format}, this version reads {FORMAT}; use the version that "
            "wrote it"
        )
    if master.unwrap(head.check, "head") != CHECK:
        raise StateError(
            f"{path}: was written under another master key than {master_path}; restore the master "
            "key that belongs to it"
        )
    return rest


def decode_lines(data: bytes, path: Path) -> list[Line]:
    """The keys in whole lines.

    Raises:
        StateError: a line is damaged.
    """
    try:
        return [LINE.decode(line) for line in data.splitlines()]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateError(f"{path}: a line is damaged, {error}; restore the file") from error

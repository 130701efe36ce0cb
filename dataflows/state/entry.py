"""What the objects of a shard store in a bucket hold, and their names.

    store                        who made it, and for how many shards
    log/000000000017             commit 17: every blob and cold row of one epoch
    copies/000000000016-RUN/000  everything as it was after commit 16, in parts;
    copies/000000000016-RUN/end  there once all parts are

An object is 4 bytes of CRC-32 (of its name and what follows) and msgpack. Blobs and rows in it are
framed (dataflows/state/frame.py), with a checksum and a version of their own.
"""

from typing import TypeVar
from zlib import crc32

import msgspec

from dataflows.state.frame import WAY_OUT
from schemas.errors import StateError

FORMAT = 1
CRC_BYTES = 4

Blob = tuple[int, bool, bytes]  # sequence, is base, as stored
Row = tuple[str, int, bytes | None]  # key, sequence, as stored


class Change(msgspec.Struct, array_like=True):
    """What a commit adds to a shard. What the shard had after `previous` never happened."""

    shard: str
    previous: int
    blobs: list[Blob]
    rows: list[Row]


class Entry(msgspec.Struct, array_like=True):
    """A commit. `pointers` are bytewax's recovery files as they were then, by name.

    One without changes says that another process has taken the store over.
    """

    format: int
    store: str
    number: int
    run: str
    host: str
    sequence: int
    changes: list[Change]
    pointers: dict[str, bytes]


class Part(msgspec.Struct, array_like=True):
    """Some rows of a copy, as they stand in the tables of the state file."""

    blobs: list[tuple[int, str, str, int, int, bytes]]
    cold: list[tuple[str, str, int, bytes | None]]
    floors: list[tuple[str, int]]


class End(msgspec.Struct, array_like=True):
    """The last object of a copy: how many parts it has, and the numbers that were given."""

    format: int
    store: str
    parts: int
    size_bytes: int
    sequence: int
    number: int
    run: str


class Owner(msgspec.Struct, array_like=True):
    """The object `store`."""

    format: int
    store: str
    shards: int


Content = TypeVar("Content", Entry, Part, End, Owner)
encode = msgspec.msgpack.Encoder().encode


def log_name(number: int) -> str:
    """The object of a commit; its name has no run in it, so that only one run can write it."""
    return f"log/{number:012}"


def copy_name(number: int, run: str) -> str:
    """The folder of a copy; two runs that copy the same commit don't meet."""
    return f"copies/{number:012}-{run}"


def number_of(name: str) -> int:
    """The number in the name of an object of a log or a copy."""
    return int(name.split("/")[1][:12])


def sealed(name: str, content: Entry | Part | End | Owner) -> bytes:
    """The bytes of an object."""
    body = encode(content)
    return crc32(body, crc32(name.encode())).to_bytes(CRC_BYTES) + body


def unsealed(name: str, found: bytes | None, kind: type[Content]) -> Content:
    """What an object holds.

    Raises:
        StateError: it is missing, damaged or of another version.
    """
    if found is None:
        raise StateError(f"{name}: missing in the bucket; {WAY_OUT}")
    body = memoryview(found)[CRC_BYTES:]
    if crc32(body, crc32(name.encode())).to_bytes(CRC_BYTES) != found[:CRC_BYTES]:
        raise StateError(f"{name}: checksum differs; {WAY_OUT}")
    try:
        content = msgspec.msgpack.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise StateError(f"{name}: {error}; was it written by another version?") from error
    if not isinstance(content, Part) and content.format != FORMAT:
        raise StateError(f"{name}: format {content.format}, this version reads {FORMAT}")
    return content

"""What is known of a sealed file without opening it, and how the files of a partition are named.

A file is `<topic>/<topic>-<partition>-<first offset>.parquet`; its manifest has the same name with
`.json`. What the manifest says of the content stands in the file's footer too, so that a manifest
which a kill has prevented can be made from the file.
"""

from hashlib import blake2b
from typing import Self

import msgspec

from schemas.errors import StateError
from storage_tiering.archive.key_filter import may_hold

DATA = ".parquet"
MANIFEST = ".json"
FOOTER_KEY = b"ordertide"


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds: the records of one partition in `first_offset` <= offset < `next_offset`.

    Records that repeat what is held already, tombstones and heartbeats leave no row. `min_at` and
    `max_at` (ms) span the arrivals of events, or the last changes of orders. `through`: everything
    up to this instant of stream time (ms) was sealed with this file; None if it wasn't known.
    `topic_id` tells the topic from one that is made anew under its name; empty where nobody knew.
    """

    topic: str
    partition: int
    first_offset: int
    next_offset: int
    rows: int
    min_key: str
    max_key: str
    min_at: int
    max_at: int
    through: int | None
    key_filter: str
    topic_id: str = ""

    @property
    def name(self) -> str:
        """The file's name without its ending; sorts by offset within a partition."""
        place = f"{self.topic}-{self.partition}-{self.first_offset:020d}"
        return f"{self.topic}/{place}"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The content, and what the file's bytes are: `checksum` is blake2b-128 (RFC 7693) in hex."""

    content: Content
    size_bytes: int
    checksum: str

    @classmethod
    def of(cls, content: Content, data: bytes) -> Self:
        """The manifest of a file with this content and these bytes."""
        return cls(content=content, size_bytes=len(data), checksum=checksum_of(data))

    @property
    def file(self) -> str:
        """The data file's name."""
        return self.content.name + DATA

    def may_hold(self, key: str) -> bool:
        """False: the file has nothing of this order."""
        content = self.content
        return content.min_key <= key <= content.max_key and may_hold(content.key_filter, key)

    def differs(self) -> StateError:
        """The error for a file that is not what the manifest says."""
        return StateError(
            f"archive manifest {self.content.name}: checksum differs; put a good copy of "
            f"{self.file} in its place: it holds the offsets {self.content.first_offset} to "
            f"{self.content.next_offset - 1} of {self.content.topic} [{self.content.partition}]"
        )


def checksum_of(data: bytes) -> str:
    """32 hex digits over a file's bytes."""
    return blake2b(data, digest_size=16).hexdigest()


def decode_manifest(name: str, data: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        StateError: it is none.
    """
    try:
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        message = f"archive manifest {name}: {error}; remove it: it is made again from its file"
        raise StateError(message) from error

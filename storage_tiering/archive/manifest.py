"""Manifests: the content and the checksums of a sealed file, and the names of a partition's files.

A file is `<topic>/<topic>-<partition>-<first offset>.parquet`; its manifest has the same name with
`.json`. The manifest's description of the content stands in the file's footer too, so that a
manifest prevented by a kill can be made from the file.

`<topic>-<partition>-<next offset>.end` is the end marker of a partition: its chain of files has
reached that offset. It reveals the loss of the last file, behind which no other file starts.
"""

import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Literal, NamedTuple, Self

import msgspec

from schemas.errors import StateError
from storage_tiering.archive.key_filter import may_hold

DATA = ".parquet"
MANIFEST = ".json"
END = ".end"
FOOTER_KEY = b"ordertide"
# A look-up reads and checks only the blocks that it needs: 64 KiB are 0.1 ms of blake2b.
BLOCK_BYTES = 65_536
SEGMENT = re.compile(r"(?P<topic>.+)-(?P<partition>[0-9]{1,9})-(?P<offset>[0-9]{20})")
REPAIR = "run 'ordertide archive verify --repair'"

Kind = Literal["damaged manifest", "damaged file", "missing file", "lost end", "surplus file"]


class Span(NamedTuple):
    """Offsets `first_offset` <= offset < `next_offset` of a partition; None is not known."""

    topic: str
    partition: int
    first_offset: int
    next_offset: int | None

    @property
    def name(self) -> str:
        """The name of the file that starts here, without its ending; sorts by offset."""
        place = f"{self.topic}-{self.partition}-{self.first_offset:020d}"
        return f"{self.topic}/{place}"

    def __str__(self) -> str:
        """`offsets 100 to 199 of orders.events [3]`."""
        partition = f"{self.topic} [{self.partition}]"
        if self.next_offset is None:
            return f"the offsets from {self.first_offset} of {partition}"
        return f"the offsets {self.first_offset} to {self.next_offset - 1} of {partition}"


class Damage(StateError):
    """A file of the archive that is missing, or differs from what was sealed.

    `span` holds the offsets that it concerns, None for a file whose name holds none.
    """

    def __init__(self, kind: Kind, span: Span | None, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.span = span


class SegmentInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One sealed segment: the records of a partition in `first_offset` <= offset < `next_offset`.

    Repeated records, tombstones and heartbeats leave no row. `min_at` and `max_at` (ms) span the
    arrivals of events, or the last changes of orders. `watermark`: everything up to this instant of
    stream time (ms) was sealed with this file; None if it wasn't known. `topic_id` distinguishes
    the topic from one that is recreated under its name; empty where it wasn't known.
    `lacks_compacted`: a repair wrote this file from a compacted topic, which no longer had all.
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
    watermark: int | None
    key_filter: str
    topic_id: str = ""
    lacks_compacted: bool = False

    @property
    def span(self) -> Span:
        """The offsets that it covers."""
        return Span(self.topic, self.partition, self.first_offset, self.next_offset)

    @property
    def name(self) -> str:
        """The file's name without its ending; sorts by offset within a partition."""
        return self.span.name


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The content, and what the file's bytes are: `checksum` is blake2b-128 (RFC 7693) in hex.

    `blocks` has blake2b-64 of each `BLOCK_BYTES` of the file, so that a reader of a part of it
    reads nothing unchecked. `manifest_checksum` is blake2b-128 of the manifest's own JSON with an
    empty `manifest_checksum`.
    """

    content: SegmentInfo
    size_bytes: int
    checksum: str
    blocks: list[str] = []
    manifest_checksum: str = ""

    @classmethod
    def of(cls, content: SegmentInfo, data: bytes) -> Self:
        """The manifest of a file with this content and these bytes."""
        blocks = [block_checksum(block) for block in blocks_of(data)]
        bare = cls(content=content, size_bytes=len(data), checksum=checksum_of(data), blocks=blocks)
        return msgspec.structs.replace(bare, manifest_checksum=bare.own_checksum())

    @property
    def file(self) -> str:
        """The data file's name."""
        return self.content.name + DATA

    def own_checksum(self) -> str:
        """The expected `manifest_checksum`."""
        bare = msgspec.structs.replace(self, manifest_checksum="")
        return checksum_of(msgspec.json.encode(bare))

    def may_hold(self, key: str) -> bool:
        """False: the file has nothing of this order."""
        content = self.content
        return content.min_key <= key <= content.max_key and may_hold(content.key_filter, key)

    def differs(self) -> Damage:
        """The error for a file that differs from its manifest."""
        span = self.content.span
        return Damage(
            "damaged file",
            span,
            f"archive manifest {self.content.name}: checksum differs; put a good copy of "
            f"{self.file} in its place, or {REPAIR}: it holds {span}",
        )

    def file_missing(self) -> Damage:
        """The error for a manifest without its file."""
        span = self.content.span
        return Damage(
            "missing file",
            span,
            f"archive manifest {self.content.name}: its file {self.file} is missing; put it back, "
            f"or {REPAIR}: it holds {span}",
        )


def checksum_of(data: bytes) -> str:
    """32 hex digits over a file's bytes."""
    return blake2b(data, digest_size=16).hexdigest()


def block_checksum(block: bytes | memoryview) -> str:
    """16 hex digits over a block's bytes."""
    return blake2b(block, digest_size=8).hexdigest()


def blocks_of(data: bytes) -> Iterator[memoryview]:
    """The blocks of a file, the last one as long as what is left."""
    view = memoryview(data)
    for start in range(0, len(data), BLOCK_BYTES):
        yield view[start : start + BLOCK_BYTES]


def span_in(name: str) -> Span | None:
    """The partition and first offset in the name of a file (without its ending); None in others."""
    folder, _, stem = name.rpartition("/")
    matched = SEGMENT.fullmatch(stem)
    if matched is None or matched["topic"] != folder:
        return None
    return Span(folder, int(matched["partition"]), int(matched["offset"]), None)


def end_name(span: Span) -> str:
    """The end marker of a chain whose last file covers `span`."""
    return f"{span.topic}/{span.topic}-{span.partition}-{span.next_offset:020d}{END}"


def decode_manifest(name: str, data: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        Damage: it is none, or not as it was sealed: any changed bit shows.
    """
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (ValueError, RecursionError) as error:  # DecodeError and UnicodeDecodeError, too
        raise _damaged(name, str(error)) from error
    if manifest.manifest_checksum != manifest.own_checksum():
        raise _damaged(name, "its own checksum differs")
    if msgspec.json.encode(manifest) != data:
        raise _damaged(name, "it is not as it was sealed")
    if manifest.content.name != name:
        raise _damaged(name, f"it is that of {manifest.content.name}")
    return manifest


def _damaged(name: str, problem: str) -> Damage:
    return Damage(
        "damaged manifest",
        span_in(name),
        f"archive manifest {name}: {problem}; remove it: it is recreated from its file "
        f"({REPAIR} does so)",
    )

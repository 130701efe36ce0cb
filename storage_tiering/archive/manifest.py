"""Manifests: the content and the checksums of a segment, whose place `names.py` gives.

A segment is sealed once its manifest is. The manifest's description of the content stands in the
data file's footer too, so that a lost manifest can be made from the file.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import BinaryIO, Literal, Self

import msgspec

from schemas.errors import StateError
from schemas.json_faults import json_fault
from storage_tiering.archive.key_filter import may_hold
from storage_tiering.archive.names import (
    FORMAT,
    Span,
    data_name,
    manifest_name,
    merged_name,
    replaced_name,
    span_in,
    staged_name,
)

FOOTER_KEY = b"ordertide"
# A look-up reads and checks only the blocks that it needs: 64 KiB are 0.1 ms of blake2b.
BLOCK_BYTES = 65_536
REPAIR = "run 'ordertide archive verify --repair'"

Kind = Literal["damaged manifest", "damaged file", "missing file", "lost end", "surplus file"]


class Damage(StateError):
    """A file of the archive that is missing, or differs from what was sealed.

    `span` holds the offsets that it concerns, None for a file whose name holds none. `name` is the
    segment's stem, by default that of the segment sealed at the span's begin.
    """

    def __init__(
        self, kind: Kind, span: Span | None, message: str, name: str | None = None
    ) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.span = span
        self.name = name or (span and span.name)


class SegmentInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One sealed segment: the records of a partition in `first_offset` <= offset < `next_offset`.

    Repeated records, tombstones and heartbeats leave no row. `min_at` and `max_at` (ms) span the
    arrivals of events, or the last changes of orders. `watermark`: everything up to this instant of
    stream time (ms) was sealed with this file; None if it wasn't known. `topic_id` distinguishes
    the topic from one that is recreated under its name; empty where it wasn't known.
    `lacks_compacted`: a repair wrote this file from a compacted topic, which no longer had all.
    `arrival_day` is the UTC day on which its first row arrived. `merge`: the number of the merge
    that made it of other segments; 0 for one sealed by a writer.
    """

    format: int = FORMAT
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
    arrival_day: str
    topic_id: str = ""
    lacks_compacted: bool = False
    merge: int = 0

    @property
    def span(self) -> Span:
        """The offsets that it covers."""
        return Span(self.topic, self.partition, self.first_offset, self.next_offset)

    @property
    def name(self) -> str:
        """The segment's stem."""
        if self.merge:
            return merged_name(self.topic, self.partition, self.merge)
        return self.span.name

    @property
    def file(self) -> str:
        """The data file's name."""
        return data_name(self.name, self.arrival_day)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The content, and what the file's bytes are: `checksum` is blake2b-128 (RFC 7693) in hex.

    `blocks` has blake2b-64 of each `BLOCK_BYTES` of the file, so that a reader of a part of it
    reads nothing unchecked. `upload` is part of the name under which the file was staged; empty for
    a manifest made from its file. `manifest_checksum` is blake2b-128 of the manifest's own JSON
    with an empty `manifest_checksum`.
    """

    content: SegmentInfo
    size_bytes: int
    checksum: str
    blocks: list[str] = []
    upload: str = ""
    manifest_checksum: str = ""

    @classmethod
    def of(cls, content: SegmentInfo, data: BinaryIO, upload: str = "") -> Self:
        """The manifest of a file with this content and these bytes, read from where it stands."""
        whole, blocks, size_bytes = blake2b(digest_size=16), [], 0
        for block in blocks_of(data):
            whole.update(block)
            blocks.append(block_checksum(block))
            size_bytes += len(block)
        bare = cls(
            content=content,
            size_bytes=size_bytes,
            checksum=whole.hexdigest(),
            blocks=blocks,
            upload=upload,
        )
        return msgspec.structs.replace(bare, manifest_checksum=bare.own_checksum())

    @property
    def file(self) -> str:
        """The data file's name."""
        return self.content.file

    @property
    def staged(self) -> str:
        """The data file's place before it has its name."""
        return staged_name(self.content.name, self.upload)

    @property
    def places(self) -> tuple[str, ...]:
        """All places of the data file, in an order in which no move between two of them is missed.

        It goes from staged to its name, and from there to the replaced ones.
        """
        return self.file, self.staged, self.file, replaced_name(self.content.name)

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
            self.content.name,
        )

    def file_missing(self) -> Damage:
        """The error for a manifest without its file."""
        span = self.content.span
        return Damage(
            "missing file",
            span,
            f"archive manifest {self.content.name}: its file {self.file} is missing; put it back, "
            f"or {REPAIR}: it holds {span}",
            self.content.name,
        )


def checksum_of(data: bytes) -> str:
    """32 hex digits over a file's bytes."""
    return blake2b(data, digest_size=16).hexdigest()


def block_checksum(block: bytes) -> str:
    """16 hex digits over a block's bytes."""
    return blake2b(block, digest_size=8).hexdigest()


def blocks_of(data: BinaryIO) -> Iterator[bytes]:
    """The blocks of a file, the last one as long as what is left."""
    while block := data.read(BLOCK_BYTES):
        yield block


def check_format(name: str, written: int) -> None:
    """Refuse files that this version doesn't read.

    Raises:
        StateError: names the remedy.
    """
    if written != FORMAT:
        raise StateError(
            f"archive {name}: format {written}, this version reads format {FORMAT}; use the "
            "version that wrote it, or set [archive] folder to a new one, which its writer fills "
            "from the topics; 'ordertide replay' still reads the old files of events"
        )


def decode_manifest(name: str, data: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        Damage: it is none, or not as it was sealed: any changed bit shows.
        StateError: it is whole, and of another format.
    """
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (ValueError, RecursionError) as error:  # DecodeError and UnicodeDecodeError, too
        raise _damaged(name, json_fault(error, data)) from error
    if manifest.manifest_checksum != manifest.own_checksum():
        raise _damaged(name, "its own checksum differs")
    if msgspec.json.encode(manifest) != data:
        raise _damaged(name, "it is not as it was sealed")
    if manifest.content.name != name:
        raise _damaged(name, f"it is that of {manifest.content.name}")
    check_format(manifest_name(name), manifest.content.format)
    return manifest


def _damaged(name: str, problem: str) -> Damage:
    return Damage(
        "damaged manifest",
        span_in(name),
        f"archive manifest {name}: {problem}; remove it: it is recreated from its file "
        f"({REPAIR} does so)",
        name,
    )

"""A stored blob's frame: version, codec, CRC-32, then the bytes.

    version   1 byte
    codec     1 byte    0 as it is, 1 zstd
    checksum  4 bytes   CRC-32 (zlib's) of version and codec, the identity, the payload as stored

The identity names the place of the blob, so that a whole blob in a wrong place is damage too. The
version determines how all of this, and the blob inside, is decoded. A blob of an older version is
brought up to this one, a version at a time, by the `UPGRADES`; what is staged is in this version.

    5   packed orders in format 3 (engine/core/src/order/packing.rs)
    8   numbers with many orders by order (engine/core/src/resolver/crowd.rs)

Nothing was released yet, so older versions are refused: recreate the state, or use the version
that wrote them.

zstd at level -3 makes packed orders 0.62 of their size at 630-720 MB/s, level 1 makes them 0.56 at
390-430, level 3 0.54 at 220: compressing is the largest part of an epoch's end, so the fast one.
A single order (a retired row) has too little in it that repeats: 14 % for 13 us, so short blobs
stay as they are.
"""

import threading
from collections.abc import Callable, Mapping
from struct import Struct
from typing import NamedTuple
from zlib import crc32

import zstandard

from schemas.errors import DamagedState

FORMAT = 8
PLAIN, ZSTD = 0, 1
HEADER = Struct("<BBI")
SHORT_BYTES = 1024
LEVEL = -3
WORTH_IT = 0.9  # a blob that stays larger than this share of itself is kept as it is

HELD = threading.local()

REMEDY = (
    "restore the state and the recovery folder of the same moment from a backup, "
    "or rebuild the state from the events with `ordertide track --begin-anew`"
)


class FrameIdentity(NamedTuple):
    """Identity of a frame: a blob by the run that wrote it, a row of a retired order by its key."""

    store: str
    shard: str
    sequence: int
    name: str
    is_retired: bool = False

    @property
    def identity(self) -> bytes:
        """The bytes that the checksum begins with."""
        return f"{self.store} {self.shard} {self.sequence} {self.name}".encode()

    def __str__(self) -> str:
        if self.is_retired:
            return f"shard {self.shard}, retired row {self.name} of blob {self.sequence}"
        return f"shard {self.shard}, blob {self.sequence}"


# From a blob of one version to the same in the next.
Upgrade = Callable[[FrameIdentity, bytes], bytes]


# {version: how its blobs become blobs of version + 1}. From the first release on: when FORMAT
# grows, the way from the version before is added here, and a file of that version to the tests.
UPGRADES: Mapping[int, Upgrade] = {}


def compress(blob: bytes) -> tuple[int, bytes]:
    """(codec, payload) of a blob: the smaller of it and its compressed form."""
    if len(blob) >= SHORT_BYTES:
        # A compressor isn't thread-safe; a new one costs 40 us, holding a lock would cost more.
        payload = zstandard.ZstdCompressor(level=LEVEL).compress(blob)
        if len(payload) <= len(blob) * WORTH_IT:
            return ZSTD, payload
    return PLAIN, blob


def frame(codec: int, payload: bytes, frame_id: FrameIdentity) -> bytes:
    """The bytes to store."""
    return HEADER.pack(FORMAT, codec, checksum(FORMAT, codec, payload, frame_id)) + payload


def unframe(
    stored: bytes,
    frame_id: FrameIdentity,
    upgrades: Mapping[int, Upgrade] = UPGRADES,
    version_wanted: int = FORMAT,
) -> bytes:
    """Decode the blob in `stored`, upgraded to `version_wanted`.

    Raises:
        DamagedState: the bytes are damaged, or of an unknown version.
    """
    if len(stored) < HEADER.size:
        raise DamagedState(f"{frame_id}: cut off after {len(stored)} bytes; {REMEDY}")
    version, codec, stored_checksum = HEADER.unpack_from(stored)
    payload = memoryview(stored)[HEADER.size :]
    if version != version_wanted:
        check_version(version, frame_id, upgrades, version_wanted)
    if checksum(version, codec, payload, frame_id) != stored_checksum:
        raise DamagedState(f"{frame_id}: checksum differs; {REMEDY}")
    blob = decompress(codec, payload, frame_id)
    for step in range(version, version_wanted):
        blob = upgrades[step](frame_id, blob)
    return blob


def check_version(
    version: int,
    frame_id: FrameIdentity,
    upgrades: Mapping[int, Upgrade],
    version_wanted: int,
) -> None:
    """Check that a stored version can be upgraded to the wanted one.

    Raises:
        StateError: it is of a later version, or too old.
    """
    if 0 < version < version_wanted and all(
        step in upgrades for step in range(version, version_wanted)
    ):
        return
    reason = f"stored in format {version}, this version reads format {version_wanted}"
    raise DamagedState(f"{frame_id}: {reason}; use the version that wrote it, or {REMEDY}")


def decompress(codec: int, payload: memoryview, frame_id: FrameIdentity) -> bytes:
    """The blob of a payload whose checksum is right.

    Raises:
        StateError: the codec is unknown, or its bytes don't make sense.
    """
    if codec == PLAIN:
        return bytes(payload)
    if codec != ZSTD:
        raise DamagedState(f"{frame_id}: unknown codec {codec}; {REMEDY}")
    try:
        return decompressor().decompress(payload)
    except zstandard.ZstdError as error:
        raise DamagedState(f"{frame_id}: {error}; {REMEDY}") from error


def decompressor() -> zstandard.ZstdDecompressor:
    """The thread's own: they are not thread-safe, and a new one for each delta costs 15 us."""
    if not hasattr(HELD, "decompressor"):
        HELD.decompressor = zstandard.ZstdDecompressor()
    found: zstandard.ZstdDecompressor = HELD.decompressor
    return found


def checksum(version: int, codec: int, payload: bytes | memoryview, frame_id: FrameIdentity) -> int:
    """CRC-32 of version and codec, the identity, the payload as stored."""
    return crc32(payload, crc32(bytes((version, codec)) + frame_id.identity))

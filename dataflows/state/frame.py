"""A stored blob's frame: format version, codec, CRC-32, then the bytes.

    version   1 byte    FORMAT
    codec     1 byte    0 as it is, 1 zstd
    checksum  4 bytes   CRC-32 (zlib's) of the identity, then of the payload as stored

The identity says where the blob belongs, so that a whole blob in a wrong place is damage too.

zstd at level 1 makes packed orders half their size at 370 MB/s, which is faster than writing that
half twice (log, then file); zlib at level 1 does 60-120 MB/s for less. A single order (a cold row)
has too little in it that repeats: 14 % for 13 us, so short blobs stay as they are.
"""

from struct import Struct
from zlib import crc32

import zstandard

from schemas.errors import StateError

FORMAT = 1
PLAIN, ZSTD = 0, 1
HEADER = Struct("<BBI")
SHORT_BYTES = 1024
WORTH_IT = 0.9  # a blob that stays larger than this share of itself is kept as it is

WAY_OUT = (
    "restore the state and the recovery folder of the same moment from a backup, "
    "or remove both and rebuild the state from the events"
)


def squeeze(blob: bytes) -> tuple[int, bytes]:
    """(codec, payload) of a blob: the smaller of it and its compressed form."""
    if len(blob) >= SHORT_BYTES:
        # A compressor isn't thread-safe; a new one costs 40 us, holding a lock would cost more.
        payload = zstandard.ZstdCompressor(level=1).compress(blob)
        if len(payload) <= len(blob) * WORTH_IT:
            return ZSTD, payload
    return PLAIN, blob


def frame(codec: int, payload: bytes, identity: str) -> bytes:
    """The bytes to store."""
    return HEADER.pack(FORMAT, codec, checksum(payload, identity)) + payload


def unframe(stored: bytes, identity: str, name: str) -> bytes:
    """The blob in `stored`; `name` is what an error calls it.

    Raises:
        StateError: the bytes are damaged, or of a format that this version doesn't know.
    """
    if len(stored) < HEADER.size:
        raise StateError(f"{name}: cut off after {len(stored)} bytes; {WAY_OUT}")
    version, codec, said = HEADER.unpack_from(stored)
    payload = stored[HEADER.size :]
    if version != FORMAT:
        reason = f"stored in format {version}, this version reads format {FORMAT}"
        raise StateError(f"{name}: {reason}; use the version that wrote it, or {WAY_OUT}")
    if checksum(payload, identity) != said:
        raise StateError(f"{name}: checksum differs; {WAY_OUT}")
    return unsqueeze(codec, payload, name)


def unsqueeze(codec: int, payload: bytes, name: str) -> bytes:
    """The blob of a payload whose checksum is right.

    Raises:
        StateError: the codec is unknown, or its bytes don't make sense.
    """
    if codec == PLAIN:
        return payload
    if codec != ZSTD:
        raise StateError(f"{name}: unknown codec {codec}; {WAY_OUT}")
    try:
        return zstandard.ZstdDecompressor().decompress(payload)
    except zstandard.ZstdError as error:
        raise StateError(f"{name}: {error}; {WAY_OUT}") from error


def checksum(payload: bytes, identity: str) -> int:
    """CRC-32 over the identity, then the payload."""
    return crc32(payload, crc32(identity.encode()))

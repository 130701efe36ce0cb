"""Body of a request: read within its bounds of size and time, and decompressed within its own.

A sender that announces too much is refused before a byte is read.
"""

import asyncio
import zlib
from collections.abc import Callable

import zstandard
from starlette.requests import ClientDisconnect, Request

from gateway.problems import Problem

MIB = 1 << 20
MOST_BYTES = MIB
MOST_UNPACKED = 8 * MIB
MOST_RATIO = 100
WITHIN_S = 20.0
GZIP = 31  # zlib's window bits for gzip

Unpack = Callable[[bytes, int], bytes]


async def body_of(
    request: Request, most_bytes: int = MOST_BYTES, within_s: float = WITHIN_S
) -> bytes:
    """The body, decompressed; all of it has to come `within_s`.

    Raises:
        Problem: `too_large`, `too_slow`, `bad_encoding`.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most_bytes:
        raise too_large(most_bytes)
    try:
        async with asyncio.timeout(within_s):
            data = await read(request, most_bytes)
    except TimeoutError as error:
        raise Problem("too_slow", f"the body took over {within_s:g} s; send it faster") from error
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    return unpacked(data, encoding)


async def read(request: Request, most_bytes: int) -> bytes:
    """The bytes as they come."""
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > most_bytes:
                raise too_large(most_bytes)
            parts.append(part)
    except ClientDisconnect as error:
        raise Problem("too_slow", "the sender left before its body ended") from error
    return b"".join(parts)


def unpacked(data: bytes, encoding: str) -> bytes:
    """Decompressed bytes; 8 MiB and a hundred times their size at most.

    Raises:
        Problem: `too_large`, `bad_encoding`.
    """
    if encoding in {"", "identity"}:
        return data
    unpack = UNPACK.get(encoding)
    if unpack is None:
        known = ", ".join(UNPACK)
        raise Problem("bad_encoding", f"Content-Encoding: {encoding!r} is none of {known}")
    most = min(MOST_UNPACKED, MOST_RATIO * len(data))
    try:
        found = unpack(data, most + 1)
    except (zlib.error, zstandard.ZstdError) as error:
        raise Problem("bad_encoding", f"Content-Encoding: the body is no {encoding}") from error
    if len(found) > most:
        raise Problem("too_large", f"decompressed, the body has over {most} bytes; send less")
    return found


def from_gzip(data: bytes, most: int) -> bytes:
    """At most `most` bytes of gzip."""
    unpacker = zlib.decompressobj(GZIP)
    found = unpacker.decompress(data, most)
    if len(found) < most and not unpacker.eof:
        raise zlib.error("cut off")
    return found


def from_zstd(data: bytes, most: int) -> bytes:
    """At most `most` bytes of zstd."""
    limit = zstandard.ZstdDecompressor(max_window_size=MOST_UNPACKED)
    with limit.stream_reader(data) as reader:
        return reader.read(most)


UNPACK: dict[str, Unpack] = {"gzip": from_gzip, "zstd": from_zstd}


def too_large(most_bytes: int) -> Problem:
    """The problem of a body that is too large."""
    return Problem("too_large", f"the body has over {most_bytes} bytes; send it in parts")

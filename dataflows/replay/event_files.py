"""Event files: NDJSON, plain, .gz or .zst, and Parquet; `-` is standard input."""

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import IO, NamedTuple, cast

import pyarrow as pa
import zstandard

from dataflows.replay.parquet_files import read_parquet
from schemas.errors import SettingsError

MAX_LINE_BYTES = 4 * 1024 * 1024  # eight times what is taken: the rest is hashed, not held
PIECE_BYTES = 256 * 1024


class Line(NamedTuple):
    """One record: its bytes, the file and the line (row) from 1.

    Of one over `MAX_LINE_BYTES` only its hash (SHA-256, hexadecimal) and size; it has no bytes.
    """

    data: bytes
    file: str
    number: int
    sha256: str = ""
    size_bytes: int = 0


def read_events(path: str) -> Iterator[Line]:
    """The records of one file.

    Raises:
        SettingsError: the file can't be read.
    """
    try:
        if path.endswith(".parquet"):
            for number, data in enumerate(read_parquet(path), 1):
                yield short_or_hash(data, path, number)
        else:
            yield from read_lines(path)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError, pa.ArrowException) as error:
        code = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(code) if code else " ".join(str(error).split())
        message = f"{path}: can't be read: {reason}"
        raise SettingsError(message) from error


def short_or_hash(data: bytes, path: str, number: int) -> Line:
    """A row as a line."""
    if len(data) <= MAX_LINE_BYTES:
        return Line(data, path, number)
    return Line(b"", path, number, sha256(data).hexdigest(), len(data))


def read_lines(path: str) -> Iterator[Line]:
    """The lines of an NDJSON file; empty ones are passed over."""
    with open_lines(path) as stream:
        number = 0
        while data := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(data) > MAX_LINE_BYTES and not data.endswith(b"\n"):
                yield long_line(data, stream, path, number)
                continue
            line = data.rstrip(b"\r\n")
            if line.strip():
                yield Line(line, path, number)


def long_line(begun: bytes, stream: IO[bytes], path: str, number: int) -> Line:
    """A line whose beginning was read, without holding it: hash and size, without its end."""
    digest, size_bytes = sha256(), 0
    piece = begun
    while piece:
        is_last = piece.endswith(b"\n")
        text = piece.rstrip(b"\r\n")
        digest.update(text)
        size_bytes += len(text)
        if is_last:
            break
        ends = piece[len(text) :]  # a \r that may belong to the line's end, or stand within it
        more = stream.readline(PIECE_BYTES)
        piece = ends + more if more else b""
    return Line(b"", path, number, digest.hexdigest(), size_bytes)


def open_lines(path: str) -> IO[bytes]:
    """Open a file by the ending of its name."""
    if path == "-":
        return sys.stdin.buffer
    if path.endswith(".gz"):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if path.endswith(".zst"):
        return io.BufferedReader(zstandard.open(path, "rb"))
    return Path(path).open("rb")

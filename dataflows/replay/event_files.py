"""Event files: NDJSON, plain, .gz or .zst, and Parquet; `-` is standard input."""

import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from schemas.errors import SettingsError

MAX_LINE_BYTES = 64 * 1024 * 1024
ARCHIVED = ("event", "order_id", "arrival_at")  # of the archive's columns, what a replay needs
ARCHIVE_FOOTER = b"ordertide"  # the archive's files have it


class Line(NamedTuple):
    """One record: its bytes, the file and the line (row) from 1."""

    data: bytes
    file: str
    number: int


def read_events(path: str) -> Iterator[Line]:
    """The records of one file.

    Raises:
        SettingsError: the file can't be read.
    """
    try:
        if path.endswith(".parquet"):
            yield from read_parquet(path)
        else:
            yield from read_lines(path)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError, pa.ArrowInvalid) as error:
        message = f"{path}: can't be read: {' '.join(str(error).split())}"
        raise SettingsError(message) from error


def read_lines(path: str) -> Iterator[Line]:
    """The lines of an NDJSON file; empty ones are passed over."""
    with open_lines(path) as stream:
        number = 0
        while data := stream.readline(MAX_LINE_BYTES):
            number += 1
            line = data.rstrip(b"\r\n")
            if line.strip():
                yield Line(line, path, number)


def open_lines(path: str) -> IO[bytes]:
    """Open a file by the ending of its name."""
    if path == "-":
        return sys.stdin.buffer
    if path.endswith(".gz"):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if path.endswith(".zst"):
        return io.BufferedReader(zstandard.open(path, "rb"))
    return Path(path).open("rb")


def read_parquet(path: str) -> Iterator[Line]:
    """The rows of a Parquet file as JSON: the archive's events, or all columns as fields.

    The archive's files of orders.changes hold what came of the events, and so none: `archive/**`
    may name them.
    """
    file = pq.ParquetFile(path)
    names = file.schema_arrow.names
    if "event" not in names and ARCHIVE_FOOTER in (file.schema_arrow.metadata or {}):
        return
    wanted = [name for name in ARCHIVED if name in names] if "event" in names else None
    number = 0
    for batch in file.iter_batches(batch_size=4096, columns=wanted):
        for row in in_microseconds(batch).to_pylist():
            number += 1
            event = row.pop("event", None)
            data = event.encode() if isinstance(event, str) else event
            yield Line(as_judged(data, row) if data else json_of(row), path, number)


def as_judged(data: bytes, row: dict[str, Any]) -> bytes:
    """An archived event, of the order that it was given to and with the arrival that counted.

    A scan that named a waybill stands there once for every order of its parcel, and its arrival is
    not before that of the event which registered the number. Replayed, each copy names its order,
    so it is an event of that order alone: nothing is resolved, given out again or made to wait.
    The dedup key holds within an order, so copies with one event_id don't hide each other. They are
    counted one by one: a replay of the archive reads more events than the one of the originals.
    What isn't JSON is left as it is, for the decoder to say why.
    """
    if not row:
        return data
    try:
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return data
    arrival_at = row.pop("arrival_at", None)
    known = row if arrival_at is None else {**row, "recorded_at": arrival_at}
    return msgspec.json.encode(
        fields | {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in known.items()}
    )


def in_microseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with its times as Python can hold them: pandas writes nanoseconds."""
    fields = [
        field.with_type(pa.timestamp("us", field.type.tz))
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns"
        else field
        for field in batch.schema
    ]
    return batch.cast(pa.schema(fields), safe=False)


def json_of(row: dict[str, Any]) -> bytes:
    """A row without its nulls as JSON."""
    known = {name: value for name, value in row.items() if value is not None}
    return json.dumps(known, default=plain).encode()


def plain(value: object) -> str:
    """What JSON has no kind for: times as RFC 3339, the rest (bytes, decimals) as it is written."""
    return value.isoformat() if isinstance(value, datetime | date) else str(value)

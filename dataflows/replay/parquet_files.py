"""Parquet files of events: the archive's, or any table whose columns are the fields of events.

Whatever a column holds that JSON can't have is named with the file and the column: pandas, Spark
and databases write types that Python has no values for.
"""

import json
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import SettingsError

# Of the archive's columns, what a replay needs; its first format had `event`.
ARCHIVED = ("event_json", "event", "order_id", "arrival_at")
TEXTS = ("event_json", "event")
ARCHIVE_FOOTER = b"ordertide"  # the archive's files have it
BATCH_ROWS = 4096
BATCH_BYTES = 32 * 1024 * 1024


def read_parquet(path: str) -> Iterator[bytes]:
    """The rows of a Parquet file as JSON: the archive's events, or all columns as fields.

    The archive's files of orders.changes hold what came of the events, and so none: `archive/**`
    may name them.

    Raises:
        SettingsError: a column can't be read as events or as JSON; names it.
        OSError, pa.ArrowException: it is no Parquet file, or a damaged one.
    """
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        # Of the file, not of its schema: what is added behind the rows is in no Arrow schema.
        is_archived = any(name in schema.names for name in TEXTS)
        if not is_archived and ARCHIVE_FOOTER in (file.metadata.metadata or {}):
            return
        check_columns(schema, path)
        wanted = [name for name in ARCHIVED if name in schema.names] if is_archived else None
        for batch in file.iter_batches(batch_size=rows_at_once(file), columns=wanted):
            for row in rows_of(in_microseconds(batch), path):
                yield as_event(row, path)


def check_columns(schema: pa.Schema, path: str) -> None:
    """Refuse a table whose columns can't be fields, before any of it is read.

    Raises:
        SettingsError: `event_json` or `event` holds no text, or two columns have one name.
    """
    for name in schema.names:
        if schema.names.count(name) > 1:
            raise unusable(path, name, "is there twice", "rename one of them")
    for name in TEXTS:
        if name in schema.names and not holds_text(schema.field(name).type):
            kind = schema.field(name).type
            raise unusable(path, name, f"is {kind}", "it has to hold events as JSON texts")


def holds_text(kind: pa.DataType) -> bool:
    """Return True if a column of this type holds text, bytes that may be text, or nothing."""
    if pa.types.is_dictionary(kind):
        return holds_text(kind.value_type)
    texts = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
        pa.types.is_null,
    )
    return any(is_one(kind) for is_one in texts)


def rows_at_once(file: pq.ParquetFile) -> int:
    """Number of rows of a batch, by the size of the largest row group's rows."""
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    row_bytes = [group.total_byte_size // max(group.num_rows, 1) for group in groups]
    return max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, *row_bytes, 1)))


def rows_of(batch: pa.RecordBatch, path: str) -> Iterator[dict[str, Any]]:
    """The rows of a batch, converted column by column, so that a fault has its column's name.

    Raises:
        SettingsError: a column holds what Python has no value for.
    """
    columns = [
        values_of(column, name, path)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    names = batch.schema.names
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def values_of(column: "pa.Array[Any]", name: str, path: str) -> list[Any]:
    """The values of a column; raises like `rows_of`."""
    try:
        return column.to_pylist()
    except Exception as error:
        # pyarrow and the time zones raise whatever they raise: OverflowError, KeyError, their own.
        problem = f"is {column.type}, and holds what can't be read ({' '.join(str(error).split())})"
        remedy = "leave it out, or write it as text"
        raise unusable(path, name, problem, remedy) from error


def as_event(row: dict[str, Any], path: str) -> bytes:
    """The JSON of a row.

    Raises:
        SettingsError: a column holds what JSON can't have.
    """
    event = next((text for name in TEXTS if (text := row.pop(name, None))), None)
    data = event.encode() if isinstance(event, str) else event
    try:
        return as_judged(data, row) if data else json_of(row)
    except (TypeError, ValueError, OverflowError) as error:
        for name, value in row.items():
            if not is_json(value):
                remedy = "leave it out, or write it as text"
                raise unusable(path, name, f"can't be written as JSON ({error})", remedy) from error
        raise


def is_json(value: object) -> bool:
    """Return True if a value can be written as JSON by both encoders used here."""
    try:
        json.dumps(value, default=plain).encode()
        msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def unusable(path: str, name: str, problem: str, remedy: str) -> SettingsError:
    """An error that names file and column."""
    return SettingsError(f"{path}: can't be read: column {name!r} {problem}; {remedy}")


def as_judged(data: bytes, row: dict[str, Any]) -> bytes:
    """Restore an archived event with the order it was resolved to and the arrival that counted.

    A scan that named a waybill stands there once for every order of its parcel, and its arrival is
    not before that of the event which registered the number. Replayed, each copy names its order,
    so it is an event of that order alone: nothing is resolved, fanned out or made to wait again.
    The dedup key holds within an order, so copies with one event_id don't hide each other. They are
    counted one by one: a replay of the archive reads more events than the one of the originals.

    Bytes that aren't JSON are returned unchanged, for the decoder to reject.
    """
    if not row:
        return data
    try:
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
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
    """Convert a value without a JSON type: times to RFC 3339, bytes that are text to text.

    Databases and older writers mark texts as plain bytes.
    """
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return str(value)
    return value.isoformat() if isinstance(value, datetime | date) else str(value)

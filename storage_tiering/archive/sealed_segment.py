"""Data files: written as bytes, read with what the manifest says about them."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import StateError
from schemas.keys import split_order_key
from storage_tiering.archive.files import ArchiveFiles
from storage_tiering.archive.manifest import FOOTER_KEY, Content, Manifest

# A look-up reads the row groups whose range of order ids holds the one asked for. Of 50,000 rows
# with 500 bytes of JSON each, one row took 2.5 ms with groups of 5,000.
ROWS_PER_GROUP = 5_000


def parquet_bytes(table: pa.Table, content: Content) -> bytes:
    """The file of `table`, with `content` in its footer."""
    footer = {**(table.schema.metadata or {}), FOOTER_KEY: msgspec.json.encode(content)}
    sink = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata(footer),
        sink,
        compression="zstd",
        # Ids and JSON hardly repeat: for them a dictionary would only be written and given up.
        use_dictionary=_repeating(table),  # type: ignore[arg-type]  # the stubs know only yes or no
        row_group_size=ROWS_PER_GROUP,
        write_page_checksum=True,
    )
    return sink.getvalue()


def _repeating(table: pa.Table) -> list[str]:
    return [field.name for field in table.schema if pa.types.is_dictionary(field.type)]


def content_of(name: str, data: bytes) -> Content:
    """What the footer of a data file says of it.

    Raises:
        StateError: it is no file of the archive, or a damaged one.
    """
    try:
        footer = pq.read_schema(io.BytesIO(data)).metadata or {}
        return msgspec.json.decode(footer[FOOTER_KEY], type=Content)
    except (pa.ArrowException, OSError, KeyError, msgspec.DecodeError) as error:
        message = f"archive file {name}: no file of the archive, or damaged ({error}); move it away"
        raise StateError(message) from error


def rows_of(files: ArchiveFiles, manifest: Manifest, key: str) -> list[dict[str, Any]]:
    """The rows of one order.

    Raises:
        StateError: the file is damaged; names its manifest.
    """
    tenant, order_id = split_order_key(key)
    only = (pc.field("order_id") == order_id) & (pc.field("tenant") == tenant)
    with _undamaged(manifest), files.open(manifest.file) as file:
        table = pq.read_table(file, filters=only, page_checksum_verification=True)
    return table.to_pylist()


def columns_of(
    files: ArchiveFiles, manifest: Manifest, columns: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """The values of some columns, row by row.

    Raises:
        StateError: the file is damaged; names its manifest.
    """
    with _undamaged(manifest), files.open(manifest.file) as file:
        table = pq.read_table(file, columns=list(columns), page_checksum_verification=True)
    return zip(*(table.column(name).to_pylist() for name in columns), strict=True)


@contextmanager
def _undamaged(manifest: Manifest) -> Iterator[None]:
    try:
        yield
    except pa.ArrowException as error:
        raise manifest.differs() from error
    except OSError as error:
        if error.errno is not None:  # the store's trouble, not the file's content
            raise
        raise manifest.differs() from error

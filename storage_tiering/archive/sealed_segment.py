"""Data files: written as bytes that carry their own checksum, read block by block as checked."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.keys import split_order_key
from storage_tiering.archive.checked import CheckedFile
from storage_tiering.archive.files import ArchiveFiles
from storage_tiering.archive.manifest import (
    FOOTER_KEY,
    REPAIR,
    Damage,
    Manifest,
    SegmentInfo,
    checksum_of,
    span_in,
)

# A look-up reads the row groups whose range of order ids holds the requested one. Of 50,000 rows
# with 500 bytes of JSON each, one row took 2.5 ms with groups of 5,000.
ROWS_PER_GROUP = 5_000
CHECKSUM_KEY = b"ordertide.checksum"
NO_CHECKSUM = b"0" * 32
# In the footer (Thrift's compact protocol) a field's type and the length stand between key and
# value. Looked for by its bytes, as damaged bytes are not to be parsed.
CHECKSUM = re.compile(re.escape(CHECKSUM_KEY) + rb"[^0-9a-f]{1,4}([0-9a-f]{32})", re.DOTALL)


def parquet_bytes(table: pa.Table, content: SegmentInfo) -> bytes:
    """The file of `table`, with `content` and the file's own checksum in its footer.

    The checksum is taken over the file with zeros in the place of the checksum. By it a manifest
    that is made from the file can't vouch for bytes that have changed.
    """
    sink = io.BytesIO()
    footer = msgspec.json.encode(content)
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        # Ids and JSON hardly repeat: for them a dictionary would only be written and given up.
        use_dictionary=_repeating(table),  # type: ignore[arg-type]  # the stubs have only a bool
        write_page_checksum=True,
    ) as writer:
        writer.write_table(table, row_group_size=ROWS_PER_GROUP)
        place_holder = checksum_of(sink.getvalue() + footer).encode()
        texts = {FOOTER_KEY: footer, CHECKSUM_KEY: place_holder}
        writer.add_key_value_metadata({k.decode(): text.decode() for k, text in texts.items()})
    data = sink.getvalue()
    at = data.rindex(place_holder)
    return with_checksum(data, at, checksum_of(with_checksum(data, at, NO_CHECKSUM)).encode())


def with_checksum(data: bytes, at: int, checksum: bytes) -> bytes:
    """The bytes with this checksum in the place `at`."""
    return data[:at] + checksum + data[at + len(NO_CHECKSUM) :]


def is_as_sealed(data: bytes) -> bool:
    """Compare a file's bytes with the checksum in its footer."""
    return any(
        checksum_of(with_checksum(data, matched.start(1), NO_CHECKSUM)).encode() == matched[1]
        for matched in CHECKSUM.finditer(data)
    )


def _repeating(table: pa.Table) -> list[str]:
    return [field.name for field in table.schema if pa.types.is_dictionary(field.type)]


def content_of(name: str, data: bytes) -> SegmentInfo:
    """Decode the content of a data file from its footer.

    Raises:
        Damage: it is no file of the archive, or a damaged one.
    """
    stem = name.rpartition(".")[0]
    if not is_as_sealed(data):
        problem = "no file of the archive, or damaged (its own checksum differs)"
        raise Damage(
            "damaged file", span_in(stem), f"archive file {name}: {problem}; move it away, {REPAIR}"
        )
    footer = pq.read_metadata(io.BytesIO(data)).metadata or {}
    content = msgspec.json.decode(footer[FOOTER_KEY], type=SegmentInfo)
    if content.name != stem:
        raise Damage(
            "surplus file",
            span_in(stem),
            f"archive file {name}: is a copy of {content.name}; move it away",
        )
    return content


def rows_of(files: ArchiveFiles, manifest: Manifest, key: str) -> list[dict[str, Any]]:
    """The rows of one order.

    Raises:
        Damage: the file is damaged; names its manifest.
    """
    tenant, order_id = split_order_key(key)
    only = (pc.field("order_id") == order_id) & (pc.field("tenant") == tenant)
    with _opened(files, manifest) as file:
        table = pq.read_table(file, filters=only, page_checksum_verification=True)
    return table.to_pylist()


def columns_of(
    files: ArchiveFiles, manifest: Manifest, columns: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """The values of some columns, row by row.

    Raises:
        Damage: the file is damaged; names its manifest.
    """
    with _opened(files, manifest) as file:
        table = pq.read_table(file, columns=list(columns), page_checksum_verification=True)
    return zip(*(table.column(name).to_pylist() for name in columns), strict=True)


@contextmanager
def _opened(files: ArchiveFiles, manifest: Manifest) -> Iterator[BinaryIO]:
    try:
        with CheckedFile(files.open(manifest.file), manifest) as file:
            yield cast("BinaryIO", file)
    except pa.ArrowException as error:
        raise manifest.differs() from error
    except OSError as error:
        if error.errno is not None:  # the store's trouble, not the file's content
            raise
        raise manifest.differs() from error

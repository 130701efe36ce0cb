"""Data files: written as bytes that carry their own checksum, read block by block as checked."""

import io
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import Any, BinaryIO, NamedTuple, Self, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.keys import split_order_key
from storage_tiering.archive.checked import CheckedFile
from storage_tiering.archive.columns import REPEATING
from storage_tiering.archive.files import ArchiveFiles, FileMissing
from storage_tiering.archive.manifest import (
    FOOTER_KEY,
    REPAIR,
    Damage,
    Manifest,
    SegmentInfo,
    blocks_of,
    check_format,
    checksum_of,
)
from storage_tiering.archive.names import span_in, stem_of

# A look-up reads the row groups whose range of order ids holds the requested one. Of 50,000 rows
# with 500 bytes of JSON each, one row took 2.5 ms with groups of 5,000.
ROWS_PER_GROUP = 5_000
CHECKSUM_KEY = b"ordertide.checksum"
NO_CHECKSUM = b"0" * 32
FOOTER_BYTES = 64 * 1024 * 1024
TENANT, ORDER_ID = "tenant", "order_id"
FOOTER_END = 8  # its length, and PAR1
# In the footer (Thrift's compact protocol) a field's type and the length stand between key and
# value. Looked for by its bytes, as damaged bytes are not to be parsed.
CHECKSUM = re.compile(re.escape(CHECKSUM_KEY) + rb"[^0-9a-f]{1,4}([0-9a-f]{32})", re.DOTALL)


class Formatted(msgspec.Struct):
    """The part of a footer that every format has; one without a format has the first."""

    format: int = 1


def write_segment(
    sink: BinaryIO,
    tables: Iterable[pa.Table],
    schema: pa.Schema,
    content: Callable[[], SegmentInfo],
) -> SegmentInfo:
    """Write the file of `tables`, with its content and its own checksum in its footer.

    `content` is called when all rows are written. The checksum is taken over the file with zeros in
    the place of the checksum. By it a manifest that is made from the file can't vouch for bytes
    that have changed. `sink` can be read, and is left at its start.
    """
    with pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        # Ids and JSON hardly repeat: for them a dictionary would only be written and given up.
        use_dictionary=[name for name in schema.names if name in REPEATING],  # type: ignore[arg-type]  # the stubs have only a bool
        write_page_checksum=True,
    ) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)
        made = content()
        footer = msgspec.json.encode(made)
        place_holder = checksum_of(footer).encode()
        texts = {FOOTER_KEY: footer, CHECKSUM_KEY: place_holder}
        writer.add_key_value_metadata({k.decode(): text.decode() for k, text in texts.items()})
    at = _last_of(sink, place_holder)
    _put(sink, at, NO_CHECKSUM)
    checksum = blake2b(digest_size=16)
    sink.seek(0)
    for block in blocks_of(sink):
        checksum.update(block)
    _put(sink, at, checksum.hexdigest().encode())
    sink.seek(0)
    return made


def parquet_bytes(table: pa.Table, content: SegmentInfo) -> bytes:
    """The file of `table`."""
    sink = io.BytesIO()
    write_segment(sink, [table], table.schema, lambda: content)
    return sink.getvalue()


def _last_of(file: BinaryIO, text: bytes) -> int:
    """The place of a text in the footer."""
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(size_bytes - FOOTER_END)
    length = int.from_bytes(file.read(4), "little") + FOOTER_END
    file.seek(size_bytes - length)
    return size_bytes - length + file.read(length).rindex(text)


def _put(file: BinaryIO, at: int, text: bytes) -> None:
    file.seek(at)
    file.write(text)


def with_checksum(data: bytes, at: int, checksum: bytes) -> bytes:
    """The bytes with this checksum in the place `at`."""
    return data[:at] + checksum + data[at + len(NO_CHECKSUM) :]


def is_as_sealed(data: bytes) -> bool:
    """Compare a file's bytes with the checksum in its footer."""
    return any(
        checksum_of(with_checksum(data, matched.start(1), NO_CHECKSUM)).encode() == matched[1]
        for matched in CHECKSUM.finditer(data)
    )


def content_of(file: str, data: bytes) -> SegmentInfo:
    """Decode the content of a data file from its footer.

    Raises:
        Damage: it is no file of the archive, or a damaged one.
        StateError: it is of another format.
    """
    name = stem_of(file)
    if not is_as_sealed(data):
        problem = "no file of the archive, or damaged (its own checksum differs)"
        raise Damage(
            "damaged file",
            span_in(name),
            f"archive file {file}: {problem}; move it away, {REPAIR}",
            name,
        )
    footer = (pq.read_metadata(io.BytesIO(data)).metadata or {})[FOOTER_KEY]
    check_format(file, msgspec.json.decode(footer, type=Formatted).format)
    content = msgspec.json.decode(footer, type=SegmentInfo)
    if content.file != file:
        raise Damage(
            "surplus file",
            span_in(name),
            f"archive file {file}: is a copy of {content.file}; move it away",
            name,
        )
    return content


class Footer(NamedTuple):
    """A file's footer, and the range of order ids of each row group; None where it isn't known."""

    metadata: pq.FileMetaData
    ranges: list[tuple[str, str] | None]

    @classmethod
    def of(cls, metadata: pq.FileMetaData) -> Self:
        """The footer of a file of any dataset."""
        groups = range(metadata.num_row_groups)
        place = metadata.schema.names.index(ORDER_ID)
        columns = (metadata.row_group(group).column(place).statistics for group in groups)
        return cls(
            metadata, [(str(c.min), str(c.max)) if c and c.has_min_max else None for c in columns]
        )

    def groups_with(self, order_id: str) -> list[int]:
        """The row groups that may hold an order."""
        pairs = enumerate(self.ranges)
        return [group for group, ids in pairs if ids is None or ids[0] <= order_id <= ids[1]]


class Footers:
    """Footers of the files that were read last, up to `FOOTER_BYTES` of them: files never change.

    A look-up reads a few files among hundreds, and a footer takes as long to read as the rows.
    """

    def __init__(self) -> None:
        """Create an empty cache."""
        self._held: OrderedDict[str, Footer] = OrderedDict()
        self._size_bytes = 0

    def get(self, manifest: Manifest) -> Footer | None:
        """The footer of a file, if it is held."""
        footer = self._held.get(manifest.checksum)
        if footer:
            self._held.move_to_end(manifest.checksum)
        return footer

    def put(self, manifest: Manifest, metadata: pq.FileMetaData) -> Footer:
        """Hold a footer, and drop those that were used least recently."""
        footer = self._held[manifest.checksum] = Footer.of(metadata)
        self._size_bytes += metadata.serialized_size
        while self._size_bytes > FOOTER_BYTES and len(self._held) > 1:
            _, dropped = self._held.popitem(last=False)
            self._size_bytes -= dropped.metadata.serialized_size
        return footer


def rows_of(
    files: ArchiveFiles,
    manifest: Manifest,
    key: str,
    footers: Footers,
    columns: list[str] | None = None,
) -> list[dict[str, Any]]:
    """The rows of one order, with these columns or all.

    Of a file without any the ids alone are read: in a file of many orders the JSON of a row group
    is most of it.

    Raises:
        Damage: the file is damaged; names its manifest.
    """
    tenant, order_id = split_order_key(key)
    footer = footers.get(manifest)
    with (
        _opened(files, manifest) as file,
        pq.ParquetFile(
            file, metadata=footer and footer.metadata, page_checksum_verification=True
        ) as parquet,
    ):
        footer = footer or footers.put(manifest, parquet.metadata)
        rows: list[dict[str, Any]] = []
        for group in footer.groups_with(order_id):
            ids = parquet.read_row_group(group, columns=[TENANT, ORDER_ID], use_threads=False)
            places = [
                place.as_py()
                for place in pc.indices_nonzero(pc.equal(ids[ORDER_ID], pa.scalar(order_id)))
                if ids[TENANT][place.as_py()].as_py() == tenant
            ]
            if places:
                table = parquet.read_row_group(group, columns=columns, use_threads=False)
                rows += table.take(places).to_pylist()
    return rows


def columns_of(
    files: ArchiveFiles, manifest: Manifest, columns: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """The values of some columns, row by row.

    Raises:
        Damage: the file is damaged; names its manifest.
    """
    for batch in batches_of(files, manifest, columns):
        yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def batches_of(
    files: ArchiveFiles, manifest: Manifest, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """The rows with some columns, a row group at a time.

    Raises:
        Damage: the file is damaged; names its manifest.
    """
    with (
        _opened(files, manifest) as file,
        pq.ParquetFile(file, page_checksum_verification=True) as parquet,
    ):
        yield from parquet.iter_batches(ROWS_PER_GROUP, columns=list(columns))


@contextmanager
def _opened(files: ArchiveFiles, manifest: Manifest) -> Iterator[BinaryIO]:
    try:
        with CheckedFile(open_data(files, manifest), manifest) as file:
            yield cast("BinaryIO", file)
    except pa.ArrowException as error:
        raise manifest.differs() from error
    except OSError as error:
        if error.errno is not None:  # the store's trouble, not the file's content
            raise
        raise manifest.differs() from error


def open_data(files: ArchiveFiles, manifest: Manifest) -> BinaryIO:
    """The data file of a segment, wherever its way has got to.

    Raises:
        Damage: it is in none of its places.
    """
    for name in manifest.places:
        with suppress(FileMissing):
            return files.open(name)
    raise manifest.file_missing()

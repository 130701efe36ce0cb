"""The records of one partition since its last sealed file."""

import io
import logging
from collections.abc import Iterable, Sequence
from typing import Generic

from schemas.instants import DAY_MS
from storage_tiering.archive.chain import SegmentChains, new_upload
from storage_tiering.archive.dataset import Dataset, Identity, Record
from storage_tiering.archive.key_filter import make_filter
from storage_tiering.archive.manifest import Damage, Manifest, SegmentInfo
from storage_tiering.archive.names import Span, day_of
from storage_tiering.archive.sealed_segment import columns_of, parquet_bytes
from storage_tiering.tier import TopicPosition

LOGGER = logging.getLogger("ordertide.storage_tiering")


class OpenSegment(Generic[Record]):
    """Open segment: the rows of the next file of a partition.

    It begins where the last sealed file ends, whatever offset the consumer group is at: records
    before that are sealed and not taken again. From there to the last record taken nothing is left
    out, and that must stay so: rows are never dropped because the partition went to another writer.
    Should both seal, the first one counts and the other continues behind it.
    """

    def __init__(
        self,
        dataset: Dataset[Record],
        chains: SegmentChains,
        topic: str,
        partition: int,
        first_offset: int | None = None,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self._dataset: Dataset[Record] = dataset
        self._chains = chains
        self._rows: dict[Identity, Record] = {}
        if first_offset is None:
            first_offset = chains.next_offset(topic, partition)
        self._first_offset = first_offset
        self._next_offset = self._first_offset

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, record: Record) -> None:
        """Take a record, unless it was taken or sealed before."""
        if record.position.offset < self._next_offset:
            return
        self.skip(record.position)
        identity = self._dataset.identity(record)
        held = self._rows.get(identity)
        if held is None or self._dataset.rank(record) > self._dataset.rank(held):
            self._rows[identity] = record

    def skip(self, position: TopicPosition) -> None:
        """This record has been dealt with and leaves no row."""
        self._next_offset = max(self._next_offset, position.offset + 1)

    def seal(self, watermark: int | None) -> None:
        """Make the rows a file of the archive, written up to stream time `watermark` (ms).

        The place in the chain is given away once; the loser reads the chain again and keeps what
        it still has beyond it.

        Raises:
            Busy: the store can't take it now; what isn't sealed is still here.
        """
        self._drop_sealed()
        while self._rows:
            end = self._day_end()
            rows = self._rows_before(end)
            # What is behind the end is not sealed with this file.
            sealed = self._sealed(rows, end, watermark if end == self._next_offset else None)
            if self._chains.add(*sealed):
                for record in rows:
                    del self._rows[self._dataset.identity(record)]
                self._first_offset = end
            else:
                self._go_on_behind_the_winner()

    def sealed_as(self, span: Span, *, lacks_compacted: bool = False) -> tuple[Manifest, bytes]:
        """The file of the rows for a span that is written again, and its manifest; not sealed."""
        assert span.next_offset is not None
        rows = self._rows_before(span.next_offset)
        return self._sealed(rows, span.next_offset, None, lacks_compacted=lacks_compacted)

    def _sealed(
        self,
        rows: Sequence[Record],
        next_offset: int,
        watermark: int | None,
        *,
        lacks_compacted: bool = False,
    ) -> tuple[Manifest, bytes]:
        content = self._content(rows, next_offset, watermark, lacks_compacted=lacks_compacted)
        data = parquet_bytes(self._dataset.table(self._sorted(rows)), content)
        return Manifest.of(content, io.BytesIO(data), new_upload()), data

    def _rows_before(self, offset: int) -> list[Record]:
        return [record for record in self._rows.values() if record.position.offset < offset]

    def _day_end(self) -> int:
        """The offset behind the file's last row: a file of live data ends with the day.

        Rows that arrived in less than a day pass one midnight at most. Recorded history, or what
        has come up after an outage, is not cut: it would make a file a day of years.
        """
        rows = sorted(self._rows.values(), key=lambda record: record.position.offset)
        arrivals = [self._dataset.arrival(record) for record in rows]
        if max(arrivals) - min(arrivals) < DAY_MS:
            for record, at in zip(rows, arrivals, strict=True):
                is_later = at // DAY_MS > arrivals[0] // DAY_MS
                if is_later and record.position.offset > self._first_offset:
                    return record.position.offset
        return self._next_offset

    def _go_on_behind_the_winner(self) -> None:
        self._first_offset = self._chains.next_offset(self.topic, self.partition)
        self._next_offset = max(self._next_offset, self._first_offset)
        self._drop_sealed()

    def _drop_sealed(self) -> None:
        """Drop rows that an earlier file has.

        Another writer was first, or the dataflow wrote twice: after a crash it writes again what
        came after its last snapshot. A thing written twice has the same instant, so only files
        around it are read; files follow each other in time, so that is the last one or none.
        """
        if not self._rows:
            return
        least, greatest = self._span(self._rows.values())
        for manifest in self._chains.of_partition(self.topic, self.partition):
            if manifest.content.min_at <= greatest and manifest.content.max_at >= least:
                self._drop_held(manifest)

    def _drop_held(self, manifest: Manifest) -> None:
        try:
            for values in columns_of(self._chains.files, manifest, self._dataset.columns):
                identity, rank = self._dataset.held(*values)
                record = self._rows.get(identity)
                if record is not None and self._dataset.rank(record) <= rank:
                    del self._rows[identity]
        except Damage as damage:
            # Rows that it repeats are sealed twice, which look-ups ignore; nothing is lost by it.
            LOGGER.error("%s", damage)  # noqa: TRY400 - the trace adds nothing

    def _span(self, rows: Iterable[Record]) -> tuple[int, int]:
        instants = [self._dataset.at(record) for record in rows]
        return min(instants, default=0), max(instants, default=0)

    def _sorted(self, rows: Iterable[Record]) -> list[Record]:
        dataset = self._dataset
        return sorted(
            rows,
            key=lambda record: (record.key, dataset.at(record), dataset.identity(record)),
        )

    def _content(
        self,
        rows: Sequence[Record],
        next_offset: int,
        watermark: int | None,
        *,
        lacks_compacted: bool,
    ) -> SegmentInfo:
        keys = {record.key for record in rows}
        least, greatest = self._span(rows)
        first = min(rows, key=lambda record: record.position.offset, default=None)
        return SegmentInfo(
            topic=self.topic,
            partition=self.partition,
            first_offset=self._first_offset,
            next_offset=next_offset,
            rows=len(rows),
            min_key=min(keys, default=""),
            max_key=max(keys, default=""),
            min_at=least,
            max_at=greatest,
            watermark=watermark,
            key_filter=make_filter(keys),
            arrival_day=day_of(0 if first is None else self._dataset.arrival(first)),
            topic_id=self._chains.topic_id(self.topic),
            lacks_compacted=lacks_compacted,
        )

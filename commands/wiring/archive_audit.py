"""The archive compared with the topics: what is missing or damaged, and its repair."""

import logging
from collections.abc import Iterator

from broker.connect import Connection
from broker.errors import OffsetLost
from broker.span import committed_offsets, read_span
from schemas.errors import Busy
from schemas.topics import CLOCK_KEY
from storage_tiering.archive.manifest import REPAIR, Damage
from storage_tiering.archive.names import Span
from storage_tiering.archive.parquet import ParquetTier
from storage_tiering.records import Message
from storage_tiering.writer_ports import WriterMetrics

LOGGER = logging.getLogger("ordertide.storage_tiering")


class ArchiveAudit:
    """Compares manifests with files for a writer, and repairs what the topics have."""

    def __init__(self, tier: ParquetTier, connection: Connection, watch: WriterMetrics) -> None:
        """Create the audit; nothing is compared yet."""
        self.tier = tier
        self.watch = watch
        self._repair = tier.repair(SpanReader(connection))
        self._logged: set[str] = set()

    def at_start(self) -> None:
        """Compare before the first file is needed: a damaged last manifest would end the writer."""
        try:
            self()
        except Busy as busy:  # the writer itself waits for a store or a broker that is away
            LOGGER.warning("archive writer: not audited yet: %s", busy.reason)

    def __call__(self) -> None:
        """Complete interrupted moves, compare, repair, and report the remaining damage.

        Raises:
            Busy: the store or the broker is unavailable.
        """
        self.tier.settle()
        for repaired in self._repair.run(self.tier.damages()):
            if str(repaired.damage) not in self._logged:
                self._logged.add(str(repaired.damage))
                LOGGER.error("%s: %s: %s", repaired.did, repaired.damage, repaired.reason)
        staleness = self.tier.staleness()
        self.watch.stale(self.tier.name, str(staleness) if staleness else None)


class SpanReader:
    """Reads spans from the topics: the port by which the archive reads them again."""

    def __init__(self, connection: Connection) -> None:
        """Create a reader; nothing is connected yet."""
        self._connection = connection

    def __call__(self, span: Span) -> Iterator[Message]:
        """The messages of a span whose end is known."""
        assert span.next_offset is not None
        return read_span(
            self._connection, span.topic, span.partition, span.first_offset, span.next_offset
        )


def lost_ends(tier: ParquetTier, connection: Connection, group: str) -> Iterator[Damage]:
    """Records that the group has committed, and no file has: the last files are gone.

    A restored folder shows no damage of its own. Heartbeats behind the last file leave no row, so
    only a record proves a loss.
    """
    read = SpanReader(connection)
    ends = tier.offsets()
    for (topic, partition), committed in committed_offsets(connection, group, tier.topics).items():
        span = Span(topic, partition, ends.get((topic, partition), 0), committed)
        if span.first_offset >= committed:
            continue
        try:
            lost = any(is_record(message) for message in read(span))
        except OffsetLost as error:
            yield _lost(span, f"; {error}")
            continue
        if lost:
            yield _lost(span, "")


def _lost(span: Span, more: str) -> Damage:
    return Damage(
        "lost end",
        span,
        f"archive manifest {span.name}: the group has committed {span}, and no file holds them"
        f"{more}; put the files back, or {REPAIR}",
    )


def is_record(message: Message) -> bool:
    """Something that would leave a row: neither a heartbeat nor a tombstone."""
    is_heartbeat = (message.key or b"").startswith(CLOCK_KEY.encode())
    return message.value is not None and not is_heartbeat

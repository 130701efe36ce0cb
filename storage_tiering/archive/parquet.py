"""The archive tier: Parquet files that are written once, per topic partition, and kept for ever."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from schemas.keys import order_key
from schemas.outcomes import (
    MOST_OUTCOMES,
    Outcome,
    OutcomeQuery,
)
from schemas.topics import ORDERS_ACTIONS, ORDERS_AUDIT, ORDERS_CHANGES, ORDERS_EVENTS
from storage_tiering.archive.chain import SegmentChains
from storage_tiering.archive.columns import EVENT_COLUMNS, event_of
from storage_tiering.archive.compaction import Compaction, CompactionSettings
from storage_tiering.archive.dataset import EVENTS, ORDERS, OUTCOMES, Dataset
from storage_tiering.archive.files import ArchiveFiles
from storage_tiering.archive.manifest import Damage
from storage_tiering.archive.open_segment import OpenSegment
from storage_tiering.archive.outcome_files import OutcomeFiles
from storage_tiering.archive.reading import latest_document, rows_of_order, values_since
from storage_tiering.archive.repair import ReadSpan, Repair
from storage_tiering.archive.sealed_segment import columns_of
from storage_tiering.archive.survey import Survey
from storage_tiering.records import DOCUMENT, event_record, order_record
from storage_tiering.tier import (
    Counts,
    EventRecord,
    Found,
    OrderRecord,
    OutcomeRecord,
    Partition,
    Stale,
    Staleness,
    Tier,
    by_time,
)


class ArchiveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When a file is due: by rows over all partitions, or by the age of the oldest.

    `seal_age_s` is wall time, `seal_stream_age_ms` stream time; None switches one off. A stream age
    makes a file per hour of history, however fast that is read.
    """

    seal_rows: int = 50_000
    seal_age_s: float | None = 60.0
    seal_stream_age_ms: int | None = None
    changes_topic: str = ORDERS_CHANGES
    events_topic: str = ORDERS_EVENTS
    audit_topic: str = ORDERS_AUDIT
    actions_topic: str = ORDERS_ACTIONS


class ParquetTier(Tier):
    """Orders, events and outcomes in `files`. `now_s` is a monotonic clock.

    `find` sees sealed files only. Nothing expires; tombstones change nothing.
    """

    name = "archive"
    keeps_retired = True

    def __init__(
        self,
        files: ArchiveFiles,
        settings: ArchiveSettings | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings or ArchiveSettings()
        self._now_s = now_s
        self._chains = SegmentChains(files)
        self._orders: dict[tuple[str, int], OpenSegment[OrderRecord]] = {}
        self._events: dict[tuple[str, int], OpenSegment[EventRecord]] = {}
        self._outcomes = OutcomeFiles(
            self._chains,
            {"audit": self.settings.audit_topic, "actions": self.settings.actions_topic},
        )
        self._watermark: int | None = None
        self._since: tuple[float, int | None] | None = None  # wall and stream time of the first row

    def write_orders(self, batch: Sequence[OrderRecord]) -> None:
        for record in batch:
            place = record.position.topic, record.position.partition
            if place not in self._orders:
                self._orders[place] = OpenSegment(ORDERS, self._chains, *place)
            if record.document is None:
                self._orders[place].skip(record.position)
            else:
                self._orders[place].take(record)
        self._note_age()

    def write_events(self, batch: Sequence[EventRecord]) -> None:
        for record in batch:
            place = record.position.topic, record.position.partition
            if place not in self._events:
                self._events[place] = OpenSegment(EVENTS, self._chains, *place)
            self._events[place].take(record)
        self._note_age()

    def write_outcomes(self, batch: Sequence[OutcomeRecord]) -> None:
        self._outcomes.write(batch)
        self._note_age()

    def outcomes(self, query: OutcomeQuery, *, limit: int = MOST_OUTCOMES) -> list[Outcome]:
        """As for every tier. By order it reads one file or a few, else all of the time asked for.

        Raises:
            Damage: a file that may hold some is missing or damaged.
        """
        return self._outcomes.find(query, limit)

    def flush(self, *, force: bool = False) -> bool:
        if self._since is None:
            return True
        if not (force or self._is_due()):
            return False
        for orders in self._orders.values():
            orders.seal(self._watermark)
        for events in self._events.values():
            events.seal(self._watermark)
        self._outcomes.seal(self._watermark)
        self._since = None
        return True

    def resume_offset(self, topic: str, partition: int) -> int | None:
        """Offset at which reading resumes, whatever a group has committed; None without any file.

        Raises:
            OffsetLost: the files are of another topic of this name.
        """
        return self._chains.resume_offset(topic, partition)

    def on_opened(self, note: Callable[[], object]) -> None:
        """Call `note` for each data file that a look-up opens from now on."""
        self._chains.on_opened = note

    def know_topics(self, topic_id: Callable[[str], str]) -> None:
        """Set the look-up of topic ids, so that files of a former topic are recognized."""
        self._chains.topic_id = topic_id

    def find(self, tenant: str, order_id: str) -> Found | None:
        """As for every tier.

        Raises:
            Damage: a file that may hold something of the order is missing or damaged.
        """
        key = order_key(tenant, order_id)
        changes = self._chains.survey(self.settings.changes_topic)
        held = latest_document(self._chains, changes, key)
        if held is None:
            if lacking := _lacking(changes):
                raise Stale(lacking)
            return None
        document, content = held
        stale = _lacking(changes, content.partition, content.first_offset)
        accepted = self._chains.survey(self.settings.events_topic)
        events = [event_of(row) for row, _ in rows_of_order(self._chains, accepted, key)]
        by_hash = {event.event_hash: event for event in events}
        return Found(
            document=DOCUMENT.decode(document),
            timeline=by_time(list(by_hash.values())),
            watermark=None if stale else changes.watermark(content.partition),
            stale=stale,
        )

    def orders_of(self, tenant: str, customer_id: str) -> list[str]:
        found: dict[str, None] = {}
        name = msgspec.json.encode(customer_id).decode()
        for manifest in self._chains.manifests(self.settings.changes_topic):
            rows = columns_of(self._chains.files, manifest, ("tenant", "order_id", "order_json"))
            for of_tenant, order_id, text in rows:
                if of_tenant == tenant and name in text:
                    document = DOCUMENT.decode(text)
                    found |= {order_id: None} if document.customer_id == customer_id else {}
        return list(found)

    def offsets(self) -> Mapping[Partition, int]:
        """The offsets behind the last file of each partition, as files are what it notes."""
        return {
            (topic, m.content.partition): m.content.next_offset
            for topic in self.topics
            for m in self._chains.survey(topic).manifests  # by offset: the last one stays
        }

    def note(self, offsets: Mapping[Partition, int]) -> None:
        """Nothing: the chain of files with its end marker holds it."""

    def reconcile(self) -> Mapping[Partition, int]:
        return self.offsets()

    def forget_progress(self) -> None:
        """Nothing: what is sealed stays; `ordertide archive verify --repair` writes it again."""

    def staleness(self) -> Staleness | None:
        """Files that names and manifests show to be missing or damaged."""
        damages = [
            damage
            for topic in self.topics
            for damage in self._chains.survey(topic, has_data=True).holes()
        ]
        if not damages:
            return None
        more = f", and {len(damages) - 1} more" if len(damages) > 1 else ""
        return Staleness(reason=f"{damages[0]}{more}")

    def set_staleness(self, staleness: Staleness | None) -> None:
        """Nothing: the staleness is what the files show."""

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics of its datasets."""
        return tuple(self.datasets)

    @property
    def datasets(self) -> dict[str, Dataset[Any]]:
        """The dataset of each topic."""
        return {
            self.settings.changes_topic: ORDERS,
            self.settings.events_topic: EVENTS,
            self.settings.audit_topic: OUTCOMES,
            self.settings.actions_topic: OUTCOMES,
        }

    def expire(self, watermark_ms: int) -> None:
        self._watermark = max(watermark_ms, self._watermark or 0)

    def counts(self) -> Counts:
        changes = self._chains.manifests(self.settings.changes_topic)
        events = self._chains.manifests(self.settings.events_topic)
        names = {
            name
            for manifest in changes
            for name in columns_of(self._chains.files, manifest, ("tenant", "order_id"))
        }
        return Counts(
            orders=len(names),
            events=sum(manifest.content.rows for manifest in events),
            size_bytes=self.size_bytes(),
        )

    def size_bytes(self) -> int:
        return sum(m.size_bytes for topic in self.topics for m in self._chains.manifests(topic))

    def verify(self) -> Iterator[Damage]:
        """Read every file: which of them are damaged, missing or one too many."""
        for topic in self.topics:
            yield from self._chains.verify(topic)

    def close(self) -> None:
        self._orders.clear()
        self._events.clear()
        self._outcomes.clear()

    def damages(self) -> list[Damage]:
        """Missing or damaged files by their names and manifests, without reading the files."""
        surveys = [self._chains.survey(topic, has_data=True) for topic in self.topics]
        return [damage for survey in surveys for damage in survey.damages]

    def settle(self) -> None:
        """Complete the moves of files that a kill has prevented."""
        for topic in self.topics:
            self._chains.settle(topic)

    def compaction(self, settings: CompactionSettings | None = None) -> Compaction:
        """The compaction of this archive."""
        return Compaction(self._chains, self.datasets, settings or CompactionSettings())

    def repair(self, read: ReadSpan) -> Repair:
        """The repair of this archive by what `read` gives."""
        return Repair(self._chains, self.datasets, read)

    def watermark(self) -> int | None:
        """The latest instant of stream time (ms) up to which something was sealed."""
        return self._chains.survey(self.settings.changes_topic).watermark()

    def all_orders(self, since_ms: int) -> Iterator[OrderRecord]:
        """All versions of orders in files whose newest is not older than `since_ms`.

        Raises:
            Damage: a file is damaged.
        """
        topic = self.settings.changes_topic
        for position, (text,) in values_since(self._chains, topic, ("order_json",), since_ms):
            yield order_record(DOCUMENT.decode(text), position, text.encode())

    def all_events(self, since_ms: int) -> Iterator[EventRecord]:
        """All events in files whose newest is not older than `since_ms`.

        Raises:
            Damage: a file is damaged.
        """
        names = tuple(EVENT_COLUMNS.names)
        topic = self.settings.events_topic
        for position, values in values_since(self._chains, topic, names, since_ms):
            yield event_record(event_of(dict(zip(names, values, strict=True))), position)

    def all_outcomes(self, since_ms: int) -> Iterator[OutcomeRecord]:
        """All audit entries and actions in files whose newest is not older than `since_ms`.

        Raises:
            Damage: a file is damaged.
        """
        return self._outcomes.all(since_ms)

    def _note_age(self) -> None:
        if self._unsealed_rows() == 0:
            self._since = None
        elif self._since is None:
            self._since = self._now_s(), self._watermark

    def _unsealed_rows(self) -> int:
        orders, events = self._orders.values(), self._events.values()
        return sum(map(len, orders)) + sum(map(len, events)) + len(self._outcomes)

    def _is_due(self) -> bool:
        settings = self.settings
        return (
            self._unsealed_rows() >= settings.seal_rows
            or self._is_old(settings.seal_age_s)
            or self._is_old_in_stream_time(settings.seal_stream_age_ms)
        )

    def _is_old(self, limit_s: float | None) -> bool:
        return (
            limit_s is not None
            and self._since is not None
            and self._now_s() - self._since[0] >= limit_s
        )

    def _is_old_in_stream_time(self, limit_ms: int | None) -> bool:
        if limit_ms is None or self._watermark is None or self._since is None:
            return False
        return self._since[1] is None or self._watermark - self._since[1] >= limit_ms


def _lacking(changes: Survey, partition: int | None = None, behind: int = -1) -> str | None:
    """Reason why a later version may be missing: a file written again from a compacted topic."""
    for manifest in changes.manifests:
        content = manifest.content
        is_asked = partition is None or content.partition == partition
        if content.lacks_compacted and is_asked and content.first_offset > behind:
            return (
                f"archive manifest {content.name}: was written again from a compacted topic; "
                f"orders that retired since {content.span} may be missing or older"
            )
    return None

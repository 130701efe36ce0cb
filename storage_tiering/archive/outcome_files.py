"""Audit entries and actions in the archive: a dataset each, beside those of events and orders."""

from collections.abc import Iterator, Mapping, Sequence

from schemas.keys import order_key
from schemas.outcomes import Outcome, OutcomeKind, OutcomeQuery, matches, newest_first
from storage_tiering.archive.chain import SegmentChains
from storage_tiering.archive.dataset import OUTCOMES
from storage_tiering.archive.open_segment import OpenSegment
from storage_tiering.archive.reading import rows_of_order, values_since
from storage_tiering.records import outcome_of, outcome_record
from storage_tiering.tier import OutcomeRecord, Partition

TEXT = "outcome_json"


class OutcomeFiles:
    """The files of both topics; `topics` names the topic of each kind."""

    def __init__(self, chains: SegmentChains, topics: Mapping[OutcomeKind, str]) -> None:
        """Create it with no open segment."""
        self._chains = chains
        self._topics = topics
        self._open: dict[Partition, OpenSegment[OutcomeRecord]] = {}

    def __len__(self) -> int:
        """Number of rows that aren't sealed."""
        return sum(map(len, self._open.values()))

    def write(self, batch: Sequence[OutcomeRecord]) -> None:
        """Take outcomes into the open segments of their partitions."""
        for record in batch:
            place = record.position.topic, record.position.partition
            if place not in self._open:
                self._open[place] = OpenSegment(OUTCOMES, self._chains, *place)
            self._open[place].take(record)

    def seal(self, watermark: int | None) -> None:
        """Make files of the open segments."""
        for segment in self._open.values():
            segment.seal(watermark)

    def clear(self) -> None:
        """Drop what isn't sealed."""
        self._open.clear()

    def find(self, query: OutcomeQuery, limit: int) -> list[Outcome]:
        """The latest outcomes asked for.

        Raises:
            Damage: a file that may hold some is missing or damaged.
        """
        found = [outcome_of(query.kind, text) for text in self._texts(query)]
        return newest_first([each for each in found if matches(query, each)])[:limit]

    def all(self, since_ms: int) -> Iterator[OutcomeRecord]:
        """All in files whose newest is not older than `since_ms`.

        Raises:
            Damage: a file is damaged.
        """
        for kind, topic in self._topics.items():
            for position, (text,) in values_since(self._chains, topic, (TEXT,), since_ms):
                yield outcome_record(outcome_of(kind, text), position)

    def _texts(self, query: OutcomeQuery) -> Iterator[str]:
        """The rows of an order where it is named, else all of the files of the time asked for."""
        topic = self._topics[query.kind]
        if query.order_id is not None and query.tenant is not None:
            key = order_key(query.tenant, query.order_id)
            rows = rows_of_order(self._chains, self._chains.survey(topic), key)
            yield from (row[TEXT] for row, _ in rows)
            return
        chosen = values_since(self._chains, topic, (TEXT,), query.since, query.until)
        yield from (text for _, (text,) in chosen)

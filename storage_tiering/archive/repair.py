"""Repair of the archive: manifests from their files, and lost or damaged files from the topic."""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec

from schemas.errors import Busy, OrdertideError, Rejected
from storage_tiering.archive.chain import SegmentChains
from storage_tiering.archive.dataset import EVENTS, ORDERS, Record
from storage_tiering.archive.manifest import DATA, MANIFEST, Damage, Manifest, Span
from storage_tiering.archive.open_segment import OpenSegment
from storage_tiering.records import Message, decode
from storage_tiering.tier import EventRecord, OrderRecord

LOGGER = logging.getLogger("ordertide.storage_tiering")
# Damaged files are kept here: what the topic no longer has may be read from them by hand.
DAMAGED = ".damaged"

# The messages of a span, in order. It raises an OrdertideError where the topic has no longer all.
ReadSpan = Callable[[Span], Iterable[Message]]


class Repaired(msgspec.Struct, frozen=True):
    """Outcome of the repair of one damage, with its reason."""

    damage: Damage
    did: Literal["repaired", "repaired in part", "not repaired"]
    reason: str


class Repair:
    """Repairs the chains of a topic of orders and one of events. `read` gives the messages."""

    def __init__(self, chains: SegmentChains, changes_topic: str, read: ReadSpan) -> None:
        """Create a repair; nothing is read or changed yet."""
        self.chains = chains
        self._changes_topic = changes_topic
        self._read = read

    def run(self, damages: Iterable[Damage]) -> Iterator[Repaired]:
        """Repair each damage.

        Raises:
            Busy: the store or the broker is unavailable; what was repaired stays so.
        """
        for damage in damages:
            try:
                yield self._repair(damage)
            except Busy:
                raise
            except OrdertideError as error:
                yield Repaired(damage, "not repaired", str(error))

    def _repair(self, damage: Damage) -> Repaired:
        span = damage.span
        if span is None or damage.kind == "surplus file":
            return Repaired(
                damage, "not repaired", "an operator has to decide which file is the right one"
            )
        if damage.kind == "damaged manifest" and self._make_manifest(span.name):
            return Repaired(damage, "repaired", f"recreated from {span.name}{DATA}")
        return self._write_again(damage, self._bounded(span))

    def _make_manifest(self, name: str) -> bool:
        """False: there is no file, or it is damaged as well."""
        if not self._exists(name + DATA):
            return False
        try:
            self.chains.make_manifest(name)
        except Damage:
            return False
        self.chains.forget(name)
        return True

    def _bounded(self, span: Span) -> Span:
        """With the end of a span that nothing readable names: where the next file starts."""
        if span.next_offset is not None:
            return span
        bounds = self.chains.survey(span.topic).bounds.get((span.topic, span.partition), [])
        later = [at for at in bounds if at > span.first_offset]
        if not later:
            raise Damage(
                "damaged file",
                span,
                f"archive file {span.name}{DATA}: neither a file behind it nor an end marker shows "
                "where it ends; move it away, then its writer writes it again",
            )
        return span._replace(next_offset=min(later))

    def _write_again(self, damage: Damage, span: Span) -> Repaired:
        manifest, data = self._sealed(span)
        self._make_room(span.name)
        if not self.chains.add(manifest, data):
            return Repaired(damage, "not repaired", f"{manifest.file} was sealed by another writer")
        reason = f"{manifest.content.rows} rows were written again, {span}"
        if manifest.content.lacks_compacted:
            reason += "; the topic is compacted, so orders that have retired may be missing"
            return Repaired(damage, "repaired in part", reason)
        return Repaired(damage, "repaired", reason)

    def _sealed(self, span: Span) -> tuple[Manifest, bytes]:
        """The file that covers the whole span, from what the topic has of it."""
        messages = list(self._read(span))
        first = span.first_offset
        if span.topic != self._changes_topic:
            events = OpenSegment(EVENTS, self.chains, span.topic, span.partition, first)
            for event in _records(messages, EventRecord):
                events.take(event)
            return events.sealed_as(span)
        orders = OpenSegment(ORDERS, self.chains, span.topic, span.partition, first)
        for order in _records(messages, OrderRecord):
            if order.document is not None:
                orders.take(order)
        # What compaction dropped leaves no trace, so only an unbroken row proves that all came.
        is_whole = span.next_offset is not None and len(messages) == span.next_offset - first
        return orders.sealed_as(span, lacks_compacted=not is_whole)

    def _make_room(self, name: str) -> None:
        """Move a damaged file and its manifest away, so that their names are free."""
        files = self.chains.files
        if self._exists(name + DATA):
            files.seal(f"{DAMAGED}/{name}{DATA}", self.chains.bytes_of(name + DATA))
            # The manifest first: a file without one counts as damaged by itself.
            files.remove(name + MANIFEST)
            files.remove(name + DATA)
        elif self._exists(name + MANIFEST):
            files.remove(name + MANIFEST)
        self.chains.forget(name)

    def _exists(self, file: str) -> bool:
        return file in self.chains.files.list(file.partition("/")[0], "")


def _records(messages: Iterable[Message], kind: type[Record]) -> Iterator[Record]:
    """The records in messages; what the writer refused before is refused again."""
    for message in messages:
        try:
            record = decode(message)
        except Rejected as rejected:
            place = f"{message.topic} [{message.partition}] at {message.offset}"
            LOGGER.warning("%s stays out of the archive: %s", place, rejected)
            continue
        if isinstance(record, kind):
            yield record

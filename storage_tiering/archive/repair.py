"""Repair of the archive: manifests from their files, and lost or damaged files from the topic."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from schemas.errors import Busy, OrdertideError, Rejected
from storage_tiering.archive.chain import SegmentChains
from storage_tiering.archive.dataset import ORDERS, Dataset
from storage_tiering.archive.manifest import Damage, Manifest
from storage_tiering.archive.names import (
    DATA,
    Span,
    is_merged,
    manifest_name,
    replaced_name,
    stem_of,
)
from storage_tiering.archive.open_segment import OpenSegment
from storage_tiering.records import Message, decode
from storage_tiering.tier import EventRecord, OrderRecord, OutcomeRecord

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
    """Repairs the chains of the topics in `datasets`. `read` gives the messages."""

    def __init__(
        self, chains: SegmentChains, datasets: Mapping[str, Dataset[Any]], read: ReadSpan
    ) -> None:
        """Create a repair; nothing is read or changed yet."""
        self.chains = chains
        self._datasets = datasets
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
        assert damage.name is not None
        if damage.kind == "damaged manifest" and self._make_manifest(span.topic, damage.name):
            return Repaired(damage, "repaired", f"recreated from the file of {damage.name}")
        if damage.kind == "missing file" and self._is_there(span.topic, damage.name):
            return Repaired(damage, "repaired", "the file is there: it was moved meanwhile")
        return self._write_again(damage, damage.name, self._bounded(span, damage.name))

    def _is_there(self, topic: str, name: str) -> bool:
        """Look again: a listing misses a file that is renamed while it is made."""
        found = self.chains.survey(topic, has_data=True).manifests
        return any(each.content.name == name for each in found)

    def _make_manifest(self, topic: str, name: str) -> bool:
        """False: there is no file, or it is damaged as well."""
        for file in self._files(topic, name):
            if file.endswith(DATA):
                try:
                    self.chains.make_manifest(file)
                except Damage:
                    continue
                self.chains.forget(name)
                return True
        return False

    def _bounded(self, span: Span, name: str) -> Span:
        """With the end of a span that nothing readable names: where the next file starts.

        A merge whose manifest is lost may have held any part of its partition.
        """
        if span.next_offset is not None:
            return span
        bounds = self.chains.survey(span.topic).bounds.get((span.topic, span.partition), [])
        later = [at for at in bounds if at > span.first_offset]
        if not later:
            raise Damage(
                "damaged file",
                span,
                f"archive manifest {span.name}: neither a file behind it nor an end marker shows "
                "where it ends; move it away, then its writer writes it again",
            )
        return span._replace(next_offset=max(later) if is_merged(name) else min(later))

    def _write_again(self, damage: Damage, name: str, span: Span) -> Repaired:
        """Fill the gaps that the damaged file leaves; all is read before anything is moved."""
        pieces = [self._sealed(gap) for gap in self._gaps(span, name)]
        self._make_room(span.topic, name)
        for manifest, data in pieces:
            self._make_room(span.topic, manifest.content.name)
            if not self.chains.add(manifest, data):
                reason = f"{manifest.file} was sealed by another writer"
                return Repaired(damage, "not repaired", reason)
        self.chains.settle(span.topic)
        if not pieces:
            return Repaired(damage, "repaired", f"the files that it was merged of hold {span}")
        rows = sum(manifest.content.rows for manifest, _ in pieces)
        reason = f"{rows} rows were written again, {span}"
        if any(manifest.content.lacks_compacted for manifest, _ in pieces):
            reason += "; the topic is compacted, so orders that have retired may be missing"
            return Repaired(damage, "repaired in part", reason)
        return Repaired(damage, "repaired", reason)

    def _gaps(self, span: Span, without: str) -> list[Span]:
        """Parts of a span that no other segment holds; one that was merged may still be there."""
        known = self.chains.survey(span.topic, has_data=True)
        merged = [each for each in known.replaced if self._is_whole(each)]
        others = sorted(
            (each.content.first_offset, each.content.next_offset)
            for each in [*known.manifests, *merged]
            if each.content.partition == span.partition and each.content.name != without
        )
        assert span.next_offset is not None
        gaps, at = [], span.first_offset
        for start, end in [*others, (span.next_offset, span.next_offset)]:
            if at < min(start, span.next_offset):
                last = min(start, span.next_offset)
                gaps.append(span._replace(first_offset=at, next_offset=last))
            at = max(at, end)
        return gaps

    def _is_whole(self, manifest: Manifest) -> bool:
        try:
            return self.chains.is_whole(manifest)
        except Damage:
            return False

    def _sealed(self, span: Span) -> tuple[Manifest, bytes]:
        """The file that covers the whole span, from what the topic has of it."""
        messages = list(self._read(span))
        first = span.first_offset
        dataset = self._datasets[span.topic]
        segment = OpenSegment(dataset, self.chains, span.topic, span.partition, first)
        for record in _records(messages):
            segment.take(record)
        # What compaction dropped leaves no trace, so only an unbroken row proves that all came.
        is_whole = span.next_offset is not None and len(messages) == span.next_offset - first
        return segment.sealed_as(span, lacks_compacted=dataset is ORDERS and not is_whole)

    def _make_room(self, topic: str, name: str) -> None:
        """Move a damaged file and its manifest away, so that their names are free."""
        files = self.chains.files
        found = self._files(topic, name)
        # The manifest first: a file without one counts as damaged by itself.
        for file in sorted(found, key=lambda file: file != manifest_name(name)):
            if file != manifest_name(name):
                files.seal(f"{DAMAGED}/{name}{DATA}", self.chains.bytes_of(file))
            files.remove(file)
        self.chains.forget(name)

    def _files(self, topic: str, name: str) -> list[str]:
        """The manifest of a segment and its data file, as far as they are there."""
        names = manifest_name(name), replaced_name(name)
        return [
            file
            for file in self.chains.files.walk(topic)
            if file in names or (file.endswith(DATA) and stem_of(file) == name)
        ]


def _records(messages: Iterable[Message]) -> Iterator[OrderRecord | EventRecord | OutcomeRecord]:
    """The records that leave rows; what the writer refused before is refused again."""
    for message in messages:
        try:
            record = decode(message)
        except Rejected as rejected:
            place = f"{message.topic} [{message.partition}] at {message.offset}"
            LOGGER.warning("%s stays out of the archive: %s", place, rejected)
            continue
        is_tombstone = isinstance(record, OrderRecord) and record.document is None
        if record is not None and not is_tombstone:
            yield record

"""The sealed files of the archive, partition by partition, each beginning where the last ended."""

import logging
from collections.abc import Callable, Iterator

import msgspec

from broker.topic_identity import check_topic_id
from storage_tiering.archive.files import ArchiveFiles
from storage_tiering.archive.manifest import (
    DATA,
    END,
    MANIFEST,
    Damage,
    Manifest,
    Span,
    checksum_of,
    decode_manifest,
    end_name,
    span_in,
)
from storage_tiering.archive.sealed_segment import content_of
from storage_tiering.archive.survey import Listing, Survey, survey_of

LOGGER = logging.getLogger("ordertide.storage_tiering")
REMEDY = "restore the former topic, or give the archive another folder ([archive] folder)"


def no_id(_: str) -> str:
    """Empty id, for callers without the topics' ids."""
    return ""


class SegmentChains:
    """All manifests, each read once: a sealed file never changes.

    `topic_id` gives the id of a topic as it is now.
    """

    def __init__(self, files: ArchiveFiles, topic_id: Callable[[str], str] = no_id) -> None:
        self.files = files
        self.topic_id = topic_id
        self._known: dict[str, Manifest] = {}

    def survey(self, topic: str) -> Survey:
        """The manifests of a topic's files and all damage that names and manifests show.

        A listing that shows damage is made again: a writer may have sealed a file during it.
        """
        found = self._survey(topic)
        return self._survey(topic) if found.damages else found

    def manifests(self, topic: str) -> list[Manifest]:
        """The manifests of a topic's files, by partition and offset.

        Raises:
            Damage: one can't be read, so the content of its file is unknown.
        """
        found = self.survey(topic)
        for damage in found.damages:
            if damage.kind in ("damaged manifest", "damaged file"):
                raise damage
        return found.manifests

    def of_partition(self, topic: str, partition: int) -> list[Manifest]:
        """The readable manifests of one partition, by offset."""
        manifests = self.survey(topic).manifests
        return [m for m in manifests if m.content.partition == partition]

    def next_offset(self, topic: str, partition: int) -> int:
        """The first offset behind the last file; 0 for a partition without files.

        Raises:
            Damage: the last file can't be read, so its end is unknown.
        """
        return self.survey(topic).end_of(topic, partition)

    def resume_offset(self, topic: str, partition: int) -> int | None:
        """Offset at which reading has to continue; None without any file.

        Raises:
            OffsetLost: the files are of another topic of this name.
            Damage: as for `next_offset`.
        """
        found = self.survey(topic)
        chain = [m for m in found.manifests if m.content.partition == partition]
        if chain:
            check_topic_id(topic, chain[-1].content.topic_id, self.topic_id(topic), REMEDY)
        for damage in found.damages:
            if damage.kind == "lost end" and damage.span and damage.span.partition == partition:
                LOGGER.error("%s; they are written again as far as the topic has them", damage)
        return found.end_of(topic, partition) or None

    def add(self, manifest: Manifest, data: bytes) -> bool:
        """Seal a data file and its manifest; False if its place in the chain was taken."""
        if not self.files.seal(manifest.file, data):
            return False
        # If a kill prevents this, the next reader of the file makes the manifest from its footer.
        self._seal_manifest(manifest)
        self._known[manifest.content.name] = manifest
        self._mark_end(manifest.content.span)
        return True

    def verify(self, topic: str) -> Iterator[Damage]:
        """Read all files of a topic: damaged, missing and surplus files, and gaps in a chain."""
        self._known.clear()
        found = self.survey(topic)
        yield from found.damages
        for manifest in found.manifests:
            data = self.bytes_of(manifest.file)
            if len(data) != manifest.size_bytes or checksum_of(data) != manifest.checksum:
                yield manifest.differs()

    def make_manifest(self, name: str) -> Manifest:
        """Make the manifest of a data file from its footer, in the place of any that is there.

        Raises:
            Damage: the file is damaged itself.
        """
        data = self.bytes_of(name + DATA)
        manifest = Manifest.of(content_of(name + DATA, data), data)
        self._seal_manifest(manifest)
        return manifest

    def forget(self, name: str) -> None:
        """Drop this file's manifest from the cache."""
        self._known.pop(name, None)

    def bytes_of(self, name: str) -> bytes:
        """All of a file."""
        with self.files.open(name) as file:
            return file.read()

    def _survey(self, topic: str) -> Survey:
        listing = Listing()
        for file in self.files.list(topic, ""):
            listing.add(file)
        manifests: dict[str, Manifest] = {}
        damages: list[Damage] = []
        for name in sorted(listing.data | listing.manifests):
            try:
                manifests[name] = self._manifest(name, listing)
            except Damage as damage:
                damages.append(damage)
        return survey_of(listing, manifests, damages)

    def _manifest(self, name: str, listing: Listing) -> Manifest:
        if name not in self._known:
            has_manifest = name in listing.manifests
            self._known[name] = self._read(name) if has_manifest else self._made(name)
        return self._known[name]

    def _made(self, name: str) -> Manifest:
        LOGGER.warning("archive file %s%s: has no manifest; made from its footer", name, DATA)
        return self.make_manifest(name)

    def _read(self, name: str) -> Manifest:
        return decode_manifest(name, self.bytes_of(name + MANIFEST))

    def _seal_manifest(self, manifest: Manifest) -> None:
        name = manifest.content.name + MANIFEST
        data = msgspec.json.encode(manifest)
        if not self.files.seal(name, data) and self.bytes_of(name) != data:
            # It describes a file that is gone, or it is damaged.
            self.files.remove(name)
            self.files.seal(name, data)

    def _mark_end(self, span: Span) -> None:
        """Move the end marker; one left behind by a kill claims less, never something wrong."""
        name = end_name(span)
        self.files.seal(name, b"end of chain\n")
        for file in self.files.list(span.topic, END):
            end = span_in(file.removesuffix(END))
            if end and end.partition == span.partition and file < name:
                self.files.remove(file)

"""The sealed files of the archive, partition by partition, each going on where the last ended."""

from collections import defaultdict
from collections.abc import Callable, Iterator

import msgspec

from broker.topic_identity import check_topic_id
from schemas.errors import StateError
from storage_tiering.archive.files import ArchiveFiles
from storage_tiering.archive.manifest import (
    DATA,
    MANIFEST,
    Manifest,
    checksum_of,
    decode_manifest,
)
from storage_tiering.archive.sealed_segment import content_of

WAY_OUT = "restore the former topic, or give the archive another folder ([archive] folder)"


def no_id(_: str) -> str:
    """Where nobody knows the topics' ids."""
    return ""


class Chains:
    """All manifests, each read once: a sealed file never changes.

    `topic_id` gives the id of a topic as it is now.
    """

    def __init__(self, files: ArchiveFiles, topic_id: Callable[[str], str] = no_id) -> None:
        self.files = files
        self.topic_id = topic_id
        self._known: dict[str, Manifest] = {}

    def manifests(self, topic: str) -> list[Manifest]:
        """The manifests of a topic's files, by partition and offset."""
        names = [file.removesuffix(DATA) for file in self.files.list(topic, DATA)]
        there = set(self.files.list(topic, MANIFEST))
        for name in names:
            if name not in self._known:
                has_manifest = name + MANIFEST in there
                self._known[name] = self._read(name) if has_manifest else self._make(name)
        found = [self._known[name] for name in names]
        return sorted(found, key=lambda m: (m.content.partition, m.content.first_offset))

    def of_partition(self, topic: str, partition: int) -> list[Manifest]:
        """The manifests of one partition, by offset."""
        return [m for m in self.manifests(topic) if m.content.partition == partition]

    def next_offset(self, topic: str, partition: int) -> int:
        """The first offset that isn't sealed yet; 0 for a partition without files."""
        chain = self.of_partition(topic, partition)
        return chain[-1].content.next_offset if chain else 0

    def resume_offset(self, topic: str, partition: int) -> int | None:
        """Where reading has to go on; None without any file.

        Raises:
            OffsetLost: the files are of another topic of this name.
        """
        chain = self.of_partition(topic, partition)
        if not chain:
            return None
        last = chain[-1].content
        check_topic_id(topic, last.topic_id, self.topic_id(topic), WAY_OUT)
        return last.next_offset

    def add(self, manifest: Manifest, data: bytes) -> bool:
        """Seal a data file and its manifest; False if its place in the chain was taken."""
        if not self.files.seal(manifest.file, data):
            return False
        # If a kill prevents this, whoever meets the file next makes the manifest from its footer.
        self._seal_manifest(manifest)
        self._known[manifest.content.name] = manifest
        return True

    def verify(self, topic: str) -> Iterator[StateError]:
        """Read all files of a topic: which differ from their manifest, and where a chain breaks."""
        by_partition: dict[int, list[Manifest]] = defaultdict(list)
        for manifest in self.manifests(topic):
            by_partition[manifest.content.partition].append(manifest)
            if checksum_of(self._bytes(manifest.file)) != manifest.checksum:
                yield manifest.differs()
        for chain in by_partition.values():
            yield from _breaks(chain)

    def _read(self, name: str) -> Manifest:
        return decode_manifest(name, self._bytes(name + MANIFEST))

    def _make(self, name: str) -> Manifest:
        data = self._bytes(name + DATA)
        manifest = Manifest.of(content_of(name + DATA, data), data)
        self._seal_manifest(manifest)
        return manifest

    def _seal_manifest(self, manifest: Manifest) -> None:
        name = manifest.content.name + MANIFEST
        self.files.seal(name, msgspec.json.encode(manifest))

    def _bytes(self, name: str) -> bytes:
        with self.files.open(name) as file:
            return file.read()


def _breaks(chain: list[Manifest]) -> Iterator[StateError]:
    next_offset = 0
    for manifest in chain:
        content = manifest.content
        if content.first_offset != next_offset:
            yield StateError(
                f"archive manifest {content.name}: starts at {content.first_offset}, but the file "
                f"before it ends before {next_offset}; a file is missing or one too many"
            )
        next_offset = content.next_offset

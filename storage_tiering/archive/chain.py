"""The sealed segments of the archive, partition by partition, each where the last one ended.

Sealing, of a new segment and of a merge alike:

1. The data file is staged: complete and durable, in `_staged` under a name of its own.
2. Its manifest is sealed, if the name is free. With that the segment counts: of two writers one
   wins. A sealed segment is named by its first offset; a merge by the next number of the log of its
   partition's merges, so nobody merges what he has not seen the latest merge of.
3. The data file is renamed to its name; files that were merged go to `_replaced`.

A kill after step 2 leaves a file in another of its places (`Manifest.places`), where look-ups find
it; the next `settle` completes the moves, which the manifests alone determine.
"""

import io
import logging
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from broker.topic_identity import check_topic_id
from storage_tiering.archive.files import STALE_AFTER_S, ArchiveFiles, FileMissing
from storage_tiering.archive.manifest import (
    Damage,
    Manifest,
    blocks_of,
    decode_manifest,
)
from storage_tiering.archive.names import (
    END,
    ENDS,
    MANIFESTS,
    STAGED,
    Span,
    end_name,
    manifest_name,
    replaced_name,
    span_in,
    stem_of,
)
from storage_tiering.archive.sealed_segment import Footers, content_of, open_data, rows_of
from storage_tiering.archive.survey import Listing, Survey, place_of, survey_of

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
        self.on_opened: Callable[[], object] = lambda: None
        self._known: dict[str, Manifest] = {}
        self._footers = Footers()
        self._surveyed: dict[str, tuple[set[str], Survey]] = {}

    def survey(self, topic: str, *, has_data: bool = False) -> Survey:
        """The live segments of a topic and all damage that names and manifests show.

        Data files are listed where the manifests alone show damage, or if `has_data`. A listing
        that shows damage is made again: a writer may have sealed a file during it.
        """
        found = self._survey(topic, has_data=has_data)
        return self._survey(topic, has_data=True) if found.damages else found

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

    def rows_of(
        self, manifest: Manifest, key: str, columns: list[str] | None = None
    ) -> list[dict[str, Any]]:
        """The rows of an order in a file, with these columns or all.

        Raises:
            Damage: the file is damaged or missing.
        """
        self.on_opened()
        return rows_of(self.files, manifest, key, self._footers, columns)

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

    def add(self, manifest: Manifest, data: bytes | Path) -> bool:
        """Seal a segment; False if its place in the chain was taken.

        Raises:
            Busy: the store is unavailable; whether it was sealed the next survey shows.
        """
        content = manifest.content
        self.files.seal(manifest.staged, data)
        if not self._claim(manifest):
            self.files.remove(manifest.staged)
            return False
        self._known[content.name] = manifest
        self.files.move(manifest.staged, manifest.file)
        if not content.merge:
            self._mark_end(content.span)
        return True

    def settle(self, topic: str) -> None:
        """Complete the moves that a kill has prevented, in partitions without damage.

        Live files come first: a reader of the folder may see rows twice for a moment, never less.
        """
        listing = self._listing(topic, has_data=True)
        found = self._survey_of(listing)
        damaged = {damage.span and damage.span.partition for damage in found.damages}
        for manifest in found.manifests:
            if manifest.file not in listing.files and manifest.content.partition not in damaged:
                for place in (manifest.staged, replaced_name(manifest.content.name)):
                    self.files.move(place, manifest.file)
        for manifest in found.replaced:
            if manifest.content.partition not in damaged:
                if manifest.staged in listing.files:
                    self.files.move(manifest.staged, manifest.file)
                if {manifest.staged, manifest.file} & listing.files:
                    self.put_aside(manifest)

    def put_aside(self, manifest: Manifest) -> None:
        """Move the file of a segment that was merged out of the way of readers."""
        self.files.move(manifest.file, replaced_name(manifest.content.name))

    def forget_replaced(self, topic: str, keep_s: float) -> int:
        """Delete what was merged `keep_s` ago, and uploads as old that no manifest names.

        Returns how many segments went.
        """
        listing = self._listing(topic, has_data=True)
        found = self._survey_of(listing)
        if found.damages:
            return 0
        ages = self.files.ages_s(f"{topic}/{MANIFESTS}")
        gone = 0
        for manifest in found.replaced:
            if ages.get(manifest_name(_merge_of(manifest, found).content.name), 0.0) > keep_s:
                for place in dict.fromkeys(manifest.places):
                    if place in listing.files:
                        self.files.remove(place)
                self.files.remove(manifest_name(manifest.content.name))
                self.forget(manifest.content.name)
                gone += 1
        named = {manifest.staged for manifest in [*found.manifests, *found.replaced]}
        for file, age_s in self.files.ages_s(f"{topic}/{STAGED}").items():
            if file not in named and age_s > max(keep_s, STALE_AFTER_S):
                self.files.remove(file)
        return gone

    def verify(self, topic: str) -> Iterator[Damage]:
        """Read all files of a topic: damaged, missing and surplus files, and gaps in a chain."""
        self._known.clear()
        self._surveyed.clear()
        found = self.survey(topic, has_data=True)
        yield from found.damages
        for manifest in found.manifests:
            if not self.is_whole(manifest):
                yield manifest.differs()

    def is_whole(self, manifest: Manifest) -> bool:
        """Read a data file; False if it is not as it was sealed."""
        checksum, size_bytes = blake2b(digest_size=16), 0
        with open_data(self.files, manifest) as file:
            for block in blocks_of(file):
                checksum.update(block)
                size_bytes += len(block)
        return (size_bytes, checksum.hexdigest()) == (manifest.size_bytes, manifest.checksum)

    def make_manifest(self, file: str) -> Manifest:
        """Make the manifest of a data file from its footer, in the place of one that is not of it.

        Raises:
            Damage: the file is damaged itself.
        """
        data = self.bytes_of(file)
        manifest = Manifest.of(content_of(file, data), io.BytesIO(data))
        name, text = manifest_name(manifest.content.name), msgspec.json.encode(manifest)
        if not self.files.seal(name, text):
            with suppress(Damage):
                found = decode_manifest(manifest.content.name, self.bytes_of(name))
                if found.checksum == manifest.checksum:  # its writer has just sealed it
                    return found
            self.files.remove(name)
            self.files.seal(name, text)
        return manifest

    def forget(self, name: str) -> None:
        """Drop this file's manifest from the cache."""
        self._known.pop(name, None)
        self._surveyed.clear()

    def bytes_of(self, name: str) -> bytes:
        """All of a file."""
        with self.files.open(name) as file:
            return file.read()

    def _survey(self, topic: str, *, has_data: bool) -> Survey:
        """A survey of manifests alone is kept while their names are the same: they decide it."""
        listing = self._listing(topic, has_data=has_data)
        files, held = self._surveyed.get(topic, (None, None))
        if held and not has_data and files == listing.files:
            return held
        found = self._survey_of(listing)
        if not has_data and not found.damages:
            self._surveyed[topic] = listing.files, found
        return found

    def _listing(self, topic: str, *, has_data: bool) -> Listing:
        if has_data:
            return Listing(self.files.walk(topic), has_data=True)
        # The folder itself holds files in older formats only; data is never looked for here.
        folders = (topic, f"{topic}/{ENDS}", f"{topic}/{MANIFESTS}")
        files = [file for folder in folders for file in self.files.list(folder, "")]
        return Listing(files, has_data=False)

    def _survey_of(self, listing: Listing) -> Survey:
        manifests: dict[str, Manifest] = {}
        damages: list[Damage] = []
        for name in sorted(listing.manifests):
            try:
                manifests[name] = self._manifest(name)
            except Damage as damage:
                damages.append(damage)
            except FileMissing:
                continue  # it was merged long ago, and deleted since it was listed
        for name, files in (listing.data or {}).items():
            for file in files:
                try:
                    if name not in listing.manifests:
                        manifests[name] = self._made(name, file)
                    elif name in manifests and file != manifests[name].file:
                        damages.append(_copy(manifests[name], file))
                except Damage as damage:
                    damages.append(damage)
        return survey_of(listing, list(manifests.values()), damages)

    def _manifest(self, name: str) -> Manifest:
        if name not in self._known:
            self._known[name] = decode_manifest(name, self.bytes_of(manifest_name(name)))
        return self._known[name]

    def _made(self, name: str, file: str) -> Manifest:
        self._known[name] = self.make_manifest(file)
        LOGGER.warning("archive file %s: has no manifest; made from its footer", file)
        return self._known[name]

    def _claim(self, manifest: Manifest) -> bool:
        """Seal the manifest; True also if an earlier try of this upload has, without an answer."""
        name, text = manifest_name(manifest.content.name), msgspec.json.encode(manifest)
        return self.files.seal(name, text) or self.bytes_of(name) == text

    def _mark_end(self, span: Span) -> None:
        """Move the end marker; one left behind by a kill claims less, never something wrong."""
        name = end_name(span)
        self.files.seal(name, b"end of chain\n")
        for file in self.files.list(f"{span.topic}/{ENDS}", END):
            end = span_in(stem_of(file).removesuffix(END))
            if end and end.partition == span.partition and file < name:
                self.files.remove(file)


def new_upload() -> str:
    """A name for an upload that no other has."""
    return uuid.uuid4().hex


def _merge_of(manifest: Manifest, found: Survey) -> Manifest:
    """The live merge that holds the rows of a replaced segment; `found` shows no damage."""
    at = bisect_right(found.manifests, place_of(manifest), key=place_of)
    return found.manifests[at - 1]


def _copy(manifest: Manifest, file: str) -> Damage:
    return Damage(
        "surplus file",
        manifest.content.span,
        f"archive file {file}: is a copy of {manifest.file}; move it away",
        manifest.content.name,
    )

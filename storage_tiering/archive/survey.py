"""Manifests compared with files, both ways, and the chain of each partition with its end marker.

The live segments are a function of the manifests alone: merges from the newest to the oldest, then
the sealed segments, each unless a live merge holds its offsets. So a merge counts from the moment
at which its manifest is sealed, with all of its rows and instead of those that it was made of.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable

import msgspec

from storage_tiering.archive.manifest import REPAIR, Damage, Manifest, check_format
from storage_tiering.archive.names import (
    DATA,
    END,
    ENDS,
    MANIFEST,
    MANIFESTS,
    Span,
    span_in,
    stem_of,
)


class Listing:
    """The names in a topic's folder, by kind. `data` is None if only manifests were listed.

    `data`: {stem: files in folders of days}. `ends`: {partition: end marker}.
    """

    def __init__(self, files: Iterable[str], *, has_data: bool) -> None:
        """Create the listing of these files.

        Raises:
            StateError: they are of an older format.
        """
        self.files = set(files)
        self.manifests: set[str] = set()
        self.ends: dict[tuple[str, int], int] = {}
        self.data: dict[str, list[str]] | None = defaultdict(list) if has_data else None
        for file in sorted(self.files):
            self._add(file)

    def holds(self, manifest: Manifest) -> bool:
        """False: its data file is in none of its places."""
        return self.data is None or any(place in self.files for place in manifest.places)

    def _add(self, file: str) -> None:
        _, *folders, name = file.split("/")
        stem = stem_of(file)
        if not folders and span_in(stem.removesuffix(END)):
            check_format(file, 1)
        if folders == [MANIFESTS] and name.endswith(MANIFEST):
            self.manifests.add(stem)
        elif folders == [ENDS] and (end := span_in(stem.removesuffix(END))):
            place = end.topic, end.partition
            self.ends[place] = max(end.first_offset, self.ends.get(place, 0))
        elif self.data is not None and name.endswith(DATA) and "".join(folders)[:1] != "_":
            self.data[stem].append(file)


class Survey(msgspec.Struct, frozen=True):
    """`manifests` of live segments, by partition and offset; `missing`: those without a file.

    `replaced`: those whose rows a live merge holds. `damages` holds everything that names and
    manifests show, not what is in the files. `bounds`: {(topic, partition): where its
    files and its end marker start}.
    """

    manifests: list[Manifest]
    missing: list[Manifest]
    replaced: list[Manifest]
    damages: list[Damage]
    unreadable: list[Span]
    bounds: dict[tuple[str, int], list[int]]

    def end_of(self, topic: str, partition: int) -> int:
        """The offset behind the last manifest; 0 without any.

        Raises:
            Damage: that manifest can't be read.
        """
        known = self.manifests + self.missing
        ends = [m.content.next_offset for m in known if m.content.partition == partition]
        end = max(ends, default=0)
        for span in self.unreadable:
            if (span.topic, span.partition) == (topic, partition) and span.first_offset >= end:
                raise next(each for each in self.damages if each.span == span)
        return end

    def watermark(self, partition: int | None = None) -> int | None:
        """Latest instant of stream time (ms) up to which this partition, or any, was sealed."""
        known = [
            m.content.watermark
            for m in self.manifests
            if m.content.watermark is not None and partition in (None, m.content.partition)
        ]
        return max(known, default=None)

    def holes(self) -> list[Damage]:
        """Damage by which records are missing: any order may be in them."""
        return [damage for damage in self.damages if damage.kind != "surplus file"]


def survey_of(listing: Listing, manifests: Iterable[Manifest], damages: list[Damage]) -> Survey:
    """Compare. `damages` are of those whose manifest could not be read."""
    there = [manifest for manifest in manifests if listing.holds(manifest)]
    missing = [manifest for manifest in manifests if not listing.holds(manifest)]
    live, replaced = told_apart(there)
    missing, lost = told_apart(missing, live)
    unreadable = [d.span for d in damages if d.span is not None and d.kind != "surplus file"]
    # A merge that is lost leaves no gap where the segments are that it was made of.
    gaping = [each.content.span for each in missing if not _overlaps_any(each, live)]
    spans = [each.content.span for each in live] + gaping + unreadable
    by_partition: dict[tuple[str, int], list[Span]] = defaultdict(list)
    for place in listing.ends:
        by_partition[place] = []
    for span in sorted(spans, key=lambda span: span[:3]):
        by_partition[span.topic, span.partition].append(span)
    names = {each.content.span: each.content.name for each in live}
    found = damages + [manifest.file_missing() for manifest in missing]
    for place, chain in sorted(by_partition.items()):
        found += _gaps(place, chain, listing.ends.get(place, 0), names)
    bounds = {
        place: [*(span.first_offset for span in chain), listing.ends.get(place, 0)]
        for place, chain in by_partition.items()
    }
    return Survey(
        sorted(live, key=place_of),
        sorted(missing, key=place_of),
        sorted(replaced + lost, key=place_of),
        found,
        unreadable,
        bounds,
    )


def told_apart(
    manifests: Iterable[Manifest], above: Iterable[Manifest] = ()
) -> tuple[list[Manifest], list[Manifest]]:
    """The live segments, and those whose rows a live merge holds (or one of `above`)."""
    live: list[Manifest] = []
    replaced: list[Manifest] = []
    merges: dict[int, Cover] = defaultdict(Cover)
    for each in above:
        if each.content.merge:
            merges[each.content.partition].add(each.content.span)
    for each in sorted(manifests, key=lambda manifest: -manifest.content.merge):
        content = each.content
        cover = merges[content.partition]
        if cover.holds(content.span):
            replaced.append(each)
            continue
        live.append(each)
        if content.merge:
            cover.add(content.span)
    return live, replaced


class Cover:
    """Spans of merges, by offset; one within another is left out.

    A year of merges is looked through at every look-up and flush, so that each segment is compared
    with one of them.
    """

    def __init__(self) -> None:
        """Create an empty cover."""
        self._starts: list[int] = []  # both strictly rising
        self._ends: list[int] = []

    def holds(self, span: Span) -> bool:
        """Return True if one of the spans holds all of `span`, whose end is known."""
        assert span.next_offset is not None
        at = bisect_right(self._starts, span.first_offset)
        return at > 0 and self._ends[at - 1] >= span.next_offset

    def add(self, span: Span) -> None:
        """Take a span whose end is known."""
        assert span.next_offset is not None
        if not self.holds(span):
            begin = bisect_left(self._starts, span.first_offset)
            end = bisect_right(self._ends, span.next_offset)
            self._starts[begin:end] = [span.first_offset]
            self._ends[begin:end] = [span.next_offset]


def _overlaps_any(manifest: Manifest, others: Iterable[Manifest]) -> bool:
    content = manifest.content
    return any(
        content.span.overlaps(other.content.span)
        for other in others
        if other.content.partition == content.partition
    )


def place_of(manifest: Manifest) -> tuple[int, int]:
    """Place of a segment among those of its topic: partition and first offset."""
    return manifest.content.partition, manifest.content.first_offset


def _gaps(
    place: tuple[str, int], chain: list[Span], end: int, names: dict[Span, str]
) -> list[Damage]:
    """Gaps, files that overlap, and an end marker that lies behind the last file."""
    damages: list[Damage] = []
    next_offset: int | None = 0
    for span in chain:
        # Where an unreadable one ends isn't known, nor where a merge begins.
        is_read = span.next_offset is not None
        if next_offset is not None and (
            span.first_offset != next_offset if is_read else span.first_offset > next_offset
        ):
            damages.append(_break(place, next_offset, span, names.get(span, span.name)))
        next_offset = span.next_offset
    if next_offset is not None and end > next_offset:
        gap = Span(*place, next_offset, end)
        damages.append(
            Damage(
                "lost end",
                gap,
                f"archive manifest {gap.name}: the last file of the chain is missing, with {gap}; "
                f"put it back, or {REPAIR}",
            )
        )
    return damages


def _break(place: tuple[str, int], next_offset: int, span: Span, name: str) -> Damage:
    reason = (
        f"archive manifest {name}: starts at {span.first_offset}, but the file before it ends "
        f"before {next_offset}; "
    )
    if span.first_offset < next_offset:
        return Damage("surplus file", span, f"{reason}it is one too many: move it away", name)
    gap = Span(*place, next_offset, span.first_offset)
    return Damage(
        "missing file",
        gap,
        f"{reason}{gap.name}{DATA} is missing, with {gap}: put it back, or {REPAIR}",
    )

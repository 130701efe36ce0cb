"""Manifests compared with files, both ways, and the chain of each partition with its end marker."""

from collections import defaultdict

import msgspec

from storage_tiering.archive.manifest import (
    DATA,
    END,
    MANIFEST,
    REPAIR,
    Damage,
    Manifest,
    Span,
    span_in,
)


class Listing:
    """The names in a topic's folder, without their endings. `ends`: {partition: end marker}."""

    def __init__(self) -> None:
        """Create an empty listing."""
        self.data: set[str] = set()
        self.manifests: set[str] = set()
        self.ends: dict[tuple[str, int], int] = {}

    def add(self, file: str) -> None:
        """Add a file; one whose name is of no kind of ours is left out."""
        if file.endswith(DATA):
            self.data.add(file.removesuffix(DATA))
        elif file.endswith(MANIFEST):
            self.manifests.add(file.removesuffix(MANIFEST))
        elif file.endswith(END) and (end := span_in(file.removesuffix(END))):
            place = end.topic, end.partition
            self.ends[place] = max(end.first_offset, self.ends.get(place, 0))


class Survey(msgspec.Struct, frozen=True):
    """`manifests` of files that are there, by partition and offset; `missing`: without file.

    `damages` holds everything that names and manifests show, not what is in the files. `bounds`:
    {(topic, partition): where its files and its end marker start}.
    """

    manifests: list[Manifest]
    missing: list[Manifest]
    damages: list[Damage]
    unreadable: list[Span]
    bounds: dict[tuple[str, int], list[int]]

    def end_of(self, topic: str, partition: int) -> int:
        """The offset behind the last file; 0 without any.

        Raises:
            Damage: that file can't be read.
        """
        ends = [m.content.next_offset for m in self.manifests if m.content.partition == partition]
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


def survey_of(listing: Listing, manifests: dict[str, Manifest], damages: list[Damage]) -> Survey:
    """Compare. `damages` are of those whose manifest could not be read."""
    there = [manifest for name, manifest in manifests.items() if name in listing.data]
    missing = [manifest for name, manifest in manifests.items() if name not in listing.data]
    unreadable = [d.span for d in damages if d.span is not None and d.kind != "surplus file"]
    spans = [manifest.content.span for manifest in manifests.values()] + unreadable
    by_partition: dict[tuple[str, int], list[Span]] = defaultdict(list)
    for place in listing.ends:
        by_partition[place] = []
    for span in sorted(spans, key=lambda span: span[:3]):
        by_partition[span.topic, span.partition].append(span)
    found = damages + [manifest.file_missing() for manifest in missing]
    for place, chain in sorted(by_partition.items()):
        found += _gaps(place, chain, listing.ends.get(place, 0))
    bounds = {
        place: [*(span.first_offset for span in chain), listing.ends.get(place, 0)]
        for place, chain in by_partition.items()
    }
    return Survey(sorted(there, key=_place), sorted(missing, key=_place), found, unreadable, bounds)


def _place(manifest: Manifest) -> tuple[int, int]:
    return manifest.content.partition, manifest.content.first_offset


def _gaps(place: tuple[str, int], chain: list[Span], end: int) -> list[Damage]:
    """Gaps, files that overlap, and an end marker that lies behind the last file."""
    damages: list[Damage] = []
    next_offset: int | None = 0
    for span in chain:
        if next_offset is not None and span.first_offset != next_offset:
            damages.append(_break(place, next_offset, span))
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


def _break(place: tuple[str, int], next_offset: int, span: Span) -> Damage:
    said = (
        f"archive manifest {span.name}: starts at {span.first_offset}, but the file before it ends "
        f"before {next_offset}; "
    )
    if span.first_offset < next_offset:
        return Damage("surplus file", span, f"{said}it is one too many: move it away")
    gap = Span(*place, next_offset, span.first_offset)
    return Damage(
        "missing file",
        gap,
        f"{said}{gap.name}{DATA} is missing, with {gap}: put it back, or {REPAIR}",
    )

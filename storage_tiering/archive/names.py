"""Names in a topic's folder: data files by day, and everything else out of the way of readers.

Readers of Parquet skip names that begin with `_`, and a glob takes `.parquet` alone; so only data
files have that ending, and they alone lie in folders without `_`:

    orders.events/arrival_day=2026-11-30/orders.events-3-00000000000000012000.parquet
    orders.events/_manifests/orders.events-3-00000000000000012000.json
    orders.events/_ends/orders.events-3-00000000000000015000.end
    orders.events/_staged/…       complete, not yet under its own name
    orders.events/_replaced/…     merged into a larger file, kept for readers that hold it

A sealed segment is named by its partition and first offset. A merged one is named by its partition
and a number, `orders.events-3-merged-000000007`: merges of a partition are a log. The name of both
is its stem, `orders.events/orders.events-3-…`, whatever the day.

`<topic>-<partition>-<next offset>.end` is the end marker of a partition: its chain of files has
reached that offset. It reveals the loss of the last file, behind which no other file starts.
"""

import re
from typing import NamedTuple

from schemas.instants import format_instant

# Format 1 had no days, and manifests beside the data.
FORMAT = 2
DATA = ".parquet"
MANIFEST = ".json"
END = ".end"
DAY = "arrival_day"
MANIFESTS, ENDS, STAGED, REPLACED = "_manifests", "_ends", "_staged", "_replaced"
SEGMENT = re.compile(
    r"(?P<topic>.+)-(?P<partition>[0-9]{1,9})-((?P<offset>[0-9]{20})|merged-(?P<merge>[0-9]{9}))"
)


class Span(NamedTuple):
    """Offsets `first_offset` <= offset < `next_offset` of a partition; None is not known."""

    topic: str
    partition: int
    first_offset: int
    next_offset: int | None

    @property
    def name(self) -> str:
        """The stem of the segment that was sealed here; sorts by offset."""
        place = f"{self.topic}-{self.partition}-{self.first_offset:020d}"
        return f"{self.topic}/{place}"

    def __str__(self) -> str:
        """`offsets 100 to 199 of orders.events [3]`."""
        partition = f"{self.topic} [{self.partition}]"
        if self.next_offset is None:
            return f"the offsets from {self.first_offset} of {partition}"
        return f"the offsets {self.first_offset} to {self.next_offset - 1} of {partition}"

    def overlaps(self, other: "Span") -> bool:
        """True if both hold an offset; both have a known end."""
        assert self.next_offset is not None
        assert other.next_offset is not None
        return self.first_offset < other.next_offset and other.first_offset < self.next_offset


def merged_name(topic: str, partition: int, merge: int) -> str:
    """The stem of merge number `merge` of a partition."""
    return f"{topic}/{topic}-{partition}-merged-{merge:09d}"


def is_merged(name: str) -> bool:
    """True for the stem of a merge."""
    matched = SEGMENT.fullmatch(name.rpartition("/")[2])
    return matched is not None and matched["merge"] is not None


def data_name(name: str, day: str) -> str:
    """The data file of the segment `name`."""
    return _placed(name, f"{DAY}={day}", DATA)


def manifest_name(name: str) -> str:
    """The manifest of the segment `name`."""
    return _placed(name, MANIFESTS, MANIFEST)


def staged_name(name: str, upload: str) -> str:
    """The place of a complete data file before it gets its name; each upload has one of its own."""
    return _placed(name, STAGED, f".{upload}")


def replaced_name(name: str) -> str:
    """The place of the data file of the segment `name` once it was merged."""
    return _placed(name, REPLACED)


def _placed(name: str, folder: str, ending: str = "") -> str:
    topic, _, stem = name.rpartition("/")
    return f"{topic}/{folder}/{stem}{ending}"


def stem_of(file: str) -> str:
    """The stem of a file of any kind."""
    folder, _, name = file.rpartition("/")
    return f"{folder.partition('/')[0]}/{name.removesuffix(DATA).removesuffix(MANIFEST)}"


def span_in(name: str) -> Span | None:
    """The partition and first offset in a stem; None in others.

    The name of a merged segment holds no offset: it may be any of its partition.
    """
    folder, _, stem = name.rpartition("/")
    matched = SEGMENT.fullmatch(stem)
    if matched is None or matched["topic"] != folder:
        return None
    return Span(folder, int(matched["partition"]), int(matched["offset"] or 0), None)


def end_name(span: Span) -> str:
    """The end marker of a chain whose last file covers `span`."""
    return f"{span.topic}/{ENDS}/{span.topic}-{span.partition}-{span.next_offset:020d}{END}"


def day_of(at: int) -> str:
    """The UTC day of an instant: `2026-11-30`."""
    return format_instant(at)[:10]

"""Compaction: the small files of a day that has ended become one, of 128 to 512 MB where there are.

Only whole segments of one partition that follow each other are merged, so a merge is a segment
like any other: look-ups, end markers and repair go by its offsets. `chain.py` says how it takes
their place, and why a kill at any point loses no row and doubles none. The files that were merged
stay in `_replaced` for `keep_s`: a look-up that has read their manifests still finds them there.
"""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from schemas.errors import StateError
from schemas.instants import HOUR_MS, SECOND_MS
from schemas.keys import order_key
from storage_tiering.archive.chain import SegmentChains, new_upload
from storage_tiering.archive.dataset import Dataset
from storage_tiering.archive.key_filter import digest_of, filter_of
from storage_tiering.archive.manifest import Damage, Manifest, SegmentInfo
from storage_tiering.archive.merging import merged
from storage_tiering.archive.names import day_of
from storage_tiering.archive.sealed_segment import batches_of, write_segment
from storage_tiering.archive.survey import Survey
from storage_tiering.tier import Partition

MEBIBYTE = 1024 * 1024


class CompactionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A file of `small_bytes` is left as it is; no merge is made of more than `most_bytes`.

    `keep_s`: how long merged files are kept for readers that hold them.
    """

    small_bytes: int = 128 * MEBIBYTE
    most_bytes: int = 512 * MEBIBYTE
    keep_s: float = 24 * HOUR_MS / SECOND_MS


class Merge(NamedTuple):
    """Small files of a partition's day that follow each other; `number` is the merge's."""

    number: int
    inputs: Sequence[Manifest]

    @property
    def content(self) -> SegmentInfo:
        """The content of the first of them."""
        return self.inputs[0].content

    @property
    def rows(self) -> int:
        """Number of their rows."""
        return sum(each.content.rows for each in self.inputs)

    @property
    def size_bytes(self) -> int:
        """Their size before."""
        return sum(each.size_bytes for each in self.inputs)

    def __str__(self) -> str:
        """`orders.events [3] 2026-11-29: 1,440 files`."""
        content = self.content
        place = f"{content.topic} [{content.partition}] {content.arrival_day}"
        return f"{place}: {len(self.inputs):,} files"


class Merged(NamedTuple):
    """Outcome of a merge: `size_bytes` of its file, or the `damage` that prevented it.

    Neither where another process has merged files of the partition meanwhile.
    """

    merge: Merge
    size_bytes: int | None
    damage: Damage | None = None


# Called while rows are read (with 0) and merged, with how many more are done. It may raise: that
# ends the merge.
OnRows = Callable[[int], None]


class Compaction:
    """Compaction of the topics in `datasets`."""

    def __init__(
        self,
        chains: SegmentChains,
        datasets: Mapping[str, Dataset[Any]],
        settings: CompactionSettings,
    ) -> None:
        """Create a compaction; nothing is read or changed yet."""
        self._chains = chains
        self._datasets = datasets
        self._settings = settings

    def settle(self) -> None:
        """Complete what a killed compaction has left."""
        for topic in self._datasets:
            self._chains.settle(topic)

    def plan(self, partitions: Collection[Partition] | None = None) -> list[Merge]:
        """The merges that are due, of these partitions or of all."""
        found: list[Merge] = []
        for topic in self._datasets:
            survey = self._chains.survey(topic)
            open_day = _open_day(survey)
            last: dict[int, int] = defaultdict(int)  # by partition, the number of its last merge
            for each in [*survey.manifests, *survey.missing, *survey.replaced]:
                partition = each.content.partition
                last[partition] = max(last[partition], each.content.merge)
            for partition, chain in groupby(survey.manifests, lambda each: each.content.partition):
                if partitions is None or (topic, partition) in partitions:
                    runs = runs_of(chain, self._settings, open_day)
                    found += [Merge(*pair) for pair in enumerate(runs, last[partition] + 1)]
        return found

    def run(self, merges: Iterable[Merge], on_rows: OnRows = lambda _: None) -> Iterator[Merged]:
        """Make the merges, each complete before the next begins.

        Raises:
            Busy: the store is unavailable; what was merged stays so.
        """
        taken: set[Partition] = set()  # another process merges there: its numbers are not ours
        for merge in merges:
            place = merge.content.topic, merge.content.partition
            if place in taken:
                continue
            try:
                done = Merged(merge, self._make(merge, on_rows))
            except Damage as damage:
                done = Merged(merge, None, damage)
            if done.size_bytes is None:
                taken.add(place)
            yield done

    def forget_replaced(self) -> int:
        """Delete merged files that are kept no longer; how many."""
        return sum(
            self._chains.forget_replaced(topic, self._settings.keep_s) for topic in self._datasets
        )

    def _make(self, merge: Merge, on_rows: OnRows) -> int | None:
        """Size of the merged file; None if another process has made a merge of this number."""
        with tempfile.TemporaryDirectory(prefix="ordertide-compact-") as folder:
            path = Path(folder) / "merged"
            content = self._write(merge, path, on_rows)
            if content.rows != merge.rows:
                raise StateError(
                    f"archive {merge}: they hold {content.rows} rows, and their manifests name "
                    f"{merge.rows}; run 'ordertide archive verify'"
                )
            with path.open("rb") as file:
                manifest = Manifest.of(content, file, new_upload())
            if not self._chains.add(manifest, path):
                return None
        for each in merge.inputs:
            self._chains.put_aside(each)
        return manifest.size_bytes

    def _write(self, merge: Merge, path: Path, on_rows: OnRows) -> SegmentInfo:
        dataset = self._datasets[merge.content.topic]
        keys = Keys()

        def tables() -> Generator[pa.Table, None, None]:
            read = self._batches(merge, dataset, on_rows)
            for table in merged(read, dataset.order, path.parent):
                keys.see(table)
                on_rows(table.num_rows)
                yield table

        with path.open("w+b") as sink, closing(tables()) as rows:
            return write_segment(sink, rows, dataset.schema, lambda: _content(merge, keys))

    def _batches(
        self, merge: Merge, dataset: Dataset[Any], on_rows: OnRows
    ) -> Iterator[pa.RecordBatch]:
        for each in merge.inputs:
            on_rows(0)
            yield from batches_of(self._chains.files, each, dataset.schema.names)


class Keys:
    """The distinct order keys of rows that are sorted by them, and how many rows there are."""

    def __init__(self) -> None:
        """Create an empty collection."""
        self.rows = 0
        self.digests: list[bytes] = []
        self._last: tuple[str, str] | None = None

    def see(self, table: pa.Table) -> None:
        """Take the keys of the next rows."""
        self.rows += table.num_rows
        names = (table.column(name).to_pylist() for name in ("tenant", "order_id"))
        for pair in zip(*names, strict=True):
            if pair != self._last:
                self._last = pair
                self.digests.append(digest_of(order_key(*pair)))


def runs_of(
    chain: Iterable[Manifest], settings: CompactionSettings, open_day: str
) -> Iterator[Sequence[Manifest]]:
    """Small files that follow each other within a day before `open_day`, two or more together.

    A file that was written again from a compacted topic stays alone: what it may lack is named by
    its offsets.
    """
    run: list[Manifest] = []
    for each in chain:
        is_small = each.size_bytes < settings.small_bytes and not each.content.lacks_compacted
        is_due = is_small and each.content.arrival_day < open_day
        size_bytes = sum(one.size_bytes for one in run) + each.size_bytes
        if run and not (is_due and size_bytes <= settings.most_bytes and _follows(run[-1], each)):
            yield from [run] if len(run) > 1 else []
            run = []
        run += [each] if is_due else []
    yield from [run] if len(run) > 1 else []


def _follows(one: Manifest, other: Manifest) -> bool:
    before, after = one.content, other.content
    return (before.next_offset, before.arrival_day, before.topic_id) == (
        after.first_offset,
        after.arrival_day,
        after.topic_id,
    )


def _open_day(survey: Survey) -> str:
    """The latest day that any partition or the stream clock has reached: it still gets files."""
    days = [each.content.arrival_day for each in survey.manifests]
    watermark = survey.watermark()
    return max([*days, "" if watermark is None else day_of(watermark)], default="")


def _content(merge: Merge, keys: Keys) -> SegmentInfo:
    parts = [each.content for each in merge.inputs]
    marks = [each.watermark for each in parts if each.watermark is not None]
    return msgspec.structs.replace(
        parts[0],
        next_offset=parts[-1].next_offset,
        rows=keys.rows,
        min_key=min((each.min_key for each in parts if each.rows), default=""),
        max_key=max(each.max_key for each in parts),
        min_at=min(each.min_at for each in parts),
        max_at=max(each.max_at for each in parts),
        watermark=max(marks, default=None),
        key_filter=filter_of(keys.digests),
        merge=merge.number,
    )

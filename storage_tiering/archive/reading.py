"""Reading the sealed files of a topic: the rows of an order, and columns of all rows."""

from collections.abc import Iterator, Sequence
from typing import Any

from storage_tiering.archive.chain import SegmentChains
from storage_tiering.archive.manifest import SegmentInfo
from storage_tiering.archive.sealed_segment import columns_of, rows_of
from storage_tiering.archive.survey import Survey
from storage_tiering.tier import TopicPosition


def rows_of_order(
    chains: SegmentChains, survey: Survey, key: str
) -> list[tuple[dict[str, Any], SegmentInfo]]:
    """The rows of an order, with what their files hold.

    Raises:
        Damage: of the partition that has the order, or of any where none has it.
    """
    for manifest in survey.missing:
        if manifest.may_hold(key):
            raise manifest.file_missing()
    found = [
        (row, manifest.content)
        for manifest in survey.manifests
        if manifest.may_hold(key)
        for row in rows_of(chains.files, manifest, key)
    ]
    partitions = {content.partition for _, content in found}
    known = {manifest.content.span for manifest in survey.missing}  # they can't hold it
    for hole in survey.holes():
        is_ours = hole.span is None or not partitions or hole.span.partition in partitions
        if is_ours and hole.span not in known:
            raise hole
    return found


def values_since(
    chains: SegmentChains,
    topic: str,
    names: Sequence[str],
    since_ms: int | None,
    until_ms: int | None = None,
) -> Iterator[tuple[TopicPosition, tuple[Any, ...]]]:
    """Columns of all rows in files that reach into a time; `until_ms` is exclusive.

    The position is the start of the row's file.

    Raises:
        Damage: a file is missing or damaged.
    """
    survey = chains.survey(topic)
    for hole in survey.holes():
        raise hole
    for manifest in survey.manifests:
        content = manifest.content
        is_before = since_ms is not None and content.max_at < since_ms
        is_behind = until_ms is not None and content.min_at >= until_ms
        if not (is_before or is_behind):
            position = TopicPosition(topic, content.partition, content.first_offset)
            for values in columns_of(chains.files, manifest, names):
                yield position, values

"""Reading the sealed files of a topic: the rows of an order, and columns of all rows."""

from collections.abc import Iterator, Sequence
from typing import Any

from storage_tiering.archive.chain import SegmentChains
from storage_tiering.archive.manifest import Manifest, SegmentInfo
from storage_tiering.archive.sealed_segment import columns_of
from storage_tiering.archive.survey import Survey, place_of
from storage_tiering.tier import TopicPosition

VERSION, DOCUMENT = "order_version", "order_json"


def rows_of_order(
    chains: SegmentChains, survey: Survey, key: str, columns: list[str] | None = None
) -> list[tuple[dict[str, Any], Manifest]]:
    """The rows of an order, with the manifests of their files.

    Raises:
        Damage: of the partition that has the order, or of any where none has it.
    """
    for manifest in survey.missing:
        if manifest.may_hold(key):
            raise manifest.file_missing()
    found = [
        (row, manifest)
        for manifest in survey.manifests
        if manifest.may_hold(key)
        for row in chains.rows_of(manifest, key, columns)
    ]
    partitions = {manifest.content.partition for _, manifest in found}
    known = {manifest.content.span for manifest in survey.missing}  # they can't hold it
    for hole in survey.holes():
        is_ours = hole.span is None or not partitions or hole.span.partition in partitions
        if is_ours and hole.span not in known:
            raise hole
    return found


def latest_document(
    chains: SegmentChains, survey: Survey, key: str
) -> tuple[str, SegmentInfo] | None:
    """The JSON of an order's highest version, with what its file holds; None without any.

    A file for each day of an order's life has a version of it: documents are read from one of them.

    Raises:
        Damage: as for `rows_of_order`.
    """
    held = rows_of_order(chains, survey, key, [VERSION])
    if not held:
        return None
    row, manifest = max(held, key=lambda pair: (pair[0][VERSION], place_of(pair[1])))
    rows = chains.rows_of(manifest, key, [VERSION, DOCUMENT])
    return next(each[DOCUMENT] for each in rows if each[VERSION] == row[VERSION]), manifest.content


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

"""Rebuild of a tier: from the archive for data missing in the topics, or from the topics alone."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import msgspec

from storage_tiering.archive.parquet import ParquetTier
from storage_tiering.tier import Outcomes, Staleness, Tier

BATCH_RECORDS = 500
ASKED_FOR = "a rebuild was requested; its writer reads the topics again"
Record = TypeVar("Record")


def from_archive(tier: Tier, archive: ParquetTier, since_ms: int) -> tuple[int, int]:
    """Write what the archive has into a tier; (changes, events with outcomes).

    Files whose newest record is older than `since_ms` are left out. What the tier has is left
    alone. Afterwards nothing lasts of its staleness.

    Raises:
        Busy: the tier or the archive is unavailable; do it all again.
        Damage: a file of the archive is damaged; nothing more was written, and the staleness stays.
    """
    changes = events = 0
    for orders in batches(archive.all_orders(since_ms)):
        tier.write_orders(orders)
        changes += len(orders)
    for accepted in batches(archive.all_events(since_ms)):
        tier.write_events(accepted)
        events += len(accepted)
    if isinstance(tier, Outcomes):
        for outcomes in batches(archive.all_outcomes(since_ms)):
            tier.write_outcomes(outcomes)
            events += len(outcomes)
    tier.flush(force=True)
    staleness = tier.staleness()
    if staleness is not None:
        tier.set_staleness(
            msgspec.structs.replace(staleness, lasting="") if staleness.until else None
        )
    return changes, events


def from_topics(tier: Tier) -> None:
    """Let the tier's writer read the topics from the beginning, now or when it starts."""
    tier.forget_progress()
    tier.set_staleness(Staleness(reason=ASKED_FOR))


def batches(records: Iterable[Record]) -> Iterator[Sequence[Record]]:
    """Records in lists of `BATCH_RECORDS`."""
    left = iter(records)
    while batch := list(islice(left, BATCH_RECORDS)):
        yield batch

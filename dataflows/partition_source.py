"""A partition of a source task: its reader, its watermark, and the idle advance of that."""

import logging
from concurrent.futures import Future
from typing import TYPE_CHECKING

import msgspec

from broker.clock import NO_WATERMARK, ClockState, IdleAdvance, PartitionClock
from broker.consume import PartitionReader
from broker.end_offsets import EndOffsets, Unsettled
from broker.recorded_clock import RecordedClock
from schemas.instants import HOUR_MS

if TYPE_CHECKING:
    from dataflows.source_task import SourceSettings

LOGGER = logging.getLogger("ordertide.track")


class PartitionState(msgspec.Struct, array_like=True):
    """Position of a partition, and its watermark."""

    position: int
    clock: ClockState


class PartitionEnd:
    """End offset of a partition, as last answered.

    An object of its own: a callback that referred to the partition's reader would put its client
    into a reference cycle (see `broker.clients`).
    """

    def __init__(self, ends: EndOffsets, topic: str, partition: int) -> None:
        """Create it with the offset 0."""
        self.ends = ends
        self.topic = topic
        self.partition = partition
        self.offset = 0

    def request(self) -> Future[int]:
        """Request the end offset; the answer sets `offset`."""
        answer = self.ends.ask(self.topic, self.partition)
        answer.add_done_callback(self.on_answer)
        return answer

    def on_answer(self, answer: Future[int]) -> None:
        """Keep the offset, settled or not, for the lag."""
        failed = answer.exception()
        if failed is None:
            self.offset = answer.result()
        elif isinstance(failed, Unsettled):
            self.offset = failed.end_offset


class PartitionSource:
    """One partition: its reader, its watermark, and the idle advance of that."""

    def __init__(
        self,
        partition: int,
        state: PartitionState | None,
        settings: "SourceSettings",
        ends: EndOffsets,
        initial_watermark: int = NO_WATERMARK,
    ) -> None:
        """Create a reader that resumes at `state`, else begins with `initial_watermark`."""
        self.partition = partition
        clock = state.clock if state else ClockState(initial_watermark)
        self.clock = clock_of(settings, clock)
        self.refuted = 0
        start = state.position if state else None
        self.reader = PartitionReader(
            settings.connection, settings.topic, partition, start, group=settings.group, ends=ends
        )
        self.end = PartitionEnd(ends, settings.topic, partition)
        self.idle_advance = IdleAdvance(
            *(self.clock, self.end.request, settings.proven, settings.margin_ms),
            name=f"{settings.topic} [{partition}]",
        )
        self.settings = settings
        self.noted = self.reported = -1

    def state(self) -> PartitionState:
        """For the snapshot."""
        self.noted = self.reader.position
        return PartitionState(self.noted, self.clock.state)

    def report(self) -> None:
        """Commit the position of the last snapshot to the group, for the usual tools."""
        if self.noted != self.reported or self.reader.is_report_lost:
            self.reported = self.noted
            self.reader.report(self.reported)

    def confirm(self, others: int | None) -> bool:
        """Advance a recorded watermark over what others confirm; True while a claim waits."""
        clock = self.clock
        if not isinstance(clock, RecordedClock):
            return False
        clock.confirm(others)
        if clock.refuted > self.refuted:
            messages, self.refuted = clock.refuted - self.refuted, clock.refuted
            self.settings.metrics.refuted(messages)
            LOGGER.warning(
                "%s [%d]: %d messages before offset %d have a recorded_at over %d h ahead of what "
                "follows them: they wait and don't move the clock; correct their sender",
                *(self.settings.topic, self.partition, messages, self.reader.position),
                self.settings.recorded_ahead_ms // HOUR_MS,
            )
        return clock.is_claiming


def clock_of(settings: "SourceSettings", state: ClockState) -> PartitionClock:
    """The clock of a partition, by the kind that is set."""
    if settings.clock == "recorded":
        return RecordedClock(settings.recorded_ahead_ms, settings.now, state)
    return PartitionClock(settings.clock, settings.now, state)

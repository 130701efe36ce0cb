"""The writer reads, writes and commits in this order, waits when it must, and stops cleanly."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from broker.consumer_loop import Interrupted
from schemas.errors import Busy
from schemas.topics import ORDERS_CHANGES
from storage_tiering.archive.files import LocalFiles
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from storage_tiering.memory import MemoryTier
from storage_tiering.tier import EventRecord, OrderRecord, Tier
from storage_tiering.warm.sqlite.tier import SqliteTier
from storage_tiering.writer import Writer, WriterSettings
from storage_tiering.writer_ports import NoMetrics
from tests.support.tiers.log_file import LetterBox, LogReader, busy_day
from tests.support.tiers.orders import (
    HOT_KEEP_MS,
    START,
    Log,
    LogMessage,
    accepted,
    document,
    heartbeat,
    message,
)


class BusyTier(MemoryTier):
    """Tier that raises `Busy` so many times before it takes anything."""

    def __init__(self, refusals: int) -> None:
        super().__init__()
        self.refusals = refusals

    def write_orders(self, batch: Sequence[OrderRecord]) -> None:
        if self.refusals > 0:
            self.refusals -= 1
            raise Busy("overloaded", retry_after_s=0.001)
        super().write_orders(batch)


class Seen(NoMetrics):
    """Metrics that record the writer's calls."""

    def __init__(self) -> None:
        self.waits: list[str] = []
        self.codes: list[str] = []
        self.watermarks: list[int] = []
        self.since_ms: list[dict[str, int]] = []
        self.sizes: list[int] = []

    def waiting(self, tier: str, reason: str, wait_s: float) -> None:
        self.waits.append(reason)

    def rejected(self, tier: str, code: str) -> None:
        self.codes.append(code)

    def watermark(self, tier: str, watermark_ms: int) -> None:
        self.watermarks.append(watermark_ms)

    def uncommitted(self, tier: str, since_ms: Mapping[str, int]) -> None:
        self.since_ms.append(dict(since_ms))

    def measured(self, tier: str, size_bytes: int) -> None:
        self.sizes.append(size_bytes)


class Setting:
    """A writer with all that is around it."""

    def __init__(self, tier: Tier, messages: Sequence[LogMessage], folder: Path) -> None:
        self.tier = tier
        self.reader = LogReader(messages, folder / "position")
        self.letters = LetterBox()
        self.stop = threading.Event()
        self.seen = Seen()
        self.writer = Writer(
            tier,
            self.reader,
            self.letters,
            stop=self.stop,
            settings=WriterSettings(batch_messages=10),
            watch=self.seen,
        )

    def write_all(self) -> None:
        while not self.reader.is_at_end:
            self.writer.step()


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[SqliteTier]:
    tier = SqliteTier(tmp_path / "warm")
    yield tier
    tier.close()


def changes(log: Log, *names: str, clock: int | None = None) -> list[LogMessage]:
    return [message(record, clock) for record in log.changes(*map(document, names))]


def test_what_is_read_is_found_and_committed(tmp_path: Path) -> None:
    messages = busy_day(orders=7)
    setting = Setting(MemoryTier(), messages, tmp_path)
    setting.write_all()
    found = setting.tier.find("default", "订单-3")
    assert found is not None
    assert found.document.version == 5
    assert len(found.timeline) == 5
    assert setting.reader.committed == len(messages)


def test_a_heartbeat_is_never_stored(tmp_path: Path) -> None:
    setting = Setting(MemoryTier(), [heartbeat(Log(), START)], tmp_path)
    setting.write_all()
    assert setting.tier.counts().orders == 0
    assert setting.seen.watermarks == [START]


def test_a_busy_tier_gets_the_same_batch_again(tmp_path: Path) -> None:
    setting = Setting(BusyTier(refusals=3), changes(Log(), "a", "b"), tmp_path)
    setting.write_all()
    assert setting.tier.counts().orders == 2
    assert setting.seen.waits == ["overloaded"] * 3
    assert setting.reader.committed == 2
    assert not setting.letters.letters


def test_a_reader_is_asked_while_the_tier_is_busy_and_what_it_gives_is_kept(
    tmp_path: Path,
) -> None:
    class Eager(LogReader):
        """Gives messages even while it is paused, as one whose partitions have just changed."""

        def pause(self) -> None:
            pass

    messages = changes(Log(), *(f"o{n}" for n in range(30)))
    setting = Setting(BusyTier(refusals=2), messages, tmp_path)
    setting.writer.reader = setting.reader = Eager(messages, tmp_path / "position")
    setting.writer.step()
    assert setting.reader.committed == 0, "what came meanwhile is read, but not written"
    setting.write_all()
    setting.writer.step()
    assert setting.tier.counts().orders == 30
    assert setting.reader.committed == 30


def test_a_stop_while_the_tier_is_busy_commits_nothing(tmp_path: Path) -> None:
    setting = Setting(BusyTier(refusals=1_000_000), changes(Log(), "a"), tmp_path)
    setting.stop.set()
    with pytest.raises(Interrupted):
        setting.writer.step()
    assert setting.reader.committed == 0


def test_a_stop_ends_a_writer_that_waits(tmp_path: Path) -> None:
    setting = Setting(BusyTier(refusals=1_000_000), changes(Log(), "a"), tmp_path)
    thread = threading.Thread(target=setting.writer.run)
    thread.start()
    setting.stop.set()
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert setting.reader.committed == 0


def test_a_record_that_the_tier_never_takes_is_a_dead_letter_alone(
    warm: SqliteTier, tmp_path: Path
) -> None:
    log = Log()
    documents = [document("a"), document("b", warm_period="never"), document("c")]
    messages = [message(record) for record in log.changes(*documents)]
    setting = Setting(warm, messages, tmp_path)
    setting.write_all()
    assert setting.letters.letters == [(1, "bad_period")]
    assert setting.seen.codes == ["bad_period"]
    assert warm.counts().orders == 2
    assert setting.reader.committed == 3


def test_a_message_that_is_no_record_is_a_dead_letter(tmp_path: Path) -> None:
    good, bad = changes(Log(), "a", "b")
    broken = msgspec.structs.replace(bad, value=b"{")
    setting = Setting(MemoryTier(), [good, broken], tmp_path)
    setting.write_all()
    assert setting.letters.letters == [(1, "unreadable_value")]
    assert setting.reader.committed == 2


def test_the_archive_commits_only_what_is_sealed(tmp_path: Path) -> None:
    settings = ArchiveSettings(seal_rows=25, seal_age_s=None)
    tier = ParquetTier(LocalFiles(tmp_path / "archive"), settings)
    messages = changes(Log(), *(f"o{n}" for n in range(40)))
    setting = Setting(tier, messages, tmp_path)
    committed = []
    for _ in range(4):
        setting.writer.step()
        committed.append(setting.reader.committed)
    assert committed == [0, 0, 30, 30]
    assert tier.counts().orders == 30


def test_a_clean_stop_seals_and_commits_what_was_collected(tmp_path: Path) -> None:
    tier = ParquetTier(LocalFiles(tmp_path / "archive"), ArchiveSettings(seal_age_s=None))
    messages = [*changes(Log(), "a", "b"), message(Log().events(accepted("a"))[0])]
    setting = Setting(tier, messages, tmp_path)
    setting.writer.step()
    setting.stop.set()
    setting.writer.run()
    assert setting.reader.committed == 3
    assert tier.counts().orders == 2
    assert tier.counts().events == 1


def test_stream_time_is_that_of_the_partition_that_is_behind(tmp_path: Path) -> None:
    ahead, behind = Log(partition=0), Log(partition=1)
    late = START + 2 * HOT_KEEP_MS
    setting = Setting(MemoryTier(), changes(ahead, "a", clock=START), tmp_path)
    setting.reader.log = [
        *setting.reader.log,
        *changes(behind, "b", clock=START),
        *([heartbeat(ahead, late)] * 10),
        *([heartbeat(behind, late)] * 10),
    ]
    setting.writer.step()
    assert setting.tier.counts().orders == 2, "the partition behind holds stream time"
    setting.write_all()
    assert setting.tier.counts().orders == 0
    assert setting.seen.watermarks == [START, late]


def test_a_quiet_events_topic_does_not_hold_stream_time(tmp_path: Path) -> None:
    log = Log()
    event = message(log.events(accepted("a"))[0], clock=START)
    setting = Setting(MemoryTier(), [event, heartbeat(log, START + 60_000)], tmp_path)
    setting.write_all()
    assert setting.seen.watermarks == [START + 60_000]


def test_what_is_too_old_already_when_it_comes_goes_once_all_is_written(tmp_path: Path) -> None:
    log, late = Log(), START + 2 * HOT_KEEP_MS
    setting = Setting(MemoryTier(), [heartbeat(log, late)], tmp_path)
    setting.write_all()
    setting.reader.log = [*setting.reader.log, *changes(log, "a", clock=late)]
    setting.write_all()
    assert setting.tier.counts().orders == 1, "the clock has not moved since it expired"
    for _ in range(3):  # rounds without a message
        setting.writer.step()
    assert setting.tier.counts().orders == 0
    assert setting.seen.watermarks == [late, late]


def test_a_revoked_partition_does_not_hold_stream_time(tmp_path: Path) -> None:
    kept, lost = Log(partition=0), Log(partition=1)
    beats = [heartbeat(kept, START), heartbeat(lost, START)]
    setting = Setting(MemoryTier(), beats, tmp_path)
    setting.write_all()
    setting.writer.clock.revoked([("orders.changes", 1)])
    setting.reader.log = [*beats, heartbeat(kept, START + 60_000)]
    setting.write_all()
    assert setting.seen.watermarks == [START, START + 60_000]


def test_a_commit_that_the_broker_does_not_take_is_made_with_the_next(tmp_path: Path) -> None:
    class Rebalancing(LogReader):
        """Does not take the first commit."""

        refused = False

        def commit(self) -> None:
            if not self.refused:
                self.refused = True
                raise Busy("the group is being rebalanced", 0.1)
            super().commit()

    messages = changes(Log(), *(f"o{n}" for n in range(20)))
    setting = Setting(MemoryTier(), messages, tmp_path)
    setting.writer.reader = setting.reader = Rebalancing(messages, tmp_path / "position")
    setting.writer.step()
    assert setting.reader.committed == 0
    setting.writer.step()
    assert setting.reader.committed == 20


def test_events_reach_the_warm_tier_together_with_their_order(
    warm: SqliteTier, tmp_path: Path
) -> None:
    log = Log()
    events: list[EventRecord] = log.events(accepted("a"))
    messages = [message(events[0]), *changes(log, "a")]
    setting = Setting(warm, messages, tmp_path)
    setting.write_all()
    found = warm.find("default", "a")
    assert found is not None
    assert found.timeline == [accepted("a")]


def test_what_is_not_durable_yet_is_told_by_its_earliest_message(tmp_path: Path) -> None:
    class Collecting(MemoryTier):
        def flush(self, *, force: bool = False) -> bool:
            return force

    log = Log()
    early, late = (
        msgspec.structs.replace(each, timestamp_ms=at)
        for each, at in zip(changes(log, "a", "b"), (5_000, 7_000), strict=True)
    )
    setting = Setting(Collecting(), [late, early], tmp_path)
    setting.write_all()
    assert setting.seen.since_ms[-1] == {ORDERS_CHANGES: 5_000}
    setting.stop.set()
    setting.writer.run()
    assert setting.seen.since_ms[-1] == {}


def test_the_size_of_the_tier_is_told_now_and_then_and_never_waited_for(tmp_path: Path) -> None:
    setting = Setting(MemoryTier(), changes(Log(), *map(str, range(25))), tmp_path)
    setting.write_all()
    assert len(setting.seen.sizes) == 1

    class Away(MemoryTier):
        def size_bytes(self) -> int:
            raise Busy("overloaded", retry_after_s=60)

    (tmp_path / "away").mkdir()
    setting = Setting(Away(), changes(Log(), "a"), tmp_path / "away")
    setting.write_all()
    assert (setting.seen.sizes, setting.seen.waits) == ([], [])

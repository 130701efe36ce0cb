"""A tier that comes back from a backup, is emptied or loses a part is noticed, and refilled."""

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from elasticsearch import Elasticsearch
from redis import Redis

from schemas.errors import Busy
from schemas.topics import ORDERS_CHANGES, ORDERS_EVENTS
from storage_tiering.find import find
from storage_tiering.hot.embedded import EmbeddedRedis
from storage_tiering.hot.keys import SlotKeys, slot_of
from storage_tiering.hot.redis import HotSettings, RedisTier, connect, connect_cluster
from storage_tiering.memory import MemoryTier
from storage_tiering.tier import Found, Partition, Stale, Staleness, Tier
from storage_tiering.warm.elastic.access import connect as connect_elasticsearch
from storage_tiering.warm.elastic.periods import names_with
from storage_tiering.warm.elastic.tier import ElasticTier
from storage_tiering.warm.sqlite.tier import SqliteTier
from storage_tiering.writer import Writer, WriterSettings
from storage_tiering.writer_ports import NoMetrics
from tests.support.tiers.elastic_places import shared_place
from tests.support.tiers.group_log import GroupLog, GroupLogReader
from tests.support.tiers.log_file import LetterBox
from tests.support.tiers.orders import (
    START,
    Log,
    LogMessage,
    accepted,
    document,
    heartbeat,
    message,
)
from tests.support.tiers.redis_servers import need_redis, running_cluster

NAMES = [f"order-{number}" for number in range(8)]
MINUTE_MS = 60_000
RETIRED = "retired"
STALENESS = Staleness(reason="restored")


class Seen(NoMetrics):
    """Remembers what the writer reported of staleness."""

    def __init__(self) -> None:
        self.reasons: list[str | None] = []
        self.rewinds = 0

    def stale(self, tier: str, reason: str | None) -> None:
        self.reasons.append(reason)

    def rewound(self, tier: str) -> None:
        self.rewinds += 1


class Feed:
    """Rounds of changes of all orders over two partitions, with the stream clock."""

    def __init__(self) -> None:
        self.logs = [Log(0), Log(1)]
        self.version = 0

    def rounds(self, count: int) -> list[LogMessage]:
        messages = []
        for _ in range(count):
            self.version += 1
            at = START + self.version * MINUTE_MS
            for number, name in enumerate(NAMES):
                log = self.logs[number % 2]
                event = accepted(name, str(self.version), at)
                messages += [message(each, at) for each in log.events(event)]
                messages += [
                    message(each, at) for each in log.changes(document(name, self.version, at))
                ]
            messages += [heartbeat(log, at) for log in self.logs]
        return messages


class Run:
    """A writer of a tier, restarted by `restart`."""

    def __init__(self, open_tier: Callable[[], Tier], group: GroupLog) -> None:
        self.open_tier = open_tier
        self.group = group
        self.start()

    def start(self) -> None:
        self.tier = self.open_tier()
        self.reader = GroupLogReader(self.group)
        self.seen = Seen()
        self.stop = threading.Event()
        settings = WriterSettings(batch_messages=7, expire_every_ms=0, vouch_every_s=0.0)
        self.writer = Writer(
            self.tier, self.reader, LetterBox(), stop=self.stop, settings=settings, watch=self.seen
        )

    def end(self) -> None:
        self.stop.set()
        self.writer.run()
        self.tier.close()

    def step_until_done(self) -> None:
        self.writer.step()
        while not self.reader.is_at_end:
            self.writer.step()
        self.stop.set()
        self.writer.run()  # what is due once a second is due now
        self.stop.clear()
        self.writer.step()

    def found(self, name: str) -> Found:
        found = self.tier.find("default", name)
        assert found is not None
        return found

    def assert_whole(self, version: int) -> None:
        for name in NAMES:
            found = self.found(name)
            assert (found.document.version, len(found.timeline)) == (version, version)
            assert found.stale is None
            assert found.watermark == START + version * MINUTE_MS


class LosableTier:
    """A tier that can be lost: `open` it, `save` a backup and `restore` it, `empty` it."""

    def __init__(
        self,
        open_tier: Callable[[], Tier],
        save: Callable[[], None],
        restore: Callable[[], None],
        empty: Callable[[], None],
        lose_a_part: Callable[[], None],
    ) -> None:
        self.open = open_tier
        self.save = save
        self.restore = restore
        self.empty = empty
        self.lose_a_part = lose_a_part


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as running:
        yield running


def redis_place(client: "Redis", prefix: str) -> LosableTier:
    saved: dict[bytes, bytes] = {}
    settings = HotSettings(prefix=prefix, safety_ttl_ms=None)
    slot = SlotKeys(prefix, slot_of(NAMES[3]))

    def save() -> None:
        saved.update({key: client.dump(key) for key in client.scan_iter(match=f"{prefix}*")})

    def empty() -> None:
        client.flushall()

    def restore() -> None:
        empty()
        for key, value in saved.items():
            client.restore(key, 0, value)

    def lose_a_part() -> None:
        client.delete(slot.changed, slot.loose, slot.progress, slot.order(NAMES[3]))

    return LosableTier(lambda: RedisTier(client, settings), save, restore, empty, lose_a_part)


def sqlite_place(folder: Path) -> LosableTier:
    saved = folder.with_name("saved")

    def save() -> None:
        shutil.copytree(folder, saved)

    def empty() -> None:
        shutil.rmtree(folder)

    def restore() -> None:
        empty()
        shutil.copytree(saved, folder)

    def lose_a_part() -> None:
        for path in folder.glob("2017-10.sqlite*"):
            path.unlink()

    return LosableTier(lambda: SqliteTier(folder), save, restore, empty, lose_a_part)


@pytest.fixture(params=["redis", "sqlite"])
def place(
    request: pytest.FixtureRequest, server: EmbeddedRedis, tmp_path: Path
) -> Iterator[LosableTier]:
    if request.param == "sqlite":
        yield sqlite_place(tmp_path / "warm")
        return
    with connect(server.url) as client:
        yield redis_place(client, f"{tmp_path.name}:")


def test_nothing_is_read_again_by_a_writer_that_was_stopped(place: LosableTier) -> None:
    feed = Feed()
    group = GroupLog(feed.rounds(2))
    run = Run(place.open, group)
    run.step_until_done()
    run.end()
    group.append(feed.rounds(1))
    run.start()
    run.step_until_done()
    run.assert_whole(3)
    assert run.seen.rewinds == 0
    assert len(run.reader.read_offsets) == len(NAMES) * 2 + 2


def test_an_end_behind_the_last_message_that_was_committed_is_no_loss(place: LosableTier) -> None:
    class Passing(GroupLogReader):
        """Passes the marker of a transaction behind the last message, as Kafka's reader does."""

        def positions(self) -> Mapping[Partition, int]:
            return {each: at + 1 for each, at in self.next.items()} if self.is_at_end else self.next

    feed = Feed()
    group = GroupLog(feed.rounds(2))
    run = Run(place.open, group)
    run.writer.reader = run.writer.refill.reader = run.reader = Passing(group)
    run.step_until_done()
    run.end()
    group.committed = {each: len(log) + 1 for each, log in group.messages.items()}
    run.start()
    run.writer.step()
    assert run.seen.rewinds == 0
    run.tier.close()


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
@pytest.mark.parametrize("loss", ["restored", "emptied", "in part"])
def test_a_loss_is_noticed_and_refilled(place: LosableTier, loss: str, *, running: bool) -> None:
    feed = Feed()
    group = GroupLog(feed.rounds(2))
    run = Run(place.open, group)
    run.step_until_done()
    if loss == "restored" and not running:
        run.end()
    if loss == "restored":
        place.save()
        if not running:
            run.start()
    group.append(feed.rounds(2))
    group.compact(ORDERS_CHANGES)
    run.step_until_done()
    run.assert_whole(4)
    if not running:
        run.end()
    {"restored": place.restore, "emptied": place.empty, "in part": place.lose_a_part}[loss]()
    if not running:
        run.start()
    run.writer.step()
    run.writer.step()
    assert run.seen.rewinds == 1
    staleness = run.tier.staleness()
    assert staleness is not None
    assert "being written again" in str(staleness)
    assert all(answer.watermark is None for answer in answers(run.tier))
    run.step_until_done()
    run.assert_whole(4)
    assert run.tier.staleness() is None
    assert run.seen.reasons[-1] is None
    group.append(feed.rounds(1))
    run.step_until_done()
    run.assert_whole(5)
    assert run.seen.rewinds == 1


def answers(tier: Tier) -> Iterator[Found]:
    for name in NAMES:
        try:
            found = tier.find("default", name)
        except Stale:
            continue
        assert found is not None, "nobody knows that it isn't there"
        yield found


def test_a_refill_that_was_killed_is_continued_by_the_next_writer(place: LosableTier) -> None:
    feed = Feed()
    group = GroupLog(feed.rounds(4))
    run = Run(place.open, group)
    run.step_until_done()
    place.empty()
    for _ in range(4):
        run.writer.step()
    run.tier.close()
    run.start()
    run.writer.step()
    assert run.seen.rewinds == 0, "what was committed meanwhile is there"
    assert run.tier.staleness() is not None
    assert all(answer.watermark is None for answer in answers(run.tier))
    run.step_until_done()
    run.assert_whole(4)
    assert run.tier.staleness() is None


def test_a_batch_that_a_crash_took_is_written_again_although_the_offsets_are_the_same(
    server: EmbeddedRedis, tmp_path: Path
) -> None:
    class Crashing(RedisTier):
        """Restores its server between the batch and its note."""

        crash: Callable[[], None] | None = None

        def flush(self, *, force: bool = False) -> bool:
            if self.crash:
                self.crash()
                self.crash = None
            return super().flush(force=force)

    with connect(server.url) as client:
        prefix = f"{tmp_path.name}:"
        place = redis_place(client, prefix)
        feed = Feed()
        group = GroupLog(feed.rounds(1))
        run = Run(lambda: Crashing(client, HotSettings(prefix=prefix, safety_ttl_ms=None)), group)
        run.step_until_done()
        place.save()
        group.append(feed.rounds(1))
        assert isinstance(run.tier, Crashing)
        run.tier.crash = place.restore
        run.step_until_done()
        assert run.seen.rewinds == 1
        run.assert_whole(2)


def test_what_the_topics_no_longer_have_keeps_the_tier_stale_with_the_command(
    tmp_path: Path,
) -> None:
    feed = Feed()
    group = GroupLog(feed.rounds(3))
    place = sqlite_place(tmp_path / "warm")
    run = Run(place.open, group)
    run.step_until_done()
    place.lose_a_part()
    group.delete_before((ORDERS_EVENTS, 1), 5)
    run.step_until_done()
    found = run.found(NAMES[1])
    assert found.document.version == 3
    assert found.stale is not None
    assert "orders.events reaches back to offset 5 of [1]" in found.stale
    assert "ordertide tier rebuild warm" in found.stale
    assert found.watermark is None


def retired_before(feed: Feed) -> GroupLog:
    """An order that has retired, and two rounds of the others."""
    log = feed.logs[0]
    gone = [message(each, START) for each in log.changes(document(RETIRED, 4))]
    gone += [message(log.retirement(RETIRED, 4), START)]
    return GroupLog([*gone, *feed.rounds(2)])


def test_a_retired_order_that_was_compacted_away_is_missed(tmp_path: Path) -> None:
    group = retired_before(Feed())
    place = sqlite_place(tmp_path / "warm")
    run = Run(place.open, group)
    run.step_until_done()
    assert run.found(RETIRED).document.version == 4
    group.compact(ORDERS_CHANGES)
    place.lose_a_part()
    run.step_until_done()
    with pytest.raises(Stale, match=f"retired order '{RETIRED}' is missing"):
        run.tier.find("default", RETIRED)


def test_a_writer_killed_after_it_missed_a_retired_order_leaves_the_staleness(
    tmp_path: Path,
) -> None:
    group = retired_before(Feed())
    place = sqlite_place(tmp_path / "warm")
    run = Run(place.open, group)
    run.step_until_done()
    group.compact(ORDERS_CHANGES)
    place.lose_a_part()
    run.writer.settings = msgspec.structs.replace(run.writer.settings, batch_messages=2)
    run.writer.step()
    assert run.seen.rewinds == 1
    run.reader.read_offsets.clear()
    run.writer.step()
    assert ((ORDERS_CHANGES, 0), 1) in run.reader.read_offsets, "the tombstone was read again"
    run.tier.close()
    run.start()
    run.step_until_done()
    with pytest.raises(Stale, match=f"retired order '{RETIRED}' is missing"):
        run.tier.find("default", RETIRED)


def test_staleness_that_a_rebuild_has_ended_stays_ended_after_the_next_loss(tmp_path: Path) -> None:
    feed = Feed()
    group = GroupLog(feed.rounds(3))
    place = sqlite_place(tmp_path / "warm")
    run = Run(place.open, group)
    run.step_until_done()
    place.lose_a_part()
    group.delete_before((ORDERS_EVENTS, 1), 5)
    run.step_until_done()
    assert run.found(NAMES[1]).stale is not None
    run.tier.set_staleness(None)  # as a rebuild from the archive does
    place.save()
    group.append(feed.rounds(1))
    run.step_until_done()
    place.restore()
    run.step_until_done()
    assert run.seen.rewinds == 2
    assert run.tier.staleness() is None


def test_a_retired_order_that_is_still_held_is_not_missed(tmp_path: Path) -> None:
    group = retired_before(Feed())
    place = sqlite_place(tmp_path / "warm")
    run = Run(place.open, group)
    run.step_until_done()
    place.lose_a_part()
    run.step_until_done()
    assert run.found(RETIRED).stale is None


def test_the_answer_is_the_highest_version_while_a_hotter_tier_is_stale() -> None:
    hot, warm = MemoryTier("hot"), MemoryTier("warm")
    log = Log()
    hot.write_orders(log.changes(document(version=2)))
    warm.write_orders(log.changes(document(version=3)))
    assert find([hot, warm], "default", "e481f51c").tier == "hot"
    hot.set_staleness(STALENESS)
    answer = find([hot, warm], "default", "e481f51c")
    assert (answer.tier, answer.found.document.version, answer.found.stale) == ("warm", 3, None)
    assert [(each.tier, each.answer) for each in answer.asked] == [
        ("hot", "stale"),
        ("warm", "found"),
    ]
    hot.write_orders(log.changes(document(version=4)))
    answer = find([hot, warm], "default", "e481f51c")
    assert (answer.tier, answer.found.document.version) == ("hot", 4)
    assert answer.found.stale == "restored"


def test_an_order_is_never_called_unknown_while_a_tier_is_stale() -> None:
    hot, warm = MemoryTier("hot"), MemoryTier("warm")
    warm.set_staleness(STALENESS)
    with pytest.raises(Busy, match=r"missing from warm \(restored\), which can't be vouched for"):
        find([hot, warm], "default", "e481f51c")


@pytest.mark.parametrize("path", ["marks.sqlite", "unplaced.sqlite", "2017-10.sqlite"])
@pytest.mark.parametrize("how", ["deleted", "older"])
def test_each_file_of_the_warm_tier_is_missed(tmp_path: Path, path: str, how: str) -> None:
    feed = Feed()
    group = GroupLog([*feed.rounds(1)])
    place = sqlite_place(tmp_path / "warm")
    run = Run(place.open, group)
    run.step_until_done()
    run.end()
    place.save()
    waiting = [message(each, START) for each in feed.logs[1].events(accepted("no order yet"))]
    group.append([*waiting, *feed.rounds(1)])
    run.start()
    run.step_until_done()
    run.end()
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / "warm" / f"{path}{suffix}").unlink(missing_ok=True)
    if how == "older":
        shutil.copy(tmp_path / "saved" / path, tmp_path / "warm" / path)
    run.start()
    run.step_until_done()
    assert run.seen.rewinds == 1
    run.assert_whole(2)
    assert run.tier.counts().events == len(NAMES) * 2 + 1


def test_a_look_up_misses_a_period_before_its_writer_does(tmp_path: Path) -> None:
    group = GroupLog(Feed().rounds(1))
    place = sqlite_place(tmp_path / "warm")
    run = Run(place.open, group)
    run.step_until_done()
    run.end()
    place.lose_a_part()
    tier = place.open()
    with pytest.raises(Stale, match=r"2017-10\.sqlite is missing"):
        tier.find("default", NAMES[0])
    tier.close()


def test_a_node_of_a_cluster_that_comes_back_empty_is_refilled(tmp_path: Path) -> None:
    need_redis()
    with running_cluster(tmp_path) as nodes:
        settings = HotSettings(prefix=f"{tmp_path.name}:", safety_ttl_ms=None)
        url = nodes[0].address["url"]
        feed = Feed()
        group = GroupLog(feed.rounds(2))
        run = Run(lambda: RedisTier(connect_cluster(url), settings), group)
        run.step_until_done()
        run.assert_whole(2)
        with connect(nodes[1].address["url"]) as node:
            node.flushall()
        run.writer.step()
        assert run.seen.rewinds == 1
        assert run.tier.staleness() is not None
        assert all(answer.watermark is None for answer in answers(run.tier))
        run.step_until_done()
        run.assert_whole(2)
        run.tier.close()


@pytest.mark.stack
@pytest.mark.parametrize("kind", ["orders", "events"])
@pytest.mark.parametrize("when", ["running", "running, and writing on", "stopped"])
def test_documents_that_were_deleted_one_by_one_are_missed_and_refilled(
    kind: str, when: str
) -> None:
    with shared_place() as (url, prefix), connect_elasticsearch(url) as client:
        feed = Feed()
        group = GroupLog(feed.rounds(2))

        def open_tier() -> Tier:
            reached = connect_elasticsearch(url)
            return ElasticTier(reached, prefix, refresh_every_s=0, count_every_s=0)

        run = Run(open_tier, group)
        run.step_until_done()
        run.assert_whole(2)
        if when == "stopped":
            run.end()
        delete_one_by_one(client, f"{prefix}-{kind}-2017-10", NAMES[0])
        if when == "stopped":
            run.start()
        if when == "running, and writing on":
            group.append(feed.rounds(1))
        run.step_until_done()
        run.step_until_done()
        assert run.seen.rewinds == 1
        assert any("has lost" in str(staleness) for staleness in run.seen.reasons)
        run.assert_whole(feed.version)
        assert run.tier.staleness() is None
        run.tier.close()


def delete_one_by_one(client: Elasticsearch, index: str, order_id: str) -> None:
    """Delete the documents of an order, as a delete-by-query does."""
    client.indices.refresh(index=index)
    found = client.search(index=index, query={"term": {"order_id": order_id}})
    assert found["hits"]["hits"]
    for hit in found["hits"]["hits"]:
        client.delete(index=index, id=hit["_id"], refresh=True)


@pytest.mark.stack
@pytest.mark.parametrize("lost", ["orders-2017-10", "events-2017-10", "progress", "all"])
def test_an_index_that_was_deleted_is_missed_and_refilled(lost: str) -> None:
    with shared_place() as (url, prefix), connect_elasticsearch(url) as client:
        names = names_with(prefix)
        feed = Feed()
        group = GroupLog(feed.rounds(2))
        run = Run(lambda: ElasticTier(connect_elasticsearch(url), prefix, refresh_every_s=0), group)
        run.step_until_done()
        run.assert_whole(2)
        every = [f"{prefix}-{kind}" for kind in ("orders-2017-10", "events-2017-10", "progress")]
        client.indices.delete(index=every if lost == "all" else [f"{prefix}-{lost}"])
        reader = ElasticTier(connect_elasticsearch(url), prefix)
        if lost not in ("progress", "all"):
            assert all(answer.watermark is None for answer in answers(reader))
        run.writer.step()
        assert run.seen.rewinds == 1
        assert all(answer.watermark is None for answer in answers(reader))
        run.step_until_done()
        run.assert_whole(2)
        assert run.tier.staleness() is None
        group.append(feed.rounds(1))
        run.step_until_done()
        run.assert_whole(3)
        assert run.seen.rewinds == 1
        assert client.indices.exists(index=names.progress)
        reader.close()
        run.tier.close()

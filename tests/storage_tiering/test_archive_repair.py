"""Repair of the archive from what the topic still has, on a local disk and on HDFS."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from broker.errors import OffsetLost
from schemas.errors import Busy
from schemas.topics import ORDERS_CHANGES, ORDERS_EVENTS
from storage_tiering.archive.files import ArchiveFiles, LocalFiles
from storage_tiering.archive.hdfs import HdfsFiles
from storage_tiering.archive.manifest import Damage
from storage_tiering.archive.names import Span, stem_of
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from storage_tiering.archive.repair import Repaired
from storage_tiering.tier import EventRecord, OrderRecord, Stale
from tests.support.tiers.hdfs_places import hdfs_place
from tests.support.tiers.orders import START, Log, LogMessage, accepted, document, message

BY_HAND = ArchiveSettings(seal_rows=1_000_000, seal_age_s=None)


class Topics:
    """Messages that the topics still have; `messages` may be removed."""

    def __init__(self) -> None:
        self.log = Log()
        self.messages: list[LogMessage] = []

    def keep(self, records: Sequence[OrderRecord | EventRecord]) -> None:
        self.messages += [message(record) for record in records]

    def read(self, span: Span) -> Iterator[LogMessage]:
        of_topic = [m for m in self.messages if m.topic == span.topic]
        if not of_topic or of_topic[0].offset > span.first_offset:
            raise OffsetLost(f"{span.topic} [{span.partition}]: restore the file from a backup")
        end = span.next_offset
        assert end is not None
        return iter([m for m in of_topic if span.first_offset <= m.offset < end])


@pytest.fixture(params=["local", pytest.param("hdfs", marks=pytest.mark.stack)])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> ArchiveFiles:
    return LocalFiles(tmp_path) if request.param == "local" else HdfsFiles(hdfs_place())


@pytest.fixture
def topics() -> Topics:
    return Topics()


def fill(files: ArchiveFiles, topics: Topics) -> ParquetTier:
    """Three files of each topic: two orders, and one that retires after the first."""
    tier = ParquetTier(files, BY_HAND)
    for version in range(1, 4):
        at = START + version * 1_000
        orders = topics.log.changes(document("a", version, at), document("b", version, at))
        if version == 1:
            orders += [
                *topics.log.changes(document("gone", 1, at)),
                topics.log.retirement("gone", 1),
            ]
        events = topics.log.events(accepted("a", str(version), at), accepted("b", str(version), at))
        tier.write_orders(orders)
        tier.write_events(events)
        tier.expire(at)
        assert tier.flush(force=True)
        topics.keep([*orders, *events])
    return tier


def names(files: ArchiveFiles, topic: str) -> list[str]:
    return sorted(name for name in files.walk(topic) if name.endswith(".parquet"))


def flip(files: ArchiveFiles, name: str) -> None:
    with files.open(name) as file:
        data = bytearray(file.read())
    data[len(data) // 2] ^= 1
    files.remove(name)
    files.seal(name, bytes(data))


def repair(files: ArchiveFiles, topics: Topics) -> list[Repaired]:
    tier = ParquetTier(files, BY_HAND)
    return list(tier.repair(topics.read).run(list(tier.verify())))


@pytest.mark.parametrize("topic", [ORDERS_CHANGES, ORDERS_EVENTS])
@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("damage", ["flipped", "lost"])
def test_a_file_is_written_again_as_it_was(
    files: ArchiveFiles, topics: Topics, topic: str, number: int, damage: str
) -> None:
    tier = fill(files, topics)
    right = [tier.find("default", name) for name in ("a", "b", "gone")]
    name = names(files, topic)[number]
    flip(files, name) if damage == "flipped" else files.remove(name)
    (done,) = repair(files, topics)
    assert done.did == "repaired"
    again = ParquetTier(files, BY_HAND)
    found = [again.find("default", each) for each in ("a", "b", "gone")]
    assert [each and (each.document, each.timeline) for each in found] == [
        each and (each.document, each.timeline) for each in right
    ]
    assert not list(again.verify())


def test_a_file_from_a_compacted_topic_leaves_the_tier_stale_about_what_lay_in_it(
    files: ArchiveFiles, topics: Topics
) -> None:
    fill(files, topics)
    files.remove(names(files, ORDERS_CHANGES)[0])
    kept = {m.key: m for m in topics.messages if m.topic == ORDERS_CHANGES}
    topics.messages = [topics.messages[0], *kept.values()]
    (done,) = repair(files, topics)
    assert done.did == "repaired in part"
    assert "orders that have retired may be missing" in done.reason
    tier = ParquetTier(files, BY_HAND)
    found = tier.find("default", "a")
    assert found is not None
    assert (found.document.version, found.stale) == (3, None), "a later file has it"
    with pytest.raises(Stale, match="written again from a compacted topic"):
        tier.find("default", "gone")


def test_what_the_topic_no_longer_has_stays_named(files: ArchiveFiles, topics: Topics) -> None:
    fill(files, topics)
    name = names(files, ORDERS_EVENTS)[0]
    flip(files, name)
    topics.messages = [m for m in topics.messages if m.offset > 2]
    (done,) = repair(files, topics)
    assert (done.did, "from a backup" in done.reason) == ("not repaired", True)
    with pytest.raises(Damage, match=stem_of(name)):
        ParquetTier(files, BY_HAND).find("default", "a")


def test_a_broker_that_gives_no_answer_ends_a_repair_and_nothing_is_moved(
    files: ArchiveFiles, topics: Topics
) -> None:
    def away(_: Span) -> Iterator[LogMessage]:
        raise Busy("no answer")

    fill(files, topics)
    name = names(files, ORDERS_EVENTS)[1]
    flip(files, name)
    tier = ParquetTier(files, BY_HAND)
    with pytest.raises(Busy):
        list(tier.repair(away).run(list(tier.verify())))
    assert name in names(files, ORDERS_EVENTS)
    assert [each.kind for each in ParquetTier(files, BY_HAND).verify()] == ["damaged file"]


def test_a_file_that_is_there_again_is_left_alone(files: ArchiveFiles, topics: Topics) -> None:
    tier = fill(files, topics)
    name = names(files, ORDERS_EVENTS)[1]
    files.move(name, "elsewhere/file")
    found = list(tier.verify())
    files.move("elsewhere/file", name)
    topics.messages.clear()
    (done,) = tier.repair(topics.read).run(found)
    assert (done.did, "is there" in done.reason) == ("repaired", True)
    assert not list(tier.verify())


def test_a_surplus_file_is_left_to_a_person(files: ArchiveFiles, topics: Topics) -> None:
    fill(files, topics)
    original = names(files, ORDERS_EVENTS)[1]
    with files.open(original) as file:
        data = file.read()
    files.seal(original.replace("0002.parquet", "0003.parquet"), data)
    (done,) = repair(files, topics)
    assert (done.damage.kind, done.did) == ("surplus file", "not repaired")

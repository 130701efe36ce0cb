"""The writers over the embedded broker, as members of a consumer group."""

import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from broker.consume import GroupReader
from broker.embedded import EmbeddedBroker
from broker.produce import Producer
from schemas.topics import ORDERS_CHANGES, ORDERS_EVENTS
from storage_tiering.archive.files import LocalFiles
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from storage_tiering.stream_clock import StreamClock
from storage_tiering.tier import Tier
from storage_tiering.warm.sqlite.tier import SqliteTier
from storage_tiering.writer import Writer, WriterSettings
from tests.support.tiers.log_file import LetterBox, busy_day
from tests.support.tiers.orders import LogMessage

ORDERS, ROUNDS = 40, 5


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        for topic in (ORDERS_CHANGES, ORDERS_EVENTS):
            running.create(topic)
        yield running


def produce(broker: EmbeddedBroker, messages: Sequence[LogMessage]) -> None:
    with Producer(broker.connection) as producer:
        for each in messages:
            producer.send(each.topic, each.key, each.value, each.headers, partition=each.partition)


def write(broker: EmbeddedBroker, tier: Tier, until: int, *, finish: bool = True) -> int:
    """Run a writer over `until` messages; without `finish` it vanishes before its last commit.

    Returns how many it read.
    """
    stop, clock = threading.Event(), StreamClock()
    topics = [ORDERS_CHANGES, ORDERS_EVENTS]
    start_of = tier.resume_offset if isinstance(tier, ParquetTier) else None
    with GroupReader(
        *(broker.connection, "test-writer", topics, clock.revoked, clock.assigned),
        start_of=start_of,
    ) as reader:
        writer = Writer(tier, reader, LetterBox(), stop=stop, clock=clock)
        done = 0
        while done < until:
            done += writer.step()
        stop.set()
        if finish:
            writer.run()
    return done


def assert_complete(tier: Tier) -> None:
    counts = tier.counts()
    assert (counts.orders, counts.events) == (ORDERS, ORDERS * ROUNDS)
    found = tier.find("default", "订单-7")
    assert found is not None
    assert found.document.version == ROUNDS
    assert len(found.timeline) == ROUNDS


def test_all_that_was_produced_is_found(broker: EmbeddedBroker, tmp_path: Path) -> None:
    messages = busy_day(ORDERS, rounds=ROUNDS)
    produce(broker, messages)
    tier = SqliteTier(tmp_path)
    write(broker, tier, until=len(messages))
    assert_complete(tier)
    tier.close()


def test_an_archive_writer_that_vanished_is_replaced_without_a_gap(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    messages = busy_day(ORDERS, rounds=ROUNDS)
    produce(broker, messages)
    settings = ArchiveSettings(seal_rows=10_000, seal_age_s=None)
    vanishing = ParquetTier(LocalFiles(tmp_path), settings)
    done = write(broker, vanishing, until=300, finish=False)
    assert vanishing.flush(force=True), "sealed, and not committed"
    tier = ParquetTier(LocalFiles(tmp_path), settings)
    again = write(broker, tier, until=len(messages) - done)
    assert again < done, "it went on after the sealed files, not at the group's offsets"
    assert_complete(tier)
    assert not list(tier.verify())
    tier.close()


def test_a_warm_tier_that_lost_its_folder_is_filled_again_from_the_broker(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    messages = busy_day(ORDERS, rounds=ROUNDS)
    produce(broker, messages)
    tier = SqliteTier(tmp_path / "warm")
    write(broker, tier, until=len(messages))
    tier.close()
    shutil.rmtree(tmp_path / "warm")
    tier = SqliteTier(tmp_path / "warm")
    write(broker, tier, until=len(messages))
    assert_complete(tier)
    assert tier.staleness() is None
    tier.close()


def test_a_warm_tier_that_loses_its_folder_under_the_writer_is_filled_again(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    messages = busy_day(ORDERS, rounds=ROUNDS)
    produce(broker, messages)
    tier = SqliteTier(tmp_path / "warm")
    stop, clock = threading.Event(), StreamClock()
    settings = WriterSettings(vouch_every_s=0.0)
    with GroupReader(
        broker.connection, "test-writer", [ORDERS_CHANGES, ORDERS_EVENTS], clock.revoked
    ) as reader:
        writer = Writer(tier, reader, LetterBox(), stop=stop, clock=clock, settings=settings)
        done = 0
        while done < len(messages):
            done += writer.step()
        assert_complete(tier)
        shutil.rmtree(tmp_path / "warm")
        while not writer.refill.is_running:
            writer.step()
        while writer.refill.is_running:
            writer.step()
    assert_complete(tier)
    tier.close()

"""`ordertide write`: one tier's writer, a member of its consumer group."""

import threading
from pathlib import Path

import click

from broker.consume import GroupReader, Headers
from broker.produce import Producer
from broker.reach import reach
from broker.topic_ids import TopicIds
from broker.topic_settings import retention_ms
from broker.topics import wait_for_topics
from commands.wiring.archive_audit import ArchiveAudit
from commands.wiring.archive_compaction import compacting
from commands.wiring.broker import connection_of
from commands.wiring.process import stop_event
from commands.wiring.serving import announce, patience, start_logs
from commands.wiring.settings_file import settings_option
from commands.wiring.tiers import writer_group
from commands.wiring.write_metrics import TierMetrics
from schemas import topics
from schemas.settings.model import Settings, read_settings
from schemas.topics import (
    EVENTS_REJECTED,
    ORDERS_ACTIONS,
    ORDERS_AUDIT,
    ORDERS_CHANGES,
    ORDERS_EVENTS,
)
from storage_tiering.archive.parquet import ParquetTier
from storage_tiering.dead_letters import DeadLetterTier
from storage_tiering.installed import open_tier
from storage_tiering.records import Message
from storage_tiering.stream_clock import StreamClock
from storage_tiering.tier import Outcomes
from storage_tiering.writer import Writer
from storage_tiering.writer_ports import DeadLetters


@click.command("write")
@click.argument("tier")
@settings_option()
def command(tier: str, path: Path | None) -> None:
    """Write orders.changes and orders.events into one TIER: hot, warm, archive or a plug-in.

    The warm tier and the archive also get orders.audit and orders.actions.
    Ends cleanly on SIGTERM and Ctrl-C. Several writers of a tier share its partitions.

    \b
    ordertide write hot --settings ordertide.toml
    ordertide write archive --settings ordertide.toml
    """
    settings = read_settings(path)
    start_logs(settings.telemetry)
    stop = stop_event()
    write(tier, settings, stop)


def write(name: str, settings: Settings, stop: threading.Event) -> None:
    """Write the tier `name` until `stop` is set.

    Raises:
        OrdertideError: the settings, the tier's state or the broker can't be used.
    """
    tier = open_tier(name, settings)
    clock = StreamClock()
    connection = connection_of(settings.broker)
    reach(connection)
    source = [ORDERS_CHANGES, ORDERS_EVENTS]
    if isinstance(tier, Outcomes):
        source += [ORDERS_AUDIT, ORDERS_ACTIONS]
    if isinstance(tier, DeadLetterTier):
        source.append(EVENTS_REJECTED)
    watch = TierMetrics(name, settings.telemetry)
    try:
        if not wait_for_topics(connection, source, patience(stop, watch.starts)):
            return
        watch.starts(None)
        announce(f"write {name}", watch.server, f"resumes where group {writer_group(name)} stopped")
        with (
            TopicIds(connection) as topic_ids,
            Producer(connection) as producer,
            GroupReader(
                *(connection, writer_group(name), source, clock.revoked, clock.assigned),
                start_of=tier.resume_offset if isinstance(tier, ParquetTier) else None,
                on_waiting=watch.starting,
            ) as reader,
        ):
            if isinstance(tier, ParquetTier):
                tier.know_topics(topic_ids.of)
                watch.keeps(retention_ms(connection, ORDERS_EVENTS))
            dead_letters = RejectedTopic(producer)
            writer = Writer(tier, reader, dead_letters, stop=stop, clock=clock, watch=watch)
            if not isinstance(tier, ParquetTier):
                writer.run()
                return
            writer.audit = audit = ArchiveAudit(tier, connection, watch)
            audit.at_start()
            with compacting(settings, lambda: reader.partitions):
                writer.run()
    finally:
        watch.close()
        tier.close()


class RejectedTopic(DeadLetters):
    """Writes to events.rejected; every letter is in the broker's log before `put` returns."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer

    def put(self, message: Message, code: str, reason: str) -> None:
        headers: Headers = [
            (topics.HEADER_CODE, code.encode()),
            (topics.HEADER_REASON, reason.encode(errors="replace")),
            (topics.HEADER_TOPIC, message.topic.encode()),
            (topics.HEADER_PARTITION, b"%d" % message.partition),
            (topics.HEADER_OFFSET, b"%d" % message.offset),
        ]
        self.producer.send(topics.EVENTS_REJECTED, message.key, message.value, headers)
        self.producer.flush()

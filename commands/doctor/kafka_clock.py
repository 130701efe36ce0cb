"""The broker's clock against this host's.

Orders are judged by the broker's time alone (`broker.broker_time`); a difference distorts what is
measured against this host's clock, and shows that one of the two is wrong. Kafka exposes its time
only as the append time of a message. Without a right to write, the newest existing message is
read, which shows a broker that is ahead; with `--probe` a message to a topic of its own, made for
it and deleted again, gives the exact offset.
"""

from collections.abc import Iterator
from uuid import uuid4

from confluent_kafka import KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, ClusterMetadata, NewTopic, OffsetSpec

from broker.clients import Producer
from broker.connect import Connection
from broker.errors import worded
from commands.doctor.clock import clock_finding
from commands.doctor.findings import CheckContext, Finding, ok, problem, warning
from commands.wiring.process import now_ms
from schemas.topics import EVENTS

PROBE_CONFIG = {"message.timestamp.type": "LogAppendTime"}


def clock(
    connection: Connection, admin: AdminClient, metadata: ClusterMetadata, context: CheckContext
) -> Iterator[Finding]:
    """By a probe where we may, else by the newest event."""
    try:
        if context.probe:
            yield probed(connection, admin, context)
        elif EVENTS in metadata.topics:
            yield newest(admin, len(metadata.topics[EVENTS].partitions), context)
    except KafkaException as error:
        yield warning("clock", f"not compared: {error.args[0].str()}", "see the lines above")


def newest(admin: AdminClient, partitions: int, context: CheckContext) -> Finding:
    """Check the newest append time: one in our future means that the broker is ahead."""
    latest = OffsetSpec.max_timestamp()
    wanted = {TopicPartition(EVENTS, number): latest for number in range(partitions)}
    asked = admin.list_offsets(wanted, request_timeout=context.timeout_s)
    appended_at = max(answer.result(context.timeout_s).timestamp for answer in asked.values())
    ahead_ms = appended_at - now_ms()
    if appended_at > 0 and ahead_ms > context.settings.track.margin_ms:
        return clock_finding(ahead_ms, context.settings.track.margin_ms, beyond=problem)
    return ok("clock", "not ahead by the newest event; 'ordertide doctor --probe' measures")


def probed(connection: Connection, admin: AdminClient, context: CheckContext) -> Finding:
    """The append time of a message to a topic made for it."""
    topic = f"ordertide.doctor-{uuid4().hex[:8]}"
    new = NewTopic(topic, num_partitions=1, config=PROBE_CONFIG)
    admin.create_topics([new], request_timeout=context.timeout_s)[topic].result(context.timeout_s)
    try:
        return appended(connection, topic, context)
    finally:
        admin.delete_topics([topic])[topic].result(context.timeout_s)


def appended(connection: Connection, topic: str, context: CheckContext) -> Finding:
    """Send messages: the first waits for the new topic's leader, the second is the measure."""
    delivered: list[Message] = []
    asked_at = now_ms()
    with Producer({**connection.config("producer"), "linger.ms": 0}) as producer:
        for _ in range(2):
            asked_at = now_ms()
            producer.produce(topic, b"probe", on_delivery=lambda _, found: delivered.append(found))
            producer.flush(context.timeout_s)
    round_trip_ms = now_ms() - asked_at
    if not delivered or delivered[-1].error():
        failed = delivered[-1].error() if delivered else None
        reason = worded(failed) if failed else "no answer in time"
        return warning("clock", f"not compared: {reason}", "see the lines above")
    ahead_ms = delivered[-1].timestamp()[1] - asked_at - round_trip_ms // 2
    tolerance_ms = context.settings.track.margin_ms
    return clock_finding(ahead_ms, tolerance_ms, round_trip_ms, beyond=problem)

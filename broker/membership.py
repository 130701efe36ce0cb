"""Membership of a consumer group: session, static name, and leaving without a hang.

A member that vanishes keeps its partitions until its session ends. librdkafka sends heartbeats from
a thread of its own, so long work of the process costs no session: 10 s instead of its 45 is how
long partitions of a killed reader wait. A static member (KIP-345, `group.instance.id`) waits for
nothing: the next one of its name takes its place at once, and the broker fences the former one. In
return it doesn't leave the group when it is closed.
"""

import time
from typing import Any

from confluent_kafka import KafkaException

from broker.clients import Consumer
from broker.connect import Connection
from broker.errors import FENCED

SESSION_S = 10.0
STATIC = "group.instance.id"
POLL_S = 0.2
LEAVE_WITHIN_S = 10.0


def session_s_of(connection: Connection) -> float:
    """Session timeout of a member: from the connection's properties, else 10 s."""
    return float(connection.properties.get("session.timeout.ms", SESSION_S * 1000)) / 1000


def member_settings(connection: Connection) -> dict[str, Any]:
    """Session and heartbeats of a member of a classic group."""
    session_s = session_s_of(connection)
    beat_ms = connection.properties.get("heartbeat.interval.ms", int(session_s * 100))
    return {"session.timeout.ms": int(session_s * 1000), "heartbeat.interval.ms": beat_ms}


def has_new_protocol(connection: Connection) -> bool:
    """Return True for groups of KIP-848, whose sessions and assignments are the broker's."""
    return connection.properties.get("group.protocol") == "consumer"


def leave(client: Consumer) -> None:
    """Close a member once no callback is pending.

    Else librdkafka (2.16) hangs for ever in a member that was fenced: the callback requests the
    group's protocol, and nothing answers any more (librdkafka#4041).
    """
    try:
        client.unsubscribe()
    except KafkaException as failed:
        if failed.args[0].name() not in FENCED:
            raise
    give_up_at_s = time.monotonic() + LEAVE_WITHIN_S
    while client.poll(POLL_S) or client.assignment():
        if time.monotonic() >= give_up_at_s:
            break
    client.close()

"""Rebuild of a lost outbox: from the outcomes in orders.audit, and orders.actions read again.

The group's committed offsets show the loss: an outbox that was inserted up to less, because it is
new or from a backup, lacks actions. Those that ended have an outcome on orders.audit, for 92 days;
all others are read again from where the outbox ends, and sent under the same idempotency keys.
"""

from collections.abc import Iterator
from itertools import islice

import msgspec
from confluent_kafka import TopicPartition

from broker.committed import committed
from broker.connect import Connection
from broker.consume import read_all
from broker.errors import TopicMissing
from broker.fetcher import Fetcher
from broker.topics import ANSWER_TIMEOUT_S, count_partitions
from schemas.topics import ORDERS_ACTIONS, ORDERS_AUDIT
from sinks.actions.outbox import ENDS, Outbox, Partition

AT_A_TIME = 500
MARK = b'"action.'


class Detail(msgspec.Struct, frozen=True):
    """Detail of an outcome, as far as it counts."""

    action_id: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """An entry of orders.audit, as far as it counts."""

    what: str
    detail: Detail


OUTCOME = msgspec.json.Decoder(Outcome)
# A dead action is read again and tried again: its row, which `replay` would need, is lost.
WHAT = {f"action.{end}": end for end in ENDS if end != "dead"}


def rebuild(outbox: Outbox, connection: Connection, group: str, now_at: int) -> int | None:
    """Bring an outbox that is behind its group up to the outcomes; None where it isn't behind.

    Returns the number of outcomes found. The group has to be read from the outbox's `positions`.

    Raises:
        Busy: the broker is unavailable.
    """
    positions = outbox.positions()
    committed_at = committed_offsets(connection, group)
    if all(positions.get(partition, 0) >= at for partition, at in committed_at.items()):
        return None
    count = 0
    found = outcomes(connection)
    while batch := list(islice(found, AT_A_TIME)):
        with outbox.transaction():
            outbox.remember(batch, now_at)
        count += len(batch)
    return count


def committed_offsets(
    connection: Connection, group: str, topic: str = ORDERS_ACTIONS
) -> dict[Partition, int]:
    """The offsets that the group has committed in a topic, above 0."""
    with Fetcher(connection, group) as fetcher:
        try:
            count = count_partitions(fetcher.client, topic)
        except TopicMissing:
            return {}
        wanted = [TopicPartition(topic, number) for number in range(count)]
        stored = committed(fetcher.client, group, wanted, ANSWER_TIMEOUT_S)
    return {(each.topic, each.partition): int(each.offset) for each in stored if each.offset > 0}


def outcomes(connection: Connection) -> Iterator[tuple[str, str]]:
    """(action_id, state) of every outcome on orders.audit, in the order of its partitions."""
    for message in read_all(connection, ORDERS_AUDIT):
        if message.value is None or MARK not in message.value:
            continue
        try:
            entry = OUTCOME.decode(message.value)
        except msgspec.DecodeError:
            continue  # not of ours
        if entry.what in WHAT and entry.detail.action_id:
            yield entry.detail.action_id, WHAT[entry.what]

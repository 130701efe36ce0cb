"""A month of orders' messages as `track` publishes them, and copies of them under other ids."""

import zlib
from typing import NamedTuple

from msgspec.structs import replace

from benchmarks.core import Core, in_batches
from benchmarks.events import START_AT, Traffic, order_id, to_json
from dataflows.core.intake import Origin
from dataflows.output_messages import Headers, messages, singly
from schemas import topics
from schemas.instants import DAY_MS
from storage_tiering.records import decode
from storage_tiering.tier import EventRecord, OrderRecord, Partition, TopicPosition

SEED = 20_161_004
DAYS, PLACES = 30, 400  # a month, and its live orders
STEPS = 10  # advances of the watermark in a round: no order has two events in one
PARTITIONS = 8
STORED = frozenset({topics.ORDERS_EVENTS, topics.ORDERS_CHANGES})


class Message(NamedTuple):
    """A message as a tier's writer reads it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


class Line(NamedTuple):
    """A message of a topic of orders; `at` is the watermark (ms) at which it was published."""

    topic: str
    record: OrderRecord | EventRecord
    at: int

    @property
    def key(self) -> str:
        """The order."""
        return self.record.key

    @property
    def data(self) -> bytes:
        """Its JSON."""
        return self.record.data


class Month:
    """Messages of the templates, in their order, and how many orders there are."""

    def __init__(self) -> None:
        """Create the month: the core judges its load."""
        core, traffic = Core(), Traffic(PLACES, SEED)
        core.set_mode("publish")
        place = Origin("events", 0, 0)
        self.lines: list[Line] = []
        until = START_AT + DAYS * DAY_MS
        size = len(traffic.places) // STEPS
        for batch in in_batches(traffic.steady(), size):
            at = batch[-1].at
            facts = [
                core.intake.fact(one.event, one.event.order_id or "", to_json(one), one.at, place)
                for one in batch
            ]
            for out in core.advance(facts, at):
                for each in singly(messages(out, at)):
                    if each.topic in STORED and each.value:
                        read = Message(each.topic, 0, 0, each.key, each.value, each.headers, at)
                        self.lines.append(Line(each.topic, record_of(read), at))
            core.forget_changes()
            if at >= until:
                break
        self.orders = traffic.next_serial
        self.watermark = self.lines[-1].at

    def copies(self, archived: int) -> int:
        """Copies of the month that hold so many events."""
        return -(-archived // sum(line.topic == topics.ORDERS_EVENTS for line in self.lines))

    def latest(self, since_at: int = 0) -> list[list[Line]]:
        """By order that has changed after `since_at`: its events, then its last document."""
        events: dict[str, list[Line]] = {}
        documents: dict[str, Line] = {}
        for line in self.lines:
            if isinstance(line.record, OrderRecord):
                documents[line.key] = line
            else:
                events.setdefault(line.key, []).append(line)
        return [
            [*events[key], last]
            for key, last in documents.items()
            if isinstance(last.record, OrderRecord) and last.record.changed_at > since_at
        ]


class Copies:
    """Messages under other ids, each at the next place of its partition."""

    def __init__(self) -> None:
        """Create topics without messages."""
        self.next: dict[Partition, int] = {}

    def record(self, line: Line, key: bytes) -> OrderRecord | EventRecord:
        """The record of a copy."""
        order_id, partition = key.decode(), zlib.crc32(key) % PARTITIONS
        offset = self.next.get((line.topic, partition), 0)
        self.next[line.topic, partition] = offset + 1
        position = TopicPosition(line.topic, partition, offset)
        data = line.data.replace(b'"%s"' % line.key.encode(), b'"%s"' % key)
        copied = {"key": order_id, "position": position, "data": data}
        record = line.record
        if isinstance(record, EventRecord):
            return replace(record, **copied, event=replace(record.event, order_id=order_id))
        assert record.document is not None
        return replace(record, **copied, document=replace(record.document, order_id=order_id))


def record_of(message: Message) -> OrderRecord | EventRecord:
    """The record of a message of `STORED`."""
    record = decode(message)
    assert isinstance(record, OrderRecord | EventRecord), record
    return record


def key_of(line: Line, copy: int, orders: int) -> bytes:
    """The id of an order's copy; orders of other copies lie between neighbours."""
    return order_id(int(line.key.rpartition("-")[2]) + copy * orders).encode()

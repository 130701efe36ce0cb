"""Messages of the topics of orders become records, or a clear reason why not."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from schemas.alert import Action, AuditEntry
from schemas.errors import Rejected
from schemas.instants import parse_instant
from schemas.json_faults import json_fault
from schemas.keys import order_key
from schemas.order import AcceptedEvent, OrderDocument
from schemas.outcomes import Outcome, OutcomeKind
from schemas.topics import (
    CLOCK_KEY,
    HEADER_CLOCK,
    HEADER_VERSION,
    ORDERS_ACTIONS,
    ORDERS_AUDIT,
    ORDERS_CHANGES,
    ORDERS_EVENTS,
    number_in,
)
from storage_tiering.tier import EventRecord, OrderRecord, OutcomeRecord, TopicPosition

# Such a key names no order (no id begins with a control character): the message, whose value is
# null, carries only the watermark of its partition.

DOCUMENT = msgspec.json.Decoder(OrderDocument)
ACCEPTED = msgspec.json.Decoder(AcceptedEvent)
AUDIT = msgspec.json.Decoder(AuditEntry)
ACTION = msgspec.json.Decoder(Action)
NOWHERE = TopicPosition("", 0, 0)  # of a record from a store that keeps no positions


class Message(Protocol):
    """The part of a Kafka message that writers read. `value` None is a tombstone or a heartbeat."""

    @property
    def topic(self) -> str:
        """The topic that it was read from."""
        ...

    @property
    def partition(self) -> int:
        """The partition that it was read from."""
        ...

    @property
    def offset(self) -> int:
        """Its place in the partition."""
        ...

    @property
    def timestamp_ms(self) -> int:
        """When it was written, by which the broker deletes it; -1 where that isn't known."""
        ...

    @property
    def key(self) -> bytes | None:
        """The order key in UTF-8, or a heartbeat's `CLOCK_KEY`."""
        ...

    @property
    def value(self) -> bytes | None:
        """JSON."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """`clock`, and `version` on tombstones."""
        ...


def clock_of(message: Message) -> int | None:
    """The stream clock (ms) that rides on the message; None without one, or before its first."""
    return number_in(message.headers, HEADER_CLOCK) or None


def decode(message: Message) -> OrderRecord | EventRecord | OutcomeRecord | None:
    """The record in a message; None for a heartbeat of the clock.

    Raises:
        Rejected: `unreadable_key`, `unreadable_value`, `wrong_key` (the key names another order
            than the value), `unknown_topic`.
    """
    key = _key(message)
    if key.startswith(CLOCK_KEY):
        return None
    position = TopicPosition(message.topic, message.partition, message.offset)
    if message.topic.endswith(ORDERS_CHANGES):
        return _decode_change(message, key, position)
    if message.topic.endswith(ORDERS_EVENTS):
        return _decode_event(message, key, position)
    if message.topic.endswith(ORDERS_AUDIT):
        return _decode_outcome(message, key, position, "audit")
    if message.topic.endswith(ORDERS_ACTIONS):
        return _decode_outcome(message, key, position, "actions")
    raise Rejected("unknown_topic", f"{message.topic} holds no changes, events or outcomes")


def order_record(
    document: OrderDocument, position: TopicPosition, data: bytes | None = None
) -> OrderRecord:
    """The record of `document`, as if it had been read at `position` as `data`."""
    return OrderRecord(
        key=order_key(document.tenant, document.order_id),
        position=position,
        document=document,
        version=document.version,
        data=msgspec.json.encode(document) if data is None else data,
    )


def tombstone(key: str, position: TopicPosition, version: int | None = None) -> OrderRecord:
    """The record of the retirement of the order `key`, with its last `version` if known."""
    return OrderRecord(key=key, position=position, document=None, version=version, data=b"")


def event_record(event: AcceptedEvent, position: TopicPosition) -> EventRecord:
    """The record of `event`, as if it had been read at `position`."""
    key = order_key(event.tenant, event.order_id)
    return EventRecord(key=key, position=position, event=event, data=msgspec.json.encode(event))


def _decode_change(message: Message, key: str, position: TopicPosition) -> OrderRecord:
    if message.value is None:
        return tombstone(key, position, number_in(message.headers, HEADER_VERSION))
    try:
        document = DOCUMENT.decode(message.value)
        starts = [at for a in document.open_alerts for at in (a.opened_at, a.escalated_at)]
        for at in (document.updated_at, *starts):
            if at is not None:
                parse_instant(at)
    except (ValueError, RecursionError) as error:
        raise unreadable("no order document", error, message) from error
    _check_key(key, document.tenant, document.order_id)
    return OrderRecord(
        key=key,
        position=position,
        document=document,
        version=document.version,
        data=message.value,
        clock_at=clock_of(message),
    )


def _decode_event(message: Message, key: str, position: TopicPosition) -> EventRecord:
    try:
        event = ACCEPTED.decode(message.value or b"")
        parse_instant(event.at)
        parse_instant(event.arrival_at)
    except (ValueError, RecursionError) as error:
        raise unreadable("no accepted event", error, message) from error
    _check_key(key, event.tenant, event.order_id)
    return EventRecord(key=key, position=position, event=event, data=message.value or b"")


def outcome_of(kind: OutcomeKind, data: bytes | str) -> Outcome:
    """The outcome in a message's value.

    Raises:
        ValueError: it is none.
    """
    return AUDIT.decode(data) if kind == "audit" else ACTION.decode(data)


def outcome_record(outcome: Outcome, position: TopicPosition) -> OutcomeRecord:
    """The record of `outcome`, as if it had been read at `position`."""
    return OutcomeRecord(
        key=order_key(outcome.tenant, outcome.order_id),
        position=position,
        kind="audit" if isinstance(outcome, AuditEntry) else "actions",
        outcome=outcome,
        data=msgspec.json.encode(outcome),
    )


def _decode_outcome(
    message: Message, key: str, position: TopicPosition, kind: OutcomeKind
) -> OutcomeRecord:
    try:
        outcome = outcome_of(kind, message.value or b"")
        parse_instant(outcome.at)
    except (ValueError, RecursionError) as error:
        raise unreadable("no outcome of an order", error, message) from error
    _check_key(key, outcome.tenant, outcome.order_id)
    data = message.value or b""
    return OutcomeRecord(key=key, position=position, kind=kind, outcome=outcome, data=data)


def unreadable(what: str, error: Exception, message: Message) -> Rejected:
    """The rejection of a message whose value can't be decoded."""
    return Rejected("unreadable_value", f"{what}: {json_fault(error, message.value or b'')}")


def _key(message: Message) -> str:
    try:
        return (message.key or b"").decode()
    except UnicodeDecodeError as error:
        raise Rejected("unreadable_key", f"the key is not UTF-8: {error}") from error


def _check_key(key: str, tenant: str, order_id: str) -> None:
    if key != order_key(tenant, order_id):
        raise Rejected("wrong_key", f"the key is {key!r}, the value is of {tenant}/{order_id}")

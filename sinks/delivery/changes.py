"""Messages of orders.changes, as far as delivery cares: which order, and what is open of it."""

import logging
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from broker.consume import Message
from schemas.errors import Rejected
from schemas.order import Lane
from schemas.topics import CLOCK_KEY, HEADER_VERSION, number_in
from sinks.channels.alert_message import Notice, Style, notices_of, read_order
from sinks.delivery.entries import OrderKey
from sinks.delivery.metrics import DeliveryMetrics

LOGGER = logging.getLogger("ordertide.delivery")
CLOCK = CLOCK_KEY.encode()


class Change(NamedTuple):
    """An order as the message at `offset` left it, at `came_at` in ms of the wall clock.

    `version` is None only for a tombstone without the header.
    """

    order: OrderKey
    lane: Lane
    notices: list[Notice]
    came_at: int
    offset: int
    version: int | None
    is_tombstone: bool = False
    status: str | None = None
    carrier: str | None = None


def changes_in(
    messages: Iterable[Message], style: Style, watch: DeliveryMetrics
) -> Iterator[Change]:
    """The changes, heartbeats left out; what can't be read is counted, logged and passed over.

    It goes to no topic for rejected messages: the writers of the tiers read the same one and do.
    """
    for message in messages:
        if (message.key or b"").startswith(CLOCK):
            continue
        try:
            yield read_change(message, style)
        except Rejected as rejected:
            watch.unreadable(rejected.code)
            LOGGER.warning(
                "%s [%d] offset %d: passed over: %s",
                *(message.topic, message.partition, message.offset, rejected),
            )


def read_change(message: Message, style: Style) -> Change:
    """Decode a message into the change of its order; a tombstone closes all alerts.

    Raises:
        Rejected: `unreadable_key`, `unreadable_value`.
    """
    try:
        key = OrderKey(message.partition, (message.key or b"").decode())
    except UnicodeDecodeError as error:
        raise Rejected("unreadable_key", f"the key is not UTF-8: {error}") from error
    if message.value is None:
        version = number_in(message.headers, HEADER_VERSION)
        return Change(
            key, "normal", [], message.timestamp_ms, message.offset, version, is_tombstone=True
        )
    order = read_order(message.value)
    notices = notices_of(order, style)
    return Change(
        key,
        order.lane,
        notices,
        message.timestamp_ms,
        message.offset,
        order.version,
        status=order.status,
        carrier=order.carrier,
    )

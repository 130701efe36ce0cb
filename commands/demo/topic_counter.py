"""Counts of the dataflow's outputs, from the topics like any other reader's."""

from collections import Counter

import msgspec

from broker.fetcher import Message
from gateway.live.view import LiveView, Row
from schemas.alert import Action, AlertTransition, AuditEntry
from schemas.order import OrderDocument
from schemas.topics import HEADER_CLOCK, ORDERS_ACTIONS, ORDERS_AUDIT, ORDERS_CHANGES

TOPICS = (ORDERS_CHANGES, ORDERS_AUDIT, ORDERS_ACTIONS)
NEWEST = 6

DOCUMENT = msgspec.json.Decoder(OrderDocument)
ACTION = msgspec.json.Decoder(Action)
ENTRY = msgspec.json.Decoder(AuditEntry)


class TopicCounter:
    """Orders with their latest document, alerts and actions; a repeated message counts once."""

    def __init__(self) -> None:
        self.orders: dict[str, OrderDocument] = {}
        self.retired: set[str] = set()
        self.opened = Counter[str]()
        self.escalated = Counter[str]()
        self.actions = Counter[str]()
        self.view = LiveView()
        self.clock_at: int | None = None
        self._known: set[str] = set()

    def take(self, message: Message) -> None:
        """Count a message of one of `TOPICS`."""
        if message.topic == ORDERS_CHANGES:
            self._take_change(message)
        elif message.value is not None and message.topic == ORDERS_ACTIONS:
            action = ACTION.decode(message.value)
            if self._is_new(action.action_id):
                self.actions[action.kind] += 1
        elif message.value is not None:
            entry = ENTRY.decode(message.value)
            if entry.alert and self._is_new(entry.audit_id):
                self._take_alert(entry.alert)

    def lanes(self) -> Counter[str]:
        """Number of live orders in each lane."""
        return self.view.count_by("lane")

    def newest(self) -> list[Row]:
        """The open alerts that opened last."""
        return self.view.newest(NEWEST)

    def statuses(self) -> Counter[str]:
        """Number of orders, retired ones included, in each status."""
        return Counter(order.status or "EMBRYO" for order in self.orders.values())

    def _take_change(self, message: Message) -> None:
        key = (message.key or b"").decode()
        clock_at = int(dict(message.headers).get(HEADER_CLOCK) or 0)
        if clock_at > 0:  # else the shard's clock has not started yet
            self.clock_at = max(clock_at, self.clock_at or 0)
        if message.value is None:
            self.view.remove(key)
            if key in self.orders:
                self.retired.add(key)
            return
        document = DOCUMENT.decode(message.value)
        held = self.orders.get(key)
        if held is None or document.version > held.version:
            self.view.apply(key, document)
            self.orders[key] = document
            self.retired.discard(key)

    def _take_alert(self, alert: AlertTransition) -> None:
        if alert.state == "resolved":
            return
        (self.opened if alert.state == "opened" else self.escalated)[alert.rule] += 1

    def _is_new(self, name: str) -> bool:
        is_new = name not in self._known
        self._known.add(name)
        return is_new

"""Live parcels, from the same topic as the gateway's live view."""

import threading
from collections import Counter
from typing import NamedTuple

from broker.connect import LOGGER, Connection
from broker.errors import OffsetLost
from broker.fetcher import Message
from broker.topic_follower import RETRY_S, Passing, TopicFollower
from dataflows.carriers.pollable import Asked
from dataflows.carriers.wording import canonical_carrier
from schemas.errors import Rejected
from schemas.instants import parse_instant
from schemas.order import OrderDocument, ShipmentView
from schemas.topics import ORDERS_CHANGES
from storage_tiering.records import decode
from storage_tiering.tier import OrderRecord
from telemetry.health import Finding

FEWEST, MOST = 6, 32  # characters of a waybill


class News(NamedTuple):
    """A live parcel. `news_at` is the time of its last event, in ms."""

    asked: Asked
    status: str
    news_at: int


class ParcelFollower(TopicFollower):
    """Reads orders.changes between `start` and `close`; `changes` hands over what is new."""

    def __init__(self, connection: Connection) -> None:
        """Create a follower that has read nothing yet."""
        super().__init__(connection, ORDERS_CHANGES, "live parcels")
        self._orders: dict[str, tuple[str, ...]] = {}  # key → numbers of its live parcels
        self._live = Counter[str]()  # by number: the live orders that have it
        self._changed: dict[str, News | None] = {}
        self._lock = threading.Lock()

    def is_following(self) -> Finding:
        """Readiness of the live parcels."""
        unready = self.unready
        return Finding(ok=unready is None, reason=unready or "the live parcels are loaded")

    def changes(self) -> dict[str, News | None]:
        """By number: the latest news since the last call, None where it is no longer live."""
        with self._lock:
            changed, self._changed = self._changed, {}
        return changed

    def begin(self) -> None:
        with self._lock:
            self._changed = dict.fromkeys(self._live)
            self._orders.clear()
            self._live.clear()

    def take(self, messages: list[Message]) -> None:
        with self._lock:
            for message in messages:
                self._apply(message)

    def interrupted(self, passing: Passing) -> None:
        LOGGER.info("live parcels: reads again: %s", passing)
        if not isinstance(passing, OffsetLost):
            self.waits_for = str(passing)
            self._stop.wait(RETRY_S)

    def _apply(self, message: Message) -> None:
        try:
            record = decode(message)
        except Rejected as rejected:  # the writers make a dead letter of it
            LOGGER.info("live parcels: offset %d: %s", message.offset, rejected)
            return
        if not isinstance(record, OrderRecord):
            return
        found = live_parcels(record.document) if record.document else []
        before = self._orders.pop(record.key, ())
        self._live.update(each.asked.number for each in found)
        self._live.subtract(before)
        for number in before:
            if not self._live[number]:
                del self._live[number]
                self._changed[number] = None
        if found:
            self._orders[record.key] = tuple(each.asked.number for each in found)
        self._changed.update((each.asked.number, each) for each in found)


def live_parcels(order: OrderDocument) -> list[News]:
    """Parcels of an order that have a number, a carrier and a status, and have not ended."""
    found = {
        each.asked.number: each for parcel in order.shipments if (each := news_of(parcel, order))
    }
    return list(found.values())


def news_of(parcel: ShipmentView, order: OrderDocument) -> News | None:
    """News of a parcel; None if it can't be asked for."""
    carrier = parcel.carrier or order.carrier
    at = parcel.updated_at or order.updated_at or order.created_at
    if parcel.ended_at or not (parcel.status and carrier and at and is_waybill(parcel.shipment)):
        return None
    return News(
        Asked(parcel.shipment, canonical_carrier(carrier)), parcel.status, parse_instant(at)
    )


def is_waybill(name: str) -> bool:
    """Return True if a parcel's name may be a carrier's number: a shop names some by its own."""
    letters = name.replace("-", "")
    is_plain = letters.isascii() and letters.isalnum()
    return is_plain and FEWEST <= len(name) <= MOST and any(map(str.isdigit, name))

"""Ingest: events from outside to the topic `events`, answered once they are in the broker's log.

What the engine would reject is refused here with the same code, so that its sender learns of it.
Each message carries the key and the address that it came with, which stay with it in a dead letter.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from broker.confirm import ConfirmingProducer
from broker.produce import Record
from dataflows.core.intake import Intake
from schemas.cloudevents import read_message
from schemas.errors import Rejected
from schemas.event import Event, Tick, check_arrival
from schemas.topics import EVENTS, ORDERS_AUDIT

HEADER_KEY, HEADER_IP = "gateway-key", "gateway-ip"


class Ingest:
    """Checks and sends events. `now_ms` is the wall clock, against events from the future."""

    def __init__(
        self, producer: ConfirmingProducer, intake: Intake, now_ms: Callable[[], int]
    ) -> None:
        """Create the way of events to the topic."""
        self._producer = producer
        self._intake = intake
        self._now_ms = now_ms

    def checked(self, data: bytes) -> Event:
        """The event in a message, CloudEvents too.

        Raises:
            Rejected: with the code that the engine would reject it with; `no_event` for a tick.
        """
        event, _ = read_message(data, [])
        if isinstance(event, Tick):
            raise Rejected("no_event", "a tick is for recorded history alone; send events")
        self._intake.status_of(event)
        check_arrival(event.at, self._now_ms())
        return event

    async def send(self, events: Sequence[tuple[Event, bytes]], key_id: str, ip: str) -> None:
        """Send events as they came; returns once all are in the broker's log.

        Raises:
            Busy: that isn't certain; send them again.
        """
        headers: list[tuple[str, bytes | None]] = [
            (HEADER_KEY, key_id.encode()),
            (HEADER_IP, ip.encode("ascii", "replace")),
        ]
        records = [Record(message_key(event), data, headers) for event, data in events]
        await asyncio.wrap_future(self._producer.send(EVENTS, records))

    def send_again(self, records: Sequence[Record]) -> "Future[None]":
        """Send messages as they came before; the future is done once all are in the broker's log.

        From any thread. It raises `Busy` where that isn't certain; send them again.
        """
        return self._producer.send(EVENTS, records)

    async def audit(self, entries: Sequence[tuple[str, bytes]]) -> None:
        """Write (order key, entry) to the audit; returns once all are in the broker's log.

        Raises:
            Busy: that isn't certain; send them again.
        """
        records = [Record(key.encode(), entry) for key, entry in entries]
        await asyncio.wrap_future(self._producer.send(ORDERS_AUDIT, records))

    def close(self) -> None:
        """End the connection to the broker."""
        self._producer.close()


def message_key(event: Event) -> bytes | None:
    """Key of a message: events of one order, else of one parcel, stay in sequence."""
    named = event.order_id or event.waybill
    return named.encode() if named else None

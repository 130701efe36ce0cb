"""Expected output: the job in one dict, over the messages in the order they were sent."""

from collections.abc import Iterable

import msgspec

from benchmarks.compare.agenda import Agenda
from benchmarks.compare.order import DELIVERED, Order
from benchmarks.compare.verdict import Final, final_of

decode = msgspec.json.Decoder().decode


class Oracle:
    """The state after all messages that were taken; `silence_ms` is the deadline's length.

    `changes` counts those that came of the messages: one for every event that is no duplicate.
    """

    def __init__(self, silence_ms: int) -> None:
        self.silence_ms = silence_ms
        self.orders: dict[str, Order] = {}
        self.finals: dict[str, Final] = {}
        self.alerts: set[tuple[str, int]] = set()
        self.agenda = Agenda()
        self.changes = 0

    def take(self, lines: Iterable[bytes]) -> None:
        """Apply events."""
        for line in lines:
            event = decode(line)
            key = event["order_id"]
            if key in self.finals:
                continue  # a delivered order's last event again
            order = self.orders.get(key) or self.orders.setdefault(key, Order())
            applied = order.apply(event, self.silence_ms)
            self.changes += applied.is_new
            if applied.missed_at:
                self.alerts.add((key, applied.missed_at))
            self.agenda.arm(key, order.due_at)
            if event["status_code"] == DELIVERED:
                self.finals[key] = final_of(self.orders.pop(key).change(key))

    def advance(self, clock_at: int) -> None:
        """Move the clock on."""
        self.alerts.update(self.agenda.advance(clock_at))

    def all_finals(self) -> dict[str, Final]:
        """The last change of every order."""
        live = {key: final_of(order.change(key)) for key, order in self.orders.items()}
        return {**self.finals, **live}

"""The orders that a shard holds: live ones in a dict and a calendar, retired ones leaving."""

from collections.abc import Iterator
from typing import NamedTuple

from dataflows.core.calendar import Calendar
from dataflows.core.deadlines import NEVER
from dataflows.core.packing import Order, armed_at_of, pack
from dataflows.core.snapshots import Cold


class Stored(NamedTuple):
    """An order's bytes in memory, and its row on the way to the cold, if there is one."""

    live: bytes | None
    row: bytes | None
    has_row: bool


class Holding:
    """Packed orders by key.

    `changed` are the keys changed since the last snapshot, `cold_rows` what is to be written to the
    cold with it (None: to be deleted), `unreadable` the orders whose bytes could not be read when
    they were restored.
    """

    def __init__(self, cold: Cold) -> None:
        """`cold` holds the retired orders."""
        self.cold = cold
        self.orders: dict[str, bytes] = {}
        self.calendar = Calendar(self.armed_at)
        self.changed: set[str] = set()
        self.unreadable: dict[str, Exception] = {}
        self.cold_rows: dict[str, bytes | None] = {}
        self.most_entries = 0  # of an order that was stored since the start

    def find(self, key: str) -> bytes | None:
        """The packed order from memory or from the cold."""
        data = self.orders.get(key)
        if data is None:
            data = self.cold_of(key)
        return data

    def stored(self, key: str) -> Stored:
        """What is stored of an order, for `put_back`."""
        return Stored(self.orders.get(key), self.cold_rows.get(key), key in self.cold_rows)

    def put_back(self, key: str, before: Stored) -> None:
        """Undo what was stored of an order since `stored`."""
        if before.live is None:
            self.orders.pop(key, None)
        else:
            self.orders[key] = before.live
        if before.has_row:
            self.cold_rows[key] = before.row
        else:
            self.cold_rows.pop(key, None)

    def put(self, order: Order, next_at: int, watermark: int, *, retired: bool) -> None:
        """Store an order, in memory with its next deadline armed, or in the cold."""
        self.most_entries = max(self.most_entries, order.entries)
        key = order.key
        was_live = key in self.orders
        if retired:
            order.armed_at = 0
            data = pack(order)
            if was_live:
                del self.orders[key]
                self.changed.add(key)
                self.cold_rows[key] = data
            elif self.cold_of(key) != data:
                self.cold_rows[key] = data
            return
        order.armed_at = self.arm(key, order.armed_at, next_at, watermark)
        self.orders[key] = pack(order)
        self.changed.add(key)
        if not was_live:
            self.uncool(key)

    def armed(self, key: str) -> int:
        """For when a live order is armed, in ms; 0 if it isn't."""
        data = self.orders.get(key)
        return 0 if data is None else armed_at_of(data)

    def cold_of(self, key: str) -> bytes | None:
        """What the cold holds of a key."""
        return self.cold_rows[key] if key in self.cold_rows else self.cold.get(key)

    def uncool(self, key: str) -> None:
        """Take a recalled order out of the cold."""
        if self.cold_of(key) is not None:
            self.cold_rows[key] = None

    def arm(self, key: str, armed_at: int, next_at: int, watermark: int) -> int:
        """Note an order's deadline; a later one than is noted re-arms when that one comes."""
        if next_at == armed_at:
            return armed_at
        if next_at == NEVER:
            return armed_at if armed_at > watermark else 0
        if watermark < armed_at < next_at:
            return armed_at
        # One string for both, the dict's and the calendar's: 80 bytes an order.
        self.orders.pop(key, None)
        self.calendar.add(next_at, key)
        return next_at

    def armed_at(self, key: str) -> int:
        """For when an order is armed, in ms; NEVER if it isn't or isn't here."""
        return self.armed(key) or NEVER

    def restore(self, parts: list[list[tuple[str, bytes | None]]]) -> None:
        """Take the orders of a base and the deltas after it, and arm their deadlines."""
        for orders in parts:
            for key, data in orders:
                if data is None:
                    self.orders.pop(key, None)
                else:
                    self.orders[key] = data
        self.calendar = Calendar(self.armed_at)
        self.calendar.fill(self.all_armed())

    def all_armed(self) -> Iterator[tuple[int, str]]:
        """(armed deadline, key) of the orders that have one; of all, as a start needs it."""
        self.unreadable = {}
        for key, data in self.orders.items():
            try:
                at = armed_at_of(data)
            except Exception as error:  # noqa: BLE001 - damage can raise anything; the shard sets the order aside
                self.unreadable[key] = error
                continue
            if at:
                yield at, key

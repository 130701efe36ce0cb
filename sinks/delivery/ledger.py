"""Ledger: the open alerts and those the receiver has; the difference is to be posted.

Pure: no clock, no channel, no broker. Instants are ms of the wall clock.
"""

from collections import Counter
from collections.abc import Iterable

from schemas.order import Lane
from sinks.channels.alert_message import Identity, Notice, Posting
from sinks.delivery.entries import AT_ONCE, DueQueue, LedgerEntry, OrderEntries, OrderKey


class Ledger:
    """An open alert is posted again `renew_ms` after its last time, and stands for `hold_ms`.

    Without `renew_ms` it is posted once, and stays open until its end is posted. What is `pending`
    has to reach the receiver before offsets are committed.
    """

    def __init__(self, renew_ms: int | None, hold_ms: int) -> None:
        self.renew_ms = renew_ms
        self.hold_ms = hold_ms
        self.open_alerts: Counter[tuple[str, str]] = Counter()  # by rule and severity
        self.lanes: Counter[Lane] = Counter()  # orders with an open alert
        self._orders: dict[OrderKey, OrderEntries] = {}
        self._unsettled: set[LedgerEntry] = set()
        self._queue = DueQueue()

    @property
    def pending(self) -> int:
        """Number of notices whose opening or end has not been delivered."""
        return len(self._unsettled)

    def load_delivered(self, order: OrderKey, lane: Lane, notices: Iterable[Notice]) -> None:
        """Load an order as delivered before this process: its alerts only need renewals."""
        self._forget(order)
        for notice in notices:
            self._add(LedgerEntry(notice, order, offered=True, settled=True), lane)

    def set_desired(
        self,
        order: OrderKey,
        lane: Lane,
        notices: Iterable[Notice],
        came_at: int,
        *,
        offered: bool = False,
    ) -> None:
        """An order as it became at `came_at`; without notices nothing of it is open any more.

        `offered`: another process may have posted as much already.
        """
        desired = {notice.identity: notice for notice in notices}
        held = self._orders.get(order)
        if held is not None:
            self._change_lane(held, lane)
            for identity in [*held.entries.keys() - desired.keys()]:
                self._end(held.entries[identity], came_at)
        for identity, notice in desired.items():
            self._open(lane, identity, LedgerEntry(notice, order, came_at, offered=offered))

    def due(self, now_at: int, limit: int) -> list[LedgerEntry]:
        """The entries to be posted now, at most `limit`: changes before renewals, the oldest first.

        Each has to be passed to `settle`, `refuse` or `requeue`.
        """
        entries = [*self._queue.take(now_at, limit)]
        for entry in entries:
            entry.offered = True
        return entries

    def posting(self, entry: LedgerEntry, now_at: int) -> Posting:
        """The entry as it is to be posted now."""
        if not entry.desired:
            return Posting(entry.notice, now_at, now_at)
        ends_at = None if self.renew_ms is None else now_at + self.hold_ms
        return Posting(entry.notice, now_at, ends_at)

    def settle(self, entries: Iterable[LedgerEntry], now_at: int) -> None:
        """The receiver has them."""
        for entry in entries:
            self._unsettled.discard(entry)
            entry.settled = True
            if not entry.desired:
                self._remove(entry)
            elif self.renew_ms is not None:
                self._queue.put(entry, now_at + self.renew_ms)

    def refuse(self, entry: LedgerEntry) -> None:
        """The receiver will never take it: not offered again, nor ended, as it was never there."""
        self._unsettled.discard(entry)
        entry.offered = False
        if not entry.desired:
            self._remove(entry)

    def requeue(self, entries: Iterable[LedgerEntry]) -> None:
        """They didn't get through: at once again."""
        for entry in entries:
            self._queue.put(entry, AT_ONCE)

    def invalidate(self) -> None:
        """The receiver was away and may have forgotten all: renew whatever is open, at once."""
        self.renew(self._orders)

    def renew(self, orders: Iterable[OrderKey]) -> None:
        """Renew what is open of these orders at once, where it is renewed at all."""
        for order in orders:
            for entry in self._entries(order):
                if entry.due_at:  # not if it is due at once anyway, on its way, or refused
                    self._queue.put(entry, AT_ONCE)

    def open_notice(self, order: OrderKey, alert_id: str, severity: str) -> Notice | None:
        """The notice of an alert that is open in this severity; None where none is."""
        for entry in self._entries(order):
            labels = entry.notice.labels
            if entry.desired and (labels["alert_id"], labels["lane"]) == (alert_id, severity):
                return entry.notice
        return None

    def drop(self, partition: int) -> None:
        """Another process speaks for this partition now: forget it, and resolve nothing."""
        for order in [order for order in self._orders if order.partition == partition]:
            self._forget(order)

    def _open(self, lane: Lane, identity: Identity, new: LedgerEntry) -> None:
        held = self._orders.get(new.order)
        entry = held.entries.get(identity) if held else None
        if entry is None:
            self._add(new, lane)
            return
        entry.notice = new.notice  # newer annotations go with the next renewal
        entry.offered |= new.offered
        if not entry.desired:
            self.open_alerts[entry.kind] += 1
            self._unsettle(entry, new.came_at, desired=True)

    def _add(self, entry: LedgerEntry, lane: Lane) -> None:
        held = self._orders.get(entry.order)
        if held is None:
            held = self._orders[entry.order] = OrderEntries(lane)
            self.lanes[lane] += 1
        held.entries[entry.notice.identity] = entry
        self.open_alerts[entry.kind] += 1
        if not entry.settled:
            self._unsettled.add(entry)
        if not entry.settled or self.renew_ms is not None:
            self._queue.put(entry, AT_ONCE)

    def _end(self, entry: LedgerEntry, came_at: int) -> None:
        if not entry.desired:
            return
        self.open_alerts[entry.kind] -= 1
        if entry.offered:
            self._unsettle(entry, came_at, desired=False)
        else:  # it was never offered
            entry.desired = False
            self._remove(entry)

    def _unsettle(self, entry: LedgerEntry, came_at: int | None, *, desired: bool) -> None:
        entry.desired, entry.settled, entry.came_at = desired, False, came_at
        self._unsettled.add(entry)
        self._queue.put(entry, AT_ONCE)

    def _change_lane(self, held: OrderEntries, lane: Lane) -> None:
        self.lanes[held.lane] -= 1
        self.lanes[lane] += 1
        held.lane = lane

    def _remove(self, entry: LedgerEntry) -> None:
        """Take away an entry of an alert that is over."""
        entry.due_at = None
        self._unsettled.discard(entry)
        held = self._orders[entry.order]
        del held.entries[entry.notice.identity]
        if not held.entries:
            self.lanes[held.lane] -= 1
            del self._orders[entry.order]

    def _entries(self, order: OrderKey) -> list[LedgerEntry]:
        held = self._orders.get(order)
        return [*held.entries.values()] if held else []

    def _forget(self, order: OrderKey) -> None:
        for entry in self._entries(order):
            if entry.desired:
                self.open_alerts[entry.kind] -= 1
            self._remove(entry)

"""Anchors: the instants that deadlines count from.

`at` is asked at every event and must be cheap; `entry` (the number of the one that set the anchor)
is asked only when something is due.
"""

from typing import Protocol

from dataflows.core.fold import Entry, walk
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.packing import (
    FROM_ENGINE,
    HAS_CORRECTIONS,
    HAS_ENGINE,
    NO_ENTRY,
    REFUSED,
    Order,
)
from dataflows.core.stays import stays

ANY_SHIPMENT = -1


class Anchor(Protocol):
    """What a deadline counts from. `shipment` is a parcel's number, or ANY_SHIPMENT."""

    name: str
    promised: bool

    def at(self, order: Order, shipment: int) -> int:
        """The instant in ms; 0 if the order has no such thing."""

    def entry(self, order: Order, shipment: int) -> int:
        """The entry that set it; NO_ENTRY if the order has no such thing."""

    def at_entry(self, order: Order, entry: int) -> int:
        """The instant that this entry set."""


class EntryAnchor:
    """What the anchors have in common that are the time of an entry."""

    promised = False

    def at_entry(self, order: Order, entry: int) -> int:
        """The time of the entry."""
        return order.at(entry)


class Milestone(EntryAnchor):
    """The first entry of one of some statuses; a parcel's own count for that parcel only."""

    def __init__(self, name: str, codes: list[str], table: Lifecycle) -> None:
        """The milestone of the status `codes`."""
        self.name = name
        self.table = table
        self.statuses = frozenset(table.index[code] for code in codes)
        self.has_both = any(table.of_both[status] for status in self.statuses)

    def at(self, order: Order, shipment: int) -> int:
        """Time of the earliest."""
        if order.flags & HAS_ENGINE:
            return self.found(order, shipment)[0]
        if shipment != ANY_SHIPMENT and self.has_both:
            return self.at_parcel(order, shipment)
        earliest = 0
        for status in self.statuses:
            entry = order.firsts.get(status)
            if entry is None:
                continue
            word = order.word(entry)
            if shipment != ANY_SHIPMENT and word >> 6 & 0xFF != shipment:
                return self.at_parcel(order, shipment)
            if not earliest or word >> 22 < earliest:
                earliest = word >> 22
        return earliest

    def at_parcel(self, order: Order, shipment: int) -> int:
        """Time of the earliest, where the first of a status may be another parcel's."""
        if order.flags & HAS_CORRECTIONS:
            return self.found(order, shipment)[0]
        names = order.shipments
        times = [
            word >> 22
            for word in order.words()[::3]
            if (status := word >> 14 & 0xFF) in self.statuses
            and not word & REFUSED
            and self.counts(status, word >> 6 & 0xFF, names[word >> 6 & 0xFF].name, shipment)
        ]
        times += [order.at(entry) for status, entry in order.derived if status in self.statuses]
        return min(times, default=0)

    def counts(self, status: int, number: int, name: str, shipment: int) -> bool:
        """Whether an entry with this status, of this parcel, counts for `shipment`."""
        if not self.table.of_shipment[status]:
            return True
        if not name and self.table.of_order[status]:
            return True
        if shipment != ANY_SHIPMENT:
            return number == shipment
        # A parcel's DELIVERED is not the order's: that one is derived from the last parcel.
        return not self.table.of_order[status]

    def found(self, order: Order, shipment: int) -> tuple[int, int]:
        """(time, number) of the first entry of the walk that counts or moved the order.

        (0, NO_ENTRY) if there is none.
        """
        names = order.shipments
        moves = {entry for status, entry in order.derived if status in self.statuses}
        for entry in walk(order):
            counts = entry.status in self.statuses and self.counts(
                entry.status, entry.shipment, names[entry.shipment].name, shipment
            )
            if (counts or entry.number in moves) and not entry.marks & FROM_ENGINE:
                return entry.at, entry.number
        return 0, NO_ENTRY

    def entry(self, order: Order, shipment: int) -> int:
        """The first in the walk."""
        return self.found(order, shipment)[1]


class Created(EntryAnchor):
    """The creation of the order."""

    name = "created"

    def __init__(self, table: Lifecycle) -> None:
        """The creation as `table` has it."""
        self.table = table

    def creating(self, order: Order) -> list[int]:
        """The creating entries that arrived first, as the history has them."""
        words, creates = order.words(), self.table.creates
        found: list[int] = []
        arrived_at = 0
        for i in range(0, len(words), 3):
            if found and words[i + 1] >> 22 != arrived_at:
                break
            if creates[words[i] >> 14 & 0xFF] and not words[i] & REFUSED:
                arrived_at = words[i + 1] >> 22
                found.append(i // 3)
        return found

    def found(self, order: Order) -> list[Entry]:
        """The creating entries of the walk that didn't come from the engine itself."""
        return [
            e for e in walk(order) if self.table.creates[e.status] and not e.marks & FROM_ENGINE
        ]

    def at(self, order: Order, shipment: int) -> int:
        """`created_at`."""
        if order.flags & HAS_ENGINE:
            found = self.found(order)
            return found[0].at if found else 0
        return order.created_at

    def entry(self, order: Order, shipment: int) -> int:
        """The creating entry that arrived first: a late, earlier one creates nothing again."""
        if not order.flags & (HAS_CORRECTIONS | HAS_ENGINE):
            creating = self.creating(order)
            if len(creating) == 1:
                return creating[0]
        found = self.found(order)
        return min(found, key=lambda each: each.arrival_at).number if found else NO_ENTRY

    def at_entry(self, order: Order, entry: int) -> int:
        """The creation, which a late entry may have moved to before the anchor's entry."""
        return self.at(order, ANY_SHIPMENT) or super().at_entry(order, entry)


class LastUpdate(EntryAnchor):
    """The last sign of life of a parcel."""

    name = "last_update"

    def __init__(self, table: Lifecycle) -> None:
        """What `table` calls a sign of life."""
        self.table = table

    def at(self, order: Order, shipment: int) -> int:
        """`updated_at` of the parcel, or the latest of all."""
        if shipment != ANY_SHIPMENT:
            return order.shipments[shipment].updated_at
        return max((parcel.updated_at for parcel in order.shipments), default=0)

    def entry(self, order: Order, shipment: int) -> int:
        """The last entry of the walk that was one."""
        at = self.at(order, shipment)
        return last_update(order, self.table, at, shipment).number


def last_update(order: Order, table: Lifecycle, at: int, shipment: int) -> Entry:
    """The last logistics entry of the walk at `at` (of the parcel, where one is asked for)."""
    found = [
        entry
        for entry in walk(order)
        if entry.at == at
        and table.logistics[entry.status]
        and not entry.marks & FROM_ENGINE
        and (shipment == ANY_SHIPMENT or belongs(order, table, entry, shipment))
    ]
    return found[-1]


def belongs(order: Order, table: Lifecycle, entry: Entry, shipment: int) -> bool:
    """Whether an entry speaks for the parcel; the order's own speak for the unnamed one."""
    if table.of_shipment[entry.status]:
        return entry.shipment == shipment
    return not order.shipments[shipment].name


class Field:
    """`promised_at` or `ship_by`."""

    promised = True

    def __init__(self, name: str) -> None:
        """The field `name` of the order."""
        self.name = name

    def at(self, order: Order, shipment: int) -> int:
        """The field in ms."""
        if order.flags & HAS_ENGINE:
            found = last_carrying(order, self.name)
            return self.at_entry(order, found) if found != NO_ENTRY else 0
        return int(getattr(order, self.name))

    def entry(self, order: Order, shipment: int) -> int:
        """The last entry of the walk that carries the field."""
        return last_carrying(order, self.name)

    def at_entry(self, order: Order, entry: int) -> int:
        """What this entry promised."""
        return int(order.extras[entry][self.name])


class Planned:
    """A planned milestone."""

    promised = False

    def __init__(self, milestone: str) -> None:
        """The plan for `milestone`."""
        self.name = f"planned {milestone}"
        self.milestone = milestone

    def at(self, order: Order, shipment: int) -> int:
        """The planned time."""
        entry = self.entry(order, shipment)
        return self.at_entry(order, entry) if entry != NO_ENTRY else 0

    def entry(self, order: Order, shipment: int) -> int:
        """The last entry of the walk that plans this milestone."""
        return last_carrying(order, "planned", self.milestone)

    def at_entry(self, order: Order, entry: int) -> int:
        """What this entry planned."""
        return int(order.extras[entry]["planned"][self.milestone])


def last_carrying(order: Order, field: str, name: str | None = None) -> int:
    """The last entry of the walk, not the engine's own, that carries `field` (with `name`).

    NO_ENTRY if there is none.
    """
    having = {
        e
        for e, fields in order.extras.items()
        if field in fields and (not name or name in fields[field])
    }
    if not having:
        return NO_ENTRY
    if len(order.extras) == 1 and not order.flags & (HAS_CORRECTIONS | HAS_ENGINE):
        only = having.pop()
        return NO_ENTRY if order.word(only) & REFUSED else only
    carrying = (
        e.number for e in reversed(walk(order)) if e.number in having and not e.marks & FROM_ENGINE
    )
    return next(carrying, NO_ENTRY)


class StatusSince(EntryAnchor):
    """The beginning of a parcel's stay in its present status."""

    name = "status_since"

    def __init__(self, table: Lifecycle) -> None:
        """Stays as `table` has them."""
        self.table = table

    def at(self, order: Order, shipment: int) -> int:
        """When the parcel came into its status; the engine's own moves don't count."""
        stay = stays(order, self.table, shipment)[-1]
        return 0 if stay.marks & FROM_ENGINE else stay.began_at

    def entry(self, order: Order, shipment: int) -> int:
        """The entry that brought it there."""
        return stays(order, self.table, shipment)[-1].entry

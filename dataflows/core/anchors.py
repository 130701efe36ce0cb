"""Anchors: the instants that deadlines count from.

`at` is asked at every event and must be cheap; `entry` (the number of the one that set the anchor)
is asked only when something is due.
"""

from typing import Protocol

from dataflows.core.lifecycle import NO_STATUS, Lifecycle
from dataflows.core.packing import FROM_ENGINE, HAS_ENGINE, NO_ENTRY, Order, Parcel
from dataflows.core.parcels import is_of_its_parcel, is_parcels
from dataflows.core.stays import stays
from dataflows.core.walk import Entry, walk

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

    def at(self, order: Order, shipment: int) -> int:
        """Time of the first; where the engine or other parcels have none, the order's first."""
        firsts = order.firsts
        if self.statuses.isdisjoint(firsts) and not (self.has_both() and shipment != ANY_SHIPMENT):
            return 0
        if not order.flags & HAS_ENGINE:
            if shipment == ANY_SHIPMENT:
                return min(order.at(firsts[s]) for s in self.statuses if s in firsts)
            if len(order.parcels) == 1 and not self.has_both():
                return min(order.at(firsts[s]) for s in self.statuses if s in firsts)
        return self.found(order, shipment)[0]

    def has_both(self) -> bool:
        """Whether one of the statuses is of orders and of parcels."""
        return any(self.table.of_both[status] for status in self.statuses)

    def counts(self, order: Order, entry: Entry, shipment: int) -> bool:
        """Whether an entry with one of the statuses counts for `shipment`."""
        if not is_of_its_parcel(order, self.table, entry):
            return True
        if shipment != ANY_SHIPMENT:
            return order.parcel_of[entry.name] == shipment
        # A parcel's DELIVERED is not the order's: that one is derived from the last parcel.
        return not self.table.of_both[entry.status]

    def found(self, order: Order, shipment: int) -> tuple[int, int]:
        """(time, number) of the first entry of the walk that counts or moved the order.

        (0, NO_ENTRY) if there is none.
        """
        moves = {entry for status, entry in order.derived if status in self.statuses}
        for entry in walk(order, self.table):
            counts = entry.status in self.statuses and self.counts(order, entry, shipment)
            if (counts or entry.number in moves) and not entry.marks & FROM_ENGINE:
                return entry.at, entry.number
        return 0, NO_ENTRY

    def entry(self, order: Order, shipment: int) -> int:
        """The first in the walk."""
        return self.found(order, shipment)[1]


class Announced(EntryAnchor):
    """The later of a milestone of the order and the announcement of a parcel that goes forward."""

    def __init__(self, code: str, table: Lifecycle) -> None:
        """The announcement, but not before `code`."""
        self.name = f"announced {code}"
        self.table = table
        self.milestone = Milestone(code, [code], table)

    def at(self, order: Order, shipment: int) -> int:
        """The time of the later one."""
        entry = self.entry(order, shipment)
        return order.at(entry) if entry != NO_ENTRY else 0

    def entry(self, order: Order, shipment: int) -> int:
        """The later one in the walk."""
        if shipment == ANY_SHIPMENT:
            return NO_ENTRY
        parcel = order.parcels[shipment]
        if parcel.goes_back or parcel.announced == NO_ENTRY or order.status in self.table.settles:
            return NO_ENTRY
        if is_only_announced(self.table, parcel):
            return NO_ENTRY
        shipped = self.milestone.entry(order, ANY_SHIPMENT)
        if shipped == NO_ENTRY:
            return NO_ENTRY
        meant = {shipped, parcel.announced}
        later = next(e for e in reversed(walk(order, self.table)) if e.number in meant)
        is_ours = any(
            e.number == parcel.announced and e.marks & FROM_ENGINE for e in walk(order, self.table)
        )
        return NO_ENTRY if is_ours else later.number


class Behind(EntryAnchor):
    """The first entry with a status behind the one that brought the order to its present one."""

    def __init__(self, name: str, code: str, present: str, table: Lifecycle) -> None:
        """`code` behind the move to `present`."""
        self.name = name
        self.table = table
        self.status = table.index[code]
        self.present = table.index[present]

    def at(self, order: Order, shipment: int) -> int:
        """The time of that entry."""
        entry = self.entry(order, shipment)
        return order.at(entry) if entry != NO_ENTRY else 0

    def entry(self, order: Order, shipment: int) -> int:
        """The first in the walk."""
        is_met = self.status in order.firsts or self.table.of_both[self.status]
        if order.status != self.present or not is_met:
            return NO_ENTRY
        brought, is_behind = order.course.status_entry, False
        for entry in walk(order, self.table):
            if is_behind and entry.status == self.status and not entry.marks & FROM_ENGINE:
                return entry.number
            is_behind |= entry.number == brought
        return NO_ENTRY


class Created(EntryAnchor):
    """The creation of the order."""

    name = "created"

    def __init__(self, table: Lifecycle) -> None:
        """The creation as `table` has it."""
        self.table = table

    def found(self, order: Order) -> list[Entry]:
        """The creating entries of the walk that didn't come from the engine itself."""
        creates = self.table.creates
        return [
            e for e in walk(order, self.table) if creates[e.status] and not e.marks & FROM_ENGINE
        ]

    def at(self, order: Order, shipment: int) -> int:
        """`created_at`."""
        if order.flags & HAS_ENGINE:
            found = self.found(order)
            return found[0].at if found else 0
        return order.created_at

    def entry(self, order: Order, shipment: int) -> int:
        """The creating entry that arrived first: a late, earlier one creates nothing again."""
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
        if shipment == ANY_SHIPMENT:
            return max((parcel.updated_at for parcel in order.parcels), default=0)
        if self.is_label(order, shipment):
            own = own_update(order, self.table, shipment)
            return own.at if own else 0
        return order.parcels[shipment].updated_at

    def entry(self, order: Order, shipment: int) -> int:
        """The last entry of the walk that was one."""
        if self.is_label(order, shipment):
            own = own_update(order, self.table, shipment)
            return own.number if own else NO_ENTRY
        at = self.at(order, shipment)
        return last_update(order, self.table, at, shipment).number

    def is_label(self, order: Order, shipment: int) -> bool:
        """Whether it is the unnamed parcel, of which only the label is known."""
        if shipment == ANY_SHIPMENT:
            return False
        parcel = order.parcels[shipment]
        return not parcel.name and is_only_announced(self.table, parcel)


def is_only_announced(table: Lifecycle, parcel: Parcel) -> bool:
    """Whether a parcel is in a status that is no sign of life: of a label."""
    return parcel.status != NO_STATUS and not table.logistics[parcel.status]


def own_update(order: Order, table: Lifecycle, shipment: int) -> Entry | None:
    """The last sign of life of the parcel itself, without what the order's own statuses say."""
    for entry in reversed(walk(order, table)):
        is_sign = table.logistics[entry.status] and not entry.marks & FROM_ENGINE
        is_here = order.parcel_of[entry.name] == shipment
        if is_sign and is_here and is_of_its_parcel(order, table, entry):
            return entry
    return None


def last_update(order: Order, table: Lifecycle, at: int, shipment: int) -> Entry:
    """The last logistics entry of the walk at `at` (of the parcel, where one is asked for)."""
    found = [
        entry
        for entry in walk(order, table)
        if entry.at == at
        and table.logistics[entry.status]
        and not entry.marks & FROM_ENGINE
        and (shipment == ANY_SHIPMENT or belongs(order, table, entry, shipment))
    ]
    return found[-1]


def belongs(order: Order, table: Lifecycle, entry: Entry, shipment: int) -> bool:
    """Whether an entry speaks for the parcel; the order's own speak for the unnamed one."""
    number = order.parcel_of[entry.name]
    if is_parcels(table, entry.status, order.parcels[number]):
        return number == shipment
    return not order.parcels[shipment].name


class Field:
    """`promised_at` or `ship_by`."""

    promised = True

    def __init__(self, name: str, table: Lifecycle) -> None:
        """The field `name` of the order."""
        self.name = name
        self.table = table

    def at(self, order: Order, shipment: int) -> int:
        """The field in ms."""
        if order.flags & HAS_ENGINE:
            found = setting(order, self.table, self.name)
            return max(0, self.at_entry(order, found)) if found != NO_ENTRY else 0
        return int(getattr(order, self.name))

    def entry(self, order: Order, shipment: int) -> int:
        """The entry that set the field to its present value."""
        return setting(order, self.table, self.name)

    def at_entry(self, order: Order, entry: int) -> int:
        """What this entry promised."""
        return int(order.extras[entry][self.name])


class Planned:
    """A planned milestone."""

    promised = False

    def __init__(self, milestone: str, table: Lifecycle) -> None:
        """The plan for `milestone`."""
        self.name = f"planned {milestone}"
        self.milestone = milestone
        self.table = table

    def at(self, order: Order, shipment: int) -> int:
        """The planned time."""
        entry = self.entry(order, shipment)
        return self.at_entry(order, entry) if entry != NO_ENTRY else 0

    def entry(self, order: Order, shipment: int) -> int:
        """The entry that set the plan of this milestone to its present value."""
        return setting(order, self.table, "planned", self.milestone)

    def at_entry(self, order: Order, entry: int) -> int:
        """What this entry planned."""
        return int(order.extras[entry]["planned"][self.milestone])


def setting(order: Order, table: Lifecycle, field: str, name: str | None = None) -> int:
    """The entry that set `field` (with `name`) to its present value; NO_ENTRY if there is none.

    Of the entries in the walk, the engine's own left out, that carry it: the first one since which
    all have the same value. Many senders repeat all they know in every event.
    """
    having = {
        number: fields[field][name] if name else fields[field]
        for number, fields in order.extras.items()
        if field in fields and (not name or name in fields[field])
    }
    if not having:
        return NO_ENTRY
    setter = NO_ENTRY
    for entry in reversed(walk(order, table)):
        if entry.number not in having or entry.marks & FROM_ENGINE:
            continue
        if setter != NO_ENTRY and having[entry.number] != having[setter]:
            break
        setter = entry.number
    return setter


class StatusSince(EntryAnchor):
    """The beginning of a parcel's stay in its present status."""

    name = "status_since"

    def __init__(self, table: Lifecycle) -> None:
        """Stays as `table` has them."""
        self.table = table

    def at(self, order: Order, shipment: int) -> int:
        """When the parcel came into its status; the engine's own moves don't count."""
        found = stays(order, self.table, shipment)
        return found[-1].began_at if found and not found[-1].marks & FROM_ENGINE else 0

    def entry(self, order: Order, shipment: int) -> int:
        """The entry that brought it there."""
        return stays(order, self.table, shipment)[-1].entry

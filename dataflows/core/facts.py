"""Adding a fact to an order."""

from typing import Any

from msgspec.structs import replace

from dataflows.core.fact import Fact
from dataflows.core.fold import refold, take
from dataflows.core.lifecycle import NO_STATUS, Lifecycle
from dataflows.core.names import announced
from dataflows.core.order_limits import fitting, unread
from dataflows.core.packing import (
    BY_NUMBER,
    CAME_BY,
    COMMAND,
    CORRECTED_HASH,
    CORRECTS,
    ENTRY,
    ENTRY_BYTES,
    FAULT_BITS,
    FROM_CARRIER,
    FROM_ENGINE,
    HAS_CORRECTIONS,
    HAS_ENGINE,
    HAS_FIELDS,
    HASH_BYTES,
    HISTORY_FULL,
    ORDER_FULL,
    REFUSED,
    SENT_AT,
    Order,
)
from dataflows.core.side import is_later, stamp
from dataflows.core.symbols import Symbols
from dataflows.core.walk import MAX_PINGS, Entry, entries, is_ping, lasting_pings
from schemas.errors import Rejected
from schemas.instants import DAY_MS
from schemas.numbers import as_waybill

MAX_ENTRIES = 2_000
MAX_SHIPMENTS = 250
THINNED_AT_ONCE = 64  # pings leave the history when there are so many to go
ENGINE_SOURCES = ("rule:", "action:", "note:", "eta:")
COLD_LIMIT_MS = 400 * DAY_MS


def permitted(order: Order, fact: Fact, table: Lifecycle) -> bool:
    """Whether a command may have what it asks for, by the facts that arrived before it."""
    if order.status == NO_STATUS or not order.created_at:
        return table.creates[fact.status]
    return fact.status in table.order_ways.next[order.status]


def check_open(fact: Fact, retires_at: int, table: Lifecycle) -> None:
    """Refuse a fact that comes too late for an order that was to retire at `retires_at`.

    But not one that creates: it may begin a second life.

    Raises:
        Rejected: `order_closed`.
    """
    if fact.arrival_at - retires_at > COLD_LIMIT_MS and not table.creates[fact.status]:
        days = COLD_LIMIT_MS // DAY_MS
        raise Rejected("order_closed", f"it retired over {days} days before this arrived")


def add(order: Order, fact: Fact, table: Lifecycle, sources: Symbols, *, refused: bool) -> None:
    """Add a fact to the history and fold it; a refused command is kept and left out of the fold.

    Raises:
        Rejected: `order_history_full`, `too_many_shipments`, `too_many_names`.
    """
    check_room(order, fact, table)
    check_shipments(order, fact)
    if not order.history:
        order.period = period_of(fact.arrival_at)
    entry = entry_of(order, fact, sources, refused=refused)
    first = entry.at << 22 | entry.status << 14 | entry.name << 6 | entry.marks & 0x3F
    second = entry.arrival_at << 22 | entry.source << 6 | entry.marks >> 6
    order.history += ENTRY.pack(first, second, entry.hash)
    extras = extras_of(order, fact, table, refused=refused)
    if extras:
        order.extras[entry.number] = extras
    if refused:
        return
    order.flags |= HAS_CORRECTIONS * (fact.corrects != 0) | HAS_ENGINE * (
        entry.marks & FROM_ENGINE != 0
    )
    if fact.side:
        keep_side(order, fact, entry)
    order.version += 1
    order.terms = None
    keeps_walk = order.walked is not None
    take(order, table, entry)
    if not keeps_walk:
        order.walked = None
    thin_out(order, table)


def extras_of(order: Order, fact: Fact, table: Lifecycle, *, refused: bool) -> dict[str, Any]:
    """What is kept of a fact besides its entry: order-level fields, and what is unusual of it."""
    if refused:
        extras = unread(fact.fields) if fact.fields else {}
    else:
        fields = fitting(order, fact.fields, table.order_fields_bytes)
        if fields is not fact.fields:
            order.flags |= ORDER_FULL
        extras = dict(fields or {})
    if fact.corrects and not refused:
        extras[CORRECTED_HASH] = fact.corrects
    if fact.via and fact.via != ("waybill", as_waybill(fact.waybill)):
        extras[CAME_BY] = list(fact.via)
    if fact.sent_at is not None:
        extras[SENT_AT] = fact.sent_at
    return extras


def check_room(order: Order, fact: Fact, table: Lifecycle) -> None:
    """Refuse a fact that would take the order over its limits; flag the order then.

    Raises:
        Rejected: `order_history_full`.
    """
    if order.entries < MAX_ENTRIES or has_room(order, table, fact):
        return
    mark_full(order)
    raise Rejected("order_history_full", f"the order has {MAX_ENTRIES} events already")


def mark_full(order: Order) -> None:
    """Flag an order of which an event is refused, as it is over a limit."""
    if not order.flags & HISTORY_FULL:
        order.flags |= HISTORY_FULL
        order.version += 1  # what is published changes, so its version has to


def has_room(order: Order, table: Lifecycle, fact: Fact) -> bool:
    """Whether a fact fits: pings and all other entries have a limit each.

    Apart from `check_room`, whose frame the refusal keeps alive.
    """
    may_hold = any(table.moves_nothing[status] for status in order.firsts)
    pings = sum(is_ping(entry, table) for entry in entries(order)) if may_hold else 0
    if table.moves_nothing[fact.status] and not fact.fields:
        return pings < MAX_ENTRIES + MAX_PINGS
    return order.entries - pings < MAX_ENTRIES


def thin_out(order: Order, table: Lifecycle) -> None:
    """Take pings that don't count any more out of the history; their hashes stay.

    Not those that an alert is open for, nor the latest arrival: retirement counts from it.
    """
    if order.entries + len(order.thinned) // HASH_BYTES <= MAX_PINGS:
        return
    held = [entry for entry in entries(order) if not entry.marks & REFUSED]
    kept = lasting_pings(order, held, table) | {alert.anchor for alert in order.alerts}
    kept.add(order.entries - 1)
    going = {e.number for e in held if is_ping(e, table) and e.number not in kept}
    if len(going) < THINNED_AT_ONCE:
        return
    order.thinned += b"".join(
        order.hash_of(n).to_bytes(HASH_BYTES, "little") for n in sorted(going)
    )
    renumber(order, going)
    refold(order, table)


def renumber(order: Order, going: set[int]) -> None:
    """Take entries out of the history, and name those that stay by their new numbers."""
    staying = [number for number in range(order.entries) if number not in going]
    new = {number: place for place, number in enumerate(staying)}
    history = order.history
    order.history = b"".join(
        history[number * ENTRY_BYTES : (number + 1) * ENTRY_BYTES] for number in staying
    )
    order.extras = {new[n]: fields for n, fields in order.extras.items() if n in new}
    order.alerts = [replace(alert, anchor=new[alert.anchor]) for alert in order.alerts]
    order.done = [
        (*done[:2], new.get(done[2], done[2]))
        for done in order.done
        if done[2] in new or done[0] & FAULT_BITS == FAULT_BITS
    ]
    for side in order.side:
        renumber_side(side, new)
    order.terms = order.walked = None


def renumber_side(side: dict[str, Any] | None, new: dict[int, int]) -> None:
    """Name the entries of a parcel's side by their new numbers; the last one before, if it went."""
    if side is None:
        return
    for short in ("c", "l"):
        if short in side:
            side[short] = [nearest(side[short][0], new), side[short][1]]
    for name, readings in side.get("r", {}).items():
        side["r"][name] = [*readings[:3], nearest(readings[3], new)]


def nearest(number: int, new: dict[int, int]) -> int:
    """The new number of an entry, or of the last one before it that stays."""
    while number not in new and number > 0:
        number -= 1
    return new.get(number, 0)


def check_shipments(order: Order, fact: Fact) -> None:
    """Refuse a fact that names or announces more parcels than an order can number; flag it then.

    Raises:
        Rejected: `too_many_shipments`.
    """
    written = announced(fact.fields or {})
    if max(len(order.parcels), len(order.names)) + 1 + len(written) <= MAX_SHIPMENTS:
        return
    names = {(fact.shipment, fact.waybill), *order.names}
    parcels = {as_waybill(name) for name in (fact.parcel, *written)}
    parcels |= {parcel.name for parcel in order.parcels}
    count = max(len(parcels), len(names))
    if count > MAX_SHIPMENTS:
        mark_full(order)
        reason = f"the order would have {count} parcels; at most {MAX_SHIPMENTS} are taken"
        raise Rejected("too_many_shipments", reason)


def entry_of(order: Order, fact: Fact, sources: Symbols, *, refused: bool) -> Entry:
    """The fact as an entry of this order."""
    marks = (
        REFUSED * refused
        | FROM_ENGINE * fact.source.startswith(ENGINE_SOURCES)
        | FROM_CARRIER * fact.source.startswith("carrier:")
        | BY_NUMBER * (fact.via is not None)
        | HAS_FIELDS * (fact.fields is not None)
        | CORRECTS * (fact.corrects != 0)
        | COMMAND * fact.command
    )
    number = order.name_number(fact.shipment, fact.waybill)
    source = sources.number(fact.source)
    return Entry(
        order.entries, fact.at, fact.status, number, marks, fact.arrival_at, source, fact.hash
    )


def period_of(instant: int) -> int:
    """Year * 12 + month - 1 of an instant, UTC: the warm period of an order."""
    days = instant // 86_400_000
    # Civil from days, Howard Hinnant (https://howardhinnant.github.io/date_algorithms.html).
    shifted = days + 719_468
    era, day_of_era = divmod(shifted, 146_097)
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    return (year_of_era + era * 400) * 12 + month + 2


def keep_side(order: Order, fact: Fact, entry: Entry) -> None:
    """Keep what a fact says of its parcel: the latest carrier and location, readings folded.

    With each of them goes the number of the entry that said it.
    """
    side, number = order.side, entry.name
    side.extend([None] * (number + 1 - len(side)))
    held = side[number] or {}
    said = fact.side or {}
    for name, short in (("carrier", "c"), ("location", "l")):
        if name in said and (short not in held or is_later(order, entry.number, held[short][0])):
            held[short] = [entry.number, said[name]]
    for name, value in said.get("readings", {}).items():
        readings = held.setdefault("r", {})
        readings[name] = fold_reading(order, readings.get(name), value, entry)
    side[number] = held


def fold_reading(order: Order, held: list[Any] | None, value: float, entry: Entry) -> list[Any]:
    """[min, max, last, the entry that read the last] with one more value."""
    if held is None:
        return [value, value, value, entry.number]
    lowest, highest, last, other = held
    if stamp(order, entry.number) >= stamp(order, other):
        last, other = value, entry.number
    return [min(lowest, value), max(highest, value), last, other]

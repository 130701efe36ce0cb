"""Adding a fact to an order."""

from typing import Any

from dataflows.core.fact import Fact
from dataflows.core.fold import Entry, take
from dataflows.core.lifecycle import NO_STATUS, Lifecycle
from dataflows.core.order_limits import fitting, unread
from dataflows.core.packing import (
    COMMAND,
    CORRECTS,
    ENTRY,
    ENTRY_BYTES,
    FROM_ENGINE,
    HAS_CORRECTIONS,
    HAS_ENGINE,
    HAS_FIELDS,
    ORDER_FULL,
    REFUSED,
    Order,
)
from dataflows.core.symbols import Symbols
from schemas.errors import Rejected
from schemas.instants import DAY_MS

MAX_ENTRIES = 2_000
MAX_SHIPMENTS = 250
COLD_LIMIT_MS = 400 * DAY_MS


def permitted(order: Order, fact: Fact, table: Lifecycle) -> bool:
    """Whether a command may have what it asks for, by the facts that arrived before it."""
    if order.status == NO_STATUS or not order.created_at:
        return table.creates[fact.status]
    return fact.status in table.order_ways.next[order.status]


def check_open(fact: Fact, retires_at: int) -> None:
    """Refuse a fact that comes too late for an order that was to retire at `retires_at`.

    Raises:
        Rejected: `order_closed`.
    """
    if fact.arrival_at - retires_at > COLD_LIMIT_MS:
        days = COLD_LIMIT_MS // DAY_MS
        raise Rejected("order_closed", f"it retired over {days} days before this arrived")


def add(order: Order, fact: Fact, table: Lifecycle, sources: Symbols, *, refused: bool) -> None:
    """Add a fact to the history and fold it; a refused command is kept and left out of the fold.

    Raises:
        Rejected: `order_history_full`, `too_many_shipments`, `too_many_names`.
    """
    if len(order.history) >= MAX_ENTRIES * ENTRY_BYTES:
        raise Rejected("order_history_full", f"the order has {MAX_ENTRIES} events already")
    check_shipments(order, fact)
    if not order.history:
        order.period = period_of(fact.arrival_at)
    entry = entry_of(order, fact, sources, refused=refused)
    first = entry.at << 22 | entry.status << 14 | entry.shipment << 6 | entry.marks
    order.history += ENTRY.pack(first, entry.arrival_at << 22 | entry.source << 6, entry.hash)
    if refused:
        if fact.fields:
            order.extras[entry.number] = unread(fact.fields)
        return
    fields = fitting(order, fact.fields, table.order_fields_bytes)
    if fields:
        order.extras[entry.number] = fields
    if fields is not fact.fields:
        order.flags |= ORDER_FULL
    if fact.corrects:
        order.extras[entry.number] = {**(fields or {}), "corrects": fact.corrects}
    order.flags |= HAS_CORRECTIONS * (fact.corrects != 0) | HAS_ENGINE * (
        entry.marks & FROM_ENGINE != 0
    )
    if fact.side:
        keep_side(order, fact, entry)
    order.version += 1
    order.terms = None
    take(order, table, entry)


def check_shipments(order: Order, fact: Fact) -> None:
    """Refuse a fact that names or announces more parcels than an order can number.

    Raises:
        Rejected: `too_many_shipments`.
    """
    announced = fact.fields.get("references", {}).get("waybill", ()) if fact.fields else ()
    if len(order.shipments) + 1 + len(announced) <= MAX_SHIPMENTS:
        return
    parcels = {fact.shipment, *announced, *(parcel.name for parcel in order.shipments)}
    if len(parcels) > MAX_SHIPMENTS:
        reason = f"the order would have {len(parcels)} parcels; at most {MAX_SHIPMENTS} are taken"
        raise Rejected("too_many_shipments", reason)


def entry_of(order: Order, fact: Fact, sources: Symbols, *, refused: bool) -> Entry:
    """The fact as an entry of this order."""
    marks = (
        REFUSED * refused
        | FROM_ENGINE * fact.source.startswith(("rule:", "action:"))
        | HAS_FIELDS * (fact.fields is not None)
        | CORRECTS * (fact.corrects != 0)
        | COMMAND * fact.command
    )
    number = order.shipment_number(fact.shipment)
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
    side, number = order.side, entry.shipment
    side.extend([None] * (number + 1 - len(side)))
    held = side[number] or {}
    said = fact.side or {}
    for name, short in (("carrier", "c"), ("location", "l")):
        if name in said and (short not in held or is_later(order, entry, held[short][0])):
            held[short] = [entry.number, said[name]]
    for name, value in said.get("readings", {}).items():
        readings = held.setdefault("r", {})
        readings[name] = fold_reading(order, readings.get(name), value, entry)
    side[number] = held


def is_later(order: Order, entry: Entry, other: int) -> bool:
    """Whether an entry comes after another one, by time and hash."""
    return (entry.at, entry.hash) >= (order.at(other), order.hash_of(other))


def fold_reading(order: Order, held: list[Any] | None, value: float, entry: Entry) -> list[Any]:
    """[min, max, last, the entry that read the last] with one more value."""
    if held is None:
        return [value, value, value, entry.number]
    lowest, highest, last, other = held
    if stamp(order, entry.number) >= stamp(order, other):
        last, other = value, entry.number
    return [min(lowest, value), max(highest, value), last, other]


def stamp(order: Order, entry: int) -> tuple[int, int, int, int]:
    """Time, status, arrival and hash of an entry: readings are sorted by these."""
    first, second, event = ENTRY.unpack_from(order.history, entry * ENTRY_BYTES)
    return first >> 22, first >> 14 & 0xFF, second >> 22, event

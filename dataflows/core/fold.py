"""The fold: what an order's events, taken as a set, say about it (docs/semantics.md, "the fold").

`step` moves an order by one entry. An entry later than everything held is one step; any other is a
fold from the beginning, over the history sorted. Both give the same order, which a test holds.
"""

from collections.abc import Iterator
from typing import NamedTuple

from dataflows.core.lifecycle import NO_STATUS, UNSEEN, Lifecycle, Move, Ways
from dataflows.core.packing import (
    CORRECTED,
    EMBRYO,
    FROM_ENGINE,
    HAS_CORRECTIONS,
    HAS_FIELDS,
    IRREGULAR,
    OUT_OF_SEQUENCE,
    REFUSED,
    UNFOLDED,
    Order,
    Shipment,
    unpack,
)


class Entry(NamedTuple):
    """One entry of a history, unpacked; `shipment` is a number, `marks` are packing's."""

    number: int
    at: int
    status: int
    shipment: int
    marks: int
    arrival_at: int
    source: int
    hash: int


def entries(order: Order) -> Iterator[Entry]:
    """The history in the order of arrival."""
    words = order.words()
    for i in range(0, len(words), 3):
        first, second = words[i], words[i + 1]
        yield Entry(
            i // 3,
            first >> 22,
            first >> 14 & 0xFF,
            first >> 6 & 0xFF,
            first & 0x3F,
            second >> 22,
            second >> 6 & 0xFFFF,
            words[i + 2],
        )


def walk(order: Order) -> list[Entry]:
    """The entries that count, in the order in which the fold takes them."""
    corrected = {fields["corrects"] for fields in order.extras.values() if "corrects" in fields}
    counting = [
        entry
        for entry in entries(order)
        if not entry.marks & REFUSED and not (corrected and entry.hash in corrected)
    ]
    names = [shipment.name for shipment in order.shipments]
    counting.sort(key=lambda e: (e.at, e.status, names[e.shipment], e.arrival_at, e.hash))
    return counting


def opened(key: str, data: bytes, table: Lifecycle) -> Order:
    """A packed order for work; folded anew if it comes from a format that folded less.

    Raises:
        StateError: the bytes are of a format that this version doesn't know.
    """
    order = unpack(key, data)
    if order.flags & UNFOLDED:
        refold(order, table)
    return order


def refold(order: Order, table: Lifecycle) -> None:
    """Fold the whole history from the beginning."""
    order.forget()
    entries_taken = walk(order)
    for entry in entries_taken:
        step(order, table, entry)
    if order.flags & HAS_CORRECTIONS:
        kept = sum(not entry.marks & REFUSED for entry in entries(order))
        order.flags |= CORRECTED * (kept > len(entries_taken))


def take(order: Order, table: Lifecycle, entry: Entry) -> None:
    """Fold an entry that has just been added to the history."""
    if entry.marks & REFUSED:
        return
    if entry.at << 8 | entry.status > order.latest and not order.flags & HAS_CORRECTIONS:
        step(order, table, entry)
    else:
        refold(order, table)


def step(order: Order, table: Lifecycle, entry: Entry) -> None:
    """Move the order by one entry, the next of the walk."""
    at, status, number = entry.at, entry.status, entry.shipment
    order.latest, order.latest_entry = at << 8 | status, entry.number
    if entry.marks & HAS_FIELDS:
        take_fields(order, entry)
    shipment = order.shipments[number]
    shipment.see()
    # A parcel's DELIVERED is not the order's; that one is derived from the last parcel.
    if not (table.of_both[status] and shipment.name):
        order.firsts.setdefault(status, entry.number)
    if table.logistics[status] and not entry.marks & FROM_ENGINE:
        # An order's own status speaks for its only, unnamed parcel.
        (shipment if table.of_shipment[status] else unnamed(order)).updated_at = at
    if table.of_shipment[status] and (shipment.name or not table.of_order[status]):
        move_shipment(order, table, entry)
    else:
        order.status, order.flags = moved(order.status, order.flags, status, table.order_ways)
    if table.creates[status] and order.flags & EMBRYO:
        order.created_at, order.created_entry = at, entry.number
        order.flags &= ~EMBRYO


def unnamed(order: Order) -> Shipment:
    """The order's only, unnamed parcel."""
    shipment = order.shipments[order.shipment_number("")]
    shipment.see()
    return shipment


def take_fields(order: Order, entry: Entry) -> None:
    """Take the order-level fields of an entry; what is not in the header is read from extras."""
    fields = order.extras[entry.number]
    order.promised_at = fields.get("promised_at", order.promised_at)
    order.ship_by = fields.get("ship_by", order.ship_by)
    for name in fields.get("references", {}).get("waybill", ()):
        order.shipments[order.shipment_number(name)].see()


def moved(present: int, flags: int, status: int, ways: Ways) -> tuple[int, int]:
    """Status and flags after a fact asks for `status`, which the table may or may not allow."""
    if present == NO_STATUS or status in ways.regular[present]:
        return status, flags
    if status in ways.every[present]:
        return status, flags | IRREGULAR
    if status == present:
        return present, flags
    return present, flags | OUT_OF_SEQUENCE


def move_shipment(order: Order, table: Lifecycle, entry: Entry) -> None:
    """Move a parcel, and its order with it where the table says so."""
    if table.moves_nothing[entry.status]:
        return
    shipment = order.shipments[entry.shipment]
    before = shipment.status
    shipment.status, order.flags = moved(before, order.flags, entry.status, table.shipment_ways)
    move = table.moves_order[shipment.status]
    if shipment.status == before or move is None:
        return
    target, all_of_them, until_all = move
    if all_of_them and not all(reached(other.status, move, table) for other in parcels(order)):
        target = until_all
    if target != NO_STATUS:
        derive(order, table, target, entry)


def parcels(order: Order) -> list[Shipment]:
    """The named parcels that the walk has come to; the unnamed one only without any of these."""
    named = [parcel for parcel in order.shipments if parcel.name and parcel.status != UNSEEN]
    return named or [parcel for parcel in order.shipments if parcel.status != UNSEEN]


def reached(status: int, move: Move, table: Lifecycle) -> bool:
    """Whether a parcel in `status` has done its part of `move`."""
    return status < UNSEEN and table.moves_order[status] == move


def derive(order: Order, table: Lifecycle, target: int, entry: Entry) -> None:
    """Move the order because a parcel moved; being there or beyond already is nothing special."""
    present = order.status
    beyond = present != NO_STATUS and present in table.order_ways.every[target]
    if present == target or beyond:
        return
    order.status, order.flags = moved(present, order.flags, target, table.order_ways)
    if order.status == target:
        order.derived.append((target, entry.number))
        order.firsts.setdefault(target, entry.number)

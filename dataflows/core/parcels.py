"""Parcels of an order in the fold: how they become known, end, and what they give the order."""

from dataflows.core.lifecycle import NO_STATUS, Lifecycle, Move
from dataflows.core.names import Names, announced
from dataflows.core.packing import (
    FROM_CARRIER,
    KNOWN,
    LATE,
    REPLACED,
    RETURN,
    SETTLED,
    SPELLED,
    TURNED,
    WENT,
    WITHDRAWN,
    Order,
    Parcel,
)
from dataflows.core.walk import Entry, named_of
from schemas.numbers import as_number, as_waybill


def is_parcels(table: Lifecycle, status: int, parcel: Parcel) -> bool:
    """Whether a status, of an entry that names `parcel`, is the parcel's and not the order's."""
    return table.of_shipment[status] and (bool(parcel.name) or not table.of_order[status])


def is_of_its_parcel(order: Order, table: Lifecycle, entry: Entry) -> bool:
    """Whether an entry's status is its parcel's, and not the order's."""
    parcel = order.parcels[order.parcel_of[entry.name]]
    return is_parcels(table, entry.status, parcel) or entry.number in order.course.partial


def subject_of(order: Order, table: Lifecycle, entry: Entry, parcel: Parcel) -> Parcel | None:
    """The parcel that the entry's status moves; None: it moves the order."""
    if is_parcels(table, entry.status, parcel):
        parcel.marks |= KNOWN
        return parcel
    if not (table.of_both[entry.status] and entry.marks & FROM_CARRIER):
        return None
    comes_back = parcel.is_known and parcel.goes_back
    if not (comes_back or has_several(order)):
        return None
    parcel.marks |= KNOWN
    order.course.partial.append(entry.number)
    return parcel


def has_several(order: Order) -> bool:
    """Whether more than one parcel is expected, or named on the way forward, so far."""
    is_more = order.course.expected > 1 or order.course.opened_by != NO_STATUS
    return is_more or sum(bool(p.name) for p in forward(order)) > 1


def unnamed(order: Order) -> Parcel:
    """The order's only, unnamed parcel."""
    parcel = order.parcels[order.parcel_number("")]
    parcel.marks |= KNOWN
    return parcel


def see_names(order: Order, table: Lifecycle, entry: Entry, parcel: Parcel, names: Names) -> None:
    """Make the parcels known that an entry names or announces."""
    shipment, waybill = order.names[entry.name]
    know(order, table, entry, parcel, waybill or shipment, names)
    for written in announced(order.extras.get(entry.number) or {}):
        other = order.parcels[order.parcel_number(as_waybill(written))]
        know(order, table, entry, other, written, names)


def know(
    order: Order, table: Lifecycle, entry: Entry, parcel: Parcel, written: str, names: Names
) -> None:
    """Make a parcel known, which an entry names as `written`."""
    # A shipment that is joined with a waybill goes by that.
    if not parcel.marks & SPELLED and parcel.name in {as_waybill(written), as_number(written)}:
        parcel.spelling = written if written != parcel.name else ""
        parcel.marks |= SPELLED
    if parcel.marks & KNOWN:
        return
    parcel.marks |= KNOWN
    parcel.announced = entry.number
    if not parcel.name:
        return
    announces_return = table.codes[entry.status] == table.code(table.coming_back)
    if parcel.name in names.returns or announces_return:
        parcel.marks |= RETURN
    if names.is_replaced_before(parcel.name, entry.number):
        parcel.ended_at = entry.at
        parcel.marks |= REPLACED
    if order.course.derived in table.whole:
        parcel.marks |= LATE


def end_replaced(order: Order, entry: Entry, names: Names) -> None:
    """End the parcel that the successor which an entry announces replaces."""
    meant = names.replaced_by(named_of(order, entry))
    for parcel in order.parcels:
        if parcel.is_known and parcel.name in meant:
            parcel.marks |= REPLACED
            parcel.ended_at = parcel.ended_at or entry.at


def end_by(order: Order, table: Lifecycle, entry: Entry, named: Parcel) -> bool:
    """End the parcels that an entry ends where they are (`ends_with`); whether there were any."""
    has_ended = False
    for parcel in order.parcels:
        if not parcel.counts or parcel.status == NO_STATUS:
            continue
        ends = table.ends_with[parcel.status]
        if ends and entry.status in ends and (not named.name or named is parcel):
            parcel.ended_at = entry.at
            has_ended = True
    return has_ended


def end_turned(order: Order, table: Lifecycle, entry: Entry) -> None:
    """End turned parcels: what is in them travels under the number of a return parcel."""
    comes = any(p.marks & RETURN and p.announced == entry.number for p in order.parcels)
    if not comes:
        return
    for parcel in order.parcels:
        if parcel.marks & TURNED and parcel.counts and not has_arrived(table, parcel):
            parcel.ended_at = entry.at


def end_withdrawn(order: Order, table: Lifecycle, entry: Entry) -> None:
    """End the parcels on their way back, as their return was withdrawn, until they move again."""
    for parcel in order.parcels:
        if parcel.counts and parcel.goes_back and not has_arrived(table, parcel):
            parcel.ended_at = entry.at
            parcel.marks |= WITHDRAWN


def settle(order: Order, table: Lifecycle) -> None:
    """Cover parcels that have not arrived by the order's own status, which says that they did."""
    forward_too, back_too = order.status in table.settles, order.status in table.settles_back
    if not (forward_too or back_too):
        return
    for parcel in order.parcels:
        if parcel.goes_back:
            is_covered = back_too and not has_arrived(table, parcel)
        else:
            is_covered = forward_too and all_have(table, [parcel]) is None
        if parcel.counts and is_covered:
            parcel.marks |= SETTLED


def has_arrived(table: Lifecycle, parcel: Parcel) -> bool:
    """Whether a parcel on its way back is at the sender's."""
    return parcel.goes_back and parcel.status != NO_STATUS and parcel.status == table.arrived_back


def is_back(table: Lifecycle, parcel: Parcel) -> bool:
    """Whether a parcel counts and has set out on the way back: a label alone moves no order."""
    if not parcel.counts or not parcel.goes_back:
        return False
    return parcel.marks & (TURNED | WENT) != 0 or has_arrived(table, parcel)


def meant(order: Order) -> list[Parcel]:
    """The named parcels that are known; the unnamed one only without any of these."""
    named = [parcel for parcel in order.parcels if parcel.name and parcel.is_known]
    return named or [parcel for parcel in order.parcels if parcel.is_known]


def forward(order: Order) -> list[Parcel]:
    """The parcels that count and go forward."""
    return [p for p in meant(order) if p.counts and not p.marks & (RETURN | TURNED | LATE)]


def derived_status(order: Order, table: Lifecycle) -> int:
    """The status that all parcels, as known so far, give their order; NO_STATUS for none."""
    parcels, here = meant(order), forward(order)
    back = [p for p in parcels if is_back(table, p)]
    move = all_have(table, here)
    is_complete = are_all(order, len(here) + gone(table, parcels))
    if move is not None and is_complete:
        if any(not has_arrived(table, parcel) for parcel in back):
            return table.coming_back
        is_returned = any(p.marks & RETURN and has_arrived(table, p) for p in back)
        return table.arrived_back if is_returned else move.target
    if not here and is_complete:
        if any(not has_arrived(table, parcel) for parcel in back):
            return table.coming_back
        return table.arrived_back if back else NO_STATUS
    return order.course.onward


def are_all(order: Order, count: int) -> bool:
    """Whether so many parcels are all that come, as far as that is known."""
    course = order.course
    return count >= course.expected if course.expected else course.opened_by == NO_STATUS


def all_have(table: Lifecycle, here: list[Parcel]) -> Move | None:
    """The `moves_order` of when = "all" that the statuses of all these parcels have."""
    if not here or here[0].status == NO_STATUS:
        return None
    move = table.moves_order[here[0].status]
    if move is None or not move.all_of_them:
        return None
    same = all(p.status != NO_STATUS and table.moves_order[p.status] == move for p in here)
    return move if same else None


def gone(table: Lifecycle, parcels: list[Parcel]) -> int:
    """The parcels that came and were turned, or that won't come: cancelled, refunded, lost."""
    return sum(
        not parcel.marks & (RETURN | REPLACED)
        and bool(parcel.marks & TURNED or (parcel.ended_at and has_gone(table, parcel)))
        for parcel in parcels
    )


def has_gone(table: Lifecycle, parcel: Parcel) -> bool:
    """Whether an ended parcel was one that was to come; a void label was none."""
    if parcel.status == NO_STATUS:
        return False
    is_orders = table.ends_parcel[parcel.status] and table.of_order[parcel.status]
    return is_orders or bool(table.ends_with[parcel.status])

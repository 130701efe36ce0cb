"""The fold: what an order's events, taken as a set, say about it (docs/semantics.md, "the fold").

`step` moves an order by one entry. An entry later than everything held that says nothing new of
names is one step; any other is a fold from the beginning, over the history sorted. Both give the
same order, which a test holds.
"""

from typing import Any

from dataflows.core.lifecycle import NO_STATUS, Lifecycle, Ways
from dataflows.core.names import Names
from dataflows.core.packing import (
    CAME_BY,
    CORRECTED,
    CORRECTED_HASH,
    EMBRYO,
    FROM_CARRIER,
    FROM_ENGINE,
    HAS_CORRECTIONS,
    HAS_FIELDS,
    HAS_HIDDEN,
    IRREGULAR,
    LATE,
    MISSING_TIME,
    MOVED,
    NO_ENTRY,
    OUT_OF_SEQUENCE,
    REFUSED,
    REPLACED,
    SENT_AT,
    SETTLED,
    TURNED,
    WENT,
    WITHDRAWN,
    Order,
    Parcel,
)
from dataflows.core.parcels import (
    derived_status,
    end_by,
    end_replaced,
    end_turned,
    end_withdrawn,
    forward,
    is_parcels,
    see_names,
    settle,
    subject_of,
    unnamed,
)
from dataflows.core.walk import Entry, counted, fields_of_entry, named_of

NAMING = ("references", "replaces")  # fields that say something of names


def refold(order: Order, table: Lifecycle) -> None:
    """Fold the whole history from the beginning."""
    order.forget()
    whole, is_hiding = counted(order, table)
    start = 0
    names = names_from(order, whole)
    place_names(order, names)
    for place, entry in enumerate(whole):
        before = whole[place - 1].at if place > start else entry.at
        if begins_anew(order, table, entry, before):
            start = place
            begin_anew(order, entry)
            names = names_from(order, whole[place:])
            place_names(order, names)
        step(order, table, entry, names)
    order.walked = whole[start:]
    order.flags |= (HAS_HIDDEN | CORRECTED) * is_hiding
    if any(SENT_AT in fields for fields in order.extras.values()):
        missing = any(SENT_AT in fields_of_entry(order, entry) for entry in order.walked)
        order.flags |= MISSING_TIME * missing


def names_from(order: Order, walked: list[Entry]) -> Names:
    """The names of the entries of a walk."""
    return Names(named_of(order, entry) for entry in walked)


def place_names(order: Order, names: Names) -> None:
    """Find the parcel of each name of the order."""
    order.parcel_of = [
        order.parcel_number(names.parcel(shipment, waybill)) for shipment, waybill in order.names
    ]


def begins_anew(order: Order, table: Lifecycle, entry: Entry, before: int) -> bool:
    """Whether an entry begins a second life; `before` is the time of the one before it.

    The first payment of an order on credit, or cash on delivery, settles it however late it comes.
    """
    status, present = entry.status, order.status
    return (
        table.creates[status]
        and present != NO_STATUS
        and table.ends[present]
        and entry.at - before >= table.second_life_after_ms
        and (status in order.firsts or present not in table.regular_after[status])
    )


def begin_anew(order: Order, entry: Entry) -> None:
    """Forget what the fold found in the life before."""
    order.forget()
    order.course.life = entry.number


def take(order: Order, table: Lifecycle, entry: Entry) -> None:
    """Fold an entry that has just been added to the history."""
    if entry.marks & REFUSED:
        return
    if is_one_step(order, table, entry):
        step(order, table, entry, None)
        if order.walked is not None:
            order.walked.append(entry)
    else:
        refold(order, table)


def is_one_step(order: Order, table: Lifecycle, entry: Entry) -> bool:
    """Whether an entry is later than everything held, and says nothing new of names.

    Which pings are thinned out doesn't matter: they change nothing but for those that stay.
    """
    if entry.name >= len(order.parcel_of) or not is_later(order, entry):
        return False
    if order.flags & (HAS_CORRECTIONS | HAS_HIDDEN) or table.is_note[entry.status]:
        return False
    is_new = not order.parcels[order.parcel_of[entry.name]].is_known
    if is_new or all(order.names[entry.name]):
        return False
    if begins_anew(order, table, entry, order.latest >> 8):
        return False
    fields = order.extras.get(entry.number)
    special = (*NAMING, CORRECTED_HASH, CAME_BY, SENT_AT)
    return not fields or not any(name in fields for name in special)


def is_later(order: Order, entry: Entry) -> bool:
    """Whether an entry comes after the latest one in the walk."""
    stamp = entry.at << 8 | entry.status
    if stamp != order.latest or order.latest_entry == NO_ENTRY:
        return stamp > order.latest
    latest = order.latest_entry
    ours = (order.sent_name(entry.name), entry.arrival_at, entry.hash)
    name = order.sent_name(order.word(latest) >> 6 & 0xFF)
    return ours > (name, order.arrival_at(latest), order.hash_of(latest))


def step(order: Order, table: Lifecycle, entry: Entry, names: Names | None) -> None:
    """Move the order by one entry, the next of the walk; `names` where it may name new parcels."""
    at, status = entry.at, entry.status
    order.latest, order.latest_entry = at << 8 | status, entry.number
    fields = order.extras.get(entry.number) or {}
    if entry.marks & HAS_FIELDS:
        take_fields(order, fields)
    parcel = order.parcels[order.parcel_of[entry.name]]
    if names is not None:
        see_names(order, table, entry, parcel, names)
        if fields.get("replaces"):
            end_replaced(order, entry, names)
    subject = subject_of(order, table, entry, parcel)
    note_parts(order, table, status, subject)
    # A parcel's DELIVERED is not the order's; that one is derived from the last parcel.
    if not (table.of_both[status] and subject is not None):
        order.firsts.setdefault(status, entry.number)
    if table.logistics[status] and not entry.marks & FROM_ENGINE:
        # An order's own status speaks for its only, unnamed parcel.
        (parcel if is_parcels(table, status, parcel) else unnamed(order)).updated_at = at
    has_ended = end_by(order, table, entry, parcel)
    has_moved = False
    if subject is not None:
        has_moved = move_parcel(order, table, entry, subject)
    elif not (has_ended and forward(order)):
        move_order(order, table, entry, parcel)
    if names is not None:
        end_turned(order, table, entry)
    derive(order, table, entry, has_moved=has_moved)
    if table.creates[status] and order.flags & EMBRYO:
        order.created_at, order.created_entry = at, entry.number
        order.flags &= ~EMBRYO


def note_parts(order: Order, table: Lifecycle, status: int, subject: Parcel | None) -> None:
    """Note that more parcels come by a status, or that no more do by the order's own."""
    course = order.course
    if table.open_until[status]:
        course.opened_by = status
        return
    is_closing = course.opened_by != NO_STATUS and status in table.open_until[course.opened_by]
    if is_closing and subject is None:
        course.opened_by = NO_STATUS


def take_fields(order: Order, fields: dict[str, Any]) -> None:
    """Take the order-level fields of an entry that stand in the header; the rest is in extras."""
    if "promised_at" in fields:
        order.promised_at = max(0, fields["promised_at"])
    if "ship_by" in fields:
        order.ship_by = max(0, fields["ship_by"])
    order.course.expected = fields.get("parcels_expected", order.course.expected)


# ---------------------------------------------------------------- moves
def moved(present: int, status: int, ways: Ways) -> tuple[bool, int]:
    """(whether a fact that asks for `status` gets it, how that is flagged)."""
    if present == NO_STATUS or status in ways.regular[present]:
        # Not in `regular` by way of a cycle: the same status again is nothing at all.
        return present != status, 0
    if status == present:
        return False, 0
    if status in ways.every[present]:
        return True, IRREGULAR
    return False, OUT_OF_SEQUENCE


def move_order(order: Order, table: Lifecycle, entry: Entry, named: Parcel) -> None:
    """Move an order by an entry of its own."""
    status, present = entry.status, order.status
    if table.is_milestone[status]:
        return
    is_taken, flags = moved(present, status, table.order_ways)
    is_withdrawal = False
    if not is_taken and present not in {NO_STATUS, status}:
        is_shops = not named.name and not entry.marks & FROM_CARRIER
        if is_shops and present in table.withdraws[status]:
            is_taken, flags, is_withdrawal = True, 0, True
        elif present in table.regular_after[status]:
            flags = 0
    order.flags |= flags
    if is_taken:
        set_status(order, table, entry, status, is_derived=False)
    if is_withdrawal and table.coming_back in table.withdraws[status]:
        end_withdrawn(order, table, entry)
    if order.status == status:
        settle(order, table)


def set_status(
    order: Order, table: Lifecycle, entry: Entry, status: int, *, is_derived: bool
) -> None:
    """Bring the order into a status."""
    course = order.course
    order.status, course.is_derived, course.status_entry = status, is_derived, entry.number
    has_gone = any(parcel.marks & WENT for parcel in order.parcels)
    course.had_gone = has_gone or not table.under_way.isdisjoint(order.firsts)
    if is_derived:
        order.derived.append((status, entry.number))
        order.firsts.setdefault(status, entry.number)


def move_parcel(order: Order, table: Lifecycle, entry: Entry, parcel: Parcel) -> bool:
    """Move a parcel; whether it has moved."""
    status = entry.status
    if table.moves_nothing[status]:
        return False
    move = table.moves_order[status]
    is_whole = move is not None and move.all_of_them
    revives = is_whole or table.turns[status] or parcel.marks & WITHDRAWN
    if parcel.ended_at and (parcel.marks & REPLACED or not revives):
        return False
    if parcel.goes_back and table.arrives_back[status] != NO_STATUS:
        status = table.arrives_back[status]
        is_taken = parcel.status != status
    else:
        is_taken, flags = moved(parcel.status, status, table.shipment_ways)
        order.flags |= flags
    if is_taken:
        place_parcel(order, table, entry, parcel, status)
    return is_taken


def place_parcel(order: Order, table: Lifecycle, entry: Entry, parcel: Parcel, status: int) -> None:
    """Bring a parcel into a status."""
    parcel.status = status
    parcel.ended_at = entry.at if table.ends_parcel[status] else 0
    parcel.marks = (parcel.marks | MOVED | TURNED * table.turns[status]) & ~(
        LATE | WITHDRAWN | SETTLED
    )
    if table.moves_order[status] is not None:
        parcel.marks |= WENT
    move = table.moves_order[entry.status]
    if move is not None and not parcel.goes_back:
        onward = move.until_all if move.all_of_them else move.target
        if onward != NO_STATUS:
            order.course.onward = onward


def derive(order: Order, table: Lifecycle, entry: Entry, *, has_moved: bool) -> None:
    """Move the order to the status that its parcels give it, where that is new."""
    course = order.course
    before = course.derived
    new = course.derived = derived_status(order, table)
    present = order.status
    if new in {NO_STATUS, present} or not (has_moved or new != before):
        return
    if present == NO_STATUS or course.is_derived:
        set_status(order, table, entry, new, is_derived=True)
        return
    is_taken, flags = moved(present, new, table.order_ways)
    if is_taken and not flags:
        set_status(order, table, entry, new, is_derived=True)
        return
    is_direct = present not in table.can_be_withdrawn and new in table.irregular[present]
    if is_direct and (new in table.whole or not course.had_gone):
        order.flags |= IRREGULAR
        set_status(order, table, entry, new, is_derived=True)

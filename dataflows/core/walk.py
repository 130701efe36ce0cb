"""The walk: the entries of a history that count, in the order in which the fold takes them.

Left out are refused commands, what was corrected, what came by a number that no entry with the
order's id names any more, pings that were thinned out, and lives before the present one.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from dataflows.core.lifecycle import Lifecycle
from dataflows.core.names import Named, numbers_named
from dataflows.core.packing import (
    BY_NUMBER,
    CAME_BY,
    CORRECTED_HASH,
    HAS_CORRECTIONS,
    HAS_FIELDS,
    HASH_BYTES,
    NO_ENTRY,
    REFUSED,
    Order,
)
from schemas.instants import HOUR_MS
from schemas.numbers import as_waybill

MAX_PINGS = 500  # beyond so many events in all, pings are thinned


class Entry(NamedTuple):
    """One entry of a history, unpacked; `name` and `source` are numbers, `marks` are packing's."""

    number: int
    at: int
    status: int
    name: int
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
            first & 0x3F | (second & 0x3F) << 6,
            second >> 22,
            second >> 6 & 0xFFFF,
            words[i + 2],
        )


def fields_of_entry(order: Order, entry: Entry) -> dict[str, Any]:
    """The order-level fields of an entry, and what its extras hold besides."""
    return order.extras.get(entry.number, {})


def walk(order: Order, table: Lifecycle) -> list[Entry]:
    """The entries that count, in the order in which the fold takes them; of the present life."""
    if order.walked is None:
        whole, _ = counted(order, table)
        life = order.course.life
        start = 0
        if life != NO_ENTRY:
            start = next((i for i, entry in enumerate(whole) if entry.number == life), 0)
        order.walked = whole[start:]
    walked: list[Entry] = order.walked
    return walked


def counted(order: Order, table: Lifecycle) -> tuple[list[Entry], bool]:
    """(the entries that count, of all lives; whether any doesn't, but for what was thinned out)."""
    held = [entry for entry in entries(order) if not entry.marks & REFUSED]
    kept = counting = unthinned(order, held, table)
    if order.flags & HAS_CORRECTIONS:
        corrected = {
            fields[CORRECTED_HASH] for fields in order.extras.values() if CORRECTED_HASH in fields
        }
        counting = [entry for entry in counting if entry.hash not in corrected]
    counting = by_known_numbers(order, counting, table)
    if len(counting) > 1:
        sent = [order.sent_name(number) for number in range(len(order.names))]
        counting.sort(key=lambda e: (e.at, e.status, sent[e.name], e.arrival_at, e.hash))
    notable = [entry for entry in counting if not table.is_note[entry.status]]
    return notable, len(counting) < len(kept)


def by_known_numbers(order: Order, counting: list[Entry], table: Lifecycle) -> list[Entry]:
    """Without the entries that came by a number that no entry with the order's id names.

    A note names none.
    """
    if not any(entry.marks & BY_NUMBER for entry in counting):
        return counting
    known = numbers_named(
        named_of(order, entry)
        for entry in counting
        if not (entry.marks & BY_NUMBER or table.is_note[entry.status])
    )
    return [e for e in counting if not e.marks & BY_NUMBER or came_by(order, e) in known]


def came_by(order: Order, entry: Entry) -> tuple[str, str]:
    """(kind, normal form) of the number by which an entry came: by default its own waybill."""
    via = fields_of_entry(order, entry).get(CAME_BY)
    return (via[0], via[1]) if via else ("waybill", as_waybill(order.names[entry.name][1]))


def named_of(order: Order, entry: Entry) -> Named:
    """An entry as far as names go."""
    shipment, waybill = order.names[entry.name]
    return Named(entry.number, shipment, waybill, fields_of_entry(order, entry))


def is_ping(entry: Entry, table: Lifecycle) -> bool:
    """Whether an entry is a sign of life and nothing else."""
    return table.moves_nothing[entry.status] and not entry.marks & HAS_FIELDS


def unthinned(order: Order, held: list[Entry], table: Lifecycle) -> list[Entry]:
    """Of the pings the first and last of each parcel and hour, once there are many events."""
    if len(held) + len(order.thinned) // HASH_BYTES <= MAX_PINGS:
        return held
    kept = lasting_pings(order, held, table)
    return [e for e in held if not is_ping(e, table) or e.number in kept]


def lasting_pings(order: Order, held: list[Entry], table: Lifecycle) -> set[int]:
    """The pings that stay: of each parcel, as sent, and hour the first and last by (time, hash)."""
    ends: dict[tuple[str, int], tuple[Entry, Entry]] = {}
    sent = [order.sent_name(number) for number in range(len(order.names))]
    for entry in held:
        if is_ping(entry, table):
            group = (sent[entry.name], entry.at // HOUR_MS)
            first, last = ends.get(group, (entry, entry))
            when = (entry.at, entry.hash)
            first = entry if when < (first.at, first.hash) else first
            last = entry if when > (last.at, last.hash) else last
            ends[group] = (first, last)
    return {entry.number for pair in ends.values() for entry in pair}

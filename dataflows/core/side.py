"""Side: what is known of a parcel besides its history: carrier, location and sensor readings.

It is kept by the name that the entry wrote, since the parcel of a name may turn out to be another;
here what belongs to one parcel is put together. A correction does not take it back.
"""

from typing import Any

from dataflows.core.packing import ENTRY, ENTRY_BYTES, Order

Side = dict[str, Any]


def side_of(order: Order, parcel: int) -> Side:
    """What is known of a parcel.

    `c` and `l` as [entry, value], `r` as {reading: [min, max, last, entry]}.
    """
    sides = [
        side
        for name, side in enumerate(order.side)
        if side and name < len(order.parcel_of) and order.parcel_of[name] == parcel
    ]
    if len(sides) < 2:  # noqa: PLR2004 - nothing to put together
        return sides[0] if sides else {}
    united: Side = {}
    for side in sides:
        unite(order, united, side)
    return united


def unite(order: Order, held: Side, more: Side) -> None:
    """Add one name's side to the parcel's."""
    for short in ("c", "l"):
        if short in more and (short not in held or is_later(order, more[short][0], held[short][0])):
            held[short] = more[short]
    for name, readings in more.get("r", {}).items():
        known = held.setdefault("r", {})
        known[name] = united_readings(order, known.get(name), readings)


def united_readings(order: Order, held: list[Any] | None, more: list[Any]) -> list[Any]:
    """[min, max, last, entry] of two names of a parcel."""
    if held is None:
        return more
    later = more if stamp(order, more[3]) >= stamp(order, held[3]) else held
    return [min(held[0], more[0]), max(held[1], more[1]), later[2], later[3]]


def is_later(order: Order, entry: int, other: int) -> bool:
    """Whether an entry comes after another one, by time and hash."""
    return (order.at(entry), order.hash_of(entry)) >= (order.at(other), order.hash_of(other))


def stamp(order: Order, entry: int) -> tuple[int, int, str, int, int]:
    """What readings are sorted by: as the walk is."""
    first, second, event = ENTRY.unpack_from(order.history, entry * ENTRY_BYTES)
    return first >> 22, first >> 14 & 0xFF, order.sent_name(first >> 6 & 0xFF), second >> 22, event

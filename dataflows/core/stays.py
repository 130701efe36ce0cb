"""How long a parcel stayed in each status."""

from typing import NamedTuple

from dataflows.core.fold import moved, walk
from dataflows.core.lifecycle import NO_STATUS, Lifecycle
from dataflows.core.packing import Order


class Stay(NamedTuple):
    """A parcel's time in one status; `ended_at` is 0 for the stay that goes on.

    `entry` brought it there.
    """

    status: int
    began_at: int
    ended_at: int
    entry: int
    marks: int


def stays(order: Order, table: Lifecycle, shipment: int) -> list[Stay]:
    """The stays of a parcel in the order of time."""
    found: list[Stay] = []
    status = NO_STATUS
    for entry in walk(order):
        if (
            entry.shipment != shipment
            or not table.of_shipment[entry.status]
            or table.moves_nothing[entry.status]
        ):
            continue
        reached, _ = moved(status, 0, entry.status, table.shipment_ways)
        if reached != status:
            if found:
                found[-1] = found[-1]._replace(ended_at=entry.at)
            found.append(Stay(reached, entry.at, 0, entry.number, entry.marks))
            status = reached
    return found

"""Stays: how long a parcel was in each status."""

from typing import NamedTuple

from dataflows.core.fold import moved
from dataflows.core.lifecycle import NO_STATUS, Lifecycle
from dataflows.core.packing import RETURN, Order
from dataflows.core.parcels import is_of_its_parcel
from dataflows.core.walk import walk


class Stay(NamedTuple):
    """A parcel's time in one status; `ended_at` is 0 for the stay that goes on.

    `entry` brought it there.
    """

    status: int
    began_at: int
    ended_at: int
    entry: int
    marks: int


def stays(order: Order, table: Lifecycle, parcel: int) -> list[Stay]:
    """The stays of a parcel in the order of time."""
    found: list[Stay] = []
    status, goes_back = NO_STATUS, order.parcels[parcel].marks & RETURN != 0
    for entry in walk(order, table):
        if order.parcel_of[entry.name] != parcel or table.moves_nothing[entry.status]:
            continue
        if not is_of_its_parcel(order, table, entry):
            continue
        reached = entry.status
        if goes_back and table.arrives_back[reached] != NO_STATUS:
            reached = table.arrives_back[reached]
            is_taken = reached != status
        else:
            is_taken, _ = moved(status, reached, table.shipment_ways)
        if is_taken:
            if found:
                found[-1] = found[-1]._replace(ended_at=entry.at)
            found.append(Stay(reached, entry.at, 0, entry.number, entry.marks))
            status = reached
            goes_back |= table.turns[status]
    return found

"""Progress of an order in five stages, from the lifecycle's: ordered, packed, sent, near, there."""

from collections.abc import Iterable, Mapping
from functools import cached_property

from dataflows.core.lifecycle import Lifecycle
from schemas.order import ShipmentView

STAGES = 5
LAST = STAGES - 1
DELIVERED = "DELIVERED"


class Progress:
    """Stages and main path of a lifecycle."""

    def __init__(self, table: Lifecycle) -> None:
        """Create it from the lifecycle in use."""
        self.table = table
        self.stages: Mapping[str, int] = {row.code: row.stage or 0 for row in table.rows}

    @cached_property
    def of_order(self) -> frozenset[str]:
        """Codes that an order itself can be in, in which it isn't only marked or noted."""
        rows = self.table.rows
        return frozenset(
            row.code
            for row in rows
            if row.scope in {"order", "both"} and not row.milestone and not row.note
        )

    def stage(self, status: str | None, shipments: Iterable[ShipmentView]) -> int:
        """Stage of an order, 0 to 4: its status', or that of its hindmost parcel if further.

        Only its own status brings it into the last one: more parcels may come.
        """
        own = self.stages.get(status or "", 0)
        parcels = [self.stages.get(p.status or "", 0) for p in under_way(shipments)]
        return max(own, min([LAST - 1, *parcels]) if parcels else 0)

    def delivered(self, shipments: Iterable[ShipmentView]) -> tuple[int, int]:
        """(parcels that arrived, all parcels) of those that go forward."""
        parcels = under_way(shipments)
        return sum(p.status == DELIVERED for p in parcels), len(parcels)

    def ends_well(self, status: str | None) -> bool:
        """Return True for an order that rests: nothing more has to happen."""
        return status in self.table.index and self.table.ends[self.table.index[status]]


def under_way(shipments: Iterable[ShipmentView]) -> list[ShipmentView]:
    """The parcels that count: those that go forward and weren't ended."""
    named = [p for p in shipments if p.shipment]
    return [p for p in named if p.direction == "forward" and p.ended_at is None]

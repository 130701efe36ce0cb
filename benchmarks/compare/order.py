"""The job: an order's state after an event. Shared by every system in Python, and the oracle.

Only the standard library: it is also imported by interpreters without ordertide.
"""

from datetime import datetime
from typing import Any, NamedTuple

# What a parcel's silence counts from. Delivered ends it; the statuses before aren't the carrier's.
ON_THE_WAY = frozenset({"COLLECTED", "IN_TRANSIT", "SCAN", "OUT_FOR_DELIVERY"})
DELIVERED = "DELIVERED"
# Statuses of parcels that don't show in the order's own, and those that show as another.
STATUS_OF = {
    "LABEL_CREATED": None,
    "SCAN": None,
    "COLLECTED": "SHIPPED",
    "IN_TRANSIT": "SHIPPED",
    "OUT_FOR_DELIVERY": "SHIPPED",
}
NOT_ARMED = 0


class Applied(NamedTuple):
    """Effect of an event. `missed_at`: the deadline that was over when it arrived, or 0."""

    is_new: bool
    missed_at: int


class Order:
    """An order's state; instants in ms. `due_at` is its armed deadline, 0 for none."""

    __slots__ = ("due_at", "ids", "milestones", "status", "updated_at")

    def __init__(
        self,
        status: str | None = None,
        updated_at: int = 0,
        milestones: dict[str, int] | None = None,
        ids: list[str] | None = None,
        due_at: int = NOT_ARMED,
    ) -> None:
        self.status = status
        self.updated_at = updated_at
        self.milestones = milestones or {}
        self.ids = ids or []
        self.due_at = due_at

    def apply(self, event: dict[str, Any], silence_ms: int) -> Applied:
        """Take an event: a duplicate does nothing, an older one doesn't change the status."""
        event_id = event["event_id"]
        if event_id in self.ids:
            return Applied(is_new=False, missed_at=0)
        self.ids.append(event_id)
        code, at = event["status_code"], milliseconds(event["timestamp"])
        missed_at = self.due_at
        if not missed_at or milliseconds(event["recorded_at"]) <= missed_at:
            missed_at = 0
        self.milestones[code] = min(at, self.milestones.get(code, at))
        if at >= self.updated_at:
            self.status = STATUS_OF.get(code, code) or self.status
            self.updated_at = at
            self.arm(code, at + silence_ms)
        return Applied(is_new=True, missed_at=missed_at)

    def arm(self, code: str, due_at: int) -> None:
        """The deadline after an event that is the latest one."""
        if code in ON_THE_WAY:
            self.due_at = due_at
        elif code == DELIVERED:
            self.due_at = NOT_ARMED

    def change(self, order_id: str) -> dict[str, Any]:
        """The message for the topic of changes."""
        return {
            "order_id": order_id,
            "status": self.status,
            "updated_at": self.updated_at,
            "milestones": self.milestones,
            "events": len(self.ids),
        }

    def packed(self) -> list[Any]:
        """For a state store; `Order(*packed)` is the order again."""
        return [self.status, self.updated_at, self.milestones, self.ids, self.due_at]


def alert(order_id: str, due_at: int) -> dict[str, Any]:
    """The message for the topic of alerts."""
    return {"order_id": order_id, "due_at": due_at}


def milliseconds(text: str) -> int:
    """The instant of RFC 3339; rounded, as `timestamp()` of whole ms can lie a hair below."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)

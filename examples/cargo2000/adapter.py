"""Cargo 2000 processes as events: every milestone of every transport leg, with the plan.

Run it: `ordertide example cargo2000 [CSV] > events.ndjson`.

The file has no dates, only minutes since the leg's previous milestone, planned and effective.
Inbound legs start together when the freight is booked and run side by side; the outbound leg
starts when the last of them is delivered at the hub. Each milestone plans the next one, so an
activity is late by its own doing and not by its predecessors'; the whole journey is planned at
the booking.
"""

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TextIO

SAMPLE = Path(__file__).parent / "c2k_data.csv.gz"

FIRST_BOOKING = datetime(2015, 1, 1, tzinfo=UTC)
BETWEEN_BOOKINGS = timedelta(hours=1)

INBOUND = ("i1", "i2", "i3")
OUTBOUND = "o"
HOPS = (1, 2, 3)


class Activity(NamedTuple):
    """One step of a leg: the milestone that ends it, its minutes, and the place if there is one."""

    status: str
    planned: timedelta
    effective: timedelta
    place: int


class Leg(NamedTuple):
    """A transport leg: `i1`, `i2`, `i3` or `o`, with its steps in the order of travel."""

    name: str
    activities: list[Activity]

    @property
    def planned(self) -> timedelta:
        """Planned duration of the leg."""
        return sum((activity.planned for activity in self.activities), timedelta())

    @property
    def effective(self) -> timedelta:
        """Effective duration of the leg."""
        return sum((activity.effective for activity in self.activities), timedelta())


def events(path: Path = SAMPLE) -> Iterator[dict[str, Any]]:
    """The events of a file (.csv or .csv.gz), process by process in the order of its rows."""
    with open_text(path) as file:
        for number, row in enumerate(csv.DictReader(file)):
            values = {column: int(value) for column, value in row.items()}
            booked_at = FIRST_BOOKING + number * BETWEEN_BOOKINGS
            yield from process_events(f"C2K-{number + 1:04d}", booked_at, values)


def open_text(path: Path) -> TextIO:
    """Open a file for reading, unpacked."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def process_events(
    order_id: str, booked_at: datetime, row: dict[str, int]
) -> Iterator[dict[str, Any]]:
    """The booking, the inbound legs, and the outbound leg of a process."""
    inbound = [leg for name in INBOUND if (leg := read_leg(name, row)).activities]
    outbound = read_leg(OUTBOUND, row)
    last = max(inbound, key=lambda leg: leg.effective)

    journey = max(leg.planned for leg in inbound) + outbound.planned
    plan = {leg.activities[0].status: booked_at + leg.activities[0].planned for leg in inbound}
    plan["DELIVERED"] = booked_at + journey
    yield event(order_id, "BOOKED", booked_at, planned=plan)

    for leg in inbound:
        onward = outbound.activities[0] if leg is last else None
        yield from leg_events(order_id, leg, booked_at, onward)
    yield from leg_events(order_id, outbound, booked_at + last.effective, None)


def read_leg(name: str, row: dict[str, int]) -> Leg:
    """A leg of a row: reception, a departure and an arrival each hop, delivery; none if unused."""
    hops = row[f"{name}_hops"]
    if not hops:
        return Leg(name, [])
    steps = [f"{step}_{hop}" for hop in HOPS[:hops] for step in ("dep", "rcf")]
    return Leg(name, [read_activity(f"{name}_{step}", row) for step in ("rcs", *steps, "dlv")])


def read_activity(column: str, row: dict[str, int]) -> Activity:
    """The activity whose columns begin with `column`, e.g. `i1_dep_1`."""
    planned = timedelta(minutes=row[f"{column}_p"])
    effective = timedelta(minutes=row[f"{column}_e"])
    return Activity(column.upper(), planned, effective, row.get(f"{column}_place", 0))


def leg_events(
    order_id: str, leg: Leg, started_at: datetime, onward: Activity | None
) -> Iterator[dict[str, Any]]:
    """The milestones of a leg; `onward` is the step on another leg that its end sets going."""
    at = started_at
    following: list[Activity | None] = [*leg.activities[1:], onward]
    for activity, after in zip(leg.activities, following, strict=True):
        at += activity.effective
        plan = {after.status: at + after.planned} if after else {}
        yield event(
            order_id, activity.status, at, planned=plan, shipment=leg.name, place=activity.place
        )


def event(
    order_id: str,
    status: str,
    at: datetime,
    *,
    planned: dict[str, datetime],
    shipment: str | None = None,
    place: int = 0,
) -> dict[str, Any]:
    """One event; airports are numbers in this data set."""
    fields: dict[str, Any] = {
        "event_id": f"{order_id}:{status}",
        "order_id": order_id,
        "status_code": status,
        "timestamp": at.isoformat(),
        "source": "cargo2000",
    }
    if planned:
        fields["planned"] = {code: moment.isoformat() for code, moment in planned.items()}
    if shipment:
        fields["shipment"] = shipment
    if place:
        fields["location"] = {"name": f"airport {place}"}
    return fields

"""Events for the system tests: real orders, and what carriers add to them."""

import json
import random
from datetime import datetime
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from examples.olist.adapter import events
from schemas.instants import DAY_MS, HOUR_MS, format_instant, parse_instant, to_instant

Json = dict[str, Any]

# Two months after the last event of the sample: every deadline has come.
END = parse_instant("2018-12-31T00:00:00-03:00")


def rules_with_calendar(first_year: int, last_year: int) -> str:
    """A rules file with one rule, in working days of a calendar of these years."""
    return f"""version = 1
[[rule]]
id = "ship"
statuses = ["PAID"]
anchor = "created"
after = "2wd"
calendar = "office"
severity = "warning"
[calendar.office]
years = [{first_year}, {last_year}]
"""


@cache
def all_orders() -> tuple[tuple[Json, ...], ...]:
    """The sample, order by order."""
    return tuple(tuple(group) for _, group in groupby(events(), key=itemgetter("order_id")))


def some_orders(count: int, rng: random.Random) -> list[Json]:
    """The events of `count` orders as they happened, all orders together."""
    chosen = rng.sample(all_orders(), count)
    return in_time([event for order in chosen for event in order])


def arrival(event: Json) -> datetime:
    """When it was recorded."""
    return datetime.fromisoformat(
        event.get("recorded_at") or event.get("timestamp") or event["time"]
    )


def arrival_at(event: Json) -> int:
    """The same in ms."""
    return to_instant(arrival(event))


def in_time(found: list[Json]) -> list[Json]:
    """Events in the order of a recording."""
    return sorted(found, key=lambda event: (arrival(event), event["source"], name_of(event)))


def name_of(event: Json) -> str:
    """The id of an event, CloudEvents' too."""
    return str(event.get("event_id") or event["id"])


def instant_of(event: Json) -> int:
    """When it happened, in ms."""
    return parse_instant(event["timestamp"])


def with_parcels(found: list[Json], rng: random.Random) -> list[Json]:
    """The same orders, each with one or two parcels whose scans name the waybill alone.

    Some shops register the number with the order, some long after the first scan.
    """
    said: list[Json] = []
    for event in found:
        said.append(event)
        if event["status_code"] == "SHIPPED":
            said += parcels(event, rng)
    return in_time(said)


def parcels(shipped: Json, rng: random.Random) -> list[Json]:
    """Scans of an order's parcels and the event that registers their numbers."""
    order_id, at = shipped["order_id"], instant_of(shipped)
    waybills = [f"W{order_id[:12]}{number}" for number in range(rng.randint(1, 2))]
    registered_at = at + rng.randint(-2 * HOUR_MS, 6 * HOUR_MS)
    said = [
        {
            "event_id": f"{order_id}:label",
            "order_id": order_id,
            "status_code": "ALLOCATED",
            "timestamp": format_instant(registered_at),
            "source": "wms",
            "references": {"waybill": waybills},
        }
    ]
    for waybill in waybills:
        scanned_at = at
        for number, status in enumerate(("COLLECTED", "IN_TRANSIT", "SCAN", "OUT_FOR_DELIVERY")):
            scanned_at += rng.randint(1, 60 * HOUR_MS)
            said.append(
                {
                    "event_id": f"{waybill}:{number}",
                    "waybill": waybill,
                    "status_code": status,
                    "timestamp": format_instant(scanned_at),
                    "source": "carrier:sf",
                }
            )
    return said


def scans_long_after(found: list[Json], rng: random.Random) -> list[Json]:
    """Three more scans of each parcel: half of the gaps are as long as a number is known or
    longer, some of them by so much as a day.
    """
    last_at = {event["waybill"]: instant_of(event) for event in found if "waybill" in event}
    said = []
    for waybill, at in last_at.items():
        scanned_at = at
        for number, gap_days in enumerate(rng.choices((90, 179, 180, 181, 182, 200), k=3)):
            scanned_at += gap_days * DAY_MS
            scan = {"event_id": f"{waybill}:late{number}", "waybill": waybill}
            scan |= {"status_code": "SCAN", "timestamp": format_instant(scanned_at)}
            said.append(scan | {"source": "carrier:sf"})
    return said


def with_commands(found: list[Json], rng: random.Random) -> list[Json]:
    """The same orders, some with a command to cancel; often it is too late."""
    bought = [event for event in found if event["status_code"] == "PENDING_PAYMENT"]
    commands = [
        {
            "event_id": f"{event['order_id']}:cancel",
            "order_id": event["order_id"],
            "kind": "command",
            "status_code": "CANCELLED",
            "timestamp": format_instant(instant_of(event) + rng.randint(0, 10 * DAY_MS)),
            "source": "user:ann",
            "operator": "ann",
        }
        for event in rng.sample(bought, len(bought) // 5)
    ]
    return in_time(found + commands)


def unknown_scans(count: int, at: int) -> list[Json]:
    """Scans of parcels that no order ever registers."""
    return [
        {
            "event_id": f"nobody:{at + number}",
            "waybill": f"NOBODY{at + number}",
            "status_code": "IN_TRANSIT",
            "timestamp": format_instant(at + number * HOUR_MS),
            "source": "carrier:sf",
        }
        for number in range(count)
    ]


def as_cloudevent(event: Json) -> Json:
    """The same event in CloudEvents' structured mode."""
    named = {"event_id": "id", "status_code": "type", "timestamp": "time", "order_id": "subject"}
    envelope = {named[name]: value for name, value in event.items() if name in named}
    data = {n: v for n, v in event.items() if n not in named and n != "source"}
    return {"specversion": "1.0", "source": event["source"], **envelope, "data": data}


def binary_cloudevent(event: Json) -> tuple[bytes, list[tuple[str, bytes | None]]]:
    """(value, headers) of the same event in CloudEvents' binary mode."""
    envelope = event if "specversion" in event else as_cloudevent(event)
    said = {name: value for name, value in envelope.items() if name != "data"}
    return json.dumps(envelope["data"]).encode(), [
        (f"ce_{name}", str(value).encode()) for name, value in said.items()
    ]

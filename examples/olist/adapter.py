"""Olist orders as events: four milestones an order, in the shop's local time.

Run it: `ordertide example olist [CSV] > events.ndjson`.
"""

import csv
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).parent / "orders_4998.csv"

# The file names no zone. Olist is in Curitiba; summer time is left out, so that a duration between
# two columns is what subtracting them gives.
ZONE = timezone(timedelta(hours=-3))

MILESTONES = {
    "PENDING_PAYMENT": "order_purchase_timestamp",
    "PAID": "order_approved_at",
    "SHIPPED": "order_delivered_carrier_date",
    "DELIVERED": "order_delivered_customer_date",
}


def events(path: Path = SAMPLE) -> Iterator[dict[str, Any]]:
    """The events of a file, order by order in the order of its rows.

    An empty column makes no event; `order_status` has no time and makes none either.
    """
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield from order_events(row)


def order_events(row: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The milestones that an order has; the purchase carries the promised delivery."""
    for status, column in MILESTONES.items():
        if not row[column]:
            continue
        event = {
            "event_id": f"{row['order_id']}:{status}",
            "order_id": row["order_id"],
            "status_code": status,
            "timestamp": local_time(row[column]),
            "source": "shop",
            "customer_id": row["customer_id"],
        }
        if status == "PENDING_PAYMENT":
            event["promised_at"] = local_time(row["order_estimated_delivery_date"])
        yield event


def local_time(text: str) -> str:
    """`10/2/2017 10:56` (month first) as RFC 3339."""
    return datetime.strptime(text, "%m/%d/%Y %H:%M").replace(tzinfo=ZONE).isoformat()

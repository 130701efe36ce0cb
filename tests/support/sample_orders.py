"""Sample orders for the pages: the demo's, through the real engine, as documents and timelines."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from tempfile import NamedTemporaryFile
from typing import NamedTuple

import msgspec

from commands.demo.feed import history
from commands.demo.orders import HISTORY_END_AT
from dataflows.core.intake import Intake
from dataflows.decoding import Decoder
from dataflows.definition_files import read_lifecycle, read_rules
from dataflows.replay.evaluate import judge_here, rows
from dataflows.replay.external_sort import Sorter
from dataflows.replay.recording import Bad, Counts, Recording, sort_files
from gateway.live.view import LiveView
from schemas.instants import DAY_MS, parse_instant
from schemas.keys import DEFAULT_TENANT, event_hash
from schemas.order import AcceptedEvent, OrderDocument

NOW = HISTORY_END_AT
LIVE_SINCE = NOW - 60 * DAY_MS
DOCUMENTS = msgspec.json.Decoder(list[OrderDocument])


class Sample(NamedTuple):
    """Documents by order id, with their accepted events, and the live view of them."""

    orders: dict[str, OrderDocument]
    timelines: dict[str, list[AcceptedEvent]]
    view: LiveView


@cache
def sample(olist: int = 40) -> Sample:
    """The demo's orders at the end of its history, and some of the Olist sample."""
    records = history(olist)
    orders = {order.order_id: order for order in judged([each[3] for each in records])}
    timelines: dict[str, list[AcceptedEvent]] = defaultdict(list)
    for offset, (_, _, _, event) in enumerate(records):
        if "order_id" in event:
            timelines[event["order_id"]].append(accepted(event, offset))
    view = LiveView()
    for order in orders.values():
        if parse_instant(order.updated_at or "1970-01-01T00:00:00Z") > LIVE_SINCE:
            view.apply(order.order_id, order)
    return Sample(orders, dict(timelines), view)


def judged(events: Sequence[Mapping[str, object]]) -> list[OrderDocument]:
    """Documents of all orders after these events."""
    table = read_lifecycle()
    decoder = Decoder(
        Intake(table, read_rules(None, table)), lambda data, _: data, lambda data, _: data
    )
    counts, sorter, rejected = Counts(), Sorter(), list[Bad]()
    with NamedTemporaryFile(suffix=".ndjson") as file:
        file.write(b"".join(msgspec.json.encode(event) + b"\n" for event in events))
        file.flush()
        sort_files((file.name,), sorter, counts, rejected.append, decoder)
        recording = Recording(table, counts, None, rejected.append, decoder)
        steps = recording.steps(sorter.sorted())
        results = judge_here(((step.answers.facts, step.watermark) for step in steps), None, None)
    assert not rejected
    return DOCUMENTS.decode(msgspec.json.encode(rows(results, "orders")))


def accepted(event: Mapping[str, object], offset: int) -> AcceptedEvent:
    """An event as orders.events has it."""
    at = str(event["timestamp"])
    return AcceptedEvent(
        tenant=DEFAULT_TENANT,
        order_id=str(event["order_id"]),
        arrival_at=at,
        event_hash=f"{event_hash(str(event['source']), str(event['event_id'])):016x}",
        status=str(event["status_code"]),
        at=at,
        shipment=str(event.get("shipment", "")),
        topic="events",
        partition=0,
        offset=offset,
        event=msgspec.Raw(msgspec.json.encode(event)),
    )

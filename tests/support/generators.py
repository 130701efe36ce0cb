"""hypothesis strategies: the events of orders as they come over the wire, and clocks over them.

Times are drawn from a few instants an order, which lie a rule's duration apart (or one ms beside
it): so ties are common, and what arrives often arrives exactly when something is due.
Everything shrinks to one event at `START_AT` that arrives when it happens.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from schemas.instants import DAY_MS, HOUR_MS, MINUTE_MS, format_instant, parse_instant

Json = dict[str, Any]
Events = list[Json]
Palette = tuple[int, ...]  # the instants that an order's events choose from

START_AT = parse_instant("2018-01-01T00:00:00Z")
CORE = Path(__file__).resolve().parents[2] / "dataflows" / "core"
LIFECYCLE: Json = tomllib.loads((CORE / "lifecycle.toml").read_text(encoding="utf-8"))
CODES: list[str] = [row["code"] for row in LIFECYCLE["status"]]

# What the default rules and statuses count with; 16 d is a stay at customs and 48 h of silence.
DURATIONS_MS = (
    *(0, HOUR_MS, 24 * HOUR_MS, 48 * HOUR_MS, 72 * HOUR_MS, 5 * MINUTE_MS),
    *(14 * DAY_MS, 16 * DAY_MS, 7 * DAY_MS, 30 * DAY_MS, 60 * DAY_MS),
)
BESIDE_MS = (0, 0, 0, 1, -1)
# Arrival after the time: mostly at once; before it, by a wrong clock, up to 24 h (then rejected).
LAGS_MS = (
    *(0,) * 10,
    *(1, HOUR_MS, 5 * MINUTE_MS, 5 * MINUTE_MS + 1, 24 * HOUR_MS, 48 * HOUR_MS),
    *(7 * DAY_MS, 7 * DAY_MS + 1, 31 * DAY_MS, -1, -HOUR_MS, -DAY_MS, -DAY_MS - 1),
)
IMPORT_LAGS_MS = (0, 0, 0, 0, 0, 5 * MINUTE_MS, 5 * MINUTE_MS + 1, 12 * DAY_MS, 61 * DAY_MS)
COMMON_CODES = (
    *("PAID", "SCAN", "SHIPPED", "DELIVERED", "COLLECTED", "IN_TRANSIT", "LABEL_CREATED"),
    *("OUT_FOR_DELIVERY", "READY_FOR_PICKUP", "CUSTOMS_HOLD", "CUSTOMS_CLEARED"),
    *("PENDING_PAYMENT", "ALLOCATED", "CANCELLED", "COMPLETED", "RETURN_REQUESTED"),
    *("RETURN_TO_SENDER", "RETURNING", "LOST", "REFUNDED", "VOIDED", "NOTE", "DELIVERED"),
)
JOURNEYS = (
    *(["PAID"], ["PENDING_PAYMENT"], ["PENDING_PAYMENT", "PAID"], ["PAID", "SHIPPED"]),
    *(["PAID", "LABEL_CREATED"], ["PAID", "COLLECTED"], ["PAID", "CUSTOMS_HOLD"]),
    *(["PAID", "IN_TRANSIT", "OUT_FOR_DELIVERY"], ["PAID", "READY_FOR_PICKUP"]),
    *(["PAID", "SHIPPED", "DELIVERED"], ["PAID", "DELIVERED", "RETURN_REQUESTED"]),
    *(["PAID", "CANCELLED"], ["SHIPPED"], ["SCAN"]),
    *(["PAID", "COLLECTED", "RETURN_TO_SENDER", "DELIVERED"], ["PAID", "CANCELLED", "PAID"]),
    *(["PAID", "COLLECTED", "LOST", "REFUNDED"], ["PAID", "REFUNDED", "COLLECTED", "DELIVERED"]),
    *(["PAID", "COLLECTED", "CANCELLED", "DELIVERED"], ["PAID", "LABEL_CREATED", "VOIDED"]),
    *(["PAID", "DELIVERED", "RETURN_REQUESTED", "COMPLETED"], ["PAID", "DELIVERED", "PAID"]),
    *(["PENDING_PAYMENT", "SHIPPED", "DELIVERED", "PAID"], ["PENDING_PAYMENT", "DELIVERED"]),
    *(["PAID", "SHIPPED", "DELIVERED", "RETURN_REQUESTED", "CANCELLED"],),
    *(["PAID", "DELIVERED", "NOTE", "PAID"], ["PAID", "PARTIALLY_SHIPPED", "DELIVERED"]),
    *(["PAID", "PARTIALLY_SHIPPED", "DELIVERED", "SHIPPED", "DELIVERED"],),
    *(["PAID", "SHIPPED", "SCAN", "SCAN", "SCAN", "SCAN"],),
)
SOURCES = (
    *("shop", "shop", "shop", "carrier:sf", "carrier:sf", "carrier:sf"),
    *("rule:carrier_silent", "action:survey", "note:desk", "eta:model"),
)
PARCELS: tuple[Json, ...] = (
    *({}, {}, {"shipment": "A"}, {"shipment": "A"}, {"shipment": "B"}),
    *({"waybill": "A"}, {"waybill": "B", "shipment": "A"}, {"waybill": "a-"}, {"shipment": "b "}),
    *({"waybill": "B"}, {"waybill": "C"}, {"waybill": "C", "shipment": "B"}, {"shipment": "A-"}),
    *({"waybill": "N/A"},),
)
# The number by which the resolver gave an event to its order: this key is of the tests.
VIAS: tuple[Json, ...] = (
    *({"via": ["waybill", "A"], "waybill": "A"}, {"via": ["waybill", "B"], "waybill": "B"}),
    *({"via": ["erp", "so-1 "]}, {"via": ["waybill", "C"], "waybill": "C"}),
)


@cache  # building a strategy costs more than drawing from it
def instants() -> st.SearchStrategy[int]:
    """An instant that is a rule's duration, more or less a ms, after one of two beginnings."""
    beginnings = st.sampled_from((0, HOUR_MS))
    parts = st.tuples(beginnings, st.sampled_from(DURATIONS_MS), st.sampled_from(BESIDE_MS))
    return parts.map(lambda drawn: START_AT + sum(drawn))


@cache
def codes() -> st.SearchStrategy[str]:
    """A status code; a few are unknown to the lifecycle."""
    common = st.sampled_from(COMMON_CODES)
    return st.one_of(common, common, st.sampled_from([*CODES, "TELEPORTED"]))


@cache
def references() -> st.SearchStrategy[Json]:
    """Numbers of the order elsewhere; waybills announce parcels."""
    numbers: tuple[Json, ...] = (
        *({"erp": "SO-1"}, {"waybill": "A"}, {"waybill": ["A", "B"]}, {"waybill": "C"}),
        *({"return_waybill": "B"}, {"waybill": "A", "return_waybill": "C"}, {"erp": "so-1"}),
    )
    placeholders: tuple[Json, ...] = ({"erp": "N/A", "waybill": ["-", "A"]}, {"waybill": " none "})
    return st.sampled_from(numbers + placeholders)


@cache
def attributes() -> st.SearchStrategy[Json]:
    """The order's range of temperatures, readings within and without, and others."""
    readings = st.sampled_from((4.0, 8.0, 8.5, -0.5)).map(lambda c: {"temperature_c": c})
    limits = ({"temperature_max_c": 8.0}, {"temperature_min_c": 0.0}, {"temperature_max_c": 9.0})
    others = ({"cold_chain": True}, {"colour": "red"})
    both = st.tuples(st.sampled_from(limits), readings).map(lambda pair: pair[0] | pair[1])
    return st.one_of(readings, st.sampled_from(limits), both, st.sampled_from(others))


@cache
def deadlines() -> st.SearchStrategy[str]:
    """`promised_at` or `ship_by`: an instant, or a bare date."""
    written = instants().map(format_instant)
    days = ("2018-01-02", "2018-01-04", "withdrawn", "2018-01-03T00:00:00+08:00")
    return st.one_of(written, written, st.sampled_from(days))


# Optional fields that are blank or can't be used, and three that refuse the event.
SPOILT: tuple[Json, ...] = (
    *({"carrier": 7}, {"carrier": " "}, {"customer_id": []}, {"operator": 7}, {"ip": None}),
    *({"promised_at": "soon"}, {"promised_at": ""}, {"promised_at": "1969-12-31"}),
    *({"ship_by": "9999-12-31"}, {"ship_by": 1_514_764_800}),
    {"attributes": {"temperature_c": "warm", "colour": "red"}},
    {"attributes": {"temperature_c": "", "box": {}, "cold_chain": "yes", "temperature_max_c": 8}},
    {"attributes": {"temperature_max_c": None, "remark": None}},
    *({"references": {"erp": ["SO-1", 7], "waybill": " "}}, {"references": ["A"]}),
    {"references": {"waybill": ["A", None, "x" * 257], "return_waybill": {"number": "B"}}},
    {"planned": {"SHIPPED": "2018-01-02", "DELIVERED": "2018-01-03T00:00:00Z", "PAID": ""}},
    *({"replaces": 7}, {"parcels_expected": "2"}, {"parcels_expected": 0}),
    *({"location": {"lat": 91, "name": "Hub"}}, {"location": "Hub"}, {"tenant": " "}),
    *({"zone": "Mars/Olympus"}, {"corrects": 7}, {"kind": "transfer"}),
)


@cache
def extras() -> st.SearchStrategy[Json]:
    """Up to two of the fields that an event can carry besides its status."""
    one = st.one_of(
        attributes().map(lambda value: {"attributes": value}),
        attributes().map(lambda value: {"attributes": value}),
        deadlines().map(lambda value: {"promised_at": value}),
        deadlines().map(lambda value: {"ship_by": value}),
        references().map(lambda value: {"references": value}),
        instants().map(lambda at: {"planned": {"SHIPPED": format_instant(at)}}),
        st.sampled_from(({"carrier": "sf"}, {"carrier": "sto"}, {"customer_id": "c1"})),
        st.sampled_from(({"operator": "Li"}, {"zone": "Asia/Shanghai"})),
        st.sampled_from(({"replaces": "A"}, {"replaces": "B"}, {"parcels_expected": 2})),
        st.sampled_from(({"parcels_expected": 1}, {"references": {"waybill": ["A", "B", "C"]}})),
        st.sampled_from(SPOILT),
    )
    few = st.lists(one, max_size=2).map(merged)
    return st.one_of(st.just({}), few)


def merged(parts: list[Json]) -> Json:
    """One dict of many; the later one wins."""
    return {name: value for part in parts for name, value in part.items()}


def timed(at: int, arrival_at: int, *, is_recorded: bool = True) -> Json:
    """The fields for time and arrival; `recorded_at` may be left out where they are equal."""
    times = {"timestamp": format_instant(at)}
    if is_recorded or arrival_at != at:
        times["recorded_at"] = format_instant(arrival_at)
    return times


SELDOM = st.sampled_from((False, False, False, True))
RARELY = st.sampled_from((False,) * 7 + (True,))
PALETTES = st.lists(instants(), min_size=1, max_size=6, unique=True)


@st.composite
def facts(draw: st.DrawFn, palette: Palette, code: str | None = None) -> Json:
    """One event without its ids, at one of the order's instants; some in a burst at another."""
    at = draw(st.sampled_from(palette))
    is_burst = draw(SELDOM)
    arrival_at = draw(st.sampled_from(palette)) if is_burst else at + draw(st.sampled_from(LAGS_MS))
    event = {
        "status_code": draw(codes()) if code is None else code,
        "source": draw(st.sampled_from(SOURCES)) if code is None else "shop",
        **timed(at, arrival_at, is_recorded=draw(st.booleans())),
        **draw(st.sampled_from(PARCELS)),
        **draw(extras()),
    }
    if draw(SELDOM):
        event = {"source": "carrier:sf", **event, **draw(st.sampled_from(VIAS))}
    if draw(RARELY):
        event |= {"timestamp": "1970-01-01T00:00:00Z", "recorded_at": format_instant(arrival_at)}
    if draw(RARELY):
        event["kind"] = "command"
    return event


@st.composite
def journeys(draw: st.DrawFn, palette: Palette) -> Events:
    """Beginning of an order: a few statuses in sequence, at once or imported later."""
    steps = draw(st.sampled_from(JOURNEYS))
    parcel = draw(st.sampled_from(PARCELS[:4]))
    times = [draw(st.sampled_from(palette)) for _ in steps]
    carried = draw(extras())
    lag = draw(st.sampled_from(IMPORT_LAGS_MS))
    events = [
        {"status_code": code, "source": "shop", **timed(at, at + lag, is_recorded=False), **parcel}
        for code, at in zip(steps, sorted(times), strict=True)
    ]
    return [events[0] | carried, *events[1:]]


@st.composite
def corrections(draw: st.DrawFn, events: Events, palette: Palette) -> Json:
    """An event that retracts one of `events`; seldom itself, the next, or none, by its source."""
    event: Json = draw(facts(palette))
    target = draw(st.sampled_from(events))
    is_unheard = draw(SELDOM)
    event["source"] = event["source"] if is_unheard else target["source"]
    itself, next_one = f"e{len(events)}", f"e{len(events) + 1}"
    event["corrects"] = draw(st.sampled_from((*[target["event_id"]] * 6, itself, next_one)))
    return event


@st.composite
def duplicates(draw: st.DrawFn, events: Events, palette: Palette) -> Json:
    """One of `events` again: the same, or with other content; then, earlier or later."""
    event = dict(draw(st.sampled_from(events)))
    change: st.SearchStrategy[Json] = st.one_of(
        st.just({}),
        st.sampled_from(({"carrier": "yto"}, {"operator": "Wang"}, {"shipment": "B"})),
        codes().map(lambda code: {"status_code": code}),
        st.sampled_from(palette).map(lambda at: {"timestamp": format_instant(at)}),
        attributes().map(lambda value: {"attributes": value}),
        st.sampled_from(SPOILT),
    )
    arrived_at = arrival_of(event)
    event.update(draw(change))
    moved_ms = draw(st.sampled_from((0, 0, 0, 1, HOUR_MS, 31 * DAY_MS, -1)))
    event["recorded_at"] = format_instant(arrived_at + moved_ms)
    return event


def named(events: Events, order: Json, first: int = 0) -> Events:
    """The events with their order and an id each."""
    return [{"event_id": f"e{n}", **order, **e} for n, e in enumerate(events, first)]


@st.composite
def orders(draw: st.DrawFn, order_id: str = "o1", tenant: str | None = None) -> Events:
    """The events of one order, one to about fifteen: a journey, disturbances, corrections, copies.

    All carry `order_id`; a few are rejected, refused or duplicates. In no particular sequence.
    """
    order = {"order_id": order_id} | ({} if tenant is None else {"tenant": tenant})
    palette = tuple(draw(PALETTES))
    more = draw(st.lists(facts(palette), max_size=8))
    events = named(draw(journeys(palette)) + more, order)
    for _ in range(draw(st.integers(0, 2))):
        events += named([draw(corrections(events, palette))], order, first=len(events))
    return events + draw(st.lists(duplicates(events, palette), max_size=3))


@st.composite
def event_sets(draw: st.DrawFn) -> Events:
    """The events of up to three orders, two of them with the same id in different tenants."""
    events: Events = list(draw(orders()))
    events += draw(st.one_of(st.just([]), orders("o2")))
    events += draw(st.one_of(st.just([]), orders("o1", tenant="acme")))
    return events


@st.composite
def permuted(draw: st.DrawFn, events: Events, max_copies: int = 0) -> Events:
    """The same lines in another sequence, each with its arrival; up to `max_copies` come again."""
    copies = draw(st.lists(st.sampled_from(events), max_size=max_copies))
    return list(draw(st.permutations(events + copies)))


def arrival_of(event: Json) -> int:
    """When the event arrives: `recorded_at`, else its time."""
    return parse_instant(event.get("recorded_at") or event["timestamp"])


@st.composite
def clock_steps(draw: st.DrawFn, events: Events, max_steps: int = 6) -> list[int]:
    """Rising values of `watermark`, ending at or after the last arrival.

    Some are an arrival or a time of `events`, alone or with a rule's duration behind it, or the ms
    beside that. Values before the first arrival occur too.
    """
    arrivals = [arrival_of(event) for event in events]
    times = [max(START_AT, parse_instant(event["timestamp"])) for event in events]
    starts = st.sampled_from(sorted({*arrivals, *times}))
    parts = st.tuples(starts, st.sampled_from(DURATIONS_MS), st.sampled_from(BESIDE_MS))
    steps = draw(st.lists(parts.map(sum), max_size=max_steps))
    last_arrival_at = max(arrivals)
    end = last_arrival_at + draw(st.sampled_from((0, *DURATIONS_MS)))
    return sorted({end, *(step for step in steps if step < end)})

"""hypothesis strategies: arbitrary messages, from noise to events with extremes.

Most are near an event: one with a field or two replaced by something extreme gets further than
noise does. Times lie close together, so that orders meet deadlines, duplicates and each other.
"""

import json
import re
from typing import Any

from hypothesis import strategies as st

from broker.consume import Headers, Message
from schemas import topics
from schemas.event import Event
from schemas.instants import MINUTE_MS, format_instant, parse_instant
from tests.support.generators import CODES

Json = dict[str, Any]

START_AT = parse_instant("2026-03-01T00:00:00Z")
FIELDS = sorted(Event.__struct_fields__)
MAPPED = {"event_id": "id", "source": "source", "status_code": "type", "timestamp": "time"}
MAPPED["order_id"] = "subject"

EXTREME_TEXTS = (
    *("", " ", "\x00", "\x1b]0;x\x07", "\x7f", "\x9b", "\u2028", "\u202e", "\ufeff", "\U0001f69a"),
    *("a" * 256, "a" * 257, "\u6f22" * 256, "\U0001f69a" * 256, "'\"\\", "\x1f", "\x1fclock"),
    *("N/A", "../..", "null", "NaN", "-0", "{}", "__proto__", "o1", "W1", "\ud800", "x\udfffy"),
)
EXTREME_NUMBERS = (
    *(0, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**30, 10**999),
    *(0.1, -0.0, 1e308, 5e-324, float("inf"), float("nan"), -1e308, 90.000001, 180.0),
)
EXTREME_INSTANTS = (
    *("2026-03-01T00:00:00Z", "2026-03-01T00:00:00.999999999Z", "2026-03-01T23:59:60Z"),
    *("1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2099-12-31T23:59:59.999Z"),
    *("2100-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"),
    *("2026-03-01", "2011-12-30", "2026-02-30", "2026-W09-1", "2026-03-01T00:00:00", "later"),
    *("2026-03-01T24:00:00Z", "2026-03-01t10:00:00z", "2026-03-01T10:00:00.1234567+08:00"),
)
ZONES = ("Pacific/Apia", "America/Sao_Paulo", "Mars/Olympus", "../etc", "Europe", "UTC", "\x00")

texts = st.sampled_from(EXTREME_TEXTS) | st.text(max_size=12)
numbers = st.sampled_from(EXTREME_NUMBERS) | st.integers() | st.floats()
scalars = st.none() | st.booleans() | numbers | texts | st.sampled_from(EXTREME_INSTANTS)
names = st.sampled_from(("W1", "W2", "erp", "waybill", "temperature_c", "SHIPPED", "a", "name"))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | texts, inner, max_size=4),
    max_leaves=12,
)
references = st.dictionaries(
    st.sampled_from(("erp", "waybill", "wms", "")),
    st.sampled_from(("W1", "W2", "S1")) | st.lists(st.sampled_from(("W1", "S1", "S2")), max_size=3),
    max_size=2,
)


@st.composite
def events(draw: st.DrawFn) -> Json:
    """An event that is right, of one of a few orders."""
    at = START_AT + draw(st.integers(0, 60)) * MINUTE_MS
    event: Json = {
        "event_id": draw(st.sampled_from([f"e{number}" for number in range(12)])),
        "source": draw(st.sampled_from(("shop", "carrier:sf", "rule:x", "action:y"))),
        "status_code": draw(st.sampled_from(CODES)),
        "timestamp": format_instant(at),
    }
    event |= draw(st.sampled_from(({"order_id": "o1"}, {"order_id": "o2"}, {"waybill": "W1"}, {})))
    if draw(st.booleans()):
        event["references"] = draw(references)
    if draw(st.integers(0, 3)) == 0:
        event |= draw(extras)
    return event


extras = st.fixed_dictionaries(
    {},
    optional={
        "tenant": st.sampled_from(("default", "acme")),
        "kind": st.sampled_from(("fact", "command", "transfer", "tick")),
        "shipment": st.sampled_from(("p1", "p2")),
        "promised_at": st.sampled_from(EXTREME_INSTANTS),
        "ship_by": st.sampled_from(EXTREME_INSTANTS),
        "zone": st.sampled_from(ZONES),
        "planned": st.dictionaries(names, st.sampled_from(EXTREME_INSTANTS), max_size=3),
        "location": st.fixed_dictionaries(
            {}, optional={"name": texts, "lat": numbers, "lon": numbers}
        ),
        "operator": texts,
        "attributes": st.dictionaries(names | texts, scalars, max_size=4),
        "customer_id": st.sampled_from(("c1", "c\x00")),
        "carrier": st.sampled_from(("sf", "\x1b[31m")),
        "personal": st.dictionaries(texts, values, max_size=3),
        "corrects": st.sampled_from(("e1", "e2")),
        "recorded_at": st.sampled_from(EXTREME_INSTANTS),
    },
)  # fmt: skip


@st.composite
def spoilt(draw: st.DrawFn) -> Json:
    """An event in which some fields are replaced by anything."""
    event: Json = draw(events())
    changed = st.dictionaries(st.sampled_from(FIELDS) | texts, values, max_size=3)
    event |= draw(changed)
    for name in draw(st.lists(st.sampled_from(sorted(event)), max_size=1)):
        event.pop(name, None)
    return event


def encoded(value: object, *, is_ascii: bool = True) -> bytes:
    """JSON, NaN and half characters included, as a careless library writes it."""
    try:
        return json.dumps(value, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    except ValueError:  # an integer of more digits than Python converts
        return b'{"x":' + b"9" * 5_000 + b"}"


@st.composite
def cloud(draw: st.DrawFn) -> tuple[bytes, Headers]:
    """A CloudEvent of a spoilt event, structured or binary."""
    event = draw(spoilt())
    envelope: Json = {"specversion": draw(st.sampled_from((*("1.0",) * 12, "0.3", None)))}
    envelope |= {MAPPED[name]: event.pop(name) for name in list(event) if name in MAPPED}
    if draw(st.integers(0, 5)) == 0:
        envelope |= draw(st.dictionaries(texts, scalars, max_size=1))
    if draw(st.booleans()):
        place = draw(st.sampled_from((*("data",) * 5, "data_base64")))
        content = draw(values) if draw(st.integers(0, 5)) == 0 else event
        return encoded({**envelope, place: content}), []
    headers: Headers = [
        (f"ce_{name}", str(value).encode("utf-8", "surrogatepass"))
        for name, value in envelope.items()
        if "\x00" not in name and not re.search("[\ud800-\udfff]", name)  # as clients give them
    ]
    return encoded(event), headers


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """The bytes of an event, cut, flipped, repeated or marked."""
    data = encoded(draw(spoilt()), is_ascii=draw(st.booleans()))
    at = draw(st.integers(0, len(data)))
    damage = draw(st.sampled_from(("cut", "flip", "insert", "mark", "twice", "utf-16")))
    if damage == "cut":
        return data[:at]
    if damage == "flip" and at < len(data):
        return data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :]
    if damage == "insert":
        return data[:at] + draw(st.binary(max_size=8)) + data[at:]
    if damage == "twice":
        return data[:-1] + b"," + data[1:]
    return (
        data.decode("utf-8", "replace").encode("utf-16")
        if damage == "utf-16"
        else b"\xef\xbb\xbf" + data
    )


def tick(minutes: int) -> bytes:
    """A tick of recorded history."""
    return encoded({"kind": "tick", "recorded_at": format_instant(START_AT + minutes * MINUTE_MS)})


deep = st.builds(
    lambda opening, levels: b'{"event_id":"e1","x":' + opening * levels,
    st.sampled_from((b"[", b'{"a":', b'"[')),
    st.integers(1, 2_000),
)
plain = st.one_of(
    *[events().map(encoded)] * 8,
    st.builds(tick, st.integers(0, 90)),
    spoilt().map(encoded),
    spoilt().map(lambda event: encoded(event, is_ascii=False)),
    damaged(),
    values.map(encoded),
    st.binary(max_size=200),
    deep,
)


@st.composite
def messages(draw: st.DrawFn, max_size: int = 30) -> list[Message]:
    """Messages of one partition in the order of their offsets."""
    alone: st.SearchStrategy[tuple[bytes, Headers]] = plain.map(lambda value: (value, []))
    sent = draw(st.lists(alone | alone | alone | cloud(), min_size=12, max_size=max_size))
    return [
        Message(topics.EVENTS, 0, offset, START_AT + offset * MINUTE_MS, b"key", value, headers)
        for offset, (value, headers) in enumerate(sent)
    ]

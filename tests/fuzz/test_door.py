"""The compiled door takes nothing that the decoder would read otherwise, byte for byte."""

import json
import os
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataflows.core.intake import Intake
from dataflows.core.lifecycle_check import parse_lifecycle
from dataflows.core.rules_check import parse_rules
from dataflows.definition_files import read_lifecycle, read_rules
from schemas.instants import DAY_MS, MINUTE_MS, format_instant
from tests.fuzz.messages import EXTREME_INSTANTS, EXTREME_NUMBERS, START_AT, encoded, messages
from tests.support.both_doors import compiled, decoded, decoder_of

EXAMPLES = int(os.environ.get("ORDERTIDE_FUZZ_EXAMPLES", "100"))
fuzzed = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))

ATTRIBUTES = """
version = 1
rule = []
[attributes]
fragile = {type = "bool"}
pieces = {type = "int"}
temperature_c = {type = "float", reading = true}
grade = {type = "str"}
door_open = {type = "bool", reading = true}
"""
LIFECYCLE = """
version = 1
name = "elsewhere"
zone = "Asia/Shanghai"
placeholders = ["Keine", "x"]
carriers = {sf = ["顺丰", "S F"]}
[[status]]
code = "PAID"
label = {en = "Paid", zh = "已付款"}
scope = "both"
creates = true
next = ["DELIVERED"]
[[status]]
code = "DELIVERED"
label = {en = "Delivered", zh = "已签收"}
scope = "both"
ends = true
ends_parcel = true
retire_after = "7d"
[[status]]
code = "NOTE"
label = {en = "Note", zh = "备注"}
scope = "both"
note = true
"""

TABLE = read_lifecycle()
ELSEWHERE = parse_lifecycle(LIFECYCLE, "elsewhere.toml")
DECODERS = {
    "shipped": decoder_of(Intake(TABLE, read_rules(None, TABLE))),
    "attributes": decoder_of(Intake(TABLE, parse_rules(ATTRIBUTES, "attributes.toml", TABLE))),
    "elsewhere": decoder_of(Intake(ELSEWHERE, parse_rules(ATTRIBUTES, "rules.toml", ELSEWHERE))),
}

texts = st.sampled_from(
    (
        *("o1", "W-1 2", "w1", "Keine", " x ", "n/a", "无", "SF", "s f", "顺丰", "DHL Express"),
        *(
            "é",
            "ß",
            "ＳＦ",
            "straße",
            "'\"\\/",
            "a" * 256,
            "漢" * 256,
            "漢" * 257,
            " ",
            "\u00a0",
            "-",
        ),
        *("\u2014", "\u2028", "\x7f", "\t", "\U0001f69a", "default", "\u3000x", "İ", "ﬁ"),
    )
) | st.text(max_size=6)
ids = st.sampled_from(("o1", "o2", "W1", "W2")) | texts
instants = st.one_of(
    st.sampled_from(EXTREME_INSTANTS),
    st.integers(-5 * MINUTE_MS, 400 * DAY_MS).map(lambda ms: format_instant(START_AT + ms)),
    st.builds(
        "2026-{:02d}-{:02d}{}{:02d}:{:02d}:{:02d}{}{}".format,
        *(st.integers(0, 13), st.integers(0, 32), st.sampled_from("TTTTTt "), st.integers(0, 24)),
        *(st.integers(0, 60), st.integers(0, 61)),
        st.sampled_from(("", "", ".0", ".5", ".123", ".999999", ".1234567", ",5", ".")),
        st.sampled_from(
            ("Z", "Z", "+08:00", "-03:30", "+0800", "z", "", "-00:00", "+23:59", "+24:00")
        ),
    ),
    st.builds(
        "20{:02d}-{:02d}-{:02d}".format, st.integers(0, 99), st.integers(1, 12), st.integers(1, 31)
    ),
)
numbers = st.one_of(
    st.integers(-300, 300),
    st.floats(-200, 200),
    st.sampled_from(EXTREME_NUMBERS),
    st.integers(-(10**19), 10**19),
    st.floats(),
)
scalars = st.none() | st.booleans() | numbers | texts | instants
names = (
    st.sampled_from(
        (
            "fragile",
            "pieces",
            "temperature_c",
            "grade",
            "door_open",
            "cold_chain",
            "erp",
            "waybill",
            "return_waybill",
        )
    )
    | texts
)
coordinates = {
    "lat": st.none() | st.floats(-90, 90) | st.integers(-91, 91) | scalars,
    "lon": st.none() | st.floats(-180, 180) | scalars,
}
places = st.fixed_dictionaries(
    {},
    optional={
        "name": texts | st.none(),
        "datum": st.sampled_from(("WGS84", "GCJ02", "BD09", None)),
        "more": scalars | st.lists(scalars, max_size=2),
        **coordinates,
    },
)
right_ids = st.sampled_from(("o1", "W-1 2", "sf 7", "漢字", "a" * 256))
right_numbers = st.sampled_from(("W1", "W-1 2", "w1", " SO-9"))
right_instants = st.sampled_from(
    (
        *(
            "2026-03-01T10:00:00Z",
            "2026-03-01T10:00:00.5+08:00",
            "2026-02-28T23:59:59.999999-11:30",
        ),
        *("2026-03-01T00:00:00+01:00", "2026-03-01T00:00:00.000001Z", "2024-02-29T12:34:56.789Z"),
    )
)
right_dates = st.sampled_from(("2026-03-09", "2024-02-29"))
right_attributes = st.fixed_dictionaries(
    {},
    optional={
        "fragile": st.booleans(),
        "pieces": st.integers(-(10**17), 10**17),
        "temperature_c": st.floats(-1e9, 1e9).map(abs) | st.integers(-300, 300),
        "grade": st.sampled_from(("A", "", " ", "é")),
        "note": st.sampled_from((None, True, "x", -7, 2.5)),
    },
)
right_degrees = st.integers(1, 90) | st.floats(0.5, 90)
# (right values, values from right to odd) of each optional field.
Values = st.SearchStrategy[Any]
optional: dict[str, tuple[Values, Values]] = {
    "waybill": (right_numbers | st.none(), ids),
    "references": (
        st.dictionaries(names, right_numbers | st.lists(right_numbers, max_size=3), max_size=3),
        st.dictionaries(names, ids | st.lists(ids, max_size=3) | st.none(), max_size=3),
    ),
    "tenant": (st.sampled_from(("default", "acme")), ids | st.none()),
    "kind": (st.sampled_from(("fact", "command")), st.sampled_from(("tick", "x", None))),
    "format": (st.just(1), st.sampled_from((2, "1", 1.0, None))),
    "shipment": (right_ids | st.none(), ids),
    "promised_at": (right_instants | right_dates | st.none(), instants | st.just("withdrawn")),
    "ship_by": (right_instants | right_dates, instants),
    "zone": (st.none(), st.sampled_from(("UTC", "Asia/Shanghai", "Mars/Olympus"))),
    "planned": (
        st.dictionaries(st.sampled_from(("a", "b", "é")), right_instants, max_size=2) | st.none(),
        st.dictionaries(names, instants, max_size=2),
    ),
    "location": (
        st.fixed_dictionaries(
            {},
            optional={
                "name": right_ids | st.none(),
                "lat": right_degrees,
                "lon": right_degrees | st.none(),
                "datum": st.sampled_from(("WGS84", "GCJ02", None)),
                "more": st.sampled_from(("x", [1, {"y": None}])),
            },
        ),
        places | st.none(),
    ),
    "destination": (
        st.fixed_dictionaries(
            {}, optional={"town": right_ids, "region": st.none(), "country": right_ids}
        ),
        st.fixed_dictionaries(
            {},
            optional={"town": texts, "region": texts | st.none(), "country": texts, **coordinates},
        ),
    ),
    "operator": (right_ids, texts),
    "ip": (st.sampled_from(("203.0.113.7", None)), texts),
    "attributes": (
        right_attributes | st.none(),
        st.dictionaries(names, scalars, max_size=4),
    ),
    "customer_id": (right_ids, ids),
    "supplier_id": (right_ids | st.none(), ids),
    "carrier": (st.sampled_from(("SF", "s f", "顺丰", "顺丰 X", "DHL Express", None)), texts),
    "personal": (st.none(), st.sampled_from(({}, {"name": "Li"}, " "))),
    "corrects": (right_ids | st.none(), ids),
    "replaces": (right_ids | st.none(), ids),
    "parcels_expected": (st.integers(1, 250) | st.none(), numbers),
    "recorded_at": (right_instants | st.none(), instants),
    "dropped_fields": (st.none(), st.sampled_from(([], ["zone"]))),
    "trace": (
        st.sampled_from(({"a": [1, 2.5, None]}, "é", 0, False)),
        scalars | st.dictionaries(texts, scalars, max_size=2),
    ),
    "specversion": (st.none(), st.sampled_from(("1.0", None))),
}


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """An event of some fields, most of them right, at most one odd."""
    event: dict[str, Any] = {
        "event_id": draw(right_ids),
        "source": draw(st.sampled_from(("shop", "carrier:sf", "é"))),
        "status_code": draw(st.sampled_from(("PAID", "PAID", "DELIVERED", "NOTE"))),
        "timestamp": draw(right_instants),
        "order_id": draw(right_ids | st.none()),
    }
    for name in draw(st.lists(st.sampled_from(sorted(optional)), max_size=8, unique=True)):
        if name != "specversion":
            event[name] = draw(optional[name][0])
    if draw(st.integers(0, 2)) == 0:
        required = {"event_id": ids, "source": ids, "order_id": ids, "timestamp": instants}
        odd = {**required, **{name: of for name, (_, of) in optional.items()}}
        name = draw(st.sampled_from(sorted(odd)))
        event[name] = draw(odd[name])
    text = encoded(event, is_ascii=draw(st.booleans()))
    if draw(st.integers(0, 19)) == 0:  # a field that comes twice
        name = draw(st.sampled_from(sorted(event)))
        text = text[:-1] + b"," + encoded({name: draw(scalars)})[1:]
    return text


def check(name: str, data: bytes, arrival_at: int | None = None) -> bool:
    """Compare both on one message; True if the compiled door took it."""
    decoder = DECODERS[name]
    made = compiled(decoder, data, [], arrival_at)
    if made is not None:
        assert made == decoded(decoder, data, [], arrival_at), data
    return made is not None


def test_a_plain_event_is_what_the_decoder_makes_of_it() -> None:
    outcomes = Counter[bool]()

    @settings(fuzzed, max_examples=10 * EXAMPLES)
    @given(
        name=st.sampled_from(sorted(DECODERS)),
        data=events(),
        ahead_ms=st.none() | st.integers(-2 * DAY_MS, 2 * DAY_MS),
    )
    def compare(name: str, data: bytes, ahead_ms: int | None) -> None:
        outcomes[check(name, data, None if ahead_ms is None else START_AT + ahead_ms)] += 1

    compare()
    assert outcomes[True] > outcomes.total() / 4, "else nothing is compared"


@fuzzed
@given(name=st.sampled_from(sorted(DECODERS)), data=st.data())
def test_any_message_is_left_or_read_alike(name: str, data: st.DataObject) -> None:
    for message in data.draw(messages(max_size=15)):
        decoder = DECODERS[name]
        made = compiled(decoder, message.value or b"", message.headers)
        if made is not None:
            assert made == decoded(decoder, message.value or b"", message.headers)


RIGHT = {
    "event_id": "e1",
    "source": "shop",
    "status_code": "PAID",
    "timestamp": "2026-03-01T10:00:00+08:00",
    "order_id": "o1",
}
TAKEN: dict[str, dict[str, Any]] = {
    "nothing optional": {},
    "all that is optional": {
        "waybill": "sf-1 2",
        "references": {"wms": ["B", "A", "B"], "erp": "so-1", "return_waybill": "R-1"},
        "tenant": "acme",
        "kind": "command",
        "shipment": "p1",
        "promised_at": "2026-03-09T00:00:00-03:00",
        "ship_by": "2026-03-08",
        "planned": {"PICKUP": "2026-03-02T10:00:00.5Z"},
        "location": {"name": "São Paulo", "lat": -23, "lon": -46.63, "datum": "WGS84"},
        "operator": "ann",
        "ip": "203.0.113.7",
        "attributes": {"temperature_c": 4, "cold_chain": True, "note": None, "n": -7, "f": 0.5},
        "customer_id": "C1",
        "supplier_id": "S1",
        "carrier": "S F Express",
        "corrects": "e0",
        "replaces": "p0",
        "parcels_expected": 2,
        "destination": {"town": "Curitiba", "lat": -25.4, "lon": -49},
        "recorded_at": "2026-03-01T02:00:01.250Z",
        "format": 1,
    },
    "null": dict.fromkeys(("waybill", "references", "location", "carrier", "zone", "personal")),
    "fields of the sender's own": {"trace": {"a": [1, 2.5, None, "x"]}, "Größe": "é"},
    "a carrier in ideographs": {"waybill": "W1", "carrier": "顺丰速运"},
    "a question": {"order_id": None, "references": {"erp": ["so-9", "so-8"]}},
}


@pytest.mark.parametrize("name", sorted(TAKEN))
@pytest.mark.parametrize("is_ascii", [True, False])
def test_what_is_plainly_right_is_taken(name: str, *, is_ascii: bool) -> None:
    data = json.dumps(RIGHT | TAKEN[name], ensure_ascii=is_ascii).encode()
    assert check("shipped", data)


LEFT: dict[str, bytes] = {
    "personal data": json.dumps(RIGHT | {"personal": {"name": "Li"}}).encode(),
    "a code that the lifecycle lacks": json.dumps(RIGHT | {"status_code": "TELEPORTED"}).encode(),
    "a placeholder": json.dumps(RIGHT | {"waybill": "N/A "}).encode(),
    "a byte-order mark": b"\xef\xbb\xbf" + json.dumps(RIGHT).encode(),
    "a control character": json.dumps(RIGHT | {"trace": "\x07"}).encode(),
    "half a character": json.dumps(RIGHT | {"trace": "\ud800"}).encode(),
    "a number beyond 64 bits": json.dumps(RIGHT | {"trace": 2**64}).encode(),
    "a field twice": json.dumps(RIGHT).encode()[:-1] + b',"source":"shop"}',
    "no personal data, twice": json.dumps(RIGHT | {"personal": None}).encode()[:-1]
    + b',"personal":null}',
    "an attribute of another type": json.dumps(RIGHT | {"attributes": {"cold_chain": 1}}).encode(),
    "a blank text": json.dumps(RIGHT | {"carrier": " "}).encode(),
    "no order and no number": json.dumps({**RIGHT, "order_id": None}).encode(),
    "a time before 2000": json.dumps(RIGHT | {"timestamp": "1999-12-31T23:59:59Z"}).encode(),
    "a CloudEvent": json.dumps(RIGHT | {"specversion": "1.0"}).encode(),
    "too large": json.dumps(RIGHT | {"trace": "x" * 512_000}).encode(),
    "nested too deeply": json.dumps(RIGHT).encode()[:-1] + b',"x":' + b"[" * 32 + b"]" * 32 + b"}",
    "no JSON": json.dumps(RIGHT).encode()[:-1],
    "nothing": b"",
}


@pytest.mark.parametrize("name", sorted(LEFT))
def test_what_has_to_be_judged_is_left(name: str) -> None:
    assert not check("shipped", LEFT[name])


def test_an_event_from_the_future_is_left() -> None:
    data = json.dumps(RIGHT | {"timestamp": format_instant(START_AT)}).encode()
    assert check("shipped", data, START_AT - DAY_MS)
    assert not check("shipped", data, START_AT - DAY_MS - 1)

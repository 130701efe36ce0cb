"""Sanitization at the door: characters, numbers, nesting and instants that can't be carried."""

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Rejected
from schemas.event import Event, read_event
from schemas.instants import format_instant
from schemas.sanitization import CONTROL, DROPPED, MAX_DEPTH, is_plain, sanitize, texts

Json = dict[str, Any]

GOOD: Json = {
    "event_id": "e1",
    "order_id": "o1",
    "status_code": "PAID",
    "timestamp": "2026-03-01T08:00:00Z",
    "source": "shop",
}
CONTROLS = {
    "C0": "\x1b",
    "NUL": "\x00",
    "line feed": "\n",
    "tab": "\t",
    "DEL": "\x7f",
    "C1": "\x9b",
    "next line": "\x85",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "left-to-right override": "\u202d",
    "right-to-left override": "\u202e",
    "pop directional": "\u202c",
    "isolate": "\u2066",
    "end of isolate": "\u2069",
}
IDS = (
    *("event_id", "source", "tenant", "order_id", "waybill", "shipment"),
    *("status_code", "corrects", "zone"),
)
DROPPABLE = ("operator", "ip", "customer_id", "supplier_id", "carrier", "promised_at", "ship_by")


def read(changed: Json, *, ascii_only: bool = True) -> tuple[Event, Json]:
    data = json.dumps(GOOD | changed, ensure_ascii=ascii_only).encode()
    event, kept = read_event(data)
    assert isinstance(event, Event)
    return event, json.loads(kept)


@pytest.mark.parametrize("is_escaped", [True, False])
@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("control", CONTROLS)
def test_an_id_with_a_control_character_refuses_the_event_and_is_named(
    control: str, name: str, *, is_escaped: bool
) -> None:
    with pytest.raises(Rejected) as caught:
        read({name: f"a{CONTROLS[control]}b"}, ascii_only=is_escaped)
    assert str(caught.value) == f"invalid_event: {name}: holds a control character"


def test_a_reference_with_a_control_character_costs_only_itself() -> None:
    event, kept = read({"references": {"erp": ["ok", "S\x9b"], "wms": "\u2028", "oms": "7"}})
    assert event.references == kept["references"] == {"erp": ["ok"], "oms": "7"}
    assert event.dropped_fields == ["references.erp", "references.wms"]


def test_a_kind_of_reference_is_named_without_its_control_character() -> None:
    event, _ = read({"references": {"\x1b[31m": "S1", "erp": "2"}})
    assert event.references == {"erp": "2"}
    assert event.dropped_fields == [r"references.\x1b[31m"]


@pytest.mark.parametrize("is_escaped", [True, False])
@pytest.mark.parametrize("name", [*DROPPABLE, "remark", "nested"])
@pytest.mark.parametrize("control", CONTROLS)
def test_any_other_field_with_a_control_character_is_left_out_and_noted(
    control: str, name: str, *, is_escaped: bool
) -> None:
    text = f"a{CONTROLS[control]}b"
    value = {"deep": [{"er": text}]} if name == "nested" else text
    event, kept = read({name: value}, ascii_only=is_escaped)
    assert getattr(event, name, None) is None
    assert name not in kept
    assert kept[DROPPED] == event.dropped_fields == [name]


@pytest.mark.parametrize(
    ("field", "value", "left", "dropped"),
    [
        ("attributes", {"a": "x\x07", "b": 1}, {"b": 1}, ["attributes.a"]),
        ("attributes", {"\x1b[31mRED": 1, "b": 1}, {"b": 1}, [r"attributes.\x1b[31mRED"]),
        ("attributes", {"a": "\x80"}, {}, ["attributes.a"]),
        ("planned", {"\x1b": "2026-03-02T00:00:00Z"}, {}, [r"planned.\x1b"]),
        (
            "location",
            {"name": "\u202eevil", "lat": 1, "lon": 2},
            {"lat": 1, "lon": 2},
            ["location.name"],
        ),
        ("personal", {"name": "\x1b[2J", "phone": "1"}, {"phone": "1"}, ["personal.name"]),
    ],
)
def test_of_an_object_only_the_named_fields_are_left_out(
    field: str, value: Json, left: Json, dropped: list[str]
) -> None:
    event, kept = read({field: value})
    assert kept[field] == left
    assert event.dropped_fields == dropped


def test_an_address_keeps_its_lines() -> None:
    personal = {"address": "1 High Street\nLeeds\tUK"}
    event, kept = read({"personal": personal})
    assert event.personal == kept["personal"] == personal
    assert event.dropped_fields is None


def test_a_customer_with_a_control_character_is_refused_where_personal_data_stands() -> None:
    """Left out, the customer's data would be sealed under another key, and erased with none."""
    with pytest.raises(Rejected, match=r"^invalid_event: customer_id: holds a control character"):
        read({"customer_id": "c\x001", "personal": {"name": "Li"}})


def test_an_unknown_field_with_a_control_character_in_its_name_is_left_out() -> None:
    event, kept = read({"\x1b]0;x\x07": 1})
    assert kept == GOOD | {DROPPED: [r"\x1b]0;x\x07"]}
    assert event.dropped_fields == [r"\x1b]0;x\x07"]


def test_an_escaped_backslash_is_no_control_character() -> None:
    data = json.dumps(GOOD | {"path": r"C:\new\u0007"}).encode()
    assert read_event(data)[1] is data


def test_sanitizing_again_changes_nothing() -> None:
    data = json.dumps(GOOD | {"carrier": "\x1b", "attributes": {"a": "\n"}}).encode()
    once = sanitize(data)
    assert sanitize(once) == once
    assert json.loads(once)[DROPPED] == ["carrier", "attributes.a"]


def test_a_thousand_fields_left_out_are_not_all_named() -> None:
    event, _ = read({"attributes": {f"a{number}\x1b": 1 for number in range(1_000)}})
    assert len(event.dropped_fields or []) == 20


BAD_NUMBERS = (
    "1e400",
    "-1e400",
    "1e+999",
    "9" * 1_000,
    "-" + "9" * 20,
    str(2**63),
    str(-(2**63) - 1),
)


def with_number(text: str, number: str) -> bytes:
    """An event with one more field, which holds a number as it is written."""
    return (json.dumps(GOOD)[:-1] + "," + text % number + "}").encode()


@pytest.mark.parametrize("number", BAD_NUMBERS)
@pytest.mark.parametrize(
    ("text", "dropped", "left"),
    [
        ('"weight":%s', "weight", {}),
        ('"attributes":{"points":%s,"a":1}', "attributes.points", {"attributes": {"a": 1}}),
        ('"location":{"lat":%s,"lon":1}', "location.lat", {"location": {"lon": 1}}),
        ('"lines":[{"price":[1, %s]}]', "lines", {}),
        ('"personal":{"age": %s ,"name":"Li"}', "personal.age", {"personal": {"name": "Li"}}),
        ('"references":{"erp":["7", %s]}', "references.erp", {"references": {"erp": ["7"]}}),
        ('"carrier":%s', "carrier", {}),
        ('"parcels_expected":%s', "parcels_expected", {}),
    ],
)
def test_a_number_beyond_64_bits_costs_only_its_field(
    text: str, dropped: str, left: Json, number: str
) -> None:
    event, kept = read_event(with_number(text, number))
    assert isinstance(event, Event)
    assert event.dropped_fields == [dropped]
    assert json.loads(kept) == GOOD | left | {DROPPED: [dropped]}


@pytest.mark.parametrize("number", BAD_NUMBERS)
@pytest.mark.parametrize("name", [*IDS, "format", "recorded_at"])
def test_a_number_beyond_64_bits_is_refused_in_a_field_that_the_event_needs(
    name: str, number: str
) -> None:
    with pytest.raises(Rejected) as caught:
        read_event(with_number(f'"{name}":%s', number))
    assert caught.value.code == "invalid_number"
    assert caught.value.reason.startswith(f"{name}: {number[:20]}")
    assert caught.value.reason.endswith("is over 64 bits")
    assert len(caught.value.reason) < 200


@pytest.mark.parametrize(
    "number",
    [
        "1e308",
        "-1e-400",
        str(2**63 - 1),
        str(-(2**63)),
        "0." + "3" * 40,
        "1." + "0" * 30 + "e5",
        "1e19",
    ],
)
def test_a_number_that_a_double_or_64_bits_hold_is_taken_as_it_is_written(number: str) -> None:
    said = (json.dumps(GOOD)[:-1] + f', "weight": {number}}}').encode()
    assert read_event(said)[1] is said


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_nan_and_infinity_are_refused_in_every_field(constant: str) -> None:
    said = json.dumps(GOOD)[:-1] + f', "deep": [{{"x": {constant}}}]}}'
    with pytest.raises(Rejected, match=r"^malformed_json: .*NaN and Infinity are not JSON"):
        read_event(said.encode())


@pytest.mark.parametrize("levels", [MAX_DEPTH, 100, 900, 2_000, 100_000])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_a_deep_value_is_refused(opening: str, levels: int) -> None:
    closing = "]" if opening == "[" else "}"
    said = json.dumps(GOOD)[:-1] + ', "x":' + opening * levels + "1" + closing * levels + "}"
    with pytest.raises(Rejected, match=r"^(malformed_json: nested too deeply|too_large)"):
        read_event(said.encode())


def test_many_brackets_beside_each_other_or_in_a_text_are_not_deep() -> None:
    deep = json.loads("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1))
    read(
        {
            "x": deep,
            "lines": [{} for _ in range(1_000)],
            "text": "[{" * 1_000,
            "quoted": '\\"[{' * 100,
        }
    )


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-03-01T23:59:59.999999999Z", "2026-03-01T23:59:59.999Z"),
        ("2026-03-01T23:59:59.9999999Z", "2026-03-01T23:59:59.999Z"),
        ("2026-03-01T10:00:00.1239999999999Z", "2026-03-01T10:00:00.123Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999Z"),
        ("2016-12-31T23:59:60.750Z", "2016-12-31T23:59:59.999Z"),
        ("2017-01-01T07:59:60+08:00", "2016-12-31T23:59:59.999Z"),
        ("2017-01-01T05:29:60.123456789+05:30", "2016-12-31T23:59:59.999Z"),
    ],
)
def test_nanoseconds_are_cut_and_a_leap_second_ends_its_minute(written: str, instant: str) -> None:
    planned = {"SHIPPED": written, "X": GOOD["timestamp"]}
    event, _ = read({"timestamp": written, "recorded_at": written, "planned": planned})
    assert format_instant(event.at) == instant
    assert event.planned is not None
    assert event.planned["SHIPPED"] == event.recorded_at == event.timestamp
    tick, _ = read_event(json.dumps({"kind": "tick", "recorded_at": written}).encode())
    assert format_instant(tick.at) == instant


@pytest.mark.parametrize(
    "written", ["2016-12-31T23:60:00Z", "2016-12-31T23:59:61Z", "2016-12-31T23:59:600Z"]
)
def test_no_other_second_beyond_59_is_an_instant(written: str) -> None:
    with pytest.raises(Rejected, match=r"^invalid_event: "):
        read({"timestamp": written})


def test_a_byte_order_mark_is_skipped() -> None:
    data = json.dumps(GOOD).encode()
    event, kept = read_event(b"\xef\xbb\xbf" + data)
    assert isinstance(event, Event)
    assert kept == data


def test_of_a_field_that_comes_twice_the_last_counts() -> None:
    said = b'{"order_id":"first",' + json.dumps(GOOD).encode()[1:]
    event, _ = read_event(said)
    assert isinstance(event, Event)
    assert event.order_id == "o1"


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(
    changed=st.dictionaries(
        st.sampled_from(sorted(Event.__struct_fields__)) | TEXT, JSON, max_size=4
    ),
    is_escaped=st.booleans(),
)
def test_whatever_passes_holds_no_control_character_and_only_numbers_of_64_bits(
    *, changed: Json, is_escaped: bool
) -> None:
    data = json.dumps({**changed, **GOOD}, ensure_ascii=is_escaped).encode()
    try:
        _, kept = read_event(data)
    except Rejected:
        return
    found = json.loads(kept)
    found.pop("personal", None)
    assert not any(CONTROL.search(text) for text in texts(found))
    assert all(-(2**63) <= n < 2**63 for n in whole_numbers(found))
    assert is_plain(kept) or sanitize(kept) == kept


@given(instant=st.datetimes(), minutes=st.integers(-1_439, 1_439))
def test_an_event_with_an_ordinary_instant_is_not_taken_apart(
    instant: datetime, minutes: int
) -> None:
    zone = timezone(timedelta(minutes=minutes))
    timestamp = instant.replace(tzinfo=zone).isoformat()
    assert is_plain(json.dumps(GOOD | {"timestamp": timestamp}).encode())


def whole_numbers(value: Any) -> list[int]:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return [number for inner in value.values() for number in whole_numbers(inner)]
    if isinstance(value, list):
        return [number for inner in value for number in whole_numbers(inner)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []

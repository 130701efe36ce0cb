"""Decoding events: what is taken, and one clear reason for what is not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Rejected
from schemas.event import MAX_EVENT_BYTES, Event, Tick, check_arrival, decode_event
from schemas.instants import DAY_MS, parse_instant

GOOD: dict[str, Any] = {
    "event_id": "e1",
    "order_id": "o1",
    "status_code": "PAID",
    "timestamp": "2026-03-01T08:00:00+08:00",
    "source": "shop",
}


def decoded(**changed: Any) -> Event | Tick:  # noqa: ANN401 - any field of an event
    event = {name: value for name, value in (GOOD | changed).items() if value is not ...}
    return decode_event(json.dumps(event).encode())


def reason(data: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decode_event(data)
    return caught.value


def test_an_event_is_read_and_its_time_is_ms() -> None:
    event = decoded()
    assert isinstance(event, Event)
    assert event.at == parse_instant("2026-03-01T00:00:00Z")
    assert (event.tenant, event.kind, event.format) == ("default", "fact", 1)


def test_unknown_fields_are_no_fault() -> None:
    assert isinstance(decoded(colour="red", nested={"a": [1]}), Event)


@pytest.mark.parametrize("field", ["event_id", "status_code", "timestamp", "source"])
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(Rejected) as caught:
        decoded(**{field: ...})
    assert caught.value.code == "invalid_event"
    assert caught.value.reason == f"{field} is missing"


def test_an_event_needs_an_order_a_waybill_or_references() -> None:
    with pytest.raises(Rejected, match=r"^no_order: one of order_id, waybill or references"):
        decoded(order_id=...)
    with pytest.raises(Rejected, match=r"^no_order: "):
        decoded(order_id=..., references={})
    assert isinstance(decoded(order_id=..., waybill="W1"), Event)
    assert isinstance(decoded(order_id=..., references={"erp": "S1"}), Event)


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("timestamp", "2026-03-01T00:00:00", "timestamp"),
        ("timestamp", 1_700_000_000, "timestamp"),
        ("timestamp", "yesterday", "timestamp"),
        ("event_id", "x" * 10_000, "event_id"),
        ("order_id", "", "order_id"),
        ("order_id", 17, "order_id"),
        ("status_code", "S" * 65, "status_code"),
        ("kind", "rumour", "kind"),
        ("personal", "Li Ming", "personal"),
        ("recorded_at", "2026-03-01T00:00:00", "recorded_at"),
        ("format", 2, "format"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(field: str, value: object, path: str) -> None:
    with pytest.raises(Rejected) as caught:
        decoded(**{field: value})
    assert caught.value.code == "invalid_event"
    assert caught.value.reason.startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"order_id": "o\x1f1"}, "order_id"),
        ({"event_id": "e\n"}, "event_id"),
        ({"source": "\x1b[31m"}, "source"),
        ({"tenant": "a\x00"}, "tenant"),
        ({"waybill": "\x7f"}, "waybill"),
        ({"shipment": "\t"}, "shipment"),
        ({"zone": "UTC\r"}, "zone"),
    ],
)
def test_a_control_character_in_an_id_is_refused(changed: dict[str, Any], name: str) -> None:
    with pytest.raises(Rejected) as caught:
        decoded(**changed)
    assert str(caught.value) == f"invalid_event: {name}: holds a control character"


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "malformed_json", "it is empty"),
        (b"{", "malformed_json", "line 1, column 2: it was cut off"),
        (b"[]", "invalid_event", "it is a list; send an object"),
        (b"null", "invalid_event", "it is null; send an object"),
        (b"{}", "invalid_event", "event_id is missing"),
        (b'{"event_id":"\xff"}', "invalid_utf8", "byte 13 is not UTF-8"),
        (b'{"location":{"lat":NaN}}', "malformed_json", "NaN and Infinity are not JSON"),
        (b'{"event_id":"\\ud800"}', "malformed_json", r"a \u escape holds half a surrogate pair"),
        (b'{"event_id":"\\udc00 \\ud83d\\ude00"}', "malformed_json", "half a surrogate pair"),
        (b'{"event_id":"\\ud83dA"}', "malformed_json", "half a surrogate pair"),
        (b'{"x":["\\ude00\\ud83d"]}', "malformed_json", "half a surrogate pair"),
        (b'{"x":["\\ude00", -Infinity]}', "malformed_json", "half a surrogate pair"),
        (b'{"event_id":"\\\\ud800", "x":NaN}', "malformed_json", "NaN and Infinity"),
        (b'{"a":' + b"[" * 200_000, "malformed_json", "nested too deeply"),
        (b"x" * (MAX_EVENT_BYTES + 1), "too_large", "512001 bytes; at most 512000 are taken"),
    ],
)
def test_what_is_no_json_is_refused_with_its_reason(data: bytes, code: str, words: str) -> None:
    found = reason(data)
    assert found.code == code
    assert words in found.reason


@pytest.mark.parametrize("timestamp", ["9999-12-31T00:00:00Z", "2100-01-01T00:00:00Z"])
def test_an_implausible_time_is_refused(timestamp: str) -> None:
    with pytest.raises(Rejected, match=r"^implausible_time: timestamp: not between 1970 and 2100"):
        decoded(timestamp=timestamp)


def test_a_tick_is_a_promise_of_its_own() -> None:
    tick = decode_event(b'{"kind":"tick","recorded_at":"2026-03-01T00:00:00Z"}')
    assert isinstance(tick, Tick)
    assert tick.at == parse_instant("2026-03-01T00:00:00Z")
    with pytest.raises(Rejected, match=r"^implausible_time: recorded_at: "):
        decode_event(b'{"kind":"tick","recorded_at":"9999-03-01T00:00:00Z"}')


def test_an_event_a_day_ahead_is_taken_and_no_more() -> None:
    check_arrival(DAY_MS, 0)
    with pytest.raises(Rejected, match=r"^from_the_future: timestamp 1970-01-02T00:00:00.001Z is"):
        check_arrival(DAY_MS + 1, 0)


@given(st.binary(max_size=300))
def test_any_bytes_are_taken_or_rejected_and_nothing_else(data: bytes) -> None:
    try:
        decode_event(data)
    except Rejected as rejected:
        reason = rejected
    else:
        return
    assert reason.code
    assert "\n" not in reason.reason


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.sampled_from(sorted(Event.__struct_fields__)), ANY)
def test_any_value_of_any_field_is_taken_or_rejected(field: str, value: Any) -> None:  # noqa: ANN401 - any JSON
    try:
        decoded(**{field: value})
    except Rejected as rejected:
        assert rejected.reason  # noqa: PT017 - nothing else may be raised


@given(st.binary(max_size=20))
def test_whatever_is_taken_is_text_to_the_last_field(text: bytes) -> None:
    """Also in a field that we don't read: others do, with decoders that do."""
    said = json.dumps(GOOD).encode().replace(b"{", b'{"note":"%s",' % text, 1)
    try:
        decode_event(said)
    except Rejected:
        return
    said.decode()


def test_a_field_that_nobody_reads_is_refused_when_it_is_no_text() -> None:
    said = json.dumps(GOOD).encode().replace(b"{", b'{"note":"\xc9",', 1)
    assert str(reason(said)) == "invalid_utf8: byte 9 is not UTF-8"

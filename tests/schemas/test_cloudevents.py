"""CloudEvents: structured and binary ones equal our own format."""

import json
from typing import Any

import pytest

from schemas.cloudevents import Headers, read_message
from schemas.errors import Rejected
from schemas.event import Event

ENVELOPE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e1",
    "source": "shop",
    "type": "PAID",
    "time": "2026-03-01T00:00:00Z",
    "subject": "o1",
    "datacontenttype": "application/json",
    "traceparent": "00-abc",
    "data": {"promised_at": "2026-03-05", "customer_id": "c1"},
}


def binary(envelope: dict[str, Any]) -> Headers:
    named = {name: value for name, value in envelope.items() if name != "data"}
    return [("other", None), *((f"ce_{name}", str(v).encode()) for name, v in named.items())]


def read(data: bytes, headers: Headers) -> tuple[Event, dict[str, Any]]:
    event, kept = read_message(data, headers)
    assert isinstance(event, Event)
    return event, json.loads(kept)


def test_a_structured_event_is_read_with_its_extensions() -> None:
    event, kept = read(json.dumps(ENVELOPE).encode(), [])
    assert (event.event_id, event.order_id, event.status_code) == ("e1", "o1", "PAID")
    assert (event.source, event.promised_at, event.customer_id) == ("shop", "2026-03-05", "c1")
    assert kept["traceparent"] == "00-abc"
    assert "specversion" not in kept


def test_a_binary_event_says_the_same() -> None:
    structured = read(json.dumps(ENVELOPE).encode(), [])
    data = json.dumps(ENVELOPE["data"]).encode()
    assert read(data, binary(ENVELOPE)) == structured


def test_a_binary_event_needs_no_data() -> None:
    assert read(b"", binary(ENVELOPE))[0].event_id == "e1"


def test_what_the_data_says_goes_before_the_envelope() -> None:
    said = ENVELOPE | {"data": {"status_code": "SHIPPED", "order_id": "o2"}}
    event, _ = read(json.dumps(said).encode(), [])
    assert (event.status_code, event.order_id) == ("SHIPPED", "o2")


def test_our_own_format_passes_as_it_is() -> None:
    data = (
        b'{"event_id":"e1","order_id":"o1","status_code":"PAID","source":"shop",'
        b'"timestamp":"2026-03-01T00:00:00Z","remark":"a \\"specversion\\" in words"}'
    )
    assert read_message(data, [])[1] is data


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"specversion": "0.3"}, "specversion '0.3'; 1.0 is read"),
        ({"specversion": None}, "specversion None; 1.0 is read"),
        ({"data": [1]}, "data has to be a JSON object with the event's fields"),
        ({"data": "text"}, "data has to be a JSON object"),
    ],
)
def test_another_envelope_is_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(Rejected, match=r"^invalid_cloudevent: ") as caught:
        read_message(json.dumps(ENVELOPE | changed).encode(), [])
    assert words in caught.value.reason


@pytest.mark.parametrize("data", [b"{", b"\xff", b"[" * 200_000])
def test_binary_data_that_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(Rejected, match=r"^invalid_cloudevent: "):
        read_message(data, binary(ENVELOPE))


def test_a_header_that_is_no_utf8_is_refused() -> None:
    with pytest.raises(Rejected, match=r"^invalid_cloudevent: "):
        read_message(b"{}", [("ce_specversion", b"1.0"), ("ce_id", b"\xff")])


def test_a_missing_attribute_is_the_events_missing_field() -> None:
    without = {name: value for name, value in ENVELOPE.items() if name != "type"}
    with pytest.raises(Rejected, match=r"^invalid_event: status_code is missing$"):
        read_message(json.dumps(without).encode(), [])

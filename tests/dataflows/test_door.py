"""The door: no message ends a run; each ends as an order's event or as one dead letter."""

import json
import logging
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from broker.consume import Message, read_all
from dataflows.core.intake import Intake, Origin
from dataflows.decoding import Decoder
from dataflows.definition_files import read_lifecycle, read_rules
from dataflows.rejection import dead_message
from privacy.keys import MemoryKeyStore
from privacy.seal import open_event, seal_event
from schemas import topics
from schemas.errors import Busy, Rejected, StateError
from schemas.event import Event
from schemas.instants import parse_instant
from schemas.topics import ORDERS_EVENTS
from tests.support.engine import ROOT, Engine

Json = dict[str, Any]

AT = parse_instant("2018-01-31T10:15:00Z")
GOOD: Json = {
    "event_id": "e1",
    "source": "shop",
    "order_id": "o1",
    "status_code": "PAID",
    "timestamp": "2018-01-31T10:15:00Z",
}
CLOUD: Json = {
    "specversion": "1.0",
    "id": "c1",
    "source": "shop",
    "type": "PAID",
    "time": "2018-01-31T10:15:00Z",
    "subject": "o9",
}
TABLE = read_lifecycle()
INTAKE = Intake(TABLE, read_rules(None, TABLE))


def fails(error: Exception) -> Callable[..., Any]:
    """A port that raises."""

    def port(*_: object) -> Any:  # noqa: ANN401 - it never returns
        raise error

    return port


def as_it_is(data: bytes, _: object) -> bytes:
    """A port that seals nothing."""
    return data


def without(name: str, event: Json = GOOD) -> Json:
    return {key: value for key, value in event.items() if key != name}


POISON: dict[str, tuple[bytes, str]] = {
    "references without a number": (
        json.dumps(without("order_id") | {"references": {"erp": []}}).encode(),
        "no_order",
    ),
    "a kind of reference after another without numbers": (
        json.dumps(without("order_id") | {"references": {"a": [], "b": []}}).encode(),
        "no_order",
    ),
    "half a character in a structured CloudEvent": (
        json.dumps(CLOUD | {"subject": "\ud800"}).encode(),
        "malformed_json",
    ),
    "half a character in the data of a CloudEvent": (
        json.dumps(CLOUD | {"data": {"remark": "\udfff"}}).encode(),
        "malformed_json",
    ),
    "a CloudEvent that isn't UTF-8": (
        json.dumps(CLOUD).encode().replace(b"shop", b"sh\xffp"),
        "invalid_utf8",
    ),
    "a deep CloudEvent": (
        b'{"specversion":"1.0","data":' + b"[" * 100_000,
        "malformed_json",
    ),
    "a CloudEvent with a number beyond 64 bits": (
        json.dumps(CLOUD | {"data": {"waybill": 10**999}}).encode(),
        "invalid_number",
    ),
    "NaN in a CloudEvent": (
        json.dumps(CLOUD | {"data": {"x": float("nan")}}).encode(),
        "malformed_json",
    ),
    "no bytes": (b"", "malformed_json"),
    "only a byte-order mark": (b"\xef\xbb\xbf", "malformed_json"),
    "UTF-16": (json.dumps(GOOD).encode("utf-16"), "invalid_utf8"),
    "a text": (b'"specversion"', "invalid_event"),
    "over the limit": (json.dumps(GOOD | {"note": "x" * 512_000}).encode(), "too_large"),
    "a control character in an id": (
        json.dumps(GOOD | {"order_id": "a\x9bb"}).encode(),
        "invalid_event",
    ),
}


def test_no_message_ends_a_run_and_each_is_a_dead_letter(engine: Engine) -> None:
    engine.feed([GOOD])
    for value, _ in POISON.values():
        engine.feed_raw(value)
    engine.feed_raw(b"{}", [("ce_specversion", b"1.0"), ("ce_id", b"\xff")])
    engine.tick(AT + 60_000)
    engine.start()
    engine.wait_for_clock(AT + 60_000)
    engine.stop()
    letters = read_all(engine.connection, topics.EVENTS_REJECTED)
    codes = Counter(dict(letter.headers)[topics.HEADER_CODE] for letter in letters)
    expected = Counter(code.encode() for _, code in POISON.values())
    assert codes == expected + Counter([b"invalid_cloudevent"])
    accepted = list(read_all(engine.connection, topics.ORDERS_EVENTS))
    assert len(accepted) == 1
    assert "Traceback" not in engine.output()


def test_a_header_whose_name_is_not_utf_8_costs_its_message_alone(engine: Engine) -> None:
    """The client raises at such a message, whatever it is, and would at every start."""
    kcat = shutil.which("kcat") or shutil.which("kafkacat")
    if kcat is None:
        pytest.skip("kcat is not installed: apt-get install kcat")
    bootstrap = engine.connection.bootstrap
    place = ("-b", bootstrap, "-t", topics.EVENTS, "-p", "0")
    command: list[str | bytes] = [kcat, "-P", *place, "-H", b"ce_\xff=1"]
    subprocess.run(command, input=json.dumps(GOOD).encode(), check=True, timeout=60)
    engine.feed([GOOD | {"event_id": "e2"}])
    engine.tick(AT + 60_000)
    engine.start()
    engine.wait_for_clock(AT + 60_000)
    engine.stop()
    (letter,) = read_all(engine.connection, topics.EVENTS_REJECTED)
    told = dict(letter.headers)
    assert told[topics.HEADER_CODE] == b"invalid_cloudevent"
    assert b"header" in (told[topics.HEADER_REASON] or b"")
    assert set(told) <= {*topics.LETTER_HEADERS}
    assert json.loads(letter.value or b"") == GOOD
    assert len(list(read_all(engine.connection, topics.ORDERS_EVENTS))) == 1
    assert "Traceback" not in engine.output()


@pytest.mark.parametrize("name", POISON)
def test_a_message_that_is_no_event_is_rejected_with_its_code(name: str) -> None:
    value, code = POISON[name]
    with pytest.raises(Rejected) as caught:
        Decoder(INTAKE, as_it_is, as_it_is).read(value, [])
    assert caught.value.code == code


def read_good(decoder: Decoder) -> tuple[Event, bytes]:
    event, data = decoder.read(json.dumps(GOOD | {"personal": {"name": "Li"}}).encode(), [])
    assert isinstance(event, Event)
    return event, data


def test_a_fault_of_ours_is_a_rejection_of_its_own_and_logged_once_with_its_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    decoder = Decoder(INTAKE, fails(KeyError("a secret of Li Ming")), as_it_is)
    for _ in range(3):
        with pytest.raises(Rejected) as caught:
            decoder.decode(*read_good(decoder), AT, Origin("events", 0, 0))
        assert caught.value.code == "internal_fault"
        assert "KeyError in port" in caught.value.reason
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "tests/dataflows/test_door.py" in record.getMessage()
    assert "Li Ming" not in record.getMessage()


def test_two_kinds_of_faults_are_logged_each(caplog: pytest.LogCaptureFixture) -> None:
    decoder = Decoder(INTAKE, as_it_is, as_it_is)
    for fault in (KeyError(), ValueError(), KeyError()):
        decoder.seal = fails(fault)
        with pytest.raises(Rejected):
            decoder.decode(*read_good(decoder), AT, Origin("events", 0, 0))
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    "error",
    [Busy("broker away"), OSError(28, "No space left"), MemoryError(), StateError("keys.json")],
)
def test_what_is_not_about_the_message_still_stops(error: Exception) -> None:
    decoder = Decoder(INTAKE, fails(error), fails(error))
    with pytest.raises(type(error)):
        decoder.decode(*read_good(decoder), AT, Origin("events", 0, 0))
    with pytest.raises(type(error)):
        decoder.original(b"{}", [])


def test_ctrl_c_is_no_fault_of_a_message() -> None:
    def interrupted(_: bytes, __: Event) -> bytes:
        raise KeyboardInterrupt

    decoder = Decoder(INTAKE, interrupted, as_it_is)
    with pytest.raises(KeyboardInterrupt):
        decoder.decode(*read_good(decoder), AT, Origin("events", 0, 0))


def message(value: bytes, headers: list[tuple[str, bytes | None]]) -> Message:
    return Message("events", 3, 17, AT, b"key", value, headers)


def test_an_original_that_cannot_be_sealed_is_described_and_not_kept() -> None:
    decoder = Decoder(INTAKE, as_it_is, fails(ValueError()))
    dead = dead_message(message(b'{"personal":1', [("ce_id", b"1")]), Rejected("x", "y"), decoder)
    assert (dead.data, dead.headers, dead.size_bytes) == (None, [], 13)
    assert len(dead.sha256) == 64


def test_the_headers_of_an_original_stay_and_ours_do_not() -> None:
    decoder = Decoder(INTAKE, as_it_is, as_it_is)
    headers = [("ce_id", b"1"), ("code", b"forged"), ("traceparent", None), ("ce_x", b"2")]
    dead = dead_message(message(b"{}", headers), Rejected("x", "y"), decoder)
    assert dead.headers == [("ce_id", b"1"), ("traceparent", None), ("ce_x", b"2")]


def test_personal_data_in_a_header_is_sealed() -> None:
    sealed: list[bytes] = []

    def hide(data: bytes, _: object) -> bytes:
        sealed.append(data)
        return b"sealed"

    dead = dead_message(
        message(b"{}", [("ce_Personal", b"Li Ming")]),
        Rejected("x", "y"),
        Decoder(INTAKE, as_it_is, hide),
    )
    assert dead.headers == [("ce_Personal", b"sealed")]
    assert json.loads(sealed[1]).keys() == {"personal"}


@pytest.mark.parametrize(
    "numbers",
    [
        {"order_id": "o1", "waybill": "N/A"},
        {"order_id": "o1", "waybill": "W1", "references": {"erp": ["-", "SO-1"], "box": "0"}},
        {"references": {"erp": "none", "wms": "SO-1"}},
    ],
)
def test_personal_data_beside_a_number_that_stands_for_none_can_be_opened(numbers: Json) -> None:
    """It is sealed for the other numbers, by which it is found again."""
    keystore = MemoryKeyStore()
    decoder = Decoder(INTAKE, lambda data, event: seal_event(data, event, keystore), as_it_is)
    event = without("order_id") | {"personal": {"name": "Li"}, **numbers}
    for _ in range(2):
        read, data = decoder.read(json.dumps(event).encode(), [])
        assert isinstance(read, Event)
        decoded = decoder.decode(read, data, AT, Origin("events", 0, 0))
        fact = decoded.fact or (decoded.question and decoded.question.fact)
        assert fact
        assert open_event(fact.raw, keystore) == {"name": "Li"}
        event = json.loads(fact.raw)  # as an archive that is replayed brings it


@pytest.mark.parametrize("last", [b"null", b"{}"])
def test_personal_data_before_a_field_that_comes_again_is_not_kept(last: bytes) -> None:
    """The last value of a field counts; what stood before it is in no topic and no tier."""
    decoder = Decoder(INTAKE, as_it_is, as_it_is)
    for name in (b"personal", b"p\\u0065rsonal"):
        start = b'{"' + name + b'": {"name": "Ada"}, "personal": ' + last + b", "
        data = start + json.dumps(GOOD).encode()[1:]
        event, data = decoder.read(data, [])
        assert isinstance(event, Event)
        fact = decoder.decode(event, data, AT, Origin("events", 0, 0)).fact
        assert fact is not None
        assert b"Ada" not in fact.raw
        assert json.loads(fact.raw) == GOOD | {"personal": json.loads(last)}


def test_unusable_fields_cost_only_themselves_in_every_form_of_an_event(engine: Engine) -> None:
    """Named on orders.events and counted; what they held is on no topic but the sender's."""
    secret = "Li Ming, 1 High Street"
    engine.feed(
        [
            GOOD | {"promised_at": secret, "carrier": 7, "personal": {"name": secret}},
            GOOD | {"event_id": "e2", "source": "carrier:x", "status_code": "ALERT"},
        ]
    )
    structured = CLOUD | {"data": {"location": {"lat": 91, "name": "Hub"}, "operator": [secret]}}
    engine.feed_raw(json.dumps(structured).encode())
    headers: list[tuple[str, bytes | None]] = [
        (f"ce_{name}", value.encode()) for name, value in (CLOUD | {"id": "c2"}).items()
    ]
    data = {"references": {"erp": [7, "SO-1"]}, "attributes": {"cold_chain": secret}}
    engine.feed_raw(json.dumps(data).encode(), headers)
    engine.tick(AT + 60_000)
    engine.start()
    engine.wait_for_clock(AT + 60_000)
    counted = engine.metrics()
    engine.stop()
    accepted = [json.loads(one.value or b"") for one in read_all(engine.connection, ORDERS_EVENTS)]
    dropped = {e["event"]["event_id"]: e["event"].get("dropped_fields") for e in accepted}
    assert dropped == {
        "e1": ["promised_at", "carrier"],
        "e2": None,
        "c1": ["location.lat", "operator"],
        "c2": ["references.erp", "attributes.cold_chain"],
    }
    alert = next(e for e in accepted if e["event"]["event_id"] == "e2")
    assert (alert["status"], alert["event"]["status_code"]) == ("SCAN", "ALERT")
    for field in ("promised_at", "carrier", "location", "operator", "references", "attributes"):
        assert counted[f'fields_dropped_total{{code="unusable",field="{field}"}}'] == 1
    assert counted['unknown_codes_total{carrier="x",code="ALERT"}'] == 1
    for topic in topics.TOPICS:
        if topic.name != topics.EVENTS:
            for one in read_all(engine.connection, topic.name):
                assert b"High Street" not in (one.value or b"")
    assert "High Street" not in engine.output()


def test_a_rejected_binary_cloudevent_comes_back_whole(engine: Engine) -> None:
    """Replayed, it is rejected for the same reason, and not because its envelope is missing."""
    headers: list[tuple[str, bytes | None]] = [
        (f"ce_{name}", value.encode()) for name, value in CLOUD.items() if name != "type"
    ]
    engine.feed_raw(b'{"note": "gift"}', [*headers, ("ce_type", b"GIFT_WRAPPED")])
    engine.tick(AT + 60_000)
    engine.start()
    engine.wait_for_clock(AT + 60_000)
    engine.stop()
    replay = [sys.executable, "run.py", "rejected", "replay", "--settings"]
    settings = str(engine.folder / "settings.toml")
    ran = subprocess.run([*replay, settings], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "1 written to events" in ran.stdout
    engine.tick(AT + 120_000)
    engine.start()
    engine.wait_for_clock(AT + 120_000)
    engine.stop()
    letters = list(read_all(engine.connection, topics.EVENTS_REJECTED))
    assert [dict(letter.headers)[topics.HEADER_CODE] for letter in letters] == [
        b"unknown_status",
        b"unknown_status",
    ]
    assert all(dict(letter.headers)["ce_subject"] == b"o9" for letter in letters)

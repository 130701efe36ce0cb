"""Messages become records, or fail with a clear reason."""

import msgspec
import pytest

from schemas.errors import Rejected
from schemas.instants import DAY_MS, format_instant
from storage_tiering.records import clock_of, decode
from storage_tiering.tier import EventRecord, OrderRecord
from tests.support.tiers.orders import (
    START,
    Log,
    LogMessage,
    accepted,
    document,
    heartbeat,
    message,
)


def change() -> LogMessage:
    return message(Log().changes(document())[0], clock=START)


def event() -> LogMessage:
    return message(Log().events(accepted())[0], clock=START)


def test_a_change_an_event_and_a_retirement_come_out_as_they_went_in() -> None:
    log = Log()
    orders = [*log.changes(document()), log.retirement("a", 4)]
    records: list[OrderRecord | EventRecord] = [*orders, *log.events(accepted())]
    for record in records:
        assert decode(message(record)) == record


def test_the_clock_rides_in_a_header() -> None:
    assert clock_of(change()) == START
    assert clock_of(msgspec.structs.replace(change(), headers=[])) is None
    assert clock_of(msgspec.structs.replace(change(), headers=[("clock", b"soon")])) is None
    assert clock_of(msgspec.structs.replace(change(), headers=[("clock", None)])) is None


def test_a_clock_that_has_not_begun_is_none_and_not_the_year_1970() -> None:
    assert clock_of(msgspec.structs.replace(change(), headers=[("clock", b"0")])) is None


def test_a_heartbeat_is_no_record() -> None:
    assert decode(heartbeat(Log(), START)) is None


def test_an_order_without_last_event_counts_from_the_clock_that_came_with_it() -> None:
    (record,) = Log().changes(document(updated_at=START))
    bare = msgspec.structs.replace(document(), updated_at=None)
    data = msgspec.json.encode(bare)
    decoded = decode(msgspec.structs.replace(message(record, clock=START + 7), value=data))
    assert decoded is not None
    assert getattr(decoded, "changed_at", None) == START + 7


@pytest.mark.parametrize(
    ("good", "changes", "code", "reason"),
    [
        (change(), {"value": b"{"}, "unreadable_value", "no order document"),
        (change(), {"value": b""}, "unreadable_value", "no order document"),
        (change(), {"value": b"\xff"}, "unreadable_value", "no order document"),
        (change(), {"value": b"[" * 100_000}, "unreadable_value", "no order document"),
        (change(), {"value": event().value}, "unreadable_value", " is missing"),
        (change(), {"key": b"another"}, "wrong_key", "the value is of default/e481f51c"),
        (change(), {"key": None}, "wrong_key", "the value is of default/e481f51c"),
        (change(), {"key": b"\xff\xfe"}, "unreadable_key", "not UTF-8"),
        (change(), {"topic": "weather"}, "unknown_topic", "weather holds no changes"),
        (event(), {"value": None}, "unreadable_value", "no accepted event"),
        (event(), {"value": b"{}"}, "unreadable_value", " is missing"),
        (event(), {"key": b"another"}, "wrong_key", "the value is of default/e481f51c"),
    ],
)
def test_what_is_no_record_has_one_clear_reason(
    good: LogMessage, changes: dict[str, object], code: str, reason: str
) -> None:
    with pytest.raises(Rejected, match=reason) as rejected:
        decode(msgspec.structs.replace(good, **changes))
    assert rejected.value.code == code


def test_an_instant_without_offset_is_refused() -> None:
    naive = msgspec.structs.replace(document(), updated_at="2017-10-02T10:56:33")
    data = msgspec.json.encode(naive)
    with pytest.raises(Rejected, match="no UTC offset"):
        decode(msgspec.structs.replace(change(), value=data))


def test_an_alert_long_after_the_last_event_counts_as_a_change() -> None:
    record = Log().changes(document(updated_at=START, open_alerts=[alert(START + 9_000_000)]))[0]
    assert record.changed_at == START + 9_000_000


def test_an_escalation_long_after_the_last_event_counts_as_a_change() -> None:
    escalated = alert(START) | {"escalated_at": format_instant(START + 9_000_000)}
    record = Log().changes(document(updated_at=START, open_alerts=[escalated]))[0]
    assert record.changed_at == START + 9_000_000


def test_an_old_order_that_is_caught_up_with_did_not_change_now() -> None:
    """Documents of a dataflow that was behind carry a clock far after the last change."""
    record = Log().changes(document(updated_at=START, open_alerts=[alert(START + 9_000_000)]))[0]
    late = msgspec.structs.replace(record, clock_at=START + 400 * DAY_MS)
    assert late.changed_at == START + 9_000_000


@pytest.mark.parametrize("name", ["opened_at", "escalated_at"])
def test_an_alert_that_began_at_no_time_is_refused(name: str) -> None:
    opened = alert(START) | {name: "yesterday"}
    data = msgspec.json.encode(document(open_alerts=[opened]))
    with pytest.raises(Rejected, match="no order document"):
        decode(msgspec.structs.replace(change(), value=data))


def alert(opened_at: int) -> dict[str, object]:
    at = format_instant(opened_at)
    because = {
        "anchor": "last_update",
        "anchor_event": "b77bbb5d59dbdfd6",
        "anchor_at": at,
        "limit": "2d",
        "due_at": at,
        "last_event": "PAID",
        "last_event_at": at,
    }
    opened = {"alert_id": "cdc45907", "rule": "carrier_silent", "severity": "warning"}
    return opened | {"opened_at": at, "because": because}

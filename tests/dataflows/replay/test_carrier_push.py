"""Real pushes of carriers beside a shop's order, through `ordertide replay`."""

from datetime import timedelta
from pathlib import Path

import pytest

from dataflows.carriers.installed import open_carrier
from schemas.instants import DAY_MS, HOUR_MS, format_instant, parse_instant
from tests.support.carrier_samples import PAYLOADS, SAMPLES
from tests.support.recording import Json, replay, written

STO = "kuaidi100/push_sto_70h_gap_same_second_events.json"
JD = "kuaidi100/push_jd_resultv2_advanced_states.json"
SF = "sf/RoutePushService_request.json"

BEFORE_THE_GAP = parse_instant("2015-12-31T15:59:05Z")
AFTER_THE_GAP = parse_instant("2016-01-03T14:01:58Z")
A_YEAR_MS = timedelta(days=365) // timedelta(milliseconds=1)


def pushed(push: str, arrival_at: int | None = None) -> list[Json]:
    """The events that the plug-in makes of a push, arriving as they happen or at once."""
    name = push.partition("/")[0]
    sample = SAMPLES[name]
    payload = (PAYLOADS / push).read_text("utf-8")
    events = open_carrier(name, sample.settings).events(sample.body(payload))
    if arrival_at is None:
        return events
    return [event | {"recorded_at": format_instant(arrival_at)} for event in events]


def shop_order(push: str, paid_at: str) -> Json:
    """The shop's order with the waybill of the push."""
    return {
        "event_id": "paid",
        "order_id": "o1",
        "source": "shop",
        "status_code": "PAID",
        "timestamp": paid_at,
        "references": {"waybill": pushed(push)[0]["waybill"]},
    }


STO_ORDER = shop_order(STO, "2015-12-31T10:00:00Z")
UNTIL_SPRING = ("--until", "2016-03-01T00:00:00Z")


def test_the_sto_parcel_is_silent_once_48_hours_after_the_scan_before_the_gap(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "sto.ndjson", [STO_ORDER, *pushed(STO)])
    results = replay(tmp_path / "out", path, *UNTIL_SPRING)
    assert results.told("carrier_silent") == [
        ("opened", format_instant(BEFORE_THE_GAP + 48 * HOUR_MS)),
        ("resolved", format_instant(AFTER_THE_GAP)),
    ]
    order = results.order("o1")
    assert (order["status"], order["flags"]) == ("DELIVERED", [])
    assert [parcel["status"] for parcel in order["shipments"]] == ["DELIVERED"]


def test_the_alert_names_the_scan_before_the_gap(tmp_path: Path) -> None:
    path = written(tmp_path / "sto.ndjson", [STO_ORDER, *pushed(STO)])
    results = replay(tmp_path / "out", path, *UNTIL_SPRING)
    (opened,) = [row for row in results.rows("alerts") if row["state"] == "opened"]
    assert opened["because"] | {"anchor_event": ""} == {
        "anchor": "last_update",
        "anchor_event": "",
        "anchor_at": format_instant(BEFORE_THE_GAP),
        "due_at": format_instant(BEFORE_THE_GAP + 48 * HOUR_MS),
        "last_event": "IN_TRANSIT",
        "last_event_at": format_instant(BEFORE_THE_GAP),
        "limit": "2d",
        "shipment": "227213779832",
    }


@pytest.mark.parametrize(("days", "fate"), [(170, "duplicate"), (365, "rejected")])
def test_the_same_push_long_after_changes_nothing_and_alerts_nobody(
    days: int, fate: str, tmp_path: Path
) -> None:
    first = [STO_ORDER, *pushed(STO)]
    pushed_at = BEFORE_THE_GAP + days * DAY_MS
    again = pushed(STO, pushed_at)
    until = ("--until", format_instant(pushed_at + 8 * DAY_MS))
    one = replay(tmp_path / "one", written(tmp_path / "one.ndjson", first), *until)
    two = replay(tmp_path / "two", written(tmp_path / "two.ndjson", first + again), *until)
    assert two.exact() == one.exact()
    assert two.summary[f"events_{fate}"] == len(again)
    assert {row["code"] for row in two.rows("rejected")} <= {"unknown_reference"}


def test_a_year_old_push_of_a_parcel_nobody_knows_makes_no_order(tmp_path: Path) -> None:
    events = pushed(STO, BEFORE_THE_GAP + A_YEAR_MS)
    until = ("--until", format_instant(BEFORE_THE_GAP + A_YEAR_MS + 8 * DAY_MS))
    results = replay(tmp_path / "out", written(tmp_path / "sto.ndjson", events), *until)
    assert set(results.exact().values()) == {b""}
    assert {row["code"] for row in results.rows("rejected")} == {"unknown_reference"}
    assert len(results.rows("rejected")) == len(events)


def test_the_whole_history_in_every_push_counts_once(tmp_path: Path) -> None:
    """Kuaidi100 sends all scans with every new one."""
    scans = pushed(STO)
    pushes = [
        event | {"recorded_at": newest["timestamp"]}
        for start, newest in enumerate(scans)
        for event in scans[start:]
    ]
    plain = replay(
        tmp_path / "one", written(tmp_path / "one.ndjson", [STO_ORDER, *scans]), *UNTIL_SPRING
    )
    every = replay(
        tmp_path / "all", written(tmp_path / "all.ndjson", [STO_ORDER, *pushes]), *UNTIL_SPRING
    )
    assert every.exact() == plain.exact()
    assert every.summary["events_duplicate"] == len(pushes) - len(scans)


def test_a_parcel_in_a_locker_is_not_signed_for_and_its_customer_is_reminded(
    tmp_path: Path,
) -> None:
    events = [shop_order(JD, "2022-06-29T10:00:00Z"), *pushed(JD)]
    path = written(tmp_path / "jd.ndjson", events)
    results = replay(tmp_path / "out", path, "--until", "2022-07-04T00:00:00Z")
    order = results.order("o1")
    assert (order["status"], order["shipments"][0]["status"]) == ("SHIPPED", "READY_FOR_PICKUP")
    assert "DELIVERED" not in order["milestones"]
    in_locker_at = parse_instant("2022-06-30T02:34:33Z")
    waits = [("opened", format_instant(in_locker_at + 3 * DAY_MS))]
    assert results.told("pickup_waiting") == waits
    assert [*results.told("carrier_silent"), *results.told("unsigned")] == []
    assert "remind_customer" in {row["kind"] for row in results.rows("actions")}


@pytest.mark.parametrize("is_reversed", [False, True])
def test_sf_nodes_of_the_same_second_are_both_kept_the_older_rank_first(
    tmp_path: Path,
    is_reversed: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    nodes = pushed(SF)[:: -1 if is_reversed else 1]
    path = written(tmp_path / "sf.ndjson", [*nodes, shop_order(SF, "2020-05-11T01:00:00Z")])
    results = replay(tmp_path / "out", path)
    order = results.order("o1")
    at = "2020-05-11T08:56:54.000Z"
    assert order["milestones"] == {
        "PAID": "2020-05-11T01:00:00.000Z",
        "COLLECTED": at,
        "SHIPPED": at,
        "IN_TRANSIT": at,
    }
    assert (order["shipments"][0]["status"], order["flags"]) == ("IN_TRANSIT", [])


def test_what_a_carrier_writes_about_people_is_in_no_result(tmp_path: Path) -> None:
    texts = [str(event["personal"]["text"]) for event in pushed(STO)]
    unmapped = {**pushed(STO)[0], "event_id": "x", "status_code": "NEW_CODE"}
    path = written(tmp_path / "sto.ndjson", [STO_ORDER, *pushed(STO), unmapped])
    results = replay(tmp_path / "out", path)
    assert results.rows("rejected") == []  # a code that isn't known is a sign of life
    for file in results.folder.iterdir():
        said = file.read_bytes().decode()
        assert not any(text in said for text in texts)

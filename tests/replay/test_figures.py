"""Every figure of the real data sets, through `ordertide replay`."""

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from commands.replay import replay
from dataflows.carriers.installed import open_carrier
from examples.cargo2000 import adapter as cargo2000
from examples.olist import adapter as olist
from schemas.instants import DAY_MS, HOUR_MS, format_instant, parse_instant
from tests.contracts.carrier_samples import kuaidi100_push

UNTIL = parse_instant("2018-12-31T00:00:00-03:00")
PAYLOADS = Path(__file__).resolve().parents[1] / "data" / "payloads"
SALT = "a-salt-of-some-length"
STO = "push_sto_70h_gap_same_second_events.json"
TABLES = ("orders.ndjson", "alerts.ndjson", "actions.ndjson", "audit.ndjson")


def write(path: Path, events: list[dict[str, Any]]) -> str:
    path.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in events))
    return str(path)


def rows(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / name).read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def sample() -> list[dict[str, Any]]:
    return list(olist.events())


@pytest.fixture(scope="module")
def olist_run(sample: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("olist")
    replay((write(folder / "events.ndjson", sample),), None, None, UNTIL, 1, folder / "out")
    return folder / "out"


def test_olist_gives_the_figures_computed_from_its_columns(olist_run: Path) -> None:
    summary = json.loads((olist_run / "summary.json").read_text("utf-8"))
    assert summary["events_read"] == 19_762
    for fate in ("rejected", "duplicate", "waiting", "refused"):
        assert summary[f"events_{fate}"] == 0
    assert summary["orders"] == 4_998
    assert summary["orders_by_status"] == {
        "DELIVERED": 4_856,
        "PAID": 68,
        "PENDING_PAYMENT": 10,
        "SHIPPED": 64,
    }
    assert summary["alerts_opened_by_rule"] == {
        "carrier_silent": 4_367,
        "late_delivery": 616,
        "late_shipping": 1_623,
        "unpaid": 895,
    }
    assert summary["alerts_escalated_by_rule"] == {"late_delivery": 534}
    assert summary["flags"] == {"out_of_sequence": 74}


def test_of_the_overdue_orders_392_came_late_and_142_not_at_all(olist_run: Path) -> None:
    escalated = {
        a["order_id"] for a in rows(olist_run, "alerts.ndjson") if a["state"] == "escalated"
    }
    delivered = {
        o["order_id"] for o in rows(olist_run, "orders.ndjson") if o["status"] == "DELIVERED"
    }
    assert len(escalated & delivered) == 392
    assert len(escalated - delivered) == 142


@pytest.mark.parametrize("workers", [1, 3])
def test_the_same_events_give_the_same_bytes(
    sample: list[dict[str, Any]], olist_run: Path, tmp_path: Path, rng: random.Random, workers: int
) -> None:
    shuffled = sample + rng.sample(sample, 500)
    rng.shuffle(shuffled)
    half = len(shuffled) // 2
    files = (
        write(tmp_path / "a.ndjson", shuffled[:half]),
        write(tmp_path / "b.ndjson", shuffled[half:]),
    )
    replay(files, None, None, UNTIL, workers, tmp_path / "out")
    for table in TABLES:
        assert (tmp_path / "out" / table).read_bytes() == (olist_run / table).read_bytes(), table


def test_cargo_2000_brings_its_own_lifecycle_and_rules(tmp_path: Path) -> None:
    home = Path(cargo2000.__file__).parent
    events = write(tmp_path / "events.ndjson", list(cargo2000.events()))
    summary = replay(
        (events,), home / "rules.toml", home / "lifecycle.toml", None, 1, tmp_path / "out"
    )
    opened = summary["alerts_opened_by_rule"]
    assert summary["orders"] == 3_942
    assert opened.pop("late_end_to_end") == 1_048
    assert sum(opened.values()) == 20_258


def sto_push(later_ms: int = 0) -> list[dict[str, Any]]:
    payload = (PAYLOADS / "kuaidi100" / STO).read_text("utf-8")
    carrier = open_carrier("kuaidi100", {"salt": SALT})
    events = carrier.events(kuaidi100_push(payload, SALT)[1])
    for event in events:
        event["recorded_at"] = format_instant(parse_instant(event["timestamp"]) + later_ms)
    return events


def shop_order() -> dict[str, Any]:
    return {
        "event_id": "paid",
        "source": "shop",
        "order_id": "sto-order",
        "status_code": "PAID",
        "timestamp": "2015-12-31T18:00:00+08:00",
        "references": {"waybill": ["227213779832"]},
    }


def test_the_sto_parcel_is_silent_once_and_resolves_with_the_next_scan(tmp_path: Path) -> None:
    events = [shop_order(), *sto_push()]
    replay((write(tmp_path / "e.ndjson", events),), None, None, None, 1, tmp_path / "out")
    silent = [a for a in rows(tmp_path / "out", "alerts.ndjson") if a["rule"] == "carrier_silent"]
    before_the_gap = parse_instant("2015-12-31T23:59:05+08:00")
    assert [(a["state"], parse_instant(a["at"])) for a in silent] == [
        ("opened", before_the_gap + 48 * HOUR_MS),
        ("resolved", parse_instant("2016-01-03T22:01:58+08:00")),
    ]
    order = rows(tmp_path / "out", "orders.ndjson")[0]
    assert (order["status"], order["shipments"][0]["status"]) == ("DELIVERED", "DELIVERED")


def test_the_same_push_a_year_later_changes_nothing_and_alerts_nobody(tmp_path: Path) -> None:
    once = [shop_order(), *sto_push()]
    until = parse_instant("2017-06-01T00:00:00Z")
    replay((write(tmp_path / "a.ndjson", once),), None, None, until, 1, tmp_path / "once")
    again = [*once, *sto_push(365 * DAY_MS)]
    summary = replay(
        (write(tmp_path / "b.ndjson", again),), None, None, until, 1, tmp_path / "twice"
    )
    assert summary["events_duplicate"] == len(sto_push())
    for table in TABLES:
        assert (tmp_path / "twice" / table).read_bytes() == (tmp_path / "once" / table).read_bytes()


def test_six_months_imported_at_once_send_no_stale_action(
    sample: list[dict[str, Any]], tmp_path: Path
) -> None:
    now = "2018-09-30T00:00:00.000Z"
    start = parse_instant("2018-03-01T00:00:00Z")
    imported = [
        {**event, "recorded_at": now}
        for event in sample
        if start <= parse_instant(event["timestamp"]) < parse_instant("2018-09-01T00:00:00Z")
    ]
    files = (write(tmp_path / "e.ndjson", imported),)
    summary = replay(files, None, None, None, 1, tmp_path / "out")
    assert summary["actions_by_kind"] == {}
    missed = [e for e in rows(tmp_path / "out", "audit.ndjson") if e["what"] == "deadline.missed"]
    assert missed

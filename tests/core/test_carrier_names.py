"""Names of carriers: compared as one where they are one's, and shown as they came."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dataflows.carriers.wording import canonical_names, tables
from dataflows.core.carrier_names import CarrierNames, plain
from dataflows.core.lifecycle_check import parse_lifecycle
from dataflows.core.rules_check import parse_rules
from schemas.errors import SettingsError
from tests.support.recording import Json, replay, written
from tests.support.stage import TABLE, Stage, day, sent

LIFECYCLE = Path(__file__).resolve().parents[2] / "dataflows" / "core" / "lifecycle.toml"
BY_CARRIER = """version = 1
[[rule]]
id = "by_carrier"
{per}statuses = ["PAID"]
anchor = "created"
when = 'has(order.carrier) && order.carrier in ["sf", "DHL"]'
severity = "warning"
"""


def test_the_lifecycle_has_the_names_of_the_carriers_tables() -> None:
    written_down = tomllib.loads(LIFECYCLE.read_text("utf-8"))["carriers"]
    shipped = {
        table.carrier.code: {plain(name) for name in (table.carrier.code, *table.carrier.aliases)}
        for table in tables().values()
        if table.carrier
    }
    found = {code: {plain(name) for name in (code, *row)} for code, row in written_down.items()}
    assert found == shipped
    assert all(TABLE.carriers.code(name) == code for name, code in canonical_names().items())


@pytest.mark.parametrize(
    ("name", "code", "compared"),
    [
        ("sf", "sf", "sf"),
        ("SF", "sf", "sf"),
        ("ＳＦ", "sf", "sf"),
        ("Shun Feng", "sf", "sf"),
        ("顺丰 速运", "sf", "sf"),
        ("DHL", "DHL", "dhl"),
        ("dhl", "dhl", "dhl"),
        ("shunfeng2", "shunfeng2", "shunfeng2"),
    ],
)
def test_a_carrier_is_compared_by_its_code_whatever_it_is_called(
    name: str, code: str, compared: str
) -> None:
    assert TABLE.carriers.code(name) == code
    assert TABLE.carriers.compared(name) == compared


def test_a_lifecycle_without_carriers_has_no_other_names() -> None:
    names = CarrierNames({})
    assert names.code("shunfeng") == "shunfeng"
    assert names.compared("shunfeng") != names.compared("sf")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ('a = ["Same"]\nb = ["sa me"]', "carriers: 'same' is a name of a, b"),
        ('a = ["b"]\nb = []', "carriers: 'b' is a name of a, b"),
        ('a = [" "]', "carriers: 'a' has a blank name"),
    ],
)
def test_a_name_of_two_carriers_is_a_fault_of_the_lifecycle(rows: str, reason: str) -> None:
    text = LIFECYCLE.read_text("utf-8").replace("[carriers]\n", f"[carriers]\n{rows}\n")
    with pytest.raises(SettingsError, match=r"^own\.toml:\d+: ") as caught:
        parse_lifecycle(text, "own.toml")
    assert reason in str(caught.value)


def shared_number(ours: str, others: str, scans: str) -> list[Json]:
    """Two orders that share a number, each with a carrier, and a scan of one of these."""
    events = [
        sent(code, at, order_id=order, carrier=carrier, references={"waybill": "W1"})
        for order, carrier in (("o1", ours), ("o2", others))
        for code, at in (("PAID", day(0)),)
    ]
    scan = sent("DELIVERED", day(1), source="carrier:x", waybill="W1", carrier=scans)
    del scan["order_id"]
    return [{**event, "event_id": f"e{n}"} for n, event in enumerate([*events, scan])]


@pytest.mark.parametrize(
    ("ours", "others", "scans"),
    [
        ("shunfeng", "sto", "sf"),
        ("sf", "申通", "顺丰速运"),
        ("SF", "shentong", "shunfeng"),
        ("DHL", "ups", "dhl"),
    ],
)
def test_a_scan_is_the_order_of_its_carrier_by_any_name(
    ours: str, others: str, scans: str, tmp_path: Path
) -> None:
    events = shared_number(ours, others, scans)
    results = replay(tmp_path / "out", written(tmp_path / "events.ndjson", events))
    assert (results.order("o1")["status"], results.order("o2")["status"]) == ("DELIVERED", "PAID")
    [parcel] = results.order("o1")["shipments"]
    assert parcel["carrier"] == scans, "shown as it came"


def test_a_users_own_names_count_in_a_replay(tmp_path: Path) -> None:
    events = shared_number("Osprey", "sto", "Osprey Parcels Ltd")
    own = tmp_path / "lifecycle.toml"
    text = LIFECYCLE.read_text("utf-8")
    own.write_text(
        text.replace("[carriers]\n", '[carriers]\nosprey = ["OspreyParcelsLtd"]\n'), "utf-8"
    )
    path = written(tmp_path / "events.ndjson", events)
    both = replay(tmp_path / "plain", path)
    assert [both.order(each)["status"] for each in ("o1", "o2")] == ["DELIVERED", "DELIVERED"]
    mine = replay(tmp_path / "own", path, "--lifecycle", own)
    assert [mine.order(each)["status"] for each in ("o1", "o2")] == ["DELIVERED", "PAID"]


PLACES: tuple[dict[str, Any], ...] = ({}, {"waybill": "W1"})


@pytest.mark.parametrize(
    ("carrier", "is_meant"),
    [("sf", True), ("shunfeng", True), ("顺丰", True), ("DHL", True), ("sto", False)],
)
@pytest.mark.parametrize("per", ["order", "shipment"])
def test_a_rule_by_carrier_sees_its_code(carrier: str, *, is_meant: bool, per: str) -> None:
    rules = parse_rules(BY_CARRIER.format(per=f'per = "{per}"\n'), "own.toml", TABLE)
    opened = []
    for place in PLACES[: 1 if per == "order" else 2]:
        stage = Stage(rules)
        stage.hear(sent("PAID", day(0), carrier=carrier, **place))
        opened.append([alert.rule for alert in stage.alerts])
        shown = stage.order()
        assert carrier in {shown.carrier, *(parcel.carrier for parcel in shown.shipments)}
    assert all(rules == ["by_carrier"] * is_meant for rules in opened)


@pytest.mark.parametrize(
    "when",
    [
        'order.carrier == "SF"',
        '"shunfeng" == order.carrier',
        'order.carrier != "顺丰"',
        'has(order.carrier) && (order["carrier"] in ["dhl", "sfexpress"])',
    ],
)
def test_a_condition_that_names_a_carrier_otherwise_is_refused_with_its_code(when: str) -> None:
    text = BY_CARRIER.format(per="")
    text = text[: text.index("when")] + f"when = '{when}'\nseverity = \"warning\"\n"
    with pytest.raises(SettingsError, match=r"order\.carrier is never .* write that") as caught:
        parse_rules(text, "own.toml", TABLE)
    assert re.match(r"own\.toml:\d+: rule by_carrier: when: ", str(caught.value))

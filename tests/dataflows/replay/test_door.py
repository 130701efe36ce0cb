"""`replay` reads through the same door as `track`: what one line holds never ends it."""

import json
from pathlib import Path

import pytest

from tests.support.recording import PAID, Json, is_conserved, replay

CLOUD = {"specversion": "1.0", "id": "c1", "source": "shop", "type": "PAID"}
LINES = {
    "references without a number": (
        {name: value for name, value in PAID.items() if name != "order_id"}
        | {"references": {"erp": []}},
        "no_order",
    ),
    "half a character in a CloudEvent": (CLOUD | {"subject": "\ud800"}, "malformed_json"),
    "half a character in its data": (CLOUD | {"data": {"x": "\udc00"}}, "malformed_json"),
    "a number of 1,000 digits": (PAID | {"waybill": 10**1_000}, "invalid_number"),
    "an escape sequence in the order's id": (PAID | {"order_id": "\x1b[2J"}, "invalid_event"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_bad_line_is_rejected_and_the_others_count(tmp_path: Path, name: str) -> None:
    bad, code = LINES[name]
    path = tmp_path / "e.ndjson"
    lines = [PAID, bad, PAID | {"event_id": "e2", "status_code": "SHIPPED"}]
    path.write_text("\n".join(map(json.dumps, lines)), "ascii")
    results = replay(tmp_path / "out", path)
    assert [row["code"] for row in results.rows("rejected")] == [code]
    assert results.order("o1")["status"] == "SHIPPED"
    assert is_conserved(results.summary)


def test_optional_fields_with_escape_sequences_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "e.ndjson"
    evil = "\x1b]0;PWNED\x07\x1b[2Jevil\n  status      DELIVERED"
    shipped = PAID | {"event_id": "e2", "status_code": "SHIPPED", "shipment": "p1", "carrier": evil}
    planned = PAID | {"planned": {evil: "2026-03-05T00:00:00Z"}}
    path.write_text("\n".join(map(json.dumps, [planned, shipped])), "ascii")
    results = replay(tmp_path / "out", path)
    assert results.order("o1")["status"] == "SHIPPED"
    for data in results.exact().values():
        assert b"PWNED" not in data


UNUSABLE: dict[str, Json] = {
    "location.lat": {"location": {"lat": 91, "name": "Hub"}},
    "promised_at": {"promised_at": "soon"},
    "ship_by": {"ship_by": "9999-12-31"},
    "carrier": {"carrier": 7},
    "supplier_id": {"supplier_id": "x" * 257},
    "customer_id": {"customer_id": ["c1"]},
    "operator": {"operator": {}},
    "ip": {"ip": 7},
    "planned.SHIPPED": {"planned": {"SHIPPED": "9999-12-31T23:59:59Z"}},
    "references.erp": {"references": {"erp": [7]}},
    "attributes.points": {"attributes": {"points": 2**64}},
    "attributes.temperature_c": {"attributes": {"temperature_c": -(10**30)}},
    "attributes.cold_chain": {"attributes": {"cold_chain": "yes"}},
    "weight": {"weight": 10**1_000},
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_field_costs_only_itself_and_is_counted(tmp_path: Path, name: str) -> None:
    path = tmp_path / "e.ndjson"
    delivered = PAID | {"event_id": "e2", "status_code": "DELIVERED"}
    rest = {"attributes": {"colour": "red"}} | UNUSABLE[name]
    path.write_text("\n".join(map(json.dumps, [PAID, delivered | rest])), "ascii")
    results = replay(tmp_path / "out", path)
    assert results.rows("rejected") == []
    assert results.order("o1")["status"] == "DELIVERED"
    colours = {} if name.startswith("attributes.") else {"colour": "red"}
    assert results.order("o1")["attributes"] == colours
    field = name.partition(".")[0]
    assert results.summary["fields_dropped"] == {"other" if name == "weight" else field: 1}


def test_an_event_that_was_taken_counts_its_fields_and_a_rejected_one_does_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "e.ndjson"
    rejected = PAID | {"event_id": "e2", "status_code": "GIFT", "carrier": 7}
    path.write_text("\n".join(map(json.dumps, [PAID | {"carrier": 7}, rejected])), "ascii")
    assert replay(tmp_path / "out", path).summary["fields_dropped"] == {"carrier": 1}


def test_unknown_codes_of_carriers_are_signs_of_life_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "e.ndjson"
    scans = [
        PAID | {"event_id": f"s{number}", "source": "carrier:x", "status_code": code}
        for number, code in enumerate(("ALERT", "ALERT", "HUB_SORTED", "SCAN"))
    ]
    path.write_text("\n".join(map(json.dumps, [PAID, *scans])), "ascii")
    results = replay(tmp_path / "out", path)
    assert results.summary["unknown_codes"] == {"carrier:x": {"ALERT": 2, "HUB_SORTED": 1}}
    assert results.order("o1")["status"] == "PAID"


def test_the_summary_names_two_hundred_unknown_codes_at_most(tmp_path: Path) -> None:
    path = tmp_path / "e.ndjson"
    scans = [
        PAID | {"event_id": f"s{number}", "source": "carrier:x", "status_code": f"ID-{number}"}
        for number in range(300)
    ]
    path.write_text("\n".join(map(json.dumps, [PAID, *scans])), "ascii")
    codes = replay(tmp_path / "out", path).summary["unknown_codes"]
    assert len(codes["carrier:x"]) == 200
    assert codes["other"] == {"other": 100}


def test_a_file_with_a_byte_order_mark_loses_no_line(tmp_path: Path) -> None:
    path = tmp_path / "windows.ndjson"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(PAID).encode() + b"\r\n")
    assert replay(tmp_path / "out", path).summary["events_applied"] == 1

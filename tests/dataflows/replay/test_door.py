"""`replay` reads through the same door as `track`: what one line holds never ends it."""

import json
from pathlib import Path

import pytest

from tests.support.recording import Json, is_conserved, replay

PAID: Json = {
    "event_id": "e1",
    "source": "shop",
    "order_id": "o1",
    "status_code": "PAID",
    "timestamp": "2026-03-01T00:00:00Z",
}
CLOUD = {"specversion": "1.0", "id": "c1", "source": "shop", "type": "PAID"}
LINES = {
    "references without a number": (
        {name: value for name, value in PAID.items() if name != "order_id"}
        | {"references": {"erp": []}},
        "no_order",
    ),
    "half a character in a CloudEvent": (CLOUD | {"subject": "\ud800"}, "malformed_json"),
    "half a character in its data": (CLOUD | {"data": {"x": "\udc00"}}, "malformed_json"),
    "a number of 1,000 digits": (PAID | {"weight": 10**1_000}, "invalid_number"),
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


def test_a_file_with_a_byte_order_mark_loses_no_line(tmp_path: Path) -> None:
    path = tmp_path / "windows.ndjson"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(PAID).encode() + b"\r\n")
    assert replay(tmp_path / "out", path).summary["events_applied"] == 1

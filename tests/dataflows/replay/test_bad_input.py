"""Bad input is rejected with one clear reason, and nothing is lost from the count."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from commands.main import cli
from commands.replay import replay
from schemas.errors import SettingsError

GOOD: dict[str, Any] = {
    "event_id": "e1",
    "source": "shop",
    "order_id": "o1",
    "status_code": "PAID",
    "timestamp": "2018-01-01T00:00:00Z",
}


def line(**changed: Any) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps({**GOOD, **changed}).encode()


BAD = {
    "broken JSON": (b'{"event_id": "e1", ', "malformed_json", "cut off"),
    "no status": (line(status_code=None), "invalid_event", "status_code"),
    "unknown status": (line(status_code="TELEPORTED"), "unknown_status", "TELEPORTED"),
    "naive timestamp": (line(timestamp="2018-01-01T00:00:00"), "invalid_event", "timestamp"),
    "year 9999": (line(timestamp="9999-12-31T00:00:00Z"), "implausible_time", "timestamp"),
    "recorded in 9999": (line(recorded_at="9999-01-01T00:00:00Z"), "implausible_time", "recorded"),
    "long id": (line(order_id="x" * 10_000), "invalid_event", "order_id"),
    "large line": (line(note="x" * 5_000_000), "too_large", "bytes"),
    "invalid UTF-8": (line().replace(b"shop", b"sh\xffp"), "invalid_utf8", "UTF-8"),
    "NaN": (line().replace(b'"shop"', b'"shop","location":{"lat":NaN}'), "malformed_json", "NaN"),
    "unknown kind": (line(kind="transfer"), "invalid_event", "kind"),
    "deep": (b'{"x":' * 100_000, "malformed_json", "deeply"),
    "text as number": (line(order_id=4711), "invalid_event", "order_id"),
    "no order": (line(order_id=None), "no_order", "waybill"),
    "control character": (line(order_id="a\x1fb"), "invalid_event", "order_id"),
    "unknown zone": (line(promised_at="2018-01-02", zone="Mars/Base"), "invalid_event", "zone"),
    "two waybills": (line(waybill=["W1", "W2"]), "invalid_event", "waybill"),
    "corrects a number": (line(corrects=7), "invalid_event", "corrects"),
    "an array": (b"[1, 2]", "invalid_event", "object"),
    "future": (
        line(timestamp="2018-01-03T00:00:01Z", recorded_at="2018-01-02T00:00:00Z"),
        "from_the_future",
        "24 h",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_it_is_rejected_with_one_reason_that_names_the_fault(name: str, tmp_path: Path) -> None:
    data, code, word = BAD[name]
    (tmp_path / "e.ndjson").write_bytes(line() + b"\n" + data + b"\n")
    files = (str(tmp_path / "e.ndjson"),)
    summary = replay(files, None, None, None, 1, tmp_path / "out")
    rejected = [
        json.loads(x) for x in (tmp_path / "out" / "rejected.ndjson").read_text().splitlines()
    ]
    assert [(row["code"], row["line"]) for row in rejected] == [(code, 2)]
    assert word in rejected[0]["reason"]
    assert (summary["events_read"], summary["events_applied"], summary["events_rejected"]) == (
        2,
        1,
        1,
    )


def test_everything_that_was_read_is_accounted_for(tmp_path: Path) -> None:
    lines = [data for data, _, _ in BAD.values()]
    lines += [line(), line(), line(event_id="e2", kind="command", status_code="DELIVERED")]
    lines += [line(event_id="e3", order_id=None, waybill="W9", status_code="COLLECTED")]
    lines += [b'{"kind": "tick", "recorded_at": "2018-01-01T00:00:00Z"}']
    (tmp_path / "e.ndjson").write_bytes(b"\n".join(lines))
    s = replay((str(tmp_path / "e.ndjson"),), None, None, None, 1, tmp_path / "out")
    fates = ("applied", "duplicate", "refused", "rejected", "waiting")
    assert {fate: s[f"events_{fate}"] for fate in fates} == {
        "applied": 1,
        "duplicate": 1,
        "refused": 1,
        "rejected": len(BAD),
        "waiting": 1,
    }
    assert s["events_read"] == s["ticks"] + sum(s[f"events_{fate}"] for fate in fates)


def test_a_bad_rules_file_is_refused_with_its_line_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "e.ndjson").write_bytes(line())
    rules = tmp_path / "rules.toml"
    rule = 'id = "mine"\nstatuses = ["PAYED"]\nanchor = "created"\nseverity = "warning"\n'
    rules.write_text(f"version = 1\n\n[[rule]]\n{rule}")
    with pytest.raises(SettingsError, match=r"rules\.toml:5: rule mine: .*PAYED"):
        replay((str(tmp_path / "e.ndjson"),), rules, None, None, 1, tmp_path / "out")


def test_wrong_arguments_are_exit_code_2() -> None:
    result = CliRunner().invoke(cli, ["replay", "--out", "somewhere"])
    assert result.exit_code == 2
    assert "FILES" in result.output

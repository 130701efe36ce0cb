"""Deadlines outside the years of their calendar, in a real flow."""

from pathlib import Path

from schemas.instants import DAY_MS, HOUR_MS, parse_instant
from tests.dataflows.test_set_aside import audited, documents, event
from tests.support.engine import Engine

STARTED_AT = parse_instant("2019-12-30T10:00:00Z")  # a Monday
RULES = """version = 1
[[rule]]
id = "ship"
statuses = ["PAID"]
anchor = "created"
after = "3wd"
calendar = "office"
severity = "warning"
[calendar.office]
years = [2019, {last}]
"""


def with_years(engine: Engine, folder: Path, last: int) -> None:
    path = folder / "rules.toml"
    path.write_text(RULES.format(last=last), "utf-8")
    engine.track["rules"] = str(path)


def test_a_deadline_outside_its_calendar_is_audited_counted_and_flagged(
    engine: Engine, tmp_path: Path
) -> None:
    with_years(engine, tmp_path, 2019)
    engine.feed([event("A1", "PAID", STARTED_AT - 5 * DAY_MS), event("A2", "PAID", STARTED_AT)])
    engine.start()
    engine.pass_to(STARTED_AT + HOUR_MS)
    metrics = engine.metrics()
    assert metrics['deadlines_outside_calendar_total{rule="ship"}'] == 1
    assert metrics['calendar_end_timestamp_seconds{calendar="office"}'] > 0
    assert audited(engine, "deadline.outside_calendar") == ["A2"]
    assert audited(engine, "order.set_aside") == []
    found = documents(engine)
    assert (found["A1"]["flags"], found["A2"]["flags"]) == ([], ["outside_calendar"])
    engine.stop()
    assert "rule ship: for some orders its deadline is outside the years of" in engine.output()

    with_years(engine, tmp_path, 2020)
    engine.start()
    engine.pass_to(STARTED_AT + 10 * DAY_MS)
    engine.stop()
    assert [alert["rule"] for alert in documents(engine)["A2"]["open_alerts"]] == ["ship"]


def test_a_calendar_that_has_ended_is_refused_where_the_clock_is_the_brokers(
    engine: Engine, tmp_path: Path
) -> None:
    with_years(engine, tmp_path, 2020)
    engine.track["clock"] = "broker"
    engine.start()
    assert engine.exit_code() == 2
    assert "calendar.office: its years end with 2020, so rule ship (line 2" in engine.output()

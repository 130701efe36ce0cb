"""Working calendars: faults have a place, years have ends, and what lies outside is told."""

import re
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataflows.core.calendar_ends import calendar_ends, ending_calendars
from dataflows.core.rules import Limit, Rules
from dataflows.core.rules_check import parse_rules
from dataflows.core.working_time import BEYOND_MS
from schemas.errors import SettingsError
from schemas.instants import DAY_MS, HOUR_MS, format_instant, parse_instant
from tests import reference
from tests.support.stage import FOLD, TABLE, Stage, sent

ROOT = Path(__file__).resolve().parents[2]
LIFECYCLE = ROOT / "dataflows" / "core" / "lifecycle.toml"
WITHOUT_CALENDARS = """
import sys
import commands.track
from dataflows.core.rules_check import parse_rules
from tests.support.stage import TABLE
parse_rules(open("dataflows/core/rules.toml", encoding="utf-8").read(), "rules.toml", TABLE)
print("holidays" in sys.modules)
"""
RULE = """version = 1
[[rule]]
id = "ship"
statuses = ["PAID"]
anchor = "milestone PAID"
after = "{after}"
calendar = "office"
severity = "warning"
{more}
"""
RULE_LINES = len(RULE.splitlines())


def parsed(calendar: str, after: str = "5wd", more: str = "") -> Rules:
    return parse_rules(RULE.format(after=after, more=more) + calendar, "own.toml", TABLE)


def refused(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parse_rules(text, "own.toml", TABLE)
    assert "\n" not in str(caught.value)
    return str(caught.value)


BAD = [
    ('zone = "Nowhere"', "zone: 'Nowhere' is no time zone; name one such as Europe/Berlin"),
    ('zone = "../Berlin"', "zone: '../Berlin' is no time zone"),
    ('zone = "Europe"', "zone: 'Europe' is no time zone"),
    ('country = "XX"', "country: 'XX' is no country whose public holidays are known"),
    ('country = "de"', "did you mean DE?"),
    ('country = "registry"', "country: 'registry' is no country"),
    ('country = "DE"\nregion = "XX"', "region: 'XX' is no region of DE; known: BB, BE"),
    ('region = "BY"', "region: 'BY' is one of a country; name the country as well"),
    ('closed = ["2026-02-30"]', "closed: '2026-02-30' is no date; write one such as 2026-12-24"),
    ('open = ["Christmas"]', "open: 'Christmas' is no date"),
    ("closed = [2026-12-24]", "Expected `str`, got `date`"),
    ('hours = "9-18"', "hours: '9' is no time of a day; write one such as 09:30"),
    ('hours = "09:00"', "hours: '' is no time of a day"),
    ('hours = "18:00-09:00"', "hours: '18:00-09:00' end before they begin"),
    ('hours = "09:00-24:01"', "hours: '24:01' is no time of a day"),
    ('cut_off = "16:60"', "cut_off: '16:60' is no time of a day"),
    ('cut_off = "-1:00"', "cut_off: '-1:00' is no time of a day"),
    (
        'weekend = ["Sat"]',
        "weekend: 'Sat' is none; choose one of fri, mon, sat, sun, thu, tue, wed",
    ),
    ("years = [2026]", "years: a list is no list of this length; write a list of 2"),
    ("years = [2027, 2026]", "years: [2027, 2026] are no years from 1970 to 2100"),
    ("years = [1969, 2026]", "years: [1969, 2026] are no years from 1970 to 2100"),
    ("years = [2026, 2101]", "years: [2026, 2101] are no years from 1970 to 2100"),
    ('holidays = "DE"', "holidays: unknown key; known: zone, country"),
]


@pytest.mark.parametrize(("row", "reason"), BAD, ids=[row for row, _ in BAD])
def test_a_bad_calendar_is_refused_with_file_line_calendar_and_reason(
    row: str, reason: str
) -> None:
    before = "[calendar.other]\nyears = [2026, 2026]\n"
    years = "" if row.startswith("years") else "years = [2026, 2026]\n"
    own = f"[calendar.office]\n{years}{row}\n"
    found = refused(RULE.format(after="5wd", more="") + before + own)
    key = row.partition(" ")[0]
    line = RULE_LINES + 3 + len(f"{years}{row}".splitlines())
    assert re.match(r"own\.toml:\d+: calendar\.office\.\w+: ", found)
    assert found.startswith(f"own.toml:{line}: calendar.office.{key}: ") or "country" in row
    assert reason.partition(": ")[2] in found


@pytest.mark.parametrize(
    ("calendar", "line"),
    [
        ('[calendar."office"]  # ours\nzone = "x"', 2),
        ('[ calendar . office ]\nzone = "x"', 2),
        ('[calendar]\nother = {zone = "UTC"}\noffice = {zone = "x"}', 3),
        ('[calendar]\nother.zone = "UTC"\noffice.zone = "x"', 3),
        ('[calendar.other]\nzone = "UTC"\n[calendar.office]\nzone = "x"', 4),
        ('[attributes.office]\ntype = "int"\n[calendar.office]\nzone = "x"', 4),
    ],
)
def test_a_calendar_is_found_however_it_is_written(calendar: str, line: int) -> None:
    found = refused(RULE.format(after="5wd", more="") + calendar)
    assert found.startswith(f"own.toml:{RULE_LINES + line}: calendar.office.zone: 'x'")


def test_a_bad_attribute_is_refused_with_its_line() -> None:
    found = refused("version = 1\nrule = []\n[attributes]\na = {type = 'int'}\nb = {type = 'date'}")
    assert found == (
        "own.toml:5: attributes.b.type: 'date' is none; choose one of bool, float, int, str"
    )


@pytest.mark.parametrize(
    ("after", "calendar", "reason"),
    [
        ("5wd", "[calendar.shop]\n", "calendar: 'office' is none of the file; known: shop"),
        ("48h", "", "calendar: 'office' is none of the file; known: none"),
        ("300wd", "[calendar.office]\nyears = [2026, 2026]\n", "after: 300wd is longer than all"),
        (
            "1wh",
            '[calendar.office]\nweekend = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]\n',
            "after: 1wh is longer than all working time of calendar.office in its years 2000 to",
        ),
    ],
)
def test_a_rule_that_its_calendar_cannot_serve_is_refused(
    after: str, calendar: str, reason: str
) -> None:
    found = refused(RULE.format(after=after, more="") + calendar)
    assert re.match(r"own\.toml:\d: rule ship: ", found)
    assert reason in found


CALENDARS: tuple[dict[str, Any], ...] = (
    {"years": [2025, 2026]},
    {"years": [2026, 2026], "zone": "Asia/Shanghai", "country": "CN", "open": ["2026-02-14"]},
    {"years": [2025, 2026], "zone": "Europe/Berlin", "country": "DE", "region": "BY"},
    {"years": [2026, 2026], "zone": "America/New_York", "hours": "08:30-17:15"},
    {"years": [2025, 2026], "zone": "Europe/Berlin", "cut_off": "16:00", "closed": ["2026-12-31"]},
    {"years": [2026, 2026], "weekend": ["fri"], "hours": "22:00-24:00", "cut_off": "12:30"},
)
INSTANTS = st.one_of(
    st.integers(parse_instant("2024-12-28T00:00:00Z"), parse_instant("2027-01-04T00:00:00Z")),
    st.integers(parse_instant("2026-12-15T00:00:00Z"), parse_instant("2027-01-02T00:00:00Z")),
    st.sampled_from(("2026-03-29T00:00:00Z", "2026-10-25T00:00:00Z", "2026-01-01T00:00:00Z")).map(
        parse_instant
    ),
)
LIMITS = st.sampled_from(("0wd", "1wd", "2wd", "0wh", "1wh", "7wh", "20wh"))


@cache
def both(number: int, after: str) -> tuple[Limit, reference.Calendar]:
    row = CALENDARS[number]
    fields = "\n".join(f"{name} = {value!r}" for name, value in row.items())
    limit = parsed(f"[calendar.office]\n{fields}\n", after).rules[0].deadlines[0].after
    return limit, reference.read_calendars({"calendar": {"office": row}})["office"]


@settings(max_examples=60)
@given(number=st.integers(0, len(CALENDARS) - 1), at=INSTANTS, after=LIMITS)
@example(number=0, at=parse_instant("2026-12-30T00:00:00Z"), after="2wd")
@example(number=0, at=parse_instant("2026-12-30T00:00:00.001Z"), after="2wd")
def test_working_time_is_the_references_within_the_years_and_no_instant_outside(
    number: int, at: int, after: str
) -> None:
    limit, calendar = both(number, after)
    assert limit.calendar
    found = limit.calendar.later(at, limit.working_ms, in_hours=limit.in_hours)
    expected = calendar.later(at, after)
    assert (found if found < BEYOND_MS else reference.NEVER) == expected


SHORT = "[calendar.office]\nyears = [2025, 2026]\n[calendar.other]\nyears = [2026, 2026]\n"
OTHERS = """
[[rule]]
id = "plain"
statuses = ["PAID", "ALLOCATED"]
anchor = "milestone PAID"
after = "1h"
severity = "warning"
escalate = {severity = "overdue", after = "2h"}
[[rule]]
id = "late"
statuses = ["PAID", "ALLOCATED"]
anchor = "milestone PAID"
after = "1wh"
calendar = "office"
severity = "warning"
escalate = {severity = "overdue", after = "5wd"}
"""
PAID_AT = parse_instant("2026-12-30T10:00:00Z")


def outside(stage: Stage) -> list[tuple[str, str]]:
    return [(e.detail["rule"], e.at) for e in stage.audit if e.what == "deadline.outside_calendar"]


def test_a_deadline_outside_the_years_is_audited_once_and_flagged_and_the_rest_goes_on() -> None:
    stage = Stage(parsed(SHORT, more=OTHERS))
    stage.hear(sent("PAID", PAID_AT))
    stage.hear(sent("NOTE", PAID_AT + 1))
    stage.hear(sent("PAID", PAID_AT + 2, event_id="again"))
    at = format_instant(PAID_AT)
    assert outside(stage) == [("late", at), ("ship", at)]
    assert stage.order().flags == ["outside_calendar"]
    assert stage.order().version == 3, "it is no change of the order"
    assert [(d.rule, d.severity) for d in stage.order().deadlines] == [
        ("late", "warning"),
        ("plain", "warning"),
        ("plain", "overdue"),
    ]
    stage.restart(parsed(SHORT, more=OTHERS))
    stage.advance(PAID_AT + 30 * DAY_MS)
    assert sorted(stage.told()) == [
        ("late", "opened", format_instant(PAID_AT + HOUR_MS)),
        ("plain", "escalated", format_instant(PAID_AT + 2 * HOUR_MS)),
        ("plain", "opened", format_instant(PAID_AT + HOUR_MS)),
    ]
    assert outside(stage) == [("late", at), ("ship", at)]
    assert FOLD.differences("o1", stage.packed()) == []
    stage.hear(sent("ALLOCATED", PAID_AT + 31 * DAY_MS))
    stage.hear(sent("CANCELLED", PAID_AT + 32 * DAY_MS))
    assert stage.order().flags == [], "nothing has a deadline any more"


def test_more_years_give_the_deadline_back_and_fewer_take_an_open_alert() -> None:
    longer = SHORT.replace("2026]", "2027]")
    stage = Stage(parsed(SHORT))
    stage.hear(sent("PAID", PAID_AT))
    stage.restart(parsed(longer))
    stage.advance(PAID_AT + 1)
    stage.shard.reevaluate()
    assert stage.order().flags == []
    stage.advance(PAID_AT + 30 * DAY_MS)
    assert stage.told() == [("ship", "opened", "2027-01-06T10:00:00.000Z")]
    stage.restart(parsed(SHORT))
    stage.advance(PAID_AT + 30 * DAY_MS)
    resolved = stage.shard.reevaluate().alerts
    assert [(a.rule, a.state) for _, a in resolved] == [("ship", "resolved")]
    assert stage.order().flags == ["outside_calendar"]


def test_an_event_before_the_years_has_no_deadline_instead_of_a_wrong_one() -> None:
    stage = Stage(parsed(SHORT))
    stage.hear(sent("PAID", parse_instant("2024-12-31T10:00:00Z")))
    stage.advance(parse_instant("2025-03-01T00:00:00Z"))
    assert stage.told() == []
    assert stage.order().flags == ["outside_calendar"]


def test_the_reference_flags_the_same_orders() -> None:
    rules = tomllib.loads(RULE.format(after="5wd", more=OTHERS) + SHORT)
    events = [
        sent("PAID", PAID_AT - 20 * DAY_MS, order_id="early"),
        sent("PAID", PAID_AT, order_id="short"),
        sent("PAID", PAID_AT + 9 * DAY_MS, order_id="after"),
    ]
    watermark = PAID_AT + 30 * DAY_MS
    table = tomllib.loads(LIFECYCLE.read_text("utf-8"))
    wanted = reference.evaluate(table, rules, events, watermark)
    stage = Stage(parsed(SHORT, more=OTHERS))
    stage.hear(*events, watermark=watermark)
    for key, row in wanted.orders.items():
        assert set(stage.order(key).flags) == row["flags"]
        assert stage.order(key).version == row["version"]
    alerts = sorted((a.rule, a.state, parse_instant(a.at), a.alert_id) for a in stage.alerts)
    assert alerts == sorted((t.rule, t.state, t.at, t.alert_id) for t in wanted.transitions)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "years", "words"),
    [
        ("2026-12-24", "[2025, 2026]", ""),
        ("2026-12-25", "[2025, 2026]", ""),
        (
            "2026-12-26",
            "[2025, 2026]",
            "own.toml:{line}: calendar.office: its years end with 2026, so rule ship (line 2",
        ),
        (
            "2026-12-26",
            "[2025, 2026]",
            '"5wd") has no deadline for an event of 2026-12-26; write years = [2025, 2027]',
        ),
        ("2028-06-01", "[2025, 2026]", "write years = [2025, 2028]"),
        ("2024-12-31", "[2025, 2026]", "its years begin with 2025, so rule ship (line 2"),
        ("2024-12-31", "[2025, 2026]", "write years = [2024, 2026]"),
    ],
)
def test_a_calendar_that_ends_before_a_rules_deadline_is_named_with_the_years_to_write(
    now: str, years: str, words: str
) -> None:
    rules = parsed(f"[calendar.office]\nyears = {years}\n")
    found = "\n".join(ending_calendars(rules, at(now)))
    assert (words.format(line=RULE_LINES + 1) in found) if words else not found


def test_of_several_rules_the_longest_limit_of_a_calendar_is_named() -> None:
    more = RULE.format(after="20wd", more="").replace("version = 1\n", "").replace("ship", "long")
    rules = parsed(SHORT, more=more)
    (found,) = ending_calendars(rules, at("2026-12-26"))
    assert 'rule long (line 9, after = "20wd")' in found
    assert calendar_ends(rules) == {"office": at("2026-12-04")}


def test_escalations_and_anchors_with_a_calendar_of_their_own_count_too() -> None:
    text = """version = 1
[[rule]]
id = "r"
statuses = ["PAID"]
calendar = "a"
anchors = [{anchor = "ship_by"}, {anchor = "created", after = "2wd", calendar = "b"}]
severity = "warning"
escalate = {after = "3wd"}
[calendar.a]
years = [2025, 2026]
[calendar.b]
years = [2025, 2026]
"""
    rules = parse_rules(text, "own.toml", TABLE)
    found = list(ending_calendars(rules, at("2026-12-31")))
    assert [line.partition(": its")[0] for line in found] == [
        "own.toml:9: calendar.a",
        "own.toml:11: calendar.b",
    ]


def test_rules_without_calendars_import_no_public_holidays() -> None:
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_CALENDARS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "False\n", "they take half as long as all else that `track` imports"

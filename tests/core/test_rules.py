"""Rules are data: a good file is indexed by status, a bad one is refused with its place."""

import re

import pytest

from dataflows.core.lifecycle import NO_STATUS
from dataflows.core.rules import Rules
from dataflows.core.rules_check import parse_rules
from schemas.errors import SettingsError
from tests.support.stage import RULES, TABLE

HEAD = "version = 1\n[attributes]\nhot = {type = 'bool'}\nheat = {type = 'float', reading = true}\n"
GOOD = """
[[rule]]
id = "good"
statuses = ["PAID"]
anchor = "created"
after = "1h"
severity = "warning"
"""
GOOD_LINES = len((HEAD + GOOD).splitlines())


def parsed(rule: str) -> Rules:
    return parse_rules(HEAD + GOOD + rule, "own.toml", TABLE)


def rule(**changed: str | None) -> str:
    """A rule with some of its lines changed, or left out (None)."""
    lines = {
        "id": '"bad"',
        "statuses": '["PAID"]',
        "anchor": '"created"',
        "after": '"1h"',
        "severity": '"warning"',
        **changed,
    }
    told = [f"{name} = {value}" for name, value in lines.items() if value is not None]
    return "\n".join(["[[rule]]", *told]) + "\n"


BAD = [
    (
        rule(statuses='["PAYED"]'),
        "statuses: the lifecycle has no status PAYED; did you mean PAID?",
    ),
    (rule(per='"shipment"', shipment_statuses='["X"]'), "shipment_statuses: the lifecycle has no"),
    (rule(not_shipment_statuses='["X"]'), "not_shipment_statuses: the lifecycle has no status X"),
    (rule(unless_reached='"X"'), "unless_reached: the lifecycle has no status X"),
    (rule(once_reached='"X"'), "once_reached: the lifecycle has no status X"),
    (rule(per='"shipment"', pausing='{X = "1d"}'), "pausing.X: the lifecycle has no status X"),
    (rule(anchor='"birth"'), "anchor: 'birth' is none of created, last_update, promised_at"),
    (rule(anchor='"milestone X"'), "anchor: the lifecycle has no status X"),
    (rule(anchor='"milestone"'), "anchor: 'milestone' is none of created"),
    (rule(anchor='"planned"'), "anchor: 'planned' is none of created"),
    (rule(anchor=None), "anchor: '' is none of created"),
    (rule(after='"two days"'), "after: 'two days' is no duration; write a number and ms, s, m"),
    (rule(after='"-1h"'), "after: '-1h' is no duration"),
    (rule(after=None, before='"1w"'), "before: '1w' is no duration"),
    (rule(after='"999999999d"'), "after: 999999999d is longer than 36500d"),
    (rule(before='"1h"'), "both after and before are given; one is needed"),
    (rule(stale_after='"1"'), "stale_after: '1' is no duration"),
    (rule(per='"shipment"', pausing='{CUSTOMS_HOLD = "x"}'), "pausing.CUSTOMS_HOLD: 'x' is no"),
    (rule(action='{kind = "call", expires = "x"}'), "action.expires: 'x' is no duration"),
    (rule(severity=None), "has neither severity nor action, so it would do nothing"),
    (rule(severity='"red"'), "severity: 'red' is none; choose one of overdue, warning"),
    (rule(after="5"), "after: 5 is no text; write a text, in quotes"),
    (rule(serverity='"warning"'), "serverity: unknown key; did you mean severity?"),
    (rule(id=None), "id is missing; write a text, in quotes"),
    (rule(id='"good"'), "this id is there twice"),
    (rule(when='"order.hot &&"'), "when: "),
    (rule(when='"order.cold"'), "when: order.cold is not declared under [attributes]; known: "),
    (rule(when='"order.cot"'), "when: order.cot is not declared under [attributes]; did you mean"),
    (rule(when='"order.heat > 1.0"'), "when: order.heat is never there; heat is declared"),
    (rule(when='"reading.hot"'), "when: reading.hot is never there; hot is declared"),
    (rule(when='"1 + 1"'), "when: it gives a whole number, not true or false"),
    (rule(anchor='"condition"'), 'anchor = "condition" needs when'),
    (rule(severity='"overdue"', escalate='{after = "2h"}'), "only a rule with severity"),
    (rule(escalate='{after = "1h"}'), "escalate comes no later than the warning"),
    (rule(pausing='{CUSTOMS_HOLD = "1d"}'), 'pausing needs per = "shipment"'),
    (
        rule(per='"shipment"', anchor='"promised_at"', pausing='{CUSTOMS_HOLD = "1d"}'),
        "a promise to the customer is never paused",
    ),
    (rule(anchor='"status_since"'), 'anchor = "status_since" needs per = "shipment"'),
    (
        rule(
            action='{kind = "call", expires = "1h"}',
            escalate='{after = "2h", action = {kind = "call", expires = "1h"}}',
        ),
        "the escalation's action is the same as the rule's",
    ),
]


@pytest.mark.parametrize(("text", "reason"), BAD, ids=[reason[:48] for _, reason in BAD])
def test_a_bad_rule_is_refused_with_file_line_rule_and_reason(text: str, reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parsed(text)
    name = "2" if "id = " not in text else "good" if 'id = "good"' in text else "bad"
    place = re.match(rf"own\.toml:(\d+): rule {name}: (\w*)", str(caught.value))
    assert place
    line = (HEAD + GOOD + text).splitlines()[int(place[1]) - 1]
    assert int(place[1]) > GOOD_LINES
    assert line == "[[rule]]" or line.startswith(f"{place[2]} = ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("version = 2\nrule = []", "own.toml:1: version: 2 is none; write 1"),
        ("rule = []", "version"),
        ("version = 1", "rule"),
        ("version = 1\nrule = []\nrules = []", "rules"),
        ("version = 1\nrule = [", "own.toml:2: no TOML at the end: no value begins here"),
        ("version = 1\nrule = []\nattributes = {a = {type = 'date'}}", "date"),
        ("version = 1\nrule = [7]", "own.toml:2: rule 1: 7 is no table; write a table"),
    ],
)
def test_a_file_that_is_no_rules_file_is_refused_with_its_name(text: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=r"^own\.toml:") as caught:
        parse_rules(text, "own.toml", TABLE)
    assert reason in str(caught.value)


def ids_of(rules: Rules, status: str, parcel: int | None = None) -> list[str]:
    found = [one for one in rules.rules if TABLE.index[status] in one.statuses]
    if parcel is None:
        return [one.id for one in found if not one.per_shipment]
    return [one.id for one in found if one.per_shipment and parcel in one.shipment_statuses]


def test_a_status_knows_the_few_rules_that_apply_in_it() -> None:
    assert ids_of(RULES, "PENDING_PAYMENT") == ["confirmation", "unpaid", "late_delivery"]
    assert ids_of(RULES, "PAID") == ["confirmation", "late_shipping", "late_delivery"]
    assert ids_of(RULES, "DELIVERED") == []
    assert ids_of(RULES, "RETURNING") == ["return_overdue"]


def test_a_parcels_status_narrows_the_rules_of_parcels() -> None:
    label, door = TABLE.index["LABEL_CREATED"], TABLE.index["OUT_FOR_DELIVERY"]
    assert ids_of(RULES, "SHIPPED", label) == [
        "label_not_collected",
        "carrier_silent",  # of one that was scanned
        "cold_chain",
    ]
    assert ids_of(RULES, "SHIPPED", door) == ["carrier_silent", "unsigned", "cold_chain"]
    assert ids_of(RULES, "SHIPPED", NO_STATUS) == ["carrier_silent", "cold_chain"]
    assert ids_of(RULES, "REFUNDED", door) == ["refunded_silent", "cancelled_under_way"]


def test_a_star_stands_for_every_status() -> None:
    rules = parsed(rule(id='"any"', statuses='["*"]'))
    assert all("any" in ids_of(rules, code) for code in TABLE.codes)


def test_readings_and_attributes_are_declared_apart() -> None:
    rules = parsed("")
    assert rules.attributes == {"hot": "bool"}
    assert rules.readings == {"heat": "float"}


def test_the_digest_is_of_what_the_file_says_and_not_of_how() -> None:
    assert parsed("").digest == parsed("\n# a comment\n").digest
    assert parsed("").digest != parsed(rule()).digest


def test_before_is_a_negative_offset() -> None:
    one = parsed(rule(anchor='"promised_at"', after=None, before='"24h"')).rules[-1]
    assert one.deadlines[0].after.offset_ms == -86_400_000
    assert one.deadlines[0].after.text == "-1d"

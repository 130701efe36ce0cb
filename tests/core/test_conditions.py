"""Conditions: what can never be true is refused; what raises is false for that order."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.core.conditions import Condition
from dataflows.core.rules import Rules
from dataflows.core.rules_check import parse_rules
from dataflows.core.trials import trial_faults
from schemas.errors import SettingsError
from schemas.instants import format_instant
from tests.support.stage import TABLE, Json, Stage, day, sent

ATTRIBUTES = {"x": False, "text": False, "heat": True}
TEN = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"


def nested(depth: int) -> str:
    """A loop of 10 to the power of `depth` iterations."""
    text = "true"
    for number in range(depth):
        text = f"{TEN}.all(v{number}, {text})"
    return text


MANY = {str(number): 1 for number in range(200)}
ENDLESS = f"has(order.x) && {nested(6)}"


def condition(text: str) -> Condition:
    return Condition(text, ATTRIBUTES, of="when")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("order.y == 1", "order.y is not declared under [attributes]; known: text, x"),
        ('order["y"] == 1', "order.y is not declared"),
        ("order['y'] == 1", "order.y is not declared"),
        ('order[ "y" ] == 1', "order.y is not declared"),
        ('"y" in order', "order.y is not declared"),
        ("has(order.y)", "order.y is not declared"),
        ("dyn(order).y == 1", "order.y is not declared"),
        ("true || order.y == 1", "order.y is not declared"),
        ("[order.y].size() == 1", "order.y is not declared"),
        ('{"a": order.y}.a == 1', "order.y is not declared"),
        ('order.exists(k, order["y"] == k)', "order.y is not declared"),
        ("order.heat > 1.0", "order.heat is never there; heat is declared"),
        (
            "reading.x.max > 1.0",
            "reading.x.max is never there; x is declared",
        ),
        ('reading["cold"].max > 1.0', "reading.cold is not declared"),
        (
            "reading.heat.avg > 1.0",
            "reading.heat.avg is never there; a reading has min, max and last",
        ),
        ('"avg" in reading.heat', "reading.heat.avg is never there"),
        ("order.x.y == 1", "order.x.y is never there; order.x is a plain value"),
        ("order.status.code == 'PAID'", "order.status.code is never there"),
        ('order.text.matches("(")', "matches('('): the pattern is invalid"),
        ('has(order.text) && matches(order.text, r"[")', "matches('['): the pattern is invalid"),
        ('duration("2 days") > duration("1s")', "duration('2 days'): a text is no duration"),
        ('timestamp("yesterday") > timestamp(order.text)', "timestamp('yesterday')"),
        ('int("many") > order.x', "int('many'): a text is no whole number"),
    ],
)
def test_what_can_never_be_true_is_refused(text: str, reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        condition(text)
    assert reason in str(caught.value)
    assert str(caught.value).startswith("when: ")


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ('order["x"] == 1', {"x": 1}),
        ('"order.y" == order.text', {"text": "order.y"}),
        ("[1, 2].all(order, order > 0)", {}),
        ('order.exists(order, order == "x")', {"x": 1}),
        ('order[order.text] == "a"', {"text": "text2", "text2": "a"}),
        ('order["status"] == "PAID"', {"status": "PAID"}),
        (r'order.text.matches("^a\\(b$")', {"text": "a(b"}),
        ('duration("2h") > duration("1h")', {}),
    ],
)
def test_what_can_be_true_is_taken(text: str, order: dict[str, Any]) -> None:
    assert condition(text).verdict(order, {}).is_true


@pytest.mark.parametrize(
    ("text", "order", "reason"),
    [
        (ENDLESS, {"x": 1}, "Iteration budget exceeded"),
        ("order.x > 5", {"x": "a"}, "can't be applied to a"),
        ("1 / order.x > 0", {"x": 0}, "it divides by zero"),
        ("int(order.text) > 0", {"text": "a"}, "a text is no whole number"),
        ("order.text.matches(order.text)", {"text": "("}, "the pattern is invalid"),
        ("order.x", {"x": "yes"}, "gives a text, not true or false"),
        ("order.x == 1", {"x": 2**64}, "out of range"),
        ('order.text == "a"', {"text": "\ud800"}, "construction from null"),
        (
            "order.exists(a, order.exists(b, a == b + 'x'))",
            {str(n): 1 for n in range(200)},
            "budget",
        ),
    ],
)
def test_what_raises_is_false_with_a_reason(text: str, order: Json, reason: str) -> None:
    found = condition(text).verdict(order, {})
    assert not found.is_true
    assert reason in found.fault


@pytest.mark.parametrize("text", ["order.x > 5", 'order["text"] == "a"', "reading.heat.max > 1.0"])
def test_an_attribute_that_the_order_lacks_is_no_fault(text: str) -> None:
    assert condition(text).verdict({}, {}) == (False, "")


def test_a_condition_that_always_raises_can_be_compiled() -> None:
    always = condition(nested(6))
    assert not always.of_nothing.is_true
    assert "budget" in always.of_nothing.fault


def found_by_trial(when: str) -> list[str]:
    text = f"""
        version = 1
        [attributes]
        x = {{type = "int"}}
        text = {{type = "str"}}
        heat = {{type = "float", reading = true}}
        [[rule]]
        id = "tried"
        statuses = ["PAID"]
        anchor = "condition"
        when = '''{when}'''
        severity = "warning"
    """
    return [fault for _, fault in trial_faults(parse_rules(text, "own.toml", TABLE), TABLE)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ENDLESS, "Iteration budget exceeded"),
        ('order["un" + "declared"] == 1', "it reads the key 'undeclared', which is never there"),
        ("[order].exists(o, o.undeclared == 1)", "the key 'undeclared', which is never there"),
        ('order.status == "PAID" && {"a": 1}["b"] == 1', "the key 'b', which is never there"),
        (f"has(order.text) && has(order.x) && order.x > 1 && {nested(6)}", "order.x = '1000000'"),
        (f'has(order.status) && order.status == "REFUNDED" && {nested(6)}', "budget"),
        ("order.exists(a, order.exists(b, a == b + 'x'))", "and 300 undeclared attributes"),
        ("has(order.x) && 1 / order.x > 5", "it divides by zero; so it is false for an order like"),
        ("has(order.text) && order.text > 5", "can't be applied to a"),
        ("has(order.text) && int(order.text) > 5", "a text is no whole number"),
        ("has(order.text) && order.order_id.matches(order.text)", "the pattern is invalid"),
        ("has(reading.heat) && reading.heat.max > order.text", "can't be applied to a"),
        ("order.x", "gives a whole number, not true or false"),
        (nested(6), "Iteration budget exceeded"),
    ],
)
def test_a_trial_finds_what_raises_for_some_orders(text: str, reason: str) -> None:
    [fault] = found_by_trial(text)
    assert fault.startswith("rule tried: when: ")
    assert reason in fault


@pytest.mark.parametrize(
    "text",
    [
        "order.x > 5",
        "has(order.x) && order.x != 0 && 1 / order.x > 5",
        'has(order.text) && order.text.matches("^a+$") || order.status == "PAID"',
        "reading.heat.max > 8.0 && reading.heat.min < double(order.x)",
        "size(order) > 3 && order.exists(k, k == 'x')",
        '{"sf": 1, "yto": 2}[order.carrier] == order.x',
        "order.exists(k, order[k] == 'x')",
    ],
)
def test_a_trial_finds_nothing_where_nothing_raises(text: str) -> None:
    assert found_by_trial(text) == []


RULES = f"""
version = 1
[attributes]
x = {{type = "int"}}
heat = {{type = "float", reading = true}}
[[rule]]
id = "endless"
statuses = ["PAID", "SHIPPED"]
anchor = "condition"
when = "{ENDLESS}"
severity = "overdue"
[[rule]]
id = "typed"
per = "shipment"
statuses = ["*"]
anchor = "condition"
when = "has(order.x) && 10 / order.x > 4 && 1 / (order.x - 2) != 5"
severity = "warning"
[[rule]]
id = "late"
statuses = ["PAID"]
anchor = "milestone PAID"
after = "24h"
severity = "warning"
"""


def rules() -> Rules:
    return parse_rules(RULES, "own.toml", TABLE)


def faults(stage: Stage) -> list[tuple[str, str, str]]:
    return [
        (e.order_id, e.detail["rule"], e.at) for e in stage.audit if e.what == "condition.fault"
    ]


def test_a_fault_is_audited_once_per_order_and_rule() -> None:
    stage = Stage(rules())
    stage.hear(sent("PAID", day(0), attributes={"x": 1}))
    stage.hear(sent("ALLOCATED", day(0, 1)))
    stage.hear(sent("SHIPPED", day(0, 2)))
    stage.hear(sent("SCAN", day(0, 3)))
    stage.restart(rules())
    stage.hear(sent("SCAN", day(0, 4)))
    assert faults(stage) == [("o1", "endless", format_instant(day(0)))]
    entry = next(entry for entry in stage.audit if entry.what == "condition.fault")
    assert "Iteration budget exceeded" in entry.detail["reason"]
    assert entry.source == "rule:endless"


def test_the_other_rules_of_the_order_and_other_orders_go_on() -> None:
    stage = Stage(rules())
    stage.hear(sent("PAID", day(0), attributes={"x": 2}), sent("PAID", day(0), order_id="o2"))
    stage.advance(day(3))
    assert ("late", "opened", format_instant(day(1))) in stage.told()
    assert [(a.order_id, a.rule) for a in stage.alerts] == [("o1", "late"), ("o2", "late")]
    assert {(order, rule) for order, rule, _ in faults(stage)} == {
        ("o1", "endless"),
        ("o1", "typed"),
    }


def large(after: str) -> Rules:
    """A condition whose warning escalates `after` it became true."""
    text = f"""
    version = 1
    [attributes]
    x = {{type = "int"}}
    [calendar.always]
    weekend = []
    [[rule]]
    id = "large"
    statuses = ["*"]
    anchor = "condition"
    when = "order.x > 1"
    severity = "warning"
    calendar = "always"
    escalate = {{severity = "overdue", after = "{after}"}}
    """
    return parse_rules(text, "own.toml", TABLE)


@pytest.mark.parametrize("after", ["48h", "48wh", "2wd"])
@pytest.mark.parametrize("others", [[], [1], [0.5, 1.9]], ids=str)
def test_a_condition_escalates_so_long_after_it_became_true(
    after: str, others: list[float]
) -> None:
    stage = Stage(large(after))
    true = sent("PAID", day(0), attributes={"x": 2})
    stage.hear(true, *(sent("SCAN", day(at)) for at in others))  # they leave it true
    stage.advance(day(3))
    assert stage.told() == [
        ("large", "opened", format_instant(day(0))),
        ("large", "escalated", format_instant(day(2))),
    ]


def test_an_escalated_condition_carries_the_limit_of_its_escalation_from_its_opening() -> None:
    stage = Stage(large("48h"))
    stage.hear(sent("PAID", day(0)), sent("SCAN", day(1), attributes={"x": 2}), watermark=day(2))
    assert stage.order().open_alerts[0].because.limit == "order.x > 1"
    stage.advance(day(4))
    (alert,) = stage.order().open_alerts
    because = alert.because
    assert (because.anchor, because.limit) == ("condition", "2d")
    assert (because.anchor_at, because.due_at) == (format_instant(day(1)), format_instant(day(3)))


def test_a_condition_that_becomes_true_again_escalates_from_then_on() -> None:
    stage = Stage(large("48h"))
    for code, at, value in (("PAID", 0, 2), ("SCAN", 1, 0), ("SCAN", 3, 2)):
        stage.hear(sent(code, day(at), attributes={"x": value}))
    stage.advance(day(9))
    assert stage.told() == [
        ("large", what, format_instant(day(at)))
        for what, at in (("opened", 0), ("resolved", 1), ("opened", 3), ("escalated", 5))
    ]


def test_a_fault_leaves_the_version_as_it_is() -> None:
    with_faults, without = Stage(rules()), Stage(rules())
    with_faults.hear(sent("PAID", day(0), attributes={"x": 2}))
    without.hear(sent("PAID", day(0), attributes={"y": 2}))
    assert with_faults.order().version == without.order().version == 1


@settings(max_examples=20)  # a condition that exceeds its budget takes 30 ms
@given(st.data())
def test_faults_are_a_function_of_the_events(data: st.DataObject) -> None:
    """Read early or late, in any order, with or without restarts: the same entries."""
    codes = data.draw(
        st.lists(st.sampled_from(["PAID", "SCAN", "SHIPPED", "ALLOCATED"]), max_size=6)
    )
    values = st.fixed_dictionaries({}, optional={"x": st.integers(-1, 3)})
    events = [
        sent(code, day(0, n), day(0, n), attributes=data.draw(values), event_id=f"e{n}")
        for n, code in enumerate(codes)
    ]
    at_once = Stage(rules())
    if events:
        at_once.hear(*data.draw(st.permutations(events)), watermark=day(9))
    stepwise = Stage(rules())
    for event in events:
        stepwise.hear(event)
        if data.draw(st.booleans()):
            stepwise.restart(rules())
    stepwise.advance(day(9))
    assert sorted(faults(at_once)) == sorted(faults(stepwise))
    assert sorted(at_once.told()) == sorted(stepwise.told())

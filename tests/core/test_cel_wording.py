"""Faults of conditions are worded: nothing of the CEL library's messages comes through."""

import re

import pytest

from dataflows.core.conditions import Condition
from schemas.errors import SettingsError

ATTRIBUTES = {"a": False, "s": False, "heat": True}
RAW = re.compile(r"INVALID_ARGUMENT|ERROR|<input>|<EOF>|overload|IDENTIFIER|container|UNKNOWN:")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("order.a &&", "it ends too early, at character 11; complete it"),
        ("foo > 1", "foo is unknown at character 1; attributes are order.foo, readings"),
        ("order.a > 1 && 'x' > 1", "at character 20: > can't be applied to a text and a whole"),
        ("order.a in 3", "at character 9: in can't be applied to any value and a whole number"),
        ("(order.a", ") is missing at character 9"),
        ("order.a = 1", "= is unexpected at character 9; write =="),
        ("order.a == 1 &&\n order.a = 2", "= is unexpected at character 10 of line 2; write =="),
        ("order.a && or", "or is unexpected at character 12; write ||"),
        ("order.a and order.s", "and is unexpected at character 9; write &&"),
        ("has(order.a) && True", "True is unexpected at character 17; write true"),
        ("nothing(1)", "nothing is no function, at character 8"),
        ("size(1)", "at character 5: size() can't be applied to a whole number"),
        ("order..a", ".. is unexpected at character 7"),
        ("'abc", "the text at character 1 has no closing quote; add it"),
        ("order.a ? 1", "it ends too early, at character 12"),
        ("1 + 1", "it gives a whole number, not true or false"),
        ("order.aa > 1", "order.aa is not declared under [attributes]; did you mean a?"),
        ("order.zzz > 1", "order.zzz is not declared under [attributes]; known: a, s"),
        ("order.heat > 1", "order.heat is never there; heat is declared otherwise"),
        ("order.s.matches('(')", "matches('('): the pattern is invalid, missing ): ("),
    ],
)
def test_a_condition_that_can_not_be_compiled(text: str, fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Condition(text, ATTRIBUTES, of="when")
    assert str(caught.value).startswith(f"when: {fault}")
    assert not RAW.search(str(caught.value))


@pytest.mark.parametrize(
    ("text", "value", "fault"),
    [
        ("order.a > 1", "x", "> can't be applied to a text and a whole number"),
        ("order.a % 0 == 1", 1, "it divides by zero"),
        ("order.a + 1 == 2", 2**63 - 1, "a whole number gets too large"),
        ("int(order.a) == 1", "x", "a text is no whole number"),
        ("double(order.a) > 1.0", "x", "a text is no number"),
        ("bool(order.a)", "x", "a text is not true or false"),
        ("timestamp(order.a) == timestamp(0)", "x", "a text is no instant"),
        ("duration(order.a) > duration('1s')", "x", "a text is no duration"),
        ("order.a[3] == 1", [1], "a list has no element of this number"),
        ("size(order.a) > 1", 1, "size() can't be applied to a whole number"),
        ("order.a.startsWith('x')", 1, "startsWith() can't be applied to a whole number and a"),
        ("'x'.matches(order.a)", "(", "the pattern is invalid, missing ): ("),
        ("order.a", 3, "it gives a whole number, not true or false"),
    ],
)
def test_a_condition_that_has_no_value_for_an_order(text: str, value: object, fault: str) -> None:
    found = Condition(text, ATTRIBUTES, of="when").verdict({"a": value}, {})
    assert found.fault.startswith(fault)
    assert not RAW.search(found.fault)

"""Trials of conditions: each is evaluated on generated orders, before an order of a customer is.

The generated orders lack attributes, have all of them, have the least, plain and odd values of
their declared types, and, as events may carry attributes that nobody declared, hundreds of those.
"""

from collections.abc import Iterator
from itertools import islice, product
from typing import Any

from dataflows.core.conditions import ORDER_FIELDS, Condition
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.rules import Rules

ORDERS_AT_MOST = 2_000
UNDECLARED = {f"undeclared_{number}": number for number in range(300)}
VALUES: dict[str, tuple[Any, ...]] = {
    "bool": (True, False),
    "int": (1, 0, -1, 1_000_000),
    "float": (1.0, 0.0, -0.5, 1e9),
    "str": ("a", "", "1", "(", "a b\u00e9\u4e2d" * 50),
}
RANGES = ((20.0, 20.0, 20.0), (0.0, 0.0, 0.0), (-40.0, 60.0, -0.5))
ABSENT = object()

Shape = tuple[dict[str, Any], dict[str, Any]]


def trial_faults(rules: Rules, table: Lifecycle) -> Iterator[tuple[int, str]]:
    """For every condition that raises for a generated order: its line, the rule, the reason."""
    for rule in rules.rules:
        fault = trial_fault(rule.when, rules, table) if rule.when else None
        if fault:
            yield rule.line, f"rule {rule.id}: when: {fault}"


def trial_fault(condition: Condition, rules: Rules, table: Lifecycle) -> str | None:
    """The first fault of a condition; None if it has a value for every generated order.

    A key that is missing although all attributes are there is one that no order has, such as
    `order["a" + "b"]`; not so where the key is a value of an order.
    """
    values = {str(value) for kind in VALUES.values() for value in kind} | {*table.codes}
    for order, reading in shapes(condition, rules, table):
        found = condition.verdict(order, reading)
        fault = found.fault
        if not found.is_true and not fault and is_whole(order, reading, rules):
            key = condition.missing_key(order, reading)
            if key is not None and key not in values:
                fault = f"it reads the key {key!r}, which is never there"
        if fault:
            return f"{fault}; so it is false for an order like {described(order, reading)}"
    return None


def is_whole(order: dict[str, Any], reading: dict[str, Any], rules: Rules) -> bool:
    """Return True if a generated order lacks no field, attribute or reading."""
    has_fields = {*ORDER_FIELDS, *rules.attributes} <= order.keys()
    return has_fields and {*rules.readings} <= reading.keys()


def shapes(condition: Condition, rules: Rules, table: Lifecycle) -> Iterator[Shape]:
    """Orders and readings to try; what the condition names varies, the rest is there or not."""
    named = {(path.variable, path.names[0]) for path in condition.paths if path.names}
    orders = {name: VALUES[kind] for name, kind in rules.attributes.items()}
    orders |= dict.fromkeys(ORDER_FIELDS, VALUES["str"])
    orders["status"] = tuple(table.codes)
    readings = {
        name: tuple({"min": low, "max": high, "last": last} for low, high, last in RANGES)
        for name in rules.readings
    }
    plain = {name: values[0] for name, values in orders.items()}
    measured = {name: values[0] for name, values in readings.items()}
    yield {}, {}
    yield plain, measured
    yield plain | UNDECLARED, measured
    choices = [
        [(kind, name, value) for value in (ABSENT, *values)]
        for kind, all_values in (("order", orders), ("reading", readings))
        for name, values in sorted(all_values.items())
        if (kind, name) in named
    ]
    for chosen in islice(product(*choices), ORDERS_AT_MOST):
        order, reading = dict(plain), dict(measured)
        for kind, name, value in chosen:
            fields = order if kind == "order" else reading
            fields.pop(name, None)
            if value is not ABSENT:
                fields[name] = value
        yield order, reading


def described(order: dict[str, Any], reading: dict[str, Any]) -> str:
    """The generated order for people, values shortened, without what nobody declared."""
    fields = {f"order.{name}": value for name, value in order.items() if name not in UNDECLARED}
    fields |= {f"reading.{name}": value for name, value in reading.items()}
    parts = [f"{name} = {str(value)[:40]!r}" for name, value in sorted(fields.items())]
    extra = ", and 300 undeclared attributes" if UNDECLARED.keys() <= order.keys() else ""
    return (", ".join(parts) or "one without attributes") + extra

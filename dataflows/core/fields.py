"""Order-level fields, read from the entries that carry them: the last of the walk wins."""

from typing import Any

from dataflows.core.lifecycle import Lifecycle
from dataflows.core.packing import HAS_FIELDS, NO_FIELDS, Order
from dataflows.core.walk import walk
from schemas.numbers import as_kind

UNITED = frozenset({"attributes", "planned"})
NOT_SHOWN = NO_FIELDS | {"replaces"}


def carrying(order: Order, table: Lifecycle) -> list[dict[str, Any]]:
    """The fields of the entries that carry some, in the order of the walk."""
    extras = order.extras
    return [
        extras[entry.number]
        for entry in walk(order, table)
        if entry.marks & HAS_FIELDS and entry.number in extras
    ]


def fields_of(order: Order, table: Lifecycle) -> dict[str, Any]:
    """All order-level fields; `attributes`, `planned` and `references` are united."""
    united: dict[str, Any] = {}
    if not order.extras:
        return united
    carried = carrying(order, table)
    if len(carried) == 1 and NOT_SHOWN.isdisjoint(carried[0]):
        return carried[0]  # the usual case: the order's creation says it all
    references: dict[str, dict[str, str]] = {}
    for fields in carried:
        for name, value in fields.items():
            if name in UNITED:
                united[name] = {**united.get(name, {}), **value}
            elif name == "references":
                unite(references, value)
            elif name not in NOT_SHOWN:
                united[name] = value
    if references:
        united["references"] = {kind: sorted(held.values()) for kind, held in references.items()}
    return united


def unite(held: dict[str, dict[str, str]], more: dict[str, list[str]]) -> None:
    """Add foreign numbers to those that are known, each once, as it was written first."""
    for kind, numbers in more.items():
        spellings = held.setdefault(kind, {})
        for number in numbers:
            spellings.setdefault(as_kind(kind, number), number)


def attributes_of(order: Order, table: Lifecycle) -> dict[str, Any]:
    """The order's attributes."""
    if not any("attributes" in fields for fields in order.extras.values()):
        return {}
    attributes: dict[str, Any] = fields_of(order, table).get("attributes", {})
    return attributes

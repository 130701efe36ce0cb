"""Order-level fields, read from the entries that carry them: the last of the walk wins."""

from typing import Any

from dataflows.core.fold import walk
from dataflows.core.packing import Order


def carriers_of(order: Order, name: str) -> list[Any]:
    """The values of field `name`, in the order of the walk."""
    having = {event: fields for event, fields in order.extras.items() if name in fields}
    if not having:
        return []
    return [having[entry.hash][name] for entry in walk(order) if entry.hash in having]


def last_of(order: Order, name: str) -> Any:  # noqa: ANN401 - whatever the field holds
    """The value of field `name`; None if no entry carries it."""
    values = carriers_of(order, name)
    return values[-1] if values else None


def merged(order: Order, name: str) -> dict[str, Any]:
    """The union of a field that is a table (`attributes`, `planned`); later values win."""
    union: dict[str, Any] = {}
    for table in carriers_of(order, name):
        union.update(table)
    return union


def attributes_of(order: Order) -> dict[str, Any]:
    """The order's attributes."""
    return merged(order, "attributes")


def references_of(order: Order) -> dict[str, list[str]]:
    """The foreign numbers of the order, by kind, sorted."""
    union: dict[str, set[str]] = {}
    for references in carriers_of(order, "references"):
        for kind, numbers in references.items():
            union.setdefault(kind, set()).update(numbers)
    return {kind: sorted(numbers) for kind, numbers in sorted(union.items())}

"""Order-level fields, read from the entries that carry them: the last of the walk wins."""

from typing import Any

from dataflows.core.fold import walk
from dataflows.core.packing import ENTRY, ENTRY_BYTES, HAS_CORRECTIONS, REFUSED, Order


def carrying(order: Order) -> list[dict[str, Any]]:
    """The fields of the entries that carry some, in the order of the walk."""
    if order.flags & HAS_CORRECTIONS:
        extras = order.extras
        return [extras[entry.number] for entry in walk(order) if entry.number in extras]
    # Few entries carry fields, so these are looked up one by one instead of walking all.
    if len(order.extras) == 1:
        ((entry, fields),) = order.extras.items()
        return [] if order.word(entry) & REFUSED else [fields]
    found = []
    names = order.shipments
    for entry, fields in order.extras.items():
        first, second, event = ENTRY.unpack_from(order.history, entry * ENTRY_BYTES)
        if not first & REFUSED:
            name = names[first >> 6 & 0xFF].name
            found.append((first >> 14, name, second >> 22, event, fields))
    found.sort(key=lambda one: one[:4])
    return [one[4] for one in found]


def fields_of(order: Order) -> dict[str, Any]:
    """All order-level fields; `attributes`, `planned` and `references` are united."""
    united: dict[str, Any] = {}
    carried = carrying(order)
    if len(carried) == 1 and "corrects" not in carried[0]:
        return carried[0]  # the usual case: the order's creation says it all
    for fields in carried:
        for name, value in fields.items():
            if name in {"attributes", "planned"}:
                united[name] = {**united.get(name, {}), **value}
            elif name == "references":
                unite(united.setdefault(name, {}), value)
            else:
                united[name] = value
    return united


def unite(held: dict[str, list[str]], more: dict[str, list[str]]) -> None:
    """Add foreign numbers to those that are known; sorted, each once."""
    for kind, numbers in more.items():
        held[kind] = sorted({*held.get(kind, ()), *numbers})


def attributes_of(order: Order) -> dict[str, Any]:
    """The order's attributes."""
    if not any("attributes" in fields for fields in order.extras.values()):
        return {}
    attributes: dict[str, Any] = fields_of(order).get("attributes", {})
    return attributes

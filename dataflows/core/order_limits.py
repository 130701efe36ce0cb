"""Limit on the order-level fields that an order holds; what doesn't fit is lost, never the event.

Counted is what the events carry, in the order in which they are applied: by arrival, as the limit
on the history is. After the first field that doesn't fit all later ones are lost. So it depends on
the set of events alone, nothing has to be kept of what was lost, and a full order costs no more
than others. Without it four events of 400 kB made a document that no broker takes, and 2,000 of
them an order of 800 MB.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from dataflows.core.packing import LOST, ORDER_FULL, Order

FAMILIES = ("references", "attributes", "planned")
FIXED_BYTES = 8  # of a number, a time, true, false or null; and beside the text of a reference
# Packed, no field is smaller than a fifth of what it counts as.
PACKED_SHARE = 5

encode = msgspec.msgpack.Encoder().encode
encode_sorted = msgspec.msgpack.Encoder(order="deterministic").encode


def fitting(order: Order, fields: dict[str, Any] | None, limit_bytes: int) -> dict[str, Any] | None:
    """The fields of the next entry of an order as they fit; `fields` itself where all do."""
    if not fields or not any(name in fields for name in FAMILIES):
        return fields
    kept = {name: value for name, value in fields.items() if name not in FAMILIES}
    if order.flags & ORDER_FULL:
        return {**kept, LOST: hash_of(fields)}
    if PACKED_SHARE * (len(encode(order.extras)) + len(encode(fields))) <= limit_bytes:
        return fields
    left_bytes = limit_bytes - sum(size_bytes(held) for held in order.extras.values())
    for family, name, value, item_bytes in items(fields):
        if item_bytes > left_bytes:
            return {**kept, LOST: hash_of(fields)}
        left_bytes -= item_bytes
        if family == "references":
            kept.setdefault(family, {}).setdefault(name, []).append(value)
        else:
            kept.setdefault(family, {})[name] = value
    return fields


def unread(fields: dict[str, Any]) -> dict[str, Any]:
    """What is kept of the fields of a refused command, which nothing reads."""
    return {LOST: hash_of(fields)}


def items(fields: dict[str, Any]) -> Iterator[tuple[str, str, Any, int]]:
    """(family, name, value, size) of what counts: waybills first, as they announce parcels."""
    numbers: dict[str, list[str]] = fields.get("references", {})
    for kind in sorted(numbers, key=lambda kind: (kind != "waybill", kind)):
        for number in numbers[kind]:
            yield "references", kind, number, text_bytes(number) + FIXED_BYTES
    for family in ("attributes", "planned"):
        for name, value in sorted(fields.get(family, {}).items()):
            value_bytes = text_bytes(value) if isinstance(value, str) else FIXED_BYTES
            yield family, name, value, text_bytes(name) + value_bytes


def size_bytes(fields: dict[str, Any]) -> int:
    """What the fields of one entry count as."""
    return sum(item_bytes for *_, item_bytes in items(fields))


def text_bytes(text: str) -> int:
    """The size of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def hash_of(fields: dict[str, Any] | None) -> int:
    """Hash of fields, to tell a duplicate of an event that lost some from a contradiction."""
    return int.from_bytes(blake2b(encode_sorted(fields or {}), digest_size=8).digest(), "little")

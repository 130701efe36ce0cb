"""Check of a packed order against its history."""

import struct

import msgspec

from dataflows.core.fold import refold
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.packing import ENTRY_BYTES, Order, pack, unpack
from dataflows.state.local.frame import REMEDY
from schemas.errors import StateError

FOLDED = (
    "status", "flags", "latest", "created_at", "promised_at", "ship_by", "derived", "firsts",
    "course", "parcels", "parcel_of",
)  # fmt: skip
REEVALUATE = f"{REMEDY}; if the code was changed since, report it with this order's packed export"


def fault_of(key: str, data: bytes, table: Lifecycle | None) -> str | None:
    """Return the fault of an order's bytes, with the remedy; None for a valid one.

    With the `table` that it was folded by, its history is folded again and compared.
    """
    try:
        order = unpack(key, data)
        broken = len(order.history) % ENTRY_BYTES
    except StateError as error:
        return str(error)
    except (struct.error, msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"can't be unpacked, {error}; {REMEDY}"
    if broken or not order.history:
        return f"its history has {len(order.history)} bytes, not {ENTRY_BYTES} an entry; {REMEDY}"
    return None if table is None else misfolded(order, data, table)


def misfolded(order: Order, data: bytes, table: Lifecycle) -> str | None:
    """Which of the folded fields differ from a fold of the whole history."""
    try:
        refold(order, table)
    except IndexError as error:
        return f"its history can't be folded, {error}; {REMEDY}"
    before = unpack(order.key, data)
    if pack(order) == pack(before):
        return None
    names = [name for name in FOLDED if plain(before, name) != plain(order, name)]
    return f"{', '.join(names) or 'its bytes'} differ from its folded history; {REEVALUATE}"


def plain(order: Order, name: str) -> object:
    """A field in a form that can be compared."""
    value = getattr(order, name)
    return msgspec.to_builtins(value)

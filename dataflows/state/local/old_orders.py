"""Packed orders as they were before version 4 of the blobs: format 1, entries named by their hash.

What they hold is in format 2 as well, but for the first entries of the statuses reached: these need
the lifecycle, so an order is marked, and folded anew when it is next opened.
"""

from struct import Struct
from typing import Any

import msgspec

from dataflows.core.packing import NO_ENTRY, UNFOLDED, Order, Shipment, pack
from dataflows.core.routing import SHARDS
from dataflows.core.snapshots import Snapshot

# format, status, flags, version, latest, created_at, promised_at, ship_by, armed_at, period, then
# how many done, shipments, derived, alerts, nothing, and the lengths of side and extras
HEADER = Struct("<BBHIQQQQQHHBBBBII")
SHIPMENT = Struct("<BQH")  # status, last update, length of the name that follows
DERIVED = Struct("<BQQ")  # status, time, hash
ALERT = Struct("<HBBQQ")  # rule, level, shipment, hash of the anchor, opened_at
DONE = Struct("<HBQ")  # rule, shipment, hash of the anchor

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Snapshot).decode
unpack_side = msgspec.msgpack.Decoder(list[dict[str, Any] | None]).decode
unpack_extras = msgspec.msgpack.Decoder(dict[int, dict[str, Any]]).decode


def holds_orders(shard: str) -> bool:
    """Whether a shard is one of the orders'."""
    return shard in SHARDS


def repacked_blob(blob: bytes) -> bytes:
    """The blob of version 4 of an order shard's blob of version 3, base or delta alike."""
    snapshot = decode(blob)
    orders = [(key, data and repacked(data)) for key, data in snapshot.orders]
    return encode(msgspec.structs.replace(snapshot, orders=orders))


def repacked(data: bytes) -> bytes:
    """An order of format 1 in format 2."""
    order = Order("")
    (
        _, order.status, order.flags, order.version, latest, created_at,
        order.promised_at, order.ship_by, order.armed_at, order.period, done, shipments, derived,
        alerts, _, side, extras,
    ) = HEADER.unpack_from(data)  # fmt: skip
    order.flags |= UNFOLDED
    at = HEADER.size
    for _ in range(shipments):
        status, updated_at, length = SHIPMENT.unpack_from(data, at)
        at += SHIPMENT.size + length
        order.shipments.append(Shipment(data[at - length : at].decode(), status, updated_at))
    rows, counts = (DERIVED, ALERT, DONE), (derived, alerts, done)
    ends = [at]
    for row, count in zip(rows, counts, strict=True):
        ends.append(ends[-1] + row.size * count)
    history_at = ends[-1] + extras + side
    order.history = data[history_at:]
    words = order.words()[::3]
    order.latest_entry = next((n for n, word in enumerate(words) if word >> 14 == latest), NO_ENTRY)
    order.created_entry = next(
        (n for n, word in enumerate(words) if word >> 22 == created_at), NO_ENTRY
    )
    order.derived = [
        (s, order.find(event)) for s, _, event in DERIVED.iter_unpack(data[at : ends[1]])
    ]
    order.alerts = [
        (rule, level, shipment, order.find(event), opened_at)
        for rule, level, shipment, event, opened_at in ALERT.iter_unpack(data[ends[1] : ends[2]])
    ]
    order.done = [
        (rule, shipment, order.find(event))
        for rule, shipment, event in DONE.iter_unpack(data[ends[2] : ends[3]])
    ]
    if extras:
        found = unpack_extras(data[ends[3] : ends[3] + extras])
        order.extras = {order.find(event): fields for event, fields in found.items()}
    if side:
        order.side = [
            known and by_entry(order, known)
            for known in unpack_side(data[history_at - side : history_at])
        ]
    return pack(order)


def by_entry(order: Order, known: dict[str, Any]) -> dict[str, Any]:
    """What is known of a parcel, with the entries that said it by number."""
    found: dict[str, Any] = {
        name: [order.find(known[name][1]), known[name][2]] for name in ("c", "l") if name in known
    }
    if "r" in known:
        found["r"] = {
            name: [lowest, highest, last, order.find(stamp[3])]
            for name, (lowest, highest, last, stamp) in known["r"].items()
        }
    return found

"""Packed orders read without the core: the stored format, as an independent reader knows it."""

from typing import Any

import msgspec

FORMAT = 4
ENTRY_BYTES = 24  # of the history: three little-endian 64-bit words, the third is the event's hash


class PackedOrder(msgspec.Struct, array_like=True):
    """The fields of a packed order, in their order (`engine/core/src/order/packing.rs`)."""

    format: int
    armed_at: int
    status: int
    flags: int
    version: int
    latest_entry: int
    created_entry: int
    promised_at: int
    ship_by: int
    period: int
    course: list[Any]
    parcels: list[list[Any]]
    names: list[tuple[str, str]]
    parcel_of: list[int]
    derived: list[tuple[int, int]]
    firsts: dict[int, int]
    alerts: list[list[Any]]
    done: list[tuple[int, int, int]]
    openings: list[tuple[int, int, int]]
    extras: dict[int, dict[str, Any]]
    side: list[dict[str, Any] | None]
    thinned: bytes
    history: bytes


decode = msgspec.msgpack.Decoder(PackedOrder).decode
encode = msgspec.msgpack.Encoder().encode


def unpack(data: bytes) -> PackedOrder:
    """Return the fields of a packed order."""
    return decode(data)


def pack(order: PackedOrder) -> bytes:
    """Return the bytes of an order; its head has a fixed width."""
    packed = encode(order)
    assert packed.startswith(b"\xdc\x00\x17")
    return packed

"""An order as bytes.

A live order is one `bytes` object: half a kilobyte that the garbage collector never looks at, and
that a snapshot copies as it is. Layout (little endian):

    header     format, status, flags, version, latest, created_at, promised_at, ship_by, armed_at,
               period, and the counts and lengths of what follows
    shipments  status, last update, length of the name, name          one each
    derived    status, time, hash of the entry that moved the order   one each
    alerts     rule, level, shipment, hash of the anchor, opened_at   one each
    done       rule, shipment, hash of the anchor: acted on or missed one each
    extras     msgpack: {hash: fields} of the entries that carry order-level fields
    side       msgpack: [per shipment {c: carrier, l: location, r: readings}]
    history    three 64-bit words an entry, in the order of arrival:
               time (42 bits) status (8) shipment (8) marks (6)
               arrival (42 bits) source (16) unused (6)
               event_hash (64)
"""

from struct import Struct, unpack_from
from typing import Any

import msgspec

from dataflows.core.lifecycle import NO_STATUS, UNSEEN
from schemas.errors import StateError

FORMAT = 1
HEADER = Struct("<BBHIQQQQQHHBBBBII")
SHIPMENT = Struct("<BQH")
DERIVED = Struct("<BQQ")
ALERT = Struct("<HBBQQ")
DONE = Struct("<HBQ")
ENTRY = Struct("<QQQ")
ENTRY_BYTES = ENTRY.size
HASH_AT = 16  # offset of the hash in an entry

REFUSED, FROM_ENGINE, HAS_FIELDS, CORRECTS, COMMAND = 1, 2, 4, 8, 16  # marks of an entry

EMBRYO, IRREGULAR, OUT_OF_SEQUENCE, CONFLICTING, CORRECTED, MISSED = 1, 2, 4, 8, 16, 32  # flags
HAS_CORRECTIONS, HAS_ENGINE = 64, 128  # flags of our own: look twice, some entries don't count
FLAG_NAMES = {
    EMBRYO: "embryo",
    IRREGULAR: "irregular",
    OUT_OF_SEQUENCE: "out_of_sequence",
    CONFLICTING: "conflicting_duplicate",
    CORRECTED: "corrected",
    MISSED: "missed_deadline",
}

pack_side = msgspec.msgpack.Encoder().encode
unpack_side = msgspec.msgpack.Decoder(list[dict[str, Any] | None]).decode
unpack_extras = msgspec.msgpack.Decoder(dict[int, dict[str, Any]]).decode


class Shipment:
    """A parcel in the fold: its name, status and last update (ms, 0 for none).

    `status` is UNSEEN until the walk comes to an entry of the parcel or to one that announces it.
    """

    __slots__ = ("name", "status", "updated_at")

    def __init__(self, name: str, status: int = UNSEEN, updated_at: int = 0) -> None:
        """A parcel of which nothing is known yet but its name."""
        self.name = name
        self.status = status
        self.updated_at = updated_at

    def see(self) -> None:
        """The walk has come to this parcel."""
        if self.status == UNSEEN:
            self.status = NO_STATUS


# (rule, level, shipment, anchor hash, opened_at): rule is a symbol, level 1 warning or 2 overdue
OpenEntry = tuple[int, int, int, int, int]
# (rule, shipment, anchor hash)
DoneEntry = tuple[int, int, int]
# one that moved the order: (status, time, hash)
DerivedEntry = tuple[int, int, int]


class Order:
    """An order unpacked for work; `pack` makes it bytes again."""

    __slots__ = (
        "alerts", "armed_at", "created_at", "derived", "done", "extras", "flags", "history", "key",
        "latest", "period", "promised_at", "ship_by", "shipments", "side", "status", "version",
    )  # fmt: skip

    def __init__(self, key: str) -> None:
        """An order of which nothing is known yet."""
        self.key = key
        self.history = b""
        self.extras: dict[int, dict[str, Any]] = {}
        self.side: list[dict[str, Any] | None] = []
        self.version = 0
        self.armed_at = 0
        self.period = 0
        self.alerts: list[OpenEntry] = []
        self.done: list[DoneEntry] = []
        self.flags = EMBRYO
        self.forget()

    def forget(self) -> None:
        """Set back everything that the fold computes, for a fold from the beginning."""
        self.status = NO_STATUS
        self.latest = 0
        self.created_at = 0
        self.promised_at = 0
        self.ship_by = 0
        self.flags = self.flags & (CONFLICTING | MISSED | HAS_CORRECTIONS | HAS_ENGINE) | EMBRYO
        self.derived: list[DerivedEntry] = []
        self.shipments = [Shipment(shipment.name) for shipment in getattr(self, "shipments", ())]

    @property
    def entries(self) -> int:
        """How many entries the history holds."""
        return len(self.history) // ENTRY_BYTES

    @property
    def latest_arrival_at(self) -> int:
        """Arrival of the latest entry; 0 without one."""
        history = self.history
        return ENTRY.unpack_from(history, len(history) - ENTRY_BYTES)[1] >> 22 if history else 0

    def words(self) -> tuple[int, ...]:
        """The whole history, three words an entry."""
        return unpack_from(f"<{len(self.history) // 8}Q", self.history)

    def find(self, event_hash: int) -> int:
        """Where in the history the entry with this hash begins, in bytes; -1 if it isn't there."""
        needle = event_hash.to_bytes(8, "little")
        at = self.history.find(needle)
        while at >= 0 and at % ENTRY_BYTES != HASH_AT:
            at = self.history.find(needle, at + 1)
        return at - HASH_AT if at >= 0 else -1

    def shipment_number(self, name: str) -> int:
        """The number of a parcel of this order, a new one if it is new."""
        for number, shipment in enumerate(self.shipments):
            if shipment.name == name:
                return number
        self.shipments.append(Shipment(name))
        return len(self.shipments) - 1


def pack(order: Order) -> bytes:
    """The order as bytes."""
    names = [shipment.name.encode() for shipment in order.shipments]
    extras = pack_side(order.extras) if order.extras else b""
    side = pack_side(order.side) if order.side else b""
    parts = [
        HEADER.pack(
            FORMAT, order.status, order.flags, order.version, order.latest, order.created_at,
            order.promised_at, order.ship_by, order.armed_at, order.period, len(order.done),
            len(names), len(order.derived), len(order.alerts), 0, len(side), len(extras),
        )
    ]  # fmt: skip
    for shipment, name in zip(order.shipments, names, strict=True):
        parts += (SHIPMENT.pack(shipment.status, shipment.updated_at, len(name)), name)
    parts += [DERIVED.pack(*derived) for derived in order.derived]
    parts += [ALERT.pack(*alert) for alert in order.alerts]
    parts += [DONE.pack(*done) for done in order.done]
    parts += (extras, side, order.history)
    return b"".join(parts)


def unpack(key: str, data: bytes) -> Order:
    """The order that `pack` made into `data`.

    Raises:
        StateError: the bytes are of a format that this version doesn't know.
    """
    order = Order.__new__(Order)
    order.key = key
    (
        layout, order.status, order.flags, order.version, order.latest, order.created_at,
        order.promised_at, order.ship_by, order.armed_at, order.period, done, shipments, derived,
        alerts, _, side, extras,
    ) = HEADER.unpack_from(data)  # fmt: skip
    if layout != FORMAT:
        message = f"order {key}: stored in format {layout}; this version reads format {FORMAT}"
        raise StateError(message)
    at = HEADER.size
    order.shipments = []
    for _ in range(shipments):
        status, updated_at, length = SHIPMENT.unpack_from(data, at)
        at += SHIPMENT.size
        order.shipments.append(Shipment(data[at : at + length].decode(), status, updated_at))
        at += length
    order.derived, at = rows(DERIVED, data, at, derived) if derived else ([], at)
    order.alerts, at = rows(ALERT, data, at, alerts) if alerts else ([], at)
    order.done, at = rows(DONE, data, at, done) if done else ([], at)
    order.extras = unpack_extras(data[at : at + extras]) if extras else {}
    at += extras
    order.side = unpack_side(data[at : at + side]) if side else []
    order.history = data[at + side :]
    return order


def rows(row: Struct, data: bytes, at: int, count: int) -> tuple[list[Any], int]:
    """`count` rows of fixed size that begin at `at`, and where they end."""
    end = at + row.size * count
    return list(row.iter_unpack(data[at:end])), end

"""An order as bytes.

A live order is one `bytes` object: half a kilobyte that the garbage collector never looks at, and
that a snapshot copies as it is. It is msgpack, an array of `FIELDS` (below), whose decoder builds
an order in C within 2 us, where one of ours took 7. Entries of the history are named by their
number, its place in the order of arrival, which never changes: a byte or two instead of the nine of
a hash. The history comes last and isn't msgpack within: three little-endian 64-bit words an entry,

    time (42 bits) status (8) shipment (8) marks (6)
    arrival (42 bits) source (16) unused (6)
    event_hash (64)
"""

from struct import Struct, unpack_from
from typing import Any

import msgspec

from dataflows.core.lifecycle import NO_STATUS, UNSEEN
from schemas.errors import StateError

FORMAT = 2
ENTRY = Struct("<QQQ")
ENTRY_BYTES = ENTRY.size
HASH_AT = 16  # offset of the hash in an entry
WORD = Struct("<Q")
NO_ENTRY = -1

REFUSED, FROM_ENGINE, HAS_FIELDS, CORRECTS, COMMAND = 1, 2, 4, 8, 16  # marks of an entry

EMBRYO, IRREGULAR, OUT_OF_SEQUENCE, CONFLICTING, CORRECTED, MISSED = 1, 2, 4, 8, 16, 32  # flags
# Flags of our own: look twice, some entries don't count; and `firsts` is yet to be folded.
HAS_CORRECTIONS, HAS_ENGINE, UNFOLDED = 64, 128, 256
ORDER_FULL = 512
KEPT_BY_A_FOLD = CONFLICTING | MISSED | HAS_CORRECTIONS | HAS_ENGINE | ORDER_FULL
FLAG_NAMES = {
    EMBRYO: "embryo",
    IRREGULAR: "irregular",
    OUT_OF_SEQUENCE: "out_of_sequence",
    CONFLICTING: "conflicting_duplicate",
    CORRECTED: "corrected",
    MISSED: "missed_deadline",
    ORDER_FULL: "order_full",
}


class Shipment(msgspec.Struct, array_like=True, gc=False):
    """A parcel in the fold: its name, status and last update (ms, 0 for none).

    `status` is UNSEEN until the walk comes to an entry of the parcel or to one that announces it.
    """

    name: str
    status: int = UNSEEN
    updated_at: int = 0

    def see(self) -> None:
        """The walk has come to this parcel."""
        if self.status == UNSEEN:
            self.status = NO_STATUS


# (rule, level, shipment, anchor entry, opened_at): rule is a symbol, level 1 warning or 2 overdue
OpenEntry = tuple[int, int, int, int, int]
# (rule, shipment, anchor entry): acted on or missed
DoneEntry = tuple[int, int, int]
# an entry that moved the order: (status, entry)
DerivedEntry = tuple[int, int]

FIELDS = tuple[
    int,  # format
    int,  # armed_at, here so that it can be read alone
    int,  # status
    int,  # flags
    int,  # version
    int,  # the latest entry
    int,  # the entry that created it
    int,  # promised_at
    int,  # ship_by
    int,  # period
    list[Shipment],
    list[DerivedEntry],
    dict[int, int],  # firsts
    list[OpenEntry],
    list[DoneEntry],
    dict[int, dict[str, Any]],  # extras
    list[dict[str, Any] | None],  # side
    bytes,  # history
]
HEAD = bytes((0xDC, 0, 18, FORMAT))  # an array of 18, and the first of them
ARMED = Struct(f">{len(HEAD)}xBQ")  # the marker of a 64-bit number, and the number
UINT64 = 0xCF

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(FIELDS).decode


class Order:
    """An order unpacked for work; `pack` makes it bytes again.

    `latest` is time << 8 | status of the latest entry.
    `extras` has the order-level fields of the entries that carry some, `firsts` the first entry of
    every status that the order reached, `side` for each shipment what is known besides (c: carrier,
    l: location, r: readings). `terms` is what the rules count from, kept until the next entry (see
    `dataflows.core.deadlines`), `faults` the conditions that could not be evaluated for them, as
    (rule, reason); neither is stored.
    """

    __slots__ = (
        "alerts", "armed_at", "created_at", "created_entry", "derived", "done", "extras", "faults",
        "firsts", "flags", "history", "key", "latest", "latest_entry", "period", "promised_at",
        "ship_by", "shipments", "side", "status", "terms", "version",
    )  # fmt: skip

    def __init__(self, key: str, fields: FIELDS | None = None) -> None:
        """An order of these `FIELDS`; without, one of which nothing is known yet."""
        self.key = key
        (
            _, self.armed_at, self.status, self.flags, self.version, self.latest_entry,
            self.created_entry, self.promised_at, self.ship_by, self.period, self.shipments,
            self.derived, self.firsts, self.alerts, self.done, self.extras, self.side,
            self.history,
        ) = fields or nothing_known()  # fmt: skip
        # 16 bytes an order less than storing them.
        self.latest = self.word(self.latest_entry) >> 14 if self.latest_entry >= 0 else 0
        self.created_at = self.at(self.created_entry) if self.created_entry >= 0 else 0
        self.terms: list[Any] | None = None
        self.faults: list[tuple[str, str]] = []

    def forget(self) -> None:
        """Set back everything that the fold computes, for a fold from the beginning."""
        self.status = NO_STATUS
        self.latest, self.latest_entry = 0, NO_ENTRY
        self.created_at, self.created_entry = 0, NO_ENTRY
        self.promised_at = 0
        self.ship_by = 0
        self.flags = self.flags & KEPT_BY_A_FOLD | EMBRYO
        self.derived = []
        self.firsts = {}
        self.shipments = [Shipment(shipment.name) for shipment in self.shipments]

    @property
    def entries(self) -> int:
        """How many entries the history holds."""
        return len(self.history) // ENTRY_BYTES

    @property
    def latest_arrival_at(self) -> int:
        """Arrival of the latest entry; 0 without one."""
        return self.arrival_at(self.entries - 1) if self.history else 0

    def word(self, entry: int) -> int:
        """The first word of an entry."""
        word: int = WORD.unpack_from(self.history, entry * ENTRY_BYTES)[0]
        return word

    def at(self, entry: int) -> int:
        """The time of an entry, in ms."""
        return self.word(entry) >> 22

    def arrival_at(self, entry: int) -> int:
        """The arrival of an entry, in ms."""
        word: int = WORD.unpack_from(self.history, entry * ENTRY_BYTES + 8)[0]
        return word >> 22

    def hash_of(self, entry: int) -> int:
        """The hash of an entry; 0 for NO_ENTRY."""
        if entry == NO_ENTRY:
            return 0
        word: int = WORD.unpack_from(self.history, entry * ENTRY_BYTES + HASH_AT)[0]
        return word

    def words(self) -> tuple[int, ...]:
        """The whole history, three words an entry."""
        return unpack_from(f"<{len(self.history) // 8}Q", self.history)

    def find(self, event_hash: int) -> int:
        """The number of the entry with this hash; NO_ENTRY if there is none."""
        needle = event_hash.to_bytes(8, "little")
        at = self.history.find(needle)
        while at >= 0 and at % ENTRY_BYTES != HASH_AT:
            at = self.history.find(needle, at + 1)
        return at // ENTRY_BYTES if at >= 0 else NO_ENTRY

    def shipment_number(self, name: str) -> int:
        """The number of a parcel of this order, a new one if it is new."""
        for number, shipment in enumerate(self.shipments):
            if shipment.name == name:
                return number
        self.shipments.append(Shipment(name))
        return len(self.shipments) - 1


def nothing_known() -> FIELDS:
    """The fields of an order before its first entry."""
    return FORMAT, 0, NO_STATUS, EMBRYO, 0, -1, -1, 0, 0, 0, [], [], {}, [], [], {}, [], b""


def pack(order: Order) -> bytes:
    """The order as bytes."""
    packed = encode(
        (
            FORMAT, order.armed_at, order.status, order.flags, order.version, order.latest_entry,
            order.created_entry, order.promised_at, order.ship_by, order.period, order.shipments,
            order.derived, order.firsts, order.alerts, order.done, order.extras, order.side,
            order.history,
        )
    )  # fmt: skip
    # What the encoder returns keeps the room it grew in: 931 resident bytes an order, not 700.
    return bytes(memoryview(packed))


def unpack(key: str, data: bytes) -> Order:
    """The order that `pack` made into `data`.

    Raises:
        StateError: the bytes are of a format that this version doesn't know.
        msgspec.DecodeError: they are damaged.
    """
    if not data.startswith(HEAD):
        layout = data[len(HEAD) - 1] if len(data) >= len(HEAD) else 0
        message = f"order {key}: stored in format {layout}; this version reads format {FORMAT}"
        raise StateError(message)
    return Order(key, decode(data))


def armed_at_of(data: bytes) -> int:
    """The armed deadline of a packed order in ms, without unpacking the rest; 0 for none."""
    marker, at = ARMED.unpack_from(data)
    armed_at: int = at if marker == UINT64 else decode(data)[1]  # of no deadline, or of early 1970
    return armed_at

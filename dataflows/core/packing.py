"""An order as bytes.

A live order is one `bytes` object: half a kilobyte that the garbage collector never looks at, and
that a snapshot copies as it is. It is msgpack, an array of `FIELDS` (below), whose decoder builds
an order in C within 2 us, where one of ours took 7. Entries of the history are named by their
number, its place in the order of arrival, which never changes: a byte or two instead of the nine of
a hash. The history comes last and isn't msgpack within: three little-endian 64-bit words an entry,

    time (42 bits) status (8) name (8) marks (6)
    arrival (42 bits) source (16) more marks (6)
    event_hash (64)

`name` is the number of a (shipment, waybill) as the entry wrote them; `dataflows.core.names` says
which parcel that is.
"""

from struct import Struct, unpack_from
from typing import Any

import msgspec

from dataflows.core.lifecycle import NO_STATUS
from schemas.errors import StateError
from schemas.numbers import as_number, as_waybill

FORMAT = 4
ENTRY = Struct("<QQQ")
ENTRY_BYTES = ENTRY.size
HASH_BYTES = 8
HASH_AT = 16  # offset of the hash in an entry
WORD = Struct("<Q")
NO_ENTRY = -1

# Marks of an entry. BY_NUMBER: it came without the order's id.
REFUSED, FROM_ENGINE, HAS_FIELDS, CORRECTS, COMMAND, BY_NUMBER = 1, 2, 4, 8, 16, 32
FROM_CARRIER = 64  # the first of six more, which lie in the second word
# What an entry's extras hold besides order-level fields.
CORRECTED_HASH, CAME_BY, SENT_AT, LOST = "corrects", "via", "sent_at", "lost"
NO_FIELDS = frozenset({CORRECTED_HASH, CAME_BY, SENT_AT, LOST})

EMBRYO, IRREGULAR, OUT_OF_SEQUENCE, CONFLICTING, CORRECTED, MISSED = 1, 2, 4, 8, 16, 32  # flags
# Flags of our own: some entries don't count (corrected, or of a number that nobody names), or are
# the engine's.
HAS_CORRECTIONS, HAS_ENGINE, HAS_HIDDEN = 64, 128, 256
ORDER_FULL, MISSING_TIME, HISTORY_FULL = 512, 1024, 2048
KEPT_BY_A_FOLD = CONFLICTING | MISSED | HAS_CORRECTIONS | HAS_ENGINE | ORDER_FULL | HISTORY_FULL
FLAG_NAMES = {
    EMBRYO: "embryo",
    IRREGULAR: "irregular",
    OUT_OF_SEQUENCE: "out_of_sequence",
    CONFLICTING: "conflicting_duplicate",
    CORRECTED: "corrected",
    MISSED: "missed_deadline",
    ORDER_FULL: "order_full",
    MISSING_TIME: "missing_time",
    HISTORY_FULL: "history_full",
}


# Marks of a parcel. KNOWN: the walk has come to it. RETURN: of its own for the way back. WENT: it
# was with a carrier. MOVED: at all. LATE: announced behind the DELIVERED of the others, and not
# moved yet.
# SPELLED: its spelling is known. WITHDRAWN: its return was, so that it ended until it moves again.
# SETTLED: the shop's DELIVERED or COMPLETED of the whole order covers it until it moves again.
KNOWN, RETURN, TURNED, REPLACED, WENT, MOVED, LATE, SPELLED = 1, 2, 4, 8, 16, 32, 64, 128
WITHDRAWN, SETTLED = 256, 512


class Parcel(msgspec.Struct, array_like=True, gc=False):
    """A parcel in the fold; instants in ms, 0 for none.

    `name` is its normal form, `spelling` how the first entry that names it wrote it ("" where that
    is the name), `announced` that entry, `ended_at` when it ceased to count.
    """

    name: str
    spelling: str = ""
    status: int = NO_STATUS
    updated_at: int = 0
    marks: int = 0
    ended_at: int = 0
    announced: int = NO_ENTRY

    @property
    def is_known(self) -> bool:
        """Whether an entry of the walk named or announced it."""
        return bool(self.marks & KNOWN)

    @property
    def counts(self) -> bool:
        """Whether it is known and hasn't ended."""
        return bool(self.marks & KNOWN) and not self.ended_at

    @property
    def goes_back(self) -> bool:
        """Whether it is on its way to the sender."""
        return bool(self.marks & (RETURN | TURNED))

    @property
    def shown(self) -> str:
        """The name as it was written."""
        return self.spelling or self.name


class Course(msgspec.Struct, array_like=True, gc=False):
    """What the fold knows of an order's way beyond its status.

    `status_entry` brought the status; `is_derived`: from its parcels; `had_gone`: a parcel was with
    a carrier by then. `derived` is the status that the parcels gave last, `onward` the one that the
    latest forward move of a parcel gives. `life` is the entry that began the order anew, `partial`
    are those without a parcel's name whose status was the unnamed parcel's and not the order's.
    `opened_by` is the status by which more parcels come (`open_until`).
    """

    status_entry: int = NO_ENTRY
    is_derived: bool = False
    had_gone: bool = False
    derived: int = NO_STATUS
    onward: int = NO_STATUS
    expected: int = 0
    life: int = NO_ENTRY
    partial: list[int] = []
    opened_by: int = NO_STATUS


class OpenEntry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An open alert; instants in ms, 0 for none.

    `rule` is a symbol, `level` 1 (warning) or 2 (overdue), `deadline` the index of the anchor
    taken, `anchor` its entry. `due_at` is of the opening, or of the escalation since
    `escalated_at`. `last_wanted_at` is 0 while a flapping alert is wanted.
    """

    rule: int
    level: int
    deadline: int
    is_flapping: bool
    parcel: int
    anchor: int
    opened_at: int
    due_at: int
    escalated_at: int = 0
    last_wanted_at: int = 0


# (rule, parcel, at): an alert opened; kept as long as it matters for flapping
Opening = tuple[int, int, int]
# (rule, shipment, anchor entry): acted on or missed; with FAULT_BITS beside the rule: a fault of it
# was audited, of the kind that stands for the shipment
DoneEntry = tuple[int, int, int]
FAULT_BITS = 0xC000
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
    Course,
    list[Parcel],
    list[tuple[str, str]],  # names: (shipment, waybill) as written
    list[int],  # of each name its parcel
    list[DerivedEntry],
    dict[int, int],  # firsts
    list[OpenEntry],
    list[DoneEntry],
    list[Opening],
    dict[int, dict[str, Any]],  # extras
    list[dict[str, Any] | None],  # side, by name
    bytes,  # the hashes of pings that were thinned out
    bytes,  # history
]
HEAD = bytes((0xDC, 0, 23, FORMAT))  # an array of 23, and the first of them
ARMED = Struct(f">{len(HEAD)}xBQ")  # the marker of a 64-bit number, and the number
UINT64 = 0xCF

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(FIELDS).decode


class Order:
    """An order unpacked for work; `pack` makes it bytes again.

    `latest` is time << 8 | status of the latest entry.
    `extras` has the order-level fields of the entries that carry some, `firsts` the first entry of
    every status that the order reached, `side` for each name what is known besides (c: carrier,
    l: location, r: readings). `terms` is what the rules count from, kept until the next entry (see
    `dataflows.core.deadlines`), `faults` what could not be evaluated for them, as
    (rule, kind, reason); neither is stored.
    """

    __slots__ = (
        "alerts", "armed_at", "course", "created_at", "created_entry", "derived", "done", "extras",
        "faults", "firsts", "flags", "history", "key", "latest", "latest_entry", "names",
        "openings", "parcel_of", "parcels", "period", "promised_at", "ship_by", "side", "status",
        "terms", "thinned", "version", "walked",
    )  # fmt: skip

    def __init__(self, key: str, fields: FIELDS | None = None) -> None:
        """An order of these `FIELDS`; without, one of which nothing is known yet."""
        self.key = key
        (
            _, self.armed_at, self.status, self.flags, self.version, self.latest_entry,
            self.created_entry, self.promised_at, self.ship_by, self.period, self.course,
            self.parcels, self.names, self.parcel_of, self.derived, self.firsts, self.alerts,
            self.done, self.openings, self.extras, self.side, self.thinned, self.history,
        ) = fields or nothing_known()  # fmt: skip
        # 16 bytes an order less than storing them.
        self.latest = self.word(self.latest_entry) >> 14 if self.latest_entry >= 0 else 0
        self.created_at = self.at(self.created_entry) if self.created_entry >= 0 else 0
        self.terms: list[Any] | None = None
        self.faults: list[tuple[str, str, str]] = []
        self.walked: list[Any] | None = None

    def forget(self) -> None:
        """Set back everything that the fold computes, for a fold from the beginning."""
        self.status = NO_STATUS
        self.latest, self.latest_entry = 0, NO_ENTRY
        self.created_at, self.created_entry = 0, NO_ENTRY
        self.promised_at = 0
        self.ship_by = 0
        self.flags = self.flags & KEPT_BY_A_FOLD | EMBRYO
        self.course = Course()
        self.derived = []
        self.firsts = {}
        self.parcels = [Parcel(parcel.name) for parcel in self.parcels]

    @property
    def entries(self) -> int:
        """How many entries the history holds."""
        return len(self.history) // ENTRY_BYTES

    def latest_arrival_of(self, is_note: list[bool]) -> int:
        """Arrival of the latest entry that is no note; of the latest note without one."""
        for entry in range(self.entries - 1, -1, -1):
            if not is_note[self.word(entry) >> 14 & 0xFF]:
                return self.arrival_at(entry)
        return self.latest_arrival_at

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

    def was_thinned(self, event_hash: int) -> bool:
        """Whether the ping with this hash was thinned out."""
        needle = event_hash.to_bytes(HASH_BYTES, "little")
        at = self.thinned.find(needle)
        while at >= 0 and at % HASH_BYTES:
            at = self.thinned.find(needle, at + 1)
        return at >= 0

    def name_number(self, shipment: str, waybill: str) -> int:
        """The number of a name as written, a new one if it is new."""
        written = (shipment, waybill)
        if written in self.names:
            return self.names.index(written)
        self.names.append(written)
        return len(self.names) - 1

    def sent_name(self, number: int) -> str:
        """The normal form of a name as it was sent: of its waybill, else of its shipment."""
        shipment, waybill = self.names[number]
        return as_waybill(waybill) if waybill else as_number(shipment)

    def parcel_number(self, name: str) -> int:
        """The number of a parcel by its normal form, a new one if it is new."""
        for number, parcel in enumerate(self.parcels):
            if parcel.name == name:
                return number
        self.parcels.append(Parcel(name))
        return len(self.parcels) - 1


def nothing_known() -> FIELDS:
    """The fields of an order before its first entry."""
    return (
        FORMAT, 0, NO_STATUS, EMBRYO, 0, -1, -1, 0, 0, 0, Course(), [], [], [], [], {}, [], [], [],
        {}, [], b"", b"",
    )  # fmt: skip


def pack(order: Order) -> bytes:
    """The order as bytes."""
    packed = encode(
        (
            FORMAT, order.armed_at, order.status, order.flags, order.version, order.latest_entry,
            order.created_entry, order.promised_at, order.ship_by, order.period, order.course,
            order.parcels, order.names, order.parcel_of, order.derived, order.firsts,
            order.alerts, order.done, order.openings, order.extras, order.side, order.thinned,
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

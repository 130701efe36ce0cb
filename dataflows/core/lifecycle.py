"""The lifecycle as a table: its file's rows, compiled to what the fold asks for.

`lifecycle_check.py` parses and checks the file.
"""

from hashlib import blake2b
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from dataflows.core.carrier_names import CarrierNames
from schemas.instants import parse_duration

NO_STATUS = 255  # known, and nothing said yet
FORGET_NUMBERS_AFTER = "180d"
ORDER_FIELDS_BYTES = 250_000
MAX_ORDERS_PER_NUMBER = 50
FORGET_UNUSED_NUMBERS_AFTER = "1096d"
NUMBER_SHARED_WITHIN = "3d"
NEVER_AGAIN_MS = 1 << 60  # no order has a second life


class MovesOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Move of an order by a parcel's status: `any` for the first parcel, `all` for the last.

    `until_all` is where the order goes while other parcels are not there yet.
    """

    status: str
    when: Literal["any", "all"]
    until_all: str | None = None

    @property
    def targets(self) -> list[str]:
        """Statuses into which it can move an order."""
        return [self.status, self.until_all] if self.until_all else [self.status]


class Move(NamedTuple):
    """The same by number; `until_all` is NO_STATUS where nothing happens until then."""

    target: int
    all_of_them: bool
    until_all: int


class StatusRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the lifecycle file; the fields are explained at the top of lifecycle.toml."""

    code: str
    label: dict[str, str]
    scope: Literal["order", "shipment", "both"]
    next: list[str] = []
    irregular: list[str] = []
    creates: bool = False
    logistics: bool = False
    proof_of_life: bool = False
    moves_order: MovesOrder | None = None
    ends: bool = False
    retire_after: str | None = None
    ends_parcel: bool = False
    ends_with: list[str] = []
    turns: bool = False
    arrives_back: str | None = None
    withdraws: list[str] = []
    regular_after: list[str] = []
    open_until: list[str] = []
    milestone: bool = False
    note: bool = False
    stage: Annotated[int, msgspec.Meta(ge=0, le=4)] | None = None


class LifecycleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A lifecycle file as it is written."""

    version: Literal[1]
    name: str
    status: list[StatusRow]
    forget_numbers_after: str = FORGET_NUMBERS_AFTER
    order_fields_bytes: Annotated[int, Meta(ge=1_000, le=400_000)] = ORDER_FIELDS_BYTES
    max_orders_per_number: Annotated[int, Meta(ge=1, le=1_000)] = MAX_ORDERS_PER_NUMBER
    placeholders: list[str] = []
    forget_unused_numbers_after: str = FORGET_UNUSED_NUMBERS_AFTER
    number_shared_within: str = NUMBER_SHARED_WITHIN
    second_life_after: str | None = None
    zone: str = "UTC"
    carriers: dict[str, list[str]] = {}


class NumberRules(NamedTuple):
    """Rules of waybills and foreign numbers: see the top of lifecycle.toml; times in ms."""

    forget_after_ms: int
    forget_unused_after_ms: int
    shared_within_ms: int
    max_orders: int
    placeholders: frozenset[str]

    def is_placeholder(self, number: str) -> bool:
        """Return True if it stands for no number."""
        return number.strip().casefold() in self.placeholders


def number_rules(file: LifecycleFile) -> NumberRules:
    """Rules of numbers in a lifecycle file."""
    unused_after = file.forget_unused_numbers_after
    return NumberRules(
        parse_duration(file.forget_numbers_after, of="forget_numbers_after"),
        parse_duration(unused_after, of="forget_unused_numbers_after"),
        parse_duration(file.number_shared_within, of="number_shared_within"),
        file.max_orders_per_number,
        frozenset(each.strip().casefold() for each in file.placeholders),
    )


class Lifecycle:
    """The compiled table. A status is its index, which is also its rank; the lists are by index."""

    def __init__(self, file: LifecycleFile) -> None:
        """Create the table of `file`, in which `lifecycle_check` found no fault."""
        self.file = file
        self.rows = rows = file.status
        self.zone = file.zone
        self.order_fields_bytes = file.order_fields_bytes
        self.numbers = number_rules(file)
        self.carriers = CarrierNames(file.carriers)
        second_life = file.second_life_after
        self.second_life_after_ms = (
            parse_duration(second_life, of="second_life_after") if second_life else NEVER_AGAIN_MS
        )
        self.digest = blake2b(msgspec.json.encode(file), digest_size=16).hexdigest()
        self.codes = [row.code for row in rows]
        self.index = {code: rank for rank, code in enumerate(self.codes)}
        self.creates = [row.creates for row in rows]
        self.logistics = [row.logistics for row in rows]
        self.moves_nothing = [row.proof_of_life for row in rows]
        self.of_order = [row.scope in {"order", "both"} for row in rows]
        self.of_shipment = [row.scope in {"shipment", "both"} for row in rows]
        self.of_both = [row.scope == "both" for row in rows]
        self.next = [self.indices(row.next) for row in rows]
        self.retire_after_ms = [
            parse_duration(row.retire_after, of=f"{row.code}.retire_after")
            if row.retire_after
            else 0
            for row in rows
        ]
        self.moves_order = [self.move(row.moves_order) for row in rows]
        self.ends = [row.ends for row in rows]
        self.ends_parcel = [row.ends_parcel for row in rows]
        self.ends_with = [self.indices(row.ends_with) for row in rows]
        self.turns = [row.turns for row in rows]
        self.arrives_back = [self.number(row.arrives_back) for row in rows]
        self.withdraws = [self.indices(row.withdraws) for row in rows]
        self.regular_after = [self.indices(row.regular_after) for row in rows]
        self.open_until = [self.indices(row.open_until) for row in rows]
        self.is_milestone = [row.milestone for row in rows]
        self.is_note = [row.note for row in rows]
        self.irregular = [self.indices(row.irregular) for row in rows]
        self.can_be_withdrawn = frozenset[int]().union(*self.withdraws)
        self.whole = frozenset(m.target for m in self.moves_order if m and m.all_of_them)
        self.under_way = frozenset(
            move.target
            for move, turns in zip(self.moves_order, self.turns, strict=True)
            if move and not (turns or move.all_of_them)
        )
        self.proof_of_life = next((n for n, row in enumerate(rows) if row.proof_of_life), NO_STATUS)
        turning = [
            m.target for m, turns in zip(self.moves_order, self.turns, strict=True) if m and turns
        ]
        self.coming_back = turning[0] if turning else NO_STATUS
        arrived = [status for status in self.arrives_back if status != NO_STATUS]
        self.arrived_back = arrived[0] if arrived else NO_STATUS
        self.settles, self.settles_back = self.settling()
        # Nothing is skipped over a turn or end of a parcel, nor over an irregular end of an order.
        order_stops = frozenset(n for n, row in enumerate(rows) if row.ends and row.irregular)
        parcel_stops = frozenset(n for n, row in enumerate(rows) if row.turns or row.ends_parcel)
        parcel_ends = frozenset(n for n, row in enumerate(rows) if row.ends_parcel)
        self.order_ways = Ways(self, self.of_order, order_stops)
        self.shipment_ways = Ways(self, self.of_shipment, parcel_stops, parcel_ends)

    def settling(self) -> tuple[frozenset[int], frozenset[int]]:
        """Statuses of an order by which all that went forward, and all that went back, arrived."""
        withdrawing = {n for n, codes in enumerate(self.withdraws) if self.coming_back in codes}
        arrived = self.arrived_back
        back = frozenset[int]() if arrived == NO_STATUS else self.next[arrived] | {arrived}
        return self.whole | withdrawing, back

    def number(self, code: str | None) -> int:
        """The index of a code; NO_STATUS for none."""
        return NO_STATUS if code is None else self.index[code]

    def move(self, moves: MovesOrder | None) -> Move | None:
        """A move by number."""
        if moves is None:
            return None
        until_all = self.index[moves.until_all] if moves.until_all else NO_STATUS
        return Move(self.index[moves.status], moves.when == "all", until_all)

    def indices(self, codes: list[str]) -> frozenset[int]:
        """The indices of `codes`."""
        return frozenset(self.index[code] for code in codes)


class Ways:
    """Ways of orders (or parcels) from each status: over `next`, and over `irregular` as well."""

    def __init__(
        self,
        table: Lifecycle,
        members: list[bool],
        stops: frozenset[int],
        direct: frozenset[int] = frozenset(),
    ) -> None:
        """Create the ways of `table` between its `members`.

        Nothing is skipped over one of `stops`; those in `direct` are reached over one edge only.
        """
        inside = frozenset(rank for rank, member in enumerate(members) if member)
        self.next = [table.next[rank] & inside for rank in range(len(members))]
        every = [
            table.indices(row.next + row.irregular) & inside if rank in inside else frozenset[int]()
            for rank, row in enumerate(table.rows)
        ]
        regular = [
            targets if rank in inside else frozenset() for rank, targets in enumerate(self.next)
        ]
        self.regular = [closure(rank, regular, stops, direct) for rank in range(len(members))]
        self.every = [closure(rank, every, stops, direct) for rank in range(len(members))]


def closure(
    start: int,
    edges: list[frozenset[int]],
    stops: frozenset[int],
    direct: frozenset[int],
) -> frozenset[int]:
    """Every index that can be reached from `start` in one step or more; see `Ways`."""
    seen: set[int] = set()
    border = set(edges[start])
    while border:
        seen |= border
        onward = (source for source in border if source not in stops)
        border = {target for source in onward for target in edges[source] - direct} - seen
    return frozenset(seen)

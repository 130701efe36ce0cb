"""The lifecycle as a table: read from a file, checked, compiled to what the fold asks for."""

import tomllib
from collections.abc import Iterable
from hashlib import blake2b
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from schemas.errors import SettingsError
from schemas.instants import DAY_MS, parse_duration

NO_STATUS = 255  # known, and nothing said yet
UNSEEN = 254  # of a parcel: the walk has not come to it
MAX_STATUSES = 254
FORGET_NUMBERS_AFTER = "180d"
ORDER_FIELDS_BYTES = 250_000
MAX_ORDERS_PER_NUMBER = 50
FORGET_KEY = "forget_numbers_after"


class MovesOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a parcel's status does to its order: `any` for the first parcel, `all` for the last.

    `until_all` is where the order goes while other parcels are not there yet.
    """

    status: str
    when: Literal["any", "all"]
    until_all: str | None = None

    @property
    def targets(self) -> list[str]:
        """Where it can move an order."""
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


class LifecycleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A lifecycle file as it is written."""

    version: Literal[1]
    name: str
    status: list[StatusRow]
    forget_numbers_after: str = FORGET_NUMBERS_AFTER
    order_fields_bytes: Annotated[int, Meta(ge=1_000, le=400_000)] = ORDER_FIELDS_BYTES
    max_orders_per_number: Annotated[int, Meta(ge=1, le=1_000)] = MAX_ORDERS_PER_NUMBER
    placeholders: list[str] = []


class NumberRules(NamedTuple):
    """What holds for waybills and foreign numbers: see the top of lifecycle.toml."""

    forget_after_ms: int
    max_orders: int
    placeholders: frozenset[str]

    def is_placeholder(self, number: str) -> bool:
        """Whether it stands for no number."""
        return number.strip().casefold() in self.placeholders


class Lifecycle:
    """The compiled table. A status is its index, which is also its rank; the lists are by index."""

    def __init__(
        self,
        rows: list[StatusRow],
        forget_numbers_after: str = FORGET_NUMBERS_AFTER,
        order_fields_bytes: int = ORDER_FIELDS_BYTES,
        max_orders_per_number: int = MAX_ORDERS_PER_NUMBER,
        placeholders: Iterable[str] = (),
    ) -> None:
        """Compile `rows`, which `check` has passed."""
        self.order_fields_bytes = order_fields_bytes
        self.rows = rows
        self.forget_numbers_after_ms = parse_duration(forget_numbers_after, of=FORGET_KEY)
        self.numbers = NumberRules(
            self.forget_numbers_after_ms,
            max_orders_per_number,
            frozenset(each.strip().casefold() for each in placeholders),
        )
        self.digest = blake2b(msgspec.json.encode(rows), digest_size=16).hexdigest()
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
        self.order_ways = Ways(self, self.of_order)
        self.shipment_ways = Ways(self, self.of_shipment)

    def move(self, moves: MovesOrder | None) -> Move | None:
        """A move by number."""
        if moves is None:
            return None
        until_all = self.index[moves.until_all] if moves.until_all else NO_STATUS
        return Move(self.index[moves.status], moves.when == "all", until_all)

    def indices(self, codes: list[str]) -> frozenset[int]:
        """The indices of `codes`."""
        return frozenset(self.index[code] for code in codes)

    def code(self, status: int) -> str | None:
        """The code of a status index; None for NO_STATUS and UNSEEN."""
        return None if status >= UNSEEN else self.codes[status]


class Ways:
    """Where orders (or parcels) go from each status: over `next`, and over `irregular` as well."""

    def __init__(self, table: Lifecycle, members: list[bool]) -> None:
        """The ways of `table` between its `members`."""
        inside = frozenset(rank for rank, member in enumerate(members) if member)
        self.next = [table.next[rank] & inside for rank in range(len(members))]
        every = [
            table.indices(row.next + row.irregular) & inside if rank in inside else frozenset[int]()
            for rank, row in enumerate(table.rows)
        ]
        regular = [
            targets if rank in inside else frozenset() for rank, targets in enumerate(self.next)
        ]
        self.regular = [closure(rank, regular) for rank in range(len(members))]
        self.every = [closure(rank, every) for rank in range(len(members))]


def closure(start: int, edges: list[frozenset[int]]) -> frozenset[int]:
    """Every index that can be reached from `start` in one step or more."""
    seen: set[int] = set()
    border = set(edges[start])
    while border:
        seen |= border
        border = {target for source in border for target in edges[source]} - seen
    return frozenset(seen)


def parse_lifecycle(text: str, name: str) -> Lifecycle:
    """Compile the text of a lifecycle file; `name` is what errors call it.

    Raises:
        SettingsError: it is no lifecycle, or the table has faults; all of them are named.
    """
    try:
        table = msgspec.convert(tomllib.loads(text), LifecycleFile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        message = f"{name}: {error}"
        raise SettingsError(message) from error
    faults = check(table.status) + forget_faults(table.forget_numbers_after)
    if faults:
        message = f"{name}: " + "; ".join(faults)
        raise SettingsError(message)
    return Lifecycle(
        *(table.status, table.forget_numbers_after, table.order_fields_bytes),
        *(table.max_orders_per_number, table.placeholders),
    )


def check(rows: list[StatusRow]) -> list[str]:
    """The faults of a table, each in one sentence; empty if there are none."""
    codes = [row.code for row in rows]
    faults = [
        f"status {code} is there twice" for code in sorted({c for c in codes if codes.count(c) > 1})
    ]
    if len(rows) > MAX_STATUSES:
        faults.append(f"{len(rows)} statuses; at most {MAX_STATUSES} are possible")
    if not any(row.creates for row in rows):
        faults.append("no status has creates = true, so no order could ever start")
    order_codes = {row.code for row in rows if row.scope != "shipment"}
    for row in rows:
        faults += row_faults(row, set(codes), order_codes)
    return faults or graph_faults(rows)


def forget_faults(forget_numbers_after: str) -> list[str]:
    """What is wrong with the time after which numbers are forgotten: they are kept by days."""
    try:
        after_ms = parse_duration(forget_numbers_after, of=FORGET_KEY)
    except SettingsError as error:
        return [str(error)]
    is_whole = after_ms and after_ms % DAY_MS == 0
    return [] if is_whole else [f"{FORGET_KEY}: {forget_numbers_after} is not a number of days"]


def row_faults(row: StatusRow, codes: set[str], order_codes: set[str]) -> list[str]:
    """What is wrong with one row by itself."""
    moved_to = row.moves_order.targets if row.moves_order else []
    targets = [*row.next, *row.irregular, *moved_to]
    faults = [f"{row.code}: {code} is not in the table" for code in targets if code not in codes]
    faults += [
        f"{row.code}: label.{language} is missing"
        for language in ("en", "zh")
        if not row.label.get(language)
    ]
    faults += [
        f"{row.code}: moves_order: {code} is no status of orders"
        for code in moved_to
        if code in codes - order_codes
    ]
    if row.moves_order and row.moves_order.when == "any" and row.moves_order.until_all:
        faults.append(f'{row.code}: moves_order: until_all goes with when = "all" only')
    if row.creates and row.scope == "shipment":
        faults.append(f"{row.code}: only a status of orders can have creates")
    if row.retire_after and not row.ends:
        faults.append(
            f"{row.code}: retire_after without ends would drop an order that is under way"
        )
    try:
        parse_duration(row.retire_after or "0s", of=f"{row.code}.retire_after")
    except SettingsError as error:
        faults.append(str(error))
    return faults


def graph_faults(rows: list[StatusRow]) -> list[str]:
    """States that can't be reached, and states from which no end can be reached."""
    table = Lifecycle(rows)
    orders = [i for i, row in enumerate(rows) if row.scope != "shipment"]
    reached = {i for i in orders if table.creates[i]}
    moves = [row.moves_order for row in rows if row.moves_order]
    reached |= {table.index[code] for move in moves for code in move.targets}
    reached |= {i for start in reached for i in table.order_ways.every[start]}
    faults = [f"{table.codes[i]} can't be reached" for i in orders if i not in reached]
    ends = {i for i, row in enumerate(rows) if row.ends}
    for i in range(len(rows)):
        onward = table.order_ways.every[i] | table.shipment_ways.every[i]
        if i not in ends and not table.moves_nothing[i] and not ends & onward:
            faults.append(f"{table.codes[i]} has no way to an end")
    return faults

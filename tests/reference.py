"""The slow, obvious evaluator that the core is tested against: docs/semantics.md, literally.

Nothing is kept between events: every prefix of an order's arrivals is folded from scratch. It is
written from the text alone and independent of dataflows/core/; both read the same TOML tables.
Instants and durations are ms.
"""

import json
import operator
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from hashlib import blake2b
from itertools import takewhile
from typing import Any
from unicodedata import normalize
from zoneinfo import ZoneInfo

import holidays

from schemas.event import MAX_AHEAD_MS
from schemas.instants import DAY_MS, LATEST_AT, parse_duration, parse_instant, to_instant
from schemas.keys import DEFAULT_TENANT, action_id, alert_id, event_hash, order_key
from tests.reference_door import as_kept, is_refused

Json = dict[str, Any]
HYPHENS = "-\u2010\u2011\u2012\u2013\u2014\u2212"
MAX_EVENTS = 2_000
FLAPPING_MS = 14 * 86_400_000
FLAPPING_OPENINGS = 3
MAX_PINGS = 500  # beyond so many events in all, pings are thinned; and so many more are held
EMBRYO_RETIRES_AFTER_MS = 30 * 86_400_000
HOUR_MS = 3_600_000
MISSING_BEFORE = parse_instant("2000-01-01T00:00:00Z")
LANES = ("normal", "warning", "overdue")
STATES = ("opened", "escalated", "resolved")
DATED_FIELDS = ("promised_at", "ship_by")
PLAIN_FIELDS = ("customer_id", "supplier_id", "carrier")
OURS = ("rule:", "action:", "note:", "eta:")
WITHDRAWN = "withdrawn"
NEVER = 1 << 62  # of a deadline outside the years of its calendar


@dataclass(frozen=True)
class Status:
    code: str
    rank: int
    row: Json  # its table in the lifecycle file

    def has(self, column: str) -> bool:
        return bool(self.row.get(column))


@dataclass(frozen=True)
class Lifecycle:
    """The table, and what stands at its top."""

    by_code: dict[str, Status]
    second_life_ms: int | None
    zone: str

    def __getitem__(self, code: str) -> Status:
        return self.by_code[code]

    def __contains__(self, code: str) -> bool:
        return code in self.by_code

    @property
    def ping(self) -> Status | None:
        return next((s for s in self.by_code.values() if s.has("proof_of_life")), None)

    @property
    def turning(self) -> Status | None:
        return next((s for s in self.by_code.values() if s.has("turns")), None)

    def back_status(self) -> str | None:
        """Status of an order while its parcels come back: RETURNING."""
        effect = self.turning.row.get("moves_order") if self.turning else None
        return effect["status"] if effect else None

    def arrived_status(self) -> str | None:
        """Status of an order when they have: RETURNED."""
        rows = (s.row for s in self.by_code.values())
        return next((row["arrives_back"] for row in rows if "arrives_back" in row), None)

    def is_withdrawn_by(self, present: str, code: str) -> bool:
        return present in self[code].row.get("withdraws", ())

    def is_under_way(self, code: str) -> bool:
        """Return True for the status of an order that a parcel's way forward gives: SHIPPED."""
        rows = [status.row for status in self.by_code.values() if not status.has("turns")]
        effects = [row["moves_order"] for row in rows if "moves_order" in row]
        return any(e["when"] == "any" and e["status"] == code for e in effects)

    def can_be_withdrawn(self, present: str) -> bool:
        return any(self.is_withdrawn_by(present, code) for code in self.by_code)


def read_lifecycle(table: Json) -> Lifecycle:
    rows = enumerate(table["status"])
    second_life = table.get("second_life_after")
    return Lifecycle(
        {row["code"]: Status(row["code"], rank, row) for rank, row in rows},
        parse_duration(second_life) if second_life else None,
        table.get("zone", "UTC"),
    )


# ---------------------------------------------------------------- names and numbers


def as_waybill(text: str) -> str:
    """The normal form of a waybill."""
    upper = normalize("NFKC", text).upper()
    return "".join(c for c in upper if not c.isspace() and c not in HYPHENS)


def as_number(text: str) -> str:
    """The normal form of any other number, and of a parcel's name."""
    return normalize("NFKC", text).upper().strip()


@dataclass(frozen=True, eq=False)
class Entry:
    """An event that passed the door. `fields` are its order-level fields, flat.

    `via` is (kind, normal form) of the number by which it came; None with the order's id.
    """

    source: str
    event_id: str
    hash: int
    content: int
    sent_at: int
    at: int
    arrival: int
    status: Status
    shipment: str
    waybill: str
    via: tuple[str, str] | None
    replaces: str
    is_command: bool
    corrects: int | None
    fields: Json
    readings: dict[str, float]
    carries: bool  # whether it came with fields, kept or lost
    is_placed: bool  # whether it came with a usable location

    @property
    def name(self) -> str:
        """The parcel's name as sent, in its normal form; "" without one."""
        return as_waybill(self.waybill) if self.waybill else as_number(self.shipment)

    @property
    def of_parcel(self) -> bool:
        scope = self.status.row["scope"]
        return scope == "shipment" or (scope == "both" and self.name != "")

    @property
    def is_ours(self) -> bool:
        """Rules, actions, notes and predictions never set an anchor or end a silence."""
        return self.source.startswith(OURS)

    @property
    def is_note(self) -> bool:
        return self.status.has("note")

    @property
    def is_ping(self) -> bool:
        return self.status.has("proof_of_life") and not self.carries

    @property
    def numbers(self) -> set[tuple[str, str]]:
        """(kind, normal form) of all that it names."""
        found = {("waybill", as_waybill(self.waybill))} if self.waybill else set()
        for name, values in self.fields.items():
            kind = name.removeprefix("references.")
            if kind != name:
                found |= {(kind, normal_number(kind, value)) for value in values}
        return found

    @property
    def announced(self) -> list[str]:
        """The parcels that it announces, as written."""
        kinds = ("references.waybill", "references.return_waybill")
        return [name for kind in kinds for name in sorted(self.fields.get(kind, ()))]

    @property
    def returning(self) -> set[str]:
        return {as_waybill(name) for name in self.fields.get("references.return_waybill", ())}

    @property
    def walk_order(self) -> tuple[int, int, str, int, int]:
        return (self.at, self.status.rank, self.name, self.arrival, self.hash)


def normal_number(kind: str, value: str) -> str:
    return as_waybill(value) if kind in ("waybill", "return_waybill") else as_number(value)


def without_placeholders(event: Json, lifecycle_table: Json) -> Json:
    """The event without the numbers that the lifecycle file lists as placeholders."""
    listed = {each.strip().casefold() for each in lifecycle_table.get("placeholders", ())}
    kept = dict(event)
    if kept.get("waybill") is not None and kept["waybill"].strip().casefold() in listed:
        del kept["waybill"]
    references = {}
    for kind, numbers in (event.get("references") or {}).items():
        each = [numbers] if isinstance(numbers, str) else numbers
        left = [number for number in each if number.strip().casefold() not in listed]
        if left:
            references[kind] = left
    return {**kept, "references": references} if references else without(kept, "references")


def without(event: Json, field_name: str) -> Json:
    return {name: value for name, value in event.items() if name != field_name}


def read_entry(event: Json, lifecycle: Lifecycle, readings: set[str], content: int) -> Entry:
    source, corrects = event["source"], event.get("corrects")
    sensed = {k: v for k, v in (event.get("attributes") or {}).items() if k in readings}
    numbers = {k: v for k, v in sensed.items() if type(v) in (int, float)}
    # Of these tests: the number by which the event came to its order, and the event as sent.
    via, raw = event.get("via"), event.get("raw", event)
    sent_at, arrival = parse_instant(event["timestamp"]), arrival_of(event)
    return Entry(
        source=source,
        event_id=event["event_id"],
        hash=event_hash(source, event["event_id"]),
        content=content,
        sent_at=sent_at,
        at=arrival_of(raw) if sent_at < MISSING_BEFORE else sent_at,
        arrival=arrival,
        status=status_of(event, lifecycle),
        shipment=event.get("shipment") or "",
        waybill=event.get("waybill") or "",
        via=(via[0], normal_number(*via)) if via else None,
        replaces=event.get("replaces") or "",
        is_command=event.get("kind") == "command",
        corrects=None if not corrects else event_hash(source, corrects),
        fields=(fields := order_fields(event, lifecycle, readings)),
        readings=numbers,
        carries=bool(fields),
        is_placed=is_placed(event.get("location")),
    )


def is_placed(location: Any) -> bool:  # noqa: ANN401 - as it came
    """Return True if a location has a name; generators draw no usable point."""
    return isinstance(location, dict) and bool(location.get("name"))


def status_of(event: Json, lifecycle: Lifecycle) -> Status:
    code = event["status_code"]
    if code in lifecycle:
        return lifecycle[code]
    assert lifecycle.ping is not None
    return lifecycle.ping


def order_fields(  # noqa: C901 - a line for each field
    event: Json, lifecycle: Lifecycle, readings: set[str]
) -> Json:
    fields = {name: event[name] for name in PLAIN_FIELDS if event.get(name)}
    if event.get("shipment") or event.get("waybill"):
        fields.pop("carrier", None)  # it is the parcel's
    for name in ("promised_at", "ship_by"):
        if event.get(name) == WITHDRAWN:
            fields[name] = WITHDRAWN
        elif event.get(name):
            fields[name] = parse_deadline(event[name], event.get("zone"), lifecycle.zone)
    for name in ("parcels_expected", "destination"):
        if event.get(name):
            fields[name] = event[name]
    for name, at in (event.get("planned") or {}).items():
        fields[f"planned.{name}"] = parse_instant(at)
    for name, value in (event.get("attributes") or {}).items():
        if name not in readings:
            fields[f"attributes.{name}"] = value
    for name, numbers in (event.get("references") or {}).items():
        fields[f"references.{name}"] = {numbers} if isinstance(numbers, str) else set(numbers)
    return fields


def parse_deadline(text: str, zone: str | None, default: str) -> int:
    """A bare date, or a midnight in its own offset, means the last ms of that day.

    Where the day's end never was, or was twice: the last moment of that day or the ones before it.
    """
    moment = None
    if "T" in text.upper():
        moment = datetime.fromisoformat(text)
        if moment.time() != time(0):
            return parse_instant(text)
    day = moment.date() if moment else date.fromisoformat(text)
    beside = moment.tzinfo if moment else None
    where = ZoneInfo(zone) if zone else (beside or ZoneInfo(default))
    ends = [
        datetime.combine(day, time(23, 59, 59, 999_000, where, fold=fold)).astimezone(UTC)
        for fold in (0, 1)
    ]
    return to_instant(max(end for end in ends if end.astimezone(where).date() <= day))


def arrival_of(event: Json) -> int:
    """When it reached us, or its order if that was later (`tests.reference_numbers`)."""
    if "given_at" in event:
        return int(event["given_at"])
    return parse_instant(event.get("recorded_at") or event["timestamp"])


def content_hash(event: Json) -> int:
    said = without(event, "recorded_at")
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def objection(event: Json, lifecycle: Lifecycle) -> str | None:
    """Why the event is rejected at the door, if it is."""
    if is_refused(event):
        return "invalid_event"
    at = parse_instant(event["timestamp"])
    if at >= LATEST_AT or (at < MISSING_BEFORE and not event.get("recorded_at")):
        return "implausible_time"
    if at - arrival_of(event) > MAX_AHEAD_MS:
        return "from_the_future"
    is_carriers = event["source"].startswith("carrier:") and lifecycle.ping is not None
    known = event["status_code"] in lifecycle or is_carriers
    return None if known else "unknown_status"


# ---------------------------------------------------------------- which entries count


def counting(entries: list[Entry]) -> list[Entry]:
    """Rules 1 and 2: without what was corrected, and without what came by a number now unknown."""
    corrected = {entry.corrects for entry in entries}
    kept = [entry for entry in entries if entry.hash not in corrected]
    naming = [entry for entry in kept if entry.via is None and not entry.is_note]
    named = {number for entry in naming for number in entry.numbers}
    return [entry for entry in kept if entry.via is None or stands(entry.via, named)]


def stands(via: tuple[str, str], named: set[tuple[str, str]]) -> bool:
    kind, number = via
    kinds = ("waybill", "return_waybill") if kind in ("waybill", "return_waybill") else (kind,)
    return any((kind, number) in named for kind in kinds)


def unthinned(entries: list[Entry]) -> list[Entry]:
    """Rule 3: the first and last ping of each parcel and hour, once there are many events."""
    if len(entries) <= MAX_PINGS:
        return entries
    groups: dict[tuple[str, int], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.is_ping:
            groups[entry.name, entry.at // HOUR_MS].append(entry)
    kept: set[int] = set()
    for group in groups.values():
        group.sort(key=lambda entry: (entry.at, entry.hash))
        kept |= {group[0].hash, group[-1].hash}
    return [entry for entry in entries if not entry.is_ping or entry.hash in kept]


def last_life(lifecycle: Lifecycle, walk: list[Entry]) -> list[Entry]:
    """Rule 5: the walk from the creating event on that began the order again."""
    start = 0
    while lifecycle.second_life_ms is not None:
        state = Fold(lifecycle, walk[start:], [])
        for number, entry in enumerate(walk[start:], start):
            told = [other.at for other in walk[start:number] if not other.is_note]
            before = told[-1] if told else entry.at
            rests = state.status is not None and lifecycle[state.status].has("ends")
            is_long = entry.at - before >= lifecycle.second_life_ms
            settles = state.status in entry.status.row.get("regular_after", ()) and not any(
                code == entry.status.code for code, _, _ in state.marks
            )
            if rests and is_long and entry.status.has("creates") and not settles:
                start = number
                break
            step(state, entry)
        else:
            break
    return walk[start:]


# ---------------------------------------------------------------- the fold


@dataclass
class Parcel:
    """A parcel, by its normal form."""

    name: str
    announcement: Entry | None
    is_return: bool  # a parcel of its own for the way back
    status: str | None = None
    turned: bool = False
    moved: Entry | None = None  # the last entry that moved it
    ended_at: int | None = None
    is_replaced: bool = False
    is_withdrawn: bool = False  # with its return
    is_settled: bool = False  # the shop's word of the whole order covers it

    @property
    def counts(self) -> bool:
        return self.ended_at is None

    @property
    def goes_back(self) -> bool:
        return self.is_return or self.turned


@dataclass
class Fold:
    """The state after a set of entries. `marks` are the statuses met; True: derived."""

    lifecycle: Lifecycle
    walk: list[Entry]
    sensed: list[Entry]  # the walk with the corrected entries: their readings stay
    status: str | None = None
    is_derived: bool = False  # whether the present status came from the parcels
    had_moved: bool = False  # whether a parcel was under way when the present status came
    derived: str | None = None  # D
    flags: set[str] = field(default_factory=set)
    parcels: dict[str, Parcel] = field(default_factory=dict)
    marks: list[tuple[str, Entry, bool]] = field(default_factory=list)
    moves: dict[str | None, list[tuple[Entry, str]]] = field(default_factory=dict)  # None: order
    late: set[str] = field(default_factory=set)  # announced behind a DELIVERED, not moved since
    onward: str | None = None  # where the last forward move of a parcel takes the order until all
    parcels_expected: int = 0
    opened_by: str | None = None  # the status by which more parcels come
    of_a_part: set[int] = field(default_factory=set)  # unnamed, and yet not of the order

    def __post_init__(self) -> None:
        notable = [entry for entry in self.walk if not entry.is_note]
        self.joins: dict[str, list[Entry]] = defaultdict(list)
        for entry in notable:
            if entry.shipment and entry.waybill:
                self.joins[as_number(entry.shipment)].append(entry)
        self.replaced = {
            name: entry for entry in notable if entry.replaces for name in self.replaced_by(entry)
        }
        names = ({as_waybill(e.waybill)} if e.waybill else set() for e in notable)
        announced = {as_waybill(name) for e in notable for name in e.announced}
        self.waybills = announced.union(*names)
        self.returns = {name for entry in notable for name in entry.returning}
        self.place = {entry.hash: number for number, entry in enumerate(self.walk)}

    # -- names
    def parcel_name(self, entry: Entry) -> str:
        """The normal form of the parcel that an entry is of."""
        if entry.waybill:
            return as_waybill(entry.waybill)
        name = as_number(entry.shipment)
        if not name:
            return ""
        joined = self.joined(name)
        if joined is not None:
            return joined
        return as_waybill(name) if as_waybill(name) in self.waybills else name

    def joined(self, name: str) -> str | None:
        joins = self.joins.get(name, [])
        waybills = {as_waybill(join.waybill) for join in joins}
        lasting = [
            join
            for join in joins
            if not self.is_replaced_within(as_waybill(join.waybill), waybills)
        ] or joins
        return as_waybill(lasting[-1].waybill) if lasting else None

    def replaced_by(self, entry: Entry) -> set[str]:
        """The parcels that its `replaces` may mean, by either of their names; never its own."""
        joins = self.joins.get(as_number(entry.replaces), [])
        names = {as_waybill(entry.replaces), as_number(entry.replaces)}
        names |= {as_waybill(join.waybill) for join in joins}
        return names - {""} - self.successors(entry)

    def is_replaced_within(self, waybill: str, waybills: set[str]) -> bool:
        by = self.replaced.get(waybill)
        return by is not None and bool(self.successors(by) & waybills - {waybill})

    @staticmethod
    def successors(entry: Entry) -> set[str]:
        """The parcels that an entry with `replaces` names or announces."""
        named = {as_waybill(entry.waybill)} if entry.waybill else set()
        return named | {as_waybill(name) for name in entry.announced}

    def spelling(self, name: str) -> str:
        """As the first entry that names the parcel wrote it."""
        for entry in self.walk:
            if entry.is_note:
                continue
            if entry.waybill and as_waybill(entry.waybill) == name:
                return entry.waybill
            is_so_named = name in (as_number(entry.shipment), as_waybill(entry.shipment))
            if is_so_named and not entry.waybill and self.parcel_name(entry) == name:
                return entry.shipment
            for written in entry.announced:
                if as_waybill(written) == name:
                    return written
        return name

    def know(self, name: str, entry: Entry) -> Parcel:
        """The parcel, known from this entry on at the latest."""
        if name not in self.parcels:
            announces = entry.status.code == self.lifecycle.back_status()
            is_return = name in self.returns or (name != "" and announces)
            parcel = Parcel(name, entry, is_return)
            by = self.replaced.get(name)
            is_past = by is not None and self.place[by.hash] <= self.place[entry.hash]
            if by is not None and is_past:
                parcel.ended_at, parcel.is_replaced = entry.at, True
            self.parcels[name] = parcel
            if self.derived is not None and self.is_all_target(self.derived):
                self.late.add(name)
        return self.parcels[name]

    def is_all_target(self, code: str) -> bool:
        effects = (s.row.get("moves_order") for s in self.lifecycle.by_code.values())
        return any(e and e["when"] == "all" and e["status"] == code for e in effects)

    # -- queries of the state
    def last(self, is_meant: Callable[[Entry], bool]) -> Entry | None:
        return next((e for e in reversed(self.walk) if not e.is_note and is_meant(e)), None)

    def last_with(self, name: str, *, ours: bool = True) -> Entry | None:
        return self.last(lambda e: name in e.fields and (ours or not e.is_ours))

    def setter_of(self, name: str) -> Entry | None:
        """The first of the last entries with one value of a field, the engine's own left out."""
        carrying = [e for e in self.walk if name in e.fields and not (e.is_note or e.is_ours)]
        same = takewhile(lambda e: e.fields[name] == carrying[-1].fields[name], reversed(carrying))
        return next(iter(list(same)[::-1]), None)

    def value(self, name: str) -> Any:  # noqa: ANN401 - as it came
        setter = self.last_with(name)
        return None if setter is None or setter.fields[name] == WITHDRAWN else setter.fields[name]

    def family(self, prefix: str) -> Json:
        notable = [entry for entry in self.walk if not entry.is_note]
        names = {name for entry in notable for name in entry.fields if name.startswith(prefix)}
        return {name.removeprefix(prefix): self.value(name) for name in sorted(names)}

    def creator(self, *, ours: bool = True, by_arrival: bool = False) -> Entry | None:
        creating = [e for e in self.walk if e.status.row.get("creates") and (ours or not e.is_ours)]
        if by_arrival:
            return min(creating, key=lambda entry: entry.arrival, default=None)
        return next(iter(creating), None)

    def is_only_announced(self, subject: str | None) -> bool:
        """Return True if a parcel is in a status that is no sign of life."""
        parcel = self.parcels.get(subject or "")
        status = parcel.status if parcel and subject is not None else None
        return status is not None and not self.lifecycle[status].has("logistics")

    def own_update(self, subject: str) -> Entry | None:
        """The last sign of life of a parcel that is no status of the order."""

        def is_sign(entry: Entry) -> bool:
            is_own = self.is_parts(entry) and self.parcel_name(entry) == subject
            return is_own and entry.status.has("logistics") and not entry.is_ours

        return self.last(is_sign)

    def silent_since(self, subject: str | None) -> Entry | None:
        """Anchor last_update: for a label alone what the order's statuses say is no sign."""
        is_own = subject == "" and self.is_only_announced(subject)
        return self.own_update("") if is_own else self.last_update(subject)

    def last_update(self, subject: str | None) -> Entry | None:
        """The last sign of life of a parcel; of any parcel for None."""

        def is_sign(entry: Entry) -> bool:
            parcel = self.parcel_name(entry) if entry.of_parcel else ""
            lives = bool(entry.status.row.get("logistics")) and not entry.is_ours
            return lives and subject in (None, parcel)

        return self.last(is_sign)

    def last_move(self, subject: str | None) -> Entry | None:
        """The entry that moved the parcel (for None the order) into its present status."""
        mover = next((entry for entry, _ in reversed(self.moves.get(subject, []))), None)
        return None if mover is None or mover.is_ours else mover

    def subjects(self) -> list[str]:
        return sorted(name for name in self.parcels if name) or [""]

    def is_watched(self, subject: str) -> bool:
        """Not a parcel that the shop's DELIVERED covers; nor the unnamed one, never scanned."""
        parcel = self.parcels.get(subject)
        if subject or (parcel and parcel.status):
            return parcel is None or not parcel.is_settled
        marks = (code for code, entry, derived in self.marks if self.is_orders(entry, derived))
        return not any(self.settles(code) for code in marks)

    def settles(self, code: str) -> bool:
        """Return True if a status of the order means that everything has arrived."""
        back = self.lifecycle.back_status()
        is_withdrawing = back is not None and self.lifecycle.is_withdrawn_by(back, code)
        return self.is_all_target(code) or is_withdrawing

    def is_parts(self, entry: Entry) -> bool:
        """Return True if the entry's status was a parcel's and not the order's."""
        return entry.of_parcel or entry.hash in self.of_a_part

    def is_orders(self, entry: Entry, is_derived: bool) -> bool:  # noqa: FBT001 - a mark's own fields
        """Not a parcel's DELIVERED: the order's own is derived from the last parcel."""
        return is_derived or not (self.is_parts(entry) and entry.status.row["scope"] == "both")

    @property
    def retire_after_ms(self) -> int | None:
        if self.creator() is None:
            return EMBRYO_RETIRES_AFTER_MS
        rest = self.lifecycle[self.status].row.get("retire_after") if self.status else None
        return None if rest is None else parse_duration(rest)


def fold(lifecycle: Lifecycle, entries: Iterable[Entry]) -> Fold:
    held = sorted(entries, key=lambda entry: entry.walk_order)
    kept = unthinned(held)
    hashes = {entry.hash for entry in counting(held)}
    whole = [entry for entry in kept if entry.hash in hashes]
    walk = last_life(lifecycle, whole)
    state = Fold(lifecycle, walk, held)
    for entry in walk:
        step(state, entry)
    if len(hashes) < len(held):
        state.flags.add("corrected")
    if any(e.sent_at < MISSING_BEFORE for e in walk if not e.is_note):
        state.flags.add("missing_time")
    if state.creator() is None:
        state.flags.add("embryo")
    return state


def step(state: Fold, entry: Entry) -> None:
    if entry.is_note:
        return
    code = entry.status.code
    state.marks.append((code, entry, False))
    state.parcels_expected = entry.fields.get("parcels_expected", state.parcels_expected)
    name = state.parcel_name(entry)
    if name:
        state.know(name, entry)
    for written in entry.announced:
        state.know(as_waybill(written), entry)
    end_replaced(state, entry)
    parcel = subject_of(state, entry, name)
    closing = state.lifecycle[state.opened_by].row["open_until"] if state.opened_by else ()
    if "open_until" in entry.status.row:
        state.opened_by = code
    elif parcel is None and code in closing:
        state.opened_by = None
    ended = end_by(state, entry, name)
    has_moved = False
    if parcel is not None:
        has_moved = not entry.status.has("proof_of_life") and move_parcel(state, parcel, entry)
    elif not (ended and any(forward(state))):
        move_order(state, entry, code)
    end_turned(state, entry)
    derive(state, entry, has_moved=has_moved)


def subject_of(state: Fold, entry: Entry, name: str) -> Parcel | None:
    """The parcel that the entry's status is of; None: of the order."""
    if entry.of_parcel:
        return state.know(name, entry)
    is_carriers = entry.status.row["scope"] == "both" and entry.source.startswith("carrier:")
    unnamed = state.parcels.get("")
    comes_back = unnamed is not None and unnamed.goes_back
    if not is_carriers or not (comes_back or has_several(state)):
        return None
    state.of_a_part.add(entry.hash)
    return state.know("", entry)


def has_several(state: Fold) -> bool:
    """Return True if more than one parcel is expected, or named and on its way forward."""
    named = [parcel for parcel in forward(state) if parcel.name]
    return expected(state) > 1 or state.opened_by is not None or len(named) > 1


def end_replaced(state: Fold, entry: Entry) -> None:
    if not entry.replaces:
        return
    meant = state.replaced_by(entry)
    for parcel in state.parcels.values():
        if parcel.name in meant:
            parcel.is_replaced = True
            parcel.ended_at = entry.at if parcel.ended_at is None else parcel.ended_at


def end_by(state: Fold, entry: Entry, name: str) -> bool:
    """End the parcels that the entry's status ends where they are; whether there were any."""
    has_ended = False
    for parcel in state.parcels.values():
        ends = parcel.status and state.lifecycle[parcel.status].row.get("ends_with", ())
        if parcel.counts and ends and entry.status.code in ends and name in ("", parcel.name):
            parcel.ended_at = entry.at
            has_ended = True
    return has_ended


def end_turned(state: Fold, entry: Entry) -> None:
    """Move the contents of a turned parcel to a return parcel announced by this entry."""
    comes = any(p.is_return and p.announcement is entry for p in state.parcels.values())
    for parcel in state.parcels.values():
        if comes and parcel.turned and parcel.counts and not has_arrived(state, parcel):
            parcel.ended_at = entry.at


def end_withdrawn(state: Fold, entry: Entry) -> None:
    """The return was withdrawn: what is on its way back ends, until it moves again."""
    for parcel in state.parcels.values():
        if parcel.counts and parcel.goes_back and not has_arrived(state, parcel):
            parcel.ended_at, parcel.is_withdrawn = entry.at, True


def move_parcel(state: Fold, parcel: Parcel, entry: Entry) -> bool:
    """Move a parcel; whether it has moved."""
    lifecycle, code = state.lifecycle, entry.status.code
    row = lifecycle[code].row
    effect = row.get("moves_order") or {}
    revives = effect.get("when") == "all" or "turns" in row or parcel.is_withdrawn
    if not parcel.counts and (parcel.is_replaced or not revives):
        return False
    if parcel.goes_back and "arrives_back" in row:
        code = row["arrives_back"]
        moved, flags = parcel.status != code, frozenset[str]()
    else:
        moved, flags = verdict(lifecycle, "shipment", parcel.status, code)
    state.flags |= flags
    if not moved:
        return False
    parcel.status, parcel.moved, parcel.ended_at = code, entry, None
    parcel.is_withdrawn = parcel.is_settled = False
    parcel.turned = parcel.turned or lifecycle[code].has("turns")
    if not parcel.goes_back and effect:
        onward = effect["status"] if effect["when"] == "any" else effect.get("until_all")
        state.onward = onward or state.onward
    if lifecycle[code].has("ends_parcel"):
        parcel.ended_at = entry.at
    state.moves.setdefault(parcel.name, []).append((entry, code))
    state.late.discard(parcel.name)
    return True


def move_order(state: Fold, entry: Entry, code: str) -> None:
    status, lifecycle = lifecycle_row(state, code), state.lifecycle
    if status.has("milestone"):
        return
    moved, flags = verdict(lifecycle, "order", state.status, code)
    if not moved and state.status is not None:
        is_shops = not entry.name and not entry.source.startswith("carrier:")
        if is_shops and lifecycle.is_withdrawn_by(state.status, code):
            moved, flags = True, frozenset()
            if lifecycle.is_withdrawn_by(lifecycle.back_status() or "", code):
                end_withdrawn(state, entry)
        elif state.status in status.row.get("regular_after", ()):
            flags = frozenset()
    state.flags |= flags
    if moved:
        set_status(state, entry, code, is_derived=False)
    if state.status == code:
        settle(state, code)


def settle(state: Fold, code: str) -> None:
    """Cover what hasn't arrived by the order's own word that it has."""
    arrived = state.lifecycle.arrived_status()
    is_back = arrived is not None and code in [arrived, *state.lifecycle[arrived].row["next"]]
    for parcel in state.parcels.values():
        effect = effect_of(state, parcel)
        if parcel.goes_back:
            is_covered = is_back and not has_arrived(state, parcel)
        else:
            is_covered = state.settles(code) and not (effect and effect["when"] == "all")
        if parcel.counts and is_covered:
            parcel.is_settled = True


def lifecycle_row(state: Fold, code: str) -> Status:
    return state.lifecycle[code]


def set_status(state: Fold, entry: Entry, code: str, *, is_derived: bool) -> None:
    state.status, state.is_derived = code, is_derived
    shipped = any(
        state.lifecycle.is_under_way(mark) and state.is_orders(met, derived)
        for mark, met, derived in state.marks
    )
    state.had_moved = shipped or any(is_under_way_ever(state, p) for p in state.parcels.values())
    state.moves.setdefault(None, []).append((entry, code))
    if is_derived:
        state.marks.append((code, entry, True))


def is_under_way_ever(state: Fold, parcel: Parcel) -> bool:
    """Return True if a parcel is or was with the carrier."""
    moves = state.moves.get(parcel.name, ())
    return any("moves_order" in state.lifecycle[code].row for _, code in moves)


def has_arrived(state: Fold, parcel: Parcel) -> bool:
    return parcel.goes_back and parcel.status == state.lifecycle.arrived_status()


def meant(state: Fold) -> list[Parcel]:
    """The named parcels; the unnamed one only without any of these."""
    named = [parcel for parcel in state.parcels.values() if parcel.name]
    return named or list(state.parcels.values())


def forward(state: Fold) -> list[Parcel]:
    """The parcels that count and go forward."""
    return [p for p in meant(state) if p.counts and not p.goes_back and p.name not in state.late]


def effect_of(state: Fold, parcel: Parcel) -> Json | None:
    return state.lifecycle[parcel.status].row.get("moves_order") if parcel.status else None


def derive(state: Fold, entry: Entry, *, has_moved: bool) -> None:
    before, state.derived = state.derived, derived_status(state)
    new = state.derived
    if new is None or new == state.status or not (has_moved or new != before):
        return
    present = state.status
    if present is None or state.is_derived:
        set_status(state, entry, new, is_derived=True)
        return
    is_regular, flags = verdict(state.lifecycle, "order", present, new)
    if is_regular and not flags:
        set_status(state, entry, new, is_derived=True)
        return
    if state.lifecycle.can_be_withdrawn(present):
        return
    is_direct = new in state.lifecycle[present].row.get("irregular", ())
    is_whole = state.is_all_target(new)
    if is_direct and (is_whole or not state.had_moved):
        state.flags.add("irregular")
        set_status(state, entry, new, is_derived=True)


def derived_status(state: Fold) -> str | None:  # noqa: PLR0911 - a return for each case of the text
    lifecycle = state.lifecycle
    here, parcels = forward(state), meant(state)
    back = [p for p in parcels if p.counts and p.goes_back and has_set_out(state, p)]
    if here and all_have(state, here) and is_complete(state, here):
        if any(is_coming_back(state, parcel) for parcel in back):
            return lifecycle.back_status()
        if any(p.is_return and has_arrived(state, p) for p in back):
            return lifecycle.arrived_status()
        effect = effect_of(state, here[0])
        return effect["status"] if effect else None
    if not here and not expects_more(state):
        if any(is_coming_back(state, parcel) for parcel in back):
            return lifecycle.back_status()
        if any(has_arrived(state, parcel) for parcel in back):
            return lifecycle.arrived_status()
        return None
    return state.onward


def all_have(state: Fold, here: list[Parcel]) -> bool:
    """Return True if all are in a status with the same `moves_order` of when = "all"."""
    effects = [effect_of(state, parcel) for parcel in here]
    first = effects[0]
    is_last = first is not None and first["when"] == "all"
    return is_last and all(effect == first for effect in effects)


def is_complete(state: Fold, here: list[Parcel]) -> bool:
    return are_all(state, len(here) + gone(state))


def gone(state: Fold) -> int:
    """The parcels that came and were turned, or that will never come: cancelled, refunded, lost."""
    return sum(
        not parcel.is_return
        and not parcel.is_replaced
        and (parcel.turned or (not parcel.counts and has_gone(state, parcel)))
        for parcel in meant(state)
    )


def has_gone(state: Fold, parcel: Parcel) -> bool:
    if parcel.status is None:
        return False
    row = state.lifecycle[parcel.status].row
    is_both = bool(row.get("ends_parcel")) and row["scope"] == "both"
    return is_both or bool(row.get("ends_with"))


def expected(state: Fold) -> int:
    """`parcels_expected`, as known so far in the walk."""
    return state.parcels_expected


def expects_more(state: Fold) -> bool:
    return not are_all(state, gone(state))


def are_all(state: Fold, count: int) -> bool:
    """Return True if no more parcels come; a number that was named decides."""
    return count >= expected(state) if expected(state) else state.opened_by is None


def has_set_out(state: Fold, parcel: Parcel) -> bool:
    return parcel.turned or is_under_way_ever(state, parcel) or has_arrived(state, parcel)


def is_coming_back(state: Fold, parcel: Parcel) -> bool:
    return not has_arrived(state, parcel)


def verdict(
    lifecycle: Lifecycle, level: str, present: str | None, new: str
) -> tuple[bool, frozenset[str]]:
    """Return True if `new` is accepted after `present`, and its flags."""
    if present == new:
        return False, frozenset()
    if present is None:
        return True, frozenset()
    if new in reachable(lifecycle, level, present, irregular=False):
        return True, frozenset()
    if new in reachable(lifecycle, level, present, irregular=True):
        return True, frozenset({"irregular"})
    return False, frozenset({"out_of_sequence"})


def reachable(lifecycle: Lifecycle, level: str, start: str, *, irregular: bool) -> set[str]:
    """Over one edge or more; see rules 4 and 5 of the steps for what is not skipped over."""
    found: set[str] = set()
    todo = [start]
    while todo:
        code = todo.pop()
        for way in ways(lifecycle, level, code, start, irregular=irregular) - found:
            found.add(way)
            todo.append(way)
    return found


def ways(lifecycle: Lifecycle, level: str, code: str, start: str, *, irregular: bool) -> set[str]:
    row = lifecycle[code].row
    if code != start and is_stop(lifecycle[code], level):
        return set()
    targets = {*row.get("next", ()), *(row.get("irregular", ()) if irregular else ())}
    targets = {way for way in targets if lifecycle[way].row["scope"] in (level, "both")}
    if level == "shipment" and code != start:
        targets = {way for way in targets if not lifecycle[way].has("ends_parcel")}
    return targets


def is_stop(status: Status, level: str) -> bool:
    """Nothing is skipped over it: a turn or an end of a parcel, an irregular end of an order."""
    if level == "shipment":
        return status.has("turns") or status.has("ends_parcel")
    return status.has("ends") and status.has("irregular")


# ---------------------------------------------------------------- commands and duplicates
@dataclass
class History:
    """Entries read for one order: every distinct event, and the facts and accepted commands."""

    held: list[Entry]
    accepted: list[Entry]
    is_conflicting: bool
    is_full: bool
    counts: Counter[str]
    rejected: list[tuple[str, str, str]]
    full_since: int | None = None  # the arrival at which fields were lost first


def read_history(lifecycle: Lifecycle, entries: list[Entry], limit_bytes: int) -> History:
    groups: dict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.hash].append(entry)
    winners = [min(group, key=lambda e: (e.arrival, e.content)) for group in groups.values()]
    winners.sort(key=lambda e: (e.arrival, e.source, e.event_id))
    held, over = within_limits(winners)
    full = [entry for late in over for entry in groups[late.hash]]
    accepted, full_since = within_limit(judge(lifecycle, held), limit_bytes)
    applied, refused = len(accepted), len(held) - len(accepted)
    duplicates = len(entries) - len(full) - len(held)
    return History(
        held,
        accepted,
        any(differ(groups[winner.hash]) for winner in held),
        bool(over),
        Counter(applied=applied, refused=refused, duplicate=duplicates, rejected=len(full)),
        [(entry.source, entry.event_id, "order_history_full") for entry in full],
        full_since=full_since,
    )


def within_limit(accepted: list[Entry], limit_bytes: int) -> tuple[list[Entry], int | None]:
    """The entries without what doesn't fit, in the order of arrival, and what comes after that."""
    left, full_since, kept = limit_bytes, None, list[Entry]()
    for entry in sorted(accepted, key=lambda e: (e.arrival, e.is_command, e.source, e.event_id)):
        fields: Json = {}
        for name, part, size in parts(entry.fields):
            if full_since is None and size is not None and size > left:
                full_since = entry.arrival
            if size is None:
                fields[name] = part
            elif full_since is None:
                left -= size
                fields[name] = fields.get(name, set()) | part if isinstance(part, set) else part
        kept.append(replace(entry, fields=fields))
    return kept, full_since


def parts(fields: Json) -> list[tuple[str, Any, int | None]]:
    """(name, value, bytes) of each field, of references of each number; None: not limited."""

    def size(value: Any) -> int:  # noqa: ANN401 - a field's value
        return len(value.encode()) if isinstance(value, str) else 8

    def turn(name: str) -> tuple[int, str]:
        family = name.split(".", 1)[0]
        turns = {"references": 1, "attributes": 2, "planned": 3}
        return (0 if name == "references.waybill" else turns.get(family, -1), name)

    found: list[tuple[str, Any, int | None]] = []
    for name in sorted(fields, key=turn):
        value = fields[name]
        if isinstance(value, set):
            found += [(name, {number}, size(number) + 8) for number in sorted(value)]
        elif "." in name:
            found.append((name, value, size(name.split(".", 1)[1]) + size(value)))
        else:
            found.append((name, value, None))
    return found


def within_limits(winners: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """The entries that are held, by arrival, and those over the limits."""
    held: list[Entry] = []
    over: list[Entry] = []
    for entry in winners:
        is_over = len(held) >= MAX_EVENTS and is_over_limit(held, entry)
        (over if is_over else held).append(entry)
    return held, over


def is_over_limit(held: list[Entry], entry: Entry) -> bool:
    if not entry.is_ping:
        return sum(not e.is_ping for e in held) >= MAX_EVENTS
    return sum(e.is_ping for e in unthinned([*held, entry])) > MAX_EVENTS + MAX_PINGS


def differ(group: list[Entry]) -> bool:
    said = [(e.sent_at, e.status.code, e.name, e.fields) for e in group]
    return any(other != said[0] for other in said)


def judge(lifecycle: Lifecycle, held: list[Entry]) -> list[Entry]:
    """The facts and the commands that were accepted, each over what stood at its arrival."""
    accepted = [entry for entry in held if not entry.is_command]
    for command in (entry for entry in held if entry.is_command):
        before = fold(lifecycle, (e for e in accepted if e.arrival <= command.arrival))
        is_order = command.status.row["scope"] != "shipment"
        status = before.status if before.creator() is not None else None
        ways = lifecycle[status].row.get("next", ()) if status is not None else ()
        is_next = is_order and command.status.code in ways
        is_creating = command.status.row.get("creates") and before.creator() is None
        if is_next or is_creating:
            accepted.append(command)
    return accepted


# ---------------------------------------------------------------- working time


class Calendar:
    """Working days and hours, minute by minute: slow, and hard to get wrong.

    `closed` returns True for a holiday.
    """

    def __init__(self, row: Json, closed: Callable[[date], bool]) -> None:
        self.zone = ZoneInfo(row.get("zone", "UTC"))
        self.weekend = {WEEKDAYS.index(day) for day in row.get("weekend", ["sat", "sun"])}
        self.closed = closed
        self.open = {date.fromisoformat(day) for day in row.get("open", ())}
        self.shut = {date.fromisoformat(day) for day in row.get("closed", ())}
        begins, _, ends = row.get("hours", "00:00-24:00").partition("-")
        self.hours = (minutes_of(begins), minutes_of(ends))
        self.cut_off = minutes_of(row["cut_off"]) if "cut_off" in row else None
        first, last = row.get("years", (2000, 2050))
        self.span = (self.midnight(date(first, 1, 1)), self.midnight(date(last + 1, 1, 1)))

    def midnight(self, day: date) -> int:
        return to_instant(datetime.combine(day, time(0), self.zone))

    def is_working_day(self, day: date) -> bool:
        if day in self.open:
            return True
        return not (day in self.shut or day.weekday() in self.weekend or self.closed(day))

    def works(self, at: int, *, whole_days: bool) -> bool:
        local = datetime.fromtimestamp(at / 1000, self.zone)
        minute = local.hour * 60 + local.minute
        is_open = whole_days or self.hours[0] <= minute < self.hours[1]
        return is_open and self.is_working_day(local.date())

    def later(self, at: int, after: str) -> int:
        """The instant at which so much working time has passed since `at`; NEVER outside its years.

        With a cut-off, days are counted from the end of a working day whose cut-off has passed.
        """
        is_days = after.endswith("wd")
        left = int(after[:-2]) * (DAY_MS if is_days else HOUR_MS)
        if not self.span[0] <= at <= self.span[1]:
            return NEVER
        local = datetime.fromtimestamp(at / 1000, self.zone)
        is_past = self.cut_off is not None and local.hour * 60 + local.minute >= self.cut_off
        if is_days and is_past and self.is_working_day(local.date()):
            at = self.midnight(local.date() + timedelta(days=1))
        while left > 0:
            if at >= self.span[1]:
                return NEVER
            step_ms = 60_000 - at % 60_000
            if self.works(at, whole_days=is_days):
                step_ms = min(step_ms, left)
                left -= step_ms
            at += step_ms
        return at


Calendars = dict[str, Calendar]
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def minutes_of(text: str) -> int:
    hours, _, minutes = text.strip().partition(":")
    return int(hours) * 60 + int(minutes)


def read_calendars(rules_table: Json) -> Calendars:
    """With the public holidays of the country, by the `holidays` package as the engine's are."""
    found = {}
    for name, row in rules_table.get("calendar", {}).items():
        country = row.get("country")
        region = row.get("region")
        public = holidays.country_holidays(country, subdiv=region) if country else ()
        found[name] = Calendar(row, partial(operator.contains, public))
    return found


# ---------------------------------------------------------------- what a rule wants in a state


@dataclass(frozen=True)
class Want:
    anchor: Entry
    due: int
    overdue: int | None  # the second due time, of the escalation
    is_outside: bool = False  # the calendar's years don't reach one of them

    @property
    def matter(self) -> tuple[int, int, int | None]:
        return (self.anchor.hash, self.due, self.overdue)


States = list[tuple[int, Fold]]  # (arrival, state since then), up to the one that is asked about


def readings_of(state: Fold, subject: str) -> Json:
    """attribute -> {min, max, last} of a parcel; corrected readings can't be taken back."""
    values: dict[str, list[float]] = defaultdict(list)
    for entry in state.sensed:
        for name, value in entry.readings.items():
            if state.parcel_name(entry) == subject:
                values[name].append(value)
    return {
        name: {"min": min(seen), "max": max(seen), "last": seen[-1]}
        for name, seen in values.items()
    }


def is_cold_chain_broken(state: Fold, subject: str) -> bool:
    seen = readings_of(state, subject).get("temperature_c")
    highest = state.value("attributes.temperature_max_c")
    lowest = state.value("attributes.temperature_min_c")
    is_warm = seen is not None and highest is not None and seen["max"] > highest
    return is_warm or (seen is not None and lowest is not None and seen["min"] < lowest)


WHEN: dict[str, Callable[[Fold, str], bool]] = {"cold_chain": is_cold_chain_broken}


def holds(rule: Json, state: Fold, subject: str | None) -> bool:
    return "when" not in rule or WHEN[rule["id"]](state, subject or "")


def applies(rule: Json, state: Fold, subject: str | None) -> bool:
    """Return True if the rule's statuses and direction hold."""
    statuses = rule.get("statuses", ["*"])
    is_meant = state.creator() is not None and (statuses == ["*"] or state.status in statuses)
    return is_meant and parcel_fits(rule, state, subject)


def want(rule: Json, states: States, subject: str | None, calendars: Calendars) -> Want | None:
    state = states[-1][1]
    if not (applies(rule, state, subject) and holds(rule, state, subject)):
        return None
    reached = {
        name: milestone(state, {rule[name]}, None) is not None
        for name in ("unless_reached", "once_reached")
        if name in rule
    }
    if rule.get("unscanned") and state.own_update(subject or "") is not None:
        return None
    if reached.get("unless_reached", False) or not reached.get("once_reached", True):
        return None
    for option in rule.get("anchors", [rule]):
        found = find_anchor(option["anchor"], rule, states, subject)
        if found is not None:
            anchor, at = found
            calendar = calendars.get(option.get("calendar") or rule.get("calendar") or "")
            pause = paused(rule, option["anchor"], state, subject, at)
            escalation = rule.get("escalate")
            overdue = due_at(at, escalation, anchor, None, calendar) if escalation else None
            due = due_at(at, option, anchor, option["anchor"], calendar)
            late = None if overdue is None or NEVER in (due, overdue) else overdue + pause
            return Want(anchor, due + pause, late, is_outside=NEVER in (due, overdue))
    return None


def due_at(
    at: int, option: Json, anchor: Entry, spec: str | None, calendar: Calendar | None
) -> int:
    """`after` or `before` an anchor at `at`."""
    if "before" in option and spec in ("promised_at", "ship_by"):
        return at - min(parse_duration(option["before"]), max(0, at - anchor.at) // 2)
    after = option.get("after", "0s")
    if calendar is not None and after.endswith(("wd", "wh")):
        return calendar.later(at, after)
    return at + parse_duration(after) - parse_duration(option.get("before", "0s"))


def parcel_fits(rule: Json, state: Fold, subject: str | None) -> bool:
    if subject is None:
        return True
    parcel = state.parcels.get(subject)
    if (parcel is not None and not parcel.counts) or not state.is_watched(subject):
        return False
    status = parcel.status if parcel else None
    goes_back = parcel.goes_back if parcel else False
    is_that_way = rule.get("direction", "") in ("", "return" if goes_back else "forward")
    is_meant = "shipment_statuses" not in rule or status in rule["shipment_statuses"]
    return is_that_way and is_meant and status not in rule.get("not_shipment_statuses", ())


def find_anchor(
    spec: str, rule: Json, states: States, subject: str | None
) -> tuple[Entry, int] | None:
    state = states[-1][1]
    kind, _, names = spec.partition(" ")
    creator = state.creator(ours=False, by_arrival=True)
    if kind == "condition":
        since = [a for a, s in takewhile(lambda pair: holds(rule, pair[1], subject), states[::-1])]
        return None if creator is None else (creator, since[-1])
    if kind == "created" and creator is not None:
        first = state.creator(ours=False)
        return creator, first.at if first else creator.at
    if kind in ("promised_at", "ship_by", "planned"):
        name = f"planned.{names.strip()}" if kind == "planned" else kind
        setter = state.setter_of(name)
        is_there = setter is not None and setter.fields[name] != WITHDRAWN
        return (setter, setter.fields[name]) if setter and is_there else None
    if names.startswith("after "):
        entry = behind(state, kind, names.removeprefix("after ").strip())
    elif kind == "announced":
        entry = announced(state, names.strip(), subject)
    else:
        entry = {
            "created": lambda: creator,
            "last_update": lambda: state.silent_since(subject),
            "status_since": lambda: state.last_move(subject),
            "milestone": lambda: milestone(state, {n.strip() for n in names.split(",")}, subject),
        }[kind]()
    return None if entry is None else (entry, entry.at)


def behind(state: Fold, code: str, present: str) -> Entry | None:
    """The first entry with a status behind the one that brought the order to its present one."""
    brought = next(
        (e for e, status in reversed(state.moves.get(None, [])) if status == present), None
    )
    if state.status != present or brought is None:
        return None
    later = state.walk[state.place[brought.hash] + 1 :]
    return next((e for e in later if e.status.code == code and not e.is_ours), None)


def announced(state: Fold, code: str, subject: str | None) -> Entry | None:
    """The later of a milestone and the announcement of a parcel that goes forward."""
    parcel = state.parcels.get(subject or "")
    shipped = milestone(state, {code}, None)
    if shipped is None or parcel is None or parcel.goes_back:
        return None
    if state.is_only_announced(subject) or state.settles(state.status or ""):
        return None
    announcement = parcel.announcement
    if announcement is None or announcement.is_ours:
        return None
    return max(shipped, announcement, key=lambda entry: state.place[entry.hash])


def milestone(state: Fold, codes: set[str], subject: str | None) -> Entry | None:
    """The first entry with one of the statuses; an order's status counts for every parcel."""
    for code, entry, is_derived in state.marks:
        is_parcels = state.is_parts(entry) and not is_derived
        is_own = not is_parcels or state.parcel_name(entry) == subject
        is_meant = state.is_orders(entry, is_derived) if subject is None else is_own
        if code in codes and is_meant and not entry.is_ours:
            return entry
    return None


def paused(rule: Json, spec: str, state: Fold, subject: str | None, since: int) -> int:
    if spec == "promised_at":
        return 0
    moves = state.moves.get(subject, [])
    ends = [entry.at for entry, _ in moves[1:]] + [None]
    total = 0
    for (entry, status), end in zip(moves, ends, strict=False):
        if status in rule.get("pausing", {}):
            limit = parse_duration(rule["pausing"][status])
            latest = entry.at + limit
            total += max(0, min(end or latest, latest) - max(entry.at, since))
    return total


# ---------------------------------------------------------------- alerts and actions


@dataclass(frozen=True)
class Transition:
    at: int
    alert_id: str
    rule: str
    severity: str
    state: str
    due: int  # of the opening, or of the escalation


@dataclass(frozen=True)
class OpenAlert:
    """An alert that is open at the end."""

    severity: str
    opened_at: int
    escalated_at: int | None
    due: int


@dataclass(frozen=True)
class Action:
    at: int
    action_id: str
    rule: str
    kind: str
    expires_at: int


@dataclass(frozen=True)
class Missed:
    at: int  # the arrival since which it was wanted
    alert_id: str
    rule: str
    due: int


@dataclass
class Watch:
    """One rule on one order or parcel."""

    key: str
    rule: Json
    subject: str | None
    want: Want | None = None
    since: int = 0
    open_anchor: int | None = None
    severity: str = "normal"
    due: int = 0
    escalated_at: int | None = None
    openings: list[int] = field(default_factory=list)
    is_flapping: bool = False
    is_outside: bool = False  # its deadline is outside the years of its calendar
    last_wanted: int | None = None  # of a flapping alert that is not wanted now: until when it was

    def is_third(self, at: int) -> bool:
        """Return True if two others opened less than 14 days before."""
        return sum(at - other < FLAPPING_MS for other in self.openings) >= FLAPPING_OPENINGS - 1

    def alert_id(self, anchor: int) -> str:
        return alert_id(self.key, self.rule["id"], anchor, self.subject or "")


@dataclass
class Journal:
    """Outcomes of one order."""

    transitions: list[Transition] = field(default_factory=list)
    actions: dict[str, Action] = field(default_factory=dict)
    missed: dict[str, Missed] = field(default_factory=dict)

    def say(self, watch: Watch, anchor: int, state: str, at: int) -> None:
        name = watch.alert_id(anchor)
        self.transitions.append(
            Transition(at, name, watch.rule["id"], watch.severity, state, watch.due)
        )

    def act(self, watch: Watch, anchor: int, action: Json | None, at: int) -> None:
        if action:
            rule, kind = watch.rule["id"], action["kind"]
            name = action_id(watch.key, rule, anchor, kind)
            expires_at = at + parse_duration(action["expires"])
            new = Action(at, name, rule, kind, expires_at)
            # Of several parcels with this anchor the one that is due first requests it.
            self.actions[name] = min(self.actions.get(name, new), new, key=lambda a: a.at)


@dataclass
class Watches:
    """All rules on one order."""

    key: str
    rules: list[Json]
    calendars: Calendars
    journal: Journal = field(default_factory=Journal)
    all: dict[tuple[str, str | None], Watch] = field(default_factory=dict)

    def look(self, states: States) -> None:
        """Take in the state that begins with an arrival: resolve what it ends."""
        arrival, state = states[-1]
        wanted = {}
        for rule in self.rules:
            subjects = state.subjects() if rule.get("per") == "shipment" else [None]
            for subject in subjects:
                name = (rule["id"], subject)
                self.all.setdefault(name, Watch(self.key, rule, subject))
                wanted[name] = want(rule, states, subject, self.calendars)
        for name, watch in self.all.items():
            still = name in wanted and applies(watch.rule, state, watch.subject)
            self.replace(watch, wanted.get(name), arrival, applies=still)

    def replace(self, watch: Watch, new: Want | None, arrival: int, *, applies: bool) -> None:
        old, watch.want = watch.want, new
        watch.is_outside = new is not None and new.is_outside
        if new is None or old is None or new.matter != old.matter:
            watch.since = arrival
        if watch.open_anchor is None:
            return
        is_wanted = new is not None and new.due <= arrival
        if watch.is_flapping and applies:
            was_wanted = old is not None and old.due < arrival
            if is_wanted:
                watch.last_wanted = None
            elif watch.last_wanted is None or was_wanted:
                watch.last_wanted = arrival
            return
        is_other = new is None or new.anchor.hash != watch.open_anchor
        if watch.is_flapping or not is_wanted or is_other:
            self.resolve(watch, arrival)

    def resolve(self, watch: Watch, at: int) -> None:
        self.journal.say(watch, watch.open_anchor or 0, "resolved", at)
        watch.open_anchor, watch.severity, watch.escalated_at = None, "normal", None
        watch.is_flapping, watch.last_wanted = False, None

    def fire(self, before: int) -> None:
        """Let everything happen that is due earlier than `before`."""
        for watch in self.all.values():
            self.calm(watch, before)
            if watch.want is not None and max(watch.want.due, watch.since) < before:
                self.open(watch, watch.want, before)

    def calm(self, watch: Watch, before: int) -> None:
        """End a flapping alert that has not been due for 14 days."""
        if not watch.is_flapping or watch.last_wanted is None:
            return
        ends_at = watch.last_wanted + FLAPPING_MS
        due = None if watch.want is None else max(watch.want.due, watch.since)
        if due is not None and due <= ends_at and due < before:
            watch.last_wanted = None
        elif ends_at < before:
            self.resolve(watch, ends_at)

    def open(self, watch: Watch, wanted: Want, before: int) -> None:
        rule, anchor = watch.rule, wanted.anchor
        at = max(wanted.due, watch.since)
        if watch.open_anchor is None:
            stale_after = rule.get("stale_after")
            if stale_after and wanted.due < anchor.arrival - parse_duration(stale_after):
                name = watch.alert_id(anchor.hash)
                self.journal.missed.setdefault(name, Missed(at, name, rule["id"], wanted.due))
                return
            watch.is_flapping = "severity" in rule and watch.is_third(at)
            if not watch.is_flapping:
                self.journal.act(watch, anchor.hash, rule.get("action"), at)
            if "severity" not in rule:
                return
            watch.openings.append(at)
            watch.open_anchor, watch.severity = anchor.hash, rule["severity"]
            watch.due = at if rule.get("anchor") == "condition" else wanted.due
            self.journal.say(watch, anchor.hash, "opened", at)
        overdue = self.overdue_of(watch, wanted)
        if overdue is not None and max(overdue, watch.since) < before:
            self.escalate(watch, watch.open_anchor, overdue)

    def overdue_of(self, watch: Watch, wanted: Want) -> int | None:
        """A condition's escalation counts from the opening."""
        rule = watch.rule
        if wanted.overdue is None or rule.get("anchor") != "condition":
            return wanted.overdue
        calendar = self.calendars.get(rule.get("calendar", ""))
        return due_at(watch.openings[-1], rule["escalate"], wanted.anchor, None, calendar)

    def escalate(self, watch: Watch, anchor: int, overdue: int) -> None:
        escalation = watch.rule["escalate"]
        at = max(overdue, watch.since)
        if watch.severity != escalation["severity"]:
            watch.severity, watch.due, watch.escalated_at = escalation["severity"], overdue, at
            self.journal.say(watch, anchor, "escalated", at)
            if not watch.is_flapping:
                self.journal.act(watch, anchor, escalation.get("action"), at)

    def retire(self) -> None:
        for watch in self.all.values():
            watch.want = None

    @property
    def open_alerts(self) -> dict[str, OpenAlert]:
        """alert_id -> alert."""
        return {
            watch.alert_id(watch.open_anchor): OpenAlert(
                watch.severity, watch.openings[-1], watch.escalated_at, watch.due
            )
            for watch in self.all.values()
            if watch.open_anchor is not None
        }


def follow(
    key: str,
    lifecycle: Lifecycle,
    rules: list[Json],
    calendars: Calendars,
    history: History,
    watermark: int,
) -> Watches:
    """The arrivals of an order in order, one state after the other."""
    watches = Watches(key, rules, calendars)
    arrivals = sorted({entry.arrival for entry in history.held})
    ends = [*arrivals[1:], watermark + 1]
    states: States = []
    for arrival, end in zip(arrivals, ends, strict=True):
        arrived = (entry for entry in history.accepted if entry.arrival <= arrival)
        states.append((arrival, fold(lifecycle, arrived)))
        watches.look(states)
        is_cut = history.full_since is not None and history.full_since <= arrival
        rest_ms = None if history.is_full or is_cut else states[-1][1].retire_after_ms
        arrivals_told = [e.arrival for e in history.held if e.arrival <= arrival and not e.is_note]
        latest = max(arrivals_told, default=arrival)
        retires_at = end if rest_ms is None else min(max(latest + rest_ms, arrival), end)
        watches.fire(min(retires_at + 1, end))
        if retires_at < end and not watches.open_alerts:
            watches.retire()
        watches.fire(end)
    return watches


# ---------------------------------------------------------------- the outcome


@dataclass
class Outcome:
    """Everything about all orders at `watermark`; lists are sorted as `replay` writes them."""

    orders: dict[str, Json] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    missed: list[Missed] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)  # applied, duplicate, refused, ...
    rejected: list[tuple[str, str, str]] = field(default_factory=list)  # source, event_id, code

    def take(self, journal: Journal) -> None:
        self.transitions += journal.transitions
        self.actions += journal.actions.values()
        self.missed += journal.missed.values()

    def sort(self) -> None:
        self.transitions.sort(key=lambda t: (t.at, t.alert_id, STATES.index(t.state)))
        self.actions.sort(key=lambda action: (action.at, action.action_id))
        self.missed.sort(key=lambda missed: (missed.at, missed.alert_id))
        self.rejected.sort()


def evaluate(
    lifecycle_table: Json, rules_table: Json, events: Iterable[Json], watermark: int
) -> Outcome:
    """All that follows from the events with arrival <= `watermark`; every event has an order_id.

    `tests.reference_numbers` gives one to those that came without.
    """
    lifecycle = read_lifecycle(lifecycle_table)
    declared = rules_table.get("attributes", {})
    readings = {name for name, row in declared.items() if row.get("reading")}
    outcome = Outcome()
    by_order: dict[str, list[Entry]] = defaultdict(list)
    for event in (as_kept(sent, declared) for sent in events):
        code = objection(event, lifecycle)
        if arrival_of(event) > watermark:
            outcome.counts["waiting"] += 1
        elif code is not None:
            outcome.counts["rejected"] += 1
            outcome.rejected.append((event["source"], event["event_id"], code))
        else:
            key = order_key(event.get("tenant", DEFAULT_TENANT), event["order_id"])
            cleaned = without_placeholders(event, lifecycle_table)
            content = content_hash(event.get("raw", event))
            entry = read_entry(cleaned, lifecycle, readings, content)
            by_order[key].append(entry)
    calendars = read_calendars(rules_table)
    for key, entries in by_order.items():
        limit_bytes = lifecycle_table.get("order_fields_bytes", 250_000)
        history = read_history(lifecycle, entries, limit_bytes)
        watches = follow(key, lifecycle, rules_table["rule"], calendars, history, watermark)
        outcome.counts += history.counts
        outcome.rejected += history.rejected
        outcome.take(watches.journal)
        if any(not entry.is_note for entry in history.accepted):
            outcome.orders[key] = document(lifecycle, history, watches)
    outcome.sort()
    return outcome


def document(lifecycle: Lifecycle, history: History, watches: Watches) -> Json:
    state, journal, alerts = fold(lifecycle, history.accepted), watches.journal, watches.open_alerts
    creator = state.creator()
    conflicting = {"conflicting_duplicate"} if history.is_conflicting else set()
    missed = {"missed_deadline"} if journal.missed else set()
    full = {"history_full"} if history.is_full else set()
    full |= {"order_full"} if history.full_since is not None else set()
    flapping = {"flapping"} if any(w.is_flapping for w in watches.all.values()) else set()
    outside = {"outside_calendar"} if any(w.is_outside for w in watches.all.values()) else set()
    plain = {name: state.value(name) for name in (*DATED_FIELDS, *PLAIN_FIELDS)}
    return plain | {
        "status": None if creator is None else state.status,
        "version": len(history.accepted)
        + len(journal.transitions)
        + len(journal.missed)
        + history.is_conflicting
        + history.is_full,
        "lane": max(["normal", *(a.severity for a in alerts.values())], key=LANES.index),
        "created_at": None if creator is None else creator.at,
        "updated_at": max((entry.at for entry in state.walk if not entry.is_note), default=None),
        "milestones": {
            code: entry.at
            for code, entry, is_derived in reversed(state.marks)
            if state.is_orders(entry, is_derived)
        },
        "planned": state.family("planned."),
        "attributes": state.family("attributes."),
        "references": united(state),
        "flags": state.flags | conflicting | missed | full | flapping | outside,
        "parcels_expected": state.parcels_expected or None,
        "shipments": shipments(state),
        "open_alerts": alerts,
    }


def united(state: Fold) -> dict[str, list[str]]:
    """Foreign numbers by kind; of those alike in the normal form the spelling met first."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for entry in state.walk:
        for name, values in entry.fields.items():
            kind = name.removeprefix("references.")
            if kind != name and not entry.is_note:
                for value in sorted(values):
                    found[kind].setdefault(normal_number(kind, value), value)
    return {kind: sorted(numbers.values()) for kind, numbers in sorted(found.items())}


def shipments(state: Fold) -> Json:
    """spelling -> status, direction, end, last update, readings; "" only where it has any."""
    sensed = {state.parcel_name(e) for e in state.sensed if e.readings}
    names = {name for name in {*state.parcels, *sensed} if name}
    is_alone = not names and state.last_update("") is not None
    unnamed = state.parcels.get("")
    is_named = any(state.parcel_name(e) == "" for e in state.walk if not e.is_note)
    placed = {state.parcel_name(e) for e in state.sensed if e.is_placed}
    is_known = is_alone or (unnamed and unnamed.status is not None) or "" in sensed
    if is_known or (is_named and "" in placed):
        names.add("")
    return {state.spelling(name): shipment(state, name) for name in sorted(names)}


def shipment(state: Fold, name: str) -> Json:
    update, parcel = state.last_update(name), state.parcels.get(name)
    return {
        "status": parcel.status if parcel else None,
        "direction": "return" if parcel and parcel.goes_back else "forward",
        "ended_at": parcel.ended_at if parcel else None,
        "updated_at": None if update is None else update.at,
        "readings": readings_of(state, name),
    }

"""The slow, obvious evaluator that the core is tested against: docs/semantics.md, literally.

Nothing is kept between events: every prefix of an order's arrivals is folded from scratch. It is
written from the text alone and knows nothing of dataflows/core/; both read the same TOML tables.
Instants and durations are ms.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from hashlib import blake2b
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

from schemas.event import MAX_AHEAD_MS
from schemas.instants import (
    DAY_MS,
    EARLIEST_AT,
    LATEST_AT,
    parse_duration,
    parse_instant,
    to_instant,
)
from schemas.keys import DEFAULT_TENANT, action_id, alert_id, event_hash, order_key

Json = dict[str, Any]
MAX_EVENTS = 2_000
EMBRYO_RETIRES_AFTER_MS = 30 * 86_400_000
LANES = ("normal", "warning", "overdue")
STATES = ("opened", "escalated", "resolved")
PLAIN_FIELDS = ("customer_id", "supplier_id", "carrier")


@dataclass(frozen=True)
class Status:
    code: str
    rank: int
    row: Json  # its table in the lifecycle file


Lifecycle = dict[str, Status]


def read_lifecycle(table: Json) -> Lifecycle:
    rows = enumerate(table["status"])
    return {row["code"]: Status(row["code"], rank, row) for rank, row in rows}


@dataclass(frozen=True, eq=False)
class Entry:
    """An event that passed the door. `fields` are its order-level fields, flat."""

    source: str
    event_id: str
    hash: int
    content: int
    at: int
    arrival: int
    status: Status
    shipment: str
    is_command: bool
    corrects: int | None
    fields: Json
    readings: dict[str, float]

    @property
    def of_parcel(self) -> bool:
        scope = self.status.row["scope"]
        return scope == "shipment" or (scope == "both" and self.shipment != "")

    @property
    def is_ours(self) -> bool:
        """Rules and actions never set an anchor or end a silence."""
        return self.source.startswith(("rule:", "action:"))

    @property
    def waybills(self) -> list[str]:
        return sorted(self.fields.get("references.waybill", ()))

    @property
    def walk_order(self) -> tuple[int, int, str, int, int]:
        return (self.at, self.status.rank, self.shipment, self.arrival, self.hash)


def without_placeholders(event: Json, lifecycle_table: Json) -> Json:
    """The event as if numbers that the lifecycle file lists as placeholders were not there."""
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


def numbers_named(event: Json) -> list[tuple[str, str]]:
    """(kind, number) of all that an event names, its waybill first, each once."""
    found = [("waybill", event["waybill"])] if event.get("waybill") else []
    for kind, numbers in sorted((event.get("references") or {}).items()):
        found += [(kind, number) for number in numbers]
    return list(dict.fromkeys(found))


def answers_to_questions(lifecycle_table: Json, events: Iterable[Json]) -> dict[str, list[str]]:
    """For each event without an order id, by its id: its orders, or the code of its refusal.

    Read in the order of arrival; events happen when they arrive, and carriers play no part.
    """
    most = lifecycle_table.get("max_orders_per_number", 50)
    keeps = int(lifecycle_table["forget_numbers_after"].removesuffix("d"))
    last_day: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    found: dict[str, list[str]] = {}
    for event in sorted(events, key=arrival_of):
        cleaned, day = without_placeholders(event, lifecycle_table), arrival_of(event) // DAY_MS
        numbers = numbers_named(cleaned)
        if "order_id" in event:
            for number in numbers:
                last_day[number][event["order_id"]] = day
        elif not numbers:
            found[event["event_id"]] = ["placeholder_reference"]
        else:
            heard = last_day[numbers[0]]
            orders = sorted(order for order, at in heard.items() if day - at <= keeps)
            found[event["event_id"]] = ["ambiguous_reference"] if len(orders) > most else orders
            if len(orders) <= most:
                heard.update(dict.fromkeys(orders, day))
    return found


def read_entry(event: Json, lifecycle: Lifecycle, readings: set[str], content: int) -> Entry:
    source, corrects = event["source"], event.get("corrects")
    sensed = {k: v for k, v in (event.get("attributes") or {}).items() if k in readings}
    numbers = {k: v for k, v in sensed.items() if type(v) in (int, float)}
    return Entry(
        source=source,
        event_id=event["event_id"],
        hash=event_hash(source, event["event_id"]),
        content=content,
        at=parse_instant(event["timestamp"]),
        arrival=arrival_of(event),
        status=lifecycle[event["status_code"]],
        shipment=event.get("shipment") or event.get("waybill") or "",
        is_command=event.get("kind") == "command",
        corrects=None if corrects is None else event_hash(source, corrects),
        fields=order_fields(event, readings),
        readings=numbers,
    )


def order_fields(event: Json, readings: set[str]) -> Json:
    fields = {name: event[name] for name in PLAIN_FIELDS if event.get(name) is not None}
    if event.get("shipment") or event.get("waybill"):
        fields.pop("carrier", None)  # it is the parcel's
    for name in ("promised_at", "ship_by"):
        if event.get(name) is not None:
            fields[name] = parse_deadline(event[name], event.get("zone") or "UTC")
    for name, at in (event.get("planned") or {}).items():
        fields[f"planned.{name}"] = parse_instant(at)
    for name, value in (event.get("attributes") or {}).items():
        if name not in readings:
            fields[f"attributes.{name}"] = value
    for name, numbers in (event.get("references") or {}).items():
        fields[f"references.{name}"] = {numbers} if isinstance(numbers, str) else set(numbers)
    return fields


def parse_deadline(text: str, zone: str) -> int:
    """A bare date means the last millisecond of that day in `zone`, or of the days before it."""
    if "T" in text.upper():
        return parse_instant(text)
    day, where = date.fromisoformat(text), ZoneInfo(zone)
    ends = [
        datetime.combine(day, time(23, 59, 59, 999_000, where, fold=fold)).astimezone(UTC)
        for fold in (0, 1)
    ]
    return to_instant(max(end for end in ends if end.astimezone(where).date() <= day))


def arrival_of(event: Json) -> int:
    return parse_instant(event.get("recorded_at") or event["timestamp"])


def content_hash(event: Json) -> int:
    said = {name: value for name, value in event.items() if name != "recorded_at"}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def objection(event: Json, lifecycle: Lifecycle) -> str | None:
    """Why the event is rejected at the door, if it is."""
    at = parse_instant(event["timestamp"])
    if not EARLIEST_AT <= at < LATEST_AT:
        return "implausible_time"
    if at - arrival_of(event) > MAX_AHEAD_MS:
        return "from_the_future"
    return None if event["status_code"] in lifecycle else "unknown_status"


# ---------------------------------------------------------------- the fold


@dataclass
class Fold:
    """The state after a set of entries. `marks` are the statuses met; True: derived."""

    lifecycle: Lifecycle
    walk: list[Entry]
    sensed: list[Entry]  # the walk with the corrected entries: their readings stay
    status: str | None = None
    flags: set[str] = field(default_factory=set)
    parcels: dict[str, str | None] = field(default_factory=dict)
    marks: list[tuple[str, Entry, bool]] = field(default_factory=list)
    moves: dict[str | None, list[tuple[Entry, str]]] = field(default_factory=dict)  # None: order

    def last(self, is_meant: Callable[[Entry], bool]) -> Entry | None:
        return next(filter(is_meant, reversed(self.walk)), None)

    def last_with(self, name: str, *, ours: bool = True) -> Entry | None:
        return self.last(lambda e: name in e.fields and (ours or not e.is_ours))

    def value(self, name: str) -> Any:  # noqa: ANN401 - as it came
        setter = self.last_with(name)
        return None if setter is None else setter.fields[name]

    def family(self, prefix: str) -> Json:
        names = {name for entry in self.walk for name in entry.fields if name.startswith(prefix)}
        return {name.removeprefix(prefix): self.value(name) for name in sorted(names)}

    def creator(self, *, ours: bool = True, by_arrival: bool = False) -> Entry | None:
        creating = [e for e in self.walk if e.status.row.get("creates") and (ours or not e.is_ours)]
        if by_arrival:
            return min(creating, key=lambda entry: entry.arrival, default=None)
        return next(iter(creating), None)

    def last_update(self, subject: str | None) -> Entry | None:
        """The last sign of life of a parcel; of any parcel for None."""

        def is_sign(entry: Entry) -> bool:
            parcel = entry.shipment if entry.of_parcel else ""
            lives = bool(entry.status.row.get("logistics")) and not entry.is_ours
            return lives and subject in (None, parcel)

        return self.last(is_sign)

    def last_move(self, subject: str | None) -> Entry | None:
        """What brought the parcel (for None the order) into its present status."""
        mover = next((entry for entry, _ in reversed(self.moves.get(subject, []))), None)
        return None if mover is None or mover.is_ours else mover

    def subjects(self) -> list[str]:
        return sorted(name for name in self.parcels if name) or [""]

    @property
    def retire_after_ms(self) -> int | None:
        if self.creator() is None:
            return EMBRYO_RETIRES_AFTER_MS
        rest = self.lifecycle[self.status].row.get("retire_after") if self.status else None
        return None if rest is None else parse_duration(rest)


def fold(lifecycle: Lifecycle, entries: Iterable[Entry]) -> Fold:
    held = sorted(entries, key=lambda entry: entry.walk_order)
    corrected = {entry.corrects for entry in held}
    walk = [entry for entry in held if entry.hash not in corrected]
    state = Fold(lifecycle, walk, held)
    for entry in walk:
        step(state, entry)
    if len(walk) < len(held):
        state.flags.add("corrected")
    if state.creator() is None:
        state.flags.add("embryo")
    return state


def step(state: Fold, entry: Entry) -> None:
    code = entry.status.code
    state.marks.append((code, entry, False))
    for waybill in (*entry.waybills, *([entry.shipment] if entry.shipment else [])):
        state.parcels.setdefault(waybill, None)
    if not entry.of_parcel:
        move_order(state, entry, code, is_derived=False)
        return
    state.parcels.setdefault(entry.shipment, None)
    if not entry.status.row.get("proof_of_life"):
        move_parcel(state, entry)


def move_parcel(state: Fold, entry: Entry) -> None:
    code, name = entry.status.code, entry.shipment
    moved, flags = verdict(state.lifecycle, "shipment", state.parcels[name], code)
    state.flags |= flags
    if not moved:
        return
    state.parcels[name] = code
    state.moves.setdefault(name, []).append((entry, code))
    effect = entry.status.row.get("moves_order")
    if effect and (effect["when"] == "any" or all_have(state, effect)):
        move_order(state, entry, effect["status"], is_derived=True)
    elif effect and "until_all" in effect:
        move_order(state, entry, effect["until_all"], is_derived=True)


def all_have(state: Fold, effect: Json) -> bool:
    return all(
        status is not None and state.lifecycle[status].row.get("moves_order") == effect
        for name, status in state.parcels.items()
        if name in state.subjects()
    )


def move_order(state: Fold, entry: Entry, code: str, *, is_derived: bool) -> None:
    moved, flags = verdict(state.lifecycle, "order", state.status, code)
    is_beyond = state.status in reachable(state.lifecycle, "order", code, irregular=True)
    if not (is_derived and is_beyond):
        state.flags |= flags
    if not moved:
        return
    state.status = code
    state.moves.setdefault(None, []).append((entry, code))
    if is_derived:
        state.marks.append((code, entry, True))


def verdict(
    lifecycle: Lifecycle, level: str, present: str | None, new: str
) -> tuple[bool, frozenset[str]]:
    """Whether `new` is taken after `present`, and how that is flagged."""
    if present == new:
        return False, frozenset()
    if present is None:
        return True, frozenset()
    is_shortcut = new in lifecycle[present].row.get("irregular", ())
    if new in reachable(lifecycle, level, present, irregular=False) and not is_shortcut:
        return True, frozenset()
    if new in reachable(lifecycle, level, present, irregular=True):
        return True, frozenset({"irregular"})
    return False, frozenset({"out_of_sequence"})


def reachable(lifecycle: Lifecycle, level: str, start: str, *, irregular: bool) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        row = lifecycle[todo.pop()].row
        ways = {*row.get("next", ()), *(row.get("irregular", ()) if irregular else ())}
        new = {way for way in ways - found if lifecycle[way].row["scope"] in (level, "both")}
        found |= new
        todo += new
    return found


# ---------------------------------------------------------------- commands and duplicates
@dataclass
class History:
    """What was read for one order: every distinct event, and the facts and accepted commands."""

    held: list[Entry]
    accepted: list[Entry]
    is_conflicting: bool
    counts: Counter[str]
    rejected: list[tuple[str, str, str]]
    is_full: bool = False


def read_history(lifecycle: Lifecycle, entries: list[Entry], limit_bytes: int) -> History:
    groups: dict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.hash].append(entry)
    winners = [min(group, key=lambda e: (e.arrival, e.content)) for group in groups.values()]
    winners.sort(key=lambda e: (e.arrival, e.source, e.event_id))
    held = winners[:MAX_EVENTS]
    full = [entry for late in winners[MAX_EVENTS:] for entry in groups[late.hash]]
    accepted, is_full = within_limit(judge(lifecycle, held), limit_bytes)
    applied, refused = len(accepted), len(held) - len(accepted)
    duplicates = len(entries) - len(full) - len(held)
    return History(
        held,
        accepted,
        any(differ(groups[winner.hash]) for winner in held),
        Counter(applied=applied, refused=refused, duplicate=duplicates, rejected=len(full)),
        [(entry.source, entry.event_id, "order_history_full") for entry in full],
        is_full=is_full,
    )


def within_limit(accepted: list[Entry], limit_bytes: int) -> tuple[list[Entry], bool]:
    """The entries without what doesn't fit, in the order of arrival, and what comes after that."""
    left, is_full, kept = limit_bytes, False, list[Entry]()
    for entry in sorted(accepted, key=lambda e: (e.arrival, e.is_command, e.source, e.event_id)):
        fields: Json = {}
        for name, part, size in parts(entry.fields):
            is_full = is_full or (size is not None and size > left)
            if size is None:
                fields[name] = part
            elif not is_full:
                left -= size
                fields[name] = fields.get(name, set()) | part if isinstance(part, set) else part
        kept.append(replace(entry, fields=fields))
    return kept, is_full


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


def differ(group: list[Entry]) -> bool:
    said = [(entry.at, entry.status.code, entry.shipment, entry.fields) for entry in group]
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


# ---------------------------------------------------------------- what a rule wants in a state


@dataclass(frozen=True)
class Want:
    anchor: Entry
    due: int
    overdue: int | None  # the second due time, of the escalation

    @property
    def matter(self) -> tuple[int, int, int | None]:
        return (self.anchor.hash, self.due, self.overdue)


States = list[tuple[int, Fold]]  # (arrival, state since then), up to the one that is asked about


def readings_of(state: Fold, subject: str) -> Json:
    """attribute -> {min, max, last} of a parcel; corrected readings can't be taken back."""
    values: dict[str, list[float]] = defaultdict(list)
    for entry in state.sensed:
        for name, value in entry.readings.items():
            if entry.shipment == subject:
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


def want(rule: Json, states: States, subject: str | None) -> Want | None:
    state = states[-1][1]
    applies = state.creator() is not None and state.status in rule.get("statuses", [state.status])
    if not (applies and parcel_fits(rule, state, subject) and holds(rule, state, subject)):
        return None
    for option in rule.get("anchors", [rule]):
        found = find_anchor(option["anchor"], rule, states, subject)
        if found is not None:
            anchor, at = found
            pause = paused(rule, option["anchor"], state, subject, at)
            escalation = rule.get("escalate")
            overdue = at + offset(escalation) + pause if escalation else None
            return Want(anchor, at + offset(option) + pause, overdue)
    return None


def parcel_fits(rule: Json, state: Fold, subject: str | None) -> bool:
    if subject is None:
        return True
    status = state.parcels.get(subject)
    is_meant = "shipment_statuses" not in rule or status in rule["shipment_statuses"]
    return is_meant and status not in rule.get("not_shipment_statuses", ())


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
        setter = state.last_with(name, ours=False)
        return None if setter is None else (setter, setter.fields[name])
    entry = {
        "created": lambda: creator,
        "last_update": lambda: state.last_update(subject),
        "status_since": lambda: state.last_move(subject),
        "milestone": lambda: milestone(state, {n.strip() for n in names.split(",")}, subject),
    }[kind]()
    return None if entry is None else (entry, entry.at)


def milestone(state: Fold, codes: set[str], subject: str | None) -> Entry | None:
    """The first entry with one of the statuses; an order's status counts for every parcel."""
    for code, entry, is_derived in state.marks:
        is_parcels = entry.of_parcel and not is_derived
        is_own = not is_parcels or entry.shipment == subject
        is_meant = is_orders(entry, is_derived) if subject is None else is_own
        if code in codes and is_meant and not entry.is_ours:
            return entry
    return None


def is_orders(entry: Entry, is_derived: bool) -> bool:  # noqa: FBT001 - a mark's own fields
    """Not a parcel's DELIVERED: the order's own is derived from the last parcel."""
    return is_derived or not (entry.of_parcel and entry.status.row["scope"] == "both")


def offset(option: Json) -> int:
    return parse_duration(option.get("after", "0s")) - parse_duration(option.get("before", "0s"))


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

    def alert_id(self, anchor: int) -> str:
        return alert_id(self.key, self.rule["id"], anchor, self.subject or "")


@dataclass
class Journal:
    """What was said about one order."""

    transitions: list[Transition] = field(default_factory=list)
    actions: dict[str, Action] = field(default_factory=dict)
    missed: dict[str, Missed] = field(default_factory=dict)

    def say(self, watch: Watch, anchor: int, state: str, at: int) -> None:
        name = watch.alert_id(anchor)
        self.transitions.append(Transition(at, name, watch.rule["id"], watch.severity, state))

    def act(self, watch: Watch, anchor: int, action: Json | None, at: int) -> None:
        if action:
            rule, kind = watch.rule["id"], action["kind"]
            name = action_id(watch.key, rule, anchor, kind, watch.subject or "")
            expires_at = at + parse_duration(action["expires"])
            self.actions.setdefault(name, Action(at, name, rule, kind, expires_at))


@dataclass
class Watches:
    """All rules on one order."""

    key: str
    rules: list[Json]
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
                wanted[name] = want(rule, states, subject)
        for name, watch in self.all.items():
            self.replace(watch, wanted.get(name), arrival)

    def replace(self, watch: Watch, new: Want | None, arrival: int) -> None:
        old, watch.want = watch.want, new
        if new is None or old is None or new.matter != old.matter:
            watch.since = arrival
        if watch.open_anchor is None:
            return
        if new is None or new.anchor.hash != watch.open_anchor or new.due > arrival:
            self.journal.say(watch, watch.open_anchor, "resolved", arrival)
            watch.open_anchor, watch.severity = None, "normal"

    def fire(self, before: int) -> None:
        """Let everything happen that is due earlier than `before`."""
        for watch in self.all.values():
            if watch.want is not None and max(watch.want.due, watch.since) < before:
                self.open(watch, watch.want, before)

    def open(self, watch: Watch, wanted: Want, before: int) -> None:
        rule, anchor = watch.rule, wanted.anchor
        at = max(wanted.due, watch.since)
        if watch.open_anchor is None:
            stale_after = rule.get("stale_after")
            if stale_after and wanted.due < anchor.arrival - parse_duration(stale_after):
                name = watch.alert_id(anchor.hash)
                self.journal.missed.setdefault(name, Missed(at, name, rule["id"], wanted.due))
                return
            self.journal.act(watch, anchor.hash, rule.get("action"), at)
            if "severity" not in rule:
                return
            watch.open_anchor, watch.severity = anchor.hash, rule["severity"]
            self.journal.say(watch, anchor.hash, "opened", at)
        if wanted.overdue is not None and max(wanted.overdue, watch.since) < before:
            self.escalate(watch, anchor.hash, max(wanted.overdue, watch.since))

    def escalate(self, watch: Watch, anchor: int, at: int) -> None:
        escalation = watch.rule["escalate"]
        if watch.severity != escalation["severity"]:
            watch.severity = escalation["severity"]
            self.journal.say(watch, anchor, "escalated", at)
            self.journal.act(watch, anchor, escalation.get("action"), at)

    def retire(self) -> None:
        for watch in self.all.values():
            watch.want = None

    @property
    def open_alerts(self) -> dict[str, str]:
        """alert_id -> severity."""
        watches = [watch for watch in self.all.values() if watch.open_anchor is not None]
        return {watch.alert_id(watch.open_anchor or 0): watch.severity for watch in watches}


def follow(
    key: str, lifecycle: Lifecycle, rules: list[Json], history: History, through: int
) -> Watches:
    """The arrivals of an order in order, one state after the other."""
    watches = Watches(key, rules)
    arrivals = sorted({entry.arrival for entry in history.held})
    ends = [*arrivals[1:], through + 1]
    states: States = []
    for arrival, end in zip(arrivals, ends, strict=True):
        arrived = (entry for entry in history.accepted if entry.arrival <= arrival)
        states.append((arrival, fold(lifecycle, arrived)))
        watches.look(states)
        rest_ms = states[-1][1].retire_after_ms
        retires_at = end if rest_ms is None else min(arrival + rest_ms, end)
        watches.fire(min(retires_at + 1, end))
        if retires_at < end and not watches.open_alerts:
            watches.retire()
        watches.fire(end)
    return watches


# ---------------------------------------------------------------- the outcome


@dataclass
class Outcome:
    """Everything about all orders at `through`; lists are sorted as `replay` writes them."""

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
    lifecycle_table: Json, rules_table: Json, events: Iterable[Json], through: int
) -> Outcome:
    """All that follows from the events with arrival <= `through`; every event has an order_id."""
    lifecycle = read_lifecycle(lifecycle_table)
    declared = rules_table.get("attributes", {})
    readings = {name for name, row in declared.items() if row.get("reading")}
    outcome = Outcome()
    by_order: dict[str, list[Entry]] = defaultdict(list)
    for event in events:
        code = objection(event, lifecycle)
        if arrival_of(event) > through:
            outcome.counts["waiting"] += 1
        elif code is not None:
            outcome.counts["rejected"] += 1
            outcome.rejected.append((event["source"], event["event_id"], code))
        else:
            key = order_key(event.get("tenant", DEFAULT_TENANT), event["order_id"])
            cleaned = without_placeholders(event, lifecycle_table)
            entry = read_entry(cleaned, lifecycle, readings, content_hash(event))
            by_order[key].append(entry)
    for key, entries in by_order.items():
        limit_bytes = lifecycle_table.get("order_fields_bytes", 250_000)
        history = read_history(lifecycle, entries, limit_bytes)
        watches = follow(key, lifecycle, rules_table["rule"], history, through)
        outcome.counts += history.counts
        outcome.rejected += history.rejected
        outcome.take(watches.journal)
        if history.accepted:
            outcome.orders[key] = document(lifecycle, history, watches)
    outcome.sort()
    return outcome


def document(lifecycle: Lifecycle, history: History, watches: Watches) -> Json:
    state, journal, alerts = fold(lifecycle, history.accepted), watches.journal, watches.open_alerts
    creator = state.creator()
    conflicting = {"conflicting_duplicate"} if history.is_conflicting else set()
    missed = {"missed_deadline"} if journal.missed else set()
    full = {"order_full"} if history.is_full else set()
    plain = {name: state.value(name) for name in ("promised_at", "ship_by", *PLAIN_FIELDS)}
    return plain | {
        "status": None if creator is None else state.status,
        "version": len(history.accepted)
        + len(journal.transitions)
        + len(journal.missed)
        + history.is_conflicting,
        "lane": max(["normal", *alerts.values()], key=LANES.index),
        "created_at": None if creator is None else creator.at,
        "updated_at": max((entry.at for entry in state.walk), default=None),
        "milestones": {
            code: entry.at
            for code, entry, is_derived in reversed(state.marks)
            if is_orders(entry, is_derived)
        },
        "planned": state.family("planned."),
        "attributes": state.family("attributes."),
        "references": united(state),
        "flags": state.flags | conflicting | missed | full,
        "shipments": shipments(state),
        "open_alerts": alerts,
    }


def united(state: Fold) -> dict[str, list[str]]:
    all_numbers: dict[str, set[str]] = defaultdict(set)
    for entry in state.walk:
        for name, value in entry.fields.items():
            if name.startswith("references."):
                all_numbers[name.removeprefix("references.")] |= value
    return {name: sorted(numbers) for name, numbers in sorted(all_numbers.items())}


def shipments(state: Fold) -> Json:
    """name -> status, time of the last update, readings; "" only where it has any."""
    sensed = {entry.shipment for entry in state.sensed if readings_of(state, entry.shipment)}
    names = {name for name in {*state.parcels, *sensed} if name}
    is_alone = not names and state.last_update("") is not None
    if is_alone or state.parcels.get("") is not None or "" in sensed:
        names.add("")
    return {name: shipment(state, name) for name in sorted(names)}


def shipment(state: Fold, name: str) -> Json:
    update = state.last_update(name)
    return {
        "status": state.parcels.get(name),
        "updated_at": None if update is None else update.at,
        "readings": readings_of(state, name),
    }

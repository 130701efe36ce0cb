"""Resolving waybills and foreign numbers to order ids.

A number maps to orders with the time since which it does (`valid_from`) and when it was last used;
carriers reuse numbers, so a mapping counts for events up to 180 days around that. A parcel with
several orders gives its event to each. An event whose number nobody knows yet waits, bounded per
number, in total and in stream time, and is applied when its order has registered the number.
"""

from typing import NamedTuple

import msgspec

from dataflows.core.fact import Fact
from schemas.errors import Rejected
from schemas.event import Event
from schemas.instants import DAY_MS
from schemas.keys import SEPARATOR, order_key

REUSE_AFTER_MS = 180 * DAY_MS
WAITS_AT_MOST_MS = 7 * DAY_MS
MAX_WAITING_PER_NUMBER = 200
MAX_WAITING = 100_000


class Registration(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """An order says that a number is its own."""

    number: str
    order_id: str
    carrier: str
    at: int
    arrival_at: int


class Question(msgspec.Struct, array_like=True, gc=False):
    """A fact (its key still empty) that is to be given to the orders of a number."""

    number: str
    tenant: str
    carrier: str
    fact: Fact


class Mapping(msgspec.Struct, array_like=True, gc=False):
    """One order of a number; instants in ms."""

    order_id: str
    carrier: str
    valid_from: int
    last_used: int
    arrival_at: int


class Unresolved(NamedTuple):
    """A fact that is given up, and why."""

    fact: Fact
    reason: Rejected


class Answers:
    """What came of some registrations and questions."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.facts: list[Fact] = []
        self.rejected: list[Unresolved] = []
        self.duplicates = 0


class ResolverSnapshot(msgspec.Struct, array_like=True):
    """What changed in a resolver (or everything: a base); an empty list takes a number away."""

    through: int
    numbers: list[tuple[str, list[Mapping]]]
    waiting: list[Question]


def number_key(tenant: str, kind: str, number: str) -> str:
    """The key of a number: kind `waybill`, `erp`, ..."""
    return f"{tenant}{SEPARATOR}{kind}{SEPARATOR}{number}"


def numbers_of(event: Event) -> list[str]:
    """The keys of all numbers that an event names, its waybill first."""
    keys = [number_key(event.tenant, "waybill", event.waybill)] if event.waybill else []
    for kind, numbers in sorted((event.references or {}).items()):
        listed = [numbers] if isinstance(numbers, str) else numbers
        keys += [number_key(event.tenant, kind, number) for number in listed]
    return list(dict.fromkeys(keys))


def registrations(event: Event, arrival_at: int) -> list[Registration]:
    """What an event with an order id registers."""
    return [
        Registration(key, event.order_id or "", event.carrier or "", event.at, arrival_at)
        for key in numbers_of(event)
    ]


def question(event: Event, fact: Fact) -> Question:
    """What an event without an order id asks: by its waybill, else by its first number."""
    return Question(numbers_of(event)[0], event.tenant, event.carrier or "", fact)


class Resolver:
    """The numbers of one shard."""

    def __init__(self) -> None:
        """Nothing registered."""
        self.numbers: dict[str, list[Mapping]] = {}
        self.waiting: dict[str, list[Question]] = {}
        self.waiting_count = 0
        self.changed: set[str] = set()
        self.through = 0

    def register(self, said: Registration, answers: Answers) -> None:
        """Take a registration, and answer what waited for it."""
        mappings = self.numbers.setdefault(said.number, [])
        held = next(
            (m for m in mappings if m.order_id == said.order_id and alive(m, said.at)), None
        )
        if held is None:
            mappings.append(Mapping(said.order_id, said.carrier, said.at, said.at, said.arrival_at))
        else:
            held.valid_from = min(held.valid_from, said.at)
            held.last_used = max(held.last_used, said.at)
            held.arrival_at = min(held.arrival_at, said.arrival_at)
            held.carrier = held.carrier or said.carrier
        self.changed.add(said.number)
        if said.number in self.waiting:
            questions = self.waiting.pop(said.number)
            self.waiting_count -= len(questions)
            for asked in questions:
                self.ask(asked, answers)

    def ask(self, asked: Question, answers: Answers) -> None:
        """Answer a question, or let it wait."""
        found = self.find(asked)
        if not found:
            self.wait(asked, answers)
            return
        for index, mapping in enumerate(found):
            if asked.fact.at > mapping.last_used:
                mapping.last_used = asked.fact.at
                self.changed.add(asked.number)
            copy = msgspec.structs.replace(
                asked.fact,
                key=order_key(asked.tenant, mapping.order_id),
                arrival_at=max(asked.fact.arrival_at, mapping.arrival_at),
                counted=index == 0,
            )
            answers.facts.append(copy)

    def find(self, asked: Question) -> list[Mapping]:
        """The orders that the number meant at the time of the event, by order id.

        A registration that arrived after the event had waited its time doesn't count, whether or
        not the clock has given the event up by then: so it matters to nobody how often it moves.
        """
        at = asked.fact.at
        meant = [
            mapping
            for mapping in self.numbers.get(asked.number, ())
            if alive(mapping, at)
            and mapping.arrival_at <= asked.fact.arrival_at + WAITS_AT_MOST_MS
            and (not asked.carrier or mapping.carrier in {"", asked.carrier})
        ]
        begun = [mapping for mapping in meant if mapping.valid_from <= at]
        return sorted(begun or meant, key=lambda mapping: mapping.order_id)

    def wait(self, asked: Question, answers: Answers) -> None:
        """Keep a question until its number is registered."""
        questions = self.waiting.setdefault(asked.number, [])
        if any(other.fact.hash == asked.fact.hash for other in questions):
            answers.duplicates += 1
        elif len(questions) >= MAX_WAITING_PER_NUMBER or self.waiting_count >= MAX_WAITING:
            reason = (
                f"{len(questions)} events wait for this number already, {self.waiting_count} in all"
            )
            answers.rejected.append(Unresolved(asked.fact, Rejected("too_many_waiting", reason)))
        else:
            questions.append(asked)
            self.waiting_count += 1

    def advance(self, through: int, answers: Answers) -> None:
        """Move the clock: give up what waited too long."""
        self.through = through
        for number in [
            n
            for n, asked in self.waiting.items()
            if asked[0].fact.arrival_at < through - WAITS_AT_MOST_MS
        ]:
            late = [
                q for q in self.waiting[number] if q.fact.arrival_at < through - WAITS_AT_MOST_MS
            ]
            self.waiting[number] = [q for q in self.waiting[number] if q not in late]
            self.waiting_count -= len(late)
            if not self.waiting[number]:
                del self.waiting[number]
            days = WAITS_AT_MOST_MS // DAY_MS
            reason = f"no order registered {number.rpartition(SEPARATOR)[2]!r} within {days} days"
            answers.rejected += [
                Unresolved(q.fact, Rejected("unknown_reference", reason)) for q in late
            ]

    def snapshot(self, *, base: bool) -> ResolverSnapshot:
        """What changed since the last snapshot; everything for a base."""
        keys = self.numbers if base else self.changed
        waiting = [asked for questions in self.waiting.values() for asked in questions]
        found = ResolverSnapshot(self.through, [(key, self.numbers[key]) for key in keys], waiting)
        self.changed = set()
        return found

    def restore(self, snapshots: list[ResolverSnapshot]) -> None:
        """Take the state of a base and the deltas after it."""
        for part in snapshots:
            self.numbers.update(part.numbers)
        for asked in snapshots[-1].waiting:
            self.waiting.setdefault(asked.number, []).append(asked)
            self.waiting_count += 1
        self.through = snapshots[-1].through


def alive(mapping: Mapping, at: int) -> bool:
    """Whether a mapping can be meant by an event of this time."""
    return mapping.valid_from - REUSE_AFTER_MS <= at <= mapping.last_used + REUSE_AFTER_MS

"""Registrations of numbers, questions by them and their answers, and the queue that holds both.

Whose an event is depends on what arrived up to its own arrival, in whatever sequence partitions are
read. So both are held until the watermark has passed their arrivals, and leave in the order of
arrival; of one instant the registrations first, then the questions by hash.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import msgspec

from dataflows.core.compiled import as_kind, content_hash
from dataflows.core.fact import Fact
from dataflows.core.set_aside import Fault
from schemas.errors import Rejected
from schemas.event import Event
from schemas.keys import SEPARATOR
from schemas.numbers import WAYBILL_KINDS

NOTHING_HELD = 1 << 60


class Registration(msgspec.Struct, array_like=True, gc=False, frozen=True, order=True):
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


decode_registrations = msgspec.msgpack.Decoder(list[Registration]).decode
decode_questions = msgspec.msgpack.Decoder(list[Question]).decode


class Unresolved(NamedTuple):
    """A fact that is given up, and why."""

    fact: Fact
    reason: Rejected


class Answers:
    """Answers to some registrations and questions."""

    def __init__(self) -> None:
        """Create empty ones."""
        self.facts: list[Fact] = []
        self.rejected: list[Unresolved] = []
        self.faults: list[Fault] = []  # of numbers; the key is the number's
        self.duplicates = 0


class Instant(NamedTuple):
    """Arrivals of one ms, in the order in which they are taken."""

    at: int
    registrations: list[Registration]
    questions: list[Question]


class Queue:
    """Registrations and questions whose arrivals the watermark has not passed."""

    def __init__(
        self, registrations: Iterable[Registration] = (), questions: Iterable[Question] = ()
    ) -> None:
        """Create one that holds these."""
        self.registrations: list[Registration] = []
        self.questions: list[Question] = []
        self.earliest_at = NOTHING_HELD  # no arrival is before it
        self.put(list(registrations), list(questions))
        self.has_changed = False  # since the last snapshot

    def put(self, registrations: list[Registration], questions: list[Question]) -> None:
        """Hold some."""
        if not registrations and not questions:
            return
        self.registrations += registrations
        self.questions += questions
        self.earliest_at = min(self.earliest_at, earliest(registrations, questions))
        self.has_changed = True

    def take_registrations(self, watermark: int) -> list[Registration]:
        """Take out the registrations that arrived up to `watermark` ms, in order of arrival.

        None of them where a question did as well: `take` has both instant by instant.
        """
        if watermark < self.earliest_at:
            return []
        if any(question.fact.arrival_at <= watermark for question in self.questions):
            return []
        due = sorted(each for each in self.registrations if each.arrival_at <= watermark)
        due.sort(key=registered_at)
        self.registrations = [each for each in self.registrations if each.arrival_at > watermark]
        self.earliest_at = earliest(self.registrations, self.questions)
        self.has_changed = True
        return due

    def take(self, watermark: int) -> Iterator[Instant]:
        """Take out what arrived up to `watermark` ms, instant by instant."""
        if watermark < self.earliest_at:
            return
        registered: dict[int, list[Registration]] = {}
        asked: dict[int, list[Question]] = {}
        for arrival_at, at_once in groupby(self.registrations, registered_at):
            if arrival_at <= watermark:
                registered.setdefault(arrival_at, []).extend(at_once)
        for arrival_at, questions in groupby(self.questions, asked_at):
            if arrival_at <= watermark:
                asked.setdefault(arrival_at, []).extend(questions)
        self.registrations = [each for each in self.registrations if each.arrival_at > watermark]
        self.questions = [each for each in self.questions if each.fact.arrival_at > watermark]
        self.earliest_at = earliest(self.registrations, self.questions)
        self.has_changed = True
        for at in sorted({*registered, *asked}):
            yield Instant(at, sorted(registered.get(at, ())), by_hash(asked.get(at, [])))


def earliest(registrations: list[Registration], questions: list[Question]) -> int:
    """The first arrival of some."""
    registered, asked = map(registered_at, registrations), map(asked_at, questions)
    return min(*(min(arrivals, default=NOTHING_HELD) for arrivals in (registered, asked)))


registered_at = attrgetter("arrival_at")
asked_at = attrgetter("fact.arrival_at")


def by_hash(questions: list[Question]) -> list[Question]:
    """Questions of one instant by hash; copies of one event that differ, by what they say."""
    if len(questions) < 2:  # noqa: PLR2004 - nothing to sort
        return questions
    hashes = {question.fact.hash for question in questions}
    if len(hashes) == len(questions):
        return sorted(questions, key=lambda question: question.fact.hash)
    return sorted(questions, key=lambda each: (each.fact.hash, content_hash(each.fact.raw)))


def number_key(tenant: str, kind: str, number: str) -> str:
    """The key of a number in its normal form: kind `waybill`, `erp`, …; a return's is a waybill."""
    known = "waybill" if kind in WAYBILL_KINDS else kind
    return f"{tenant}{SEPARATOR}{known}{SEPARATOR}{as_kind(kind, number)}"


def numbers_of(event: Event) -> list[str]:
    """The keys of all numbers that an event names, its waybill first."""
    keys = [number_key(event.tenant, "waybill", event.waybill)] if event.waybill else []
    for kind, numbers in sorted((event.references or {}).items()):
        listed = [numbers] if isinstance(numbers, str) else numbers
        keys += [number_key(event.tenant, kind, number) for number in listed]
    return list(dict.fromkeys(keys))


def registrations(event: Event, at: int, arrival_at: int) -> list[Registration]:
    """Registrations of an event with an order id; `at` is its time, else its arrival."""
    return [
        Registration(key, event.order_id or "", event.carrier or "", at, arrival_at)
        for key in numbers_of(event)
    ]


def question(event: Event, fact: Fact) -> Question:
    """Question of an event without an order id: by its waybill, else by its first number."""
    number = numbers_of(event)[0]
    _, kind, normal = number.split(SEPARATOR)
    fact.via = (kind, normal)
    return Question(number, event.tenant, event.carrier or "", fact)

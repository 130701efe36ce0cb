"""Registrations of numbers, questions by them and their answers, and the queue of questions.

Whose an event is depends on what arrived up to its own arrival, in whatever sequence partitions are
read. So both are held until the watermark has passed their arrivals, and leave in the order of
arrival; of one instant the registrations first, then the questions by hash. The compiled core holds
the registrations (`engine/core/src/resolver/queue.rs`).
"""

from collections.abc import Iterable
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


encode_registrations = msgspec.msgpack.Encoder().encode
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


class Queue:
    """Questions whose arrivals the watermark has not passed."""

    def __init__(self, questions: Iterable[Question] = ()) -> None:
        """Create one that holds these."""
        self.questions = list(questions)
        self.has_changed = False  # since the last snapshot

    def put(self, questions: list[Question]) -> None:
        """Hold some."""
        if questions:
            self.questions += questions
            self.has_changed = True

    def take(self, watermark: int) -> list[tuple[int, list[Question]]]:
        """Take out what arrived up to `watermark` ms: (arrival, questions) in order."""
        due = [each for each in self.questions if asked_at(each) <= watermark]
        if not due:
            return []
        self.questions = [each for each in self.questions if asked_at(each) > watermark]
        self.has_changed = True
        due.sort(key=asked_at)
        return [(at, by_hash(list(at_once))) for at, at_once in groupby(due, asked_at)]


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

"""Evaluator of whose an event without an order id is: docs/semantics.md, literally.

Everything is read in the order of arrival, number by number; nothing of dataflows/core/ is used.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from unicodedata import normalize

from schemas.instants import DAY_MS, parse_duration, parse_instant
from schemas.keys import DEFAULT_TENANT, event_hash
from tests.reference import (
    MISSING_BEFORE,
    Json,
    Lifecycle,
    arrival_of,
    content_hash,
    normal_number,
    objection,
    read_lifecycle,
    status_of,
    without_placeholders,
)

WAITS_AT_MOST_MS = 7 * DAY_MS
Number = tuple[str, str, str]  # tenant, kind, normal form


@dataclass
class Claim:
    """An order's hold on a number, from a registration on until it is forgotten."""

    order: str
    since: int  # the earliest time of its registrations
    carrier: str
    latest_day: int  # of the time of its latest event
    last_day: int  # of the arrival of its last event
    is_used: bool = False


@dataclass
class Question:
    """An event without an order id, and what came of it."""

    event: Json
    number: Number
    given: list[str] = field(default_factory=list)  # orders
    given_at: int | None = None
    refused: str = ""

    @property
    def is_open(self) -> bool:
        return self.given_at is None and not self.refused

    @property
    def place(self) -> tuple[int, int, int]:
        event = self.event
        name = event_hash(event["source"], event["event_id"])
        return arrival_of(event), name, content_hash(event)


class Numbers:
    """Numbers, claims and waiting questions as of an instant."""

    def __init__(self, lifecycle_table: Json) -> None:
        self.table = lifecycle_table
        self.lifecycle: Lifecycle = read_lifecycle(lifecycle_table)
        self.used_days = days(lifecycle_table["forget_numbers_after"])
        self.unused_days = days(lifecycle_table["forget_unused_numbers_after"])
        self.shared_ms = parse_duration(lifecycle_table["number_shared_within"])
        self.most = lifecycle_table.get("max_orders_per_number", 50)
        self.claims: dict[Number, list[Claim]] = defaultdict(list)
        self.waiting: dict[Number, list[Question]] = defaultdict(list)
        self.questions: list[Question] = []

    def lasts_until(self, claim: Claim, day: int) -> int:
        """The last day on which something of `day` counts for a claim."""
        return day + (self.used_days if claim.is_used else self.unused_days)

    def carrier_of(self, event: Json) -> str:
        """The carrier's name as it is compared; "" without one."""
        form = plain(event.get("carrier") or "")
        for code, names in self.table.get("carriers", {}).items():
            if form in {plain(code), *map(plain, names)}:
                return str(code)
        return form

    def take(self, at: int, events: list[Json]) -> None:
        """All that arrives in one ms."""
        self.give_up(at)
        asked = [event for event in events if "order_id" not in event]
        registered = set()
        for event in sorted(events, key=self.carrier_of):
            if "order_id" in event and not status_of(event, self.lifecycle).has("note"):
                for number in numbers_of(without_placeholders(event, self.table)):
                    self.register(number, event, at)
                    registered.add(number)
        for number in registered:
            self.ask_again(number, at)
        questions = [Question(event, ("", "", "")) for event in asked]
        for question in sorted(questions, key=lambda question: question.place):
            self.ask(question, at)

    def register(self, number: Number, event: Json, at: int) -> None:
        time, carrier = time_of(event), self.carrier_of(event)
        day, claims = at // DAY_MS, self.claims[number]
        held = [
            claim
            for claim in claims
            if claim.order == event["order_id"] and day <= self.lasts_until(claim, claim.last_day)
        ]
        if not held:
            claims.append(Claim(event["order_id"], time, carrier, time // DAY_MS, day))
        for claim in held:
            claim.since = min(claim.since, time)
            claim.carrier = claim.carrier or carrier
            claim.latest_day = max(claim.latest_day, time // DAY_MS)
            claim.last_day = day

    def ask(self, question: Question, at: int) -> None:
        self.questions.append(question)
        numbers = numbers_of(without_placeholders(question.event, self.table))
        if not numbers:
            question.refused = "placeholder_reference"
            return
        question.number = numbers[0]
        alive = {claim.order for claim in self.alive(question)}
        if len(alive) > self.most:
            question.refused = "ambiguous_reference"
        elif not self.answer(question, at):
            waiting = self.waiting[question.number]
            if any(question.place[1] == other.place[1] for other in waiting):
                question.refused = "duplicate"
            else:
                waiting.append(question)
        else:
            self.ask_again(question.number, at)

    def ask_again(self, number: Number, at: int) -> None:
        """The first that can be answered is, again and again until none can."""
        while any(self.answer(question, at) for question in self.waiting[number]):
            self.waiting[number] = [each for each in self.waiting[number] if each.is_open]

    def alive(self, question: Question) -> list[Claim]:
        """The claims that weren't forgotten when the question arrived."""
        arrival = arrival_of(question.event)
        return [
            claim
            for claim in self.claims[question.number]
            if arrival // DAY_MS <= self.lasts_until(claim, claim.last_day)
        ]

    def answer(self, question: Question, at: int) -> bool:
        """Give a question to the orders of its number, if it has any at its time."""
        time = time_of(question.event)
        counting: dict[str, Claim] = {}
        for claim in self.alive(question):
            is_late = time // DAY_MS > self.lasts_until(claim, claim.latest_day)
            if not is_late and time >= claim.since - self.used_days * DAY_MS:
                counting.setdefault(claim.order, claim)
        group = self.group_of(list(counting.values()), time)
        carrier = self.carrier_of(question.event)
        theirs = [claim for claim in group if carrier and claim.carrier == carrier]
        for claim in theirs or group:
            claim.latest_day = max(claim.latest_day, time // DAY_MS)
            claim.last_day = max(claim.last_day, at // DAY_MS)
            claim.is_used = True
        question.given = sorted(claim.order for claim in theirs or group)
        question.given_at = at if group else None
        return bool(group)

    def group_of(self, claims: list[Claim], time: int) -> list[Claim]:
        """Those that share the number: of the latest group that begins by then, else the first."""
        groups: list[list[Claim]] = []
        for claim in sorted(claims, key=lambda claim: (claim.since, claim.order)):
            if groups and claim.since - groups[-1][0].since <= self.shared_ms:
                groups[-1].append(claim)
            else:
                groups.append([claim])
        begun = [group for group in groups if group[0].since <= time]
        return begun[-1] if begun else next(iter(groups), [])

    def give_up(self, watermark: int) -> None:
        for number, waiting in self.waiting.items():
            for question in waiting:
                if watermark - arrival_of(question.event) > WAITS_AT_MOST_MS:
                    question.refused = "unknown_reference"
            self.waiting[number] = [question for question in waiting if question.is_open]


def resolved(lifecycle_table: Json, events: Iterable[Json], watermark: int) -> list[Question]:
    """Questions, each with its orders or refusal; the open ones wait. `events` as kept."""
    numbers = Numbers(lifecycle_table)
    read = [event for event in events if objection(event, numbers.lifecycle) is None]
    reached = sorted((e for e in read if arrival_of(e) <= watermark), key=arrival_of)
    for at, group in groupby(reached, key=arrival_of):
        numbers.take(at, list(group))
    numbers.give_up(watermark)
    return numbers.questions


def given_out(questions: Iterable[Question]) -> list[Json]:
    """The events that orders were given, with order id, number and arrival: for `evaluate`."""
    return [
        question.event
        | {
            "order_id": order,
            "via": list(question.number[1:]),
            "given_at": question.given_at,
            "raw": question.event,
        }
        for question in questions
        for order in question.given
    ]


def numbers_of(event: Json) -> list[Number]:
    """All that an event names, its waybill first, each once; a return's waybill is a waybill."""
    named = [("waybill", event["waybill"])] if event.get("waybill") else []
    for kind, numbers in sorted((event.get("references") or {}).items()):
        listed = [numbers] if isinstance(numbers, str) else numbers
        named += [(kind, number) for number in listed]
    tenant = event.get("tenant", DEFAULT_TENANT)
    found = [(tenant, merged(kind), normal_number(kind, number)) for kind, number in named]
    return list(dict.fromkeys(found))


def plain(name: str) -> str:
    return "".join(normalize("NFKC", name).casefold().split())


def merged(kind: str) -> str:
    return "waybill" if kind == "return_waybill" else kind


def time_of(event: Json) -> int:
    """The time of an event; its arrival where that is none."""
    at = parse_instant(event["timestamp"])
    return arrival_of(event) if at < MISSING_BEFORE else at


def days(text: str) -> int:
    return parse_duration(text) // DAY_MS

"""Resolving waybills and foreign numbers to order ids.

A number maps to orders with the time since which it does (`valid_from`) and when it was last used;
carriers reuse numbers, so a mapping counts for events up to 180 days around that, in event time,
and is forgotten when as long has passed since the last event of it arrived. A parcel with several
orders gives its event to each. An event whose number nobody knows yet waits, bounded per number, in
total and in stream time, and is applied when its order has registered the number.

Registrations and questions are held until the watermark has passed their arrivals, and taken in the
order of arrival (`dataflows.core.questions`): so whose an event is doesn't depend on who read what
first, nor on how often the clock moves, and is never revised.
"""

from collections.abc import Iterable
from enum import Enum, auto

import msgspec

from dataflows.core import compiled
from dataflows.core.lifecycle import NumberRules
from dataflows.core.questions import (
    Answers,
    Question,
    Queue,
    Registration,
    Unresolved,
    encode_registrations,
)
from dataflows.core.set_aside import INTERNAL_FAULT, UNBLAMED, Fault, fault_of
from schemas.errors import Rejected
from schemas.instants import DAY_MS
from schemas.keys import SEPARATOR, order_key

FORGET_AFTER_MS = 180 * DAY_MS  # as lifecycle.toml has it, and these
FORGET_UNUSED_AFTER_MS = 1_096 * DAY_MS
SHARED_WITHIN_MS = 3 * DAY_MS
MAX_ORDERS_PER_NUMBER = 50
WAITS_AT_MOST_MS = 7 * DAY_MS
MAX_WAITING_PER_NUMBER = 200
MAX_WAITING = 100_000
# Of a shard; an event is up to a megabyte, and 64 shards share a host's memory.
MAX_WAITING_BYTES = 32 * 1024 * 1024
# A number's record of more bytes, about 30 orders, is held and stored by order.
CROWD_BYTES = 2_000
NOBODY_WAITS = 1 << 60
NONE_HELD = msgspec.Raw(encode_registrations([]))


class ResolverSnapshot(msgspec.Struct, array_like=True):
    """Changes in a resolver, or everything: a base.

    Of a base: the pages and days of `Numbers`, and how many numbers the pages hold. `changed` are
    (hash, packed mappings), none for a number that was forgotten; `crowds` those of the changed
    orders of numbers with many, of a base all. `waiting` are the events that wait for a number now,
    none where they don't any more. With `is_all_waiting` nothing waits besides. `registrations` (of
    `Registration`, as the core packed them) and `questions` are all that the watermark has not
    passed.
    """

    watermark: int
    pages: list[bytes]
    count: int
    days: dict[int, bytes]
    changed: list[tuple[bytes, bytes]]
    waiting: list[tuple[str, list[Question]]]
    is_all_waiting: bool
    registrations: msgspec.Raw = NONE_HELD
    questions: list[Question] = []
    crowds: list[tuple[bytes, bytes]] = []


class Fate(Enum):
    """Result of a question; with NEWS the number can mean more than before."""

    WAITS = auto()
    SETTLED = auto()
    NEWS = auto()


class Resolver:
    """The numbers of one shard."""

    def __init__(
        self,
        forget_after_ms: int = FORGET_AFTER_MS,
        max_orders: int = MAX_ORDERS_PER_NUMBER,
        forget_unused_after_ms: int = FORGET_UNUSED_AFTER_MS,
        shared_within_ms: int = SHARED_WITHIN_MS,
    ) -> None:
        """Create an empty one.

        A number is forgotten `forget_after_ms` after its last event, in whole days; one by which
        no event has come to the order yet, `forget_unused_after_ms` after it. Orders that register
        one within `shared_within_ms` of event time share it; a question that more than `max_orders`
        could be meant by is refused.
        """
        self.max_orders = max_orders
        self.numbers = compiled.Numbers(
            forget_after_ms, forget_unused_after_ms, shared_within_ms, max_orders, CROWD_BYTES
        )
        self.questions = Queue()
        self.waiting: dict[str, list[Question]] = {}
        self.parked_count = self.waiting_bytes = 0
        self.most_waiting = 0  # for a number, since the start
        self.waiting_changed: set[str] = set()
        self.waiting_since = NOBODY_WAITS  # nobody that waits arrived before
        self.watermark = 0

    @property
    def has_changed(self) -> bool:
        """Return True if there is anything for a snapshot."""
        return bool(self.numbers.has_changed or self.waiting_changed or self.questions.has_changed)

    @property
    def waiting_count(self) -> int:
        """Count of events that wait: for their number, or for the watermark."""
        return self.parked_count + len(self.questions.questions)

    def bounds(self) -> dict[str, float]:
        """Return how full each bound is, by name; 1 is full; see `ask`."""
        return {
            "waiting_events": self.parked_count / MAX_WAITING,
            "waiting_bytes": self.waiting_bytes / MAX_WAITING_BYTES,
            "waiting_events_of_a_number": self.most_waiting / MAX_WAITING_PER_NUMBER,
            "orders_of_a_number": self.numbers.most_orders / self.max_orders,
        }

    def offer(self, registrations: list[Registration], questions: list[Question]) -> None:
        """Hold what was read until the watermark has passed its arrival."""
        if registrations:
            self.offer_made(compiled.Registrations(encode_registrations(registrations)))
        self.questions.put(questions)

    def offer_made(self, registrations: compiled.Registrations) -> None:
        """Hold registrations of the compiled door."""
        self.numbers.offer(registrations)

    def advance(self, watermark: int, answers: Answers) -> None:
        """Move the clock: take what it has reached, give up what waited too long, forget numbers.

        It never moves back.
        """
        self.watermark = max(self.watermark, watermark)
        for at, questions in self.questions.take(self.watermark):
            self.register_through(at, answers)
            self.give_up_before(at - WAITS_AT_MOST_MS, answers)
            for question in questions:
                self.ask(question, answers)
        self.register_through(self.watermark, answers)
        self.give_up_before(self.watermark - WAITS_AT_MOST_MS, answers)
        self.numbers.forget(self.watermark)
        for name, reason in self.numbers.take_unreadable():
            answers.faults.append(Fault(name, reason, ""))

    def register_through(self, at: int, answers: Answers) -> None:
        """Register what arrived up to `at` ms; what waits is answered or given up on the way.

        Where a registration is a fault, the number stays unregistered by this event, which is
        reported; the event itself goes to its order.
        """
        while True:
            last_at = min(at, self.waiting_since + WAITS_AT_MOST_MS)  # nothing is given up by then
            ended, faults = self.numbers.register_through(last_at, self.waiting)
            answers.faults += [Fault(number, reason, "") for number, reason in faults]
            if ended is not None:
                registered_at, numbers = ended
                for number in numbers:
                    self.ask_again(number, registered_at, answers)
                continue
            next_at = self.numbers.next_arrival
            if next_at is None or next_at > at:
                return
            self.give_up_before(next_at - WAITS_AT_MOST_MS, answers)

    def ask(self, asked: Question, answers: Answers) -> None:
        """Answer a question at its arrival, or let it wait."""
        at = asked.fact.arrival_at
        fate = self.try_answer(asked, at, answers)
        if fate is Fate.WAITS:
            self.wait(asked, answers)
        elif fate is Fate.NEWS:
            self.ask_again(asked.number, at, answers)

    def ask_again(self, number: str, at: int, answers: Answers) -> None:
        """Ask what waits for a number of which there is news at an instant, in order of arrival.

        Each answer may be news for those before.
        """
        waiting = self.waiting.get(number)
        if not waiting:
            return
        left, place = list(waiting), 0
        while place < len(left):
            fate = self.try_answer(left[place], at, answers)
            if fate is Fate.WAITS:
                place += 1
                continue
            del left[place]
            if fate is Fate.NEWS:
                place = 0
        if len(left) < len(waiting):
            self.set_waiting(number, left)
            self.waiting_changed.add(number)

    def try_answer(self, asked: Question, at: int, answers: Answers) -> Fate:
        """Answer a question at an instant, if its number leads to orders by then.

        Where that raises, the question is rejected: `internal_fault`.
        """
        given = len(answers.facts)
        try:
            return self.answer(asked, at, answers)
        except UNBLAMED:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is about this question alone
            del answers.facts[given:]
            fault = fault_of(asked.number, error)
            answers.faults.append(fault)
            reason = Rejected(INTERNAL_FAULT, f"its number could not be resolved: {fault.reason}")
            answers.rejected.append(Unresolved(asked.fact, reason))
            return Fate.SETTLED

    def answer(self, asked: Question, at: int, answers: Answers) -> Fate:
        """Give a fact to the orders of its number, at which it arrives at that instant."""
        fact = asked.fact
        found = self.numbers.answer(asked.number, asked.carrier, fact.at, fact.arrival_at, at)
        if found is None:
            answers.rejected.append(self.ambiguous(asked))
            return Fate.SETTLED
        orders, is_news = found
        for index, order_id in enumerate(orders):
            copy = msgspec.structs.replace(
                fact,
                key=order_key(asked.tenant, order_id),
                arrival_at=at,
                counted=index == 0,
            )
            answers.facts.append(copy)
        if not orders:
            return Fate.WAITS
        return Fate.NEWS if is_news else Fate.SETTLED

    def ambiguous(self, asked: Question) -> Unresolved:
        """The refusal of a question whose number has too many orders."""
        number = asked.number.rpartition(SEPARATOR)[2]
        reason = (
            f"{number!r} is a number of over {self.max_orders} orders; name the order, or list it "
            "under placeholders in the lifecycle file"
        )
        return Unresolved(asked.fact, Rejected("ambiguous_reference", reason))

    def wait(self, asked: Question, answers: Answers) -> None:
        """Keep a question until its number is registered."""
        questions = self.waiting.get(asked.number, [])
        if any(other.fact.hash == asked.fact.hash for other in questions):
            answers.duplicates += 1
        elif self.waiting_bytes + len(asked.fact.raw) > MAX_WAITING_BYTES:
            reason = f"{self.waiting_bytes} bytes of events wait in its shard already"
            answers.rejected.append(Unresolved(asked.fact, Rejected("waiting_full", reason)))
        elif len(questions) >= MAX_WAITING_PER_NUMBER or self.parked_count >= MAX_WAITING:
            reason = f"{len(questions)} events wait for it already, {self.parked_count} in all"
            answers.rejected.append(Unresolved(asked.fact, Rejected("too_many_waiting", reason)))
        else:
            self.set_waiting(asked.number, [*questions, asked])
            self.waiting_changed.add(asked.number)

    def set_waiting(self, number: str, questions: list[Question]) -> None:
        """Let these, and only these, wait for a number."""
        before = self.waiting.pop(number, ())
        self.parked_count += len(questions) - len(before)
        self.waiting_bytes += size_of(questions) - size_of(before)
        self.most_waiting = max(self.most_waiting, len(questions))
        if questions:
            self.waiting[number] = questions
            since = min(asked.fact.arrival_at for asked in questions)
            self.waiting_since = min(self.waiting_since, since)

    def give_up_before(self, before: int, answers: Answers) -> None:
        """Reject what waits since before an instant."""
        if self.waiting_since < before:
            self.waiting_since = NOBODY_WAITS
            for number, questions in list(self.waiting.items()):
                self.give_up(number, questions, before, answers)

    def give_up(
        self, number: str, questions: list[Question], before: int, answers: Answers
    ) -> None:
        """Reject what waits for a number since before an instant."""
        late = [asked for asked in questions if asked.fact.arrival_at < before]
        if late:
            self.waiting_changed.add(number)
        self.set_waiting(number, [asked for asked in questions if asked.fact.arrival_at >= before])
        days = WAITS_AT_MOST_MS // DAY_MS
        text = f"no order registered {number.rpartition(SEPARATOR)[2]!r} within {days} days"
        reason = Rejected("unknown_reference", text)
        answers.rejected += [Unresolved(asked.fact, reason) for asked in late]

    def snapshot(self, *, base: bool) -> ResolverSnapshot:
        """Changes since the last snapshot; everything for a base."""
        numbers = self.numbers
        names = list(self.waiting) if base else sorted(self.waiting_changed)
        found = ResolverSnapshot(
            watermark=self.watermark,
            pages=[],
            count=0,
            days={},
            changed=[],
            waiting=[(name, self.waiting.get(name, [])) for name in names],
            is_all_waiting=base,
            registrations=msgspec.Raw(numbers.held()),
            questions=list(self.questions.questions),
        )
        if base:
            found.pages, found.count, found.days, found.crowds = numbers.base()
        else:
            found.changed, found.crowds = numbers.delta()
        self.waiting_changed, self.questions.has_changed = set(), False
        return found

    def restore(self, snapshots: Iterable[ResolverSnapshot]) -> None:
        """Take the state of a base and the deltas after it."""
        for part in snapshots:
            if part.pages:
                self.numbers.restore(part.pages, part.count, part.days, part.crowds)
            else:
                self.numbers.apply(part.changed, part.crowds)
            if part.is_all_waiting:
                self.waiting, self.parked_count, self.waiting_bytes = {}, 0, 0
            for number, questions in part.waiting:
                self.set_waiting(number, questions)
            self.watermark = part.watermark
            self.numbers.hold(bytes(part.registrations))
            self.questions = Queue(part.questions)


def size_of(questions: Iterable[Question]) -> int:
    """The bytes of the events that wait."""
    return sum([len(asked.fact.raw) for asked in questions])


def resolver_of(rules: NumberRules) -> Resolver:
    """Create an empty resolver by a lifecycle file's rules for numbers."""
    return Resolver(
        rules.forget_after_ms,
        rules.max_orders,
        rules.forget_unused_after_ms,
        rules.shared_within_ms,
    )

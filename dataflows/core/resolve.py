"""Resolving waybills and foreign numbers to order ids.

A number maps to orders with the time since which it does (`valid_from`) and when it was last used;
carriers reuse numbers, so a mapping counts for events up to 180 days around that, in event time,
and is forgotten when as long has passed since the last event of it arrived. A parcel with several
orders gives its event to each. An event whose number nobody knows yet waits, bounded per number, in
total and in stream time, and is applied when its order has registered the number.

What counts is decided by days and arrivals, whenever the clock moves: if a use of a number comes
late and closes a gap between two others, it is as if it had come in time.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from dataflows.core.fact import Fact
from dataflows.core.lifecycle import NumberRules
from dataflows.core.numbers import Mapping, Numbers, hash_of
from dataflows.core.set_aside import INTERNAL_FAULT, UNBLAMED, Fault, fault_of
from schemas.errors import Rejected
from schemas.event import Event
from schemas.instants import DAY_MS
from schemas.keys import SEPARATOR, order_key
from schemas.numbers import WAYBILL_KINDS, as_kind

FORGET_AFTER_MS = 180 * DAY_MS  # as lifecycle.toml has it, and these
FORGET_REFERENCES_AFTER_MS = 1_096 * DAY_MS
SHARED_WITHIN_MS = 3 * DAY_MS
MAX_ORDERS_PER_NUMBER = 50
WAITS_AT_MOST_MS = 7 * DAY_MS
MAX_WAITING_PER_NUMBER = 200
MAX_WAITING = 100_000
# Of a shard; an event is up to a megabyte, and 64 shards share a host's memory.
MAX_WAITING_BYTES = 32 * 1024 * 1024
NOBODY_WAITS = 1 << 60


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
        self.faults: list[Fault] = []  # of numbers; the key is the number's
        self.duplicates = 0


class ResolverSnapshot(msgspec.Struct, array_like=True):
    """What changed in a resolver, or everything: a base.

    Of a base: the pages and days of `Numbers`, and how many numbers the pages hold. `changed` are
    (hash, packed mappings), none for a number that was forgotten; `waiting` the events that wait
    for a number now, none where they don't any more. With `is_all_waiting` nothing waits besides.
    """

    through: int
    pages: list[bytes]
    count: int
    days: dict[int, bytes]
    changed: list[tuple[bytes, bytes]]
    waiting: list[tuple[str, list[Question]]]
    is_all_waiting: bool


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
    """What an event with an order id registers; `at` is its time, the arrival where it has none."""
    return [
        Registration(key, event.order_id or "", event.carrier or "", at, arrival_at)
        for key in numbers_of(event)
    ]


def question(event: Event, fact: Fact) -> Question:
    """What an event without an order id asks: by its waybill, else by its first number."""
    number = numbers_of(event)[0]
    _, kind, normal = number.split(SEPARATOR)
    fact.via = (kind, normal)
    return Question(number, event.tenant, event.carrier or "", fact)


class Resolver:
    """The numbers of one shard."""

    def __init__(
        self,
        forget_after_ms: int = FORGET_AFTER_MS,
        max_orders: int = MAX_ORDERS_PER_NUMBER,
        forget_references_after_ms: int = FORGET_REFERENCES_AFTER_MS,
        shared_within_ms: int = SHARED_WITHIN_MS,
    ) -> None:
        """Create an empty one.

        A waybill is forgotten `forget_after_ms` after its last event, in whole days, any other
        number `forget_references_after_ms`. Orders that register one within `shared_within_ms` of
        event time share it; a question that more than `max_orders` could be meant by is refused.
        """
        self.forget_after_ms = forget_after_ms
        self.shared_within_ms = shared_within_ms
        self.max_orders = max_orders
        self.numbers = Numbers(forget_after_ms, forget_references_after_ms)
        self.waiting: dict[str, list[Question]] = {}
        self.waiting_count = self.waiting_bytes = 0
        self.most_waiting = 0  # for a number, since the start
        self.waiting_changed: set[str] = set()
        self.waiting_since = NOBODY_WAITS  # nobody that waits arrived before
        self.through = 0

    @property
    def has_changed(self) -> bool:
        """Whether there is anything for a snapshot."""
        return bool(self.numbers.changed or self.waiting_changed)

    def bounds(self) -> dict[str, float]:
        """How full each bound is, by name; 1 is full. A number's orders may be more: see `ask`."""
        return {
            "waiting_events": self.waiting_count / MAX_WAITING,
            "waiting_bytes": self.waiting_bytes / MAX_WAITING_BYTES,
            "waiting_events_of_a_number": self.most_waiting / MAX_WAITING_PER_NUMBER,
            "orders_of_a_number": self.numbers.most_orders / self.max_orders,
        }

    def register(self, said: Registration, answers: Answers) -> None:
        """Take a registration, and answer what waited for it.

        Where that raises, the number stays unregistered by this event, which is reported; the event
        itself goes to its order.
        """
        try:
            self.enter(said, answers)
        except UNBLAMED:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is about this number alone
            answers.faults.append(fault_of(said.number, error))

    def enter(self, said: Registration, answers: Answers) -> None:
        """Note a registration, and ask again what waits for its number."""
        self.numbers.add(hash_of(said.number), mapping_of(said))
        self.ask_again(said.number, said.arrival_at, answers)

    def ask(self, asked: Question, answers: Answers, news_at: int = 0) -> None:
        """Answer a question, or let it wait; `news_at` is when what it waited for arrived.

        Where that raises, the question is rejected: `internal_fault`.
        """
        given = len(answers.facts)
        try:
            self.answer(asked, answers, news_at)
        except UNBLAMED:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is about this question alone
            del answers.facts[given:]
            fault = fault_of(asked.number, error)
            answers.faults.append(fault)
            reason = Rejected(INTERNAL_FAULT, f"its number could not be resolved: {fault.reason}")
            answers.rejected.append(Unresolved(asked.fact, reason))

    def answer(self, asked: Question, answers: Answers, news_at: int) -> None:
        """Give a fact to the orders of its number, or let it wait."""
        key = hash_of(asked.number)
        if self.is_ambiguous(key, asked):
            answers.rejected.append(self.ambiguous(asked))
            return
        known = self.numbers.get(key)
        found = self.find(known, asked)
        if not found:
            self.wait(asked, answers)
            return
        for index, mapping in enumerate(found):
            copy = msgspec.structs.replace(
                asked.fact,
                key=order_key(asked.tenant, mapping.order_id),
                arrival_at=max(asked.fact.arrival_at, mapping.arrival_at),
                counted=index == 0,
            )
            answers.facts.append(copy)
        now = self.used(known, found, asked.fact)
        if now != known:
            self.numbers.put(key, now)
            self.ask_again(asked.number, max(asked.fact.arrival_at, news_at), answers)

    def is_ambiguous(self, key: bytes, asked: Question) -> bool:
        """Whether more orders have the number at the question's arrival than it may mean.

        By arrivals alone, so it doesn't matter in which order they are read: a placeholder that
        stands for "none" at thousands of orders means none of them.
        """
        return self.numbers.has_over(self.max_orders, key, asked.fact.arrival_at)

    def ambiguous(self, asked: Question) -> Unresolved:
        """The refusal of a question whose number has too many orders."""
        number = asked.number.rpartition(SEPARATOR)[2]
        reason = (
            f"{number!r} is a number of over {self.max_orders} orders; name the order, or list it "
            "under placeholders in the lifecycle file"
        )
        return Unresolved(asked.fact, Rejected("ambiguous_reference", reason))

    def used(self, known: list[Mapping], found: list[Mapping], fact: Fact) -> list[Mapping]:
        """The orders of a number once `found` among them have been given a fact."""
        used_day, heard_day = fact.at // DAY_MS, fact.arrival_at // DAY_MS
        for mapping in found:
            if mapping.used_day < used_day or mapping.heard_day < heard_day:
                others = [other for other in known if other is not mapping]
                later = msgspec.structs.replace(
                    mapping,
                    used_day=max(mapping.used_day, used_day),
                    heard_day=max(mapping.heard_day, heard_day),
                )
                known = self.numbers.joined(others, later)
        return known

    def find(self, known: list[Mapping], asked: Question) -> list[Mapping]:
        """The orders that the number meant at the time of the event, by order id.

        A registration that arrived after the event had waited its time doesn't count, whether or
        not the clock has given the event up by then; and a number that was to be forgotten when
        the event arrived doesn't, whether or not it has been: so it matters to nobody how often
        the clock moves.
        """
        meant: dict[str, Mapping] = {}
        for mapping in known:
            if self.counts(mapping, asked.fact):
                meant.setdefault(mapping.order_id, mapping)  # the first that arrived
        group = self.group_at(list(meant.values()), asked.fact.at)
        carrier = asked.carrier
        theirs = [mapping for mapping in group if carrier and mapping.carrier == carrier]
        return sorted(theirs or group, key=lambda mapping: mapping.order_id)

    def group_at(self, meant: list[Mapping], at: int) -> list[Mapping]:
        """The orders that share the number at a time: those that registered it close together.

        A later one takes the number over from its time on; before the first it is the first's.
        """
        meant.sort(key=lambda mapping: (mapping.valid_from, mapping.order_id))
        group: list[Mapping] = []
        for mapping in meant:
            if not group or mapping.valid_from - group[0].valid_from <= self.shared_within_ms:
                group.append(mapping)
            elif mapping.valid_from <= at:
                group = [mapping]
            else:
                break
        return group

    def counts(self, mapping: Mapping, fact: Fact) -> bool:
        """Whether a mapping can be meant by an event of this time and this arrival."""
        last_day = self.numbers.last_day(mapping)
        return (
            mapping.valid_from - self.forget_after_ms <= fact.at
            and fact.at // DAY_MS <= mapping.used_day + last_day - mapping.heard_day
            and mapping.arrival_at <= fact.arrival_at + WAITS_AT_MOST_MS
            and fact.arrival_at // DAY_MS <= last_day
        )

    def ask_again(self, number: str, arrival_at: int, answers: Answers) -> None:
        """Ask what waits for a number, of which there is news.

        But not what had waited its time when the news arrived: that is given up as soon as the
        clock gets there.
        """
        waiting = self.waiting.get(number)
        if not waiting:
            return
        since = arrival_at - WAITS_AT_MOST_MS
        in_time = [asked for asked in waiting if asked.fact.arrival_at >= since]
        if in_time:
            self.set_waiting(number, [asked for asked in waiting if asked.fact.arrival_at < since])
            self.waiting_changed.add(number)
            for asked in in_time:
                self.ask(asked, answers, arrival_at)

    def wait(self, asked: Question, answers: Answers) -> None:
        """Keep a question until its number is registered."""
        questions = self.waiting.get(asked.number, [])
        if any(other.fact.hash == asked.fact.hash for other in questions):
            answers.duplicates += 1
        elif self.waiting_bytes + len(asked.fact.raw) > MAX_WAITING_BYTES:
            reason = f"{self.waiting_bytes} bytes of events wait in its shard already"
            answers.rejected.append(Unresolved(asked.fact, Rejected("waiting_full", reason)))
        elif len(questions) >= MAX_WAITING_PER_NUMBER or self.waiting_count >= MAX_WAITING:
            reason = f"{len(questions)} events wait for it already, {self.waiting_count} in all"
            answers.rejected.append(Unresolved(asked.fact, Rejected("too_many_waiting", reason)))
        else:
            self.set_waiting(asked.number, [*questions, asked])
            self.waiting_changed.add(asked.number)

    def set_waiting(self, number: str, questions: list[Question]) -> None:
        """Let these, and only these, wait for a number."""
        before = self.waiting.pop(number, ())
        self.waiting_count += len(questions) - len(before)
        self.waiting_bytes += size_of(questions) - size_of(before)
        self.most_waiting = max(self.most_waiting, len(questions))
        if questions:
            self.waiting[number] = questions
            since = min(asked.fact.arrival_at for asked in questions)
            self.waiting_since = min(self.waiting_since, since)

    def advance(self, through: int, answers: Answers) -> None:
        """Move the clock: give up what waited too long, forget numbers of long ago."""
        self.through = through
        self.numbers.forget(through)
        for key, error in self.numbers.take_unreadable():
            answers.faults.append(fault_of(key.hex(), error))
        before = through - WAITS_AT_MOST_MS
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
        said = f"no order registered {number.rpartition(SEPARATOR)[2]!r} within {days} days"
        reason = Rejected("unknown_reference", said)
        answers.rejected += [Unresolved(asked.fact, reason) for asked in late]

    def snapshot(self, *, base: bool) -> ResolverSnapshot:
        """What changed since the last snapshot; everything for a base."""
        numbers = self.numbers
        numbers.settle()
        names = list(self.waiting) if base else sorted(self.waiting_changed)
        found = ResolverSnapshot(
            through=self.through,
            pages=list(numbers.table.pages) if base else [],
            count=len(numbers) if base else 0,
            days=numbers.days() if base else {},
            changed=[] if base else [(key, numbers.table.get(key)) for key in numbers.changed],
            waiting=[(name, self.waiting.get(name, [])) for name in names],
            is_all_waiting=base,
        )
        numbers.changed, self.waiting_changed = set(), set()
        return found

    def restore(self, snapshots: Iterable[ResolverSnapshot]) -> None:
        """Take the state of a base and the deltas after it."""
        for part in snapshots:
            if part.pages:
                self.numbers.restore(part.pages, part.count, part.days)
            for key, record in part.changed:
                self.numbers.take(key, record)
            if part.is_all_waiting:
                self.waiting, self.waiting_count, self.waiting_bytes = {}, 0, 0
            for number, questions in part.waiting:
                self.set_waiting(number, questions)
            self.through = part.through


def mapping_of(said: Registration) -> Mapping:
    """What a registration alone says."""
    used_day, heard_day = said.at // DAY_MS, said.arrival_at // DAY_MS
    is_lasting = said.number.split(SEPARATOR)[1] != "waybill"
    return Mapping(
        said.order_id, said.carrier, said.at, said.arrival_at, used_day, heard_day, is_lasting
    )


def size_of(questions: Iterable[Question]) -> int:
    """The bytes of the events that wait."""
    return sum([len(asked.fact.raw) for asked in questions])


def resolver_of(rules: NumberRules) -> Resolver:
    """Create an empty resolver by a lifecycle file's rules for numbers."""
    return Resolver(
        rules.forget_after_ms,
        rules.max_orders,
        rules.forget_references_after_ms,
        rules.shared_within_ms,
    )

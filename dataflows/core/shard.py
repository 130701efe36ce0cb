"""A shard: the live orders of one key range, in an ordinary dict and a calendar.

Each order is evaluated into an output of its own, which counts only as a whole: what one order
raises sets that order aside (`dataflows.core.set_aside`), and the others go on.

Facts wait until the clock has reached their arrival; then each order is judged, arrival by arrival.
What has arrived but not been reached by the clock shows in the order's live document all the same.
"""

from collections.abc import Callable, Iterable
from functools import partial

import msgspec

from dataflows.core.alerts import Desk
from dataflows.core.conflicts import by_arrival, conflicts, winners
from dataflows.core.deadlines import NEVER
from dataflows.core.documents import document
from dataflows.core.fact import Fact
from dataflows.core.facts import MAX_ENTRIES, add, check_open, permitted
from dataflows.core.fold import refold
from dataflows.core.holding import Holding
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.output import Output
from dataflows.core.packing import CONFLICTING, NO_ENTRY, REFUSED, Order, unpack
from dataflows.core.preview import Preview
from dataflows.core.rules import Rules
from dataflows.core.set_aside import UNBLAMED, Fault, SetAsides, fault_of
from dataflows.core.snapshots import Cold, Snapshot, check_statuses
from dataflows.core.symbols import Symbols
from schemas.errors import Rejected

Accept = Callable[[Output], None]


class Shard:
    """The orders of one shard. Not thread-safe; one owner."""

    def __init__(
        self,
        table: Lifecycle,
        rules: Rules,
        cold: Cold,
        generation: int = 0,
        accept: Accept = lambda _: None,
    ) -> None:
        """Create an empty shard of a state of this generation; `cold` has its retired orders.

        `accept` is given the output of each order as soon as it is complete; what it raises is a
        fault of that order too, so it may encode what is to be published.
        """
        self.table = table
        self.rules = rules
        self.held = Holding(cold)
        self.sources = Symbols(of="source")
        self.desk = Desk(rules, table, Symbols(of="rule", limit=16_000), generation)
        self.pending: dict[str, list[Fact]] = {}
        self.fresh: dict[str, None] = {}  # orders of which something is to be shown
        self.previews: dict[str, Preview] = {}
        self.published: dict[str, int] = {}
        self.accept = accept
        self.set_aside = SetAsides()
        self.releasing: list[str] = []
        self.watermark = 0
        self.publishing = True  # a replay asks for the documents once, at the end

    def bounds(self) -> dict[str, float]:
        """How full each bound is, by name; 1 is full."""
        return {
            "source_names": len(self.sources.names) / self.sources.limit,
            "rule_names": len(self.desk.symbols.names) / self.desk.symbols.limit,
            "events_of_an_order": self.held.most_entries / MAX_ENTRIES,
        }

    def offer(self, facts: Iterable[Fact]) -> None:
        """Take facts; they are applied when the clock has reached them."""
        set_aside = self.set_aside.orders
        for fact in facts:
            if fact.key in set_aside:
                self.set_aside.keep(fact)
                continue
            self.pending.setdefault(fact.key, []).append(fact)
            self.fresh[fact.key] = None
            self.previews.pop(fact.key, None)

    def advance(self, watermark: int) -> Output:
        """Move the clock to `watermark` ms and say everything that follows; never moves back."""
        out = Output(self.desk)
        self.watermark = watermark = max(self.watermark, watermark)
        for key, error in self.held.unreadable.items():
            self.put_aside(key, watermark, fault_of(key, error), [], out)
        self.held.unreadable = {}
        for key in self.releasing:
            self.release(key, watermark, out)
        self.releasing = []
        for key in self.due(watermark):
            self.evaluate(key, watermark, out)
        if self.publishing:
            for key in self.fresh:
                if key in self.pending:
                    self.preview(key, out)
        self.fresh = {}
        if self.set_aside.overflow:
            self.refuse_overflow(out)
        return out

    def attempt(self, key: str, work: Callable[[Output], None], out: Output) -> Fault | None:
        """Do some work on one order, all of it or none; what it raised, if it raised.

        Raises:
            StoreUnavailable: the retired orders can't be read; no order is to blame.
            MemoryError, OSError: neither.
        """
        mine = Output(self.desk)
        before, published = self.held.stored(key), self.published.get(key)
        try:
            work(mine)
            self.accept(mine)
        except UNBLAMED:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is about this order alone
            self.held.put_back(key, before)
            if published is None:
                self.published.pop(key, None)
            else:
                self.published[key] = published
            self.previews.pop(key, None)
            return fault_of(key, error)
        out.add(mine)
        return None

    def evaluate(self, key: str, watermark: int, out: Output) -> None:
        """Bring an order up to the watermark, or set it aside before the arrival that raises."""
        facts = self.reached(key, watermark)
        if self.attempt(key, lambda mine: self.judge(key, facts, watermark, mine), out) is None:
            return
        # Again, a step at a time, so that what is kept doesn't depend on how many came at once.
        self.previews.pop(key, None)
        groups = list(by_arrival(facts))
        for number, (arrival_at, group) in enumerate(groups):
            for at, some in ((arrival_at - 1, []), (arrival_at, group)):
                if fault := self.attempt(key, partial(self.judge, key, some, at), out):
                    left = [fact for _, facts in groups[number:] for fact in facts]
                    self.put_aside(key, arrival_at, fault, left, out)
                    return
        if fault := self.attempt(key, partial(self.judge, key, [], watermark), out):
            self.put_aside(key, watermark, fault, [], out)

    def put_aside(self, key: str, at: int, fault: Fault, facts: list[Fact], out: Output) -> None:
        """Set an order aside; `facts` and those that the watermark hasn't reached wait with it."""
        self.previews.pop(key, None)
        self.published.pop(key, None)
        waiting = [*facts, *self.pending.pop(key, [])]
        self.set_aside.add(key, at, fault, self.digest, waiting)
        out.faults.append(fault)
        mine = Output(self.desk)
        mine.set_aside(key, at, fault.reason)
        self.accept(mine)
        out.add(mine)

    def release(self, key: str, watermark: int, out: Output) -> None:
        """Evaluate an order that was set aside; if it raises again, it stays aside."""
        released = self.set_aside.release(key)
        if released.facts:
            self.pending[key] = released.facts
            self.fresh[key] = None
        self.evaluate(key, watermark, out)
        if released.digest != self.digest and key in self.held.orders:
            self.reevaluate(key, out)
        if again := self.set_aside.orders.get(key):
            again.releases = released.releases + 1
            return
        mine = Output(self.desk)
        mine.released(key, watermark)
        self.accept(mine)
        out.add(mine)

    def reevaluate(self, key: str, out: Output) -> None:
        """Settle a live order by the rules and lifecycle in force now; `at` is the watermark."""
        if key in self.set_aside.orders:
            return
        if fault := self.attempt(key, lambda mine: self.settle_anew(key, mine), out):
            self.put_aside(key, self.watermark, fault, [], out)

    def settle_anew(self, key: str, out: Output) -> None:
        """Fold a live order from its history, and settle it."""
        order = unpack(key, self.held.orders[key])
        version = order.version
        refold(order, self.table)
        order.armed_at = 0
        next_at, retired = self.settle(order, self.watermark, self.watermark, out)
        self.held.put(order, next_at, self.watermark, retired=retired)
        self.publish(order, version, retired=retired, out=out)

    def refuse_overflow(self, out: Output) -> None:
        """Refuse what exceeds the limits of facts that wait with orders set aside."""
        mine = Output(self.desk)
        for fact, reason in self.set_aside.refused():
            mine.reject(fact, reason)
        self.accept(mine)
        out.add(mine)

    def preview(self, key: str, out: Output) -> None:
        """Publish an order with the facts ahead of the watermark, if that can be done.

        What it raises sets nothing aside: only what the watermark has reached does.
        """
        if fault := self.attempt(key, lambda mine: self.show(key, mine), out):
            out.faults.append(msgspec.structs.replace(fault, is_preview=True))

    def due(self, watermark: int) -> list[str]:
        """The orders that have something to be judged by `watermark`."""
        keys = [
            key
            for key, facts in self.pending.items()
            if facts[0].arrival_at <= watermark or any(f.arrival_at <= watermark for f in facts)
        ]
        if self.held.calendar.has_come(watermark):
            known = {*keys, *self.set_aside.orders}
            keys += [key for key in self.held.calendar.due(watermark) if key not in known]
        return keys

    def reached(self, key: str, watermark: int) -> list[Fact]:
        """Take the facts of an order which the clock has reached out of the waiting ones."""
        facts = self.pending.pop(key, [])
        waiting = [fact for fact in facts if fact.arrival_at > watermark]
        if waiting:
            self.pending[key] = waiting
            self.fresh[key] = None
            facts = [fact for fact in facts if fact.arrival_at <= watermark]
        return facts

    def judge(self, key: str, facts: list[Fact], watermark: int, out: Output) -> None:
        """Bring an order up to the clock: its facts in the order of arrival, deadlines between."""
        preview = self.previews.pop(key, None)
        if preview and facts and not self.has_come_before(preview.order, facts[0].arrival_at):
            self.arrive(preview, facts[0].arrival_at, watermark, out)
            return
        order = self.open(key)
        version = order.version
        next_at = order.armed_at or NEVER
        retired = key not in self.held.orders
        for arrival_at, group in by_arrival(facts):
            if next_at < arrival_at and not retired:
                next_at, retired = self.settle(order, arrival_at - 1, order.latest_arrival_at, out)
            if self.take(order, group, out):
                next_at, retired = self.settle(order, arrival_at, arrival_at, out)
        if not retired and next_at <= watermark:
            next_at, retired = self.settle(order, watermark, order.latest_arrival_at, out)
        self.close(order, version, next_at, retired=retired, out=out)

    def open(self, key: str) -> Order:
        """The order for work; a new one if nobody has heard of it."""
        data = self.held.find(key)
        return Order(key) if data is None else unpack(key, data)

    def has_come_before(self, order: Order, arrival_at: int) -> bool:
        """Whether a deadline of the order comes before the arrival of its facts."""
        return 0 < order.armed_at < arrival_at and order.key in self.held.orders

    def arrive(self, preview: Preview, arrival_at: int, watermark: int, out: Output) -> None:
        """Judge an order with the facts of one arrival that it was shown with."""
        order = preview.order
        next_at = order.armed_at or NEVER
        retired = order.key not in self.held.orders
        if preview.emit(out):
            next_at, retired = self.settle(order, arrival_at, arrival_at, out)
        if not retired and next_at <= watermark:
            next_at, retired = self.settle(order, watermark, order.latest_arrival_at, out)
        self.close(order, preview.version, next_at, retired=retired, out=out)

    def close(
        self, order: Order, version: int, next_at: int, *, retired: bool, out: Output
    ) -> None:
        """Store and publish an order that has been judged; `version` is what it had before."""
        if order.history:
            self.held.put(order, next_at, self.watermark, retired=retired)
            self.publish(order, version, retired=retired, out=out)

    def settle(self, order: Order, limit: int, floor: int, out: Output) -> tuple[int, bool]:
        """(when to look again, whether the order has retired) after saying what is due."""
        said, next_at = self.desk.settle(order, limit, floor)
        for transition in said:
            out.say(order, transition)
        return (next_at, False) if next_at else (NEVER, True)

    def take(self, order: Order, group: list[Fact], out: Output | Preview) -> bool:
        """Apply the facts of one arrival; whether anything was new."""
        took = False
        for fact in winners(group, out):
            if order.find(fact.hash) != NO_ENTRY or order.was_thinned(fact.hash):
                if not order.flags & CONFLICTING and conflicts(order, fact):
                    order.flags |= CONFLICTING
                    order.version += 1  # what is published changes, so its version has to
                out.duplicate(fact)
                continue
            try:
                if order.history and order.key not in self.held.orders:
                    check_open(fact, self.desk.retires_at(order), self.table)
                accepted = not fact.command or permitted(order, fact, self.table)
                add(order, fact, self.table, self.sources, refused=not accepted)
            except Rejected as reason:
                out.reject(fact, reason)
                continue
            took = True
            out.took(order, fact, refused=not accepted)
        return took

    def publish(self, order: Order, version: int, *, retired: bool, out: Output) -> None:
        """Publish the order if it changed, and a tombstone after that when it retires."""
        if not self.publishing or not self.is_there(order):
            return
        shown = self.published.get(order.key, version)
        is_news = order.version > shown
        if is_news:
            out.change(order.key, order.version, document(order, self.desk))
        if order.key not in self.pending:
            self.published.pop(order.key, None)
        elif is_news:
            self.published[order.key] = order.version
        if retired and (is_news or order.key in self.held.changed):
            out.change(order.key, order.version, None)

    def is_there(self, order: Order) -> bool:
        """Whether anything but notes is known of an order."""
        if order.latest_entry != NO_ENTRY:
            return True
        words = order.words()[::3]
        return any(not (word & REFUSED or self.table.is_note[word >> 14 & 0xFF]) for word in words)

    def show(self, key: str, out: Output) -> None:
        """Publish an order with the facts that the clock has not reached yet."""
        facts = self.pending[key]
        order = self.open(key)
        before = order.version
        preview = Preview(order, before)
        for _, group in by_arrival([fact for fact in facts if not fact.command]):
            self.take(order, group, preview)
        if all(f.arrival_at == facts[0].arrival_at and not f.command for f in facts):
            self.previews[key] = preview
        if self.is_there(order) and order.version > self.published.get(key, before):
            self.published[key] = order.version
            out.change(key, order.version, document(order, self.desk))

    @property
    def waiting_count(self) -> int:
        """How many messages wait for the clock; one that several orders share counts once."""
        pending = sum(fact.counted for facts in self.pending.values() for fact in facts)
        return pending + self.set_aside.waiting_count

    @property
    def digest(self) -> str:
        """What rules and lifecycle are in force."""
        return f"{self.rules.digest}-{self.table.digest}"

    def snapshot(self, *, base: bool) -> Snapshot:
        """What changed since the last snapshot; everything for a base."""
        keys = self.held.orders if base else self.held.changed
        found = Snapshot(
            watermark=self.watermark,
            sources=self.sources.names,
            rule_ids=self.desk.symbols.names,
            statuses=self.table.codes,
            digest=self.digest,
            orders=[(key, self.held.orders.get(key)) for key in keys],
            pending=[fact for facts in self.pending.values() for fact in facts],
            set_aside=self.set_aside.snapshot(base=base),
        )
        self.held.changed = set()
        return found

    def restore(self, snapshots: list[Snapshot]) -> None:
        """Take the state of a base and the deltas after it."""
        self.held.restore([part.orders for part in snapshots])
        for part in snapshots:
            self.set_aside.restore(part.set_aside)
        for key in self.set_aside.orders:
            self.held.unreadable.pop(key, None)  # that is why it is set aside
        last = snapshots[-1]
        check_statuses(last.statuses, self.table)
        self.watermark = last.watermark
        self.sources = Symbols(last.sources, of="source")
        symbols = Symbols(last.rule_ids, of="rule", limit=16_000)
        self.desk = Desk(self.rules, self.table, symbols, self.desk.generation)
        self.pending = {}
        self.offer(last.pending)

"""From what the rules want to what is said: alerts opened, escalated, resolved, and actions.

An alert is in the order from its opening to its resolution; what was acted on, or missed, stays in
the order's `done`, so that it happens once.
"""

from typing import NamedTuple

from dataflows.core.anchors import ANY_SHIPMENT
from dataflows.core.deadlines import NEVER, Want, wanted
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.packing import EMBRYO, MISSED, NO_ENTRY, OpenEntry, Order
from dataflows.core.rules import Act, Rule, Rules
from dataflows.core.symbols import Symbols
from schemas.instants import DAY_MS

FAULT_BITS = 0xC000  # in `done`: the rule's condition could not be evaluated, which was audited
MISSED_BIT = 0x8000  # in `done`: this deadline was long past when its anchor arrived
ESCALATED_BIT = 0x4000  # in `done`: the action of the escalation was requested
RULE_BITS = 0x3FFF
UNVERSIONED = frozenset({"action", "fault"})  # what leaves the order's document as it was
EMBRYO_RETIRES_AFTER_MS = 30 * DAY_MS  # what never became an order doesn't stay in memory
NO_SHIPMENT = 255  # ANY_SHIPMENT as a byte


class Transition(NamedTuple):
    """Something that was said: `what` is opened, escalated, resolved, action, missed or fault.

    `level` is 0 to 2; `anchor` the entry that set the rule's anchor, `deadline` the index of that;
    instants in ms. A fault is of the rule's condition: `reason` says why it could not be evaluated,
    empty where the audit log of the order has one of this rule already.
    """

    what: str
    rule: Rule
    level: int
    shipment: int
    anchor: int
    deadline: int
    at: int
    due_at: int
    act: Act | None = None
    reason: str = ""


class Desk:
    """Settles orders: holds the rules in force and the numbers under which they are stored."""

    def __init__(
        self, rules: Rules, table: Lifecycle, symbols: Symbols, generation: int = 0
    ) -> None:
        """`symbols` are the rule ids of stored alerts; new rules are added to them."""
        self.rules = rules
        self.table = table
        self.symbols = symbols
        self.generation = generation  # of the state, for published versions
        self.numbers = {rule.id: symbols.number(rule.id) for rule in rules.rules}

    def settle(self, order: Order, limit: int, floor: int) -> tuple[list[Transition], int]:
        """Say everything that is due by `limit`; (what was said, when to look again).

        `floor` is the arrival since which the order has been as it is. 0 as the second value says
        that the order has retired.
        """
        retires_at = self.retires_at(order)
        said, next_at = self.decide(order, min(limit, retires_at), floor)
        if retires_at > limit:
            return said, min(next_at, retires_at)
        if not order.alerts:
            return said, 0
        more, next_at = self.decide(order, limit, floor)
        return said + more, next_at

    def retires_at(self, order: Order) -> int:
        """When the order leaves memory if nothing more is heard of it."""
        if order.flags & EMBRYO:
            return order.latest_arrival_at + EMBRYO_RETIRES_AFTER_MS
        after_ms = self.table.retire_after_ms[order.status]
        return order.latest_arrival_at + after_ms if after_ms else NEVER

    def decide(self, order: Order, limit: int, floor: int) -> tuple[list[Transition], int]:
        """Open, escalate and resolve by what is due at `limit`."""
        wants, next_at = wanted(order, self.rules, self.table, limit, floor)
        said = self.faults(order, floor) if order.faults else []
        if not wants and not order.alerts:
            return said, next_at
        open_before = {(alert[0], alert[2], alert[3]): alert for alert in order.alerts}
        still: list[OpenEntry] = []
        for want in wants:
            anchor = want.rule.deadlines[want.deadline].anchor.entry(order, want.shipment)
            name = (self.numbers[want.rule.id], want.shipment & 0xFF, anchor)
            alert = self.keep(order, want, name, open_before.pop(name, None), limit, floor, said)
            if alert:
                still.append(alert)
        said += [self.resolved(order, alert, floor) for alert in open_before.values()]
        order.alerts = still
        said.sort(key=lambda transition: transition.at)
        order.version += sum(transition.what not in UNVERSIONED for transition in said)
        return said, next_at

    def faults(self, order: Order, at: int) -> list[Transition]:
        """The conditions that could not be evaluated of the order as it is since `at`.

        A rule's first goes to the audit log. Which that is depends on the events alone: conditions
        are evaluated after each arrival, and `done` is part of the order.
        """
        said = []
        for rule_id, reason in sorted(order.faults):
            name = (self.numbers[rule_id] | FAULT_BITS, 0, 0)
            is_first = name not in order.done
            if is_first:
                order.done.append(name)
            said.append(
                Transition(
                    "fault",
                    self.rules.by_id[rule_id],
                    level=0,
                    shipment=ANY_SHIPMENT,
                    anchor=NO_ENTRY,
                    deadline=0,
                    at=at,
                    due_at=at,
                    reason=reason if is_first else "",
                )
            )
        order.faults = []
        return said

    def keep(
        self,
        order: Order,
        want: Want,
        name: tuple[int, int, int],
        alert: OpenEntry | None,
        limit: int,
        floor: int,
        said: list[Transition],
    ) -> OpenEntry | None:
        """Open the alert if it isn't, escalate it if that is due; the entry to store."""
        number, shipment, anchor = name
        rule = want.rule
        if alert is None:
            if self.is_stale(order, want, anchor):
                self.miss(order, want, (number | MISSED_BIT, shipment, anchor), floor, said)
                return None
            at = max(want.due_at, floor)
            if rule.level:
                said.append(said_of("opened", want, anchor, rule.level, at))
            self.act(order, want, (number, shipment, anchor), rule.action, at, said)
            alert = (number, rule.level | want.deadline << 4, shipment, anchor, at)
        level = alert[1] & 0xF
        if level == 1 and want.escalated_at <= limit:
            level = 2
            at = max(want.escalated_at, floor)
            said.append(said_of("escalated", want, anchor, level, at))
            escalated = (number | ESCALATED_BIT, shipment, anchor)
            self.act(order, want, escalated, rule.escalated_action, at, said)
        return (
            (number, level | want.deadline << 4, shipment, anchor, alert[4]) if rule.level else None
        )

    def is_stale(self, order: Order, want: Want, anchor: int) -> bool:
        """Whether the deadline was long past already when its anchor arrived."""
        stale_after_ms = want.rule.stale_after_ms
        if stale_after_ms is None:
            return False
        return want.due_at < order.arrival_at(anchor) - stale_after_ms

    @staticmethod
    def miss(
        order: Order, want: Want, name: tuple[int, int, int], at: int, said: list[Transition]
    ) -> None:
        """Record a deadline as missed, once for an anchor."""
        if name not in order.done:
            order.done.append(name)
            order.flags |= MISSED
            said.append(said_of("missed", want, name[2], 0, at))

    def is_missed(self, order: Order, rule: Rule, shipment: int, deadline: int) -> bool:
        """Whether the deadline of the rule's present anchor was missed."""
        missed = self.numbers[rule.id] | MISSED_BIT
        if not any(done[0] == missed and done[1] == shipment & 0xFF for done in order.done):
            return False
        anchor = rule.deadlines[deadline].anchor.entry(order, shipment)
        return (missed, shipment & 0xFF, anchor) in order.done

    def act(
        self,
        order: Order,
        want: Want,
        name: tuple[int, int, int],
        act: Act | None,
        at: int,
        said: list[Transition],
    ) -> None:
        """Request the action, once for an anchor."""
        if act and name not in order.done:
            order.done.append(name)
            said.append(said_of("action", want, name[2], want.rule.level, at, act))

    def resolved(self, order: Order, alert: OpenEntry, at: int) -> Transition:
        """The resolution of an alert; its rule may have gone from the rules meanwhile."""
        number, packed, shipment, anchor, opened_at = alert
        rule = self.rules.by_id.get(self.symbols.names[number]) or gone(self.symbols.names[number])
        subject = ANY_SHIPMENT if shipment == NO_SHIPMENT else shipment
        due_at = self.due_of(order, rule, packed >> 4, anchor, opened_at)
        return Transition("resolved", rule, packed & 0xF, subject, anchor, packed >> 4, at, due_at)

    @staticmethod
    def due_of(order: Order, rule: Rule, deadline: int, anchor: int, opened_at: int) -> int:
        """The due time of an open alert, pauses left out; its opening where the rule can't say."""
        if rule.on_condition or deadline >= len(rule.deadlines):
            return opened_at
        taken = rule.deadlines[deadline]
        return taken.anchor.at_entry(order, anchor) + taken.offset_ms


def said_of(
    what: str, want: Want, anchor: int, level: int, at: int, act: Act | None = None
) -> Transition:
    """A transition of what a rule wants."""
    due_at = want.escalated_at if what == "escalated" else want.due_at
    return Transition(what, want.rule, level, want.shipment, anchor, want.deadline, at, due_at, act)


def gone(rule_id: str) -> Rule:
    """A rule that has left the rules file while an alert of it was open; it wants nothing."""
    rule = Rule.__new__(Rule)
    rule.id = rule_id
    rule.deadlines = []
    rule.on_condition = False
    rule.level = 0
    return rule

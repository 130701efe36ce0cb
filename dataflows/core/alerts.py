"""From what the rules want to what is said: alerts opened, escalated, resolved, and actions.

An alert is in the order from its opening to its resolution; what was acted on, or missed, stays in
the order's `done`, so that it happens once.
"""

from typing import NamedTuple

from msgspec.structs import replace

from dataflows.core.anchors import ANY_SHIPMENT
from dataflows.core.deadlines import (
    CONDITION,
    NEVER,
    OUTSIDE_YEARS,
    Want,
    still_applies,
    wanted,
)
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.packing import (
    EMBRYO,
    FAULT_BITS,
    HISTORY_FULL,
    MISSED,
    NO_ENTRY,
    ORDER_FULL,
    OpenEntry,
    Order,
)
from dataflows.core.rules import Act, Rule, Rules
from dataflows.core.symbols import Symbols
from schemas.instants import DAY_MS

FAULTS = {CONDITION: "fault", OUTSIDE_YEARS: "outside"}  # how a transition calls it
MISSED_BIT = 0x8000  # in `done`: this deadline was long past when its anchor arrived
ESCALATED_BIT = 0x4000  # in `done`: the action of the escalation was requested
RULE_BITS = 0x3FFF
UNVERSIONED = frozenset({"action", *FAULTS.values()})  # what leaves the order's document as it was
EMBRYO_RETIRES_AFTER_MS = 30 * DAY_MS  # what never became an order doesn't stay in memory
NO_SHIPMENT = 255  # ANY_SHIPMENT as a byte
FLAPPING_MS = 14 * DAY_MS
FLAPPING_OPENINGS = 3  # the third opening within that time flaps


class Transition(NamedTuple):
    """Something that was said: `what` is opened, escalated, resolved, action, missed or a fault.

    `level` is 0 to 2; `anchor` the entry that set the rule's anchor, `deadline` the index of that;
    instants in ms, of the alert `opened_at` and `escalated_at`, 0 for none. `fault` is of the
    rule's condition, `outside` of its calendar, whose years don't reach the deadline: `reason` says
    why, empty where the audit log of the order has such a fault of this rule already.
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
    is_flapping: bool = False
    opened_at: int = 0
    escalated_at: int = 0


class Held:
    """Open alerts: those that flap by rule and parcel, the others with their anchor, too."""

    def __init__(self, alerts: list[OpenEntry]) -> None:
        """Sort `alerts` by what finds them again."""
        self.flapping = {(a.rule, a.parcel): a for a in alerts if a.is_flapping}
        self.others = {(a.rule, a.parcel, a.anchor): a for a in alerts if not a.is_flapping}


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
        retires_at = max(self.retires_at(order), floor)
        said, next_at = self.decide(order, min(limit, retires_at), floor)
        if retires_at > limit:
            return said, min(next_at, retires_at)
        if not order.alerts:
            return said, 0
        more, next_at = self.decide(order, limit, floor)
        return said + more, next_at

    def retires_at(self, order: Order) -> int:
        """When the order leaves memory if nothing more is heard of it."""
        if order.flags & (HISTORY_FULL | ORDER_FULL):  # it may lack what would keep it open
            return NEVER
        latest_at = order.latest_arrival_of(self.table.is_note)
        if order.flags & EMBRYO:
            return latest_at + EMBRYO_RETIRES_AFTER_MS
        after_ms = self.table.retire_after_ms[order.status]
        return latest_at + after_ms if after_ms else NEVER

    def decide(self, order: Order, limit: int, floor: int) -> tuple[list[Transition], int]:
        """Open, escalate and resolve by what is due at `limit`."""
        wants, next_at = wanted(order, self.rules, self.table, limit, floor, self.opened_at)
        said = self.faults(order, floor) if order.faults else []
        if not wants and not order.alerts:
            return said, next_at
        held = Held(order.alerts)
        still: list[OpenEntry] = []
        # Of several parcels with one anchor the first that is due asks for the action.
        for want in sorted(wants, key=lambda want: want.due_at):
            alert = self.wanted(order, want, held, limit, floor, said)
            if alert:
                still.append(alert)
        for alert in held.flapping.values():
            next_at = min(next_at, self.calm(order, alert, limit, floor, said, still))
        said += [self.resolved(order, alert, floor) for alert in held.others.values()]
        order.alerts = still
        said.sort(key=lambda transition: transition.at)
        order.version += sum(transition.what not in UNVERSIONED for transition in said)
        return said, next_at

    def wanted(
        self,
        order: Order,
        want: Want,
        held: Held,
        limit: int,
        floor: int,
        said: list[Transition],
    ) -> OpenEntry | None:
        """Keep or open the alert that a rule wants; the entry to store."""
        number, shipment = self.numbers[want.rule.id], want.shipment & 0xFF
        flapping = held.flapping.pop((number, shipment), None)
        if flapping is not None:
            ended_at = flapping.last_wanted_at + FLAPPING_MS
            if not flapping.last_wanted_at or max(want.due_at, floor) <= ended_at:
                return self.keep(order, want, flapping.anchor, flapping, limit, floor, said)
            said.append(self.resolved(order, flapping, ended_at))
        anchor = want.rule.deadlines[want.deadline].anchor.entry(order, want.shipment)
        alert = held.others.pop((number, shipment, anchor), None)
        return self.keep(order, want, anchor, alert, limit, floor, said)

    def opened_at(self, order: Order, rule: Rule, shipment: int) -> int | None:
        """Opening (ms) of the open alert of a rule and a parcel, or the order; None without."""
        name = self.numbers[rule.id], shipment & 0xFF
        return next((a.opened_at for a in order.alerts if (a.rule, a.parcel) == name), None)

    def calm(
        self,
        order: Order,
        alert: OpenEntry,
        limit: int,
        floor: int,
        said: list[Transition],
        still: list[OpenEntry],
    ) -> int:
        """Keep a flapping alert that is not wanted now, or end it; when to look at it again."""
        rule = self.rules.by_id.get(self.symbols.names[alert.rule])
        if rule is None or not still_applies(order, rule, self.table, alert.parcel):
            said.append(self.resolved(order, alert, floor))
            return NEVER
        last_wanted_at = alert.last_wanted_at or floor
        ends_at = last_wanted_at + FLAPPING_MS
        if ends_at <= limit:
            said.append(self.resolved(order, alert, ends_at))
            return NEVER
        still.append(replace(alert, last_wanted_at=last_wanted_at))
        return ends_at

    def faults(self, order: Order, at: int) -> list[Transition]:
        """What could not be evaluated of the order as it is since `at`.

        A rule's first of a kind goes to the audit log. Which that is depends on the events alone:
        rules are evaluated after each arrival, and `done` is part of the order.
        """
        said = []
        for rule_id, kind, reason in sorted(order.faults):
            name = (self.numbers[rule_id] | FAULT_BITS, list(FAULTS).index(kind), 0)
            is_first = name not in order.done
            if is_first:
                order.done.append(name)
            said.append(
                Transition(
                    FAULTS[kind],
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
        anchor: int,
        alert: OpenEntry | None,
        limit: int,
        floor: int,
        said: list[Transition],
    ) -> OpenEntry | None:
        """Open the alert if it isn't, escalate it if that is due; the entry to store."""
        rule = want.rule
        number, shipment = self.numbers[rule.id], want.shipment & 0xFF
        if alert is None:
            if self.is_stale(order, want, anchor):
                self.miss(order, want, (number | MISSED_BIT, shipment, anchor), floor, said)
                return None
            alert = self.opened(order, want, anchor, floor, said)
        alert = replace(alert, deadline=want.deadline, last_wanted_at=0)
        if alert.level == 1 and want.escalated_at <= limit:
            at = max(want.escalated_at, floor)
            alert = replace(alert, level=2, due_at=want.escalated_at, escalated_at=at)
            said.append(said_of("escalated", want, anchor, at, alert))
            if not alert.is_flapping:
                escalated = (number | ESCALATED_BIT, NO_SHIPMENT, anchor)
                self.act(order, want, escalated, rule.escalated_action, at, alert, said)
        return alert if rule.level else None

    def opened(
        self, order: Order, want: Want, anchor: int, floor: int, said: list[Transition]
    ) -> OpenEntry:
        """Open an alert, or only act where the rule has no severity."""
        rule = want.rule
        number, shipment = self.numbers[rule.id], want.shipment & 0xFF
        at = max(want.due_at, floor)
        is_flapping = bool(rule.level) and self.is_third(order, number, shipment, at)
        alert = OpenEntry(
            rule=number,
            level=rule.level,
            deadline=want.deadline,
            is_flapping=is_flapping,
            parcel=shipment,
            anchor=anchor,
            opened_at=at,
            due_at=want.due_at,
        )
        if rule.level:
            said.append(said_of("opened", want, anchor, at, alert))
        if not is_flapping:
            self.act(order, want, (number, NO_SHIPMENT, anchor), rule.action, at, alert, said)
        return alert

    @staticmethod
    def is_third(order: Order, number: int, shipment: int, at: int) -> bool:
        """Whether two others of a rule and parcel opened less than 14 days before; notes this."""
        others = [opening for opening in order.openings if opening[:2] != (number, shipment)]
        recent = [
            opening
            for opening in order.openings
            if opening[:2] == (number, shipment) and at - opening[2] < FLAPPING_MS
        ]
        order.openings = [*others, *recent[1 - FLAPPING_OPENINGS :], (number, shipment, at)]
        return len(recent) >= FLAPPING_OPENINGS - 1

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
            said.append(
                Transition(
                    "missed",
                    want.rule,
                    level=0,
                    shipment=want.shipment,
                    anchor=name[2],
                    deadline=want.deadline,
                    at=at,
                    due_at=want.due_at,
                )
            )

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
        alert: OpenEntry,
        said: list[Transition],
    ) -> None:
        """Request the action, once for an anchor, with the evidence of `alert`."""
        if act and name not in order.done:
            order.done.append(name)
            said.append(said_of("action", want, name[2], at, alert, act))

    def resolved(self, order: Order, alert: OpenEntry, at: int) -> Transition:
        """The resolution of an alert; its rule may have gone from the rules meanwhile."""
        name = self.symbols.names[alert.rule]
        return Transition(
            "resolved",
            self.rules.by_id.get(name) or gone(name),
            alert.level,
            ANY_SHIPMENT if alert.parcel == NO_SHIPMENT else alert.parcel,
            alert.anchor,
            alert.deadline,
            at,
            alert.due_at,
            is_flapping=alert.is_flapping,
            opened_at=alert.opened_at,
            escalated_at=alert.escalated_at,
        )


def said_of(
    what: str, want: Want, anchor: int, at: int, alert: OpenEntry, act: Act | None = None
) -> Transition:
    """A transition, or an action, of an alert that a rule wants."""
    return Transition(
        what,
        want.rule,
        alert.level,
        want.shipment,
        anchor,
        want.deadline,
        at,
        alert.due_at,
        act,
        is_flapping=alert.is_flapping,
        opened_at=alert.opened_at,
        escalated_at=alert.escalated_at,
    )


def gone(rule_id: str) -> Rule:
    """A rule that has left the rules file while an alert of it was open; it wants nothing."""
    rule = Rule.__new__(Rule)
    rule.id = rule_id
    rule.deadlines = []
    rule.on_condition = False
    rule.level = 0
    return rule

"""The usual step of an order in native code, where the package `ordertide-native` is installed.

A fact that comes in sequence, to an order that nothing unusual has happened to, and that opens no
alert: most are like this. So is a look at an order whose next deadline has moved since it was
armed: there is one for every three or four events. What the native step doesn't know it leaves to
this package, which can do all of it and is the reference; tests hold both to the same outcome.
Written in Rust, with PyO3 (dataflows/native): mypyc, tried first, saved a quarter of the core's
time, this saves most of it.
"""

from typing import Any, NamedTuple, Protocol

import msgspec

from dataflows.core.alerts import Desk, Transition
from dataflows.core.anchors import (
    ANY_SHIPMENT,
    Anchor,
    Created,
    Field,
    LastUpdate,
    Milestone,
    Planned,
)
from dataflows.core.documents import document, open_alert
from dataflows.core.fact import Fact
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.packing import Order, armed_at_of, pack
from dataflows.core.rules import SEVERITIES, Deadline, Rule
from dataflows.core.symbols import Symbols
from schemas.order import OrderDocument

# An action that is due: the rule's number, the entry that it counts from, the due time.
Due = tuple[int, int, int]
# (packed order, its document, the accepted event, version, when to look at it again, what is due)
Stepped = tuple[bytes, bytes, bytes, int, int, list[Due]]
encode = msgspec.msgpack.Encoder().encode
encode_json = msgspec.json.Encoder(order="deterministic").encode


class Steps(Protocol):
    """The native class."""

    def step(
        self, packed: bytes | None, fact: Fact, sources: dict[str, int], fields: bytes | None
    ) -> Stepped | None:
        """The order after a fact; None for what is left to the Python core."""

    def look(self, packed: bytes, through: int) -> tuple[int, int] | None:
        """(when to look at a stored order again, its version) if nothing is to be said of it.

        By `through`; 0 as the first if it has retired then. None if the Python core has to look.
        """

    def document(self, key: str, packed: bytes, open_alerts: bytes) -> bytes | None:
        """The document of a stored order, its open alerts given as JSON.

        None if the Python core has to write it.
        """


class StatusRow(NamedTuple):
    """A status as the native step reads it; sets of statuses are bytes."""

    code: str
    creates: bool
    logistics: bool
    moves_nothing: bool
    of_order: bool
    of_shipment: bool
    of_both: bool
    retire_after_ms: int
    moves_order: tuple[int, bool, int] | None
    order_regular: bytes
    order_every: bytes
    shipment_regular: bytes
    shipment_every: bytes


class AnchorRow(NamedTuple):
    """An anchor: its kind, `other` where the native step doesn't know it, and the offset."""

    kind: str
    statuses: bytes
    offset_ms: int


class RuleRow(NamedTuple):
    """A rule; `number` is what stored orders call it."""

    id: str
    number: int
    per_shipment: bool
    statuses: bytes
    shipment_statuses: bytes
    level: int
    severity: str
    warns_by_time: bool
    on_condition: bool
    has_condition: bool
    reads_fields: bool
    holds_of_nothing: bool
    unless: bytes | None
    pausing: bytes
    pauses_in_both: bool
    escalate_after_ms: int | None
    stale_after_ms: int | None
    anchors: list[AnchorRow]


class Usual(NamedTuple):
    """A fact with the step that it is."""

    fact: Fact
    packed: bytes
    document: bytes
    accepted: bytes
    version: int
    next_at: int
    due: list[Due]


class UsualSteps:
    """The native step for the rules of a desk, and what became of facts that wait for the clock.

    A chain has the first facts of an order that wait, each a step from the one before.
    """

    def __init__(self, native: Any, desk: Desk, sources: Symbols) -> None:  # noqa: ANN401 - a module without types
        """`native` is the module."""
        rules = [rule_row(rule, desk.numbers[rule.id]) for rule in desk.rules.rules]
        self.steps: Steps = native.Steps(status_rows(desk.table), rules)
        self.rules = {desk.numbers[rule.id]: rule for rule in desk.rules.rules}
        self.sources = sources.numbers
        self.chains: dict[str, list[Usual]] = {}

    def follow(self, key: str, facts: list[Fact], held: bytes | None) -> list[Usual] | None:
        """The chain of an order that waits with these facts, `held` before them.

        None if not all of them are usual, each arriving after the one before with no deadline
        between.
        """
        chain = self.chains.get(key)
        if chain is None:
            chain = self.chains[key] = []
        elif any(usual.fact is not fact for usual, fact in zip(chain, facts, strict=False)):
            chain.clear()  # one that arrived before these was read after them
        for fact in facts[len(chain) :]:
            last = chain[-1] if chain else None
            if last and not last.fact.arrival_at < fact.arrival_at <= last.next_at:
                break
            fields = encode(fact.fields) if fact.fields else None
            stepped = self.steps.step(last.packed if last else held, fact, self.sources, fields)
            if stepped is None:
                break
            chain.append(Usual(fact, *stepped))
        else:
            return chain
        del self.chains[key]
        return None

    def look(self, key: str, packed: bytes, through: int) -> tuple[int, int] | None:
        """Look at an order that no fact has come to; its waiting steps don't follow from it now."""
        self.chains.pop(key, None)
        return self.steps.look(packed, through)

    def next_at(self, packed: bytes, armed_at: int, through: int) -> int:
        """When to look at an armed order again; 0 if it says something by `through`, or retires."""
        if armed_at > through:
            return armed_at
        found = self.steps.look(packed, through)
        return found[0] if found else 0

    def is_quiet_until(self, packed: bytes | None, at: int) -> bool:
        """Whether nothing is to be said before `at` of a live order; of a new one nothing is."""
        armed_at = armed_at_of(packed) if packed else 0
        return not (packed and 0 < armed_at < at) or self.next_at(packed, armed_at, at - 1) > 0

    def requests(self, due: list[Due], arrival_at: int) -> list[Transition]:
        """The actions that are due with a fact of this arrival, by time."""
        said = []
        for number, entry, due_at in due:
            rule, at = self.rules[number], max(due_at, arrival_at)
            said.append(
                Transition("action", rule, 0, ANY_SHIPMENT, entry, 0, at, due_at, rule.action)
            )
        return sorted(said, key=lambda transition: transition.at)


def document_of(order: Order, desk: Desk, usual: UsualSteps | None) -> OrderDocument | bytes:
    """The document of an order that Python judged, as JSON where the native module writes it."""
    if usual is None:
        return document(order, desk)
    alerts = encode_json([open_alert(order, desk, alert) for alert in order.alerts])
    return usual.steps.document(order.key, pack(order), alerts) or document(order, desk)


def status_rows(table: Lifecycle) -> list[StatusRow]:
    """The lifecycle, a row a status."""
    return [
        StatusRow(
            table.codes[n],
            table.creates[n],
            table.logistics[n],
            table.moves_nothing[n],
            table.of_order[n],
            table.of_shipment[n],
            table.of_both[n],
            table.retire_after_ms[n],
            table.moves_order[n],
            bytes(table.order_ways.regular[n]),
            bytes(table.order_ways.every[n]),
            bytes(table.shipment_ways.regular[n]),
            bytes(table.shipment_ways.every[n]),
        )
        for n in range(len(table.rows))
    ]


def rule_row(rule: Rule, number: int) -> RuleRow:
    """A rule as the native step reads it."""
    when = rule.when
    return RuleRow(
        id=rule.id,
        number=number,
        per_shipment=rule.per_shipment,
        statuses=bytes(rule.statuses),
        shipment_statuses=bytes(rule.shipment_statuses),
        level=rule.level,
        severity=SEVERITIES[rule.level],
        warns_by_time=rule.warns_by_time,
        on_condition=rule.on_condition,
        has_condition=when is not None,
        reads_fields=when is not None and when.reads_fields,
        holds_of_nothing=when is not None and when.of_nothing,
        unless=bytes(rule.unless.statuses) if isinstance(rule.unless, Milestone) else None,
        pausing=bytes(rule.pausing),
        pauses_in_both=rule.pauses_in_both,
        escalate_after_ms=rule.escalate_after_ms if rule.escalation_ms is not None else None,
        stale_after_ms=rule.stale_after_ms,
        anchors=[anchor_row(deadline) for deadline in rule.deadlines],
    )


def anchor_row(deadline: Deadline) -> AnchorRow:
    """An anchor as the native step reads it."""
    anchor = deadline.anchor
    statuses = bytes(anchor.statuses) if isinstance(anchor, Milestone) else b""
    return AnchorRow(kind_of(anchor), statuses, deadline.offset_ms)


def kind_of(anchor: Anchor) -> str:
    """What the native step calls an anchor."""
    if isinstance(anchor, Field):
        return anchor.name
    kinds: dict[type, str] = {
        Created: "created",
        LastUpdate: "last_update",
        Milestone: "milestone",
        Planned: "planned",
    }
    return kinds.get(type(anchor), "other")

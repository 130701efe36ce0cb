"""What a shard has to say after its clock moved."""

from typing import NamedTuple

import msgspec

from dataflows.core.alerts import FAULTS, Desk, Transition
from dataflows.core.deadlines import CONDITION
from dataflows.core.documents import action_of, alert_of, audit, fault_entry, missed_of
from dataflows.core.fact import Fact
from dataflows.core.packing import LOST, ORDER_FULL, Order
from dataflows.core.set_aside import INTERNAL_FAULT, Fault
from schemas.alert import Action, AlertTransition, AuditEntry
from schemas.errors import Rejected
from schemas.instants import format_instant
from schemas.keys import split_order_key
from schemas.order import AcceptedEvent, OrderDocument
from schemas.versions import published_version


class Change(NamedTuple):
    """An order to publish; no document: a tombstone."""

    key: str
    version: int
    document: OrderDocument | None


class Refusal(NamedTuple):
    """A fact that can't be taken, and why."""

    fact: Fact
    reason: Rejected


class Output:
    """The lists of one advance, in the order in which things were emitted.

    `faults` are of orders that could not be evaluated: see `dataflows.core.set_aside`.
    """

    def __init__(self, desk: Desk) -> None:
        """Nothing yet."""
        self.desk = desk
        self.changes: list[Change] = []
        self.accepted: list[tuple[str, AcceptedEvent]] = []
        self.alerts: list[tuple[str, AlertTransition]] = []
        self.actions: list[tuple[str, Action]] = []
        self.audit: list[tuple[str, AuditEntry]] = []
        self.rejected: list[Refusal] = []
        self.faults: list[Fault] = []
        self.condition_faults: list[str] = []  # the rules whose conditions could not be evaluated
        self.outside_calendar: list[tuple[str, str]] = []  # (rule, reason) of such deadlines
        self.applied = 0
        self.duplicates = 0
        self.refused = 0
        self.fields_lost = 0  # events of which some fields didn't fit

    def add(self, other: "Output") -> None:
        """Append what another one has."""
        self.changes += other.changes
        self.accepted += other.accepted
        self.alerts += other.alerts
        self.actions += other.actions
        self.audit += other.audit
        self.rejected += other.rejected
        self.condition_faults += other.condition_faults
        self.outside_calendar += other.outside_calendar
        self.applied += other.applied
        self.duplicates += other.duplicates
        self.refused += other.refused
        self.fields_lost += other.fields_lost

    def change(self, key: str, version: int, document: OrderDocument | None) -> None:
        """Publish an order; `version` is its count of changes."""
        published = published_version(self.desk.generation, version)
        self.changes.append(Change(key, published, document))

    def duplicate(self, fact: Fact) -> None:
        """Count a fact that the order has already."""
        self.duplicates += fact.counted

    def reject(self, fact: Fact, reason: Rejected) -> None:
        """Hand a fact on to the dead letters."""
        self.rejected.append(Refusal(fact, reason))

    def set_aside(self, key: str, at: int, reason: str) -> None:
        """Write to the audit log that an order was set aside."""
        detail = {"code": INTERNAL_FAULT, "reason": reason}
        self.audit.append((key, audit(key, "order.set_aside", at, detail)))

    def released(self, key: str, at: int) -> None:
        """Write to the audit log that an order set aside is evaluated again."""
        self.audit.append((key, audit(key, "order.released", at, {})))

    def took(self, order: Order, fact: Fact, *, refused: bool) -> None:
        """Note a fact that was applied, or a command that was refused."""
        if fact.command:
            self.verdict(order, fact, refused=refused)
        if refused:
            self.refused += fact.counted
            return
        self.applied += fact.counted
        if order.flags & ORDER_FULL:
            self.fields_lost += LOST in order.extras.get(order.find(fact.hash), {})
        if fact.corrects:
            detail = {"event": f"{fact.hash:016x}", "corrects": f"{fact.corrects:016x}"}
            self.tell(order.key, fact, "event.corrected", detail)
        self.accepted.append((order.key, self.accepted_event(fact)))

    def accepted_event(self, fact: Fact) -> AcceptedEvent:
        """The fact as orders.events keeps it."""
        tenant, order_id = split_order_key(fact.key)
        return AcceptedEvent(
            tenant=tenant,
            order_id=order_id,
            arrival_at=format_instant(fact.arrival_at),
            event_hash=f"{fact.hash:016x}",
            status=self.desk.table.codes[fact.status],
            at=format_instant(fact.at),
            shipment=fact.shipment,
            topic=fact.topic,
            partition=fact.partition,
            offset=fact.offset,
            event=msgspec.Raw(fact.raw),
        )

    def verdict(self, order: Order, fact: Fact, *, refused: bool) -> None:
        """Write a command and its verdict to the audit log."""
        table = self.desk.table
        detail = {
            "command": table.codes[fact.status],
            "event": f"{fact.hash:016x}",
            "status": table.code(order.status) or "none",
        }
        self.tell(order.key, fact, "command.refused" if refused else "command.accepted", detail)

    def tell(self, key: str, fact: Fact, what: str, detail: dict[str, str]) -> None:
        """Write to the audit log what a fact did, and who sent it."""
        entry = audit(
            key,
            what,
            fact.arrival_at,
            detail,
            operator=fact.operator,
            ip=fact.ip,
            source=fact.source,
        )
        self.audit.append((key, entry))

    def fault(self, key: str, said: Transition) -> None:
        """Count what could not be evaluated; a rule's first is written to the audit log."""
        if said.what == FAULTS[CONDITION]:
            self.condition_faults.append(said.rule.id)
        else:
            self.outside_calendar.append((said.rule.id, said.reason))
        if said.reason:
            self.audit.append((key, fault_entry(key, said)))

    def say(self, order: Order, said: Transition) -> None:
        """Publish a transition, and write it to the audit log."""
        key, table = order.key, self.desk.table
        if said.what in FAULTS.values():
            self.fault(key, said)
        elif said.what == "missed":
            self.audit.append((key, missed_of(order, table, said)))
        elif said.what == "action":
            action = action_of(order, table, said)
            self.actions.append((key, action))
            detail = {"action_id": action.action_id, "kind": action.kind}
            source = f"rule:{action.rule}"
            self.audit.append(
                (key, audit(key, "action.requested", said.at, detail, source=source, action=action))
            )
        else:
            alert = alert_of(order, table, said)
            self.alerts.append((key, alert))
            detail = {"alert_id": alert.alert_id}
            source = f"rule:{alert.rule}"
            what = f"alert.{alert.state}"
            self.audit.append((key, audit(key, what, said.at, detail, source=source, alert=alert)))

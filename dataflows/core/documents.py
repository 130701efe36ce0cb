"""Orders, alerts and actions as others see them: from packed numbers to the nouns of schemas/."""

from functools import lru_cache

from dataflows.core.alerts import NO_SHIPMENT, RULE_BITS, Desk, Transition
from dataflows.core.anchors import ANY_SHIPMENT
from dataflows.core.deadlines import NEVER, lacks_instant, readings_of, terms
from dataflows.core.fields import fields_of
from dataflows.core.lifecycle import NO_STATUS, Lifecycle
from dataflows.core.packing import EMBRYO, FLAG_NAMES, MISSED, OpenEntry, Order
from dataflows.core.rules import SEVERITIES, Deadline
from dataflows.core.side import side_of
from schemas.alert import Action, AlertState, AlertTransition, AuditEntry, Because
from schemas.event import Location
from schemas.instants import format_instant
from schemas.keys import action_id, alert_id, content_id, split_order_key
from schemas.numbers import as_number, as_waybill
from schemas.order import ArmedDeadline, Lane, OpenAlert, OrderDocument, ShipmentView
from schemas.versions import published_version

LANES: list[Lane] = ["normal", "warning", "overdue"]
STATES: dict[str, AlertState] = {
    "opened": "opened",
    "escalated": "escalated",
    "resolved": "resolved",
}


def document(order: Order, desk: Desk) -> OrderDocument:
    """The order as it is published."""
    table = desk.table
    tenant, order_id = split_order_key(order.key)
    fields = fields_of(order, table)
    planned, attributes = fields.get("planned", {}), fields.get("attributes", {})
    alerts = order.alerts
    return OrderDocument(
        tenant=tenant,
        order_id=order_id,
        version=published_version(desk.generation, order.version),
        status=None if order.flags & EMBRYO else table.code(order.status),
        lane=LANES[max([alert.level for alert in alerts]) if alerts else 0],
        created_at=instant(order.created_at),
        updated_at=instant(order.latest >> 8),
        promised_at=instant(order.promised_at),
        ship_by=instant(order.ship_by),
        milestones=milestones(order, table),
        planned={name: format_instant(at) for name, at in planned.items()},
        flags=flags_of(order, desk),
        shipments=shipments(order, table),
        attributes=attributes,
        references=fields.get("references", {}),
        customer_id=fields.get("customer_id"),
        supplier_id=fields.get("supplier_id"),
        carrier=fields.get("carrier"),
        parcels_expected=order.course.expected or None,
        destination=fields.get("destination"),
        open_alerts=[open_alert(order, desk, alert) for alert in alerts],
        deadlines=deadlines(order, desk),
        warm_period=f"{order.period // 12:04d}-{order.period % 12 + 1:02d}",
    )


def instant(at: int) -> str | None:
    """An instant as text; None for 0."""
    return format_instant(at) if at else None


def flags_of(order: Order, desk: Desk) -> list[str]:
    """The flags of an order, `flapping` while an alert of it flaps.

    `outside_calendar` while a deadline of it is outside the years of its rule's calendar.
    """
    flags = [name for flag, name in FLAG_NAMES.items() if order.flags & flag]
    if any(alert.is_flapping for alert in order.alerts):
        flags.append("flapping")
    rules, table = desk.rules, desk.table
    if rules.calendars and any(lacks_instant(term) for term in terms(order, rules, table)):
        flags.append("outside_calendar")
    return flags


def milestones(order: Order, table: Lifecycle) -> dict[str, str]:
    """{status: the earliest time of it}."""
    codes = table.codes
    return {codes[status]: format_instant(order.at(n)) for status, n in order.firsts.items()}


def shipments(order: Order, table: Lifecycle) -> list[ShipmentView]:
    """The parcels, sorted by name; the unnamed one only if something is known of it."""
    sensed = {
        order.parcel_of[name]
        for name, side in enumerate(order.side)
        if side and "r" in side and name < len(order.parcel_of)
    }
    seen = [
        (parcel.name, number)
        for number, parcel in enumerate(order.parcels)
        if parcel.is_known or number in sensed
    ]
    seen.sort()
    alone = not any(name for name, _ in seen)
    return [
        shipment(order, table, number)
        for name, number in seen
        if name or is_known(order, number, alone=alone)
    ]


def is_known(order: Order, number: int, *, alone: bool) -> bool:
    """Whether something is known of an unnamed parcel: more than an update, if it isn't alone."""
    parcel, side = order.parcels[number], side_of(order, number)
    return (
        parcel.status != NO_STATUS
        or "l" in side
        or "r" in side
        or bool(alone and parcel.updated_at)
    )


def shipment(order: Order, table: Lifecycle, number: int) -> ShipmentView:
    """One parcel."""
    parcel, side = order.parcels[number], side_of(order, number)
    location = side.get("l")
    return ShipmentView(
        shipment=parcel.shown,
        status=table.code(parcel.status),
        direction="return" if parcel.goes_back else "forward",
        ended_at=instant(parcel.ended_at),
        updated_at=instant(parcel.updated_at),
        carrier=side["c"][-1] if "c" in side else None,
        location=Location(*location[-1]) if location else None,
        readings=readings_of(order, number) if "r" in side else None,
    )


def deadlines(order: Order, desk: Desk) -> list[ArmedDeadline]:
    """The alerts that are still to come, soonest first."""
    opened = {(alert.rule, alert.parcel): alert.level for alert in order.alerts}
    missed = order.flags & MISSED
    armed: list[ArmedDeadline] = []
    for rule, number, deadline, _, due, overdue in terms(order, desk.rules, desk.table):
        if not rule.warns_by_time:
            continue
        level = opened.get((desk.numbers[rule.id], number & 0xFF), 0) if opened else 0
        if missed and desk.is_missed(order, rule, number, deadline):
            continue
        shipment = name_of(order, number)
        if not level and due != NEVER:
            due_at, severity = format_instant(due), SEVERITIES[rule.level]
            armed.append(
                ArmedDeadline(rule=rule.id, due_at=due_at, severity=severity, shipment=shipment)
            )
        if overdue != NEVER and level < 2:  # noqa: PLR2004 - 2 is overdue
            due_at = format_instant(overdue)
            armed.append(
                ArmedDeadline(rule=rule.id, due_at=due_at, severity="overdue", shipment=shipment)
            )
    if len(armed) > 1:
        armed.sort(key=lambda deadline: (deadline.due_at, deadline.rule, deadline.shipment or ""))
    return armed


def because(order: Order, table: Lifecycle, said: Transition) -> Because:
    """The evidence for a transition."""
    deadline = deadline_of(said)
    anchor = deadline.anchor if deadline else None
    on_condition = said.rule.on_condition
    name = "condition" if on_condition else anchor.name if anchor else "rule removed"
    at = max(0, anchor.at_entry(order, said.anchor)) if anchor else said.due_at
    if on_condition and said.escalated_at:
        at = said.opened_at  # the escalation of a condition counts from there
    return evidence(
        (name, order.hash_of(said.anchor), at),
        (limit_of(said), said.due_at),
        (table.codes[order.latest & 0xFF], order.latest >> 8),
        name_of(order, said.shipment),
    )


# An alert, its action and the document that shows it have the same, and are made one after another.
@lru_cache(maxsize=64)
def evidence(
    anchor: tuple[str, int, int],
    limit: tuple[str, int],
    last_event: tuple[str, int],
    shipment: str | None,
) -> Because:
    """The evidence as published; of the anchor what, event and time, else what and time."""
    return Because(
        anchor=anchor[0],
        anchor_event=f"{anchor[1]:016x}",
        anchor_at=format_instant(anchor[2]),
        limit=limit[0],
        due_at=format_instant(limit[1]),
        last_event=last_event[0],
        last_event_at=format_instant(last_event[1]),
        shipment=shipment,
    )


def deadline_of(said: Transition) -> Deadline | None:
    """The deadline of a transition; None where the rules in force have no such one any more."""
    deadlines = said.rule.deadlines
    return deadlines[said.deadline] if said.deadline < len(deadlines) else None


def limit_of(said: Transition) -> str:
    """The limit that was passed, as it reads: the rule's, or once escalated that of escalation."""
    rule, deadline = said.rule, deadline_of(said)
    if said.escalated_at and rule.escalation:
        return rule.escalation.text
    if rule.on_condition and rule.when:
        return rule.when.text
    return deadline.limit if deadline else ""


def name_of(order: Order, number: int) -> str | None:
    """The name of a parcel; None for the order itself and for its unnamed parcel."""
    if number in {ANY_SHIPMENT, NO_SHIPMENT}:
        return None
    parcel = order.parcels[number]
    return (parcel.shown if parcel.is_known else written(order, parcel.name)) or None


def written(order: Order, name: str) -> str:
    """How the first entry with it wrote the name of a parcel that is another one by now."""
    spellings = (waybill or shipment for shipment, waybill in order.names)
    return next((each for each in spellings if name in {as_number(each), as_waybill(each)}), name)


def key_of(order: Order, number: int) -> str:
    """The name of a parcel in its normal form; "" for the order and for its unnamed parcel."""
    return "" if number in {ANY_SHIPMENT, NO_SHIPMENT} else order.parcels[number].name


def alert_of(order: Order, table: Lifecycle, said: Transition) -> AlertTransition:
    """A transition as it is published."""
    tenant, order_id = split_order_key(order.key)
    return AlertTransition(
        alert_id=alert_id(
            order.key,
            said.rule.id,
            order.hash_of(said.anchor),
            key_of(order, said.shipment),
        ),
        tenant=tenant,
        order_id=order_id,
        rule=said.rule.id,
        severity=SEVERITIES[said.level],
        state=STATES[said.what],
        at=format_instant(said.at),
        because=because(order, table, said),
        flapping=said.is_flapping,
    )


def action_of(order: Order, table: Lifecycle, said: Transition) -> Action:
    """A requested action as it is published."""
    if said.act is None:
        message = f"{said.what} of {said.rule.id} asks for no action"
        raise ValueError(message)
    tenant, order_id = split_order_key(order.key)
    subject, anchor = key_of(order, said.shipment), order.hash_of(said.anchor)
    return Action(
        action_id=action_id(order.key, said.rule.id, anchor, said.act.kind),
        tenant=tenant,
        order_id=order_id,
        kind=said.act.kind,
        rule=said.rule.id,
        at=format_instant(said.at),
        expires_at=format_instant(said.at + said.act.expires_ms),
        alert_id=alert_id(order.key, said.rule.id, anchor, subject) if said.rule.level else None,
        because=because(order, table, said),
    )


def missed_of(order: Order, table: Lifecycle, said: Transition) -> AuditEntry:
    """A deadline that was long past when its anchor arrived."""
    told = because(order, table, said)
    detail = {
        "rule": said.rule.id,
        "due_at": told.due_at,
        "anchor_event": told.anchor_event,
    }
    return audit(order.key, "deadline.missed", said.at, detail, source=f"rule:{said.rule.id}")


def fault_entry(key: str, said: Transition) -> AuditEntry:
    """A rule that could not be evaluated for an order: its condition, or its deadline."""
    detail = {"rule": said.rule.id, "reason": said.reason}
    what = "condition.fault" if said.what == "fault" else "deadline.outside_calendar"
    return audit(key, what, said.at, detail, source=f"rule:{said.rule.id}")


def audit(  # noqa: PLR0913 - these are the columns of the audit log
    key: str,
    what: str,
    at: int,
    detail: dict[str, str],
    *,
    operator: str | None = None,
    ip: str | None = None,
    source: str | None = None,
    alert: AlertTransition | None = None,
    action: Action | None = None,
) -> AuditEntry:
    """An audit entry; its id is a hash of what it says."""
    tenant, order_id = split_order_key(key)
    told = [f"{name}={value}" for name, value in sorted(detail.items())]
    return AuditEntry(
        audit_id=content_id("audit", key, what, str(at), *told),
        at=format_instant(at),
        what=what,
        tenant=tenant,
        order_id=order_id,
        detail=detail,
        operator=operator,
        ip=ip,
        source=source,
        alert=alert,
        action=action,
    )


def open_alert(order: Order, desk: Desk, alert: OpenEntry) -> OpenAlert:
    """An open alert as the document shows it."""
    said = desk.resolved(order, alert, alert.opened_at)
    return OpenAlert(
        alert_id=alert_id(
            order.key,
            desk.symbols.names[alert.rule & RULE_BITS],
            order.hash_of(alert.anchor),
            key_of(order, said.shipment),
        ),
        rule=said.rule.id,
        severity=SEVERITIES[alert.level],
        opened_at=format_instant(alert.opened_at),
        escalated_at=instant(alert.escalated_at),
        flapping=alert.is_flapping,
        because=because(order, desk.table, said),
    )

"""Which alerts the rules want of an order, and when the next one will be due."""

from typing import Any, NamedTuple

from dataflows.core.anchors import ANY_SHIPMENT
from dataflows.core.fields import attributes_of, fields_of
from dataflows.core.lifecycle import NO_STATUS, UNSEEN, Lifecycle
from dataflows.core.packing import EMBRYO, Order
from dataflows.core.rules import Deadline, Rule, Rules
from dataflows.core.stays import stays
from schemas.keys import split_order_key

NEVER = 1 << 62


class Want(NamedTuple):
    """An alert (or an action) that is due: the rule, its parcel, its anchor and due times in ms.

    `escalated_at` is when it becomes overdue, NEVER for a rule without escalation. `deadline` is
    the index of the anchor taken.
    """

    rule: Rule
    shipment: int
    deadline: int
    anchor_at: int
    due_at: int
    escalated_at: int


def wanted(
    order: Order, rules: Rules, table: Lifecycle, limit: int, floor: int
) -> tuple[list[Want], int]:
    """(what is due by `limit`, when the next thing is due after it).

    `floor` is the arrival since which the order has been as it is; conditions are due then.
    """
    if order.flags & EMBRYO:
        return [], NEVER
    wants: list[Want] = []
    next_at = NEVER
    for rule, number in applying(order, rules):
        if rule.simple:
            # Most rules, most of the time: one anchor, and it isn't due. Worth 2 us an event.
            anchor, offset_ms = rule.simple
            anchor_at = anchor.at(order, number)
            at = anchor_at + offset_ms if anchor_at else NEVER
            if at <= limit:
                at = consider(order, rule, table, number, limit, floor, wants)
        else:
            at = consider(order, rule, table, number, limit, floor, wants)
        next_at = min(next_at, at)
    return wants, next_at


def applying(order: Order, rules: Rules) -> list[tuple[Rule, int]]:
    """(rule, parcel or ANY_SHIPMENT) for every rule that looks at the order in its status."""
    found = [(rule, ANY_SHIPMENT) for rule in rules.of_order[order.status]]
    by_parcel = rules.of_shipment[order.status]
    for number, status in subjects(order):
        for rule in by_parcel[status]:
            found.append((rule, number))  # noqa: PERF401 - a list for each parcel costs more
    return found


def subjects(order: Order) -> list[tuple[int, int]]:
    """(number, status) of the parcels that rules look at: the named ones, else the unnamed one."""
    named: list[tuple[int, int]] = []
    unnamed: list[tuple[int, int]] = []
    for number, parcel in enumerate(order.shipments):
        if parcel.status != UNSEEN:
            (named if parcel.name else unnamed).append((number, parcel.status))
    return named or unnamed


class Term(NamedTuple):
    """What a rule counts from at present: index of its anchor, anchor time, due time, in ms."""

    deadline: int
    anchor_at: int
    due_at: int


def term(order: Order, rule: Rule, table: Lifecycle, shipment: int, floor: int) -> Term | None:
    """When `rule` is due for the order or the parcel; None if it wants nothing of it."""
    for index, deadline in enumerate(rule.deadlines):  # noqa: B007 - used below
        anchor_at = deadline.anchor.at(order, shipment)
        if anchor_at:
            break
    else:
        return None
    if rule.unless and rule.unless.at(order, ANY_SHIPMENT):
        return None
    if rule.when and not holds(order, rule, table, shipment):
        return None
    due_at = floor if rule.on_condition else due(order, rule, deadline, table, shipment, anchor_at)
    return Term(index, anchor_at, due_at)


def consider(
    order: Order,
    rule: Rule,
    table: Lifecycle,
    shipment: int,
    limit: int,
    floor: int,
    wants: list[Want],
) -> int:
    """Add what the rule wants by `limit` to `wants`; the time at which it will want more."""
    found = term(order, rule, table, shipment, floor)
    if found is None:
        return NEVER
    deadline, anchor_at, due_at = found
    if due_at > limit:
        return due_at
    escalated_at = NEVER if rule.escalation_ms is None else due_at + rule.escalate_after_ms
    wants.append(Want(rule, shipment, deadline, anchor_at, due_at, escalated_at))
    return escalated_at if escalated_at > limit else NEVER


def running(order: Order, rules: Rules, table: Lifecycle) -> list[tuple[Rule, int, Term]]:
    """(rule, shipment, term) of every rule that will open an alert by time, due or not."""
    if order.flags & EMBRYO:
        return []
    found = []
    for rule, number in applying(order, rules):
        if rule.warns_by_time and (ahead := term(order, rule, table, number, NEVER)):
            found.append((rule, number, ahead))
    return found


def due(
    order: Order, rule: Rule, deadline: Deadline, table: Lifecycle, shipment: int, anchor_at: int
) -> int:
    """When the deadline is due, pauses included."""
    due_at = anchor_at + deadline.offset_ms
    if rule.pausing and shipment != ANY_SHIPMENT:
        due_at += paused_ms(order, rule, table, shipment, anchor_at)
    return due_at


def paused_ms(order: Order, rule: Rule, table: Lifecycle, shipment: int, anchor_at: int) -> int:
    """Event time since the anchor which the parcel spent in statuses that stop the rule's clock."""
    pausing = rule.pausing
    for word in order.words()[::3]:
        if word >> 14 & 0xFF in pausing:
            break
    else:
        return 0
    total = 0
    for stay in stays(order, table, shipment):
        if stay.status in pausing:
            latest = stay.began_at + pausing[stay.status]
            ended_at = min(stay.ended_at or latest, latest)
            total += max(0, ended_at - max(stay.began_at, anchor_at))
    return total


def holds(order: Order, rule: Rule, table: Lifecycle, shipment: int) -> bool:
    """Whether the rule's condition is true of the order and the parcel."""
    condition = rule.when
    if condition is None:
        return True
    readings = readings_of(order, shipment)
    attributes = attributes_of(order)
    if not (readings or attributes or condition.reads_fields):
        return condition.of_nothing
    fields = {**order_fields(order, table), **attributes} if condition.reads_fields else attributes
    return condition.holds(fields, readings)


def readings_of(order: Order, shipment: int) -> dict[str, dict[str, float]]:
    """{attribute: {min, max, last}} of a parcel; {} for ANY_SHIPMENT or without readings."""
    if shipment == ANY_SHIPMENT or shipment >= len(order.side):
        return {}
    readings = (order.side[shipment] or {}).get("r", {})
    return {name: {"min": r[0], "max": r[1], "last": r[2]} for name, r in readings.items()}


def order_fields(order: Order, table: Lifecycle) -> dict[str, Any]:
    """What conditions may read of the order itself; fields that are not known are left out."""
    tenant, order_id = split_order_key(order.key)
    fields: dict[str, Any] = {"tenant": tenant, "order_id": order_id}
    if order.status != NO_STATUS:
        fields["status"] = table.code(order.status)
    known = fields_of(order)
    for name in ("carrier", "customer_id", "supplier_id"):
        if name in known:
            fields[name] = known[name]
    return fields

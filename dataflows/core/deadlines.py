"""Which alerts the rules want of an order, and when the next one will be due."""

from collections.abc import Callable
from typing import Any, NamedTuple

from dataflows.core.anchors import ANY_SHIPMENT, own_update
from dataflows.core.fields import attributes_of, fields_of
from dataflows.core.lifecycle import NO_STATUS, Lifecycle
from dataflows.core.packing import EMBRYO, NO_ENTRY, SETTLED, Order, Parcel
from dataflows.core.rules import Deadline, Rule, Rules
from dataflows.core.side import side_of
from dataflows.core.stays import stays
from dataflows.core.working_time import BEYOND_MS
from schemas.keys import split_order_key

NEVER = 1 << 62
# Kinds of faults of a rule for an order.
CONDITION, OUTSIDE_YEARS = "condition", "calendar"


class Term(NamedTuple):
    """What a rule counts from at present, for the order or a parcel; instants in ms.

    `deadline` is the index of the anchor taken. A condition is due since it became true: `due_at`
    is 0 then. `escalated_at` is when a warning becomes overdue, NEVER without an escalation (0 for
    a condition that has one). Both are NEVER where the years of a calendar don't reach.
    """

    rule: Rule
    shipment: int
    deadline: int
    anchor_at: int
    due_at: int
    escalated_at: int


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
    order: Order,
    rules: Rules,
    table: Lifecycle,
    limit: int,
    floor: int,
    opened_at: Callable[[Order, Rule, int], int | None],
) -> tuple[list[Want], int]:
    """(what is due by `limit`, when the next thing is due after it).

    `floor` is the arrival since which the order has been as it is; conditions are due then. Their
    escalation counts from the opening of the alert, `opened_at` (order, rule, shipment), None if
    it opens now.
    """
    wants: list[Want] = []
    next_at = NEVER
    for term in terms(order, rules, table):
        rule = term.rule
        due_at = floor if rule.on_condition else term.due_at
        if due_at > limit:
            next_at = min(next_at, due_at)
            continue
        escalated_at = term.escalated_at
        if rule.on_condition and rule.escalation:
            since = opened_at(order, rule, term.shipment) or floor
            began = term._replace(escalated_at=escalated(rule, since, 0))
            escalated_at = within_years(order, began).escalated_at
        wants.append(Want(rule, term.shipment, term.deadline, term.anchor_at, due_at, escalated_at))
        if limit < escalated_at < next_at:
            next_at = escalated_at
    return wants, next_at


def terms(order: Order, rules: Rules, table: Lifecycle) -> list[Term]:
    """The terms of all rules that look at the order; the order keeps them until its next entry."""
    found: list[Term] | None = order.terms
    if found is None:
        is_order = not order.flags & EMBRYO
        order.faults = []
        found = order.terms = looked_up(order, rules, table) if is_order else []
    return found


def looked_up(order: Order, rules: Rules, table: Lifecycle) -> list[Term]:
    """The terms of an order as it is."""
    found = [
        term
        for rule in rules.of_order[order.status]
        if (term := term_of(order, rule, table, ANY_SHIPMENT))
    ]
    by_parcel = rules.of_shipment[order.status]
    for number, parcel in subjects(order, table):
        for rule in by_parcel[parcel.status]:
            if rule.looks_at(goes_back=parcel.goes_back) and (
                term := term_of(order, rule, table, number)
            ):
                found.append(term)  # noqa: PERF401 - a list for each parcel costs more
    return found


def subjects(order: Order, table: Lifecycle) -> list[tuple[int, Parcel]]:
    """The parcels, by number, that rules look at: the named ones, else the unnamed; none ended.

    None that the shop's word of the whole order covers, nor the unnamed one that no carrier spoke
    of, once its order was delivered.
    """
    known = [(number, parcel) for number, parcel in enumerate(order.parcels) if parcel.is_known]
    named = [one for one in known if one[1].name]
    if not named and not table.settles.isdisjoint(order.firsts):
        known = [one for one in known if one[1].status != NO_STATUS]
    return [one for one in named or known if one[1].counts and not one[1].marks & SETTLED]


def still_applies(order: Order, rule: Rule, table: Lifecycle, number: int) -> bool:
    """Whether the rule's statuses and direction hold of the order, or of a parcel."""
    if order.flags & EMBRYO or order.status not in rule.statuses:
        return False
    if not rule.per_shipment:
        return True
    parcel = dict(subjects(order, table)).get(number)
    return (
        parcel is not None
        and parcel.status in rule.shipment_statuses
        and rule.looks_at(goes_back=parcel.goes_back)
    )


def term_of(order: Order, rule: Rule, table: Lifecycle, shipment: int) -> Term | None:
    """When `rule` is due for the order or the parcel; None if it wants nothing of it."""
    for index, deadline in enumerate(rule.deadlines):  # noqa: B007 - used below
        anchor_at = deadline.anchor.at(order, shipment)
        if anchor_at:
            break
    else:
        return None
    if rule.is_simple:
        due_at = deadline.due_at(anchor_at)
        term = Term(rule, shipment, index, anchor_at, due_at, escalated(rule, anchor_at, 0))
        return within_years(order, term) if rule.working else term
    if is_void(order, rule, table, shipment):
        return None
    if rule.when and not holds(order, rule, table, shipment):
        return None
    if rule.on_condition:
        return Term(rule, shipment, index, anchor_at, 0, 0 if rule.escalation else NEVER)
    paused = paused_ms(order, rule, table, shipment, anchor_at) if rule.pausing else 0
    due_at = due(order, deadline, shipment, anchor_at) + paused
    term = Term(rule, shipment, index, anchor_at, due_at, escalated(rule, anchor_at, paused))
    return within_years(order, term) if rule.working else term


def is_void(order: Order, rule: Rule, table: Lifecycle, shipment: int) -> bool:
    """Whether a milestone of the order makes the rule void, or the lack of one; or a scan."""
    if rule.unless and rule.unless.at(order, ANY_SHIPMENT):
        return True
    if rule.unscanned and own_update(order, table, shipment):
        return True
    return bool(rule.once and not rule.once.at(order, ANY_SHIPMENT))


def within_years(order: Order, term: Term) -> Term:
    """The term, with NEVER for what lies outside the years of the rule's calendars.

    The order keeps it in `faults` until it is settled, once for the rule.
    """
    is_due_outside = term.due_at >= BEYOND_MS
    if not (is_due_outside or BEYOND_MS <= term.escalated_at < NEVER):
        return term
    fault = (term.rule.id, OUTSIDE_YEARS, outside_years(term.rule))
    if fault not in order.faults:
        order.faults.append(fault)
    return term._replace(due_at=NEVER if is_due_outside else term.due_at, escalated_at=NEVER)


def outside_years(rule: Rule) -> str:
    """Why a deadline of a rule has no instant."""
    named = {
        f"{limit.calendar.span.name} ({'{} to {}'.format(*limit.calendar.span.years)})"
        for limit in rule.working
        if limit.calendar
    }
    return f"its deadline is outside the years of {', '.join(sorted(named))}; name more years there"


def lacks_instant(term: Term) -> bool:
    """Whether a deadline of a term is outside the years of its calendar."""
    is_unreachable = bool(term.rule.escalation) and term.escalated_at == NEVER
    return term.due_at == NEVER or is_unreachable


def due(order: Order, deadline: Deadline, shipment: int, anchor_at: int) -> int:
    """When the deadline is due, pauses left out.

    The warning ahead of a promise takes at most half of the time promised.
    """
    due_at = deadline.due_at(anchor_at)
    if not deadline.is_ahead_of_promise:
        return due_at
    entry = deadline.anchor.entry(order, shipment)
    if entry == NO_ENTRY:
        return due_at
    promised_ms = max(0, anchor_at - order.at(entry))
    return max(due_at, anchor_at - promised_ms // 2)


def escalated(rule: Rule, anchor_at: int, paused: int) -> int:
    """When the alert becomes overdue; NEVER without an escalation."""
    if rule.escalation is None:
        return NEVER
    return rule.escalation.due_at(anchor_at) + paused


def paused_ms(order: Order, rule: Rule, table: Lifecycle, shipment: int, anchor_at: int) -> int:
    """Event time since the anchor which the parcel spent in statuses that stop the rule's clock."""
    pausing = rule.pausing
    if shipment == ANY_SHIPMENT:
        return 0
    if not rule.pauses_in_both and pausing.keys().isdisjoint(order.firsts):
        return 0
    total = 0
    for stay in stays(order, table, shipment):
        if stay.status in pausing:
            latest = stay.began_at + pausing[stay.status]
            ended_at = min(stay.ended_at or latest, latest)
            total += max(0, ended_at - max(stay.began_at, anchor_at))
    return total


def holds(order: Order, rule: Rule, table: Lifecycle, shipment: int) -> bool:
    """Whether the rule's condition is true of the order and the parcel.

    False where it can't be evaluated; the order keeps why in `faults` until it is settled.
    """
    condition = rule.when
    if condition is None:
        return True
    readings = readings_of(order, shipment)
    attributes = attributes_of(order, table)
    if not (readings or attributes or condition.reads_fields):
        found = condition.of_nothing
    elif condition.reads_fields:
        found = condition.verdict({**order_fields(order, table, shipment), **attributes}, readings)
    else:
        found = condition.verdict(attributes, readings)
    if found.fault:
        order.faults.append((rule.id, CONDITION, found.fault))
    return found.is_true


def readings_of(order: Order, shipment: int) -> dict[str, dict[str, float]]:
    """{attribute: {min, max, last}} of a parcel; {} for ANY_SHIPMENT or without readings."""
    if shipment == ANY_SHIPMENT:
        return {}
    readings = side_of(order, shipment).get("r", {})
    return {name: {"min": r[0], "max": r[1], "last": r[2]} for name, r in readings.items()}


def order_fields(order: Order, table: Lifecycle, shipment: int) -> dict[str, Any]:
    """What conditions may read of the order itself; fields that are not known are left out.

    The carrier is the parcel's, if one is known, by its code.
    """
    tenant, order_id = split_order_key(order.key)
    fields: dict[str, Any] = {"tenant": tenant, "order_id": order_id}
    if order.status != NO_STATUS:
        fields["status"] = table.code(order.status)
    known = fields_of(order, table)
    for name in ("carrier", "customer_id", "supplier_id"):
        if name in known:
            fields[name] = known[name]
    held = {} if shipment == ANY_SHIPMENT else side_of(order, shipment)
    carrier = held["c"][1] if "c" in held else known.get("carrier")
    if carrier:
        fields["carrier"] = table.carriers.code(carrier)
    return fields

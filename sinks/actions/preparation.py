"""Preparation of an action: when it may be sent by its kind's row, and what is sent with it.

An action waits while its recipient's quiet hours last, until a person's next day, or for its order;
it ends where a compensation has no amount. The reasons stand in its outcome.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from schemas.alert import Action
from schemas.instants import SECOND_MS
from schemas.order import OrderDocument
from sinks.actions.amounts import Amount, NoAmount, amount_of
from sinks.actions.outbox import End, Task
from sinks.actions.people import Contact, People, person_of
from sinks.actions.quiet_hours import local_time, next_day_at, parse_quiet, zone_of
from sinks.actions.table import ActionTable, KindRow

# An order that is older than its action is awaited for so long, then taken as it is.
CURRENT_WITHIN_MS = 5 * SECOND_MS
CURRENT_AGAIN_MS = 500
UNKNOWN_AGAIN_MS = 5 * SECOND_MS
NO_ORDER = "the order is in no tier yet"


class KnownOrder(NamedTuple):
    """An order as the tiers have it; `is_current` if its document is from after the action."""

    document: OrderDocument
    is_current: bool


class Orders(Protocol):
    """Look-up of orders, called from several threads at once."""

    def find(self, action: Action) -> KnownOrder | None:
        """The order of an action; None while no tier has it, or none answers."""
        ...


class Waits(NamedTuple):
    """The action waits until `due_at` (wall clock, ms); `is_held` by a condition of its kind."""

    due_at: int
    reason: str
    is_held: bool = False


class Ends(NamedTuple):
    """The action ends without being sent."""

    end: End
    reason: str


class Ready(NamedTuple):
    """The action may be sent, with its amount, as a message to a person on a day."""

    amount: Amount | None = None
    contact: Contact | None = None

    @property
    def detail(self) -> Mapping[str, str]:
        """Fields for the outcome."""
        if self.amount is None:
            return {}
        given = self.amount
        return {"amount": given.value, "currency": given.currency, "late": given.late}


class Preparation(NamedTuple):
    """Preparation by a table, with the orders of the tiers and the messages sent so far."""

    table: ActionTable
    orders: Orders
    people: People

    def of(self, task: Task, action: Action, now_at: int) -> Waits | Ends | Ready:
        """Prepare an action at `now_at` (wall clock, ms)."""
        row = self.table.row_of(action.kind, action.tenant)
        if row is None or not row.needs_order:
            return Ready()
        known = self.orders.find(action)
        if known is None:
            return Waits(now_at + UNKNOWN_AGAIN_MS, NO_ORDER)
        if not known.is_current and now_at < task.accepted_at + CURRENT_WITHIN_MS:
            return Waits(now_at + CURRENT_AGAIN_MS, task.reason)
        try:
            amount = amount_of(row.amounts, action, known.document) if row.amounts else None
        except NoAmount as none:
            return Ends("skipped", str(none))
        held = self._held(row, action, known.document, now_at)
        return held._replace(amount=amount) if isinstance(held, Ready) else held

    def _held(
        self, row: KindRow, action: Action, order: OrderDocument, now_at: int
    ) -> Waits | Ready:
        name = zone_of(order.destination, row.zone, now_at)
        zone = ZoneInfo(name)
        quiet_until = parse_quiet(row.quiet).ends_at(now_at, zone) if row.quiet else None
        if quiet_until is not None:
            until = f"{local_time(quiet_until, zone):%H:%M} {name}"
            return Waits(quiet_until, f"quiet hours until {until}", is_held=True)
        if row.most_a_day is None:
            return Ready()
        day = f"{local_time(now_at, zone):%Y-%m-%d}"
        contact = Contact(person_of(order), day, action.action_id)
        count = self.people.take(contact, row.most_a_day)
        if count is None:
            return Ready(contact=contact)
        reason = f"{count} of {row.most_a_day} messages a day were sent on {day}, {name}"
        return Waits(next_day_at(now_at, zone), reason, is_held=True)

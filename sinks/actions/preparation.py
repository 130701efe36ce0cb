"""Preparation of an action: when it may be sent by its kind's row, and what is sent with it.

An action waits while its recipient's quiet hours last, until a person's next day, or for its order;
it ends where a compensation has no amount, a message no recipient or a question no parcel. The
reasons stand in its outcome. Personal data is opened last, once nothing else holds the action back.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

import msgspec

from schemas.alert import Action
from schemas.errors import Busy, Rejected
from schemas.instants import SECOND_MS
from schemas.order import OrderDocument, ShipmentView
from sinks.actions.amounts import Amount, NoAmount, amount_of
from sinks.actions.messages.fields import parcel_of
from sinks.actions.messages.messages import Message, Messages
from sinks.actions.outbox import End, Task
from sinks.actions.people import Contact, People, person_of
from sinks.actions.quiet_hours import local_time, next_day_at, parse_quiet, zone_of
from sinks.actions.recipient import PARCEL, NoRecipient, Personal, Recipient, Refusals
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
    """The action may be sent: with its amount, and as a message to a person on a day."""

    amount: Amount | None = None
    contact: Contact | None = None
    message: Message | None = None
    recipient: Recipient = Recipient()
    parcel: ShipmentView | None = None

    @property
    def detail(self) -> Mapping[str, str]:
        """Fields for the outcome."""
        if self.amount is None:
            return {}
        given = self.amount
        return {"amount": given.value, "currency": given.currency, "late": given.late}


class Preparation(NamedTuple):
    """Preparation by a table, with the orders of the tiers and the messages sent so far.

    `personal` opens personal data for a channel that needs some, unless `refusals` has the person.
    """

    table: ActionTable
    orders: Orders
    people: People
    messages: Messages
    personal: Personal
    refusals: Refusals

    def of(
        self, task: Task, action: Action, needs: frozenset[str], now_at: int
    ) -> Waits | Ends | Ready:
        """Prepare an action at `now_at` (wall clock, ms), for a channel that `needs` fields."""
        row = self.table.row_of(action.kind, action.tenant)
        if row is None or not (row.needs_order or needs):
            return Ready()
        try:
            known = self._known(action)
            if not known.is_current and now_at < task.accepted_at + CURRENT_WITHIN_MS:
                return Waits(now_at + CURRENT_AGAIN_MS, task.reason)
            return self._prepared(row, task, action, known.document, needs, now_at)
        except (NoAmount, NoRecipient) as none:
            return Ends("skipped", str(none))
        except Rejected as rejected:
            return Ends("dead", rejected.reason)
        except Busy as busy:
            return Waits(now_at + UNKNOWN_AGAIN_MS, busy.reason)

    def _known(self, action: Action) -> KnownOrder:
        known = self.orders.find(action)
        if known is None:
            raise Busy(NO_ORDER)
        return known

    def _prepared(
        self,
        row: KindRow,
        task: Task,
        action: Action,
        order: OrderDocument,
        needs: frozenset[str],
        now_at: int,
    ) -> Waits | Ready:
        fields = needs - {PARCEL}
        if fields and self.refusals.refuses(person_of(order), action.kind):
            raise NoRecipient("the customer has unsubscribed from such messages")
        ready = self._with_content(row, task, action, order)
        held = self._held(row, action, order, now_at)
        if isinstance(held, Waits):
            return held
        parcel = parcel_for(order, action) if PARCEL in needs else None
        ready = ready._replace(contact=held.contact, parcel=parcel)
        if not fields:
            return ready
        with self.people.counted(ready.contact):
            recipient = self.personal.read(task, action, fields)
            recipient.check(fields)
        return ready._replace(recipient=recipient)

    def _with_content(
        self, row: KindRow, task: Task, action: Action, order: OrderDocument
    ) -> Ready:
        amount = amount_of(row.amounts, action, order) if row.amounts else None
        if row.template is None:
            return Ready(amount)
        message = self.messages.of(row, action, order, came_at=task.came_at, amount=amount)
        return Ready(amount, message=message)

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


def parcel_for(order: OrderDocument, action: Action) -> ShipmentView:
    """The parcel that an action is about, with its carrier, else the order's.

    Raises:
        NoRecipient: there is none.
    """
    parcel = parcel_of(order, action)
    if parcel is None:
        raise NoRecipient("the action is about no parcel of the order")
    return msgspec.structs.replace(parcel, carrier=parcel.carrier or order.carrier)

"""People: who was sent how much on which day, for kinds with `most_a_day`.

A person is the customer of a tenant; of an order without a customer, the order. A day is one of the
recipient's zone. What is sent is counted by its action_id, so that a repetition counts once.
Counts are kept in the outbox, and for the last days in memory, for the threads of the receivers.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import NamedTuple

from schemas.keys import SEPARATOR
from schemas.order import OrderDocument

KEPT_DAYS = 3  # of the newest: the days of two zones differ by one


class Contact(NamedTuple):
    """A message to a person: on its `day` (`2026-11-30`), by an action."""

    person: str
    day: str
    action_id: str


class People:
    """Messages to people by day."""

    def __init__(self, sent: Iterable[Contact] = ()) -> None:
        """Create the counts of what was sent."""
        self._days: dict[str, dict[str, set[str]]] = {}
        self._lock = Lock()
        for contact in sent:
            self._add(contact)

    def take(self, contact: Contact, most: int) -> int | None:
        """Count a message that is going to be sent; or return the count of a day that is full."""
        with self._lock:
            sent = self._days.get(contact.day, {}).get(contact.person, set()) - {contact.action_id}
            if len(sent) >= most:
                return len(sent)
            self._add(contact)
            return None

    @contextmanager
    def counted(self, contact: Contact | None) -> Iterator[None]:
        """Count a message no more where the block, which sends it, fails."""
        try:
            yield
        except BaseException:
            self.give_back(contact)
            raise

    def give_back(self, contact: Contact | None) -> None:
        """Count a message no more that was not sent."""
        if contact:
            with self._lock:
                day = self._days.get(contact.day, {})
                day.get(contact.person, set()).discard(contact.action_id)

    def _add(self, contact: Contact) -> None:
        day = self._days.setdefault(contact.day, {})
        day.setdefault(contact.person, set()).add(contact.action_id)
        for old in [each for each in self._days if each < first_kept(max(self._days))]:
            del self._days[old]


def person_of(order: OrderDocument) -> str:
    """The person whom messages about an order go to."""
    whose = order.customer_id or f"order{SEPARATOR}{order.order_id}"
    return f"{order.tenant}{SEPARATOR}{whose}"


def first_kept(day: str) -> str:
    """The first day that is kept while `day` is the newest."""
    return f"{dt.date.fromisoformat(day) - dt.timedelta(days=KEPT_DAYS - 1)}"

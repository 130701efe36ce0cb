"""Key store: one key a subject, created on first use, erased on request, then never created again.

A subject is a customer, else an order, else a number (a waybill or a reference), as far as the
event names one. Links lead from a customer to the orders and from an order to its numbers, so that
erasing the customer also reaches data sealed before its customer was known. An erased subject
leaves a tombstone.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from schemas.errors import OrdertideError
from schemas.keys import SEPARATOR


class KeyErased(OrdertideError):
    """The key of a sealed value has been erased, so the value can't be opened any more."""

    def __init__(self, key_id: str) -> None:
        """Create the error for `key_id`; a subject erased before it had a key gets a new id."""
        super().__init__(f"personal data under key {key_id}: the key has been erased")
        self.key_id = key_id


class Key(NamedTuple):
    """A subject's key. `key_id` is random: it reveals nothing about the subject."""

    key_id: str
    secret: bytes

    def __repr__(self) -> str:
        """Without the secret: a key may end up in a log or a traceback."""
        return f"Key({self.key_id})"


class KeyStore(Protocol):
    """Keys by (tenant, subject). Safe to use from several threads.

    `subject` is a customer_id, or the result of `subject_of` where there is none.
    """

    def key_for(self, tenant: str, subject: str) -> Key:
        """The key of a subject, created and durable on first use.

        Raises:
            KeyErased: the subject has been erased.
            StateError: the store can't be read or written.
        """

    def find(self, key_id: str) -> Key | None:
        """The key with this id; None if it has been erased or never existed."""

    def is_erased(self, key_id: str) -> bool:
        """Return True if this id belongs to an erased subject."""

    def link(self, tenant: str, below: str, above: str, *, below_tenant: str | None = None) -> None:
        """Note that erasing the subject `above` has to erase `below`; at once if it is erased.

        Kept only where `below` has a key, or something with a key below it; what is linked before
        is remembered for a while.
        """

    @property
    def is_linking(self) -> bool:
        """Return True if links of events without personal data matter."""

    def erase(self, tenant: str, *subjects: str, keys: Iterable[str] = ()) -> list[str]:
        """Erase subjects with all that is linked below them, and the holders of `keys` (ids).

        They stay erased: `key_for` raises KeyErased from then on. Returns the ids of the keys that
        were erased.
        """

    def batch(self) -> AbstractContextManager[None]:
        """Keys created inside are durable only when it ends: one fsync for many keys."""


def subject_of(
    customer_id: str | None = None, order_id: str | None = None, other: str | None = None
) -> str:
    """The subject whose key seals personal data: the customer, else the order, else `other`.

    `other` is a waybill, or whatever else names the record. The separator can't occur in an id, so
    an order never shares the key of a customer with the same number.
    """
    if customer_id:
        return customer_id
    if order_id:
        return f"order{SEPARATOR}{order_id}"
    return f"other{SEPARATOR}{other or ''}"


def is_customer(subject: str) -> bool:
    """Return True if a subject is a customer, and not an order or a number."""
    return SEPARATOR not in subject

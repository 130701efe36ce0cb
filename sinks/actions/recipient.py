"""Recipient: what a channel needs of a customer's personal data, for one attempt.

It is opened for channels that need it, and never stored, logged or shown: what a receiver answers
is masked by it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

import msgspec

from schemas.alert import Action
from sinks.actions.outbox import Task

# Keys of `personal` by the field that they give; the first one that is there counts.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "email": ("email", "mail", "e_mail"),
    "phone": ("phone", "mobile", "tel"),
    "name": ("name",),
    "address": ("address",),
}
# What a channel may need beside: the parcel that the action is about, which is not personal.
PARCEL = "parcel"
MASK = "(personal data)"
FEWEST_MASKED = 3  # characters: shorter ones would mask any text


class Recipient(msgspec.Struct, frozen=True):
    """Fields of a customer, such as `email`."""

    fields: dict[str, str] = {}

    def __repr__(self) -> str:
        # Personal data stays out of tracebacks and logs.
        return f"Recipient({', '.join(self.fields)})"

    def check(self, needs: AbstractSet[str]) -> None:
        """Check that the customer has what a channel needs.

        Raises:
            NoRecipient: something is missing.
        """
        if missing := sorted(needs - self.fields.keys()):
            raise NoRecipient(f"the order's personal data has no {', '.join(missing)}")

    def masked(self, text: str) -> str:
        """A text without the recipient's fields, whatever their case."""
        return mask_of([self])(text)


def mask_of(recipients: Iterable[Recipient]) -> Callable[[str], str]:
    """A function that takes the fields of some recipients out of a text, whatever their case."""
    values = {value for each in recipients for value in each.fields.values()}
    shown = sorted((each for each in values if len(each) >= FEWEST_MASKED), key=len, reverse=True)
    if not shown:
        return str
    pattern = re.compile("|".join(map(re.escape, shown)), re.IGNORECASE)
    return lambda text: pattern.sub(MASK, text)


class Refusals(Protocol):
    """Customers who want no messages of a kind, asked from several threads at once."""

    def refuses(self, person: str, kind: str) -> bool:
        """Return True if a person wants none. `Busy`: that isn't known yet."""
        ...


class NoRecipient(Exception):
    """The action has no recipient; the text is the reason."""


class Personal(Protocol):
    """Personal data of customers, called from several threads at once."""

    def read(self, task: Task, action: Action, fields: AbstractSet[str]) -> Recipient:
        """Open some fields of the customer of an action; the access is audited before.

        Raises:
            NoRecipient: the customer's data was erased.
            Busy: the tiers, the keys or the audit are unavailable; later.
        """
        ...


def recipient_in(personals: Iterable[Any], fields: AbstractSet[str]) -> Recipient:
    """The fields of a recipient in opened personal data, the newest first."""
    found: dict[str, str] = {}
    for personal in personals:
        given = {str(key).lower(): value for key, value in personal.items()}
        for field in fields - found.keys():
            values = (given.get(key) for key in FIELDS[field])
            text = next((each for each in values if isinstance(each, str) and each.strip()), None)
            if text is not None:
                found[field] = text.strip()
        if fields <= found.keys():
            break
    return Recipient(found)

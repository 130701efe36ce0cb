"""The place of personal data: the record that names whose it is, and the field it stands in.

A sealed value is bound to its place by the cipher's associated data. Copied to another event,
order, customer or tenant, it doesn't open.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from privacy.keystore import KeyStore, subject_of
from schemas.event import Event
from schemas.keys import DEFAULT_TENANT, SEPARATOR
from schemas.numbers import WAYBILL_KINDS, as_kind

PERSONAL, ORIGINAL = "personal", "original"  # fields


class Place(NamedTuple):
    """A record and a field of it. `number`: the waybill, else the first reference (`number_of`)."""

    tenant: str = DEFAULT_TENANT
    customer_id: str = ""
    order_id: str = ""
    number: str = ""
    source: str = ""
    event_id: str = ""
    field: str = PERSONAL

    @property
    def subject(self) -> str:
        """Subject whose key seals it."""
        other = self.number or f"{self.source}{SEPARATOR}{self.event_id}"
        return subject_of(self.customer_id, self.order_id, other)

    @property
    def is_named(self) -> bool:
        """Return True if the place names a subject."""
        return bool(self.customer_id or self.order_id or self.number or self.event_id)

    def bound_to(self, key_id: str) -> list[bytes]:
        """The associated data, a text each: none can run into its neighbour (RFC 5297, S2V)."""
        return [b"ordertide 2", key_id.encode(), *(text.encode() for text in self)]


class Named(msgspec.Struct, frozen=True):
    """The fields of an event that name a place, and its personal data."""

    tenant: str = DEFAULT_TENANT
    customer_id: str | None = None
    order_id: str | None = None
    waybill: str | None = None
    references: dict[str, str | list[str]] | None = None
    source: str = ""
    event_id: str = ""
    personal: msgspec.Raw = msgspec.Raw(b"null")


NAMED = msgspec.json.Decoder(Named)


def place_of(event: Event | Named) -> Place:
    """The place of an event's personal data."""
    return Place(
        event.tenant,
        event.customer_id or "",
        event.order_id or "",
        next(iter(numbers_of(event)), ""),
        event.source,
        event.event_id,
    )


def numbers_of(event: Event | Named) -> list[str]:
    """The numbers of an event, its waybill first."""
    numbers = [number_of("waybill", event.waybill)] if event.waybill else []
    for kind, listed in sorted((event.references or {}).items()):
        found = [listed] if isinstance(listed, str) else listed
        numbers += [number_of(kind, number) for number in found]
    return list(dict.fromkeys(number for number in numbers if number))


def number_of(kind: str, number: str) -> str:
    """A number as the resolver compares it: the normal form, behind its kind unless a waybill.

    An erasure must reach every spelling of a number that leads to the order, and the parcel of a
    return.
    """
    normal = as_kind(kind, number)
    return normal if kind in WAYBILL_KINDS or not normal else f"{kind}{SEPARATOR}{normal}"


def subjects_below(event: Event | Named) -> list[tuple[str, str]]:
    """The links (below, above) that an event shows: customer over order over numbers."""
    return links_between(event.customer_id, event.order_id, numbers_of(event))


def links_between(
    customer_id: str | None, order_id: str | None, numbers: Iterable[str]
) -> list[tuple[str, str]]:
    """The links (below, above) between the names of a record."""
    order = subject_of(order_id=order_id) if order_id else None
    above = order or customer_id
    if not above:
        return []
    links = [(subject_of(other=number), above) for number in numbers]
    return [(order, customer_id), *links] if order and customer_id else links


def link_event(event: Event | Named, keystore: KeyStore) -> None:
    """Note what an event without personal data shows of who is whose, where that matters."""
    if keystore.is_linking:
        link_all(event, keystore)


def link_all(event: Event | Named, keystore: KeyStore) -> None:
    """Note the links of an event; what belongs to an erased customer is erased."""
    for below, above in subjects_below(event):
        keystore.link(event.tenant, below, above)

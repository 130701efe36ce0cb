"""Search for a customer's records before an erasure: orders, their numbers, keys in use.

Most events of an order don't name the customer. The first pass over all places finds the orders of
the customer in events and documents; the second finds the numbers of these orders and the keys of
the data sealed for them.
"""

from collections.abc import Iterable

import msgspec

from privacy.keystore import KeyStore, subject_of
from privacy.mentions import mentions
from privacy.originals import WHOLE, around_of, may_be_personal, personal_in, sealed_whole
from privacy.place import NAMED, Named, Place, numbers_of
from privacy.seal import is_sealed, open_bytes
from schemas.errors import OrdertideError


class PlaceFound(msgspec.Struct):
    """Records of the customer found in one place (a topic, a tier, the state).

    `records` counts those that name the customer or one of the orders; `sealed` and `clear`
    count personal data. `still_opens` is set after the erasure. `fault` is the reason of a
    failed search.
    """

    place: str
    records: int = 0
    sealed: int = 0
    clear: int = 0
    still_opens: int = 0
    fault: str | None = None


class Search:
    """The search for one customer."""

    def __init__(self, tenant: str, customer: str, keystore: KeyStore) -> None:
        """Create a search that has found nothing yet."""
        self.tenant = tenant
        self.customer = customer
        self.keystore = keystore
        self.orders: set[str] = set()
        self.numbers: set[str] = set()
        self.keys: dict[str, set[str]] = {}
        self.found: dict[str, PlaceFound] = {}

    @property
    def subjects(self) -> list[str]:
        """Subjects of the keys to erase: the customer, the orders, their numbers."""
        orders = [subject_of(order_id=order) for order in sorted(self.orders)]
        return [self.customer, *orders, *(subject_of(other=n) for n in sorted(self.numbers))]

    def at(self, place: str) -> PlaceFound:
        """Findings in a place, created when first needed."""
        return self.found.setdefault(place, PlaceFound(place))

    def order(self, tenant: str, customer_id: str | None, order_id: str | None) -> None:
        """First pass: an order that a record assigns to a customer."""
        if order_id and customer_id == self.customer and tenant == self.tenant:
            self.orders.add(order_id)

    def document(
        self, place: str, order_id: str, references: dict[str, list[str]], *, is_hers: bool
    ) -> None:
        """Second pass: the document of an order of this tenant."""
        if is_hers or order_id in self.orders:
            self.at(place).records += 1
            self.numbers.update(numbers_of(Named(references=dict(references))))

    def outcome(self, place: str, tenant: str, order_id: str) -> None:
        """Second pass: an audit entry or action; it has ids, and never anything personal."""
        if tenant == self.tenant and order_id in self.orders:
            self.at(place).records += 1

    def event(self, place: str, data: bytes, order_id: str | None = None) -> None:
        """Second pass: an event; `order_id` is the order that it was resolved to."""
        try:
            event = NAMED.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # no event: it is among the dead letters, which are searched otherwise
        if not self.is_hers(event, order_id):
            return
        self.at(place).records += 1
        if event.order_id or order_id:
            self.numbers.update(numbers_of(event))
        self.personal(place, msgspec.json.decode(event.personal))

    def is_hers(self, event: Named, order_id: str | None = None) -> bool:
        """Return True if an event is the customer's: by name, else by order, else by number."""
        order = event.order_id or order_id
        return self.owns(event.tenant, event.customer_id, order, numbers_of(event))

    def owns(
        self, tenant: str, customer_id: str | None, order_id: str | None, numbers: Iterable[str]
    ) -> bool:
        """Return True if a record with these names is the customer's."""
        if tenant != self.tenant:
            return False
        if customer_id:
            return customer_id == self.customer
        return order_id in self.orders if order_id else not self.numbers.isdisjoint(numbers)

    def personal(self, place: str, personal: object) -> None:
        """Count a value of `personal`, and note its key."""
        if is_sealed(personal) and isinstance(personal, dict):
            self.at(place).sealed += 1
            self.keys.setdefault(personal["key"], set()).add(place)
        elif personal:
            self.at(place).clear += 1

    def original(
        self, place: str, data: bytes, headers: Iterable[tuple[str, bytes | None]]
    ) -> None:
        """Second pass: a dead letter, or a message that can't be read as an event."""
        if sealed := sealed_whole(data):
            self.whole(place, sealed)
            return
        found = personal_in(data, headers)
        hers = [value for at, value in found if self.is_at(at)]
        self.at(place).records += bool(hers)
        for value in hers:
            self.personal(place, value)
        if not found and may_be_personal(data) and self.is_mentioned(data, around_of(headers)):
            self.at(place).records += 1
            self.at(place).clear += 1

    def whole(self, place: str, sealed: dict[str, str]) -> None:
        """A dead letter that was sealed whole; opened to be searched, which needs its key."""
        try:
            opened = open_bytes(sealed, self.keystore, WHOLE)
        except OrdertideError:
            return  # its key was erased, or it is damaged
        if self.is_mentioned(opened, Place()):
            self.at(place).records += 1
            self.personal(place, sealed)

    def is_mentioned(self, data: bytes, around: Place) -> bool:
        """Return True if unreadable bytes mention the customer, an order or a number."""
        named = {subject for tenant, subject in mentions(data, around) if tenant == self.tenant}
        return not named.isdisjoint(self.subjects)

    def is_at(self, at: Place) -> bool:
        """Return True if personal data at this place is the customer's."""
        numbers = [at.number] if at.number else []
        return self.owns(at.tenant, at.customer_id, at.order_id, numbers)

    def erase(self) -> list[str]:
        """Erase all that was found; the ids of the keys. Counts what still opens afterwards."""
        erased = self.keystore.erase(self.tenant, *self.subjects, keys=self.keys)
        for key_id, places in self.keys.items():
            for place in places:
                self.at(place).still_opens += self.keystore.find(key_id) is not None
        return erased

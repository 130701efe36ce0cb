"""Caller: the role and the scope that a key or a session gives."""

from typing import Literal, get_args

import msgspec

from schemas.order import OrderDocument
from schemas.search import OrderQuery

Role = Literal[
    "customer", "supplier", "carrier", "operator", "manager", "auditor", "admin", "ingest"
]

EVERY_ROLE: frozenset[Role] = frozenset(get_args(Role))
ROLES = EVERY_ROLE - {"ingest"}  # those that see orders; `ingest` feeds events, and sees nothing
STAFF: frozenset[Role] = frozenset({"operator", "manager", "auditor", "admin"})
OPERATORS = STAFF - {"auditor"}  # those that may set something on an alert
SUBSCRIBERS: frozenset[Role] = frozenset({"admin", "manager"})  # those that may have webhooks

# The field of a document that a role's own orders name; staff see the whole tenant.
OWN = {"customer": "customer_id", "supplier": "supplier_id", "carrier": "carrier"}


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Caller of a route.

    `key_id` is the id of the key that the caller came with, or signed in with, or `oidc:` and the
    subject of the issuer's token, which is valid to the second `until_s`. `tenant` None: of all
    tenants. `party` is the caller's own customer id, supplier id or carrier code, "" for staff.
    `session` is the id of a browser's session, None for a key.
    """

    key_id: str
    role: Role
    tenant: str | None = None
    party: str = ""
    name: str = ""
    session: str | None = None
    until_s: int | None = None

    @property
    def is_staff(self) -> bool:
        """Return True for a caller that sees all orders of its tenant."""
        return self.role in STAFF

    @property
    def sees_rules(self) -> bool:
        """Return True for a caller that sees alerts, deadlines and the supplier."""
        return self.is_staff or self.role == "supplier"

    def sees(self, order: OrderDocument) -> bool:
        """Return True if the order is in the caller's scope."""
        if self.tenant is not None and order.tenant != self.tenant:
            return False
        if self.is_staff:
            return True
        if self.role not in OWN:
            return False
        named = {getattr(order, OWN[self.role])}
        if self.role == "carrier":
            named |= {parcel.carrier for parcel in order.shipments}
        return bool(self.party) and self.party in named

    def narrowed(self, query: OrderQuery) -> OrderQuery | None:
        """The query within the caller's scope; None if nothing of it lies there."""
        own = {} if self.is_staff else {OWN[self.role]: self.party}
        if self.tenant is not None:
            own["tenant"] = self.tenant
        for field, value in own.items():
            if getattr(query, field) not in {None, value}:
                return None
        return msgspec.structs.replace(query, **own)


NOBODY = Caller(key_id="", role="customer", tenant="")

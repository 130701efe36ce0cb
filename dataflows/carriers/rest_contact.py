"""Rest contact: a question to a carrier's desk, or a system of one's own, as JSON.

    POST url                     Authorization: Bearer SECRET, Idempotency-Key: the action_id

    {"reference": "0f3c…", "tenant": "default", "order_id": "SO-1", "kind": "contact_carrier",
     "rule": "carrier_silent", "waybill": "YT1", "carrier": "yto", "status": "IN_TRANSIT", …}

Any 2xx means that it is taken; `{"ticket": "T-77"}` names the desk's own number of it.
"""

import msgspec

from dataflows.carriers.contactable import CarrierContact, ContactConfig, Inquiry
from dataflows.carriers.pollable import HttpRequest
from schemas.errors import SettingsError


class Taken(msgspec.Struct, frozen=True):
    """Answer of a desk, as far as it is read."""

    ticket: str | int = ""


TAKEN = msgspec.json.Decoder(Taken)


class RestContact(CarrierContact):
    """The plug-in for whoever takes our own fields."""

    name = "rest"
    Config = ContactConfig

    def __init__(self, config: ContactConfig) -> None:
        if not config.secret:
            raise SettingsError("secret is missing; set it to the token that the desk gave you")
        self.authorisation = f"Bearer {config.secret}"

    def contact(self, inquiry: Inquiry, now_ms: int) -> HttpRequest:
        fields = {
            "reference": inquiry.action_id,
            "tenant": inquiry.tenant,
            "order_id": inquiry.order_id,
            "kind": inquiry.kind,
            "rule": inquiry.rule,
            "waybill": inquiry.number,
            "carrier": inquiry.carrier,
            "status": inquiry.status,
            "place": inquiry.place,
            "requested_at": inquiry.requested_at,
            "last_event_at": inquiry.last_event_at,
        }
        headers = {
            "Authorization": self.authorisation,
            "Content-Type": "application/json",
            "Idempotency-Key": inquiry.action_id,
        }
        return HttpRequest("POST", "", headers, msgspec.json.encode(fields))

    def contacted(self, body: bytes) -> str:
        try:
            return str(TAKEN.decode(body).ticket)
        except msgspec.DecodeError:  # a desk may answer with anything
            return ""

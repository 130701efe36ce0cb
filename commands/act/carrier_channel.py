"""Carrier: an action as a question to the carrier of its parcel, by a contact plug-in.

It lies here and not in `sinks/`, which must not know the carriers' plug-ins.
"""

from collections.abc import Mapping
from pathlib import Path

from commands.wiring.process import now_ms
from dataflows.carriers.contactable import CarrierContact, Inquiry
from dataflows.carriers.installed import open_contact
from schemas.display import printable
from schemas.errors import Rejected
from sinks.actions.channels.action_channel import ActionChannel, ActionRequest, ReceiverSettings
from sinks.actions.channels.addresses import Allowed
from sinks.actions.channels.http_receiver import SHOWN_CHARACTERS, HttpReceiver
from sinks.actions.recipient import PARCEL

OWN = {"contact", "ca"}  # options of the channel; all others are the plug-in's
MOST_ANSWER_BYTES = 64_000


def open_channel(settings: ReceiverSettings) -> ActionChannel:
    """The contact of a receiver.

    Raises:
        SettingsError: the plug-in isn't installed, or an option is missing or can't be used.
    """
    options: Mapping[str, str] = settings.options
    given = {name: value for name, value in options.items() if name not in OWN}
    if settings.secret:
        given["secret"] = settings.secret
    contact, config = open_contact(options.get("contact", "rest"), given)
    http = HttpReceiver(
        config.url,
        Allowed(settings.private),
        ca=Path(options["ca"]) if "ca" in options else None,
        most_bytes=MOST_ANSWER_BYTES,
    )
    return CarrierChannel(contact, http)


class CarrierChannel(ActionChannel):
    """One carrier's desk."""

    name = "carrier"
    needs = frozenset({PARCEL})

    def __init__(self, contact: CarrierContact, http: HttpReceiver) -> None:
        """Create a channel that isn't connected yet."""
        self.contact = contact
        self.http = http

    def send(self, request: ActionRequest) -> str:
        asked = self.contact.contact(inquiry_of(request), now_ms())
        answer = self.http.request(asked.method, asked.path, asked.body, asked.headers)
        shown = self.http.judged(answer)
        reference = printable(self.contact.contacted(answer.text.encode())[:SHOWN_CHARACTERS])
        return f"{answer.status} ticket {reference}" if reference else shown

    def fault(self) -> str | None:
        return self.http.fault()

    def close(self) -> None:
        self.http.close()


def inquiry_of(request: ActionRequest) -> Inquiry:
    """The question about the parcel of an action.

    Raises:
        Rejected: `no_parcel`, the action came without one.
    """
    action, parcel = request.action, request.parcel
    if parcel is None:
        raise Rejected("no_parcel", "the action is about no parcel, so no carrier can be asked")
    return Inquiry(
        action_id=action.action_id,
        tenant=action.tenant,
        order_id=action.order_id,
        kind=action.kind,
        rule=action.rule,
        number=parcel.shipment,
        carrier=parcel.carrier or "",
        status=parcel.status or "",
        place=(parcel.location.name or "") if parcel.location else "",
        requested_at=action.at,
        last_event_at=action.because.last_event_at,
    )

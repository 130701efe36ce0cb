"""Contact plug-ins: a question to a carrier about a parcel, such as a work order; no I/O, no clock.

The action channel `carrier` sends it. The carrier's answer in words comes later, by
`POST /v1/actions/{id}/outcome`, or as scans.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import msgspec

from dataflows.carriers.pollable import HttpRequest


class ContactConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of every contact; a plug-in adds its own.

    `url` is where the carrier takes questions, `secret` that of the receiver.
    """

    url: str
    secret: str = ""


class Inquiry(NamedTuple):
    """A question about a parcel: its number, the code of its carrier, its status and place.

    `action_id` is the reference of the question and its idempotency key, the same on every attempt.
    `kind` and `rule` are those of the action, `last_event_at` when the order was last heard of.
    """

    action_id: str
    tenant: str
    order_id: str
    kind: str
    rule: str
    number: str
    carrier: str
    status: str
    place: str
    requested_at: str
    last_event_at: str


class CarrierContact(ABC):
    """The way to ask a carrier about a parcel.

    A plug-in is a subclass, registered as an entry point of the group `ordertide.contacts`. `name`
    is the name of the entry point, `Config` the schema of its settings.
    """

    name: ClassVar[str]
    Config: ClassVar[type[ContactConfig]]

    @abstractmethod
    def __init__(self, config: Any) -> None:  # noqa: ANN401 - an instance of the plug-in's Config
        """Create the plug-in with its settings.

        Raises:
            SettingsError: a value can't be used; names the setting and the remedy.
        """

    @abstractmethod
    def contact(self, inquiry: Inquiry, now_ms: int) -> HttpRequest:
        """The request that asks the carrier.

        Raises:
            Rejected: it can't be asked about this parcel.
        """

    @abstractmethod
    def contacted(self, body: bytes) -> str:
        """The carrier's reference of the question in a successful response; "" without one.

        Raises:
            Busy: the carrier can't take it now. Rejected: the carrier refuses this question.
        """

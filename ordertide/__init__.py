"""ordertide: the names that plug-ins may import, and nothing else; what is here stays.

Carriers extend `Carrier`, pollers `Poller` or `Fetcher`, contacts `CarrierContact`, tiers implement
`Tier`, channels `Channel`, action channels `ActionChannel`; each is registered as an entry point
(docs/architecture.md, What is added where). May import dataflows, sinks, storage_tiering, telemetry
and schemas; the built-in parts don't import it. Begin reading with `dataflows/carriers/sf.py`.
"""

from dataflows.carriers.carrier import (
    CALLBACK_TOKEN,
    Acknowledgement,
    Carrier,
    CarrierConfig,
    PushContents,
)
from dataflows.carriers.contactable import CarrierContact, ContactConfig, Inquiry
from dataflows.carriers.datum import to_wgs84
from dataflows.carriers.pollable import (
    Answer,
    Asked,
    Fetcher,
    HttpRequest,
    PollConfig,
    Poller,
)
from dataflows.carriers.reading import checked, decode, form_field, parse_zone, rfc3339, scan_id
from schemas.alert import Action
from schemas.errors import Busy, OrdertideError, Rejected, SettingsError
from schemas.event import Event, Location, decode_event
from schemas.order import AcceptedEvent, OrderDocument
from schemas.settings.model import DeliverySettings, Settings
from sinks.actions.channels.action_channel import (
    ActionChannel,
    ActionRequest,
    BatchChannel,
    BatchFailed,
    ReceiverSettings,
)
from sinks.channels.alert_message import Posting
from sinks.channels.channel import Channel, Silence, SilencingChannel
from storage_tiering.tier import (
    Counts,
    EventRecord,
    Found,
    OrderRecord,
    Stale,
    Staleness,
    Tier,
    TopicPosition,
    WritesLost,
)
from telemetry.http_client import HttpFailed

__all__ = [
    "CALLBACK_TOKEN",
    "AcceptedEvent",
    "Acknowledgement",
    "Action",
    "ActionChannel",
    "ActionRequest",
    "Answer",
    "Asked",
    "BatchChannel",
    "BatchFailed",
    "Busy",
    "Carrier",
    "CarrierConfig",
    "CarrierContact",
    "Channel",
    "ContactConfig",
    "Counts",
    "DeliverySettings",
    "Event",
    "EventRecord",
    "Fetcher",
    "Found",
    "HttpFailed",
    "HttpRequest",
    "Inquiry",
    "Location",
    "OrderDocument",
    "OrderRecord",
    "OrdertideError",
    "PollConfig",
    "Poller",
    "Posting",
    "PushContents",
    "ReceiverSettings",
    "Rejected",
    "Settings",
    "SettingsError",
    "Silence",
    "SilencingChannel",
    "Stale",
    "Staleness",
    "Tier",
    "TopicPosition",
    "WritesLost",
    "checked",
    "decode",
    "decode_event",
    "form_field",
    "parse_zone",
    "rfc3339",
    "scan_id",
    "to_wgs84",
]
